"""The operation table: one row an operation. To add an operation, add a row to one of the files joined here."""

from __future__ import annotations

from thalweg.expr.node import Op
from thalweg.expr.ops_elementwise import ELEMENTWISE
from thalweg.expr.ops_index import INDEX
from thalweg.expr.ops_linalg import SYSTEMS
from thalweg.expr.ops_special import SPECIAL
from thalweg.expr.ops_spectral import SPECTRAL
from thalweg.expr.ops_structural import STRUCTURAL
from thalweg.expr.primitive import PRIMITIVE

LINALG: dict[str, Op] = {**SYSTEMS, **SPECTRAL}
TABLE: dict[str, Op] = {**ELEMENTWISE, **SPECIAL, **STRUCTURAL, **INDEX, **LINALG, **PRIMITIVE}
