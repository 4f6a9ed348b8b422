"""`tw.solve`: any problem by a chosen method, tuned from the problem's constants; or by a method chosen here."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator
from dataclasses import replace
from typing import Any

import numpy as np

from thalweg.core.check import checked_number
from thalweg.core.errors import InputError
from thalweg.core.events import Event, Finished, Stepped, StopRun
from thalweg.core.parallel import one_blas_thread
from thalweg.core.random import generator
from thalweg.core.records import Solution
from thalweg.methods import Method, drive
from thalweg.methods.kept import Kept, check_same
from thalweg.planning.saving import Saver, read
from thalweg.planning.working import TOLERANCE, Working, checked_budget, checked_problem, chosen_method

MAX_STEPS = 100_000

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
        tol: Target for f - f*, in units of f; 1e-8 min(1, |f(x0)|) when None (1e-8 where f(x0) = 0), and 1e-3 in place
            of 1e-8 for stochastic methods that leave a floor of noise.
        max_steps: Steps allowed.
        max_seconds: Wall-clock seconds allowed.
        scale: Whether a finite sum is solved in variables where its Hessian at zero has a unit diagonal, which leaves
            the objective as it is; yes when None, unless the method's step size was given.
        seed: Seed of what is measured at random.
        callback: Called with every event of the run (``Started``, ``Stepped`` with step, value, certificate and x
            in the user's variables, ``Finished``); the run ends with status ``stopped`` where it returns True or raises
            StopIteration or ``StopRun``.
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
        tol = checked_number("tol", tol, TOLERANCE)
    max_steps, max_seconds = checked_budget(max_steps, max_seconds, "100,000", "no limit")
    generator(seed)
    chosen = chosen_method(problem, method)
    working = Working.of(problem, x0, chosen, scale)
    target = working.target(chosen) if tol is None else tol
    ready = working.ready(chosen, seed, target)
    resumed = None if resume is None else Kept.unpack(*read(resume), working.problem, ready)
    if resumed is not None:
        values = resumed.trace.columns["value"]
        check_same("at the start", values, 0, working.problem.at(working.start))
    saver = None if save is None else Saver(save, checked_number("save_every", save_every, "leave it out for 60 s"))
    if callback is not None and not callable(callback):
        raise InputError(f"callback={callback!r:.60} is no function", "pass a function of one event, or leave it out")
    events = drive(
        working.problem, ready, working.start,
        target=target, max_steps=max_steps, max_seconds=max_seconds, resumed=resumed,
    )  # fmt: skip
    with one_blas_thread():
        return _listened(events, saver, callback, working)


def _listened(
    events: Generator[Event, None, Solution],
    saver: Saver | None,
    callback: Callback | None,
    working: Working,
) -> Solution:
    """Run to the end; a Ctrl-C in the callback or while saving ends the run as one in a step does."""
    wish: BaseException | None = None
    while True:
        # What the run itself raises ends it, a Ctrl-C before its first step too: there is nothing to throw a wish into.
        event = next(events) if wish is None else events.throw(wish)
        wish = None
        try:
            if isinstance(event, Finished):
                event = Finished(working.as_asked(event.solution))
            if saver is not None:
                saver.see(event)
            if callback is not None:
                shown = replace(event, x=working.seen(event.x)) if isinstance(event, Stepped) else event
                answer = callback(shown)
                if isinstance(answer, bool | np.bool_) and answer:
                    wish = StopRun()
        except (StopIteration, StopRun):
            wish = StopRun()
        except KeyboardInterrupt:
            wish = KeyboardInterrupt()
        if isinstance(event, Finished):
            return event.solution
