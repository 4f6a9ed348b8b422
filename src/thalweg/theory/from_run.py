"""Steps still needed, foreseen from the first steps of a run: its own rate, carried on."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from thalweg.core.errors import InputError
from thalweg.theory.rate_kinds import RateKind
from thalweg.theory.rates import Rate, rate

#: Steps that a superlinear rate is followed for: each at least squares what is left, or nearly.
MAX_FOLLOWED = 100


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
        return Continuation(done * (gap / target) ** (1 / found.power), found)
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
