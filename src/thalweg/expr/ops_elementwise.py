"""The elementwise rows of the operation table.

Conventions at points where the derivative does not exist (each is an element of the subdifferential where the function
is convex): abs' = sign, so 0 at 0; relu'(0) = 0; maximum and minimum share a tie equally; sqrt'(0) = 0, which makes the
gradient of a norm at the origin 0. sign and comparisons have derivative 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from thalweg.expr import numeric
from thalweg.expr.node import Node, Op, build, is_constant
from thalweg.expr.shapes import broadcast, spread, unbroadcast

Tangents = tuple[Node | None, ...]


def push(cotangent: Node, function: Callable[[Node], Node]) -> Node:
    """Apply a linear elementwise ``function`` to a cotangent, inside `where` if that is what it is, with a zero branch.

    An untaken branch then meets an exact 0 and never 0 * inf, so its derivative cannot poison the taken one.
    """
    if cotangent.op == "where":
        condition, a, b = cotangent.inputs
        if is_constant(b, 0):
            return build("where", condition, function(a), 0.0)
        if is_constant(a, 0):
            return build("where", condition, 0.0, function(b))
    return function(cotangent)


def accumulate(a: Node | None, b: Node | None) -> Node | None:
    """Add two tangents or cotangents, None being zero; equal untaken branches stay exact zeros (see `push`)."""
    if a is None or b is None:
        return b if a is None else a
    if a.op == b.op == "where" and a.inputs[0] is b.inputs[0]:
        for zero, live in ((2, 1), (1, 2)):
            if is_constant(a.inputs[zero], 0) and is_constant(b.inputs[zero], 0):
                total = build("add", a.inputs[live], b.inputs[live])
                pair = (total, 0.0) if zero == 2 else (0.0, total)
                return build("where", a.inputs[0], *pair)
    return build("add", a, b)


def _chain(factor: Callable[[Node, Node], Any]) -> Callable[[Node, Tangents], Node | None]:
    """JVP of a function of one input: tangent times ``factor(x, f(x))``."""

    def jvp(node: Node, tangents: Tangents) -> Node | None:
        (t,) = tangents
        return None if t is None else build("mul", t, factor(node.inputs[0], node))

    return jvp


def _add_jvp(node: Node, tangents: Tangents) -> Node | None:
    total = accumulate(*tangents)
    return None if total is None else spread(total, node.shape)


def _sub_jvp(node: Node, tangents: Tangents) -> Node | None:
    a, b = tangents
    if a is not None and b is not None:
        return build("sub", a, b)
    total = a if b is None else build("neg", b)
    return None if total is None else spread(total, node.shape)


def _mul_jvp(node: Node, tangents: Tangents) -> Node | None:
    (x, y), (tx, ty) = node.inputs, tangents
    left = None if tx is None else build("mul", tx, y)
    return accumulate(left, None if ty is None else build("mul", ty, x))


def _div_jvp(node: Node, tangents: Tangents) -> Node | None:
    (_, y), (tx, ty) = node.inputs, tangents
    left = None if tx is None else build("div", tx, y)
    right = None if ty is None else build("mul", ty, build("neg", build("div", node, y)))
    return accumulate(left, right)


def _pow_jvp(node: Node, tangents: Tangents) -> Node | None:
    (x, p), (tx, tp) = node.inputs, tangents
    left = right = None
    if tx is not None and not is_constant(p, 0):
        slope = build("mul", p, build("pow", x, build("sub", p, 1)))
        left = spread(tx, node.shape) if is_constant(p, 1) else build("mul", tx, slope)
    if tp is not None:
        log = build("where", build("gt", x, 0), build("log", x), 0.0)
        right = build("mul", tp, build("mul", node, log))
    return accumulate(left, right)


def _extremum_jvp(wins: str) -> Callable[[Node, Tangents], Node | None]:
    def jvp(node: Node, tangents: Tangents) -> Node | None:
        (x, y), (tx, ty) = node.inputs, tangents
        if tx is None and ty is None:
            return None
        left: Any = 0.0 if tx is None else tx
        right: Any = 0.0 if ty is None else ty
        tie = build("mul", 0.5, build("add", left, right))
        return spread(
            build("where", build(wins, x, y), left, build("where", build("eq", x, y), tie, right)), node.shape
        )

    return jvp


def _where_jvp(node: Node, tangents: Tangents) -> Node | None:
    _, a, b = tangents
    if a is None and b is None:
        return None
    return spread(build("where", node.inputs[0], 0.0 if a is None else a, 0.0 if b is None else b), node.shape)


def _where_transpose(cotangent: Node, node: Node, index: int) -> Node:
    condition = node.inputs[0]
    branches: tuple[Any, Any] = (cotangent, 0.0) if index == 1 else (0.0, cotangent)
    return unbroadcast(build("where", condition, *branches), node.inputs[index].shape)


def _mul_transpose(cotangent: Node, node: Node, index: int) -> Node:
    other = node.inputs[1 - index]
    return unbroadcast(push(cotangent, lambda c: build("mul", c, other)), node.inputs[index].shape)


def _div_transpose(cotangent: Node, node: Node, index: int) -> Node:
    return unbroadcast(push(cotangent, lambda c: build("div", c, node.inputs[1])), node.inputs[0].shape)


def _sub_transpose(cotangent: Node, node: Node, index: int) -> Node:
    signed = cotangent if index == 0 else push(cotangent, lambda c: build("neg", c))
    return unbroadcast(signed, node.inputs[index].shape)


def _logaddexp_jvp(node: Node, tangents: Tangents) -> Node | None:
    (x, y), (tx, ty) = node.inputs, tangents
    left = None if tx is None else build("mul", tx, build("sigmoid", build("sub", x, y)))
    return accumulate(left, None if ty is None else build("mul", ty, build("sigmoid", build("sub", y, x))))


def _unary(name: str, evaluate: Any, factor: Any, spelling: str = "") -> Op:
    jvp = None if factor is None else _chain(factor)
    return Op(name, evaluate, broadcast, jvp, spelling=spelling or name, elementwise=True)


def _compare(name: str, evaluate: Any) -> Op:
    return Op(name, evaluate, broadcast, kind="b", spelling=evaluate.__name__, elementwise=True)


def _helper(name: str) -> str:
    return f"numeric.{name}({{}})"


ROWS = [
    Op("add", np.add, broadcast, _add_jvp,
       lambda c, n, i: unbroadcast(c, n.inputs[i].shape), "promote", "add", elementwise=True),
    Op("sub", np.subtract, broadcast, _sub_jvp, _sub_transpose, "promote", "subtract", elementwise=True),
    Op("mul", np.multiply, broadcast, _mul_jvp, _mul_transpose, "promote", "multiply", elementwise=True),
    Op("div", np.true_divide, broadcast, _div_jvp, _div_transpose, "f", "true_divide", elementwise=True),
    Op("neg", np.negative, broadcast, lambda n, t: None if t[0] is None else build("neg", t[0]),
       lambda c, n, i: push(c, lambda g: build("neg", g)), "promote", "negative", elementwise=True),
    Op("pow", np.power, broadcast, _pow_jvp, spelling="power", elementwise=True),
    Op("square", np.square, broadcast, _chain(lambda x, _: build("mul", 2.0, x)), None, "promote", "square",
       elementwise=True),
    _unary("exp", np.exp, lambda x, f: f),
    _unary("log", np.log, lambda x, _: build("div", 1.0, x)),
    _unary("log1p", np.log1p, lambda x, _: build("div", 1.0, build("add", 1.0, x))),
    _unary("expm1", np.expm1, lambda x, _: build("exp", x)),
    _unary("sqrt", np.sqrt, lambda x, _: build("mul", 0.5, build("rsqrt", x))),
    _unary("rsqrt", numeric.rsqrt, lambda x, f: build("mul", -0.5, build("mul", f, build("square", f))),
           _helper("rsqrt")),
    _unary("tanh", np.tanh, lambda x, f: build("sub", 1.0, build("square", f))),
    _unary("sigmoid", numeric.sigmoid, lambda x, f: build("mul", f, build("sigmoid", build("neg", x))),
           _helper("sigmoid")),
    _unary("softplus", numeric.softplus, lambda x, _: build("sigmoid", x), _helper("softplus")),
    Op("relu", numeric.relu, broadcast,
       lambda n, t: None if t[0] is None else build("where", build("gt", n.inputs[0], 0.0), t[0], 0.0),
       None, "promote", "maximum({}, 0)", elementwise=True),
    Op("abs", np.abs, broadcast, _chain(lambda x, _: build("sign", x)), None, "promote", "absolute", elementwise=True),
    Op("sign", np.sign, broadcast, None, None, "promote", "sign", elementwise=True),
    Op("maximum", np.maximum, broadcast, _extremum_jvp("gt"), None, "promote", "maximum", elementwise=True),
    Op("minimum", np.minimum, broadcast, _extremum_jvp("lt"), None, "promote", "minimum", elementwise=True),
    Op("where", np.where, broadcast, _where_jvp, _where_transpose, "promote", "where({}, {}, {})", elementwise=True),
    _compare("lt", np.less),
    _compare("le", np.less_equal),
    _compare("gt", np.greater),
    _compare("ge", np.greater_equal),
    _compare("eq", np.equal),
    _compare("ne", np.not_equal),
    _compare("logical_and", np.logical_and),
    _compare("logical_or", np.logical_or),
    _compare("logical_not", np.logical_not),
    _unary("sin", np.sin, lambda x, _: build("cos", x)),
    _unary("cos", np.cos, lambda x, _: build("neg", build("sin", x))),
    _unary("sinh", np.sinh, lambda x, _: build("cosh", x)),
    _unary("cosh", np.cosh, lambda x, _: build("sinh", x)),
    _unary("arctan", np.arctan, lambda x, _: build("div", 1.0, build("add", 1.0, build("square", x)))),
    _unary("erf", numeric.erf,
           lambda x, _: build("mul", 2 / math.sqrt(math.pi), build("exp", build("neg", build("square", x)))),
           _helper("erf")),
    Op("logaddexp", np.logaddexp, broadcast, _logaddexp_jvp, spelling="logaddexp", elementwise=True),
    Op("indicator", numeric.indicator, broadcast, None, None, "f", "numeric.indicator({}, {})", elementwise=True),
]  # fmt: skip
ELEMENTWISE = {row.name: row for row in ROWS}
