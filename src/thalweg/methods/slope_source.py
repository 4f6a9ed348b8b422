"""The derivative of a loss in its scores, as the text of a compiled function of one example.

It is derived from the loss's expression. What mixes the scores of an example (softmax, sums, the score of its class)
is written as a loop; what lies between is a chain of operations on numbers, as for losses of one score.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from thalweg.core.errors import ThalwegError
from thalweg.expr.differentiate import gradient
from thalweg.expr.fuse import Group, chain, complete, schedule
from thalweg.expr.node import Node, build, symbol
from thalweg.expr.rows import NUMBERS
from thalweg.expr.simplify import simplify
from thalweg.expr.trace import trace
from thalweg.expr.walk import topological
from thalweg.problems.losses import Loss, Target


@dataclass(frozen=True)
class Slope:
    """A compiled function ``slope(z, y, work)`` of the scores of an example, shape (k,), and its target.

    Attributes:
        text: The imports it needs, and its definition; it returns a row of ``work``.
        rows: How many rows of k numbers it works in.

    """

    text: str
    rows: int


class _NotWritten(Exception):
    """The loss has an operation that has no text here."""


def slope_text(loss: Loss) -> Slope | None:
    """The slope of a loss; None where it has no such form."""
    try:
        if loss.target is Target.CLASS:
            kernel = loss.kernel
            return _Writer(kernel.z, kernel.y).written(simplify(gradient(simplify(kernel.loss), kernel.z)))
        z, y = symbol("z", ()), symbol("y", (), loss.target.value)
        slope = simplify(gradient(trace(loss.expression, z=z, y=y), z))
        return Slope(_module([], [f"work[0, 0] = {_call(slope, {z: 'z[0]', y: 'y'})}", "return work[0]"]), 1)
    except (_NotWritten, ThalwegError, ValueError, TypeError):
        return None


def _call(result: Node, names: dict[Node, str]) -> str:
    """The call of a chain that gives a number from the numbers that have names."""
    if result in names:
        return names[result]
    if isinstance(result.value, int | float) and math.isfinite(result.value):
        return f"({float(result.value)!r})"
    items = schedule([result], list(names))
    groups = [item for item in items if isinstance(item, Group)]
    if len(groups) != 1 or groups[0].outputs != (result,) or not set(groups[0].inputs) <= set(names):
        raise _NotWritten
    return f"{chain(groups[0])}({', '.join(names[x] for x in groups[0].inputs)})"


def _module(before: Sequence[str], body: Sequence[str]) -> str:
    lines = [
        '@njit(error_model="numpy", nogil=True)',
        "def slope(z, y, work):",
        *(f"    {x}" for x in (*before, *body)),
    ]
    text = "\n".join(lines) + "\n"
    names = sorted({word.split("(")[0] for word in text.split() if word.startswith("chain_")})
    return complete("".join(f"from thalweg.expr.fuse import {name}\n" for name in names) + "\n\n" + text)


class _Writer:
    """Writes the derivative in several scores, operation after operation.

    The expression is that of all examples: a node of shape (n, k) stands for a number at each score of an example, one
    of shape (n,) for one number of it. Either is an expression of the symbols of what is at hand.

    """

    def __init__(self, z: Node, y: Node) -> None:
        self.y = y
        self.lines: list[str] = []
        self.rows = 0
        self.numbers = 0
        self.names: dict[Node, str] = {}  # of what is at hand, at score c
        self.entry: dict[Node, Node] = {}
        self._keep(z, "z[c]")

    def written(self, slope: Node) -> Slope:
        """The whole function."""
        for node in topological([slope]):
            if node not in self.entry and node is not self.y:
                self._write(node)
        row = self._row(slope)
        return Slope(_module(["k = z.shape[0]"], [*self.lines, f"return {row}"]), max(self.rows, 1))

    def _write(self, node: Node) -> None:
        if not {*node.shape[:-1]} <= {1, "n"} or not {*node.shape[-1:]} <= {1, "n", "k"}:
            raise _NotWritten
        if node.value is not None:
            if node.value.__class__ not in NUMBERS:
                raise _NotWritten
            self.entry[node] = node
        elif node.op in _WRITTEN:
            getattr(self, f"_{node.op}")(node)
        elif node.op in ("broadcast_to", "reshape"):
            self.entry[node] = self.entry[node.inputs[0]]
        elif not node.inputs or any(x is self.y for x in node.inputs):
            raise _NotWritten
        else:
            self.entry[node] = build(node.op, *[self.entry[x] for x in node.inputs], params=node.params)

    def _keep(self, node: Node, name: str) -> None:
        self.entry[node] = symbol(f"t{len(self.names)}", ())
        self.names[self.entry[node]] = name

    def _new_row(self) -> str:
        self.rows += 1
        return f"work[{self.rows - 1}]"

    def _new_number(self, node: Node) -> str:
        self.numbers += 1
        self._keep(node, f"n{self.numbers}")
        return f"n{self.numbers}"

    def _each(self, *lines: str) -> None:
        self.lines += ["for c in range(k):", *(f"    {line}" for line in lines)]

    def _at(self, node: Node) -> str:
        """The node's number at score c."""
        return _call(self.entry[node], self.names)

    def _row(self, node: Node) -> str:
        """The node's numbers as a row that is at hand."""
        text = self._at(node)
        if not text.endswith("[c]"):
            row = f"r{self.rows}"
            self.lines.append(f"{row} = {self._new_row()}")
            self._each(f"{row}[c] = {text}")
            self._keep(node, f"{row}[c]")
            return row
        return text.removesuffix("[c]")

    # --- Operations that mix scores ---------------------------------------------------------------------------------

    def _dimension(self, node: Node) -> None:
        self._keep(node, "k")

    def _softmax(self, node: Node) -> None:
        self._over_scores(node)
        x, row = self._row(node.inputs[0]), f"r{self.rows}"
        self.lines += [f"{row} = {self._new_row()}", "top, total = -np.inf, 0.0"]
        self._each(f"top = {x}[c] if {x}[c] > top else top")
        self._each(f"{row}[c] = np.exp({x}[c] - top)", f"total += {row}[c]")
        self._each(f"{row}[c] /= total")
        self._keep(node, f"{row}[c]")

    def _logsumexp(self, node: Node) -> None:
        self._over_scores(node)
        x = self._row(node.inputs[0])
        self.lines.append("top, total = -np.inf, 0.0")
        self._each(f"top = {x}[c] if {x}[c] > top else top")
        self.lines.append("finite = top if abs(top) < np.inf else 0.0")
        self._each(f"total += np.exp({x}[c] - finite)")
        self.lines.append(f"{self._new_number(node)} = np.log(total) + finite")

    def _sum(self, node: Node) -> None:
        self._over_scores(node)
        self._reduced(node, self._at(node.inputs[0]))

    def _einsum(self, node: Node) -> None:
        operands, result = node.params[0].split("->")
        sizes = {a: d for x, own in zip(node.inputs, operands.split(","), strict=True)
                 for a, d in zip(own, x.shape, strict=True) if d != 1}  # fmt: skip
        if {a for a, d in sizes.items() if d == "k"} != {*sizes} - {*result}:
            raise _NotWritten
        self._reduced(node, " * ".join(self._at(x) for x in node.inputs))

    def _over_scores(self, node: Node) -> None:
        """Refuse what does not reduce the scores of an example, and them alone."""
        shape = node.inputs[0].shape
        axes = node.params[0] if isinstance(node.params[0], tuple) else node.params[:1]
        if axes != (len(shape) - 1,) or shape[-1] != "k":
            raise _NotWritten

    def _reduced(self, node: Node, term: str) -> None:
        name = self._new_number(node)
        self.lines.append(f"{name} = 0.0")
        self._each(f"{name} += {term}")

    def _max(self, node: Node) -> None:
        self._extreme(node, ">")

    def _min(self, node: Node) -> None:
        self._extreme(node, "<")

    def _extreme(self, node: Node, sign: str) -> None:
        self._over_scores(node)
        x = self._row(node.inputs[0])
        name = self._new_number(node)
        self.lines.append(f"{name} = {x}[0]")
        self._each(f"{name} = {x}[c] if {x}[c] {sign} {name} or {x}[c] != {x}[c] else {name}")

    def _pick(self, node: Node) -> None:
        x = self._row(node.inputs[0])
        self.lines.append(f"{self._new_number(node)} = {x}[{self._index(node)}]")

    def _scatter(self, node: Node) -> None:
        value, row = self._number(node.inputs[0]), f"r{self.rows}"
        self.lines.append(f"{row} = {self._new_row()}")
        self._each(f"{row}[c] = 0.0")
        self.lines.append(f"{row}[{self._index(node)}] = {value}")
        self._keep(node, f"{row}[c]")

    def _scatter_add(self, node: Node) -> None:
        x, value = self._at(node.inputs[0]), self._number(node.inputs[1])
        row = f"r{self.rows}"
        self.lines.append(f"{row} = {self._new_row()}")
        self._each(f"{row}[c] = {x}")
        self.lines.append(f"{row}[{self._index(node)}] += {value}")
        self._keep(node, f"{row}[c]")

    def _number(self, node: Node) -> str:
        if node.shape[-1:] == ("k",):
            raise _NotWritten
        return self._at(node)

    def _index(self, node: Node) -> str:
        if node.inputs[-1] is not self.y:
            raise _NotWritten
        return "y"


_WRITTEN = (
    "dimension", "softmax", "logsumexp", "sum", "einsum", "max", "min", "pick", "scatter", "scatter_add",
)  # fmt: skip
