"""Formulas, third step: the size of every axis, by unification, so that each conflict names both of its sides.

A value's layout is its axes of rows and its axes of columns (see `thalweg.expr.formula_functions`). Sizes are numbers,
names, or still open; an operation that needs two sizes to be equal makes them one. What a declaration names is fixed;
a name that only the formula has, as in eye(n), may turn out to be a number.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import NoReturn

from thalweg.expr.formula import Item, fail
from thalweg.expr.formula_functions import COLUMN, FUNCTIONS, MATRIX, ROW, SCALAR, WORDS
from thalweg.expr.formula_kinds import PAIRS
from thalweg.expr.rows import Dimension

LETTERS = "nmkpqrstuvwlhgfedcbaijoxyz"
"""Names that open sizes are given, in this order."""


class Size:
    """A size that may be found out later; equal sizes share one that stands for all of them."""

    __slots__ = ("known", "same")

    def __init__(self, known: Dimension | None = None) -> None:
        self.known = known
        self.same: Size | None = None

    def root(self) -> Size:
        """Give the one that stands for all equal ones."""
        size = self
        while size.same is not None:
            size = size.same
        return size


Axes = tuple[Size, ...]
Layout = tuple[Axes, Axes]
"""The axes of rows, and those of columns."""


class Sizes:
    """The layouts of a formula's items.

    Args:
        text: The formula.
        items: What was read of it.
        shapes: Shapes of the declared names.
        kinds: A kind for each name.
        square: Undeclared names that stand for square matrices, since their attributes say so.

    Attributes:
        layouts: One an item.
        symbols: A layout for each name that is not declared, in order of appearance.
        joined: For products, the contracted axes.
        untied: Names taken for sizes that no shape has.

    """

    def __init__(
        self,
        text: str,
        items: Sequence[Item],
        shapes: Mapping[str, Sequence[Dimension]],
        kinds: Mapping[str, int],
        square: Collection[str] = (),
    ) -> None:
        self.text = text
        self.items = items
        self.kinds = kinds
        self.square = square
        self.fixed = {d for shape in shapes.values() for d in shape if isinstance(d, str)}
        self.sizes: dict[Dimension, Size] = {}
        self.symbols: dict[str, Layout] = {}
        self.layouts: list[Layout] = []
        self.joined: dict[int, Axes] = {}
        self.untied: set[str] = set()
        self.declared: dict[str, Layout] = {}
        for name, shape in shapes.items():
            axes = tuple([self.size(d) for d in shape])
            self.declared[name] = axes[:1], axes[1:]
        for place, item in enumerate(items):
            self.layouts.append(self._layout(place, item))
        self._name()

    def size(self, known: Dimension) -> Size:
        """Give the size of a name or a number."""
        return self.sizes.setdefault(known, Size(known)) if known not in self.sizes else self.sizes[known]

    def shape(self, axes: Axes) -> tuple[Dimension, ...]:
        """Give what is known of axes once every size has been found."""
        return tuple([s.root().known or "?" for s in axes])

    def equal(self, a: Size, b: Size) -> bool:
        """Make two sizes one; say whether they can be."""
        a, b = a.root(), b.root()
        if a is b:
            return True
        if a.known is None:
            a.same = b
            return True
        if b.known is None:
            b.same = a
            return True
        for name, number in ((a, b), (b, a)):
            if isinstance(name.known, str) and isinstance(number.known, int) and name.known not in self.fixed:
                name.same = number
                return True
        return False

    def equal_axes(self, a: Axes, b: Axes) -> bool:
        """Make axes equal; axes of known sizes may also be laid out differently."""
        if len(a) == len(b):
            shapes = self.shape(a), self.shape(b)
            return all([self.equal(x, y) for x, y in zip(a, b, strict=True)]) or _as_many(*shapes)
        for one, several in ((a, b), (b, a)):
            sizes = self.shape(several)
            if len(one) == 1 and one[0].root().known is None and all(isinstance(d, int) for d in sizes) and sizes:
                return self.equal(one[0], self.size(math.prod([d for d in sizes if isinstance(d, int)])))
        return _as_many(self.shape(a), self.shape(b))

    def _layout(self, place: int, item: Item) -> Layout:
        op = item.op
        if op == "name":
            return self._named(item.value)
        if op == "number" or op == "dimension":
            return (), ()
        if op == "neg":
            return self.layouts[item.parts[0]]
        if op == "'":
            rows, columns = self.layouts[item.parts[0]]
            return columns, rows
        if op == "maker":
            return self._made(item)
        if op == "block":
            return self._block(item)
        if op == "call":
            return self._called(item)
        return self._joined(place, item)

    def _named(self, name: str) -> Layout:
        if name in self.declared:
            return self.declared[name]
        if name not in self.symbols:
            kind = self.kinds[name]
            rows = (Size(),) if kind & (COLUMN | MATRIX) else ()
            columns = (Size(),) if kind & MATRIX else ()
            self.symbols[name] = rows, rows if name in self.square else columns
        return self.symbols[name]

    def _made(self, item: Item) -> Layout:
        if item.parts and self.layouts[item.parts[0]] != ((), ()):
            shown = self.describe(item.parts[0])
            fail(self.text, self.items[item.parts[0]].at, f"the entry of {item.value} is {shown}", "give a scalar")
        given = [tuple([self.size(d) for d, _ in axes]) for axes in item.sizes]
        for d, at in [size for axes in item.sizes for size in axes]:
            if d in self.kinds:
                fail(self.text, at, f"the size {d} is the name of a symbol", "give a dimension's name or a number")
        if item.value == "vector":
            return given[0] if given else (Size(),), ()
        if item.value == "eye":
            n = given[0] if given else (Size(),)
            return n, n
        rows, columns = given or ((Size(),), (Size(),))
        return rows, columns

    def _joined(self, place: int, item: Item) -> Layout:
        left, right = item.parts
        a, b = self.layouts[left], self.layouts[right]
        kinds = self.kind(a), self.kind(b)
        if kinds not in PAIRS[item.op]:
            self._refuse(item, *kinds)
        if item.op == "/" or item.op == "^":
            if item.op == "^" and not self.equal_axes(*a):
                fail(self.text, item.at, f"a power of {self.describe(left)}, which is not square",
                     "write .^ for the power of each entry, X'*X for a product")  # fmt: skip
            return a
        if SCALAR in kinds and item.op not in ("+", "-"):
            return b if kinds[0] == SCALAR else a
        if item.op == "*":
            if not self.equal_axes(a[1], b[0]):
                inner = self.show(a[1] or ()), self.show(b[0] or ())
                self._differ(item, "cannot be multiplied", f"the inner sizes {inner[0]} and {inner[1]} differ",
                             "a transpose ' may be missing; .* multiplies entry by entry")  # fmt: skip
            self.joined[place] = min(a[1], b[0], key=len)
            return a[0], b[1]
        if not (self.equal_axes(a[0], b[0]) and self.equal_axes(a[1], b[1])):
            words = {"+": "cannot be added", "-": "cannot be subtracted"}.get(item.op, "do not fit entry by entry")
            self._differ(item, words, "their shapes differ", "make the shapes equal")
        return a if len(a[0]) + len(a[1]) <= len(b[0]) + len(b[1]) else b

    def _differ(self, item: Item, words: str, why: str, remedy: str) -> NoReturn:
        a, b = (self.describe(p) for p in item.parts)
        fail(self.text, item.at, f"{a} and {b} {words}: {why}", remedy)

    def _refuse(self, item: Item, left: int, right: int) -> NoReturn:
        """Explain why an operator cannot stand between values of these kinds."""
        a, b = (self.describe(p) for p in item.parts)
        op, texts = item.op, [self.text[self.items[p].start : self.items[p].end] for p in item.parts]
        problem = f"{a} {op} {b} has no meaning"
        remedy = "make the shapes equal"
        if op in ("+", "-") and SCALAR in (left, right):
            number, other = (texts[0], right) if left == SCALAR else (texts[1], left)
            many = {COLUMN: f"vector({number})", ROW: f"vector({number})'", MATRIX: f"matrix({number})"}[other]
            remedy = f"for the same number in every entry write {many}"
            multiple = "eye(n)" if number == "1" else f"{number}*eye(n)"
            remedy += f", for a multiple of the identity {multiple}" if other == MATRIX else ""
        elif {left, right} == {COLUMN, ROW} and op != "/":
            remedy = "transpose one of the two with '"
        elif op == "*":
            remedy = "write a'*b for an inner product, a*b' for an outer one, a.*b for entry by entry"
            if (left, right) == (MATRIX, ROW):
                remedy = "transpose the row"
            elif (left, right) == (COLUMN, MATRIX):
                remedy = f"transpose the column: {texts[0]}'*{texts[1]}"
        elif op == "/":
            remedy = "only a scalar divides: write ./ for entry by entry" + (
                ", inv(B) for a matrix" * (right == MATRIX)
            )
        elif op == "^":
            remedy = "scalars and square matrices have powers, and the exponent is a scalar: .^ works entry by entry"
        fail(self.text, item.at, problem, remedy)

    def _called(self, item: Item) -> Layout:
        rows, columns = self.layouts[item.parts[0]]
        if len(item.parts) == 2:
            more_rows, more_columns = self.layouts[item.parts[1]]
            return rows + more_rows, columns + more_columns
        function = FUNCTIONS[item.value]
        kind = self.kind((rows, columns))
        if kind not in function.kinds:
            fail(self.text, item.at, f"{item.value} of {self.describe(item.parts[0])}", function.instead)
        if function.square and kind == MATRIX and not self.equal_axes(rows, columns):
            fail(self.text, item.at, f"{item.value} of {self.describe(item.parts[0])}, which is not square",
                 "give a square matrix, such as X'*X")  # fmt: skip
        result = function.kinds[kind]
        if result == kind:
            return rows, columns
        return (rows, rows) if result == MATRIX else (rows, ()) if result == COLUMN else ((), ())

    def _block(self, item: Item) -> Layout:
        heights: list[Axes] = []
        widths: list[list[Axes]] = []
        place = 0
        for n in item.value:
            parts = item.parts[place : place + n]
            place += n
            layouts = [self.layouts[p] for p in parts]
            for p, (rows, columns) in zip(parts, layouts, strict=True):
                if len(rows) > 1 or len(columns) > 1:
                    fail(self.text, self.items[p].at, "a Kronecker product within [ ]", "write it outside")
                if len(rows) != len(layouts[0][0]) or not self.equal_axes(rows, layouts[0][0]):
                    both = f"{self.describe(parts[0])} and {self.describe(p)}"
                    fail(self.text, self.items[p].at, f"{both} stand in one row", "give them equally many rows")
            heights.append(layouts[0][0])
            widths.append([columns for _, columns in layouts])
        tall = heights[0] if len(heights) == 1 else (self._total(item, heights),)
        if max(item.value) == 1:
            for p, (columns,) in zip(item.parts, widths, strict=True):
                if len(columns) != len(widths[0][0]) or not self.equal_axes(columns, widths[0][0]):
                    fail(self.text, self.items[p].at, f"{self.describe(p)} stands below {self.describe(item.parts[0])}",
                         "what stands in one column must have equally many columns")  # fmt: skip
            return tall, widths[0][0]
        totals = [self._total(item, row) for row in widths]
        for total in totals[1:]:
            if not self.equal(total, totals[0]):
                fail(self.text, item.at, f"rows of {totals[0].root().known} and {total.root().known} entries",
                     "give every row as many")  # fmt: skip
        return tall, (totals[0],)

    def _total(self, item: Item, parts: Sequence[Axes]) -> Size:
        if len(parts) == 1 and parts[0]:
            return parts[0][0]
        known = [1 if not axes else axes[0].root().known for axes in parts]
        if not all(isinstance(k, int) for k in known):
            fail(self.text, item.at, f"a size of {'+'.join(str(k or '?') for k in known)}",
                 "declare the parts with numbers as sizes, or stack scalars")  # fmt: skip
        return self.size(sum(k for k in known if isinstance(k, int)))

    def kind(self, layout: Layout) -> int:
        """Give the kind of a value."""
        rows, columns = layout
        return (MATRIX if columns else COLUMN) if rows else (ROW if columns else SCALAR)

    def describe(self, place: int) -> str:
        """Name a part of the formula with its kind and shape."""
        item = self.items[place]
        shown = self.text[item.start : item.end]
        shown = shown if len(shown) <= 30 else shown[:27] + "..."
        layout = self.layouts[place]
        kind = self.kind(layout)
        if kind == SCALAR:
            return f"the scalar {shown}"
        rows, columns = (self.show(axes) for axes in layout)
        return f"the {WORDS[kind]} {shown} ({rows} x {columns})"

    def show(self, axes: Axes) -> str:
        """Write a size, open ones under the name that they would get."""
        self._name(False)
        return "*".join(str(d) for d in self.shape(axes)) or "1"

    def _name(self, final: bool = True) -> None:
        """Name what stayed open: sizes of matrices first, and of their columns, so that a matrix is m x n."""
        if final:
            self._count()
        taken = {*self.kinds, *self.untied, *[s for s in self.sizes if isinstance(s, str)]}
        letters = (c for c in LETTERS if c not in taken)
        for rows, columns in sorted(self.symbols.values(), key=lambda layout: not layout[1]):
            for axis in columns + rows:
                if axis.root().known is None:
                    axis.root().known = _next_name(letters, taken)
        if not final:
            return
        for place, item in enumerate(self.items):
            if item.op == "maker" and any(s.root().known is None for axes in self.layouts[place] for s in axes):
                form = {"eye": "eye(n)", "vector": "vector(1,n)", "matrix": "matrix(1,m,n)"}[item.value]
                fail(self.text, item.at, f"nothing fixes the size of this {item.value}", f"write it out, as in {form}")

    def _count(self) -> None:
        """Find out which size a dimension's name means where it stands for a number."""
        for item in self.items:
            name = item.value
            if item.op != "dimension" or name in self.sizes:
                continue
            axes = [axis.root() for rows, columns in self.symbols.values() for axis in columns + rows]
            candidates = list(dict.fromkeys([axis for axis in axes if axis.known is None]))
            if len(candidates) == 1:
                self.equal(self.size(name), candidates[0])
            else:
                self.untied.add(name)


def _next_name(letters: Iterator[str], taken: set[str]) -> str:
    for letter in letters:
        return letter
    numbered: Callable[[int], str] = "n{}".format
    i = 1
    while numbered(i) in taken:
        i += 1
    taken.add(numbered(i))
    return numbered(i)


def _as_many(a: Sequence[Dimension], b: Sequence[Dimension]) -> bool:
    """Say whether axes of known sizes have equally many entries together, several of them on one side."""
    if not a or not b or len(a) == len(b) == 1:
        return False
    known = all(isinstance(d, int) for d in (*a, *b))
    return known and math.prod(d for d in a if isinstance(d, int)) == math.prod(d for d in b if isinstance(d, int))
