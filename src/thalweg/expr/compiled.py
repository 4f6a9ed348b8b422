"""`compile`: trace a Python function once for each shape and dtype, improve the graph, and run plain code from then."""

from __future__ import annotations

import functools
import inspect
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from thalweg.core.errors import InputError, UnsupportedError
from thalweg.expr.call import as_numpy_dtype
from thalweg.expr.contract import reorder
from thalweg.expr.cost import Cost, cost
from thalweg.expr.fuse import complete
from thalweg.expr.guard import Guarded
from thalweg.expr.lower import Kernel, lower
from thalweg.expr.node import Node, constant, symbol, tracing
from thalweg.expr.rows import is_tensor, plain_array
from thalweg.expr.simplify import simplify_all
from thalweg.expr.sums import join_products
from thalweg.expr.trace import run_traced
from thalweg.expr.walk import topological

_STATIC = (int, bool, str, type(None), tuple, frozenset, type)
_DOMAINS = {"f": None, "i": "integer", "u": "integer", "b": "truth"}


@dataclass(frozen=True, slots=True)
class Specialization:
    """A function compiled for one signature.

    Attributes:
        inputs: The symbols that stand for the arrays among the arguments.
        traced: The expressions as the function wrote them.
        outputs: The improved expressions, in the order of the kernel's results.
        kernel: The code.
        structure: The function's result, with the number of an output in place of each array.

    """

    inputs: tuple[Node, ...]
    traced: tuple[Node, ...]
    outputs: tuple[Node, ...]
    kernel: Kernel
    structure: Any


class Compiled:
    """A compiled function; see `compile`. It is called like the function that it was made from."""

    def __init__(self, function: Callable[..., Any], fuse: bool) -> None:
        self._function = function
        self._fuse = fuse
        self._made: dict[Any, Callable[..., Any]] = {}
        self._specializations: dict[Any, Specialization] = {}
        self._last: Any = None
        self._lock = threading.RLock()
        functools.update_wrapper(self, function, updated=())

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the code for arguments like these, compiling it if they are the first of their kind."""
        if kwargs:
            args = self._positional(args, kwargs)
        # The common kinds of arguments are told apart in place: a call of a function costs as much as a product.
        key = tuple([(a.shape, a.dtype) if a.__class__ is np.ndarray else
                     float if a.__class__ is float else _signature(a) for a in args])  # fmt: skip
        made = self._made.get(key)
        if made is None:
            made = self._make(args)
        return made(*args)

    def source(self, *args: Any, **kwargs: Any) -> str:
        """Show the code that runs for such arguments (or, without arguments, the code compiled last).

        It is complete but for the arrays that it holds, which its first lines name.
        """
        kernel = self.specialization(*args, **kwargs).kernel
        held = [
            f"# {name}: {v.dtype} of shape {tuple(v.shape)}, held by the code" for name, v in kernel.constants.items()
        ]
        return "\n".join([*held, complete(kernel.source)])

    def cost(self, *args: Any, **kwargs: Any) -> Cost:
        """Count the arithmetic operations and the bytes moved for such arguments; see `thalweg.expr.cost`."""
        return cost(self.specialization(*args, **kwargs).outputs)

    def explain(self, *args: Any, **kwargs: Any) -> str:
        """Say what the code costs for such arguments, and how many operations the passes have saved."""
        made = self.specialization(*args, **kwargs)
        before, after = cost(made.traced), cost(made.outputs)
        saved = before.flops - after.flops
        share = saved / before.flops if before.flops else 0.0
        return f"{before.flops:,} operations as written, {after.flops:,} now: {saved:,} saved ({share:.1%})\n\n{after}"

    def graph(self, *args: Any, **kwargs: Any) -> tuple[Node, ...]:
        """Give the improved expressions for such arguments."""
        return self.specialization(*args, **kwargs).outputs

    def specialization(self, *args: Any, **kwargs: Any) -> Specialization:
        """Give what was compiled for such arguments (or, without arguments, what was compiled last)."""
        if not args and not kwargs:
            if self._last is None:
                raise InputError(f"{_label(self._function)} was not compiled yet", "call it, or give example arguments")
            return self._specializations[self._last]
        args = self._positional(args, kwargs)
        self._make(args)
        return self._specializations[self._key(args)]

    def __repr__(self) -> str:
        return f"<compiled {_label(self._function)}, {len(self._specializations)} signatures>"

    def _positional(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, ...]:
        if not kwargs:
            return args
        try:
            bound = inspect.signature(self._function).bind(*args, **kwargs)
        except (TypeError, ValueError) as error:
            raise InputError(f"{_label(self._function)} cannot be called so: {error}", "match its arguments") from None
        if bound.kwargs:
            raise UnsupportedError(
                f"keyword-only arguments {sorted(bound.kwargs)} of {_label(self._function)}",
                "let it take them by position, or bind them with functools.partial",
            )
        return bound.args

    def _key(self, args: tuple[Any, ...]) -> Any:
        return tuple([_signature(a) for a in args])

    def _make(self, args: tuple[Any, ...]) -> Callable[..., Any]:
        for i, a in enumerate(args):
            _check(a, i, self._function)
        if any(is_tensor(a) for a in args) and any(isinstance(a, np.ndarray) for a in args):
            raise InputError(
                f"{_label(self._function)} was called with tensors and NumPy arrays", "convert, torch.as_tensor(array)"
            )
        key = self._key(args)
        with self._lock:
            if key not in self._made:
                made = self._specialize(args)
                self._specializations[key] = made
                self._made[key] = _caller(made, args)
                self._last = key
        return self._made[key]

    def _specialize(self, args: tuple[Any, ...]) -> Specialization:
        names = _names(self._function, len(args))
        called: list[Any] = []
        inputs: list[Node] = []
        dtypes: list[Any] = []
        for name, a in zip(names, args, strict=True):
            if _is_static(a):
                called.append(a)
                continue
            x = _symbol_for(name, a)
            called.append(x)
            inputs.append(x)
            dtypes.append(a.dtype if not isinstance(a, float) or isinstance(a, np.generic) else None)
        before = tracing.tensors, tracing.dtypes
        tracing.tensors = any(is_tensor(a) for a in args)
        tracing.dtypes = {x: None if d is None else as_numpy_dtype(d) for x, d in zip(inputs, dtypes, strict=True)}
        try:
            with Guarded():
                result = run_traced(self._function, tuple(called), {})
        finally:
            tracing.tensors, tracing.dtypes = before
        outputs: list[Node] = []
        structure = _flatten(result, outputs, self._function)
        _check_held(outputs, inputs, self._function, any(is_tensor(a) for a in args))
        better = tuple(optimized(outputs))
        dialect = "torch" if any(is_tensor(a) for a in args) else "numpy"
        lowered = better[0] if structure.__class__ is int else better
        kernel = lower(lowered, inputs, dialect=dialect, dtypes=dtypes if self._fuse and dialect == "numpy" else None)
        return Specialization(tuple(inputs), tuple(outputs), better, kernel, structure)


def compile(function: Callable[..., Any], *, fuse: bool = True) -> Compiled:
    """Compile a function of arrays to plain code, once for each combination of shapes and dtypes.

    The function is traced: called once on symbols. The graph is simplified, its products are put in the best order, and
    it becomes one Python function of NumPy (or torch) calls, in which runs of elementwise and of scalar operations are
    compiled to machine code. Derivatives are functions like any other: ``compile(grad(f))``, ``compile(hessian(f))``.

    Args:
        function: A Python function written with the functions of NumPy or `thalweg.numpy`. Its array, tensor and float
            arguments vary from call to call; any other argument (a whole number, a text, None) is a constant of the
            code, which is compiled again when it changes. It may return an array or tuples, lists and dicts of arrays.
            Arrays that it finds outside its arguments are constants, too, copied when the code is made (one that is not
            writeable is not): changing them later has no effect.
        fuse: Whether to compile runs of elementwise operations to machine code (a second or so, once, kept on disk);
            NumPy calls otherwise.

    Returns:
        A `Compiled` function with ``.source()``, ``.cost()``, ``.explain()`` and ``.graph()``.

    Raises:
        InputError: for an argument that is neither an array nor a constant, when called.
        UnsupportedError: for an unknown operation, or Python's ``if`` on a traced value, when called.

    Example:
        >>> double = compile(lambda x: x + x)
        >>> double(3.0)
        6.0
        >>> "2.0 * x" in double.source()
        True

    """
    if not callable(function):
        raise InputError(f"compile of {function!r}", "give a function")
    return Compiled(function, fuse)


def optimized(outputs: Sequence[Node]) -> list[Node]:
    """Apply the passes that lowering expects: simplify, contract in the best order, join sums of products."""
    return simplify_all(join_products(simplify_all(reorder(simplify_all(outputs)))))


def _signature(a: Any) -> Any:
    if isinstance(a, (np.ndarray, np.generic)):
        return (plain_array(a).shape, a.dtype)
    if isinstance(a, float):
        return float
    if is_tensor(a):
        return ("torch", tuple(a.shape), a.dtype, a.device)
    try:
        hash(a)
    except TypeError:
        return ("unhashable", a.__class__)  # never a known key: the argument is refused by name
    return ("static", a.__class__, a)


def _is_static(a: Any) -> bool:
    return isinstance(a, _STATIC) or callable(a)


def _check(a: Any, position: int, function: Callable[..., Any]) -> None:
    if isinstance(a, Node):
        raise UnsupportedError(
            f"{_label(function)} is compiled and was called with {a!r}", "differentiate first: compile(grad(f))"
        )
    complex_tensor = is_tensor(a) and a.is_complex()
    if complex_tensor or isinstance(a, (np.ndarray, np.generic)):
        if complex_tensor or a.dtype.kind not in _DOMAINS:
            raise InputError(f"argument {position} of {_label(function)} has dtype {a.dtype}", "give real numbers")
    elif not isinstance(a, float) and not is_tensor(a) and not _is_static(a):
        raise InputError(
            f"argument {position} of {_label(function)} is a {type(a).__name__}",
            "give an array, a tensor, a number, or something hashable that stays the same",
        )


def _check_held(outputs: Sequence[Node], inputs: Sequence[Node], function: Callable[..., Any], tensors: bool) -> None:
    """Refuse what the code would have to take for constant and is not, and arrays among tensors."""
    own = set(inputs)
    for x in topological(outputs):
        if x.op == "variable" or (x.op == "symbol" and x not in own):
            raise UnsupportedError(
                f"{_label(function)} is compiled and reads {x!r}, which is traced or differentiated further out",
                "hand it over as an argument, and compile the derivative: compile(grad(f))",
            )
        if tensors and isinstance(x.value, np.ndarray) and x.value.dtype.kind == "f":
            raise InputError(
                f"{_label(function)} is called with tensors and holds a NumPy array of shape {x.value.shape}",
                "convert it, torch.as_tensor(array)",
            )


def _symbol_for(name: str, a: Any) -> Node:
    if isinstance(a, float) and not isinstance(a, np.generic):
        return symbol(name)
    if is_tensor(a):
        kind = "f" if a.is_floating_point() else "b" if str(a.dtype) == "torch.bool" else "i"
        return symbol(name, tuple(a.shape), _DOMAINS[kind])
    return symbol(name, a.shape, _DOMAINS[a.dtype.kind])


def _names(function: Callable[..., Any], count: int) -> list[str]:
    """Name the arguments as the function does, where it does."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        parameters = []
    names = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)][:count]
    return names + [f"argument{i}" for i in range(len(names), count)]


def _flatten(result: Any, outputs: list[Node], function: Callable[..., Any]) -> Any:
    """Collect the nodes of a result, and put each one's number in its place."""
    if isinstance(result, (Node, bool, int, float, np.ndarray, np.generic)) or is_tensor(result):
        outputs.append(constant(result))
        return len(outputs) - 1
    if isinstance(result, (tuple, list)):
        return _like(result, [_flatten(x, outputs, function) for x in result])
    if isinstance(result, dict):
        return {k: _flatten(v, outputs, function) for k, v in result.items()}
    raise InputError(
        f"{_label(function)} returned {type(result).__name__}", "return arrays, or tuples or dicts of them"
    )


def _unflatten(structure: Any, values: Sequence[Any]) -> Any:
    if isinstance(structure, int):
        return values[structure]
    if isinstance(structure, dict):
        return {k: _unflatten(v, values) for k, v in structure.items()}
    return _like(structure, [_unflatten(x, values) for x in structure])


def _like(sequence: Any, entries: list[Any]) -> Any:
    """Make a tuple, a named tuple or a list of the same kind."""
    return type(sequence)(*entries) if hasattr(sequence, "_fields") else type(sequence)(entries)


def _caller(made: Specialization, args: tuple[Any, ...]) -> Callable[..., Any]:
    """Give a function of all arguments that runs the kernel and restores the result's structure."""
    run = made.kernel.function
    bare = [i for i, a in enumerate(args) if isinstance(a, np.ndarray) and not a.shape]
    if bare:  # a chain takes numbers, not arrays without axes
        unwrapped = run

        def run(*args: Any) -> Any:
            return unwrapped(*[a[()] if i in bare else a for i, a in enumerate(args)])

    if any(_is_static(a) for a in args):
        chosen = tuple([i for i, a in enumerate(args) if not _is_static(a)])
        inner = run

        def run(*args: Any) -> Any:
            return inner(*[args[i] for i in chosen])

    if made.kernel.dialect == "torch":
        recorded = run

        def run(*args: Any) -> Any:
            torch = sys.modules["torch"]
            with torch.no_grad():  # derivatives are Thalweg's to take: the result is a plain tensor
                return recorded(*args)

    structure = made.structure
    if structure.__class__ is int or (type(structure) is tuple and structure == tuple(range(len(made.outputs)))):
        return run
    return lambda *args: _unflatten(structure, run(*args))


def _label(function: Callable[..., Any]) -> str:
    return f"the function {getattr(function, '__name__', type(function).__name__)!r}"
