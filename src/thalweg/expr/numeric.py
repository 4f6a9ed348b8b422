"""Numerically careful NumPy evaluation of the operations that NumPy does not have; generated kernels import these."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from thalweg.expr.products import contract as contract
from thalweg.expr.products import contraction as contraction

Array = NDArray[Any]


def sigmoid(x: Any) -> Any:
    """Give 1/(1+e^-x) without overflow; exact to rounding in both tails."""
    e = np.exp(-np.abs(x))
    return np.where(np.greater_equal(x, 0), 1, e) / (1 + e)


def softplus(x: Any) -> Any:
    """Give log(1+e^x) without overflow or cancellation."""
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


def relu(x: Any) -> Any:
    """Give max(x, 0)."""
    return np.maximum(x, 0)


def rsqrt(x: Any) -> Any:
    """Give 1/sqrt(x), and 0 at x = 0: the value that makes the gradient of a norm 0 at the origin."""
    root = np.sqrt(x)
    return np.where(np.equal(root, 0), 0, 1 / np.where(np.equal(root, 0), 1, root))


def erf(x: Any) -> Any:
    """Give the error function."""
    from scipy.special import erf as scipy_erf

    return scipy_erf(x)


def erfc(x: Any) -> Any:
    """Give 1 - erf(x), accurate where it is tiny."""
    from scipy.special import erfc as scipy_erfc

    return scipy_erfc(x)


def gammaln(x: Any) -> Any:
    """Give log|gamma(x)|."""
    from scipy.special import gammaln as scipy_gammaln

    return scipy_gammaln(x)


def polygamma(x: Any, order: int) -> Any:
    """Give the derivative of order ``order`` of the digamma function, in the precision of ``x``."""
    from scipy.special import digamma
    from scipy.special import polygamma as scipy_polygamma

    result = digamma(x) if order == 0 else scipy_polygamma(order, x)
    dtype = getattr(x, "dtype", None)
    return result.astype(dtype) if dtype is not None and dtype.kind == "f" else result


def logsumexp(x: Any, axis: int, keepdims: bool = False) -> Any:
    """Give log(sum(e^x)) along one axis, shifted by the maximum."""
    x = np.asarray(x)
    top = np.max(x, axis=axis, keepdims=True)
    top = np.where(np.isfinite(top), top, 0)
    shifted = np.exp(x - top)
    out = np.log(np.sum(shifted, axis=axis, keepdims=True)) + top
    return out if keepdims else np.squeeze(out, axis=axis)


def softmax(x: Any, axis: int) -> Any:
    """Give e^x / sum(e^x) along one axis, shifted by the maximum."""
    x = np.asarray(x)
    e = np.exp(x - np.max(x, axis=axis, keepdims=True))
    e /= np.sum(e, axis=axis, keepdims=True)
    return e


def _rows(index: Any) -> tuple[Any, ...]:
    """Give the index arrays that address one entry of the last axis in every row."""
    index = np.asarray(index)
    return (*np.ogrid[tuple([slice(n) for n in index.shape])], index) if index.ndim != 1 else (
        np.arange(index.shape[0]), index,
    )  # fmt: skip


def pick(x: Any, index: Any) -> Any:
    """Give x[..., index[...]]: one entry of the last axis a row."""
    return np.asarray(x)[_rows(index)]


def scatter(x: Any, index: Any, size: int) -> Any:
    """Transpose of `pick`: x[...] placed at index[...] of a new last axis of length ``size``, zero elsewhere."""
    x = np.asarray(x)
    out = np.zeros((*np.shape(index), size), dtype=x.dtype)
    out[_rows(index)] = x
    return out


def scatter_add(x: Any, values: Any, index: Any, out: Any = None) -> Any:
    """Give x + scatter(values, index), which touches one entry a row; ``out`` may be ``x`` itself."""
    result = np.array(x) if out is None else out
    result[_rows(index)] += values
    return result


def decode_index(index: tuple[Any, ...]) -> tuple[Any, ...]:
    """Turn an index parameter (whole numbers, and slices as triples) into what NumPy takes."""
    return tuple([slice(*part) if isinstance(part, tuple) else part for part in index])


def take(x: Any, index: tuple[Any, ...]) -> Any:
    """Give x[index] for basic indexing; see `decode_index`."""
    return np.asarray(x)[decode_index(index)]


def place(x: Any, index: tuple[Any, ...], shape: tuple[int, ...]) -> Any:
    """Transpose of `take`: zeros of ``shape`` with ``x`` at ``index``."""
    x = np.asarray(x)
    out = np.zeros(shape, dtype=x.dtype)
    out[decode_index(index)] = x
    return out


def along_diagonal(x: Any, first: int, second: int, size: int) -> Any:
    """Repeat ``x`` along the diagonal of two new axes of a size, at these places of the result; zeros elsewhere."""
    x = np.asarray(x)
    shape = list(x.shape)
    shape.insert(first, size)
    shape.insert(second, size)
    out = np.zeros(shape, dtype=x.dtype)
    letters = list("abcdefghijklmnopqrstuvwxyz"[: len(shape)])
    letters[second] = letters[first]
    rest = [c for i, c in enumerate(letters) if i not in (first, second)]
    diagonal = np.einsum("".join(letters) + "->" + "".join([letters[first], *rest]), out)
    diagonal[...] = x
    return out


def indicator(condition: Any, like: Any) -> Any:
    """Give 1 where the condition holds and 0 elsewhere, in the precision of ``like``."""
    like = np.asarray(like)
    return np.asarray(condition).astype(like.dtype if like.dtype.kind == "f" else np.float64)


def common_dtype(*arrays: Any) -> np.dtype[Any]:
    """Give the precision that a kernel of these arrays works in."""
    dtype = np.result_type(*arrays) if arrays else np.dtype(np.float64)
    return dtype if dtype.kind == "f" else np.dtype(np.float64)


def eye(size: int) -> Array:
    """Give the identity as truth values, so that it never sets the precision of what it multiplies."""
    return np.eye(size, dtype=bool)


def spread(g: Any, shape: tuple[int, ...]) -> Array:
    """Lay a number or array out over a shape, in an array of its own."""
    out = np.empty(shape, dtype=getattr(g, "dtype", np.float64))
    out[...] = g
    return out
