"""Numbers as people read them: three or four digits, and the unit that fits."""

from __future__ import annotations

import math
from typing import Any

UNKNOWN = "–"
"""What stands where a number is unknown or infinite: records hold null there."""

_SECONDS = ((1e-6, "µs"), (1e-3, "ms"), (1.0, "s"), (60.0, "min"), (3600.0, "h"))
_BYTES = ((1.0, "B"), (1e3, "kB"), (1e6, "MB"), (1e9, "GB"), (1e12, "TB"))


def finite(value: Any) -> float | None:
    """The value as a float; None where it is missing, not a number, or not finite."""
    if value is None or isinstance(value, (str, bytes)):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def number(value: Any, digits: int = 4) -> str:
    """A number to so many significant digits; whole numbers below a hundred thousand keep all of theirs."""
    plain = finite(value)
    if plain is None:
        return UNKNOWN
    if plain == int(plain) and abs(plain) < 1e5:
        return f"{int(plain):,}"
    text = f"{plain:.{digits}g}"
    return text.replace("e-0", "e-").replace("e+0", "e").replace("e+", "e")


def count(value: Any) -> str:
    """A number of steps, rows or passes; floats are predictions, not whole, and keep three digits."""
    plain = finite(value)
    if plain is None:
        return UNKNOWN
    if plain != int(plain) and abs(plain) < 100:
        return f"{plain:.2g}" if abs(plain) < 10 else f"{plain:.0f}"
    if isinstance(value, float) and 1e4 <= abs(plain) < 1e7:
        plain = float(f"{plain:.3g}")
    return f"{round(plain):,}" if abs(plain) < 1e7 else number(plain, 3)


def seconds(value: Any) -> str:
    """A duration in the unit that leaves a number between 1 and 1,000."""
    return _scaled(value, _SECONDS)


def bytes_text(value: Any) -> str:
    """An amount of memory in powers of 1,000."""
    return _scaled(value, _BYTES)


def seconds_unit(largest: float) -> tuple[float, str]:
    """The unit of a time axis that ends at `largest`: its length in seconds, and its name."""
    return _unit(largest, _SECONDS)


def percent(value: Any) -> str:
    """A share as a percentage."""
    plain = finite(value)
    return UNKNOWN if plain is None else f"{100 * plain:.3g}%"


def span(low: Any, high: Any, show: Any = number) -> str:
    """An interval; empty where neither end is known or both are the same."""
    if finite(low) is None and finite(high) is None:
        return ""
    first, last = show(low), show(high)
    return "" if first == last else f"{first} to {last}"


def _unit(value: float, units: tuple[tuple[float, str], ...]) -> tuple[float, str]:
    fitting = [unit for unit in units if abs(value) >= unit[0] * 0.9995]
    return fitting[-1] if fitting else units[0]


def _scaled(value: Any, units: tuple[tuple[float, str], ...]) -> str:
    plain = finite(value)
    if plain is None:
        return UNKNOWN
    length, name = _unit(plain, units)
    return f"{number(float(f'{plain / length:.3g}'))} {name}"
