"""Constant and equal columns: found cheaply, stated, left in place."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from scipy.sparse import csc_array, csr_array

_SAMPLE_ROWS = 64
_BLOCK_ROWS = 4096
_SPARSE_FIRST_LOOK = 5_000_000
_LISTED = 8


def column_notes(X: np.ndarray | csr_array, names: Sequence[str]) -> tuple[str, ...]:
    """State which columns are constant and which are equal to each other.

    Args:
        X: Finite features, shape (n, d), dense or CSR.
        names: Column names, length d.

    Returns:
        Sentences, none when every column varies and differs from the others. Constant columns are not compared.

    """
    if isinstance(X, np.ndarray):
        constant = constant_columns(X)
        groups = equal_columns(X, constant)
    else:
        constant, groups = _sparse_columns(X)
    notes = []
    if constant.size == 1:
        notes.append(f"column {names[constant[0]]!r} is constant: its coefficient is 0")
    elif constant.size:
        notes.append(f"columns {_listing(constant, names)} are constant: their coefficients are 0")
    notes.extend(f"columns {_listing(group, names)} are equal" for group in groups[:_LISTED])
    if len(groups) > _LISTED:
        notes.append(f"{len(groups) - _LISTED} more groups of columns are equal among themselves")
    return tuple(notes)


def constant_columns(X: np.ndarray) -> np.ndarray:
    """Return the indices of the columns of a dense array, shape (n, d), whose values are all the same."""
    first = X[0]
    alive = np.flatnonzero((X[-1] == first) & (X[X.shape[0] // 2] == first))
    if alive.size:
        alive = alive[(_sample(X)[:, alive] == first[alive]).all(axis=0)]
    for start in range(0, X.shape[0], _BLOCK_ROWS):
        if not alive.size:
            break
        alive = alive[(X[start : start + _BLOCK_ROWS, alive] == first[alive]).all(axis=0)]
    return alive


def equal_columns(X: np.ndarray, skip: np.ndarray) -> list[list[int]]:
    """Group the columns of a dense array that are equal in every row.

    A spread sample of rows decides in the usual case; only columns that agree there are read in full.

    Args:
        X: Finite features, shape (n, d).
        skip: Indices of columns to leave out.

    Returns:
        Groups of two or more column indices, each ascending, ordered by their first column.

    """
    columns = np.arange(X.shape[1])
    if skip.size:
        columns = np.delete(columns, skip)
    groups = _split(_sample(X), [columns])
    for start in range(0, X.shape[0], _BLOCK_ROWS):
        if not groups:
            break
        groups = _split(X[start : start + _BLOCK_ROWS], groups)
    return sorted(group.tolist() for group in groups)


def _sample(X: np.ndarray) -> np.ndarray:
    return X[:: -(-X.shape[0] // _SAMPLE_ROWS)]


def _split(rows: np.ndarray, groups: list[np.ndarray]) -> list[np.ndarray]:
    """Split groups of columns by their bytes in these rows and keep the parts with two columns or more."""
    parts: list[np.ndarray] = []
    for group in groups:
        whole = group.size == rows.shape[1]
        # Adding 0 turns -0.0 into 0.0, so that equal numbers have equal bytes.
        packed = (np.ascontiguousarray((rows if whole else rows[:, group]).T) + 0).tobytes()
        width = rows.shape[0] * rows.dtype.itemsize
        keys = [packed[at : at + width] for at in range(0, len(packed), width)]
        if len(set(keys)) == len(keys):
            continue
        members: defaultdict[bytes, list[int]] = defaultdict(list)
        for column, key in zip(group.tolist(), keys, strict=True):
            members[key].append(column)
        parts.extend(np.array(part) for part in members.values() if len(part) > 1)
    return parts


def _sparse_columns(X: csr_array) -> tuple[np.ndarray, list[list[int]]]:
    n, d = X.shape
    columns = np.arange(d)
    if X.nnz > _SPARSE_FIRST_LOOK:
        # The first rows rule most columns out; a column that is constant there may still vary below.
        head = X[: max(1, int(n * _SPARSE_FIRST_LOOK / X.nnz))].tocsc()
        constant, groups = _sparse_constant(head), _sparse_equal(head)
        columns = np.unique(np.concatenate([constant, *groups]).astype(np.intp))
        X = X[:, columns]
    by_column = X.tocsc()
    by_column.eliminate_zeros()
    constant = columns[_sparse_constant(by_column)]
    fixed = set(constant.tolist())
    groups = [columns[group] for group in _sparse_equal(by_column)]
    return constant, [group.tolist() for group in groups if group[0] not in fixed]


def _sparse_constant(X: csc_array) -> np.ndarray:
    """Indices of columns that are all zero, or stored in every row with one value."""
    n = X.shape[0]
    stored = np.diff(X.indptr)
    constant = stored == 0
    for column in np.flatnonzero(stored == n):
        values = X.data[X.indptr[column] : X.indptr[column + 1]]
        constant[column] = bool((values == values[0]).all())
    return np.flatnonzero(constant)


def _sparse_equal(X: csc_array) -> list[np.ndarray]:
    """Group equal columns: a 64-bit sum of mixed (row, value) pairs proposes, a full comparison confirms."""
    filled = np.flatnonzero(np.diff(X.indptr))
    if filled.size < 2:
        return []
    mixed = X.indices.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(0x7F4A7C15F39CC060)
    mixed ^= mixed >> np.uint64(29)
    bits = (X.data + 0).view(np.uint64 if X.dtype.itemsize == 8 else np.uint32).astype(np.uint64)
    mixed *= bits | np.uint64(1)
    mixed ^= mixed >> np.uint64(32)
    keys = np.add.reduceat(mixed, X.indptr[filled])
    order = np.argsort(keys, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(keys[order]) != 0])
    sizes = np.diff(np.r_[starts, keys.size])
    groups: list[np.ndarray] = []
    for start, size in zip(starts[sizes > 1], sizes[sizes > 1], strict=True):
        members: defaultdict[tuple[bytes, bytes], list[int]] = defaultdict(list)
        for column in filled[order[start : start + size]].tolist():
            span = slice(X.indptr[column], X.indptr[column + 1])
            members[X.indices[span].tobytes(), (X.data[span] + 0).tobytes()].append(column)
        groups.extend(np.array(part) for part in members.values() if len(part) > 1)
    return sorted(groups, key=lambda group: int(group[0]))


def _listing(columns: Sequence[int] | np.ndarray, names: Sequence[str]) -> str:
    shown = [repr(names[column]) for column in columns[:_LISTED]]
    if len(columns) > _LISTED:
        return ", ".join(shown) + f" and {len(columns) - _LISTED} more"
    return ", ".join(shown[:-1]) + f" and {shown[-1]}"
