"""Norms recognised: a scalar that is the square of a vector's or a matrix's norm, of however many terms."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from fractions import Fraction
from typing import TYPE_CHECKING

from thalweg.expr.node import Node
from thalweg.expr.terms import Factor, Label, Term, Terms, expand, network, ordered, relabelled
from thalweg.expr.terms import collected as collect
from thalweg.expr.typeset import Formula, call, cost

if TYPE_CHECKING:
    from thalweg.expr.matrixform import Writer

MOST_PARTS = 4
"""Sums of more squares are not tried: the signs of their cross terms take exponential time."""


def root_of_square(atom: Node, writer: Writer) -> Formula | None:
    """Write sqrt(atom) as the norm of a vector or a matrix; None where it is not seen to be one."""
    base = halves_of_sum(expand(atom)) if atom.op != "einsum" else half(network(atom))
    if base is None:
        return None
    ways = [base]
    if len(base.shape) == 2:
        ways.append(collect(base.shape[::-1], [relabelled(t, {0: 1, 1: 0}) for t in base.terms]))
    ways += [Terms(w.shape, tuple([Term(-t.number, t.scalars, t.factors) for t in w.terms])) for w in ways]
    inner = min([writer.write(w) for w in ways], key=lambda f: (cost(f), f.text))
    return call("norm2" if len(base.shape) == 1 else "normF", inner, scalar=True)


def half(factors: Sequence[Factor]) -> Terms | None:
    """Give u with <u, u> equal to a closed network; None if there is no such product."""
    twice: list[Factor] = []
    for f in factors:
        whole = isinstance(f.power, Fraction) and f.power.denominator == 1
        if whole and f.power % 2 == 0:
            twice += [Factor(f.atom, f.labels, f.power / 2)] * 2
        else:
            twice.append(f)
    labels = sorted({x for f in twice for x in f.labels if x is not None})
    for count in (1, 2):
        for cut in itertools.combinations(labels, count):
            made = _half_at(twice, cut)
            if made is not None:
                return made
    return None


def _half_at(factors: Sequence[Factor], cut: tuple[Label, ...]) -> Terms | None:
    """Open a network at summed labels and look for two equal parts."""
    names: dict[Label, Label | None] = {x: i for i, x in enumerate(cut)}
    opened = relabelled(Term(Fraction(1), (), tuple(factors)), names).factors
    parts = parts_of(opened)
    if any(not any(x is not None and x >= 0 for f in p for x in f.labels) for p in parts):
        return None
    for axis in range(len(cut)):
        if not any(axis in f.labels for f in opened):
            return None
    keyed = sorted([(repr([(f.atom.key, str(f.power), f.labels) for f in ordered(p)]), i) for i, p in enumerate(parts)])
    if len(keyed) % 2 or any(a[0] != b[0] for a, b in zip(keyed[::2], keyed[1::2], strict=True)):
        return None
    chosen = [f for k, (_, i) in enumerate(keyed) if k % 2 == 0 for f in parts[i]]
    sizes = {x: d for f in chosen for x, d in zip(f.labels, f.atom.shape, strict=True) if x is not None}
    if any(axis not in sizes for axis in range(len(cut))):
        return None
    shape = tuple([sizes[axis] for axis in range(len(cut))])
    return collect(shape, [Term(Fraction(1), (), tuple(chosen))])


def parts_of(factors: Sequence[Factor]) -> list[list[Factor]]:
    """Split a network at its axes."""
    rest = list(factors)
    found = []
    while rest:
        part = [rest.pop(0)]
        labels = {x for x in part[0].labels if x is not None and x < 0}
        grown = True
        while grown:
            grown = False
            for f in list(rest):
                if labels & set(f.labels):
                    rest = [x for x in rest if x is not f]
                    part.append(f)
                    labels |= {x for x in f.labels if x is not None and x < 0}
                    grown = True
        found.append(part)
    return found


def halves_of_sum(terms: Terms) -> Terms | None:
    """Give u with <u, u> equal to a sum of scalars, such as x'A'Ax - 2b'Ax + b'b."""
    squares: list[tuple[Terms, Term]] = []
    for t in terms.terms:
        if len(t.scalars) != 1 or t.scalars[0][1] != 1 or t.factors or t.number <= 0:
            continue
        atom = t.scalars[0][0]
        found = half(network(atom)) if atom.op == "einsum" else None
        scale = root_of_number(t.number)
        if found is not None and scale is not None:
            one = found.terms[0]
            squares.append((found, Term(one.number * scale, one.scalars, one.factors)))
    # Cross terms may be squares themselves; the sum of all squares is tried first.
    if not 1 < len(squares) <= MOST_PARTS or len(terms.terms) > len(squares) * (len(squares) + 1) // 2:
        return None
    shapes = {u.shape for u, _ in squares}
    if len(shapes) != 1:
        return _turned_to_match(squares, terms)
    return _signed(squares, terms)


def _turned_to_match(squares: list[tuple[Terms, Term]], terms: Terms) -> Terms | None:
    """Turn matrices so that all have the shape of the first."""
    first = squares[0][0].shape
    turned = []
    for u, t in squares:
        if u.shape == first[::-1] and len(first) == 2:
            u, t = Terms(first, ()), relabelled(t, {0: 1, 1: 0})
        if u.shape != first:
            return None
        turned.append((u, t))
    return _signed(turned, terms)


def _signed(squares: list[tuple[Terms, Term]], terms: Terms) -> Terms | None:
    shape = squares[0][0].shape
    for signs in itertools.product((1, -1), repeat=len(squares) - 1):
        u = collect(shape, [Term(t.number * s, t.scalars, t.factors)
                            for (_, t), s in zip(squares, (1, *signs), strict=True)])  # fmt: skip
        if _square(u).key == terms.key:
            return u
    return None


def _square(u: Terms) -> Terms:
    """Multiply out <u, u>."""
    axes = range(len(u.shape))
    left: dict[Label, Label | None] = {a: -(a + 1) * 10**7 for a in axes}
    made = []
    for i, s in enumerate(u.terms):
        for j, t in enumerate(u.terms):
            apart = {x: -(2 * 10**8) - 1000 * (i * len(u.terms) + j) + x for f in t.factors for x in f.labels
                     if x is not None and x < 0}  # fmt: skip
            second = relabelled(relabelled(t, apart), left)
            first = relabelled(s, left)
            made.append(Term(s.number * t.number, s.scalars + t.scalars, first.factors + second.factors))
    return collect((), made)


def root_of_number(value: Fraction | float) -> Fraction | None:
    """Give a number's square root if it is a fraction."""
    if not isinstance(value, Fraction):
        return None
    top, bottom = math.isqrt(value.numerator), math.isqrt(value.denominator)
    return Fraction(top, bottom) if top * top == value.numerator and bottom * bottom == value.denominator else None
