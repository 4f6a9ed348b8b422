"""Convex, concave, affine or unknown: what follows for an expression from the operations that it is made of.

The rules are those of disciplined convex programming (Grant, Boyd and Ye, 2006): a convex increasing function of a
convex argument is convex, and so on, with the ranges that decide which function is increasing where. They are joined by
two ideas that look at more than one operation: a sum of squares of affine functions is remembered as such, since its
root is a norm, and so is a function whose logarithm is convex. Where an operation couples the variable with itself, the
normal form is searched for a positive semidefinite form (:mod:`thalweg.expr.definite`). "unknown" means only that no
rule decides. A verdict holds on convex sets of the domain, entry by entry, at any value of the other symbols.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from thalweg.core.errors import InputError
from thalweg.expr.convexity_facts import (
    AFFINE,
    CONCAVE,
    CONSTANT,
    CONVEX,
    UNKNOWN,
    Fact,
    operands,
    range_of,
    sign_of_product,
)
from thalweg.expr.definite import mirrored, positive_matrix
from thalweg.expr.differentiate import substitute
from thalweg.expr.node import Node, build, constant, symbol
from thalweg.expr.simplify import simplify
from thalweg.expr.terms import Factor, Term, attributes, expand, nonnegative
from thalweg.expr.walk import dependents, topological

_STRAIGHT = (CONSTANT, AFFINE)
_BENDS_UP = (CONSTANT, AFFINE, CONVEX)
_BENDS_DOWN = (CONSTANT, AFFINE, CONCAVE)


@dataclass(frozen=True, slots=True)
class Convexity:
    """How a function bends.

    Attributes:
        kind: "constant", "affine", "convex", "concave" or "unknown", of every entry.
        sign: "nonnegative", "nonpositive" or "unknown", of every entry.
        reason: The rule that decided, or what no rule covers.

    """

    kind: str
    sign: str
    reason: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.reason}"


Facts = dict[Node, Fact]
_Rule = Callable[[Node, list[Fact]], Fact]


def convexity(node: Node, wrt: Node | str) -> Convexity:
    """Say how an expression bends in a variable, by composition.

    Args:
        node: An expression without values, of any shape.
        wrt: A symbol of it, or a symbol's name. Every other symbol is held at any value of its attributes.

    Returns:
        The verdict; it is never wrong, and "unknown" where no rule decides.

    Raises:
        InputError: when ``wrt`` is a name that no symbol of the expression has, or two.

    """
    variable = _variable(node, wrt)
    if "orthogonal" in attributes(variable):  # a segment between two orthogonal matrices leaves them
        free = symbol(variable.name, variable.shape, variable.domain, attributes(variable) - {"orthogonal"})
        (node,) = substitute([node], {variable: free})
        variable = free
    fact = _judged(node, variable)
    if fact.kind == UNKNOWN:
        better = _judged(simplify(node), variable)
        fact = better if better.kind != UNKNOWN else fact
    sign = "nonnegative" if fact.nonnegative else "nonpositive" if fact.nonpositive else "unknown"
    return Convexity(fact.kind, sign, fact.reason)


def _variable(node: Node, wrt: Node | str) -> Node:
    if isinstance(wrt, Node):
        return wrt
    found = [x for x in topological([node]) if x.op == "symbol" and x.name == wrt]
    if len(found) != 1:
        names = sorted({x.name for x in topological([node]) if x.op == "symbol"})
        problem = f"wrt={wrt!r} is no symbol of the expression" if not found else f"wrt={wrt!r} names several symbols"
        raise InputError(problem, f"give one of {', '.join(names) or 'its symbols (it has none)'}")
    return found[0]


def _judged(node: Node, variable: Node) -> Fact:
    facts: Facts = {}
    with np.errstate(all="ignore"):
        for x in topological([node]):
            facts[x] = _fact(x, variable, facts)
        result = facts[node]
        return _by_terms(node, variable, facts) or result if result.kind == UNKNOWN else result


def _fact(node: Node, variable: Node, facts: Facts) -> Fact:
    if node in facts:
        return facts[node]
    low, high = range_of(node, facts)
    if node is variable:
        return Fact(AFFINE, low, high, f"{node.name} itself")
    inner = [facts[x] for x in node.inputs]
    if all(f.kind == CONSTANT for f in inner):
        positive = low >= 0
        return Fact(CONSTANT, low, high, f"{variable.name} does not occur", squares=positive,
                     log=CONSTANT if positive else UNKNOWN)  # fmt: skip
    made = _RULES[node.op](node, inner) if node.op in _RULES else _unknown(node)
    if made.kind == UNKNOWN and node.op in _COUPLING:
        made = _by_terms(node, variable, facts) or made
    log = made.log
    if log == UNKNOWN and made.kind in _BENDS_DOWN and (low >= 0 or made.low >= 0):
        log = CONCAVE  # the logarithm is concave and increasing
    return replace(made, low=max(low, made.low), high=min(high, made.high), log=log)


def _unknown(node: Node, what: str = "") -> Fact:
    return Fact(UNKNOWN, reason=what or f"no rule covers {node.op} here")


# One operation at a time.


def _sum_of(facts: list[Fact]) -> Fact:
    """Judge a sum of the parts."""
    moving = [f for f in facts if f.kind != CONSTANT]
    squares = all(f.squares and f.nonnegative for f in facts)
    log = CONVEX if all(f.log in _BENDS_UP for f in facts) else UNKNOWN  # log-convex functions may be added
    for kind, allowed in ((AFFINE, _STRAIGHT), (CONVEX, _BENDS_UP), (CONCAVE, _BENDS_DOWN)):
        if all(f.kind in allowed for f in facts):
            curved = [f for f in moving if f.kind == kind]
            reason = curved[0].reason if len(curved) == 1 else f"a sum of {kind} functions"
            return Fact(kind, reason=reason, squares=squares, log=log)
    culprit = next((f for f in moving if f.kind == UNKNOWN), None)
    return Fact(UNKNOWN, reason=culprit.reason if culprit else "a sum of convex and concave functions", log=log)


def _flipped(fact: Fact) -> Fact:
    kind = {CONVEX: CONCAVE, CONCAVE: CONVEX}.get(fact.kind, fact.kind)
    turned = f"the negative of a {fact.kind} function: {fact.reason}" if kind != fact.kind else fact.reason
    return Fact(kind, -fact.high, -fact.low, turned)


def _times(fact: Fact, factor: Fact) -> Fact:
    """Multiply by a constant."""
    if factor.nonnegative:
        return replace(fact, low=-math.inf, high=math.inf, squares=fact.squares and fact.nonnegative)
    if fact.kind in _STRAIGHT:
        return Fact(AFFINE, reason=fact.reason)
    if factor.nonpositive:
        return replace(_flipped(fact), low=-math.inf, high=math.inf)
    return Fact(UNKNOWN, reason="a curved function times a constant of unknown sign")


def _add(node: Node, inner: list[Fact]) -> Fact:
    return _sum_of(inner)


def _subtract(node: Node, inner: list[Fact]) -> Fact:
    return _sum_of([inner[0], _flipped(inner[1])])


def _linear(node: Node, inner: list[Fact]) -> Fact:
    read = inner[:1] if node.op in ("pick", "gather", "take", "scatter") else inner
    if any(f.kind != CONSTANT for f in inner[len(read) :]):
        return _unknown(node)
    made = _sum_of(read)
    return replace(made, squares=made.squares and node.op != "place") if len(read) > 1 else replace(
        made, reason=read[0].reason, squares=read[0].squares, log=read[0].log)  # fmt: skip


def _multiply(node: Node, inner: list[Fact]) -> Fact:
    (x, y), (a, b) = node.inputs, inner
    if a.kind == CONSTANT:
        return _times(b, a)
    if b.kind == CONSTANT:
        return _times(a, b)
    if x is y:
        return _even(node, [a])
    for (u, f), v in (((x, a), y), ((y, b), x)):
        if v.op == "log" and f.kind == AFFINE and (v.inputs[0] is u or _relative(u, v.inputs[0], f, node)):
            return Fact(CONVEX, reason="the negative entropy u log u")
    log = CONVEX if a.log in _BENDS_UP and b.log in _BENDS_UP else UNKNOWN
    if a.log in _BENDS_DOWN and b.log in _BENDS_DOWN:
        log = CONCAVE
    if log == CONVEX:
        return Fact(CONVEX, low=0.0, reason="a product of functions with convex logarithms", log=log)
    return replace(_unknown(node, "a product of two functions of the variable"), log=log)


def _relative(u: Node, ratio: Node, fact: Fact, node: Node) -> bool:
    """Recognise u log(u / v), v held: convex in u > 0."""
    return fact.nonnegative and ratio.op == "div" and ratio.inputs[0] is u and not _shares(ratio.inputs[1], u)


def _shares(v: Node, u: Node) -> bool:
    """Say whether two expressions have a symbol in common."""
    mine = {x for x in topological([u]) if x.op == "symbol"}
    return any(x in mine for x in topological([v]))


def _divide(node: Node, inner: list[Fact]) -> Fact:
    a, b = inner
    if b.kind == CONSTANT:
        return _times(a, b)
    inverse = _power(node, b, -1.0)
    if a.kind == CONSTANT:
        return _times(inverse, a)
    if a.squares and b.kind in _BENDS_DOWN and b.nonnegative:
        return Fact(CONVEX, low=0.0, reason="a sum of squares over a positive concave function")
    return _unknown(node, "a ratio of two functions of the variable")


def _increasing(kind: str) -> _Rule:
    up = kind == CONVEX

    def rule(node: Node, inner: list[Fact]) -> Fact:
        if all(f.kind in (_BENDS_UP if up else _BENDS_DOWN) for f in inner):
            moving = [f for f in inner if f.kind != CONSTANT]
            of = "an affine function" if all(f.kind == AFFINE for f in moving) else f"a {kind} function"
            return Fact(kind, reason=f"{node.op}, {kind} and increasing, of {of}")
        culprit = next((f for f in inner if f.kind == UNKNOWN), None)
        return _unknown(node, culprit.reason if culprit else f"{node.op}, {kind} and increasing, of a "
                        f"{CONCAVE if up else CONVEX} function")  # fmt: skip

    return rule


def _exponential(node: Node, inner: list[Fact]) -> Fact:
    made = _RULES["expm1"](node, inner)
    return replace(made, log=inner[0].kind if inner[0].kind != AFFINE else CONVEX)


def _logarithm(node: Node, inner: list[Fact]) -> Fact:
    (f,) = inner
    if f.log == CONVEX and f.kind not in _STRAIGHT:
        return Fact(CONVEX, reason="the logarithm of a sum of exponentials of affine or convex functions")
    if f.kind not in _BENDS_DOWN and f.log == CONCAVE:
        return Fact(CONCAVE, reason="the logarithm of a function whose logarithm is concave")
    return _RULES["log1p"](node, inner)


def _root(node: Node, inner: list[Fact]) -> Fact:
    (f,) = inner
    if _root_of_determinant(node.inputs[0], constant(0.5), f):
        return Fact(CONCAVE, low=0.0, reason="a root of a determinant, of an order from its size on")
    if f.squares and f.nonnegative and f.kind == CONVEX:
        return Fact(CONVEX, low=0.0, reason="a norm: the root of a sum of squares")
    return _power(node, f, 0.5)


def _even(node: Node, inner: list[Fact]) -> Fact:
    """Judge a function that is convex, even and increasing from 0 on: |u|, u^2, cosh u."""
    (f, *_) = inner
    quadratic = node.op not in ("abs", "cosh")
    if f.kind in _STRAIGHT:
        return Fact(CONVEX, low=0.0, reason=f"an even convex function ({node.op}) of an affine one", squares=quadratic)
    grows = f.kind == CONVEX and f.nonnegative or f.kind == CONCAVE and f.nonpositive
    if grows:
        reason = f"{node.op}, increasing where its {f.kind} argument lies"
        return Fact(CONVEX, low=0.0, reason=reason, squares=quadratic)
    return _unknown(node, f.reason if f.kind == UNKNOWN else f"{node.op} of a {f.kind} function of either sign")


def _root_of_determinant(base: Node, exponent: Node, fact: Fact) -> bool:
    """Recognise det(X)^(1/n) and lower powers, X affine and positive definite of size n."""
    if base.op != "det" or fact.log != CONCAVE:
        return False
    size = base.inputs[0].shape[-1]
    if isinstance(size, int):
        return exponent.value is not None and 0 <= float(exponent.value) <= 1 / size
    return expand(exponent).key == expand(build("div", 1.0, build("dimension", params=(size,)))).key


def _raise(node: Node, inner: list[Fact]) -> Fact:
    base, exponent = inner
    if _root_of_determinant(node.inputs[0], node.inputs[1], base):
        return Fact(CONCAVE, low=0.0, reason="a root of a determinant, of an order from its size on")
    if exponent.kind == CONSTANT and exponent.low == exponent.high:
        return _power(node, base, exponent.low)
    if base.kind == CONSTANT and base.nonnegative and exponent.kind == AFFINE:
        return Fact(CONVEX, low=0.0, reason="an exponential of an affine function", log=CONVEX)
    return _unknown(node, "a power whose exponent varies")


def _power(node: Node, f: Fact, p: float) -> Fact:
    """Judge a fixed power."""
    if p in (0.0, 1.0):
        return replace(f, reason=f.reason) if p else Fact(CONSTANT, 1.0, 1.0)
    whole = p == round(p)
    if whole and p > 0 and p % 2 == 0:
        return _even(node, [f])
    if p < 0:
        if f.kind in _BENDS_DOWN and (f.nonnegative or not whole):
            log = CONVEX
            return Fact(CONVEX, low=0.0, reason="a negative power of a positive concave function", log=log)
        if f.kind in _BENDS_UP and f.nonpositive and whole:
            odd = p % 2 != 0
            return Fact(CONCAVE if odd else CONVEX, reason="a negative power of a negative convex function")
        if f.log in _BENDS_DOWN and f.nonnegative:
            return Fact(CONVEX, low=0.0, reason="a negative power of a log-concave function", log=CONVEX)
    elif p < 1:
        if f.kind in _BENDS_DOWN:
            return Fact(CONCAVE, low=0.0, reason=f"a power {p:g} (concave, increasing) of a concave function")
    elif f.kind in _STRAIGHT and not whole or f.kind in _BENDS_UP and f.nonnegative:
        low = 0.0 if f.nonnegative else -math.inf
        return Fact(CONVEX, low, reason="a power, convex and increasing on nonnegative numbers")
    elif whole and f.kind in _BENDS_DOWN and f.nonpositive:
        return Fact(CONCAVE, reason="an odd power, concave and increasing on nonpositive numbers")
    return _unknown(node, f.reason if f.kind == UNKNOWN else f"a power {p:g} of a function of either sign")


def _inverse_root(node: Node, inner: list[Fact]) -> Fact:
    return _power(node, inner[0], -0.5) if inner[0].low > 0 else _unknown(node)


def _sigmoidal(node: Node, inner: list[Fact]) -> Fact:
    """Judge a function that is increasing, convex below 0 and concave above."""
    (f,) = inner
    log = CONCAVE if node.op == "sigmoid" and f.kind in _BENDS_DOWN else UNKNOWN
    if f.kind in _BENDS_UP and f.nonpositive:
        return Fact(CONVEX, reason=f"{node.op} of a nonpositive convex function", log=log)
    if f.kind in _BENDS_DOWN and f.nonnegative:
        return Fact(CONCAVE, reason=f"{node.op} of a nonnegative concave function", log=log)
    return replace(_unknown(node, f"{node.op} is convex below 0 and concave above"), log=log)


def _hyperbolic(node: Node, inner: list[Fact]) -> Fact:
    """Judge sinh: increasing, concave below 0 and convex above."""
    (f,) = inner
    if f.kind in _BENDS_UP and f.nonnegative:
        return Fact(CONVEX, low=0.0, reason="sinh of a nonnegative convex function")
    if f.kind in _BENDS_DOWN and f.nonpositive:
        return Fact(CONCAVE, high=0.0, reason="sinh of a nonpositive concave function")
    return _unknown(node, "sinh is concave below 0 and convex above")


def _product(node: Node, inner: list[Fact]) -> Fact:
    """Judge a contraction."""
    moving = [f for f in inner if f.kind != CONSTANT]
    if len(moving) == 1:
        rest = [f for f in inner if f.kind == CONSTANT]
        sign = sign_of_product(rest)
        factor = Fact(CONSTANT, *((0.0, math.inf) if sign > 0 else (-math.inf, 0.0) if sign < 0 else ()))
        return _times(moving[0], factor)
    subscripts = operands(node)
    if len(inner) == 2 and node.inputs[0] is node.inputs[1] and subscripts[0] == subscripts[1]:
        return _even(node, inner)
    return _unknown(node, "a product of functions of the variable")


def _determinant(node: Node, inner: list[Fact]) -> Fact:
    if inner[0].kind not in _STRAIGHT or not positive_matrix(node.inputs[0]):
        return _unknown(node, f"{node.op} of a matrix that is not positive definite and affine")
    if node.op == "logdet":
        return Fact(CONCAVE, reason="logdet is concave on positive definite matrices")
    return Fact(UNKNOWN, 0.0, reason="det has a concave logarithm on positive definite matrices", log=CONCAVE)


_RULES: dict[str, _Rule] = {
    "add": _add, "sub": _subtract, "neg": lambda node, inner: _flipped(inner[0]), "mul": _multiply, "div": _divide,
    **dict.fromkeys(("sum", "reshape", "transpose", "broadcast_to", "pick", "take", "gather", "scatter", "place",
                     "concatenate", "tril", "triu", "cumsum", "identity"), _linear),
    **dict.fromkeys(("expm1", "softplus", "relu", "logsumexp", "logaddexp", "maximum", "max"), _increasing(CONVEX)),
    **dict.fromkeys(("log1p", "minimum", "min"), _increasing(CONCAVE)),
    **dict.fromkeys(("square", "abs", "cosh"), _even),
    **dict.fromkeys(("sigmoid", "tanh", "arctan", "erf"), _sigmoidal),
    "sinh": _hyperbolic,
    "exp": _exponential, "log": _logarithm, "sqrt": _root, "rsqrt": _inverse_root, "pow": _raise, "einsum": _product,
    "logdet": _determinant, "det": _determinant,
}  # fmt: skip
_COUPLING = frozenset({"einsum", "mul", "div", "sum"})


# The normal form, for what couples the variable with itself.


def _by_terms(node: Node, variable: Node, facts: Facts) -> Fact | None:
    """Judge a sum of products in normal form: quadratic forms, and forms in the inverse of a definite matrix."""
    terms = expand(node).terms
    atoms = [a for t in terms for a, _ in t.scalars] + [f.atom for t in terms for f in t.factors]
    moving = set(dependents(topological([*atoms, variable]), [variable]))
    parts = [_term(t, variable, moving, facts) for t in terms]
    if not parts or any(p.kind == UNKNOWN for p in parts):
        return None
    made = _sum_of(parts)
    low = 0.0 if all(p.nonnegative for p in parts) else -math.inf
    high = 0.0 if all(p.nonpositive for p in parts) else math.inf
    return None if made.kind == UNKNOWN else replace(made, low=low, high=high)


def _term(term: Term, variable: Node, moving: set[Node], facts: Facts) -> Fact:
    scale = Fact(CONSTANT, float(term.number), float(term.number))
    factors = list(term.factors)
    bent: list[Fact] = []
    for atom, e in term.scalars:
        if atom not in moving:
            low, high = _judged_again(atom, variable, facts)
            even = float(e) % 2 == 0
            scale = _scaled(scale, low >= 0 or even, high <= 0 and float(e) % 2 == 1)
        elif e == 1 and atom.op == "einsum":
            bent.append(_form(_network(atom), variable, moving, facts))
        else:
            _judged_again(atom, variable, facts)
            bent.append(_power(build("pow", atom, float(e)), facts[atom], float(e)))
    held = [f for f in factors if f.atom in moving]
    if not bent and len(held) == 1 and held[0].atom is variable and held[0].power == 1:
        return Fact(AFFINE, reason="linear")
    if held or len(bent) > 1:
        return Fact(UNKNOWN)
    for f in factors:
        low, high = _judged_again(f.atom, variable, facts)
        scale = _scaled(scale, low >= 0 or float(f.power) % 2 == 0, False)
    if not bent:
        return replace(scale, squares=scale.nonnegative)
    (fact,) = bent
    made = _times(fact, scale)
    if fact.nonnegative and made.kind != UNKNOWN:
        return replace(made, low=0.0 if scale.nonnegative else -math.inf, high=0.0 if scale.nonpositive else math.inf)
    return made


def _scaled(scale: Fact, nonnegative: bool, nonpositive: bool) -> Fact:
    sign = sign_of_product([scale]) * (1 if nonnegative else -1 if nonpositive else 0)
    return Fact(CONSTANT, *((0.0, math.inf) if sign > 0 else (-math.inf, 0.0) if sign < 0 else ()))


def _judged_again(atom: Node, variable: Node, facts: Facts) -> tuple[float, float]:
    """Give the range of an atom, which the normal form may have made."""
    for x in topological([atom]):
        if x not in facts:
            facts[x] = _fact(x, variable, facts)
    fact = facts[atom]
    if atom.op == "einsum" and not fact.nonnegative and mirrored(_network(atom)) is not None:
        return 0.0, math.inf
    return fact.low, fact.high


def _network(atom: Node) -> list[Factor]:
    """Read a closed contraction as factors."""
    names: dict[str, int] = {}
    return [
        Factor(x, tuple([names.setdefault(c, -1 - len(names)) for c in text]))
        for text, x in zip(operands(atom), atom.inputs, strict=True)
    ]


def _form(network: list[Factor], variable: Node, moving: set[Node], facts: Facts) -> Fact:
    """Judge a closed network as a function of the variable's atoms in it."""
    held = [i for i, f in enumerate(network) if f.atom in moving]
    if len(held) == 1 and network[held[0]].atom.op == "symbol":
        return Fact(AFFINE, reason="linear")
    if len(held) == 1 and all(nonnegative(f.atom) for f in network if f.atom not in moving):
        _judged_again(network[held[0]].atom, variable, facts)
        inside = facts[network[held[0]].atom]
        if inside.kind != UNKNOWN:
            return inside
    pairs = mirrored(network)
    if pairs is None:
        return Fact(UNKNOWN)
    atoms = [network[i].atom for i in held]
    if len(held) == 2 and tuple(sorted(held)) in {tuple(sorted(p)) for p in pairs} and atoms[0].op == "symbol":
        return Fact(CONVEX, low=0.0, reason="a quadratic form of a positive semidefinite matrix", squares=True)
    (atom, *others) = atoms
    if not others and atom.op == "inv" and (held[0], held[0]) in pairs:
        matrix = atom.inputs[0]
        if _affine(matrix, moving) and positive_matrix(matrix):
            return Fact(CONVEX, low=0.0, reason="the inverse is convex on positive definite matrices")
    return Fact(UNKNOWN)


def _affine(node: Node, moving: set[Node]) -> bool:
    """Say whether each term of a normal form has at most one factor that moves, a symbol."""
    for term in expand(node).terms:
        held = [(f.atom, f.power) for f in term.factors if f.atom in moving]
        held += [(a, e) for a, e in term.scalars if a in moving]
        if len(held) > 1 or any(a.op != "symbol" or e != 1 for a, e in held):
            return False
    return True


__all__ = ["Convexity", "convexity"]
