"""The canonical form of a term and of a sum of terms."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import Any

from thalweg.expr.node import Node
from thalweg.expr.rows import NUMBERS, Shape
from thalweg.expr.terms_core import Factor, Term, Terms, expand, joined, negative, relabelled_apart, term_key, times
from thalweg.expr.terms_nodes import network_node
from thalweg.expr.terms_numbers import Number, exact, power_number, roots_of
from thalweg.expr.terms_order import components, ordered
from thalweg.expr.terms_reduced import reduced


def collected(shape: Shape, terms: Iterable[Term]) -> Terms:
    """Bring terms into canonical form and collect equal ones."""
    found: dict[tuple[Any, ...], tuple[Number, Term]] = {}
    pending = list(terms)
    while pending:
        raw = pending.pop()
        term = canonical(raw)
        if term is None:
            continue
        opened = _opened(term, shape)
        if opened is not None:
            pending.extend(opened)
            continue
        key = term_key(term)
        known = found.get(key)
        found[key] = (term.number + (known[0] if known else 0), term)
    kept = [(key, Term(n, t.scalars, t.factors)) for key, (n, t) in found.items() if n != 0]
    return Terms(shape, tuple([t for _, t in sorted(kept, key=lambda pair: (-len(pair[0][1]), pair[0]))]))


def _opened(term: Term, shape: Shape) -> list[Term] | None:
    """Multiply a sum out that has become a plain factor, its power having come to 1 (or 2)."""
    for k, (atom, e) in enumerate(term.scalars):
        if e in (1, 2) and is_sum(atom):
            rest = Term(term.number, term.scalars[:k] + term.scalars[k + 1 :], term.factors)
            parts = [times(rest, t) for t in expand(atom).terms]
            return parts if e == 1 else [times(p, t) for p in parts for t in expand(atom).terms]
    for k, f in enumerate(term.factors):
        if f.power in (1, 2) and (is_sum(f.atom) or f.atom.op == "einsum"):
            rest = Term(term.number, term.scalars, term.factors[:k] + term.factors[k + 1 :])
            own = {i: x for i, x in enumerate(f.labels)}
            inner = [relabelled_apart(t, own) for t in expand(f.atom).terms]
            parts = [joined(rest, t) for t in inner]
            return parts if f.power == 1 else [
                joined(p, relabelled_apart(t, own)) for p in parts for t in expand(f.atom).terms
            ]  # fmt: skip
    return _without_exp(term)


def _without_exp(term: Term) -> list[Term] | None:
    """Replace exp(u) s(u) by exp(u) - s(u), and exp(-u) s(u) by 1 - s(u), for the sigmoid s."""
    for k, (a, e) in enumerate(term.scalars):
        for j, (b, p) in enumerate(term.scalars):
            sign = _exp_meets_sigmoid(a, e, b, p)
            if sign:
                rest = [x for i, x in enumerate(term.scalars) if i not in (k, j)]
                low = [(a, e - 1)] if e != 1 else []
                fewer = [(b, p - 1)] if p != 1 else []
                first = [(a, e)] if sign > 0 else low
                return [Term(term.number, (*rest, *first, *fewer), term.factors),
                        Term(-term.number, (*rest, *low, (b, p)), term.factors)]  # fmt: skip
    for f in term.factors:
        for g in term.factors:
            sign = _exp_meets_sigmoid(f.atom, f.power, g.atom, g.power) if f.labels == g.labels else 0
            if sign:
                others = [x for x in term.factors if x is not f and x is not g]
                lower = Factor(f.atom, f.labels, f.power - 1)
                less = Factor(g.atom, g.labels, g.power - 1)
                return [Term(term.number, term.scalars, (*others, f if sign > 0 else lower, less)),
                        Term(-term.number, term.scalars, (*others, lower, g))]  # fmt: skip
    return None


def _exp_meets_sigmoid(a: Node, e: Number, b: Node, p: Number) -> int:
    """Give 1 for exp(u) and s(u), -1 for exp(-u) and s(u), else 0."""
    if a.op != "exp" or b.op != "sigmoid" or not all(isinstance(x, Fraction) and x.denominator == 1 and x >= 1
                                                     for x in (e, p)):  # fmt: skip
        return 0
    if a.inputs[0] is b.inputs[0]:
        return 1
    return -1 if expand(a.inputs[0]).key == negative(expand(b.inputs[0])).key else 0


def is_sum(atom: Node) -> bool:
    """Say whether an atom, as `rebuild` writes it, has several terms, or a number in front."""
    return atom.op in ("add", "sub", "neg", "mul", "div", "broadcast_to")


def canonical(term: Term) -> Term | None:
    """Reduce a term's network, split scalars off, and put everything in order; None for 0."""
    if term.number == 0:
        return None
    number, scalars, factors = term.number, list(term.scalars), list(term.factors)
    held = reduced(factors, scalars)
    tied, free = components(held)
    for component in free:
        scalars.append((_scalar_atom(component), Fraction(1)))
    powers: dict[str, tuple[Node, Number]] = {}
    for atom, e in scalars:
        value = atom.value
        if value.__class__ in NUMBERS:
            outside, roots = roots_of(exact(value), e)
            number = number * outside
            for root, power in roots:
                known = powers.get(root.key)
                powers[root.key] = (root, power + (known[1] if known else 0))
            continue
        known = powers.get(atom.key)
        powers[atom.key] = (atom, e + (known[1] if known else 0))
    for key, (atom, e) in list(powers.items()):
        if atom.value.__class__ in NUMBERS and isinstance(e, Fraction) and (e >= 1 or e < 0):
            up = math.floor(e)
            number = number * power_number(exact(atom.value), Fraction(up))
            powers[key] = (atom, e - up)
    if number == 0:
        return None
    kept = tuple(sorted([p for p in powers.values() if p[1] != 0], key=lambda p: p[0].key))
    return Term(number, kept, ordered(tied))


def _scalar_atom(factors: Sequence[Factor]) -> Node:
    """Build the node of a closed network."""
    return network_node((), ordered(factors))


def single(atom: Node, power: Number = Fraction(1)) -> Terms:
    """Give the normal form of a power of an atom."""
    if not atom.shape:
        return Terms((), (Term(Fraction(1), ((atom, power),)),))
    labels = tuple([None if d == 1 else i for i, d in enumerate(atom.shape)])
    return collected(atom.shape, [Term(Fraction(1), (), (Factor(atom, labels, power),))])
