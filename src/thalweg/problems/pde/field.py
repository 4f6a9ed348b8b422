"""Checks of what users give on a domain: functions, points and times."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from thalweg.core.check import checked_number
from thalweg.core.errors import InputError


def values_of(name: str, function: Callable[..., Any], *arguments: Any, finite: bool = True) -> np.ndarray:
    """A function's values, in the shape of its first argument; one number stands for a constant.

    Args:
        name: What the caller calls the function.
        function: Of arrays of one shape (numbers aside).
        arguments: What it is called with.
        finite: Whether every value must be finite.

    Returns:
        A copy, float64.

    Raises:
        InputError: It is no function, or its values are not real numbers, of another shape or not finite.

    """
    example = f"return one finite number a point: {name}=lambda x, y: np.sin(x) * y"
    if not callable(function):
        raise InputError(f"{name}={function!r:.60} is no function", f"pass {name}=lambda x, y: ...")
    given = np.asarray(function(*arguments))
    if given.dtype.kind not in "fiu":
        raise InputError(f"{name} gave {given!r:.60}", example)
    shape = np.shape(arguments[0])
    values = given.astype(np.float64)
    values = np.broadcast_to(values, shape).copy() if values.ndim == 0 else values
    if values.shape != shape or finite and not np.isfinite(values).all():
        raise InputError(f"{name} gave shape {values.shape} for points {shape}, or values that are not finite", example)
    return values


def checked_points(name: str, where: Any, dimension: int = 2) -> np.ndarray:
    """Points as an array of shape (m, dimension); one point may come without its axis.

    Raises:
        InputError: They are not such points, or not finite.

    """
    points = np.asarray(where)
    if points.dtype.kind not in "fiu" or points.ndim not in (1, 2) or points.shape[-1] != dimension:
        raise InputError(f"{name}={where!r:.60}, shape {points.shape}", f"give points, shape (m, {dimension})")
    points = np.atleast_2d(points.astype(np.float64))
    if not np.isfinite(points).all():
        raise InputError(f"{name} holds a value that is not finite", "give finite points")
    return points


def in_the_disk(name: str, where: Any) -> np.ndarray:
    """Points of the closed unit disk, shape (m, 2).

    Raises:
        InputError: One lies outside.

    """
    points = checked_points(name, where)
    out = np.square(points).sum(axis=1) > 1.0 + 1e-12
    if out.any():
        raise InputError(f"{name} holds {points[out][0].tolist()}, outside of the unit disk", "give points inside")
    return points


def known_values(values: Any, shape: tuple[int, ...], of: str) -> np.ndarray:
    """Values that were computed before, as float64 of this shape.

    Raises:
        InputError: There is not one real number each.

    """
    known = np.asarray(values)
    if known.dtype.kind not in "fiu" or known.shape != shape:
        raise InputError(f"values of shape {known.shape} and type {known.dtype} for {shape[0]} {of}", "give one each")
    return known.astype(np.float64)


def whole(name: str, value: Any, least: int, most: float = math.inf) -> int:
    """The value, if it is a whole number in this range.

    Raises:
        InputError: It is not.

    """
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or not least <= value <= most:
        above = "" if most == math.inf else f" and at most {most}"
        raise InputError(f"{name}={value!r}", f"give a whole number of at least {least}{above}")
    return int(value)


def positive_time(t: Any, why: str = "") -> float:
    """The time, if it is a positive number.

    Raises:
        InputError: It is not.

    """
    remedy = "give a positive time" + why
    if checked_number("t", t, remedy) == 0:
        raise InputError(f"t={t!r}", remedy)
    return float(t)
