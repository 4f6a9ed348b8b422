"""One search along the direction that a state proposes."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from thalweg.core.records import Status
from thalweg.core.vector import eps
from thalweg.methods.method import State
from thalweg.methods.search import Search


class Advance(NamedTuple):
    """What a search came to.

    Attributes:
        point: Where it ended.
        step_size: Along the direction; 0 where none was found.
        failure: Why there is no step, if so.
        passes: What the line, its trials and the gradient at the end cost.

    """

    point: Any
    step_size: float
    failure: Status | None
    passes: float


def advance(state: State, search: Search, first: float = 1.0, flatten: float = 1.0) -> Advance:
    """Search along the state's direction.

    Args:
        state: Where to search from, and its direction; its decrement is -g'd.
        search: How.
        first: First trial.
        flatten: Largest ratio of final to initial derivative that the direction asks for.

    """
    point = state.point
    slope = -state.decrement
    if not -math.inf < slope < 0:
        return Advance(point, 0.0, Status.NO_PROGRESS if slope == 0 else Status.LINE_SEARCH_FAILED, 0.0)
    line = point.along(state.direction)
    found = search.find(line, point.value, slope, first, flatten, eps(point.x))
    if found.unbounded:
        return Advance(line.at(found.step_size), found.step_size, Status.DIVERGED, line.passes)
    if found.step_size == 0.0:
        return Advance(point, 0.0, Status.LINE_SEARCH_FAILED, line.passes)
    return Advance(line.at(found.step_size), found.step_size, None, line.passes)
