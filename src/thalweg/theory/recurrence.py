"""The recurrence r_{k+1} = a r_k - p r_{k-1} with r_0 = 1, r_1 = 1 - z, in closed form: gradient steps with momentum.

The roots of rho^2 - a rho + p decide: both in [0, 1), a conjugate pair, or a negative one of largest size. Where z is
the curvature in units of 1/step, both methods with momentum have (1 - rho_1)(1 - rho_2) = 1 - a + p = z.
"""

from __future__ import annotations

import numpy as np


def settled(z: np.ndarray, a: np.ndarray, p: np.ndarray, discriminant: np.ndarray, steps: int) -> np.ndarray:
    """1 - r_steps: the share of the way that is done; its relative error stays small where z is small.

    Args:
        z: r_1 = 1 - z, with z = 1 - a + p >= 0; the other arrays have its shape.
        a: The sum of the two roots.
        p: Their product.
        discriminant: a^2 - 4p, from its factors: its sign decides.
        steps: At least 1.

    """
    with np.errstate(all="ignore"):  # each branch is computed everywhere and taken where it holds
        real = np.where(a > 0, _overdamped(z, a, p, discriminant, steps), _alternating(z, a, discriminant, steps))
        return np.where(discriminant < 0, _oscillating(z, a, p, discriminant, steps), real)


def power(x: np.ndarray, exponent: int) -> np.ndarray:
    """x^exponent, the sign right also where the exponent has no float of its own.

    Args:
        x: The base.
        exponent: At least 0.

    """
    return np.where(x < 0, -1.0, 1.0) ** (exponent % 2) * np.abs(x) ** float(exponent)


def _overdamped(z: np.ndarray, a: np.ndarray, p: np.ndarray, discriminant: np.ndarray, steps: int) -> np.ndarray:
    """Both roots in [0, 1): every term is of the size of z.

    With rest = 1 - first, r = first^k + rest second (first^k - second^k)/(first - second).
    """
    wide = np.sqrt(np.maximum(discriminant, 0.0))
    first = (a + wide) / 2
    second = p / first
    rest = np.minimum(z / (1 - second), 1.0)
    log = np.log1p(-rest)
    shape = np.exp((steps - 1.0) * log) if steps > 1 else 1.0
    return -np.expm1(steps * 1.0 * log) - rest * second * shape * _geometric(np.minimum(wide / first, 1.0), steps)


def _oscillating(z: np.ndarray, a: np.ndarray, p: np.ndarray, discriminant: np.ndarray, steps: int) -> np.ndarray:
    """A pair g exp(+-i t), g^2 = p: r = g^k (cos kt + (1 - z - a/2) sin(kt)/(g sin t)), with g sin t = wide/2.

    The angle is taken from the nearer end of the real axis; from the far one, every second step changes its sign.
    """
    wide = np.sqrt(np.maximum(-discriminant, 0.0))
    side = np.where(a < 0, -1.0, 1.0)
    angle = steps * 1.0 * np.arctan2(wide, np.abs(a))
    wave = np.cos(angle) + side * (2 - 2 * z - a) * np.sin(angle) / wide
    return 1 - side ** (steps % 2) * np.sqrt(p) ** float(steps) * wave


def _alternating(z: np.ndarray, a: np.ndarray, discriminant: np.ndarray, steps: int) -> np.ndarray:
    """The larger root negative: r = first^k + (1 - z - first) first^(k-1) (1 - t^k)/(1 - t), t = second/first."""
    first = (a - np.sqrt(np.maximum(discriminant, 0.0))) / 2
    spread = 2 - a / first  # 1 - t, since second = a - first
    ratio = np.where(spread > 1, (1 - power(1 - spread, steps)) / spread, _geometric(spread, steps))
    return np.where(first < 0, 1 - power(first, steps) - (1 - z - first) * power(first, steps - 1) * ratio, 1.0)


def _geometric(spread: np.ndarray, steps: int) -> np.ndarray:
    """(1 - t^k)/(1 - t) for 1 - t = spread in [0, 1]; k at zero."""
    return np.where(spread > 0, -np.expm1(steps * 1.0 * np.log1p(-spread)) / spread, float(steps))
