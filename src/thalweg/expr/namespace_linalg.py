"""Linear algebra under NumPy's names: what `np.linalg.inv(node)` and `thalweg.numpy.linalg.inv` mean.

On nodes the functions build, on plain arrays they give what NumPy gives, on torch tensors they compute with torch.
Beside NumPy's names there are `logdet`, `solve_triangular` and `expm`. What the derivatives mean where a matrix is
singular or eigenvalues coincide stands in `ops_linalg` and `ops_spectral`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from thalweg.core.errors import InputError, UnsupportedError
from thalweg.expr.namespace import call
from thalweg.expr.namespace_norms import cond, matrix_norm, norm, vector_norm
from thalweg.expr.namespace_products import (
    diagonal,
    inner,
    kron,
    matmul,
    matrix_power,
    matrix_transpose,
    multi_dot,
    numpy_on_arrays,
    operand,
    outer,
    tensordot,
    trace,
    vdot,
    vecdot,
)
from thalweg.expr.ops_linalg import matrix_shape, solve_aligned, square_shape, swap
from thalweg.expr.ops_spectral import split_eigh, split_qr, split_svd
from thalweg.expr.shapes import broadcast, show

__all__ = [
    "cholesky", "cond", "det", "diagonal", "eigh", "eigvalsh", "expm", "inner", "inv", "kron", "logdet", "lstsq",
    "matmul", "matrix_norm", "matrix_power", "matrix_rank", "matrix_transpose", "multi_dot", "norm", "outer", "pinv",
    "qr", "slogdet", "solve", "solve_triangular", "svd", "svdvals", "tensordot", "trace", "vdot", "vecdot",
    "vector_norm",
]  # fmt: skip


class EighResult(NamedTuple):
    """Eigenvalues, ascending, shape (..., n), and eigenvectors as columns, shape (..., n, n)."""

    eigenvalues: Any
    eigenvectors: Any


class SVDResult(NamedTuple):
    """A = U diag(S) Vh: shapes (..., m, k), (..., k) descending, (..., k, n), with k = min(m, n)."""

    U: Any
    S: Any
    Vh: Any


class QRResult(NamedTuple):
    """A = Q R: shapes (..., m, k) and (..., k, n), with k = min(m, n)."""

    Q: Any
    R: Any


class SlogdetResult(NamedTuple):
    """Sign and logarithm of the absolute value of a determinant, each of shape (...)."""

    sign: Any
    logabsdet: Any


@numpy_on_arrays(np.linalg.inv)
def inv(a: Any) -> Any:
    """Invert each matrix.

    Args:
        a: Shape (..., n, n).

    Returns:
        Shape (..., n, n).

    Raises:
        InputError: for a matrix that is not square, or singular.

    """
    return call("inv", a)


@numpy_on_arrays(np.linalg.solve)
def solve(a: Any, b: Any) -> Any:
    """Solve a x = b.

    Args:
        a: Shape (..., n, n).
        b: Shape (n,), or (..., n, k); leading axes broadcast.

    Returns:
        Shaped like ``b``, with the broadcast leading axes.

    Raises:
        InputError: for shapes that do not fit (both are named), or a singular matrix.

    """
    return _solved("solve", a, b, ())


def solve_triangular(
    a: Any, b: Any, trans: int | str = 0, lower: bool = False, unit_diagonal: bool = False
) -> Any:  # fmt: skip
    """Solve T x = b for the triangle T of a matrix; the entries of the other triangle do not matter.

    Args:
        a: Shape (..., n, n).
        b: Shape (n,), or (..., n, k); leading axes broadcast.
        trans: 0 or "N" for T, 1 or "T" for its transpose.
        lower: Whether T is the lower triangle.
        unit_diagonal: Take the diagonal as ones, whatever it holds.

    Returns:
        Shaped like ``b``, with the broadcast leading axes.

    Raises:
        InputError: for shapes that do not fit, another ``trans``, or a zero on the diagonal.

    """
    if trans not in (0, 1, "N", "T"):
        raise InputError(f"solve_triangular: trans={trans!r}", "use 0 or 'N', 1 or 'T'")
    return _solved("solve_triangular", a, b, (bool(lower), trans in (1, "T"), bool(unit_diagonal)))


def _solved(name: str, a: Any, b: Any, params: tuple[Any, ...]) -> Any:
    a, b = operand(a), operand(b)
    shape_a, shape_b = tuple(a.shape), tuple(b.shape)
    if len(shape_a) < 3 and len(shape_b) < 3:
        return call(name, a, b, params=params)
    square_shape(shape_a)
    column = len(shape_b) == 1
    if shape_a[-1] != shape_b[-1 if column else -2]:
        raise InputError(
            f"{name}: a matrix of shape {show(shape_a)} and a right-hand side of shape {show(shape_b)} do not fit",
            "give a right-hand side of shape (n,) or (..., n, k)",
        )
    if column:
        b = call("reshape", b, params=((shape_b[0], 1),))
    lead = broadcast(shape_a[:-2], tuple(b.shape[:-2]))
    if tuple(b.shape[:-2]) != lead:
        b = call("broadcast_to", b, params=((*lead, *b.shape[-2:]),))
    x = solve_aligned(name, a, b, params)
    return call("reshape", x, params=((*lead, shape_b[0]),)) if column else x


@numpy_on_arrays(np.linalg.cholesky)
def cholesky(a: Any, /, *, upper: bool = False) -> Any:
    """Factor each symmetric positive definite matrix, A = L L'.

    The derivative is that of the symmetric part of ``a``: the gradient is symmetric.

    Args:
        a: Shape (..., n, n); one triangle is read, the lower unless ``upper``.
        upper: Give U = L' instead of L.

    Returns:
        The factor, shape (..., n, n).

    Raises:
        InputError: for a matrix that is not square or not positive definite.

    """
    return swap(call("cholesky", swap(a))) if upper else call("cholesky", a)


@numpy_on_arrays(np.linalg.det)
def det(a: Any) -> Any:
    """Determinant of each matrix; its derivatives of first and second order are exact for singular matrices, too.

    Args:
        a: Shape (..., n, n).

    Returns:
        Shape (...).

    """
    return call("det", a)


def logdet(a: Any) -> Any:
    """Logarithm of the determinant of each matrix: -inf where it is 0, nan where it is negative.

    Args:
        a: Shape (..., n, n).

    Returns:
        Shape (...).

    Raises:
        InputError: for a matrix that is not square; the derivative for a singular one.

    """
    return call("logdet", operand(a))


@numpy_on_arrays(np.linalg.slogdet)
def slogdet(a: Any) -> SlogdetResult:
    """Sign and logarithm of the absolute value of the determinant, which do not overflow.

    Args:
        a: Shape (..., n, n).

    Returns:
        ``sign`` and ``logabsdet``, each of shape (...).

    """
    packed = call("slogdet", a)
    return SlogdetResult(packed[..., 0], packed[..., 1])


@numpy_on_arrays(np.linalg.eigh)
def eigh(a: Any, UPLO: str = "L") -> EighResult:
    """Eigenvalues and eigenvectors of each symmetric matrix.

    The derivative is that of the symmetric part of ``a``. A function of eigenvectors has one only where it does not
    depend on their signs, nor on their choice within the space of a repeated eigenvalue; see `ops_spectral`.

    Args:
        a: Shape (..., n, n).
        UPLO: Which triangle is read, "L" or "U".

    Returns:
        ``eigenvalues`` (..., n), ascending, and ``eigenvectors`` (..., n, n), in columns.

    Raises:
        InputError: for a matrix that is not square or not finite.
        UnsupportedError: for symbolic sizes.

    """
    return EighResult(*split_eigh(call("eigh", _half(a, UPLO))))


@numpy_on_arrays(np.linalg.eigvalsh)
def eigvalsh(a: Any, UPLO: str = "L") -> Any:
    """Eigenvalues of each symmetric matrix, ascending.

    Args:
        a: Shape (..., n, n).
        UPLO: Which triangle is read, "L" or "U".

    Returns:
        Shape (..., n).

    """
    return call("eigvalsh", _half(a, UPLO))


def _half(a: Any, triangle: str) -> Any:
    if str(triangle).upper() not in ("L", "U"):
        raise InputError(f"UPLO={triangle!r}", "use 'L' or 'U'")
    return swap(a) if triangle.upper() == "U" else a


def _general(name: str, hermitian: bool) -> None:
    if hermitian:
        raise UnsupportedError(f"{name} with hermitian=True", "leave it out, or use eigh")


@numpy_on_arrays(np.linalg.svd)
def svd(a: Any, full_matrices: bool = True, compute_uv: bool = True, hermitian: bool = False) -> Any:
    """Singular value decomposition of each matrix, A = U diag(S) Vh.

    Args:
        a: Shape (..., m, n).
        full_matrices: Must be False unless m = n: the vectors beyond min(m, n) are arbitrary and have no derivative.
        compute_uv: Whether to give the singular vectors, too.
        hermitian: Must be False.

    Returns:
        ``U``, ``S``, ``Vh``; or the singular values alone, descending, shape (..., min(m, n)).

    Raises:
        UnsupportedError: for full matrices where m differs from n, for ``hermitian``, or for symbolic sizes.

    """
    _general("svd", hermitian)
    if not compute_uv:
        return call("svdvals", a)
    m, n = matrix_shape(tuple(a.shape))[-2:]
    if full_matrices and m != n:
        raise UnsupportedError(
            f"svd of shape {show(tuple(a.shape))} with full_matrices=True: the added vectors have no derivative",
            "pass full_matrices=False",
        )
    u, s, v = split_svd(call("svd", a), int(m) if isinstance(m, (int, np.integer)) else 0)
    return SVDResult(u, s, swap(v))


@numpy_on_arrays(np.linalg.svdvals)
def svdvals(x: Any, /) -> Any:
    """Singular values of each matrix, descending.

    Args:
        x: Shape (..., m, n).

    Returns:
        Shape (..., min(m, n)).

    """
    return call("svdvals", x)


@numpy_on_arrays(np.linalg.qr)
def qr(a: Any, mode: str = "reduced") -> Any:
    """QR decomposition of each matrix.

    Args:
        a: Shape (..., m, n); for the derivative its first min(m, n) columns must be independent.
        mode: "reduced", "r" (R alone), or "complete" where m <= n.

    Returns:
        ``Q`` (..., m, k) and ``R`` (..., k, n) with k = min(m, n).

    Raises:
        UnsupportedError: for another mode, or symbolic sizes.

    """
    m, n = matrix_shape(tuple(a.shape))[-2:]
    if isinstance(m, str) or isinstance(n, str):
        raise UnsupportedError(f"qr of symbolic shape {show(tuple(a.shape))}", "trace with known sizes")
    if mode not in ("reduced", "r") and (mode != "complete" or m > n):
        raise UnsupportedError(f"qr of shape {show(tuple(a.shape))} with mode={mode!r}", "use 'reduced' or 'r'")
    # The reflections that make Q stem from the first columns; further columns are only reflected.
    q, r = split_qr(call("qr", a if m >= n else a[..., :m]), m)
    if m < n:
        r = call("concatenate", r, swap(q) @ a[..., m:], params=(len(a.shape) - 1,))
    return r if mode == "r" else QRResult(q, r)


@numpy_on_arrays(np.linalg.pinv)
def pinv(a: Any, rcond: float | None = None, hermitian: bool = False, *, rtol: float | None = 1e-15) -> Any:
    """Moore-Penrose inverse of each matrix; its derivative is that among matrices of the same rank.

    Args:
        a: Shape (..., m, n).
        rcond: Singular values up to this times the largest count as 0; an older name of ``rtol``.
        hermitian: Must be False.
        rtol: The same; None goes by size and precision. NumPy's default, which it is here, is 1e-15.

    Returns:
        Shape (..., n, m).

    Raises:
        UnsupportedError: for ``hermitian``.

    """
    _general("pinv", hermitian)
    relative = rtol if rcond is None else rcond
    return call("pinv", a, params=(None if relative is None else float(relative),))


@numpy_on_arrays(np.linalg.matrix_rank)
def matrix_rank(A: Any, tol: None = None, hermitian: bool = False, *, rtol: float | None = None) -> Any:
    """Rank of each matrix, a whole number without a derivative.

    Args:
        A: Shape (..., m, n).
        tol: Must be None: use ``rtol``.
        hermitian: Must be False.
        rtol: Singular values up to this times the largest count as 0; None goes by size and precision.

    Returns:
        Shape (...).

    Raises:
        UnsupportedError: for ``tol`` or ``hermitian``.

    """
    _general("matrix_rank", hermitian)
    if tol is not None:
        raise UnsupportedError(f"matrix_rank with the absolute tolerance tol={tol!r}", "use rtol, a relative one")
    return call("matrix_rank", A, params=(None if rtol is None else float(rtol),))


@numpy_on_arrays(np.linalg.lstsq)
def lstsq(a: Any, b: Any, rcond: float | None = None) -> tuple[Any, Any, Any, Any]:
    """Least squares: the x of least norm that minimises ||a x - b||, by the pseudo-inverse.

    Its derivative is that among matrices ``a`` of the same rank.

    Args:
        a: Shape (m, n).
        b: Shape (m,) or (m, k).
        rcond: Singular values up to this times the largest count as 0; None goes by size and precision.

    Returns:
        x of shape (n,) or (n, k); the sums of squared residuals, shape (k,), empty where m <= n; the rank; the
        singular values. (NumPy also leaves the residuals out where the rank is below n.)

    Raises:
        InputError: for shapes that do not fit.

    """
    a, b = operand(a), operand(b)
    if len(a.shape) != 2 or len(b.shape) not in (1, 2) or a.shape[0] != b.shape[0]:
        raise InputError(f"lstsq of shapes {show(tuple(a.shape))} and {show(tuple(b.shape))}", "give (m, n) and (m, k)")
    relative = None if rcond is None else float(rcond)
    x = call("pinv", a, params=(relative,)) @ b
    m, n = a.shape
    rest = call("square", a @ x - b)
    residuals: Any = call("sum", rest, params=((0,), len(b.shape) == 1))
    if isinstance(m, int) and isinstance(n, int) and m <= n:
        residuals = np.empty(0)
    return x, residuals, call("matrix_rank", a, params=(relative,)), call("svdvals", a)


def expm(a: Any) -> Any:
    """Matrix exponential of each matrix; derivatives of every order by the exponential of a block matrix.

    Args:
        a: Shape (..., n, n).

    Returns:
        Shape (..., n, n).

    """
    return call("expm", operand(a))
