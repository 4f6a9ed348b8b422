import math

import numpy as np
import pytest
from scipy.special import lambertw

import tolerances
from thalweg.core.errors import InputError, UnsupportedError
from thalweg.theory.early_stopping import (
    filter_curves,
    half_point,
    largest_difference,
    match_ridge,
    match_steps,
    match_truncation,
)
from thalweg.theory.shrinkage import (
    GradientDescentFilter,
    MomentumFilter,
    RidgeFilter,
    ScheduleFilter,
    TruncationFilter,
    conjugate_gradient_filter,
)
from thalweg.theory.spectral import SpectralModel

S = np.geomspace(1e-3, 2.0, 40)


def iterative(steps, step_size=0.25):
    return [
        GradientDescentFilter(steps, step_size),
        MomentumFilter(steps, step_size, 0.9),
        MomentumFilter(steps, step_size, 0.9, nesterov=True),
        ScheduleFilter((step_size,) * steps, (0.5,) * steps),
    ]


def test_half_points_in_closed_form():
    exact = tolerances.arithmetic(operations=10)
    assert half_point(RidgeFilter(9.0)) == pytest.approx(3, rel=exact)
    assert half_point(RidgeFilter(9.0, 4)) == pytest.approx(3 * math.sqrt(2**0.25 - 1), rel=exact)
    assert half_point(TruncationFilter(0.7)) == 0.7
    for q in (1, 2, 5, 1000, 10**9):
        closed = math.sqrt(-math.expm1(-math.log(2) / q) / 0.25)
        assert half_point(GradientDescentFilter(q, 0.25)) == pytest.approx(closed, rel=exact)


@pytest.mark.parametrize("steps", [1, 2, 7, 100])
def test_the_half_point_is_where_a_fine_grid_first_passes_a_half(steps):
    for given in iterative(steps):
        grid = np.geomspace(1e-3, 3, 20_001)
        first = int(np.argmax(given.shrinkage(grid) >= 0.5))
        assert grid[first - 1] < half_point(given) <= grid[first]


def test_half_points_of_conjugate_gradients():
    X = np.diag(S)
    for steps in (1, 3, 6):
        given = conjugate_gradient_filter(SpectralModel(X, np.ones(40)), steps)
        assert float(given.shrinkage(half_point(given))) == pytest.approx(0.5, abs=tolerances.arithmetic(operations=50))


def test_slopes_match_by_one_over_step_size_times_steps():
    found = match_ridge(GradientDescentFilter(200, 0.05), S, "slope").found
    assert found.ridge == pytest.approx(1 / (200 * 0.05), rel=tolerances.arithmetic())
    found = match_truncation(GradientDescentFilter(200, 0.05), S, "slope").found
    assert found.threshold**2 == pytest.approx(1 / (200 * 0.05), rel=tolerances.arithmetic())


def test_the_rule_of_thumb_for_steps_keeps_the_share_that_one_over_e_leaves():
    for t in (0.02, 0.1, 0.5):
        match = match_steps(TruncationFilter(t), S, criterion="slope")
        assert match.found.step_size == pytest.approx(1 / 4) and match.found.steps == math.ceil(4 / t**2 - 1e-6)
        q = match.found.steps
        assert match.found.shrinkage([t])[0] == pytest.approx(1 - (1 - t**2 / 4) ** q, rel=1e-9)
        # (1 - 1/q)^q lies below 1/e by about 1/(2 e q); rounding q up moves it by 1/(e q) at most.
        assert match.found.shrinkage([t])[0] == pytest.approx(1 - 1 / math.e, abs=1 / q)


@pytest.mark.parametrize("criterion", ["half", "slope", "degrees of freedom"])
def test_matching_there_and_back_again(criterion):
    for steps in (1, 2, 9, 120, 5000):
        for momentum, nesterov in ((0.0, False), (0.9, False), (0.9, True)):
            given = MomentumFilter(steps, 0.1, momentum, nesterov) if momentum else GradientDescentFilter(steps, 0.1)
            if criterion == "degrees of freedom" and momentum:
                continue  # not monotone in the steps: another number may come back
            ridge = match_ridge(given, S, criterion).found
            back = match_steps(ridge, S, 0.1, momentum=momentum, nesterov=nesterov, criterion=criterion)
            # brentq ends within 4 eps; the steps that it stands for are a whole number again.
            assert back.found == given


@pytest.mark.parametrize("criterion", ["half", "degrees of freedom"])
def test_one_step_fewer_would_not_do(criterion):
    measure = half_point if criterion == "half" else lambda given: -given.degrees_of_freedom(S)
    for given in (RidgeFilter(0.01), TruncationFilter(0.05)):
        found = match_steps(given, S, criterion=criterion).found
        fewer = GradientDescentFilter(found.steps - 1, found.step_size)
        assert measure(found) <= measure(given) < measure(fewer)


def test_degrees_of_freedom_are_equal():
    for given in iterative(30):
        match = match_ridge(given, S, "degrees of freedom")
        assert match.degrees_of_freedom[0] == pytest.approx(match.degrees_of_freedom[1], rel=1e-9)
        kept = match_truncation(given, S, "degrees of freedom").degrees_of_freedom
        assert abs(kept[0] - kept[1]) <= 0.5


@pytest.mark.parametrize("ridge", [1e-10, 1e-5, 1e5, 1e20])
def test_degrees_of_freedom_near_none_and_near_all_lead_back(ridge):
    for s in (np.ones(3), np.array([0.5]), np.array([1.0, 1e3])):
        found = match_ridge(RidgeFilter(ridge), s, "degrees of freedom").found.ridge
        # What is missing of all degrees is a difference: near all of them it has lost the digits below eps/ridge.
        assert found == pytest.approx(ridge, rel=1e-9 + 10 * tolerances.eps() * 1e6 / ridge)


def test_momentum_needs_fewer_steps_by_its_factor():
    plain = match_steps(RidgeFilter(1e-4), S, criterion="half").found.steps
    heavy = match_steps(RidgeFilter(1e-4), S, momentum=0.9, criterion="half").found.steps
    assert heavy == pytest.approx(plain / 10, rel=0.01)  # 1/(1 - beta), but for the first 1/(1 - beta) steps


def test_the_supremum_between_descent_and_ridge_is_that_of_a_fine_grid():
    for steps in (1, 2, 3, 10, 1000):
        for part in (0.3, 1.0):
            given = GradientDescentFilter(steps, part / 4)
            for criterion in ("half", "slope"):
                match = match_ridge(given, S, criterion)
                grid = np.concatenate([[0.0], np.geomspace(1e-3, 2, 200_001)])
                dense = largest_difference(given, match.found, grid)
                assert dense <= match.supremum * (1 + 1e-12)
                assert match.supremum == pytest.approx(dense, rel=1e-6)  # a peak seen at a distance of 2e-5
                assert match.difference <= match.supremum * (1 + 1e-12)
    assert match_ridge(GradientDescentFilter(9, 1.5 / 4), S).supremum is None  # it overshoots: not this argument
    assert match_ridge(MomentumFilter(9, 0.1, 0.5), S).supremum is None


def test_the_supremum_for_many_small_steps_is_that_of_gradient_flow():
    """|c/(x + c) - exp(-x)| peaks where (x + c)^2 = c exp(x): x + c = -2 W(-sqrt(c) exp(-c/2)/2), both branches."""
    for criterion, c in (("half", math.log(2)), ("slope", 1.0)):
        peaks = [-2 * lambertw(-math.sqrt(c) * math.exp(-c / 2) / 2, branch).real - c for branch in (0, -1)]
        expected = max(abs(c / (x + c) - math.exp(-x)) for x in peaks if x >= 0)
        match = match_ridge(GradientDescentFilter(10**8, 0.25), S, criterion)
        assert match.supremum == pytest.approx(expected, rel=1e-6)  # the flow is left by a share of 1/steps
        assert expected == pytest.approx({"half": 0.138, "slope": 0.204}[criterion], abs=5e-4)


def test_a_match_says_what_it_is():
    said = str(match_ridge(GradientDescentFilter(40, 0.05), S))
    for part in ("GradientDescentFilter(steps=40", "RidgeFilter(ridge=", "half is kept at", "start at zero"):
        assert part in said
    unstable = match_ridge(GradientDescentFilter(40, 0.6), S)
    assert "UNSTABLE" in str(unstable)


def test_filters_that_depend_on_y_match_without_degrees_of_freedom():
    given = conjugate_gradient_filter(SpectralModel(np.diag(S), np.ones(40)), 5)
    match = match_ridge(given, S)
    assert math.isnan(match.degrees_of_freedom[0]) and match.found.ridge == pytest.approx(half_point(given) ** 2)
    with pytest.raises(UnsupportedError):
        match_ridge(given, S, "degrees of freedom")


def test_curves_are_the_filters_on_a_log_axis_from_the_smallest_mark():
    filters = {"ridge": RidgeFilter(0.01), "descent": GradientDescentFilter(30, 0.25)}
    curves = filter_curves(filters, [2.0, 1.0, 0.0, 0.5], limits={"float32": 1e-4}, points=11)
    assert curves.s[0] == pytest.approx(1e-4) and curves.s[-1] == pytest.approx(2.0)
    assert np.diff(np.log(curves.s)) == pytest.approx(np.log(2e4) / 10)
    record = curves.record()["shrinkage"]
    assert record["singular_values"] == [2.0, 1.0, 0.5] and record["limits"] == [{"label": "float32", "s": 1e-4}]
    for (label, given), drawn in zip(filters.items(), record["curves"], strict=True):
        assert drawn["label"] == label
        np.testing.assert_array_equal(drawn["m"], given.shrinkage(curves.s))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: half_point(RidgeFilter(0.0)), "keeps all"),
        (lambda: half_point(GradientDescentFilter(0, 1.0)), "keeps nothing"),
        (lambda: half_point(ScheduleFilter((3.0, -2.9))), "does not pass 1/2"),
        (lambda: half_point(3.0), "expected filters"),
        (lambda: match_ridge(RidgeFilter(1.0), S, "best"), "criterion='best' is unknown"),
        (lambda: match_ridge(RidgeFilter(1.0), [0.0]), r"s has shape \(1,\), 0 positive"),
        (lambda: match_ridge(RidgeFilter(1.0), [[1.0]]), r"s has shape \(1, 1\)"),
        (lambda: match_ridge(RidgeFilter(1.0), [1e-200]), "largest number of s is 1e-200.*rescale it"),
        (lambda: match_ridge(None, S, "slope"), "expected filters"),
        (lambda: match_ridge(TruncationFilter(5.0), S, "degrees of freedom"), "has 0 degrees of freedom on 40"),
        (lambda: match_truncation(GradientDescentFilter(10**9, 0.25), S, "degrees of freedom"), "40 degrees"),
        (lambda: match_steps(RidgeFilter(1.0), S, 0.51), "step_size=0.51 is unstable"),
        (lambda: match_steps(RidgeFilter(1.0), S, -1.0), "step_size=-1.0"),
        (lambda: match_steps(RidgeFilter(1e-40), S), "more than 9007199254740992 steps"),
        (lambda: filter_curves({}, S), "expected filters"),
        (lambda: filter_curves({"a": 1.0}, S), "expected filters"),
        (lambda: filter_curves([RidgeFilter(1.0)], S), "filters is a list; pass a label for each"),
        (lambda: filter_curves({"a": RidgeFilter(1.0)}, S, points=1), "points=1: no curve"),
        (lambda: filter_curves({"a": RidgeFilter(1.0)}, S, points="a"), "points='a': expected a whole number"),
        (lambda: filter_curves({"a": RidgeFilter(1.0)}, S, limits={"floor": -1.0}), r"limits\['floor'\]=-1.0"),
    ],
)
def test_what_cannot_be_matched_is_refused(make, said):
    with pytest.raises(InputError, match=said):
        make()


def test_a_truncation_keeps_equal_components_together():
    """2.4 degrees of freedom are nearest to three components of those that can be told apart: 1, 3 or 4."""
    s = np.array([3.0, 1.0, 1.0 - 1e-16, 0.2])
    given = RidgeFilter(0.48)
    assert given.degrees_of_freedom(s) == pytest.approx(2.38, abs=0.01)
    found = match_truncation(given, s, "degrees of freedom").found
    assert found.degrees_of_freedom(s) == 3
