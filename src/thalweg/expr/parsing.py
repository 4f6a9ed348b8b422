"""Formulas in ordinary notation become expressions: `parse`.

Four steps: `formula` reads the text, `formula_kinds` finds out which undeclared names are scalars, vectors or matrices,
`formula_sizes` finds every size, and what is built here is the expression. Vectors are columns; `'` transposes; a row
times a column is a scalar, a column times a row an outer product. Rows and columns are both nodes with one axis: which
of them a value is, is known here alone.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from thalweg.core.errors import InputError, ThalwegError
from thalweg.expr import namespace
from thalweg.expr.formula import SIZED, Item, fail, read
from thalweg.expr.formula_functions import COLUMN, FUNCTIONS, MATRIX, SCALAR, WORDS, kron, letters
from thalweg.expr.formula_kinds import choose_kinds
from thalweg.expr.formula_sizes import Sizes
from thalweg.expr.node import ATTRIBUTES, Node, build, check_shape, constant, lazy_eye, symbol
from thalweg.expr.rows import Dimension
from thalweg.expr.shapes import show, spread

Declaration = Node | Sequence[Dimension]


@dataclass(frozen=True, slots=True)
class Parsed:
    """A formula that was read.

    Attributes:
        text: The formula.
        node: Its value: no axis for a scalar, one for a vector, two for a matrix. A matrix made by `kron` keeps the
            axes of its factors apart, those of its rows before those of its columns.
        kind: "scalar", "column", "row" or "matrix".
        rows: The axes of its rows.
        columns: The axes of its columns.
        symbols: The names in it, in order of appearance, and what they stand for.

    """

    text: str
    node: Node
    kind: str
    rows: tuple[Dimension, ...]
    columns: tuple[Dimension, ...]
    symbols: dict[str, Node]

    @property
    def orientation(self) -> str | None:
        """Of a vector: "column" or "row"."""
        return self.kind if self.kind in ("column", "row") else None


def parse(
    text: str,
    /,
    symbols: Mapping[str, Declaration] | Iterable[Node] | None = None,
    **attributes: str | Iterable[str],
) -> Parsed:
    """Read a formula such as "log(x'*A*x)".

    Undeclared names are scalars, vectors or matrices as their use needs; where that leaves a choice, lower-case names
    are scalars (vectors, if transposed, summed or multiplied by a matrix) and upper-case names matrices. Their sizes
    are called n, m, k and so on. Where a number is expected, a name that a shape or a maker has means that size, and n
    the only size there is; any other name is a symbol.

    Args:
        text: The formula: `+ - * / ^`, the transpose `'`, entry by entry `.* ./ .^`, functions such as exp, inv, det,
            tr, norm2, diag and kron, the makers eye(n), vector(c, n) and matrix(c, m, n), whose sizes may be left out
            where their neighbours fix them, and blocks [a, b; c, d].
        symbols: What names stand for: nodes with at most two axes (such as `thalweg.vector` makes them), by name or in
            any order, or shapes by name.
        **attributes: What is known of a name: "symmetric", "positive definite", "diagonal", "orthogonal" or
            "nonnegative"; also "scalar", "vector" or "matrix", and a shape such as "m x n", "n" or "1"; or several of
            them, in a list or with commas between.

    Returns:
        The expression, with its kind, its shape and its symbols.

    Raises:
        InputError: where the text is no formula or its shapes do not fit; the message points at the character, names
            both sides and says what to write.

    Example:
        >>> parse("x'*A*x", A="symmetric").symbols
        {'x': Node(x: n), 'A': Node(A: nxn)}

    """
    items = read(text, FUNCTIONS)
    said = {name: _sorted_words(name, given) for name, given in attributes.items()}
    known = {name: attribute_set(name, words) for name, (words, _, _) in said.items()}
    declared = _declared(symbols, known)
    for name, (_, _, shape) in said.items():
        if shape is not None:
            if name in declared:
                raise InputError(f"{name}={attributes[name]!r}: {name} is declared in symbols, too", "declare it once")
            declared[name] = symbol(name, shape, None, known[name])
    shapes = {name: node.shape for name, node in declared.items()}
    for name, shape in shapes.items():
        if 0 in shape:
            raise InputError(f"{name} of shape {show(shape)} has a size 0", "give at least 1")
    _mark_dimensions(items, shapes, said)
    names = dict.fromkeys([item.value for item in items if item.op == "name"])
    for name in known:
        if name not in names:
            raise InputError(f"{name}={attributes[name]!r}: {name} is not in the formula {text!r}", "use a name of it")
    kinds = {name: kind for name, (_, kind, _) in said.items() if kind}
    kinds |= {name: (SCALAR, COLUMN, MATRIX)[len(shape)] for name, shape in shapes.items()}
    square = [x for x in known if known[x] - {"nonnegative"} and x not in shapes and kinds.get(x, MATRIX) == MATRIX]
    sizes = Sizes(text, items, shapes, choose_kinds(items, kinds, square), square)
    if sizes.untied:
        for item in items:
            if item.op == "dimension" and item.value in sizes.untied:
                item.op = "name"
        names = dict.fromkeys([item.value for item in items if item.op == "name"])
        sizes = Sizes(text, items, shapes, choose_kinds(items, kinds, square), square)
    found = {name: declared[name] if name in declared else _symbol(name, sizes, known) for name in names}
    for name, x in found.items():
        at = next(item.at for item in items if item.op == "name" and item.value == name)
        raised = re.search(rf"\^\s*{name}\b", text) is not None
        if raised and name == "T" and name not in kinds:
            fail(text, at, "^T is read as a power", "write ' for the transpose, or declare T='scalar'")
        divides = re.search(rf"/\s*{name}\b", text) is not None  # what divides is a scalar to any reader
        if name not in kinds and name[0].isupper() and x.ndim < 2 and not divides and not raised:
            fail(
                text,
                at,
                f"{name} can only be read as a {'vector' if x.ndim else 'scalar'} in {text!r}, and upper-case names "
                "are matrices unless declared",
                f"write vector(1)+x where a number is added to a vector, or declare it: {name}="
                f"{'vector' if x.ndim else 'scalar'!r}",
            )
    node = _Builder(text, items, sizes, found).build()
    layout = sizes.layouts[-1]
    return Parsed(text, node, WORDS[sizes.kind(layout)], sizes.shape(layout[0]), sizes.shape(layout[1]), found)


def attribute_set(name: str, given: str | Iterable[str]) -> frozenset[str]:
    """Read attributes as a person may write them: "positive_definite", or several in a list.

    Args:
        name: What they are said of.
        given: One or several.

    Returns:
        Them.

    Raises:
        InputError: for one that there is not.

    """
    known = frozenset(_words(name, given))
    if not known <= ATTRIBUTES:
        wrong = ", ".join(sorted(known - ATTRIBUTES))
        raise InputError(f"{name} cannot be {wrong!r}", f"use {', '.join(sorted(ATTRIBUTES))}")
    return _implied(known)


def _words(name: str, given: str | Iterable[str]) -> list[str]:
    if not isinstance(given, Iterable):
        raise InputError(f"{name}={given!r}", "say what is known of it in words, such as 'symmetric' or 'm x n'")
    parts = given.split(",") if isinstance(given, str) else list(given)
    return [" ".join(str(part).replace("_", " ").replace("-", " ").split()) for part in parts]


def _sorted_words(name: str, given: str | Iterable[str]) -> tuple[list[str], int | None, tuple[Dimension, ...] | None]:
    """Tell attributes from a kind and from a shape."""
    attributes: list[str] = []
    kind: int | None = None
    shape: tuple[Dimension, ...] | None = None
    for word in _words(name, given):
        sizes = [int(d) if d.isdecimal() else d for d in re.split(r"\s+x\s+|\s*×\s*|(?<=\d)x(?=\d)", word)]
        if word in _KIND_OF:
            kind = _KIND_OF[word]
        elif word not in ATTRIBUTES and len(sizes) <= 2 and (len(sizes) == 2 or re.fullmatch(r"[a-z]\d*|\d+", word)):
            if sizes[0] == 1 and sizes[1:] not in ([], [1]):
                raise InputError(f"{name}={word!r} is a row", f"give the column, {sizes[1]}, and write {name}'")
            shape = tuple([d for d in sizes if d != 1])
        else:
            attributes.append(word)
    if shape is not None and kind not in (None, (SCALAR, COLUMN, MATRIX)[len(shape)]):
        raise InputError(f"{name} of shape {show(shape)} is no {WORDS[kind or 0]}", "give one of the two")
    return attributes, kind, shape


_KIND_OF = {"scalar": SCALAR, "vector": COLUMN, "matrix": MATRIX}


def _implied(attributes: frozenset[str]) -> frozenset[str]:
    return attributes | {"symmetric"} if "positive definite" in attributes else attributes


def _declared(
    symbols: Mapping[str, Declaration] | Iterable[Node] | None, known: Mapping[str, frozenset[str]]
) -> dict[str, Node]:
    """Give a node for each declared name."""
    if symbols is None:
        return {}
    if isinstance(symbols, Node):
        symbols = [symbols]
    if not isinstance(symbols, Iterable):
        raise InputError(f"symbols={symbols!r}", "give nodes (thalweg.vector), or shapes by name")
    pairs = symbols.items() if isinstance(symbols, Mapping) else [(getattr(s, "name", ""), s) for s in symbols]
    found: dict[str, Node] = {}
    for name, given in pairs:
        if name in FUNCTIONS or name in SIZED:
            raise InputError(f"the symbol {name} has the name of a function", "give it another name")
        if not isinstance(given, Node):
            if isinstance(given, (str, int)) or not isinstance(given, Sequence):
                raise InputError(
                    f"symbols: {name} is {given!r}", "give nodes (thalweg.vector) or shapes such as ('m', 'n')"
                )
            node = symbol(name, check_shape(given, f"symbol {name!r}"), None, known.get(name, ()))
        elif name in known and not known[name] <= _implied(frozenset(given.params[2] if len(given.params) > 2 else ())):
            raise InputError(
                f"{name}={', '.join(sorted(known[name]))!r}, but {name} is declared as a symbol without that",
                "declare the symbol with it",
            )
        else:
            node = given
        if node.ndim > 2:
            raise InputError(f"{name} of shape {show(node.shape)}", "formulas have scalars, vectors and matrices alone")
        if found.get(name, node) is not node:
            raise InputError(f"symbols: {name} is declared twice, differently", "declare it once")
        found[name] = node
    for name, node in found.items():
        if any(d in found for d in node.shape):
            raise InputError(
                f"{name} of shape {show(node.shape)}: a symbol has the name of a size", "rename one of them"
            )
    return found


def _mark_dimensions(items: Sequence[Item], shapes: Mapping[str, Sequence[Dimension]], said: Collection[str]) -> None:
    """Tell names of sizes, which shapes and makers have, from names of symbols; "n" may be the only size there is."""
    sizes = {
        "n",
        *[d for shape in shapes.values() for d in shape],
        *[d for item in items for axes in item.sizes for d, _ in axes],
    }
    for item in items:
        if item.op == "name" and item.value in sizes and item.value not in shapes and item.value not in said:
            item.op = "dimension"


def _symbol(name: str, sizes: Sizes, known: Mapping[str, frozenset[str]]) -> Node:
    rows, columns = sizes.symbols[name]
    return symbol(name, sizes.shape(rows + columns), None, known.get(name, ()))


class _Builder:
    """Builds the expression of a formula whose kinds and sizes are known."""

    def __init__(self, text: str, items: Sequence[Item], sizes: Sizes, symbols: Mapping[str, Node]) -> None:
        self.text = text
        self.items = items
        self.sizes = sizes
        self.symbols = symbols
        self.nodes: list[Node] = []

    def build(self) -> Node:
        """Build every item in turn and give the last."""
        for place, item in enumerate(self.items):
            try:
                node = constant(self.make(place, item))
            except ArithmeticError:
                node = None
            except ThalwegError as error:
                if "\n" in error.problem:
                    raise
                fail(self.text, item.at, error.problem, error.remedy)
            if node is None or isinstance(node.value, float) and not math.isfinite(node.value):
                shown = self.text[item.start : item.end]
                fail(self.text, item.at, f"{shown} is no finite number", "leave such a number out")
            self.nodes.append(node)
        return self.nodes[-1]

    def make(self, place: int, item: Item) -> Any:
        """Build one item."""
        op = item.op
        if op == "name":
            return self.symbols[item.value]
        if op == "number":
            return item.value
        if op == "dimension":
            return namespace.dimension(self.sizes.size(item.value).root().known or 1)
        if op == "neg":
            return build("neg", self.nodes[item.parts[0]])
        if op == "'":
            return self.transposed(item.parts[0])
        if op == "maker":
            return self.made(place, item)
        if op == "block":
            return self.block(place, item)
        if op == "call":
            if len(item.parts) == 2:
                (a, rows), (b, more) = [(self.nodes[p], len(self.sizes.layouts[p][0])) for p in item.parts]
                return kron(a, rows, b, more)
            (part,) = item.parts
            return FUNCTIONS[item.value].apply(self.nodes[part], len(self.sizes.layouts[part][0]))
        return self.joined(place, item)

    def transposed(self, part: int) -> Node:
        """Exchange rows and columns."""
        node, split = self.nodes[part], len(self.sizes.layouts[part][0])
        if split in (0, node.ndim):
            return node
        return build("transpose", node, params=((*range(split, node.ndim), *range(split)),))

    def made(self, place: int, item: Item) -> Node:
        """Build an identity, or equal entries."""
        rows, columns = (self.sizes.shape(axes) for axes in self.sizes.layouts[place])
        return _identity(rows) if item.value == "eye" else spread(self.nodes[item.parts[0]], rows + columns)

    def joined(self, place: int, item: Item) -> Any:
        """Build what an operator makes of its two sides."""
        left, right = item.parts
        (rows_a, _), (_, columns_b) = self.sizes.layouts[left], self.sizes.layouts[right]
        a, b = self.nodes[left], self.nodes[right]
        if item.op == "*" and a.ndim and b.ndim:
            axes = self.sizes.joined[place]
            a = self.fitted(a, rows_a + axes)
            b = self.fitted(b, axes + columns_b)
            if len(axes) == 1 and a.ndim <= 2 and b.ndim <= 2:
                return namespace.matmul(a, b)
            i, j, k = letters(len(rows_a), len(axes), len(columns_b))
            return build("einsum", a, b, params=(f"{i}{j},{j}{k}->{i}{k}",))
        if item.op == "^" and a.ndim:
            return self.power(place, a, b)
        if a.ndim and b.ndim:
            rows, columns = self.sizes.layouts[place]
            a, b = self.fitted(a, rows + columns), self.fitted(b, rows + columns)
        if item.op in ("^", ".^"):
            a, b = _powers(a, b)
        return build(_OPS[item.op], a, b)

    def fitted(self, node: Node, axes: tuple[Any, ...]) -> Node:
        """Lay a matrix out over axes with equally many entries."""
        shape = self.sizes.shape(axes)
        return node if node.shape == shape else build("reshape", node, params=(shape,))

    def power(self, place: int, x: Node, exponent: Node) -> Node:
        """Multiply a matrix with itself; negative powers are those of the inverse."""
        number = _whole(exponent.value)
        item = self.items[place]
        if number is None:
            shown = self.sizes.describe(item.parts[1])
            fail(self.text, item.at, f"a matrix to the power of {shown}",
                 "give a whole number; .^ is the power of each entry")  # fmt: skip
        if abs(number) > MOST_FACTORS:
            fail(self.text, item.at, f"a matrix to the power of {number}", f"give at most {MOST_FACTORS}")
        rows, columns = self.sizes.layouts[item.parts[0]]
        i, j, k = letters(len(rows), len(rows), len(rows))
        if number == 0:
            return _identity(self.sizes.shape(rows))
        base = FUNCTIONS["inv"].apply(x, len(rows)) if number < 0 else x
        made = base
        for _ in range(abs(number) - 1):
            made = build("einsum", made, base, params=(f"{i}{j},{j}{k}->{i}{k}",))
        return made

    def block(self, place: int, item: Item) -> Node:
        """Stack rows of parts."""
        rows, columns = self.sizes.layouts[place]
        stacked = []
        start = 0
        for n in item.value:
            parts = []
            for p in item.parts[start : start + n]:
                own_rows, own_columns = self.sizes.layouts[p]
                shape = (*(self.sizes.shape(own_rows) or (1,)), *(self.sizes.shape(own_columns) or (1,)))
                node = self.nodes[p]
                parts.append(node if node.shape == shape else build("reshape", node, params=(shape,)))
            start += n
            stacked.append(parts[0] if n == 1 else build("concatenate", *parts, params=(1,)))
        whole = stacked[0] if len(stacked) == 1 else build("concatenate", *stacked, params=(0,))
        return self.fitted(whole, rows + columns)


def _identity(sizes: Sequence[Dimension]) -> Node:
    """Make an identity whose rows, and whose columns, have these axes."""
    i, j = letters(len(sizes), len(sizes))
    deltas = [lazy_eye(d) for d in sizes]
    pairs = ",".join([a + b for a, b in zip(i, j, strict=True)])
    return deltas[0] if len(deltas) == 1 else build("einsum", *deltas, params=(f"{pairs}->{i}{j}",))


def _powers(base: Node, exponent: Node) -> tuple[Node, Node]:
    """Make a floating number of one of two whole ones where NumPy would not answer, or Python not soon."""
    x, p = base.value, exponent.value
    if isinstance(p, int):
        return base, constant(float(p)) if p < 0 or isinstance(x, int) and p > MOST_FACTORS else exponent
    return (constant(float(x)) if isinstance(x, int) else base), exponent


def _whole(value: Any) -> int | None:
    return int(value) if isinstance(value, (int, float)) and float(value).is_integer() else None


MOST_FACTORS = 64
"""The largest power of a matrix: each factor is written out."""

_OPS = {"+": "add", "-": "sub", "*": "mul", "/": "div", ".*": "mul", "./": "div", ".^": "pow", "^": "pow"}
