"""What a bound is: a function of constants that says what it bounds, when, and who proved it."""

from __future__ import annotations

import inspect
import math
import numbers
import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, ParamSpec

import numpy as np

from thalweg.core.check import checked_number
from thalweg.core.errors import InputError, UnsupportedError
from thalweg.theory.bounds_problem import ANY, constants_of

P = ParamSpec("P")
#: Whole numbers up to here are floating-point numbers.
MAX_COUNT = 2**53
#: How far rounding may carry a step or a radius beyond the end of the range in which a bound holds.
SLACK = 1 + 4 * float(np.finfo(np.float64).eps)


@dataclass(frozen=True, eq=False, repr=False)
class Bound(Generic[P]):
    """A bound, called with the constants by name.

    What the arguments can show to be violated (a step longer than 1/L, a start outside Newton's region) is an error;
    what they cannot show (that f is a quadratic) stands in ``assumptions``: ``constants_of`` asks it of a problem.

    Attributes:
        name: The name in ``BOUNDS``.
        quantity: What is bounded, and from which side.
        formula: The right side.
        assumptions: Under which the bound is a theorem.
        source: Paper or book.
        evaluate: The function of the constants.
        falls: Whether it falls as steps are taken, so that ``steps_until`` can be asked.
        kind: Of the functions that it is about: "any", "convex", "strongly convex" or "quadratic".

    Example:
        >>> from thalweg.theory.bounds import gradient_descent
        >>> gradient_descent(L=10.0, mu=1.0, gap=2.0, steps=2)
        1.62
        >>> gradient_descent.steps_until(1e-6, L=10.0, mu=1.0, gap=2.0)
        138

    """

    name: str
    quantity: str
    formula: str
    assumptions: tuple[str, ...]
    source: str
    evaluate: Callable[P, float]
    falls: bool = False
    kind: str = ANY

    def __post_init__(self) -> None:
        # help(), inspect.signature() and pickle see the function that was decorated.
        for attribute in ("__module__", "__name__", "__qualname__", "__doc__"):
            object.__setattr__(self, attribute, getattr(self.evaluate, attribute))
        object.__setattr__(self, "__wrapped__", self.evaluate)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> float:
        """The bound for these constants."""
        try:
            value = self.evaluate(*args, **kwargs)
        except (OverflowError, ZeroDivisionError):
            value = math.nan
        if math.isnan(value):
            raise InputError(
                f"{self.name} leaves the range of floating-point numbers with {kwargs}", "rescale the problem"
            )
        return value

    def __reduce__(self) -> str:
        return self.name

    def __repr__(self) -> str:
        return f"Bound {self.name}: {self.quantity} {self.formula}"

    def __str__(self) -> str:
        lines = [f"{self.quantity} {self.formula}", *(f"  assumes {text}" for text in self.assumptions)]
        return "\n".join([*lines, f"  source: {self.source}"])

    def constants_of(self, problem: Any, x0: Any = None, **given: Any) -> dict[str, Any]:
        """The arguments that a problem tells: what is sure of its constants wherever the run goes.

        Args:
            problem: Any problem.
            x0: Where the run starts; the problem's start when None.
            **given: Arguments that the caller knows, which are not looked for.

        Returns:
            Upper ends of L, L_max, M, sigma^2, f_0 - f* and ||x_0 - x*||, the lower end of mu, and what was given.

        Raises:
            InputError: f is not known to be what the bound is about, or a constant is not known; both are named.

        Example:
            >>> import thalweg as tw
            >>> from thalweg.theory.bounds import heavy_ball
            >>> problem = tw.Quadratic([[2.0, 1.0], [1.0, 3.0]], x0=[1.0, 1.0])
            >>> heavy_ball.steps_until(1e-6, **heavy_ball.constants_of(problem))
            7

        """
        parameters = inspect.signature(self.evaluate).parameters.values()
        names = [p.name for p in parameters if p.default is p.empty or p.name in given]
        unknown = given.keys() - set(names)
        if unknown:
            raise InputError(f"{self.name} takes no {', '.join(sorted(unknown))}", f"it takes {', '.join(names)}")
        return constants_of(self.name, self.kind, names, problem, x0, given)

    def steps_until(self, target: float, **constants: Any) -> int:
        """The fewest steps after which the bound lies at or below a target; ``constants`` as in a call, less ``steps``.

        A bound may climb at first; it is searched by doubling and halving, where it rises at most once, then falls.

        Args:
            target: Wanted value of the bound, > 0.
            **constants: All arguments of the bound but ``steps``.

        Raises:
            InputError: If the target is not positive, or the bound stays above it.
            UnsupportedError: If this bound does not depend on steps.

        """
        if not self.falls:
            raise UnsupportedError(f"{self.name} does not fall with steps", "evaluate it by calling it")
        target = positive("target", target)
        evaluate: Callable[..., float] = self

        def reached(steps: int) -> bool:
            return evaluate(steps=steps, **constants) <= target

        low, high = -1, 0
        while not reached(high):
            low, high = high, max(1, 2 * high)
            if high > MAX_COUNT:
                raise InputError(
                    f"target={target!r}: {self.name} stays above it however many steps are taken",
                    "ask for a larger target, or change the constants that hold the bound up",
                )
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if reached(middle) else (middle, high)
        return high


def bound(
    *,
    quantity: str,
    formula: str,
    assumptions: tuple[str, ...],
    source: str,
    falls: bool = False,
    kind: str = ANY,
) -> Callable[[Callable[P, float]], Bound[P]]:
    """Make a ``Bound`` of a function of the constants."""

    def record(function: Callable[P, float]) -> Bound[P]:
        return Bound(function.__name__, quantity, formula, assumptions, source, function, falls, kind)

    return record


# --- Arguments ------------------------------------------------------------------------------------------------------

_REMEDIES = {
    "L": "pass the Lipschitz constant of the gradient, e.g. diagnose(problem).constants['L'].value",
    "L_max": "pass the largest Lipschitz constant of one example's gradient",
    "mu": "pass the strong convexity or PL constant, at most L",
    "M": "pass the Lipschitz constant of the Hessian; 0 for a quadratic",
    "step_size": "pass the step alpha, e.g. 1/L",
    "gap": "pass f(x_0) - f*, or an upper bound on it",
    "distance": "pass ||x_0 - x*||, or an upper bound on it",
    "target": "pass the wanted f - f*, e.g. 1e-6",
    "variance": "pass sigma^2 = E||g_i - g||^2 of one example, in the region that the run visits",
}


def real(name: str, value: Any) -> float:
    """A finite number of any sign."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real) or not math.isfinite(value):
        raise InputError(f"{name}={value!r}: expected a finite number", f"pass a number such as {name}=1.0")
    return float(value)


def number(name: str, value: Any) -> float:
    """A finite number >= 0."""
    return checked_number(name, value, _REMEDIES.get(name, f"pass a number such as {name}=1.0"))


def positive(name: str, value: Any) -> float:
    """A finite number > 0."""
    if number(name, value) == 0:
        raise InputError(f"{name}={value!r}: expected a number > 0", _REMEDIES.get(name, f"pass {name}=1.0"))
    return float(value)


def count(name: str, value: Any, least: int = 0) -> int:
    """A whole number between ``least`` and 2^53."""
    try:
        whole = None if isinstance(value, bool | np.bool_) else operator.index(value)
    except TypeError:
        whole = None
    if whole is None or not least <= whole <= MAX_COUNT:
        raise InputError(f"{name}={value!r}: expected a whole number, {least} to 2^53", f"pass {name}={max(least, 10)}")
    return whole


def curvatures(L: Any, mu: Any, *, strict: bool = False, name: str = "L") -> tuple[float, float]:
    """L > 0 and 0 <= mu <= L (0 < mu where ``strict``); ``name`` is what the caller calls L."""
    L, mu = positive(name, L), number("mu", mu)
    if strict and mu == 0:
        raise InputError("mu=0: this bound divides by mu", "with mu = 0 use smallest_gradient or nesterov_convex")
    if mu > L * SLACK:
        raise InputError(f"mu={mu!r} exceeds {name}={L!r}: expected mu <= {name}", "check which constant is which")
    return L, min(mu, L)


def step_at_most(step_size: Any, largest: float, text: str) -> float:
    """A step > 0 that is no longer than what the bound allows.

    Args:
        step_size: What was given.
        largest: The longest that is allowed.
        text: The same as a formula.

    Raises:
        InputError: If it is not a number > 0, or longer.

    """
    step = positive("step_size", step_size)
    if step > largest * SLACK:
        raise InputError(
            f"step_size={step!r}: the bound holds for steps of at most {text} = {largest!r}", "take a shorter step"
        )
    return step


def kappa(L: float, mu: float) -> float:
    """L/mu; infinite where mu is 0 or too small for the quotient."""
    return L / mu if mu > 0 else math.inf
