"""The records every run leaves behind: status, certificate, constants, trace, solution."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, TextIO

import numpy as np

from thalweg.core.html import table


class Status(Enum):
    """How a run ended. The value is a pair: a short label, and what the reader should do next."""

    CONVERGED = ("converged", "nothing to do: the certificate is below the target")
    PRECISION_FLOOR = (
        "precision floor",
        "nothing to do: rounding hides any further decrease; pass float64 data if a smaller target is needed",
    )
    SEPARABLE = (
        "separable",
        "no minimum exists at l2=0: the loss keeps falling along the returned direction; set l2 > 0",
    )
    LINE_SEARCH_FAILED = (
        "line search failed",
        "no step along the direction decreases the objective: check that the loss is continuous and its gradient right "
        "(tw.check_derivatives)",
    )
    NO_PROGRESS = (
        "no progress",
        "steps no longer decrease the objective above the target: try another method, or scale the variables; check "
        "for kinks and for a wrong gradient (tw.check_derivatives); on a table, raise l2",
    )
    DIVERGED = (
        "diverged",
        "the objective is unbounded below or not finite along the path: take a smaller step_size (below 2/L; "
        "tw.diagnose measures L), or check the loss and its target, or set l2 > 0",
    )
    NOISE_FLOOR = (
        "noise floor",
        "a constant step hovers at the level that gradient noise allows: lower step_size or raise batch_size (the "
        "floor falls in proportion), let the step decay, average the iterates, or use a variance-reduced method",
    )
    BUDGET_SPENT = ("budget spent", "continue from this point (x0=fit.x), or allow more steps or seconds")
    STOPPED = ("stopped", "the callback asked for it: continue with x0=solution.x, or resume= a saved run")
    INTERRUPTED = ("interrupted", "the best point so far is returned: continue from it with x0=fit.x")

    @property
    def label(self) -> str:
        """The short name that reports print."""
        return str(self.value[0])

    @property
    def remedy(self) -> str:
        """What the reader should do next."""
        return str(self.value[1])

    @property
    def success(self) -> bool:
        """Whether the run reached its target or the limit of floating-point arithmetic."""
        return self in (Status.CONVERGED, Status.PRECISION_FLOOR)

    def __str__(self) -> str:
        return self.label


class CertificateKind(Enum):
    """What a certificate is worth: a proof (up to rounding), an estimate, or none."""

    PROOF = "proof"
    ESTIMATE = "estimate"
    NONE = "none"


@dataclass(frozen=True)
class Certificate:
    """A bound on ``f(x) - f*``.

    Attributes:
        gap: The bound, in units of the objective; infinite where nothing is known.
        kind: Proof, estimate or none.
        how: The argument in one sentence.
        rounding: The part of ``gap`` that stands for floating-point error; no smaller gap can be shown.

    """

    gap: float
    kind: CertificateKind
    how: str
    rounding: float = 0.0

    def __str__(self) -> str:
        if self.kind is CertificateKind.NONE:
            return f"none ({self.how})"
        relation = "<=" if self.kind is CertificateKind.PROOF else "~"
        return f"f - f* {relation} {self.gap:.2g} ({self.kind.value}: {self.how})"


@dataclass(frozen=True)
class Constant:
    """One measured or derived number about a problem.

    Attributes:
        value: The number.
        how: ``"closed form"``, ``"bound"``, ``"measured"`` or ``"assumed"``, with the formula or procedure.
        where: The point or region it holds at (``"everywhere"``, ``"at x = 0"``).
        interval: Lower and upper end between which the true value lies.
        seconds: Wall-clock seconds it took to obtain.

    """

    value: float
    how: str
    where: str
    interval: tuple[float, float]
    seconds: float = 0.0

    def __str__(self) -> str:
        low, high = self.interval
        band = "" if low == high else f" in [{low:.4g}, {high:.4g}]"
        return f"{self.value:.4g}{band}  {self.how}, {self.where}"


@dataclass(frozen=True)
class Constants(Mapping[str, Constant]):
    """Named constants of a problem (``L``, ``mu``, ``kappa``, ...), each with its provenance."""

    entries: Mapping[str, Constant]

    def __getitem__(self, name: str) -> Constant:
        return self.entries[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)

    def __str__(self) -> str:
        return "\n".join(f"{name:<8}{constant}" for name, constant in self.entries.items())

    def _repr_html_(self) -> str:
        rows = [
            (name, f"{c.value:.4g}", f"{c.interval[0]:.4g} to {c.interval[1]:.4g}", c.how, c.where)
            for name, c in self.entries.items()
        ]
        return table(("constant", "value", "interval", "how", "where"), rows)


@dataclass
class Trace:
    """What happened at every step, as columns of equal length (one entry a step, the start included)."""

    columns: dict[str, list[Any]] = field(default_factory=dict)

    def append(self, **row: Any) -> None:
        """Add one step. Every step names the same columns.

        Raises:
            KeyError: If the names differ from those of the first row.

        """
        if not self.columns:
            self.columns.update({name: [] for name in row})
        elif self.columns.keys() != row.keys():
            raise KeyError(f"trace row has columns {sorted(row)}; expected {sorted(self.columns)}")
        for name, value in row.items():
            self.columns[name].append(value)

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), ()))

    def __getitem__(self, name: str) -> np.ndarray:
        """One column as an array of shape (steps + 1,)."""
        return np.asarray(self.columns[name])

    def __repr__(self) -> str:
        if not len(self):
            return "Trace(empty)"
        last = ", ".join(f"{name}={values[-1]:.6g}" for name, values in self.columns.items())
        return f"Trace({len(self)} rows; last: {last})"

    def to_pandas(self) -> Any:
        """The trace as a pandas DataFrame.

        Raises:
            ImportError: If pandas is not installed.

        """
        import pandas as pd  # an optional dependency of this one method

        return pd.DataFrame(self.columns)

    def write_csv(self, stream: TextIO) -> None:
        """Write a header and one line a step to an open text stream; floats keep all their digits."""
        writer = csv.writer(stream)
        writer.writerow(self.columns)
        writer.writerows(
            [repr(value) if isinstance(value, float) else value for value in row]
            for row in zip(*self.columns.values(), strict=True)
        )


@dataclass(frozen=True)
class Cost:
    """What a run used.

    Attributes:
        steps: Steps of the method.
        passes: Passes over the data: one product with X or with its transpose is one pass.
        seconds: Wall-clock seconds.
        cpu_seconds: Processor seconds of the process, all threads together.

    """

    steps: int
    passes: float
    seconds: float
    cpu_seconds: float

    def __str__(self) -> str:
        seconds = f"{self.seconds:.3g} s ({self.cpu_seconds:.3g} s of CPU)"
        return f"{self.steps} steps, {self.passes:.0f} passes over the data, {seconds}"


@dataclass(frozen=True, eq=False)
class Solution:
    """The one result record of every method.

    Attributes:
        x: The best point found: shape (parameters,), or the form in which the start was given.
        value: The objective there.
        status: How the run ended; ``status.remedy`` says what to do.
        certificate: A bound on ``value - f*``.
        trace: One row a step.
        cost: Steps, passes and seconds.
        method: The method's name.
        direction: For separable data, the direction along which the loss keeps falling; else None.

    """

    x: Any
    value: float
    status: Status
    certificate: Certificate
    trace: Trace
    cost: Cost
    method: str
    direction: Any = None

    def _repr_html_(self) -> str:
        rows = [
            ("status", f"{self.status.label}: {self.status.remedy}"),
            ("value", f"{self.value:.10g}"),
            ("certificate", self.certificate),
            ("method", self.method),
            ("cost", self.cost),
        ]
        return table(("solution", ""), rows)

    def __repr__(self) -> str:
        bound = f"{self.certificate.kind.value} {self.certificate.gap:.2g}"
        return f"Solution({self.status}, value={self.value:.10g}, {bound}, {self.method}: {self.cost.steps} steps)"

    def __str__(self) -> str:
        return (
            f"{self.status.label}: {self.status.remedy}\n"
            f"value {self.value:.10g}, {self.certificate}\n{self.method}: {self.cost}"
        )
