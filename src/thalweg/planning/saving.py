"""Saved runs: one file, written whole or not at all, at intervals and when a run ends."""

from __future__ import annotations

import contextlib
import glob
import json
import os
import tempfile
import time
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from thalweg.core.errors import InputError
from thalweg.core.events import Event, Finished, Stepped

HEADER = "header"
#: Seconds after which a part that nobody has written on is what a killed process left.
ABANDONED = 600.0


class Saver:
    """Writes the run at most once an interval, and its last step when it ends.

    Args:
        path: The file.
        every: Seconds between writes.

    """

    def __init__(self, path: str | os.PathLike[str], every: float) -> None:
        self.path = _path("save", path)
        self.every = every
        self.last = time.monotonic()
        self.step: Stepped | None = None
        if not self.path.parent.is_dir():
            raise InputError(f"save={str(path)!r}: there is no folder {self.path.parent}", "make it, or save elsewhere")
        if self.path.is_dir():
            raise InputError(f"save={str(path)!r} is a folder", "name a file in it")
        try:
            _clear(self.path)
            handle, name = _part(self.path)
        except OSError as error:
            raise InputError(f"save={str(path)!r} cannot be written: {error.strerror}", "save elsewhere") from None
        os.close(handle)
        os.unlink(name)

    def see(self, event: Event) -> None:
        """Look at one event of the run."""
        if isinstance(event, Stepped):
            self.step = event
            if time.monotonic() - self.last >= self.every:
                self._write()
        elif isinstance(event, Finished):
            self._write()

    def _write(self) -> None:
        if self.step is not None and self.step.keep is not None:
            write(self.path, *self.step.keep().pack())
            self.step, self.last = None, time.monotonic()


def write(path: Path, header: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
    """Write the file: a reader, also after a crash, sees the old one or the new one, never a part.

    Args:
        path: The file.
        header: What JSON can hold.
        arrays: Named arrays.

    """
    handle, name = _part(path)
    try:
        with os.fdopen(handle, "wb") as stream:
            np.savez(stream, **{HEADER: np.array(json.dumps(header))}, **arrays)  # type: ignore[arg-type]
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(name, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)
        raise


def _part(path: Path) -> tuple[int, str]:
    """A new file beside the path, open, with its name."""
    return tempfile.mkstemp(prefix=path.name, suffix=".part", dir=path.parent)


def _clear(path: Path) -> None:
    """Remove the parts that processes left which were killed while they wrote."""
    for part in path.parent.glob(f"{glob.escape(path.name)}*.part"):
        if time.time() - part.stat().st_mtime > ABANDONED:
            part.unlink(missing_ok=True)


def read(path: str | os.PathLike[str]) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Read what ``write`` wrote; nothing in the file is executed.

    Args:
        path: The file.

    Raises:
        InputError: There is no such file, or it is no saved run.

    """
    remedy = "give the file that save= named"
    file = _path("resume", path)
    try:
        with np.load(file, allow_pickle=False) as held:
            arrays = {name: held[name] for name in held.files}
        header = dict(json.loads(str(arrays.pop(HEADER)[()])))
    except FileNotFoundError:
        raise InputError(f"resume={str(path)!r}: there is no such file", remedy) from None
    except (ValueError, TypeError, KeyError, OSError, AttributeError, zipfile.BadZipFile, EOFError):
        raise InputError(f"resume={str(path)!r} is no saved run, or only a part of one", remedy) from None
    return header, arrays


def _path(name: str, path: Any) -> Path:
    """The path of a file.

    Raises:
        InputError: It is none.

    """
    try:
        return Path(path)
    except TypeError:
        raise InputError(f"{name}={path!r:.60} is no path", "give the name of a file") from None
