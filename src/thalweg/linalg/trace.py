"""Traces and diagonals from random products, with standard errors that hold for few probes too."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from thalweg.core.random import Seed
from thalweg.core.random import generator as as_generator
from thalweg.linalg.product import EPS, Matrix, Product, checked_count

#: 0.995 quantiles of Student's t for 1, 2, ... degrees of freedom, over that of the normal distribution. Beyond the
#: list the expansion of Abramowitz & Stegun 26.7.5 is right to 0.1%.
STUDENT_OVER_NORMAL = (24.7134, 3.8531, 2.2676, 1.7874, 1.5654, 1.4393, 1.3586, 1.3027)
NORMAL = 2.5758


@dataclass(frozen=True)
class Estimate:
    """A number estimated from random probes.

    Attributes:
        value: The estimate.
        standard_error: Of the value; infinite for a single probe, widened by Student's t for few, so that value +- 2.6
            standard errors holds the truth in 99 of 100 runs whatever the number of probes.
        products: Products with the matrix that were spent.

    """

    value: float
    standard_error: float
    products: int

    @property
    def interval(self) -> tuple[float, float]:
        """Value +- 2.6 standard errors: 99 of 100 hold the truth."""
        return self.value - NORMAL * self.standard_error, self.value + NORMAL * self.standard_error


def hutchinson(apply: Matrix, size: int, generator: Seed, *, probes: int) -> Estimate:
    """The trace of a square matrix: the mean of v' A v over vectors of random signs.

    The variance of one probe is 2 sum_{i != j} A_ij^2 for a symmetric A; a diagonal matrix is exact. Source:
    Hutchinson, Communications in Statistics 19 (1990) 433-450.

    Args:
        apply: A, as a function from (size,) to (size,) or an operator.
        size: Rows of A.
        generator: A NumPy generator or a seed, for the probes.
        probes: Products to spend; two at least give a standard error.

    Returns:
        The trace and its standard error.

    Raises:
        InputError: If an argument cannot be used, or a product is not finite or of another shape.

    Example:
        >>> hutchinson(lambda v: [1.0, 2.0, 5.0] * v, 3, 0, probes=2).value
        8.0

    """
    product, signs = Product(apply, size), random_signs(size, generator, probes)
    samples = np.array([float(v @ product(v)) for v in signs])
    return Estimate(float(samples.mean()), float(standard_error(samples, product.size, product.eps)), product.count)


def hutchinson_diagonal(apply: Matrix, size: int, generator: Seed, *, probes: int) -> tuple[np.ndarray, np.ndarray]:
    """The diagonal of a square matrix and its standard errors: means of v * A v over vectors of random signs.

    The sum of the diagonal is `hutchinson` of the same generator. Source: Bekas, Kokiopoulou & Saad, Applied Numerical
    Mathematics 57 (2007) 1214-1229.

    Args:
        apply: A, as a function from (size,) to (size,) or an operator.
        size: Rows of A.
        generator: A NumPy generator or a seed, for the probes.
        probes: Products to spend; two at least give standard errors.

    Returns:
        The diagonal and the standard errors, both of shape (size,).

    Raises:
        InputError: If an argument cannot be used, or a product is not finite or of another shape.

    """
    product, signs = Product(apply, size), random_signs(size, generator, probes)
    samples = np.stack([v * product(v) for v in signs])
    return samples.mean(axis=0), standard_error(samples, product.size, product.eps)


def random_signs(size: int, generator: Seed, probes: int) -> np.ndarray:
    """Vectors of independent signs, shape (probes, size)."""
    probes = checked_count("probes", probes, "pass the number of products to spend, e.g. probes=30")
    return as_generator(generator, name="generator").integers(0, 2, size=(probes, size)) * 2.0 - 1.0


def standard_error(samples: np.ndarray, size: int, eps: float = EPS) -> np.ndarray:
    """Standard errors of the means over the first axis, as `Estimate` promises them.

    Args:
        samples: Independent values, shape (probes, ...).
        size: Terms that were summed for each sample; a matrix of one row leaves nothing to chance.
        eps: Spacing of the numbers above 1 in the arithmetic of the samples.

    Returns:
        Shape (...); never below the rounding of the samples.

    """
    count = len(samples)
    rounding = eps * math.sqrt(size) * np.abs(samples).mean(axis=0)
    if size == 1:
        return rounding
    if count == 1:
        return np.full(samples.shape[1:], math.inf)
    return np.hypot(samples.std(axis=0, ddof=1) / math.sqrt(count) * student_over_normal(count - 1), rounding)


def student_over_normal(freedom: int) -> float:
    """How much wider 99% intervals are for a standard deviation known with so many degrees of freedom."""
    if freedom <= len(STUDENT_OVER_NORMAL):
        return STUDENT_OVER_NORMAL[freedom - 1]
    square = NORMAL**2
    return 1 + (square + 1) / (4 * freedom) + ((5 * square + 16) * square + 3) / (96 * freedom**2)
