"""The record of a fit, and the run folder that keeps it."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from thalweg.core.errors import InputError
from thalweg.core.plan import Plan, number
from thalweg.planning.fitting import ASKED, Fit, HeldOut

#: Columns of a trace that was interrupted before its first row.
TRACE_COLUMNS = ("step", "value", "gap", "gradient_norm", "step_size", "passes", "seconds")
VERSIONED = ("thalweg", "numpy", "scipy")


class RunFolder:
    """A folder ``NAME-K`` with the first free K, made before the run so that nothing is computed in vain.

    As a context manager it leaves no empty folder behind when the run fails.

    Args:
        parent: Folder of all runs; made if it does not exist.
        name: Name of the data.

    Raises:
        InputError: If the folder cannot be made or written.

    """

    def __init__(self, parent: Path, name: str) -> None:
        number = 1
        try:
            parent.mkdir(parents=True, exist_ok=True)
            while True:
                self.path = parent / f"{name}-{number}"
                try:
                    self.path.mkdir()
                    break
                except FileExistsError:
                    number += 1
        except OSError as error:
            reason = error.strerror or str(error)
            raise InputError(
                f"--out {str(parent)!r}: the run folder cannot be written ({reason})",
                "choose another folder with --out",
            ) from error

    def __enter__(self) -> RunFolder:
        return self

    def __exit__(self, kind: object, *rest: object) -> None:
        if kind is not None and not any(self.path.iterdir()):
            self.path.rmdir()

    def write(self, fit: Fit, record: dict[str, Any]) -> None:
        """Write solution.npz, trace.csv and run.json, each under a temporary name first.

        Args:
            fit: The finished fit.
            record: What ``fit_record`` returned.

        """
        classes = fit.classes if fit.classes is not None else np.array([])
        arrays = {
            "coef": fit.coef,
            "intercept": np.asarray(fit.intercept),
            "x": fit.x,
            "classes": classes,
            "feature_names": np.array(fit.feature_names),
            "value": np.float64(fit.value),
            "gap": np.float64(fit.certificate.gap),
        }
        if fit.direction is not None:
            arrays["direction"] = fit.direction
        with _replacing(self.path / "solution.npz") as partial, partial.open("wb") as binary:
            np.savez(binary, **arrays)  # type: ignore[arg-type]
        with _replacing(self.path / "trace.csv") as partial, partial.open("w", newline="") as text:
            fit.trace.write_csv(text)
        with _replacing(self.path / "run.json") as partial:
            partial.write_text(json.dumps(record, indent=2) + "\n")


class _replacing:
    """A temporary path that takes the final name when the block succeeds, so that no half file is ever seen."""

    def __init__(self, final: Path) -> None:
        self.final = final
        self.partial = final.with_name(f".{final.name}.{os.getpid()}")

    def __enter__(self) -> Path:
        return self.partial

    def __exit__(self, kind: object, *rest: object) -> None:
        if kind is None:
            os.replace(self.partial, self.final)
        else:
            self.partial.unlink(missing_ok=True)


def fit_record(
    fit: Fit, held_out: HeldOut | None = None, *, command: Sequence[str] = (), seed: int = 0, name: str = "array"
) -> dict[str, Any]:
    """Everything about a fit that JSON can hold: what was predicted beside what was observed.

    Args:
        fit: The finished fit.
        held_out: The score on held-out rows, if there is one.
        command: The command line.
        seed: The seed.
        name: What the data are called.

    """
    problem, plan, diagnosis = fit.problem, fit.plan, fit.diagnosis
    columns = fit.trace.columns or {column: [] for column in TRACE_COLUMNS}
    trace = {column: [number(value) for value in values] for column, values in columns.items()}
    curve = _predicted(plan)
    return {
        "schema": 1,
        "kind": "fit",
        "data": {
            "name": name,
            "rows": problem.n,
            "features": problem.d,
            "density": problem.rows.stored / (problem.n * problem.d),
            "bytes": 8 * problem.rows.stored,
            "target": fit.target_name,
            "classes": None if fit.classes is None else fit.classes.tolist(),
        },
        "settings": {
            "loss": fit.loss,
            "l2": fit.l2,
            "target_gap": number(fit.target),
            "seed": seed,
            "method_asked": plan.chosen if plan.reason == ASKED else None,
        },
        "status": fit.status.label,
        "remedy": fit.status.remedy,
        "success": fit.status.success,
        "value": number(fit.value),
        "start_value": number(fit.start_value),
        "certificate": {
            "gap": number(fit.certificate.gap),
            "kind": fit.certificate.kind.value,
            "how": fit.certificate.how,
        },
        "method": fit.method,
        "steps": fit.cost.steps,
        "passes": fit.cost.passes,
        "seconds": fit.cost.seconds,
        "cpu_seconds": fit.cost.cpu_seconds,
        "observed": {"steps": steps_to_target(fit), "seconds": fit.cost.seconds},
        "held_out": None
        if held_out is None
        else {
            "measure": held_out.measure,
            "training": number(held_out.training),
            "held_out": number(held_out.held_out),
            "rows": held_out.rows,
            "seed": held_out.seed,
        },
        "notes": list(fit.notes),
        "verdict": verdict(fit, held_out, name),
        **diagnosis.record(),
        "plan": {**plan.record(), "diagnosis_seconds": diagnosis.seconds},
        "predicted": curve,
        "trace": trace,
        "command": list(command),
        "versions": {"python": platform.python_version(), **{part: metadata.version(part) for part in VERSIONED}},
        "machine": {"system": platform.platform(), "processor": platform.machine(), "cores": os.cpu_count()},
    }


def steps_to_target(fit: Fit) -> int:
    """Steps after which the bound on f - f* was below the target; polishing beyond does not count."""
    if not len(fit.trace):
        return fit.cost.steps
    reached = np.flatnonzero(fit.trace["gap"] <= fit.target)
    return int(fit.trace["step"][reached[0]]) if len(reached) else fit.cost.steps


def verdict(fit: Fit, held_out: HeldOut | None, name: str) -> list[str]:
    """What a reader wants to know first, in sentences."""
    plan, certificate = fit.plan, fit.certificate
    sentences = []
    if fit.status.success:
        relation = "at most" if certificate.kind.value == "proof" else "about"
        sentences.append(
            f"The fit of {name} ({fit.loss}) {fit.status.label}: its objective {fit.value:.6g} is {relation} "
            f"{certificate.gap:.1e} above the best possible ({certificate.kind.value})."
        )
    else:
        sentences.append(f"The fit of {name} ({fit.loss}) ended with status {fit.status.label}: {fit.status.remedy}.")
    observed = steps_to_target(fit)
    row = next((row for row in plan.predictions if row.method == plan.chosen), None)
    if row is not None and np.isfinite(row.steps):
        low, high = row.steps_interval
        predicted = f"{row.steps:.0f} were predicted ({low:.0f} to {high:.0f})"
        if fit.certificate.gap <= fit.target:
            held = "as foreseen" if low <= observed <= high else "outside what was foreseen"
            sentences.append(f"{plan.chosen} took {_steps(observed)} to the target where {predicted}: {held}.")
        else:
            sentences.append(f"{plan.chosen} stopped after {_steps(observed)} above its target; {predicted}.")
        others = [other for other in plan.predictions if other.method != plan.chosen and other.seconds > row.seconds]
        if others:
            second = min(others, key=lambda other: other.seconds)
            ratio = second.seconds / row.seconds
            sentences.append(f"The next best, {second.method}, was expected to take {ratio:.1f} times as long.")
    for change in plan.revisions:
        to = f": {change.before} gave way to {change.after}" if change.before != change.after else ""
        sentences.append(f"The plan was changed at step {change.step}{to}; {change.reason}.")
    if held_out is not None:
        sentences.append(f"On rows it had not seen: {held_out}.")
    return sentences


def _steps(count: float) -> str:
    return "1 step" if round(count) == 1 else f"{count:.0f} steps"


def _predicted(plan: Plan) -> dict[str, list[float | None]] | None:
    """The expected gap of the chosen method with its band, by step and by second."""
    row = next((row for row in plan.predictions if row.method == plan.chosen and len(row.curve[0])), None)
    if row is None or not np.isfinite(row.steps) or len(row.curve[0]) < 2:
        return None
    steps, gaps = row.curve
    per_step = row.seconds / max(row.steps, 1.0)
    low, high = (end / max(row.steps, 1.0) for end in row.steps_interval)
    # A run that is slower by a factor is, at each step, where the expected run was earlier.
    ahead, behind = (np.interp(steps / factor, steps, gaps) if factor > 0 else gaps for factor in (low, high))
    return {
        "step": [number(value) for value in steps],
        "gap": [number(value) for value in gaps],
        "low": [number(value) for value in np.minimum(ahead, gaps)],
        "high": [number(value) for value in np.maximum(behind, gaps)],
        "seconds": [number(value * per_step) for value in steps],
    }
