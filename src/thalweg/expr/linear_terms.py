"""A graph that is linear in a direction, read as a tensor: sums of products with one index an axis.

The product of a Hessian with a direction is a graph in which the direction meets coefficients. Here the direction is
replaced by identities between its axes and new ones, and the walk carries them up: what arrives is the Hessian itself
as :class:`thalweg.expr.terms.Term`, with an identity left wherever an axis of the direction passes straight through.
Coefficients stay whole (they are computed, not multiplied out), but for outer products, which are taken apart.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

import numpy as np

from thalweg.core.errors import ThalwegError
from thalweg.expr.node import Node, build, constant, lazy_eye
from thalweg.expr.rows import NUMBERS, Shape
from thalweg.expr.terms import Factor, Label, Term, Terms, canonical, counted, relabelled, term_node
from thalweg.expr.walk import dependents, topological

INPUT = 10**6
"""Label of the direction's first axis during the walk: above those of any result's axes."""

MOST_TERMS = 64
"""Products in one sum; more come from a net with many branches, for which no matrix form helps."""

MOST_SELECTED = 2**9
"""Length of an axis up to which a slice of it is written as a product with rows of the identity."""

_labels = itertools.count(1)
_One = Fraction(1)


class UnreadError(ThalwegError):
    """The graph holds something that is no product of arrays; the message says what."""


def operator_terms(product: Node, direction: Node) -> list[Term]:
    """Read a linear map off its product with a direction.

    Args:
        product: An expression that is linear in ``direction``, without axes of symbolic size.
        direction: A symbol.

    Returns:
        Terms over the axes of ``product`` and then those of ``direction``, in canonical form, equal ones collected;
        none for the zero map.

    Raises:
        UnreadError: for an operation that is no product with arrays, or for too many products.

    """
    order = topological([product])
    linear = dependents(order, [direction])
    known: dict[Node, list[Term]] = {direction: _identity(direction)}
    for node in order:
        if node is direction or node not in linear:
            continue
        rule = _RULES.get(node.op)
        if rule is None:
            raise UnreadError(f"{node.op} of the direction is not read as a product with arrays")
        known[node] = rule(node, known)
        if len(known[node]) > MOST_TERMS:
            raise UnreadError(f"the Hessian is a sum of more than {MOST_TERMS} products")
    if product not in linear:
        return []
    inputs: dict[Label, Label | None] = {INPUT + k: product.ndim + k for k in range(direction.ndim)}
    return _collected([relabelled(t, inputs) for t in known[product]], (*product.shape, *direction.shape))


def _identity(direction: Node) -> list[Term]:
    factors = [Factor(lazy_eye(d), (k, INPUT + k)) for k, d in enumerate(direction.shape) if d != 1]
    return [Term(_One, (), tuple(factors))]


def _collected(terms: list[Term], shape: tuple[int | str, ...]) -> list[Term]:
    found: dict[object, Term] = {}
    for raw in terms:
        term = canonical(raw)
        if term is None:
            continue
        key = Terms(shape, (Term(_One, term.scalars, term.factors),)).key
        if key in found:
            term = Term(found[key].number + term.number, term.scalars, term.factors)
        found[key] = term
    return [t for t in found.values() if t.number != 0]


def _joined(a: Term, b: Term) -> Term:
    return Term(a.number * b.number, a.scalars + b.scalars, a.factors + b.factors)


def _fresh() -> Label:
    return -next(_labels) - 2 * 10**9


# Coefficients.


def coefficient(node: Node, labels: tuple[Label | None, ...], power: Fraction = _One) -> Term:
    """Write a coefficient as a term: outer products and numbers in front are taken apart, all else stays whole."""
    if node.value.__class__ in NUMBERS:
        number: Any = node.value
        if power != 1:
            number = math.inf if number == 0 else 1.0 / number  # the only other power here is -1
        return Term(Fraction(number) if isinstance(number, int) else float(number))
    if not node.shape:
        if node.op == "neg":
            return _joined(Term(Fraction(-1)), coefficient(node.inputs[0], (), power))
        return Term(_One, ((node, power),))
    parts = _taken_apart(node, labels)
    if parts is None:
        node = lazy_eye(node.shape[0]) if _is_identity(node) else node
        return Term(_One, (), (Factor(node, labels, power),))
    total = Term(_One)
    for number, x, own, exponent in parts:
        total = _joined(total, _joined(Term(Fraction(number)), coefficient(x, own, power * exponent)))
    return total


def _is_identity(node: Node) -> bool:
    """Say whether a constant is an identity matrix, which some transposes leave behind."""
    value = node.value
    if node.op != "constant" or node.ndim != 2 or node.shape[0] != node.shape[1] or node.shape[0] == 1:
        return False
    plain = isinstance(value, np.ndarray) and value[0, 0] == 1 and value[0, 1] == 0
    return plain and np.array_equal(value, np.eye(value.shape[0]))


_Part = tuple[int, Node, tuple[Label | None, ...], int]


def _taken_apart(node: Node, labels: tuple[Label | None, ...]) -> list[_Part] | None:
    if node.op == "neg":
        return [(-1, node.inputs[0], labels, 1)]
    if node.op in ("mul", "div"):
        axes = len([d for d in node.shape if d != 1])
        fewer = [len([d for d in x.shape if d != 1]) < axes for x in node.inputs]
        if not any(fewer):
            return None
        signs = (1, -1 if node.op == "div" else 1)
        return [(1, x, _trailing(x, labels), s) for x, s in zip(node.inputs, signs, strict=True)]
    if node.op == "broadcast_to":
        return [(1, node.inputs[0], _trailing(node.inputs[0], labels), 1)]
    if node.op == "reshape":
        own = _through_reshape(node, labels)
        return None if own is None else [(1, node.inputs[0], own, 1)]
    if node.op == "transpose":
        own = tuple([labels[node.params[0].index(a)] for a in range(node.ndim)])
        return [(1, node.inputs[0], own, 1)]
    if node.op == "einsum" and len(node.inputs) > 1:
        terms, out = node.params[0].split("->")
        words = terms.split(",")
        outer = all(len(set(w)) == len(w) and set(w) <= set(out) for w in words)
        if outer and any(len(w) < len(out) for w in words):
            names = dict(zip(out, labels, strict=True))
            return [(1, x, tuple([names[c] for c in w]), 1) for x, w in zip(node.inputs, words, strict=True)]
    return None


def _trailing(x: Node, labels: tuple[Label | None, ...]) -> tuple[Label | None, ...]:
    """Give an input's labels among those of the result that it is broadcast to."""
    own = labels[len(labels) - x.ndim :]
    return tuple([None if d == 1 else a for d, a in zip(x.shape, own, strict=True)])


def _through_reshape(node: Node, labels: tuple[Label | None, ...]) -> tuple[Label | None, ...] | None:
    """Follow a reshape that only adds or drops axes of size 1: give the input's labels."""
    (x,) = node.inputs
    kept = [a for a, d in zip(labels, node.shape, strict=True) if d != 1]
    if [d for d in x.shape if d != 1] != [d for d in node.shape if d != 1]:
        return None
    remaining = iter(kept)
    return tuple([None if d == 1 else next(remaining) for d in x.shape])


def _axes(node: Node) -> tuple[Label | None, ...]:
    return tuple([None if d == 1 else i for i, d in enumerate(node.shape)])


# One rule for each operation that may meet the direction.

_Known = Mapping[Node, list[Term]]


def _aligned(x: Node, node: Node, known: _Known) -> list[Term]:
    offset = node.ndim - x.ndim
    return [relabelled(t, {i: i + offset for i in range(x.ndim)}) for t in known[x]] if offset else list(known[x])


def _added(node: Node, known: _Known) -> list[Term]:
    if any(x not in known for x in node.inputs):  # only a zero is added where the sum is linear
        return [t for x in node.inputs if x in known for t in _aligned(x, node, known)]
    a, b = [_aligned(x, node, known) for x in node.inputs]
    return a + (_scaled(b, -1) if node.op == "sub" else b)


def _scaled(terms: list[Term], number: int) -> list[Term]:
    return [Term(t.number * number, t.scalars, t.factors) for t in terms]


def _negated(node: Node, known: _Known) -> list[Term]:
    return _scaled(known[node.inputs[0]], -1)


def _multiplied(node: Node, known: _Known) -> list[Term]:
    a, b = node.inputs
    x, other = (a, b) if a in known else (b, a)
    power = Fraction(-1) if node.op == "div" else _One
    factor = coefficient(other, _trailing(other, _axes(node)), power)
    return [_joined(t, factor) for t in _aligned(x, node, known)]


def _contracted(node: Node, known: _Known) -> list[Term]:
    terms, out = node.params[0].split("->")
    names: dict[str, Label] = {c: i for i, c in enumerate(out)}
    sizes: dict[str, int | str] = {}
    product = [Term(_One)]
    for word, x in zip(terms.split(","), node.inputs, strict=True):
        for c, d in zip(word, x.shape, strict=True):
            sizes[c] = d
            if c not in names:
                names[c] = _fresh()
        own = tuple([None if d == 1 else names[c] for c, d in zip(word, x.shape, strict=True)])
        factors = [relabelled(t, dict(enumerate(own))) for t in known[x]] if x in known else [coefficient(x, own)]
        product = [_joined(p, f) for p in product for f in factors]
    summed = [(names[c], sizes[c]) for c in sizes if names[c] < 0 and sizes[c] != 1]
    return [counted(t, summed) for t in product]


def _summed(node: Node, known: _Known) -> list[Term]:
    (x,), (axes, keepdims) = node.inputs, node.params
    names: dict[Label, Label | None] = {a: _fresh() for a in axes}
    kept = [i for i in range(x.ndim) if i not in axes]
    names |= {i: (i if keepdims else k) for k, i in enumerate(kept)}
    summed = [(names[a], x.shape[a]) for a in axes if x.shape[a] != 1]
    return [counted(relabelled(t, names), summed) for t in known[x]]  # type: ignore[arg-type]


def _transposed(node: Node, known: _Known) -> list[Term]:
    return [relabelled(t, {a: i for i, a in enumerate(node.params[0])}) for t in known[node.inputs[0]]]


def _repeated(node: Node, known: _Known) -> list[Term]:
    return _aligned(node.inputs[0], node, known)


def _laid_out(node: Node, known: _Known) -> list[Term]:
    own = _through_reshape(node, tuple(range(node.ndim)))
    if own is None:
        raise UnreadError("a reshape of the direction that joins or splits axes is not read as a product with arrays")
    return [relabelled(t, dict(enumerate(own))) for t in known[node.inputs[0]]]


def _chosen(node: Node, known: _Known) -> list[Term]:
    condition, *branches = node.inputs
    terms: list[Term] = []
    for i, x in enumerate(branches):
        if x in known:
            for t in _aligned(x, node, known):
                terms.append(_masked(t, condition, i == 0, node))
    return terms


def _masked(term: Term, condition: Node, taken: bool, node: Node) -> Term:
    """Put a `where` around what lies entry by entry on the node's axes, so that an untaken infinity meets no 0."""
    axes = set(range(node.ndim))
    inside = [f for f in term.factors if f.atom.op != "eye" and all(x is None or x in axes for x in f.labels)]
    outside = tuple([f for f in term.factors if not any(f is g for g in inside)])
    used = {x for f in inside for x in f.labels if x is not None}
    used |= {x for x in _trailing(condition, _axes(node)) if x is not None}
    shape = tuple([d if i in used else 1 for i, d in enumerate(node.shape)])
    value = term_node(shape, Term(_One, (), tuple(inside))) if inside else constant(1.0)
    chosen = build("where", condition, value, 0.0) if taken else build("where", condition, 0.0, value)
    return Term(term.number, term.scalars, (*outside, Factor(chosen, _trailing(chosen, _axes(node)))))


def _solved(node: Node, known: _Known) -> list[Term]:
    a, b = node.inputs
    if a in known or a.ndim != 2 or b.ndim > 2:
        raise UnreadError("this solve of the direction is not read as a product with arrays")
    inner = _fresh()
    factor = Factor(build("inv", a), (_axes(node)[0], inner if b.shape[0] != 1 else None))
    return [_joined(relabelled(t, {0: inner}), Term(_One, (), (factor,))) for t in known[b]]


def _selected(node: Node, known: _Known) -> list[Term]:
    """A slice or an entry: a product with rows of the identity."""
    (x,), (index,) = node.inputs, node.params[:1]
    names: dict[Label, Label | None] = {}
    rows: list[Factor] = []
    place = 0
    for axis, (part, size) in enumerate(zip(index, x.shape, strict=True)):
        whole = part == (None, None, None)
        if not whole:
            inner = _fresh() if size != 1 else None
            names[axis] = inner
            count = node.shape[place] if isinstance(part, tuple) else None
            chosen = _rows_of_identity(int(size), slice(*part) if isinstance(part, tuple) else part)
            rows.append(Factor(chosen, ((place if count != 1 else None,) if count is not None else ()) + (inner,)))
        else:
            names[axis] = place
        place += whole or isinstance(part, tuple)
    term = Term(_One, (), tuple(rows))
    return [_joined(relabelled(t, names), term) for t in known[x]]


def _rows_of_identity(size: int, part: Any) -> Node:
    if size > MOST_SELECTED:
        raise UnreadError(f"a part of an axis of {size} entries is not read as a product with arrays")
    return constant(np.eye(size)[part])


def _placed(node: Node, known: _Known) -> list[Term]:
    """The transpose of a slice: a product with columns of the identity."""
    (x,) = node.inputs
    (index, shape) = node.params
    names: dict[Label, Label | None] = {}
    rows: list[Factor] = []
    place = 0
    for axis, (part, size) in enumerate(zip(index, shape, strict=True)):
        if part == (None, None, None):
            names[place] = axis
            place += 1
            continue
        chosen = _rows_of_identity(int(size), slice(*part) if isinstance(part, tuple) else part)
        outer = axis if size != 1 else None
        if isinstance(part, tuple):
            inner = _fresh() if x.shape[place] != 1 else None
            names[place] = inner
            rows.append(Factor(chosen, (inner, outer)))
            place += 1
        else:
            rows.append(Factor(chosen, (outer,)))
    term = Term(_One, (), tuple(rows))
    return [_joined(relabelled(t, names), term) for t in known[x]]


def _indexed(node: Node, known: _Known) -> list[Term]:
    """Entries named by index arrays along neighbouring axes: a product with one-hot rows for each of those axes."""
    (x, *indices), pattern = node.inputs, node.params[0]
    first, rows = _one_hot(pattern, indices, x.shape)
    kept = [a for a in range(x.ndim) if a not in rows]
    names: dict[Label, Label | None] = {a: a if a < first else a - len(rows) + 1 for a in kept}
    factors = []
    for a, matrix in rows.items():
        names[a] = _fresh() if x.shape[a] != 1 else None
        factors.append(Factor(matrix, (first if matrix.shape[0] != 1 else None, names[a])))
    return [_joined(relabelled(t, names), Term(_One, (), tuple(factors))) for t in known[x]]


def _indexed_sum(node: Node, known: _Known) -> list[Term]:
    """The transpose of `_indexed`."""
    (x, *indices), pattern = node.inputs, node.params[0]
    first, rows = _one_hot(pattern, indices, node.shape)
    kept = [a for a in range(node.ndim) if a not in rows]
    inner = _fresh() if x.shape[first] != 1 else None
    names: dict[Label, Label | None] = {a if a < first else a - len(rows) + 1: a for a in kept}
    names[first] = inner
    factors = [Factor(m, (inner, a if node.shape[a] != 1 else None)) for a, m in rows.items()]
    return [_joined(relabelled(t, names), Term(_One, (), tuple(factors))) for t in known[x]]


def _one_hot(pattern: tuple[Any, ...], indices: list[Node], shape: Shape) -> tuple[int, dict[int, Node]]:
    """Give the first indexed axis, and for each one the rows of the identity that its constant array names."""
    whole = (None, None, None)
    places = [a for a, part in enumerate(pattern) if part == ()]
    simple = len(pattern) == len(shape) and all(part == whole or part == () for part in pattern)
    alike = all(isinstance(i.value, np.ndarray) and i.ndim == 1 and i.shape == indices[0].shape for i in indices)
    if not simple or not alike or places != list(range(places[0], places[0] + len(places))):
        raise UnreadError("an index of the direction is not read as a product with arrays")
    rows = {}
    for a, index in zip(places, indices, strict=True):
        size = int(shape[a])
        if index.value.dtype.kind in "iu" and np.array_equal(index.value, np.arange(size)) and size != 1:
            rows[a] = lazy_eye(size)
        else:
            rows[a] = _rows_of_identity(size, index.value)
    return places[0], rows


def _joined_up(node: Node, known: _Known) -> list[Term]:
    """Parts of a concatenation, each a product with some columns of the identity; what is no direction is 0 there."""
    (axis,) = node.params
    total, start, terms = int(node.shape[axis]), 0, []
    for x in node.inputs:
        count = int(x.shape[axis])
        if x in known:
            inner = _fresh() if count != 1 else None
            columns = Factor(
                _rows_of_identity(total, slice(start, start + count)), (inner, axis if total != 1 else None)
            )
            terms += [_joined(relabelled(t, {axis: inner}), Term(_One, (), (columns,))) for t in known[x]]
        start += count
    return terms


def _running_sum(node: Node, known: _Known) -> list[Term]:
    (x,), (axis, backwards) = node.inputs, node.params
    size = int(x.shape[axis])
    if size == 1:
        return list(known[x])
    if size > MOST_SELECTED:
        raise UnreadError(f"a running sum over {size} entries is not read as a product with arrays")
    triangle = np.tri(size).T if backwards else np.tri(size)
    inner = _fresh()
    factor = Factor(constant(triangle), (axis, inner))
    return [_joined(relabelled(t, {axis: inner}), Term(_One, (), (factor,))) for t in known[x]]


_RULES: dict[str, Callable[[Node, _Known], list[Term]]] = {
    "add": _added, "sub": _added, "neg": _negated, "mul": _multiplied, "div": _multiplied, "einsum": _contracted,
    "sum": _summed, "transpose": _transposed, "broadcast_to": _repeated, "reshape": _laid_out, "where": _chosen,
    "identity": lambda node, known: list(known[node.inputs[0]]), "solve": _solved, "take": _selected,
    "place": _placed, "gather": _indexed, "index_add": _indexed_sum, "concatenate": _joined_up, "cumsum": _running_sum,
}  # fmt: skip
