"""Layout under NumPy's names: reshaping, permuting, stacking, splitting and repeating, out of a few linear rows."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from thalweg.core.errors import InputError, UnsupportedError
from thalweg.expr import namespace
from thalweg.expr.namespace import call, is_traced, lift, shape_at
from thalweg.expr.numpy_elementwise import where
from thalweg.expr.numpy_named import numpy_function
from thalweg.expr.shapes import broadcast, normal_axis, show

_WHOLE = (None, None, None)
reshape = numpy_function(namespace.reshape)
transpose = permute_dims = numpy_function(namespace.transpose)
broadcast_to = numpy_function(namespace.broadcast_to)


@numpy_function
def concatenate(arrays: Sequence[Any], axis: int | None = 0) -> Any:
    """As `numpy.concatenate`: arrays joined along an axis, or flattened and joined if it is None."""
    parts = list(arrays)
    if axis is None:
        parts, axis = [ravel(x) for x in parts], 0
    return namespace.concatenate(parts, axis)


concat = concatenate


@numpy_function
def shape(a: Any) -> Any:
    """As `numpy.shape`."""
    return tuple(shape_at(lift(a)))


@numpy_function
def ndim(a: Any) -> int:
    """As `numpy.ndim`."""
    return len(shape_at(lift(a)))


@numpy_function
def size(a: Any, axis: Any = None) -> Any:
    """As `numpy.size`."""
    return namespace.count_along(a, axis)


@numpy_function
def ravel(a: Any) -> Any:
    """As `numpy.ravel`: one axis."""
    a = lift(a)
    return a if len(shape_at(a)) == 1 else namespace.reshape(a, (-1,))


@numpy_function
def squeeze(a: Any, axis: Any = None) -> Any:
    """As `numpy.squeeze`: axes of size 1 dropped."""
    sizes = shape_at(a)
    ones = [i for i, d in enumerate(sizes) if d == 1]
    gone = ones if axis is None else [normal_axis(i, len(sizes)) for i in _several(axis)]
    for i in gone:
        if i not in ones:
            raise InputError(f"squeeze of axis {i} of shape {show(sizes)}", "choose axes of size 1")
    return namespace.reshape(a, tuple([d for i, d in enumerate(sizes) if i not in gone]))


@numpy_function
def expand_dims(a: Any, axis: Any) -> Any:
    """As `numpy.expand_dims`: new axes of size 1."""
    a = lift(a)
    given = _several(axis)
    total = len(shape_at(a)) + len(given)
    places = {normal_axis(i, total) for i in given}
    rest = iter(shape_at(a))
    return namespace.reshape(a, tuple([1 if i in places else next(rest) for i in range(total)]))


@numpy_function
def moveaxis(a: Any, source: Any, destination: Any) -> Any:
    """As `numpy.moveaxis`."""
    ndim = len(shape_at(a))
    start, end = [normal_axis(i, ndim) for i in _several(source)], [normal_axis(i, ndim) for i in _several(destination)]
    if len(start) != len(end) or len(set(start)) < len(start) or len(set(end)) < len(end):
        raise InputError(f"moveaxis from {source} to {destination}", "give as many different axes on both sides")
    order = [i for i in range(ndim) if i not in start]
    for to, axis in sorted(zip(end, start, strict=True)):
        order.insert(to, axis)
    return namespace.transpose(a, order)


@numpy_function
def rollaxis(a: Any, axis: int, start: int = 0) -> Any:
    """As `numpy.rollaxis`."""
    ndim = len(shape_at(a))
    axis = normal_axis(axis, ndim)
    start = start + ndim if start < 0 else start
    return moveaxis(a, axis, start - 1 if axis < start else start)


@numpy_function
def swapaxes(a: Any, axis1: int, axis2: int) -> Any:
    """As `numpy.swapaxes`."""
    order = list(range(len(shape_at(a))))
    i, j = normal_axis(axis1, len(order)), normal_axis(axis2, len(order))
    order[i], order[j] = order[j], order[i]
    return namespace.transpose(a, order)


@numpy_function
def matrix_transpose(x: Any) -> Any:
    """As `numpy.matrix_transpose`: the last two axes exchanged."""
    return swapaxes(x, -1, -2)


def _at_least(name: str, count: int) -> Any:
    def function(*arys: Any) -> Any:
        results = []
        for x in map(lift, arys):
            sizes = shape_at(x)
            if len(sizes) < count:
                if count == 3 and len(sizes) == 2:
                    sizes = (*sizes, 1)
                elif count == 3 and len(sizes) == 1:
                    sizes = (1, *sizes, 1)
                x = namespace.reshape(x, (*[1] * (count - len(sizes)), *sizes))
            results.append(x)
        return results[0] if len(results) == 1 else tuple(results)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"As `numpy.{name}`."
    return numpy_function(function)


atleast_1d = _at_least("atleast_1d", 1)
atleast_2d = _at_least("atleast_2d", 2)
atleast_3d = _at_least("atleast_3d", 3)


@numpy_function
def stack(arrays: Sequence[Any], axis: int = 0) -> Any:
    """As `numpy.stack`: arrays of one shape joined along a new axis."""
    parts = [lift(x) for x in arrays]
    shapes = {shape_at(x) for x in parts}
    if len(shapes) != 1:
        raise InputError(f"stack of shapes {', '.join(sorted(map(show, shapes)))}", "make them equal")
    return namespace.concatenate([expand_dims(x, axis) for x in parts], normal_axis(axis, len(shapes.pop()) + 1))


@numpy_function
def vstack(tup: Sequence[Any]) -> Any:
    """As `numpy.vstack`."""
    return namespace.concatenate([atleast_2d(x) for x in tup], 0)


row_stack = vstack


@numpy_function
def hstack(tup: Sequence[Any]) -> Any:
    """As `numpy.hstack`."""
    parts = [atleast_1d(x) for x in tup]
    return namespace.concatenate(parts, 0 if len(shape_at(parts[0])) == 1 else 1)


@numpy_function
def dstack(tup: Sequence[Any]) -> Any:
    """As `numpy.dstack`."""
    return namespace.concatenate([atleast_3d(x) for x in tup], 2)


@numpy_function
def column_stack(tup: Sequence[Any]) -> Any:
    """As `numpy.column_stack`: vectors become columns."""
    parts = [lift(x) for x in tup]
    parts = [namespace.reshape(x, (-1, 1)) if len(shape_at(x)) < 2 else x for x in parts]
    return namespace.concatenate(parts, 1)


@numpy_function
def append(arr: Any, values: Any, axis: int | None = None) -> Any:
    """As `numpy.append`."""
    return concatenate([arr, values], axis=axis)


def _known(a: Any, axis: int, name: str) -> int:
    count = shape_at(a)[axis]
    if isinstance(count, str):
        raise UnsupportedError(f"{name} along the symbolic dimension {count!r}", "give the argument a known size")
    return int(count)


def _cut(a: Any, axis: int, start: Any, stop: Any, step: Any = None) -> Any:
    """Give a slice along one axis."""
    index = [_WHOLE] * len(shape_at(a))
    index[axis] = (start, stop, step)
    return call("take", a, params=(tuple(index),))


@numpy_function
def array_split(ary: Any, indices_or_sections: Any, axis: int = 0) -> list[Any]:
    """As `numpy.array_split`."""
    axis = normal_axis(axis, len(shape_at(ary)))
    total = _known(ary, axis, "a split")
    if isinstance(indices_or_sections, (int, np.integer)):
        count = int(indices_or_sections)
        if count <= 0:
            raise InputError(f"array_split into {count} parts", "give 1 or more")
        ends = np.cumsum([total // count + (i < total % count) for i in range(count)])[:-1].tolist()
    else:
        ends = [operator.index(i) for i in indices_or_sections]
    return [_cut(ary, axis, a, b) for a, b in zip([0, *ends], [*ends, total], strict=True)]


@numpy_function
def split(ary: Any, indices_or_sections: Any, axis: int = 0) -> list[Any]:
    """As `numpy.split`: into equal parts, or at the given places."""
    if isinstance(indices_or_sections, (int, np.integer)):
        total = _known(ary, normal_axis(axis, len(shape_at(ary))), "a split")
        if indices_or_sections <= 0 or total % indices_or_sections:
            raise InputError(f"split of size {total} into {indices_or_sections} parts", "use array_split")
    return array_split(ary, indices_or_sections, axis)


@numpy_function
def hsplit(ary: Any, indices_or_sections: Any) -> list[Any]:
    """As `numpy.hsplit`."""
    return split(ary, indices_or_sections, 0 if len(shape_at(ary)) == 1 else 1)


@numpy_function
def vsplit(ary: Any, indices_or_sections: Any) -> list[Any]:
    """As `numpy.vsplit`."""
    return split(ary, indices_or_sections, 0)


@numpy_function
def dsplit(ary: Any, indices_or_sections: Any) -> list[Any]:
    """As `numpy.dsplit`."""
    return split(ary, indices_or_sections, 2)


@numpy_function
def unstack(x: Any, axis: int = 0) -> Any:
    """As `numpy.unstack`."""
    axis = normal_axis(axis, len(shape_at(x)))
    return tuple([squeeze(part, axis) for part in split(x, _known(x, axis, "unstack"), axis)])


@numpy_function
def tile(A: Any, reps: Any) -> Any:
    """As `numpy.tile`."""
    a = lift(A)
    times = [int(r) for r in _several(reps)]
    sizes = [1] * (len(times) - len(shape_at(a))) + list(shape_at(a))
    times = [1] * (len(sizes) - len(times)) + times
    if all(t == 1 for t in times):
        return namespace.reshape(a, tuple(sizes))
    for i, t in enumerate(times):
        if t != 1:
            _known(namespace.reshape(a, tuple(sizes)), i, "tile")
    opened = tuple([d for s in sizes for d in (1, s)])
    wide = tuple([d for t, s in zip(times, sizes, strict=True) for d in (t, s)])
    whole = tuple([s if t == 1 else t * s for t, s in zip(times, sizes, strict=True)])
    return namespace.reshape(namespace.broadcast_to(namespace.reshape(a, opened), wide), whole)


@numpy_function
def repeat(a: Any, repeats: Any, axis: int | None = None) -> Any:
    """As `numpy.repeat`: each entry several times in a row."""
    if axis is None:
        a, axis = ravel(a), 0
    axis = normal_axis(axis, len(shape_at(a)))
    total = _known(a, axis, "repeat")
    counts = np.asarray(repeats)
    if counts.ndim == 0 or counts.size == 1:
        sizes, times = shape_at(a), int(counts.reshape(()))
        opened = namespace.reshape(a, (*sizes[: axis + 1], 1, *sizes[axis + 1 :]))
        wide = namespace.broadcast_to(opened, (*sizes[: axis + 1], times, *sizes[axis + 1 :]))
        return namespace.reshape(wide, (*sizes[:axis], total * times, *sizes[axis + 1 :]))
    pattern = (*[_WHOLE] * axis, (), *[_WHOLE] * (len(shape_at(a)) - axis - 1))
    return call("gather", a, np.repeat(np.arange(total), counts), params=(pattern, False))


@numpy_function
def flip(m: Any, axis: Any = None) -> Any:
    """As `numpy.flip`: the order along ``axis`` (all axes if None) reversed."""
    ndim = len(shape_at(m))
    axes = range(ndim) if axis is None else [normal_axis(i, ndim) for i in _several(axis)]
    return call("take", m, params=(tuple([(None, None, -1) if i in axes else _WHOLE for i in range(ndim)]),))


@numpy_function
def flipud(m: Any) -> Any:
    """As `numpy.flipud`."""
    return flip(m, 0)


@numpy_function
def fliplr(m: Any) -> Any:
    """As `numpy.fliplr`."""
    return flip(m, 1)


@numpy_function
def roll(a: Any, shift: Any, axis: Any = None) -> Any:
    """As `numpy.roll`: entries shifted round an axis, or round all of them in order if it is None."""
    if axis is None:
        return namespace.reshape(roll(ravel(a), shift, 0), shape_at(a))
    shifts, axes = _several(shift), _several(axis)
    if len(shifts) == 1:
        shifts = list(shifts) * len(axes)
    elif len(axes) == 1:
        axes = list(axes) * len(shifts)
    for s, i in zip(shifts, axes, strict=True):
        i = normal_axis(i, len(shape_at(a)))
        total = _known(a, i, "roll")
        at = int(s) % total if total else 0
        if at:
            a = namespace.concatenate([_cut(a, i, total - at, None), _cut(a, i, None, total - at)], i)
    return a


@numpy_function
def rot90(m: Any, k: int = 1, axes: Any = (0, 1)) -> Any:
    """As `numpy.rot90`."""
    first, second = (normal_axis(i, len(shape_at(m))) for i in axes)
    k %= 4
    if k == 0:
        return m
    if k == 2:
        return flip(flip(m, first), second)
    return swapaxes(flip(m, second), first, second) if k == 1 else flip(swapaxes(m, first, second), second)


@numpy_function
def pad(
    array: Any, pad_width: Any, mode: str = "constant", constant_values: Any = 0, reflect_type: str = "even"
) -> Any:
    """As `numpy.pad`, in the modes constant (with one number), edge, reflect, symmetric, wrap and empty."""
    x = lift(array)
    ndim = len(shape_at(x))
    given = np.array([pad_width.get(i, (0, 0)) for i in range(ndim)] if isinstance(pad_width, dict) else pad_width)
    widths = np.broadcast_to(given, (ndim, 2)).tolist()
    touched = [i for i in range(ndim) if widths[i] != [0, 0]]
    sizes = {i: _known(x, i, "pad") for i in touched}
    if mode in ("constant", "empty"):
        if is_traced(constant_values) or np.size(constant_values) != 1:
            raise UnsupportedError("pad of a node with several constants", "pad with one number, or concatenate")
        number = np.asarray(constant_values).reshape(()).item()
        index = [(widths[i][0], widths[i][0] + sizes[i], None) if i in sizes else _WHOLE for i in range(ndim)]
        target = tuple([sizes[i] + sum(widths[i]) if i in sizes else d for i, d in enumerate(shape_at(x))])
        placed = call("place", x, params=(tuple(index), target))
        if mode == "empty" or not number:
            return placed
        extent = [int(d) if i in sizes else 1 for i, d in enumerate(target)]
        mask = np.ones(extent, dtype=bool)
        mask[tuple([slice(*index[i]) if i in sizes else slice(None) for i in range(ndim)])] = False
        return where(mask, number, placed)
    if mode not in ("edge", "reflect", "symmetric", "wrap") or reflect_type != "even":
        raise UnsupportedError(
            f"pad of a node in mode {mode!r} ({reflect_type})", "use constant, edge, reflect, symmetric or wrap"
        )
    for i in touched:
        places = np.pad(np.arange(sizes[i]), widths[i], mode=mode)  # type: ignore[call-overload]
        pattern = tuple([() if j == i else _WHOLE for j in range(ndim)])
        x = call("gather", x, places, params=(pattern, False))
    return x


@numpy_function
def broadcast_arrays(*args: Any) -> Any:
    """As `numpy.broadcast_arrays`."""
    parts = [lift(x) for x in args]
    whole = broadcast(*[shape_at(x) for x in parts])
    return tuple([namespace.broadcast_to(x, whole) for x in parts])


@numpy_function
def meshgrid(*xi: Any, copy: bool = True, sparse: bool = False, indexing: str = "xy") -> Any:
    """As `numpy.meshgrid`."""
    axes = [ravel(lift(x)) for x in xi]
    places = list(range(len(axes)))
    if indexing == "xy" and len(axes) > 1:
        places[:2] = [1, 0]
    parts = [namespace.reshape(x, tuple([-1 if j == p else 1 for j in range(len(axes))]))
             for p, x in zip(places, axes, strict=True)]  # fmt: skip
    return tuple(parts) if sparse else broadcast_arrays(*parts)


def _several(axis: Any) -> Sequence[Any]:
    return list(axis) if isinstance(axis, (tuple, list, np.ndarray)) else [axis]
