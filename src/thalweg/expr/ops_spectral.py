"""The rows of the operation table for orthogonal factors: symmetric eigenproblem, singular values, QR.

Conventions. `eigh` reads the lower triangle, as NumPy does, and its derivative is that of the symmetric part: the
gradient is symmetric. A derivative of eigenvectors or singular vectors divides by gaps between eigenvalues; where a gap
is rounding alone (`numeric_linalg.CLOSE`) the factor is taken as 0. The first derivative of a function that does not
depend on the choice of vectors within the space of a repeated eigenvalue is right with that; its second derivative
leaves out the coupling within that space.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from thalweg.core.errors import InputError, UnsupportedError
from thalweg.expr import numeric_linalg
from thalweg.expr.namespace import call
from thalweg.expr.node import Node, build
from thalweg.expr.ops_elementwise import Tangents
from thalweg.expr.ops_linalg import (
    cubes,
    in_dialects,
    matrix_shape,
    same_batch,
    square_shape,
    swap,
    symmetric,
    tall,
    total,
)
from thalweg.expr.rows import Op, Shape
from thalweg.expr.shapes import show


def _known(shape: Shape) -> tuple[int, int]:
    """Give the sizes of a matrix, which a packed result needs as numbers."""
    rows, columns = matrix_shape(shape)[-2:]
    if isinstance(rows, str) or isinstance(columns, str):
        raise UnsupportedError(
            f"the factors of a matrix of shape {show(shape)}, whose sizes are symbolic", "trace with known sizes"
        )
    return rows, columns


def _eigh_shape(shape: Shape) -> Shape:
    n, _ = _known(square_shape(shape))
    return (*shape[:-2], n + 1, n)


def _svd_shape(shape: Shape) -> Shape:
    m, n = _known(shape)
    return (*shape[:-2], m + 1 + n, min(m, n))


def _svdvals_shape(shape: Shape) -> Shape:
    m, n = matrix_shape(shape)[-2:]
    return (*shape[:-2], m if m == n else min(_known(shape)))


def _qr_shape(shape: Shape) -> Shape:
    m, n = _known(shape)
    if m < n:
        raise InputError(f"a matrix of shape {show(shape)} has fewer rows than columns", "factor its first columns")
    return (*shape[:-2], m + n, n)


def _stacked(*parts: Any) -> Any:
    """Lay matrices one above the other."""
    return call("concatenate", *parts, params=(len(parts[0].shape) - 2,))


def split_eigh(packed: Any) -> tuple[Any, Any]:
    """Take the eigenvalues and the eigenvectors out of a packed result."""
    return packed[..., 0, :], packed[..., 1:, :]


def split_svd(packed: Any, rows: int) -> tuple[Any, Any, Any]:
    """Take U, the singular values and V (not transposed) out of a packed result of a matrix with so many rows."""
    return packed[..., :rows, :], packed[..., rows, :], packed[..., rows + 1 :, :]


def split_qr(packed: Any, rows: int) -> tuple[Any, Any]:
    """Take Q and R out of a packed result of a matrix with so many rows."""
    return packed[..., :rows, :], packed[..., rows:, :]


def _pairs(w: Any, sign: int) -> Any:
    return call("pair_reciprocal", w, params=(sign,))


def _is_zero(g: Any) -> bool:
    """Say whether an array is exactly zero, as the vectors' cotangent is where the values alone were used."""
    return g.__class__ is np.ndarray and not g.any()


def _skew(x: Any) -> Any:
    return 0.5 * (x - swap(x))


def _eigh_jvp(node: Node, tangents: Tangents) -> Node | None:
    (t,) = tangents
    if t is None:
        return None
    w, v = split_eigh(node)
    moved = symmetric(t) @ v
    dw = total(swap(v * moved), 1)
    dv = v @ (_pairs(w, -1) * (swap(v) @ moved))
    return _stacked(dw[..., None, :], dv)


def _eigh_vjp(g: Any, i: int, y: Any, a: Any) -> Any:
    w, v = split_eigh(y)
    gw, gv = split_eigh(g)
    values_alone = (v * gw[..., None, :]) @ swap(v)
    if _is_zero(gv):
        return symmetric(values_alone)
    inner = _pairs(w, -1) * (swap(v) @ gv)
    return symmetric(v @ (inner @ swap(v)) + values_alone)


def _eigvalsh_jvp(node: Node, tangents: Tangents) -> Node | None:
    (t,) = tangents
    if t is None:
        return None
    _, v = split_eigh(build("eigh", node.inputs[0]))
    return total(swap(v * (symmetric(t) @ v)), 1)


def _eigvalsh_vjp(g: Any, i: int, y: Any, a: Any) -> Any:
    _, v = split_eigh(call("eigh", a))
    return symmetric((v * g[..., None, :]) @ swap(v))


def _svd_jvp(node: Node, tangents: Tangents) -> Node | None:
    (t,) = tangents
    if t is None:
        return None
    m, n = (int(d) for d in t.shape[-2:])
    u, s, v = split_svd(node, m)
    tv, tu = t @ v, swap(t) @ u
    p = swap(u) @ tv
    ds = total(swap(u * tv), 1)
    even, odd = _pairs(s, -1) * symmetric(p), _pairs(s, 1) * _skew(p)
    du, dv = u @ (even + odd), v @ (even - odd)
    inverse = call("sure_reciprocal", s)[..., None, :]
    if m > n:  # what moves U out of its own span
        du = du + (tv - u @ p) * inverse
    if n > m:
        dv = dv + (tu - v @ swap(p)) * inverse
    return _stacked(du, ds[..., None, :], dv)


def _svd_vjp(g: Any, i: int, y: Any, a: Any) -> Any:
    m, n = a.shape[-2:]
    u, s, v = split_svd(y, m)
    gu, gs, gv = split_svd(g, m)
    if _is_zero(gu) and _is_zero(gv):
        return (u * gs[..., None, :]) @ swap(v)
    ku, kv = swap(u) @ gu, swap(v) @ gv
    inner = symmetric(_pairs(s, -1) * (ku + kv)) + _skew(_pairs(s, 1) * (ku - kv))
    pulled = (u @ inner + u * gs[..., None, :]) @ swap(v)
    inverse = call("sure_reciprocal", s)[..., None, :]
    if m > n:
        pulled = pulled + ((gu - u @ ku) * inverse) @ swap(v)
    if n > m:
        pulled = pulled + u @ swap((gv - v @ kv) * inverse)
    return pulled


def _svdvals_jvp(node: Node, tangents: Tangents) -> Node | None:
    (a,), (t,) = node.inputs, tangents
    if t is None:
        return None
    u, _, v = split_svd(build("svd", a), int(a.shape[-2]))
    return total(swap(u * (t @ v)), 1)


def _svdvals_vjp(g: Any, i: int, y: Any, a: Any) -> Any:
    u, _, v = split_svd(call("svd", a), a.shape[-2])
    return (u * g[..., None, :]) @ swap(v)


def _times_inverse(x: Any, r: Any, transposed: bool) -> Any:
    """Give x R^-1, or x R^-T if ``transposed``, for an upper triangular R."""
    return swap(call("solve_triangular", r, swap(x), params=(False, not transposed, False)))


def _qr_jvp(node: Node, tangents: Tangents) -> Node | None:
    (t,) = tangents
    if t is None:
        return None
    q, r = split_qr(node, int(t.shape[-2]))
    c = _times_inverse(t, r, False)
    b = swap(q) @ c
    upper = call("triu", b, params=(0,)) + swap(call("tril", b, params=(-1,)))
    return _stacked(c - q @ upper, upper @ r)


def _qr_vjp(g: Any, i: int, y: Any, a: Any) -> Any:
    m = a.shape[-2]
    q, r = split_qr(y, m)
    gq, gr = split_qr(g, m)
    inner = r @ swap(gr) - swap(gq) @ q
    inner = call("tril", inner, params=(0,)) + swap(call("tril", inner, params=(-1,)))
    return _times_inverse(gq + q @ inner, r, True)


def _pair_reciprocal_jvp(node: Node, tangents: Tangents) -> Node | None:
    (t,), (sign,) = tangents, node.params
    return None if t is None else -(call("square", node) * (t[..., None, :] + float(sign) * t[..., :, None]))


def _pair_reciprocal_vjp(g: Any, i: int, y: Any, w: Any, sign: int) -> Any:
    h = -(g * (y * y))
    return total(swap(h), 1) + float(sign) * total(h, 1)


def _sure_reciprocal_jvp(node: Node, tangents: Tangents) -> Node | None:
    (t,) = tangents
    return None if t is None else -(call("square", node) * t)


def _entries(node: Node) -> int:
    return math.prod([int(d) for d in node.shape])


ROWS = [
    Op("eigh", numeric_linalg.eigh, _eigh_shape, _eigh_jvp, spelling="numeric_linalg.eigh({})", vjp=_eigh_vjp,
       batch=same_batch, flops=cubes(27)),
    Op("eigvalsh", numeric_linalg.eigvalsh, lambda s: square_shape(s)[:-1], _eigvalsh_jvp,
       spelling="numeric_linalg.eigvalsh({})", vjp=_eigvalsh_vjp, batch=same_batch, flops=cubes(4)),
    Op("svd", numeric_linalg.svd, _svd_shape, _svd_jvp, spelling="numeric_linalg.svd({})", vjp=_svd_vjp,
       batch=same_batch, flops=tall(lambda m, n: 14 * m * n * n + 8 * n**3)),
    Op("svdvals", numeric_linalg.svdvals, _svdvals_shape, _svdvals_jvp, spelling="numeric_linalg.svdvals({})",
       vjp=_svdvals_vjp, batch=same_batch, flops=tall(lambda m, n: 4 * m * n * n - 4 * n**3 // 3)),
    Op("qr", numeric_linalg.qr, _qr_shape, _qr_jvp, spelling="numeric_linalg.qr({})", vjp=_qr_vjp, batch=same_batch,
       flops=tall(lambda m, n: 4 * m * n * n - 4 * n**3 // 3)),
    Op("matrix_rank", numeric_linalg.matrix_rank, lambda s, relative: matrix_shape(s)[:-2], kind="i",
       spelling="numeric_linalg.matrix_rank({}, {})", batch=same_batch,
       flops=tall(lambda m, n: 4 * m * n * n - 4 * n**3 // 3)),
    Op("pair_reciprocal", numeric_linalg.pair_reciprocal, lambda s, sign: (*s, s[-1]), _pair_reciprocal_jvp,
       spelling="numeric_linalg.pair_reciprocal({}, {})", vjp=_pair_reciprocal_vjp, batch=same_batch,
       flops=lambda n: 2 * _entries(n)),
    Op("sure_reciprocal", numeric_linalg.sure_reciprocal, lambda s: s, _sure_reciprocal_jvp,
       spelling="numeric_linalg.sure_reciprocal({})", vjp=lambda g, i, y, s: -(g * (y * y)), batch=same_batch,
       flops=_entries),
]  # fmt: skip
SPECTRAL = {row.name: in_dialects(row) for row in ROWS}
