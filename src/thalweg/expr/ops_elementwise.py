"""The elementwise rows of the operation table.

Conventions at points where the derivative does not exist (each is an element of the subdifferential where the function
is convex): abs' = sign, so 0 at 0; relu'(0) = 0; maximum and minimum share a tie equally; sqrt'(0) = 0, which makes the
gradient of a norm at the origin 0. sign and comparisons have derivative 0.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from thalweg.expr import batching, namespace, numeric
from thalweg.expr.node import Node, build, constant, is_constant
from thalweg.expr.rows import NUMBERS, Op
from thalweg.expr.shapes import broadcast, spread, unbroadcast

Tangents = tuple[Node | None, ...]


def push(cotangent: Node, function: Callable[[Node], Node]) -> Node:
    """Apply a linear elementwise ``function`` to a cotangent, inside `where` if that is what it is, with a zero branch.

    An untaken branch then meets an exact 0 and never 0 * inf, so its derivative cannot poison the taken one.
    """
    if cotangent.op == "where":
        condition, a, b = cotangent.inputs
        if is_constant(b, 0):
            return choose(condition, function(a), 0.0)
        if is_constant(a, 0):
            return choose(condition, 0.0, function(b))
    return function(cotangent)


def choose(condition: Any, a: Any, b: Any) -> Node:
    """Build a `where` with a zero branch in the one form that `push` looks for.

    It stays a `where` if it is made of constants alone, or which entries are not taken would be forgotten; and one
    within another becomes one with both conditions.
    """
    zero = 2 if is_constant(constant(b), 0) else 1
    live = constant(a if zero == 2 else b)
    if live.op == "where" and any(is_constant(x, 0) for x in live.inputs[1:]):
        inner = live.inputs[0]
        outer = condition if zero == 2 else build("logical_not", condition)
        if is_constant(live.inputs[2], 0):
            return choose(build("logical_and", outer, inner), live.inputs[1], 0.0)
        return choose(build("logical_and", outer, build("logical_not", inner)), live.inputs[2], 0.0)
    branches = (live, constant(0.0)) if zero == 2 else (constant(0.0), live)
    node = build("where", condition, *branches)
    if node.op == "constant":
        return Node("where", (constant(condition), *branches), (), node.shape, node.kind, node.value)
    return node


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
        if not is_constant(p):  # p * x**(p - 1) is 0 * inf where both are 0, and the derivative by x of 1 is 0
            slope = build("where", build("logical_and", build("eq", x, 0.0), build("eq", p, 0.0)), 0.0, slope)
        left = spread(tx, node.shape) if is_constant(p, 1) else build("mul", tx, slope)
    if tp is not None:
        # From 0 down the value says whether there is a derivative: it is nan for a power that is not whole.
        above = build("gt", x, 0.0)
        slope = build("where", above, build("mul", node, build("log", x)), 0.0)
        slope = build("where", build("logical_or", above, build("isfinite", node)), slope, math.nan)
        right = build("mul", tp, slope)
    return accumulate(left, right)


def _extremum_jvp(wins: str) -> Callable[[Node, Tangents], Node | None]:
    def jvp(node: Node, tangents: Tangents) -> Node | None:
        (x, y), (tx, ty) = node.inputs, tangents
        if tx is None and ty is None:
            return None
        # Each side stands behind one mask of its own, so that a side that loses adds an exact 0, see `push`.
        share = build("sub", 1.0, build("mul", 0.5, build("indicator", build("eq", x, y), node)))
        left = None if tx is None else build("where", build(wins, x, y), build("mul", tx, share), 0.0)
        right = None if ty is None else build("where", build(wins, y, x), build("mul", ty, share), 0.0)
        total = accumulate(left, right)
        return None if total is None else spread(total, node.shape)

    return jvp


def _where_jvp(node: Node, tangents: Tangents) -> Node | None:
    _, a, b = tangents
    if a is None and b is None:
        return None
    return spread(build("where", node.inputs[0], 0.0 if a is None else a, 0.0 if b is None else b), node.shape)


def _where_transpose(cotangent: Node, node: Node, index: int) -> Node:
    condition = node.inputs[0]
    branches: tuple[Any, Any] = (cotangent, 0.0) if index == 1 else (0.0, cotangent)
    return unbroadcast(choose(condition, *branches), node.inputs[index].shape)


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


def _pow_vjp(g: Any, i: int, y: Any, x: Any, p: Any) -> Any:
    if i == 0:
        if p.__class__ is Node and is_constant(p):
            p = p.value
        if p.__class__ in NUMBERS:
            return g * (0.0, 1.0, 2.0 * x)[int(p)] if p in (0, 1, 2) else g * (p * x ** (p - 1))  # type: ignore[operator]
        # Not for every p = 0: the derivative by x, 0 there, still changes with p.
        both = namespace.logical_and(namespace.equal(x, 0), namespace.equal(p, 0))
        return g * namespace.where(both, 0.0, p * x ** (p - 1))
    above = namespace.greater(x, 0)
    slope = namespace.where(above, y * namespace.log(x), 0.0)
    return g * namespace.where(namespace.logical_or(above, namespace.call("isfinite", y)), slope, math.nan)


def _extremum_vjp(wins: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    def vjp(g: Any, i: int, y: Any, a: Any, b: Any) -> Any:
        mine, other = (a, b) if i == 0 else (b, a)
        shared = namespace.where(namespace.equal(a, b), 0.5 * g, g)
        return namespace.where(wins(mine, other), shared, 0.0)

    return vjp


def unary(
    name: str, evaluate: Any, factor: Any, spelling: str = "", vjp: Any = None, scalar: Any = None, torch: str = ""
) -> Op:
    """Make the row of a function of one input: ``factor(x, f(x))`` is its derivative."""
    jvp = None if factor is None else _chain(factor)
    return Op(
        name, evaluate, broadcast, jvp, spelling=spelling or name, elementwise=True, vjp=vjp, scalar=scalar, torch=torch
    )  # fmt: skip


def compare(name: str, evaluate: Any, scalar: Any = None) -> Op:
    """Make the row of a test, which is true or false and has no derivative."""
    return Op(name, evaluate, broadcast, kind="b", spelling=evaluate.__name__, elementwise=True, scalar=scalar)


def helper(name: str) -> str:
    """Spell a function of one input that `thalweg.expr.numeric` has and NumPy does not."""
    return f"numeric.{name}({{}})"


ROWS = [
    Op("add", operator.add, broadcast, _add_jvp, lambda c, n, i: unbroadcast(c, n.inputs[i].shape), "promote", "add",
       elementwise=True, vjp=lambda g, i, y, a, b: g, scalar=operator.add),
    Op("sub", operator.sub, broadcast, _sub_jvp, _sub_transpose, "promote", "subtract",
       elementwise=True, vjp=lambda g, i, y, a, b: -g if i else g, scalar=operator.sub),
    Op("mul", operator.mul, broadcast, _mul_jvp, _mul_transpose, "promote", "multiply",
       elementwise=True, vjp=lambda g, i, y, a, b: g * a if i else g * b, scalar=operator.mul),
    Op("div", operator.truediv, broadcast, _div_jvp, _div_transpose, "f", "true_divide",
       elementwise=True, vjp=lambda g, i, y, a, b: -g * (y / b) if i else g / b, scalar=operator.truediv),
    Op("neg", operator.neg, broadcast, lambda n, t: None if t[0] is None else build("neg", t[0]),
       lambda c, n, i: push(c, lambda g: build("neg", g)), "promote", "negative",
       elementwise=True, vjp=lambda g, i, y, x: -g, scalar=operator.neg),
    Op("pow", np.power, broadcast, _pow_jvp, spelling="power", elementwise=True, vjp=_pow_vjp, scalar=math.pow),
    Op("square", np.square, broadcast, _chain(lambda x, _: build("mul", 2.0, x)), None, "promote", "square",
       elementwise=True, vjp=lambda g, i, y, x: g * (2.0 * x), scalar=lambda x: x * x),
    unary("exp", np.exp, lambda x, f: f, vjp=lambda g, i, y, x: g * y, scalar=math.exp),
    unary("log", np.log, lambda x, _: build("div", 1.0, x), vjp=lambda g, i, y, x: g / x, scalar=math.log),
    unary("log1p", np.log1p, lambda x, _: build("div", 1.0, build("add", 1.0, x)),
           vjp=lambda g, i, y, x: g / (1.0 + x), scalar=math.log1p),
    unary("expm1", np.expm1, lambda x, _: build("exp", x), vjp=lambda g, i, y, x: g * (y + 1.0), scalar=math.expm1),
    unary("sqrt", np.sqrt, lambda x, _: build("mul", 0.5, build("rsqrt", x)),
           vjp=lambda g, i, y, x: g * (0.5 * namespace.rsqrt(x)), scalar=math.sqrt),
    unary("rsqrt", numeric.rsqrt, lambda x, f: build("mul", -0.5, build("mul", f, build("square", f))),
           helper("rsqrt"), vjp=lambda g, i, y, x: g * (-0.5 * (y * (y * y)))),
    unary("tanh", np.tanh, lambda x, f: build("sub", 1.0, build("square", f)),
           vjp=lambda g, i, y, x: g * (1.0 - y * y), scalar=math.tanh),
    unary("sigmoid", numeric.sigmoid, lambda x, f: build("mul", f, build("sigmoid", build("neg", x))),
           helper("sigmoid"), vjp=lambda g, i, y, x: g * (y * namespace.sigmoid(-x))),
    unary("softplus", numeric.softplus, lambda x, _: build("sigmoid", x), helper("softplus"),
           vjp=lambda g, i, y, x: g * namespace.sigmoid(x)),
    Op("relu", numeric.relu, broadcast,
       lambda n, t: None if t[0] is None else build("where", build("gt", n.inputs[0], 0.0), t[0], 0.0),
       None, "promote", "maximum({}, 0)", elementwise=True,
       vjp=lambda g, i, y, x: namespace.where(namespace.greater(x, 0.0), g, 0.0)),
    Op("abs", np.abs, broadcast, _chain(lambda x, _: build("sign", x)), None, "promote", "absolute", elementwise=True,
       vjp=lambda g, i, y, x: g * namespace.sign(x), scalar=abs),
    Op("sign", np.sign, broadcast, None, None, "promote", "sign", elementwise=True),
    Op("maximum", np.maximum, broadcast, _extremum_jvp("ge"), None, "promote", "maximum", elementwise=True,
       vjp=_extremum_vjp(namespace.greater_equal)),
    Op("minimum", np.minimum, broadcast, _extremum_jvp("le"), None, "promote", "minimum", elementwise=True,
       vjp=_extremum_vjp(namespace.less_equal)),
    Op("where", np.where, broadcast, _where_jvp, _where_transpose, "promote", "where({}, {}, {})", elementwise=True,
       vjp=lambda g, i, y, c, a, b: (
           None if i == 0 else namespace.where(c, g, 0.0) if i == 1 else namespace.where(c, 0.0, g))),
    compare("lt", np.less, operator.lt),
    compare("le", np.less_equal, operator.le),
    compare("gt", np.greater, operator.gt),
    compare("ge", np.greater_equal, operator.ge),
    compare("eq", np.equal, operator.eq),
    compare("ne", np.not_equal, operator.ne),
    compare("logical_and", np.logical_and),
    compare("logical_or", np.logical_or),
    compare("logical_not", np.logical_not),
    unary("sin", np.sin, lambda x, _: build("cos", x), vjp=lambda g, i, y, x: g * namespace.cos(x), scalar=math.sin),
    unary("cos", np.cos, lambda x, _: build("neg", build("sin", x)),
           vjp=lambda g, i, y, x: -g * namespace.sin(x), scalar=math.cos),
    unary("sinh", np.sinh, lambda x, _: build("cosh", x),
           vjp=lambda g, i, y, x: g * namespace.cosh(x), scalar=math.sinh),
    unary("cosh", np.cosh, lambda x, _: build("sinh", x),
           vjp=lambda g, i, y, x: g * namespace.sinh(x), scalar=math.cosh),
    unary("arctan", np.arctan, lambda x, _: build("div", 1.0, build("add", 1.0, build("square", x))),
           vjp=lambda g, i, y, x: g / (1.0 + x * x), scalar=math.atan),
    unary("erf", numeric.erf,
           lambda x, _: build("mul", 2 / math.sqrt(math.pi), build("exp", build("neg", build("square", x)))),
           helper("erf"), vjp=lambda g, i, y, x: g * (2 / math.sqrt(math.pi) * namespace.exp(-(x * x))),
           scalar=math.erf),
    Op("logaddexp", np.logaddexp, broadcast, _logaddexp_jvp, spelling="logaddexp", elementwise=True,
       vjp=lambda g, i, y, a, b: g * namespace.sigmoid(b - a if i else a - b)),
    Op("identity", lambda x, tag: x, lambda shape, tag: shape, lambda n, t: t[0], lambda c, n, i: c, "promote", "{}",
       vjp=lambda g, i, y, x, tag: g, scalar=lambda x, tag: x, batch=batching.batch_identity),
    Op("indicator", numeric.indicator, broadcast, None, None, "f", "numeric.indicator({}, {})", elementwise=True),
]  # fmt: skip
ELEMENTWISE = {row.name: row for row in ROWS}
