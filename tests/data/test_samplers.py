"""Samplers: what each way of drawing promises, and that batches follow from seed and epoch alone."""

import numpy as np
import pytest

from thalweg.core.errors import InputError
from thalweg.core.random import spawn
from thalweg.data.samplers import SAMPLINGS, Sampler


@pytest.mark.parametrize("sampling", ["reshuffle", "shuffle-once", "sequential"])
@pytest.mark.parametrize(("n", "batch_size"), [(1, 1), (7, 1), (7, 3), (7, 7), (12, 4)])
def test_without_replacement_every_example_comes_once_an_epoch(sampling, n, batch_size):
    sampler = Sampler(n, batch_size, sampling, seed=3)
    for epoch in range(3):
        batches = list(sampler.batches(epoch))
        assert sorted(np.concatenate(batches)) == list(range(n))
        assert len(batches) == sampler.updates == -(-n // batch_size)
        # A last batch that is smaller is kept.
        assert [len(batch) for batch in batches] == [batch_size] * (n // batch_size) + [n % batch_size] * (
            n % batch_size > 0
        )


def test_orders_change_or_stay_as_the_name_says():
    orders = {s: [Sampler(50, 8, s, seed=1).order(epoch).tolist() for epoch in range(3)] for s in SAMPLINGS}
    assert orders["shuffle-once"][0] == orders["shuffle-once"][1] == orders["shuffle-once"][2]
    assert orders["shuffle-once"][0] != list(range(50))
    assert orders["sequential"] == [list(range(50))] * 3
    for sampling in ("reshuffle", "replacement"):
        assert len({tuple(order) for order in orders[sampling]}) == 3


def test_draws_with_replacement_are_even_and_independent():
    """Counts of 20,000 draws from 20 are multinomial: their chi-square has mean 19 and standard deviation 6.2."""
    sampler = Sampler(20, 5, "replacement", seed=2)
    draws = np.concatenate([sampler.order(epoch) for epoch in range(1000)])
    counts = np.bincount(draws, minlength=20)
    assert np.square(counts - 1000).sum() / 1000 < 19 + 4 * 6.2
    repeats = np.mean([len(set(sampler.order(epoch))) < 20 for epoch in range(100)])
    assert repeats == 1.0  # 20 draws that all differ have probability 2e-8


def test_the_positions_of_an_example_in_a_shuffle_are_even():
    sampler = Sampler(10, 1, "reshuffle", seed=4)
    places = np.array([np.flatnonzero(sampler.order(epoch) == 0)[0] for epoch in range(2000)])
    counts = np.bincount(places, minlength=10)
    assert np.square(counts - 200).sum() / 200 < 9 + 4 * np.sqrt(18)


def test_epochs_are_the_children_that_the_seed_spawns():
    """A run resumes at any epoch without a saved generator."""
    sampler = Sampler(30, 4, "reshuffle", seed=9)
    for epoch, child in enumerate(spawn(9, 5)):
        np.testing.assert_array_equal(sampler.order(epoch), child.permutation(30))


def test_more_examples_than_an_epoch_has_are_further_shuffles():
    order = Sampler(7, 2, "reshuffle", seed=5).order(0, 17)
    assert sorted(order[:7]) == sorted(order[7:14]) == list(range(7))
    assert len(order) == 17
    assert order[:7].tolist() != order[7:14].tolist()
    assert Sampler(3, 1, "shuffle-once", seed=5).order(2, 6).reshape(2, 3).std(axis=0).max() == 0
    assert Sampler(3, 1, "sequential").order(0, 5).tolist() == [0, 1, 2, 0, 1]


def test_a_batch_larger_than_the_sum_is_the_sum():
    assert Sampler(5, 32).batch_size == 5
    assert Sampler(5, 32).updates == 1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"n": 0}, "n=0"),
        ({"n": 2.5}, "n=2.5"),
        ({"batch_size": 0}, "batch_size=0"),
        ({"batch_size": True}, "batch_size=True"),
        ({"batch_size": np.nan}, "batch_size=nan"),
        ({"sampling": "random"}, "sampling='random'"),
        ({"seed": -1}, "seed=-1"),
    ],
)
def test_bad_settings_are_named(change, words):
    with pytest.raises(InputError) as caught:
        Sampler(**{"n": 10, **change})
    assert words in str(caught.value)
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("arguments", "words"), [((-1,), "epoch=-1"), ((0.5,), "epoch=0.5"), ((None,), "epoch=None"), ((0, 0), "count=0")]
)
def test_bad_epochs_are_named(arguments, words):
    for draw in (Sampler(10).order, lambda *given: next(Sampler(10).batches(*given))):
        with pytest.raises(InputError, match=words):
            draw(*arguments)
