"""Whether a noisy run has stopped falling, from its values alone."""

from __future__ import annotations

import math

import numpy as np

EPS = float(np.finfo(np.float64).eps)
#: In standard deviations of the values: how well the fall over the last half of a run must be known, and how small it
#: must be. The first takes 108 independent values, so that a floor is called after 216 steps at the earliest.
SHARE = 1 / 3
#: Values from which on an answer is given.
LEAST = math.ceil(2 * 12 / SHARE**2)


def hovers(values: np.ndarray, step_sizes: np.ndarray) -> bool:
    """Whether the last half of a run shows no fall, and is long enough to have shown one.

    A line is fitted to the last half by least squares. With residuals of standard deviation s and first-order
    correlation r, m values count like m (1 - r)/(1 + r), and the fall over the half has a standard error of
    s sqrt(12/m). The run hovers if error and fall are below s/3, and it does not climb either. Slow progress is a fall,
    however small beside the value; it is overlooked only where it takes some 200 steps to fall by a third of what noise
    moves the value from step to step. A smooth curve leaves residuals so correlated that nothing is said.

    Args:
        values: f after every step, shape (k,).
        step_sizes: alpha then, shape (k,); a run whose step still changes has no floor yet.

    Source: regression with AR(1) residuals: Bence, Ecology 76 (1995), 628-639, with the correction of r for its bias.
    """
    count = len(values) // 2
    if len(values) < LEAST:
        return False
    tail, steps = values[-count:], step_sizes[-count:]
    if not np.isfinite(tail).all() or steps.max() > 1.1 * steps.min():
        return False
    time = np.linspace(-0.5, 0.5, count)
    rise = float(time @ tail) / float(time @ time)  # over the half
    residuals = tail - tail.mean() - rise * time
    spread = float(residuals.std())
    if spread <= 1e3 * EPS * float(np.abs(tail).max()):
        return False  # rounding, not noise
    correlation = float(residuals[1:] @ residuals[:-1]) / float(residuals @ residuals)
    correlation = min(max(correlation + (2 + 4 * correlation) / count, 0.0), 1 - 1 / count)
    error = spread * math.sqrt(12 / count * (1 + correlation) / (1 - correlation))
    # A value that climbs is no floor either: the step is too long, or the run has just begun to feel its noise.
    return error <= SHARE * spread and -rise <= SHARE * spread and rise <= 3 * error
