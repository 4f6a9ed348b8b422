"""Elementwise functions under NumPy's names: one line where a row of the operation table does it, else a composite."""

from __future__ import annotations

import builtins
import math
from collections.abc import Callable, Sequence
from typing import Any

from thalweg.core.errors import InputError, UnsupportedError
from thalweg.expr import namespace
from thalweg.expr.namespace import call, in_precision_of, is_traced, lift
from thalweg.expr.node import Node
from thalweg.expr.numpy_named import numpy_function, ufunc
from thalweg.expr.rows import kind_of

add = ufunc("add", "add")
subtract = ufunc("subtract", "sub")
multiply = ufunc("multiply", "mul")
divide = true_divide = ufunc("true_divide", "div")
negative = ufunc("negative", "neg")
power = pow = ufunc("power", "pow")
float_power = ufunc("float_power", "pow")
square = ufunc("square", "square")
sqrt = ufunc("sqrt", "sqrt")
cbrt = ufunc("cbrt", "cbrt")
exp = ufunc("exp", "exp")
exp2 = ufunc("exp2", "exp2")
expm1 = ufunc("expm1", "expm1")
log = ufunc("log", "log")
log2 = ufunc("log2", "log2")
log10 = ufunc("log10", "log10")
log1p = ufunc("log1p", "log1p")
logaddexp = ufunc("logaddexp", "logaddexp")
abs = absolute = ufunc("absolute", "abs")
fabs = ufunc("fabs", "abs")
sign = ufunc("sign", "sign")
sin = ufunc("sin", "sin")
cos = ufunc("cos", "cos")
tan = ufunc("tan", "tan")
asin = arcsin = ufunc("arcsin", "arcsin")
acos = arccos = ufunc("arccos", "arccos")
atan = arctan = ufunc("arctan", "arctan")
atan2 = arctan2 = ufunc("arctan2", "arctan2")
hypot = ufunc("hypot", "hypot")
sinh = ufunc("sinh", "sinh")
cosh = ufunc("cosh", "cosh")
tanh = ufunc("tanh", "tanh")
asinh = arcsinh = ufunc("arcsinh", "arcsinh")
acosh = arccosh = ufunc("arccosh", "arccosh")
atanh = arctanh = ufunc("arctanh", "arctanh")
floor = ufunc("floor", "floor")
ceil = ufunc("ceil", "ceil")
rint = ufunc("rint", "rint")
trunc = ufunc("trunc", "trunc")
mod = remainder = ufunc("remainder", "mod")
floor_divide = ufunc("floor_divide", "floor_divide")
maximum = ufunc("maximum", "maximum")
minimum = ufunc("minimum", "minimum")
less = ufunc("less", "lt")
less_equal = ufunc("less_equal", "le")
greater = ufunc("greater", "gt")
greater_equal = ufunc("greater_equal", "ge")
equal = ufunc("equal", "eq")
not_equal = ufunc("not_equal", "ne")
logical_and = ufunc("logical_and", "logical_and")
logical_or = ufunc("logical_or", "logical_or")
logical_not = ufunc("logical_not", "logical_not")
isfinite = ufunc("isfinite", "isfinite")
isnan = ufunc("isnan", "isnan")
isinf = ufunc("isinf", "isinf")
signbit = ufunc("signbit", "signbit")

_LN2 = math.log(2.0)
_SINC_SERIES = (1 / 362880, -1 / 5040, 1 / 120, -1 / 6, 1.0)


@numpy_function
def positive(x: Any) -> Any:
    """As `numpy.positive`: x itself."""
    return x


@numpy_function
def reciprocal(x: Any) -> Any:
    """As `numpy.reciprocal`: 1 / x."""
    return call("div", 1.0, x)


@numpy_function
def logaddexp2(x1: Any, x2: Any) -> Any:
    """As `numpy.logaddexp2`: log2(2 ** x1 + 2 ** x2), without overflow."""
    x1, x2 = lift(x1), lift(x2)
    return call("mul", call("logaddexp", call("mul", x1, _LN2), call("mul", x2, _LN2)), 1 / _LN2)


@numpy_function
def deg2rad(x: Any) -> Any:
    """As `numpy.deg2rad`."""
    return call("mul", x, math.pi / 180)


@numpy_function
def rad2deg(x: Any) -> Any:
    """As `numpy.rad2deg`."""
    return call("mul", x, 180 / math.pi)


@numpy_function
def radians(x: Any) -> Any:
    """As `numpy.radians`."""
    return call("mul", x, math.pi / 180)


@numpy_function
def degrees(x: Any) -> Any:
    """As `numpy.degrees`."""
    return call("mul", x, 180 / math.pi)


@numpy_function
def fmod(x1: Any, x2: Any) -> Any:
    """As `numpy.fmod`: the remainder with the sign of x1."""
    x1, size = lift(x1), absolute(lift(x2))
    return where(less(x1, 0), negative(remainder(negative(x1), size)), remainder(x1, size))


@numpy_function
def divmod(x1: Any, x2: Any) -> Any:
    """As `numpy.divmod`: the pair (x1 // x2, x1 % x2)."""
    return floor_divide(x1, x2), remainder(x1, x2)


@numpy_function
def modf(x: Any) -> Any:
    """As `numpy.modf`: the fractional and the integral part."""
    whole = trunc(x)
    return subtract(x, whole), whole


@numpy_function
def ldexp(x1: Any, x2: Any) -> Any:
    """As `numpy.ldexp`: x1 * 2 ** x2."""
    return multiply(x1, in_precision_of(power(2.0, x2), x1) if not is_traced(x2) else power(2.0, x2))


@numpy_function
def fmax(x1: Any, x2: Any) -> Any:
    """As `numpy.fmax`: the larger, nan only where both are."""
    return where(isnan(x1), x2, where(isnan(x2), x1, maximum(x1, x2)))


@numpy_function
def fmin(x1: Any, x2: Any) -> Any:
    """As `numpy.fmin`: the smaller, nan only where both are."""
    return where(isnan(x1), x2, where(isnan(x2), x1, minimum(x1, x2)))


@numpy_function
def copysign(x1: Any, x2: Any) -> Any:
    """As `numpy.copysign`: the size of x1 with the sign of x2."""
    size = absolute(x1)
    return where(signbit(x2), negative(size), size)


@numpy_function
def heaviside(x1: Any, x2: Any) -> Any:
    """As `numpy.heaviside`: 0 below zero, x2 at zero, 1 above."""
    x1 = lift(x1)
    step = where(less(x1, 0), 0.0, where(greater(x1, 0), 1.0, multiply(x1, 0.0)))
    return where(equal(x1, 0), x2, step)


@numpy_function
def sinc(x: Any) -> Any:
    """As `numpy.sinc`: sin(pi x) / (pi x), by its series near 0, so that derivatives of every order hold there."""
    angle = multiply(x, math.pi)
    near = less(absolute(angle), 0.1)
    apart = where(near, 1.0, angle)
    u = square(where(near, angle, 0.0))
    series: Any = _SINC_SERIES[0]
    for coefficient in _SINC_SERIES[1:]:
        series = add(multiply(series, u), coefficient)
    return where(near, series, divide(sin(apart), apart))


@numpy_function
def logical_xor(x1: Any, x2: Any) -> Any:
    """As `numpy.logical_xor`."""
    return not_equal(logical_not(x1), logical_not(x2))


def _truths(name: str, *values: Any) -> None:
    for x in values:
        kind = x.kind if isinstance(x, Node) else kind_of(lift(x))
        if kind != "b":
            raise UnsupportedError(
                f"np.{name} of numbers on a node", "compare first: & | ^ ~ combine truth values, (x > 0) & (x < 1)"
            )


@numpy_function
def bitwise_and(x1: Any, x2: Any) -> Any:
    """As `numpy.bitwise_and`, for truth values."""
    _truths("bitwise_and", x1, x2)
    return logical_and(x1, x2)


@numpy_function
def bitwise_or(x1: Any, x2: Any) -> Any:
    """As `numpy.bitwise_or`, for truth values."""
    _truths("bitwise_or", x1, x2)
    return logical_or(x1, x2)


@numpy_function
def bitwise_xor(x1: Any, x2: Any) -> Any:
    """As `numpy.bitwise_xor`, for truth values."""
    _truths("bitwise_xor", x1, x2)
    return not_equal(x1, x2)


@numpy_function
def invert(x: Any) -> Any:
    """As `numpy.invert`, for truth values."""
    _truths("invert", x)
    return logical_not(x)


bitwise_not = bitwise_invert = invert


@numpy_function
def isposinf(x: Any) -> Any:
    """As `numpy.isposinf`."""
    return equal(x, math.inf)


@numpy_function
def isneginf(x: Any) -> Any:
    """As `numpy.isneginf`."""
    return equal(x, -math.inf)


@numpy_function
def isclose(a: Any, b: Any, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False) -> Any:
    """As `numpy.isclose`."""
    a, b = lift(a), lift(b)
    close = less_equal(absolute(subtract(a, b)), add(atol, multiply(rtol, absolute(b))))
    result = logical_or(equal(a, b), logical_and(close, isfinite(b)))
    return logical_or(result, logical_and(isnan(a), isnan(b))) if equal_nan else result


@numpy_function
def round(a: Any, decimals: int = 0) -> Any:
    """As `numpy.round`: halves go to the even neighbour; the derivative is 0."""
    if decimals == 0:
        return rint(a)
    scale = 10.0 ** builtins.abs(decimals)
    if decimals > 0:
        return divide(rint(multiply(a, scale)), scale)
    return multiply(rint(divide(a, scale)), scale)


around = round


@numpy_function
def fix(x: Any) -> Any:
    """As `numpy.fix`: rounding towards 0."""
    return trunc(x)


@numpy_function
def clip(a: Any, a_min: Any = None, a_max: Any = None, *, min: Any = None, max: Any = None) -> Any:
    """As `numpy.clip`; at a bound the derivative is shared with it, as by `maximum`."""
    low, high = a_min if min is None else min, a_max if max is None else max
    if low is not None:
        a = maximum(a, low)
    return a if high is None else minimum(a, high)


@numpy_function
def nan_to_num(x: Any, copy: bool = True, nan: float = 0.0, posinf: Any = None, neginf: Any = None) -> Any:
    """As `numpy.nan_to_num`; what is replaced has derivative 0."""
    dtype = getattr(x.value if isinstance(x, Node) else x, "dtype", None)
    tiny = dtype is not None and str(dtype).endswith("float32")
    largest = 3.4028234663852886e38 if tiny else 1.7976931348623157e308
    x = where(isnan(x), nan, x)
    x = where(equal(x, math.inf), largest if posinf is None else posinf, x)
    return where(equal(x, -math.inf), -largest if neginf is None else neginf, x)


@numpy_function
def where(condition: Any, *branches: Any) -> Any:
    """As `numpy.where`; the branch not taken never spoils a derivative."""
    if not branches:
        return nonzero_of(condition)
    if len(branches) != 2:
        raise InputError("where with one branch", "give both x and y, or neither")
    return namespace.where(lift(condition), lift(branches[0]), lift(branches[1]))


def nonzero_of(x: Any) -> Any:
    """Give the places of the entries that are not 0, as plain index arrays, one an axis."""
    import numpy as np

    if isinstance(x, Node):
        if x.value is None:
            raise UnsupportedError(
                f"the places where {x!r} is not 0 were asked for, and while tracing they are not known",
                "write where(condition, x, 0) over the whole array",
            )
        x = x.value
    return x.nonzero(as_tuple=True) if is_traced(x) else np.nonzero(x)


@numpy_function
def select(condlist: Sequence[Any], choicelist: Sequence[Any], default: Any = 0) -> Any:
    """As `numpy.select`: the choice of the first condition that holds."""
    if len(condlist) != len(choicelist):
        raise InputError(f"select: {len(condlist)} conditions and {len(choicelist)} choices", "give one for each")
    result = default
    for condition, choice in zip(reversed(condlist), reversed(choicelist), strict=True):
        result = where(condition, choice, result)
    return result


@numpy_function
def piecewise(x: Any, condlist: Sequence[Any], funclist: Sequence[Any], *args: Any, **kw: Any) -> Any:
    """As `numpy.piecewise`; each function is applied to all of ``x``."""
    conditions = list(condlist) if isinstance(condlist, (list, tuple)) else [condlist]
    pieces: list[Callable[..., Any] | Any] = list(funclist)
    if len(pieces) not in (len(conditions), len(conditions) + 1):
        raise InputError(f"piecewise: {len(conditions)} conditions and {len(pieces)} functions", "give one for each")
    values = [piece(x, *args, **kw) if callable(piece) else piece for piece in pieces]
    result = values.pop() if len(values) > len(conditions) else 0.0
    for condition, value in zip(conditions, values, strict=True):  # of several that hold, the last counts
        result = where(condition, value, result)
    return result
