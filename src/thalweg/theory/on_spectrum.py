"""Steps of a method on a quadratic, from the spectrum alone: sharper than any worst case.

First-order methods commute with rotations, so on a quadratic they act on each eigenvalue by itself. What the two-term
methods do there is a closed form; the others run their own code on the diagonal model. Sampled gradients are the matter
of ``second_moments``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from thalweg.core.errors import InputError
from thalweg.core.operator import LinearOperator
from thalweg.methods import GradientDescent, HeavyBall
from thalweg.methods.method import Method
from thalweg.methods.stochastic_methods import SGD
from thalweg.problems import Quadratic

#: Steps that a method is followed on the diagonal model before its rate is extrapolated.
MAX_FOLLOWED = 5_000
Curve = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True, eq=False)
class Expected:
    """Steps to a target and f - f* on the way.

    Attributes:
        steps: Steps until f - f* stays below the target; inf where it never does.
        curve: Steps and f - f*, each (m,).
        interval: Where gradients are sampled, steps at which one run of ten, and nine, are below the target.

    """

    steps: float
    curve: Curve
    interval: tuple[float, float] | None = None


def steps_on_spectrum(method: Method, eigenvalues: Any, away: Any, target: float) -> Expected:
    """Steps of a method to f - f* <= target on f = sum lambda_i v_i^2 / 2 from v = away.

    Args:
        method: Tuned; it sees gradients of the whole objective.
        eigenvalues: lambda >= 0, shape (m,).
        away: Distance from the minimum along each eigenvector, shape (m,).
        target: Wanted f - f*, positive.

    Returns:
        In closed form for gradient descent and heavy ball (Polyak, 1964); by the method's own steps for the others.

    Raises:
        InputError: Shapes disagree, an eigenvalue is negative, or the target is not positive.

    Example:
        >>> steps_on_spectrum(GradientDescent(step_size=0.5), [1.0], [1.0], 1e-6).steps
        10.0

    """
    eigenvalues, away = checked_spectrum(eigenvalues, away)
    if not target > 0:
        raise InputError(f"target={target!r}", "give a positive f - f*")
    # Rounding ends every run sixteen digits below its start, whatever the target.
    target = max(target, 1e-16 * 0.5 * float(eigenvalues @ away**2))
    if isinstance(method, (GradientDescent, HeavyBall)):
        momentum = method.momentum if isinstance(method, HeavyBall) else 0.0
        steps, curve = _two_term(eigenvalues, away, float(method.step_size or 0.0), momentum, target)
    else:
        steps, curve = _follow(eigenvalues, away, method, target)
    return Expected(steps, curve)


def sampled_steps_on_spectrum(
    step_size: float, eigenvalues: Any, away: Any, variances: Any, batch_size: int, target: float
) -> Expected:
    """Steps of x <- x - alpha (gradient + noise) to E[f - f*] <= target, with additive noise of batches of B.

    Args:
        step_size: alpha.
        eigenvalues: lambda >= 0, shape (m,).
        away: Distance from the minimum along each eigenvector, shape (m,).
        variances: sigma_i^2 of one example's gradient along each eigenvector, shape (m,), or one number for all.
        batch_size: B.
        target: Wanted E[f - f*], positive.

    Returns:
        Steps inf where the plateau sum alpha sigma_i^2/(2 B (2 - alpha lambda_i)) lies above the target.

    """
    from thalweg.theory.second_moments import GradientNoise, SecondMoments  # which stand on this file

    method = SGD(step_size, batch_size=batch_size)
    return SecondMoments(method, eigenvalues, away, GradientNoise(variances)).until(target)


def checked_spectrum(eigenvalues: Any, away: Any) -> tuple[np.ndarray, np.ndarray]:
    """Both as arrays, shape (m,).

    Raises:
        InputError: Shapes disagree, or a number is negative or not finite.

    """
    eigenvalues, away = (np.asarray(a, dtype=np.float64) for a in (eigenvalues, away))
    if eigenvalues.shape != away.shape or eigenvalues.ndim != 1 or not len(away):
        raise InputError(f"eigenvalues {eigenvalues.shape} and away {away.shape}", "give one distance an eigenvalue")
    if not (np.isfinite(eigenvalues).all() and np.isfinite(away).all() and (eigenvalues >= 0).all()):
        raise InputError("eigenvalues or distances are negative or not finite", "give eigenvalues >= 0")
    return eigenvalues, away


def _two_term(
    eigenvalues: np.ndarray, away: np.ndarray, step_size: float, momentum: float, target: float
) -> tuple[float, tuple[np.ndarray, np.ndarray]]:
    """Steps of x_{k+1} = x_k - alpha g_k + beta (x_k - x_{k-1}) on the diagonal model, in closed form.

    Along an eigenvalue, v_k = (c_1 r_1^k + c_2 r_2^k) v_0 with r^2 - (1 + beta - alpha lambda) r + beta = 0,
    c_1 + c_2 = 1 and v_1 = (1 - alpha lambda) v_0; for beta = 0 this is (1 - alpha lambda)^k.
    """
    energy = 0.5 * eigenvalues * away**2
    if energy.sum() <= target:
        return 0.0, (np.zeros(1), np.array([energy.sum()]))
    with np.errstate(all="ignore"):  # far too long a step; it diverges
        half = 0.5 * (1 + momentum - step_size * eigenvalues)
        # A double root is split by less than rounding would: the limit is smooth.
        root = np.sqrt(half * half - momentum + 1e-14 * (1 + 0j))
        first, second = half + root, half - root
        share = (1 - step_size * eigenvalues - second) / (first - second)
    if not (np.maximum(np.abs(first), np.abs(second))[energy > 0] < 1).all():
        return math.inf, (np.zeros(1), np.array([energy.sum()]))

    def gap(k: float) -> float:
        with np.errstate(under="ignore"):
            return float(energy @ np.abs(share * first**k + (1 - share) * second**k) ** 2)

    return _first_below(gap, target)


def _first_below(gap: Callable[[float], float], target: float) -> tuple[float, Curve]:
    """The step from which a gap stays below the target, and the gap on the way."""
    # Momentum oscillates: the step sought is behind the last of a fine grid that lies above the target.
    high = 1.0
    while max(gap(high), gap(high + 1), gap(1.1 * high)) > target and high < 1e15:
        high *= 2
    marks = np.unique(np.round(np.geomspace(1, max(high, 2.0), 400)))
    gaps = np.array([gap(k) for k in marks])
    above = np.flatnonzero(gaps > target)
    if gap(0.0) <= target and not len(above):
        return 0.0, (np.zeros(1), np.array([gap(0.0)]))
    low = marks[above[-1]] if len(above) else 0.0
    top = marks[min(above[-1] + 1, len(marks) - 1)] if len(above) else 1.0
    while top - low > 1:
        middle = np.floor(0.5 * (low + top))
        low, top = (middle, top) if gap(middle) > target else (low, middle)
    keep = marks < top
    curve = np.concatenate([[0.0], marks[keep], [top]]), np.concatenate([[gap(0.0)], gaps[keep], [gap(float(top))]])
    return float(top), curve


class _Diagonal(LinearOperator):
    """A diagonal matrix."""

    def __init__(self, entries: np.ndarray) -> None:
        self.entries = entries
        self.shape, self.dtype = (len(entries), len(entries)), entries.dtype

    def matvec(self, v: np.ndarray) -> np.ndarray:
        return self.entries * v if v.ndim == 1 else self.entries[:, None] * v

    def rmatvec(self, u: np.ndarray) -> np.ndarray:
        return self.matvec(u)


def _follow(
    eigenvalues: np.ndarray, away: np.ndarray, method: Method, target: float
) -> tuple[float, tuple[np.ndarray, np.ndarray]]:
    """Run the method's own code on the diagonal model; extrapolate its rate beyond ``MAX_FOLLOWED`` steps."""
    state: Any = method.init(Quadratic(_Diagonal(eigenvalues), x0=away).at(away))
    values = [state.point.value]
    while values[-1] > target and len(values) <= MAX_FOLLOWED and state.failure is None:
        state = method.step(state)
        values.append(state.point.value)
    gaps = np.minimum.accumulate(np.array(values))
    steps = float(len(values) - 1)
    keep = np.unique(np.linspace(0, steps, min(len(values), 200)).astype(int))
    curve = (keep.astype(float), gaps[keep])
    if gaps[-1] <= target:
        return steps, curve
    half = gaps[len(gaps) // 2]
    rate = math.log(gaps[-1] / half) / (len(gaps) - 1 - len(gaps) // 2) if 0 < gaps[-1] < half else 0.0
    if rate >= 0 or target <= 0:
        return math.inf, curve
    total = steps + math.log(target / gaps[-1]) / rate
    return total, (np.append(curve[0], total), np.append(curve[1], target))
