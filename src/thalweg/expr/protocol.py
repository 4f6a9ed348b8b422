"""NumPy's own functions on nodes: what `np.exp(node)` and `np.sum(node)` mean, and a clear refusal for the rest.

The tables follow from names. A ufunc that a row of the operation table is spelled as is that row; any other function
means what `thalweg.expr.numpy_api` (or its ``linalg``) has under its name.
"""

from __future__ import annotations

import difflib
import sys
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from thalweg.core.errors import UnsupportedError
from thalweg.expr import namespace, numpy_api
from thalweg.expr.node import UFUNC_ROWS as ROWS
from thalweg.expr.node import build, constant, table


def _named(module: Any, reference: Any) -> dict[Any, Callable[..., Any]]:
    """Join NumPy's functions to ours by name; ours for nodes and tensors if there is a form for them alone."""
    found = {}
    for name in module.__all__:
        ours, theirs = getattr(module, name), getattr(reference, name, None)
        if callable(ours) and callable(theirs) and ours is not theirs and not isinstance(theirs, type):
            found[theirs] = getattr(ours, "traced", ours)
    return found


ROWS.update({
    getattr(np, row.spelling): name
    for name, row in table().items()
    if row.spelling.isidentifier() and isinstance(getattr(np, row.spelling, None), np.ufunc)
})  # fmt: skip
ROWS.update({np.fabs: "abs", np.float_power: "pow"})
FUNCTIONS = {**_named(numpy_api, np), **_named(numpy_api.linalg, np.linalg)}

_REDUCTIONS = {
    "add": "sum", "multiply": "prod", "maximum": "max", "minimum": "min", "logical_and": "all", "logical_or": "any",
}  # fmt: skip
_ACCUMULATIONS = {"add": "cumsum", "multiply": "cumprod"}

_SPECIAL = {"expit": "sigmoid", "erf": "erf", "erfc": "erfc", "gammaln": "gammaln"}
"""SciPy's functions that are rows; the module is looked up when one is met, for it takes long to import."""

_IN_PLACE = "where(mask, new, x) replaces entries, concatenate joins parts, thalweg.numpy.array([...]) collects nodes"
HINTS = {
    **dict.fromkeys(("put", "place", "copyto", "putmask", "put_along_axis", "fill_diagonal", "insert", "delete"),
                    _IN_PLACE),
    **dict.fromkeys(("partition", "argpartition"), "use sort or argsort"),
    **dict.fromkeys(("eig", "eigvals"), "use eigh or eigvalsh, for symmetric matrices"),
    **dict.fromkeys(("histogram", "bincount", "digitize", "searchsorted", "unique"),
                    "it is piecewise constant: call it on x.value, the plain array, outside of a derivative"),
    **dict.fromkeys(("convolve", "correlate"), "write it with einsum over shifted slices, or as a product"),
    **dict.fromkeys(("nanstd", "nanvar"), "use nanmean of the squared distances"),
    "vectorize": "write the function with operations on whole arrays",
    "apply_along_axis": "write the function with operations on whole arrays and their axis argument",
    "angle": "nodes are real: use arctan2",
    "imag": "nodes are real",
    "frexp": "use log2 and floor",
    "interp": "write it with where and the slope of each piece",
    "gradient": "use diff",
    "log_expit": "use -thalweg.softplus(-x)",
    "logit": "use log(x) - log1p(-x)",
    "xlogy": "use where(x == 0, 0, x * log(y))",
    "xlog1py": "use where(x == 0, 0, x * log1p(y))",
    "lexsort": "use argsort",
    "block": "use concatenate, hstack and vstack",
    "i0": "use exp, or a function made differentiable with primitive",
    "fft": "transforms are products with a matrix: use einsum, or a function made differentiable with primitive",
}  # fmt: skip


def call_ufunc(ufunc: Any, method: str, inputs: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """Build what ``ufunc`` means on nodes.

    Raises:
        UnsupportedError: for a ufunc outside the table, a method such as ``.at``, or ``out=``.

    """
    name = _name(ufunc)
    if kwargs.get("out") is not None or method == "at":
        raise UnsupportedError(
            f"{name} was asked to write in place into an array or node",
            f"nodes are immutable: write `a = a + b` instead of `a += b` on an array; {_IN_PLACE}",
        )
    if method != "__call__":
        return _call_method(ufunc, method, inputs, kwargs)
    if kwargs:
        raise UnsupportedError(f"{name} with {', '.join(kwargs)} on a node", "use the plain function, and where()")
    if ufunc in ROWS:
        return build(ROWS[ufunc], *inputs)
    if ufunc in FUNCTIONS:
        return FUNCTIONS[ufunc](*inputs)
    special, own_name = sys.modules.get("scipy.special"), str(ufunc.__name__)
    if own_name in _SPECIAL and ufunc is getattr(special, own_name, None):
        return build(_SPECIAL[own_name], *inputs)
    raise unknown(name)


def _call_method(ufunc: Any, method: str, inputs: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """Build ``ufunc.reduce``, ``.accumulate`` and ``.outer``; the axis of a reduction is 0 unless it is given."""
    name = f"{_name(ufunc)}.{method}"
    short = ufunc.__name__
    given = dict(zip(("axis",), inputs[1:], strict=False)) | dict(kwargs)
    if method == "outer" and ufunc.nin == 2 and not kwargs:
        left, right = [constant(x) for x in inputs]
        opened = namespace.reshape(left, (*left.shape, *[1] * right.ndim)) if right.ndim else left
        return call_ufunc(ufunc, "__call__", (opened, right), {})
    known = {"reduce": _REDUCTIONS, "accumulate": _ACCUMULATIONS}.get(method, {})
    if short not in known or not set(given) <= {"axis", "keepdims"}:
        raise UnsupportedError(
            f"{name}{' with ' + ', '.join(kwargs) if kwargs else ''} on a node",
            f"use {', '.join(sorted({*_REDUCTIONS.values(), *_ACCUMULATIONS.values()}))} or whole-array operations",
        )
    axis = given.pop("axis", 0)
    return getattr(numpy_api, known[short]).traced(inputs[0], axis=axis, **given)


def call_function(function: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """Build what a NumPy function that is not a ufunc means on nodes.

    Raises:
        UnsupportedError: for a function outside the table, or an argument that it does not take here.

    """
    found = FUNCTIONS.get(function)
    if found is None:
        raise unknown(f"{function.__module__}.{function.__name__}".replace("numpy", "np", 1))
    try:
        return found(*args, **kwargs)
    except TypeError as error:
        if isinstance(error, UnsupportedError):
            raise
        raise UnsupportedError(
            f"np.{function.__name__} on a node: {error}", "use the plain form of the function"
        ) from None


def unknown(name: str) -> UnsupportedError:
    """Make the error for a function that has no meaning on nodes; it names the closest one that has."""
    short = name.rsplit(".", 1)[-1]
    hint = HINTS.get(short) or ("fft" in name and HINTS["fft"])
    if not hint:
        known = sorted({*numpy_api.__all__, *numpy_api.linalg.__all__})
        near = difflib.get_close_matches(short, known, n=3, cutoff=0.75)
        hint = f"use {' or '.join(near)}" if near else "write it with the functions of thalweg.numpy"
    return UnsupportedError(
        f"{name} has no derivative rule here",
        f"{hint}; a function of your own is made differentiable with primitive",
    )


def _name(ufunc: Any) -> str:
    name = str(ufunc.__name__)
    return f"np.{name}" if getattr(np, name, None) is ufunc else name
