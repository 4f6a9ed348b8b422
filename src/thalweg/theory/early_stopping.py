"""Early stopping as regularization: the penalty, the threshold or the number of steps that filter alike.

Source: Yao, Rosasco, Caponnetto, Constr. Approx. 26 (2007), 289-315; Ali, Kolter, Tibshirani, AISTATS 2019.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import brentq

from thalweg.core.check import checked_number
from thalweg.core.errors import InputError
from thalweg.theory.shrinkage import (
    Filter,
    GradientDescentFilter,
    MomentumFilter,
    RidgeFilter,
    TruncationFilter,
    checked_filters,
    distinct,
    truncation_filter,
)
from thalweg.theory.spectral import checked_array, checked_scale, checked_steps

_CRITERIA = {
    "half": "both keep half of a direction at the same singular value, the threshold of a truncation",
    "slope": "both keep the same share time * s^2 of directions with small s; 1/t^2 stands for a threshold t",
    "degrees of freedom": "the sums of m over the singular values given are equal",
}
#: Steps are enough when they fall short by no more than this share, which is rounding.
_EQUAL = 1e-12
#: No more steps than a float can tell apart are answered.
_MOST_STEPS = 2**53


@dataclass(frozen=True)
class FilterMatch:
    """Two filters that regularize alike, and how well.

    Attributes:
        given: The filter asked about.
        found: The filter that matches it.
        criterion: What is equal in both.
        half_points: The singular values at which they keep a half.
        degrees_of_freedom: Of both, on the singular values given.
        difference: The largest |m_given - m_found| on the singular values given.
        supremum: The same over all of [0, s_max]; None unless one is gradient descent at most at the step 1/s_max^2
            and the other ridge, where two roots decide it.
        assumptions: What the numbers rest on.

    """

    given: Filter
    found: Filter
    criterion: str
    half_points: tuple[float, float]
    degrees_of_freedom: tuple[float, float]
    difference: float
    supremum: float | None
    assumptions: tuple[str, ...]

    def __str__(self) -> str:
        bound = "" if self.supremum is None else f", {self.supremum:.3g} on all of [0, s_max]"
        return (
            f"{self.given}\n  is matched by {self.found}\n"
            f"  criterion             {self.criterion}: {_CRITERIA[self.criterion]}\n"
            f"  half is kept at       s = {self.half_points[0]:.4g} and {self.half_points[1]:.4g}\n"
            f"  degrees of freedom    {self.degrees_of_freedom[0]:.4g} and {self.degrees_of_freedom[1]:.4g}\n"
            f"  largest difference    {self.difference:.3g} on the singular values given{bound}\n"
            f"  assumed               {'; '.join(self.assumptions)}"
        )


def half_point(given: Filter) -> float:
    """The smallest singular value of which a filter keeps half: the threshold that it stands for.

    Up to there m rises for every filter here: 1 - m is a product of (1 - s^2/theta_i), or a power of 1/(1 + s^2/ridge),
    so that 1 - T s^2 <= 1 - m <= 1/(1 + T s^2) with T the filter's time, and m(s) = 1/2 for one s between
    sqrt(1/(2T)) and sqrt(1/T). Closed forms: sqrt(ridge); sqrt((1 - 2^(-1/q))/step_size) for q steps of descent.

    Args:
        given: The filter; steps of a `ScheduleFilter` must be of the kind above, as constant ones and those of
            conjugate gradients are.

    Raises:
        InputError: If it keeps nothing, or everything, or does not pass 1/2 in that range.

    """
    checked_filters("given", [given])
    if isinstance(given, TruncationFilter):
        return given.threshold
    time = _checked_time(given)
    low, high = math.sqrt(0.5 / time) * (1 - 1e-12), math.sqrt(1 / time) * (1 + 1e-12)
    ends = given.shrinkage([low, high])
    if not ends[0] <= 0.5 <= ends[1]:
        raise InputError(f"{given!r} does not pass 1/2 where its slope says", "use constant steps that are stable")
    return float(brentq(lambda s: float(given.shrinkage(s)) - 0.5, low, high, xtol=1e-15 * low))


def largest_difference(first: Filter, second: Filter, s: Any) -> float:
    """The largest |m_first - m_second| on some singular values.

    Args:
        first: A filter.
        second: Another.
        s: Singular values.

    """
    values = checked_array("s", s, negative=False)
    return float(np.abs(first.shrinkage(values) - second.shrinkage(values)).max(initial=0.0))


def match_ridge(given: Filter, s: Any, criterion: str = "half") -> FilterMatch:
    """The ridge penalty that regularizes like a filter.

    Args:
        given: The filter, for instance some steps of gradient descent.
        s: Singular values of the data, shape (r,).
        criterion: "half", "slope" (ridge = 1/time: 1/(step_size q) for q steps of descent) or "degrees of freedom".

    Raises:
        InputError: If no penalty does.

    """
    values = _checked_spectrum(s)
    if _checked_criterion(criterion) == "half":
        ridge = half_point(given) ** 2
    elif criterion == "slope":
        _checked_time(given)
        ridge = 1 / given.time
    else:
        wanted = _wanted_degrees(given, values)

        def excess(log: float) -> float:
            return RidgeFilter(math.exp(log)).degrees_of_freedom(values) - wanted

        # sum s^2/(s^2 + ridge) lies between r s_min^2/(s_min^2 + ridge) and r s_max^2/(s_max^2 + ridge)
        odds = math.log(len(values) / wanted - 1)
        low, high = (2 * math.log(float(end)) + odds for end in (values.min(), values.max()))
        ridge = math.exp(brentq(excess, low - 1, high + 1, xtol=1e-14))
    return _match(given, RidgeFilter(ridge), criterion, values)


def match_truncation(given: Filter, s: Any, criterion: str = "half") -> FilterMatch:
    """The truncation of the singular values that regularizes like a filter.

    Args:
        given: The filter.
        s: Singular values of the data, shape (r,).
        criterion: "half", "slope" or "degrees of freedom": the nearest number of components, at least one, that keeps
            equal singular values together.

    Raises:
        InputError: If no truncation does.

    """
    values = _checked_spectrum(s)
    if _checked_criterion(criterion) == "half":
        found = TruncationFilter(half_point(given))
    elif criterion == "slope":
        _checked_time(given)
        found = TruncationFilter(1 / math.sqrt(given.time))
    else:
        wanted = _wanted_degrees(given, values)
        counts = np.flatnonzero(distinct(values)) + 1
        found = truncation_filter(int(counts[np.argmin(np.abs(counts - wanted))]), values)
    return _match(given, found, criterion, values)


def match_steps(
    given: Filter,
    s: Any,
    step_size: float | None = None,
    *,
    momentum: float = 0.0,
    nesterov: bool = False,
    criterion: str = "half",
) -> FilterMatch:
    """The number of gradient steps that regularize like a filter.

    Of two whole numbers around the exact answer, that above is taken: the steps keep at least what the filter keeps.
    (With momentum, degrees of freedom swing a little on their way up; one crossing is found.)

    Args:
        given: The filter, for instance ridge or truncation.
        s: Singular values of the data, shape (r,).
        step_size: Of the steps; 1/s_max^2 if None.
        momentum: From 0 to below 1.
        nesterov: Nesterov's momentum in place of the heavy ball's.
        criterion: "half", "slope" (without momentum, steps = time/step_size: s_max^2/t^2 for a threshold t) or
            "degrees of freedom".

    Raises:
        InputError: If the steps are unstable or no number of them does.

    """
    values = _checked_spectrum(s)
    size = 1 / float(values.max()) ** 2 if step_size is None else step_size

    def taken(steps: int) -> GradientDescentFilter | MomentumFilter:
        if momentum == 0:
            return GradientDescentFilter(steps, size)
        return MomentumFilter(steps, size, momentum, nesterov)

    if not taken(1).stable(values):
        raise InputError(f"step_size={size!r} is unstable on s_max={values.max():.6g}", "use 1/s_max^2")
    wanted = half_point(given) if _checked_criterion(criterion) == "half" else _checked_time(given)
    if criterion == "degrees of freedom":
        wanted = _wanted_degrees(given, values)

    def enough(steps: int) -> bool:
        if criterion == "half":
            return half_point(taken(steps)) <= wanted * (1 + _EQUAL)
        reached = taken(steps).time if criterion == "slope" else taken(steps).degrees_of_freedom(values)
        return reached >= wanted * (1 - _EQUAL)

    return _match(given, taken(_first(enough)), criterion, values)


def _first(enough: Callable[[int], bool]) -> int:
    """The first number of steps that is enough, by doubling and halving."""
    high = 1
    while not enough(high):
        high *= 2
        if high > _MOST_STEPS:
            raise InputError(f"more than {_MOST_STEPS} steps would be needed", "match a filter that keeps less")
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def _match(given: Filter, found: Filter, criterion: str, s: np.ndarray) -> FilterMatch:
    assumptions = ["least squares", "start at zero"]
    if criterion == "degrees of freedom":
        assumptions.append("the singular values given are all that count")
    if not all(each.stable(s) for each in (given, found) if isinstance(each, GradientDescentFilter | MomentumFilter)):
        assumptions.append("the steps are UNSTABLE on these singular values")
    halves = tuple(half_point(each) for each in (given, found))
    degrees = tuple(each.degrees_of_freedom(s) if each.linear else math.nan for each in (given, found))
    return FilterMatch(
        given,
        found,
        criterion,
        (halves[0], halves[1]),
        (degrees[0], degrees[1]),
        largest_difference(given, found, s),
        _supremum(given, found, float(s.max())),
        tuple(assumptions),
    )


def _supremum(first: Filter, second: Filter, s_max: float) -> float | None:
    """The supremum over [0, s_max] of |m_ridge - m_descent|.

    With z = step_size s^2 and c = step_size ridge, the slope of c/(z + c) - (1 - z)^q is zero where
    2 log(z + c) + (q - 1) log(1 - z) = log(c/q): the left side is concave, so that there are at most two such points,
    on both sides of its peak at z = (2 - (q - 1) c)/(q + 1).
    """
    if isinstance(first, RidgeFilter):
        first, second = second, first
    if not (isinstance(first, GradientDescentFilter) and isinstance(second, RidgeFilter)):
        return None
    end = first.step_size * s_max * s_max
    if end > 1 + 1e-12 or second.iterations != 1 or second.ridge == 0 or first.steps == 0:
        return None
    q, c, end = float(first.steps), first.step_size * second.ridge, min(end, 1.0)

    def slope(z: float) -> float:
        return 2 * math.log(z + c) + (q - 1) * math.log1p(-z) - math.log(c / q)

    candidates = [end]
    end = min(end, 1 - 2.0**-53)
    peak = min(max((2 - (q - 1) * c) / (q + 1), 0.0), end)
    for low, high in ((0.0, peak), (peak, end)):
        if slope(low) * slope(high) < 0:
            candidates.append(brentq(slope, low, high, xtol=1e-300))
    s = np.sqrt(np.array(candidates) / first.step_size)
    return largest_difference(first, second, s)


def _checked_spectrum(s: Any) -> np.ndarray:
    values = checked_array("s", s, negative=False)
    positive = values[values > 0]
    if values.ndim != 1 or not len(positive):
        raise InputError(f"s has shape {values.shape}, {len(positive)} positive", "pass singular values of the data")
    checked_scale("s", positive)
    return positive


def _checked_criterion(criterion: Any) -> str:
    if criterion not in _CRITERIA:
        raise InputError(f"criterion={criterion!r} is unknown", f"use one of {', '.join(map(repr, _CRITERIA))}")
    return str(criterion)


def _checked_time(given: Filter) -> float:
    checked_filters("given", [given])
    if not 0 < given.time < math.inf:
        raise InputError(f"{given!r} keeps {'all' if given.time else 'nothing'} at every singular value", "use another")
    return given.time


def _wanted_degrees(given: Filter, values: np.ndarray) -> float:
    checked_filters("given", [given])
    wanted, most = given.degrees_of_freedom(values), len(values)
    if not 0 < wanted < most * (1 - _EQUAL):
        raise InputError(
            f"{given!r} has {wanted:.6g} degrees of freedom on {most} positive singular values",
            "use criterion='half', or a filter that keeps some but not all of them",
        )
    return wanted


# --- Curves to look at ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class FilterCurves:
    """Filters beside each other on one axis of singular values.

    Attributes:
        s: Where m is given, shape (p,), evenly on a log scale.
        curves: Label and m(s), shape (p,), of each filter.
        singular_values: Of the data, shape (r,).
        limits: Label and singular value of each vertical line, such as a `PrecisionLimit`'s floor.

    """

    s: np.ndarray
    curves: tuple[tuple[str, np.ndarray], ...]
    singular_values: np.ndarray
    limits: tuple[tuple[str, float], ...] = ()

    def record(self) -> dict[str, Any]:
        """The record that reports draw."""
        return {
            "kind": "shrinkage",
            "shrinkage": {
                "s": self.s.tolist(),
                "curves": [{"label": label, "m": m.tolist()} for label, m in self.curves],
                "singular_values": self.singular_values.tolist(),
                "limits": [{"label": label, "s": value} for label, value in self.limits],
            },
        }


def filter_curves(
    filters: Mapping[str, Filter], s: Any, *, limits: Mapping[str, float] | None = None, points: int = 241
) -> FilterCurves:
    """Filters beside each other, from the smallest positive singular value or limit to the largest.

    Args:
        filters: Filters by the label they get.
        s: Singular values of the data, shape (r,).
        limits: Further singular values to mark, by label.
        points: Points of each curve.

    Raises:
        InputError: If there is no filter, s has no positive value, or there are fewer than 2 points.

    """
    values = _checked_spectrum(s)
    if not isinstance(filters, Mapping):
        raise InputError(f"filters is a {type(filters).__name__}", "pass a label for each: {'ridge': RidgeFilter(1.0)}")
    checked_filters("filters", list(filters.values()))
    if checked_steps("points", points) < 2:
        raise InputError(f"points={points}: no curve", "leave it out, or pass at least 2")
    marks = {
        label: checked_number(f"limits[{label!r}]", value, "leave it out") for label, value in (limits or {}).items()
    }
    low = min([float(values.min()), *(value for value in marks.values() if value > 0)])
    grid = np.geomspace(min(low, float(values.max()) / 10), float(values.max()), points)
    curves = tuple((label, each.shrinkage(grid)) for label, each in filters.items())
    return FilterCurves(grid, curves, values, tuple(marks.items()))
