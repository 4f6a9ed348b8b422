"""The test for a floor of noise on series whose truth is known: what hovers, and what only falls slowly."""

import numpy as np
import pytest

from thalweg.methods.noise_floor import LEAST, hovers

RUNS = 40
STEPS = 1500


def called_at(values):
    """The length at which a run of these values is first called hovering, looked at as the driver does."""
    for k in range(LEAST, len(values)):
        if k % 2 ** (k.bit_length() - 5) == 0 and hovers(values[: k + 1], np.ones(k + 1)):
            return k
    return None


def noise(kind, rng):
    if kind == "chi-square":  # f - f* on a plateau of five directions
        return (rng.chisquare(5, STEPS) - 5) / np.sqrt(10)
    correlation = float(kind)
    shocks, series = rng.normal(size=STEPS), np.zeros(STEPS)
    for k in range(1, STEPS):
        series[k] = correlation * series[k - 1] + np.sqrt(1 - correlation**2) * shocks[k]
    return series


def calls(shape, kind):
    """When each of some runs is called: `shape` of the number of the epoch, in units of the noise, plus noise."""
    rng = np.random.default_rng(0)
    return [called_at(1000 + shape(np.arange(STEPS)) + noise(kind, rng)) for _ in range(RUNS)]


@pytest.mark.parametrize("kind", ["0", "chi-square", "0.3"])
def test_a_floor_is_found_with_or_without_a_fall_before_it(kind):
    for shape in (lambda k: 0.0 * k, lambda k: 500 * np.exp(-k / 20)):
        found = calls(shape, kind)
        assert None not in found
        assert np.median(found) < 700
        assert min(found) >= LEAST


@pytest.mark.parametrize("kind", ["0", "chi-square", "0.5", "0.9"])
@pytest.mark.parametrize(("amount", "time"), [(10, 100), (10, 300), (100, 300), (100, 1000), (1000, 3000)])
def test_slow_progress_is_no_floor(kind, amount, time):
    """Nobody is told to stop while more than three times the noise is still to be gained; one run in 40 may be."""
    found = [k for k in calls(lambda k: amount * np.exp(-k / time), kind) if k is not None]
    assert sum(amount * np.exp(-k / time) > 3 for k in found) <= 1


def test_falling_steps_smooth_curves_and_rounding_are_no_floor():
    rng = np.random.default_rng(1)
    k = np.arange(STEPS)
    assert called_at(1 / (1 + k) * (1 + 0.3 * rng.normal(size=STEPS))) is None
    assert called_at(np.exp(-k / 50)) is None
    assert called_at(1 + 1 / (1 + k)) is None
    assert called_at(np.ones(STEPS)) is None
    assert called_at(1 + 1e-15 * rng.normal(size=STEPS)) is None
    assert called_at(k + rng.normal(size=STEPS)) is None


def test_a_step_that_changes_has_no_floor_yet():
    values = 1 + np.random.default_rng(2).normal(size=STEPS)
    assert hovers(values, np.ones(STEPS))
    assert not hovers(values, np.geomspace(1, 0.1, STEPS))
    assert hovers(values, np.where(np.arange(STEPS) < 300, 2.0, 1.0))
    assert not hovers(values[: LEAST - 1], np.ones(LEAST - 1))
    assert not hovers(np.append(values[:-1], np.nan), np.ones(STEPS))
