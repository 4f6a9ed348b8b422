"""Numerical differentiation: derivatives from values alone, and how far they can be trusted.

Differences know nothing of rules, so they are what every rule is checked against; and they cost an evaluation or two
for each entry of the argument, so they are for checking and for functions that cannot be traced.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from thalweg.core.errors import InputError, UnsupportedError
from thalweg.expr.call import label, named
from thalweg.expr.rows import is_tensor, shape_of

_METHODS = ("central", "forward", "complex")

_COMPLEX_STEP = 1e-20
"""Nothing is subtracted, so the step is as small as leaves its square, and nothing else, out of the numbers."""

_DISAGREE = 1e-3
"""Relative. Where differences and a complex step part, a function that is not analytic differs in its first digits."""


def numerical_gradient(
    function: Callable[..., Any], argnums: int = 0, method: str = "central", step: float | None = None
) -> Callable[..., Any]:
    """Make the derivative of a function by differences, one entry of the argument at a time.

    Args:
        function: Any function of arrays, tensors or numbers that gives a number or an array; it is only evaluated.
        argnums: Which positional argument to differentiate with respect to.
        method: "forward" takes n + 1 evaluations for n entries and loses half of the digits; "central" takes 2 n and
            loses a third; "complex" takes n, and two to check itself, and loses none, but needs a function that
            accepts complex numbers and is analytic as it is written (no abs, max or comparison of its argument).
        step: Relative to max(|entry|, 1). None: the root (forward) or the cube root (central) of the dtype's eps.

    Returns:
        A function of the same arguments. It gives an array of the result's shape followed by the argument's shape.

    Raises:
        InputError: for an unknown method, or an argument that is not floating.
        UnsupportedError: for the complex step of a function that is not fit for it.

    Example:
        >>> round(numerical_gradient(lambda x: x**2)(3.0), 6)
        6.0

    """
    _check_method(method)
    if not isinstance(argnums, (int, np.integer)) or isinstance(argnums, bool):
        raise InputError(f"numerical_gradient with argnums={argnums!r}", "give one argument number")

    @named("numerical_gradient", function)
    def gradient(*args: Any, **kwargs: Any) -> Any:
        if not -len(args) <= argnums < len(args):
            raise InputError(f"argnums={argnums} for {len(args)} arguments", f"use 0 to {len(args) - 1}")
        x = _floating(args[argnums], label(function))

        def along(moved: Any) -> Any:
            called = list(args)
            called[argnums] = moved
            return function(*called, **kwargs)

        base = along(x) if method == "forward" else None
        count = int(np.prod(np.shape(x)))
        columns = []
        for i in range(count):
            direction = _unit(x, i)
            size = max(1.0, abs(float(x.reshape(-1)[i] if shape_of(x) else x)))
            columns.append(_quotient(along, x, direction, method, _step(x, method, step) * size, base, label(function)))
        if method == "complex" and count:
            _check_analytic(along, x, columns, label(function))
        return _joined(columns, x, along)

    return gradient


def numerical_derivative(
    function: Callable[..., Any],
    primals: Sequence[Any],
    tangents: Sequence[Any],
    method: str = "central",
    step: float | None = None,
) -> Any:
    """Give the derivative of a function along a direction by a difference: what `jvp` gives, from values alone.

    Args:
        function: Any function of arrays, tensors or numbers; it is only evaluated.
        primals: Its arguments.
        tangents: One direction an argument, of the argument's shape.
        method: As in `numerical_gradient`.
        step: Relative to the size of the arguments over that of the direction; None as in `numerical_gradient`.

    Returns:
        The tangent, shaped like the result.

    Raises:
        InputError: for an unknown method, arguments that are not floating, or tangents that do not match them.
        UnsupportedError: for the complex step of a function that is not fit for it.

    Example:
        >>> round(numerical_derivative(lambda x, y: x * y, (3.0, 2.0), (1.0, 0.0)), 6)
        2.0

    """
    _check_method(method)
    points = [_floating(p, label(function)) for p in primals]
    if len(points) != len(tangents) or any(shape_of(p) != np.shape(t) for p, t in zip(points, tangents, strict=True)):
        raise InputError(f"{len(points)} primals and {len(tangents)} tangents", "give one of its shape for each primal")
    if not points:
        raise InputError("no primals", "give the arguments")
    largest = max([_largest(t) for t in tangents], default=0.0)
    ratio = max(1.0, *[_largest(p) for p in points]) / (largest or 1.0)

    def along(t: Any) -> Any:
        return function(*[p + t * v for p, v in zip(points, tangents, strict=True)])

    coarsest = max(points, key=lambda p: _eps(p))
    size = _step(coarsest, method, step) * ratio
    base = along(0.0) if method == "forward" else None
    result = _quotient(along, 0.0, 1.0, method, size, base, label(function))
    if method == "complex":
        check = _quotient(along, 0.0, 1.0, "central", _step(coarsest, "central", None) * ratio, None, label(function))
        _compare(result, check, label(function))
    return result


def _quotient(
    along: Callable[[Any], Any], x: Any, direction: Any, method: str, size: float, base: Any, name: str
) -> Any:
    """Give one difference quotient."""
    if method == "complex":
        try:
            value = along(x + (1j * size) * direction)
        except TypeError as error:
            raise UnsupportedError(
                f"the complex step of {name}, which does not accept complex numbers ({error})", "use method='central'"
            ) from error
        return value.imag / size if hasattr(value, "imag") else 0.0 * value
    if method == "forward":
        return (along(x + size * direction) - base) / size
    return (along(x + size * direction) - along(x - size * direction)) / (2 * size)


def _check_analytic(along: Callable[[Any], Any], x: Any, columns: Sequence[Any], name: str) -> None:
    """Hold the complex step to a central difference along one direction: `abs` and the like drop the derivative."""
    count = len(columns)
    weights = np.cos(np.arange(count) + 0.5)  # fixed, and in no direction that a function would single out
    direction = weights.reshape(shape_of(x)) if shape_of(x) else float(weights[0])
    if is_tensor(x):
        direction = x.new_tensor(direction)
    size = _step(x, "central", None) * max(1.0, _largest(x))
    check = _quotient(along, x, direction, "central", size, None, name)
    _compare(sum(w * c for w, c in zip(weights.tolist(), columns, strict=True)), check, name)


def _compare(found: Any, check: Any, name: str) -> None:
    difference, scale = _largest(found - check), _largest(check)
    if difference > _DISAGREE * max(1.0, scale):
        raise UnsupportedError(
            f"the complex step of {name} differs from a central difference by {difference:.3g}: the function is not "
            "analytic as it is written (abs, max, comparisons and real parts are not)",
            "use method='central'",
        )


def _joined(columns: Sequence[Any], x: Any, along: Callable[[Any], Any]) -> Any:
    if not shape_of(x):
        return columns[0]
    if not columns:
        return np.zeros((*np.shape(along(x)), *shape_of(x)))
    if is_tensor(x):
        import torch

        stacked = torch.stack([torch.as_tensor(c) for c in columns], dim=-1)
        return stacked.reshape((*stacked.shape[:-1], *x.shape))
    joined = np.stack([np.asarray(c) for c in columns], axis=-1)
    return joined.reshape((*joined.shape[:-1], *x.shape)).astype(x.dtype, copy=False)


def _unit(x: Any, i: int) -> Any:
    if not shape_of(x):
        return 1.0
    e = x.new_zeros(x.shape) if is_tensor(x) else np.zeros(x.shape, dtype=x.dtype)
    e.reshape(-1)[i] = 1.0
    return e


def _floating(x: Any, name: str) -> Any:
    if isinstance(x, (int, float)) and not isinstance(x, (bool, np.generic)):
        return float(x)
    kept: Any = x if is_tensor(x) else np.asarray(x)
    if not (kept.is_floating_point() if is_tensor(kept) else kept.dtype.kind == "f"):
        raise InputError(f"an argument of {name} of dtype {kept.dtype}", "give floating numbers, x.astype(float)")
    return kept.contiguous() if is_tensor(kept) else np.ascontiguousarray(kept).reshape(kept.shape)


def _eps(x: Any) -> float:
    if is_tensor(x):
        import torch

        return float(torch.finfo(x.dtype).eps)
    return float(np.finfo(getattr(x, "dtype", float)).eps)


def _step(x: Any, method: str, step: float | None) -> float:
    """Balance truncation (step, or its square) and rounding (eps / step)."""
    if step is not None:
        if not step > 0:
            raise InputError(f"step={step!r}", "give a positive number")
        return float(step)
    if method == "complex":
        return _COMPLEX_STEP
    # A power of two, so that moving an argument of size 1 by the step is exact.
    return float(2.0 ** np.round(np.log2(_eps(x) ** (1 / 2 if method == "forward" else 1 / 3))))


def _largest(x: Any) -> float:
    return (
        float(abs(x).max()) if int(np.prod(np.shape(x))) and np.shape(x) else float(abs(x)) if not np.shape(x) else 0.0
    )


def _check_method(method: str) -> None:
    if method not in _METHODS:
        raise InputError(f"method={method!r}", f"use {', '.join(_METHODS)}")


def extrapolated_derivative(value: Callable[[float], float], magnitude: float, eps: float) -> tuple[float, float]:
    """Differentiate a function of one number at 0 by central differences at several steps, with an error estimate.

    Steps shrink by 4 from 1/64, so the argument must be scaled to vary over lengths of about 1. Two neighbouring steps
    are combined so that the term in step^2 cancels (Richardson); their difference bounds what is left, and
    eps * magnitude / step bounds the rounding. The pair with the smallest bound wins.

    Args:
        value: The function.
        magnitude: Size of the terms that its value is summed from.
        eps: Spacing of the numbers just above 1.

    Returns:
        The derivative and a bound on its error; (nan, inf) when no step gives finite values.

    """
    best = (float("nan"), float("inf"))
    coarse: float | None = None
    step = 1 / 64
    for _ in range(7):
        with np.errstate(all="ignore"):
            fine = (value(step) - value(-step)) / (2 * step)
        if coarse is not None and np.isfinite(fine) and np.isfinite(coarse):
            bound = abs(fine - coarse) / 15 + 4 * eps * magnitude / step
            if bound < best[1]:
                best = ((16 * fine - coarse) / 15, bound)
        coarse = fine
        step /= 4
    return best
