"""Fusion: runs of elementwise operations become one compiled loop, and runs of scalar operations one compiled function.

A NumPy call costs about half a microsecond and a pass over memory; a fused chain costs one of each. Nodes are grouped
by shape and level, where the level of a node counts how often the longest path to it enters or leaves such a group. So
a path that leaves a group never comes back to it, and groups can run one after the other in the order of their levels.

A chain is numba source in a file of the kernel cache, so its machine code survives the process. Large arrays keep
NumPy's vectorised exponentials and their relatives, which numba calls one entry at a time.
"""

from __future__ import annotations

import functools
import hashlib
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

from thalweg.core.cache import source_module
from thalweg.expr.node import Node
from thalweg.expr.rows import NUMBERS, shape_of
from thalweg.expr.walk import topological

FUSED_ENTRIES = 512
"""Beyond as many entries NumPy's vector instructions beat a fused loop over exponentials and their relatives: with
tanh and with exp the two are equal at about 150 and 700 entries."""

SUMMED_ENTRIES = 4096
"""Up to as many entries a sum is taken in the loop: further on, NumPy's pairwise sum is more accurate."""

INLINED_OPERATIONS = 16
"""Up to as many scalar operations are written as plain Python; a compiled function costs .1 us to call."""

COMPILED_OPERATIONS = 800
"""Beyond as many operations a run is not compiled: numba takes 3 s for 800, 10 for 1,600."""

_CHEAP: dict[str, str] = {
    "add": "({} + {})",
    "sub": "({} - {})",
    "mul": "({} * {})",
    "div": "({} / {})",
    "neg": "(-{})",
    "square": "({0} * {0})",
    "abs": "abs({})",
    "sqrt": "np.sqrt({})",
    "sign": "_sign({})",
    "relu": "(0.0 if {0} <= 0.0 else {0})",
    "maximum": "({0} if {0} >= {1} or {0} != {0} else {1})",
    "minimum": "({0} if {0} <= {1} or {0} != {0} else {1})",
    "where": "({1} if {0} else {2})",
    "lt": "({} < {})",
    "le": "({} <= {})",
    "gt": "({} > {})",
    "ge": "({} >= {})",
    "eq": "({} == {})",
    "ne": "({} != {})",
    "logical_and": "(({} != 0) & ({} != 0))",
    "logical_or": "(({} != 0) | ({} != 0))",
    "logical_not": "({} == 0)",
    "indicator": "(1.0 if {0} else 0.0)",
    "rsqrt": "_rsqrt({})",
    "floor": "np.floor({})",
    "ceil": "np.ceil({})",
    "broadcast_to": "{}",
    "identity": "{}",
}
_DEAR: dict[str, str] = {
    **{f: f"np.{f}({{}})" for f in ("exp", "log", "log1p", "expm1", "tanh", "sin", "cos", "tan", "sinh", "cosh")},
    **{f: f"np.{f}({{}})" for f in ("arcsin", "arccos", "arctan", "arcsinh", "arccosh", "arctanh")},
    "arctan2": "np.arctan2({}, {})",
    "erf": "math.erf({})",
    "pow": "({} ** {})",
    "sigmoid": "_sigmoid({})",
    "softplus": "_softplus({})",
    "logaddexp": "_logaddexp({}, {})",
}
"""How a chain writes an operation on numbers; a row that is in neither table runs through NumPy."""

_HELPERS = {
    "_sign": "def _sign(x):\n    return x if x != x else (1.0 if x > 0 else (-1.0 if x < 0 else 0.0))",
    "_rsqrt": "def _rsqrt(x):\n    return 0.0 if x == 0 else 1.0 / np.sqrt(x)",
    "_sigmoid": "def _sigmoid(x):\n    e = np.exp(-abs(x))\n    return (1.0 if x >= 0 else e) / (1.0 + e)",
    "_softplus": "def _softplus(x):\n    return (0.0 if x <= 0 else x) + np.log1p(np.exp(-abs(x)))",
    "_logaddexp": (
        "def _logaddexp(x, y):\n    if x == y:\n        return x + 0.6931471805599453\n"
        "    return (x if x > y else y) + np.log1p(np.exp(-abs(x - y)))"
    ),
}

_QUIET = (
    "add sub mul neg square abs sign sum max min maximum minimum relu where lt le gt ge eq ne logical_and logical_or "
    "logical_not indicator identity reshape transpose broadcast_to einsum pick scatter scatter_add take place "
    "concatenate eye dimension symbol sort argsort gather cumsum floor ceil rint trunc isnan isinf isfinite "
    "along_diagonal"
)
QUIET = frozenset(_QUIET.split())
"""What NumPy runs without a warning as long as every number is finite."""

_INLINE: dict[str, str] = {
    **{k: v for k, v in _CHEAP.items() if "np." not in v and not v.startswith("_")},
    **{f: f"math_{f}({{}})" for f in ("exp", "log", "log1p", "expm1", "tanh", "sin", "cos", "sqrt", "erf")},
}
"""How plain Python writes an operation on numbers; what raises there is left to NumPy by the caller."""


@dataclass(frozen=True, slots=True)
class Group:
    """Elementwise operations of one shape that run as one loop, or scalar ones that run as one function.

    Attributes:
        nodes: In the order of evaluation.
        inputs: What they read from outside, numbers aside.
        outputs: The nodes that something else reads (a full sum among them is a number).
        shape: The common shape.

    """

    nodes: tuple[Node, ...]
    inputs: tuple[Node, ...]
    outputs: tuple[Node, ...]
    shape: tuple[int, ...]

    @property
    def inlined(self) -> bool:
        """Whether plain Python writes it."""
        short = len(self.nodes) <= INLINED_OPERATIONS or len(self.nodes) > COMPILED_OPERATIONS
        return not self.shape and short and all(x.op in _INLINE for x in self.nodes)

    @property
    def arrays(self) -> tuple[Node, ...]:
        """The outputs that are arrays."""
        return tuple([x for x in self.outputs if x.shape])

    @property
    def numbers(self) -> tuple[Node, ...]:
        """The outputs that are numbers."""
        return tuple([x for x in self.outputs if not x.shape])


def schedule(outputs: Sequence[Node], leaves: Sequence[Node]) -> list[Node | Group]:
    """Order a graph for evaluation, with its elementwise runs grouped.

    Args:
        outputs: Expressions of known shapes.
        leaves: The arguments; they are not listed again.

    Returns:
        Nodes and groups, inputs before users. Leaves and constants are listed as nodes.

    """
    order = topological(outputs)
    given = set(leaves)
    home = {node: _home(node, given) for node in order}
    level: dict[Node, int] = {}
    users: dict[Node, list[Node]] = {}
    for node in order:
        level[node] = max([level[x] + _crosses(home, x, node) for x in node.inputs], default=0)
        for x in node.inputs:
            users.setdefault(x, []).append(node)
    # What can wait sinks to its users: it joins their loop, and holds memory for less long.
    for node in reversed(order):
        if node in users:
            level[node] = min([level[u] - _crosses(home, node, u) for u in users[node]])
    members: dict[tuple[Any, int], list[Node]] = {}
    place: dict[Node, tuple[Any, int]] = {}
    for node in order:
        if home[node] is not None:
            place[node] = (home[node], level[node])
            members.setdefault(place[node], []).append(node)
    wanted = set(outputs)
    groups: dict[tuple[Any, int], Group] = {}
    for key, nodes in members.items():
        group = _group(key[0], nodes, users, wanted)
        if group is not None:
            groups[key] = group
    scheduled: list[tuple[int, Node | Group]] = []
    done: set[tuple[Any, int]] = set()
    for node in order:
        own = place.get(node)
        if own is None or own not in groups:
            scheduled.append((level[node], node))
        elif own not in done:
            done.add(own)
            scheduled.append((level[node], groups[own]))
    return [item for _, item in sorted(scheduled, key=lambda pair: pair[0])]


def _crosses(home: Mapping[Node, Any], x: Node, user: Node) -> int:
    """Give 1 where the way from an operand to its user leaves or enters a group, else 0."""
    return 0 if home[x] is not None and home[x] == home[user] and x.op != "sum" else 1


def _home(node: Node, leaves: set[Node]) -> tuple[Any, ...] | None:
    """Give the shape of the group that a node may join, None for a node that runs by itself."""
    if node in leaves or node.value is not None or not node.inputs or any(isinstance(d, str) for d in node.shape):
        return None
    if node.op == "sum":
        (x,) = node.inputs
        full = not node.shape and x.kind == "f" and _entries(x) <= SUMMED_ENTRIES
        return x.shape if full and x.shape and _home(x, leaves) is not None else None
    if node.op in _CHEAP:
        return node.shape
    return node.shape if node.op in _DEAR and _entries(node) <= FUSED_ENTRIES else None


def _entries(node: Node) -> int:
    return math.prod([d if isinstance(d, int) else 1 for d in node.shape])


def _group(shape: Any, nodes: list[Node], users: Mapping[Node, list[Node]], wanted: set[Node]) -> Group | None:
    own = set(nodes)
    if sum(x.op not in ("broadcast_to", "identity") for x in nodes) < (2 if shape else 1):
        return None  # one operation is one NumPy call anyway
    inputs: dict[Node, None] = {}
    for node in nodes:
        for x in _operands(node):
            if x not in own and x.value.__class__ not in NUMBERS:
                inputs[x] = None
    outputs = [x for x in nodes if x in wanted or any(u not in own for u in users.get(x, ()))]
    if len(inputs) + len(outputs) > 24 and shape:
        return None
    if len(nodes) > COMPILED_OPERATIONS and (shape or not all(x.op in _INLINE for x in nodes)):
        return None
    return Group(tuple(nodes), tuple(inputs), tuple(outputs), shape)


def _operands(node: Node) -> tuple[Node, ...]:
    # An indicator reads its second operand for the precision alone.
    return node.inputs[:1] if node.op == "indicator" else node.inputs


def inline(node: Node, arguments: Sequence[str]) -> str:
    """Write one scalar operation as a Python expression."""
    return _INLINE[node.op].format(*arguments)


def chain(group: Group) -> str:
    """Compile a group.

    Args:
        group: Arrays or, with an empty shape, numbers.

    Returns:
        The name under which this module has a function of the group's inputs and then of the arrays to fill; it returns
        the numbers among the outputs (one by itself, several as a tuple).

    """
    source = _write_chain(group)
    name = "chain_" + hashlib.blake2b(source.encode(), digest_size=16).hexdigest()
    _chains[name] = source_module(name, lambda: source)
    _sources[name] = source
    return name


def complete(text: str) -> str:
    """Write the chains that a text imports into it, so that it runs by itself."""
    names = sorted({n for n in _CHAIN.findall(text) if n in _chains})
    if not names:
        return text
    parts: dict[str, None] = {}
    for name in names:
        header, *functions = _sources[name].rstrip().split("\n\n\n")
        parts.update({part.replace("def chain(", f"def {name}(").replace("cache=ON_DISK, ", ""): None
                      for part in functions})  # fmt: skip
        text = text.replace(f"from thalweg.expr.fuse import {name}\n", "")
    return "\n\n\n".join([header, *parts]) + "\n\n\n" + text


_chains: dict[str, ModuleType] = {}
_sources: dict[str, str] = {}
_CHAIN = re.compile(r"\bchain_[0-9a-f]{32}\b")


def __getattr__(name: str) -> Any:
    """Let generated text import the chains that were compiled in this process."""
    if name in _chains:
        return _chains[name].chain
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _write_chain(group: Group) -> str:
    ndim = len(group.shape)
    indices = [f"i{k}" for k in range(ndim)]
    local: dict[Node, str] = {}
    arguments = []
    for k, x in enumerate(group.inputs):
        arguments.append(f"a{k}")
        local[x] = f"a{k}" + (_subscript(x, indices) if x.shape else "")
    outs = {x: f"o{k}" for k, x in enumerate(group.arrays)}
    pad = "    " * (ndim + 1)
    body: list[str] = []
    sums: list[str] = []
    for i, node in enumerate(group.nodes):
        operands = [_literal(x) if x.value.__class__ in NUMBERS else local.get(x, "") for x in node.inputs]
        if node.op == "sum":
            local[node] = f"s{i}"
            sums.append(f"    s{i} = 0.0")
            body.append(f"{pad}s{i} += {operands[0]}")
            continue
        local[node] = f"t{i}"
        body.append(f"{pad}t{i} = {(_CHEAP.get(node.op) or _DEAR[node.op]).format(*operands)}")
        if node in outs:
            body.append(f"{pad}{outs[node]}[{', '.join(indices)}] = t{i}")
    loops = [
        f"{'    ' * (k + 1)}for i{k} in range({_length(group, k, outs)}):" for k in range(ndim)
    ]  # fmt: skip
    numbers = [local[x] for x in group.numbers]
    tail = f"    return {', '.join(numbers)}" if numbers else "    return None"
    text = "\n".join([f"def chain({', '.join([*arguments, *outs.values()])}):", *sums, *loops, *body, tail])
    decorator = '@njit(cache=ON_DISK, error_model="numpy", nogil=True)'
    helpers = [f'@njit(error_model="numpy", inline="always")\n{v}' for k, v in _HELPERS.items() if f"{k}(" in text]
    header = "import math\n\nimport numpy as np\nfrom numba import njit"
    return "\n\n\n".join([header, *helpers, f"{decorator}\n{text}"]) + "\n"


def _length(group: Group, axis: int, outs: Mapping[Node, str]) -> str:
    """Name an array that has the whole axis, so that one chain serves all sizes."""
    if outs:
        return f"o0.shape[{axis}]"
    for k, x in enumerate(group.inputs):
        offset = len(x.shape) - len(group.shape) + axis
        if offset >= 0 and (x.shape[offset] != 1 or group.shape[axis] == 1):
            return f"a{k}.shape[{offset}]"
    return str(group.shape[axis])


def _subscript(x: Node, indices: Sequence[str]) -> str:
    own = indices[len(indices) - len(x.shape) :]
    return "[" + ", ".join(["0" if d == 1 else i for d, i in zip(x.shape, own, strict=True)]) + "]"


def _literal(node: Node) -> str:
    value = node.value
    if isinstance(value, bool):
        return repr(value)
    if isinstance(value, float) and not math.isfinite(value):
        return {"inf": "math.inf", "-inf": "(-math.inf)"}.get(repr(value), "math.nan")
    return repr(value) if value >= 0 else f"({value!r})"


def precisions(order: Sequence[Node], given: Mapping[Node, Any]) -> dict[Node, Any]:
    """Find the dtype of every node of a graph from the dtypes of its leaves; None is a number without a precision."""
    known: dict[Node, Any] = {x: None if d is None else np.dtype(d) for x, d in given.items()}
    # What has no precision of its own (an identity, a choice between numbers) is written in that of the arguments; see
    # `thalweg.expr.numeric.common_dtype`.
    common = np.result_type(*[d for d in known.values() if d is not None] or [np.float64])
    common = common if common.kind == "f" else np.dtype(np.float64)
    for node in order:
        if node in known:
            continue
        if node.value is not None:
            value = node.value
            known[node] = None if value.__class__ in NUMBERS or not shape_of(value) else value.dtype
        elif node.kind == "b":
            known[node] = np.dtype(bool)
        elif node.kind == "i":
            known[node] = np.dtype(np.int64)
        elif node.op == "cast":
            known[node] = np.dtype(f"f{node.params[0] // 8}")
        else:
            strong = [d for d in [known[x] for x in node.inputs] if d is not None and d.kind == "f"]
            if strong:
                known[node] = functools.reduce(np.promote_types, strong)
            else:
                known[node] = common if node.shape else None
    return known
