"""Quasi-Newton methods: curvature learned from successive gradients."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from thalweg.core.records import Status
from thalweg.core.vector import Any1D, finite, norm
from thalweg.methods.method import Method, State
from thalweg.methods.newton import advance


@dataclass(frozen=True)
class LBFGS(Method):
    """Limited-memory BFGS: the inverse Hessian from the last ``memory`` pairs (x_{k+1}-x_k, g_{k+1}-g_k).

    Memory O(memory d); two passes a step. Pairs with s'y <= 0 (rounding) are left out.
    Rate: linear. Source: Liu and Nocedal, Mathematical Programming 45 (1989), 503-528.
    """

    memory: int = 20
    name: ClassVar[str] = "l-bfgs"
    needs: ClassVar[frozenset[str]] = frozenset({"value", "gradient", "along"})
    reference: ClassVar[str] = "Liu and Nocedal, Mathematical Programming 45 (1989), 503-528"
    estimates: ClassVar[bool] = True

    def init(self, point: Any) -> State:
        """Steepest descent first."""
        gradient = point.gradient
        return State(point, -gradient, float(gradient @ gradient), 0.0, 2.0, memory={"pairs": ()})

    def step(self, state: State) -> State:
        """Search along -H g, then update the pairs."""
        first = 1.0 if state.memory["pairs"] else 1.0 / max(norm(state.direction), 1e-300)
        found = advance(state, first=first, curvature=0.9 if state.memory["pairs"] else 0.1)
        point, step_size, passes = found.point, found.step_size, found.passes
        if found.failure is not None:
            return State(
                point, state.direction, state.decrement, step_size, passes, None, found.failure, memory=state.memory
            )
        gradient = point.gradient
        if not finite(gradient):
            return State(point, -gradient, np.inf, step_size, passes, None, Status.DIVERGED, memory=state.memory)
        s, y = point.x - state.point.x, gradient - state.point.gradient
        pairs = state.memory["pairs"]
        if float(s @ y) > 1e-12 * norm(s) * norm(y):
            pairs = (*pairs, (s, y, 1.0 / float(s @ y)))[-self.memory :]
        direction = -_two_loops(gradient, pairs)
        return State(point, direction, -float(gradient @ direction), step_size, passes, memory={"pairs": pairs})


def _two_loops(gradient: Any1D, pairs: tuple[tuple[Any, Any, float], ...]) -> Any1D:
    """H g by the two-loop recursion, started from (s'y / y'y) I."""
    q = 1.0 * gradient  # a copy
    alphas = []
    for s, y, rho in reversed(pairs):
        alpha = rho * float(s @ q)
        q -= alpha * y
        alphas.append(alpha)
    if pairs:
        s, y, rho = pairs[-1]
        q /= rho * float(y @ y)
    for (s, y, rho), alpha in zip(pairs, reversed(alphas), strict=True):
        q += (alpha - rho * float(y @ q)) * s
    return q
