"""First-order methods: gradient descent, heavy ball, Nesterov's method with restarts.

Each section holds the update, its tuning from the constants L and mu, and its rate.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from thalweg.core.errors import InputError
from thalweg.core.records import Status
from thalweg.methods.method import State

EPS = float(np.finfo(np.float64).eps)
#: A step that raises the objective is halved at most this often before the run is called diverged.
MAX_HALVINGS = 60


def _start(point: Any, step_size: float | None, name: str) -> State:
    if step_size is None:
        raise InputError(f"{name} has no step size", "give step_size=, or use the method's tuned(L, mu)")
    gradient = point.gradient
    memory = {"step_size": step_size, "previous": point.x, "age": 0}
    return State(point, -step_size * gradient, step_size * float(gradient @ gradient), 0.0, 2.0, memory=memory)


def _proposed(point: Any, step_size: float, memory: dict[str, Any], passes: float) -> State:
    gradient = point.gradient
    if not (np.isfinite(gradient).all() and np.isfinite(point.value)):
        return State(point, -gradient, np.inf, step_size, passes, None, Status.DIVERGED, memory)
    decrement = step_size * float(gradient @ gradient)
    return State(point, -step_size * gradient, decrement, step_size, passes, memory=memory)


def _higher(point: Any, value: float) -> bool:
    return not point.value <= value + 8 * EPS * abs(value)


# --- Gradient descent -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class GradientDescent:
    """x <- x - alpha grad f(x).

    Tuned: alpha = 1/L; on quadratics 2/(L + mu). A step that raises the objective halves alpha: L was too small.
    Rate: (1 - mu/L)^k in f for alpha = 1/L; on quadratics (1 - 2/(kappa + 1))^2k.
    Source: Nesterov, Lectures on Convex Optimization (2018), theorem 2.1.15.
    """

    step_size: float | None = None
    name: str = "gradient-descent"
    needs: frozenset[str] = frozenset({"value", "gradient"})
    polishes: bool = False
    reference: str = "Nesterov, Lectures on Convex Optimization (2018), section 2.1.5"

    def tuned(self, largest: float, smallest: float, *, quadratic: bool = False) -> GradientDescent:
        """The step for curvatures between ``smallest`` (mu) and ``largest`` (L)."""
        return replace(self, step_size=2.0 / (largest + smallest) if quadratic else 1.0 / largest)

    def rate(self, largest: float, smallest: float, *, quadratic: bool = False) -> float:
        """The factor by which f - f* shrinks a step, at worst."""
        kappa = largest / smallest
        return (1 - 2 / (kappa + 1)) ** 2 if quadratic else 1 - 1 / kappa

    def init(self, point: Any) -> State:
        """Start with the given step."""
        return _start(point, self.step_size, self.name)

    def step(self, state: State) -> State:
        """One step; halved until the objective does not rise."""
        alpha, passes = state.memory["step_size"], 0.0
        for _ in range(MAX_HALVINGS):
            point = state.point.problem.at(state.point.x - alpha * state.point.gradient)
            passes += 2.0
            if not _higher(point, state.point.value):
                return _proposed(point, alpha, {**state.memory, "step_size": alpha}, passes)
            alpha /= 2
        return replace(state, failure=Status.LINE_SEARCH_FAILED, passes=passes)


# --- Heavy ball -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class HeavyBall:
    """x <- x - alpha grad f(x) + beta (x - x_previous): for quadratics.

    Tuned: sqrt(beta) = (sqrt(kappa) - 1)/(sqrt(kappa) + 1), alpha = (2 + 2 beta)/(L + mu).
    Rate, on quadratics only: spectral radius sqrt(beta), so f shrinks by beta a step. Elsewhere it can cycle: when the
    value has risen above that of ``patience`` steps ago, the momentum is dropped and the step halved.
    Source: Polyak, USSR Comput. Math. Math. Phys. 4 (1964), 1-17.
    """

    step_size: float | None = None
    momentum: float = 0.0
    patience: int = 50
    name: str = "heavy-ball"
    needs: frozenset[str] = frozenset({"value", "gradient"})
    polishes: bool = False
    reference: str = "Polyak, USSR Computational Mathematics and Mathematical Physics 4 (1964), 1-17"

    def tuned(self, largest: float, smallest: float, *, quadratic: bool = True) -> HeavyBall:
        """Step and momentum for curvatures between ``smallest`` (mu) and ``largest`` (L)."""
        root = math.sqrt(largest / smallest)
        beta = ((root - 1) / (root + 1)) ** 2
        return replace(self, step_size=(2 + 2 * beta) / (largest + smallest), momentum=beta)

    def rate(self, largest: float, smallest: float, *, quadratic: bool = True) -> float:
        """The factor by which f - f* shrinks a step, asymptotically."""
        root = math.sqrt(largest / smallest)
        return ((root - 1) / (root + 1)) ** 2

    def init(self, point: Any) -> State:
        """Start at rest."""
        state = _start(point, self.step_size, self.name)
        return replace(state, memory={**state.memory, "reference": point.value})

    def step(self, state: State) -> State:
        """One step; the guard looks back every ``patience`` steps."""
        memory = dict(state.memory)
        alpha, point = memory["step_size"], state.point
        following = point.problem.at(
            point.x - alpha * point.gradient + self.momentum * (point.x - memory["previous"])
        )
        memory.update(previous=point.x, age=memory["age"] + 1)
        if memory["age"] % self.patience == 0 or not np.isfinite(following.value):
            if _higher(following, memory["reference"]):
                memory.update(step_size=alpha / 2, previous=point.x)
                following = point if not np.isfinite(following.value) else following
            memory["reference"] = min(memory["reference"], following.value)
            if memory["step_size"] < 2.0**-MAX_HALVINGS * (self.step_size or 1.0):
                return replace(state, failure=Status.NO_PROGRESS)
        return _proposed(following, memory["step_size"], memory, 2.0)


# --- Nesterov -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Nesterov:
    """x_k = y_k - alpha grad f(y_k); y_{k+1} = x_k + (t_k - 1)/t_{k+1} (x_k - x_{k-1}), restarted by the gradient test.

    Tuned: alpha = 1/L. mu need not be known: momentum is dropped whenever grad f(y_k)'(x_k - x_{k-1}) > 0.
    Rate: 2 L ||x_0 - x*||^2 / (k + 1)^2 without restarts; with them about (1 - sqrt(mu/L))^k on strongly convex f.
    Source: Nesterov, Soviet Math. Dokl. 27 (1983); O'Donoghue and Candes, Found. Comput. Math. 15 (2015), 715-732.
    """

    step_size: float | None = None
    name: str = "nesterov"
    needs: frozenset[str] = frozenset({"value", "gradient"})
    polishes: bool = False
    reference: str = "O'Donoghue and Candes, Foundations of Computational Mathematics 15 (2015), 715-732"

    def tuned(self, largest: float, smallest: float, *, quadratic: bool = False) -> Nesterov:
        """The step for a largest curvature of ``largest`` (L)."""
        return replace(self, step_size=1.0 / largest)

    def rate(self, largest: float, smallest: float, *, quadratic: bool = False) -> float:
        """The factor by which f - f* shrinks a step, about."""
        return 1 - math.sqrt(smallest / largest)

    def init(self, point: Any) -> State:
        """Start without momentum; ``previous`` is the last x, the point is at y."""
        state = _start(point, self.step_size, self.name)
        return replace(state, memory={**state.memory, "t": 1.0})

    def step(self, state: State) -> State:
        """One step; halved until the objective does not rise after a restart."""
        memory = dict(state.memory)
        point, alpha, passes = state.point, memory["step_size"], 0.0
        gradient = point.gradient
        for _ in range(MAX_HALVINGS):
            x = point.x - alpha * gradient
            moved = x - memory["previous"]
            restart = float(gradient @ moved) > 0
            t = 1.0 if restart else memory["t"]
            following = 0.5 * (1 + math.sqrt(1 + 4 * t * t))
            y = x if restart else x + (t - 1) / following * moved
            reached = point.problem.at(y)
            passes += 2.0
            # Momentum may raise f for a while; rising without momentum, or past all bounds, means alpha > 1/L.
            sound = np.isfinite(reached.value) and (t > 1.0 or not _higher(reached, point.value))
            if sound:
                memory.update(step_size=alpha, previous=x, t=1.0 if restart else following)
                return _proposed(reached, alpha, memory, passes)
            alpha /= 2
            memory.update(t=1.0, previous=point.x)
        return replace(state, failure=Status.LINE_SEARCH_FAILED, passes=passes)
