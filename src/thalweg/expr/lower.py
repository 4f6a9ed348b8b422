"""Lowering: a graph becomes the text of one plain Python function of NumPy, torch or JAX, compiled once and kept.

Common subexpressions are computed once. A ufunc writes into the buffer of an operand that is not needed afterwards
(``out=``, in NumPy alone) where shape, kind and precision are sure to agree. Numbers are written as Python literals and
symbolic dimensions as names bound from the arguments' shapes, so a kernel works for every size, and float32 stays
float32. How each library writes what is in :mod:`thalweg.expr.dialects`.
"""

from __future__ import annotations

import hashlib
import linecache
import math
import weakref
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from thalweg.core.errors import InputError, UnsupportedError
from thalweg.expr.dialects import Dialect, dialect_named, safe_name
from thalweg.expr.differentiate import substitute
from thalweg.expr.fuse import QUIET, Group, chain, inline, precisions, schedule
from thalweg.expr.node import Node, Shape, build, is_constant, symbol, table
from thalweg.expr.rows import Op, is_tensor
from thalweg.expr.shapes import show
from thalweg.expr.walk import dependents, has_symbolic, topological

_FRESH = (
    "sum max min prod logsumexp softmax einsum pick scatter scatter_add place concatenate eye argsort cumsum "
    "gather index_add along along_add cast whole inv solve cholesky"
)
_OWNING = frozenset(_FRESH.split())
"""Rows that give an array of their own, beside the elementwise ones; any other may give a view of an input."""


TURNED_PRODUCTS, TURNED_ENTRIES = 8, 2**16
"""From how many thin products with a matrix of how many entries on its transpose is worth a copy in order: a product of
16 rows with a transpose of 1024 x 1024 entries takes 1.3 ms, with the copy 0.95, and the copy 3.4."""


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Kernel:
    """A compiled expression.

    Attributes:
        source: The text of the function, complete with its imports; it refers to ``constants`` by name.
        function: The function; calling the kernel calls it.
        outputs: Number of arrays it returns.
        constants: The arrays that the expression holds, by the names they have in the text.
        dialect: The library that the text is written for.

    """

    source: str
    function: Callable[..., Any]
    outputs: int
    constants: Mapping[str, Any]
    dialect: str = "numpy"

    def __call__(self, *arguments: Any) -> Any:
        """Call the function: one array an input; a tuple of arrays, or one array for a single output expression."""
        return self.function(*arguments)


_kernels: dict[tuple[Any, ...], Any] = {}
# A kernel that holds arrays of the user's is remembered only for as long as someone uses it.
_holding: weakref.WeakValueDictionary[tuple[Any, ...], Kernel] = weakref.WeakValueDictionary()


def lower(
    outputs: Node | Sequence[Node],
    inputs: Sequence[Node],
    name: str = "kernel",
    dialect: str = "numpy",
    dtypes: Sequence[Any] | None = None,
) -> Kernel:
    """Compile expressions into one function of ``inputs``.

    Args:
        outputs: One expression (the function returns an array) or several (it returns a tuple).
        inputs: Symbols, in the order of the function's arguments.
        name: Name of the function.
        dialect: The library it computes with: "numpy", "torch" (the function then takes tensors of one device, and may
            itself be differentiated by `torch.autograd`) or "jax" (it may then be given to `jax.jit`).
        dtypes: For NumPy, the dtype of each input (None for a Python number), where shapes are known: elementwise and
            scalar runs are then fused and compiled (:mod:`thalweg.expr.fuse`), for these dtypes alone.

    Returns:
        The kernel, from the cache if the same structure was lowered before.

    Raises:
        InputError: when the expressions need a symbol that is not among the inputs, or the dialect is unknown.
        UnsupportedError: for an operation without a spelling in the dialect, or when JAX is asked for and missing.

    """
    single = isinstance(outputs, Node)
    nodes = [outputs] if isinstance(outputs, Node) else list(outputs)
    fused = None if dtypes is None else tuple(map(str, dtypes))
    key = (name, dialect, fused, single, tuple([x.key for x in nodes]), tuple([x.key for x in inputs]))
    kernel: Kernel | None = _kernels.get(key) or _holding.get(key)
    if kernel is None:
        source, constants = write(outputs, inputs, name, dialect, dtypes)
        try:
            # Its globals must not hold the function: a cycle would keep arrays until the collector runs.
            function = compile_source(source, constants).pop(name)
        except ModuleNotFoundError as error:
            raise UnsupportedError(
                f"lowering to {dialect} without {error.name} installed",
                f"install {error.name}, or print the text with `write`",
            ) from None
        kernel = Kernel(source, function, len(nodes), constants, dialect)
        if constants:
            _holding[key] = kernel
        else:
            _kernels[key] = kernel
    return kernel


def write(
    outputs: Node | Sequence[Node],
    inputs: Sequence[Node],
    name: str = "kernel",
    dialect: str = "numpy",
    dtypes: Sequence[Any] | None = None,
) -> tuple[str, dict[str, Any]]:
    """Write what `lower` compiles, without compiling it; the arguments and errors are those of `lower`.

    Returns:
        The text, complete with its imports, and the arrays that it refers to by name.

    """
    nodes = [outputs] if isinstance(outputs, Node) else list(outputs)
    chosen = dialect_named(dialect)
    constants: dict[str, Any] = {}
    arguments = [(x.name, x) for x in inputs]
    single = isinstance(outputs, Node)
    text = write_function(name, nodes, arguments, constants, single=single, dialect=chosen, dtypes=dtypes)
    if f"{name}_careful(" in text:
        text = write_function(f"{name}_careful", nodes, arguments, constants, single=single) + text
    return chosen.header(text) + text, constants


def lower_staged(
    outputs: Sequence[Node], early: Sequence[Node], late: Sequence[Node], name: str = "kernel", dialect: str = "numpy"
) -> tuple[Kernel, Kernel]:
    """Compile expressions in two stages: what does not depend on the late inputs is computed once and kept.

    Args:
        outputs: The expressions.
        early: Symbols known first.
        late: Symbols known later, perhaps many times (the direction of a Hessian-vector product).
        name: Prefix of the function names.
        dialect: As in `lower`.

    Returns:
        ``early(*early) -> residuals`` (a tuple of arrays) and ``late(residuals, *late) -> tuple of outputs``.

    """
    keys = [tuple([x.key for x in nodes]) for nodes in (outputs, early, late)]
    key = (name, dialect, "staged", *keys)
    if key in _kernels:
        stages: tuple[Kernel, Kernel] = _kernels[key]
        return stages
    chosen = dialect_named(dialect)
    residuals, finals, slots = split_stages(outputs, late)
    constants: dict[str, Any] = {}
    first = write_function(f"{name}_early", residuals, [(x.name, x) for x in early], constants, dialect=chosen)
    second = write_function(
        f"{name}_late", finals, [(x.name, x) for x in late], constants, [(x.name, x) for x in slots], dialect=chosen
    )
    names = compile_source(chosen.header(first + second) + first + second, constants)
    stages = (
        Kernel(chosen.header(first) + first, names.pop(f"{name}_early"), len(residuals), constants, dialect),
        Kernel(chosen.header(second) + second, names.pop(f"{name}_late"), len(finals), constants, dialect),
    )
    if not constants:
        _kernels[key] = stages
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
    dialect: Dialect | None = None,
    dtypes: Sequence[Any] | None = None,
) -> str:
    """Write the text of one function; `Dialect.header` gives the imports it needs.

    Args:
        name: Its name.
        outputs: What it returns.
        inputs: Argument names and their leaves.
        constants: Filled with the arrays that the text refers to.
        residuals: Leaves that arrive together in one tuple, as the first argument; None for no such argument.
        single: Return the one output itself, not a tuple.
        dialect: The library; NumPy if None.
        dtypes: The dtypes of the inputs, to fuse for them; the text may then call ``<name>_careful``, the same function
            unfused.

    Returns:
        Python source.

    """
    if safe_name(name) != name:
        raise InputError(f"a function named {name!r} would hide what it uses", f"call it {safe_name(name)!r}")
    writer = _Writer(inputs, residuals, constants, dialect or dialect_named("numpy"))
    lean = expand_shared(outputs)
    if dtypes is None:
        return writer.write(name, lean, single)
    leaves = [x for _, x in inputs]
    writer.dtypes = precisions(topological([*lean, *leaves]), dict(zip(leaves, dtypes, strict=True)))
    return writer.write(name, lean, single, schedule(lean, leaves))


class _Writer:
    """Writes one function; holds what is known about the variables written so far."""

    def __init__(
        self,
        inputs: Sequence[tuple[str, Node]],
        residuals: Sequence[tuple[str, Node]] | None,
        constants: dict[str, Any],
        dialect: Dialect,
    ) -> None:
        self.dialect = dialect
        self.lines: list[str] = []
        self.constants = constants
        self.used_constants: set[str] = set()
        self.names: dict[Node, str] = {}
        self.owned: dict[Node, str] = {}  # arrays that this function made and nothing else views
        self.precision: dict[Node, frozenset[str]] = {}
        self.strong: set[Node] = set()  # floating arrays; the rest (numbers, truth values, indices) set no precision
        self.numbers: set[Node] = set()  # Python numbers at run time: literals, sizes, and what is computed from them
        self.dimensions: dict[str, str] = {}
        self.arguments: list[str] = []
        self.dtypes: Mapping[Node, Any] = {}  # of every node, where elementwise runs are fused
        self.loud = False  # whether NumPy may warn of an operation outside its domain
        self.turned: dict[str, int] = {}  # how many thin products read which large matrix transposed
        self.inlined = False  # whether Python's own arithmetic is used, which raises where NumPy gives nan or inf
        self.residuals: list[str] | None = None if residuals is None else []
        self.floats: list[str] = []
        taken: set[str] = set()
        for group, leaves in ((self.residuals, residuals or ()), (self.arguments, inputs)):
            for given, node in leaves:
                variable = safe_name(given)
                while variable in taken:
                    variable += "_"
                taken.add(variable)
                assert group is not None
                group.append(variable)
                self._admit(variable, node)

    def _admit(self, variable: str, node: Node) -> None:
        """Take a leaf in."""
        self.names[node] = variable
        self.precision[node] = frozenset([variable])
        if node.kind == "f":
            self.strong.add(node)
            self.floats.append(variable)
        for axis, size in enumerate(node.shape):
            if isinstance(size, str):
                self.dimensions.setdefault(size, f"{variable}.shape[{axis}]")

    def write(
        self, name: str, outputs: Sequence[Node], single: bool, items: Sequence[Node | Group] | None = None
    ) -> str:
        """Write the function; ``items`` is what to evaluate in which order, node by node if None."""
        order = topological(outputs)
        fused = items is not None
        uses: dict[Node, int] = {}
        for node in order:
            for x in set(node.inputs):
                uses[x] = uses.get(x, 0) + 1
        for x in outputs:
            uses[x] = uses.get(x, 0) + 1
        for item in order if items is None else items:
            if isinstance(item, Group):
                self._emit_group(item)
            elif item not in self.names:
                self.loud = self.loud or not (item.op in QUIET or item.value is not None)
                self._emit(item, uses)
            for node in item.nodes if isinstance(item, Group) else (item,):
                for x in set(node.inputs):
                    uses[x] -= 1
        results: list[str] = []
        for node in outputs:
            fresh = node in self.owned and self.names[node] not in results
            text = self.names[node] if fresh else self._copied(node)
            single_precision = fused and not node.shape and self.dtypes[node] not in (None, "float64")
            results.append(f"asarray({text}, {self.dtypes[node]})[()]" if single_precision else text)
        for matrix in [m for m, count in self.turned.items() if count >= TURNED_PRODUCTS]:
            turned = [line.replace(f".dot({matrix}.T)", f".dot({matrix}_turned)") for line in self.lines]
            self.lines = [f"{matrix}_turned = ascontiguousarray({matrix}.T)", *turned]
        arguments = ["residuals"] * (self.residuals is not None) + self.arguments
        tail = f"return {results[0]}" if single else "return (" + "".join(f"{r}, " for r in results).rstrip() + ")"
        body = [*self.lines, tail]
        head = self._head("\n".join(body))
        if self.inlined:
            careful = f"return {name}_careful({', '.join(arguments)})"
            body = [
                "try:",
                *[f"    {line}" for line in body],
                "except (ArithmeticError, ValueError):",
                f"    {careful}",
            ]
        if self.dialect.name == "numpy" and (self.loud or not fused):
            body = ["with errstate(all='ignore'):", *[f"    {line}" for line in body]]
        return "\n".join([f"def {name}({', '.join(arguments)}):", *[f"    {x}" for x in [*head, *body]]]) + "\n\n\n"

    def _head(self, body: str) -> list[str]:
        """Write what the body refers to: residuals, sizes, precision, device."""
        leaves = [*(self.residuals or ()), *self.arguments]
        head = [f"({', '.join(self.residuals)},) = residuals"] if self.residuals else []
        head += [f"dim_{d} = {text}" for d, text in self.dimensions.items() if f"dim_{d}" in body]
        if "dtype=dtype" in body or ".to(dtype)" in body:
            head.append("dtype = " + self.dialect.precision.format(values=", ".join(self.floats)))
        torch = self.dialect.name == "torch"
        if torch and ("device=device" in body or self.used_constants):
            head.append(f"device = numeric_torch.device_of({', '.join(leaves)})")
        # An array that the expression holds lives where it was made; the arguments say where to compute.
        return head + [f"{c}_ = {c}.to(device)" for c in sorted(self.used_constants) if torch]

    def _copied(self, node: Node) -> str:
        if node.op == "broadcast_to" and node.inputs[0].op == "constant" and not node.inputs[0].shape:
            return self._full(node.shape, self.names[node.inputs[0]])
        if node in self.numbers:
            number = self.names[node]
            return self._full((), number) if node.kind == "f" else self.dialect.number.format(value=number)
        return self.dialect.copy.format(value=self.names[node])

    def _full(self, shape: Shape, number: str, dtype: str = "dtype") -> str:
        return self.dialect.full.format(shape=self._shape(shape), number=number, dtype=dtype)

    def _emit_group(self, group: Group) -> None:
        """Write a fused group: scalar operations in place, or one call of a compiled chain."""
        for node in group.nodes:
            self.precision[node] = frozenset().union(*[self.precision[x] for x in node.inputs])
            if node.shape and self.dtypes[node].kind == "f":
                self.strong.add(node)
        if group.inlined:
            self.inlined = True
            for node in group.nodes:
                variable = f"t{len(self.names)}"
                self.lines.append(f"{variable} = {inline(node, [self.names[x] for x in node.inputs])}")
                self.names[node] = self.owned[node] = variable
            return
        arrays, numbers = group.arrays, group.numbers
        for node in group.outputs:
            self.names[node] = self.owned[node] = f"t{len(self.names)}"
        for node in arrays:
            dtype = "" if self.dtypes[node] == "float64" else f", {self.dtypes[node]}"
            self.lines.append(f"{self.names[node]} = empty({self._shape(node.shape)}{dtype})")
        call = f"{chain(group)}({', '.join([self.names[x] for x in (*group.inputs, *arrays)])})"
        self.lines.append(f"{', '.join([self.names[x] for x in numbers])} = {call}" if numbers else call)

    def _emit(self, node: Node, uses: Mapping[Node, int]) -> None:
        if node.value is not None:
            self._emit_value(node)
            return
        if node.op not in table():
            raise InputError(
                f"the expression needs {node!r}, which is not among the inputs {self.arguments}",
                "list every symbol among the inputs",
            )
        row = table()[node.op]
        variable = f"t{len(self.names)}"
        arguments = [self.names[x] for x in node.inputs]
        if node.op == "dimension":
            self.names[node] = self._shape(node.params)[1:-2]
            self.precision[node] = frozenset()
            self.numbers.add(node)
            return
        self.precision[node] = frozenset().union(*[self.precision[x] for x in node.inputs])
        if node.op == "cast":
            self.precision[node] = frozenset([variable])
        strong = any(x in self.strong for x in node.inputs)
        weak = node.kind == "f" and bool(node.shape) and not strong
        if weak and self.dialect.name == "torch":
            arguments = self._strengthened(node, arguments)
        numbers = bool(node.inputs) and all(x in self.numbers for x in node.inputs)
        if node.op == "broadcast_to" and (numbers if self.dialect.name == "torch" else _is_filler(node)):
            strong = node.kind == "f"
            kind = {"i": self.dialect.whole, "b": self.dialect.truth}.get(node.kind, "dtype")
            text = self._full(node.shape, arguments[0], kind if self.dialect.name == "torch" else "dtype")
        elif numbers and self.dialect.name == "torch":  # torch's functions take no plain numbers
            self.numbers.add(node)
            text = f"numeric_torch.of_numbers({', '.join([repr(node.op), *arguments, *self._params(node)])})"
        elif self.dialect.name == "numpy":
            variable, text = self._emit_numpy(node, row, arguments, variable, uses)
            if node.op == "einsum" and text.endswith(".T)"):
                self._count_turned(node, text)
        else:
            text = self.dialect.call(row, arguments, self._resolved(node), self._params(node))
        if node.kind == "f" and node.shape and not strong:
            # The library would choose a precision for a choice between numbers or a number times a truth value.
            text, strong = self.dialect.cast.format(value=text, dtype="dtype"), True
            self.precision[node] |= frozenset(self.floats)
        if strong and node.kind == "f":
            self.strong.add(node)
        self.lines.append(f"{variable} = {text}")
        self.names[node] = variable
        fresh = node.op in _OWNING or row.elementwise and node.op != "identity"
        # An einsum of one operand is a view, too.
        if not (fresh or _is_filler(node)) or (node.op == "einsum" and len(node.inputs) == 1):
            for x in node.inputs:
                self.owned.pop(x, None)
        elif node not in self.numbers:
            self.owned[node] = variable

    def _emit_numpy(
        self, node: Node, row: Op, arguments: list[str], variable: str, uses: Mapping[Node, int]
    ) -> tuple[str, str]:
        """Write an operation of NumPy, into the buffer of a dead operand where one fits."""
        spelling = self.dialect.spelling(row)
        ufunc = isinstance(spelling, str) and "{" not in spelling
        buffer = self._reusable(node, uses) if ufunc or node.op == "scatter_add" else None
        if node.op == "scatter_add" and buffer is not node.inputs[0]:
            buffer = None
        text = self.dialect.call(row, arguments, self._resolved(node), [] if ufunc else self._params(node))
        if buffer is not None:
            variable = self.names[buffer]
            del self.owned[buffer]
            text = f"{text[:-1]}, out={variable})"
        return variable, text

    def _count_turned(self, node: Node, text: str) -> None:
        """Count the thin products with the transpose of a large matrix that stays the same throughout."""
        for x, other in (node.inputs, node.inputs[::-1]):
            fixed = self.names[x] in self.arguments or x.value is not None
            if self.dtypes and fixed and text.endswith(f".dot({self.names[x]}.T)"):
                large, thin = math.prod(self._known(x)), math.prod(self._known(other))
                if large >= TURNED_ENTRIES and 8 * thin <= large:
                    self.turned[self.names[x]] = self.turned.get(self.names[x], 0) + 1

    def _known(self, node: Node) -> tuple[int, ...]:
        """Give a shape whose sizes are known, as they are where dtypes are."""
        return tuple([d if isinstance(d, int) else 0 for d in node.shape])

    def _strengthened(self, node: Node, arguments: Sequence[str]) -> list[str]:
        """Give numbers and truth values the precision, where torch would compute with them in its default one."""
        chosen = {"where": range(1, 3), "pick": range(1), "scatter": range(1)}.get(node.op, range(len(arguments)))
        return [
            text
            if i not in chosen
            else f"torch.tensor({text}, dtype=dtype, device=device)"
            if x in self.numbers
            else f"{text}.to(dtype)"
            for i, (x, text) in enumerate(zip(node.inputs, arguments, strict=True))
        ]

    def _emit_value(self, node: Node) -> None:
        self.precision[node] = frozenset()
        value = node.value
        if isinstance(value, (bool, int, float)):
            # A sign has to be bound to its number, and nan and the infinities are names.
            text = repr(value.item() if hasattr(value, "item") else value)  # NumPy's float64 is a float, too
            self.names[node] = f"({text})" if text.startswith("-") else text
            self.numbers.add(node)
            return
        variable = f"c_{node.key[:12]}"
        if self.dialect.name == "torch":
            from thalweg.expr.numeric_torch import as_tensor

            value = as_tensor(value)
        elif is_tensor(value):
            raise InputError(
                f"lowering to {self.dialect.name}, an expression that holds a torch tensor of shape {show(node.shape)}",
                "lower it with dialect='torch', or give an array, tensor.numpy()",
            )
        self.constants[variable] = value
        self.used_constants.add(variable)
        self.names[node] = variable + "_" if self.dialect.name == "torch" else variable
        self.precision[node] = frozenset([variable])
        if node.kind == "f":
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

    def _params(self, node: Node) -> list[str]:
        sized = table()[node.op].sized
        return [self._shape(p) if sized and _is_shape(p) else self._size(p, sized) for p in node.params]

    def _resolved(self, node: Node) -> tuple[Any, ...]:
        """Give the parameters for a spelling that is a function: shapes with names of sizes are written out."""
        return tuple([self._shape(p) if _is_shape(p) and has_symbolic(p) else p for p in node.params])

    def _shape(self, shape: Shape) -> str:
        parts = [f"dim_{d}" if isinstance(d, str) else str(d) for d in shape]
        for d in shape:
            if isinstance(d, str) and d not in self.dimensions:
                raise InputError(f"dimension {d!r} of shape {show(shape)} occurs in no input", "pass an input with it")
        return f"({', '.join(parts)}{',' if len(parts) == 1 else ''})"

    def _size(self, value: Any, sized: bool) -> str:
        return self._shape((value,))[1:-2] if sized and isinstance(value, str) else repr(value)


def _is_filler(node: Node) -> bool:
    """Say whether a node is one number repeated over a shape."""
    return node.op == "broadcast_to" and node.inputs[0].op == "constant" and not node.inputs[0].shape


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
