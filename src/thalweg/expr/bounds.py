"""Rigorous bounds on the first and second derivative of a loss in its prediction, over the target's whole domain.

From them follow L and mu of every model fitted with the loss. A bound is either proven or infinite: it may be wider
than the truth, never narrower. Three routes, tried in order: one variable u through which everything passes (z - y, or
y z for y = +-1) and branch and bound over u; the same in z alone where the derivative does not see y; boxes in (z, y).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from thalweg.core.errors import InputError, UnsupportedError
from thalweg.expr import intervals
from thalweg.expr.class_bounds import class_ranges
from thalweg.expr.curvature import curvature
from thalweg.expr.differentiate import slope, substitute
from thalweg.expr.node import Node, constant, is_constant, symbol
from thalweg.expr.search import KINK_WIDTH, RADIUS, Ranges, far_range, line_ranges
from thalweg.expr.shapes import spread
from thalweg.expr.simplify import simplify, with_switches_at_zero
from thalweg.expr.walk import dependents, topological

Range = tuple[float, float]
LINE: Range = (-math.inf, math.inf)
JUMP = 1e-9
"""A change across a kink larger than this (relative above 1) is a jump; rounding and the kink's width explain less."""


DISCONTINUOUS = frozenset({"sign", "gt", "ge", "lt", "le", "eq", "ne"})


@dataclass(frozen=True, slots=True)
class DerivativeBounds:
    """Bounds on the derivatives of a loss in the prediction z, for every z and every target in the domain.

    Attributes:
        first: Range of the first derivative; of each of its components for a class loss.
        second: Range of the second derivative; of the eigenvalues of each row's Hessian for a class loss. Kinks count:
            a slope that jumps up has second derivative +inf.
        convex: True if proven, False if refuted, None if unknown.
        how: A sentence saying how the numbers were obtained.

    """

    first: Range
    second: Range
    convex: bool | None
    how: str

    @property
    def smoothness(self) -> float:
        """Largest |second derivative|: the Lipschitz constant of the slope, inf if there is none."""
        return max(abs(self.second[0]), abs(self.second[1]))


_kept: dict[tuple[str, str, str, str], DerivativeBounds] = {}


def derivative_bounds(loss: Node, z: Node, y: Node, domain: str | None = None) -> DerivativeBounds:
    """Bound the derivatives of a loss.

    Args:
        loss: Shape ("n",), from `trace_loss`.
        z: The prediction's symbol.
        y: The target's symbol.
        domain: "real", "count", "+-1" or "class"; the symbol's own domain if None.

    Returns:
        The bounds, kept by structure.

    Raises:
        InputError: for an unknown domain.

    """
    domain = domain or y.domain or "real"
    if domain not in ("real", "count", "+-1", "class"):
        raise InputError(f"target domain {domain!r}", "use real, count, +-1 or class")
    key = (loss.key, z.key, y.key, domain)
    if key not in _kept:
        _kept[key] = _bound(loss, z, y, domain)
    return _kept[key]


def _bound(loss: Node, z: Node, y: Node, domain: str) -> DerivativeBounds:
    if y.domain != domain:  # what is known of the target simplifies the derivatives
        declared = symbol(y.name, y.shape, domain)
        (loss,) = substitute([loss], {y: declared})
        y = declared
    value = with_switches_at_zero(loss)
    if z not in set(topological([value])):
        return DerivativeBounds((0.0, 0.0), (0.0, 0.0), True, "the loss does not change with the prediction")
    try:
        found = _classes(value, z) if z.ndim == 2 else _scalar(value, z, y, domain)
    except UnsupportedError as error:
        found = DerivativeBounds(LINE, LINE, None, f"unknown: {error.problem}")
    if found.convex is None and curvature(value, z) in ("convex", "affine", "constant"):
        found = replace(
            found, second=(max(found.second[0], 0.0), found.second[1]), convex=True,
            how=found.how + "; convex by composition",
        )  # fmt: skip
    if found.second[1] == math.inf:
        found = replace(
            found,
            how=found.how + "; no upper bound on the second derivative, so its value at the current point is used",
        )
    return found


def _classes(value: Node, z: Node) -> DerivativeBounds:
    def entrywise(entry: Node, one: Node) -> tuple[Range, Range, str]:
        found = derivative_bounds(entry, one, symbol("y", one.shape), "real")
        return found.first, found.second, found.how

    row = class_ranges(value, z, entrywise)
    convex = True if row.bend[0] >= 0 else None
    return DerivativeBounds(row.slope, row.bend, convex, "composition: " + (row.how or "linear in the margins"))


def _scalar(value: Node, z: Node, y: Node, domain: str) -> DerivativeBounds:
    through = bottleneck(value, z, y)
    if through is not None:
        node, scale = through
        u = symbol("u", z.shape)
        (outer,) = substitute([value], {node: u})
        text = "" if node is z else f" through u = {describe(node)}"
        return _rescaled(_on_line(outer, u, text), scale, signed=domain == "+-1" and y in set(topological([node])))
    if domain == "+-1":
        sides = []
        for target in (-1.0, 1.0):
            (fixed,) = substitute([value], {y: spread(constant(target), y.shape)})
            sides.append(_on_line(with_switches_at_zero(fixed), z, ""))
        convex = None if any(s.convex is None for s in sides) else all(s.convex for s in sides)
        if any(s.convex is False for s in sides):
            convex = False
        return DerivativeBounds(
            _hull([s.first for s in sides]),
            _hull([s.second for s in sides]),
            convex,
            sides[0].how + ", for y = -1 and 1",
        )
    return _in_plane(value, z, y, domain)


def bottleneck(value: Node, z: Node, y: Node) -> tuple[Node, float] | None:
    """Find a node through which all of z and y passes and which is affine in z: then one variable is enough.

    Returns:
        The node and |d node / dz|, or None.

    """
    order = topological([value])
    tied = dependents(order, {z, y} & set(order))
    chain = [x for x in order if x in tied]
    position = {x: i for i, x in enumerate(chain)}
    last_source = max(position[x] for x in (z, y) if x in position)
    reach = 0  # furthest user, in the chain, of any node before the present one
    last_use = {x: 0 for x in chain}
    for x in chain:
        for inner in x.inputs:
            if inner in position:
                last_use[inner] = max(last_use[inner], position[x])
    for i, node in enumerate(chain):
        if last_source <= i and reach <= i:
            rate = simplify(slope(node, z))
            while rate.op in ("neg", "broadcast_to"):
                rate = rate.inputs[0]
            if rate.domain == "+-1":
                return node, 1.0
            if is_constant(rate) and rate.value != 0:
                return node, abs(float(rate.value))
        reach = max(reach, last_use[node])
    return None


def _on_line(value: Node, u: Node, through: str) -> DerivativeBounds:
    first = with_switches_at_zero(slope(value, u))
    second = with_switches_at_zero(slope(first, u))
    third = with_switches_at_zero(slope(second, u))
    verdict = curvature(value, u)
    monotone = verdict != "unknown"
    quantities = [(second, third)] if monotone else [(second, third), (first, second)]
    sides = {"convex": (0.0, math.inf), "concave": (-math.inf, 0.0)}
    known = [sides.get(verdict, LINE), LINE][: len(quantities)]
    switching = any(x.op in intervals.SWITCHES for x in topological([value, first]))
    found = line_ranges(quantities, u, watched=[value, first] if switching else [], known=known)
    bends = found.bounds[0]
    # The slope of a convex or concave function is monotone, so its range is that of its two tails.
    slopes = found.bounds[1] if not monotone else far_range(first, u)
    how = f"interval branch and bound over the whole line{through}, {found.boxes} boxes"
    if found.kinks_in_tails:
        return DerivativeBounds(LINE, LINE, None, how + f"; kinks beyond |u| = {RADIUS:.0e} are not located")
    jump_up, jump_down, broken = jumps(value, first, u, found)
    if broken:
        return DerivativeBounds(LINE, LINE, False, how + f"; the loss is discontinuous near {broken[0]:.6g}")
    if jump_up:
        how += f"; the slope jumps up near {', '.join(f'{x:.6g}' for x in jump_up[:3])}"
        bends = (bends[0], math.inf)
    if jump_down:
        how += f"; the slope jumps down near {', '.join(f'{x:.6g}' for x in jump_down[:3])}"
        bends = (-math.inf, bends[1])
    refuted = bool(jump_down) or found.attained[0][0] < 0
    return DerivativeBounds(slopes, bends, True if bends[0] >= 0 else False if refuted else None, how)


def jumps(value: Node, first: Node, u: Node, found: Ranges) -> tuple[list[float], list[float], list[float]]:
    """Compare value and slope on both sides of each kink.

    Second derivatives are bounded almost everywhere, which is blind to what happens at a kink: -|u| has second
    derivative 0 almost everywhere, and is concave.

    Returns:
        Where the slope jumps up, where it jumps down, and where the value itself jumps (or cannot be enclosed).

    """
    if not found.kinks:
        return [], [], []
    low, high = np.array(found.kinks).T
    step = KINK_WIDTH * np.maximum(1.0, np.abs(low))
    points = np.concatenate([low - step, high + step])
    n = low.size
    ((v_low, v_high), (d_low, d_high)), _ = intervals.ranges([value, first], {u: (points, points)})
    width = high - low + 2 * step
    with np.errstate(all="ignore"):
        size = np.maximum(1.0, np.abs(v_low[:n]))
        steepest = np.maximum.reduce([np.abs(d) for d in (d_low[:n], d_high[:n], d_low[n:], d_high[n:])])
        drift = JUMP * size + 2 * width * steepest
        broken = ~((v_low[n:] - v_high[:n] <= drift) & (v_low[:n] - v_high[n:] <= drift))
        slack = JUMP * np.maximum(1.0, np.abs(d_low[:n]))
        up = ~(d_low[n:] - d_high[:n] <= slack)
        down = ~(d_low[:n] - d_high[n:] <= slack)
    middle = low + (high - low) / 2
    middle = np.where(np.abs(middle) < KINK_WIDTH, 0.0, middle)
    return middle[up].tolist(), middle[down].tolist(), middle[broken].tolist()


def _in_plane(value: Node, z: Node, y: Node, domain: str) -> DerivativeBounds:
    """Bound over boxes in (z, y); a derivative that does not see y is bounded on the line of z."""
    first = with_switches_at_zero(slope(value, z))
    second = with_switches_at_zero(slope(first, z))
    switching = any(x.op in intervals.SWITCHES for x in topological([value, first, second]))
    how = "interval enclosure over boxes in prediction and target"
    slopes = plane_range(first, z, y, domain)
    if any(x.op in DISCONTINUOUS for x in topological([value])):
        slopes = LINE  # the value may jump where these switch
    if switching:
        return DerivativeBounds(slopes, LINE, None, how + "; kinks that move with both z and y are not located")
    if y in set(topological([second])):
        bends = plane_range(second, z, y, domain)
        return DerivativeBounds(slopes, bends, True if bends[0] >= 0 else None, how)
    found = line_ranges([(second, with_switches_at_zero(slope(second, z)))], z)
    bends = found.bounds[0]
    refuted = found.attained[0][0] < 0
    how = "interval branch and bound in the prediction (the second derivative does not depend on the target)"
    return DerivativeBounds(slopes, bends, True if bends[0] >= 0 else False if refuted else None, how)


def plane_range(node: Node, z: Node, y: Node, domain: str, rounds: int = 5) -> Range:
    """Enclose an expression of (z, y) over the plane, or over y >= 0 for counts, refining the boxes that decide."""
    ends = np.concatenate([[-np.inf], -(2.0 ** np.arange(10, -4, -1)), [0.0], 2.0 ** np.arange(-3, 11), [np.inf]])
    ys = ends[ends >= 0] if domain == "count" else ends
    z_low, y_low = [a.ravel() for a in np.meshgrid(ends[:-1], ys[:-1])]
    z_high, y_high = [a.ravel() for a in np.meshgrid(ends[1:], ys[1:])]
    settled = (math.inf, -math.inf)
    for _ in range(rounds):
        ((low, high),), _ = intervals.ranges([node], {z: (z_low, z_high), y: (y_low, y_high)})
        fixed = ~(np.isfinite(z_low) & np.isfinite(z_high) & np.isfinite(y_low) & np.isfinite(y_high))
        if fixed.any():
            settled = (min(settled[0], float(low[fixed].min())), max(settled[1], float(high[fixed].max())))
        deciding = ~fixed & ((low < settled[0]) | (high > settled[1]))
        rest = ~fixed & ~deciding
        if rest.any():
            settled = (min(settled[0], float(low[rest].min())), max(settled[1], float(high[rest].max())))
        z_low, z_high, y_low, y_high = [a[deciding] for a in (z_low, z_high, y_low, y_high)]
        if not z_low.size or z_low.size > 10_000:
            break
        z_mid, y_mid = (z_low + z_high) / 2, (y_low + y_high) / 2
        z_low, z_high = np.tile(np.concatenate([z_low, z_mid]), 2), np.tile(np.concatenate([z_mid, z_high]), 2)
        y_low, y_high = (
            np.concatenate([y_low, y_low, y_mid, y_mid]), np.concatenate([y_mid, y_mid, y_high, y_high])
        )  # fmt: skip
    if z_low.size:
        ((low, high),), _ = intervals.ranges([node], {z: (z_low, z_high), y: (y_low, y_high)})
        settled = (min(settled[0], float(low.min())), max(settled[1], float(high.max())))
    return settled


def describe(node: Node) -> str:
    """Write a small elementwise expression in ordinary notation."""
    signs = {"add": " + ", "sub": " - ", "mul": " * ", "div": " / "}
    text: dict[Node, str] = {}
    for x in topological([node]):
        inner = [f"({text[i]})" if i.op in signs and x.op not in ("add",) else text[i] for i in x.inputs]
        if x.op in signs:
            text[x] = signs[x.op].join(inner)
        elif is_constant(x):
            text[x] = f"{x.value:g}"
        else:
            text[x] = x.name if not x.inputs else f"-{inner[0]}" if x.op == "neg" else f"{x.op}({', '.join(inner)})"
    return text[node]


def _rescaled(found: DerivativeBounds, scale: float, signed: bool) -> DerivativeBounds:
    """Turn derivatives in u into derivatives in z, where |du/dz| = scale and its sign may be either."""
    reach = max(abs(found.first[0]), abs(found.first[1]))
    low, high = (-reach, reach) if signed else found.first
    if scale == 1:
        return replace(found, first=(low, high))
    factor = (np.array([scale]), np.array([scale]))
    square = intervals.square(factor)
    ends = [
        intervals.mul((np.array([a]), np.array([b])), s)
        for (a, b), s in (((-reach, reach), factor), (found.second, square))
    ]
    first, second = [(float(a[0]), float(b[0])) for a, b in ends]
    return replace(found, first=first, second=second)


def _hull(parts: Sequence[Range]) -> Range:
    return min(p[0] for p in parts), max(p[1] for p in parts)
