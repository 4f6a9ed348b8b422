"""How far to go along a direction: fixed, backtracking, strong Wolfe and exact steps.

A trial costs a value and a gradient of a function, or O(n) on the kept margins of a finite sum.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np

from thalweg.core.check import checked_number
from thalweg.core.errors import InputError
from thalweg.methods.method import Line

EPS = float(np.finfo(np.float64).eps)
#: A first trial lengthened so many times, and a fall of so many times f: the objective falls as far as floating point
#: goes. Either alone is met by functions whose variables differ in scale.
LONGEST_STEP = 1e15
#: A value this many units of rounding above the start counts as level with it.
NOISE = 8
#: Share of a bracket that a trial keeps away from its ends.
EDGE = 0.001
#: Evaluations that a search may spend.
MAX_TRIALS = 60


@dataclass(frozen=True, slots=True)
class Found:
    """Outcome of a search.

    Attributes:
        step_size: The accepted step; 0 where none was found.
        unbounded: The objective kept falling as far as floating point goes.

    """

    step_size: float
    unbounded: bool = False


class Search(ABC):
    """A rule for the step along a direction that descends."""

    name: ClassVar[str]
    reference: ClassVar[str]

    @abstractmethod
    def find(
        self, line: Line, value: float, slope: float, first: float = 1.0, flatten: float = 1.0, precision: float = EPS
    ) -> Found:
        """The step.

        Args:
            line: The objective along the direction.
            value: f at step 0.
            slope: Derivative at step 0, negative.
            first: First trial.
            flatten: Largest ratio of final to initial derivative that the direction asks for; searches that look at
                the derivative heed it.
            precision: Spacing of the numbers just above 1 in the element type of x.

        """


# --- Fixed ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class FixedStep(Search):
    """The same step at every point, whatever comes of it.

    Args:
        step_size: The step.
        gentle_start: Whether a direction whose length means nothing yet (first trial below 1) is shortened by that
            trial, as torch.optim.LBFGS does.

    """

    step_size: float = 1.0
    gentle_start: bool = False
    name: ClassVar[str] = "fixed step"
    reference: ClassVar[str] = "Nesterov, Lectures on Convex Optimization (2018), section 1.2.3"

    def __post_init__(self) -> None:
        _positive("step_size", self.step_size)

    def find(
        self, line: Line, value: float, slope: float, first: float = 1.0, flatten: float = 1.0, precision: float = EPS
    ) -> Found:
        """The step as it is."""
        return Found(self.step_size * min(1.0, first) if self.gentle_start else self.step_size)


@dataclass(frozen=True)
class FixedLength(Search):
    """Steps of the same length in the metric that the direction -A^-1 g is steepest in: length / sqrt(g'A^-1 g).

    Source: Boyd and Vandenberghe, Convex Optimization (2004), section 9.4.
    """

    length: float
    name: ClassVar[str] = "fixed length"
    reference: ClassVar[str] = "Boyd and Vandenberghe, Convex Optimization (2004), section 9.4"

    def __post_init__(self) -> None:
        _positive("length", self.length)

    def find(
        self, line: Line, value: float, slope: float, first: float = 1.0, flatten: float = 1.0, precision: float = EPS
    ) -> Found:
        """The step whose length in the metric is ``length``, since the slope is -g'A^-1 g."""
        return Found(self.length / math.sqrt(-slope))


# --- Backtracking ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Backtracking(Search):
    """The first of t, t shrink, t shrink^2, ... with f(x + t d) <= f(x) + decrease t g'd.

    Source: Armijo, Pacific J. Math. 16 (1966), 1-3.
    """

    decrease: float = 1e-4
    shrink: float = 0.5
    name: ClassVar[str] = "backtracking"
    reference: ClassVar[str] = "Armijo, Pacific Journal of Mathematics 16 (1966), 1-3"

    def __post_init__(self) -> None:
        _share("decrease", self.decrease)
        _share("shrink", self.shrink)

    def find(
        self, line: Line, value: float, slope: float, first: float = 1.0, flatten: float = 1.0, precision: float = EPS
    ) -> Found:
        """The first step that decreases enough; the first trial also where rounding hides what it should gain."""
        noise = NOISE * precision * abs(value)
        hidden = -first * slope <= noise
        t = first
        with np.errstate(all="ignore"):
            while t == first or -t * slope > precision * abs(value):
                trial = line.value_slope(t)[0]
                if trial <= value + self.decrease * t * slope or hidden and trial <= value + noise:
                    return Found(t)
                t *= self.shrink
        return Found(0.0)


# --- Strong Wolfe ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class StrongWolfe(Search):
    """A step with f(x + t d) <= f(x) + decrease t g'd and |f'(t)| <= curvature |g'd|.

    Args:
        decrease: Least decrease, as a share of what the slope promises.
        curvature: Largest ratio of final to initial derivative, in size.
        thorough: The same where trials cost no pass, as on the kept margins of a finite sum; ``curvature`` when None.

    Source: More and Thuente, ACM Trans. Math. Softw. 20 (1994), 286-307, for the choice of trials.
    """

    decrease: float = 1e-4
    curvature: float = 0.9
    thorough: float | None = None
    name: ClassVar[str] = "strong Wolfe"
    reference: ClassVar[str] = "More and Thuente, ACM Transactions on Mathematical Software 20 (1994), 286-307"

    def __post_init__(self) -> None:
        _share("decrease", self.decrease)
        _share("curvature", self.curvature)
        if self.thorough is not None:
            _share("thorough", self.thorough)
        if not self.decrease < min(self.curvature, self.thorough or 1.0):
            raise InputError(
                f"decrease={self.decrease} is not below curvature={self.curvature} and thorough={self.thorough}",
                "no step may satisfy both: leave decrease out for 1e-4",
            )

    def find(
        self, line: Line, value: float, slope: float, first: float = 1.0, flatten: float = 1.0, precision: float = EPS
    ) -> Found:
        """A step that satisfies both conditions; the best decreasing trial if none does."""
        return wolfe(
            line, value, slope,
            first=first,
            decrease=self.decrease,
            curvature=max(min(self.curvature, flatten), 2 * self.decrease),
            thorough=self.thorough,
            precision=precision,
        )  # fmt: skip


# --- Exact ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ExactStep(Search):
    """The minimum along the line: on a quadratic one secant of the derivative, elsewhere to ``tolerance`` of its slope.

    Source: Nocedal and Wright, Numerical Optimization (2006), equation 3.55.
    """

    tolerance: float = 1e-6
    name: ClassVar[str] = "exact"
    reference: ClassVar[str] = "Nocedal and Wright, Numerical Optimization (2006), equation 3.55"

    def __post_init__(self) -> None:
        _share("tolerance", self.tolerance)

    def find(
        self, line: Line, value: float, slope: float, first: float = 1.0, flatten: float = 1.0, precision: float = EPS
    ) -> Found:
        """The zero of the derivative."""
        with np.errstate(all="ignore"):
            _, ahead = line.value_slope(first)
            bend = (ahead - slope) / first
            if math.isfinite(bend) and bend > 0:
                step = -slope / bend
                found, end = line.value_slope(step)
                if abs(end) <= self.tolerance * -slope and found <= value + NOISE * precision * abs(value):
                    return Found(step)
        least = min(1e-4, 0.5 * self.tolerance)
        return wolfe(line, value, slope, first=first, decrease=least, curvature=self.tolerance, precision=precision)


# --- The search for strong Wolfe steps ------------------------------------------------------------------------------


class Trial(NamedTuple):
    """A step with the value and the derivative there."""

    step: float
    value: float
    slope: float


def wolfe(
    line: Line,
    value: float,
    slope: float,
    *,
    first: float = 1.0,
    decrease: float = 1e-4,
    curvature: float = 0.5,
    thorough: float | None = None,
    trials: int = MAX_TRIALS,
    precision: float = EPS,
) -> Found:
    """A step with sufficient decrease whose derivative has shrunk (strong Wolfe), by bracketing and cubics.

    Near the minimum the decrease drowns in rounding; there a step whose derivative has shrunk is accepted while the
    value rises by no more than rounding (approximate Wolfe: Hager and Zhang, SIAM J. Optim. 16 (2005), section 3).

    Args:
        line: The objective along the direction.
        value: f at step 0.
        slope: Derivative at step 0, negative.
        first: First trial.
        decrease: Fraction of the promised decrease that must be reached.
        curvature: Largest accepted ratio of final to initial derivative, in size.
        thorough: That ratio where the first trial cost no pass.
        trials: Evaluations allowed.
        precision: Spacing of the numbers just above 1 in the element type of x.

    Returns:
        The step; the best decreasing trial if none satisfies both conditions.

    """
    noise = NOISE * precision * abs(value)
    flat = -curvature * slope
    # `low` descends and is acceptable in value; a minimum lies between it and `high`, once there is one.
    low, high = Trial(0.0, value, slope), None
    best, best_value = 0.0, value
    widths = math.inf, math.inf  # of the last two brackets
    t, paid = first, line.passes
    with np.errstate(all="ignore"):
        for count in range(trials):
            trial_value, trial_slope = line.value_slope(t)
            if count == 0 and thorough is not None and line.passes == paid:
                flat = -thorough * slope
            finite = math.isfinite(trial_value) and math.isfinite(trial_slope)
            if finite and trial_value < best_value:
                best, best_value = t, trial_value
            # A change that rounding hides is judged by the derivative alone.
            lower = finite and (trial_value <= value + decrease * t * slope or abs(trial_value - value) <= noise)
            if lower and abs(trial_slope) <= flat:
                return Found(t)
            trial = Trial(t, trial_value, trial_slope) if finite else Trial(t, math.inf, math.nan)
            if not lower or trial.value > low.value + noise or trial.slope >= 0:
                high = trial
            elif high is None:
                if t > LONGEST_STEP * first and value - trial.value > LONGEST_STEP * abs(value):
                    return Found(best, unbounded=True)
                low, t = trial, _beyond(low, trial)
                continue
            else:
                low = trial
            width = high.step - low.step
            if width <= 4 * precision * high.step:
                break
            # Two trials that together leave most of the bracket call for a bisection.
            t = low.step + 0.5 * width if width > 0.66 * widths[0] else _between(low, high, precision)
            widths = widths[1], width
    return Found(best)


def _beyond(previous: Trial, last: Trial) -> float:
    """A longer trial: where the cubic through the last two has its minimum, 1.1 to 9 times further than their gap."""
    gap = last.step - previous.step
    guess = _cubic(previous, last)
    return min(max(guess if guess > last.step else math.inf, last.step + 1.1 * gap), last.step + 9 * gap)


def _between(low: Trial, high: Trial, precision: float) -> float:
    """A trial inside a bracket, by cubics, quadratics or secants, whichever the signs allow."""
    width = high.step - low.step
    if high.value == math.inf:
        # Beyond a trial that is not finite, tenths cross decades quickly.
        return low.step + 0.1 * width
    cubic = _cubic(low, high)
    if abs(high.value - low.value) <= NOISE * precision * max(abs(low.value), abs(high.value)):
        guess = _secant(low, high)  # values that rounding hides tell nothing
    elif high.value > low.value:
        # A steep wall bends the cubic: the closer of it and the parabola, or their middle (More and Thuente, case 1).
        rise = high.value - low.value - low.slope * width
        parabola = low.step - low.slope * width * width / (2 * rise)
        guess = cubic if abs(cubic - low.step) < abs(parabola - low.step) else 0.5 * (cubic + parabola)
    else:
        secant = _secant(low, high)
        guess = cubic if abs(cubic - low.step) >= abs(secant - low.step) else secant
    if not math.isfinite(guess):
        guess = low.step + 0.5 * width
    return min(max(guess, low.step + EDGE * width), high.step - EDGE * width)


def _cubic(a: Trial, b: Trial) -> float:
    """The minimum of the cubic through two values and slopes; nan where it has none."""
    mean = a.slope + b.slope - 3 * (a.value - b.value) / (a.step - b.step)
    root = mean * mean - a.slope * b.slope
    if not root >= 0:
        return math.nan
    turn = math.copysign(math.sqrt(root), b.step - a.step)
    below = b.slope - a.slope + 2 * turn
    return b.step - (b.step - a.step) * ((b.slope + turn - mean) / below) if below else math.nan


def _secant(a: Trial, b: Trial) -> float:
    """The zero of the line through two slopes; nan where they are equal."""
    return a.step - a.slope * (b.step - a.step) / (b.slope - a.slope) if b.slope != a.slope else math.nan


def _positive(name: str, value: Any) -> None:
    remedy = f"give {name} > 0"
    if checked_number(name, value, remedy) == 0:
        raise InputError(f"{name}={value!r}: expected a number > 0", remedy)


def _share(name: str, value: Any) -> None:
    if not 0 < checked_number(name, value, f"give 0 < {name} < 1") < 1:
        raise InputError(f"{name}={value!r}: expected a number between 0 and 1", f"give 0 < {name} < 1")
