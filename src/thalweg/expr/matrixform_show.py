"""The text of an expression as it stands: operation by operation, nothing multiplied out and nothing factored."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

from thalweg.expr.matrixform_network import Link, NoMatrixFormError, ones, raise_network, size_formula
from thalweg.expr.node import Node
from thalweg.expr.rows import NUMBERS, Dimension
from thalweg.expr.terms import Label, attributes, symmetric
from thalweg.expr.typeset import (
    Formula,
    call,
    chain,
    einsum,
    entries,
    entries_over,
    name,
    negated,
    number,
    over,
    power,
    scaled,
    total,
    transposed,
)
from thalweg.expr.walk import topological

LONGEST = 20_000
"""Characters of a part; a longer one is written "...", for shared parts repeat and their text doubles."""


def show(node: Node) -> str:
    """Write a lazy expression as it stands, in the parser's notation as far as that goes.

    Args:
        node: An expression without a value.

    Returns:
        One line. Operations that the notation lacks are written like functions, with their names in the table.

    """
    return tree(node).text


def tree(node: Node) -> Formula:
    """Give the formula of an expression as it stands; see `show`."""
    known: dict[Node, Formula] = {}
    for x in topological([node]):
        made = _written(x, [known[y] for y in x.inputs])
        known[x] = made if len(made.text) <= LONGEST else name("...", scalar=not x.shape)
    return known[node]


def _written(node: Node, parts: list[Formula]) -> Formula:
    if node.op == "symbol":
        known = attributes(node)
        return name(node.name, bool(known & {"symmetric", "positive definite", "diagonal"}), not node.shape)
    if node.value is not None and node.value.__class__ in NUMBERS:
        return _constant(float(node.value))  # type: ignore[arg-type]
    rule = _RULES.get(node.op)
    try:
        made = rule(node, parts) if rule is not None else None
    except NoMatrixFormError:
        made = None
    if made is not None:
        return made
    elementwise = node.ndim <= 2 and len(parts) == 1 and not node.params and node.shape == node.inputs[0].shape
    return call(node.op, *parts, symmetric=elementwise and symmetric(node), scalar=not node.shape)


def _constant(value: float) -> Formula:
    near = Fraction(value).limit_denominator(1000) if abs(value) < float("inf") else None
    size = number(abs(near) if near is not None and float(near) == value else abs(float(value)))
    return negated(size) if value < 0 else size


def _sum_of_two(node: Node, parts: list[Formula]) -> Formula | None:
    return total([(True, parts[0]), (node.op == "add", parts[1])])


def _product(node: Node, parts: list[Formula]) -> Formula | None:
    a, b = parts
    if a.scalar:
        return scaled([a], b)
    if b.scalar:
        return scaled([b], a)
    same = node.inputs[0].shape == node.inputs[1].shape
    return entries([a, b]) if same and node.ndim <= 2 else None


def _quotient(node: Node, parts: list[Formula]) -> Formula | None:
    a, b = parts
    if b.scalar:
        return over(a, b)
    fits = a.scalar or node.inputs[0].shape == node.inputs[1].shape
    return entries_over(a, b) if fits and node.ndim <= 2 else None


def _power(node: Node, parts: list[Formula]) -> Formula | None:
    base, exponent = parts[0], parts[1] if len(parts) > 1 else number(Fraction(2))
    return power(base, exponent, bool(node.shape)) if node.ndim <= 2 else None


def _transposed(node: Node, parts: list[Formula]) -> Formula | None:
    return transposed(parts[0]) if node.params[0] == (1, 0) else None


def _summed(node: Node, parts: list[Formula]) -> Formula | None:
    (x,) = node.inputs
    axes, keepdims = node.params
    if keepdims or x.ndim > 2:
        return None
    labels = tuple([-1 - a if a in axes else [i for i in range(x.ndim) if i not in axes].index(a)
                    for a in range(x.ndim)])  # fmt: skip
    return raise_network(node.shape, [Link(parts[0], labels)], dict(zip(labels, x.shape, strict=True)))


def _contracted(node: Node, parts: list[Formula]) -> Formula | None:
    words, out = node.params[0].split("->")
    names: dict[str, Label] = {c: i for i, c in enumerate(out)}
    links: list[Link] = []
    sizes: dict[Label, Dimension] = {}
    scalars = []
    for word, x, f in zip(words.split(","), node.inputs, parts, strict=True):
        labels = tuple([names.setdefault(c, -1 - len(names)) for c in word])
        sizes.update(zip(labels, x.shape, strict=True))
        if not labels:
            scalars.append(f)
        else:
            links.append(Link(f, labels, x.op == "eye"))
    if len(words) == 5 and [words[0], words[3], words[1], words[4]] == list(out):  # ij,kl->ikjl
        return call("kron", *parts, symmetric=all(f.symmetric for f in parts))
    if len(out) > 2 or any(x.ndim > 2 for x in node.inputs):
        return einsum(node.params[0], *parts)
    try:
        return scaled(scalars, raise_network(node.shape, links, sizes) if links else number(Fraction(1)))
    except NoMatrixFormError:
        return einsum(node.params[0], *parts)


def _repeated(node: Node, parts: list[Formula]) -> Formula | None:
    if not parts[0].scalar or node.ndim not in (1, 2):
        return None
    if node.ndim == 1:
        return ones(node.shape[0], parts[0])
    return call("matrix", parts[0], *[size_formula(d) for d in node.shape])


def _solved(node: Node, parts: list[Formula]) -> Formula | None:
    a, b = node.inputs
    if a.ndim != 2 or b.ndim > 2:
        return None
    return chain([call("inv", parts[0], symmetric=parts[0].symmetric), parts[1]])


_RULES: dict[str, Callable[[Node, list[Formula]], Formula | None]] = {
    "add": _sum_of_two, "sub": _sum_of_two, "neg": lambda node, parts: negated(parts[0]), "mul": _product,
    "div": _quotient, "pow": _power, "square": _power, "transpose": _transposed, "sum": _summed,
    "einsum": _contracted, "broadcast_to": _repeated, "solve": _solved,
    "identity": lambda node, parts: parts[0],
    "dimension": lambda node, parts: size_formula(node.params[0]),
    "eye": lambda node, parts: call("eye", size_formula(node.params[0]), symmetric=True),
    "rsqrt": lambda node, parts: over(number(Fraction(1)), call("sqrt", parts[0], scalar=True)) if not node.shape
    else entries_over(number(Fraction(1)), call("sqrt", parts[0])),
    "logsumexp": lambda node, parts: call("log", call("sum", call("exp", parts[0]), scalar=True), scalar=True)
    if not node.shape else None,
    "softmax": lambda node, parts: over(call("exp", parts[0]), call("sum", call("exp", parts[0]), scalar=True))
    if node.ndim == 1 else None,
}  # fmt: skip
