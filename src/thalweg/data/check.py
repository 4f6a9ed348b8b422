"""Checks of arrays at the doors: one fast pass over the values; a culprit is searched only on failure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from thalweg.core.errors import InputError
from thalweg.data.columns import column_notes
from thalweg.data.table import Origin, Table

if TYPE_CHECKING:
    from scipy.sparse import csr_array

_BLOCK_ROWS = 4096
_EXACT_WHOLE = 2.0**53


def default_names(count: int) -> tuple[str, ...]:
    """Return the names x1 to x``count`` that unnamed columns get."""
    return tuple([f"x{column}" for column in range(1, count + 1)])


def assemble(
    name: str,
    X: Any,
    y: Any,
    feature_names: Sequence[str] | None,
    target_name: str,
    origin: Origin,
    *,
    notes: Sequence[str] = (),
    sample_weight: Any = None,
) -> Table:
    """Check features, target and weights against each other and make the table.

    Args:
        name: Name of the data.
        X: Dense array or SciPy sparse container, shape (n, d).
        y: Raw target, shape (n,) or (n, 1).
        feature_names: Names of the columns, length d; None for x1 to xd.
        target_name: Name of the target.
        origin: Where the values came from, for errors.
        notes: Treatments so far.
        sample_weight: Weights of the rows, shape (n,), or None.

    Returns:
        The table; its notes end with what was converted here and with constant and equal columns.

    Raises:
        InputError: A value, type or shape cannot be used.

    """
    if feature_names is None:
        feature_names = default_names(X.shape[1] if X.ndim == 2 else 0)
    names = tuple(feature_names)
    X, said = (check_dense if isinstance(X, np.ndarray) else check_sparse)(X, names, origin)
    target = check_target(y, X.shape[0], origin)
    weights = None
    if sample_weight is not None:
        weights, more = check_weights(sample_weight, X.shape[0])
        said = (*said, *more)
    return Table(name, X, target, names, target_name, (*notes, *said, *column_notes(X, names)), weights)


def check_dense(X: np.ndarray, names: Sequence[str], origin: Origin) -> tuple[np.ndarray, tuple[str, ...]]:
    """Check a dense array of features and convert it to float64 unless it is float32 or float64 already.

    Args:
        X: Features, shape (n, d), any memory order.
        names: Column names, length d.
        origin: Where the values came from.

    Returns:
        The same array, or its float64 copy, and sentences about the conversion.

    Raises:
        InputError: Not two-dimensional, no column, fewer than two rows, not real numbers, or not finite.

    """
    if X.ndim != 2:
        remedy = "reshape one feature to a column: X.reshape(-1, 1)" if X.ndim == 1 else "pass one row per example"
        raise InputError(f"{origin.label} has shape {X.shape}; a table has two dimensions", remedy)
    check_shape(X.shape[0], X.shape[1], origin)
    notes: tuple[str, ...] = ()
    if X.dtype.char not in "fd" or not X.dtype.isnative:
        X, notes = _as_float64(X, names, origin)
    with np.errstate(all="ignore"):
        total = np.ones(X.shape[0], X.dtype) @ X
    if not np.isfinite(total).all():
        _raise_first_bad(X, names, origin)
    return X, notes


def check_shape(rows: int, columns: int, origin: Origin) -> None:
    """Raise InputError unless there are at least two rows and one feature."""
    if rows == 0:
        raise InputError(f"{origin.label} has no rows", "give at least 2 rows of data")
    if rows == 1:
        raise InputError(f"{origin.label} has 1 row", "give at least 2 rows; one row determines no model")
    if columns == 0:
        raise InputError(f"{origin.label} has no feature columns", "give at least 1 feature column beside the target")


def _as_float64(X: np.ndarray, names: Sequence[str], origin: Origin) -> tuple[np.ndarray, tuple[str, ...]]:
    kind = X.dtype.kind
    if kind not in "biuf":
        _raise_not_real(X, names, origin)
    converted = X.astype(np.float64)
    notes = [f"{origin.label} is {X.dtype}: converted to float64"]
    if X.dtype.itemsize >= 8 and kind in "iu" and max(int(X.max()), -int(X.min())) > _EXACT_WHOLE:
        notes.append(f"{origin.label} holds whole numbers beyond 2**53: they were rounded to float64")
    return converted, tuple(notes)


def _raise_not_real(X: np.ndarray, names: Sequence[str], origin: Origin) -> None:
    if X.dtype.kind == "c":
        raise InputError(
            f"{origin.label} has dtype {X.dtype}; features are real numbers",
            "pass numpy.hstack([X.real, X.imag]) or one of the two parts",
        )
    if X.dtype.kind in "OUS":
        for index, row in enumerate(X):
            for column, value in enumerate(row):
                if not _is_number(value):
                    shown = value.item() if isinstance(value, np.generic) else value
                    raise InputError(
                        f"{origin.cell(index, names[column])}: {shown!r} is not a number (dtype {X.dtype})",
                        "replace it and pass X.astype(float); text columns are accepted in a pandas or Polars frame",
                    )
        kind = "object" if X.dtype.kind == "O" else str(X.dtype)
        raise InputError(f"{origin.label} has dtype={kind} though every cell is a number", "pass X.astype(float)")
    raise InputError(f"{origin.label} has dtype {X.dtype}; features are real numbers", "pass an array of floats")


def _is_number(value: object) -> bool:
    return isinstance(value, (bool, int, float, np.bool_, np.integer, np.floating))


def _raise_first_bad(X: np.ndarray, names: Sequence[str], origin: Origin) -> None:
    for start in range(0, X.shape[0], _BLOCK_ROWS):
        good = np.isfinite(X[start : start + _BLOCK_ROWS])
        if not good.all():
            row, column = np.argwhere(~good)[0]
            _raise_not_finite(X[start + row, column], origin.cell(start + int(row), names[column]))


def _raise_not_finite(value: Any, place: str) -> None:
    if np.isnan(value):
        raise InputError(f"{place} is nan", "drop the row or fill the value in")
    raise InputError(f"{place} is {float(value)}", "drop the row or replace the value by a finite number")


def check_sparse(X: Any, names: Sequence[str], origin: Origin) -> tuple[csr_array, tuple[str, ...]]:
    """Check a SciPy sparse container and return it as a CSR array without duplicate entries.

    Args:
        X: Sparse matrix or array of any format, shape (n, d).
        names: Column names, length d.
        origin: Where the values came from.

    Returns:
        A CSR array of float32 or float64 that shares the caller's memory where the format allows, and sentences about
        conversions.

    Raises:
        InputError: No column, fewer than two rows, not real numbers, or not finite.

    """
    from scipy.sparse import csr_array

    if X.ndim != 2:
        raise InputError(f"{origin.label} has shape {X.shape}; a table has two dimensions", "pass one row per example")
    check_shape(X.shape[0], X.shape[1], origin)
    notes = []
    if X.dtype.char not in "fd":
        if X.dtype.kind not in "biuf":
            raise InputError(
                f"{origin.label} is sparse with dtype {X.dtype}; features are real numbers", "pass X.astype(float)"
            )
        notes.append(f"{origin.label} is {X.dtype}: converted to float64")
        X = X.astype(np.float64)
    rows = csr_array(X)
    if not rows.has_canonical_format:
        rows = rows.copy()
        rows.sum_duplicates()
        if X.format == "csr":
            notes.append(f"{origin.label} had unsorted or repeated entries: sorted, and repeats added up")
    with np.errstate(all="ignore"):
        total = rows.data.sum()
    if not np.isfinite(total):
        bad = np.flatnonzero(~np.isfinite(rows.data))
        if bad.size:
            at = int(bad[0])
            row = int(np.searchsorted(rows.indptr, at, side="right")) - 1
            _raise_not_finite(rows.data[at], origin.cell(row, names[rows.indices[at]]))
    return rows, tuple(notes)


def check_target(y: Any, rows: int, origin: Origin) -> np.ndarray:
    """Check a raw target: one finite number, bool or string per row.

    Args:
        y: Array, series or list, shape (n,) or (n, 1).
        rows: The number n of rows of the features.
        origin: Where the values came from.

    Returns:
        The target as an array of shape (n,); numbers and bool keep their type, text becomes a fixed-width string array.

    Raises:
        InputError: Another length, more than one column, missing or infinite values, or no numbers, bool or strings.

    """
    label = origin.target_label()
    values = _target_array(y, label)
    if values.ndim == 2 and values.shape[1] == 1:
        values = values.ravel()
    if values.ndim != 1:
        raise InputError(
            f"{label} has shape {values.shape}; one value per row is expected", "pass one column, shape (n,)"
        )
    if values.shape[0] != rows:
        raise InputError(
            f"{label} has {values.shape[0]} values but {origin.label} has {rows} rows", "pass one target value per row"
        )
    kind = values.dtype.kind
    if kind == "f":
        with np.errstate(all="ignore"):
            total = values.sum()
        if not np.isfinite(total):
            bad = np.flatnonzero(~np.isfinite(values))
            if bad.size:
                _raise_not_finite(values[bad[0]], origin.target_cell(int(bad[0])))
    elif kind == "O":
        values = _object_target(values, origin)
    elif kind == "S":
        values = np.char.decode(values, "utf-8")
    elif kind not in "biuU":
        raise InputError(f"{label} has dtype {values.dtype}; numbers, bool or strings are expected", "convert it first")
    return values


def _target_array(y: Any, label: str) -> np.ndarray:
    if isinstance(y, np.ndarray):
        return y
    if hasattr(y, "to_numpy"):
        return np.asarray(y.to_numpy())
    try:
        values = np.asarray(y)
    except ValueError as error:
        raise InputError(f"{label} is not one value per row ({error})", "pass one column, shape (n,)") from None
    if values.dtype.kind in "US" and isinstance(y, (list, tuple)):
        # NumPy spells None and nan out when it meets a string; keep the objects so that they are seen as missing.
        values = np.asarray(y, dtype=object)
    return values


def _object_target(values: np.ndarray, origin: Origin) -> np.ndarray:
    items = values.tolist()
    kinds = set(map(type, items))
    if all(issubclass(kind, str) for kind in kinds):
        return values.astype(str)
    if kinds <= {bool, np.bool_}:
        return values.astype(bool)
    for index, item in enumerate(items):
        if item is None or type(item).__name__ in {"NAType", "NaTType"} or (isinstance(item, float) and item != item):
            raise InputError(f"{origin.target_cell(index)} is missing ({item!r})", "drop the row or fill the value in")
    if all(map(_is_number, items)):
        raise InputError(
            f"{origin.target_label()} has dtype=object though every value is a number", "pass y.astype(float)"
        )
    if isinstance(items[0], str) or _is_number(items[0]):
        first = isinstance(items[0], str)
        index = next(i for i, item in enumerate(items) if isinstance(item, str) != first)
        kind = "a string" if first else "a number"
        raise InputError(
            f"{origin.target_cell(index)} is {items[index]!r} but row 1 is {kind}", "use one type, e.g. y.astype(str)"
        )
    raise InputError(
        f"{origin.target_cell(0)} is of type {type(items[0]).__name__}", "pass numbers, bool or strings, one per row"
    )


def check_weights(sample_weight: Any, rows: int) -> tuple[np.ndarray, tuple[str, ...]]:
    """Check the weights of the rows.

    Args:
        sample_weight: Array, series or list of numbers or bool, shape (n,) or (n, 1).
        rows: The number n of rows of the features.

    Returns:
        The weights as float64, shape (n,), and a sentence if some are zero.

    Raises:
        InputError: Another length or shape, not numbers, not finite, negative, or all zero.

    """
    label = "sample_weight"
    values = _target_array(sample_weight, label)
    if values.ndim == 2 and values.shape[1] == 1:
        values = values.ravel()
    if values.ndim != 1 or values.shape[0] != rows:
        raise InputError(
            f"{label} has shape {values.shape} but there are {rows} rows", f"pass one weight per row, shape ({rows},)"
        )
    if values.dtype.kind not in "biuf":
        raise InputError(f"{label} has dtype {values.dtype}; numbers are expected", "pass sample_weight.astype(float)")
    weights = values.astype(np.float64, copy=False)
    good = np.isfinite(weights) & (weights >= 0)
    if not good.all():
        row = int(np.flatnonzero(~good)[0])
        raise InputError(f"{label}: row {row + 1} is {weights[row]}", "weights are finite and not negative")
    zeros = int(rows - np.count_nonzero(weights))
    if zeros == rows:
        raise InputError(f"{label} is 0 in all {rows} rows", "give at least one row a positive weight")
    if not zeros:
        return weights, ()
    return weights, (f"{zeros} of {rows} rows have weight 0 and do not count",)
