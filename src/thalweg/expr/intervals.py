"""Interval arithmetic over arrays of boxes, rounded outwards: the range of an expression on a box, never too small.

An interval is a pair (lower, upper) of float64 arrays, one entry a box; infinite ends are limits that are not attained,
so 0 times an infinite end is 0, and inf - inf is the whole line. No NaN leaves a rule. Sums are rounded only where
they are inexact (Knuth's two-sum); results of library functions are widened by 4 units in the last place.

Source: Moore, Kearfott, Cloud, "Introduction to Interval Analysis" (2009), chapters 2 to 6.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thalweg.core.errors import UnsupportedError
from thalweg.expr import numeric
from thalweg.expr.node import Node
from thalweg.expr.walk import topological

Array = NDArray[np.float64]
Interval = tuple[Array, Array]

LARGEST = float(np.finfo(np.float64).max)
LIBRARY_ERROR = 2.0**-50
"""Relative error allowed to a library function: 4 units in the last place."""
LIBRARY_SHIFT = 1e-300
"""Absolute widening, which covers results near underflow."""


def down(x: Array) -> Array:
    """Give the next float below."""
    return np.asarray(np.nextafter(x, -np.inf))


def up(x: Array) -> Array:
    """Give the next float above."""
    return np.asarray(np.nextafter(x, np.inf))


def widen(low: Any, high: Any, floor: float = -np.inf, ceiling: float = np.inf) -> Interval:
    """Widen computed ends by the error of a library function, and cut at known limits of its range."""
    low, high = np.asarray(low, dtype=float), np.asarray(high, dtype=float)
    low = low - np.abs(low) * LIBRARY_ERROR - LIBRARY_SHIFT
    high = high + np.abs(high) * LIBRARY_ERROR + LIBRARY_SHIFT
    # An end that overflowed stands for a finite number beyond the largest float (inf - inf above), or is unknown.
    low = np.where(np.isnan(low), np.where(np.isnan(high), -np.inf, LARGEST), low)
    high = np.where(np.isnan(high), np.inf, high)
    return np.maximum(low, floor), np.minimum(high, ceiling)


def _add_ends(x: Array, y: Array, towards: float) -> Array:
    total = x + y
    back = total - x
    error = (x - (total - back)) + (y - back)  # exact rounding error where all is finite
    inexact = (error < 0) if towards < 0 else (error > 0)
    total = np.where(inexact, np.nextafter(total, towards), total)
    total = np.where(np.isnan(total), towards, total)
    # A finite sum that overflowed lies beyond the largest float, on the side that the rounding must not cross.
    return np.where(np.isinf(total) & np.isfinite(x) & np.isfinite(y) & (np.sign(total) != np.sign(towards)),
                    np.copysign(LARGEST, total), total)  # fmt: skip


def add(x: Interval, y: Interval) -> Interval:
    """Range of x + y."""
    return _add_ends(x[0], y[0], -np.inf), _add_ends(x[1], y[1], np.inf)


def neg(x: Interval) -> Interval:
    """Range of -x."""
    return -x[1], -x[0]


def sub(x: Interval, y: Interval) -> Interval:
    """Range of x - y."""
    return add(x, neg(y))


def _times(x: Array, y: Array) -> Array:
    product = x * y
    return np.where(np.isnan(product), 0.0, product)  # 0 * inf: an end that is a limit


def mul(x: Interval, y: Interval) -> Interval:
    """Range of x * y; keeps a sign and a modulus of at most 1 that both factors have."""
    products = [_times(a, b) for a in x for b in y]
    low, high = np.minimum.reduce(products), np.maximum.reduce(products)
    # Rounding away from an exact 0 or 1 would spoil "second derivative >= 0" and "at most 1".
    unit = (np.maximum(-x[0], x[1]) <= 1) & (np.maximum(-y[0], y[1]) <= 1)
    positive = ((x[0] >= 0) & (y[0] >= 0)) | ((x[1] <= 0) & (y[1] <= 0))
    negative = ((x[0] >= 0) & (y[1] <= 0)) | ((x[1] <= 0) & (y[0] >= 0))
    exact = np.isin(x[0], (-1.0, 0.0, 1.0)) & (x[0] == x[1]) | np.isin(y[0], (-1.0, 0.0, 1.0)) & (y[0] == y[1])
    low, high = np.where(exact, low, down(low)), np.where(exact, high, up(high))
    low, high = np.where(positive, np.maximum(low, 0), low), np.where(negative, np.minimum(high, 0), high)
    return np.where(unit, np.maximum(low, -1), low), np.where(unit, np.minimum(high, 1), high)


def reciprocal(x: Interval) -> Interval:
    """Range of 1 / x; the whole line if x has 0 inside, a half line if 0 is an end."""
    low, high = down(1 / x[1]), up(1 / x[0])
    positive, negative = x[0] >= 0, x[1] <= 0
    low = np.where(positive, np.where(x[1] == 0, -np.inf, np.maximum(low, 0)), np.where(negative, low, -np.inf))
    high = np.where(negative, np.where(x[0] == 0, np.inf, np.minimum(high, 0)), np.where(positive, high, np.inf))
    low = np.where(negative & (x[1] == 0), -np.inf, low)
    high = np.where(positive & (x[0] == 0), np.inf, high)
    return low, high


def div(x: Interval, y: Interval) -> Interval:
    """Range of x / y."""
    return mul(x, reciprocal(y))


def absolute(x: Interval) -> Interval:
    """Range of |x|."""
    low = np.where(x[0] > 0, x[0], np.where(x[1] < 0, -x[1], 0.0))
    return low, np.maximum(-x[0], x[1])


def square(x: Interval) -> Interval:
    """Range of x * x."""
    a = absolute(x)
    return mul(a, a)[0], mul((a[1], a[1]), (a[1], a[1]))[1]


def _increasing(function: Callable[[Any], Any], floor: float = -np.inf, ceiling: float = np.inf) -> Any:
    def rule(x: Interval) -> Interval:
        return widen(function(x[0]), function(x[1]), floor, ceiling)

    return rule


def log(x: Interval) -> Interval:
    """Range of log x over the part of the box where it is defined; unknown where it is nowhere defined."""
    low, high = widen(np.log(np.maximum(x[0], 0)), np.log(np.maximum(x[1], 0)))
    return np.where(x[0] <= 0, -np.inf, low), np.where(x[1] <= 0, np.inf, high)


def log1p(x: Interval) -> Interval:
    """Range of log(1 + x) over the part of the box where it is defined."""
    low, high = widen(np.log1p(np.maximum(x[0], -1)), np.log1p(np.maximum(x[1], -1)))
    return np.where(x[0] <= -1, -np.inf, low), np.where(x[1] <= -1, np.inf, high)


def sqrt(x: Interval) -> Interval:
    """Range of the square root over the part of the box where it is defined."""
    return widen(np.sqrt(np.maximum(x[0], 0)), np.sqrt(np.maximum(x[1], 0)), 0)


def rsqrt(x: Interval) -> Interval:
    """Range of 1 / sqrt(x); from 0 up if the box holds 0, where the value is 0 by convention."""
    low, high = widen(1 / np.sqrt(np.maximum(x[1], 0)), 1 / np.sqrt(np.maximum(x[0], 0)), 0)
    holds_zero = x[0] <= 0
    return np.where(holds_zero, 0.0, low), np.where(holds_zero, np.where(x[1] <= 0, 0.0, np.inf), high)


def cosh(x: Interval) -> Interval:
    """Range of cosh x."""
    a = absolute(x)
    return widen(np.cosh(a[0]), np.cosh(a[1]), 1)


def cos(x: Interval) -> Interval:
    """Range of cos x; [-1, 1] far from 0, where the reduction of the argument is not certain."""
    ends = np.cos(x[0]), np.cos(x[1])
    low, high = widen(np.minimum(*ends), np.maximum(*ends), -1, 1)
    slack = 1e-8  # far above the rounding of x / pi for |x| < 1e6
    first, last = (x[0] - slack) / (2 * np.pi), (x[1] + slack) / (2 * np.pi)
    wild = ~(np.maximum(np.abs(x[0]), np.abs(x[1])) < 1e6)
    with_top = wild | (np.floor(last) >= np.ceil(first))
    with_bottom = wild | (np.floor(last - 0.5) >= np.ceil(first - 0.5))
    return np.where(with_bottom, -1.0, low), np.where(with_top, 1.0, high)


def sin(x: Interval) -> Interval:
    """Range of sin x = cos(x - pi/2)."""
    shift = sub(x, widen(np.full_like(x[0], np.pi / 2), np.full_like(x[0], np.pi / 2)))
    return cos(shift)


def power(x: Interval, p: Interval) -> Interval:
    """Range of x ** p for a constant p; by exp(p log x) for other exponents of a positive x, else the whole line."""
    if np.all(p[0] == p[1]) and p[0].size and np.all(p[0] == p[0].flat[0]):
        exponent = float(p[0].flat[0])
        whole = exponent == np.rint(exponent)
        if whole and exponent % 2 == 0:
            base = absolute(x)
        elif whole and exponent > 0:
            return widen(np.power(x[0], exponent), np.power(x[1], exponent))
        elif whole:
            return reciprocal(widen(np.power(x[0], -exponent), np.power(x[1], -exponent)))
        else:
            base = (np.maximum(x[0], 0), np.maximum(x[1], 0))
        ends = np.power(base[0], exponent), np.power(base[1], exponent)
        return widen(*(ends if exponent >= 0 else ends[::-1]), 0)
    low, high = RULES["exp"](mul(p, log(x)))
    return np.where(x[0] > 0, low, -np.inf), np.where(x[0] > 0, high, np.inf)


def _choose(condition: Interval, x: Interval, y: Interval) -> Interval:
    yes, no = condition[0] > 0, condition[1] <= 0
    low = np.where(yes, x[0], np.where(no, y[0], np.minimum(x[0], y[0])))
    return low, np.where(yes, x[1], np.where(no, y[1], np.maximum(x[1], y[1])))


def _truth(sure: Any, possible: Any) -> Interval:
    return np.asarray(sure, dtype=float), np.asarray(possible, dtype=float)


def _equal(x: Interval, y: Interval) -> Interval:
    return _truth((x[0] == x[1]) & (y[0] == y[1]) & (x[0] == y[0]), (x[0] <= y[1]) & (y[0] <= x[1]))


def _opposite(x: Interval) -> Interval:
    return 1 - x[1], 1 - x[0]


def _logaddexp(x: Interval, y: Interval) -> Interval:
    return widen(np.logaddexp(x[0], y[0]), np.logaddexp(x[1], y[1]))


RULES: dict[str, Callable[..., Interval]] = {
    "add": add, "sub": sub, "mul": mul, "div": div, "neg": neg, "square": square, "pow": power,
    "exp": _increasing(np.exp, 0), "expm1": _increasing(np.expm1, -1), "log": log, "log1p": log1p, "sqrt": sqrt,
    "rsqrt": rsqrt, "tanh": _increasing(np.tanh, -1, 1), "sigmoid": _increasing(numeric.sigmoid, 0, 1),
    "softplus": _increasing(numeric.softplus, 0), "erf": _increasing(numeric.erf, -1, 1), "sin": sin, "cos": cos,
    "sinh": _increasing(np.sinh), "cosh": cosh, "arctan": _increasing(np.arctan), "logaddexp": _logaddexp,
    "abs": absolute, "relu": lambda x: (np.maximum(x[0], 0), np.maximum(x[1], 0)),
    "sign": lambda x: (np.sign(x[0]), np.sign(x[1])),
    "maximum": lambda x, y: (np.maximum(x[0], y[0]), np.maximum(x[1], y[1])),
    "minimum": lambda x, y: (np.minimum(x[0], y[0]), np.minimum(x[1], y[1])),
    "where": _choose, "indicator": lambda c, x: c,
    "gt": lambda x, y: _truth(x[0] > y[1], x[1] > y[0]), "ge": lambda x, y: _truth(x[0] >= y[1], x[1] >= y[0]),
    "lt": lambda x, y: _truth(x[1] < y[0], x[0] < y[1]), "le": lambda x, y: _truth(x[1] <= y[0], x[0] <= y[1]),
    "eq": _equal, "ne": lambda x, y: _opposite(_equal(x, y)), "logical_not": _opposite,
    "logical_and": lambda x, y: (np.minimum(x[0], y[0]), np.minimum(x[1], y[1])),
    "logical_or": lambda x, y: (np.maximum(x[0], y[0]), np.maximum(x[1], y[1])),
    "broadcast_to": lambda x: x, "reshape": lambda x: x,
}  # fmt: skip

SWITCHES = frozenset({"abs", "relu", "sign", "maximum", "minimum", "rsqrt", "sqrt", "gt", "ge", "lt", "le", "eq", "ne"})
"""Operations whose derivative may jump; `where` jumps only where its condition does."""


def undecided(node: Node, values: Sequence[Interval]) -> Any:
    """Say in which boxes a switching operation may be on either side (an interval that is one number is decided)."""
    x = values[0]
    if node.op in ("maximum", "minimum", "gt", "ge", "lt", "le", "eq", "ne"):
        y = values[1]
        meet = (x[0] <= y[1]) & (y[0] <= x[1])
        return meet & ~((x[0] == x[1]) & (y[0] == y[1]) & (x[0] == y[0]))
    return (x[0] <= 0) & (x[1] >= 0) & (x[0] < x[1])


def ranges(outputs: Sequence[Node], boxes: Mapping[Node, Interval]) -> tuple[list[Interval], NDArray[np.bool_]]:
    """Enclose expressions on every box.

    Args:
        outputs: Elementwise expressions of the leaves in ``boxes``.
        boxes: For each leaf its ends, one entry a box.

    Returns:
        The enclosures, and in which boxes some switching operation is undecided (elsewhere each expression is smooth
        as far as it is finite).

    Raises:
        UnsupportedError: for an operation without an interval rule.

    """
    template = next(iter(boxes.values()))[0]
    switching = np.zeros(template.shape, dtype=bool)
    known: dict[Node, Interval] = dict(boxes)
    with np.errstate(all="ignore"):
        for node in topological(outputs, stop=boxes):
            if node in known:
                continue
            if node.value is not None and not node.shape:
                end = np.full(template.shape, float(node.value))
                known[node] = (end, end)
                continue
            rule = RULES.get(node.op)
            if rule is None or not node.inputs:
                raise UnsupportedError(f"no interval rule for {node.op}", "bounds cover elementwise operations")
            values = [known[x] for x in node.inputs]
            low, high = rule(*values)
            known[node] = np.where(np.isnan(low), -np.inf, low), np.where(np.isnan(high), np.inf, high)
            if node.op in SWITCHES:
                switching |= undecided(node, values)
    return [known[x] for x in outputs], switching
