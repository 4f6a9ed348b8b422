"""What a method is expected to take on any problem, foreseen from one point: the spectrum there, and its gradient."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from thalweg.core.random import generator
from thalweg.core.vector import flat, like
from thalweg.linalg import lanczos
from thalweg.methods.method import Method
from thalweg.methods.schedule import Constant
from thalweg.methods.stochastic import BATCH_SIZE
from thalweg.methods.stochastic_methods import SGD
from thalweg.theory.on_spectrum import sampled_steps_on_spectrum, steps_on_spectrum
from thalweg.theory.predict import Foresight, Rehearsal, foresee

#: Parameters up to which the Hessian is diagonalised; beyond, Lanczos from the gradient sees it.
MAX_DENSE, MAX_PRODUCTS = 700, 80
#: Eigenvalues below this share of the largest count as none: rounding made them.
FLAT = 1e-14
#: A slope along flat directions above this share of the gradient is more than rounding.
SLOPE = 1e-7
#: Examples whose gradients tell the noise along eigenvectors.
MAX_EXAMPLES = 400
UNKNOWN: tuple[np.ndarray, np.ndarray] = (np.zeros(0), np.zeros(0))


@dataclass(frozen=True, eq=False)
class LocalModel:
    """The quadratic model of a problem at a point, in the eigenvectors of its Hessian.

    Attributes:
        eigenvalues: Ascending, shape (m,): all, or the nodes of a Gauss rule that sees what the gradient sees.
        away: Distance from the model's minimum along each, shape (m,).
        basis: Eigenvectors (size, m), or None where only products were used.
        convex: Whether no eigenvalue is negative beyond rounding.
        bounded: Whether the model has a minimum: no slope along a direction without curvature.
        exact: Whether the problem is this quadratic.
        point: Where gradients of examples are taken; None where there are none.

    """

    eigenvalues: np.ndarray
    away: np.ndarray
    basis: np.ndarray | None
    convex: bool
    exact: bool
    point: Any = None
    bounded: bool = True

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
        Steps nan where theory has nothing to say: a start that is not convex, or whose model has no minimum; a method
        whose steps depend on more than eigenvalues (adaptive ones); Newton's method on what is not a quadratic. The
        basis says which.

    """
    where = "the quadratic itself" if model.exact else "the quadratic model at the start"
    if not model.convex:
        return Foresight(
            math.nan, math.nan, UNKNOWN, "no prediction: the Hessian at the start has negative eigenvalues"
        )
    if not model.bounded:
        return Foresight(
            math.nan, math.nan, UNKNOWN, f"no prediction: {where} falls along a direction without curvature"
        )
    if method.noisy:
        return _sampled(problem, model, method, target, where)
    if not method.rotates:
        return Foresight(math.nan, math.nan, UNKNOWN, "no prediction: its steps depend on the axes, not on eigenvalues")
    if method.certifies and not model.exact:
        return Foresight(math.nan, math.nan, UNKNOWN, "no prediction: Newton's steps on what is not quadratic")
    found = steps_on_spectrum(method, model.eigenvalues, model.away, target)
    return Foresight(found.steps, 2.0 * (found.steps + 1), found.curve, f"{where}: the method on its eigenvalues")


def rehearsed(problem: Any, rehearsal: Rehearsal, method: Method, x: Any, target: float) -> Foresight:
    """The same from a rehearsal on some rows of a table: curvature at its minimum, not at the start.

    Args:
        problem: The whole problem, in the method's variables.
        rehearsal: What it has shown.
        method: Tuned.
        x: The start, in the method's variables.
        target: Wanted f - f*, positive.

    """
    if method.noisy:
        eigenvalues, away = rehearsal.seen_from(x)
        basis = None if rehearsal.modes is None else rehearsal.modes[1]
        # Noise does not vanish at the minimum of the rows: gradients of single examples differ there most of all.
        model = LocalModel(eigenvalues, away, basis, True, False, problem.at(rehearsal.minimum))
        return _sampled(problem, model, method, target, f"rehearsal on {rehearsal.rows} rows")
    if not method.rotates:
        return Foresight(math.nan, math.nan, UNKNOWN, "no prediction: its steps depend on the axes, not on eigenvalues")
    return foresee(rehearsal, method, x, target)


def _sampled(problem: Any, model: LocalModel, method: Method, target: float, where: str) -> Foresight:
    """SGD with a constant step: additive noise as it is at the model's point, batches as if drawn with replacement."""
    plain = isinstance(method, SGD) and not (method.momentum or method.transforms or method.clip_norm is not None)
    if not isinstance(method, SGD) or not plain or not isinstance(method.schedule, Constant) or method.average:
        return Foresight(math.nan, math.nan, UNKNOWN, "no prediction: theory covers SGD with a constant step alone")
    if not hasattr(problem, "n") or model.point is None:
        return Foresight(math.nan, math.nan, UNKNOWN, "no prediction: the problem is no sum of examples")
    asked = BATCH_SIZE if isinstance(method.batch_size, str) else method.batch_size or problem.n
    batch = min(asked, problem.n)
    variances = variances_along(model.point, model.basis)
    updates = max(problem.n // batch, 1)  # an epoch is a step
    seen = sampled_steps_on_spectrum(
        float(method.step_size or 0.0), model.eigenvalues, model.away, variances, batch, target
    )
    epochs = seen.steps / updates
    curve = seen.curve[0] / updates, seen.curve[1]
    return Foresight(
        math.ceil(epochs) if math.isfinite(epochs) else epochs,
        4.0 * epochs + 2.0,
        curve,
        f"{where}: second moments of SGD with additive noise",
    )


def variances_along(point: Any, basis: np.ndarray | None, seed: int = 0) -> np.ndarray | float:
    """sigma_i^2 of one example's gradient along each eigenvector, shape (m,), from at most ``MAX_EXAMPLES`` examples.

    Without a basis the mean over all directions, one number.

    Args:
        point: Of a sum; answers ``sample``.
        basis: Eigenvectors in columns, shape (size, m), or None.
        seed: Seed of the choice of examples.

    """
    n = point.problem.n
    chosen = np.arange(n) if n <= MAX_EXAMPLES else generator(seed).choice(n, MAX_EXAMPLES, replace=False)
    gradients = np.stack([flat(point.sample(np.array([i]))) for i in chosen])
    if basis is None:
        return float(gradients.var(axis=0).mean())
    return np.asarray((gradients @ basis).var(axis=0))
