"""What a method is: immutable settings, ``init`` and ``step`` on states, and the oracles it needs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from thalweg.core.errors import OracleError
from thalweg.core.records import Certificate, Status
from thalweg.linalg import Factor


class Line(Protocol):
    """The objective along a direction."""

    def value_slope(self, t: float) -> tuple[float, float]:
        """The objective at step t and its derivative in t."""

    def at(self, t: float) -> Any:
        """The point at step t."""


class Point(Protocol):
    """A place where oracles answer; what has been computed there is kept."""

    x: np.ndarray

    @property
    def value(self) -> float:
        """The objective."""

    @property
    def gradient(self) -> np.ndarray:
        """The gradient, shape (size,)."""

    @property
    def hessian(self) -> np.ndarray:
        """The Hessian, shape (size, size)."""

    @property
    def hessian_passes(self) -> float:
        """What forming the Hessian costs, in passes over the data."""

    def hvp(self, v: np.ndarray) -> np.ndarray:
        """Hessian times v."""

    def along(self, direction: np.ndarray) -> Line:
        """The objective along a direction."""

    def certificate(
        self,
        direction: np.ndarray | None = None,
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
        failure: Why no step could be taken, if so.
        note: Something the report should tell of this step.
        memory: What the method carries along.

    """

    point: Any
    direction: np.ndarray
    decrement: float
    step_size: float = 0.0
    passes: float = 0.0
    refine: Factor | None = None
    failure: Status | None = None
    note: str = ""
    memory: dict[str, Any] = field(default_factory=dict)


class Method(Protocol):
    """A method: immutable settings with two functions."""

    @property
    def name(self) -> str:
        """What reports call it."""

    @property
    def needs(self) -> frozenset[str]:
        """Oracles a point must answer."""

    @property
    def certifies(self) -> bool:
        """Whether its direction is close to Newton's, so that the certificate follows from it at every step."""

    @property
    def polish_steps(self) -> int:
        """Steps worth taking beyond the target, towards the precision floor: each must shrink the bound fourfold."""

    @property
    def reference(self) -> str:
        """Paper or book."""

    def init(self, point: Any) -> State:
        """The state at the starting point."""

    def step(self, state: State) -> State:
        """One step."""


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
