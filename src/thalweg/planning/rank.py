"""The plan: every method's steps, seconds and bytes foreseen, ranked, with why each loses."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import numpy as np

from thalweg.core.events import Stepped
from thalweg.core.plan import Plan, Prediction
from thalweg.core.random import generator
from thalweg.linalg import factor, lanczos
from thalweg.linalg.rows import SINGLE_BLOCK_ELEMENTS
from thalweg.methods import METHODS, Method, Newton
from thalweg.planning.machine import MachineProfile, machine_profile
from thalweg.problems import ChangedProblem, FiniteSum
from thalweg.theory import Rehearsal, bound_on_steps, foresee, foresee_rest, rehearse
from thalweg.theory.predict import Foresight

#: Parameters up to which a rehearsal forms dense Hessians in a plan that must be quick.
MAX_QUICK_PARAMETERS = 300
#: Multiplications of ten Newton steps below which the sure method runs at once: planning would cost more than it saves.
SURE_WORK = 5e9
#: Dense multiplications that take as long as one of a sparse X'DX (1.4e8 against 2.4e10 a second).
SPARSE_GRAM = 170.0
#: Largest number of parameters for which a dense Hessian is kept: 3,000^2 float64 are 72 MB.
MAX_DENSE_PARAMETERS = 3_000
#: Work of one Newton step (multiplications) above which products with the Hessian are cheaper than the Hessian.
MAX_NEWTON_WORK = 2e11
#: Up to this many rows half of them are rehearsed on; beyond, a tenth, within these ends.
SMALL_ROWS, LEAST_SAMPLE = 4_000, 2_000
#: An interval that held for at least 80% of the rows of docs/calibration.md, as factors on the expected steps.
STEP_SPREAD = {"rehearsed": (0.6, 1.7), "modelled": (0.6, 1.7), "quadratic": (0.95, 1.1)}
#: The same for seconds per step on a shared machine.
SECONDS_SPREAD = (0.5, 2.0)


@dataclass(frozen=True, eq=False)
class Prospect:
    """A plan with what is needed to carry it out.

    Attributes:
        plan: The printable plan.
        rehearsal: What was rehearsed, if anything; its minimum is a start and its Hessian a preconditioner.
        largest: L at the start, in the methods' variables.
        smallest: mu, likewise.
        quadratic: Whether curvature is the same everywhere.
        warm: Whether Newton's method is to start from the rehearsed minimum.

    """

    plan: Plan
    rehearsal: Rehearsal | None
    largest: float
    smallest: float
    quadratic: bool
    warm: bool = False

    @property
    def minimum(self) -> np.ndarray:
        """The rehearsed minimum, in the methods' variables."""
        assert self.rehearsal is not None
        return self.rehearsal.minimum

    def renew(self, name: str, event: Stepped) -> float:
        """Steps in all, foreseen from where a run has come; nan where nothing was rehearsed."""
        if self.rehearsal is None or event.x is None or (self.warm and name == "newton"):
            return float("nan")
        method = self.method(name)
        return foresee_rest(self.rehearsal, method, event.x, event.certificate.gap, event.step, self.plan.target)

    def method(self, name: str) -> Method:
        """A method tuned by what was measured."""
        return METHODS[name].tuned(self.largest, self.smallest, quadratic=self.quadratic)


def newton_work(problem: FiniteSum) -> float:
    """Multiplications of one Newton step: the Hessian and its factor; sparse ones in units of dense ones."""
    p, filled = problem.size, problem.rows.stored / problem.n
    pairs = problem.classes * (problem.classes + 1) / 2
    return problem.n * filled**2 * pairs * (SPARSE_GRAM if _is_sparse(problem) else 0.5) + p**3 / 3


def _is_sparse(problem: FiniteSum) -> bool:
    return problem.rows.stored < problem.n * problem.d


def sure_plan(problem: FiniteSum, target: float) -> Plan | None:
    """Newton at once, where ten of its steps cost less than planning would; None where they do not."""
    started = time.perf_counter()
    work = newton_work(problem)
    if 10 * work > SURE_WORK:
        return None
    # The columns of sparse rows are nearly orthogonal: few products solve with a Hessian that would be dear to form.
    name = "newton-cg" if _is_sparse(problem) else "newton"
    steps = 1.0 if problem.constant_curvature else 7.0
    spread = (1.0, 1.0) if problem.constant_curvature else (2.0, 14.0)
    profile = None if _unmeasured() else machine_profile()
    per_step = np.nan if profile is None else profile.step_seconds[name] + work / profile.gram_rate
    reason = f"ten Newton steps cost {10 * work:.1g} multiplications: less than planning"
    row = Prediction(
        name,
        steps,
        spread,
        steps * per_step,
        (SECONDS_SPREAD[0] * spread[0] * per_step, SECONDS_SPREAD[1] * spread[1] * per_step),
        steps * (2 + problem.at(problem.start()).hessian_passes),
        _bytes(problem, name),
        "what Newton's method usually takes",
        why=reason,
    )
    return Plan(target, (row,), name, reason, time.perf_counter() - started)


def typical_plan(problem: FiniteSum, target: float) -> Plan:
    """A quick choice for many parameters, where even a rehearsal would cost too much: usual counts, priced here."""
    started = time.perf_counter()
    profile = machine_profile()
    pass_seconds = problem.rows.stored * 8 / profile.bandwidth
    hessian = problem.at(problem.start()).hessian_passes
    usual = {"newton": (6.0, 6 * (hessian + 4)), "newton-cg": (8.0, 160.0), "l-bfgs": (80.0, 170.0)}
    dense = problem.size <= MAX_DENSE_PARAMETERS and newton_work(problem) <= MAX_NEWTON_WORK
    rows = []
    for name, (steps, passes) in usual.items():
        if _applies(name, problem.constant_curvature, dense):
            seen = Foresight(steps, passes, (np.zeros(0), np.zeros(0)), "usual counts")
            row = _priced(problem, name, seen, profile, pass_seconds, problem.constant_curvature)
            rows.append(replace(row, steps_interval=(steps / 3, 3 * steps)))
    rows.sort(key=lambda row: row.seconds)
    rows = [replace(row, why=_why(row, rows[0])) for row in rows]
    return Plan(target, tuple(rows), rows[0].method, rows[0].why, time.perf_counter() - started)


def make_plan(
    problem: ChangedProblem,
    target: float,
    *,
    seed: int = 0,
    quick: bool = False,
    made: str = "before the first step",
) -> Prospect:
    """Rehearse on some rows, foresee every method, price it on this machine, and rank.

    Args:
        problem: The problem in the methods' variables.
        target: Wanted bound on f - f*.
        seed: Seed of the sample of rows.
        quick: Only weigh the methods that may win, at a cost that the fit will not notice.
        made: When this is done, for the record.

    """
    started = time.perf_counter()
    base = problem.base
    profile = machine_profile()
    quadratic = base.constant_curvature
    dense = problem.size <= MAX_DENSE_PARAMETERS and newton_work(base) <= MAX_NEWTON_WORK
    rehearsed = ("newton", "newton-cg") if dense else ("newton-cg",)
    cheap = 10 * newton_work(base) <= SURE_WORK
    sample = _sample(base, seed)
    if quick and dense:
        rehearsed = ("newton",)
    # Where the whole problem is dear, the rehearsed minimum is a start and its Hessian a preconditioner.
    warm = dense and not cheap and sample is not None
    rehearsal = rehearse(problem, target, sample, rehearsed, refine=cheap)
    names = [name for name in METHODS if _applies(name, quadratic, dense)]
    largest = smallest = 1.0
    if quick:
        names = [name for name in names if name in (*rehearsed, "l-bfgs")]
    else:
        curvatures = rehearsal.curvatures
        largest = float(curvatures[-1])
        if not quadratic:
            # The step of first-order methods needs L where the run starts, which a sample of rows tells well enough,
            # and where it ends: there the slope of exponentials may be larger.
            at_start = lanczos(rehearsal.start.hvp, problem.size, seed, steps=12, tolerance=0.01)
            largest = max(float(at_start.largest.value), largest)
        largest = largest if largest > 0 else 1.0  # nothing is minimised along negative curvature
        smallest = max(float(curvatures[0]), 1e-12 * largest)
    pass_seconds = _pass_seconds(base, profile)
    zero = np.zeros(problem.size)
    start_value = problem.at(zero).value
    rows = []
    for name in names:
        method = METHODS[name].tuned(largest, smallest, quadratic=quadratic)
        seen = foresee(rehearsal, method, zero, target)
        if warm and name == "newton":
            seen = _warmed(base, seen, rehearsal.rows)
        row = _priced(base, name, seen, profile, pass_seconds, quadratic)
        rate = method.rate(largest, smallest, quadratic=quadratic)
        if np.isfinite(rate):
            row = replace(row, bound=bound_on_steps(rate, start_value - rehearsal.point.value, target))
        rows.append(row)
    rows.sort(key=lambda row: row.seconds)
    best = rows[0]
    rows = [replace(row, why=_why(row, best)) for row in rows]
    plan = Plan(target, tuple(rows), best.method, rows[0].why, time.perf_counter() - started, made)
    return Prospect(plan, rehearsal, largest, smallest, quadratic, warm)


def _warmed(problem: FiniteSum, cold: Foresight, rows: int) -> Foresight:
    """Newton from the rehearsed minimum: the statistical distance between sample and whole is all that is left.

    Each step is a gradient, a line, a certificate and either eight products with the rehearsal as preconditioner or
    a Hessian of its own, whichever is cheaper.
    """
    steps = 1.0 if problem.constant_curvature else max(3.0, cold.steps - 1)
    hessian = problem.at(problem.start()).hessian_passes
    passes = steps * (3 + min(hessian, 16)) + 2
    gaps = np.geomspace(problem.size / (2 * rows), 1e-16, int(steps) + 1)
    return Foresight(steps, passes, (np.arange(steps + 1), gaps), f"warm start from a rehearsal on {rows} rows")


def warm_newton(prospect: Prospect) -> Newton:
    """Newton with the rehearsal's Hessian as its first preconditioner."""
    assert prospect.rehearsal is not None
    return Newton(first_solver=factor(prospect.rehearsal.point.hessian))


def _applies(name: str, quadratic: bool, dense: bool) -> bool:
    if name == "heavy-ball":
        return quadratic  # its rate holds there alone; elsewhere it can cycle
    return dense if name == "newton" else True


def _sample(problem: FiniteSum, seed: int) -> np.ndarray | None:
    """Rows to rehearse on, or None for all of them."""
    used = np.arange(problem.n) if isinstance(problem.share, float) else np.flatnonzero(problem.share > 0)
    n = len(used)
    count = n // 2 if n <= SMALL_ROWS else min(n // 2, max(LEAST_SAMPLE, min(n // 10, 10 * problem.size)))
    rows = np.sort(used[generator(seed).permutation(n)[:count]])
    if problem.classes > 1 and len(np.unique(problem.y[rows])) < problem.classes:
        return None
    return rows if count >= 2 else None


def _pass_seconds(problem: FiniteSum, profile: MachineProfile) -> float:
    """Seconds of one product with this matrix: by bandwidth where it is large and dense, else timed."""
    if problem.rows.stored > SINGLE_BLOCK_ELEMENTS and problem.rows.stored == problem.n * problem.d:
        return problem.rows.stored * 8 / profile.bandwidth
    x = problem.start()
    problem.margins(x)
    started = time.perf_counter()
    problem.margins(x)
    return time.perf_counter() - started


def _priced(
    problem: FiniteSum, name: str, seen: Foresight, profile: MachineProfile, pass_seconds: float, quadratic: bool
) -> Prediction:
    steps = max(seen.steps, 1.0)
    passes = seen.passes
    if not METHODS[name].certifies:
        # Two looks at the certificate, each with a Newton direction made for the purpose.
        passes += 2 * (4 + min(problem.at(problem.start()).hessian_passes, 40))
    arithmetic = passes * (pass_seconds + problem.n * problem.classes * profile.element_seconds / 2)
    factors = problem.size**3 / 3 / profile.gram_rate * (steps if name == "newton" else 0.0)
    seconds = steps * profile.step_seconds[name] + arithmetic + factors
    kind = "quadratic" if quadratic else ("rehearsed" if name.startswith("newton") else "modelled")
    low, high = STEP_SPREAD[kind]
    interval = (float(np.floor(low * seen.steps)), float(np.ceil(high * seen.steps + 1)))
    return Prediction(
        method=name,
        steps=seen.steps,
        steps_interval=interval,
        seconds=seconds,
        seconds_interval=(SECONDS_SPREAD[0] * low * seconds, SECONDS_SPREAD[1] * high * seconds),
        passes=seen.passes,
        bytes=_bytes(problem, name),
        basis=seen.basis,
        curve=seen.curve,
    )


def _bytes(problem: FiniteSum, name: str) -> float:
    """Memory beside the data: margins, slopes and curvature of every row, and what the method keeps."""
    p, rows = problem.size, 8.0 * 5 * problem.n * problem.classes
    kept = {"newton": 3.0 * p * p, "l-bfgs": 2.0 * 20 * p}.get(name, 0.0) + 6.0 * p
    return rows + 8.0 * kept


def _why(row: Prediction, best: Prediction) -> str:
    if row.method == best.method:
        return f"fewest seconds; {row.passes:.0f} passes over the data"
    if not np.isfinite(row.seconds):
        return "not expected to reach the target"
    cost = f"{row.seconds / best.seconds:.3g}x the seconds: {row.passes:.3g} passes against {best.passes:.0f}"
    if row.bytes > 4 * best.bytes:
        cost += f", {row.bytes / best.bytes:.1f}x the memory"
    return cost


def _unmeasured() -> bool:
    """Whether the profile would have to be measured now: a sure method does not wait for that."""
    return machine_profile.cache_info().currsize == 0
