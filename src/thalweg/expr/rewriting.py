"""What rewrite rules are written in: `make`, which simplifies what it builds, and a few sure facts about values.

A rule sees one node whose inputs are already simplified and gives a better node or None.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from thalweg.expr.node import Node, build, constant, is_constant, table
from thalweg.expr.shapes import spread

Rule = Callable[[Node], Node | None]

_rules: Mapping[str, Rule] = {}


def rules() -> Mapping[str, Rule]:
    """Give the rules by operation (loaded on first use, since they are written in `make`)."""
    global _rules
    if not _rules:
        from thalweg.expr.simplify import RULES

        _rules = RULES
    return _rules


def make(op: str, *inputs: Any, params: tuple[Any, ...] = ()) -> Node:
    """Build a node and apply the rules to it."""
    node = build(op, *inputs, params=params)
    if node.value is not None or not node.inputs:
        return node
    if table()[node.op].elementwise:
        node = _with_floats(_drop_broadcasts(node))
    rule = (_rules or rules()).get(node.op)
    better = rule(node) if rule is not None else None
    # A rule that would turn whole numbers into floating ones, or back, is not applied.
    return node if better is None or better.kind != node.kind else better


def _drop_broadcasts(node: Node) -> Node:
    """Replace operands that are only laid out over a shape by what is laid out, where broadcasting does it anyway."""
    lean = [_unbroadcast(x) for x in node.inputs]
    if all(a is b for a, b in zip(lean, node.inputs, strict=True)):
        return node
    thin = build(node.op, *lean, params=node.params)
    if thin.shape == node.shape:
        return thin
    if thin.op == "constant":
        return spread(thin, node.shape)
    inputs = list(node.inputs)
    for i, x in enumerate(lean):
        if x is not inputs[i]:
            thin = build(node.op, *inputs[:i], x, *inputs[i + 1 :], params=node.params)
            if thin.shape == node.shape:
                inputs[i] = x
    return build(node.op, *inputs, params=node.params)


def _with_floats(node: Node) -> Node:
    """Write whole numbers among floating operands as floating ones, so that 2 x and 2.0 x are one node."""
    if node.kind != "f" or node.op == "indicator" or not any(x.kind == "f" for x in node.inputs):
        return node
    inputs = [constant(float(x.value)) if is_constant(x) and x.kind == "i" and abs(x.value) < 2**53 else x
              for x in node.inputs]  # fmt: skip
    same = all(a is b for a, b in zip(inputs, node.inputs, strict=True))
    return node if same else build(node.op, *inputs, params=node.params)


def _unbroadcast(x: Node) -> Node:
    while x.value is None and (
        x.op == "broadcast_to"
        or x.op == "reshape"
        and x.shape == (1,) * (x.ndim - x.inputs[0].ndim) + x.inputs[0].shape
    ):
        x = x.inputs[0]
    return x


def nonnegative(node: Node) -> bool:
    """Say whether the value is >= 0 for every argument, by a few sure rules (False means unknown)."""
    if is_constant(node):
        return bool(node.value >= 0)
    if node.op == "symbol":
        return node.domain in ("count", "class")
    if node.op in ("exp", "square", "abs", "softplus", "sigmoid", "sqrt", "rsqrt", "relu", "cosh", "softmax"):
        return True
    if node.op in ("add", "mul", "div", "maximum", "sum", "broadcast_to", "reshape", "max", "min", "pick", "scatter"):
        return all(nonnegative(x) for x in node.inputs[: 1 if node.op in ("pick", "scatter") else None])
    return False


def positive(node: Node) -> bool:
    """Say whether the value is > 0 for every argument of moderate size (False means unknown)."""
    if is_constant(node):
        return bool(node.value > 0)
    if node.op in ("exp", "cosh", "sigmoid", "softplus", "softmax"):
        return True
    if node.op in ("sqrt", "broadcast_to", "reshape", "neg", "square", "abs"):
        return node.op != "neg" and positive(node.inputs[0])
    if node.op == "add":
        return any(positive(a) and nonnegative(b) for a, b in (node.inputs, node.inputs[::-1]))
    return node.op in ("mul", "div") and all(positive(x) for x in node.inputs)


def shaped(node: Node, like: Node) -> Node:
    """Lay a node out over another's shape."""
    return spread(node, like.shape)


def ordered(node: Node) -> Node | None:
    """Put the operands of a commutative operation in canonical order: numbers first, then by digest."""
    a, b = node.inputs
    if is_constant(a) or not (is_constant(b) or b.key < a.key):
        return None
    return build(node.op, b, a)


def scaled(node: Node) -> tuple[Any, Node]:
    """Split a node into a number and the rest."""
    if node.op == "mul" and is_constant(node.inputs[0]):
        return node.inputs[0].value, node.inputs[1]
    if node.op == "neg":
        return -1, node.inputs[0]
    return 1, node


def is_identity(node: Node) -> bool:
    """Say whether a node is an identity matrix; as truth values or numbers, it sets no precision."""
    if node.op == "eye":
        return True
    v = node.value
    if node.op != "constant" or not isinstance(v, np.ndarray) or v.ndim != 2 or v.shape[0] != v.shape[1] or not v.size:
        return False
    n = v.shape[0]
    return bool(v[0, 0] == 1 and v[-1, -1] == 1 and np.count_nonzero(v) == n and (np.diagonal(v) == 1).all())
