"""Derivatives of plain Python functions: gradients, and products of Jacobians and Hessians with vectors.

Each transform calls the function once on nodes that carry the arguments' values, and differentiates the graph that the
call leaves behind. Within another transform the arguments are nodes and so is the answer: transforms nest to any depth,
and a function that is being compiled may use them, too.
"""

from __future__ import annotations

import functools
import itertools
import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from thalweg.core.errors import InputError
from thalweg.expr.differentiate import tangents_of, zeros_like
from thalweg.expr.differentiate import vjp as lazy_vjp
from thalweg.expr.node import Node, build, constant, variable
from thalweg.expr.reverse import pull_back, pull_back_nodes
from thalweg.expr.rows import is_tensor, kind_of, shape_of
from thalweg.expr.shapes import show, spread

Argnums = int | Sequence[int]


def grad(function: Callable[..., Any], argnums: Argnums = 0, has_aux: bool = False) -> Callable[..., Any]:
    """Make the gradient of a function that returns one number.

    Args:
        function: A Python function of arrays, tensors and numbers, written with the functions of NumPy or
            `thalweg.numpy`; Python's ``if`` and loops are fine.
        argnums: Which positional argument to differentiate with respect to, counted from 0; or several.
        has_aux: Whether the function returns (number, anything else); the gradient is then returned with that else.

    Returns:
        A function of the same arguments. It gives an array shaped like the argument (a tuple for several ``argnums``),
        zero where there is no path.

    Raises:
        InputError: for a result that is not one number, or an argument that is not an array of floating numbers.
        UnsupportedError: for an operation that Thalweg does not know; the message names it.

    """

    @_named("grad", function)
    def gradient(*args: Any, **kwargs: Any) -> Any:
        value, pulled, aux = _value_and_gradients(function, argnums, has_aux, args, kwargs)
        return (pulled, aux) if has_aux else pulled

    return gradient


def value_and_grad(function: Callable[..., Any], argnums: Argnums = 0, has_aux: bool = False) -> Callable[..., Any]:
    """Make a function that gives value and gradient together; see `grad` for the arguments and errors.

    Returns:
        A function that gives (value, gradient), or ((value, aux), gradient) with ``has_aux``.

    """

    @_named("value_and_grad", function)
    def value_and_gradient(*args: Any, **kwargs: Any) -> Any:
        value, pulled, aux = _value_and_gradients(function, argnums, has_aux, args, kwargs)
        return ((value, aux) if has_aux else value), pulled

    return value_and_gradient


def elementwise_grad(function: Callable[..., Any], argnums: Argnums = 0) -> Callable[..., Any]:
    """Make the derivative, entry by entry, of a function whose entry i depends on entry i of its argument alone.

    For any other function this is the gradient of the sum of the results.

    Args:
        function: As in `grad`, with a result of any shape.
        argnums: As in `grad`.

    Returns:
        A function of the same arguments; it gives an array shaped like the argument.

    """

    @_named("elementwise_grad", function)
    def slopes(*args: Any, **kwargs: Any) -> Any:
        with _Call(function, argnums, False, args, kwargs) as call:
            return call.pull_all(call.ones())

    return slopes


def vjp(function: Callable[..., Any], *primals: Any) -> tuple[Any, Callable[[Any], Any]]:
    """Evaluate a function and keep what its vector-Jacobian product needs (reverse mode).

    Args:
        function: As in `grad`, with a result of any shape.
        *primals: Its arguments; the product is taken with respect to each.

    Returns:
        The value, and a function from a cotangent (shaped like the value) to the tuple of the arguments' cotangents.

    """
    with _Call(function, tuple(range(len(primals))), False, primals, {}) as call:

        def pull(cotangent: Any) -> Any:
            with call:
                return call.pull_all(cotangent)

        return call.value(), pull


def make_vjp(function: Callable[..., Any], argnums: Argnums = 0) -> Callable[..., Any]:
    """Make a function that gives (pull, value): ``pull(cotangent)`` is the cotangent times the Jacobian.

    Args:
        function: As in `grad`, with a result of any shape.
        argnums: As in `grad`.

    Returns:
        A function of the same arguments.

    """

    @_named("make_vjp", function)
    def made(*args: Any, **kwargs: Any) -> Any:
        with _Call(function, argnums, False, args, kwargs) as call:

            def pull(cotangent: Any) -> Any:
                with call:
                    return call.pull_all(cotangent)

            return pull, call.value()

    return made


def jvp(function: Callable[..., Any], primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
    """Evaluate a function and its derivative along a direction (forward mode).

    The cost is a small multiple of the function's and does not depend on the number of results; a whole gradient takes
    one such product for each argument entry, where reverse mode takes one in all.

    Args:
        function: As in `grad`, with a result of any shape.
        primals: Its arguments.
        tangents: One direction an argument, of the argument's shape.

    Returns:
        The value, and the tangent, shaped like the value.

    """
    if len(primals) != len(tangents):
        raise InputError(f"{len(primals)} primals and {len(tangents)} tangents", "give one tangent for each primal")
    with _Call(function, tuple(range(len(primals))), False, tuple(primals), {}) as call:
        return call.value(), call.push(tangents)


def make_jvp(function: Callable[..., Any], argnums: Argnums = 0) -> Callable[..., Any]:
    """Make a function ``made(*args)(direction) -> (value, tangent)``: the Jacobian times the direction.

    Args:
        function: As in `grad`, with a result of any shape.
        argnums: As in `grad`; for several, the direction is a tuple.

    Returns:
        A function of the same arguments, which gives a function of the direction.

    """

    @_named("make_jvp", function)
    def made(*args: Any, **kwargs: Any) -> Any:
        def along(direction: Any) -> Any:
            with _Call(function, argnums, False, args, kwargs) as call:
                return call.value(), call.push([direction] if isinstance(argnums, int) else direction)

        return along

    return made


def hvp(function: Callable[..., Any], argnums: int = 0) -> Callable[..., Any]:
    """Make the product of the Hessian with a vector, d/dx <grad f(x), v>, without forming the Hessian.

    Args:
        function: As in `grad`.
        argnums: Which argument, counted from 0.

    Returns:
        A function ``product(*args, v)`` with v shaped like that argument; it gives an array of the same shape.

    """
    if not isinstance(argnums, int):
        raise InputError(f"hvp with argnums={argnums!r}", "give one argument number")
    gradient = grad(function, argnums)

    @_named("hvp", function)
    def product(*args: Any, **kwargs: Any) -> Any:
        if len(args) < 2:
            raise InputError(
                f"hvp of {_label(function)} was called with {len(args)} argument", "call it with (*args, v)"
            )
        *primals, direction = args
        with _Call(gradient, argnums, False, tuple(primals), kwargs) as call:
            return call.pull_all(direction)

    return product


def _value_and_gradients(
    function: Callable[..., Any], argnums: Argnums, has_aux: bool, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[Any, Any, Any]:
    with _Call(function, argnums, has_aux, args, kwargs) as call:
        if shape_of(call.output) if call.plain else call.output.shape:
            raise InputError(
                f"grad of {_label(function)}, whose result has shape {show(call.shape())}",
                "return one number (a sum, a mean), or use elementwise_grad, jacobian or vjp",
            )
        return call.value(), call.pull_all(1.0), call.aux


class _State(threading.local):
    """What is under way in this thread."""

    depth: int = 0


_state = _State()
_fresh_ids = itertools.count().__next__


class _Call:
    """One call of a function on nodes, and the products with its Jacobian there.

    Within ``with`` NumPy's floating-point warnings are off: a branch that `where` does not take may well divide by 0.
    """

    __slots__ = ("argnums", "leaves", "output", "aux", "plain", "raw", "_errstate")

    def __init__(
        self, function: Callable[..., Any], argnums: Argnums, has_aux: bool, args: tuple[Any, ...], kwargs: Any
    ) -> None:
        self._errstate: Any = None
        self.argnums = argnums
        numbers = (argnums,) if argnums.__class__ is int else tuple(argnums)  # type: ignore[arg-type]
        called = list(args)
        leaves = []
        lifted = True  # every argument is plain
        for i in numbers:
            if not -len(args) <= i < len(args):
                raise InputError(
                    f"argnums={argnums!r} for a call of {_label(function)} with {len(args)} positional arguments",
                    f"use 0 to {len(args) - 1}" if args else "give the argument by position",
                )
            x = args[i]
            if x.__class__ is Node:
                lifted = False
                leaf = build("identity", x, params=(_fresh_ids(),))
            else:
                leaf = _leaf(x, i, function)
            leaves.append(leaf)
            called[i] = leaf
        self.leaves = leaves
        _state.depth += 1
        try:
            if _state.depth == 1:
                with np.errstate(all="ignore"):
                    output = function(*called, **kwargs)
            else:
                output = function(*called, **kwargs)
        finally:
            _state.depth -= 1
        self.aux = None
        if has_aux:
            if not isinstance(output, tuple) or len(output) != 2:
                raise InputError(
                    f"{_label(function)} returned {type(output).__name__} with has_aux=True", "return (result, aux)"
                )
            output, self.aux = output
        self.plain = output.__class__ is not Node
        if self.plain and not isinstance(output, (bool, int, float, np.ndarray, np.generic)) and not is_tensor(output):
            raise InputError(
                f"{_label(function)} returned {type(output).__name__}, not an array",
                "return one array or number; with has_aux=True also anything else beside it",
            )
        self.output = output
        self.raw = lifted and (self.plain or output.value is not None) and (
            _state.depth == 0 or not _reaches_beyond(output, leaves)
        )  # fmt: skip
        if self.aux is not None and self.raw:
            self.aux = _lowered(self.aux)

    def __enter__(self) -> _Call:
        if _state.depth == 0:
            self._errstate = np.errstate(all="ignore")
            self._errstate.__enter__()
        return self

    def __exit__(self, *exception: Any) -> None:
        if self._errstate is not None:
            self._errstate.__exit__(*exception)
            self._errstate = None

    def shape(self) -> Any:
        """Give the result's shape."""
        return shape_of(self.output) if self.plain else self.output.shape

    def value(self) -> Any:
        """Give the result: a plain value, unless something further out still differentiates it."""
        if self.plain or not self.raw:
            return self.output
        value = self.output.value
        # What the function returned may be its argument itself, or a view of it.
        return np.array(value) if isinstance(value, np.ndarray) and not value.flags.owndata else value

    def ones(self) -> Any:
        """Give a cotangent of ones."""
        if self.plain or not self.output.shape:
            return 1.0
        if self.raw:
            value = self.output.value
            return value.new_ones(value.shape) if is_tensor(value) else np.ones_like(value)
        return spread(constant(1.0), self.output.shape)

    def pull_all(self, cotangent: Any) -> Any:
        """Give the cotangents of the chosen arguments, in the form that ``argnums`` asks for."""
        if self.plain:
            pulled: list[Any] = [None] * len(self.leaves)
        elif self.raw and cotangent.__class__ is not Node:
            pulled = pull_back(self.output, self._seed(cotangent), self.leaves)
        else:
            seed = constant(cotangent)
            if seed.shape != self.output.shape:
                raise _misfit(seed.shape, self.output.shape)
            if self.output.value is None:
                pulled = list(lazy_vjp([self.output], [seed], self.leaves))
            else:
                pulled = list(pull_back_nodes(self.output, seed, self.leaves))
        plain = self.raw and cotangent.__class__ is not Node
        results = [_zeros(leaf, plain) if g is None else g for leaf, g in zip(self.leaves, pulled, strict=True)]
        return results[0] if self.argnums.__class__ is int else tuple(results)

    def _seed(self, cotangent: Any) -> Any:
        value = self.output.value
        if cotangent.__class__ is float and not shape_of(value):
            return cotangent
        if is_tensor(value):
            return value.new_tensor(cotangent) if not is_tensor(cotangent) else cotangent
        seed = np.asarray(cotangent)
        if seed.shape != shape_of(value):
            raise _misfit(seed.shape, shape_of(value))
        if value.__class__ is float:
            return float(seed)
        return seed.astype(value.dtype, copy=False) if value.dtype.kind == "f" else seed

    def push(self, tangents: Sequence[Any]) -> Any:
        """Give the result's tangent along one direction an argument."""
        directions = {}
        for leaf, t in zip(self.leaves, tangents, strict=True):
            direction = constant(_floating(t) if t.__class__ is int else t)
            if direction.shape != leaf.shape:
                raise InputError(
                    f"tangent of shape {show(direction.shape)} for an argument of shape {show(leaf.shape)}",
                    "give it the argument's shape",
                )
            directions[leaf] = direction
        (tangent,) = [None] if self.plain else tangents_of([self.output], directions)
        if not self.raw or any(t.__class__ is Node for t in tangents):
            return zeros_like(constant(self.output)) if tangent is None else tangent
        value = self.output if self.plain else self.output.value
        if tangent is None:
            return _filled_like(value, 0.0)
        if tangent.value is None:
            return _filled_like(value, tangent.inputs[0].value)
        result = tangent.value
        if isinstance(result, np.ndarray):
            return np.array(result) if not result.flags.owndata or any(result is t for t in tangents) else result
        return result.clone() if is_tensor(result) else result


def _leaf(x: Any, position: int, function: Callable[..., Any]) -> Node:
    if x.__class__ is float:
        return variable(x)
    if x.__class__ is int:
        return variable(float(x))
    if not is_tensor(x):
        if isinstance(x, (list, tuple, dict, str)) or x is None:
            raise InputError(
                f"argument {position} of {_label(function)} is a {type(x).__name__}",
                "give an array, a tensor or a number",
            )
        x = x if isinstance(x, np.generic) else np.asarray(x)
        if x.dtype.kind == "c":
            raise InputError(
                f"argument {position} of {_label(function)} has the complex dtype {x.dtype}", "give real numbers"
            )
    if kind_of(x) != "f":
        raise InputError(
            f"argument {position} of {_label(function)} has dtype {x.dtype}: its derivative needs floating numbers",
            "convert it, x.astype(float), or leave it out of argnums",
        )
    return variable(x)


def _reaches_beyond(output: Any, leaves: Sequence[Node]) -> bool:
    """Say whether a result depends on something that is being differentiated further out."""
    if output.__class__ is not Node:
        return False
    own = set(leaves)
    seen = {output}
    stack = [output]
    while stack:
        node = stack.pop()
        if node in own:
            continue
        if not node.inputs and node.op != "constant":
            return True
        for x in node.inputs:
            if x not in seen and x.op != "constant":
                seen.add(x)
                stack.append(x)
    return False


def _zeros(leaf: Node, plain: bool) -> Any:
    return _filled_like(leaf.value, 0.0) if plain else zeros_like(leaf)


def _filled_like(value: Any, number: float) -> Any:
    if value.__class__ in (float, int, bool):
        return float(number)
    if is_tensor(value):
        return value.new_full(value.shape, number)
    dtype = value.dtype if value.dtype.kind == "f" else np.dtype(float)
    return np.full(value.shape, number, dtype=dtype) if value.shape else dtype.type(number)


def _lowered(aux: Any) -> Any:
    """Replace the nodes in an auxiliary result by their values."""
    if isinstance(aux, Node):
        return aux.value if aux.value is not None else aux
    if isinstance(aux, dict):
        return {k: _lowered(v) for k, v in aux.items()}
    if type(aux) in (tuple, list):
        return type(aux)([_lowered(v) for v in aux])
    return aux


def _floating(x: Any) -> Any:
    return float(x)


def _misfit(got: Any, expected: Any) -> InputError:
    return InputError(
        f"cotangent of shape {show(got)} for a result of shape {show(expected)}", "give it the result's shape"
    )


def _label(function: Callable[..., Any]) -> str:
    return f"the function {getattr(function, '__name__', type(function).__name__)!r}"


def _named(transform: str, function: Callable[..., Any]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def wrap(made: Callable[..., Any]) -> Callable[..., Any]:
        made = functools.wraps(function, assigned=("__module__", "__doc__"), updated=())(made)
        made.__name__ = made.__qualname__ = f"{transform}({getattr(function, '__name__', 'function')})"
        return made

    return wrap
