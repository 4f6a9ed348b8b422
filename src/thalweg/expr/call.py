"""One call of a function on nodes, and the products with its Jacobian there: what every transform is made of.

Nesting needs no levels or tags. Each call makes fresh leaves for its arguments and differentiates with respect to those
alone, so whatever else the result depends on, variables of calls further out included, is a constant to it and stays
in the graph for the others.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from thalweg.core.errors import InputError
from thalweg.expr.differentiate import tangents_of
from thalweg.expr.differentiate import vjp as lazy_vjp
from thalweg.expr.guard import Guarded, hold
from thalweg.expr.node import Node, build, constant, is_filler, tracing, variable
from thalweg.expr.reverse import pull_back, pull_back_nodes
from thalweg.expr.rows import is_tensor, kind_of, plain_array, shape_of
from thalweg.expr.shapes import show, spread
from thalweg.expr.simplify import stabilized
from thalweg.expr.trace import evaluate, refuse_writing
from thalweg.expr.walk import topological

Argnums = int | Sequence[int]


class _State(threading.local):
    """What is under way in this thread."""

    depth: int = 0


_state = _State()
_fresh_ids = itertools.count().__next__


def quiet() -> contextlib.AbstractContextManager[Any]:
    """Turn NumPy's floating-point warnings off: a branch that `where` does not take may well divide by 0."""
    return contextlib.nullcontext() if _state.depth else np.errstate(all="ignore")


def kept(args: Sequence[Any]) -> tuple[Any, ...]:
    """Copy the arrays among arguments that are needed after the call, when their owner may write into them."""
    return tuple([a.copy() if isinstance(a, np.ndarray) else a.detach().clone() if is_tensor(a) else a for a in args])


class Call:
    """A function called on nodes that carry the arguments' values.

    Args:
        function: The function.
        argnums: Which positional arguments to differentiate with respect to.
        has_aux: Whether it returns (result, anything else).
        args: Its positional arguments: plain, or nodes of a differentiation further out.
        kwargs: Its keyword arguments, passed through.

    Attributes:
        leaves: One node for each chosen argument.
        output: What the function returned: a node, or a plain value that depends on no node.
        aux: The rest that it returned.
        raw: Whether results are plain values, as nothing further out differentiates them.
        single: Whether ``argnums`` is one number, so that results come bare and not in a tuple.
        shape: The result's shape.

    Raises:
        InputError: for arguments and results that are not arrays of floating numbers.

    """

    __slots__ = ("aux", "leaves", "output", "raw", "shape", "single")

    def __init__(
        self, function: Callable[..., Any], argnums: Argnums, has_aux: bool, args: tuple[Any, ...], kwargs: Any
    ) -> None:
        if argnums.__class__ is int:
            self.single = True
            numbers: tuple[int, ...] = (argnums,)
        else:
            self.single = isinstance(argnums, np.integer)
            numbers = _numbers(argnums, len(args))
        called = list(args)
        leaves: list[Node] = []
        self.leaves = leaves
        lifted = True  # every chosen argument is plain
        for i in numbers:
            if not -len(args) <= i < len(args):
                raise InputError(
                    f"argnums={argnums!r} for a call of {label(function)} with {len(args)} positional arguments",
                    f"use 0 to {len(args) - 1}" if args else "give the argument by position",
                )
            x = args[i]
            if x.__class__ is Node and x.op != "constant" and not is_filler(x):
                lifted = False
                leaf = build("identity", x, params=(_fresh_ids(),))
            else:
                # A node that is a constant depends on nothing further out, but must not be folded away.
                leaf = _leaf(materialized(x).value if x.__class__ is Node else x, i, function)
            leaves.append(leaf)
            called[i] = leaf
        _state.depth += 1
        try:
            if _state.depth == 1:
                with np.errstate(all="ignore"), Guarded():
                    for leaf in leaves:
                        if leaf.value.__class__ is np.ndarray:
                            hold(leaf.value)
                    output = function(*called, **kwargs)
            else:
                output = function(*called, **kwargs)
        except ValueError as error:
            refuse_writing(error, label(function))
            raise
        finally:
            _state.depth -= 1
        self.aux = None
        if has_aux:
            if not isinstance(output, tuple) or len(output) != 2:
                raise InputError(
                    f"{label(function)} returned {type(output).__name__} with has_aux=True", "return (result, aux)"
                )
            output, self.aux = output
        if output.__class__ is not Node:
            if not isinstance(output, (bool, int, float, np.ndarray, np.generic)) and not is_tensor(output):
                raise InputError(
                    f"{label(function)} returned {type(output).__name__}, not an array",
                    "return one array or number; with has_aux=True also anything else beside it",
                )
            self.raw = lifted
            self.shape = shape_of(output)
        else:
            if output.value is None and is_filler(output):
                output = materialized(output, leaves)
            elif output.value is None:
                output = stabilized(output)
            self.raw = lifted and output.value is not None and not reaches_beyond(output, leaves)
            self.shape = output.shape
        self.output = output
        if has_aux:
            self.aux = _lowered(self.aux, leaves)

    def value(self) -> Any:
        """Give the result: a plain value of its own, unless something further out still differentiates it."""
        return own(self.output) if self.raw else self.output

    def ones(self) -> Any:
        """Give a cotangent of ones, in the result's precision."""
        if self.raw:
            return filled_like(self.output.value if self.output.__class__ is Node else self.output, 1.0)
        return spread(constant(1.0), self.shape)

    def pull(self, cotangent: Any) -> Any:
        """Give the cotangents of the chosen arguments for a cotangent that a user gave."""
        if isinstance(cotangent, (tuple, list, dict, str)) or cotangent is None:
            raise InputError(f"a cotangent that is a {type(cotangent).__name__}", "give an array of the result's shape")
        with quiet():
            return self.pull_all(cotangent)

    def pull_all(self, cotangent: Any) -> Any:
        """Give the cotangents of the chosen arguments, in the form that ``argnums`` asks for."""
        plain = self.raw and cotangent.__class__ is not Node
        shape = () if cotangent.__class__ is float else getattr(cotangent, "shape", None)
        if shape is None:
            shape = np.shape(cotangent)
        if tuple(shape) != self.shape:
            raise InputError(
                f"cotangent of shape {show(shape)} for a result of shape {show(self.shape)}",
                "give it the result's shape",
            )
        if self.output.__class__ is not Node:
            pulled: list[Any] = [None] * len(self.leaves)
        elif plain:
            pulled = [
                g if g is None else _in_precision(g, leaf.value)
                for g, leaf in zip(pull_back(self.output, self._seed(cotangent), self.leaves), self.leaves, strict=True)
            ]
        elif self.output.value is None:
            pulled = list(lazy_vjp([self.output], [constant(cotangent)], self.leaves))
        else:
            pulled = list(pull_back_nodes(self.output, constant(cotangent), self.leaves))
        results = [zeros(leaf, plain) if g is None else g for leaf, g in zip(self.leaves, pulled, strict=True)]
        if tracing.dtypes is not None and not plain:
            results = [in_traced_precision(g, leaf) for g, leaf in zip(results, self.leaves, strict=True)]
        return results[0] if self.single else tuple(results)

    def _seed(self, cotangent: Any) -> Any:
        """Give a plain cotangent in the library and precision of the result."""
        value = self.output.value
        if is_tensor(value):
            return cotangent.to(value) if is_tensor(cotangent) else value.new_tensor(cotangent)
        if value.__class__ is float:
            return float(cotangent)
        seed = np.asarray(cotangent)
        dtype = value.dtype if value.dtype.kind == "f" else np.dtype(float)
        # A scalar and not an array of no axes, as operations give.
        return seed.astype(dtype, copy=False) if seed.shape else dtype.type(seed)

    def push(self, tangents: Sequence[Any]) -> Any:
        """Give the result's tangent along one direction an argument."""
        if not isinstance(tangents, (tuple, list)) or len(tangents) != len(self.leaves):
            raise InputError(f"{len(self.leaves)} arguments and directions {tangents!r}", "give one an argument")
        directions = {}
        for leaf, t in zip(self.leaves, tangents, strict=True):
            direction = constant(t if t.__class__ is Node or is_tensor(t) else _floating(t, leaf))
            if direction.shape != leaf.shape:
                raise InputError(
                    f"direction of shape {show(direction.shape)} for an argument of shape {show(leaf.shape)}",
                    "give it the argument's shape",
                )
            directions[leaf] = direction
        plain = self.raw and not any(t.__class__ is Node for t in tangents)
        if self.output.__class__ is not Node:
            return filled_like(self.output, 0.0) if plain else constant(filled_like(self.output, 0.0))
        (tangent,) = tangents_of([self.output], directions)
        if tangent is None:
            return zeros(self.output, plain)
        if tangent.value is None and self.output.value is not None and is_filler(tangent):
            tangent = materialized(tangent, [self.output])
        if plain and tangent.value is None:  # numbers laid out over shapes and then selected from, which wait for users
            return evaluate(tangent)
        return own(tangent) if plain and tangent.value is not None else tangent


def _numbers(argnums: Any, count: int) -> tuple[int, ...]:
    given = (argnums,) if isinstance(argnums, np.integer) else argnums
    if not isinstance(given, (tuple, list)) or any(
        isinstance(i, bool) or not isinstance(i, (int, np.integer)) for i in given
    ):
        raise InputError(f"argnums={argnums!r}", "give a whole number, or a tuple of them")
    if len({i + count if i < 0 else i for i in given}) < len(given):
        raise InputError(f"argnums={argnums!r} names an argument twice", "name each argument once")
    return tuple([int(i) for i in given])


def _leaf(x: Any, position: int, function: Callable[..., Any]) -> Node:
    if x.__class__ is float:
        return variable(x)
    if x.__class__ is int:
        return variable(float(x))
    if not is_tensor(x):
        if not isinstance(x, (np.ndarray, np.generic)) and not hasattr(x, "__array__"):
            if x.__class__ is bool:
                x = np.bool_(x)
            else:
                raise InputError(
                    f"argument {position} of {label(function)} is a {type(x).__name__}",
                    "give an array, a tensor or a number; several arrays are several arguments (argnums=(0, 1))",
                )
        x = x if isinstance(x, np.generic) else plain_array(x)
        if x.dtype.kind == "c":
            raise InputError(
                f"argument {position} of {label(function)} has the complex dtype {x.dtype}", "give real numbers"
            )
    if kind_of(x) != "f":
        raise InputError(
            f"argument {position} of {label(function)} has dtype {x.dtype}: its derivative needs floating numbers",
            "convert it, x.astype(float), or leave it out of argnums",
        )
    return variable(x)


def reaches_beyond(output: Node, leaves: Sequence[Node]) -> bool:
    """Say whether a result depends on something that is being differentiated further out."""
    if _state.depth == 0:
        return False
    own = set(leaves)
    # Serial numbers grow: what was made before this call's own leaves is a constant, or belongs to a call further out.
    oldest = min([leaf.serial for leaf in leaves], default=0)
    seen = {output}
    stack = [output]
    while stack:
        node = stack.pop()
        if node in own or node.op in ("constant", "eye") or is_filler(node):
            continue
        if node.serial < oldest or not node.inputs:
            return True
        for x in node.inputs:
            if x not in seen:
                seen.add(x)
                stack.append(x)
    return False


def filled_like(value: Any, number: float) -> Any:
    """Give one number in the shape, library and precision of a value."""
    if value.__class__ in (float, int, bool):
        return float(number)
    if is_tensor(value):
        return value.new_full(value.shape, number)
    dtype = value.dtype if value.dtype.kind == "f" else np.dtype(float)
    return np.full(value.shape, number, dtype=dtype) if value.shape else dtype.type(number)


def materialized(node: Node, like: Sequence[Node] = ()) -> Node:
    """Give a number that is only laid out over a shape as an array, in the precision and library of others."""
    if node.value is not None:
        return node
    if not is_filler(node):  # numbers that met numbers
        return constant(evaluate(node))
    number = node.inputs[0].value
    values = [x.value for x in like if x.value is not None]
    for value in values:
        if is_tensor(value):
            return constant(value.new_full(node.shape, number))
    dtype = np.result_type(*values) if values else np.dtype(float)
    return constant(np.full(node.shape, number, dtype=dtype if dtype.kind == "f" else float))


def zeros(node: Node, plain: bool) -> Any:
    """Give zeros like a node: an array, or a node that holds one."""
    if node.value is None:
        return spread(constant(0.0), node.shape)
    zeros = filled_like(node.value, 0.0)
    return zeros if plain else constant(zeros)


def own(output: Any) -> Any:
    """Give a result that shares memory with nothing: a function may return its argument, or a view of it."""
    value = output
    kept = True  # anything else but a freshly computed value may be held by someone
    if output.__class__ is Node:
        value = output.value
        kept = output.op in ("variable", "constant", "identity")
    if isinstance(value, np.ndarray):
        return np.array(value) if kept or not value.flags.owndata else value
    if is_tensor(value):
        return value.clone() if kept or value._base is not None else value
    return value


def _in_precision(g: Any, value: Any) -> Any:
    """Give a gradient its argument's precision: a float32 argument beside float64 data has a float32 gradient."""
    if value.__class__ is float:
        return float(g)
    if g.__class__ is float:
        return filled_like(value, g)
    return g if g.dtype == value.dtype else g.to(value.dtype) if is_tensor(g) else g.astype(value.dtype)


def in_traced_precision(g: Node, leaf: Node) -> Node:
    """While a function is compiled, give a derivative its argument's precision, as it has when it is evaluated at once.

    A lazy node has no precision of its own: what the graph would compute in is found from the arguments' dtypes. Within
    another transform nothing is done, for the result of the outermost alone is seen.
    """
    if tracing.dtypes is None or _state.depth or leaf.value is not None or g.kind != "f":
        return g
    from thalweg.expr.fuse import precisions

    order = topological([g, leaf])
    given = dict(tracing.dtypes)
    for x in order:
        if is_tensor(x.value):
            given[x] = as_numpy_dtype(x.value.dtype)
        elif is_filler(x) or x.op == "eye":  # numbers and truth values laid out over a shape
            given[x] = None
    known = precisions(order, given)
    wanted = known[leaf] if known[leaf] is not None else np.dtype(float)
    floats = {known[x] for x in (*given, *order) if x in known and not x.inputs and known[x] is not None}
    plain = known[g] is None and not g.shape  # a number, which has no precision
    if plain or known[g] == wanted or all(d.kind != "f" or d == wanted for d in floats):
        return g
    return build("cast", g, params=(8 * wanted.itemsize,))


def as_numpy_dtype(dtype: Any) -> np.dtype[Any] | None:
    """Give NumPy's dtype of an array's or tensor's; None for one that NumPy does not have (bfloat16)."""
    try:
        return np.dtype(str(dtype).removeprefix("torch."))
    except TypeError:
        return None


def _lowered(aux: Any, leaves: Sequence[Node]) -> Any:
    """Replace the nodes in an auxiliary result by their values, where nothing further out differentiates them."""
    if isinstance(aux, Node):
        return aux if aux.value is None or reaches_beyond(aux, leaves) or _depends_on_node(leaves) else own(aux)
    if isinstance(aux, dict):
        return {k: _lowered(v, leaves) for k, v in aux.items()}
    if isinstance(aux, (tuple, list)):
        parts = [_lowered(v, leaves) for v in aux]
        return type(aux)._make(parts) if hasattr(aux, "_make") else type(aux)(parts)
    return aux


def _depends_on_node(leaves: Sequence[Node]) -> bool:
    return any(leaf.inputs for leaf in leaves)


def _floating(x: Any, leaf: Node) -> Any:
    if x.__class__ is float:
        return x
    x = np.asarray(x)
    return x if x.dtype.kind in "fc" else x.astype(getattr(leaf.value, "dtype", float))


def label(function: Callable[..., Any]) -> str:
    """Name a function in a message."""
    return f"the function {getattr(function, '__name__', type(function).__name__)!r}"


def named(transform: str, function: Callable[..., Any]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Give a transformed function the name and text of the one it was made from."""
    if not callable(function):
        raise InputError(f"{transform} of {function!r}", "give a function")

    def wrap(made: Callable[..., Any]) -> Callable[..., Any]:
        made = functools.wraps(function, assigned=("__module__", "__doc__"), updated=())(made)
        made.__name__ = made.__qualname__ = f"{transform}({getattr(function, '__name__', 'function')})"
        return made

    return wrap
