"""Bounds on methods that use gradients of sampled examples: SGD with a fixed or falling step.

Throughout, sigma^2 bounds E||g_i - g||^2 for one example i on the region that the run visits, and B examples are drawn
with replacement; for batches drawn without, pass ``minibatch_variance(...)`` as the variance and a batch of 1.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from thalweg.core.errors import InputError
from thalweg.theory.bounds_problem import QUADRATIC
from thalweg.theory.bounds_record import SLACK, bound, count, curvatures, kappa, number, positive, step_at_most

LECTURES = "Bottou, Curtis and Nocedal, SIAM Review 60 (2018), 223-311"
SMOOTH_PL = "the gradient is L-Lipschitz, and ||g||^2 >= 2 mu (f - f*) (PL)"
NOISE = "E||g_i - g||^2 <= sigma^2 on the region visited; B independent examples a step"


# --- Gradient noise -------------------------------------------------------------------------------------------------


@bound(
    quantity="E||batch gradient - g||^2 =",
    formula="sigma^2/B with replacement; (sigma^2/B) (n - B)/(n - 1) without",
    assumptions=("every example is equally likely", "sigma^2 = (1/n) sum_i ||g_i - g||^2, with n and not n - 1"),
    source="Cochran, Sampling Techniques (1977), theorem 2.2",
)
def minibatch_variance(*, variance: float, batch_size: int, examples: int | None = None) -> float:
    """The variance of the mean of B gradients: an equality.

    Args:
        variance: sigma^2 of one example.
        batch_size: B.
        examples: n, for batches drawn without replacement; None for with.

    Raises:
        InputError: If an argument is out of range, or B > n.

    """
    variance, batch_size = number("variance", variance), count("batch_size", batch_size, 1)
    if examples is None:
        return variance / batch_size
    examples = count("examples", examples, 1)
    if batch_size > examples:
        raise InputError(
            f"batch_size={batch_size}: only {examples} examples can be drawn without replacement",
            f"pass batch_size<={examples}, or leave examples out to draw with replacement",
        )
    return variance / batch_size * (examples - batch_size) / max(examples - 1, 1)


# --- SGD with a fixed step ------------------------------------------------------------------------------------------


@bound(
    quantity="E[f_T - f*] <=",
    formula="(1 - alpha mu)^T (f_0 - f*) + alpha sigma^2 L/(2 mu B)",
    assumptions=(SMOOTH_PL, NOISE, "alpha <= 1/L"),
    source=f"{LECTURES}, theorem 4.6",
    falls=True,
)
def sgd(
    *, L: float, mu: float, variance: float, step_size: float, gap: float, steps: int, batch_size: int = 1
) -> float:
    """The expected f - f* after T steps of SGD with a fixed step: a linear fall to a floor.

    Args:
        L: Lipschitz constant of the gradient of f.
        mu: PL constant, > 0.
        variance: sigma^2.
        step_size: alpha.
        gap: f_0 - f*.
        steps: T.
        batch_size: B.

    Raises:
        InputError: If an argument is out of range, or alpha > 1/L.

    """
    L, mu = curvatures(L, mu, strict=True)
    variance, gap = number("variance", variance), number("gap", gap)
    steps, batch_size = count("steps", steps), count("batch_size", batch_size, 1)
    step_size = step_at_most(step_size, 1 / L, "1/L")
    return max(0.0, 1 - step_size * mu) ** steps * gap + step_size * variance * kappa(L, mu) / (2 * batch_size)


@bound(
    quantity="E[f_T - f*] for T -> infinity =",
    formula="sum_i alpha sigma_i^2/(2 B (2 - alpha h_i))",
    assumptions=(
        "f is a quadratic with curvatures h_i > 0",
        "noise that does not depend on x, with variance sigma_i^2 along the eigenvector of h_i",
        "alpha < 2/h_i for all i",
    ),
    source="the fixed point of E v_i^2 <- (1 - alpha h_i)^2 E v_i^2 + alpha^2 sigma_i^2/B along each eigenvector",
    kind=QUADRATIC,
)
def sgd_plateau(*, eigenvalues: ArrayLike, variances: ArrayLike, step_size: float, batch_size: int = 1) -> float:
    """Where SGD with a fixed step ends on a quadratic: an equality.

    Args:
        eigenvalues: h_i > 0, shape (d,). Leave flat directions out: they add nothing to f.
        variances: sigma_i^2, shape (d,), or one number for all.
        step_size: alpha.
        batch_size: B.

    Raises:
        InputError: If an argument is out of range, or alpha >= 2/max h.

    """
    h = _positive_entries("eigenvalues", eigenvalues)
    sigma2 = _entries("variances", variances, len(h))
    step_size, batch_size = positive("step_size", step_size), count("batch_size", batch_size, 1)
    if step_size * h.max() >= 2:
        raise InputError(
            f"step_size={step_size!r}: SGD diverges for steps of 2/L = {2 / h.max():.6g} and more",
            "take a shorter step",
        )
    return float((step_size * sigma2 / (2 * batch_size * (2 - step_size * h))).sum())


def _entries(name: str, values: ArrayLike, size: int | None = None) -> np.ndarray:
    wanted = "one finite number >= 0 a direction"
    try:
        array = np.asarray(values)
    except ValueError:  # ragged
        array = np.empty(0, dtype=object)
    if array.dtype.kind not in "iuf":
        raise InputError(f"{name}={values!r:.60} is no array of numbers", f"pass {wanted}")
    array = array.astype(np.float64)
    if size is not None and array.ndim == 0:
        array = np.full(size, float(array))
    if array.ndim != 1 or not len(array) or not np.isfinite(array).all() or (array < 0).any():
        problem = f"{name} has shape {array.shape}, or holds a number that is negative or not finite"
        raise InputError(problem, f"pass {wanted}")
    if size is not None and len(array) != size:
        raise InputError(f"{name} has {len(array)} entries, eigenvalues has {size}", f"pass {wanted}")
    return array


def _positive_entries(name: str, values: ArrayLike) -> np.ndarray:
    array = _entries(name, values)
    if (array == 0).any():
        raise InputError(f"{name} holds a zero", "leave flat directions out: they add nothing to f - f*")
    return array


@bound(
    quantity="the step alpha for E[f_T - f*] <= eps:",
    formula="min(B mu eps/(L sigma^2), 1/L)",
    assumptions=("the same as sgd",),
    source=f"half of eps for each term of sgd; {LECTURES}, section 4.2",
)
def sgd_step_size(*, L: float, mu: float, variance: float, target: float, batch_size: int = 1) -> float:
    """The longest step whose floor is eps/2.

    Args:
        L: Lipschitz constant of the gradient of f.
        mu: PL constant, > 0.
        variance: sigma^2.
        target: eps.
        batch_size: B.

    Raises:
        InputError: If an argument is out of range.

    """
    L, mu = curvatures(L, mu, strict=True)
    variance, target = number("variance", variance), positive("target", target)
    batch_size = count("batch_size", batch_size, 1)
    noise = L * variance
    return min(batch_size * mu * target / noise, 1 / L) if noise > 0 else 1 / L


@bound(
    quantity="steps until E[f_T - f*] <= eps:",
    formula="max(sigma^2/(B mu eps), 1) kappa log(2 (f_0 - f*)/eps)",
    assumptions=("the same as sgd, with the step sgd_step_size",),
    source="from sgd with 1 - x <= exp(-x)",
)
def sgd_steps(*, L: float, mu: float, variance: float, gap: float, target: float, batch_size: int = 1) -> float:
    """Steps of SGD that are enough.

    Args:
        L: Lipschitz constant of the gradient of f.
        mu: PL constant, > 0.
        variance: sigma^2.
        gap: f_0 - f*.
        target: eps.
        batch_size: B.

    Raises:
        InputError: If an argument is out of range.

    """
    L, mu = curvatures(L, mu, strict=True)
    variance, gap, target = number("variance", variance), number("gap", gap), positive("target", target)
    batch_size = count("batch_size", batch_size, 1)
    longer = max(variance / (batch_size * mu * target), 1.0)
    # At gap = eps/2 nothing is left to be forgotten; below it the formula would be negative.
    return longer * kappa(L, mu) * max(0.0, math.log(2) + math.log(gap) - math.log(target)) if gap > 0 else 0.0


# --- SGD with a falling step ----------------------------------------------------------------------------------------


def _falling(L: float, mu: float, variance: float, gap: float, batch_size: int) -> tuple[float, float]:
    """1/rho_0 and c = mu^2 B/(2 sigma^2 L); raises where the first step would exceed 1/L."""
    L, mu = curvatures(L, mu, strict=True)
    variance, gap = positive("variance", variance), positive("gap", gap)
    batch_size = count("batch_size", batch_size, 1)
    if mu * batch_size * gap > variance * SLACK:
        raise InputError(
            f"gap={gap!r} > sigma^2/(mu B) = {variance / (mu * batch_size):.6g}: the first step would exceed 1/L",
            "take steps of 1/L until sgd(...) is below that, then let them fall",
        )
    return 1 / gap, mu * mu * batch_size / (2 * variance * L)


@bound(
    quantity="E[f_T - f*] <=",
    formula="(1/rho_0 + mu^2 B T/(2 sigma^2 L))^-1",
    assumptions=(
        SMOOTH_PL,
        NOISE,
        "rho_0 >= f_0 - f*, and alpha_t = mu B rho_t/(sigma^2 L), at most 1/L, with rho_t this bound after t steps (or "
        "rho_{t+1} = rho_t - mu^2 B rho_t^2/(2 sigma^2 L), as in TheoryDecay)",
    ),
    source=f"from the recursion behind sgd; {LECTURES}, theorem 4.7",
    falls=True,
)
def sgd_falling(*, L: float, mu: float, variance: float, gap: float, steps: int, batch_size: int = 1) -> float:
    """The expected f - f* after T steps of SGD with steps that fall like 1/t.

    Args:
        L: Lipschitz constant of the gradient of f.
        mu: PL constant, > 0.
        variance: sigma^2 > 0.
        gap: rho_0 > 0.
        steps: T.
        batch_size: B.

    Raises:
        InputError: If an argument is out of range, or gap > sigma^2/(mu B), where alpha_0 would exceed 1/L.

    """
    start, speed = _falling(L, mu, variance, gap, batch_size)
    return 1 / (start + speed * count("steps", steps))


@bound(
    quantity="the step alpha_t =",
    formula="mu B rho_t/(sigma^2 L) = 1/(sigma^2 L/(mu B rho_0) + mu t/2)",
    assumptions=("the same as sgd_falling",),
    source=f"minimises the recursion behind sgd; {LECTURES}, theorem 4.7",
)
def sgd_falling_step_size(
    *, L: float, mu: float, variance: float, gap: float, steps: int, batch_size: int = 1
) -> float:
    """The step after t steps, for which ``sgd_falling`` holds.

    Args:
        L: Lipschitz constant of the gradient of f.
        mu: PL constant, > 0.
        variance: sigma^2 > 0.
        gap: rho_0 > 0.
        steps: t.
        batch_size: B.

    Raises:
        InputError: If an argument is out of range, or gap > sigma^2/(mu B), where alpha_0 would exceed 1/L.

    """
    start, speed = _falling(L, mu, variance, gap, batch_size)
    return 2 * speed / (float(mu) * (start + speed * count("steps", steps)))
