"""Checking derivatives, and comparing the ways to compute them: records that print as tables."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from thalweg.core.errors import InputError, ThalwegError, UnsupportedError
from thalweg.core.html import table
from thalweg.expr.call import label
from thalweg.expr.compiled import compile as compile_function
from thalweg.expr.jacobian import jacobian
from thalweg.expr.node import Node, symbol
from thalweg.expr.numerical import extrapolated_derivative, numerical_gradient
from thalweg.expr.rows import is_tensor, shape_of
from thalweg.expr.trace import evaluate
from thalweg.expr.transforms import grad, jvp

_MODES = ("forward", "reverse", "symbolic")

_SETTLED = 0.05
"""Of the function's size: how well a difference must be known to say anything about a derivative."""


@dataclass(frozen=True, slots=True)
class DerivativeRow:
    """One comparison.

    Attributes:
        order: 1 or 2.
        mode: Which way of differentiating, such as "reverse" or "forward over reverse".
        argument: The number of the argument that moved, or "all".
        numerical: The derivative along the direction, from values.
        found: The same from the mode.
        allowed: How far they may be apart: ten times the error that the differences show, and rounding; nan if the
            differences do not settle, so that they confirm nothing.

    """

    order: int
    mode: str
    argument: str
    numerical: float
    found: float
    allowed: float

    @property
    def difference(self) -> float:
        """How far the two are apart."""
        return abs(self.found - self.numerical)

    @property
    def passed(self) -> bool:
        """Whether they agree."""
        return self.difference <= self.allowed

    def _cells(self) -> tuple[str, ...]:
        return (
            str(self.order), self.mode, self.argument, f"{self.numerical:.9g}", f"{self.found:.9g}",
            f"{self.difference:.1e}", f"{self.allowed:.1e}", "yes" if self.passed else "NO",
        )  # fmt: skip


_CHECK_HEAD = ("order", "mode", "argument", "numerical", "found", "difference", "allowed", "agree")


@dataclass(frozen=True, slots=True)
class DerivativeCheck:
    """What `check_derivatives` found; print it for a table.

    Attributes:
        function: What was checked.
        rows: One a mode, order and direction.

    """

    function: str
    rows: tuple[DerivativeRow, ...]

    @property
    def passed(self) -> bool:
        """Whether every mode agrees with the differences."""
        return all(row.passed for row in self.rows)

    def __str__(self) -> str:
        return f"derivatives of {self.function}\n" + _text(_CHECK_HEAD, [row._cells() for row in self.rows])

    def _repr_html_(self) -> str:
        return table(_CHECK_HEAD, [row._cells() for row in self.rows])


def check_derivatives(
    function: Callable[..., Any],
    *args: Any,
    order: int = 2,
    modes: Sequence[str] = ("forward", "reverse"),
    argnums: int | Sequence[int] | None = None,
    compile: Callable[[Callable[..., Any]], Callable[..., Any]] | None = None,
    directions: int = 2,
    seed: int = 0,
    raise_on_failure: bool = True,
) -> DerivativeCheck:
    """Hold the derivatives of a function to differences of its values, along random directions.

    An array-valued function is weighted by random numbers. At order 1 each mode's derivative along a direction is
    compared with an extrapolated central difference of the values; at order 2, each mode's second derivative along two
    directions with one of the first derivative, which has then been checked.

    Args:
        function: A function of arrays, tensors and numbers, as in `grad`, with a result of any shape.
        *args: Where to check. Choose a point away from kinks (0 of abs, ties of max): there, differences mean nothing.
        order: 1 or 2.
        modes: Some of "forward", "reverse" and "symbolic" (the expression is derived and then evaluated).
        argnums: Which arguments; None for all that are floating.
        compile: What compiles a function, such as `thalweg.compile`; compiled derivatives are then checked, too.
        directions: Random directions for each argument; as many in all arguments together, if there are several.
        seed: Of the directions.
        raise_on_failure: Whether a disagreement is an error. If not, look at ``.passed`` of the record.

    Returns:
        A record of the comparisons, which prints as a table.

    Raises:
        InputError: when a mode disagrees; the message names mode, order, argument and difference. Also for an order or
            a mode that does not exist.
        UnsupportedError: for an operation that a mode does not know.

    """
    if order not in (1, 2):
        raise InputError(f"order={order!r} of check_derivatives", "use 1 or 2")
    unknown = [m for m in modes if m not in _MODES]
    if unknown or not modes:
        raise InputError(f"modes={modes!r} of check_derivatives", f"choose among {', '.join(_MODES)}")
    chosen = _chosen(args, argnums, function)
    rng = np.random.default_rng(seed)
    weighted, magnitude = _weighted(function, args, chosen, rng)
    points = [args[i] for i in chosen]
    eps = max(_eps(p) for p in points)
    rows: list[DerivativeRow] = []
    sizes = {1: magnitude, 2: 0.0}

    def compare(order: int, mode: str, argument: str, truth: tuple[float, float], found: float) -> None:
        allowed = 10 * truth[1] + 1e3 * eps * abs(truth[0])
        # Differences that do not settle confirm nothing: the row fails.
        settled = allowed <= _SETTLED * max(abs(truth[0]), sizes[order])
        rows.append(DerivativeRow(order, mode, argument, truth[0], found, allowed if settled else float("nan")))

    for argument, v in _directions(points, chosen, directions, rng):
        along = extrapolated_derivative(lambda t, v=v: float(weighted(*_moved(points, t, v))), magnitude, eps)  # type: ignore[misc]
        first = _first_order(weighted, points, v, modes, compile)
        for mode, found in first.items():
            compare(1, mode, argument, along, found)
    if order == 2 and all(row.passed for row in rows):
        base = modes[0]
        for argument, v in _directions(points, chosen, directions, rng):
            (w,) = [d for _, d in _directions(points, chosen, 0, rng)]
            sizes[2] = _size_of_slope(weighted, points, v)
            along = extrapolated_derivative(
                lambda t, v=v, w=w: _first_order(weighted, _moved(points, t, w), v, (base,), None)[base],  # type: ignore[misc]
                sizes[2],
                eps,
            )
            for mode, found in _second_order(weighted, points, v, w, modes, compile).items():
                compare(2, mode, argument, along, found)
    record = DerivativeCheck(label(function), tuple(rows))
    if raise_on_failure and not record.passed:
        worst = [row for row in rows if not row.passed]
        wrong = sorted({row.mode for row in worst})
        bad = worst[0]
        detail = f"{bad.mode} of order {bad.order} with respect to argument {bad.argument} gives {bad.found:.9g}"
        if np.isnan(bad.allowed):
            raise InputError(
                f"{label(function)}: {detail}, which differences cannot confirm: they do not settle",
                "check at a point where the function is smooth and finite",
            )
        raise InputError(
            f"{label(function)}: wrong in mode {', '.join(wrong)}: {detail}, differences give {bad.numerical:.9g}, "
            f"apart by {bad.difference:.2e} where {bad.allowed:.1e} is allowed",
            "mend the rule, or check at a point where the function is smooth",
        )
    return record


def _chosen(args: Sequence[Any], argnums: int | Sequence[int] | None, function: Callable[..., Any]) -> tuple[int, ...]:
    if argnums is None:
        chosen = tuple([i for i, a in enumerate(args) if _is_floating(a)])
    else:
        chosen = (int(argnums),) if isinstance(argnums, (int, np.integer)) else tuple(argnums)
    if not chosen or not all(-len(args) <= i < len(args) and _is_floating(args[i]) for i in chosen):
        raise InputError(f"no floating arguments of {label(function)} to check", "give floating arrays or numbers")
    return tuple([i % len(args) for i in chosen])


def _is_floating(a: Any) -> bool:
    return isinstance(a, float) or (
        bool(a.is_floating_point()) if is_tensor(a) else isinstance(a, (np.ndarray, np.generic)) and a.dtype.kind == "f"
    )


def _eps(a: Any) -> float:
    return float(np.finfo(str(a.dtype).replace("torch.", "") if hasattr(a, "dtype") else float).eps)


def _weighted(
    function: Callable[..., Any], args: Sequence[Any], chosen: Sequence[int], rng: np.random.Generator
) -> tuple[Callable[..., Any], float]:
    """Make a function of the chosen arguments that gives one number, and measure the terms it is summed from."""
    value = function(*args)
    if not isinstance(value, (float, int, np.ndarray, np.generic)) and not is_tensor(value):
        raise InputError(f"{label(function)} returned {type(value).__name__}", "let it return one array or number")
    shape = np.shape(value)
    weights: Any = rng.standard_normal(shape) + np.where(rng.random(shape) < 0.5, -1.0, 1.0)
    if is_tensor(value):
        weights = value.new_tensor(weights)
    elif getattr(value, "dtype", None) is not None and value.dtype.kind == "f" and shape:
        weights = weights.astype(value.dtype)
    elif not shape:
        weights = float(weights)

    def weighted(*points: Any) -> Any:
        called = list(args)
        for i, p in zip(chosen, points, strict=True):
            called[i] = p
        product = function(*called) * weights
        return product.sum() if shape else product

    return weighted, float(abs(value * weights).sum() if shape else abs(value * weights))


def _directions(
    points: Sequence[Any], chosen: Sequence[int], count: int, rng: np.random.Generator
) -> Iterator[tuple[str, list[Any]]]:
    """Give random directions, each argument alone and all together (count 0: one, together), of the arguments' size."""
    if count and len(points) > 1:
        for k, i in enumerate(chosen):
            for _ in range(count):
                yield str(i), [_random_like(p, rng, 1.0 if j == k else 0.0) for j, p in enumerate(points)]
    for _ in range(max(1, count)):
        yield ("all" if len(points) > 1 else str(chosen[0])), [_random_like(p, rng, 1.0) for p in points]


def _random_like(p: Any, rng: np.random.Generator, factor: float) -> Any:
    """Give a direction whose entries are of the size of the point's: a step along it then stays in a domain x > 0."""
    array = np.asarray(p, dtype=float)
    sizes = np.abs(array)
    typical = float(np.sqrt(np.mean(array**2))) if array.size else 0.0
    drawn = factor * rng.uniform(0.5, 1.5, array.shape) * np.where(rng.random(array.shape) < 0.5, -1.0, 1.0)
    drawn = drawn * np.where(sizes > 0, sizes, typical or 1.0)
    if is_tensor(p):
        return p.new_tensor(drawn)
    return drawn.astype(p.dtype) if isinstance(p, (np.ndarray, np.generic)) else float(drawn)


def _moved(points: Sequence[Any], t: float, v: Sequence[Any]) -> list[Any]:
    return [p + t * d for p, d in zip(points, v, strict=True)]


def _paired(gradients: Sequence[Any], v: Sequence[Any]) -> Any:
    """Give the sum over arguments of <gradient, direction>, of arrays or nodes."""
    total: Any = 0.0
    for g, d in zip(gradients, v, strict=True):
        product = g * d
        total = total + (product.sum() if shape_of(product) or isinstance(product, Node) and product.shape else product)
    return total


def _first_order(
    weighted: Callable[..., Any], points: Sequence[Any], v: Sequence[Any], modes: Sequence[str], compile: Any
) -> dict[str, float]:
    numbers = tuple(range(len(points)))
    found: dict[str, float] = {}
    if "forward" in modes:
        found["forward"] = float(jvp(weighted, points, v)[1])
    if "reverse" in modes:
        found["reverse"] = float(_paired(grad(weighted, numbers)(*points), v))
    slope = lambda *x: _paired(grad(weighted, numbers)(*x), v)  # noqa: E731
    if "symbolic" in modes:
        found["symbolic"] = _symbolically(slope, points)
    if compile is not None:
        found["compiled"] = float(_paired(compile(grad(weighted, numbers))(*points), v))
    return found


def _second_order(
    weighted: Callable[..., Any], points: Sequence[Any], v: Sequence[Any], w: Sequence[Any], modes: Any, compile: Any
) -> dict[str, float]:
    numbers = tuple(range(len(points)))
    forward = lambda *x: jvp(weighted, x, v)[1]  # noqa: E731
    reverse = lambda *x: _paired(grad(weighted, numbers)(*x), v)  # noqa: E731
    found: dict[str, float] = {}
    if "forward" in modes:
        found["forward over forward"] = float(jvp(forward, points, w)[1])
    if "forward" in modes and "reverse" in modes:
        found["forward over reverse"] = float(jvp(reverse, points, w)[1])
    if "reverse" in modes:
        found["reverse over reverse"] = float(_paired(grad(reverse, numbers)(*points), w))
    if "symbolic" in modes:
        found["symbolic"] = _symbolically(lambda *x: _paired(grad(reverse, numbers)(*x), w), points)
    if compile is not None:
        found["compiled"] = float(_paired(compile(grad(reverse, numbers))(*points), w))
    return found


def _symbolically(function: Callable[..., Any], points: Sequence[Any]) -> float:
    symbols = [symbol(f"x{i}", tuple(shape_of(p))) for i, p in enumerate(points)]
    expression = function(*symbols)
    return float(
        evaluate(expression, dict(zip(symbols, points, strict=True))) if isinstance(expression, Node) else expression
    )


def _size_of_slope(weighted: Callable[..., Any], points: Sequence[Any], v: Sequence[Any]) -> float:
    """Measure the terms that a first derivative is summed from."""
    try:
        gradients = grad(weighted, tuple(range(len(points))))(*points)
    except ThalwegError:  # there is no reverse mode; the derivative along the direction is all there is
        return abs(float(jvp(weighted, points, v)[1]))
    return float(sum(float(abs(g * d).sum()) if shape_of(g) else abs(g * d) for g, d in zip(gradients, v, strict=True)))


@dataclass(frozen=True, slots=True)
class MethodRow:
    """One way to compute a derivative.

    Attributes:
        method: Its name.
        deviation: Largest difference from reverse mode over the largest entry; None where the method does not apply.
        evaluations: How often the function was called for one derivative.
        seconds: The best time of a call.
        growth: How the cost grows with the numbers of entries of the argument, n, and of the result, m; or why the
            method does not apply.

    """

    method: str
    deviation: float | None
    evaluations: int | None
    seconds: float | None
    growth: str

    def _cells(self) -> tuple[str, ...]:
        return (
            self.method,
            "-" if self.deviation is None else f"{self.deviation:.1e}",
            "-" if self.evaluations is None else str(self.evaluations),
            "-" if self.seconds is None else _duration(self.seconds),
            self.growth,
        )


_METHOD_HEAD = ("method", "deviation", "evaluations", "time", "cost")


@dataclass(frozen=True, slots=True)
class MethodComparison:
    """What `compare_derivatives` found; print it for a table.

    Attributes:
        function: What was differentiated.
        entries: Number of entries of the argument.
        rows: One a method.

    """

    function: str
    entries: int
    rows: tuple[MethodRow, ...]

    def __str__(self) -> str:
        head = f"derivative of {self.function}, n = {self.entries}"
        return f"{head}\n" + _text(_METHOD_HEAD, [row._cells() for row in self.rows])

    def _repr_html_(self) -> str:
        return table(_METHOD_HEAD, [row._cells() for row in self.rows])


def compare_derivatives(
    function: Callable[..., Any],
    x: Any,
    *others: Any,
    compile: Callable[[Callable[..., Any]], Callable[..., Any]] | bool = True,
    repeats: int = 5,
) -> MethodComparison:
    """Compute one derivative in every way there is, and tabulate accuracy and cost.

    Args:
        function: A function of (x, *others), as in `grad`, with a result of any shape.
        x: The argument to differentiate with respect to.
        *others: Further arguments.
        compile: Whether to have a row of compiled reverse mode, or what compiles for it; True is `thalweg.compile`. A
            function that cannot be traced, for a Python ``if`` on its argument, say, gets a row that says so.
        repeats: Calls that are timed, of which the best counts.

    Returns:
        A record that prints as a table: numerical (forward, central, complex step), forward mode, reverse mode,
        compiled.

    Raises:
        UnsupportedError: for an operation that Thalweg does not know.

    """
    calls = 0

    @functools.wraps(function)
    def counted(*args: Any) -> Any:
        nonlocal calls
        calls += 1
        return function(*args)

    if repeats < 1:
        raise InputError(f"repeats={repeats!r}", "give at least 1")
    methods: list[tuple[str, Callable[..., Any], str]] = [
        ("numerical, forward", numerical_gradient(counted, 0, "forward"), "n + 1 evaluations"),
        ("numerical, central", numerical_gradient(counted, 0, "central"), "2 n evaluations"),
        ("numerical, complex step", numerical_gradient(counted, 0, "complex"), "n + 2 evaluations in complex numbers"),
        ("forward mode", jacobian(counted, mode="forward"), "n products, in one walk"),
        ("reverse mode", jacobian(counted, mode="reverse"), "m products, in one walk (1 for a number)"),
    ]
    if compile is not False:
        made = compile_function if compile is True else compile
        methods.append(("compiled", made(jacobian(counted)), "the lesser of n and m products, no Python"))
    reference = np.asarray(jacobian(function, mode="reverse")(x, *others))
    scale = float(np.max(np.abs(reference), initial=0.0)) or 1.0
    rows = []
    for method, derivative, growth in methods:
        try:
            derivative(x, *others)  # compiles, where there is something to compile
            calls = 0
            found = np.asarray(derivative(x, *others))
        except (UnsupportedError, InputError) as error:
            if not method.startswith("numerical") and method != "compiled":
                raise
            rows.append(MethodRow(method, None, None, None, f"does not apply: {error.problem}"))
            continue
        evaluations, best = calls, float("inf")
        for _ in range(repeats):
            start = time.perf_counter()
            derivative(x, *others)
            best = min(best, time.perf_counter() - start)
        deviation = float(np.max(np.abs(found - reference), initial=0.0)) / scale
        rows.append(MethodRow(method, deviation, evaluations, best, growth))
    return MethodComparison(label(function), int(np.prod(np.shape(x))), tuple(rows))


def _duration(seconds: float) -> str:
    return (
        f"{seconds * 1e6:.1f} us"
        if seconds < 1e-3
        else f"{seconds * 1e3:.2f} ms"
        if seconds < 1
        else f"{seconds:.2f} s"
    )


def _text(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, *rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    return "\n".join("  ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)).rstrip() for line in lines)
