"""Splits are seeded, exact in size and keep every class in the training part."""

import numpy as np
import pytest

from thalweg.core.errors import InputError
from thalweg.data import split_rows


@pytest.mark.parametrize("stratify", [False, True])
@pytest.mark.parametrize("n", [2, 3, 10, 569])
def test_parts_are_disjoint_and_complete(n, stratify):
    y = np.arange(n) % 2
    train, test = split_rows(n, 0, y=y, stratify=stratify)
    assert np.array_equal(np.sort(np.concatenate([train, test])), np.arange(n))
    assert (np.diff(train) > 0).all()
    assert (np.diff(test) > 0).all()
    if not stratify:
        assert test.size == min(max(round(0.2 * n), 1), n - 1)


def test_seed_decides():
    first, again, other = (split_rows(100, seed)[1] for seed in (3, 3, 4))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert np.array_equal(split_rows(100, np.random.default_rng(3))[1], first)


@pytest.mark.parametrize("seed", range(20))
def test_stratified_shares(seed):
    y = np.repeat(["a", "b", "c", "d"], [70, 26, 3, 1])
    train, test = split_rows(100, seed, y=y, stratify=True)
    assert test.size == 20
    assert set(y[train]) == {"a", "b", "c", "d"}
    held = {label: int((y[test] == label).sum()) for label in "abcd"}
    assert held["a"] == 14
    assert held["b"] in {5, 6}
    assert held["d"] == 0


def test_large_fraction_leaves_each_class_a_training_row():
    y = np.array([0, 0, 1, 1, 2, 2])
    train, _ = split_rows(6, 0, held_out=0.95, y=y, stratify=True)
    assert set(y[train]) == {0, 1, 2}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n": 1, "seed": 0}, "n = 1: a split needs at least 2 rows; give more rows"),
        ({"n": 9, "seed": 0, "held_out": 1.0}, "held_out = 1.0; give a fraction"),
        ({"n": 9, "seed": 0, "held_out": 0.0}, "held_out = 0.0; give a fraction"),
        ({"n": 9, "seed": 0, "stratify": True}, "y has shape None but n = 9; pass y"),
        ({"n": 9, "seed": 0, "stratify": True, "y": np.zeros(8)}, r"y has shape \(8,\) but n = 9; pass y"),
    ],
)
def test_errors(arguments, message):
    with pytest.raises(InputError, match=message):
        split_rows(**arguments)
