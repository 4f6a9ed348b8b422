"""Rewrite rules of the elementwise operations.

A rule may assume finite arguments: 0 * x, 0 / x and x - x are 0. It never gives a value where the expression has
none: log(exp(x)) is x, but exp(log(x)) stays as it is, for at x < 0 it is nan, and 1 / (1 / x) has no derivative at 0.
Differences and products are put in one canonical order, so that z - y and -(y - z) are one node with a sign.
"""

from __future__ import annotations

import functools
import math
from collections import Counter
from collections.abc import Callable

from thalweg.expr.node import Node, build, constant, is_constant
from thalweg.expr.rewriting import Rule, make, nonnegative, ordered, positive, scaled, shaped
from thalweg.expr.shapes import spread


def _add(node: Node) -> Node | None:
    a, b = node.inputs
    for x, y in ((a, b), (b, a)):
        if is_constant(x, 0):
            return shaped(y, node)
        if y.op == "neg" and x.op != "neg":
            return make("sub", x, y.inputs[0])
        if is_constant(x) and y.op == "add" and is_constant(y.inputs[0]):
            return make("add", constant(x.value + y.inputs[0].value), y.inputs[1])
    if a.op == b.op == "neg":
        return make("neg", make("add", a.inputs[0], b.inputs[0]))
    if a is b:
        return make("mul", 2.0, a)
    (p, x), (q, y) = scaled(a), scaled(b)
    if x is y and a.shape == b.shape:
        return make("mul", p + q, x)
    alike = a.op == b.op == "where" and a.inputs[0] is b.inputs[0]
    if alike and any(is_constant(x, 0) for x in (*a.inputs[1:], *b.inputs[1:])):
        sums = [make("add", u, v) for u, v in zip(a.inputs[1:], b.inputs[1:], strict=True)]
        return shaped(make("where", a.inputs[0], *sums), node)
    return ordered(node)


def _sub(node: Node) -> Node | None:
    a, b = node.inputs
    if is_constant(b, 0):
        return shaped(a, node)
    if is_constant(a, 0):
        return make("neg", shaped(b, node))
    if a is b:
        return shaped(constant(0.0), node)
    (p, x), (q, y) = scaled(a), scaled(b)
    if x is y and a.shape == b.shape:
        return make("mul", p - q, x)
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
            return shaped(constant(0.0), node)
        if is_constant(x, 1):
            return shaped(y, node)
        if is_constant(x, -1):
            return make("neg", shaped(y, node))
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
            return shaped(make("where", x.inputs[0], *branches), node)
    collected = _collect(node)
    if collected is not None:
        return collected
    return make("square", a) if a is b else ordered(node)


_LONGEST = 64
"""Products that are looked through for numbers and signs: in a longer one the time would grow with its square."""


def _collect(node: Node) -> Node | None:
    """Collect a product's numbers and arrays into one, and cancel pairs of a +-1 symbol; None when there are none."""
    factors: list[Node] = []
    stack = list(node.inputs)
    products = 1
    while stack:
        x = stack.pop()
        if x.op == "mul":
            products += 1
            if products > _LONGEST:
                return None
            stack.extend(x.inputs)
        else:
            factors.append(x)
    numbers = [x for x in factors if is_constant(x)]
    signs = Counter(x for x in factors if x.domain == "+-1")
    arrays = [x for x in factors if x.op == "constant" and x.kind == "f" and x.shape == node.shape != ()]
    if len(numbers) + len(arrays) < 2 and all(times == 1 for times in signs.values()):
        return None
    rest = [x for x in factors if not is_constant(x) and x not in signs and not any(x is y for y in arrays)]
    if arrays:
        rest.append(functools.reduce(lambda x, y: build("mul", x, y), [*numbers, *arrays]))
        numbers = []
    rest += [x for x, times in signs.items() if times % 2]
    total = math.prod(x.value for x in numbers)
    result: Node | None = None
    for x in sorted(rest, key=lambda x: x.key):
        result = x if result is None else make("mul", result, x)
    return shaped(constant(total) if result is None else make("mul", total, result), node)


def _div(node: Node) -> Node | None:
    a, b = node.inputs
    if is_constant(a, 0):
        return shaped(constant(0.0), node)
    if is_constant(b, 1):
        return shaped(a, node)
    if a.op == "neg":
        return make("neg", make("div", a.inputs[0], b))
    if b.op == "neg":
        return make("neg", make("div", a, b.inputs[0]))
    if is_constant(b) and b.value != 0 and math.frexp(b.value)[0] in (0.5, -0.5):
        return make("mul", 1.0 / b.value, a)  # a power of two: the reciprocal is exact
    if is_constant(b) and a.op == "mul" and is_constant(a.inputs[0]) and b.value != 0:
        return make("mul", constant(a.inputs[0].value / b.value), a.inputs[1])
    if a is b and positive(a):
        return shaped(constant(1.0), node)
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
    if not is_constant(p):
        return None
    if p.value in _POWERS:
        return shaped(_POWERS[p.value](x), node)
    inner = _power(x)
    if inner is not None:
        base, q = inner
        # (x^q)^p is x^(qp) for x >= 0, and for whole powers; |x|^p where q is even and hides the sign. Two negative
        # powers would make one that is finite at 0, where the first is not.
        whole = float(p.value).is_integer() and float(q).is_integer()
        if (nonnegative(base) or whole) and not (q < 0 and p.value < 0):
            return make("pow", base, q * p.value)
    if x.op == "exp":
        return make("exp", make("mul", p, x.inputs[0]))
    if x.op == "neg" and float(p.value).is_integer():
        power = make("pow", x.inputs[0], p)
        return power if p.value % 2 == 0 else make("neg", power)
    return None


def _power(x: Node) -> tuple[Node, float] | None:
    """Read a node as a constant power."""
    if x.op == "pow" and is_constant(x.inputs[1]):
        return x.inputs[0], x.inputs[1].value
    powers = {"square": 2, "sqrt": 0.5}
    return (x.inputs[0], powers[x.op]) if x.op in powers else None


def _square(node: Node) -> Node | None:
    (x,) = node.inputs
    if x.op in ("neg", "abs"):
        return make("square", x.inputs[0])
    if x.op == "sqrt" and nonnegative(x.inputs[0]):
        return x.inputs[0]
    if x.op == "rsqrt" and positive(x.inputs[0]):
        return make("div", 1.0, x.inputs[0])
    if x.domain == "+-1" or x.op == "sign" and x.inputs[0].domain == "sign":
        return shaped(constant(1.0), node)
    if x.op == "mul" and any(is_constant(v) or v.domain == "+-1" for v in x.inputs):
        return make("mul", make("square", x.inputs[0]), make("square", x.inputs[1]))
    return None


def _log(node: Node) -> Node | None:
    (x,) = node.inputs
    if x.op == "exp":
        return x.inputs[0]
    power = _power(x)
    if power is not None and (x.op == "sqrt" or nonnegative(power[0])):
        return make("mul", power[1], make("log", power[0]))
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
    if x.op == "det":
        return make("logdet", x.inputs[0])
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
            return shaped(make("softplus", y), node)
    return ordered(node)


def _sqrt(node: Node) -> Node | None:
    (x,) = node.inputs
    if x.op == "square":
        return make("abs", x.inputs[0])
    if x.op == "exp":
        return make("exp", make("mul", 0.5, x.inputs[0]))
    if x.op == "pow" and is_constant(x.inputs[1]) and (x.inputs[1].value % 4 == 0 or nonnegative(x.inputs[0])):
        return make("pow", x.inputs[0], x.inputs[1].value / 2)
    return None


def _inverse(function: str, other: Rule | None = None) -> Rule:
    """Make the rule of a function that undoes another."""

    def rule(node: Node) -> Node | None:
        (x,) = node.inputs
        if x.op == function:
            return x.inputs[0]
        return None if other is None else other(node)

    return rule


def _abs(node: Node) -> Node | None:
    (x,) = node.inputs
    if nonnegative(x):
        return x
    if x.op == "neg":
        return make("abs", x.inputs[0])
    if x.op == "mul" and (is_constant(x.inputs[0]) or any(v.domain == "+-1" for v in x.inputs)):
        return make("mul", make("abs", x.inputs[0]), make("abs", x.inputs[1]))
    return shaped(constant(1.0), node) if x.domain == "+-1" else None


def _relu(node: Node) -> Node | None:
    return node.inputs[0] if nonnegative(node.inputs[0]) else None


def _extremum(node: Node) -> Node | None:
    a, b = node.inputs
    if a is b:
        return a
    for x, y in ((a, b), (b, a)):
        if is_constant(x, 0):
            relu = make("relu", y if node.op == "maximum" else make("neg", y))
            return shaped(relu if node.op == "maximum" else make("neg", relu), node)
    return ordered(node)


def _where(node: Node) -> Node | None:
    condition, a, b = node.inputs
    if a is b:
        return shaped(a, node)
    if is_constant(condition):
        return shaped(a if condition.value else b, node)
    if condition.op == "logical_not":
        return make("where", condition.inputs[0], b, a)
    for i, x in ((1, a), (2, b)):
        if x.op == "where" and x.inputs[0] is condition:
            branches = (x.inputs[1], b) if i == 1 else (a, x.inputs[2])
            return shaped(make("where", condition, *branches), node)
    return None


RULES: dict[str, Rule] = {
    "add": _add, "sub": _sub, "neg": _neg, "mul": _mul, "div": _div, "pow": _pow, "square": _square, "log": _log,
    "log1p": _inverse("expm1", _log1p), "logaddexp": _logaddexp,
    "sqrt": _sqrt, "abs": _abs, "relu": _relu, "maximum": _extremum, "minimum": _extremum, "where": _where,
    "logical_not": _inverse("logical_not"), "identity": lambda node: node.inputs[0],
}  # fmt: skip
