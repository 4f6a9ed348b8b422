"""One column of numbers from a file: a record of losses, an observed sequence."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from thalweg.core.errors import InputError
from thalweg.data.delimited import read_bytes, read_delimited

#: Names that a column of losses goes by, the likeliest first.
USUAL = ("value", "loss", "losses", "train_loss", "objective", "f", "error", "errors", "residual", "gap")


def load_series(path: str | os.PathLike[str], column: str | int | None = None) -> np.ndarray:
    """Read one column of a delimited file (CSV, TSV, .gz), of plain lines of numbers, or of an .npy file.

    Args:
        path: The file; whether it has a header is read off its first line.
        column: Name or number (from 0) of the column; when None the only one, or one with a usual name such as
            ``value`` or ``loss``.

    Returns:
        The numbers in their order, shape (n,). Where a header is missing the first line counts as a value.

    Raises:
        InputError: No such file or column, several columns of which none is meant, or a cell that is no number.

    """
    file = Path(path)
    if not file.is_file():
        raise InputError(f"{str(path)!r} is no file", "give a CSV file with a column of numbers")
    if file.suffix.lower() == ".npy":
        return _from_array(file, column)
    frame, origin, _ = read_delimited(file, read_bytes(file))
    name = _chosen(frame.columns, column, file.name)
    cells = frame[name].to_list()
    values = np.empty(len(cells))
    for index, cell in enumerate(cells):
        try:
            values[index] = float(cell)
        except (TypeError, ValueError):
            raise InputError(
                f"{origin.cell(index, name)}: {cell!r} is no number", "correct the cell or drop the row"
            ) from None
    return values


def _chosen(names: list[str], column: str | int | None, file: str) -> str:
    known = ", ".join(names)
    if isinstance(column, str) and column in names:
        return column
    if column is not None:
        number = int(column) if str(column).lstrip("-").isdigit() else None
        if number is None or not -len(names) <= number < len(names):
            raise InputError(f"column={column!r} is not in {file}", f"use one of {known}")
        return names[number]
    if len(names) == 1:
        return names[0]
    lower = {name.lower(): name for name in reversed(names)}
    usual = [lower[name] for name in USUAL if name in lower]
    if not usual:
        raise InputError(f"{file} has {len(names)} columns: {known}", "say which: column='...'")
    return usual[0]


def _from_array(file: Path, column: str | int | None) -> np.ndarray:
    try:
        array = np.load(file, allow_pickle=False)
    except (ValueError, OSError, EOFError):
        raise InputError(f"{file.name} is no array of numbers", "write it with numpy.save") from None
    if array.ndim == 2 and column is not None:
        array = array[:, int(_chosen([str(k) for k in range(array.shape[1])], column, file.name))]
    if array.ndim != 1 or array.dtype.kind not in "iuf":
        raise InputError(f"{file.name} has shape {array.shape} and dtype {array.dtype}", "give one column of numbers")
    return array.astype(np.float64)
