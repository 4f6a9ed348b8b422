"""Quasi-Newton methods: curvature learned from successive gradients."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from thalweg.core.records import Status
from thalweg.methods.method import State
from thalweg.methods.newton import advance


@dataclass(frozen=True)
class LBFGS:
    """Limited-memory BFGS: the inverse Hessian from the last ``memory`` pairs (x_{k+1}-x_k, g_{k+1}-g_k).

    Memory O(memory d); two passes a step. Pairs with s'y <= 0 (rounding) are left out.
    Rate: linear. Source: Liu and Nocedal, Mathematical Programming 45 (1989), 503-528.
    """

    memory: int = 20
    name: str = "l-bfgs"
    needs: frozenset[str] = frozenset({"value", "gradient", "along"})
    certifies: bool = False
    polish_steps: int = 0
    reference: str = "Liu and Nocedal, Mathematical Programming 45 (1989), 503-528"

    def init(self, point: Any) -> State:
        """Steepest descent first."""
        gradient = point.gradient
        return State(point, -gradient, float(gradient @ gradient), 0.0, 2.0, memory={"pairs": ()})

    def step(self, state: State) -> State:
        """Search along -H g, then update the pairs."""
        first = 1.0 if state.memory["pairs"] else 1.0 / max(float(np.linalg.norm(state.direction)), 1e-300)
        point, step_size, failure = advance(state, first=first, curvature=0.9 if state.memory["pairs"] else 0.1)
        if failure is not None:
            return State(point, state.direction, state.decrement, step_size, 1.0, None, failure, memory=state.memory)
        gradient = point.gradient
        if not np.isfinite(gradient).all():
            return State(point, -gradient, np.inf, step_size, 2.0, None, Status.DIVERGED, memory=state.memory)
        s, y = point.x - state.point.x, gradient - state.point.gradient
        pairs = state.memory["pairs"]
        if float(s @ y) > 1e-12 * float(np.linalg.norm(s) * np.linalg.norm(y)):
            pairs = (*pairs, (s, y, 1.0 / float(s @ y)))[-self.memory :]
        direction = -_two_loops(gradient, pairs)
        return State(point, direction, -float(gradient @ direction), step_size, 2.0, memory={"pairs": pairs})


def _two_loops(gradient: np.ndarray, pairs: tuple[tuple[np.ndarray, np.ndarray, float], ...]) -> np.ndarray:
    """H g by the two-loop recursion, started from (s'y / y'y) I."""
    q = gradient.copy()
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
