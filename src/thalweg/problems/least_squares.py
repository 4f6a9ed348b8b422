"""Nonlinear least squares: f is the sum of the squared residuals, and methods may ask for residuals and Jacobian.

The convention is f(x) = sum r_i(x)^2, without a factor 1/2, as in the collection of Moré, Garbow and Hillstrom (1981).
Hence the gradient is 2 J'r and the Gauss-Newton matrix, which leaves out the residuals' own curvature, is 2 J'J.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np

from thalweg.core.errors import InputError
from thalweg.core.records import Certificate
from thalweg.core.vector import as_vector
from thalweg.expr import jacobian as derive_jacobian
from thalweg.linalg import Factor
from thalweg.problems.derivatives import WarmedUp
from thalweg.problems.function import Function, FunctionLine, FunctionPoint


def _blocks(result: Any) -> tuple[Any, ...]:
    """What a residual function returned, as a tuple of numbers and arrays."""
    return tuple(result) if isinstance(result, tuple | list) else (result,)


def _is_array(block: Any) -> bool:
    return getattr(block, "ndim", 0) > 0


class SumOfSquares:
    """The sum of the squares of what a function returns.

    Args:
        residuals: A function of x that returns an array of any shape, or a tuple or list of numbers and arrays.

    Example:
        >>> rosenbrock = SumOfSquares(lambda x: (10.0 * (x[1] - x[0] ** 2), 1.0 - x[0]))
        >>> float(rosenbrock(np.array([2.0, 4.5])))
        26.0

    """

    def __init__(self, residuals: Callable[[Any], Any]) -> None:
        self.residuals = residuals

    def __call__(self, x: Any) -> Any:
        """The sum at x."""
        total: Any = None
        for block in _blocks(self.residuals(x)):
            squares = block * block
            term = squares.sum() if _is_array(block) else squares
            total = term if total is None else total + term
        return total


class Residuals:
    """What a function returns as one array, shape (m,).

    Args:
        residuals: As for ``SumOfSquares``.

    """

    def __init__(self, residuals: Callable[[Any], Any]) -> None:
        self.residuals = residuals

    def __call__(self, x: Any) -> Any:
        """The residuals at x, shape (m,)."""
        blocks = _blocks(self.residuals(x))
        if not blocks:
            raise InputError("the residuals are (): there are none", "return at least one real number")
        if not any(_is_array(block) for block in blocks):
            return np.stack(blocks)
        if len(blocks) == 1:
            return blocks[0] if blocks[0].ndim == 1 else np.reshape(blocks[0], (-1,))
        return np.concatenate([np.reshape(block, (-1,)) for block in blocks])


class LeastSquares:
    """A sum of squares f(x) = sum r_i(x)^2 to be minimised.

    Args:
        residuals: A function of x, shape (n,), that returns an array or a tuple of numbers and arrays; written with
            NumPy's functions where derivatives are to be derived.
        x0: Start, shape (n,).
        jacobian: Gives the derivatives of the residuals in their order, shape (m, n); derived when None. Where it is
            given, Hessians are differences of gradients.
        minimum: The known lowest value, for comparison; methods do not see it.
        minimiser: A known minimiser, shape (n,), for comparison.
        convex: Whether f is known to be convex; None when nothing is known.
        name: What reports call it; the function's own name when None.

    Raises:
        InputError: x0 is no array of one axis, or the residuals at x0 are no real numbers.

    Example:
        >>> t = np.array([0.0, 1.0, 2.0])
        >>> fit = LeastSquares(lambda x: x[0] * np.exp(x[1] * t) - np.array([1.0, 2.0, 5.0]), x0=[1.0, 0.0])
        >>> point = fit.at(fit.start())
        >>> point.residuals
        array([ 0., -1., -4.])
        >>> bool((point.gradient == 2 * point.jacobian.T @ point.residuals).all())
        True

    """

    l2 = math.nan
    provable = False

    def __init__(
        self,
        residuals: Callable[[Any], Any],
        x0: Any,
        *,
        jacobian: Callable[[Any], Any] | None = None,
        minimum: float | None = None,
        minimiser: Any = None,
        convex: bool | None = None,
        name: str | None = None,
    ) -> None:
        for label, given in (("residuals", residuals), ("jacobian", jacobian)):
            if not callable(given) and (given is not None or label == "residuals"):
                raise InputError(f"{label}={given!r} is no function", f"pass a function of x as {label}")
        start = as_vector(x0)
        if not isinstance(start, np.ndarray) or start.ndim != 1:
            raise InputError(f"x0={x0!r:.60} is no array of one axis", "pass the parameters as one array, shape (n,)")
        self.residuals = residuals if isinstance(residuals, Residuals) else Residuals(residuals)
        name = name or getattr(self.residuals.residuals, "__name__", "least squares")
        self.name = "least squares" if name == "<lambda>" else name
        self.x0: np.ndarray = start
        self.size = int(start.size)
        self.minimum, self.minimiser, self.convex = minimum, minimiser, convex
        self._given = jacobian
        self._derived = WarmedUp(derive_jacobian(self.residuals))
        with np.errstate(all="ignore"):
            self.count = int(self._checked(self.residuals(start)).size)
        self.objective = Function(
            SumOfSquares(self.residuals.residuals),
            start,
            value_and_gradient=None if jacobian is None else self._value_and_gradient,
            minimum=minimum,
            minimiser=minimiser,
            convex=convex,
            name=self.name,
        )

    def __repr__(self) -> str:
        return f"LeastSquares({self.name}, {self.count} residuals, {self.size} parameters)"

    def start(self) -> np.ndarray:
        """Where a run begins unless told otherwise."""
        return self.x0

    def at(self, x: np.ndarray) -> LeastSquaresPoint:
        """The point at x, shape (n,)."""
        return LeastSquaresPoint(self, x)

    def recession(self, direction: np.ndarray, noise: float = 1e-12, least: float = 0.0) -> bool:
        """Whether f is known to fall forever along the direction: never."""
        return False

    def jacobian(self, x: np.ndarray) -> np.ndarray:
        """The derivatives of the residuals at x, shape (m, n)."""
        if self._given is None:
            return np.asarray(self._derived(x))
        matrix = np.asarray(self._given(x), dtype=np.float64)
        if matrix.shape != (self.count, self.size):
            raise InputError(
                f"jacobian gave shape {matrix.shape} for {self.count} residuals of {self.size} parameters",
                f"return shape ({self.count}, {self.size}), a row for each residual",
            )
        return matrix

    def _value_and_gradient(self, x: np.ndarray) -> tuple[float, np.ndarray]:
        r = self._checked(self.residuals(x))
        return float(r @ r), 2.0 * (self.jacobian(x).T @ r)

    def _checked(self, r: Any) -> np.ndarray:
        array = np.asarray(r)
        if array.dtype.kind not in "fiu" or not array.size:
            raise InputError(f"the residuals are {r!r:.60}", "return at least one real number")
        return array.astype(np.float64, copy=False)


class LeastSquaresPoint:
    """One point of a sum of squares with what was computed there, each once."""

    def __init__(self, problem: LeastSquares, x: np.ndarray) -> None:
        self.problem = problem
        self.x = x
        self._whole = FunctionPoint(problem.objective, x)
        self._line: FunctionLine | None = None

    @cached_property
    def residuals(self) -> np.ndarray:
        """r(x), shape (m,)."""
        with np.errstate(all="ignore"):  # a trial may leave the domain; whoever made it looks at what came of it
            return np.asarray(self.problem.residuals(self.x), dtype=np.float64)

    @cached_property
    def jacobian(self) -> np.ndarray:
        """J with J_ij the derivative of r_i by x_j, shape (m, n)."""
        with np.errstate(all="ignore"):
            return self.problem.jacobian(self.x)

    @cached_property
    def gauss_newton(self) -> np.ndarray:
        """2 J'J, the Hessian without the residuals' own curvature, shape (n, n)."""
        with np.errstate(all="ignore"):
            return 2.0 * (self.jacobian.T @ self.jacobian)

    @cached_property
    def value(self) -> float:
        """The objective: from the residuals where they are known, else together with the gradient."""
        if "residuals" in self.__dict__:
            with np.errstate(all="ignore"):
                return float(self.residuals @ self.residuals)
        return self._whole.value

    @cached_property
    def gradient(self) -> np.ndarray:
        """2 J'r, shape (n,): from the Jacobian where it is known, else without one."""
        if "jacobian" in self.__dict__:
            with np.errstate(all="ignore"):
                return 2.0 * (self.jacobian.T @ self.residuals)
        return np.asarray(self._whole.gradient)

    @property
    def hessian(self) -> np.ndarray:
        """The Hessian, shape (n, n), with the residuals' own curvature."""
        return self._whole.hessian

    @property
    def hessian_passes(self) -> float:
        """What forming the Hessian costs, in passes."""
        return self._whole.hessian_passes

    def hvp(self, v: np.ndarray) -> np.ndarray:
        """Hessian times v."""
        return np.asarray(self._whole.hvp(v))

    @property
    def factored(self) -> Factor | None:
        """A solver with the Hessian that keeps its structure, where there is one."""
        return self._whole.factored

    def along(self, direction: np.ndarray) -> FunctionLine:
        """The objective along a direction; the last line is kept."""
        if self._line is None or self._line.direction is not direction:
            self._line = FunctionLine(self, direction)
        return self._line

    def certificate(
        self, direction: np.ndarray | None = None, refine: Factor | None = None, wanted: float = np.inf
    ) -> Certificate:
        """An estimate of f - f*, as for any function.

        Args:
            direction: Close to Newton's direction, if one is known.
            refine: Not needed.
            wanted: Not needed.

        """
        return self._whole.certificate(direction)
