"""Convexity by composition: what follows from the operations alone, with the target held fixed.

The rules are those of disciplined convex programming (Grant, Boyd, Ye, 2006): a convex increasing function of a convex
argument is convex, and so on, plus sqrt(c + affine^2), which is a norm. A verdict of "unknown" means only that.
"""

from __future__ import annotations

from collections.abc import Sequence

from thalweg.expr.node import Node, is_constant
from thalweg.expr.simplify import nonnegative
from thalweg.expr.walk import topological

CONSTANT, AFFINE, CONVEX, CONCAVE, UNKNOWN = "constant", "affine", "convex", "concave", "unknown"

CONVEX_INCREASING = frozenset({"exp", "expm1", "softplus", "relu", "logsumexp", "logaddexp", "maximum", "max"})
CONCAVE_INCREASING = frozenset({"log", "log1p", "sqrt", "minimum", "min"})
EVEN_CONVEX = frozenset({"square", "abs", "cosh"})
LINEAR = frozenset({"sum", "reshape", "transpose", "broadcast_to", "pick", "take", "scatter", "place", "concatenate"})


def curvature(loss: Node, z: Node) -> str:
    """Give the curvature of an expression in ``z``: "constant", "affine", "convex", "concave" or "unknown".

    Args:
        loss: The expression.
        z: The variable; every other symbol is held fixed at any value of its domain.

    Returns:
        The verdict, entry by entry of the expression.

    """
    known: dict[Node, str] = {}
    for node in topological([loss], stop={z}):
        inner = [known[x] for x in node.inputs] if node is not z else []
        if node is z:
            known[node] = AFFINE
        else:
            known[node] = CONSTANT if all(c == CONSTANT for c in inner) else _verdict(node, inner)
    return known[loss]


def _verdict(node: Node, inner: Sequence[str]) -> str:
    op = node.op
    if op in LINEAR:
        return _together(inner[:1] if op in ("pick", "scatter") else inner)
    if op == "neg":
        return _flipped(inner[0])
    if op == "add":
        return _together(inner)
    if op == "sub":
        return _together([inner[0], _flipped(inner[1])])
    if op in ("mul", "div"):
        return _scaled(node, inner)
    if op in CONVEX_INCREASING:
        return CONVEX if all(c in (CONSTANT, AFFINE, CONVEX) for c in inner) else UNKNOWN
    if op == "sqrt" and _is_norm(node.inputs[0], inner[0]):
        return CONVEX
    if op in CONCAVE_INCREASING:
        return CONCAVE if all(c in (CONSTANT, AFFINE, CONCAVE) for c in inner) else UNKNOWN
    growing = inner[0] in (AFFINE, CONVEX) and nonnegative(node.inputs[0])
    if op in EVEN_CONVEX or (op == "pow" and _even_power(node)):
        return CONVEX if inner[0] == AFFINE or growing else UNKNOWN
    if op == "pow" and is_constant(node.inputs[1]) and node.inputs[1].value >= 1:
        return CONVEX if growing else UNKNOWN
    if op == "einsum" and sum(c != CONSTANT for c in inner) == 1:
        return AFFINE if all(c in (CONSTANT, AFFINE) for c in inner) else UNKNOWN
    return UNKNOWN


def _together(parts: Sequence[str]) -> str:
    """Curvature of a sum."""
    for verdict, allowed in (
        (CONSTANT, {CONSTANT}),
        (AFFINE, {CONSTANT, AFFINE}),
        (CONVEX, {CONSTANT, AFFINE, CONVEX}),
        (CONCAVE, {CONSTANT, AFFINE, CONCAVE}),
    ):
        if set(parts) <= allowed:
            return verdict
    return UNKNOWN


def _flipped(verdict: str) -> str:
    return {CONVEX: CONCAVE, CONCAVE: CONVEX}.get(verdict, verdict)


def _scaled(node: Node, inner: Sequence[str]) -> str:
    if CONSTANT not in inner or (node.op == "div" and inner[1] != CONSTANT):
        return UNKNOWN
    at = inner.index(CONSTANT) if node.op == "mul" else 1
    factor, verdict = node.inputs[at], inner[1 - at]
    if verdict == AFFINE or nonnegative(factor):
        return verdict
    return _flipped(verdict) if is_constant(factor) or nonnegative_opposite(factor) else UNKNOWN


def nonnegative_opposite(node: Node) -> bool:
    """Say whether the value is surely <= 0."""
    return node.op == "neg" and nonnegative(node.inputs[0])


def _even_power(node: Node) -> bool:
    p = node.inputs[1]
    return is_constant(p) and p.value > 0 and p.value % 2 == 0


def _is_norm(inside: Node, verdict: str) -> bool:
    """Recognise c + square(affine) + ... with c >= 0, whose root is the norm of an affine vector."""
    terms = [inside]
    while terms:
        term = terms.pop()
        if term.op == "add":
            terms.extend(term.inputs)
        elif term.op == "mul" and any(is_constant(x) and x.value >= 0 for x in term.inputs):
            terms.extend(x for x in term.inputs if not is_constant(x))
        elif term.op == "square":
            if any(x.op not in ("symbol", "constant", "sub", "add", "neg", "mul", "broadcast_to")
                   or (x.op == "mul" and not any(_fixed(f) for f in x.inputs))
                   for x in topological(term.inputs)):  # fmt: skip
                return False
        elif not (nonnegative(term) and is_constant(term)):
            return False
    return verdict == CONVEX


def _fixed(node: Node) -> bool:
    return is_constant(node) or node.domain == "+-1"
