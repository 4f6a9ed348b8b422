"""Bounds on methods that use full gradients: gradient descent, heavy ball, Nesterov, conjugate gradients.

The factor a step stands beside each method's update (``Method.rate``); here it becomes what holds after k steps.
"""

from __future__ import annotations

import math

from thalweg.methods import GradientDescent, HeavyBall, Nesterov
from thalweg.methods.method import Method
from thalweg.theory.bounds_problem import CONVEX, QUADRATIC, STRONGLY_CONVEX
from thalweg.theory.bounds_record import bound, count, curvatures, kappa, number, positive, real, step_at_most

NESTEROV_2018 = "Nesterov, Lectures on Convex Optimization (2018)"
POLYAK_1964 = "Polyak, USSR Computational Mathematics and Mathematical Physics 4 (1964), 1-17"


def _rate(method: Method, L: float, mu: float, *, quadratic: bool = False) -> float:
    """The factor by which f - f* shrinks a step; 1 where L/mu is infinite, and no progress is sure."""
    return method.rate(L, mu, quadratic=quadratic) if math.isfinite(kappa(L, mu)) else 1.0


# --- Gradient descent -----------------------------------------------------------------------------------------------


@bound(
    quantity="f(x - alpha g) <=",
    formula="f(x) - alpha (1 - alpha L/2) ||g||^2",
    assumptions=("the gradient g is L-Lipschitz between the two points",),
    source=f"{NESTEROV_2018}, lemma 1.2.3",
)
def descent_lemma(*, value: float, gradient_norm: float, step_size: float, L: float) -> float:
    """The objective after one gradient step: sure to fall for alpha < 2/L, most for alpha = 1/L.

    Args:
        value: f(x).
        gradient_norm: ||g||.
        step_size: alpha.
        L: Lipschitz constant of the gradient.

    Raises:
        InputError: If an argument is out of range.

    """
    value, gradient_norm = real("value", value), number("gradient_norm", gradient_norm)
    step_size, L = positive("step_size", step_size), positive("L", L)
    return value - step_size * (1 - step_size * L / 2) * gradient_norm**2


@bound(
    quantity="min over the first k points of ||g||^2 <=",
    formula="2 (f_0 - f*)/(alpha k)",
    assumptions=("the gradient is L-Lipschitz; f need not be convex", "gradient descent with a fixed alpha <= 1/L"),
    source=f"{NESTEROV_2018}, section 1.2.3",
    falls=True,
)
def smallest_gradient(*, L: float, step_size: float, gap: float, steps: int) -> float:
    """The smallest squared gradient norm at x_0, ..., x_{k-1}.

    Args:
        L: Lipschitz constant of the gradient.
        step_size: alpha.
        gap: f_0 - f*.
        steps: k; infinite for k = 0, when no point is counted.

    Raises:
        InputError: If an argument is out of range, or alpha > 1/L.

    """
    L, gap, steps = positive("L", L), number("gap", gap), count("steps", steps)
    step_size = step_at_most(step_size, 1 / L, "1/L")
    return 2 * gap / (step_size * steps) if steps else math.inf


@bound(
    quantity="f_k - f* <=",
    formula="(1 - mu/L)^k (f_0 - f*)",
    assumptions=(
        "the gradient is L-Lipschitz, and ||g||^2 >= 2 mu (f - f*) (PL) where the run goes; f need not be convex",
        "gradient descent with alpha = 1/L",
    ),
    source="Polyak, USSR Computational Mathematics and Mathematical Physics 3 (1963), 864-878; "
    "Karimi, Nutini and Schmidt, ECML (2016), theorem 1",
    falls=True,
)
def gradient_descent(*, L: float, mu: float, gap: float, steps: int) -> float:
    """f - f* after k gradient steps under the Polyak-Lojasiewicz (PL) condition, which strong convexity implies.

    Args:
        L: Lipschitz constant of the gradient.
        mu: PL constant.
        gap: f_0 - f*.
        steps: k.

    Raises:
        InputError: If an argument is out of range.

    """
    L, mu = curvatures(L, mu)
    gap, steps = number("gap", gap), count("steps", steps)
    return _rate(GradientDescent(), L, mu) ** steps * gap


@bound(
    quantity="steps until f - f* <= eps:",
    formula="kappa log((f_0 - f*)/eps)",
    assumptions=("the same as gradient_descent",),
    source="from gradient_descent with 1 - x <= exp(-x)",
)
def gradient_descent_steps(*, L: float, mu: float, gap: float, target: float) -> float:
    """Steps that are enough; ``gradient_descent.steps_until`` gives the whole number, a little smaller.

    Args:
        L: Lipschitz constant of the gradient.
        mu: PL constant, > 0.
        gap: f_0 - f*.
        target: eps.

    Raises:
        InputError: If an argument is out of range.

    """
    L, mu = curvatures(L, mu, strict=True)
    return _logarithm(number("gap", gap), positive("target", target)) * kappa(L, mu)


def _logarithm(gap: float, target: float) -> float:
    """log(gap/target), or 0 where the target is reached."""
    return math.log(gap) - math.log(target) if gap > target else 0.0


@bound(
    quantity="f_k - f* <=",
    formula="(1 - 2/(kappa + 1))^(2 k) (f_0 - f*)",
    assumptions=("f is a quadratic with curvatures in [mu, L]", "gradient descent with alpha = 2/(L + mu)"),
    source=f"{NESTEROV_2018}, theorem 2.1.15, whose rate a quadratic attains",
    falls=True,
    kind=QUADRATIC,
)
def gradient_descent_quadratic(*, L: float, mu: float, gap: float, steps: int) -> float:
    """f - f* after k gradient steps on a quadratic.

    Args:
        L: Largest curvature.
        mu: Smallest curvature.
        gap: f_0 - f*.
        steps: k.

    Raises:
        InputError: If an argument is out of range.

    """
    L, mu = curvatures(L, mu)
    gap, steps = number("gap", gap), count("steps", steps)
    return _rate(GradientDescent(), L, mu, quadratic=True) ** steps * gap


@bound(
    quantity="||x_k - x*|| <=",
    formula="(1 - 2/(kappa + 1))^k ||x_0 - x*||",
    assumptions=("mu-strongly convex f with an L-Lipschitz gradient", "gradient descent with alpha = 2/(L + mu)"),
    source=f"{NESTEROV_2018}, theorem 2.1.15",
    falls=True,
    kind=STRONGLY_CONVEX,
)
def gradient_descent_distance(*, L: float, mu: float, distance: float, steps: int) -> float:
    """The distance to the minimiser after k gradient steps: the root of what ``gradient_descent_quadratic`` gives.

    Args:
        L: Largest curvature.
        mu: Smallest curvature.
        distance: ||x_0 - x*||.
        steps: k.

    Raises:
        InputError: If an argument is out of range.

    """
    L, mu = curvatures(L, mu)
    distance, steps = number("distance", distance), count("steps", steps)
    return math.sqrt(_rate(GradientDescent(), L, mu, quadratic=True)) ** steps * distance


# --- Heavy ball -----------------------------------------------------------------------------------------------------
#
# Along an eigenvector of curvature h the error obeys p_{k+1} = (1 + beta - alpha h) p_k - beta p_{k-1} from
# p_0 = p_{-1} = 1. The tuning maps [mu, L] onto 1 + beta - alpha h = 2 sqrt(beta) c with c in [-1, 1], so that with
# Chebyshev's polynomials of the second kind p_k = sqrt(beta)^k (U_k(c) - sqrt(beta) U_{k-1}(c)). As |U_k| <= k + 1,
# reached at c = -1 with alternating signs, max |p_k| = sqrt(beta)^k (1 + k (1 + sqrt(beta))), and h = L attains it.
# The spectral radius alone, sqrt(beta)^k, is no bound: at either end the 2x2 block is a Jordan block.


def _heavy_ball(L: float, mu: float, steps: int) -> float:
    """The largest |p_k| over [mu, L]."""
    beta = _rate(HeavyBall(), L, mu, quadratic=True)
    root = math.sqrt(beta)
    return root**steps * (1 + steps * (1 + root))


@bound(
    quantity="f_k - f* <=",
    formula="beta^k (1 + k (1 + sqrt(beta)))^2 (f_0 - f*)",
    assumptions=(
        "f is a quadratic with curvatures in [mu, L]; on other functions this tuning can cycle: use Nesterov's method",
        "heavy ball from rest with sqrt(beta) = (sqrt(kappa) - 1)/(sqrt(kappa) + 1), alpha = (2 + 2 beta)/(L + mu)",
    ),
    source=f"rate: {POLYAK_1964}; the factor before it is derived beside the code and is attained at curvature L",
    falls=True,
    kind=QUADRATIC,
)
def heavy_ball(*, L: float, mu: float, gap: float, steps: int) -> float:
    """f - f* after k steps of the heavy ball: the worst case over all quadratics, which climbs before it falls.

    Args:
        L: Largest curvature.
        mu: Smallest curvature, > 0.
        gap: f_0 - f*.
        steps: k.

    Raises:
        InputError: If an argument is out of range.

    """
    L, mu = curvatures(L, mu, strict=True)
    gap, steps = number("gap", gap), count("steps", steps)
    return _heavy_ball(L, mu, steps) ** 2 * gap


@bound(
    quantity="||x_k - x*|| <=",
    formula="sqrt(beta)^k (1 + k (1 + sqrt(beta))) ||x_0 - x*||",
    assumptions=("the same as heavy_ball",),
    source=f"as heavy_ball; {POLYAK_1964}",
    falls=True,
    kind=QUADRATIC,
)
def heavy_ball_distance(*, L: float, mu: float, distance: float, steps: int) -> float:
    """The distance to the minimiser after k steps of the heavy ball.

    Args:
        L: Largest curvature.
        mu: Smallest curvature, > 0.
        distance: ||x_0 - x*||.
        steps: k.

    Raises:
        InputError: If an argument is out of range.

    """
    L, mu = curvatures(L, mu, strict=True)
    distance, steps = number("distance", distance), count("steps", steps)
    return _heavy_ball(L, mu, steps) * distance


# --- Nesterov -------------------------------------------------------------------------------------------------------


@bound(
    quantity="f(x_k) - f* <=",
    formula="2 L ||x_0 - x*||^2/(k + 1)^2",
    assumptions=(
        "convex f with an L-Lipschitz gradient",
        "Nesterov's method with alpha = 1/L and t_{k+1} = (1 + sqrt(1 + 4 t_k^2))/2, without restarts",
    ),
    source="Nesterov, Soviet Math. Dokl. 27 (1983); Beck and Teboulle, SIAM J. Imaging Sci. 2 (2009), theorem 4.4",
    falls=True,
    kind=CONVEX,
)
def nesterov_convex(*, L: float, distance: float, steps: int) -> float:
    """f - f* at x_k, the point that k gradient steps have led to (not where the next gradient is taken).

    Args:
        L: Lipschitz constant of the gradient.
        distance: ||x_0 - x*||.
        steps: k.

    Raises:
        InputError: If an argument is out of range.

    """
    L, distance, steps = positive("L", L), number("distance", distance), count("steps", steps)
    return 2 * L * (distance / (steps + 1)) ** 2


@bound(
    quantity="f(x_k) - f* <=",
    formula="(1 - 1/sqrt(kappa))^k (f_0 - f* + (mu/2) ||x_0 - x*||^2)",
    assumptions=(
        "mu-strongly convex f with an L-Lipschitz gradient",
        "Nesterov's method with alpha = 1/L and constant momentum (sqrt(kappa) - 1)/(sqrt(kappa) + 1)",
    ),
    source=f"{NESTEROV_2018}, section 2.2.1; Bubeck, Convex Optimization (2015), theorem 3.18",
    falls=True,
    kind=STRONGLY_CONVEX,
)
def nesterov(*, L: float, mu: float, gap: float, distance: float, steps: int) -> float:
    """f - f* at x_k, the point that k gradient steps have led to.

    Args:
        L: Lipschitz constant of the gradient.
        mu: Strong convexity.
        gap: f_0 - f*.
        distance: ||x_0 - x*||.
        steps: k.

    Raises:
        InputError: If an argument is out of range.

    """
    L, mu = curvatures(L, mu)
    gap, distance, steps = number("gap", gap), number("distance", distance), count("steps", steps)
    return _rate(Nesterov(), L, mu) ** steps * (gap + 0.5 * mu * distance**2)


# --- Conjugate gradients --------------------------------------------------------------------------------------------


@bound(
    quantity="||x_k - x*||_A <=",
    formula="2 ((sqrt(kappa) - 1)/(sqrt(kappa) + 1))^k ||x_0 - x*||_A",
    assumptions=("f = x'Ax/2 - b'x with the eigenvalues of A in [mu, L]", "exact arithmetic, or few enough steps"),
    source="Nocedal and Wright, Numerical Optimization (2006), equation (5.36)",
    falls=True,
    kind=QUADRATIC,
)
def conjugate_gradients(*, L: float, mu: float, error: float, steps: int) -> float:
    """The error of k steps of conjugate gradients in the norm ||e||_A^2 = e'Ae = 2 (f - f*).

    Args:
        L: Largest eigenvalue of A.
        mu: Smallest eigenvalue of A.
        error: ||x_0 - x*||_A.
        steps: k.

    Raises:
        InputError: If an argument is out of range.

    """
    L, mu = curvatures(L, mu)
    error, steps = number("error", error), count("steps", steps)
    # Chebyshev's polynomials set the rate of both methods: the heavy ball's sqrt(beta).
    return 2 * math.sqrt(_rate(HeavyBall(), L, mu, quadratic=True)) ** steps * error
