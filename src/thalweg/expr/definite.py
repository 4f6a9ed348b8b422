"""Matrices and quadratic forms that are surely positive semidefinite, read off their normal form.

A network of factors is nonnegative as a form if a reflection maps it to itself: each factor goes to an equal one on the
other side, a positive definite matrix may stand across the mirror, and what lies on the mirror is a nonnegative weight.
The network is then a sum of w |P^(1/2) L|^2 over the labels on the mirror: x'*A'*A*x, tr(X'*S*X), x*x', A*diag(w)*A'.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from thalweg.expr.node import Node
from thalweg.expr.terms import Factor, Term, attributes, expand, nonnegative, symmetric

Mirror = dict[int, int]
Known = Callable[[Node], bool]

MOST_FACTORS = 10
"""Longer products are not searched for a mirror: the search takes exponential time."""


def positive_matrix(node: Node, sign: Known = nonnegative) -> bool:
    """Say whether a matrix is positive semidefinite for sure.

    Args:
        node: Shape (n, n).
        sign: Says whether every entry of an atom is nonnegative for sure.

    """
    if node.ndim != 2 or node.shape[0] != node.shape[1]:
        return False
    return all(_positive(term, sign) for term in expand(node).terms)


def _positive(term: Term, sign: Known) -> bool:
    if term.number < 0 or not all(sign(a) or _even(e) for a, e in term.scalars):
        return False
    return mirrored(term.factors, sign, ends=True) is not None


def _even(power: object) -> bool:
    return float(power) % 2 == 0  # type: ignore[arg-type]


def definite(atom: Node) -> bool:
    """Say whether an atom is a positive definite matrix for sure (semidefinite is enough for what it is used for)."""
    if "positive definite" in attributes(atom) or atom.op == "eye":
        return True
    if {"diagonal", "nonnegative"} <= attributes(atom):
        return True
    return atom.op == "inv" and positive_matrix(atom.inputs[0])


def mirrored(factors: Sequence[Factor], sign: Known = nonnegative, ends: bool = False) -> list[tuple[int, int]] | None:
    """Find a reflection under which a network of factors is a nonnegative form.

    Args:
        factors: The network.
        sign: Says whether every entry of an atom is nonnegative for sure.
        ends: Whether the network is a matrix, whose axes 0 and 1 the reflection exchanges.

    Returns:
        Pairs of positions of factors that are exchanged (a pair of equal positions: on the mirror), or None.

    """
    if len(factors) > MOST_FACTORS or any(x is None for f in factors for x in f.labels):
        return None
    network = list(factors)
    start: Mirror = {0: 1, 1: 0} if ends else {}
    for f in factors:
        if ends and f.atom.op == "eye" and set(f.labels) == {0, 1}:
            # A diagonal matrix: both axes are one, and lie on the mirror.
            network = [Factor(g.atom, tuple([0 if x == 1 else x for x in g.labels]), g.power)
                       for g in factors if g is not f]  # fmt: skip
            start = {0: 0}
    return _search(network, sign, list(range(len(network))), start, [])


def _search(
    network: Sequence[Factor], sign: Known, rest: list[int], mirror: Mirror, pairs: list[tuple[int, int]]
) -> list[tuple[int, int]] | None:
    if not rest:
        return pairs if _apart(network, mirror, pairs) else None
    i, *others = rest
    f = network[i]
    for j in (i, *others):
        g = network[j]
        if i != j and (f.atom is not g.atom or f.power != g.power):
            continue
        for image in _images(f, g, i == j, sign):
            grown = _joined(mirror, f, image)
            if grown is not None:
                found = _search(network, sign, [k for k in others if k != j], grown, [*pairs, (i, j)])
                if found is not None:
                    return found
    return None


def _images(f: Factor, g: Factor, alone: bool, sign: Known) -> list[tuple[int, ...]]:
    """Give the labels that those of f may be mapped to if f is mapped to g."""
    labels: tuple[int, ...] = tuple([x for x in g.labels if x is not None])
    if not alone:
        return [labels, labels[::-1]] if len(labels) == 2 and symmetric(f.atom) else [labels]
    found = []
    diagonal = len(labels) == 2 and labels[0] == labels[1] and definite(f.atom)
    if sign(f.atom) or _even(f.power) or diagonal:
        found.append(labels)  # a weight on the mirror
    if len(labels) == 2 and labels[0] != labels[1] and f.power == 1 and definite(f.atom):
        found.append(labels[::-1])
    return found


def _joined(mirror: Mirror, f: Factor, image: Sequence[int]) -> Mirror | None:
    grown = dict(mirror)
    for x, y in zip(f.labels, image, strict=True):
        assert x is not None
        if grown.setdefault(x, y) != y or grown.setdefault(y, x) != x:
            return None
    return grown


def _apart(network: Sequence[Factor], mirror: Mirror, pairs: Sequence[tuple[int, int]]) -> bool:
    """Say whether the two sides touch on the mirror alone: tr(A*A) is no square, though it maps to itself."""
    side: dict[int, int] = {}
    for start in sorted(mirror, reverse=True):
        pending = [(start, side.get(start, 0))]
        if mirror[start] == start:
            continue
        while pending:
            x, here = pending.pop()
            if mirror[x] == x:
                continue
            if x in side:
                if side[x] != here:
                    return False
                continue
            side[x] = here
            pending.append((mirror[x], 1 - here))
            for i, j in pairs:
                if i != j:
                    pending += [(y, here) for k in {i, j} if x in network[k].labels
                                for y in network[k].labels if y is not None]  # fmt: skip
    return True
