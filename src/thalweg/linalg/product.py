"""A symmetric matrix known by its products with vectors, checked and counted as they are made."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from thalweg.core.errors import InputError
from thalweg.core.operator import LinearOperator

Apply: TypeAlias = Callable[[np.ndarray], np.ndarray]
Matrix: TypeAlias = Apply | LinearOperator
"""What the algorithms of this room take: a function from (size,) to (size,), or a square operator."""

EPS = float(np.finfo(np.float64).eps)


class Product:
    """Products with one symmetric matrix, as float64 vectors.

    Args:
        apply: The matrix.
        size: Its rows and columns.

    Attributes:
        count: Products made so far.
        eps: Spacing of the numbers above 1 in the coarsest dtype that a product came in.

    Raises:
        InputError: If the size is no whole number >= 1, or the operator has another shape; on a product, if the
            result has another shape or is not finite.

    """

    def __init__(self, apply: Matrix, size: int) -> None:
        self.size = checked_count("size", size, "pass the length of the vectors that apply takes")
        if isinstance(apply, LinearOperator):
            if apply.shape != (self.size, self.size):
                raise InputError(
                    f"apply is an operator of shape {apply.shape} and size={self.size}: expected a square one",
                    "pass a symmetric operator with size=operator.shape[0]",
                )
            self.apply: Apply = apply.matvec
        else:
            self.apply = apply
        self.count = 0
        self.eps = EPS

    def __call__(self, vector: np.ndarray) -> np.ndarray:
        """The matrix times a vector of shape (size,). The result may share memory with what `apply` keeps."""
        result = np.asarray(self.apply(vector))
        self.count += 1
        if result.dtype != np.float64:
            if result.dtype.kind == "f":
                self.eps = max(self.eps, float(np.finfo(result.dtype).eps))
            elif result.dtype.kind not in "iub":
                raise InputError(
                    f"apply returned entries of type {result.dtype}: expected real numbers",
                    "return a NumPy array of floats",
                )
            result = result.astype(np.float64)
        if result.shape != (self.size,):
            raise InputError(
                f"apply returned an array of shape {result.shape}: expected ({self.size},)",
                "return one vector as long as the one received, and check size",
            )
        if not np.isfinite(result).all():
            index = int(np.flatnonzero(~np.isfinite(result))[0])
            raise InputError(
                f"apply returned {result[index]} at entry {index} in product {self.count}: expected finite numbers",
                "check the point at which the matrix is taken, and the data for overflow or missing values",
            )
        return result


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
