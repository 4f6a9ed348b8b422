"""The functions that formulas may call, one row each.

A value in a formula has axes of rows and axes of columns: none and none for a scalar, one and none for a column, none
and one for a row, one and one for a matrix. A Kronecker product keeps the axes of its factors apart (two and two),
which is how the derivatives of matrices come, and lets sizes be names: entry (i*m+k, j*n+l) of the matrix kron(A, B),
with B of shape m x n, is entry (i, k, j, l).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from string import ascii_letters
from typing import Any

from thalweg.core.errors import UnsupportedError
from thalweg.expr import namespace, namespace_linalg
from thalweg.expr.namespace_norms import vector_norm
from thalweg.expr.node import Node, build, lazy_eye
from thalweg.expr.shapes import show

SCALAR, COLUMN, ROW, MATRIX = 1, 2, 4, 8
"""Kinds of values, as bits, so that a set of kinds is a number."""
ANY = SCALAR | COLUMN | ROW | MATRIX
KINDS = (SCALAR, COLUMN, ROW, MATRIX)
WORDS = {SCALAR: "scalar", COLUMN: "column", ROW: "row", MATRIX: "matrix"}

SLIGHT, STRONG = 3, 20
"""How much a reading of an undeclared name that goes against a preference is worth avoiding."""


@dataclass(frozen=True, slots=True)
class Function:
    """A function of one argument (or of two, for kron).

    Attributes:
        kinds: The kind of the result for each kind of argument.
        apply: Given a node and how many of its axes are rows, makes the result.
        square: Whether a matrix must be square.
        prefers: Kinds of argument that are meant where nothing else decides.
        weight: How strongly.
        instead: What to write for other kinds.
        arguments: How many there are.

    """

    kinds: Mapping[int, int]
    apply: Callable[[Node, int], Any]
    square: bool = False
    prefers: int = ANY
    weight: int = SLIGHT
    instead: str = ""
    arguments: int = 1


def entrywise(function: Callable[[Any], Any]) -> Function:
    """Make the row of a function that works entry by entry."""
    return Function({k: k for k in KINDS}, lambda x, split: function(x))


def total(function: Callable[[Any], Any], kinds: int = ANY, prefers: int = ANY, instead: str = "") -> Function:
    """Make the row of a function that gives one number for all entries."""
    return Function(
        {k: SCALAR for k in KINDS if k & kinds}, lambda x, split: function(x), False, prefers, SLIGHT, instead
    )


def of_square(function: Callable[[Node], Any], of_scalar: Callable[[Any], Any], result: int) -> Function:
    """Make the row of a function of a square matrix; a scalar is a matrix with one entry."""

    def apply(x: Node, split: int) -> Any:
        if not split:
            return of_scalar(x)
        made = function(flat(x, split))
        return made if not made.ndim else _laid_out(made, x.shape)

    return Function(
        {MATRIX: result, SCALAR: SCALAR}, apply, True, MATRIX, STRONG, "a square matrix, such as X'*X, is needed"
    )


def flat(x: Node, split: int) -> Node:
    """Lay a matrix with several axes of rows and of columns out over one of each.

    Args:
        x: The matrix.
        split: How many of its axes are rows.

    Returns:
        A node with two axes.

    Raises:
        UnsupportedError: where the number of rows is a product of names.

    """
    if x.ndim == 2:
        return x
    if any(isinstance(d, str) for d in x.shape):
        raise UnsupportedError(
            f"a Kronecker product with the symbolic axes {show(x.shape)}, as one matrix",
            "declare its factors with numbers as sizes, or write the function of the factors",
        )
    return _laid_out(x, (math.prod(x.shape[:split]), math.prod(x.shape[split:])))


def _laid_out(x: Node, shape: Any) -> Node:
    return x if x.shape == shape else build("reshape", x, params=(shape,))


def letters(*counts: int) -> list[str]:
    """Give so many different letters in groups."""
    pool = iter(ascii_letters[8:] + ascii_letters[:8])
    return ["".join([next(pool) for _ in range(n)]) for n in counts]


def _trace(x: Node, split: int) -> Node:
    if not split:
        return x
    (rows,) = letters(split)
    return build("einsum", x, params=(f"{rows}{rows}->",))


def _diagonal(x: Node, split: int) -> Node:
    if split == x.ndim:  # a column becomes the diagonal of a matrix
        rows, columns = letters(split, split)
        deltas = [lazy_eye(d) for d in x.shape]
        pairs = [a + b for a, b in zip(rows, columns, strict=True)]
        return build("einsum", x, *deltas, params=(",".join([rows, *pairs]) + f"->{rows}{columns}",))
    (rows,) = letters(split)
    return build("einsum", x, params=(f"{rows}{rows}->{rows}",))


def kron(a: Node, split_a: int, b: Node, split_b: int) -> Node:
    """Give the Kronecker product, the axes of its factors kept apart: rows of a, rows of b, columns of a, of b."""
    rows_a, columns_a, rows_b, columns_b = letters(split_a, a.ndim - split_a, split_b, b.ndim - split_b)
    if not a.ndim or not b.ndim:
        return build("mul", a, b)
    subscripts = f"{rows_a}{columns_a},{rows_b}{columns_b}->{rows_a}{rows_b}{columns_a}{columns_b}"
    return build("einsum", a, b, params=(subscripts,))


def _softmax(x: Node, split: int) -> Any:
    return namespace.softmax(x)


_LONG = "a column or a row is needed"
_VECTOR = "it takes a column: write normF for a matrix, abs for a scalar, x' for a row x"

FUNCTIONS: dict[str, Function] = {
    "exp": entrywise(namespace.exp),
    "log": entrywise(namespace.log),
    "sqrt": entrywise(namespace.sqrt),
    "sin": entrywise(namespace.sin),
    "cos": entrywise(namespace.cos),
    "tanh": entrywise(namespace.tanh),
    "abs": entrywise(namespace.abs),
    "sign": entrywise(namespace.sign),
    "sigmoid": entrywise(namespace.sigmoid),
    "relu": entrywise(namespace.relu),
    "softplus": entrywise(namespace.softplus),
    "log1p": entrywise(namespace.log1p),
    "expm1": entrywise(namespace.expm1),
    "sinh": entrywise(namespace.sinh),
    "cosh": entrywise(namespace.cosh),
    "arctan": entrywise(namespace.arctan),
    "erf": entrywise(namespace.erf),
    "sum": total(namespace.sum, prefers=COLUMN | ROW | MATRIX),
    "norm1": total(lambda x: namespace.sum(namespace.abs(x)), COLUMN, instead=_VECTOR.replace("normF", "sum(abs(X))")),
    "norm2": total(vector_norm, COLUMN, instead=_VECTOR),
    "normF": total(vector_norm, prefers=MATRIX),
    "logsumexp": total(namespace.logsumexp, COLUMN | ROW, instead=_LONG),
    "softmax": Function({COLUMN: COLUMN, ROW: ROW}, _softmax, instead=_LONG),
    "tr": Function({MATRIX: SCALAR, SCALAR: SCALAR}, _trace, True, MATRIX, STRONG, "a square matrix is needed"),
    "det": of_square(namespace_linalg.det, lambda x: x, SCALAR),
    "logdet": of_square(namespace_linalg.logdet, namespace.log, SCALAR),
    "inv": of_square(namespace_linalg.inv, lambda x: build("div", 1, x), MATRIX),
    "diag": Function({COLUMN: MATRIX, MATRIX: COLUMN}, _diagonal, True, instead="give a column or a square matrix"),
    "kron": Function({}, _trace, prefers=MATRIX, arguments=2),
}  # fmt: skip
"""Functions by name. To add one, add its row: `entrywise`, `total` or `of_square` of a function on nodes."""
