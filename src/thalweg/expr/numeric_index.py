"""NumPy evaluation of the rows that select, order and accumulate entries; generated kernels import these."""

from __future__ import annotations

from typing import Any

import numpy as np

ARRAY = ()
"""The place of the next index array in an index pattern."""


def decode(pattern: tuple[Any, ...], indices: Any) -> tuple[Any, ...]:
    """Turn an index pattern into what NumPy takes: triples are slices, `ARRAY` is the next index array."""
    rest = iter(indices)
    return tuple([
        p if p is None or isinstance(p, int) else np.asarray(next(rest)) if p == ARRAY else slice(*p) for p in pattern
    ])  # fmt: skip


def gather(x: Any, *arguments: Any) -> Any:
    """Give x[pattern] with index arrays; the arguments are those arrays, the pattern, and whether no entry repeats."""
    *indices, pattern, _ = arguments
    return np.asarray(x)[decode(pattern, indices)]


def index_add(x: Any, *arguments: Any) -> Any:
    """Transpose of `gather`: zeros of the shape given last, with ``x`` added at the index; repeated entries add up."""
    *indices, pattern, distinct, shape = arguments
    x = np.asarray(x)
    out = np.zeros(shape, dtype=x.dtype)
    if distinct:
        out[decode(pattern, indices)] = x
    else:
        np.add.at(out, decode(pattern, indices), x)
    return out


def along(x: Any, index: Any, axis: int, distinct: bool) -> Any:
    """Give from each line of ``x`` along ``axis`` the entries that ``index`` names; see `numpy.take_along_axis`."""
    return np.take_along_axis(np.asarray(x), np.asarray(index), axis)


def along_add(x: Any, index: Any, axis: int, size: int, distinct: bool) -> Any:
    """Transpose of `along`: zeros with ``size`` entries along ``axis``, and ``x`` added where ``index`` says."""
    x, index = np.asarray(x), np.asarray(index)
    out = np.zeros((*x.shape[:axis], size, *x.shape[axis + 1 :]), dtype=x.dtype)
    if distinct:
        np.put_along_axis(out, index, x, axis)
    else:
        where = list(np.ogrid[tuple([slice(n) for n in index.shape])])
        where[axis] = index
        np.add.at(out, tuple(where), x)
    return out


def cumsum(x: Any, axis: int, backwards: bool) -> Any:
    """Give running sums along an axis, from its end if ``backwards``."""
    if not backwards:
        return np.cumsum(x, axis=axis)
    return np.flip(np.cumsum(np.flip(x, axis), axis=axis), axis)


def argsort(x: Any, axis: int) -> Any:
    """Give the order that sorts each line; equal entries keep theirs."""
    return np.argsort(x, axis=axis, kind="stable")


def cast(x: Any, bits: int) -> Any:
    """Give the floating number or array in another precision."""
    return np.asarray(x).astype(f"f{bits // 8}")


def whole(x: Any) -> Any:
    """Give the integer parts as whole numbers."""
    return np.asarray(x).astype(np.int64)
