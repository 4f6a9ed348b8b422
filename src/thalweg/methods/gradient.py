"""First-order methods: gradient descent, heavy ball, Nesterov's method with restarts.

Each section holds the update, its tuning from the constants L and mu, and its rate.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from thalweg.core.check import checked_number
from thalweg.core.errors import InputError
from thalweg.core.records import Status
from thalweg.core.vector import Any1D, eps, finite
from thalweg.methods.check import check_flag, checked_curvatures
from thalweg.methods.method import Method, Noise, State, ceiling

#: A step that raises the objective is halved at most this often before the run is called diverged.
MAX_HALVINGS = 60
#: Steps without a new lowest value after which a given step is too long, if each promises this share of |f| or more.
MOST_BARREN, PROMISED = 30, 2e-10
#: The least such share in units of rounding, which hides smaller falls.
RESOLVED = 1e3
#: Largest sqrt(beta) where f is no quadratic: falls by 0.96 a step are never given up for faster ones that may be.
MOST_MOMENTUM = 0.98
#: Longest step that tuning takes.
LONGEST = 1e300


def _checked_settings(method: Any) -> None:
    """Raise if a setting makes no sense; keep the step as Python's float, which leaves float32 vectors what they are.

    Raises:
        InputError: Naming the setting.

    """
    if method.step_size is not None:
        remedy = "leave it out: it is tuned from L, or give a number such as 1/L"
        step_size = checked_number("step_size", method.step_size, remedy)
        if step_size == 0:
            raise InputError(f"step_size={method.step_size!r}: expected a number > 0", remedy)
        object.__setattr__(method, "step_size", step_size)
    patience = getattr(method, "patience", 1)
    if checked_number("patience", patience, "leave it out", allow_infinity=True) == 0:
        raise InputError(f"patience={patience!r}: expected a number > 0", "leave it out")
    check_flag("guard", getattr(method, "guard", False))


def _check_momentum(momentum: Any) -> None:
    if not checked_number("momentum", momentum, "give a number in [0, 1)") < 1:
        raise InputError(f"momentum={momentum!r}: expected a number in [0, 1)", "0.9 is usual")


def _inverse(curvature: float) -> float:
    """1/curvature, or the longest step there is where that is beyond floating point."""
    return min(1.0 / curvature, LONGEST)


def _start(point: Any, step_size: float | None) -> State:
    assert step_size is not None  # whoever runs a method looks at is_tuned first
    gradient = point.gradient
    memory = {"step_size": step_size, "previous": point.x, "age": 0}
    return State(point, -step_size * gradient, step_size * float(gradient @ gradient), 0.0, 2.0, memory=memory)


def _proposed(point: Any, step_size: float, memory: dict[str, Any], passes: float) -> State:
    gradient = point.gradient
    if not (finite(gradient) and np.isfinite(point.value)):
        return State(point, -gradient, np.inf, step_size, passes, None, Status.DIVERGED, memory=memory)
    decrement = step_size * float(gradient @ gradient)
    return State(point, -step_size * gradient, decrement, step_size, passes, memory=memory)


def _evaluated(point: Any, x: Any1D) -> Any:
    """The point at x with its gradient, which brings the value along in the same pass."""
    following = point.problem.at(x)
    with np.errstate(all="ignore"):  # too long a step may leave the floating-point range; the caller looks
        _ = following.gradient
    return following


def _higher(point: Any, value: float) -> bool:
    return not point.value <= value + 8 * eps(point.x) * abs(value)


# --- Gradient descent -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class GradientDescent(Method):
    """x <- x - alpha grad f(x).

    Tuned: alpha = 1/L; on quadratics 2/(L + mu). With ``guard``, which tuning switches on, a step that raises the
    objective halves alpha: L was too small. A step that was given is taken as it is, and the run ends as diverged where
    30 of them in a row find no new lowest value though each promises one that rounding would not hide: beyond 2/L f
    climbs, or goes to and fro where it grows more slowly than a parabola.
    Rate: (1 - mu/L)^k in f for alpha = 1/L; on quadratics (1 - 2/(kappa + 1))^2k.
    Source: Nesterov, Lectures on Convex Optimization (2018), theorem 2.1.15.
    """

    step_size: float | None = None
    guard: bool = False
    name: ClassVar[str] = "gradient-descent"
    needs: ClassVar[frozenset[str]] = frozenset({"value", "gradient"})
    reference: ClassVar[str] = "Nesterov, Lectures on Convex Optimization (2018), section 2.1.5"

    def __post_init__(self) -> None:
        _checked_settings(self)

    @property
    def is_tuned(self) -> bool:
        """Whether the step is known."""
        return self.step_size is not None

    def tuned(
        self, largest: float, smallest: float, *, quadratic: bool = False, noise: Noise | None = None
    ) -> GradientDescent:
        """The step for curvatures between ``smallest`` (mu) and ``largest`` (L)."""
        largest, smallest = checked_curvatures(largest, smallest)
        step_size = _inverse(0.5 * (largest + smallest) if quadratic else largest)
        return replace(self, step_size=step_size, guard=True)

    def rate(self, largest: float, smallest: float, *, quadratic: bool = False) -> float:
        """The factor by which f - f* shrinks a step, at worst."""
        largest, smallest = checked_curvatures(largest, smallest)
        across = (largest - smallest) / (largest + smallest)
        return across**2 if quadratic else 1 - smallest / largest

    def init(self, point: Any) -> State:
        """Start with the given step."""
        return _start(point, self.step_size)

    def step(self, state: State) -> State:
        """One step; with the guard, halved until the objective does not rise."""
        alpha, passes = state.memory["step_size"], 0.0
        if not self.guard:
            point = _evaluated(state.point, state.point.x - alpha * state.point.gradient)
            memory = dict(state.memory)
            lowest = min(memory.get("lowest", math.inf), state.point.value)
            share = max(PROMISED, RESOLVED * eps(point.x))
            barren = state.decrement > share * abs(state.point.value) and not point.value < lowest
            memory.update(lowest=lowest, barren=memory.get("barren", 0) + 1 if barren else 0)
            following = _proposed(point, alpha, memory, 2.0)
            return replace(following, failure=Status.DIVERGED) if memory["barren"] > MOST_BARREN else following
        for _ in range(MAX_HALVINGS):
            point = _evaluated(state.point, state.point.x - alpha * state.point.gradient)
            passes += 2.0
            if not _higher(point, state.point.value):
                return _proposed(point, alpha, {**state.memory, "step_size": alpha}, passes)
            alpha /= 2
        return replace(state, failure=Status.LINE_SEARCH_FAILED, passes=passes)


# --- Heavy ball -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class HeavyBall(Method):
    """x <- x - alpha grad f(x) + beta (x - x_previous): for quadratics.

    Tuned: sqrt(beta) = (sqrt(kappa) - 1)/(sqrt(kappa) + 1), alpha = (2 + 2 beta)/(L + mu).
    Rate, on quadratics only: spectral radius sqrt(beta), so f shrinks by beta a step. Elsewhere it can cycle: when
    ``patience`` / (1 - sqrt(beta)) steps bring no new lowest value, it returns to the best point at rest with half the
    step.
    Where f is no quadratic, tuning takes alpha = 1/L, a quarter of the step, with sqrt(beta) = 1 - sqrt(mu/L) for it,
    at most 0.98 since mu is seldom known, and ``guard``: then a ball that rises above where it was let go has left the
    region that L and mu were measured in. It returns to the best point at rest, with half the step if it found none.
    Source: Polyak, USSR Comput. Math. Math. Phys. 4 (1964), 1-17.
    """

    step_size: float | None = None
    momentum: float = 0.0
    patience: float = 10.0
    guard: bool = False
    name: ClassVar[str] = "heavy-ball"
    needs: ClassVar[frozenset[str]] = frozenset({"value", "gradient"})
    reference: ClassVar[str] = "Polyak, USSR Computational Mathematics and Mathematical Physics 4 (1964), 1-17"

    def __post_init__(self) -> None:
        _checked_settings(self)
        _check_momentum(self.momentum)

    @property
    def is_tuned(self) -> bool:
        """Whether the step is known."""
        return self.step_size is not None

    @property
    def stall_steps(self) -> float:  # type: ignore[override]
        """Three times as many as the guard waits by default."""
        return max(1000.0, 30.0 / (1 - math.sqrt(self.momentum)))

    def tuned(
        self, largest: float, smallest: float, *, quadratic: bool = True, noise: Noise | None = None
    ) -> HeavyBall:
        """Step and momentum for curvatures between ``smallest`` (mu) and ``largest`` (L)."""
        largest, smallest = checked_curvatures(largest, smallest)
        if not quadratic:
            beta = min(1 - math.sqrt(smallest / largest), MOST_MOMENTUM) ** 2
            return replace(self, step_size=_inverse(largest), momentum=beta, guard=True)
        if smallest == 0:
            raise InputError("smallest=0: the heavy ball's momentum needs mu > 0", "give mu, or use Nesterov()")
        beta = _heavy_ball_rate(largest, smallest)
        return replace(self, step_size=(1 + beta) * _inverse(0.5 * (largest + smallest)), momentum=beta)

    def rate(self, largest: float, smallest: float, *, quadratic: bool = True) -> float:
        """The factor by which f - f* shrinks a step, asymptotically; nan elsewhere: it may cycle."""
        rate = _heavy_ball_rate(*checked_curvatures(largest, smallest))
        return rate if quadratic else math.nan

    def init(self, point: Any) -> State:
        """Start at rest."""
        state = _start(point, self.step_size)
        memory = {**state.memory, "reference": point.value, "best": point, "ceiling": ceiling(state)}
        return replace(state, memory=memory)

    def step(self, state: State) -> State:
        """One step; the guard looks back now and then."""
        memory = dict(state.memory)
        alpha, point = memory["step_size"], state.point
        moved = point.x - memory["previous"]
        following = _evaluated(point, point.x - alpha * point.gradient + self.momentum * moved)
        memory.update(previous=point.x, age=memory["age"] + 1)
        if following.value < memory["best"].value:
            memory["best"] = following
        # On a quadratic the start may climb for some multiples of 1/(1 - sqrt(beta)) steps before it falls.
        patience = self.patience / (1 - math.sqrt(self.momentum))
        climbed = not following.value <= (memory["reference"] if self.guard else memory["ceiling"])
        if climbed or memory["age"] > patience:
            fell = memory["best"].value < memory["reference"]
            if climbed or not fell:
                following = memory["best"]
                memory.update(step_size=alpha if self.guard and fell else alpha / 2, previous=following.x)
                if memory["step_size"] < 2.0**-MAX_HALVINGS * (self.step_size or 1.0):
                    return replace(state, failure=Status.NO_PROGRESS)
            memory.update(reference=memory["best"].value, age=0)
        return _proposed(following, memory["step_size"], memory, 2.0)


def _heavy_ball_rate(largest: float, smallest: float) -> float:
    root = math.sqrt(smallest / largest)
    return ((1 - root) / (1 + root)) ** 2


# --- Nesterov -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Nesterov(Method):
    """x_k = y_k - alpha grad f(y_k); y_{k+1} = x_k + (t_k - 1)/t_{k+1} (x_k - x_{k-1}), restarted by the gradient test.

    Tuned: alpha = 1/L. mu need not be known: momentum is dropped whenever grad f(y_k)'(x_k - x_{k-1}) > 0.
    Rate: 2 L ||x_0 - x*||^2 / (k + 1)^2 without restarts; with them about (1 - sqrt(mu/L))^k on strongly convex f.
    With ``momentum`` given, y_{k+1} = x_k + momentum (x_k - x_{k-1}) without restarts and without a guard: for
    (sqrt(kappa) - 1)/(sqrt(kappa) + 1) theorem 2.2.3 of Nesterov (2018) bounds f - f* by (1 - sqrt(mu/L))^k.
    Source: Nesterov, Soviet Math. Dokl. 27 (1983); O'Donoghue and Candes, Found. Comput. Math. 15 (2015), 715-732.
    """

    step_size: float | None = None
    patience: int = 100
    momentum: float | None = None
    name: ClassVar[str] = "nesterov"
    needs: ClassVar[frozenset[str]] = frozenset({"value", "gradient"})
    reference: ClassVar[str] = "O'Donoghue and Candes, Foundations of Computational Mathematics 15 (2015), 715-732"

    def __post_init__(self) -> None:
        _checked_settings(self)
        if self.momentum is not None:
            _check_momentum(self.momentum)

    @property
    def is_tuned(self) -> bool:
        """Whether the step is known."""
        return self.step_size is not None

    def tuned(
        self, largest: float, smallest: float, *, quadratic: bool = False, noise: Noise | None = None
    ) -> Nesterov:
        """The step for a largest curvature of ``largest`` (L)."""
        return replace(self, step_size=_inverse(checked_curvatures(largest, smallest)[0]))

    def rate(self, largest: float, smallest: float, *, quadratic: bool = False) -> float:
        """The factor by which f - f* shrinks a step, about."""
        largest, smallest = checked_curvatures(largest, smallest)
        return 1 - math.sqrt(smallest / largest)

    def init(self, point: Any) -> State:
        """Start without momentum; ``previous`` is the last x, the point is at y."""
        state = _start(point, self.step_size)
        memory = {"t": 1.0, "reference": point.value, "best": point, "idle": 0, "ceiling": ceiling(state)}
        return replace(state, memory={**state.memory, **memory})

    def step(self, state: State) -> State:
        """One step.

        A restart that finds f no lower than the one before, or no new best for long, means alpha > 1/L: it is halved.
        """
        memory = dict(state.memory)
        point, passes = state.point, 0.0
        if self.momentum is not None:
            x = point.x - memory["step_size"] * point.gradient
            following = _evaluated(point, x + self.momentum * (x - memory["previous"]))
            return _proposed(following, memory["step_size"], {**memory, "previous": x}, 2.0)
        for _ in range(MAX_HALVINGS):
            alpha, gradient = memory["step_size"], point.gradient
            x = point.x - alpha * gradient
            moved = x - memory["previous"]
            restart = float(gradient @ moved) > 0
            t = 1.0 if restart else memory["t"]
            after = 0.5 * (1 + math.sqrt(1 + 4 * t * t))
            reached = _evaluated(point, x if restart else x + (t - 1) / after * moved)
            passes += 2.0
            memory["idle"] += 1
            if reached.value < memory["best"].value:
                memory.update(best=reached, idle=0)
            stuck = (
                memory["idle"] > self.patience
                or restart
                and memory["age"] > 1
                and not memory["best"].value < memory["reference"]
            )
            climbing = t == 1.0 and _higher(reached, point.value)
            if reached.value <= memory["ceiling"] and not stuck and not climbing:
                if restart:
                    memory.update(reference=memory["best"].value, age=0)
                memory.update(previous=x, t=1.0 if restart else after, age=memory["age"] + 1)
                return _proposed(reached, alpha, memory, passes)
            point = memory["best"]
            memory.update(step_size=alpha / 2, t=1.0, previous=point.x, age=0, idle=0)
        return replace(state, failure=Status.LINE_SEARCH_FAILED, passes=passes)
