"""Sums of products as one product: a1'b1 + ... + ak'bk is [a1; ...; ak]' [b1; ...; bk].

The gradient of a weight that is used in k steps of a recurrent net arrives as k updates of low rank, each as large as
the weight. Laid end to end the factors make one matrix product, which writes the weight's shape once.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from thalweg.expr.flops import NOMINAL
from thalweg.expr.node import Node, build
from thalweg.expr.products import canonical
from thalweg.expr.rows import Dimension
from thalweg.expr.walk import topological

FEWEST = 3
"""Products that are worth joining: with two, laying out costs what it saves."""

_Signed = tuple[Node, bool]  # a term, and whether it is subtracted
_Key = tuple[str, tuple[tuple[Dimension, ...], ...], int, int]


def join_products(outputs: Sequence[Node]) -> list[Node]:
    """Join the products in sums where three or more differ in their operands alone.

    Only a product, and a partial sum, that nothing else uses is taken, and only where the operands together are smaller
    than the products that are no longer written.

    Args:
        outputs: Lazy expressions.

    Returns:
        Expressions of equal value, up to rounding.

    """
    order = topological(outputs)
    uses: dict[Node, int] = {}
    for x in [*outputs, *[x for node in order for x in node.inputs]]:
        uses[x] = uses.get(x, 0) + 1
    inner: set[Node] = set()  # partial sums, which belong to the sum that uses them
    known: dict[Node, Node] = {}
    joined: dict[Node, tuple[list[_Signed], list[list[_Signed]]]] = {}
    for node in reversed(order):
        if node.op in ("add", "sub") and node.value is None and node not in inner:
            terms, partial = _terms(node, uses)
            inner.update(partial)
            groups = [g for g in _groups(terms, uses, node).values() if _pays(g, node)]
            if groups:
                joined[node] = (terms, groups)
    for node in order:
        if node in joined:
            known[node] = _emit(node, *joined[node], known)
        elif any(known[x] is not x for x in node.inputs):
            known[node] = build(node.op, *[known[x] for x in node.inputs], params=node.params)
        else:
            known[node] = node
    return [known[node] for node in outputs]


def _terms(root: Node, uses: Mapping[Node, int]) -> tuple[list[_Signed], list[Node]]:
    """List the terms of a sum, and the partial sums between them and the root."""
    terms: list[_Signed] = []
    partial: list[Node] = []
    stack = [(root, False)]
    while stack:
        node, negative = stack.pop()
        within = node is root or uses[node] == 1 and node.shape == root.shape and node.value is None
        if within and node.op in ("add", "sub"):
            a, b = node.inputs
            stack += [(b, negative != (node.op == "sub")), (a, negative)]
        elif within and node.op == "neg":
            stack.append((node.inputs[0], not negative))
        else:
            terms.append((node, negative))
            continue
        partial.append(node)
    return terms, partial


def _groups(terms: Sequence[_Signed], uses: Mapping[Node, int], root: Node) -> dict[tuple[_Key, bool], list[_Signed]]:
    groups: dict[tuple[_Key, bool], list[_Signed]] = {}
    for node, negative in terms:
        if node.op == "einsum" and node.value is None and uses[node] == 1 and node.shape == root.shape:
            key = _key(node)
            if key is not None:
                groups.setdefault((key, negative), []).append((node, negative))
    return {key: group for key, group in groups.items() if len(group) >= FEWEST}


def _key(node: Node) -> _Key | None:
    """Give what products must share to be joined: subscripts, the sizes that must agree, and the axes to join along."""
    if len(node.inputs) != 2:
        return None
    subscripts = canonical(node.params[0])
    terms, out = subscripts.split("->")
    left, right = terms.split(",")
    if len(set(left)) < len(left) or len(set(right)) < len(right) or node.inputs[0].kind != node.inputs[1].kind:
        return None
    a, b = [x.shape for x in node.inputs]
    for c in left:
        if c in right and c not in out and isinstance(a[left.index(c)], int):
            i, j = left.index(c), right.index(c)
            return subscripts, (a[:i] + a[i + 1 :], b[:j] + b[j + 1 :]), i, j
    if not set(left) & set(right) and set(out) == set(left + right):
        return subscripts, (a, b), -1, -1  # an outer product: a new axis of size 1 is joined along
    return None


def _pays(group: Sequence[_Signed], root: Node) -> bool:
    def entries(node: Node) -> int:
        return math.prod([d if isinstance(d, int) else NOMINAL for d in node.shape])

    return sum(entries(x) for node, _ in group for x in node.inputs) <= len(group) * entries(root)


def _emit(
    root: Node, terms: Sequence[_Signed], groups: Sequence[Sequence[_Signed]], known: Mapping[Node, Node]
) -> Node:
    taken = {node for group in groups for node, _ in group}
    total: Node | None = None
    for node, negative in [
        *[(_joined([node for node, _ in group], known), group[0][1]) for group in groups],
        *[(known[node], negative) for node, negative in terms if node not in taken],
    ]:
        if total is None:
            total = build("neg", node) if negative else node
        else:
            total = build("sub" if negative else "add", total, node)
    assert total is not None
    return total


def _joined(products: Sequence[Node], known: Mapping[Node, Node]) -> Node:
    """Build one contraction of operands laid end to end."""
    key = _key(products[0])
    assert key is not None
    subscripts, _, i, j = key
    sides = [[known[x.inputs[s]] for x in products] for s in (0, 1)]
    if i < 0:
        sides = [[build("reshape", x, params=((1, *x.shape),)) for x in side] for side in sides]
        terms, out = subscripts.split("->")
        left, right = terms.split(",")
        subscripts, i, j = canonical(f"Z{left},Z{right}->{out}"), 0, 0
    operands = [build("concatenate", *side, params=(axis,)) for side, axis in zip(sides, (i, j), strict=True)]
    return build("einsum", *operands, params=(subscripts,))
