"""How the linear rows carry one more axis in front: many directions go through a linear graph in one walk.

A rule gets the node whose operation is meant, and inputs of which some have grown a leading axis; it gives the
operation of every slice at once. Elementwise rows need no rule, since broadcasting does it.
"""

from __future__ import annotations

import string
from collections.abc import Sequence
from typing import Any

from thalweg.expr.node import Node, build
from thalweg.expr.rows import Dimension
from thalweg.expr.shapes import split_subscripts, spread

_WHOLE = (None, None, None)


def leading_size(inputs: Sequence[Node], batched: Sequence[bool]) -> Dimension:
    """Give the size of the axis that the flagged inputs share."""
    return next(x.shape[0] for x, flag in zip(inputs, batched, strict=True) if flag)


def spread_leading(inputs: Sequence[Node], batched: Sequence[bool]) -> list[Node]:
    """Repeat the inputs that have no leading axis along one, so that all of them carry it."""
    size = leading_size(inputs, batched)
    return [x if flag else spread(x, (size, *x.shape)) for x, flag in zip(inputs, batched, strict=True)]


def batch_sum(node: Node, inputs: Sequence[Node], batched: Sequence[bool]) -> Node:
    """Reduce the same axes, one further to the right."""
    axes, keepdims = node.params
    return build("sum", inputs[0], params=(tuple([a + 1 for a in axes]), keepdims))


def batch_reshape(node: Node, inputs: Sequence[Node], batched: Sequence[bool]) -> Node:
    """Lay out all but the leading axis."""
    return build("reshape", inputs[0], params=((inputs[0].shape[0], *node.params[0]),))


def batch_transpose(node: Node, inputs: Sequence[Node], batched: Sequence[bool]) -> Node:
    """Permute all but the leading axis."""
    return build("transpose", inputs[0], params=((0, *[a + 1 for a in node.params[0]]),))


def batch_broadcast_to(node: Node, inputs: Sequence[Node], batched: Sequence[bool]) -> Node:
    """Open axes of size 1 behind the leading axis, for NumPy aligns shapes at their ends."""
    (x,), (target,) = inputs, node.params
    size, *rest = x.shape
    opened = (size, *[1] * (len(target) - len(rest)), *rest)
    return spread(x if x.shape == opened else build("reshape", x, params=(opened,)), (size, *target))


def batch_einsum(node: Node, inputs: Sequence[Node], batched: Sequence[bool]) -> Node:
    """Give the leading axis a letter that the contraction does not use."""
    terms, out = split_subscripts(node.params[0])
    letter = next(c for c in string.ascii_letters if c not in node.params[0])
    names = [letter + t if flag else t for t, flag in zip(terms, batched, strict=True)]
    return build("einsum", *inputs, params=(",".join(names) + "->" + letter + out,))


def batch_aligned(node: Node, inputs: Sequence[Node], batched: Sequence[bool]) -> Node:
    """Apply a row whose inputs are matched entry by entry and whose parameters count axes from the end, or not."""
    return build(node.op, *spread_leading(inputs, batched), params=node.params)


def batch_scatter_add(node: Node, inputs: Sequence[Node], batched: Sequence[bool]) -> Node:
    """Bring the values, which may be fewer than the indices, to the indices' shape first."""
    x, values, index = inputs
    inner = node.inputs[2].shape
    if node.inputs[1].shape != inner:
        size = leading_size(inputs, batched)
        if batched[1]:
            rest = values.shape[1:]
            values = build("reshape", values, params=((size, *[1] * (len(inner) - len(rest)), *rest),))
            values = spread(values, (size, *inner))
        else:
            values = spread(values, inner)
    return batch_aligned(node, (x, values, index), batched)


def batch_take(node: Node, inputs: Sequence[Node], batched: Sequence[bool]) -> Node:
    """Keep the whole leading axis."""
    return build("take", inputs[0], params=((_WHOLE, *node.params[0]),))


def batch_place(node: Node, inputs: Sequence[Node], batched: Sequence[bool]) -> Node:
    """Keep the whole leading axis."""
    index, shape = node.params
    return build("place", inputs[0], params=((_WHOLE, *index), (inputs[0].shape[0], *shape)))


def batch_along_diagonal(node: Node, inputs: Sequence[Node], batched: Sequence[bool]) -> Node:
    """Batch a layout along a diagonal: both new axes move by one."""
    first, second, size = node.params
    return build("along_diagonal", inputs[0], params=(first + 1, second + 1, size))


def batch_along_axis(node: Node, inputs: Sequence[Node], batched: Sequence[bool]) -> Node:
    """Apply a row whose first parameter is the one axis it works along (concatenate, cumsum, gather)."""
    axis, *rest = node.params
    return build(node.op, *spread_leading(inputs, batched), params=(axis + 1, *rest))


def batch_identity(node: Node, inputs: Sequence[Node], batched: Sequence[bool]) -> Any:
    """Leave the input as it is."""
    return build(node.op, *inputs, params=node.params)
