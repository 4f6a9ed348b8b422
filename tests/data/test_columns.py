"""Constant and equal columns are found, in dense and sparse data, small and large."""

import numpy as np
import pytest
from scipy import sparse

from thalweg.data import columns
from thalweg.data.columns import column_notes


def names(d):
    return [f"c{i}" for i in range(d)]


def as_given(X):
    return X


@pytest.mark.parametrize("form", [as_given, np.asfortranarray, np.float32, sparse.csr_array])
@pytest.mark.parametrize("n", [2, 3, 65, 10_000])
def test_states_both(form, n):
    X = np.random.default_rng(0).normal(size=(n, 7)).astype(np.float32).astype(float)
    X[:, 1] = 2.5
    X[:, 4] = X[:, 2]
    X[:, 6] = X[:, 2]
    assert column_notes(form(X), names(7)) == (
        "column 'c1' is constant: its coefficient is 0",
        "columns 'c2', 'c4' and 'c6' are equal",
    )


@pytest.mark.parametrize("form", [as_given, sparse.csr_array])
def test_one_row_makes_the_difference(form):
    X = np.zeros((9_001, 4))
    X[17, 1] = 1.0
    X[17, 2] = 1.0
    X[9_000, 2] = 1.0
    X[4_500, 3] = 1.0
    assert column_notes(form(X), names(4)) == ("column 'c0' is constant: its coefficient is 0",)


@pytest.mark.parametrize("form", [as_given, sparse.csr_array])
def test_signed_zeros_are_equal(form):
    X = np.array([[0.0, -0.0, 1.0], [1.0, 1.0, 2.0], [3.0, 3.0, 0.0]])
    assert column_notes(form(X), names(3)) == ("columns 'c0' and 'c1' are equal",)


def test_stored_zeros_are_zeros():
    X = sparse.csr_array((np.array([0.0, 1.0, 2.0]), np.array([0, 1, 1]), np.array([0, 2, 3])), shape=(2, 2))
    assert column_notes(X, names(2)) == ("column 'c0' is constant: its coefficient is 0",)
    assert X.nnz == 3


def test_long_lists_are_cut():
    X = np.random.default_rng(1).normal(size=(30, 44))
    X[:, :12] = 0.0
    for pair in range(10):
        X[:, 13 + 2 * pair] = X[:, 12 + 2 * pair]
    notes = column_notes(X, names(44))
    assert notes[0].endswith("'c6', 'c7' and 4 more are constant: their coefficients are 0")
    assert len(notes) == 10
    assert notes[-1] == "2 more groups of columns are equal among themselves"


def test_large_sparse_looks_at_a_head_first(monkeypatch):
    monkeypatch.setattr(columns, "_SPARSE_FIRST_LOOK", 50)
    X = np.zeros((200, 8))
    X[:, 0] = 1.0
    X[::3, 1] = X[::3, 2] = 2.0
    X[::3, 3] = 2.0
    X[198, 3] = 5.0
    X[150, 4] = X[150, 5] = 1.0
    X[:, 7] = np.arange(200)
    assert column_notes(sparse.csr_array(X), names(8)) == (
        "columns 'c0' and 'c6' are constant: their coefficients are 0",
        "columns 'c1' and 'c2' are equal",
        "columns 'c4' and 'c5' are equal",
    )


def test_every_rare_indicator_is_told_apart():
    X = np.zeros((5_000, 300))
    X[np.random.default_rng(2).permutation(5_000)[:300], np.arange(300)] = 1.0
    X[:, 299] = X[:, 7]
    assert column_notes(X, names(300)) == ("columns 'c7' and 'c299' are equal",)
