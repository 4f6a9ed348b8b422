"""Algorithms on linear operators."""

from thalweg.linalg.factor import factor
from thalweg.linalg.krylov import preconditioned_cg
from thalweg.linalg.rows import DenseRows, Rows, SparseRows, as_rows

__all__ = ["DenseRows", "Rows", "SparseRows", "as_rows", "factor", "preconditioned_cg"]
