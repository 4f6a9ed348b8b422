"""Gauss quadrature over the spectrum, read off a symmetric tridiagonal matrix."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from thalweg.core.errors import InputError

Function = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Quadrature:
    """The spectrum of a symmetric A as a vector v sees it: v' f(A) v ~ ||v||^2 sum_j weights[j] f(nodes[j]).

    A Gauss rule of k nodes is exact for polynomials f of degree up to 2k - 1, and for all f if `exact`. Source: Golub &
    Meurant, Matrices, Moments and Quadrature (2010), chapter 6.

    Attributes:
        nodes: Ascending, shape (k,).
        weights: Nonnegative, of sum 1, shape (k,).
        norm_squared: ||v||^2.
        products: Products with A that were spent.
        exact: Whether the nodes are eigenvalues and carry all of v.

    """

    nodes: np.ndarray
    weights: np.ndarray
    norm_squared: float
    products: int
    exact: bool

    def mean_of(self, function: Function) -> float:
        """v' f(A) v / v'v for a function that maps an array of nodes to an array of the same shape.

        Args:
            function: f.

        Raises:
            InputError: If the function returns another shape.

        """
        return float(self.weights @ values_at(function, self.nodes))

    def value_of(self, function: Function) -> float:
        """v' f(A) v for a function as in `mean_of`."""
        return self.norm_squared * self.mean_of(function)


def tridiagonal(alphas: np.ndarray, betas: np.ndarray) -> np.ndarray:
    """The symmetric matrix with this diagonal, shape (k,), and the first k - 1 entries beside it, shape (k, k)."""
    k = len(alphas)
    matrix = np.zeros((k, k))
    flat = matrix.ravel()
    flat[:: k + 1] = alphas
    # eigh reads the lower triangle; the upper one is for people.
    flat[k :: k + 1] = flat[1 :: k + 1] = betas[: k - 1]
    return matrix


def values_at(function: Function, nodes: np.ndarray) -> np.ndarray:
    """f at every node, shape (k,).

    Args:
        function: f.
        nodes: Shape (k,).

    Raises:
        InputError: If the function returns another shape, or no real numbers.

    """
    values = np.asarray(function(nodes.copy()))  # a function may write on what it is given
    if values.dtype.kind not in "fiub":
        raise InputError(
            f"function returned entries of type {values.dtype}: expected real numbers",
            "return one real number for each node, as numpy.sqrt does where it is defined",
        )
    values = values.astype(np.float64, copy=False)
    if values.shape != nodes.shape:
        raise InputError(
            f"function returned shape {values.shape} for nodes of shape {nodes.shape}",
            "return one value for each node, as numpy.sqrt does",
        )
    return values
