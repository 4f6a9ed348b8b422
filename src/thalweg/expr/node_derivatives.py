"""Derivatives of one expression with respect to a symbol in it, in normal form: what the methods of nodes give."""

from __future__ import annotations

from thalweg.core.errors import InputError, UnsupportedError
from thalweg.expr.differentiate import gradient, jvp
from thalweg.expr.linearmap import coefficient
from thalweg.expr.node import Node, symbol
from thalweg.expr.shapes import show
from thalweg.expr.terms import expand, normal, rebuild


def gradient_by(node: Node, wrt: Node) -> Node:
    """Give the gradient of a scalar expression.

    Args:
        node: Of shape ().
        wrt: A symbol.

    Returns:
        An expression shaped like ``wrt``: 0 if the symbol is not in the expression.

    Raises:
        InputError: for an expression that is no scalar, or something else than a symbol.

    """
    _check(node, wrt, "gradient")
    if node.shape:
        raise InputError(f"the gradient of an expression of shape {show(node.shape)}", "use jacobian, or sum it first")
    return normal(gradient(node, wrt))


def jacobian_by(node: Node, wrt: Node) -> Node:
    """Give all first derivatives of an expression.

    Args:
        node: Of any shape.
        wrt: A symbol.

    Returns:
        An expression of the shape of ``node`` followed by that of ``wrt``.

    Raises:
        InputError: for something else than a symbol.
        UnsupportedError: where the derivative in a direction cannot be written as a tensor times the direction.

    """
    _check(node, wrt, "jacobian")
    direction = symbol(f"direction_of_{wrt.name}", wrt.shape)
    slope = expand(jvp(node, {wrt: direction}))
    try:
        return rebuild(coefficient(slope, direction))
    except InputError:
        raise UnsupportedError(
            f"the Jacobian of {node!r} as a tensor: its derivative is a linear map without a formula for its entries",
            "use thalweg.expr.jvp for the derivative in a direction",
        ) from None


def hessian_by(node: Node, wrt: Node) -> Node:
    """Give all second derivatives of an expression.

    Args:
        node: Of any shape.
        wrt: A symbol.

    Returns:
        An expression of the shape of ``node`` followed by that of ``wrt`` twice.

    """
    return jacobian_by(jacobian_by(node, wrt) if node.shape else gradient_by(node, wrt), wrt)


def _check(node: Node, wrt: Node, what: str) -> None:
    if not isinstance(wrt, Node) or wrt.op != "symbol":
        raise InputError(f"{what} with respect to {wrt!r}", "give a symbol, such as thalweg.vector('x') makes")
    if node.value is not None and node.op != "constant":
        raise InputError(
            f"{what} of {node!r}, which has a value and no symbol in it", "use thalweg.grad on a function, or symbols"
        )
