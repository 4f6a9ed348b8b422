"""Estimates of f - f* where nothing can be proven: what a model promises, held against how the run converges."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from thalweg.core.records import Certificate, CertificateKind
from thalweg.methods.method import State

#: A run that converges more slowly than by this factor a step is extrapolated as if by this factor.
SLOWEST = 0.98
#: A decrement that shrinks by less than this factor a step shows convergence that is not quadratic.
LINEAR = 0.1
#: Least share of what a Newton model promised that the last step must have brought for the next model to be believed.
BELIEVED = 0.5
#: A decrement below so many units of rounding of f cannot be compared with differences of values.
HIDDEN = 1e3
#: Units of rounding that a value may be off by.
ROUNDING = 8
#: Steps from whose decrease a run is extrapolated where the model is learned.
WINDOW = 3


class Estimating:
    """Looks twice at an estimate that meets the target.

    Half the decrement is what a quadratic model of f promises. Where the Hessian vanishes at the minimum, or changes
    much on the way there, more is left, and the run shows it: it converges linearly, and its tail is a geometric
    series (Aitken). Where the model was learned from gradients, directions that were not yet met are missing from it:
    before the run ends, the Newton decrement at the point is computed for the purpose.

    Args:
        target: Wanted bound on f - f*.
        precision: Spacing of the numbers just above 1 in the element type of x.

    Attributes:
        value: f at the last step.
        decrements: The model's decrement there and one step before.
        held: Whether the estimate met the target at the last step.
        next_look: The step before which no Newton decrement is computed again.

    """

    def __init__(self, target: float, precision: float) -> None:
        self.target = target
        self.precision = precision
        self.value = math.nan
        self.decrements = math.nan, math.nan
        self.held = False
        self.next_look = 0

    @property
    def kept(self) -> dict[str, Any]:
        """What a run that is resumed must know."""
        return {name: getattr(self, name) for name in ("value", "decrements", "held", "next_look")}

    @kept.setter
    def kept(self, values: dict[str, Any]) -> None:
        for name, value in values.items():
            setattr(self, name, value)

    def __call__(
        self, state: State, certificate: Certificate, values: list[float], step: int, learned: bool
    ) -> Certificate:
        """The estimate, or what the run or the Hessian imply where that is more.

        Args:
            state: Where the run stands.
            certificate: Half the decrement of the model there.
            values: f at every earlier step.
            step: Number of this step.
            learned: Whether the model was learned from gradients; else it is Newton's.

        """
        judged, sure = self._held_against_the_run(state, certificate, values, learned)
        self.value = state.point.value
        self.decrements = state.decrement, self.decrements[0]
        meets, before = judged.gap <= self.target, self.held
        self.held = meets
        if not meets:
            return judged
        if not state.exact:
            judged = self._by_the_hessian(state, judged, step)
            self.held = judged.gap <= self.target
        if sure or before or learned or not self.held:
            return judged
        return replace(judged, gap=math.inf, how="to be held against the next step")

    def far(self, state: State) -> Certificate:
        """What a learned model says where it is above the target: no second look is needed."""
        self.value = state.point.value
        self.decrements = state.decrement, self.decrements[0]
        self.held = False
        rounding = ROUNDING * self.precision * abs(self.value)
        how = "half the decrement of the model"
        return Certificate(0.5 * state.decrement + rounding, CertificateKind.ESTIMATE, how, rounding)

    def _held_against_the_run(
        self, state: State, certificate: Certificate, values: list[float], learned: bool
    ) -> tuple[Certificate, bool]:
        """The certificate, at least as large as the run shows, and whether it converged fast enough to be sure."""
        if certificate.kind is not CertificateKind.ESTIMATE or not certificate.gap <= self.target:
            return certificate, False
        return self._by_learning(state, certificate, values) if learned else self._by_newton(state, certificate)

    def _by_newton(self, state: State, certificate: Certificate) -> tuple[Certificate, bool]:
        """Between Newton steps the decrement shrinks by the factor r of f - f*.

        Of the last decrease the share r / (1 - r) is left: nothing where convergence is quadratic, and all of f - f*
        where it is linear.
        """
        last, before = self.decrements
        decrease = self.value - state.point.value
        if last > HIDDEN * self.precision * abs(state.point.value) and decrease < BELIEVED * 0.5 * last:
            how = "the model before foretold more than came of the step"
            return replace(certificate, gap=math.inf, how=how), False
        factor = state.decrement / last if last > 0 else math.nan
        if factor > LINEAR and before > 0:
            factor = max(factor, math.sqrt(state.decrement / before))
        return _at_least(certificate, decrease, factor), factor <= LINEAR or state.decrement == 0

    def _by_learning(self, state: State, certificate: Certificate, values: list[float]) -> tuple[Certificate, bool]:
        """The decrease over the last steps beside that over as many steps before."""
        if len(values) < 2 * WINDOW:
            return certificate, False
        first, middle, last = values[-2 * WINDOW], values[-WINDOW], state.point.value
        before, after = first - middle, middle - last
        return _at_least(certificate, after, after / before if before > 0 else math.nan), False

    def _by_the_hessian(self, state: State, certificate: Certificate, step: int) -> Certificate:
        """The estimate of a Newton step computed for the purpose, seldom where it disappoints."""
        if step < self.next_look:
            return replace(certificate, gap=math.inf, how="the Hessian is looked at in a later step")
        certain: Certificate = state.point.certificate(None, None, self.target)
        if not certain.gap <= self.target:
            self.next_look = step + 1 + step // 4
        return certain


def _at_least(certificate: Certificate, decrease: float, factor: float) -> Certificate:
    """The certificate, or twice the tail of the geometric series where that is larger: its factor is known roughly."""
    if not (decrease > 0 and factor > 0):
        return certificate
    factor = min(factor, SLOWEST)
    tail = 2 * decrease * factor / (1 - factor)
    if tail <= certificate.gap:
        return certificate
    return replace(certificate, gap=tail, how="the last decreases, continued as a geometric series")
