"""LIBSVM text: one line ``label index:value ...`` per row."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from thalweg.core.errors import InputError
from thalweg.data.table import Origin

if TYPE_CHECKING:
    from scipy.sparse import csr_array

_LINE = re.compile(rb"\s*[^\s:,;]+(\s+qid:\d+)?(\s+\d+:[^\s:]+)+\s*(#.*)?")


def looks_like_libsvm(content: bytes) -> bool:
    """Say whether the first line that holds data has the form ``label index:value ...``."""
    for line in content[:1_000_000].splitlines():
        if line.strip() and not line.lstrip().startswith(b"#"):
            return _LINE.fullmatch(line) is not None
    return False


def read_libsvm(path: Path, content: bytes) -> tuple[csr_array, np.ndarray, Origin, tuple[str, ...]]:
    """Parse LIBSVM text.

    Args:
        path: The file, for its name.
        content: Its unpacked content.

    Returns:
        ``(X, y, origin, notes)``: CSR float64 of shape (n, largest index), labels of shape (n,), where the rows
        are, and whether indices start at 0 or 1.

    Raises:
        InputError: No rows, or a line that cannot be parsed.

    """
    from scipy.sparse import csr_array
    from sklearn.datasets import load_svmlight_file

    lines = [number for number, line in enumerate(content.splitlines(), 1) if line.partition(b"#")[0].strip()]
    if not lines:
        raise InputError(f"{path.name} is empty", "give at least 2 rows of the form 'label index:value ...'")
    try:
        X, y = load_svmlight_file(io.BytesIO(content), zero_based=True)
    except (ValueError, OverflowError) as error:
        _raise_bad_line(path.name, content)
        raise InputError(f"{path.name} is not LIBSVM text ({error})", "write lines 'label index:value ...'") from None
    if not X.indices.size:
        raise InputError(f"{path.name} holds labels and no index:value entry", "write lines 'label index:value ...'")
    if X.indices.min() > 0:
        X = csr_array((X.data, X.indices - 1, X.indptr), shape=(X.shape[0], X.shape[1] - 1))
        note = f"indices in {path.name} start at 1: column x1 is index 1"
    else:
        note = f"indices in {path.name} start at 0: column x1 is index 0"
    return csr_array(X), y, Origin(path.name, lambda row: f"row {row + 1} (line {lines[row]})", "label"), (note,)


def _raise_bad_line(file: str, content: bytes) -> None:
    row = 0
    for number, raw in enumerate(content.splitlines(), 1):
        words = raw.partition(b"#")[0].decode(errors="replace").split()
        if not words:
            continue
        row += 1
        place = f"{file}: row {row} (line {number})"
        if not _is_float(words[0]):
            raise InputError(f"{place}: label {words[0]!r} is not a number", "start each line with one numeric label")
        previous = -1
        for word in words[1:]:
            index, colon, value = word.partition(":")
            if index == "qid" and colon:
                continue
            if not colon or not index.isascii() or not index.isdigit():
                raise InputError(f"{place}: {word!r} is not of the form index:value", "write e.g. 3:0.5")
            if not _is_float(value):
                raise InputError(f"{place}, index {index}: {value!r} is not a number", "correct or drop the entry")
            if int(index) <= previous:
                raise InputError(
                    f"{place}: index {index} comes after index {previous}", "write each index once, in ascending order"
                )
            previous = int(index)


def _is_float(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return "_" not in word
