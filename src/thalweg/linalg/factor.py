"""Factors of symmetric matrices that always give a descent direction."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

EPS = float(np.finfo(np.float64).eps)
#: Diagonal entries below this share of the largest are treated as if they were that large: a direction without
#: curvature would else take the whole step.
LEAST_DIAGONAL = 1e-6
#: First shift of a matrix without a Cholesky factor, on the scale of its unit diagonal.
FIRST_SHIFT = 1e-8
Solve = Callable[[np.ndarray], np.ndarray]


def factor(matrix: np.ndarray) -> Solve:
    """A solver for a symmetric matrix: Cholesky of the unit-diagonal scaling, shifted until it is well defined.

    An indefinite matrix is shifted past its most negative eigenvalue, so that the direction always descends.
    """
    from scipy.linalg import lapack  # loaded late: importing it takes longer than a small fit

    diagonal = np.diag(matrix)
    largest = float(np.abs(diagonal).max(initial=0.0))
    if largest == 0.0:
        return lambda r: r.copy()
    scale = 1.0 / np.sqrt(np.maximum(np.abs(diagonal), largest * LEAST_DIAGONAL))
    scaled = matrix * scale
    scaled *= scale[:, None]
    shift, floor = 0.0, len(matrix) * EPS
    for _ in range(20):
        trial = scaled if shift == 0.0 else scaled + shift * np.eye(len(scaled))
        lower, info = lapack.dpotrf(trial.T, lower=1, clean=0)  # .T: symmetric, and already in Fortran order
        if info == 0 and np.diag(lower).min() ** 2 > floor:

            def solve(r: np.ndarray, lower: np.ndarray = lower) -> np.ndarray:
                return scale * lapack.dpotrs(lower, scale * r, lower=1)[0]

            return solve
        shift = max(FIRST_SHIFT, 10 * shift)
    return lambda r: scale * scale * r
