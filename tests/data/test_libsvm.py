# ruff: noqa: E501 (each case keeps its whole message on one line, as a user reads it)
"""LIBSVM text: indices from 0 or 1 are told apart and said; a bad line is named."""

import gzip

import pytest
from scipy import sparse

from thalweg.core.errors import InputError
from thalweg.data import load_table


@pytest.fixture
def load(tmp_path):
    def loader(content, name="s.libsvm", **arguments):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return load_table(path, **arguments)

    return loader


@pytest.mark.parametrize("first", [0, 1])
def test_indices(first, load):
    table = load(f"# made by hand\n+1 {first}:1.5 {first + 2}:2 # a\n-1 qid:3 {first + 1}:-3\n\n1 {first}:4\n")
    assert isinstance(table.X, sparse.csr_array)
    assert table.X.toarray().tolist() == [[1.5, 0, 2], [0, -3, 0], [4, 0, 0]]
    assert table.y.tolist() == [1, -1, 1]
    assert table.feature_names == ("x1", "x2", "x3")
    assert table.target_name == "label"
    assert table.notes[0] == f"indices in s.libsvm start at {first}: column x1 is index {first}"


def test_packed(load):
    content = gzip.compress(b"1 1:1 2:2\n0 1:4 2:3\n")
    assert load(content, "s.svm.gz").X.toarray().tolist() == [[1, 2], [4, 3]]


def test_text_that_is_not_libsvm_is_delimited(load):
    assert load("a b,t\n1,2\n3,4\n", "s.txt").feature_names == ("a b",)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("1 1:2\n\nx 1:3\n", "s.libsvm: row 2 (line 3): label 'x' is not a number; start each line with one numeric label"),
        ("1 1:2\n1 2\n", "s.libsvm: row 2 (line 2): '2' is not of the form index:value; write e.g. 3:0.5"),
        ("1 1:2\n1 a:2\n", "s.libsvm: row 2 (line 2): 'a:2' is not of the form index:value; write e.g. 3:0.5"),
        ("1 1:2\n1 2:low\n", "s.libsvm: row 2 (line 2), index 2: 'low' is not a number; correct or drop the entry"),
        ("1 1:2\n1 3:1 2:1\n", "s.libsvm: row 2 (line 2): index 2 comes after index 3; write each index once, in ascending order"),
        ("1 1:2\n1 2:1 2:1\n", "s.libsvm: row 2 (line 2): index 2 comes after index 2; write each index once, in ascending order"),
        ("# nothing\n1 1:2\n1 2:nan\n", "s.libsvm: row 2 (line 3), column 'x2' is nan; drop the row or fill the value in"),
        ("1 1:2\ninf 2:3\n", "s.libsvm: row 2 (line 2), column 'label' is inf; drop the row or replace the value by a finite number"),
        ("\n# nothing\n", "s.libsvm is empty; give at least 2 rows of the form 'label index:value ...'"),
        ("1 1:2\n", "s.libsvm has 1 row; give at least 2 rows; one row determines no model"),
        ("1\n0\n", "s.libsvm holds labels and no index:value entry; write lines 'label index:value ...'"),
    ],
)  # fmt: skip
def test_bad_lines(content, message, load):
    with pytest.raises(InputError) as caught:
        load(content)
    assert str(caught.value) == message


def test_own_labels_are_not_replaced(load):
    with pytest.raises(InputError, match=r"s\.libsvm is LIBSVM text with its own labels; leave out target and y"):
        load("1 1:2\n0 1:3\n", y=[1, 2])
