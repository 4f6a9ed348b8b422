"""Factors of symmetric matrices that always give a descent direction."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

EPS = float(np.finfo(np.float64).eps)
TINY = float(np.finfo(np.float64).tiny)
#: Where no Cholesky factor vouches for them, diagonal entries below this share of the largest are treated as if they
#: were that large: a direction without curvature would else take the whole step.
LEAST_DIAGONAL = 1e-6
#: First shift of a matrix without a Cholesky factor, on the scale of its unit diagonal.
FIRST_SHIFT = 1e-8
#: A negative eigenvalue below this share of the largest, on the scale of a unit diagonal, is taken for rounding.
REAL_CURVATURE = 1e-8
#: Rows up to which a matrix without a Cholesky factor is diagonalised; beyond, it is shifted.
LARGEST_EIGEN = 1_000
Solve = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Factor:
    """A solver with a symmetric matrix, called like a function.

    Attributes:
        solve: Maps a right side (size,) to the solution.
        definite: Whether the matrix was positive definite beyond rounding, so that nothing was shifted or dropped.
        curving: A direction of negative curvature, shape (size,), where one was found that is more than rounding.
        semidefinite: Whether the matrix was positive semidefinite, up to rounding.

    """

    solve: Solve
    definite: bool = False
    curving: np.ndarray | None = field(default=None, compare=False)
    semidefinite: bool = False

    def __call__(self, r: np.ndarray) -> np.ndarray:
        """The solution for the right side r, shape (size,)."""
        return self.solve(r)


def factor(matrix: np.ndarray, precision: float = EPS) -> Factor:
    """A solver for a symmetric matrix that always gives a descent direction.

    Cholesky of the unit-diagonal scaling where that is well defined; else the pseudo-inverse of |H| from eigenvalues,
    or a shift past the most negative eigenvalue where the matrix is large.

    Args:
        matrix: Shape (size, size).
        precision: Relative rounding of its entries, below which eigenvalues tell nothing.

    """
    from scipy.linalg import lapack  # loaded late: importing it takes longer than a small fit

    if not matrix.any():
        return Factor(lambda r: r.copy(), semidefinite=True)
    diagonal, floor = np.diag(matrix), len(matrix) * precision
    if diagonal.min() > TINY:
        scale = 1.0 / np.sqrt(diagonal)
        # .T: symmetric, and already in Fortran order
        lower, info = lapack.dpotrf(_scaled(matrix, scale).T, lower=1, clean=0)
        if info == 0 and np.diag(lower).min() ** 2 > floor:
            return Factor(functools.partial(_by_cholesky, lower, scale), definite=True, semidefinite=True)
    largest = float(np.abs(diagonal).max())
    if largest == 0.0:  # indefinite: the size of what stands beside the diagonal is the only scale there is
        largest = float(np.abs(matrix).max()) / LEAST_DIAGONAL
    scale = 1.0 / np.sqrt(np.maximum(np.abs(diagonal), largest * LEAST_DIAGONAL))
    scaled = _scaled(matrix, scale)
    if len(matrix) > LARGEST_EIGEN:
        return Factor(_shifted(scaled, scale))
    values, vectors = np.linalg.eigh(scaled)
    bent = bool(values[0] < -max(REAL_CURVATURE, floor) * max(values[-1], -values[0]))
    solve = _by_eigenvalues(values, vectors, scale, floor)
    return Factor(solve, curving=scale * vectors[:, 0] if bent else None, semidefinite=not bent)


def _scaled(matrix: np.ndarray, scale: np.ndarray) -> np.ndarray:
    scaled = matrix * scale
    scaled *= scale[:, None]
    return scaled


def _by_cholesky(lower: np.ndarray, scale: np.ndarray, r: np.ndarray) -> np.ndarray:
    from scipy.linalg import lapack

    return np.asarray(scale * lapack.dpotrs(lower, scale * r, lower=1)[0])


def _by_eigenvalues(values: np.ndarray, vectors: np.ndarray, scale: np.ndarray, floor: float) -> Solve:
    """The pseudo-inverse of |H|: negative curvature is turned round, flat directions move only if the slope is real."""
    size = np.abs(values)
    top = float(size.max())
    flat = size <= 10 * floor * top
    inverse = 1.0 / np.where(flat, 1.0, size)
    least = max(FIRST_SHIFT, 10 * floor) * top

    def solve(r: np.ndarray) -> np.ndarray:
        parts = vectors.T @ (scale * r)
        # A slope along a flat direction that is only rounding of the whole must not be divided by nothing.
        real = np.abs(parts) > 1e-7 * np.linalg.norm(parts)
        along = np.where(flat, np.where(real, parts / least, 0.0), parts * inverse)
        return scale * (vectors @ along)

    return solve


def _shifted(scaled: np.ndarray, scale: np.ndarray) -> Solve:
    """Cholesky of the matrix plus a growing multiple of the identity."""
    from scipy.linalg import lapack

    shift = FIRST_SHIFT
    for _ in range(20):
        lower, info = lapack.dpotrf((scaled + shift * np.eye(len(scaled))).T, lower=1, clean=0)
        if info == 0:
            break
        shift *= 10

    def solve(r: np.ndarray) -> np.ndarray:
        return np.asarray(scale * lapack.dpotrs(lower, scale * r, lower=1)[0])

    return solve if info == 0 else lambda r: scale * scale * r
