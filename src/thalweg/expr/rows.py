"""What a row of the operation table holds, and how one operation is evaluated on numbers, arrays and tensors."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from thalweg.core.errors import InputError

if TYPE_CHECKING:
    from thalweg.expr.node import Node

Dimension = int | str
Shape = tuple[Dimension, ...]
Kind = str  # "f" floating, "i" whole numbers (indices), "b" truth values

NUMBERS = frozenset([float, int, bool])
NATIVE = NUMBERS | {np.ndarray, *np.sctypeDict.values()}


@dataclass(frozen=True, slots=True)
class Op:
    """One row of the operation table.

    Args:
        name: The name by which nodes, rules and error messages refer to it.
        evaluate: ``evaluate(*values, *params)`` on NumPy values.
        shape: ``shape(*input_shapes, *params)``; raises `InputError` for shapes that do not fit.
        jvp: ``jvp(node, tangents)`` gives the tangent of ``node`` written in the same operations. A tangent that is
            None is an exact zero. None in the table means that the derivative is zero almost everywhere.
        transpose: ``transpose(cotangent, node, index)`` for an operation that is linear in input ``index`` while the
            other inputs are held; it gives that input's cotangent.
        kind: "f", "i", "b", or "promote" (the largest kind among the inputs).
        spelling: How the NumPy dialect writes it: a bare name is a ufunc (which takes ``out=``), a text with ``{}`` is
            a template over the inputs and then the parameters.
        elementwise: Each output entry depends on the same entry of the (broadcast) inputs alone.
        sized: Its parameters hold dimensions, which may be symbolic and are resolved at run time.
        vjp: The direct reverse rule, the eager fast path: ``vjp(g, i, y, *inputs, *params)`` gives the cotangent of
            input ``i`` for the cotangent ``g`` of the result ``y``. It is written with operators and the functions of
            `thalweg.expr.namespace`, so that it computes on arrays and builds on nodes alike, and may leave the sum
            over broadcast axes to its caller. None: the JVP is transposed instead.
        scalar: The same function on Python numbers alone, such as ``math.tanh``; where it raises, ``evaluate`` is used.
        batch: ``batch(node, inputs, batched)`` applies the operation of ``node`` to ``inputs``, of which those flagged
            in ``batched`` carry one more axis in front; the result carries it, too. Elementwise rows need none.
        flops: Arithmetic operations that evaluating the node takes; None: one an entry of the result if elementwise,
            else none (data are moved).
        torch: How torch writes it: a bare name of a function in `torch`, or a template as in ``spelling``.
        jax: How JAX writes it; "" where ``jax.numpy`` has the NumPy spelling.

    """

    name: str
    evaluate: Callable[..., Any]
    shape: Callable[..., Shape]
    jvp: Callable[[Node, tuple[Node | None, ...]], Node | None] | None = None
    transpose: Callable[[Node, Node, int], Node] | None = None
    kind: Kind = "f"
    spelling: str = ""
    elementwise: bool = False
    sized: bool = False
    vjp: Callable[..., Any] | None = None
    scalar: Callable[..., Any] | None = None
    batch: Callable[[Node, Sequence[Node], Sequence[bool]], Node] | None = None
    flops: Callable[[Node], int] | None = None
    torch: str = ""
    jax: str = ""


def evaluate_op(op: Op, values: Sequence[Any], params: tuple[Any, ...], native: bool = True) -> Any:
    """Evaluate one operation; numbers alone give a Python number, so that they never set the precision.

    Args:
        op: The row.
        values: One for each input.
        params: Its parameters.
        native: Whether every value is NumPy's or a Python number.

    """
    if not native:
        return _evaluate_tensors(op, values, params)
    for v in values:
        if v.__class__ not in NUMBERS:
            break
    else:
        return _evaluate_numbers(op, values, params)
    try:
        return op.evaluate(*values, *params)
    except (ValueError, IndexError) as error:
        _explain(op, values, params)
        if isinstance(error, InputError):  # the evaluation has said what is wrong
            raise
        raise InputError(f"{op.name}: {error}", "make the shapes and values fit the operation") from None


def _evaluate_numbers(op: Op, values: Sequence[Any], params: tuple[Any, ...]) -> Any:
    if op.scalar is not None:
        try:
            return op.scalar(*values, *params)
        except (ArithmeticError, ValueError):  # outside the function's domain: NumPy knows the limit, or nan
            pass
        values = [np.float64(v) if v.__class__ is float else v for v in values]
    with np.errstate(all="ignore"):
        result = op.evaluate(*values, *params)
    return result.item() if values and np.ndim(result) == 0 and hasattr(result, "item") else result


def _evaluate_tensors(op: Op, values: Sequence[Any], params: tuple[Any, ...]) -> Any:
    from thalweg.expr.numeric_torch import evaluate

    return evaluate(op, values, params)


def _explain(op: Op, values: Sequence[Any], params: tuple[Any, ...]) -> None:
    """Raise the error of the row's shape rule, if it has one for these values."""
    try:
        op.shape(*[shape_of(v) for v in values], *params)
    except InputError as error:
        raise InputError(f"{op.name}: {error.problem}", error.remedy) from None


def is_tensor(value: Any) -> bool:
    """Say whether a value is a torch tensor, without loading torch."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def plain_array(value: Any) -> Any:
    """Give an array of NumPy's own kind; a subclass that computes otherwise is refused, for it would be misread.

    Raises:
        InputError: for a masked array or a matrix.

    """
    if value.__class__ is not np.ndarray and isinstance(value, np.ndarray):
        masked = sys.modules.get("numpy.ma")
        if masked is not None and isinstance(value, masked.MaskedArray):
            raise InputError("a masked array: its mask would be lost", "give x.filled(0), and use where(mask, a, b)")
        if isinstance(value, np.matrix):
            raise InputError("an np.matrix: its * is not that of arrays", "give np.asarray(x), and use @ for products")
    return np.asarray(value)


def shape_of(value: Any) -> Shape:
    """Give the shape of a number, array or tensor."""
    return () if value.__class__ in NUMBERS else tuple(value.shape)


def kind_of(value: Any) -> Kind:
    """Give the kind of a number, array or tensor."""
    if value.__class__ in NUMBERS:
        return "b" if value.__class__ is bool else "i" if value.__class__ is int else "f"
    if is_tensor(value):
        return "f" if value.is_floating_point() else "b" if str(value.dtype) == "torch.bool" else "i"
    return "i" if value.dtype.kind == "u" else value.dtype.kind
