"""Products of matrices and tensors under NumPy's names, each a contraction or a few of them."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from string import ascii_letters
from typing import Any, TypeVar

import numpy as np

from thalweg.core.errors import InputError, UnsupportedError
from thalweg.expr.namespace import call, matmul, outer
from thalweg.expr.numeric_linalg import REMEDIES
from thalweg.expr.numpy_named import holds_traced
from thalweg.expr.ops_linalg import square_shape, swap
from thalweg.expr.rows import Shape
from thalweg.expr.shapes import normal_axis, show

Function = TypeVar("Function", bound=Callable[..., Any])

__all__ = [
    "diagonal", "inner", "kron", "matmul", "matrix_power", "matrix_transpose", "multi_dot", "outer", "tensordot",
    "trace", "vdot", "vecdot",
]  # fmt: skip


def numpy_on_arrays(function: Callable[..., Any]) -> Callable[[Function], Function]:
    """Let NumPy's own function answer where no argument is a node or a tensor; its failures name a remedy.

    Args:
        function: NumPy's function.

    Returns:
        A decorator. What it makes has the attribute ``traced``, the form for nodes and tensors alone.

    """

    def wrap(own: Function) -> Function:
        @functools.wraps(own)
        def called(*args: Any, **kwargs: Any) -> Any:
            if holds_traced((*args, *kwargs.values())):
                return own(*args, **kwargs)
            try:
                return function(*args, **kwargs)
            except np.linalg.LinAlgError as error:
                name = own.__name__
                raise InputError(f"{name}: {error}", REMEDIES.get(name, "check the matrix")) from None

        called.traced = own  # type: ignore[attr-defined]
        return called  # type: ignore[return-value]

    return wrap


def operand(x: Any) -> Any:
    """Give an argument as something with a shape."""
    return x if hasattr(x, "shape") else np.asarray(x)


def volume(sizes: Sequence[Any], what: str) -> int:
    """Multiply sizes, which must be numbers."""
    if any(isinstance(d, str) for d in sizes):
        raise UnsupportedError(f"{what} along the symbolic sizes {show(tuple(sizes))}", "trace with known sizes")
    return math.prod(sizes)


@numpy_on_arrays(np.matrix_transpose)
def matrix_transpose(x: Any, /) -> Any:
    """Swap the last two axes.

    Args:
        x: Shape (..., m, n).

    Returns:
        Shape (..., n, m).

    Raises:
        InputError: for fewer than two axes.

    """
    if len(x.shape) < 2:
        raise InputError(f"matrix_transpose of shape {show(tuple(x.shape))}", "give at least two axes")
    return swap(x)


@numpy_on_arrays(np.linalg.diagonal)
def diagonal(x: Any, /, *, offset: int = 0) -> Any:
    """Take a diagonal of each matrix.

    Args:
        x: Shape (..., m, n).
        offset: How far to the right of the main diagonal; negative for the left.

    Returns:
        Shape (..., k), k the length of the diagonal.

    Raises:
        InputError: for fewer than two axes.

    """
    shape: Shape = tuple(x.shape)
    if len(shape) < 2:
        raise InputError(f"diagonal of shape {show(shape)}", "give at least two axes")
    m, n = shape[-2:]
    if offset or m != n:
        if isinstance(m, str) or isinstance(n, str):
            raise UnsupportedError(f"a diagonal of a matrix of symbolic shape {show(shape)}", "trace with known sizes")
        down, right = max(-offset, 0), max(offset, 0)
        length = max(min(m - down, n - right), 0)
        x = x[..., down : down + length, right : right + length]
    lead = ascii_letters[: len(shape) - 2]
    return call("einsum", x, params=(f"{lead}zz->{lead}z",))


@numpy_on_arrays(np.linalg.trace)
def trace(x: Any, /, *, offset: int = 0) -> Any:
    """Sum the diagonal of each matrix (the last two axes, as `numpy.linalg.trace`).

    Args:
        x: Shape (..., m, n).
        offset: As in `diagonal`.

    Returns:
        Shape (...).

    """
    entries = diagonal(x, offset=offset)
    return call("sum", entries, params=((len(entries.shape) - 1,), False))


@numpy_on_arrays(np.kron)
def kron(a: Any, b: Any) -> Any:
    """Kronecker product: each entry of ``a`` times the whole of ``b``.

    Args:
        a: Any shape.
        b: Any shape; the one with fewer axes gets axes of size 1 in front.

    Returns:
        Each axis has the product of the two sizes.

    Raises:
        UnsupportedError: for symbolic sizes.

    """
    a, b = operand(a), operand(b)
    ndim = max(len(a.shape), len(b.shape))
    sizes_a = (1,) * (ndim - len(a.shape)) + tuple(a.shape)
    sizes_b = (1,) * (ndim - len(b.shape)) + tuple(b.shape)
    target = tuple([volume(pair, "kron") for pair in zip(sizes_a, sizes_b, strict=True)])
    if not ndim:
        return call("mul", a, b)
    left = ascii_letters[ndim - len(a.shape) : ndim]
    right = ascii_letters[26 + ndim - len(b.shape) : 26 + ndim]
    mixed = "".join(c for pair in zip(ascii_letters[:ndim], ascii_letters[26:], strict=False) for c in pair)
    held = "".join(c for c in mixed if c in left + right)
    product = call("einsum", a, b, params=(f"{left},{right}->{held}",))
    return call("reshape", product, params=(target,))


@numpy_on_arrays(np.tensordot)
def tensordot(a: Any, b: Any, axes: Any = 2) -> Any:
    """Contract axes of ``a`` with axes of ``b``.

    Args:
        a: Any shape.
        b: Any shape.
        axes: A number N (the last N axes of ``a`` with the first N of ``b``), or two lists of axes.

    Returns:
        The axes of ``a`` that are left, then those of ``b``.

    Raises:
        InputError: for lists of different lengths, or sizes that differ.

    """
    a, b = operand(a), operand(b)
    na, nb = len(a.shape), len(b.shape)
    if isinstance(axes, (int, np.integer)):
        if not 0 <= axes <= min(na, nb):
            raise InputError(f"tensordot: axes={axes} for {na} and {nb} axes", f"use 0 to {min(na, nb)}")
        from_a, from_b = list(range(na - axes, na)), list(range(axes))
    else:
        first, second = ([int(x)] if isinstance(x, (int, np.integer)) else list(x) for x in axes)
        from_a, from_b = [normal_axis(i, na) for i in first], [normal_axis(i, nb) for i in second]
        if len(from_a) != len(from_b):
            raise InputError(f"tensordot: axes={axes}", "give equally many axes of both")
    left, right = list(ascii_letters[:na]), list(ascii_letters[na : na + nb])
    for i, j in zip(from_a, from_b, strict=True):
        right[j] = left[i]
    out = [c for i, c in enumerate(left) if i not in from_a] + [c for j, c in enumerate(right) if j not in from_b]
    return call("einsum", a, b, params=(f"{''.join(left)},{''.join(right)}->{''.join(out)}",))


@numpy_on_arrays(np.inner)
def inner(a: Any, b: Any, /) -> Any:
    """Sum of products over the last axes of both; a plain product if either is a number.

    Args:
        a: Shape (..., k).
        b: Shape (..., k).

    Returns:
        The leading axes of ``a``, then those of ``b``.

    """
    a, b = operand(a), operand(b)
    if not a.shape or not b.shape:
        return call("mul", a, b)
    return tensordot(a, b, axes=([-1], [-1]))


@numpy_on_arrays(np.vdot)
def vdot(a: Any, b: Any, /) -> Any:
    """Sum of the products of all entries.

    Args:
        a: Any shape.
        b: As many entries.

    Returns:
        A number.

    """
    a, b = operand(a), operand(b)
    if tuple(a.shape) != tuple(b.shape):
        a, b = (call("reshape", x, params=((volume(tuple(x.shape), "vdot"),),)) for x in (a, b))
    letters = ascii_letters[: len(a.shape)]
    return call("einsum", a, b, params=(f"{letters},{letters}->",))


@numpy_on_arrays(np.vecdot)
def vecdot(x1: Any, x2: Any, /, *, axis: int = -1) -> Any:
    """Inner products along an axis, with broadcasting over the others.

    Args:
        x1: Shape (..., k).
        x2: Shape (..., k).
        axis: The axis of the vectors.

    Returns:
        The broadcast shape without ``axis``.

    """
    product = call("mul", x1, x2)
    return call("sum", product, params=((normal_axis(axis, len(product.shape)),), False))


@numpy_on_arrays(np.linalg.multi_dot)
def multi_dot(arrays: Sequence[Any]) -> Any:
    """Product of several matrices in the order of multiplications that takes the fewest operations.

    Args:
        arrays: Two or more; the first and the last may be vectors, the others are matrices.

    Returns:
        The product.

    Raises:
        InputError: for fewer than two arrays, or shapes that do not fit.

    """
    parts = [operand(x) for x in arrays]
    shapes = [tuple(x.shape) for x in parts]
    if len(parts) < 2:
        raise InputError(f"multi_dot of {len(parts)} arrays", "give at least two")
    if any(len(s) != 2 for s in shapes[1:-1]) or any(len(s) not in (1, 2) for s in (shapes[0], shapes[-1])):
        raise InputError(f"multi_dot of shapes {', '.join(map(show, shapes))}", "give matrices (a vector at an end)")
    from opt_einsum import contract_path

    letters = ascii_letters
    terms = [letters[i : i + 2] for i in range(len(parts))]
    if len(shapes[0]) == 1:
        terms[0] = terms[0][1]
    if len(shapes[-1]) == 1:
        terms[-1] = terms[-1][0]
    out = letters[0] * (len(shapes[0]) == 2) + letters[len(parts)] * (len(shapes[-1]) == 2)
    # A symbolic size is taken as large, for the order alone.
    sizes = [tuple([1000 if isinstance(d, str) else d for d in s]) for s in shapes]
    try:
        path, _ = contract_path(f"{','.join(terms)}->{out}", *sizes, shapes=True, optimize="dp")
    except ValueError:
        raise InputError(
            f"multi_dot of shapes {', '.join(map(show, shapes))}", "make neighbouring sizes equal"
        ) from None
    for step in path:
        first, second = sorted(step)
        right, left = terms.pop(second), terms.pop(first)
        y, x = parts.pop(second), parts.pop(first)
        held = "".join(c for c in dict.fromkeys(left + right) if c in out or any(c in t for t in terms))
        held = "".join(sorted(held, key=letters.index))
        parts.append(call("einsum", x, y, params=(f"{left},{right}->{held}",)))
        terms.append(held)
    return parts[0]


@numpy_on_arrays(np.linalg.matrix_power)
def matrix_power(a: Any, n: int) -> Any:
    """A matrix times itself, by repeated squaring.

    Args:
        a: Shape (..., k, k).
        n: A whole number; negative powers invert, power 0 is the identity.

    Returns:
        Shape (..., k, k).

    Raises:
        InputError: for a matrix that is not square, an exponent that is not a whole number, or a negative power of a
            singular matrix.

    """
    shape = square_shape(tuple(a.shape))
    if isinstance(n, bool) or not isinstance(n, (int, np.integer)):
        raise InputError(f"matrix_power with exponent {n!r}", "use a whole number")
    if n == 0:
        size = volume(shape[-1:], "matrix_power 0")
        nothing = call("where", np.zeros((size, size), dtype=bool), a, 0.0)
        return call("where", np.eye(size, dtype=bool), 1.0, nothing)
    base = call("inv", a) if n < 0 else a
    result: Any = None
    rest = abs(int(n))
    while rest:
        if rest % 2:
            result = base if result is None else result @ base
        rest //= 2
        base = base @ base if rest else base
    return result
