"""What a method is expected to take on any problem, foreseen from one point: the spectrum there, and its gradient."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from thalweg.core.errors import ThalwegError
from thalweg.core.random import generator
from thalweg.core.vector import flat, like
from thalweg.data.samplers import Sampler
from thalweg.linalg import lanczos, preconditioned_cg
from thalweg.methods import GradientDescent, HeavyBall
from thalweg.methods.method import Method
from thalweg.methods.metric import Euclidean, HessianMetric
from thalweg.methods.stochastic import BATCH_SIZE, Stochastic, batch_passes
from thalweg.theory.followed import followed
from thalweg.theory.on_spectrum import steps_on_spectrum
from thalweg.theory.predict import Foresight, Rehearsal, foresee, nothing
from thalweg.theory.second_moments import MAX_UPDATES, GradientNoise, SecondMoments, why_not_linear

#: Parameters up to which the Hessian is diagonalised; beyond, Lanczos from the gradient sees it.
MAX_DENSE, MAX_PRODUCTS = 700, 80
#: Eigenvalues below this share of the largest count as none: rounding made them.
FLAT = 1e-14
#: A slope along flat directions above this share of the gradient is more than rounding.
SLOPE = 1e-7
#: Examples whose gradients tell the noise along eigenvectors.
MAX_EXAMPLES = 400
#: The model at the start is believed when the one at its minimum expects to fall by at most this share of it.
TRUSTED = 0.01
#: What a model that is only near may be off by.
MODEL_SPREAD = (0.6, 1.7)
#: Without eigenvectors: Lanczos runs from mixed differences of examples' gradients, and products spent on each.
NOISE_STARTS, NOISE_PRODUCTS = 4, 30
#: Residual, and products, of the solve for the minimum of a quadratic without eigenvectors.
SOLVED, MAX_SOLVING = 1e-8, 500


@dataclass(frozen=True, eq=False)
class LocalModel:
    """The quadratic model of a problem at a point, in the eigenvectors of its Hessian.

    Attributes:
        eigenvalues: Ascending, shape (m,): all, or the nodes of a Gauss rule that sees what the gradient sees.
        away: Distance from the model's minimum along each, shape (m,).
        basis: Eigenvectors (size, m), or None where only products were used.
        convex: Whether no eigenvalue is negative beyond rounding.
        exact: Whether the problem is this quadratic.
        point: Where it was made.
        bounded: Whether the model has a minimum: no slope along a direction without curvature.
        minimum: A point at its minimum, where that is known already.
        left: f - f* that a second model, at the minimum of this one, expects there, over that of this one: how far off
            this one is.

    """

    eigenvalues: np.ndarray
    away: np.ndarray
    basis: np.ndarray | None
    convex: bool
    exact: bool
    point: Any = None
    bounded: bool = True
    minimum: Any = None
    left: float = 0.0

    @property
    def at_minimum(self) -> Any:
        """A point at the minimum of the model."""
        if self.minimum is not None:
            return self.minimum
        x, gradient = self.point.x, self.point.gradient
        if self.basis is not None:
            return self.point.problem.at(x - like(x, self.basis @ self.away))
        step, *_ = preconditioned_cg(self.point.hvp, gradient, lambda r: r, SOLVED, MAX_SOLVING)
        return self.point.problem.at(x - step)

    @property
    def gap(self) -> float:
        """f - f* of the model at the point."""
        return 0.5 * float(self.eigenvalues @ self.away**2)


def local_model(point: Any, *, quadratic: bool = False, seed: int = 0) -> LocalModel:
    """The quadratic model at a point.

    Args:
        point: Of any problem.
        quadratic: Whether the problem is known to be a quadratic.
        seed: Seed of a random start where the gradient is zero.

    """
    model = _measured(point, quadratic, seed)
    if quadratic or not (model.convex and model.bounded) or model.gap == 0:
        return model
    try:
        least = _measured(model.at_minimum, False, seed)
    except (ThalwegError, np.linalg.LinAlgError):
        return replace(model, left=math.inf)
    known = least.convex and least.bounded and math.isfinite(least.gap)
    return replace(model, left=least.gap / model.gap if known else math.inf)


def _measured(point: Any, quadratic: bool, seed: int) -> LocalModel:
    gradient = flat(point.gradient).astype(np.float64)
    if len(gradient) <= MAX_DENSE:
        eigenvalues, basis = np.linalg.eigh(point.hessian)
        along = basis.T @ gradient
        return _model(eigenvalues, along, basis, quadratic, point)

    def apply(v: np.ndarray) -> np.ndarray:
        return flat(point.hvp(like(point.x, v)))

    norm = float(np.linalg.norm(gradient))
    rule = lanczos(apply, len(gradient), seed, steps=MAX_PRODUCTS, start=gradient if norm > 0 else None).quadrature
    return _model(rule.nodes, norm * np.sqrt(rule.weights), None, quadratic, point)


def _model(
    eigenvalues: np.ndarray, along: np.ndarray, basis: np.ndarray | None, quadratic: bool, point: Any
) -> LocalModel:
    floor = FLAT * float(np.abs(eigenvalues).max(initial=0.0))
    flat_ones = eigenvalues <= floor
    away = np.where(flat_ones, 0.0, along / np.where(flat_ones, 1.0, eigenvalues))
    negative = bool((eigenvalues < -1e3 * floor).any())
    slope = float(np.linalg.norm(along[flat_ones])) > SLOPE * float(np.linalg.norm(along))
    return LocalModel(np.maximum(eigenvalues, 0.0), away, basis, not negative, quadratic, point, not slope)


def expected(problem: Any, model: LocalModel, method: Method, target: float) -> Foresight:
    """Steps and passes of a method to f - f* <= target, on the quadratic model at its start.

    Args:
        problem: The problem, in the method's variables.
        model: Its quadratic model at the start.
        method: Tuned.
        target: Wanted f - f*, positive.

    Returns:
        The basis says how it was obtained: in closed form, by second moments, or by following the method on the
        quadratic. Steps nan, and the reason, where a model at the start has nothing to say: it is not convex, has no
        minimum, is far off there; or the problem is no quadratic and the method's steps depend on more than
        eigenvalues. Such runs are foreseen from their first steps (``foreseen_in_run``).

    """
    where = "the quadratic itself" if model.exact else "the quadratic model at the start"
    if not model.convex:
        return nothing("the Hessian at the start has negative eigenvalues")
    if not model.bounded:
        return nothing(f"{where} falls along a direction without curvature")
    if model.left > TRUSTED:
        return nothing(f"at the minimum of {where} another one expects to fall by {model.left:.2g} of that")
    sampled = method.noisy and hasattr(type(model.point), "sample")
    if isinstance(method, Stochastic) and not why_not_linear(method, sampled, model.basis is not None):
        return _by_moments(problem, model, method, target, sampled, where)
    if sampled or not commutes(method):
        if model.exact:
            return followed(model.point, min(model.at_minimum.value, model.point.value), method, target)
        return nothing("its steps depend on more than eigenvalues, on what is not quadratic")
    if method.certifies and not model.exact:
        return nothing("Newton's steps on what is not quadratic")
    return _on_eigenvalues(method, model, target, where)


def rehearsed(problem: Any, rehearsal: Rehearsal, method: Method, x: Any, target: float) -> Foresight:
    """The same from a rehearsal on some rows of a table: curvature at its minimum, not at the start.

    Args:
        problem: The whole problem, in the method's variables.
        rehearsal: What it has shown.
        method: Tuned.
        x: The start, in the method's variables.
        target: Wanted f - f*, positive.

    """
    if isinstance(method, Stochastic) and not why_not_linear(method, method.noisy, rehearsal.modes is not None):
        eigenvalues, away = rehearsal.seen_from(x)
        basis = None if rehearsal.modes is None else rehearsal.modes[1]
        model = LocalModel(eigenvalues, away, basis, True, False, problem.at(x), True, problem.at(rehearsal.minimum))
        return _by_moments(problem, model, method, target, method.noisy, f"rehearsal on {rehearsal.rows} rows")
    if method.noisy or not commutes(method):
        return nothing("its steps depend on more than eigenvalues, on what is not quadratic")
    seen = foresee(rehearsal, method, x, target)
    if math.isinf(seen.steps) and getattr(method, "guard", False):
        return nothing("its step is too long at the minimum, and the guard will shorten it")
    if seen.steps < 1 and problem.at(x).value - problem.at(rehearsal.minimum).value > target:
        return nothing("the curvature at the rehearsed minimum says nothing of the start, which is far")
    return seen


def commutes(method: Method) -> bool:
    """Whether a method takes the same steps in rotated variables."""
    plain = not isinstance(method, Stochastic) or not why_not_linear(method, False, False)
    return (
        method.rotates and plain and isinstance(getattr(method, "metric", HessianMetric()), (Euclidean, HessianMetric))
    )


def _on_eigenvalues(method: Method, model: LocalModel, target: float, where: str) -> Foresight:
    found = steps_on_spectrum(method, model.eigenvalues, model.away, target)
    closed = isinstance(method, (GradientDescent, HeavyBall))
    basis = f"closed form on {where}" if closed else f"followed on the eigenvalues of {where}"
    return Foresight(found.steps, 2.0 * (found.steps + 1), found.curve, basis)


def _by_moments(
    problem: Any, model: LocalModel, method: Stochastic, target: float, sampled: bool, where: str
) -> Foresight:
    """Linear updates: the second moments of their state."""
    if not sampled:
        noise, eigenvalues, away = GradientNoise(0.0), model.eigenvalues, model.away
        passes, law = 2.0 if method.average is None else 4.0, "whole gradients"
    else:
        noise, eigenvalues, away = noise_of_sum(model)
        batch = BATCH_SIZE if isinstance(method.batch_size, str) else method.batch_size or problem.n
        sampler = Sampler(problem.n, batch, method.sampling)
        passes = 2.0 + batch_passes(problem, sampler, sampler.updates)
        drawn = "with replacement" if method.sampling == "replacement" else "from shuffled epochs"
        law = f"noise that grows with f - f* as between start and minimum, batches of {sampler.batch_size} {drawn}"
    minimiser = None
    if model.basis is not None:
        minimiser = model.basis.T @ flat(model.point.x).astype(np.float64) - model.away
    seen = SecondMoments(method, eigenvalues, away, noise, minimiser).until(target)
    basis = f"second moments on {where}: {law}"
    if math.isnan(seen.steps):
        basis = f"none: second moments on {where} are above the target still after {MAX_UPDATES:,} updates"
    interval = seen.interval if sampled else None
    if interval is not None and not model.exact:  # the model may be off by more than runs differ
        interval = MODEL_SPREAD[0] * interval[0], MODEL_SPREAD[1] * interval[1]
    return Foresight(seen.steps, passes * seen.steps + 2.0, seen.curve, basis, interval)


def noise_of_sum(model: LocalModel) -> tuple[GradientNoise, np.ndarray, np.ndarray]:
    """The noise of a finite sum near a minimum, with eigenvalues and distances, (m,), that it is told along.

    Examples' gradients are compared at the minimum and at the start: what their variances gain on the way to the start
    is taken to be proportional to f - f*. Without a basis, Lanczos runs from differences of examples' gradients add
    nodes at which the model is at rest and the noise is as it is along them.

    Args:
        model: At the start of the sum.

    """
    start, gap = model.point, max(model.gap, 1e-300)
    least = model.at_minimum
    n = int(start.problem.n)
    if model.basis is not None:
        at_least, at_start = (gradient_differences(point) for point in (least, start))
        variances, before = ((np.square(a @ model.basis)).mean(axis=0) for a in (at_least, at_start))
        growth = np.maximum(before - variances, 0.0) / gap
        return GradientNoise(variances, growth, n), model.eigenvalues, model.away
    nodes, noise = [model.eigenvalues], []
    for point in (least, start):
        noise.append(_noise_rule(point))
        nodes.append(noise[-1][0])
    values = np.concatenate(nodes)
    (_, at_least), (_, at_start) = noise
    zeros = np.zeros(len(model.eigenvalues))
    variances = np.concatenate([zeros, at_least, 0.0 * at_start])
    # The nodes of both are nearly the same: the growth is the difference of what lies on them.
    growth = np.concatenate([zeros, -at_least, at_start]) / gap
    away = np.concatenate([model.away, np.zeros(len(values) - len(zeros))])
    return GradientNoise(variances, growth, n, size=len(values)), np.maximum(values, 0.0), away


def _noise_rule(point: Any) -> tuple[np.ndarray, np.ndarray]:
    """Nodes (m,) and the variance of one example's gradient on them, from products with the Hessian."""
    differences = gradient_differences(point)
    total = float(np.square(differences).sum(axis=1).mean())

    def apply(v: np.ndarray) -> np.ndarray:
        return flat(point.hvp(like(point.x, v)))

    rng = generator(0)
    nodes, weights = [], []
    for _ in range(NOISE_STARTS):
        mixed = rng.standard_normal(len(differences)) @ differences  # its covariance is that of the examples
        rule = lanczos(apply, differences.shape[1], 0, steps=NOISE_PRODUCTS, start=mixed).quadrature
        nodes.append(rule.nodes)
        weights.append(total / NOISE_STARTS * rule.weights)
    return np.concatenate(nodes), np.concatenate(weights)


def gradient_differences(point: Any, seed: int = 0) -> np.ndarray:
    """Examples' gradients less their mean, of at most ``MAX_EXAMPLES`` examples: shape (count, size).

    Args:
        point: Of a sum; answers ``sample``.
        seed: Seed of the choice of examples.

    """
    n = point.problem.n
    chosen = np.arange(n) if n <= MAX_EXAMPLES else generator(seed).choice(n, MAX_EXAMPLES, replace=False)
    gradients = np.stack([flat(point.sample(np.array([i]))) for i in chosen]).astype(np.float64)
    return gradients - gradients.mean(axis=0)
