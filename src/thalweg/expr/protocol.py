"""NumPy's own functions on nodes: what `np.exp(node)` and `np.sum(node)` mean, and a clear refusal for the rest."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from thalweg.core.errors import UnsupportedError
from thalweg.expr import namespace
from thalweg.expr.node import Node, build

UFUNCS: dict[Any, str] = {
    np.add: "add", np.subtract: "sub", np.multiply: "mul", np.true_divide: "div", np.negative: "neg",
    np.power: "pow", np.float_power: "pow", np.square: "square", np.exp: "exp", np.log: "log", np.log1p: "log1p",
    np.expm1: "expm1", np.sqrt: "sqrt", np.tanh: "tanh", np.absolute: "abs", np.fabs: "abs", np.sign: "sign",
    np.maximum: "maximum", np.minimum: "minimum", np.fmax: "maximum", np.fmin: "minimum", np.sin: "sin",
    np.cos: "cos", np.sinh: "sinh", np.cosh: "cosh", np.arctan: "arctan", np.logaddexp: "logaddexp", np.less: "lt",
    np.less_equal: "le", np.greater: "gt", np.greater_equal: "ge", np.equal: "eq", np.not_equal: "ne",
    np.logical_and: "logical_and", np.logical_or: "logical_or", np.logical_not: "logical_not",
    np.bitwise_and: "logical_and", np.bitwise_or: "logical_or", np.invert: "logical_not",
}  # fmt: skip


REMEDY = (
    "write it with operations that have one: exp, log, log1p, sqrt, tanh, abs, where, maximum, minimum, logaddexp, "
    "sum, mean, max, einsum and the others of thalweg.expr"
)


def _reciprocal(x: Any) -> Node:
    return build("div", 1.0, x)


def _exp2(x: Any) -> Node:
    return build("exp", build("mul", x, float(np.log(2.0))))


def _log2(x: Any) -> Node:
    return build("div", build("log", x), float(np.log(2.0)))


def _log10(x: Any) -> Node:
    return build("div", build("log", x), float(np.log(10.0)))


COMPOSED: dict[Any, Callable[..., Any]] = {
    np.matmul: namespace.matmul,
    np.reciprocal: _reciprocal,
    np.exp2: _exp2,
    np.log2: _log2,
    np.log10: _log10,
    np.positive: lambda x: x,
}


def _clip(x: Any, a_min: Any = None, a_max: Any = None) -> Any:
    if a_min is not None:
        x = namespace.maximum(x, a_min)
    return x if a_max is None else namespace.minimum(x, a_max)


FUNCTIONS: dict[Any, Callable[..., Any]] = {
    np.where: namespace.where,
    np.sum: namespace.sum,
    np.mean: namespace.mean,
    np.max: namespace.max,
    np.min: namespace.min,
    np.reshape: namespace.reshape,
    np.transpose: namespace.transpose,
    np.broadcast_to: namespace.broadcast_to,
    np.concatenate: namespace.concatenate,
    np.einsum: namespace.einsum,
    np.dot: namespace.dot,
    np.outer: namespace.outer,
    np.trace: namespace.trace_of,
    np.clip: _clip,
    np.shape: lambda x: x.shape,
    np.ndim: lambda x: x.ndim,
}


def call_ufunc(ufunc: Any, method: str, inputs: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """Build what ``ufunc`` means on nodes.

    Raises:
        UnsupportedError: for a ufunc outside the table, a method such as ``.at``, or ``out=``.

    """
    if kwargs.get("out") is not None:
        raise UnsupportedError(
            f"np.{ufunc.__name__} was asked to write in place into an array or node",
            "nodes are immutable: write `a = a + b` instead of `a += b` on an array",
        )
    if method != "__call__" or kwargs:
        detail = f".{method}" if method != "__call__" else f" with {', '.join(kwargs)}"
        raise UnsupportedError(
            f"np.{ufunc.__name__}{detail} on a node", "use the plain function, or sum, max and min for reductions"
        )
    if ufunc in UFUNCS:
        return build(UFUNCS[ufunc], *inputs)
    if ufunc in COMPOSED:
        return COMPOSED[ufunc](*inputs)
    raise UnsupportedError(f"{_name(ufunc)} has no derivative rule here", REMEDY)


def call_function(function: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """Build what a NumPy function that is not a ufunc means on nodes.

    Raises:
        UnsupportedError: for a function outside the table, or an argument that it does not take here.

    """
    label = f"{function.__module__}.{function.__name__}".replace("numpy", "np", 1)
    if function not in FUNCTIONS:
        raise UnsupportedError(f"{label} has no derivative rule here", REMEDY)
    try:
        return FUNCTIONS[function](*args, **kwargs)
    except TypeError as error:
        if isinstance(error, UnsupportedError):
            raise
        raise UnsupportedError(f"{label} on a node: {error}", "use the plain form of the function") from None


def _name(ufunc: Any) -> str:
    name = str(ufunc.__name__)
    return f"np.{name}" if getattr(np, name, None) is ufunc else name
