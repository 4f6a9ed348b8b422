"""Vectors in parts, such as [x+y; x-y] or [A*x; b'*x]: their entries and parts, and the matrix of given ones."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from thalweg.core.errors import UnsupportedError
from thalweg.expr import matrixform, typeset_latex
from thalweg.expr.node import Node, build, constant, table
from thalweg.expr.simplify import simplify
from thalweg.expr.typeset import Formula, transposed

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
    elif node.op == "broadcast_to" or node.inputs and table()[node.op].elementwise:
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


def stacked(node: Node) -> list[Node] | None:
    """Give the parts of a vector that is made of numbers and vectors, one below the other; None for any other."""
    inner = node
    while inner.op == "reshape":
        (inner,) = inner.inputs
    if node.ndim != 1 or inner.op != "concatenate" or inner.params[0] != 0:
        return None
    sizes = [x.shape[0] for x in inner.inputs]
    if any(x.shape[1:] not in ((), (1,)) for x in inner.inputs):
        return None
    return [simplify(build("reshape", x, params=(() if d == 1 else (d,),)))
            for x, d in zip(inner.inputs, sizes, strict=True)]  # fmt: skip


def matrix_of(rows: Cells, turned: bool = True) -> Node:
    """Build the matrix of given parts, as the parser reads [a, b; c, d].

    Args:
        rows: Numbers, vectors and matrices.
        turned: Whether the vectors are rows.

    """
    lines = []
    for row in rows:
        shapes = [x.shape if x.ndim == 2 else (1, *x.shape) if x.shape and turned else (*(x.shape or (1,)), 1)
                  for x in row]  # fmt: skip
        cells = [x if x.shape == d else build("reshape", x, params=(d,)) for x, d in zip(row, shapes, strict=True)]
        lines.append(cells[0] if len(cells) == 1 else build("concatenate", *cells, params=(1,)))
    return lines[0] if len(lines) == 1 else build("concatenate", *lines, params=(0,))


def formulas(rows: Cells, turned: bool = True) -> list[list[Formula]]:
    """Give the formulas of a matrix's parts.

    Args:
        rows: Numbers, vectors and matrices.
        turned: Whether the vectors are rows.

    """
    made = [[(matrixform.form(x).formula, x.ndim) for x in row] for row in rows]
    return [[transposed(f) if turned and rank == 1 else f for f, rank in row] for row in made]


def text(rows: Sequence[Sequence[Formula]]) -> str:
    """Write the matrix of given parts."""
    return "[" + "; ".join([", ".join([f.text for f in row]) for row in rows]) + "]"


def latex(rows: Sequence[Sequence[Formula]]) -> str:
    """Write the matrix of given parts in LaTeX."""
    body = r" \\ ".join([" & ".join([typeset_latex.latex(f) for f in row]) for row in rows])
    return rf"\begin{{bmatrix}} {body} \end{{bmatrix}}"


def pretty(rows: Sequence[Sequence[Formula]]) -> str:
    """Write the matrix of given parts with Unicode signs."""
    return "[" + "; ".join([", ".join([typeset_latex.pretty(f) for f in row]) for row in rows]) + "]"
