"""Step-size schedules: the share of the step size that each update takes, as a function of the update's number.

Updates are counted from 1. A schedule is immutable and has no state, so that a run goes on from any update.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Self

import numpy as np

from thalweg.core.check import checked_number
from thalweg.core.errors import InputError
from thalweg.methods.method import Noise


class Schedule(ABC):
    """Shares of the step size: alpha_t = step_size * schedule(t).

    Attributes:
        steps: Updates after which nothing changes any more; infinite where it never ends.

    """

    @property
    def steps(self) -> float:
        """Updates after which nothing changes any more."""
        return math.inf

    @abstractmethod
    def values(self, first: int, count: int) -> np.ndarray:
        """The shares of the updates ``first``, ``first + 1``, ..., shape (count,)."""

    def __call__(self, update: int) -> float:
        """The share of one update, counted from 1."""
        return float(self.values(whole("update", update), 1)[0])

    def then(self, following: Schedule) -> Schedule:
        """This schedule to its end, then another one, which counts its own updates from 1.

        Raises:
            InputError: This one has no end.

        """
        return Chain(self, following)

    @property
    def is_tuned(self) -> bool:
        """Whether it can be used as it is: it needs no constants, or was given them."""
        return True

    def tuned(self, smallest: float, step_size: float, noise: Noise, batch_size: int) -> Schedule:
        """The schedule with what it needs of the problem.

        Args:
            smallest: mu, > 0.
            step_size: The longest step, whose shares are taken.
            noise: What is known of single examples.
            batch_size: B.

        """
        return self


def whole(name: str, value: float, least: int = 1) -> int:
    """The value as an int if it is a whole number >= least.

    Args:
        name: What the caller calls it.
        value: What was given.
        least: The smallest allowed.

    Raises:
        InputError: If it is not.

    """
    number = checked_number(name, value, f"give a whole number >= {least}")
    if number != int(number) or number < least:
        raise InputError(f"{name}={value!r}: expected a whole number >= {least}", f"e.g. {name}={max(least, 100)}")
    return int(number)


def _check(schedule: Schedule, *counts: str, shares: tuple[str, ...] = (), positive: tuple[str, ...] = ()) -> None:
    for name in counts:
        object.__setattr__(schedule, name, whole(name, getattr(schedule, name)))
    for name in (*shares, *positive):
        value = checked_number(name, getattr(schedule, name), "leave it out for the default")
        if name in shares and value > 1:
            raise InputError(f"{name}={value!r}: expected a share of the step size, in [0, 1]", "give one")
        if name in positive and value == 0:
            raise InputError(f"{name}={value!r}: expected a number > 0", "leave it out for the default")
        object.__setattr__(schedule, name, value)


def _elapsed(first: int, count: int) -> np.ndarray:
    """Updates done before each of these."""
    return np.arange(first - 1, first - 1 + count, dtype=np.float64)


@dataclass(frozen=True)
class Constant(Schedule):
    """The same share for ever: 1."""

    def values(self, first: int, count: int) -> np.ndarray:
        """Ones."""
        return np.ones(count)


@dataclass(frozen=True)
class InverseTime(Schedule):
    """1/(1 + (t - 1)/period)^power: the 1/t schedule, with ``power=0.5`` the one of 1/sqrt(t).

    Args:
        period: Updates after which the share of ``power=1`` is 1/2; positive.
        power: In (1/2, 1] the sum of steps is infinite and the sum of their squares finite (Robbins and Monro, 1951).

    """

    period: float = 1.0
    power: float = 1.0

    def __post_init__(self) -> None:
        _check(self, positive=("period", "power"))

    def values(self, first: int, count: int) -> np.ndarray:
        """The shares."""
        return np.asarray((1 + _elapsed(first, count) / self.period) ** -self.power)


@dataclass(frozen=True)
class StepDecay(Schedule):
    """factor^floor((t - 1)/every): a cut by ``factor`` every so many updates.

    Args:
        every: Updates between two cuts.
        factor: In [0, 1].

    """

    every: int
    factor: float = 0.1

    def __post_init__(self) -> None:
        _check(self, "every", shares=("factor",))

    def values(self, first: int, count: int) -> np.ndarray:
        """The shares."""
        return np.asarray(self.factor ** (_elapsed(first, count) // self.every))


@dataclass(frozen=True)
class Cosine(Schedule):
    """final + (1 - final)(1 + cos(pi (t - 1)/length))/2 for ``length`` updates, then ``final``.

    Args:
        length: Updates from the whole step to the final one.
        final: Share that is left, in [0, 1].

    Source: Loshchilov and Hutter, SGDR, ICLR (2017), equation 5.
    """

    length: int
    final: float = 0.0

    def __post_init__(self) -> None:
        _check(self, "length", shares=("final",))

    @property
    def steps(self) -> float:
        """``length``."""
        return self.length

    def values(self, first: int, count: int) -> np.ndarray:
        """The shares."""
        angle = np.pi * np.minimum(_elapsed(first, count) / self.length, 1.0)
        return np.asarray(self.final + (1 - self.final) * (1 + np.cos(angle)) / 2)


@dataclass(frozen=True)
class Cyclic(Schedule):
    """1 - (1 - low)(((t - 1) mod length) + 1)/length: from the whole step down to ``low``, again and again.

    The iterates at the ends of its cycles are those that ``WeightAverage(length)`` collects.

    Args:
        length: Updates of a cycle.
        low: Share at its end, in [0, 1].

    Source: Izmailov, Podoprikhin, Garipov, Vetrov and Wilson, UAI (2018), section 3.2.
    """

    length: int
    low: float = 0.1

    def __post_init__(self) -> None:
        _check(self, "length", shares=("low",))

    def values(self, first: int, count: int) -> np.ndarray:
        """The shares."""
        within = (_elapsed(first, count) % self.length + 1) / self.length
        return np.asarray(1 - (1 - self.low) * within)


@dataclass(frozen=True)
class Warmup(Schedule):
    """Smaller steps for the first ``length`` updates: gradual, t/length, or constant, ``share``; then the whole step.

    Args:
        length: Updates of the warm-up.
        share: The constant share in [0, 1]; None for the gradual one.

    Source: Goyal et al., Accurate, large minibatch SGD (2017), section 2.2.
    """

    length: int
    share: float | None = None

    def __post_init__(self) -> None:
        _check(self, "length", shares=() if self.share is None else ("share",))

    @property
    def steps(self) -> float:
        """``length``."""
        return self.length

    def values(self, first: int, count: int) -> np.ndarray:
        """The shares."""
        update = _elapsed(first, count) + 1
        rising = update / self.length if self.share is None else self.share
        return np.where(update <= self.length, rising, 1.0)


@dataclass(frozen=True)
class TheoryDecay(Schedule):
    """The steps that minimise the bound of SGD at every update: alpha_t = min(mu B rho_t/(sigma^2 L), 1/L).

    rho_t is the bound itself, from rho_{t+1} = (1 - alpha_t mu) rho_t + alpha_t^2 sigma^2 L/(2B). In shares of 1/L,
    with r_t = mu B rho_t/sigma^2 and kappa = L/mu: s_t = min(r_t, 1), r_{t+1} = (1 - s_t/kappa) r_t + s_t^2/(2 kappa),
    so that f - f* falls like 1/t without a target that must be known before.

    Args:
        condition_number: kappa = L/mu, at least 1, with 1/L the longest step; set by tuning when None.
        start: r_0 = mu B (f_0 - f*)/sigma^2, or above it; set by tuning when None.

    Source: Bottou, Curtis and Nocedal, SIAM Review 60 (2018), theorem 4.7.
    """

    condition_number: float | None = None
    start: float | None = None
    _ratios: list[float] = field(default_factory=list, init=False, repr=False, compare=False, hash=False)

    def __post_init__(self) -> None:
        for name in ("condition_number", "start"):
            if getattr(self, name) is not None:
                _check(self, positive=(name,))
        if self.condition_number is not None and self.condition_number < 1:
            raise InputError(f"condition_number={self.condition_number!r}: expected L/mu >= 1", "give L/mu")

    @property
    def is_tuned(self) -> bool:
        """Whether both numbers are known."""
        return self.condition_number is not None and self.start is not None

    def tuned(self, smallest: float, step_size: float, noise: Noise, batch_size: int) -> TheoryDecay:
        """With kappa and r_0 where they are not given; without noise nothing decays."""
        kappa = self.condition_number or max(1.0, 1 / (smallest * step_size))
        ratio = smallest * batch_size * noise.gap / noise.variance if noise.variance > 0 else 1e300
        return TheoryDecay(kappa, self.start or min(max(ratio, 1e-300), 1e300))

    def values(self, first: int, count: int) -> np.ndarray:
        """The shares; the recursion is followed once and kept."""
        if self.condition_number is None or self.start is None:
            raise InputError("this schedule needs the problem's constants", "tune it, or give condition_number, start")
        ratios, kappa = self._ratios, self.condition_number
        while len(ratios) < first - 1 + count:
            if not ratios:
                ratios.append(self.start)
                continue
            share = min(ratios[-1], 1.0)
            ratios.append((1 - share / kappa) * ratios[-1] + share * share / (2 * kappa))
        return np.minimum(ratios[first - 1 : first - 1 + count], 1.0)


@dataclass(frozen=True)
class Chain(Schedule):
    """One schedule to its end, then another; see ``Schedule.then``.

    Args:
        first: A schedule that ends.
        second: What follows; it counts its own updates from 1.

    """

    first: Schedule
    second: Schedule

    def __post_init__(self) -> None:
        for schedule in (self.first, self.second):
            if not isinstance(schedule, Schedule):
                raise InputError(f"{schedule!r} is no schedule", "pass one such as Cosine(1000)")
        if not math.isfinite(self.first.steps):
            raise InputError(f"{self.first!r} has no end", "begin with Warmup(length) or Cosine(length)")

    @property
    def steps(self) -> float:
        """Those of both."""
        return self.first.steps + self.second.steps

    @property
    def is_tuned(self) -> bool:
        """Whether both are."""
        return self.first.is_tuned and self.second.is_tuned

    def tuned(self, smallest: float, step_size: float, noise: Noise, batch_size: int) -> Self:
        """Both of them tuned."""
        parts = [part.tuned(smallest, step_size, noise, batch_size) for part in (self.first, self.second)]
        return type(self)(*parts)

    def values(self, first: int, count: int) -> np.ndarray:
        """The shares."""
        length = int(self.first.steps)
        early = min(max(length - first + 1, 0), count)
        parts = [self.first.values(first, early)] if early else []
        if early < count:
            parts.append(self.second.values(first + early - length, count - early))
        return np.concatenate(parts) if parts else np.empty(0)
