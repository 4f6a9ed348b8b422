"""The plotting library's script, in one piece, for pages that must work offline."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import threading
from importlib.util import find_spec
from pathlib import Path

from thalweg.core.cache import cache_folder

_EXPORTS = "window.vegaEmbed=vegaEmbed;"
_HEADER = "// thalweg bundle, sha256 of what follows: "


@functools.cache
def plotting_script() -> str:
    """Vega, Vega-Lite and their embedder as one script that sets `window.vegaEmbed` and loads nothing.

    Making it takes a second, so it is kept in the cache folder under the library's build and read back in 2 ms.
    """
    path = _path()
    kept = None if path is None else _read(path)
    if kept is not None:
        return kept
    import vl_convert  # 84 MB of it; only a page that finds no kept script pays

    script = str(vl_convert.javascript_bundle(_EXPORTS))
    if path is not None:
        with contextlib.suppress(OSError):  # a full disk costs the next process a second, and nothing else
            write_whole(path, f"{_HEADER}{_digest(script)}\n{script}")
    return script


def write_whole(path: Path, content: str | bytes) -> None:
    """Put a file in its place whole: a reader sees the old one or the new one, never a part.

    Raises:
        OSError: If it cannot be written; nothing is left behind then.

    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name[:100]}.{os.getpid()}-{threading.get_ident()}.tmp")
    try:
        temporary.write_bytes(content if isinstance(content, bytes) else content.encode())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


def _path() -> Path | None:
    """Where the script of the installed build is kept; asking the package for its version would take 30 ms."""
    folder, spec = cache_folder(), find_spec("vl_convert")
    if folder is None or spec is None or spec.origin is None:
        return None
    files = sorted(Path(spec.origin).parent.glob("vl_convert*"))
    build = "".join(f"{file.name}:{file.stat().st_mtime_ns}:{file.stat().st_size}\n" for file in files)
    return folder / "report" / f"vega-{_digest(build + _EXPORTS)[:16]}.js"


def _read(path: Path) -> str | None:
    """The script of a sound file; None if there is none, or it is torn or altered."""
    try:
        kept = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None
    header, _, script = kept.partition("\n")
    return script if header == _HEADER + _digest(script) else None


def _digest(content: str) -> str:
    return hashlib.sha256(content.encode()).hexdigest()
