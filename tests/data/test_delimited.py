# ruff: noqa: E501 (each case keeps its whole message on one line, as a user reads it)
"""Delimited text: what is inferred is said; what is wrong is named by row, line, column and cell."""

import numpy as np
import pytest

from thalweg.core.errors import InputError
from thalweg.data import load_table


@pytest.fixture
def load(tmp_path):
    def loader(content, name="s.csv", **arguments):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return load_table(path, **arguments)

    return loader


BAD = {
    "bad cell": ("a,b,c\n1,2,3\n4,abc,6\n7,8,9\n", "row 2 (line 3), column 'b': 'abc' is not a number (1 bad cell in this column); correct the cells, or drop these rows or the column"),
    "bad cell in the target": ("a,b\n1,2\n4,6\n7,high\n", "row 3 (line 4), column 'b': 'high' is not a number (1 bad cell in this column); correct the cells, or drop these rows or the column"),
    "half bad": ("a,b\n1,2\nx,6\n7,1\ny,1\n", "row 2 (line 3), column 'a': 'x' is not a number (2 bad cells in this column); correct the cells, or drop these rows or the column"),
    "bad cell after quoted newlines": ('n,a,b\n"x\ny",1,2\nz,2,3\nw,?,6\n', "row 3 (line 5), column 'a': '?' is not a number (1 bad cell in this column); correct the cells, or drop these rows or the column"),
    "bad cell after blank lines": ("a,b\n\n1,2\n\n\n2,3\nx,6\n", "row 3 (line 7), column 'a': 'x' is not a number (1 bad cell in this column); correct the cells, or drop these rows or the column"),
    "bad cell without header": ("1,2\n3,4\nx,6\n", "row 3 (line 3), column 'x1': 'x' is not a number (1 bad cell in this column); correct the cells, or drop these rows or the column"),
    "empty cell": ("a,b,c\n1,2,3\n4,,6\n7,,9\n", "row 2 (line 3), column 'b' is missing (2 missing cells in this column); fill the cells in, or drop these rows or the column"),
    "NA": ("a,b,c\n1,2,3\n4,5,6\nNA,,9\n", "row 3 (line 4), column 'a' is missing (1 missing cell in this column); fill the cells in, or drop these rows or the column"),
    "NaN": ("a,b\n1,2\n4,NaN\n", "row 2 (line 3), column 'b' is missing (1 missing cell in this column); fill the cells in, or drop these rows or the column"),
    "null in text": ("a,b\nx,2\nnull,3\ny,4\n", "row 2 (line 3), column 'a' is missing (1 missing cell in this column); fill the cells in, or drop these rows or the column"),
    "padded NA": ("a,b\n1, 2\n3, NA\n", "row 2 (line 3), column 'b' is missing (1 missing cell in this column); fill the cells in, or drop these rows or the column"),
    "quoted nothing": ('a,b\n1,"x"\n3,""\n4,y\n', "row 2 (line 3), column 'b' is missing (1 missing cell in this column); fill the cells in, or drop these rows or the column"),
    "inf": ("a,b\n1,2\n-inf,3\n", "row 2 (line 3), column 'a' is -inf; drop the row or replace the value by a finite number"),
    "inf in the target": ("a,b\n1,2\n3,inf\n", "row 2 (line 3), column 'b' is inf; drop the row or replace the value by a finite number"),
    "beyond float64": ("a,b\n1,2\n1e400,3\n", "row 2 (line 3), column 'a' is inf; drop the row or replace the value by a finite number"),
    "short row": ("a,b,c\n1,2,3\n4,5\n", "row 2 (line 3) has 2 fields where 3 are expected; add the missing fields"),
    "long row": ("a,b,c\n1,2,3\n4,5,6,7\n", "row 2 (line 3) has 4 fields where 3 are expected; remove the extra fields, or quote a field that holds the delimiter"),
    "short row before an empty cell": ("a,b,c\n1,,3\n4,5\n", "row 2 (line 3) has 2 fields where 3 are expected; add the missing fields"),
    "short row after a quoted newline": ('a,b,c\n1,2,"x\n\ny"\n4\n', "row 2 (line 5) has 1 field where 3 are expected; add the missing fields"),
    "long row without header": ("1,2,3\n4,5,6,7\n", "row 2 (line 2) has 4 fields where 3 are expected; remove the extra fields, or quote a field that holds the delimiter"),
    "short first row": ("a,b,c\n1,2\n3,4\n", "row 1 (line 2) has 2 fields where 3 are expected; add the missing fields"),
    "open quote": ('a,b\n1,2\n3,"4\n5,6\n', "line 3: the quotes do not match (unexpected end of data); close the quote, or double it inside"),
    "decimal comma": ("a;b\n1,5;2,5\n2,5;3,5\n", "row 1 (line 2), column 'a': '1,5' is not a number (it has a decimal comma); write decimal points, or load the file with pandas.read_csv(path, sep=';', decimal=',')"),
    "decimal comma without header": ("1,5;2,5\n2,5;3,5\n", "row 1 (line 1), column 'x1': '1,5' is not a number (it has a decimal comma); write decimal points, or load the file with pandas.read_csv(path, sep=';', decimal=',')"),
    "date": ("a,b\n2020-01-31,1\n2020-02-01,2\n", "row 1 (line 2), column 'a': '2020-01-31' is a date or a time (date), not a number; drop the column, or replace it by numbers such as days since a start"),
    "date and time": ("a,b\n2020-01-31T10:00:01,1\n2020-02-01 11:00,2\n", "row 1 (line 2), column 'a': '2020-01-31T10:00:01' is a date or a time (date), not a number; drop the column, or replace it by numbers such as days since a start"),
    "repeated name": ("a,b,a\n1,2,3\n", "columns 1 and 3 are both named 'a'; rename or drop one of them"),
    "index without a name": (",a,b\n0,2,3\n1,3,4\n", "column 1 has no name in the header; name it, or write the file without its index (pandas: to_csv(index=False))"),
    "latin-1": ("a,b\n1,2\n3,\xe9\n".encode("latin-1"), "byte 0xe9 on line 3 is not UTF-8; save it as UTF-8, e.g. iconv -f latin1 -t utf-8 s.csv"),
    "UTF-16": ("a,b\n1,2\n".encode("utf-16-le"), "byte 2 is 0, so this is not UTF-8 text; save it as UTF-8 text"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_place_and_remedy(case, load):
    content, message = BAD[case]
    with pytest.raises(InputError) as caught:
        load(content)
    assert str(caught.value) == f"s.csv: {message}"


WHOLE = {
    "empty": ("", "s.csv is empty; give a file with a header line and at least 2 rows"),
    "blank": ("\n\n", "s.csv is empty; give a file with a header line and at least 2 rows"),
    "only a mark": (b"\xef\xbb\xbf", "s.csv is empty; give a file with a header line and at least 2 rows"),
    "header only": ("a,b\n", "s.csv has a header and no rows; give at least 2 rows of data"),
    "one row": ("a,b\n1,2\n", "s.csv has 1 row; give at least 2 rows; one row determines no model"),
    "one column": ("a\n1\n2\n", "s.csv has one column, 'a'; give at least one feature column beside the target"),
}


@pytest.mark.parametrize("case", WHOLE)
def test_too_little(case, load):
    content, message = WHOLE[case]
    with pytest.raises(InputError) as caught:
        load(content)
    assert str(caught.value) == message


def test_missing_target_names_the_closest(load):
    with pytest.raises(InputError, match=r"s\.csv has no column 'prise'; did you mean 'price'\?"):
        load("size,price\n1,2\n3,4\n", target="prise")


def test_too_many_values(load):
    rows = "".join(f"person {i},{i}\n" for i in range(1001))
    with pytest.raises(InputError, match=r"s\.csv: column 'a' is text with 1001 different values, .*drop it or group"):
        load("a,b\n" + rows)


def test_text_becomes_indicators(load):
    table = load("color,sex,size,t\nred,m,1,yes\ngreen, f,2.5,no\nblue,m,3,no\nred,f,4,yes\n")
    assert table.feature_names == ("color=blue", "color=green", "color=red", "sex=m", "size")
    assert table.X.tolist() == [[0, 0, 1, 1, 1], [0, 1, 0, 0, 2.5], [1, 0, 0, 1, 3], [0, 0, 1, 0, 4]]
    assert table.y.tolist() == ["yes", "no", "no", "yes"]
    assert table.notes == (
        "column 'color' (text, 3 values) became 3 indicator columns",
        "column 'sex' (text, 2 values) became 1 indicator column 'sex=m'",
    )


def test_one_text_value_is_a_constant_column(load):
    notes = load("a,b,t\nx,1,2\nx,2,3\nx,5,4\n").notes
    assert notes[0] == "column 'a' (text, 1 value) became 1 indicator column 'a=x'"
    assert notes[1] == "column 'a=x' is constant: its coefficient is 0"


@pytest.mark.parametrize("words", [("true", "false"), ("True", "False"), ("TRUE", "FALSE")])
def test_bool(words, load):
    yes, no = words
    table = load(f"a,b,t\n{yes},1,{no}\n{no},2,{yes}\n{yes},4,{yes}\n")
    assert table.X[:, 0].tolist() == [1, 0, 1]
    assert table.y.dtype == bool
    assert table.y.tolist() == [False, True, True]
    assert "column 'a' (bool) became 0/1" in table.notes


def test_numbers_in_many_spellings(load):
    table = load("a,b,t\n 1 ,+2,1e3\n2.,.5,-1E-2\n3,12345678901234567890,7\n")
    assert table.X.tolist() == [[1, 2], [2, 0.5], [3, 12345678901234567890.0]]
    assert table.y.tolist() == [1000, -0.01, 7]


def test_quoted_delimiters_and_newlines(load):
    table = load('"size, in m",t\n1,"a, b"\n2,"c\nd"\n4,"say ""hi"""\n')
    assert table.feature_names == ("size, in m",)
    assert table.y.tolist() == ["a, b", "c\nd", 'say "hi"']


@pytest.mark.parametrize(
    ("content", "count"),
    [("a,b\n1,2\n\n3,4\n", "1 blank line"), ("\n\na,b\n1,2\n3,4\n", "2 blank lines"), ("a,b\r\n1,2\r\n3,4\r\n\r\n", "1 blank line")],
)  # fmt: skip
def test_blank_lines_are_skipped_and_said(content, count, load):
    table = load(content)
    assert table.X.tolist() == [[1], [3]]
    assert table.y.tolist() == [2, 4]
    assert table.feature_names == ("a",)
    assert table.notes in {(f"s.csv: {count} skipped",), ()}


def test_no_header_is_said(load):
    table = load("5.1,3.5,setosa\n4.9,3.0,virginica\n6.1,2.2,setosa\n")
    assert table.feature_names == ("x1", "x2")
    assert table.target_name == "x3"
    assert table.y.tolist() == ["setosa", "virginica", "setosa"]
    assert table.notes == ("the first line of s.csv is data, so there is no header: columns are named x1 to x3",)


@pytest.mark.parametrize("names", ["0,1,2,3,4", "1,2,3,4,5,target", "0,1,2,3,4,target"])
def test_counted_names_are_a_header(names, load):
    count = names.count(",") + 1
    rows = np.arange(2 * count).reshape(2, count)[:, ::-1]
    table = load(names + "\n" + "\n".join(",".join(map(str, row)) for row in rows) + "\n")
    assert (*table.feature_names, table.target_name) == tuple(names.split(","))
    assert np.array_equal(table.X, rows[:, :-1])
    assert table.notes == ("the first line of s.csv counts its columns, so it is the header",)


def test_rows_far_down_are_found(load):
    rows = [f"{i},{i % 7},{i % 2}" for i in range(20_000)]
    rows[15_000] = "1,oops,0"
    with pytest.raises(InputError, match=r"row 15001 \(line 15002\), column 'b': 'oops' is not a number"):
        load("a,b,t\n" + "\n".join(rows) + "\n")
    rows[15_000] = "1,0"
    with pytest.raises(InputError, match=r"row 15001 \(line 15002\) has 2 fields where 3 are expected"):
        load("a,b,t\n" + "\n".join(rows) + "\n")


def test_numbers_survive_exactly(load):
    values = np.random.default_rng(0).normal(size=(50, 3)) * 10.0 ** np.arange(-120, 180, 100)
    content = "a,b,t\n" + "\n".join(",".join(map(repr, row)) for row in values.tolist()) + "\n"
    table = load(content)
    assert np.array_equal(table.X, values[:, :2])
    assert np.array_equal(table.y, values[:, 2])


@pytest.mark.parametrize("last", ["2.5,0.5,0", "9,1e3,x", "9,7,False"])
def test_a_type_that_changes_far_down(last, load):
    rows = [f"{i},{i % 7},{i % 2}" for i in range(3_000)]
    end = last.split(",")
    if end[2] == "0":
        table = load("a,b,t\n" + "\n".join([*rows, last]) + "\n")
        assert table.X[-1].tolist() == [float(end[0]), float(end[1])]
        assert table.X[:3_000, 0].tolist() == list(range(3_000))
        assert table.y.tolist() == [i % 2 for i in range(3_000)] + [0]
    else:
        with pytest.raises(InputError, match=rf"row 3001 \(line 3002\), column 't': '{end[2]}' is not a number"):
            load("a,b,t\n" + "\n".join([*rows, last]) + "\n")
