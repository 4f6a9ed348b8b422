"""How the rows of the operation table are written in NumPy, torch and JAX: what lowering needs to know of a library.

A row says in its own fields how it is written; the tables here fill in for the built-in rows, joined by name. A
spelling is the bare name of a function of the library, a template over the inputs and then the parameters, or, where a
parameter does not print as itself, a function that gives the text. A row without one cannot be lowered to that library.
"""

from __future__ import annotations

import builtins
import itertools
import keyword
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from thalweg.core.errors import InputError, UnsupportedError
from thalweg.expr.rows import Op

Spelling = str | Callable[[Sequence[str], tuple[Any, ...]], str]

_CALLED = re.compile(r"(?<![\w.])(?<!def )([A-Za-z_]\w*)\(")
_DTYPE = re.compile(r"(?<=, )((?:float|u?int)\d+)(?=\))")
_MATH = re.compile(r"(?<![\w.])math_(\w+)\(")
_CHAIN = re.compile(r"(?<![\w.])(chain_[0-9a-f]{32})\(")
_OWN_MODULE = re.compile(r"(?<![\w.])(numeric\w*)\.")
_TAKEN = re.compile(
    r"(t\d+|.*_turned|chain_.*|math_.*|c_[0-9a-f]+|dim_.*|numeric.*|residuals|dtype|device|torch|jax|jnp|numpy|np)_*"
)


@dataclass(frozen=True, slots=True)
class Dialect:
    """One library, as lowering sees it; the templates take what their names say.

    Attributes:
        name: "numpy", "torch" or "jax".
        table: Spellings of built-in rows, for those whose own field is empty.
        prefix: Stands before a bare name.
        full: The text of an array of ``shape`` filled with ``number`` in ``dtype``.
        cast: The text of ``value`` in the floating precision ``dtype``.
        copy: The text of a fresh array equal to ``value``.
        number: The text of an array without axes that holds a number.
        precision: The text of the floating precision that ``values`` work in.
        truth: The library's name of the type of truth values.
        whole: The library's name of the type of whole numbers.

    """

    name: str
    table: Mapping[str, Spelling]
    prefix: str
    full: str
    cast: str
    copy: str
    number: str
    precision: str
    truth: str
    whole: str

    def spelling(self, row: Op) -> Spelling:
        """Give a row's spelling.

        Raises:
            UnsupportedError: when there is none.

        """
        own = {"numpy": row.spelling, "torch": row.torch, "jax": row.jax}[self.name]
        found = own or self.table.get(row.name, "")
        if not found and self.name == "jax":
            found = _in_jax(row.spelling)
        if not found:
            raise UnsupportedError(
                f"{row.name} cannot be lowered to {self.name}: its row has no spelling there",
                f"add one to the row, or evaluate the expression without lowering it to {self.name}",
            )
        return found

    def call(self, row: Op, arguments: Sequence[str], params: tuple[Any, ...], written: Sequence[str]) -> str:
        """Write one operation.

        Args:
            row: The operation.
            arguments: The texts of its inputs.
            params: Its parameters.
            written: The texts of its parameters.

        """
        spelling = self.spelling(row)
        if not isinstance(spelling, str):
            return spelling(arguments, params)
        if "{" in spelling:
            several = {"inputs": ", ".join(arguments), "params": ", ".join(written)}
            return spelling.format(*arguments, *written, **several)
        return f"{self.prefix}{spelling}({', '.join([*arguments, *written])})"

    def header(self, text: str) -> str:
        """Give the import lines that a text needs, and nothing more."""
        lines = []
        if self.name == "numpy":
            names = sorted({n for n in [*_CALLED.findall(text), *_DTYPE.findall(text)] if hasattr(np, n)})
            lines += _import_from("numpy", names) if names else []
        else:
            modules = {"torch": ("torch",), "jax": ("jax.scipy.special", "jax.numpy", "jax")}[self.name]
            for module in modules:
                word = "jnp" if module == "jax.numpy" else module
                if re.search(rf"(?<![\w.]){re.escape(word)}\.", text):
                    lines.append(f"import {module} as jnp" if word == "jnp" else f"import {module}")
        limits = [n for n in ("inf", "nan") if re.search(rf"(?<![\w.]){n}\b", text)]
        if limits:
            lines.insert(0, f"from math import {', '.join(limits)}")
        scalar = sorted(set(_MATH.findall(text)))
        if scalar:
            lines.insert(0, f"from math import {', '.join([f'{n} as math_{n}' for n in scalar])}")
        chains = sorted(set(_CHAIN.findall(text)))
        lines += [f"from thalweg.expr.fuse import {name}" for name in chains]
        own = sorted(set(_OWN_MODULE.findall(text)))
        if own:
            lines.append(f"from thalweg.expr import {', '.join(own)}")
        return "\n".join(lines) + "\n\n\n" if lines else ""


def _import_from(module: str, names: Sequence[str]) -> list[str]:
    whole = f"from {module} import {', '.join(names)}"
    if len(whole) <= 110:
        return [whole]
    lines, row = [f"from {module} import ("], "   "
    for name in names:
        if len(row) + len(name) > 100:
            lines.append(row)
            row = "   "
        row += f" {name},"
    return [*lines, row, ")"]


def safe_name(name: str) -> str:
    """Give a name for generated text that hides nothing the text uses: keywords and functions get an underscore."""
    hidden = keyword.iskeyword(name) or hasattr(builtins, name) or hasattr(np, name) or name in ("inf", "nan")
    return name + "_" if hidden or _TAKEN.fullmatch(name) else name


def dialect_named(name: str) -> Dialect:
    """Give a dialect.

    Raises:
        InputError: for any other name than "numpy", "torch" or "jax".

    """
    if name not in DIALECTS:
        raise InputError(f"dialect={name!r} is unknown", f"use one of {', '.join(map(repr, DIALECTS))}")
    return DIALECTS[name]


def _in_jax(spelling: str) -> str:
    """Give NumPy's spelling in jax.numpy, which has NumPy's names; "" for what is Thalweg's own."""
    if "numeric" in spelling or not spelling:
        return ""
    return _CALLED.sub(r"jnp.\1(", spelling) if "{" in spelling else spelling


def index_text(index: Sequence[Any]) -> str:
    """Write an index parameter (whole numbers, and slices as triples) between brackets; "..." for no axes."""
    parts = []
    for part in index:
        if isinstance(part, tuple):
            start, stop, step = ["" if p is None else str(p) for p in part]
            parts.append(f"{start}:{stop}:{step}" if step else f"{start}:{stop}")
        else:
            parts.append(str(part))
    return ", ".join(parts) or "..."


def _joined(function: str, axis: str) -> Spelling:
    return lambda arguments, params: f"{function}(({', '.join(arguments)},), {axis}={params[0]})"


def _product(arguments: Sequence[str], params: tuple[Any, ...]) -> str:
    """Write a product of vectors and matrices as the method that NumPy is quickest to call."""
    operands, out = params[0].split("->")
    terms = operands.split(",")
    written = []
    if len(terms) == 2 and all(len(t) in (1, 2) and len(set(t)) == len(t) for t in terms):
        for (a, left), (b, right) in itertools.permutations(list(zip(arguments, terms, strict=True))):
            shared = set(left) & set(right)
            index = min(shared, default="")
            if len(shared) == 1 and index not in out and out == (left + right).replace(index, ""):
                first, second = ("" if left.endswith(index) else ".T"), ("" if right.startswith(index) else ".T")
                written.append(f"{a}{first}.dot({b}{second})")
    if written:
        return min(written, key=lambda text: text.count(".T"))
    return _contracted("numeric.contract")(arguments, params)


def _contracted(function: str) -> Callable[[Sequence[str], tuple[Any, ...]], str]:
    return lambda arguments, params: f"{function}({params[0]!r}, {', '.join(arguments)})"


_NUMPY: dict[str, Spelling] = {
    "einsum": _product,
    "concatenate": _joined("concatenate", "axis"),
    "scatter_add": "numeric.scatter_add({}, {}, {})",
}


def _numbered(function: str) -> Callable[[Sequence[str], tuple[Any, ...]], str]:
    """Write a call of a user's own operation, which kernels know by its number."""

    def spelling(arguments: Sequence[str], params: tuple[Any, ...]) -> str:
        bound, *rest = params
        return f"numeric_primitive.{function}({', '.join([str(bound.number), *map(str, rest), *arguments])})"

    return spelling


_PRIMITIVES: dict[str, Spelling] = {
    "primitive": _numbered("run"),
    "primitive_jvp": _numbered("run_jvp"),
    "primitive_vjp": _numbered("run_vjp"),
}

_SAME_IN_TORCH = (
    "square exp log log1p expm1 sqrt tanh sigmoid relu abs sign sin cos tan sinh cosh arcsin arccos arctan arcsinh "
    "arccosh arctanh erf erfc floor ceil trunc isfinite isnan isinf logical_not argsort exp2 log2 log10 lgamma digamma"
)

_TORCH: dict[str, Spelling] = {
    **_PRIMITIVES,
    **{name: name for name in _SAME_IN_TORCH.split()},
    **{
        name: f"({{}} {sign} {{}})"
        for name, sign in {
            "add": "+", "sub": "-", "mul": "*", "div": "/", "pow": "**",
            "lt": "<", "le": "<=", "gt": ">", "ge": ">=", "eq": "==", "ne": "!=",
        }.items()
    },
    "neg": "(-{})",
    "identity": "{}",
    "dimension": "{}",
    "rint": "round",
    "gammaln": "lgamma",
    **{
        name: f"numeric_torch.{name}({{}}, {{}})"
        for name in ("maximum", "minimum", "logical_and", "logical_or", "logaddexp", "arctan2", "indicator", "pick")
    },
    "softplus": "numeric_torch.softplus({})",
    "rsqrt": "numeric_torch.rsqrt({})",
    "where": "numeric_torch.where({}, {}, {})",
    "sum": "torch.sum({}, dim={}, keepdim={})",
    "max": "torch.amax({}, dim={}, keepdim={})",
    "min": "torch.amin({}, dim={}, keepdim={})",
    "logsumexp": "torch.logsumexp({}, dim={}, keepdim={})",
    "softmax": "torch.softmax({}, dim={})",
    "reshape": "torch.reshape({}, {})",
    "transpose": "torch.permute({}, {})",
    "broadcast_to": "torch.broadcast_to({}, {})",
    "einsum": _contracted("numeric_torch.contract"),
    "concatenate": _joined("torch.cat", "dim"),
    "scatter": "numeric_torch.scatter({}, {}, {})",
    "scatter_add": "numeric_torch.scatter_add({}, {}, {})",
    "take": "numeric_torch.take({}, {})",
    "place": "numeric_torch.place({}, {}, {})",
    "eye": "torch.eye({}, dtype=torch.bool, device=device)",
}  # fmt: skip

_JAX: dict[str, Spelling] = {
    "sigmoid": "jax.nn.sigmoid({})",
    "softplus": "jax.nn.softplus({})",
    "rsqrt": "jnp.where(jnp.equal({0}, 0), 0.0, jax.lax.rsqrt(jnp.where(jnp.equal({0}, 0), 1.0, {0})))",
    "erf": "jax.scipy.special.erf({})",
    "indicator": "jnp.asarray({}, dtype=jnp.asarray({}).dtype)",
    "logsumexp": "jax.scipy.special.logsumexp({}, axis={}, keepdims={})",
    "softmax": "jax.nn.softmax({}, axis={})",
    "einsum": _contracted("jnp.einsum"),
    "concatenate": _joined("jnp.concatenate", "axis"),
    "pick": "jnp.take_along_axis({}, jnp.asarray({})[..., None], axis=-1)[..., 0]",
    "scatter": "jnp.where(jax.nn.one_hot({1}, {2}, dtype=bool), jnp.asarray({0})[..., None], 0)",
    "scatter_add": "({0} + jnp.where(jax.nn.one_hot({2}, {0}.shape[-1], dtype=bool), jnp.asarray({1})[..., None], 0))",
    "take": lambda arguments, params: f"{arguments[0]}[{index_text(params[0])}]",
    "place": lambda arguments, params: (
        f"jnp.zeros({params[1]}, dtype={arguments[0]}.dtype).at[{index_text(params[0])}].set({arguments[0]})"
    ),
    "eye": "jnp.eye({}, dtype=bool)",
    "dimension": "{}",
    "identity": "{}",
}

DIALECTS: dict[str, Dialect] = {
    "numpy": Dialect(
        "numpy", {**_NUMPY, **_PRIMITIVES}, "", "full({shape}, {number}, dtype={dtype})",
        "asarray({value}, dtype={dtype})",
        "array({value})", "asarray({value})", "numeric.common_dtype({values})", "bool", "int",
    ),
    "torch": Dialect(
        "torch", _TORCH, "torch.", "torch.full({shape}, {number}, dtype={dtype}, device=device)",
        "{value}.to({dtype})", "{value}.clone(memory_format=torch.contiguous_format)",
        "torch.tensor({value}, device=device)", "numeric_torch.common_dtype({values})", "torch.bool", "torch.int64",
    ),
    "jax": Dialect(
        "jax", _JAX, "jnp.", "jnp.full({shape}, {number}, dtype={dtype})", "jnp.asarray({value}, dtype={dtype})",
        "jnp.array({value})", "jnp.asarray({value})", "jnp.result_type({values})", "bool", "int",
    ),
}  # fmt: skip
