"""What kind of target a raw target is: two classes, classes, or a real number."""

from __future__ import annotations

import numpy as np

from thalweg.core.errors import InputError

MOST_WHOLE_CLASSES = 20
MOST_TEXT_CLASSES = 1000
_FIRST_LOOK = 1024
_BLOCK = 65536


def encode_target(y: np.ndarray, name: str = "y") -> tuple[str, np.ndarray, np.ndarray | None]:
    """Say what kind of target ``y`` is and encode it.

    Exactly two distinct values are two classes. Text, bool, or at most 20 distinct whole numbers are classes. Anything
    else is real.

    Args:
        y: Raw checked target, shape (n,): finite numbers, bool or strings.
        name: What errors call it.

    Returns:
        ``(kind, values, classes)``. ``kind`` is "two classes", "classes" or "real". For classes, ``classes`` holds the
        distinct values in ascending order, shape (k,), and ``values`` the index of each row's class, shape (n,), intp.
        For "real", ``values`` is ``y`` as float64 or float32, and ``classes`` is None.

    Raises:
        InputError: All values are the same, or there are more than 1000 different strings.

    """
    if y.dtype.kind in "US":
        return _encode_text(y, name)
    classes = _few_values(y)
    if classes is None:
        return "real", y if y.dtype.char in "fd" else y.astype(np.float64), None
    if classes.size == 1:
        _raise_one_class(classes[0].item(), name)
    if classes.size == 2:
        return "two classes", (y == classes[1]).astype(np.intp), classes
    return "classes", np.searchsorted(classes, y), classes


def _few_values(y: np.ndarray) -> np.ndarray | None:
    """Return the sorted distinct values if they make classes, else None; stops as soon as that is certain."""
    seen = _distinct(y[:_FIRST_LOOK])
    start = _FIRST_LOOK
    while not _is_real(seen):
        if start >= y.size:
            return seen
        block = y[start : start + _BLOCK]
        new = block[seen[np.minimum(np.searchsorted(seen, block), seen.size - 1)] != block]
        if new.size:
            seen = _distinct(np.concatenate([seen, new]))
        start += _BLOCK
    return None


def _distinct(values: np.ndarray) -> np.ndarray:
    ordered = np.sort(values)
    keep = np.empty(ordered.size, bool)
    keep[0] = True
    np.not_equal(ordered[1:], ordered[:-1], out=keep[1:])
    return ordered[keep]


def _is_real(distinct: np.ndarray) -> bool:
    if distinct.size <= 2:
        return False
    return distinct.size > MOST_WHOLE_CLASSES or (distinct.dtype.kind == "f" and bool((distinct % 1 != 0).any()))


def _encode_text(y: np.ndarray, name: str) -> tuple[str, np.ndarray, np.ndarray]:
    items = y.tolist()
    levels = sorted(set(items))
    if len(levels) == 1:
        _raise_one_class(levels[0], name)
    if len(levels) > MOST_TEXT_CLASSES:
        raise InputError(
            f"{name} is text with {len(levels)} different values in {y.size} rows, e.g. {items[0]!r}",
            f"choose a target with at most {MOST_TEXT_CLASSES} classes, or a number",
        )
    codes = dict(zip(levels, range(len(levels)), strict=True))
    values = np.fromiter(map(codes.__getitem__, items), np.intp, y.size)
    return "two classes" if len(levels) == 2 else "classes", values, np.array(levels, dtype=y.dtype)


def _raise_one_class(value: object, name: str) -> None:
    raise InputError(
        f"{name} has one class: every row is {value!r}", "give rows of at least two different target values"
    )
