"""What an expression costs: arithmetic operations and bytes moved, counted on the graph without running it.

Each node is counted once, however often it is used, as a lowered kernel computes it once. Operations follow the
convention of :mod:`thalweg.expr.flops`. Bytes are those of the arrays that an operation reads and writes, as if nothing
stayed in cache; a view (a transpose, a reshape, a broadcast) moves nothing and is read at the size of what it views.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from thalweg.core.errors import InputError
from thalweg.expr.node import Node, table
from thalweg.expr.rows import Kind
from thalweg.expr.walk import resolve, topological

VIEWS = frozenset({"reshape", "transpose", "broadcast_to", "identity", "take"})


@dataclass(frozen=True, slots=True)
class OpCost:
    """The cost of all nodes of one operation.

    Attributes:
        op: The operation.
        count: Number of nodes.
        flops: Arithmetic operations.
        bytes: Bytes read and written.

    """

    op: str
    count: int
    flops: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Cost:
    """The cost of evaluating expressions once; printing it gives a table by operation.

    Attributes:
        flops: Arithmetic operations.
        bytes: Bytes read and written.
        largest: Bytes of the largest array that is computed.
        by_op: The same by operation, the costliest first.
        nodes: For every node that computes something its (flops, bytes).

    """

    flops: int
    bytes: int
    largest: int
    by_op: tuple[OpCost, ...]
    nodes: Mapping[Node, tuple[int, int]]

    def __str__(self) -> str:
        rows = [("operation", "count", "flops", "bytes")]
        rows += [(x.op, f"{x.count:,}", f"{x.flops:,}", f"{x.bytes:,}") for x in self.by_op]
        rows.append(("total", f"{sum(x.count for x in self.by_op):,}", f"{self.flops:,}", f"{self.bytes:,}"))
        widths = [max(len(row[i]) for row in rows) for i in range(4)]
        return "\n".join(
            "  ".join([row[0].ljust(widths[0]), *[c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True)]])
            for row in rows
        )


@dataclass(frozen=True, slots=True)
class Sized:
    """A node as rows' ``flops`` see it: with numbers in place of symbolic dimensions."""

    op: str
    inputs: tuple[Sized, ...]
    params: tuple[Any, ...]
    shape: tuple[int, ...]
    kind: Kind


def cost(outputs: Node | Sequence[Node], dimensions: Mapping[str, int] | None = None, itemsize: int = 8) -> Cost:
    """Count what evaluating expressions takes.

    Args:
        outputs: One expression or several; what they share is counted once.
        dimensions: The size of each symbolic dimension, such as ``{"n": 200000}``.
        itemsize: Bytes of a floating number or an index: 8, or 4 in single precision. Truth values take 1.

    Returns:
        The cost.

    Raises:
        InputError: for a symbolic dimension without a size.

    """
    known: dict[Node, Sized] = {}
    stored: dict[Node, int] = {}  # bytes that reading a node touches
    nodes: dict[Node, tuple[int, int]] = {}
    largest = 0
    rows = table()
    sizes = dict(dimensions or {})
    for node in topological([outputs] if isinstance(outputs, Node) else outputs):
        inputs = tuple([known[x] for x in node.inputs])
        params = resolve(node.params, sizes) if node.inputs and rows[node.op].sized else node.params
        sized = Sized(node.op, inputs, params, resolve_shape(node, sizes), node.kind)
        known[node] = sized
        own = math.prod(sized.shape) * (1 if node.kind == "b" else itemsize)
        computed = node.value is None and bool(node.inputs)
        if not computed or is_view(node):
            stored[node] = min([own, *[stored[x] for x in node.inputs[:1]]]) if node.inputs else own
            continue
        stored[node] = own
        nodes[node] = (node_flops(sized), own + sum(stored[x] for x in dict.fromkeys(node.inputs) if x.shape))
        largest = max(largest, own)
    by_op: dict[str, list[tuple[int, int]]] = {}
    for node, counted in nodes.items():
        by_op.setdefault(node.op, []).append(counted)
    table_of_ops = [
        OpCost(op, len(each), sum(f for f, _ in each), sum(b for _, b in each)) for op, each in by_op.items()
    ]
    table_of_ops.sort(key=lambda x: (-x.flops, -x.bytes, x.op))
    return Cost(
        sum(x.flops for x in table_of_ops), sum(x.bytes for x in table_of_ops), largest, tuple(table_of_ops), nodes
    )


def node_flops(node: Sized) -> int:
    """Count the operations of one node."""
    row = table()[node.op]
    if row.flops is not None:
        return int(row.flops(node))  # type: ignore[arg-type]
    return math.prod(node.shape) if row.elementwise else 0


def is_view(node: Node) -> bool:
    """Say whether a node is laid over its first input's memory and computes nothing."""
    if node.op == "einsum" and len(node.inputs) == 1:
        term, out = node.params[0].split("->")
        return set(term) == set(out)
    return node.op in VIEWS


def resolve_shape(node: Node, dimensions: Mapping[str, int]) -> tuple[int, ...]:
    """Give a node's shape in numbers.

    Args:
        node: Any node.
        dimensions: Sizes of the symbolic dimensions.

    Returns:
        The shape.

    Raises:
        InputError: for a symbolic dimension without a size.

    """
    missing = [d for d in node.shape if isinstance(d, str) and d not in dimensions]
    if missing:
        raise InputError(
            f"{node!r} has the symbolic dimension {missing[0]!r}, whose size is not given",
            f"pass dimensions={{{missing[0]!r}: 1000}}, with the size to count for",
        )
    shape: tuple[int, ...] = resolve(node.shape, dimensions)
    return shape
