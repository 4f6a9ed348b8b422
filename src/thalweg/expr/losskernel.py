"""The kernels of a loss: value, derivative and curvature of each row, in one function each, kept on disk by structure.

Tracing a loss is cheap and gives its key. Differentiating, simplifying and lowering happen only when neither this
process nor the kernel cache on disk has met the key before.
"""

from __future__ import annotations

import hashlib
import linecache
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thalweg.core.cache import source_module
from thalweg.core.errors import UnsupportedError
from thalweg.expr.bounds import DerivativeBounds, derivative_bounds
from thalweg.expr.dialects import dialect_named
from thalweg.expr.differentiate import gradient, jvp, slope
from thalweg.expr.lower import compile_source, split_stages, write_function
from thalweg.expr.node import Node, symbol
from thalweg.expr.simplify import simplify
from thalweg.expr.trace import trace_loss
from thalweg.expr.walk import topological

Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class LossKernel:
    """Compiled value and derivatives of a loss of (prediction z, target y), row by row.

    z has shape (n,), or (n, k) with one column a class; y has shape (n,): the precision of z for number targets, whole
    numbers for class indices. Nothing is checked or converted here: that is done once, where data come in.

    Attributes:
        elementwise: z has shape (n,); then the curvature of a row is a number.
        value: ``value(z, y)`` gives (n,).
        value_gradient: ``value_gradient(z, y)`` gives (value, dz) with dz like z.
        value_gradient_curvature: gives (value, dz, residuals).
        curvature: ``curvature(z, y)`` gives the residuals alone.
        apply_curvature: ``apply_curvature(residuals, v)`` multiplies each row's Hessian with v, which is like z.
        second: ``second(z, y)`` gives the second derivatives (n,) of an elementwise loss (its residuals), else None.
        key: The structural key under which the source is kept.
        source: The generated text.
        loss: The expression, with its symbols ``z`` and ``y``.

    """

    elementwise: bool
    value: Callable[[Array, Array], Array]
    value_gradient: Callable[[Array, Array], tuple[Array, Array]]
    value_gradient_curvature: Callable[[Array, Array], tuple[Array, Array, Any]]
    curvature: Callable[[Array, Array], Any]
    apply_curvature: Callable[[Any, Array], Array]
    second: Callable[[Array, Array], Array] | None
    key: str
    source: str
    loss: Node
    z: Node
    y: Node

    def bounds(self, target: str | None = None) -> DerivativeBounds:
        """Bound first and second derivative in z over every prediction and every target of a domain.

        Args:
            target: "real", "count", "+-1" or "class"; the domain that the loss was traced with if None.

        Returns:
            The bounds, see `thalweg.expr.derivative_bounds`.

        """
        return derivative_bounds(self.loss, self.z, self.y, target)


_kept: dict[str, LossKernel] = {}


def loss_kernel(function: Callable[[Any, Any], Any], target: str | None = None, *, classes: bool = False) -> LossKernel:
    """Trace a loss written in Python and compile it.

    Args:
        function: The loss of one row as a function of (prediction, target), written for whole arrays.
        target: Domain of the target: "real", "count", "+-1" or "class"; what is known of it simplifies the kernels, so
            they hold on this domain alone. None: real, or class where ``classes`` says so.
        classes: Whether the prediction has one column a class.

    Returns:
        The kernels.

    Raises:
        InputError: when the function is not a loss, see `trace_loss`.
        UnsupportedError: when it uses an operation that Thalweg does not know.

    """
    domain = target or ("class" if classes else "real")
    z, y = loss_symbols(domain)
    return lower_loss(trace_loss(function, z, y), z, y)


def loss_symbols(domain: str) -> tuple[Node, Node]:
    """Give the symbols of prediction and target for a target domain."""
    return symbol("z", ("n", "k") if domain == "class" else ("n",)), symbol("y", ("n",), domain)


def lower_loss(loss: Node, z: Node, y: Node) -> LossKernel:
    """Compile a loss.

    Args:
        loss: Shape ("n",), from `trace_loss`.
        z: The prediction's symbol, shape ("n",) or ("n", "k").
        y: The target's symbol, shape ("n",).

    Returns:
        The kernels, from memory or disk if this loss was met before.

    Raises:
        UnsupportedError: for an operation without a derivative rule.

    """
    key = "loss_" + hashlib.blake2b(f"{loss.key} {z.key} {y.key}".encode(), digest_size=16).hexdigest()
    if key not in _kept:
        if z.ndim not in (1, 2):
            raise UnsupportedError(f"a loss of predictions with {z.ndim} axes", "use shape (n,) or (n, k)")
        arrays = any(x.op == "constant" and x.shape for x in topological([loss]))
        if arrays:
            # Arrays closed over by the loss live in this process only, so its text cannot stand alone on disk.
            constants: dict[str, Any] = {}
            source = write_source(loss, z, y, constants)
            names = compile_source(source, constants)
        else:
            module = source_module(key, lambda: write_source(loss, z, y, {}))
            names = vars(module)
            source = "".join(linecache.getlines(str(module.__file__)))
        _kept[key] = _assemble(names, key, source, loss, z, y)
    return _kept[key]


def derivatives(loss: Node, z: Node) -> tuple[Node, Node, Node]:
    """Give value, gradient, and curvature times a direction, simplified together.

    Returns:
        The value (n,), the gradient like z, and the second derivative (n,) for a loss of z (n,), else the Hessian times
        the symbol "direction", like z.

    """
    value = simplify(loss)
    if z.ndim == 1:
        first = simplify(slope(value, z))
        return value, first, simplify(slope(first, z))
    first = simplify(gradient(value, z))
    return value, first, simplify(jvp(first, {z: symbol("direction", z.shape)}))


def write_source(loss: Node, z: Node, y: Node, constants: dict[str, Any]) -> str:
    """Differentiate, simplify and lower a loss into the text of one module."""
    value, first, curved = derivatives(loss, z)
    inputs = [(z.name, z), (y.name, y)]
    text = write_function("value", [value], inputs, constants, single=True)
    text += write_function("value_gradient", [value, first], inputs, constants)
    if z.ndim == 1:
        text += write_function("second", [curved], inputs, constants, single=True)
        text += write_function("value_gradient_curvature", [value, first, curved], inputs, constants)
        return dialect_named("numpy").header(text) + text
    direction = symbol("direction", z.shape)
    residuals, finals, slots = split_stages([curved], [direction])
    text += write_function("curvature", residuals, inputs, constants)
    text += write_function("flat_curvature", [value, first, *residuals], inputs, constants)
    text += write_function(
        "apply_curvature", finals, [("direction", direction)], constants, [(x.name, x) for x in slots], single=True
    )
    return dialect_named("numpy").header(text) + text


def _assemble(names: dict[str, Any], key: str, source: str, loss: Node, z: Node, y: Node) -> LossKernel:
    if z.ndim == 1:
        second = names["second"]
        return LossKernel(
            True, names["value"], names["value_gradient"], names["value_gradient_curvature"], second, np.multiply,
            second, key, source, loss, z, y,
        )  # fmt: skip
    flat = names["flat_curvature"]

    def value_gradient_curvature(z: Array, y: Array) -> tuple[Array, Array, Any]:
        value, first, *residuals = flat(z, y)
        return value, first, tuple(residuals)

    return LossKernel(
        False, names["value"], names["value_gradient"], value_gradient_curvature, names["curvature"],
        names["apply_curvature"], None, key, source, loss, z, y,
    )  # fmt: skip
