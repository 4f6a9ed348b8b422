"""What goes with the batch size: steps by the linear or the square-root rule, smoothness, noise; a reference table."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from thalweg.core.check import checked_number
from thalweg.core.errors import InputError, UnsupportedError
from thalweg.methods.method import Noise
from thalweg.methods.schedule import whole

LINEAR, SQUARE_ROOT = "linear", "square-root"

#: Which rule goes with which method: steps along the gradient are linear; where a step is divided by the root of the
#: mean square of gradients, whose noise falls like 1/B, only the root of B is left.
BATCH_RULES: dict[str, str] = {
    "gradient-descent": LINEAR,
    "sgd": LINEAR,
    "momentum": LINEAR,
    "heavy-ball": LINEAR,
    "nesterov": LINEAR,
    "adagrad": SQUARE_ROOT,
    "rmsprop": SQUARE_ROOT,
    "adam": SQUARE_ROOT,
    "adamw": SQUARE_ROOT,
    "lion": SQUARE_ROOT,
    "nag-gs": SQUARE_ROOT,
}


def scaled_step(rule: Any, step_size: float, from_batch: int, to_batch: int) -> float:
    """The step size for another batch size.

    Linear, alpha B'/B, for SGD, momentum and Nesterov; square root, alpha sqrt(B'/B), for Adam, RMSProp, NAG-GS and
    their relatives. Either keeps the noise of the path per epoch, as long as the step stays below what stability
    allows: 1/L for SGD.

    Args:
        rule: ``"linear"``, ``"square-root"``, the name of a method, or a method.
        step_size: alpha at ``from_batch``.
        from_batch: B, at least 1.
        to_batch: B', at least 1.

    Raises:
        InputError: A number out of range.
        UnsupportedError: No rule is known for the method.

    Source: Goyal et al., Accurate, large minibatch SGD (2017), section 2.1; Granziol, Zohren and Roberts, J. Mach.
    Learn. Res. 23 (2022), 1-65.

    Example:
        >>> scaled_step("sgd", 0.1, 256, 8192)
        3.2
        >>> scaled_step("adam", 0.001, 256, 1024)
        0.002

    """
    name = rule if isinstance(rule, str) else getattr(rule, "name", None)
    known = name if name in (LINEAR, SQUARE_ROOT) else BATCH_RULES.get(name) if isinstance(name, str) else None
    if known is None:
        raise UnsupportedError(
            f"scaling the step of {rule!r:.60} with the batch",
            f"use 'linear', 'square-root' or one of {', '.join(BATCH_RULES)}",
        )
    step_size = checked_number("step_size", step_size, "give a number > 0")
    if step_size == 0:
        raise InputError("step_size=0: expected a number > 0", "give the step at from_batch")
    ratio = whole("to_batch", to_batch) / whole("from_batch", from_batch)
    return step_size * (ratio if known == LINEAR else math.sqrt(ratio))


def expected_smoothness(largest: float, batch_size: int, noise: Noise, replacement: bool) -> float:
    """L_B, the curvature that a random batch of convex examples shows: from L_max at B = 1 down to L.

    With replacement L_B = (1 - 1/B) L + L_max/B; without, (n (B - 1) L + (n - B) L_max)/(B (n - 1)). SGD cannot be
    thrown off by its batches below 1/(2 L_B), on quadratics below 1/L_B.

    Args:
        largest: L.
        batch_size: B.
        noise: With n and L_max.
        replacement: Whether batches are drawn with replacement.

    Source: Gower, Loizou, Qian, Sailanbayev, Shulgin and Richtarik, ICML (2019), theorem 3.1 and proposition 3.8.
    """
    n, single = noise.examples, max(noise.largest_single, largest)
    if replacement or n == 1:
        return (1 - 1 / batch_size) * largest + single / batch_size
    return (n * (batch_size - 1) * largest + (n - batch_size) * single) / (batch_size * (n - 1))


def variance_of_batch(variance: float, batch_size: int, examples: int, replacement: bool) -> float:
    """sigma^2/B, without replacement times (n - B)/(n - 1)."""
    left = 1.0 if replacement else (examples - batch_size) / max(examples - 1, 1)
    return variance / batch_size * left


@dataclass(frozen=True)
class Training:
    """One training of the reference table.

    Attributes:
        batch_size: Images a step.
        step_size: The reference step size.
        error: Top-1 validation error in percent, mean of five trainings.
        spread: Their standard deviation.

    """

    batch_size: int
    step_size: float
    error: float
    spread: float

    def __post_init__(self) -> None:
        if self.batch_size < 1 or not self.step_size > 0 or not 0 < self.error < 100 or not self.spread > 0:
            raise InputError(f"{self!r} is no training", "correct the row")


SMALL, LARGE = 256, 8192

#: ResNet-50 on ImageNet, 90 epochs of SGD with momentum 0.9 and gradual warm-up.
#: Source: Goyal et al., Accurate, large minibatch SGD: training ImageNet in 1 hour (2017), table 2(a).
RESNET50: tuple[Training, ...] = (
    Training(SMALL, 0.05, 23.92, 0.10),
    Training(SMALL, 0.1, 23.60, 0.12),
    Training(SMALL, 0.2, 23.68, 0.09),
    Training(LARGE, 0.05 * 32, 24.27, 0.08),
    Training(LARGE, 0.1 * 32, 23.74, 0.09),
    Training(LARGE, 0.2 * 32, 24.05, 0.18),
    Training(LARGE, 0.1, 41.67, 0.10),
    Training(LARGE, 0.1 * math.sqrt(32), 26.22, 0.03),
)


def excess(rule: str, table: tuple[Training, ...] = RESNET50) -> float:
    """What a rule costs: the error at the large batch with the scaled best step, less the best error at the small one.

    Args:
        rule: ``"linear"``, ``"square-root"``, or ``"unscaled"``.
        table: Trainings at two batch sizes; the best step of the small one must have been tried in all three ways.

    Returns:
        Percentage points of top-1 error.

    Raises:
        InputError: The rule is unknown, or its training is not in the table.

    """
    if rule not in (LINEAR, SQUARE_ROOT, "unscaled"):
        raise InputError(f"rule={rule!r} is not known", "use 'linear', 'square-root' or 'unscaled'")
    small = min(row.batch_size for row in table)
    best = min((row for row in table if row.batch_size == small), key=lambda row: row.error)
    for row in table:
        if row.batch_size == small:
            continue
        factor = 1.0 if rule == "unscaled" else scaled_step(rule, 1.0, small, row.batch_size)
        if math.isclose(row.step_size, factor * best.step_size):
            return row.error - best.error
    raise InputError(f"no training with the step of rule={rule!r}", "add the row")
