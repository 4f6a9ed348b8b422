"""The text of compiled epochs: one loop over the batches of an epoch, for rows that are dense or sparse.

Parameters are arrays (classes, d + 1), one row a score with the intercept last; losses of one score have one row. The
derivative of the loss in its scores is derived from the loss's expression, and the update is the rule's.
"""

from __future__ import annotations

from dataclasses import dataclass

from thalweg.methods.epoch_rules import EntryUpdate
from thalweg.methods.slope_source import Slope

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
        several: Whether the loss takes several scores.

    """

    sparse: bool
    changed: bool
    weighted: bool
    anchored: bool
    averaged: bool
    clipped: bool
    several: bool

    @property
    def arguments(self) -> list[str]:
        """Names of the arguments that every epoch of this shape takes, in order."""
        names = ["data", "indices", "indptr"] if self.sparse else ["A"]
        names += ["y", "order", "batch", "alphas", "first", "offset", "ridge", "xs", "p", "q"]
        names += ["shift", "scale"] * self.changed + ["weights"] * self.weighted
        names += ["slopes", "centre_gradients"] * self.anchored
        return names + ["shares", "means"] * self.averaged + ["limit"] * self.clipped

    @property
    def classes(self) -> str:
        """How many rows of parameters there are: a literal 1 lets the compiler drop their loops."""
        return "xs.shape[0]" if self.several else "1"


def epoch_text(slope: Slope, update: EntryUpdate, shape: Shape) -> str:
    """The module whose function ``epoch`` moves xs, slots and means in place through the batches of an order."""
    slots = [f"s{k}" for k in range(len(update.slots))]
    if shape.sparse:
        gathered = ["z = 0.0", "for k in range(lo, hi):", f"    z += data[k] * v[{COLUMN}]"]
        spread = ["for k in range(lo, hi):", f"    G[{COLUMN}] += u * data[k]"]
    else:
        gathered = ["z = dot(row, v)"]
        spread = ["for j in range(d):", "    G[j] += u * row[j]"]
    entry = "(G[j] * share_of_one - shift[j] * total) * scale[j]" if shape.changed else "G[j] * share_of_one"
    entry += " + share * (ridge[j] * xj" + (" + centre_gradient[j])" if shape.anchored else ")")
    lines = [
        f"def epoch({', '.join([*shape.arguments, *(f'all_{name}' for name in slots)])}):",
        f"    classes, d = {shape.classes}, xs.shape[1] - 1",
        "    Gs = np.zeros((classes, d + 1))",
        "    vs = np.empty((classes, d + 1))" if shape.changed else "    vs = xs",
        "    centres, totals, scores = np.zeros(classes), np.zeros(classes), np.zeros(classes)",
        f"    work = np.empty(({slope.rows}, classes))",
        *indent(_scores(["x, v = xs[c], vs[c]"], _followed("x[j]", [])), 1) * shape.changed,
        *[f"    p{k} = p[{k}]" for k in range(len(update.settings))],
        "    share_of_one = 1.0 / batch",
        "    for b in range(alphas.shape[0]):",
        "        start = b * batch",
        "        stop = min(start + batch, order.shape[0])",
        "        a = alphas[b]",
        "        t = first + b",
        "        share = (stop - start) * share_of_one",
        "        totals[:] = 0.0",
        "        for r in range(start, stop):",
        "            i = order[r]",
        f"            {ROW if shape.sparse else 'row = A[i]'}",
        *indent(_scores(["v = vs[c]"], [*gathered, "scores[c] = z + (offset * v[d] - centres[c])"]), 3),
        "            us = slope(scores, y[i], work)",
        *indent(
            _scores(
                ["G = Gs[c]"],
                [
                    "u = us[c]" + " - slopes[i, c]" * shape.anchored,
                    *["u *= weights[i]"] * shape.weighted,
                    *spread,
                    "totals[c] += u",
                ],
            ),
            3,
        ),
        *indent(update.before, 2),
    ]
    bound = ["x, G = xs[c], Gs[c]", *["v = vs[c]"] * shape.changed]
    bound += ["centre_gradient = centre_gradients[c]"] * shape.anchored
    total = ["total = totals[c] * share_of_one"]
    total.append("G[d] = totals[c]" + ("" if shape.changed else " * offset"))
    loop = ["xj = x[j]", f"g = {entry}"]
    if shape.clipped:
        measured = [*loop, "G[j] = g", "size += g * g"]
        lines += [
            "        size = 0.0",
            *indent(_scores(bound, [*total, "for j in range(d + 1):", *indent(measured, 1)]), 2),
            "        size = np.sqrt(size)",
            "        cut = limit / size if limit < size < math.inf else 1.0",
        ]
        loop, total = ["xj = x[j]", "g = G[j] * cut"], []
    bound += [f"{name} = all_{name}[c]" for name in slots] + ["mean = means[c]"] * shape.averaged
    averaged = ["mean[j] += shares[b] * (xj - mean[j])"] * shape.averaged
    loop += ["G[j] = 0.0", *update.each, "x[j] = xj", *averaged]
    moved = _followed("xj", loop) if shape.changed else ["for j in range(d + 1):", *indent(loop, 1)]
    lines += indent(_scores(bound, [*total, *moved]), 2)
    return module_text(slope, lines)


def _followed(value: str, loop: list[str]) -> list[str]:
    """A loop over entries that keeps ``v``, what rows are multiplied with, up with x."""
    return ["for j in range(d + 1):", *indent([*loop, f"v[j] = scale[j] * {value}"], 1), "centres[c] = dot(shift, v)"]


def _scores(bound: list[str], lines: list[str]) -> list[str]:
    """Lines for every score, with names for its rows."""
    return ["for c in range(classes):", *indent([*bound, *lines], 1)]


def indent(lines: list[str] | tuple[str, ...], depth: int) -> list[str]:
    """Lines moved to the right."""
    return ["    " * depth + line for line in lines]


def module_text(slope: Slope, lines: list[str]) -> str:
    """The module with the slope and the function that these lines define."""
    decorator = '@njit(cache=ON_DISK, error_model="numpy", nogil=True)\n'
    return _HEADER + slope.text + "\n\n" + decorator + "\n".join(lines) + "\n"
