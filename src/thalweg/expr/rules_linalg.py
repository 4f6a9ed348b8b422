"""Rewrite rules of linear algebra: an inverse is not formed where a system can be solved.

inv(A) @ b becomes solve(A, b), which takes a third of the operations and loses fewer digits; a determinant that is only
looked at through its logarithm is never formed, since it overflows where its logarithm does not. The inverse of an
inverse stays: for a singular matrix it has no value.
"""

from __future__ import annotations

from thalweg.expr.node import Node, constant, is_constant
from thalweg.expr.rewriting import Rule, make
from thalweg.expr.shapes import spread


def turned(x: Node) -> Node:
    """Swap the last two axes."""
    axes = tuple(range(x.ndim))
    return make("transpose", x, params=((*axes[:-2], axes[-1], axes[-2]),))


def _is_turned(x: Node) -> bool:
    """Say whether a node swaps the last two axes of its input."""
    axes = tuple(range(x.ndim))
    return x.op == "transpose" and x.params[0] == (*axes[:-2], axes[-1], axes[-2])


def _inv(node: Node) -> Node | None:
    (a,) = node.inputs
    if _is_turned(a):
        return turned(make("inv", a.inputs[0]))
    if a.op == "neg":
        return make("neg", make("inv", a.inputs[0]))
    if a.op == "mul" and is_constant(a.inputs[0]) and a.inputs[0].value:
        return make("div", make("inv", a.inputs[1]), a.inputs[0])
    return None


def _det(node: Node) -> Node | None:
    (a,) = node.inputs
    if _is_turned(a):
        return make("det", a.inputs[0])
    return make("div", 1.0, make("det", a.inputs[0])) if a.op == "inv" else None


def _logdet(node: Node) -> Node | None:
    (a,) = node.inputs
    if _is_turned(a):
        return make("logdet", a.inputs[0])
    return make("neg", make("logdet", a.inputs[0])) if a.op == "inv" else None


def _solve(node: Node) -> Node | None:
    a, b = node.inputs
    if b.op == "neg":
        return make("neg", make("solve", a, b.inputs[0]))
    if b.op == "mul" and not b.inputs[0].shape:
        return make("mul", b.inputs[0], make("solve", a, b.inputs[1]))
    if b.op == "broadcast_to" and is_constant(b.inputs[0], 0):
        return spread(constant(0.0), node.shape)
    return None


def solved(node: Node) -> Node | None:
    """Write a product of two with an inverse as the solution of a system; None if it is none."""
    if node.op != "einsum" or len(node.inputs) != 2:
        return None
    terms, out = node.params[0].split("->")
    names = terms.split(",")
    for i in (0, 1):
        inverse, other = node.inputs[i], node.inputs[1 - i]
        mine, theirs = names[i], names[1 - i]
        if inverse.op != "inv" or inverse.value is not None or inverse.ndim != 2 or other.ndim > 2:
            continue
        shared = [c for c in mine if c in theirs]
        if len(set(mine)) < 2 or len(set(theirs)) < len(theirs) or len(shared) != 1 or shared[0] in out:
            continue
        (inner,) = shared
        (kept,) = [c for c in mine if c != inner]
        free = theirs.replace(inner, "")
        if set(out) != {kept, *free}:
            continue
        (matrix,) = inverse.inputs
        matrix = matrix if mine[1] == inner else turned(matrix)
        right = other if theirs[0] == inner else turned(other)
        solution = make("solve", matrix, right)
        return solution if out[0] == kept else turned(solution)
    return None


RULES: dict[str, Rule] = {"inv": _inv, "det": _det, "logdet": _logdet, "solve": _solve}
