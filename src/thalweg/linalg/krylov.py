"""Krylov methods: products with a matrix are all they need."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Apply = Callable[[np.ndarray], np.ndarray]


def preconditioned_cg(
    product: Apply, b: np.ndarray, precondition: Apply, tolerance: float, limit: int
) -> tuple[np.ndarray, int, bool]:
    """Apply H d = b by conjugate gradients preconditioned by M.

    Args:
        product: H times a vector.
        b: Right side, shape (size,).
        precondition: M^-1 times a vector.
        tolerance: Wanted ratio of final to initial residual, in the norm of M^-1.
        limit: Products allowed.

    Returns:
        The solution, the products used, and whether the tolerance was reached. Stops at nonpositive curvature with
        the last iterate, which still descends.

    """
    d = np.zeros_like(b)
    residual = b.copy()
    z = precondition(residual)
    p = z
    rho = float(residual @ z)
    wanted = tolerance**2 * rho
    for count in range(1, limit + 1):
        hp = product(p)
        bend = float(p @ hp)
        if not bend > 0 or not rho > 0:
            return (d if count > 1 else z), count, False
        alpha = rho / bend
        d = d + alpha * p
        residual = residual - alpha * hp
        z = precondition(residual)
        new = float(residual @ z)
        if new <= wanted:
            return d, count, True
        p = z + (new / rho) * p
        rho = new
    return d, limit, False
