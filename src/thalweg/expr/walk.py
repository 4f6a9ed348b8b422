"""Walks over a graph, all of them loops, so that no chain is too long; and parameters with symbolic dimensions."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from thalweg.expr.node import Node


def topological(outputs: Iterable[Node], stop: Container[Node] = ()) -> list[Node]:
    """List every node that the outputs need, inputs before users, each once; iterative, for chains of any length.

    Nodes in ``stop`` (a set or mapping) count as leaves: nothing below them is visited.
    """
    order: list[Node] = []
    seen: set[Node] = set()
    stack: list[tuple[Node, bool]] = [(node, False) for node in reversed(list(outputs))]
    while stack:
        node, ready = stack.pop()
        if ready:
            order.append(node)
        elif node not in seen:
            seen.add(node)
            stack.append((node, True))
            if node in stop:
                continue
            stack.extend((x, False) for x in reversed(node.inputs) if x not in seen)
    return order


def dependents(order: Sequence[Node], sources: Iterable[Node]) -> set[Node]:
    """Among ``order`` (topological), the nodes that depend on one of ``sources``, the sources included."""
    found = set(sources)
    for node in order:
        if any(x in found for x in node.inputs):
            found.add(node)
    return found


def has_symbolic(params: Any) -> bool:
    """Say whether a (nested) parameter names a symbolic dimension."""
    return isinstance(params, str) or (isinstance(params, tuple) and any(has_symbolic(p) for p in params))


def resolve(params: Any, dimensions: Mapping[str, int]) -> Any:
    """Replace names of symbolic dimensions in (nested) parameters by their sizes."""
    if isinstance(params, tuple):
        return tuple([resolve(p, dimensions) for p in params])
    return dimensions[params] if isinstance(params, str) else params
