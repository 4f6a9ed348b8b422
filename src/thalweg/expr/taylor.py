"""Taylor models of first and second order: the polynomial as an expression, and how far it may be off.

For a function of one number without kinks, the next derivative is enclosed over the whole interval by interval
arithmetic on pieces, and Lagrange's remainder makes a proven bound of it. Anywhere else the error is measured at random
points, and says so: a measured error is a lower bound of the largest one.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from thalweg.core.errors import InputError, UnsupportedError
from thalweg.expr import intervals
from thalweg.expr.differentiate import gradient, hvp, jvp, slope, substitute
from thalweg.expr.node import Node, build, constant, symbol, table
from thalweg.expr.rows import plain_array
from thalweg.expr.shapes import show
from thalweg.expr.simplify import simplify
from thalweg.expr.trace import evaluate, trace
from thalweg.expr.walk import resolve, topological

PIECES = 256
"""Into how many boxes an interval is cut; each enclosure is off by about the width of its box."""

SAMPLES = 200
"""Points at which an error is measured."""


@dataclass(frozen=True, slots=True)
class TaylorError:
    """How far a Taylor model may be from its function.

    Attributes:
        bound: The largest |f(x) - model(x)| over |x - at| <= radius: an upper bound if ``proven``, else the largest
            that was met.
        proven: Whether the bound is rigorous (up to the rounding of the model's own evaluation).
        radius: Over which the bound holds.
        how: A sentence that says how the number was obtained.

    """

    bound: float
    proven: bool
    radius: float
    how: str

    def __str__(self) -> str:
        return f"|f - model| <= {self.bound:.3g} for |x - at| <= {self.radius:g} ({self.how})"


@dataclass(frozen=True, slots=True, eq=False)
class Taylor:
    """A Taylor model: call it on arrays, read its expression, ask for its error.

    Attributes:
        node: The polynomial in ``variable``.
        variable: Its symbol.
        at: The point of expansion.
        order: 1 or 2.
        function: The expression that is approximated.

    """

    node: Node
    variable: Node
    at: Any
    order: int
    function: Node

    def __call__(self, x: Any) -> Any:
        """Evaluate the model.

        Args:
            x: A number or array shaped like ``at``.

        """
        return _value(self.node, self.variable, _point(x, self.variable))

    def __str__(self) -> str:
        from thalweg.expr.matrixform import text

        return str(text(self.node))

    def error(self, radius: float = 1.0) -> TaylorError:
        """Bound or measure the model's error around the point.

        Args:
            radius: How far from ``at``, in the Euclidean norm.

        Returns:
            The error, proven by Lagrange's remainder where the argument is one number and the function smooth on the
            whole interval, else measured at random points.

        Raises:
            InputError: for a radius that is not a positive number.

        """
        if not (isinstance(radius, (int, float)) and 0 < radius < math.inf):
            raise InputError(f"radius={radius!r} of a Taylor model's error", "give a positive number")
        proven = None if self.variable.shape else self._lagrange(float(radius))
        return proven if proven is not None else self._measured(float(radius))

    def _lagrange(self, radius: float) -> TaylorError | None:
        lower = [self.function]
        for _ in range(self.order + 1):
            lower.append(simplify(slope(lower[-1], self.variable)))
        *before, last = lower
        ends = np.linspace(float(self.at) - radius, float(self.at) + radius, PIECES + 1)
        ends[0], ends[-1] = np.nextafter(ends[0], -np.inf), np.nextafter(ends[-1], np.inf)
        try:
            found, switching = intervals.ranges([last, *before], {self.variable: (ends[:-1], ends[1:])})
        except UnsupportedError:
            return None
        if switching.any() or not all(np.isfinite(low).all() and np.isfinite(high).all() for low, high in found):
            return None
        low, high = found[0]
        largest = float(max(np.abs(low).max(), np.abs(high).max()))
        k = self.order + 1
        # Each of the k + 2 roundings below is off by at most half a unit in the last place.
        bound = largest * radius**k / math.factorial(k) * (1 + (k + 2) * 2.0**-52)
        how = f"proven: |derivative {k}| <= {largest:.6g} by interval arithmetic, Lagrange's remainder"
        return TaylorError(bound, True, radius, how)

    def _measured(self, radius: float) -> TaylorError:
        rng = np.random.default_rng(0)
        worst = 0.0
        for _ in range(SAMPLES):
            step = rng.normal(size=np.shape(self.at))
            step = np.asarray(step * radius / (np.linalg.norm(step) or 1.0)) * rng.uniform() ** (1 / max(step.size, 1))
            x = np.asarray(self.at) + step
            off = np.asarray(_value(self.function, self.variable, x)) - np.asarray(self(x))
            worst = max(worst, float(np.max(np.abs(off), initial=0.0))) if np.isfinite(off).all() else math.inf
        return TaylorError(worst, False, radius, f"measured at {SAMPLES} random points, not a bound")


def taylor(function: Callable[..., Any] | Node, at: Any, order: int = 2, wrt: Node | str | None = None) -> Taylor:
    """Make the Taylor model of a function at a point.

    Args:
        function: A Python function of one array, or an expression.
        at: The point: a number or an array of the variable's shape.
        order: 1 (tangent) or 2 (with half the Hessian's form).
        wrt: The variable of an expression with several symbols: a symbol or its name.

    Returns:
        A `Taylor` model: ``.node`` is its expression, calling it evaluates, ``.error(radius)`` bounds its error.

    Raises:
        InputError: for another order, a point that does not fit, a function that is not finite there, or an expression
            whose variable is not said.

    """
    if order not in (1, 2):
        raise InputError(f"order={order!r} of a Taylor model", "give 1 or 2")
    if isinstance(function, Node):
        node, variable = function, _variable(function, wrt)
    else:
        variable = symbol("x", np.shape(at))
        node = trace(function, x=variable)
    others = [x for x in topological([node]) if x.op == "symbol" and x is not variable]
    if others:
        raise InputError(
            f"a Taylor model in {variable.name} of an expression that also has {', '.join(x.name for x in others)}",
            "put numbers in their place first (thalweg.expr.substitute)",
        )
    point = _point(at, variable)
    if variable.shape != np.shape(point):  # named dimensions are known now
        fixed = symbol(variable.name, np.shape(point), variable.domain)
        node, variable = _sized(node, variable, fixed), fixed
    model = _polynomial(node, variable, point, order)
    return Taylor(model, variable, point, order, node)


def _variable(node: Node, wrt: Node | str | None) -> Node:
    symbols = [x for x in topological([node]) if x.op == "symbol"]
    named = [x for x in symbols if x is wrt or isinstance(wrt, str) and x.name == wrt] if wrt is not None else symbols
    if len(named) != 1:
        names = ", ".join(sorted(x.name for x in symbols)) or "none"
        raise InputError(f"the variable of a Taylor model of an expression with the symbols {names}",
                         "say which with wrt=")  # fmt: skip
    return named[0]


def _sized(node: Node, variable: Node, fixed: Node) -> Node:
    """Rebuild an expression for a variable whose named dimensions have become numbers."""
    sizes = {
        k: v for k, v in zip(variable.shape, fixed.shape, strict=True) if isinstance(k, str) and isinstance(v, int)
    }
    known: dict[Node, Node] = {variable: fixed}
    for x in topological([node]):
        if x.value is not None:
            known[x] = x
        elif x not in known:
            params = resolve(x.params, sizes) if table()[x.op].sized else x.params
            known[x] = build(x.op, *[known[i] for i in x.inputs], params=params)
    return known[node]


def _point(x: Any, variable: Node) -> Any:
    value = np.asarray(plain_array(x), dtype=float)
    fits = value.ndim == variable.ndim
    if not fits or any(isinstance(d, int) and d != s for d, s in zip(variable.shape, value.shape, strict=True)):
        raise InputError(
            f"a point of shape {show(value.shape)} for {variable.name} of shape {show(variable.shape)}",
            "give a point of the variable's shape",
        )
    if not np.isfinite(value).all():
        raise InputError("a point that is not finite", "give finite numbers")
    return value if value.ndim else float(value)


def _value(node: Node, variable: Node, x: Any) -> Any:
    with np.errstate(all="ignore"):
        return evaluate(node, {variable: x})


def _polynomial(node: Node, variable: Node, at: Any, order: int) -> Node:
    step = symbol("step", variable.shape)
    parts = [node]
    if node.shape:
        parts.append(jvp(node, {variable: step}))
        if order == 2:
            parts.append(build("mul", 0.5, jvp(parts[1], {variable: step})))
    else:
        slopes = gradient(node, variable)
        parts.append(_inner(slopes, step))
        if order == 2:
            parts.append(build("mul", 0.5, _inner(hvp(node, variable, step), step)))
    moved = build("sub", variable, constant(at)) if np.any(at) else variable
    point = constant(at)
    model: Node | None = None
    for part in parts:
        held = _at(part, variable, point)
        (held,) = substitute([held], {step: moved})
        model = held if model is None else build("add", model, held)
    assert model is not None
    for x in topological([model]):
        if x.value is not None and not np.isfinite(x.value).all():
            raise InputError(f"the function or a derivative of it is not finite at {at!r}", "give another point")
    return simplify(model)


def _at(part: Node, variable: Node, point: Node) -> Node:
    """Put the point in; what does not depend on the step becomes a number."""
    with np.errstate(all="ignore"):
        (held,) = substitute([part], {variable: point})
    return held


def _inner(a: Node, b: Node) -> Node:
    product = build("mul", a, b)
    return product if not a.shape else build("sum", product, params=(tuple(range(product.ndim)), False))
