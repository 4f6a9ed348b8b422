"""Arrays made from numbers, from nested lists and from the shape of others, under NumPy's names."""

from __future__ import annotations

from typing import Any

import numpy as np

from thalweg.core.errors import UnsupportedError
from thalweg.expr import namespace
from thalweg.expr.namespace import call, in_precision_of, is_traced, lift, shape_at
from thalweg.expr.node import Node, constant
from thalweg.expr.numpy_named import holds_traced, numpy_function
from thalweg.expr.numpy_shapes import stack
from thalweg.expr.rows import is_tensor, kind_of

_WEAK = (None, float, int, bool)


def astype(x: Any, dtype: Any, /, *, copy: bool = True) -> Any:
    """As `numpy.astype`: the array in another dtype; between floating dtypes derivatives pass, and take the precision.

    Args:
        x: A node, tensor or array.
        dtype: NumPy's or torch's dtype, or Python's float, int or bool.
        copy: Ignored on nodes.

    Returns:
        The array.

    Raises:
        UnsupportedError: for complex numbers, strings and the like.

    """
    target = np.dtype(str(dtype).removeprefix("torch.") if str(dtype).startswith("torch.") else dtype)
    if not is_traced(x):
        return np.asarray(x).astype(target, copy=copy)
    if target.kind == "f" and target.itemsize <= 8:
        return call("cast", x, params=(8 * target.itemsize,))
    if target.kind in "iu":
        return call("whole", x)
    if target.kind == "b":
        return call("ne", x, 0)
    raise UnsupportedError(f"astype({target}) on a node", "use float64, float32, int64 or bool")


@numpy_function
def array(object: Any, dtype: Any = None, *, copy: Any = True, ndmin: int = 0) -> Any:
    """As `numpy.array`: nested lists may hold nodes."""
    x = _gathered(object)
    shape = shape_at(x)
    if len(shape) < ndmin:
        x = namespace.reshape(x, (*[1] * (ndmin - len(shape)), *shape))
    return x if dtype is None else astype(x, dtype)


def _gathered(value: Any) -> Any:
    if not isinstance(value, (list, tuple)) or not holds_traced(value):
        return lift(value)
    parts = [_gathered(v) for v in value]
    if any(isinstance(p, Node) for p in parts):
        parts = [constant(p) for p in parts]  # single numbers among nodes set no precision
    return stack(parts)


@numpy_function
def asarray(a: Any, dtype: Any = None) -> Any:
    """As `numpy.asarray`: nested lists may hold nodes."""
    return array(a, dtype)


@numpy_function
def asanyarray(a: Any, dtype: Any = None) -> Any:
    """As `numpy.asanyarray`: nested lists may hold nodes."""
    return array(a, dtype)


@numpy_function
def ascontiguousarray(a: Any, dtype: Any = None) -> Any:
    """As `numpy.ascontiguousarray`; a node's layout in memory is its own affair."""
    return array(a, dtype)


@numpy_function
def copy(a: Any) -> Any:
    """As `numpy.copy`; nodes never change, so the copy is the node itself."""
    return lift(a)


def full(shape: Any, fill_value: Any, dtype: Any = None) -> Any:
    """As `numpy.full`; the shape may have symbolic dimensions, and the value may be a node."""
    named = isinstance(shape, str) or isinstance(shape, (tuple, list)) and any(isinstance(d, str) for d in shape)
    if not named and not is_traced(fill_value):
        return np.full(shape, fill_value, dtype=dtype)
    value = fill_value if is_tensor(fill_value) else constant(fill_value)
    wide = namespace.broadcast_to(value, (shape,) if isinstance(shape, (str, int)) else tuple(shape))
    return wide if dtype in _WEAK else astype(wide, dtype)


def zeros(shape: Any, dtype: Any = float) -> Any:
    """As `numpy.zeros`; the shape may have symbolic dimensions."""
    return full(shape, 0.0, dtype)


def ones(shape: Any, dtype: Any = float) -> Any:
    """As `numpy.ones`; the shape may have symbolic dimensions."""
    return full(shape, 1.0, dtype)


@numpy_function
def full_like(a: Any, fill_value: Any, dtype: Any = None, *, shape: Any = None) -> Any:
    """As `numpy.full_like`: a plain array where ``a`` has a value, and a node that takes any precision where not."""
    value = a.value if isinstance(a, Node) else lift(a)
    sizes = shape_at(a) if shape is None else shape
    if is_traced(fill_value) or value is None:
        return full(sizes, fill_value, dtype)
    if is_tensor(value):
        filled = value.new_full(tuple(sizes), fill_value)
        return filled if dtype is None else astype(filled, dtype)
    if dtype is None:
        dtype = value.dtype if hasattr(value, "dtype") else {"f": float, "i": int, "b": bool}[kind_of(value)]
    return np.full(sizes, fill_value, dtype=dtype)


@numpy_function
def zeros_like(a: Any, dtype: Any = None, *, shape: Any = None) -> Any:
    """As `numpy.zeros_like`; see `full_like`."""
    return full_like(a, 0, dtype, shape=shape) if _kind(a) != "f" else full_like(a, 0.0, dtype, shape=shape)


@numpy_function
def ones_like(a: Any, dtype: Any = None, *, shape: Any = None) -> Any:
    """As `numpy.ones_like`; see `full_like`."""
    return full_like(a, 1, dtype, shape=shape) if _kind(a) != "f" else full_like(a, 1.0, dtype, shape=shape)


@numpy_function
def empty_like(a: Any, dtype: Any = None, *, shape: Any = None) -> Any:
    """As `numpy.empty_like`, filled with zeros."""
    return zeros_like(a, dtype, shape=shape)


def _kind(a: Any) -> str:
    return a.kind if isinstance(a, Node) else kind_of(lift(a))


@numpy_function
def linspace(start: Any, stop: Any, num: int = 50, endpoint: bool = True) -> Any:
    """As `numpy.linspace` along a new first axis; the ends may be nodes."""
    start, stop = lift(start), lift(stop)
    parts = max(num - 1 if endpoint else num, 1)
    width = call("sub", stop, start)
    shape = (num, *[1] * len(shape_at(width)))
    share = in_precision_of((np.arange(num) / parts).reshape(shape), width)
    return call("add", start, call("mul", share, width))


@numpy_function
def real(val: Any) -> Any:
    """As `numpy.real`: nodes are real."""
    return val


@numpy_function
def conjugate(x: Any) -> Any:
    """As `numpy.conjugate`: nodes are real."""
    return x


conj = conjugate


@numpy_function
def iscomplexobj(x: Any) -> bool:
    """As `numpy.iscomplexobj`: nodes are real."""
    return False


@numpy_function
def isrealobj(x: Any) -> bool:
    """As `numpy.isrealobj`: nodes are real."""
    return True
