"""From a network of factors to a matrix formula: vectors and matrices joined where they share an index.

A network is a set of links, each a column with one index or a matrix with two. Joining two links at a summed index
that no other link has is a product; links on the same indices are multiplied entry by entry; a column that shares its
summed index with two matrices is a diagonal matrix between them; an index that one link alone has is a sum. A network
that these steps do not bring down to its axes has no matrix form.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from thalweg.expr.rows import Dimension, Shape
from thalweg.expr.terms import Label
from thalweg.expr.typeset import (
    Formula,
    call,
    chain,
    dot,
    entries,
    entries_over,
    name,
    number,
    power,
    scaled,
    transposed,
)


class NoMatrixFormError(Exception):
    """A network, or a part of one, that is no product of matrices."""


@dataclass(frozen=True)
class Link:
    """A column (one label) or a matrix (rows, columns); `down` says that the formula is to be divided by.

    A label that is None is an axis of size 1.
    """

    formula: Formula
    labels: tuple[Label, ...]
    identity: bool = False
    down: bool = False
    pieces: tuple[Formula, ...] = ()

    def turned(self) -> Link:
        """Give the transpose."""
        return Link(transposed(self.formula), self.labels[::-1], self.identity, self.down)


def size_formula(size: Dimension) -> Formula:
    """Write a size."""
    return number(Fraction(size)) if isinstance(size, int) else name(size, scalar=True)


def ones(size: Dimension, value: Formula | None = None) -> Formula:
    """Write a column of equal entries."""
    return call("vector", value or number(Fraction(1)), size_formula(size))


def raise_network(shape: Shape, links: Sequence[Link], sizes: dict[Label, Dimension]) -> Formula:
    """Write a network over the axes of a shape (at most two).

    Raises:
        NoMatrixFormError: where there is none.

    """
    found = _reduced(list(links), sizes)
    if not shape:
        return _product_of_scalars(found)
    columns = {a: [x for x in found if x.labels == (a,)] for a in range(len(shape))}
    matrices = [x for x in found if len(x.labels) == 2]
    scalars = [x.formula for x in found if not x.labels]
    if len(shape) == 1:
        if matrices or not columns[0]:
            raise NoMatrixFormError
        return scaled(scalars, _by_entry(columns[0]))
    left, right = [_by_entry(columns[a]) if columns[a] else None for a in (0, 1)]
    if not matrices:
        row = transposed(right) if right is not None else transposed(ones(shape[1]))
        return scaled(scalars, chain([left if left is not None else ones(shape[0]), row]))
    if len(matrices) > 1:
        raise NoMatrixFormError
    (m,) = [x if x.labels == (0, 1) else x.turned() for x in matrices]
    if m.identity:
        held = [c for c in (left, right) if c is not None]
        if not held:
            return scaled(scalars, m.formula)
        return scaled(scalars, call("diag", _by_entry([x for a in (0, 1) for x in columns[a]]), symmetric=True))
    body = m.formula if not m.down else entries_over(number(Fraction(1)), m.formula)
    if left is not None:
        body = chain([call("diag", left, symmetric=True), body])
    if right is not None:
        body = chain([body, call("diag", right, symmetric=True)])
    return scaled(scalars, body)


def _product_of_scalars(links: Sequence[Link]) -> Formula:
    if any(x.labels for x in links):
        raise NoMatrixFormError
    made = [x.formula for x in links]
    return made[0] if len(made) == 1 else scaled(made, number(Fraction(1)))


def _by_entry(links: Sequence[Link]) -> Formula:
    """Multiply links on the same axes entry by entry."""
    up = _with_powers([x.formula for x in links if not x.down])
    down = _with_powers([x.formula for x in links if x.down])
    top = entries(up) if up else number(Fraction(1))
    return entries_over(top, entries(down)) if down else top


def _with_powers(parts: Sequence[Formula]) -> list[Formula]:
    """Put factors in order, equal ones as a power."""
    ordered = sorted(parts, key=lambda f: (len(f.text), f.text))
    runs = [list(run) for _, run in itertools.groupby(ordered)]
    return [power(run[0], number(Fraction(len(run))), True) for run in runs]


def _reduced(links: list[Link], sizes: dict[Label, Dimension]) -> list[Link]:
    """Join links until every label left is an axis."""
    while True:
        links = _merged(links)
        uses: dict[Label, list[Link]] = {}
        for x in links:
            for label in set(x.labels):
                uses.setdefault(label, []).append(x)
        loop = next((x for x in links if len(x.labels) == 2 and x.labels[0] == x.labels[1]), None)
        if loop is not None:
            links = [x for x in links if x is not loop]
            links.append(_from_loop(loop, len(uses[loop.labels[0]])))
            continue
        summed = sorted([a for a in uses if a < 0], key=lambda a: (len(uses[a]), _columns(uses[a]) == 0, -a))
        step = next((new for new in (_join(a, uses[a], links, uses, sizes) for a in summed) if new is not None), None)
        if step is None:
            if summed:
                raise NoMatrixFormError
            return links
        links = step


def _columns(links: Sequence[Link]) -> int:
    return len([x for x in links if len(x.labels) == 1])


def _merged(links: list[Link]) -> list[Link]:
    """Multiply columns on the same summed label, and matrices on the same labels, entry by entry."""
    groups: dict[tuple[Label, ...], list[Link]] = {}
    out = []
    for x in links:
        key = tuple(sorted(x.labels))
        alone = not x.labels or x.identity
        out.append(x) if alone else groups.setdefault(key, []).append(x)
    for key, group in groups.items():
        if len(group) == 1 or len(key) == 1 and key[0] >= 0 or _is_product(key, group, links):
            out += group
            continue
        aligned = [x if x.labels == group[0].labels else x.turned() for x in group]
        only_two = len(group) == 2 and not any(x.down for x in group)
        pieces = tuple([x.formula for x in group]) if only_two and len(key) == 1 else ()
        out.append(Link(_by_entry(aligned), group[0].labels, pieces=pieces))
    return out


def _is_product(key: tuple[Label, ...], group: list[Link], links: list[Link]) -> bool:
    """Say whether two matrices are multiplied for a trace or a diagonal, no other link having what they sum over."""
    if len(key) != 2 or key[0] >= 0 or len(group) != 2 or any(x.down for x in group):
        return False
    others = [x for x in links if all(x is not g for g in group)]
    if key[1] < 0:
        return not any(set(key) & set(x.labels) for x in others)
    return group[0].formula != group[1].formula and not any(key[0] in x.labels for x in others)


def _from_loop(loop: Link, users: int) -> Link:
    label = loop.labels[0]
    if label < 0 and users == 1 and not loop.down:
        return Link(trace(loop.formula), ())
    return Link(call("diag", loop.formula), (label,), down=loop.down)


def trace(f: Formula) -> Formula:
    """Write a trace; of the forms that turning a product around gives, the shortest."""
    forms = [f, transposed(f)]
    if f.kind == "chain":
        front = [x for x in f.parts if x.scalar]
        rest = [x for x in f.parts if not x.scalar]
        for i in range(len(rest)):
            turned = chain([*rest[i:], *rest[:i]])
            forms += [turned, transposed(turned)]
        forms = [chain([x for x in g.parts if not x.scalar]) if g.kind == "chain" else g for g in forms]
        best = min(forms, key=lambda g: (len(g.text), _late_transposes(g), g.text))
        return scaled(front, call("tr", best, scalar=True))
    return call("tr", min(forms, key=lambda g: (len(g.text), g.text)), scalar=True)


def _late_transposes(f: Formula) -> int:
    return sum(i for i, x in enumerate(f.parts) if x.kind == "transpose")


def _solid(x: Link) -> Formula:
    """Give a link's formula, a division written out."""
    return entries_over(number(Fraction(1)), x.formula) if x.down else x.formula


def _join(
    a: Label, users: list[Link], links: list[Link], uses: dict[Label, list[Link]], sizes: dict[Label, Dimension]
) -> list[Link] | None:
    """Make one step at a summed label; None if there is none."""
    rest = [x for x in links if all(x is not u for u in users)]
    columns = [x for x in users if len(x.labels) == 1]
    matrices = [x for x in users if len(x.labels) == 2]
    if len(users) == 1:
        (x,) = users
        if columns:
            return [*rest, Link(_sum_of_column(x, sizes[a]), ())]
        other = x.labels[0] if x.labels[1] == a else x.labels[1]
        if other < 0 and len(uses[other]) == 1:
            return [*rest, Link(call("sum", _solid(x), scalar=True), ())]
        m = x if x.labels[1] == a else x.turned()
        return [*rest, Link(chain([_solid(m), ones(sizes[a])]), (other,))]
    if len(users) == 2 and len(matrices) == 2:
        first, second = matrices
        if set(first.labels) == set(second.labels):
            rows = first if first.labels[1] == a else first.turned()
            columns_ = second if second.labels[0] == a else second.turned()
            product = chain([_solid(rows), _solid(columns_)])
            if rows.labels[0] < 0 and len(uses[rows.labels[0]]) == 2:
                return [*rest, Link(trace(product), ())]
            turned = transposed(product)
            return [
                *rest,
                Link(call("diag", min(product, turned, key=lambda f: (len(f.text), f.text))), rows.labels[:1]),
            ]
        left = first if first.labels[1] == a else first.turned()
        right = second if second.labels[0] == a else second.turned()
        plain = chain([_solid(left), _solid(right)])
        return [*rest, Link(plain, (left.labels[0], right.labels[1]))]
    if len(users) == 2 and len(columns) == 1:
        (c,), (m,) = columns, matrices
        m = m if m.labels[1] == a else m.turned()
        return [*rest, Link(chain([_solid(m), _solid(c)]), (m.labels[0],))]
    if len(users) == 3 and len(columns) == 1:
        (c,), (first, second) = columns, matrices
        left = first if first.labels[1] == a else first.turned()
        right = second if second.labels[0] == a else second.turned()
        made = chain([_solid(left), call("diag", _solid(c), symmetric=True), _solid(right)])
        return [*rest, Link(made, (left.labels[0], right.labels[1]))]
    return None


def _sum_of_column(x: Link, size: Dimension) -> Formula:
    """Write the sum of a column: of a product of two an inner product, of |u| its norm."""
    f = x.formula
    if not x.down:
        if len(x.pieces) == 2:
            return inner(*x.pieces)
        if f.kind == "entries":
            ways = [inner(p, entries([*f.parts[:i], *f.parts[i + 1 :]])) for i, p in enumerate(f.parts)]
            return min(ways, key=lambda w: (len(w.text), w.text))
        if f.kind == "entries_power" and f.parts[1].data == 2:
            return inner(f.parts[0], f.parts[0])
        if f.kind == "call" and f.data == "abs":
            return call("norm1", *f.parts, scalar=True)
    return call("sum", _solid(x), scalar=True)


def inner(u: Formula, v: Formula) -> Formula:
    """Write an inner product: the shorter of u'*v and v'*u."""
    ways = [dot([transposed(u), v]), dot([transposed(v), u])]
    return min(ways, key=lambda w: (len(w.text), w.text))
