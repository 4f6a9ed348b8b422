"""Lowering: a graph becomes the text of one plain Python function of NumPy, torch or JAX, compiled once and kept.

Common subexpressions are computed once. A ufunc writes into the buffer of an operand that is not needed afterwards
(``out=``, in NumPy alone) where shape, kind and precision are sure to agree. Numbers are written as Python literals and
symbolic dimensions as names bound from the arguments' shapes, so a kernel works for every size, and float32 stays
float32. How each library writes what is in :mod:`thalweg.expr.dialects`.
"""

from __future__ import annotations

import hashlib
import linecache
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from thalweg.core.errors import InputError, UnsupportedError
from thalweg.expr.dialects import Dialect, dialect_named, safe_name
from thalweg.expr.differentiate import substitute
from thalweg.expr.fuse import precisions, schedule
from thalweg.expr.node import Node, symbol
from thalweg.expr.sharing import expand_shared
from thalweg.expr.walk import dependents, topological
from thalweg.expr.writer import Writer


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Kernel:
    """A compiled expression.

    Attributes:
        source: The text of the function, complete with its imports; it refers to ``constants`` by name.
        function: The function; calling the kernel calls it.
        outputs: Number of arrays it returns.
        constants: The arrays that the expression holds, by the names they have in the text.
        dialect: The library that the text is written for.

    """

    source: str
    function: Callable[..., Any]
    outputs: int
    constants: Mapping[str, Any]
    dialect: str = "numpy"

    def __call__(self, *arguments: Any) -> Any:
        """Call the function: one array an input; a tuple of arrays, or one array for a single output expression."""
        return self.function(*arguments)


_kernels: dict[tuple[Any, ...], Any] = {}
# A kernel that holds arrays of the user's is remembered only for as long as someone uses it.
_holding: weakref.WeakValueDictionary[tuple[Any, ...], Kernel] = weakref.WeakValueDictionary()


def lower(
    outputs: Node | Sequence[Node],
    inputs: Sequence[Node],
    name: str = "kernel",
    dialect: str = "numpy",
    dtypes: Sequence[Any] | None = None,
) -> Kernel:
    """Compile expressions into one function of ``inputs``.

    Args:
        outputs: One expression (the function returns an array) or several (it returns a tuple).
        inputs: Symbols, in the order of the function's arguments.
        name: Name of the function.
        dialect: The library it computes with: "numpy", "torch" (the function then takes tensors of one device, and may
            itself be differentiated by `torch.autograd`) or "jax" (it may then be given to `jax.jit`).
        dtypes: For NumPy, the dtype of each input (None for a Python number), where shapes are known: elementwise and
            scalar runs are then fused and compiled (:mod:`thalweg.expr.fuse`), for these dtypes alone.

    Returns:
        The kernel, from the cache if the same structure was lowered before.

    Raises:
        InputError: when the expressions need a symbol that is not among the inputs, or the dialect is unknown.
        UnsupportedError: for an operation without a spelling in the dialect, or when JAX is asked for and missing.

    """
    single = isinstance(outputs, Node)
    nodes = [outputs] if isinstance(outputs, Node) else list(outputs)
    fused = None if dtypes is None else tuple(map(str, dtypes))
    key = (name, dialect, fused, single, tuple([x.key for x in nodes]), tuple([x.key for x in inputs]))
    kernel: Kernel | None = _kernels.get(key) or _holding.get(key)
    if kernel is None:
        source, constants = write(outputs, inputs, name, dialect, dtypes)
        try:
            # Its globals must not hold the function: a cycle would keep arrays until the collector runs.
            function = compile_source(source, constants).pop(name)
        except ModuleNotFoundError as error:
            raise UnsupportedError(
                f"lowering to {dialect} without {error.name} installed",
                f"install {error.name}, or print the text with `write`",
            ) from None
        kernel = Kernel(source, function, len(nodes), constants, dialect)
        if constants:
            _holding[key] = kernel
        else:
            _kernels[key] = kernel
    return kernel


def write(
    outputs: Node | Sequence[Node],
    inputs: Sequence[Node],
    name: str = "kernel",
    dialect: str = "numpy",
    dtypes: Sequence[Any] | None = None,
) -> tuple[str, dict[str, Any]]:
    """Write what `lower` compiles, without compiling it; the arguments and errors are those of `lower`.

    Returns:
        The text, complete with its imports, and the arrays that it refers to by name.

    """
    nodes = [outputs] if isinstance(outputs, Node) else list(outputs)
    chosen = dialect_named(dialect)
    constants: dict[str, Any] = {}
    arguments = [(x.name, x) for x in inputs]
    single = isinstance(outputs, Node)
    text = write_function(name, nodes, arguments, constants, single=single, dialect=chosen, dtypes=dtypes)
    if f"{name}_careful(" in text:
        text = write_function(f"{name}_careful", nodes, arguments, constants, single=single) + text
    return chosen.header(text) + text, constants


def lower_staged(
    outputs: Sequence[Node], early: Sequence[Node], late: Sequence[Node], name: str = "kernel", dialect: str = "numpy"
) -> tuple[Kernel, Kernel]:
    """Compile expressions in two stages: what does not depend on the late inputs is computed once and kept.

    Args:
        outputs: The expressions.
        early: Symbols known first.
        late: Symbols known later, perhaps many times (the direction of a Hessian-vector product).
        name: Prefix of the function names.
        dialect: As in `lower`.

    Returns:
        ``early(*early) -> residuals`` (a tuple of arrays) and ``late(residuals, *late) -> tuple of outputs``.

    """
    keys = [tuple([x.key for x in nodes]) for nodes in (outputs, early, late)]
    key = (name, dialect, "staged", *keys)
    if key in _kernels:
        stages: tuple[Kernel, Kernel] = _kernels[key]
        return stages
    chosen = dialect_named(dialect)
    residuals, finals, slots = split_stages(outputs, late)
    constants: dict[str, Any] = {}
    first = write_function(f"{name}_early", residuals, [(x.name, x) for x in early], constants, dialect=chosen)
    second = write_function(
        f"{name}_late", finals, [(x.name, x) for x in late], constants, [(x.name, x) for x in slots], dialect=chosen
    )
    names = compile_source(chosen.header(first + second) + first + second, constants)
    stages = (
        Kernel(chosen.header(first) + first, names.pop(f"{name}_early"), len(residuals), constants, dialect),
        Kernel(chosen.header(second) + second, names.pop(f"{name}_late"), len(finals), constants, dialect),
    )
    if not constants:
        _kernels[key] = stages
    return stages


def split_stages(outputs: Sequence[Node], late: Sequence[Node]) -> tuple[list[Node], list[Node], list[Node]]:
    """Cut a graph where it first meets the late inputs.

    Returns:
        The residuals (early expressions that the late part reads), the outputs rewritten in residual symbols, and those
        symbols.

    """
    order = topological(outputs)
    tied = dependents(order, late)
    cut: dict[Node, None] = {}
    for node in order:
        if node in tied:
            cut.update({x: None for x in node.inputs if x not in tied and not _weightless(x)})
    cut.update({x: None for x in outputs if x not in tied and not _weightless(x)})
    # A residual keeps its kind: the domain "class" is what marks whole numbers.
    slots = {x: symbol(f"r{i}", x.shape, "class" if x.kind == "i" else None) for i, x in enumerate(cut)}
    return list(slots), substitute(outputs, slots), list(slots.values())


def _weightless(node: Node) -> bool:
    """Say whether a node is a number, an array in the graph, or a broadcast of one: nothing worth keeping."""
    return all(x.value is not None or x.op in ("broadcast_to", "dimension", "eye") for x in topological([node]))


def compile_source(source: str, constants: Mapping[str, Any]) -> dict[str, Any]:
    """Execute generated text; a traceback through it shows its lines."""
    filename = f"<thalweg {hashlib.blake2b(source.encode(), digest_size=8).hexdigest()}>"
    linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)
    names: dict[str, Any] = dict(constants)
    exec(compile(source, filename, "exec"), names)
    return names


def write_function(
    name: str,
    outputs: Sequence[Node],
    inputs: Sequence[tuple[str, Node]],
    constants: dict[str, Any],
    residuals: Sequence[tuple[str, Node]] | None = None,
    single: bool = False,
    dialect: Dialect | None = None,
    dtypes: Sequence[Any] | None = None,
) -> str:
    """Write the text of one function; `Dialect.header` gives the imports it needs.

    Args:
        name: Its name.
        outputs: What it returns.
        inputs: Argument names and their leaves.
        constants: Filled with the arrays that the text refers to.
        residuals: Leaves that arrive together in one tuple, as the first argument; None for no such argument.
        single: Return the one output itself, not a tuple.
        dialect: The library; NumPy if None.
        dtypes: The dtypes of the inputs, to fuse for them; the text may then call ``<name>_careful``, the same function
            unfused.

    Returns:
        Python source.

    """
    if safe_name(name) != name:
        raise InputError(f"a function named {name!r} would hide what it uses", f"call it {safe_name(name)!r}")
    writer = Writer(inputs, residuals, constants, dialect or dialect_named("numpy"))
    lean = expand_shared(outputs)
    if dtypes is None:
        return writer.write(name, lean, single)
    leaves = [x for _, x in inputs]
    writer.dtypes = precisions(topological([*lean, *leaves]), dict(zip(leaves, dtypes, strict=True)))
    return writer.write(name, lean, single, schedule(lean, leaves))
