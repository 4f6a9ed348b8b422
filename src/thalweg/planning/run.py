"""Choose a method for a finite sum and run it, handing events to whoever listens."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import replace

import numpy as np

from thalweg.core.errors import InputError
from thalweg.core.events import Event, Finished
from thalweg.core.parallel import one_blas_thread
from thalweg.core.records import Solution
from thalweg.methods import METHODS, Method, drive
from thalweg.problems import ChangedProblem, FiniteSum, Standardizing

#: Largest number of parameters for which a dense Hessian is kept: 3,000^2 float64 are 72 MB.
MAX_DENSE_PARAMETERS = 3_000
#: Work of one Newton step (multiplications) above which products with the Hessian are cheaper than the Hessian.
MAX_NEWTON_WORK = 2e11

Listener = Callable[[Event], None]


def choose(problem: FiniteSum) -> tuple[Method, str]:
    """The method for a problem, and the arithmetic behind it in a sentence."""
    p = problem.size
    density = problem.rows.stored / (problem.n * max(problem.d, 1))
    gram = problem.n * (density * p) ** 2 / 2
    work = gram + p**3 / 3
    if p <= MAX_DENSE_PARAMETERS and work <= MAX_NEWTON_WORK:
        return METHODS["newton"], (
            f"{p} parameters: a Hessian and its factor cost {work:.1e} multiplications a step, "
            f"and Newton's method needs few steps"
        )
    return METHODS["newton-cg"], (
        f"{p} parameters: a Hessian would cost {work:.1e} multiplications a step and {8 * p * p / 1e6:.0f} MB; "
        "products with it cost two passes each"
    )


def find_method(name: str) -> Method:
    """The method of that name.

    Raises:
        InputError: If there is none.

    """
    if name not in METHODS:
        raise InputError(f"method={name!r} is not known", f"use one of {', '.join(METHODS)}")
    return METHODS[name]


def run(
    problem: FiniteSum,
    method: Method,
    x0: np.ndarray,
    *,
    target: float,
    max_steps: int,
    max_seconds: float,
    listen: Listener | None = None,
) -> Solution:
    """Solve in standardised variables and return the solution in the user's units.

    Ctrl-C, also while the listener works, ends the run with the best point so far.
    """
    change = Standardizing(problem)
    with one_blas_thread():
        events = drive(
            ChangedProblem(problem, change),
            method,
            change.inverse(x0),
            target=target,
            max_steps=max_steps,
            max_seconds=max_seconds,
        )
        solution = _consume(events, listen)
    return _in_user_units(problem, change, solution)


def _consume(events: Generator[Event, None, Solution], listen: Listener | None) -> Solution:
    """Pass every event on; a Ctrl-C while the listener works reaches the driver like one in a step."""
    interrupted = False
    while True:
        try:
            event = events.throw(KeyboardInterrupt) if interrupted else next(events)
            interrupted = False
            if listen is not None:
                listen(event)
        except KeyboardInterrupt:
            interrupted = True
            continue
        if isinstance(event, Finished):
            return event.solution


def _in_user_units(problem: FiniteSum, change: Standardizing, solution: Solution) -> Solution:
    x = change.forward(solution.x)
    direction = None
    if solution.direction is not None:
        direction = change.forward(solution.direction)
        direction = direction / np.linalg.norm(direction)
    return replace(solution, x=problem.centred(x), direction=direction)
