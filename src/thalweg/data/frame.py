"""Data frames: each column becomes numbers, 0/1 or indicator columns, or the error says which cell stopped it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

import numpy as np

from thalweg.core.errors import InputError
from thalweg.data.table import Origin

if TYPE_CHECKING:
    import polars

MOST_LEVELS = 1000
MISSING_CELLS = ["", "NA", "N/A", "n/a", "NaN", "nan", "NAN", "null", "NULL", "Null"]
_DATE = r"^\d{4}[-/.]\d{1,2}[-/.]\d{1,2}([ T]\d{1,2}:\d{2}.*)?$|^\d{1,2}[-/.]\d{1,2}[-/.]\d{4}$"
_DECIMAL_COMMA = r"^[-+]?\d+,\d+$"


@dataclass(frozen=True)
class FrameParts:
    """What a frame was turned into.

    Attributes:
        X: Features, shape (n, d), float64, or float32 if all columns of numbers are.
        y: Raw target, shape (n,); None if every column is a feature.
        feature_names: Names of the columns of ``X``.
        target_name: Name of the target column; "y" without one.
        notes: What was done to the columns.

    """

    X: np.ndarray
    y: np.ndarray | None
    feature_names: tuple[str, ...]
    target_name: str
    notes: tuple[str, ...]


def pick_target(names: Sequence[str], target: str | int | None, label: str) -> int:
    """Return the position of the target column.

    Args:
        names: Names of all columns.
        target: Name or position (negative counts from the end); None for the last column.
        label: What errors call the source.

    Returns:
        A position in [0, len(names)).

    Raises:
        InputError: No such column, or no other column beside it.

    """
    if not names:
        raise InputError(f"{label} has no columns", "give feature columns and a target")
    if len(names) == 1:
        raise InputError(f"{label} has one column, {names[0]!r}", "give at least one feature column beside the target")
    if target is None:
        return len(names) - 1
    if isinstance(target, str):
        if target in names:
            return list(names).index(target)
        close = get_close_matches(target, names, n=3, cutoff=0.5)
        lead, mark = ("did you mean", "?") if close else ("the last columns are", "")
        close = close or list(names[-3:])
        raise InputError(f"{label} has no column {target!r}", f"{lead} {', '.join(map(repr, close))}{mark}")
    if isinstance(target, (int, np.integer)) and not isinstance(target, bool) and -len(names) <= target < len(names):
        return int(target) % len(names)
    raise InputError(
        f"target={target!r} is no column of {label}, which has {len(names)} columns",
        f"give a name, or a position from 0 to {len(names) - 1}",
    )


def frame_parts(
    frame: polars.DataFrame, target: str | int | None, origin: Origin, *, parsed: bool = False, with_target: bool = True
) -> FrameParts:
    """Turn a Polars frame into features and target.

    Args:
        frame: Columns of numbers, bool or text, n rows.
        target: Target column, by name or position; None for the last.
        origin: Where the frame came from.
        parsed: The frame was parsed from text: strings that are all numbers are numbers, true/false are bool.
        with_target: False makes every column a feature.

    Returns:
        The parts; X in C order.

    Raises:
        InputError: A missing or bad cell, a type without a meaning as a number, or too many different strings.

    """
    import polars

    names = frame.columns
    position = pick_target(names, target, origin.label) if with_target else -1
    if frame.height == 0:
        raise InputError(f"{origin.label} has no rows", "give at least 2 rows of data")
    _raise_missing(frame, origin)
    reader = _ColumnReader(origin, parsed, frame.height)
    plans = [reader.read(frame.to_series(i)) for i in range(len(names)) if i != position]
    floats = [plan.single for plan in plans if plan.numeric]
    dtype = polars.Float32 if floats and all(floats) else polars.Float64
    columns = [series.cast(dtype) for plan in plans for series in plan.columns]
    X = polars.DataFrame(columns).to_numpy(order="c") if columns else np.empty((frame.height, 0))
    y = reader.read_target(frame.to_series(position)) if with_target else None
    notes = [plan.note for plan in plans if plan.note]
    whole = sum(plan.whole for plan in plans)
    if whole and not parsed:
        notes.append(f"{whole} whole-number {'column was' if whole == 1 else 'columns were'} converted to floats")
    target_name = names[position] if with_target else "y"
    return FrameParts(X, y, tuple(series.name for series in columns), target_name, tuple(notes))


def _raise_missing(frame: polars.DataFrame, origin: Origin) -> None:
    counts = frame.null_count().row(0)
    if not any(counts):
        return
    places = [(frame.to_series(i).is_null().arg_max(), i) for i, count in enumerate(counts) if count]
    row, column = min((row or 0, i) for row, i in places)
    series = frame.to_series(column)
    shown = "1 missing cell" if counts[column] == 1 else f"{counts[column]} missing cells"
    raise InputError(
        f"{origin.cell(row, series.name)} is missing ({shown} in this column)",
        "fill the cells in, or drop these rows or the column",
    )


@dataclass(frozen=True)
class _Plan:
    """What one source column becomes: Polars columns, whether it held numbers (single precision, whole), and a note."""

    columns: tuple[polars.Series, ...]
    numeric: bool = False
    single: bool = False
    whole: bool = False
    note: str = ""


@dataclass(frozen=True)
class _ColumnReader:
    """Reads columns of one frame of a given height; ``parsed`` says that text may stand for numbers and bool."""

    origin: Origin
    parsed: bool
    height: int

    def read(self, series: polars.Series) -> _Plan:
        """Return what a feature column becomes."""
        import polars

        series = self._typed(series)
        dtype = series.dtype
        if dtype == polars.Boolean:
            return _Plan((series,), note=f"column {series.name!r} (bool) became 0/1")
        if dtype != polars.String:
            return _Plan((series,), True, dtype == polars.Float32, dtype.is_integer())
        return self._indicators(series)

    def read_target(self, series: polars.Series) -> np.ndarray:
        """Return the raw values of the target column: numbers, bool or strings."""
        import polars

        series = self._typed(series)
        if series.dtype == polars.String:
            return np.array(series.to_list(), dtype=str)
        if series.dtype.is_decimal() or series.dtype == polars.Int128:
            series = series.cast(polars.Float64)
        return series.to_numpy()

    def _typed(self, series: polars.Series) -> polars.Series:
        """Return the column as numbers, Boolean or String; text with a meaning as numbers is parsed."""
        import polars

        dtype = series.dtype
        if dtype.is_numeric() or dtype == polars.Boolean:
            return series
        if isinstance(dtype, (polars.Categorical, polars.Enum)):
            return series.cast(polars.String)
        if dtype == polars.String:
            return self._text(series.str.strip_chars())
        if dtype.is_temporal():
            raise self._date(series, str(dtype))
        raise InputError(
            f"{self.origin.label}: column {series.name!r} has type {dtype}, which is neither number, bool nor text",
            "drop the column or split it into columns of numbers",
        )

    def _text(self, series: polars.Series) -> polars.Series:
        import polars

        if self.parsed and series.is_in(MISSING_CELLS).any():
            _raise_missing(polars.DataFrame(series.set(series.is_in(MISSING_CELLS), None)), self.origin)
        numbers = series.cast(polars.Float64, strict=False)
        good = self.height - numbers.null_count()
        if good == self.height:
            if self.parsed:
                return numbers
            raise InputError(
                f"{self.origin.label}: column {series.name!r} has type text but all its cells are numbers,"
                f" e.g. {series[0]!r}",
                "cast it to float, or to a categorical type if the values are names",
            )
        if 2 * good >= self.height:
            row = numbers.is_null().arg_max() or 0
            bad = self.height - good
            raise InputError(
                f"{self.origin.cell(row, series.name)}: {series[row]!r} is not a number"
                f" ({bad} bad {'cell' if bad == 1 else 'cells'} in this column)",
                "correct the cells, or drop these rows or the column",
            )
        comma = series.str.contains(_DECIMAL_COMMA)
        if 2 * comma.sum() >= self.height:
            row = comma.arg_max() or 0
            raise InputError(
                f"{self.origin.cell(row, series.name)}: {series[row]!r} is not a number (it has a decimal comma)",
                "write decimal points, or load the file with pandas.read_csv(path, sep=';', decimal=',')",
            )
        if series.str.contains(_DATE).all():
            raise self._date(series, "date")
        if self.parsed and series.str.to_lowercase().is_in(["true", "false"]).all():
            return series.str.to_lowercase() == "true"
        return series

    def _date(self, series: polars.Series, kind: str) -> InputError:
        return InputError(
            f"{self.origin.cell(0, series.name)}: {str(series[0])!r} is a date or a time ({kind}), not a number",
            "drop the column, or replace it by numbers such as days since a start",
        )

    def _indicators(self, series: polars.Series) -> _Plan:
        levels = series.unique().sort().to_list()
        name = series.name
        if len(levels) > MOST_LEVELS:
            raise InputError(
                f"{self.origin.label}: column {name!r} is text with {len(levels)} different values, e.g. {levels[0]!r}",
                f"drop it or group its values into at most {MOST_LEVELS}",
            )
        kept = levels[1:] if len(levels) == 2 else levels
        columns = tuple((series == level).alias(f"{name}={level}") for level in kept)
        made = f"1 indicator column {columns[0].name!r}" if len(kept) == 1 else f"{len(kept)} indicator columns"
        values = "1 value" if len(levels) == 1 else f"{len(levels)} values"
        return _Plan(columns, note=f"column {name!r} (text, {values}) became {made}")


def pandas_parts(frame: Any, target: Any, origin: Origin, *, with_target: bool = True) -> FrameParts:
    """Turn a pandas frame into features and target, without importing pandas.

    A frame of NumPy numbers goes straight to NumPy; any other goes through Polars, column by column.

    Args:
        frame: A pandas DataFrame, n rows.
        target: Target column, by label, name or position; None for the last.
        origin: Where the frame came from.
        with_target: False makes every column a feature.

    Returns:
        The parts; X is a view of the frame where pandas keeps one block of floats.

    Raises:
        InputError: As from ``frame_parts``; also two columns with one name.

    """
    labels = list(frame.columns)
    names = [str(label) for label in labels]
    raise_repeated(names, origin.label)
    if target is not None and not isinstance(target, str) and target in labels:
        target = names[labels.index(target)]
    kinds = [dtype.kind if isinstance(dtype, np.dtype) else "extension" for dtype in frame.dtypes]
    position = pick_target(names, target, origin.label) if with_target else -1
    features = [i for i in range(len(names)) if i != position]
    if all(kinds[i] == "f" for i in features) and (not with_target or kinds[position] in "iuf") and len(frame):
        block = frame.iloc[:, : len(features)] if features == list(range(len(features))) else frame.iloc[:, features]
        feature_names = tuple(names[i] for i in features)
        if not with_target:
            return FrameParts(block.to_numpy(), None, feature_names, "y", ())
        return FrameParts(block.to_numpy(), frame.iloc[:, position].to_numpy(), feature_names, names[position], ())
    import polars

    columns = [
        _pandas_series(frame.iloc[:, i], name, kind, origin)
        for i, (name, kind) in enumerate(zip(names, kinds, strict=True))
    ]
    return frame_parts(polars.DataFrame(columns), position if with_target else None, origin, with_target=with_target)


def _pandas_series(series: Any, name: str, kind: str, origin: Origin) -> polars.Series:
    import polars

    if kind in "biuf":
        values = series.to_numpy()
        return polars.Series(name, values.astype(np.float64) if values.dtype == np.float16 else values)
    if kind in "mM":
        row = 0
        raise InputError(
            f"{origin.cell(row, name)}: {str(series.iloc[0])!r} is a date or a time ({series.dtype}), not a number",
            "drop the column, or replace it by numbers such as days since a start",
        )
    missing = series.isna().to_numpy()
    items = series.astype(object).tolist()
    values = [None if gone else item for item, gone in zip(items, missing, strict=True)]
    present = {type(value) for value in values if value is not None}
    category = str(series.dtype) == "category"
    if category or all(issubclass(kind, str) for kind in present):
        text = [None if value is None else str(value) for value in values]
        return polars.Series(name, text, dtype=polars.Categorical if category else polars.String)
    if kind == "extension" or all(issubclass(kind, (bool, np.bool_)) for kind in present):
        try:
            made = polars.Series(name, values)
        except (TypeError, polars.exceptions.PolarsError):
            made = polars.Series(name, values, dtype=polars.Object)
        if made.dtype == polars.Object:
            raise InputError(
                f"{origin.label}: column {name!r} has type {series.dtype}, which is neither number, bool nor text",
                "convert or drop the column",
            )
        return made
    if all(issubclass(kind, (int, float, np.integer, np.floating)) for kind in present):
        raise InputError(
            f"{origin.label}: column {name!r} has dtype=object though every cell is a number",
            f"convert it: frame[{name!r}] = frame[{name!r}].astype(float)",
        )
    numbers = [not isinstance(value, str) for value in values]
    odd = numbers.index(False) if 2 * sum(numbers) >= len(numbers) and False in numbers else numbers.index(True)
    raise InputError(
        f"{origin.cell(odd, name)}: {values[odd]!r} is of type {type(values[odd]).__name__},"
        " unlike other cells of this column",
        "make the column one type: numbers, bool or text",
    )


def raise_repeated(names: Sequence[str], label: str) -> None:
    """Raise InputError if two columns have one name."""
    if len(set(names)) == len(names):
        return
    repeated = next(name for i, name in enumerate(names) if name in names[:i])
    first = names.index(repeated) + 1
    second = names.index(repeated, first) + 1
    raise InputError(f"{label}: columns {first} and {second} are both named {repeated!r}", "rename or drop one of them")
