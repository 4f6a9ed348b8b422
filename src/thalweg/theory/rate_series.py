"""The rate of an array: errors r_k, or values f_k whose limit is given or estimated."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from thalweg.core.errors import InputError
from thalweg.theory.rate_bend import DECADES
from thalweg.theory.rate_floors import RESOLVED, TOLD, TURNS, Floor, find_floor, magnitude, partial_floor, resolution
from thalweg.theory.rate_kinds import Rate, RateKind
from thalweg.theory.rate_laws import STRAIGHT, Fit, cost, fit_laws
from thalweg.theory.rate_limits import find_limit
from thalweg.theory.rate_tail import CLEAR, RISE, ROUGH, Finding, find_kind, thinned

#: A floor lower than this share of the largest value is rounding, whoever computed it.
ROUNDING = 1e-13
#: What rises below that and later falls to less than this share of itself oscillates.
FALLS_ON = 1e-4
#: Values below this have lost digits before zero is reached.
UNDERFLOW = 2.3e-308
#: Rise at the end, as a share of all that was gained, and in standard deviations, that is no noise.
RISES, RISES_SPREAD = 0.2, 4.0
#: Fewest values that can follow a law of their own by more than chance.
TELLING = 12
#: Residual beside the range of log(f_k - f*), as a share of the same without f*, up to which f* is worth its while.
BETTER = 0.3
#: Smallest value, as a share of the largest, up to which values seem to fall to zero by themselves.
TO_ZERO, FAR_TO_ZERO = 1e-2, 1e-6
#: Residual of a fall to a floor in sight as a share of that of a fall to zero, up to which it is one, where neither is
#: adequate; and the same where most of either is noise.
ABOVE_OTHERS, ABOVE_NOISE = 0.5, 0.8
#: Distance to an estimated limit, beside the fall of all values, beyond which nothing was seen of it.
FARTHEST = 1e3
#: Powers of k below which a sequence is slower than all of them.
SLOWEST = 1e-6
#: Falls of log(f_k - f_n) at the end of a record that stopping alone does not make: in a slow sequence the last ones
#: are log 3/2 and log 2.
SUDDEN = (1.2, 2.0)
#: Height that counts above values that hover by rounding, in their spreads, and above a last value from which a
#: sequence had yet to fall, in what was left; the fewest values that give a slope there; and the nats of fall over
#: which steps are alike.
HOVERS, AHEAD, FEW, SAME_STEPS = 16.0, 16.0, 4, 0.25

#: Residual of a superlinear law beside that of a line, above a floor of noise, from which on it is one; and the
#: height in spreads of the noise that counts: x + noise squared is off by 2 sqrt(1 / 100) = 20% there.
BENT, CLEAR_OF = 0.2, 100.0


@dataclass(frozen=True, slots=True)
class _Seen:
    """A rate and what it rests on."""

    rate: Rate
    finding: Finding

    def said(self, **changes: object) -> _Seen:
        return _Seen(replace(self.rate, **changes), self.finding)  # type: ignore[arg-type]


def rate_of_values(values: np.ndarray, limit: float | None, unit: float) -> Rate:
    """Classify an array.

    Args:
        values: r_k or f_k for consecutive k, shape (n,), finite.
        limit: What they tend to; None to estimate it.
        unit: Spacing of the numbers just above 1 in the precision they were computed with.

    Raises:
        InputError: A value lies below the limit.

    """
    if limit is not None:
        _check_above(values, limit, unit)
    if np.ptp(values) <= 16 * unit * float(np.abs(values).max()):
        why = f"constant: all {len(values)} values are {values[0]:.6g}"
        return Rate(RateKind.UNDECIDED, limit=limit, why=why)
    floor = find_floor(values, limit, unit)
    if floor is not None and not floor.rounding and 2 * floor.start > len(values) and _still_falls(values, limit):
        floor = None
    if floor is not None and floor.start == 0 and not floor.rounding:
        why = f"no trend: {len(values)} values vary around {floor.level:.6g} by {floor.spread:.2g} and do not fall"
        return Rate(RateKind.UNDECIDED, limit=limit, why=why)
    rises = _rise(values) if floor is None else ""
    if rises:
        return Rate(RateKind.UNDECIDED, limit=limit, why=rises)
    if limit is not None:
        return _known_limit(values, limit, floor, unit).rate
    rate = _unknown_limit(values, floor, unit).rate
    if rate.limit is not None and values.min() - rate.limit > FARTHEST * np.ptp(values):
        fallen = f"{len(values)} values fall by {np.ptp(values):.3g} in all"
        why = f"{fallen}, and nothing tells to what; give limit= if it is known"
        return Rate(RateKind.UNDECIDED, limit=None, why=why)
    return rate


def _still_falls(values: np.ndarray, limit: float | None) -> bool:
    """Whether one slow law holds from the first to the last value, so that the end only looks like a floor."""
    r = values - (limit or 0.0)
    if r.min() <= 0:
        return False
    finding, used, _ = find_kind(np.arange(1.0, len(r) + 1), np.log(r))
    return finding.whole and finding.kind is RateKind.SUBLINEAR


def _check_above(values: np.ndarray, limit: float, unit: float) -> None:
    # Values near their limit carry the rounding of the terms they are sums of, which are as large as the first ones.
    slack = unit * max(64 * abs(limit), 64 * float(np.abs(values).min()), 16 * float(np.abs(values).max()))
    below = np.flatnonzero(values < limit - slack)
    if len(below):
        at = int(below[0])
        raise InputError(
            f"value {at + 1} is {float(values[at])!r}, below limit={limit!r} by {limit - values[at]:.2g}",
            f"give a limit of at most {float(values.min())!r}, or limit=None to estimate it",
        )


def _rise(values: np.ndarray) -> str:
    """Words for a record that ends higher than it was, or nothing."""
    if len(values) < 4:
        return ""
    blocks = np.array_split(values / magnitude(values), min(20, len(values)))
    means = np.array([block.mean() for block in blocks])
    least = int(np.argmin(means))
    noise = max(float(blocks[-1].std()), float(blocks[least].std()))
    gained = float(means[: least + 1].max() - means[least]) if least else abs(float(means[0]))
    risen = float(means[-1] - means[least])
    if means[-1] < means[least:].max() - 0.05 * risen or risen <= max(RISES * gained, RISES_SPREAD * noise):
        return ""
    if least == 0:
        return f"diverging: the values grow from {values[0]:.4g} to {values[-1]:.4g}"
    at = int(np.argmin(values)) + 1
    return f"diverging: the values fall to {values.min():.4g} at value {at} and then rise to {values[-1]:.4g}"


def _undecided(why: str, limit: float | None) -> _Seen:
    return _Seen(Rate(RateKind.UNDECIDED, limit=limit, why=why), Finding(RateKind.UNDECIDED, 0.0, why))


def _unknown_limit(values: np.ndarray, floor: Floor | None, unit: float) -> _Seen:
    if floor is not None and floor.rounding:
        seen = _to_rounding(values, floor, unit)
        return seen.said(why=f"{seen.rate.why}; values end at {floor.level:.10g}, the same to rounding")
    if floor is not None and abs(floor.level) <= ROUNDING * float(np.abs(values).max()):
        return _known_limit(values, 0.0, floor, unit)
    if floor is not None:
        return _noise_floor(values, floor, None) or _unknown_limit(values, None, unit)
    at_zero = _known_limit(values, 0.0, None, unit) if values.min() > 0 else None
    # Losses with another limit follow no law of their own values: one that is adequate is the whole truth.
    to_zero = values.min() <= TO_ZERO * values.max()
    settled = False
    if at_zero is not None:
        told = at_zero.rate.kind is not RateKind.UNDECIDED or len(values) >= TELLING
        sure = at_zero.rate.kind in (RateKind.QUADRATIC, RateKind.SUPERLINEAR)
        settled = at_zero.finding.whole and told
        if (settled and at_zero.rate.floor is None) or (sure and values.min() <= FAR_TO_ZERO * values.max()):
            return at_zero
    k, f = _falling(values)
    last = float(f[-1])
    fast = _approach(f, last, len(f) - 1, RESOLVED * unit * abs(last), ended=True)
    if fast.rate.kind is RateKind.QUADRATIC:
        return fast
    if at_zero is not None and settled:
        return at_zero
    found = find_limit(k, f, unit)
    falls = -np.diff(np.log(f[-4:-1] - last)) if len(f) > 4 and f[-2] > last else np.zeros(2)
    if fast.rate.kind is RateKind.SUPERLINEAR and fast.finding.fit is not None and (falls >= SUDDEN).all():
        other = math.inf if isinstance(found, str) else found.fit.residual
        if fast.finding.fit.residual < 0.5 * other:
            return fast.said(confidence=0.9 * fast.rate.confidence)
    same = isinstance(found, str) or (at_zero is not None and found.fit.law.kind is at_zero.rate.kind)
    if at_zero is not None and to_zero and same and at_zero.rate.kind is not RateKind.UNDECIDED:
        return at_zero
    if isinstance(found, str):
        near = _near_rounding(values, unit) if len(f) == len(values) else None
        return near or _undecided(f"{found}; give limit= if it is known", None)
    y = np.log(f - found.limit)
    if at_zero is not None and at_zero.finding.fit is not None:
        # A limit of its own must explain more than a fall to zero, each beside the range that it explains.
        to_all = [at_zero.finding.fit] if at_zero.finding.whole else fit_laws(*thinned(k, np.log(f)))
        residual = min((fit.residual for fit in to_all), default=math.inf)
        share, at_limit = residual / np.ptp(np.log(f)), found.fit.residual / np.ptp(y)
        if at_limit > BETTER * share:
            said = to_zero or at_zero.finding.whole or at_zero.rate.kind is RateKind.UNDECIDED
            return at_zero if said else _undecided(f"{at_zero.rate.why}, and so do falls to other limits", None)
    confidence = found.share * (1.0 if found.whole else 0.9)
    finding = Finding(found.fit.law.kind, confidence, found.why, found.fit, found.whole)
    return _Seen(rate_of_finding(finding, k, y, y, found.limit), finding)


def _to_rounding(values: np.ndarray, floor: Floor, unit: float) -> _Seen:
    """Values that fall until rounding keeps them where they are, near their limit or, if steps are short, above it."""
    r = values - floor.level
    least = max(_resolved(r, floor.start, RESOLVED * resolution(values, unit)), HOVERS * floor.spread)
    seen = _approach(values, floor.level, floor.start, least, ended=True)
    if seen.rate.kind in (RateKind.SUPERLINEAR, RateKind.UNDECIDED):
        # What is left to fall bends the end of the curve down, as a superlinear sequence does.
        ahead = _left_to_fall(r, floor.start, least)
        again = _approach(values, floor.level, floor.start, AHEAD * ahead, ended=False)
        if AHEAD * ahead > least and again.rate.kind is RateKind.LINEAR:
            return again
    return seen


def _near_rounding(values: np.ndarray, unit: float) -> _Seen | None:
    """Values that fell so far that the last one stands for their limit; None if they did not."""
    last = float(values[-1])
    r = values - last
    least = RESOLVED * resolution(values, unit)
    least = max(least, AHEAD * _left_to_fall(r, len(r), least))
    if r.max() <= least * 10**DECADES:
        return None
    seen = _approach(values, last, len(r) - 1, least, ended=False)
    if seen.rate.kind not in (RateKind.LINEAR, RateKind.SUPERLINEAR):
        return None
    return seen.said(confidence=0.9 * seen.rate.confidence, why=f"{seen.rate.why}, beside the last value {last:.10g}")


def _left_to_fall(r: np.ndarray, stop: int, least: float) -> float:
    """How far below its last value before ``stop`` a linear sequence would fall, from the slope and the last steps."""
    ahead = 0.0
    for _ in range(3):  # the slope is that of values much above what is left, once that is known
        usable = np.flatnonzero(r[:stop] > max(least, AHEAD * ahead))
        if len(usable) < FEW:
            return ahead
        y = np.log(r[usable])
        late = usable[y <= 0.5 * (y.min() + y.max())]
        fall = math.log(r[late[0]] / r[late[-1]]) if len(late) > 1 else 0.0
        if fall <= 0:
            return ahead
        slope = fall / float(late[-1] - late[0])
        steps = np.abs(np.diff(r[max(stop - 1 - math.ceil(SAME_STEPS / slope), 0) : stop]))
        steps = steps[steps > 0]
        ahead = float(np.median(steps)) / math.expm1(slope) if len(steps) else 0.0
    return ahead


def _resolved(r: np.ndarray, stop: int, slack: float) -> float:
    """From where on r says something beside a level that stands for the limit.

    Steps stop at a unit of rounding, a slow sequence by the number of steps to a factor e farther away from its limit.
    """
    usable = np.flatnonzero(r[:stop] > slack)
    if len(usable) < 2:
        return slack
    slope = (math.log(r[usable[0]]) - math.log(r[usable[-1]])) / float(usable[-1] - usable[0])
    return slack * (1 + 4 * max(1 / slope - 2, 0.0)) if slope > 0 else slack


def _falling(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The values that no later one exceeds, with their indices from 1."""
    top = np.flatnonzero(values >= np.maximum.accumulate(values[::-1])[::-1])
    gaps = np.diff(top)
    if len(gaps) and gaps.max() > 1:
        kept = top[top <= len(values) - gaps.max()]
        top = kept if len(kept) >= 8 else top
    return top + 1.0, values[top]


def _known_limit(values: np.ndarray, limit: float, floor: Floor | None, unit: float) -> _Seen:
    r = values - limit
    slack = RESOLVED * max(unit * abs(limit), resolution(values, unit) if limit else 0.0)
    if floor is not None:
        height, largest = floor.level - limit, float(r.max())
        near = TOLD * floor.spread if floor.rounding else 0.0
        if height <= max(ROUNDING * largest, 4 * _resolved(r, floor.start, slack), near):
            least = max(slack, TOLD * floor.spread, 4 * abs(height))
            stop = min(_rounding_start(r), floor.start)
            certain = floor.rounding and stop == floor.start
            seen = _approach(values, limit, stop, least, ended=True, certain=certain)
            share = abs(height) / largest
            where = f"values end {height:.1e} from the limit, {share:.0e} of the largest: rounding, not a floor"
            return seen.said(why=f"{seen.rate.why}; {where}")
        if floor.rounding:
            return _still_floor(values, floor, limit, unit)
        return _noise_floor(values, floor, limit) or _known_limit(values, limit, None, unit)
    above = np.flatnonzero(r > slack)
    if not len(above):
        return _undecided("no value differs from the limit by more than rounding", limit)
    end = int(above[-1]) + 1
    stop = _rounding_start(r)
    ended = end < len(r) or stop < len(r)
    least = max(slack, 0.0 if limit else UNDERFLOW)
    seen = _approach(values, limit, stop, least, ended, certain=ended and stop == len(r))
    return _or_partial_floor(seen, r, limit)


def _rounding_start(r: np.ndarray) -> int:
    """From where on r is rounding: so far below the start it rises, and falls no more."""
    least_later = np.minimum.accumulate(r[::-1])[::-1]
    stays = least_later[1:] > FALLS_ON * r[:-1]
    low = np.flatnonzero((r[:-1] <= ROUNDING * float(r.max())) & (r[1:] >= r[:-1]) & (stays | (least_later[1:] <= 0)))
    return int(low[0]) + 1 if len(low) else len(r)


def _or_partial_floor(seen: _Seen, r: np.ndarray, limit: float) -> _Seen:
    """A fall to a floor that is only just coming in sight, if it explains more than a fall to zero."""
    positive = np.flatnonzero(r > 0)
    fit = seen.finding.fit
    if len(positive) < 8 or fit is None or seen.rate.kind in (RateKind.QUADRATIC, RateKind.SUPERLINEAR):
        return seen
    partial = partial_floor(positive + 1.0, r[positive])
    if partial is None:
        return seen
    y = np.log(r[positive])
    spread = float(np.ptp(y))
    share = ABOVE_OTHERS
    if _is_noisy(y):  # the fit is to the highest values alone: each beside all of them
        fit = min(fit_laws(*thinned(positive + 1.0, y)), key=lambda other: other.residual, default=fit)
        share = ABOVE_NOISE
    rival = cost(fit.residual, fit.law.parameters, partial.count, spread)
    better = cost(partial.residual, 3, partial.count, spread) < rival - 10
    if (
        spread < CLEAR * partial.residual
        or partial.residual > ROUGH
        or not (better if seen.finding.whole else partial.residual < share * fit.residual)
    ):
        return seen
    q = math.exp(-partial.fall)
    why = (
        f"C q^k + {partial.level:.4g} fits {partial.count} values to {partial.residual:.1%},"
        f" {fit.law.name} to {fit.residual:.1%}"
    )
    figures = {"q": q, "confidence": 0.95, "root_test": q, "why": why, "power": None, "order": None}
    return seen.said(kind=RateKind.FLOOR, floor=partial.level, floor_error=partial.error, limit=limit, **figures)


def _is_noisy(y: np.ndarray) -> bool:
    """Whether y rises by so much that only its highest values were used, and does so at random."""
    steps = np.sign(np.diff(y))
    rise = float((np.maximum.accumulate(y[::-1])[::-1] - y).max())
    return rise > RISE and float(np.mean(steps[1:] != steps[:-1])) >= TURNS


def _still_floor(values: np.ndarray, floor: Floor, limit: float, unit: float) -> _Seen:
    """Values that settle, but above the limit that was given."""
    seen = _to_rounding(values, floor, unit)
    kind = RateKind.FLOOR if seen.rate.kind is RateKind.LINEAR else seen.rate.kind
    height = floor.level - limit
    where = f"values settle {height:.6g} above the limit, without noise: perhaps the limit is {floor.level:.6g}"
    figures = {"floor": height, "floor_error": floor.error, "limit": limit, "why": f"{seen.rate.why}; {where}"}
    return seen.said(kind=kind, **figures)


def _noise_floor(values: np.ndarray, floor: Floor, limit: float | None) -> _Seen | None:
    """Values that fall to a level and then fluctuate around it; None if they may well go on falling."""
    below = np.flatnonzero(values[: floor.start] - floor.level < TOLD * floor.spread)
    runs = below[np.flatnonzero(np.diff(below, prepend=-2) == 1)]  # the second of two in a row
    start = int(runs[0]) - 1 if len(runs) else floor.start
    seen = _approach(values, floor.level, start, 0.0, ended=False)
    rate = seen.rate
    where = (
        f"then {len(values) - floor.start} values stay around {floor.level:.6g}"
        f" with a standard deviation of {floor.spread:.2g}"
    )
    floors = {"floor": floor.level - (limit or 0.0), "floor_error": floor.error, "limit": limit}
    bent = rate.kind is RateKind.SUPERLINEAR and _bends(values[:start] - floor.level, CLEAR_OF * floor.spread)
    if rate.kind is RateKind.QUADRATIC or bent:
        return seen.said(why=f"{rate.why}; {where}", **floors)
    if rate.kind is RateKind.LINEAR:
        return seen.said(kind=RateKind.FLOOR, why=f"{rate.why}; {where}", **floors)
    if 2 * floor.start > len(values):  # no longer than what led to it: a slow fall with slow noise rests like that
        return None
    root = rate.root_test
    why = f"falls by a factor {root:.4g} a step at last" if root else "falls within a few steps"
    figures = {"q": root, "order": None, "power": None, "confidence": 0.6 if root else 0.5, "why": f"{why}; {where}"}
    return seen.said(kind=RateKind.FLOOR, **figures, **floors)


def _bends(r: np.ndarray, clear: float) -> bool:
    """Whether a fall to a floor of noise is superlinear by more than the noise, correlated as it is, bends a line."""
    kept = np.flatnonzero(r > clear)
    kept = kept if len(kept) > 4 else np.flatnonzero(r > 0)
    fits = fit_laws(*thinned(kept + 1.0, np.log(r[kept])))
    straight = [fit.residual for fit in fits if fit.law is STRAIGHT]
    faster = [fit.residual for fit in fits if fit.law.kind in (RateKind.SUPERLINEAR, RateKind.QUADRATIC)]
    return not straight or (bool(faster) and min(faster) < BENT * min(straight))


def _approach(values: np.ndarray, limit: float, stop: int, least: float, ended: bool, certain: bool = False) -> _Seen:
    """The kind of values[:stop] - limit, as far as it exceeds ``least``."""
    r = values[:stop] - limit
    kept = np.flatnonzero(r > least)
    if not len(kept):
        return _undecided("no value differs from the limit by more than rounding", limit)
    k, y = kept + 1.0, np.log(r[kept])
    sight = math.log(max(least, UNDERFLOW)) if ended else None
    finding, used_k, used_y = find_kind(k, y, sight, certain=certain)
    breaks = np.flatnonzero(np.diff(kept) != 1)
    return _Seen(rate_of_finding(finding, used_k, used_y, y[: breaks[0] + 1] if len(breaks) else y, limit), finding)


def rate_of_finding(finding: Finding, k: np.ndarray, y: np.ndarray, steps: np.ndarray, limit: float) -> Rate:
    """Figures beside the kind: q, order, power, the two tests.

    Args:
        finding: The kind and its law.
        k: Indices that it rests on, shape (n,).
        y: Logarithms of r_k there, shape (n,).
        steps: Logarithms of r_k for consecutive k.
        limit: What was subtracted.

    """
    root = ratios = q = power = None
    if len(k) > 1:
        half = min(int(np.argmin(np.abs(k - 0.5 * (k[0] + k[-1])))), len(k) - 2)
        root = math.exp((y[-1] - y[half]) / (k[-1] - k[half]))
    if len(steps) > 1:
        late = np.diff(steps)[(len(steps) - 1) // 2 :]
        ratios = (math.exp(late.min()), math.exp(late.max()))
    fit, end = finding.fit, float(k[-1])
    if finding.kind is RateKind.LINEAR and fit is not None:
        # Adequate on the whole record, the law's own q; else the slope where the record ends.
        q = math.exp(float(fit.coefficients[0]) if finding.whole else -fit.slope(end))
    elif finding.kind is RateKind.SUBLINEAR and fit is not None:
        q, power = 1.0, _power(fit, end, finding.whole)
    elif finding.kind in (RateKind.SUPERLINEAR, RateKind.QUADRATIC):
        q = 0.0
    confidence = finding.confidence * (1 - 1 / (len(k) + 2))  # 30 values say more than 5
    return Rate(finding.kind, q, finding.order, power, None, None, limit, confidence, root, ratios, finding.why)


def _power(fit: Fit, end: float, whole: bool) -> float:
    if fit.law.name.startswith("exp"):
        return math.inf
    power = -float(fit.coefficients[0]) if whole else end * fit.slope(end)
    return power if power > SLOWEST else 0.0
