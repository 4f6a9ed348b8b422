"""Steps of methods that no spectrum foresees, from their own code on the quadratic: the run itself, or seeded ones."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from thalweg.methods.method import Method
from thalweg.methods.stochastic import Stochastic
from thalweg.methods.variance_reduced import SVRG
from thalweg.theory.from_run import carried_on
from thalweg.theory.predict import Foresight, nothing

#: Runs of a method whose gradients are sampled, with seeds beside its own.
SEEDS = 3
#: Steps that a run is followed, and passes over the data in them; gradients of samples in each seeded run.
MAX_STEPS, MAX_SAMPLED = 5_000, 15_000
#: Numbers touched in all by a run with whole gradients, at size^2 a product with the matrix.
MAX_WORK = 2e9
#: The steps of one more run may differ from those of the seeded ones by this much beyond their spread.
MARGIN = 1.2


def followed(point: Any, minimum: float, method: Method, target: float) -> Foresight:
    """Steps to f - f* <= target by following the method on a quadratic.

    Whole gradients: the one run there is, so that the count is exact as far as it is followed. Sampled gradients:
    ``SEEDS`` runs with other seeds; their median, and their spread as the interval. What is not over in time is carried
    on at its own rate.

    Args:
        point: The start, of a quadratic, in the method's variables and axes.
        minimum: Its least value.
        method: Tuned.
        target: Wanted f - f*, positive.

    """
    sampled = method.noisy and hasattr(type(point), "sample")
    if sampled and isinstance(method, (Stochastic, SVRG)):
        runs: list[Method] = [replace(method, seed=method.seed + 1 + k) for k in range(SEEDS)]
    else:
        runs = [method]
    found = [_run(one, point, minimum, target, sampled) for one in runs]
    if min(len(gaps) for gaps, _ in found) <= 1 and found[0][0][0] > target:
        return nothing("a single step is too long to be tried")
    if not all(np.isfinite(gaps).all() for gaps, _ in found):
        return replace(nothing(""), steps=math.inf, basis="followed on the quadratic model: it diverges")
    ends = sorted(_end(gaps, target) for gaps, _ in found)
    steps = ends[len(ends) // 2]
    gaps, passes = min(found, key=lambda one: abs(_end(one[0], target) - steps) if math.isfinite(steps) else 0.0)
    if math.isnan(sum(ends)):
        return nothing("followed on the quadratic, its runs did not end in time, and told no rate")
    cost = passes[0] + (passes[-1] - passes[0]) / max(len(passes) - 1, 1) * steps
    done = "" if all(one[0][-1] <= target for one in found) else f", carried on from step {len(gaps) - 1}"
    how = f"{SEEDS} runs with other seeds" if sampled else "the run itself"
    kept = np.unique(np.linspace(0, len(gaps) - 1, min(len(gaps), 200)).round().astype(int))
    interval = ends[0] / MARGIN, MARGIN * ends[-1]
    curve = kept.astype(float), gaps[kept]
    return Foresight(steps, cost, curve, f"followed on the quadratic model: {how}{done}", interval)


def _run(method: Method, point: Any, minimum: float, target: float, sampled: bool) -> tuple[np.ndarray, list[float]]:
    """f - f* at each step until the target, and passes so far."""
    most = float(MAX_STEPS)
    if sampled:
        batch = getattr(method, "batch_size", 1)
        n = point.problem.n
        size = batch if isinstance(batch, int) else 32
        most = min(most, MAX_SAMPLED * size / n if isinstance(method, Stochastic) else MAX_SAMPLED * size / (4 * n))
    else:
        most = min(most, MAX_WORK / point.x.size**2)
    with np.errstate(all="ignore"):
        state = method.init(point)
        gaps, passes = [state.point.value - minimum], [state.passes]
        while gaps[-1] > target and len(gaps) <= most and state.failure is None:
            state = method.step(state)
            gaps.append(state.point.value - minimum)
            passes.append(passes[-1] + state.passes)
    return np.array(gaps), passes


def _end(gaps: np.ndarray, target: float) -> float:
    """The step at which the target is met, carried on where it was not."""
    return float(len(gaps) - 1) if gaps[-1] <= target else carried_on(gaps, target, 0.0)
