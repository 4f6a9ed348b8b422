"""Small vectors written entry by entry, such as [x+y; x-y]: their entries, and the matrix of given entries."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from thalweg.core.errors import UnsupportedError
from thalweg.expr import matrixform
from thalweg.expr.node import Node, build, constant, table

Cells = Sequence[Sequence[Node]]

MOST = 64
"""Entries that are written out."""


def entries(node: Node) -> list[Node]:
    """Give the entries of a vector whose size is a number, each as an expression of its own.

    Args:
        node: Shape () or (m,).

    Returns:
        m scalars.

    Raises:
        UnsupportedError: for a size that is only a name, or an operation whose entries cannot be told apart.

    """
    if not node.shape:
        return [node]
    (size,) = node.shape
    if not isinstance(size, int) or size > MOST:
        raise UnsupportedError(
            f"the derivative of a vector of {size} entries by several variables", "differentiate by one vector instead"
        )
    return [_entry(node, (i,)) for i in range(size)]


def _entry(node: Node, at: tuple[int, ...]) -> Node:
    if not node.shape:
        return node
    if node.value is not None:
        return constant(np.asarray(node.value)[at].item())
    if node.op == "concatenate":
        (axis,) = node.params
        place = at[axis]
        for part in node.inputs:
            length = part.shape[axis]
            if not isinstance(length, int):
                break
            if place < length:
                return _entry(part, (*at[:axis], place, *at[axis + 1 :]))
            place -= length
    elif node.op == "reshape":
        old, new = _sizes(node.inputs[0]), _sizes(node)
        inner_at = np.unravel_index(int(np.ravel_multi_index(at, new)), old)
        return _entry(node.inputs[0], tuple([int(i) for i in inner_at]))
    elif node.op == "transpose":
        inner = dict(zip(node.params[0], at, strict=True))
        return _entry(node.inputs[0], tuple(inner[i] for i in range(len(at))))
    elif node.op == "broadcast_to" or table()[node.op].elementwise:
        parts = []
        for x in node.inputs:
            own = at[len(at) - x.ndim :]
            parts.append(_entry(x, tuple(0 if d == 1 else i for i, d in zip(own, x.shape, strict=True))))
        return parts[0] if node.op == "broadcast_to" else build(node.op, *parts, params=node.params)
    else:
        return build("take", node, params=(at,))
    raise UnsupportedError(f"the entries of {node!r}", "write the vector entry by entry: [x+y; x-y]")


def _sizes(node: Node) -> tuple[int, ...]:
    sizes = tuple([d for d in node.shape if isinstance(d, int)])
    if len(sizes) < node.ndim:
        raise UnsupportedError(f"the entries of {node!r}", "write the vector entry by entry: [x+y; x-y]")
    return sizes


def matrix_of(rows: Cells) -> Node:
    """Build the matrix of given scalars, as the parser reads [a, b; c, d]."""
    lines = []
    for row in rows:
        cells = [build("reshape", x, params=((1, 1),)) for x in row]
        lines.append(cells[0] if len(cells) == 1 else build("concatenate", *cells, params=(1,)))
    return lines[0] if len(lines) == 1 else build("concatenate", *lines, params=(0,))


def text(rows: Cells) -> str:
    """Write the matrix of given scalars."""
    return "[" + "; ".join([", ".join([matrixform.text(x) for x in row]) for row in rows]) + "]"


def latex(rows: Cells) -> str:
    """Write the matrix of given scalars in LaTeX."""
    body = r" \\ ".join([" & ".join([matrixform.latex(x) for x in row]) for row in rows])
    return rf"\begin{{bmatrix}} {body} \end{{bmatrix}}"


def pretty(rows: Cells) -> str:
    """Write the matrix of given scalars with Unicode signs."""
    return "[" + "; ".join([", ".join([matrixform.pretty(x) for x in row]) for row in rows]) + "]"
