"""Krylov methods: products with a matrix are all they need."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from thalweg.core.check import checked_number
from thalweg.core.random import Seed
from thalweg.core.random import generator as as_generator
from thalweg.core.vector import Any1D, eps, flat
from thalweg.linalg.product import ASYMMETRY, Matrix, Product, checked_count, not_symmetric
from thalweg.linalg.quadrature import Quadrature, tridiagonal

#: Of a curvature p'Hp, in units of eps and of the largest one seen.
ROUNDING = 8


@dataclass(frozen=True)
class Extreme:
    """An end of the spectrum of a symmetric matrix.

    Attributes:
        value: The Rayleigh quotient of `vector`.
        vector: Of length 1, shape (size,); None where it was not kept.
        residual: ||A vector - value vector||, rounding included: some eigenvalue lies within it of `value`.
        products: Products with A that were spent.
        interval: Where the wanted eigenvalue lies, with probability `confidence`.
        confidence: Over the random start. None where there is no such statement: then `interval` holds some
            eigenvalue, in practice the wanted one.

    """

    value: float
    vector: np.ndarray | None
    residual: float
    products: int
    interval: tuple[float, float]
    confidence: float | None = None


def power_iteration(apply: Matrix, size: int, generator: Seed, *, steps: int = 100, tolerance: float = 1e-3) -> Extreme:
    """The eigenvalue of largest absolute value of a symmetric matrix, by repeated products.

    Lanczos needs fewer products. With eigenvalues l and -l both largest, power iteration does not converge, and the
    residual stays large. Source: Parlett, The Symmetric Eigenvalue Problem (1998), chapter 4.

    Args:
        apply: A, as a function from (size,) to (size,) or an operator.
        size: Rows of A.
        generator: A NumPy generator or a seed, for the start vector.
        steps: Most products to spend.
        tolerance: Stop when the residual is at most this times the value's size.

    Returns:
        The last Rayleigh quotient; `interval` is value +- residual.

    Raises:
        InputError: If an argument cannot be used, or a product is not finite, of another shape, or not symmetric.

    Example:
        >>> found = power_iteration(lambda v: [1.0, -5.0] * v, 2, 0, steps=50, tolerance=1e-9)
        >>> round(found.value, 6)
        -5.0

    """
    product = Product(apply, size)
    steps = checked_count("steps", steps, "pass the number of products to spend, e.g. steps=100")
    checked_number("tolerance", tolerance, "pass a relative residual such as tolerance=1e-3")
    v = as_generator(generator, name="generator").standard_normal(product.size)
    v /= _length(v)
    value = residual = 0.0
    before: tuple[np.ndarray, float] | None = None
    for count in range(1, steps + 1):
        w = product(v)
        value, norm = float(v @ w), _length(w)
        if before is not None:  # v is A u over its length: u'Av is that length too, if A = A'
            u, expected = before
            difference = abs(float(u @ w) - expected)
            if difference > ASYMMETRY * max(expected, norm):
                raise not_symmetric(difference, max(expected, norm))
        rounding = product.eps * (8 + 2 * math.sqrt(product.size)) * norm
        residual = _length(w - value * v) + rounding
        if residual <= tolerance * abs(value) + rounding or count == steps:
            break
        before, v = (v, norm), w / norm
    return Extreme(value, v, residual, product.count, (value - residual, value + residual))


def _length(v: np.ndarray) -> float:
    """The Euclidean length, also where squares leave the range of floats."""
    largest = float(np.abs(v).max())
    scaled = v / largest if largest > 0 else v
    return largest * math.sqrt(float(scaled @ scaled))


@dataclass
class CgHistory:
    """What `preconditioned_cg` saw, for the spectrum it met; pass an empty one.

    Attributes:
        steps: Length of each step along its direction, alpha.
        squares: r' M^-1 r before the first step and after each.

    """

    steps: list[float] = field(default_factory=list)
    squares: list[float] = field(default_factory=list)

    @property
    def residuals(self) -> np.ndarray:
        """Norms of the residual in M^-1, relative to the first; shape (steps taken + 1,)."""
        squares = np.asarray(self.squares)
        return np.sqrt(squares / squares[0]) if len(squares) and squares[0] > 0 else np.zeros(len(squares))

    @property
    def coefficients(self) -> tuple[np.ndarray, np.ndarray]:
        """Diagonal and off-diagonal of the Lanczos matrix of M^-1/2 H M^-1/2 from M^-1/2 b.

        Source: Golub & Meurant, Matrices, Moments and Quadrature (2010), section 4.2.
        """
        alphas = np.asarray(self.steps)
        ratios = np.asarray(self.squares[1 : len(alphas) + 1]) / np.asarray(self.squares[: len(alphas)])
        diagonal = 1 / alphas
        diagonal[1:] += ratios[: len(alphas) - 1] / alphas[: len(alphas) - 1]
        return diagonal, np.sqrt(ratios) / alphas

    def spectrum(self) -> Quadrature | None:
        """The spectrum of the preconditioned matrix as the right side sees it; None before the first step.

        CG keeps its vectors orthogonal only up to rounding: in a long run a converged node may appear twice, their
        weights adding up to the right one.
        """
        if not self.steps:
            return None
        nodes, coordinates = np.linalg.eigh(tridiagonal(*self.coefficients))
        return Quadrature(nodes, coordinates[0] ** 2, self.squares[0], len(self.steps), self.squares[-1] == 0)


def preconditioned_cg(
    product: Callable[[Any], Any],
    b: Any1D,
    precondition: Callable[[Any], Any],
    tolerance: float,
    limit: int,
    history: CgHistory | None = None,
) -> tuple[Any, int, bool]:
    """Apply H d = b by conjugate gradients preconditioned by M.

    Args:
        product: H times a vector.
        b: Right side, a vector such as x.
        precondition: M^-1 times a vector.
        tolerance: Wanted ratio of final to initial residual, in the norm of M^-1.
        limit: Products allowed.
        history: Filled with the residuals and the Lanczos coefficients, if given.

    Returns:
        The solution, the products used, and whether the tolerance was reached. Stops where the curvature is not
        positive beyond rounding, as for H that is singular or indefinite, with the last iterate, which still descends;
        and where M is not positive definite.

    """
    d = 0.0 * b
    residual = b
    z = precondition(residual)
    p = z
    rho = float(residual @ z)
    wanted = tolerance**2 * rho
    if history is not None:
        history.squares.append(rho)
    if rho == 0 and not flat(b).any():
        return d, 0, True
    # p'Mp, by recurrence, and the largest curvature in units of M: what a curvature of rounding alone is told by.
    length, steepest, least = rho, 0.0, ROUNDING * eps(b)
    for count in range(1, limit + 1):
        hp = product(p)
        bend = float(p @ hp)
        if not rho > 0 or not bend > least * steepest * length:
            return (d if count > 1 else z), count, False
        steepest = max(steepest, bend / length)
        alpha = rho / bend
        d = d + alpha * p
        residual = residual - alpha * hp
        z = precondition(residual)
        new = float(residual @ z)
        if history is not None:
            history.steps.append(alpha)
            history.squares.append(new)
        if not new > wanted:
            return d, count, new >= 0
        ratio = new / rho
        p = z + ratio * p
        length = new + ratio**2 * length
        rho = new
    return d, limit, False
