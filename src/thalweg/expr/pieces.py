"""From the terms of a Hessian to Kronecker products of pieces, one for each group of neighbouring axes.

An axis that passes straight through is an identity; an index that the result and the direction share is a diagonal or
blocks; parts that no index joins are factors of a Kronecker product; and a network that one or two summed indices cut
in two is L' diag(d) R.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from thalweg.expr.linear_terms import UnreadError
from thalweg.expr.node import Node, build, constant
from thalweg.expr.terms import Factor, Term, canonical, relabelled, term_node

FORMED_SHARE = 8
"""X' diag(d) X is formed at once where X has more than so many times as many rows as columns: it is smaller then."""

MOST_CUT = 2
"""Summed indices that are taken together when a network is cut in two, such as examples and classes."""

LARGEST_DENSE = 4096
"""Entries of the argument up to which a part without structure is a dense matrix; the whole is products beyond."""

_One = Fraction(1)


@dataclass(frozen=True, slots=True)
class Piece:
    """The part of a product that acts on some neighbouring axes of the argument.

    Attributes:
        kind: "identity", "diagonal", "matrix", "product" (L' diag(d) R), "blocks" or "sum".
        axes: The argument's axes it acts on.
        nodes: What it is made of: (d,), (matrix,), (left, d, right) or (blocks,).
        leading: For blocks, the axes that tell blocks apart.
        summands: For a sum, scaled pieces on the same axes.
        opened: For rank one, the ways of writing its row as a vector times a matrix, (vector, matrix).

    """

    kind: str
    axes: tuple[int, ...]
    nodes: tuple[Node, ...] = ()
    leading: tuple[int, ...] = ()
    summands: tuple[tuple[Node, Piece], ...] = ()
    opened: tuple[tuple[Node, Node], ...] = ()

    @property
    def key(self) -> tuple[Any, ...]:
        """Equal for equal pieces."""
        inner = tuple([(s.key, p.key) for s, p in self.summands])
        return self.kind, self.axes, tuple([n.key for n in self.nodes]), self.leading, inner


Summand = tuple[Node, tuple[Piece, ...]]
"""A number (a node without axes) and the pieces whose Kronecker product it multiplies."""


# From a term to pieces.


def summand(term: Term, shape: tuple[int, ...]) -> Summand:
    """Write a term over the axes of a result and of a direction, both of ``shape``, as a product of pieces."""
    p = len(shape)
    scale = term_node((), Term(term.number, term.scalars))
    straight: set[int] = set()
    factors: list[Factor] = []
    for f in term.factors:
        pair = tuple(sorted([-1 if a is None else a for a in f.labels]))
        if f.atom.op == "eye" and len(pair) == 2 and 0 <= pair[0] < p and pair[1] == pair[0] + p:
            straight.add(pair[0])
        else:
            factors.append(f)
    names = {a + p: a for a in straight}
    factors = list(relabelled(Term(_One, (), tuple(factors)), names).factors)
    whole = tuple(range(p))
    if len(straight) == p:
        return scale, (_straight(whole, factors, shape),)
    parts = _joined_by(factors, ())
    pieces = []
    for axes in _groups(parts, p):
        pieces.append(_piece(axes, straight, _on(parts, axes, p), shape))
    return scale, tuple(pieces)


def _joined_by(factors: Sequence[Factor], cut: Sequence[int]) -> list[list[Factor]]:
    """Split factors into parts that share no label but those of the cut."""
    parts: list[tuple[set[int], list[Factor]]] = []
    for f in factors:
        labels = {a for a in f.labels if a is not None and a not in cut}
        touching = [q for q in parts if q[0] & labels]
        parts = [q for q in parts if not q[0] & labels]
        parts.append((labels.union(*[q[0] for q in touching]), [g for q in touching for g in q[1]] + [f]))
    return [q[1] for q in parts]


def _axes_of(part: Sequence[Factor], p: int) -> set[int]:
    return {a % p for f in part for a in f.labels if a is not None and a >= 0}


def _on(parts: Sequence[Sequence[Factor]], axes: tuple[int, ...], p: int) -> list[Factor]:
    return [f for part in parts if _axes_of(part, p) & set(axes) for f in part]


def _groups(parts: Sequence[Sequence[Factor]], p: int) -> list[tuple[int, ...]]:
    """Group neighbouring axes: those that a part joins, and all between them."""
    ends = list(range(p))
    for part in parts:
        axes = _axes_of(part, p)
        if axes:
            ends[min(axes)] = max(ends[min(axes)], max(axes))
    groups = []
    start = 0
    while start < p:
        stop = ends[start]
        k = start
        while k <= stop:
            stop = max(stop, ends[k])
            k += 1
        groups.append(tuple(range(start, stop + 1)))
        start = stop + 1
    return groups


def _straight(axes: tuple[int, ...], factors: Sequence[Factor], shape: tuple[int, ...]) -> Piece:
    if not factors:
        return Piece("identity", axes)
    names = {a: i for i, a in enumerate(axes)}
    own = tuple([shape[a] for a in axes])
    return Piece("diagonal", axes, (_network(factors, names, own),))


def _network(factors: Sequence[Factor], names: dict[int, int], shape: tuple[int, ...]) -> Node:
    """Contract factors to an array; ``names`` gives the axis of each label that is kept."""
    term = canonical(relabelled(Term(_One, (), tuple(factors)), names))
    assert term is not None
    return term_node(shape, term)


def _piece(axes: tuple[int, ...], straight: set[int], factors: Sequence[Factor], shape: tuple[int, ...]) -> Piece:
    """Give the piece on a group of axes."""
    p = len(shape)
    leading = tuple([a for a in axes if a in straight])
    mixed = tuple([a for a in axes if a not in straight])
    if not mixed:
        return _straight(axes, factors, shape)
    size = math.prod([shape[a] for a in mixed])
    if leading:
        count = math.prod([shape[a] for a in leading])
        if count * size * size > LARGEST_DENSE**2:
            raise UnreadError(f"{count} blocks of {size} x {size} are too large to be formed")
        order = [*leading, *mixed, *[a + p for a in mixed]]
        whole = _network(factors, {a: i for i, a in enumerate(order)}, tuple([shape[a % p] for a in order]))
        blocks = build("reshape", whole, params=((count, size, size),))
        return Piece("blocks", axes, (blocks,), leading)
    found = _cut(factors, set(mixed), {a + p for a in mixed}, MOST_CUT)
    sizes = _label_sizes(factors)
    if found is not None:
        cut, left, middle, right = found
        rank = math.prod([sizes[c] for c in cut])
        if rank <= FORMED_SHARE * size and (len(axes) == 1 or rank < size):
            return _product(axes, cut, left, middle, right, shape, sizes)
        if len(axes) > 1:
            raise UnreadError(f"a part with {size} rows is a sum of {rank} products, and no smaller than its matrix")
    if size > LARGEST_DENSE:
        raise UnreadError(f"a part with {size} rows has no structure")
    order = [*mixed, *[a + p for a in mixed]]
    whole = _network(factors, {a: i for i, a in enumerate(order)}, tuple([shape[a % p] for a in order]))
    return Piece("matrix", axes, (build("reshape", whole, params=((size, size),)),))


def _label_sizes(factors: Sequence[Factor]) -> dict[int, int]:
    return {a: int(d) for f in factors for a, d in zip(f.labels, f.atom.shape, strict=True) if a is not None}


_Cut = tuple[tuple[int, ...], list[Factor], list[Factor], list[Factor]]


def _cut(factors: Sequence[Factor], outs: set[int], ins: set[int], most: int) -> _Cut | None:
    """Find the summed labels, as few entries as possible, without which results and directions are not joined."""
    sizes = _label_sizes(factors)
    summed = sorted([a for a in sizes if a < 0])
    best: _Cut | None = None
    best_cost = (math.inf, True)
    for count in range(most + 1):
        for cut in itertools.combinations(summed, count):
            rank = math.prod([sizes[c] for c in cut])
            if (rank, False) >= best_cost:
                continue
            sides = _sides(factors, outs, ins, cut)
            if sides is not None:
                left, _, right = sides
                # Sides of the same factors are one array, computed once.
                cost = (rank, _atoms(left) != _atoms(right))
                if cost < best_cost:
                    best, best_cost = (cut, *sides), cost
        if best is not None:
            break
    return best


def _atoms(factors: Sequence[Factor]) -> list[tuple[str, str]]:
    return sorted([(f.atom.key, str(f.power)) for f in factors])


def _sides(
    factors: Sequence[Factor], outs: set[int], ins: set[int], cut: tuple[int, ...]
) -> tuple[list[Factor], list[Factor], list[Factor]] | None:
    left: list[Factor] = []
    middle: list[Factor] = []
    right: list[Factor] = []
    for part in _joined_by(factors, cut):
        labels = {a for f in part for a in f.labels}
        if labels & outs and labels & ins:
            return None
        (left if labels & outs else right if labels & ins else middle).extend(part)
    return left, middle, right


def _product(
    axes: tuple[int, ...], cut: tuple[int, ...], left: Sequence[Factor], middle: Sequence[Factor],
    right: Sequence[Factor], shape: tuple[int, ...], sizes: dict[int, int],
) -> Piece:  # fmt: skip
    p = len(shape)
    rank = tuple([sizes[c] for c in cut])
    whole = tuple([shape[a] for a in axes])
    rows, columns = math.prod(rank), math.prod(whole)
    names = {c: i for i, c in enumerate(cut)}

    def side(factors: Sequence[Factor], offset: int) -> Node:
        kept = names | {a + offset: len(cut) + i for i, a in enumerate(axes)}
        return build("reshape", _network(factors, kept, (*rank, *whole)), params=((rows, columns),))

    d = build("reshape", _network(middle, names, rank), params=((rows,),)) if middle else constant(1.0)
    nodes = (side(left, 0), d, side(right, p))
    symmetric = not cut and nodes[0].key == nodes[2].key
    return Piece("product", axes, nodes, opened=_opened(axes, left, shape, sizes) if symmetric else ())


def _opened(
    axes: tuple[int, ...], row: Sequence[Factor], shape: tuple[int, ...], sizes: dict[int, int]
) -> tuple[tuple[Node, Node], ...]:
    """Give the ways of reading a row as a vector times a matrix."""
    ways = []
    for i, f in enumerate(row):
        if len(f.labels) == 1 and f.labels[0] is not None and f.labels[0] < 0 and f.power == 1:
            inner, rest = f.labels[0], [g for j, g in enumerate(row) if j != i]
            names = {inner: 0} | {a: 1 + k for k, a in enumerate(axes)}
            matrix = _network(rest, names, (sizes[inner], *[shape[a] for a in axes]))
            flat = (sizes[inner], math.prod([shape[a] for a in axes]))
            ways.append((f.atom, build("reshape", matrix, params=(flat,))))
    return tuple(ways)


# Sums of products of pieces.


def merged(summands: Sequence[Summand]) -> list[Summand]:
    """Add what can be added: A (x) C + B (x) C is (A + B) (x) C, and a b' + a c' is a (b + c)'.

    What is left as a product of rank one along every axis is of rank one on the whole.
    """
    found = _until_stable(list(summands), _joined_products)
    found = [(s, (_flat(pieces),)) if _rank_one(pieces) else (s, pieces) for s, pieces in found]
    alone = [(s, pieces[0]) for s, pieces in found if len(pieces) == 1]
    others = [(s, pieces) for s, pieces in found if len(pieces) > 1]
    return [(s, (q,)) for s, q in _sharing(_until_stable(alone, _joined_pieces))] + others


def _sharing(summands: list[tuple[Node, Piece]]) -> list[tuple[Node, Piece]]:
    """Compute a row J'p of rank one from the matrix J of an L' diag(d) R beside it: J'(diag(p) - p p')J takes one J."""
    matrices = {q.nodes[0].key: q.nodes[0] for _, q in summands if q.kind == "product"}
    shared = []
    for s, q in summands:
        for vector, matrix in q.opened:
            if matrix.key in matrices:
                row = build("einsum", vector, matrices[matrix.key], params=("a,ab->b",))
                row = build("reshape", row, params=(q.nodes[0].shape,))
                q = Piece("product", q.axes, (row, q.nodes[1], row))
                break
        shared.append((s, q))
    return shared


def _until_stable(items: list[Any], join: Callable[[Any, Any], Any]) -> list[Any]:
    """Join pairs for as long as there is one to join."""
    while True:
        for i, j in itertools.combinations(range(len(items)), 2):
            joined = join(items[i], items[j])
            if joined is not None:
                items = [*items[:i], joined, *items[i + 1 : j], *items[j + 1 :]]
                break
        else:
            return items


def _joined_products(a: Summand, b: Summand) -> Summand | None:
    """Add two products of several pieces that differ in one place, or in none."""
    (s, mine), (t, theirs) = a, b
    if len(mine) < 2 or [x.axes for x in mine] != [x.axes for x in theirs]:
        return None
    places = [i for i, (x, y) in enumerate(zip(mine, theirs, strict=True)) if x.key != y.key]
    if len(places) > 1:
        return None
    place = places[0] if places else 0
    added = _until_stable([*_summands(s, mine[place]), *_summands(t, theirs[place])], _joined_pieces)
    if len(added) == 1:
        scale, piece = added[0]
    else:
        scale, piece = constant(1.0), Piece("sum", mine[place].axes, summands=tuple(_sharing(added)))
    return scale, (*mine[:place], piece, *mine[place + 1 :])


def _summands(scale: Node, piece: Piece) -> tuple[tuple[Node, Piece], ...]:
    if piece.kind == "sum":
        return tuple([(scaled(scale, s), q) for s, q in piece.summands])
    return ((scale, piece),)


def _joined_pieces(a: tuple[Node, Piece], b: tuple[Node, Piece]) -> tuple[Node, Piece] | None:
    """Add pieces that are equal but for their numbers, or L' diag(d) R that share d and one side."""
    (s, mine), (t, theirs) = a, b
    if mine.key == theirs.key:
        return build("add", s, t), mine
    if mine.kind != "product" or theirs.kind != "product" or mine.axes != theirs.axes:
        return None
    (left, d, right), (left_b, d_b, right_b) = mine.nodes, theirs.nodes
    if left.shape != left_b.shape or scaled(s, d).key != scaled(t, d_b).key:
        return None
    if left.key == left_b.key:
        return s, Piece("product", mine.axes, (left, d, _sum_of(right, right_b)))
    if right.key == right_b.key:
        return s, Piece("product", mine.axes, (_sum_of(left, left_b), d, right))
    return None


def _sum_of(a: Node, b: Node) -> Node:
    """Add in an order that does not depend on which comes first, so that equal sums are one."""
    return build("add", *sorted([a, b], key=lambda x: x.key))


def _rank_one(pieces: Sequence[Piece]) -> bool:
    return len(pieces) > 1 and all(q.kind == "product" and q.nodes[0].shape[0] == 1 for q in pieces)


def _flat(pieces: Sequence[Piece]) -> Piece:
    """Write a Kronecker product of rank-one pieces as one of rank one."""

    def flat(side: int) -> Node:
        whole = pieces[0].nodes[side]
        for q in pieces[1:]:
            outer = build("einsum", whole, q.nodes[side], params=("ab,ac->abc",))
            whole = build("reshape", outer, params=((1, math.prod(outer.shape)),))
        return whole

    weights = pieces[0].nodes[1]
    for q in pieces[1:]:
        weights = scaled(weights, q.nodes[1])
    axes = tuple([a for q in pieces for a in q.axes])
    return Piece("product", axes, (flat(0), weights, flat(2)))


def scaled(scale: Node, node: Node) -> Node:
    """Multiply by a number, unless it is 1."""
    if scale.op == "constant" and not scale.shape and scale.value == 1:
        return node
    return build("mul", scale, node)
