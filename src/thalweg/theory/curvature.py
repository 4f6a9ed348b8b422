"""L and mu of any problem at a point: what first-order methods are tuned by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from thalweg.core.errors import InputError
from thalweg.core.vector import flat, like
from thalweg.linalg import lanczos

#: Parameters up to which a Hessian is formed and diagonalised.
MAX_DENSE = 400
#: Products spent on the ends of the spectrum beyond that.
LANCZOS_STEPS = 60


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
