"""The operations as functions: given nodes they build nodes, given plain arrays and numbers they compute at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from thalweg.core.errors import InputError, UnsupportedError
from thalweg.expr import numeric
from thalweg.expr.node import Node, build, check_shape, constant, table
from thalweg.expr.rows import NATIVE, Dimension, evaluate_op, is_tensor
from thalweg.expr.shapes import broadcast, normal_axis, spread

Axis = int | Sequence[int] | None


def call(name: str, *inputs: Any, params: tuple[Any, ...] = ()) -> Any:
    """Apply an operation: on nodes it builds, on plain arrays, tensors and numbers alone it computes."""
    native = True
    for x in inputs:
        if x.__class__ is Node:
            return build(name, *inputs, params=params)
        if x.__class__ not in NATIVE:
            native = False
    if not native:
        inputs = tuple([x if is_tensor(x) or x.__class__ in NATIVE else np.asarray(x) for x in inputs])
        native = not any(is_tensor(x) for x in inputs)
    return evaluate_op(table()[name], inputs, params, native)


def _unary(name: str, meaning: str) -> Callable[[Any], Any]:
    def function(x: Any) -> Any:
        return build(name, x) if x.__class__ is Node else call(name, x)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"{meaning}, elementwise.\n\nArgs:\n    x: A node, an array or a number.\n"
    return function


def _binary(name: str, meaning: str) -> Callable[[Any, Any], Any]:
    def function(x: Any, y: Any) -> Any:
        return call(name, x, y)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = (
        f"{meaning}, elementwise with broadcasting.\n\nArgs:\n"
        "    x: A node, an array or a number.\n    y: A node, an array or a number.\n"
    )
    return function


add = _binary("add", "x + y")
sub = _binary("sub", "x - y")
mul = _binary("mul", "x * y")
div = _binary("div", "x / y")
neg = _unary("neg", "-x")
pow = _binary("pow", "x ** y")
square = _unary("square", "x * x")
exp = _unary("exp", "e ** x")
log = _unary("log", "The natural logarithm")
log1p = _unary("log1p", "log(1 + x), accurate near 0")
expm1 = _unary("expm1", "e ** x - 1, accurate near 0")
sqrt = _unary("sqrt", "The square root; its derivative at 0 is taken as 0")
rsqrt = _unary("rsqrt", "1 / sqrt(x), and 0 at 0")
tanh = _unary("tanh", "The hyperbolic tangent")
sigmoid = _unary("sigmoid", "1 / (1 + e ** -x), accurate in both tails")
softplus = _unary("softplus", "log(1 + e ** x), without overflow")
relu = _unary("relu", "max(x, 0); its derivative at 0 is 0")
abs = _unary("abs", "The absolute value; its derivative at 0 is 0")
sign = _unary("sign", "-1, 0 or 1")
sin = _unary("sin", "The sine")
cos = _unary("cos", "The cosine")
sinh = _unary("sinh", "The hyperbolic sine")
cosh = _unary("cosh", "The hyperbolic cosine")
arctan = _unary("arctan", "The inverse tangent")
erf = _unary("erf", "The error function")
maximum = _binary("maximum", "The larger of x and y; a tie shares the derivative equally")
minimum = _binary("minimum", "The smaller of x and y; a tie shares the derivative equally")
logaddexp = _binary("logaddexp", "log(e ** x + e ** y), without overflow")
less = _binary("lt", "x < y")
less_equal = _binary("le", "x <= y")
greater = _binary("gt", "x > y")
greater_equal = _binary("ge", "x >= y")
equal = _binary("eq", "x == y")
not_equal = _binary("ne", "x != y")
logical_and = _binary("logical_and", "x and y")
logical_or = _binary("logical_or", "x or y")
logical_not = _unary("logical_not", "not x")


def where(condition: Any, x: Any, y: Any) -> Any:
    """Choose ``x`` where the condition holds and ``y`` elsewhere; the branch not taken never spoils a derivative."""
    return call("where", condition, x, y)


def _axes(x: Node, axis: Axis) -> tuple[int, ...]:
    if axis is None:
        return tuple(range(x.ndim))
    given = axis if isinstance(axis, Sequence) else (axis,)
    axes = tuple(sorted(normal_axis(a, x.ndim) for a in given))
    if len(set(axes)) < len(axes):
        raise InputError(f"axis {axis} names an axis twice", "name each axis once")
    return axes


def sum(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """Sum over ``axis`` (all axes if None)."""
    if isinstance(x, Node):
        axes = _axes(x, axis)
        return build("sum", x, params=(axes, bool(keepdims))) if axes else x
    return np.sum(x, axis=axis, keepdims=keepdims)


def mean(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """Mean over ``axis`` (all axes if None)."""
    if not isinstance(x, Node):
        return np.mean(x, axis=axis, keepdims=keepdims)
    count: Any = 1
    for a in _axes(x, axis):
        count = count * dimension(x.shape[a])
    return build("div", sum(x, axis, keepdims), count)


def max(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """Largest entry over ``axis`` (all axes if None); ties share the derivative equally."""
    if isinstance(x, Node):
        axes = _axes(x, axis)
        return build("max", x, params=(axes, bool(keepdims))) if axes else x
    return np.max(x, axis=axis, keepdims=keepdims)


def min(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """Smallest entry over ``axis`` (all axes if None); ties share the derivative equally."""
    if isinstance(x, Node):
        axes = _axes(x, axis)
        return build("min", x, params=(axes, bool(keepdims))) if axes else x
    return np.min(x, axis=axis, keepdims=keepdims)


def logsumexp(x: Any, axis: int = -1, keepdims: bool = False) -> Any:
    """log(sum(e ** x)) along one axis, without overflow."""
    if isinstance(x, Node):
        return build("logsumexp", x, params=(normal_axis(axis, x.ndim), bool(keepdims)))
    return numeric.logsumexp(x, axis, keepdims)


def softmax(x: Any, axis: int = -1) -> Any:
    """e ** x / sum(e ** x) along one axis, without overflow."""
    if isinstance(x, Node):
        return build("softmax", x, params=(normal_axis(axis, x.ndim),))
    return numeric.softmax(x, axis)


def pick(x: Any, index: Any) -> Any:
    """x[..., index]: from each row (last axis) of ``x`` the entry that ``index`` names.

    Args:
        x: Shape (..., k).
        index: Whole numbers 0 to k-1, shape (...).

    Returns:
        Shape (...).

    """
    if isinstance(x, Node) or isinstance(index, Node):
        return build("pick", x, index)
    return numeric.pick(x, index)


def reshape(x: Any, shape: Any) -> Any:
    """Lay the entries out in another shape; one entry may be -1 where all sizes are known."""
    if not isinstance(x, Node):
        return np.reshape(x, shape)
    target = list((shape,) if isinstance(shape, (int, str)) else shape)
    if -1 in target:
        known = [d for d in target if d != -1]
        rest = list(x.shape)
        for d in [d for d in known if isinstance(d, str) and d in rest]:
            rest.remove(d)
            known.remove(d)
        if target.count(-1) > 1 or any(isinstance(d, str) for d in [*known, *rest[1:]]):
            raise UnsupportedError(f"reshape of {x!r} to {tuple(target)}", "write the dimensions out")
        if rest and isinstance(rest[0], str):
            target[target.index(-1)] = rest[0]
        else:
            size = int(np.prod([d for d in rest if isinstance(d, int)], dtype=int))
            target[target.index(-1)] = size // int(np.prod(known, dtype=int)) if known else size
    return build("reshape", x, params=(check_shape(target, "reshape"),))


def transpose(x: Any, axes: Sequence[int] | None = None) -> Any:
    """Permute the axes (reverse them if ``axes`` is None)."""
    if not isinstance(x, Node):
        return np.transpose(x, axes)
    order = range(x.ndim)[::-1] if axes is None else [normal_axis(a, x.ndim) for a in axes]
    return build("transpose", x, params=(tuple(order),))


def broadcast_to(x: Any, shape: Sequence[Dimension]) -> Any:
    """Repeat ``x`` along new or size-1 axes until it has ``shape``."""
    if not isinstance(x, Node):
        return np.broadcast_to(x, shape)  # type: ignore[arg-type]
    return spread(x, check_shape(shape, "broadcast_to"))


def concatenate(arrays: Sequence[Any], axis: int = 0) -> Any:
    """Join arrays along an existing axis (whose sizes must be known)."""
    if not any(isinstance(x, Node) for x in arrays):
        return np.concatenate(arrays, axis=axis)
    nodes = [constant(x) for x in arrays]
    if len({x.ndim for x in nodes}) != 1:
        raise InputError(f"concatenate: numbers of axes {[x.ndim for x in nodes]}", "make them equal")
    return build("concatenate", *nodes, params=(normal_axis(axis, nodes[0].ndim),))


def einsum(subscripts: str, *operands: Any) -> Any:
    """Sum of products of entries, as `numpy.einsum`; write the indices out (no ellipsis).

    Args:
        subscripts: For instance "ij,jk->ik"; without "->" the output has the letters that occur once, in order.
        *operands: One for each term.

    Returns:
        The contraction.

    """
    if not any(isinstance(x, Node) for x in operands):
        return np.einsum(subscripts, *operands)
    text = subscripts.replace(" ", "")
    if "." in text:
        raise UnsupportedError(f"einsum {subscripts!r} with an ellipsis", "write the indices out")
    if "->" not in text:
        letters = text.replace(",", "")
        text += "->" + "".join(sorted(c for c in set(letters) if letters.count(c) == 1))
    return build("einsum", *operands, params=(text,))


def matmul(x: Any, y: Any) -> Any:
    """Matrix product with NumPy's rules for vectors and stacks of matrices."""
    if not isinstance(x, Node) and not isinstance(y, Node):
        return np.matmul(x, y)
    x, y = constant(x), constant(y)
    if not x.ndim or not y.ndim:
        raise InputError(f"@ of shapes {x.shape} and {y.shape}", "use * for a number")
    left, right = "i" * (x.ndim > 1) + "j", "j" + "k" * (y.ndim > 1)
    batch_x, batch_y = x.shape[:-2], y.shape[:-2]
    batch = broadcast(batch_x, batch_y)
    letters = "abcdefgh"[: len(batch)]
    if batch_x and batch_x != batch:
        x = spread(x, (*batch, *x.shape[-2:]))
    if batch_y and batch_y != batch:
        y = spread(y, (*batch, *y.shape[-2:]))
    out = letters + left[:-1] + right[1:]
    return build("einsum", x, y, params=(f"{letters * bool(batch_x)}{left},{letters * bool(batch_y)}{right}->{out}",))


def dot(x: Any, y: Any) -> Any:
    """Inner product of vectors, matrix product of matrices, scaling by a number."""
    if isinstance(x, Node) or isinstance(y, Node):
        a, b = constant(x), constant(y)
        return build("mul", a, b) if not a.ndim or not b.ndim else matmul(a, b)
    return np.dot(x, y)


def outer(x: Any, y: Any) -> Any:
    """Outer product of two vectors."""
    if isinstance(x, Node) or isinstance(y, Node):
        return build("einsum", x, y, params=("i,j->ij",))
    return np.outer(x, y)


def trace_of(x: Any) -> Any:
    """Sum of the diagonal of a matrix."""
    return build("einsum", x, params=("ii->",)) if isinstance(x, Node) else np.trace(x)


def dimension(size: Dimension) -> Node:
    """Give a dimension as a number in an expression (symbolic ones are known at run time)."""
    return build("dimension", params=(size,)) if isinstance(size, str) else constant(size)


def index(x: Node, key: Any) -> Node:
    """Basic indexing of a node: whole numbers, slices, ``...`` and ``None``.

    Raises:
        UnsupportedError: for array and mask indices; `pick` and `where` cover the common uses.

    """
    parts = list(key) if isinstance(key, tuple) else [key]
    if any(not isinstance(p, (int, np.integer, slice, type(None), type(Ellipsis))) or isinstance(p, bool)
           for p in parts):  # fmt: skip
        raise UnsupportedError(
            f"index {key!r} into {x!r}", "use whole numbers and slices; pick(x, index) takes one entry a row, "
            "where(mask, x, 0) masks"
        )  # fmt: skip
    used = len([p for p in parts if p is not None and p is not Ellipsis])
    if used > x.ndim:
        raise InputError(f"{used} indices into {x!r}", f"give at most {x.ndim}")
    if Ellipsis not in parts:
        parts.append(Ellipsis)
    at = parts.index(Ellipsis)
    parts[at : at + 1] = [slice(None)] * (x.ndim - used)
    encoded = tuple([(p.start, p.stop, p.step) if isinstance(p, slice) else int(p) for p in parts if p is not None])
    taken = x if all(p == (None, None, None) for p in encoded) else build("take", x, params=(encoded,))
    if None not in parts:
        return taken
    sizes = iter(taken.shape)
    target = [1 if p is None else next(sizes) for p in parts if not isinstance(p, (int, np.integer))]
    return build("reshape", taken, params=(tuple(target),))
