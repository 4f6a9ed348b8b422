"""Looking ahead without solving: ``tw.diagnose`` and ``tw.plan``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from thalweg.core.check import checked_number
from thalweg.core.plan import Diagnosis, Plan
from thalweg.data import Table, load_table
from thalweg.planning.fitting import RELATIVE_TARGET, Prepared, prepare
from thalweg.planning.rank import Prospect, make_plan
from thalweg.problems import ChangedProblem, FiniteSum, Loss, Standardizing, Target
from thalweg.theory import diagnose as diagnose_problem


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
    diagnosis = diagnose_problem(problem, seed)
    target = RELATIVE_TARGET * abs(problem.at(problem.start()).value)
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
        X: A ``FiniteSum``, or data as for ``fit``.
        y: As for ``fit``.
        loss: As for ``fit``.
        l2: As for ``fit``.
        target: As for ``fit``.
        sample_weight: As for ``fit``.
        at: Where to measure, laid out like ``Fit.x``; zero when None.
        seed: Seed of random vectors.

    Returns:
        The constants with how, where, interval and cost, and both spectra.

    """
    problem = X if isinstance(X, FiniteSum) else _prepared(X, y, loss, l2, target, sample_weight).problem
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
    problem = X if isinstance(X, FiniteSum) else _prepared(X, y, loss, l2, target, sample_weight).problem
    return look(problem, tol, seed).plan


def _prepared(
    X: Any,
    y: Any,
    loss: str | Loss | Callable[[Any, Any], Any] | None,
    l2: float | None,
    target: str | int | None,
    sample_weight: Any,
) -> Prepared:
    domain = None
    if y is not None and target is not None:
        domain, target = Target.parse(str(target)), None
    table = X if isinstance(X, Table) else load_table(X, target, y=y, sample_weight=sample_weight)
    return prepare(table, loss=loss, l2=l2, domain=domain)
