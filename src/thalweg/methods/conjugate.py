"""Conjugate gradients: linear on quadratics, nonlinear elsewhere; three numbers of memory beside a direction."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

from thalweg.core.errors import InputError
from thalweg.core.vector import norm
from thalweg.methods.check import checked_curvatures
from thalweg.methods.composed import Descent
from thalweg.methods.direction import Direction, Proposal, first_trial, repeated_decrease
from thalweg.methods.method import Method, State
from thalweg.methods.metric import Euclidean, LocalMetric, Metric
from thalweg.methods.search import ExactStep, Search

FORMULAS = ("fletcher-reeves", "polak-ribiere", "hager-zhang")
#: Successive gradients whose cosine is larger are far from orthogonal: conjugacy is lost, and the direction restarts.
LEAST_ORTHOGONAL = 0.9
#: eta of Hager and Zhang's lower bound on beta.
TRUNCATION = 0.4


@dataclass(frozen=True)
class Conjugate(Direction):
    """d <- -A^-1 g + beta d, with beta so that on a quadratic and with exact steps directions are conjugate.

    Fletcher and Reeves: g+'z+ / g'z; Polak and Ribiere: max(0, (g+ - g)'z+ / g'z); Hager and Zhang:
    (y'z+ - 2 (d'g+) y'A^-1 y / d'y) / d'y with y = g+ - g, not below -1/(|d| min(0.4, |g|)). z = A^-1 g. A direction
    that would not descend, or gradients that are far from orthogonal after a whole round of steps, start anew from -z.
    Source: Hestenes and Stiefel (1952); Hager and Zhang, SIAM J. Optim. 16 (2005), 170-192; Nocedal and Wright (2006),
    section 5.2.

    Args:
        formula: ``"fletcher-reeves"``, ``"polak-ribiere"`` or ``"hager-zhang"``; the same on quadratics.

    """

    formula: str = "hager-zhang"
    name: ClassVar[str] = "conjugate gradients"
    needs: ClassVar[frozenset[str]] = frozenset({"value", "gradient", "along"})
    reference: ClassVar[str] = "Hager and Zhang, SIAM Journal on Optimization 16 (2005), 170-192"

    def __post_init__(self) -> None:
        if self.formula not in FORMULAS:
            raise InputError(f"formula={self.formula!r} is not known", f"use one of {', '.join(FORMULAS)}")

    def first(self, point: Any, metric: LocalMetric) -> Proposal:
        """-A^-1 g."""
        direction = metric.steepest(point.gradient)
        return Proposal(direction, 1.0 if metric.natural else first_trial(direction))

    def following(self, state: State, step_size: float, point: Any, metric: LocalMetric) -> Proposal:
        """-A^-1 g + beta d; the search starts at the step that would repeat the last decrease."""
        gradient, before, d = point.gradient, state.point.gradient, state.direction
        z: Any = -metric.steepest(gradient)
        beta = self._beta(gradient, before, z, d, metric)
        direction = beta * d - z
        slope = float(gradient @ direction)
        steep = float(gradient @ z)
        if not slope < -1e-10 * steep:
            direction = -z
        return Proposal(direction, repeated_decrease(state, step_size, point, direction))

    def _beta(self, gradient: Any, before: Any, z: Any, d: Any, metric: LocalMetric) -> float:
        z_before: Any = -metric.steepest(before)
        square = float(before @ z_before)
        if not square > 0:
            return 0.0
        across = float(before @ z)
        if self.formula == "fletcher-reeves":
            # Powell's restart: without it one bad direction is kept for long.
            return 0.0 if abs(across) > LEAST_ORTHOGONAL * float(gradient @ z) else float(gradient @ z) / square
        if self.formula == "polak-ribiere":
            return max(0.0, (float(gradient @ z) - across) / square)
        y = gradient - before
        curvature = float(d @ y)
        if not curvature > 0:
            return 0.0
        beta = (float(y @ z) - 2 * float(d @ gradient) * float(y @ (z - z_before)) / curvature) / curvature
        return max(beta, -1.0 / max(norm(d) * min(TRUNCATION, norm(before)), 1e-300))


@dataclass(frozen=True)
class ConjugateGradients(Method):
    """x <- x + t d along conjugate directions.

    On a quadratic it is the linear method: the least f over the Krylov space, done after as many steps as A has
    distinct eigenvalues. Elsewhere t flattens the slope tenfold. Memory O(d). Nothing to tune.
    Rate, on quadratics: ||x_k - x*||_A <= 2 ((sqrt(kappa) - 1)/(sqrt(kappa) + 1))^k ||x_0 - x*||_A.
    Source: Hestenes and Stiefel (1952); Nocedal and Wright, Numerical Optimization (2006), equation 5.36 and
    section 5.2.

    Args:
        formula: Of beta; see ``Conjugate``.
        metric: Preconditioner.
        search: How far to go.

    """

    formula: str = "hager-zhang"
    metric: Metric = Euclidean()
    search: Search = ExactStep(0.1)
    name: ClassVar[str] = "conjugate-gradients"
    needs: ClassVar[frozenset[str]] = Conjugate.needs
    reference: ClassVar[str] = "Nocedal and Wright, Numerical Optimization (2006), chapter 5"

    def __post_init__(self) -> None:
        _ = self._composed

    @cached_property
    def _composed(self) -> Descent:
        return Descent(Conjugate(self.formula), self.search, self.metric)

    def rate(self, largest: float, smallest: float, *, quadratic: bool = False) -> float:
        """The factor by which f - f* shrinks a step on a quadratic, asymptotically."""
        largest, smallest = checked_curvatures(largest, smallest)
        root = (smallest / largest) ** 0.5
        return ((1 - root) / (1 + root)) ** 2 if quadratic else float("nan")

    def init(self, point: Any) -> State:
        """Steepest descent first."""
        return self._composed.init(point)

    def step(self, state: State) -> State:
        """Search along the direction, then propose a conjugate one."""
        return self._composed.step(state)
