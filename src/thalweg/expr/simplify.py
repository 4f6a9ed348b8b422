"""Rewrites that keep the value: constants folded, units and double signs removed, unstable forms made stable.

A rule sees one node whose inputs are already simplified and gives a better node or None. Rules are written in `make`,
which simplifies what it builds, so that one bottom-up pass suffices. What a rule may assume: finite arguments (0 * x is
0). Differences and products are put in one canonical order, so that z - y and -(y - z) are one node with a sign.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from thalweg.expr.node import Node, build, constant, is_constant, table
from thalweg.expr.shapes import spread
from thalweg.expr.walk import topological

Rule = Callable[[Node], Node | None]


def simplify(node: Node) -> Node:
    """Rewrite an expression into a simpler one of equal value (see the module text)."""
    return simplify_all([node])[0]


def simplify_all(outputs: Sequence[Node]) -> list[Node]:
    """Simplify several expressions; what they share stays shared."""
    known: dict[Node, Node] = {}
    for node in topological(outputs):
        known[node] = (
            make(node.op, *[known[x] for x in node.inputs], params=node.params)
            if node.inputs and node.value is None
            else node
        )
    return [known[node] for node in outputs]


def make(op: str, *inputs: Any, params: tuple[Any, ...] = ()) -> Node:
    """Build a node and apply the rules to it."""
    node = build(op, *inputs, params=params)
    if node.op == "constant":
        return node
    if table()[op].elementwise:
        node = _drop_constant_broadcasts(node)
    rule = RULES.get(node.op)
    better = rule(node) if rule is not None else None
    return node if better is None else better


def nonnegative(node: Node) -> bool:
    """Say whether the value is >= 0 for every argument, by a few sure rules (False means unknown)."""
    if is_constant(node):
        return bool(node.value >= 0)
    if node.op == "symbol":
        return node.domain in ("count", "class")
    if node.op in ("exp", "square", "abs", "softplus", "sigmoid", "sqrt", "rsqrt", "relu", "cosh", "softmax"):
        return True
    if node.op in ("add", "mul", "div", "maximum", "sum", "broadcast_to", "reshape", "max", "min", "pick", "scatter"):
        return all(nonnegative(x) for x in node.inputs[: 1 if node.op in ("pick", "scatter") else None])
    return False


def _drop_constant_broadcasts(node: Node) -> Node:
    """Replace an operand that is a broadcast number by the number, where the shape does not need it."""
    lean = [x.inputs[0] if x.op == "broadcast_to" and is_constant(x.inputs[0]) else x for x in node.inputs]
    if all(a is b for a, b in zip(lean, node.inputs, strict=True)):
        return node
    thin = build(node.op, *lean, params=node.params)
    return thin if thin.shape == node.shape else spread(thin, node.shape) if thin.op == "constant" else node


def _shaped(node: Node, like: Node) -> Node:
    return spread(node, like.shape)


def _ordered(node: Node) -> Node | None:
    """Put the operands of a commutative operation in canonical order: numbers first, then by digest."""
    a, b = node.inputs
    if is_constant(a) or not (is_constant(b) or b.key < a.key):
        return None
    return build(node.op, b, a)


def _add(node: Node) -> Node | None:
    a, b = node.inputs
    for x, y in ((a, b), (b, a)):
        if is_constant(x, 0):
            return _shaped(y, node)
        if y.op == "neg" and x.op != "neg":
            return make("sub", x, y.inputs[0])
        if is_constant(x) and y.op == "add" and is_constant(y.inputs[0]):
            return make("add", constant(x.value + y.inputs[0].value), y.inputs[1])
    if a.op == b.op == "neg":
        return make("neg", make("add", a.inputs[0], b.inputs[0]))
    if a is b:
        return make("mul", 2.0, a)
    alike = a.op == b.op == "where" and a.inputs[0] is b.inputs[0]
    if alike and any(is_constant(x, 0) for x in (*a.inputs[1:], *b.inputs[1:])):
        sums = [make("add", u, v) for u, v in zip(a.inputs[1:], b.inputs[1:], strict=True)]
        return _shaped(make("where", a.inputs[0], *sums), node)
    return _ordered(node)


def _sub(node: Node) -> Node | None:
    a, b = node.inputs
    if is_constant(b, 0):
        return _shaped(a, node)
    if is_constant(a, 0):
        return make("neg", _shaped(b, node))
    if a is b:
        return _shaped(constant(0.0), node)
    if b.op == "neg":
        return make("add", a, b.inputs[0])
    if a.op == "neg":
        return make("neg", make("add", a.inputs[0], b))
    if is_constant(a, 1) and b.op == "sigmoid":
        return make("sigmoid", make("neg", b.inputs[0]))
    if not is_constant(a) and not is_constant(b) and b.key < a.key:
        return build("neg", build("sub", b, a))
    return None


def _neg(node: Node) -> Node | None:
    (x,) = node.inputs
    if x.op == "neg":
        return x.inputs[0]
    if x.op == "mul" and is_constant(x.inputs[0]):
        return make("mul", constant(-x.inputs[0].value), x.inputs[1])
    if x.op == "where" and any(is_constant(v, 0) for v in x.inputs[1:]):
        return make("where", x.inputs[0], *[v if is_constant(v, 0) else make("neg", v) for v in x.inputs[1:]])
    if x.op == "sub" and (is_constant(x.inputs[0]) or is_constant(x.inputs[1])):
        return make("sub", x.inputs[1], x.inputs[0])
    return None


def _mul(node: Node) -> Node | None:
    a, b = node.inputs
    for x, y in ((a, b), (b, a)):
        if is_constant(x, 0):
            return _shaped(constant(0.0), node)
        if is_constant(x, 1):
            return _shaped(y, node)
        if is_constant(x, -1):
            return make("neg", _shaped(y, node))
        if x.op == "neg":
            return make("neg", make("mul", x.inputs[0], y))
        if is_constant(x) and y.op == "where" and any(is_constant(v) for v in y.inputs[1:]):
            return make("where", y.inputs[0], *[make("mul", x, v) for v in y.inputs[1:]])
        if is_constant(x) and y.op == "div" and is_constant(y.inputs[0]):
            return make("div", constant(x.value * y.inputs[0].value), y.inputs[1])
        if x.op == "sign" and x.inputs[0] is y:
            return make("abs", y)
        if x.op == "div" and is_constant(x.inputs[0], 1):
            return make("div", y, x.inputs[1])
        if x.op == "where" and any(is_constant(v, 0) for v in x.inputs[1:]):
            branches = [v if is_constant(v, 0) else make("mul", v, y) for v in x.inputs[1:]]
            return _shaped(make("where", x.inputs[0], *branches), node)
    collected = _collect(node)
    if collected is not None:
        return collected
    return make("square", a) if a is b else _ordered(node)


def _collect(node: Node) -> Node | None:
    """Collect a product's numbers into one, and cancel pairs of a +-1 symbol; None when there is nothing to collect."""
    factors: list[Node] = []
    stack = list(node.inputs)
    while stack:
        x = stack.pop()
        if x.op == "mul":
            stack.extend(x.inputs)
        else:
            factors.append(x)
    numbers = [x for x in factors if is_constant(x)]
    signs = Counter(x for x in factors if x.domain == "+-1")
    if len(numbers) < 2 and all(times == 1 for times in signs.values()):
        return None
    rest = [x for x in factors if not is_constant(x) and x not in signs]
    rest += [x for x, times in signs.items() if times % 2]
    total = math.prod(x.value for x in numbers)
    result: Node | None = None
    for x in sorted(rest, key=lambda x: x.key):
        result = x if result is None else make("mul", result, x)
    return _shaped(constant(total) if result is None else make("mul", total, result), node)


def _div(node: Node) -> Node | None:
    a, b = node.inputs
    if is_constant(a, 0):
        return _shaped(constant(0.0), node)
    if is_constant(b, 1):
        return _shaped(a, node)
    if a.op == "neg":
        return make("neg", make("div", a.inputs[0], b))
    if b.op == "neg":
        return make("neg", make("div", a, b.inputs[0]))
    if is_constant(b) and b.value != 0 and math.frexp(b.value)[0] in (0.5, -0.5):
        return make("mul", 1.0 / b.value, a)  # a power of two: the reciprocal is exact
    if is_constant(b) and a.op == "mul" and is_constant(a.inputs[0]) and b.value != 0:
        return make("mul", constant(a.inputs[0].value / b.value), a.inputs[1])
    if b.op == "add" and is_constant(b.inputs[0], 1) and b.inputs[1].op == "exp":
        exponent = b.inputs[1].inputs[0]
        if is_constant(a, 1):
            return make("sigmoid", make("neg", exponent))
        if a is b.inputs[1]:
            return make("sigmoid", exponent)
    return None


_POWERS: dict[float, Callable[[Node], Node]] = {
    0: lambda x: spread(constant(1.0), x.shape),
    1: lambda x: x,
    2: lambda x: make("square", x),
    0.5: lambda x: make("sqrt", x),
    -1: lambda x: make("div", 1.0, x),
}


def _pow(node: Node) -> Node | None:
    x, p = node.inputs
    return _shaped(_POWERS[p.value](x), node) if is_constant(p) and p.value in _POWERS else None


def _square(node: Node) -> Node | None:
    (x,) = node.inputs
    if x.op in ("neg", "abs"):
        return make("square", x.inputs[0])
    if x.domain == "+-1" or x.op == "sign" and x.inputs[0].domain == "sign":
        return _shaped(constant(1.0), node)
    if x.op == "mul" and any(is_constant(v) or v.domain == "+-1" for v in x.inputs):
        return make("mul", make("square", x.inputs[0]), make("square", x.inputs[1]))
    return None


def _log(node: Node) -> Node | None:
    (x,) = node.inputs
    if x.op == "exp":
        return x.inputs[0]
    if x.op == "add":
        a, b = x.inputs
        if a.op == b.op == "exp":
            return make("logaddexp", a.inputs[0], b.inputs[0])
        if is_constant(a, 1):
            return make("softplus", b.inputs[0]) if b.op == "exp" else None
    if x.op == "sigmoid":
        return make("neg", make("softplus", make("neg", x.inputs[0])))
    if x.op == "cosh":
        (t,) = x.inputs
        return make("sub", make("sub", make("softplus", make("mul", 2.0, t)), t), math.log(2.0))
    if x.op == "sum" and x.inputs[0].op == "exp" and len(x.params[0]) == 1:
        return make("logsumexp", x.inputs[0].inputs[0], params=(x.params[0][0], x.params[1]))
    if x.op == "softmax":
        return make("sub", x.inputs[0], make("logsumexp", x.inputs[0], params=(x.params[0], True)))
    return None


def _log1p(node: Node) -> Node | None:
    (x,) = node.inputs
    if x.op == "exp":
        return make("softplus", x.inputs[0])
    if x.op == "neg" and x.inputs[0].op == "sigmoid":
        return make("neg", make("softplus", x.inputs[0].inputs[0]))
    return None


def _logaddexp(node: Node) -> Node | None:
    for x, y in (node.inputs, node.inputs[::-1]):
        if is_constant(x, 0):
            return _shaped(make("softplus", y), node)
    return _ordered(node)


def _sqrt(node: Node) -> Node | None:
    (x,) = node.inputs
    return make("abs", x.inputs[0]) if x.op == "square" else None


def _abs(node: Node) -> Node | None:
    (x,) = node.inputs
    if nonnegative(x):
        return x
    if x.op == "neg":
        return make("abs", x.inputs[0])
    if x.op == "mul" and (is_constant(x.inputs[0]) or any(v.domain == "+-1" for v in x.inputs)):
        return make("mul", make("abs", x.inputs[0]), make("abs", x.inputs[1]))
    return _shaped(constant(1.0), node) if x.domain == "+-1" else None


def _relu(node: Node) -> Node | None:
    return node.inputs[0] if nonnegative(node.inputs[0]) else None


def _extremum(node: Node) -> Node | None:
    a, b = node.inputs
    if a is b:
        return a
    for x, y in ((a, b), (b, a)):
        if is_constant(x, 0):
            relu = make("relu", y if node.op == "maximum" else make("neg", y))
            return _shaped(relu if node.op == "maximum" else make("neg", relu), node)
    return _ordered(node)


def _where(node: Node) -> Node | None:
    condition, a, b = node.inputs
    if a is b:
        return _shaped(a, node)
    if is_constant(condition):
        return _shaped(a if condition.value else b, node)
    if condition.op == "logical_not":
        return make("where", condition.inputs[0], b, a)
    for i, x in ((1, a), (2, b)):
        if x.op == "where" and x.inputs[0] is condition:
            branches = (x.inputs[1], b) if i == 1 else (a, x.inputs[2])
            return _shaped(make("where", condition, *branches), node)
    return None


def _compare(node: Node) -> Node | None:
    """Compare a difference with 0, which is exact for finite numbers: what switches at z = y is then seen in z - y."""
    a, b = node.inputs
    if a.kind == "f" and b.kind == "f" and not is_constant(a) and not is_constant(b):
        return build(node.op, make("sub", a, b), 0.0)
    return None


def _same_shape(node: Node) -> Node | None:
    (x,) = node.inputs
    if x.shape == node.shape:
        return x
    if x.op == node.op:
        return build(node.op, x.inputs[0], params=node.params)
    if x.op == "broadcast_to" and is_constant(x.inputs[0]):
        return spread(x.inputs[0], node.shape)
    return None


def _transpose(node: Node) -> Node | None:
    (x,) = node.inputs
    (axes,) = node.params
    if axes == tuple(range(len(axes))):
        return x
    if x.op == "transpose":
        return make("transpose", x.inputs[0], params=(tuple([x.params[0][a] for a in axes]),))
    return None


def _sum(node: Node) -> Node | None:
    (x,) = node.inputs
    if x.op == "neg":
        return make("neg", make("sum", x.inputs[0], params=node.params))
    if x.op == "mul" and is_constant(x.inputs[0]):
        return make("mul", x.inputs[0], make("sum", x.inputs[1], params=node.params))
    if x.op == "mul" and not node.params[1] and x.inputs[0].shape == x.inputs[1].shape == x.shape:
        letters = "abcdefghijklmnopqrstuvwxyz"[: x.ndim]
        out = "".join(c for i, c in enumerate(letters) if i not in node.params[0])
        return build("einsum", *x.inputs, params=(f"{letters},{letters}->{out}",))
    return None


def _einsum(node: Node) -> Node | None:
    """Drop operands that are a repeated number, where the other operands still carry their indices."""
    terms, out = node.params[0].split("->")
    names = terms.split(",")
    for i, x in enumerate(node.inputs):
        if x.op == "broadcast_to" and is_constant(x.inputs[0]) and len(names) > 1:
            others = "".join(names[:i] + names[i + 1 :])
            if set(names[i]) <= set(others) and len(set(names[i])) == len(names[i]):
                rest = node.inputs[:i] + node.inputs[i + 1 :]
                subscripts = ",".join(names[:i] + names[i + 1 :]) + "->" + out
                return make("mul", x.inputs[0], make("einsum", *rest, params=(subscripts,)))
    if len(names) == 1 and len(set(names[0])) == len(names[0]):
        (x,), (term,) = node.inputs, names
        gone = tuple([a for a, c in enumerate(term) if c not in out])
        kept = [c for c in term if c in out]
        summed = make("sum", x, params=(gone, False)) if gone else x
        return make("transpose", summed, params=(tuple([kept.index(c) for c in out]),))
    return None


RULES: dict[str, Rule] = {
    "add": _add, "sub": _sub, "neg": _neg, "mul": _mul, "div": _div, "pow": _pow, "square": _square, "log": _log,
    "log1p": _log1p, "logaddexp": _logaddexp, "sqrt": _sqrt, "abs": _abs, "relu": _relu, "maximum": _extremum,
    "minimum": _extremum, "where": _where, "reshape": _same_shape, "broadcast_to": _same_shape,
    "gt": _compare, "ge": _compare, "lt": _compare, "le": _compare, "eq": _compare, "ne": _compare,
    "identity": lambda node: node.inputs[0], "transpose": _transpose, "sum": _sum, "einsum": _einsum,
}  # fmt: skip
