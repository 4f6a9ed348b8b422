"""Whether a short, erratic fall gets faster: superlinear sequences such as those of BFGS follow no law closely."""

from __future__ import annotations

import math

import numpy as np

#: Least decades, and the least and most values, of a record that is judged by its bend alone. Waves, which bend the end
#: of a record too, take longer.
DECADES, FEWEST, MOST = 6.0, 8, 60
#: t statistics of the bend, with and without the first value, that are clear: both of them, or one and the other.
BENT, ONE_BENT, OTHER_BENT = -3.0, -4.0, -2.0
#: Mean fall of the last third beside that before: in both cases, and in one.
LARGER, ONE_LARGER = 1.15, 1.25
#: t statistic of the growth of single falls: chance adds up along y, so that the bend alone is often clear without it.
#: About one in ten records of falls without a trend exceeds it.
GROWING = 1.4


def bend(k: np.ndarray, y: np.ndarray) -> str:
    """Words for a fall that clearly gets faster, or nothing.

    Args:
        k: Indices, shape (n,).
        y: Logarithms of r_k, shape (n,).

    """
    falls = -np.diff(y)
    if not FEWEST <= len(y) <= MOST or (np.diff(k) != 1).any() or falls.min() <= 0:
        return ""
    if y[0] - y[-1] < DECADES * math.log(10.0):
        return ""
    bends = [_t_value(part, 2) for part in (y, y[1:])]
    grows = [min(_t_value(part, 1), _t_value(np.log(part), 1)) for part in (falls, falls[1:])]
    third = len(falls) // 3
    ratios = [float(falls[-third:].mean() / part.mean()) for part in (falls[:-third], falls[1:-third])]
    bent = max(bends) < BENT or (min(bends) < ONE_BENT and max(bends) < OTHER_BENT)
    if not bent or max(grows) < GROWING or min(ratios) < LARGER or max(ratios) < ONE_LARGER:
        return ""
    return (
        f"its falls get larger, {ratios[0]:.2f} times as large on average in the last third:"
        f" log r_k bends down by {-max(bends):.2g} standard errors or more"
    )


def _t_value(y: np.ndarray, degree: int) -> float:
    """The highest coefficient of a polynomial fit beside its standard error."""
    at = np.linspace(-1.0, 1.0, len(y))
    basis, triangle = np.linalg.qr(np.vander(at, degree + 1, increasing=True))
    parts = basis.T @ y
    left = y - basis @ parts
    scatter = math.sqrt(float(left @ left) / (len(y) - degree - 1))
    return float(parts[-1] * np.sign(triangle[-1, -1])) / max(scatter, 1e-12 * float(np.ptp(y)))
