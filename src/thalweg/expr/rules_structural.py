"""Rewrite rules of the operations that move, contract or reduce entries.

An einsum takes in what is only a way of reading its operands (transposes, broadcasts, axes of size 1, identity
matrices) and lets out what only scales it, so that equal contractions become one node.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from thalweg.expr.flops import NOMINAL
from thalweg.expr.namespace import dimension
from thalweg.expr.node import Node, build, is_constant, is_filler
from thalweg.expr.products import canonical
from thalweg.expr.rewriting import Rule, is_identity, make
from thalweg.expr.rows import Dimension, Shape
from thalweg.expr.shapes import spread

LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


def _same_shape(node: Node) -> Node | None:
    """Rewrite a reshape or a broadcast_to."""
    (x,) = node.inputs
    if x.shape == node.shape:
        return x
    if x.op == node.op:
        return make(node.op, x.inputs[0], params=node.params)
    if is_filler(x):
        return spread(x.inputs[0], node.shape)
    leading = x.op == "reshape" and x.shape == (1,) * (x.ndim - x.inputs[0].ndim) + x.inputs[0].shape
    if node.op == "broadcast_to" and leading:
        return make("broadcast_to", x.inputs[0], params=node.params)
    if x.op == "neg":
        return make("neg", make(node.op, x.inputs[0], params=node.params))
    if x.op == "mul" and is_constant(x.inputs[0]):
        return make("mul", x.inputs[0], make(node.op, x.inputs[1], params=node.params))
    return None


def _transpose(node: Node) -> Node | None:
    (x,) = node.inputs
    (axes,) = node.params
    if axes == tuple(range(len(axes))):
        return x
    if x.op == "transpose":
        return make("transpose", x.inputs[0], params=(tuple([x.params[0][a] for a in axes]),))
    if is_identity(x):
        return x
    if x.op == "neg":
        return make("neg", make("transpose", x.inputs[0], params=node.params))
    if x.op == "mul" and not x.inputs[0].shape:
        return make("mul", x.inputs[0], make("transpose", x.inputs[1], params=node.params))
    if x.op == "einsum":
        terms, out = x.params[0].split("->")
        return make("einsum", *x.inputs, params=(terms + "->" + "".join([out[a] for a in axes]),))
    return None


def _sum(node: Node) -> Node | None:
    (x,) = node.inputs
    axes, keepdims = node.params
    if not axes:
        return x
    if all(x.shape[a] == 1 for a in axes):
        return x if keepdims else make("reshape", x, params=(node.shape,))
    if x.op == "neg":
        return make("neg", make("sum", x.inputs[0], params=node.params))
    if x.op == "mul" and not x.inputs[0].shape:
        return make("mul", x.inputs[0], make("sum", x.inputs[1], params=node.params))
    if x.op == "div" and not x.inputs[1].shape:
        return make("div", make("sum", x.inputs[0], params=node.params), x.inputs[1])
    if x.op == "sum" and x.params[1] == keepdims:
        inner = x.params[0]
        left = [a for a in range(x.inputs[0].ndim) if keepdims or a not in inner]
        both = tuple(sorted({*inner, *[left[a] for a in axes]}))
        return make("sum", x.inputs[0], params=(both, keepdims))
    letters = LETTERS[: x.ndim]
    out = "".join([c for i, c in enumerate(letters) if i not in axes])
    if x.op == "einsum":
        terms, named = x.params[0].split("->")
        out = "".join([c for i, c in enumerate(named) if i not in axes])
        return make("reshape", make("einsum", *x.inputs, params=(f"{terms}->{out}",)), params=(node.shape,))
    if x.op == "mul" and not keepdims and x.kind == "f":
        operands = [(i, _stretched(i.shape, x.shape)) for i in x.inputs]
        if all(axes is not None for _, axes in operands):
            squeezed = [_Operand(i, "".join([letters[a] for a in held or ()])) for i, held in operands]
            thin = [
                make("reshape", o.node, params=(tuple([x.shape[letters.index(c)] for c in o.term]),)) for o in squeezed
            ]
            terms = ",".join([o.term for o in squeezed])
            return make("einsum", *thin, params=(f"{terms}->{out}",))
    if (
        x.op in ("broadcast_to", "transpose")
        or x.op == "reshape"
        and _stretched(x.shape, x.inputs[0].shape) is not None
    ):
        product = _read([x], [letters], out, node)
        if product is not None:
            return make("reshape", product, params=(node.shape,)) if keepdims else product
    return None


def _stretched(shape: Shape, target: Shape) -> list[int] | None:
    """Give the axes of ``target`` that an operand which broadcasts to it has; None if it has other axes of size 1."""
    offset = len(target) - len(shape)
    if offset < 0:
        return None
    return [offset + i for i, d in enumerate(shape) if d != 1 or target[offset + i] == 1]


@dataclass(slots=True)
class _Operand:
    node: Node
    term: str


@dataclass(slots=True)
class _Reading:
    """An einsum while it is rewritten."""

    operands: list[_Operand]
    out: str
    sizes: dict[str, Dimension]
    factors: list[Node] = field(default_factory=list)
    divisors: list[Node] = field(default_factory=list)
    sign: bool = False


def _einsum(node: Node) -> Node | None:
    terms, out = node.params[0].split("->")
    return _read(list(node.inputs), terms.split(","), out, node)


def _read(inputs: list[Node], terms: list[str], out: str, node: Node) -> Node | None:
    """Rewrite an einsum; None if there is nothing to rewrite. ``node`` has its shape but for axes kept with size 1."""
    sizes = {c: d for x, term in zip(inputs, terms, strict=True) for c, d in zip(term, x.shape, strict=True)}
    reading = _Reading([_Operand(x, term) for x, term in zip(inputs, terms, strict=True)], out, sizes)
    before = [(x, term) for x, term in zip(inputs, terms, strict=True)]
    work = reading.operands
    reading.operands = []
    while work:
        operand = work.pop(0)
        replaced = _reread(operand, reading)
        if replaced is None:
            reading.operands.append(operand)
        else:
            work[:0] = replaced
    _deltas(reading)
    after = [(o.node, o.term) for o in reading.operands]
    if len(after) != len(before) or any(a[0] is not b[0] or a[1] != b[1] for a, b in zip(after, before, strict=True)):
        return _rebuilt(reading, node)
    if len(after) == 1 and len(set(terms[0])) == len(terms[0]):
        return _rebuilt(reading, node) if node.op == "einsum" else None
    if node.op != "einsum":
        return None
    ordered = _ordered(reading.operands, out)
    return None if ordered is node else ordered


def _ordered(operands: list[_Operand], out: str) -> Node:
    """Build an einsum in one canonical form: larger operands first, equal terms by digest, indices by appearance.

    One that only scales the entries of one operand by those of another becomes a product with broadcasting.
    """
    if len(operands) == 2 and all(len(set(o.term)) == len(o.term) for o in operands):
        a, b = sorted(operands, key=lambda o: -len(o.term))
        if set(a.term) == set(out) and set(b.term) <= set(out):
            return make("mul", _core([a], out), _aligned(b, out))
    operands = sorted(operands, key=lambda o: -len(o.term))
    places: dict[str, list[int]] = {}
    for i, o in enumerate(operands):
        places.setdefault(o.term, []).append(i)
    for same in places.values():
        if len(same) > 1:
            chosen = sorted([operands[i] for i in same], key=lambda o: o.node.key)
            for i, o in zip(same, chosen, strict=True):
                operands[i] = o
    subscripts = canonical(",".join([o.term for o in operands]) + "->" + out)
    return build("einsum", *[o.node for o in operands], params=(subscripts,))


def _reread(operand: _Operand, reading: _Reading) -> list[_Operand] | None:
    """Read one operand through the operation that made it; None if it is to be kept."""
    x, term = operand.node, operand.term
    if not x.shape:
        reading.factors.append(x)
        return []
    if x.value is not None or not x.inputs or len(set(term)) < len(term):
        return None
    (y, *rest) = x.inputs
    if x.op == "transpose":
        axes = x.params[0]
        return [_Operand(y, "".join([term[axes.index(i)] for i in range(len(axes))]))]
    if x.op == "broadcast_to" or x.op == "reshape" and 1 in x.shape and _only_ones(y.shape, x.shape):
        return [_squeezed(y, term, x.shape)]
    if x.op == "mul" and any(is_identity(i) for i in x.inputs):
        return [_squeezed(i, term, x.shape) for i in x.inputs]
    if _smaller(reading.out, term, reading):
        if x.op == "neg":
            reading.sign = not reading.sign
            return [_Operand(y, term)]
        if x.op == "mul" and not y.shape:
            reading.factors.append(y)
            return [_Operand(rest[0], term)]
        if x.op == "div" and not rest[0].shape and y.kind == "f":
            reading.divisors.append(rest[0])
            return [_Operand(y, term)]
    return None


def _only_ones(shape: Shape, target: Shape) -> bool:
    """Say whether a reshape only takes away or inserts axes of size 1."""
    return [d for d in shape if d != 1] == [d for d in target if d != 1]


def _squeezed(x: Node, term: str, shape: Shape) -> _Operand:
    """Read an operand that broadcasts to ``shape``, or is reshaped to it by axes of size 1, without those axes."""
    if x.shape == shape:
        return _Operand(x, term)
    if _only_ones(x.shape, shape):
        held = "".join([c for c, d in zip(term, shape, strict=True) if d != 1])
    else:
        offset = len(shape) - x.ndim
        held = "".join([term[offset + i] for i, d in enumerate(x.shape) if d != 1])
    thin = tuple([d for d in x.shape if d != 1])
    return _Operand(x if thin == x.shape else make("reshape", x, params=(thin,)), held)


def _smaller(out: str, term: str, reading: _Reading) -> bool:
    """Say whether scaling the result takes no more than scaling the operand."""

    def entries(letters: str) -> int:
        sizes = [reading.sizes[c] for c in letters]
        return math.prod([d if isinstance(d, int) else NOMINAL for d in sizes])

    return entries(out) <= entries(term)


def _deltas(reading: _Reading) -> None:
    """Replace each identity matrix by one index in place of two, unless the result itself shows it."""
    for operand in [o for o in reading.operands if len(o.term) == 2 and is_identity(o.node)]:
        a, b = operand.term[0], operand.term[1]
        others = [o for o in reading.operands if o is not operand]
        carried = "".join([o.term for o in others])
        if a == b or not others:
            continue
        if b in reading.out:
            a, b = b, a
        if b in reading.out or a not in carried and b not in carried:
            continue
        reading.operands = others
        for o in others:
            o.term = o.term.replace(b, a)
        reading.sizes[a] = reading.sizes[b]
        del reading.sizes[b]


def _rebuilt(reading: _Reading, node: Node) -> Node:
    """Build the rewritten einsum, with what is left of the axes that no operand carries."""
    carried = set("".join([o.term for o in reading.operands]))
    factors = list(reading.factors)
    for c, d in reading.sizes.items():
        if c not in carried and c not in reading.out and d != 1:
            factors.append(dimension(d))
    out = "".join([c for c in reading.out if c in carried])
    core: Node | None = _core(reading.operands, out) if reading.operands else None
    scale: Node | None = None
    for x in factors:
        scale = x if scale is None else make("mul", scale, x)
    result = scale if core is None else core if scale is None else make("mul", scale, core)
    assert result is not None
    for x in reading.divisors:
        result = make("div", result, x)
    result = make("neg", result) if reading.sign else result
    shape = tuple([reading.sizes[c] for c in reading.out])
    opened = tuple([reading.sizes[c] if c in carried else 1 for c in reading.out])
    if opened != result.shape:
        result = make("reshape", result, params=(opened,))
    return result if opened == shape else make("broadcast_to", result, params=(shape,))


def _aligned(operand: _Operand, out: str) -> Node:
    """Lay the axes of an operand out as the result's, with size 1 where it has none."""
    term = "".join([c for c in out if c in operand.term])
    sizes = iter((node := _core([operand], term)).shape)
    start = min([i for i, c in enumerate(out) if c in term], default=len(out))
    return make("reshape", node, params=(tuple([next(sizes) if c in term else 1 for c in out[start:]]),))


def _core(operands: list[_Operand], out: str) -> Node:
    terms = [o.term for o in operands]
    if len(operands) == 1 and len(set(terms[0])) == len(terms[0]):
        (x,), (term,) = [o.node for o in operands], terms
        gone = tuple([a for a, c in enumerate(term) if c not in out])
        kept = [c for c in term if c in out]
        summed = make("sum", x, params=(gone, False)) if gone else x
        return make("transpose", summed, params=(tuple([kept.index(c) for c in out]),))
    return make("einsum", *[o.node for o in operands], params=(",".join(terms) + "->" + out,))


def _extremum(node: Node) -> Node | None:
    (x,) = node.inputs
    if not node.params[0]:
        return x
    return spread(x.inputs[0], node.shape) if is_filler(x) else None


def _take(node: Node) -> Node | None:
    (x,) = node.inputs
    if is_filler(x):
        return spread(x.inputs[0], node.shape)
    return x.inputs[0] if x.op == "place" and x.params[0] == node.params[0] else None


def _place(node: Node) -> Node | None:
    (x,) = node.inputs
    if x.shape == node.shape and all(part == (None, None, None) for part in node.params[0]):
        return x
    if is_filler(x) and x.inputs[0].value == 0:
        return spread(x.inputs[0], node.shape)
    return None


def _concatenate(node: Node) -> Node | None:
    (x, *rest) = node.inputs
    if not rest:
        return x
    if all(is_filler(i) and i.inputs[0] is x.inputs[0] for i in node.inputs):
        return spread(x.inputs[0], node.shape)
    return None


def _pick(node: Node) -> Node | None:
    x, index = node.inputs
    if x.op == "scatter" and x.inputs[1] is index:
        return x.inputs[0]
    return spread(x.inputs[0], node.shape) if is_filler(x) else None


RULES: dict[str, Rule] = {
    "reshape": _same_shape, "broadcast_to": _same_shape, "transpose": _transpose, "sum": _sum, "einsum": _einsum,
    "max": _extremum, "min": _extremum, "take": _take, "place": _place, "concatenate": _concatenate, "pick": _pick,
}  # fmt: skip
