"""Sums, means, extremes, products and order statistics under NumPy's names."""

from __future__ import annotations

import builtins
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from thalweg.core.errors import InputError, UnsupportedError
from thalweg.expr import namespace
from thalweg.expr.namespace import Axis, call, count_along, every_axis, lift, shape_at
from thalweg.expr.numpy_elementwise import isclose, isnan, logical_not, logical_or, square, where
from thalweg.expr.numpy_indexing import index, sort
from thalweg.expr.numpy_named import numpy_function
from thalweg.expr.numpy_shapes import concatenate, moveaxis, ravel, stack
from thalweg.expr.shapes import normal_axis

sum = numpy_function(namespace.sum)
mean = numpy_function(namespace.mean)
max = numpy_function(namespace.max)
min = numpy_function(namespace.min)
amax = max
amin = min


@numpy_function
def all(a: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """As `numpy.all`."""
    return call("all", a, params=(every_axis(a, axis), bool(keepdims)))


@numpy_function
def any(a: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """As `numpy.any`."""
    return call("any", a, params=(every_axis(a, axis), bool(keepdims)))


@numpy_function
def argmax(a: Any, axis: int | None = None, *, keepdims: bool = False) -> Any:
    """As `numpy.argmax`: where the largest entry is."""
    return _position("argmax", a, axis, keepdims)


@numpy_function
def argmin(a: Any, axis: int | None = None, *, keepdims: bool = False) -> Any:
    """As `numpy.argmin`: where the smallest entry is."""
    return _position("argmin", a, axis, keepdims)


def _position(name: str, a: Any, axis: int | None, keepdims: bool) -> Any:
    chosen = None if axis is None else normal_axis(axis, len(shape_at(a)))
    return call(name, a, params=(chosen, bool(keepdims)))


@numpy_function
def count_nonzero(a: Any, axis: Axis = None, *, keepdims: bool = False) -> Any:
    """As `numpy.count_nonzero`."""
    return namespace.sum(call("where", call("ne", a, 0), 1, 0), axis, keepdims)


@numpy_function
def ptp(a: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """As `numpy.ptp`: the largest entry less the smallest."""
    return namespace.max(a, axis, keepdims) - namespace.min(a, axis, keepdims)


@numpy_function
def var(a: Any, axis: Axis = None, ddof: float = 0, keepdims: bool = False, *, correction: float | None = None) -> Any:
    """As `numpy.var`: the mean square distance from the mean, over (count - ddof)."""
    off = square(a - namespace.mean(a, axis, True))
    free = count_along(a, axis) - (ddof if correction is None else correction)
    return call("div", namespace.sum(off, axis, keepdims), free)


@numpy_function
def std(a: Any, axis: Axis = None, ddof: float = 0, keepdims: bool = False, *, correction: float | None = None) -> Any:
    """As `numpy.std`; its derivative where all entries are equal is 0."""
    return call("sqrt", var(a, axis, ddof=ddof, keepdims=keepdims, correction=correction))


@numpy_function
def average(a: Any, axis: Axis = None, weights: Any = None, returned: bool = False, *, keepdims: bool = False) -> Any:
    """As `numpy.average`: the weighted mean."""
    a = lift(a)
    if weights is None:
        result, total = namespace.mean(a, axis, keepdims), count_along(a, axis)
    else:
        weights = lift(weights)
        if shape_at(weights) != shape_at(a):
            if not isinstance(axis, int) or len(shape_at(weights)) != 1:
                raise InputError("average with weights of another shape", "give one axis and a vector of weights")
            opened = [1] * len(shape_at(a))
            opened[normal_axis(axis, len(opened))] = -1
            weights = namespace.broadcast_to(namespace.reshape(weights, tuple(opened)), shape_at(a))
        total = namespace.sum(weights, axis, keepdims)
        result = call("div", namespace.sum(call("mul", a, weights), axis, keepdims), total)
    return (result, total) if returned else result


def _folded(a: Any, axis: Axis, keepdims: bool, join: Callable[[Any, Any], Any], empty: float) -> Any:
    """Reduce with an associative ``join`` by halving: no division, so zeros among the entries are no exception."""
    axes = every_axis(a, axis)
    shape = shape_at(a)
    if not axes:
        return a
    count = math.prod([_known(shape[i]) for i in axes])
    x = moveaxis(a, axes, tuple(range(len(axes))))
    rest = tuple([d for i, d in enumerate(shape) if i not in axes])
    x = namespace.reshape(x, (count, *rest))
    if not count:
        x = namespace.broadcast_to(lift(empty), (1, *rest))
    while (size := _known(shape_at(x)[0])) > 1:
        half = size // 2
        joined = join(index(x, slice(None, half)), index(x, slice(half, 2 * half)))
        x = namespace.concatenate([joined, index(x, slice(2 * half, None))]) if size % 2 else joined
    final = tuple([1 if i in axes else d for i, d in enumerate(shape)]) if keepdims else rest
    return namespace.reshape(x, final)


def _known(size: Any) -> int:
    if isinstance(size, str):
        raise UnsupportedError(f"a product or order along the symbolic dimension {size!r}", "give it a known size")
    return int(size)


@numpy_function
def prod(a: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """As `numpy.prod`; derivatives of every order are right also where factors are 0."""
    return _folded(a, axis, keepdims, lambda x, y: x * y, 1.0)


@numpy_function
def cumsum(a: Any, axis: int | None = None) -> Any:
    """As `numpy.cumsum`: running sums along an axis, of the flattened array if it is None."""
    if axis is None:
        a, axis = ravel(a), 0
    return call("cumsum", namespace.counted(a), params=(normal_axis(axis, len(shape_at(a))), False))


@numpy_function
def cumprod(a: Any, axis: int | None = None) -> Any:
    """As `numpy.cumprod`; derivatives of every order are right also where factors are 0."""
    if axis is None:
        a, axis = ravel(a), 0
    axis = normal_axis(axis, len(shape_at(a)))
    size, whole = _known(shape_at(a)[axis]), [slice(None)] * axis
    step = 1
    while step < size:  # after the round with this step each entry is the product of the last 2 * step factors
        kept = index(a, (*whole, slice(None, step)))
        joined = index(a, (*whole, slice(step, None))) * index(a, (*whole, slice(None, size - step)))
        a = namespace.concatenate([kept, joined], axis)
        step *= 2
    return a


@numpy_function
def diff(a: Any, n: int = 1, axis: int = -1, prepend: Any = None, append: Any = None) -> Any:
    """As `numpy.diff`: differences of neighbours, ``n`` times."""
    axis = normal_axis(axis, len(shape_at(a)))
    ends = [None if v is None else _edge(lift(v), shape_at(a), axis) for v in (prepend, append)]
    parts = [v for v in (ends[0], a, ends[1]) if v is not None]  # == on a node would be a test of its entries
    a = concatenate(parts, axis=axis) if len(parts) > 1 else a
    whole = [slice(None)] * axis
    for _ in range(n):
        a = index(a, (*whole, slice(1, None))) - index(a, (*whole, slice(None, -1)))
    return a


def _edge(v: Any, shape: Any, axis: int) -> Any:
    return v if shape_at(v) else namespace.broadcast_to(v, (*shape[:axis], 1, *shape[axis + 1 :]))


@numpy_function
def trapezoid(y: Any, x: Any = None, dx: Any = 1.0, axis: int = -1) -> Any:
    """As `numpy.trapezoid`: the integral of a piecewise linear function."""
    y = lift(y)
    axis = normal_axis(axis, len(shape_at(y)))
    whole = [slice(None)] * axis
    width: Any = dx
    if x is not None:
        width = diff(x, axis=-1 if len(shape_at(lift(x))) == 1 else axis)
        if len(shape_at(width)) == 1:
            opened = [1] * len(shape_at(y))
            opened[axis] = -1
            width = namespace.reshape(width, tuple(opened))
    left, right = [_parted(y, (*whole, part)) for part in (slice(None, -1), slice(1, None))]
    return namespace.sum(call("mul", width, call("mul", 0.5, call("add", left, right))), axis)


def _parted(y: Any, key: tuple[slice, ...]) -> Any:
    return y[key] if isinstance(y, np.ndarray) else index(y, key)


def _quantiles(a: Any, q: Any, axis: Axis, keepdims: bool) -> Any:
    axes = every_axis(a, axis)
    shape = shape_at(a)
    count = math.prod([_known(shape[i]) for i in axes])
    rest = tuple([d for i, d in enumerate(shape) if i not in axes])
    x = sort(namespace.reshape(moveaxis(a, axes, tuple(range(len(axes)))), (count, *rest)), axis=0)
    final = tuple([1 if i in axes else d for i, d in enumerate(shape)]) if keepdims else rest
    fractions = np.asarray(q, dtype=float)
    if not ((fractions >= 0) & (fractions <= 1)).all():
        raise InputError(f"quantiles {q!r}", "give numbers from 0 to 1")
    last = index(x, -1)
    spoilt = isnan(last)  # a nan is sorted to the end, and makes every quantile nan
    results = []
    for fraction in fractions.ravel().tolist():
        place = fraction * (count - 1)
        low = builtins.min(int(math.floor(place)), count - 1)
        high, share = builtins.min(low + 1, count - 1), place - low
        value = index(x, low)
        if share:
            value = value * (1 - share) + index(x, high) * share
        results.append(namespace.reshape(where(spoilt, last, value), final))
    if fractions.ndim == 0:
        return results[0]
    return namespace.reshape(stack(results), (*fractions.shape, *final))


@numpy_function
def quantile(a: Any, q: Any, axis: Axis = None, *, method: str = "linear", keepdims: bool = False) -> Any:
    """As `numpy.quantile`, between neighbours linearly."""
    if method != "linear":
        raise UnsupportedError(f"quantile with method={method!r} on a node", "use linear, or sort and index")
    return _quantiles(a, q, axis, keepdims)


@numpy_function
def percentile(a: Any, q: Any, axis: Axis = None, *, method: str = "linear", keepdims: bool = False) -> Any:
    """As `numpy.percentile`, between neighbours linearly."""
    return quantile(a, np.asarray(q, dtype=float) / 100.0, axis, method=method, keepdims=keepdims)


@numpy_function
def median(a: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """As `numpy.median`; two middle entries share the derivative."""
    return _quantiles(a, 0.5, axis, keepdims)


@numpy_function
def nansum(a: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """As `numpy.nansum`: nan counts as 0."""
    return namespace.sum(where(isnan(a), 0.0, a), axis, keepdims)


@numpy_function
def nanmean(a: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """As `numpy.nanmean`: the mean of the entries that are not nan."""
    count = namespace.sum(call("indicator", logical_not(isnan(a)), a), axis, keepdims)
    return call("div", nansum(a, axis, keepdims=keepdims), count)


@numpy_function
def nanmax(a: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """As `numpy.nanmax`, nan where every entry is."""
    return _without_nan(namespace.max, -math.inf, a, axis, keepdims)


@numpy_function
def nanmin(a: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """As `numpy.nanmin`, nan where every entry is."""
    return _without_nan(namespace.min, math.inf, a, axis, keepdims)


def _without_nan(reduce: Callable[..., Any], neutral: float, a: Any, axis: Axis, keepdims: bool) -> Any:
    found = reduce(where(isnan(a), neutral, a), axis, keepdims)
    return where(all(isnan(a), axis, keepdims), math.nan, found)


@numpy_function
def array_equal(a1: Any, a2: Any, equal_nan: bool = False) -> Any:
    """As `numpy.array_equal`."""
    x, y = lift(a1), lift(a2)
    if shape_at(x) != shape_at(y):
        return False
    same = call("eq", x, y)
    if equal_nan:
        same = logical_or(same, call("logical_and", isnan(x), isnan(y)))
    return all(same)


@numpy_function
def allclose(a: Any, b: Any, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False) -> Any:
    """As `numpy.allclose`."""
    return all(isclose(a, b, rtol, atol, equal_nan))


@numpy_function
def polyval(p: Any, x: Any) -> Any:
    """As `numpy.polyval`: the polynomial with coefficients ``p``, highest power first, at ``x``."""
    x = lift(x)
    plain = isinstance(p, (list, tuple, np.ndarray))
    coefficients = list(p) if plain else [p[i] for i in range(_known(shape_at(p)[0]))]
    result: Any = call("mul", x, 0.0)
    for c in coefficients:
        result = result * x + c
    return result
