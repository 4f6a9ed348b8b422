# ruff: noqa: E501 (each case keeps its whole message on one line, as a user reads it)
"""NumPy files that are broken, hold something else, or do not fit together."""

import numpy as np
import pytest
from scipy import sparse

from thalweg.core.errors import InputError
from thalweg.data import load_table

X = np.random.default_rng(0).normal(size=(6, 3))
Y = np.arange(6)


def pieces(**changes):
    made = sparse.csr_array(X)
    return {
        "data": made.data,
        "indices": made.indices,
        "indptr": made.indptr,
        "shape": (6, 3),
        "format": "csr",
    } | changes


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"X": X, "labels": Y}, "s.npz has no array 'y'; it holds 'X', 'labels'; write it with numpy.savez(path, X=X, y=y), or give y or target"),
        ({"x": X, "y": Y}, "s.npz has no array 'X' nor the pieces of a sparse matrix; it holds 'x', 'y'; write it with numpy.savez(path, X=X, y=y)"),
        ({}, "s.npz has no array 'y'; it holds nothing; write it with numpy.savez(path, X=X, y=y), or give y or target"),
        ({"X": X.astype(object), "y": Y}, "s.npz holds an object array; save numbers: X.astype(float)"),
        ({"X": X, "y": Y[:-1]}, "y has 5 values but s.npz has 6 rows; pass one target value per row"),
        ({"X": np.where(np.arange(18).reshape(6, 3) == 7, np.nan, X), "y": Y}, "s.npz: row 3, column 'x2' is nan; drop the row or fill the value in"),
        (pieces(y=Y, format="dia"), "s.npz holds a sparse matrix of format 'dia'; save it as CSR: X.tocsr()"),
        (pieces(), "s.npz has no array 'y'; it holds 'data', 'indices', 'indptr', 'shape', 'format'; write it with numpy.savez(path, X=X, y=y), or give y or target"),
    ],
)  # fmt: skip
def test_contents(arrays, message, tmp_path):
    np.savez(tmp_path / "s.npz", **arrays)
    with pytest.raises(InputError) as caught:
        load_table(tmp_path / "s.npz")
    assert str(caught.value) == message


@pytest.mark.parametrize("changes", [{"shape": (6, 2)}, {"indptr": np.arange(3)}])
def test_pieces_that_do_not_fit(changes, tmp_path):
    np.savez(tmp_path / "s.npz", y=Y, **pieces(**changes))
    with pytest.raises(InputError, match=r"s\.npz: the pieces of the sparse matrix do not fit \(.*\); write them with"):
        load_table(tmp_path / "s.npz")


def test_missing_piece(tmp_path):
    parts = pieces()
    del parts["indptr"]
    np.savez(tmp_path / "s.npz", y=Y, **parts)
    with pytest.raises(InputError, match=r"s\.npz: the pieces of the sparse matrix do not fit \('indptr'\)"):
        load_table(tmp_path / "s.npz")


@pytest.mark.parametrize("name", ["s.npz", "s.npy"])
@pytest.mark.parametrize("content", [b"", b"not an array", b"\x93NUMPY\x01\x00", b"PK\x03\x04 cut"])
def test_broken(name, content, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=rf"{name} is not a whole NumPy file \(.*\); write it again with") as caught:
        load_table(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_swapped_extensions(tmp_path):
    np.savez(tmp_path / "s.npz", X=X, y=Y)
    (tmp_path / "s.npz").rename(tmp_path / "s.npy")
    with pytest.raises(InputError, match=r"s\.npy is a \.npz archive; rename it to \.npz"):
        load_table(tmp_path / "s.npy")
    np.save(tmp_path / "t.npy", X)
    (tmp_path / "t.npy").rename(tmp_path / "t.npz")
    with pytest.raises(InputError, match=r"t\.npz is not a \.npz archive; write it with numpy\.savez"):
        load_table(tmp_path / "t.npz")


def test_target_column_of_an_archive_without_y(tmp_path):
    np.savez(tmp_path / "s.npz", X=X)
    assert np.array_equal(load_table(tmp_path / "s.npz", target=0).y, X[:, 0])


def test_own_target_is_not_replaced(tmp_path):
    np.savez(tmp_path / "s.npz", X=X, y=Y)
    with pytest.raises(InputError, match=r"s\.npz has its own y; leave out target and y"):
        load_table(tmp_path / "s.npz", y=Y)
