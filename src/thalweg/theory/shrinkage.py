"""Spectral filters of least squares: what a method keeps of each singular direction of the data.

With X = U diag(s) V', a filter m answers w = V diag(m(s)/s) U'y: m = 1 keeps a direction as least squares has it, m = 0
leaves it out. Ridge regression, truncation, and every gradient method with a given number of steps are filters; those
of iterative methods are 1 - r(s^2) with a polynomial r, and equal the literal iterates.

Source: Hansen, Rank-Deficient and Discrete Ill-Posed Problems (SIAM 1998), chapters 4 to 6.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from thalweg.core.check import checked_number
from thalweg.core.errors import InputError, UnsupportedError
from thalweg.theory.recurrence import power, settled
from thalweg.theory.spectral import EPS, SpectralModel, checked_array, checked_steps

#: A step may pass the limit of stability by this share: rounding of s_max and of the step made from it.
_ROUNDING = 8 * EPS
#: Singular values closer than this share are equal: a decomposition tells those that repeat apart by its rounding.
_TIE = 64 * EPS


class Filter(ABC):
    """What a method keeps of each singular direction; immutable.

    Attributes:
        linear: Whether m is the same for every y, so that the solution is linear in y.

    """

    linear: bool = True

    @property
    @abstractmethod
    def time(self) -> float:
        """The slope of m in s^2 at zero: m(s) is about time * s^2 where that is small. Unit: 1/s^2."""

    @abstractmethod
    def _shrinkage(self, s: np.ndarray) -> np.ndarray:
        """m(s) of checked singular values, with small relative error also where m is small."""

    def shrinkage(self, s: Any) -> np.ndarray:
        """The share m(s) that is kept of each direction.

        Args:
            s: Singular values of the data, any shape.

        Returns:
            Shape of s; between 0 and 1, above 1 for a while where steps overshoot, beyond any bound where they are
            unstable.

        Raises:
            InputError: If s holds anything but finite real numbers >= 0.

        """
        with np.errstate(over="ignore", invalid="ignore", under="ignore"):
            return self._shrinkage(checked_array("s", s, negative=False))

    def factor(self, s: Any) -> np.ndarray:
        """m(s)/s, which multiplies u'y in the solution; 0 at s = 0, where the data say nothing.

        Args:
            s: Singular values of the data, any shape.

        """
        values = checked_array("s", s, negative=False)
        with np.errstate(over="ignore", invalid="ignore"):
            return np.divide(self.shrinkage(values), values, out=np.zeros_like(values), where=values > 0)

    def degrees_of_freedom(self, s: Any) -> float:
        """The sum of m(s): the trace of the matrix that maps y to the fitted values.

        Args:
            s: Singular values of the data.

        Raises:
            UnsupportedError: If the filter depends on y: there is no such matrix.

        """
        if not self.linear:
            raise UnsupportedError(
                f"degrees_of_freedom of a {type(self).__name__} whose coefficients come from y: the fitted values are "
                "not linear in y",
                "use gradient descent or momentum with steps fixed beforehand",
            )
        return float(self.shrinkage(s).sum())

    def solution(self, X: Any, y: Any, *, start: Any = None, objective: str = "sum") -> np.ndarray:
        """The coefficients that the method gives; see `SpectralModel.solution`, which keeps the decomposition.

        Args:
            X: Shape (n, d).
            y: Shape (n,) or (n, k).
            start: Where the method starts, shape (d,) or (d, k); zero if None.
            objective: "sum" or "mean", see `SpectralModel`.

        """
        return SpectralModel(X, y, objective).solution(self, start)


# --- Closed forms: ridge, truncation --------------------------------------------------------------------------------


@dataclass(frozen=True)
class RidgeFilter(Filter):
    """m = 1 - (ridge/(s^2 + ridge))^iterations: the minimum of ||Xw - y||^2/2 + (ridge/2)||w - w_0||^2.

    With more than one iteration the minimum becomes the next w_0 (iterated Tikhonov regularization). The objective of
    `fit` with penalty l2, without intercept, is ridge = l2 in "mean", and ridge = n l2 in "sum".
    """

    ridge: float
    iterations: int = 1

    def __post_init__(self) -> None:
        ridge = checked_number("ridge", self.ridge, "pass the penalty on ||w||^2/2, in units of s^2")
        object.__setattr__(self, "ridge", ridge)
        object.__setattr__(self, "iterations", checked_steps("iterations", self.iterations))

    @property
    def time(self) -> float:
        """iterations/ridge."""
        if self.ridge == 0:
            return math.inf if self.iterations else 0.0
        return self.iterations / self.ridge

    def _shrinkage(self, s: np.ndarray) -> np.ndarray:
        if self.ridge == 0:
            return np.ones_like(s) if self.iterations else np.zeros_like(s)
        with np.errstate(divide="ignore"):
            return -np.expm1(-float(self.iterations) * np.log1p(np.square(s / math.sqrt(self.ridge))))


@dataclass(frozen=True)
class TruncationFilter(Filter):
    """m = 1 where s >= threshold up to rounding, else 0: truncated SVD, regression on the principal components kept."""

    threshold: float

    def __post_init__(self) -> None:
        threshold = checked_number("threshold", self.threshold, "pass a singular value (not a condition number)")
        object.__setattr__(self, "threshold", threshold)
        if threshold == 0:
            raise InputError(
                "threshold=0: expected a number > 0",
                "for the least squares solution of least norm use RidgeFilter(0.0), which leaves out s = 0",
            )

    @property
    def time(self) -> float:
        """1/threshold^2, by convention: ridge and gradient descent with this time change from 0 to 1 around it."""
        return 1 / self.threshold**2

    def _shrinkage(self, s: np.ndarray) -> np.ndarray:
        return np.asarray(s >= self.threshold * (1 - _TIE), dtype=np.float64)


def truncation_filter(components: int, s: Any) -> TruncationFilter:
    """The truncation that keeps so many components of these singular values.

    Args:
        components: How many, at least 1.
        s: Singular values, shape (r,).

    Returns:
        A filter whose threshold lies between the last one kept and the first one left out.

    Raises:
        InputError: If there are fewer positive ones, or two equal ones would have to be told apart.

    """
    values = np.sort(checked_array("s", s, negative=False).ravel())[::-1]
    count = checked_steps("components", components)
    positive = int((values > 0).sum())
    if not 1 <= count <= positive:
        raise InputError(f"components={components}: s has {positive} positive values", f"use 1 to {positive}")
    kept = float(values[count - 1])
    following = float(values[count]) if count < len(values) else 0.0
    if not distinct(values)[count - 1]:
        raise InputError(
            f"components={components}: singular values {count} and {count + 1} are both {kept:.6g} up to rounding",
            "keep both or neither",
        )
    return TruncationFilter(math.sqrt(kept) * math.sqrt(following) if following > 0 else kept)


def distinct(s: np.ndarray) -> np.ndarray:
    """Whether each singular value, from the largest, is above the next, or the last above zero, beyond rounding.

    Args:
        s: Singular values in any order, shape (r,).

    """
    values = np.sort(s)[::-1]
    return np.append(values[1:], 0.0) < values * (1 - 2 * _TIE)


# --- Gradient descent -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class GradientDescentFilter(Filter):
    """m = 1 - (1 - step_size s^2)^steps: w <- w - step_size X'(Xw - y), from zero or a given start.

    Stable for step_size <= 2/s_max^2; the step 1/s_max^2 never overshoots, and then steps = s_max^2/t^2 put the change
    from 0 to 1 at the singular value t.
    Source: Landweber, Amer. J. Math. 73 (1951), 615-624.
    """

    steps: int
    step_size: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "steps", checked_steps("steps", self.steps))
        object.__setattr__(self, "step_size", _checked_step_size(self.step_size))

    @property
    def time(self) -> float:
        """steps * step_size."""
        return float(self.steps) * self.step_size

    def stable(self, s: Any) -> bool:
        """Whether no direction grows.

        Args:
            s: Singular values of the data.

        """
        return _stable(self.step_size, s, 2.0)

    def _shrinkage(self, s: np.ndarray) -> np.ndarray:
        if self.steps == 0:
            return np.zeros_like(s)
        z = self.step_size * s * s
        with np.errstate(divide="ignore"):  # z = 1: done at the first step
            small = -np.expm1(float(self.steps) * np.log1p(-np.minimum(z, 1.0)))
        return np.where(z <= 1, small, 1 - power(1 - z, self.steps))


@dataclass(frozen=True)
class MomentumFilter(Filter):
    """Gradient descent with constant momentum beta, started at rest (w_-1 = w_0).

    Heavy ball: w_{k+1} = w_k - step_size X'(X w_k - y) + beta (w_k - w_{k-1}).
    Nesterov: the gradient is taken at v_k = w_k + beta (w_k - w_{k-1}), and w_{k+1} = v_k - step_size X'(X v_k - y).
    torch.optim.SGD holds w_k for the heavy ball, and v_k for nesterov=True.

    With z = step_size s^2, m = 1 - r with r_{k+1} = a r_k - p r_{k-1}, r_0 = 1, r_1 = 1 - z; a = 1 + beta - z, p = beta
    for the heavy ball, a = (1 + beta)(1 - z), p = beta (1 - z) for Nesterov; see `theory.recurrence`.
    Stable for z <= 2 + 2 beta (heavy ball), z <= (2 + 2 beta)/(1 + 2 beta) (Nesterov).
    Source: Polyak, USSR Comput. Math. Math. Phys. 4 (1964), 1-17; Nesterov, Soviet Math. Dokl. 27 (1983), 372-376.
    """

    steps: int
    step_size: float
    momentum: float
    nesterov: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "steps", checked_steps("steps", self.steps))
        object.__setattr__(self, "step_size", _checked_step_size(self.step_size))
        momentum = checked_number("momentum", self.momentum, "use a number from 0 to below 1")
        object.__setattr__(self, "momentum", momentum)
        if momentum >= 1:
            raise InputError(f"momentum={momentum!r}: the iterates do not settle", "use a number below 1")
        if not isinstance(self.nesterov, bool):
            raise InputError(f"nesterov={self.nesterov!r}: expected True or False", "False is the heavy ball")

    @property
    def time(self) -> float:
        """step_size/(1 - beta) * (steps - beta (1 - beta^steps)/(1 - beta)): momentum is as many steps more."""
        beta, steps = self.momentum, float(self.steps)
        rest = -math.expm1(steps * math.log(beta)) if beta and steps else float(steps > 0)
        return self.step_size / (1 - beta) * (steps - beta * rest / (1 - beta))

    def stable(self, s: Any) -> bool:
        """Whether no direction grows without bound.

        Args:
            s: Singular values of the data.

        """
        beta = self.momentum
        return _stable(self.step_size, s, (2 + 2 * beta) / (1 + 2 * beta) if self.nesterov else 2 + 2 * beta)

    def _shrinkage(self, s: np.ndarray) -> np.ndarray:
        if self.steps == 0:
            return np.zeros_like(s)
        z, beta, root = self.step_size * s * s, self.momentum, math.sqrt(self.momentum)
        if self.nesterov:
            trace, product = (1 + beta) * (1 - z), beta * (1 - z)
            discriminant = (1 - z) * ((1 - beta) ** 2 - (1 + beta) ** 2 * z)
        else:
            # 1 - sqrt(beta) without cancellation; the two factors keep the sign right next to a double root.
            trace, product = 1 + beta - z, np.full_like(z, beta)
            discriminant = (((1 - beta) / (1 + root)) ** 2 - z) * ((1 + root) ** 2 - z)
        return settled(z, trace, product, discriminant, self.steps)


# --- Any steps: the recursion itself, conjugate gradients -----------------------------------------------------------


@dataclass(frozen=True)
class ScheduleFilter(Filter):
    """w_{k+1} = w_k - step_sizes[k] X'(X w_k - y) + momenta[k] (w_k - w_{k-1}), followed step by step on s.

    It costs len(step_sizes) operations a singular value, where the closed forms cost a fixed number.

    Attributes:
        step_sizes: Shape (q,).
        momenta: Shape (q,); the first is without effect, since w_-1 = w_0. None for no momentum.
        linear: False where the numbers were made from y, as conjugate gradients do.

    """

    step_sizes: tuple[float, ...]
    momenta: tuple[float, ...] | None = None
    linear: bool = True

    def __post_init__(self) -> None:
        sizes = checked_array("step_sizes", self.step_sizes)
        momenta = np.zeros_like(sizes) if self.momenta is None else self.momenta
        momenta = checked_array("momenta", momenta)
        if sizes.ndim != 1 or sizes.shape != momenta.shape:
            raise InputError(
                f"step_sizes has shape {sizes.shape} and momenta {momenta.shape}", "pass two lists of the same length"
            )
        object.__setattr__(self, "step_sizes", tuple(sizes.tolist()))
        object.__setattr__(self, "momenta", tuple(momenta.tolist()))

    @property
    def time(self) -> float:
        """By the same recursion, at s = 0."""
        return float(self._follow(np.ones(()), np.zeros(())))

    def _shrinkage(self, s: np.ndarray) -> np.ndarray:
        square = s * s
        return self._follow(square, square)

    def _follow(self, drive: np.ndarray, square: np.ndarray) -> np.ndarray:
        done, moved = np.zeros_like(square), np.zeros_like(square)
        for size, momentum in zip(self.step_sizes, self.momenta or (), strict=True):
            moved = momentum * moved + size * (drive - square * done)
            done = done + moved
        return done


def conjugate_gradient_filter(model: SpectralModel, steps: int, start: Any = None) -> ScheduleFilter:
    """The filter of so many steps of conjugate gradients on the normal equations: as LSQR, in exact arithmetic.

    Its coefficients come from y, so that degrees of freedom are undefined. Rounding, which makes conjugate gradients
    repeat themselves in the long run, is not followed.
    Source: Hestenes and Stiefel, J. Res. Nat. Bur. Standards 49 (1952), 409-436, section 10; Hansen, section 6.3.

    Args:
        model: The data, y of shape (n,).
        steps: How many; fewer are taken where the solution is reached before.
        start: Where to start, shape (d,); zero if None.

    """
    away = model.along(start)
    if away.ndim != 1:
        raise InputError(f"y has shape {model.y.shape}: conjugate gradients take one target", "pass one column of y")
    # In units of s_max and of what is missing, so that squares stay in range; the coefficients know the first alone.
    top, missing = float(model.singular_values[0]), float(np.linalg.norm(away))
    s, away = (model.retained / top, away / missing) if missing else (model.retained, away)
    gradient = s * away
    direction, square, momentum = gradient, float(gradient @ gradient), 0.0
    sizes: list[float] = []
    momenta: list[float] = []
    for _ in range(checked_steps("steps", steps)):
        if square <= EPS**2:  # rounding is all that is left
            break
        image = s * direction
        size = square / float(image @ image)
        momenta.append(momentum * size / sizes[-1] if sizes else 0.0)
        sizes.append(size)
        away = away - size * image
        gradient = s * away
        following = float(gradient @ gradient)
        momentum = following / square
        direction, square = gradient + momentum * direction, following
    return ScheduleFilter(tuple(size / top**2 for size in sizes), tuple(momenta), linear=False)


def _checked_step_size(value: Any) -> float:
    remedy = "use at most 2/s_max^2, for instance 1/s_max^2"
    size = checked_number("step_size", value, remedy)
    if size == 0:
        raise InputError("step_size=0: nothing would move", remedy)
    return size


def _stable(step_size: float, s: Any, limit: float) -> bool:
    values = checked_array("s", s, negative=False)
    return bool(step_size * float(np.square(values).max(initial=0.0)) <= limit * (1 + _ROUNDING))


def checked_filters(name: str, value: Any) -> None:
    """A sequence of filters, at least one.

    Args:
        name: What the caller calls it.
        value: What was given.

    Raises:
        InputError: If it is anything else.

    """
    if not isinstance(value, Sequence) or not value or not all(isinstance(each, Filter) for each in value):
        raise InputError(f"{name}={repr(value)[:60]}: expected filters", "pass a list, for instance [RidgeFilter(1.0)]")
