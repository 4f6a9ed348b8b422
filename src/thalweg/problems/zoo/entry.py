"""One entry of the zoo: a function, its standard start and every minimum that is known of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from thalweg.core.errors import InputError, UnsupportedError
from thalweg.problems.function import Function
from thalweg.problems.least_squares import LeastSquares, Residuals, SumOfSquares

Blocks = Callable[[Any], tuple[Any, ...]]
"""Residuals as a function of x in blocks: numbers and arrays whose squares add up to f."""


Kind = Literal["global", "local", "saddle", "limit"]


@dataclass(frozen=True, eq=False)
class Minimum:
    """A value that a method may come to rest at.

    Attributes:
        value: f there, to the last digits of float64.
        minimisers: Known points where f takes the value, each (n,), rounded to float64; there may be others. None are
            given where the value is a limit, or where the point is not tabulated.
        kind: "global"; "local"; "saddle", stationary but no minimum; or "limit", approached from above as x goes to
            infinity and never reached.
        published: The value as the entry's source prints it, its last digit cut or rounded; empty where it prints none.

    """

    value: float
    minimisers: tuple[np.ndarray, ...] = ()
    kind: Kind = "global"
    published: str = ""


@dataclass(frozen=True, eq=False)
class TestFunction:
    """A function with its standard start and its known minima.

    Attributes:
        name: Its key in ``ZOO``.
        f: The function of one array x, shape (n,), written with NumPy's functions.
        x0: The standard start, shape (n,).
        minima: Known minima, the lowest first. Among them is each at which some solver was seen to come to rest when it
            was started at x0 or close to it.
        source: Where function, start and minima are from.
        residuals: r(x), shape (m,), where f is the sum of the r_i^2; else None.
        convex: True where f is convex on all of R^n; None where nothing is claimed.

    """

    __test__: ClassVar[bool] = False  # pytest takes a class of this name for a test

    name: str
    f: Callable[[Any], Any]
    x0: np.ndarray
    minima: tuple[Minimum, ...]
    source: str
    residuals: Callable[[Any], Any] | None = None
    convex: bool | None = None

    def __repr__(self) -> str:
        return f"TestFunction({self.name}, {self.x0.size} parameters, minimum={self.minimum})"

    @property
    def minimum(self) -> float | None:
        """The global minimum; None where f is unbounded below, or where it is not known for this size."""
        return next((known.value for known in self.minima if known.kind == "global"), None)

    @property
    def minimiser(self) -> np.ndarray | None:
        """A global minimiser, shape (n,); None where f has none, or none is tabulated."""
        return next((point for known in self.minima if known.kind == "global" for point in known.minimisers), None)

    def problem(self) -> Function:
        """The function as a problem to solve."""
        return Function(
            self.f, self.x0, minimum=self.minimum, minimiser=self.minimiser, convex=self.convex, name=self.name
        )

    def least_squares(self) -> LeastSquares:
        """The function as a sum of squares whose residuals and Jacobian a method can ask for.

        Raises:
            UnsupportedError: f is no sum of squares.

        """
        if self.residuals is None:
            raise UnsupportedError(f"{self.name} is not given as a sum of squares", "use problem()")
        return LeastSquares(
            self.residuals, self.x0, minimum=self.minimum, minimiser=self.minimiser, convex=self.convex, name=self.name
        )


def constants(values: Any) -> np.ndarray:
    """The values as an array that cannot be written to, so that compiled code need not copy it."""
    array = np.array(values, dtype=np.float64)
    array.setflags(write=False)
    return array


def at(
    value: float,
    *minimisers: Any,
    kind: Kind = "global",
    published: str = "",
) -> Minimum:
    """A minimum at these points."""
    return Minimum(value, tuple(constants(point) for point in minimisers), kind, published)


def of_residuals(
    name: str, blocks: Blocks, x0: Any, minima: Sequence[Minimum], source: str, convex: bool | None = None
) -> TestFunction:
    """An entry given by its residuals."""
    lowest_first = tuple(sorted(minima, key=lambda known: known.value))
    return TestFunction(name, SumOfSquares(blocks), constants(x0), lowest_first, source, Residuals(blocks), convex)


def of_values(
    name: str, f: Callable[[Any], Any], x0: Any, minima: Sequence[Minimum], source: str, convex: bool | None = None
) -> TestFunction:
    """An entry given by its value alone."""
    lowest_first = tuple(sorted(minima, key=lambda known: known.value))
    return TestFunction(name, f, constants(x0), lowest_first, source, None, convex)


@dataclass(frozen=True, eq=False)
class Family:
    """A function that exists for many numbers of parameters; calling it with n gives the entry of that size.

    Attributes:
        name: Its key in ``FAMILIES``.
        function: The residuals in blocks, or f.
        start: The standard start of n parameters.
        minima: What is known for n parameters.
        source: Where it is from.
        least: The smallest n.
        multiple: What n must be a multiple of.
        convex: True where f is convex on all of R^n.
        squares: Whether ``function`` gives residuals.

    """

    name: str
    function: Callable[[Any], Any]
    start: Callable[[int], Any]
    minima: Callable[[int], Sequence[Minimum]]
    source: str
    least: int = 1
    multiple: int = 1
    convex: bool | None = None
    squares: bool = True

    def __call__(self, n: int) -> TestFunction:
        """The entry of n parameters.

        Raises:
            InputError: The family has no member of that size.

        """
        size = checked_size(self.name, n, self.least, self.multiple)
        make = of_residuals if self.squares else of_values
        name = f"{self.name}_{size}"
        return make(name, self.function, self.start(size), self.minima(size), self.source, self.convex)


def checked_size(name: str, n: Any, least: int = 1, multiple: int = 1) -> int:
    """The number of parameters n, if the family has a member of that size.

    Raises:
        InputError: n is no whole number, is below ``least``, or no multiple of ``multiple``.

    """
    whole = isinstance(n, int | np.integer) and not isinstance(n, bool)
    if not whole or n < least or n % multiple:
        kind = "whole number" if multiple == 1 else f"multiple of {multiple}"
        raise InputError(f"n={n!r}: {name} needs a {kind} >= {least}", f"pass n={max(least, multiple)}")
    return int(n)
