"""What a method is: immutable settings, ``init`` and ``step`` on states, and the oracles it needs."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol, Self

import numpy as np

from thalweg.core.errors import OracleError
from thalweg.core.records import Certificate, Status
from thalweg.core.vector import Any1D
from thalweg.linalg import Factor

#: A run that has climbed this many times its first value, or the first promised decrease, above the start.
DIVERGED_BY = 1e8


class Line(Protocol):
    """The objective along a direction.

    Attributes:
        passes: Passes over the data (value and gradient of a function: two) spent so far on making the line and on its
            trials, with the gradient at the accepted one.

    """

    passes: float

    def value_slope(self, t: float) -> tuple[float, float]:
        """The objective at step t and its derivative in t."""

    def at(self, t: float) -> Any:
        """The point at step t."""


class Point(Protocol):
    """A place where oracles answer; what has been computed there is kept."""

    x: Any1D

    @property
    def value(self) -> float:
        """The objective."""

    @property
    def gradient(self) -> Any1D:
        """The gradient, laid out like x."""

    @property
    def hessian(self) -> np.ndarray:
        """The Hessian, shape (size, size)."""

    @property
    def hessian_passes(self) -> float:
        """What forming the Hessian costs, in passes over the data."""

    @property
    def factored(self) -> Factor | None:
        """A solver with the Hessian, over all entries of x in order, that always gives a descent direction.

        None where the Hessian is not finite.
        """

    def hvp(self, v: Any1D) -> Any1D:
        """Hessian times v."""

    def along(self, direction: Any1D) -> Line:
        """The objective along a direction."""

    def certificate(
        self,
        direction: Any1D | None = None,
        refine: Factor | None = None,
        wanted: float = np.inf,
    ) -> Certificate:
        """A bound on f - f*."""


@dataclass(frozen=True)
class State:
    """A point with the direction the method would follow from it.

    Attributes:
        point: Where the method stands.
        direction: The proposed direction there.
        decrement: -g'd, twice the decrease that the quadratic model promises; an estimate of 2 (f - f*).
        step_size: The step that led here.
        passes: Passes over the data this step took.
        refine: Solves (Hessian) s = v approximately, where the method can; sharpens certificates at l2 = 0.
        exact: Whether the direction is Newton's at this point, from a factor of the Hessian there.
        curving: A direction along which the Hessian was found to have negative curvature, if it was: no model tells
            f - f* there.
        failure: Why no step could be taken, if so.
        note: Something the report should tell of this step.
        memory: What the method carries along.

    """

    point: Any
    direction: Any1D
    decrement: float
    step_size: float = 0.0
    passes: float = 0.0
    refine: Factor | None = None
    failure: Status | None = None
    note: str = ""
    memory: dict[str, Any] = field(default_factory=dict)
    exact: bool = False
    curving: Any1D | None = None


@dataclass(frozen=True)
class Noise:
    """What stochastic methods are tuned by, beside L and mu.

    Attributes:
        variance: sigma^2 = E||g_i - g||^2 of one example, in the region visited.
        largest_single: L_max, the largest curvature of a single example.
        examples: n.
        gap: f - f* at the start, or a guess of it.
        target: Wanted f - f*.

    """

    variance: float
    largest_single: float
    examples: int
    gap: float
    target: float


class Method(ABC):
    """A method: immutable settings with ``init`` and ``step``, its tuning from the constants, its rate, its reference.

    Attributes:
        name: What reports call it.
        needs: Oracles a point must answer.
        reference: Paper or book.
        certifies: Whether its direction is close to Newton's, so that a certificate follows from it at every step.
        estimates: Whether half its decrement estimates f - f* on functions of which nothing can be proven.
        polish_steps: Steps worth taking beyond the target, towards the precision floor: each must shrink the bound
            fourfold.
        stall_steps: Steps without a new lowest value, beyond rounding, before a run counts as stuck.
        noisy: Whether steps follow sampled gradients, so that values need not fall.
        rotates: Whether it takes the same steps in rotated variables, so that on a quadratic eigenvalues say it all.

    """

    name: ClassVar[str]
    needs: ClassVar[frozenset[str]]
    reference: ClassVar[str]
    certifies: ClassVar[bool] = False
    estimates: ClassVar[bool] = False
    polish_steps: ClassVar[int] = 0
    stall_steps: ClassVar[int] = 1000
    noisy: ClassVar[bool] = False
    rotates: ClassVar[bool] = True

    @abstractmethod
    def init(self, point: Any) -> State:
        """The state at the starting point."""

    @abstractmethod
    def step(self, state: State) -> State:
        """One step."""

    @property
    def is_tuned(self) -> bool:
        """Whether it can run as it is: its step needs no constants, or was given."""
        return True

    def tuned(self, largest: float, smallest: float, *, quadratic: bool = False, noise: Noise | None = None) -> Self:
        """The settings for curvatures between ``smallest`` (mu) and ``largest`` (L).

        Args:
            largest: L.
            smallest: mu, at least 0.
            quadratic: Whether the objective is a quadratic.
            noise: What is known of single examples, for stochastic methods.

        """
        return self

    def rate(self, largest: float, smallest: float, *, quadratic: bool = False) -> float:
        """The factor by which f - f* shrinks a step when tuned; nan where theory gives none.

        Args:
            largest: L.
            smallest: mu.
            quadratic: Whether the objective is a quadratic.

        """
        return math.nan


def ceiling(start: State) -> float:
    """The value above which a run has diverged: far beyond what momentum, or a first step too long, climbs to."""
    return float(start.point.value + DIVERGED_BY * max(abs(start.point.value), start.decrement))


def check_oracles(method: Method, point: Any) -> None:
    """Raise if a point lacks what a method needs.

    Raises:
        OracleError: Naming the missing oracles.

    """
    missing = sorted(name for name in method.needs if not hasattr(type(point), name))
    if missing:
        raise OracleError(
            f"{method.name} needs {', '.join(missing)}; {type(point).__name__} does not offer that",
            "choose a method that needs less, or give the problem the missing function",
        )
