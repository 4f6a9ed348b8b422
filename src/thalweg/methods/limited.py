"""Directions from the last few pairs of limited memory."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np

from thalweg.core.check import checked_number
from thalweg.core.errors import InputError
from thalweg.core.vector import Any1D, Vector, norm
from thalweg.methods.direction import Direction, Proposal
from thalweg.methods.method import State
from thalweg.methods.metric import LocalMetric

#: The ratio of final to initial derivative that is asked for along the first direction: its pair sets the scale.
FIRST_FLATTEN = 0.2
#: Least curvature s'y, relative to |s||y|, of a pair that is kept.
LEAST_CURVATURE = 1e-12
#: Entries up to which the pairs stand in two matrices; beyond, the arithmetic outweighs the calls.
LARGEST_COMPACT = 10_000


@dataclass(frozen=True)
class LimitedMemory(Direction):
    """-C g with C made by BFGS from the last pairs and the scaled metric, (s'y / y'A^-1 y) A^-1.

    Source: Liu and Nocedal, Mathematical Programming 45 (1989), 503-528.

    Args:
        memory: Pairs kept.
        taxicab: Whether the first trial is 1/|g|_1, as in torch.optim.LBFGS, and not 1/|g|.

    """

    memory: int = 20
    taxicab: bool = False
    name: ClassVar[str] = "limited-memory BFGS"
    needs: ClassVar[frozenset[str]] = frozenset({"value", "gradient", "along"})
    reference: ClassVar[str] = "Liu and Nocedal, Mathematical Programming 45 (1989), 503-528"
    estimates: ClassVar[bool] = True

    def __post_init__(self) -> None:
        remedy = "give the number of pairs to keep, e.g. memory=20"
        if checked_number("memory", self.memory, remedy) != int(self.memory) or self.memory < 1:
            raise InputError(f"memory={self.memory!r}: expected a whole number above 0", remedy)

    def first(self, point: Any, metric: LocalMetric) -> Proposal:
        """-A^-1 g."""
        direction = metric.steepest(point.gradient)
        if metric.natural:
            return Proposal(direction, 1.0, FIRST_FLATTEN)
        length = _taxicab(direction) if self.taxicab else norm(direction)
        return Proposal(direction, 1.0 / length if length > 0 else 1.0, FIRST_FLATTEN)

    def following(self, state: State, step_size: float, point: Any, metric: LocalMetric) -> Proposal:
        """-C g after one more pair."""
        gradient, learned = point.gradient, state.memory["learned"]
        s, y = point.x - state.point.x, gradient - state.point.gradient
        if metric.inverse is None and type(s) is np.ndarray and s.size <= LARGEST_COMPACT:
            stacked = Pairs(*learned["stacked"]) if learned else None
            curvature = float(s.dot(y))
            if _counts(curvature, float(s.dot(s)) * float(y.dot(y))):
                stacked = with_pair(stacked, s, y, curvature, self.memory)
            if stacked is None:
                return self.first(point, metric)
            return Proposal(compact(gradient, stacked), memory={"stacked": stacked})
        pairs = learned.get("pairs", ())
        curvature = float(s @ y)
        if _counts(curvature, float(s @ s) * float(y @ y)):
            pairs = (*pairs, (s, y, 1.0 / curvature))[-self.memory :]
        if not pairs:
            return self.first(point, metric)
        return Proposal(-two_loops(gradient, pairs, metric), memory={"pairs": pairs})


def _counts(curvature: float, squares: float) -> bool:
    """Whether the curvature of a pair is more than rounding, given |s|^2 |y|^2."""
    return curvature > LEAST_CURVATURE * math.sqrt(squares)


# --- Two loops, for vectors of any layout ---------------------------------------------------------------------------


def two_loops(gradient: Any1D, pairs: tuple[tuple[Any, Any, float], ...], metric: LocalMetric) -> Any1D:
    """C g by the two-loop recursion, started from (s'y / y'A^-1 y) A^-1."""
    q = 1.0 * gradient  # a copy
    alphas = []
    for s, y, rho in reversed(pairs):
        alpha = rho * float(s @ q)
        q -= alpha * y
        alphas.append(alpha)
    _, y, rho = pairs[-1]
    if metric.inverse is None:
        q /= rho * float(y @ y)
    else:
        q = (1.0 / (rho * float(y @ metric.inverse(y)))) * metric.inverse(q)
    for (s, y, rho), alpha in zip(pairs, reversed(alphas), strict=True):
        q += (alpha - rho * float(y @ q)) * s
    return q


# --- The compact form, for arrays -----------------------------------------------------------------------------------


class Pairs(NamedTuple):
    """Pairs in matrices; a new pair makes new ones.

    Attributes:
        S: Changes of x, oldest first, shape (pairs, d).
        Y: Changes of the gradient, shape (pairs, d).
        triangle: Inverse of the upper triangle of S Y', shape (pairs, pairs).
        curvatures: The diagonal of S Y', shape (pairs,).
        products: Y Y', shape (pairs, pairs).

    """

    S: np.ndarray
    Y: np.ndarray
    triangle: np.ndarray
    curvatures: np.ndarray
    products: np.ndarray


def with_pair(pairs: Pairs | None, s: np.ndarray, y: np.ndarray, curvature: float, limit: int) -> Pairs:
    """The pairs with one more, without the oldest where there are more than ``limit``."""
    # On short vectors a call costs more than its arithmetic: ``dot`` takes half the time of ``@``.
    inverse = 1.0 / curvature
    if pairs is None:
        one, square = np.array([curvature]), np.array([[y.dot(y)]])
        return Pairs(s[None], y[None], np.array([[inverse]]), one, square)
    S, Y, triangle, curvatures, products = pairs
    if len(S) == limit:
        # The inverse of a triangle without its first row and column is that of the rest.
        S, Y, triangle, curvatures, products = S[1:], Y[1:], triangle[1:, 1:], curvatures[1:], products[1:, 1:]
    k, d = S.shape
    changes = np.empty((2, k + 1, d))
    changes[0, :k], changes[1, :k], changes[0, k], changes[1, k] = S, Y, s, y
    corner = np.zeros((2, k + 1, k + 1))
    corner[0, :k, :k], corner[1, :k, :k] = triangle, products
    corner[0, :k, k] = triangle.dot(S.dot(y) * -inverse)
    corner[1, :k, k] = corner[1, k, :k] = Y.dot(y)
    corner[0, k, k], corner[1, k, k] = inverse, y.dot(y)
    diagonal = np.empty(k + 1)
    diagonal[:k], diagonal[k] = curvatures, curvature
    return Pairs(changes[0], changes[1], corner[0], diagonal, corner[1])


def compact(gradient: np.ndarray, pairs: Pairs) -> np.ndarray:
    """-C g by the compact form: the same matrix as the two loops give, in a few products.

    Source: Byrd, Nocedal and Schnabel, Mathematical Programming 63 (1994), 129-156, equation 3.1.
    """
    S, Y, triangle, curvatures, products = pairs
    scale = curvatures[-1] / products[-1, -1]
    u = triangle.dot(S.dot(gradient))
    inner = products.dot(u)
    inner -= Y.dot(gradient)
    inner *= scale
    inner += curvatures * u
    direction = u.dot(Y)
    direction -= gradient
    direction *= scale
    direction -= inner.dot(triangle).dot(S)
    return direction


def _taxicab(v: Any1D) -> float:
    """The sum of the sizes of the entries."""
    if not isinstance(v, Vector):
        return float(np.abs(v).sum())
    return math.fsum(float(abs(leaf).sum()) for leaf in v.leaves)
