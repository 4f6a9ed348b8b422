"""The losses: one row each, a one-line expression of (prediction, target) and the target's domain.

Derivatives, curvature bounds and kernels are derived from the expression. A row may add the convex conjugate
``l*(u, y) = sup_z u z - l(z, y)`` in closed form (plain NumPy, +inf outside its domain), which makes certificates
cheaper, and the mean of y given z where that differs from z. Nothing outside this file names a loss.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from typing import Any

import numpy as np

from thalweg import expr
from thalweg.core.errors import InputError
from thalweg.expr import abs as absolute
from thalweg.expr import exp, logsumexp, maximum, pick, softplus, square, where
from thalweg.expr.bounds import DerivativeBounds, derivative_bounds


class Target(Enum):
    """What the targets of a loss may be. The value is how a user writes it."""

    REAL = "real"
    COUNT = "count"
    SIGN = "+-1"
    CLASS = "class"

    @classmethod
    def parse(cls, text: Target | str) -> Target:
        """Read ``target=``.

        Raises:
            InputError: If the word is not known.

        """
        for target in cls:
            if text in (target, target.value):
                return target
        known = ", ".join(repr(target.value) for target in cls)
        raise InputError(f"target={text!r} is not a target domain", f"use one of {known}")


@dataclass(frozen=True)
class Loss:
    """One loss.

    Attributes:
        name: What ``loss=`` calls it.
        expression: ``l(z, y)`` per row; for class targets z has one column a class along its last axis.
        target: The domain of y.
        conjugate: ``l*(u, y)`` per row in NumPy, +inf outside its domain; None to solve it numerically.
        mean: The prediction in the units of y as a function of z; None where that is z itself.
        default_for: The inferred kind of target this loss is the default of, if any.

    """

    name: str
    expression: Callable[[Any, Any], Any]
    target: Target
    conjugate: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None
    mean: Callable[[np.ndarray], np.ndarray] | None = None
    default_for: str | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        """Compiled kernels are made again where a loss is unpickled; rows of the table travel by name."""
        if LOSSES.get(self.name) is self:
            return find_loss, (self.name,)
        parts = (self.name, self.expression, self.target, self.conjugate, self.mean, self.default_for)
        return Loss, parts

    @cached_property
    def kernel(self) -> expr.LossKernel:
        """Compiled value, derivative and curvature over rows."""
        return expr.loss_kernel(self.expression, self.target.value)

    @cached_property
    def bounds(self) -> DerivativeBounds:
        """Rigorous bounds on the first and second derivative in z over the declared targets."""
        kernel = self.kernel
        return derivative_bounds(kernel.loss, kernel.z, kernel.y)


def _xlogx(p: np.ndarray) -> np.ndarray:
    """Entropy term p log p with 0 log 0 = 0 and +inf for p < 0 (outside the domain of every entropy)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(p > 0, p * np.log(p), np.where(p == 0, 0.0, np.inf))


def _one_hot(y: np.ndarray, classes: int) -> np.ndarray:
    return (y[:, None] == np.arange(classes)).astype(np.float64)


LOSSES = {
    row.name: row
    for row in (
        Loss(
            "squared",
            lambda z, y: square(z - y) / 2,
            Target.REAL,
            conjugate=lambda u, y: u * u / 2 + u * y,
            default_for="real",
        ),
        Loss(
            "logistic",
            lambda z, y: softplus(-y * z),
            Target.SIGN,
            conjugate=lambda u, y: _xlogx(-y * u) + _xlogx(1 + y * u),
            default_for="two classes",
        ),
        Loss(
            "softmax",
            lambda z, y: logsumexp(z, axis=-1) - pick(z, y),
            Target.CLASS,
            conjugate=lambda u, y: _xlogx(u + _one_hot(y, u.shape[1])).sum(axis=1),
            default_for="classes",
        ),
        Loss(
            "poisson",
            lambda z, y: exp(z) - y * z,
            Target.COUNT,
            conjugate=lambda u, y: _xlogx(u + y) - (u + y),
            mean=np.exp,
        ),
        Loss(
            "huber",
            lambda z, y: where(absolute(z - y) <= 1, square(z - y) / 2, absolute(z - y) - 0.5),
            Target.REAL,
            conjugate=lambda u, y: np.where(np.abs(u) <= 1, u * u / 2 + u * y, np.inf),
        ),
        Loss(
            "squared_hinge",
            lambda z, y: square(maximum(0, 1 - y * z)),
            Target.SIGN,
            conjugate=lambda u, y: np.where(y * u <= 0, u * u / 4 + y * u, np.inf),
        ),
    )
}


def default_loss(kind: str) -> Loss:
    """The loss for an inferred kind of target (``"real"``, ``"two classes"``, ``"classes"``)."""
    return next(row for row in LOSSES.values() if row.default_for == kind)


def fitting_losses(*targets: Target) -> str:
    """The losses that take such targets, as an error's remedy names them."""
    return " or ".join(f"loss={row.name!r}" for row in LOSSES.values() if row.target in targets)


def find_loss(loss: str | Loss | Callable[[Any, Any], Any], target: Target | str | None = None) -> Loss:
    """The row of a named loss, or a row made of a user's expression.

    Args:
        loss: A name, a Loss, or a function of (z, y).
        target: Domain of y for a function; real when None.

    Raises:
        InputError: If the name is not known, or a target is given for a loss that has its own.

    """
    if isinstance(loss, Loss):
        return loss
    if isinstance(loss, str):
        if loss not in LOSSES:
            known = ", ".join(LOSSES)
            raise InputError(
                f"loss={loss!r} is not known", f"use one of {known}, or a function such as lambda z, y: (z - y)**2"
            )
        row = LOSSES[loss]
        if target is not None and Target.parse(target) is not row.target:
            given = Target.parse(target).value
            raise InputError(
                f"target={given!r} does not fit loss={loss!r}, whose target is {row.target.value!r}",
                "leave target= out",
            )
        return row
    if callable(loss):
        return Loss(_describe(loss), loss, Target.parse(target) if target is not None else Target.REAL)
    raise InputError(f"loss={loss!r} is a {type(loss).__name__}", "pass a name or a function of (z, y)")


def _describe(function: Callable[..., Any]) -> str:
    name = getattr(function, "__name__", type(function).__name__)
    return "your loss" if name == "<lambda>" else name
