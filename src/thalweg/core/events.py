"""What the driver tells whoever listens, step by step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from thalweg.core.records import Certificate, Solution


@dataclass(frozen=True)
class Started:
    """The run begins.

    Attributes:
        method: The method's name.
        value: The objective at the starting point.
        target: The wanted bound on ``f - f*``.

    """

    method: str
    value: float
    target: float


@dataclass(frozen=True, eq=False)
class Stepped:
    """One step is done.

    Attributes:
        step: Number of steps so far.
        value: The objective now.
        certificate: The bound on ``f - f*`` known at this step.
        step_size: The accepted step along the direction.
        seconds: Wall-clock seconds since the start.
        note: Something the report should tell of this step.
        x: The point in the methods' variables.
        fresh: Whether the certificate was computed at this step; else it is what an earlier one implies.
        keep: Gives all that is needed to go on from this step later; to be called before the next.

    """

    step: int
    value: float
    certificate: Certificate
    step_size: float
    seconds: float
    note: str = ""
    fresh: bool = True
    x: Any = None
    keep: Callable[[], Any] | None = None


@dataclass(frozen=True)
class Finished:
    """The run is over; the solution holds everything."""

    solution: Solution


class StopRun(Exception):
    """Thrown into a run by whoever listens and has seen enough."""


Event = Started | Stepped | Finished
