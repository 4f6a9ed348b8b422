"""Diagnosis: the constants that theory says decide everything, each with how, where, interval and cost.

Small problems are diagonalised; large ones are seen through Lanczos, whose intervals hold with probability 0.99.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from thalweg.core.errors import InputError
from thalweg.core.plan import Diagnosis, Spectrum
from thalweg.core.random import generator
from thalweg.core.records import Constant, Constants
from thalweg.linalg import Lanczos, effective_dimension, lanczos, spectral_density
from thalweg.problems import ChangedProblem, FiniteSum, Standardizing
from thalweg.problems.change import ChangedPoint
from thalweg.theory.constants_any import eigenvalue_slack, noise_constants, polyak_lojasiewicz
from thalweg.theory.third_order import hessian_lipschitz

#: Parameters up to which a Hessian is formed and diagonalised.
MAX_DENSE = 400
#: Products spent on a spectrum beyond that.
LANCZOS_STEPS = 40
EPS = float(np.finfo(np.float64).eps)
#: Rounding of a length in float64, generously.
ROUNDING = 1e-12
Interval = tuple[float, float]


@dataclass(frozen=True, eq=False)
class _Ends:
    """The ends of a Hessian's spectrum with intervals, and the spectrum between them."""

    smallest: float
    smallest_interval: Interval
    largest: float
    largest_interval: Interval
    spectrum: Spectrum
    products: int


def diagnose(problem: FiniteSum, seed: int = 0, at: np.ndarray | None = None) -> Diagnosis:
    """Measure a finite sum's constants.

    Args:
        problem: The finite sum.
        seed: Seed of the random vectors.
        at: Where to measure what depends on the point, shape (size,); zero when None.

    Returns:
        L (everywhere, if the loss has a curvature bound), mu, kappa raw and scaled, L_max of single examples, the
        gradient noise sigma^2 and the effective dimension, with both spectra.

    Raises:
        InputError: ``at`` has another shape, or f is not finite there.

    """
    started = time.perf_counter()
    x = problem.start() if at is None else _checked_point(at, problem)
    generator(seed)
    where = "at x = 0" if at is None else "at the given point"
    point = problem.at(x)
    with np.errstate(all="ignore"):
        if not (math.isfinite(point.value) and np.isfinite(point.gradient).all()):
            raise InputError(f"f = {point.value} or its gradient is not finite {where}", "measure at another point")
    changed = ChangedProblem(problem, Standardizing(problem))
    clock = _Clock()
    raw = _ends(point, problem, problem.size, seed, f"the Hessian {where}, in the user's variables")
    raw_seconds = clock.lap()
    scaled_point = ChangedPoint(changed, changed.change.inverse(x), point)  # what was computed at x serves twice
    scaled = _ends(scaled_point, problem, changed.size, seed, f"the Hessian {where}, in the methods' variables")
    scaled_seconds = clock.lap()
    how, at_point = f"measured: {raw.products} Lanczos steps", where
    if problem.size <= MAX_DENSE:
        how = "closed form: the Hessian is constant" if problem.constant_curvature else "measured: eigenvalues"
    elif problem.constant_curvature:
        how += "; the Hessian is constant"
    if problem.constant_curvature:
        where = "everywhere"
    entries: dict[str, Constant] = {}

    bound = problem.loss.bounds.smoothness
    if np.isfinite(bound):
        top, top_interval = _second_moment(problem, seed)
        if problem.constant_curvature:
            top, (low, high), how_l = raw.largest, raw.largest_interval, how
        else:
            # The bound holds everywhere; the curvature met at this point is a lower end for the true L.
            top, high = bound * top + problem.l2, bound * top_interval[1] + problem.l2
            low = min(raw.largest_interval[0], high)
            how_l = f"bound: {bound:.4g} (loss) times the largest eigenvalue of the second moment, plus l2"
        entries["L"] = Constant(top, how_l, "everywhere", (low, high), clock.lap())
        norms = problem.rows.square_norms() + float(problem.intercept)
        used = norms if isinstance(problem.share, float) else norms[problem.share > 0]
        largest = bound * float(used.max()) + problem.l2
        entries["L_max"] = Constant(
            largest,
            "bound: (loss) times the largest ||(x_i, 1)||^2, plus l2",
            "everywhere",
            (min(_largest_single(point, norms), largest), largest * (1 + ROUNDING)),
            clock.lap(),
        )
    else:
        entries["L"] = Constant(
            raw.largest,
            f"{how}; the loss has no curvature bound, so the curvature met is used instead",
            where,
            raw.largest_interval,
            raw_seconds,
        )
    entries["mu"] = Constant(raw.smallest, how, where, raw.smallest_interval, raw_seconds)
    entries["kappa"] = _ratio(raw, how, where, raw_seconds)
    entries["kappa_scaled"] = _ratio(scaled, how, where, scaled_seconds)
    entries["L_scaled"] = Constant(scaled.largest, how, where, scaled.largest_interval, scaled_seconds)
    entries["mu_scaled"] = Constant(scaled.smallest, how, where, scaled.smallest_interval, scaled_seconds)
    entries |= gradient_noise(point, at_point)
    entries["sigma2"] = replace(entries["sigma2"], seconds=clock.lap())
    entries["PL"] = polyak_lojasiewicz(raw.spectrum.eigenvalues, raw.smallest_interval, point, how, where)
    entries["M"] = hessian_lipschitz(problem, point, at_point, seed)
    entries["M"] = replace(entries["M"], seconds=clock.lap())
    effective, interval, how_e = _effective_dimension(problem, point, seed)
    entries["effective_dimension"] = Constant(
        effective, f"{how_e}, sum of lambda/(lambda + l2) over the data term", at_point, interval, clock.lap()
    )
    passes = 2.0 * (raw.products + scaled.products) + 4.0
    return Diagnosis(Constants(entries), raw.spectrum, scaled.spectrum, time.perf_counter() - started, passes)


def _checked_point(at: Any, problem: FiniteSum) -> np.ndarray:
    wanted = f"pass {problem.size} numbers laid out like Fit.x"
    try:
        x = np.asarray(at, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError(f"at={at!r} is no array of numbers", wanted) from None
    if x.shape != (problem.size,) or not np.isfinite(x).all():
        raise InputError(f"at has shape {x.shape}, or is not finite", wanted)
    return x


def gradient_noise(point: Any, where: str) -> dict[str, Constant]:
    """E||g_i - g||^2 when one row is drawn with its share: sum p_i ||g_i||^2 - ||sum p_i g_i||^2, in two passes.

    The ridge term is the same for every row and drops out; g_i = u_i (x_i, 1) with u_i the slope of row i, so that
    ||g_i||^2 = |u_i|^2 (||x_i||^2 + 1). Rounding of a margin moves a slope by the curvature of its loss.

    Args:
        point: A point of a finite sum.
        where: How reports name it.

    Returns:
        sigma^2 and the batch at which noise and gradient are as large.

    """
    problem, slope, norms = point.problem, point.slope, point.problem.square_norms
    many = slope.ndim == 2
    sizes = np.sqrt(norms)
    moved = EPS * (problem.d + 4) * (sizes * float(np.linalg.norm(point.x)) + np.abs(problem.y))
    bent = point.bend(np.broadcast_to(moved[:, None], slope.shape) if many else moved)
    length, off = (np.linalg.norm(v, axis=1) if many else np.abs(v) for v in (slope, bent))
    off = off + EPS * (problem.d + 8) * length
    mean = point.gradient - problem.ridge(point.x)
    second, summing = problem.mean(length**2 * norms), EPS * math.sqrt(problem.n)
    first, first_error = problem.mean(length * sizes), problem.mean(off * sizes)
    first_error += summing * first
    variance, square = max(second - float(mean @ mean), 0.0), float(point.gradient @ point.gradient)
    variance_error = 2 * problem.mean(length * off * norms) + summing * second
    variance_error += 2 * float(np.linalg.norm(mean)) * first_error + first_error**2
    square_error = 2 * math.sqrt(square) * first_error + first_error**2
    drawn = "one example" if isinstance(problem.share, float) else "one example, drawn with its share of the weights"
    return noise_constants(variance, variance_error, square, square_error, where, drawn)


def _largest_single(point: Any, norms: np.ndarray) -> float:
    """A curvature of a single row's loss, met at a point along (x_i, 1) for the row's class: L_max is no less."""
    slope, problem = point.slope, point.problem
    along = np.ones(slope.shape)
    if slope.ndim == 2:
        along = np.zeros(slope.shape)
        along[np.arange(problem.n), problem.y] = 1.0
    bends = np.abs(point.bend(along) * along).reshape(problem.n, -1).sum(axis=1)
    return float((bends * norms * (np.broadcast_to(problem.share, problem.n) > 0)).max()) * (1 - ROUNDING)


def _ratio(ends: _Ends, how: str, where: str, seconds: float) -> Constant:
    def divide(a: float, b: float) -> float:
        return a / b if b > 0 else float("inf")

    low = divide(max(ends.largest_interval[0], 0.0), ends.smallest_interval[1])
    high = divide(ends.largest_interval[1], ends.smallest_interval[0])
    return Constant(divide(ends.largest, ends.smallest), f"{how}, L/mu of the Hessian", where, (low, high), seconds)


def _ends(point: Any, base: FiniteSum, size: int, seed: int, how: str) -> _Ends:
    """Both ends of the spectrum of a point's Hessian, on directions that tell classes apart."""
    contrast = _Contrast(base.classes, size // base.classes, int(base.intercept)) if base.invariant else None
    if contrast is not None:
        how += ", on directions that tell classes apart"
    if size <= MAX_DENSE:
        matrix = point.hessian
        if contrast is not None:
            matrix = contrast.restrict(contrast.restrict(matrix).T)
        values = np.linalg.eigvalsh(matrix)
        slack = eigenvalue_slack(values, terms=base.n)
        spectrum = Spectrum(values, np.full(len(values), 1.0 / len(values)), how)
        low, high = float(values[0]), float(values[-1])
        products = int(np.ceil(point.hessian_passes / 2))
        return _Ends(low, (low - slack, low + slack), high, (high - slack, high + slack), spectrum, products)
    found = _lanczos(point.hvp, contrast, size, seed)
    rule = found.quadrature
    spectrum = Spectrum(rule.nodes, rule.weights, f"{how}; one Lanczos run")
    smallest, largest = found.smallest, found.largest
    return _Ends(
        smallest.value, smallest.interval, largest.value, largest.interval, spectrum, found.products
    )  # fmt: skip


def _lanczos(apply: Callable[[np.ndarray], np.ndarray], contrast: _Contrast | None, size: int, seed: int) -> Lanczos:
    if contrast is None:
        return lanczos(apply, size, seed, steps=LANCZOS_STEPS)
    return lanczos(lambda v: contrast.restrict(apply(contrast.embed(v))), contrast.size, seed, steps=LANCZOS_STEPS)


def _effective_dimension(problem: FiniteSum, point: Any, seed: int) -> tuple[float, Interval, str]:
    """Sum of lambda / (lambda + l2) over the Hessian without its penalty: the parameters that the data determine."""
    l2 = problem.l2
    contrast = _Contrast(problem.classes, problem.size // problem.classes, int(problem.intercept))
    if problem.size <= MAX_DENSE:
        matrix = point.hessian - np.diag(problem.ridge(np.ones(problem.size)))
        if problem.invariant:
            matrix = contrast.restrict(contrast.restrict(matrix).T)
        values = np.linalg.eigvalsh(matrix)
        slack = eigenvalue_slack(values, terms=problem.n)

        def total(off: float) -> float:
            moved = np.maximum(values + off, 0.0)
            return float((moved[moved > 0] / (moved[moved > 0] + l2)).sum())

        return total(-slack if l2 == 0 else 0.0), (total(-slack), total(slack)), "measured: eigenvalues"

    if l2 == 0:
        rank = float(min(problem.size, problem.n * problem.classes))
        return rank, (0.0, rank), "bound: no more than rows or parameters"

    def apply(v: np.ndarray) -> np.ndarray:
        return point.hvp(v) - problem.ridge(v)

    size = problem.size
    if problem.invariant:
        whole, size = apply, contrast.size

        def apply(v: np.ndarray) -> np.ndarray:
            return contrast.restrict(whole(contrast.embed(v)))

    density = spectral_density(apply, size, seed, probes=4, steps=LANCZOS_STEPS // 2)
    found = effective_dimension(density, l2)
    return found.value, found.interval, "measured: stochastic Lanczos quadrature"


class _Contrast:
    """Parameters that differ between classes: an orthonormal basis of columns that sum to zero, in the layout of x."""

    def __init__(self, classes: int, block: int, free: int) -> None:
        self.classes, self.features, self.free = classes, block - free, free
        self.basis = np.linalg.svd(np.ones((1, classes)))[2][1:].T  # (classes, classes - 1)
        self.size = (classes - 1) * block

    def embed(self, v: np.ndarray) -> np.ndarray:
        """From the smaller space into the layout of x."""
        cut = (self.classes - 1) * self.features
        parts = [(self.basis @ v[:cut].reshape(self.classes - 1, -1)).ravel()]
        return np.concatenate([*parts, self.basis @ v[cut:]]) if self.free else parts[0]

    def restrict(self, matrix: np.ndarray) -> np.ndarray:
        """The transpose of ``embed`` on a vector, or on each column of a matrix."""
        cut, rest = self.classes * self.features, matrix.shape[1:]
        coefficients = matrix[:cut].reshape(self.classes, -1)
        parts = [(self.basis.T @ coefficients).reshape((self.classes - 1) * self.features, *rest)]
        return np.concatenate([*parts, self.basis.T @ matrix[cut:]]) if self.free else parts[0]


def _second_moment(problem: FiniteSum, seed: int) -> tuple[float, Interval]:
    """The largest eigenvalue of sum p_i (x_i, 1)(x_i, 1)', with an interval."""
    rows, share = problem.rows, problem.share
    free = int(problem.intercept)

    def apply(v: np.ndarray) -> np.ndarray:
        u = share * (rows.matvec(v[: problem.d]) + (v[-1] if free else 0.0))
        products = rows.rmatvec(u)
        return np.append(products, u.sum()) if free else products

    size = problem.d + free
    if size <= MAX_DENSE:
        matrix = np.empty((size, size))
        weights = np.broadcast_to(share, problem.n)
        matrix[: problem.d, : problem.d] = rows.gram(weights)
        if free:
            matrix[:-1, -1] = matrix[-1, :-1] = rows.rmatvec(weights)
            matrix[-1, -1] = 1.0
        values = np.linalg.eigvalsh(matrix)
        top = float(values[-1])
        slack = eigenvalue_slack(values, terms=problem.n)
        return top, (top - slack, top + slack)
    found = lanczos(apply, size, seed, steps=min(size, LANCZOS_STEPS), tolerance=1e-8)
    return found.largest.value, found.largest.interval


class _Clock:
    """Seconds since the last look."""

    def __init__(self) -> None:
        self.last = time.perf_counter()

    def lap(self) -> float:
        now = time.perf_counter()
        elapsed, self.last = now - self.last, now
        return elapsed
