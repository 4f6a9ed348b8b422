"""Carry a plan out: run the chosen method, hand events on, and change the plan when the run contradicts it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator
from dataclasses import dataclass, field, replace

import numpy as np

from thalweg.core.errors import InputError
from thalweg.core.events import Event, Finished, Started, Stepped
from thalweg.core.parallel import one_blas_thread
from thalweg.core.plan import Plan, Revision
from thalweg.core.records import Certificate, CertificateKind, Cost, Solution, Status, Trace
from thalweg.methods import METHODS, Method, drive
from thalweg.problems import ChangedProblem

#: A run counts as contradicting its plan beyond this many times the upper end of the predicted steps, ...
OVERRUN = 1.0
#: ... and is left only if another method is expected to finish in this share of the seconds still needed here.
WORTH_CHANGING = 0.7
#: A prediction renewed during the run that differs by this factor is told, and one beyond the interval by it acted on.
RENEWED = 1.5
#: Ends that another method may still turn into a success.
RECOVERABLE = (Status.NO_PROGRESS, Status.LINE_SEARCH_FAILED, Status.DIVERGED)

EPS = float(np.finfo(np.float64).eps)
#: Methods that run without constants.
UNTUNED = ("newton", "newton-cg", "l-bfgs")

Listener = Callable[[Event], None]
Maker = Callable[[str], Method]
Renewal = Callable[[str, Stepped], float]


def find_method(name: str) -> Method:
    """The method of that name.

    Raises:
        InputError: If there is none.

    """
    if name not in METHODS:
        raise InputError(f"method={name!r} is not known", f"use one of {', '.join(METHODS)}")
    return METHODS[name]


def run(
    problem: ChangedProblem,
    plan: Plan,
    make: Maker,
    x0: np.ndarray,
    *,
    max_steps: int,
    max_seconds: float,
    fixed: bool,
    renew: Renewal | None = None,
    listen: Listener | None = None,
) -> tuple[Solution, Plan]:
    """Run the plan's method; when observed progress contradicts the prediction, change to a better one.

    Ctrl-C, also while the listener works, ends the run with the best point so far.

    Args:
        problem: The problem in the methods' variables.
        plan: Predictions and the choice.
        make: Gives a tuned method by name.
        x0: Start in the methods' variables.
        max_steps: Steps allowed in all.
        max_seconds: Seconds allowed in all.
        fixed: Never change the method: it was asked for by name.
        renew: Foresees the length of a method's run from one of its steps; asked after the first tenth.
        listen: Called with every event.

    Returns:
        The solution in the methods' variables, and the plan with its revisions.

    """
    name, x = plan.chosen, x0
    parts: list[Solution] = []
    revisions: list[Revision] = []
    with one_blas_thread():
        while True:
            done_steps = sum(part.cost.steps for part in parts)
            watch = _Watch(plan, name, () if fixed else _untried(plan, name, revisions), done_steps, renew)
            events = drive(
                problem,
                make(name),
                x,
                target=plan.target,
                max_steps=max_steps - done_steps,
                max_seconds=max_seconds - sum(part.cost.seconds for part in parts),
                look_at=int(watch.limit) + 1 if watch.others and np.isfinite(watch.limit) else 0,
            )
            solution = _consume(events, watch, listen, first=not parts)
            revisions.extend(watch.notes)
            parts.append(solution)
            change = watch.change or _recovery(watch, solution)
            if change is None:
                break
            revisions.append(change)
            name, x = change.after, solution.x
    whole = _joined(parts)
    if listen is not None:
        with contextlib.suppress(KeyboardInterrupt):  # everything is done: there is nothing left to interrupt
            listen(Finished(whole))
    return whole, replace(plan, revisions=(*plan.revisions, *revisions))


@dataclass
class _Watch:
    """Compares what a run shows with what was predicted for it."""

    plan: Plan
    name: str
    others: tuple[str, ...]
    done_steps: int
    renew: Renewal | None = None
    renewed: float = np.nan
    change: Revision | None = None
    notes: list[Revision] = field(default_factory=list)
    gaps: list[tuple[int, float]] = field(default_factory=list)

    @property
    def limit(self) -> float:
        """Steps beyond which the run contradicts its plan."""
        known = [row.steps_interval[1] for row in self.plan.predictions if row.method == self.name]
        return max(OVERRUN * known[0], 3.0) if known else np.inf

    def see(self, event: Stepped) -> None:
        """Look at one step; sets ``change`` when the plan is contradicted and another method is worth it."""
        self._look_ahead(event)
        if event.fresh:
            self.gaps.append((event.step, event.certificate.gap))
        if event.note:
            self.notes.append(Revision(self.done_steps + event.step, event.note, self.name, self.name))
        known = [row for row in self.plan.predictions if row.method == self.name]
        priced = [row for row in self.plan.predictions if row.method in self.others and np.isfinite(row.seconds)]
        if not priced or not known or event.certificate.gap <= self.plan.target:
            return
        limit = self.limit
        # Well before the overrun, a renewed prediction that is far longer than the plan's counts as one.
        longer = np.isfinite(self.renewed) and self.renewed > RENEWED * limit
        if not event.fresh or not np.isfinite(limit) or (event.step <= limit and not longer):
            return
        left = self._seconds_left(event)
        after = min(priced, key=lambda row: row.seconds)
        if after.seconds < WORTH_CHANGING * left:
            expected = "" if not np.isfinite(left) else f", about {left:.2g} s more"
            reason = (
                f"{known[0].steps:.0f} steps were predicted (at most {limit:.0f}); after {event.step} the bound on "
                f"f - f* is still {event.certificate.gap:.1e}{expected}"
            )
            self.change = Revision(self.done_steps + event.step, reason, self.name, after.method)

    def _look_ahead(self, event: Stepped) -> None:
        """After the first tenth of the expected steps, foresee the rest from where the run has come, once."""
        known = [row.steps for row in self.plan.predictions if row.method == self.name]
        if self.renew is None or not known or not np.isnan(self.renewed) or not 10 <= known[0] < np.inf:
            return
        if event.step < known[0] / 10:
            return
        self.renewed = self.renew(self.name, event)
        if np.isfinite(self.renewed) and not 1 / RENEWED <= self.renewed / known[0] <= RENEWED:
            reason = f"seen from here, {self.renewed:.0f} steps in all are expected where {known[0]:.0f} were predicted"
            self.notes.append(Revision(self.done_steps + event.step, reason, self.name, self.name))

    def _seconds_left(self, event: Stepped) -> float:
        """Seconds to the target at the rate of the last half of the certificates."""
        before, half = self.gaps[len(self.gaps) // 2] if len(self.gaps) > 2 else self.gaps[0]
        span = event.step - before
        gap = event.certificate.gap
        if not 0 < gap < half or span < 1 or self.plan.target <= 0:
            return np.inf
        steps = np.log(self.plan.target / gap) / (np.log(gap / half) / span)
        return float(steps * event.seconds / max(event.step, 1))


def _untried(plan: Plan, name: str, revisions: list[Revision]) -> tuple[str, ...]:
    """Methods not tried yet, the cheapest first; those that need no tuning where nothing was priced."""
    tried = {name, *(r.before for r in revisions)}
    priced = [row.method for row in sorted(plan.predictions, key=lambda row: row.seconds) if np.isfinite(row.seconds)]
    others = tuple(method for method in priced if method not in tried)
    if len(plan.predictions) > 1:
        return others
    return others or tuple(method for method in UNTUNED if method not in tried)


def _recovery(watch: _Watch, solution: Solution) -> Revision | None:
    """Another method where this one broke off."""
    if solution.status not in RECOVERABLE or not watch.others or not np.isfinite(solution.value):
        return None
    after = watch.others[0]
    step = watch.done_steps + solution.cost.steps
    return Revision(step, f"{watch.name} ended with {solution.status.label!r}", watch.name, after)


def _consume(events: Generator[Event, None, Solution], watch: _Watch, listen: Listener | None, first: bool) -> Solution:
    """Pass events on; a Ctrl-C while the listener works reaches the driver like one in a step."""
    interrupted = stopped = False
    while True:
        try:
            event = events.throw(KeyboardInterrupt) if interrupted or stopped else next(events)
            if isinstance(event, Finished):
                # Left for another method, not by the user.
                return replace(event.solution, status=Status.BUDGET_SPENT) if stopped else event.solution
            interrupted = False
            if isinstance(event, Stepped):
                watch.see(event)
                stopped = watch.change is not None
                event = replace(event, step=event.step + watch.done_steps)
            again = isinstance(event, Started) or (isinstance(event, Stepped) and event.step == watch.done_steps)
            if listen is not None and (first or not again):
                listen(event)
        except KeyboardInterrupt:
            interrupted, stopped = True, False
            watch.change = None


def _joined(parts: list[Solution]) -> Solution:
    """One record of all parts: traces end to end, costs added, the last part's end."""
    last = parts[-1]
    if len(parts) == 1:
        return last
    trace = Trace()
    offset = {"step": 0.0, "passes": 0.0, "seconds": 0.0}
    lower = -np.inf
    for number, part in enumerate(parts):
        for index in range(len(part.trace)):
            row = {name: column[index] for name, column in part.trace.columns.items()}
            for name, done in offset.items():
                row[name] += done if name != "step" else int(done)
            # What an earlier part proved about f* holds in the later ones.
            row["gap"] = min(row["gap"], row["value"] - lower)
            if number > 0 and index == 0:
                # The new method starts at the best point so far, mostly the row where the old one was left.
                if row["value"] == trace.columns["value"][-1]:
                    trace.columns["gap"][-1] = min(trace.columns["gap"][-1], row["gap"])
                continue
            trace.append(**row)
        if part.certificate.kind is CertificateKind.PROOF:
            # Up to the rounding of the difference. Rows of the trace may be estimates; the certificate is none.
            lower = max(lower, part.value - part.certificate.gap - 4 * EPS * abs(part.value))
        offset["step"] += part.cost.steps
        offset["passes"] += part.cost.passes
        offset["seconds"] += part.cost.seconds
    best = min(parts, key=lambda part: part.value)
    if np.isfinite(lower) and last.certificate.kind is CertificateKind.PROOF:
        known = best.value - lower
        if known < last.certificate.gap:
            last = replace(last, certificate=replace(last.certificate, gap=known, how="bound of an earlier method"))
    certificate = last.certificate
    if best is not last and last.status is not Status.DIVERGED:
        carried = last.certificate.gap - (last.value - best.value)
        certificate = replace(last.certificate, gap=max(carried, 0.0))
    elif last.status is Status.DIVERGED:
        certificate = Certificate(np.inf, CertificateKind.NONE, "the run diverged")
    cost = Cost(
        sum(part.cost.steps for part in parts),
        sum(part.cost.passes for part in parts),
        sum(part.cost.seconds for part in parts),
        sum(part.cost.cpu_seconds for part in parts),
    )
    return replace(
        last, x=best.x, value=best.value, certificate=certificate, trace=trace, cost=cost,
        method=" then ".join(part.method for part in parts),
    )  # fmt: skip
