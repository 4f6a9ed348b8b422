"""Where a record ends: in rounding, on a floor of noise, or still falling."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.optimize import least_squares

from thalweg.theory.rate_tail import thinned

#: Units in the last place within which values at the end of a record are the same, and from which on differences from
#: the limit keep a digit.
SAME, RESOLVED = 16.0, 32.0
#: Spread of values in units of rounding, and as a share of them, up to which it is that of sums that were rounded, not
#: noise; how far from the last they may lie then; and the fewest, of their later half, that show it.
SUMS, SUMS_SHARE, SUMS_APART, SUMS_FEWEST = 1000.0, 1e-5, (4000.0, 1000.0, 250.0, 64.0), 6
#: Difference of the means of two halves, in standard deviations, that chance may make: a line has sqrt(3).
TRENDLESS = 1.2
#: Most digits of values that were rounded to be printed.
PRINTED = 12
#: Shares of a record that may be a floor of noise, largest first, and the fewest values that show one.
SHARES, FEWEST = (0.9, 0.75, 0.6, 0.5, 0.35, 0.25), 16
#: Fewest independent values on a floor that lies so many standard deviations below the start, and on a nearer one: a
#: random walk may rest for long, but it has not come from far and rests on few.
FAR, INDEPENDENT = 100.0, (8, 16)
#: Blocks whose means show a trend, and the t value from which it is one (two-sided, 6 degrees of freedom, 5%).
BLOCKS, TREND = 8, 2.45
#: Least share of steps at which noise changes its direction; a slow oscillation does so less often.
TURNS = 0.2
#: Largest ratio of the spreads of two halves, and of their heights above a limit that is given; without one, largest
#: difference of their means in standard deviations.
SPREADS, HEIGHTS, APART = 2.5, 1.3, 0.5
#: Blocks whose maxima count as records when no later one reaches them.
MAXIMA = 12
#: How far above a floor, in its standard deviations, values must have been to have fallen to it, and from where on
#: they are no longer told from it.
FALLEN, TOLD = 6.0, 4.0

#: Share of the last value that a floor must be to be in sight before it is reached.
SEEN = 0.3


@dataclass(frozen=True, slots=True)
class Floor:
    """The end of a record on which values no longer fall.

    Attributes:
        start: Index of its first value.
        level: Its mean; the median if it is rounding.
        error: Standard error of the level.
        spread: Standard deviation of one value.
        rounding: Whether the values are the same up to rounding.

    """

    start: int
    level: float
    error: float
    spread: float
    rounding: bool


def resolution(values: np.ndarray, unit: float) -> float:
    """What values near the end of a record can be told apart: rounding, or the last decimal that was written.

    Args:
        values: Shape (n,).
        unit: Spacing of the numbers just above 1 in the precision they were computed with.

    """
    rounding = unit * abs(float(values[-1]))
    tail = values[len(values) // 2 :]
    if (tail[1:] != tail[:-1]).all():
        return rounding
    digits = [repr(value) for value in np.unique(values[:: -(-len(values) // 1000)]).tolist()]
    decimals = max(len(text.partition(".")[2]) for text in digits)
    short = not any("e" in text or len(text.replace(".", "").strip("-0")) > PRINTED for text in digits)
    if short and decimals > 1:
        return max(rounding, 10.0**-decimals / SAME)
    # Values of a lower precision move in whole units of it, whatever was subtracted from them.
    steps = np.abs(np.diff(values))
    unit_step = float(steps[steps > 0].min())
    small = steps[(steps > 0) & (steps < 30 * unit_step)] / unit_step
    whole = len(small) > 8 and len(np.unique(np.round(small))) > 3 and bool((abs(small - np.round(small)) < 0.01).all())
    return max(rounding, unit_step / SAME) if whole else rounding


def magnitude(values: np.ndarray) -> float:
    """The largest power of two not above the largest value; 1 if all are zero.

    Args:
        values: Shape (n,), finite.

    """
    largest = float(np.abs(values).max())
    return math.ldexp(1.0, math.frexp(largest)[1] - 1) if largest else 1.0


def find_floor(values: np.ndarray, limit: float | None, unit: float) -> Floor | None:
    """The part at the end of a record in which nothing falls any more, if there is one.

    Args:
        values: Shape (n,), finite.
        limit: What they should tend to; None if that is not known.
        unit: Spacing of the numbers just above 1 in the precision they were computed with.

    """
    rounded = _rounded_sums(values, unit)
    if rounded is not None:
        return rounded
    same = SAME * resolution(values, unit)
    apart = np.flatnonzero(np.abs(values - values[-1]) > same)
    start = int(apart[-1]) + 1 if len(apart) else 0
    end = values[start:]
    if len(end) > max(1, _repeats(values[:start])):
        stands = bool(np.mean(np.diff(end) >= 0) >= 0.25)
        if stands or (start > 0 and values[start - 1] - values[start] > 100 * same):
            return Floor(start, float(np.median(end)), same / SAME, same / SAME, True)
    unit_of_values = magnitude(values)  # squares of 1e200 and of 1e-200 are no numbers
    values, same = values / unit_of_values, same / unit_of_values
    limit = None if limit is None else limit / unit_of_values
    for share in SHARES:
        start = len(values) - int(share * len(values))
        end = values[start:]
        if len(end) < FEWEST:
            return None
        spread = float(end.std(ddof=1))
        if spread > same and _stationary(end, limit):
            fall = (float(values[:3].max()) - float(end.mean())) / spread
            fallen = start > 0 and fall > FALLEN
            error = _standard_error(end)
            independent = INDEPENDENT[fall < FAR]
            if (fallen and independent * error**2 <= spread**2) or share == SHARES[0]:
                level, error, spread = (unit_of_values * x for x in (float(end.mean()), error, spread))
                return Floor(start if fallen else 0, level, error, spread, False)
    return None


def _rounded_sums(values: np.ndarray, unit: float) -> Floor | None:
    """The end of a record on which values hover by some multiples of their rounding, without a trend."""
    size = abs(float(values[-1]))
    for apart in SUMS_APART:
        outside = np.flatnonzero(np.abs(values - values[-1]) > apart * unit * size)
        start = int(outside[-1]) + 1 if len(outside) else 0
        end = values[start + (len(values) - start) // 2 :]  # the first half may still be falling
        spread, level = float(end.std()), float(np.median(end))
        if len(end) < SUMS_FEWEST or not unit * size < spread <= min(SUMS * unit, SUMS_SHARE) * size:
            continue
        first, second = np.array_split(end, 2)
        chance = min(max(APART, 5 / math.sqrt(len(end))), TRENDLESS)  # 2.5 standard errors of the difference
        still = abs(float(first.mean() - second.mean())) <= chance * spread
        if still and np.mean(np.diff(end) > 0) >= TURNS:
            start += int(np.argmax(values[start:] - level <= TOLD * spread))
            return Floor(start, level, spread / math.sqrt(len(end)), spread, True)
    return None


def _repeats(values: np.ndarray) -> int:
    """The longest run of equal values, if that is how most of them come; else 0."""
    changes = np.flatnonzero(np.diff(values))
    if len(changes) > 0.5 * len(values):
        return 0
    return int(np.diff(np.concatenate(([-1], changes, [len(values) - 1]))).max())


def _stationary(values: np.ndarray, limit: float | None) -> bool:
    """Noise around a level: no trend, no shrinking, and no smooth oscillation."""
    steps = np.sign(np.diff(values))
    if np.mean(steps[1:] != steps[:-1]) < TURNS:
        return False
    first, second = np.array_split(values, 2)
    if max(first.std(), second.std()) > SPREADS * min(first.std(), second.std()):
        return False
    if limit is not None:
        heights = sorted([float(first.mean()) - limit, float(second.mean()) - limit])
        if heights[1] > HEIGHTS * heights[0]:
            return False
    elif abs(first.mean() - second.mean()) > APART * values.std():
        return False
    # What oscillates and shrinks sets a record with nearly every block, seen from the end; noise with few: for m blocks
    # 1 + 1/2 + ... + 1/m on average.
    blocks = min(MAXIMA, len(values) // 2)
    maxima = np.array([block.max() for block in np.array_split(values, blocks)])
    records = int(np.sum(maxima >= np.maximum.accumulate(maxima[::-1])[::-1]))
    mean = float(np.sum(1 / np.arange(1, blocks + 1)))
    if records > mean + 2.5 * math.sqrt(mean - float(np.sum(1 / np.arange(1, blocks + 1) ** 2))):
        return False
    means = np.array([block.mean() for block in np.array_split(values, BLOCKS)])
    at = np.arange(BLOCKS) - (BLOCKS - 1) / 2
    slope = float(at @ means / (at @ at))
    left = means - means.mean() - slope * at
    error = math.sqrt(float(left @ left) / (BLOCKS - 2) / float(at @ at))
    return abs(slope) <= TREND * error


def _standard_error(values: np.ndarray) -> float:
    """Standard error of a mean of correlated values.

    The larger of two: by the correlation time, summed up to five times itself (Sokal 1997), which a weak slow part
    escapes; and by the means of blocks, which takes more values than there may be.
    """
    centred = values - values.mean()
    size = 2 ** math.ceil(math.log2(2 * len(values)))
    power = np.abs(np.fft.rfft(centred, size)) ** 2
    covariance = np.fft.irfft(power, size)[: len(values)] / len(values)
    if not covariance[0] > 0:
        return 0.0
    times = 2 * np.cumsum(covariance / covariance[0]) - 1
    within = np.flatnonzero(np.arange(len(values)) >= 5 * times)
    time = float(times[within[0]]) if len(within) else float(times.max())
    by_time = math.sqrt(float(covariance[0]) * max(time, 1.0) / len(values))
    means = np.array([block.mean() for block in np.array_split(values, BLOCKS)])
    return max(by_time, float(means.std(ddof=1)) / math.sqrt(BLOCKS))


@dataclass(frozen=True, slots=True)
class PartialFloor:
    """A geometric fall together with the floor that it has not reached.

    Attributes:
        level: The floor.
        error: Its standard error.
        fall: The fall of the logarithm of what is above the floor, per step.
        residual: Root of the mean squared residual of log r.
        count: How many values were fitted.

    """

    level: float
    error: float
    fall: float
    residual: float
    count: int


def partial_floor(k: np.ndarray, r: np.ndarray) -> PartialFloor | None:
    """Fit log r = log(level + exp(a - fall k)).

    Args:
        k: Shape (n,).
        r: Positive, shape (n,).

    Returns:
        The fit, or None where there is none or its floor is not in sight.

    """
    k, y = thinned(k, np.log(r))
    best = None
    for share in (0.2, 0.6, 0.9):
        low = math.log(share) + float(y.min())
        half = len(y) // 2
        rate = max(float(y[0] - y[half]) / float(k[half] - k[0]), 1e-6 / float(k[-1]))
        start = [low, float(y[0]) + rate * float(k[0]), math.log(rate)]
        with np.errstate(over="ignore"):
            found = least_squares(
                lambda p: np.logaddexp(p[0], p[1] - np.exp(p[2]) * k) - y, start, xtol=1e-15, ftol=1e-15, gtol=1e-15
            )
        if best is None or found.cost < best.cost:
            best = found
    if best is None or not np.isfinite(best.x).all() or math.exp(best.x[0] - y[-1]) < SEEN:
        return None
    falls = best.x[1] - np.exp(best.x[2]) * k  # log of what is above the floor
    if falls[0] - falls[-1] < math.log(10.0):
        return None
    residual = math.sqrt(2 * best.cost / len(y))
    triangle = np.linalg.qr(best.jac)[1]
    if np.abs(np.diag(triangle)).min() < 1e-12:
        return None
    inverse = np.linalg.inv(triangle)
    error = residual * math.sqrt(len(y) / max(len(y) - 3, 1) * float(inverse[0] @ inverse[0]))
    floor = math.exp(best.x[0])
    return PartialFloor(floor, floor * error, math.exp(best.x[2]), residual, len(y))
