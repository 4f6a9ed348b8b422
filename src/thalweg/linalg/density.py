"""The whole spectrum from a few products: stochastic Lanczos quadrature.

Source: Ubaru, Chen & Saad, SIAM J. Matrix Anal. Appl. 38 (2017) 1075-1099. Probes are uniform on the sphere here, not
random signs: their law does not depend on the eigenvectors, which the intervals of the extremes need.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from thalweg.core.check import checked_number
from thalweg.core.errors import InputError
from thalweg.core.random import Seed
from thalweg.core.random import generator as as_generator
from thalweg.linalg.krylov import Extreme
from thalweg.linalg.lanczos import CONFIDENCE, Lanczos, run
from thalweg.linalg.product import Matrix, Product, checked_count, checked_vector
from thalweg.linalg.quadrature import Function, Quadrature, values_at
from thalweg.linalg.trace import Estimate, chance_of_missing


@dataclass(frozen=True)
class Density:
    """An estimate of the distribution of the eigenvalues of a symmetric matrix.

    Attributes:
        size: Rows of the matrix.
        runs: One Lanczos run for each probe.

    """

    size: int
    runs: tuple[Lanczos, ...]

    @property
    def products(self) -> int:
        """Products with the matrix that were spent."""
        return sum(probe.products for probe in self.runs)

    @cached_property
    def nodes(self) -> np.ndarray:
        """The Ritz values of all probes, ascending; shape (m,)."""
        return np.concatenate([probe.ritz for probe in self.runs])[self._order]

    @cached_property
    def weights(self) -> np.ndarray:
        """The share of the spectrum at each node, of sum 1; shape (m,)."""
        return np.concatenate([probe.weights for probe in self.runs])[self._order] / len(self.runs)

    @cached_property
    def _order(self) -> np.ndarray:
        return np.argsort(np.concatenate([probe.ritz for probe in self.runs]), kind="stable")

    @cached_property
    def _shorter(self) -> list[Lanczos]:
        """Every probe after half of its steps, to tell how far the rules have converged."""
        return [probe.after(max(1, len(probe.alphas) // 2)) for probe in self.runs]

    def quantile(self, q: float | np.ndarray) -> np.ndarray:
        """The node below or at which a share q of the spectrum lies, of the shape of q.

        Raises:
            InputError: If q is not between 0 and 1.

        """
        share = np.asarray(q, dtype=np.float64)
        if not ((share >= 0) & (share <= 1)).all():
            raise InputError(f"q={q!r}: expected shares of the spectrum between 0 and 1", "pass q=0.5 for the median")
        cumulated = np.cumsum(self.weights)
        # Shares such as 3/4 of four equal eigenvalues are sums with rounding on both sides.
        index = np.searchsorted(cumulated, share - 1e-12 * cumulated[-1])
        return self.nodes[np.minimum(index, len(self.nodes) - 1)]

    def mean_of(self, function: Function) -> Estimate:
        """The mean of f over the eigenvalues, trace(f(A)) / size.

        Args:
            function: f, from an array of nodes to an array of the same shape.

        Returns:
            The mean. Its standard error joins that of the sampling and what half of the steps would change. A
            function that varies only between the nodes, or below all of them, is not seen: take more steps. Runs
            of a single step, exact for linear f, have the former part alone.

        Raises:
            InputError: If the function returns another shape.

        """
        samples = self._samples(function)
        shorter = np.array([probe.weights @ values_at(function, probe.ritz) for probe in self._shorter])
        truncation = float(np.abs(samples - shorter).mean())
        error = math.hypot(self.sampling_error(function), truncation)
        return Estimate(float(samples.mean()), error, self.products)

    def _samples(self, function: Function) -> np.ndarray:
        return np.array([probe.weights @ values_at(function, probe.ritz) for probe in self.runs])

    def sampling_error(self, function: Function) -> float:
        """The part of the standard error of `mean_of` that more probes would lower."""
        return scatter_of_rules(self.size, [probe.quadrature for probe in self.runs], function, self.rounding)

    @property
    def rounding(self) -> float:
        """Of the nodes, relative to the largest."""
        return max(probe.rounding / (np.abs(probe.ritz).max() or 1.0) for probe in self.runs)

    def moment(self, power: int) -> Estimate:
        """The mean of the power of the eigenvalues, trace(A^power) / size."""
        checked_count("power", power, "pass power=1 for the mean", least=0)
        return self.mean_of(lambda nodes: nodes**power)

    @property
    def smallest(self) -> Extreme:
        """The smallest eigenvalue, as the best of the probes sees it."""
        best = min((probe.smallest for probe in self.runs), key=lambda extreme: extreme.value)
        lower = min(probe.lower(self._confidence) for probe in self.runs)
        return Extreme(best.value, None, best.residual, self.products, (lower, best.interval[1]), CONFIDENCE)

    @property
    def largest(self) -> Extreme:
        """The largest eigenvalue, as the best of the probes sees it."""
        best = max((probe.largest for probe in self.runs), key=lambda extreme: extreme.value)
        upper = max(probe.upper(self._confidence) for probe in self.runs)
        return Extreme(best.value, None, best.residual, self.products, (best.interval[0], upper), CONFIDENCE)

    @property
    def _confidence(self) -> float:
        """What each probe must promise: its bound fails only if all of them are unlucky, and the worst is taken."""
        return 1 - (1 - CONFIDENCE) ** (1 / len(self.runs))


def scatter_of_rules(size: int, rules: Sequence[Quadrature], function: Function, rounding: float) -> float:
    """The standard error, from the choice of the probes, of a mean over the eigenvalues by one rule for each probe.

    A direction uniform on the sphere gives v' f(A) v the variance 2 / (size + 2) times that of f over the eigenvalues,
    and the rules estimate the latter: better than the scatter of a few samples could, and even from one. Its kurtosis
    tells in how many directions the deviation lies.

    Args:
        size: Rows of A.
        rules: Of independent probes.
        function: f.
        rounding: Of the nodes, relative to the largest.

    """
    mean = sum(rule.mean_of(function) for rule in rules) / len(rules)
    deviations = [values_at(function, rule.nodes) - mean for rule in rules]
    rounding *= abs(mean)
    largest = max(float(np.abs(deviation).max()) for deviation in deviations)
    if size == 1 or largest <= rounding:
        return rounding
    second = fourth = 0.0
    for rule, deviation in zip(rules, deviations, strict=True):
        squares = (deviation / largest) ** 2
        second += float(rule.weights @ squares) / len(rules)
        fourth += float(rule.weights @ squares**2) / len(rules)
    of_one = 2 / (size + 2)
    directions = min(max(size * second**2 / fourth, 0.5), size) if fourth > 0 else 1.0
    variance = second * of_one / (len(rules) - of_one)  # the mean is estimated too, hence - of_one
    return math.hypot(largest * math.sqrt(variance) * chance_of_missing(directions * len(rules)), rounding)


def spectral_density(apply: Matrix, size: int, generator: Seed, *, probes: int, steps: int) -> Density:
    """Estimate the distribution of the eigenvalues of a symmetric matrix with probes * steps products.

    Args:
        apply: A, as a function from (size,) to (size,) or an operator.
        size: Rows of A.
        generator: A NumPy generator or a seed, for the probes.
        probes: Random vectors; the standard error falls as 1 / sqrt(probes * size).
        steps: Lanczos steps for each; moments up to 2 steps - 1 are free of truncation.

    Returns:
        The density, with its nodes, weights, quantiles, means and extremes.

    Raises:
        InputError: If an argument cannot be used, or a product is not finite, of another shape, or not symmetric.

    Example:
        >>> density = spectral_density(lambda v: 3.0 * v, 4, 0, probes=2, steps=5)
        >>> float(density.quantile(0.5)), density.products
        (3.0, 2)

    """
    product = Product(apply, size)
    probes = checked_count("probes", probes, "pass the number of random vectors, e.g. probes=10")
    steps = checked_count("steps", steps, "pass the number of products for each probe, e.g. steps=20")
    starts = as_generator(generator, name="generator").standard_normal((probes, product.size))
    return Density(product.size, tuple(run(product, start, steps, drawn=True) for start in starts))


def spectrum_of(apply: Matrix, vector: np.ndarray, steps: int) -> Quadrature:
    """The spectrum of a symmetric matrix as one vector sees it: v' f(A) v ~ ||v||^2 sum_j weights[j] f(nodes[j]).

    For a quadratic with Hessian A and gradient v this is all that decides how a gradient method proceeds.

    Args:
        apply: A, as a function from (size,) to (size,) or an operator.
        vector: v, shape (size,), not zero.
        steps: Most products to spend.

    Returns:
        The Gauss rule, exact for polynomials of degree up to 2 steps - 1.

    Raises:
        InputError: If an argument cannot be used, or a product is not finite, of another shape, or not symmetric.

    """
    vector = checked_vector("vector", vector)
    steps = checked_count("steps", steps, "pass the number of products to spend, e.g. steps=20")
    return run(Product(apply, vector.size), vector, steps, drawn=False).quadrature


def effective_dimension(density: Density, ridge: float, *, smallest: float = 0.0) -> Estimate:
    """The sum of lambda / (lambda + ridge) over the eigenvalues of a positive semidefinite matrix.

    The Gauss rules overestimate it and the Gauss-Radau rules with a node at `smallest` underestimate it: the value is
    their mean, and half their distance goes into the standard error. Nodes that rounding made negative count as zero.

    Args:
        density: Of the matrix.
        ridge: On the scale of the eigenvalues, > 0.
        smallest: A number >= 0 that no eigenvalue is below, if more is known than zero.

    Raises:
        InputError: If an argument is not a finite number, > 0 or >= 0.

    """
    remedy = "pass a ridge on the scale of the eigenvalues, e.g. the l2 of the objective"
    if not checked_number("ridge", ridge, remedy):
        raise InputError(f"ridge={ridge!r}: expected a finite number > 0", remedy)
    checked_number("smallest", smallest, "pass a lower bound of the eigenvalues, or 0")

    def share(nodes: np.ndarray) -> np.ndarray:
        return np.maximum(nodes, 0.0) / (np.maximum(nodes, 0.0) + ridge)

    above = density.mean_of(share)
    rules = [probe.radau(smallest) or probe.quadrature for probe in density.runs]
    below = sum(rule.mean_of(share) for rule in rules) / len(rules)
    half = 0.5 * (above.value - below)
    error = math.hypot(density.sampling_error(share), half)
    return Estimate(density.size * (above.value - half), density.size * error, density.products)
