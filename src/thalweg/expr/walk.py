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
    stack: list[Node | None] = []
    stack += [*outputs][::-1]
    while stack:
        node = stack.pop()
        if node is None:  # what stands below it has had all of its inputs listed
            order.append(stack.pop())  # type: ignore[arg-type]
        elif node not in seen:
            seen.add(node)
            inputs = node.inputs
            if not inputs or node in stop:
                order.append(node)
                continue
            stack += (node, None)
            stack += inputs[::-1]
    return order


def dependents(order: Sequence[Node], sources: Iterable[Node]) -> set[Node]:
    """Among ``order`` (topological), the nodes that depend on one of ``sources``, the sources included."""
    found = set(sources)
    for node in order:
        for x in node.inputs:
            if x in found:
                found.add(node)
                break
    return found


def has_symbolic(params: Any) -> bool:
    """Say whether a (nested) parameter names a symbolic dimension."""
    return isinstance(params, str) or (isinstance(params, tuple) and any(has_symbolic(p) for p in params))


def resolve(params: Any, dimensions: Mapping[str, int]) -> Any:
    """Replace names of symbolic dimensions in (nested) parameters by their sizes."""
    if isinstance(params, tuple):
        return tuple([resolve(p, dimensions) for p in params])
    return dimensions[params] if isinstance(params, str) else params
