"""The normal form of matrix expressions: sums of products of entries, written with indices.

A term is a number times powers of scalars times a network of factors: each factor is an atom (a symbol, a function of
something in normal form) with one index an axis. An index that the result does not have is summed. Two expressions that
are equal by the laws of sums and products, transposes, traces and contractions, by the attributes of symbols
(symmetric, orthogonal) and by inv(A) A = I have the same terms, so that equality is comparison. Products are
multiplied out; what a person would factor again is the printer's business (:mod:`thalweg.expr.matrixform`).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from thalweg.expr.node import Node, build, constant, is_constant, lazy_eye
from thalweg.expr.rows import NUMBERS, Dimension, Shape
from thalweg.expr.shapes import spread
from thalweg.expr.walk import topological

Number = Fraction | float
Label = int
"""Nonnegative: an axis of the result. Negative: summed."""

EXPANDED_POWER = 2
"""Whole powers of a sum are multiplied out up to this one."""

_TIES = 5040
"""Orders of equal factors that are tried for a canonical one; beyond, equality may be missed, never invented."""


@dataclass(frozen=True, slots=True, eq=False)
class Factor:
    """A power of an atom's entries.

    Attributes:
        atom: A node in normal form.
        labels: One an axis; None for an axis of size 1.
        power: Of each entry.

    """

    atom: Node
    labels: tuple[Label | None, ...]
    power: Number = Fraction(1)


@dataclass(frozen=True, slots=True, eq=False)
class Term:
    """A number times factors.

    Attributes:
        number: The coefficient.
        scalars: Atoms without axes, and their powers.
        factors: Atoms with axes.

    """

    number: Number
    scalars: tuple[tuple[Node, Number], ...] = ()
    factors: tuple[Factor, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Terms:
    """A sum of terms, each a function of the same axes.

    Attributes:
        shape: Of the expression.
        terms: In canonical order; none stands for 0.

    """

    shape: Shape
    terms: tuple[Term, ...]

    @property
    def key(self) -> tuple[Any, ...]:
        """What tells two normal forms apart."""
        return self.shape, tuple([(t.number, _key(t)) for t in self.terms])


_known: dict[str, Terms] = {}
_MOST_KNOWN = 20_000
"""Normal forms that are remembered; then all are forgotten."""


def expand(node: Node) -> Terms:
    """Give an expression's normal form."""
    for x in topological([node]):
        if x.key not in _known:
            if len(_known) > _MOST_KNOWN:
                _known.clear()
                return expand(node)
            _known[x.key] = _expand_one(x)
    return _known[node.key]


def normal(node: Node) -> Node:
    """Rebuild an expression from its normal form: equal expressions give one node; done twice it changes nothing."""
    return rebuild(expand(node))


def same(a: Node, b: Node) -> bool:
    """Say whether two expressions are equal by the laws of the normal form; False may mean that the laws do not tell.

    Where the normal forms differ, the difference is brought over its common denominator, which may make it 0.
    """
    return same_terms(expand(a), expand(b))


def same_terms(a: Terms, b: Terms) -> bool:
    """Say the same of two normal forms."""
    if a.key == b.key or a.shape != b.shape:
        return a.key == b.key
    rest = collected(a.shape, [*a.terms, *_negative(b).terms])
    lowest: dict[str, tuple[Node, Number]] = {}
    for t in rest.terms:
        for atom, e in t.scalars:
            if e < 0 and is_sum(atom) and (atom.key not in lowest or e < lowest[atom.key][1]):
                lowest[atom.key] = (atom, e)
    for atom, e in lowest.values():
        scale = Term(Fraction(1), ((atom, -e),))
        raised = [(_times(t, scale), t) for t in rest.terms]
        # A whole power of the sum that is left is multiplied out.
        opened: list[Term] = []
        for t, _ in raised:
            left = sum((x for y, x in t.scalars if y is atom), Fraction(0))
            others = Term(t.number, tuple([(y, x) for y, x in t.scalars if y is not atom]), t.factors)
            made = [others]
            if isinstance(left, Fraction) and left.denominator == 1:
                for _ in range(int(left)):
                    made = [_times(m, s) for m in made for s in expand(atom).terms]
            else:
                made = [t]
            opened += made
        rest = collected(a.shape, opened)
    return not rest.terms


# Building terms from nodes.


def _expand_one(node: Node) -> Terms:
    rule = _RULES.get(node.op)
    made = rule(node) if rule is not None else None
    return _atomic(node) if made is None else made


def _of(node: Node) -> Terms:
    return _known[node.key] if node.key in _known else expand(node)


def _atomic(node: Node) -> Terms:
    """Make an atom of a node whose inputs are put in normal form first."""
    if node.value.__class__ in NUMBERS:
        return collected((), [_number_term(node.value)])
    inputs = [rebuild(_of(x)) for x in node.inputs]
    atom = build(node.op, *inputs, params=node.params) if node.inputs and node.value is None else node
    special = _SPECIAL.get(atom.op)
    made = special(atom) if special is not None else None
    return _single(atom) if made is None else made


def _single(atom: Node, power: Number = Fraction(1)) -> Terms:
    if not atom.shape:
        return Terms((), (Term(Fraction(1), ((atom, power),)),))
    labels = tuple([None if d == 1 else i for i, d in enumerate(atom.shape)])
    return collected(atom.shape, [Term(Fraction(1), (), (Factor(atom, labels, power),))])


def _number(value: Any) -> Number:
    if isinstance(value, (bool, int)):
        return Fraction(int(value))
    if not math.isfinite(value):
        return float(value)
    near = Fraction(value).limit_denominator(1000)
    return near if float(near) == value else float(value)


def _number_term(value: Any) -> Term:
    """Read a number; one that is the root of a fraction is read as that root, which a graph cannot hold."""
    number = _number(value)
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


def relabelled(term: Term, names: Mapping[Label, Label | None]) -> Term:
    """Rename labels; those without a new name stay."""
    factors = [Factor(f.atom, tuple([x if x is None else names.get(x, x) for x in f.labels]), f.power)
               for f in term.factors]  # fmt: skip
    return Term(term.number, term.scalars, tuple(factors))


def _added(node: Node) -> Terms:
    a, b = [_aligned(_of(x), node.shape) for x in node.inputs]
    if node.op == "sub":
        b = [Term(-t.number, t.scalars, t.factors) for t in b]
    return collected(node.shape, [*a, *b])


def _negated(node: Node) -> Terms:
    return collected(node.shape, [Term(-t.number, t.scalars, t.factors) for t in _of(node.inputs[0]).terms])


def _multiplied(node: Node) -> Terms:
    a, b = [_aligned(_of(x), node.shape) for x in node.inputs]
    return collected(node.shape, [_times(s, t) for s in a for t in b])


def _divided(node: Node) -> Terms:
    a, b = node.inputs
    inverse = _power_of_what(b, Fraction(-1))
    left, right = _aligned(_of(a), node.shape), _aligned(inverse, node.shape)
    return collected(node.shape, [_times(s, t) for s in left for t in right])


_FIXED: Mapping[str, Number] = {"square": Fraction(2), "sqrt": Fraction(1, 2), "rsqrt": Fraction(-1, 2)}


def _raised(node: Node) -> Terms | None:
    fixed: Number | None = _FIXED.get(node.op)
    if fixed is None:
        exponent = _of(node.inputs[1])
        number = _as_number(exponent)
        if number is None or node.inputs[0].shape != node.shape:
            return None
        fixed = number
    return _power_of_what(node.inputs[0], fixed)


def _power_of_what(node: Node, power: Number) -> Terms:
    """Raise a node to a power before a square in it is multiplied out: 1/(1+x)^2 is the power -2 of 1+x."""
    fixed: Number | None = _FIXED.get(node.op)
    if node.op == "pow" and node.inputs[0].shape == node.shape:
        fixed = _as_number(_of(node.inputs[1])) if node.inputs[1].value.__class__ in NUMBERS else None
    whole = power.denominator == 1 if isinstance(power, Fraction) else float(power).is_integer()
    if fixed is not None and (whole or node.op in ("sqrt", "rsqrt")) and not (fixed == EXPANDED_POWER and power == 1):
        return _power_of_what(node.inputs[0], fixed * power)
    if node.op in ("mul", "div") and whole and power < 0:
        first, second = [_aligned(_power_of_what(x, e), node.shape) for x, e in zip(
            node.inputs, (power, power if node.op == "mul" else -power), strict=True)]  # fmt: skip
        return collected(node.shape, [_times(s, t) for s in first for t in second])
    return power_of(_of(node), power)


def _as_number(terms: Terms) -> Number | None:
    if not terms.terms:
        return Fraction(0)
    (first, *rest) = terms.terms
    return first.number if not rest and not first.scalars and not first.factors else None


_inner = itertools.count(1)


def _times(s: Term, t: Term) -> Term:
    """Multiply terms of the same axes; the summed labels of the second are renamed out of the way."""
    fresh = {x: -next(_inner) - 10**6 for f in t.factors for x in f.labels if x is not None and x < 0}
    return Term(s.number * t.number, s.scalars + t.scalars, s.factors + relabelled(t, fresh).factors)


def _contracted(node: Node) -> Terms:
    operands, out = node.params[0].split("->")
    names: dict[str, Label] = {c: i for i, c in enumerate(out)}
    sizes: dict[str, Dimension] = {}
    product = [Term(Fraction(1))]
    for term, x in zip(operands.split(","), node.inputs, strict=True):
        for c, d in zip(term, x.shape, strict=True):
            sizes[c] = d
            names.setdefault(c, -next(_inner) - 10**6)
        own = {i: names[c] if x.shape[i] != 1 else None for i, c in enumerate(term)}
        product = [_joined_terms(p, _relabelled_apart(t, own)) for p in product for t in _of(x).terms]
    summed = [(names[c], sizes[c]) for c in sizes if names[c] < 0]
    return collected(node.shape, [counted(t, summed) for t in product])


def _relabelled_apart(term: Term, names: Mapping[Label, Label | None]) -> Term:
    """Relabel axes to labels that may be summed ones, which `_times` must not rename."""
    fresh = {x: -next(_inner) - 10**6 for f in term.factors for x in f.labels if x is not None and x < 0}
    return relabelled(term, {**fresh, **names})


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
    names: dict[Label, Label | None] = {a: -next(_inner) - 10**6 for a in axes}
    names |= {i: (i if keepdims else k) for k, i in enumerate(kept)}
    summed = [(names[a], x.shape[a]) for a in axes if x.shape[a] != 1]
    terms = [counted(_relabelled_apart(t, names), summed) for t in _of(x).terms]  # type: ignore[arg-type]
    return collected(node.shape, terms)


def _transposed(node: Node) -> Terms:
    names = {a: i for i, a in enumerate(node.params[0])}
    return collected(node.shape, [relabelled(t, names) for t in _of(node.inputs[0]).terms])


def _repeated(node: Node) -> Terms:
    return collected(node.shape, _aligned(_of(node.inputs[0]), node.shape))


def _laid_out(node: Node) -> Terms | None:
    """Follow a reshape that only adds or drops axes of size 1."""
    (x,) = node.inputs
    old = [i for i, d in enumerate(x.shape) if d != 1]
    new = [i for i, d in enumerate(node.shape) if d != 1]
    if [x.shape[i] for i in old] != [node.shape[i] for i in new]:
        return None
    return collected(node.shape, [relabelled(t, dict(zip(old, new, strict=True))) for t in _of(x).terms])


def _branched(node: Node) -> Terms | None:
    """Write a choice with the indicator of its condition; sign(relu(u)) is that of u > 0."""
    condition, a, b = node.inputs
    if is_constant(b, 0) and condition.op == "gt" and is_constant(condition.inputs[1], 0):
        logarithm = expand(build("log", condition.inputs[0])).terms
        atoms = {f.atom for t in logarithm for f in t.factors} | {x for t in logarithm for x, _ in t.scalars}
        terms = _of(a).terms
        if all(atoms & ({f.atom for f in t.factors} | {x for x, _ in t.scalars}) for t in terms):
            return collected(node.shape, _aligned(_of(a), node.shape))  # the formula holds where the logarithm does
    both = condition.inputs if condition.op == "logical_and" else ()
    if is_constant(a, 0) and both and all(c.op == "eq" and is_constant(c.inputs[1], 0) for c in both):
        return collected(node.shape, _aligned(_of(b), node.shape))  # 0^0, a point where x^p has a slope by agreement
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
    left, right = [_aligned(_of(x), node.shape) for x in (a, b)]
    other = [Term(Fraction(1)), *[Term(-t.number, t.scalars, t.factors) for t in chosen]]
    return collected(node.shape, [*[_times(s, t) for s in left for t in chosen],
                                  *[_times(s, t) for s in right for t in other]])  # fmt: skip


def _exponentials(node: Node) -> Terms:
    """Write softmax and the logarithm of a sum of exponentials as the quotient and the sum that they are."""
    (x,) = node.inputs
    axis = node.params[0]
    powers = build("exp", x)
    if node.op == "logsumexp":
        return expand(build("log", build("sum", powers, params=((axis,), node.params[1]))))
    return expand(build("div", powers, build("sum", powers, params=((axis,), True))))


def _cofactors(node: Node) -> Terms:
    """Write the derivative of a determinant with the inverse, as the books do (which needs one)."""
    x = node.inputs[0]
    turned = build("inv", x).T
    det = build("det", x)
    if node.op == "cofactor":
        return expand(build("mul", det, turned))
    t = node.inputs[1]
    slope = build("einsum", turned, t, params=("ij,ij->",))
    both = build("einsum", turned, t, turned, params=("ij,kj,kl->il",))
    return expand(build("mul", det, build("sub", build("mul", slope, turned), both)))


def _identity_matrix(node: Node) -> Terms:
    return collected(node.shape, [Term(Fraction(1), (), (Factor(lazy_eye(node.params[0]), (0, 1)),))])


# Powers.


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
        return power_of(collected(shape, [Term(Fraction(1)), *_negative(sigmoid).terms]), -power)
    # The square of a product of matrices, entry by entry, is a product again: norm2(A*x)^2 is x'*A'*A*x.
    network_inside = any(x is not None and x < 0 for t in terms.terms for f in t.factors for x in f.labels)
    if len(terms.terms) == 1 and not (power == EXPANDED_POWER and network_inside):
        return _power_of_term(shape, terms.terms[0], power)
    if power == EXPANDED_POWER and terms.terms:
        return collected(shape, [_times(s, t) for s in terms.terms for t in terms.terms])
    if not terms.terms:
        return terms if power > 0 else collected(shape, [Term(math.inf)])
    # A term that is never negative leads where there is one, so that roots and whole powers have the same base.
    lead = next((t.number for t in terms.terms if _never_negative(t)), terms.terms[0].number)
    whole = power.denominator == 1 if isinstance(power, Fraction) else float(power).is_integer()
    scale: Number = magnitude(lead) if not whole else lead
    base = Terms(shape, tuple([Term(_divided_number(t.number, scale), t.scalars, t.factors) for t in terms.terms]))
    made = _single(rebuild(base), power)
    base_number = ((constant(_plain(scale)), power),)
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


def _logarithm(atom: Node) -> Terms | None:
    """Write log(1 + exp(u)) as softplus(u), which does not overflow."""
    exponent = _one_plus_exp(_of(atom.inputs[0]))
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
    out = [Term(Fraction(1), ((constant(_plain(number)), power), *[(a, e * power) for a, e in scalars]),
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


def magnitude(number: Number) -> Number:
    """Give a number without its sign."""
    return -number if number < 0 else number


def _power_number(number: Number, power: Number) -> Number:
    if isinstance(power, Fraction) and power.denominator == 1 and isinstance(number, Fraction):
        return number ** int(power) if number or power > 0 else math.inf
    value = float(number) ** float(power) if number > 0 else (0.0 if power > 0 else math.inf)
    return _number(value)


def _roots(number: Number, power: Number) -> tuple[Number, list[tuple[Node, Number]]]:
    """Write a power of a number as a number and roots of primes, which stay as they are: sqrt(2)^2 is 2 exactly."""
    if isinstance(power, Fraction) and power.denominator == 2 and isinstance(number, Fraction) and number > 0:
        outside: Number = Fraction(1)
        roots: list[tuple[Node, Number]] = []
        for whole, sign in ((number.numerator, 1), (number.denominator, -1)):
            for prime, count in _primes(whole):
                e = count * sign * power
                up = math.floor(e)
                outside = outside * Fraction(prime) ** up
                if e != up:
                    roots.append((constant(prime), e - up))
        return outside, roots
    return _power_number(number, power), []


def _primes(whole: int) -> list[tuple[int, int]]:
    """Split into small primes; what is left of a large number stays in one piece."""
    found = []
    for p in range(2, 1000):
        if p * p > whole:
            break
        count = 0
        while whole % p == 0:
            whole //= p
            count += 1
        if count:
            found.append((p, count))
    return [*found, (whole, 1)] if whole > 1 else found


def _divided_number(a: Number, b: Number) -> Number:
    return a / b if isinstance(a, Fraction) and isinstance(b, Fraction) else _number(float(a) / float(b))


_NONNEGATIVE = frozenset(["exp", "abs", "softplus", "sigmoid", "sqrt", "relu", "cosh", "softmax", "square", "rsqrt"])


def nonnegative(atom: Node) -> bool:
    """Say whether every entry is >= 0 for sure."""
    if atom.op == "symbol":
        return atom.domain == "count" or "nonnegative" in attributes(atom)
    if atom.op == "dimension" or atom.op in _NONNEGATIVE:
        return True
    if atom.op == "det":
        return "positive definite" in attributes(atom.inputs[0])
    if atom.op == "einsum":
        return all(nonnegative(x) for x in atom.inputs)
    return bool(isinstance(atom.value, (int, float)) and atom.value >= 0)


def attributes(atom: Node) -> frozenset[str]:
    """Give a symbol's attributes ("symmetric", "positive definite", "diagonal", "orthogonal", "nonnegative")."""
    if atom.op == "symbol" and len(atom.params) > 2:
        return frozenset(atom.params[2])
    if atom.op == "inv":
        return attributes(atom.inputs[0]) & {"symmetric", "positive definite", "diagonal", "orthogonal"}
    return frozenset()


def symmetric(atom: Node) -> bool:
    """Say whether an atom equals its transpose for sure."""
    if attributes(atom) & {"symmetric", "positive definite", "diagonal"} or atom.op == "eye":
        return True
    if len(atom.shape) != 2 or atom.shape[0] != atom.shape[1] or atom.op in ("symbol", "variable"):
        return False
    if atom.op == "inv":
        known = _symmetric_inverses.get(atom.key)
        if known is None:
            if len(_symmetric_inverses) > _MOST_KNOWN:
                _symmetric_inverses.clear()
            (x,) = atom.inputs
            known = _symmetric_inverses[atom.key] = same(x, x.T)
        return known
    return False


_symmetric_inverses: dict[str, bool] = {}


# Atoms that are something simpler.


def _odd_or_even(atom: Node) -> Terms | None:
    """Give a function the argument whose first term is positive: f(-u) by the symmetry of f."""
    (x,) = atom.inputs
    terms = _of(x).terms
    if not terms or terms[0].number >= 0:
        return None
    flipped = rebuild(_negative(_of(x)))
    mirrored = build(atom.op, flipped)
    if atom.op in ("abs", "cos", "cosh"):
        return expand(mirrored)
    if atom.op == "sigmoid":
        return collected(atom.shape, [Term(Fraction(1)), *_negative(_of(mirrored)).terms])
    if atom.op == "softplus":
        return collected(atom.shape, [*_of(mirrored).terms, *_of(x).terms])
    return _negative(expand(mirrored))


def _negative(terms: Terms) -> Terms:
    return Terms(terms.shape, tuple([Term(-t.number, t.scalars, t.factors) for t in terms.terms]))


def _scaled_matrix(atom: Node) -> tuple[Number, tuple[tuple[Node, Number], ...], Node, bool] | None:
    """Read a matrix as a number and scalars times another matrix, perhaps transposed."""
    (x,) = atom.inputs
    terms = _of(x).terms
    if len(x.shape) != 2 or len(terms) != 1:
        return None
    (term,) = terms
    turned = len(term.factors) == 1 and term.factors[0].labels == (1, 0) and term.factors[0].power == 1
    if term.number == 1 and not term.scalars and not turned:
        return None
    if turned:
        return term.number, term.scalars, term.factors[0].atom, True
    return term.number, term.scalars, rebuild(Terms(x.shape, (Term(Fraction(1), (), term.factors),))), False


def _chain(term: Term) -> list[Factor] | None:
    """Read a network as a product of square matrices from axis 0 to axis 1, each with its labels in that direction."""
    links: list[Factor] = []
    at: Label = 0
    rest = list(term.factors)
    while rest:
        here = [f for f in rest if at in f.labels]
        if len(here) != 1 or len(here[0].labels) != 2 or here[0].power != 1:
            return None
        (f,) = here
        if f.atom.shape[0] != f.atom.shape[1] or f.labels[0] == f.labels[1] or None in f.labels:
            return None
        rest.remove(f)
        links.append(f)
        at = f.labels[1] if f.labels[0] == at else f.labels[0]  # type: ignore[assignment]
    return links if at == 1 else None


def _diagonal_of(term: Term) -> Term | None:
    """Give the entries, over axis 0, of a matrix that the identity makes diagonal."""
    (eyes, rest) = ([f for f in term.factors if f.atom.op == "eye"], [f for f in term.factors if f.atom.op != "eye"])
    if len(eyes) != 1 or set(eyes[0].labels) != {0, 1} or not rest:
        return None
    return relabelled(Term(term.number, term.scalars, tuple(rest)), {1: 0})


def _better_turned(x: Node) -> Node | None:
    """Give a matrix's transpose where that is the one of the two that inverses and determinants are written with."""
    if x.ndim != 2:
        return None
    here, there = _of(x), expand(x.T)
    weights = [sum(f.labels == (1, 0) for t in terms.terms for f in t.factors) for terms in (here, there)]
    return rebuild(there) if (weights[1], repr(there.key)) < (weights[0], repr(here.key)) else None


def _inverse(atom: Node) -> Terms | None:
    (x,) = atom.inputs
    turned = _better_turned(x)
    if turned is not None:
        return collected(x.shape, [relabelled(t, {0: 1, 1: 0}) for t in expand(build("inv", turned)).terms])
    terms = _of(x).terms
    if len(terms) == 1 and len(x.shape) == 2:
        links = _chain(terms[0])
        if links is not None and len(links) > 1:
            product: list[Factor] = []
            for f in links:
                # The inverse of a link runs the other way: its rows are the link's columns.
                product.append(Factor(build("inv", f.atom), f.labels[::-1]))
            back = relabelled(Term(Fraction(1), (), tuple(product)), {0: 1, 1: 0})
            scale = Term(Fraction(1), ((constant(_plain(terms[0].number)), Fraction(-1)),
                                       *[(a, -e) for a, e in terms[0].scalars]))  # fmt: skip
            return collected(x.shape, _with_atoms(_joined_terms(scale, back)))
        entries = _diagonal_of(terms[0])
        if entries is not None:
            inverted = power_of(collected(x.shape[:1], [entries]), Fraction(-1))
            eye = Term(Fraction(1), (), (Factor(lazy_eye(x.shape[0]), (0, 1)),))
            return collected(x.shape, [_times(t, eye) for t in inverted.terms])
    if len(terms) == 1 and not terms[0].scalars and terms[0].number == 1 and len(terms[0].factors) == 1:
        (f,) = terms[0].factors
        if f.power == 1 and f.atom.op == "inv":
            return collected(x.shape, [Term(Fraction(1), (), (Factor(f.atom.inputs[0], f.labels),))])
        if f.power == 1 and f.atom.op == "eye":
            return _of(x)
        if f.power == 1 and "orthogonal" in attributes(f.atom):
            return collected(x.shape, [Term(Fraction(1), (), (Factor(f.atom, f.labels[::-1]),))])
    read = _scaled_matrix(atom)
    if read is None:
        return None
    number, scalars, matrix, transposed = read
    inner = expand(build("inv", matrix))
    names: dict[Label, Label | None] = {0: 1, 1: 0} if transposed else {}
    scale = Term(_power_number(number, Fraction(-1)), tuple([(a, -e) for a, e in scalars]))
    return collected(x.shape, [_times(scale, relabelled(t, names)) for t in inner.terms])


def _with_atoms(term: Term) -> list[Term]:
    """Put each inverse among the factors into normal form."""
    made = [Term(term.number, term.scalars)]
    for f in term.factors:
        parts = _of(f.atom).terms
        own = dict(enumerate(f.labels))
        made = [_joined_terms(m, _relabelled_apart(t, own)) for m in made for t in parts]
    return made


def _determinant(atom: Node) -> Terms | None:
    better = _better_turned(atom.inputs[0])
    if better is not None:
        return expand(build(atom.op, better))
    terms = _of(atom.inputs[0]).terms
    if atom.op == "det" and len(terms) == 1:
        links = _chain(terms[0])
        if links is not None and len(links) > 1 and terms[0].number == 1 and not terms[0].scalars:
            made = [Term(Fraction(1))]
            for f in links:
                made = [_times(m, t) for m in made for t in expand(build("det", f.atom)).terms]
            return collected((), made)
        plain = terms[0].number == 1 and not terms[0].scalars
        if links is not None and len(links) == 1 and links[0].atom.op == "inv" and plain:
            return power_of(expand(build("det", links[0].atom.inputs[0])), Fraction(-1))
    read = _scaled_matrix(atom)
    if read is None or not isinstance(atom.inputs[0].shape[0], int):
        if read is not None and read[0] == 1 and not read[1]:
            return expand(build(atom.op, read[2]))
        return None
    number, scalars, matrix, _ = read
    n = atom.inputs[0].shape[0]
    inner = expand(build(atom.op, matrix))
    if atom.op == "det":
        scale = Term(_power_number(number, Fraction(n)), tuple([(a, e * n) for a, e in scalars]))
        return collected((), [_times(scale, t) for t in inner.terms])
    return inner if number == 1 and not scalars else None


_SPECIAL = {
    **{f: _odd_or_even for f in ("abs", "cos", "cosh", "sin", "sinh", "tanh", "erf", "arctan", "sign", "sigmoid")},
    "softplus": _odd_or_even,
    "log": _logarithm,
    "inv": _inverse,
    "det": _determinant,
    "logdet": _determinant,
}


def _solved(node: Node) -> Terms:
    a, b = node.inputs
    return expand(build("einsum", build("inv", a), b, params=("ij,j->i" if b.ndim == 1 else "ij,jk->ik",)))


_RULES = {
    "add": _added, "sub": _added, "neg": _negated, "mul": _multiplied, "div": _divided, "square": _raised,
    "sqrt": _raised, "rsqrt": _raised, "pow": _raised, "einsum": _contracted, "sum": _summed,
    "transpose": _transposed, "broadcast_to": _repeated, "reshape": _laid_out, "eye": _identity_matrix,
    "where": _branched, "softmax": _exponentials, "logsumexp": _exponentials,
    "cofactor": lambda node: _cofactors(node) if node.ndim == 2 else None,
    "cofactor_slope": lambda node: _cofactors(node) if node.ndim == 2 else None,
    "identity": lambda node: _of(node.inputs[0]),
    "solve": lambda node: _solved(node) if node.inputs[0].ndim == 2 and node.inputs[1].ndim <= 2 else None,
}  # fmt: skip


# The canonical form of a sum, and of a term.


def collected(shape: Shape, terms: Iterable[Term]) -> Terms:
    """Bring terms into canonical form and collect equal ones."""
    found: dict[tuple[Any, ...], tuple[Number, Term]] = {}
    pending = list(terms)
    while pending:
        raw = pending.pop()
        term = canonical(raw)
        if term is None:
            continue
        opened = _opened(term, shape)
        if opened is not None:
            pending.extend(opened)
            continue
        key = _key(term)
        known = found.get(key)
        found[key] = (term.number + (known[0] if known else 0), term)
    kept = [(key, Term(n, t.scalars, t.factors)) for key, (n, t) in found.items() if n != 0]
    return Terms(shape, tuple([t for _, t in sorted(kept, key=lambda pair: (-len(pair[0][1]), pair[0]))]))


def _key(term: Term) -> tuple[Any, ...]:
    scalars = tuple([(a.key, str(e)) for a, e in term.scalars])
    return scalars, tuple([_factor_key(f) for f in term.factors])


def _factor_key(f: Factor) -> tuple[Any, ...]:
    return f.atom.key, str(f.power), tuple([10**9 if x is None else x for x in f.labels])


def _opened(term: Term, shape: Shape) -> list[Term] | None:
    """Multiply a sum out that has become a plain factor, its power having come to 1 (or 2)."""
    for k, (atom, e) in enumerate(term.scalars):
        if e in (1, 2) and is_sum(atom):
            rest = Term(term.number, term.scalars[:k] + term.scalars[k + 1 :], term.factors)
            parts = [_times(rest, t) for t in _of(atom).terms]
            return parts if e == 1 else [_times(p, t) for p in parts for t in _of(atom).terms]
    for k, f in enumerate(term.factors):
        if f.power in (1, 2) and (is_sum(f.atom) or f.atom.op == "einsum"):
            rest = Term(term.number, term.scalars, term.factors[:k] + term.factors[k + 1 :])
            own = {i: x for i, x in enumerate(f.labels)}
            inner = [_relabelled_apart(t, own) for t in _of(f.atom).terms]
            parts = [_joined_terms(rest, t) for t in inner]
            return parts if f.power == 1 else [
                _joined_terms(p, _relabelled_apart(t, own)) for p in parts for t in _of(f.atom).terms
            ]  # fmt: skip
    return _without_exp(term)


def _without_exp(term: Term) -> list[Term] | None:
    """Replace exp(u) s(u) by exp(u) - s(u), and exp(-u) s(u) by 1 - s(u), for the sigmoid s."""
    for k, (a, e) in enumerate(term.scalars):
        for j, (b, p) in enumerate(term.scalars):
            sign = _exp_meets_sigmoid(a, e, b, p)
            if sign:
                rest = [x for i, x in enumerate(term.scalars) if i not in (k, j)]
                low = [(a, e - 1)] if e != 1 else []
                fewer = [(b, p - 1)] if p != 1 else []
                first = [(a, e)] if sign > 0 else low
                return [Term(term.number, (*rest, *first, *fewer), term.factors),
                        Term(-term.number, (*rest, *low, (b, p)), term.factors)]  # fmt: skip
    for f in term.factors:
        for g in term.factors:
            sign = _exp_meets_sigmoid(f.atom, f.power, g.atom, g.power) if f.labels == g.labels else 0
            if sign:
                others = [x for x in term.factors if x is not f and x is not g]
                reduced = Factor(f.atom, f.labels, f.power - 1)
                less = Factor(g.atom, g.labels, g.power - 1)
                return [Term(term.number, term.scalars, (*others, f if sign > 0 else reduced, less)),
                        Term(-term.number, term.scalars, (*others, reduced, g))]  # fmt: skip
    return None


def _exp_meets_sigmoid(a: Node, e: Number, b: Node, p: Number) -> int:
    """Give 1 for exp(u) and s(u), -1 for exp(-u) and s(u), else 0."""
    if a.op != "exp" or b.op != "sigmoid" or not all(isinstance(x, Fraction) and x.denominator == 1 and x >= 1
                                                     for x in (e, p)):  # fmt: skip
        return 0
    if a.inputs[0] is b.inputs[0]:
        return 1
    return -1 if _of(a.inputs[0]).key == _negative(_of(b.inputs[0])).key else 0


def _joined_terms(s: Term, t: Term) -> Term:
    return Term(s.number * t.number, s.scalars + t.scalars, s.factors + t.factors)


def is_sum(atom: Node) -> bool:
    """Say whether an atom, as `rebuild` writes it, has several terms, or a number in front."""
    return atom.op in ("add", "sub", "neg", "mul", "div", "broadcast_to")


def canonical(term: Term) -> Term | None:
    """Reduce a term's network, split scalars off, and put everything in order; None for 0."""
    if term.number == 0:
        return None
    number, scalars, factors = term.number, list(term.scalars), list(term.factors)
    reduced = _reduced(factors, scalars)
    tied, free = components(reduced)
    for component in free:
        scalars.append((_scalar_atom(component), Fraction(1)))
    powers: dict[str, tuple[Node, Number]] = {}
    for atom, e in scalars:
        value = atom.value
        if value.__class__ in NUMBERS:
            outside, roots = _roots(_number(value), e)
            number = number * outside
            for root, power in roots:
                known = powers.get(root.key)
                powers[root.key] = (root, power + (known[1] if known else 0))
            continue
        known = powers.get(atom.key)
        powers[atom.key] = (atom, e + (known[1] if known else 0))
    for key, (atom, e) in list(powers.items()):
        if atom.value.__class__ in NUMBERS and isinstance(e, Fraction) and (e >= 1 or e < 0):
            up = math.floor(e)
            number = number * _power_number(_number(atom.value), Fraction(up))
            powers[key] = (atom, e - up)
    if number == 0:
        return None
    kept = tuple(sorted([p for p in powers.values() if p[1] != 0], key=lambda p: p[0].key))
    return Term(number, kept, ordered(tied))


def _reduced(factors: list[Factor], scalars: list[tuple[Node, Number]]) -> list[Factor]:
    """Apply the laws of the identity, of inverses, of orthogonal matrices and of powers until nothing changes."""
    while True:
        changed = _merge_powers(factors, scalars) or _drop_identities(factors, scalars) or _cancel(factors)
        changed = changed or _cancel_networks(factors)
        if not changed:
            return factors


def _merge_powers(factors: list[Factor], scalars: list[tuple[Node, Number]]) -> bool:
    for i, f in enumerate(factors):
        if f.power == 0:
            _dismiss(factors, i, scalars)
            return True
        for j in range(i):
            g = factors[j]
            same_entries = f.labels == g.labels or symmetric(f.atom) and f.labels == g.labels[::-1]
            if f.atom is g.atom and same_entries and f.atom.op != "eye" and not _is_indicator(f.atom):
                factors[j] = Factor(g.atom, g.labels, g.power + f.power)
                del factors[i]
                return True
            pair = _sign_pair(f, g) or _sign_pair(g, f)
            if pair is not None:
                factors[j] = pair
                del factors[i]
                return True
    return False


def _is_indicator(atom: Node) -> bool:
    """Say whether an atom is 0 or 1 everywhere, being sign(relu(u))."""
    return atom.op == "sign" and atom.inputs[0].op == "relu"


def _sign_pair(f: Factor, g: Factor) -> Factor | None:
    """Read sign(u) u as |u|, sign(u) |u| and u/|u| ... as one factor."""
    if f.labels != g.labels:
        return None
    if _is_indicator(f.atom):
        if g.atom is f.atom.inputs[0] and g.power > 0:
            return g
        if g.atom is f.atom and f.power > 0:
            return Factor(f.atom, f.labels)
    if f.atom.op == "sign" and f.power == 1 and g.power == 1:
        if f.atom.inputs[0] is g.atom:
            return Factor(build("abs", g.atom), f.labels)
        if g.atom.op == "abs" and g.atom.inputs[0] is f.atom.inputs[0]:
            return Factor(f.atom.inputs[0], f.labels)
    if f.atom.op == "abs" and f.atom.inputs[0] is g.atom and g.power == 1 and f.power == -1:
        return Factor(build("sign", g.atom), f.labels)
    if f.atom.op == "abs" and f.power == 2:
        return None
    return None


def _dismiss(factors: list[Factor], i: int, scalars: list[tuple[Node, Number]]) -> None:
    """Drop a factor that is 1 everywhere; a summed label that only it had counts its size."""
    f = factors.pop(i)
    used = {x for g in factors for x in g.labels}
    for x, size in dict(zip(f.labels, f.atom.shape, strict=True)).items():
        if x is not None and x < 0 and x not in used:
            scalars.append((_size(size), Fraction(1)))


def _size(size: Dimension) -> Node:
    return constant(size) if isinstance(size, int) else build("dimension", params=(size,))


def _drop_identities(factors: list[Factor], scalars: list[tuple[Node, Number]]) -> bool:
    for i, f in enumerate(factors):
        if f.atom.op != "eye":
            continue
        a, b = f.labels
        if f.power != 1 and f.power > 0:
            factors[i] = Factor(f.atom, f.labels)
            return True
        if a == b:
            _dismiss(factors, i, scalars)
            return True
        if a is not None and b is not None and a >= 0 and b >= 0:
            low, high = min(a, b), max(a, b)
            if _lower_axis(factors, i, low, high):
                return True
            continue
        for gone, stays in ((a, b), (b, a)):
            if gone is not None and gone < 0:
                del factors[i]
                size = f.atom.shape[0]
                touched = False
                for j, g in enumerate(factors):
                    if gone in g.labels:
                        factors[j] = Factor(g.atom, tuple([stays if x == gone else x for x in g.labels]), g.power)
                        touched = True
                if not touched and stays is not None and stays < 0 and not any(stays in g.labels for g in factors):
                    scalars.append((_size(size), Fraction(1)))
                return True
    return False


def _lower_axis(factors: list[Factor], i: int, low: Label, high: Label) -> bool:
    """Where the identity joins two axes of the result, let the other factors have the lower one."""
    changed = False
    for j, g in enumerate(factors):
        if j != i and high in g.labels and not (g.atom.op == "eye" and g.labels in ((low, high), (high, low))):
            factors[j] = Factor(g.atom, tuple([low if x == high else x for x in g.labels]), g.power)
            changed = True
    return changed


def _cancel(factors: list[Factor]) -> bool:
    """Replace inv(A) A, and Q'Q for an orthogonal Q, by the identity."""
    uses: dict[Label | None, int] = {}
    for f in factors:
        for x in f.labels:
            uses[x] = uses.get(x, 0) + 1
    for i, f in enumerate(factors):
        if len(f.labels) != 2 or f.power != 1:
            continue
        for j, g in enumerate(factors):
            if i == j or len(g.labels) != 2 or g.power != 1:
                continue
            for p, q in itertools.product((0, 1), repeat=2):
                shared = f.labels[p]
                if shared is None or shared >= 0 or shared != g.labels[q] or uses[shared] != 2:
                    continue
                if _undoes(f.atom, p, g.atom, q):
                    eye = lazy_eye(f.atom.shape[1 - p])
                    new = Factor(eye, (f.labels[1 - p], g.labels[1 - q]))
                    for k in sorted((i, j), reverse=True):
                        del factors[k]
                    factors.append(new)
                    return True
    return False


def _cancel_networks(factors: list[Factor]) -> bool:
    """Replace inv(M) M by the identity where M is a product of several factors."""
    uses: dict[Label | None, int] = {}
    for f in factors:
        for x in f.labels:
            uses[x] = uses.get(x, 0) + 1
    for i, f in enumerate(factors):
        if f.atom.op != "inv" or f.power != 1 or len(f.labels) != 2:
            continue
        terms = _of(f.atom.inputs[0]).terms
        if len(terms) != 1 or len(terms[0].factors) < 2 or terms[0].number != 1 or terms[0].scalars:
            continue
        for axis in (0, 1):
            shared = f.labels[axis]
            if shared is None or shared >= 0:
                continue
            # inv(M)[a, b] M[b, c] joins M's axis 0 to b; M[c, a] inv(M)[a, b] joins its axis 1 to a.
            for chosen, where in _matches(terms[0].factors, factors, {1 - axis: shared}, i):
                far = where[axis]
                inner = {x for x in where.values() if x is not None and x not in (shared, far)} | {shared}
                held = sum(factors[k].labels.count(x) for k in chosen for x in inner) + f.labels.count(shared)
                if shared == far or far is None or held != sum(uses[x] for x in inner):
                    continue
                pair = (f.labels[1 - axis], far)
                rest = [g for k, g in enumerate(factors) if k != i and k not in chosen]
                factors[:] = [*rest, Factor(lazy_eye(f.atom.shape[0]), pair)]
                return True
    return False


def _matches(
    pattern: Sequence[Factor], factors: Sequence[Factor], names: dict[Label, Label | None], skip: int
) -> Iterable[tuple[list[int], dict[Label, Label | None]]]:
    """Find a pattern's factors among others, with the labels that its labels then stand for."""
    states: list[tuple[list[int], dict[Label, Label | None]]] = [([], dict(names))]
    for p in pattern:
        grown = []
        for chosen, known in states:
            for k, g in enumerate(factors):
                if k == skip or k in chosen or g.atom is not p.atom or g.power != p.power:
                    continue
                for labels in {g.labels, g.labels[::-1]} if symmetric(g.atom) else {g.labels}:
                    new = dict(known)
                    pairs = zip(p.labels, labels, strict=True)
                    fits = all([x is not None and new.setdefault(x, y) == y for x, y in pairs])
                    if fits and len(set(new.values())) == len(new):
                        grown.append(([*chosen, k], new))
        states = grown[:64]
    return states


def _undoes(a: Node, p: int, b: Node, q: int) -> bool:
    """Say whether contracting axis p of a with axis q of b gives the identity."""
    if a.op == "inv" and a.inputs[0] is b:
        return p != q or symmetric(b)
    return a is b and "orthogonal" in attributes(a) and (p == q or symmetric(a))


def components(factors: Sequence[Factor]) -> tuple[list[Factor], list[list[Factor]]]:
    """Split a network into what reaches an axis of the result, and closed parts, which are scalars."""
    rest = list(factors)
    tied: list[Factor] = []
    closed: list[list[Factor]] = []
    while rest:
        part = [rest.pop()]
        labels = {x for x in part[0].labels if x is not None and x < 0}
        grown = True
        while grown:
            grown = False
            for f in list(rest):
                if labels & {x for x in f.labels if x is not None}:
                    rest.remove(f)
                    part.append(f)
                    labels |= {x for x in f.labels if x is not None and x < 0}
                    grown = True
        if any(x is not None and x >= 0 for f in part for x in f.labels):
            tied += part
        else:
            closed.append(part)
    return tied, closed


def _scalar_atom(factors: Sequence[Factor]) -> Node:
    """Build the node of a closed network."""
    return _network_node((), ordered(factors))


def ordered(factors: Sequence[Factor]) -> tuple[Factor, ...]:
    """Put factors in canonical order and name the summed labels -1, -2, ... in order of appearance."""
    if not factors:
        return ()
    # The order depends on the network alone, not on the names of its summed labels: it is remembered under plain names.
    names: dict[Label, Label] = {}
    plain = tuple([
        (f.atom.key, str(f.power),
         tuple([x if x is None or x >= 0 else names.setdefault(x, -1 - len(names)) for x in f.labels]))
        for f in factors
    ])  # fmt: skip
    known = _orders.get(plain)
    if known is None:
        if len(_orders) > _MOST_KNOWN:
            _orders.clear()
        known = _orders[plain] = _ordered_anew(factors)
    return known


_orders: dict[tuple[Any, ...], tuple[Factor, ...]] = {}


def _ordered_anew(factors: Sequence[Factor]) -> tuple[Factor, ...]:
    colours: dict[Factor, tuple[str, ...]] = {f: (f.atom.key, str(f.power)) for f in factors}
    label_colours: dict[Label | None, Any] = {
        x: ("axis", x) if x is None or x >= 0 else ("sum",) for f in factors for x in f.labels
    }
    seen = [(f, list(f.labels)) for f in factors]
    different = len(set(colours.values())) == len(factors)
    for _ in range(1 if different else len(factors)):
        incident: dict[Label | None, list[Any]] = {}
        for f, labels in seen:
            for place, x in enumerate(labels):
                incident.setdefault(x, []).append((colours[f], 0 if symmetric(f.atom) else place))
        refined = {
            x: (c if x is None or x >= 0 else ("sum", hash_of(sorted(map(repr, incident[x])))))
            for x, c in label_colours.items()
        }
        new: dict[Factor, tuple[str, ...]] = {}
        for f, labels in seen:
            own = [repr(refined[x]) for x in labels]
            new[f] = (f.atom.key, str(f.power), hash_of(sorted(own) if symmetric(f.atom) else own))
        if len(set(new.values())) == len(set(colours.values())) and refined == label_colours:
            break
        colours, label_colours = new, refined
    groups: dict[Any, list[Factor]] = {}
    for f in factors:
        groups.setdefault(colours[f], []).append(f)
    ordered_groups = [groups[c] for c in sorted(groups, key=repr)]
    orders = itertools.product(*[itertools.permutations(g) for g in ordered_groups])
    best: tuple[Factor, ...] | None = None
    best_key: Any = None
    for order in itertools.islice(orders, _TIES):
        for named in _namings([f for group in order for f in group], label_colours):
            key = [_factor_key(f) for f in named]
            if best_key is None or key < best_key:
                best, best_key = named, key
    assert best is not None
    return best


def hash_of(parts: Sequence[str]) -> str:
    """Digest a list of texts."""
    import hashlib

    return hashlib.blake2b("|".join(parts).encode(), digest_size=8).hexdigest()


def _namings(factors: Sequence[Factor], colours: Mapping[Label | None, Any]) -> list[tuple[Factor, ...]]:
    """Name the summed labels -1, -2, ... in order of appearance.

    A symmetric factor may be read either way: labels already named come first, then those of smaller colour; where the
    colours are equal, both ways are given.
    """
    states: list[tuple[dict[Label, Label], list[Factor]]] = [({}, [])]
    for f in factors:
        grown = []
        for names, done in states:
            orders = [f.labels]
            if len(f.labels) == 2 and f.labels[0] != f.labels[1] and symmetric(f.atom):
                ranks = [_rank(x, names, colours) for x in f.labels]
                if ranks[0] > ranks[1]:
                    orders = [f.labels[::-1]]
                elif ranks[0] == ranks[1] and len(states) < 64:
                    orders = [f.labels, f.labels[::-1]]
            for order in orders:
                known = dict(names)
                labels = tuple([x if x is None or x >= 0 else known.setdefault(x, -1 - len(known)) for x in order])
                grown.append((known, [*done, Factor(f.atom, labels, f.power)]))
        states = grown
    return [tuple(done) for _, done in states]


def _rank(x: Label | None, names: Mapping[Label, Label], colours: Mapping[Label | None, Any]) -> tuple[int, Any]:
    if x is None:
        return 3, ""
    if x >= 0:
        return 0, x
    return (1, -names[x]) if x in names else (2, repr(colours[x]))


# Back to nodes.


def rebuild(terms: Terms) -> Node:
    """Give the node of a normal form."""
    total: Node | None = None
    for term in terms.terms:
        node = term_node(terms.shape, Term(magnitude(term.number), term.scalars, term.factors))
        if total is None:
            total = node if term.number >= 0 else build("neg", node)
        else:
            total = build("add" if term.number >= 0 else "sub", total, node)
    return spread(constant(0.0) if total is None else total, terms.shape)


def term_node(shape: Shape, term: Term) -> Node:
    """Give the node of one term."""
    parts: Node | None = None if term.number == 1 else constant(_plain(term.number))
    for atom, e in term.scalars:
        p = _power_node(atom, e)
        parts = p if parts is None else build("mul", parts, p)
    if term.factors:
        network = _network_node(shape, term.factors)
        parts = network if parts is None else build("mul", parts, network)
    return spread(constant(1.0) if parts is None else parts, shape)


def _plain(number: Number) -> int | float:
    if isinstance(number, Fraction):
        return int(number) if number.denominator == 1 else float(number)
    return number


def _power_node(atom: Node, e: Number) -> Node:
    if e == 1:
        return atom
    fixed = {Fraction(2): "square", Fraction(1, 2): "sqrt"}
    if e in fixed:
        return build(fixed[Fraction(e)], atom)
    if e < 0:
        return build("div", 1.0, _power_node(atom, -e))
    return build("pow", atom, _plain(e))


def network(node: Node) -> list[Factor]:
    """Read a closed network, as `canonical` puts it among the scalars, back into its factors."""
    if node.op == "einsum":
        operands, nodes = node.params[0].split("->")[0].split(","), node.inputs
    else:
        return []
    names: dict[str, Label] = {}
    for c in "".join(operands):
        names.setdefault(c, -1 - len(names))
    found = []
    for letters, x in zip(operands, nodes, strict=True):
        labels = [names[c] for c in letters]
        atom, power = _power_of_node(x)
        if (
            atom.op == "reshape"
            and atom.ndim < atom.inputs[0].ndim
            and atom.shape == tuple([d for d in atom.inputs[0].shape if d != 1])
        ):
            rest = iter(labels)
            inner, more = _power_of_node(atom.inputs[0])
            found.append(Factor(inner, tuple([None if d == 1 else next(rest) for d in inner.shape]), power * more))
        else:
            found.append(Factor(atom, tuple(labels), power))
    return found


def _power_of_node(node: Node) -> tuple[Node, Number]:
    """Undo `_power_node`."""
    if node.op in ("square", "sqrt"):
        return node.inputs[0], Fraction(2) if node.op == "square" else Fraction(1, 2)
    if node.op == "div" and is_constant(node.inputs[0], 1):
        atom, e = _power_of_node(node.inputs[1])
        return atom, -e
    if node.op == "pow" and node.inputs[1].value.__class__ in NUMBERS:
        return node.inputs[0], _number(node.inputs[1].value)
    return node, Fraction(1)


def _network_node(shape: Shape, factors: Sequence[Factor]) -> Node:
    """Contract a network with one einsum, and lay the result out over the axes it does not have."""
    letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
    names: dict[Label, str] = {}
    nodes, terms = [], []
    for f in factors:
        node = _power_node(f.atom, f.power)
        kept = [(x, d) for x, d in zip(f.labels, node.shape, strict=True) if x is not None]
        if len(kept) < node.ndim:
            node = build("reshape", node, params=(tuple([d for _, d in kept]),))
        nodes.append(node)
        terms.append("".join([names.setdefault(x, letters[len(names)]) for x, _ in kept]))
    axes = [i for i in range(len(shape)) if i in names]
    out = "".join([names[i] for i in axes])
    if len(nodes) == 1 and terms[0] == out:
        node = nodes[0]
    else:
        node = build("einsum", *nodes, params=(",".join(terms) + "->" + out,))
    if node.shape != shape:
        node = build("reshape", node, params=(tuple([shape[i] if i in axes else 1 for i in range(len(shape))]),))
    return spread(node, shape)
