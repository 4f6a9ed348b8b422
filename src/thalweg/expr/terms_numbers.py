"""Numbers of terms: fractions where they are fractions, roots of whole numbers kept apart."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

from thalweg.expr.node import Node, constant

Number = Fraction | float


def magnitude(number: Number) -> Number:
    """Give a number without its sign."""
    return -number if number < 0 else number


def exact(value: Any) -> Number:
    """Give a number as a fraction if it is one with a denominator up to 1000."""
    if isinstance(value, (bool, int)):
        return Fraction(int(value))
    if not math.isfinite(value):
        return float(value)
    near = Fraction(value).limit_denominator(1000)
    return near if float(near) == value else float(value)


def power_number(number: Number, power: Number) -> Number:
    """Raise a number to a power."""
    if isinstance(power, Fraction) and power.denominator == 1 and isinstance(number, Fraction):
        return number ** int(power) if number or power > 0 else math.inf
    value = float(number) ** float(power) if number > 0 else (0.0 if power > 0 else math.inf)
    return exact(value)


def roots_of(number: Number, power: Number) -> tuple[Number, list[tuple[Node, Number]]]:
    """Write a power of a number as a number and roots of primes, which stay as they are: sqrt(2)^2 is 2 exactly."""
    if isinstance(power, Fraction) and power.denominator == 2 and isinstance(number, Fraction) and number > 0:
        outside: Number = Fraction(1)
        roots: list[tuple[Node, Number]] = []
        for whole, sign in ((number.numerator, 1), (number.denominator, -1)):
            for prime, count in _primes(whole):
                e = count * sign * power
                up = math.floor(e)
                outside = outside * Fraction(prime) ** up
                if e != up:
                    roots.append((constant(prime), e - up))
        return outside, roots
    return power_number(number, power), []


def _primes(whole: int) -> list[tuple[int, int]]:
    """Split into small primes; what is left of a large number stays in one piece."""
    found = []
    for p in range(2, 1000):
        if p * p > whole:
            break
        count = 0
        while whole % p == 0:
            whole //= p
            count += 1
        if count:
            found.append((p, count))
    return [*found, (whole, 1)] if whole > 1 else found


def divided_number(a: Number, b: Number) -> Number:
    """Divide numbers."""
    return a / b if isinstance(a, Fraction) and isinstance(b, Fraction) else exact(float(a) / float(b))


def plain_number(number: Number) -> int | float:
    """Give a number as one of Python's own."""
    if isinstance(number, Fraction):
        return int(number) if number.denominator == 1 else float(number)
    return number
