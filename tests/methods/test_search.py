"""Searches on functions whose minimum along the line is known."""

import math

import numpy as np
import pytest

from thalweg.core.errors import InputError
from thalweg.methods.search import Backtracking, ExactStep, FixedLength, FixedStep, StrongWolfe, wolfe
from tolerances import eps


class Along:
    """A function of one variable as a line; a trial costs `price` passes."""

    def __init__(self, value, slope, price=2.0):
        self.value, self.slope, self.price, self.passes = value, slope, price, 0.0
        self.calls = 0

    def value_slope(self, t):
        self.calls += 1
        self.passes += self.price
        return self.value(t), self.slope(t)


LINES = {
    "parabola": (lambda t: (t - 3.0) ** 2, lambda t: 2 * (t - 3.0)),
    "far": (lambda t: (t / 1e6 - 1) ** 2, lambda t: 2e-6 * (t / 1e6 - 1)),
    "near": (lambda t: (1e6 * t - 1) ** 2, lambda t: 2e6 * (1e6 * t - 1)),
    "overflow": (lambda t: np.exp(50 * t) - 60 * t, lambda t: 50 * np.exp(50 * t) - 60),
    "kink": (lambda t: abs(t - 2.0) + 0.1 * t * t, lambda t: np.sign(t - 2.0) + 0.2 * t),
    # More and Thuente (1994), functions 5.1, 5.2 and 5.4 of section 5.
    "rational": (lambda t: -t / (t * t + 2.0), lambda t: (t * t - 2.0) / (t * t + 2.0) ** 2),
    "quintic": (
        lambda t: (t + 0.004) ** 5 - 2.0 * (t + 0.004) ** 4,
        lambda t: 5.0 * (t + 0.004) ** 4 - 8.0 * (t + 0.004) ** 3,
    ),
    "two walls": (
        lambda t: 0.5 * (math.hypot(1 - t, 1e-3) + math.hypot(t, 1e-3)) - 1e-3 * t,
        lambda t: 0.5 * ((t - 1) / math.hypot(1 - t, 1e-3) + t / math.hypot(t, 1e-3)) - 1e-3,
    ),
}


@pytest.mark.parametrize("first", [1e-3, 1.0, 1e3])
@pytest.mark.parametrize("curvature", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("name", LINES)
def test_decreases_enough_and_flattens(name, curvature, first):
    line = Along(*LINES[name])
    value, slope = line.value_slope(0.0)
    found = wolfe(line, value, slope, first=first, curvature=curvature)
    assert found.step_size > 0
    end_value, end_slope = line.value_slope(found.step_size)
    assert end_value <= value + 1e-4 * found.step_size * slope
    if name != "kink":
        assert abs(end_slope) <= curvature * abs(slope)


def test_the_first_trial_is_kept_where_it_is_good():
    line = Along(lambda t: (t - 1.0) ** 2, lambda t: 2 * (t - 1.0))
    assert wolfe(line, 1.0, -2.0).step_size == 1.0
    assert line.calls == 1


def test_a_parabola_needs_two_trials_wherever_its_minimum():
    for minimum in (1e-3, 0.3, 7.0):
        line = Along(lambda t, m=minimum: (t - m) ** 2, lambda t, m=minimum: 2 * (t - m))
        found = wolfe(line, minimum**2, -2 * minimum, curvature=0.1)
        assert found.step_size == pytest.approx(minimum, rel=1e3 * eps() / minimum)
        assert line.calls == 2


def test_a_line_that_falls_forever_is_said_to():
    line = Along(lambda t: -t, lambda t: -1.0)
    assert wolfe(line, 0.0, -1.0).unbounded


def test_a_long_way_with_little_to_gain_is_not_forever():
    line = Along(lambda t: 1e3 + (1e-17 * t - 1) ** 2, lambda t: 2e-17 * (1e-17 * t - 1))
    found = wolfe(line, *line.value_slope(0.0), curvature=0.1)
    assert not found.unbounded
    assert found.step_size == pytest.approx(1e17, rel=0.2)


def test_values_in_single_precision_are_level_within_its_rounding():
    """The value rises by one unit of float32's rounding where the derivative says that the minimum is."""
    line = Along(lambda t: 1.0 + (1.2e-7 if t > 0 else 0.0), lambda t: 1e-9 * (t - 1.0))
    assert wolfe(line, 1.0, -1e-9, precision=eps(np.float32)).step_size == 1.0
    assert wolfe(line, 1.0, -1e-9).step_size == 0.0


def test_a_wrong_derivative_finds_no_step():
    line = Along(lambda t: 1.0 + t, lambda t: -1.0)
    assert wolfe(line, 1.0, -1.0).step_size == 0.0


def test_beyond_the_domain_the_step_is_shortened():
    """-sqrt(r^2 - (t - r/2)^2) ends at 1.5 r, far below the first trial; its minimum is at r/2."""
    r = 1e-6

    def value(t):
        return -math.sqrt(r * r - (t - r / 2) ** 2) if t < 1.5 * r else math.nan

    def slope(t):
        return (t - r / 2) / math.sqrt(r * r - (t - r / 2) ** 2) if t < 1.5 * r else math.nan

    found = wolfe(Along(value, slope), value(0.0), slope(0.0), curvature=0.5)
    assert abs(slope(found.step_size)) <= 0.5 * abs(slope(0.0))


def test_rounding_does_not_stop_a_search_near_the_minimum():
    """The decrease that is promised is below the spacing of numbers near the value; the derivative alone tells."""
    line = Along(lambda t: 1e8 + (t - 3e-5) ** 2, lambda t: 2 * (t - 3e-5))
    value, slope = line.value_slope(0.0)
    found = wolfe(line, value, slope, first=1.0, curvature=0.1)
    assert found.step_size == pytest.approx(3e-5, rel=0.2)


def test_where_trials_are_free_the_search_is_thorough():
    search = StrongWolfe(curvature=0.9, thorough=0.01)
    for price, most in ((2.0, 0.9), (0.0, 0.01)):
        line = Along(lambda t: (t - 1.5) ** 4 + t, lambda t: 4 * (t - 1.5) ** 3 + 1, price)
        value, slope = line.value_slope(0.0)
        found = search.find(line, value, slope)
        assert abs(line.slope(found.step_size)) <= most * -slope
        assert (abs(line.slope(found.step_size)) <= 0.01 * -slope) == (price == 0.0)


def test_the_direction_may_ask_for_more():
    line = Along(lambda t: (t - 1.5) ** 2, lambda t: 2 * (t - 1.5))
    assert StrongWolfe(curvature=0.9).find(line, 2.25, -3.0).step_size == 1.0
    assert StrongWolfe(curvature=0.9).find(line, 2.25, -3.0, flatten=0.1).step_size == pytest.approx(1.5)


def test_a_fixed_step_is_taken_unseen():
    line = Along(lambda t: t, lambda t: 1.0)
    assert FixedStep(0.3).find(line, 0.0, -1.0, first=1e-9).step_size == 0.3
    assert FixedStep(0.3, gentle_start=True).find(line, 0.0, -1.0, first=0.5).step_size == 0.15
    assert FixedStep(0.3, gentle_start=True).find(line, 0.0, -1.0, first=7.0).step_size == 0.3
    assert line.calls == 0


def test_a_fixed_length_is_that_of_the_step_in_the_metric():
    """With d = -A^-1 g the slope is -g'A^-1 g = -d'A d."""
    A = np.array([[2.0, 0.3], [0.3, 1.0]])
    g = np.array([1.0, -4.0])
    d = -np.linalg.solve(A, g)
    step = FixedLength(0.7).find(None, 0.0, float(g @ d)).step_size * d
    assert math.sqrt(step @ A @ step) == pytest.approx(0.7, rel=32 * eps())


def test_backtracking_takes_the_first_step_that_decreases_enough():
    line = Along(lambda t: (t - 1.0) ** 2, lambda t: 2 * (t - 1.0))
    # (t - 1)^2 <= 1 - 2 c t  exactly where t <= 2 - 2c.
    for decrease, expected in ((1e-4, 1.0), (0.4, 1.0), (0.6, 0.5), (0.9, 0.125)):
        assert Backtracking(decrease).find(line, 1.0, -2.0, first=4.0).step_size == expected
    assert Backtracking(1e-4, shrink=0.1).find(line, 1.0, -2.0, first=4.0).step_size == pytest.approx(0.4)


def test_backtracking_gives_up_on_a_direction_that_climbs():
    assert Backtracking().find(Along(lambda t: 1.0 + t, lambda t: 1.0), 1.0, -1.0).step_size == 0.0
    assert Backtracking().find(Along(lambda t: math.nan, lambda t: math.nan), 1.0, -1.0).step_size == 0.0


def test_exact_steps_end_where_the_derivative_vanishes():
    line = Along(lambda t: (t - 3.0) ** 2, lambda t: 2 * (t - 3.0))
    assert ExactStep().find(line, 9.0, -6.0).step_size == pytest.approx(3.0, rel=16 * eps())
    assert line.calls == 2
    for name in ("overflow", "rational", "quintic", "two walls"):
        line = Along(*LINES[name])
        value, slope = line.value_slope(0.0)
        found = ExactStep(tolerance=1e-6).find(line, value, slope)
        assert abs(line.slope(found.step_size)) <= 1e-6 * abs(slope), name


@pytest.mark.parametrize("make", [
    lambda: FixedStep(0.0), lambda: FixedStep(-1.0), lambda: FixedStep(True), lambda: FixedStep(math.nan),
    lambda: FixedStep("1"), lambda: FixedLength(0.0), lambda: Backtracking(0.0), lambda: Backtracking(1.0),
    lambda: Backtracking(shrink=1.5), lambda: StrongWolfe(0.5, 0.4), lambda: StrongWolfe(curvature=1.0),
    lambda: StrongWolfe(1e-4, 0.5, 1e-5), lambda: ExactStep(0.0),
])  # fmt: skip
def test_settings_outside_their_range_are_refused(make):
    with pytest.raises(InputError):
        make()
