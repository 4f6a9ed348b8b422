"""NumPy's names on nodes and tensors: plain arguments go to NumPy's own function, the others to the one written here.

A function is declared once, under NumPy's name; the public namespace and the answer to ``np.name(node)`` follow from
the name.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import numpy as np

from thalweg.core.errors import ThalwegError, UnsupportedError
from thalweg.expr.namespace import call, is_traced
from thalweg.expr.node import Node, build
from thalweg.expr.rows import NATIVE, is_tensor

F = TypeVar("F", bound=Callable[..., Any])


def holds_traced(arguments: Iterable[Any]) -> bool:
    """Say whether a node or a tensor is among the arguments, or within lists, tuples and dicts among them."""
    for x in arguments:
        kind = x.__class__
        if kind in NATIVE or kind is str or x is None:
            continue
        if is_traced(x):
            return True
        if kind in (list, tuple) and holds_traced(x) or kind is dict and holds_traced(x.values()):
            return True
    return False


def numpy_function(function: F) -> F:
    """Declare what NumPy's function of the same name does once a node or a tensor is among its arguments.

    Args:
        function: Takes NumPy's arguments, those that make no sense on nodes (``out``, ``dtype``) left out.

    Returns:
        A function that hands plain arguments to NumPy. Its attribute ``traced`` is the one for nodes and tensors.

    """
    name = function.__name__
    reference = getattr(np, name)

    @functools.wraps(function)
    def traced(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except TypeError as error:
            if isinstance(error, ThalwegError):
                raise
            raise UnsupportedError(f"np.{name} on a node: {error}", "use the plain form of the function") from None

    @functools.wraps(function)
    def dispatch(*args: Any, **kwargs: Any) -> Any:
        if holds_traced(args) or kwargs and holds_traced(kwargs.values()):
            return traced(*args, **kwargs)
        return reference(*args, **kwargs)

    dispatch.traced = traced  # type: ignore[attr-defined]
    return dispatch  # type: ignore[return-value]


def ufunc(name: str, row: str) -> Callable[..., Any]:
    """Make the function under NumPy's ``name`` that a ``row`` of the operation table evaluates.

    Args:
        name: NumPy's.
        row: The operation's.

    Returns:
        A function of as many arrays, with NumPy's keyword arguments where all of them are plain.

    """
    reference = getattr(np, name)

    def function(*inputs: Any, **kwargs: Any) -> Any:
        tensors = False
        for x in inputs:
            kind = x.__class__
            if kind is Node:
                if kwargs:
                    raise UnsupportedError(f"np.{name} with {', '.join(kwargs)} on a node", "use the plain form")
                return build(row, *inputs)
            if kind not in NATIVE and is_tensor(x):
                tensors = True
        if tensors and not kwargs:
            return call(row, *inputs)
        if tensors:
            raise UnsupportedError(f"np.{name} with {', '.join(kwargs)} on a tensor", "use the plain form")
        return reference(*inputs, **kwargs)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"As `numpy.{name}`, on nodes, tensors and arrays, elementwise with broadcasting."
    return function
