"""The records of foresight: diagnosis, predictions, plan. All are made before the step they speak of."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from thalweg.core.html import table
from thalweg.core.records import Constants

#: Points of a spectrum that a record keeps.
MAX_POINTS = 400


@dataclass(frozen=True, eq=False)
class Spectrum:
    """Weighted points of the distribution of a Hessian's eigenvalues.

    Attributes:
        eigenvalues: Ascending, shape (m,).
        weights: Share of the eigenvalues at each point, shape (m,), summing to 1.
        how: Where and how it was measured.

    """

    eigenvalues: np.ndarray
    weights: np.ndarray
    how: str

    def quantile(self, share: float) -> float:
        """The eigenvalue below which a share of the spectrum lies."""
        index = int(np.searchsorted(np.cumsum(self.weights), share))
        return float(self.eigenvalues[min(index, len(self.eigenvalues) - 1)])

    def record(self) -> dict[str, Any]:
        """At most ``MAX_POINTS`` points as JSON can hold them: neighbours are merged."""
        values, weights = self.eigenvalues, self.weights
        if len(values) > MAX_POINTS:
            groups = np.array_split(np.arange(len(values)), MAX_POINTS)
            merged = np.array([weights[group].sum() for group in groups])
            values = np.array([weights[group] @ values[group] for group in groups]) / merged
            weights = merged
        return {
            "eigenvalues": [number(value) for value in values],
            "weights": [number(value) for value in weights],
            "how": self.how,
        }


@dataclass(frozen=True, eq=False)
class Diagnosis:
    """What was measured about a problem before solving it.

    Attributes:
        constants: L, mu, kappa and their kin, each with its provenance.
        raw: Spectrum of the Hessian at zero in the user's variables.
        scaled: The same in the variables the methods work in; None where those are the user's.
        seconds: Wall-clock seconds spent.
        passes: Passes over the data spent.

    """

    constants: Constants
    raw: Spectrum
    scaled: Spectrum | None
    seconds: float
    passes: float

    def __repr__(self) -> str:
        shown = ", ".join(
            f"{name}={self.constants[name].value:.3g}" for name in ("L", "mu", "kappa") if name in self.constants
        )
        return f"Diagnosis({shown}, {len(self.constants)} constants)"

    def _repr_html_(self) -> str:
        return self.constants._repr_html_()

    def __str__(self) -> str:
        shown = ("L", "mu", "PL", "kappa", "kappa_scaled", "M", "sigma2", "B_noise", "L_max", "effective_dimension")
        lines = [f"{name:<20}{self.constants[name]}" for name in shown if name in self.constants]
        spectrum, scaled = (self.raw, "") if self.scaled is None else (self.scaled, "scaled ")
        quantiles = "  ".join(f"{share:.0%} {spectrum.quantile(share):.3g}" for share in (0.1, 0.5, 0.9))
        lines.append(f"{'spectrum':<20}{quantiles}  quantiles of the {scaled}eigenvalues, {spectrum.how}")
        lines.append(f"{'spent':<20}{1e3 * self.seconds:.1f} ms, {self.passes:.0f} passes over the data")
        return "\n".join(lines)

    def record(self) -> dict[str, Any]:
        """The constants and their cost as JSON can hold them."""
        return {
            "constants": {
                name: {
                    "value": number(constant.value),
                    "how": constant.how,
                    "where": constant.where,
                    "low": number(constant.interval[0]),
                    "high": number(constant.interval[1]),
                    "seconds": constant.seconds,
                }
                for name, constant in self.constants.items()
            },
            "spectrum": {
                "raw": self.raw.record(),
                **({} if self.scaled is None else {"scaled": self.scaled.record()}),
            },
            "diagnosis_seconds": self.seconds,
        }


@dataclass(frozen=True, eq=False)
class Prediction:
    """What a method is expected to take.

    Attributes:
        method: Its name.
        steps: Expected steps to the target, with ``steps_interval`` for 80% of cases.
        steps_interval: Lower and upper end.
        seconds: Expected wall-clock seconds.
        seconds_interval: Lower and upper end.
        passes: Expected passes over the data.
        bytes: Memory beside the data.
        basis: What the prediction rests on.
        curve: Predicted f - f* after each of some steps: shapes (m,) and (m,).
        why: Why it was chosen, or lost.
        bound: Steps by the method's worst-case rate; nan where it has none or its assumptions fail.

    """

    method: str
    steps: float
    steps_interval: tuple[float, float]
    seconds: float
    seconds_interval: tuple[float, float]
    passes: float
    bytes: float
    basis: str
    curve: tuple[np.ndarray, np.ndarray] = field(default_factory=lambda: (np.zeros(0), np.zeros(0)))
    why: str = ""
    bound: float = float("nan")


@dataclass(frozen=True)
class Revision:
    """A change of plan during the run.

    Attributes:
        step: The step after which it was made.
        reason: What contradicted the plan.
        before: The method that was left.
        after: The method that took over.

    """

    step: int
    reason: str
    before: str
    after: str


@dataclass(frozen=True, eq=False)
class Plan:
    """Ranked predictions and the choice among them.

    Attributes:
        target: The bound on f - f* that every prediction is for.
        predictions: Best first.
        chosen: The chosen method.
        reason: Why, in a sentence.
        seconds: What planning cost.
        made: When the predictions were made.
        revisions: Changes during the run.

    """

    target: float
    predictions: tuple[Prediction, ...]
    chosen: str
    reason: str
    seconds: float
    made: str = "before the first step"
    revisions: tuple[Revision, ...] = ()

    def __getitem__(self, method: str) -> Prediction:
        for row in self.predictions:
            if row.method == method:
                return row
        raise KeyError(f"{method!r} is not in this plan: {', '.join(row.method for row in self.predictions)}")

    def __repr__(self) -> str:
        return f"Plan({self.chosen} chosen among {len(self.predictions)} methods, target={self.target:.3g})"

    def __str__(self) -> str:
        lines = []
        for row in self.predictions:
            mark = ">" if row.method == self.chosen else " "
            low, high = row.steps_interval
            steps = f"{_count(row.steps)} steps [{_count(low)}, {_count(high)}]"
            lines.append(
                f"{mark} {row.method:<17}{steps:<34}{_time(row.seconds):>9}{_size(row.bytes):>9}  {row.why}".rstrip()
            )
        lines.extend(f"! step {r.step}: {r.before} -> {r.after}: {r.reason}" for r in self.revisions)
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        rows = [
            (
                ">" if row.method == self.chosen else "",
                row.method,
                _count(row.steps),
                f"{_count(row.steps_interval[0])} to {_count(row.steps_interval[1])}",
                _time(row.seconds),
                _size(row.bytes),
                row.why,
            )
            for row in self.predictions
        ]
        return table(("", "method", "steps", "80% interval", "seconds", "memory", "why"), rows)

    def record(self) -> dict[str, Any]:
        """The plan as JSON can hold it."""
        return {
            "target": number(self.target),
            "made": self.made,
            "planning_seconds": self.seconds,
            "chosen": self.chosen,
            "reason": self.reason,
            "rows": [
                {
                    "method": row.method,
                    "steps": number(row.steps),
                    "steps_low": number(row.steps_interval[0]),
                    "steps_high": number(row.steps_interval[1]),
                    "seconds": number(row.seconds),
                    "seconds_low": number(row.seconds_interval[0]),
                    "seconds_high": number(row.seconds_interval[1]),
                    "passes": number(row.passes),
                    "bytes": number(row.bytes),
                    "bound": number(row.bound),
                    "basis": row.basis,
                    "why": row.why,
                    "chosen": row.method == self.chosen,
                }
                for row in self.predictions
            ],
            "revisions": [
                {"step": r.step, "reason": r.reason, "from": r.before, "to": r.after} for r in self.revisions
            ],
        }


def number(value: float) -> float | None:
    """The value, or None where JSON has none for it (nan, infinity)."""
    return float(value) if np.isfinite(value) else None


def _count(value: float) -> str:
    if not np.isfinite(value):
        return "?"
    return f"{value:.0f}" if value < 10_000 else f"{value:.1e}"


def _time(seconds: float) -> str:
    if not np.isfinite(seconds):
        return "?"
    for unit, scale in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if seconds >= scale or unit == "us":
            return f"{seconds / scale:.3g} {unit}"
    return ""


def _size(count: float) -> str:
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= scale:
            return f"{count / scale:.3g} {unit}"
    return f"{count:.0f} B"
