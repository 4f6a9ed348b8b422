"""Torch's operations in NumPy's vocabulary: one adapter for every name in `op_db` that Thalweg shares.

An adapter has the arguments of torch's operation behind ``m``, the namespace (`thalweg.numpy`, and what `thalweg.expr`
adds). Arguments that it does not name have no counterpart, and neither have those for which it raises `LeftOut`; a
sample is left out for such a reason alone.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np


class LeftOut(Exception):
    """A sample that cannot be compared; the text is the reason that the page shows."""


NO_AXES = "an axis is named of a number that has none"
SEVERAL_AXES = "several axes at once"

SHARED: dict[str, Callable[..., Any]] = {}


def shared(*names: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Enter an adapter under its names in `op_db` ("name.variant" for one variant alone)."""

    def enter(adapter: Callable[..., Any]) -> Callable[..., Any]:
        SHARED.update(dict.fromkeys(names, adapter))
        return adapter

    return enter


def _unary(name: str) -> Callable[..., Any]:
    return lambda m, x: m(name)(x)


def _binary(name: str) -> Callable[..., Any]:
    return lambda m, x, other: m(name)(x, other)


def _reflected(name: str) -> Callable[..., Any]:
    return lambda m, x, other: m(name)(other, x)


SAME = ["abs", "ceil", "cos", "cosh", "deg2rad", "erf", "exp", "exp2", "expm1", "floor", "isfinite", "isinf", "isnan",
        "isposinf", "isneginf", "log", "log10", "log1p", "log2", "logical_not", "positive", "rad2deg", "reciprocal",
        "sigmoid", "sign", "signbit", "sin", "sinc", "sinh", "sqrt", "square", "tan", "tanh", "trunc", "zeros_like",
        "ones_like", "ravel", "fliplr", "flipud", "real", "conj", "rsqrt", "erfc", "digamma"]  # fmt: skip
RENAMED = {"acos": "arccos", "acosh": "arccosh", "asin": "arcsin", "asinh": "arcsinh", "atan": "arctan",
           "atanh": "arctanh", "neg": "negative", "sgn": "sign", "conj_physical": "conj", "msort": "sort",
           "clone": "copy", "lgamma": "gammaln", "H": "transpose", "mH": "matrix_transpose",
           "nn.functional.relu": "relu", "mT": "matrix_transpose", "linalg.det": "linalg.det",
           "linalg.inv": "linalg.inv", "linalg.slogdet": "linalg.slogdet", "linalg.svdvals": "linalg.svdvals",
           "logdet": "linalg.logdet", "matrix_exp": "linalg.expm", "trace": "trace", "T": "transpose"}  # fmt: skip
SAME_PAIRS = ["copysign", "eq", "fmax", "fmin", "fmod", "ge", "gt", "heaviside", "hypot", "inner", "kron",
              "le", "logaddexp", "logaddexp2", "logical_and", "logical_or", "logical_xor", "lt", "matmul", "maximum",
              "minimum", "ne", "outer", "pow", "remainder", "float_power", "floor_divide", "dot", "vdot"]  # fmt: skip
RENAMED_PAIRS = {"atan2": "arctan2", "eq": "equal", "ne": "not_equal", "lt": "less", "le": "less_equal",
                 "gt": "greater", "ge": "greater_equal", "true_divide": "divide", "mul": "multiply", "bmm": "matmul",
                 "mm": "matmul", "mv": "matmul", "max.binary": "maximum", "min.binary": "minimum"}  # fmt: skip
REFLECTED = {"__radd__": "add", "__rmul__": "multiply", "__rsub__": "subtract", "__rdiv__": "divide",
             "__rpow__": "power", "__rmod__": "remainder", "__rmatmul__": "matmul"}  # fmt: skip

SHARED |= {name: _unary(name) for name in SAME} | {name: _unary(ours) for name, ours in RENAMED.items()}
SHARED |= {name: _binary(name) for name in SAME_PAIRS} | {name: _binary(ours) for name, ours in RENAMED_PAIRS.items()}
SHARED |= {name: _reflected(ours) for name, ours in REFLECTED.items()}


def axis_of(x: Any, dim: Any) -> Any:
    """Give torch's ``dim`` as NumPy's ``axis``; an empty list stands for all axes there."""
    if dim is None or dim == () or dim == []:
        return None
    if not x.ndim:
        raise LeftOut(NO_AXES)
    return tuple(dim) if isinstance(dim, (list, tuple)) else dim


def one_axis(x: Any, dim: Any) -> int:
    """Give ``dim`` as one axis."""
    axis = axis_of(x, dim)
    if isinstance(axis, tuple):
        if len(axis) > 1:
            raise LeftOut(SEVERAL_AXES)
        (axis,) = axis
    if axis is None:
        raise LeftOut(SEVERAL_AXES)
    return axis


def sizes_of(shape: Sequence[Any]) -> tuple[int, ...]:
    """Give the sizes that torch takes one by one or as one sequence."""
    return tuple(shape[0]) if len(shape) == 1 and not isinstance(shape[0], int) else tuple(shape)


# Arithmetic
@shared("add")
def _add(m, x, other, *, alpha=1):
    return m("add")(x, other if alpha == 1 else m("multiply")(alpha, other))


@shared("sub")
def _sub(m, x, other, *, alpha=1):
    return m("subtract")(x, other if alpha == 1 else m("multiply")(alpha, other))


@shared("rsub")
def _rsub(m, x, other, alpha=1):
    return m("subtract")(other, x if alpha == 1 else m("multiply")(alpha, x))


@shared("div")
def _div(m, x, other, *, rounding_mode=None):
    if rounding_mode == "floor":
        return m("floor_divide")(x, other)
    ratio = m("divide")(x, other)
    return ratio if rounding_mode is None else m("trunc")(ratio)


@shared("round")
def _round(m, x, *, decimals=0):
    return m("round")(x, decimals)


@shared("frac")
def _frac(m, x):
    return m("modf")(x)[0]


@shared("nan_to_num")
def _nan_to_num(m, x, nan=0.0, posinf=None, neginf=None):
    return m("nan_to_num")(x, nan=0.0 if nan is None else nan, posinf=posinf, neginf=neginf)


@shared("clamp")
def _clamp(m, x, min=None, max=None):
    return m("clip")(x, min, max)


@shared("clamp_min")
def _clamp_min(m, x, min):
    return m("clip")(x, min, None)


@shared("clamp_max")
def _clamp_max(m, x, max):
    return m("clip")(x, None, max)


@shared("where")
def _where(m, x, condition, other):  # op_db puts the condition second
    return m("where")(condition, x, other)


@shared("masked_fill")
def _masked_fill(m, x, mask, value):
    return m("where")(mask, value, x)


@shared("isclose")
def _isclose(m, x, other, rtol=1e-5, atol=1e-8, equal_nan=False):
    return m("isclose")(x, other, rtol=rtol, atol=atol, equal_nan=equal_nan)


@shared("allclose")
def _allclose(m, x, other, rtol=1e-5, atol=1e-8, equal_nan=False):
    return m("allclose")(x, other, rtol=rtol, atol=atol, equal_nan=equal_nan)


@shared("equal")
def _equal(m, x, other):
    return m("array_equal")(x, other)


@shared("nn.functional.softplus")
def _softplus(m, x, beta=1, threshold=20):
    scaled = x if beta == 1 else beta * x
    return m("where")(scaled > threshold, x, m("softplus")(scaled) / beta)


@shared("polygamma", "special.polygamma")
def _polygamma(m, x, n):  # op_db puts the order second
    return m("polygamma")(x, n)


@shared("full_like")
def _full_like(m, x, fill_value):
    return m("full_like")(x, fill_value)


# Reductions
def _reduction(name: str) -> Callable[..., Any]:
    def adapter(m, x, dim=None, keepdim=False):
        return m(name)(x, axis=axis_of(x, dim), keepdims=keepdim)

    return adapter


SHARED |= {name: _reduction(name) for name in ["sum", "mean", "prod", "all", "any", "nansum", "nanmean",
                                               "count_nonzero", "argmax", "argmin"]}  # fmt: skip
SHARED |= {"amax": _reduction("max"), "amin": _reduction("min")}


@shared("max.reduction_no_dim", "max.reduction_with_dim")
def _max(m, x, dim=None, keepdim=False):
    if dim is None:
        return m("max")(x)
    axis = axis_of(x, dim)
    return m("max")(x, axis=axis, keepdims=keepdim), m("argmax")(x, axis=axis, keepdims=keepdim)


@shared("min.reduction_no_dim", "min.reduction_with_dim")
def _min(m, x, dim=None, keepdim=False):
    if dim is None:
        return m("min")(x)
    axis = axis_of(x, dim)
    return m("min")(x, axis=axis, keepdims=keepdim), m("argmin")(x, axis=axis, keepdims=keepdim)


@shared("aminmax")
def _aminmax(m, x, *, dim=None, keepdim=False):
    axis = axis_of(x, dim)
    return m("min")(x, axis=axis, keepdims=keepdim), m("max")(x, axis=axis, keepdims=keepdim)


def _spread(name: str, with_mean: bool = False) -> Callable[..., Any]:
    def adapter(m, x, dim=None, unbiased=None, keepdim=False, *, correction=None):
        if isinstance(dim, bool):  # torch's short form: the flag alone
            dim, unbiased = None, dim
        ddof = (1 if unbiased is None else int(unbiased)) if correction is None else correction
        axis = axis_of(x, dim)
        if _count(x, axis) - ddof <= 0:
            raise LeftOut("no degrees of freedom are left: 0/0")
        found = m(name)(x, axis=axis, ddof=ddof, keepdims=keepdim)
        return (found, m("mean")(x, axis=axis, keepdims=keepdim)) if with_mean else found

    return adapter


def _count(x, axis) -> int:
    axes = range(x.ndim) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    count = 1
    for a in axes:
        count *= x.shape[a]
    return count


SHARED |= {"std": _spread("std"), "var": _spread("var")}
SHARED |= {"std_mean": _spread("std", True), "var_mean": _spread("var", True)}


@shared("logsumexp")
def _logsumexp(m, x, dim, keepdim=False):
    return m("logsumexp")(x, axis=one_axis(x, dim), keepdims=keepdim)


@shared("softmax")
def _softmax(m, x, dim):
    if 0 in x.shape:
        raise LeftOut("an axis without entries has no largest one")
    return m("softmax")(x, axis=one_axis(x, dim))


@shared("cumsum")
def _cumsum(m, x, dim):
    return m("cumsum")(x, axis=one_axis(x, dim))


@shared("cumprod")
def _cumprod(m, x, dim):
    return m("cumprod")(x, axis=one_axis(x, dim))


@shared("diff")
def _diff(m, x, n=1, dim=-1, prepend=None, append=None):
    axis = one_axis(x, dim)
    given = {k: v for k, v in {"prepend": prepend, "append": append}.items() if v is not None}
    if n == 0 and given:
        raise LeftOut("differences of order 0 with ends to join: NumPy leaves the ends out")
    return m("diff")(x, n=n, axis=axis, **given)


@shared("median")
def _median(m, x, dim=None, keepdim=False):
    axis = None if dim is None else one_axis(x, dim)
    if _count(x, axis) % 2 == 0:
        raise LeftOut("an even number of entries: NumPy takes the mean of the middle two, torch the lower")
    found = m("median")(x, axis=axis, keepdims=keepdim)
    return found if dim is None else (found, None)


@shared("quantile")
def _quantile(m, x, q, dim=None, keepdim=False, *, interpolation="linear"):
    if interpolation != "linear":
        raise LeftOut("a way of interpolation that is not linear")
    if hasattr(q, "ndim"):
        raise LeftOut("levels in an array, by which torch differentiates")
    return m("quantile")(x, q, axis=None if dim is None else one_axis(x, dim), keepdims=keepdim)


@shared("trapezoid", "trapz")
def _trapezoid(m, y, x=None, *, dx=1, dim=-1):
    return m("trapezoid")(y, x, dx=dx, axis=one_axis(y, dim))


# Order
@shared("sort")
def _sort(m, x, dim=-1, descending=False, stable=False):
    axis = one_axis(x, dim)
    if descending:
        raise LeftOut("descending: NumPy sorts upwards alone")
    return m("sort")(x, axis=axis), m("argsort")(x, axis=axis, kind="stable")


@shared("argsort")
def _argsort(m, x, dim=-1, descending=False, stable=False):
    axis = one_axis(x, dim)
    if descending:
        raise LeftOut("descending: NumPy sorts upwards alone")
    return m("argsort")(x, axis=axis, kind="stable")


SHARED["msort"] = lambda m, x: m("sort")(x, axis=axis_of(x, 0))


# Shapes
@shared("reshape", "view", "view_copy")
def _reshape(m, x, *shape):
    return m("reshape")(x, sizes_of(shape))


@shared("reshape_as", "view_as")
def _reshape_as(m, x, other):
    return m("reshape")(x, other.shape)


@shared("flatten")
def _flatten(m, x, start_dim=0, end_dim=-1):
    if not x.ndim:
        return m("ravel")(x)
    first, last = start_dim % x.ndim, end_dim % x.ndim
    return m("reshape")(x, (*x.shape[:first], -1, *x.shape[last + 1 :]))


@shared("permute", "permute_copy")
def _permute(m, x, dims):
    return m("transpose")(x, dims)


@shared("transpose", "transpose_copy")
def _transpose(m, x, dim0, dim1):
    if not x.ndim:
        raise LeftOut(NO_AXES)
    return m("swapaxes")(x, dim0, dim1)


@shared("t", "t_copy")
def _t(m, x):
    return m("transpose")(x)


@shared("movedim")
def _movedim(m, x, source, destination):
    return m("moveaxis")(x, source, destination)


@shared("squeeze", "squeeze_copy")
def _squeeze(m, x, dim=None):
    axes = range(x.ndim) if dim is None else dim if isinstance(dim, (tuple, list)) else [dim]
    if not x.ndim:
        return m("squeeze")(x)
    # NumPy refuses to drop an axis of another size than 1, torch leaves it.
    return m("squeeze")(x, axis=tuple([a for a in axes if x.shape[a] == 1]))


@shared("unsqueeze", "unsqueeze_copy")
def _unsqueeze(m, x, dim):
    return m("expand_dims")(x, dim)


@shared("expand", "expand_copy")
def _expand(m, x, *shape):
    shape = sizes_of(shape)
    behind = [1] * (len(shape) - x.ndim) + list(x.shape)
    return m("broadcast_to")(x, tuple([behind[i] if n == -1 else n for i, n in enumerate(shape)]))


@shared("expand_as")
def _expand_as(m, x, other):
    return m("broadcast_to")(x, other.shape)


@shared("broadcast_to")
def _broadcast_to(m, x, shape):
    return m("broadcast_to")(x, tuple(shape))


@shared("broadcast_tensors")
def _broadcast_tensors(m, *arrays):
    return tuple(m("broadcast_arrays")(*arrays))


@shared("flip")
def _flip(m, x, dims):
    if not x.ndim:
        raise LeftOut(NO_AXES)
    return m("flip")(x, axis=tuple(dims) if isinstance(dims, (list, tuple)) else dims)


@shared("roll")
def _roll(m, x, shifts, dims=None):
    if not x.ndim:
        raise LeftOut(NO_AXES)
    return m("roll")(x, shifts, axis=None if dims in ((), None) else dims)


@shared("rot90")
def _rot90(m, x, k=1, dims=(0, 1)):
    return m("rot90")(x, k, dims)


@shared("repeat")
def _repeat(m, x, *repeats):
    return m("tile")(x, sizes_of(repeats))


@shared("tile")
def _tile(m, x, dims):
    return m("tile")(x, tuple(dims))


@shared("repeat_interleave")
def _repeat_interleave(m, x, repeats, dim=None, *, output_size=None):
    return m("repeat")(x, repeats, axis=None if dim is None else one_axis(x, dim))


@shared("atleast_1d")
def _atleast_1d(m, x, *more):
    return m("atleast_1d")(*_listed(x, more))


@shared("atleast_2d")
def _atleast_2d(m, x, *more):
    return m("atleast_2d")(*_listed(x, more))


@shared("atleast_3d")
def _atleast_3d(m, x, *more):
    return m("atleast_3d")(*_listed(x, more))


def _listed(x, more):
    return x if isinstance(x, (tuple, list)) else (x, *more)


@shared("unflatten")
def _unflatten(m, x, dim, sizes):
    dim %= x.ndim
    return m("reshape")(x, (*x.shape[:dim], *sizes, *x.shape[dim + 1 :]))


# Joining and splitting
@shared("cat")
def _cat(m, arrays, dim=0):
    if any(x.ndim == 1 and x.shape[0] == 0 for x in arrays) and any(x.ndim > 1 for x in arrays):
        raise LeftOut("an empty vector among arrays of more axes, which torch leaves out")
    return m("concatenate")(arrays, axis=dim)


@shared("stack")
def _stack(m, arrays, dim=0):
    return m("stack")(arrays, axis=dim)


SHARED |= {name: _unary(name) for name in ["hstack", "vstack", "dstack", "column_stack"]}


@shared("split", "split_with_sizes", "unsafe_split", "split_with_sizes_copy")
def _split(m, x, sizes, dim=0):
    axis = one_axis(x, dim)
    if isinstance(sizes, int):
        places = list(range(sizes, x.shape[axis], sizes))
    else:
        places = [sum(sizes[: i + 1]) for i in range(len(sizes) - 1)]
    return tuple(m("split")(x, places, axis=axis))


@shared("chunk", "unsafe_chunk")
def _chunk(m, x, chunks, dim=0):
    axis = one_axis(x, dim)
    size = -(-x.shape[axis] // chunks)
    return tuple(m("split")(x, list(range(size, x.shape[axis], size)), axis=axis))


@shared("tensor_split")
def _tensor_split(m, x, parts, dim=0):
    places = parts if isinstance(parts, int) else [int(p) for p in parts] if getattr(parts, "shape", ()) != () or (
        isinstance(parts, (tuple, list))) else int(parts)  # fmt: skip
    return tuple(m("array_split")(x, places, axis=one_axis(x, dim)))


@shared("hsplit")
def _hsplit(m, x, parts):
    return tuple(m("hsplit")(x, parts))


@shared("vsplit")
def _vsplit(m, x, parts):
    return tuple(m("vsplit")(x, parts))


@shared("dsplit")
def _dsplit(m, x, parts):
    return tuple(m("dsplit")(x, parts))


@shared("unbind", "unbind_copy")
def _unbind(m, x, dim=0):
    axis = one_axis(x, dim)
    return tuple(m("unstack")(x, axis=axis))


@shared("meshgrid")
def _meshgrid(m, *arrays, indexing="ij"):
    arrays = arrays[0] if isinstance(arrays[0], (tuple, list)) else arrays
    return tuple(m("meshgrid")(*arrays, indexing=indexing))


@shared("constant_pad_nd", "nn.functional.pad.constant")
def _pad(m, x, pad, mode="constant", value=None):
    if mode != "constant" or any(n < 0 for n in pad):
        raise LeftOut("negative widths, which cut")
    widths = [(pad[i], pad[i + 1]) for i in range(0, len(pad), 2)][::-1]
    return m("pad")(x, [(0, 0)] * (x.ndim - len(widths)) + widths, constant_values=value or 0)


# Selection
@shared("__getitem__")
def _getitem(m, x, key):
    return x[key]


@shared("index_select")
def _index_select(m, x, dim, index):
    return m("take")(x, index, axis=one_axis(x, dim))


@shared("take")
def _take(m, x, index):
    return m("take")(x, index)


@shared("take_along_dim")
def _take_along_dim(m, x, indices, dim=None):
    return m("take_along_axis")(x, indices.reshape(-1) if dim is None else indices, axis=dim)


@shared("gather")
def _gather(m, x, dim, index):
    axis = one_axis(x, dim)
    if index.ndim != x.ndim:
        raise LeftOut("an index with other axes than the array")
    if any(a != axis % x.ndim and n != index.shape[a] for a, n in enumerate(x.shape)):
        raise LeftOut("an index that covers a part of the lines")
    return m("take_along_axis")(x, index, axis=axis)


@shared("masked_select")
def _masked_select(m, x, mask):
    if not mask.ndim:
        raise LeftOut("one truth value as an index")
    shape = np.broadcast_shapes(x.shape, mask.shape)
    return m("broadcast_to")(x, shape)[np.array(np.broadcast_to(mask, shape))]


@shared("narrow", "narrow_copy")
def _narrow(m, x, dim, start, length):
    key = [slice(None)] * x.ndim
    start = int(start)
    start = start + x.shape[dim] if start < 0 else start
    key[one_axis(x, dim)] = slice(start, start + length)
    return x[tuple(key)]


@shared("select")
def _select(m, x, dim, index):
    return x[(*[slice(None)] * (dim % x.ndim), index)]


@shared("slice")
def _slice(m, x, dim=0, start=None, end=None, step=1):
    return x[(*[slice(None)] * (dim % x.ndim), slice(start, end, step))]


@shared("diag")
def _diag(m, x, diagonal=0):
    return m("diag")(x, diagonal)


@shared("diagflat")
def _diagflat(m, x, offset=0):
    return m("diagflat")(x, offset)


@shared("diagonal", "diagonal_copy")
def _diagonal(m, x, offset=0, dim1=0, dim2=1):
    return m("diagonal")(x, offset, dim1, dim2)


@shared("linalg.diagonal")
def _linalg_diagonal(m, x, *, offset=0, dim1=-2, dim2=-1):
    return m("diagonal")(x, offset, dim1, dim2)


@shared("tril")
def _tril(m, x, diagonal=0):
    return m("tril")(x, diagonal)


@shared("triu")
def _triu(m, x, diagonal=0):
    return m("triu")(x, diagonal)


@shared("nonzero")
def _nonzero(m, x, *, as_tuple=False):
    if not x.ndim:
        raise LeftOut("places of a number that has no axes")
    if as_tuple:
        return tuple(m("nonzero")(x))
    return _argwhere(m, x)


@shared("argwhere")
def _argwhere(m, x):
    if not x.ndim:
        raise LeftOut("places of a number that has no axes")
    return m("argwhere")(x)
