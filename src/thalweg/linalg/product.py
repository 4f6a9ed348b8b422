"""A symmetric matrix known by its products with vectors, checked and counted as they are made."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import numpy as np

from thalweg.core.errors import InputError
from thalweg.core.operator import LinearOperator
from thalweg.linalg.rows import as_rows

Apply: TypeAlias = Callable[[np.ndarray], np.ndarray]
Matrix: TypeAlias = Apply | LinearOperator | np.ndarray
"""What the algorithms of this room take: a function from (size,) to (size,), a square operator, or the matrix itself as
a NumPy array, torch tensor or SciPy sparse matrix. All but functions multiply blocks of vectors at once."""

EPS = float(np.finfo(np.float64).eps)
#: A product that differs this much, relative to the matrix, when its sides are swapped, is not that of a symmetric
#: matrix: bfloat16 arithmetic makes 0.01. Below, Lanczos widens its bounds by the measured difference.
ASYMMETRY = 0.1
#: Unit vectors multiplied at a time where the whole matrix is asked for.
BLOCK = 64


class Product:
    """Products with one symmetric matrix, as float64 vectors.

    Args:
        apply: The matrix.
        size: Its rows and columns.

    Attributes:
        count: Products made so far.
        eps: Spacing of the numbers above 1 in the coarsest dtype that the matrix or a product came in.

    Raises:
        InputError: If the size is no whole number >= 1, or the operator has another shape; on a product, if the
            result has another shape or is not finite.

    """

    def __init__(self, apply: Matrix, size: int) -> None:
        self.size = checked_count("size", size, "pass the length of the vectors that apply takes")
        self.blocks = not callable(apply)
        self.eps = EPS
        if callable(apply):
            self.apply: Apply = apply
        else:
            matrix, stored = (apply, np.dtype(np.float64)) if isinstance(apply, LinearOperator) else _rows(apply)
            self._note(stored)
            if matrix.shape != (self.size, self.size):
                raise InputError(
                    f"apply is an operator of shape {matrix.shape} and size={self.size}: expected a square one",
                    "pass a symmetric operator with size=operator.shape[0]",
                )
            self.apply = matrix.matvec
        self.count = 0

    def __call__(self, vector: np.ndarray) -> np.ndarray:
        """The matrix times a vector of shape (size,). The result may share memory with what `apply` keeps."""
        self.count += 1
        return self._checked(np.asarray(self.apply(vector)), (self.size,))

    def block(self, vectors: np.ndarray) -> np.ndarray:
        """The matrix times k vectors, shape (size, k): one product of an operator, k of a function."""
        if self.blocks:
            self.count += vectors.shape[1]
            return self._checked(np.asarray(self.apply(vectors)), vectors.shape)
        images = np.empty(vectors.shape)
        for column, vector in enumerate(vectors.T):
            images[:, column] = self(np.ascontiguousarray(vector))
        return images

    def columns(self) -> Iterator[tuple[slice, np.ndarray]]:
        """The matrix itself, some columns at a time: where they stand, and their entries, shape (size, <= BLOCK)."""
        for start in range(0, self.size, BLOCK):
            place = slice(start, min(start + BLOCK, self.size))
            unit = np.zeros((self.size, place.stop - start))
            unit[place] = np.eye(place.stop - start)
            yield place, self.block(unit)

    def _note(self, dtype: np.dtype) -> None:
        if dtype.kind == "f":
            self.eps = max(self.eps, float(np.finfo(dtype).eps))

    def _checked(self, result: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        if result.dtype != np.float64:
            self._note(result.dtype)
            if result.dtype.kind not in "fiub":
                raise InputError(
                    f"apply returned entries of type {result.dtype}: expected real numbers",
                    "return a NumPy array of floats",
                )
            result = result.astype(np.float64)
        if result.shape != shape:
            expected = f"({self.size},)" if len(shape) == 1 else f"{shape}"
            raise InputError(
                f"apply returned an array of shape {result.shape}: expected {expected}",
                "return one vector as long as the one received, and check size",
            )
        if not np.isfinite(result).all():
            index = int(np.argwhere(~np.isfinite(result))[0][0])
            value = result[~np.isfinite(result)][0]
            raise InputError(
                f"apply returned {value} at entry {index} in product {self.count}: expected finite numbers",
                "check the point at which the matrix is taken, and the data for overflow or missing values",
            )
        return result


def _rows(matrix: Any) -> tuple[LinearOperator, np.dtype]:
    """The matrix as an operator, and the dtype of its entries."""
    if hasattr(matrix, "detach"):  # a torch tensor
        matrix = matrix.detach().cpu().numpy()
    if not hasattr(matrix, "tocsr") and not (isinstance(matrix, np.ndarray) and matrix.ndim == 2):
        kind = f"an array of shape {matrix.shape}" if isinstance(matrix, np.ndarray) else f"a {type(matrix).__name__}"
        raise InputError(
            f"apply is {kind}: expected a matrix, an operator, or a function that multiplies a vector by it",
            "pass lambda v: A @ v, or A itself",
        )
    return as_rows(matrix), matrix.dtype


def check_symmetric(vectors: np.ndarray, images: np.ndarray) -> None:
    """Compare u'Av with v'Au for all pairs of vectors, on the scale of A.

    For vectors of independent directions their squared difference is ||A - A'||_F^2 in the mean, and that of Av
    ||A||_F^2, so that a few of them tell.

    Args:
        vectors: Of equal length, shape (size, k).
        images: A times each, shape (size, k).

    Raises:
        InputError: If A is not symmetric.

    """
    if vectors.shape[1] < 2:
        return
    largest = float(np.abs(images).max())
    if largest == 0.0:
        return
    images = images / largest  # squares stay in range
    swapped = vectors.T @ images
    count = vectors.shape[1]
    difference = float(np.linalg.norm(swapped - swapped.T)) / math.sqrt(count * (count - 1))
    length = float(np.linalg.norm(vectors)) / math.sqrt(vectors.size)  # 1 for signs
    scale = length * float(np.linalg.norm(images)) / math.sqrt(count)
    if difference > ASYMMETRY * scale:
        raise not_symmetric(largest * difference, largest * scale)


def not_symmetric(difference: float, scale: float) -> InputError:
    """The error for a matrix of this size whose products differ so much when their sides are swapped."""
    return InputError(
        f"apply is not symmetric: u'Av - v'Au is {difference:.3g} for A of size {scale:.3g}",
        "pass a symmetric matrix, for instance (A + A')/2, or A'A for singular values",
    )


def not_semidefinite(curvature: float) -> InputError:
    """The error for a matrix with this negative curvature in one direction."""
    return InputError(
        f"apply is not positive semidefinite: v'Av / v'v is {curvature:.3g} in one direction",
        "use xtrace for the trace of any symmetric matrix, or add a ridge",
    )


def checked_count(name: str, value: Any, remedy: str, *, least: int = 1) -> int:
    """The value as an int if it is a whole number >= `least`.

    Args:
        name: What the caller calls it.
        value: What was given.
        remedy: What to do instead.
        least: The smallest that makes sense.

    Raises:
        InputError: If it is not.

    """
    try:
        number = None if isinstance(value, bool | np.bool_) else operator.index(value)
    except TypeError:
        number = None
    if number is None or number < least:
        raise InputError(f"{name}={value!r}: expected a whole number >= {least}", remedy)
    return number


def checked_vector(name: str, value: Any, size: int | None = None) -> np.ndarray:
    """The value as a float64 vector if it is one, finite and not zero.

    Args:
        name: What the caller calls it.
        value: What was given.
        size: Its length; None for any.

    Raises:
        InputError: If it is not.

    """
    vector = np.asarray(value)
    if vector.ndim != 1 or vector.size == 0 or (size is not None and vector.size != size):
        raise InputError(
            f"{name} has shape {vector.shape}: expected ({'size' if size is None else size},)",
            "pass one vector as long as the matrix has columns",
        )
    if vector.dtype.kind not in "fiub" or not np.isfinite(vector).all() or not vector.any():
        raise InputError(
            f"{name} is zero, or has entries that are no finite real numbers",
            "pass a nonzero vector of finite numbers",
        )
    return vector.astype(np.float64, copy=False)
