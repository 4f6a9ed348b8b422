"""Functions of any number of parameters: problems 20-35 of Moré, Garbow and Hillstrom.

J. J. Moré, B. S. Garbow, K. E. Hillstrom, Testing unconstrained optimization software, ACM Transactions on Mathematical
Software 7 (1981) 17-41; "MGH" below. f is the sum of the squared residuals, without a factor 1/2. The size is that of
x; constants of a size are kept.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np

from thalweg.problems.zoo.any_size_minima import MINIMA
from thalweg.problems.zoo.entry import Family, Minimum, at, constants

ZERO = constants([0.0])


@lru_cache(maxsize=64)
def counted(n: int) -> np.ndarray:
    """1, 2, ..., n, shape (n,)."""
    return constants(np.arange(1, n + 1))


@lru_cache(maxsize=64)
def watson_powers(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Powers t_i^(j-1) and their derivatives (j-1) t_i^(j-2) at t_i = i/29, each (29, n)."""
    t = np.arange(1, 30)[:, None] / 29.0
    powers = t ** np.arange(n)
    slopes = np.hstack([np.zeros((29, 1)), np.arange(1, n) * t ** np.arange(n - 1)])
    return constants(powers), constants(slopes)


def watson(x: Any) -> tuple[Any, ...]:
    """A polynomial p with p' - p^2 = 1 and p(0) = 0, 2 <= n <= 31; the Hessian is very ill conditioned."""
    powers, slopes = watson_powers(x.shape[0])
    return slopes @ x - (powers @ x) ** 2 - 1.0, x[0], x[1] - x[0] ** 2 - 1.0


def extended_rosenbrock(x: Any) -> tuple[Any, ...]:
    """Rosenbrock's valley in each pair of parameters."""
    odd, even = x[0::2], x[1::2]
    return 10.0 * (even - odd**2), 1.0 - odd


def extended_powell_singular(x: Any) -> tuple[Any, ...]:
    """Powell's singular function in each four parameters."""
    x1, x2, x3, x4 = x[0::4], x[1::4], x[2::4], x[3::4]
    return x1 + 10.0 * x2, math.sqrt(5.0) * (x3 - x4), (x2 - 2.0 * x3) ** 2, math.sqrt(10.0) * (x1 - x4) ** 2


PENALTY = math.sqrt(1e-5)


def penalty_1(x: Any) -> tuple[Any, ...]:
    """A weak pull to 1 and a strong one to the sphere of radius 1/2."""
    return PENALTY * (x - 1.0), (x**2).sum() - 0.25


@lru_cache(maxsize=64)
def penalty_2_target(n: int) -> np.ndarray:
    """exp(i/10) + exp((i-1)/10) for i = 2..n, shape (n-1,)."""
    e = np.exp(np.arange(1, n + 1) / 10.0)
    return constants(e[1:] + e[:-1])


def penalty_2(x: Any) -> tuple[Any, ...]:
    """Weak exponential pulls and a strong one to an ellipsoid."""
    n = x.shape[0]
    e = np.exp(0.1 * x)
    return (
        x[0] - 0.2,
        PENALTY * (e[1:] + e[:-1] - penalty_2_target(n)),
        PENALTY * (e[1:] - math.exp(-0.1)),
        counted(n)[::-1] @ x**2 - 1.0,
    )


def variably_dimensioned(x: Any) -> tuple[Any, ...]:
    """A quadratic and a quartic in one direction, along which the curvature is about n^6 at the start."""
    away = x - 1.0
    along = counted(x.shape[0]) @ away
    return away, along, along**2


def trigonometric(x: Any) -> tuple[Any, ...]:
    """Sines and cosines, with many local minima."""
    n = x.shape[0]
    cosines = np.cos(x)
    return (n - cosines.sum() + counted(n) * (1.0 - cosines) - np.sin(x),)


def brown_almost_linear(x: Any) -> tuple[Any, ...]:
    """Linear equations and one product."""
    return x[:-1] + x.sum() - (x.shape[0] + 1.0), x.prod() - 1.0


def discrete_boundary_value(x: Any) -> tuple[Any, ...]:
    """u'' = (u + t + 1)^3 / 2, u(0) = u(1) = 0, by differences on n inner points."""
    n = x.shape[0]
    h = 1.0 / (n + 1)
    padded = np.concatenate([ZERO, x, ZERO])
    return (2.0 * x - padded[:-2] - padded[2:] + 0.5 * h * h * (x + (h * counted(n) + 1.0)) ** 3,)


@lru_cache(maxsize=16)
def green(n: int) -> np.ndarray:
    """The boundary value problem's Green function times h/2 at the n inner points, shape (n, n)."""
    t = np.arange(1, n + 1) / (n + 1)
    return constants(np.minimum.outer(t, t) * (1.0 - np.maximum.outer(t, t)) / (2 * (n + 1)))


def discrete_integral_equation(x: Any) -> tuple[Any, ...]:
    """The same boundary value problem as an integral equation."""
    n = x.shape[0]
    return (x + green(n) @ (x + (counted(n) / (n + 1) + 1.0)) ** 3,)


def broyden_tridiagonal(x: Any) -> tuple[Any, ...]:
    """Quadratic equations that each tie three neighbours."""
    padded = np.concatenate([ZERO, x, ZERO])
    return ((3.0 - 2.0 * x) * x - padded[:-2] - 2.0 * padded[2:] + 1.0,)


BAND_BEFORE = constants(np.zeros(5))


def broyden_banded(x: Any) -> tuple[Any, ...]:
    """Cubic equations that each tie five neighbours before and one after."""
    n = x.shape[0]
    padded = np.concatenate([BAND_BEFORE, x * (1.0 + x), ZERO])  # entry i of x at i + 5
    neighbours = padded[0:n] + padded[1 : n + 1] + padded[2 : n + 2] + padded[3 : n + 3] + padded[4 : n + 4]
    return (x * (2.0 + 5.0 * x**2) + 1.0 - neighbours - padded[6 : n + 6],)


@lru_cache(maxsize=16)
def ones(n: int) -> np.ndarray:
    """As many ones, shape (n,)."""
    return constants(np.ones(n))


def linear_full_rank(x: Any) -> tuple[Any, ...]:
    """Linear residuals of full rank, m = 2n."""
    n = x.shape[0]
    mean = x.sum() / n
    return x - mean - 1.0, (-mean - 1.0) * ones(n)


def linear_rank_1(x: Any) -> tuple[Any, ...]:
    """Linear residuals of rank 1, m = 2n: the minimisers are the plane sum j x_j = 3 / (2m + 1)."""
    n = x.shape[0]
    return ((counted(n) @ x) * counted(2 * n) - 1.0,)


@lru_cache(maxsize=16)
def inner_counted(n: int) -> np.ndarray:
    """0, 2, 3, ..., n - 1, 0, shape (n,)."""
    weights = np.arange(1.0, n + 1)
    weights[[0, -1]] = 0.0
    return constants(weights)


@lru_cache(maxsize=16)
def inner_rows(m: int) -> np.ndarray:
    """0, 1, 2, ..., m - 2, 0, shape (m,)."""
    weights = np.arange(0.0, m)
    weights[-1] = 0.0
    return constants(weights)


def linear_rank_1_zeros(x: Any) -> tuple[Any, ...]:
    """Linear residuals of rank 1 with columns and rows of zeros, m = 2n."""
    n = x.shape[0]
    return ((inner_counted(n) @ x) * inner_rows(2 * n) - 1.0,)


@lru_cache(maxsize=16)
def chebyshev_means(m: int) -> np.ndarray:
    """Integrals over [0, 1] of the shifted Chebyshev polynomials of degree 1..m, shape (m,)."""
    degree = np.arange(1, m + 1)
    return constants(np.where(degree % 2 == 0, -1.0 / np.maximum(1, degree**2 - 1), 0.0))


def chebyquad(x: Any) -> tuple[Any, ...]:
    """Nodes of a quadrature with equal weights: their mean of T_i shall be the integral, i = 1..n."""
    n = x.shape[0]
    shifted = 2.0 * x - 1.0
    before: Any = 1.0
    polynomials = [shifted]
    for _ in range(n - 1):
        before, now = polynomials[-1], 2.0 * shifted * polynomials[-1] - before
        polynomials.append(now)
    return (np.stack(polynomials).mean(axis=1) - chebyshev_means(n),)


# --- The families ---------------------------------------------------------------------------------------------------


def known(name: str, n: int, *always: Minimum) -> list[Minimum]:
    """What holds for every size, and what is tabulated for this one."""
    tabulated = MINIMA.get((name, n), [])
    exact = {value.value for value in tabulated}
    return [*tabulated, *(value for value in always if value.value not in exact)]


def brown_almost_linear_minima(n: int) -> list[Minimum]:
    """0 at (1, ..., 1) and others; 1 at (0, ..., 0, n + 1), where along one line f - 1 is of odd order or falls."""
    zeros = MINIMA.get(("brown_almost_linear", n), [at(0.0, np.ones(n))])
    return [*zeros, at(1.0, [*np.zeros(n - 1), n + 1.0], kind="saddle", published="1")] if n > 3 else [*zeros]


def boundary_start(n: int) -> np.ndarray:
    """t (t - 1) at the inner points."""
    t = np.arange(1, n + 1) / (n + 1)
    return t * (t - 1.0)


def rank_1_minimum(n: int) -> list[Minimum]:
    """m (m - 1) / (2 (2m + 1)) on a plane, m = 2n."""
    m, weights = 2 * n, np.arange(1.0, n + 1)
    return [at(m * (m - 1) / (2.0 * (2 * m + 1)), 3.0 / (2 * m + 1) * weights / (weights @ weights))]


def rank_1_zeros_minimum(n: int) -> list[Minimum]:
    """(m^2 + 3m - 6) / (2 (2m - 3)) on a plane, m = 2n."""
    m, weights = 2 * n, inner_counted(n)
    return [at((m * m + 3 * m - 6) / (2.0 * (2 * m - 3)), 3.0 / (2 * m - 3) * weights / (weights @ weights))]


FAMILIES = (
    Family("watson", watson, np.zeros, lambda n: known("watson", n), "MGH 20", least=2),
    Family(
        "extended_rosenbrock",
        extended_rosenbrock,
        lambda n: np.tile([-1.2, 1.0], n // 2),
        lambda n: [at(0.0, np.ones(n))],
        "MGH 21",
        multiple=2,
    ),
    Family(
        "extended_powell_singular",
        extended_powell_singular,
        lambda n: np.tile([3.0, -1.0, 0.0, 1.0], n // 4),
        lambda n: [at(0.0, np.zeros(n))],
        "MGH 22",
        multiple=4,
        convex=True,
    ),
    Family("penalty_1", penalty_1, counted, lambda n: known("penalty_1", n), "MGH 23"),
    Family("penalty_2", penalty_2, lambda n: np.full(n, 0.5), lambda n: known("penalty_2", n), "MGH 24", least=2),
    Family(
        "variably_dimensioned",
        variably_dimensioned,
        lambda n: 1.0 - counted(n) / n,
        lambda n: [at(0.0, np.ones(n))],
        "MGH 25",
        convex=True,
    ),
    Family(
        "trigonometric",
        trigonometric,
        lambda n: np.full(n, 1.0 / n),
        lambda n: known("trigonometric", n, at(0.0, np.zeros(n))),
        "MGH 26",
    ),
    Family(
        "brown_almost_linear",
        brown_almost_linear,
        lambda n: np.full(n, 0.5),
        brown_almost_linear_minima,
        "MGH 27",
        least=2,
    ),
    Family(
        "discrete_boundary_value",
        discrete_boundary_value,
        boundary_start,
        lambda n: known("discrete_boundary_value", n, at(0.0)),
        "MGH 28",
    ),
    Family(
        "discrete_integral_equation",
        discrete_integral_equation,
        boundary_start,
        lambda n: known("discrete_integral_equation", n, at(0.0)),
        "MGH 29",
    ),
    Family(
        "broyden_tridiagonal",
        broyden_tridiagonal,
        lambda n: -np.ones(n),
        lambda n: known("broyden_tridiagonal", n, at(0.0)),
        "MGH 30",
    ),
    Family(
        "broyden_banded",
        broyden_banded,
        lambda n: -np.ones(n),
        lambda n: known("broyden_banded", n, at(0.0)),
        "MGH 31",
    ),
    Family("linear_full_rank", linear_full_rank, np.ones, lambda n: [at(float(n), -np.ones(n))], "MGH 32", convex=True),
    Family("linear_rank_1", linear_rank_1, np.ones, rank_1_minimum, "MGH 33", convex=True),
    Family("linear_rank_1_zeros", linear_rank_1_zeros, np.ones, rank_1_zeros_minimum, "MGH 34", least=3, convex=True),
    Family("chebyquad", chebyquad, lambda n: counted(n) / (n + 1), lambda n: known("chebyquad", n), "MGH 35", least=2),
)
