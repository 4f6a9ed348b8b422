"""``fit``: from a table and a loss to a certified solution in the user's units."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from thalweg.core.check import checked_number
from thalweg.core.errors import InputError
from thalweg.core.plan import Diagnosis, Plan, Prediction
from thalweg.core.records import Certificate, Cost, Solution, Status, Trace
from thalweg.data import Table, load_table, split_rows
from thalweg.methods import Method
from thalweg.planning.encode import curvature_notes, encode, feature_matrix
from thalweg.planning.rank import (
    MAX_DENSE_PARAMETERS,
    MAX_QUICK_PARAMETERS,
    Prospect,
    make_plan,
    sure_plan,
    typical_plan,
    warm_newton,
)
from thalweg.planning.run import UNTUNED, Listener, find_method, run
from thalweg.problems import (
    ChangedProblem,
    FiniteSum,
    Loss,
    Standardizing,
    Target,
)
from thalweg.theory import diagnose

#: Default target for f - f*, as a share of f(0).
RELATIVE_TARGET = 1e-8
#: Steps allowed unless the caller says otherwise: first-order methods may need many cheap ones.
MAX_STEPS = 1_000_000
#: Rows below which a held-out score says nothing.
LEAST_ROWS = 10
#: The reason of a plan whose method the caller named.
ASKED = "asked for by name"


@dataclass(frozen=True)
class HeldOut:
    """A score on rows that were not used, beside the one on the rows that were.

    Attributes:
        measure: ``"accuracy"`` or ``"R^2"``.
        training: The score on the training rows of the split.
        held_out: The score on the held-out rows.
        rows: Number of held-out rows.
        seed: Seed of the split.

    """

    measure: str
    training: float
    held_out: float
    rows: int
    seed: int

    def __str__(self) -> str:
        return (
            f"{self.measure} {self.held_out:.4f} on {self.rows} held-out rows (seed {self.seed}), "
            f"{self.training:.4f} on the rows trained on"
        )


@dataclass(frozen=True, eq=False)
class Fit:
    """A fitted linear model with its certificate.

    Attributes:
        coef: Coefficients in the units of the given features, shape (d,), or (classes, d) for class targets.
        intercept: A number, or shape (classes,) for class targets; the latter sum to zero.
        classes: The labels in the order of the columns (two for sign targets: the second is +1); None for numbers.
        loss: The loss's name.
        l2: The ridge weight.
        start_value: f(0), the objective with all parameters zero.
        target: The bound on f - f* that was asked for.
        feature_names: Names of the features.
        target_name: Name of the target.
        notes: What was inferred, and every treatment of the data.
        solution: The run's record; its fields are also attributes here.
        problem: The problem that was solved, in the user's units.
        made_diagnosis: The diagnosis, if one was made before the run.
        made_plan: The plan as it was carried out; ``plan`` adds the methods that were not priced before the run.

    """

    coef: np.ndarray
    intercept: float | np.ndarray
    classes: np.ndarray | None
    loss: str
    l2: float
    start_value: float
    target: float
    feature_names: tuple[str, ...]
    target_name: str
    notes: tuple[str, ...]
    solution: Solution
    problem: FiniteSum
    made_plan: Plan
    made_diagnosis: Diagnosis | None = None

    @cached_property
    def plan(self) -> Plan:
        """Every method ranked with predicted steps, seconds and bytes.

        What was predicted before the first step is kept; methods that were not priced then are priced now, from the
        start alone, so that planning costs a small fit nothing.
        """
        made = self.made_plan
        changed = ChangedProblem(self.problem, Standardizing(self.problem))
        full = make_plan(changed, self.target, made="when it was looked at, from the start alone").plan
        known = {row.method: row for row in made.predictions}
        if set(known) >= {row.method for row in full.predictions}:
            return made
        rows = tuple(_kept(known.get(row.method), row) for row in full.predictions)
        made_when = full.made if not known else f"{made.chosen} before the first step, the others {full.made}"
        return replace(
            full, predictions=rows, chosen=made.chosen, reason=made.reason, made=made_when, revisions=made.revisions
        )

    @cached_property
    def diagnosis(self) -> Diagnosis:
        """The problem's constants and spectra at zero: measured before the run, or now."""
        return diagnose(self.problem) if self.made_diagnosis is None else self.made_diagnosis

    @property
    def x(self) -> np.ndarray:
        """``coef.ravel()`` followed by the intercepts."""
        return self.solution.x

    @property
    def value(self) -> float:
        """The objective at the solution."""
        return self.solution.value

    @property
    def status(self) -> Status:
        """How the run ended."""
        return self.solution.status

    @property
    def certificate(self) -> Certificate:
        """The bound on f - f*."""
        return self.solution.certificate

    @property
    def trace(self) -> Trace:
        """One row a step."""
        return self.solution.trace

    @property
    def cost(self) -> Cost:
        """Steps, passes and seconds."""
        return self.solution.cost

    @property
    def method(self) -> str:
        """The method's name."""
        return self.solution.method

    @property
    def direction(self) -> np.ndarray | None:
        """For separable data, the direction along which the loss keeps falling; laid out like x."""
        return self.solution.direction

    def record(self) -> dict[str, Any]:
        """Everything about this fit as JSON can hold it, for ``tw.report`` and ``tw.plot``."""
        from thalweg.planning.record import fit_record  # the record is written from a finished fit

        return fit_record(self)

    def _repr_html_(self) -> str:
        from thalweg.reports import solution_html

        return solution_html(self.record())

    def __repr__(self) -> str:
        return f"Fit({self.loss} loss, l2={self.l2:.3g}, {self.coef.shape[-1]} features, {self.solution!r})"

    def __str__(self) -> str:
        return f"{self.loss} loss, l2 = {self.l2:.3g}: {self.solution}"

    def decision(self, X: Any) -> np.ndarray:
        """Margins z = Xw + b for rows X of shape (n, d): shape (n,), or (n, classes) for class targets."""
        matrix = feature_matrix(X, self.feature_names)
        return matrix @ self.coef.T + self.intercept

    def predict(self, X: Any) -> np.ndarray:
        """Labels for class and sign targets, the mean of y for the others, shape (n,).

        Args:
            X: Rows of shape (n, d): an array, a sparse matrix, or a frame that has the columns of ``feature_names``.

        Raises:
            InputError: If X has another number of columns.

        """
        z = self.decision(X)
        if self.classes is None:
            mean = self.problem.loss.mean
            return z if mean is None else mean(z)
        return self.classes[z.argmax(axis=1) if z.ndim == 2 else (z > 0).astype(int)]

    def score(self, X: Any, y: Any) -> float:
        """Accuracy for labels, R^2 for numbers."""
        predicted, y = self.predict(X), np.asarray(y)
        if self.classes is not None:
            return float(np.mean(predicted == y))
        spread = float(np.square(y - y.mean()).sum())
        error = float(np.square(y - predicted).sum())
        return 1.0 - error / spread if spread > 0 else float(error == 0)


def fit(
    X: Any,
    y: Any = None,
    *,
    loss: str | Loss | Callable[[Any, Any], Any] | None = None,
    l2: float | None = None,
    target: str | int | None = None,
    sample_weight: Any = None,
    intercept: bool = True,
    tol: float | None = None,
    method: str | None = None,
    x0: np.ndarray | None = None,
    max_steps: int = MAX_STEPS,
    max_seconds: float = np.inf,
    listen: Listener | None = None,
) -> Fit:
    """Fit a linear model and bound its distance from the best one.

    Minimises (1/sum s) sum_i s_i loss(x_i'w + b, y_i) + (l2/2) ||w||^2 over w and a free intercept b.

    Args:
        X: Features (n, d) as an array, sparse matrix or frame; or a table with its target inside: a frame, a path to
            a file, or the name of a built-in set.
        y: Targets, shape (n,): numbers, bool or strings; None if the table holds them.
        loss: A name, or a one-line function of (z, y) such as ``lambda z, y: tw.softplus(-y * z)``. Inferred when
            None: two classes give logistic; text, bool, or at most 20 distinct whole numbers softmax; else squared.
        l2: Ridge weight, at least 0; 1/n when None.
        target: With a table, its target column (default: the last). With y and a function for ``loss``, the domain
            of y: ``"real"``, ``"+-1"``, ``"count"`` or ``"class"`` (default: +-1 for two classes, else real).
        sample_weight: Nonnegative weights s, shape (n,).
        intercept: Whether b is fitted.
        tol: Target for f - f*, in units of the objective; 1e-8 f(0) when None.
        method: A method's name to overrule the choice.
        x0: Start, laid out like ``Fit.x``; zero when None.
        max_steps: Steps allowed.
        max_seconds: Wall-clock seconds allowed.
        listen: Called with every event of the run.

    Returns:
        The fit; ``status`` explains itself and ``certificate`` bounds f - f*.

    Raises:
        InputError: If the data or an argument cannot be used; the message says which, where, and what to do.

    """
    domain = None
    if isinstance(X, Table):
        given = {"y": y, "target": target, "sample_weight": sample_weight}
        unused = [name for name, value in given.items() if value is not None]
        if unused:
            raise InputError(f"{', '.join(unused)} given beside a Table, which has its own", "pass it to load_table")
    if y is not None and target is not None:
        domain, target = Target.parse(str(target)), None
        if loss is None or isinstance(loss, str):
            raise InputError(
                f"target={domain.value!r} is given with y, for a loss that has its own targets",
                "leave target out; it is for a loss of your own",
            )
    if not isinstance(intercept, bool):
        raise InputError(f"intercept={intercept!r}: expected True or False", "leave it out for a free intercept")
    table = X if isinstance(X, Table) else load_table(X, target, y=y, sample_weight=sample_weight)
    prepared = prepare(table, loss=loss, l2=l2, domain=domain, intercept=intercept)
    return solve_prepared(
        prepared, tol=tol, method=method, x0=x0, max_steps=max_steps, max_seconds=max_seconds, listen=listen
    )


@dataclass(frozen=True, eq=False)
class Prepared:
    """A table turned into a problem, with all input checked and nothing solved yet.

    Attributes:
        table: The checked table.
        problem: The finite sum.
        classes: Labels, or None for numbers.
        notes: What was inferred and treated.

    """

    table: Table
    problem: FiniteSum
    classes: np.ndarray | None
    notes: tuple[str, ...]


def prepare(
    table: Table,
    *,
    loss: str | Loss | Callable[[Any, Any], Any] | None = None,
    l2: float | None = None,
    domain: Target | None = None,
    intercept: bool = True,
) -> Prepared:
    """Infer what was not given, encode the target and build the problem.

    Raises:
        InputError: If the target does not fit the loss, or an argument is out of range.

    """
    row, y, classes, notes = encode(table.y, loss, domain, table.target_name)
    problem = FiniteSum(table.X, y, row, l2, table.sample_weight, intercept)
    if classes is not None and not isinstance(problem.share, float):
        used = np.unique(problem.y[problem.share > 0])
        if len(used) < 2:
            raise InputError(
                f"target {table.target_name!r} has one class among the rows of positive weight",
                "give rows of at least two classes a positive weight",
            )
    notes += curvature_notes(row)
    if l2 is None:
        notes += (f"l2 = 1/n = {problem.l2:.3g}, since none was given",)
    return Prepared(table, problem, classes, table.notes + notes)


def solve_prepared(
    prepared: Prepared,
    *,
    tol: float | None = None,
    method: str | None = None,
    x0: np.ndarray | None = None,
    max_steps: int = MAX_STEPS,
    max_seconds: float = np.inf,
    seed: int = 0,
    prospect: Prospect | None = None,
    diagnosis: Diagnosis | None = None,
    listen: Listener | None = None,
) -> Fit:
    """Choose a method for a prepared problem, run it and record the result.

    Args:
        prepared: What ``prepare`` returned.
        tol: As for ``fit``.
        method: As for ``fit``.
        x0: As for ``fit``.
        max_steps: As for ``fit``.
        max_seconds: As for ``fit``.
        seed: Seed of the rows that planning rehearses on.
        prospect: A plan made earlier; one is made when None.
        diagnosis: A diagnosis made earlier; one is made when it is asked for.
        listen: As for ``fit``.

    """
    problem = prepared.problem
    if tol is not None:
        tol = checked_number("tol", tol, "it is a target for f - f*: leave it out for 1e-8 f(0)")
    if checked_number("max_steps", max_steps, "leave it out for a million") != int(max_steps):
        raise InputError(f"max_steps={max_steps!r}: expected a whole number", "leave it out for a million")
    max_seconds = checked_number("max_seconds", max_seconds, "leave it out for no limit", allow_infinity=True)
    start_value = checked_start_value(problem)
    wanted = RELATIVE_TARGET * abs(start_value) if tol is None else tol
    changed = ChangedProblem(problem, Standardizing(problem))
    if prospect is None:
        prospect = look_ahead(changed, wanted, seed) if method is None else overruled(changed, wanted, method, seed)
    elif method is not None:
        plan = replace(prospect.plan, chosen=find_method(method).name, reason=ASKED)
        prospect = replace(prospect, plan=plan)
    plan, chosen = prospect.plan, prospect
    start = np.zeros(changed.size)
    if x0 is not None:
        start = changed.change.inverse(_checked_start(x0, problem))
    warm = x0 is None and prospect.warm and changed.at(prospect.minimum).value < start_value
    if warm and plan.chosen == "newton":
        start = prospect.minimum

    def make(name: str) -> Method:
        return warm_newton(chosen) if name == "newton" and warm else chosen.method(name)

    solution, plan = run(
        changed, plan, make, start,
        max_steps=max_steps, max_seconds=max_seconds, fixed=method is not None, renew=chosen.renew, listen=listen,
    )  # fmt: skip
    solution = _in_user_units(problem, changed.change, solution)
    coefficients, intercepts = problem.split(solution.x)
    single = problem.loss.target is not Target.CLASS
    return Fit(
        coef=coefficients[0] if single else coefficients,
        intercept=float(intercepts[0]) if single else intercepts,
        classes=prepared.classes,
        loss=problem.loss.name,
        l2=problem.l2,
        start_value=start_value,
        target=wanted,
        feature_names=prepared.table.feature_names,
        target_name=prepared.table.target_name,
        notes=prepared.notes,
        solution=solution,
        problem=problem,
        made_plan=plan,
        made_diagnosis=diagnosis,
    )


def _kept(old: Prediction | None, new: Prediction) -> Prediction:
    """The prediction made before the run, with what only a full plan prices added in proportion."""
    if old is None:
        return new
    factor = old.steps / max(new.steps, 1.0)
    low, high = (end / max(old.steps, 1.0) for end in old.steps_interval)
    seconds = factor * new.seconds
    curve = factor * new.curve[0], new.curve[1]
    return replace(
        old,
        curve=curve,
        seconds=seconds,
        seconds_interval=(low * seconds, high * seconds),
        passes=factor * new.passes,
        bytes=new.bytes,
    )


def checked_start_value(problem: FiniteSum) -> float:
    """f(0).

    Raises:
        InputError: If it is not finite.

    """
    with np.errstate(over="ignore", invalid="ignore"):
        value = problem.at(problem.start()).value
    if not np.isfinite(value):
        raise InputError("the objective at zero is not finite", "check the loss at z = 0 and the scale of y")
    return value


def _in_user_units(problem: FiniteSum, change: Standardizing, solution: Solution) -> Solution:
    direction = None
    if solution.direction is not None:
        direction = change.forward(solution.direction)
        direction = direction / np.linalg.norm(direction)
    return replace(solution, x=problem.centred(change.forward(solution.x)), direction=direction)


def overruled(problem: ChangedProblem, target: float, name: str, seed: int) -> Prospect:
    """A plan for a method that was asked for by name; only methods that need constants cost a rehearsal."""
    find_method(name)
    if name in UNTUNED:
        plan = Plan(target, (), name, ASKED, 0.0)
        return Prospect(plan, None, 1.0, 1.0, problem.base.constant_curvature)
    prospect = make_plan(problem, target, seed=seed)
    return replace(prospect, plan=replace(prospect.plan, chosen=name, reason=ASKED))


def look_ahead(problem: ChangedProblem, target: float, seed: int) -> Prospect:
    """A plan that costs less than it saves: the sure method where the work is small, else a rehearsal."""
    sure = sure_plan(problem.base, target)
    if sure is not None:
        return Prospect(sure, None, 1.0, 1.0, problem.base.constant_curvature)
    if problem.size > MAX_QUICK_PARAMETERS:
        return Prospect(typical_plan(problem.base, target), None, 1.0, 1.0, problem.base.constant_curvature)
    return make_plan(problem, target, seed=seed, quick=True)


def held_out_score(prepared: Prepared, fitted: Fit, seed: int, share: float = 0.2) -> HeldOut | None:
    """Fit again on part of the rows and score both parts; None where a part would lack a class.

    The second fit starts from the first: its certificate, not its start, decides where it ends.
    """
    table, problem = prepared.table, prepared.problem
    labelled = prepared.classes is not None
    if problem.n < LEAST_ROWS:
        return None
    train, test = split_rows(problem.n, seed, share, problem.y if labelled else None, stratify=labelled)
    if labelled and len(np.unique(problem.y[train])) < len(prepared.classes):  # type: ignore[arg-type]
        return None
    weights = None if table.sample_weight is None else table.sample_weight[train]
    if weights is not None and weights.sum() == 0:
        return None
    part = FiniteSum(problem.rows.take(train), problem.y[train], problem.loss, fitted.l2, weights, problem.intercept)
    # Newton's method, by factor or by products: a second fit is not planned again.
    method = "newton" if problem.size <= MAX_DENSE_PARAMETERS else "newton-cg"
    inner = solve_prepared(Prepared(table, part, prepared.classes, ()), x0=fitted.x, method=method)
    if inner.status is Status.INTERRUPTED:
        raise KeyboardInterrupt
    if not inner.status.success:
        return None
    measure = "accuracy" if labelled else "R^2"
    return HeldOut(
        measure,
        inner.score(table.X[train], table.y[train]),
        inner.score(table.X[test], table.y[test]),
        len(test),
        seed,
    )


def _checked_start(x0: np.ndarray, problem: FiniteSum) -> np.ndarray:
    x0 = np.asarray(x0, dtype=np.float64)
    if x0.shape != (problem.size,) or not np.isfinite(x0).all():
        raise InputError(
            f"x0 has shape {x0.shape}; expected {problem.size} finite numbers", "pass fit.x of an earlier fit"
        )
    return x0
