"""`tw.solve`: any problem by a chosen method, tuned from the problem's constants; or by a method chosen here."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Generator
from dataclasses import replace
from typing import Any

import numpy as np

from thalweg.core.check import checked_number
from thalweg.core.errors import InputError
from thalweg.core.events import Event, Finished, Stepped, StopRun
from thalweg.core.parallel import one_blas_thread
from thalweg.core.records import Solution
from thalweg.core.vector import as_user_sees, as_vector
from thalweg.methods import REGISTER, Method, drive
from thalweg.methods.kept import Kept
from thalweg.planning.saving import Saver, read
from thalweg.problems import ChangedProblem, FiniteSum, Standardizing
from thalweg.theory.curvature import curvature

#: Share of |f(x0)|, or of 1 where that is smaller, that is the target for f - f* unless one is given.
RELATIVE_TARGET = 1e-8
MAX_STEPS = 100_000
#: Parameters up to which Newton's method forms Hessians unless another method is asked for.
MAX_NEWTON_PARAMETERS = 500
#: A problem whose smallest curvature is not positive is tuned as if its condition number were this.
WORST_CONDITION = 1e8

Callback = Callable[[Event], Any]


def solve(
    problem: Any,
    method: Method | str | None = None,
    *,
    x0: Any = None,
    tol: float | None = None,
    max_steps: int = MAX_STEPS,
    max_seconds: float = np.inf,
    scale: bool | None = None,
    seed: int = 0,
    callback: Callback | None = None,
    save: str | os.PathLike[str] | None = None,
    save_every: float = 60.0,
    resume: str | os.PathLike[str] | None = None,
) -> Solution:
    """Minimise a problem.

    Args:
        problem: A ``tw.FiniteSum``, ``tw.problem(f, x0)``, a quadratic, or any problem of ``thalweg.problems``.
        method: A method such as ``tw.Nesterov()``, or its name; chosen by the problem when None. A method without a
            step size is tuned from L and mu, measured at the start.
        x0: Start, laid out like the problem's own; that one when None.
        tol: Target for f - f*, in units of f; 1e-8 min(1, |f(x0)|) when None (1e-8 where f(x0) = 0).
        max_steps: Steps allowed.
        max_seconds: Wall-clock seconds allowed.
        scale: Whether a finite sum is solved in variables where its Hessian at zero has a unit diagonal, which leaves
            the objective as it is; yes when None, unless the method's step size was given.
        seed: Seed of what is measured at random.
        callback: Called with every event of the run (``Started``, ``Stepped`` with step, value, certificate and x,
            ``Finished``); the run ends with status ``stopped`` where it returns True or raises StopIteration.
        save: A file that receives the state of the run every ``save_every`` seconds, when it ends and on Ctrl-C; it is
            written whole or not at all.
        save_every: Seconds between writes.
        resume: A file that ``save`` wrote: the run goes on from there, with the same problem and kind of method.

    Returns:
        The solution; ``x`` is in the user's variables and in the form in which the start was given.

    Raises:
        InputError: An argument is of the wrong kind, or the objective is not finite at the start.
        OracleError: The problem lacks what the method needs.

    """
    problem = checked_problem(problem)
    if tol is not None:
        tol = checked_number("tol", tol, "it is a target for f - f*: leave it out for 1e-8 min(1, |f(x0)|)")
    if checked_number("max_steps", max_steps, "leave it out for 100,000") != int(max_steps):
        raise InputError(f"max_steps={max_steps!r}: expected a whole number", "leave it out for 100,000")
    max_seconds = checked_number("max_seconds", max_seconds, "leave it out for no limit", allow_infinity=True)
    chosen = chosen_method(problem, method)
    start = checked_start(problem, x0)
    working, start, change = _working(problem, start, chosen, scale)
    point = working.at(start)
    ready = chosen if chosen.is_tuned else tuned(chosen, point, quadratic=is_quadratic(problem), seed=seed)
    target = default_target(point.value) if tol is None else tol
    resumed = None if resume is None else Kept.unpack(*read(resume), working, ready)
    saver = None if save is None else Saver(save, checked_number("save_every", save_every, "leave it out for 60 s"))
    events = drive(
        working, ready, start, target=target, max_steps=int(max_steps), max_seconds=max_seconds, resumed=resumed
    )
    with one_blas_thread():
        return _listened(events, saver, callback, lambda solution: _as_asked(solution, problem, change))


def _listened(
    events: Generator[Event, None, Solution],
    saver: Saver | None,
    callback: Callback | None,
    as_asked: Callable[[Solution], Solution],
) -> Solution:
    """Run to the end; a Ctrl-C in the callback or while saving ends the run as one in a step does."""
    event: Event | None = None
    wish: BaseException | None = None
    while True:
        try:
            event = next(events) if wish is None else events.throw(wish)
            wish = None
            if isinstance(event, Finished):
                event = Finished(as_asked(event.solution))
            if saver is not None:
                saver.see(event)
            if callback is not None and callback(event) is True and isinstance(event, Stepped):
                wish = StopRun()
        except StopIteration:
            wish = StopRun()
        except KeyboardInterrupt:
            wish = KeyboardInterrupt()
        if isinstance(event, Finished):
            return event.solution


def checked_problem(problem: Any) -> Any:
    """The problem itself, or that of an entry of the zoo.

    Raises:
        InputError: It is no problem.

    """
    if callable(getattr(problem, "problem", None)):
        problem = problem.problem()
    if not callable(getattr(problem, "at", None)) or not callable(getattr(problem, "start", None)):
        remedy = (
            "wrap a function: tw.solve(tw.problem(f, x0=...))" if callable(problem) else "use tw.problem(f, x0=...)"
        )
        raise InputError(f"problem={problem!r:.80} is no problem", remedy)
    return problem


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
    start = as_vector(x0)
    if type(start) is not type(own) or _layout(start) != _layout(own):
        raise InputError(f"x0 is laid out as {_layout(start)}; the problem's start is {_layout(own)}", "match that")
    return start


def _layout(x: Any) -> list[tuple[int, ...]]:
    return [tuple(leaf.shape) for leaf in getattr(x, "leaves", (x,))]


def is_quadratic(problem: Any) -> bool:
    """Whether the Hessian is known to be the same everywhere."""
    return bool(getattr(problem, "constant_curvature", False))


def tuned(method: Method, point: Any, *, quadratic: bool, seed: int = 0) -> Method:
    """The method with its settings from L and mu measured at a point."""
    found = curvature(point, seed)
    largest = found.largest if found.largest > 0 else max(abs(found.smallest), 1.0)
    return method.tuned(largest, max(found.smallest, largest / WORST_CONDITION), quadratic=quadratic)


def default_target(value: float) -> float:
    """The target for f - f* where none is given."""
    return RELATIVE_TARGET * (min(1.0, abs(value)) if value else 1.0)


def _working(problem: Any, start: Any, method: Method, scale: bool | None) -> tuple[Any, Any, Standardizing | None]:
    """The problem and start in the variables that the method is to work in."""
    if scale is None:
        scale = isinstance(problem, FiniteSum) and not (method.is_tuned and hasattr(method, "step_size"))
    if not scale:
        return problem, start, None
    if not isinstance(problem, FiniteSum):
        raise InputError(f"scale=True for {problem!r}", "leave it out: only finite sums over tables are rescaled")
    change = Standardizing(problem)
    return ChangedProblem(problem, change), change.inverse(start), change


def _as_asked(solution: Solution, problem: Any, change: Standardizing | None) -> Solution:
    """The solution in the user's variables."""
    x, direction = solution.x, solution.direction
    if change is not None:
        x = problem.centred(change.forward(x))
        if direction is not None:
            direction = change.forward(direction)
            direction = direction / math.sqrt(float(direction @ direction))
    return replace(solution, x=as_user_sees(x), direction=None if direction is None else as_user_sees(direction))
