"""Whether derivatives that a user gave are those of the function: held against differences before a run trusts them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from thalweg.core.errors import InputError
from thalweg.core.random import generator
from thalweg.core.vector import Any1D, as_user_sees, eps, flat, like
from thalweg.problems.function import Function, as_number

#: Least relative difference that counts as wrong: rounding and curvature leave far less, a slip far more.
WRONG = 0.1
#: The second difference, which must confirm the first, is taken over so many times its step.
WIDER = 8.0
#: Random directions along which derivatives are compared: one in ten slips happens to agree along one.
DIRECTIONS = 2
#: How far away the second place is, relative to the largest entry of x and 1.
ASIDE = 1e-2
#: Units of rounding that a value of f may be off by.
ROUNDINGS = 100.0


def check_given(problem: Any, x: Any1D) -> None:
    """Compare the derivatives that were given with differences, along two random directions.

    It takes four values of f where a gradient was given and four gradients where second derivatives were; where they
    disagree a second place decides, since x may be at a kink. What cannot be told is let pass.

    Args:
        problem: Any; nothing is done unless it is a function with given derivatives.
        x: Where, laid out like the problem's start.

    Raises:
        InputError: A given value or derivative is not that of f, or a second derivative is not finite.

    """
    function = getattr(problem, "objective", problem)
    if not isinstance(function, Function) or not function.given:
        return
    given = [name for name in ("gradient", "hessian", "hvp") if name in function.given]
    if "value_and_gradient" in function.given:
        given = ["gradient", *given]
    with np.errstate(all="ignore"):
        if "value_and_gradient" in function.given:
            _Place(function, x).check_value()
        for seed in range(DIRECTIONS):
            here = _Place(function, x, seed)
            for name in dict.fromkeys(given):
                ratio = None if here.ratio(name) is None else here.aside.ratio(name)
                if ratio is not None:
                    raise InputError(
                        f"the given {name} is not that of f: {ratio:.3g} times what differences give along a direction",
                        "leave it out" if name == "gradient" else "leave it out; for J'J use tw.LeastSquares",
                    )


class _Place:
    """A point with a random direction of length 1 and differences along it."""

    def __init__(self, function: Function, x: Any1D, seed: int = 0) -> None:
        self.function = function
        self.x = x
        self.entries = flat(x).astype(np.float64)
        self.rng = generator(seed)
        way = self.rng.standard_normal(len(self.entries))
        self.way = way / np.linalg.norm(way)
        self.scale = 1.0 + float(np.abs(self.entries).max())
        self.step = eps(x) ** (1 / 3) * self.scale
        self.noise = ROUNDINGS * eps(x) / self.step

    @property
    def aside(self) -> _Place:
        """A place nearby."""
        entries = self.entries + ASIDE * self.scale * self.rng.uniform(-1, 1, len(self.entries))
        return _Place(self.function, like(self.x, entries), 1)

    def moved(self, t: float) -> Any1D:
        return like(self.x, self.entries + t * self.way)

    def value(self, t: float) -> np.ndarray:
        return np.array([as_number(self.function.f(as_user_sees(self.moved(t))), "f(x)")])

    def gradient(self, t: float) -> np.ndarray:
        return flat(self.function.at(self.moved(t)).gradient).astype(np.float64)

    def check_value(self) -> None:
        given, value = self.function.at(self.x).value, float(self.value(0.0)[0])
        if abs(given - value) > 1e-3 * max(abs(given), abs(value)):
            raise InputError(
                f"value_and_gradient gives the value {given:.6g} where f gives {value:.6g}",
                "return f(x) and its gradient",
            )

    def ratio(self, name: str) -> float | None:
        """What was given over the central difference along the direction; None where they agree or it cannot be told.

        Two steps that agree with one another must agree against it.
        """
        point = self.function.at(self.x)
        if name == "gradient":
            given, of, size = np.array([float(flat(point.gradient) @ self.way)]), self.value, abs(point.value)
        else:
            bend = point.hessian @ self.way if name == "hessian" else flat(point.hvp(like(self.x, self.way)))
            given, of, size = (
                np.asarray(bend, dtype=np.float64),
                self.gradient,
                float(np.linalg.norm(self.gradient(0.0))),
            )
        if name != "gradient" and not np.isfinite(given).all():
            raise InputError(f"the given {name} is not finite at x0", "leave it out, or start elsewhere")
        noise = self.noise * size
        found = (of(self.step) - of(-self.step)) / (2 * self.step)
        if _close(given, found, noise, WRONG):
            return None
        wide = WIDER * self.step
        wider = (of(wide) - of(-wide)) / (2 * wide)
        if _close(given, wider, noise, WRONG) or not _close(found, wider, noise, 0.5 * WRONG):
            return None
        return float(given @ found) / float(found @ found) if found.any() else math.inf


def _close(a: np.ndarray, b: np.ndarray, noise: float, share: float) -> bool:
    """Whether two vectors are the same but for a share of them and noise; what is not finite tells nothing."""
    away = float(np.linalg.norm(a - b))
    return not math.isfinite(away) or away <= share * max(float(np.linalg.norm(a)), float(np.linalg.norm(b))) + noise
