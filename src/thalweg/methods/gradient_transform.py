"""What may happen to a gradient before an update rule sees it: clipping, weight decay, preconditioning; in a chain."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
from array_api_compat import array_namespace

from thalweg.core.check import checked_number
from thalweg.core.errors import InputError
from thalweg.core.operator import LinearOperator
from thalweg.core.vector import Any1D, flat, leafwise, like, norm
from thalweg.methods.check import check_symmetric


class GradientTransform(ABC):
    """A change of the gradient; several are applied in order."""

    @abstractmethod
    def __call__(self, x: Any1D, gradient: Any1D) -> Any1D:
        """The gradient to use instead, at x."""


def _positive(transform: Any, name: str) -> None:
    value = checked_number(name, getattr(transform, name), "give a number > 0")
    if value == 0:
        raise InputError(f"{name}={value!r}: expected a number > 0", "e.g. 1.0")
    object.__setattr__(transform, name, value)


@dataclass(frozen=True)
class ClipNorm(GradientTransform):
    """g min(1, limit/||g||): a gradient no longer than ``limit``.

    Source: Pascanu, Mikolov and Bengio, ICML (2013), section 3.2.
    """

    limit: float

    def __post_init__(self) -> None:
        _positive(self, "limit")

    def __call__(self, x: Any1D, gradient: Any1D) -> Any1D:
        """The gradient, shortened where it is longer than the limit."""
        length = norm(gradient)
        # What has left the floating-point range stays as it is, for whoever looks.
        return gradient * (self.limit / length) if self.limit < length < np.inf else gradient


@dataclass(frozen=True)
class ClipValue(GradientTransform):
    """Every entry of g held between -limit and limit."""

    limit: float

    def __post_init__(self) -> None:
        _positive(self, "limit")

    def __call__(self, x: Any1D, gradient: Any1D) -> Any1D:
        """The gradient, entry by entry within the limit."""
        return leafwise(lambda leaf: array_namespace(leaf).clip(leaf, -self.limit, self.limit), gradient)


@dataclass(frozen=True)
class WeightDecay(GradientTransform):
    """g + rate x: the gradient of the objective with (rate/2) ||x||^2 added, intercepts included."""

    rate: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "rate", checked_number("rate", self.rate, "give a number >= 0"))

    def __call__(self, x: Any1D, gradient: Any1D) -> Any1D:
        """The gradient with the decay."""
        return gradient + self.rate * x


@dataclass(frozen=True, eq=False)
class Precondition(GradientTransform):
    """P g with P positive definite: steps in the metric of P^-1.

    Args:
        P: A diagonal, shape (size,); a matrix, shape (size, size); or a ``LinearOperator``. Over all entries of x in
            order, whatever its leaves.

    Raises:
        InputError: P is neither, holds a number that is not finite, or is not symmetric and positive definite.

    """

    P: Any

    def __post_init__(self) -> None:
        if isinstance(self.P, LinearOperator):
            return
        try:
            array = np.asarray(self.P, dtype=np.float64)
        except (TypeError, ValueError):
            raise InputError(f"P={self.P!r:.60} is no array of numbers", "give a diagonal or a matrix") from None
        if array.ndim not in (1, 2) or (array.ndim == 2 and array.shape[0] != array.shape[1]):
            raise InputError(f"P has shape {array.shape}", "give a diagonal (size,) or a matrix (size, size)")
        if not np.isfinite(array).all():
            raise InputError("P holds a number that is not finite", "correct it")
        if array.ndim == 2:
            check_symmetric("P", array)
        if not _positive_definite(array):
            raise InputError("P is not positive definite", "give a positive definite matrix, or a diagonal above 0")
        object.__setattr__(self, "P", array)

    def __call__(self, x: Any1D, gradient: Any1D) -> Any1D:
        """P times the gradient.

        Raises:
            InputError: P has another size.

        """
        entries = flat(gradient)
        if self.P.shape[0] != entries.size:
            raise InputError(
                f"P is for {self.P.shape[0]} parameters, x has {entries.size}", "give one that fits the problem"
            )
        return like(gradient, self.P * entries if np.ndim(self.P) == 1 else np.asarray(self.P @ entries))


def _positive_definite(array: np.ndarray) -> bool:
    """Whether a diagonal is positive, or a symmetric matrix positive definite."""
    if array.ndim == 1:
        return bool((array > 0).all())
    try:
        np.linalg.cholesky(array)
    except np.linalg.LinAlgError:
        return False
    return True
