"""The limit of a record that is still falling: f_k - f* follows a law for one f* and for no other.

For each law the likelihood of the values themselves is compared over f*: with y = log(f - f*) normal around the law,
the density of f carries the factor 1/(f - f*). Superlinear laws are left out: what ends so suddenly shows its limit in
its last value.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize

from thalweg.theory.rate_kinds import RateKind
from thalweg.theory.rate_laws import LAWS, Fit, Law, admissible, cost, noise, solve_law
from thalweg.theory.rate_tail import (
    DECIDES,
    UNEVEN_RESIDUAL,
    WAVES,
    believable,
    decades,
    is_adequate,
    is_clear,
    thinned,
    uneven,
)

#: Guesses of the gap between the last value and the limit, and how many laws of each kind are refined from there.
GAPS, REFINED = 48, 2
#: Fewest values that fix a limit beside a law.
FEWEST = 7
#: Parts of the record that are looked at, from its end.
PARTS = (1.0, 0.75, 0.5, 0.25)
#: Range of y, in residuals, from which on a straight end outweighs a bend before it.
SURE = 1000.0
#: A cost that no fit has.
BEYOND = 1e12


@dataclass(frozen=True, slots=True)
class Limited:
    """A law together with the limit that it needs.

    Attributes:
        limit: f*.
        fit: The law fitted to log(f - f*).
        cost: -2 log likelihood of the values, and the penalty for parameters.
        share: Of the evidence, beside the other kind's best law.
        whole: Whether the law is adequate on the whole record.
        why: The evidence.

    """

    limit: float
    fit: Fit
    cost: float
    share: float = 0.0
    whole: bool = False
    why: str = ""


def find_limit(k: np.ndarray, f: np.ndarray, unit: float) -> Limited | str:
    """The law and the limit that fit best, if there are such that stand out.

    Args:
        k: Indices, increasing, positive, shape (n,).
        f: Values, shape (n,), none exceeded by a later one.
        unit: Spacing of the numbers just above 1 in the precision they were computed with.

    Returns:
        The law with its limit, or why there is none.

    """
    if len(f) and not np.ptp(f):  # two values in turn: the upper ones, one like the other
        return f"no trend: the values return to {f[0]:.8g} and do not fall"
    why = f"{len(f)} values that fall are too few to tell the limit from the rate"
    seen: list[Limited] = []
    for part in PARTS:
        late = k >= k[0] - 1 + (1 - part) * (k[-1] - k[0] + 1)
        if late.sum() < FEWEST:
            continue
        part_k, part_f = thinned(k[late], f[late])
        best = _fits(part_k, part_f, unit)
        if not best:
            continue
        top = min(best.values(), key=lambda entry: entry.cost)
        y = np.log(part_f - top.limit)
        level, residual = noise(part_k, y), top.fit.residual
        adequate = is_adequate(residual, part_k, y)
        count = len(y) if adequate else max(min(len(y), WAVES), len(y) * (level / residual) ** 2)
        raw = [math.exp(max(-0.5 * (entry.cost - top.cost) * count / len(y), -700.0)) for entry in best.values()]
        share = 1 / sum(raw)
        clear = is_clear(top.fit, float(np.ptp(y)), adequate, len(y))
        if not believable(top.fit, part_k, float(np.ptp(y)), bool(late.all())):
            continue
        if residual > UNEVEN_RESIDUAL and f[-1] > top.limit and uneven(k, np.log(f - top.limit)):
            return uneven(k, np.log(f - top.limit))
        names = [f"{entry.fit.law.name} to {entry.limit:.8g}" for entry in best.values()]
        why = f"{' and '.join(names)} fit {late.sum()} values alike"
        if share > DECIDES and clear:
            said = f"{'' if late.all() else 'the last '}{late.sum()} values, {decades(y):.2g} decades"
            why = f"{top.fit.law.name} to an estimated limit of {top.limit:.8g} fits {said}, to {residual:.1%}"
            seen.append(Limited(top.limit, top.fit, top.cost, share, bool(adequate and late.all()), why))
            if adequate or (part == PARTS[-1] and top.fit.law.kind is RateKind.LINEAR and np.ptp(y) > SURE * residual):
                return seen[-1]
        elif adequate:
            return why
    if seen and len({entry.fit.law.kind for entry in seen}) == 1:
        return seen[-1]
    return why


@dataclass(frozen=True, slots=True)
class _Start:
    """A point of the grid."""

    cost: float
    law: Law
    t: float
    gap: float


def _fits(k: np.ndarray, f: np.ndarray, unit: float) -> dict[RateKind, Limited]:
    """The best linear and the best sublinear law, each with its own limit."""
    low, span = float(f.min()), float(np.ptp(f))
    if not span:
        return {}
    least = max(32 * unit * abs(low), 1e-12 * span)
    gaps = np.geomspace(least, 30 * span, GAPS)
    Y = np.log((f - low)[:, None] + gaps)
    best: dict[RateKind, Limited] = {}
    for kind in (RateKind.LINEAR, RateKind.SUBLINEAR):
        starts = [_on_grid(law, k, Y, gaps) for law in LAWS if law.kind is kind]
        own = sorted([start for start in starts if start is not None], key=lambda start: start.cost)
        for start in own[:REFINED]:
            found = _refine(start, k, f, low, least)
            if found is not None and (kind not in best or found.cost < best[kind].cost):
                best[kind] = found
    return best


def _on_grid(law: Law, k: np.ndarray, Y: np.ndarray, gaps: np.ndarray) -> _Start | None:
    """The best admissible point of the grid."""
    grid = law.grid(k)
    if len(k) < law.parameters + 2 or not len(grid):
        return None
    coefficients, squares = solve_law(law, grid, k, Y)
    best: _Start | None = None
    for i, j in np.argwhere(squares < np.inf):
        value = _cost(float(squares[i, j]), law, Y[:, j])
        better = best is None or value < best.cost
        if better and admissible(law, float(grid[i]), coefficients[i, :, j], k, exact=False):
            best = _Start(value, law, float(grid[i]), float(gaps[j]))
    return best


def _cost(squares: float, law: Law, y: np.ndarray) -> float:
    return cost(math.sqrt(squares), law.parameters + 1, len(y), float(np.ptp(y))) + 2 * float(y.sum())


def _refine(start: _Start, k: np.ndarray, f: np.ndarray, low: float, least: float) -> Limited | None:
    """The best t and gap near those of the grid."""
    law = start.law
    curved = not math.isnan(start.t)

    def value(p: np.ndarray) -> float:
        gap, t = math.exp(min(p[0], 700.0)), float(p[-1]) if curved else math.nan
        if gap < least or (curved and not 0 < t < 1e9):
            return BEYOND
        y = np.log(f - low + gap)
        squares = float(solve_law(law, np.array([t]), k, y[:, None])[1][0, 0])
        return _cost(squares, law, y) if squares < np.inf else BEYOND

    p = np.array([math.log(start.gap)] + [start.t] * curved)
    p = minimize(value, p, method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-4, "maxfev": 80 * len(p)}).x
    gap, t = math.exp(p[0]), float(p[-1]) if curved else math.nan
    y = np.log(f - low + gap)
    coefficients, squares = solve_law(law, np.array([t]), k, y[:, None])
    if not squares[0, 0] < np.inf or not admissible(law, t, coefficients[0, :, 0], k, exact=False):
        return None
    return Limited(
        low - gap, Fit(law, t, coefficients[0, :, 0], math.sqrt(float(squares[0, 0])), float(k[-1])), value(p)
    )
