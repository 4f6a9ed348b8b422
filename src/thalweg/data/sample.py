"""Seeded samples of rows."""

from __future__ import annotations

import math

import numpy as np

from thalweg.core.errors import InputError
from thalweg.core.random import generator as seeded


def split_rows(
    n: int,
    seed: int | np.random.Generator,
    held_out: float = 0.2,
    y: np.ndarray | None = None,
    stratify: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """Split rows into a training part and a held-out part.

    Args:
        n: Number of rows, at least 2.
        seed: Seed or generator; the same seed gives the same split.
        held_out: Fraction held out, in (0, 1); at least one row goes to either part.
        y: Classes, shape (n,); needed to stratify.
        stratify: Hold out the same fraction of each class, to the nearest row. Each class keeps a training row.

    Returns:
        Ascending row indices ``(train, test)``, shapes (n - m,) and (m,).

    Raises:
        InputError: Fewer than two rows, a fraction outside (0, 1), or no classes of that length to stratify by.

    """
    if n < 2:
        raise InputError(f"n = {n}: a split needs at least 2 rows", "give more rows or skip the held-out score")
    if not 0 < held_out < 1:
        raise InputError(f"held_out = {held_out}", "give a fraction between 0 and 1, e.g. 0.2")
    generator = seeded(seed)
    size = min(max(round(n * held_out), 1), n - 1)
    if not stratify:
        chosen = generator.permutation(n)[:size]
    elif y is None or y.shape != (n,):
        raise InputError(f"y has shape {None if y is None else y.shape} but n = {n}", "pass y with one class per row")
    else:
        chosen = _stratified(np.unique(y, return_inverse=True)[1], size, generator)
    held = np.zeros(n, bool)
    held[chosen] = True
    return np.flatnonzero(~held), np.flatnonzero(held)


def _stratified(codes: np.ndarray, size: int, generator: np.random.Generator) -> np.ndarray:
    """Choose about ``size`` rows, from each class its share by largest remainder, never a class's last row."""
    counts = np.bincount(codes)
    exact = counts * (size / codes.size)
    takes = np.minimum(np.floor(exact).astype(int), counts - 1)
    for label in np.lexsort((generator.random(counts.size), takes - exact)):
        if takes.sum() >= size:
            break
        takes[label] += takes[label] < min(counts[label] - 1, math.ceil(exact[label]))
    order = np.argsort(codes, kind="stable")
    starts = np.cumsum(counts) - counts
    parts = [
        order[start : start + count][generator.permutation(count)[:take]]
        for start, count, take in zip(starts, counts, takes, strict=True)
    ]
    return np.concatenate(parts)
