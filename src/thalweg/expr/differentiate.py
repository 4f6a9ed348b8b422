"""Derivatives as expressions: forward mode by the table's JVPs, reverse mode by transposing the linear graph they give.

Reverse mode is not a second set of rules. The JVP of an expression in a tangent symbol is a graph that is linear in
that symbol; walking it backwards with each operation's transpose gives the gradient (the method of Frostig, Johnson,
Maclaurin, Paszke and Radul, "Decomposing reverse-mode automatic differentiation", 2021). A derivative is an expression
in the same operations, so it can be differentiated again, to any order. All walks are loops over a topological order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from thalweg.core.errors import InputError, UnsupportedError
from thalweg.expr.node import Node, build, constant, table
from thalweg.expr.ops_elementwise import accumulate
from thalweg.expr.rows import is_tensor
from thalweg.expr.shapes import show, spread
from thalweg.expr.walk import dependents, topological


def tangents_of(outputs: Sequence[Node], tangents: Mapping[Node, Node]) -> list[Node | None]:
    """Forward mode for several outputs at once; None is an exact zero.

    Args:
        outputs: The expressions.
        tangents: For each source node its direction, of the same shape.

    Returns:
        One tangent an output, shaped like it.

    Raises:
        InputError: for a direction of the wrong shape.
        UnsupportedError: for an operation without a derivative rule.

    """
    for source, direction in tangents.items():
        if source.shape != direction.shape:
            raise InputError(
                f"direction of shape {show(direction.shape)} for {source!r}", f"give shape {show(source.shape)}"
            )
    rows = table()
    known: dict[Node, Node | None] = dict(tangents)
    for node in topological(outputs):
        if node in known or not node.inputs:
            continue
        inner = tuple([known.get(x) for x in node.inputs])
        if any(t is not None for t in inner):
            jvp = rows[node.op].jvp
            # A row without a JVP is piecewise constant (sign, comparisons): its derivative is zero.
            known[node] = None if jvp is None else jvp(node, inner)
    return [known.get(node) for node in outputs]


def jvp(node: Node, tangents: Mapping[Node, Any]) -> Node:
    """Give the derivative of ``node`` along a direction (forward mode).

    Args:
        node: The expression.
        tangents: For each source (symbol, variable or inner node) its direction: a node or array of its shape.

    Returns:
        A node shaped like ``node``; zero where there is no path.

    """
    (result,) = tangents_of([node], {s: constant(t) for s, t in tangents.items()})
    return zeros_like(node) if result is None else result


def vjp(outputs: Sequence[Node], cotangents: Sequence[Node], sources: Sequence[Node]) -> list[Node]:
    """Reverse mode: sum over outputs of <cotangent, d output / d source>, for every source, in one backward walk.

    Args:
        outputs: The expressions.
        cotangents: One an output, of its shape.
        sources: Symbols, variables or inner nodes to differentiate with respect to.

    Returns:
        One node a source, shaped like it; zero where there is no path.

    """
    # A fresh leaf for each source stands for its direction; it has no value, so the linear graph is never evaluated.
    leaves = [Node("tangent", (), (), s.shape, s.kind) for s in sources]
    directional = tangents_of(outputs, dict(zip(sources, leaves, strict=True)))
    seeds = [(t, c) for t, c in zip(directional, cotangents, strict=True) if t is not None]
    gathered = transpose_linear([t for t, _ in seeds], [c for _, c in seeds], leaves)
    return [zeros_like(s) if g is None else g for s, g in zip(sources, gathered, strict=True)]


def transpose_linear(outputs: Sequence[Node], cotangents: Sequence[Node], leaves: Sequence[Node]) -> list[Node | None]:
    """Transpose a graph that is linear in ``leaves``: give each leaf's cotangent, None where there is no path."""
    rows = table()
    order = topological(outputs)
    linear = dependents(order, leaves)
    gathered: dict[Node, Node | None] = {}
    for node, cotangent in zip(outputs, cotangents, strict=True):
        gathered[node] = accumulate(gathered.get(node), cotangent)
    for node in reversed(order):
        received = gathered.get(node)
        if received is None or node not in linear or not node.inputs:
            continue
        rule = rows[node.op].transpose
        if rule is None:
            raise UnsupportedError(
                f"reverse mode through {node.op}: its row has no transpose", "add one to the table, or use jvp"
            )
        for i, x in enumerate(node.inputs):
            if x in linear:
                gathered[x] = accumulate(gathered.get(x), rule(received, node, i))
    return [gathered.get(leaf) for leaf in leaves]


def gradient(node: Node, wrt: Node) -> Node:
    """Give the gradient of the sum of ``node``'s entries with respect to ``wrt`` (reverse mode).

    Args:
        node: The expression, of any shape.
        wrt: A symbol, a variable or an inner node.

    Returns:
        A node shaped like ``wrt``; zero where there is no path.

    """
    return gradients(node, [wrt])[0]


def slope(node: Node, wrt: Node) -> Node:
    """Give the derivative of an elementwise expression, entry by entry (forward mode along ones).

    It equals `gradient` where entry i of ``node`` depends on entry i of ``wrt`` alone, and keeps each `where` and
    `maximum` in one piece, which bounds see through better than the sum over branches that reverse mode gives.
    """
    return jvp(node, {wrt: spread(constant(1.0), wrt.shape)})


def gradients(node: Node, wrt: Sequence[Node]) -> list[Node]:
    """Give the gradients of the sum of ``node``'s entries with respect to several sources, in one backward walk."""
    return vjp([node], [ones_like(node)], wrt)


def ones_like(node: Node) -> Node:
    """Ones of a node's shape, in its precision if it is eager."""
    return _filled(node, 1.0)


def zeros_like(node: Node) -> Node:
    """Zeros of a node's shape, in its precision if it is eager."""
    return _filled(node, 0.0)


def _filled(node: Node, number: float) -> Node:
    if is_tensor(node.value):
        return constant(node.value.new_full(node.shape, number))
    dtype = getattr(node.value, "dtype", None)
    if dtype is not None and dtype.kind == "f":
        return Node("constant", (), (), node.shape, "f", np.full(np.shape(node.value), number, dtype=dtype))
    return spread(constant(number), node.shape)


def hvp(node: Node, wrt: Node, direction: Node) -> Node:
    """Give the Hessian of the sum of ``node``'s entries times ``direction``: forward over reverse, like ``wrt``."""
    return jvp(gradient(node, wrt), {wrt: direction})


def substitute(outputs: Sequence[Node], replacements: Mapping[Node, Node]) -> list[Node]:
    """Rebuild expressions with some nodes replaced by others of the same shape."""
    known: dict[Node, Node] = dict(replacements)
    for node in topological(outputs, stop=replacements):
        if node in known:
            continue
        inputs = tuple([known[x] for x in node.inputs])
        same = all(a is b for a, b in zip(inputs, node.inputs, strict=True))
        known[node] = node if same else build(node.op, *inputs, params=node.params)
    return [known[node] for node in outputs]
