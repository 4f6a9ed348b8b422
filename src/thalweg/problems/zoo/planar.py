"""Functions of two parameters beyond those of Moré, Garbow and Hillstrom.

Sources: D. M. Himmelblau, Applied Nonlinear Programming (1972); J. E. Dennis, R. B. Schnabel, Numerical Methods for
Unconstrained Optimization and Nonlinear Equations (1983), "Dennis-Schnabel" below, with starts and names of the CUTE
collection (Bongartz et al., ACM Transactions on Mathematical Software 21 (1995) 123-160); M. Jamil, X.-S. Yang, A
literature survey of benchmark functions for global optimization problems, International Journal of Mathematical
Modelling and Numerical Optimisation 4 (2013) 150-194, "Jamil-Yang" below. The survey states boxes, not starts: where an
entry says so, the start is Thalweg's.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from thalweg.problems.zoo.entry import at, of_residuals, of_values

# --- Polynomials ----------------------------------------------------------------------------------------------------


def himmelblau(x: Any) -> tuple[Any, ...]:
    """Two parabolas that meet in four points."""
    x1, x2 = x
    return x1 * x1 + x2 - 11.0, x1 + x2 * x2 - 7.0


def booth(x: Any) -> tuple[Any, ...]:
    """Two linear equations."""
    x1, x2 = x
    return x1 + 2.0 * x2 - 7.0, 2.0 * x1 + x2 - 5.0


def cube(x: Any) -> tuple[Any, ...]:
    """Rosenbrock's valley along a cubic."""
    x1, x2 = x
    return 10.0 * (x2 - x1**3), 1.0 - x1


def denschnb(x: Any) -> tuple[Any, ...]:
    """A linear and a bilinear pull."""
    x1, x2 = x
    return x1 - 2.0, (x1 - 2.0) * x2, x2 + 1.0


def matyas(x: Any) -> Any:
    """A convex quadratic of condition 25."""
    x1, x2 = x
    return 0.26 * (x1 * x1 + x2 * x2) - 0.48 * (x1 * x2)


def goldstein_price(x: Any) -> Any:
    """A polynomial of degree eight whose values span five orders of magnitude."""
    x1, x2 = x
    near = 19.0 - 14.0 * x1 + 3.0 * x1 * x1 - 14.0 * x2 + 6.0 * x1 * x2 + 3.0 * x2 * x2
    far = 18.0 - 32.0 * x1 + 12.0 * x1 * x1 + 48.0 * x2 - 36.0 * x1 * x2 + 27.0 * x2 * x2
    return (1.0 + (x1 + x2 + 1.0) ** 2 * near) * (30.0 + (2.0 * x1 - 3.0 * x2) ** 2 * far)


def six_hump_camel(x: Any) -> Any:
    """Six minima in three symmetric pairs."""
    x1, x2 = x
    u, v = x1 * x1, x2 * x2
    return (4.0 - 2.1 * u + u * u / 3.0) * u + x1 * x2 + (4.0 * v - 4.0) * v


def three_hump_camel(x: Any) -> Any:
    """A global minimum between two local ones."""
    x1, x2 = x
    u = x1 * x1
    return (2.0 - 1.05 * u + u * u / 6.0) * u + x1 * x2 + x2 * x2


def sisser(x: Any) -> Any:
    """A quartic whose Hessian vanishes at the minimum."""
    x1, x2 = x
    u, v = x1 * x1, x2 * x2
    return 3.0 * u * u - 2.0 * u * v + 3.0 * v * v


# --- With exponentials and sines ------------------------------------------------------------------------------------


def denschna(x: Any) -> tuple[Any, ...]:
    """A square, a sum and an exponential."""
    x1, x2 = x
    return x1 * x1, x1 + x2, np.exp(x2) - 1.0


def cliff(x: Any) -> Any:
    """A plane that ends at an exponential wall; convex."""
    x1, x2 = x
    return (0.01 * (x1 - 3.0)) ** 2 - (x1 - x2) + np.exp(20.0 * (x1 - x2))


def branin(x: Any) -> Any:
    """Three global minima along a parabola."""
    x1, x2 = x
    bend = x2 - 5.1 / (4.0 * math.pi**2) * (x1 * x1) + 5.0 / math.pi * x1 - 6.0
    return bend * bend + 10.0 * (1.0 - 1.0 / (8.0 * math.pi)) * np.cos(x1) + 10.0


def mccormick(x: Any) -> Any:
    """A valley with waves that falls forever along (-1, -1): minima repeat, lower by pi, at steps of -pi (1, 1)."""
    x1, x2 = x
    return np.sin(x1 + x2) + (x1 - x2) ** 2 - 1.5 * x1 + 2.5 * x2 + 1.0


def bohachevsky(x: Any) -> Any:
    """A bowl with cosine bumps."""
    x1, x2 = x
    return x1 * x1 + 2.0 * (x2 * x2) - 0.3 * np.cos(3.0 * math.pi * x1) - 0.4 * np.cos(4.0 * math.pi * x2) + 0.7


# --- The entries ----------------------------------------------------------------------------------------------------

CUTE, SURVEY = "Dennis-Schnabel; CUTE", "Jamil-Yang; start by Thalweg"
MCCORMICK = (0.5 - math.pi / 3, -0.5 - math.pi / 3)

ENTRIES = (
    of_residuals(
        "himmelblau",
        himmelblau,
        [0.0, 0.0],
        [
            at(
                0.0,
                [3.0, 2.0],
                [-2.805118086952745, 3.131312518250573],
                [-3.779310253377747, -3.2831859912861696],
                [3.5844283403304917, -1.8481265269644036],
            )
        ],
        "Himmelblau; start by Thalweg",
    ),
    of_residuals("booth", booth, [0.0, 0.0], [at(0.0, [1.0, 3.0])], SURVEY, convex=True),
    of_residuals("cube", cube, [-1.2, 1.0], [at(0.0, [1.0, 1.0])], "CUTE"),
    of_residuals("denschnb", denschnb, [1.0, 1.0], [at(0.0, [2.0, -1.0])], CUTE),
    of_values("matyas", matyas, [5.0, -3.0], [at(0.0, [0.0, 0.0])], SURVEY, convex=True),
    of_values(
        "goldstein_price",
        goldstein_price,
        [-0.5, 0.25],
        [
            at(3.0, [0.0, -1.0], published="3"),
            at(30.0, [-0.6, -0.4], kind="local"),
            at(84.0, [1.8, 0.2], kind="local"),
            at(840.0, [1.2, 0.8], kind="local"),
        ],
        SURVEY,
    ),
    of_values(
        "six_hump_camel",
        six_hump_camel,
        [0.5, 1.0],
        [
            at(
                -1.0316284534898774,
                [-0.08984201310031806, 0.7126564030207396],
                [0.08984201310031806, -0.7126564030207396],
                published="-1.0316",
            ),
            at(
                -0.2154638243837184,
                [-1.703606714969981, 0.7960835686726251],
                [1.703606714969981, -0.7960835686726251],
                kind="local",
            ),
            at(
                2.1042503103112584,
                [1.6071047529201972, 0.5686514548841314],
                [-1.6071047529201972, -0.5686514548841314],
                kind="local",
            ),
        ],
        SURVEY,
    ),
    of_values(
        "three_hump_camel",
        three_hump_camel,
        [-0.5, 2.0],
        [
            at(0.0, [0.0, 0.0]),
            at(
                0.2986384422368594,
                [1.747552345830289, -0.8737761729151445],
                [-1.747552345830289, 0.8737761729151445],
                kind="local",
            ),
        ],
        SURVEY,
    ),
    of_values("sisser", sisser, [1.0, 0.1], [at(0.0, [0.0, 0.0])], "CUTE"),
    of_residuals("denschna", denschna, [1.0, 1.0], [at(0.0, [0.0, 0.0])], CUTE),
    of_values(
        "cliff",
        cliff,
        [0.0, -1.0],
        [at((1.0 + math.log(20.0)) / 20.0, [3.0, 3.0 + math.log(20.0) / 20.0], published="0.199786613")],
        "CUTE",
        convex=True,
    ),
    of_values(
        "branin",
        branin,
        [2.5, 7.5],
        [
            at(
                1.25 / math.pi,
                [math.pi, 2.275],
                [-math.pi, 12.275],
                [3.0 * math.pi, 2.475],
                published="0.397887",
            )
        ],
        SURVEY,
    ),
    of_values(
        "mccormick",
        mccormick,
        [-1.0, -1.0],
        [
            at(
                -math.sqrt(0.75) - math.pi / 3 - k * math.pi,
                [MCCORMICK[0] - k * math.pi, MCCORMICK[1] - k * math.pi],
                kind="local",
            )
            for k in range(4)
        ],
        SURVEY,
    ),
    of_values(
        "bohachevsky",
        bohachevsky,
        [0.3, 0.2],
        [
            at(0.0, [0.0, 0.0]),
            at(0.4129268302758151, [0.6186120678279501, 0.0], [-0.6186120678279501, 0.0], kind="local"),
            at(0.46988241492139593, [0.0, 0.46952754566849225], [0.0, -0.46952754566849225], kind="local"),
        ],
        SURVEY,
    ),
)
