"""Preconditioners that are known as a product, M = L L', so that a symmetric matrix stays symmetric."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from thalweg.core.check import checked_number
from thalweg.core.errors import InputError
from thalweg.core.random import Seed
from thalweg.core.random import generator as as_generator
from thalweg.linalg.product import Apply, Matrix, Product, check_symmetric, checked_count, not_semidefinite


@dataclass(frozen=True)
class Splitting:
    """A matrix M = L L' that is near to A and easily inverted: L^-1 A L'^-1 has eigenvalues near 1.

    Attributes:
        solve: L^-1 v for v of shape (size,).
        solve_transposed: L'^-1 v for v of shape (size,).
        log_determinant: Of M.
        products: Products with A that it took to make.

    """

    solve: Apply
    solve_transposed: Apply
    log_determinant: float
    products: int = 0


def diagonal_splitting(diagonal: np.ndarray) -> Splitting:
    """M = diag(d): takes out scales that differ from row to row.

    Args:
        diagonal: d > 0, shape (size,), for instance the diagonal of A.

    Raises:
        InputError: If it is no vector of finite numbers > 0.

    Example:
        >>> splitting = diagonal_splitting(np.array([4.0, 9.0]))
        >>> splitting.solve(np.array([2.0, 3.0]))
        array([1., 1.])

    """
    values = np.asarray(diagonal)
    if values.ndim != 1 or values.dtype.kind not in "fiu" or not (np.isfinite(values) & (values > 0)).all():
        raise InputError(
            "diagonal is not a vector of finite numbers > 0", "pass numpy.diag(A) of a positive definite matrix"
        )
    roots = np.sqrt(values.astype(np.float64))
    return Splitting(lambda v: v / roots, lambda v: v / roots, 2 * float(np.log(roots).sum()))


def nystrom_splitting(apply: Matrix, size: int, generator: Seed, *, rank: int, shift: float) -> Splitting:
    """M = K_r + shift I for A = K + shift I, with K_r the Nystrom approximation of a positive semidefinite K.

    For kernel matrices and others of few large eigenvalues. Source: Frangella, Tropp & Udell, SIAM J. Matrix Anal.
    Appl. 44 (2023) 718-752, algorithm 2.1.

    Args:
        apply: K, not A, as a function from (size,) to (size,), an operator, or the matrix itself.
        size: Rows of K.
        generator: A NumPy generator or a seed, for the sketch.
        rank: Products to spend, the rank of K_r; at most `size`.
        shift: > 0.

    Raises:
        InputError: If an argument cannot be used, a product is not finite, of another shape, or not symmetric, or
            the sketch meets a negative eigenvalue.

    """
    product = Product(apply, size)
    rank = min(checked_count("rank", rank, "pass the number of products to spend, e.g. rank=50"), product.size)
    if not checked_number("shift", shift, "pass what is added to the diagonal, e.g. shift=0.1"):
        raise InputError(f"shift={shift!r}: expected a number > 0", "pass what is added to the diagonal")
    draws = as_generator(generator, name="generator").standard_normal((product.size, rank))
    sketch = np.linalg.qr(draws)[0]
    images = product.block(sketch)
    check_symmetric(sketch, images)
    small = product.eps * float(np.linalg.norm(images))
    images = images + small * sketch
    core = sketch.T @ images
    values, vectors = np.linalg.eigh((core + core.T) / 2)
    if values[0] < -small:
        raise not_semidefinite(float(values[0]))
    values = np.maximum(values, 0.1 * small) if small > 0 else np.ones(rank)
    basis, singular, _ = np.linalg.svd(images @ (vectors / np.sqrt(values)), full_matrices=False)
    found = np.maximum(singular**2 - small, 0.0) + shift
    inside, outside = 1 / np.sqrt(found), 1 / math.sqrt(shift)

    def root(v: np.ndarray) -> np.ndarray:
        """M^-1/2 v."""
        return outside * v + basis @ ((inside - outside) * (basis.T @ v))

    logarithm = float(np.log(found).sum()) + (product.size - rank) * math.log(shift)
    return Splitting(root, root, logarithm, product.count)
