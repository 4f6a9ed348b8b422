"""From terms back to nodes, and from the nodes of closed networks to their factors."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from thalweg.expr.node import Node, build, constant, is_constant
from thalweg.expr.rows import NUMBERS, Shape
from thalweg.expr.shapes import spread
from thalweg.expr.terms_core import Factor, Label, Term, Terms
from thalweg.expr.terms_numbers import Number, exact, magnitude, plain_number


def rebuild(terms: Terms) -> Node:
    """Give the node of a normal form."""
    total: Node | None = None
    for term in terms.terms:
        node = term_node(terms.shape, Term(magnitude(term.number), term.scalars, term.factors))
        if total is None:
            total = node if term.number >= 0 else build("neg", node)
        else:
            total = build("add" if term.number >= 0 else "sub", total, node)
    return spread(constant(0.0) if total is None else total, terms.shape)


def term_node(shape: Shape, term: Term) -> Node:
    """Give the node of one term."""
    parts: Node | None = None if term.number == 1 else constant(plain_number(term.number))
    for atom, e in term.scalars:
        p = power_node(atom, e)
        parts = p if parts is None else build("mul", parts, p)
    if term.factors:
        network = network_node(shape, term.factors)
        parts = network if parts is None else build("mul", parts, network)
    return spread(constant(1.0) if parts is None else parts, shape)


def power_node(atom: Node, e: Number) -> Node:
    """Give the node of a power of an atom."""
    if e == 1:
        return atom
    fixed = {Fraction(2): "square", Fraction(1, 2): "sqrt"}
    if e in fixed:
        return build(fixed[Fraction(e)], atom)
    if e < 0:
        return build("div", 1.0, power_node(atom, -e))
    return build("pow", atom, plain_number(e))


def network(node: Node) -> list[Factor]:
    """Read a closed network, as `canonical` puts it among the scalars, back into its factors."""
    if node.op == "einsum":
        operands, nodes = node.params[0].split("->")[0].split(","), node.inputs
    else:
        return []
    names: dict[str, Label] = {}
    for c in "".join(operands):
        names.setdefault(c, -1 - len(names))
    found = []
    for letters, x in zip(operands, nodes, strict=True):
        labels = [names[c] for c in letters]
        atom, power = _power_of_node(x)
        if (
            atom.op == "reshape"
            and atom.ndim < atom.inputs[0].ndim
            and atom.shape == tuple([d for d in atom.inputs[0].shape if d != 1])
        ):
            rest = iter(labels)
            inner, more = _power_of_node(atom.inputs[0])
            found.append(Factor(inner, tuple([None if d == 1 else next(rest) for d in inner.shape]), power * more))
        else:
            found.append(Factor(atom, tuple(labels), power))
    return found


def _power_of_node(node: Node) -> tuple[Node, Number]:
    """Undo `power_node`."""
    if node.op in ("square", "sqrt"):
        return node.inputs[0], Fraction(2) if node.op == "square" else Fraction(1, 2)
    if node.op == "div" and is_constant(node.inputs[0], 1):
        atom, e = _power_of_node(node.inputs[1])
        return atom, -e
    if node.op == "pow" and node.inputs[1].value.__class__ in NUMBERS:
        return node.inputs[0], exact(node.inputs[1].value)
    return node, Fraction(1)


def network_node(shape: Shape, factors: Sequence[Factor]) -> Node:
    """Contract a network with one einsum, and lay the result out over the axes it does not have."""
    letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
    names: dict[Label, str] = {}
    nodes, terms = [], []
    for f in factors:
        node = power_node(f.atom, f.power)
        kept = [(x, d) for x, d in zip(f.labels, node.shape, strict=True) if x is not None]
        if len(kept) < node.ndim:
            node = build("reshape", node, params=(tuple([d for _, d in kept]),))
        nodes.append(node)
        terms.append("".join([names.setdefault(x, letters[len(names)]) for x, _ in kept]))
    axes = [i for i in range(len(shape)) if i in names]
    out = "".join([names[i] for i in axes])
    if len(nodes) == 1 and terms[0] == out:
        node = nodes[0]
    else:
        node = build("einsum", *nodes, params=(",".join(terms) + "->" + out,))
    if node.shape != shape:
        node = build("reshape", node, params=(tuple([shape[i] if i in axes else 1 for i in range(len(shape))]),))
    return spread(node, shape)
