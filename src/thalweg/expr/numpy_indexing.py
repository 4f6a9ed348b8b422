"""Indexing, sorting and the parts of matrices, under NumPy's names and as ``x[...]`` means them."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from thalweg.core.errors import InputError, UnsupportedError
from thalweg.expr import namespace
from thalweg.expr.namespace import call, is_traced, lift, shape_at
from thalweg.expr.node import Node
from thalweg.expr.numeric_index import ARRAY
from thalweg.expr.numpy_elementwise import nonzero_of, where
from thalweg.expr.numpy_named import numpy_function
from thalweg.expr.numpy_shapes import moveaxis, ravel
from thalweg.expr.rows import is_tensor
from thalweg.expr.shapes import broadcast, normal_axis, show

_WHOLE = (None, None, None)


@dataclass(frozen=True, slots=True)
class _Chosen:
    """The place of an index array in an index; ``size`` is what a mask has there."""

    size: int | None = None


def index(x: Any, key: Any) -> Any:
    """Index a node as NumPy indexes an array: whole numbers, slices, ``...``, ``None``, index arrays and masks.

    Args:
        x: A node or tensor.
        key: What stands between the brackets. Index arrays may be nodes; masks must be known (arrays or eager nodes).

    Returns:
        The entries, laid out as NumPy lays them out.

    Raises:
        InputError: for an index that does not fit the shape.
        UnsupportedError: for a mask that is not known while tracing.

    """
    parts: list[Any] = []
    arrays: list[Any] = []
    masks = 0
    for part in key if isinstance(key, tuple) else (key,):
        if part is None or part is Ellipsis:
            parts.append(part)
        elif isinstance(part, slice):
            parts.append(_slice(part))
        elif isinstance(part, (int, np.integer)) and not isinstance(part, bool):
            parts.append(int(part))
        else:
            part = _index_array(part, x)
            if isinstance(part, tuple):
                masks += 1
                parts += [_Chosen(size) for size in part[0]]
                arrays += part[1]
            else:
                parts.append(_Chosen())
                arrays.append(part)
    ndim = len(shape_at(x))
    used = len([p for p in parts if p is not None and p is not Ellipsis])
    if used > ndim:
        raise InputError(f"{used} indices into an array of shape {show(shape_at(x))}", f"give at most {ndim}")
    at = next((i for i, p in enumerate(parts) if p is Ellipsis), None)
    if at is None:
        at = len(parts)
        parts.append(Ellipsis)
    parts[at : at + 1] = [_WHOLE] * (ndim - used)
    if any(p is Ellipsis for p in parts):
        raise InputError("an index with two ellipses", "give one")
    if not arrays:
        return _basic(x, parts)
    pattern = [ARRAY if isinstance(p, _Chosen) else p for p in parts]
    sizes = iter(shape_at(x))
    for p in parts:
        size = None if p is None else next(sizes)
        if isinstance(p, _Chosen) and p.size is not None and isinstance(size, int) and size != p.size:
            raise InputError(
                f"a mask of size {p.size} for an axis of size {size} of shape {show(shape_at(x))}", "give it that size"
            )
    distinct = masks == 1 and len(arrays) == len([p for p in parts if isinstance(p, _Chosen) and p.size is not None])
    return call("gather", x, *arrays, params=(tuple(pattern), distinct))


def _basic(x: Any, parts: Sequence[Any]) -> Any:
    encoded = tuple([p for p in parts if p is not None])
    taken = x if all(p == _WHOLE for p in encoded) else call("take", x, params=(encoded,))
    if len(encoded) == len(parts):
        return taken
    sizes = iter(shape_at(taken))
    return namespace.reshape(taken, tuple([1 if p is None else next(sizes) for p in parts if not isinstance(p, int)]))


def _slice(part: slice) -> tuple[Any, Any, Any]:
    start, stop, step = [None if v is None else operator.index(v) for v in (part.start, part.stop, part.step)]
    if step == 1:
        step = None
    return (None if start == 0 and (step is None or step > 0) else start), stop, step


def _index_array(part: Any, x: Any) -> Any:
    """Give an index array, or for a mask its shape and the places where it holds."""
    if part.__class__ is not Node and not is_tensor(part):
        if holds_node(part):
            raise UnsupportedError(f"index {part!r}", "stack the index nodes into one array first, thalweg.numpy.stack")
        part = np.asarray(part)
        if part.size == 0 and part.dtype.kind == "f":
            part = part.astype(int)
        kind = "i" if part.dtype.kind == "u" else part.dtype.kind
        if kind not in "ib" or part.dtype == object:
            raise InputError(f"index of dtype {part.dtype} into {x!r}", "use whole numbers, slices or truth values")
    else:
        kind = part.kind if isinstance(part, Node) else "b" if str(part.dtype) == "torch.bool" else "i"
        if kind == "f" or is_tensor(part) and part.is_floating_point():
            raise InputError(f"index of floating numbers into {x!r}", "use whole numbers, slices or truth values")
    if kind == "b":
        if isinstance(part, Node) and part.value is None:
            raise UnsupportedError(
                f"a mask that is not known while tracing, {part!r}, as an index",
                "write where(mask, x, 0), which keeps the shape",
            )
        if not shape_at(part):
            raise UnsupportedError("an index that is True or False", "write x[None], or where(condition, x, 0)")
        return tuple(shape_at(part)), [k for k in nonzero_of(part)]
    if not isinstance(part, Node) and not shape_at(part):
        part = np.asarray(int(part))
    return part


def holds_node(part: Any) -> bool:
    """Say whether a list contains nodes."""
    return isinstance(part, (list, tuple)) and any(isinstance(p, Node) or holds_node(p) for p in part)


@numpy_function
def take(a: Any, indices: Any, axis: int | None = None, mode: str = "raise") -> Any:
    """As `numpy.take`: the entries along ``axis`` (of the flattened array if None) that ``indices`` names."""
    if axis is None:
        a, axis = ravel(a), 0
    if mode != "raise":
        raise UnsupportedError(f"take with mode={mode!r} on a node", "give indices within the array")
    axis = normal_axis(axis, len(shape_at(a)))
    if isinstance(indices, (int, np.integer)):
        return index(a, (*[slice(None)] * axis, int(indices)))
    return index(a, (*[slice(None)] * axis, indices if is_traced(indices) else np.asarray(indices)))


@numpy_function
def take_along_axis(arr: Any, indices: Any, axis: int | None = -1) -> Any:
    """As `numpy.take_along_axis`: from each line along ``axis`` the entries that ``indices`` names."""
    indices = lift(indices)
    if axis is None:
        arr, axis = ravel(arr), 0
    axis = normal_axis(axis, len(shape_at(arr)))
    if len(shape_at(arr)) != len(shape_at(indices)):
        raise InputError(
            f"take_along_axis of shapes {show(shape_at(arr))} and {show(shape_at(indices))}", "give as many axes"
        )
    return call("along", *_matched(lift(arr), indices, axis), params=(axis, False))


def _matched(x: Any, indices: Any, axis: int) -> tuple[Any, Any]:
    """Broadcast both sides along every axis but one."""
    left, right = list(shape_at(x)), list(shape_at(indices))
    common = list(broadcast(tuple(left[:axis] + left[axis + 1 :]), tuple(right[:axis] + right[axis + 1 :])))
    wide, long = (*common[:axis], left[axis], *common[axis:]), (*common[:axis], right[axis], *common[axis:])
    return (
        x if tuple(left) == wide else namespace.broadcast_to(x, wide),
        indices if tuple(right) == long else namespace.broadcast_to(indices, long),
    )


@numpy_function
def argsort(a: Any, axis: int | None = -1, kind: Any = None, *, stable: Any = None) -> Any:
    """As `numpy.argsort`; equal entries keep their order."""
    if axis is None:
        a, axis = ravel(a), 0
    return call("argsort", a, params=(normal_axis(axis, len(shape_at(a))),))


@numpy_function
def sort(a: Any, axis: int | None = -1, kind: Any = None, *, stable: Any = None) -> Any:
    """As `numpy.sort`; each entry's derivative goes where the entry went."""
    if axis is None:
        a, axis = ravel(a), 0
    axis = normal_axis(axis, len(shape_at(a)))
    return call("along", a, call("argsort", a, params=(axis,)), params=(axis, True))


@numpy_function
def diagonal(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    """As `numpy.diagonal`, as an array of its own."""
    x = moveaxis(a, (axis1, axis2), (-2, -1))
    rows, columns = shape_at(x)[-2:]
    if isinstance(rows, str) or isinstance(columns, str):
        raise UnsupportedError(f"the diagonal of shape {show(shape_at(a))}", "give the matrix known sizes")
    count = max(0, min(rows, columns - offset) if offset >= 0 else min(rows + offset, columns))
    along = np.arange(count)
    pattern = (*[_WHOLE] * (len(shape_at(x)) - 2), ARRAY, ARRAY)
    return call("gather", x, along - min(offset, 0), along + max(offset, 0), params=(pattern, True))


@numpy_function
def diag(v: Any, k: int = 0) -> Any:
    """As `numpy.diag`: the diagonal of a matrix, or the matrix with a given diagonal."""
    shape = shape_at(v)
    if len(shape) == 2:
        return diagonal(v, k)
    if len(shape) != 1 or isinstance(shape[0], str):
        raise InputError(f"diag of shape {show(shape)}", "give a vector of known size, or a matrix")
    along, size = np.arange(shape[0]), int(shape[0]) + abs(k)
    places = (along - min(k, 0), along + max(k, 0))
    return call("index_add", v, *places, params=((ARRAY, ARRAY), True, (size, size)))


@numpy_function
def diagflat(v: Any, k: int = 0) -> Any:
    """As `numpy.diagflat`."""
    return diag(ravel(v), k)


@numpy_function
def tril(m: Any, k: int = 0) -> Any:
    """As `numpy.tril`: the triangle on and below diagonal ``k``, zero above."""
    return where(_triangle(m, k), m, 0)


@numpy_function
def triu(m: Any, k: int = 0) -> Any:
    """As `numpy.triu`: the triangle on and above diagonal ``k``, zero below."""
    return where(~_triangle(m, k - 1), m, 0)


def _triangle(m: Any, k: int) -> Any:
    shape = shape_at(m)[-2:]
    if len(shape) < 2 or any(isinstance(d, str) for d in shape):
        raise UnsupportedError(f"a triangle of shape {show(shape_at(m))}", "give a matrix of known sizes")
    rows, columns = [int(d) for d in shape]
    return np.tri(rows, columns, k, dtype=bool)


@numpy_function
def compress(condition: Any, a: Any, axis: int | None = None) -> Any:
    """As `numpy.compress`: the slices where a known condition holds."""
    return take(a, np.flatnonzero(np.asarray(condition)), axis)


@numpy_function
def extract(condition: Any, arr: Any) -> Any:
    """As `numpy.extract`: the entries where a known condition holds."""
    return index(ravel(arr), condition if isinstance(condition, Node) else np.ravel(condition))


@numpy_function
def nonzero(a: Any) -> Any:
    """As `numpy.nonzero`: plain index arrays."""
    return nonzero_of(a)


@numpy_function
def argwhere(a: Any) -> Any:
    """As `numpy.argwhere`: a plain array of places."""
    return np.stack([np.asarray(k) for k in nonzero_of(a)], axis=-1)


@numpy_function
def flatnonzero(a: Any) -> Any:
    """As `numpy.flatnonzero`: plain indices."""
    return nonzero_of(ravel(a))[0]
