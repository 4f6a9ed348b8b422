"""Bounds on f - f* of a convex finite sum from Fenchel duality.

For any u with sum_i p_i u_i = 0 (p_i = s_i / sum s; only if the intercept is free),

    f* >= D(u) = -sum_i p_i l*(u_i, y_i) - ||r||^2 / (2 l2),      r = sum_i p_i u_i x_i,

and f(w, b) - D(u) = sum_i p_i [l(z_i) + l*(u_i) - u_i z_i] + (l2/2) ||w + r/l2||^2, a sum of nonnegative terms that
can be evaluated without cancellation. With l2 = 0 the last term is the condition r = 0. Three dual points are tried:

* Newton's: u = l'(z) + l''(z) (X dw + db) for the Newton step (dw, db). Its gap is of third order in the step.
* The gradient's: u = l'(z) after minimising over the intercept alone; the gap is then exactly the decrease from that
  minimisation plus ||grad_w f||^2 / (2 l2), and no conjugate is needed.
* Zero: f* >= sum_i p_i inf_z l(z, y_i), whatever the point.

Source: Rockafellar, Convex Analysis (1970), section 31; the Newton dual point is the dual of the quadratic model.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from thalweg.core.records import Certificate, CertificateKind
from thalweg.linalg import Factor, factor, preconditioned_cg
from thalweg.problems.conjugate import conjugate
from thalweg.problems.intercept import minimise_over_intercept

if TYPE_CHECKING:
    from thalweg.problems.finite_sum import FiniteSumPoint

EPS = float(np.finfo(np.float64).eps)
#: A sum that should be zero counts as zero below this many rounding units of its terms.
ROUNDING_UNITS = 1e4

#: Parameters up to which a certificate forms a Hessian of its own.
LARGEST_FACTOR = 500


def certify(
    point: FiniteSumPoint, direction: np.ndarray | None, refine: Factor | None, wanted: float = np.inf
) -> Certificate:
    """The smallest bound that the dual points give.

    Args:
        point: Where f is bounded.
        direction: A Newton step or an approximation of one, like x; computed from the Hessian when None.
        refine: Solves (Hessian) s = v approximately; used at l2 = 0 to make r vanish.
        wanted: The bound that is hoped for: what is sure to miss it by far is not computed.

    Returns:
        A proof for losses proven convex, else a certificate of kind none.

    """
    problem = point.problem
    if problem.convex is not True:
        return Certificate(np.inf, CertificateKind.NONE, "the loss is not proven convex")
    if not np.isfinite(point.value):
        return Certificate(np.inf, CertificateKind.NONE, "the objective is not finite here")
    with np.errstate(all="ignore"):
        if direction is None:
            direction, refine = _newton_direction(point)
        if np.isfinite(direction).all():
            found = _newton_gap(point, direction, refine)
            # Far from the minimum the least value of each row's loss may say more.
            if found is not None and found[0] > 0.1 * abs(point.value):
                zero = _zero_gap(point)
                found = None if zero is not None and not found[0] <= zero[0] else found
            if found is not None and np.isfinite(found[0]):
                how = "Fenchel gap of Newton's dual point"
                if problem.l2 == 0 and (refine is None or not refine.definite):
                    # Without a penalty a residual counts times the distance to the minimum, which only a definite
                    # Hessian bounds.
                    how += "; without a penalty, on a Hessian that is singular to rounding"
                    return Certificate(found[0], CertificateKind.ESTIMATE, how, found[1])
                return Certificate(found[0], CertificateKind.PROOF, how, found[1])
        zero = _zero_gap(point)
        candidates = [(zero, "the least value of each row's loss")]
        if _gradient_estimate(point) < min(np.inf if zero is None else 10 * zero[0], 100 * wanted):
            candidates.append((_gradient_gap(point), "gradient bound after minimising over the intercept"))
    known = [(found, how) for found, how in candidates if found is not None]
    if not known:
        return Certificate(np.inf, CertificateKind.NONE, "no dual point lies in the domain of the conjugate")
    (gap, rounding), how = min(known, key=lambda item: item[0][0])
    return Certificate(gap, CertificateKind.PROOF, how, rounding)


def _newton_direction(point: FiniteSumPoint) -> tuple[np.ndarray, Factor]:
    """The Newton step and a solver with the Hessian, by a factor where that is small, else by products."""
    problem = point.problem
    if problem.size <= LARGEST_FACTOR:
        refine = factor(point.hessian)
    else:
        refine = Factor(lambda r: preconditioned_cg(point.hvp, r, lambda v: v, 1e-4, 500)[0])
    return -refine(point.gradient), refine


def _newton_gap(point: FiniteSumPoint, direction: np.ndarray, refine: Factor | None) -> tuple[float, float] | None:
    """Gap and its rounding part at Newton's dual point; None where it leaves the domain."""
    problem = point.problem
    shift = point.along(direction).margins
    u = point.slope + point.bend(shift)
    if problem.l2 == 0 and refine is not None:
        correction = refine(-problem.adjoint(problem.weighted(u)))
        direction = direction + correction
        shift = shift + problem.margins(correction)
        u = point.slope + point.bend(shift)
    elif problem.intercept:
        offset = _intercept_correction(point, u, np.atleast_1d(problem.weighted(u).sum(axis=0)))
        if offset is not None:
            u = u + point.bend(np.broadcast_to(offset, point.margins.shape))
            shift = shift + offset
    return _gap(point, u, problem.adjoint(problem.weighted(u)), point.margins + shift, direction)


def _intercept_correction(point: FiniteSumPoint, u: np.ndarray, residual: np.ndarray) -> np.ndarray | float | None:
    """The change of intercept that makes the weighted sum of u vanish; None where rounding is all there is."""
    problem = point.problem
    size = problem.mean(np.abs(u) if u.ndim == 1 else np.abs(u).sum(axis=1))
    if np.abs(residual).max() <= 10 * EPS * size:
        return None
    if u.ndim == 1:
        total = float(problem.weighted(point.bend(np.ones_like(u))).sum())
        return -float(residual[0]) / total if total > 0 else None
    k = problem.classes
    matrix = np.stack([problem.weighted(point.bend(np.broadcast_to(e, u.shape))).sum(axis=0) for e in np.eye(k)])
    return -np.linalg.pinv(matrix, rcond=1e-13, hermitian=True) @ residual


def _gap(
    point: FiniteSumPoint, u: np.ndarray, r: np.ndarray, near: np.ndarray, step: np.ndarray
) -> tuple[float, float] | None:
    """f - D(u) and the part of it that stands for rounding; None where u is not dual feasible.

    Sums that are zero only up to rounding cost at most |sum| times the distance to the minimiser, estimated by twice
    the step plus the size of the point.
    """
    problem = point.problem
    inner = u * point.margins
    inner = inner if inner.ndim == 1 else inner.sum(axis=1)
    dual = conjugate(problem.loss, u, problem.y, near)
    active = slice(None) if isinstance(problem.share, float) else problem.share > 0
    if not np.isfinite(dual[active]).all():
        return None
    dual = np.where(np.isfinite(dual), dual, 0.0)
    r_w, r_b = problem.split(r)
    w, b = problem.split(point.x)
    dw, db = problem.split(step)
    rounding = 4 * EPS * problem.mean(np.abs(point.losses) + np.abs(dual) + np.abs(inner))
    size = problem.mean(np.abs(u) if u.ndim == 1 else np.abs(u).max(axis=1))
    if problem.intercept:
        if np.abs(r_b).max() > ROUNDING_UNITS * EPS * size:
            return None
        rounding += float(np.abs(r_b) @ (2 * np.abs(db) + np.abs(b)))
    gap = problem.mean(point.losses + dual - inner)
    if problem.l2 > 0:
        gap += 0.5 * problem.l2 * float(np.square(w + r_w / problem.l2).sum())
    else:
        mean, deviation, _ = problem.moments
        rounded = np.minimum(ROUNDING_UNITS * EPS * (np.abs(mean) + deviation), 1e-7 * deviation)
        if (np.abs(r_w) > size * np.where(deviation > 0, rounded, ROUNDING_UNITS * EPS * np.abs(mean))).any():
            return None
        rounding += float((np.abs(r_w) * (2 * np.abs(dw) + np.abs(w))).sum())
    return max(gap, 0.0) + rounding, rounding


def _gradient_estimate(point: FiniteSumPoint) -> float:
    """||grad_w f||^2 / (2 l2) as it stands: tells whether minimising over the intercept is worth its cost."""
    if point.problem.l2 == 0:
        return np.inf
    return float(np.square(point.problem.split(point.gradient)[0]).sum()) / (2 * point.problem.l2)


def _gradient_gap(point: FiniteSumPoint) -> tuple[float, float] | None:
    """The gradient bound after minimising over the intercept on the kept margins; None at l2 = 0."""
    problem = point.problem
    if problem.l2 == 0:
        return None
    slope, decrease, b_gap = point.slope, 0.0, 0.0
    if problem.intercept:
        offset, residual = minimise_over_intercept(point)
        margins = point.margins + offset
        losses, slope = problem.loss.kernel.value_gradient(margins, problem.y)
        size = problem.mean(np.abs(slope) if slope.ndim == 1 else np.abs(slope).max(axis=1))
        if not np.isfinite(losses).all() or np.abs(residual).max() > ROUNDING_UNITS * EPS * size:
            return None
        decrease = problem.mean(point.losses - losses)
        b = problem.split(point.x)[1]
        b_gap = float(np.abs(residual) @ (np.abs(b) + 2 * np.abs(np.atleast_1d(offset))))
    gradient = problem.adjoint(problem.weighted(slope)) + problem.ridge(point.x)
    norm = float(np.square(problem.split(gradient)[0]).sum())
    rounding = 4 * EPS * problem.mean(np.abs(point.losses)) + b_gap
    gap = max(decrease, 0.0) + norm / (2 * problem.l2) + rounding
    return (gap, rounding) if np.isfinite(gap) else None


def _zero_gap(point: FiniteSumPoint) -> tuple[float, float] | None:
    """The gap to the mean of inf_z l(z, y_i) = -l*(0, y_i): u = 0 is feasible whenever the losses are bounded below."""
    zero = np.zeros_like(point.x)
    return _gap(point, np.zeros_like(point.margins), zero, point.margins, zero)
