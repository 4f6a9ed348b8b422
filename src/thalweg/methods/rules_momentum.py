"""Update rules that follow the gradient or an average of it: SGD's plain step, momentum, Nesterov's form, NAG-GS.

Each section holds the update, its defaults and its reference. Sums are taken in torch's order where torch has the rule.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from thalweg.core.check import checked_number
from thalweg.core.errors import InputError
from thalweg.core.vector import Any1D, zeros_like
from thalweg.methods.rule import Slots, UpdateRule

# --- Plain step -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class PlainStep(UpdateRule):
    """x <- x - alpha g, with g + ``weight_decay`` x in place of g.

    Args:
        weight_decay: Weight of (1/2) ||x||^2, which is added to the objective; at least 0.

    Source: Robbins and Monro, Annals of Mathematical Statistics 22 (1951), 400-407.
    """

    weight_decay: float = 0.0
    name: ClassVar[str] = "sgd"
    reference: ClassVar[str] = "Robbins and Monro, Annals of Mathematical Statistics 22 (1951), 400-407"

    def __post_init__(self) -> None:
        check_settings(self, "weight_decay")

    def init(self, x: Any1D) -> Slots:
        """Nothing is carried along."""
        return {}

    def update(self, x: Any1D, gradient: Any1D, slots: Slots, step_size: float, count: int) -> tuple[Any1D, Slots]:
        """One step against the gradient."""
        return stepped(x, step_size, decayed(gradient, x, self.weight_decay)), slots


# --- Momentum -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class MomentumStep(UpdateRule):
    """m <- beta m + (1 - ``dampening``) g; x <- x - alpha m; with ``nesterov``, x <- x - alpha (g + beta m).

    m starts as the first gradient, undampened. Without dampening the heavy ball x - alpha g + beta (x - x_previous) is
    the same sequence for a constant alpha. The form with ``nesterov`` moves the point y at which Nesterov's gradients
    are taken: y_k = x_k + beta (x_k - x_{k-1}).

    Args:
        momentum: beta, in [0, 1).
        dampening: In [0, 1); 0 with ``nesterov``.
        nesterov: Whether the step looks ahead.
        weight_decay: Weight of (1/2) ||x||^2, which is added to the objective; at least 0.

    Source: Polyak, USSR Comput. Math. Math. Phys. 4 (1964), 1-17; Sutskever, Martens, Dahl and Hinton, On the
    importance of initialization and momentum in deep learning, ICML (2013), equations 1-4.
    """

    momentum: float = 0.9
    dampening: float = 0.0
    nesterov: bool = False
    weight_decay: float = 0.0
    name: ClassVar[str] = "momentum"
    reference: ClassVar[str] = "Sutskever, Martens, Dahl and Hinton, ICML (2013), equations 1-4"

    def __post_init__(self) -> None:
        check_settings(self, "weight_decay", shares=("momentum", "dampening"), flags=("nesterov",))
        if self.nesterov and (self.momentum == 0 or self.dampening != 0):
            raise InputError(
                f"nesterov=True with momentum={self.momentum!r}, dampening={self.dampening!r}",
                "give momentum > 0 and dampening=0: the look-ahead is along the momentum",
            )

    def init(self, x: Any1D) -> Slots:
        """At rest."""
        return {"momentum": zeros_like(x)}

    def update(self, x: Any1D, gradient: Any1D, slots: Slots, step_size: float, count: int) -> tuple[Any1D, Slots]:
        """One step along the averaged gradient."""
        g = decayed(gradient, x, self.weight_decay)
        if self.momentum == 0:
            return stepped(x, step_size, g), slots
        m = g if count == 1 else self.momentum * slots["momentum"] + (1 - self.dampening) * g
        return stepped(x, step_size, g + self.momentum * m if self.nesterov else m), {"momentum": m}


# --- NAG-GS ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class NagGsStep(UpdateRule):
    """Nesterov's accelerated flow by a semi-implicit Gauss-Seidel step; stable for long steps, with noise too.

    The flow x' = v - x, gamma v' = mu (x - v) - grad f(x), gamma' = mu - gamma is discretised as
        x_{k+1} = (x_k + alpha v_k) / (1 + alpha),
        v_{k+1} = (gamma_k v_k + alpha mu x_{k+1} - alpha grad f(x_{k+1})) / (gamma_k + alpha mu),
        gamma_{k+1} = (gamma_k + alpha mu) / (1 + alpha),
    from v_0 = x_0, so that x_1 = x_0 and the first gradient is the one at the start. An update here begins with a
    gradient: it is v_{k+1}, gamma_{k+1} and then x_{k+2}. alpha is a length of time in the flow, not a multiple of g:
    the gradient is scaled by alpha / (gamma + alpha mu).

    Args:
        mu: Strong convexity that the flow assumes, at least 0; at 0 gamma falls to nothing, and alpha must with it.
        gamma: The first gamma, positive; with gamma = mu it stays.

    The defaults are those of the authors' program.
    Source: Leplat, Merkulov, Katrutsa, Bershatsky, Tsymboi and Oseledets, NAG-GS: semi-implicit, accelerated and robust
    stochastic optimizer, arXiv:2209.14937 (2022), section 2.
    """

    mu: float = 1.0
    gamma: float = 1.0
    name: ClassVar[str] = "nag-gs"
    reference: ClassVar[str] = (
        "Leplat, Merkulov, Katrutsa, Bershatsky, Tsymboi and Oseledets, arXiv:2209.14937 (2022), section 2"
    )

    def __post_init__(self) -> None:
        check_settings(self, "mu", positive=("gamma",))

    def init(self, x: Any1D) -> Slots:
        """v and gamma of the flow, at rest."""
        return {"v": x, "gamma": self.gamma}

    def update(self, x: Any1D, gradient: Any1D, slots: Slots, step_size: float, count: int) -> tuple[Any1D, Slots]:
        """v by the gradient at x, then x towards v."""
        alpha, gamma = float(step_size), slots["gamma"]
        total = gamma + alpha * self.mu
        v = (gamma / total) * slots["v"] + (alpha * self.mu / total) * x - (alpha / total) * gradient
        share = alpha / (1 + alpha)
        return (1 - share) * x + share * v, {"v": v, "gamma": total / (1 + alpha)}


# --- What rules share -----------------------------------------------------------------------------------------------


def check_settings(
    rule: UpdateRule,
    *amounts: str,
    shares: tuple[str, ...] = (),
    positive: tuple[str, ...] = (),
    flags: tuple[str, ...] = (),
) -> None:
    """Check a rule's settings and keep them as Python's floats, which leave float32 vectors what they are.

    Args:
        rule: The rule, as it is made.
        amounts: Names of settings that are at least 0.
        shares: Names of settings in [0, 1).
        positive: Names of settings above 0.
        flags: Names of settings that are True or False.

    Raises:
        InputError: Naming the setting that is out of its range.

    """
    for name in (*amounts, *shares, *positive):
        value = checked_number(name, getattr(rule, name), "leave it out for the default")
        if name in shares and value >= 1:
            raise InputError(f"{name}={value!r}: expected a number in [0, 1)", "leave it out for the default")
        if name in positive and value == 0:
            raise InputError(f"{name}={value!r}: expected a number > 0", "leave it out for the default")
        object.__setattr__(rule, name, value)
    for name in flags:
        if not isinstance(getattr(rule, name), bool):
            raise InputError(f"{name}={getattr(rule, name)!r}: expected True or False", "leave it out for the default")


def decayed(gradient: Any1D, x: Any1D, weight_decay: float) -> Any1D:
    """The gradient of the objective with (weight_decay / 2) ||x||^2 added."""
    return gradient + weight_decay * x if weight_decay else gradient


def stepped(x: Any1D, step_size: float, direction: Any1D) -> Any1D:
    """X - step_size direction."""
    return x - float(step_size) * direction
