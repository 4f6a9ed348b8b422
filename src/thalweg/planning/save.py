"""Run folders: what a fit leaves on disk."""

from __future__ import annotations

import json
import math
import os
import platform
import sys
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from thalweg.core.errors import InputError
from thalweg.planning.fitting import Fit, HeldOut

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
            record: What ``summary`` returned.

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


def summary(fit: Fit, held_out: HeldOut | None, *, command: Sequence[str], seed: int, data: str) -> dict[str, Any]:
    """Everything about a fit that JSON can hold: result, settings, versions, machine.

    Args:
        fit: The finished fit.
        held_out: The score on held-out rows, if there is one.
        command: The command line.
        seed: The seed.
        data: What was fitted.

    """
    problem = fit.problem
    return {
        "data": {
            "name": data,
            "rows": problem.n,
            "features": problem.d,
            "target": fit.target_name,
            "classes": None if fit.classes is None else fit.classes.tolist(),
        },
        "settings": {"loss": fit.loss, "l2": fit.l2, "target_gap": _number(fit.target), "seed": seed},
        "status": fit.status.label,
        "remedy": fit.status.remedy,
        "value": _number(fit.value),
        "start_value": _number(fit.start_value),
        "certificate": {
            "gap": _number(fit.certificate.gap),
            "kind": fit.certificate.kind.value,
            "how": fit.certificate.how,
        },
        "method": fit.method,
        "steps": fit.cost.steps,
        "passes": fit.cost.passes,
        "seconds": fit.cost.seconds,
        "cpu_seconds": fit.cost.cpu_seconds,
        "held_out": None
        if held_out is None
        else {
            "measure": held_out.measure,
            "training": _number(held_out.training),
            "held_out": _number(held_out.held_out),
            "rows": held_out.rows,
            "seed": held_out.seed,
        },
        "notes": list(fit.notes),
        "command": list(command),
        "versions": {"python": platform.python_version(), **{name: metadata.version(name) for name in VERSIONED}},
        "machine": {"system": platform.platform(), "processor": platform.machine(), "cores": os.cpu_count()},
        "byteorder": sys.byteorder,
    }


def _number(value: float) -> float | None:
    """JSON has no nan and no infinity."""
    return float(value) if math.isfinite(value) else None
