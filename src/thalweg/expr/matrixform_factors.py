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
from thalweg.expr.matrixform_slopes import Wrap, slopes, wrapped
from thalweg.expr.matrixform_squares import parts_of
from thalweg.expr.node import Node, lazy_eye
from thalweg.expr.rows import Dimension, Shape
from thalweg.expr.terms import Factor, Label, Number, Term, Terms, collected, is_sum, magnitude, ordered, relabelled
from thalweg.expr.terms import symmetric as is_symmetric
from thalweg.expr.typeset import (
    Formula,
    call,
    chain,
    cost,
    entries,
    entries_over,
    negated,
    number,
    scaled,
    total,
    transposed,
)

if TYPE_CHECKING:
    from thalweg.expr.matrixform import Writer

_COMMON = 3
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
        own: The factor itself over axes 0 (and 1), if it may be added to others.

    """

    key: tuple[object, ...]
    power: Number
    weight: int
    take: Callable[[Number], Term]
    finish: Callable[[Sequence[Term], Number], tuple[Shape, Sequence[Term], Wrap] | None]
    own: Term | None = None


def factored(terms: Terms, writer: Writer) -> list[Formula]:
    """Give formulas of a sum of several terms that take something out of it."""
    found = _with_content(terms, writer)
    content = content_of(terms)
    if content != 1 and content.denominator == 1:
        return found  # what else is common is taken out of what is left
    groups: dict[tuple[object, ...], list[tuple[int, Peel]]] = {}
    for i, t in enumerate(terms.terms):
        for peel in _peels(terms, t, writer):
            groups.setdefault(peel.key, []).append((i, peel))
    shared = [g for g in groups.values() if len({i for i, _ in g}) > 1]
    shared.sort(key=lambda g: (-len(g), -g[0][1].weight, repr(g[0][1].key)))
    found += slopes(terms, writer)
    shared = [g for g in shared if g[0][1].key[0] != "scalar" or _worth(g)]
    whole = [g for g in shared if len({i for i, _ in g}) == len(terms.terms) and len({p.power for _, p in g}) == 1]
    if whole:
        # What all terms have is taken out first; the rest is looked at after that.
        shared = whole[:_COMMON]
    else:
        found += (
            _products(terms, groups, writer) if len(terms.shape) <= 2 else _kronecker_products(terms, groups, writer)
        )
    width = next((w for most, w in _WIDTHS if len(terms.terms) <= most), 1)
    for group in shared[:width]:
        found += _grouped(terms, group, writer)
    return found


def _worth(group: list[tuple[int, Peel]]) -> bool:
    """Say whether a scalar is taken out: of different powers of a root no, x/norm2(x)^3 and 1/norm2(x) stay apart."""
    powers = {peel.power for _, peel in group}
    return len(powers) == 1 or all(isinstance(e, Fraction) and e.denominator == 1 for e in powers)


def _products(terms: Terms, groups: dict[tuple[object, ...], list[tuple[int, Peel]]], writer: Writer) -> list[Formula]:
    """Find sums that are one product of two sums: (C+C')*(x-a), (x-a)*(x-a)'.

    All terms are grouped by the factor taken on one side; what is left must be the same for all groups, up to numbers.
    """
    found = []
    families: dict[tuple[object, ...], list[list[tuple[int, Peel]]]] = {}
    for key, group in groups.items():
        if key[0] == "matrix" or key[0] in ("column", "power") and len(terms.shape) == 2:
            family: tuple[object, ...] = ("matrix", key[1]) if key[0] == "matrix" else ("column", key[1])
            families.setdefault(family, []).append(group)
    for family, members in families.items():
        axis = family[1]
        assert isinstance(axis, int)
        sides: list[tuple[Term, Terms, set[int]]] = []
        for group in members:
            done = group[0][1].finish([peel.take(peel.power) for _, peel in group], group[0][1].power)
            own = group[0][1].own
            outer = done is not None and (family[0] == "matrix" or len(done[0]) == 1)
            if done is not None and own is not None and outer:
                sides.append((own, collected(done[0], done[1]), {i for i, _ in group}))
        for same in _classes(sides):
            taken = [i for _, (_, _, indices) in same for i in indices]
            if len(same) > 1 and len(set(taken)) == len(taken):
                found.append(_product(terms, family[0] == "column", axis, same, set(taken), writer))
    return found


_Sides = list[tuple[Number, tuple[Term, Terms, set[int]]]]


def _classes(sides: list[tuple[Term, Terms, set[int]]]) -> list[_Sides]:
    """Group by what is left, up to a number."""
    classes: list[_Sides] = []
    for side in sides:
        for known in classes:
            c = _ratio(side[1], known[0][1][1])
            if c is not None:
                known.append((c, side))
                break
        else:
            classes.append([(Fraction(1), side)])
    return classes


def _product(terms: Terms, columns: bool, axis: int, same: _Sides, taken: set[int], writer: Writer) -> Formula:
    rest = same[0][1][1]
    shape = (terms.shape[axis],) if columns else (terms.shape[axis], rest.shape[axis])
    common = rest.terms[0].scalars
    if any(repr([(a.key, e) for a, e in t.scalars]) != repr([(a.key, e) for a, e in common]) for t in rest.terms):
        common = ()
    else:
        rest = Terms(rest.shape, tuple([Term(t.number, (), t.factors) for t in rest.terms]))
    summed = collected(shape, [Term(c * own.number, own.scalars, own.factors) for c, (own, _, _) in same])
    (plus, left), (also, right) = [_minus_first(writer.write(x)) for x in (summed, rest)]
    if not columns:
        pair = [left, right] if axis == 0 else [right, transposed(left)]
        other = transposed(pair[0])
        if pair[0].kind == "sum" and negated(other) == pair[1]:  # (A'-X')*(X-A) is -(X-A)'*(X-A)
            inner = min(pair[1], other, key=lambda f: (cost(f), not f.text.startswith(("x", "X")), f.text))
            pair, plus = [transposed(inner), inner], not plus
        made = chain(pair)
    else:
        turned = _with_same_sign(left, right)
        if turned is not None:
            right, plus = turned, not plus
        made = chain([left, transposed(right)] if axis == 0 else [right, transposed(left)])
    others = tuple([t for i, t in enumerate(terms.terms) if i not in taken])
    signed = [(plus == also, writer.scalar_part(Term(Fraction(1), common), made))]
    return total([*signed, (True, writer.beside(Terms(terms.shape, others)))] if others else signed)


def _with_same_sign(left: Formula, right: Formula) -> Formula | None:
    """Turn the sign of b-a in the second where the first has a-b: (a-b)*(b-a)' is the negative of a square."""
    sums = [f for f in (left.parts if left.kind == "chain" else (left,)) if f.kind == "sum"]
    parts = list(right.parts) if right.kind == "chain" else [right]
    for i, part in enumerate(parts):
        for f in sums:
            if part.kind == "sum" and part != f and negated(part) == f:
                return chain([*parts[:i], f, *parts[i + 1 :]])
    return None


def _minus_first(f: Formula) -> tuple[bool, Formula]:
    """Take a minus off a sum that has no plus; the flag says whether there was none."""
    if f.kind == "sum" and isinstance(f.data, tuple) and not any(f.data):
        return False, negated(f)
    return True, f


def _ratio(a: Terms, b: Terms) -> Number | None:
    """Give c with a = c b; None if there is none."""
    if len(a.terms) != len(b.terms) or not a.terms or a.shape != b.shape:
        return None
    c = a.terms[0].number / b.terms[0].number
    scaled_b = Terms(b.shape, tuple([Term(t.number * c, t.scalars, t.factors) for t in b.terms]))
    return c if scaled_b.key == a.key else None


def _grouped(terms: Terms, group: list[tuple[int, Peel]], writer: Writer) -> list[Formula]:
    members = {i: peel for i, peel in reversed(group)}
    others = tuple([t for i, t in enumerate(terms.terms) if i not in members])
    sizes = [peel.power for peel in members.values()]
    key = group[0][1].key
    amounts = {min(sizes, key=magnitude)}
    if sizes[0] < 0 and key[0] == "scalar" and (not key[3] or not terms.shape and not writer.nested):
        amounts.add(max(sizes, key=magnitude))
    found = []
    for amount in sorted(amounts, key=magnitude):
        done = group[0][1].finish([peel.take(amount) for peel in members.values()], amount)
        if done is None:
            continue
        shape, rests, wrap = done
        whole = wrapped(wrap, writer.write(collected(shape, rests)))
        if others:
            whole = total([(True, whole), (True, writer.beside(Terms(terms.shape, others)))])
        found.append(whole)
    return found


def content_of(terms: Terms) -> Fraction:
    """Give the greatest number that divides those of all terms into whole ones; 1 if they are no fractions."""
    numbers = [t.number for t in terms.terms]
    if not numbers or not all(isinstance(x, Fraction) for x in numbers):
        return Fraction(1)
    whole = [Fraction(x) for x in numbers]
    return Fraction(gcd(*[x.numerator for x in whole]), lcm(*[x.denominator for x in whole]))


def _with_content(terms: Terms, writer: Writer) -> list[Formula]:
    """Take the greatest common number out, with either sign."""
    numbers = [t.number for t in terms.terms]
    content = content_of(terms)
    found = []
    signs = (1, -1) if content != 1 else ((-1,) if all(x < 0 for x in numbers) else ())
    for sign in signs:
        inner = writer.write(
            Terms(terms.shape, tuple([Term(t.number / (content * sign), t.scalars, t.factors) for t in terms.terms]))
        )
        made = wrapped(lambda f: writer.scalar_part(Term(content), f), inner)
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
        axes: set[Label] = {x for f in part for x in f.labels if x is not None and x >= 0}
        if rank == 2 and len(axes) == 2:
            found += _whole_peels(terms, term, part, others, writer)
        elif len(axes) == 1:
            found.append(_column_peel(terms, term, part, others, axes.pop(), writer))
        if len(axes) <= 1:
            found += _tail_peels(terms, term, part, others, writer)
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
        taken: tuple[tuple[Node, Number], ...] = ((atom, amount),)
        if atom.op == "pow":  # with what all terms are divided by of its base: b^p/b^2 is b^(p-2)
            base = atom.inputs[0]
            below = max([sum([x for a, x in t.scalars if a is base], Fraction(0)) for t in rests])
            if below < 0:
                taken += ((base, below),)
                rests = [Term(t.number, (*t.scalars, (base, -below)), t.factors) for t in rests]
        return terms.shape, rests, lambda f: writer.scalar_part(Term(Fraction(1), taken), f)

    return Peel(("scalar", atom.key, e > 0, is_sum(atom)), e, len(writer.scalar(atom, magnitude(e)).text), take, finish)


def _key_of(part: Sequence[Factor]) -> tuple[object, ...]:
    return tuple([(f.atom.key, str(f.power), f.labels) for f in ordered(part)])


def _has_axis(t: Term, axis: int) -> bool:
    return any(axis in f.labels for f in t.factors)


def _column_peel(terms: Terms, term: Term, part: list[Factor], others: list[Factor], axis: int, writer: Writer) -> Peel:
    """A column on an axis: entry by entry beside others on it, a diagonal matrix beside a matrix, else outer."""
    single = part[0] if len(part) == 1 and len(part[0].labels) == 1 else None
    size = terms.shape[axis]

    def take(amount: Number) -> Term:
        left = [] if single is None or single.power == amount else [
            Factor(single.atom, single.labels, single.power - amount)]  # fmt: skip
        return Term(term.number, term.scalars, (*others, *left))

    def finish(rests: Sequence[Term], amount: Number) -> tuple[Shape, Sequence[Term], Wrap] | None:
        if single is not None:
            up = writer.powered(writer.atom(single.atom), magnitude(amount), True)
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
    own_term = relabelled(Term(Fraction(1), (), tuple(part)), {axis: 0})
    return Peel(key, single.power if single else Fraction(1), weight, take, finish, own_term)


def _whole_peels(terms: Terms, term: Term, part: list[Factor], others: list[Factor], writer: Writer) -> list[Peel]:
    """A matrix on both axes: the identity, with columns on its diagonal, or a factor entry by entry."""
    rest = Term(term.number, term.scalars, tuple(others))
    if len(part) == 1 and part[0].atom.op == "eye" and part[0].power == 1:

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
        held = [any(_has_axis(t, a) for t in rests) for a in (0, 1)]
        if not any(held):
            return (), rests, lambda f: scaled([f], whole)
        if held == [True, False]:
            return terms.shape[:1], rests, lambda f: chain([call("diag", f, symmetric=True), whole])
        if held == [False, True]:
            lowered = [relabelled(t, {1: 0}) for t in rests]
            return terms.shape[1:], lowered, lambda f: chain([whole, call("diag", f, symmetric=True)])
        return terms.shape, rests, lambda f: entries([whole, f])

    weight = sum(len(writer.atom(f.atom).text) for f in part)
    return [Peel(("whole", _key_of(part)), Fraction(1), weight, lambda _: rest, finish)]


def _before(last: Formula) -> Wrap:
    return lambda f: chain([f, last])


def _tail_peels(terms: Terms, term: Term, part: list[Factor], others: list[Factor], writer: Writer) -> list[Peel]:
    """The column at the end of a product of matrices: A*x and B*x are (A+B)*x."""
    if len(terms.shape) != 1 or others:
        return []
    found = []
    for f in part:
        if len(f.labels) != 1 or f.labels[0] is None or f.labels[0] >= 0:
            continue
        label = f.labels[0]
        users = [g for g in part if label in g.labels]
        if len(users) != 2 or any(g.labels.count(label) > 1 for g in users):
            continue
        rest = relabelled(Term(term.number, term.scalars, tuple([g for g in part if g is not f])), {label: 1})
        shape = (*terms.shape, f.atom.shape[0])

        def finish(
            rests: Sequence[Term], _: Number, f: Factor = f, shape: Shape = shape
        ) -> tuple[Shape, Sequence[Term], Wrap]:
            link = writer.link(f)
            column = link.formula if not link.down else entries_over(number(Fraction(1)), link.formula)
            return shape, rests, _before(column)

        key = ("tail", f.atom.key, str(f.power))
        found.append(Peel(key, Fraction(1), len(writer.atom(f.atom).text), lambda _, rest=rest: rest, finish))  # type: ignore[misc]
    return found


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
    if inner is None or not any(inner in g.labels for g in (*left, *others)):
        return None
    if inner < 0:
        names: dict[Label, Label | None] = {inner: axis}
        rest = relabelled(Term(term.number, term.scalars, (*left, *others)), names)
    elif f.atom.op == "eye":
        return None
    else:  # diag(u)*A: the diagonal matrix is left
        diagonal = Factor(lazy_eye(f.atom.shape[1 - place]), (inner, axis))
        rest = Term(term.number, term.scalars, (*left, *others, diagonal))
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
    own = Term(Fraction(1), (), (Factor(f.atom, (0, 1) if place == 0 else (1, 0), f.power),))
    return Peel(key, Fraction(1), len(writer.atom(f.atom).text), lambda _: rest, finish, own)


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


def _kronecker_products(
    terms: Terms, groups: dict[tuple[object, ...], list[tuple[int, Peel]]], writer: Writer
) -> list[Formula]:
    """Find sums that are one Kronecker product of two sums, as `_products` does for matrix products."""
    found = []
    for split in _SPLITS.get((len(terms.shape), writer.rows or 0), []):
        shape = tuple([terms.shape[a] for a in split[0]])
        sides: list[tuple[Term, Terms, set[int]]] = []
        for key, group in groups.items():
            if key[:3] != ("kron", split, 0) or group[0][1].own is None:
                continue
            done = group[0][1].finish([peel.take(peel.power) for _, peel in group], Fraction(1))
            assert done is not None
            sides.append((group[0][1].own, collected(done[0], done[1]), {i for i, _ in group}))
        for same in _classes(sides):
            if len(same) == 1:
                continue
            first = collected(shape, [Term(c * own.number, own.scalars, own.factors) for c, (own, _, _) in same])
            (plus, left), (also, right) = [_minus_first(writer.write(x)) for x in (first, same[0][1][1])]
            left, right = (_side(terms.shape, axes, writer.rows or 0, f)
                           for axes, f in zip(split, (left, right), strict=True))  # fmt: skip
            made = call("kron", left, right, symmetric=left.symmetric and right.symmetric)
            taken = {i for _, (_, _, indices) in same for i in indices}
            others = tuple([t for i, t in enumerate(terms.terms) if i not in taken])
            signed = [(plus == also, made)]
            found.append(total([*signed, (True, writer.write(Terms(terms.shape, others)))] if others else signed))
    return found


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
            found.append(Peel(key, Fraction(1), 12, lambda _, other=other: other, finish, sides[s]))  # type: ignore[misc]
    return found


def reciprocal(f: Formula) -> Formula:
    """Write 1 over each entry."""
    return entries_over(number(Fraction(1)), f)
