"""Squares completed: sums that are, in part, the square of a sum are written as that square.

x'*M*x-2*(u'*M*x)+u'*M*u is (x-u)'*M*(x-u), and s^2+2*s+1 is (s+1)^2: of numbers, of entries, and of quadratic forms. A
square of two parts has three terms; others that fit are joined to it one by one, and what is left over is added.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from thalweg.expr.matrixform_squares import half, parts_of, root_of_number
from thalweg.expr.node import Node
from thalweg.expr.rows import Shape
from thalweg.expr.terms import Factor, Label, Number, Term, Terms, magnitude, network, ordered, relabelled
from thalweg.expr.terms import collected as collect
from thalweg.expr.terms_core import joined, relabelled_apart, term_key, times
from thalweg.expr.typeset import Formula, call, cost, dot, number, power, total, transposed

if TYPE_CHECKING:
    from thalweg.expr.matrixform import Writer

MOST_TERMS = 24
"""Longer sums are not looked through."""


@dataclass(frozen=True)
class Square:
    """A term that is ``number`` times <u, core u>, or times u^2 entry by entry where u has the term's axes."""

    number: Fraction
    u: Terms
    core: Terms | None


def completed(terms: Terms, writer: Writer) -> list[Formula]:
    """Give the formulas of a sum that take the square of a sum out of it."""
    if not 3 <= len(terms.terms) <= MOST_TERMS:
        return []
    groups: dict[object, list[Square]] = {}
    for t in terms.terms:
        for s in _squares(terms.shape, t):
            key = s.number > 0, tuple(sorted(map(str, s.u.shape))), None if s.core is None else s.core.key
            groups.setdefault(key, []).append(s)
    numbers = {term_key(t): t.number for t in terms.terms}
    found = []
    for group in groups.values():
        used: set[int] = set()
        for i, first in enumerate(group):
            if i in used:
                continue
            u, members = first.u, {i}
            for j in range(i + 1, len(group)):
                grown = _joined(u, first, group[j], numbers, terms.shape)
                if grown is not None:
                    u, members = grown, members | {j}
            common = set.intersection(*[{(a.key, e) for a, e in t.scalars} for t in u.terms])
            if len(members) == 1 or common:  # what all have in common is taken out before
                continue
            rest = _rest(terms, first, u)
            if len(terms.terms) - len(rest.terms) >= len(members) * (len(members) + 1) // 2:
                used |= members
                square = writer.scalar_part(Term(magnitude(first.number)), _written(u, first, terms.shape, writer))
                signed = [(first.number > 0, square)]
                found.append(total([*signed, *([(True, writer.beside(rest))] if rest.terms else [])]))
    return found


def _squares(shape: Shape, t: Term) -> Iterator[Square]:
    """Read a term as a square, in each way there is."""
    if not isinstance(t.number, Fraction):
        return
    outer: list[tuple[Node, Number]] = []
    odd: list[tuple[Node, Number]] = []
    for atom, e in t.scalars:
        even = isinstance(e, Fraction) and e.denominator == 1 and e > 0 and e % 2 == 0
        (outer if even else odd).append((atom, e / 2 if even else e))
    scale = Term(Fraction(1), tuple(outer))
    if not odd:
        paired = _paired_factors(t.factors)
        if paired is not None:
            yield Square(t.number, collect(shape, [times(scale, Term(Fraction(1), (), paired))]), None)
        return
    (atom, e), *others = odd
    if others or e != 1 or atom.op != "einsum" or shape:
        return
    factors = network(atom)
    u = half(factors)
    if u is not None:
        yield Square(t.number, collect(u.shape, [times(scale, s) for s in u.terms]), None)
        return
    swap: dict[Label, Label | None] = {0: 1, 1: 0}
    ends = [f for f in factors if len(f.labels) == 1 and f.power == 1]
    for f, g in itertools.combinations(ends, 2):
        (a,), (b,) = f.labels, g.labels
        if f.atom is g.atom and a is not None and b is not None:
            inner = [x for x in factors if x is not f and x is not g]
            names: dict[Label, Label | None] = {a: 0, b: 1}
            core = collect((*f.atom.shape, *g.atom.shape), [relabelled(Term(Fraction(1), (), tuple(inner)), names)])
            if core.key == collect(core.shape, [relabelled(x, swap) for x in core.terms]).key:
                vector = Term(Fraction(1), scale.scalars, (Factor(f.atom, (0,)),))
                yield Square(t.number, Terms(f.atom.shape, (vector,)), core)


def _paired_factors(factors: Sequence[Factor]) -> tuple[Factor, ...] | None:
    """Give half of the factors on the axes of a term that is a square entry by entry."""
    parts: list[list[Factor]] = []
    chosen: list[Factor] = []
    for part in parts_of(factors):
        even = len(part) == 1 and isinstance(part[0].power, Fraction) and part[0].power % 2 == 0 and part[0].power > 0
        if even:
            chosen.append(Factor(part[0].atom, part[0].labels, part[0].power / 2))
        else:
            parts.append(part)
    keyed = sorted([(repr([(f.atom.key, str(f.power), f.labels) for f in ordered(p)]), i) for i, p in enumerate(parts)])
    if len(keyed) % 2 or any(a[0] != b[0] for a, b in zip(keyed[::2], keyed[1::2], strict=True)):
        return None
    return (*chosen, *[f for _, i in keyed[::2] for f in parts[i]])


def _turned(u: Terms) -> Terms:
    return collect(u.shape[::-1], [relabelled(t, {0: 1, 1: 0}) for t in u.terms])


def _scaled(u: Terms, by: Number) -> list[Term]:
    return [Term(t.number * by, t.scalars, t.factors) for t in u.terms]


def _joined(
    u: Terms, first: Square, other: Square, numbers: dict[tuple[object, ...], Number], shape: Shape
) -> Terms | None:
    """Add the other's part, with the sign and the size that the terms between the two ask for."""
    size = root_of_number(other.number / first.number)
    for v in (other.u, _turned(other.u)) if len(u.shape) == 2 and not shape else (other.u,):
        if size is None or v.shape != u.shape:
            continue
        between = _product(u, v, first.core, shape)
        met = [numbers.get(term_key(t), Fraction(0)) / (2 * first.number * size * t.number) for t in between.terms]
        if met and abs(met[0]) == 1 and len(set(met)) == 1:
            return collect(u.shape, [*u.terms, *_scaled(v, size * met[0])])
    return None


def _product(u: Terms, v: Terms, core: Terms | None, shape: Shape) -> Terms:
    """Multiply out <u, core v>, or u v entry by entry."""
    made = []
    if shape or not u.shape:
        made = [times(s, t) for s in u.terms for t in v.terms]
    else:
        left: dict[Label, Label | None] = {a: -(a + 1) * 10**7 for a in range(len(u.shape))}
        right: dict[Label, Label | None] = {0: -3 * 10**7} if core is not None else left
        middle = [relabelled_apart(t, {0: -(10**7), 1: -3 * 10**7}) for t in core.terms] if core is not None else [
            Term(Fraction(1))]  # fmt: skip
        made = [joined(joined(relabelled_apart(s, left), m), relabelled_apart(t, right))
                for s in u.terms for m in middle for t in v.terms]  # fmt: skip
    return collect(shape, made)


def _rest(terms: Terms, first: Square, u: Terms) -> Terms:
    """Take the square off the sum."""
    square = _product(u, u, first.core, terms.shape)
    return collect(terms.shape, [*terms.terms, *_scaled(square, -first.number)])


def _written(u: Terms, first: Square, shape: Shape, writer: Writer) -> Formula:
    turned = [_turned(u)] if len(u.shape) == 2 and not shape else []
    ways = [writer.write(Terms(w.shape, tuple(_scaled(w, sign)))) for w in (u, *turned) for sign in (1, -1)]
    # Of x-a and a-x, the unknown first, which is mostly called so.
    inner = min(ways, key=lambda f: (cost(f), not f.text.startswith(("x", "X")), f.text))
    two = number(Fraction(2))
    if first.core is not None:
        return dot([transposed(inner), writer.write(first.core), inner])
    if shape or not u.shape:
        return power(inner, two, bool(shape))
    return power(call("norm2" if len(u.shape) == 1 else "normF", inner, scalar=True), two)
