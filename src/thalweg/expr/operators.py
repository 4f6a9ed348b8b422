"""Matrices of known structure as linear operators: products, diagonals, entries and solutions without the matrix.

A structured Hessian is a sum of such operators. Each multiplies, shows its diagonal and solves by its own structure;
sums of them are in :mod:`thalweg.expr.operator_sums`.
"""

from __future__ import annotations

import functools
import math
from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from thalweg.core.errors import InputError
from thalweg.core.operator import LinearOperator
from thalweg.expr.operator_iterations import LARGEST_FACTORED, by_conjugate_gradients, diagonal_by_products


class StructuredOperator(LinearOperator):
    """A square matrix that knows its structure.

    Attributes:
        argument_shape: The shape of what it multiplies: an array of this shape, or flat vectors of as many entries.
        shape: (entries, entries).

    """

    def __init__(self, argument_shape: tuple[int, ...], dtype: Any) -> None:
        self.argument_shape = argument_shape
        self._laid = argument_shape  # without the axes of size 1 that a Hessian's caller may have
        self.size = math.prod(argument_shape)
        self.shape = (self.size, self.size)
        self.dtype = np.dtype(dtype)

    @property
    @abstractmethod
    def structure(self) -> str:
        """The structure in a few words."""

    @property
    def solver(self) -> str:
        """How `solve` works, in a few words."""
        return "dense Cholesky"

    @abstractmethod
    def _times(self, v: np.ndarray) -> np.ndarray:
        """Multiply columns of shape (entries, k)."""

    @abstractmethod
    def dense(self) -> np.ndarray:
        """Give the matrix, shape (entries, entries): row and column i are entry i of the flattened argument."""

    @abstractmethod
    def diagonal(self) -> np.ndarray:
        """Give the diagonal, shape (entries,)."""

    def matvec(self, v: np.ndarray) -> np.ndarray:
        """Multiply.

        Args:
            v: An array of the argument's shape, or flat: (entries,) or (entries, k).

        Returns:
            An array shaped like ``v``.

        Raises:
            InputError: for any other shape.

        """
        return self._on_columns(v, self._times, "@")

    def rmatvec(self, u: np.ndarray) -> np.ndarray:
        """Multiply by the transpose, which a Hessian equals; see `matvec`."""
        return self.matvec(u)

    def solve(self, b: np.ndarray) -> np.ndarray:
        """Solve ``self @ x = b``.

        Args:
            b: An array of the argument's shape, or flat: (entries,) or (entries, k).

        Returns:
            An array shaped like ``b``.

        Raises:
            InputError: for another shape, or a matrix that is singular to working precision.

        """
        return self._on_columns(b, self._inverse_times, "solve")

    def _inverse_times(self, b: np.ndarray) -> np.ndarray:
        return self._factored(b)

    @functools.cached_property
    def _factored(self) -> Callable[[np.ndarray], np.ndarray]:
        return factored(self.dense(), self.structure)

    def _on_columns(self, v: Any, function: Callable[[np.ndarray], np.ndarray], name: str) -> np.ndarray:
        v = v if v.__class__ is np.ndarray else np.asarray(v)
        shape = v.shape
        if shape == self.argument_shape or shape == (self.size,):
            return function(v.reshape(self.size, 1)).reshape(shape)
        if len(shape) == 2 and shape[0] == self.size:
            return function(v)
        raise InputError(
            f"{name} of an operator on arrays of shape {self.argument_shape} with an array of shape {shape}",
            f"give shape {self.argument_shape}, ({self.size},), or ({self.size}, k)",
        )

    def __repr__(self) -> str:
        return f"<{self.shape[0]} x {self.shape[1]} operator: {self.structure}; solves by {self.solver}>"


def factored(matrix: np.ndarray, what: str) -> Callable[[np.ndarray], np.ndarray]:
    """Factor a symmetric matrix for solving: by Cholesky, or by LU where it is not positive definite.

    Args:
        matrix: Of shape (n, n).
        what: Its name in the error.

    Returns:
        A function that solves for columns (n, k).

    Raises:
        InputError: for a matrix that is singular to working precision.

    """
    from scipy.linalg import lapack

    if matrix.dtype.kind != "f" or matrix.dtype.itemsize < 4:
        matrix = matrix.astype(np.float64)
    double = matrix.dtype == np.float64
    norm = float(np.abs(matrix).sum(axis=0).max(initial=0.0))
    smallest = float(np.finfo(matrix.dtype).eps)
    if np.abs(matrix - matrix.T).max(initial=0.0) > 1e4 * smallest * norm:
        return factored_general(matrix, what)  # a factor of a symmetric product need not be symmetric itself
    potrf, potrs, pocon = (lapack.dpotrf, lapack.dpotrs, lapack.dpocon) if double else (
        lapack.spotrf, lapack.spotrs, lapack.spocon)  # fmt: skip
    lower, failed = potrf(matrix, lower=1)
    if not failed:
        reciprocal, _ = pocon(lower, norm, uplo="L")
        if reciprocal < smallest:
            raise _singular(what)
        return lambda b: potrs(lower, b, lower=1)[0]
    return factored_general(matrix, what)


def factored_general(matrix: np.ndarray, what: str, scale: float | None = None) -> Callable[[np.ndarray], np.ndarray]:
    """Factor any square matrix by LU; see `factored`.

    Args:
        matrix: Of shape (n, n).
        what: Its name in the error.
        scale: The size that its inverse is measured against, if not its own: that of what was added to make it.

    Returns:
        A function that solves for columns (n, k).

    Raises:
        InputError: for a matrix that is singular to working precision.

    """
    from scipy.linalg import lapack

    double = matrix.dtype == np.float64
    getrf, getrs, gecon = (lapack.dgetrf, lapack.dgetrs, lapack.dgecon) if double else (
        lapack.sgetrf, lapack.sgetrs, lapack.sgecon)  # fmt: skip
    norm = float(np.abs(matrix).sum(axis=0).max(initial=0.0)) if scale is None else scale
    lu, pivots, failed = getrf(matrix)
    # Written so that a nan is refused, too.
    if failed or not gecon(lu, norm)[0] >= 8 * np.finfo(matrix.dtype).eps:
        raise _singular(what)
    return lambda b: getrs(lu, pivots, b)[0]


def _singular(what: str) -> InputError:
    return InputError(
        f"solve with a singular Hessian ({what})",
        "add a positive multiple of the squared norm to the function, or take numpy.linalg.lstsq(H.dense(), b)",
    )


class Diagonal(StructuredOperator):
    """diag(d); a single number stands for a multiple of the identity.

    Args:
        d: Broadcasts to the argument's shape.
        argument_shape: As in `StructuredOperator`.

    """

    def __init__(self, d: np.ndarray, argument_shape: tuple[int, ...]) -> None:
        d = np.asarray(d)
        super().__init__(argument_shape, d.dtype)
        self.number = d.size == 1
        self.entries = d

    @property
    def structure(self) -> str:
        """The structure in a few words."""
        if self.number:
            return "a multiple of the identity" if self.entries.reshape(-1)[0] else "zero"
        return "diagonal"

    @property
    def solver(self) -> str:
        """How `solve` works, in a few words."""
        return "dividing entries"

    def diagonal(self) -> np.ndarray:
        """Give the diagonal, shape (entries,)."""
        return np.broadcast_to(self.entries, self._laid).reshape(-1).copy()

    @functools.cached_property
    def _column(self) -> np.ndarray:
        return self.entries.reshape(1, 1) if self.number else self.diagonal()[:, None]

    def _times(self, v: np.ndarray) -> np.ndarray:
        return v * self._column

    def _inverse_times(self, b: np.ndarray) -> np.ndarray:
        if not np.all(np.abs(self._column) > 0):
            raise _singular(self.structure)
        return b / self._column

    def dense(self) -> np.ndarray:
        """Give the matrix, shape (entries, entries)."""
        out = np.zeros(self.shape, dtype=self.dtype)
        np.fill_diagonal(out, self.diagonal())
        return out


class Dense(StructuredOperator):
    """A matrix without known structure.

    Args:
        matrix: Shape (entries, entries).
        argument_shape: As in `StructuredOperator`.

    """

    def __init__(self, matrix: np.ndarray, argument_shape: tuple[int, ...]) -> None:
        super().__init__(argument_shape, matrix.dtype)
        self.matrix = matrix.reshape(self.shape)

    @property
    def structure(self) -> str:
        """The structure in a few words."""
        return "dense"

    def _times(self, v: np.ndarray) -> np.ndarray:
        return self.matrix @ v

    def dense(self) -> np.ndarray:
        """Give the matrix, shape (entries, entries)."""
        return self.matrix.copy()

    def diagonal(self) -> np.ndarray:
        """Give the diagonal, shape (entries,)."""
        return self.matrix.diagonal().copy()

    @functools.cached_property
    def _factored(self) -> Callable[[np.ndarray], np.ndarray]:
        return factored(self.matrix, self.structure)


class Product(StructuredOperator):
    """left' diag(d) right: X' diag(d) X, and low rank where left and right have few rows.

    Args:
        left: Shape (rank, entries).
        d: Shape (rank,), or a number.
        right: Shape (rank, entries).
        argument_shape: As in `StructuredOperator`.

    """

    def __init__(self, left: np.ndarray, d: np.ndarray, right: np.ndarray, argument_shape: tuple[int, ...]) -> None:
        d = np.asarray(d)
        super().__init__(argument_shape, np.result_type(left, d, right))
        self.rank = left.shape[0]
        self.left, self.right, self.weights = left, right, np.broadcast_to(d, (self.rank,))

    @property
    def structure(self) -> str:
        """The structure in a few words."""
        if self.rank == 1:
            return "rank one"
        name = "X' diag(d) X" if self.left is self.right else "L' diag(d) R"
        return f"{name} with {self.rank} rows" + (", low rank" if self.rank < self.size else "")

    def _times(self, v: np.ndarray) -> np.ndarray:
        return self.left.T @ (self.weights[:, None] * (self.right @ v))

    def _inverse_times(self, b: np.ndarray) -> np.ndarray:
        if self.rank < self.size:
            raise _singular(self.structure)
        return self._factored(b)

    def dense(self) -> np.ndarray:
        """Give the matrix, shape (entries, entries)."""
        return (self.left.T * self.weights) @ self.right

    def diagonal(self) -> np.ndarray:
        """Give the diagonal, shape (entries,)."""
        return np.einsum("ki,k,ki->i", self.left, self.weights, self.right)


class Blocks(StructuredOperator):
    """Block diagonal: one block for each setting of the leading axes.

    Args:
        blocks: Shape (*leading, n, n); the argument has shape (*leading, *rest) with n entries in the rest, where
            ``axes`` says which of its axes lead.
        axes: The argument's axes in the order (leading, rest).
        argument_shape: As in `StructuredOperator`.

    """

    def __init__(self, blocks: np.ndarray, axes: tuple[int, ...], argument_shape: tuple[int, ...]) -> None:
        super().__init__(argument_shape, blocks.dtype)
        self.blocks = blocks.reshape(-1, blocks.shape[-1], blocks.shape[-1])
        self.axes = axes
        self._back = tuple([axes.index(i) for i in range(len(axes))])

    @property
    def structure(self) -> str:
        """The structure in a few words."""
        return f"block diagonal, {self.blocks.shape[0]} blocks of {self.blocks.shape[1]} x {self.blocks.shape[1]}"

    @property
    def solver(self) -> str:
        """How `solve` works, in a few words."""
        return "solving block by block"

    def _apart(self, v: np.ndarray) -> np.ndarray:
        k = v.shape[1]
        laid = v.reshape(*self._laid, k).transpose(*self.axes, len(self.axes))
        return laid.reshape(self.blocks.shape[0], self.blocks.shape[1], k)

    def _together(self, parts: np.ndarray) -> np.ndarray:
        shape = [self._laid[a] for a in self.axes]
        laid = parts.reshape(*shape, parts.shape[-1]).transpose(*self._back, len(self.axes))
        return laid.reshape(self.size, parts.shape[-1])

    def _times(self, v: np.ndarray) -> np.ndarray:
        return self._together(np.matmul(self.blocks, self._apart(v)))

    @functools.cached_property
    def _solvers(self) -> list[Callable[[np.ndarray], np.ndarray]]:
        return [factored(block, self.structure) for block in self.blocks]

    def _inverse_times(self, b: np.ndarray) -> np.ndarray:
        parts = [solve(part) for solve, part in zip(self._solvers, self._apart(b), strict=True)]
        return self._together(np.stack(parts))

    def dense(self) -> np.ndarray:
        """Give the matrix, shape (entries, entries)."""
        count, n = self.blocks.shape[:2]
        places = np.arange(self.size).reshape(self._laid).transpose(self.axes).reshape(count, n)
        out = np.zeros(self.shape, dtype=self.dtype)
        out[places[:, :, None], places[:, None, :]] = self.blocks
        return out

    def diagonal(self) -> np.ndarray:
        """Give the diagonal, shape (entries,)."""
        return self._together(np.einsum("bii->bi", self.blocks)[:, :, None]).reshape(-1)


class Kronecker(StructuredOperator):
    """The Kronecker product of operators, one for each group of neighbouring axes of the argument.

    Args:
        parts: In the order of the axes.
        argument_shape: As in `StructuredOperator`.

    """

    def __init__(self, parts: Sequence[StructuredOperator], argument_shape: tuple[int, ...]) -> None:
        super().__init__(argument_shape, np.result_type(*[p.dtype for p in parts]))
        self.parts = tuple(parts)
        self._sizes = tuple([p.size for p in parts])

    @property
    def structure(self) -> str:
        """The structure in a few words."""
        return "Kronecker product of (" + ") and (".join(p.structure for p in self.parts) + ")"

    @property
    def solver(self) -> str:
        """How `solve` works, in a few words."""
        return "solving factor by factor"

    def _each(self, v: np.ndarray, functions: Sequence[Callable[[np.ndarray], np.ndarray] | None]) -> np.ndarray:
        """Apply one function along each group of axes; the other axes go into columns."""
        k = v.shape[1]
        before = 1
        for size, function in zip(self._sizes, functions, strict=True):
            if function is not None:
                after = self.size // (before * size) * k
                if before == 1:
                    v = function(v.reshape(size, after))
                elif after == 1:
                    v = function(v.reshape(before, size).T).T
                else:
                    columns = v.reshape(before, size, after).transpose(1, 0, 2).reshape(size, before * after)
                    v = function(columns).reshape(size, before, after).transpose(1, 0, 2)
            before *= size
        return v.reshape(self.size, k)

    def _times(self, v: np.ndarray) -> np.ndarray:
        return self._each(v, [None if _is_one(p) else p._times for p in self.parts])

    def _inverse_times(self, b: np.ndarray) -> np.ndarray:
        return self._each(b, [None if _is_one(p) else p._inverse_times for p in self.parts])

    def dense(self) -> np.ndarray:
        """Give the matrix, shape (entries, entries)."""
        if len(self.parts) == 2 and any(isinstance(p, Diagonal) for p in self.parts):
            return self._dense_beside_diagonal()
        return functools.reduce(np.kron, [p.dense() for p in self.parts])

    def _dense_beside_diagonal(self) -> np.ndarray:
        """Write the blocks that are not 0 alone."""
        a, b = self.parts
        out = np.zeros((a.size, b.size, a.size, b.size), dtype=self.dtype)
        if isinstance(a, Diagonal):
            np.einsum("ijik->ijk", out)[...] = a.diagonal()[:, None, None] * b.dense()
        else:
            np.einsum("ijkj->jik", out)[...] = b.diagonal()[:, None, None] * a.dense()
        return out.reshape(self.shape)

    def diagonal(self) -> np.ndarray:
        """Give the diagonal, shape (entries,)."""
        return functools.reduce(np.kron, [p.diagonal() for p in self.parts])


def _is_one(part: StructuredOperator) -> bool:
    return isinstance(part, Diagonal) and part.number and part.entries.reshape(-1)[0] == 1


class Products(StructuredOperator):
    """A matrix known by its products alone.

    Args:
        times: Multiplies an array of the argument's shape.
        argument_shape: As in `StructuredOperator`.
        dtype: Of the products.
        reason: Why no structure was found, or "" if it was not looked for.
        dense: Gives the whole matrix; None: the products with the columns of the identity.

    """

    def __init__(
        self,
        times: Callable[[np.ndarray], np.ndarray],
        argument_shape: tuple[int, ...],
        dtype: Any,
        reason: str = "",
        dense: Callable[[], np.ndarray] | None = None,
    ) -> None:
        super().__init__(argument_shape, dtype)
        self._product = times
        self._whole = dense
        self.reason = reason

    @property
    def structure(self) -> str:
        """The structure in a few words."""
        return "known by its products alone" + (f" ({self.reason})" if self.reason else "")

    def _times(self, v: np.ndarray) -> np.ndarray:
        columns = [self._product(np.ascontiguousarray(c).reshape(self.argument_shape)).reshape(-1) for c in v.T]
        return np.stack(columns, axis=1) if columns else np.zeros_like(v)

    def dense(self) -> np.ndarray:
        """Give the matrix, shape (entries, entries)."""
        if self._whole is not None:
            return self._whole().reshape(self.shape)
        return self._times(np.eye(self.size, dtype=self.dtype))

    def diagonal(self) -> np.ndarray:
        """Give the diagonal, shape (entries,): of the whole matrix, or if that is large by a product for each entry."""
        if self.size > LARGEST_FACTORED:
            return diagonal_by_products(self)
        return self.dense().diagonal().copy()

    @property
    def solver(self) -> str:
        """How `solve` works, in a few words."""
        return "conjugate gradients" if self.size > LARGEST_FACTORED else "dense Cholesky"

    @functools.cached_property
    def _factored(self) -> Callable[[np.ndarray], np.ndarray]:
        if self.size > LARGEST_FACTORED:
            return by_conjugate_gradients(self)
        return factored(self.dense(), self.structure)
