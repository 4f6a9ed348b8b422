"""Floors beside processes whose level and variance are known; what still falls, shrinks or wanders has none."""

import numpy as np
import pytest

from thalweg.theory.rate_floors import find_floor, partial_floor, resolution
from tolerances import RATE_SEEN, eps

N = 4000
K = np.arange(1.0, N + 1)


def autoregression(rng, rho, n=N):
    """Variance 1, correlation rho^lag."""
    x, values = rng.normal(), np.empty(n)
    for i in range(n):
        x = rho * x + np.sqrt(1 - rho**2) * rng.normal()
        values[i] = x
    return values


@pytest.mark.parametrize("limit", [None, 0.0])
@pytest.mark.parametrize("rho", [0.0, 0.9, 0.98])
def test_the_level_lies_within_its_standard_error(rho, limit):
    off = []
    for seed in range(12):
        values = 10 + 500 * 0.98**K + 0.5 * autoregression(np.random.default_rng(seed), rho)
        floor = find_floor(values, limit, eps())
        assert floor is not None
        assert not floor.rounding
        assert floor.spread == pytest.approx(0.5, rel=2 * RATE_SEEN)
        # The mean of n values has the variance sd^2 (1 + rho) / (1 - rho) / n.
        n = N - floor.start
        assert floor.error == pytest.approx(0.5 * np.sqrt((1 + rho) / (1 - rho) / n), rel=1.0)
        off.append((floor.level - 10) / floor.error)
    assert np.abs(off).max() < 4
    assert np.sqrt(np.mean(np.square(off))) < 1.6


@pytest.mark.parametrize(
    "falling",
    [
        0.999**K,
        1 / K,
        1 / np.log(K + 1),
        np.exp(-0.02 * K) * (1.5 + np.sin(K)),
        np.abs(np.cos(0.1 * K)) * 0.998**K,
        (2 + (-1) ** K) * 0.999**K,
    ],
    ids=["geometric", "1/k", "1/log k", "sine", "momentum", "alternating"],
)
def test_what_still_falls_has_no_floor(falling):
    assert find_floor(falling[falling > 1e-12], None, eps()) is None
    for seed in range(5):
        noisy = falling * (1 + 10**-1.5 * np.random.default_rng(seed).normal(size=N))
        assert find_floor(noisy, 0.0, eps()) is None


@pytest.mark.parametrize("level", [0.3, -7.0, 1e6])
def test_values_the_same_to_rounding(level):
    values = level + 0.8 ** np.arange(400.0)
    floor = find_floor(values, None, eps())
    assert floor.rounding
    assert floor.level == pytest.approx(level, rel=16 * eps())
    assert 60 < floor.start < 250


@pytest.mark.parametrize("decimals", [2, 4, 6])
def test_printed_values_are_told_apart_by_their_last_decimal(decimals):
    printed = np.round(0.31 + 0.9 ** np.arange(300.0), decimals)
    assert resolution(printed, eps()) == pytest.approx(10.0**-decimals / 16, rel=1e-6)
    assert resolution(0.31 + 0.9 ** np.arange(300.0), eps()) == pytest.approx(0.31 * eps())


def test_values_of_single_precision_keep_its_unit_when_something_is_subtracted():
    single = (0.3 + 0.9 ** np.arange(400.0)).astype(np.float32).astype(np.float64)
    assert resolution(single - 0.3, eps()) == pytest.approx(2.0**-25 / 16, rel=1e-3)


def test_a_random_walk_rests_on_no_floor():
    found = [
        find_floor(np.exp(0.1 * np.random.default_rng(s).normal(size=300).cumsum()), 0.0, eps()) for s in range(40)
    ]
    assert sum(floor is not None and floor.start > 0 for floor in found) <= 4


@pytest.mark.parametrize("sd", [0.0, 10**-1.5])
def test_a_floor_that_is_only_coming_in_sight(sd):
    k = np.arange(1.0, 81.0)
    r = (0.9**k + 1e-3) * (1 + sd * np.random.default_rng(0).normal(size=80))
    found = partial_floor(k, r)
    assert abs(found.level - 1e-3) <= max(4 * found.error, 1e-9)
    assert np.exp(-found.fall) == pytest.approx(0.9, rel=0.01)
    assert partial_floor(k[:30], r[:30]) is None
