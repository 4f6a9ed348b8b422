"""Shape rules, with symbolic dimensions, and the two moves between shapes that derivatives need."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from thalweg.core.errors import InputError
from thalweg.expr.node import Dimension, Node, Shape, build


def show(shape: Shape) -> str:
    """Write a shape as messages do."""
    return "(" + ", ".join(map(str, shape)) + ("," if len(shape) == 1 else "") + ")"


def broadcast(*shapes: Shape) -> Shape:
    """Give NumPy's broadcast shape; a symbolic dimension fits itself and 1."""
    ndim = max(map(len, shapes), default=0)
    out: list[Dimension] = []
    for axis in range(-ndim, 0):
        size: Dimension = 1
        for shape in shapes:
            entry = shape[axis] if -axis <= len(shape) else 1
            if entry != 1 and size not in (1, entry):
                raise InputError(
                    "shapes " + " and ".join(map(show, shapes)) + f" do not broadcast ({size} against {entry})",
                    "reshape one of them"
                    if isinstance(entry, int) and isinstance(size, int)
                    else "the size of a named dimension is not known here: give both the same name, or size 1",
                )
            size = entry if size == 1 else size
        out.append(size)
    return tuple(out)


def normal_axis(axis: int, ndim: int) -> int:
    """Give a nonnegative axis."""
    if isinstance(axis, bool) or not hasattr(axis, "__index__") or not -ndim <= axis < ndim:
        raise InputError(
            f"axis {axis!r} of an array with {ndim} axes", f"use {-ndim} to {ndim - 1}" if ndim else "omit"
        )
    return int(axis) % ndim


def reduced(shape: Shape, axes: tuple[int, ...], keepdims: bool) -> Shape:
    """Give the shape after reducing ``axes``."""
    if keepdims:
        return tuple([1 if i in axes else d for i, d in enumerate(shape)])
    return tuple([d for i, d in enumerate(shape) if i not in axes])


def reshaped(shape: Shape, target: Shape) -> Shape:
    """Check a reshape: the same symbolic dimensions and the same number of entries."""
    if _volume(shape) != _volume(target):
        raise InputError(f"{show(shape)} cannot be laid out as {show(target)}", "keep the number of entries")
    return target


def _volume(shape: Shape) -> tuple[int, list[str]]:
    count = 1
    for d in shape:
        count *= d if isinstance(d, int) else 1
    return count, sorted(d for d in shape if isinstance(d, str))


def broadcasted(shape: Shape, target: Shape) -> Shape:
    """Check a broadcast_to."""
    if broadcast(shape, target) != target:
        raise InputError(f"{show(shape)} cannot be broadcast to {show(target)}", "reshape it first")
    return target


def einsum_shape(*arguments: Any) -> Shape:
    """Give an einsum's shape; the arguments are the input shapes and then the subscripts."""
    *shapes, subscripts = arguments
    terms, out = split_subscripts(subscripts)
    sizes: dict[str, Dimension] = {}
    if len(terms) != len(shapes):
        raise InputError(f"{subscripts!r} names {len(terms)} operands, {len(shapes)} given", "match them")
    for term, shape in zip(terms, shapes, strict=True):
        if len(term) != len(shape):
            raise InputError(f"term {term!r} of {subscripts!r} for shape {show(shape)}", "one letter an axis")
        for letter, size in zip(term, shape, strict=True):
            if sizes.setdefault(letter, size) != size:
                raise InputError(
                    f"index {letter!r} of {subscripts!r} has sizes {sizes[letter]} and {size}", "make the shapes agree"
                )
    if not set(out) <= set(sizes) or len(set(out)) < len(out):
        raise InputError(f"output {out!r} of {subscripts!r}", "use each output letter once, from the inputs")
    return tuple([sizes[letter] for letter in out])


def split_subscripts(subscripts: str) -> tuple[list[str], str]:
    """Split "ij,jk->ik" into (["ij", "jk"], "ik")."""
    terms, out = subscripts.split("->")
    return terms.split(","), out


def spread(node: Node, shape: Shape) -> Node:
    """Broadcast a node to ``shape`` (itself if it has that shape)."""
    return node if node.shape == shape else build("broadcast_to", node, params=(shape,))


def unbroadcast(node: Node, shape: Shape) -> Node:
    """Sum a node down to ``shape``: the transpose of broadcasting, which gives a gradient its variable's shape."""
    if node.shape == shape:
        return node
    extra = node.ndim - len(shape)
    axes = [i for i in range(node.ndim) if i < extra or (shape[i - extra] == 1 and node.shape[i] != 1)]
    summed = build("sum", node, params=(tuple(axes), False))
    return summed if summed.shape == shape else build("reshape", summed, params=(shape,))


def keep(node: Node, axes: Sequence[int], shape: Shape) -> Node:
    """Give a reduction's result (reduced over ``axes`` of ``shape``) with the reduced axes kept as 1."""
    target = reduced(shape, tuple(axes), True)
    return node if node.shape == target else build("reshape", node, params=(target,))
