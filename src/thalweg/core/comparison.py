"""The record of a comparison: methods on one problem, each with what was predicted beside what was observed."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from thalweg.core.html import table
from thalweg.core.plan import Prediction, number
from thalweg.core.records import Solution

#: Points of a path or a curve that a record keeps.
MAX_POINTS = 400
HEADS = ("method", "steps predicted", "observed", "passes predicted", "observed", "seconds predicted", "observed",
         "f - f*", "status")  # fmt: skip


@dataclass(frozen=True, eq=False)
class Compared:
    """One method's part.

    Attributes:
        label: What the table calls it: the method's name, with its settings where two share a name.
        settings: The method as it ran, tuned.
        prediction: Made before its first step.
        solution: What came of it.
        gap: f - f* at the end, by the best value known of all runs; nan where f has no minimum.
        steps: Observed steps to f - f* <= target; nan where it was not reached.
        passes: Passes over the data until then; nan where it was not reached.
        seconds: Wall-clock seconds until then; nan where it was not reached.
        path: The points visited, shape (m, 2), for problems in two variables; else None.

    """

    label: str
    settings: str
    prediction: Prediction
    solution: Solution
    gap: float
    steps: float
    passes: float
    seconds: float
    path: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class Comparison:
    """Methods side by side.

    Attributes:
        problem: What it was.
        target: f - f* that predictions are for, and that runs aim at.
        minimum: The f* that gaps are measured from.
        minimum_from: Where it comes from.
        rows: In the order asked for.
        surface: For problems in two variables: values on a grid, with its two axes; else None.

    """

    problem: str
    target: float
    minimum: float
    minimum_from: str
    rows: tuple[Compared, ...]
    surface: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None

    def __getitem__(self, label: str) -> Compared:
        return next(row for row in self.rows if row.label == label)

    def _cells(self) -> list[tuple[str, ...]]:
        return [
            (
                row.label,
                count(row.prediction.steps), count(row.steps),
                count(row.prediction.passes), count(row.passes),
                duration(row.prediction.seconds), duration(row.seconds),
                "-" if math.isnan(row.gap) else f"{row.gap:.2g}", row.solution.status.label,
            )
            for row in self.rows
        ]  # fmt: skip

    def __repr__(self) -> str:
        return f"Comparison({self.problem:.80}, {len(self.rows)} methods, target={self.target:.3g})"

    def __str__(self) -> str:
        lines = [HEADS, *self._cells()]
        widths = [max(len(line[i]) for line in lines) for i in range(len(HEADS))]
        text = [f"{self.problem}: steps, passes and seconds to f - f* <= {self.target:.2g}"]
        text.append(f"f* = {self.minimum:.10g} ({self.minimum_from})")
        for line in lines:
            cells = (
                c.ljust(w) if i in (0, 8) else c.rjust(w) for i, (c, w) in enumerate(zip(line, widths, strict=True))
            )
            text.append("  ".join(cells).rstrip())
        bases: dict[str, list[str]] = {}
        for row in self.rows:
            bases.setdefault(row.prediction.basis, []).append(row.label)
        text += [f"{', '.join(labels)}: {basis}" for basis, labels in bases.items()]
        for row in self.rows:
            first = row.prediction.steps_interval[0]
            if row.prediction.steps == math.inf and first < math.inf:
                text.append(f"{row.label}: settles above the target; single runs may touch it from step {first:.0f} on")
        return "\n".join(text)

    def _repr_html_(self) -> str:
        return table(HEADS, self._cells())

    def record(self) -> dict[str, Any]:
        """The comparison as JSON can hold it, for ``tw.plot``."""
        found: dict[str, Any] = {
            "kind": "comparison",
            "problem": self.problem,
            "target": number(self.target),
            "minimum": number(self.minimum),
            "minimum_from": self.minimum_from,
            "methods": [self._row(row) for row in self.rows],
        }
        if self.surface is not None:
            across, up, values = self.surface
            found["surface"] = {
                "x": across.tolist(),
                "y": up.tolist(),
                "values": [list(map(number, r)) for r in values],
            }
        return found

    def _row(self, row: Compared) -> dict[str, Any]:
        trace = row.solution.trace
        gaps = np.maximum(trace["value"] - self.minimum, 0.0) if len(trace) else np.zeros(0)
        kept = np.unique(np.linspace(0, max(len(trace) - 1, 0), min(len(trace), MAX_POINTS)).astype(int))
        predicted = row.prediction
        steps, curve = predicted.curve
        return {
            "method": row.label,
            "settings": row.settings,
            "status": row.solution.status.label,
            "remedy": row.solution.status.remedy,
            "value": number(row.solution.value),
            "gap": number(row.gap),
            "observed": {"steps": number(row.steps), "passes": number(row.passes), "seconds": number(row.seconds)},
            "predicted": {
                "steps": number(predicted.steps),
                "passes": number(predicted.passes),
                "seconds": number(predicted.seconds),
                "basis": predicted.basis,
                "curve": {"step": list(map(number, steps)), "gap": list(map(number, curve))},
            },
            "trace": {
                "step": trace["step"][kept].tolist() if len(trace) else [],
                "passes": trace["passes"][kept].tolist() if len(trace) else [],
                "seconds": trace["seconds"][kept].tolist() if len(trace) else [],
                "gap": list(map(number, gaps[kept])) if len(trace) else [],
            },
            "path": None if row.path is None else row.path[kept[kept < len(row.path)]].tolist(),
        }


def count(value: float) -> str:
    """A count for a table; a dash where there is none."""
    if math.isnan(value):
        return "-"
    if math.isinf(value):
        return "never"
    return f"{value:.0f}" if value < 100_000 else f"{value:.1e}"


def duration(seconds: float) -> str:
    """Seconds for a table, in the unit that suits; a dash where there are none."""
    if not math.isfinite(seconds):
        return "-" if math.isnan(seconds) else "never"
    for unit, scale in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= scale:
            return f"{seconds / scale:.3g} {unit}"
    return f"{1e6 * seconds:.3g} us"
