"""Least squares in the directions of the data: one decomposition, on which every spectral filter is a diagonal."""

from __future__ import annotations

import math
import numbers
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from thalweg.core.errors import InputError

if TYPE_CHECKING:
    from thalweg.theory.shrinkage import Filter

EPS = float(np.finfo(np.float64).eps)


@dataclass(frozen=True, eq=False)
class SpectralModel:
    """A least squares problem and the decomposition X = U diag(s) V'; immutable.

    The objective is ||Xw - y||^2/2 for "sum", and ||Xw - y||^2/(2n) for "mean", the data term of `fit`. In "mean" the
    singular values are those of X/sqrt(n): in both, their squares are the eigenvalues of the Hessian, and step sizes,
    penalties and thresholds are in the units of the objective chosen. A free intercept is no direction of X: centre X
    and y for ridge, or append a column of ones for what gradient methods do.

    Attributes:
        X: The data, shape (n, d), kept as float64.
        y: The targets, shape (n,) or (n, k).
        objective: "sum" or "mean".
        singular_values: Shape (min(n, d),), from the largest.
        floor: max(n, d) eps s_max; singular values at or below it are rounding, and count as zero.

    """

    X: np.ndarray
    y: np.ndarray
    objective: str = "sum"
    singular_values: np.ndarray = field(init=False)
    floor: float = field(init=False)
    _left: np.ndarray = field(init=False)
    _right: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        X, y = checked_array("X", self.X), checked_array("y", self.y)
        if X.ndim != 2 or 0 in X.shape:
            raise InputError(f"X has shape {X.shape}", "pass a table of n rows and d columns")
        if y.ndim not in (1, 2) or len(y) != len(X) or 0 in y.shape:
            raise InputError(
                f"y has shape {y.shape} and X {X.shape}", f"pass {len(X)} targets, or {len(X)} rows of them"
            )
        if self.objective not in ("sum", "mean"):
            raise InputError(f"objective={self.objective!r} is unknown", "use 'sum' or 'mean'")
        object.__setattr__(self, "X", X)
        checked_scale("X", X)
        left, s, right = np.linalg.svd(X, full_matrices=False)
        values = {"X": X, "y": y, "singular_values": s / self._unit, "_left": left, "_right": right}
        for name, value in values.items():
            value.flags.writeable = False
            object.__setattr__(self, name, value)
        object.__setattr__(self, "floor", max(X.shape) * EPS * float(self.singular_values[0]))

    def __repr__(self) -> str:
        n, d = self.X.shape
        ends = f"s from {self.singular_values[0]:.4g} to {self.singular_values[-1]:.4g}"
        return f"SpectralModel({n} x {d}, rank {self.rank}, {ends}, objective={self.objective!r})"

    @property
    def _unit(self) -> float:
        return math.sqrt(len(self.X)) if self.objective == "mean" else 1.0

    @property
    def rank(self) -> int:
        """How many singular values lie above the floor."""
        return int((self.singular_values > self.floor).sum())

    @property
    def retained(self) -> np.ndarray:
        """The singular values above the floor, shape (rank,)."""
        return self.singular_values[: self.rank]

    def along(self, start: Any = None) -> np.ndarray:
        """The components of y - X start along the left singular vectors, in the units of the objective.

        Args:
            start: Coefficients, shape (d,) or (d, k); zero if None.

        Returns:
            Shape (rank,) or (rank, k).

        """
        return self._left[:, : self.rank].T @ (self.y - self.X @ self._start(start)) / self._unit

    def solution(self, given: Filter, start: Any = None) -> np.ndarray:
        """The coefficients start + V diag(m(s)/s) U'(y - X start).

        Args:
            given: The filter m.
            start: Where the method starts, or what ridge shrinks towards, shape (d,) or (d, k); zero if None.

        Returns:
            Shape (d,) or (d, k).

        Raises:
            InputError: If it is no filter, or the numbers overflow, as those of an unstable step do.

        """
        if not callable(getattr(given, "factor", None)):
            raise InputError(f"given={given!r:.60} is no filter", "pass one, for instance RidgeFilter(1.0)")
        away, factor = self.along(start), given.factor(self.retained)
        with np.errstate(over="ignore", invalid="ignore"):
            found = self._start(start) + self._right[: self.rank].T @ (factor * away.T).T
        if not np.isfinite(found).all():
            limit = 2 / float(self.singular_values[0]) ** 2
            raise InputError(
                f"{given!r} gives coefficients that are not finite",
                f"without momentum, iterations are stable for step sizes up to 2/s_max^2 = {limit:.4g}",
            )
        return found

    def residual(self, given: Filter) -> float:
        """||Xw - y||^2/n of the filter's solution from zero: the mean squared error on the data, summed over targets.

        Args:
            given: The filter m.

        """
        return float(np.square(self.y - self.X @ self.solution(given)).sum()) / len(self.X)

    def _start(self, start: Any) -> np.ndarray:
        shape = (self.X.shape[1], *self.y.shape[1:])
        if start is None:
            return np.zeros(shape)
        x = checked_array("start", start)
        if x.shape != shape:
            raise InputError(f"start has shape {x.shape}", f"pass coefficients of shape {shape}")
        return x


def checked_array(name: str, value: Any, *, negative: bool = True) -> np.ndarray:
    """A copy of an array of finite real numbers, as float64.

    Args:
        name: What the caller calls it.
        value: What was given.
        negative: Whether numbers below zero are fine.

    Raises:
        InputError: If it is anything else, with the first bad entry.

    """
    wanted = f"finite real numbers{'' if negative else ' >= 0'}"
    if hasattr(value, "toarray"):
        raise InputError(f"{name} is sparse, but its singular vectors are dense", f"pass {name}.toarray() if it fits")
    if hasattr(value, "detach"):  # a torch tensor
        value = value.detach().cpu()
    try:
        array = np.asarray(value)
    except (TypeError, ValueError):
        array = np.empty(0, dtype=object)
    if array.dtype.kind not in "iuf" or np.ma.isMaskedArray(value):
        text = f"an array of {array.dtype}" if array.size else repr(value)[:60]
        raise InputError(f"{name} is {text}: expected {wanted}", "pass numbers as one dense array")
    found = array.astype(np.float64)
    bad = ~np.isfinite(found) if negative else ~(np.isfinite(found) & (found >= 0))
    if bad.any():
        where = [int(i) for i in np.argwhere(bad)[0]]
        raise InputError(f"{name}{where or ''} = {found[tuple(where)]}: expected {wanted}", "mend it or leave it out")
    return found


def checked_scale(name: str, value: np.ndarray) -> None:
    """Numbers whose squares and inverse squares are floats too.

    Args:
        name: What the caller calls it.
        value: Finite numbers.

    Raises:
        InputError: If the largest is not zero and not between 1e-140 and 1e140.

    """
    largest = float(np.abs(value).max(initial=0.0))
    if largest and not 1e-140 <= largest <= 1e140:
        raise InputError(f"the largest number of {name} is {largest:.3g}, whose square is out of range", "rescale it")


def checked_steps(name: str, value: Any) -> int:
    """A whole number >= 0.

    Args:
        name: What the caller calls it.
        value: What was given.

    Raises:
        InputError: If it is anything else.

    """
    plain = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if not plain or not 0 <= value <= 10**300:
        raise InputError(f"{name}={value!r}: expected a whole number >= 0", "round it; a step is not taken in part")
    return int(value)
