"""The interface of everything that multiplies like a matrix."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np


class LinearOperator(ABC):
    """A matrix known by its products.

    Attributes:
        shape: (rows, columns).
        dtype: Element type of the products.
        device: Where the data live (``"cpu"`` unless a subclass says otherwise).

    """

    shape: tuple[int, int]
    dtype: np.dtype
    device: str = "cpu"

    @abstractmethod
    def matvec(self, v: np.ndarray) -> np.ndarray:
        """A v for v of shape (columns,) or (columns, k)."""

    @abstractmethod
    def rmatvec(self, u: np.ndarray) -> np.ndarray:
        """A' u for u of shape (rows,) or (rows, k)."""

    def __matmul__(self, v: np.ndarray) -> np.ndarray:
        return self.matvec(v)
