"""The data matrix as an operator with row blocks: one path for dense and sparse.

Everything a finite sum does with its matrix is a sum over row blocks, so that a block is read from memory once and
used several times while it is in cache, and so that blocks run on threads.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np

from thalweg.core.errors import InputError
from thalweg.core.operator import LinearOperator
from thalweg.core.parallel import map_blocks

#: Elements of a block. 2^17 float64 (1 MB) stay in a second-level cache; smaller ones pay call overhead.
BLOCK_ELEMENTS = 1 << 17
#: Below this many elements a product is done in one piece: two threads would cost more than they give.
SINGLE_BLOCK_ELEMENTS = 1 << 19


class Rows(LinearOperator):
    """A matrix of n rows and d columns, read block by block. Products are float64 whatever the storage."""

    dtype = np.dtype(np.float64)
    #: Stored numbers; the work of one pass.
    stored: int

    @cached_property
    def blocks(self) -> list[slice]:
        """Consecutive row ranges that cover the matrix."""
        rows = self.shape[0]
        if self.stored <= SINGLE_BLOCK_ELEMENTS:
            return [slice(0, rows)]
        size = max(64, int(BLOCK_ELEMENTS * rows / self.stored))
        return [slice(start, min(start + size, rows)) for start in range(0, rows, size)]

    @abstractmethod
    def block(self, rows: slice) -> Any:
        """The rows of one block as something that multiplies from both sides."""

    @abstractmethod
    def gram_block(self, rows: slice, weights: np.ndarray) -> np.ndarray:
        """sum_i weights[i] x_i x_i' over one block, shape (d, d), or (p, d, d) for weights of shape (rows, p)."""

    @abstractmethod
    def moments(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Mean, standard deviation and a mask of constant columns, each of shape (d,)."""

    @abstractmethod
    def square_norms(self) -> np.ndarray:
        """||x_i||^2 of every row, shape (n,)."""

    @abstractmethod
    def take(self, rows: np.ndarray) -> Rows:
        """The matrix of the rows with these indices."""

    def matvec(self, v: np.ndarray) -> np.ndarray:
        """X v for v of shape (d,) or (d, k)."""
        pieces = map_blocks(lambda rows: multiply(self.block(rows), v), self.blocks)
        return pieces[0] if len(pieces) == 1 else np.concatenate(pieces)

    def rmatvec(self, u: np.ndarray) -> np.ndarray:
        """X' u for u of shape (n,) or (n, k)."""
        return sum_pieces(map_blocks(lambda rows: self.block(rows).T @ u[rows], self.blocks))

    def gram(self, weights: np.ndarray) -> np.ndarray:
        """sum_i weights[i] x_i x_i', shape (d, d), or (p, d, d) for weights of shape (n, p)."""
        return sum_pieces(map_blocks(lambda rows: self.gram_block(rows, weights[rows]), self.blocks))


def multiply(block: Any, v: np.ndarray) -> np.ndarray:
    """Block times v; for v of shape (d, k) the result is column after column in memory.

    Reductions over the k classes of a row then run along contiguous columns: four times faster at k = 10.
    """
    return block @ v if v.ndim == 1 else (v.T @ block.T).T


def sum_pieces(pieces: Sequence[np.ndarray]) -> np.ndarray:
    """Add the results of all blocks, in order, so that the sum does not depend on thread timing."""
    total = pieces[0]
    if len(pieces) > 1:
        total = total.copy()
        for piece in pieces[1:]:
            total += piece
    return total


class DenseRows(Rows):
    """Rows of a NumPy array of float32 or float64, in any memory order."""

    def __init__(self, array: np.ndarray) -> None:
        unit = array.itemsize
        # BLAS takes a matrix as it is when one of its axes is contiguous; otherwise every product would copy.
        self.array = array if unit in array.strides else np.ascontiguousarray(array)
        self.shape = (array.shape[0], array.shape[1])
        self.stored = array.size

    def block(self, rows: slice) -> np.ndarray:
        """The rows as float64; float32 storage is widened block by block, in cache."""
        return self.array[rows].astype(np.float64, copy=False)

    def gram_block(self, rows: slice, weights: np.ndarray) -> np.ndarray:
        """One symmetric rank-k update a block; signed weights need a general product."""
        block = self.block(rows)
        if weights.ndim == 1:
            if weights.size and weights.min() < 0:
                return block.T @ (weights[:, None] * block)
            root = np.sqrt(weights)[:, None] * block
            return root.T @ root  # NumPy turns A.T @ A into a symmetric rank-k update
        d, p = block.shape[1], weights.shape[1]
        total = np.zeros((d, p * d))
        step = max(32, BLOCK_ELEMENTS // (p * d))
        for start in range(0, block.shape[0], step):
            piece = block[start : start + step]
            weighted = weights[start : start + step, :, None] * piece[:, None, :]  # (rows, p, d)
            total += piece.T @ weighted.reshape(len(piece), p * d)
        return total.reshape(d, p, d).transpose(1, 0, 2)

    def moments(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Mean, standard deviation and constant columns in two passes over blocks."""
        n = self.shape[0]
        sums = map_blocks(lambda rows: self.block(rows).sum(axis=0), self.blocks)
        mean = sum_pieces(sums) / n
        first = self.block(slice(0, 1))[0]

        def spread(rows: slice) -> np.ndarray:
            centred = self.block(rows) - mean
            return np.stack([np.einsum("ij,ij->j", centred, centred), (self.block(rows) != first).any(axis=0)])

        squares, varies = sum_pieces(map_blocks(spread, self.blocks))
        return mean, np.sqrt(squares / n), varies == 0

    def square_norms(self) -> np.ndarray:
        """||x_i||^2 of every row, shape (n,)."""
        blocks = [self.block(rows) for rows in self.blocks]
        return np.concatenate([np.einsum("ij,ij->i", block, block) for block in blocks])

    def take(self, rows: np.ndarray) -> DenseRows:
        """A copy of the rows with these indices."""
        return DenseRows(self.array[rows])


class SparseRows(Rows):
    """Rows of a SciPy sparse matrix, kept as CSR."""

    def __init__(self, matrix: Any) -> None:
        self.matrix = matrix.tocsr()
        self.shape = (matrix.shape[0], matrix.shape[1])
        self.stored = int(self.matrix.nnz)

    def block(self, rows: slice) -> Any:
        """The rows as CSR over the same memory."""
        if rows == slice(0, self.shape[0]):
            return self.matrix
        start, stop = self.matrix.indptr[rows.start], self.matrix.indptr[rows.stop]
        return type(self.matrix)(
            (
                self.matrix.data[start:stop],
                self.matrix.indices[start:stop],
                self.matrix.indptr[rows.start : rows.stop + 1] - start,
            ),
            shape=(rows.stop - rows.start, self.shape[1]),
            copy=False,
        )

    def gram_block(self, rows: slice, weights: np.ndarray) -> np.ndarray:
        """X' diag(weights) X by a sparse product, returned dense."""
        block = self.block(rows)
        if weights.ndim == 1:
            return np.asarray((block.T @ block.multiply(weights[:, None])).todense())
        return np.stack([self.gram_block(rows, column) for column in weights.T])

    def moments(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Mean, standard deviation and constant columns; zeros count."""
        n = self.shape[0]
        mean = np.asarray(self.matrix.mean(axis=0)).ravel().astype(np.float64)
        columns = self.matrix.tocsc()
        index = np.repeat(np.arange(self.shape[1]), np.diff(columns.indptr))
        centred = np.bincount(index, weights=(columns.data - mean[index]) ** 2, minlength=self.shape[1])
        filled = np.diff(columns.indptr)
        deviation = np.sqrt((centred + (n - filled) * mean**2) / n)
        low, high = columns.min(axis=0).toarray().ravel(), columns.max(axis=0).toarray().ravel()
        return mean, deviation, low == high

    def square_norms(self) -> np.ndarray:
        """||x_i||^2 of every row, shape (n,)."""
        squares = np.square(self.matrix.data, dtype=np.float64)
        index = np.repeat(np.arange(self.shape[0]), np.diff(self.matrix.indptr))
        return np.bincount(index, weights=squares, minlength=self.shape[0])

    def take(self, rows: np.ndarray) -> SparseRows:
        """The rows with these indices."""
        return SparseRows(self.matrix[rows])


def as_rows(matrix: Any) -> Rows:
    """Wrap a 2-D array or a SciPy sparse matrix.

    Raises:
        InputError: If the matrix is neither.

    """
    if isinstance(matrix, Rows):
        return matrix
    if isinstance(matrix, np.ndarray) and matrix.ndim == 2:
        if matrix.dtype.kind not in "fiub":
            raise InputError(f"X has dtype {matrix.dtype}; expected numbers", "pass X.astype(float)")
        dense = DenseRows(matrix if matrix.dtype.kind == "f" else matrix.astype(np.float64))
        with np.errstate(invalid="ignore", over="ignore"):
            if not np.isfinite(matrix.sum(dtype=np.float64)):  # one pass; the search is for the bad case only
                bad = np.argwhere(~np.isfinite(matrix))
                if len(bad):
                    row, column = (int(index) for index in bad[0])
                    raise InputError(
                        f"X: row {row + 1}, column {column + 1} is {matrix[row, column]}", "fill it in or drop the row"
                    )
        return dense
    if hasattr(matrix, "tocsr"):
        return SparseRows(matrix)
    raise InputError(
        f"X is a {type(matrix).__name__}; expected a 2-D array or a SciPy sparse matrix",
        "pass numpy.asarray(X), or load a file with thalweg.load_table",
    )
