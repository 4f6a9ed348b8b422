"""Directions: where to go from a point, given a metric and what was learned on the way."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

from thalweg.core.vector import Any1D, norm
from thalweg.methods.method import State
from thalweg.methods.metric import LocalMetric


class Proposal(NamedTuple):
    """A direction and how to search along it.

    Attributes:
        direction: Where to go, laid out like x.
        first: First trial of the search; 1 where the length of the direction means something.
        flatten: Largest ratio of final to initial derivative that is wanted along it: below the search's own where
            what is learned there sets the scale of all that follows.
        memory: What the direction carries along: numbers, arrays, vectors, and tuples and dicts of them; empty where
            nothing was learned.
        passes: What it cost beyond value and gradient.

    """

    direction: Any1D
    first: float = 1.0
    flatten: float = 1.0
    memory: dict[str, Any] = {}
    passes: float = 0.0


class Direction(ABC):
    """A rule for directions: immutable settings, what it carries along travels in the proposal's memory.

    Attributes:
        name: What reports call it.
        needs: Oracles a point must answer.
        estimates: Whether g'd estimates the curvature of f, so that half the decrement estimates f - f*.
        reference: Paper or book.

    """

    name: ClassVar[str]
    needs: ClassVar[frozenset[str]]
    reference: ClassVar[str]
    estimates: ClassVar[bool] = False

    @abstractmethod
    def first(self, point: Any, metric: LocalMetric) -> Proposal:
        """The direction where nothing is known of other points.

        Args:
            point: Where to go from.
            metric: The metric there.

        """

    @abstractmethod
    def following(self, state: State, step_size: float, point: Any, metric: LocalMetric) -> Proposal:
        """The direction after a step.

        Args:
            state: The point before the step and the direction from there; ``memory["learned"]`` is the ``memory`` of
                the proposal that led to it.
            step_size: How far it was followed.
            point: Where that led.
            metric: The metric at ``point``.

        """


# --- Steepest descent -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Steepest(Direction):
    """-A^-1 g: of all directions of one length in the metric A the one that descends most.

    In the Euclidean metric it is gradient descent; in the metric of the Hessian, Newton's method. Its length means a
    step of 1 only in the latter: elsewhere the first trial is 1/|g|, then the step that would repeat the last decrease.
    Source: Boyd and Vandenberghe, Convex Optimization (2004), section 9.4; Nocedal and Wright (2006), equation 3.60.
    """

    name: ClassVar[str] = "steepest descent"
    needs: ClassVar[frozenset[str]] = frozenset({"value", "gradient", "along"})
    reference: ClassVar[str] = "Boyd and Vandenberghe, Convex Optimization (2004), section 9.4"

    def first(self, point: Any, metric: LocalMetric) -> Proposal:
        """-A^-1 g."""
        direction = metric.steepest(point.gradient)
        return Proposal(direction, 1.0 if metric.natural else first_trial(direction))

    def following(self, state: State, step_size: float, point: Any, metric: LocalMetric) -> Proposal:
        """-A^-1 g again; the search starts at the step that would repeat the last decrease."""
        direction = metric.steepest(point.gradient)
        first = 1.0 if metric.natural else repeated_decrease(state, step_size, point, direction)
        return Proposal(direction, first)


def first_trial(direction: Any1D) -> float:
    """A first trial where nothing is known of scales: a step of length 1."""
    length = norm(direction)
    return 1.0 / length if length > 0 else 1.0


def repeated_decrease(state: State, step_size: float, point: Any, direction: Any1D) -> float:
    """The step at which the parabola through the slope repeats the last decrease; within 100 of the last step."""
    slope = float(point.gradient @ direction)
    decrease = state.point.value - point.value
    guess = 2 * decrease / -slope if slope < 0 < decrease else step_size
    return min(max(guess, 0.01 * step_size), 100 * step_size)
