"""Contractions, linear algebra and arrays made from nothing in torch's and NumPy's vocabulary; see `op_db_shared`."""

import numpy as np

from expr.op_db_shared import LeftOut, axis_of, shared, sizes_of


# Contractions
@shared("einsum")
def _einsum(m, operands, equation):
    terms, arrow, out = equation.partition("->")
    if arrow and "..." in terms and "..." not in out:
        raise LeftOut("axes behind an ellipsis that are summed")
    return m("einsum")(equation, *operands)


@shared("tensordot")
def _tensordot(m, x, other, dims=2):
    if not isinstance(dims, int) and [x.shape[a] for a in dims[0]] != [other.shape[a] for a in dims[1]]:
        raise LeftOut("a contraction that broadcasts")
    return m("tensordot")(x, other, axes=dims)


@shared("cross")
def _cross(m, x, other, dim=None):
    sizes = [a for a, n in enumerate(x.shape) if n == 3]
    return m("cross")(x, other, axis=sizes[0] if dim is None else dim)


@shared("linalg.cross")
def _linalg_cross(m, x, other, *, dim=-1):
    return m("cross")(x, other, axis=dim)


@shared("linalg.vecdot")
def _vecdot(m, x, other, *, dim=-1):
    return m("linalg.vecdot")(x, other, axis=dim)


@shared("linalg.multi_dot")
def _multi_dot(m, matrices):
    return m("linalg.multi_dot")(matrices)


@shared("linalg.matrix_power")
def _matrix_power(m, x, n):
    return m("linalg.matrix_power")(x, n)


# Norms
def _check_subgradient(x, order):
    if order == "nuc" and isinstance(x, np.ndarray) and np.any(np.linalg.matrix_rank(x) < min(x.shape[-2:])):
        raise LeftOut("the nuclear norm of a singular matrix: both choose among many subgradients, and differently")
    if order in (2, -2) and isinstance(x, np.ndarray) and x.ndim > 1 and not x.any():
        raise LeftOut("a spectral norm at 0: both choose among many subgradients, and differently")


@shared("norm")
def _norm(m, x, p="fro", dim=None, keepdim=False):
    if dim is None and p != "nuc":
        flat = m("linalg.norm")(m("ravel")(x), None if p == "fro" else p)
        return m("reshape")(flat, (1,) * x.ndim) if keepdim else flat
    axis = axis_of(x, dim)
    if p == "fro":  # over any number of axes, where NumPy's needs two
        p, axis = (None, axis) if not isinstance(axis, tuple) or len(axis) > 1 else (None, axis[0])
    return m("linalg.norm")(x, p, axis=axis, keepdims=keepdim)


@shared("linalg.norm")
def _linalg_norm(m, x, ord=None, dim=None, keepdim=False):
    _check_subgradient(x, ord)
    return m("linalg.norm")(x, ord, axis=axis_of(x, dim), keepdims=keepdim)


@shared("linalg.vector_norm")
def _vector_norm(m, x, ord=2, dim=None, keepdim=False):
    return m("linalg.vector_norm")(x, ord=ord, axis=axis_of(x, dim), keepdims=keepdim)


@shared("linalg.matrix_norm")
def _matrix_norm(m, x, ord="fro", dim=(-2, -1), keepdim=False):
    return m("linalg.norm")(x, ord, axis=tuple(dim), keepdims=keepdim)


@shared("linalg.cond")
def _cond(m, x, p=None):
    return m("linalg.cond")(x, p)


# Systems and factors
@shared("linalg.solve")
def _solve(m, a, b, *, left=True):
    if not left:
        raise LeftOut("systems x a = b")
    if b.ndim > 1 and b.ndim == a.ndim - 1:
        raise LeftOut("a stack of vectors: NumPy reads a matrix")
    return m("linalg.solve")(a, b)


@shared("linalg.solve_triangular")
def _solve_triangular(m, a, b, *, upper, left=True, unitriangular=False):
    if not left:
        raise LeftOut("systems x a = b")
    return m("linalg.solve_triangular")(a, b, lower=not upper, unit_diagonal=unitriangular)


@shared("triangular_solve")
def _triangular_solve(m, b, a, upper=True, transpose=False, unitriangular=False):
    return m("linalg.solve_triangular")(a, b, lower=not upper, trans=int(transpose), unit_diagonal=unitriangular), None


@shared("linalg.cholesky", "cholesky")
def _cholesky(m, x, upper=False):
    factor = m("linalg.cholesky")(x)
    return m("matrix_transpose")(factor) if upper else factor


@shared("linalg.eigh")
def _eigh(m, x, UPLO="L"):
    return tuple(m("linalg.eigh")(x))


@shared("linalg.eigvalsh")
def _eigvalsh(m, x, UPLO="L"):
    return m("linalg.eigvalsh")(x)


@shared("linalg.svd")
def _svd(m, x, full_matrices=True):
    if full_matrices and x.shape[-1] != x.shape[-2]:
        raise LeftOut("the whole bases, which the matrix does not determine")
    return tuple(m("linalg.svd")(x, full_matrices=False))


@shared("svd")
def _old_svd(m, x, some=True, compute_uv=True):
    if not compute_uv or (not some and x.shape[-1] != x.shape[-2]):
        raise LeftOut("the whole bases, which the matrix does not determine, or zeros in their place")
    u, s, vh = m("linalg.svd")(x, full_matrices=False)
    return u, s, m("matrix_transpose")(vh)


@shared("linalg.qr")
def _qr(m, x, mode="reduced"):
    if mode == "complete" and x.shape[-2] > x.shape[-1]:
        raise LeftOut("the whole basis, which the matrix does not determine")
    if mode == "r":
        return None, m("linalg.qr")(x, mode="r")
    return tuple(m("linalg.qr")(x))


@shared("qr")
def _old_qr(m, x, some=True):
    return _qr(m, x, "reduced" if some else "complete")


@shared("pinverse")
def _pinverse(m, x, rcond=1e-15):
    return m("linalg.pinv")(x, rcond)


@shared("linalg.pinv")
def _pinv(m, x, rcond=None, hermitian=False, *, rtol=None, atol=None):
    if atol is not None or hasattr(rtol, "ndim") or hasattr(rcond, "ndim"):
        raise LeftOut("an absolute tolerance, or one in an array")
    rtol = rcond if rtol is None else rtol
    return m("linalg.pinv")(x, **({} if rtol is None else {"rtol": rtol}))


@shared("linalg.pinv.singular")
def _pinv_of_product(m, a, b):
    return _pinv(m, m("matmul")(a, m("matrix_transpose")(b)))


@shared("linalg.matrix_rank")
def _matrix_rank(m, x, tol=None, hermitian=False, *, rtol=None, atol=None):
    if tol is not None or atol is not None or hasattr(rtol, "ndim"):
        raise LeftOut("an absolute tolerance, or one in an array")
    return m("linalg.matrix_rank")(x, **({} if rtol is None else {"rtol": rtol}))


@shared("linalg.lstsq.grad_oriented")
def _lstsq(m, a, b, driver=None):
    if a.ndim > 2:
        raise LeftOut("a stack of systems, where NumPy takes one")
    return m("linalg.lstsq")(a, b)[0], None


# Arrays made from nothing
@shared("arange")
def _arange(m, *bounds):
    return m("arange")(*bounds)


@shared("linspace")
def _linspace(m, start, end, steps):
    return m("linspace")(start, end, steps)


@shared("logspace")
def _logspace(m, start, end, steps, base=10.0):
    return m("logspace")(start, end, steps, base=base)


@shared("eye")
def _eye(m, n, columns=None):
    return m("eye")(n, columns)


@shared("zeros")
def _zeros(m, *shape):
    return m("zeros")(sizes_of(shape))


@shared("ones")
def _ones(m, *shape):
    return m("ones")(sizes_of(shape))


@shared("full")
def _full(m, shape, fill_value):
    return m("full")(tuple(shape), fill_value)
