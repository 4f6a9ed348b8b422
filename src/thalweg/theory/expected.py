"""What a method is expected to take on any problem, foreseen from one point: the spectrum there, and its gradient."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from thalweg.core.vector import flat, like
from thalweg.linalg import lanczos
from thalweg.methods.method import Method
from thalweg.theory.on_spectrum import Expected, sampled_steps_on_spectrum, steps_on_spectrum
from thalweg.theory.predict import Foresight, Rehearsal, foresee

#: Parameters up to which the Hessian is diagonalised; beyond, Lanczos from the gradient sees it.
MAX_DENSE, MAX_PRODUCTS = 700, 80
#: Eigenvalues below this share of the largest count as none: rounding made them.
FLAT = 1e-14
UNKNOWN: tuple[np.ndarray, np.ndarray] = (np.zeros(0), np.zeros(0))


@dataclass(frozen=True, eq=False)
class LocalModel:
    """The quadratic model of a problem at a point, in the eigenvectors of its Hessian.

    Attributes:
        eigenvalues: Ascending, shape (m,): all, or the nodes of a Gauss rule that sees what the gradient sees.
        away: Distance from the model's minimum along each, shape (m,).
        basis: Eigenvectors (size, m), or None where only products were used.
        convex: Whether no eigenvalue is negative beyond rounding.
        exact: Whether the problem is this quadratic.

    """

    eigenvalues: np.ndarray
    away: np.ndarray
    basis: np.ndarray | None
    convex: bool
    exact: bool

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
        return _model(eigenvalues, along, basis, quadratic)

    def apply(v: np.ndarray) -> np.ndarray:
        return flat(point.hvp(like(point.x, v)))

    norm = float(np.linalg.norm(gradient))
    rule = lanczos(apply, len(gradient), seed, steps=MAX_PRODUCTS, start=gradient if norm > 0 else None).quadrature
    return _model(rule.nodes, norm * np.sqrt(rule.weights), None, quadratic)


def _model(eigenvalues: np.ndarray, along: np.ndarray, basis: np.ndarray | None, quadratic: bool) -> LocalModel:
    floor = FLAT * float(np.abs(eigenvalues).max(initial=0.0))
    flat_ones = eigenvalues <= floor
    away = np.where(flat_ones, 0.0, along / np.where(flat_ones, 1.0, eigenvalues))
    negative = bool((eigenvalues < -1e3 * floor).any())
    return LocalModel(np.maximum(eigenvalues, 0.0), away, basis, not negative, quadratic)


def expected(problem: Any, model: LocalModel, method: Method, target: float) -> Foresight:
    """Steps and passes of a method to f - f* <= target, on the quadratic model at its start.

    Args:
        problem: The problem, in the method's variables.
        model: Its quadratic model at the start.
        method: Tuned.
        target: Wanted f - f*, positive.

    Returns:
        Steps nan where theory has nothing to say: a start that is not convex; a method whose steps depend on more than
        eigenvalues (adaptive ones); Newton's method on what is not a quadratic. The basis says which.

    """
    where = "the quadratic itself" if model.exact else "the quadratic model at the start"
    if not model.convex:
        return Foresight(
            math.nan, math.nan, UNKNOWN, "no prediction: the Hessian at the start has negative eigenvalues"
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
        model = LocalModel(eigenvalues, away, basis, True, False)
        return _sampled(problem, model, method, target, f"rehearsal on {rehearsal.rows} rows")
    if not method.rotates:
        return Foresight(math.nan, math.nan, UNKNOWN, "no prediction: its steps depend on the axes, not on eigenvalues")
    return foresee(rehearsal, method, x, target)


def _sampled(problem: Any, model: LocalModel, method: Any, target: float, where: str) -> Foresight:
    """A stochastic method with a constant step, plain gradients and additive noise as at the start."""
    return Foresight(math.nan, math.nan, UNKNOWN, "no prediction for this stochastic method")


__all__ = ["Expected", "LocalModel", "expected", "local_model", "sampled_steps_on_spectrum"]
