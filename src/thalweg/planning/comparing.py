"""`tw.compare`: methods on one problem, predicted before and observed after."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from thalweg.core.check import checked_number
from thalweg.core.comparison import Compared, Comparison
from thalweg.core.errors import InputError, OracleError
from thalweg.core.events import Event, Stepped
from thalweg.core.parallel import one_blas_thread
from thalweg.core.plan import Prediction
from thalweg.core.random import generator
from thalweg.core.records import CertificateKind, Solution, Status
from thalweg.core.vector import flat, like
from thalweg.methods import REGISTER, Method, drive
from thalweg.methods.kept import describe
from thalweg.methods.method import check_oracles
from thalweg.methods.stochastic import Stochastic
from thalweg.planning.machine import machine_profile
from thalweg.planning.rank import make_plan
from thalweg.planning.working import (
    TOLERANCE,
    Working,
    checked_budget,
    checked_problem,
    chosen_method,
    default_target,
    has_own_step,
)
from thalweg.problems import ChangedProblem, FiniteSum, Standardizing
from thalweg.theory import Rehearsal
from thalweg.theory.expected import LocalModel, expected, local_model, rehearsed
from thalweg.theory.from_run import foreseen_in_newton, foreseen_in_run
from thalweg.theory.predict import Foresight

#: Methods compared unless others are named.
USUAL = ("newton", "newton-cg", "l-bfgs", "nesterov", "gradient-descent")
#: Steps spent on looking for f* beyond what the methods found.
POLISH_STEPS = 200
#: Points along each axis of the surface that is drawn under paths.
GRID = 81
MAX_STEPS = 20_000
#: A value this far below a minimum that is known, relatively, shows that it is none.
ROUNDING = 1e-9
NO_MINIMUM = "there is no minimum: f falls without end; this is the lowest value met"
#: An interval of predicted steps; the same spread as that of a plan.
SPREAD = (0.6, 1.7)


def compare(
    problem: Any,
    methods: Sequence[Method | str] | None = None,
    *,
    x0: Any = None,
    tol: float | None = None,
    max_steps: int = MAX_STEPS,
    max_seconds: float = 30.0,
    scale: bool | None = None,
    seed: int = 0,
) -> Comparison:
    """Run several methods on one problem; each is foreseen before its first step.

    Args:
        problem: As for ``tw.solve``.
        methods: Methods or their names; five usual ones when None.
        x0: As for ``tw.solve``.
        tol: Target for f - f*, as for ``tw.solve``.
        max_steps: Steps allowed to each.
        max_seconds: Wall-clock seconds allowed to each.
        scale: As for ``tw.solve``; the same variables for all methods.
        seed: Seed of what is measured at random.

    Returns:
        The comparison: ``print`` shows the table, ``tw.plot`` draws it (per step, pass and second; the paths of
        problems in two variables with ``what="paths"``), ``record()`` is JSON.

    Raises:
        InputError: No methods, the same one twice, or what ``tw.solve`` raises.

    """
    problem = checked_problem(problem)
    if isinstance(methods, (str, Method, type)):
        methods = [methods]
    if methods is not None and not isinstance(methods, Iterable):
        raise InputError(f"methods={methods!r:.60}", "give a list of methods or their names")
    chosen = [chosen_method(problem, method) for method in (USUAL if methods is None else methods)]
    if not chosen:
        raise InputError("methods is empty", f"name some of {', '.join(REGISTER)}")
    if len({_settings(method) for method in chosen}) < len(chosen):
        raise InputError("methods names the same method twice", "give each once, or with other settings")
    max_steps, max_seconds = checked_budget(max_steps, max_seconds, "20,000", "30 s")
    generator(seed)
    if tol is not None and checked_number("tol", tol, TOLERANCE) == 0:
        raise InputError("tol=0: no method is foreseen to reach f* exactly", TOLERANCE)
    deciding = next((method for method in chosen if has_own_step(method)), chosen[0])
    working = Working.of(problem, x0, deciding, scale)
    if methods is None:
        chosen = [method for method in chosen if _offers(method, working)]
    point = working.problem.at(working.start)
    target = default_target(point.value) if tol is None else tol
    with one_blas_thread():
        foresight = _Foresight.of(working, target, seed)
        labels = _labels(chosen)
        ran = []
        for label, method in zip(labels, chosen, strict=True):
            ready = working.ready(method, seed, target)
            prediction = foresight.prediction(ready, label, target)
            solution, path = _run(working, ready, target, max_steps, max_seconds)
            ran.append((ready, foresight.on_the_way(prediction, ready, solution, target), solution, path))
        minimum, source = _minimum(working, [solution for _, _, solution, _ in ran])
    rows = tuple(
        _compared(label, ready, prediction, solution, path, math.nan if source == NO_MINIMUM else minimum, target)
        for label, (ready, prediction, solution, path) in zip(labels, ran, strict=True)
    )
    surface = _surface(working, rows) if working.problem.size == 2 else None
    return Comparison(repr(problem), target, minimum, source, rows, surface)


def _offers(method: Method, working: Working) -> bool:
    """Whether the problem has what a method of the usual ones needs."""
    try:
        check_oracles(method, working.problem.at(working.start))
    except OracleError:
        return False
    return True


def _labels(methods: Sequence[Method]) -> list[str]:
    """Names, with settings where two share one."""
    shared = Counter(method.name for method in methods)
    return [method.name if shared[method.name] == 1 else _settings(method) for method in methods]


def _settings(method: Method) -> str:
    """The settings of a method, with schedule and average where it has them."""
    return repr(method) if isinstance(method, Stochastic) else describe(method)


def _pass_seconds(working: Working) -> float:
    """Seconds of one pass: half of a value with its gradient, at a point near the start, the second time."""
    seconds = []
    for factor in (1 + 1e-9, 1 + 2e-9, 1 + 3e-9):
        point = working.problem.at(factor * working.start)
        started = time.perf_counter()
        _ = point.gradient, point.value
        seconds.append(time.perf_counter() - started)
    return 0.5 * min(seconds)


@dataclass(frozen=True, eq=False)
class _Foresight:
    """What predictions are made from: a rehearsal for sums over tables, else the quadratic model at the start."""

    working: Working
    model: LocalModel | None
    rehearsal: Rehearsal | None
    pass_seconds: float
    minimum: float | None

    @classmethod
    def of(cls, working: Working, target: float, seed: int) -> _Foresight:
        pass_seconds = _pass_seconds(working)
        if isinstance(working.given, FiniteSum) and not working.quadratic:
            change = working.change or Standardizing(working.given)
            scaled = ChangedProblem(working.given, change) if working.change is None else working.problem
            rehearsal = make_plan(scaled, target, seed=seed).rehearsal
            assert rehearsal is not None
            whole = rehearsal.point.problem is scaled
            minimum = float(rehearsal.point.value) if whole else None
            if working.change is None:
                least = working.problem.at(working.given.centred(change.forward(rehearsal.minimum)))
                rehearsal = rehearsal.at(least, working.problem.at(working.start))
            return cls(working, None, rehearsal, pass_seconds, minimum)
        model = local_model(working.problem.at(working.start), quadratic=working.quadratic, seed=seed)
        known = getattr(working.problem, "minimum", None)
        return cls(working, model, None, pass_seconds, None if known is None else float(known))

    def prediction(self, method: Method, label: str, target: float) -> Prediction:
        """Made before the method's first step."""
        if self.model is not None:
            seen = expected(self.working.problem, self.model, method, target)
        else:
            assert self.rehearsal is not None
            seen = rehearsed(self.working.problem, self.rehearsal, method, self.working.start, target)
        return self._priced(method, label, seen)

    def on_the_way(self, prediction: Prediction, method: Method, solution: Solution, target: float) -> Prediction:
        """What the run's first steps foresee, where theory knew nothing before, or a model that is only near."""
        trace = solution.trace
        # Sampled gradients on a table that is no quadratic: the model at the minimum misses the way there.
        near = self.rehearsal is not None and method.noisy
        if not len(trace) or not (math.isnan(prediction.steps) or near):
            return prediction
        if method.certifies:
            seen = foreseen_in_newton(trace["gap"], target)
        elif method.estimates and not self.working.problem.provable:
            seen = foreseen_in_run(trace["gap"], target, 0.0)
        else:
            seen = foreseen_in_run(trace["value"], target, self.minimum, trace["gradient_norm"])
        if math.isnan(seen.steps):
            why = f"; {seen.basis.removeprefix('none: ')}" if math.isnan(prediction.steps) else ""
            return replace(prediction, basis=prediction.basis + why)
        if math.isfinite(prediction.steps):
            seen = replace(seen, basis=f"{seen.basis}; before it, {prediction.steps:.0f} by {prediction.basis}")
        per_step = float(trace["passes"][-1]) / max(float(trace["step"][-1]), 1.0)
        return self._priced(method, prediction.method, replace(seen, passes=per_step * seen.steps))

    def _priced(self, method: Method, label: str, seen: Foresight) -> Prediction:
        """With what it costs on this machine."""
        low, high = seen.interval or (SPREAD[0] * seen.steps, SPREAD[1] * seen.steps)
        overhead = machine_profile().step_seconds
        per_step = overhead.get(method.name, overhead["gradient-descent"])
        seconds = seen.passes * self.pass_seconds + seen.steps * per_step
        return Prediction(
            label, seen.steps, (low, high), seconds, (0.5 * seconds, 2 * seconds), seen.passes, math.nan, seen.basis,
            seen.curve,
        )  # fmt: skip


def _run(
    working: Working, method: Method, target: float, max_steps: int, max_seconds: float
) -> tuple[Solution, np.ndarray | None]:
    path: list[np.ndarray] = []
    planar = working.problem.size == 2

    def see(event: Event) -> None:
        if planar and isinstance(event, Stepped):
            path.append(np.array(flat(event.x), dtype=np.float64))

    solution = None
    for event in drive(
        working.problem, method, working.start, target=target, max_steps=max_steps, max_seconds=max_seconds
    ):
        see(event)
        solution = getattr(event, "solution", None)
    assert solution is not None
    if solution.status.label == "interrupted":
        raise KeyboardInterrupt
    return solution, np.array(path) if path else None


def _minimum(working: Working, solutions: Sequence[Solution]) -> tuple[float, str]:
    """The lowest value known: the problem's own, or the best of the runs carried on by Newton's method."""
    known = getattr(working.problem, "minimum", None)
    best = min(solutions, key=lambda s: s.value if math.isfinite(s.value) else math.inf)
    if any(solution.status is Status.SEPARABLE for solution in solutions):
        return best.value, NO_MINIMUM
    if known is not None and best.value >= known - ROUNDING * max(abs(known), abs(best.trace["value"][0])):
        return min(float(known), best.value), "known in closed form" if working.quadratic else "as given"
    polisher = REGISTER["newton"] if working.problem.size <= 500 else REGISTER["newton-cg"]
    value = best.value
    if _offers(polisher, working):
        *_, last = drive(working.problem, polisher, best.x, target=0.0, max_steps=POLISH_STEPS, max_seconds=10.0)
        polished = last.solution  # type: ignore[union-attr]
        if polished.value < value:
            value = polished.value
        if polished.status in (Status.DIVERGED, Status.SEPARABLE):
            return value, NO_MINIMUM
        if polished.certificate.kind is CertificateKind.PROOF:
            return value, f"proven to {polished.certificate.gap:.1g}"
    return value, "the lowest value found"


def _compared(
    label: str,
    method: Method,
    prediction: Prediction,
    solution: Solution,
    path: np.ndarray | None,
    minimum: float,
    target: float,
) -> Compared:
    # Without a minimum (nan) no gap is known, and none is below the target.
    trace = solution.trace
    gaps = trace["value"] - minimum if len(trace) else np.zeros(0)
    # A momentum method may dip below the target and rise again: what counts is staying there, or a dip that was kept.
    above = np.flatnonzero(~(gaps <= target))
    first = int(above[-1]) + 1 if len(above) else 0
    if first == len(gaps) and solution.status.success and (gaps <= target).any():
        first = int(np.argmax(gaps <= target))
    reached = first < len(gaps)
    at = {name: float(trace[name][first]) if reached else math.nan for name in ("step", "passes", "seconds")}
    return Compared(
        label, _settings(method), prediction, replace(solution), float(solution.value - minimum),
        at["step"], at["passes"], at["seconds"], path,
    )  # fmt: skip


def _surface(working: Working, rows: Sequence[Compared]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Values on a grid around the paths of a problem in two variables."""
    start = flat(working.start).astype(np.float64)
    # Excursions would shrink everything to a dot: the middle of what each method visited decides, of few steps or many.
    middles = [np.quantile(points, [0.02, 0.98], axis=0) for row in rows if len(points := _near(row))]
    corners = np.concatenate([start[None], *middles])
    low, high = corners.min(axis=0), corners.max(axis=0)
    wide = float(np.max(high - low))
    # Where nothing but the start is worth showing, its surroundings are.
    air = 0.25 * np.maximum(high - low, 0.3 * wide) if wide > 0 else np.maximum(np.abs(start), 1.0)
    across, up = (np.linspace(a, b, GRID) for a, b in zip(low - air, high + air, strict=True))
    with np.errstate(all="ignore"):  # parts of the window may lie outside the domain
        values = np.array(
            [[working.problem.at(like(working.start, np.array([a, b]))).value for a in across] for b in up]
        )
    return across, up, values


def _near(row: Compared) -> np.ndarray:
    """The points of a path, shape (m, 2), at which f has not risen far above the start; none of a run that diverged."""
    if row.path is None or row.solution.status is Status.DIVERGED:
        return np.zeros((0, 2))
    values = row.solution.trace["value"]
    level = values[0] + (values[0] - np.nanmin(values))
    return row.path[np.isfinite(row.path).all(axis=1) & (values[: len(row.path)] <= level)]
