"""The record that every data door returns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from scipy.sparse import csr_array


@dataclass(frozen=True)
class Table:
    """Rows of finite features beside a raw target, with everything that was done to them.

    Attributes:
        name: Name of the built-in set, stem of the file name, or ``"array"``.
        X: Features, shape (n, d): a dense float64 or float32 array in any memory order, or a CSR array. The caller's
            own array where nothing had to be converted; never written to.
        y: Raw target, shape (n,): numbers, bool or strings, not encoded.
        feature_names: Names of the columns of ``X``, length d.
        target_name: Name of the target.
        notes: One sentence for each treatment of the input.
        sample_weight: Weights of the rows, shape (n,), float64; None when none were given.

    """

    name: str
    X: np.ndarray | csr_array
    y: np.ndarray
    feature_names: tuple[str, ...]
    target_name: str
    notes: tuple[str, ...]
    sample_weight: np.ndarray | None = None


def plain_row(index: int) -> str:
    """Name a row, counted from 1, by its 0-based index."""
    return f"row {index + 1}"


@dataclass(frozen=True)
class Origin:
    """Where values came from, so that an error can point at them.

    Attributes:
        label: File or argument that holds the features.
        row: Names a row by its 0-based index; for a text file the line is included.
        target: Name of the target column inside the same source, or None when the target is the argument ``y``.

    """

    label: str
    row: Callable[[int], str] = plain_row
    target: str | None = None

    def cell(self, index: int, column: str) -> str:
        """Name one cell of the source by its 0-based row index and its column."""
        return f"{self.label}: {self.row(index)}, column {column!r}"

    def target_cell(self, index: int) -> str:
        """Name one value of the target by its 0-based row index."""
        return f"y: {self.row(index)}" if self.target is None else self.cell(index, self.target)

    def target_label(self) -> str:
        """Name the whole target."""
        return "y" if self.target is None else f"{self.label}: target column {self.target!r}"
