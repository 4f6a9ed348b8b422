"""Jacobians and Hessians of plain Python functions, all of their rows or columns in one walk."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from thalweg.core.errors import InputError, UnsupportedError
from thalweg.expr import namespace
from thalweg.expr.batch import batched, linear_part
from thalweg.expr.call import Argnums, Call, in_traced_precision, materialized, named, own, quiet, zeros
from thalweg.expr.differentiate import tangents_of
from thalweg.expr.differentiate import vjp as lazy_vjp
from thalweg.expr.node import Node, build, constant, is_filler, lazy_eye
from thalweg.expr.reverse import pull_back_nodes
from thalweg.expr.rows import Shape, is_tensor
from thalweg.expr.shapes import show, spread

_ENTRIES_AT_ONCE = 2**24
"""Entries of intermediate results that one walk may hold (128 MiB in float64); a longer basis goes in pieces."""


def jacobian(
    function: Callable[..., Any], argnums: Argnums = 0, mode: str = "auto", has_aux: bool = False
) -> Callable[..., Any]:
    """Make the matrix of first derivatives of a function with any result.

    The function is called once. A basis of directions is then pushed forward, or one of cotangents pulled back, in one
    walk over the graph in which each operation works on the whole basis. Forward costs about as many products as the
    argument has entries, reverse as many as the result has.

    Args:
        function: A Python function of arrays, tensors and numbers, as in `grad`, with a result of any shape.
        argnums: Which positional argument to differentiate with respect to, counted from 0; or several.
        mode: "forward", "reverse", or "auto": forward if the chosen arguments together have no more entries than the
            result, else reverse.
        has_aux: Whether the function returns (result, anything else); the Jacobian then comes with that else.

    Returns:
        A function of the same arguments. It gives an array of the result's shape followed by the argument's shape (a
        tuple of them for several ``argnums``), zero where there is no path.

    Raises:
        InputError: for an unknown mode, or an argument that is not an array of floating numbers.
        UnsupportedError: for an operation that Thalweg does not know, or an array with several axes of which one has
            no known size.

    Example:
        >>> jacobian(lambda x: x**2)(np.array([1.0, 3.0]))
        array([[2., 0.],
               [0., 6.]])

    """
    if mode not in ("auto", "forward", "reverse"):
        raise InputError(f"mode={mode!r} of jacobian", "use auto, forward or reverse")

    @named("jacobian", function)
    def matrix(*args: Any, **kwargs: Any) -> Any:
        with quiet():
            call = Call(function, argnums, has_aux, args, kwargs)
            if call.raw and not call.shape and mode != "forward":
                result = call.pull_all(call.ones())  # one row, on plain arrays; forward mode could not be quicker
            else:
                blocks = _blocks(call, mode)
                result = blocks[0] if call.single else tuple(blocks)
        return (result, call.aux) if has_aux else result

    return matrix


def hessian(function: Callable[..., Any], argnums: Argnums = 0, has_aux: bool = False) -> Callable[..., Any]:
    """Make the second derivatives of a function: forward mode over reverse mode.

    Args:
        function: A Python function as in `grad`. Its result may be an array; the answer is then the tensor of all
            second derivatives.
        argnums: Which positional argument to differentiate with respect to, counted from 0; or several.
        has_aux: Whether the function returns (result, anything else); the Hessian then comes with that else.

    Returns:
        A function of the same arguments. It gives an array of the result's shape followed by the argument's shape
        twice. For several ``argnums`` it gives a tuple of tuples of blocks: block [i][j] holds the derivatives with
        respect to argument i and then j.

    Raises:
        InputError: for an argument that is not an array of floating numbers.
        UnsupportedError: as `jacobian`.

    Example:
        >>> hessian(lambda x: x[0] ** 2 * x[1])(np.array([1.0, 3.0]))
        array([[6., 2.],
               [2., 0.]])

    """
    if isinstance(argnums, (int, np.integer)):
        rows = [jacobian(jacobian(function, argnums, has_aux=has_aux), argnums, "forward", has_aux)]
    else:
        chosen = tuple(argnums)
        rows = [jacobian(jacobian(function, i, has_aux=has_aux), chosen, "forward", has_aux) for i in chosen]

    @named("hessian", function)
    def second(*args: Any, **kwargs: Any) -> Any:
        if argnums.__class__ is int and not has_aux:
            form = _by_structure(function, argnums, args, kwargs)
            if form is not None:
                return in_traced_precision(form, args[argnums])
        results = [row(*args, **kwargs) for row in rows]
        blocks = [r[0] for r in results] if has_aux else results
        answer = blocks[0] if isinstance(argnums, (int, np.integer)) else tuple(blocks)
        return (answer, results[0][1]) if has_aux else answer

    return second


def _by_structure(function: Callable[..., Any], argument: int, args: tuple[Any, ...], kwargs: Any) -> Node | None:
    """Give the Hessian of a number in a lazy matrix, if the form of its products with a direction says it all."""
    x = args[argument] if -len(args) <= argument < len(args) else None
    if not isinstance(x, Node) or x.value is not None or x.ndim < 2:
        return None
    with quiet():
        call = Call(function, argument, False, args, kwargs)
        if call.output.__class__ is not Node or call.output.shape or call.output.value is not None:
            return None
        from thalweg.expr.dense_forms import dense_hessian  # for compiled code alone

        return dense_hessian(call.output, call.leaves[0])


def _blocks(call: Call, mode: str) -> list[Any]:
    """Give one Jacobian a chosen argument."""
    output, leaves = call.output, call.leaves
    if output.__class__ is not Node:
        found: list[Node | None] = [None] * len(leaves)
    elif mode == "forward" or (mode == "auto" and _forward_is_shorter(output.shape, [x.shape for x in leaves])):
        found = [_forward(output, leaf) for leaf in leaves]
    else:
        found = _reverse(output, leaves)
    results = []
    for block, leaf in zip(found, leaves, strict=True):
        if block is None:
            results.append(_no_path(call, leaf))
        elif call.raw:
            results.append(_in_precision(own(materialized(block, [leaf])), leaf.value))
        else:
            results.append(materialized(block, [leaf]) if leaf.value is not None and is_filler(block) else block)
    return results if call.raw else [in_traced_precision(r, leaf) for r, leaf in zip(results, leaves, strict=True)]


def _in_precision(block: Any, value: Any) -> Any:
    """Give derivatives their argument's precision, as gradients have it."""
    dtype = getattr(value, "dtype", None)
    if dtype is None or getattr(block, "dtype", dtype) == dtype:
        return block
    return block.to(dtype) if is_tensor(block) else block.astype(dtype)


def _no_path(call: Call, leaf: Node) -> Any:
    shape = (*call.shape, *leaf.shape)
    if leaf.value is None:
        return spread(constant(0.0), shape)
    return zeros(leaf if shape == leaf.shape else materialized(spread(constant(0.0), shape), [leaf]), call.raw)


def _forward_is_shorter(output: Shape, arguments: Sequence[Shape]) -> bool:
    """Compare the sizes; where a size is only a name, equal shapes go forward and a lone number decides."""
    sizes = [_entries(s) for s in arguments]
    count = _entries(output)
    if count is None or None in sizes:
        return count != 1 and (count is None or all(s == output for s in arguments))
    return sum(s for s in sizes if s is not None) <= count


def _entries(shape: Shape) -> int | None:
    return math.prod(d for d in shape if isinstance(d, int)) if all(isinstance(d, int) for d in shape) else None


def _forward(output: Node, leaf: Node) -> Node | None:
    """Push the basis of one argument's directions through the graph: the columns."""
    if not leaf.shape:
        return tangents_of([output], {leaf: constant(1.0) if leaf.value is None else _one(leaf)})[0]
    direction = Node("tangent", (), (), leaf.shape, "f")
    (tangent,) = tangents_of([output], {leaf: direction})
    if tangent is None:
        return None
    (columns,) = _through_basis([tangent], direction, leaf)  # (entries of the argument, *result)
    moved = build("transpose", columns, params=((*range(1, columns.ndim), 0),)) if columns.ndim > 1 else columns
    return _laid_out(moved, (*output.shape, *leaf.shape))


def _reverse(output: Node, leaves: Sequence[Node]) -> list[Node | None]:
    """Pull the basis of the result's cotangents back through the graph: the rows, for all arguments in one walk."""
    if not output.shape:
        return _pulled(output, constant(1.0), leaves)
    cotangent = Node("tangent", (), (), output.shape, "f")
    pulled = _pulled(output, cotangent, leaves)
    live = [(i, g) for i, g in enumerate(pulled) if g is not None]
    rows = _through_basis([g for _, g in live], cotangent, output) if live else []
    found: list[Node | None] = [None] * len(leaves)
    for (i, _), block in zip(live, rows, strict=True):  # (entries of the result, *argument)
        found[i] = _laid_out(block, (*output.shape, *leaves[i].shape))
    return found


def _pulled(output: Node, cotangent: Node, leaves: Sequence[Node]) -> list[Node | None]:
    if output.value is not None:
        return pull_back_nodes(output, cotangent, leaves)
    return list(lazy_vjp([output], [cotangent], leaves))


def _laid_out(node: Node, shape: Shape) -> Node:
    return node if node.shape == shape else namespace.reshape(node, shape)


def _through_basis(outputs: Sequence[Node], leaf: Node, like: Node) -> list[Node]:
    """Evaluate linear expressions at every vector of a basis; the basis runs along a new leading axis."""
    linear = set(linear_part(outputs, [leaf]))
    shape = like.shape
    if like.value is None:
        if len(shape) > 1 and _entries(shape) is None:
            raise UnsupportedError(
                f"all derivatives by an array of shape {show(shape)}, whose number of entries is not a size by itself",
                "give arrays of known sizes, or use jvp and vjp",
            )
        size = shape[0] if len(shape) == 1 else _entries(shape)
        assert size is not None
        results = batched(outputs, [leaf], [_laid_out(lazy_eye(size), (size, *shape))])
    else:
        count = math.prod(like.value.shape)
        held = sum(math.prod(d if isinstance(d, int) else 1 for d in node.shape) for node in linear)
        step = max(1, _ENTRIES_AT_ONCE // max(1, held))
        pieces = [
            batched(outputs, [leaf], [_basis(like, start, min(start + step, count))]) for start in range(0, count, step)
        ]
        size = count
        results = (
            pieces[0]
            if len(pieces) == 1
            else [build("concatenate", *parts, params=(0,)) for parts in zip(*pieces, strict=True)]
        )
        if not pieces:
            results = [spread(constant(0.0), x.shape) for x in outputs]
    # What the basis did not reach (a zero) is the same for every vector.
    return [r if x in linear else spread(x, (size, *x.shape)) for r, x in zip(results, outputs, strict=True)]


def _one(like: Node) -> Node:
    """Give the number 1 in an argument's library and precision."""
    return materialized(spread(constant(1.0), like.shape), [like]) if not is_filler(like) else constant(1.0)


def _basis(like: Node, start: int, stop: int) -> Node:
    """Give rows of the identity, each laid out like a value."""
    value = like.value
    count = math.prod(value.shape)
    if is_tensor(value):
        rows = value.new_zeros((stop - start, count))
        rows.fill_diagonal_(1) if start == 0 else rows.diagonal(start).fill_(1)
    else:
        rows = np.eye(stop - start, count, start, dtype=value.dtype if value.dtype.kind == "f" else float)
    return constant(rows.reshape((stop - start, *value.shape)))
