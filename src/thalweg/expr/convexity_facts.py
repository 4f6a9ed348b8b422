"""What is known of a part of an expression when its convexity is judged, and the range of its entries."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from thalweg.expr import intervals
from thalweg.expr.definite import mirrored, positive_matrix
from thalweg.expr.node import Node
from thalweg.expr.terms import Factor, attributes, expand, network

CONSTANT, AFFINE, CONVEX, CONCAVE, UNKNOWN = "constant", "affine", "convex", "concave", "unknown"


@dataclass(frozen=True, slots=True)
class Fact:
    """How a part bends, and between which bounds its entries lie."""

    kind: str
    low: float = -math.inf
    high: float = math.inf
    reason: str = ""
    squares: bool = False  # a nonnegative sum of squares of affine functions (or of nonnegative convex ones)
    log: str = UNKNOWN  # how the logarithm bends

    @property
    def nonnegative(self) -> bool:
        """Whether every entry is."""
        return self.low >= 0

    @property
    def nonpositive(self) -> bool:
        """Whether every entry is."""
        return self.high <= 0


def range_of(node: Node, facts: Mapping[Node, Fact]) -> tuple[float, float]:
    """Enclose every entry, wherever the expression is defined."""
    low, high = _enclosed(node, facts)
    return (-math.inf if math.isnan(low) else low), (math.inf if math.isnan(high) else high)


def _enclosed(node: Node, facts: Mapping[Node, Fact]) -> tuple[float, float]:
    op = node.op
    if op == "symbol":
        known = {"count": (0.0, math.inf), "+-1": (-1.0, 1.0), "truth": (0.0, 1.0), "class": (0.0, math.inf)}
        return known.get(node.domain or "", (0.0 if "nonnegative" in attributes(node) else -math.inf, math.inf))
    if node.value is not None:
        values = np.asarray(node.value, dtype=float)
        return (float(values.min()), float(values.max())) if values.size else (0.0, 0.0)
    if op in ("eye", "softmax"):
        return 0.0, 1.0
    if op == "dimension":
        return 0.0, math.inf
    inner = [facts[x] for x in node.inputs]
    if not inner:
        return -math.inf, math.inf
    ends = [(np.asarray(f.low), np.asarray(f.high)) for f in inner]
    if op in intervals.RULES and op not in ("broadcast_to", "reshape"):
        low, high = intervals.RULES[op](*ends)
        return float(low), float(high)
    if op in ("broadcast_to", "reshape", "transpose", "max", "min", "pick", "take", "gather", "concatenate"):
        read = inner if op == "concatenate" else inner[:1]
        return min(f.low for f in read), max(f.high for f in read)
    if op == "logsumexp":
        return inner[0].low, math.inf
    if op in ("place", "scatter", "tril", "triu", "cumsum", "sum"):
        return (0.0 if inner[0].nonnegative else -math.inf), (0.0 if inner[0].nonpositive else math.inf)
    if op in ("det", "cofactor") and op == "det" and positive_matrix(node.inputs[0]):
        return 0.0, math.inf
    if op == "einsum":
        sign = sign_of_product(inner)
        square = len(inner) == 2 and node.inputs[0] is node.inputs[1] and len(set(operands(node))) == 1
        above = sign > 0 or square or not node.shape and _is_positive_form(node)
        return (0.0 if above else -math.inf), (0.0 if sign < 0 else math.inf)
    return -math.inf, math.inf


def _is_positive_form(node: Node) -> bool:
    """Say whether a number is a sum of quadratic forms that are surely nonnegative: x'*A*x and tr(A), A definite."""
    terms = expand(node).terms
    return all(t.number >= 0 and all(mirrored(network(a) or [Factor(a, ())]) is not None or e % 2 == 0
                                     for a, e in t.scalars) for t in terms)  # fmt: skip


def sign_of_product(facts: Sequence[Fact]) -> int:
    """Give 1 or -1 where the sign of a product of entries is sure, else 0."""
    sign = 1
    for f in facts:
        sign *= 1 if f.nonnegative else -1 if f.nonpositive else 0
    return sign


def operands(node: Node) -> list[str]:
    """Give the subscripts of each input of a contraction."""
    return str(node.params[0]).split("->")[0].split(",")
