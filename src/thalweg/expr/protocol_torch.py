"""torch's own functions on nodes: what `torch.sin(node)` and `tensor @ node` mean, and a clear refusal for the rest.

Only functions that mean the same here as in torch are listed; a name alone is no reason, since torch and NumPy use some
names differently (`split`, `std`, `max` along a dimension).
"""

from __future__ import annotations

import difflib
import importlib
import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from thalweg.core.errors import InputError, UnsupportedError
from thalweg.expr import namespace
from thalweg.expr.node import Node, build, constant, table

_SAME = (
    "add sub mul div neg pow square exp log log1p expm1 sqrt rsqrt tanh sigmoid relu abs sign sin cos tan sinh cosh "
    "arcsin arccos arctan arcsinh arccosh arctanh arctan2 floor ceil trunc erf maximum minimum logaddexp logical_and "
    "logical_or logical_not lt le gt ge eq ne isfinite isnan isinf"
)
ELEMENTWISE: dict[str, str] = {
    **{name: name for name in _SAME.split()},
    "subtract": "sub", "multiply": "mul", "divide": "div", "true_divide": "div", "truediv": "div", "negative": "neg",
    "absolute": "abs", "asin": "arcsin", "acos": "arccos", "atan": "arctan", "asinh": "arcsinh", "acosh": "arccosh",
    "atanh": "arctanh", "atan2": "arctan2", "round": "rint", "fix": "trunc", "expit": "sigmoid", "less": "lt",
    "less_equal": "le", "greater": "gt", "greater_equal": "ge", "not_equal": "ne", "and": "logical_and",
    "or": "logical_or", "invert": "logical_not", "bitwise_and": "logical_and", "bitwise_or": "logical_or",
    "bitwise_not": "logical_not", "fmod": "", "remainder": "mod", "mod": "mod", "sgn": "sign",
}  # fmt: skip
"""torch's names of rows that work entry by entry; "" where torch means something else by the row's name."""


def _reflected(name: str) -> Callable[[Any, Any], Any]:
    return lambda input, other: build(name, other, input)


def _linear_combination(name: str) -> Callable[..., Any]:
    return lambda input, other, *, alpha=1: build(name, input, other if alpha == 1 else build("mul", alpha, other))


def _divide(input: Any, other: Any, *, rounding_mode: str | None = None) -> Any:
    quotient = build("div", input, other)
    if rounding_mode is None:
        return quotient
    return build({"floor": "floor", "trunc": "trunc"}[rounding_mode], quotient)


def _reduction(name: str) -> Callable[..., Any]:
    def reduce(input: Any, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
        if dtype is not None:
            raise UnsupportedError(f"torch.{name} of a node with dtype={dtype}", "convert the tensor before")
        return getattr(namespace, name)(input, axis=dim if dim is None or isinstance(dim, int) else tuple(dim) or None,
                                        keepdims=keepdim)  # fmt: skip

    return reduce


def _extremum(name: str) -> Callable[..., Any]:
    def extremum(input: Any, dim: Any = None, keepdim: bool = False, *, other: Any = None) -> Any:
        if isinstance(dim, Node) or hasattr(dim, "dtype"):
            dim, other = None, dim
        if other is not None:
            return build(f"{name}imum", input, other)
        if dim is not None:
            raise UnsupportedError(
                f"torch.{name} of a node along a dimension, which gives values and indices", f"use torch.a{name}"
            )
        return getattr(namespace, name)(input)

    return extremum


def _norm(input: Any, p: Any = "fro", dim: Any = None, keepdim: bool = False, dtype: Any = None) -> Any:
    if p not in ("fro", 2, None) or dtype is not None:
        raise UnsupportedError(f"torch.norm of a node with p={p!r}, dtype={dtype}", "use thalweg.numpy.linalg.norm")
    return build("sqrt", _sum(build("square", input), dim, keepdim))


def _variance(input: Any, dim: Any = None, unbiased: bool | None = None, *, correction: float | None = None,
              keepdim: bool = False) -> Any:  # fmt: skip
    if isinstance(dim, bool):
        dim, unbiased = None, dim
    correction = correction if correction is not None else 0 if unbiased is False else 1
    x = constant(input)
    mean = _mean(x, dim, True)
    squares = _sum(build("square", build("sub", x, mean)), dim, keepdim)
    return build("div", squares, build("sub", _entries(x, dim), correction))


def _entries(x: Node, dim: Any) -> Any:
    axes = range(x.ndim) if dim is None else [dim] if isinstance(dim, int) else dim
    count: Any = 1
    for axis in axes:
        count = count * namespace.dimension(x.shape[axis])
    return count


def _clamp(input: Any, min: Any = None, max: Any = None) -> Any:
    x = input if min is None else build("maximum", input, min)
    return x if max is None else build("minimum", x, max)


def _permute(input: Any, *dims: Any) -> Any:
    return namespace.transpose(input, dims[0] if len(dims) == 1 and not isinstance(dims[0], int) else dims)


def _swap(input: Any, dim0: int, dim1: int) -> Any:
    x = constant(input)
    order = list(range(x.ndim))
    order[dim0], order[dim1] = order[dim1], order[dim0]
    return namespace.transpose(x, order)


def _transposed(input: Any) -> Any:
    x = constant(input)
    if x.ndim > 2:
        raise InputError(f"torch.t of a node of shape {x.shape}", "use torch.transpose(x, dim0, dim1)")
    return x.T


def _reshape(input: Any, *shape: Any) -> Any:
    return namespace.reshape(input, shape[0] if len(shape) == 1 and not isinstance(shape[0], int) else shape)


def _flatten(input: Any, start_dim: int = 0, end_dim: int = -1) -> Any:
    x = constant(input)
    if not x.ndim:
        return namespace.reshape(x, (1,))
    start, end = start_dim % x.ndim, end_dim % x.ndim
    return namespace.reshape(x, (*x.shape[:start], -1, *x.shape[end + 1 :]))


def _unsqueeze(input: Any, dim: int) -> Any:
    x = constant(input)
    shape = list(x.shape)
    shape.insert(dim % (x.ndim + 1), 1)
    return namespace.reshape(x, tuple(shape))


def _squeeze(input: Any, dim: Any = None) -> Any:
    x = constant(input)
    axes = range(x.ndim) if dim is None else [d % x.ndim for d in ([dim] if isinstance(dim, int) else dim)]
    return namespace.reshape(x, tuple([d for i, d in enumerate(x.shape) if i not in axes or d != 1]))


def _joined(tensors: Sequence[Any], dim: int = 0) -> Any:
    return namespace.concatenate(tensors, axis=dim)


def _stack(tensors: Sequence[Any], dim: int = 0) -> Any:
    return namespace.concatenate([_unsqueeze(x, dim) for x in tensors], axis=dim)


def _expand(input: Any, *size: Any) -> Any:
    x = constant(input)
    target = list(size[0] if len(size) == 1 and not isinstance(size[0], int) else size)
    lead = len(target) - x.ndim
    target = [x.shape[i - lead] if d == -1 else d for i, d in enumerate(target)]
    return namespace.broadcast_to(x, tuple(target))


def _where(condition: Any, input: Any, other: Any) -> Any:
    if not isinstance(condition, Node) and isinstance(input, Node) and not hasattr(condition, "dtype"):
        condition = bool(condition)
    return namespace.where(condition, input, other)


def _einsum(equation: str, *operands: Any) -> Any:
    given = operands[0] if len(operands) == 1 and isinstance(operands[0], (list, tuple)) else operands
    return namespace.einsum(equation, *given)


def _product(name: str, axes: tuple[int, int]) -> Callable[[Any, Any], Any]:
    def product(input: Any, other: Any) -> Any:
        a, b = constant(input), constant(other)
        if (a.ndim, b.ndim) != axes:
            raise InputError(
                f"torch.{name} of shapes {a.shape} and {b.shape}",
                f"give {axes[0]} and {axes[1]} axes, or use torch.matmul",
            )
        return namespace.matmul(a, b)

    return product


def _softmax(input: Any, dim: int, *, dtype: Any = None) -> Any:
    if dtype is not None:
        raise UnsupportedError(f"torch.softmax of a node with dtype={dtype}", "convert the tensor before")
    return namespace.softmax(input, axis=dim)


def _functional_softmax(input: Any, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Any:
    if dim is None:
        raise UnsupportedError("torch.nn.functional.softmax of a node without dim", "give dim=-1")
    return _softmax(input, dim, dtype=dtype)


def _log_softmax(input: Any, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Any:
    if dim is None or dtype is not None:
        raise UnsupportedError("torch log_softmax of a node without dim, or with a dtype", "give dim=-1 alone")
    return build("sub", input, namespace.logsumexp(input, axis=dim, keepdims=True))


def _logsumexp(input: Any, dim: Any, keepdim: bool = False) -> Any:
    if not isinstance(dim, int):
        if len(dim) != 1:
            raise UnsupportedError(f"torch.logsumexp of a node over the dimensions {dim}", "reduce one at a time")
        (dim,) = dim
    return namespace.logsumexp(input, axis=dim, keepdims=keepdim)


def _softplus(input: Any, beta: float = 1.0, threshold: float = 20.0) -> Any:
    return build("softplus", input) if beta == 1 else build("div", build("softplus", build("mul", beta, input)), beta)


def _relu(input: Any, inplace: bool = False) -> Any:
    if inplace:
        raise UnsupportedError("torch relu of a node in place", "write x = relu(x)")
    return build("relu", input)


def _detach(input: Any) -> Any:
    raise UnsupportedError(
        "detach of a node: the derivative would be lost unseen",
        "read .value of an eager node, or leave it out of argnums",
    )


_sum, _mean = _reduction("sum"), _reduction("mean")
_max, _min = _extremum("max"), _extremum("min")

FUNCTIONS: dict[str, Callable[..., Any]] = {
    "add": _linear_combination("add"), "sub": _linear_combination("sub"), "subtract": _linear_combination("sub"),
    "div": _divide, "divide": _divide, "true_divide": lambda input, other: build("div", input, other),
    "rsub": _reflected("sub"), "rdiv": _reflected("div"), "rtruediv": _reflected("div"), "rpow": _reflected("pow"),
    "radd": _reflected("add"), "rmul": _reflected("mul"),
    "rmatmul": lambda input, other: namespace.matmul(other, input),
    "rand": _reflected("logical_and"), "ror": _reflected("logical_or"), "rmod": _reflected("mod"),
    "reciprocal": lambda input: build("div", 1.0, input), "positive": lambda input: input,
    "log2": lambda input: build("div", build("log", input), math.log(2.0)),
    "log10": lambda input: build("div", build("log", input), math.log(10.0)),
    "exp2": lambda input: build("exp", build("mul", input, math.log(2.0))),
    "sum": _sum, "mean": _mean, "amax": _reduction("max"), "amin": _reduction("min"), "max": _max, "min": _min,
    "var": _variance, "std": lambda *args, **kwargs: build("sqrt", _variance(*args, **kwargs)),
    "norm": _norm, "logsumexp": _logsumexp, "softmax": _softmax, "log_softmax": _log_softmax, "logsigmoid":
    lambda input: build("neg", build("softplus", build("neg", input))), "softplus": _softplus,
    "clamp": _clamp, "clip": _clamp, "clamp_min": lambda input, min: build("maximum", input, min),
    "clamp_max": lambda input, max: build("minimum", input, max), "where": _where,
    "matmul": lambda input, other: namespace.matmul(input, other), "mm": _product("mm", (2, 2)),
    "mv": _product("mv", (2, 1)), "dot": _product("dot", (1, 1)), "bmm": _product("bmm", (3, 3)),
    "inner": lambda input, other: _inner(input, other), "outer": lambda input, vec2: namespace.outer(input, vec2),
    "einsum": _einsum, "trace": lambda input: namespace.trace_of(input),
    "reshape": _reshape, "view": _reshape, "flatten": _flatten, "ravel": lambda input: _flatten(input),
    "permute": _permute, "transpose": _swap, "swapaxes": _swap, "t": _transposed,
    "unsqueeze": _unsqueeze, "squeeze": _squeeze, "cat": _joined, "concat": _joined, "concatenate": _joined,
    "stack": _stack, "broadcast_to": lambda input, size: namespace.broadcast_to(input, tuple(size)),
    "expand": _expand, "detach": _detach, "dim": lambda input: constant(input).ndim,
    "numel": lambda input: namespace.count_along(constant(input), None), "item": _detach, "numpy": _detach,
    "tolist": _detach,
}  # fmt: skip
ELSEWHERE: dict[str, tuple[str, str, dict[str, str]]] = {
    **{
        f"linalg_{name}": ("namespace_linalg", name, {"A": "a", "input": "a", "B": "b"})
        for name in ("inv", "solve", "cholesky", "det", "slogdet", "eigh", "eigvalsh")
    },
    "linalg_svdvals": ("namespace_linalg", "svdvals", {}),
    "linalg_matrix_power": ("namespace_products", "matrix_power", {"A": "a", "input": "a"}),
    "inverse": ("namespace_linalg", "inv", {"input": "a"}), "det": ("namespace_linalg", "det", {"input": "a"}),
    "slogdet": ("namespace_linalg", "slogdet", {"input": "a"}),
    "logdet": ("namespace_linalg", "logdet", {"input": "a"}),
    "linalg_norm": ("namespace_norms", "norm", {"A": "x", "input": "x", "dim": "axis", "keepdim": "keepdims"}),
    "kron": ("namespace_products", "kron", {"input": "a", "other": "b"}),
    "cumsum": ("numpy_reductions", "cumsum", {"input": "a", "dim": "axis"}),
    "flip": ("numpy_shapes", "flip", {"input": "m", "dims": "axis"}),
    "tril": ("numpy_indexing", "tril", {"input": "m", "diagonal": "k"}),
    "triu": ("numpy_indexing", "triu", {"input": "m", "diagonal": "k"}),
}  # fmt: skip
"""torch's names of functions in other files that mean the same there, with the arguments that are named otherwise."""


def _elsewhere(name: str) -> Callable[..., Any]:
    module, function, renamed = ELSEWHERE[name]
    found: Callable[..., Any] = getattr(importlib.import_module(f"thalweg.expr.{module}"), function)

    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return found(*args, **{renamed.get(k, k): v for k, v in kwargs.items()})
        except TypeError as error:
            if isinstance(error, UnsupportedError):
                raise
            raise UnsupportedError(f"torch's {name} on a node: {error}", "use the plain form of the function") from None

    return call


FUNCTIONAL: dict[str, Callable[..., Any]] = {
    "relu": _relu, "softmax": _functional_softmax, "log_softmax": _log_softmax, "softplus": _softplus,
    "linear": lambda input, weight, bias=None: _affine(input, weight, bias),
    "mse_loss": lambda input, target: _mean(build("square", build("sub", input, target))),
}  # fmt: skip
"""What `torch.nn.functional` means by its names."""


def _inner(input: Any, other: Any) -> Any:
    a, b = constant(input), constant(other)
    return namespace.dot(a, b) if a.ndim <= 1 and b.ndim <= 1 else namespace.matmul(a, _swap(b, -1, -2))


def _affine(input: Any, weight: Any, bias: Any) -> Any:
    product = namespace.matmul(input, _swap(weight, -1, -2))
    return product if bias is None else build("add", product, bias)


def call_torch(function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """Build what one of torch's functions means on nodes.

    Args:
        function: The function, or method of a tensor, that was called with a node among its arguments.
        args: Its positional arguments.
        kwargs: Its keyword arguments.

    Returns:
        A node.

    Raises:
        UnsupportedError: for a function that is not listed, or an argument that it does not take here.

    """
    row = _plain.get(function)
    if row is not None and not kwargs and len(args) == 1 + (row in _BINARY):
        return build(row, *args)
    name = getattr(function, "__name__", str(function))
    plain = (name.strip("_") if name.startswith("__") else name).removeprefix("special_")
    functional = "functional" in (getattr(function, "__module__", "") or "")
    if not name.startswith("__") and plain.endswith("_") or name.startswith("__i") and plain[1:] in _IN_PLACE:
        raise UnsupportedError(
            f"torch's {name} was asked to write in place with a node", "nodes are immutable: write a = a + b"
        )
    if kwargs.get("out") is not None:
        raise UnsupportedError(f"torch.{name} of a node with out=", "nodes are immutable: use the result")
    known = (FUNCTIONAL.get(plain) if functional else None) or FUNCTIONS.get(plain)
    row = ELEMENTWISE.get(plain, "")
    if known is None and row in table():
        _plain[function] = row
        known = _entrywise(row)
    if known is None and plain in ELSEWHERE:
        known = _elsewhere(plain)
    known = known or FUNCTIONAL.get(plain)  # some of that module's functions do not say that they are its
    if known is None:
        label = f"torch.nn.functional.{name}" if functional else f"torch.{name}"
        raise UnsupportedError(f"{label} has no derivative rule here", _closest(plain))
    given = {k: v for k, v in kwargs.items() if k != "out"}
    try:
        inspect.signature(known).bind(*args, **given)
    except TypeError as error:
        raise UnsupportedError(f"torch.{name} on a node: {error}", "use the plain form of the function") from None
    return known(*args, **given)


_plain: dict[Any, str] = {}  # functions met before that are one row each: looking a signature up takes 20 us
_IN_PLACE = frozenset(["add", "sub", "mul", "truediv", "pow", "matmul", "and", "or"])


_BINARY = ("add", "sub", "mul", "div", "pow", "maximum", "minimum", "logaddexp", "arctan2", "mod", "logical_and",
           "logical_or", "lt", "le", "gt", "ge", "eq", "ne")  # fmt: skip


def _entrywise(row: str) -> Callable[..., Any]:
    if row in _BINARY:
        return lambda input, other: build(row, input, other)
    return lambda input: build(row, input)


def _closest(name: str) -> str:
    known = sorted({*FUNCTIONS, *ELEMENTWISE, *ELSEWHERE})
    close = difflib.get_close_matches(name, known, 3)
    hint = f"the closest known are {', '.join(close)}; " if close else ""
    return f"{hint}or write it with functions that have one, such as torch.exp, sum, where, einsum and matmul"
