"""The operation table: one row an operation. To add an operation, add a row to one of the two files joined here."""

from __future__ import annotations

from thalweg.expr.node import Op
from thalweg.expr.ops_elementwise import ELEMENTWISE
from thalweg.expr.ops_structural import STRUCTURAL

TABLE: dict[str, Op] = {**ELEMENTWISE, **STRUCTURAL}
