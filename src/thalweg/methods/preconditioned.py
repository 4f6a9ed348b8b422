"""Gradient descent in another metric: preconditioned by a matrix, a diagonal, or the Hessian of some examples."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

from thalweg.methods.check import checked_curvatures
from thalweg.methods.composed import Descent
from thalweg.methods.direction import Steepest
from thalweg.methods.method import Method, State
from thalweg.methods.metric import HessianDiagonal, Metric
from thalweg.methods.search import Backtracking, FixedStep


@dataclass(frozen=True)
class PreconditionedGradientDescent(Method):
    """x <- x - t A^-1 grad f(x).

    The same as gradient descent on g(u) = f(P u) with P P' = A^-1. Without a step size t is halved from 1, where A
    comes from the Hessian, until f falls enough.
    Rate: with t = 1/L', (1 - mu'/L')^k in f, where mu' and L' bound the eigenvalues of A^-1/2 H A^-1/2.
    Source: Boyd and Vandenberghe, Convex Optimization (2004), section 9.4.

    Args:
        metric: A: ``HessianDiagonal()``, ``SubsampledHessian(examples)``, ``Diagonal(entries)``, ``Full(matrix)``.
        step_size: A fixed step; searched when None.

    """

    metric: Metric = HessianDiagonal()
    step_size: float | None = None
    name: ClassVar[str] = "preconditioned-gradient-descent"
    reference: ClassVar[str] = "Boyd and Vandenberghe, Convex Optimization (2004), section 9.4"

    def __post_init__(self) -> None:
        _ = self._composed

    @property
    def needs(self) -> frozenset[str]:  # type: ignore[override]
        """What the metric needs beside the gradient."""
        return self._composed.needs

    @cached_property
    def _composed(self) -> Descent:
        search = Backtracking() if self.step_size is None else FixedStep(self.step_size)
        return Descent(Steepest(), search, self.metric)

    def rate(self, largest: float, smallest: float, *, quadratic: bool = False) -> float:
        """The factor by which f - f* shrinks a step of 1/L', at worst.

        Args:
            largest: L', in the metric.
            smallest: mu', in the metric.
            quadratic: Makes no difference.

        """
        largest, smallest = checked_curvatures(largest, smallest)
        return 1 - smallest / largest

    def init(self, point: Any) -> State:
        """-A^-1 g at the start."""
        return self._composed.init(point)

    def step(self, state: State) -> State:
        """Search along -A^-1 g."""
        return self._composed.step(state)
