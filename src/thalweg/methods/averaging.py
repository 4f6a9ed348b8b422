"""Averages of iterates: which updates count, and how much.

An average is kept as mean <- mean + c_t (x_t - mean); a kind of average is its weights c_t. The first that is not zero
is 1, so that the mean starts at an iterate.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np

from thalweg.core.check import checked_number
from thalweg.core.errors import InputError
from thalweg.methods.schedule import whole


class Average(ABC):
    """Which iterates make the point that a run returns."""

    @abstractmethod
    def weights(self, first: int, count: int) -> np.ndarray:
        """c_t of the updates ``first``, ``first + 1``, ... (from 1), shape (count,); x_t is the iterate after t."""


@dataclass(frozen=True)
class PolyakAverage(Average):
    """The mean of all iterates after the first ``after`` updates.

    On a quadratic with noise of variance sigma_i^2 along curvature h_i, the mean of T iterates of SGD has
    E f - f* -> sum_i sigma_i^2/(2 B T h_i), whatever the step: the best that any method gets from T B noisy gradients.

    Args:
        after: Updates that are left out, at least 0: those in which the start is forgotten.

    Source: Polyak and Juditsky, SIAM J. Control Optim. 30 (1992), 838-855; Ruppert (1988).
    """

    after: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "after", whole("after", self.after, 0))

    def weights(self, first: int, count: int) -> np.ndarray:
        """1/(t - after)."""
        return _reciprocals(np.arange(first, first + count) - self.after)


@dataclass(frozen=True)
class ExponentialAverage(Average):
    """A mean with weights that shrink by ``decay`` an update into the past, and that sum to one from the start on.

    Args:
        decay: In [0, 1): about 1/(1 - decay) iterates count.

    """

    decay: float = 0.999

    def __post_init__(self) -> None:
        value = checked_number("decay", self.decay, "leave it out for 0.999")
        if value >= 1:
            raise InputError(f"decay={value!r}: expected a number in [0, 1)", "leave it out for 0.999")
        object.__setattr__(self, "decay", value)

    def weights(self, first: int, count: int) -> np.ndarray:
        """(1 - decay)/(1 - decay^t)."""
        update = np.arange(first, first + count, dtype=np.float64)
        return np.asarray((1 - self.decay) / (1 - self.decay**update))


@dataclass(frozen=True)
class WeightAverage(Average):
    """Stochastic weight averaging: the mean of every ``cycle``-th iterate after the first ``after`` updates.

    With ``Cyclic(cycle)`` as the schedule these are the iterates at the ends of its cycles.

    Args:
        cycle: Updates between two that count, e.g. those of an epoch.
        after: Updates that are left out, at least 0.

    Source: Izmailov, Podoprikhin, Garipov, Vetrov and Wilson, UAI (2018), algorithm 1.
    """

    cycle: int
    after: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "cycle", whole("cycle", self.cycle))
        object.__setattr__(self, "after", whole("after", self.after, 0))

    def weights(self, first: int, count: int) -> np.ndarray:
        """1/k at the k-th that counts, else 0."""
        elapsed = np.arange(first, first + count) - self.after
        return np.where(elapsed % self.cycle == 0, _reciprocals(elapsed // self.cycle), 0.0)


def _reciprocals(k: np.ndarray) -> np.ndarray:
    """1/k for k > 0, else 0."""
    return np.where(k > 0, 1.0 / np.maximum(k, 1), 0.0)
