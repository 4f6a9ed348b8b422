"""The rate of a sequence whose every term can be computed: limits read off at k up to 2^128.

With g(k) = -log r_k, the kind is the growth of g beside k: slower is sublinear, like c k is linear with q = exp(-c),
faster is superlinear, and of order p where g(k+1)/g(k) tends to p > 1. Limits that are approached like 1/log k need k
to be squared to see them move, so g is compared at k, sqrt(k) and sqrt(sqrt(k)). Where terms lose their digits sooner,
as those of 1 - tanh(k) do, they are a record without noise, and judged as one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from decimal import Decimal

import numpy as np

from thalweg.core.errors import InputError
from thalweg.theory.rate_formula import Terms
from thalweg.theory.rate_kinds import Rate, RateKind
from thalweg.theory.rate_numbers import CONTEXT, Lost
from thalweg.theory.rate_series import rate_of_finding
from thalweg.theory.rate_tail import find_kind

#: Consecutive k that are looked at around each k, so that what alternates or oscillates shows its largest values.
WINDOW = 6
#: Powers of two at which it is looked at.
POWERS = (*range(41), *range(44, 129, 4))
#: How much of a distance from a limit is left when k is squared: half of what goes like 1/log k, .84 of what goes like
#: 1/log log k, which is taken for not going at all; between them nothing is said.
GOES, STAYS = 0.6, 0.75
#: A slope is that of a line if it changes by less than this share when k is squared.
LINE = 1e-9
#: Largest k and g up to which terms are judged as a record, and the most terms that takes.
RECORD, RECORD_G, TERMS = 4096, 1e7, 400
#: Smallest k at which a negative term is an error: sequences such as 1/log(log(k)) begin late.
BEGUN = 64
#: What a computed limit is worth: it is not a proof.
COMPUTED, SLOWLY = 0.99, 0.8


@dataclass(frozen=True, slots=True)
class _Sample:
    """g around one k.

    Attributes:
        k: The first index of the window.
        g: Smallest g in the window: the largest r_k.
        spread: Largest g less the smallest; infinite if a term is zero.
        ratios: Least and largest r_{k+1}/r_k, if they have digits.

    """

    k: int
    g: Decimal
    spread: float
    ratios: tuple[float, float] | None

    def at(self) -> str:
        """K as it is written."""
        return f"{self.k}" if self.k < 10**6 else f"{float(self.k):.1e}"


def rate_of_terms(terms: Terms, limit: float = 0.0) -> Rate:
    """Classify r_k = terms(k) - limit.

    Args:
        terms: The terms, for whole k from 1.
        limit: What they should tend to.

    Raises:
        InputError: Terms lie below the limit.

    """
    rate = _classified(lambda k: terms(k) - limit if limit else terms(k))
    if rate.kind is not RateKind.UNDECIDED or rate.floor is None:
        return Rate(**{**vars(rate), "limit": limit})
    # It settles above the limit: how fast, its own differences tell.
    steps = _classified(lambda k: abs(terms(k) - terms(k + 1)))
    kind = RateKind.FLOOR if steps.kind is RateKind.LINEAR else steps.kind
    where = f"it tends to {rate.floor + limit:.6g}, not to {limit:.6g}"
    if kind is RateKind.UNDECIDED:
        return Rate(kind, limit=limit, root_test=rate.root_test, ratio_test=rate.ratio_test, why=where)
    power, why = _power_of_sum(terms, steps.power), f"{where}, and of its steps {steps.why}"
    return replace(steps, kind=kind, power=power, floor=rate.floor, floor_error=0.0, limit=limit, why=why)


def _power_of_sum(terms: Terms, power: float | None) -> float | None:
    """The power of r_k - lim r from that of its steps: one less, unless they alternate."""
    if power is None:
        return None
    signs = {(terms(k) - terms(k + 1)).sign for k in range(2**12, 2**12 + WINDOW)}
    return power if len(signs) > 1 else max(power - 1, 0.0)


def _classified(terms: Terms) -> Rate:
    samples = [sample for sample in (_sample(terms, 2**power) for power in POWERS) if sample is not None]
    if len(samples) < 5:
        samples = [sample for sample in (_sample(terms, k) for k in range(1, 41)) if sample is not None]
    if len(samples) < 5:
        return Rate(RateKind.UNDECIDED, why="too few terms can be computed")
    last = samples[-1]
    if last.g.is_infinite():
        return Rate(RateKind.UNDECIDED, why="every term is exactly zero from some k on")
    half, quarter = _near(samples, math.sqrt(last.k)), _near(samples, last.k**0.25)
    if half is quarter or half is last:
        half, quarter = samples[-3], samples[0]
    ratios = next((sample.ratios for sample in reversed(samples) if sample.ratios), None)
    mean = _over(last.g, last.k)
    root = _exp(-mean)
    unsettled = _not_to_zero(samples, last, half, quarter)
    if unsettled is not None:
        floor, why = unsettled
        return Rate(RateKind.UNDECIDED, floor=floor, root_test=root, ratio_test=ratios, why=why)
    if last.k < RECORD and last.g < RECORD_G:
        return _of_record(terms, last.k)
    slope, before = _rise(last, half), _rise(half, quarter)
    # Exponents of g: d log g / d log k over the last squaring of k and the one before.
    off = (_exponent(last, half) - 1) * math.log(last.k)
    earlier = (_exponent(half, quarter) - 1) * math.log(half.k)
    if 0 < slope < 1e290 and abs(slope - before) <= LINE * slope:
        why = f"r_k^(1/k) is {_exp(-slope):.6g} at k = {last.at()} and no longer moves"
        return Rate(RateKind.LINEAR, _exp(-slope), None, None, None, None, 0.0, COMPUTED, root, ratios, why)
    if abs(off) < 0.5 and abs(off) < GOES * abs(earlier):
        q = _exp(-(2 * mean - _over(half.g, half.k)))
        why = f"r_k^(1/k) is {root:.6g} at k = {last.at()} and slowly tends to {q:.6g}"
        return Rate(RateKind.LINEAR, q, None, None, None, None, 0.0, SLOWLY, root, ratios, why)
    if abs(off) < 0.5 and abs(off) < STAYS * abs(earlier):
        why = f"r_k^(1/k) still moves at k = {last.at()}, where it is {root:.6g}"
        return Rate(RateKind.UNDECIDED, root_test=root, ratio_test=ratios, why=why)
    if off < 0:
        power = _power(last, half, quarter)
        words = {0.0: "slower than every power of k", math.inf: "faster than every power of k"}
        said = words.get(power, f"like 1/k^{power:.4g}")
        why = f"r_k^(1/k) tends to 1 ({root:.6g} at k = {last.at()}), r_k falls {said}"
        return Rate(RateKind.SUBLINEAR, 1.0, None, power, None, None, 0.0, COMPUTED, root, ratios, why)
    order = _order(samples)
    kind = RateKind.QUADRATIC if abs(order - 2) < 0.01 else RateKind.SUPERLINEAR
    exponent = _exponent(last, half)
    grows = f"like k^{exponent:.3g}" if exponent < 1000 else "faster than every power of k"
    if order > 1:
        grows = f"by a factor of {order:.4g} a step" if order < math.inf else "by ever larger factors"
    why = f"r_k^(1/k) tends to 0: log(1/r_k) grows {grows}"
    return Rate(kind, 0.0, order, None, None, None, 0.0, COMPUTED, root, ratios, why)


def _of_record(terms: Terms, last: int) -> Rate:
    """The rate of the terms as far as they have digits."""
    known = []
    for k in range(1, min(last + WINDOW, TERMS)):
        try:
            term = terms(k)
        except Lost:
            continue
        if term.sign > 0:
            known.append((float(k), float(term.log)))
    k, y = np.array(known).T
    finding, used_k, used_y = find_kind(k, y)
    return rate_of_finding(finding, used_k, used_y, y, 0.0)


def _sample(terms: Terms, k: int) -> _Sample | None:
    values: list[tuple[Decimal, float] | None] = []
    for index in range(k, k + WINDOW):
        try:
            term = terms(index)
        except Lost:
            values.append(None)
            continue
        if term.sign < 0 and index >= BEGUN:
            raise InputError(f"the term at k={index} is negative", "give distances: abs(...) of it, or a lower limit")
        if term.sign < 0:
            values.append(None)
            continue
        values.append((CONTEXT.minus(term.log), term.error) if term.sign else (Decimal("Infinity"), 0.0))
    known = [value for value in values if value is not None]
    if not known or any(error > 1e-6 * max(abs(float(g)), 1.0) for g, error in known if g.is_finite() and g < 10**300):
        return None
    falls = [
        (float(CONTEXT.subtract(b[0], a[0])), a[1] + b[1])
        for a, b in zip(values, values[1:], strict=False)
        if a is not None and b is not None and a[0].is_finite() and b[0].is_finite()
    ]
    ratios = None
    if len(falls) == WINDOW - 1 and all(error < 1e-6 for _, error in falls):
        ratios = (_exp(-max(fall for fall, _ in falls)), _exp(-min(fall for fall, _ in falls)))
    finite = [g for g, _ in known]
    spread = float(CONTEXT.subtract(max(finite), min(finite))) if min(finite).is_finite() else 0.0
    return _Sample(k, min(finite), spread, ratios)


def _exp(x: float) -> float:
    return math.exp(min(x, 700.0))


def _near(samples: list[_Sample], k: float) -> _Sample:
    return min(samples, key=lambda sample: abs(math.log(sample.k / k)))


def _over(g: Decimal, k: int) -> float:
    """G / k as a float, of the largest size there is if it is larger."""
    ratio = CONTEXT.divide(g, Decimal(k))
    return math.copysign(1e300, ratio) if ratio.adjusted() > 299 else float(ratio)


def _rise(late: _Sample, early: _Sample) -> float:
    """D g / d k between two samples."""
    return _over(CONTEXT.subtract(late.g, early.g), late.k - early.k)


def _exponent(late: _Sample, early: _Sample) -> float:
    """D log g / d log k between two samples with positive g."""
    if early.g <= 0:
        return math.inf
    return float(CONTEXT.ln(CONTEXT.divide(late.g, early.g))) / math.log(late.k / early.k)


def _not_to_zero(
    samples: list[_Sample], last: _Sample, half: _Sample, quarter: _Sample
) -> tuple[float | None, str] | None:
    """Why the terms do not go to zero, with what they go to; None if they do."""
    rise, before = (float(CONTEXT.subtract(a.g, b.g)) for a, b in ((last, half), (half, quarter)))
    size = f"{_exp(-float(last.g)):.6g}" if last.g > -700 else "beyond 1e300"
    if last.g < 0 and (rise < -1 or (rise < -1e-9 and rise <= STAYS * before)):
        return None, f"diverging: r_k is {size} at k = {last.at()} and grows"
    if last.g > 30 and rise > 0:
        return None
    lowest = [sample for sample in samples if sample.k >= 4]
    climbs = all(b.g > a.g for a, b in zip(lowest, lowest[1:], strict=False))
    if climbs and rise >= STAYS * before and rise > 1e-9:
        return None
    value = _exp(-float(last.g))
    if last.spread > 1e-6:
        low = _exp(-float(last.g) - last.spread)
        return None, f"r_k keeps varying between {low:.4g} and {value:.4g} at k = {last.at()} and does not go to zero"
    return value, f"r_k tends to {value:.6g}, not to zero"


def _power(last: _Sample, half: _Sample, quarter: _Sample) -> float:
    """Lim g / log k, extrapolated as what is approached like 1/log k."""
    late, early = (float(CONTEXT.subtract(a.g, b.g)) / math.log(a.k / b.k) for a, b in ((last, half), (half, quarter)))
    if late >= 1.3 * early:
        return math.inf
    if late <= 0.7 * early:
        return 0.0
    return 2 * late - early


def _order(samples: list[_Sample]) -> float:
    """Lim g(k+1)/g(k): the growth of log g per step, where it settles."""
    usable = [sample for sample in samples if sample.g > 0 and sample.g.is_finite()]
    middle = usable.index(_near(usable, math.sqrt(usable[-1].k)))
    late, early = (
        _rise(_Sample(b.k, CONTEXT.ln(b.g), 0.0, None), _Sample(a.k, CONTEXT.ln(a.g), 0.0, None))
        for a, b in ((usable[-2], usable[-1]), (usable[max(middle - 1, 0)], usable[max(middle, 1)]))
    )
    if late > 1.2 * early:
        return math.inf
    return math.exp(late) if late > 0.999 * early and late > 1e-12 else 1.0
