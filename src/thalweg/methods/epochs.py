"""An epoch of updates by gradients of batches: literally, through the problem's points, or compiled where it can be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from thalweg.core.vector import Any1D
from thalweg.linalg.rows import SparseRows
from thalweg.methods.gradient_transform import GradientTransform
from thalweg.methods.rule import Slots, UpdateRule

#: Updates from which an epoch is compiled: compiling takes three seconds, and so do so many literal updates.
COMPILED_FROM = 50_000
#: The same on sparse rows, where a literal update takes .2 ms in place of .06.
COMPILED_FROM_SPARSE = 15_000


@dataclass(frozen=True, eq=False)
class Epoch:
    """What an epoch is to do.

    Attributes:
        order: Examples in the order of their use, shape (count,).
        batch_size: B; the last batch may be smaller, and its gradient is then divided by B too.
        step_sizes: One an update, shape (updates,).
        weights: c_t of the average after each update, shape (updates,); None without an average.
        first: Number of the first update, from 1.
        rule: How a gradient moves x.
        transforms: What happens to gradients before.
        anchor: The point at which gradients are anchored (SVRG); None for plain ones.

    """

    order: np.ndarray
    batch_size: int
    step_sizes: np.ndarray
    weights: np.ndarray | None
    first: int
    rule: UpdateRule
    transforms: tuple[GradientTransform, ...] = ()
    anchor: Any = None


@dataclass(frozen=True, eq=False)
class Walk:
    """Where a walk stands.

    Attributes:
        x: The iterate.
        slots: What the rule carries along.
        mean: The average so far.

    """

    x: Any1D
    slots: Slots
    mean: Any1D


def run_epoch(problem: Any, epoch: Epoch, walk: Walk, wanted: bool | None) -> tuple[Walk, bool]:
    """The updates of an epoch: compiled where that is possible and pays, else one by one.

    Whether it pays is a matter of the number of updates and of the table, so that runs repeat to the last bit.

    Args:
        problem: With gradients of samples.
        epoch: What to do.
        walk: Where to begin.
        wanted: Whether to compile; by the number of updates so far when None.

    Returns:
        Where the walk stands, and whether it ran compiled.

    """
    if wanted or (wanted is None and epoch.first + len(epoch.step_sizes) > _compiled_from(problem)):
        from thalweg.methods.compiled_epochs import compiled  # short runs do without

        function = compiled(problem, epoch)
        if function is not None:
            return function(walk), True
    return literal(problem, epoch, walk), False


def _compiled_from(problem: Any) -> int:
    rows = getattr(getattr(problem, "margin_form", None), "rows", None)
    return COMPILED_FROM_SPARSE if isinstance(rows, SparseRows) else COMPILED_FROM


def literal(problem: Any, epoch: Epoch, walk: Walk) -> Walk:
    """The epoch update by update, through the points of any problem that gives gradients of samples."""
    x, slots, mean, batch = walk.x, walk.slots, walk.mean, epoch.batch_size
    for k, start in enumerate(range(0, len(epoch.order), batch)):
        indices = epoch.order[start : start + batch]
        gradient = problem.at(x).sample(indices)
        if epoch.anchor is not None:
            gradient = gradient - epoch.anchor.sample(indices) + epoch.anchor.gradient
        if len(indices) < batch:
            gradient = (len(indices) / batch) * gradient
        for transform in epoch.transforms:
            gradient = transform(x, gradient)
        x, slots = epoch.rule.update(x, gradient, slots, float(epoch.step_sizes[k]), epoch.first + k)
        if epoch.weights is not None and epoch.weights[k]:
            mean = mean + float(epoch.weights[k]) * (x - mean)
    return Walk(x, slots, mean)
