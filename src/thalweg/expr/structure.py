"""Structured Hessians: what the graph of a Hessian-vector product says of the matrix, and the operator that uses it.

The Hessian arrives as products with indices (:mod:`thalweg.expr.linear_terms`); :mod:`thalweg.expr.pieces` reads them
as sums of Kronecker products of identities, diagonals, blocks, matrices and L' diag(d) R. Each factor is an output of
one compiled function of the arguments, and the operators of :mod:`thalweg.expr.operators` hold them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from thalweg.core.errors import InputError, UnsupportedError
from thalweg.expr.call import label
from thalweg.expr.compiled import Compiled, compile
from thalweg.expr.differentiate import gradient, jvp
from thalweg.expr.jacobian import hessian
from thalweg.expr.linear_terms import UnreadError, operator_terms
from thalweg.expr.node import Node, build, constant, symbol, table
from thalweg.expr.operator_sums import combined
from thalweg.expr.operators import Blocks, Dense, Diagonal, Kronecker, Product, Products, StructuredOperator
from thalweg.expr.pieces import Piece, Summand, merged, scaled, summand
from thalweg.expr.rows import is_tensor
from thalweg.expr.shapes import show
from thalweg.expr.simplify import simplify
from thalweg.expr.transforms import hvp
from thalweg.expr.walk import dependents, topological


class StructuredHessian:
    """Makes the Hessian of a function as a structured operator; see `structured_hessian`."""

    def __init__(self, function: Callable[..., Any], argnums: int) -> None:
        self._function = function
        self._argnums = argnums
        self._plans: list[_Plan] = []
        self._compiled = compile(self._parts)
        self._product: Compiled | None = None
        self._dense: Compiled | None = None

    def __call__(self, *args: Any) -> StructuredOperator:
        """Give the Hessian at these arguments."""
        self._check(args)
        number, *values = self._compiled(*args)
        plan = self._plans[int(number)]
        if plan.make is None:
            return self._by_products(plan.reason, args)
        operator = plan.make(values)
        operator.argument_shape = np.shape(args[self._argnums])
        return operator

    def _check(self, args: tuple[Any, ...]) -> None:
        if self._argnums >= len(args):
            raise InputError(
                f"structured_hessian in argument {self._argnums} of {label(self._function)}, called with {len(args)}",
                "give that argument",
            )
        if any(is_tensor(a) for a in args):
            raise UnsupportedError(
                f"structured_hessian of {label(self._function)} with torch tensors", "give NumPy arrays (x.numpy())"
            )
        x = args[self._argnums]
        if not isinstance(x, (np.ndarray, float)) or np.asarray(x).dtype.kind != "f":
            raise InputError(
                f"argument {self._argnums} of {label(self._function)}: {type(x).__name__}, not floating numbers",
                "give np.asarray(x, dtype=float)",
            )

    def _by_products(self, reason: str, args: tuple[Any, ...]) -> Products:
        if self._product is None or self._dense is None:
            self._product = compile(hvp(self._function, self._argnums))
            self._dense = compile(hessian(self._function, self._argnums))
        product, dense, x = self._product, self._dense, np.asarray(args[self._argnums])
        return Products(
            lambda v: np.asarray(product(*args, v)), x.shape, x.dtype, reason, lambda: np.asarray(dense(*args))
        )

    def _parts(self, *args: Any) -> tuple[Any, ...]:
        """Traced by `compile`: give the number of the plan, and the factors that it names."""
        x = args[self._argnums]
        value = constant(self._function(*args))
        if value.shape:
            raise InputError(
                f"structured_hessian of {label(self._function)}, whose result has shape {show(value.shape)}",
                "return one number (a sum, a mean)",
            )
        # Axes of size 1 say nothing: the direction and the product have none.
        shape = tuple([d for d in x.shape if d != 1])
        direction = symbol("_direction", shape)
        along = jvp(gradient(simplify(value), x), {x: build("reshape", direction, params=(x.shape,))})
        product = simplify(build("reshape", along, params=(shape,)))
        product, direction = unflattened(product, direction)
        shape = tuple([int(d) for d in direction.shape])
        plan = _Plan()
        try:
            plan.follow(merged([summand(t, shape) for t in operator_terms(product, direction)]), shape)
        except UnreadError as error:
            plan = _Plan(error.problem)
        self._plans.append(plan)
        return (len(self._plans) - 1, *plan.outputs)

    def __repr__(self) -> str:
        return f"<structured Hessian of {label(self._function)}>"


def structured_hessian(function: Callable[..., Any], argnums: int = 0) -> StructuredHessian:
    """Make the Hessian of a function as a linear operator that keeps the structure of the formula.

    The product of the Hessian with a direction is derived as an expression, and its form is read: X' diag(d) X,
    Kronecker products with identities, rank one or other matrices, diagonals, low rank, blocks, and sums of these.
    Nothing is formed that the formula does not form. Where no structure is found the operator multiplies by the
    compiled Hessian-vector product, and its ``structure`` says why.

    Args:
        function: A Python function of arrays that returns one number, as in `compile`.
        argnums: Which positional argument to differentiate with respect to, counted from 0.

    Returns:
        A function of the same arguments, NumPy arrays. It gives a `StructuredOperator` ``H`` for an argument of m
        entries: ``H @ v`` and ``H.solve(b)`` take arrays of the argument's shape, (m,) or (m, k);
        ``H.dense()`` has shape (m, m), ``H.diagonal()`` (m,); ``H.structure`` and ``H.solver`` say in words what was
        found and how systems are solved.

    Raises:
        InputError: for an argument number that is no whole number, and, when called, for a result that is not one
            number, an argument without floating numbers, or a singular matrix to solve with.
        UnsupportedError: when called, for torch tensors or an operation that Thalweg does not know.

    """
    if not isinstance(argnums, int) or isinstance(argnums, bool) or argnums < 0:
        raise InputError(f"structured_hessian with argnums={argnums!r}", "give one argument number, counted from 0")
    return StructuredHessian(function, argnums)


def unflattened(product: Node, direction: Node) -> tuple[Node, Node]:
    """Read a Hessian in a flat vector that the function lays out as a matrix as one in the matrix.

    Args:
        product: The Hessian times the direction.
        direction: A symbol of the same shape.

    Returns:
        The product and the direction, both laid out if every operation between them can be, else as they were.

    """
    flat = direction.shape
    order = topological([product])
    layouts = [x.shape for x in order if x.op == "reshape" and x.inputs[0] is direction and 1 not in x.shape]
    if not layouts:
        return product, direction
    shape = layouts[0]
    matrix = symbol("_direction", shape)
    linear = dependents(order, [direction])
    laid: dict[Node, Node] = {direction: matrix}  # flat nodes, by what they are when laid out
    known: dict[Node, Node] = {}  # nodes of other shapes, rebuilt
    for node in order:
        if node not in linear or node is direction:
            continue
        if node.op == "reshape" and node.inputs[0] in laid and node.shape == shape:
            known[node] = laid[node.inputs[0]]
        elif node.op == "reshape" and node.inputs[0] in known and node.inputs[0].shape == shape and node.shape == flat:
            laid[node] = known[node.inputs[0]]
        elif node.shape == flat and table()[node.op].elementwise and all(x.shape in ((), flat) for x in node.inputs):
            parts = [laid.get(x, x) if x in laid or not x.shape else build("reshape", x, params=(shape,))
                     for x in node.inputs]  # fmt: skip
            if any(x in known for x in node.inputs):
                return product, direction
            laid[node] = build(node.op, *parts, params=node.params)
        elif all(x in known or x not in linear for x in node.inputs):
            known[node] = build(node.op, *[known.get(x, x) for x in node.inputs], params=node.params)
        else:
            return product, direction
    return (laid[product], matrix) if product in laid else (product, direction)


# From pieces to operators.

_Maker = Callable[[Sequence[Any]], StructuredOperator]


class _Plan:
    """What to make of the factors' values: an operator, or why there is none.

    Attributes:
        outputs: The factors, each once.
        make: From their values to the operator; None if only products are known, for a ``reason``.

    """

    def __init__(self, reason: str = "") -> None:
        self.reason = reason
        self.outputs: list[Node] = []
        self.make: _Maker | None = None
        self._numbers: dict[str, int] = {}

    def follow(self, summands: Sequence[Summand], shape: tuple[int, ...]) -> None:
        """Plan the sum of products on an argument of a shape."""
        makers = [self._of_summand(scale, pieces, shape) for scale, pieces in summands]
        self.make = _added(makers, shape)

    def _output(self, node: Node) -> int:
        if node.key not in self._numbers:
            self._numbers[node.key] = len(self.outputs)
            self.outputs.append(node)
        return self._numbers[node.key]

    def _of_summand(self, scale: Node, pieces: tuple[Piece, ...], shape: tuple[int, ...]) -> _Maker:
        if len(pieces) == 1:
            return self._of_piece(scale, pieces[0], shape)
        # The number goes to a piece that is computed anyway.
        chosen = next((i for i, q in enumerate(pieces) if q.kind != "identity"), 0)
        one = constant(1.0)
        makers = [self._of_piece(scale if i == chosen else one, q, shape) for i, q in enumerate(pieces)]
        return lambda values: Kronecker([make(values) for make in makers], shape)

    def _of_piece(self, scale: Node, piece: Piece, shape: tuple[int, ...]) -> _Maker:
        own = tuple([shape[a] for a in piece.axes])
        if piece.kind == "sum":
            return _added([self._of_piece(scaled(scale, s), q, shape) for s, q in piece.summands], own)
        if piece.kind == "identity":
            i = self._output(scale)
            return lambda values: Diagonal(values[i], own)
        if piece.kind == "diagonal":
            i = self._output(scaled(scale, piece.nodes[0]))
            return lambda values: Diagonal(values[i], own)
        if piece.kind == "matrix":
            i = self._output(scaled(scale, piece.nodes[0]))
            return lambda values: Dense(values[i], own)
        if piece.kind == "blocks":
            i = self._output(scaled(scale, piece.nodes[0]))
            first = piece.axes[0]
            order = tuple([a - first for a in (*piece.leading, *[a for a in piece.axes if a not in piece.leading])])
            return lambda values: Blocks(values[i], order, own)
        left, d, right = piece.nodes
        weights = scaled(scale, d)
        i, j, k = self._output(left), self._output(weights), self._output(right)
        return lambda values: Product(values[i], values[j], values[k], own)


def _added(makers: Sequence[_Maker], shape: tuple[int, ...]) -> _Maker:
    if len(makers) == 1:
        return makers[0]
    return lambda values: combined([make(values) for make in makers], shape)
