"""Functions written out where their parts are shared: the last rewrite before a graph becomes text."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from typing import Any

from thalweg.expr.node import Node, build, is_constant
from thalweg.expr.walk import topological

_PRODUCTS: dict[float, Callable[[Node], Node]] = {
    3: lambda x: build("mul", x, build("square", x)),
    4: lambda x: build("square", build("square", x)),
    -2: lambda x: build("div", 1.0, build("square", x)),
}
"""Whole powers as products, which are an order of magnitude faster than ``power``."""


def expand_shared(outputs: Sequence[Node]) -> list[Node]:
    """Write functions out where their parts are shared, because exponentials dominate the cost of a loss.

    With e = e^-|t| and p = 1 + e: softplus(t) = max(t, 0) + log1p(e), sigmoid(t) = (1 if t >= 0 else e) / p and
    sigmoid(t) sigmoid(-t) = e / p^2, each accurate to rounding in both tails. logsumexp and softmax of the same finite
    margins share their shifted exponentials. Whole powers become products, and adding a one-hot array touches one entry
    a row.
    """
    order = topological(outputs)
    normalised = {(x.inputs[0], x.params[0]) for x in order if x.op == "softmax"}
    both = {(x.inputs[0], x.params[0]) for x in order if x.op == "logsumexp"} & normalised
    known: dict[Node, Node] = {}
    for node in order:
        if node.value is not None or not node.inputs:
            known[node] = node
            continue
        inputs = [known[x] for x in node.inputs]
        better = _expanded(node, inputs, known, both)
        if better is None:
            same = all(a is b for a, b in zip(inputs, node.inputs, strict=True))
            better = node if same else build(node.op, *inputs, params=node.params)
        known[node] = better
    return [known[x] for x in outputs]


def _expanded(
    node: Node, inputs: Sequence[Node], known: Mapping[Node, Node], both: Container[tuple[Node, int]]
) -> Node | None:
    x = inputs[0]
    if node.op == "mul" and all(i.op == "sigmoid" for i in node.inputs):
        left, right = [known[i.inputs[0]] for i in node.inputs]
        if any(a.op == "neg" and a.inputs[0] is b for a, b in ((left, right), (right, left))):
            _, e, p, _ = _exponential(left)
            return build("div", e, build("square", p))
    if node.op == "softplus" and x.shape:
        return build("add", build("relu", x), build("log1p", _exponential(x)[1]))
    if node.op == "sigmoid" and x.shape:
        base, e, p, flipped = _exponential(x)
        sides: tuple[Any, Any] = (e, 1.0) if flipped else (1.0, e)
        return build("div", build("where", build("ge", base, 0.0), *sides), p)
    if node.op == "pow" and is_constant(node.inputs[1]) and node.inputs[1].value in _PRODUCTS:
        return _PRODUCTS[node.inputs[1].value](x)
    if node.op in ("softmax", "logsumexp") and (node.inputs[0], node.params[0]) in both:
        axes = (node.params[0],)
        top = build("max", x, params=(axes, True))
        e = build("exp", build("sub", x, top))
        total = build("sum", e, params=(axes, True))
        if node.op == "softmax":
            return build("div", e, total)
        summed = build("add", build("log", total), top)
        return summed if node.params[1] else build("reshape", summed, params=(node.shape,))
    if node.op == "add":
        for a, b in ((inputs[0], inputs[1]), (inputs[1], inputs[0])):
            if b.op == "scatter" and a.shape == b.shape and a.op != "scatter":
                values = b.inputs[0]
                number = values.op == "broadcast_to" and is_constant(values.inputs[0])
                return build("scatter_add", a, values.inputs[0] if number else values, b.inputs[1])
    return None


def _exponential(t: Node) -> tuple[Node, Node, Node, bool]:
    """Give base, e = e^-|base| and 1 + e for t = base or t = -base, and which of the two it is."""
    flipped = t.op == "neg"
    base = t.inputs[0] if flipped else t
    e = build("exp", build("neg", build("abs", base)))
    return base, e, build("add", 1.0, e), flipped
