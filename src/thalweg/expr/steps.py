"""The way to a derivative, a rule of the differential a line, as a person would write it.

The expression is read from the inside out. A function of something (a determinant, an inverse, an exponential, a norm)
is one line: the differential of its argument stands in it as d(argument), or worked out if it is a single product.
What is sums and products of such functions and of the variables is one line, too, by the product rule. The last line
collects everything: df = <gradient, dx>.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from thalweg.expr import matrixform
from thalweg.expr.differentiate import gradient, jvp, substitute
from thalweg.expr.matrixform_show import show
from thalweg.expr.node import Node, is_constant, symbol
from thalweg.expr.terms import expand
from thalweg.expr.walk import dependents, topological

LINEAR = frozenset({
    "add", "sub", "neg", "sum", "transpose", "reshape", "broadcast_to", "identity", "concatenate", "take", "place",
    "tril", "triu", "cumsum",
})  # fmt: skip
PRODUCTS = frozenset({"mul", "einsum"})
NAMES = {
    "det": "determinant", "logdet": "log-determinant", "inv": "inverse", "solve": "inverse", "logsumexp": "log-sum-exp",
    "softmax": "softmax", "pow": "power", "square": "power",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Step:
    """One line.

    Attributes:
        rule: The rule's name.
        left: What is differentiated: ``d(log(det(X)))`` is of ``log(det(X))``.
        right: Its differential.

    """

    rule: str
    left: str
    right: str

    def __str__(self) -> str:
        return f"{self.left} = {self.right}   ({self.rule})"


def steps(node: Node, wrt: Node | Sequence[Node]) -> list[Step]:
    """Write the differential rules that lead to a derivative.

    Args:
        node: An expression without values.
        wrt: The variable, or several.

    Returns:
        One line for each function and each product on the way, and the collected differential as the last; the
        differential of a symbol X is called dX.

    Raises:
        UnsupportedError: for an operation without a derivative rule.

    """
    variables = [wrt] if isinstance(wrt, Node) else list(wrt)
    return _Walk(node, variables).lines()


class _Walk:
    """The walk over one expression."""

    def __init__(self, node: Node, variables: list[Node]) -> None:
        self.node = node
        self.variables = variables
        self.order = topological([node])
        self.moving = dependents(self.order, variables)
        self.directions = {x: symbol(f"d{x.name}", x.shape) for x in variables}
        self.found: list[Step] = []
        self.known: dict[Node, str] = {}

    def lines(self) -> list[Step]:
        if self.node not in self.moving:
            zero = _text(jvp(self.node, self.directions))
            return [Step("constant", _of(_shown(self.node)), zero)]
        within = self._within_norms()
        for x in self.order:
            if x in self.moving and self._is_function(x) and x not in within:
                self._function(x)
        if not self._is_function(self.node):
            self._combination(self.node)
        self._collect()
        return self.found

    def _is_function(self, x: Node) -> bool:
        if not x.inputs or x in self.directions or x.op in LINEAR or x.op in PRODUCTS:
            return False
        return not (x.op == "div" and x.inputs[1] not in self.moving)

    def _within_norms(self) -> set[Node]:
        """Give the squares under a root, and roots that are squared again, which belong to one line with it."""
        inner: set[Node] = set()
        for x in self.order:
            if _is_norm(x):
                y = x.inputs[0]
                inner |= {y, *[z for z in y.inputs if z.op == "square"]}
            elif _is_squared_norm(x) and sum(x.inputs[0] in set(y.inputs) for y in self.order) == 1:
                inner.add(x.inputs[0])
        return inner

    def _argument(self, x: Node) -> list[Node]:
        """Give what a function is of; of a norm, what stands under the squares."""
        if _is_squared_norm(x):
            return self._argument(x.inputs[0])
        if _is_norm(x):
            y = x.inputs[0]
            z = y.inputs[0]
            return [z.inputs[0] if z.op == "square" else z]
        return [y for y in dict.fromkeys(x.inputs) if y in self.moving]

    def _function(self, x: Node) -> None:
        inner = self._argument(x)
        for y in inner:
            if y not in self.directions and not self._is_function(y) and not self._simple(y):
                self._combination(y)
        if x.op == "div":
            self._line("quotient", x, inner)
            return
        rule = "squared norm" if _is_squared_norm(x) else "norm" if _is_norm(x) else NAMES.get(x.op, "chain")
        if rule not in ("chain", "norm", "squared norm", "power") and not all(y in self.directions for y in inner):
            rule += ", chain"
        self._line(rule, x, inner)

    def _combination(self, x: Node) -> None:
        """Write a line for sums and products of variables and functions."""
        if x in self.known:
            return
        leaves = self._leaves(x)
        count = len(expand(x).terms)
        products = self._degree(x) > 1
        if len(leaves) == 1 and leaves[0] is x:
            return
        rule = "product" if products else "sum" if count > 1 else self._linear_rule(x)
        self._line(rule, x, leaves)

    def _linear_rule(self, x: Node) -> str:
        if x.op == "transpose":
            return "transpose"
        repeated = x.op == "einsum" and len(x.inputs) == 1 and len(set(x.params[0].split("->")[0])) < x.inputs[0].ndim
        return "trace" if repeated else "constant factors"

    def _degree(self, x: Node) -> int:
        """Count how many moving factors a product has at most."""
        known: dict[Node, int] = {}
        for y in topological([x], stop={*self.directions, *[z for z in self.moving if self._is_function(z)]}):
            if y not in self.moving:
                known[y] = 0
            elif y in self.directions or self._is_function(y):
                known[y] = 1
            else:
                inner = [known[z] for z in y.inputs]
                known[y] = sum(inner) if y.op in PRODUCTS else max(inner)
        return known[x]

    def _leaves(self, x: Node) -> list[Node]:
        """Give the variables and functions that sums and products are made of."""
        stop = {*self.directions, *[z for z in self.moving if self._is_function(z)]}
        return [y for y in topological([x], stop=stop) if y in stop]

    def _simple(self, x: Node) -> bool:
        """Say whether the differential is one product of a variable's, which stands for itself in the next line."""
        leaves = self._leaves(x)
        return len(leaves) == 1 and leaves[0] in self.directions and self._degree(x) == 1 and len(expand(x).terms) == 1

    def _line(self, rule: str, x: Node, inner: Sequence[Node]) -> None:
        """Write the differential of one expression in terms of those of its parts, which keep the form they have."""
        if x in self.known:
            return
        parts = [y for y in (*inner, *self._held(x)) if y not in self.directions]
        names = {y: symbol(f"part_{i}_", y.shape) for i, y in enumerate(parts)}
        (whole,) = substitute([x], names)
        texts = {name.name: _shown(y) for y, name in names.items()}
        tangents = dict(self.directions)
        for y, name in names.items():
            if y in self.moving:
                change = symbol(f"change_of_{name.name}", y.shape)
                tangents[name] = change
                texts[change.name] = _text(jvp(y, self.directions)) if self._simple(y) else _of(_shown(y))
        right = _filled(_text(jvp(whole, tangents)), texts)
        self.known[x] = right
        self.found.append(Step(rule, _of(_shown(x)), right))

    def _held(self, x: Node) -> list[Node]:
        """Give sums that do not change, to be kept together: the (a-b) of (a-b)'*X*c."""
        users = [y for y in topological([x]) if y in self.moving]
        return [y for y in dict.fromkeys(z for u in users for z in u.inputs)
                if y not in self.moving and y.op in ("add", "sub")]  # fmt: skip

    def _collect(self) -> None:
        total = _text(jvp(self.node, self.directions))
        if self.node.shape or len(self.variables) > 1 or not self.variables[0].shape:
            line = Step("collected", "df", total)
        else:
            (x,) = self.variables
            line = Step("collected", "df", f"<{_text(gradient(self.node, x))}, {self.directions[x].name}>")
        self.found.append(line)


def _filled(text: str, parts: Mapping[str, str]) -> str:
    """Put texts in the place of names, in parentheses unless they stand in some or need none."""
    for name, part in parts.items():
        text = re.sub(rf"\(\b{name}\b\)", lambda _, p=part: f"({p})", text)  # type: ignore[misc]
        alone = part if _needs_none(part) else f"({part})"
        text = re.sub(rf"\b{name}\b", lambda _, p=alone: p, text)  # type: ignore[misc]
    return text


def _needs_none(text: str) -> bool:
    """Say whether a text is a name or one call, such as f(...), which ends where its first parenthesis closes."""
    if not re.fullmatch(r"\w+(\(.*\))?", text):
        return False
    depth = 0
    for i, c in enumerate(text):
        depth += (c == "(") - (c == ")")
        if c == ")" and not depth and i < len(text) - 1:
            return False
    return True


def _of(text: str) -> str:
    return f"d{text}" if text.isidentifier() else f"d({text})"


def _is_norm(x: Node) -> bool:
    """Recognise the root of a sum of squares."""
    if x.op != "sqrt" or x.shape:
        return False
    (y,) = x.inputs
    if y.op == "sum":
        return y.inputs[0].op == "square"
    pair = y.op == "einsum" and len(y.inputs) == 2 and y.inputs[0] is y.inputs[1]
    return pair and len(set(y.params[0].split("->")[0].split(","))) == 1


def _is_squared_norm(x: Node) -> bool:
    if x.op not in ("square", "pow") or not _is_norm(x.inputs[0]):
        return False
    return x.op == "square" or is_constant(x.inputs[1], 2)


def _shown(node: Node) -> str:
    """Write an expression as it stands, and norms as norms."""
    names: dict[Node, Node] = {}
    texts: dict[str, str] = {}
    for x in topological([node]):
        if _is_norm(x) and x is not node:
            name = symbol(f"norm_{len(names)}_")
            names[x], texts[name.name] = name, _shown(x)
    if _is_norm(node):
        y = node.inputs[0].inputs[0]
        inside = y.inputs[0] if y.op == "square" else y
        return f"norm{2 if inside.ndim == 1 else 'F'}({_shown(inside)})"
    return _filled(show(substitute([node], names)[0]), texts)


def _text(node: Node) -> str:
    return str(matrixform.text(node))


__all__ = ["Step", "steps"]
