"""What the driver tells whoever listens, step by step."""

from __future__ import annotations

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

    """

    step: int
    value: float
    certificate: Certificate
    step_size: float
    seconds: float
    note: str = ""
    fresh: bool = True
    x: Any = None


@dataclass(frozen=True)
class Finished:
    """The run is over; the solution holds everything."""

    solution: Solution


Event = Started | Stepped | Finished
