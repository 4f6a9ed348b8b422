"""The operations as functions: given nodes they build nodes, given plain arrays and numbers they compute at once."""

from __future__ import annotations

import builtins
import string
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from thalweg.core.errors import InputError, UnsupportedError
from thalweg.expr import numeric
from thalweg.expr.node import Node, build, check_shape, constant, table
from thalweg.expr.rows import NATIVE, Dimension, Shape, evaluate_op, is_tensor, shape_of
from thalweg.expr.shapes import broadcast, normal_axis, show, spread

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


def is_traced(x: Any) -> bool:
    """Say whether ``x`` is a node or a tensor: something that NumPy itself must not touch."""
    return x.__class__ is Node or is_tensor(x)


def lift(x: Any) -> Any:
    """Leave nodes, tensors and single numbers as they are; make an array of anything else."""
    return x if x.__class__ in NATIVE or is_traced(x) else np.asarray(x)


def shape_at(x: Any) -> Shape:
    """Give the shape of a node, tensor, array or number."""
    return x.shape if x.__class__ is Node else shape_of(x)


def in_precision_of(array: Any, *like: Any) -> Any:
    """Give a plain array in the precision (and library) of the first value among ``like`` that has one."""
    for x in like:
        value = x.value if x.__class__ is Node else x
        if is_tensor(value):
            return value.new_tensor(array)
        dtype = getattr(value, "dtype", None)
        if dtype is not None and dtype.kind == "f":
            return np.asarray(array).astype(dtype)
    return array


def every_axis(x: Any, axis: Axis) -> tuple[int, ...]:
    """Give the axes that ``axis`` names: nonnegative, in order, all of them for None."""
    if axis is None:
        return tuple(range(x.ndim))
    given = axis if isinstance(axis, (tuple, list)) else (axis,)
    axes = tuple(sorted(normal_axis(a, x.ndim) for a in given))
    if len(set(axes)) < len(axes):
        raise InputError(f"axis {axis} names an axis twice", "name each axis once")
    return axes


def sum(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """Sum over ``axis`` (all axes if None)."""
    if is_traced(x):
        axes = every_axis(x, axis)
        return call("sum", counted(x), params=(axes, bool(keepdims))) if axes else x
    return np.sum(x, axis=axis, keepdims=keepdims)


def counted(x: Any) -> Any:
    """Turn lazy truth values into 0 and 1, as NumPy does before it adds them up; leave anything else."""
    return build("where", x, 1, 0) if x.__class__ is Node and x.value is None and x.kind == "b" else x


def mean(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """Mean over ``axis`` (all axes if None)."""
    if not is_traced(x):
        return np.mean(x, axis=axis, keepdims=keepdims)
    return call("div", sum(x, axis, keepdims), count_along(x, axis))


def count_along(x: Any, axis: Axis) -> Any:
    """Give the number of entries along ``axis`` (all axes if None): a number, or a node where a size is symbolic."""
    count: Any = 1
    for a in every_axis(x, axis):
        size = x.shape[a]
        count = count * (dimension(size) if isinstance(size, str) else int(size))
    return count


def max(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """Largest entry over ``axis`` (all axes if None); ties share the derivative equally."""
    if is_traced(x):
        axes = every_axis(x, axis)
        return call("max", x, params=(axes, bool(keepdims))) if axes else x
    return np.max(x, axis=axis, keepdims=keepdims)


def min(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """Smallest entry over ``axis`` (all axes if None); ties share the derivative equally."""
    if is_traced(x):
        axes = every_axis(x, axis)
        return call("min", x, params=(axes, bool(keepdims))) if axes else x
    return np.min(x, axis=axis, keepdims=keepdims)


def logsumexp(x: Any, axis: int = -1, keepdims: bool = False) -> Any:
    """log(sum(e ** x)) along one axis, without overflow."""
    if is_traced(x):
        return call("logsumexp", x, params=(normal_axis(axis, x.ndim), bool(keepdims)))
    return numeric.logsumexp(x, axis, keepdims)


def softmax(x: Any, axis: int = -1) -> Any:
    """e ** x / sum(e ** x) along one axis, without overflow."""
    if is_traced(x):
        return call("softmax", x, params=(normal_axis(axis, x.ndim),))
    return numeric.softmax(x, axis)


def pick(x: Any, index: Any) -> Any:
    """x[..., index]: from each row (last axis) of ``x`` the entry that ``index`` names.

    Args:
        x: Shape (..., k).
        index: Whole numbers 0 to k-1, shape (...).

    Returns:
        Shape (...).

    """
    if is_traced(x) or is_traced(index):
        return call("pick", x, index)
    return numeric.pick(x, index)


def reshape(x: Any, shape: Any) -> Any:
    """Lay the entries out in another shape; one entry may be -1 where all sizes are known."""
    if not is_traced(x):
        return np.reshape(x, shape)
    target = list((shape,) if isinstance(shape, (int, np.integer, str)) else shape)
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
    return call("reshape", x, params=(check_shape(target, "reshape"),))


def transpose(x: Any, axes: Sequence[int] | None = None) -> Any:
    """Permute the axes (reverse them if ``axes`` is None)."""
    if not is_traced(x):
        return np.transpose(x, axes)
    order = range(x.ndim)[::-1] if axes is None else [normal_axis(a, x.ndim) for a in axes]
    return call("transpose", x, params=(tuple(order),))


def broadcast_to(x: Any, shape: Sequence[Dimension]) -> Any:
    """Repeat ``x`` along new or size-1 axes until it has ``shape``."""
    if is_tensor(x):
        return call("broadcast_to", x, params=(check_shape(shape, "broadcast_to"),))
    if not isinstance(x, Node):
        return np.broadcast_to(x, shape)  # type: ignore[arg-type]
    return spread(x, check_shape(shape, "broadcast_to"))


def concatenate(arrays: Sequence[Any], axis: int = 0) -> Any:
    """Join arrays along an existing axis (whose sizes must be known)."""
    if not any(is_traced(x) for x in arrays):
        return np.concatenate(arrays, axis=axis)
    parts = [lift(x) for x in arrays]
    ndims = {len(shape_at(x)) for x in parts}
    if len(ndims) != 1:
        raise InputError(f"concatenate: arrays with {', '.join(map(str, sorted(ndims)))} axes", "make them equal")
    return call("concatenate", *parts, params=(normal_axis(axis, ndims.pop()),))


def einsum(*operands: Any, optimize: Any = False) -> Any:
    """As `numpy.einsum`, ellipsis, implicit output and lists of axis numbers included; the order of products is ours.

    Args:
        *operands: Subscripts, such as "ij,jk->ik", and one array for each term.
        optimize: Ignored.

    Returns:
        The contraction.

    Raises:
        InputError: for subscripts that do not fit the arrays.

    """
    if not any(is_traced(x) for x in operands):
        return np.einsum(*operands, optimize=optimize)
    text, arrays = _with_text(operands)
    arrays = [lift(x) for x in arrays]
    terms, out = _expanded(text, [len(shape_at(x)) for x in arrays])
    sizes: dict[str, Any] = {}
    for term, x in zip(terms, arrays, strict=True):
        for letter, size in zip(term, shape_at(x), strict=True):
            if sizes.get(letter, 1) == 1:
                sizes[letter] = size
    for i, (term, x) in enumerate(zip(terms, arrays, strict=True)):  # axes of size 1 broadcast, as in NumPy
        shape = shape_at(x)
        narrow = [a for a, letter in enumerate(term) if shape[a] == 1 and sizes[letter] != 1]
        if narrow:
            arrays[i] = reshape(x, tuple([d for a, d in enumerate(shape) if a not in narrow]))
            terms[i] = "".join(letter for a, letter in enumerate(term) if a not in narrow)
    return call("einsum", *arrays, params=(",".join(terms) + "->" + out,))


def _with_text(operands: Sequence[Any]) -> tuple[str, list[Any]]:
    if operands and isinstance(operands[0], str):
        return operands[0].replace(" ", ""), list(operands[1:])
    arrays, lists = list(operands[: len(operands) // 2 * 2 : 2]), list(operands[1::2])

    def word(axes: Sequence[Any]) -> str:
        return "".join("..." if a is Ellipsis else string.ascii_letters[a] for a in axes)

    text = ",".join(word(axes) for axes in lists)
    return text + ("->" + word(operands[-1]) if len(operands) % 2 else ""), arrays


def _expanded(text: str, ndims: Sequence[int]) -> tuple[list[str], str]:
    """Write ellipses and the output out as letters."""
    left, arrow, out = text.partition("->")
    terms = left.split(",")
    if len(terms) != len(ndims):
        raise InputError(f"einsum {text!r} names {len(terms)} operands, {len(ndims)} given", "match them")
    free = [c for c in reversed(string.ascii_letters) if c not in text]
    hidden = [n - len(t.replace("...", "")) if "..." in t else 0 for t, n in zip(terms, ndims, strict=True)]
    if builtins.min(hidden, default=0) < 0 or builtins.max(hidden, default=0) > len(free):
        raise InputError(f"einsum {text!r} for arrays with {list(ndims)} axes", "give one letter an axis")
    block = "".join(free[: builtins.max(hidden, default=0)])
    if not arrow:
        letters = "".join(terms).replace(".", "")
        out = ("..." if "..." in left else "") + "".join(sorted(c for c in set(letters) if letters.count(c) == 1))
    written = [t.replace("...", block[len(block) - h :]) for t, h in zip(terms, hidden, strict=True)]
    for term, n in zip(written, ndims, strict=True):
        if len(term) != n or "." in term:
            raise InputError(f"einsum term {term!r} of {text!r} for an array with {n} axes", "give one letter an axis")
    return written, out.replace("...", block)


def matmul(x1: Any, x2: Any) -> Any:
    """As `numpy.matmul`: the matrix product, with NumPy's rules for vectors and stacks of matrices."""
    if not is_traced(x1) and not is_traced(x2):
        return np.matmul(x1, x2)
    x, y = lift(x1), lift(x2)
    left_shape, right_shape = shape_at(x), shape_at(y)
    if not left_shape or not right_shape:
        raise InputError(f"@ of shapes {show(left_shape)} and {show(right_shape)}", "use * for a number")
    if left_shape[-1] != right_shape[-2 if len(right_shape) > 1 else 0]:
        raise InputError(
            f"@ of shapes {show(left_shape)} and {show(right_shape)}: the last axis of the first and the "
            f"{'last but one' if len(right_shape) > 1 else 'only'} axis of the second differ in size",
            "make them equal, or transpose one",
        )
    left, right = "i" * (len(left_shape) > 1) + "j", "j" + "k" * (len(right_shape) > 1)
    left_batch, right_batch = left_shape[:-2], right_shape[:-2]
    batch = broadcast(left_batch, right_batch)
    letters = "abcdefghlmnopqrstuvwxyz"[: len(batch)]
    if left_batch and left_batch != batch:
        x = broadcast_to(x, (*batch, *left_shape[-2:]))
    if right_batch and right_batch != batch:
        y = broadcast_to(y, (*batch, *right_shape[-2:]))
    terms = f"{letters * bool(left_batch)}{left},{letters * bool(right_batch)}{right}"
    return call("einsum", x, y, params=(f"{terms}->{letters}{left[:-1]}{right[1:]}",))


def dot(a: Any, b: Any) -> Any:
    """As `numpy.dot`: a sum over the last axis of ``a`` and the last but one of ``b``; scaling by a number."""
    if not is_traced(a) and not is_traced(b):
        return np.dot(a, b)
    x, y = lift(a), lift(b)
    left, right = len(shape_at(x)), len(shape_at(y))
    if not left or not right:
        return call("mul", x, y)
    letters = string.ascii_lowercase
    first = letters[: left - 1] + "z"
    second = letters[left - 1 : left + right - 2]
    second = second[:-1] + "z" + second[-1:] if right > 1 else "z"
    return call("einsum", x, y, params=(f"{first},{second}->{first[:-1]}{second.replace('z', '')}",))


def outer(a: Any, b: Any) -> Any:
    """As `numpy.outer`: all products of an entry of ``a`` with an entry of ``b``, shape (size of a, size of b)."""
    if not is_traced(a) and not is_traced(b):
        return np.outer(a, b)
    return call("einsum", reshape(lift(a), (-1,)), reshape(lift(b), (-1,)), params=("i,j->ij",))


def trace_of(x: Any) -> Any:
    """Sum of the diagonal of a matrix."""
    return call("einsum", x, params=("ii->",)) if is_traced(x) else np.trace(x)


def dimension(size: Dimension) -> Node:
    """Give a dimension as a number in an expression (symbolic ones are known at run time)."""
    return build("dimension", params=(size,)) if isinstance(size, str) else constant(size)
