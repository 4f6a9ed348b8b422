"""Functions that the normal form writes with others, put back before a formula is written: softmax, the sigmoid of -u.

The normal form knows exp(u) and the sum of its entries, and sigmoids of one of u and -u. Here exp(u)/sum(exp(u))
becomes softmax(u), and 1-sigmoid(u) becomes sigmoid(-u) where that leaves fewer terms.
"""

from __future__ import annotations

from fractions import Fraction

from thalweg.expr.node import Node, build
from thalweg.expr.rows import Dimension
from thalweg.expr.terms import Factor, Label, Number, Term, Terms, counted, expand, network, rebuild, term_node
from thalweg.expr.terms import collected as collect
from thalweg.expr.terms_core import joined, negative


def with_softmax(terms: Terms) -> Terms:
    """Give a sum with softmax in it, to be written and not to be computed with."""
    softened = [_softened(t) for t in terms.terms]
    if all(a is b for a, b in zip(softened, terms.terms, strict=True)):
        return terms
    return collect(terms.shape, softened)


def with_fewer_sigmoids(terms: Terms) -> Terms:
    """Turn the sigmoids of a sum around, or make them a tanh, where that leaves fewer terms; to be written as well."""
    atoms = [a for t in terms.terms for a, _ in t.scalars] + [f.atom for t in terms.terms for f in t.factors]
    for atom in {a.key: a for a in atoms if a.op == "sigmoid"}.values():
        inside = expand(atom.inputs[0])
        halved = Terms(inside.shape, tuple([Term(t.number / 2, t.scalars, t.factors) for t in inside.terms]))
        ways = [(build("sigmoid", rebuild(negative(inside))), Fraction(1), Fraction(-1))]
        if all(isinstance(t.number, Fraction) and t.number.denominator == 1 for t in halved.terms):
            ways.append((build("tanh", rebuild(halved)), Fraction(1, 2), Fraction(1, 2)))
        for other, first, by in ways:
            better = _replaced(terms, atom, other, first, by)
            if better is not None and len(better.terms) < len(terms.terms):
                terms = better
                break
    return terms


def total_of_exponentials(atom: Node) -> Node | None:
    """Give u where a scalar is the sum of the entries of exp(u), for a column u."""
    if atom.op != "einsum" or len(atom.inputs) != 1 or atom.inputs[0].op != "exp" or atom.inputs[0].ndim != 1:
        return None
    return atom.inputs[0].inputs[0]


def _softened(term: Term) -> Term:
    """Divide as many of a term's factors exp(u) by their sum as the term is divided by it."""
    for total, e in term.scalars:
        u = total_of_exponentials(total)
        if u is None or not isinstance(e, Fraction) or e.denominator != 1 or e >= 0:
            continue
        left = -int(e)
        factors = []
        for f in term.factors:
            made, left = _divided(f, u, left, 1)
            factors += made
        scalars: list[tuple[Node, Number]] = []
        for atom, p in term.scalars:
            times_met = int(p) if isinstance(p, Fraction) and p.denominator == 1 and p > 0 else 0
            if atom.op == "einsum" and atom is not total and times_met:
                inner = []
                for f in network(atom):
                    made, left = _divided(f, u, left, times_met)
                    inner += made
                atom = term_node((), Term(Fraction(1), (), tuple(inner)))
            if atom is not total:
                scalars.append((atom, p))
        if left < -e:
            return Term(term.number, (*scalars, (total, Fraction(-left))), tuple(factors))
    return term


def _divided(f: Factor, u: Node, left: int, at_once: int) -> tuple[list[Factor], int]:
    """Divide a power of exp(u) by as many of the ``left`` sums as it can take, ``at_once`` for each."""
    whole = isinstance(f.power, Fraction) and f.power.denominator == 1 and f.power > 0
    if f.atom.op != "exp" or f.atom.inputs[0] is not u or not whole:
        return [f], left
    count = min(int(f.power), left // at_once)
    if not count:
        return [f], left
    made = [Factor(build("softmax", u, params=(-1,)), f.labels, Fraction(count))]
    if f.power != count:
        made.append(Factor(f.atom, f.labels, f.power - count))
    return made, left - count * at_once


def _replaced(terms: Terms, atom: Node, other: Node, first: Fraction, by: Fraction) -> Terms | None:
    """Write first + by * other for an atom; None where a power of it is no whole one."""
    made: list[Term] = []
    for t in terms.terms:
        held: list[tuple[Factor | None, Number]] = [(None, e) for a, e in t.scalars if a is atom]
        held += [(f, f.power) for f in t.factors if f.atom is atom]
        opened = [Term(t.number, tuple([x for x in t.scalars if x[0] is not atom]),
                       tuple([f for f in t.factors if f.atom is not atom]))]  # fmt: skip
        summed: list[tuple[Label, Dimension]] = []
        for f, e in held:
            if not isinstance(e, Fraction) or e.denominator != 1 or e < 0:
                return None
            more = Term(by, ((other, Fraction(1)),)) if f is None else Term(by, (), (Factor(other, f.labels),))
            for _ in range(int(e)):
                opened = [x for s in opened for x in (joined(s, Term(first)), joined(s, more))]
            if f is not None:
                pairs = zip(f.labels, f.atom.shape, strict=True)
                summed += [(label, size) for label, size in pairs if label is not None and label < 0]
        made += [counted(s, dict(summed).items()) for s in opened]
    return collect(terms.shape, made)
