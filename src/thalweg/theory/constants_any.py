"""Diagnosis of a function, a quadratic or a module at a point: what needs no table."""

from __future__ import annotations

import math
import time
from typing import Any

import numpy as np

from thalweg.core.errors import InputError
from thalweg.core.plan import Diagnosis, Spectrum
from thalweg.core.random import generator
from thalweg.core.records import Constant, Constants
from thalweg.core.vector import eps, finite, flat, like
from thalweg.linalg import lanczos
from thalweg.problems import FiniteSum
from thalweg.theory.third_order import by_differences, hessian_lipschitz

#: Parameters up to which a Hessian is formed and diagonalised, and products spent beyond.
MAX_DENSE, LANCZOS_STEPS = 400, 40
#: Directions along which differences of two lengths are compared.
DIRECTIONS = 4
#: Examples up to which the gradient of each is taken one by one, and how far the mean over some of them may be off.
MAX_EXAMPLES, STANDARD_ERRORS = 2_000, 5.0
EPS = float(np.finfo(np.float64).eps)
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
    constant, at_point = bool(getattr(problem, "constant_curvature", False)), where
    values, weights, ends, how, products = _spectrum(point, seed)
    if constant:
        exact = len(values) == point.x.size
        how = "closed form: the Hessian is constant" if exact else f"{how}; the Hessian is constant"
        where = "everywhere"
    (low, lows), (high, highs) = ends
    entries = {
        # The largest |eigenvalue|: whichever end is further out, and neither interval ends before the other's start.
        "L": Constant(max(high, -low), how, where, (max(highs[0], -lows[1], 0.0), max(highs[1], -lows[0]))),
        "mu": Constant(low, how, where, lows),
        "kappa": _ratio(high, highs, low, lows, how, where),
        "PL": polyak_lojasiewicz(values, lows, point, how, where),
    }
    spent = time.perf_counter() - started
    entries["M"] = hessian_lipschitz(problem, point, where, seed)
    if hasattr(type(point), "sample"):
        entries |= sampling_noise(problem, point, at_point, seed)
    spectrum = Spectrum(values, weights, how)
    return Diagnosis(
        Constants(entries), spectrum, None, time.perf_counter() - started, 4.0 * products + 2.0 * (spent > 0)
    )


def _spectrum(point: Any, seed: int) -> tuple[np.ndarray, np.ndarray, tuple[Any, Any], str, int]:
    """Eigenvalues with weights, both ends with intervals, how, and the products spent."""
    size, off = int(point.x.size), _difference_error(point, seed)
    how = ", of differences of gradients" if off else ""
    if size <= MAX_DENSE:
        matrix = np.asarray(point.hessian, dtype=np.float64)
        if not np.isfinite(matrix).all():
            raise InputError("the Hessian is not finite there", "measure at another point")
        values = np.linalg.eigvalsh(matrix)
        slack = eigenvalue_slack(values, eps(point.x), getattr(point.problem, "n", 1)) + off
        low, high = float(values[0]), float(values[-1])
        ends = (low, (low - slack, low + slack)), (high, (high - slack, high + slack))
        return values, np.full(size, 1.0 / size), ends, f"measured: eigenvalues{how}", size

    def apply(v: np.ndarray) -> np.ndarray:
        return flat(point.hvp(like(point.x, v)))  # in the dtype of x, whose rounding widens the intervals

    found = lanczos(apply, size, seed, steps=LANCZOS_STEPS)
    rule = found.quadrature
    ends = tuple((end.value, (end.interval[0] - off, end.interval[1] + off)) for end in (found.smallest, found.largest))  # type: ignore[assignment]
    return rule.nodes, rule.weights, ends, f"measured: {found.products} Lanczos steps{how}", found.products


def eigenvalue_slack(values: np.ndarray, unit: float = EPS, terms: int = 1) -> float:
    """How far computed eigenvalues lie from the true ones.

    The solver is backward stable, each entry of the matrix was rounded, and was a sum of many terms.

    Args:
        values: All eigenvalues.
        unit: Spacing of the numbers above 1 in the arithmetic that made the matrix.
        terms: What was summed for an entry.

    """
    return (4 * len(values) + 4 * math.sqrt(terms)) * unit * float(np.abs(values).max(initial=0.0))


def _difference_error(point: Any, seed: int) -> float:
    """The norm of what differences of given gradients leave wrong in the Hessian; 0 where it was derived or given.

    Steps of twice the length err four times as much. E||Ev||^2 = ||E||_F^2/size over directions v of length 1.
    """
    problem = point.problem
    if not by_differences(problem):
        return 0.0
    x, rng, squares = flat(point.x).astype(np.float64), generator(seed), []
    for _ in range(DIRECTIONS):
        v = rng.standard_normal(len(x))
        v /= np.linalg.norm(v)
        h = 2 * eps(point.x) ** (1 / 3) * (1.0 + float(np.linalg.norm(x)))
        ahead, behind = (flat(problem.at(like(point.x, x + t * v)).gradient) for t in (h, -h))
        off = (ahead - behind).astype(np.float64) / (2 * h) - flat(point.hvp(like(point.x, v)))
        squares.append(float(off @ off))
    return 2 * math.sqrt(len(x) * math.fsum(squares) / DIRECTIONS)


def _ratio(high: float, highs: Interval, low: float, lows: Interval, how: str, where: str) -> Constant:
    def divide(a: float, b: float) -> float:
        return a / b if b > 0 else math.inf

    return Constant(divide(high, low), f"{how}, L/mu", where, (divide(highs[0], lows[1]), divide(highs[1], lows[0])))


def polyak_lojasiewicz(values: np.ndarray, smallest: Interval, point: Any, how: str, where: str) -> Constant:
    """The PL constant: ||g||^2 >= 2 mu_PL (f - f*); flat directions do not count.

    On a quadratic it is the smallest curvature that is not zero; what rounding cannot tell from zero counts as zero,
    and the interval then reaches down to it. Elsewhere one point tells little: the smallest curvature there is an
    estimate, a penalty on all parameters of a convex sum a lower end, and ||g||^2/(2 (f - f*)), where the minimum is
    known, an upper end.

    Args:
        values: Eigenvalues of the Hessian there, ascending, shape (m,).
        smallest: The interval of the smallest.
        point: The point.
        how: How the eigenvalues were obtained.
        where: How reports name the point.

    """
    size = float(np.abs(values).max(initial=0.0))
    floor = 1e3 * len(values) * eps(point.x) * size
    constant = bool(getattr(point.problem, "constant_curvature", False))
    cap = math.inf if constant else _cap(point)
    if values[0] < -floor:
        return Constant(0.0, f"{how}: negative curvature", where, (0.0, 0.0 if constant else cap))
    positive = values[values > floor]
    least = float(positive[0]) if len(positive) else 0.0
    how = f"{how}: the smallest curvature that is not zero"
    if not constant:
        low = point.problem.l2 if _strongly_convex(point.problem) else 0.0
        value = min(least, cap)
        return Constant(value, f"{how}, at this point; elsewhere it may be less", where, (min(low, value), cap))
    if values[0] > floor:
        return Constant(least, how, where, (min(max(smallest[0], 0.0), least), smallest[1]))
    high = least + max(smallest[1] - float(values[0]), 0.0) if least else math.inf
    return Constant(least, f"{how} beyond rounding", where, (0.0, high))


def _strongly_convex(problem: Any) -> bool:
    """Whether a penalty on all parameters of a convex sum bounds its curvature everywhere."""
    return isinstance(problem, FiniteSum) and problem.convex is True and problem.l2 > 0 and not problem.intercept


def _cap(point: Any) -> float:
    """||g||^2/(2 (f - f*)), which no PL constant exceeds; infinite where f* is not known or rounding hides f - f*."""
    minimum = getattr(point.problem, "minimum", None)
    if minimum is None:
        return math.inf
    gap, rounding = point.value - float(minimum), 64 * eps(point.x) * (abs(point.value) + abs(float(minimum)))
    return float(point.gradient @ point.gradient) / (2 * (gap - rounding)) if gap > 2 * rounding else math.inf


def sampling_noise(problem: Any, point: Any, where: str, seed: int = 0) -> dict[str, Constant]:
    """sigma^2 = E||g_i - g||^2 of one example, and the batch at which noise and gradient are as large.

    Args:
        problem: One whose points answer ``sample``.
        point: The point.
        where: How reports name it.
        seed: Seed of the choice of examples, where there are more than ``MAX_EXAMPLES``.

    """
    gradient = flat(point.gradient).astype(np.float64)
    n, how = int(problem.n), "closed form"
    chosen = np.arange(n)
    if n > MAX_EXAMPLES:
        chosen, how = (
            generator(seed).choice(n, MAX_EXAMPLES, replace=False),
            f"measured: {MAX_EXAMPLES} examples of {n}",
        )
    squares, sizes = np.empty(len(chosen)), np.empty(len(chosen))
    for k, i in enumerate(chosen):
        one = flat(point.sample(np.array([i]))).astype(np.float64)
        squares[k], sizes[k] = float(np.square(one - gradient).sum()), float(one @ one)
    # Every entry of a gradient was rounded in the arithmetic of x, by a few units of its length.
    off = 16 * eps(point.x) * math.sqrt(sizes.max())
    variance, square = float(squares.mean()), float(gradient @ gradient)
    error = 2 * off * (math.sqrt(variance) + off)
    if n > MAX_EXAMPLES:
        error += STANDARD_ERRORS * float(squares.std(ddof=1)) / math.sqrt(MAX_EXAMPLES)
    return noise_constants(variance, error, square, 2 * off * (math.sqrt(square) + off), where, how=how)


def noise_constants(
    variance: float,
    variance_error: float,
    square: float,
    square_error: float,
    where: str,
    drawn: str = "one example",
    how: str = "closed form",
) -> dict[str, Constant]:
    """The constants of sampled gradients.

    Args:
        variance: E||g_i - g||^2 of one example.
        variance_error: What rounding may have added to it or taken away.
        square: ||g||^2.
        square_error: The same of that.
        where: How reports name the point.
        drawn: What is drawn.
        how: How sigma^2 was obtained.

    """
    law = "sigma^2/B for a batch of B with replacement, times (n-B)/(n-1) without"
    low, high = max(variance - variance_error, 0.0), variance + variance_error

    def divide(a: float, b: float) -> float:
        return a / b if b > 0 else math.inf

    return {
        "sigma2": Constant(variance, f"{how}: E||g_i - g||^2 of {drawn}; {law}", where, (low, high)),
        "B_noise": Constant(
            divide(variance, square),
            f"{how}: sigma^2/||g||^2, the batch whose noise is as large as the gradient",
            where,
            (low / (square + square_error) if square + square_error > 0 else 0.0, divide(high, square - square_error)),
        ),
    }
