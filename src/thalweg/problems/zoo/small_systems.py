"""Equations in two to four unknowns as sums of squares: problems 1-5, 7, 13 and 14 of Moré, Garbow and Hillstrom.

J. J. Moré, B. S. Garbow, K. E. Hillstrom, Testing unconstrained optimization software, ACM Transactions on Mathematical
Software 7 (1981) 17-41; "MGH" below. f is the sum of the squared residuals, without a factor 1/2.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from thalweg.problems.zoo.entry import at, constants, of_residuals


def rosenbrock(x: Any) -> tuple[Any, ...]:
    """A curved valley."""
    x1, x2 = x
    return 10.0 * (x2 - x1 * x1), 1.0 - x1


def freudenstein_roth(x: Any) -> tuple[Any, ...]:
    """Two cubics, with a local minimum that most methods reach."""
    x1, x2 = x
    return x1 - 13.0 + ((5.0 - x2) * x2 - 2.0) * x2, x1 - 29.0 + ((x2 + 1.0) * x2 - 14.0) * x2


def powell_badly_scaled(x: Any) -> tuple[Any, ...]:
    """A hyperbola and a sum of exponentials; x1 is 10^6 times smaller than x2 at the minimum."""
    x1, x2 = x
    return 1e4 * (x1 * x2) - 1.0, np.exp(-x1) + np.exp(-x2) - 1.0001


def brown_badly_scaled(x: Any) -> tuple[Any, ...]:
    """Unknowns that differ by 12 orders of magnitude at the minimum."""
    x1, x2 = x
    return x1 - 1e6, x2 - 2e-6, x1 * x2 - 2.0


BEALE_Y = constants([1.5, 2.25, 2.625])
BEALE_I = constants([1.0, 2.0, 3.0])


def beale(x: Any) -> tuple[Any, ...]:
    """A narrow curved valley with a flat plateau beyond it."""
    x1, x2 = x
    return (BEALE_Y - x1 * (1.0 - x2**BEALE_I),)


def helical_valley(x: Any) -> tuple[Any, ...]:
    """A valley along a helix; the angle jumps on the half-plane x1 = 0, x2 < 0, and not at the start."""
    x1, x2, x3 = x
    turn = 0.25 - np.arctan2(x1, x2) / (2.0 * math.pi)
    return 10.0 * (x3 - 10.0 * turn), 10.0 * (np.sqrt(x1 * x1 + x2 * x2) - 1.0), x3


def powell_singular(x: Any) -> tuple[Any, ...]:
    """The Hessian at the minimum has rank 2."""
    x1, x2, x3, x4 = x
    return x1 + 10.0 * x2, math.sqrt(5.0) * (x3 - x4), (x2 - 2.0 * x3) ** 2, math.sqrt(10.0) * (x1 - x4) ** 2


def wood(x: Any) -> tuple[Any, ...]:
    """Two valleys that are tied together; also known as Colville's function. It has a saddle at f = 7.88."""
    x1, x2, x3, x4 = x
    return (
        10.0 * (x2 - x1 * x1),
        1.0 - x1,
        math.sqrt(90.0) * (x4 - x3 * x3),
        1.0 - x3,
        math.sqrt(10.0) * (x2 + x4 - 2.0),
        (x2 - x4) / math.sqrt(10.0),
    )


ENTRIES = (
    of_residuals("rosenbrock", rosenbrock, [-1.2, 1.0], [at(0.0, [1.0, 1.0])], "MGH 1"),
    of_residuals(
        "freudenstein_roth",
        freudenstein_roth,
        [0.5, -2.0],
        [
            at(0.0, [5.0, 4.0]),
            at(48.98425367924002, [11.412778986902094, -0.8968052532744765], kind="local", published="48.9842"),
        ],
        "MGH 2",
    ),
    of_residuals(
        "powell_badly_scaled",
        powell_badly_scaled,
        [0.0, 1.0],
        [at(0.0, [1.0981593296998053e-05, 9.106146739866624])],
        "MGH 3",
    ),
    of_residuals("brown_badly_scaled", brown_badly_scaled, [1.0, 1.0], [at(0.0, [1e6, 2e-6])], "MGH 4"),
    of_residuals(
        "beale",
        beale,
        [1.0, 1.0],
        # The limit has x2 -> 1 and x1 (1 - x2) -> a, where a i fits the data best.
        [at(0.0, [3.0, 0.5]), at(0.45200892857142855, kind="limit")],
        "MGH 5",
    ),
    of_residuals("helical_valley", helical_valley, [-1.0, 0.0, 0.0], [at(0.0, [1.0, 0.0, 0.0])], "MGH 7"),
    of_residuals(
        "powell_singular", powell_singular, [3.0, -1.0, 0.0, 1.0], [at(0.0, np.zeros(4))], "MGH 13", convex=True
    ),
    of_residuals("wood", wood, [-3.0, -1.0, -3.0, -1.0], [at(0.0, np.ones(4))], "MGH 14"),
)
