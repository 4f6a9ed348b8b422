"""Expected f - f* of SGD on a quadratic, update by update: mean and covariance of its state along each eigenvalue.

Plain steps, momentum, Nesterov's form and NAG-GS are linear in iterate, gradient and what they carry along; so are
averages of iterates, and schedules only change a factor. Along an eigenvalue the state z = (x, slots, average) then
follows z <- A z + c + b noise, so that its mean follows A and c, and its covariance P <- A P A' + b b' variance:
no bound, and no run.
"""

from __future__ import annotations

import functools
import math
import numbers
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.special import gammaincinv

from thalweg.core.check import checked_number
from thalweg.core.errors import InputError
from thalweg.methods.averaging import ExponentialAverage
from thalweg.methods.method import Method
from thalweg.methods.rules_momentum import NagGsStep
from thalweg.methods.schedule import Constant
from thalweg.methods.stochastic import Stochastic
from thalweg.theory.linear_update import LINEAR_RULES, LinearUpdate, applied, read_off, start_of
from thalweg.theory.on_spectrum import Expected, checked_spectrum
from thalweg.theory.updates_of_steps import UpdatesOfSteps

#: Updates followed where a schedule may fall for ever, and where nothing changes but time.
MAX_UPDATES, MAX_STEADY = 2_000_000, 10**15
#: Relative growth of the number of steps from one value of a curve to the next.
GRID = 0.03
#: Change of log(f - f*), and of the step, within a block of updates whose noise or step depends on f - f*.
CHANGE = 0.2
#: f - f* has diverged when it is this many times its start.
DIVERGED = 1e12
#: A plateau is reached when what is left of the start is this share of it.
REACHED = 1e-4
#: A share of the step below which nothing moves any more.
FROZEN = 1e-12
#: A value counts as below for good when it has been so until this many times the last step above; and how many times
#: that one is walked on in search of the step at which nine runs of ten are below.
BEYOND, LATEST = 1.2, 4.0
#: Maps that are kept.
MAX_MAPS = 3000


@dataclass(frozen=True, eq=False)
class GradientNoise:
    """How gradients of single examples differ from the whole one.

    With ``growth=0`` additive: the same everywhere. Gradients of a finite sum differ more away from the minimum; the
    model is variance_i + growth_i (f - f*), as of least squares whose rows have about equal lengths.

    Attributes:
        variances: sigma_i^2 >= 0 of one example's gradient along each eigenvector at the minimum: (m,) or a number.
        growth: What each gains per unit of f - f*: shape (m,) or a number; at least 0 unless ``size`` is given.
        examples: n of a finite sum, of which an epoch is a step; None for fresh examples without end: an update is.
        size: Parameters; where eigenvalues are nodes of a Gauss rule, variances stand for the mean over so many.

    Raises:
        InputError: Naming what is no number, is negative or not finite, or no whole number >= 1.

    """

    variances: Any
    growth: Any = 0.0
    examples: int | None = None
    size: int | None = None

    def __post_init__(self) -> None:
        _finite("variances", self.variances, negative=False)
        # Growth along nodes is a difference of two Gauss rules, each with nodes of its own: some only lose.
        _finite("growth", self.growth, negative=self.size is not None)
        counts: dict[str, Any] = {"examples": self.examples, "size": self.size}
        for name, value in counts.items():
            whole = isinstance(value, numbers.Integral) and not isinstance(value, bool)
            if value is not None and not (whole and value >= 1):
                raise InputError(f"{name}={value!r:.60}: expected a whole number >= 1", f"or leave {name} out")


@dataclass(frozen=True, eq=False)
class _State:
    """Mean (m, s) and covariance (m, s, s) of what an update works on, along each eigenvalue."""

    mean: np.ndarray
    covariance: np.ndarray


def why_not_linear(method: Method, sum_of_examples: bool = True, known_minimiser: bool = True) -> str:
    """Why the second moments do not tell what a method does; nothing where they do.

    Args:
        method: Any.
        sum_of_examples: Whether it runs on a finite sum.
        known_minimiser: Whether the minimiser is known along each eigenvector.

    """
    if not isinstance(method, Stochastic):
        return "it is no method of updates by sampled gradients"
    rule = method.rule()
    if not isinstance(rule, LINEAR_RULES):
        return "its update is not linear in the gradient"
    if method.transforms or method.clip_norm is not None:
        return "its gradients are transformed"
    if isinstance(rule, NagGsStep) and rule.gamma != rule.mu:
        return "its gamma is not mu, and changes on the way"
    if getattr(rule, "weight_decay", 0.0) and not known_minimiser:
        return "weight decay pulls to zero, and where that lies from here is not known"
    if sum_of_examples and method.sampling not in ("replacement", "reshuffle"):
        return f"sampling={method.sampling!r} repeats its noise in every epoch"
    return ""


class SecondMoments:
    """E[f - f*] of a stochastic method with a linear update, on f = sum lambda_i v_i^2 / 2 from v = away.

    Exact for noise that does not depend on x, in batches drawn with replacement or from shuffled epochs (where it sums
    to zero over an epoch); under a schedule, and with averages, to about 1e-3, since neighbouring steps share a map.

    Args:
        method: Tuned: SGD (plain, momentum, Nesterov's form) or NAG-GS, with any schedule and any average.
        eigenvalues: lambda >= 0, shape (m,).
        away: Distance from the minimum along each eigenvector, shape (m,).
        noise: Of single examples.
        minimiser: The minimiser along each eigenvector, shape (m,): needed with weight decay, which pulls to zero.

    Raises:
        InputError: The update is not linear (``why_not_linear``), shapes disagree, or ``noise`` is something else.

    Example:
        >>> from thalweg.methods import SGD
        >>> moments = SecondMoments(SGD(0.5, batch_size=4), [1.0], [3.0], GradientNoise(2.0))
        >>> round(moments.plateau, 6)  # alpha sigma^2/(2 B (2 - alpha lambda))
        0.083333
        >>> moments.gaps([0, 1, 2]).round(4).tolist()
        [4.5, 1.1875, 0.3594]

    Source: for plain steps Bach and Moulines, NIPS (2013), section 2; the rest is the same recursion for longer states.
    """

    def __init__(
        self, method: Stochastic, eigenvalues: Any, away: Any, noise: GradientNoise, minimiser: Any = None
    ) -> None:
        if not isinstance(noise, GradientNoise):
            raise InputError(f"noise={noise!r:.60}", "give GradientNoise(variances)")
        values, distance = checked_spectrum(eigenvalues, away)
        why = why_not_linear(method, noise.examples is not None, minimiser is not None)
        if why or not method.is_tuned:
            remedy = "predict it from the first steps of a run: steps_from_run" if why else "give step_size="
            raise InputError(f"no second moments of {method!r:.80}: {why or 'it has no step size'}", remedy)
        moving = values > 0
        variances = _per_direction("variances", noise.variances, values.shape)
        growth = _per_direction("growth", noise.growth, values.shape)
        centre = np.zeros(len(values)) if minimiser is None else _per_direction("minimiser", minimiser, values.shape)
        size = len(values) if noise.size is None else noise.size
        self.total = float(variances.mean()) * size, float(growth.mean()) * size
        self.values, self.away, self.centre = values[moving], distance[moving], centre[moving]
        self.variances, self.growth = variances[moving], growth[moving]
        self.method, self.rule = method, method.rule()
        self.updates = UpdatesOfSteps(method, noise.examples)
        self.coupled = bool(self.growth.any()) or method.step_for_noise is not None
        self._powers: dict[tuple[float, float | None, float, bool], list[LinearUpdate]] = {}
        self._steps: dict[float, list[LinearUpdate]] = {}
        self._block = 1

    # --- What is asked ------------------------------------------------------------------------------------------------

    def gaps(self, steps: Any) -> np.ndarray:
        """E[f - f*] after so many steps of the method (epochs of a finite sum), shape of ``steps``.

        Args:
            steps: Whole numbers >= 0, of ``MAX_STEADY`` updates at most.

        Raises:
            InputError: They are none.

        """
        wanted, most = _finite("steps", steps, negative=False), MAX_STEADY // self.updates.count
        if not wanted.size or (wanted != np.floor(wanted)).any() or (wanted > most).any():
            raise InputError(f"steps={steps!r:.60}", f"give whole numbers of steps, from 0 to {most:,}")
        found: dict[int, float] = {}
        state, done = self._start(), 0
        for mark in np.unique(wanted).astype(np.int64).tolist():
            state, done = self._advanced(state, done, mark - done), mark
            found[mark] = self._gap(state, done)
        return np.array([found[k] for k in wanted.ravel().astype(np.int64).tolist()]).reshape(wanted.shape)

    @functools.cached_property
    def plateau(self) -> float:
        """Where E[f - f*] settles; inf where it does not.

        nan where no stationary law decides it: under a schedule, with steps that follow the noise, and for averages
        over ever more iterates.
        """
        average = self.method.average
        if not isinstance(self.method.schedule, Constant) or self.method.step_for_noise is not None:
            return math.nan
        if not (average is None or isinstance(average, ExponentialAverage)):
            return math.nan
        if not len(self.values):
            return 0.0
        one = self._epoch(MAX_STEADY // self.updates.count, self._alpha)
        if not one.stable:
            return math.inf
        settled = _State(*one.stationary(self.variances))
        added = _State(self.centre[:, None] + np.zeros_like(one.c), one.stationary(self.growth)[1])
        # f - f* adds to the noise, which adds to f - f*: that ends as long as it gives back less than it takes.
        back = self._energy(added, 0)
        if back >= 1:
            return math.inf
        return self._energy(settled, -1 if average else 0) + self._energy(added, -1 if average else 0) * (
            self._energy(settled, 0) / (1 - back)
        )

    def until(self, target: float) -> Expected:
        """Steps until E[f - f*] stays below a target, and E[f - f*] on the way.

        Args:
            target: Positive.

        Returns:
            Steps inf where it settles above the target, or diverges; nan where ``MAX_UPDATES`` of a schedule did not
            bring it there.

        Raises:
            InputError: The target is no positive number.

        """
        if not checked_number("target", target, "give a positive f - f*", allow_infinity=True) > 0:
            raise InputError(f"target={target!r}", "give a positive f - f*")
        steps: list[float] = []
        gaps: list[float] = []
        early, late = math.inf, math.inf
        above: tuple[int, _State] | None = None
        found: Expected | None = None
        for step, state in self._walk():
            gap = self._gap(state, step)
            steps.append(float(step))
            gaps.append(gap)
            low, high = self._quantiles(state, step)
            early = min(early, step) if low <= target else early
            late = min(late, step) if high <= target else math.inf
            if not gap <= DIVERGED * max(gaps[0], target):
                return Expected(math.inf, _curve(steps[:-1], gaps[:-1]), (math.inf, math.inf))
            if gap > target:
                above, found = (step, state), None
            if self._ended(step, gap, target):
                return found or Expected(math.inf, _curve(steps, gaps), (early, math.inf))
            last = 0 if above is None else above[0]
            if found is None and step >= BEYOND * last + 3 and not self.plateau >= target:
                found = self._crossing(above, steps, gaps, target)
            if found is not None and (step >= BEYOND * late + 3 or step >= LATEST * last + 10):
                return replace(found, interval=(min(early, found.steps), max(late, found.steps)))
        return Expected(math.nan, _curve(steps, gaps))

    def _ended(self, step: int, gap: float, target: float) -> bool:
        """Whether nothing will change any more that matters."""
        plateau = self.plateau
        if plateau >= target:
            return abs(gap - plateau) <= REACHED * plateau or (plateau == math.inf and step > 1)
        ahead = (step, step + 1, 2 * step + 7)
        return not self.updates.same and all(self.updates.pattern(k)[0].max() < FROZEN for k in ahead)

    def _quantiles(self, state: _State, step: int) -> tuple[float, float]:
        """f - f* of one run in ten, and of nine, at most: of a gamma law with its mean and variance."""
        part = self._output(step)
        spread, away = state.covariance[:, part, part], state.mean[:, part] - self.centre
        mean = 0.5 * float(self.values @ (away**2 + spread))
        variance = float(self.values**2 @ (0.5 * spread**2 + away**2 * spread))
        if not (0 < variance < math.inf and variance / mean**2 > 1e-8):
            return mean, mean
        shape = mean**2 / variance
        low, high = (mean / shape * float(gammaincinv(shape, share)) for share in (0.1, 0.9))
        return low, high

    # --- Walking ------------------------------------------------------------------------------------------------------

    def _walk(self) -> Iterator[tuple[int, _State]]:
        steady = isinstance(self.method.schedule, Constant) and self.method.step_for_noise is None
        most = (MAX_STEADY if steady else MAX_UPDATES) // self.updates.count
        state, done = self._start(), 0
        yield done, state
        while done < most:
            count = max(1, int(GRID * done))
            state, done = self._advanced(state, done, count), done + count
            yield done, state

    def _crossing(
        self, above: tuple[int, _State] | None, steps: list[float], gaps: list[float], target: float
    ) -> Expected:
        """The step at which the target is met for good, between the last value above it and the next."""
        if above is None:
            return Expected(0.0, _curve(steps[:1], gaps[:1]))
        low, state = above
        index = steps.index(low) + 1
        high, gap = int(steps[index]), gaps[index]
        while high - low > 1:
            middle = (low + high) // 2
            there = self._advanced(state, low, middle - low)
            if (found := self._gap(there, middle)) > target:
                low, state = middle, there
            else:
                high, gap = middle, found
        return Expected(float(high), _curve([*steps[:index], float(high)], [*gaps[:index], gap]))

    @property
    def _alpha(self) -> float:
        return float(self.method.step_size or 0.0)

    def _start(self) -> _State:
        mean = start_of(self.rule, self.centre + self.away, self.method.average is not None)
        return _State(mean, np.zeros((*mean.shape, mean.shape[1])))

    def _advanced(self, state: _State, done: int, count: int) -> _State:
        """The state so many steps later."""
        while count > 0:
            block = self.updates.alike(done, min(count, self._block) if self.coupled else count)
            following, change = self._moved(state, done, block)
            while block > 1 and change > CHANGE:
                block //= 2
                following, change = self._moved(state, done, block)
            self._block = 2 * block
            state, done, count = following, done + block, count - block
        return state

    def _moved(self, state: _State, done: int, count: int) -> tuple[_State, float]:
        """The state ``count`` steps later, and by how much log(f - f*), or of the step, changed."""
        before = self._level(state)
        if not self.coupled:
            return self._by_map(state, done, count, before), 0.0
        if count == 1:
            return self._by_updates(state, done, before[0]), 0.0
        trial = self._by_map(state, done, count, before)
        after = self._level(trial)
        change = _change(before, after)
        if not change <= CHANGE:
            return trial, math.inf
        middle = tuple(0.5 * (a + b) for a, b in zip(before, after, strict=True))
        return self._by_map(state, done, count, middle), change

    def _level(self, state: _State) -> tuple[float, float]:
        """The step size of the updates that begin here, and f - f* of the iterate, which the noise depends on."""
        gap, held = self._energy(state, 0), self.method.step_for_noise
        if held is None:
            return self._alpha, gap
        away = state.mean[:, 0] - self.centre
        square = float(self.values**2 @ (away**2 + state.covariance[:, 0, 0]))
        return held(self.total[0] + self.total[1] * gap, square), gap

    def _by_map(self, state: _State, done: int, count: int, level: tuple[float, ...]) -> _State:
        """By the map of the middle one of so many steps, with the noise of this f - f*."""
        alpha, gap = level
        return _applied(self._squared(done + count // 2, alpha), count, state, self._variances(gap))

    def _squared(self, done: int, alpha: float) -> list[LinearUpdate]:
        """The map of the step after ``done``, to be followed by its powers; kept where all steps are the same."""
        if not self.updates.same or self.updates.apart(done):
            return [self._epoch(done, alpha)]
        if alpha not in self._steps:
            self._steps.clear()
            self._steps[alpha] = [self._epoch(done, alpha)]
        return self._steps[alpha]

    def _variances(self, gap: float) -> np.ndarray:
        """Of one example's gradient where f - f* is this."""
        return np.maximum(self.variances + self.growth * gap, 0.0)

    def _by_updates(self, state: _State, done: int, alpha: float) -> _State:
        """One step, in blocks of updates over which f - f*, which the noise depends on, does not change much."""
        scale, correlated = self.updates.batch_law
        response = np.zeros_like(state.mean)
        size = 1
        for share, weight, count, fraction, first in self.updates.groups(done):
            while count:
                block = 1 << (min(count, 2 * size).bit_length() - 1)
                gap = self._energy(state, 0)
                while True:
                    power = self._power(alpha * share, weight, fraction, block, first)
                    later = self._energy(_applied([power], 1, state, scale * self._variances(gap)), 0)
                    if block == 1 or _change((gap,), (later,)) <= CHANGE:
                        break
                    block //= 2
                noise = scale * self._variances(gap if block == 1 else 0.5 * (gap + later))
                state = _applied([power], 1, state, noise)
                response = applied(power.A, response) + np.sqrt(noise)[:, None] * power.r
                size, count = block, count - block
        left = response[:, :, None] * response[:, None, :]
        return _State(state.mean, state.covariance - correlated * left)

    def _epoch(self, done: int, alpha: float) -> LinearUpdate:
        """The map of the step after ``done``, for noise whose variance is that of single examples."""
        whole: LinearUpdate | None = None
        for share, weight, count, fraction, first in self.updates.groups(done):
            part = self._power(alpha * share, weight, fraction, count, first)
            whole = part if whole is None else part.after(whole)
        assert whole is not None
        scale, correlated = self.updates.batch_law
        Q = scale * (whole.Q - correlated * whole.r[:, :, None] * whole.r[:, None, :])
        return LinearUpdate(whole.A, whole.c, Q, 0.0 * whole.r)

    def _power(self, alpha: float, weight: float | None, fraction: float, count: int, first: bool) -> LinearUpdate:
        """So many equal updates."""
        key = (alpha, weight, fraction, first)
        if key not in self._powers:
            if len(self._powers) >= MAX_MAPS:
                self._powers.clear()
            self._powers[key] = [read_off(self.rule, self.values, self.centre, alpha, fraction, weight, first)]
        squares = self._powers[key]
        while 1 << len(squares) <= count:
            squares.append(squares[-1].after(squares[-1]))
        parts = [square for k, square in enumerate(squares) if count >> k & 1]
        return functools.reduce(lambda first, then: then.after(first), parts)

    def _gap(self, state: _State, done: int) -> float:
        """E[f - f*] at the point that is returned: the iterate, or the average as soon as there is one."""
        return self._energy(state, self._output(done))

    def _output(self, done: int) -> int:
        """Which part of the state is returned after so many steps."""
        return -1 if self.updates.averaged(done) else 0

    def _energy(self, state: _State, part: int) -> float:
        away = state.mean[:, part] - self.centre
        with np.errstate(all="ignore"):
            return 0.5 * float(self.values @ (away**2 + state.covariance[:, part, part]))


def _applied(squares: list[LinearUpdate], count: int, state: _State, variances: np.ndarray) -> _State:
    """The state after so many of the first of these maps; its powers of two are appended as they are needed."""
    mean, covariance, noise = state.mean, state.covariance, variances[:, None, None]
    with np.errstate(all="ignore"):
        for k in range(count.bit_length()):
            if k == len(squares):
                squares.append(squares[-1].after(squares[-1]))
            if count >> k & 1:
                step = squares[k]
                mean = applied(step.A, mean) + step.c
                covariance = step.A @ covariance @ step.A.swapaxes(1, 2) + noise * step.Q
    return _State(mean, covariance)


def _change(before: tuple[float, ...], after: tuple[float, ...]) -> float:
    """The largest change of a logarithm."""
    pairs = [(a, b) for a, b in zip(before, after, strict=True) if a != b]
    return max(
        (abs(math.log(b / a)) if 0 < a < math.inf and 0 < b < math.inf else math.inf for a, b in pairs), default=0
    )


def _finite(name: str, given: Any, negative: bool) -> np.ndarray:
    """What is given as an array of finite numbers, at least 0 unless they may be negative."""
    try:
        array = np.asarray(given)
    except ValueError:  # rows of different lengths
        array = np.asarray(None)
    plain = array.dtype.kind in "iuf"
    if not plain or not np.isfinite(array).all() or not (negative or (array >= 0).all()):
        bound = "" if negative else " >= 0"
        raise InputError(f"{name}={given!r:.60}", f"give finite numbers{bound}")
    return array.astype(np.float64)


def _per_direction(name: str, given: Any, shape: tuple[int, ...]) -> np.ndarray:
    array = _finite(name, given, negative=True)
    if array.shape not in ((), shape):
        raise InputError(f"{name} has shape {array.shape}", f"give a number, or shape {shape}")
    return np.array(np.broadcast_to(array, shape))


def _curve(steps: list[float], gaps: list[float]) -> tuple[np.ndarray, np.ndarray]:
    return np.array(steps), np.array(gaps)
