"""Metrics: what lengths are measured in, and the direction of steepest descent there.

In a metric A the length of v is sqrt(v'Av). Of all v of length e the one that lowers g'v most is
-e A^-1 g / sqrt(g'A^-1 g): gradient descent for A = I, Newton's method for A = H, a quasi-Newton method for A = B.
Source: Boyd and Vandenberghe, Convex Optimization (2004), section 9.4.
"""

from __future__ import annotations

import math
import zlib
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, NamedTuple

import numpy as np

from thalweg.core.check import checked_number
from thalweg.core.errors import InputError
from thalweg.core.random import generator
from thalweg.core.vector import Any1D, as_vector, flat, leafwise, like
from thalweg.linalg import Factor, factor
from thalweg.methods.check import check_count, check_symmetric, real_array

#: Diagonal entries of a Hessian below this share of the largest are taken to be that large.
LEAST_DIAGONAL = 1e-6


class LocalMetric(NamedTuple):
    """A metric at a point.

    Attributes:
        inverse: A^-1 times a vector; None for the Euclidean metric.
        natural: Whether -A^-1 g is a step worth trying as it is.
        passes: What it cost.
        refine: Solves with A, where A is the Hessian.
        curving: A direction along which the Hessian was found to have negative curvature, if it was.

    """

    inverse: Callable[[Any1D], Any1D] | None = None
    natural: bool = False
    passes: float = 0.0
    refine: Factor | None = None
    curving: Any1D | None = None

    def steepest(self, gradient: Any1D) -> Any1D:
        """-A^-1 g."""
        return -gradient if self.inverse is None else -self.inverse(gradient)


EUCLIDEAN = LocalMetric()


class Metric(ABC):
    """A positive definite matrix at every point.

    Attributes:
        name: What reports call it.
        needs: Oracles a point must answer.

    """

    name: ClassVar[str]
    needs: ClassVar[frozenset[str]] = frozenset()

    @abstractmethod
    def at(self, point: Any) -> LocalMetric:
        """The metric at a point.

        Raises:
            InputError: The metric is laid out unlike x.

        """


# --- The same everywhere --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Euclidean(Metric):
    """A = I."""

    name: ClassVar[str] = "Euclidean metric"

    def at(self, point: Any) -> LocalMetric:
        """Nothing to do."""
        return EUCLIDEAN


@dataclass(frozen=True, eq=False)
class Diagonal(Metric):
    """A = diag(a).

    Args:
        entries: a, laid out like x, all positive.

    """

    entries: Any
    name: ClassVar[str] = "diagonal metric"

    def __post_init__(self) -> None:
        if not (flat(self._entries) > 0).all():
            raise InputError("entries holds a number that is not positive", "give the diagonal of a definite matrix")

    @cached_property
    def _entries(self) -> Any1D:
        return as_vector(self.entries, "entries")

    def at(self, point: Any) -> LocalMetric:
        """Division by a."""
        if self._entries.size != point.x.size:
            raise InputError(f"entries has {self._entries.size} numbers; x has {point.x.size}", "match x")
        entries = self._entries if type(self._entries) is type(point.x) else like(point.x, flat(self._entries))
        return LocalMetric(lambda v: leafwise(lambda a, b: a / b, v, entries))


@dataclass(frozen=True, eq=False)
class Full(Metric):
    """Any symmetric positive definite A.

    Args:
        matrix: A over all entries of x in order, shape (size, size).

    """

    matrix: Any
    name: ClassVar[str] = "full metric"

    def __post_init__(self) -> None:
        _ = self._factor

    @cached_property
    def _factor(self) -> Factor:
        return definite_factor("matrix", self.matrix)

    def at(self, point: Any) -> LocalMetric:
        """Solutions with a Cholesky factor."""
        if np.shape(self.matrix)[0] != point.x.size:
            raise InputError(f"matrix has shape {np.shape(self.matrix)}; x has {point.x.size} entries", "match x")
        return LocalMetric(_of_vectors(self._factor))


# --- From the Hessian -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class HessianMetric(Metric):
    """A = the Hessian at the point, its negative curvature turned round where it is not positive definite."""

    name: ClassVar[str] = "Hessian metric"
    needs: ClassVar[frozenset[str]] = frozenset({"factored", "hessian_passes"})

    def at(self, point: Any) -> LocalMetric:
        """Solutions with a factor of the Hessian."""
        solve = point.factored
        if solve is None:
            return LocalMetric(passes=point.hessian_passes)
        curving = None if solve.curving is None else like(point.x, solve.curving)
        return LocalMetric(_of_vectors(solve), True, point.hessian_passes, solve, curving)


@dataclass(frozen=True)
class HessianDiagonal(Metric):
    """A = the sizes of the Hessian's diagonal entries, those below 1e-6 of the largest raised to that."""

    name: ClassVar[str] = "diagonal of the Hessian"
    needs: ClassVar[frozenset[str]] = frozenset({"hessian", "hessian_passes"})

    def at(self, point: Any) -> LocalMetric:
        """Division by the diagonal."""
        size = np.abs(np.diagonal(point.hessian))
        largest = float(size.max())
        if not 0 < largest < math.inf:
            return LocalMetric(passes=point.hessian_passes)
        entries = like(point.x, np.maximum(size, LEAST_DIAGONAL * largest))
        return LocalMetric(lambda v: leafwise(lambda a, b: a / b, v, entries), True, point.hessian_passes)


@dataclass(frozen=True)
class SubsampledHessian(Metric):
    """A = the Hessian of a sum over some of its examples, drawn anew at every point from one seed.

    Args:
        examples: How many.
        seed: Draws them.

    Source: Roosta-Khorasani and Mahoney, Mathematical Programming 174 (2019), 293-326.
    """

    examples: int
    seed: int = 0
    name: ClassVar[str] = "subsampled Hessian"
    needs: ClassVar[frozenset[str]] = frozenset({"subsampled"})

    def __post_init__(self) -> None:
        check_count("examples", self.examples, 100)
        generator(self.seed)

    def at(self, point: Any) -> LocalMetric:
        """Solutions with a factor of the Hessian of the drawn examples."""
        n = point.problem.n
        count = min(int(self.examples), n)
        # The draw follows from the seed and the point alone, so that a run that is resumed draws the same.
        stream = generator((self.seed << 32) + zlib.crc32(flat(point.x).tobytes()))
        draw = stream.choice(n, count, replace=False)
        part = point.subsampled(np.sort(draw))
        passes = part.hessian_passes * count / n
        solve = part.factored
        return LocalMetric(passes=passes) if solve is None else LocalMetric(_of_vectors(solve), True, passes)


# --- The step -------------------------------------------------------------------------------------------------------


def steepest_step(gradient: Any, metric: Any = None, length: float = 1.0) -> np.ndarray:
    """The step of a given length along which a linear function falls most: -length A^-1 g / sqrt(g'A^-1 g).

    Args:
        gradient: g, shape (d,), not zero.
        metric: A, symmetric positive definite, shape (d, d), or its diagonal, shape (d,); the identity when None.
        length: sqrt(v'Av) of the step v.

    Returns:
        The step, shape (d,).

    Raises:
        InputError: A is not positive definite, shapes disagree, g is zero or not finite, or the length is negative.

    Source: Boyd and Vandenberghe, Convex Optimization (2004), section 9.4.

    Example:
        >>> steepest_step([3.0, 0.0], [[4.0, 0.0], [0.0, 1.0]], length=2.0)
        array([-1., -0.])

    """
    g = real_array("gradient", gradient, "give a vector of finite numbers that are not all zero")
    length = checked_number("length", length, "give the length of the step in the metric")
    if g.ndim != 1 or not g.any():
        raise InputError(f"gradient={gradient!r:.60}", "give a vector of finite numbers that are not all zero")
    inverse = (
        g
        if metric is None
        else _inverse_times(real_array("metric", metric, "give a positive definite matrix, or its diagonal"), g)
    )
    # The slope is found on a gradient of size 1, so that nothing overflows.
    size = float(np.abs(g).max())
    slope = float((g / size) @ (inverse / size))
    return -(length / math.sqrt(slope)) * (inverse / size)


def _inverse_times(A: np.ndarray, g: np.ndarray) -> np.ndarray:
    if A.shape == g.shape:
        if not (A > 0).all():
            raise InputError(f"metric={A!r:.60} as a diagonal is not positive", "give positive numbers")
        return g / A
    if A.shape != (g.size, g.size):
        raise InputError(f"metric has shape {A.shape}; the gradient has {g.size} entries", "give shape (d, d) or (d,)")
    return definite_factor("metric", A)(g)


def definite_factor(name: str, matrix: Any) -> Factor:
    """A solver with a symmetric positive definite matrix.

    Raises:
        InputError: It is not.

    """
    A = real_array(name, matrix, "give a matrix of finite numbers, shape (size, size)")
    if A.ndim != 2 or A.shape[0] != A.shape[1] or not A.size:
        raise InputError(f"{name} of shape {A.shape} is no square matrix", "give shape (size, size)")
    check_symmetric(name, A)
    solve = factor(A)
    if not solve.definite:
        raise InputError(f"{name} is not positive definite", "a metric must be: add a multiple of the identity")
    return solve


def _of_vectors(solve: Factor) -> Callable[[Any1D], Any1D]:
    """A solver over all entries in order, for vectors of any layout."""

    def inverse(v: Any1D) -> Any1D:
        return like(v, solve(flat(v)))

    return inverse
