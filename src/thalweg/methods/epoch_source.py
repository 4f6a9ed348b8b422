"""The text of compiled epochs: one loop over the batches of an epoch, for rows that are dense or sparse.

The derivative of the loss in its margin is derived from the loss's expression, and the update is the rule's.
"""

from __future__ import annotations

from dataclasses import dataclass

from thalweg.core.errors import ThalwegError
from thalweg.expr.differentiate import gradient
from thalweg.expr.fuse import Group, chain, complete, schedule
from thalweg.expr.node import symbol
from thalweg.expr.simplify import simplify
from thalweg.expr.trace import trace
from thalweg.methods.epoch_rules import EntryUpdate
from thalweg.problems.losses import Loss

_HEADER = """import math

import numpy as np
from numba import njit


@njit(cache=ON_DISK, error_model="numpy", nogil=True, fastmath={"reassoc", "contract"})
def dot(row, x):
    total = 0.0
    for j in range(row.shape[0]):
        total += row[j] * x[j]
    return total


"""
#: Below this size the common factor of lazily shrunk coefficients is multiplied out.
SMALLEST_FACTOR = "1e-100"
#: Indices that cannot be negative save numba a comparison each, and half of the time.
COLUMN = "np.uint64(indices[k])"
ROW = "lo, hi = np.uint64(indptr[i]), np.uint64(indptr[i + 1])"


@dataclass(frozen=True)
class Shape:
    """What decides the text of an epoch, beside loss and rule.

    Attributes:
        sparse: Whether rows come as data, indices and row pointers.
        changed: Whether columns are shifted and scaled.
        weighted: Whether examples have weights.
        anchored: Whether gradients are corrected by those at an anchor (SVRG).
        averaged: Whether iterates are averaged.
        clipped: Whether gradients are clipped by norm.

    """

    sparse: bool
    changed: bool
    weighted: bool
    anchored: bool
    averaged: bool
    clipped: bool

    @property
    def arguments(self) -> list[str]:
        """Names of the arguments that every epoch of this shape takes, in order."""
        names = ["data", "indices", "indptr"] if self.sparse else ["A"]
        names += ["y", "order", "batch", "alphas", "first", "offset", "ridge", "x", "p", "q"]
        names += ["shift", "scale"] * self.changed + ["weights"] * self.weighted
        names += ["slopes", "centre_gradient"] * self.anchored
        return names + ["means", "mean"] * self.averaged + ["limit"] * self.clipped


def slope_text(loss: Loss) -> str | None:
    """Lines that import a compiled function of (z, y) and call it ``slope``; None where the loss has no such form."""
    z, y = symbol("z", ()), symbol("y", (), loss.target.value)
    try:
        slope = simplify(gradient(trace(loss.expression, z=z, y=y), z))
        items = schedule([slope], [z, y])
    except (ThalwegError, ValueError, TypeError):
        return None
    groups = [item for item in items if isinstance(item, Group)]
    if len(groups) != 1 or groups[0].outputs != (slope,) or not set(groups[0].inputs) <= {z, y}:
        return None
    name = chain(groups[0])
    arguments = ", ".join(str(x.name) for x in groups[0].inputs)
    decorator = '@njit(error_model="numpy", nogil=True, inline="always")'
    return complete(
        f"from thalweg.expr.fuse import {name}\n\n\n{decorator}\ndef slope(z, y):\n    return {name}({arguments})\n"
    )


def epoch_text(slope: str, update: EntryUpdate, shape: Shape) -> str:
    """The module whose function ``epoch`` moves x, slots and mean in place through the batches of an order."""
    slots = [f"s{k}" for k in range(len(update.slots))]
    gathered = ["for k in range(lo, hi):", f"    z += data[k] * v[{COLUMN}]"]
    scattered = ["for k in range(lo, hi):", f"    G[{COLUMN}] += u * data[k]"]
    margin = [ROW, "z = 0.0", *gathered] if shape.sparse else ["z = dot(A[i], v)"]
    spread = scattered if shape.sparse else ["row = A[i]", "for j in range(d):", "    G[j] += u * row[j]"]
    entry = "(G[j] * share_of_one - shift[j] * total) * scale[j]" if shape.changed else "G[j] * share_of_one"
    entry += " + share * (ridge[j] * xj" + (" + centre_gradient[j])" if shape.anchored else ")")
    lines = [
        f"def epoch({', '.join([*shape.arguments, *slots])}):",
        "    d = x.shape[0] - 1",
        "    G = np.zeros(d + 1)",
        "    v = np.empty(d + 1)" if shape.changed else "    v = x",
        "    centre = 0.0",
        *_indent(_followed(shape, "x[j]"), 1, "for j in range(d + 1):"),
        *[f"    p{k} = p[{k}]" for k in range(len(update.settings))],
        "    share_of_one = 1.0 / batch",
        "    for b in range(alphas.shape[0]):",
        "        start = b * batch",
        "        stop = min(start + batch, order.shape[0])",
        "        a = alphas[b]",
        "        t = first + b",
        "        share = (stop - start) * share_of_one",
        "        bias = offset * v[d] - centre",
        "        total = 0.0",
        "        for r in range(start, stop):",
        "            i = order[r]",
        *_indent(margin, 3),
        "            u = slope(z + bias, y[i])" + " - slopes[i]" * shape.anchored,
        *["            u *= weights[i]"] * shape.weighted,
        *_indent(spread, 3),
        "            total += u",
        "        total *= share_of_one",
        "        G[d] = total * batch" + ("" if shape.changed else " * offset"),
        *_indent(update.before, 2),
        "        centre = 0.0",
    ]
    loop = ["xj = x[j]", f"g = {entry}"]
    if shape.clipped:
        lines += [
            "        size = 0.0",
            *_indent([*loop, "G[j] = g", "size += g * g"], 2, "for j in range(d + 1):"),
            "        size = np.sqrt(size)",
            "        cut = limit / size if limit < size < math.inf else 1.0",
        ]
        loop = ["xj = x[j]", "g = G[j] * cut"]
    averaged = ["mean[j] += means[b] * (xj - mean[j])"] * shape.averaged
    loop += ["G[j] = 0.0", *update.each, "x[j] = xj", *_followed(shape, "xj"), *averaged]
    lines += _indent(loop, 2, "for j in range(d + 1):")
    decorator = '@njit(cache=ON_DISK, error_model="numpy", nogil=True)\n'
    return _HEADER + slope + "\n\n" + decorator + "\n".join(lines) + "\n"


def _followed(shape: Shape, value: str) -> list[str]:
    """Lines that keep ``v``, what rows are multiplied with, up with x."""
    return [f"v[j] = scale[j] * {value}", "centre += shift[j] * v[j]"] if shape.changed else ["pass"]


def _indent(lines: list[str] | tuple[str, ...], depth: int, head: str = "") -> list[str]:
    pad = "    " * depth
    return [pad + head, *(f"{pad}    {line}" for line in lines)] if head else [pad + line for line in lines]


def lazy_text(slope: str, anchored: bool, weighted: bool) -> str:
    """The module whose function ``epoch`` takes plain steps on sparse rows, each at a cost of its stored entries.

    x = factor * held + along * centre_gradient: shrinking by the penalty changes the one number, the anchor's gradient
    the other (Shalev-Shwartz, Singer, Srebro and Cotter, Pegasos, Math. Program. 127 (2011), section 2.1).
    """
    correction = " + along * products[i]" if anchored else ""
    lines = [
        "def epoch(data, indices, indptr, y, order, batch, alphas, offset, ridge, decay, x"
        + ", weights" * weighted
        + ", slopes, centre_gradient, products" * anchored
        + "):",
        "    d = x.shape[0] - 1",
        "    held = x[:d].copy()",
        "    b0, factor, along = x[d], 1.0, 0.0",
        "    us = np.empty(batch)",
        "    for b in range(alphas.shape[0]):",
        "        start = b * batch",
        "        stop = min(start + batch, order.shape[0])",
        "        a = alphas[b]",
        "        share = (stop - start) / batch",
        "        total = 0.0",
        "        for r in range(start, stop):",
        "            i = order[r]",
        f"            {ROW}",
        "            z = 0.0",
        "            for k in range(lo, hi):",
        f"                z += data[k] * held[{COLUMN}]",
        f"            u = slope(factor * z{correction} + offset * b0, y[i])" + " - slopes[i]" * anchored,
        *["            u *= weights[i]"] * weighted,
        "            u /= batch",
        "            us[r - start] = u",
        "            total += u",
        "        shrunk = 1.0 - a * (share * ridge + decay)",
        *["        along = shrunk * along - a * share"] * anchored,
        "        factor *= shrunk",
        f"        if abs(factor) < {SMALLEST_FACTOR}:",
        "            for j in range(d):",
        "                held[j] *= factor",
        "            factor = 1.0",
        "        for r in range(start, stop):",
        "            i = order[r]",
        f"            {ROW}",
        "            u = a * us[r - start] / factor",
        "            for k in range(lo, hi):",
        f"                held[{COLUMN}] -= u * data[k]",
        "        b0 -= a * (offset * total" + " + share * centre_gradient[d]" * anchored + " + decay * b0)",
        "    for j in range(d):",
        "        x[j] = factor * held[j]" + " + along * centre_gradient[j]" * anchored,
        "    x[d] = b0",
    ]
    decorator = '@njit(cache=ON_DISK, error_model="numpy", nogil=True)\n'
    return _HEADER + slope + "\n\n" + decorator + "\n".join(lines) + "\n"
