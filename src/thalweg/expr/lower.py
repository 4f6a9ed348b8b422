"""Lowering: a graph becomes the text of one plain Python function in the NumPy dialect, compiled once and kept.

Common subexpressions are computed once. A ufunc writes into the buffer of an operand that is not needed afterwards
(``out=``) where shape, kind and precision are sure to agree. Numbers are written as Python literals and symbolic
dimensions as names bound from the arguments' shapes, so a kernel works for every size, and float32 stays float32.
"""

from __future__ import annotations

import hashlib
import linecache
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from thalweg.core.errors import InputError
from thalweg.expr.differentiate import substitute
from thalweg.expr.node import Node, Shape, build, is_constant, symbol, table
from thalweg.expr.shapes import show
from thalweg.expr.walk import dependents, topological

HEADER = """from numpy import (
    absolute, add, arctan, array, asarray, broadcast_to, concatenate, cos, cosh, equal, errstate, exp, expm1, full,
    greater, greater_equal, less, less_equal, log, log1p, logaddexp, logical_and, logical_not, logical_or, max, maximum,
    min, minimum, multiply, negative, not_equal, power, reshape, sign, sin, sinh, sqrt, square, subtract, sum, tanh,
    transpose, true_divide, where,
)
from thalweg.expr import numeric


"""
_VIEWS = ("reshape", "transpose", "broadcast_to", "take")


@dataclass(frozen=True, slots=True)
class Kernel:
    """A compiled expression.

    Attributes:
        source: The text of the function.
        function: The function; calling the kernel calls it.
        outputs: Number of arrays it returns.

    """

    source: str
    function: Callable[..., Any]
    outputs: int

    def __call__(self, *arguments: Any) -> Any:
        """Call the function: one array an input; a tuple of arrays, or one array for a single output expression."""
        return self.function(*arguments)


_kernels: dict[tuple[Any, ...], Any] = {}


def lower(outputs: Node | Sequence[Node], inputs: Sequence[Node], name: str = "kernel") -> Kernel:
    """Compile expressions into one function of ``inputs``.

    Args:
        outputs: One expression (the function returns an array) or several (it returns a tuple).
        inputs: Symbols, in the order of the function's arguments.
        name: Name of the function.

    Returns:
        The kernel, from the cache if the same structure was lowered before.

    Raises:
        InputError: when the expressions need a symbol that is not among the inputs.

    """
    single = isinstance(outputs, Node)
    nodes = [outputs] if isinstance(outputs, Node) else list(outputs)
    key = (name, single, tuple([x.key for x in nodes]), tuple([x.key for x in inputs]))
    if key not in _kernels:
        constants: dict[str, Any] = {}
        text = write_function(name, nodes, [(x.name, x) for x in inputs], constants, single=single)
        _kernels[key] = Kernel(text, compile_source(HEADER + text, constants)[name], len(nodes))
    kernel: Kernel = _kernels[key]
    return kernel


def lower_staged(
    outputs: Sequence[Node], early: Sequence[Node], late: Sequence[Node], name: str = "kernel"
) -> tuple[Kernel, Kernel]:
    """Compile expressions in two stages: what does not depend on the late inputs is computed once and kept.

    Args:
        outputs: The expressions.
        early: Symbols known first.
        late: Symbols known later, perhaps many times (the direction of a Hessian-vector product).
        name: Prefix of the function names.

    Returns:
        ``early(*early) -> residuals`` (a tuple of arrays) and ``late(residuals, *late) -> tuple of outputs``.

    """
    key = (name, "staged", tuple([x.key for x in outputs]), tuple([x.key for x in early]), tuple([x.key for x in late]))
    if key not in _kernels:
        residuals, finals, slots = split_stages(outputs, late)
        constants: dict[str, Any] = {}
        first = write_function(f"{name}_early", residuals, [(x.name, x) for x in early], constants)
        second = write_function(
            f"{name}_late", finals, [(x.name, x) for x in late], constants, residuals=[(x.name, x) for x in slots]
        )
        names = compile_source(HEADER + first + second, constants)
        _kernels[key] = (
            Kernel(first, names[f"{name}_early"], len(residuals)), Kernel(second, names[f"{name}_late"], len(finals))
        )  # fmt: skip
    stages: tuple[Kernel, Kernel] = _kernels[key]
    return stages


def split_stages(outputs: Sequence[Node], late: Sequence[Node]) -> tuple[list[Node], list[Node], list[Node]]:
    """Cut a graph where it first meets the late inputs.

    Returns:
        The residuals (early expressions that the late part reads), the outputs rewritten in residual symbols, and those
        symbols.

    """
    order = topological(outputs)
    tied = dependents(order, late)
    cut: dict[Node, None] = {}
    for node in order:
        if node in tied:
            cut.update({x: None for x in node.inputs if x not in tied and not _weightless(x)})
    cut.update({x: None for x in outputs if x not in tied and not _weightless(x)})
    # A residual keeps its kind: the domain "class" is what marks whole numbers.
    slots = {x: symbol(f"r{i}", x.shape, "class" if x.kind == "i" else None) for i, x in enumerate(cut)}
    return list(slots), substitute(outputs, slots), list(slots.values())


def _weightless(node: Node) -> bool:
    """Say whether a node is a number, an array in the graph, or a broadcast of one: nothing worth keeping."""
    return all(x.value is not None or x.op in ("broadcast_to", "dimension", "eye") for x in topological([node]))


def compile_source(source: str, constants: Mapping[str, Any]) -> dict[str, Any]:
    """Execute generated text; a traceback through it shows its lines."""
    filename = f"<thalweg {hashlib.blake2b(source.encode(), digest_size=8).hexdigest()}>"
    linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)
    names: dict[str, Any] = dict(constants)
    exec(compile(source, filename, "exec"), names)
    return names


def write_function(
    name: str,
    outputs: Sequence[Node],
    inputs: Sequence[tuple[str, Node]],
    constants: dict[str, Any],
    residuals: Sequence[tuple[str, Node]] | None = None,
    single: bool = False,
) -> str:
    """Write the text of one function.

    Args:
        name: Its name.
        outputs: What it returns.
        inputs: Argument names and their leaves.
        constants: Filled with the arrays that the text refers to.
        residuals: Leaves that arrive together in one tuple, as the first argument; None for no such argument.
        single: Return the one output itself, not a tuple.

    Returns:
        Python source.

    """
    return _Writer([*(residuals or ()), *inputs], constants).write(
        name, expand_shared(outputs), inputs, residuals, single
    )


class _Writer:
    """Writes one function; holds what is known about the variables written so far."""

    def __init__(self, leaves: Sequence[tuple[str, Node]], constants: dict[str, Any]) -> None:
        self.lines: list[str] = []
        self.constants = constants
        self.names: dict[Node, str] = {}
        self.owned: dict[Node, str] = {}  # arrays that this function made and nothing else views
        self.precision: dict[Node, frozenset[str]] = {}
        self.strong: set[Node] = set()  # floating arrays; the rest (numbers, truth values, indices) set no precision
        self.dimensions: dict[str, str] = {}
        self.leaves = leaves
        for variable, node in leaves:
            self.names[node] = variable
            self.precision[node] = frozenset([variable])
            if node.kind == "f":
                self.strong.add(node)
            for axis, size in enumerate(node.shape):
                if isinstance(size, str):
                    self.dimensions.setdefault(size, f"{variable}.shape[{axis}]")

    def write(
        self,
        name: str,
        outputs: Sequence[Node],
        inputs: Sequence[tuple[str, Node]],
        residuals: Sequence[tuple[str, Node]] | None,
        single: bool,
    ) -> str:
        order = topological(outputs)
        uses: dict[Node, int] = {}
        for node in order:
            for x in set(node.inputs):
                uses[x] = uses.get(x, 0) + 1
        for x in outputs:
            uses[x] = uses.get(x, 0) + 1
        for node in order:
            if node not in self.names:
                self._emit(node, uses)
            for x in set(node.inputs):
                uses[x] -= 1
        results: list[str] = []
        for node in outputs:
            fresh = node in self.owned and self.names[node] not in results
            results.append(self.names[node] if fresh else self._copied(node))
        arguments = [v for v, _ in inputs]
        head = [f"def {name}({', '.join(['residuals'] * (residuals is not None) + arguments)}):"]
        if residuals:
            head.append(f"    ({', '.join(v for v, _ in residuals)},) = residuals")
        body = "\n".join(self.lines)
        used = [d for d in self.dimensions if f"dim_{d}" in body or any(f"dim_{d}" in r for r in results)]
        head += [f"    dim_{d} = {self.dimensions[d]}" for d in used]
        if "dtype=dtype" in body or any("dtype=dtype" in r for r in results):
            floats = [v for v, x in self.leaves if x.kind == "f"]
            head.append(f"    dtype = numeric.common_dtype({', '.join(floats)})")
        head.append("    with errstate(all='ignore'):")
        tail = (
            f"        return {results[0]}"
            if single
            else "        return (" + "".join(f"{r}, " for r in results).rstrip() + ")"
        )
        return "\n".join([*head, *self.lines, tail]) + "\n\n\n"

    def _copied(self, node: Node) -> str:
        if node.op == "broadcast_to" and node.inputs[0].op == "constant" and not node.inputs[0].shape:
            return f"full({self._shape(node.shape)}, {self.names[node.inputs[0]]}, dtype=dtype)"
        if node.op == "constant" and not node.shape:
            return f"full((), {self.names[node]}, dtype=dtype)" if node.kind == "f" else f"asarray({self.names[node]})"
        return f"array({self.names[node]})"

    def _emit(self, node: Node, uses: Mapping[Node, int]) -> None:
        if node.value is not None:
            self._emit_value(node)
            return
        if not node.inputs and node.op not in ("dimension", "eye"):
            raise InputError(
                f"the expression needs {node!r}, which is not among the inputs {[v for v, _ in self.leaves]}",
                "list every symbol among the inputs",
            )
        variable = f"t{len(self.names)}"
        arguments = [self.names[x] for x in node.inputs]
        if node.op == "dimension":
            self.names[node] = self._shape(node.params)[1:-2]
            self.precision[node] = frozenset()
            return
        row = table()[node.op]
        self.precision[node] = frozenset().union(*[self.precision[x] for x in node.inputs])
        strong = any(x in self.strong for x in node.inputs)
        if node.op == "broadcast_to" and not node.inputs[0].shape and node.inputs[0].op == "constant":
            strong = node.kind == "f"
            text = f"full({self._shape(node.shape)}, {arguments[0]}, dtype=dtype)"
        elif node.op == "einsum":
            text = self._einsum(node, arguments)
        elif node.op == "concatenate":
            text = f"concatenate(({', '.join(arguments)},), axis={node.params[0]})"
        elif node.op == "scatter_add":
            out = ""
            if self._reusable(node, uses) is node.inputs[0]:
                variable = arguments[0]
                del self.owned[node.inputs[0]]
                out = f", out={variable}"
            text = f"numeric.scatter_add({', '.join(arguments)}{out})"
        elif "{" in row.spelling:
            params = [self._shape(p) if row.sized and _is_shape(p) else self._size(p, row.sized) for p in node.params]
            text = row.spelling.format(*arguments, *params)
        else:
            buffer = self._reusable(node, uses)
            out = "" if buffer is None else f", out={self.names[buffer]}"
            if buffer is not None:
                variable = self.names[buffer]
                del self.owned[buffer]
            text = f"{row.spelling}({', '.join(arguments)}{out})"
        if node.kind == "f" and node.shape and not strong:
            # NumPy would give float64 for a choice between numbers or a number times a truth value.
            text, strong = f"asarray({text}, dtype=dtype)", True
            self.precision[node] |= {v for v, x in self.leaves if x.kind == "f"}
        if strong and node.kind == "f":
            self.strong.add(node)
        self.lines.append(f"        {variable} = {text}")
        self.names[node] = variable
        # NumPy gives a view for an einsum of one operand, too.
        view = node.op in _VIEWS or (node.op == "einsum" and len(node.inputs) == 1)
        if view and not text.startswith("full("):
            for x in node.inputs:
                self.owned.pop(x, None)
        else:
            self.owned[node] = variable

    def _emit_value(self, node: Node) -> None:
        self.precision[node] = frozenset()
        value = node.value
        if isinstance(value, (bool, int, float)) and np.isfinite(value):
            self.names[node] = repr(value) if value >= 0 else f"({value!r})"
            return
        variable = f"c_{node.key[:12]}"
        self.constants[variable] = value
        self.names[node] = variable
        self.precision[node] = frozenset([variable]) if np.ndim(value) else frozenset()
        if np.ndim(value) and node.kind == "f":
            self.strong.add(node)

    def _reusable(self, node: Node, uses: Mapping[Node, int]) -> Node | None:
        """Find an operand whose buffer may take the result: ours, dead afterwards, and of the same shape and type."""
        if not node.shape or node.kind != "f":
            return None
        for x in node.inputs:
            if (
                x in self.owned
                and uses[x] == 1
                and x.kind == "f"
                and x.shape == node.shape
                and self.precision[x] == self.precision[node]
            ):
                return x
        return None

    def _einsum(self, node: Node, arguments: list[str]) -> str:
        return f"numeric.contract({node.params[0]!r}, {', '.join(arguments)})"

    def _shape(self, shape: Shape) -> str:
        parts = [f"dim_{d}" if isinstance(d, str) else str(d) for d in shape]
        for d in shape:
            if isinstance(d, str) and d not in self.dimensions:
                raise InputError(f"dimension {d!r} of shape {show(shape)} occurs in no input", "pass an input with it")
        return f"({', '.join(parts)}{',' if len(parts) == 1 else ''})"

    def _size(self, value: Any, sized: bool) -> str:
        return self._shape((value,))[1:-2] if sized and isinstance(value, str) else repr(value)


def _is_shape(param: Any) -> bool:
    return isinstance(param, tuple) and all(isinstance(d, (int, str)) for d in param)


_PRODUCTS: dict[float, Callable[[Node], Node]] = {
    3: lambda x: build("mul", x, build("square", x)),
    4: lambda x: build("square", build("square", x)),
    -2: lambda x: build("div", 1.0, build("square", x)),
}
"""Whole powers as products, which are an order of magnitude faster than ``power``."""


def expand_shared(outputs: Sequence[Node]) -> list[Node]:
    """Write functions out where their parts are shared, because exponentials dominate the cost of a loss.

    With e = e^-|t| and p = 1 + e: softplus(t) = max(t, 0) + log1p(e), sigmoid(t) = (1 if t >= 0 else e) / p and
    sigmoid(t) sigmoid(-t) = e / p^2, each accurate to rounding in both tails. logsumexp and softmax of the same finite
    margins share their shifted exponentials. Whole powers become products, and adding a one-hot array touches one entry
    a row.
    """
    order = topological(outputs)
    normalised = {(x.inputs[0], x.params[0]) for x in order if x.op == "softmax"}
    both = {(x.inputs[0], x.params[0]) for x in order if x.op == "logsumexp"} & normalised
    known: dict[Node, Node] = {}
    for node in order:
        if node.value is not None or not node.inputs:
            known[node] = node
            continue
        inputs = [known[x] for x in node.inputs]
        better = _expanded(node, inputs, known, both)
        if better is None:
            same = all(a is b for a, b in zip(inputs, node.inputs, strict=True))
            better = node if same else build(node.op, *inputs, params=node.params)
        known[node] = better
    return [known[x] for x in outputs]


def _expanded(
    node: Node, inputs: Sequence[Node], known: Mapping[Node, Node], both: Container[tuple[Node, int]]
) -> Node | None:
    x = inputs[0]
    if node.op == "mul" and all(i.op == "sigmoid" for i in node.inputs):
        left, right = [known[i.inputs[0]] for i in node.inputs]
        if any(a.op == "neg" and a.inputs[0] is b for a, b in ((left, right), (right, left))):
            _, e, p, _ = _exponential(left)
            return build("div", e, build("square", p))
    if node.op == "softplus" and x.shape:
        return build("add", build("relu", x), build("log1p", _exponential(x)[1]))
    if node.op == "sigmoid" and x.shape:
        base, e, p, flipped = _exponential(x)
        sides: tuple[Any, Any] = (e, 1.0) if flipped else (1.0, e)
        return build("div", build("where", build("ge", base, 0.0), *sides), p)
    if node.op == "pow" and is_constant(node.inputs[1]) and node.inputs[1].value in _PRODUCTS:
        return _PRODUCTS[node.inputs[1].value](x)
    if node.op in ("softmax", "logsumexp") and (node.inputs[0], node.params[0]) in both:
        axes = (node.params[0],)
        top = build("max", x, params=(axes, True))
        e = build("exp", build("sub", x, top))
        total = build("sum", e, params=(axes, True))
        if node.op == "softmax":
            return build("div", e, total)
        summed = build("add", build("log", total), top)
        return summed if node.params[1] else build("reshape", summed, params=(node.shape,))
    if node.op == "add":
        for a, b in ((inputs[0], inputs[1]), (inputs[1], inputs[0])):
            if b.op == "scatter" and a.shape == b.shape and a.op != "scatter":
                values = b.inputs[0]
                number = values.op == "broadcast_to" and is_constant(values.inputs[0])
                return build("scatter_add", a, values.inputs[0] if number else values, b.inputs[1])
    return None


def _exponential(t: Node) -> tuple[Node, Node, Node, bool]:
    """Give base, e = e^-|base| and 1 + e for t = base or t = -base, and which of the two it is."""
    flipped = t.op == "neg"
    base = t.inputs[0] if flipped else t
    e = build("exp", build("neg", build("abs", base)))
    return base, e, build("add", 1.0, e), flipped
