"""How an einsum is evaluated in NumPy: through BLAS wherever two operands are contracted.

`numpy.einsum` runs its own loops, 10 to 100 times slower than a matrix product. Here the axes of two operands are
gathered into batch, rows and inner axes once for each subscripts; a call is then transposes, reshapes and one product.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

Evaluate = Callable[..., Any]


@lru_cache(maxsize=4096)
def contraction(subscripts: str) -> Evaluate:
    """Find how to contract: a function of the operands, through a BLAS product where one applies.

    Args:
        subscripts: As `numpy.einsum` takes them, with an explicit output.

    Returns:
        A function of one array for each input term.

    """
    operands, out = subscripts.split("->")
    parts = operands.split(",")
    if len(parts) == 1:
        return functools.partial(np.einsum, subscripts)
    if len(parts) > 2:
        return functools.partial(_in_best_order, subscripts)
    left, right = parts
    if any(len(set(p)) < len(p) for p in parts) or _lone(left, right, out) or _lone(right, left, out):
        return functools.partial(_prepared, left, right, out)
    return _two(left, right, out)


def contract(subscripts: str, *operands: Any) -> Any:
    """Evaluate an einsum, through matrix products where they apply.

    Args:
        subscripts: As `numpy.einsum` takes them, with an explicit output.
        *operands: One array for each input term.

    Returns:
        The contraction.

    """
    return contraction(subscripts)(*operands)


@lru_cache(maxsize=4096)
def canonical(subscripts: str) -> str:
    """Rename indices in the order in which they appear, so that equal contractions read the same."""
    letters = iter("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
    names: dict[str, str] = {}
    return "".join([c if c in ",->" else names.get(c) or names.setdefault(c, next(letters)) for c in subscripts])


def _lone(mine: str, other: str, out: str) -> str:
    """Give the letters of a term that are summed before the product, since nothing else carries them."""
    return "".join(c for c in dict.fromkeys(mine) if c not in other and c not in out)


def _prepared(left: str, right: str, out: str, a: Any, b: Any) -> Any:
    """Take diagonals and sum lone axes first; neither multiplies anything."""
    kept_left = "".join(c for c in dict.fromkeys(left) if c in right or c in out)
    kept_right = "".join(c for c in dict.fromkeys(right) if c in left or c in out)
    a = a if kept_left == left else np.einsum(f"{left}->{kept_left}", a)
    b = b if kept_right == right else np.einsum(f"{right}->{kept_right}", b)
    return contraction(f"{kept_left},{kept_right}->{out}")(a, b)


def _two(left: str, right: str, out: str) -> Evaluate:
    """Find the product of two terms without repeated or lone letters."""
    inner = [c for c in left if c in right and c not in out]
    if not inner:
        return _broadcast_product(left, right, out)
    batch = [c for c in out if c in left and c in right]
    rows, columns = [c for c in left if c not in right], [c for c in right if c not in left]
    if not batch and len(inner) == 1 and len(left) <= 2 and len(right) <= 2:
        across = (
            left == inner[0] + "".join(rows) and len(left) == 2,
            right == "".join(columns) + inner[0] and len(right) == 2,
            list(out) != rows + columns,
        )
        return _PRODUCTS[across]
    if batch and not rows and not columns:
        # Nothing is reused here, so a matrix product has nothing to gain; one pass over both operands is the least.
        return functools.partial(np.einsum, f"{left},{right}->{out}")
    if not out:
        return _inner_product(left, right)
    return _matrix_product(left, right, out, batch, rows, columns, inner)


def _inner_product(left: str, right: str) -> Evaluate:
    """Find the sum of all products of entries of two arrays with the same axes."""
    axes = _axes(right, list(left))

    def product(a: Any, b: Any) -> Any:
        b = np.asarray(b)
        return np.asarray(a).reshape(-1).dot((b.transpose(axes) if axes else b).reshape(-1))

    return product


def _matrix_product(
    left: str, right: str, out: str, batch: list[str], rows: list[str], columns: list[str], inner: list[str]
) -> Evaluate:
    """Find the transposes and reshapes around one product of (batch, rows, inner) and (batch, inner, columns)."""
    inner = min((inner, [c for c in right if c in inner]), key=lambda order: _copies(left, right, order))
    # A matrix product reads either operand transposed at no cost: the inner axes stand where they already are.
    inner_first = _stands_first(left, inner, batch)
    columns_first = bool(columns) and not _stands_first(right, inner, batch)
    first = [*batch, *inner, *rows] if inner_first else [*batch, *rows, *inner]
    second = [*batch, *columns, *inner] if columns_first else [*batch, *inner, *columns]
    permute_a, permute_b = _axes(left, first), _axes(right, second)
    result = [*batch, *rows, *columns]
    permute_out = tuple([result.index(c) for c in out])
    permute_out = () if permute_out == tuple(range(len(out))) else permute_out
    n_batch, n_inner = len(batch), len(inner)
    a_split = n_batch + (n_inner if inner_first else len(rows))
    b_split = n_batch + (len(columns) if columns_first else n_inner)

    def product(a: Any, b: Any) -> Any:
        a, b = np.asarray(a), np.asarray(b)
        a = a.transpose(permute_a) if permute_a else a
        b = b.transpose(permute_b) if permute_b else b
        a_shape, b_shape = a.shape, b.shape
        held = a_shape[:n_batch]
        a = a.reshape((*held, math.prod(a_shape[n_batch:a_split]), math.prod(a_shape[a_split:])))
        b = b.reshape((*held, math.prod(b_shape[n_batch:b_split]), math.prod(b_shape[b_split:])))
        a = a.swapaxes(-1, -2) if inner_first else a
        b = b.swapaxes(-1, -2) if columns_first else b
        row_shape = a_shape[a_split:] if inner_first else a_shape[n_batch:a_split]
        column_shape = b_shape[n_batch:b_split] if columns_first else b_shape[b_split:]
        c = np.matmul(a, b) if n_batch else a.dot(b)
        c = c.reshape((*held, *row_shape, *column_shape))
        return c.transpose(permute_out) if permute_out else c

    return product


def _axes(term: str, order: list[str]) -> tuple[int, ...]:
    """Give the transposition of a term's axes into an order; () for none."""
    axes = tuple([term.index(c) for c in order])
    return () if axes == tuple(range(len(term))) else axes


def _stands_first(term: str, inner: list[str], batch: list[str]) -> bool:
    """Say whether the inner axes come before the others of a term, so that leaving them there saves a copy."""
    places = [i for i, c in enumerate(term) if c in inner]
    others = [i for i, c in enumerate(term) if c not in inner and c not in batch]
    return bool(others) and max(places) < min(others)


def _copies(left: str, right: str, inner: list[str]) -> int:
    """Count the operands in which this order of the inner axes is not the one in memory."""
    text = "".join(inner)
    return (text not in left) + (text not in right)


def _broadcast_product(left: str, right: str, out: str) -> Evaluate:
    """Find the product that sums nothing: a multiplication of broadcast operands."""
    spread_left, spread_right = _spread(left, out), _spread(right, out)

    def product(a: Any, b: Any) -> Any:
        return np.multiply(spread_left(a), spread_right(b))

    return product


def _spread(term: str, out: str) -> Callable[[Any], Any]:
    """Find the view of an operand whose axes are the output's, with size 1 where the term has none."""
    if not term or out.endswith(term):  # a number stays one, and sets no precision
        return lambda x: x
    axes = tuple([term.index(c) for c in out if c in term])
    opened = tuple([slice(None) if c in term else None for c in out])
    return lambda x: np.transpose(x, axes)[opened]


def _in_best_order(subscripts: str, *operands: Any) -> Any:
    """Contract more than two operands, two at a time."""
    for taken, step in path(subscripts, tuple([np.shape(x) for x in operands])):
        chosen = [operands[i] for i in taken]
        rest = [x for i, x in enumerate(operands) if i not in taken]
        operands = (*rest, contraction(step)(*chosen))
    return operands[0]


@lru_cache(maxsize=4096)
def path(subscripts: str, shapes: tuple[tuple[int, ...], ...]) -> tuple[tuple[tuple[int, ...], str], ...]:
    """Give the steps of the cheapest order: which operands meet (the result goes to the end), and by which einsum."""
    import opt_einsum

    _, report = opt_einsum.contract_path(subscripts, *shapes, shapes=True, optimize="auto")
    return tuple([(tuple(step[0]), step[2]) for step in report.contraction_list])


_PRODUCTS: dict[tuple[bool, bool, bool], Callable[[Any, Any], Any]] = {
    (False, False, False): lambda a, b: np.asarray(a).dot(b),
    (False, False, True): lambda a, b: np.asarray(a).dot(b).T,
    (False, True, False): lambda a, b: np.asarray(a).dot(np.asarray(b).T),
    (False, True, True): lambda a, b: np.asarray(a).dot(np.asarray(b).T).T,
    (True, False, False): lambda a, b: np.asarray(a).T.dot(b),
    (True, False, True): lambda a, b: np.asarray(a).T.dot(b).T,
    (True, True, False): lambda a, b: np.asarray(a).T.dot(np.asarray(b).T),
    (True, True, True): lambda a, b: np.asarray(a).T.dot(np.asarray(b).T).T,
}
