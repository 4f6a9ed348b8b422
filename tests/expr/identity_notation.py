"""Records of known answers, and the conventions and the notation in which they are written.

Layout. A gradient is shaped like the variable; a Jacobian of a vector by a vector is m x n, entry (i, j) the derivative
of entry i by variable j; the derivative by a scalar is shaped like the function. Where the variable is a matrix, a
second derivative (or the derivative of a matrix or vector) is a matrix only once the variable is flattened: entry
(i, j) of an m x n matrix is number i*n + j, row after row as NumPy reshapes, so that A*X*B has the derivative
kron(A, B'). (Magnus and Neudecker stack columns and get kron(B', A).) Such an answer is given beside, or without, the
forms that need no flattening: `linear`, the derivative applied to a direction D, and `bilinear`, the second
differential, D put into both places.

Symmetry. For a symmetric variable the answer is the gradient of the same formula in an unconstrained matrix, with the
symmetry used to simplify it: 2*A*x, inv(X). It is not the convention that doubles off-diagonal entries.

At kinks sign(0) is 0, and relu has the slope sign(relu(x)): 1 where x > 0, else 0.

Notation. Vectors are columns; `'` transposes; a row times a column is a scalar, a column times a row an outer product.

- Tightest first: `'`, `^` and `.^`, read left to right, the exponent being one atom or call with an optional sign
  (X^-1' is (X^-1)'); then the sign (-x^2 is -(x^2), and the sign of a product is its first factor's); then
  `*`, `/`, `.*`, `./`, left to right; then `+` and `-`, left to right.
- `*` is a matrix product, or a product with a scalar; `/` divides by a scalar; `^` raises a scalar to any power and a
  square matrix to a whole one. `.*`, `./`, `.^` work entry by entry on equal shapes, or with a scalar on either side.
  `+` and `-` take equal shapes: 1 + x with a vector x is an error, vector(1) + x is meant.
- A number has digits before its dot and after it, so that `1./x` is 1 ./ x. There is no implicit product.
- Scalars from matrices: det, logdet (the logarithm of a positive determinant), tr, sum (of all entries), normF;
  norm1 and norm2 take vectors alone, since of a matrix they mean different things to different people.
- Entry by entry, on matrices too: exp, log, sqrt, sin, cos, tanh, abs, sign, sigmoid, relu, softplus.
- inv; diag makes a diagonal matrix of a vector and a vector of a square matrix; kron takes matrices, rows, columns.
- eye(n), vector(c, n) and matrix(c, m, n), the latter two with c in every entry; sizes are names of dimensions or
  numbers and may be left out where the neighbours fix them, as in vector(1)-x.
- [x+y; x-y] stacks rows, [1, 1; 1, -1] has entries in its rows.
- A dimension's name stands for its size where a number is expected, also alone.
- "positive definite" includes symmetric; "nonnegative" is meant entry by entry; log of such a symbol is allowed.

Symbols never bear the names n, m, k, p (dimensions) and D (the direction).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

DIMENSIONS = ("n", "m", "k", "p")
COOKBOOK = "Petersen and Pedersen, The Matrix Cookbook (2012), section "
MAGNUS = "Magnus and Neudecker, Matrix Differential Calculus (3rd edition), chapter "
MINKA = "Minka, Old and New Matrix Algebra Useful for Statistics (2000), derivatives"
BOYD = "Boyd and Vandenberghe, Convex Optimization (2004), "
MURPHY = "Murphy, Machine Learning: a Probabilistic Perspective (2012), chapter "


@dataclass(frozen=True)
class Symbol:
    """What a name stands for; `shape` holds names of dimensions, or sizes."""

    kind: str
    shape: tuple[str | int, ...]
    attributes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Identity:
    """A derivative and its answer; at least one of `answer`, `linear` and `bilinear` is given.

    `order` 0 means that `text` itself has the simpler form `answer`. `wrt` is one name, or two with a comma between
    (a Jacobian with one column for each scalar). `reference` is where the identity, or the one that it follows from at
    once by the chain rule, is found.
    """

    name: str
    text: str
    wrt: str
    order: int
    answer: str | None
    symbols: Mapping[str, Symbol]
    reference: str
    linear: str | None = None
    bilinear: str | None = None


@dataclass(frozen=True)
class Rule:
    """A rule of the differential: with d<name> the differential of each variable, that of `text` is `differential`."""

    name: str
    text: str
    differential: str
    wrt: tuple[str, ...]
    symbols: Mapping[str, Symbol]


def declared(text):
    """Read declarations such as "A: n x n, symmetric; x: n; c: 1" into symbols."""
    symbols = {}
    for declaration in text.split(";"):
        name, _, meaning = declaration.partition(":")
        shape, *attributes = (part.strip() for part in meaning.split(","))
        sizes = () if shape == "1" else tuple(int(s) if s.isdigit() else s for s in shape.split(" x "))
        symbols[name.strip()] = Symbol(("scalar", "vector", "matrix")[len(sizes)], sizes, tuple(attributes))
    return symbols


def used(symbols, *texts):
    """Keep the symbols that the texts name."""
    names = {name for text in texts if text for name in re.findall(r"[A-Za-z]\w*", text)}
    return {name: symbol for name, symbol in symbols.items() if name in names}


def d(text, wrt, answer=None, hessian=None, *, linear=None, hessian_map=None, second=None):
    """One line of a table: the first derivative, and the second one in the forms that it has."""
    return [(text, wrt, 1, answer, linear, None), (text, wrt, 2, hessian, hessian_map, second)]


def identities(reference, declarations, *lines):
    """Make records of lines that share their reference and symbols."""
    records = []
    for text, wrt, order, answer, linear, bilinear in (record for line in lines for record in line):
        if answer or linear or bilinear:
            symbols = used(declared(declarations), text, wrt, answer, linear, bilinear)
            known = [f"{name} {' '.join(s.attributes)}" for name, s in symbols.items() if s.attributes]
            name = f"d{order} {text} by {wrt}" + (f" with {', '.join(known)}" if known else "")
            records.append(Identity(name, text, wrt, order, answer, symbols, reference, linear, bilinear))
    return records


PRECEDENCE = [
    ("2-3-4", "(2-3)-4"),
    ("2/4*8", "(2/4)*8"),
    ("-2^2", "-(2^2)"),
    ("2*-3", "2*(-3)"),
    ("2^-1", "1/2"),
    ("2^3^2", "(2^3)^2"),
    ("-A*B", "(-A)*B"),
    ("A-B+A", "(A-B)+A"),
    ("A^-1'", "(A^(-1))'"),
    ("A'^2", "(A')*(A')"),
    ("A*B'", "A*(B')"),
    ("A*B.*A", "(A*B).*A"),
    ("1./x", "(1)./(x)"),
    ("2.*x.^2", "2.*(x.^2)"),
    ("x.^2'", "(x.^2)'"),
    ("x'*A*x", "((x')*A)*x"),
    ("x.^-1.5", "x.^(-(3/2))"),
    ("1e-1*x", "x/10"),
    ("x-y.*x./y", "x-((y.*x)./y)"),
    ("vector(1)-x", "vector(1,n)-x"),
    ("vector(2)'*A", "2*vector(1,n)'*A"),
    ("eye(n)+n*A", "eye(3)+3*A"),
]
"""Pairs that mean the same, with A, B: n x n; x, y: n, x and y positive, and n = 3: how the notation is read."""
