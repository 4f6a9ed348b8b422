"""Arithmetic operations of the rows that are neither elementwise nor mere moves of data.

The convention, wherever Thalweg counts: an addition, a multiplication and a function such as exp are one operation
each; a product of m x k and k x n matrices is 2mnk, a reduction of n entries n. A sum over an axis that only one
operand has is taken before the product. Each function takes a node whose shapes are numbers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

NOMINAL = 1000
"""The size that a symbolic dimension counts as where two ways of computing are compared."""


def per_entry(count: int) -> Callable[[Any], int]:
    """Make the count of a row that does ``count`` operations on each entry of its first input."""
    return lambda node: count * math.prod(node.inputs[0].shape)


def of_einsum(node: Any) -> int:
    """Count a contraction; with more than two operands, in the order in which it is evaluated."""
    from thalweg.expr.products import path

    terms, out = node.params[0].split("->")
    parts = terms.split(",")
    shapes = [x.shape for x in node.inputs]
    sizes = {c: d for term, shape in zip(parts, shapes, strict=True) for c, d in zip(term, shape, strict=True)}
    if len(parts) <= 2:
        return of_step(parts, out, sizes)
    total = 0
    for _, step in path(node.params[0], tuple(shapes)):
        inputs, result = step.split("->")
        total += of_step(inputs.split(","), result, sizes)
    return total


def of_step(terms: list[str], out: str, sizes: Mapping[str, int]) -> int:
    """Count a contraction of one or two terms."""

    def volume(letters: Any) -> int:
        return math.prod([sizes[c] for c in letters])

    if len(terms) == 1:
        inside = set(terms[0])
        return volume(inside) if inside - set(out) else 0
    total = 0
    held = []
    for term, other in (terms, terms[::-1]):
        inside = set(term)
        carried = {c for c in inside if c in other or c in out}
        total += volume(inside) if carried != inside else 0
        held.append(carried)
    inner = (held[0] & held[1]) - set(out)
    return total + volume(held[0] | held[1]) * (2 if inner else 1)
