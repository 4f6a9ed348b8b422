"""The zoo's functions once more, index by index as their sources print them, for numbers of any kind.

``m`` is a module with exp, sin, cos, sqrt, atan and pi: math for floats, cmath for the complex step. x[1] is the first
parameter (x[0] is never read), so that the formulas keep the papers' indices. Data that the sources tabulate are read
from Thalweg; the published minima, which the data decide, are what checks those.
"""

import math

from thalweg.problems.zoo import curve_fits as data


def squares(residuals):
    return sum(r * r for r in residuals)


# Moré, Garbow, Hillstrom (1981), in the paper's order; each gives the residuals.


def rosenbrock(x, m):
    return [10 * (x[2] - x[1] ** 2), 1 - x[1]]


def freudenstein_roth(x, m):
    return [-13 + x[1] + ((5 - x[2]) * x[2] - 2) * x[2], -29 + x[1] + ((x[2] + 1) * x[2] - 14) * x[2]]


def powell_badly_scaled(x, m):
    return [10**4 * x[1] * x[2] - 1, m.exp(-x[1]) + m.exp(-x[2]) - 1.0001]


def brown_badly_scaled(x, m):
    return [x[1] - 10**6, x[2] - 2e-6, x[1] * x[2] - 2]


def beale(x, m):
    return [y - x[1] * (1 - x[2] ** i) for i, y in enumerate([1.5, 2.25, 2.625], 1)]


def jennrich_sampson(x, m):
    return [2 + 2 * i - (m.exp(i * x[1]) + m.exp(i * x[2])) for i in range(1, 11)]


def helical_valley(x, m):
    # The paper leaves the angle open at x1 = 0; the limit from the right is the same for x2 > 0.
    turn = m.atan(x[2] / x[1]) / (2 * m.pi) + (0.5 if x[1].real < 0 else 0)
    return [10 * (x[3] - 10 * turn), 10 * (m.sqrt(x[1] ** 2 + x[2] ** 2) - 1), x[3]]


def bard(x, m):
    rows = [(i, 16 - i, min(i, 16 - i), data.BARD_Y[i - 1]) for i in range(1, 16)]
    return [y - (x[1] + u / (v * x[2] + w * x[3])) for u, v, w, y in rows]


def gaussian(x, m):
    return [x[1] * m.exp(-x[2] * ((8 - i) / 2 - x[3]) ** 2 / 2) - data.GAUSSIAN_Y[i - 1] for i in range(1, 16)]


def meyer(x, m):
    return [x[1] * m.exp(x[2] / (45 + 5 * i + x[3])) - data.MEYER_Y[i - 1] for i in range(1, 17)]


def gulf(x, m):
    residuals = []
    for i in range(1, 100):
        t = i / 100
        away = 25 + (-50 * math.log(t)) ** (2 / 3) - x[2]
        away = away if away.real > 0 else -away
        residuals.append(m.exp(-(away ** x[3]) / x[1]) - t)
    return residuals


def box_3d(x, m):
    times = [i / 10 for i in range(1, 11)]
    return [m.exp(-t * x[1]) - m.exp(-t * x[2]) - x[3] * (math.exp(-t) - math.exp(-10 * t)) for t in times]


def powell_singular(x, m):
    return [x[1] + 10 * x[2], 5**0.5 * (x[3] - x[4]), (x[2] - 2 * x[3]) ** 2, 10**0.5 * (x[1] - x[4]) ** 2]


def wood(x, m):
    valleys = [10 * (x[2] - x[1] ** 2), 1 - x[1], 90**0.5 * (x[4] - x[3] ** 2), 1 - x[3]]
    return [*valleys, 10**0.5 * (x[2] + x[4] - 2), 10**-0.5 * (x[2] - x[4])]


def kowalik_osborne(x, m):
    rows = zip(data.KOWALIK_Y, data.KOWALIK_U, strict=True)
    return [y - x[1] * (u * u + u * x[2]) / (u * u + u * x[3] + x[4]) for y, u in rows]


def brown_dennis(x, m):
    times = [i / 5 for i in range(1, 21)]
    return [(x[1] + t * x[2] - math.exp(t)) ** 2 + (x[3] + x[4] * math.sin(t) - math.cos(t)) ** 2 for t in times]


def osborne_1(x, m):
    return [
        y - (x[1] + x[2] * m.exp(-10 * i * x[4]) + x[3] * m.exp(-10 * i * x[5])) for i, y in enumerate(data.OSBORNE_1_Y)
    ]


def biggs_exp6(x, m):
    residuals = []
    for t in [i / 10 for i in range(1, 14)]:
        y = math.exp(-t) - 5 * math.exp(-10 * t) + 3 * math.exp(-4 * t)
        residuals.append(x[3] * m.exp(-t * x[1]) - x[4] * m.exp(-t * x[2]) + x[6] * m.exp(-t * x[5]) - y)
    return residuals


def osborne_2(x, m):
    residuals = []
    for i, y in enumerate(data.OSBORNE_2_Y):
        t = i / 10
        bells = sum(x[1 + k] * m.exp(-((t - x[8 + k]) ** 2) * x[5 + k]) for k in (1, 2, 3))
        residuals.append(y - x[1] * m.exp(-t * x[5]) - bells)
    return residuals


def watson(x, m):
    n, residuals = len(x) - 1, []
    for i in range(1, 30):
        t = i / 29
        slope = sum((j - 1) * x[j] * t ** (j - 2) for j in range(2, n + 1))
        residuals.append(slope - sum(x[j] * t ** (j - 1) for j in range(1, n + 1)) ** 2 - 1)
    return [*residuals, x[1], x[2] - x[1] ** 2 - 1]


def extended_rosenbrock(x, m):
    return [r for i in range(1, len(x), 2) for r in (10 * (x[i + 1] - x[i] ** 2), 1 - x[i])]


def extended_powell_singular(x, m):
    return [r for i in range(0, len(x) - 1, 4) for r in powell_singular([0, *x[i + 1 : i + 5]], m)]


def penalty_1(x, m):
    return [*(1e-5**0.5 * (xi - 1) for xi in x[1:]), sum(xi**2 for xi in x[1:]) - 0.25]


def penalty_2(x, m):
    n, a = len(x) - 1, 1e-5**0.5
    y = [0, 0] + [math.exp(i / 10) + math.exp((i - 1) / 10) for i in range(2, n + 1)]
    first = [a * (m.exp(x[i] / 10) + m.exp(x[i - 1] / 10) - y[i]) for i in range(2, n + 1)]
    second = [a * (m.exp(x[i - n + 1] / 10) - math.exp(-1 / 10)) for i in range(n + 1, 2 * n)]
    return [x[1] - 0.2, *first, *second, sum((n - j + 1) * x[j] ** 2 for j in range(1, n + 1)) - 1]


def variably_dimensioned(x, m):
    along = sum(j * (x[j] - 1) for j in range(1, len(x)))
    return [*(xi - 1 for xi in x[1:]), along, along**2]


def trigonometric(x, m):
    n = len(x) - 1
    total = sum(m.cos(xi) for xi in x[1:])
    return [n - total + i * (1 - m.cos(x[i])) - m.sin(x[i]) for i in range(1, n + 1)]


def brown_almost_linear(x, m):
    n, product = len(x) - 1, 1
    for xi in x[1:]:
        product = product * xi
    return [*(x[i] + sum(x[1:]) - (n + 1) for i in range(1, n)), product - 1]


def discrete_boundary_value(x, m):
    n = len(x) - 1
    h, x = 1 / (n + 1), [0, *x[1:], 0]
    return [2 * x[i] - x[i - 1] - x[i + 1] + h**2 * (x[i] + i * h + 1) ** 3 / 2 for i in range(1, n + 1)]


def discrete_integral_equation(x, m):
    n = len(x) - 1
    h = 1 / (n + 1)
    t = [i * h for i in range(n + 1)]
    cubes = [0, *((x[j] + t[j] + 1) ** 3 for j in range(1, n + 1))]
    return [
        x[i]
        + h / 2 * (1 - t[i]) * sum(t[j] * cubes[j] for j in range(1, i + 1))
        + h / 2 * t[i] * sum((1 - t[j]) * cubes[j] for j in range(i + 1, n + 1))
        for i in range(1, n + 1)
    ]


def broyden_tridiagonal(x, m):
    n, x = len(x) - 1, [0, *x[1:], 0]
    return [(3 - 2 * x[i]) * x[i] - x[i - 1] - 2 * x[i + 1] + 1 for i in range(1, n + 1)]


def broyden_banded(x, m):
    n, residuals = len(x) - 1, []
    for i in range(1, n + 1):
        near = [j for j in range(max(1, i - 5), min(n, i + 1) + 1) if j != i]
        residuals.append(x[i] * (2 + 5 * x[i] ** 2) + 1 - sum(x[j] * (1 + x[j]) for j in near))
    return residuals


def linear_full_rank(x, m):
    n = len(x) - 1
    common = 2 / (2 * n) * sum(x[1:]) + 1
    return [*(xi - common for xi in x[1:]), *[-common] * n]


def linear_rank_1(x, m):
    n = len(x) - 1
    return [i * sum(j * x[j] for j in range(1, n + 1)) - 1 for i in range(1, 2 * n + 1)]


def linear_rank_1_zeros(x, m):
    n = len(x) - 1
    inner = [(i - 1) * sum(j * x[j] for j in range(2, n)) - 1 for i in range(2, 2 * n)]
    return [-1, *inner, -1]


def chebyquad(x, m):
    n, residuals = len(x) - 1, []
    for i in range(1, n + 1):
        total = 0
        for xj in x[1:]:
            before, now = 1, 2 * xj - 1
            for _ in range(i - 1):
                before, now = now, 2 * (2 * xj - 1) * now - before
            total = total + now
        residuals.append(total / n - (0 if i % 2 else -1 / (i**2 - 1)))
    return residuals


# Beyond them; each gives f.


def himmelblau(x, m):
    return (x[1] ** 2 + x[2] - 11) ** 2 + (x[1] + x[2] ** 2 - 7) ** 2


def booth(x, m):
    return (x[1] + 2 * x[2] - 7) ** 2 + (2 * x[1] + x[2] - 5) ** 2


def cube(x, m):
    return 100 * (x[2] - x[1] ** 3) ** 2 + (1 - x[1]) ** 2


def denschnb(x, m):
    return (x[1] - 2) ** 2 + ((x[1] - 2) * x[2]) ** 2 + (x[2] + 1) ** 2


def matyas(x, m):
    return 0.26 * (x[1] ** 2 + x[2] ** 2) - 0.48 * x[1] * x[2]


def goldstein_price(x, m):
    a, b = x[1:]
    return (1 + (a + b + 1) ** 2 * (19 - 14 * a + 3 * a**2 - 14 * b + 6 * a * b + 3 * b**2)) * (
        30 + (2 * a - 3 * b) ** 2 * (18 - 32 * a + 12 * a**2 + 48 * b - 36 * a * b + 27 * b**2)
    )


def six_hump_camel(x, m):
    return (4 - 2.1 * x[1] ** 2 + x[1] ** 4 / 3) * x[1] ** 2 + x[1] * x[2] + (4 * x[2] ** 2 - 4) * x[2] ** 2


def three_hump_camel(x, m):
    return 2 * x[1] ** 2 - 1.05 * x[1] ** 4 + x[1] ** 6 / 6 + x[1] * x[2] + x[2] ** 2


def sisser(x, m):
    return 3 * x[1] ** 4 - 2 * (x[1] * x[2]) ** 2 + 3 * x[2] ** 4


def denschna(x, m):
    return x[1] ** 4 + (x[1] + x[2]) ** 2 + (-1 + m.exp(x[2])) ** 2


def cliff(x, m):
    return ((x[1] - 3) / 100) ** 2 - (x[1] - x[2]) + m.exp(20 * (x[1] - x[2]))


def branin(x, m):
    bend = x[2] - 5.1 / (4 * m.pi**2) * x[1] ** 2 + 5 / m.pi * x[1] - 6
    return bend**2 + 10 * (1 - 1 / (8 * m.pi)) * m.cos(x[1]) + 10


def mccormick(x, m):
    return m.sin(x[1] + x[2]) + (x[1] - x[2]) ** 2 - 1.5 * x[1] + 2.5 * x[2] + 1


def bohachevsky(x, m):
    return x[1] ** 2 + 2 * x[2] ** 2 - 0.3 * m.cos(3 * m.pi * x[1]) - 0.4 * m.cos(4 * m.pi * x[2]) + 0.7


def sphere(x, m):
    return sum(xi**2 for xi in x[1:])


def sum_of_squares(x, m):
    return sum(i * x[i] ** 2 for i in range(1, len(x)))


def rotated_hyper_ellipsoid(x, m):
    return sum(sum(x[1 : i + 1]) ** 2 for i in range(1, len(x)))


def tridia(x, m):
    return (x[1] - 1) ** 2 + sum(i * (2 * x[i] - x[i - 1]) ** 2 for i in range(2, len(x)))


def trid(x, m):
    return sum((xi - 1) ** 2 for xi in x[1:]) - sum(x[i] * x[i - 1] for i in range(2, len(x)))


def zakharov(x, m):
    along = sum(0.5 * i * x[i] for i in range(1, len(x)))
    return sum(xi**2 for xi in x[1:]) + along**2 + along**4


def quartic(x, m):
    return sum(i * x[i] ** 4 for i in range(1, len(x)))


def arwhead(x, m):
    return sum((x[i] ** 2 + x[-1] ** 2) ** 2 - 4 * x[i] + 3 for i in range(1, len(x) - 1))


def engval1(x, m):
    return sum((x[i] ** 2 + x[i + 1] ** 2) ** 2 - 4 * x[i] + 3 for i in range(1, len(x) - 1))


def chained_rosenbrock(x, m):
    return sum(100 * (x[i + 1] - x[i] ** 2) ** 2 + (1 - x[i]) ** 2 for i in range(1, len(x) - 1))


def liarwhd(x, m):
    return sum(4 * (x[i] ** 2 - x[1]) ** 2 + (x[i] - 1) ** 2 for i in range(1, len(x)))


def dixon_price(x, m):
    return (x[1] - 1) ** 2 + sum(i * (2 * x[i] ** 2 - x[i - 1]) ** 2 for i in range(2, len(x)))


def qing(x, m):
    return sum((x[i] ** 2 - i) ** 2 for i in range(1, len(x)))


def styblinski_tang(x, m):
    return sum(xi**4 - 16 * xi**2 + 5 * xi for xi in x[1:]) / 2


def exponential(x, m):
    return -m.exp(-sum(xi**2 for xi in x[1:]) / 2)


def griewank(x, m):
    product = 1
    for i in range(1, len(x)):
        product = product * m.cos(x[i] / i**0.5)
    return sum(xi**2 for xi in x[1:]) / 4000 - product + 1


def levy(x, m):
    w = [0, *(1 + (xi - 1) / 4 for xi in x[1:])]
    middle = sum((wi - 1) ** 2 * (1 + 10 * m.sin(m.pi * wi + 1) ** 2) for wi in w[1:-1])
    return m.sin(m.pi * w[1]) ** 2 + middle + (w[-1] - 1) ** 2 * (1 + m.sin(2 * m.pi * w[-1]) ** 2)


SYSTEMS = {
    function.__name__: function
    for function in (
        rosenbrock, freudenstein_roth, powell_badly_scaled, brown_badly_scaled, beale, jennrich_sampson, helical_valley,
        bard, gaussian, meyer, gulf, box_3d, powell_singular, wood, kowalik_osborne, brown_dennis, osborne_1,
        biggs_exp6, osborne_2, watson, extended_rosenbrock, extended_powell_singular, penalty_1, penalty_2,
        variably_dimensioned, trigonometric, brown_almost_linear, discrete_boundary_value, discrete_integral_equation,
        broyden_tridiagonal, broyden_banded, linear_full_rank, linear_rank_1, linear_rank_1_zeros, chebyquad,
    )
}  # fmt: skip
"""Residuals of the set of 35."""

OTHERS = {
    function.__name__: function
    for function in (
        himmelblau, booth, cube, denschnb, matyas, goldstein_price, six_hump_camel, three_hump_camel, sisser, denschna,
        cliff, branin, mccormick, bohachevsky, sphere, sum_of_squares, rotated_hyper_ellipsoid, tridia, trid, zakharov,
        quartic, arwhead, engval1, chained_rosenbrock, liarwhd, dixon_price, qing, styblinski_tang, exponential,
        griewank, levy,
    )
}  # fmt: skip
"""Values of the others."""


def value(name, x, m=math):
    """The function of this name at the numbers x."""
    indexed = [None, *x]
    return squares(SYSTEMS[name](indexed, m)) if name in SYSTEMS else OTHERS[name](indexed, m)
