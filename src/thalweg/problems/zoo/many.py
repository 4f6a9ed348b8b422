"""Functions of any number of parameters beyond those of Moré, Garbow and Hillstrom.

Sources: the CUTE collection (Bongartz et al., ACM Transactions on Mathematical Software 21 (1995) 123-160); M. Jamil,
X.-S. Yang, A literature survey of benchmark functions for global optimization problems, International Journal of
Mathematical Modelling and Numerical Optimisation 4 (2013) 150-194, "Jamil-Yang" below. The survey states boxes, not
starts: where an entry says so, the start is Thalweg's.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np

from thalweg.problems.zoo.any_size import counted
from thalweg.problems.zoo.entry import Family, Minimum, at, constants

# --- Convex ---------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=64)
def root_counted(n: int) -> np.ndarray:
    """Square roots of 1, 2, ..., n, shape (n,)."""
    return constants(np.sqrt(counted(n)))


def sphere(x: Any) -> tuple[Any, ...]:
    """The sum of squares."""
    return (x,)


def sum_of_squares(x: Any) -> tuple[Any, ...]:
    """The sum of i x_i^2."""
    return (root_counted(x.shape[0]) * x,)


def rotated_hyper_ellipsoid(x: Any) -> tuple[Any, ...]:
    """The squares of all partial sums of x."""
    return (np.cumsum(x),)


def tridia(x: Any) -> tuple[Any, ...]:
    """A convex quadratic whose condition number grows with n."""
    return x[0] - 1.0, root_counted(x.shape[0])[1:] * (2.0 * x[1:] - x[:-1])


def trid(x: Any) -> Any:
    """A convex quadratic of condition about n^2."""
    away = x - 1.0
    return (away * away).sum() - (x[1:] * x[:-1]).sum()


def zakharov(x: Any) -> tuple[Any, ...]:
    """A sphere, a quadratic and a quartic in one direction."""
    along = 0.5 * (counted(x.shape[0]) @ x)
    return x, along, along**2


def quartic(x: Any) -> tuple[Any, ...]:
    """The sum of i x_i^4: the Hessian vanishes at the minimum."""
    return (root_counted(x.shape[0]) * x**2,)


def arwhead(x: Any) -> Any:
    """Quartics that share the last parameter: an arrowhead Hessian."""
    head = x[:-1]
    return ((head**2 + x[-1] ** 2) ** 2 - 4.0 * head + 3.0).sum()


def engval1(x: Any) -> Any:
    """Quartics in neighbours."""
    squares = x**2
    return ((squares[:-1] + squares[1:]) ** 2 - 4.0 * x[:-1] + 3.0).sum()


# --- Nonconvex ------------------------------------------------------------------------------------------------------


def chained_rosenbrock(x: Any) -> tuple[Any, ...]:
    """Rosenbrock's valley in each pair of neighbours; a local minimum near (-1, 1, ..., 1) from n = 4 on."""
    return 10.0 * (x[1:] - x[:-1] ** 2), 1.0 - x[:-1]


def liarwhd(x: Any) -> tuple[Any, ...]:
    """Valleys that share the first parameter."""
    return 2.0 * (x**2 - x[0]), x - 1.0


def dixon_price(x: Any) -> tuple[Any, ...]:
    """A chain of parabolas."""
    return x[0] - 1.0, root_counted(x.shape[0])[1:] * (2.0 * x[1:] ** 2 - x[:-1])


def qing(x: Any) -> tuple[Any, ...]:
    """2^n global minima at x_i = +-sqrt(i)."""
    return (x**2 - counted(x.shape[0]),)


def styblinski_tang(x: Any) -> Any:
    """A sum of quartics with two minima each."""
    squares = x**2
    return 0.5 * ((squares - 16.0) * squares + 5.0 * x).sum()


def exponential(x: Any) -> Any:
    """A bell upside down; convex inside the unit ball alone."""
    return -np.exp(-0.5 * (x**2).sum())


def griewank(x: Any) -> Any:
    """A wide bowl with ripples: local minima some 6 apart."""
    return 1.0 + (x**2).sum() / 4000.0 - np.cos(x / root_counted(x.shape[0])).prod()


def levy(x: Any) -> tuple[Any, ...]:
    """A bowl with ripples along each axis, as a sum of squares."""
    w = 1.0 + 0.25 * (x - 1.0)
    inner, last = w[:-1], w[-1]
    return (
        np.sin(math.pi * w[0]),
        (inner - 1.0) * np.sqrt(1.0 + 10.0 * np.sin(math.pi * inner + 1.0) ** 2),
        (last - 1.0) * np.sqrt(1.0 + np.sin(2.0 * math.pi * last) ** 2),
    )


# --- The families ---------------------------------------------------------------------------------------------------

SURVEY = "Jamil-Yang; start by Thalweg"


def zeros(n: int) -> list[Minimum]:
    """The minimum 0 at the origin."""
    return [at(0.0, np.zeros(n))]


def unit(n: int) -> list[Minimum]:
    """The minimum 0 at (1, ..., 1)."""
    return [at(0.0, np.ones(n))]


def trid_minimum(n: int) -> list[Minimum]:
    """-n (n + 4) (n - 1) / 6 at x_i = i (n + 1 - i)."""
    i = np.arange(1, n + 1)
    return [at(-n * (n + 4) * (n - 1) / 6.0, i * (n + 1.0 - i))]


def dixon_price_minima(n: int) -> list[Minimum]:
    """0 at x_i = 2^-(1 - 2^(1 - i)); a degenerate saddle at (1/3, 0, ..., 0)."""
    i = np.arange(1, n + 1)
    saddle = [at(2.0 / 3.0, [1.0 / 3.0, *np.zeros(n - 1)], kind="saddle")] if n > 2 else []
    return [at(0.0, 2.0 ** (2.0 ** (1.0 - i) - 1.0)), *saddle]


def liarwhd_minima(n: int) -> list[Minimum]:
    """0 at (1, ..., 1); for a hundred parameters also two of the minima where some of the others are negative."""
    if n != 100:
        return unit(n)
    return [
        *unit(n),
        at(
            3.687828746661225,
            [0.9608686983562276, *[0.9814438698424304] * 98, -0.8275373830790504],
            kind="local",
        ),
        at(
            17.481056606660847,
            [0.7866756946691909, *[0.8951621116773593] * 94, *[-0.6939330195657608] * 5],
            kind="local",
        ),
    ]


def chained_rosenbrock_minima(n: int) -> list[Minimum]:
    """0 at (1, ..., 1); for ten parameters the local minimum, too."""
    local = [
        -0.9932633728563689, 0.9966060394434352, 0.9982406113911125, 0.9989884337678007, 0.999226153439665,
        0.9990736481633443, 0.9984541774029088, 0.9970562516630377, 0.9941793752280661, 0.9883926301288679,
    ]  # fmt: skip
    return [*unit(n), *([at(3.986579112347138, local, kind="local")] if n == 10 else [])]


def styblinski_tang_minima(n: int) -> list[Minimum]:
    """All parameters at the lower of the two minima; beside it, k of them at the upper one."""
    lower, upper = (-39.16616570377141, -2.903534027771177), (-25.02944665528394, 2.746802770990837)
    points = [np.where(np.arange(n) < k, upper[1], lower[1]) for k in range(n + 1)]
    return [
        at(k * upper[0] + (n - k) * lower[0], point, kind="local" if k else "global") for k, point in enumerate(points)
    ]


FAMILIES = (
    Family("sphere", sphere, counted, zeros, SURVEY, convex=True),
    Family("sum_of_squares", sum_of_squares, lambda n: np.full(n, 5.0), zeros, SURVEY, convex=True),
    Family("rotated_hyper_ellipsoid", rotated_hyper_ellipsoid, lambda n: np.full(n, 5.0), zeros, SURVEY, convex=True),
    Family("tridia", tridia, np.ones, lambda n: [at(0.0, 0.5 ** np.arange(n))], "CUTE", least=2, convex=True),
    Family("trid", trid, np.zeros, trid_minimum, SURVEY, least=2, convex=True, squares=False),
    Family("zakharov", zakharov, np.ones, zeros, SURVEY, convex=True),
    Family("quartic", quartic, np.ones, zeros, SURVEY, convex=True),
    Family(
        "arwhead",
        arwhead,
        np.ones,
        lambda n: [at(0.0, [*np.ones(n - 1), 0.0])],
        "CUTE",
        least=2,
        convex=True,
        squares=False,
    ),
    Family(
        "engval1",
        engval1,
        lambda n: np.full(n, 2.0),
        lambda n: [at(109.08813614309213)] if n == 100 else [],
        "CUTE",
        least=2,
        convex=True,
        squares=False,
    ),
    Family(
        "chained_rosenbrock",
        chained_rosenbrock,
        lambda n: np.tile([-1.2, 1.0], n // 2),
        chained_rosenbrock_minima,
        SURVEY,
        least=2,
        multiple=2,
    ),
    Family("liarwhd", liarwhd, lambda n: np.full(n, 4.0), liarwhd_minima, "CUTE", least=2),
    Family("dixon_price", dixon_price, lambda n: np.full(n, 2.0), dixon_price_minima, SURVEY, least=2),
    Family("qing", qing, np.ones, lambda n: [at(0.0, np.sqrt(counted(n)))], SURVEY),
    Family("styblinski_tang", styblinski_tang, np.zeros, styblinski_tang_minima, SURVEY, squares=False),
    Family(
        "exponential",
        exponential,
        lambda n: np.full(n, 0.5),
        lambda n: [at(-1.0, np.zeros(n))],
        SURVEY,
        squares=False,
    ),
    Family("griewank", griewank, np.ones, zeros, SURVEY, squares=False),
    Family("levy", levy, lambda n: np.full(n, 1.4), unit, SURVEY, least=2),
)
