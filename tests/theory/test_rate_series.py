"""Where rounding ends a record: values that hover, steps that stop short of the limit, limits a hair above them."""

import numpy as np
import pytest

from thalweg.core.errors import InputError
from thalweg.core.random import generator
from thalweg.theory.rates import RateKind, rate

EPS = 2.0**-52
K = np.arange(400.0)


@pytest.mark.parametrize(("spread", "seed"), [(20.0, 0), (130.0, 1), (400.0, 2)])
def test_values_that_hover_by_rounding_are_no_floor(spread, seed):
    level = -1184.4319
    values = level + 1000 * 0.9**K + spread * EPS * abs(level) * generator(seed).normal(size=len(K))
    for limit in (None, float(values.min())):
        found = rate(values, limit=limit)
        assert found.kind is RateKind.LINEAR, found
        assert found.q == pytest.approx(0.9, rel=0.01)
        assert "rounding" in found.why


def test_values_that_hover_by_more_than_rounding_are_one():
    values = 1 + 0.9**K + 1e-9 * generator(0).normal(size=len(K))
    assert rate(values).kind is RateKind.FLOOR


@pytest.mark.parametrize("q", [0.98, 0.996])
def test_steps_lost_in_rounding_far_above_the_limit_are_no_acceleration(q):
    """The record ends where a step is 100 roundings, 100 q/(1 - q) roundings above the limit."""
    values = -1000 + 500 * q ** np.arange(20000.0)
    last = int(np.argmax(-np.diff(values) < 100 * EPS * 1000))
    found = rate(np.append(values[:last], [values[last]] * 200))
    assert found.kind is RateKind.LINEAR, found
    assert found.q == pytest.approx(q, rel=(1 - q) / 10)


def test_a_limit_within_rounding_of_the_least_value_is_taken():
    values = 3.0 + 100 * 0.5 ** np.arange(80.0)
    assert rate(values, limit=3.0 + 8 * EPS * 100).kind is RateKind.LINEAR


def test_a_limit_above_the_least_value_is_refused_with_the_difference():
    values = 3.0 + 0.5 ** np.array([0.0, 1.0, 2.0, 3.0, 4.0, 60.0])
    with pytest.raises(InputError, match=r"below limit=3\.0000000001 by 1e-10"):
        rate(values, limit=3.0 + 1e-10)


def test_a_record_that_ends_within_rounding_of_its_limit_needs_no_other():
    """Heavy ball's (1 + k) q^k of a double root, stopped at the last digits of the value."""
    found = rate(-182.38994 + 300 * (1 + K[:26]) * 0.22 ** K[:26])
    assert found.kind is RateKind.LINEAR, found
    assert found.q == pytest.approx(0.22, rel=0.05)


def test_values_that_end_flat_far_from_zero_are_judged_by_their_limit():
    """Their last ones alone follow any law: it is to the whole record that a fall to zero must fit."""
    found = rate(0.46 + 0.23 * 0.15 ** np.arange(13.0))
    assert found.kind is RateKind.LINEAR, found
    assert found.q == pytest.approx(0.15, rel=0.01)


@pytest.mark.parametrize("fall", [lambda k: -k, lambda k: 1000 - k, lambda k: -np.sqrt(k), lambda k: -(k**2)])
def test_what_falls_forever_has_no_rate(fall):
    assert rate(fall(np.arange(1.0, 200.0))).kind is RateKind.UNDECIDED
