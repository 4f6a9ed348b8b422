"""Additive gradient noise as a finite sum: f(x) = (1/n) sum_i (f(x) + <e_i, x>) with noise vectors e_i of mean zero.

Value, gradient and minimum are those of f; the gradient of example i is grad f(x) + e_i, whose noise does not depend on
x: the setting in which the plateau of stochastic gradient descent has a closed form.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any, Self

import numpy as np

from thalweg.core.errors import InputError
from thalweg.core.random import Seed, generator
from thalweg.core.records import Certificate
from thalweg.core.vector import Any1D, like
from thalweg.linalg import Factor


class Noisy:
    """A problem whose examples differ from it by a linear term.

    Args:
        base: Any problem without noise.
        vectors: Noise of each example over all entries of x in order, shape (n, size); their mean is taken away.

    Raises:
        InputError: Another shape, or numbers that are not finite.

    Example:
        >>> from thalweg.problems import Quadratic
        >>> noisy = Noisy(Quadratic(np.eye(2)), [[1.0, 0.0], [-1.0, 0.0]])
        >>> noisy.at(np.zeros(2)).sample(np.array([0]))
        array([1., 0.])

    """

    def __init__(self, base: Any, vectors: Any) -> None:
        self.base = base
        self.size = int(base.size)
        array = np.asarray(vectors, dtype=np.float64)
        if array.ndim != 2 or array.shape[1] != self.size or len(array) == 0 or not np.isfinite(array).all():
            raise InputError(
                f"vectors has shape {array.shape}, or is not finite", f"give one row an example: (n, {self.size})"
            )
        self.vectors = array - array.mean(axis=0)
        self.n = len(array)
        self.l2: float = base.l2
        self.convex: bool | None = base.convex
        self.provable: bool = base.provable
        self.constant_curvature = bool(getattr(base, "constant_curvature", False))

    @classmethod
    def sampled(cls, base: Any, covariance: Any, n: int, seed: Seed = 0) -> Self:
        """Noise vectors drawn from a normal distribution, then moved to the exact moments.

        Args:
            base: Any problem without noise.
            covariance: Of one example: a number or shape (size,) for the variance of each entry, or a matrix (size,
                size), positive semidefinite.
            n: Examples, at least 2; more than ``size`` for a matrix.
            seed: Seed or generator.

        Returns:
            A problem whose examples have mean zero and the covariance exactly: to the last entry where n > size; else
            the variance of each entry, with correlations of about 1/sqrt(n).

        """
        size = int(base.size)
        given = np.asarray(covariance, dtype=np.float64)
        if given.shape not in ((), (size,), (size, size)) or not np.isfinite(given).all():
            raise InputError(f"covariance has shape {given.shape}, or is not finite", f"give a number or ({size},)")
        if isinstance(n, bool) or n != int(n) or n < 2 or (given.ndim == 2 and n <= size):
            raise InputError(f"n={n!r}: too few examples for {size} parameters", f"pass n > {size}")
        draws = generator(seed).standard_normal((int(n), size))
        draws -= draws.mean(axis=0)
        if n > size:
            draws = np.linalg.qr(draws)[0] * np.sqrt(n)  # the columns keep a mean of zero: they span the same space
        else:
            draws /= np.sqrt(np.square(draws).mean(axis=0))
        if given.ndim == 2:
            values, basis = np.linalg.eigh(given)
            if values[0] < -1e-12 * max(values[-1], 0.0) or not np.allclose(given, given.T, rtol=1e-8):
                raise InputError("covariance is not symmetric positive semidefinite", "correct it")
            return cls(base, draws @ (basis * np.sqrt(np.maximum(values, 0.0))).T)
        if (given < 0).any():
            raise InputError("covariance holds a negative variance", "give variances >= 0")
        return cls(base, draws * np.sqrt(given))

    def __repr__(self) -> str:
        return f"Noisy({self.base!r}, {self.n} examples)"

    def start(self) -> Any1D:
        """Where a run begins unless told otherwise."""
        start: Any1D = self.base.start()
        return start

    def at(self, x: Any1D) -> NoisyPoint:
        """The point at x."""
        return NoisyPoint(self, self.base.at(x))

    def recession(self, direction: Any1D, noise: float = 1e-12, least: float = 0.0) -> bool:
        """Whether f is known to fall forever along the direction."""
        return bool(self.base.recession(direction, noise, least))

    def sample_passes(self, count: int) -> float:
        """What a batch costs, in passes: a whole gradient of f, whatever its size."""
        return 2.0


class NoisyPoint:
    """A point of f that can also draw noisy gradients."""

    def __init__(self, problem: Noisy, base: Any) -> None:
        self.problem = problem
        self.base = base
        self.x: Any1D = base.x
        self._line: NoisyLine | None = None

    @property
    def value(self) -> float:
        """The objective."""
        return float(self.base.value)

    @property
    def gradient(self) -> Any1D:
        """The gradient without noise."""
        gradient: Any1D = self.base.gradient
        return gradient

    def sample(self, indices: np.ndarray) -> Any1D:
        """The mean gradient of some examples: that of f plus the mean of their noise."""
        return self.gradient + like(self.x, self.problem.vectors[indices].mean(axis=0))

    @cached_property
    def gradient_variance(self) -> float:
        """sigma^2 = (1/n) sum_i ||e_i||^2, the same everywhere."""
        return float(np.square(self.problem.vectors).sum(axis=1).mean())

    #: The largest curvature of a single example is that of f.
    largest_single: float | None = None

    @property
    def hessian(self) -> np.ndarray:
        """The Hessian, shape (size, size)."""
        return np.asarray(self.base.hessian)

    @property
    def hessian_passes(self) -> float:
        """What forming the Hessian costs, in passes."""
        return float(self.base.hessian_passes)

    def hvp(self, v: Any1D) -> Any1D:
        """Hessian times v."""
        product: Any1D = self.base.hvp(v)
        return product

    @property
    def factored(self) -> Factor | None:
        """A solver with the Hessian; None where that is not finite."""
        solver: Factor | None = self.base.factored
        return solver

    def along(self, direction: Any1D) -> NoisyLine:
        """The objective along a direction, without noise; the last line is kept."""
        if self._line is None or self._line.direction is not direction:
            self._line = NoisyLine(self, direction)
        return self._line

    def certificate(
        self, direction: Any1D | None = None, refine: Factor | None = None, wanted: float = np.inf
    ) -> Certificate:
        """The bound on f - f* of the point without noise."""
        certificate: Certificate = self.base.certificate(direction, refine, wanted)
        return certificate


class NoisyLine:
    """A line of f; its points can draw noisy gradients."""

    def __init__(self, point: NoisyPoint, direction: Any1D) -> None:
        self.start = point
        self.direction = direction
        self.base = point.base.along(direction)

    @property
    def passes(self) -> float:
        """Passes spent so far."""
        return float(self.base.passes)

    def value_slope(self, t: float) -> tuple[float, float]:
        """The objective and its derivative in t."""
        value, slope = self.base.value_slope(t)
        return value, slope

    def at(self, t: float) -> NoisyPoint:
        """The point at t."""
        return NoisyPoint(self.start.problem, self.base.at(t))
