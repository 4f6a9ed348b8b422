"""What is said of a sequence's convergence: its kind, its figures, the evidence."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum
from typing import Any


class RateKind(Enum):
    """How fast r_k goes to zero (Nocedal and Wright, Numerical Optimization, 2nd ed., section A.2).

    Linear: r_k <= C q^k for some q < 1; the least such q is limsup r_k^(1/k). Slower than every such bound is
    sublinear, faster is superlinear; of order two is quadratic.
    """

    SUBLINEAR = "sublinear"
    LINEAR = "linear"
    SUPERLINEAR = "superlinear"
    QUADRATIC = "quadratic"
    FLOOR = "linear to a floor"
    UNDECIDED = "undecided"

    def __str__(self) -> str:
        return str(self.value)


@dataclass(frozen=True)
class Rate:
    """The rate of a sequence.

    Attributes:
        kind: What it is called.
        q: Linear and linear to a floor: the factor per step. Zero for superlinear kinds, one for sublinear ones (the
            limit of the root test); None if undecided.
        order: Superlinear and quadratic: p with r_{k+1} ~ C r_k^p; infinite if it grows without bound. Else None.
        power: Sublinear: p with r_k ~ 1/k^p; infinite for what falls faster than every power (such as exp(-sqrt k)),
            zero for what is slower than every power (such as 1/log k). Else None.
        floor: Where it stays: above the limit if a limit was given, else in the units of the values. None without one.
        floor_error: Standard error of the floor; None without a floor.
        limit: What was subtracted from the values: as given, or as estimated.
        confidence: Between 0 and 1: how much better this kind explains the values than any other, not a probability
            that the tail which was not seen goes on like this.
        root_test: q by the root test: limsup r_k^(1/k), the constant factor of an array taken out.
        ratio_test: Least and largest r_{k+1}/r_k over the tail.
        why: The evidence, in a sentence.

    """

    kind: RateKind
    q: float | None = None
    order: float | None = None
    power: float | None = None
    floor: float | None = None
    floor_error: float | None = None
    limit: float | None = 0.0
    confidence: float = 0.0
    root_test: float | None = None
    ratio_test: tuple[float, float] | None = None
    why: str = ""

    def record(self) -> dict[str, Any]:
        """The same as plain values for JSON; what is infinite stands as text."""
        record = {name: _plain(value) for name, value in vars(self).items()}
        record["kind"] = self.kind.value
        return record

    @property
    def figures(self) -> str:
        """The figures that belong to the kind, such as "q = 0.333"."""
        parts = []
        if self.kind in (RateKind.LINEAR, RateKind.FLOOR) and self.q is not None:
            parts.append(f"q = {_factor(self.q)}")
        if self.order is not None:
            parts.append(f"order {self.order:.3g}")
        if self.power is not None:
            parts.append({0.0: "slower than every power", math.inf: "faster than every power"}.get(
                self.power, f"like 1/k^{self.power:.3g}"))  # fmt: skip
        if self.floor is not None:
            error = f" +- {self.floor_error:.1g}" if self.floor_error else ""
            parts.append(f"floor {self.floor:.6g}{error}")
        return ", ".join(parts)

    def __str__(self) -> str:
        return f"{self._verdict}: {self.why}"

    def __repr__(self) -> str:
        return f"Rate({self._verdict})"

    @property
    def _verdict(self) -> str:
        figures = f", {self.figures}" if self.figures else ""
        return f"{self.kind}{figures} (confidence {self.confidence:.2f})"


def _factor(q: float) -> str:
    """Digits enough to tell q from 1."""
    digits = 4 if q < 0.9 or q >= 1 else 3 + math.ceil(-math.log10(1 - q))
    return f"{q:.{min(digits, 15)}g}"


def _plain(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, tuple):
        return [_plain(part) for part in value]
    return value
