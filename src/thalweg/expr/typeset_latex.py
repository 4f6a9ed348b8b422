"""Formulas in LaTeX, and in Unicode to be read: both keep the tree as it is and change the signs alone."""

from __future__ import annotations

import re
from collections.abc import Callable
from fractions import Fraction

from thalweg.expr.typeset import (
    ATOM,
    POSTFIX,
    PRODUCT,
    Formula,
    chain,
    is_number,
    needs_parentheses,
    number,
)

_GREEK = frozenset([
    "alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa", "lambda", "mu", "nu", "xi",
    "pi", "rho", "sigma", "tau", "upsilon", "phi", "chi", "psi", "omega", "Gamma", "Delta", "Theta", "Lambda", "Xi",
    "Pi", "Sigma", "Upsilon", "Phi", "Psi", "Omega",
])  # fmt: skip
_LATEX_FUNCTIONS = {
    "exp": r"\exp", "log": r"\log", "sin": r"\sin", "cos": r"\cos", "tanh": r"\tanh", "sinh": r"\sinh",
    "cosh": r"\cosh", "arctan": r"\arctan", "det": r"\det", "logdet": r"\log\det", "sigmoid": r"\sigma",
}  # fmt: skip
_LATEX_FENCES = {"norm1": r"\left\lVert %s \right\rVert_1", "norm2": r"\left\lVert %s \right\rVert_2",
                 "normF": r"\left\lVert %s \right\rVert_F", "abs": r"\left\lvert %s \right\rvert",
                 "sqrt": r"\sqrt{%s}"}  # fmt: skip
_PRETTY_FENCES = {"norm1": "‖%s‖₁", "norm2": "‖%s‖", "normF": "‖%s‖_F", "abs": "|%s|"}
_SUPERSCRIPTS = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")

Write = Callable[[Formula], str]


def _fenced(f: Formula, write: Write, level: int, latex_: bool) -> str:
    if f.level >= level:
        return write(f)
    return rf"\left({write(f)}\right)" if latex_ else f"({write(f)})"


def _signed(f: Formula, write: Write, latex_: bool) -> str:
    assert isinstance(f.data, tuple)
    parts = []
    for i, (plus, x) in enumerate(zip(f.data, f.parts, strict=True)):
        body = _fenced(x, write, PRODUCT, latex_)
        sign = ("" if plus else ("-" if latex_ else "−")) if i == 0 else (" + " if plus else " - " if latex_ else " − ")
        parts.append(sign + body)
    return "".join(parts)


# LaTeX.


def latex(f: Formula) -> str:
    """Write a formula in LaTeX.

    Args:
        f: The formula.

    Returns:
        LaTeX for mathematics mode, without dollar signs.

    """
    parts = f.parts
    if f.kind == "number":
        return _latex_number(f.data)
    if f.kind == "name":
        return _latex_name(str(f.data))
    if f.kind == "call":
        return _latex_call(f)
    if f.kind == "einsum":
        return rf"\operatorname{{einsum}}\left(\texttt{{{f.data}}}, {', '.join(latex(x) for x in parts)}\right)"
    if f.kind == "sum":
        return _signed(f, latex, True)
    if f.kind == "transpose":
        (x,) = parts
        if x.kind == "call" and x.data == "inv":
            return f"{_fenced(x.parts[0], latex, ATOM, True)}^{{-\\top}}"
        return f"{_base(x)}^{{\\top}}"
    if f.kind == "power":
        if parts[0].kind == "call" and parts[0].data in ("norm1", "norm2", "normF", "abs", "det", "tr"):
            return f"{latex(parts[0])}^{{{latex(parts[1])}}}"
        return f"{_base(parts[0])}^{{{latex(parts[1])}}}"
    if f.kind == "entries_power":
        return f"{_base(parts[0])}^{{\\circ {latex(parts[1])}}}"
    if f.kind == "over":
        return _latex_over(f)
    if f.kind == "entries_over":
        return rf"{_latex_factor(f, 0)} \oslash {_latex_factor(f, 1)}"
    if f.kind == "entries":
        return r" \odot ".join([_latex_factor(f, i) for i in range(len(parts))])
    return _latex_chain(f)


def _latex_chain(f: Formula) -> str:
    written = [_latex_factor(f, i) for i in range(len(f.parts))]
    out = written[0]
    for before, after in zip(written, written[1:], strict=False):
        out += (r" \cdot " if before[-1].isdigit() and after[0].isdigit() else r" ") + after
    return out


def _latex_factor(f: Formula, i: int) -> str:
    x = f.parts[i]
    if x.kind == "over" and f.kind == "chain":
        return latex(x)  # a fraction holds itself together
    if f.kind == "entries_over" and is_number(x, 1):
        return r"\mathbf{1}"
    return rf"\left({latex(x)}\right)" if needs_parentheses(f, i) else latex(x)


def _latex_over(f: Formula) -> str:
    top, bottom = f.parts
    if top.scalar or len(top.text) <= len(bottom.text) + 12:
        return rf"\frac{{{latex(top)}}}{{{latex(bottom)}}}"
    first = top.parts[0] if top.kind == "chain" else top
    if first.kind == "number" and top.kind == "chain":
        rest = chain(top.parts[1:])
        return rf"\frac{{{latex(first)}}}{{{latex(bottom)}}} {_fenced(rest, latex, PRODUCT, True)}"
    return rf"\frac{{1}}{{{latex(bottom)}}} {_fenced(top, latex, PRODUCT, True)}"


def _base(f: Formula) -> str:
    """Write what a superscript is put to; one that has a superscript already is fenced."""
    written = latex(f)
    simple = f.kind == "name" or f.kind == "number" and not isinstance(f.data, float) or (
        f.kind == "call" and f.data in ("eye", "vector"))  # fmt: skip
    return written if simple and f.level >= ATOM else rf"\left({written}\right)"


def _latex_number(value: object) -> str:
    if isinstance(value, Fraction) and value.denominator != 1:
        return rf"\frac{{{value.numerator}}}{{{value.denominator}}}"
    text = number(value).text if isinstance(value, (Fraction, float)) else str(value)
    mantissa, e, exponent = text.partition("e")
    return rf"{mantissa} \cdot 10^{{{int(exponent)}}}" if e else text


def _latex_name(name: str) -> str:
    stem, _, below = name.partition("_")
    digits = re.fullmatch(r"([A-Za-z]+?)(\d+)", stem)
    if digits and not below:
        stem, below = digits[1], digits[2]
    shown = "\\" + stem if stem in _GREEK else stem if len(stem) == 1 else rf"\mathit{{{stem}}}"
    lower = below.replace("_", r"\_")
    return f"{shown}_{{{lower}}}" if below else shown


def _latex_call(f: Formula) -> str:
    function, parts = str(f.data), f.parts
    if function in _LATEX_FENCES:
        return _LATEX_FENCES[function] % latex(parts[0])
    if function == "inv":
        return f"{_base(parts[0])}^{{-1}}"
    if function == "eye":
        return f"I_{{{latex(parts[0])}}}"
    if function in ("vector", "matrix"):
        sizes = " ".join([latex(x) for x in parts[1:]]) if function == "vector" else r" \times ".join(
            [latex(x) for x in parts[1:]])  # fmt: skip
        ones = r"\mathbf{0}" if is_number(parts[0], 0) else r"\mathbf{1}"
        sized = f"{ones}_{{{sizes}}}" if sizes else ones
        plain = is_number(parts[0], 0) or is_number(parts[0], 1)
        return sized if plain else f"{_fenced(parts[0], latex, PRODUCT, True)} {sized}"
    if function == "kron":
        return r" \otimes ".join([_fenced(x, latex, POSTFIX, True) for x in parts]).join([r"\left(", r"\right)"])
    shown = _LATEX_FUNCTIONS.get(function, rf"\operatorname{{{function}}}".replace("_", r"\_"))
    return rf"{shown}\left({', '.join([latex(x) for x in parts])}\right)"


# Unicode.


def pretty(f: Formula) -> str:
    """Write a formula in Unicode: Aᵀx, x·y, ‖x‖, X⁻¹.

    Args:
        f: The formula.

    Returns:
        One line; it is meant to be read by people and is not the parser's notation.

    """
    parts = f.parts
    if f.kind == "call":
        return _pretty_call(f)
    if f.kind == "sum":
        return _signed(f, pretty, False)
    if f.kind == "transpose":
        (x,) = parts
        if x.kind == "call" and x.data == "inv":
            return _fenced(x.parts[0], pretty, ATOM, False) + "⁻ᵀ"
        return _fenced(x, pretty, ATOM, False) + "ᵀ"
    if f.kind == "power":
        exponent = pretty(parts[1])
        plain = re.fullmatch(r"-?\d+", exponent)
        raised = (
            exponent.translate(_SUPERSCRIPTS) if plain else f"^({exponent})" if len(exponent) > 1 else "^" + exponent
        )
        return _fenced(parts[0], pretty, ATOM, False) + raised
    if f.kind == "entries_power":
        exponent = pretty(parts[1])
        return _fenced(parts[0], pretty, ATOM, False) + ".^" + (exponent if len(exponent) == 1 else f"({exponent})")
    if f.kind in ("chain", "entries", "over", "entries_over"):
        sign = {"chain": "·", "entries": " ⊙ ", "over": " / ", "entries_over": " ⊘ "}[f.kind]
        written = [f"({pretty(x)})" if needs_parentheses(f, i) else pretty(x) for i, x in enumerate(parts)]
        return sign.join(written)
    if f.kind == "name" and str(f.data) in _LETTERS:
        return _LETTERS[str(f.data)]
    return f.text


_LETTERS = {
    "alpha": "α", "beta": "β", "gamma": "γ", "delta": "δ", "epsilon": "ε", "zeta": "ζ", "eta": "η", "theta": "θ",
    "kappa": "κ", "lambda": "λ", "mu": "μ", "nu": "ν", "xi": "ξ", "pi": "π", "rho": "ρ", "sigma": "σ", "tau": "τ",
    "phi": "φ", "chi": "χ", "psi": "ψ", "omega": "ω", "Gamma": "Γ", "Delta": "Δ", "Theta": "Θ", "Lambda": "Λ",
    "Sigma": "Σ", "Phi": "Φ", "Psi": "Ψ", "Omega": "Ω",
}  # fmt: skip


def _pretty_call(f: Formula) -> str:
    function, parts = str(f.data), f.parts
    if function in _PRETTY_FENCES:
        return _PRETTY_FENCES[function] % pretty(parts[0])
    if function == "inv":
        return _fenced(parts[0], pretty, ATOM, False) + "⁻¹"
    if function == "sqrt":
        return "√" + _fenced(parts[0], pretty, ATOM, False)
    if function == "sigmoid":
        return f"σ({pretty(parts[0])})"
    if function == "eye":
        return "I"
    if function in ("vector", "matrix") and (is_number(parts[0], 0) or is_number(parts[0], 1)):
        return "𝟎" if is_number(parts[0], 0) else "𝟏"
    if function == "kron":
        return " ⊗ ".join([_fenced(x, pretty, POSTFIX, False) for x in parts]).join("()")
    return f"{function}({', '.join([pretty(x) for x in parts])})"
