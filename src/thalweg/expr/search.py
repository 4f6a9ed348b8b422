"""Tight ranges of functions of one variable over the whole line, by interval branch and bound, with their kinks.

Boxes cover the line: octaves out to a large radius, finer ones near the origin, and a tail on each side. On a box where
everything is smooth the mean-value form q(c) + q'(box)(box - c) sharpens the enclosure, so its excess falls with the
square of the width. Boxes that may still hold an extreme beyond the best value attained are split; boxes in which a
switching operation (where, abs, max, ...) is undecided are split down to `KINK_WIDTH`, which locates the kinks.

Source: Hansen, Walster, "Global optimization using interval analysis" (2004), chapters 6 and 12.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from thalweg.expr import intervals
from thalweg.expr.intervals import Array, Interval
from thalweg.expr.node import Node
from thalweg.expr.tails import tail_ranges

RADIUS = 2.0**30
"""Where the tails begin."""
TOLERANCE = 5e-8
"""A bound this close (relative above 1) to an attained value is not improved further."""
KINK_WIDTH = 1e-12
"""Relative width to which a kink is located."""
BUDGET = 40_000
"""Boxes evaluated at most; the bounds reached by then are returned (wider, never wrong)."""


@dataclass(frozen=True, slots=True)
class Ranges:
    """Ranges of several functions over the line.

    Attributes:
        bounds: One (lower, upper) a function: proven, almost everywhere with respect to kinks.
        attained: One (smallest, largest) value found a function, up to rounding.
        kinks: Ends of tiny intervals outside which every switching operation is decided.
        kinks_in_tails: Whether kinks may also lie beyond `RADIUS`.
        boxes: Number of boxes evaluated.

    """

    bounds: list[tuple[float, float]]
    attained: list[tuple[float, float]]
    kinks: list[tuple[float, float]]
    kinks_in_tails: bool
    boxes: int


def grid() -> Array:
    """Ends of the first boxes. They are moved off the round numbers, where users put their kinks."""
    fine = np.linspace(-4.0, 4.0, 33) + 0.0123456789
    octaves = 4.1 * 2.0 ** np.arange(0, 28)
    return np.concatenate([[-RADIUS], -octaves[::-1], fine, octaves, [RADIUS]])


def line_ranges(
    functions: Sequence[tuple[Node, Node]],
    leaf: Node,
    watched: Sequence[Node] = (),
    known: Sequence[tuple[float, float]] = (),
) -> Ranges:
    """Bound functions of one variable over the whole line.

    Args:
        functions: Pairs (q, q') of elementwise expressions of ``leaf``.
        leaf: The variable.
        watched: Expressions whose kinks are located too: differentiation removes switches (the second derivative of
            |u| is 0 almost everywhere), so the kinks of a function are not all seen in its derivatives.
        known: For each function a range that is proven already by other means.

    Returns:
        Proven ranges; infinite where a function is unbounded or cannot be bounded.

    Raises:
        UnsupportedError: for an operation without an interval rule.

    """
    edges = grid()
    low, high = edges[:-1], edges[1:]
    outputs = [*(x for pair in functions for x in pair), *watched]
    quantities = [*(q for q, _ in functions), *watched]
    known = known or [(-np.inf, np.inf)] * len(functions)
    tails = [tail_ranges(quantities, leaf, RADIUS, side) for side in (1.0, -1.0)]
    bounds = [(min(t[0][i][0] for t in tails), max(t[0][i][1] for t in tails)) for i in range(len(functions))]
    attained = [(np.inf, -np.inf)] * len(functions)
    kinks: list[tuple[float, float]] = []
    evaluated = 0
    while True:
        evaluated += low.size
        enclosures, points, undecided = _enclose(outputs, len(functions), leaf, low, high)
        attained = [
            (min(best[0], _smallest(p[1])), max(best[1], _largest(p[0])))
            for best, p in zip(attained, points, strict=True)
        ]
        tiny = high - low <= KINK_WIDTH * np.maximum(1.0, np.abs(low))
        again = undecided & ~tiny
        for i, (bottom, top) in enumerate(enclosures):
            best_low, best_high = attained[i]
            bottom, top = np.maximum(bottom, known[i][0]), np.minimum(top, known[i][1])
            enclosures[i] = (bottom, top)
            slack = [TOLERANCE * max(1.0, min(abs(best), intervals.LARGEST)) for best in attained[i]]
            # A side is no better than what a tail or a finished box already forces.
            again |= top > max(min(best_high, intervals.LARGEST) + slack[1], bounds[i][1])
            again |= bottom < min(max(best_low, -intervals.LARGEST) - slack[0], bounds[i][0])
        again &= ~tiny
        if evaluated >= BUDGET or evaluated + 2 * again.sum() > 2 * BUDGET:
            again[:] = False
        for i, (bottom, top) in enumerate(enclosures):
            done = ~again
            if done.any():
                bounds[i] = (min(bounds[i][0], float(bottom[done].min())), max(bounds[i][1], float(top[done].max())))
        settled = undecided & ~again
        kinks.extend(zip(low[settled].tolist(), high[settled].tolist(), strict=True))
        if not again.any():
            break
        low, high = _split(low[again], high[again], 8 if again.sum() < 64 else 2)
    return Ranges(bounds, attained, _merged(kinks), any(t[1] for t in tails), evaluated)


def far_range(function: Node, leaf: Node) -> tuple[float, float]:
    """Enclose the values of a monotone function by those of its two tails."""
    ends = [tail_ranges([function], leaf, RADIUS, side)[0][0] for side in (1.0, -1.0)]
    return min(e[0] for e in ends), max(e[1] for e in ends)


def _enclose(
    outputs: Sequence[Node], count: int, leaf: Node, low: Array, high: Array
) -> tuple[list[Interval], list[Interval], np.ndarray]:
    """Enclose the functions on boxes and at their centres; sharpen by the mean-value form where all is smooth.

    ``outputs`` begins with ``count`` pairs (q, q').
    """
    centre = np.clip(low + (high - low) / 2, low, high)
    n = low.size
    both = (np.concatenate([low, centre]), np.concatenate([high, centre]))
    values, switching = intervals.ranges(outputs, {leaf: both})
    undecided = switching[:n]
    reach = (np.minimum(intervals.down(low - centre), 0.0), np.maximum(intervals.up(high - centre), 0.0))
    enclosures: list[Interval] = []
    points: list[Interval] = []
    with np.errstate(all="ignore"):
        for (q_low, q_high), (d_low, d_high) in zip(values[: 2 * count : 2], values[1 : 2 * count : 2], strict=True):
            point = (q_low[n:], q_high[n:])
            bent = intervals.add(point, intervals.mul((d_low[:n], d_high[:n]), reach))
            usable = ~undecided
            bottom = np.where(usable, np.maximum(q_low[:n], bent[0]), q_low[:n])
            top = np.where(usable, np.minimum(q_high[:n], bent[1]), q_high[:n])
            enclosures.append((bottom, top))
            points.append(point)
    return enclosures, points, undecided


def _split(low: Array, high: Array, parts: int) -> tuple[Array, Array]:
    steps = np.linspace(0.0, 1.0, parts + 1)
    ends = low[:, None] + (high - low)[:, None] * steps  # (boxes, parts + 1)
    ends[:, 0], ends[:, -1] = low, high
    return ends[:, :-1].ravel(), ends[:, 1:].ravel()


def _merged(kinks: list[tuple[float, float]]) -> list[tuple[float, float]]:
    out: list[tuple[float, float]] = []
    for low, high in sorted(kinks):
        if out and low <= out[-1][1]:
            out[-1] = (out[-1][0], max(out[-1][1], high))
        else:
            out.append((low, high))
    return out


def _smallest(x: Array) -> float:
    return float(np.min(x[np.isfinite(x)], initial=np.inf))


def _largest(x: Array) -> float:
    return float(np.max(x[np.isfinite(x)], initial=-np.inf))
