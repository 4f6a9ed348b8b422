"""Newton's method for equations F(x) = 0: the root of the linear model, shortened until ||F|| falls."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np
from array_api_compat import is_torch_array

from thalweg.core.check import checked_number
from thalweg.core.errors import InputError, UnsupportedError
from thalweg.core.random import generator
from thalweg.core.records import Certificate, CertificateKind, Cost, Solution, Status, Trace
from thalweg.core.vector import Any1D, Vector, as_user_sees, as_vector, eps, finite, flat, like
from thalweg.expr import jacobian as derive_jacobian

#: Relative difference by which a given Jacobian is found wrong.
WRONG = 0.1
#: Other lengths of the steps whose differences must agree; no multiples of one another, as periods might be.
LENGTHS = (8.0, math.sqrt(0.5), math.exp(-1.0), math.pi**-2)
#: Share of the fall of ||F|| that the linear model promises which a step must bring, and the shortest step.
SUFFICIENT, SHORTEST = 1e-4, 2.0**-40


def find_root(
    F: Callable[[Any], Any],
    x0: Any,
    *,
    jacobian: Callable[[Any], Any] | None = None,
    tol: float = 1e-10,
    max_steps: int = 200,
    max_seconds: float = math.inf,
) -> Solution:
    """Solve F(x) = 0 for as many equations as unknowns.

    x <- x - t J(x)^-1 F(x), with t halved from 1 until ||F|| falls enough; a singular J is taken in the sense of least
    squares. Rate: quadratic near a root where J is regular. Source: Nocedal and Wright, Numerical Optimization (2006),
    section 11.1 and theorem 11.2; Ortega and Rheinboldt (1970), section 7.1.

    Args:
        F: Takes x as x0 is laid out (a number, an array, a tuple, list or mapping of arrays) and returns as many
            numbers: an array, a tuple or a list.
        x0: Start.
        jacobian: Gives dF/dx, shape (n, n) over all entries in order; when None it is derived, and where F is written
            with what cannot be derived (np.array([...]), math, torch), made of central differences.
        tol: Wanted ||F(x)||, Euclidean.
        max_steps: Steps allowed.
        max_seconds: Wall-clock seconds allowed.

    Returns:
        The solution: ``value`` is ||F(x)||, which is its own bound, since nothing is below zero. ``no progress`` means
        a place where ||F|| is least without being zero: there is no root nearby.

    Raises:
        InputError: F does not return as many numbers as x has, or is not finite at the start; or a given Jacobian is
            not that of F.

    Example:
        >>> round(find_root(lambda x: x**2 - 2, 1.0).x.item(), 9)
        1.414213562

    """
    if not callable(F) or (jacobian is not None and not callable(jacobian)):
        raise InputError("F or jacobian is no function", "pass functions of x")
    tol = checked_number("tol", tol, "it is the wanted ||F(x)||: leave it out for 1e-10")
    if checked_number("max_steps", max_steps, "leave it out for 200") != int(max_steps):
        raise InputError(f"max_steps={max_steps!r}: expected a whole number", "leave it out for 200")
    equations = _Equations(F, as_vector(x0), jacobian)
    equations.check_given()
    run = _Run(equations, tol)
    try:
        run.go(int(max_steps), checked_number("max_seconds", max_seconds, "leave it out", allow_infinity=True))
    except KeyboardInterrupt:
        run.status = Status.INTERRUPTED
    return run.solution()


class _Equations:
    """F with its Jacobian."""

    def __init__(self, F: Callable[[Any], Any], x0: Any1D, jacobian: Callable[[Any], Any] | None) -> None:
        self.F, self.x0, self.given = F, x0, jacobian
        self.size = int(x0.size)
        self.precision = eps(x0)
        with np.errstate(all="ignore"):
            start = _as_array(F(as_user_sees(x0)))
        if start.dtype.kind not in "fiu" or start.size != self.size:
            raise InputError(
                f"F(x0) has shape {start.shape} and dtype {start.dtype} for {self.size} unknowns",
                "return one real number for each unknown",
            )
        if not np.isfinite(start).all():
            raise InputError(f"F(x0) = {start!r:.80} is not finite", "start from another x0")

    def values(self, x: Any1D) -> np.ndarray:
        """F over all entries, shape (n,)."""
        with np.errstate(all="ignore"):
            return _as_array(self.F(as_user_sees(x))).astype(np.float64).reshape(-1)

    @cached_property
    def _derived(self) -> Callable[[Any], Any]:
        """dF/dx of all entries, by the engine where it knows what F is written with, else by differences."""

        def of_entries(entries: Any) -> Any:
            x = entries.reshape(tuple(self.x0.leaves[0].shape)) if isinstance(self.x0, Vector) else entries
            answer = self.F(x)
            return np.reshape(np.stack(answer) if isinstance(answer, (tuple, list)) else answer, (-1,))

        if isinstance(self.x0, Vector) and (self.x0.form != "array" or is_torch_array(self.x0.leaves[0])):
            return self._differences
        derived = derive_jacobian(of_entries)
        try:
            derived(flat(self.x0))
        except (UnsupportedError, InputError):
            return self._differences
        return derived

    @property
    def slope_evaluations(self) -> int:
        """What dF/dx costs, in values of F."""
        return 2 * self.size if self.given is None and self._derived == self._differences else 1

    def check_given(self) -> None:
        """Raise if a given Jacobian is not that of F: along one direction, where differences of all lengths agree.

        Every entry moves by a step of its own size, and every equation is held against its own change: neither large
        variables nor large equations hide the others, or are taken for errors.
        """
        if self.given is None:
            return
        entries, matrix = flat(self.x0).astype(np.float64), self.slopes(self.x0)
        steps = self.precision ** (1 / 3) * (1.0 + np.abs(entries)) * generator(0).standard_normal(self.size)
        with np.errstate(all="ignore"):
            found, given, rounding = self._change(matrix, entries, steps, 1.0)
            wrong = np.abs(found - given) > WRONG * np.abs(found) + rounding
            # A function that turns within the steps has equal differences by chance, but not of many lengths.
            for widening in LENGTHS if wrong.any() else ():
                other = self._change(matrix, entries, steps, widening)[0]
                wrong &= np.abs(found - other) <= 0.5 * WRONG * np.abs(found)
        if wrong.any():
            row = int(np.argmax(wrong))
            raise InputError(f"the given jacobian is not that of F in row {row}, as differences show", "leave it out")

    def _change(self, matrix: np.ndarray, entries: np.ndarray, steps: np.ndarray, widening: float) -> list[np.ndarray]:
        """F(x + d) - F(x - d), what a Jacobian says it is, and its rounding; over the widening of the steps d."""
        ahead, behind = (like(self.x0, entries + t * steps) for t in (widening, -widening))
        span = flat(ahead).astype(np.float64) - flat(behind)  # as the element type rounds it
        after, before = self.values(ahead), self.values(behind)
        rounding = 64 * self.precision * (np.abs(after) + np.abs(before) + np.abs(matrix) @ np.abs(entries))
        return [change / widening for change in (after - before, matrix @ span, rounding)]

    def _differences(self, entries: np.ndarray) -> np.ndarray:
        """Central differences, whose error of eps^(2/3) leaves Newton's method its last digits."""
        columns = []
        for k, entry in enumerate(entries.astype(np.float64)):
            ahead, behind = (entries.astype(np.float64) for _ in range(2))
            h = self.precision ** (1 / 3) * (1.0 + abs(entry))
            ahead[k], behind[k] = entry + h, entry - h
            columns.append((self.values(like(self.x0, ahead)) - self.values(like(self.x0, behind))) / (2 * h))
        return np.stack(columns, axis=1)

    def slopes(self, x: Any1D) -> np.ndarray:
        """dF/dx, shape (n, n)."""
        with np.errstate(all="ignore"):
            found = self._derived(flat(x)) if self.given is None else self.given(as_user_sees(x))
        matrix = np.asarray(found, dtype=np.float64)
        if matrix.size != self.size**2:
            raise InputError(
                f"jacobian gave shape {matrix.shape} for {self.size} unknowns",
                f"return shape ({self.size}, {self.size})",
            )
        return matrix.reshape(self.size, self.size)


def _as_array(answer: Any) -> np.ndarray:
    """What F returned, as an array."""
    if is_torch_array(answer):
        answer = answer.detach().cpu()
    return np.asarray(answer)


class _Run:
    def __init__(self, equations: _Equations, tol: float) -> None:
        self.equations, self.tol = equations, tol
        self.x = equations.x0
        self.values = equations.values(self.x)
        self.norm = float(np.linalg.norm(self.values))
        self.status = Status.BUDGET_SPENT
        self.trace = Trace()
        self.steps = self.evaluations = 0
        self.started, self.started_cpu = time.perf_counter(), time.process_time()
        self._record(0.0)

    def _record(self, step_size: float) -> None:
        seconds = time.perf_counter() - self.started
        self.trace.append(
            step=self.steps, value=self.norm, gap=self.norm, step_size=step_size, passes=2.0 * self.evaluations,
            seconds=seconds,
        )  # fmt: skip

    def go(self, max_steps: int, max_seconds: float) -> None:
        while True:
            if self.norm <= self.tol:
                self.status = Status.CONVERGED
                return
            if self.steps >= max_steps or time.perf_counter() - self.started > max_seconds:
                self.status = Status.BUDGET_SPENT
                return
            matrix = self.equations.slopes(self.x)
            self.evaluations += self.equations.slope_evaluations
            if not np.isfinite(matrix).all():
                self.status = Status.LINE_SEARCH_FAILED
                return
            direction = -np.linalg.lstsq(matrix, self.values, rcond=None)[0]
            slope = float(self.values @ (matrix @ direction))  # of ||F||^2 / 2 along the direction
            step_size = self._advance(direction, slope)
            if step_size == 0.0:
                self.status = self._ending(matrix)
                return
            self.steps += 1
            self._record(step_size)

    def _advance(self, direction: np.ndarray, slope: float) -> float:
        """Take the longest of 1, 1/2, 1/4, ... that lowers ||F|| enough; 0 where none does."""
        if not slope < 0:
            return 0.0
        t = 1.0
        while t >= SHORTEST:
            x = like(self.x, flat(self.x) + t * direction)
            values = self.equations.values(x)
            self.evaluations += 1
            norm = float(np.linalg.norm(values))
            if finite(values) and 0.5 * norm**2 <= 0.5 * self.norm**2 + SUFFICIENT * t * slope and norm < self.norm:
                self.x, self.values, self.norm = x, values, norm
                return t
            t /= 2
        return 0.0

    def _ending(self, matrix: np.ndarray) -> Status:
        """Rounding hides any further fall, or ||F|| is least here without being zero."""
        rounding = 64 * self.equations.precision * float(np.linalg.norm(np.abs(matrix) @ np.abs(flat(self.x))))
        return Status.PRECISION_FLOOR if self.norm <= rounding else Status.NO_PROGRESS

    def solution(self) -> Solution:
        certificate = Certificate(self.norm, CertificateKind.PROOF, "||F|| itself: nothing is below zero")
        cost = Cost(
            self.steps, 2.0 * self.evaluations, time.perf_counter() - self.started,
            time.process_time() - self.started_cpu,
        )  # fmt: skip
        return Solution(as_user_sees(self.x), self.norm, self.status, certificate, self.trace, cost, "newton for roots")
