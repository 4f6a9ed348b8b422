"""What a report reads: a record, from an object, a dict or a saved run, with every part allowed to be missing."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from thalweg.core.errors import InputError
from thalweg.core.records import Trace

Record = dict[str, Any]

_REMEDY = "pass a fit, the dict of its record(), or the run.json of a run folder"


@runtime_checkable
class Recorded(Protocol):
    """Anything that can say what happened to it as a record."""

    def record(self) -> Mapping[str, Any]:
        """The record: a dict that JSON can hold."""


def read_record(source: Any) -> Record:
    """The record behind anything that a report accepts.

    Args:
        source: An object with `record()`, its dict, the trace or the plan of one, or the path of a run folder or of
            the run.json in it.

    Returns:
        A dict of plain JSON values; numbers that are not finite become None.

    Raises:
        InputError: If there is no record there, with what to pass instead.

    """
    if isinstance(source, (str, os.PathLike)):
        return _wrapped(_load(Path(source)))
    if isinstance(source, Trace):
        return _wrapped(source.columns)
    if isinstance(source, Recorded):
        return _wrapped(source.record())
    if isinstance(source, Mapping):
        return _wrapped(source)
    raise InputError(f"record={type(source).__name__!r} object has no record", _REMEDY)


def part(record: Record, *names: str) -> Record:
    """A part of a record, by the way that leads to it; empty where it is missing."""
    found: Any = record
    for name in names:
        found = found.get(name) if isinstance(found, dict) else None
    return found if isinstance(found, dict) else {}


def items(record: Record, name: str) -> list[Any]:
    """A list in a record; empty where it is missing."""
    found = record.get(name)
    return found if isinstance(found, list) else []


def column(table: Record, name: str, length: int | None = None) -> np.ndarray:
    """A column of numbers, nan where they are unknown.

    Args:
        table: The part of the record with the columns.
        name: The column.
        length: Entries to return: cut, or filled with nan.

    Returns:
        Shape (length,), or the column's own length.

    """
    numbers = np.array([_number(value) for value in items(table, name)], dtype=float)
    if length is None:
        return numbers
    return np.concatenate([numbers[:length], np.full(max(0, length - len(numbers)), np.nan)])


def rows(table: Record) -> int:
    """The number of rows of a table of columns: that of its longest one."""
    return max((len(value) for value in table.values() if isinstance(value, list)), default=0)


def thinned(length: int, most: int) -> np.ndarray:
    """At most so many indices of a longer column: its beginning whole, since most happens there, and its last."""
    if length <= most:
        return np.arange(length)
    head = most // 4
    return np.unique(np.concatenate([np.arange(head), np.linspace(head, length - 1, most - head).round().astype(int)]))


def plain(value: Any) -> Any:
    """The value in JSON's own types; what is not finite becomes None."""
    if value is None or isinstance(value, (bool, int, str)):
        return str(value) if isinstance(value, str) else value
    if isinstance(value, Mapping):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(entry) for entry in value]
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return str(value)


def _number(value: Any) -> float:
    if isinstance(value, (int, float)):
        return float(value) if abs(value) < 1.79e308 else math.nan
    return math.nan


def _wrapped(source: Mapping[str, Any]) -> Record:
    """A whole record; a piece of one (a trace, a plan, a spectrum) becomes a record with that part alone."""
    record: Record = plain(source)
    if isinstance(record.get("rows"), list):
        return {"kind": "plan", "plan": record}
    if isinstance(record.get("value"), list) or isinstance(record.get("gap"), list):
        return {"kind": "trace", "trace": record}
    if isinstance(part(record, "raw").get("eigenvalues"), list):
        return {"kind": "spectrum", "spectrum": record}
    return record


def _load(path: Path) -> Record:
    if path.is_dir():
        path = path / "run.json"
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{str(path)!r} cannot be read ({error.strerror or error})", _REMEDY) from error
    except ValueError as error:
        raise InputError(f"{str(path)!r} is not JSON ({error})", _REMEDY) from error
    if not isinstance(record, dict):
        raise InputError(f"{str(path)!r} holds a {type(record).__name__}, not a record", _REMEDY)
    return record
