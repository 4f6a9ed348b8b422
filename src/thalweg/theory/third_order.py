"""M, the Lipschitz constant of the Hessian: how far Newton's quadratic model may be trusted."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from thalweg.core.random import generator
from thalweg.core.records import Constant
from thalweg.core.vector import eps, flat, like
from thalweg.expr.bounds import derivative_bounds
from thalweg.expr.differentiate import gradient
from thalweg.linalg import lanczos
from thalweg.problems import FiniteSum

#: Random starts of the search for the direction of the largest third derivative, and its steps; for a table, where a
#: step is four passes and the bound from above is what counts, fewer.
STARTS, STEPS = 4, 25
STARTS_ON_TABLE, STEPS_ON_TABLE = 1, 4
#: How often the step of a difference is shortened by 16.
SHORTENINGS = 8
#: Parameters up to which the largest eigenvalue of a bound is computed by a dense solver.
MAX_DENSE = 400
EPS = float(np.finfo(np.float64).eps)


def hessian_lipschitz(problem: Any, point: Any, where: str, seed: int = 0) -> Constant:
    """M with ||H(x) - H(y)|| <= M ||x - y||.

    A quadratic has M = 0. For a sum over a table, M <= sup |l'''| times the largest eigenvalue of
    sum p_i ||x_i|| x_i x_i' (with x_i extended by the intercept's 1); where the third derivative of the loss has no
    bound, and for functions, the largest third derivative along a direction is measured at the point, which is a lower
    end for M: no upper end is known.

    Args:
        problem: Any problem.
        point: One of its points.
        where: How reports name that point.
        seed: Seed of the random starts.

    """
    if bool(getattr(problem, "constant_curvature", False)):
        return Constant(0.0, "closed form: the Hessian is constant", "everywhere", (0.0, 0.0))
    table = isinstance(problem, FiniteSum)
    met, error = largest_third(point, seed, *((STARTS_ON_TABLE, STEPS_ON_TABLE) if table else (STARTS, STEPS)))
    low = max(met - error, 0.0)
    bound = third_bound(problem) if table else math.inf
    if math.isfinite(bound):
        how = "bound: sup |l'''| times the largest eigenvalue of the mean of ||x_i|| x_i x_i'"
        return Constant(bound, how, "everywhere", (min(low, bound), bound))
    how = "measured: the largest third derivative along a direction; a lower end, no upper end is known"
    return Constant(met, how, where, (low, math.inf))


def third_bound(problem: FiniteSum) -> float:
    """The bound on M of a sum over a table; inf where the loss's third derivative is not bounded."""
    kernel = problem.loss.kernel
    if problem.classes > 1 or kernel.z.ndim != 1:
        return math.inf
    steepest = derivative_bounds(gradient(kernel.loss, kernel.z), kernel.z, kernel.y).smoothness
    if not math.isfinite(steepest) or steepest == 0.0:
        return steepest
    free = float(problem.intercept)
    weights = problem.share * np.sqrt(problem.rows.square_norms() + free)

    def apply(v: np.ndarray) -> np.ndarray:
        u = weights * (problem.rows.matvec(v[: problem.d]) + (v[-1] if problem.intercept else 0.0))
        products = problem.rows.rmatvec(u)
        return np.append(products, u.sum()) if problem.intercept else products

    if problem.size <= MAX_DENSE:
        top = float(np.linalg.eigvalsh(np.stack([apply(e) for e in np.eye(problem.size)]))[-1])
        return steepest * top * (1 + (problem.size + math.sqrt(problem.n)) * EPS)
    return steepest * lanczos(apply, problem.size, 0, steps=60).largest.interval[1]


def largest_third(point: Any, seed: int = 0, starts: int = STARTS, steps: int = STEPS) -> tuple[float, float]:
    """The largest |D^3 f(x)[u, u, u]| over unit directions that a power iteration finds, and how far it may be off.

    D^3 f(x)[u, u] is a central difference of H u along u; u is turned towards it, with a shift. Source: Kolda and
    Mayo, SIAM J. Matrix Anal. Appl. 32 (2011) 1095-1124.

    Args:
        point: Of any problem.
        seed: Seed of the random starts.
        starts: How many.
        steps: Of the power iteration from each; two products with Hessians a step.

    """
    rng, size = generator(seed), int(point.x.size)
    best, error = 0.0, 0.0
    for _ in range(starts):
        u = rng.standard_normal(size)
        u /= np.linalg.norm(u)
        step = _step(point, u)
        highest, at = -1.0, u
        for _ in range(steps):
            turned = _turned(point, u, step)[0]
            along, length = float(turned @ u), float(np.linalg.norm(turned))
            if not math.isfinite(length):
                break
            if abs(along) > highest:
                highest, at = abs(along), u
            if length == 0.0:
                break
            # The shift keeps the iteration from cycling; the sign of u is free.
            u = (turned if along >= 0 else -turned) + length * u
            u /= np.linalg.norm(u)
        if highest >= best:
            off, rounding, _ = _error(point, at, step)
            best, error = highest, off + rounding
    return best, error


def _turned(point: Any, u: np.ndarray, step: float) -> tuple[np.ndarray, float]:
    """The central difference of H u along u, and its rounding."""
    x = flat(point.x).astype(np.float64)
    ahead, behind = (
        flat(point.problem.at(like(point.x, x + t * u)).hvp(like(point.x, u))).astype(np.float64) for t in (step, -step)
    )
    turned, unit, size = (ahead - behind) / (2 * step), eps(point.x), float(np.linalg.norm(x))
    moved = unit * (size + step) / step * float(np.linalg.norm(turned))
    product = 4 * unit * float(np.linalg.norm(ahead))
    if by_differences(point.problem):  # over unit^(1/3) (1 + ||x||), as in FunctionPoint.hvp
        product += 4 * unit ** (2 / 3) * float(np.linalg.norm(flat(point.gradient))) / (1 + size)
    return turned, product / step + moved


def by_differences(problem: Any) -> bool:
    """Whether products with the Hessian are differences of gradients that were given.

    Args:
        problem: Any problem.

    """
    return getattr(problem, "first_order_given", False) and not {"hessian", "hvp"} & problem.given.keys()


def _error(point: Any, u: np.ndarray, step: float) -> tuple[float, float, float]:
    """What a difference may be off by beyond rounding, its rounding, and its length.

    A step of twice the length errs four times as much.
    """
    near, rounding = _turned(point, u, step)
    off = float(np.linalg.norm(near - _turned(point, u, 2 * step)[0]))
    return (off if math.isfinite(off) else math.inf), rounding, float(np.linalg.norm(near))


def _step(point: Any, u: np.ndarray) -> float:
    """The step of a difference: a root of the rounding, shortened until it errs by a hundredth or rounding is more."""
    x = flat(point.x).astype(np.float64)
    chosen = step = eps(point.x) ** (1 / 3) * (1.0 + float(np.linalg.norm(x)) / math.sqrt(len(x)))
    least = math.inf
    for _ in range(SHORTENINGS):
        off, rounding, length = _error(point, u, step)
        if off + rounding < least * length:
            least, chosen = (off + rounding) / length, step
        if off <= max(1e-2 * length, rounding):
            break
        step /= 16
    return chosen
