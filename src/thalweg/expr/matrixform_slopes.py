"""The slopes of the sigmoid and of tanh, taken out of sums as factors: s*(1-s), 1-tanh(u)^2."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import TYPE_CHECKING

from thalweg.expr.terms import Factor, Number, Term, Terms, collected
from thalweg.expr.typeset import Formula, call, chain, entries, negated, number, scaled, total

if TYPE_CHECKING:
    from thalweg.expr.matrixform import Writer

Wrap = Callable[[Formula], Formula]


def wrapped(wrap: Wrap, inner: Formula) -> Formula:
    """Put a factor to what is left; a minus before all of that goes to the front."""
    if inner.kind == "sum" and isinstance(inner.data, tuple) and not any(inner.data):
        return negated(wrap(negated(inner)))
    return wrap(inner)


_SLOPES = {"sigmoid": 1, "tanh": 2}
"""Functions f with f' = f (1-f) and f' = 1 - f^2: sums with the factor 1 - f^power are divided by it."""


def slopes(terms: Terms, writer: Writer) -> list[Formula]:
    """Take 1-s(u) for a sigmoid s, and 1-tanh(u)^2, out of scalars and columns."""
    atoms = {a.key: (a, False) for t in terms.terms for a, _ in t.scalars if a.op in _SLOPES}
    if len(terms.shape) == 1:
        atoms |= {f.atom.key: (f.atom, True) for t in terms.terms for f in t.factors
                  if f.atom.op in _SLOPES and f.labels == (0,)}  # fmt: skip
    found = []
    for key, (atom, by_entry) in sorted(atoms.items()):
        quotient = _divided(terms, key, _SLOPES[atom.op], by_entry)
        if quotient is None:
            continue
        base = writer.powered(writer.atom(atom), Fraction(_SLOPES[atom.op]), by_entry)
        one = call("vector", number(Fraction(1))) if by_entry else number(Fraction(1))
        slope = total([(True, one), (False, base)])
        rest = writer.write(quotient)

        def wrap(f: Formula, slope: Formula = slope, by_entry: bool = by_entry) -> Formula:
            if by_entry:
                return entries([f, slope])
            if terms.shape:
                return chain([*f.parts, slope]) if f.kind == "chain" else scaled([slope], f)
            return scaled([f, slope], number(Fraction(1))) if f.kind != "chain" else Formula(
                "chain", (*f.parts, slope), None, True, True)  # fmt: skip

        found.append(wrapped(wrap, rest))
    return found


def _divided(terms: Terms, key: str, step: int, by_entry: bool) -> Terms | None:
    """Divide a polynomial in an atom by 1 minus its power `step`; None if that leaves a rest."""
    by_rest: dict[object, tuple[Term, dict[int, Number]]] = {}
    atom = None
    for t in terms.terms:
        e: Number = Fraction(0)
        scalars, factors = t.scalars, t.factors
        for a, p in () if by_entry else t.scalars:
            if a.key == key:
                atom, e = a, p
                scalars = tuple([x for x in scalars if x[0] is not a])
        for f in t.factors if by_entry else ():
            if f.atom.key == key and f.labels == (0,):
                atom, e = f.atom, f.power
                factors = tuple([g for g in factors if g is not f])
        if not isinstance(e, Fraction) or e.denominator != 1 or e < 0:
            return None
        rest = collected(terms.shape, [Term(Fraction(1), scalars, factors)])
        held = by_rest.setdefault(rest.key, (rest.terms[0], {}))
        held[1][int(e)] = t.number
    made = []
    for rest_term, powers in by_rest.values():
        carried: dict[int, Number] = {}
        for e in range(max(powers) + 1):
            carried[e] = powers.get(e, Fraction(0)) + carried.get(e - step, Fraction(0))
        top = max(powers)
        if any(carried.get(e, 0) != 0 for e in range(max(0, top - step + 1), top + 1)):
            return None
        for e, c in carried.items():
            if c != 0 and atom is not None:
                if by_entry:
                    more = (Factor(atom, (0,), Fraction(e)),) if e else ()
                    made.append(Term(c * rest_term.number, rest_term.scalars, (*rest_term.factors, *more)))
                else:
                    extra = ((atom, Fraction(e)),) if e else ()
                    made.append(Term(c * rest_term.number, (*rest_term.scalars, *extra), rest_term.factors))
    return collected(terms.shape, made)
