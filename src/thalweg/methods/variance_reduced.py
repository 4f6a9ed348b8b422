"""Variance reduction: stochastic gradients corrected at an anchor, so that their noise fades with the distance from it.

On a sum of losses of margins the anchor's gradients are one number a margin, at hand from its evaluation.
"""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, fields, replace
from typing import Any, ClassVar, Self

import numpy as np

from thalweg.core.check import checked_number
from thalweg.core.errors import InputError
from thalweg.data.samplers import Sampler
from thalweg.methods.averaging import PolyakAverage
from thalweg.methods.batch_rules import expected_smoothness
from thalweg.methods.epochs import Epoch, Walk, run_epoch
from thalweg.methods.method import Method, Noise, State
from thalweg.methods.rules_momentum import PlainStep
from thalweg.methods.schedule import whole
from thalweg.methods.stochastic import arrived, batch_passes

ANCHORS = ("last", "mean")


@dataclass(frozen=True, repr=False)
class SVRG(Method):
    """x <- x - eta (g_i(x) - g_i(a) + g(a)) with the whole gradient g at an anchor a, which moves every m updates.

    A step of the method is such an epoch.
    Tuned: eta = 1/(10 L_B), with L_B = L_max for single examples (``expected_smoothness``).
    Rate an epoch, for ``anchor="mean"`` and single examples drawn with replacement:
    1/(mu eta (1 - 2 L_max eta) m) + 2 L_max eta/(1 - 2 L_max eta), which m >= 50 L_max/mu brings to 1/2 for the tuned
    step; the last iterate is usually the better anchor.
    Source: Johnson and Zhang, NIPS (2013), theorem 1.

    Attributes:
        step_size: eta; tuned when None.
        inner_steps: m; as many as make two passes through the examples when None.
        batch_size: Examples an update.
        sampling: How batches are drawn; see ``thalweg.data.samplers.Sampler``.
        anchor: The next anchor: ``"last"``, the last iterate, or ``"mean"``, that of the m iterates before it.
        seed: Of the batches.
        compiled: Whether epochs run compiled where they can; from a number of updates on when None.

    """

    step_size: float | None = None
    inner_steps: int | None = None
    _: KW_ONLY
    batch_size: int = 1
    sampling: str = "replacement"
    anchor: str = "last"
    seed: int = 0
    compiled: bool | None = None
    name: ClassVar[str] = "svrg"
    needs: ClassVar[frozenset[str]] = frozenset({"value", "gradient", "sample"})
    reference: ClassVar[str] = "Johnson and Zhang, NIPS (2013)"
    noisy: ClassVar[bool] = True
    stall_steps: ClassVar[int] = 50

    def __post_init__(self) -> None:
        if self.step_size is not None:
            value = checked_number("step_size", self.step_size, "leave it out to have it tuned")
            if value == 0:
                raise InputError("step_size=0: expected a number > 0", "leave it out to have it tuned")
            object.__setattr__(self, "step_size", value)
        if self.inner_steps is not None:
            object.__setattr__(self, "inner_steps", whole("inner_steps", self.inner_steps))
        object.__setattr__(self, "batch_size", whole("batch_size", self.batch_size))
        Sampler(1, 1, self.sampling, self.seed)
        if self.anchor not in ANCHORS:
            raise InputError(f"anchor={self.anchor!r} is not known", "use 'last' or 'mean'")
        if not (self.compiled is None or isinstance(self.compiled, bool)):
            raise InputError(f"compiled={self.compiled!r:.60}", "pass True, False or None")

    def __repr__(self) -> str:
        shown = ((f.name, getattr(self, f.name), f.default) for f in fields(self))
        return (
            f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value, usual in shown if value != usual)})"
        )

    @property
    def is_tuned(self) -> bool:
        """Whether the step size is known."""
        return self.step_size is not None

    def tuned(self, largest: float, smallest: float, *, quadratic: bool = False, noise: Noise | None = None) -> Self:
        """The step for a largest curvature L of the sum and L_max of single examples."""
        known = noise or Noise(0.0, largest, 1, 0.0, 0.0)
        batch = min(self.batch_size, known.examples)
        smooth = expected_smoothness(largest, batch, known, self.sampling == "replacement")
        return replace(self, step_size=0.1 / smooth)

    def init(self, point: Any) -> State:
        """The first anchor is the start."""
        assert self.step_size is not None  # whoever runs a method looks at is_tuned first
        return replace(arrived(point, self.step_size, 2.0, {"count": 0, "epoch": 0}), step_size=0.0)

    def step(self, state: State) -> State:
        """An epoch from the anchor to the next one."""
        anchor, problem, memory = state.point, state.point.problem, state.memory
        assert self.step_size is not None
        sampler = Sampler(problem.n, self.batch_size, self.sampling, self.seed)
        count = self.inner_steps or -(-2 * problem.n // sampler.batch_size)
        order = sampler.order(memory["epoch"], count * sampler.batch_size)
        # The mean of x_0, which is the anchor, ..., x_{m-1}.
        weights = PolyakAverage().weights(2, count) if self.anchor == "mean" else None
        if weights is not None:
            weights[-1] = 0.0
        epoch = Epoch(
            order, sampler.batch_size, np.full(count, self.step_size), weights, memory["count"] + 1, PlainStep(),
            anchor=anchor,
        )  # fmt: skip
        with np.errstate(all="ignore"):  # too long a step may leave the floating-point range; the driver looks
            walk, at_once = run_epoch(problem, epoch, Walk(anchor.x, {}, anchor.x), self.compiled)
            point = problem.at(walk.x if weights is None else walk.mean)
            _ = point.gradient  # brings the value along
        passes = batch_passes(problem, sampler, count)
        # One by one, the gradients at the anchor are computed again.
        passes = passes if at_once else 2 * passes
        memory = {"count": memory["count"] + count, "epoch": memory["epoch"] + 1}
        return arrived(point, self.step_size, passes + 2.0, memory)
