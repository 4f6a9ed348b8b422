"""More elementwise rows: inverse circular and hyperbolic functions, remainders, roundings, tests, gamma's relatives.

Conventions: roundings and whole quotients are piecewise constant, so their derivative is 0; the angle and the length of
the vector (0, 0) have derivative 0; a remainder x mod y moves with x at rate 1 and with y at rate -floor(x / y).
"""

from __future__ import annotations

import dataclasses
import math
import operator
from typing import Any

import numpy as np

from thalweg.expr import namespace, numeric
from thalweg.expr.node import Node, build
from thalweg.expr.ops_elementwise import Tangents, accumulate, compare, helper, unary
from thalweg.expr.rows import Op
from thalweg.expr.shapes import broadcast, spread

_LN2, _LN10 = math.log(2.0), math.log(10.0)


def _inverse(x: Any) -> Node:
    return build("div", 1.0, x)


def _unit_gap(x: Node) -> Node:
    """Give 1 - x^2 without cancellation near x = 1 and -1."""
    return build("mul", build("sub", 1.0, x), build("add", 1.0, x))


def _root_of_square_less_one(x: Node) -> Node:
    return build("mul", build("sqrt", build("sub", x, 1.0)), build("sqrt", build("add", x, 1.0)))


def _mod_jvp(node: Node, tangents: Tangents) -> Node | None:
    (x, y), (tx, ty) = node.inputs, tangents
    right = None if ty is None else build("neg", build("mul", ty, build("floor_divide", x, y)))
    total = accumulate(tx, right)
    return None if total is None else spread(total, node.shape)


def _over_length(a: Any, length: Any) -> Any:
    """Give a / length, and 0 where the length is 0."""
    origin = namespace.equal(length, 0)
    return namespace.where(origin, 0.0, a / namespace.where(origin, 1.0, length))


def _hypot_jvp(node: Node, tangents: Tangents) -> Node | None:
    parts = [None if t is None else build("mul", t, _over_length(x, node))
             for x, t in zip(node.inputs, tangents, strict=True)]  # fmt: skip
    return accumulate(*parts)


def _arctan2_jvp(node: Node, tangents: Tangents) -> Node | None:
    (a, b), (ta, tb) = node.inputs, tangents
    length = build("hypot", a, b)
    left = None if ta is None else build("mul", ta, _over_length(_over_length(b, length), length))
    right = None if tb is None else build("mul", tb, build("neg", _over_length(_over_length(a, length), length)))
    return accumulate(left, right)


def _arctan2_vjp(g: Any, i: int, y: Any, a: Any, b: Any) -> Any:
    length = namespace.call("hypot", a, b)
    slope = _over_length(_over_length(a if i else b, length), length)
    return -g * slope if i else g * slope


def _rounding(name: str, evaluate: Any, scalar: Any) -> Op:
    return Op(name, evaluate, broadcast, kind="promote", spelling=name, elementwise=True, scalar=scalar)


ROWS = [
    unary("tan", np.tan, lambda x, f: build("add", 1.0, build("square", f)),
          vjp=lambda g, i, y, x: g * (1.0 + y * y), scalar=math.tan),
    unary("arcsin", np.arcsin, lambda x, _: _inverse(build("sqrt", _unit_gap(x))),
          vjp=lambda g, i, y, x: g / namespace.sqrt((1.0 - x) * (1.0 + x)), scalar=math.asin),
    unary("arccos", np.arccos, lambda x, _: build("div", -1.0, build("sqrt", _unit_gap(x))),
          vjp=lambda g, i, y, x: -g / namespace.sqrt((1.0 - x) * (1.0 + x)), scalar=math.acos),
    unary("arcsinh", np.arcsinh, lambda x, _: _inverse(build("hypot", 1.0, x)),
          vjp=lambda g, i, y, x: g / namespace.call("hypot", 1.0, x), scalar=math.asinh),
    unary("arccosh", np.arccosh, lambda x, _: _inverse(_root_of_square_less_one(x)),
          vjp=lambda g, i, y, x: g / (namespace.sqrt(x - 1.0) * namespace.sqrt(x + 1.0)), scalar=math.acosh),
    unary("arctanh", np.arctanh, lambda x, _: _inverse(_unit_gap(x)),
          vjp=lambda g, i, y, x: g / ((1.0 - x) * (1.0 + x)), scalar=math.atanh),
    unary("exp2", np.exp2, lambda x, f: build("mul", _LN2, f), vjp=lambda g, i, y, x: g * (y * _LN2)),
    unary("log2", np.log2, lambda x, _: build("div", 1 / _LN2, x),
          vjp=lambda g, i, y, x: g * (1 / _LN2) / x, scalar=math.log2),
    unary("log10", np.log10, lambda x, _: build("div", 1 / _LN10, x),
          vjp=lambda g, i, y, x: g * (1 / _LN10) / x, scalar=math.log10),
    unary("cbrt", np.cbrt, lambda x, f: build("div", 1 / 3, build("square", f)),
          vjp=lambda g, i, y, x: g * (1 / 3) / (y * y), torch="numeric_torch_rows.cbrt({})"),
    unary("erfc", numeric.erfc,
          lambda x, _: build("mul", -2 / math.sqrt(math.pi), build("exp", build("neg", build("square", x)))),
          helper("erfc"), vjp=lambda g, i, y, x: g * (-2 / math.sqrt(math.pi) * namespace.exp(-(x * x))),
          scalar=math.erfc),
    unary("gammaln", numeric.gammaln, lambda x, _: build("polygamma", x, params=(0,)), helper("gammaln"),
          vjp=lambda g, i, y, x: g * namespace.call("polygamma", x, params=(0,)), scalar=math.lgamma),
    Op("polygamma", numeric.polygamma, lambda s, order: s,
       lambda n, t: None if t[0] is None else build(
           "mul", t[0], build("polygamma", n.inputs[0], params=(n.params[0] + 1,))),
       spelling="numeric.polygamma({}, {})", torch="torch.polygamma({1}, {0})", elementwise=True,
       vjp=lambda g, i, y, x, order: g * namespace.call("polygamma", x, params=(order + 1,))),
    Op("hypot", np.hypot, broadcast, _hypot_jvp, spelling="hypot", elementwise=True, scalar=math.hypot,
       torch="numeric_torch_rows.hypot({}, {})", vjp=lambda g, i, y, a, b: g * _over_length(b if i else a, y)),
    Op("arctan2", np.arctan2, broadcast, _arctan2_jvp, spelling="arctan2", elementwise=True, scalar=math.atan2,
       vjp=_arctan2_vjp),
    Op("mod", np.mod, broadcast, _mod_jvp, None, "promote", "remainder", elementwise=True, scalar=operator.mod,
       torch="numeric_torch_rows.remainder({}, {})",
       vjp=lambda g, i, y, a, b: -g * namespace.call("floor_divide", a, b) if i else g),
    Op("floor_divide", np.floor_divide, broadcast, None, None, "promote", "floor_divide", elementwise=True,
       scalar=operator.floordiv, torch="numeric_torch_rows.floor_divide({}, {})"),
    _rounding("floor", np.floor, lambda x: float(math.floor(x))),
    _rounding("ceil", np.ceil, lambda x: float(math.ceil(x))),
    _rounding("rint", np.rint, lambda x: float(round(x))),
    _rounding("trunc", np.trunc, lambda x: float(math.trunc(x))),
    compare("isnan", np.isnan, math.isnan),
    compare("isinf", np.isinf, math.isinf),
    compare("isfinite", np.isfinite, math.isfinite),
    dataclasses.replace(compare("signbit", np.signbit), torch="signbit"),
]  # fmt: skip
SPECIAL = {row.name: row for row in ROWS}
