"""Secant updates: matrices that agree with the last change of the gradient, in direct form (B) and inverse form (C).

With s = x_{k+1} - x_k and y = g_{k+1} - g_k every update keeps symmetry and satisfies the secant equation, B s = y or
C y = s. The direct and the inverse form of one update keep B C = I. BFGS and DFP keep definiteness where s'y > 0; SR1
need not, but on a quadratic it finds the Hessian exactly from independent steps.

Source: Nocedal and Wright, Numerical Optimization (2006), chapter 6.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from thalweg.core.check import checked_number
from thalweg.core.errors import InputError
from thalweg.methods.check import check_symmetric, real_array

#: Least curvature s'y, relative to |s||y|, that an update can be made from: below, it is rounding.
LEAST_CURVATURE = 1e-14


def sr1_direct(B: Any, s: Any, y: Any) -> np.ndarray:
    """B + r r'/(r's) with r = y - B s, the only symmetric change of rank one; B itself where r = 0.

    Args:
        B: Symmetric, shape (d, d).
        s: Change of x, shape (d,).
        y: Change of the gradient, shape (d,).

    Returns:
        The new B, shape (d, d).

    Raises:
        InputError: Shapes disagree, a number is not finite, or r's = 0 although r is not: there is no such update.

    Example:
        >>> sr1_direct(np.eye(2), [1.0, 0.0], [3.0, 0.0])
        array([[3., 0.],
               [0., 1.]])

    """
    B, s, y = _checked("B", B, s, y)
    return _rank_one(B, y - B @ s, s, "s")


def sr1_inverse(C: Any, s: Any, y: Any) -> np.ndarray:
    """C + r r'/(r'y) with r = s - C y; C itself where r = 0.

    Args:
        C: Symmetric, shape (d, d).
        s: Change of x, shape (d,).
        y: Change of the gradient, shape (d,).

    Returns:
        The new C, shape (d, d).

    Raises:
        InputError: Shapes disagree, a number is not finite, or r'y = 0 although r is not: there is no such update.

    """
    C, s, y = _checked("C", C, s, y)
    return _rank_one(C, s - C @ y, y, "y")


def dfp_direct(B: Any, s: Any, y: Any) -> np.ndarray:
    """(I - y s'/s'y) B (I - s y'/s'y) + y y'/s'y: the B nearest to the last one in a weighted norm.

    Args:
        B: Symmetric, shape (d, d).
        s: Change of x, shape (d,).
        y: Change of the gradient, shape (d,).

    Returns:
        The new B, shape (d, d); positive definite if B is and s'y > 0.

    Raises:
        InputError: Shapes disagree, a number is not finite, or s'y = 0.

    """
    B, s, y = _checked("B", B, s, y)
    return _projected(B, y, s, _curvature(s, y))


def dfp_inverse(C: Any, s: Any, y: Any) -> np.ndarray:
    """C - C y y'C/(y'C y) + s s'/s'y.

    Args:
        C: Symmetric, shape (d, d), with y'C y not 0.
        s: Change of x, shape (d,).
        y: Change of the gradient, shape (d,).

    Returns:
        The new C, shape (d, d); positive definite if C is and s'y > 0.

    Raises:
        InputError: Shapes disagree, a number is not finite, s'y = 0 or y'C y = 0.

    """
    C, s, y = _checked("C", C, s, y)
    return _replaced(C, y, s, _curvature(s, y), "y'C y")


def bfgs_direct(B: Any, s: Any, y: Any) -> np.ndarray:
    """B - B s s'B/(s'B s) + y y'/s'y.

    Args:
        B: Symmetric, shape (d, d), with s'B s not 0.
        s: Change of x, shape (d,).
        y: Change of the gradient, shape (d,).

    Returns:
        The new B, shape (d, d); positive definite if B is and s'y > 0.

    Raises:
        InputError: Shapes disagree, a number is not finite, s'y = 0 or s'B s = 0.

    """
    B, s, y = _checked("B", B, s, y)
    return _replaced(B, s, y, _curvature(s, y), "s'B s")


def bfgs_inverse(C: Any, s: Any, y: Any) -> np.ndarray:
    """(I - s y'/s'y) C (I - y s'/s'y) + s s'/s'y: the C nearest to the last one in a weighted norm.

    Args:
        C: Symmetric, shape (d, d).
        s: Change of x, shape (d,).
        y: Change of the gradient, shape (d,).

    Returns:
        The new C, shape (d, d); positive definite if C is and s'y > 0.

    Raises:
        InputError: Shapes disagree, a number is not finite, or s'y = 0.

    """
    C, s, y = _checked("C", C, s, y)
    return _projected(C, s, y, _curvature(s, y))


def powell_damped(s: Any, y: Any, Bs: Any, share: float = 0.2) -> np.ndarray:
    """The y that an update is made from where s'y is too small: theta y + (1 - theta) B s.

    theta = 1 where s'y >= share s'B s, else such that s' of the result is share s'B s, so that BFGS stays definite.

    Args:
        s: Change of x, shape (d,).
        y: Change of the gradient, shape (d,).
        Bs: B s, shape (d,), with s'B s > 0.
        share: Least s'y relative to s'B s, between 0 and 1.

    Returns:
        The damped y, shape (d,).

    Raises:
        InputError: Shapes disagree, a number is not finite, s'B s is not positive, or the share is outside (0, 1).

    Source: Powell, Lecture Notes in Mathematics 630 (1978), 144-157; Nocedal and Wright (2006), procedure 18.2.

    """
    if not 0 < checked_number("share", share, "give 0 < share < 1") < 1:
        raise InputError(f"share={share!r}: expected a number between 0 and 1", "give 0 < share < 1")
    s, y, Bs = _vector("s", s), _vector("y", y), _vector("Bs", Bs)
    if not s.shape == y.shape == Bs.shape:
        raise InputError(f"s, y and Bs have shapes {s.shape}, {y.shape} and {Bs.shape}", "give vectors of one size")
    model, curvature = float(s @ Bs), float(s @ y)
    if not model > 0:
        raise InputError(f"s'B s = {model:g} is not positive", "damping needs a positive definite B")
    if curvature >= share * model:
        return y
    theta = (1 - share) * model / (model - curvature)
    return theta * y + (1 - theta) * Bs


# --- The formulas, each in two readings -----------------------------------------------------------------------------


def _rank_one(matrix: np.ndarray, r: np.ndarray, against: np.ndarray, name: str) -> np.ndarray:
    """M + r r'/(r'v), which maps v to M v + r."""
    size = math.sqrt(float(r @ r))
    if size == 0.0:
        return matrix.copy()
    below = float(r @ against)
    if abs(below) <= LEAST_CURVATURE * size * math.sqrt(float(against @ against)):
        raise InputError(f"r'{name} = {below:.3g} vanishes beside |r||{name}|", "skip this update: keep the matrix")
    return matrix + np.outer(r, r) / below  # in this order symmetric to the last bit


def _projected(matrix: np.ndarray, u: np.ndarray, v: np.ndarray, curvature: float) -> np.ndarray:
    """(I - u v'/u'v) M (I - v u'/u'v) + u u'/u'v, in O(d^2)."""
    Mv = matrix @ v
    scaled = u / curvature
    # The sum of a matrix and its transpose is symmetric to the last bit; M stays so, too.
    cross = np.outer(scaled, Mv)
    return matrix - (cross + cross.T) + (float(v @ Mv) + curvature) * np.outer(scaled, scaled)


def _replaced(matrix: np.ndarray, u: np.ndarray, v: np.ndarray, curvature: float, name: str) -> np.ndarray:
    """M - M u u'M/(u'M u) + v v'/u'v: the curvature along u is taken out and that of the pair put in."""
    Mu = matrix @ u
    old = float(u @ Mu)
    if old == 0.0:
        raise InputError(f"{name} = 0", "skip this update: keep the matrix")
    return matrix - np.outer(Mu, Mu) / old + np.outer(v, v) / curvature


# --- Checks ---------------------------------------------------------------------------------------------------------


def _curvature(s: np.ndarray, y: np.ndarray) -> float:
    curvature = float(s @ y)
    if curvature == 0.0:
        raise InputError("s'y = 0: no positive definite matrix maps s to y", "skip this update: keep the matrix")
    return curvature


def _checked(name: str, matrix: Any, s: Any, y: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    s, y = _vector("s", s), _vector("y", y)
    array = real_array(name, matrix, f"give {name} of shape (d, d)")
    if s.shape != y.shape or array.shape != (s.size, s.size):
        raise InputError(
            f"{name}, s and y have shapes {array.shape}, {s.shape} and {y.shape}", "give shapes (d, d), (d,) and (d,)"
        )
    check_symmetric(name, array)
    return array, s, y


def _vector(name: str, v: Any) -> np.ndarray:
    array = real_array(name, v, f"give {name} of shape (d,)")
    if array.ndim != 1 or not array.size:
        raise InputError(f"{name}={v!r:.60} is no vector", f"give {name} of shape (d,)")
    return array
