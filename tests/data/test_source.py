# ruff: noqa: E501 (each case keeps its whole message on one line, as a user reads it)
"""Every door gives the same table for the same data, and says what to do about a source that is not one."""

import gzip
import sys

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy import sparse

from thalweg.core.errors import InputError
from thalweg.data import load_table

RNG = np.random.default_rng(0)
X = RNG.normal(size=(25, 4))
Y = RNG.integers(0, 3, 25)
NAMES = ("a", "b", "c", "d")
FRAME = pd.DataFrame(X, columns=NAMES).assign(t=Y)


def libsvm(path, first):
    rows = [
        f"{y} " + " ".join(f"{i}:{v!r}" for i, v in enumerate(row, first)) for row, y in zip(X.tolist(), Y, strict=True)
    ]
    path.write_text("\n".join(rows) + "\n")
    return path


def written(path, write):
    write(path)
    return path


DOORS = {
    "csv": lambda d: written(d / "s.csv", lambda p: FRAME.to_csv(p, index=False)),
    "csv.gz": lambda d: written(d / "s.csv.gz", lambda p: FRAME.to_csv(p, index=False)),
    "CSV as str": lambda d: str(written(d / "s.CSV", lambda p: FRAME.to_csv(p, index=False))),
    "tsv": lambda d: written(d / "s.tsv", lambda p: FRAME.to_csv(p, index=False, sep="\t")),
    "semicolons": lambda d: written(d / "s.csv", lambda p: FRAME.to_csv(p, index=False, sep=";")),
    "bars": lambda d: written(d / "s.txt", lambda p: FRAME.to_csv(p, index=False, sep="|")),
    "no header": lambda d: written(d / "s.csv", lambda p: FRAME.to_csv(p, index=False, header=False)),
    "windows": lambda d: written(d / "s.csv", lambda p: FRAME.to_csv(p, index=False, lineterminator="\r\n")),
    "byte order mark": lambda d: written(d / "s.csv", lambda p: FRAME.to_csv(p, index=False, encoding="utf-8-sig")),
    "parquet": lambda d: written(d / "s.parquet", lambda p: FRAME.to_parquet(p)),
    "npz": lambda d: written(d / "s.npz", lambda p: np.savez(p, X=X, y=Y)),
    "npy": lambda d: written(d / "s.npy", lambda p: np.save(p, FRAME.to_numpy())),
    "libsvm from 1": lambda d: libsvm(d / "s.libsvm", 1),
    "libsvm from 0": lambda d: libsvm(d / "s.svm", 0),
    "libsvm as txt": lambda d: libsvm(d / "s.txt", 1),
    "pandas": lambda d: FRAME,
    "polars": lambda d: pl.from_pandas(FRAME),
    "polars lazy": lambda d: pl.from_pandas(FRAME).lazy(),
    "array": lambda d: FRAME.to_numpy(),
    "list": lambda d: FRAME.to_numpy().tolist(),
    "tuples": lambda d: tuple(map(tuple, FRAME.to_numpy().tolist())),
    "memory map": lambda d: np.load(written(d / "s.npy", lambda p: np.save(p, FRAME.to_numpy())), mmap_mode="r"),
}


def dense(table):
    return table.X.toarray() if sparse.issparse(table.X) else table.X


@pytest.mark.parametrize("door", DOORS)
def test_same_table(door, tmp_path):
    table = load_table(DOORS[door](tmp_path))
    assert np.array_equal(dense(table), X)
    assert np.array_equal(table.y, Y)
    assert table.X.dtype == np.float64
    assert table.name in {"s", "array"}
    assert len(table.feature_names) == 4
    if table.target_name == "t":
        assert table.feature_names == NAMES


def sparse_pieces(path, form):
    made = sparse.csr_array(X).asformat(form)
    keys = ("row", "col") if form == "coo" else ("indices", "indptr")
    pieces = {key: getattr(made, key) for key in keys}
    np.savez(path, y=Y, data=made.data, shape=made.shape, format=form.encode(), **pieces)
    return path


WITH_Y = {
    "array": lambda d: X,
    "fortran": lambda d: np.asfortranarray(X),
    "pandas": lambda d: FRAME[list(NAMES)],
    "polars": lambda d: pl.from_pandas(FRAME[list(NAMES)]),
    "csr": lambda d: sparse.csr_array(X),
    "csc matrix": lambda d: sparse.csc_matrix(X),
    "csv": lambda d: written(d / "s.csv", lambda p: FRAME[list(NAMES)].to_csv(p, index=False)),
    "parquet": lambda d: written(d / "s.parquet", lambda p: FRAME[list(NAMES)].to_parquet(p)),
    "npz": lambda d: written(d / "s.npz", lambda p: np.savez(p, X=X)),
    "sparse npz": lambda d: written(d / "s.npz", lambda p: sparse.save_npz(p, sparse.csr_array(X))),
    "npy": lambda d: written(d / "s.npy", lambda p: np.save(p, X)),
}


@pytest.mark.parametrize("door", WITH_Y)
def test_same_table_with_y(door, tmp_path):
    table = load_table(WITH_Y[door](tmp_path), y=Y)
    assert np.array_equal(dense(table), X)
    assert table.y is Y
    assert table.target_name == "y"
    assert len(table.feature_names) == 4


@pytest.mark.parametrize("form", ["csr", "csc", "coo"])
def test_sparse_pieces_beside_y(form, tmp_path):
    table = load_table(sparse_pieces(tmp_path / "s.npz", form))
    assert np.array_equal(table.X.toarray(), X)
    assert np.array_equal(table.y, Y)


@pytest.mark.parametrize("target", ["b", 1, -4])
@pytest.mark.parametrize("door", ["csv", "parquet", "pandas", "polars"])
def test_target_by_name_or_position(door, target, tmp_path):
    table = load_table(DOORS[door](tmp_path), target)
    assert table.target_name == "b"
    assert table.feature_names == ("a", "c", "d", "t")
    assert np.array_equal(table.y, X[:, 1])
    assert np.array_equal(table.X, np.c_[X[:, [0, 2, 3]], Y])


@pytest.mark.parametrize(("target", "rest"), [(0, [1, 2, 3]), (1, [0, 2, 3]), (-1, [0, 1, 2]), ("x2", [0, 2, 3])])
def test_target_position_in_an_array(target, rest):
    table = load_table(X, target)
    assert np.array_equal(table.X, X[:, rest])
    assert table.feature_names == tuple(f"x{i + 1}" for i in rest)
    assert np.shares_memory(table.X, X) == (rest != [0, 2, 3])


def test_input_is_not_written_to():
    source = FRAME.to_numpy()
    source.setflags(write=False)
    Y.setflags(write=False)
    load_table(source)
    load_table(X, y=Y, sample_weight=np.ones(25))


class Convertible:
    """An array of another library."""

    def __init__(self, fails=False):
        self.fails = fails

    def __array__(self, dtype=None, copy=None):
        if self.fails:
            raise RuntimeError("needs detach")
        return X


def test_array_of_another_library():
    assert load_table(Convertible(), y=Y).X is X
    with pytest.raises(
        InputError, match=r"source of type Convertible does not convert to NumPy \(needs detach\); pass"
    ):
        load_table(Convertible(fails=True), y=Y)


@pytest.mark.parametrize(
    ("source", "arguments", "message"),
    [
        (X, {"y": Y, "target": 1}, "both y and target=1 are given; give one: y for arrays, target for a column"),
        (X, {"target": 9}, "target=9 is no column of X, which has 4 columns; give a name, or a position from 0 to 3"),
        (X, {"target": "x7"}, "X has no column 'x7'; did you mean 'x4', 'x3', 'x2'?"),
        (FRAME, {"target": "price"}, "frame has no column 'price'; the last columns are 'c', 'd', 't'"),
        (FRAME, {"target": True}, "target=True is no column of frame, which has 5 columns; give a name, or a position from 0 to 4"),
        (FRAME["a"], {}, "source is a pandas Series; pass a DataFrame with feature columns"),
        (pl.Series([1]), {}, "source is a Polars Series; pass a DataFrame with feature columns"),
        (pl.DataFrame(), {}, "frame has no columns; give feature columns and a target"),
        (FRAME[["a"]], {}, "frame has one column, 'a'; give at least one feature column beside the target"),
        (FRAME.iloc[:0], {}, "frame has no rows; give at least 2 rows of data"),
        (FRAME.iloc[:1], {}, "frame has 1 row; give at least 2 rows; one row determines no model"),
        (pl.from_pandas(FRAME.iloc[:1]), {}, "frame has 1 row; give at least 2 rows; one row determines no model"),
        ([], {}, "X has no rows; give at least 2 rows of data"),
        ([[1, 2], [3, 4, 5]], {}, "X: row 2 has 3 values but row 1 has 2; give every row the same number of values"),
        ([[1, 2], 3], {}, "X: row 2 is not a list but row 1 has 2; give every row the same number of values"),
        ([1, 2], {}, "X: row 1 is 1, not a list of values; pass a list of rows, each a list of numbers"),
        ([[1, 2, 0], [3, "low", 1]], {}, "X: row 2, column 'x2': 'low' is not a number (dtype object); replace it and pass X.astype(float); text columns are accepted in a pandas or Polars frame"),
        (3.5, {}, "source is of type float; pass a path, the name of a built-in set, an array, a sparse matrix, a frame, or a list of rows"),
        (None, {}, "source is of type NoneType; pass a path, the name of a built-in set, an array, a sparse matrix, a frame, or a list of rows"),
    ],
)  # fmt: skip
def test_refused(source, arguments, message):
    with pytest.raises(InputError) as caught:
        load_table(source, **arguments)
    assert str(caught.value) == message


def test_no_such_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "prices.csv").write_text("a,b\n1,2\n")
    for source, words in {
        "price.csv": ["no file 'price.csv'", "did you mean 'prices.csv'?", "built-in sets: breast_cancer, digits"],
        "breastcancer": ["no file 'breastcancer'", "did you mean 'breast_cancer'?"],
        "nowhere/x.csv": ["no file 'nowhere/x.csv' (nor a folder 'nowhere')", "check the path"],
        "a,b\n" * 4000: ["..."],
    }.items():
        with pytest.raises(InputError) as caught:
            load_table(source)
        for word in words:
            assert word in str(caught.value)


def test_folder_and_unknown_extension(tmp_path):
    with pytest.raises(InputError, match=r"is a folder; give a file in it; known formats: \.csv, \.tsv"):
        load_table(tmp_path)
    for name in ("s.xlsx", "s", "s.parquet.gz"):
        path = tmp_path / name
        path.write_bytes(b"x")
        with pytest.raises(
            InputError, match=rf"{name} has the unknown extension '.*'; known formats: .*\.parquet, \.npz"
        ):
            load_table(path)


@pytest.mark.parametrize("content", [gzip.compress(b"a,b\n1,2\n3,4\n")[:-6], b"a,b\n1,2\n", b""])
def test_broken_gzip(content, tmp_path):
    path = tmp_path / "s.csv.gz"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"s\.csv\.gz is (not a whole gzip file|empty)"):
        load_table(path)


def test_broken_parquet(tmp_path):
    path = tmp_path / "s.parquet"
    for content in (b"", b"PAR1 but no more"):
        path.write_bytes(content)
        with pytest.raises(
            InputError, match=r"s\.parquet is not a whole Parquet file \(.*\); write it again"
        ) as caught:
            load_table(path)
        assert "\n" not in str(caught.value)


def test_unreadable_file(tmp_path, monkeypatch):
    path = tmp_path / "s.csv"
    path.write_text("a,b\n")

    def refuse(self):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(type(path), "read_bytes", refuse)
    with pytest.raises(InputError, match=r"s\.csv cannot be read: Permission denied; check its permissions"):
        load_table(path)


def test_pandas_is_never_imported():
    for name, module in list(sys.modules.items()):
        if name.startswith("thalweg.data"):
            assert "pandas" not in vars(module)
