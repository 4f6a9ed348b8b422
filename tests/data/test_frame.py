# ruff: noqa: E501 (each case keeps its whole message on one line, as a user reads it)
"""pandas and Polars frames: the same rules for both, column by column."""

import datetime

import numpy as np
import pandas as pd
import polars as pl
import pytest

from thalweg.core.errors import InputError
from thalweg.data import load_table

COLUMNS = {
    "size": [1.0, 2.5, 3.0, 4.0],
    "count": [3, 1, 4, 1],
    "new": [True, False, True, True],
    "color": ["red", "green", "blue", "red"],
    "t": ["yes", "no", "no", "yes"],
}
EXPECTED = [[1, 3, 1, 0, 0, 1], [2.5, 1, 0, 0, 1, 0], [3, 4, 1, 1, 0, 0], [4, 1, 1, 0, 0, 1]]
MIXED = {
    "pandas": lambda: pd.DataFrame(COLUMNS),
    "pandas object": lambda: pd.DataFrame(COLUMNS).astype({"color": object, "t": object, "new": object}),
    "pandas category": lambda: pd.DataFrame(COLUMNS).astype({"color": "category", "t": "category"}),
    "pandas nullable": lambda: pd.DataFrame(COLUMNS).convert_dtypes(),
    "pandas float16": lambda: pd.DataFrame(COLUMNS).astype({"size": np.float16}),
    "polars": lambda: pl.DataFrame(COLUMNS),
    "polars category": lambda: pl.DataFrame(COLUMNS).with_columns(pl.col("color", "t").cast(pl.Categorical)),
    "polars enum": lambda: pl.DataFrame(COLUMNS).with_columns(pl.col("color").cast(pl.Enum(["red", "green", "blue"]))),
    "polars decimal": lambda: pl.DataFrame(COLUMNS).with_columns(pl.col("size").cast(pl.Decimal(10, 2))),
}


@pytest.mark.parametrize("form", MIXED)
def test_mixed_columns(form):
    table = load_table(MIXED[form]())
    assert table.X.tolist() == EXPECTED
    assert table.X.dtype == np.float64
    assert table.y.tolist() == COLUMNS["t"]
    assert table.y.dtype.kind == "U"
    assert table.feature_names == ("size", "count", "new", "color=blue", "color=green", "color=red")
    assert table.notes[:2] == (
        "column 'new' (bool) became 0/1",
        "column 'color' (text, 3 values) became 3 indicator columns",
    )
    assert table.notes[2] == "1 whole-number column was converted to floats"


def test_frame_of_floats_is_not_copied():
    frame = pd.DataFrame(np.random.default_rng(0).normal(size=(6, 3)), columns=list("abt"))
    assert np.shares_memory(load_table(frame).X, frame.to_numpy())
    assert load_table(frame, "b").feature_names == ("a", "t")


@pytest.mark.parametrize("make", [pd.DataFrame, pl.DataFrame])
def test_single_precision_stays(make):
    values = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)
    frame = make({name: values[:, i] for i, name in enumerate("abt")})
    table = load_table(frame)
    assert table.X.dtype == np.float32
    assert np.array_equal(table.X, values[:, :2])
    assert table.y.dtype == np.float32


def test_pandas_labels_that_are_no_strings():
    frame = pd.DataFrame(np.arange(8.0).reshape(2, 4) ** 2, columns=[10, 20, 3, ("a", 1)])
    table = load_table(frame, target=20)
    assert table.target_name == "20"
    assert table.feature_names == ("10", "3", "('a', 1)")
    assert load_table(frame, target=3).target_name == "3"
    assert load_table(frame, target=0).target_name == "10"


@pytest.mark.parametrize("make", [pd.DataFrame, pl.DataFrame])
@pytest.mark.parametrize("target", ["count", "new", "size"])
def test_other_targets(make, target):
    table = load_table(make(COLUMNS), target)
    assert table.y.tolist() == COLUMNS[target]
    assert table.target_name == target


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (pl.DataFrame({"a": [1.0, None], "t": [1, 2]}), "frame: row 2, column 'a' is missing (1 missing cell in this column); fill the cells in, or drop these rows or the column"),
        (pl.DataFrame({"a": [1.0, 2.0], "t": [1, None]}), "frame: row 2, column 't' is missing (1 missing cell in this column); fill the cells in, or drop these rows or the column"),
        (pl.DataFrame({"a": [1.0, np.nan], "t": [1, 2]}), "frame: row 2, column 'a' is nan; drop the row or fill the value in"),
        (pd.DataFrame({"a": [1.0, np.nan], "t": [1, 2]}), "frame: row 2, column 'a' is nan; drop the row or fill the value in"),
        (pd.DataFrame({"a": [1.0, 3.0], "t": [1, np.inf]}), "frame: row 2, column 't' is inf; drop the row or replace the value by a finite number"),
        (pd.DataFrame({"a": pd.array([1, None], "Int64"), "t": [1, 2]}), "frame: row 2, column 'a' is missing (1 missing cell in this column); fill the cells in, or drop these rows or the column"),
        (pd.DataFrame({"a": ["x", None], "t": [1, 2]}), "frame: row 2, column 'a' is missing (1 missing cell in this column); fill the cells in, or drop these rows or the column"),
        (pd.DataFrame({"a": [1, 2, "low"], "t": [1, 2, 3]}), "frame: row 3, column 'a': 'low' is of type str, unlike other cells of this column; make the column one type: numbers, bool or text"),
        (pd.DataFrame({"a": ["x", "y", 7], "t": [1, 2, 3]}), "frame: row 3, column 'a': 7 is of type int, unlike other cells of this column; make the column one type: numbers, bool or text"),
        (pd.DataFrame({"a": [1, 2]}, dtype=object).assign(t=[1, 2]), "frame: column 'a' has dtype=object though every cell is a number; convert it: frame['a'] = frame['a'].astype(float)"),
        (pd.DataFrame([[1, 2, 3]], columns=["a", "b", "a"]), "frame: columns 1 and 3 are both named 'a'; rename or drop one of them"),
        (pd.DataFrame({"a": pd.to_datetime(["2020-01-02", "2020-01-03"]), "t": [1, 2]}), "frame: row 1, column 'a': '2020-01-02 00:00:00' is a date or a time"),
        (pl.DataFrame({"a": [datetime.date(2020, 1, 2)] * 2, "t": [1, 2]}), "frame: row 1, column 'a': '2020-01-02' is a date or a time (Date), not a number; drop the column, or replace it by numbers such as days since a start"),
        (pl.DataFrame({"a": [[1], [2]], "t": [1, 2]}), "frame: column 'a' has type List(Int64), which is neither number, bool nor text; drop the column or split it into columns of numbers"),
        (pl.DataFrame({"a": ["1", "2"], "t": [1, 2]}), "frame: column 'a' has type text but all its cells are numbers, e.g. '1'; cast it to float, or to a categorical type if the values are names"),
        (pd.DataFrame({"a": ["1", "2", "x"], "t": [1, 2, 3]}), "frame: row 3, column 'a': 'x' is not a number (1 bad cell in this column); correct the cells, or drop these rows or the column"),
        (pd.DataFrame({"a": [1 + 1j, 2], "t": [1, 2]}), "frame: row 1, column 'a': (1+1j) is of type complex"),
        (pd.DataFrame({"a": pd.period_range("2020", periods=2, freq="M"), "t": [1, 2]}), "frame: column 'a' has type period[M], which is neither number, bool nor text; convert or drop the column"),
    ],
)  # fmt: skip
def test_refused(frame, message):
    with pytest.raises(InputError) as caught:
        load_table(frame)
    assert str(caught.value).startswith(message)
    assert "; " in str(caught.value)
