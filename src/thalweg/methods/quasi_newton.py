"""Quasi-Newton methods: curvature learned from successive gradients, in a full matrix or in the last few pairs.

A pair is s = x_{k+1} - x_k with y = g_{k+1} - g_k.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar, Literal

import numpy as np

from thalweg.core.check import checked_number
from thalweg.core.errors import InputError
from thalweg.core.records import Status
from thalweg.core.vector import Any1D, finite, flat, like, norm
from thalweg.methods.check import check_flag
from thalweg.methods.composed import Descent
from thalweg.methods.direction import Direction, Proposal, first_trial
from thalweg.methods.limited import FIRST_FLATTEN, LimitedMemory
from thalweg.methods.method import Method, State
from thalweg.methods.metric import LocalMetric
from thalweg.methods.search import FixedStep, Search, StrongWolfe
from thalweg.methods.secant import LEAST_CURVATURE, bfgs_inverse, dfp_inverse, powell_damped, sr1_direct
from thalweg.methods.trust_region import trust_region_step

#: Parameters up to which a matrix is carried along.
LARGEST_MATRIX = 10_000
#: Updates, in multiples of the number of parameters, at which an inverse that is too small may still be rescaled.
RESCALED_UPDATES = 2
#: Least |r's|, relative to |r||s|, that a rank-one update is made from.
LEAST_RESIDUAL = 1e-8
#: Share of the promised decrease that a step must bring to be taken.
LEAST_GAIN = 1e-4
#: A rise of f, in units of the decrease that was promised, beyond which a trial is not learned from.
FARTHEST = 100.0
#: Trials of a step before it is given up.
MAX_TRIALS = 60
#: A change of f below so many times its size is rounding.
HIDDEN = 8 * 2.0**-52
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
        if not isinstance(self.update, str) or self.update not in UPDATES:
            raise InputError(f"update={self.update!r} is not known", f"use one of {', '.join(UPDATES)}")
        check_flag("rescaled", self.rescaled)
        check_flag("damped", self.damped)

    def first(self, point: Any, metric: LocalMetric) -> Proposal:
        """-A^-1 g."""
        check_size(point)
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


def check_size(point: Any) -> None:
    """Raise where a matrix over all entries of x would not fit.

    Raises:
        InputError: There are more than 10,000.

    """
    if point.x.size > LARGEST_MATRIX:
        gigabytes = 8e-9 * point.x.size**2
        raise InputError(
            f"a matrix for {point.x.size} parameters takes {gigabytes:.1f} GB", "use LBFGS(), which keeps a few pairs"
        )


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

    def __post_init__(self) -> None:
        _ = self._composed

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

    def __post_init__(self) -> None:
        _ = self._composed

    @cached_property
    def _composed(self) -> Descent:
        return Descent(Secant("dfp", rescaled=False, damped=self.damped), self.search)

    def init(self, point: Any) -> State:
        """Steepest descent first."""
        return self._composed.init(point)

    def step(self, state: State) -> State:
        """Search along -C g, then update C."""
        return self._composed.step(state)


# --- SR1 ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class SR1(Method):
    """x <- x + s with s the least of g's + s'Bs/2 within a radius, B by the symmetric rank-one update.

    B need not be positive definite, which a search along -B^-1 g would require and a trust region does not: negative
    curvature is used. B learns from rejected steps too. The radius doubles where f falls as promised, and halves where
    it does not. Pairs with |r's| < 1e-8 |r||s|, r = y - B s, are left out; the first B is y'y/s'y I.
    Memory O(d^2), eigenvalues of B at each step: O(d^3). Nothing to tune. Rate: superlinear in d + 1 steps.
    Source: Nocedal and Wright, Numerical Optimization (2006), algorithm 6.2; Conn, Gould and Toint, Math. Programming
    50 (1991), 177-195.

    Args:
        radius: The first radius.

    """

    radius: float = 1.0
    name: ClassVar[str] = "sr1"
    needs: ClassVar[frozenset[str]] = frozenset({"value", "gradient"})
    reference: ClassVar[str] = "Conn, Gould and Toint, Mathematical Programming 50 (1991), 177-195"
    estimates: ClassVar[bool] = True

    def __post_init__(self) -> None:
        remedy = "give the length of the first step"
        if checked_number("radius", self.radius, remedy) == 0:
            raise InputError(f"radius={self.radius!r}: expected a number > 0", remedy)

    def init(self, point: Any) -> State:
        """Steepest descent first."""
        check_size(point)
        return self._proposed(point, 0.0, 2.0, None, self.radius)

    def step(self, state: State) -> State:
        """Shrink the region until f falls; every trial updates B. Where none does, forget B and try once more."""
        learned = state.memory["matrix"]
        found, passes = self._tried(state.point, state.direction, learned, state.memory["radius"], 0.0)
        if found is None and learned is not None:
            afresh = _in_region(state.point, None, self.radius)
            found, passes = self._tried(state.point, afresh, None, self.radius, passes)
        return replace(state, failure=Status.LINE_SEARCH_FAILED, passes=passes) if found is None else found

    def _tried(
        self, point: Any, direction: Any1D, matrix: np.ndarray | None, radius: float, passes: float
    ) -> tuple[State | None, float]:
        """The state after the first trial that is taken, if one is, and the passes spent."""
        for _ in range(MAX_TRIALS):
            following = point.problem.at(point.x + direction)
            gradient = following.gradient
            passes += 2.0
            s = flat(direction)
            length = math.sqrt(float(s @ s))
            promised = -float(flat(point.gradient) @ s) - (0.0 if matrix is None else 0.5 * float(s @ matrix @ s))
            gain = (point.value - following.value) / promised if promised > 0 else -math.inf
            # Where f is far above what was promised, the gradient tells nothing of the curvature here.
            if gain > -FARTHEST and finite(gradient):
                matrix = _with_rank_one(matrix, s, flat(gradient) - flat(point.gradient))
            else:
                gain = -math.inf
            rounding = HIDDEN * abs(point.value)
            hidden = promised <= rounding and abs(following.value - point.value) <= rounding
            if gain > 0.75 and length > 0.8 * radius:
                radius *= 2.0
            elif gain < 0.1 and not hidden:
                radius = 0.5 * length
            if gain > LEAST_GAIN or (hidden and norm(gradient) < norm(point.gradient)):
                return self._proposed(following, length, passes, matrix, radius), passes
            if hidden or radius <= 1e-16 * (1.0 + norm(point.x)):
                break
            direction = _in_region(point, matrix, radius)
        return None, passes

    @staticmethod
    def _proposed(point: Any, step_size: float, passes: float, matrix: np.ndarray | None, radius: float) -> State:
        direction = _in_region(point, matrix, radius)
        memory = {"matrix": matrix, "radius": radius}
        decrement = -float(point.gradient @ direction)
        failure = Status.NO_PROGRESS if decrement == 0 else None
        return State(point, direction, decrement, step_size, passes, failure=failure, memory=memory)


def _in_region(point: Any, matrix: np.ndarray | None, radius: float) -> Any1D:
    """The least of the model within the radius; of the slope alone where there is no matrix yet."""
    gradient = flat(point.gradient)
    if matrix is None:
        length = math.sqrt(float(gradient @ gradient))
        step = -gradient * (min(radius / length, 1.0) if length > 0 else 0.0)
    else:
        step = trust_region_step(gradient, matrix, radius).step
    return like(point.x, step)


def _with_rank_one(matrix: np.ndarray | None, s: np.ndarray, y: np.ndarray) -> np.ndarray | None:
    """B after one more pair, or as it was where the update is not well defined."""
    if matrix is None:
        curvature = float(s @ y)
        if not curvature > LEAST_CURVATURE * math.sqrt(float(s @ s) * float(y @ y)):
            return None
        matrix = np.diag(np.full(s.size, float(y @ y) / curvature))
    r = y - matrix @ s
    if abs(float(r @ s)) < LEAST_RESIDUAL * math.sqrt(float(r @ r) * float(s @ s)):
        return matrix
    return sr1_direct(matrix, s, y)


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
        return Descent(LimitedMemory(self.memory, scales=1, taxicab=True), FixedStep(self.step_size, gentle_start=True))

    def init(self, point: Any) -> State:
        """Steepest descent first."""
        return self._composed.init(point)

    def step(self, state: State) -> State:
        """Search along -C g, then update the pairs."""
        return self._composed.step(state)
