"""Curves through data as sums of squares: problems 6, 8-12 and 15-19 of Moré, Garbow and Hillstrom.

J. J. Moré, B. S. Garbow, K. E. Hillstrom, Testing unconstrained optimization software, ACM Transactions on Mathematical
Software 7 (1981) 17-41; "MGH" below. f is the sum of the squared residuals, without a factor 1/2.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from thalweg.problems.zoo.entry import at, constants, of_residuals

# --- Two and three parameters ---------------------------------------------------------------------------------------

JENNRICH_I = constants(np.arange(1, 11))


def jennrich_sampson(x: Any) -> tuple[Any, ...]:
    """A sum of two exponentials against a line, m = 10; the minimum has x1 = x2."""
    x1, x2 = x
    return (2.0 + 2.0 * JENNRICH_I - np.exp(JENNRICH_I * x1) - np.exp(JENNRICH_I * x2),)


BARD_Y = constants([0.14, 0.18, 0.22, 0.25, 0.29, 0.32, 0.35, 0.39, 0.37, 0.58, 0.73, 0.96, 1.34, 2.10, 4.39])
BARD_U = constants(np.arange(1, 16))
BARD_V = constants(16 - BARD_U)
BARD_W = constants(np.minimum(BARD_U, BARD_V))


def bard(x: Any) -> tuple[Any, ...]:
    """A rational curve through 15 points."""
    x1, x2, x3 = x
    return (BARD_Y - x1 - BARD_U / (BARD_V * x2 + BARD_W * x3),)


GAUSSIAN_Y = constants(
    [0.0009, 0.0044, 0.0175, 0.0540, 0.1295, 0.2420, 0.3521, 0.3989, 0.3521, 0.2420, 0.1295, 0.0540, 0.0175, 0.0044,
     0.0009]
)  # fmt: skip
GAUSSIAN_T = constants((8 - np.arange(1, 16)) / 2)


def gaussian(x: Any) -> tuple[Any, ...]:
    """A bell curve through 15 points."""
    x1, x2, x3 = x
    return (x1 * np.exp(-0.5 * x2 * (GAUSSIAN_T - x3) ** 2) - GAUSSIAN_Y,)


MEYER_Y = constants(
    [34780, 28610, 23650, 19630, 16370, 13720, 11540, 9744, 8261, 7030, 6005, 5147, 4427, 3820, 3307, 2872]
)
MEYER_T = constants(45 + 5 * np.arange(1, 17))


def meyer(x: Any) -> tuple[Any, ...]:
    """Resistance of a thermistor by temperature; badly scaled, f starts at 1.7e9."""
    x1, x2, x3 = x
    return (x1 * np.exp(x2 / (MEYER_T + x3)) - MEYER_Y,)


GULF_T = constants(np.arange(1, 100) / 100)
GULF_Y = constants(25 + (-50 * np.log(GULF_T)) ** (2 / 3))


def gulf(x: Any) -> tuple[Any, ...]:
    """A Weibull curve, m = 99. MGH print a product where the difference y - x2 is meant."""
    x1, x2, x3 = x
    return (np.exp(-(np.abs(GULF_Y - x2) ** x3) / x1) - GULF_T,)


BOX_T = constants(np.arange(1, 11) / 10)
BOX_Y = constants(np.exp(-BOX_T) - np.exp(-10 * BOX_T))


def box_3d(x: Any) -> tuple[Any, ...]:
    """A difference of two exponentials, m = 10; f = 0 at (1, 10, 1), (10, 1, -1) and wherever x1 = x2 and x3 = 0."""
    x1, x2, x3 = x
    return (np.exp(-BOX_T * x1) - np.exp(-BOX_T * x2) - x3 * BOX_Y,)


# --- Four parameters and more ---------------------------------------------------------------------------------------

KOWALIK_Y = constants([0.1957, 0.1947, 0.1735, 0.1600, 0.0844, 0.0627, 0.0456, 0.0342, 0.0323, 0.0235, 0.0246])
KOWALIK_U = constants([4.0, 2.0, 1.0, 0.5, 0.25, 0.167, 0.125, 0.1, 0.0833, 0.0714, 0.0625])


def kowalik_osborne(x: Any) -> tuple[Any, ...]:
    """Kinetics of an enzyme: a rational curve through 11 points."""
    x1, x2, x3, x4 = x
    return (KOWALIK_Y - x1 * (KOWALIK_U * (KOWALIK_U + x2)) / (KOWALIK_U * (KOWALIK_U + x3) + x4),)


BROWN_T = constants(np.arange(1, 21) / 5)
BROWN_EXP, BROWN_SIN, BROWN_COS = (constants(values) for values in (np.exp(BROWN_T), np.sin(BROWN_T), np.cos(BROWN_T)))


def brown_dennis(x: Any) -> tuple[Any, ...]:
    """Squares of two fits, m = 20."""
    x1, x2, x3, x4 = x
    return ((x1 + BROWN_T * x2 - BROWN_EXP) ** 2 + (x3 + BROWN_SIN * x4 - BROWN_COS) ** 2,)


OSBORNE_1_Y = constants(
    [0.844, 0.908, 0.932, 0.936, 0.925, 0.908, 0.881, 0.850, 0.818, 0.784, 0.751, 0.718, 0.685, 0.658, 0.628, 0.603,
     0.580, 0.558, 0.538, 0.522, 0.506, 0.490, 0.478, 0.467, 0.457, 0.448, 0.438, 0.431, 0.424, 0.420, 0.414, 0.411,
     0.406]
)  # fmt: skip
OSBORNE_1_T = constants(10 * np.arange(33))


def osborne_1(x: Any) -> tuple[Any, ...]:
    """Two decaying exponentials and a constant through 33 points."""
    x1, x2, x3, x4, x5 = x
    return (OSBORNE_1_Y - x1 - x2 * np.exp(-OSBORNE_1_T * x4) - x3 * np.exp(-OSBORNE_1_T * x5),)


BIGGS_T = constants(np.arange(1, 14) / 10)
BIGGS_Y = constants(np.exp(-BIGGS_T) - 5 * np.exp(-10 * BIGGS_T) + 3 * np.exp(-4 * BIGGS_T))


def biggs_exp6(x: Any) -> tuple[Any, ...]:
    """Three exponentials, m = 13. MGH print the local minimum alone; the data are exact, so the global one is 0."""
    x1, x2, x3, x4, x5, x6 = x
    return (x3 * np.exp(-BIGGS_T * x1) - x4 * np.exp(-BIGGS_T * x2) + x6 * np.exp(-BIGGS_T * x5) - BIGGS_Y,)


OSBORNE_2_Y = constants(
    [1.366, 1.191, 1.112, 1.013, 0.991, 0.885, 0.831, 0.847, 0.786, 0.725, 0.746, 0.679, 0.608, 0.655, 0.616, 0.606,
     0.602, 0.626, 0.651, 0.724, 0.649, 0.649, 0.694, 0.644, 0.624, 0.661, 0.612, 0.558, 0.533, 0.495, 0.500, 0.423,
     0.395, 0.375, 0.372, 0.391, 0.396, 0.405, 0.428, 0.429, 0.523, 0.562, 0.607, 0.653, 0.672, 0.708, 0.633, 0.668,
     0.645, 0.632, 0.591, 0.559, 0.597, 0.625, 0.739, 0.710, 0.729, 0.720, 0.636, 0.581, 0.428, 0.292, 0.162, 0.098,
     0.054]
)  # fmt: skip
OSBORNE_2_T = constants(np.arange(65) / 10)
OSBORNE_2_COLUMN = constants(OSBORNE_2_T[:, None])


def osborne_2(x: Any) -> tuple[Any, ...]:
    """A decaying exponential and three bells through 65 points: x holds heights, rates and the bells' centres."""
    bells = np.exp(-((OSBORNE_2_COLUMN - x[8:11]) ** 2) * x[5:8])  # (65, 3)
    return (OSBORNE_2_Y - x[0] * np.exp(-OSBORNE_2_T * x[4]) - bells @ x[1:4],)


# --- The entries ----------------------------------------------------------------------------------------------------

ENTRIES = (
    of_residuals(
        "jennrich_sampson",
        jennrich_sampson,
        [0.3, 0.4],
        [at(124.36218235561485, [0.2578252136703641, 0.2578252136703641], published="124.362")],
        "MGH 6",
    ),
    of_residuals(
        "bard",
        bard,
        [1.0, 1.0, 1.0],
        [
            at(
                0.00821487730657898,
                [0.08241055974978899, 1.1330360920297224, 2.3436951786425366],
                published="8.21487e-3",
            ),
            at(17.42869333333333, kind="limit", published="17.4286"),  # x1 is the mean of y, x2 and x3 are infinite
        ],
        "MGH 8",
    ),
    of_residuals(
        "gaussian",
        gaussian,
        [0.4, 1.0, 0.0],
        [at(1.1279327696190113e-08, [0.39895613783875666, 1.0000190844878056, 0.0], published="1.12793e-8")],
        "MGH 9",
    ),
    of_residuals(
        "meyer",
        meyer,
        [0.02, 4000.0, 250.0],
        [at(87.94585517085112, [0.005609636471028053, 6181.346346286372, 345.2236346241365], published="87.9458")],
        "MGH 10",
    ),
    of_residuals("gulf", gulf, [5.0, 2.5, 0.15], [at(0.0, [50.0, 25.0, 1.5])], "MGH 11"),
    of_residuals(
        "box_3d",
        box_3d,
        [0.0, 10.0, 20.0],
        [
            at(0.0, [1.0, 10.0, 1.0], [10.0, 1.0, -1.0], [0.0, 0.0, 0.0]),
            at(0.0755887407549974, kind="limit"),  # x2 is infinite
        ],
        "MGH 12",
    ),
    of_residuals(
        "kowalik_osborne",
        kowalik_osborne,
        [0.25, 0.39, 0.415, 0.39],
        [
            at(
                0.0003075056038492378,
                [0.1928069345790379, 0.1912823287343668, 0.12305650692632074, 0.13606233068379475],
                published="3.07505e-4",
            ),
            at(0.001027343048695458, kind="limit", published="1.02734e-3"),  # x1, -x3 and -x4 are infinite
        ],
        "MGH 15",
    ),
    of_residuals(
        "brown_dennis",
        brown_dennis,
        [25.0, 5.0, -5.0, -1.0],
        [
            at(
                85822.20162635631,
                [-11.594439904762165, 13.203630051207202, -0.4034394881768595, 0.23677877445573628],
                published="85822.2",
            )
        ],
        "MGH 16",
        convex=True,
    ),
    of_residuals(
        "osborne_1",
        osborne_1,
        [0.5, 1.5, -1.0, 0.01, 0.02],
        [
            at(
                5.464894697482912e-05,
                [
                    0.37541005210695194,
                    1.9358469127123559,
                    -1.4646871366134115,
                    0.012867534640057266,
                    0.02212269966167266,
                ],
                published="5.46489e-5",
            )  # fmt: skip
        ],
        "MGH 17",
    ),
    of_residuals(
        "biggs_exp6",
        biggs_exp6,
        [1.0, 2.0, 1.0, 1.0, 1.0, 1.0],
        [
            at(0.0, [1.0, 10.0, 1.0, 5.0, 4.0, 3.0], [4.0, 10.0, 3.0, 5.0, 1.0, 1.0]),
            # The start has x1 = x5 and x3 = x6, which gradients keep: there the saddle is a minimum.
            at(
                0.005655649925499951,
                [
                    1.7114159947195877,
                    17.683198180949063,
                    1.1631436609188926,
                    5.186561551993451,
                    1.7114159947195877,
                    1.1631436609188926,
                ],
                kind="saddle",
                published="5.65565e-3",
            ),  # fmt: skip
        ],
        "MGH 18",
    ),
    of_residuals(
        "osborne_2",
        osborne_2,
        [1.3, 0.65, 0.65, 0.7, 0.6, 3.0, 5.0, 7.0, 2.0, 4.5, 5.5],
        [
            at(
                0.040137736293547756,
                [
                    1.3099771546273007,
                    0.431553794602989,
                    0.633661698960724,
                    0.5994305347859162,
                    0.7541832263280114,
                    0.9042885798596336,
                    1.3658118352370279,
                    4.823698817227157,
                    2.3986848661317546,
                    4.568874597667672,
                    5.6753414705806415,
                ],
                published="4.01377e-2",
            )  # fmt: skip
        ],
        "MGH 19",
    ),
)
