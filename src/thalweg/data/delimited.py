"""Delimited text (CSV, TSV): read by Polars, with the culprit located on failure."""

from __future__ import annotations

import csv
import gzip
import io
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from thalweg.core.errors import InputError
from thalweg.data.frame import MISSING_CELLS, raise_repeated
from thalweg.data.table import Origin

if TYPE_CHECKING:
    import polars

_INFERRED_ROWS = 1000
_NUMBER = re.compile(r"\s*[-+]?(\d+\.?\d*([eE][-+]?\d+)?|\.\d+([eE][-+]?\d+)?|inf|nan)\s*", re.IGNORECASE)
_COMMA_NUMBER = re.compile(r"\s*[-+]?\d+(,\d+)?\s*")


def read_bytes(path: Path) -> bytes:
    """Read a file, unpacked if its name ends in .gz.

    Args:
        path: The file.

    Returns:
        Its content.

    Raises:
        InputError: The file cannot be read, or is not a whole gzip file.

    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}", "check its permissions") from None
    if path.suffix.lower() != ".gz":
        return content
    try:
        return gzip.decompress(content)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise InputError(
            f"{path.name} is not a whole gzip file ({error})", "copy it again, or unpack it and give the text file"
        ) from None


def read_delimited(path: Path, content: bytes) -> tuple[polars.DataFrame, Origin, tuple[str, ...]]:
    """Parse delimited text.

    The delimiter (comma, semicolon, tab or bar) and whether there is a header are read off the first line. Blank lines
    are skipped.

    Args:
        path: The file, for its name.
        content: Its unpacked content, UTF-8.

    Returns:
        The frame, with nulls where cells are missing; where its rows are; and sentences about what was assumed.

    Raises:
        InputError: Empty, not UTF-8, ragged, or with unnamed or repeated columns.

    """
    content = content.removeprefix(b"\xef\xbb\xbf")
    _raise_not_text(path.name, content)
    first_line = next((line for line in content[:1_000_000].splitlines() if line.strip()), b"").decode(errors="replace")
    text = _Text(path.name, content, _delimiter(first_line, path), header=True)
    first = next(iter(text.records()), None)
    if first is None:
        raise InputError(f"{path.name} is empty", "give a file with a header line and at least 2 rows")
    names = [field.strip() for field in first[1]]
    notes: tuple[str, ...] = ()
    if _counts_columns(names):
        notes = (f"the first line of {path.name} counts its columns, so it is the header",)
    elif _is_data(names):
        text = _Text(text.name, content, text.delimiter, header=False)
        names = [f"x{column}" for column in range(1, len(names) + 1)]
        notes = (f"the first line of {path.name} is data, so there is no header: columns are named x1 to {names[-1]}",)
    else:
        _check_header(names, path.name)
    frame = text.parse(names)
    if frame is None or frame.width != len(names) or any(frame.null_count().row(0)):
        blank = text.check_shape(len(names))
        if blank:
            text = _Text(text.name, _without_blank_lines(content), text.delimiter, text.header, blank)
            frame = text.parse(names)
    if frame is None:
        raise InputError(
            f"{path.name} cannot be parsed as delimited text", "check its quotes; write it anew as plain CSV"
        )
    if frame.height == 0:
        raise InputError(f"{path.name} has a header and no rows", "give at least 2 rows of data")
    if text.blank:
        count = len(text.blank)
        notes += (f"{path.name}: {count} blank {'line' if count == 1 else 'lines'} skipped",)
    return frame, Origin(path.name, text.row), notes


@dataclass(frozen=True)
class _Text:
    """Content of one file and how it is laid out; ``blank`` holds the numbers of lines that were taken out."""

    name: str
    content: bytes
    delimiter: str
    header: bool
    blank: tuple[int, ...] = ()

    def parse(self, names: list[str]) -> polars.DataFrame | None:
        """Return the frame with these column names, or None if Polars cannot parse it.

        Types come from the first rows; where a later row contradicts them, every column is read as text instead, and
        told by all its cells when it is turned into numbers.
        """
        import polars

        for infer in (True, False):
            try:
                return polars.read_csv(
                    self.content,
                    has_header=self.header,
                    separator=self.delimiter,
                    new_columns=names,
                    null_values=MISSING_CELLS,
                    infer_schema_length=_INFERRED_ROWS,
                    infer_schema=infer,
                )
            except polars.exceptions.NoDataError:
                return polars.DataFrame({name: [] for name in names})
            except polars.exceptions.PolarsError:
                continue
        return None

    def records(self) -> Iterator[tuple[int, list[str]]]:
        """Yield each record, header included, with the number of its first line; blank lines are left out."""
        lines = io.TextIOWrapper(io.BytesIO(self.content), encoding="utf-8", newline="")
        reader = csv.reader(lines, delimiter=self.delimiter, strict=True)
        line = 1
        while True:
            try:
                fields = next(reader, None)
            except csv.Error as error:
                raise InputError(
                    f"{self.name}: line {line}: the quotes do not match ({error})",
                    "close the quote, or double it inside",
                ) from None
            if fields is None:
                return
            if fields:
                yield line, fields
            line = reader.line_num + 1

    def check_shape(self, width: int) -> tuple[int, ...]:
        """Raise InputError at the first record without ``width`` fields; return the numbers of blank lines."""
        blank: list[int] = []
        expected = 1
        for index, (line, fields) in enumerate(self.records()):
            if len(fields) != width:
                few = len(fields) < width
                raise InputError(
                    f"{self.name}: row {index + 1 - self.header} (line {line}) has {len(fields)}"
                    f" {'field' if len(fields) == 1 else 'fields'} where {width} are expected",
                    "add the missing fields"
                    if few
                    else "remove the extra fields, or quote a field that holds the delimiter",
                )
            blank.extend(range(expected, line))
            expected = line + 1 + sum(field.count("\n") for field in fields)
        return (*blank, *range(expected, 1 + len(self.content.splitlines())))

    def row(self, index: int) -> str:
        """Name a row by its 0-based index, with the line of the original file that it starts on."""
        records = self.records()
        for _ in range(index + self.header):
            next(records)
        line = next(records)[0]
        for number in self.blank:
            line += number <= line
        return f"row {index + 1} (line {line})"


def _delimiter(line: str, path: Path) -> str:
    if ".tsv" in path.suffixes and "\t" in line:
        return "\t"
    parts = line.split(";")
    if len(parts) > 1 and all(_COMMA_NUMBER.fullmatch(part) for part in parts):
        return ";"
    bare = re.sub(r'"[^"]*"', "", line)
    return max(",;\t|", key=bare.count)


def _is_data(fields: list[str]) -> bool:
    """Say whether the first line holds data: at least half of it is numbers."""
    return 2 * len(_numbers(fields)) >= len(fields)


def _counts_columns(fields: list[str]) -> bool:
    """Say whether the numbers in the first line are 0, 1, 2, ... or 1, 2, 3, ...: names of five columns or more."""
    numbers = _numbers(fields)
    return len(numbers) >= 5 and any(numbers == [str(i + first) for i in range(len(numbers))] for first in (0, 1))


def _numbers(fields: list[str]) -> list[str]:
    return [field for field in fields if _NUMBER.fullmatch(field) or _COMMA_NUMBER.fullmatch(field)]


def _check_header(names: list[str], file: str) -> None:
    if "" in names:
        raise InputError(
            f"{file}: column {names.index('') + 1} has no name in the header",
            "name it, or write the file without its index (pandas: to_csv(index=False))",
        )
    raise_repeated(names, file)


def _raise_not_text(file: str, content: bytes) -> None:
    if b"\0" in content:
        at = content.index(b"\0")
        raise InputError(f"{file}: byte {at + 1} is 0, so this is not UTF-8 text", "save it as UTF-8 text")
    if content.isascii():
        return
    try:
        content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise InputError(
            f"{file}: byte 0x{content[error.start]:02x} on line {line} is not UTF-8",
            f"save it as UTF-8, e.g. iconv -f latin1 -t utf-8 {file}",
        ) from None


def _without_blank_lines(content: bytes) -> bytes:
    """Drop blank lines outside quotes."""
    kept = []
    quoted = False
    for line in content.splitlines(keepends=True):
        if quoted or line.strip(b"\r\n"):
            kept.append(line)
        quoted ^= line.count(b'"') % 2 == 1
    return b"".join(kept)
