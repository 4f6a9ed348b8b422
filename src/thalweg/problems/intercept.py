"""Minimisation over the intercept alone, exactly, on kept margins: O(n) a step and no pass over X."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from thalweg.problems.finite_sum import FiniteSumPoint

MAX_STEPS = 100


def minimise_over_intercept(point: FiniteSumPoint) -> tuple[np.ndarray, np.ndarray]:
    """The change of intercept that minimises the loss, and the mean slope that is left there.

    Args:
        point: A point of a finite sum with a free intercept.

    Returns:
        Offset and residual slope, each of shape (classes,).

    """
    problem, kernel, y = point.problem, point.problem.loss.kernel, point.problem.y
    k = problem.classes

    def measure(offset: np.ndarray) -> tuple[float, np.ndarray]:
        shifted = point.margins + (offset if point.margins.ndim == 2 else offset[0])
        losses, slope = kernel.value_gradient(shifted, y)
        return problem.mean(losses), np.atleast_1d(problem.weighted(slope).sum(axis=0))

    def matrix(offset: np.ndarray) -> np.ndarray:
        shifted = point.margins + (offset if point.margins.ndim == 2 else offset[0])
        kept = kernel.curvature(shifted, y)
        if shifted.ndim == 1:
            return np.array([[problem.weighted(kernel.apply_curvature(kept, np.ones_like(shifted))).sum()]])
        columns = [kernel.apply_curvature(kept, np.broadcast_to(e, shifted.shape)) for e in np.eye(k)]
        return np.stack([problem.weighted(column).sum(axis=0) for column in columns])

    offset = np.zeros(k)
    value, slope = measure(offset)
    for _ in range(MAX_STEPS):
        h = matrix(offset)
        # The common shift of all classes is a null direction; damping keeps far starts from overshooting.
        step = -np.linalg.pinv(h, rcond=1e-13, hermitian=True) @ slope
        if not np.isfinite(step).all() or not step.any():
            scale = np.abs(slope).max()
            step = -slope / scale if scale > 0 else np.zeros(k)
        t, best = 1.0, None
        while t > 1e-12:
            trial = offset + t * step
            trial_value, trial_slope = measure(trial)
            if trial_value < value or (trial_value <= value and np.abs(trial_slope).max() < np.abs(slope).max()):
                best = trial, trial_value, trial_slope
                break
            t *= 0.25
        if best is None:
            break
        offset, value, slope = best
    return offset, slope
