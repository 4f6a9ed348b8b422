"""Quotients of sums: terms brought over one denominator, and divided by it, where that leaves fewer of them.

1/(1+x)-x/(1+x)^2 is 1/(1+x)^2, and (1/t-1)/(1-t)^2 is 1/(t*(1-t)): the normal form multiplies sums out, and so loses
what a numerator has in common with its denominator.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from thalweg.expr.node import Node
from thalweg.expr.terms import Factor, Label, Term, Terms, expand, is_sum
from thalweg.expr.terms import collected as collect
from thalweg.expr.terms_core import joined, relabelled_apart, times

MOST_POWERS = 3
"""Sums are not multiplied out to higher powers."""

MOST_TERMS = 12
"""Longer sums are left as they are."""

Labels = tuple[Label | None, ...]


def fewer_quotients(terms: Terms) -> Terms | None:
    """Give a sum of fewer terms over one denominator; None where there is none."""
    if not 2 <= len(terms.terms) <= MOST_TERMS:
        return None
    for atom, labels in _denominators(terms):
        better = _over_one(terms, atom, labels) or (_divided(terms, atom) if labels is None else None)
        if better is not None:
            return better
    return None


def _denominators(terms: Terms) -> Iterator[tuple[Node, Labels | None]]:
    """Give each sum by which a term is divided, with its labels (None for a scalar)."""
    found: dict[object, tuple[Node, Labels | None]] = {}
    for t in terms.terms:
        for a, e in t.scalars:
            if e < 0 and is_sum(a):
                found[a.key] = (a, None)
        for f in t.factors:
            if f.power < 0 and is_sum(f.atom) and all(x is not None and x >= 0 for x in f.labels):
                found[f.atom.key, f.labels] = (f.atom, f.labels)
    yield from found.values()


def _parted(t: Term, atom: Node, labels: Labels | None) -> tuple[Fraction | None, Term]:
    """Give the power of an atom in a term (None if it is no fraction), and the term without it."""
    powers = [e for a, e in t.scalars if a is atom] if labels is None else [
        f.power for f in t.factors if f.atom is atom and f.labels == labels]  # fmt: skip
    scalars = tuple([x for x in t.scalars if labels is not None or x[0] is not atom])
    factors = tuple([f for f in t.factors if labels is None or f.atom is not atom or f.labels != labels])
    e = powers[0] if powers else Fraction(0)
    return (e if isinstance(e, Fraction) else None), Term(t.number, scalars, factors)


def _over_one(terms: Terms, atom: Node, labels: Labels | None) -> Terms | None:
    """Bring all terms over the lowest power of a sum."""
    parted = [_parted(t, atom, labels) for t in terms.terms]
    known = [e for e, _ in parted if e is not None]
    lowest = min(known)
    missing = [e - lowest for e in known]
    if len(known) < len(parted) or not any(missing) or any(m.denominator != 1 or m > MOST_POWERS for m in missing):
        return None
    own = {} if labels is None else dict(enumerate(labels))
    numerator: list[Term] = []
    for (_, rest), m in zip(parted, missing, strict=True):
        made = [rest]
        for _ in range(int(m)):
            made = [joined(s, relabelled_apart(t, own)) for s in made for t in expand(atom).terms]
        numerator += made
    return _with(collect(terms.shape, numerator), atom, labels, lowest, len(terms.terms))


def _with(numerator: Terms, atom: Node, labels: Labels | None, power: Fraction, most: int) -> Terms | None:
    """Divide the numerator, if it is shorter than that."""
    if len(numerator.terms) >= most:
        return None
    below = Term(Fraction(1), ((atom, power),)) if labels is None else Term(
        Fraction(1), (), (Factor(atom, labels, power),))  # fmt: skip
    return collect(numerator.shape, [joined(t, below) for t in numerator.terms])


def _divided(terms: Terms, atom: Node) -> Terms | None:
    """Divide a numerator that is a multiple of its denominator's sum, all terms being over the same power of it."""
    parted = [_parted(t, atom, None) for t in terms.terms]
    power = parted[0][0]
    divisor = expand(atom).terms
    if power is None or any(e != power for e, _ in parted):
        return None
    symbols = sorted({a.key for t in divisor for a, _ in t.scalars})

    def degrees(t: Term) -> list[float]:
        return [float(sum([e for a, e in t.scalars if a.key == key], Fraction(0))) for key in symbols]

    lead = max(divisor, key=degrees)
    rest = collect(terms.shape, [t for _, t in parted])
    quotient: list[Term] = []
    while rest.terms and len(quotient) < len(parted):
        top = max(rest.terms, key=degrees)
        number = top.number / lead.number
        quotient.append(Term(number, (*top.scalars, *[(a, -e) for a, e in lead.scalars]), top.factors))
        minus = Term(-number, quotient[-1].scalars, quotient[-1].factors)
        taken = [times(minus, t) for t in divisor]
        rest = collect(terms.shape, [*rest.terms, *taken])
    return None if rest.terms else _with(collect(terms.shape, quotient), atom, None, power + 1, len(parted))
