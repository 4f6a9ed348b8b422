"""Real data sets whose files ship inside scikit-learn, read without importing it."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from thalweg.core.errors import InputError

_CELL_MEASURES = (
    "radius", "texture", "perimeter", "area", "smoothness", "compactness", "concavity", "concave points", "symmetry",
    "fractal dimension",
)  # fmt: skip
_WINE_MEASURES = (
    "alcohol", "malic_acid", "ash", "alcalinity_of_ash", "magnesium", "total_phenols", "flavanoids",
    "nonflavanoid_phenols", "proanthocyanins", "color_intensity", "hue", "od280/od315_of_diluted_wines", "proline",
)  # fmt: skip

BuiltinSet = tuple[np.ndarray, np.ndarray, tuple[str, ...]]


def read_builtin(name: str) -> BuiltinSet:
    """Read a built-in set.

    Args:
        name: One of ``BUILTIN_NAMES``.

    Returns:
        ``(X, y, feature_names)``: float64 features in the units of the file, shape (n, d), C order; int64 class indices
        or float64 values, shape (n,), as scikit-learn gives them; and its names of the d features.

    Raises:
        InputError: The file is not there.

    """
    return _READERS[name]()


def _breast_cancer() -> BuiltinSet:
    kinds = (("mean", ""), ("", "error"), ("worst", ""))
    names = tuple(f"{before} {measure} {after}".strip() for before, after in kinds for measure in _CELL_MEASURES)
    return _headed("breast_cancer.csv", names)


def _iris() -> BuiltinSet:
    return _headed("iris.csv", ("sepal length (cm)", "sepal width (cm)", "petal length (cm)", "petal width (cm)"))


def _wine() -> BuiltinSet:
    return _headed("wine_data.csv", _WINE_MEASURES)


def _digits() -> BuiltinSet:
    # Whole numbers below 20: NumPy's text parser for int is faster than the one for float.
    text = _read("digits.csv.gz").replace("\n", ",").rstrip(",")
    values = np.fromstring(text, dtype=np.int64, sep=",").reshape(-1, 65)
    names = tuple(f"pixel_{row}_{column}" for row in range(8) for column in range(8))
    return values[:, :64].astype(np.float64), values[:, 64].copy(), names


def _diabetes() -> BuiltinSet:
    X = np.fromstring(_read("diabetes_data_raw.csv.gz"), sep=" ").reshape(-1, 10)
    y = np.fromstring(_read("diabetes_target.csv.gz"), sep=" ")
    return X, y, ("age", "sex", "bmi", "bp", "s1", "s2", "s3", "s4", "s5", "s6")


def _headed(file: str, names: tuple[str, ...]) -> BuiltinSet:
    """Read a file whose first line gives its size and class names and whose last column is the class."""
    body = _read(file).partition("\n")[2].replace("\n", ",").rstrip(",")
    values = np.fromstring(body, sep=",").reshape(-1, len(names) + 1)
    return np.ascontiguousarray(values[:, :-1]), values[:, -1].astype(np.int64), names


def _read(file: str) -> str:
    path = _folder() / file
    try:
        content = path.read_bytes()
    except OSError:
        raise InputError(f"scikit-learn's data file {path} is not there", "install scikit-learn >= 1.6 again") from None
    return (gzip.decompress(content) if path.suffix == ".gz" else content).decode()


@cache
def _folder() -> Path:
    found = find_spec("sklearn")
    if found is None or not found.submodule_search_locations:
        raise InputError(
            "the built-in sets are files of scikit-learn, which is not installed", "pip install scikit-learn"
        )
    return Path(found.submodule_search_locations[0]) / "datasets" / "data"


_READERS: dict[str, Callable[[], BuiltinSet]] = {
    "breast_cancer": _breast_cancer,
    "digits": _digits,
    "diabetes": _diabetes,
    "wine": _wine,
    "iris": _iris,
}
BUILTIN_NAMES = tuple(_READERS)
