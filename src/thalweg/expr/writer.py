"""The writer of generated functions: an operation a line, buffers reused, numbers literal, fused groups as calls."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from thalweg.core.errors import InputError
from thalweg.expr.dialects import Dialect, safe_name
from thalweg.expr.fuse import QUIET, Group, chain, inline
from thalweg.expr.node import Node, table
from thalweg.expr.rows import Op, Shape, is_tensor
from thalweg.expr.shapes import show
from thalweg.expr.walk import has_symbolic, topological

_FRESH = (
    "sum max min prod logsumexp softmax einsum pick scatter scatter_add place concatenate eye argsort cumsum "
    "gather index_add along along_add along_diagonal cast whole inv solve cholesky"
)
_OWNING = frozenset(_FRESH.split())
"""Rows that give an array of their own, beside the elementwise ones; any other may give a view of an input."""


TURNED_PRODUCTS, TURNED_ENTRIES = 8, 2**16
"""From how many thin products with a matrix of how many entries on its transpose is worth a copy in order: a product of
16 rows with a transpose of 1024 x 1024 entries takes 1.3 ms, with the copy 0.95, and the copy 3.4."""


class Writer:
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
        if node in self.numbers and self.dtypes:
            return self.names[node]
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
        torch = self.dialect.name == "torch"
        if node.op == "broadcast_to" and (numbers if torch else _is_filler(node)):
            strong = node.kind == "f"
            kind = {"i": self.dialect.whole, "b": self.dialect.truth}.get(node.kind, "dtype")
            # Elsewhere whole numbers take the precision of what they meet; truth values are no numbers.
            text = self._full(node.shape, arguments[0], kind if torch or node.kind == "b" else "dtype")
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
            if i not in chosen or x.kind == "i"  # whole numbers are places, and take a precision from what they meet
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
        if getattr(getattr(value, "flags", None), "writeable", False) or is_tensor(value):
            # The code stands for the values of this moment; an array that nobody can write is safe without a copy.
            value = value.clone() if is_tensor(value) else value.copy(order="K")
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
