"""The dense Hessian of a function of a matrix, written by its structure.

A Hessian in a matrix has four axes, and pushing every matrix of a basis through the graph costs as many products as the
matrix has entries. Where the Hessian is a sum of Kronecker products (:mod:`thalweg.expr.pieces`), its factors are small
matrices: they are computed once, and multiplied out in one pass over the result.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from thalweg.expr.differentiate import gradient, jvp
from thalweg.expr.linear_terms import UnreadError, operator_terms
from thalweg.expr.node import Node, build, constant, lazy_eye, symbol
from thalweg.expr.pieces import Piece, Summand, merged, scaled, summand


def dense_hessian(value: Node, leaf: Node) -> Node | None:
    """Give the second derivatives of a number, shape (*leaf.shape, *leaf.shape).

    Args:
        value: An expression without axes.
        leaf: A lazy node with at least two axes, of known sizes other than 1.

    Returns:
        The Hessian; None where it has no structure that makes it cheaper.

    """
    shape = tuple([d for d in leaf.shape if isinstance(d, int) and d != 1])
    if len(shape) < max(2, leaf.ndim):
        return None
    direction = symbol("_direction", shape)
    try:
        # Not simplified: that would remove the leaves of transforms further out, and with them their derivatives.
        terms = operator_terms(jvp(gradient(value, leaf), {leaf: direction}), direction)
        found = merged(_in_groups([summand(t, shape) for t in terms]))
    except UnreadError:
        return None
    if not found or any(_unstructured(q) for _, pieces in found for q in pieces):
        return None
    parts = [_multiplied_out(s, pieces, shape, alone=len(found) == 1) for s, pieces in found]
    total = parts[0]
    for part in parts[1:]:
        total = build("add", total, part)
    return total


def _unstructured(piece: Piece) -> bool:
    return len(piece.axes) > 1 and piece.kind in ("matrix", "product", "sum")


def _in_groups(summands: Sequence[Summand]) -> list[Summand]:
    """Write a multiple of the identity as a Kronecker product of identities, so that it adds to one beside it."""
    groups = {tuple([q.axes for q in pieces]) for _, pieces in summands if len(pieces) > 1}
    if len(groups) != 1:
        return list(summands)
    (group,) = groups
    identities = tuple([Piece("identity", axes) for axes in group])
    return [(s, identities if len(p) == 1 and p[0].kind == "identity" else p) for s, p in summands]


def _multiplied_out(scale: Node, pieces: Sequence[Piece], shape: tuple[int, ...], alone: bool) -> Node:
    """Write a Kronecker product over the axes of the result: zeros stay unwritten if it is all there is."""
    p = len(shape)
    straight = [a for q in pieces if q.kind == "identity" for a in q.axes]
    placed = straight[: p - 1] if alone else []  # one identity is made, for a number to multiply
    whole = [a for a in range(2 * p) if a % p not in placed]
    factors: list[Node] = []
    for q in pieces:
        if q.kind == "identity":
            factors += [_along(lazy_eye(shape[a]), (a, a + p), whole) for a in q.axes if a not in placed]
        elif q.kind in ("diagonal", "blocks"):
            factors += _with_identities(q, shape, whole)
        else:
            (a,) = q.axes
            factors.append(_along(_matrix(q, shape[a]), (a, a + p), whole))
    total = scale
    for i, factor in enumerate(factors):
        total = scaled(total, factor) if i == 0 else build("mul", total, factor)
    for a in sorted(placed):
        present = sorted([*whole, *[c for b in placed if b <= a for c in (b, b + p)]])
        total = build("along_diagonal", total, params=(present.index(a), present.index(a + p), shape[a]))
    return total


def _along(node: Node, axes: Sequence[int], whole: Sequence[int]) -> Node:
    """Lay an array along some axes of a result, with size 1 along the others; ``axes`` ascend."""
    sizes = dict(zip(axes, node.shape, strict=True))
    return build("reshape", node, params=(tuple([sizes.get(a, 1) for a in whole]),))


def _with_identities(piece: Piece, shape: tuple[int, ...], whole: Sequence[int]) -> list[Node]:
    """A diagonal, or blocks: entries along the result's axes, times an identity for each leading axis."""
    p = len(shape)
    leading = piece.axes if piece.kind == "diagonal" else piece.leading
    eyes = [_along(lazy_eye(shape[a]), (a, a + p), whole) for a in leading]
    if piece.kind == "diagonal":
        return [_along(piece.nodes[0], piece.axes, whole), *eyes]
    mixed = [a for a in piece.axes if a not in leading]
    order = [*leading, *mixed, *[a + p for a in mixed]]
    entries = build("reshape", piece.nodes[0], params=(tuple([shape[a % p] for a in order]),))
    turned = build("transpose", entries, params=(tuple([order.index(a) for a in sorted(order)]),))
    return [_along(turned, sorted(order), whole), *eyes]


def _matrix(piece: Piece, size: int) -> Node:
    """Give the matrix of a piece on one axis."""
    if piece.kind == "identity":
        return lazy_eye(size)
    if piece.kind == "matrix":
        return piece.nodes[0]
    if piece.kind == "diagonal":
        return build("mul", build("reshape", piece.nodes[0], params=((size, 1),)), lazy_eye(size))
    if piece.kind == "product":
        left, d, right = piece.nodes
        weighted = scaled(d if not d.shape else build("reshape", d, params=((math.prod(d.shape), 1),)), right)
        return build("einsum", left, weighted, params=("ab,ac->bc",))
    total: Node | None = None
    for s, q in piece.summands:
        part = scaled(s, _matrix(q, size))
        total = part if total is None else build("add", total, part)
    return constant(0.0) if total is None else total
