"""Generated source kept on disk, so that compiled kernels survive the process that wrote them.

A kernel is a Python module whose text Thalweg writes. Its file has two readers: this process, which executes it, and
the numba compiler, which keeps machine code in a `__pycache__` folder beside it and trusts that code as long as the
time and size of the file stay the same. Hence a sound file is never written again, and its time never touched.

The layout is `<cache folder>/kernels/<build>/<key>.py`, where `<build>` stands for the state of Thalweg's own source
files: a kernel from another version, or from before an edit of its generator, is never met.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import linecache
import os
import re
import sys
import tempfile
import threading
import time
import types
from collections.abc import Callable, Iterator
from pathlib import Path

from thalweg.core.errors import InputError

MAX_FILES = 500
"""Kernels kept on disk, over all builds; past it the oldest go."""

_ABANDONED_AFTER = 3600.0
"""Age in seconds past which a temporary file belongs to a process that died while writing it."""

_KEY = re.compile(r"[A-Za-z0-9_]{1,100}", re.ASCII)
_HEADER = "# thalweg kernel, sha256 of what follows: "

_modules: dict[str, types.ModuleType] = {}
_lock = threading.RLock()


def cache_folder() -> Path | None:
    """Where Thalweg keeps what it can build again.

    The folder is `$THALWEG_CACHE`, else `$XDG_CACHE_HOME/thalweg`, else `~/.cache/thalweg`; it is made where missing.

    Returns:
        The folder, or None if it cannot be created or written (a read-only or full disk, no home).

    """
    folder = _named_folder()
    if folder is None:
        return None
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Permission bits do not tell a read-only or a full disk, nor anything at all to root; a written byte does.
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(b"0")
    except OSError:
        return None
    return folder


def source_module(key: str, build: Callable[[], str]) -> types.ModuleType:
    """The module executed from the source that is kept under a key.

    The module finds the name `ON_DISK` in its own namespace: True if numba can keep compiled code beside its file, so
    that generated source says `@njit(cache=ON_DISK)` and compiles in any surroundings.

    Args:
        key: Letters, digits and underscores, at most 100. It must determine the source, since a source found under the
            key is used as it stands.
        build: Returns the source text; called only if there is no sound file under the key.

    Returns:
        The module, named `thalweg_kernel_<key>` in `sys.modules`; the same object at every call.

    Raises:
        InputError: The key could not be a file name.

    """
    module = _modules.get(key)
    if module is not None:
        return module
    if not isinstance(key, str) or not _KEY.fullmatch(key):
        raise InputError(f"key={key!r} is not a kernel's key", "use 1 to 100 ASCII letters, digits and underscores")
    with _lock:
        module = _modules.get(key)
        if module is None:
            source, path = _fetch(key, build)
            module = _modules[key] = _execute(key, source, path)
    return module


def _named_folder() -> Path | None:
    """The folder that the environment asks for, whether it can be used or not."""
    own = os.environ.get("THALWEG_CACHE")
    if own:
        return Path(own).absolute()
    shared = os.environ.get("XDG_CACHE_HOME")
    if shared and os.path.isabs(shared):  # the XDG standard has relative paths ignored
        return Path(shared) / "thalweg"
    home = os.path.expanduser("~")  # "~" itself where neither HOME nor the user database knows one
    return Path(home) / ".cache" / "thalweg" if os.path.isabs(home) else None


@functools.cache
def _build_tag() -> str:
    """A digest of the paths, times and sizes of Thalweg's source files.

    It is finer than the version number, which an edit in a checkout leaves alone, and takes 1 ms where asking the
    package metadata for the version takes 30.
    """
    digest = hashlib.sha256()
    for path, status in sorted(_sources(Path(__file__).parents[1])):
        digest.update(f"{path}:{status.st_mtime_ns}:{status.st_size}\n".encode())
    return digest.hexdigest()[:16]


def _sources(folder: str | os.PathLike[str]) -> Iterator[tuple[str, os.stat_result]]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield from _sources(entry.path)
            elif entry.name.endswith(".py"):
                yield entry.path, entry.stat()


def _fetch(key: str, build: Callable[[], str]) -> tuple[str, Path | None]:
    """The source under a key, and the file that holds exactly it (None if no file can)."""
    root = cache_folder()
    path = None if root is None else root / "kernels" / _build_tag() / f"{key}.py"
    source = None if path is None else _read(path)
    if source is not None:
        return source, path
    body = build()
    source = f"{_HEADER}{_checksum(body)}\n{body}"
    if path is None:
        return source, None
    # Another process may have been quicker; its file is already known to numba by its time, so it stays.
    if _read(path) == source:
        return source, path
    try:
        _write(path, source)
    except OSError:
        return source, None
    _prune(path.parents[1], keep=path)
    return source, path


def _checksum(body: str) -> str:
    return hashlib.sha256(body.encode()).hexdigest()


def _read(path: Path) -> str | None:
    """The text of a sound file; None if there is none, or it is torn, altered or not ours."""
    try:
        text = path.read_bytes().decode()
    except (OSError, UnicodeDecodeError):
        return None
    header, _, body = text.partition("\n")
    return text if header == _HEADER + _checksum(body) else None


def _write(path: Path, text: str) -> None:
    """Put a file in its place whole: another process sees the old one or the new one, never a part."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=f"{path.stem}.", suffix=".tmp", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(text.encode())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def _prune(kernels: Path, keep: Path) -> None:
    """Delete the oldest kernels beyond `MAX_FILES`, numba's files that belong to them, and abandoned temporaries.

    Other processes prune and write at the same time, so a file that is already gone is no event.
    """
    files: list[tuple[float, Path]] = []
    now = time.time()
    for path in kernels.glob("*/*.*"):
        with contextlib.suppress(OSError):
            age = path.stat().st_mtime
            if path.suffix == ".py" and path != keep:
                files.append((age, path))
            elif path.suffix == ".tmp" and now - age > _ABANDONED_AFTER:
                path.unlink()
    for _, path in sorted(files)[: max(0, len(files) + 1 - MAX_FILES)]:
        for stale in [path, *(path.parent / "__pycache__").glob(f"{path.stem}.*")]:
            with contextlib.suppress(OSError):
                stale.unlink()
        for emptied in (path.parent / "__pycache__", path.parent):
            with contextlib.suppress(OSError):
                emptied.rmdir()


def _execute(key: str, source: str, path: Path | None) -> types.ModuleType:
    name = f"thalweg_kernel_{key}"
    filename = f"<{name}>" if path is None else str(path)
    module = types.ModuleType(name)
    module.__file__ = filename
    module.__dict__["ON_DISK"] = path is not None
    # A traceback shows its lines from here even if there is no file, or the file has been pruned meanwhile.
    linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)
    # numba looks up a function's module by name while it compiles, so the name must be known before the source runs.
    sys.modules[name] = module
    try:
        exec(compile(source, filename, "exec"), module.__dict__)
    except BaseException:
        del sys.modules[name]
        raise
    return module
