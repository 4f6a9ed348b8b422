"""The rows behind advanced indexing, sorting and running sums: selections by index arrays, and what accumulates them.

``gather`` and ``index_add`` transpose each other, and so do ``along`` and ``along_add``. Their index arrays are inputs,
so that an index may be computed, too; the flag ``distinct`` says that no entry is named twice (a sort's order, a mask's
places), which lets the transpose assign instead of add.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from thalweg.core.errors import InputError, UnsupportedError
from thalweg.expr import batching, numeric_index
from thalweg.expr.namespace import call
from thalweg.expr.node import Node, build
from thalweg.expr.numeric_index import ARRAY
from thalweg.expr.ops_elementwise import Tangents
from thalweg.expr.rows import Dimension, Op, Shape, is_tensor
from thalweg.expr.shapes import broadcast, reduced, show

_WHOLE = (None, None, None)


def linear(node: Node, tangents: Tangents) -> Node | None:
    """JVP of an operation that is linear in its first input: the operation applied to the tangent."""
    (t, *_) = tangents
    return None if t is None else build(node.op, t, *node.inputs[1:], params=node.params)


def _advanced(pattern: tuple[Any, ...]) -> list[int]:
    """Places of the parts that NumPy broadcasts together: index arrays, and whole numbers beside them."""
    return [i for i, p in enumerate(pattern) if p == ARRAY or isinstance(p, int)]


def moves_to_front(pattern: tuple[Any, ...]) -> bool:
    """Say whether NumPy puts the indexed axes first, because a slice or a new axis stands between index arrays."""
    places = _advanced(pattern)
    return places[-1] - places[0] >= len(places)


def gather_shape(*arguments: Any) -> Shape:
    """Shape of ``x[pattern]``; the arguments are the shapes of x and of the index arrays, the pattern and the flag."""
    shape, *indices, pattern, _ = arguments
    sizes = iter(shape)
    out: list[Dimension] = []
    for p in pattern:
        if p is None:
            out.append(1)
            continue
        size = next(sizes)
        if isinstance(p, int):
            if isinstance(size, str) or not -size <= p < size:
                raise InputError(f"index {p} into a dimension of size {size}", "use an entry that exists")
        elif p == _WHOLE:
            out.append(size)
        elif p != ARRAY:
            if isinstance(size, str):
                raise InputError(f"slice of the symbolic dimension {size!r}", "take whole symbolic axes only")
            out.append(len(range(*slice(*p).indices(size))))
    block = broadcast(*indices)
    at = 0 if moves_to_front(pattern) else _advanced(pattern)[0]
    return (*out[:at], *block, *out[at:])


def _index_add_shape(*arguments: Any) -> Shape:
    shape, *indices, pattern, distinct, target = arguments
    if gather_shape(target, *indices, pattern, distinct) != shape:
        raise InputError(f"values of shape {show(shape)} for an index into {show(target)}", "give one value an entry")
    return tuple(target)


def _gather_transpose(cotangent: Node, node: Node, index: int) -> Node:
    return build("index_add", cotangent, *node.inputs[1:], params=(*node.params, node.inputs[0].shape))


def _index_add_transpose(cotangent: Node, node: Node, index: int) -> Node:
    return build("gather", cotangent, *node.inputs[1:], params=node.params[:2])


def _gather_vjp(g: Any, i: int, y: Any, x: Any, *arguments: Any) -> Any:
    return None if i else call("index_add", g, *arguments[:-2], params=(*arguments[-2:], tuple(x.shape)))


def _index_add_vjp(g: Any, i: int, y: Any, x: Any, *arguments: Any) -> Any:
    return None if i else call("gather", g, *arguments[:-3], params=arguments[-3:-1])


def _batch_gather(node: Node, inputs: Sequence[Node], batched: Sequence[bool]) -> Node:
    pattern, distinct = node.params
    _refuse_batched_index(node, batched)
    result = build("gather", *inputs, params=((_WHOLE, *pattern), distinct))
    if not moves_to_front(pattern):
        return result
    block = len(broadcast(*[x.shape for x in inputs[1:]]))  # these axes stand before the leading one
    return build("transpose", result, params=((block, *range(block), *range(block + 1, result.ndim)),))


def _batch_index_add(node: Node, inputs: Sequence[Node], batched: Sequence[bool]) -> Node:
    pattern, distinct, shape = node.params
    _refuse_batched_index(node, batched)
    x, *indices = inputs
    size = x.shape[0]
    if moves_to_front(pattern):
        block = len(broadcast(*[x.shape for x in indices]))
        x = build("transpose", x, params=((*range(1, block + 1), 0, *range(block + 1, x.ndim)),))
    return build("index_add", x, *indices, params=((_WHOLE, *pattern), distinct, (size, *shape)))


def _refuse_batched_index(node: Node, batched: Sequence[bool]) -> None:
    if any(batched[1:]):
        raise UnsupportedError(f"{node.op} with one index for each direction", "index with take_along_axis")


def _along_shape(shape: Shape, index: Shape, axis: int, distinct: bool) -> Shape:
    if len(shape) != len(index) or any(a != b for k, (a, b) in enumerate(zip(shape, index, strict=True)) if k != axis):
        raise InputError(
            f"values of shape {show(shape)} and indices of shape {show(index)} along axis {axis}",
            "make all other axes equal",
        )
    return index


def _along_add_shape(shape: Shape, index: Shape, axis: int, size: Dimension, distinct: bool) -> Shape:
    if shape != index:
        raise InputError(f"values {show(shape)} and indices {show(index)}", "give one index a value")
    return (*shape[:axis], size, *shape[axis + 1 :])


def _position_shape(shape: Shape, axis: int | None, keepdims: bool) -> Shape:
    return reduced(shape, tuple(range(len(shape))) if axis is None else (axis,), keepdims)


def _cast_vjp(g: Any, i: int, y: Any, x: Any, bits: int) -> Any:
    value = x.value if isinstance(x, Node) else x
    dtype = getattr(value, "dtype", None)
    if dtype is None or is_tensor(value) or dtype.kind != "f":
        return g
    return call("cast", g, params=(8 * dtype.itemsize,))


def _entries(node: Node) -> int:
    return math.prod([d for d in node.shape if isinstance(d, int)])


ROWS = [
    Op("gather", numeric_index.gather, gather_shape, linear, _gather_transpose, "promote",
       "numeric_index.gather({inputs}, {params})",
       torch="numeric_torch_rows.gather({inputs}, {params})", vjp=_gather_vjp, batch=_batch_gather),
    Op("index_add", numeric_index.index_add, _index_add_shape, linear, _index_add_transpose, "promote",
       "numeric_index.index_add({inputs}, {params})",
       torch="numeric_torch_rows.index_add({inputs}, {params})",
       sized=True, vjp=_index_add_vjp, batch=_batch_index_add),
    Op("along", numeric_index.along, _along_shape, linear,
       lambda c, n, i: build("along_add", c, n.inputs[1], params=(
           n.params[0], n.inputs[0].shape[n.params[0]], n.params[1])),
       "promote", "numeric_index.along({}, {}, {}, {})",
       torch="numeric_torch_rows.along({}, {}, {}, {})", batch=batching.batch_along_axis,
       vjp=lambda g, i, y, x, index, axis, distinct: None if i else call(
           "along_add", g, index, params=(axis, x.shape[axis], distinct))),
    Op("along_add", numeric_index.along_add, _along_add_shape, linear,
       lambda c, n, i: build("along", c, n.inputs[1], params=(n.params[0], n.params[2])),
       "promote", "numeric_index.along_add({}, {}, {}, {}, {})",
       torch="numeric_torch_rows.along_add({}, {}, {}, {}, {})", sized=True, batch=batching.batch_along_axis,
       vjp=lambda g, i, y, x, index, axis, size, distinct: None if i else call(
           "along", g, index, params=(axis, distinct))),
    Op("cumsum", numeric_index.cumsum, lambda s, axis, backwards: s, linear,
       lambda c, n, i: build("cumsum", c, params=(n.params[0], not n.params[1])), "promote",
       "numeric_index.cumsum({}, {}, {})",
       torch="numeric_torch_rows.cumsum({}, {}, {})", batch=batching.batch_along_axis, flops=_entries,
       vjp=lambda g, i, y, x, axis, backwards: call("cumsum", g, params=(axis, not backwards))),
    Op("argsort", numeric_index.argsort, lambda s, axis: s, None, None, "i", "numeric_index.argsort({}, {})",
       torch="torch.argsort({}, dim={}, stable=True)"),
    Op("argmax", lambda x, axis, keepdims: np.argmax(x, axis=axis, keepdims=keepdims), _position_shape, None, None,
       "i", "argmax({}, axis={}, keepdims={})", torch="torch.argmax({}, dim={}, keepdim={})"),
    Op("argmin", lambda x, axis, keepdims: np.argmin(x, axis=axis, keepdims=keepdims), _position_shape, None, None,
       "i", "argmin({}, axis={}, keepdims={})", torch="torch.argmin({}, dim={}, keepdim={})"),
    Op("any", lambda x, axes, keepdims: np.any(x, axis=axes, keepdims=keepdims), reduced, None, None,
       "b", "any({}, axis={}, keepdims={})", torch="torch.any({}, dim={}, keepdim={})"),
    Op("all", lambda x, axes, keepdims: np.all(x, axis=axes, keepdims=keepdims), reduced, None, None,
       "b", "all({}, axis={}, keepdims={})", torch="torch.all({}, dim={}, keepdim={})"),
    Op("cast", numeric_index.cast, lambda s, bits: s, linear, lambda c, n, i: _cast_vjp(c, i, n, n.inputs[0], 0), "f",
       "numeric_index.cast({}, {})",
       torch="numeric_torch_rows.cast({}, {})", vjp=_cast_vjp, batch=batching.batch_identity),
    Op("whole", numeric_index.whole, lambda s: s, None, None, "i", "numeric_index.whole({})",
       torch="numeric_torch_rows.whole({})"),
]  # fmt: skip
INDEX = {row.name: row for row in ROWS}
