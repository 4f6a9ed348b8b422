"""Diagnosis: the constants that theory says decide everything, each with how, where, interval and cost.

Small problems are diagonalised; large ones are seen through Lanczos, whose intervals hold with probability 0.99.
"""

from __future__ import annotations

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
from thalweg.theory.constants_any import noise_constants, polyak_lojasiewicz
from thalweg.theory.third_order import hessian_lipschitz

#: Parameters up to which a Hessian is formed and diagonalised.
MAX_DENSE = 400
#: Products spent on a spectrum beyond that.
LANCZOS_STEPS = 40
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

    """
    started = time.perf_counter()
    x = problem.start() if at is None else _checked_point(at, problem)
    generator(seed)
    where = "at x = 0" if at is None else "at the given point"
    point = problem.at(x)
    changed = ChangedProblem(problem, Standardizing(problem))
    clock = _Clock()
    raw = _ends(point, problem, problem.size, seed, f"the Hessian {where}, in the user's variables")
    raw_seconds = clock.lap()
    scaled_point = ChangedPoint(changed, changed.change.inverse(x), point)  # what was computed at x serves twice
    scaled = _ends(scaled_point, problem, changed.size, seed, f"the Hessian {where}, in the methods' variables")
    scaled_seconds = clock.lap()
    how = "measured: eigenvalues" if problem.size <= MAX_DENSE else f"measured: {raw.products} Lanczos steps"
    entries: dict[str, Constant] = {}

    bound = problem.loss.bounds.smoothness
    if np.isfinite(bound):
        top, top_interval = _second_moment(problem, seed)
        if problem.constant_curvature:
            top, (low, high), how_l = raw.largest, raw.largest_interval, "closed form: the Hessian is constant"
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
            largest, "bound: (loss) times the largest ||(x_i, 1)||^2, plus l2", "everywhere", (largest, largest),
            clock.lap(),
        )  # fmt: skip
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
    noise = gradient_noise(problem, x)
    mean = point.gradient - problem.ridge(x)
    entries |= noise_constants(noise, float(mean @ mean), where)
    noise_seconds = clock.lap()
    entries["sigma2"] = replace(entries["sigma2"], seconds=noise_seconds)
    entries["PL"] = polyak_lojasiewicz(raw.spectrum.eigenvalues, point, how, where)
    entries["M"] = hessian_lipschitz(problem, point, where, seed)
    entries["M"] = replace(entries["M"], seconds=clock.lap())
    effective, interval, how_e = _effective_dimension(problem, point, seed)
    entries["effective_dimension"] = Constant(
        effective, f"{how_e}, sum of lambda/(lambda + l2) over the data term", where, interval, clock.lap()
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


def gradient_noise(problem: FiniteSum, x: np.ndarray) -> float:
    """E||g_i - g||^2 when one row is drawn with its share: sum p_i ||g_i||^2 - ||g||^2, exactly, in two passes.

    The ridge term is the same for every row and drops out; g_i = u_i (x_i, 1) with u_i the slope of row i, so that
    ||g_i||^2 = |u_i|^2 (||x_i||^2 + 1).

    Args:
        problem: The finite sum.
        x: Where, shape (size,).

    """
    point = problem.at(x)
    slope = point.slope
    squares = np.square(slope) if slope.ndim == 1 else np.square(slope).sum(axis=1)
    mean = point.gradient - problem.ridge(x)
    second = problem.mean(squares * (problem.rows.square_norms() + float(problem.intercept)))
    return max(second - float(mean @ mean), 0.0)


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
        # Backward stability: each computed eigenvalue is within a few rounding units of the largest of a true one.
        slack = 4 * size * np.finfo(float).eps * float(np.abs(values).max(initial=0.0))
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
        values = np.maximum(np.linalg.eigvalsh(matrix), 0.0)
        positive = values[values > 4 * problem.size * np.finfo(float).eps * values[-1]] if l2 == 0 else values
        total = float((positive / (positive + l2)).sum())
        return total, (total * (1 - 1e-9), total * (1 + 1e-9)), "measured: eigenvalues"

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
        top = float(np.linalg.eigvalsh(matrix)[-1])
        slack = 4 * size * np.finfo(float).eps * top
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
