"""A derivative is compared with finite differences at random points before anyone sees it.

The points respect the symbols' attributes; named dimensions get small sizes. The derivative is contracted with random
cotangents and directions, so that one number stands for all entries, and the reference is an extrapolated central
difference, whose own error estimate says how much of a difference may be its fault.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from thalweg.expr.node import Node
from thalweg.expr.numerical import extrapolated_derivative
from thalweg.expr.terms import attributes

SIZES = (4, 3, 2, 5)
"""Of named dimensions, in order of appearance: different, so that a wrong transpose shows, and the first largest, for
then X'*X has an inverse."""

TOLERANCE = 1e-6
"""Relative difference that is put down to rounding: extrapolated differences are good to about 1e-10."""

ATTEMPTS = 40
"""Draws until a point of the domain is found."""

EPS = 2.0**-52

NUDGE = 1e-10
"""Relative change of a point that a function must not magnify by 10^5, or rounding decides its value there."""

Point = dict[Node, Any]
Function = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Check:
    """What a derivative was compared with.

    Attributes:
        points: Number of random points.
        sizes: The sizes that named dimensions had.
        difference: The largest relative difference that was met.
        point: The last of the points.

    """

    points: int
    sizes: Mapping[str, int]
    difference: float
    point: Mapping[Node, Any] = field(default_factory=dict, repr=False)

    def __str__(self) -> str:
        sizes = ", ".join(f"{k} = {v}" for k, v in self.sizes.items())
        at = f" with {sizes}" if sizes else ""
        return (
            f"compared with central differences at {self.points} random points{at}: "
            f"largest relative difference {self.difference:.0e}"
        )


def sizes_of(symbols: Sequence[Node]) -> list[dict[str, int]]:
    """Choose a size for every named dimension, in two orders: X'*X has an inverse for a tall X alone."""
    names = list(dict.fromkeys([d for x in symbols for d in x.shape if isinstance(d, str)]))
    orders = [names] if len(names) < 2 else [names, names[::-1]]
    return [{name: SIZES[i % len(SIZES)] for i, name in enumerate(order)} for order in orders]


def draw(x: Node, sizes: Mapping[str, int], rng: np.random.Generator) -> Any:
    """Draw a value with a symbol's attributes.

    Args:
        x: The symbol.
        sizes: Of named dimensions.
        rng: The source of randomness.

    Returns:
        An array, or a number for a scalar. General square matrices lean to the identity, so that determinants tend to
        be positive.

    """
    shape = tuple([sizes[d] if isinstance(d, str) else d for d in x.shape])
    known = attributes(x)
    if x.domain == "+-1":
        return rng.choice([-1.0, 1.0], size=shape)
    value = rng.uniform(0.3, 2.0, size=shape) if "nonnegative" in known else rng.normal(size=shape)
    if x.domain == "count":
        value = np.round(4 * np.abs(value))
    if "diagonal" in known:
        value = np.diag(np.abs(np.diag(value)) + 0.2)
    elif "orthogonal" in known:
        value = np.linalg.qr(value)[0]
    elif "positive definite" in known:
        value = value @ value.T / len(value) + np.eye(len(value)) / 2
    elif "symmetric" in known:
        value = (value + value.T) / 2 + np.eye(len(value))
    elif len(shape) == 2 and shape[0] == shape[1]:
        value = value + 1.2 * np.eye(len(value))
    return float(value) if not shape else value


def find_point(
    symbols: Sequence[Node], functions: Sequence[Function], sizes: Mapping[str, int], rng: np.random.Generator
) -> Point | None:
    """Draw a point at which every function is finite and not a matter of rounding.

    Args:
        symbols: The functions' arguments, in order.
        functions: The function and its derivatives.
        sizes: Of named dimensions.
        rng: The source of randomness.

    Returns:
        A value for each symbol; None when no such point is found.

    """
    for _ in range(ATTEMPTS):
        point = {x: draw(x, sizes, rng) for x in symbols}
        nearby = [v * (1 + NUDGE * rng.uniform(-1, 1, size=np.shape(v))) for v in point.values()]
        try:
            with np.errstate(all="ignore"):
                if all(_settled(f(*point.values()), f(*nearby)) for f in functions):
                    return point
        except ValueError:  # a singular matrix
            continue
    return None


def _settled(value: Any, near: Any) -> bool:
    """Say whether a value is finite and not decided by rounding, as the inverse of a singular matrix is."""
    a, b = np.asarray(value), np.asarray(near)
    size = max(1.0, float(np.max(np.abs(a), initial=0.0)))
    return bool(np.isfinite(a).all() and np.isfinite(b).all() and np.max(np.abs(a - b), initial=0.0) <= 1e-5 * size)


def difference(
    base: Function, derivative: Any, point: Point, wrt: Node, rng: np.random.Generator
) -> tuple[float, float] | None:
    """Compare a derivative with a central difference of the function below it, along one random direction.

    Args:
        base: The function, of the point's values.
        derivative: Its derivative at the point: the shape of the function's value, then that of the variable.
        point: Where.
        wrt: The variable.
        rng: The source of randomness.

    Returns:
        The relative difference, and how much of it may be the difference quotient's own; None where the quotient is of
        no use (a kink nearby).

    """
    at = np.asarray(point[wrt], dtype=float)
    direction = rng.normal(size=at.shape)
    direction /= np.linalg.norm(direction) or 1.0
    here = np.asarray(base(*point.values()))
    cotangent = rng.normal(size=here.shape)

    def along(step: float) -> float:
        moved: Any = at + step * direction
        values = [float(moved) if x is wrt and not at.shape else moved if x is wrt else v for x, v in point.items()]
        try:
            return float(np.sum(cotangent * np.asarray(base(*values))))
        except ValueError:
            return float("nan")

    magnitude = float(np.sum(np.abs(cotangent * here))) + 1.0
    reference, error = extrapolated_derivative(along, magnitude, EPS)
    found = float(
        np.sum(np.multiply.outer(cotangent, direction) * np.asarray(derivative).reshape(here.shape + at.shape))
    )
    size = max(abs(reference), abs(found), 1.0)
    if not np.isfinite(reference) or error > 1e-4 * size:
        return None
    return abs(found - reference) / size, TOLERANCE + 10 * error / size
