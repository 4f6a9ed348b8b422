"""Derivatives as formulas: `derive` reads a formula, differentiates it, writes the answer, and checks it first.

The derivative comes from the engine: its graph, simplified, is what is evaluated and written as code. What is printed
is the normal form of the same derivative, read off a differential: with a symbol for the direction, the differential
is linear in it, and what remains when the direction is taken off is the gradient, the Jacobian or the Hessian, however
many axes it has. Both are compared with finite differences before they are shown.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from thalweg.core.errors import InputError, UnsupportedError
from thalweg.expr import blocks, matrixform
from thalweg.expr.differentiate import gradient, jvp, substitute
from thalweg.expr.jacobian import jacobian
from thalweg.expr.linearmap import coefficient
from thalweg.expr.lower import lower, write
from thalweg.expr.matrixform_show import show as as_it_stands
from thalweg.expr.node import Node, build, constant, symbol
from thalweg.expr.parsing import attribute_set, parse
from thalweg.expr.shapes import show
from thalweg.expr.simplify import simplify
from thalweg.expr.steps import Step
from thalweg.expr.steps import steps as explain
from thalweg.expr.terms import attributes as attributes_of
from thalweg.expr.terms import expand, rebuild, remember, same
from thalweg.expr.terms import normal as normal_form
from thalweg.expr.verifying import Check, Point, difference, find_point, sizes_of
from thalweg.expr.walk import topological

POINTS = 2
"""Random points at which a derivative is checked."""

SAME = 1e-8
"""Relative difference between printed and evaluated derivative that is put down to the rounding of other orders."""

ATTRIBUTE_ERROR = 1e-8
"""Relative asymmetry that is put down to rounding in an array that is declared symmetric."""


@dataclass(frozen=True, eq=False)
class Derivative:
    """A derivative: print it, read it, run it, call it.

    Attributes:
        function: The expression that was differentiated.
        formula: It, as it was given.
        wrt: The variables; several only where all are scalars.
        order: 1 or 2.
        node: The derivative as the engine gives it, simplified: what is evaluated. Shaped like the function, then like
            the variable (twice, for order 2).
        normal: The derivative in normal form, of the same shape: what is printed.
        inputs: The symbols, in order of appearance.
        steps: The differential rules that were used, if they were asked for.
        checked: How it was checked.
        cells: The derivatives of a vector's parts, row by row, where it is given in parts; else None.

    """

    function: Node
    formula: str
    wrt: tuple[Node, ...]
    order: int
    node: Node
    normal: Node
    inputs: tuple[Node, ...]
    steps: tuple[Step, ...]
    checked: Check
    cells: blocks.Cells | None = None

    @cached_property
    def text(self) -> str:
        """The derivative in the notation that `parse` reads; an einsum where it has no matrix form."""
        written = (
            self.form.text if self.cells is None else blocks.text(blocks.formulas(self.cells, bool(self.wrt[0].shape)))
        )
        if self.cells is not None or self.form.is_notation:
            self._read_back(written)
        return written

    def _read_back(self, written: str) -> None:
        """Make sure that the text means what was checked.

        Raises:
            UnsupportedError: when it does not.

        """
        meant = parse(written, self.inputs).node
        if meant.shape == self.normal.shape and same(meant, self.normal):
            return
        point = self.checked.point
        a, b = (np.asarray(lower(x, self.inputs, "printed")(*point.values())) for x in (meant, self.normal))
        if a.size != b.size or not np.allclose(
            a.reshape(b.shape), b, rtol=SAME, atol=SAME * np.max(np.abs(b), initial=0)
        ):
            raise UnsupportedError(
                f"the text {written!r} does not mean the derivative of {self.formula}", "report this formula"
            )

    @property
    def is_matrix_form(self) -> bool:
        """Whether the text is products of matrices, which `parse` reads, and no einsum."""
        return self.cells is not None or self.form.is_matrix_form

    @cached_property
    def form(self) -> matrixform.Form:
        """The formula.

        With more than two axes, those of the function are flattened into the rows of a matrix, those of the variable
        into its columns (for a Hessian: those of the variable into both), row after row.
        """
        return _formula(self.normal, self.function, self.wrt[0], self.order)

    @property
    def name(self) -> str:
        """What the derivative is called: gradient, Jacobian, Hessian, ..."""
        if not self.function.shape and len(self.wrt) == 1:
            if self.wrt[0].shape:
                return "gradient" if self.order == 1 else "Hessian"
            return "derivative" if self.order == 1 else "second derivative"
        return "Jacobian" if self.order == 1 else "second derivative"

    @cached_property
    def symbols(self) -> dict[str, str]:
        """What each name stands for: its shape and what is known of it."""
        return {x.name: describe(x) for x in self.inputs}

    @cached_property
    def differential(self) -> str:
        """The first differential, or the second one with the same direction twice, as an equation."""
        name = "df" if self.order == 1 else "d2f"
        if self.cells is not None or blocks.stacked(self.function) is not None:
            total = jvp(self.function, {x: _direction(x) for x in self.wrt})
            if self.order > 1:
                total = jvp(total, {x: _direction(x) for x in self.wrt})
            parts = [[x] for x in blocks.stacked(total) or blocks.entries(total)]
            return f"{name} = {blocks.text(blocks.formulas(parts, turned=False))}"
        (x,) = self.wrt
        dx = _direction(x)
        first = jvp(self.function, {x: dx})
        if self.function.shape or not x.shape:
            rows = self.function.ndim // 2 if self.function.ndim > 2 else None  # a Kronecker product's
            return f"{name} = {matrixform.text(first if self.order == 1 else jvp(first, {x: dx}), rows)}"
        slope = gradient(self.function, x)
        return f"{name} = <{matrixform.text(slope if self.order == 1 else jvp(slope, {x: dx}))}, {dx.name}>"

    def latex(self) -> str:
        """Write the derivative in LaTeX."""
        return (
            self.form.latex
            if self.cells is None
            else blocks.latex(blocks.formulas(self.cells, bool(self.wrt[0].shape)))
        )

    def pretty(self) -> str:
        """Write the derivative with Unicode's signs."""
        return (
            self.form.pretty
            if self.cells is None
            else blocks.pretty(blocks.formulas(self.cells, bool(self.wrt[0].shape)))
        )

    def code(self, dialect: str = "numpy") -> str:
        """Write a function of the symbols that computes the derivative.

        Args:
            dialect: "numpy", "torch" or "jax".

        Returns:
            The text of a module with one function, ``derivative``, whose arguments are the symbols in order.

        Raises:
            InputError: for another library.
            UnsupportedError: for an operation that the library does not have.

        """
        return write(self.node, self.inputs, "derivative", dialect)[0].strip() + "\n"

    def __call__(self, **values: Any) -> Any:
        """Evaluate the derivative.

        Args:
            **values: An array or number for each symbol.

        Returns:
            An array of the derivative's shape.

        Raises:
            InputError: for a missing or unknown name, a shape that does not fit, or an array without the attributes
                that its symbol was declared with.

        """
        names = [x.name for x in self.inputs]
        unknown = sorted(set(values) - set(names))
        missing = [name for name in names if name not in values]
        if unknown or missing:
            problem = f"no value for {', '.join(missing)}" if missing else f"values for {', '.join(unknown)}"
            raise InputError(problem, f"give {', '.join(f'{name}=' for name in names)}")
        sizes: dict[str, int] = {}
        arrays = [_fitting(x, values[x.name], sizes) for x in self.inputs]
        return lower(self.node, self.inputs, "derivative")(*arrays)

    def __repr__(self) -> str:
        by = ", ".join(str(x.name) for x in self.wrt)
        return f"Derivative({self.formula!r:.60} by {by}, order {self.order}: {self.text:.100})"

    def __str__(self) -> str:
        return self.text

    def _repr_latex_(self) -> str:
        return f"${self.latex()}$"

    def record(self) -> dict[str, Any]:
        """Give everything as plain data, for JSON."""
        return {
            "formula": self.formula,
            "wrt": [x.name for x in self.wrt],
            "order": self.order,
            "name": self.name,
            "derivative": self.text,
            "latex": self.latex(),
            "shape": list(self.node.shape),
            "symbols": self.symbols,
            "differential": self.differential,
            "steps": [str(step) for step in self.steps],
            "checked": {
                "by": "central differences",
                "points": self.checked.points,
                "sizes": dict(self.checked.sizes),
                "difference": self.checked.difference,
            },
        }


def derive(
    expression: str | Node,
    wrt: str | Node | Sequence[str | Node] | None = None,
    order: int = 1,
    steps: bool = False,
    symbols: Mapping[str, Any] | Iterable[Node] | None = None,
    **attributes: str | Iterable[str],
) -> Derivative:
    """Differentiate a formula, and say the answer as a formula.

    Args:
        expression: A formula such as "log(x'*A*x)", or an expression made of symbols.
        wrt: The variable's name or symbol; "x, y" or a list for the Jacobian by several scalars, a column each. May be
            left out where there is one symbol.
        order: 1 for the gradient or Jacobian, 2 for the Hessian.
        steps: Whether to keep the differential rules that lead to it, one a line.
        symbols: What names of the formula stand for, where its use of them leaves that open: as for `parse`.
        **attributes: What is known of a symbol: A="symmetric", S="positive definite", p="nonnegative".

    Returns:
        A `Derivative`, already compared with finite differences at random points. A gradient is shaped like the
        variable; a Jacobian has the function's axes first.

    Raises:
        InputError: for a formula that cannot be read (the message points at the character), an unknown name or order.
        UnsupportedError: for an operation without a rule, and when the answer does not pass its check.

    Example:
        >>> derive("x'*A*x", wrt="x", A="symmetric").text
        '2*A*x'

    """
    if isinstance(order, bool) or order not in (1, 2):
        raise InputError(f"order={order!r} of derive", "give 1 or 2")
    if isinstance(expression, str):
        parsed = parse(expression, symbols, **attributes)
        node, formula, inputs = parsed.node, expression, tuple(parsed.symbols.values())
    else:
        if not isinstance(expression, Node):
            raise InputError(f"derive of {type(expression).__name__}",
                             'give a formula such as "x\'*A*x", or an expression made of symbols')  # fmt: skip
        node = _declared(expression, attributes)
        formula = as_it_stands(node)
        inputs = tuple([x for x in topological([node]) if x.op == "symbol"])
    for x in inputs:
        if 1 in x.shape:
            raise InputError(f"{x.name} of shape {show(x.shape)} has an axis of size 1, which formulas do not have",
                             "declare a vector (a row is its transpose) or a scalar")  # fmt: skip
    node = constant(node)
    variables = _variables(inputs, wrt, formula)
    simple = simplify(node)
    engine, normal, first = _derivatives(simple, variables, order)
    cells = _cells(simple, variables, order)
    if cells is not None:
        normal = _laid_out(blocks.matrix_of(cells, bool(variables[0].shape)), engine.shape)
    taken = tuple(explain(node, list(variables))) if steps else ()
    checked = _checked(node, first, engine, normal, variables, order, inputs, formula)
    found = Derivative(node, formula, variables, order, engine, normal, inputs, taken, checked, cells)
    parts = blocks.stacked(node) if steps else None
    if parts is not None:  # the parts' own steps, without the line that sums each of them up
        taken = tuple([step for part in parts for step in explain(part, list(variables))[:-1]])
    if steps and (order > 1 or parts is not None):
        left, right = found.differential.split(" = ", 1)
        found = replace(found, steps=(*taken, Step("once more" if order > 1 else "collected", left, right)))
    return found


def describe(x: Node) -> str:
    """Say what a symbol is: "n x n matrix, symmetric"."""
    kind = ("scalar", "vector", "matrix")[x.ndim] if x.ndim < 3 else "tensor"
    size = " x ".join(map(str, x.shape))
    known = ", ".join(sorted(attributes_of(x)))
    return (f"{size} {kind}" if size else kind) + (f", {known}" if known else "")


def _declared(node: Node, given: Mapping[str, str | Iterable[str]]) -> Node:
    """Give the symbols of an expression further attributes."""
    symbols = {x.name: x for x in topological([node]) if x.op == "symbol"}
    better = {}
    for name, words in given.items():
        if name not in symbols:
            raise InputError(f"{name}={words!r}, but the expression has no symbol {name}",
                             f"use one of {', '.join(symbols)}")  # fmt: skip
        x = symbols[name]
        better[x] = symbol(name, x.shape, x.domain, attributes_of(x) | attribute_set(name, words))
    return substitute([node], better)[0]


def _variables(inputs: Sequence[Node], wrt: str | Node | Sequence[str | Node] | None, formula: str) -> tuple[Node, ...]:
    known = {x.name: x for x in inputs}
    if wrt is None:
        if len(inputs) != 1:
            raise InputError(f"{formula!r} has the symbols {', '.join(known) or '(none)'}", "say which with wrt=")
        return (inputs[0],)
    if not isinstance(wrt, Node | Iterable):
        raise InputError(f"wrt={wrt!r}", "give a symbol or its name")
    given = [wrt] if isinstance(wrt, Node) else wrt.split(",") if isinstance(wrt, str) else list(wrt)
    names = [x.name if isinstance(x, Node) else str(x).strip() for x in given]
    for name in names:
        if name not in known:
            raise InputError(
                f"wrt={name!r}, but {formula!r} has no such symbol", f"use one of {', '.join(known) or '(none)'}"
            )
    found = tuple([known[name] for name in names])
    if not found or len(found) > 1 and any(x.shape for x in found):
        raise InputError(f"wrt={', '.join(names)!r}", "give one variable, or several that are scalars")
    return found


def _direction(x: Node) -> Node:
    return symbol(f"d{x.name}", x.shape)


def _derivatives(node: Node, variables: Sequence[Node], order: int) -> tuple[Node, Node, Node]:
    """Give the derivative as the engine's graph, its normal form, and the first derivative's graph."""
    if len(variables) > 1:
        if order != 1 or len(node.shape) > 1:
            raise UnsupportedError(
                f"order {order} of an expression of shape {show(node.shape)} by several variables",
                "differentiate by one variable, or a scalar or vector once",
            )
        columns = [build("reshape", _once(node, x)[0], params=((*node.shape, 1),)) for x in variables]
        engine = simplify(build("concatenate", *columns, params=(len(node.shape),)))
        return engine, engine, engine
    (x,) = variables
    first, normal = _once(node, x)
    if order == 1:
        return first, normal, first
    return *_once(first, x), first


def _cells(node: Node, variables: Sequence[Node], order: int) -> blocks.Cells | None:
    """Give the derivatives of the parts of a vector; None for what is better said as a whole."""
    if variables[0].ndim == 1 and order == 1:
        parts = blocks.stacked(node)
        return None if parts is None else [[_once(part, variables[0])[1]] for part in parts]
    if any(x.shape for x in variables) or len(variables) == 1 and not _is_block(node):
        return None
    rows = []
    for entry in blocks.stacked(node) or blocks.entries(node):
        slopes = [jvp(entry, {x: constant(1.0)}) for x in variables]
        if order > 1:
            slopes = [jvp(slope, {x: constant(1.0)}) for slope, x in zip(slopes, variables, strict=True)]
        rows.append([normal_form(slope) for slope in slopes])
    return rows


def _is_block(node: Node) -> bool:
    return len(node.shape) == 1 and any(x.op == "concatenate" for x in topological([node]))


def _laid_out(node: Node, shape: Sequence[Any]) -> Node:
    return node if node.shape == tuple(shape) else build("reshape", node, params=(tuple(shape),))


def _once(node: Node, x: Node) -> tuple[Node, Node]:
    """Differentiate once: a graph that is evaluated, and the normal form."""
    if not x.shape or not node.shape:
        slope = simplify(gradient(node, x) if x.shape else jvp(node, {x: constant(1.0)}))
        return slope, normal_form(slope)
    try:
        tensor = simplify(constant(jacobian(lambda value: substitute([node], {x: value})[0])(x)))
    except UnsupportedError:  # matrices of named sizes: the normal form has the tensor
        tensor = None
    normal = _read_off(node, x)
    if normal is None and tensor is None:
        raise UnsupportedError(
            f"the derivative by {x.name} of parts that are laid out anew, with sizes that are names",
            f"give numbers as sizes ({x.name}='3')",
        )
    normal = normal_form(tensor) if normal is None else normal  # type: ignore[arg-type]
    return simplify(normal) if tensor is None else tensor, normal


def _read_off(node: Node, x: Node) -> Node | None:
    """Read the tensor of a derivative off the differential; None where that is not a sum of products."""
    parts = blocks.stacked(node) if x.ndim == 1 else None
    if parts is not None:
        return _laid_out(blocks.matrix_of([[_once(part, x)[1]] for part in parts]), (*node.shape, *x.shape))
    direction = _direction(x)
    try:
        terms = coefficient(expand(jvp(node, {x: direction})), direction)
    except InputError:
        return None
    return remember(rebuild(terms), terms)


def _formula(normal: Node, function: Node, x: Node, order: int) -> matrixform.Form:
    rows = function.ndim if order == 1 else x.ndim if not function.shape else None
    return matrixform.form(normal, rows if normal.ndim > 2 else None)


def _checked(
    node: Node,
    first: Node,
    engine: Node,
    normal: Node,
    variables: Sequence[Node],
    order: int,
    inputs: Sequence[Node],
    formula: str,
) -> Check:
    """Compare the engine's derivatives with differences, and the printed one with the engine's, at random points."""
    rng = np.random.default_rng(0)
    base = lower(node, inputs, "function")
    slope = lower(first, inputs, "slope")
    last = slope if order == 1 else lower(engine, inputs, "derivative")
    printed = lower(normal, inputs, "printed")
    worst, met = 0.0, 0
    used: Point = {}
    choices = sizes_of(inputs)
    for attempt in range(4 * POINTS):
        sizes = choices[attempt // 4 % len(choices)]
        point = find_point(inputs, [base, last, printed], sizes, rng)
        if point is None:
            continue
        values = list(point.values())
        found = []
        for i, x in enumerate(variables):
            own = np.asarray(slope(*values))
            found.append(difference(base, own[..., i] if len(variables) > 1 else own, point, x, rng))
        if order == 2:
            found.append(difference(slope, last(*values), point, variables[0], rng))
        if any(f is None for f in found):
            continue
        a, b = np.asarray(last(*values)), np.asarray(printed(*values))
        size = max(1.0, float(np.max(np.abs(a), initial=0.0)))
        found.append((float(np.max(np.abs(a - b), initial=0.0)) / size, SAME))
        for off, allowed in (f for f in found if f is not None):
            if not off <= allowed:
                raise UnsupportedError(
                    f"the derivative of {formula} did not pass its check: it differs by {off:.1e} from what finite "
                    "differences give, so it is not shown",
                    "report this formula; use grad or hessian for numbers meanwhile",
                )
            worst = max(worst, off)
        met += 1
        used = point
        if met == POINTS:
            break
    if met:
        return Check(met, sizes, worst, used)
    raise UnsupportedError(
        f"the derivative of {formula} could not be checked: no random point was found at which it is finite and smooth",
        "declare what is known of the symbols (A='positive definite', x='nonnegative')",
    )


def _fitting(x: Node, value: Any, sizes: dict[str, int]) -> Any:
    """Check a value's shape and attributes."""
    from thalweg.expr.trace import bind_dimensions

    array = np.asarray(value)
    if array.dtype.kind not in "fiub":
        raise InputError(f"{x.name} of dtype {array.dtype}", "give real numbers")
    bind_dimensions(x, array.shape, sizes)
    array = array if array.dtype.kind == "f" else array.astype(float)
    if not x.shape:
        return float(array)
    for word in sorted(attributes_of(x)):
        if not _has(array, word):
            raise InputError(f"the array given for {x.name} is not {word}, as declared",
                             "give one that is, or derive again without that attribute")  # fmt: skip
    return array


def _has(array: Any, word: str) -> bool:
    slack = ATTRIBUTE_ERROR * float(np.max(np.abs(array), initial=0.0))
    if word == "nonnegative":
        return bool((array >= 0).all())
    if word == "diagonal":
        return bool(np.count_nonzero(array - np.diag(np.diag(array))) == 0)
    if word == "orthogonal":
        return bool(np.abs(array.T @ array - np.eye(len(array))).max(initial=0.0) <= ATTRIBUTE_ERROR)
    same = bool(np.abs(array - array.T).max(initial=0.0) <= slack)
    return same if word == "symmetric" else same and bool((np.linalg.eigvalsh(array) > 0).all())
