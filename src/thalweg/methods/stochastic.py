"""The loop around update rules: batches, schedule, gradient transforms, average; a step is an epoch.

On a sum of n examples a step of the method is an epoch, one pass through the examples in batches, and the point at its
end is evaluated whole for the trace. Without batches a step is one update by the whole gradient.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import KW_ONLY, dataclass, field, fields, replace
from typing import Any, ClassVar, Self

import numpy as np

from thalweg.core.check import checked_number
from thalweg.core.errors import InputError
from thalweg.core.records import Status
from thalweg.core.vector import finite
from thalweg.data.samplers import Sampler
from thalweg.methods.averaging import Average
from thalweg.methods.batch_rules import SQUARE_ROOT, scaled_step, variance_of_batch
from thalweg.methods.epochs import Epoch, Walk, run_epoch
from thalweg.methods.gradient_transform import ClipNorm, GradientTransform
from thalweg.methods.method import Method, Noise, State
from thalweg.methods.rule import UpdateRule
from thalweg.methods.schedule import Constant, Schedule, whole

#: Examples a batch unless told otherwise.
BATCH_SIZE = 32
AUTO = "auto"
#: The batch size that the usual steps of adaptive methods belong to: that of the experiments with Adam.
REFERENCE_BATCH = 128


@dataclass(frozen=True)
class StepForNoise:
    """A constant step for a floor of half the target, sought from epoch to epoch while gap and noise change on the way.

    The step is ``unit`` level/(variance of a batch), at most ``longest``. The level is the target or, as long as it is
    larger, ||g||^2/(2L), which is at most f - f*: then the floor of the step lies below half of the present gap.

    Attributes:
        target: Wanted f - f*.
        largest: L.
        unit: What plain steps are multiplied with.
        longest: The longest step allowed.
        batch_size: B.
        examples: n.
        replacement: Whether batches are drawn with replacement.

    """

    target: float
    largest: float
    unit: float
    longest: float
    batch_size: int
    examples: int
    replacement: bool

    def __call__(self, variance: float, square: float = 0.0) -> float:
        """The step where one example's gradient has this variance, and the whole one ||g||^2 = ``square``."""
        of_batch = variance_of_batch(variance, self.batch_size, self.examples, self.replacement)
        level = max(self.target, square / (2 * self.largest))
        return min(self.unit * level / of_batch, self.longest) if of_batch > 0 else self.longest

    def times(self, factor: float) -> StepForNoise:
        """The same for steps in another unit."""
        return replace(self, unit=factor * self.unit, longest=factor * self.longest)


@dataclass(frozen=True, repr=False)
class Stochastic(Method):
    """Settings that all stochastic methods share.

    Attributes:
        step_size: alpha; tuned when None.
        batch_size: Examples whose mean gradient an update follows; ``"auto"``: 32 on sums, whole gradients elsewhere;
            None: whole gradients everywhere. An epoch's last batch may be smaller: its gradient is divided by the batch
            size like the others, so that every example weighs the same.
        sampling: How batches are drawn; see ``thalweg.data.samplers.Sampler``.
        schedule: The share of the step size that each update takes.
        transforms: What happens to gradients before the rule sees them, in order.
        clip_norm: Gradients are shortened to this length, after the transforms; None for no limit.
        average: Which iterates make the point that is traced and returned; the last one alone when None.
        seed: Of the batches.
        compiled: Whether epochs run compiled where they can; from a number of updates on when None.
        step_for_noise: Set by tuning, for steps that follow the noise from epoch to epoch.

    """

    step_size: float | None = None
    _: KW_ONLY
    batch_size: int | str | None = AUTO
    sampling: str = "reshuffle"
    schedule: Schedule = Constant()
    transforms: tuple[GradientTransform, ...] = ()
    clip_norm: float | None = None
    average: Average | None = None
    seed: int = 0
    compiled: bool | None = None
    step_for_noise: StepForNoise | None = field(default=None, repr=False)
    usual_step: ClassVar[float] = 1e-3

    def __post_init__(self) -> None:
        if self.step_size is not None:
            value = checked_number("step_size", self.step_size, "leave it out to have it tuned")
            if value == 0:
                raise InputError("step_size=0: expected a number > 0", "leave it out to have it tuned")
            object.__setattr__(self, "step_size", value)
        if not (self.batch_size is None or self.batch_size == AUTO):
            if isinstance(self.batch_size, str):
                raise InputError(f"batch_size={self.batch_size!r}", "give a whole number, 'auto' or None")
            object.__setattr__(self, "batch_size", whole("batch_size", self.batch_size))
        Sampler(1, 1, self.sampling, self.seed)
        if not isinstance(self.schedule, Schedule):
            raise InputError(f"schedule={self.schedule!r:.60} is no schedule", "pass one such as Cosine(1000)")
        if not isinstance(self.transforms, tuple) or not all(callable(one) for one in self.transforms):
            raise InputError(f"transforms={self.transforms!r:.60}", "pass a tuple such as (ClipValue(1.0),)")
        if self.clip_norm is not None:
            ClipNorm(self.clip_norm)
        if not (self.average is None or isinstance(self.average, Average)):
            raise InputError(f"average={self.average!r:.60} is no average", "pass one such as PolyakAverage()")
        if not (self.compiled is None or isinstance(self.compiled, bool)):
            raise InputError(f"compiled={self.compiled!r:.60}", "pass True, False or None")
        self.rule()

    def __repr__(self) -> str:
        shown = ((f.name, getattr(self, f.name), f.default) for f in fields(self) if f.repr)
        return (
            f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value, usual in shown if value != usual)})"
        )

    @abstractmethod
    def rule(self) -> UpdateRule:
        """How a gradient moves x."""

    def tuned_step(
        self, largest: float, smallest: float, batch_size: int, quadratic: bool, noise: Noise | None
    ) -> Self:
        """The method with its step size and what else it takes from the constants.

        Args:
            largest: L.
            smallest: mu.
            batch_size: B; with whole gradients, n.
            quadratic: Whether the objective is a quadratic.
            noise: What is known of single examples; None with whole gradients.

        Returns:
            With the usual step of the method, which belongs to batches of ``REFERENCE_BATCH``, scaled to this batch.

        """
        if noise is None:
            return replace(self, step_size=self.usual_step)
        return replace(self, step_size=scaled_step(SQUARE_ROOT, self.usual_step, REFERENCE_BATCH, batch_size))

    def held(self, step: StepForNoise, noise: Noise) -> Self:
        """The method with steps that follow the noise; ``step_size`` is the one for the noise at the start."""
        return replace(self, step_size=step(noise.variance), step_for_noise=step)

    def _base_step(self, point: Any) -> float:
        """The step size of the updates that begin at a point."""
        assert self.step_size is not None  # whoever runs a method looks at is_tuned first
        variance = getattr(point, "gradient_variance", None)
        if self.step_for_noise is None or variance is None:
            return self.step_size
        return self.step_for_noise(variance, float(point.gradient @ point.gradient))

    @property
    def needs(self) -> frozenset[str]:  # type: ignore[override]
        """Value and gradient, and gradients of samples where a batch size is given."""
        sampled = isinstance(self.batch_size, int)
        return frozenset({"value", "gradient", "sample"} if sampled else {"value", "gradient"})

    @property
    def noisy(self) -> bool:  # type: ignore[override]
        """Whether steps follow sampled gradients, where the problem has them."""
        return self.batch_size is not None

    @property
    def is_tuned(self) -> bool:
        """Whether the step size is known, and what the schedule needs."""
        return self.step_size is not None and self.schedule.is_tuned

    def tuned(self, largest: float, smallest: float, *, quadratic: bool = False, noise: Noise | None = None) -> Self:
        """The settings for curvatures between ``smallest`` (mu) and ``largest`` (L); what was given stays."""
        if self.batch_size is None:
            noise = None
        known = noise or Noise(0.0, largest, 1, 0.0, 0.0)
        batch = self._batch_size(known.examples)
        ready = self if self.step_size is not None else self.tuned_step(largest, smallest, batch, quadratic, noise)
        assert ready.step_size is not None
        return replace(ready, schedule=self.schedule.tuned(smallest, ready.step_size, known, batch))

    def init(self, point: Any) -> State:
        """Start where the point is."""
        memory = {"x": point.x, "slots": self.rule().init(point.x), "count": 0, "epoch": 0, "averaged": False}
        if self.average is not None:
            memory["mean"] = point.x
        return replace(arrived(point, self._base_step(point), 2.0, memory), step_size=0.0)

    def step(self, state: State) -> State:
        """An epoch; one update where there are no batches."""
        memory, problem = state.memory, state.point.problem
        sampler = self._sampler(state.point)
        count = 1 if sampler is None else sampler.updates
        first, base = memory["count"] + 1, self._base_step(state.point)
        step_sizes = base * self.schedule.values(first, count)
        weights = None if self.average is None else self.average.weights(first, count)
        if weights is not None and not weights.any():
            weights = None
        order = np.zeros(1, dtype=np.int64) if sampler is None else sampler.order(memory["epoch"])
        batch = 1 if sampler is None else sampler.batch_size
        epoch = Epoch(order, batch, step_sizes, weights, first, self.rule(), self._transforms())
        walk = Walk(memory["x"], memory["slots"], memory.get("mean", memory["x"]))
        with np.errstate(all="ignore"):  # too long a step may leave the floating-point range; the driver looks
            if sampler is None:
                walk, passes = self._whole(state.point, epoch, walk, at_hand=not memory["averaged"])
            else:
                walk, _ = run_epoch(problem, epoch, walk, self.compiled)
                passes = batch_passes(problem, sampler, count)
            averaged = memory["averaged"] or weights is not None
            point = problem.at(walk.mean if averaged else walk.x)
            _ = point.gradient  # brings the value along
        after = {"x": walk.x, "slots": walk.slots, "count": first - 1 + count, "epoch": memory["epoch"] + 1}
        after["averaged"] = averaged
        if self.average is not None:
            after["mean"] = walk.mean
        return arrived(point, float(step_sizes[-1]), passes + 2.0, after)

    def _whole(self, point: Any, epoch: Epoch, walk: Walk, at_hand: bool) -> tuple[Walk, float]:
        """One update by the whole gradient, which is at hand unless the point is an average."""
        gradient = point.gradient if at_hand else point.problem.at(walk.x).gradient
        for transform in epoch.transforms:
            gradient = transform(walk.x, gradient)
        x, slots = epoch.rule.update(walk.x, gradient, walk.slots, float(epoch.step_sizes[0]), epoch.first)
        mean = walk.mean if epoch.weights is None else walk.mean + float(epoch.weights[0]) * (x - walk.mean)
        return Walk(x, slots, mean), 0.0 if at_hand else 2.0

    def _transforms(self) -> tuple[GradientTransform, ...]:
        return self.transforms if self.clip_norm is None else (*self.transforms, ClipNorm(self.clip_norm))

    def _batch_size(self, examples: int) -> int:
        """B on a sum of so many examples."""
        if self.batch_size is None:
            return examples
        return min(BATCH_SIZE if isinstance(self.batch_size, str) else self.batch_size, examples)

    def _sampler(self, point: Any) -> Sampler | None:
        """How batches are drawn at such points; None where whole gradients are followed."""
        if self.batch_size is None or not hasattr(type(point), "sample"):
            return None
        n = point.problem.n
        return Sampler(n, self._batch_size(n), self.sampling, self.seed)


def batch_passes(problem: Any, sampler: Sampler, count: int) -> float:
    """What the gradients of so many batches cost, in passes over the data.

    Args:
        problem: With ``n`` examples; ``sample_passes(B)`` where a batch costs something else than 2 B/n.
        sampler: How the batches are drawn.
        count: How many, in as many epochs as it takes.

    """
    own = getattr(problem, "sample_passes", None)
    if own is not None:
        return count * float(own(sampler.batch_size))
    return 2.0 if count == sampler.updates else 2.0 * count * sampler.batch_size / sampler.n


def arrived(point: Any, step_size: float, passes: float, memory: dict[str, Any]) -> State:
    """The state at a point that has been evaluated."""
    gradient = point.gradient
    if not (finite(gradient) and np.isfinite(point.value)):
        return State(point, -gradient, np.inf, step_size, passes, None, Status.DIVERGED, memory=memory)
    decrement = step_size * float(gradient @ gradient)
    return State(point, -step_size * gradient, decrement, step_size, passes, memory=memory)
