"""Averages beside the plain means that they stand for."""

import math
import pickle

import numpy as np
import pytest

from thalweg.core.errors import InputError
from thalweg.methods.averaging import ExponentialAverage, PolyakAverage, WeightAverage
from tolerances import summation

ITERATES = np.random.default_rng(0).normal(size=(50, 3))


def running(average, iterates=ITERATES):
    mean, seen = np.full(3, np.nan), []
    for weight, x in zip(average.weights(1, len(iterates)), iterates, strict=True):
        if weight:
            mean = x if weight == 1 else mean + weight * (x - mean)
        seen.append(mean)
    return seen


@pytest.mark.parametrize("after", [0, 1, 20])
def test_polyak_average_is_the_mean(after):
    seen = running(PolyakAverage(after))
    assert np.isnan(seen[:after]).all()
    for t in range(after + 1, 51):
        np.testing.assert_allclose(seen[t - 1], ITERATES[after:t].mean(axis=0), rtol=0, atol=summation(50))


@pytest.mark.parametrize("decay", [0.0, 0.5, 0.99])
def test_exponential_average_has_weights_that_sum_to_one(decay):
    for t in (1, 2, 7, 50):
        weights = decay ** np.arange(t - 1, -1, -1.0)
        expected = weights @ ITERATES[:t] / weights.sum()
        np.testing.assert_allclose(running(ExponentialAverage(decay))[t - 1], expected, rtol=0, atol=4 * summation(50))


def test_weight_average_collects_the_ends_of_cycles():
    seen = running(WeightAverage(cycle=8, after=5))
    assert np.isnan(seen[:12]).all()
    for t in range(13, 51):
        collected = ITERATES[12:t:8]
        np.testing.assert_allclose(seen[t - 1], collected.mean(axis=0), rtol=0, atol=summation(50))


@pytest.mark.parametrize("average", [PolyakAverage(3), ExponentialAverage(0.9), WeightAverage(4, 2)])
def test_weights_of_a_part_are_a_part_of_the_weights(average):
    np.testing.assert_array_equal(average.weights(17, 9), average.weights(1, 25)[16:])
    assert average.weights(1, 25)[average.weights(1, 25) > 0][0] == 1.0
    assert pickle.loads(pickle.dumps(average)) == average


@pytest.mark.parametrize(
    "make",
    [
        lambda: PolyakAverage(-1),
        lambda: PolyakAverage(2.5),
        lambda: ExponentialAverage(1.0),
        lambda: ExponentialAverage(math.nan),
        lambda: WeightAverage(0),
        lambda: WeightAverage(3, True),
    ],
)
def test_bad_settings_are_refused(make):
    with pytest.raises(InputError) as caught:
        make()
    assert caught.value.remedy
