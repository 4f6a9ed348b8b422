"""Moving, joining, splitting and selecting entries in torch's and NumPy's vocabulary; see `op_db_shared`."""

import numpy as np

from expr.op_db_shared import NO_AXES, SHARED, LeftOut, one_axis, shared, sizes_of, unary


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


SHARED |= {name: unary(name) for name in ["hstack", "vstack", "dstack", "column_stack"]}


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
