"""Update rules as the text of a compiled loop over entries, with their settings as numbers that come at run time.

The text is what the rule's ``update`` says, operation by operation, in the same order; tests hold the two together.
In it ``xj`` is an entry of x and ``g`` one of the gradient, ``s0[j]``, ``s1[j]``, ... are entries of the slots, ``p0``,
``p1``, ... the settings, ``q`` the slots that are numbers, ``a`` the step size, ``t`` the number of the update, from 1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from thalweg.methods.rule import UpdateRule
from thalweg.methods.rules_adaptive import AdaGradStep, AdamStep, LionStep, RMSPropStep
from thalweg.methods.rules_momentum import MomentumStep, NagGsStep, PlainStep


@dataclass(frozen=True)
class EntryUpdate:
    """A rule, entry by entry.

    Attributes:
        settings: ``p0``, ``p1``, ...
        slots: Names of the slots that are vectors: ``s0``, ``s1``, ...
        numbers: Names of the slots that are numbers: ``q``.
        before: Lines before the loop over entries.
        each: Lines for an entry; they change ``xj`` and the slots.

    """

    settings: tuple[float, ...]
    each: tuple[str, ...]
    slots: tuple[str, ...] = ()
    numbers: tuple[str, ...] = ()
    before: tuple[str, ...] = ()


def entry_update(rule: UpdateRule) -> EntryUpdate | None:
    """The rule as text; None for one that has none."""
    write = _WRITTEN.get(type(rule))
    return None if write is None else write(rule)


def _plain(rule: PlainStep) -> EntryUpdate:
    return EntryUpdate((rule.weight_decay,), ("xj = xj - a * (g + p0 * xj)",))


def _momentum(rule: MomentumStep) -> EntryUpdate:
    if rule.momentum == 0:
        return EntryUpdate((rule.weight_decay,), ("xj = xj - a * (g + p0 * xj)",), ("momentum",))
    return EntryUpdate(
        (rule.weight_decay, rule.momentum, 1 - rule.dampening),
        (
            "g = g + p0 * xj",
            "m = g if t == 1 else p1 * s0[j] + p2 * g",
            "s0[j] = m",
            "xj = xj - a * (g + p1 * m)" if rule.nesterov else "xj = xj - a * m",
        ),
        ("momentum",),
    )


def _adagrad(rule: AdaGradStep) -> EntryUpdate:
    return EntryUpdate(
        (rule.weight_decay, rule.step_size_decay, rule.epsilon),
        ("g = g + p0 * xj", "s0[j] = s0[j] + g * g", "xj = xj - rate * (g / (np.sqrt(s0[j]) + p2))"),
        ("squares",),
        before=("rate = a / (1 + (t - 1) * p1)",),
    )


def _rmsprop(rule: RMSPropStep) -> EntryUpdate:
    slots = ["squares"]
    each = ["g = g + p0 * xj", "s0[j] = p1 * s0[j] + (1 - p1) * (g * g)", "spread = s0[j]"]
    if rule.centered:
        slots.append("average")
        each += ["s1[j] = s1[j] + (1 - p1) * (g - s1[j])", "spread = max(s0[j] - s1[j] * s1[j], 0.0)"]
    each.append("m = g / (np.sqrt(spread) + p2)")
    if rule.momentum:
        each += [f"m = p3 * s{len(slots)}[j] + m", f"s{len(slots)}[j] = m"]
        slots.append("momentum")
    each.append("xj = xj - a * m")
    return EntryUpdate((rule.weight_decay, rule.rho, rule.epsilon, rule.momentum), tuple(each), tuple(slots))


def _adam(rule: AdamStep) -> EntryUpdate:
    slots = ["average", "squares"]
    each = [
        "xj = (1 - a * p0) * xj" if rule.decoupled else "g = g + p0 * xj",
        "s0[j] = s0[j] + (1 - p1) * (g - s0[j])",
        "s1[j] = p2 * s1[j] + (1 - p2) * (g * g)",
    ]
    if rule.amsgrad:
        slots.append("largest")
        each.append("s2[j] = max(s2[j], s1[j])")
    scale = "s2[j]" if rule.amsgrad else "s1[j]"
    each.append(f"xj = xj - rate * (s0[j] / (np.sqrt({scale}) / root + p3))")
    before = ("root = np.sqrt(1 - p2 ** t)", "rate = a / (1 - p1 ** t)")
    settings = (rule.weight_decay, rule.beta1, rule.beta2, rule.epsilon)
    return EntryUpdate(settings, tuple(each), tuple(slots), before=before)


def _lion(rule: LionStep) -> EntryUpdate:
    return EntryUpdate(
        (rule.weight_decay, rule.beta1, rule.beta2),
        (
            "m = np.sign(p1 * s0[j] + (1 - p1) * g)",
            "s0[j] = p2 * s0[j] + (1 - p2) * g",
            "xj = xj - a * (m + p0 * xj)",
        ),
        ("momentum",),
    )


def _nag_gs(rule: NagGsStep) -> EntryUpdate:
    return EntryUpdate(
        (rule.mu,),
        ("s0[j] = kept * s0[j] + pulled * xj - pushed * g", "xj = (1 - pace) * xj + pace * s0[j]"),
        ("v",),
        ("gamma",),
        (
            "mass = q[0] + a * p0",
            "kept, pulled, pushed = q[0] / mass, a * p0 / mass, a / mass",
            "pace = a / (1 + a)",
            "q[0] = mass / (1 + a)",
        ),
    )


_WRITTEN: dict[type, Callable[..., EntryUpdate]] = {
    PlainStep: _plain,
    MomentumStep: _momentum,
    AdaGradStep: _adagrad,
    RMSPropStep: _rmsprop,
    AdamStep: _adam,
    LionStep: _lion,
    NagGsStep: _nag_gs,
}
