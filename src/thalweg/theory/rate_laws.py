"""Laws that a falling sequence may follow: y = log r_k as a function of k, fitted and weighed against each other.

A kind of convergence is a statement about k to infinity; a finite record can only be compared with laws of each kind.
Every law here is linear in its coefficients but for one parameter, which runs over a grid and is then refined. Laws of
different kinds can be arbitrarily close to each other (k^-p with a large shift is nearly geometric), so a law counts
for a kind other than linear only where the slope that it gives to y really changes over the window, unless the data
are so exact that it alone fits.

The weights are those of the Bayesian information criterion (Schwarz 1978) with the small-sample term of Hurvich and
Tsai (1989).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import digamma, gammaln

from thalweg.theory.rate_kinds import RateKind

#: d log(slope) / d log k beyond which a fitted law bends enough to be called sublinear or superlinear. A power law and
#: exp(-sqrt k) have -1 and -1/2; 1/k^k has 1/(1 + log k), which is .17 where doubles end.
BENDS_DOWN, BENDS_UP = -0.32, 0.12
#: Residuals, as a share of the range of y, below which data count as free of noise, and that are never undercut.
EXACT, SMALLEST = 1e-6, 1e-8
#: Nats by which an end must fall below a straight line to count as turning down.
TURN = 1.5
#: A law whose residual on the grid is that many times the least of all is not refined, unless it leads its kind.
PROMISING = 4.0
#: The quantile by which noise is measured, and where it lies in standard deviations of a normal distribution.
NOISE_QUANTILE, NOISE_DEVIATIONS = 0.7, 1.036
#: Least share of the last slope that the exponential must carry under q^k k^m; less is a power law.
EXPONENTIAL_SHARE = 0.3


@dataclass(frozen=True, slots=True)
class Law:
    """One family: y = a + sum_j c_j column_j(k; t).

    Attributes:
        kind: What k to infinity would be under this law.
        name: How it is written.
        columns: Given k, shape (n,), and t, the columns beside the constant.
        slope: Given coefficients, t and k, the fall -dy/dk there.
        grid: Given k, values of t; (nan,) where there is no t.
        width: How many columns there are.
        parameters: How many numbers are fitted, the constant and t included.

    """

    kind: RateKind
    name: str
    columns: Callable[[np.ndarray, float], list[np.ndarray]]
    slope: Callable[[np.ndarray, float, np.ndarray], np.ndarray]
    grid: Callable[[np.ndarray], np.ndarray]
    width: int
    parameters: int


@dataclass(frozen=True, slots=True)
class Fit:
    """A law fitted to a window.

    Attributes:
        law: The law.
        t: Its nonlinear parameter.
        coefficients: Of its columns, the constant left out.
        residual: Root of the mean squared residual.
        end: The last k of the window, beside which columns are scaled.

    """

    law: Law
    t: float
    coefficients: np.ndarray
    residual: float
    end: float

    def slope(self, k: float) -> float:
        """The fall of y per step at k."""
        return float(self.law.slope(self.coefficients, self.t, np.array([k, self.end]))[0])


def _none(k: np.ndarray) -> np.ndarray:
    return np.array([math.nan])


def _shifts(k: np.ndarray) -> np.ndarray:
    return np.unique(np.append(k[-1] * np.geomspace(0.02, 30.0, 16), 1.0))


def _orders(k: np.ndarray) -> np.ndarray:
    steps = k[-1] - k[0]
    orders = np.geomspace(1.1, 6.0, 30)
    return orders[(steps * np.log(orders) > 1.0) & (steps * np.log(orders) < 600.0)]


def _geometric(k: np.ndarray, p: float) -> np.ndarray:
    return np.exp((k - k[-1]) * math.log(p))


_LINEAR, _SUBLINEAR, _SUPERLINEAR = RateKind.LINEAR, RateKind.SUBLINEAR, RateKind.SUPERLINEAR

LAWS: tuple[Law, ...] = (
    Law(_LINEAR, "q^k", lambda k, t: [k], lambda c, t, k: -c[0] + 0 * k, _none, 1, 2),
    Law(_LINEAR, "q^k k^m", lambda k, t: [k, np.log(k)], lambda c, t, k: -c[0] - c[1] / k, _none, 2, 3),
    Law(_SUBLINEAR, "1/k^p", lambda k, t: [np.log(k)], lambda c, t, k: -c[0] / k, _none, 1, 2),
    Law(_SUBLINEAR, "1/(k+s)^p", lambda k, t: [np.log(k + t)], lambda c, t, k: -c[0] / (k + t), _shifts, 1, 3),
    Law(
        _SUBLINEAR,
        "log(k)^m/k^p",
        lambda k, t: [np.log(k), np.log(np.log(k + 1))],
        lambda c, t, k: -c[0] / k - c[1] / (np.log(k + 1) * (k + 1)),
        _none,
        2,
        3,
    ),
    Law(
        _SUBLINEAR, "exp(-c sqrt(k))", lambda k, t: [np.sqrt(k)], lambda c, t, k: -0.5 * c[0] / np.sqrt(k), _none, 1, 2
    ),
    Law(
        _SUBLINEAR,
        "exp(-c k^t)",
        lambda k, t: [k**t],
        lambda c, t, k: -c[0] * t * k ** (t - 1),
        lambda k: np.array([0.1, 0.2, 0.3, 0.4, 0.6, 0.7, 0.8]),
        1,
        3,
    ),
    Law(_SUPERLINEAR, "1/k^(ck)", lambda k, t: [k * np.log(k)], lambda c, t, k: -c[0] * (np.log(k) + 1), _none, 1, 2),
    Law(
        _SUPERLINEAR,
        "q^k/k^(ck)",
        lambda k, t: [k * np.log(k), k],
        lambda c, t, k: -c[0] * (np.log(k) + 1) - c[1],
        _none,
        2,
        3,
    ),
    Law(
        _SUPERLINEAR,
        "q^k/(k!)^c",
        lambda k, t: [gammaln(k + 1), k],
        lambda c, t, k: -c[0] * digamma(k + 1) - c[1],
        _none,
        2,
        3,
    ),
    Law(_SUPERLINEAR, "q^(k^2)", lambda k, t: [k * k], lambda c, t, k: -2 * c[0] * k, _none, 1, 2),
    Law(_SUPERLINEAR, "q^((k+s)^2)", lambda k, t: [k * k, k], lambda c, t, k: -2 * c[0] * k - c[1], _none, 2, 3),
    Law(
        _SUPERLINEAR,
        "q^(k^t)",
        lambda k, t: [k**t],
        lambda c, t, k: -c[0] * t * k ** (t - 1),
        lambda k: np.array([1.3, 1.5, 1.75, 2.5, 3.0, 4.0]),
        1,
        3,
    ),
    Law(
        _SUPERLINEAR,
        "q^(2^k)",
        lambda k, t: [_geometric(k, 2.0)],
        lambda c, t, k: -c[0] * math.log(2.0) * _geometric(k, 2.0),
        lambda k: np.array([2.0]) if 1.0 < (k[-1] - k[0]) * math.log(2.0) < 600.0 else np.array([]),
        1,
        2,
    ),
    Law(
        _SUPERLINEAR,
        "q^(p^k)",
        lambda k, t: [_geometric(k, t)],
        lambda c, t, k: -c[0] * math.log(t) * _geometric(k, t),
        _orders,
        1,
        3,
    ),
    Law(
        _SUPERLINEAR,
        "c^k q^(p^k)",
        lambda k, t: [_geometric(k, t), k],
        lambda c, t, k: -c[0] * math.log(t) * _geometric(k, t) - c[1],
        _orders,
        2,
        4,
    ),
)
STRAIGHT = LAWS[0]


def admissible(law: Law, t: float, c: np.ndarray, k: np.ndarray, exact: bool) -> bool:
    """Whether coefficients mean what the law's name says, and bend the curve enough for its kind."""
    middle, end = law.slope(c, t, np.array([0.5 * (k[0] + k[-1]), k[-1]]))
    if not (end > 0 and c[0] < 0):
        return False
    if law.kind is _LINEAR:
        return len(c) == 1 or bool(-c[0] >= EXPONENTIAL_SHARE * end and abs(c[1]) < 20)
    if not middle > 0:
        return False
    if law.name == "c^k q^(p^k)" and not (c[1] <= 0 and 2 * -c[1] < end and -c[0] > TURN):
        return False
    bend = math.log(end / middle) / math.log(2 * k[-1] / (k[0] + k[-1]))
    return exact or (bend < BENDS_DOWN if law.kind is _SUBLINEAR else bend > BENDS_UP)


def solve_law(law: Law, grid: np.ndarray, k: np.ndarray, Y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Least squares for every t of a grid and every column of Y.

    Args:
        law: The law, with p columns.
        grid: Its nonlinear parameter, shape (g,).
        k: Shape (n,).
        Y: Shape (n, m).

    Returns:
        Coefficients without the constant, shape (g, p, m), and mean squared residuals, shape (g, m), infinite where
        the columns are dependent.

    """
    X = np.ones((len(grid), len(k), 1 + law.width))
    for i, t in enumerate(grid):
        for j, column in enumerate(law.columns(k, t)):
            X[i, :, j + 1] = column
    scale = np.abs(X).max(axis=1)  # (g, p + 1)
    Q, R = np.linalg.qr(X / scale[:, None, :])
    inner = np.swapaxes(Q, 1, 2) @ Y
    squares = np.mean((Y - Q @ inner) ** 2, axis=1)
    diagonal = np.diagonal(R, axis1=1, axis2=2)
    dependent = np.abs(diagonal).min(axis=1) < 1e-13
    if dependent.any():
        R[dependent] = np.eye(R.shape[1])
        squares[dependent] = np.inf
    return np.linalg.solve(R, inner)[:, 1:] / scale[:, 1:, None], squares


def fit_laws(k: np.ndarray, y: np.ndarray) -> list[Fit]:
    """Fit every law, its nonlinear parameter included.

    Args:
        k: Increasing, positive, shape (n,).
        y: Logarithms of r_k, shape (n,).

    Returns:
        The admissible fits, at most one of each law.

    """
    spread, Y = float(np.ptp(y)), y[:, None]
    tried: list[tuple[Law, np.ndarray, list[Fit]]] = []
    for law in LAWS:
        grid = law.grid(k)
        if len(k) > law.parameters and len(grid):
            coefficients, squares = solve_law(law, grid, k, Y)
            fits = [
                Fit(law, float(t), c[:, 0], math.sqrt(float(s[0])), float(k[-1]))
                for t, c, s in zip(grid, coefficients, squares, strict=True)
                if s[0] < np.inf
            ]
            if fits:
                tried.append((law, grid, sorted(fits, key=lambda fit: fit.residual)))
    straight = min((fits[0].residual for law, _, fits in tried if law is STRAIGHT), default=math.inf)
    least = min((fits[0].residual for _, _, fits in tried), default=0.0)
    of_kind = {
        kind: min((fits[0].residual for law, _, fits in tried if law.kind is kind), default=0.0) for kind in RateKind
    }
    found = []
    for law, grid, fits in tried:
        if len(grid) > 1 and fits[0].residual <= max(PROMISING * least, of_kind[law.kind]):
            at = int(np.argmin(np.abs(grid - fits[0].t)))
            between = _between(law, float(grid[max(at - 1, 0)]), float(grid[min(at + 1, len(grid) - 1)]), k, Y)
            fits = sorted([between, *fits], key=lambda fit: fit.residual)
        for fit in fits:
            exact = fit.residual < EXACT * spread and fit.residual < 0.1 * straight
            if admissible(law, fit.t, fit.coefficients, k, exact):
                found.append(fit)
                break
    return found


def _between(law: Law, low: float, high: float, k: np.ndarray, Y: np.ndarray) -> Fit:
    """The law with its nonlinear parameter between two points of the grid."""

    def squares(t: float) -> float:
        return float(solve_law(law, np.array([t]), k, Y)[1][0, 0])

    options = {"xatol": 1e-9 * high, "maxiter": 60}
    t = float(minimize_scalar(squares, bounds=(low, high), method="bounded", options=options).x)
    coefficients, least = solve_law(law, np.array([t]), k, Y)
    return Fit(law, t, coefficients[0, :, 0], math.sqrt(float(least[0, 0])), float(k[-1]))


def cost(residual: float, parameters: int, n: float, spread: float) -> float:
    """-2 log likelihood and the penalty for parameters.

    Args:
        residual: Root of the mean squared residual.
        parameters: How many were fitted.
        n: How many independent observations these are.
        spread: Range of y, which sets the smallest residual that means something.

    """
    small = 2.0 * parameters * (parameters + 1) / max(n - parameters - 1, 1)
    squares = residual**2 + (SMALLEST * spread + 1e-14) ** 2
    return n * math.log(squares) + parameters * math.log(n) + small


def weigh(fits: Iterable[Fit], n: float, spread: float) -> dict[RateKind, tuple[float, Fit]]:
    """Share and best fit of each kind.

    Args:
        fits: Fits to the same data.
        n: How many independent observations these are.
        spread: Range of y.

    """
    best: dict[RateKind, tuple[float, Fit]] = {}
    for fit in fits:
        value = cost(fit.residual, fit.law.parameters, n, spread)
        if fit.law.kind not in best or value < best[fit.law.kind][0]:
            best[fit.law.kind] = value, fit
    least = min((value for value, _ in best.values()), default=0.0)
    shares = {kind: math.exp(-0.5 * (value - least)) for kind, (value, _) in best.items()}
    return {kind: (shares[kind] / sum(shares.values()), fit) for kind, (_, fit) in best.items()}


def noise(k: np.ndarray, y: np.ndarray) -> float:
    """Standard deviation of what is not smooth in y.

    Each point beside the chord of its neighbours leaves noise and curvature; these beside each other leave noise. By a
    quantile, so that a few sharp bends do not pass for noise.

    Args:
        k: Shape (n,).
        y: Shape (n,).

    """
    if len(y) < 5:
        return math.inf
    share = (k[2:] - k[1:-1]) / (k[2:] - k[:-2])
    off = y[1:-1] - share * y[:-2] - (1 - share) * y[2:]
    scale: np.ndarray | float = np.sqrt(1 + share**2 + (1 - share) ** 2)
    if len(y) >= 7:
        off, scale = off[1:-1] - 0.5 * (off[:-2] + off[2:]), math.sqrt(4.375)  # (1/4, -1, 3/2, -1, 1/4) of the noise
    return float(np.quantile(np.abs(off / scale), NOISE_QUANTILE)) / NOISE_DEVIATIONS
