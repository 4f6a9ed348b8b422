"""The line search on functions whose minimum along the line is known."""

import numpy as np
import pytest

from thalweg.methods.search import wolfe


class Along:
    """A function of one variable as a line."""

    def __init__(self, value, slope):
        self.value, self.slope, self.calls = value, slope, 0

    def value_slope(self, t):
        self.calls += 1
        return self.value(t), self.slope(t)


LINES = {
    "parabola": (Along(lambda t: (t - 3.0) ** 2, lambda t: 2 * (t - 3.0)), 3.0),
    "far": (Along(lambda t: (t / 1e6 - 1) ** 2, lambda t: 2e-6 * (t / 1e6 - 1)), 1e6),
    "near": (Along(lambda t: (1e6 * t - 1) ** 2, lambda t: 2e6 * (1e6 * t - 1)), 1e-6),
    "overflow": (Along(lambda t: np.exp(50 * t) - 60 * t, lambda t: 50 * np.exp(50 * t) - 60), np.log(1.2) / 50),
    "kink": (Along(lambda t: abs(t - 2.0) + 0.1 * t * t, lambda t: np.sign(t - 2.0) + 0.2 * t), 2.0),
}


@pytest.mark.parametrize("curvature", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("name", LINES)
def test_decreases_enough_and_flattens(name, curvature):
    line, _ = LINES[name]
    value, slope = line.value_slope(0.0)
    found = wolfe(line, value, slope, curvature=curvature)
    assert found.step_size > 0
    end_value, end_slope = line.value_slope(found.step_size)
    assert end_value <= value + 1e-4 * found.step_size * slope
    if name != "kink":
        assert abs(end_slope) <= curvature * abs(slope)


def test_the_first_trial_is_kept_where_it_is_good():
    line = Along(lambda t: (t - 1.0) ** 2, lambda t: 2 * (t - 1.0))
    assert wolfe(line, 1.0, -2.0).step_size == 1.0
    assert line.calls == 1


def test_a_line_that_falls_forever_is_said_to():
    line = Along(lambda t: -t, lambda t: -1.0)
    assert wolfe(line, 0.0, -1.0).unbounded


def test_a_wrong_derivative_finds_no_step():
    line = Along(lambda t: 1.0 + t, lambda t: -1.0)
    assert wolfe(line, 1.0, -1.0).step_size == 0.0
