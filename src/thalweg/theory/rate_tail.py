"""The kind of a sequence that goes to zero, from its logarithms: windows of the record, laws fitted to each."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from thalweg.theory.rate_bend import bend
from thalweg.theory.rate_kinds import RateKind
from thalweg.theory.rate_laws import STRAIGHT, Fit, cost, fit_laws, noise, weigh

#: Fewest values that say anything, and the most that are fitted: longer windows are averaged in blocks.
FEWEST, MOST = 4, 150
#: Noise of log r_k below which its mean over a block says less than one value.
SMOOTH = 1e-4
#: Rise of log r_k, seen from a later value, beyond which only the values that no later one exceeds are used: noise of
#: 3% (30 dB) rises by .2, a factor 1.35 is more.
RISE = 0.3
#: Share of the evidence that decides, and the range of y it takes, in residuals: on the whole window, on a part of it.
DECIDES, CLEAR, CLEAR_PART = 0.9, 25.0, 8.0
#: Residual above which a law that is not adequate has to explain as much as one that is, but for the few values of a
#: superlinear sequence, whose steps may be erratic.
ROUGH = 0.4
#: Residual, in multiples of the noise, up to which a law counts as the whole truth about a window: so much for many
#: values, and more for n, since n values measure their noise to a share of 1/sqrt(n).
ADEQUATE, ADEQUATE_FEW = 1.3, 4.0
#: Independent observations in a window whose residuals are not noise but waves.
WAVES = 6.0
#: Range of y (a factor 20) below which nothing is called superlinear.
SUPERLINEAR_RANGE = 3.0
#: Of a part of a record, the local power k |dy/dk| above which it is not called sublinear, and the bend
#: d log(slope) / d log k below which it is not called superlinear: a short piece of a line looks like that.
LOCAL_POWER, PART_BEND = 12.0, 0.3
#: Ratio of the fall at the end of a superlinear part to the fastest before the part.
FASTER = 1.2
#: Values of a window from which on a law that may not decide does not keep others from it, unless it is superlinear and
#: its residual such a share of a linear one's.
MANY, CLOSER = 12, 0.7
#: Fewest values of a part that is called superlinear.
PART_FEWEST = 6
#: Under order two each fall of y is twice the one before, the last half of all. The ratios that count for it,
#: the least last fall and its least share of all (under the secant method's order 1.618 it is .38). After a long slow
#: start the share is less: then the last two ratios themselves must be near two.
ORDER_TWO, LAST_FALL, LAST_SHARE = (1.5, 2.75), 3.0, 0.42
SLOW_SHARE, LAST_RATIO, RATIO_BEFORE = 0.27, (1.8, 2.3), 1.5
#: The last fall of three values alone, if the next has fallen out of sight, from which on nothing else makes it, and
#: the ratio then, less because the first of so large steps is as long as the start allows.
OF_THREE, EARLY = 7.0, 1.35
#: Within what share ratios or differences of falls are the same, so that the sequence has another order than two.
STEADY, OTHER = 0.02, 0.25
#: Nats above what can be resolved within which a value is half lost.
HALF_LOST = 2.5
#: The least last fall to rounding, and the least in steps as long as the longest, after which a sequence has ended.
LAST_DROP, LAST_DROPS = 12.0, 4.0
#: Share of steps that change nothing from which on only the last of equal values are used.
REPEATED = 0.2
#: Shorter records with residuals above that many nats, and falls that jump by this share of their mean, are neither
#: one nor the other.
SHORT, UNEVEN_RESIDUAL, UNEVEN = 150, 0.15, 0.08
#: Confidence in a superlinear sequence that follows no law.
BY_BEND = 0.65


@dataclass(frozen=True, slots=True)
class Finding:
    """What a window says.

    Attributes:
        kind: Sublinear, linear, superlinear, quadratic or undecided.
        confidence: Its share of the evidence.
        why: The evidence.
        fit: The law that fits best; None where no law was needed.
        whole: Whether that law is adequate on the whole record.
        order: Of a superlinear sequence.

    """

    kind: RateKind
    confidence: float
    why: str
    fit: Fit | None = None
    whole: bool = False
    order: float | None = None


def find_kind(
    k: np.ndarray, y: np.ndarray, sight: float | None = None, *, certain: bool = False
) -> tuple[Finding, np.ndarray, np.ndarray]:
    """Decide the kind of exp(y_k).

    Args:
        k: Indices from 1, increasing, shape (n,).
        y: Logarithms of r_k, shape (n,).
        sight: Logarithm of what can be resolved, if the value right after the last one fell below it.
        certain: Whether the limit is one that was given, not where the values happen to stay.

    Returns:
        What was found, and the k and y of the values it rests on.

    """
    k, y, rise = _envelope(k, y)
    # The last value may be half lost in rounding, which cuts the last fall short.
    lost = sight is not None and len(y) > 3 and y[-1] - sight < HALF_LOST
    for count in (len(y), len(y) - 1) if lost else (len(y),):
        quadratic = _quadratic_end(y[:count], sight if count == len(y) else y[-1]) if rise <= RISE else None
        if quadratic is not None:
            return quadratic, k[:count], y[:count]
    if len(y) > 1 and np.ptp(y) < 1e-9:
        return Finding(RateKind.UNDECIDED, 0.0, "the largest values are all the same and do not fall"), k, y
    sudden = _sudden_end(y, sight) if certain and rise <= RISE else None
    if sudden is not None and len(y) < FEWEST:
        return sudden, k, y
    if len(y) < FEWEST:
        few = (
            f"{len(y)} value{'s' * (len(y) != 1)} above what can be resolved {'say' if len(y) != 1 else 'says'} nothing"
        )
        return Finding(RateKind.UNDECIDED, 0.0, few), k, y
    finding = _weigh_windows(k, y)
    if sudden is not None and finding.kind is not RateKind.SUPERLINEAR:
        return sudden, k, y
    if finding.kind is RateKind.LINEAR and rise <= RISE and len(y) < SHORT:
        why = uneven(k, y) if finding.fit is not None and finding.fit.residual > UNEVEN_RESIDUAL else ""
        finding = Finding(RateKind.UNDECIDED, 0.5, why) if why else finding
    if finding.kind is RateKind.UNDECIDED and rise <= RISE:
        why = bend(k, y)
        finding = Finding(RateKind.SUPERLINEAR, BY_BEND, why, order=1.0) if why else finding
    return finding, k, y


def uneven(k: np.ndarray, y: np.ndarray) -> str:
    """Words for falls of a short record that are too unlike each other for one factor, or nothing.

    Args:
        k: Indices, shape (n,).
        y: Logarithms of r_k, shape (n,).

    """
    late = slice(len(y) // 3, None)
    falls = -np.diff(y[late]) / np.diff(k[late])
    if len(y) >= SHORT or noise(k[late], y[late]) <= UNEVEN * falls.mean():
        return ""
    low, high = math.exp(-falls.max()), math.exp(-falls.min())
    return f"every step falls, by factors between {low:.2g} and {high:.2g} that neither settle nor keep falling"


def decades(y: np.ndarray) -> float:
    """Decades between the largest and the smallest value."""
    return float(np.ptp(y)) / math.log(10)


def thinned(k: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """At most ``MOST`` values, shapes (m,): means of blocks, or every so many of a curve without noise.

    Args:
        k: Shape (n,).
        y: Shape (n,).

    """
    if len(k) <= MOST:
        return k, y
    if noise(k, y) < SMOOTH:
        kept = np.unique(np.round(np.linspace(0, len(k) - 1, MOST)).astype(int))
        return k[kept], y[kept]
    edges = np.linspace(0, len(k), MOST + 1).astype(int)
    counts = np.diff(edges)
    return np.add.reduceat(k, edges[:-1]) / counts, np.add.reduceat(y, edges[:-1]) / counts


def _envelope(k: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """All values if they fall up to noise, else those that no later one exceeds; and the largest rise."""

    def bound_later(y: np.ndarray) -> np.ndarray:
        return np.maximum.accumulate(y[::-1])[::-1]

    if len(y) > 1 and np.mean(np.diff(y) == 0) > REPEATED:
        last = np.append(np.diff(y) != 0, True)
        k, y = k[last], y[last]

    above = bound_later(y)
    rise = float((above - y).max()) if len(y) else 0.0
    start = int(np.argmax(y)) if len(y) else 0
    if rise > RISE and 0 < start < len(y) / 2:  # what grows first, such as k^3 q^k, is judged from its peak on
        k, y, above = k[start:], y[start:], above[start:]
        rise = float((above - y).max())
    if rise <= RISE:
        return k, y, rise
    top = np.flatnonzero(y >= above)
    gaps = np.diff(top)
    # The last values have no later ones that could exceed them: one period is left out.
    kept = top[top <= len(y) - gaps.max()] if len(gaps) and gaps.max() > 1 else top
    top = kept if len(kept) >= FEWEST else top
    return k[top], y[top], rise


def _quadratic_end(y: np.ndarray, sight: float | None) -> Finding | None:
    """Order two shows in the last falls of y: each is twice the one before, and the last one half of all."""
    falls = -np.diff(y)
    if len(falls) < 2 or falls[-1] < LAST_FALL or falls[-2] <= 0:
        return None
    last, share = float(falls[-1] / falls[-2]), float(falls[-1] / (y.max() - y[-1]))
    alone = len(falls) == 2 and falls[-1] >= OF_THREE
    if not (EARLY if alone else ORDER_TWO[0]) <= last <= ORDER_TWO[1] or share < SLOW_SHARE:
        return None
    why = f"the logarithm of the last {min(len(y), 4)} values falls by {last:.2f} times as much each step"
    if len(falls) == 2:
        hidden = 0.0 if sight is None else float(y[-1] - sight) / float(falls[-1])
        if share < LAST_SHARE or sight is None or not (alone or hidden >= ORDER_TWO[0]):
            return None
        why = f"3 values alone: {why}, and the next by more than {hidden:.2f} times as much"
        return Finding(RateKind.QUADRATIC, 0.6, why, order=last)
    before = float(falls[-2] / falls[-3]) if falls[-3] > 0 else math.inf
    sure = LAST_RATIO[0] <= last <= LAST_RATIO[1]
    if _other_order(falls) or (share < LAST_SHARE and not (sure and RATIO_BEFORE <= before <= ORDER_TWO[1])):
        return None
    why = f"{why} ({before:.2f} before)" if before < ORDER_TWO[1] else why
    confidence = 0.7 if not sure else 0.95 if LAST_RATIO[0] <= before <= LAST_RATIO[1] else 0.85
    return Finding(RateKind.QUADRATIC, confidence, why, order=last)


def _other_order(falls: np.ndarray) -> bool:
    """Whether falls grow by the same factor, which is not two, or by the same amount, as those of q^(k^2) do."""
    ratios, gains = falls[-2:] / falls[-3:-1], np.diff(falls)
    steady = bool(falls[-3] > 0 and np.ptp(ratios) < STEADY * ratios[-1] and abs(ratios[-1] - 2) > OTHER)
    return steady or bool(np.ptp(gains) < STEADY * np.abs(gains).max())


def _sudden_end(y: np.ndarray, sight: float | None) -> Finding | None:
    """A last step out of sight, beside which all before were short: the sequence ends after finitely many."""
    if sight is None or not len(y):
        return None
    drop = float(y[-1]) - sight
    if drop < LAST_DROP or (len(y) > 1 and drop < LAST_DROPS * float(-np.diff(y).min())):
        return None
    why = f"it falls from {math.exp(y[-1]):.2g} to what rounding leaves in one step: it ends after finitely many"
    return Finding(RateKind.SUPERLINEAR, 0.9 if len(y) >= FEWEST else 0.6, why)


def _windows(k: np.ndarray, y: np.ndarray) -> Iterator[np.ndarray]:
    """Masks: the whole, the last three, two and one quarters in k, the last half and third in y."""
    yield np.ones(len(k), dtype=bool)
    for share in (0.25, 0.5, 0.75):
        yield k >= k[0] - 1 + share * (k[-1] - k[0] + 1)
    for share in (0.5, 0.67):
        below = int(np.argmax(y < y.max() - share * np.ptp(y)))
        yield np.arange(len(k)) >= below - 1


def _weigh_windows(k: np.ndarray, y: np.ndarray) -> Finding:
    """The first window on which a law is adequate decides; short of one, what the later windows agree on."""
    seen: list[Finding] = []
    for mask in _windows(k, y):
        if mask.sum() < FEWEST:
            continue
        window_k, window_y = thinned(k[mask], y[mask])
        spread = float(np.ptp(window_y))
        whole = bool(mask.all())
        fits = fit_laws(window_k, window_y)
        outruns = _outruns(k, y, int(np.argmax(mask)))
        may = {fit.law.name: believable(fit, window_k, spread, whole, outruns) for fit in fits}
        if len(window_k) >= MANY:
            close = CLOSER * min((fit.residual for fit in fits if fit.law.kind is RateKind.LINEAR), default=0.0)
            fits = [fit for fit in fits if may[fit.law.name] or (_is_superlinear(fit) and fit.residual < close)]
        if not fits:
            continue
        level = noise(window_k, window_y)
        residual = min(fit.residual for fit in fits)
        adequate = is_adequate(residual, window_k, window_y)
        count = len(window_k) if adequate else max(min(len(window_k), WAVES), len(window_k) * (level / residual) ** 2)
        shares = weigh(fits, count, spread)
        kind = max(shares, key=lambda kind: shares[kind][0])
        share, fit = shares[kind]
        clear = is_clear(fit, spread, adequate, int(mask.sum()))
        why = _evidence(fit, fits, window_y, int(mask.sum()), whole)
        finding = Finding(kind, share, why, fit, bool(adequate and whole), _order(fit, kind))
        decided = [other for other in seen if other.kind is not RateKind.UNDECIDED]
        if not may[fit.law.name]:
            seen.append(Finding(RateKind.UNDECIDED, share, why, fit))
            continue
        if adequate:
            if clear and (share > DECIDES or (share > 0.6 and decided and {o.kind for o in decided} == {kind})):
                return finding
            # Too short to decide by itself, it does not take back what was seen before.
            if len({other.kind for other in decided}) == 1 and decided[-1].kind in (kind, RateKind.SUPERLINEAR):
                return replace(decided[-1], confidence=0.85 * decided[-1].confidence)
            why = f"{why}, which does not tell it from {_others(shares, kind)}"
            return Finding(RateKind.UNDECIDED, share, why, fit, whole)
        seen.append(finding if share > DECIDES and clear else Finding(RateKind.UNDECIDED, share, why, fit))
    decided = [finding for finding in seen if finding.kind is not RateKind.UNDECIDED]
    if not decided:
        why = seen[-1].why if seen else "no law of any kind fits"
        return Finding(RateKind.UNDECIDED, 0.0, f"{why}, but no kind stands out")
    last = decided[-1]
    agreed = {finding.kind for finding in decided if finding is not decided[0]} <= {last.kind}
    if not agreed and last.kind is not RateKind.SUPERLINEAR:
        kinds = " and ".join(dict.fromkeys(str(finding.kind) for finding in decided))
        return Finding(RateKind.UNDECIDED, 0.0, f"parts of it look {kinds}")
    certain = {finding.kind for finding in decided} == {last.kind}
    return Finding(last.kind, last.confidence * (1.0 if certain else 0.85), last.why, last.fit, False, last.order)


def _outruns(k: np.ndarray, y: np.ndarray, start: int) -> bool:
    """Whether y falls faster at its end than anywhere before a window: a wave falls as fast each time."""
    steps = min((len(y) - start) // 3, start)
    if steps < 1:
        return True
    slopes = (y[:-steps] - y[steps:]) / (k[steps:] - k[:-steps])
    return bool(slopes[-1] > FASTER * slopes[: start - steps + 1].max())


def _is_superlinear(fit: Fit) -> bool:
    return fit.law.kind is RateKind.SUPERLINEAR


def believable(fit: Fit, k: np.ndarray, spread: float, whole: bool, outruns: bool = True) -> bool:
    """Whether a fit may decide, for a part of a record as for the whole.

    Args:
        fit: The fit.
        k: Indices of its window.
        spread: Range of y.
        whole: Whether the window is the whole record.
        outruns: Whether the record falls faster at its end than before the window.

    """
    end, middle = float(k[-1]), 0.5 * float(k[0] + k[-1])
    if _is_superlinear(fit):
        bend = math.log(fit.slope(end) / fit.slope(middle)) / math.log(end / middle)
        part = outruns and bend > PART_BEND and len(k) >= PART_FEWEST
        return spread >= SUPERLINEAR_RANGE and (whole or part)
    return whole or fit.law.kind is not RateKind.SUBLINEAR or end * fit.slope(end) <= LOCAL_POWER


def is_adequate(residual: float, k: np.ndarray, y: np.ndarray) -> bool:
    """Whether residuals are no larger than the noise.

    Args:
        residual: Root of the mean squared residual of a fit to these data.
        k: Shape (n,).
        y: Shape (n,).

    """
    return residual <= ADEQUATE * (1 + ADEQUATE_FEW / math.sqrt(len(y))) * noise(k, y) + 1e-6 * float(np.ptp(y))


def is_clear(fit: Fit, spread: float, adequate: bool, count: int) -> bool:
    """Whether y falls by enough, beside the residuals, to say how.

    Args:
        fit: The best fit.
        spread: Range of y.
        adequate: Whether its residuals are noise.
        count: How many values were fitted.

    """
    if adequate or fit.residual > ROUGH:
        few = not adequate and _is_superlinear(fit) and count < SHORT
        return spread >= (CLEAR_PART if few else CLEAR) * fit.residual
    return spread >= CLEAR_PART * fit.residual


def _order(fit: Fit, kind: RateKind) -> float | None:
    if kind is not RateKind.SUPERLINEAR:
        return None
    return fit.t if fit.law.name.endswith(("(p^k)", "(2^k)")) else 1.0


def _others(shares: dict[RateKind, tuple[float, Fit]], kind: RateKind) -> str:
    others = sorted((-share, str(other), fit) for other, (share, fit) in shares.items() if other is not kind)
    return " or ".join(f"{fit.law.name} ({name})" for _, name, fit in others[:1]) or "noise"


def _evidence(fit: Fit, fits: list[Fit], y: np.ndarray, count: int, whole: bool) -> str:
    spread = f"{'' if whole else 'the last '}{count} values over {decades(y):.2g} decades"
    straight = next((other for other in fits if other.law is STRAIGHT), None)
    beside = ""
    if fit.law.kind is not RateKind.LINEAR and straight is not None:
        beside = f", q^k to {_share(straight.residual)}"
    elif fit.law.kind is RateKind.LINEAR:
        rival = min(
            (other for other in fits if other.law.kind is not RateKind.LINEAR),
            key=lambda other: cost(other.residual, other.law.parameters, count, 1.0),
            default=None,
        )
        beside = f", {rival.law.name} to {_share(rival.residual)}" if rival else ""
    return f"{fit.law.name} fits {spread} to {_share(fit.residual)}{beside}"


def _share(residual: float) -> str:
    """A residual of a logarithm as a share of the value."""
    return (
        "rounding"
        if residual < 1e-9
        else f"{math.expm1(min(residual, 20.0)):.1%}"
        if residual < 1
        else f"a factor {math.exp(min(residual, 600.0)):.2g}"
    )
