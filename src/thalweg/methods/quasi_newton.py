"""Quasi-Newton methods: curvature learned from successive gradients, in a full matrix or in the last few pairs.

A pair is s = x_{k+1} - x_k with y = g_{k+1} - g_k.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Literal

import numpy as np

from thalweg.core.errors import InputError
from thalweg.core.vector import flat, like
from thalweg.methods.composed import Descent
from thalweg.methods.direction import Direction, Proposal, first_trial
from thalweg.methods.limited import FIRST_FLATTEN, LimitedMemory
from thalweg.methods.method import Method, State
from thalweg.methods.metric import LocalMetric
from thalweg.methods.search import FixedStep, Search, StrongWolfe
from thalweg.methods.secant import LEAST_CURVATURE, bfgs_inverse, dfp_inverse, powell_damped

#: Parameters up to which a matrix is carried along.
LARGEST_MATRIX = 10_000
#: Updates, in multiples of the number of parameters, at which an inverse that is too small may still be rescaled.
RESCALED_UPDATES = 2
UPDATES = {"bfgs": bfgs_inverse, "dfp": dfp_inverse}


# --- Directions from a full matrix ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Secant(Direction):
    """-C g with C made from all pairs so far by BFGS or DFP.

    The first C is (s'y / y'A^-1 y) A^-1 of the metric A. During the first 2d updates a C that promises less curvature
    along s than was met, s'y < s'C^-1 s, is first divided by their ratio, so that it is never too small where nothing
    was learned yet. Pairs with s'y not positive are left out, or damped.

    Args:
        update: "bfgs" or "dfp".
        rescaled: Whether C is rescaled during the first 2d updates; after the first pair it always is.
        damped: Whether pairs with s'y < 0.2 s'C^-1 s are damped by Powell's rule, in place of leaving out those with
            s'y <= 0; for searches that do not ensure s'y > 0.

    Source: Nocedal and Wright (2006), section 6.1; Al-Baali, J. Optim. Theory Appl. 96 (1998), 533-553 (rescaling).
    """

    update: Literal["bfgs", "dfp"] = "bfgs"
    rescaled: bool = True
    damped: bool = False
    name: ClassVar[str] = "quasi-Newton"
    needs: ClassVar[frozenset[str]] = frozenset({"value", "gradient", "along"})
    reference: ClassVar[str] = "Nocedal and Wright, Numerical Optimization (2006), section 6.1"
    estimates: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.update not in UPDATES:
            raise InputError(f"update={self.update!r} is not known", f"use one of {', '.join(UPDATES)}")

    def first(self, point: Any, metric: LocalMetric) -> Proposal:
        """-A^-1 g."""
        if point.x.size > LARGEST_MATRIX:
            raise InputError(
                f"a matrix for {point.x.size} parameters takes {8e-9 * point.x.size**2:.1f} GB",
                "use LBFGS(), which keeps a few pairs",
            )
        direction = metric.steepest(point.gradient)
        return Proposal(direction, 1.0 if metric.natural else first_trial(direction), FIRST_FLATTEN)

    def following(self, state: State, step_size: float, point: Any, metric: LocalMetric) -> Proposal:
        """-C g after one more pair."""
        before, gradient = flat(state.point.gradient), flat(point.gradient)
        s, y = flat(point.x) - flat(state.point.x), gradient - before
        inverse, updates = state.memory["learned"].get("inverse"), state.memory["learned"].get("updates", 0)
        model = -step_size * float(s @ before)  # s'C^-1 s, since s = -t C g
        if self.damped and model > 0:
            y = powell_damped(s, y, -step_size * before)
        curvature = float(s @ y)
        if curvature > LEAST_CURVATURE * math.sqrt(float(s @ s) * float(y @ y)):
            updates += 1
            if inverse is None:
                inverse = _first_inverse(point, metric, curvature, y)
            elif self.rescaled and updates <= RESCALED_UPDATES * s.size and curvature < model:
                inverse = inverse * (model / curvature)
            inverse = UPDATES[self.update](inverse, s, y)
        if inverse is None:
            return self.first(point, metric)
        direction = like(point.x, -(inverse @ gradient))
        return Proposal(direction, memory={"inverse": inverse, "updates": updates})


def _first_inverse(point: Any, metric: LocalMetric, curvature: float, y: np.ndarray) -> np.ndarray:
    """(s'y / y'A^-1 y) A^-1: the metric's matrix at the scale that the first pair shows."""
    if metric.inverse is None:
        return np.diag(np.full(y.size, curvature / float(y @ y)))
    columns = [flat(metric.inverse(like(point.x, e))) for e in np.eye(y.size)]
    inverse = np.stack(columns)
    inverse = 0.5 * (inverse + inverse.T)
    return inverse * (curvature / float(y @ inverse @ y))


# --- BFGS -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class BFGS(Method):
    """x <- x - t C g with the inverse Hessian C from all pairs by the BFGS update, t a strong Wolfe step.

    Memory O(d^2); one evaluation a step or few more. Nothing to tune. Rate: superlinear near a minimum with positive
    definite Hessian. The case ``Descent(Secant("bfgs"), StrongWolfe(curvature=0.7))``.
    Source: Nocedal and Wright, Numerical Optimization (2006), section 6.1 and theorem 6.6.

    Args:
        search: How far to go; other searches than strong Wolfe call for ``damped``.
        damped: Whether pairs of too little curvature are damped by Powell's rule.

    """

    search: Search = StrongWolfe(curvature=0.7)
    damped: bool = False
    name: ClassVar[str] = "bfgs"
    needs: ClassVar[frozenset[str]] = Secant.needs
    reference: ClassVar[str] = "Nocedal and Wright, Numerical Optimization (2006), section 6.1"
    estimates: ClassVar[bool] = True

    @cached_property
    def _composed(self) -> Descent:
        return Descent(Secant("bfgs", damped=self.damped), self.search)

    def init(self, point: Any) -> State:
        """Steepest descent first."""
        return self._composed.init(point)

    def step(self, state: State) -> State:
        """Search along -C g, then update C."""
        return self._composed.step(state)


# --- DFP ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class DFP(Method):
    """x <- x - t C g with the inverse Hessian C from all pairs by the DFP update, t close to the minimum on the line.

    BFGS with B and C exchanged: it recovers slowly from a C that is too large, so that it wants long searches and is
    left without rescaling. Memory O(d^2). Nothing to tune. Rate: superlinear with exact steps.
    Source: Davidon (1959), SIAM J. Optim. 1 (1991), 1-17; Nocedal and Wright (2006), section 6.1.

    Args:
        search: How far to go.
        damped: Whether pairs of too little curvature are damped by Powell's rule.

    """

    search: Search = StrongWolfe(curvature=0.1)
    damped: bool = False
    name: ClassVar[str] = "dfp"
    needs: ClassVar[frozenset[str]] = Secant.needs
    reference: ClassVar[str] = "Davidon, SIAM Journal on Optimization 1 (1991), 1-17"
    estimates: ClassVar[bool] = True

    @cached_property
    def _composed(self) -> Descent:
        return Descent(Secant("dfp", rescaled=False, damped=self.damped), self.search)

    def init(self, point: Any) -> State:
        """Steepest descent first."""
        return self._composed.init(point)

    def step(self, state: State) -> State:
        """Search along -C g, then update C."""
        return self._composed.step(state)


# --- L-BFGS ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class LBFGS(Method):
    """Limited-memory BFGS: the inverse Hessian from the last ``memory`` pairs.

    Memory O(memory d); one evaluation a step or few more. Nothing to tune. Rate: linear.
    With ``step_size`` there is no search: every step is that long, the first one shortened by min(1, 1/|g|_1), as in
    torch.optim.LBFGS(lr=step_size, history_size=memory, line_search_fn=None).
    Source: Liu and Nocedal, Mathematical Programming 45 (1989), 503-528.

    Args:
        memory: Pairs kept.
        step_size: A fixed step; a strong Wolfe step when None.

    """

    memory: int = 20
    step_size: float | None = None
    name: ClassVar[str] = "l-bfgs"
    needs: ClassVar[frozenset[str]] = LimitedMemory.needs
    reference: ClassVar[str] = "Liu and Nocedal, Mathematical Programming 45 (1989), 503-528"
    estimates: ClassVar[bool] = True

    def __post_init__(self) -> None:
        _ = self._composed

    @cached_property
    def _composed(self) -> Descent:
        if self.step_size is None:
            return Descent(LimitedMemory(self.memory), StrongWolfe(curvature=0.7))
        return Descent(LimitedMemory(self.memory, taxicab=True), FixedStep(self.step_size, gentle_start=True))

    def init(self, point: Any) -> State:
        """Steepest descent first."""
        return self._composed.init(point)

    def step(self, state: State) -> State:
        """Search along -C g, then update the pairs."""
        return self._composed.step(state)
