"""Descent put together from a direction, a search and a metric."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, ClassVar

from thalweg.core.errors import InputError
from thalweg.core.records import Status
from thalweg.core.vector import finite, inner
from thalweg.methods.advance import Advance, advance
from thalweg.methods.direction import Direction, Proposal, Steepest
from thalweg.methods.method import Method, State
from thalweg.methods.metric import Euclidean, HessianMetric, LocalMetric, Metric
from thalweg.methods.search import Search, StrongWolfe


@dataclass(frozen=True)
class Descent(Method):
    """x <- x + t d with d from ``direction``, t from ``search``, lengths measured in ``metric``.

    The named methods are cases: gradient descent is steepest descent with a fixed step, Newton's method steepest
    descent in the metric of the Hessian, L-BFGS a direction of limited memory with strong Wolfe steps.

    Args:
        direction: Where to go: ``Steepest()``, ``Conjugate()``, ``Secant()`` or ``LimitedMemory()``.
        search: How far: ``FixedStep``, ``FixedLength``, ``Backtracking``, ``StrongWolfe`` or ``ExactStep``.
        metric: What lengths are measured in; quasi-Newton directions start from it, conjugate ones are preconditioned
            by it.

    Raises:
        InputError: A part is of the wrong kind.

    Source: Nocedal and Wright, Numerical Optimization (2006), chapter 3.

    Example:
        >>> Descent(search=StrongWolfe(curvature=0.1)).name
        'steepest descent, strong Wolfe'

    """

    direction: Direction = field(default_factory=Steepest)
    search: Search = field(default_factory=StrongWolfe)
    metric: Metric = field(default_factory=Euclidean)
    reference: ClassVar[str] = "Nocedal and Wright, Numerical Optimization (2006), chapter 3"

    def __post_init__(self) -> None:
        for label, part, kind, example in (
            ("direction", self.direction, Direction, "Steepest()"),
            ("search", self.search, Search, "StrongWolfe()"),
            ("metric", self.metric, Metric, "Euclidean()"),
        ):
            if not isinstance(part, kind):
                raise InputError(f"{label}={part!r:.60} is no {label}", f"give one such as {label}={example}")

    @property
    def name(self) -> str:  # type: ignore[override]
        """The parts' names; a Euclidean metric goes without saying."""
        parts = [
            self.direction.name,
            self.search.name,
            *([] if isinstance(self.metric, Euclidean) else [self.metric.name]),
        ]
        return ", ".join(parts)

    @property
    def needs(self) -> frozenset[str]:  # type: ignore[override]
        """What direction and metric need together."""
        return self.direction.needs | self.metric.needs

    @property
    def certifies(self) -> bool:  # type: ignore[override]
        """Whether the direction is Newton's."""
        return isinstance(self.direction, Steepest) and isinstance(self.metric, HessianMetric)

    @property
    def estimates(self) -> bool:  # type: ignore[override]
        """Whether the direction learns curvature."""
        return self.direction.estimates

    def init(self, point: Any) -> State:
        """The first direction at the start."""
        metric = self.metric.at(point)
        return _state(point, self.direction.first(point, metric), metric, 0.0, 2.0)

    def step(self, state: State) -> State:
        """Search along the direction, then propose the next; where no step is found, forget what was learned."""
        found = self._search(state)
        if found.failure is Status.LINE_SEARCH_FAILED and state.memory["learned"]:
            metric = self.metric.at(state.point)
            fresh = self.direction.first(state.point, metric)
            state = _state(state.point, fresh, metric, state.step_size, found.passes)
            found = self._search(state)
            found = found._replace(passes=found.passes + state.passes)
        point, t = found.point, found.step_size
        if found.failure is not None:
            return _failed(state, point, t, found.passes, found.failure)
        if not _finite(point):
            return _failed(state, point, t, found.passes, Status.DIVERGED)
        metric = self.metric.at(point)
        following = self.direction.following(state, t, point, metric)
        return _state(point, following, metric, t, found.passes)

    def _search(self, state: State) -> Advance:
        return advance(state, self.search, state.memory["first"], state.memory["flatten"])


def _state(point: Any, proposal: Proposal, metric: LocalMetric, step_size: float, passes: float) -> State:
    """A point with what is proposed there."""
    direction = proposal.direction
    decrement = -inner(point.gradient, direction)
    spent = passes + proposal.passes + metric.passes
    memory = {"first": proposal.first, "flatten": proposal.flatten, "learned": proposal.memory}
    return State(
        point, direction, decrement, step_size, spent, metric.refine,
        memory=memory,
        exact=metric.refine is not None and not proposal.memory,
        curving=metric.curving,
    )  # fmt: skip


def _failed(state: State, point: Any, step_size: float, passes: float, failure: Status) -> State:
    """The state of a step that could not be taken."""
    return State(point, state.direction, state.decrement, step_size, passes, state.refine, failure, memory=state.memory)


def _finite(point: Any) -> bool:
    """Whether value and gradient are; the square of the gradient tells it in one product, unless that overflows."""
    gradient = point.gradient
    return math.isfinite(point.value) and (math.isfinite(inner(gradient, gradient)) or finite(gradient))
