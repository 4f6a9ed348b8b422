"""Numbers as sign and logarithm, for sequences far beyond what doubles hold.

0.707^(2^k) leaves the range of doubles after eleven terms, and what a sequence is called shows long after that. A
number here is a sign and the logarithm of its size, in decimals of ``DIGITS`` digits whose exponents go up to 10^18, so
that exp(-2^60) is an everyday number. Whole numbers and fractions stay exact beside it as long as they are short:
(-1)^k needs the parity of k. Every number carries a bound on the error of its logarithm, which sums of opposite sign
enlarge; what is left without digits raises `Lost` and is left out by whoever asked.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from decimal import Context, Decimal, DivisionByZero, InvalidOperation, Overflow
from fractions import Fraction
from typing import Any

#: Significant digits.
DIGITS = 120
#: Bits up to which a fraction is kept exactly.
EXACT_BITS = 4096
#: Largest size up to which sin, cos and the like are taken in doubles, with their error.
DOUBLE = 2.0**50

CONTEXT = Context(
    prec=DIGITS, Emax=999_999_999_999_999_999, Emin=-999_999_999_999_999_999,
    traps=[InvalidOperation, DivisionByZero, Overflow],
)  # fmt: skip
_UNIT = 10.0 ** (2 - DIGITS)
_ROUNDED = 2.0**-50


class Lost(ArithmeticError):
    """A value that cannot be told: too large, undefined, or without a correct digit."""


class Plain(TypeError):
    """A function wants a plain int or float where it was given a `Number`."""


class Number:
    """sign * exp(log).

    Args:
        sign: -1, 0 or 1.
        log: Logarithm of the size; ignored for zero.
        error: Bound on the error of the logarithm.
        exact: The same as a fraction, if that is short.

    """

    __slots__ = ("sign", "_log", "error", "exact")

    def __init__(self, sign: int, log: Decimal | None, error: float, exact: Fraction | None = None) -> None:
        self.sign = sign
        self._log = log
        self.error = error
        self.exact = exact

    @property
    def log(self) -> Decimal:
        """Logarithm of the size."""
        if self._log is None:
            if self.exact is None or not self.exact:
                raise Lost("log of zero")
            top, bottom = Decimal(abs(self.exact.numerator)), Decimal(self.exact.denominator)
            self._log = CONTEXT.ln(CONTEXT.divide(top, bottom))
            self.error = _UNIT
        return self._log

    def decimal(self) -> Decimal:
        """The value; its relative error is that of the logarithm."""
        if self.sign == 0:
            return Decimal(0)
        if self.exact is not None:
            return CONTEXT.divide(Decimal(self.exact.numerator), Decimal(self.exact.denominator))
        size = _guarded(CONTEXT.exp, self.log)
        return size if self.sign > 0 else CONTEXT.minus(size)

    def relative_error(self) -> float:
        """Bound on the relative error of the value."""
        return _UNIT if self.exact is not None or self.sign == 0 else self.error + _UNIT * (1 + _size(self.log))

    # Arithmetic.
    def __neg__(self) -> Number:
        return Number(-self.sign, self._log, self.error, None if self.exact is None else -self.exact)

    def __pos__(self) -> Number:
        return self

    def __abs__(self) -> Number:
        return self if self.sign >= 0 else -self

    def __mul__(self, other: Any) -> Number:
        b = number(other)
        if b is None:
            return NotImplemented
        if self.sign == 0 or b.sign == 0:
            return ZERO
        if self.exact is not None and b.exact is not None:
            return _short(self.exact * b.exact)
        log = _guarded(CONTEXT.add, self.log, b.log)
        return Number(self.sign * b.sign, log, self.error + b.error + _UNIT * _size(log))

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> Number:
        b = number(other)
        if b is None:
            return NotImplemented
        if b.sign == 0:
            raise Lost("division by zero")
        if self.exact is not None and b.exact is not None:
            return _short(self.exact / b.exact)
        if self.sign == 0:
            return ZERO
        log = _guarded(CONTEXT.subtract, self.log, b.log)
        return Number(self.sign * b.sign, log, self.error + b.error + _UNIT * _size(log))

    def __rtruediv__(self, other: Any) -> Number:
        a = number(other)
        return NotImplemented if a is None else a / self

    def __add__(self, other: Any) -> Number:
        b = number(other)
        if b is None:
            return NotImplemented
        if self.sign == 0 or b.sign == 0:
            return b if self.sign == 0 else self
        if self.exact is not None and b.exact is not None:
            return _short(self.exact + b.exact)
        large, small = (self, b) if self.log >= b.log else (b, self)
        ratio = CONTEXT.exp(max(CONTEXT.subtract(small.log, large.log), Decimal(-10_000)))
        share = CONTEXT.add(Decimal(1), ratio if large.sign == small.sign else CONTEXT.minus(ratio))
        spread = large.error + small.error + _UNIT * (1 + _size(large.log))
        error = 1.1 * spread / float(max(share, Decimal("1e-300")))  # log(1 + e) <= 1.1 e up to e = .1
        if share <= 0 or error > 0.1:
            raise Lost("a difference has lost its digits")
        return Number(large.sign, CONTEXT.add(large.log, CONTEXT.ln(share)), error)

    __radd__ = __add__

    def __sub__(self, other: Any) -> Number:
        b = number(other)
        return NotImplemented if b is None else self + (-b)

    def __rsub__(self, other: Any) -> Number:
        a = number(other)
        return NotImplemented if a is None else a + (-self)

    def __pow__(self, other: Any) -> Number:
        exponent = number(other)
        if exponent is None:
            return NotImplemented
        if exponent.sign == 0:
            return ONE
        if self.sign == 0:
            if exponent.sign < 0:
                raise Lost("zero to a negative power")
            return ZERO
        whole = exponent.whole()
        if self.exact is not None and whole is not None and abs(whole) * _bits(self.exact) <= EXACT_BITS:
            return _short(self.exact**whole)
        if self.sign < 0 and whole is None:
            raise Lost("a root of a negative number")
        sign = -1 if self.sign < 0 and whole is not None and whole % 2 else 1
        log = _guarded(CONTEXT.multiply, exponent.decimal(), self.log)
        if log == 0 and self.exact is not None and abs(self.exact) == 1:
            return ONE if sign > 0 else -ONE
        error = self.error * _size(exponent.decimal()) + exponent.relative_error() * _size(log)
        return Number(sign, log, error)

    def __rpow__(self, other: Any) -> Number:
        base = number(other)
        return NotImplemented if base is None else base**self

    def whole(self) -> int | None:
        """The whole number it is exactly, if any."""
        return self.exact.numerator if self.exact is not None and self.exact.denominator == 1 else None

    def _integer(self, other: Any, operation: Callable[[int, int], int]) -> Number:
        b = number(other)
        if b is None:
            return NotImplemented
        x, y = self.whole(), b.whole()
        if x is None or not y:
            raise Lost("division with remainder of what is not whole")
        return _short(Fraction(operation(x, y)))

    def __mod__(self, other: Any) -> Number:
        return self._integer(other, operator.mod)

    def __floordiv__(self, other: Any) -> Number:
        return self._integer(other, operator.floordiv)

    # Comparisons, for functions that branch.
    def _compared(self, other: Any) -> int:
        b = number(other)
        if b is None:
            raise Plain("comparison with what is no number")
        if self.exact is not None and b.exact is not None:
            return (self.exact > b.exact) - (self.exact < b.exact)
        return (self - b).sign

    def __eq__(self, other: object) -> bool:
        return number(other) is not None and self._compared(other) == 0

    def __hash__(self) -> int:
        return hash((self.sign, self.exact, self._log))

    def __lt__(self, other: Any) -> bool:
        return self._compared(other) < 0

    def __le__(self, other: Any) -> bool:
        return self._compared(other) <= 0

    def __gt__(self, other: Any) -> bool:
        return self._compared(other) > 0

    def __ge__(self, other: Any) -> bool:
        return self._compared(other) >= 0

    def __bool__(self) -> bool:
        return self.sign != 0

    def __float__(self) -> float:
        raise Plain("a plain float is wanted")

    def __int__(self) -> int:
        raise Plain("a plain int is wanted")

    def __index__(self) -> int:
        raise Plain("a plain int is wanted")

    # Functions; NumPy calls them by these names on objects.
    def exp(self) -> Number:
        """e to this power."""
        if self.sign == 0:
            return ONE
        value = self.decimal()
        return Number(1, value, self.relative_error() * _size(value))

    def ln(self) -> Number:
        """Natural logarithm."""
        if self.sign <= 0:
            raise Lost("log of what is not positive")
        if self.exact == 1:
            return ZERO
        return _from_decimal(self.log, self.error)

    def sqrt(self) -> Number:
        """Square root."""
        return self ** Fraction(1, 2)

    def expm1(self) -> Number:
        """exp(x) - 1, with all digits near zero."""
        if self.sign == 0 or self.log > -DIGITS:
            return self.exp() - 1
        return self + self * self / 2

    def log1p(self) -> Number:
        """log(1 + x), with all digits near zero."""
        if self.sign == 0 or self.log > -DIGITS:
            return (self + 1).ln()
        return self - self * self / 2

    def sinh(self) -> Number:
        """Hyperbolic sine."""
        return (self.expm1() - (-self).expm1()) / 2

    def cosh(self) -> Number:
        """Hyperbolic cosine."""
        return (self.exp() + (-self).exp()) / 2

    def tanh(self) -> Number:
        """Hyperbolic tangent."""
        decay = (-2 * abs(self)).exp()
        size = -(-2 * abs(self)).expm1() / (1 + decay)
        return size if self.sign >= 0 else -size

    def sigmoid(self) -> Number:
        """1 / (1 + exp(-x))."""
        return 1 / (1 + (-self).exp())

    def softplus(self) -> Number:
        """log(1 + exp(x))."""
        return self.exp().log1p()

    def factorial(self) -> Number:
        """x! = Gamma(x + 1), by Stirling's series from 1,000 on."""
        whole = self.whole()
        if whole is not None and 0 <= whole < 1000:
            return Number(1, None, 0.0, Fraction(math.factorial(whole)))
        if self < 1000:
            log = math.lgamma(float(self.decimal()) + 1)
            return Number(1, Decimal(log), self.relative_error() + _ROUNDED * (1000 + abs(log)))
        series = (self + Fraction(1, 2)) * self.ln() - self + (_from_decimal(_TWO_PI, _UNIT).ln()) / 2
        # Terms B_2j / (2j (2j-1) x^(2j-1)); the first one left out bounds the error (Abramowitz and Stegun, 6.1.42).
        for j, bernoulli in enumerate((Fraction(1, 6), Fraction(-1, 30), Fraction(1, 42), Fraction(-1, 30)), start=1):
            series += bernoulli / (2 * j * (2 * j - 1)) / self ** (2 * j - 1)
        result = series.exp()
        return Number(1, result.log, result.error + 1e-27)

    def in_doubles(self, function: Callable[[float], float]) -> Number:
        """A function that is taken in doubles.

        Args:
            function: Its slope is bounded by about one, and its values are correct to a few units in the last place.

        """
        value = self.decimal()
        if abs(value) > DOUBLE:
            raise Lost("too large for doubles")
        x = float(value)
        y = function(x)
        if not math.isfinite(y):
            raise Lost("not finite")
        if y == 0:
            return ZERO
        return _from_decimal(Decimal(y), abs(y) * _ROUNDED + abs(x) * (_ROUNDED + self.relative_error()))

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **keywords: Any) -> Number:
        """What NumPy's functions mean on a number."""
        function = UFUNCS.get(ufunc.__name__)
        if function is None or method != "__call__" or keywords:
            raise Plain(f"numpy.{ufunc.__name__} wants plain numbers")
        arguments = [number(value) for value in inputs]
        if any(value is None for value in arguments):
            raise Plain("numbers one by one are wanted")
        return function(*arguments)


def number(value: Any) -> Number | None:
    """The number that a plain one stands for, None for what is none.

    Args:
        value: A `Number`, an int, a float (its shortest decimal), a fraction or a decimal.

    """
    if isinstance(value, Number):
        return value
    if hasattr(value, "item") and getattr(value, "ndim", 1) == 0:
        value = value.item()
    if isinstance(value, bool):
        return _short(Fraction(int(value)))
    if isinstance(value, (int, Fraction)):
        return _short(Fraction(value))
    if isinstance(value, float):
        if not math.isfinite(value):
            raise Lost("not finite")
        return _short(Fraction(repr(value)))
    if isinstance(value, Decimal):
        return _short(Fraction(value))
    return None


def _short(value: Fraction) -> Number:
    if not value:
        return ZERO
    sign = 1 if value > 0 else -1
    made = Number(sign, None, _UNIT, value)
    if _bits(value) > EXACT_BITS:
        made.log  # noqa: B018 (computed before the fraction is dropped)
        made.exact = None
    return made


def _bits(value: Fraction) -> int:
    return max(value.numerator.bit_length() + value.denominator.bit_length() - 1, 1)


def _from_decimal(value: Decimal, error: float) -> Number:
    """A number from its value and the absolute error of that."""
    if value == 0:
        raise Lost("no digit left")
    relative = error / max(_size(value), 1e-300)
    if relative > 0.1:
        raise Lost("no digit left")
    return Number(1 if value > 0 else -1, CONTEXT.ln(value.copy_abs()), relative + _UNIT)


def _size(value: Decimal) -> float:
    """|value| as a float, as large as floats go."""
    if value.adjusted() > 300:
        return 1e300
    return abs(float(value))


def _guarded(operation: Callable[..., Decimal], *arguments: Decimal) -> Decimal:
    try:
        return operation(*arguments)
    except (Overflow, InvalidOperation):
        raise Lost("beyond the largest exponent") from None


_TWO_PI = Decimal(
    "6.283185307179586476925286766559005768394338798750211641949889184615632812572417997256069650684234135964296173"
    "02656461329418768921910116447"
)
ZERO = Number(0, None, 0.0, Fraction(0))
ONE = Number(1, Decimal(0), 0.0, Fraction(1))

FUNCTIONS: dict[str, Callable[[Number], Number]] = {
    "exp": Number.exp,
    "log": Number.ln,
    "sqrt": Number.sqrt,
    "abs": Number.__abs__,
    "sin": lambda x: x.in_doubles(math.sin),
    "cos": lambda x: x.in_doubles(math.cos),
    "tanh": Number.tanh,
    "sinh": Number.sinh,
    "cosh": Number.cosh,
    "arctan": lambda x: x.in_doubles(math.atan),
    "erf": lambda x: x.in_doubles(math.erf),
    "sign": lambda x: _short(Fraction(x.sign)),
    "sigmoid": Number.sigmoid,
    "relu": lambda x: x if x.sign > 0 else ZERO,
    "softplus": Number.softplus,
    "log1p": Number.log1p,
    "expm1": Number.expm1,
    "factorial": Number.factorial,
}
"""Functions of one number by name."""

UFUNCS: dict[str, Callable[..., Number]] = {
    **FUNCTIONS,
    "absolute": Number.__abs__,
    "add": operator.add,
    "subtract": operator.sub,
    "multiply": operator.mul,
    "divide": operator.truediv,
    "power": operator.pow,
    "float_power": operator.pow,
    "negative": operator.neg,
    "square": lambda x: x * x,
    "reciprocal": lambda x: 1 / x,
    "exp2": lambda x: 2**x,
    "log2": lambda x: x.ln() / _short(Fraction(2)).ln(),
    "log10": lambda x: x.ln() / _short(Fraction(10)).ln(),
}
"""NumPy's functions, by its names."""
