"""Stochastic methods by name: an update rule in the loop of batches, with its tuning from the constants."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import ClassVar, Self

from thalweg.core.errors import InputError
from thalweg.methods.batch_rules import expected_smoothness
from thalweg.methods.method import Noise
from thalweg.methods.rule import UpdateRule
from thalweg.methods.rules_adaptive import AdaGradStep, AdamStep, LionStep, RMSPropStep
from thalweg.methods.rules_momentum import MomentumStep, NagGsStep, PlainStep
from thalweg.methods.schedule import Constant
from thalweg.methods.stochastic import StepForNoise, Stochastic

# --- SGD ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, repr=False)
class SGD(Stochastic):
    """x <- x - alpha g_B(x) with the mean gradient of a batch; with momentum, m <- beta m + g_B, x <- x - alpha m.

    Tuned, with a constant step and without an average: alpha = min(B eps/sigma^2, 1/(2 L_B)), whose floor on a
    quadratic, sum_i alpha sigma_i^2/(2 B (2 - alpha h_i)), is at most half the target eps; sigma^2 is measured again
    after every epoch, and as long as ||g||^2/(2L), a lower bound on f - f*, is above eps it takes the place of eps.
    With ``worst_case`` the first is B mu eps/(L sigma^2): for the floor alpha sigma^2 L/(2 mu B),
    which holds without a model, and kappa times shorter. L_B is the expected smoothness of a batch
    (``expected_smoothness``); on quadratics 1/L_B will do. With a schedule or an average the longest step. Momentum
    shortens all by 1 - beta: a step of momentum is 1/(1 - beta) plain ones, 1 - ``dampening`` times as long.
    Rate: (1 - alpha mu) an update, down to the floor.
    Source: Robbins and Monro (1951); Bottou, Curtis and Nocedal, SIAM Review 60 (2018), theorem 4.6.

    Attributes:
        momentum: beta, in [0, 1).
        nesterov: Whether the step looks ahead.
        weight_decay: Weight of (1/2) ||x||^2, which is added to the objective that is followed, intercepts included.
        dampening: In [0, 1): m <- beta m + (1 - ``dampening``) g_B after the first update.
        worst_case: Whether tuning trusts bounds alone.

    """

    momentum: float = 0.0
    nesterov: bool = False
    weight_decay: float = 0.0
    dampening: float = field(default=0.0, kw_only=True)
    worst_case: bool = field(default=False, kw_only=True)
    name: ClassVar[str] = "sgd"
    reference: ClassVar[str] = "Bottou, Curtis and Nocedal, SIAM Review 60 (2018), 223-311"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.worst_case, bool):
            raise InputError(f"worst_case={self.worst_case!r:.60}: expected True or False", "leave it out for False")

    def rule(self) -> UpdateRule:
        """Plain, or with momentum."""
        rule = MomentumStep(self.momentum, self.dampening, self.nesterov, self.weight_decay)
        return rule if rule.momentum else PlainStep(rule.weight_decay)

    def tuned_step(
        self, largest: float, smallest: float, batch_size: int, quadratic: bool, noise: Noise | None
    ) -> Self:
        """The step for curvatures between ``smallest`` (mu) and ``largest`` (L) and this noise."""
        left = (1 - self.momentum) / (1 - self.dampening if self.momentum else 1.0)
        if noise is None:
            return replace(self, step_size=left / largest)
        smooth = expected_smoothness(largest, batch_size, noise, self.sampling == "replacement")
        longest = left / (smooth if quadratic else 2 * smooth)
        if not isinstance(self.schedule, Constant) or self.average is not None or noise.target <= 0:
            return replace(self, step_size=longest)
        unit = left * (smallest / largest if self.worst_case else 1.0)
        replacement = self.sampling == "replacement"
        step = StepForNoise(noise.target, largest, unit, longest, batch_size, noise.examples, replacement)
        return self.held(step, noise)


# --- Adaptive methods -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, repr=False)
class AdaGrad(Stochastic):
    """Steps divided by the root of the sum of all squared gradients so far, entry by entry.

    Tuned: alpha = 0.1 sqrt(B/128): with the sum of squares below it the step falls like 1/sqrt(t) by itself. What torch
    calls ``lr_decay`` is ``schedule=InverseTime(1/lr_decay)``.
    Source: Duchi, Hazan and Singer, J. Mach. Learn. Res. 12 (2011), 2121-2159.

    Attributes:
        epsilon: Added to the root, positive.
        weight_decay: As for ``SGD``.
        initial_accumulator: The sum of squares before the first gradient, at least 0.

    """

    epsilon: float = 1e-10
    weight_decay: float = 0.0
    initial_accumulator: float = field(default=0.0, kw_only=True)
    name: ClassVar[str] = "adagrad"
    reference: ClassVar[str] = AdaGradStep.reference
    rotates: ClassVar[bool] = False
    usual_step: ClassVar[float] = 0.1

    def rule(self) -> UpdateRule:
        """AdaGrad's step."""
        return AdaGradStep(0.0, self.initial_accumulator, self.epsilon, self.weight_decay)


@dataclass(frozen=True, repr=False)
class RMSProp(Stochastic):
    """Steps divided by the root of the recent mean of squared gradients, entry by entry.

    Tuned: alpha = 0.001 sqrt(B/128).
    Source: Tieleman and Hinton, Neural networks for machine learning (2012), lecture 6.5.

    Attributes:
        rho: Share of the mean that is kept an update, in [0, 1).
        epsilon: Added to the root, positive.
        centered: Whether squares are taken about the mean gradient.
        momentum: In [0, 1).
        weight_decay: As for ``SGD``.

    """

    rho: float = 0.99
    epsilon: float = 1e-8
    centered: bool = False
    momentum: float = 0.0
    weight_decay: float = 0.0
    name: ClassVar[str] = "rmsprop"
    reference: ClassVar[str] = RMSPropStep.reference
    rotates: ClassVar[bool] = False
    usual_step: ClassVar[float] = 1e-3

    def rule(self) -> UpdateRule:
        """RMSProp's step."""
        return RMSPropStep(self.rho, self.epsilon, self.centered, self.momentum, self.weight_decay)


@dataclass(frozen=True, repr=False)
class Adam(Stochastic):
    """Steps along the mean gradient divided by the root of the mean square, both without the bias of their start.

    Tuned: alpha = 0.001 sqrt(B/128), the authors' step at their batch size.
    Source: Kingma and Ba, ICLR (2015), algorithm 1.

    Attributes:
        beta1: Share of the mean gradient that is kept an update, in [0, 1).
        beta2: Share of the mean square, in [0, 1).
        epsilon: Added to the root, positive.
        amsgrad: Whether the mean square may not fall.
        weight_decay: As for ``SGD``: it enters the gradient; see ``AdamW`` for the other way.

    """

    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    amsgrad: bool = False
    weight_decay: float = 0.0
    name: ClassVar[str] = "adam"
    reference: ClassVar[str] = "Kingma and Ba, ICLR (2015), algorithm 1"
    rotates: ClassVar[bool] = False
    usual_step: ClassVar[float] = 1e-3

    def rule(self) -> UpdateRule:
        """Adam's step."""
        return AdamStep(self.beta1, self.beta2, self.epsilon, self.amsgrad, self.weight_decay)


@dataclass(frozen=True, repr=False)
class AdamW(Stochastic):
    """Adam with weight decay beside the step instead of in the gradient: x shrinks by 1 - alpha ``weight_decay``.

    The minimum of the objective is not where it stays: leave ``weight_decay`` at 0 where that matters.
    Tuned: alpha = 0.001 sqrt(B/128).
    Source: Loshchilov and Hutter, ICLR (2019), algorithm 2.

    Attributes:
        beta1: Share of the mean gradient that is kept an update, in [0, 1).
        beta2: Share of the mean square, in [0, 1).
        epsilon: Added to the root, positive.
        amsgrad: Whether the mean square may not fall.
        weight_decay: At least 0.

    """

    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    amsgrad: bool = False
    weight_decay: float = 0.01
    name: ClassVar[str] = "adamw"
    reference: ClassVar[str] = "Loshchilov and Hutter, ICLR (2019), algorithm 2"
    rotates: ClassVar[bool] = False
    usual_step: ClassVar[float] = 1e-3

    def rule(self) -> UpdateRule:
        """AdamW's step."""
        return AdamStep(self.beta1, self.beta2, self.epsilon, self.amsgrad, self.weight_decay, decoupled=True)


@dataclass(frozen=True, repr=False)
class Lion(Stochastic):
    """Steps of the same size in every entry: the sign of an average of gradients.

    Tuned: alpha = 0.0002 sqrt(B/128), a fifth of Adam's, as the authors advise.
    Source: Chen et al., Symbolic discovery of optimization algorithms, NeurIPS (2023), algorithm 2.

    Attributes:
        beta1: Share of the average in the step, in [0, 1).
        beta2: Share of the average that is kept an update, in [0, 1).
        weight_decay: Beside the step, as in ``AdamW``.

    """

    beta1: float = 0.9
    beta2: float = 0.99
    weight_decay: float = 0.0
    name: ClassVar[str] = "lion"
    reference: ClassVar[str] = LionStep.reference
    rotates: ClassVar[bool] = False
    usual_step: ClassVar[float] = 2e-4

    def rule(self) -> UpdateRule:
        """Lion's step."""
        return LionStep(self.beta1, self.beta2, self.weight_decay)


# --- NAG-GS ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, repr=False)
class NagGs(Stochastic):
    """Nesterov's accelerated flow in semi-implicit steps; see ``NagGsStep``.

    Tuned, with whole gradients: gamma = mu and alpha = 2/(sqrt(kappa) - 1), at most 1, the authors' best step on
    quadratics. With batches: gamma = mu = L and alpha = 2 L a, with a the step that ``SGD`` would take. For small alpha
    the flow's noise is that of plain steps of alpha/(gamma + mu), by the stationary covariance of its linear equation;
    where noise decides that number, more friction slows no mode, and the flow is as safe as SGD.
    Source: Leplat et al., arXiv:2209.14937 (2022), section 2.

    Attributes:
        mu: Strong convexity that the flow assumes; tuned with the step when None, else 1.
        gamma: The first gamma; tuned with the step when None, else 1.

    """

    mu: float | None = None
    gamma: float | None = None
    name: ClassVar[str] = "nag-gs"
    reference: ClassVar[str] = NagGsStep.reference

    def rule(self) -> UpdateRule:
        """The flow's step."""
        return NagGsStep(1.0 if self.mu is None else self.mu, 1.0 if self.gamma is None else self.gamma)

    def tuned_step(
        self, largest: float, smallest: float, batch_size: int, quadratic: bool, noise: Noise | None
    ) -> Self:
        """The step for curvatures between ``smallest`` (mu) and ``largest`` (L) and this noise."""
        mu = self.mu if self.mu is not None else smallest if noise is None else largest
        gamma = self.gamma if self.gamma is not None else mu or smallest
        root = math.sqrt(largest / smallest)
        step = 2 / (root - 1) if root > 3 else 1.0
        settled = replace(self, mu=mu, gamma=gamma)
        if noise is None:
            return replace(settled, step_size=step)
        like = SGD(batch_size=batch_size, sampling=self.sampling, schedule=self.schedule, average=self.average)
        plain = like.tuned_step(largest, smallest, batch_size, quadratic, noise)
        if plain.step_for_noise is not None:
            return settled.held(plain.step_for_noise.times(gamma + mu), noise)
        assert plain.step_size is not None
        return replace(settled, step_size=(gamma + mu) * plain.step_size)
