"""How many components of a least squares solution a floating-point format can recover.

Two limits, both relative to s_max: about eps for a direct solver (truncated SVD, QR), about sqrt(eps) for gradient
descent, whose last steps are too small to change the sum that they are added to.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from thalweg.core.check import checked_number
from thalweg.core.errors import InputError
from thalweg.theory.spectral import EPS, checked_array, checked_scale

_FORMATS = {"bfloat16": 2.0**-7, "float16": 2.0**-10, "float32": 2.0**-23, "float64": EPS}


@dataclass(frozen=True)
class PrecisionLimit:
    """What a floating-point format leaves of a least squares problem; a component counts if half of it can be had.

    Attributes:
        dtype: The format.
        eps: The spacing of its numbers above 1.
        components: Leading components that a direct solver recovers, as expected from rounding errors that do not
            conspire.
        sure: Those above max(n, d) eps s_max, the rank rule, whatever the rounding errors do.
        floor: The singular value below which the first of the others lies, or would lie.
        descent_components: Leading components that gradient descent recovers.
        descent_floor: sqrt(eps/step_size).
        descent_steps: 1/eps: later steps no longer move a component that earlier ones have not.
        total: min(n, d).
        assumptions: What the numbers rest on.

    """

    dtype: str
    eps: float
    components: int
    sure: int
    floor: float
    descent_components: int
    descent_floor: float
    descent_steps: int
    total: int
    assumptions: tuple[str, ...]

    def __str__(self) -> str:
        return (
            f"{self.dtype}: {self.components} of {self.total} components by a direct solver (surely {self.sure}), "
            f"those with s above {self.floor:.3g}\n"
            f"  {self.descent_components} by gradient descent, those with s above {self.descent_floor:.3g}, "
            f"in up to {self.descent_steps:.3g} steps\n"
            f"  assumed: {'; '.join(self.assumptions)}"
        )


def recoverable_components(X: Any, dtype: Any = np.float64, *, step_size: float | None = None) -> PrecisionLimit:
    """How many components of w, from the largest singular value, survive storage and arithmetic in a format.

    Direct solver. Stored entries are X + E, y + e with relative errors of mean square u^2/3 or less, u = eps/2. To
    first order component i of the answer is off by u_i'(e - E w)/s_i. Where w has components of one size c, both parts
    have mean square c^2 (u^2/3) sum_a u_ia^2 ||x_a||^2 (u_ia: entry a of the left singular vector; x_a: row a). In
    squares the error is half of the component for s_i = eps sqrt(sum_a u_ia^2 ||x_a||^2 / 3). A backward stable
    decomposition rounds about as much as storage. The singular values themselves are computed in float64, and those
    below its eps s_max count as lost in every format.

    Gradient descent, w <- w - step_size X'(Xw - y). A step on component i is step_size s_i^2 of what is missing; below
    u of w it is lost in the sum. Of component i the share u/(step_size s_i^2) stays missing: a half for
    s_i = sqrt(eps/step_size). Steps that reach it number 1/(step_size s_i^2) = 1/eps.

    Source: Golub and Van Loan, Matrix Computations (4th ed. 2013), sections 5.4.1 and 8.6; Higham, Accuracy and
    Stability of Numerical Algorithms (2nd ed. 2002), sections 1.1 and 2.8. The two mean-square rules are derived above.

    Args:
        X: The data, shape (n, d).
        dtype: float64, float32, float16 as NumPy or torch name them, or "bfloat16".
        step_size: Of gradient descent on ||Xw - y||^2/2; 1/s_max^2 if None.

    Raises:
        InputError: If X is no table of numbers, or the format is another one.

    """
    data, name = checked_array("X", X), _format(dtype)
    if data.ndim != 2 or not data.any():
        raise InputError(f"X has shape {data.shape}, or is zero", "pass a table of n rows and d columns")
    checked_scale("X", data)
    eps = _FORMATS[name]
    left, s, _ = np.linalg.svd(data, full_matrices=False)
    largest = float(s[0])
    floors = np.maximum(eps * np.sqrt(np.square(left).T @ np.square(data).sum(axis=1) / 3), EPS * largest)
    components = _leading(s > floors)
    size = 1 / largest**2 if step_size is None else checked_number("step_size", step_size, "use at most 2/s_max^2")
    if not 0 < size * largest**2 <= 2 * (1 + 8 * EPS):
        raise InputError(f"step_size={size!r}: gradient descent is stable up to {2 / largest**2:.4g}", "use 1/s_max^2")
    descent_floor = math.sqrt(eps / size)
    return PrecisionLimit(
        name,
        eps,
        components,
        int((s > max(data.shape) * eps * largest).sum()),
        float(floors[min(components, len(s) - 1)]),
        min(components, int((s >= descent_floor).sum())),
        descent_floor,
        round(1 / eps),
        len(s),
        (
            "y is in the range of X up to rounding",
            "the components of w are of one size",
            "rounding errors are independent, and nothing leaves the range of the format",
            "gradient descent without momentum, from zero",
        ),
    )


def _format(dtype: Any) -> str:
    name = str(dtype).removeprefix("torch.")
    if name not in _FORMATS:
        try:
            name = np.dtype(dtype).name
        except TypeError:
            name = ""
    if name not in _FORMATS or dtype is None:
        raise InputError(f"dtype={dtype!r} is unknown here", f"use one of {', '.join(_FORMATS)}")
    return name


def _leading(kept: np.ndarray) -> int:
    """How many are true before the first that is not."""
    return len(kept) if kept.all() else int(np.argmin(kept))
