"""The rows of the operation table that move, contract, reduce or select entries."""

from __future__ import annotations

import builtins
from functools import lru_cache
from typing import Any

import numpy as np

from thalweg.core.errors import InputError
from thalweg.expr import batching, flops, namespace, numeric
from thalweg.expr.namespace import call
from thalweg.expr.node import Node, build, constant, variable
from thalweg.expr.ops_elementwise import Tangents, accumulate
from thalweg.expr.rows import Dimension, Op, Shape, is_tensor
from thalweg.expr.shapes import (
    broadcasted,
    einsum_shape,
    keep,
    reduced,
    reshaped,
    show,
    split_subscripts,
    spread,
    unbroadcast,
)


def _linear(node: Node, tangents: Tangents) -> Node | None:
    """JVP of an operation that is linear in its first input: the operation applied to the tangent."""
    (t, *_) = tangents
    return None if t is None else build(node.op, t, *node.inputs[1:], params=node.params)


def _sum_transpose(cotangent: Node, node: Node, index: int) -> Node:
    shape = node.inputs[0].shape
    return spread(keep(cotangent, node.params[0], shape), shape)


def _extremum_jvp(node: Node, tangents: Tangents) -> Node | None:
    (x,), (t,), (axes, keepdims) = node.inputs, tangents, node.params
    if t is None:
        return None
    hit = build("indicator", build("eq", x, keep(node, axes, x.shape)), x)
    ties = build("sum", hit, params=(axes, keepdims))
    return build("div", build("sum", build("mul", t, hit), params=(axes, keepdims)), ties)


def _logsumexp_jvp(node: Node, tangents: Tangents) -> Node | None:
    (x,), (t,), (axis, keepdims) = node.inputs, tangents, node.params
    if t is None:
        return None
    return build("sum", build("mul", t, build("softmax", x, params=(axis,))), params=((axis,), keepdims))


def _softmax_jvp(node: Node, tangents: Tangents) -> Node | None:
    (t,), (axis,) = tangents, node.params
    if t is None:
        return None
    weighted = build("mul", t, node)
    return build("sub", weighted, build("mul", build("sum", weighted, params=((axis,), True)), node))


def _einsum_jvp(node: Node, tangents: Tangents) -> Node | None:
    total: Node | None = None
    for i, t in enumerate(tangents):
        if t is not None:
            total = accumulate(total, build("einsum", *node.inputs[:i], t, *node.inputs[i + 1 :], params=node.params))
    return total


def _einsum_transpose(cotangent: Node, node: Node, index: int) -> Node:
    """Contract the cotangent with the other operands; lone indices are spread, repeated ones meet a delta."""
    terms, out = split_subscripts(node.params[0])
    shape = node.inputs[index].shape
    unused = iter(c for c in "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ" if c not in node.params[0])
    operands, names = [cotangent], [out]
    for i, (x, term) in enumerate(zip(node.inputs, terms, strict=True)):
        if i != index:
            operands.append(x)
            names.append(term)
    target = ""
    for letter, size in zip(terms[index], shape, strict=True):
        if letter in target:
            fresh = next(unused)
            operands.append(build("eye", params=(size,)))
            names.append(letter + fresh)
            letter = fresh
        target += letter
    held = "".join(c for c in target if any(c in name for name in names))
    result = build("einsum", *operands, params=(",".join(names) + "->" + held,))
    if held == target:
        return result
    opened = tuple([d if c in held else 1 for c, d in zip(target, shape, strict=True)])
    return spread(build("reshape", result, params=(opened,)), shape)


def _inverse(axes: tuple[int, ...]) -> tuple[int, ...]:
    return tuple([axes.index(i) for i in range(len(axes))])


def _transpose_shape(shape: Shape, axes: tuple[int, ...]) -> Shape:
    if sorted(axes) != list(range(len(shape))):
        raise InputError(f"axes {axes} for shape {show(shape)}", "give each axis once")
    return tuple([shape[a] for a in axes])


def _pick_shape(shape: Shape, index: Shape) -> Shape:
    if not shape or shape[:-1] != index:
        raise InputError(
            f"values of shape {show(shape)} and indices of shape {show(index)}", "give one index a row of the values"
        )
    return index


def _scatter_shape(shape: Shape, index: Shape, size: Dimension) -> Shape:
    if shape != index:
        raise InputError(f"values {show(shape)} and indices {show(index)}", "give one index a value")
    return (*shape, size)


def _scatter_add_jvp(node: Node, tangents: Tangents) -> Node | None:
    (x, _, index), (tx, tv, _) = node.inputs, tangents
    if tv is None:
        return tx
    moved = build("scatter", spread(tv, index.shape), index, params=(x.shape[-1],))
    return accumulate(tx, moved)


def _scatter_add_transpose(cotangent: Node, node: Node, index: int) -> Node:
    if index == 0:
        return cotangent
    return unbroadcast(build("pick", cotangent, node.inputs[2]), node.inputs[1].shape)


def _take_shape(shape: Shape, index: tuple[Any, ...]) -> Shape:
    out: list[Dimension] = []
    for part, size in zip(index, shape, strict=True):
        if part == (None, None, None):
            out.append(size)
        elif isinstance(size, str):
            raise InputError(f"index {part} into the symbolic dimension {size!r}", "take whole symbolic axes only")
        elif isinstance(part, tuple):
            out.append(len(range(*slice(*part).indices(size))))
        elif not -size <= part < size:
            raise InputError(f"index {part} into a dimension of size {size}", f"use {-size} to {size - 1}")
    return tuple(out)


def _along_diagonal_shape(shape: Shape, first: int, second: int, size: Dimension) -> Shape:
    if not 0 <= first < second <= len(shape) + 1:
        raise InputError(f"axes {first} and {second} for shape {show(shape)}", "give two places in ascending order")
    inner = (*shape[:first], size, *shape[first:])
    return (*inner[:second], size, *inner[second:])


def _diagonal_sum(ndim: int, first: int, second: int) -> str:
    """Give the einsum that sums the diagonal of two axes: the transpose of laying out along it."""
    letters = list("abcdefghijklmnopqrstuvwxyz"[:ndim])
    letters[second] = letters[first]
    return "".join(letters) + "->" + "".join([c for i, c in enumerate(letters) if i not in (first, second)])


def _concatenate_shape(*arguments: Any) -> Shape:
    *shapes, axis = arguments
    first = shapes[0]
    sizes = [s[axis] for s in shapes]
    rest = {s[:axis] + s[axis + 1 :] for s in shapes}
    if len(rest) != 1 or not all(isinstance(n, int) for n in sizes):
        raise InputError(
            f"shapes {', '.join(map(show, shapes))} along axis {axis}", "make the other axes equal and this one known"
        )
    return (*first[:axis], sum(sizes), *first[axis + 1 :])


def _concatenate_jvp(node: Node, tangents: Tangents) -> Node | None:
    if all(t is None for t in tangents):
        return None
    parts = [spread(constant(0.0), x.shape) if t is None else t
             for x, t in zip(node.inputs, tangents, strict=True)]  # fmt: skip
    return build("concatenate", *parts, params=node.params)


def _concatenate_transpose(cotangent: Node, node: Node, index: int) -> Node:
    (axis,) = node.params
    start = sum(int(x.shape[axis]) for x in node.inputs[:index])
    whole: list[Any] = [(None, None, None)] * node.ndim
    whole[axis] = (start, start + int(node.inputs[index].shape[axis]), None)
    return build("take", cotangent, params=(tuple(whole),))


@lru_cache(maxsize=4096)
def pulled_subscripts(subscripts: str, index: int) -> str:
    """Give the einsum of (cotangent, the other operands) that is operand ``index``'s cotangent, or "" if none is."""
    terms, out = split_subscripts(subscripts)
    others = terms[:index] + terms[index + 1 :]
    wanted = terms[index]
    if len(set(wanted)) < len(wanted) or not set(wanted) <= set(out).union(*others):
        return ""
    return ",".join([out, *others]) + "->" + wanted


def _einsum_vjp(g: Any, i: int, y: Any, *arguments: Any) -> Any:
    *operands, subscripts = arguments
    pulled = pulled_subscripts(subscripts, i)
    if pulled:
        return call("einsum", g, *operands[:i], *operands[i + 1 :], params=(pulled,))
    # A lone or repeated index: the operand's cotangent needs spreading, or a delta.
    if isinstance(y, Node):
        return _einsum_transpose(constant(g), y, i)
    held = build("einsum", *[variable(x) for x in operands], params=(subscripts,))
    pulled_node = _einsum_transpose(variable(g), held, i)
    return pulled_node.value


def _keep(g: Any, axes: tuple[int, ...], shape: Shape) -> Any:
    """Give a reduction's cotangent its reduced axes back, with size 1."""
    return namespace.reshape(g, reduced(shape, axes, True)) if axes else g


def _sum_vjp(g: Any, i: int, y: Any, x: Any, axes: tuple[int, ...], keepdims: bool) -> Any:
    if len(axes) < len(x.shape) and not keepdims:
        g = _keep(g, axes, x.shape)
    return g if isinstance(g, Node) or is_tensor(g) else numeric.spread(g, x.shape)


def _reduced_extremum_vjp(g: Any, i: int, y: Any, x: Any, axes: tuple[int, ...], keepdims: bool) -> Any:
    hit = call("indicator", namespace.equal(x, _keep(y, axes, x.shape)), x)
    return hit * (_keep(g, axes, x.shape) / namespace.sum(hit, axis=axes, keepdims=True))


def _logsumexp_vjp(g: Any, i: int, y: Any, x: Any, axis: int, keepdims: bool) -> Any:
    return _keep(g, (axis,), x.shape) * namespace.softmax(x, axis)


def _concatenate_vjp(g: Any, i: int, y: Any, *arguments: Any) -> Any:
    *parts, axis = arguments
    start = builtins.sum([x.shape[axis] for x in parts[:i]])
    whole: list[Any] = [(None, None, None)] * len(y.shape)
    whole[axis] = (start, start + parts[i].shape[axis], None)
    return call("take", g, params=(tuple(whole),))


ROWS = [
    Op("sum", lambda x, axes, keepdims: np.sum(x, axis=axes, keepdims=keepdims), reduced, _linear, _sum_transpose,
       "promote", "sum({}, axis={}, keepdims={})", vjp=_sum_vjp, batch=batching.batch_sum,
       flops=flops.per_entry(1)),
    Op("max", lambda x, axes, keepdims: np.max(x, axis=axes, keepdims=keepdims), reduced, _extremum_jvp, None,
       "promote", "max({}, axis={}, keepdims={})", vjp=_reduced_extremum_vjp, flops=flops.per_entry(1)),
    Op("min", lambda x, axes, keepdims: np.min(x, axis=axes, keepdims=keepdims), reduced, _extremum_jvp, None,
       "promote", "min({}, axis={}, keepdims={})", vjp=_reduced_extremum_vjp, flops=flops.per_entry(1)),
    Op("logsumexp", numeric.logsumexp, lambda s, axis, keepdims: reduced(s, (axis,), keepdims), _logsumexp_jvp, None,
       "f", "numeric.logsumexp({}, {}, {})", vjp=_logsumexp_vjp, flops=flops.per_entry(4)),
    Op("softmax", numeric.softmax, lambda s, axis: s, _softmax_jvp, None, "f", "numeric.softmax({}, {})",
       vjp=lambda g, i, y, x, axis: y * (g - namespace.sum(g * y, axis=axis, keepdims=True)),
       flops=flops.per_entry(5)),
    Op("reshape", np.reshape, reshaped, _linear,
       lambda c, n, i: build("reshape", c, params=(n.inputs[0].shape,)), "promote", "reshape({}, {})", sized=True,
       vjp=lambda g, i, y, x, shape: namespace.reshape(g, getattr(x, "shape", ())), batch=batching.batch_reshape),
    Op("transpose", np.transpose, _transpose_shape, _linear,
       lambda c, n, i: build("transpose", c, params=(_inverse(n.params[0]),)), "promote", "transpose({}, {})",
       vjp=lambda g, i, y, x, axes: call("transpose", g, params=(_inverse(axes),)),
       batch=batching.batch_transpose),
    Op("broadcast_to", np.broadcast_to, broadcasted, _linear,
       lambda c, n, i: unbroadcast(c, n.inputs[0].shape), "promote", "broadcast_to({}, {})", sized=True,
       vjp=lambda g, i, y, x, shape: g, batch=batching.batch_broadcast_to),
    Op("einsum", lambda *a: numeric.contract(a[-1], *a[:-1]), einsum_shape, _einsum_jvp, _einsum_transpose, "promote",
       vjp=_einsum_vjp, batch=batching.batch_einsum, flops=flops.of_einsum),
    Op("pick", numeric.pick, _pick_shape, _linear,
       lambda c, n, i: build("scatter", c, n.inputs[1], params=(n.inputs[0].shape[-1],)), "promote",
       "numeric.pick({}, {})",
       vjp=lambda g, i, y, x, index: None if i else call("scatter", g, index, params=(x.shape[-1],)),
       batch=batching.batch_aligned),
    Op("scatter", numeric.scatter, _scatter_shape, _linear,
       lambda c, n, i: build("pick", c, n.inputs[1]), "promote", "numeric.scatter({}, {}, {})", sized=True,
       vjp=lambda g, i, y, x, index, size: None if i else call("pick", g, index), batch=batching.batch_aligned),
    Op("scatter_add", numeric.scatter_add, lambda s, values, index: s, _scatter_add_jvp, _scatter_add_transpose,
       "promote", vjp=lambda g, i, y, x, values, index: None if i == 2 else call("pick", g, index) if i else g,
       batch=batching.batch_scatter_add),
    Op("take", numeric.take, _take_shape, _linear,
       lambda c, n, i: build("place", c, params=(*n.params, n.inputs[0].shape)), "promote", "numeric.take({}, {})",
       vjp=lambda g, i, y, x, index: call("place", g, params=(index, tuple(x.shape))),
       batch=batching.batch_take),
    Op("place", numeric.place, lambda s, index, shape: shape, _linear,
       lambda c, n, i: build("take", c, params=(n.params[0],)), "promote", "numeric.place({}, {}, {})", sized=True,
       vjp=lambda g, i, y, x, index, shape: call("take", g, params=(index,)), batch=batching.batch_place),
    Op("along_diagonal", numeric.along_diagonal, _along_diagonal_shape, _linear,
       lambda c, n, i: build("einsum", c, params=(_diagonal_sum(n.ndim, *n.params[:2]),)), "promote",
       "numeric.along_diagonal({}, {}, {}, {})", sized=True,
       vjp=lambda g, i, y, x, first, second, size: call("einsum", g, params=(_diagonal_sum(g.ndim, first, second),)),
       batch=batching.batch_along_diagonal,
       torch="torch.diag_embed({0}.unsqueeze(-1).expand(*{0}.shape, {3}), 0, {1}, {2})",
       jax="jnp.moveaxis(jnp.einsum('...,ab->...ab', {0}, jnp.eye({3})), (-2, -1), ({1}, {2}))"),
    Op("concatenate", lambda *a: np.concatenate(a[:-1], axis=a[-1]), _concatenate_shape, _concatenate_jvp,
       _concatenate_transpose, "promote", vjp=_concatenate_vjp, batch=batching.batch_along_axis),
    # Truth values, unless floating numbers are asked for: arithmetic on truth values is not arithmetic.
    Op("eye", lambda size, floating=False: np.eye(size) if floating else numeric.eye(size),
       lambda size, floating=False: (size, size), None, None, "b", "numeric.eye({})", sized=True),
    Op("dimension", lambda size: size, lambda size: (), None, None, "i", "{}", sized=True),
]  # fmt: skip
STRUCTURAL = {row.name: row for row in ROWS}
