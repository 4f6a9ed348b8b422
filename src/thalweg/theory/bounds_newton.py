"""Bounds on Newton's method, and what k steps of gradient descent and of Newton cost."""

from __future__ import annotations

import math

from thalweg.core.errors import InputError
from thalweg.theory.bounds_record import bound, count, number, positive

NESTEROV_NEWTON = "Nesterov, Lectures on Convex Optimization (2018), theorem 1.2.5"
LOCAL = (
    "the Hessian is M-Lipschitz around x*, and its smallest eigenvalue at x* is at least mu",
    "Newton's method with full steps",
)
COUNTED = "f = (1/n) sum_i l(x_i'w) with n rows of d features; a multiplication, addition, division or root counts one"

# --- Convergence ----------------------------------------------------------------------------------------------------


@bound(
    quantity="Newton converges quadratically from ||x_0 - x*|| <",
    formula="2 mu/(3 M)",
    assumptions=LOCAL,
    source=NESTEROV_NEWTON,
)
def newton_radius(*, mu: float, M: float) -> float:
    """The radius of the region of quadratic convergence; infinite for M = 0.

    Args:
        mu: Smallest eigenvalue of the Hessian at x*, > 0.
        M: Lipschitz constant of the Hessian.

    Raises:
        InputError: If an argument is out of range.

    """
    mu, M = positive("mu", mu), number("M", M)
    return 2 * mu / (3 * M) if M > 0 else math.inf


@bound(
    quantity="||x_k - x*|| <=",
    formula="r_k with r_{j+1} = M r_j^2/(2 (mu - M r_j)), r_0 = ||x_0 - x*||",
    assumptions=(*LOCAL, "r_0 < 2 mu/(3 M)"),
    source=NESTEROV_NEWTON,
    falls=True,
)
def newton(*, mu: float, M: float, distance: float, steps: int) -> float:
    """The distance to the minimiser after k full Newton steps.

    Args:
        mu: Smallest eigenvalue of the Hessian at x*, > 0.
        M: Lipschitz constant of the Hessian.
        distance: ||x_0 - x*||, below 2 mu/(3 M).
        steps: k.

    Raises:
        InputError: If an argument is out of range, or the start lies outside the region.

    """
    radius = newton_radius(mu=mu, M=M)
    distance, steps = number("distance", distance), count("steps", steps)
    if distance >= radius:
        raise InputError(
            f"distance={distance!r}: quadratic convergence is sure within 2 mu/(3 M) = {radius!r}",
            "start closer, or measure distance after some damped steps",
        )
    for _ in range(steps):
        following = M * distance**2 / (2 * (mu - M * distance))
        if not 0 < following < distance:  # underflow, or a start so close to the radius that rounding holds it there
            return min(following, distance)
        distance = following
    return distance


# --- Cost -----------------------------------------------------------------------------------------------------------


@bound(
    quantity="operations of k gradient steps =",
    formula="k (4 n d + 2 d): O(n d k)",
    assumptions=(COUNTED, "n slopes l' a step come on top"),
    source="a count: X w, the division by n, X'u, and w - alpha g",
)
def gradient_descent_flops(*, examples: int, features: int, steps: int) -> float:
    """Floating-point operations of k steps of gradient descent on dense data.

    Args:
        examples: n.
        features: d.
        steps: k.

    Raises:
        InputError: If an argument is out of range.

    """
    n, d, steps = count("examples", examples, 1), count("features", features, 1), count("steps", steps)
    return float(steps * (4 * n * d + 2 * d))


@bound(
    quantity="numbers kept beside data and iterate =",
    formula="d + 1: O(d)",
    assumptions=("rows are visited one at a time: the gradient, and a number for the row",),
    source="a count",
)
def gradient_descent_memory(*, features: int) -> float:
    """Extra memory of gradient descent, in numbers.

    Args:
        features: d.

    Raises:
        InputError: If an argument is out of range.

    """
    return float(count("features", features, 1) + 1)


@bound(
    quantity="operations of k Newton steps =",
    formula="k (n d^2 + 6 n d + n + d^3/3 + 5 d^2/2 + 7 d/6): O((n d^2 + d^3) k)",
    assumptions=(COUNTED, "n slopes l' and n curvatures l'' a step come on top"),
    source="a count: the gradient, the lower triangle of X'diag(l'')X/n, Cholesky, two triangular solves, and w - d",
)
def newton_flops(*, examples: int, features: int, steps: int) -> float:
    """Floating-point operations of k full Newton steps on dense data.

    Args:
        examples: n.
        features: d.
        steps: k.

    Raises:
        InputError: If an argument is out of range.

    """
    n, d, steps = count("examples", examples, 1), count("features", features, 1), count("steps", steps)
    return steps * (n * d * d + 6 * n * d + n + (2 * d**3 + 15 * d * d + 7 * d) / 6)


@bound(
    quantity="numbers kept beside data and iterate =",
    formula="d (d + 1)/2 + d + 2: O(d^2)",
    assumptions=(
        "rows are visited one at a time: a triangle of the Hessian, factored in place, the gradient, and two numbers "
        "for the row",
    ),
    source="a count",
)
def newton_memory(*, features: int) -> float:
    """Extra memory of Newton's method, in numbers.

    Args:
        features: d.

    Raises:
        InputError: If an argument is out of range.

    """
    d = count("features", features, 1)
    return d * (d + 1) / 2 + d + 2
