"""Powers of sums and of terms, entry by entry."""

from __future__ import annotations

import math
from fractions import Fraction

from thalweg.expr.node import Node, build, constant
from thalweg.expr.rows import Shape
from thalweg.expr.terms_attributes import nonnegative
from thalweg.expr.terms_canonical import canonical, collected, single
from thalweg.expr.terms_core import Factor, Term, Terms, expand, negative, relabelled, times
from thalweg.expr.terms_nodes import rebuild
from thalweg.expr.terms_numbers import Number, divided_number, magnitude, plain_number

EXPANDED_POWER = 2
"""Whole powers of a sum are multiplied out up to this one."""


def power_of(terms: Terms, power: Number) -> Terms:
    """Raise each entry to a power."""
    shape = terms.shape
    if power == 0:
        return collected(shape, [Term(Fraction(1))])
    if power == 1:
        return terms
    exponent = _one_plus_exp(terms)
    if exponent is not None and power < 0 and isinstance(power, Fraction) and power.denominator == 1:
        sigmoid = expand(build("sigmoid", exponent))
        return power_of(collected(shape, [Term(Fraction(1)), *negative(sigmoid).terms]), -power)
    # The square of a product of matrices, entry by entry, is a product again: norm2(A*x)^2 is x'*A'*A*x.
    network_inside = any(x is not None and x < 0 for t in terms.terms for f in t.factors for x in f.labels)
    if len(terms.terms) == 1 and not (power == EXPANDED_POWER and network_inside):
        return _power_of_term(shape, terms.terms[0], power)
    if power == EXPANDED_POWER and terms.terms:
        return collected(shape, [times(s, t) for s in terms.terms for t in terms.terms])
    if not terms.terms:
        return terms if power > 0 else collected(shape, [Term(math.inf)])
    # A term that is never negative leads where there is one, so that roots and whole powers have the same base.
    lead = next((t.number for t in terms.terms if _never_negative(t)), terms.terms[0].number)
    whole = power.denominator == 1 if isinstance(power, Fraction) else float(power).is_integer()
    scale: Number = magnitude(lead) if not whole else lead
    base = Terms(shape, tuple([Term(divided_number(t.number, scale), t.scalars, t.factors) for t in terms.terms]))
    made = single(rebuild(base), power)
    base_number = ((constant(plain_number(scale)), power),)
    return collected(shape, [Term(t.number, t.scalars + base_number, t.factors) for t in made.terms])


def _one_plus_exp(terms: Terms) -> Node | None:
    """Give u where a sum is 1 + exp(u)."""
    if len(terms.terms) != 2 or any(t.number != 1 for t in terms.terms):
        return None
    one, other = sorted(terms.terms, key=lambda t: len(t.scalars) + len(t.factors))
    if one.scalars or one.factors or len(other.scalars) + len(other.factors) != 1:
        return None
    if other.scalars:
        atom, e = other.scalars[0]
        plain = not terms.shape
    else:
        f = other.factors[0]
        atom, e = f.atom, f.power
        plain = f.labels == tuple(range(len(terms.shape)))
    return atom.inputs[0] if atom.op == "exp" and e == 1 and plain else None


def logarithm(atom: Node) -> Terms | None:
    """Write log(1 + exp(u)) as softplus(u), which does not overflow."""
    exponent = _one_plus_exp(expand(atom.inputs[0]))
    return None if exponent is None else expand(build("softplus", exponent))


def _never_negative(term: Term) -> bool:
    """Say whether a term without its number is >= 0 for sure."""

    def even(e: Number) -> bool:
        return isinstance(e, Fraction) and e.denominator == 1 and e.numerator % 2 == 0

    return all(even(e) or nonnegative(a) for a, e in term.scalars) and all(
        even(f.power) or nonnegative(f.atom) for f in term.factors
    )


def _power_of_term(shape: Shape, term: Term, power: Number) -> Terms:
    whole = power.denominator == 1 if isinstance(power, Fraction) else float(power).is_integer()
    number, sign = term.number, Fraction(1)
    if number < 0 and not whole:
        number, sign = -number, Fraction(-1)  # the sign stays with the base
    scalars: list[tuple[Node, Number]] = []
    stuck: list[tuple[Node, Number]] = []
    for atom, e in term.scalars:
        (scalars if whole or nonnegative(atom) else stuck).append((atom, e))
    factors: list[Factor] = []
    held: list[Factor] = []
    summed = {x for f in term.factors for x in f.labels if x is not None and x < 0}
    for f in term.factors:
        bound = any(x in summed for x in f.labels)
        (factors if not bound and (whole or nonnegative(f.atom)) else held).append(f)
    out = [Term(Fraction(1), ((constant(plain_number(number)), power), *[(a, e * power) for a, e in scalars]),
                tuple([Factor(f.atom, f.labels, f.power * power) for f in factors]))]  # fmt: skip
    if held or stuck or sign < 0:
        rest = Term(sign, tuple(stuck), tuple(held))
        axes = sorted({x for f in held for x in f.labels if x is not None and x >= 0})
        own_shape = tuple([shape[a] for a in axes])
        local = relabelled(rest, {a: i for i, a in enumerate(axes)})
        atom = rebuild(Terms(own_shape, (canonical(local) or local,)))
        absolute = _root_of_square(atom, power)
        if absolute is not None:
            atom, power = absolute
        if axes:
            labels = tuple([None if d == 1 else a for a, d in zip(axes, own_shape, strict=True)])
            out = [Term(t.number, t.scalars, (*t.factors, Factor(atom, labels, power))) for t in out]
        else:
            out = [Term(t.number, (*t.scalars, (atom, power)), t.factors) for t in out]
    return collected(shape, out)


def _root_of_square(atom: Node, power: Number) -> tuple[Node, Number] | None:
    """Read (u^2)^p as |u|^(2p)."""
    if atom.op == "square" and not (isinstance(power, Fraction) and power.denominator == 1):
        return build("abs", atom.inputs[0]), 2 * power
    return None


def parted_power(atom: Node) -> Terms | None:
    """Take what is a number out of a varying exponent: b^(p-2) is b^p b^-2, and sqrt(q)^p is q^(p/2).

    Powers of one base then have one form, whatever number their exponents differ by.
    """
    base, exponent = atom.inputs
    if atom.shape:
        return None
    terms = expand(exponent).terms
    moving = [t for t in terms if t.scalars]
    fixed = sum([t.number for t in terms if not t.scalars], Fraction(0))
    inner = expand(base).terms
    inside = inner[0] if len(inner) == 1 else Term(Fraction(0))
    if inside.number == 1 and len(inside.scalars) == 1 and inside.scalars[0][1] in (Fraction(1, 2), Fraction(1)):
        ((root, by),) = inside.scalars
    elif fixed < 0 and _leads_with_one(expand(base)):
        root, by = base, Fraction(1)
    else:
        return None
    if fixed == 0 and by == 1:
        return None
    varying = rebuild(Terms((), tuple([Term(t.number * by, t.scalars) for t in moving])))
    powers = single(build("pow", root, varying))
    return collected((), [times(s, t) for s in powers.terms for t in power_of(expand(root), fixed * by).terms])


def _leads_with_one(base: Terms) -> bool:
    """Say whether a sum is the base that its own powers are written with."""
    (inverse,) = power_of(base, Fraction(-1)).terms or (Term(Fraction(0)),)
    return len(base.terms) > 1 and inverse.number == 1
