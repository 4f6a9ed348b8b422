"""Linear algebra on torch tensors, with the layouts and conventions of `numeric_linalg`; torch spellings name these."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from thalweg.core.errors import InputError
from thalweg.expr.numeric_linalg import CLOSE, REMEDIES
from thalweg.expr.numeric_torch import common

Tensor = torch.Tensor


def _explained(name: str, compute: Callable[..., Any], *values: Any, **options: Any) -> Any:
    """Call one of torch's functions on floating tensors; what it cannot do becomes an error with a remedy."""
    given = [x if x.is_floating_point() or x.is_complex() else x.to(torch.get_default_dtype()) for x in common(*values)]
    if any(x.is_complex() for x in given):
        raise InputError(f"{name} of a tensor of dtype {given[0].dtype}", "give real numbers")
    try:
        return compute(*given, **options)
    except torch.linalg.LinAlgError as error:
        shapes = " and ".join(str(tuple(x.shape)) for x in given)
        finite = all(bool(torch.isfinite(x).all()) for x in given)
        remedy = REMEDIES.get(name, "check the matrix") if finite else "remove infinities and nans from the matrix"
        raise InputError(f"{name} of a matrix of shape {shapes}: {str(error).strip().rstrip('.')}", remedy) from None


def tril(x: Tensor, k: int) -> Tensor:
    """Keep the entries on and below diagonal ``k``."""
    return torch.tril(x, k)


def triu(x: Tensor, k: int) -> Tensor:
    """Keep the entries on and above diagonal ``k``."""
    return torch.triu(x, k)


def inv(a: Tensor) -> Tensor:
    """Give the inverse, shape (..., n, n)."""
    return _explained("inv", torch.linalg.inv, a)


def solve(a: Tensor, b: Tensor) -> Tensor:
    """Solve a x = b for b of shape (n,) or (..., n, k)."""
    return _explained("solve", torch.linalg.solve, a, b)


def solve_triangular(a: Tensor, b: Tensor, lower: bool, transposed: bool, unit: bool) -> Tensor:
    """Solve T x = b, or T' x = b if ``transposed``, for the triangle T of ``a``."""
    if not unit and bool((a.diagonal(dim1=-2, dim2=-1) == 0).any()):  # torch would divide by it
        raise InputError(
            f"solve_triangular of a matrix of shape {tuple(a.shape)}: a diagonal entry is 0",
            REMEDIES["solve_triangular"],
        )
    column = b.ndim == 1
    x = _explained(
        "solve_triangular", torch.linalg.solve_triangular, a.mT if transposed else a, b[:, None] if column else b,
        upper=lower == transposed, unitriangular=unit,
    )  # fmt: skip
    return x[:, 0] if column else x


def cholesky(a: Tensor) -> Tensor:
    """Give the lower factor; the lower triangle of ``a`` is read."""
    return _explained("cholesky", torch.linalg.cholesky, a)


def det(a: Tensor) -> Tensor:
    """Give the determinant."""
    return _explained("det", torch.linalg.det, a)


def logdet(a: Tensor) -> Tensor:
    """Give the logarithm of the determinant: -inf if it is 0, nan if it is negative."""
    sign, logarithm = _explained("logdet", torch.linalg.slogdet, a)
    return torch.where(sign < 0, torch.nan, logarithm)


def slogdet(a: Tensor) -> Tensor:
    """Give (sign, log |det|) along a new last axis, shape (..., 2)."""
    return torch.stack(tuple(_explained("slogdet", torch.linalg.slogdet, a)), dim=-1)


def _ends(s: Tensor) -> tuple[Tensor, Tensor]:
    """Give for each entry the product of those before it and of those after it."""
    one = torch.ones_like(s[..., :1])
    before = torch.cat([one, torch.cumprod(s[..., :-1], -1)], -1)
    after = torch.cat([one, torch.cumprod(s[..., 1:].flip(-1), -1)], -1).flip(-1)
    return before, after


def _rotations(a: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    u, s, vh = _explained("det", torch.linalg.svd, a)
    return u, s, vh, (torch.linalg.det(u) * torch.linalg.det(vh))[..., None, None]


def cofactor(a: Tensor) -> Tensor:
    """Give the matrix of cofactors, the derivative of det; exact for singular matrices of any rank."""
    u, s, vh, sign = _rotations(a)
    before, after = _ends(s)
    return sign * ((u * (before * after)[..., None, :]) @ vh)


def cofactor_slope(a: Tensor, t: Tensor) -> Tensor:
    """Give the derivative of `cofactor` along ``t``."""
    u, s, vh, sign = _rotations(a)
    e = u.mT @ t @ vh.mT
    before, after = _ends(s)
    n = s.shape[-1]
    pairs = s.new_zeros((*s.shape, n))
    between = torch.ones_like(s)  # between[i] = product of s[i+1:j], for the j of the loop
    for j in range(1, n):
        if j > 1:
            between[..., : j - 1] *= s[..., j - 1, None]
        pairs[..., :j, j] = pairs[..., j, :j] = before[..., :j] * between[..., :j] * after[..., j, None]
    inner = torch.diag_embed((pairs @ e.diagonal(dim1=-2, dim2=-1)[..., None])[..., 0]) - pairs * e.mT
    return sign * (u @ inner @ vh)


def pinv(a: Tensor, relative: float | None) -> Tensor:
    """Give the pseudo-inverse; singular values up to ``relative`` times the largest count as 0 (None: by precision)."""
    return _explained("pinv", torch.linalg.pinv, a, rtol=relative)


def expm(a: Tensor) -> Tensor:
    """Give the matrix exponential."""
    return _explained("expm", torch.linalg.matrix_exp, a)


def expm_frechet(a: Tensor, e: Tensor) -> Tensor:
    """Give the derivative of `expm` at ``a`` along ``e``."""
    n = a.shape[-1]
    size = e.abs().amax(dim=(-1, -2), keepdim=True)
    size = torch.where(size > 0, size, 1.0)
    a, scaled = common(a, e / size)
    block = torch.cat([torch.cat([a, scaled], -1), torch.cat([torch.zeros_like(a), a], -1)], -2)
    return size * expm(block)[..., :n, n:]


def eigh(a: Tensor) -> Tensor:
    """Give eigenvalues (row 0, ascending) above eigenvectors (the columns below), shape (..., n + 1, n)."""
    values, vectors = _explained("eigh", torch.linalg.eigh, a)
    return torch.cat([values[..., None, :], vectors], -2)


def eigvalsh(a: Tensor) -> Tensor:
    """Give the eigenvalues of a symmetric matrix, ascending; its lower triangle is read."""
    return _explained("eigvalsh", torch.linalg.eigvalsh, a)


def svd(a: Tensor) -> Tensor:
    """Give U, then the singular values as a row, then V, one above the other, shape (..., m + 1 + n, min(m, n))."""
    u, s, vh = _explained("svd", torch.linalg.svd, a, full_matrices=False)
    return torch.cat([u, s[..., None, :], vh.mT], -2)


def svdvals(a: Tensor) -> Tensor:
    """Give the singular values, descending."""
    return _explained("svdvals", torch.linalg.svdvals, a)


def qr(a: Tensor) -> Tensor:
    """Give Q above R for a matrix with at least as many rows as columns, shape (..., m + n, n)."""
    return torch.cat(tuple(_explained("qr", torch.linalg.qr, a)), -2)


def matrix_rank(a: Tensor, relative: float | None) -> Tensor:
    """Count the singular values above ``relative`` times the largest (None: by size and precision)."""
    return _explained("matrix_rank", torch.linalg.matrix_rank, a, rtol=relative)


def pair_reciprocal(w: Tensor, sign: int) -> Tensor:
    """Give 1/(w_j + sign w_i) for each pair of entries (i, j) of the last axis, and 0 where that is rounding alone."""
    sums = w[..., None, :] + sign * w[..., :, None]
    sure = sums.abs() > _close(w)[..., None]
    return torch.where(sure, 1 / torch.where(sure, sums, 1.0), 0.0)


def sure_reciprocal(s: Tensor) -> Tensor:
    """Give 1/s, and 0 for entries that are rounding alone beside the largest."""
    sure = s.abs() > _close(s)
    return torch.where(sure, 1 / torch.where(sure, s, 1.0), 0.0)


def _close(w: Tensor) -> Tensor:
    largest = w.abs().amax(dim=-1, keepdim=True) if w.shape[-1] else w.new_zeros((*w.shape[:-1], 1))
    return CLOSE * w.shape[-1] * torch.finfo(w.dtype).eps * largest
