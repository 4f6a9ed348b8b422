"""Lanczos with full reorthogonalisation: Ritz values with bounds, and the ends of the spectrum with intervals.

Sources: Parlett, The Symmetric Eigenvalue Problem (1998), chapters 11-13, for the process and the residual bounds; van
Dorsselaer, Hochstenbach & van der Vorst, SIAM J. Matrix Anal. Appl. 22 (2000) 837-852, for the intervals.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from thalweg.core.check import checked_number
from thalweg.core.errors import InputError
from thalweg.core.random import Seed
from thalweg.core.random import generator as as_generator
from thalweg.linalg.krylov import Extreme
from thalweg.linalg.product import ASYMMETRY, Matrix, Product, checked_count, checked_vector, not_symmetric
from thalweg.linalg.quadrature import Function, Quadrature, tridiagonal, values_at

#: Probability that `smallest` and `largest` each hold the end of the spectrum in their interval.
CONFIDENCE = 0.99
#: What is left over ends the run below this many times the noise of a product; the bounds count it nevertheless.
BREAKDOWN = 32


@dataclass(frozen=True)
class Lanczos:
    """A V' = V' T + betas[k-1] q e_k', with the rows of V orthonormal, and what T says about the spectrum of A.

    Attributes:
        size: Rows of A.
        alphas: Diagonal of T, shape (k,).
        betas: betas[:k-1] stand beside the diagonal of T; betas[k-1] is the norm of what is left over. Shape (k,).
        ritz: Eigenvalues of T, ascending, shape (k,).
        coordinates: Eigenvectors of T in its columns, shape (k, k).
        norm: Length of the start vector.
        products: Products with A that were spent.
        exact: Whether the rows of V span an invariant subspace (up to rounding), so that Ritz values are eigenvalues.
        rounding: What floating-point arithmetic, and any asymmetry seen in the products, may add to a residual.
        drawn: Whether the start vector was uniform on the sphere, which the intervals of the extremes need.
        basis: V, shape (k, size), if it was kept.

    """

    size: int
    alphas: np.ndarray
    betas: np.ndarray
    ritz: np.ndarray
    coordinates: np.ndarray
    norm: float
    products: int
    exact: bool
    rounding: float
    drawn: bool
    basis: np.ndarray | None = None

    @cached_property
    def weights(self) -> np.ndarray:
        """Squared first components of the eigenvectors of T: the share of the start vector at each Ritz value."""
        return self.coordinates[0] ** 2

    @cached_property
    def residuals(self) -> np.ndarray:
        """||A y - ritz y|| for every Ritz vector y; some eigenvalue of A lies within it. Shape (k,)."""
        return abs(self.betas[-1]) * np.abs(self.coordinates[-1]) + self.rounding

    @property
    def quadrature(self) -> Quadrature:
        """The Gauss rule of the start vector."""
        return Quadrature(self.ritz, self.weights, self.norm**2, self.products, self.exact)

    def after(self, steps: int) -> Lanczos:
        """The run as it stood after fewer steps, at least one; itself where it is exact."""
        if self.exact or steps >= len(self.alphas):
            return self
        ritz, coordinates = np.linalg.eigh(tridiagonal(self.alphas[:steps], self.betas[:steps]))
        return replace(
            self,
            alphas=self.alphas[:steps],
            betas=self.betas[:steps],
            ritz=ritz,
            coordinates=coordinates,
            products=steps,
            basis=None if self.basis is None else self.basis[:steps],
        )

    def radau(self, end: float) -> Quadrature | None:
        """The Gauss-Radau rule with one node at `end`, below the spectrum; None where a Ritz value is there already.

        Exact for polynomials of degree up to 2k. For a function whose even derivatives are negative and odd ones
        positive, such as log(t) or t / (t + ridge), it lies below the mean, and the Gauss rule above. Source: Golub &
        Meurant (2010), section 6.2.

        Args:
            end: A number that no eigenvalue is below.

        """
        gaps = self.ritz - end
        if self.exact or gaps[0] <= self.rounding:
            return None
        added = end + self.betas[-1] ** 2 * float(((self.coordinates[-1] ** 2) / gaps).sum())
        nodes, coordinates = np.linalg.eigh(tridiagonal(np.append(self.alphas, added), self.betas))
        return Quadrature(nodes, coordinates[0] ** 2, self.norm**2, self.products, False)

    @property
    def smallest(self) -> Extreme:
        """The smallest Ritz value. It is never below the smallest eigenvalue; the interval reaches down to that."""
        return self._extreme(0, (self.lower(), float(self.ritz[0]) + self.rounding))

    @property
    def largest(self) -> Extreme:
        """The largest Ritz value. It is never above the largest eigenvalue; the interval reaches up to that."""
        return self._extreme(-1, (float(self.ritz[-1]) - self.rounding, self.upper()))

    @property
    def extremes(self) -> tuple[Extreme, Extreme]:
        """`smallest` and `largest`."""
        return self.smallest, self.largest

    def upper(self, confidence: float = CONFIDENCE) -> float:
        """A number that the largest eigenvalue does not exceed, with this probability over the start vector.

        For a start vector that was passed, there is no such number: it is the largest Ritz value plus its residual.
        """
        gaps = self.ritz[-1] - self.ritz
        if not self.drawn:
            return float(self.ritz[-1] + self.residuals[-1])
        return float(self.ritz[-1]) + self._reach(gaps, confidence) + self.rounding

    def lower(self, confidence: float = CONFIDENCE) -> float:
        """A number that the smallest eigenvalue is not below, as in `upper`."""
        gaps = self.ritz - self.ritz[0]
        if not self.drawn:
            return float(self.ritz[0] - self.residuals[0])
        return float(self.ritz[0]) - self._reach(gaps, confidence) - self.rounding

    def vector(self, index: int) -> np.ndarray:
        """The Ritz vector of ritz[index], of length 1, shape (size,)."""
        return self.coordinates[:, index] @ self._kept_basis()

    def function_of_start(self, function: Function) -> np.ndarray:
        """f(A) times the start vector, exact for polynomials of degree up to k - 1, shape (size,)."""
        values = values_at(function, self.ritz)
        return self.norm * (self.coordinates @ (values * self.coordinates[0])) @ self._kept_basis()

    def _kept_basis(self) -> np.ndarray:
        if self.basis is None:
            raise InputError("this Lanczos run did not keep its basis", "call lanczos(..., keep_basis=True)")
        return self.basis

    def _extreme(self, index: int, interval: tuple[float, float]) -> Extreme:
        return Extreme(
            value=float(self.ritz[index]),
            vector=None if self.basis is None else self.vector(index),
            residual=float(self.residuals[index]),
            products=self.products,
            interval=interval,
            confidence=CONFIDENCE if self.drawn else None,
        )

    def _reach(self, gaps: np.ndarray, confidence: float) -> float:
        """How far beyond the end Ritz value an eigenvalue may lie, given its distances to all of them.

        Let p be the Lanczos polynomial of degree k, p(t) = prod(t - ritz) / prod(betas), of norm 1 in the measure of
        the start vector. An eigenvalue that carries the share w of it has w p(lambda)^2 <= 1. A uniform direction has
        w >= share with the wanted probability, so log p(lambda) <= -log(share) / 2: increasing and concave beyond the
        end, where Newton's method converges from any point, after the first step from below.
        """
        if self.rounding == 0.0:  # the zero matrix
            return 0.0
        betas = np.append(self.betas[:-1], max(self.betas[-1], self.rounding))
        bound = float(np.log(betas).sum()) - 0.5 * math.log(least_share(self.size, 1 - confidence))
        reach = math.exp(min(bound / len(gaps), 700.0))  # at most this: every factor of prod(reach + gaps) is larger
        for _ in range(60):
            shifted = reach + gaps
            step = (bound - float(np.log(shifted).sum())) / float((1 / shifted).sum())
            if abs(step) <= 1e-6 * reach:
                break
            reach = max(reach + step, reach / 16)
        return reach * (1 + 1e-5)


def least_share(size: int, failure: float) -> float:
    """A share of its squared length that a random vector has along a fixed direction, but for a chance of `failure`.

    The share of a uniform direction is Beta(1/2, (size-1)/2) distributed; bounding (1-t)^((size-3)/2) by 1 gives
    P(share < t) <= 2 sqrt(t) / B for size >= 3. Two dimensions have the arcsine law.
    """
    if size == 1:
        return 1.0
    if size == 2:
        return math.sin(0.5 * math.pi * failure) ** 2
    log_beta = math.lgamma(0.5) + math.lgamma(0.5 * (size - 1)) - math.lgamma(0.5 * size)
    return min(1.0, (0.5 * failure * math.exp(log_beta)) ** 2)


def lanczos(
    apply: Matrix,
    size: int,
    generator: Seed,
    *,
    steps: int,
    start: np.ndarray | None = None,
    tolerance: float | None = None,
    smallest: bool = False,
    keep_basis: bool = False,
) -> Lanczos:
    """Project a symmetric matrix on the Krylov space of one vector.

    Args:
        apply: A, as a function from (size,) to (size,) or an operator.
        size: Rows of A.
        generator: A NumPy generator or a seed, for the start vector.
        steps: Most products to spend; no more than `size` are needed.
        start: Start vector, shape (size,); else one is drawn, uniform on the sphere.
        tolerance: Stop early when the residual of the largest Ritz value is at most this times its size.
        smallest: Wait for the smallest Ritz value too.
        keep_basis: Keep the steps x size numbers that eigenvectors need.

    Returns:
        The projection. It ends before `steps` at the tolerance or at an invariant subspace.

    Raises:
        InputError: If an argument cannot be used, or a product is not finite, of another shape, or not symmetric.

    Example:
        >>> found = lanczos(lambda v: [1.0, 2.0, 5.0] * v, 3, 0, steps=3)
        >>> [round(float(value), 6) for value in found.ritz]
        [1.0, 2.0, 5.0]

    """
    product = Product(apply, size)
    steps = checked_count("steps", steps, "pass the number of products to spend, e.g. steps=20")
    if tolerance is not None:
        checked_number("tolerance", tolerance, "pass a relative residual such as tolerance=1e-3, or None")
    if start is None:
        v = as_generator(generator, name="generator").standard_normal(product.size)
    else:
        v = checked_vector("start", start, product.size)
    return run(product, v, steps, tolerance, smallest, keep_basis, drawn=start is None)


def run(
    product: Product,
    start: np.ndarray,
    steps: int,
    tolerance: float | None = None,
    smallest: bool = False,
    keep_basis: bool = False,
    *,
    drawn: bool,
) -> Lanczos:
    """The process itself, on checked arguments. Same arguments as `lanczos`.

    Each new vector is made orthogonal to all earlier ones twice, by products with the whole basis ("twice is enough",
    Parlett 6.9).
    """
    size, before = product.size, product.count
    limit = min(steps, size)
    largest_entry = float(np.abs(start).max())
    v = start / largest_entry  # squares of its entries neither overflow nor all vanish
    length = math.sqrt(float(v @ v))
    norm = largest_entry * length
    v = v / length
    basis = np.empty((limit, size))
    alphas, betas = np.empty(limit), np.empty(limit)
    scale = defect = rounding = 0.0
    beta, next_check = 0.0, 1
    exact, unit = False, 1.0
    for k in range(1, limit + 1):
        basis[k - 1] = v
        rows = basis[:k]
        w = product(v)
        if k == 1 and not 1e-100 <= (largest_entry := float(np.abs(w).max())) <= 1e100 and largest_entry > 0:
            unit = 2.0 ** math.frexp(largest_entry)[1]
        if unit != 1:  # squares of products stay in range; a power of two rounds nothing
            w = w / unit
        first = rows @ w
        w = w - first @ rows
        second = rows @ w
        w -= second @ rows
        coefficients = first + second
        alphas[k - 1] = alpha = float(coefficients[-1])
        previous, beta = beta, math.sqrt(float(w @ w))
        betas[k - 1] = beta
        scale = max(scale, abs(alpha), beta)
        if k > 1:  # for a symmetric matrix the other coefficients are known: zeros, then the previous beta
            coefficients[-2] -= previous
            others = coefficients[:-1]
            defect += float(others @ others)
            if defect > (ASYMMETRY * scale) ** 2:
                raise not_symmetric(unit * math.sqrt(defect), unit * scale)
        noise = product.eps * (8 + 2 * math.sqrt(size)) * scale
        rounding = noise + 2 * math.sqrt(defect)
        exact = k == size or beta <= BREAKDOWN * noise
        if exact or k == limit:
            break
        if tolerance is not None and k >= next_check:
            next_check = k + max(1, k // 8)  # the eigenvalues of T cost k^3
            ritz, coordinates = np.linalg.eigh(tridiagonal(alphas[:k], betas[:k]))
            last = beta * np.abs(coordinates[-1])
            if all(last[end] <= max(tolerance * abs(ritz[end]), rounding) for end in ((0, -1) if smallest else (-1,))):
                break
        v = w / beta
    alphas, betas, rounding = unit * alphas[:k], unit * betas[:k], unit * rounding
    ritz, coordinates = np.linalg.eigh(tridiagonal(alphas, betas))
    return Lanczos(
        size=size,
        alphas=alphas,
        betas=betas,
        ritz=ritz,
        coordinates=coordinates,
        norm=norm,
        products=product.count - before,
        exact=exact,
        rounding=rounding,
        drawn=drawn,
        basis=basis[:k].copy() if keep_basis else None,
    )
