"""Looking ahead without solving: ``tw.diagnose`` and ``tw.plan``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from thalweg.core.check import checked_number
from thalweg.core.errors import InputError
from thalweg.core.plan import Diagnosis, Plan
from thalweg.data import Table, load_table
from thalweg.planning.fitting import RELATIVE_TARGET, checked_start_value, prepare
from thalweg.planning.rank import Prospect, make_plan
from thalweg.planning.working import checked_problem, checked_start
from thalweg.problems import ChangedProblem, FiniteSum, Loss, Standardizing, Target
from thalweg.problems.given import check_given
from thalweg.theory import diagnose as diagnose_problem
from thalweg.theory import diagnose_point


@dataclass(frozen=True, eq=False)
class Outlook:
    """A diagnosis and a plan of one problem, made before anything is solved.

    Attributes:
        diagnosis: Constants and spectra.
        prospect: The plan with what is needed to carry it out.

    """

    diagnosis: Diagnosis
    prospect: Prospect

    @property
    def plan(self) -> Plan:
        """The ranked methods."""
        return self.prospect.plan


def look(problem: FiniteSum, tol: float | None = None, seed: int = 0) -> Outlook:
    """Diagnose a problem and plan its solution with every method.

    Args:
        problem: The finite sum.
        tol: Target for f - f*; 1e-8 f(0) when None.
        seed: Seed of random vectors and of the rows that are rehearsed on.

    """
    target = RELATIVE_TARGET * abs(checked_start_value(problem))
    diagnosis = diagnose_problem(problem, seed)
    if tol is not None:
        target = checked_number("tol", tol, "it is a target for f - f*: leave it out for 1e-8 f(0)")
    changed = ChangedProblem(problem, Standardizing(problem))
    return Outlook(diagnosis, make_plan(changed, target, seed=seed))


def diagnose(
    X: Any,
    y: Any = None,
    *,
    loss: str | Loss | Callable[[Any, Any], Any] | None = None,
    l2: float | None = None,
    target: str | int | None = None,
    sample_weight: Any = None,
    at: np.ndarray | None = None,
    seed: int = 0,
) -> Diagnosis:
    """Measure L, mu, kappa, gradient noise and spectrum of a learning problem.

    Args:
        X: A ``FiniteSum``, data as for ``fit``, or any problem: ``tw.problem(f, x0)``, a quadratic, a module.
        y: As for ``fit``.
        loss: As for ``fit``.
        l2: As for ``fit``.
        target: As for ``fit``.
        sample_weight: As for ``fit``.
        at: Where to measure, laid out like ``Fit.x``, or like the problem's start; zero, or that start, when None.
        seed: Seed of random vectors.

    Returns:
        The constants with how, where, interval and cost, and both spectra.

    """
    if not isinstance(X, FiniteSum) and _is_meant_as_problem(X):
        found = checked_problem(X)
        settings = {"y": y, "loss": loss, "l2": l2, "target": target, "sample_weight": sample_weight}
        given = [name for name, value in settings.items() if value is not None]
        if given:
            raise InputError(f"{', '.join(given)} given beside {found!r:.60}", "leave it out: that is for data")
        where, x = "at the start" if at is None else "at the given point", checked_start(found, at)
        check_given(found, x)
        return diagnose_point(found, x, where, seed)
    problem = _problem(X, y, loss=loss, l2=l2, target=target, sample_weight=sample_weight)
    return diagnose_problem(problem, seed, at)


def plan(
    X: Any,
    y: Any = None,
    *,
    loss: str | Loss | Callable[[Any, Any], Any] | None = None,
    l2: float | None = None,
    target: str | int | None = None,
    sample_weight: Any = None,
    tol: float | None = None,
    seed: int = 0,
) -> Plan:
    """Predict steps, seconds and bytes of every method for a learning problem, and rank them.

    Args:
        X: A ``FiniteSum``, or data as for ``fit``.
        y: As for ``fit``.
        loss: As for ``fit``.
        l2: As for ``fit``.
        target: As for ``fit``.
        sample_weight: As for ``fit``.
        tol: Target for f - f*; 1e-8 f(0) when None.
        seed: Seed of the rows that are rehearsed on.

    Returns:
        The printable plan.

    """
    problem = _problem(X, y, loss=loss, l2=l2, target=target, sample_weight=sample_weight)
    return look(problem, tol, seed).plan


def _is_meant_as_problem(X: Any) -> bool:
    """Whether it is a problem, has one (as an entry of the zoo), or is what one is made of; data are none of these."""
    at, start, problem = (callable(getattr(X, name, None)) for name in ("at", "start", "problem"))
    return at and start or problem or callable(X)


def _problem(X: Any, y: Any, **settings: Any) -> FiniteSum:
    """The problem itself, or the one that data and settings make."""
    if isinstance(X, FiniteSum):
        given = [name for name, value in {"y": y, **settings}.items() if value is not None]
        if given:
            raise InputError(
                f"{', '.join(given)} given beside a FiniteSum, which has its own", "set them where the problem is made"
            )
        return X
    domain, column = None, settings.pop("target")
    if y is not None and column is not None:
        domain, column = Target.parse(str(column)), None
    table = X if isinstance(X, Table) else load_table(X, column, y=y, sample_weight=settings.pop("sample_weight"))
    return prepare(table, loss=settings["loss"], l2=settings["l2"], domain=domain).problem
