"""Seeded randomness: every draw comes from a generator that somebody passed, never from a global one."""

from __future__ import annotations

import operator
from typing import Any, TypeAlias

import numpy as np

from thalweg.core.errors import InputError

Seed: TypeAlias = int | np.random.Generator | None
"""What a `seed` argument takes: a whole number, a generator to go on drawing from, or None for a fresh seed."""


def generator(seed: Seed, *, name: str = "seed") -> np.random.Generator:
    """The generator that a `seed` argument stands for.

    Args:
        seed: A whole number >= 0, the same stream every time; a generator, returned as it is; or None, a stream that
            no other run repeats.
        name: How the caller's argument is called, for the error.

    Returns:
        A generator of its own state; NumPy's global generator is neither read nor changed.

    Raises:
        InputError: The seed is none of these.

    Example:
        >>> int(generator(7).integers(1000)) == int(generator(7).integers(1000))
        True

    """
    if seed is None or isinstance(seed, np.random.Generator):
        return np.random.default_rng(seed)
    return np.random.default_rng(_whole_number(seed, name))


def spawn(seed: Seed, count: int, *, name: str = "seed") -> list[np.random.Generator]:
    """Independent generators, one for each of several workers or trials.

    From a whole number the children are the same every time, and the first k of them do not depend on `count`. From a
    generator they differ at every call, and the generator's own stream stays where it was.

    Args:
        seed: As in `generator`.
        count: How many, >= 0.
        name: How the caller's argument is called, for the error.

    Returns:
        The children, in order.

    Raises:
        InputError: The seed cannot be used, or a generator was made from a bare bit generator, which has no children.

    Example:
        >>> first, second = spawn(7, 2)
        >>> bool(first.integers(1000) == spawn(7, 5)[0].integers(1000))
        True

    """
    parent = generator(seed, name=name)
    try:
        return parent.spawn(_whole_number(count, "count"))
    except TypeError:
        raise InputError(
            f"{name}: this generator carries no seed sequence, so independent streams cannot be split from it",
            f"pass {name}=<whole number> or numpy.random.default_rng(<whole number>)",
        ) from None


def _whole_number(value: Any, name: str) -> int:
    try:
        # True is an int and indexes as 1; as a seed or a count it is a slip of the argument order.
        number = None if isinstance(value, bool | np.bool_) else operator.index(value)
    except TypeError:
        number = None
    if number is None or number < 0:
        raise InputError(f"{name}={value!r} ({type(value).__name__}) is not a whole number >= 0", f"pass {name}=0")
    return number
