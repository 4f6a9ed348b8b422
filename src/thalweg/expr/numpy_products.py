"""Products of arrays under NumPy's names, all of them contractions: one row, einsum, does the work."""

from __future__ import annotations

from typing import Any

from thalweg.core.errors import UnsupportedError
from thalweg.expr import namespace
from thalweg.expr.namespace import call, lift, shape_at
from thalweg.expr.numpy_indexing import diagonal
from thalweg.expr.numpy_named import numpy_function
from thalweg.expr.numpy_shapes import moveaxis, stack
from thalweg.expr.shapes import normal_axis, show

einsum = numpy_function(namespace.einsum)
matmul = numpy_function(namespace.matmul)
dot = numpy_function(namespace.dot)
outer = numpy_function(namespace.outer)


@numpy_function
def trace(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    """As `numpy.trace`: the sum along a diagonal."""
    shape = shape_at(a)
    if len(shape) == 2 and offset == 0 and shape[0] == shape[1]:
        return call("einsum", a, params=("ii->",))
    found = diagonal(a, offset, axis1, axis2)
    return call("sum", found, params=((len(found.shape) - 1,), False))


@numpy_function
def cross(a: Any, b: Any, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: int | None = None) -> Any:
    """As `numpy.cross`, for vectors of three entries."""
    if axis is not None:
        axisa = axisb = axisc = axis
    x, y = moveaxis(lift(a), axisa, 0), moveaxis(lift(b), axisb, 0)
    if x.shape[0] != 3 or y.shape[0] != 3:
        raise UnsupportedError(
            f"cross of shapes {show(shape_at(a))} and {show(shape_at(b))}", "give vectors with three entries"
        )
    (x0, x1, x2), (y0, y1, y2) = ([v[i] for i in range(3)] for v in (x, y))
    parts = [x1 * y2 - x2 * y1, x2 * y0 - x0 * y2, x0 * y1 - x1 * y0]
    return stack(parts, axis=normal_axis(axisc, len(parts[0].shape) + 1))
