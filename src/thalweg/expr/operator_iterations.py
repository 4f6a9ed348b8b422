"""Linear systems with operators that are too large to be formed: conjugate gradients, and a diagonal by products."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from thalweg.core.errors import InputError

if TYPE_CHECKING:
    from thalweg.expr.operators import StructuredOperator

LARGEST_FACTORED = 10_000
"""Entries of the argument up to which an operator without a structured solution is formed and factored (800 MB)."""


def by_conjugate_gradients(
    operator: StructuredOperator, diagonal: np.ndarray | None = None
) -> Callable[[np.ndarray], np.ndarray]:
    """Solve with a positive definite operator by its products.

    Args:
        operator: Of shape (n, n).
        diagonal: Its diagonal, to divide by; None for none.

    Returns:
        A function that solves for columns (n, k). It raises `InputError` where a direction shows that the operator is
        not positive definite, and where the residual does not become small.

    """
    from scipy.sparse.linalg import LinearOperator as SciPyOperator
    from scipy.sparse.linalg import cg

    remedy = "add a multiple of the squared norm to the function, or solve with H.dense()"

    def times(v: np.ndarray) -> np.ndarray:
        v = v.reshape(-1)
        product = operator.matvec(v)
        if v @ product < 0:
            raise InputError(f"conjugate gradients met a negative eigenvalue ({operator.structure})", remedy)
        return product

    products = SciPyOperator(operator.shape, matvec=times, dtype=operator.dtype)
    scale = np.ones(operator.size) if diagonal is None else np.abs(diagonal)
    scale = np.where(scale > 0, scale, 1.0).astype(operator.dtype)
    inverse = SciPyOperator(operator.shape, matvec=lambda v: v.reshape(-1) / scale, dtype=operator.dtype)
    tolerance = 100 * float(np.finfo(operator.dtype).eps)

    def solve(b: np.ndarray) -> np.ndarray:
        columns = []
        for column in b.T:
            x, steps = cg(products, column, rtol=tolerance, atol=0.0, M=inverse, maxiter=10 * operator.size)
            if steps:
                raise InputError(f"conjugate gradients did not reach {tolerance:.0e} ({operator.structure})", remedy)
            columns.append(x)
        return np.stack(columns, axis=1)

    return solve


def diagonal_by_products(operator: StructuredOperator) -> np.ndarray:
    """Give the diagonal, shape (n,), by n products with one column of the identity each."""
    found = np.empty(operator.size, dtype=operator.dtype)
    unit = np.zeros(operator.size, dtype=operator.dtype)
    for i in range(operator.size):
        unit[i] = 1
        found[i] = operator.matvec(unit)[i]
        unit[i] = 0
    return found
