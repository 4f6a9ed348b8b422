"""Bounds on SVRG, whose noise fades with the distance from its anchor."""

from __future__ import annotations

import math

from thalweg.core.errors import InputError
from thalweg.theory.bounds_problem import QUADRATIC, STRONGLY_CONVEX
from thalweg.theory.bounds_record import bound, count, curvatures, kappa, number, positive

JOHNSON_ZHANG = "Johnson and Zhang, NIPS (2013)"

# With v = g_i(x) - g_i(x~) + g(x~) and D(x) = E||g_i(x) - g_i(x*)||^2, any s > 0 gives E||v||^2 <= (1 + s) D(x) +
# (1 + 1/s) D(x~), where D <= 2 L_max (f - f*) (Nesterov 2018, theorem 2.1.5); and E<v, x - x*> = <g(x), x - x*> is at
# least f(x) - f* + D(x)/(2 L_max) for convex examples (the same theorem), and 2 (f(x) - f*), equal, for quadratics.
# Sum ||x_{t+1} - x*||^2 <= ||x_t - x*||^2 - 2 eta <v, x_t - x*> + eta^2 ||v||^2 over m steps from ||x~ - x*||^2 <=
# (2/mu)(f(x~) - f*). With theta = L_max eta, the mean of f(x_t) - f* is at most f(x~) - f* times
#     1/(mu eta m) + theta/(1 - theta) for convex examples, where 1 + s = 1/theta cancels D(x), and
#     (1/(mu eta m) + (1 + 1/s) theta)/(2 - (1 + s) theta) for quadratics, where D(x) <= 2 L_max (f(x) - f*) is used.
# Johnson and Zhang use convexity alone, and s = 1: (1/(mu eta m) + 2 theta)/(1 - 2 theta).


@bound(
    quantity="E[f_k - f*] <=",
    formula="q^k (f_0 - f*), q = 1/(mu eta m) + L_max eta/(1 - L_max eta)",
    assumptions=(
        "convex examples with L_max-Lipschitz gradients, and a mu-strongly convex mean",
        "SVRG with eta < 1/(2 L_max) and m steps an epoch; the next starts at a random iterate of it, or their mean",
    ),
    source=f"derived beside the code; {JOHNSON_ZHANG}, theorem 1, with a free s and the co-coercivity of the gradients",
    falls=True,
    kind=STRONGLY_CONVEX,
)
def svrg(*, L_max: float, mu: float, step_size: float, epoch_steps: int, gap: float, steps: int) -> float:
    """The expected f - f* after k epochs of SVRG.

    Args:
        L_max: Largest Lipschitz constant of one example's gradient.
        mu: Strong convexity of f, > 0.
        step_size: eta.
        epoch_steps: m.
        gap: f_0 - f*.
        steps: k, the number of epochs.

    Raises:
        InputError: If an argument is out of range, or eta >= 1/(2 L_max).

    """
    theta, fixed = _svrg(L_max, mu, step_size, epoch_steps, 0.5, "1/(2 L_max)")
    gap, steps = number("gap", gap), count("steps", steps)
    return (fixed + theta / (1 - theta)) ** steps * gap


@bound(
    quantity="E[f_k - f*] <=",
    formula="q^k (f_0 - f*), q = min over s of (1/(mu eta m) + (1 + 1/s) L_max eta)/(2 - (1 + s) L_max eta)",
    assumptions=(
        "every example is a convex quadratic with curvature at most L_max, and the mean has curvatures >= mu",
        "SVRG with eta < 2/L_max and m steps an epoch; the next starts at a random iterate of it, or their mean",
    ),
    source=f"derived beside the code; {JOHNSON_ZHANG}, theorem 1, with a free s and the equality that quadratics have",
    falls=True,
    kind=QUADRATIC,
)
def svrg_quadratic(*, L_max: float, mu: float, step_size: float, epoch_steps: int, gap: float, steps: int) -> float:
    """The expected f - f* after k epochs of SVRG on a sum of quadratics: about half the factor of ``svrg``.

    Args:
        L_max: Largest curvature of one example.
        mu: Smallest curvature of f, > 0.
        step_size: eta.
        epoch_steps: m.
        gap: f_0 - f*.
        steps: k, the number of epochs.

    Raises:
        InputError: If an argument is out of range, or eta >= 2/L_max.

    """
    theta, fixed = _svrg(L_max, mu, step_size, epoch_steps, 2.0, "2/L_max")
    gap, steps = number("gap", gap), count("steps", steps)
    # Where the derivative in s vanishes: (fixed + theta) s^2 + 2 theta s - (2 - theta) = 0.
    s = (math.sqrt(theta * theta + (fixed + theta) * (2 - theta)) - theta) / (fixed + theta)
    return ((fixed + (1 + 1 / s) * theta) / (2 - (1 + s) * theta)) ** steps * gap


def _svrg(
    L_max: float, mu: float, step_size: float, epoch_steps: int, largest: float, text: str
) -> tuple[float, float]:
    """L_max eta and 1/(mu eta m), checked; eta must lie below ``largest``/L_max."""
    L_max, mu = curvatures(L_max, mu, strict=True, name="L_max")
    step_size, epoch_steps = positive("step_size", step_size), count("epoch_steps", epoch_steps, 1)
    if step_size * L_max >= largest:
        raise InputError(
            f"step_size={step_size!r}: the bound holds for steps below {text} = {largest / L_max!r}",
            "take a shorter step, e.g. 1/(10 L_max)",
        )
    return step_size * L_max, 1 / (mu * step_size * epoch_steps)


@bound(
    quantity="gradients of single examples until E[f - f*] <= eps:",
    formula="(n + 2 m) log((f_0 - f*)/eps)/log(1/q), the quotient rounded up, with q from svrg",
    assumptions=(
        "the same as svrg",
        "eta = 1/(5 L_max) and m = 20 L_max/mu, rounded up, unless given: then q <= 1/2",
    ),
    source=f"from svrg; {JOHNSON_ZHANG}, section 3: O((n + L_max/mu) log(1/eps))",
    kind=STRONGLY_CONVEX,
)
def svrg_gradients(
    *,
    examples: int,
    L_max: float,
    mu: float,
    gap: float,
    target: float,
    step_size: float | None = None,
    epoch_steps: int | None = None,
) -> float:
    """Work of SVRG that is enough: a full gradient an epoch, and two examples a step.

    Args:
        examples: n.
        L_max: Largest Lipschitz constant of one example's gradient.
        mu: Strong convexity of f, > 0.
        gap: f_0 - f*.
        target: eps.
        step_size: eta; 1/(5 L_max) when None.
        epoch_steps: m; 20 L_max/mu when None.

    Raises:
        InputError: If an argument is out of range, eta >= 1/(2 L_max), or q >= 1.

    """
    L_max, mu = curvatures(L_max, mu, strict=True, name="L_max")
    examples, gap, target = count("examples", examples, 1), number("gap", gap), positive("target", target)
    step_size = 1 / (5 * L_max) if step_size is None else positive("step_size", step_size)
    epoch_steps = math.ceil(20 * kappa(L_max, mu)) if epoch_steps is None else count("epoch_steps", epoch_steps, 1)
    q = svrg(L_max=L_max, mu=mu, step_size=step_size, epoch_steps=epoch_steps, gap=1.0, steps=1)
    if q >= 1:
        raise InputError(
            f"step_size={step_size!r}, epoch_steps={epoch_steps}: an epoch is sure of no decrease, q = {q:.4g}",
            "take a step of 1/(5 L_max) and more steps an epoch, such as 20 L_max/mu",
        )
    if gap <= target:
        return 0.0
    # Rounding in the quotient may put a whole number just above itself: an epoch too many keeps the bound.
    epochs = math.ceil((math.log(gap) - math.log(target)) / -math.log(q))
    return float(examples + 2 * epoch_steps) * epochs
