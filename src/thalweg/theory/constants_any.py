"""Diagnosis of a function, a quadratic or a module at a point: what needs no table."""

from __future__ import annotations

import math
import time
from typing import Any

import numpy as np

from thalweg.core.errors import InputError
from thalweg.core.plan import Diagnosis, Spectrum
from thalweg.core.records import Constant, Constants
from thalweg.core.vector import finite, flat, like
from thalweg.linalg import lanczos
from thalweg.theory.third_order import hessian_lipschitz

#: Parameters up to which a Hessian is formed and diagonalised, and products spent beyond.
MAX_DENSE, LANCZOS_STEPS = 400, 40
Interval = tuple[float, float]


@np.errstate(all="ignore")  # constants may leave the floating-point range
def diagnose_point(problem: Any, x: Any, where: str, seed: int = 0) -> Diagnosis:
    """Measure L, mu, PL, kappa and M of any problem at a point.

    Args:
        problem: A function, a quadratic, a module: anything whose points answer ``hessian`` and ``hvp``.
        x: Where, in the problem's own layout.
        where: How reports name that point.
        seed: Seed of random vectors.

    Raises:
        InputError: The gradient or the Hessian is not finite there.

    """
    started = time.perf_counter()
    point = problem.at(x)
    if not finite(point.gradient) or not math.isfinite(point.value):
        raise InputError(f"f = {point.value} or its gradient is not finite {where}", "measure at another point")
    constant = bool(getattr(problem, "constant_curvature", False))
    values, weights, ends, how, products = _spectrum(point, seed)
    if constant:
        how, where = "closed form: the Hessian is constant", "everywhere"
    (low, low_interval), (high, high_interval) = ends
    entries = {
        "L": Constant(
            max(high, -low), how, where, high_interval if high >= -low else (-low_interval[1], -low_interval[0])
        ),
        "mu": Constant(low, how, where, low_interval),
        "kappa": _ratio(high, high_interval, low, low_interval, how, where),
        "PL": polyak_lojasiewicz(values, point, how, where),
    }
    spent = time.perf_counter() - started
    entries["M"] = hessian_lipschitz(problem, point, where, seed)
    if hasattr(type(point), "sample"):
        entries |= sampling_noise(problem, point, where)
    spectrum = Spectrum(values, weights, how)
    return Diagnosis(
        Constants(entries), spectrum, None, time.perf_counter() - started, 4.0 * products + 2.0 * (spent > 0)
    )


def _spectrum(point: Any, seed: int) -> tuple[np.ndarray, np.ndarray, tuple[Any, Any], str, int]:
    """Eigenvalues with weights, both ends with intervals, how, and the products spent."""
    size = int(point.x.size)
    if size <= MAX_DENSE:
        matrix = np.asarray(point.hessian, dtype=np.float64)
        if not np.isfinite(matrix).all():
            raise InputError("the Hessian is not finite there", "measure at another point")
        values = np.linalg.eigvalsh(matrix)
        slack = 4 * size * np.finfo(float).eps * float(np.abs(values).max(initial=0.0))
        low, high = float(values[0]), float(values[-1])
        ends = (low, (low - slack, low + slack)), (high, (high - slack, high + slack))
        return values, np.full(size, 1.0 / size), ends, "measured: eigenvalues", size

    def apply(v: np.ndarray) -> np.ndarray:
        return flat(point.hvp(like(point.x, v))).astype(np.float64)

    found = lanczos(apply, size, seed, steps=LANCZOS_STEPS)
    rule = found.quadrature
    ends = tuple((end.value, end.interval) for end in (found.smallest, found.largest))  # type: ignore[assignment]
    return rule.nodes, rule.weights, ends, f"measured: {found.products} Lanczos steps", found.products


def _ratio(high: float, highs: Interval, low: float, lows: Interval, how: str, where: str) -> Constant:
    def divide(a: float, b: float) -> float:
        return a / b if b > 0 else math.inf

    return Constant(divide(high, low), f"{how}, L/mu", where, (divide(highs[0], lows[1]), divide(highs[1], lows[0])))


def polyak_lojasiewicz(values: np.ndarray, point: Any, how: str, where: str) -> Constant:
    """The PL constant: ||g||^2 >= 2 mu_PL (f - f*); flat directions do not count.

    Where mu > 0 it is mu. Else, as far as one point tells, it is the smallest curvature that is not zero; a negative
    curvature leaves nothing. A known minimum caps it by ||g||^2 / (2 (f - f*)) at this point.

    Args:
        values: Eigenvalues of the Hessian there, ascending, shape (m,).
        point: The point.
        how: How the eigenvalues were obtained.
        where: How reports name the point.

    """
    floor = 1e3 * len(values) * np.finfo(float).eps * float(np.abs(values).max(initial=0.0))
    if values[0] < -floor:
        return Constant(0.0, f"{how}: negative curvature", where, (0.0, math.inf))
    positive = values[values > floor]
    least = float(positive[0]) if len(positive) else 0.0
    cap = math.inf
    minimum = getattr(point.problem, "minimum", None)
    if minimum is not None and point.value > minimum:
        cap = float(point.gradient @ point.gradient) / (2 * (point.value - float(minimum)))
    value = min(least, cap)
    return Constant(value, f"{how}: the smallest curvature that is not zero", where, (value * (1 - 1e-6), cap))


def sampling_noise(problem: Any, point: Any, where: str) -> dict[str, Constant]:
    """sigma^2 = E||g_i - g||^2 of one example, and the batch at which noise and gradient are as large.

    Args:
        problem: One whose points answer ``sample``.
        point: The point.
        where: How reports name it.

    """
    gradient = flat(point.gradient).astype(np.float64)
    squares = [float(np.square(flat(point.sample(np.array([i])))).sum()) for i in range(problem.n)]
    square = float(gradient @ gradient)
    variance = max(math.fsum(squares) / problem.n - square, 0.0)
    return noise_constants(variance, square, where)


def noise_constants(variance: float, square: float, where: str) -> dict[str, Constant]:
    """The constants of sampled gradients.

    Args:
        variance: E||g_i - g||^2 of one example.
        square: ||g||^2.
        where: How reports name the point.

    """
    law = "sigma^2/B for a batch of B with replacement, times (n-B)/(n-1) without"
    ratio = variance / square if square > 0 else math.inf
    return {
        "sigma2": Constant(variance, f"closed form: E||g_i - g||^2 of one example; {law}", where, (variance, variance)),
        "B_noise": Constant(
            ratio,
            "closed form: sigma^2/||g||^2, the batch whose noise is as large as the gradient",
            where,
            (ratio, ratio),
        ),
    }
