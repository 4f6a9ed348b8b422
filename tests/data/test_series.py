"""One column of numbers from files as people have them."""

import gzip

import numpy as np
import pytest

import thalweg as tw
from thalweg.data.series import load_series

VALUES = np.array([3.0, 1.5, 0.75, 1e-3, -2.0])


def write(path, text):
    path.write_text(text)
    return path


def lines(*columns, header=None, separator=","):
    rows = [separator.join(repr(float(v)) for v in row) for row in zip(*columns, strict=True)]
    return "\n".join([*([] if header is None else [header]), *rows]) + "\n"


def test_one_column_with_and_without_a_header(tmp_path):
    for header in ("loss", "anything", None):
        file = write(tmp_path / "l.csv", lines(VALUES, header=header))
        np.testing.assert_array_equal(load_series(file), VALUES)


def test_a_usual_name_is_found_and_others_are_asked_for(tmp_path):
    step = np.arange(5)
    file = write(tmp_path / "l.csv", lines(step, VALUES, header="step,Loss"))
    np.testing.assert_array_equal(load_series(file), VALUES)
    np.testing.assert_array_equal(load_series(file, "step"), step)
    np.testing.assert_array_equal(load_series(file, 0), step)
    np.testing.assert_array_equal(load_series(file, "1"), VALUES)
    file = write(tmp_path / "l.tsv", lines(step, VALUES, header="a\tb", separator="\t"))
    with pytest.raises(tw.InputError, match="2 columns: a, b"):
        load_series(file)
    with pytest.raises(tw.InputError, match="'c'"):
        load_series(file, "c")


def test_a_trace_that_a_run_wrote_is_read(tmp_path):
    solution = tw.solve(tw.problem(lambda x: (x**4).sum(), x0=[1.0, 2.0]))
    with open(tmp_path / "trace.csv", "w") as stream:
        solution.trace.write_csv(stream)
    np.testing.assert_array_equal(load_series(tmp_path / "trace.csv"), solution.trace["value"])


def test_packed_and_binary_files(tmp_path):
    (tmp_path / "l.csv.gz").write_bytes(gzip.compress(lines(VALUES, header="loss").encode()))
    np.testing.assert_array_equal(load_series(tmp_path / "l.csv.gz"), VALUES)
    np.save(tmp_path / "l.npy", VALUES)
    np.testing.assert_array_equal(load_series(tmp_path / "l.npy"), VALUES)
    np.save(tmp_path / "two.npy", np.column_stack([VALUES, -VALUES]))
    np.testing.assert_array_equal(load_series(tmp_path / "two.npy", 1), -VALUES)
    with pytest.raises(tw.InputError, match="shape"):
        load_series(tmp_path / "two.npy")


def test_bad_cells_and_files_are_named(tmp_path):
    with pytest.raises(tw.InputError, match="no file"):
        load_series(tmp_path / "none.csv")
    file = write(tmp_path / "l.csv", "loss\n1.0\nabc\n")
    with pytest.raises(tw.InputError, match="row 2.*'abc' is no number"):
        load_series(file)
    file = write(tmp_path / "l.csv", "step,loss\n0,1.0\n1,\n2,0.5\n")
    with pytest.raises(tw.InputError, match="None is no number"):
        load_series(file)
    (tmp_path / "l.npy").write_bytes(b"not numpy")
    with pytest.raises(tw.InputError, match="no array"):
        load_series(tmp_path / "l.npy")
