"""Derivatives of plain Python functions: gradients, and products of Jacobians and Hessians with vectors.

Each transform calls the function once on nodes that carry the arguments' values, and differentiates the graph that the
call leaves behind. Within another transform the arguments are nodes and so is the answer: transforms nest to any depth,
and a function that is being compiled may use them, too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from thalweg.core.errors import InputError, UnsupportedError
from thalweg.expr.call import Argnums, Call, kept, label, named, quiet
from thalweg.expr.shapes import show


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

    Example:
        >>> grad(lambda x, y: x**2 * y)(3.0, 2.0)
        12.0
        >>> grad(lambda x, y: x**2 * y, argnums=(0, 1))(3.0, 2.0)
        (12.0, 9.0)

    """

    @named("grad", function)
    def gradient(*args: Any, **kwargs: Any) -> Any:
        value, pulled, aux = _value_and_gradients(function, argnums, has_aux, args, kwargs)
        return (pulled, aux) if has_aux else pulled

    return gradient


def value_and_grad(function: Callable[..., Any], argnums: Argnums = 0, has_aux: bool = False) -> Callable[..., Any]:
    """Make a function that gives value and gradient together; see `grad` for the arguments and errors.

    Returns:
        A function that gives (value, gradient), or ((value, aux), gradient) with ``has_aux``.

    Example:
        >>> value_and_grad(lambda x: x**2)(3.0)
        (9.0, 6.0)

    """

    @named("value_and_grad", function)
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

    Example:
        >>> import numpy as np
        >>> elementwise_grad(np.square)(np.array([1.0, 2.0, 3.0]))
        array([2., 4., 6.])

    """

    @named("elementwise_grad", function)
    def slopes(*args: Any, **kwargs: Any) -> Any:
        with quiet():
            call = Call(function, argnums, False, args, kwargs)
            return call.pull_all(call.ones())

    return slopes


def vjp(function: Callable[..., Any], *primals: Any) -> tuple[Any, Callable[[Any], Any]]:
    """Evaluate a function and keep what its vector-Jacobian product needs (reverse mode).

    Args:
        function: As in `grad`, with a result of any shape.
        *primals: Its arguments; the product is taken with respect to each.

    Returns:
        The value, and a function from a cotangent (shaped like the value) to the tuple of the arguments' cotangents.

    Example:
        >>> value, pull = vjp(lambda x, y: x * y, 3.0, 2.0)
        >>> value, pull(1.0)
        (6.0, (2.0, 3.0))

    """
    call = Call(function, tuple(range(len(primals))), False, kept(primals), {})
    return call.value(), call.pull


def make_vjp(function: Callable[..., Any], argnums: Argnums = 0) -> Callable[..., Any]:
    """Make a function that gives (pull, value): ``pull(cotangent)`` is the cotangent times the Jacobian.

    Args:
        function: As in `grad`, with a result of any shape.
        argnums: As in `grad`.

    Returns:
        A function of the same arguments.

    Example:
        >>> pull, value = make_vjp(lambda x: x**2)(3.0)
        >>> value, pull(1.0)
        (9.0, 6.0)

    """

    @named("make_vjp", function)
    def made(*args: Any, **kwargs: Any) -> Any:
        call = Call(function, argnums, False, kept(args), kwargs)
        return call.pull, call.value()

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

    Example:
        >>> jvp(lambda x, y: x * y, (3.0, 2.0), (1.0, 0.0))
        (6.0, 2.0)

    """
    if not isinstance(primals, (tuple, list)) or not isinstance(tangents, (tuple, list)):
        given = f"primals of type {type(primals).__name__} and tangents of type {type(tangents).__name__}"
        raise InputError(f"jvp of {label(function)} with {given}", "give two tuples: jvp(f, (x,), (direction,))")
    if len(primals) != len(tangents):
        raise InputError(f"{len(primals)} primals and {len(tangents)} tangents", "give one tangent for each primal")
    with quiet():
        call = Call(function, tuple(range(len(primals))), False, tuple(primals), {})
        return call.value(), call.push(tangents)


def make_jvp(function: Callable[..., Any], argnums: Argnums = 0) -> Callable[..., Any]:
    """Make a function ``made(*args)(direction) -> (value, tangent)``: the Jacobian times the direction.

    Args:
        function: As in `grad`, with a result of any shape.
        argnums: As in `grad`; for several, the direction is a tuple.

    Returns:
        A function of the same arguments, which gives a function of the direction.

    Example:
        >>> make_jvp(lambda x: x**2)(3.0)(1.0)
        (9.0, 6.0)

    """

    @named("make_jvp", function)
    def made(*args: Any, **kwargs: Any) -> Any:
        def along(direction: Any) -> Any:
            with quiet():
                call = Call(function, argnums, False, args, kwargs)
                return call.value(), call.push([direction] if call.single else direction)

        return along

    return made


def hvp(function: Callable[..., Any], argnums: int = 0) -> Callable[..., Any]:
    """Make the product of the Hessian with a vector, d/dx <grad f(x), v>, without forming the Hessian.

    Args:
        function: As in `grad`.
        argnums: Which argument, counted from 0.

    Returns:
        A function ``product(*args, v)`` with v shaped like that argument; it gives an array of the same shape.

    Example:
        >>> hvp(lambda x: x**3)(2.0, 1.0)
        12.0

    """
    if not isinstance(argnums, int) or isinstance(argnums, bool):
        raise InputError(f"hvp with argnums={argnums!r}", "give one argument number")

    @named("hvp", function)
    def product(*args: Any, **kwargs: Any) -> Any:
        if len(args) < 2:
            raise InputError(
                f"hvp of {label(function)} was called with {len(args)} argument", "call it with (*args, v)"
            )
        *primals, direction = args

        def slope(*primals: Any) -> Any:
            """Give the derivative along the direction: a number, whose gradient is the product."""
            call = Call(function, argnums, False, primals, kwargs)
            _demand_number(call, function)
            return call.push([direction])

        with quiet():
            try:
                # Reverse over forward reads every matrix of a linear model once less than reverse over reverse.
                call = Call(slope, argnums, False, tuple(primals), {})
            except UnsupportedError:  # a primitive without a forward rule; the Hessian is symmetric, so this will do
                call = Call(grad(function, argnums), argnums, False, tuple(primals), kwargs)
                return call.pull_all(direction)
            return call.pull_all(call.ones())

    return product


def _demand_number(call: Call, function: Callable[..., Any]) -> None:
    if call.shape:
        raise InputError(
            f"grad of {label(function)}, whose result has shape {show(call.shape)}",
            "return one number (a sum, a mean), or use elementwise_grad, jacobian or vjp",
        )


def _value_and_gradients(
    function: Callable[..., Any], argnums: Argnums, has_aux: bool, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[Any, Any, Any]:
    with quiet():
        call = Call(function, argnums, has_aux, args, kwargs)
        _demand_number(call, function)
        return call.value(), call.pull_all(call.ones()), call.aux
