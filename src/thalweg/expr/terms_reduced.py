"""Laws of networks: identities contracted, inverses and orthogonal matrices cancelled, powers joined."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from fractions import Fraction

from thalweg.expr.node import Node, build, constant, lazy_eye
from thalweg.expr.rows import Dimension
from thalweg.expr.terms_attributes import attributes, symmetric
from thalweg.expr.terms_core import Factor, Label, expand
from thalweg.expr.terms_numbers import Number


def reduced(factors: list[Factor], scalars: list[tuple[Node, Number]]) -> list[Factor]:
    """Apply the laws of the identity, of inverses, of orthogonal matrices and of powers until nothing changes."""
    while True:
        changed = _merge_powers(factors, scalars) or _drop_identities(factors, scalars) or _cancel(factors)
        changed = changed or _cancel_networks(factors)
        if not changed:
            return factors


def _merge_powers(factors: list[Factor], scalars: list[tuple[Node, Number]]) -> bool:
    for i, f in enumerate(factors):
        if f.power == 0:
            _dismiss(factors, i, scalars)
            return True
        for j in range(i):
            g = factors[j]
            same_entries = f.labels == g.labels or symmetric(f.atom) and f.labels == g.labels[::-1]
            if f.atom is g.atom and same_entries and f.atom.op != "eye" and not _is_indicator(f.atom):
                factors[j] = Factor(g.atom, g.labels, g.power + f.power)
                del factors[i]
                return True
            pair = _sign_pair(f, g) or _sign_pair(g, f)
            if pair is not None:
                factors[j] = pair
                del factors[i]
                return True
    return False


def _is_indicator(atom: Node) -> bool:
    """Say whether an atom is 0 or 1 everywhere, being sign(relu(u))."""
    return atom.op == "sign" and atom.inputs[0].op == "relu"


def _sign_pair(f: Factor, g: Factor) -> Factor | None:
    """Read sign(u) u as |u|, sign(u) |u| and u/|u| ... as one factor."""
    if f.labels != g.labels:
        return None
    if _is_indicator(f.atom):
        if g.atom is f.atom.inputs[0] and g.power > 0:
            return g
        if g.atom is f.atom and f.power > 0:
            return Factor(f.atom, f.labels)
    if f.atom.op == "sign" and f.power == 1 and g.power == 1:
        if f.atom.inputs[0] is g.atom:
            return Factor(build("abs", g.atom), f.labels)
        if g.atom.op == "abs" and g.atom.inputs[0] is f.atom.inputs[0]:
            return Factor(f.atom.inputs[0], f.labels)
    if f.atom.op == "abs" and f.atom.inputs[0] is g.atom and g.power == 1 and f.power == -1:
        return Factor(build("sign", g.atom), f.labels)
    if f.atom.op == "abs" and f.power == 2:
        return None
    return None


def _dismiss(factors: list[Factor], i: int, scalars: list[tuple[Node, Number]]) -> None:
    """Drop a factor that is 1 everywhere; a summed label that only it had counts its size."""
    f = factors.pop(i)
    used = {x for g in factors for x in g.labels}
    for x, size in dict(zip(f.labels, f.atom.shape, strict=True)).items():
        if x is not None and x < 0 and x not in used:
            scalars.append((size_node(size), Fraction(1)))


def size_node(size: Dimension) -> Node:
    """Give the node of a size."""
    return constant(size) if isinstance(size, int) else build("dimension", params=(size,))


def _drop_identities(factors: list[Factor], scalars: list[tuple[Node, Number]]) -> bool:
    for i, f in enumerate(factors):
        if f.atom.op != "eye":
            continue
        a, b = f.labels
        if f.power != 1 and f.power > 0:
            factors[i] = Factor(f.atom, f.labels)
            return True
        if a == b:
            _dismiss(factors, i, scalars)
            return True
        if a is not None and b is not None and a >= 0 and b >= 0:
            low, high = min(a, b), max(a, b)
            if _lower_axis(factors, i, low, high):
                return True
            continue
        for gone, stays in ((a, b), (b, a)):
            if gone is not None and gone < 0:
                del factors[i]
                size = f.atom.shape[0]
                touched = False
                for j, g in enumerate(factors):
                    if gone in g.labels:
                        factors[j] = Factor(g.atom, tuple([stays if x == gone else x for x in g.labels]), g.power)
                        touched = True
                if not touched and stays is not None and stays < 0 and not any(stays in g.labels for g in factors):
                    scalars.append((size_node(size), Fraction(1)))
                return True
    return False


def _lower_axis(factors: list[Factor], i: int, low: Label, high: Label) -> bool:
    """Where the identity joins two axes of the result, let the other factors have the lower one."""
    changed = False
    for j, g in enumerate(factors):
        if j != i and high in g.labels and not (g.atom.op == "eye" and g.labels in ((low, high), (high, low))):
            factors[j] = Factor(g.atom, tuple([low if x == high else x for x in g.labels]), g.power)
            changed = True
    return changed


def _cancel(factors: list[Factor]) -> bool:
    """Replace inv(A) A, and Q'Q for an orthogonal Q, by the identity."""
    uses: dict[Label | None, int] = {}
    for f in factors:
        for x in f.labels:
            uses[x] = uses.get(x, 0) + 1
    for i, f in enumerate(factors):
        if len(f.labels) != 2 or f.power != 1:
            continue
        for j, g in enumerate(factors):
            if i == j or len(g.labels) != 2 or g.power != 1:
                continue
            for p, q in itertools.product((0, 1), repeat=2):
                shared = f.labels[p]
                if shared is None or shared >= 0 or shared != g.labels[q] or uses[shared] != 2:
                    continue
                if _undoes(f.atom, p, g.atom, q):
                    eye = lazy_eye(f.atom.shape[1 - p])
                    new = Factor(eye, (f.labels[1 - p], g.labels[1 - q]))
                    for k in sorted((i, j), reverse=True):
                        del factors[k]
                    factors.append(new)
                    return True
    return False


def _cancel_networks(factors: list[Factor]) -> bool:
    """Replace inv(M) M by the identity where M is a product of several factors."""
    uses: dict[Label | None, int] = {}
    for f in factors:
        for x in f.labels:
            uses[x] = uses.get(x, 0) + 1
    for i, f in enumerate(factors):
        if f.atom.op != "inv" or f.power != 1 or len(f.labels) != 2:
            continue
        terms = expand(f.atom.inputs[0]).terms
        if len(terms) != 1 or len(terms[0].factors) < 2 or terms[0].number != 1 or terms[0].scalars:
            continue
        for axis in (0, 1):
            shared = f.labels[axis]
            if shared is None or shared >= 0:
                continue
            # inv(M)[a, b] M[b, c] joins M's axis 0 to b; M[c, a] inv(M)[a, b] joins its axis 1 to a.
            for chosen, where in _matches(terms[0].factors, factors, {1 - axis: shared}, i):
                far = where[axis]
                inner = {x for x in where.values() if x is not None and x not in (shared, far)} | {shared}
                held = sum(factors[k].labels.count(x) for k in chosen for x in inner) + f.labels.count(shared)
                if shared == far or far is None or held != sum(uses[x] for x in inner):
                    continue
                pair = (f.labels[1 - axis], far)
                rest = [g for k, g in enumerate(factors) if k != i and k not in chosen]
                factors[:] = [*rest, Factor(lazy_eye(f.atom.shape[0]), pair)]
                return True
    return False


def _matches(
    pattern: Sequence[Factor], factors: Sequence[Factor], names: dict[Label, Label | None], skip: int
) -> Iterable[tuple[list[int], dict[Label, Label | None]]]:
    """Find a pattern's factors among others, with the labels that its labels then stand for."""
    states: list[tuple[list[int], dict[Label, Label | None]]] = [([], dict(names))]
    for p in pattern:
        grown = []
        for chosen, known in states:
            for k, g in enumerate(factors):
                if k == skip or k in chosen or g.atom is not p.atom or g.power != p.power:
                    continue
                for labels in {g.labels, g.labels[::-1]} if symmetric(g.atom) else {g.labels}:
                    new = dict(known)
                    pairs = zip(p.labels, labels, strict=True)
                    fits = all([x is not None and new.setdefault(x, y) == y for x, y in pairs])
                    if fits and len(set(new.values())) == len(new):
                        grown.append(([*chosen, k], new))
        states = grown[:64]
    return states


def _undoes(a: Node, p: int, b: Node, q: int) -> bool:
    """Say whether contracting axis p of a with axis q of b gives the identity."""
    if a.op == "inv" and a.inputs[0] is b:
        return p != q or symmetric(b)
    return a is b and "orthogonal" in attributes(a) and (p == q or symmetric(a))
