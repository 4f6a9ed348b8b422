"""Quadratics with a chosen spectrum, a random basis and a known minimum."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from thalweg.core.check import checked_number
from thalweg.core.errors import InputError
from thalweg.core.random import Seed, generator
from thalweg.problems.quadratic import Quadratic
from thalweg.problems.zoo.entry import checked_size

Kind = Literal["uniform", "geometric", "clustered", "outlier"]


def spectrum(
    kind: Kind,
    size: int,
    condition_number: float,
    *,
    largest: float = 1.0,
    clusters: int = 4,
    spread: float = 0.01,
    seed: Seed = 0,
) -> np.ndarray:
    """Eigenvalues from ``largest / condition_number`` to ``largest``, both included.

    Args:
        kind: How the eigenvalues lie between the two. "uniform": at equal distances. "geometric": at equal ratios.
            "clustered": around ``clusters`` centres at equal ratios. "outlier": all are within a factor
            1 + ``spread`` of the smallest, but one.
        size: How many, at least 2.
        condition_number: Largest by smallest, at least 1.
        largest: The largest eigenvalue, above 0.
        clusters: How many clusters, at least 2 and at most ``size``.
        spread: Relative width of a cluster, at least 0.
        seed: Places the eigenvalues in their clusters.

    Returns:
        The eigenvalues, ascending, shape (size,).

    Raises:
        InputError: An argument is outside its range.

    Example:
        >>> spectrum("geometric", 3, 100.0)
        array([0.01, 0.1 , 1.  ])

    """
    count = checked_size("a spectrum", size, least=2)
    kappa = _at_least("condition_number", condition_number, 1.0)
    top = checked_number("largest", largest, "pass a number above 0")
    if not top:
        raise InputError("largest=0 makes every eigenvalue 0", "pass a number above 0")
    width = checked_number("spread", spread, "pass a number >= 0")
    low = top / kappa
    if kind == "uniform":
        inner = np.linspace(low, top, count)
    elif kind == "geometric":
        inner = np.geomspace(low, top, count)
    elif kind == "clustered":
        groups = checked_size("a spectrum of clusters", clusters, least=2)
        if groups > count:
            raise InputError(f"clusters={groups} for {count} eigenvalues", f"pass clusters <= {count}")
        centres = np.geomspace(low, top, groups)[np.arange(count) * groups // count]
        inner = centres * (1.0 + width * generator(seed).uniform(-0.5, 0.5, count))
    elif kind == "outlier":
        inner = low * (1.0 + width * generator(seed).uniform(0.0, 1.0, count))
    else:
        raise InputError(f"kind={kind!r}", 'pass "uniform", "geometric", "clustered" or "outlier"')
    eigenvalues = np.sort(np.clip(inner, low, top))
    eigenvalues[0], eigenvalues[-1] = low, top
    return eigenvalues


def quadratic(
    eigenvalues: Any,
    *,
    seed: Seed = 0,
    minimiser: Any = None,
    minimum: float = 0.0,
    x0: Any = None,
    name: str = "quadratic",
) -> Quadratic:
    """f(x) = (x - x*)' A (x - x*) / 2 + f*, where A has the given eigenvalues in a random orthogonal basis.

    The basis is uniform over all orthogonal bases: the Q of a Gaussian matrix, the signs of R's diagonal taken out.

    Args:
        eigenvalues: Those of A, each at least 0, shape (n,).
        seed: Draws the basis, and the minimiser if none is given.
        minimiser: x*, shape (n,); a standard normal vector when None.
        minimum: f*.
        x0: Start, shape (n,); zero when None.
        name: What reports call it.

    Returns:
        The problem, whose ``minimiser`` and ``minimum`` are as given.

    Raises:
        InputError: The eigenvalues are negative, not finite, or not a list of numbers; or shapes disagree.

    Example:
        >>> problem = quadratic([1.0, 10.0], minimiser=[1.0, -1.0])
        >>> bool(abs(problem.at(np.array([1.0, -1.0])).gradient).max() < 1e-14)
        True

    """
    values = np.asarray(eigenvalues, dtype=np.float64)
    if values.ndim != 1 or not values.size or not np.isfinite(values).all() or (values < 0).any():
        raise InputError(f"eigenvalues of shape {values.shape} hold {eigenvalues!r:.60}", "pass finite numbers >= 0")
    rng = generator(seed)
    q, r = np.linalg.qr(rng.standard_normal((values.size, values.size)))
    basis = q * np.sign(np.diag(r))
    A = (basis * values) @ basis.T
    A = 0.5 * (A + A.T)
    point = rng.standard_normal(values.size) if minimiser is None else np.asarray(minimiser, dtype=np.float64)
    if point.shape != values.shape or not np.isfinite(point).all():
        raise InputError(f"minimiser has shape {point.shape}", f"pass {values.size} finite numbers")
    b = A @ point
    return Quadratic(A, b, minimum + 0.5 * float(point @ b), x0=x0, minimiser=point, name=name)


def _at_least(name: str, value: Any, least: float) -> float:
    number = checked_number(name, value, f"pass a number >= {least:g}")
    if number < least:
        raise InputError(f"{name}={value!r} is below {least:g}", f"pass a number >= {least:g}")
    return number
