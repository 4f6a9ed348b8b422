"""Linear algebra on NumPy arrays as the rows need it: packed results, errors with a remedy, triangles, cofactors.

A factorization has several results and an operation has one, so that one node is one LAPACK call: the parts of eigh,
svd, qr and slogdet lie in one array, in the layout that each function's text gives. Every function takes stacks of
matrices (leading axes). Generated kernels import this module.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from thalweg.core.errors import InputError

CLOSE = 10.0
"""Times size times machine epsilon times the largest: eigenvalues that are no further apart count as equal. LAPACK's
backward error is a small multiple of the size times epsilon times the norm, so that a smaller gap is rounding alone."""

REMEDIES = {
    "inv": "check the rank, add a multiple of the identity, or use pinv",
    "solve": "check the rank, add a multiple of the identity, or use lstsq",
    "solve_triangular": "every diagonal entry must differ from 0",
    "cholesky": "make it symmetric positive definite, for instance by adding a multiple of the identity",
}
"""What to do where an operation fails on finite numbers."""


def explained(name: str, compute: Callable[..., Any], *arrays: Any, **options: Any) -> Any:
    """Call a LAPACK wrapper; what it cannot do becomes an error that names the operation and a remedy.

    Args:
        name: The operation, for the message.
        compute: A function of `numpy.linalg` or `scipy.linalg`.
        *arrays: Its arrays.
        **options: Its other arguments.

    Returns:
        What ``compute`` returns.

    Raises:
        InputError: for a singular or indefinite matrix, an iteration that did not converge (entries that are not
            finite), or a dtype that LAPACK does not have.

    """
    for a in arrays:
        dtype = getattr(a, "dtype", None)
        if dtype is not None and dtype.kind not in "fiub":
            raise InputError(f"{name} of an array of dtype {dtype}", "give real numbers")
        if dtype is not None and dtype.kind == "f" and dtype.itemsize not in (4, 8):
            raise InputError(f"{name} of an array of dtype {dtype}: LAPACK has none", "convert to float32 or float64")
    try:
        return compute(*arrays, **options)
    except np.linalg.LinAlgError as error:
        shapes = " and ".join(str(np.shape(a)) for a in arrays)
        reason = str(error).strip().rstrip(".")
        finite = all(np.isfinite(a).all() for a in arrays)
        remedy = REMEDIES.get(name, "check the matrix") if finite else "remove infinities and nans from the matrix"
        raise InputError(f"{name} of a matrix of shape {shapes}: {reason}", remedy) from None


def inv(a: Any) -> Any:
    """Give the inverse, shape (..., n, n)."""
    return explained("inv", np.linalg.inv, a)


def solve(a: Any, b: Any) -> Any:
    """Solve a x = b for b of shape (n,) or (..., n, k)."""
    return explained("solve", np.linalg.solve, a, b)


def solve_triangular(a: Any, b: Any, lower: bool, transposed: bool, unit: bool) -> Any:
    """Solve T x = b, or T' x = b if ``transposed``, for the triangle T of ``a``; the other triangle is not read."""
    from scipy.linalg import solve_triangular as scipy_solve

    def one(matrix: Any, right: Any) -> Any:
        return explained(
            "solve_triangular", scipy_solve, matrix, right, trans=int(transposed), lower=lower,
            unit_diagonal=unit, check_finite=False,
        )  # fmt: skip

    a, b = np.asarray(a), np.asarray(b)
    if a.ndim == 2:
        return one(a, b)
    out = np.empty(b.shape, dtype=np.result_type(a, b, np.float32 if a.dtype == np.float32 else np.float64))
    for at in np.ndindex(a.shape[:-2]):
        out[at] = one(a[at], b[at])
    return out


def cholesky(a: Any) -> Any:
    """Give the lower factor; the lower triangle of ``a`` is read."""
    return explained("cholesky", np.linalg.cholesky, a)


def det(a: Any) -> Any:
    """Give the determinant."""
    return explained("det", np.linalg.det, a)


def logdet(a: Any) -> Any:
    """Give the logarithm of the determinant: -inf if it is 0, nan if it is negative."""
    sign, logarithm = explained("logdet", np.linalg.slogdet, a)
    return np.where(sign < 0, np.asarray(np.nan, dtype=logarithm.dtype), logarithm)[()]


def slogdet(a: Any) -> Any:
    """Give (sign, log |det|) along a new last axis, shape (..., 2)."""
    return np.stack(explained("slogdet", np.linalg.slogdet, a), axis=-1)


def _others(s: Any) -> Any:
    """Give for each entry the product of the others along the last axis, without a division."""
    before, after = np.ones_like(s), np.ones_like(s)
    before[..., 1:] = np.cumprod(s[..., :-1], axis=-1)
    after[..., :-1] = np.cumprod(s[..., :0:-1], axis=-1)[..., ::-1]
    return before * after


def _others_of_pairs(s: Any) -> Any:
    """Give for each pair of different entries the product of all the others, and 0 on the diagonal."""
    n = s.shape[-1]
    before, after = np.ones_like(s), np.ones_like(s)
    before[..., 1:] = np.cumprod(s[..., :-1], axis=-1)
    after[..., :-1] = np.cumprod(s[..., :0:-1], axis=-1)[..., ::-1]
    out = np.zeros((*s.shape, n), dtype=s.dtype)
    between = np.ones_like(s)  # between[i] = product of s[i+1:j], for the j of the loop
    for j in range(1, n):
        if j > 1:
            between[..., : j - 1] *= s[..., j - 1, None]
        out[..., :j, j] = before[..., :j] * between[..., :j] * after[..., j, None]
        out[..., j, :j] = out[..., :j, j]
    return out


def _rotations(a: Any) -> tuple[Any, Any, Any, Any]:
    u, s, vh = explained("det", np.linalg.svd, a)
    return u, s, vh, (np.linalg.det(u) * np.linalg.det(vh))[..., None, None]


def cofactor(a: Any) -> Any:
    """Give the matrix of cofactors, the derivative of det; exact for singular matrices of any rank.

    Where it is well conditioned it is det(a) times the transposed inverse; else it is made of a's singular vectors and
    of the products of all singular values but one.
    """
    a = np.asarray(a)
    try:
        inverse = np.linalg.inv(a)
        condition = np.abs(a).sum(axis=-2).max(axis=-1) * np.abs(inverse).sum(axis=-2).max(axis=-1)
        # Errors are then at most eps^(5/8), 2e-10 in double precision, of the largest cofactor.
        if np.all(condition < np.finfo(inverse.dtype).eps ** -0.375):
            return np.linalg.det(a)[..., None, None] * np.swapaxes(inverse, -1, -2)
    except (np.linalg.LinAlgError, ValueError):
        pass
    u, s, vh, sign = _rotations(a)
    return sign * ((u * _others(s)[..., None, :]) @ vh)


def cofactor_slope(a: Any, t: Any) -> Any:
    """Give the derivative of `cofactor` along ``t``: det's second derivative, exact for singular matrices, too."""
    u, s, vh, sign = _rotations(a)
    e = np.swapaxes(u, -1, -2) @ t @ np.swapaxes(vh, -1, -2)
    pairs = _others_of_pairs(s)
    diagonal = np.einsum("...ij,...jj->...i", pairs, e)
    inner = -pairs * np.swapaxes(e, -1, -2)
    inner[..., range(s.shape[-1]), range(s.shape[-1])] = diagonal
    return sign * (u @ inner @ vh)


def pinv(a: Any, relative: float | None) -> Any:
    """Give the pseudo-inverse; singular values up to ``relative`` times the largest count as 0 (None: by precision)."""
    a = np.asarray(a)
    if relative is None:
        dtype = a.dtype if a.dtype.kind == "f" else np.dtype(float)
        relative = max(a.shape[-2:]) * float(np.finfo(dtype).eps)
    return explained("pinv", np.linalg.pinv, a, rcond=relative)


def expm(a: Any) -> Any:
    """Give the matrix exponential."""
    from scipy.linalg import expm as scipy_expm

    return explained("expm", scipy_expm, a)


def expm_frechet(a: Any, e: Any) -> Any:
    """Give the derivative of `expm` at ``a`` along ``e``: the corner of the exponential of [[a, e], [0, a]]."""
    a, e = np.asarray(a), np.asarray(e)
    n = a.shape[-1]
    # The derivative is linear in e: a large e would only make the exponential square more often.
    size = np.abs(e).max(axis=(-1, -2), keepdims=True, initial=0)
    size = np.where(size > 0, size, 1)
    block = np.zeros((*a.shape[:-2], 2 * n, 2 * n), dtype=np.result_type(a, e))
    block[..., :n, :n] = block[..., n:, n:] = a
    block[..., :n, n:] = e / size
    return size * expm(block)[..., :n, n:]


def eigh(a: Any) -> Any:
    """Give eigenvalues (row 0, ascending) above eigenvectors (the columns below), shape (..., n + 1, n)."""
    values, vectors = explained("eigh", np.linalg.eigh, a)
    return np.concatenate([values[..., None, :], vectors], axis=-2)


def eigvalsh(a: Any) -> Any:
    """Give the eigenvalues of a symmetric matrix, ascending; its lower triangle is read."""
    return explained("eigvalsh", np.linalg.eigvalsh, a)


def svd(a: Any) -> Any:
    """Give U, then the singular values as a row, then V, one above the other, shape (..., m + 1 + n, min(m, n))."""
    u, s, vh = explained("svd", np.linalg.svd, a, full_matrices=False)
    return np.concatenate([u, s[..., None, :], np.swapaxes(vh, -1, -2)], axis=-2)


def svdvals(a: Any) -> Any:
    """Give the singular values, descending."""
    return explained("svdvals", np.linalg.svd, a, compute_uv=False)


def qr(a: Any) -> Any:
    """Give Q above R for a matrix with at least as many rows as columns, shape (..., m + n, n)."""
    q, r = explained("qr", np.linalg.qr, a)
    return np.concatenate([q, r], axis=-2)


def matrix_rank(a: Any, relative: float | None) -> Any:
    """Count the singular values above ``relative`` times the largest (None: by size and precision)."""
    options = {} if relative is None else {"rtol": relative}
    return explained("matrix_rank", np.linalg.matrix_rank, np.asarray(a), **options)


def pair_reciprocal(w: Any, sign: int) -> Any:
    """Give 1/(w_j + sign w_i) for each pair of entries (i, j) of the last axis, and 0 where that is rounding alone."""
    w = np.asarray(w)
    sums = w[..., None, :] + sign * w[..., :, None]
    largest = np.abs(w).max(axis=-1, initial=0)[..., None, None]
    sure = np.abs(sums) > CLOSE * w.shape[-1] * np.finfo(w.dtype).eps * largest
    return np.where(sure, 1 / np.where(sure, sums, 1), 0)


def sure_reciprocal(s: Any) -> Any:
    """Give 1/s, and 0 for entries that are rounding alone beside the largest."""
    s = np.asarray(s)
    sure = np.abs(s) > CLOSE * s.shape[-1] * np.finfo(s.dtype).eps * np.abs(s).max(axis=-1, initial=0, keepdims=True)
    return np.where(sure, 1 / np.where(sure, s, 1), 0)


def tril(x: Any, k: int) -> Any:
    """Keep the entries on and below diagonal ``k``."""
    return np.tril(x, k)


def triu(x: Any, k: int) -> Any:
    """Keep the entries on and above diagonal ``k``."""
    return np.triu(x, k)
