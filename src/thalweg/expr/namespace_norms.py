"""Norms of vectors and matrices and the condition number, under NumPy's names.

Where a norm has no derivative, its value there is an element of the subdifferential: 0 at the origin, and 0 for each
zero entry of a 1-norm or a p-norm. Entries that tie for the largest share its derivative equally.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from thalweg.core.errors import InputError
from thalweg.expr.namespace import call
from thalweg.expr.namespace_products import numpy_on_arrays
from thalweg.expr.node import Node
from thalweg.expr.rows import kind_of
from thalweg.expr.shapes import normal_axis, reduced, show

__all__ = ["cond", "matrix_norm", "norm", "vector_norm"]

Axes = tuple[int, ...]


@numpy_on_arrays(np.linalg.norm)
def norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    """Norm of a vector or a matrix, or of each along axes.

    Args:
        x: Any shape; without ``axis`` and with an ``ord``, one or two axes.
        ord: None (2-norm of all entries), a number p, inf or -inf; for matrices 1, -1, 2, -2, inf, -inf, "fro", "nuc".
        axis: One axis (norms of vectors), two axes (norms of matrices), or None for all.
        keepdims: Keep the reduced axes with size 1.

    Returns:
        The norm; its derivative at the origin is 0.

    Raises:
        InputError: for an order that there is not, or a number of axes that has no norm.

    """
    x = _floating(x)
    ndim = len(x.shape)
    if axis is None:
        if ord is None or (ord in ("f", "fro") and ndim == 2) or (ord == 2 and ndim == 1):
            return _root_of_squares(x, tuple(range(ndim)), keepdims)
        axes: Axes = tuple(range(ndim))
    else:
        axes = tuple([normal_axis(a, ndim) for a in (axis if isinstance(axis, (tuple, list)) else (axis,))])
    if len(axes) == 1:
        return _vector(x, ord, axes, keepdims)
    if len(axes) == 2 and axes[0] != axes[1]:
        return _matrix(x, ord, axes, keepdims)
    raise InputError(f"norm over {len(axes)} axes, {axes}", "give axis=i for vectors or axis=(i, j) for matrices")


@numpy_on_arrays(np.linalg.vector_norm)
def vector_norm(x: Any, /, *, axis: Any = None, keepdims: bool = False, ord: Any = 2) -> Any:
    """Norm of all entries along axes, taken as one vector.

    Args:
        x: Any shape.
        axis: One axis or several; None for all.
        keepdims: Keep the reduced axes with size 1.
        ord: A number p, inf or -inf.

    Returns:
        The norm.

    """
    x = _floating(x)
    ndim = len(x.shape)
    given = range(ndim) if axis is None else axis if isinstance(axis, (tuple, list)) else (axis,)
    return _vector(x, ord, tuple([normal_axis(a, ndim) for a in given]), keepdims)


@numpy_on_arrays(np.linalg.matrix_norm)
def matrix_norm(x: Any, /, *, keepdims: bool = False, ord: Any = "fro") -> Any:
    """Norm of each matrix (the last two axes).

    Args:
        x: Shape (..., m, n).
        keepdims: Keep the reduced axes with size 1.
        ord: 1, -1, 2, -2, inf, -inf, "fro" or "nuc".

    Returns:
        Shape (...).

    """
    return norm(x, ord=ord, axis=(-2, -1), keepdims=keepdims)


@numpy_on_arrays(np.linalg.cond)
def cond(x: Any, p: Any = None) -> Any:
    """Condition number: the norm of a matrix times that of its inverse.

    Args:
        x: Shape (..., m, n); square unless ``p`` is None, 2 or -2.
        p: As ``ord`` in `norm`; None is 2, by singular values.

    Returns:
        Shape (...).

    Raises:
        InputError: for a matrix that is singular or not square where the inverse is needed.

    """
    if p in (None, 2, -2):
        s = call("svdvals", x)
        return s[..., -1] / s[..., 0] if p == -2 else s[..., 0] / s[..., -1]
    return norm(x, p, (-2, -1)) * norm(call("inv", x), p, (-2, -1))


def _floating(x: Any) -> Any:
    kind = x.kind if x.__class__ is Node else kind_of(x)
    return x if kind == "f" else call("mul", x, 1.0)


def _reduce(name: str, x: Any, axes: Axes, keepdims: bool = False) -> Any:
    return call(name, x, params=(axes, keepdims)) if axes else x


def _root_of_squares(x: Any, axes: Axes, keepdims: bool) -> Any:
    return call("sqrt", _reduce("sum", call("square", x), axes, keepdims))


def _vector(x: Any, ord: Any, axes: Axes, keepdims: bool) -> Any:
    if isinstance(ord, str):
        raise InputError(f"norm of vectors with ord={ord!r}", "use None, a number, inf or -inf")
    if ord is None or ord == 2:
        return _root_of_squares(x, axes, keepdims)
    if ord == 0:
        return _reduce("sum", call("indicator", call("ne", x, 0.0), x), axes, keepdims)
    size = call("abs", x)
    if ord in (np.inf, -np.inf):
        return _reduce("max" if ord > 0 else "min", size, axes, keepdims)
    if ord == 1:
        return _reduce("sum", size, axes, keepdims)
    # Powers of zero have infinite derivatives: a zero entry, and a zero sum, are kept away from them.
    zero = call("eq", size, 0.0)
    powers = call("where", zero, 0.0, call("pow", call("where", zero, 1.0, size), float(ord)))
    summed = _reduce("sum", powers, axes, keepdims)
    none = call("eq", summed, 0.0)
    root = call("where", none, 0.0, call("pow", call("where", none, 1.0, summed), 1.0 / float(ord)))
    if ord > 0:
        return root
    return call("where", call("eq", _reduce("min", size, axes, keepdims), 0.0), 0.0, root)


def _matrix(x: Any, ord: Any, axes: Axes, keepdims: bool) -> Any:
    if ord is None or ord in ("f", "fro"):
        return _root_of_squares(x, axes, keepdims)
    rows, columns = axes
    if ord in (1, -1, np.inf, -np.inf):
        inner, outer = (rows, columns) if abs(ord) == 1 else (columns, rows)
        sums = _reduce("sum", call("abs", x), (inner,), True)
        kept = _reduce("max" if ord > 0 else "min", sums, (outer,), True)
    elif ord in (2, -2, "nuc"):
        order = (*[i for i in range(len(x.shape)) if i not in axes], rows, columns)
        # relu, for a derivative of 0 at the zero matrix
        s = call("relu", call("svdvals", call("transpose", x, params=(order,))))
        kept = _reduce("sum" if ord == "nuc" else "max" if ord > 0 else "min", s, (len(s.shape) - 1,))
    else:
        raise InputError(
            f"norm of matrices of shape {show(tuple(x.shape))} with ord={ord!r}",
            "use 1, -1, 2, -2, inf, -inf, 'fro' or 'nuc'",
        )
    target = reduced(tuple(x.shape), axes, keepdims)
    return kept if tuple(kept.shape) == target else call("reshape", kept, params=(target,))
