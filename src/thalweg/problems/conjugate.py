"""The convex conjugate l*(u) = sup_z u z - l(z) of a loss: in closed form where the row has one, else solved."""

from __future__ import annotations

import numpy as np

from thalweg.problems.losses import Loss, Target

#: Doublings of the search interval before u is taken to lie outside the range of l'. 2^1000 is near the largest float.
MAX_DOUBLINGS = 200
MAX_BISECTIONS = 200


def conjugate(loss: Loss, u: np.ndarray, y: np.ndarray, near: np.ndarray) -> np.ndarray:
    """l*(u_i, y_i) per row, never understated; +inf outside the domain.

    Args:
        loss: The loss.
        u: Slopes, shape (n,) or (n, classes).
        y: Targets, shape (n,).
        near: Predictions near which l'(z) = u is expected to hold, like u.

    """
    if loss.conjugate is not None:
        return loss.conjugate(u, y)
    if loss.target is Target.CLASS:
        return np.full(len(y), np.inf)
    return _solve(loss, u, y, near)


def _solve(loss: Loss, u: np.ndarray, y: np.ndarray, near: np.ndarray) -> np.ndarray:
    """Bracket l'(z) = u by doubling, shrink by Newton inside bisection, and bound the supremum from above.

    h(z) = u z - l(z) is concave, so on a bracket [a, b] with h'(a) >= 0 >= h'(b) its maximum is at most
    min(h(a) + h'(a) (b - a), h(b) - h'(b) (b - a)): an unfinished solve still gives a valid bound.
    """
    kernel = loss.kernel
    assert kernel.second is not None  # class losses were answered above

    def excess(z: np.ndarray) -> np.ndarray:
        return kernel.value_gradient(z, y)[1] - u

    low, high = near.copy(), near.copy()
    reach = np.maximum(1e-8, 1e-8 * np.abs(near))
    for _ in range(MAX_DOUBLINGS):
        too_high, too_low = excess(low) > 0, excess(high) < 0
        if not (too_high.any() or too_low.any()):
            break
        low = np.where(too_high, low - reach, low)
        high = np.where(too_low, high + reach, high)
        reach = np.where(too_high | too_low, 2 * reach, reach)
    outside = ~((excess(low) <= 0) & (excess(high) >= 0))
    z = np.clip(near, low, high)
    for trial in range(MAX_BISECTIONS):
        slope = excess(z)
        low, high = np.where(slope <= 0, z, low), np.where(slope >= 0, z, high)
        width = high - low
        if (width <= 4 * np.spacing(np.maximum(np.abs(low), np.abs(high)))).all():
            break
        with np.errstate(divide="ignore", invalid="ignore"):
            newton = z - slope / kernel.second(z, y)
        # Every third step bisects, so that flat or jumping derivatives cannot stall the bracket.
        inside = (newton > low) & (newton < high) & (trial % 3 < 2)
        z = np.where(inside, newton, low + width / 2)
    value_low, slope_low = kernel.value_gradient(low, y)
    value_high, slope_high = kernel.value_gradient(high, y)
    bound = np.minimum(
        u * low - value_low + (u - slope_low) * (high - low), u * high - value_high - (u - slope_high) * (high - low)
    )
    return np.where(outside | ~np.isfinite(bound), np.inf, bound)
