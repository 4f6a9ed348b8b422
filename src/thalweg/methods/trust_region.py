"""The least of a quadratic model within a ball: the step of trust-region methods, exact for any symmetric matrix."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from thalweg.core.check import checked_number
from thalweg.core.errors import InputError
from thalweg.methods.check import check_symmetric, real_array

EPS = float(np.finfo(np.float64).eps)
#: How far, relatively, the length of a step on the boundary may be from the radius.
LENGTH_TOLERANCE = 1e-10
#: Newton steps on the secular equation; bisection guards them.
MAX_ITERATIONS = 200


class RegionStep(NamedTuple):
    """The minimiser of g's + s'Bs/2 over |s| <= radius.

    Attributes:
        step: s, shape (d,).
        multiplier: lambda >= 0 with (B + lambda I) s = -g and B + lambda I positive semidefinite: the proof that s is
            the least.
        promised: The decrease -(g's + s'Bs/2), at least 0.

    """

    step: np.ndarray
    multiplier: float
    promised: float


def trust_region_step(gradient: Any, matrix: Any, radius: float) -> RegionStep:
    """The least of g's + s'Bs/2 over |s| <= radius, from the eigenvalues of B.

    In the hard case, where g has no part along the lowest eigenvalue and that is negative, the step is completed along
    its eigenvector to the boundary. Source: More and Sorensen, SIAM J. Sci. Stat. Comput. 4 (1983), 553-572; Nocedal
    and Wright, Numerical Optimization (2006), section 4.3.

    Args:
        gradient: g, shape (d,).
        matrix: B, symmetric, shape (d, d).
        radius: Largest length of the step, positive.

    Returns:
        The step with its multiplier and the decrease that it promises.

    Raises:
        InputError: Shapes disagree, a number is not finite, or the radius is not positive.

    Example:
        >>> trust_region_step([1.0, 0.0], [[2.0, 0.0], [0.0, -1.0]], 1.0).multiplier
        1.0

    """
    g, B = real_array("gradient", gradient, "give finite numbers"), real_array("matrix", matrix, "give finite numbers")
    if g.ndim != 1 or B.shape != (g.size, g.size) or not g.size:
        raise InputError(f"gradient and matrix have shapes {g.shape} and {B.shape}", "give shapes (d,) and (d, d)")
    check_symmetric("matrix", B)
    remedy = "give a radius > 0"
    if checked_number("radius", radius, remedy) == 0:
        raise InputError("radius=0: expected a number > 0", remedy)
    values, vectors = np.linalg.eigh(B)
    parts = vectors.T @ g
    along, multiplier = _in_eigenvectors(parts, values, radius)
    promised = -float(parts @ along + 0.5 * along @ (values * along))
    return RegionStep(vectors @ along, multiplier, max(promised, 0.0))


def _in_eigenvectors(parts: np.ndarray, values: np.ndarray, radius: float) -> tuple[np.ndarray, float]:
    """The step in the basis of eigenvectors, and its multiplier."""
    size = float(max(abs(values[0]), abs(values[-1])))
    rounding = len(values) * EPS * size
    steep = float(np.linalg.norm(parts))
    if values[0] > rounding:
        inside = -parts / values
        if np.linalg.norm(inside) <= radius:
            return inside, 0.0
    # Measured from the least multiplier, the lowest eigenvalue is exactly zero: the shift is resolved however small.
    least = max(0.0, -float(values[0]))
    gaps = np.maximum(values + least, 0.0)
    lowest = gaps <= 2 * rounding
    rest = np.where(lowest, 0.0, -parts / np.where(lowest, 1.0, gaps))
    length = float(np.linalg.norm(rest))
    if np.linalg.norm(parts[lowest]) <= EPS * steep and length <= radius:
        if least > rounding:
            rest[np.argmax(lowest)] = math.sqrt(max(radius**2 - length**2, 0.0))
        return rest, least
    shift = _shift(parts, np.where(lowest, 0.0, gaps), radius, steep / radius)
    return -parts / (np.where(lowest, 0.0, gaps) + shift), least + shift


def _shift(parts: np.ndarray, gaps: np.ndarray, radius: float, high: float) -> float:
    """The shift at which the step is as long as the radius: Newton's method on 1/length, guarded by bisection."""
    low, shift = 0.0, high
    for _ in range(MAX_ITERATIONS):
        along = parts / (gaps + shift)
        length = float(np.linalg.norm(along))
        if abs(length - radius) <= LENGTH_TOLERANCE * radius:
            break
        if length > radius:
            low = shift
        else:
            high = shift
        following = shift + (length / radius - 1) * length**2 / float(np.sum(along**2 / (gaps + shift)))
        between = math.sqrt(low * high) if low > 0 else 1e-3 * high
        shift = following if low < following < high else between
        if high - low <= 2 * EPS * high:
            break
    return shift
