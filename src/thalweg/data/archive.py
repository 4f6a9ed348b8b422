"""NumPy files: .npz with X (dense, or the pieces of a sparse matrix) and y, and .npy."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from thalweg.core.errors import InputError


def read_archive(path: Path, content: bytes, *, needs_y: bool) -> tuple[Any, np.ndarray | None]:
    """Read a .npz file.

    Args:
        path: The file, for its name.
        content: Its content.
        needs_y: Whether the target has to come from the file.

    Returns:
        ``(X, y)``: X dense or sparse as stored; y as stored, or None when the file has none.

    Raises:
        InputError: Not a NumPy archive, no X or y in it, pieces of a sparse matrix that do not fit, or object arrays.

    """
    arrays = _load(path, content)
    if not isinstance(arrays, dict):
        raise InputError(f"{path.name} is not a .npz archive", "write it with numpy.savez(path, X=X, y=y)")
    y = arrays.get("y")
    held = f"it holds {', '.join(map(repr, arrays)) or 'nothing'}"
    if y is None and needs_y:
        raise InputError(
            f"{path.name} has no array 'y'; {held}", "write it with numpy.savez(path, X=X, y=y), or give y or target"
        )
    if "X" in arrays:
        return arrays["X"], y
    if {"data", "shape", "format"} <= arrays.keys():
        return _sparse(path.name, arrays), y
    raise InputError(
        f"{path.name} has no array 'X' nor the pieces of a sparse matrix; {held}",
        "write it with numpy.savez(path, X=X, y=y)",
    )


def read_array(path: Path, content: bytes) -> np.ndarray:
    """Read a .npy file.

    Args:
        path: The file, for its name.
        content: Its content.

    Returns:
        The array as stored.

    Raises:
        InputError: Not a NumPy file, or an object array.

    """
    values = _load(path, content)
    if isinstance(values, dict):
        raise InputError(f"{path.name} is a .npz archive", "rename it to .npz")
    return values


def _load(path: Path, content: bytes) -> dict[str, np.ndarray] | np.ndarray:
    try:
        loaded = np.load(io.BytesIO(content), allow_pickle=False)
        return loaded if isinstance(loaded, np.ndarray) else {name: loaded[name] for name in loaded.files}
    except (ValueError, EOFError, OSError, zipfile.BadZipFile, KeyError) as error:
        if "Object arrays" in str(error):
            raise InputError(f"{path.name} holds an object array", "save numbers: X.astype(float)") from None
        reason = "the file is empty" if not content else str(error).partition("\n")[0]
        raise InputError(
            f"{path.name} is not a whole NumPy file ({reason})", "write it again with numpy.savez or numpy.save"
        ) from None


def _sparse(file: str, arrays: Mapping[str, np.ndarray]) -> Any:
    from scipy import sparse

    kind = arrays["format"].item()
    kind = kind.decode() if isinstance(kind, bytes) else str(kind)
    shape = tuple(arrays["shape"].tolist())
    try:
        if kind == "coo":
            return sparse.coo_array((arrays["data"], (arrays["row"], arrays["col"])), shape=shape)
        if kind in {"csr", "csc"}:
            make = sparse.csr_array if kind == "csr" else sparse.csc_array
            made = make((arrays["data"], arrays["indices"], arrays["indptr"]), shape=shape)
            made.check_format(full_check=True)
            return made
    except (KeyError, ValueError) as error:
        raise InputError(
            f"{file}: the pieces of the sparse matrix do not fit ({error})", "write them with scipy.sparse.save_npz"
        ) from None
    raise InputError(f"{file} holds a sparse matrix of format {kind!r}", "save it as CSR: X.tocsr()")
