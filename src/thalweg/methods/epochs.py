"""An epoch of updates by gradients of batches: literally, through the problem's points, or compiled where it can be.

Both ways give the same iterates up to rounding. The compiled one serves sums of losses of scalar margins over dense or
sparse rows; a batch of one dense row of 100 numbers then takes some 200 ns where the literal way takes 20 us.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from thalweg.core.cache import source_module
from thalweg.core.vector import Any1D
from thalweg.methods.epoch_rules import entry_update
from thalweg.methods.epoch_source import Shape, epoch_text, lazy_text, slope_text
from thalweg.methods.gradient_transform import ClipNorm, GradientTransform
from thalweg.methods.rule import Slots, UpdateRule
from thalweg.methods.rules_momentum import PlainStep
from thalweg.problems.losses import Loss
from thalweg.problems.margin_form import MarginForm

#: Updates from which an epoch is compiled: loading numba takes a second, and so do so many literal updates.
COMPILED_FROM = 50_000


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

    Whether it pays is a matter of the number of updates alone, so that runs repeat to the last bit.

    Args:
        problem: With gradients of samples.
        epoch: What to do.
        walk: Where to begin.
        wanted: Whether to compile; by the number of updates so far when None.

    Returns:
        Where the walk stands, and whether it ran compiled.

    """
    if wanted or (wanted is None and epoch.first + len(epoch.step_sizes) > COMPILED_FROM):
        function = compiled(problem, epoch)
        if function is not None:
            return function(walk), True
    return literal(problem, epoch, walk), False


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


def compiled(problem: Any, epoch: Epoch) -> Callable[[Walk], Walk] | None:
    """The epoch as one compiled call; None where the problem, the rule or a transform does not allow it."""
    form: MarginForm | None = getattr(problem, "margin_form", None)
    if form is None or form.arrays is None:
        return None
    slope = _slope(form.loss)
    if slope is None or any(not isinstance(transform, ClipNorm) for transform in epoch.transforms):
        return None
    if len(epoch.transforms) > 1:
        return None
    sparse = len(form.arrays) == 3
    if sparse and isinstance(epoch.rule, PlainStep) and form.scale is None and not epoch.transforms and (
        epoch.weights is None
    ):  # fmt: skip
        return lambda walk: _lazy(slope, form, epoch, walk)
    if entry_update(epoch.rule) is None:
        return None
    return lambda walk: _entrywise(slope, form, epoch, walk)


def _entrywise(slope: str, form: MarginForm, epoch: Epoch, walk: Walk) -> Walk:
    update = entry_update(epoch.rule)
    assert update is not None and form.arrays is not None and isinstance(walk.x, np.ndarray)
    anchor, changed = epoch.anchor, form.scale is not None
    shape = Shape(
        len(form.arrays) == 3, changed, form.weights is not None, anchor is not None, epoch.weights is not None,
        bool(epoch.transforms),
    )  # fmt: skip
    run = _function(epoch_text(slope, update, shape))
    x, mean, slots = form.widen(walk.x), form.widen(np.asarray(walk.mean)), dict(walk.slots)
    wide = {name: form.widen(slots[name]) for name in update.slots}
    numbers = np.array([slots[name] for name in update.numbers], dtype=np.float64)
    given: list[Any] = [
        *form.arrays, form.y, epoch.order, epoch.batch_size, epoch.step_sizes, epoch.first,
        1.0 if changed else form.offset, np.append(form.ridge, 0.0), x, np.array(update.settings), numbers,
    ]  # fmt: skip
    if form.scale is not None and form.shift is not None:
        given += [np.append(form.shift, 0.0), np.append(form.scale, form.offset)]
    if form.weights is not None:
        given.append(form.weights)
    if anchor is not None:
        given += _anchored(form, anchor)
    if epoch.weights is not None:
        given += [epoch.weights, mean]
    given += [transform.limit for transform in epoch.transforms if isinstance(transform, ClipNorm)]
    run(*given, *wide.values())
    slots.update({name: form.narrow(array) for name, array in wide.items()})
    slots.update(zip(update.numbers, numbers.tolist(), strict=True))
    return Walk(form.narrow(x), slots, form.narrow(mean))


def _lazy(slope: str, form: MarginForm, epoch: Epoch, walk: Walk) -> Walk:
    assert form.arrays is not None and isinstance(walk.x, np.ndarray) and isinstance(epoch.rule, PlainStep)
    run = _function(lazy_text(slope, epoch.anchor is not None, form.weights is not None))
    x = form.widen(walk.x)
    given: list[Any] = [
        *form.arrays, form.y, epoch.order, epoch.batch_size, epoch.step_sizes, form.offset, float(form.ridge[0]),
        epoch.rule.weight_decay, x,
    ]  # fmt: skip
    if form.weights is not None:
        given.append(form.weights)
    if epoch.anchor is not None:
        slopes, centre = _anchored(form, epoch.anchor)
        given += [slopes, centre, form.rows.matvec(centre[:-1])]
    run(*given)
    return Walk(form.narrow(x), walk.slots, walk.mean)


def _anchored(form: MarginForm, point: Any) -> list[np.ndarray]:
    """The slopes of the rows at the anchor, and the gradient there without its penalty."""
    return [point.slope, form.widen(point.gradient) - np.append(form.ridge, 0.0) * form.widen(point.x)]


_slopes: dict[str, str | None] = {}


def _slope(loss: Loss) -> str | None:
    key = loss.kernel.key
    if key not in _slopes:
        _slopes[key] = slope_text(loss)
    return _slopes[key]


def _function(source: str) -> Callable[..., None]:
    key = "epoch_" + hashlib.blake2b(source.encode(), digest_size=16).hexdigest()
    function: Callable[..., None] = source_module(key, lambda: source).epoch
    return function
