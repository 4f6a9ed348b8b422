"""Erratic falls that get larger are superlinear; those that do not, and noise, are not."""

import numpy as np
import pytest

from thalweg.core.random import generator
from thalweg.theory.rate_bend import bend
from thalweg.theory.rates import RateKind, rate

COUNT = np.arange(13.0)
GROWTH = 1.2 + 0.14 * COUNT


def indexed(y):
    return bend(np.arange(1.0, len(y) + 1), y)


def record(falls):
    return np.exp(-np.concatenate(([0.0], np.cumsum(falls))))


def erratic(seed):
    """Factors such as those by which the falls of a quasi-Newton method leave their trend."""
    return np.exp(0.35 * generator(seed).normal(size=len(COUNT)))


@pytest.mark.parametrize(("seed", "limit"), [(2, 0.0), (3, 0.0), (2, None)])
def test_erratic_falls_that_grow_are_superlinear(seed, limit):
    found = rate(record(GROWTH * erratic(seed)) + (0.5 if limit is None else 0.0), limit=limit)
    assert found.kind is RateKind.SUPERLINEAR, found
    assert 0.5 <= found.confidence <= 0.7
    assert "falls get larger" in found.why


@pytest.mark.parametrize("seed", [2, 3])
def test_the_same_falls_in_reverse_or_without_their_growth_are_not(seed):
    assert indexed(np.log(record(GROWTH * erratic(seed))))
    assert not indexed(np.log(record((GROWTH * erratic(seed))[::-1])))
    assert not indexed(np.log(record(GROWTH[::-1] * erratic(seed))))


def test_noise_on_a_line_does_not_bend_it():
    random = generator(0)
    for _ in range(200):
        count = int(random.integers(8, 60))
        noise = 10 ** random.uniform(-3, -0.5) * random.normal(size=count)
        assert not indexed(-14 / count * np.arange(count) * random.uniform(1, 2) + noise)


def test_falls_without_a_trend_bend_it_by_chance_only():
    random = generator(1)
    bent = [indexed(np.log(record(2 * np.exp(0.4 * random.normal(size=13))))) for _ in range(200)]
    assert np.mean([bool(why) for why in bent]) < 0.1


@pytest.mark.parametrize("y", [-(COUNT[:7] ** 2), -0.001 * COUNT**2, -(COUNT**2) + 5 * COUNT])
def test_few_values_few_decades_or_rises_do_not_count(y):
    assert not indexed(y)
