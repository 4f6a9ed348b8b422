# ruff: noqa: E501 (each case keeps its whole message on one line, as a user reads it)
"""Arrays at the door: what passes untouched, what is converted and said, and what is refused with its place."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy import sparse

from thalweg.core.errors import InputError
from thalweg.data import check_weights, load_table

RNG = np.random.default_rng(0)
X = RNG.normal(size=(20, 3))
Y = RNG.integers(0, 2, 20)


def refused(message, source, **arguments):
    with pytest.raises(InputError) as caught:
        load_table(source, **arguments)
    assert str(caught.value) == message
    assert "\n" not in message


def changed(row, column, value, base=X):
    copy = base.copy()
    copy[row, column] = value
    return copy


@pytest.mark.parametrize(
    "given",
    [X, X.astype(np.float32), np.asfortranarray(X), np.hstack([X, X])[:, ::2], X[::-1], X[::2]],
    ids=["plain", "float32", "fortran", "strided", "reversed", "every other row"],
)
def test_floats_pass_as_they_are(given):
    table = load_table(given, y=Y[: len(given)])
    assert np.shares_memory(table.X, given)
    assert table.X.strides == given.strides
    assert table.notes == ()
    assert table.feature_names == ("x1", "x2", "x3")


@pytest.mark.parametrize("dtype", [np.float16, np.int8, np.int64, np.uint16, bool, np.longdouble, ">f8"])
def test_other_numbers_are_converted_and_said(dtype):
    given = (X * 3).astype(dtype)
    table = load_table(given, y=Y)
    assert table.X.dtype == np.float64
    assert table.X.dtype.isnative
    assert np.array_equal(table.X, given.astype(float))
    assert f"X is {np.dtype(dtype)}: converted to float64" in table.notes


def test_rounded_whole_numbers_are_said():
    given = np.array([[2**53 + 1, 1], [5, 2]])
    assert "X holds whole numbers beyond 2**53: they were rounded to float64" in load_table(given, y=[1, 2]).notes
    assert len(load_table(given[:, 1:], y=[1, 2]).notes) == 1


def test_huge_but_finite_values_pass():
    given = np.full((5, 2), 1.7e308)
    given[0] = -1.0
    assert load_table(given, y=[1e308, 1.5e308, 1.0, 2.0, 3.0]).X is given


@pytest.mark.parametrize(
    ("value", "ending"),
    [
        (np.nan, "is nan; drop the row or fill the value in"),
        (np.inf, "is inf; drop the row or replace the value by a finite number"),
        (-np.inf, "is -inf; drop the row or replace the value by a finite number"),
    ],
)
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_not_finite(value, ending, dtype):
    refused(f"X: row 5, column 'x2' {ending}", changed(4, 1, value).astype(dtype), y=Y)


def test_not_finite_is_found_far_down_and_sparse():
    big = np.zeros((10_000, 2))
    big[9_998] = np.inf, -np.inf
    message = "X: row 9999, column 'x1' is inf; drop the row or replace the value by a finite number"
    refused(message, big, y=np.arange(10_000))
    refused(message, sparse.csc_array(big), y=np.arange(10_000))


@pytest.mark.parametrize(
    ("given", "y", "message"),
    [
        (X[:0], Y[:0], "X has no rows; give at least 2 rows of data"),
        (X[:1], Y[:1], "X has 1 row; give at least 2 rows; one row determines no model"),
        (X[:, :0], Y, "X has no feature columns; give at least 1 feature column beside the target"),
        (X[:, :1], None, "X has one column, 'x1'; give at least one feature column beside the target"),
        (X[:, 0], Y, "X has shape (20,); a table has two dimensions; reshape one feature to a column: X.reshape(-1, 1)"),
        (X[None], Y, "X has shape (1, 20, 3); a table has two dimensions; pass one row per example"),
        (X[:, 0], None, "X has shape (20,); a table has two dimensions; reshape one feature to a column: X.reshape(-1, 1)"),
        (X + 1j, Y, "X has dtype complex128; features are real numbers; pass numpy.hstack([X.real, X.imag]) or one of the two parts"),
        (X.astype(object), Y, "X has dtype=object though every cell is a number; pass X.astype(float)"),
        (X.astype(str), Y, f"X: row 1, column 'x1': {str(X[0, 0])!r} is not a number (dtype <U32); replace it and pass X.astype(float); text columns are accepted in a pandas or Polars frame"),
        (changed(1, 2, "low", X.astype(object)), Y, "X: row 2, column 'x3': 'low' is not a number (dtype object); replace it and pass X.astype(float); text columns are accepted in a pandas or Polars frame"),
        (changed(1, 2, None, X.astype(object)), Y, "X: row 2, column 'x3': None is not a number (dtype object); replace it and pass X.astype(float); text columns are accepted in a pandas or Polars frame"),
        (X.astype("M8[s]"), Y, "X has dtype datetime64[s]; features are real numbers; pass an array of floats"),
        (np.ones(3, [("a", float), ("b", int)]), Y, "X is a structured array with fields a, b; pass numpy.lib.recfunctions.structured_to_unstructured(X)"),
        (np.ma.masked_less(X, X.min() + 1e-9), Y, f"X: row {np.argmin(X.min(1)) + 1} has a masked cell; fill it in: X.filled(value)"),
        (sparse.csr_array(X), None, "X is sparse and y is not given; pass y, one target value per row"),
        (sparse.csr_array(X + 1j), Y, "X is sparse with dtype complex128; features are real numbers; pass X.astype(float)"),
        (sparse.csr_array((1, 3)), [1], "X has 1 row; give at least 2 rows; one row determines no model"),
        (sparse.coo_array(np.ones(3)), [1], "X has shape (3,); a table has two dimensions; pass one row per example"),
    ],
)  # fmt: skip
def test_refused_features(given, y, message):
    refused(message, given, y=y)


def test_masked_array_without_masked_cells_passes():
    assert np.array_equal(load_table(np.ma.array(X), y=Y).X, X)


@pytest.mark.parametrize("form", ["csr", "csc", "coo", "lil", "dok", "dia", "bsr"])
@pytest.mark.parametrize("make", [sparse.csr_array, sparse.csr_matrix])
def test_sparse_formats(form, make):
    table = load_table(make(X).asformat(form), y=Y)
    assert isinstance(table.X, sparse.csr_array)
    assert np.array_equal(table.X.toarray(), X)
    assert table.notes == ()


def test_csr_is_shared_and_never_written():
    given = sparse.csr_array(X.astype(np.float32))
    table = load_table(given, y=Y)
    assert table.X.dtype == np.float32
    assert np.shares_memory(table.X.data, given.data)
    repeated = sparse.csr_array((np.array([1.0, 2.0, 3.0]), np.array([1, 1, 0]), np.array([0, 2, 3])), shape=(2, 2))
    table = load_table(repeated, y=[0, 1])
    assert table.X.toarray().tolist() == [[0.0, 3.0], [3.0, 0.0]]
    assert repeated.nnz == 3
    assert "X had unsorted or repeated entries: sorted, and repeats added up" in table.notes


def test_whole_sparse_is_said():
    assert "X is int64: converted to float64" in load_table(sparse.csr_array(np.eye(3, dtype=int)), y=[1, 2, 3]).notes


@pytest.mark.parametrize(
    "given",
    [Y, Y.tolist(), Y[:, None], pd.Series(Y, index=range(5, 25)), pl.Series(Y), pd.DataFrame({"y": Y}), tuple(Y)],
)
def test_forms_of_target(given):
    assert np.array_equal(load_table(X, y=given).y, Y)


@pytest.mark.parametrize("given", [["a", "b"] * 10, np.array(["a", "b"] * 10), np.array([b"a", b"b"] * 10)])
@pytest.mark.parametrize("form", [lambda y: y, lambda y: np.array(y).astype(str).astype(object)])
def test_text_target(given, form):
    y = load_table(X, y=form(given)).y
    assert y.dtype.kind == "U"
    assert y.tolist() == ["a", "b"] * 10


def test_text_series_and_objects_of_bool():
    assert load_table(X, y=pd.Series(["a", "b"] * 10, dtype="category")).y.tolist() == ["a", "b"] * 10
    assert load_table(X, y=pl.Series(["a", "b"] * 10)).y.tolist() == ["a", "b"] * 10
    assert load_table(X, y=np.array([True, False] * 10, object)).y.dtype == bool


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (Y[:-1], "y has 19 values but X has 20 rows; pass one target value per row"),
        (np.c_[Y, Y], "y has shape (20, 2); one value per row is expected; pass one column, shape (n,)"),
        (np.float64(3), "y has shape (); one value per row is expected; pass one column, shape (n,)"),
        (np.r_[np.ones(19), np.nan], "y: row 20 is nan; drop the row or fill the value in"),
        (np.r_[np.inf, np.ones(19)], "y: row 1 is inf; drop the row or replace the value by a finite number"),
        (Y * 1j, "y has dtype complex128; numbers, bool or strings are expected; convert it first"),
        (Y.astype(object), "y has dtype=object though every value is a number; pass y.astype(float)"),
        (["a", None] * 10, "y: row 2 is missing (None); drop the row or fill the value in"),
        (["a", float("nan")] * 10, "y: row 2 is missing (nan); drop the row or fill the value in"),
        (["a", pd.NA] * 10, "y: row 2 is missing (<NA>); drop the row or fill the value in"),
        (pl.Series(["a", None] * 10), "y: row 2 is missing (None); drop the row or fill the value in"),
        (["a"] * 5 + [3] * 15, "y: row 6 is 3 but row 1 is a string; use one type, e.g. y.astype(str)"),
        ([3] * 5 + ["a"] * 15, "y: row 6 is 'a' but row 1 is a number; use one type, e.g. y.astype(str)"),
        (np.array([{1}] * 20), "y: row 1 is of type set; pass numbers, bool or strings, one per row"),
        ([1, [2]], "y is not one value per row (setting an array element with a sequence. The requested array has an inhomogeneous shape after 1 dimensions. The detected shape was (2,) + inhomogeneous part.); pass one column, shape (n,)"),
    ],
)  # fmt: skip
def test_refused_target(y, message):
    refused(message, X, y=y)


@pytest.mark.parametrize(
    "given", [np.ones(4), [1, 2, 3, 4], np.ones((4, 1)), np.array([True] * 4), pd.Series([1, 2, 3, 4])]
)
def test_weights_pass(given):
    weights, notes = check_weights(given, 4)
    assert weights.dtype == np.float64
    assert np.array_equal(weights, np.ravel(given))
    assert notes == ()


def test_zero_weights_are_said():
    weight = np.r_[np.zeros(2), np.ones(18)]
    table = load_table(X, y=Y, sample_weight=weight)
    assert np.array_equal(table.sample_weight, weight)
    assert table.notes == ("2 of 20 rows have weight 0 and do not count",)
    assert load_table(X, y=Y).sample_weight is None


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        ([1, 2], r"sample_weight has shape \(2,\) but there are 4 rows; pass one weight per row, shape \(4,\)"),
        (np.ones((4, 2)), r"sample_weight has shape \(4, 2\) but there are 4 rows; pass one"),
        ([1, 2, -0.5, 4], r"sample_weight: row 3 is -0\.5; weights are finite and not negative"),
        ([1, np.nan, 2, 4], r"sample_weight: row 2 is nan; weights are finite"),
        ([1, 1, 1, np.inf], r"sample_weight: row 4 is inf; weights are finite"),
        ([0, 0, 0, 0], r"sample_weight is 0 in all 4 rows; give at least one row a positive weight"),
        (["a"] * 4, r"sample_weight has dtype object; numbers are expected; pass sample_weight\.astype\(float\)"),
    ],
)
def test_refused_weights(weight, message):
    with pytest.raises(InputError, match=message):
        check_weights(weight, 4)
