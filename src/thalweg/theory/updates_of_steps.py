"""What the updates of each step of a stochastic method have in common: shares of the step, weights of the average."""

from __future__ import annotations

import itertools
import math
from typing import NamedTuple

import numpy as np

from thalweg.methods.averaging import Average
from thalweg.methods.schedule import Constant
from thalweg.methods.stochastic import BATCH_SIZE, Stochastic
from thalweg.theory.linear_update import first_differs

#: Shares and weights that differ by less, relatively, count as one: within a step, and over a block of steps, whose
#: middle then stands for it.
ALIKE, ALIKE_STEPS = 0.005, 0.02
#: Steps of a block that are looked at for that.
SAMPLED = 7
#: Updates among which the first that counts in an average is sought.
MAX_SOUGHT = 10_000_000


class Group(NamedTuple):
    """Updates in a row that are alike.

    Attributes:
        share: Of the step size.
        weight: In the average; None without one.
        updates: How many.
        fraction: Of a whole batch.
        first: Whether it is the very first update, of a rule where that one differs.

    """

    share: float
    weight: float | None
    updates: int
    fraction: float
    first: bool = False


class UpdatesOfSteps:
    """The updates of each step: an epoch of a finite sum, or a single update.

    Args:
        method: With schedule, average and batch size.
        examples: n of a finite sum, or None.

    """

    def __init__(self, method: Stochastic, examples: int | None) -> None:
        asked = BATCH_SIZE if isinstance(method.batch_size, str) else method.batch_size or examples or 1
        self.schedule, self.average, self.examples = method.schedule, method.average, examples
        self.shuffled = examples is not None and method.sampling != "replacement"
        self.batch = asked if examples is None else min(asked, examples)
        self.count = 1 if examples is None else -(-examples // self.batch)
        self.same = isinstance(method.schedule, Constant) and method.average is None
        self._first_differs = first_differs(method.rule())
        self._averaged_from = _first_weight(method.average)

    def apart(self, done: int) -> bool:
        """Whether the step after ``done`` is unlike all others, since it holds a first update that differs."""
        return done == 0 and self._first_differs

    def averaged(self, done: int) -> bool:
        """Whether an average is returned after so many steps."""
        return done * self.count >= self._averaged_from

    def pattern(self, done: int) -> tuple[np.ndarray, np.ndarray]:
        """Shares of the step, and weights of the average, in the step after ``done``: each of shape (count,)."""
        first = done * self.count + 1
        weights = np.zeros(self.count) if self.average is None else self.average.weights(first, self.count)
        return self.schedule.values(first, self.count), weights

    def groups(self, done: int) -> list[Group]:
        """The updates of the step after ``done`` in runs of the same."""
        shares, weights = self.pattern(done)
        ends = np.flatnonzero((np.diff(_grade(shares)) != 0) | (np.diff(_grade(weights)) != 0)) + 1
        last = 1.0 if self.examples is None else (self.examples - (self.count - 1) * self.batch) / self.batch
        apart = self.apart(done)
        own = ([1] if apart else []) + ([self.count - 1] if last < 1 else [])
        edges = sorted({0, *ends.tolist(), self.count, *own})
        return [
            Group(
                float(shares[a:b].mean()),
                None if self.average is None else float(weights[a:b].mean()),
                b - a,
                last if b == self.count else 1.0,
                apart and a == 0,
            )
            for a, b in itertools.pairwise(edges)
        ]

    def alike(self, done: int, count: int) -> int:
        """How many of the ``count`` steps after ``done`` are so much alike that the middle one stands for them."""
        if self.apart(done):
            return 1
        if self.same:
            return count
        first = self.pattern(done)
        while count > 1 and not all(
            _near(a, b)
            for k in np.unique(np.linspace(done + 1, done + count - 1, SAMPLED).round().astype(int)).tolist()
            for a, b in zip(first, self.pattern(k), strict=True)
        ):
            count //= 2
        return count - 1 + count % 2  # an odd number has a middle

    @property
    def batch_law(self) -> tuple[float, float]:
        """Variance of a batch's gradient over that of an example's, and the share that a shuffled epoch takes back.

        Noise e_k/B of n examples, each used once in a random order and carried on by a_k from the batch it is in, has
        covariance (sigma^2/B^2) n/(n - 1) (sum a_k a_k' - (sum a_k)(sum a_k)'/n): of drawing without replacement.
        """
        n = self.examples
        if n is None or not self.shuffled:
            return 1 / self.batch, 0.0
        return (n / (n - 1) / self.batch if n > 1 else 0.0), self.batch / n


def _near(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether two arrays of numbers >= 0 are alike."""
    return bool((np.abs(a - b) <= ALIKE_STEPS * np.minimum(a, b)).all())


def _grade(numbers: np.ndarray) -> np.ndarray:
    """The same whole number for numbers >= 0 that are alike."""
    return np.round(np.log(np.maximum(numbers, 1e-300)) / ALIKE)


def _first_weight(average: Average | None) -> float:
    """The first update that counts in an average; inf without one."""
    first, count = 1, 1000
    while average is not None and first < MAX_SOUGHT:
        found = np.flatnonzero(average.weights(first, count))
        if len(found):
            return float(first + found[0])
        first, count = first + count, 2 * count
    return math.inf
