"""Traces and diagonals from random products, with standard errors that hold for few probes too."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from thalweg.core.random import Seed
from thalweg.core.random import generator as as_generator
from thalweg.linalg.product import Matrix, Product, checked_count

#: 0.995 quantiles of Student's t for 1, 2, ... degrees of freedom, over that of the normal distribution. Beyond the
#: list the expansion of Abramowitz & Stegun 26.7.5 is right to 0.1%.
STUDENT_OVER_NORMAL = (24.7134, 3.8531, 2.2676, 1.7874, 1.5654, 1.4393, 1.3586, 1.3027)
#: With fewer sign vectors, two entries are too often equal or opposite in all of them, and what stands between them in
#: the matrix looks like a part of its diagonal: 2^(1 - probes).
FEW_SIGNS = 8


@dataclass(frozen=True)
class Estimate:
    """A number estimated from random probes.

    Attributes:
        value: The estimate.
        standard_error: Of the value; widened where few probes may all have missed the same direction, so that 3
            standard errors hold the truth in 99 of 100 runs. Zero or rounding where nothing is left to chance.
        products: Products with the matrix that were spent.

    """

    value: float
    standard_error: float
    products: int

    @property
    def interval(self) -> tuple[float, float]:
        """Value +- 3 standard errors."""
        return self.value - 3 * self.standard_error, self.value + 3 * self.standard_error


def hutchinson(apply: Matrix, size: int, generator: Seed, *, probes: int) -> Estimate:
    """The trace of a symmetric matrix: the mean of v' A v over vectors of random signs.

    The variance of one probe is 2 sum_{i != j} A_ij^2. The products show those entries themselves: v * A v is the
    diagonal plus a noise of that size in all, which says more than the scatter of a few sums. With as many probes as
    rows the unit vectors give the trace itself. Source: Hutchinson, Communications in Statistics 19 (1990) 433-450.

    Args:
        apply: A, as a function from (size,) to (size,) or an operator.
        size: Rows of A.
        generator: A NumPy generator or a seed, for the probes.
        probes: Most products to spend. Below 8 the standard error counts the diagonal too, and cannot see a matrix
            whose few entries off the diagonal are far larger than the others; from 8 on a diagonal matrix has none.

    Returns:
        The trace and its standard error.

    Raises:
        InputError: If an argument cannot be used, or a product is not finite or of another shape.

    Example:
        >>> hutchinson(lambda v: [1.0, 2.0, 5.0] * v, 3, 0, probes=2).value
        8.0

    """
    product = Product(apply, size)
    if checked_probes(probes) >= product.size:
        return trace_itself(product)
    signs = random_signs(product.size, generator, probes)
    value, error = mean_of_forms(signs, product.block(signs.T).T, product.eps)
    return Estimate(value, error, product.count)


def mean_of_forms(signs: np.ndarray, images: np.ndarray, eps: float) -> tuple[float, float]:
    """The mean of v' A v as an estimate of the trace of A, and its standard error.

    Args:
        signs: Vectors of random signs, shape (probes, size), with fewer probes than rows.
        images: A times each, shape (probes, size).
        eps: Of the arithmetic behind the products.

    """
    parts = signs * images
    count, size = parts.shape
    value = float(parts.sum(axis=1).mean())
    rounding = eps * math.sqrt(size) * float(np.abs(parts).sum(axis=1).mean())
    if count >= FEW_SIGNS:
        parts = (parts - parts.mean(axis=0)) * math.sqrt(count / (count - 1))
    largest = float(np.abs(parts).max())
    if largest == 0.0:
        return value, rounding
    rows = signs * parts / largest  # (A - diag A) v, up to the error of the diagonal; the scale is put back below
    square, rank = square_and_rank(rows)
    error = largest * math.sqrt(2 * square / count) * chance_of_missing(min(rank, size) * count)
    return value, math.hypot(error, rounding)


def square_and_rank(rows: np.ndarray) -> tuple[float, float]:
    """||A||_F^2, and in how many directions it lies, (sum l^2)^2 / sum l^4 over the eigenvalues l of A.

    Args:
        rows: A times vectors of independent entries of variance 1, shape (probes, size).

    """
    count = len(rows)
    gram = rows @ rows.T
    square = float(np.trace(gram)) / count
    # In r equal directions this ratio is r count / (r + count - 1): one, whatever the probes, for a single direction.
    fourth = float((gram**2).sum())
    ratio = (square * count) ** 2 / fourth if fourth > 0 else 1.0
    return square, max(1.0, ratio * (count - 1) / (count - ratio)) if ratio < count else 1.0


def trace_itself(product: Product) -> Estimate:
    """The sum of e_i' A e_i over the unit vectors."""
    diagonal = np.concatenate([np.diagonal(entries[place]) for place, entries in product.columns()])
    rounding = product.eps * math.sqrt(product.size) * float(np.abs(diagonal).sum())
    return Estimate(float(diagonal.sum()), rounding, product.count)


def hutchinson_diagonal(apply: Matrix, size: int, generator: Seed, *, probes: int) -> tuple[np.ndarray, np.ndarray]:
    """The diagonal of a square matrix and its standard errors: means of v * A v over vectors of random signs.

    Source: Bekas, Kokiopoulou & Saad, Applied Numerical Mathematics 57 (2007) 1214-1229.

    Args:
        apply: A, as a function from (size,) to (size,) or an operator.
        size: Rows of A.
        generator: A NumPy generator or a seed, for the probes.
        probes: Products to spend; with one, the standard errors are infinite.

    Returns:
        The diagonal and the standard errors, both of shape (size,), widened by Student's t for few probes.

    Raises:
        InputError: If an argument cannot be used, or a product is not finite or of another shape.

    """
    product, signs = Product(apply, size), random_signs(size, generator, probes)
    samples = signs * product.block(signs.T).T
    count, diagonal = len(samples), samples.mean(axis=0)
    rounding = product.eps * math.sqrt(product.size) * np.abs(samples).mean(axis=0)
    if product.size == 1:
        return diagonal, rounding
    if count == 1:
        return diagonal, np.full(product.size, math.inf)
    errors = samples.std(axis=0, ddof=1) / math.sqrt(count) * student_over_normal(count - 1)
    return diagonal, np.hypot(errors, rounding)


def random_signs(size: int, generator: Seed, probes: int) -> np.ndarray:
    """Vectors of independent signs, shape (probes, size)."""
    shape = (checked_probes(probes), size)
    return as_generator(generator, name="generator").integers(0, 2, size=shape) * 2.0 - 1.0


def checked_probes(probes: int) -> int:
    """The number of probes if it is one."""
    return checked_count("probes", probes, "pass the number of products to spend, e.g. probes=30")


def chance_of_missing(freedom: float) -> float:
    """By how much a standard error is widened that was estimated from the same squares as the value.

    A quadratic form in few directions is all but a chi-square with `freedom` degrees of freedom: where it comes out
    small, so does the estimate of its spread, and both are wrong together. The factor makes 3 standard errors reach
    the truth from the quantile of 0.5%: (1 - q) / (3 sqrt(2 q / freedom)), q being that quantile over its mean. It
    is above 1 up to 40 degrees of freedom, and 38 for one. The quantile is the larger of a lower bound, sharp for few
    degrees (leave out the exponential in the density), and Wilson & Hilferty's cube, right from three on.
    """
    bound = 2 * math.exp(2 / freedom * (math.log(0.005) + math.lgamma(0.5 * freedom + 1))) / freedom
    spread = 2 / (9 * freedom)
    cube = max(0.0, 1 - spread - 2.5758 * math.sqrt(spread)) ** 3
    quantile = max(bound, cube)
    return max(1.0, (1 - quantile) / (3 * math.sqrt(2 * quantile / freedom)))


def student_over_normal(freedom: int) -> float:
    """How much wider 99% intervals are for a standard deviation known with so many degrees of freedom."""
    if freedom <= len(STUDENT_OVER_NORMAL):
        return STUDENT_OVER_NORMAL[freedom - 1]
    square = 2.5758**2
    return 1 + (square + 1) / (4 * freedom) + ((5 * square + 16) * square + 3) / (96 * freedom**2)
