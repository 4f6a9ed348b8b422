"""Steps still needed, foreseen from the first steps of a run: its own rate, carried on."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from thalweg.core.errors import InputError
from thalweg.theory.predict import Foresight, nothing
from thalweg.theory.rate_kinds import RateKind
from thalweg.theory.rates import Rate, rate

#: Steps that a superlinear rate is followed for: each at least squares what is left, or nearly.
MAX_FOLLOWED = 100
#: Logarithm of the factor by which a sublinear run may be carried on: the largest of a float.
LONGEST = 700.0
#: A run is asked what it foresees after so many steps, and again whenever it is so much longer.
FIRST_ASKED, LONGER = 5, 1.4
#: It is believed when it has done this share of what it foresees, and foresaw nearly the same at that share of its way.
SHARE_DONE, BEFORE, AGREEING = 1 / 3, 0.87, 1.1
#: Times that a run would have to fall again as far as in its last half, beyond which it is not worth asking: twice what
#: two thirds of the way at a linear rate are.
HOPELESS = 8.0
#: Values that are looked at, of a longer run every second, or third, ...: with f* known, and where it is estimated too.
MAX_VALUES, MAX_WITHOUT_MINIMUM = 120, 80
#: What is left may take this much longer, or less.
SPREAD = 1.5
#: Orders of three successive gaps of Newton's method that show its last, quadratic phase, and how fast they fall there.
QUADRATIC_ORDERS, FALLING = (1.5, 3.0), 0.1


@dataclass(frozen=True, eq=False)
class Continuation:
    """How long a run will take, as far as its beginning tells.

    Attributes:
        steps: Steps in all, from the start of the values; inf where it settles above the target; nan where the values
            tell no rate.
        rate: The rate that was read off the values.

    """

    steps: float
    rate: Rate


def steps_from_run(values: Any, target: float, minimum: float | None = None) -> Continuation:
    """Steps until f - f* <= target, from the values of a run so far.

    A linear rate is carried on as a geometric series, a sublinear one as a power of k, a superlinear one by its order.
    What the first steps do not show (slow directions that faster ones still hide) cannot be foreseen from values: from
    the start of a run the spectrum tells more (``steps_on_spectrum``).

    Args:
        values: f_0, f_1, ..., shape (n,), at least 4.
        target: Wanted f - f*, positive.
        minimum: f*; estimated from the values when None.

    Raises:
        InputError: Fewer than 4 values, or a target that is not positive.

    Example:
        >>> round(steps_from_run([2.0**-k for k in range(12)], 1e-6, minimum=0.0).steps)
        20

    """
    if not target > 0:
        raise InputError(f"target={target!r}", "give a positive f - f*")
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or len(array) < 4:
        raise InputError(f"values have shape {array.shape}", "give at least 4 values of one run, shape (n,)")
    found = rate(array, limit=minimum)
    limit = minimum if minimum is not None else (found.limit or 0.0)
    gaps = array - limit
    reached = np.flatnonzero(gaps <= target)
    if len(reached):
        return Continuation(float(reached[0]), found)
    done, gap = len(array) - 1, float(gaps[-1])
    if found.kind is RateKind.FLOOR:
        floor = found.floor if minimum is not None else (found.floor or 0.0) - limit
        if floor is not None and floor >= target:
            return Continuation(math.inf, found)
    if found.kind in (RateKind.LINEAR, RateKind.FLOOR) and found.q is not None and 0 < found.q < 1:
        return Continuation(done + math.log(target / gap) / math.log(found.q), found)
    if found.kind is RateKind.SUBLINEAR and found.power is not None and 0 < found.power < math.inf:
        further = math.log(gap / target) / found.power
        return Continuation(done * math.exp(further) if further < LONGEST else math.inf, found)
    if found.kind in (RateKind.SUPERLINEAR, RateKind.QUADRATIC):
        return Continuation(done + _superlinear(gaps, found.order or 1.0, target), found)
    return Continuation(math.nan, found)


def _superlinear(gaps: np.ndarray, order: float, target: float) -> float:
    """Further steps where log(1/gap) grows by a factor, or by ever more, a step."""
    last, before = math.log(gaps[-1]), math.log(gaps[-2])
    growth = max(order, 1.0)
    fall, steps = before - last, 0
    while last > math.log(target) and steps < MAX_FOLLOWED and fall > 0:
        fall *= growth
        last -= fall
        steps += 1
    return float(steps) if last <= math.log(target) else math.nan


def foreseen_in_run(values: Any, target: float, minimum: float | None = None, gradient_norms: Any = None) -> Foresight:
    """What a run foresees of itself on the way: made at its step k from the values up to k, and no later one.

    It is asked again and again, and the first answer counts that is worth it: a third of the steps foreseen is done,
    and shortly before the answer was nearly the same.

    Args:
        values: f_0, f_1, ... of the whole run, shape (n,).
        target: Wanted f - f*, positive.
        minimum: f*, where it is known beforehand; else it is estimated each time.
        gradient_norms: ||g_k||, shape (n,): without f*, c ||g_k||^2 takes the place of f_k - f*, with c from how much
            both have fallen since the middle of what is seen.

    Returns:
        Steps nan where the run ended, or was cut, before it told. The curve is empty: nothing was foreseen at step 0.

    """
    array = np.asarray(values, dtype=np.float64)
    squares = None if gradient_norms is None else np.square(np.asarray(gradient_norms, dtype=np.float64))
    seen = FIRST_ASKED
    while seen < len(array) - 1 and np.isfinite(array[: seen + 1]).all():
        if minimum is not None and array[: seen + 1].min() - minimum <= target:
            break
        if minimum is None and squares is not None:
            steps = carried_on(_by_gradients(array[: seen + 1], squares[: seen + 1]), target, 0.0)
        else:
            steps = carried_on(array[: seen + 1], target, minimum)
        if steps > seen:
            return _extrapolated(steps, seen, "" if minimum is not None else ", f* estimated from them")
        seen = int(LONGER * seen)
    return nothing("the run ended, or was cut, before its first steps told a rate")


def _by_gradients(values: np.ndarray, squares: np.ndarray) -> np.ndarray:
    """Estimates of f - f* that are proportional to ||g||^2, as in a run whose rate is linear; nan where none is."""
    half = len(values) // 2
    fallen, shrunk = values[half] - values[-1], squares[half] - squares[-1]
    return fallen / shrunk * squares if fallen > 0 and shrunk > 0 else np.full(len(values), np.nan)


def carried_on(values: np.ndarray, target: float, minimum: float | None) -> float:
    """Steps in all of a run that was cut, if its end, and what was seen shortly before, agree on them; else nan.

    Args:
        values: f_0, f_1, ..., shape (n,).
        target: Wanted f - f*.
        minimum: f*, or None.

    """
    seen = len(values) - 1
    if seen < FIRST_ASKED or not np.isfinite(values).all():
        return math.nan
    if minimum is not None:
        half, last = float(values[seen // 2] - minimum), float(values[-1] - minimum)
        # Straight on from the last half it would take far too long: the rate need not be asked.
        if not half > last > 0 or math.log(last / target) > HOPELESS * math.log(half / last):
            return math.nan
    steps = _asked(values, target, minimum)
    if not steps <= seen / SHARE_DONE:
        return math.nan
    before = _asked(values[: max(int(BEFORE * seen), FIRST_ASKED - 1) + 1], target, minimum)
    return steps if before / AGREEING <= steps <= AGREEING * before else math.nan


def _asked(values: np.ndarray, target: float, minimum: float | None) -> float:
    stride = -(-len(values) // (MAX_WITHOUT_MINIMUM if minimum is None else MAX_VALUES))
    thinned = values[(len(values) - 1) % stride :: stride]  # the last one stays
    skipped = (len(values) - 1) % stride
    try:
        return skipped + stride * steps_from_run(thinned, target, minimum).steps
    except InputError:  # a value below the given minimum, by rounding or because it is none
        return math.nan


def foreseen_in_newton(gaps: Any, target: float) -> Foresight:
    """What a run of Newton's method foresees of itself: its end shows by successive gaps that square.

    From the first e_{k+1} that falls tenfold, and with an order near two, e_{k+1} ~ C e_k^2 is followed to the target.

    Args:
        gaps: f - f* at each step, or estimates of it such as half the decrement squared, shape (n,).
        target: Wanted f - f*, positive.

    Returns:
        As ``foreseen_in_run``.

    """
    gaps = np.asarray(gaps, dtype=np.float64)
    for k in range(2, len(gaps) - 1):
        two, one, now = gaps[k - 2 : k + 1].tolist()
        if now <= target:
            break
        if not (0 < now < FALLING * one and one < two < math.inf):
            continue
        order = math.log(now / one) / math.log(one / two)
        if QUADRATIC_ORDERS[0] <= order <= QUADRATIC_ORDERS[1]:
            return _extrapolated(k + _superlinear(gaps[: k + 1], 2.0, target), k)
    return nothing("the run ended, or was cut, before its steps were seen to square the gap")


def _extrapolated(steps: float, seen: int, how: str = "") -> Foresight:
    interval = seen + (steps - seen) / SPREAD, seen + SPREAD * (steps - seen)
    empty = np.zeros(0), np.zeros(0)
    return Foresight(steps, math.nan, empty, f"extrapolated from the first {seen} steps of the run{how}", interval)
