"""Many directions through a linear graph in one walk: how a whole Jacobian costs a few matrix products.

A Jacobian is a linear map applied to every vector of a basis. Instead of one walk a vector, each node that depends on
the direction is rebuilt once with one more axis in front, along which the directions lie. What does not depend on the
direction, the values of the function itself, is left as it stands and shared by all.
"""

from __future__ import annotations

from collections.abc import Sequence

from thalweg.core.errors import UnsupportedError
from thalweg.expr.call import materialized
from thalweg.expr.node import Node, build, is_filler, table
from thalweg.expr.walk import dependents, topological


class _Valued:
    """The nodes that have a value, as a container: none of them depends on a direction, which has none."""

    def __contains__(self, node: object) -> bool:
        return isinstance(node, Node) and node.value is not None


def linear_part(outputs: Sequence[Node], leaves: Sequence[Node]) -> list[Node]:
    """List the nodes between leaves without a value (tangents, cotangents) and outputs, inputs before users."""
    order = topological(outputs, stop=_Valued())
    tied = dependents(order, leaves)
    return [node for node in order if node in tied]


def batched(outputs: Sequence[Node], leaves: Sequence[Node], seeds: Sequence[Node]) -> list[Node]:
    """Evaluate expressions at many values of some leaves at once.

    Args:
        outputs: Expressions, linear in the leaves or not.
        leaves: Nodes without a value, such as the tangents of a linearized graph.
        seeds: For each leaf, of shape s, its k values: an array or node of shape (k, *s), with one k for all.

    Returns:
        For each output, of shape t, a node of shape (k, *t); an output that no leaf reaches is given as it stands.

    Raises:
        UnsupportedError: for an operation that has no batch rule, where k is not known as a number.

    """
    rows = table()
    known: dict[Node, Node] = dict(zip(leaves, seeds, strict=True))
    eager = [s for s in seeds if s.value is not None]
    for node in linear_part(outputs, leaves):
        if node in known:
            continue
        flags = [x in known for x in node.inputs]
        # Beside arrays, a number that is only laid out becomes one: two of them would never be evaluated.
        inputs = [known.get(x, materialized(x, eager) if eager and is_filler(x) else x) for x in node.inputs]
        row = rows[node.op]
        if row.batch is not None:
            known[node] = row.batch(node, inputs, flags)
        elif row.elementwise:
            known[node] = _elementwise(node, inputs, flags)
        elif node.op == "identity":
            known[node] = inputs[0]
        else:
            known[node] = _one_by_one(node, inputs, flags)
    return [known.get(node, node) for node in outputs]


def _elementwise(node: Node, inputs: Sequence[Node], flags: Sequence[bool]) -> Node:
    """Open axes behind the leading one where an input has fewer axes than the result: shapes are aligned at the end."""
    aligned = []
    for x, flag, original in zip(inputs, flags, node.inputs, strict=True):
        missing = node.ndim - original.ndim
        if flag and missing:
            x = build("reshape", x, params=((x.shape[0], *[1] * missing, *original.shape),))
        aligned.append(x)
    return build(node.op, *aligned, params=node.params)


def _one_by_one(node: Node, inputs: Sequence[Node], flags: Sequence[bool]) -> Node:
    """Apply an operation without a batch rule to each slice, and join the results."""
    size = next(x.shape[0] for x, flag in zip(inputs, flags, strict=True) if flag)
    if not isinstance(size, int):
        raise UnsupportedError(
            f"{node.op} for all {size!r} directions at once: its row has no batch rule, and {size!r} is not a number",
            "give the function arrays of known sizes, or use jvp and vjp",
        )
    slices = []
    for i in range(size):
        one = [
            build("take", x, params=((i, *[(None, None, None)] * (x.ndim - 1)),)) if flag else x
            for x, flag in zip(inputs, flags, strict=True)
        ]
        result = build(node.op, *one, params=node.params)
        slices.append(build("reshape", result, params=((1, *result.shape),)))
    return slices[0] if size == 1 else build("concatenate", *slices, params=(0,))
