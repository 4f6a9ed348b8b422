"""From a Python function to a graph, and from a graph to values: the tracer and the reference evaluator."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from thalweg.core.errors import InputError, ThalwegError, UnsupportedError
from thalweg.expr.node import Dimension, Node, constant, evaluate_op, symbol, table
from thalweg.expr.ops_index import moves_to_front
from thalweg.expr.shapes import show
from thalweg.expr.walk import resolve, topological


def trace(function: Callable[..., Any], **arguments: Sequence[Dimension] | Node) -> Node:
    """Call ``function`` on symbols and keep the expression it returns.

    Args:
        function: A Python function of arrays, written with NumPy's or Thalweg's functions and without Python ``if``
            on its arguments.
        **arguments: For each argument either its shape, such as ``z=("n",)``, or a symbol made by `symbol`.

    Returns:
        The expression.

    Raises:
        InputError: when the function does not take these arguments, or returns something that is not an expression.
        UnsupportedError: when it uses an operation that Thalweg does not know; the message names it.

    """
    symbols = {k: v if isinstance(v, Node) else symbol(k, v) for k, v in arguments.items()}
    try:
        bound = inspect.signature(function).bind(*symbols.values())
    except TypeError as error:
        raise InputError(
            f"{_label(function)} cannot be called with ({', '.join(symbols)}): {error}",
            f"give it the arguments ({', '.join(symbols)}), in this order",
        ) from None
    except ValueError:  # a builtin without a signature
        bound = None
    result = run_traced(function, bound.args if bound else tuple(symbols.values()), bound.kwargs if bound else {})
    if isinstance(result, Node):
        return result
    if isinstance(result, (bool, int, float, np.ndarray, np.generic)):
        return constant(result)
    raise InputError(
        f"{_label(function)} returned {type(result).__name__}, not an expression of ({', '.join(symbols)})",
        "return one array expression",
    )


def run_traced(function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """Call a function on symbols; what Python's own operators refuse there is explained.

    Raises:
        UnsupportedError: where the function needs a value that a symbol does not have.

    """
    try:
        return function(*args, **kwargs)
    except ThalwegError:
        raise
    except ValueError as error:
        refuse_writing(error, _label(function))
        raise
    except TypeError as error:
        raise UnsupportedError(
            f"{_label(function)} failed while it was traced: {error}",
            "use NumPy's or Thalweg's functions on whole arrays",
        ) from error


def refuse_writing(error: ValueError, name: str) -> None:
    """Raise the error of a node written into an array, which NumPy reports in words of its own."""
    if "setting an array element with a sequence" in str(error):
        raise UnsupportedError(
            f"{name} wrote a traced value into a NumPy array (array[...] = value); the derivative would be lost",
            "build the array from its parts: thalweg.numpy.array([...]), stack, concatenate, where(mask, new, old)",
        ) from None


_ALONG_ONE_AXIS = frozenset(["logsumexp", "softmax", "cumsum", "argsort", "along", "along_add"])
_ROW_BY_ROW = frozenset(["sum", "max", "min", "any", "all", "argmax", "argmin", "reshape", "broadcast_to", "pick",
                         "scatter", "scatter_add", "identity", "cast", "whole"])  # fmt: skip
"""Operations that keep rows apart wherever their result still has one row for each."""


def trace_loss(function: Callable[..., Any], z: Node, y: Node) -> Node:
    """Trace a loss of (prediction, target) and check that it is one: a number a row, from that row, depending on z.

    Args:
        function: Takes (z, y).
        z: Symbol of shape ("n",), or ("n", "k") with one column a class.
        y: Symbol of shape ("n",).

    Returns:
        An expression of shape ("n",).

    Raises:
        InputError: when the loss ignores z, has the wrong shape, or mixes rows.
        UnsupportedError: as `trace`.

    """
    loss = trace(function, **{z.name: z, y.name: y})
    order = topological([loss])
    if z not in set(order):  # a set compares by identity, where a list would build equality nodes
        raise InputError(
            f"{_label(function)} does not depend on the prediction {z.name}", f"write a loss of {z.name} and {y.name}"
        )
    rows = z.shape[0]
    if loss.shape != (rows,):
        raise InputError(
            f"{_label(function)} has shape {show(loss.shape)}, one number a row {show((rows,))} is expected",
            "do not sum over rows: the objective does that"
            if not loss.shape
            else "reduce over the class axis with axis=-1",
        )
    culprit = mixes_rows(order, z, y)
    if culprit is not None:
        raise InputError(
            f"{_label(function)} mixes rows: its {culprit.op} works across them",
            "make each row's loss a function of that row alone",
        )
    return loss


def mixes_rows(order: Sequence[Node], z: Node, y: Node) -> Node | None:
    """Find an operation that couples different rows (the leading dimension), or None: each row stands alone."""
    rows = z.shape[0]
    tied: set[Node] = {z, y}
    for node in order:
        if not any(x in tied for x in node.inputs):
            continue
        tied.add(node)
        leads = bool(node.shape) and node.shape[0] == rows
        params = node.params
        if node.op == "einsum":
            terms, out = params[0].split("->")
            row = out[:1]
            names = [t for t, x in zip(terms.split(","), node.inputs, strict=True) if x in tied]
            leads = leads and all(t[:1] == row and t.count(row) == 1 for t in names)
        elif node.op == "transpose":
            leads = leads and params[0][0] == 0
        elif node.op in _ALONG_ONE_AXIS:
            leads = leads and params[0] != 0
        elif node.op in ("take", "place"):
            leads = leads and params[0][0] == (None, None, None)
        elif node.op in ("gather", "index_add"):
            whole = params[0][0] == (None, None, None) and not moves_to_front(params[0])
            leads = leads and whole and not any(x in tied for x in node.inputs[1:])
        elif node.op == "concatenate":
            leads = leads and params[0] != 0
        else:
            leads = leads and (table()[node.op].elementwise or node.op in _ROW_BY_ROW)
        # A second row axis would pair rows; broadcasting (n,) against (n, k) along the wrong axis shows up here too.
        if not leads or rows in node.shape[1:]:
            return node
    return None


def evaluate(node: Node, values: Mapping[Node, Any] | None = None) -> Any:
    """Compute an expression by walking its graph with the table's own evaluations: the reference for every lowering.

    Args:
        node: The expression.
        values: An array for each symbol.

    Returns:
        An array (or NumPy scalar) of the node's shape.

    Raises:
        InputError: for a missing symbol, or arrays whose shapes do not fit the symbols'.

    """
    given = dict(values or {})
    dimensions: dict[str, int] = {}
    for leaf, array in given.items():
        bind_dimensions(leaf, np.shape(array), dimensions)
    known: dict[Node, Any] = given
    rows = table()
    for x in topological([node], stop=given):
        if x in known:
            continue
        if x.value is not None:
            known[x] = x.value
        elif x.op in ("symbol", "tangent"):
            raise InputError(f"no value for {x!r}", "pass {symbol: array} with every symbol")
        else:
            params = resolve(x.params, dimensions) if rows[x.op].sized else x.params
            known[x] = evaluate_op(rows[x.op], [known[i] for i in x.inputs], params)
    return known[node]


def bind_dimensions(leaf: Node, shape: tuple[int, ...], dimensions: dict[str, int]) -> None:
    """Record the sizes of a leaf's symbolic dimensions, or explain why the shape does not fit."""
    fits = len(shape) == leaf.ndim
    if fits:
        for name, size in zip(leaf.shape, shape, strict=True):
            fits = fits and size == (dimensions.setdefault(name, size) if isinstance(name, str) else name)
    if not fits:
        known = "".join(f", {k}={v}" for k, v in dimensions.items())
        raise InputError(
            f"array of shape {shape} for {leaf.name} of shape {show(leaf.shape)}{known}", "pass an array that fits"
        )


def _label(function: Callable[..., Any]) -> str:
    return f"the function {getattr(function, '__name__', type(function).__name__)!r}"
