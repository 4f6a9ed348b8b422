"""Checks that several methods make on what they are given."""

from __future__ import annotations

from typing import Any

import numpy as np

from thalweg.core.check import checked_number
from thalweg.core.errors import InputError

#: Largest asymmetry, beside sqrt(size) times the largest entry, of a matrix computed in single precision.
ASYMMETRY = 8 * float(np.finfo(np.float32).eps)


def real_array(name: str, value: Any, remedy: str) -> np.ndarray:
    """What was given as an array of float64, of any shape.

    Args:
        name: What the caller calls it.
        value: Numbers, lists of them, or an array.
        remedy: What to do instead.

    Raises:
        InputError: It holds something else than finite real numbers, or rows of different lengths.

    """
    try:
        array = np.asarray(value)
    except ValueError:  # ragged
        array = np.asarray(None)
    if array.dtype.kind not in "fiu":
        raise InputError(f"{name}={value!r:.60}: expected real numbers", remedy)
    if not np.isfinite(array).all():
        raise InputError(f"{name} holds a value that is not finite", remedy)
    return array.astype(np.float64, copy=False)


def check_symmetric(name: str, matrix: np.ndarray) -> None:
    """Raise if a square matrix is not symmetric, beyond rounding.

    Raises:
        InputError: It is not.

    """
    apart = np.abs(matrix - matrix.T).max(initial=0.0)
    if apart > ASYMMETRY * np.sqrt(len(matrix)) * np.abs(matrix).max(initial=0.0):
        raise InputError(f"{name} is not symmetric", "give (M + M')/2")


def check_flag(name: str, value: Any) -> None:
    """Raise if a setting is neither true nor false.

    Raises:
        InputError: It is something else.

    """
    if not isinstance(value, bool | np.bool_):
        raise InputError(f"{name}={value!r:.60}: expected True or False", "leave it out, or give one of them")


def check_count(name: str, value: Any, usual: int) -> None:
    """Raise if a setting is no whole number above 0.

    Raises:
        InputError: It is none.

    """
    remedy = f"give a whole number above 0, e.g. {name}={usual}"
    if checked_number(name, value, remedy) != int(value) or value < 1:
        raise InputError(f"{name}={value!r}: expected a whole number above 0", remedy)


def checked_curvatures(largest: Any, smallest: Any) -> tuple[float, float]:
    """L and mu as numbers.

    Args:
        largest: L.
        smallest: mu.

    Raises:
        InputError: They are not finite numbers with 0 < L and 0 <= mu <= L.

    """
    remedy = "give curvatures 0 <= mu <= L with L > 0, as tw.diagnose measures them"
    L, mu = checked_number("largest", largest, remedy), checked_number("smallest", smallest, remedy)
    if not (L > 0 and mu <= (1 + 1e-6) * L):
        raise InputError(f"largest={largest!r}, smallest={smallest!r}: expected 0 <= smallest <= largest", remedy)
    return L, min(mu, L)  # two measurements of one number
