"""Methods for nonlinear least squares: the residuals are linearised, not their squares."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from thalweg.core.check import checked_number
from thalweg.core.records import Status
from thalweg.methods.method import Method, State

#: Trials of a step before it is given up.
MAX_TRIALS = 60
LEAST_DAMPING = 1e-15


# --- Levenberg-Marquardt ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class LevenbergMarquardt(Method):
    """x <- x + d with (J'J + lambda D) d = -J'r, D the largest diagonal of J'J met so far.

    The damping lambda shrinks where f falls as the linear model of the residuals promises, and grows where it does not,
    so that far away a step is short and near a minimum it is Gauss and Newton's.
    Rate: quadratic where the residuals vanish, linear else. Needs no constants.
    Source: Levenberg (1944); Marquardt (1963); More, Lecture Notes in Mathematics 630 (1978), 105-116; the damping's
    rule is Nielsen's (1999), as in Madsen, Nielsen and Tingleff, Methods for non-linear least squares problems (2004).

    Attributes:
        damping: First lambda, in units of D; 0 starts with Gauss and Newton's step.

    """

    damping: float = 1e-3
    name: ClassVar[str] = "levenberg-marquardt"
    needs: ClassVar[frozenset[str]] = frozenset({"value", "gradient", "residuals", "jacobian"})
    reference: ClassVar[str] = "More, Lecture Notes in Mathematics 630 (1978), 105-116"
    estimates: ClassVar[bool] = True
    stall_steps: ClassVar[int] = 30

    def __post_init__(self) -> None:
        checked_number("damping", self.damping, "give a number >= 0, or leave it out")

    def init(self, point: Any) -> State:
        """The damped step at the start."""
        memory = {"damping": self.damping, "growth": 2.0, "scale": np.zeros(point.x.size)}
        return self._proposed(point, 0.0, 2.0, memory)

    def step(self, state: State) -> State:
        """Try damped steps until one lowers f; then propose the next."""
        point, memory, passes = state.point, dict(state.memory), 0.0
        direction = state.direction
        for _ in range(MAX_TRIALS):
            following = point.problem.at(point.x + direction)
            with np.errstate(all="ignore"):
                value = following.value
            passes += 2.0
            change = point.jacobian @ direction
            promised = -float(2 * point.residuals @ change + change @ change)  # f = sum r^2
            gain = (point.value - value) / promised if promised > 0 else -1.0
            if np.isfinite(value) and gain > 0:
                memory["damping"] *= max(1 / 3, 1 - (2 * min(gain, 1.5) - 1) ** 3)
                memory["growth"] = 2.0
                return self._proposed(following, 1.0, passes + 2.0, memory)
            memory["damping"] = max(memory["damping"], LEAST_DAMPING) * memory["growth"]
            memory["growth"] *= 2.0
            direction = self._direction(point, memory)
            if float(direction @ direction) <= (1e-16 * (1 + float(np.abs(point.x).max()))) ** 2:
                break
        return replace(state, failure=Status.LINE_SEARCH_FAILED, passes=passes, memory=memory)

    def _proposed(self, point: Any, step_size: float, passes: float, memory: dict[str, Any]) -> State:
        gradient = point.gradient
        if not (np.isfinite(gradient).all() and np.isfinite(point.jacobian).all()):
            return State(point, -gradient, np.inf, step_size, passes, None, Status.DIVERGED, memory=memory)
        squares = np.square(point.jacobian).sum(axis=0)
        memory = {**memory, "scale": np.maximum(memory["scale"], squares)}
        direction = self._direction(point, memory)
        return State(point, direction, -float(gradient @ direction), step_size, passes, memory=memory)

    @staticmethod
    def _direction(point: Any, memory: dict[str, Any]) -> np.ndarray:
        """The damped step, by least squares on J stacked on sqrt(lambda D): never through J'J."""
        scale = np.where(memory["scale"] > 0, memory["scale"], 1.0)
        damped = np.sqrt(memory["damping"] * scale)
        matrix = np.concatenate([point.jacobian, np.diag(damped)])
        right = np.concatenate([-point.residuals, np.zeros(len(damped))])
        return np.linalg.lstsq(matrix, right, rcond=None)[0]
