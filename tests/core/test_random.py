"""Seeds: the same stream for the same number, independent children, and errors that name the argument."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from thalweg.core.errors import InputError
from thalweg.core.random import generator, spawn


@given(st.integers(min_value=0, max_value=2**200))
def test_a_whole_number_gives_numpys_stream_for_it(seed):
    np.testing.assert_array_equal(generator(seed).random(4), np.random.default_rng(seed).random(4))


@pytest.mark.parametrize("kind", [np.int64, np.uint8, np.array])
def test_numpy_integers_are_whole_numbers(kind):
    assert generator(kind(7)).random() == generator(7).random()


def test_a_generator_is_passed_on_and_none_differs_every_time():
    own = np.random.default_rng(1)
    assert generator(own) is own
    assert generator(None).random() != generator(None).random()


def test_the_global_generator_is_neither_read_nor_changed():
    before = np.random.get_state()[1].copy()  # noqa: NPY002 - the legacy global state is what must stay untouched
    generator(None).random(10)
    generator(3).random(10)
    spawn(3, 2)[1].random(10)
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002


@pytest.mark.parametrize(
    "seed", [-1, 1.0, np.float64(2), True, np.True_, "7", [1, 2], float("nan"), np.array([1]), np.random.RandomState(0)]
)  # fmt: skip
@pytest.mark.parametrize(
    "call", [lambda seed: generator(seed, name="data_seed"), lambda s: spawn(s, 2, name="data_seed")]
)
def test_a_seed_that_is_none_of_these_is_named_with_its_value(call, seed):
    with pytest.raises(InputError, match=r"^data_seed=.* is not a whole number >= 0; pass data_seed=0$"):
        call(seed)


@pytest.mark.parametrize("count", [-1, 2.0, True])
def test_a_bad_count_is_named(count):
    with pytest.raises(InputError, match="^count="):
        spawn(0, count)


def test_children_of_a_number_repeat_and_do_not_depend_on_how_many():
    few = [child.random() for child in spawn(5, 2)]
    many = [child.random() for child in spawn(5, 6)]
    assert many[:2] == few
    assert len(set(many)) == 6
    assert generator(5).random() not in many
    assert spawn(5, 0) == []


def test_children_of_a_generator_differ_at_each_call_and_leave_its_stream_alone():
    own, twin = generator(5), generator(5)
    first, second = spawn(own, 1)[0].random(), spawn(own, 1)[0].random()
    assert first != second
    assert own.random() == twin.random()


def test_children_are_uncorrelated():
    draws = np.stack([child.standard_normal(20_000) for child in spawn(11, 6)])
    correlation = np.corrcoef(draws) - np.eye(6)
    # Independent streams correlate like N(0, 1/20000): 5 standard deviations over 15 pairs.
    assert np.abs(correlation).max() < 5 / np.sqrt(20_000)


def test_a_generator_without_a_seed_sequence_says_what_to_pass():
    class Bare(np.random.bit_generator.ISeedSequence):
        def generate_state(self, n_words, dtype=np.uint32):
            return np.arange(n_words, dtype=dtype)

    with pytest.raises(InputError, match="carries no seed sequence.*default_rng"):
        spawn(np.random.Generator(np.random.PCG64(Bare())), 2)
