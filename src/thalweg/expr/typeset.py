"""Formulas as trees, and the three ways to write one: the parser's notation, Unicode for reading, and LaTeX.

A tree is built by the functions below, which keep products flat, drop factors 1 and move transposes inwards where that
is shorter. Writing never needs to know more than a tree's own parts; which tree to build is the business of
:mod:`thalweg.expr.matrixform`.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction

SUM, PRODUCT, POSTFIX, ATOM = 1, 2, 4, 5
_LEVELS = {
    "sum": SUM, "chain": PRODUCT, "entries": PRODUCT, "over": PRODUCT, "entries_over": PRODUCT,
    "transpose": POSTFIX, "power": POSTFIX, "entries_power": POSTFIX,
}  # fmt: skip
_SIGNS = {"chain": "*", "entries": ".*", "over": "/", "entries_over": "./", "power": "^", "entries_power": ".^"}


@dataclass(frozen=True)
class Formula:
    """A part of a formula.

    Attributes:
        kind: "number", "name", "call", "transpose", "chain" (matrix products and scalar factors), "entries" (products
            entry by entry), "over", "entries_over", "power", "entries_power", "sum" or "einsum".
        parts: What it is made of.
        data: The number, the name, or a sum's signs.
        symmetric: Whether it is equal to its transpose (scalars are).
        scalar: Whether it has no axes.
        text: It in the parser's notation.
        names: How many symbols stand in it, for :func:`cost`.

    """

    kind: str
    parts: tuple[Formula, ...] = ()
    data: object = None
    symmetric: bool = False
    scalar: bool = False
    text: str = field(init=False, compare=False)
    names: int = field(init=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "text", _text(self))
        object.__setattr__(self, "names", _names(self))

    @property
    def level(self) -> int:
        """How tightly it binds: the higher, the fewer parentheses."""
        if self.kind == "number":
            return PRODUCT if isinstance(self.data, Fraction) and self.data.denominator != 1 else ATOM
        return _LEVELS.get(self.kind, ATOM)


_LONG_RUN = 3
ONE_NUMBER = Fraction(1)


@functools.lru_cache(1024, typed=True)
def number(value: Fraction | float) -> Formula:
    """Make a number that is not negative; signs belong to sums."""
    return Formula("number", (), value, True, True)


def name(text: str, symmetric: bool = False, scalar: bool = False) -> Formula:
    """Make a symbol, or the name of a dimension."""
    return Formula("name", (), text, symmetric or scalar, scalar)


def call(function: str, *parts: Formula, symmetric: bool = False, scalar: bool = False) -> Formula:
    """Apply a named function."""
    return Formula("call", parts, function, symmetric or scalar, scalar)


def einsum(subscripts: str, *parts: Formula) -> Formula:
    """Write what has no matrix form."""
    return Formula("einsum", parts, subscripts)


def is_number(f: Formula, value: int | None = None) -> bool:
    """Say whether a formula is a number (this one, if given)."""
    return f.kind == "number" and (value is None or f.data == value)


def _is_whole(f: Formula) -> bool:
    return f.kind == "number" and isinstance(f.data, Fraction) and f.data.denominator == 1


def negated(f: Formula) -> Formula:
    """Put a minus in front, or take it away."""
    if f.kind == "sum":
        assert isinstance(f.data, tuple)
        return total([(not plus, x) for plus, x in zip(f.data, f.parts, strict=True)])
    return Formula("sum", (f,), (False,), f.symmetric, f.scalar)


def total(signed: Sequence[tuple[bool, Formula]]) -> Formula:
    """Add formulas, each with its sign (True: plus); sums among them are opened."""
    flat: list[tuple[bool, Formula]] = []
    for plus, f in signed:
        if f.kind == "sum":
            assert isinstance(f.data, tuple)
            flat += [(plus == own, x) for own, x in zip(f.data, f.parts, strict=True)]
        else:
            flat.append((plus, f))
    if len(flat) == 1 and flat[0][0]:
        return flat[0][1]
    plus_beside = [any(p for j, (p, _) in enumerate(flat) if j != i) for i in range(len(flat))]
    keyed = [((not p, is_number(f) and beside, -_size(f), f.text.replace("'", "~")), p, f)
             for (p, f), beside in zip(flat, plus_beside, strict=True)]  # fmt: skip
    keyed.sort(key=lambda item: item[0])
    flat = [(p, f) for _, p, f in keyed]
    return Formula("sum", tuple([f for _, f in flat]), tuple([p for p, _ in flat]),
                   all(f.symmetric for _, f in flat), all(f.scalar for _, f in flat))  # fmt: skip


def cost(f: Formula) -> int:
    """Say how hard a formula is to read: its length, and more for each symbol that stands in it."""
    return len(f.text) + 3 * f.names


def _names(f: Formula) -> int:
    if f.kind == "name":
        return 1
    if f.kind == "call" and f.data in ("eye", "vector", "matrix"):
        return -3
    if f.kind in ("power", "entries_power") and f.parts[0].data == "sigmoid":
        return f.parts[0].names + 2  # s*(1-s) is what people write
    return sum([x.names for x in f.parts])


def _size(f: Formula) -> int:
    return 1 if not f.parts else sum(_size(x) for x in f.parts)


def chain(parts: Sequence[Formula]) -> Formula:
    """Multiply matrices and scalar factors, in this order; what divides one of the matrices divides the product."""
    below = [f.parts[1] for f in parts if f.kind == "over" and not f.scalar]
    if below and len(parts) > 1:
        above = [f.parts[0] if f.kind == "over" and not f.scalar else f for f in parts]
        return over(chain(above), scaled(below, number(ONE_NUMBER)))
    flat: list[Formula] = []
    for f in parts:
        if f.kind == "chain" and not f.scalar:
            flat += f.parts
        elif not is_number(f, 1):
            flat.append(f)
    if not flat:
        return number(ONE_NUMBER)
    flat = [f for f in flat if f.scalar] + [f for f in flat if not f.scalar]
    flat = [x for _, run in itertools.groupby(flat) for x in _run(list(run))]
    return flat[0] if len(flat) == 1 else Formula("chain", tuple(flat), None, all(f.scalar for f in flat),
                                                  all(f.scalar for f in flat))  # fmt: skip


def _run(same: list[Formula]) -> list[Formula]:
    """Write three or more equal factors as a power."""
    if len(same) < _LONG_RUN or same[0].kind in ("number", "power"):
        return same
    return [power(same[0], number(Fraction(len(same))))]


def dot(parts: Sequence[Formula]) -> Formula:
    """Multiply a row, perhaps matrices, and a column: a scalar."""
    made = chain(parts)
    return Formula(made.kind, made.parts, made.data, True, True)


def scaled(scalars: Sequence[Formula], body: Formula) -> Formula:
    """Put scalar factors in front of a formula; a product among them keeps its parentheses."""
    scalars = [x for s in scalars if not is_number(s, 1) for x in _scalar_factors(s)]
    if not scalars:
        return body
    if is_number(body, 1):
        return scalars[0] if len(scalars) == 1 else Formula("chain", tuple(scalars), None, True, True)
    if body.kind in ("entries", "entries_over"):
        first, *rest = body.parts
        if is_number(first, 1) or len(scalars) == 1 and is_number(scalars[0]):
            return Formula(body.kind, (scaled(scalars, first), *rest))
    if body.kind == "over" and len(scalars) == 1 and (is_number(scalars[0]) or is_number(body.parts[0], 1)):
        factor, below = _cancelled(scalars[0], body.parts[1])
        return over(scaled([factor], body.parts[0]), below)
    parts = body.parts if body.kind == "chain" and (is_number(scalars[-1]) or not body.scalar) else (body,)
    return Formula("chain", (*scalars, *parts), None, body.symmetric, body.scalar)


def _cancelled(factor: Formula, below: Formula) -> tuple[Formula, Formula]:
    """Cancel a whole number with one in the denominator."""
    for f in _scalar_factors(below):
        if _is_whole(factor) and _is_whole(f):
            quotient = factor.data / f.data  # type: ignore[operator]
            others = [x for x in _scalar_factors(below) if x is not f]
            return number(Fraction(quotient.numerator)), scaled(
                [number(Fraction(quotient.denominator)), *others], number(ONE_NUMBER))  # fmt: skip
    return factor, below


def _scalar_factors(f: Formula) -> tuple[Formula, ...]:
    """Open a product of scalars, but not a row times a column."""
    return f.parts if f.kind == "chain" and all(x.scalar for x in f.parts) else (f,)


def over(numerator: Formula, denominator: Formula) -> Formula:
    """Divide by a scalar."""
    if is_number(denominator, 1):
        return numerator
    if numerator.kind == "over":
        return over(numerator.parts[0], scaled([denominator], numerator.parts[1]))
    return Formula("over", (numerator, denominator), None, numerator.symmetric, numerator.scalar)


def entries(parts: Sequence[Formula]) -> Formula:
    """Multiply entry by entry."""
    flat = [x for f in parts for x in (f.parts if f.kind == "entries" else (f,))]
    return flat[0] if len(flat) == 1 else Formula("entries", tuple(flat), None, all(f.symmetric for f in flat))


def entries_over(numerator: Formula, denominator: Formula) -> Formula:
    """Divide entry by entry; the numerator may be a number."""
    return Formula("entries_over", (numerator, denominator), None, numerator.symmetric and denominator.symmetric)


def power(base: Formula, exponent: Formula, by_entry: bool = False) -> Formula:
    """Raise to a power."""
    if is_number(exponent, 1):
        return base
    if base.kind in ("power", "entries_power") and all(_is_whole(x) for x in (base.parts[1], exponent)):
        return power(base.parts[0], number(base.parts[1].data * exponent.data), by_entry)  # type: ignore[operator]
    return Formula("entries_power" if by_entry else "power", (base, exponent), None, base.symmetric, base.scalar)


def transposed(f: Formula) -> Formula:
    """Transpose; a product is turned around where that is no longer than parentheses."""
    if f.symmetric:
        return f
    if f.kind == "transpose":
        return f.parts[0]
    plain = Formula("transpose", (f,))
    if f.kind == "chain":
        scalars = [x for x in f.parts if x.scalar]
        turned = scaled(scalars, chain([transposed(x) for x in reversed(f.parts) if not x.scalar]))
        return turned if len(turned.text) <= len(plain.text) else plain
    if f.kind == "over":
        return over(transposed(f.parts[0]), f.parts[1])
    if f.kind == "sum":
        assert isinstance(f.data, tuple)
        turned = total([(plus, transposed(x)) for plus, x in zip(f.data, f.parts, strict=True)])
        return turned if len(turned.text) + 1 < len(plain.text) else plain
    if f.kind in ("entries", "entries_over"):
        turned = Formula(f.kind, tuple([transposed(x) for x in f.parts]), f.data)
        return turned if len(turned.text) + 1 < len(plain.text) else plain
    if f.kind in ("entries_power", "power"):
        return Formula(f.kind, (transposed(f.parts[0]), f.parts[1]), f.data)
    return plain


# The parser's notation.


def _text(f: Formula) -> str:
    parts = f.parts
    if f.kind == "number":
        return _number_text(f.data)
    if f.kind == "name":
        return str(f.data)
    if f.kind == "call":
        return f"{f.data}({','.join([x.text for x in parts])})"
    if f.kind == "einsum":
        return f'einsum("{f.data}", {", ".join([x.text for x in parts])})'
    if f.kind == "transpose":
        return _held(parts[0], ATOM) + "'"
    if f.kind == "sum":
        assert isinstance(f.data, tuple)
        signs = ["+" if plus else "-" for plus in f.data]
        joined = "".join([s + _held(x, PRODUCT) for s, x in zip(signs, parts, strict=True)])
        return joined.removeprefix("+")
    if f.kind in ("power", "entries_power"):
        return _held(parts[0], POSTFIX if parts[0].kind == "transpose" else ATOM) + _SIGNS[f.kind] + _exponent(parts[1])
    return _SIGNS[f.kind].join([_held_factor(f, i) for i in range(len(parts))])


def _number_text(value: object) -> str:
    if isinstance(value, Fraction):
        return str(value)
    return str(int(value)) if isinstance(value, float) and value.is_integer() and abs(value) < 1e15 else repr(value)


def _exponent(f: Formula) -> str:
    return f.text if f.level == ATOM else f"({f.text})"


def _held(f: Formula, level: int) -> str:
    return f.text if f.level >= level else f"({f.text})"


def needs_parentheses(f: Formula, i: int) -> bool:
    """Say whether part i of a product stands in parentheses: products of the two kinds are not mixed without them."""
    x = f.parts[i]
    if x.level != PRODUCT:
        return x.level < PRODUCT
    if i > 0 or x.kind == "number":
        return True
    if f.kind == "entries" and x.kind == "chain" and not all(y.scalar for y in x.parts[:-1]):
        return True
    loose = {"chain": ("over",), "over": ("chain", "entries", "entries_over"), "entries": ("chain", "entries_over")}
    return x.kind not in loose.get(f.kind, ()) and not (f.kind == "entries_over" and x.kind in ("chain", "entries"))


def _held_factor(f: Formula, i: int) -> str:
    text = f.parts[i].text
    return f"({text})" if needs_parentheses(f, i) else text
