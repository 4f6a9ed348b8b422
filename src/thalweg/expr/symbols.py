"""Symbols: scalars, vectors, matrices and tensors by name, of sizes that are numbers or names."""

from __future__ import annotations

from collections.abc import Sequence

from thalweg.core.errors import InputError
from thalweg.expr.node import Node, symbol
from thalweg.expr.rows import Dimension


def scalar(name: str, nonnegative: bool = False) -> Node:
    """Make a number without a value.

    Args:
        name: Letters, digits and _.
        nonnegative: Whether it is at least 0.

    Returns:
        A node of shape ().

    Raises:
        InputError: for a name that is no identifier.

    Example:
        >>> scalar("t")
        Node(t: scalar)

    """
    return symbol(name, (), None, ["nonnegative"] * nonnegative)


def vector(name: str, n: Dimension = "n", nonnegative: bool = False) -> Node:
    """Make a vector without a value.

    Args:
        name: Letters, digits and _.
        n: How many entries: a number, or a name.
        nonnegative: Whether every entry is at least 0.

    Returns:
        A node of shape (n,).

    Raises:
        InputError: for a name that is no identifier, or a size that is neither a name nor a positive number.

    Example:
        >>> x, A = vector("x"), matrix("A", symmetric=True)
        >>> x @ A @ x
        Node(einsum: scalar, lazy)

    """
    return symbol(name, (_size(n, name),), None, ["nonnegative"] * nonnegative)


def matrix(
    name: str,
    m: Dimension | None = None,
    n: Dimension | None = None,
    *,
    symmetric: bool = False,
    positive_definite: bool = False,
    diagonal: bool = False,
    orthogonal: bool = False,
    nonnegative: bool = False,
) -> Node:
    """Make a matrix without a value.

    Args:
        name: Letters, digits and _.
        m: How many rows: a number, or a name. Left out, "m"; for a square matrix "n", or ``n``.
        n: How many columns. Left out, "n"; for a square matrix ``m``.
        symmetric: Whether it equals its transpose.
        positive_definite: Whether it is symmetric with positive eigenvalues.
        diagonal: Whether every entry off the diagonal is 0.
        orthogonal: Whether its transpose is its inverse.
        nonnegative: Whether every entry is at least 0.

    Returns:
        A node of shape (m, n); with one of the attributes that need a square matrix, (n, n).

    Raises:
        InputError: for a name that is no identifier, a size that is neither a name nor a positive number, or two
            different sizes where a square matrix is needed.

    Example:
        >>> matrix("A"), matrix("B", 3), matrix("S", positive_definite=True)
        (Node(A: mxn), Node(B: 3xn), Node(S: nxn))

    """
    given = {
        "symmetric": symmetric or positive_definite,
        "positive definite": positive_definite,
        "diagonal": diagonal,
        "orthogonal": orthogonal,
    }
    attributes = [word for word, holds in given.items() if holds]
    if attributes:
        rows = m if m is not None else n if n is not None else "n"
        columns = n if n is not None else rows
        if rows != columns:
            raise InputError(
                f"matrix {name!r} is {' and '.join(attributes)}, but has {rows} rows and {columns} columns",
                "give one size, for both",
            )
    else:
        rows, columns = m if m is not None else "m", n if n is not None else "n"
    shape = _size(rows, name), _size(columns, name)
    return symbol(name, shape, None, attributes + ["nonnegative"] * nonnegative)


def tensor(name: str, shape: Sequence[Dimension], nonnegative: bool = False) -> Node:
    """Make an array of any number of axes without a value.

    Args:
        name: Letters, digits and _.
        shape: The size of each axis: a number, or a name.
        nonnegative: Whether every entry is at least 0.

    Returns:
        A node of that shape.

    Raises:
        InputError: for a name that is no identifier, or a size that is neither a name nor a positive number.

    Example:
        >>> tensor("T", ("n", 3, "k"))
        Node(T: nx3xk)

    """
    if isinstance(shape, (str, int)):
        raise InputError(f"the shape {shape!r} of tensor {name!r} is one size", f"give them all: ({shape!r}, ...)")
    return symbol(name, [_size(d, name) for d in shape], None, ["nonnegative"] * nonnegative)


def _size(size: Dimension, name: str) -> Dimension:
    """Check a size; an axis without entries has no derivative worth a formula."""
    named = isinstance(size, str) and size.isidentifier()
    if not named and (isinstance(size, (str, bool)) or not hasattr(size, "__index__") or size < 1):
        raise InputError(f"size {size!r} of symbol {name!r}", "give a whole number from 1 on, or a name such as 'n'")
    if size == name:
        raise InputError(f"symbol {name!r} has its own name as a size", "rename one of them")
    return size
