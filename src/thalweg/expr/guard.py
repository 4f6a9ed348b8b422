"""Arrays that a function under differentiation has read may not be written until it returns.

A graph keeps arrays, not copies of them. Were one overwritten after its use, as a buffer in a loop is, every derivative
would be that of another function. While the function runs the arrays that it has read are therefore not writeable, and
NumPy refuses; tensors are compared with the version that torch counts for them.
"""

from __future__ import annotations

import threading
from typing import Any

import numpy as np

from thalweg.core.errors import UnsupportedError


class _Guard(threading.local):
    """What this thread holds; None while nothing is differentiated or traced."""

    arrays: list[Any] | None = None
    tensors: list[tuple[Any, int]] | None = None


guard = _Guard()


def hold(array: np.ndarray[Any, Any]) -> None:
    """Make an array, and what it is a view of, read-only until the function that reads it has returned."""
    held = guard.arrays
    if held is not None:
        view: Any = array
        while isinstance(view, np.ndarray) and view.flags.writeable:
            view.flags.writeable = False
            held.append(view)
            view = view.base


def hold_tensor(tensor: Any) -> None:
    """Remember the version of a tensor."""
    if guard.tensors is not None and not tensor.is_inference():
        guard.tensors.append((tensor, tensor._version))


def _depth(array: Any) -> int:
    depth = 0
    while isinstance(array.base, np.ndarray):
        depth, array = depth + 1, array.base
    return depth


class Guarded:
    """Within ``with`` what is read is held; the outermost one lets go."""

    __slots__ = ("_outermost",)

    def __enter__(self) -> None:
        self._outermost = guard.arrays is None
        if self._outermost:
            guard.arrays, guard.tensors = [], []

    def __exit__(self, kind: Any, error: Any, traceback: Any) -> None:
        if not self._outermost:
            return
        arrays, tensors = guard.arrays or [], guard.tensors or []
        guard.arrays = guard.tensors = None
        for array in sorted(arrays, key=_depth):  # a view becomes writeable only after what it views
            array.flags.writeable = True
        if kind is None and any(tensor._version != version for tensor, version in tensors):
            raise UnsupportedError(
                "a tensor was written in place after the function had read it; the derivative would be that of "
                "another function",
                "write the functional form: t = t + 1 for t += 1, where(mask, new, t) for t[mask] = new",
            )
        if kind is not None and issubclass(kind, ValueError) and "read-only" in str(error) and arrays:
            raise UnsupportedError(
                "an array was written in place after the function had read it; the derivative would be that of "
                "another function",
                "write the functional form: a = a + 1 for a += 1, where(mask, new, a) for a[mask] = new, or fill a "
                "new array for each use",
            ) from None
