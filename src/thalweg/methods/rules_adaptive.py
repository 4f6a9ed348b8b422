"""Update rules whose steps are scaled entry by entry: AdaGrad, RMSProp, Adam with AdamW and AMSGrad, Lion.

Each section holds the update, its defaults and its reference. g is the gradient; products, quotients and roots are
entry by entry. Sums are taken in torch's order where torch has the rule.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from thalweg.core.vector import Any1D, maximum, sign, sqrt, zeros_like
from thalweg.methods.rule import Slots, UpdateRule
from thalweg.methods.rules_momentum import check_settings, decayed, stepped

# --- AdaGrad --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class AdaGradStep(UpdateRule):
    """s <- s + g^2; x <- x - alpha_t g / (sqrt(s) + epsilon) with alpha_t = alpha / (1 + (t - 1) ``step_size_decay``).

    Args:
        step_size_decay: At least 0.
        initial_accumulator: s before the first gradient, at least 0.
        epsilon: Positive, so that an entry without any gradient stays.
        weight_decay: Weight of (1/2) ||x||^2, which is added to the objective; at least 0.

    Source: Duchi, Hazan and Singer, J. Mach. Learn. Res. 12 (2011), 2121-2159, figure 1.
    """

    step_size_decay: float = 0.0
    initial_accumulator: float = 0.0
    epsilon: float = 1e-10
    weight_decay: float = 0.0
    name: ClassVar[str] = "adagrad"
    reference: ClassVar[str] = "Duchi, Hazan and Singer, Journal of Machine Learning Research 12 (2011), figure 1"

    def __post_init__(self) -> None:
        check_settings(self, "step_size_decay", "initial_accumulator", "weight_decay", positive=("epsilon",))

    def init(self, x: Any1D) -> Slots:
        """The initial accumulator in every entry."""
        return {"squares": zeros_like(x) + self.initial_accumulator}

    def update(self, x: Any1D, gradient: Any1D, slots: Slots, step_size: float, count: int) -> tuple[Any1D, Slots]:
        """One step, scaled by all squares so far."""
        g = decayed(gradient, x, self.weight_decay)
        squares = slots["squares"] + g * g
        alpha = step_size / (1 + (count - 1) * self.step_size_decay)
        return stepped(x, alpha, g / (sqrt(squares) + self.epsilon)), {"squares": squares}


# --- RMSProp --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class RMSPropStep(UpdateRule):
    """s <- rho s + (1 - rho) g^2; x <- x - alpha g / (sqrt(s) + epsilon).

    With ``centered``, s - a^2 takes the place of s, where a <- rho a + (1 - rho) g: a variance. With momentum,
    m <- ``momentum`` m + g / (sqrt(s) + epsilon) and x <- x - alpha m.

    Args:
        rho: In [0, 1).
        epsilon: Positive.
        centered: Whether squares are taken about the average gradient.
        momentum: In [0, 1).
        weight_decay: Weight of (1/2) ||x||^2, which is added to the objective; at least 0.

    Source: Tieleman and Hinton, Neural networks for machine learning (2012), lecture 6.5; centered: Graves, Generating
    sequences with recurrent neural networks, arXiv:1308.0850 (2013), equations 38-41.
    """

    rho: float = 0.99
    epsilon: float = 1e-8
    centered: bool = False
    momentum: float = 0.0
    weight_decay: float = 0.0
    name: ClassVar[str] = "rmsprop"
    reference: ClassVar[str] = "Tieleman and Hinton, Neural networks for machine learning (2012), lecture 6.5"

    def __post_init__(self) -> None:
        check_settings(self, "weight_decay", shares=("rho", "momentum"), positive=("epsilon",), flags=("centered",))

    def init(self, x: Any1D) -> Slots:
        """Averages of zero."""
        slots = {"squares": zeros_like(x)}
        if self.centered:
            slots["average"] = zeros_like(x)
        if self.momentum:
            slots["momentum"] = zeros_like(x)
        return slots

    def update(self, x: Any1D, gradient: Any1D, slots: Slots, step_size: float, count: int) -> tuple[Any1D, Slots]:
        """One step, scaled by recent squares."""
        g = decayed(gradient, x, self.weight_decay)
        squares = self.rho * slots["squares"] + (1 - self.rho) * (g * g)
        following, spread = {"squares": squares}, squares
        if self.centered:
            average = slots["average"] + (1 - self.rho) * (g - slots["average"])
            following["average"] = average
            spread = maximum(squares - average * average, zeros_like(x))  # rounding may leave it below zero
        direction = g / (sqrt(spread) + self.epsilon)
        if self.momentum:
            direction = self.momentum * slots["momentum"] + direction
            following["momentum"] = direction
        return stepped(x, step_size, direction), following


# --- Adam -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class AdamStep(UpdateRule):
    """x <- x - alpha m^ / (sqrt(v^) + epsilon), m^ = m / (1 - beta1^t) and v^ = v / (1 - beta2^t).

    Here m <- beta1 m + (1 - beta1) g and v <- beta2 v + (1 - beta2) g^2, from zero at t = 0; dividing by 1 - beta^t
    makes weighted means of them, so that the first step is alpha in every entry. With ``decoupled`` (AdamW) weight
    decay shrinks x by 1 - alpha ``weight_decay`` before the step instead of entering g. With ``amsgrad`` the largest v
    so far takes the place of v.

    Args:
        beta1: In [0, 1).
        beta2: In [0, 1).
        epsilon: Positive.
        amsgrad: Whether v may not fall.
        weight_decay: At least 0.
        decoupled: Whether weight decay is AdamW's.

    Source: Kingma and Ba, ICLR (2015), algorithm 1; decoupled: Loshchilov and Hutter, ICLR (2019), algorithm 2;
    amsgrad: Reddi, Kale and Kumar, ICLR (2018), algorithm 2.
    """

    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    amsgrad: bool = False
    weight_decay: float = 0.0
    decoupled: bool = False
    name: ClassVar[str] = "adam"
    reference: ClassVar[str] = (
        "Kingma and Ba, ICLR (2015), algorithm 1; Loshchilov and Hutter, ICLR (2019), algorithm 2"
    )

    def __post_init__(self) -> None:
        check_settings(
            self, "weight_decay", shares=("beta1", "beta2"), positive=("epsilon",), flags=("amsgrad", "decoupled")
        )

    def init(self, x: Any1D) -> Slots:
        """Averages of zero."""
        slots = {"average": zeros_like(x), "squares": zeros_like(x)}
        if self.amsgrad:
            slots["largest"] = zeros_like(x)
        return slots

    def update(self, x: Any1D, gradient: Any1D, slots: Slots, step_size: float, count: int) -> tuple[Any1D, Slots]:
        """One step along the mean gradient, scaled by the mean square."""
        alpha = float(step_size)
        if self.decoupled:
            x, g = (1 - alpha * self.weight_decay) * x, gradient
        else:
            g = decayed(gradient, x, self.weight_decay)
        average = slots["average"] + (1 - self.beta1) * (g - slots["average"])
        squares = self.beta2 * slots["squares"] + (1 - self.beta2) * (g * g)
        following, scale = {"average": average, "squares": squares}, squares
        if self.amsgrad:
            following["largest"] = scale = maximum(slots["largest"], squares)
        root = sqrt(scale) / math.sqrt(1 - self.beta2**count)
        return stepped(x, alpha / (1 - self.beta1**count), average / (root + self.epsilon)), following


# --- Lion -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class LionStep(UpdateRule):
    """x <- x - alpha (sign(beta1 m + (1 - beta1) g) + ``weight_decay`` x); m <- beta2 m + (1 - beta2) g.

    Every entry moves by alpha, so that alpha is 3 to 10 times smaller than Adam's.

    Args:
        beta1: In [0, 1).
        beta2: In [0, 1).
        weight_decay: Decoupled from the gradient, at least 0.

    Source: Chen et al., Symbolic discovery of optimization algorithms, NeurIPS (2023), algorithm 2.
    """

    beta1: float = 0.9
    beta2: float = 0.99
    weight_decay: float = 0.0
    name: ClassVar[str] = "lion"
    reference: ClassVar[str] = "Chen et al., Symbolic discovery of optimization algorithms, NeurIPS (2023), algorithm 2"

    def __post_init__(self) -> None:
        check_settings(self, "weight_decay", shares=("beta1", "beta2"))

    def init(self, x: Any1D) -> Slots:
        """At rest."""
        return {"momentum": zeros_like(x)}

    def update(self, x: Any1D, gradient: Any1D, slots: Slots, step_size: float, count: int) -> tuple[Any1D, Slots]:
        """One step of the same size in every entry."""
        m = slots["momentum"]
        direction = decayed(sign(self.beta1 * m + (1 - self.beta1) * gradient), x, self.weight_decay)
        return stepped(x, step_size, direction), {"momentum": self.beta2 * m + (1 - self.beta2) * gradient}
