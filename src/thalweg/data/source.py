"""The one door for data: whatever the caller has becomes a table."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np

from thalweg.core.errors import InputError
from thalweg.data.archive import read_archive, read_array
from thalweg.data.builtin import BUILTIN_NAMES, read_builtin
from thalweg.data.check import assemble, check_shape, default_names
from thalweg.data.delimited import read_bytes, read_delimited
from thalweg.data.frame import FrameParts, frame_parts, pandas_parts, pick_target
from thalweg.data.libsvm import looks_like_libsvm, read_libsvm
from thalweg.data.table import Origin, Table

_DELIMITED = (".csv", ".tsv", ".txt", ".data")
_LIBSVM = (".libsvm", ".svm", ".svmlight")
_KNOWN = ".csv, .tsv, .txt, .data, .libsvm, .svm, .svmlight (each also with .gz), .parquet, .npz, .npy"


def load_table(source: Any, target: str | int | None = None, *, y: Any = None, sample_weight: Any = None) -> Table:
    """Load a table from any of the accepted sources.

    Args:
        source: Name of a built-in set (breast_cancer, digits, diabetes, wine, iris); path to a .csv, .tsv, .txt, .data
            (delimited or LIBSVM text), .libsvm, .svm, .svmlight, .parquet, .npz or .npy file; two-dimensional array;
            SciPy sparse container; pandas or Polars frame; or list of rows. n rows.
        target: Target column in the source, by name or 0-based position; by default the last. Text columns other than
            the target become indicator columns.
        y: Target of another source, shape (n,): array, series or list of numbers, bool or strings; then every column of
            ``source`` is a feature.
        sample_weight: Weights of the rows, shape (n,), or None.

    Returns:
        The table. Arrays of float32 or float64 and CSR arrays of these are not copied.

    Raises:
        InputError: The source cannot be used as it is; the message names file or argument, row, column and value, and
            what to do.

    """
    if y is not None and target is not None:
        raise InputError(f"both y and target={target!r} are given", "give one: y for arrays, target for a column")
    options: dict[str, Any] = {"sample_weight": sample_weight}
    if isinstance(source, np.ndarray):
        return _from_array(source, target, y, Origin("X"), "array", options)
    if isinstance(source, (str, Path)):
        if isinstance(source, str) and source in BUILTIN_NAMES:
            return _from_builtin(source, target, y, options)
        return _from_path(source, target, y, options)
    libraries = {kind.__module__.partition(".")[0] for kind in type(source).__mro__}
    if "scipy" in libraries and hasattr(source, "tocsr"):
        return _from_sparse(source, y, Origin("X"), "array", options)
    if "polars" in libraries:
        return _from_polars(source, target, y, options)
    if "pandas" in libraries:
        return _from_pandas(source, target, y, options)
    if isinstance(source, (list, tuple)):
        return _from_array(_rows(source), target, y, Origin("X"), "array", options)
    if hasattr(source, "__array__"):
        return _from_array(_converted(source), target, y, Origin("X"), "array", options)
    raise InputError(
        f"source is of type {type(source).__name__}",
        "pass a path, the name of a built-in set, an array, a sparse matrix, a frame, or a list of rows",
    )


def _from_array(
    X: np.ndarray, target: str | int | None, y: Any, origin: Origin, name: str, options: dict[str, Any]
) -> Table:
    if isinstance(X, np.ma.MaskedArray):
        if np.ma.is_masked(X):
            row = int(np.argwhere(np.ma.getmaskarray(X))[0][0])
            raise InputError(f"{origin.label}: row {row + 1} has a masked cell", "fill it in: X.filled(value)")
        X = X.data
    X = np.asarray(X)
    if X.dtype.names is not None:
        raise InputError(
            f"{origin.label} is a structured array with fields {', '.join(X.dtype.names)}",
            "pass numpy.lib.recfunctions.structured_to_unstructured(X)",
        )
    if y is not None or X.ndim != 2:
        return assemble(name, X, y, None, "y", origin, **options)
    check_shape(X.shape[0], X.shape[1], origin)
    names = default_names(X.shape[1])
    position = pick_target(names, target, origin.label)
    origin = Origin(origin.label, origin.row, names[position])
    names = (*names[:position], *names[position + 1 :])
    values = X[:, position]
    if position == X.shape[1] - 1:
        features = X[:, :-1]
    else:
        features = X[:, 1:] if position == 0 else np.delete(X, position, axis=1)
    return assemble(name, features, values, names, f"x{position + 1}", origin, **options)


def _from_sparse(X: Any, y: Any, origin: Origin, name: str, options: dict[str, Any]) -> Table:
    if y is None:
        raise InputError(f"{origin.label} is sparse and y is not given", "pass y, one target value per row")
    return assemble(name, X, y, None, "y", origin, **options)


def _from_builtin(name: str, target: str | int | None, y: Any, options: dict[str, Any]) -> Table:
    if y is not None:
        raise InputError(f"y is given with the built-in set {name!r}, which has its own target", "leave y out")
    X, values, names = read_builtin(name)
    everything = (*names, "target")
    position = pick_target(everything, target, name)
    if position < len(names):
        values, X = X[:, position].copy(), np.column_stack([np.delete(X, position, axis=1), values])
    features = (*everything[:position], *everything[position + 1 :])
    return assemble(
        name, X, values, features, everything[position], Origin(name, target=everything[position]), **options
    )


def _from_polars(frame: Any, target: str | int | None, y: Any, options: dict[str, Any]) -> Table:
    if type(frame).__name__ == "LazyFrame":
        frame = frame.collect()
    if type(frame).__name__ != "DataFrame":
        raise InputError(f"source is a Polars {type(frame).__name__}", "pass a DataFrame with feature columns")
    origin = Origin("frame")
    return _from_parts("array", frame_parts(frame, target, origin, with_target=y is None), y, origin, options)


def _from_pandas(frame: Any, target: Any, y: Any, options: dict[str, Any]) -> Table:
    if not hasattr(frame, "columns"):
        raise InputError(f"source is a pandas {type(frame).__name__}", "pass a DataFrame with feature columns")
    origin = Origin("frame")
    return _from_parts("array", pandas_parts(frame, target, origin, with_target=y is None), y, origin, options)


def _from_parts(
    name: str, parts: FrameParts, y: Any, origin: Origin, options: dict[str, Any], notes: tuple[str, ...] = ()
) -> Table:
    if y is None:
        y, origin = parts.y, Origin(origin.label, origin.row, parts.target_name)
    notes = (*notes, *parts.notes)
    return assemble(name, parts.X, y, parts.feature_names, parts.target_name, origin, notes=notes, **options)


def _converted(source: Any) -> np.ndarray:
    try:
        return np.asarray(source)
    except (TypeError, RuntimeError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        raise InputError(
            f"source of type {type(source).__name__} does not convert to NumPy ({reason})",
            "pass a NumPy array; for a torch tensor X.detach().cpu().numpy()",
        ) from None


def _rows(source: Sequence[Any]) -> np.ndarray:
    """Turn a list of rows into an array, or name the row that has another length."""
    lengths = [len(row) if hasattr(row, "__len__") and not isinstance(row, (str, bytes)) else -1 for row in source]
    for index, length in enumerate(lengths):
        if length != lengths[0]:
            shown = "is not a list" if length < 0 else f"has {length} values"
            first = "is not a list" if lengths[0] < 0 else f"has {lengths[0]}"
            raise InputError(
                f"X: row {index + 1} {shown} but row 1 {first}", "give every row the same number of values"
            )
    if any(length < 0 for length in lengths):
        raise InputError(
            f"X: row 1 is {source[0]!r}, not a list of values", "pass a list of rows, each a list of numbers"
        )
    if not lengths:
        return np.empty((0, 0))
    values = np.asarray(source)
    if values.dtype.kind in "US":
        return np.asarray(source, dtype=object)
    return values


def _from_path(source: str | Path, target: str | int | None, y: Any, options: dict[str, Any]) -> Table:
    path = Path(source).expanduser()
    if not os.path.exists(path):  # unlike Path.exists, False for a name that no file can have
        _raise_no_file(source, path)
    if path.is_dir():
        raise InputError(f"{path} is a folder", f"give a file in it; known formats: {_KNOWN}")
    plain = path.with_suffix("") if path.suffix.lower() == ".gz" else path
    suffix = plain.suffix.lower()
    readers: dict[str, Callable[[], Table]] = {
        ".parquet": lambda: _from_parquet(path, target, y, options),
        ".npz": lambda: _from_archive(path, target, y, options),
        ".npy": lambda: _from_array(
            read_array(path, read_bytes(path)), target, y, Origin(path.name), plain.stem, options
        ),
    }
    if suffix in _DELIMITED or suffix in _LIBSVM:
        return _from_text(path, plain.stem, suffix, target, y, options)
    if suffix not in readers or path != plain:
        raise InputError(f"{path.name} has the unknown extension {path.suffix!r}", f"known formats: {_KNOWN}")
    return readers[suffix]()


def _from_text(path: Path, name: str, suffix: str, target: str | int | None, y: Any, options: dict[str, Any]) -> Table:
    content = read_bytes(path)
    if suffix in _LIBSVM or (suffix in {".txt", ".data"} and looks_like_libsvm(content)):
        if target is not None or y is not None:
            raise InputError(f"{path.name} is LIBSVM text with its own labels", "leave out target and y")
        X, values, origin, notes = read_libsvm(path, content)
        return assemble(name, X, values, None, "label", origin, notes=notes, **options)
    frame, origin, notes = read_delimited(path, content)
    parts = frame_parts(frame, target, origin, parsed=True, with_target=y is None)
    return _from_parts(name, parts, y, origin, options, notes)


def _from_parquet(path: Path, target: str | int | None, y: Any, options: dict[str, Any]) -> Table:
    import polars

    try:
        frame = polars.read_parquet(path)
    except (OSError, polars.exceptions.PolarsError) as error:
        reason = str(error).partition("\n")[0]
        raise InputError(f"{path.name} is not a whole Parquet file ({reason})", "write it again") from None
    origin = Origin(path.name)
    parts = frame_parts(frame, target, origin, with_target=y is None)
    return _from_parts(path.stem, parts, y, origin, options)


def _from_archive(path: Path, target: str | int | None, y: Any, options: dict[str, Any]) -> Table:
    X, values = read_archive(path, read_bytes(path), needs_y=y is None and target is None)
    if values is not None and (y is not None or target is not None):
        raise InputError(f"{path.name} has its own y", "leave out target and y")
    y = values if values is not None else y
    origin = Origin(path.name)
    if isinstance(X, np.ndarray):
        return _from_array(X, target, y, origin, path.stem, options)
    return _from_sparse(X, y, origin, path.stem, options)


def _raise_no_file(source: str | Path, path: Path) -> None:
    folder = path.parent
    files = os.listdir(folder) if os.path.isdir(folder) else []
    near = get_close_matches(path.name, [*BUILTIN_NAMES, *files], n=3)
    close = [name if name in BUILTIN_NAMES else str(folder / name) for name in near]
    built_in = f"built-in sets: {', '.join(BUILTIN_NAMES)}"
    remedy = f"did you mean {' or '.join(map(repr, close))}? {built_in}" if close else f"check the path; {built_in}"
    where = "" if os.path.isdir(folder) else f" (nor a folder {str(folder)!r})"
    shown = str(source) if len(str(source)) <= 200 else f"{str(source)[:200]}..."
    raise InputError(f"there is no file {shown!r}{where}", remedy)
