"""How many steps a method will take, foreseen from a rehearsal.

Worst-case bounds are off by large factors either way, and the Hessian at the start misses how curvature decays on the
way to the minimum (by 2 to 40 times on nearly separable data). So a share of the rows is solved first: its minimum
x' and the Hessian there say what the last, longest phase of a run looks like. Every first-order method commutes with
rotations, so on the quadratic model at x' it acts on eigenvalues alone: the method's own code runs on the diagonal
model, or a closed form takes its place.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from thalweg.core.records import Solution, Status
from thalweg.linalg import lanczos
from thalweg.methods import METHODS, GradientDescent, drive
from thalweg.methods.method import Method
from thalweg.problems import ChangedProblem, FiniteSum
from thalweg.theory.on_spectrum import steps_on_spectrum

#: Steps that a method is followed on the diagonal model before its rate is extrapolated.
MAX_FOLLOWED = 5_000
#: Parameters up to which the Hessian at the rehearsed minimum is diagonalised, and products spent on it beyond.
MAX_DENSE, MAX_PRODUCTS = 700, 60
#: Newton steps allowed to a rehearsal.
MAX_REHEARSAL_STEPS = 60
#: Newton steps of the whole problem that sharpen a rehearsed minimum where they are cheap.
MAX_REFINING_STEPS = 6


@dataclass(frozen=True, eq=False)
class Rehearsal:
    """What a fit on some of the rows has shown.

    Attributes:
        rows: How many rows.
        point: The minimum found, in the methods' variables; its Hessian is that of the last phase of any run.
        start: Where these rows were started from: zero.
        runs: The records of the methods that were run on these rows.
        modes: Eigenvalues (size,) and eigenvectors (size, size) of the Hessian there; None where it is too large.

    """

    rows: int
    point: Any
    start: Any
    runs: dict[str, Solution]
    modes: tuple[np.ndarray, np.ndarray] | None

    @property
    def minimum(self) -> np.ndarray:
        """The minimum found, shape (size,)."""
        return np.asarray(self.point.x)

    @property
    def curvatures(self) -> np.ndarray:
        """The curvatures there from mu to L, ascending: all, or those of a Gauss rule."""
        return self.seen_from(np.zeros(len(self.minimum)))[0]

    def at(self, point: Any, start: Any) -> Rehearsal:
        """The same with its minimum, and its start, as points of a problem in other variables."""
        return replace(self, point=point, start=start, modes=_modes(point))

    def seen_from(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Eigenvalues, and how far x is from the minimum along each: exactly, or as a Gauss rule of the difference."""
        away = x - self.minimum
        if self.modes is not None:
            return self.modes[0], self.modes[1].T @ away
        start = away if away.any() else None
        rule = lanczos(self.point.hvp, len(away), 0, steps=MAX_PRODUCTS, start=start).quadrature
        nodes = np.maximum(rule.nodes, rule.nodes[-1] * 1e-12)
        return nodes, np.sqrt(rule.weights * rule.norm_squared) * float(away.any())


@dataclass(frozen=True, eq=False)
class Foresight:
    """Expected steps and the expected gap on the way.

    Attributes:
        steps: Steps to the target.
        passes: Passes over the data.
        curve: Steps and f - f*, each (m,).
        basis: What it rests on.
        interval: Lower and upper end of the steps, where the way it was obtained tells them.

    """

    steps: float
    passes: float
    curve: tuple[np.ndarray, np.ndarray]
    basis: str
    interval: tuple[float, float] | None = None


def nothing(why: str) -> Foresight:
    """No prediction, and why."""
    return Foresight(math.nan, math.nan, (np.zeros(0), np.zeros(0)), f"none: {why}")


def rehearse(
    problem: ChangedProblem, target: float, rows: np.ndarray | None, methods: tuple[str, ...], refine: bool
) -> Rehearsal:
    """Solve on some rows, and see what curvature is like at the minimum.

    Args:
        problem: The whole problem in the methods' variables.
        target: The gap that predictions are for.
        rows: Indices of the rows to rehearse on; None for all.
        methods: Methods to run on these rows, the first of which finds the minimum.
        refine: Take a few Newton steps of the whole problem from the rehearsed minimum, and measure curvature there.

    """
    base, change = problem.base, problem.change
    part = problem
    if rows is not None:
        share = None if isinstance(base.share, float) else base.share[rows]
        sample = FiniteSum(base.rows.take(rows), base.y[rows], base.loss, base.l2, share, base.intercept)
        sample.classes, sample.size = base.classes, base.size  # a class may be missing among the rows
        part = ChangedProblem(sample, change)
    zero = np.zeros(problem.size)
    runs = {name: _solution(part, METHODS[name], zero, target) for name in methods}
    point = part.at(runs[methods[0]].x)
    if refine and rows is not None:
        point = problem.at(_solution(problem, METHODS[methods[0]], point.x, target, MAX_REFINING_STEPS).x)
    return Rehearsal(base.n if rows is None else len(rows), point, part.at(zero), runs, _modes(point))


def _modes(point: Any) -> tuple[np.ndarray, np.ndarray] | None:
    """Eigenvalues and eigenvectors of a small Hessian."""
    if len(point.x) > MAX_DENSE:
        return None
    eigenvalues, basis = np.linalg.eigh(point.hessian)
    return np.maximum(eigenvalues, max(float(eigenvalues[-1]), 0.0) * 1e-15), basis


def foresee(rehearsal: Rehearsal, method: Method, x: np.ndarray, target: float) -> Foresight:
    """Expected steps of a method from x to the target.

    Args:
        rehearsal: What the rehearsal has shown.
        method: The method, tuned.
        x: Where it starts, in the methods' variables.
        target: Wanted gap.

    """
    shown = f"rehearsal on {rehearsal.rows} rows"
    if method.name in rehearsal.runs:
        run = rehearsal.runs[method.name]
        gaps = run.trace["gap"]
        reached = np.flatnonzero(gaps <= target)
        last = int(reached[0]) if len(reached) else run.cost.steps
        if not len(reached) and run.status not in (Status.CONVERGED, Status.PRECISION_FLOOR, Status.SEPARABLE):
            return Foresight(math.inf, math.inf, (np.arange(last + 1.0), gaps[: last + 1]), f"{shown} did not end")
        return Foresight(last, float(run.trace["passes"][last]), (np.arange(last + 1.0), gaps[: last + 1]), shown)
    eigenvalues, away = rehearsal.seen_from(x)
    if not eigenvalues[-1] > 0:
        return Foresight(math.inf, math.inf, (np.zeros(0), np.zeros(0)), f"{shown} met no positive curvature")
    while isinstance(method, GradientDescent) and (method.step_size or 0.0) * eigenvalues[-1] >= 2:
        # As the method does where curvature has grown beyond 1/step on the way.
        method = replace(method, step_size=(method.step_size or 0.0) / 2)
    expected = steps_on_spectrum(method, eigenvalues, away, max(target, 1e-300))
    steps, curve = expected.steps, expected.curve
    return Foresight(steps, 2.0 * (steps + 1), curve, f"{shown}; the method on the eigenvalues at its minimum")


def foresee_rest(
    rehearsal: Rehearsal, method: Method, x: np.ndarray, gap: float, steps_done: int, target: float
) -> float:
    """Expected steps in all, seen from where a run has come.

    Args:
        rehearsal: What the rehearsal has shown.
        method: The method that is running.
        x: Where it stands, in the methods' variables.
        gap: The bound on f - f* there.
        steps_done: Steps it has taken.
        target: Wanted gap.

    """
    if method.name not in rehearsal.runs:
        return steps_done + foresee(rehearsal, method, x, target).steps
    # Where the run stands among the gaps that the rehearsal went through.
    gaps = rehearsal.runs[method.name].trace["gap"]
    passed = int(np.flatnonzero(gaps <= max(gap, float(gaps.min())))[0])
    return steps_done + max(foresee(rehearsal, method, x, target).steps - passed, 0.0)


def bound_on_steps(rate: float, gap: float, target: float) -> float:
    """Steps after which a linear rate is sure to have brought a gap below the target: log(target/gap)/log(rate).

    Args:
        rate: The factor by which f - f* shrinks a step, at worst; stands beside each method's update.
        gap: f - f* at the start, or a bound on it.
        target: Wanted gap.

    """
    if gap <= target:
        return 0.0
    if not 0 < rate < 1 or target <= 0:
        return math.inf
    return float(math.ceil(math.log(target / gap) / math.log(rate)))


def _solution(
    problem: ChangedProblem, method: Method, x: np.ndarray, target: float, steps: int = MAX_REHEARSAL_STEPS
) -> Solution:
    *_, last = drive(problem, method, x, target=target, max_steps=steps)
    solution: Solution = last.solution  # type: ignore[union-attr]
    if solution.status is Status.INTERRUPTED:
        raise KeyboardInterrupt  # a rehearsal is no result: whoever asked for it is interrupted
    return solution
