"""Common factors of a sum, taken out again: numbers, scalars, then matrices and columns on the left and on the right.

Each way of taking a factor off a term is a `Peel`: what is taken, what is left, and how the two are put together. Terms
that share a peel are put together; what is left is written by the same means, and so is what does not share it. The
writer compares the texts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import gcd, lcm
from typing import TYPE_CHECKING

from thalweg.expr.matrixform_network import NoMatrixFormError
from thalweg.expr.matrixform_squares import parts_of
from thalweg.expr.rows import Dimension, Shape
from thalweg.expr.terms import Factor, Label, Number, Term, Terms, collected, ordered, relabelled
from thalweg.expr.terms import symmetric as is_symmetric
from thalweg.expr.typeset import (
    Formula,
    call,
    chain,
    entries,
    entries_over,
    is_number,
    negated,
    number,
    scaled,
    total,
    transposed,
)

if TYPE_CHECKING:
    from thalweg.expr.matrixform import Writer

Wrap = Callable[[Formula], Formula]
_WIDTHS = ((4, 8), (8, 4), (16, 2))
"""Ways tried for sums of at most so many terms; for longer ones, one."""


@dataclass(frozen=True)
class Peel:
    """A factor that can be taken off a term.

    Attributes:
        key: What tells factors apart.
        power: How much of it the term has.
        weight: How long it is.
        take: ``take(power)`` gives the rest of the term.
        finish: ``finish(rests, power)`` gives the shape of what is left and how it is put together.

    """

    key: tuple[object, ...]
    power: Number
    weight: int
    take: Callable[[Number], Term]
    finish: Callable[[Sequence[Term], Number], tuple[Shape, Sequence[Term], Wrap] | None]


def factored(terms: Terms, writer: Writer) -> list[Formula]:
    """Give formulas of a sum of several terms that take something out of it."""
    found = _with_content(terms, writer)
    groups: dict[tuple[object, ...], list[tuple[int, Peel]]] = {}
    for i, t in enumerate(terms.terms):
        for peel in _peels(terms, t, writer):
            groups.setdefault(peel.key, []).append((i, peel))
    shared = [g for g in groups.values() if len({i for i, _ in g}) > 1]
    shared.sort(key=lambda g: (-len(g), -g[0][1].weight, repr(g[0][1].key)))
    width = next((w for most, w in _WIDTHS if len(terms.terms) <= most), 1)
    for group in shared[:width]:
        found += _grouped(terms, group, writer)
    return found


def _grouped(terms: Terms, group: list[tuple[int, Peel]], writer: Writer) -> list[Formula]:
    members = {i: peel for i, peel in reversed(group)}
    others = tuple([t for i, t in enumerate(terms.terms) if i not in members])
    sizes = [peel.power for peel in members.values()]
    amounts = {min(sizes, key=abs)}
    if sizes[0] < 0 and members[group[0][0]].key[0] == "scalar":
        amounts.add(max(sizes, key=abs))
    found = []
    for amount in sorted(amounts, key=abs):
        done = group[0][1].finish([peel.take(amount) for peel in members.values()], amount)
        if done is None:
            continue
        shape, rests, wrap = done
        whole = _wrapped(wrap, writer.write(collected(shape, rests)))
        if others:
            whole = total([(True, whole), (True, writer.write(Terms(terms.shape, others)))])
        found.append(whole)
    return found


def _wrapped(wrap: Wrap, inner: Formula) -> Formula:
    """Put a factor to what is left; a minus before all of that goes to the front."""
    if inner.kind == "sum" and isinstance(inner.data, tuple) and not any(inner.data):
        return negated(wrap(negated(inner)))
    return wrap(inner)


def _with_content(terms: Terms, writer: Writer) -> list[Formula]:
    """Take the greatest common number out, with either sign."""
    numbers = [t.number for t in terms.terms]
    if all(isinstance(x, Fraction) for x in numbers):
        whole = [Fraction(x) for x in numbers]
        content = Fraction(gcd(*[x.numerator for x in whole]), lcm(*[x.denominator for x in whole]))
    else:
        content = Fraction(1)
    found = []
    signs = (1, -1) if content != 1 else ((-1,) if all(x < 0 for x in numbers) else ())
    for sign in signs:
        inner = writer.write(
            Terms(terms.shape, tuple([Term(t.number / (content * sign), t.scalars, t.factors) for t in terms.terms]))
        )
        made = writer.scalar_part(Term(content), inner)
        found.append(made if sign > 0 else negated(made))
    return found


def _peels(terms: Terms, term: Term, writer: Writer) -> list[Peel]:
    found = [_scalar_peel(terms, term, k, writer) for k in range(len(term.scalars))]
    rank = len(terms.shape)
    if rank == 0 or not term.factors:
        return found
    if rank > 2:
        return found + _kronecker_peels(terms, term, writer)
    parts = parts_of(term.factors)
    for k, part in enumerate(parts):
        others = [f for j, p in enumerate(parts) if j != k for f in p]
        axes = {x for f in part for x in f.labels if x is not None and x >= 0}
        if rank == 2 and len(axes) == 2:
            found += _whole_peels(terms, term, part, others, writer)
        elif len(axes) == 1:
            found.append(_column_peel(terms, term, part, others, axes.pop(), writer))
        for a in range(rank):
            peel = _matrix_peel(terms, term, part, others, a, writer)
            if peel is not None:
                found.append(peel)
    return found


def _scalar_peel(terms: Terms, term: Term, k: int, writer: Writer) -> Peel:
    atom, e = term.scalars[k]

    def take(amount: Number) -> Term:
        rest = ((atom, e - amount),) if e != amount else ()
        return Term(term.number, (*term.scalars[:k], *rest, *term.scalars[k + 1 :]), term.factors)

    def finish(rests: Sequence[Term], amount: Number) -> tuple[Shape, Sequence[Term], Wrap]:
        return terms.shape, rests, lambda f: writer.scalar_part(Term(Fraction(1), ((atom, amount),)), f)

    return Peel(("scalar", atom.key, e > 0), e, len(writer.atom(atom).text), take, finish)


def _key_of(part: Sequence[Factor]) -> tuple[object, ...]:
    return tuple([(f.atom.key, str(f.power), f.labels) for f in ordered(part)])


def _has_axis(t: Term, axis: int) -> bool:
    return any(axis in f.labels for f in t.factors)


def _column_peel(
    terms: Terms, term: Term, part: list[Factor], others: list[Factor], axis: int, writer: Writer
) -> Peel:
    """A column on an axis: entry by entry beside others on it, a diagonal matrix beside a matrix, else outer."""
    single = part[0] if len(part) == 1 and len(part[0].labels) == 1 else None
    size = terms.shape[axis]

    def take(amount: Number) -> Term:
        left = [] if single is None or single.power == amount else [
            Factor(single.atom, single.labels, single.power - amount)]  # fmt: skip
        return Term(term.number, term.scalars, (*others, *left))

    def finish(rests: Sequence[Term], amount: Number) -> tuple[Shape, Sequence[Term], Wrap] | None:
        if single is not None:
            up = writer.powered(writer.atom(single.atom), abs(amount), True)
            column = up if amount > 0 else entries_over(number(Fraction(1)), up)
        else:
            own = relabelled(Term(Fraction(1), (), tuple(part)), {axis: 0})
            up = column = writer.body(Terms((size,), ()), own)
        held = [_has_axis(t, axis) for t in rests]
        if len(terms.shape) == 1:
            if not any(held):
                return (), rests, lambda f: scaled([f], column)
            if amount < 0:
                return terms.shape, rests, lambda f: entries_over(f, up)
            return terms.shape, rests, lambda f: entries([column, f])
        if not any(held):
            shape = (terms.shape[1 - axis],)
            lowered = [relabelled(t, {1 - axis: 0}) for t in rests]
            if axis == 0:
                return shape, lowered, lambda f: chain([column, transposed(f)])
            return shape, lowered, lambda f: chain([f, transposed(column)])
        if not all(held):
            return None
        diagonal = call("diag", column, symmetric=True)
        return terms.shape, rests, lambda f: chain([diagonal, f] if axis == 0 else [f, diagonal])

    key = ("power", axis, single.atom.key, single.power > 0) if single else ("column", axis, _key_of(part))
    weight = sum(len(writer.atom(f.atom).text) for f in part)
    return Peel(key, single.power if single else Fraction(1), weight, take, finish)


def _whole_peels(
    terms: Terms, term: Term, part: list[Factor], others: list[Factor], writer: Writer
) -> list[Peel]:
    """A matrix on both axes: the identity, with columns on its diagonal, or a factor entry by entry."""
    rest = Term(term.number, term.scalars, tuple(others))
    if len(part) == 1 and part[0].atom.op == "eye":

        def diagonal(rests: Sequence[Term], _: Number) -> tuple[Shape, Sequence[Term], Wrap]:
            lowered = [relabelled(t, {1: 0}) for t in rests]
            if not any(_has_axis(t, 0) for t in lowered):
                return (), lowered, lambda f: scaled([f], writer.atom(part[0].atom))
            return terms.shape[:1], lowered, lambda f: call("diag", f, symmetric=True)

        if any(x in (0, 1) for f in others for x in f.labels) and not all(len(f.labels) == 1 for f in others):
            return []
        return [Peel(("identity",), Fraction(1), 8, lambda _: rest, diagonal)]

    def finish(rests: Sequence[Term], _: Number) -> tuple[Shape, Sequence[Term], Wrap]:
        whole = writer.body(Terms(terms.shape, ()), Term(Fraction(1), (), tuple(part)))
        if not any(_has_axis(t, a) for t in rests for a in (0, 1)):
            return (), rests, lambda f: scaled([f], whole)
        return terms.shape, rests, lambda f: entries([whole, f])

    weight = sum(len(writer.atom(f.atom).text) for f in part)
    return [Peel(("whole", _key_of(part)), Fraction(1), weight, lambda _: rest, finish)]


def _matrix_peel(
    terms: Terms, term: Term, part: list[Factor], others: list[Factor], axis: int, writer: Writer
) -> Peel | None:
    """A matrix from an axis to a summed index, which then takes the axis's place."""
    at = [f for f in (*part, *others) if axis in f.labels]
    if len(at) != 1 or not any(at[0] is f for f in part) or len(at[0].labels) != 2:
        return None
    (f,) = at
    place = f.labels.index(axis)
    inner = f.labels[1 - place]
    left = [g for g in part if g is not f]
    if inner is None or inner >= 0 or not any(inner in g.labels for g in left):
        return None
    names: dict[Label, Label | None] = {inner: axis}
    rest = relabelled(Term(term.number, term.scalars, (*left, *others)), names)
    shape = tuple([f.atom.shape[1 - place] if a == axis else d for a, d in enumerate(terms.shape)])
    rows_first = place == 0 or is_symmetric(f.atom)

    def finish(rests: Sequence[Term], _: Number) -> tuple[Shape, Sequence[Term], Wrap]:
        link = writer.link(f)
        matrix = link.formula if not link.down else entries_over(number(Fraction(1)), link.formula)
        out = matrix if rows_first else transposed(matrix)
        if axis == 0:
            return shape, rests, lambda g: chain([out, g])
        return shape, rests, lambda g: chain([g, transposed(out)])

    key = ("matrix", axis, f.atom.key, str(f.power), rows_first)
    return Peel(key, Fraction(1), len(writer.atom(f.atom).text), lambda _: rest, finish)


# More than two axes, flattened.


def flattened(shape: Shape, rows: int | None) -> list[tuple[Dimension, ...]]:
    """Give the axes of an expression as those of a matrix: which are flattened into each."""
    if len(shape) > 2 and rows is not None:
        return [shape[:rows], shape[rows:]]
    return [(d,) for d in shape]


_SPLITS: dict[tuple[int, int], list[tuple[tuple[int, ...], tuple[int, ...]]]] = {
    (4, 2): [((0, 2), (1, 3))],
    (3, 1): [((0, 1), (2,)), ((1,), (0, 2))],
    (3, 2): [((0, 2), (1,)), ((0,), (1, 2))],
}
"""For a number of axes, of which the first ones are rows: the axes of the two factors of a Kronecker product."""


def _split(term: Term, split: tuple[tuple[int, ...], tuple[int, ...]]) -> list[Term] | None:
    sides: list[list[Factor]] = [[], []]
    for part in parts_of(term.factors):
        axes = {x for f in part for x in f.labels if x is not None and x >= 0}
        side = next((s for s in (0, 1) if axes <= set(split[s])), None)
        if side is None:
            return None
        sides[side] += part
    return [
        relabelled(Term(Fraction(1), (), tuple(side)), {a: i for i, a in enumerate(axes)})
        for side, axes in zip(sides, split, strict=True)
    ]


def _side(shape: Shape, axes: tuple[int, ...], rows: int, f: Formula) -> Formula:
    """Write a factor of a Kronecker product that has one axis as the row or the column that it is."""
    return transposed(f) if len(axes) == 1 and axes[0] >= rows else f


def kronecker(terms: Terms, term: Term, writer: Writer) -> Formula:
    """Write a term with three or four axes as a Kronecker product.

    Raises:
        NoMatrixFormError: where it is none.

    """
    rows = writer.rows or 0
    for split in _SPLITS.get((len(terms.shape), rows), []):
        sides = _split(term, split)
        if sides is None:
            continue
        made = []
        for side, axes in zip(sides, split, strict=True):
            shape = tuple([terms.shape[a] for a in axes])
            made.append(_side(terms.shape, axes, rows, writer.write(collected(shape, [side]))))
        return call("kron", *made, symmetric=all(f.symmetric for f in made))
    raise NoMatrixFormError


def _kronecker_peels(terms: Terms, term: Term, writer: Writer) -> list[Peel]:
    rows = writer.rows or 0
    found = []
    for split in _SPLITS.get((len(terms.shape), rows), []):
        sides = _split(term, split)
        if sides is None:
            continue
        for s in (0, 1):
            other = Term(term.number, term.scalars, sides[1 - s].factors)
            shapes = [tuple([terms.shape[a] for a in axes]) for axes in split]

            def finish(
                rests: Sequence[Term], _: Number, s: int = s, held: Term = sides[s],
                split: tuple[tuple[int, ...], tuple[int, ...]] = split, shapes: list[Shape] = shapes,
            ) -> tuple[Shape, Sequence[Term], Wrap]:  # fmt: skip
                fixed = _side(terms.shape, split[s], rows, writer.write(collected(shapes[s], [held])))

                def wrap(f: Formula) -> Formula:
                    loose = _side(terms.shape, split[1 - s], rows, f)
                    pair = (fixed, loose) if s == 0 else (loose, fixed)
                    return call("kron", *pair, symmetric=fixed.symmetric and loose.symmetric)

                return shapes[1 - s], rests, wrap

            key = ("kron", split, s, _key_of(sides[s].factors))
            found.append(Peel(key, Fraction(1), 12, lambda _, other=other: other, finish))  # type: ignore[misc]
    return found


def reciprocal(f: Formula) -> Formula:
    """Write 1 over each entry."""
    return entries_over(number(Fraction(1)), f)


__all__ = ["factored", "flattened", "is_number", "is_symmetric", "kronecker", "reciprocal"]
