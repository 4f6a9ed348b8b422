"""What methods are tuned by, at a point of any problem: L, mu, and what examples of a sum differ by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from thalweg.core.errors import InputError
from thalweg.core.random import generator
from thalweg.core.vector import flat, like
from thalweg.linalg import lanczos
from thalweg.methods.method import Noise

#: Parameters up to which a Hessian is formed and diagonalised.
MAX_DENSE = 400
#: Products spent on the ends of the spectrum beyond that.
LANCZOS_STEPS = 60
#: Examples whose gradients are compared where a point does not know their variance.
SAMPLED_EXAMPLES = 100


@dataclass(frozen=True, eq=False)
class Curvature:
    """The ends of a Hessian's spectrum at a point.

    Attributes:
        largest: L, the largest eigenvalue.
        smallest: mu, the smallest; negative where the function is not convex there.
        eigenvalues: All of them, ascending, where the Hessian was diagonalised; else None.
        products: Products with the Hessian that were spent.

    """

    largest: float
    smallest: float
    eigenvalues: np.ndarray | None
    products: int


def curvature(point: Any, seed: int = 0) -> Curvature:
    """Measure the ends of the spectrum of a point's Hessian: by eigenvalues where that is small, else by Lanczos.

    Args:
        point: Of any problem; answers ``hessian`` and ``hvp``.
        seed: Seed of the random start.

    Raises:
        InputError: The Hessian is not finite there.

    """
    size = int(point.x.size)
    if size <= MAX_DENSE:
        matrix = np.asarray(point.hessian, dtype=np.float64)
        if not np.isfinite(matrix).all():
            raise InputError("the Hessian is not finite at the start", "start from another x0")
        values = np.linalg.eigvalsh(matrix)
        return Curvature(float(values[-1]), float(values[0]), values, size)

    def apply(v: np.ndarray) -> np.ndarray:
        return flat(point.hvp(like(point.x, v)))

    found = lanczos(apply, size, seed, steps=LANCZOS_STEPS)
    return Curvature(found.largest.value, found.smallest.value, None, found.products)


def noise(point: Any, found: Curvature, target: float, seed: int = 0) -> Noise | None:
    """Measure what stochastic methods are tuned by.

    Args:
        point: Of any problem.
        found: L and mu there.
        target: Wanted f - f*.
        seed: Seed of the choice of examples.

    Returns:
        sigma^2 of one example: exact where the point knows it, else from ``SAMPLED_EXAMPLES`` of them; L_max: a bound
        or the largest curvature of an example here where the point knows it, else L, which is too little; f - f* as
        ||g||^2/(2 mu), which is too much. None for a problem that is no sum of examples.

    """
    if not hasattr(type(point), "sample"):
        return None
    gradient, n = point.gradient, int(point.problem.n)
    variance = getattr(point, "gradient_variance", None)
    if variance is None:
        count = min(n, SAMPLED_EXAMPLES)
        chosen = np.arange(n) if count == n else generator(seed).choice(n, count, replace=False)
        away = [flat(point.sample(np.array([i])) - gradient) for i in chosen]
        variance = float(np.mean([float(a @ a) for a in away]))
    single = getattr(point, "largest_single", None)
    size = float(gradient @ gradient)
    gap = size / (2 * found.smallest) if found.smallest > 0 else abs(float(point.value))
    return Noise(variance, max(found.largest, single or 0.0), n, gap, target)
