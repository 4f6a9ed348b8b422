"""A problem made ready for methods: checked, in the variables they work in, with what tunes them."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

from thalweg.core.check import checked_number
from thalweg.core.errors import InputError
from thalweg.core.records import Solution
from thalweg.core.vector import as_user_sees, finite, laid_out_like
from thalweg.methods import REGISTER, Method
from thalweg.methods.stochastic import Stochastic
from thalweg.problems import ChangedProblem, FiniteSum, Standardizing
from thalweg.problems.given import check_given
from thalweg.theory.curvature import curvature, noise

#: Share of |f(x0)|, or of 1 where that is smaller, that is the target for f - f* unless one is given.
RELATIVE_TARGET = 1e-8
#: The same for methods whose steps leave a floor of noise: each digit takes ten times the work of the one before.
RELATIVE_TARGET_WITH_NOISE = 1e-3
TOLERANCE = "it is a target for f - f*: leave it out for 1e-8 min(1, |f(x0)|)"
#: Parameters up to which Newton's method forms Hessians unless another method is asked for.
MAX_NEWTON_PARAMETERS = 500
#: A problem whose smallest curvature is not positive is tuned as if its condition number were this.
WORST_CONDITION = 1e8
#: Eigenvalues of a quadratic below this share of the largest are rounding of zero.
FLAT = 1e-13


@dataclass(frozen=True, eq=False)
class Working:
    """A problem and a start in the variables that methods work in.

    Attributes:
        given: The user's problem.
        problem: The problem in those variables.
        start: The start in those variables.
        change: The change of variables, or None.

    """

    given: Any
    problem: Any
    start: Any
    change: Standardizing | None

    @classmethod
    def of(cls, problem: Any, x0: Any, method: Method, scale: bool | None) -> Working:
        """Change variables where that is asked for, or wanted by a method that is yet to be tuned.

        Args:
            problem: Checked.
            x0: The start given, or None.
            method: The one to run.
            scale: Yes, no, or None for: a finite sum, unless the method's step size was given, or it is stochastic and
                the rows are sparse.

        Raises:
            InputError: The start does not fit, a problem that is no finite sum is to be scaled, or a given derivative
                is not that of the function.

        """
        start = checked_start(problem, x0)
        check_given(problem, start)
        if scale is None:
            scale = isinstance(problem, FiniteSum) and not has_own_step(method)
            # Centring would fill sparse rows, of which a stochastic step touches one at a time.
            scale = scale and not (method.noisy and problem.rows.stored < problem.n * problem.d)
        if not scale:
            return cls(problem, problem, start, None)
        if not isinstance(problem, FiniteSum):
            raise InputError(f"scale=True for {problem!r}", "leave it out: only finite sums over tables are rescaled")
        change = Standardizing(problem)
        return cls(problem, ChangedProblem(problem, change), change.inverse(start), change)

    @property
    def quadratic(self) -> bool:
        """Whether the Hessian is known to be the same everywhere."""
        return bool(getattr(self.given, "constant_curvature", False))

    def target(self, method: Method) -> float:
        """The target for f - f* where none is given; a larger one for a method that leaves a floor of noise."""
        point = self.problem.at(self.start)
        floor = isinstance(method, Stochastic) and method.noisy and hasattr(type(point), "sample")
        return default_target(point.value) * (RELATIVE_TARGET_WITH_NOISE / RELATIVE_TARGET if floor else 1.0)

    def ready(self, method: Method, seed: int = 0, target: float | None = None) -> Method:
        """The method as it is if its step is known, else tuned by what is measured at the start.

        Args:
            method: The one to run.
            seed: Seed of what is measured at random.
            target: Wanted f - f*, which decides the step of stochastic methods; the default when None.

        """
        if method.is_tuned:
            return method
        point = self.problem.at(self.start)
        found = curvature(point, seed)
        largest = found.largest if found.largest > 0 else max(abs(found.smallest), 1.0)
        least = found.smallest
        if self.quadratic and found.eigenvalues is not None:  # directions without curvature do not move
            least = float(found.eigenvalues[found.eigenvalues > FLAT * largest].min(initial=largest))
        smallest = max(least, largest / WORST_CONDITION)
        if not method.noisy:
            # 2/(L + mu) is the edge of stability where mu is not known.
            return method.tuned(largest, smallest, quadratic=self.quadratic and least >= smallest)
        wanted = self.target(method) if target is None else target
        return method.tuned(largest, smallest, quadratic=self.quadratic, noise=noise(point, found, wanted, seed))

    def as_asked(self, solution: Solution) -> Solution:
        """The solution in the user's variables, in the form in which the start was given."""
        direction = solution.direction
        if direction is not None and self.change is not None:
            direction = self.change.forward(direction)
            direction = direction / math.sqrt(float(direction @ direction))
        return replace(
            solution, x=self.seen(solution.x), direction=None if direction is None else as_user_sees(direction)
        )

    def seen(self, x: Any) -> Any:
        """A point in the user's variables, in the form in which the start was given."""
        # A copy: what the listener does to it must not move the run.
        return as_user_sees(1.0 * x if self.change is None else self.given.centred(self.change.forward(x)))


def checked_problem(problem: Any) -> Any:
    """The problem itself, or that of an entry of the zoo.

    Raises:
        InputError: It is no problem.

    """
    if isinstance(problem, type):
        raise InputError(f"problem={problem.__name__} is a class", "make one, with its data")
    if callable(getattr(problem, "problem", None)):
        problem = problem.problem()
    if not callable(getattr(problem, "at", None)) or not callable(getattr(problem, "start", None)):
        remedy = (
            "wrap a function: tw.solve(tw.problem(f, x0=...))" if callable(problem) else "use tw.problem(f, x0=...)"
        )
        raise InputError(f"problem={problem!r:.80} is no problem", remedy)
    return problem


def has_own_step(method: Method) -> bool:
    """Whether a step size was given: it is meant in the variables that were given."""
    return getattr(method, "step_size", None) is not None


def checked_budget(max_steps: Any, max_seconds: Any, usual_steps: str, usual_seconds: str) -> tuple[int, float]:
    """The steps and seconds allowed.

    Args:
        max_steps: Steps.
        max_seconds: Seconds.
        usual_steps: What is allowed unless something is said, for the error.
        usual_seconds: The same for seconds.

    Raises:
        InputError: Not numbers >= 0, or no whole number of steps.

    """
    remedy = f"leave it out for {usual_steps}"
    if checked_number("max_steps", max_steps, remedy) != int(max_steps):
        raise InputError(f"max_steps={max_steps!r}: expected a whole number", remedy)
    seconds = checked_number("max_seconds", max_seconds, f"leave it out for {usual_seconds}", allow_infinity=True)
    return int(max_steps), seconds


def chosen_method(problem: Any, method: Method | str | None) -> Method:
    """The method meant: itself, by name, or the one for such a problem.

    Raises:
        InputError: The name is not known, or it is no method.

    """
    if isinstance(method, str):
        if method not in REGISTER:
            raise InputError(f"method={method!r} is not known", f"use one of {', '.join(REGISTER)}")
        return REGISTER[method]
    if method is None:
        return REGISTER["newton" if problem.size <= MAX_NEWTON_PARAMETERS else "l-bfgs"]
    if isinstance(method, type) and issubclass(method, Method):
        raise InputError(f"method={method.__name__} is a class", f"make one: method=tw.{method.__name__}()")
    if not isinstance(method, Method):
        raise InputError(f"method={method!r} is no method", "pass one such as tw.Nesterov(), or its name")
    return method


def checked_start(problem: Any, x0: Any) -> Any:
    """The start given, laid out like the problem's own, or that one.

    Raises:
        InputError: Another layout, or numbers that are not finite.

    """
    own = problem.start()
    if x0 is None:
        return own
    start = laid_out_like(x0, own, "x0")
    if not finite(start):
        raise InputError(f"x0 holds a value that is not finite: {x0!r:.80}", "start from finite numbers")
    return start


def default_target(value: float) -> float:
    """The target for f - f* where none is given."""
    return RELATIVE_TARGET * (min(1.0, abs(value)) if value else 1.0)
