"""Whether f falls further from a point at which a model promises next to nothing: the check of a claim by values.

A model of second order cannot see an inflection, a minimum at infinity, or a saddle of higher order. A few values of f
beyond the model's reach can.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from thalweg.core.random import generator
from thalweg.core.vector import Any1D, eps, flat, like

#: Each trial goes so many times further than the last.
STRETCH = 4.0
#: Trials; f that falls at all of them, to 4^60 times the model's reach, falls forever.
TRIALS = 60
#: Least length of the first trial, and how far a point without slope is left, relative to 1 and the largest entry of x:
#: the latter far enough for third derivatives to be seen.
NEAR, ASIDE = 1e-8, 1e-3
#: Parameters up to which directions without curvature are found by eigenvalues; beyond, one is drawn.
MAX_DENSE = 100
#: Curvature below this share of the largest, or so many units of rounding of it, is none.
FLAT, ROUNDINGS = 1e-8, 16


def further_fall(point: Any, direction: Any1D, rounding: float) -> tuple[float, int]:
    """How far f falls beyond a point at which a run would end.

    Args:
        point: The point; it answers ``problem.at(x).value``, and ``hessian`` where x has few entries.
        direction: Where the model would go: down, and no further than the model's minimum.
        rounding: What is lost to rounding in a value of f.

    Returns:
        The fall, at least 0; infinity where f falls at every distance. The values of f that were computed.

    """
    with np.errstate(all="ignore"):  # trials may leave the domain
        size = _size(direction)
        if size > 0:
            return _along(point, (1.0 / size) * direction, max(STRETCH * size, NEAR * _scale(point)), rounding)
        if _size(point.gradient) > 0:
            return 0.0, 0  # a direction that underflowed tells nothing
        aside = _without_curvature(point)
        if aside is None:
            return 0.0, 0
        length = ASIDE * _scale(point)
        ahead, behind = (_value(point, point.x + t * aside) for t in (length, -length))
        fall, trials = _along(point, aside if ahead <= behind else -1.0 * aside, length, rounding)
        return fall, trials + 2


def _along(point: Any, way: Any1D, length: float, rounding: float) -> tuple[float, int]:
    """The fall along a direction whose largest entry is 1, from a first length on; past where f looks level at first.

    So near that rounding hides every change, nothing is told.
    """
    fall = 0.0
    for trial in range(1, TRIALS + 1):
        further = point.value - _value(point, point.x + length * way)
        level = fall == 0.0 and abs(further) <= rounding
        if not level:
            if not further > fall + rounding:
                return fall, trial
            fall = further
        length *= STRETCH
    return math.inf if fall > 0 else 0.0, TRIALS


def _without_curvature(point: Any) -> Any1D | None:
    """A direction along which the Hessian is zero, its largest entry 1; None where it has full rank."""
    size = int(point.x.size)
    drawn = generator(0).standard_normal(size)
    if size <= MAX_DENSE:
        values, vectors = np.linalg.eigh(np.asarray(point.hessian, dtype=np.float64))
        none = np.abs(values) <= max(FLAT, ROUNDINGS * eps(point.x)) * np.abs(values).max()
        if not none.any():
            return None
        drawn = vectors[:, none] @ drawn[none]
    return like(point.x, drawn / np.abs(drawn).max())


def _scale(point: Any) -> float:
    return 1.0 + _size(point.x)


def _size(x: Any1D) -> float:
    """The largest entry, which neither overflows nor underflows as a length does."""
    return float(np.abs(flat(x)).max())


def _value(point: Any, x: Any1D) -> float:
    value = float(point.problem.at(x).value)
    return math.inf if math.isnan(value) else value
