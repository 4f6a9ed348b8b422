"""Torch's operations in NumPy's vocabulary: one adapter for every name in `op_db` that Thalweg shares.

An adapter has the arguments of torch's operation behind ``m``, the namespace (`thalweg.numpy`, and what `thalweg.expr`
adds). Arguments that it does not name have no counterpart, and neither have those for which it raises `LeftOut`; a
sample is left out for such a reason alone.
"""

from collections.abc import Callable, Sequence
from typing import Any


class LeftOut(Exception):
    """A sample that cannot be compared; the text is the reason that the page shows."""


NO_AXES = "an axis is named of a number that has none"
SEVERAL_AXES = "several axes at once"

SHARED: dict[str, Callable[..., Any]] = {}


def shared(*names: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Enter an adapter under its names in `op_db` ("name.variant" for one variant alone)."""

    def enter(adapter: Callable[..., Any]) -> Callable[..., Any]:
        SHARED.update(dict.fromkeys(names, adapter))
        return adapter

    return enter


def unary(name: str) -> Callable[..., Any]:
    return lambda m, x: m(name)(x)


def _binary(name: str) -> Callable[..., Any]:
    return lambda m, x, other: m(name)(x, other)


def _reflected(name: str) -> Callable[..., Any]:
    return lambda m, x, other: m(name)(other, x)


SAME = ["abs", "ceil", "cos", "cosh", "deg2rad", "erf", "exp", "exp2", "expm1", "floor", "isfinite", "isinf", "isnan",
        "isposinf", "isneginf", "log", "log10", "log1p", "log2", "logical_not", "positive", "rad2deg", "reciprocal",
        "sigmoid", "sign", "signbit", "sin", "sinc", "sinh", "sqrt", "square", "tan", "tanh", "trunc", "zeros_like",
        "ones_like", "ravel", "fliplr", "flipud", "real", "conj", "rsqrt", "erfc", "digamma"]  # fmt: skip
RENAMED = {"acos": "arccos", "acosh": "arccosh", "asin": "arcsin", "asinh": "arcsinh", "atan": "arctan",
           "atanh": "arctanh", "neg": "negative", "sgn": "sign", "conj_physical": "conj", "msort": "sort",
           "clone": "copy", "lgamma": "gammaln", "H": "transpose", "mH": "matrix_transpose",
           "nn.functional.relu": "relu", "mT": "matrix_transpose", "linalg.det": "linalg.det",
           "linalg.inv": "linalg.inv", "linalg.slogdet": "linalg.slogdet", "linalg.svdvals": "linalg.svdvals",
           "logdet": "linalg.logdet", "matrix_exp": "linalg.expm", "trace": "trace", "T": "transpose"}  # fmt: skip
SAME_PAIRS = ["copysign", "eq", "fmax", "fmin", "fmod", "ge", "gt", "heaviside", "hypot", "inner", "kron",
              "le", "logaddexp", "logaddexp2", "logical_and", "logical_or", "logical_xor", "lt", "matmul", "maximum",
              "minimum", "ne", "outer", "pow", "remainder", "float_power", "floor_divide", "dot", "vdot"]  # fmt: skip
RENAMED_PAIRS = {"atan2": "arctan2", "eq": "equal", "ne": "not_equal", "lt": "less", "le": "less_equal",
                 "gt": "greater", "ge": "greater_equal", "true_divide": "divide", "mul": "multiply", "bmm": "matmul",
                 "mm": "matmul", "mv": "matmul", "max.binary": "maximum", "min.binary": "minimum"}  # fmt: skip
REFLECTED = {"__radd__": "add", "__rmul__": "multiply", "__rsub__": "subtract", "__rdiv__": "divide",
             "__rpow__": "power", "__rmod__": "remainder", "__rmatmul__": "matmul"}  # fmt: skip

SHARED |= {name: unary(name) for name in SAME} | {name: unary(ours) for name, ours in RENAMED.items()}
SHARED |= {name: _binary(name) for name in SAME_PAIRS} | {name: _binary(ours) for name, ours in RENAMED_PAIRS.items()}
SHARED |= {name: _reflected(ours) for name, ours in REFLECTED.items()}


def axis_of(x: Any, dim: Any) -> Any:
    """Give torch's ``dim`` as NumPy's ``axis``; an empty list stands for all axes there."""
    if dim is None or dim == () or dim == []:
        return None
    if not x.ndim:
        raise LeftOut(NO_AXES)
    return tuple(dim) if isinstance(dim, (list, tuple)) else dim


def one_axis(x: Any, dim: Any) -> int:
    """Give ``dim`` as one axis."""
    axis = axis_of(x, dim)
    if isinstance(axis, tuple):
        if len(axis) > 1:
            raise LeftOut(SEVERAL_AXES)
        (axis,) = axis
    if axis is None:
        raise LeftOut(SEVERAL_AXES)
    return axis


def sizes_of(shape: Sequence[Any]) -> tuple[int, ...]:
    """Give the sizes that torch takes one by one or as one sequence."""
    return tuple(shape[0]) if len(shape) == 1 and not isinstance(shape[0], int) else tuple(shape)


# Arithmetic
@shared("add")
def _add(m, x, other, *, alpha=1):
    return m("add")(x, other if alpha == 1 else m("multiply")(alpha, other))


@shared("sub")
def _sub(m, x, other, *, alpha=1):
    return m("subtract")(x, other if alpha == 1 else m("multiply")(alpha, other))


@shared("rsub")
def _rsub(m, x, other, alpha=1):
    return m("subtract")(other, x if alpha == 1 else m("multiply")(alpha, x))


@shared("div")
def _div(m, x, other, *, rounding_mode=None):
    if rounding_mode == "floor":
        return m("floor_divide")(x, other)
    ratio = m("divide")(x, other)
    return ratio if rounding_mode is None else m("trunc")(ratio)


@shared("round")
def _round(m, x, *, decimals=0):
    return m("round")(x, decimals)


@shared("frac")
def _frac(m, x):
    return m("modf")(x)[0]


@shared("nan_to_num")
def _nan_to_num(m, x, nan=0.0, posinf=None, neginf=None):
    return m("nan_to_num")(x, nan=0.0 if nan is None else nan, posinf=posinf, neginf=neginf)


@shared("clamp")
def _clamp(m, x, min=None, max=None):
    return m("clip")(x, min, max)


@shared("clamp_min")
def _clamp_min(m, x, min):
    return m("clip")(x, min, None)


@shared("clamp_max")
def _clamp_max(m, x, max):
    return m("clip")(x, None, max)


@shared("where")
def _where(m, x, condition, other):  # op_db puts the condition second
    return m("where")(condition, x, other)


@shared("masked_fill")
def _masked_fill(m, x, mask, value):
    return m("where")(mask, value, x)


@shared("isclose")
def _isclose(m, x, other, rtol=1e-5, atol=1e-8, equal_nan=False):
    return m("isclose")(x, other, rtol=rtol, atol=atol, equal_nan=equal_nan)


@shared("allclose")
def _allclose(m, x, other, rtol=1e-5, atol=1e-8, equal_nan=False):
    return m("allclose")(x, other, rtol=rtol, atol=atol, equal_nan=equal_nan)


@shared("equal")
def _equal(m, x, other):
    return m("array_equal")(x, other)


@shared("nn.functional.softplus")
def _softplus(m, x, beta=1, threshold=20):
    scaled = x if beta == 1 else beta * x
    return m("where")(scaled > threshold, x, m("softplus")(scaled) / beta)


@shared("polygamma", "special.polygamma")
def _polygamma(m, x, n):  # op_db puts the order second
    return m("polygamma")(x, n)


@shared("full_like")
def _full_like(m, x, fill_value):
    return m("full_like")(x, fill_value)


# Reductions
def _reduction(name: str) -> Callable[..., Any]:
    def adapter(m, x, dim=None, keepdim=False):
        return m(name)(x, axis=axis_of(x, dim), keepdims=keepdim)

    return adapter


SHARED |= {name: _reduction(name) for name in ["sum", "mean", "prod", "all", "any", "nansum", "nanmean",
                                               "count_nonzero", "argmax", "argmin"]}  # fmt: skip
SHARED |= {"amax": _reduction("max"), "amin": _reduction("min")}


@shared("max.reduction_no_dim", "max.reduction_with_dim")
def _max(m, x, dim=None, keepdim=False):
    if dim is None:
        return m("max")(x)
    axis = axis_of(x, dim)
    return m("max")(x, axis=axis, keepdims=keepdim), m("argmax")(x, axis=axis, keepdims=keepdim)


@shared("min.reduction_no_dim", "min.reduction_with_dim")
def _min(m, x, dim=None, keepdim=False):
    if dim is None:
        return m("min")(x)
    axis = axis_of(x, dim)
    return m("min")(x, axis=axis, keepdims=keepdim), m("argmin")(x, axis=axis, keepdims=keepdim)


@shared("aminmax")
def _aminmax(m, x, *, dim=None, keepdim=False):
    axis = axis_of(x, dim)
    return m("min")(x, axis=axis, keepdims=keepdim), m("max")(x, axis=axis, keepdims=keepdim)


def _spread(name: str, with_mean: bool = False) -> Callable[..., Any]:
    def adapter(m, x, dim=None, unbiased=None, keepdim=False, *, correction=None):
        if isinstance(dim, bool):  # torch's short form: the flag alone
            dim, unbiased = None, dim
        ddof = (1 if unbiased is None else int(unbiased)) if correction is None else correction
        axis = axis_of(x, dim)
        if _count(x, axis) - ddof <= 0:
            raise LeftOut("no degrees of freedom are left: 0/0")
        found = m(name)(x, axis=axis, ddof=ddof, keepdims=keepdim)
        return (found, m("mean")(x, axis=axis, keepdims=keepdim)) if with_mean else found

    return adapter


def _count(x, axis) -> int:
    axes = range(x.ndim) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    count = 1
    for a in axes:
        count *= x.shape[a]
    return count


SHARED |= {"std": _spread("std"), "var": _spread("var")}
SHARED |= {"std_mean": _spread("std", True), "var_mean": _spread("var", True)}


@shared("logsumexp")
def _logsumexp(m, x, dim, keepdim=False):
    return m("logsumexp")(x, axis=one_axis(x, dim), keepdims=keepdim)


@shared("softmax")
def _softmax(m, x, dim):
    if 0 in x.shape:
        raise LeftOut("an axis without entries has no largest one")
    return m("softmax")(x, axis=one_axis(x, dim))


@shared("cumsum")
def _cumsum(m, x, dim):
    return m("cumsum")(x, axis=one_axis(x, dim))


@shared("cumprod")
def _cumprod(m, x, dim):
    return m("cumprod")(x, axis=one_axis(x, dim))


@shared("diff")
def _diff(m, x, n=1, dim=-1, prepend=None, append=None):
    axis = one_axis(x, dim)
    given = {k: v for k, v in {"prepend": prepend, "append": append}.items() if v is not None}
    if n == 0 and given:
        raise LeftOut("differences of order 0 with ends to join: NumPy leaves the ends out")
    return m("diff")(x, n=n, axis=axis, **given)


@shared("median")
def _median(m, x, dim=None, keepdim=False):
    axis = None if dim is None else one_axis(x, dim)
    if _count(x, axis) % 2 == 0:
        raise LeftOut("an even number of entries: NumPy takes the mean of the middle two, torch the lower")
    found = m("median")(x, axis=axis, keepdims=keepdim)
    return found if dim is None else (found, None)


@shared("quantile")
def _quantile(m, x, q, dim=None, keepdim=False, *, interpolation="linear"):
    if interpolation != "linear":
        raise LeftOut("a way of interpolation that is not linear")
    if hasattr(q, "ndim"):
        raise LeftOut("levels in an array, by which torch differentiates")
    return m("quantile")(x, q, axis=None if dim is None else one_axis(x, dim), keepdims=keepdim)


@shared("trapezoid", "trapz")
def _trapezoid(m, y, x=None, *, dx=1, dim=-1):
    return m("trapezoid")(y, x, dx=dx, axis=one_axis(y, dim))


# Order
@shared("sort")
def _sort(m, x, dim=-1, descending=False, stable=False):
    axis = one_axis(x, dim)
    if descending:
        raise LeftOut("descending: NumPy sorts upwards alone")
    return m("sort")(x, axis=axis), m("argsort")(x, axis=axis, kind="stable")


@shared("argsort")
def _argsort(m, x, dim=-1, descending=False, stable=False):
    axis = one_axis(x, dim)
    if descending:
        raise LeftOut("descending: NumPy sorts upwards alone")
    return m("argsort")(x, axis=axis, kind="stable")


SHARED["msort"] = lambda m, x: m("sort")(x, axis=axis_of(x, 0))
