"""Newton's method for equations F(x) = 0: the root of the linear model, shortened until ||F|| falls."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np

from thalweg.core.check import checked_number
from thalweg.core.errors import InputError
from thalweg.core.records import Certificate, CertificateKind, Cost, Solution, Status, Trace
from thalweg.core.vector import Any1D, Vector, as_user_sees, as_vector, finite, flat, like
from thalweg.expr import jacobian as derive_jacobian

#: Share of the fall of ||F|| that the linear model promises which a step must bring, and the shortest step.
SUFFICIENT, SHORTEST = 1e-4, 2.0**-40
EPS = float(np.finfo(np.float64).eps)


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
        F: Takes x as x0 is laid out (a number, an array) and returns as many numbers: an array, a tuple or a list.
        x0: Start.
        jacobian: Gives dF/dx, shape (n, n) over all entries in order; derived when None.
        tol: Wanted ||F(x)||, Euclidean.
        max_steps: Steps allowed.
        max_seconds: Wall-clock seconds allowed.

    Returns:
        The solution: ``value`` is ||F(x)||, which is its own bound, since nothing is below zero. ``no progress`` means
        a place where ||F|| is least without being zero: there is no root nearby.

    Raises:
        InputError: F does not return as many numbers as x has, or is not finite at the start.

    Example:
        >>> round(find_root(lambda x: x**2 - 2, 1.0).x.item(), 9)
        1.414213562

    """
    if not callable(F) or (jacobian is not None and not callable(jacobian)):
        raise InputError("F or jacobian is no function", "pass functions of x")
    tol = checked_number("tol", tol, "it is the wanted ||F(x)||: leave it out for 1e-10")
    max_steps = int(checked_number("max_steps", max_steps, "leave it out for 200"))
    equations = _Equations(F, as_vector(x0), jacobian)
    run = _Run(equations, tol)
    try:
        run.go(max_steps, checked_number("max_seconds", max_seconds, "leave it out", allow_infinity=True))
    except KeyboardInterrupt:
        run.status = Status.INTERRUPTED
    return run.solution()


class _Equations:
    """F with its Jacobian."""

    def __init__(self, F: Callable[[Any], Any], x0: Any1D, jacobian: Callable[[Any], Any] | None) -> None:
        self.F, self.x0, self.given = F, x0, jacobian
        self.size = int(x0.size)
        with np.errstate(all="ignore"):
            start = np.asarray(F(as_user_sees(x0)))
        if start.dtype.kind not in "fiu" or start.size != self.size:
            raise InputError(
                f"F(x0) has shape {start.shape} for {self.size} unknowns", "return one real number for each unknown"
            )
        if not np.isfinite(start).all():
            raise InputError(f"F(x0) = {start!r:.80} is not finite", "start from another x0")

    def values(self, x: Any1D) -> np.ndarray:
        """F over all entries, shape (n,)."""
        with np.errstate(all="ignore"):
            return np.asarray(self.F(as_user_sees(x)), dtype=np.float64).reshape(-1)

    @cached_property
    def _derived(self) -> Callable[[Any], Any]:
        def of_entries(entries: Any) -> Any:
            x = entries.reshape(tuple(self.x0.leaves[0].shape)) if isinstance(self.x0, Vector) else entries
            answer = self.F(x)
            return np.reshape(np.stack(answer) if isinstance(answer, (tuple, list)) else answer, (-1,))

        if isinstance(self.x0, Vector) and len(self.x0.leaves) > 1:
            raise InputError("x0 has several leaves", "pass one array, or jacobian=")
        return derive_jacobian(of_entries)

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
            self.evaluations += 1
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
        rounding = 64 * EPS * float(np.linalg.norm(np.abs(matrix) @ np.abs(flat(self.x))))
        return Status.PRECISION_FLOOR if self.norm <= rounding else Status.NO_PROGRESS

    def solution(self) -> Solution:
        certificate = Certificate(self.norm, CertificateKind.PROOF, "||F|| itself: nothing is below zero")
        cost = Cost(
            self.steps, 2.0 * self.evaluations, time.perf_counter() - self.started,
            time.process_time() - self.started_cpu,
        )  # fmt: skip
        return Solution(as_user_sees(self.x), self.norm, self.status, certificate, self.trace, cost, "newton for roots")
