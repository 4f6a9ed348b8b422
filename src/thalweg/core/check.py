"""Checks that several rooms make on the arguments they are given."""

from __future__ import annotations

import math
import numbers
from typing import Any

from thalweg.core.errors import InputError


def checked_number(name: str, value: Any, remedy: str, *, allow_infinity: bool = False) -> float:
    """The value as a float if it is a number >= 0.

    Args:
        name: What the caller calls it.
        value: What was given.
        remedy: What to do instead.
        allow_infinity: Whether infinity is fine.

    Raises:
        InputError: If it is not a number, is negative, is nan, or is infinite without leave.

    """
    plain = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if not plain or not value >= 0 or (math.isinf(value) and not allow_infinity):
        raise InputError(f"{name}={value!r}: expected a {'' if allow_infinity else 'finite '}number >= 0", remedy)
    return float(value)
