"""Sequences given as a formula in k or as a function of k become terms: whole numbers to `Number`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal, DecimalException
from typing import Any

from thalweg.core.errors import InputError
from thalweg.expr.formula import Item, fail, read
from thalweg.theory.rate_numbers import FUNCTIONS, ONE, ZERO, Lost, Number, Plain, number

Terms = Callable[[int], Number]
"""r_k for a whole k; raises `Lost` where it cannot be told."""

_OPERATORS: dict[str, Callable[[Number, Number], Number]] = {
    "+": Number.__add__,
    "-": Number.__sub__,
    "*": Number.__mul__,
    "/": Number.__truediv__,
    "^": Number.__pow__,
    ".*": Number.__mul__,
    "./": Number.__truediv__,
    ".^": Number.__pow__,
}
_PI = "3.14159265358979323846264338327950288419716939937510582097494459230781640628620899862803482534211706798214808651"
_CONSTANTS: dict[str, Callable[[], Number]] = {
    "e": ONE.exp,
    "pi": lambda: number(Decimal(_PI)) or ONE,
}


@dataclass(frozen=True, slots=True)
class _Function:
    """What the reader of formulas asks of a function."""

    arguments: int = 1


def terms_of_formula(text: str) -> Terms:
    """Read a formula with one name, the index.

    Args:
        text: Such as "1/3^k"; ** is read as ^, and e and pi are the numbers.

    Raises:
        InputError: No formula, or other names in it; the message points at the character.

    """
    text = text.replace("**", "^")
    if "!" in text:
        fail(text, text.index("!"), "'!' is not part of the notation", "write factorial(k)")
    items = read(text, dict.fromkeys(FUNCTIONS, _Function()))
    names = dict.fromkeys([item.value for item in items if item.op == "name" and item.value not in _CONSTANTS])
    if len(names) > 1:
        second = next(item for item in items if item.op == "name" and item.value == list(names)[1])
        fail(
            text, second.at, f"{second.value} is a second name beside {next(iter(names))}", "give a formula in k alone"
        )
    for item in items:
        if item.op in ("maker", "block", "'"):
            fail(text, item.at, "a sequence is one number for each k", "leave vectors and matrices out")
        if item.op in ("^", ".^") and _is_bare_power(text, items[item.parts[0]]):
            fail(text, item.at, "a power of a power without parentheses", "write 2^(3^k) or (2^3)^k")

    def terms(k: int) -> Number:
        try:
            return _evaluated(items, k)
        except DecimalException:
            raise Lost("beyond the largest exponent") from None

    return terms


def _is_bare_power(text: str, base: Item) -> bool:
    """Whether a ^ b ^ c was written, which some read from the left and others from the right."""
    if base.op not in ("^", ".^"):
        return False
    depth = 0
    for at in range(base.start, base.end):
        depth += (text[at] == "(") - (text[at] == ")")
        if depth == 0:
            return at < base.end - 1
    return True


def _evaluated(items: Sequence[Item], k: int) -> Number:
    values: list[Number] = []
    for item in items:
        parts = [values[place] for place in item.parts]
        if item.op == "number":
            values.append(number(item.value) or ZERO)
        elif item.op == "name":
            constant = _CONSTANTS.get(item.value)
            values.append(constant() if constant else number(k) or ONE)
        elif item.op == "neg":
            values.append(-parts[0])
        elif item.op == "call":
            values.append(FUNCTIONS[item.value](parts[0]))
        else:
            values.append(_OPERATORS[item.op](*parts))
    return values[-1]


def terms_of_function(function: Callable[[Any], Any]) -> Terms | None:
    """Terms of a Python function that is made of arithmetic and NumPy's functions alone.

    Args:
        function: Of k.

    Returns:
        The terms; None for a function that wants a plain int or float, as those of `math` do.

    """

    def terms(k: int) -> Number:
        index = number(k) or ONE
        try:
            value = number(function(index))
        except (ZeroDivisionError, OverflowError, DecimalException):
            raise Lost("beyond all numbers") from None
        if value is None:
            raise Plain("no number came back")
        return value

    for k in (1, 2, 3, 10):
        try:
            terms(k)
        except Lost:
            continue
        except Exception:  # whatever it raises on a stranger, plain numbers are tried next
            return None
    return terms


def plain_values(function: Callable[[Any], Any], count: int) -> list[float]:
    """Values of any Python function at k = 1, 2, ... from the first k on at which it has one.

    Args:
        function: Of k.
        count: How many k at most.

    Returns:
        Values up to the first k at which there is none any more.

    Raises:
        InputError: It has no value that is a number.

    """
    values: list[float] = []
    problem: Exception | None = None
    for k in range(1, count + 1):
        try:
            values.append(float(function(k)))
        except (ArithmeticError, ValueError) as error:  # 1/log(k) has no value at 1, and 2.0**k none at 2,000
            problem = error
            if values:
                break
        except Exception as error:
            raise InputError(
                f"the function fails at k={k}: {type(error).__name__}: {error}", "give a function of a whole number k"
            ) from error
    if not values:
        raise InputError(f"the function has no value at k = 1 to {count}: {problem}", "give a function of k")
    return values
