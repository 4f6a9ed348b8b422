"""Running a user's own operations on plain values; generated kernels import this.

A kernel names a bound primitive by a number, since a Python function cannot be written into text.
"""

from __future__ import annotations

import itertools
import os
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from thalweg.core.errors import InputError, ThalwegError, UnsupportedError
from thalweg.expr.rows import Shape, is_tensor, shape_of

_registry: weakref.WeakValueDictionary[int, Bound] = weakref.WeakValueDictionary()
_next_number = itertools.count().__next__
_process = os.urandom(4).hex()


class Rules:
    """What a user has said about one operation.

    Attributes:
        name: Its name in messages.
        function: The operation on plain values.
        vjp: For an argument's position ``maker(ans, *args, **kwargs)``, which gives ``g -> cotangent``; None for zero.
        jvp: For an argument's position ``rule(t, ans, *args, **kwargs)``, which gives the tangent; None for zero.
        shape: ``shape(*shapes_of_arrays)``, or None for the broadcast of the arrays.

    """

    __slots__ = ("function", "jvp", "name", "shape", "vjp")

    def __init__(self, name: str, function: Callable[..., Any]) -> None:
        self.name = name
        self.function = function
        self.vjp: dict[int, Callable[..., Any] | None] = {}
        self.jvp: dict[int, Callable[..., Any] | None] = {}
        self.shape: Callable[..., Shape] | None = None


class Bound:
    """An operation with the arguments that are no arrays filled in; a parameter of a node.

    Args:
        rules: The operation.
        static: The positional arguments; those in ``positions`` are filled at each call.
        positions: Where the arrays go.
        kwargs: Keyword arguments, never arrays.
        promised: Whether a shape was promised before the operation ran, to which its result is held.

    """

    __slots__ = ("__weakref__", "kwargs", "number", "positions", "promised", "rules", "static")

    def __init__(
        self,
        rules: Rules,
        static: Sequence[Any],
        positions: tuple[int, ...],
        kwargs: Mapping[str, Any],
        promised: bool,
    ) -> None:
        self.rules = rules
        self.static = tuple(static)
        self.positions = positions
        self.kwargs = dict(kwargs)
        self.promised = promised
        self.number = _next_number()
        _registry[self.number] = self

    def __repr__(self) -> str:
        # Part of the digest of an expression, which must not be that of another function in another process.
        return f"<primitive {self.rules.name} {self.number} of {_process}>"

    def arguments(self, arrays: Sequence[Any]) -> list[Any]:
        """Give the positional arguments with the arrays in their places."""
        filled = list(self.static)
        for position, value in zip(self.positions, arrays, strict=True):
            filled[position] = value
        return filled

    def run(self, arrays: Sequence[Any]) -> Any:
        """Call the user's function.

        Raises:
            InputError: for a result that is no array, or has not the shape that was promised.

        """
        name = self.rules.name
        try:
            result = self.rules.function(*self.arguments(arrays), **self.kwargs)
        except ThalwegError:
            raise
        except (ValueError, IndexError) as error:
            raise InputError(f"the primitive {name!r} failed: {error}", "see the error above") from error
        if not isinstance(result, (np.ndarray, np.generic, float, int)) and not is_tensor(result):
            raise InputError(f"the primitive {name!r} returned {type(result).__name__}", "return one array or number")
        if self.promised:
            expected = self.shape([shape_of(a) for a in arrays])
            if shape_of(result) != expected:
                raise InputError(
                    f"the primitive {name!r} returned shape {shape_of(result)} where {expected} was expected",
                    "say what it returns: f.defshape(lambda *shapes_of_the_arrays: shape)"
                    if self.rules.shape is None
                    else "mend the rule given to defshape",
                )
        return result

    def shape(self, shapes: Sequence[Shape]) -> Shape:
        """Give the shape of the result."""
        if self.rules.shape is not None:
            return tuple(self.rules.shape(*shapes))
        from thalweg.expr.shapes import broadcast

        return broadcast(*shapes)

    def pull(self, g: Any, index: int, y: Any, arrays: Sequence[Any]) -> Any:
        """Apply the user's vjp rule, to plain values or nodes; None is zero.

        Raises:
            UnsupportedError: where there is none.
            InputError: for a cotangent whose shape cannot be the argument's.

        """
        position = self.positions[index]
        if position not in self.rules.vjp:
            raise UnsupportedError(
                f"the primitive {self.rules.name!r} has no derivative rule for argument {position}",
                "give one with defvjp or defjvp (None says that the derivative is 0)",
            )
        maker = self.rules.vjp[position]
        if maker is None:
            return None
        cotangent = maker(y, *self.arguments(arrays), **self.kwargs)(g)
        got = _shape(cotangent)
        expected, result = _shape(arrays[index]), _shape(y)
        # A rule may leave the sum over broadcast axes to its caller, as the rows do.
        if got not in (expected, result):
            raise InputError(
                f"the vjp rule of the primitive {self.rules.name!r} for argument {position} gave shape {got}",
                f"give the argument's shape {expected}",
            )
        return cotangent

    def push(self, t: Any, index: int, y: Any, arrays: Sequence[Any]) -> Any:
        """Apply the user's jvp rule, to plain values or nodes; None is zero."""
        position = self.positions[index]
        rule = self.rules.jvp[position]
        if rule is None:
            return None
        tangent = rule(t, y, *self.arguments(arrays), **self.kwargs)
        got = _shape(tangent)
        if got != _shape(y):
            raise InputError(
                f"the jvp rule of the primitive {self.rules.name!r} for argument {position} gave shape {got}",
                f"give the result's shape {_shape(y)}",
            )
        return tangent


def _shape(x: Any) -> Shape:
    return tuple(getattr(x, "shape", ()))


def _bound(number: int) -> Bound:
    found = _registry.get(number)
    if found is None:
        raise UnsupportedError("compiled code calls a primitive that no longer exists", "keep the primitive alive")
    return found


def run(number: int, *arrays: Any) -> Any:
    """Call a primitive by its number."""
    return _bound(number).run(arrays)


def run_vjp(number: int, index: int, g: Any, y: Any, *arrays: Any) -> Any:
    """Apply a primitive's vjp rule by its number."""
    from thalweg.expr.primitive import evaluate_vjp

    return evaluate_vjp(g, y, *arrays, _bound(number), index)


def run_jvp(number: int, index: int, t: Any, y: Any, *arrays: Any) -> Any:
    """Apply a primitive's jvp rule, or its transposed vjp rule, by its number."""
    from thalweg.expr.primitive import evaluate_jvp

    return evaluate_jvp(t, y, *arrays, _bound(number), index)
