"""Line search on the derivative: every trial costs O(n) on kept margins, so the step is chosen well."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from thalweg.methods.method import Line

EPS = float(np.finfo(np.float64).eps)


@dataclass(frozen=True)
class Found:
    """Outcome of a search.

    Attributes:
        step_size: The accepted step; 0 where none was found.
        unbounded: The objective kept falling as far as floating point goes.

    """

    step_size: float
    unbounded: bool = False


def wolfe(
    line: Line,
    value: float,
    slope: float,
    *,
    first: float = 1.0,
    decrease: float = 1e-4,
    curvature: float = 0.5,
    trials: int = 60,
) -> Found:
    """A step with sufficient decrease whose derivative has shrunk (strong Wolfe), by bracketing and secants.

    Near the minimum the decrease drowns in rounding; there a step whose derivative has shrunk is accepted while the
    value rises by no more than rounding (approximate Wolfe: Hager and Zhang, SIAM J. Optim. 16 (2005), section 3).

    Args:
        line: The objective along the direction.
        value: f at step 0.
        slope: Derivative at step 0, negative.
        first: First trial.
        decrease: Fraction of the promised decrease that must be reached.
        curvature: Largest accepted ratio of final to initial derivative, in size.
        trials: Evaluations allowed.

    Returns:
        The step; the best decreasing trial if none satisfies both conditions.

    """
    noise = 8 * EPS * abs(value)
    low, low_value, low_slope = 0.0, value, slope
    high, high_slope = np.inf, np.nan
    best, best_value = 0.0, value
    t = first
    for _ in range(trials):
        with np.errstate(all="ignore"):
            trial_value, trial_slope = line.value_slope(t)
        finite = np.isfinite(trial_value) and np.isfinite(trial_slope)
        if finite and trial_value < best_value:
            best, best_value = t, trial_value
        enough = finite and trial_value <= value + decrease * t * slope
        near = finite and trial_value <= value + noise
        if (enough or near) and abs(trial_slope) <= curvature * -slope:
            return Found(t)
        if not finite or not (enough or near) or trial_slope > 0:
            high, high_slope = t, trial_slope if finite else np.nan
        elif trial_value <= low_value + noise:
            low, low_value, low_slope = t, trial_value, trial_slope
        else:
            high, high_slope = t, trial_slope
        if np.isinf(high):
            if t > 1e15 * first:
                return Found(best, unbounded=True)
            t = _secant(low, low_slope, t, trial_slope, 2 * t, 10 * t) if low < t else 4 * t
            continue
        width = high - low
        if width <= 4 * EPS * high:
            break
        guess = _secant(low, low_slope, high, high_slope, low + 0.05 * width, high - 0.05 * width)
        # Beyond a non-finite trial or a badly bent bracket, halving geometrically crosses decades quickly.
        t = guess if np.isfinite(high_slope) and high_slope > 0 else (low + 0.5 * width if low > 0 else 0.1 * high)
    return Found(best)


def _secant(a: float, slope_a: float, b: float, slope_b: float, lower: float, upper: float) -> float:
    """The zero of the line through two slopes, kept within bounds."""
    if not np.isfinite(slope_b) or slope_b == slope_a:
        return 0.5 * (lower + upper)
    return float(min(max(b - slope_b * (b - a) / (slope_b - slope_a), lower), upper))
