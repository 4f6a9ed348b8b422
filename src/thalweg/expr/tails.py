"""Ranges on a tail: all u with |u| >= radius on one side, as power intervals.

Plain intervals know nothing about how fast things grow, so u^2 / (1 + u^2)^2 on [R, inf) is inf / inf. Here a value is
kept as |u|^p * [low, high], valid for every u in the tail: products and quotients add and subtract exponents, a sum
folds the smaller power into the larger with R^(p1 - p2), and everything else falls back to the plain interval.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from thalweg.core.errors import UnsupportedError
from thalweg.expr import intervals
from thalweg.expr.intervals import Interval
from thalweg.expr.node import Node
from thalweg.expr.walk import topological

DECAY = 16.0
"""An exponential of a falling power is kept as |u|^-16, enough to beat the powers that multiply it."""


@dataclass(frozen=True, slots=True)
class Power:
    """The set |u|^exponent * [low, high] over a tail."""

    exponent: float
    low: float
    high: float


def _pair(low: float, high: float) -> Interval:
    return np.array([low]), np.array([high])


def _apply(rule: Callable[..., Interval], *values: tuple[float, float]) -> tuple[float, float]:
    with np.errstate(all="ignore"):
        low, high = rule(*[_pair(*v) for v in values])
    a, b = float(low[0]), float(high[0])
    return (-math.inf if math.isnan(a) else a), (math.inf if math.isnan(b) else b)


def _scaled(radius: float, exponent: float) -> tuple[float, float]:
    """Range of |u|^exponent over the tail."""
    edge = _apply(intervals.power, (radius, radius), (exponent, exponent))
    if exponent == 0:
        return 1.0, 1.0
    return (0.0, edge[1]) if exponent < 0 else (edge[0], math.inf)


def plain(x: Power, radius: float) -> tuple[float, float]:
    """Give the range of a power interval as a plain interval."""
    return _apply(intervals.mul, _scaled(radius, x.exponent), (x.low, x.high))


def _add(x: Power, y: Power, radius: float) -> Power:
    if x.exponent < y.exponent:
        x, y = y, x
    folded = _apply(intervals.mul, _scaled(radius, y.exponent - x.exponent), (y.low, y.high))
    return Power(x.exponent, *_apply(intervals.add, (x.low, x.high), folded))


def _mul(x: Power, y: Power) -> Power:
    return Power(x.exponent + y.exponent, *_apply(intervals.mul, (x.low, x.high), (y.low, y.high)))


def _neg(x: Power) -> Power:
    return Power(x.exponent, -x.high, -x.low)


def _falling_exp(x: Power, radius: float) -> Power | None:
    """Bound e^x for x <= high |u|^p with high < 0 < p by |u|^-DECAY times its value at the edge, once past the peak."""
    if x.high >= 0 or x.exponent <= 0 or not math.isfinite(x.high):
        return None
    if -x.high * x.exponent * _scaled(radius, x.exponent)[0] < DECAY:
        return None
    edge = _apply(intervals.mul, (x.high, x.high), (_scaled(radius, x.exponent)[0],) * 2)[1]
    top = _apply(intervals.mul, (0.0, _apply(intervals.RULES["exp"], (edge, edge))[1]), _scaled(radius, DECAY)[:1] * 2)
    return Power(-DECAY, 0.0, top[1])


def _log(x: Power, radius: float) -> Power | None:
    """Bound log(|u|^p c) by a multiple of |u|^(1/2), since log|u| / |u|^(1/2) falls beyond e^2."""
    if x.low <= 0 or x.exponent <= 0 or radius < 8 or not math.isfinite(x.high):
        return None
    low = _apply(intervals.log, plain(x, radius))[0]
    edge = _apply(intervals.log, (radius, radius))[1]
    constant = max(_apply(intervals.log, (x.high, x.high))[1], 0.0)
    total = _apply(intervals.add, _apply(intervals.mul, (x.exponent, x.exponent), (edge, edge)), (constant, constant))
    top = _apply(intervals.mul, total, _apply(intervals.power, (radius, radius), (-0.5, -0.5)))[1]
    return Power(0.5, 0.0, top) if low >= 0 else None


def _step(node: Node, values: Sequence[Power], radius: float) -> Power | None:
    """Apply one operation to power intervals, or None where only the plain interval helps."""
    op, x = node.op, values[0]
    if op == "neg":
        return _neg(x)
    if op == "add":
        return _add(x, values[1], radius)
    if op == "sub":
        return _add(x, _neg(values[1]), radius)
    if op == "mul":
        return _mul(x, values[1])
    if op in ("broadcast_to", "reshape"):
        return x
    if op == "square":
        return Power(2 * x.exponent, *_apply(intervals.square, (x.low, x.high)))
    if op == "abs":
        return Power(x.exponent, *_apply(intervals.absolute, (x.low, x.high)))
    if op == "relu":
        return Power(x.exponent, max(x.low, 0.0), max(x.high, 0.0))
    if op == "sign" and (x.low > 0 or x.high < 0):
        side = math.copysign(1.0, x.low)
        return Power(0.0, side, side)
    if op == "div" and (values[1].low > 0 or values[1].high < 0):
        y = values[1]
        return _mul(x, Power(-y.exponent, *_apply(intervals.reciprocal, (y.low, y.high))))
    if op == "sqrt" and x.low >= 0:
        return Power(x.exponent / 2, *_apply(intervals.sqrt, (x.low, x.high)))
    if op == "rsqrt" and x.low > 0:
        return Power(-x.exponent / 2, *_apply(intervals.rsqrt, (x.low, x.high)))
    if op == "pow" and node.inputs[1].op == "constant" and x.low > 0:
        p = float(node.inputs[1].value)
        return Power(p * x.exponent, *_apply(intervals.power, (x.low, x.high), (p, p)))
    if op in ("exp", "sigmoid"):  # sigmoid(x) <= e^x, as is softplus(x) <= e^x
        return _falling_exp(x, radius)
    if op == "softplus":
        return _add(x, Power(0.0, 0.0, math.log(2.0)), radius) if x.low > 0 else _falling_exp(x, radius)
    if op == "log":
        return _log(x, radius)
    if op in ("gt", "ge", "lt", "le", "eq", "ne"):
        difference = _add(x, _neg(values[1]), radius)
        if difference.low > 0 or difference.high < 0:
            above = difference.low > 0
            true = op == "ne" or (above and op in ("gt", "ge")) or (not above and op in ("lt", "le"))
            return Power(0.0, float(true), float(true))
    if op == "where" and x.exponent == 0 and x.low == x.high:
        return values[1] if x.low > 0 else values[2]
    if op in ("maximum", "minimum"):
        difference = _add(x, _neg(values[1]), radius)
        if difference.low >= 0 or difference.high <= 0:
            return x if (difference.low >= 0) == (op == "maximum") else values[1]
    return None


def _switching(node: Node, powers: Sequence[Power], ends: Sequence[tuple[float, float]], radius: float) -> bool:
    """Say whether a switching operation may be on either side somewhere in the tail."""
    if node.op not in intervals.SWITCHES:
        return False
    difference = powers[0] if len(powers) == 1 else _add(powers[0], _neg(powers[1]), radius)
    if difference.low > 0 or difference.high < 0:
        return False
    return bool(intervals.undecided(node, [_pair(*e) for e in ends])[0])


def tail_ranges(
    outputs: Sequence[Node], leaf: Node, radius: float, side: float
) -> tuple[list[tuple[float, float]], bool]:
    """Enclose expressions of one leaf on a tail.

    Args:
        outputs: Elementwise expressions of ``leaf``.
        leaf: The variable.
        radius: Where the tail begins, > 0.
        side: 1 for leaf >= radius, -1 for leaf <= -radius.

    Returns:
        One plain interval an output, and whether some switching operation is undecided on the tail.

    Raises:
        UnsupportedError: for an operation without an interval rule.

    """
    ends = (radius, math.inf) if side > 0 else (-math.inf, -radius)
    tight: dict[Node, tuple[float, float]] = {leaf: ends}
    powers: dict[Node, Power] = {leaf: Power(1.0, side, side)}
    undecided = False
    for node in topological(outputs, stop={leaf}):
        if node in powers:
            continue
        if node.value is not None and not node.shape:
            tight[node] = (float(node.value), float(node.value))
            powers[node] = Power(0.0, *tight[node])
            continue
        if not node.inputs:
            raise UnsupportedError(f"no range for the leaf {node!r}", "bounds on a line take one variable")
        # The plain rule works on the best plain ranges of the inputs, the power rule on their powers; both hold.
        leaves = {x: _pair(*tight[x]) for x in node.inputs}
        (interval,), _ = intervals.ranges([node], leaves)
        low, high = float(interval[0][0]), float(interval[1][0])
        inner = [powers[x] for x in node.inputs]
        undecided |= _switching(node, inner, [tight[x] for x in node.inputs], radius)
        power = _step(node, inner, radius)
        if power is not None and not (math.isnan(power.low) or math.isnan(power.high)):
            sharper = plain(power, radius)
            low, high = max(low, sharper[0]), min(high, sharper[1])
            powers[node] = Power(0.0, low, high) if power.exponent == 0 else power
        else:
            powers[node] = Power(0.0, low, high)
        tight[node] = (low, high)
    return [tight[x] for x in outputs], undecided
