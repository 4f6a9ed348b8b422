"""Reverse mode on eager nodes: one backward walk with the rows' direct rules.

The walk visits every node between the output and the sources once, in the reverse of the order in which nodes were
built. Outermost, cotangents are plain arrays and nothing is built; under another differentiation they are nodes, so
that the result can be differentiated again. Both run the same rules, which are written in operations that compute on
arrays and build on nodes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from operator import attrgetter
from typing import Any

import numpy as np

from thalweg.core.errors import UnsupportedError
from thalweg.expr import numeric
from thalweg.expr.node import Node, constant, is_filler, table
from thalweg.expr.ops_elementwise import accumulate, choose, push
from thalweg.expr.ops_structural import pulled_subscripts
from thalweg.expr.rows import Op, is_tensor, shape_of
from thalweg.expr.shapes import split_subscripts, spread, unbroadcast

LARGE = 4096
"""Entries from which on a cotangent is worth waiting for."""

_MASKS = frozenset(["where", "relu", "maximum", "minimum"])
_serial = attrgetter("serial")


def pull_back(output: Node, cotangent: Any, sources: Sequence[Node]) -> list[Any]:
    """Give each source's cotangent as a plain array: <cotangent, d output / d source>.

    Args:
        output: An eager node.
        cotangent: An array of its shape (a number for a number).
        sources: Variables; every variable that the output depends on must be among them.

    Returns:
        One fresh array (tensor, number) a source, shaped like it and sharing memory with nothing else; None where
        there is no path.

    """
    rows = table()
    gathered: dict[Node, Any] = {output: cotangent}
    masked = False  # whether a rule has set entries of a cotangent to an exact zero
    waiting: dict[Node, dict[str, list[tuple[Any, Any]]]] = {}  # low-rank updates of large cotangents, see `_waits`
    summed: set[Node] = set()  # nodes whose cotangent this walk allocated as a sum, and may add to in place
    for node in _between(output):
        if node in waiting:
            _gather(gathered, summed, node, _joined(waiting.pop(node)))
        g = gathered.get(node)
        inputs = node.inputs
        if g is None or not inputs:
            continue
        del gathered[node]
        row = rows[node.op]
        rule = row.vjp
        y = node.value
        if rule is None:
            if row.jvp is not None:
                for x, t in zip(inputs, _transposed(node, constant(g)), strict=True):
                    if t is not None:
                        _gather(gathered, summed, x, t.value if t.value is not None else _filled(t, x.value))
            continue
        masked = masked or node.op in _MASKS
        values = [x.value if x.value is not None else _filled(x, y) for x in inputs]
        for i, x in enumerate(inputs):
            if x.op == "constant" or x.value is None:  # a number, or one laid out over a shape
                continue
            if node.op == "einsum" and _waits(waiting, x, g, i, values, node.params[0]):
                continue
            try:
                c = rule(g, i, y, *values, *node.params)
            except ArithmeticError:
                c = _by_numpy(rule, g, i, y, values, node.params)
            if c is None:
                continue
            if c.__class__ is complex:
                c = _by_numpy(rule, g, i, y, values, node.params)
            if masked and row.elementwise:
                c = _zero_stays_zero(c, g)
            v = values[i]
            if v.__class__ is float:
                if c.__class__ is not float:
                    c = float(c.sum())
            elif c.__class__ is float or c.shape != v.shape:
                c = _fold(c, v)
            _gather(gathered, summed, x, c)
    taken: set[int] = {id(cotangent)}
    result = []
    for source in sources:
        g = gathered.get(source)
        if isinstance(g, np.ndarray):
            g = _fresh(g, source.value, taken)
        elif g is not None and is_tensor(g):
            shared = id(g) in taken or g is source.value or g._base is not None or g.is_inference()
            g = g.contiguous().clone() if shared else g
            taken.add(id(g))
        result.append(g)
    return result


def _by_numpy(rule: Any, g: Any, i: int, y: Any, values: Sequence[Any], params: Sequence[Any]) -> Any:
    """Apply a rule to NumPy's numbers: these give inf and nan where Python's raise (1 / 0) or turn complex."""
    g, y, *values = [np.float64(v) if v.__class__ is float else v for v in (g, y, *values)]
    c = rule(g, i, y, *values, *params)
    return float(c) if isinstance(c, np.floating) else c


def _waits(waiting: dict[Node, Any], x: Node, g: Any, i: int, values: Sequence[Any], subscripts: str) -> bool:
    """Keep the factors of a product that is larger than both, in the hope of more of its kind.

    A weight used in k steps receives k updates of low rank, each as large as the weight; their factors laid end to end
    make one product.
    """
    v = values[i]
    if v.__class__ is not np.ndarray or v.size < LARGE or len(values) != 2 or g.__class__ is not np.ndarray:
        return False
    other = values[1 - i]
    pulled = pulled_subscripts(subscripts, i)
    if other.__class__ is not np.ndarray or v.size <= g.size + other.size or g.dtype != other.dtype or not pulled:
        return False
    waiting.setdefault(x, {}).setdefault(pulled, []).append((g, other))
    return True


def _joined(products: dict[str, list[tuple[Any, Any]]]) -> Any:
    """Compute the products that waited, those of one kind together."""
    total = None
    for subscripts, pairs in products.items():
        (left, right), out = split_subscripts(subscripts)
        inner = next((c for c in left if c in right and c not in out), "")
        kinds: dict[Any, list[tuple[Any, Any]]] = {}
        for k, (a, b) in enumerate(pairs):
            free = [
                tuple([d for d, c in zip(x.shape, t, strict=True) if c != inner]) for x, t in ((a, left), (b, right))
            ]
            kinds.setdefault((*free, a.dtype) if inner else k, []).append((a, b))
        for alike in kinds.values():
            a, b = alike[0]
            if len(alike) > 1:
                first, second = zip(*alike, strict=True)
                a, b = np.concatenate(first, left.index(inner)), np.concatenate(second, right.index(inner))
            c = numeric.contract(subscripts, a, b)
            total = c if total is None else total + c
    return total


def pull_back_nodes(output: Node, cotangent: Node, sources: Sequence[Node]) -> list[Node | None]:
    """Do as `pull_back`, building nodes: the result can be differentiated with respect to whatever it depends on."""
    rows = table()
    # Serial numbers grow, so what is older than every source depends on none: the graph further out is not walked.
    backwards = _between(output, min([s.serial for s in sources], default=0))
    active = set(sources)
    for node in reversed(backwards):
        if any(x in active for x in node.inputs):
            active.add(node)
    gathered: dict[Node, Node | None] = {output: cotangent}
    for node in backwards:
        g = gathered.get(node)
        if g is None or node not in active or not node.inputs:
            continue
        row = rows[node.op]
        if row.vjp is None:
            if row.jvp is not None:
                for x, c in zip(node.inputs, _transposed(node, g, active), strict=True):
                    if c is not None:
                        gathered[x] = accumulate(gathered.get(x), _laid_out(c, x))
            continue
        for i, x in enumerate(node.inputs):
            if x in active:
                c = _pull_one(row, g, i, node)
                if c is not None:
                    c = constant(c)
                    c = c if c.shape == x.shape else _fit_node(c, x)
                    gathered[x] = accumulate(gathered.get(x), _laid_out(c, x))
    return [gathered.get(s) for s in sources]


def _pull_one(row: Op, g: Node, i: int, node: Node) -> Any:
    rule = row.vjp
    assert rule is not None
    if node.op == "where":
        condition = node.inputs[0]
        return None if i == 0 else choose(condition, g, 0.0) if i == 1 else choose(condition, 0.0, g)
    if row.elementwise:
        # An untaken branch of `where` meets an exact zero, see `push`.
        return push(g, lambda h: constant(rule(h, i, node, *node.inputs, *node.params)))
    return rule(g, i, node, *node.inputs, *node.params)


def _zero_stays_zero(c: Any, g: Any) -> Any:
    """Keep a cotangent 0 where it was 0, also where the derivative is infinite: a branch not taken adds nothing."""
    if c.__class__ is float:
        return 0.0 if g == 0 else c
    if is_tensor(c):
        return c if c.isfinite().all() else c.where(c.isfinite() | (g != 0), 0.0)
    return c if np.isfinite(c).all() else np.where(np.isfinite(c) | np.not_equal(g, 0), c, 0.0)


def _between(output: Node, oldest: int = 0) -> list[Node]:
    """List the nodes that the output depends on, constants and older ones aside, users before inputs, each once."""
    seen = {output}
    stack = [output]
    while stack:
        for x in stack.pop().inputs:
            if x not in seen and x.serial >= oldest and x.op != "constant" and not is_filler(x):
                seen.add(x)
                stack.append(x)
    return sorted(seen, key=_serial, reverse=True)


def _gather(gathered: dict[Node, Any], summed: set[Node], x: Node, c: Any) -> None:
    known = gathered.get(x)
    if known is None:
        gathered[x] = c
    elif x in summed and known.__class__ is np.ndarray and known.dtype == np.result_type(known, c):
        np.add(known, c, out=known)
    else:
        gathered[x] = known + c
        summed.add(x)


def _fold(c: Any, v: Any) -> Any:
    """Give a cotangent its input's shape: sums over broadcast axes, or a number spread over it."""
    shape: tuple[Any, ...] = shape_of(v)
    if is_tensor(v):
        if c.__class__ is float:
            return v.new_full(shape, c)
        extra = c.ndim - len(shape)
        held = [1 if n == 1 else m for n, m in zip(shape, c.shape[extra:], strict=True)] if extra >= 0 else c.shape
        return c.sum_to_size(held).expand(shape)
    c = np.asarray(c)
    extra = c.ndim - len(shape)
    if extra < 0 or not c.shape:
        return np.broadcast_to(c, shape)
    axes = tuple([i for i in range(c.ndim) if i < extra or (shape[i - extra] == 1 and c.shape[i] != 1)])
    summed = c.sum(axis=axes, keepdims=True) if axes else c
    return summed.reshape(shape) if np.size(summed) == math.prod(shape) else np.broadcast_to(summed, shape)


def _fit_node(c: Node, x: Node) -> Node:
    """Do as `_fold` with nodes: some axes may have to be summed and others repeated."""
    extra = c.ndim - x.ndim
    if extra < 0 or not c.shape:
        return spread(c, x.shape)
    held = tuple([1 if n == 1 else m for n, m in zip(x.shape, c.shape[extra:], strict=True)])
    return spread(unbroadcast(c, held), x.shape)


def _laid_out(c: Node, x: Node) -> Node:
    """Lay a number out as an array where the primal has a value: two numbers that meet would stay unevaluated."""
    return constant(_filled(c, x.value)) if c.value is None and x.value is not None and is_filler(c) else c


def _fresh(g: Any, value: Any, taken: set[int]) -> Any:
    """Copy an array that something else may see: a view, the seed, or another source's gradient."""
    if not g.flags.owndata or not g.flags.writeable or id(g) in taken or g is value:
        g = np.array(g)
    taken.add(id(g))
    return g


def _filled(node: Node, like: Any) -> Any:
    """Lay a number out that a rule left unevaluated."""
    number = node.inputs[0].value
    if is_tensor(like):
        return like.new_full(node.shape, number)
    dtype = like.dtype if getattr(like, "dtype", None) is not None and like.dtype.kind == "f" else float
    return np.full(node.shape, number, dtype=dtype)


def _transposed(node: Node, g: Node, active: Any = None) -> list[Node | None]:
    """Pull a cotangent through one node whose row has no direct rule: linearize it and transpose that."""
    from thalweg.expr.differentiate import transpose_linear

    chosen = [x.op != "constant" and (active is None or x in active) for x in node.inputs]
    leaves = [Node("tangent", (), (), x.shape, x.kind) if c else None for x, c in zip(node.inputs, chosen, strict=True)]
    jvp = table()[node.op].jvp
    if jvp is None:
        raise UnsupportedError(f"{node.op} has no derivative rule", "write it with operations that have one")
    tangent = jvp(node, tuple(leaves))
    if tangent is None:
        return [None] * len(leaves)
    live = [leaf for leaf in leaves if leaf is not None]
    pulled = iter(transpose_linear([tangent], [g], live))
    return [None if leaf is None else next(pulled) for leaf in leaves]
