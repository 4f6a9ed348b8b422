"""Diagnosis: the constants that theory says decide everything, each with how, where, interval and cost.

Small problems are diagonalised; large ones are seen through Lanczos, whose intervals hold with probability 0.99.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from thalweg.core.plan import Diagnosis, Spectrum
from thalweg.core.records import Constant, Constants
from thalweg.linalg import lanczos
from thalweg.problems import ChangedProblem, FiniteSum, Standardizing
from thalweg.problems.change import ChangedPoint

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
    x = problem.start() if at is None else np.asarray(at, dtype=np.float64)
    where = "at x = 0" if at is None else "at the given point"
    point = problem.at(x)
    changed = ChangedProblem(problem, Standardizing(problem))
    clock = _Clock()
    raw = _ends(point, problem.size, seed, f"the Hessian {where}, in the user's variables")
    raw_seconds = clock.lap()
    scaled_point = ChangedPoint(changed, changed.change.inverse(x), point)  # what was computed at x serves twice
    scaled = _ends(scaled_point, changed.size, seed, f"the Hessian {where}, in the methods' variables")
    scaled_seconds = clock.lap()
    how = "measured: eigenvalues" if problem.size <= MAX_DENSE else f"measured: {raw.products} Lanczos steps"
    entries: dict[str, Constant] = {}

    bound = problem.loss.bounds.smoothness
    if np.isfinite(bound):
        top, top_interval = _second_moment(problem, seed)
        low, high = (bound * end + problem.l2 for end in top_interval)
        if problem.constant_curvature:
            how_l = "closed form: the Hessian is constant"
            low = max(low, raw.largest_interval[0])
        else:
            # The bound holds everywhere; the curvature met at this point is a lower end for the true L.
            how_l = f"bound: {bound:.4g} (loss) times the largest eigenvalue of the second moment, plus l2"
            low = min(raw.largest_interval[0], high)
        entries["L"] = Constant(bound * top + problem.l2, how_l, "everywhere", (low, high), clock.lap())
        norms = problem.rows.square_norms() + float(problem.intercept)
        largest = bound * float(norms.max()) + problem.l2
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
    entries["sigma2"] = Constant(
        noise, "closed form: E||g_i - g||^2 of one example; sigma^2/B for a batch of B with replacement", where,
        (noise, noise), clock.lap(),
    )  # fmt: skip
    values, weights = raw.spectrum.eigenvalues, raw.spectrum.weights
    data = np.maximum(values - problem.l2, 0.0)
    effective = problem.size * float(weights @ (data / np.maximum(data + problem.l2, np.finfo(float).tiny)))
    spread = 0.0 if problem.size <= MAX_DENSE else 0.5 * effective
    entries["effective_dimension"] = Constant(
        effective, "sum of lambda/(lambda + l2) over the spectrum of the data term", where,
        (max(effective - spread, 0.0), min(effective + spread, float(problem.size))), clock.lap(),
    )  # fmt: skip
    passes = 2.0 * (raw.products + scaled.products) + 4.0
    return Diagnosis(Constants(entries), raw.spectrum, scaled.spectrum, time.perf_counter() - started, passes)


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


def _ends(point: Any, size: int, seed: int, how: str) -> _Ends:
    """Both ends of the spectrum of a point's Hessian."""
    if size <= MAX_DENSE:
        matrix = point.hessian
        base = getattr(point.problem, "base", point.problem)
        if base.invariant:
            # Moving all classes together changes no prediction: such directions are no part of the question.
            apart = _apart(base.classes, size // base.classes, int(base.intercept))
            matrix = apart.T @ matrix @ apart
            how += ", on directions that tell classes apart"
        values = np.linalg.eigvalsh(matrix)
        size = len(values)
        # Backward stability: each computed eigenvalue is within a few rounding units of the largest of a true one.
        slack = 4 * size * np.finfo(float).eps * float(np.abs(values).max(initial=0.0))
        spectrum = Spectrum(values, np.full(size, 1.0 / size), how)
        low, high = float(values[0]), float(values[-1])
        passes = int(np.ceil(point.hessian_passes / 2))
        return _Ends(low, (low - slack, low + slack), high, (high - slack, high + slack), spectrum, passes)
    return _lanczos_ends(point.hvp, size, seed, how)


def _apart(classes: int, block: int, free: int) -> np.ndarray:
    """An orthonormal basis of the parameters that differ between classes, in the layout of x."""
    contrast = np.linalg.svd(np.ones((1, classes)))[2][1:].T  # (classes, classes - 1), columns summing to zero
    coefficients = np.kron(contrast, np.eye(block - free))
    if not free:
        return coefficients
    rows, columns = coefficients.shape
    basis = np.zeros((rows + classes, columns + classes - 1))
    basis[:rows, :columns] = coefficients
    basis[rows:, columns:] = contrast
    return basis


def _lanczos_ends(apply: Callable[[np.ndarray], np.ndarray], size: int, seed: int, how: str) -> _Ends:
    found = lanczos(apply, size, seed, steps=LANCZOS_STEPS)
    low, high = found.smallest, found.largest
    rule = found.quadrature
    spectrum = Spectrum(rule.nodes, rule.weights, f"{how}; one Lanczos run")
    return _Ends(low.value, low.interval, high.value, high.interval, spectrum, found.products)


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
