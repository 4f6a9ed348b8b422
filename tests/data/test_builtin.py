"""The built-in sets equal what scikit-learn loads, without loading scikit-learn."""

import subprocess
import sys

import numpy as np
import pytest
import sklearn.datasets

from thalweg.core.errors import InputError
from thalweg.data import BUILTIN_NAMES, load_table
from thalweg.data import builtin as builtin_module


@pytest.mark.parametrize("name", BUILTIN_NAMES)
def test_equals_scikit_learn(name):
    options = {"scaled": False} if name == "diabetes" else {}
    expected = getattr(sklearn.datasets, f"load_{name}")(**options)
    table = load_table(name)
    assert table.name == name
    assert np.array_equal(table.X, expected.data)
    assert np.array_equal(table.y, expected.target)
    assert table.y.dtype == expected.target.dtype
    assert table.X.flags.c_contiguous
    assert table.X.dtype == np.float64
    assert list(table.feature_names) == list(expected.feature_names)
    assert table.target_name == "target"


def test_another_column_can_be_the_target():
    table = load_table("iris", target="petal width (cm)")
    plain = load_table("iris")
    assert table.target_name == "petal width (cm)"
    assert np.array_equal(table.y, plain.X[:, 3])
    assert table.feature_names == (*plain.feature_names[:3], "target")
    assert np.array_equal(table.X, np.column_stack([plain.X[:, :3], plain.y]))


def test_missing_column_names_the_closest():
    with pytest.raises(InputError, match=r"iris has no column 'petal widht \(cm\)'; did you mean 'petal width \(cm\)'"):
        load_table("iris", target="petal widht (cm)")


def test_own_target_is_not_replaced():
    with pytest.raises(InputError, match=r"y is given with the built-in set 'iris'.*leave y out"):
        load_table("iris", y=np.zeros(150))


def test_missing_file_says_which(monkeypatch, tmp_path):
    monkeypatch.setattr(builtin_module, "_folder", lambda: tmp_path)
    with pytest.raises(InputError, match=r"iris\.csv is not there; install scikit-learn"):
        load_table("iris")


def test_loads_nothing_heavy():
    code = (
        "import sys, thalweg.data as data; "
        "[data.load_table(name) for name in data.BUILTIN_NAMES]; "
        "print([m for m in ('polars', 'sklearn', 'scipy.sparse', 'pandas', 'pyarrow', 'torch') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
