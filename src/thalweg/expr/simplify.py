"""Rewrites that keep the value: constants folded, units and double signs removed, unstable forms made stable.

The rules stand by family in `rules_elementwise`, `rules_structural` and `rules_linalg`; a pass applies them from the
leaves up, and passes are repeated until nothing changes, so that simplifying twice is simplifying once. A rewritten
expression has the value of the original wherever that one is defined and finite on the way.
"""

from __future__ import annotations

from collections.abc import Sequence

from thalweg.expr import rules_elementwise, rules_linalg, rules_structural
from thalweg.expr.node import Node, build, constant, is_constant
from thalweg.expr.rewriting import Rule, make
from thalweg.expr.rewriting import nonnegative as nonnegative
from thalweg.expr.walk import topological

PASSES = 12
"""More passes than any expression was seen to take; the bound keeps an error in the rules from hanging."""


def simplify(node: Node) -> Node:
    """Rewrite an expression into a simpler one of equal value (see the module text)."""
    return simplify_all([node])[0]


def simplify_all(outputs: Sequence[Node]) -> list[Node]:
    """Simplify several expressions; what they share stays shared."""
    nodes = list(outputs)
    for _ in range(PASSES):
        better = _simplified_once(nodes)
        if all(a is b for a, b in zip(nodes, better, strict=True)):
            break
        nodes = better
    return nodes


def _simplified_once(outputs: Sequence[Node]) -> list[Node]:
    known: dict[Node, Node] = {}
    for node in topological(outputs):
        known[node] = (
            make(node.op, *[known[x] for x in node.inputs], params=node.params)
            if node.inputs and node.value is None
            else constant(node.value)
            if node.inputs and all(x.op == "constant" for x in node.inputs)
            else node
        )
    return [known[node] for node in outputs]


def with_switches_at_zero(node: Node) -> Node:
    """Simplify, and write every comparison of two expressions as one of their difference with 0.

    What switches at z = y is then seen in z - y. The two are equal for finite numbers alone (inf <= inf holds, and
    inf - inf is nan), so this is for bounds, and never for code that meets data.
    """
    node = simplify(node)
    known: dict[Node, Node] = {}
    for x in topological([node]):
        inputs = [known[i] for i in x.inputs]
        if x.op in _COMPARISONS and all(i.kind == "f" and not is_constant(i) for i in inputs):
            inputs = [make("sub", *inputs), constant(0.0)]
        known[x] = make(x.op, *inputs, params=x.params) if inputs and x.value is None else x
    return simplify(known[node])


def stabilized(node: Node) -> Node:
    """Write a lazy expression's unstable forms as stable ones before it is differentiated.

    The derivative of log(1 + exp(x)), written out, is exp(x) / (1 + exp(x)), inf / inf where that of softplus is 1, and
    is no longer known for what it is. Only rules of smooth functions are applied, and only if they find such a form: at
    a kink the derivative must be that of the function as it was written. Arguments (identities) and values are leaves.
    """
    order = topological([node], stop=_arguments)
    if not any(x.op in ("log", "log1p") or x.op == "div" and _adds_exponential(x.inputs[1]) for x in order):
        return node
    known: dict[Node, Node] = {}
    for x in order:
        inputs = [known.get(i, i) for i in x.inputs]
        if x in _arguments or not inputs:
            known[x] = x
        elif x.op in _SMOOTH:
            known[x] = make(x.op, *inputs, params=x.params)
        else:
            same = all(a is b for a, b in zip(inputs, x.inputs, strict=True))
            known[x] = x if same else build(x.op, *inputs, params=x.params)
    better = known[node]
    found = {x for x in topological([better], stop=_arguments) if x.op in _STABLE} - set(order)
    return better if found and better.shape == node.shape else node


def _adds_exponential(node: Node) -> bool:
    return node.op == "add" and any(x.op == "exp" for x in node.inputs)


class _Arguments:
    """What a differentiation of lazy nodes takes as given."""

    def __contains__(self, node: object) -> bool:
        return isinstance(node, Node) and (node.op == "identity" or node.value is not None)


_arguments = _Arguments()
_SMOOTH = frozenset(["add", "sub", "neg", "div", "log", "log1p", "logaddexp"])
_STABLE = frozenset(["softplus", "sigmoid", "logaddexp", "logsumexp", "logdet"])
_COMPARISONS = frozenset(["gt", "ge", "lt", "le", "eq", "ne"])


def _einsum(node: Node) -> Node | None:
    better = rules_structural.RULES["einsum"](node)
    return better if better is not None else rules_linalg.solved(node)


RULES: dict[str, Rule] = {
    **rules_elementwise.RULES, **rules_structural.RULES, **rules_linalg.RULES, "einsum": _einsum
}  # fmt: skip
