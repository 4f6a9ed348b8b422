"""Curvature of a class loss by composition: bounds on the eigenvalues of each row's Hessian in its k margins.

logsumexp carries its matrix bound 0 <= H <= 1/2 (the covariance of a one-hot vector has no eigenvalue above 1/2: by
Gershgorin, p_i(1 - p_i) + sum_j p_i p_j = 2 p_i (1 - p_i)), pick and sums are linear, sums add, numbers scale, and an
elementwise function summed or picked along the class axis has a diagonal Hessian. Anything else is unknown.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from thalweg.expr.differentiate import slope, substitute
from thalweg.expr.node import Node, is_constant, symbol, table
from thalweg.expr.simplify import simplify
from thalweg.expr.walk import topological

Range = tuple[float, float]
Entrywise = Callable[[Node, Node], tuple[Range, Range, str]]


@dataclass(frozen=True, slots=True)
class Row:
    """What is known of a number a row: the range of its gradient's components and of its Hessian's eigenvalues."""

    slope: Range
    bend: Range
    how: str = ""


def class_ranges(value: Node, z: Node, entrywise: Entrywise) -> Row:
    """Bound gradient components and Hessian eigenvalues of a class loss.

    Args:
        value: Shape ("n",), simplified.
        z: Shape ("n", "k").
        entrywise: Bounds first and second derivative of an elementwise function: it takes the expression and its
            variable, both of shape ("n",).

    Returns:
        The ranges; infinite where the composition is not covered.

    """
    known: dict[Node, Row] = {}
    for node in topological([value]):
        if node.shape == value.shape:
            known[node] = _compose(node, z, known, entrywise)
    return known[value]


def _compose(node: Node, z: Node, known: dict[Node, Row], entrywise: Entrywise) -> Row:
    if z not in set(topological([node])):
        return Row((0.0, 0.0), (0.0, 0.0))
    parts = [known.get(x) for x in node.inputs]
    a, b = (*parts, None, None)[:2]
    if node.op == "neg" and a is not None:
        return _times(a, -1.0)
    if node.op == "add" and a is not None and b is not None:
        return _plus(a, b)
    if node.op == "sub" and a is not None and b is not None:
        return _plus(a, _times(b, -1.0))
    if node.op == "mul" and is_constant(node.inputs[0]) and b is not None:
        return _times(b, float(node.inputs[0].value))
    if node.op == "div" and is_constant(node.inputs[1]) and node.inputs[1].value and a is not None:
        return _times(a, 1.0 / float(node.inputs[1].value))
    if node.op == "logsumexp":
        scale = _scale(node.inputs[0], z)
        if scale is not None:
            return Row(
                (min(scale, 0.0), max(scale, 0.0)),
                (0.0, scale * scale / 2),
                "logsumexp's Hessian lies between 0 and 1/2",
            )
    if node.op in ("pick", "sum"):
        return _diagonal(node.inputs[0], z, node.op == "pick", entrywise)
    return Row((-math.inf, math.inf), (-math.inf, math.inf), f"{node.op} is not covered")


def _scale(node: Node, z: Node) -> float | None:
    """Give a if the node is a * z plus something without z, with a number a."""
    rate = simplify(slope(node, z))
    rate = rate.inputs[0] if rate.op == "broadcast_to" else rate
    return float(rate.value) if is_constant(rate) else None


def _diagonal(inner: Node, z: Node, picked: bool, entrywise: Entrywise) -> Row:
    """Bound the sum, or one picked entry, of an elementwise function of the margins: its Hessian is diagonal."""
    scale = _scale(inner, z)
    if scale is not None:
        return Row((min(scale, 0.0), max(scale, 0.0)) if picked else (scale, scale), (0.0, 0.0))
    order = topological([inner])
    rows = table()
    plain = all(x is z or is_constant(x) or (x.inputs and rows[x.op].elementwise) for x in order)
    if not plain:
        return Row((-math.inf, math.inf), (-math.inf, math.inf), "a coupling of the margins is not covered")
    one = symbol("z", ("n",))
    (entry,) = substitute([inner], {z: one})
    first, second, how = entrywise(entry, one)
    if picked:
        first, second = (min(first[0], 0.0), max(first[1], 0.0)), (min(second[0], 0.0), max(second[1], 0.0))
    return Row(first, second, "a diagonal Hessian, by " + how)


def _plus(a: Row, b: Row) -> Row:
    def total(x: Range, y: Range) -> Range:
        low, high = x[0] + y[0], x[1] + y[1]
        exact = all(v == round(v * 16) / 16 for v in (*x, *y) if math.isfinite(v))
        return (low, high) if exact else (math.nextafter(low, -math.inf), math.nextafter(high, math.inf))

    how = "; ".join(dict.fromkeys(h for h in (a.how, b.how) if h))
    return Row(total(a.slope, b.slope), total(a.bend, b.bend), how)


def _times(a: Row, factor: float) -> Row:
    def scaled(x: Range) -> Range:
        ends = sorted(0.0 if v == 0 or factor == 0 else v * factor for v in x)
        if factor in (-1.0, 0.5, 2.0):
            return ends[0], ends[1]
        return (
            ends[0] if ends[0] == 0 else math.nextafter(ends[0], -math.inf),
            ends[1] if ends[1] == 0 else math.nextafter(ends[1], math.inf),
        )

    return Row(scaled(a.slope), scaled(a.bend), a.how)
