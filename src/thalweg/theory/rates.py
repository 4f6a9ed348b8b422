"""The rate of convergence of a sequence, from a formula, a function or observed values: `rate`."""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable
from typing import Any

import numpy as np

from thalweg.core.errors import InputError
from thalweg.theory.rate_asymptotics import rate_of_terms
from thalweg.theory.rate_formula import plain_values, terms_of_formula, terms_of_function
from thalweg.theory.rate_kinds import Rate, RateKind
from thalweg.theory.rate_series import rate_of_values

__all__ = ["Rate", "RateKind", "rate"]

#: Terms of a function that wants plain numbers.
TERMS = 400
_DOUBLE = 2.0**-52


def rate(source: str | Callable[[Any], Any] | Any, *, limit: float | None = None) -> Rate:
    """Classify how fast a sequence converges.

    Args:
        source: A formula in k ("1/3^k"), a Python function of k (k = 1, 2, ...), or consecutive values, shape (n,):
            errors r_k >= 0, or losses f_k.
        limit: What it converges to; for a formula or a function 0 unless said. None lets the limit of values be
            estimated: zero, if they fall to zero by themselves, else what they settle at or are heading for.

    Returns:
        Kind, q, order, power, floor, with a confidence and the evidence in a sentence.

    Raises:
        InputError: No formula, no real finite numbers, or values below the limit.

    Example:
        >>> print(rate("1/3^k").figures)
        q = 0.3333
        >>> rate([1.0, 1e-1, 1e-2, 1e-4, 1e-8, 1e-16]).kind
        <RateKind.QUADRATIC: 'quadratic'>
        >>> rate("0.707^(2^k)").order
        2.0

    """
    checked = _checked_limit(limit)
    if isinstance(source, str):
        if source.lower().endswith((".csv", ".txt", ".tsv", ".npy")):
            raise InputError(f"{source!r} is the name of a file, not a formula", "pass its values")
        return rate_of_terms(terms_of_formula(source), checked or 0.0)
    if callable(source) and not hasattr(source, "__array__"):
        terms = terms_of_function(source)
        if terms is not None:
            return rate_of_terms(terms, checked or 0.0)
        values = _array(plain_values(source, TERMS))[0]
        return rate_of_values(values, checked or 0.0, _DOUBLE)
    values, unit = _array(source)
    return rate_of_values(values, checked, unit)


def _checked_limit(limit: Any) -> float | None:
    if limit is None:
        return None
    plain = isinstance(limit, numbers.Real) and not isinstance(limit, (bool, np.bool_))
    if not plain or not math.isfinite(limit):
        raise InputError(f"limit={limit!r} is no finite number", "give a number, or None to have it estimated")
    return float(limit)


def _array(source: Any) -> tuple[np.ndarray, float]:
    """Values as float64, shape (n,), and the spacing of numbers near 1 in the precision they came in."""
    if hasattr(source, "detach"):  # a tensor of torch, on whatever device
        source = source.detach().cpu().numpy()
    try:
        values = np.asarray(source)
    except (TypeError, ValueError):
        values = np.asarray(None)
    if values.dtype.kind not in "iuf":
        kind = values.dtype if isinstance(source, (np.ndarray, list, tuple)) else type(source).__name__
        raise InputError(
            f"source is of type {kind}", "give a formula in k, a function of k, or an array of real numbers"
        )
    if values.ndim != 1 or not len(values):
        raise InputError(f"source has shape {values.shape}", "give consecutive values of one sequence, shape (n,)")
    bad = np.flatnonzero(~np.isfinite(values))
    if len(bad):
        at = int(bad[0])
        raise InputError(f"value {at + 1} of {len(values)} is {values[at]}", "end the record before it, or drop it")
    unit = float(np.finfo(values.dtype).eps) if values.dtype.kind == "f" else _DOUBLE
    return values.astype(np.float64), max(unit, _DOUBLE)
