"""The normal form of matrix expressions: sums of products of entries, written with indices.

A term is a number times powers of scalars times a network of factors: each factor is an atom (a symbol, a function of
something in normal form) with one index an axis. An index that the result does not have is summed. Two expressions that
are equal by the laws of sums and products, transposes, traces and contractions, by the attributes of symbols
(symmetric, orthogonal) and by inv(A) A = I have the same terms, so that equality is comparison. Products are
multiplied out; what a person would factor again is the printer's business (:mod:`thalweg.expr.matrixform`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import Any

from thalweg.expr.node import Node, build, constant, is_constant, lazy_eye, table
from thalweg.expr.rows import NUMBERS, Dimension, Shape
from thalweg.expr.shapes import spread
from thalweg.expr.terms_attributes import attributes as attributes
from thalweg.expr.terms_attributes import nonnegative as nonnegative
from thalweg.expr.terms_attributes import symmetric as symmetric
from thalweg.expr.terms_canonical import canonical as canonical
from thalweg.expr.terms_canonical import collected, is_sum, single
from thalweg.expr.terms_core import (
    RULES,
    Factor,
    Label,
    Term,
    Terms,
    expand,
    inner_labels,
    joined,
    negative,
    relabelled,
    relabelled_apart,
    remember,
    times,
)
from thalweg.expr.terms_matrices import cofactors, determinant, inverse_of, solved
from thalweg.expr.terms_nodes import network as network
from thalweg.expr.terms_nodes import rebuild
from thalweg.expr.terms_nodes import term_node as term_node
from thalweg.expr.terms_numbers import Number, exact, magnitude
from thalweg.expr.terms_order import components as components
from thalweg.expr.terms_order import ordered as ordered
from thalweg.expr.terms_powers import EXPANDED_POWER, logarithm, parted_power, power_of


def normal(node: Node) -> Node:
    """Rebuild an expression from its normal form: equal expressions give one node; done twice it changes nothing."""
    terms = expand(node)
    return remember(rebuild(terms), terms)


def same(a: Node, b: Node) -> bool:
    """Say whether two expressions are equal by the laws of the normal form; False may mean that the laws do not tell.

    Where the normal forms differ, the difference is brought over its common denominator, which may make it 0.
    """
    return same_terms(expand(a), expand(b))


def same_terms(a: Terms, b: Terms) -> bool:
    """Say the same of two normal forms."""
    if a.key == b.key or a.shape != b.shape:
        return a.key == b.key
    rest = collected(a.shape, [*a.terms, *negative(b).terms])
    lowest: dict[str, tuple[Node, Number]] = {}
    for t in rest.terms:
        for atom, e in t.scalars:
            if e < 0 and is_sum(atom) and (atom.key not in lowest or e < lowest[atom.key][1]):
                lowest[atom.key] = (atom, e)
    for atom, e in lowest.values():
        scale = Term(Fraction(1), ((atom, -e),))
        raised = [(times(t, scale), t) for t in rest.terms]
        # A whole power of the sum that is left is multiplied out.
        opened: list[Term] = []
        for t, _ in raised:
            left = sum((x for y, x in t.scalars if y is atom), Fraction(0))
            others = Term(t.number, tuple([(y, x) for y, x in t.scalars if y is not atom]), t.factors)
            made = [others]
            if isinstance(left, Fraction) and left.denominator == 1:
                for _ in range(int(left)):
                    made = [times(m, s) for m in made for s in expand(atom).terms]
            else:
                made = [t]
            opened += made
        rest = collected(a.shape, opened)
    return not rest.terms


def _atomic(node: Node) -> Terms:
    """Make an atom of a node whose inputs are put in normal form first."""
    if node.value.__class__ in NUMBERS:
        return collected((), [_number_term(node.value)])
    if 1 in node.shape and node.inputs and table()[node.op].elementwise:
        return _without_axes_of_one(node)
    inputs = [rebuild(expand(x)) for x in node.inputs]
    atom = build(node.op, *inputs, params=node.params) if node.inputs and node.value is None else node
    special = _SPECIAL.get(atom.op)
    made = special(atom) if special is not None else None
    return single(atom) if made is None else made


def _without_axes_of_one(node: Node) -> Terms:
    """Apply a function entry by entry to what has no axes of size 1: these say nothing."""
    kept = tuple([d for d in node.shape if d != 1])
    inputs = [x if not x.shape else build("reshape", spread(x, node.shape), params=(kept,)) for x in node.inputs]
    return expand(build("reshape", build(node.op, *inputs, params=node.params), params=(node.shape,)))


def _number_term(value: Any) -> Term:
    """Read a number; one that is the root of a fraction is read as that root, which a graph cannot hold."""
    number = exact(value)
    if isinstance(number, float) and math.isfinite(number):
        square = Fraction(number * number).limit_denominator(1000)
        if square and math.isclose(math.sqrt(square), magnitude(number), rel_tol=4e-16):
            sign = Fraction(1 if number > 0 else -1)
            over, under = constant(square.numerator), constant(square.denominator)
            return Term(sign, ((over, Fraction(1, 2)), (under, Fraction(-1, 2))))
    return Term(number)


def _aligned(terms: Terms, shape: Shape) -> list[Term]:
    """Give the terms with the labels of a shape that they are broadcast to."""
    offset = len(shape) - len(terms.shape)
    return [relabelled(t, {i: i + offset for i in range(len(terms.shape))}) for t in terms.terms]


def _added(node: Node) -> Terms:
    a, b = [_aligned(expand(x), node.shape) for x in node.inputs]
    if node.op == "sub":
        b = [Term(-t.number, t.scalars, t.factors) for t in b]
    return collected(node.shape, [*a, *b])


def _negated(node: Node) -> Terms:
    return collected(node.shape, [Term(-t.number, t.scalars, t.factors) for t in expand(node.inputs[0]).terms])


def _multiplied(node: Node) -> Terms:
    a, b = [_aligned(expand(x), node.shape) for x in node.inputs]
    return collected(node.shape, [times(s, t) for s in a for t in b])


def _divided(node: Node) -> Terms:
    a, b = node.inputs
    inverse = _power_of_what(b, Fraction(-1))
    left, right = _aligned(expand(a), node.shape), _aligned(inverse, node.shape)
    return collected(node.shape, [times(s, t) for s in left for t in right])


_FIXED: Mapping[str, Number] = {"square": Fraction(2), "sqrt": Fraction(1, 2), "rsqrt": Fraction(-1, 2)}


def _raised(node: Node) -> Terms | None:
    fixed: Number | None = _FIXED.get(node.op)
    if fixed is None:
        exponent = expand(node.inputs[1])
        number = _as_number(exponent)
        if number is None or node.inputs[0].shape != node.shape:
            return None
        fixed = number
    return _power_of_what(node.inputs[0], fixed)


def _power_of_what(node: Node, power: Number) -> Terms:
    """Raise a node to a power before a square in it is multiplied out: 1/(1+x)^2 is the power -2 of 1+x."""
    fixed: Number | None = _FIXED.get(node.op)
    if node.op == "pow" and node.inputs[0].shape == node.shape:
        fixed = _as_number(expand(node.inputs[1])) if node.inputs[1].value.__class__ in NUMBERS else None
    whole = power.denominator == 1 if isinstance(power, Fraction) else float(power).is_integer()
    if fixed is not None and (whole or node.op in ("sqrt", "rsqrt")) and not (fixed == EXPANDED_POWER and power == 1):
        return _power_of_what(node.inputs[0], fixed * power)
    if node.op in ("mul", "div") and whole and power < 0:
        first, second = [_aligned(_power_of_what(x, e), node.shape) for x, e in zip(
            node.inputs, (power, power if node.op == "mul" else -power), strict=True)]  # fmt: skip
        return collected(node.shape, [times(s, t) for s in first for t in second])
    return power_of(expand(node), power)


def _as_number(terms: Terms) -> Number | None:
    if not terms.terms:
        return Fraction(0)
    (first, *rest) = terms.terms
    return first.number if not rest and not first.scalars and not first.factors else None


def _contracted(node: Node) -> Terms:
    operands, out = node.params[0].split("->")
    names: dict[str, Label] = {c: i for i, c in enumerate(out)}
    sizes: dict[str, Dimension] = {}
    product = [Term(Fraction(1))]
    for term, x in zip(operands.split(","), node.inputs, strict=True):
        for c, d in zip(term, x.shape, strict=True):
            sizes[c] = d
            names.setdefault(c, -next(inner_labels) - 10**6)
        own = {i: names[c] if x.shape[i] != 1 else None for i, c in enumerate(term)}
        product = [joined(p, relabelled_apart(t, own)) for p in product for t in expand(x).terms]
    summed = [(names[c], sizes[c]) for c in sizes if names[c] < 0]
    return collected(node.shape, [counted(t, summed) for t in product])


def counted(term: Term, summed: Iterable[tuple[Label, Dimension]]) -> Term:
    """Account for summed labels that no factor has: each repeats the term as often as its size says."""
    used = {x for f in term.factors for x in f.labels}
    number, scalars = term.number, term.scalars
    for label, size in summed:
        if label not in used:
            if isinstance(size, int):
                number = number * size
            else:
                scalars += ((build("dimension", params=(size,)), Fraction(1)),)
    return Term(number, scalars, term.factors)


def _summed(node: Node) -> Terms:
    (x,), (axes, keepdims) = node.inputs, node.params
    kept = [i for i in range(len(x.shape)) if i not in axes]
    names: dict[Label, Label | None] = {a: -next(inner_labels) - 10**6 for a in axes}
    names |= {i: (i if keepdims else k) for k, i in enumerate(kept)}
    summed = [(names[a], x.shape[a]) for a in axes if x.shape[a] != 1]
    terms = [counted(relabelled_apart(t, names), summed) for t in expand(x).terms]  # type: ignore[arg-type]
    return collected(node.shape, terms)


def _transposed(node: Node) -> Terms:
    names = {a: i for i, a in enumerate(node.params[0])}
    return collected(node.shape, [relabelled(t, names) for t in expand(node.inputs[0]).terms])


def _repeated(node: Node) -> Terms:
    return collected(node.shape, _aligned(expand(node.inputs[0]), node.shape))


def _laid_out(node: Node) -> Terms | None:
    """Follow a reshape that only adds or drops axes of size 1."""
    (x,) = node.inputs
    old = [i for i, d in enumerate(x.shape) if d != 1]
    new = [i for i, d in enumerate(node.shape) if d != 1]
    if [x.shape[i] for i in old] != [node.shape[i] for i in new]:
        return None
    return collected(node.shape, [relabelled(t, dict(zip(old, new, strict=True))) for t in expand(x).terms])


def _is_slope_of_power(base: Node, a: Node, b: Node) -> bool:
    """Say whether a choice is the derivative of base^p by p, whose formula holds where the logarithm does.

    All of it has the power and the logarithm; for a base that is not positive it is 0, or nan where the power is.
    """
    guarded = b.op == "where" and b.inputs[0].op == "isfinite"
    if not (is_constant(b, 0) or guarded):
        return False
    logarithm = expand(build("log", base)).terms
    wanted = {f.atom for t in logarithm for f in t.factors} | {x for t in logarithm for x, _ in t.scalars}
    key = expand(base).key
    for t in expand(a).terms:
        atoms = {f.atom for f in t.factors} | {x for x, _ in t.scalars}
        if not atoms & wanted or not any(x.op == "pow" and expand(x.inputs[0]).key == key for x in atoms):
            return False
    return True


def _branched(node: Node) -> Terms | None:
    """Write a choice with the indicator of its condition; sign(relu(u)) is that of u > 0."""
    condition, a, b = node.inputs
    if any(not math.isfinite(t.number) for t in expand(b).terms):
        return collected(node.shape, _aligned(expand(a), node.shape))  # undefined elsewhere, as formulas are
    for c in condition.inputs if condition.op == "logical_or" else (condition,):
        if c.op == "gt" and is_constant(c.inputs[1], 0) and _is_slope_of_power(c.inputs[0], a, b):
            return collected(node.shape, _aligned(expand(a), node.shape))
    both = condition.inputs if condition.op == "logical_and" else ()
    if is_constant(a, 0) and both and all(c.op == "eq" and is_constant(c.inputs[1], 0) for c in both):
        return collected(node.shape, _aligned(expand(b), node.shape))  # 0^0, a point where x^p has a slope by agreement
    if node.shape and condition.shape != node.shape and condition.shape:
        return None
    if condition.op in ("gt", "lt"):
        u, v = condition.inputs if condition.op == "gt" else condition.inputs[::-1]
        indicator = build("sign", build("relu", u if is_constant(v, 0) else build("sub", u, v)))
    elif is_constant(a, 1) and is_constant(b, 0):
        return None
    else:
        indicator = build("where", condition, 1.0, 0.0)
    chosen = _aligned(expand(indicator), node.shape)
    left, right = [_aligned(expand(x), node.shape) for x in (a, b)]
    if not all(math.isfinite(t.number) for t in (*left, *right)):
        return None  # 0 times nan would be nan everywhere
    other = [Term(Fraction(1)), *[Term(-t.number, t.scalars, t.factors) for t in chosen]]
    return collected(node.shape, [*[times(s, t) for s in left for t in chosen],
                                  *[times(s, t) for s in right for t in other]])  # fmt: skip


def _exponentials(node: Node) -> Terms:
    """Write softmax and the logarithm of a sum of exponentials as the quotient and the sum that they are."""
    (x,) = node.inputs
    axis = node.params[0]
    powers = build("exp", x)
    if node.op == "logsumexp":
        return expand(build("log", build("sum", powers, params=((axis,), node.params[1]))))
    return expand(build("div", powers, build("sum", powers, params=((axis,), True))))


def _identity_matrix(node: Node) -> Terms:
    return collected(node.shape, [Term(Fraction(1), (), (Factor(lazy_eye(node.params[0]), (0, 1)),))])


def _odd_or_even(atom: Node) -> Terms | None:
    """Give a function the argument whose first term is positive: f(-u) by the symmetry of f."""
    (x,) = atom.inputs
    terms = expand(x).terms
    if not terms or terms[0].number >= 0:
        return None
    flipped = rebuild(negative(expand(x)))
    mirrored = build(atom.op, flipped)
    if atom.op in ("abs", "cos", "cosh"):
        return expand(mirrored)
    if atom.op == "sigmoid":
        return collected(atom.shape, [Term(Fraction(1)), *negative(expand(mirrored)).terms])
    if atom.op == "softplus":
        return collected(atom.shape, [*expand(mirrored).terms, *expand(x).terms])
    return negative(expand(mirrored))


_SPECIAL = {
    **{f: _odd_or_even for f in ("abs", "cos", "cosh", "sin", "sinh", "tanh", "erf", "arctan", "sign", "sigmoid")},
    "softplus": _odd_or_even,
    "log": logarithm,
    "pow": parted_power,
    "inv": inverse_of,
    "det": determinant,
    "logdet": determinant,
}


_RULES = {
    "add": _added, "sub": _added, "neg": _negated, "mul": _multiplied, "div": _divided, "square": _raised,
    "sqrt": _raised, "rsqrt": _raised, "pow": _raised, "einsum": _contracted, "sum": _summed,
    "transpose": _transposed, "broadcast_to": _repeated, "reshape": _laid_out, "eye": _identity_matrix,
    "where": _branched, "softmax": _exponentials, "logsumexp": _exponentials,
    "cofactor": lambda node: cofactors(node) if node.ndim == 2 else None,
    "cofactor_slope": lambda node: cofactors(node) if node.ndim == 2 else None,
    "identity": lambda node: expand(node.inputs[0]),
    "solve": lambda node: solved(node) if node.inputs[0].ndim == 2 and node.inputs[1].ndim <= 2 else None,
}  # fmt: skip
RULES.update({**_RULES, "": _atomic})
