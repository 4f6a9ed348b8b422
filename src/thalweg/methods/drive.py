"""The driver: one loop for every method, as a generator of events.

It owns stopping, the trace, interruption and the status; methods know only states and steps. The target is always a
bound on f - f*.
"""

from __future__ import annotations

import time
from collections.abc import Generator
from dataclasses import replace
from typing import Any

import numpy as np

from thalweg.core.events import Event, Finished, Started, Stepped
from thalweg.core.records import Certificate, CertificateKind, Cost, Solution, Status, Trace
from thalweg.methods.method import Method, State, check_oracles

EPS = float(np.finfo(np.float64).eps)
#: Steps without a relative decrease above rounding before a run counts as stuck.
STALL_STEPS = 8
#: Further steps after the target is reached, each of which must shrink the certificate fourfold.
POLISH_STEPS = 12


def drive(
    problem: Any,
    method: Method,
    x0: np.ndarray,
    *,
    target: float,
    max_steps: int = 10_000,
    max_seconds: float = np.inf,
) -> Generator[Event, None, Solution]:
    """Run a method until a bound on f - f* is below the target.

    Args:
        problem: Offers ``at(x)`` and, for sums without penalty, ``recession(direction)``.
        method: What to run.
        x0: Start, shape (size,).
        target: Wanted bound on f - f*.
        max_steps: Steps allowed.
        max_seconds: Wall-clock seconds allowed.

    Yields:
        Started, Stepped for every step, Finished.

    Returns:
        The solution, which Finished also carries.

    """
    run = _Run(problem, method, target, max_steps, max_seconds)
    point = problem.at(x0)
    check_oracles(method, point)
    try:
        yield Started(method.name, point.value, target)
        yield from run.loop(point)
    except KeyboardInterrupt:
        run.status = Status.INTERRUPTED
    solution = run.solution(point)
    yield Finished(solution)
    return solution


class _Run:
    """The mutable side of one run."""

    def __init__(self, problem: Any, method: Method, target: float, max_steps: int, max_seconds: float) -> None:
        self.problem = problem
        self.method = method
        self.target = target
        self.max_steps = max_steps
        self.max_seconds = max_seconds
        self.trace = Trace()
        self.status = Status.BUDGET_SPENT
        self.best: tuple[Any, Certificate] | None = None
        self.falling: np.ndarray | None = None
        self.steps, self.passes = 0, 0.0
        self.started, self.started_cpu = time.perf_counter(), time.process_time()

    def loop(self, point: Any) -> Generator[Event, None, None]:
        """Step until something ends the run; ``status`` says what."""
        state = self.method.init(point)
        polished = 0
        while True:
            certificate = self._certify(state, self.target)
            self._record(state, certificate)
            yield Stepped(
                self.steps, state.point.value, certificate, state.step_size, time.perf_counter() - self.started
            )
            reached = certificate.gap <= self.target
            ended = self._ended(state, certificate, reached)
            if ended is not None:
                self.status = ended
                self._certify_in_full(state)
                return
            if reached:
                polished += 1
                self.status = Status.CONVERGED
                if not self._worth_polishing(certificate, polished):
                    return
            elif self.steps >= self.max_steps or time.perf_counter() - self.started > self.max_seconds:
                self.status = Status.BUDGET_SPENT
                self._certify_in_full(state)
                return
            state = self.method.step(state)
            self.steps += 1

    def _certify_in_full(self, state: State) -> None:
        """At the end of a run that missed its target, spend what it takes on the best bound."""
        if self.best is not None and self.best[0] is state.point and self.best[1].gap > self.target:
            self.best = state.point, self._certify(state, np.inf)

    def _certify(self, state: State, wanted: float) -> Certificate:
        """The bound at a state: the point's own, or what earlier bounds and the decrease since then imply."""
        if not np.isfinite(state.point.value):
            return Certificate(np.inf, CertificateKind.NONE, "the objective is not finite")
        certificate: Certificate = state.point.certificate(state.direction, state.refine, wanted)
        if certificate.kind is CertificateKind.NONE:
            if 0 <= state.decrement < np.inf and self.method.polishes:
                how = "half the Newton decrement squared; " + certificate.how
                return Certificate(0.5 * state.decrement, CertificateKind.ESTIMATE, how)
            return certificate
        if self.best is not None:
            point, known = self.best
            carried = known.gap - (point.value - state.point.value) + 4 * EPS * abs(point.value)
            if known.kind is CertificateKind.PROOF and 0 <= carried < certificate.gap:
                return replace(certificate, gap=carried, how=known.how + ", at an earlier step")
        return certificate

    def _record(self, state: State, certificate: Certificate) -> None:
        self.passes += state.passes
        self.trace.append(
            step=self.steps,
            value=state.point.value,
            gap=certificate.gap,
            gradient_norm=float(np.linalg.norm(state.point.gradient)),
            step_size=state.step_size,
            passes=self.passes,
            seconds=time.perf_counter() - self.started,
        )
        if self.best is None or certificate.gap <= self.best[1].gap or state.point.value < self.best[0].value:
            self.best = state.point, certificate

    def _ended(self, state: State, certificate: Certificate, reached: bool) -> Status | None:
        if state.failure is Status.DIVERGED or not np.isfinite(state.point.value):
            return Status.DIVERGED
        if self.problem.l2 == 0 and self.problem.convex and self._separable(state, reached):
            return Status.SEPARABLE
        if state.failure is not None:
            if reached:
                return Status.CONVERGED
            # A decrease that rounding hides cannot be searched for.
            hidden = state.decrement <= 1e3 * EPS * max(abs(state.point.value), certificate.rounding / EPS)
            return Status.PRECISION_FLOOR if hidden else state.failure
        values = self.trace.columns["value"]
        if not reached and len(values) > STALL_STEPS:
            decrease = values[-1 - STALL_STEPS] - values[-1]
            if decrease <= EPS * abs(values[-1]):
                hidden = state.decrement <= 1e3 * EPS * abs(values[-1])
                return Status.PRECISION_FLOOR if hidden else Status.NO_PROGRESS
        return None

    def _separable(self, state: State, reached: bool) -> bool:
        """Whether the point or the direction is one along which the loss falls forever.

        Below the target a Newton step that still moves margins shows a minimum at infinity; rows it hardly moves are
        those that the direction does not separate.
        """
        if reached:
            found = self.problem.recession(state.direction, noise=1e-3, least=1e-2)
            candidates = [state.direction] if found else []
        else:
            candidates = [d for d in (state.point.x, state.direction) if self.problem.recession(d)][:1]
        for direction in candidates:
            self.falling = direction / np.linalg.norm(direction)
        return bool(candidates)

    def _worth_polishing(self, certificate: Certificate, polished: int) -> bool:
        if not self.method.polishes or polished > POLISH_STEPS or self.steps >= self.max_steps:
            return False
        if certificate.gap <= 2 * certificate.rounding:
            return False
        gaps = self.trace.columns["gap"]
        return polished == 1 or gaps[-1] <= 0.25 * gaps[-2]

    def solution(self, start: Any) -> Solution:
        """The best point with its record."""
        point, certificate = self.best or (start, Certificate(np.inf, CertificateKind.NONE, "no step was completed"))
        if self.status is Status.DIVERGED:
            certificate = Certificate(np.inf, CertificateKind.NONE, "the run diverged")
        return Solution(
            x=point.x,
            value=point.value,
            status=self.status,
            certificate=certificate,
            trace=self.trace,
            cost=Cost(
                steps=self.steps,
                passes=self.passes,
                seconds=time.perf_counter() - self.started,
                cpu_seconds=time.process_time() - self.started_cpu,
            ),
            method=self.method.name,
            direction=self.falling,
        )
