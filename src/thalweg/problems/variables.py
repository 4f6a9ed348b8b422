"""A problem in other variables: g(u) = f(P u). Methods that do not depend on the choice of variables show it here."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from thalweg.core.errors import InputError
from thalweg.core.records import Certificate
from thalweg.core.vector import Any1D, flat, like
from thalweg.linalg import Factor, factor

EPS = float(np.finfo(np.float64).eps)


def in_variables(problem: Any, P: Any) -> InVariables:
    """The problem g(u) = f(P u), for x = P u.

    Gradient descent on g is gradient descent on f preconditioned by P P'; Newton's method takes the same steps on both.

    Args:
        problem: Any problem; x may be laid out in leaves, u is one array over all entries in order.
        P: Invertible, shape (size, size), or its diagonal, shape (size,).

    Raises:
        InputError: P is of another shape, not finite, or singular.

    Example:
        >>> import thalweg as tw
        >>> scaled = in_variables(tw.Quadratic([[4.0, 0.0], [0.0, 1.0]], x0=[1.0, 1.0]), [0.5, 1.0])
        >>> scaled.at(scaled.start()).gradient
        array([2., 1.])

    """
    return InVariables(problem, P)


class InVariables:
    """g(u) = f(P u).

    Args:
        problem: f.
        P: Invertible, shape (size, size), or its diagonal, shape (size,).

    Raises:
        InputError: P is of another shape, not finite, or singular.

    """

    def __init__(self, problem: Any, P: Any) -> None:
        self.base = problem
        self.size = int(problem.size)
        matrix = np.asarray(P, dtype=np.float64)
        if matrix.shape not in ((self.size,), (self.size, self.size)) or not np.isfinite(matrix).all():
            raise InputError(
                f"P of shape {matrix.shape} does not fit {self.size} parameters, or is not finite",
                f"give shape ({self.size}, {self.size}), or ({self.size},) for a diagonal",
            )
        singular = np.abs(matrix) if matrix.ndim == 1 else np.linalg.svd(matrix, compute_uv=False)
        if singular.min() <= self.size * EPS * singular.max():
            raise InputError(
                f"P is singular: its least singular value is {singular.min():.3g}", "give an invertible matrix"
            )
        self.P = matrix

    def __repr__(self) -> str:
        return f"InVariables({self.base!r})"

    @property
    def l2(self) -> float:
        """The ridge weight of f."""
        return float(self.base.l2)

    @property
    def convex(self) -> bool | None:
        """Whether f is known to be convex, and g with it."""
        convex: bool | None = self.base.convex
        return convex

    @property
    def provable(self) -> bool:
        """Whether a certificate of f can be a proof."""
        return bool(self.base.provable)

    @property
    def constant_curvature(self) -> bool:
        """Whether f is a quadratic."""
        return bool(getattr(self.base, "constant_curvature", False))

    def forward(self, u: np.ndarray) -> Any1D:
        """x = P u, laid out as f takes it."""
        return like(self.base.start(), self.P * u if self.P.ndim == 1 else self.P @ u)

    def inverse(self, x: Any1D) -> np.ndarray:
        """u with P u = x."""
        entries = flat(x).astype(np.float64)
        return entries / self.P if self.P.ndim == 1 else np.linalg.solve(self.P, entries)

    def adjoint(self, gradient: Any1D) -> np.ndarray:
        """P' times a gradient of f."""
        return self.P * flat(gradient) if self.P.ndim == 1 else self.P.T @ flat(gradient)

    def start(self) -> np.ndarray:
        """Where f begins, in u."""
        return self.inverse(self.base.start())

    def at(self, u: np.ndarray) -> VariablesPoint:
        """The point at u."""
        return VariablesPoint(self, u, self.base.at(self.forward(u)))

    def recession(self, direction: np.ndarray, noise: float = 1e-12, least: float = 0.0) -> bool:
        """Whether f is known to fall forever along P times the direction."""
        return bool(self.base.recession(self.forward(direction), noise, least))


class VariablesPoint:
    """A point in u; all that is costly lives in the point of f."""

    def __init__(self, problem: InVariables, u: np.ndarray, base: Any) -> None:
        self.problem = problem
        self.x = u
        self.base = base
        self._line: VariablesLine | None = None

    @property
    def value(self) -> float:
        """f(P u)."""
        return float(self.base.value)

    @cached_property
    def gradient(self) -> np.ndarray:
        """P' grad f."""
        return self.problem.adjoint(self.base.gradient)

    @cached_property
    def hessian(self) -> np.ndarray:
        """P' H P."""
        P, H = self.problem.P, self.base.hessian
        scaled = P[:, None] * H * P if P.ndim == 1 else P.T @ H @ P
        return 0.5 * (scaled + scaled.T)

    @property
    def hessian_passes(self) -> float:
        """What forming the Hessian costs, in passes."""
        return float(self.base.hessian_passes)

    def hvp(self, v: np.ndarray) -> np.ndarray:
        """P' H P v."""
        return self.problem.adjoint(self.base.hvp(self.problem.forward(v)))

    @cached_property
    def factored(self) -> Factor | None:
        """A solver with the Hessian that always gives a descent direction; None where that is not finite."""
        return factor(self.hessian) if np.isfinite(self.hessian).all() else None

    def along(self, direction: np.ndarray) -> VariablesLine:
        """The objective along a direction in u; the last line is kept."""
        if self._line is None or self._line.direction is not direction:
            self._line = VariablesLine(self, direction)
        return self._line

    def certificate(
        self, direction: np.ndarray | None = None, refine: Factor | None = None, wanted: float = np.inf
    ) -> Certificate:
        """The bound on f - f*, the same number in both variables.

        Args:
            direction: Close to Newton's direction in u, if one is known.
            refine: Solves with the Hessian in u, if it is known how.
            wanted: What is worth further work.

        """
        problem = self.problem
        outer = None
        if refine is not None:
            curving = None if refine.curving is None else flat(problem.forward(refine.curving))
            outer = Factor(
                lambda r: flat(problem.forward(refine(problem.adjoint(r)))),
                refine.definite,
                curving,
                refine.semidefinite,
            )
        forward = None if direction is None else self.along(direction).base.direction
        certificate: Certificate = self.base.certificate(forward, outer, wanted)
        return certificate


class VariablesLine:
    """A line in u; its trials are those of the line P d of f."""

    def __init__(self, point: VariablesPoint, direction: np.ndarray) -> None:
        self.start = point
        self.direction = direction
        self.base = point.base.along(point.problem.forward(direction))

    @property
    def passes(self) -> float:
        """What the line of f has cost."""
        return float(self.base.passes)

    def value_slope(self, t: float) -> tuple[float, float]:
        """The objective and its derivative in t."""
        value, slope = self.base.value_slope(t)
        return float(value), float(slope)

    def at(self, t: float) -> VariablesPoint:
        """The point at t."""
        return VariablesPoint(self.start.problem, self.start.x + t * self.direction, self.base.at(t))
