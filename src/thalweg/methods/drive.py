"""The driver: one loop for every method, as a generator of events.

It owns stopping, the trace, interruption and the status; methods know only states and steps. The target is always a
bound on f - f*.
"""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Generator
from dataclasses import replace
from typing import Any

import numpy as np

from thalweg.core.errors import InputError
from thalweg.core.events import Event, Finished, Started, Stepped, StopRun
from thalweg.core.records import Certificate, CertificateKind, Cost, Solution, Status, Trace
from thalweg.core.vector import Any1D, eps, finite, norm
from thalweg.methods.estimating import Estimating
from thalweg.methods.further import further_fall
from thalweg.methods.kept import Kept
from thalweg.methods.method import Method, State, ceiling, check_oracles
from thalweg.methods.noise_floor import LEAST, hovers

#: Steps of a Newton method in which a proven bound must halve, or one step bring this share of what the model promises:
#: else it creeps, as at a kink.
CRAWL_STEPS, CREEPING = 60, 1e-6
#: Steps without a fall after which a learned model that promises no more than rounding is believed.
HIDDEN_STEPS = 8
#: A run that has fallen this many times further than the ceiling is above the start falls without end.
BOTTOMLESS = 1e22
#: Ends of runs that find no step.
STUCK = Status.LINE_SEARCH_FAILED, Status.NO_PROGRESS
#: Ends at which a bound below the target, if the best point has one after all, is what counts.
SHORT_OF_IT = (
    Status.NO_PROGRESS, Status.LINE_SEARCH_FAILED, Status.PRECISION_FLOOR, Status.BUDGET_SPENT, Status.DIVERGED,
)  # fmt: skip


def drive(
    problem: Any,
    method: Method,
    x0: Any1D,
    *,
    target: float,
    max_steps: int = 10_000,
    max_seconds: float = np.inf,
    look_at: int = 0,
    resumed: Kept | None = None,
) -> Generator[Event, None, Solution]:
    """Run a method until a bound on f - f* is below the target.

    Args:
        problem: Offers ``at(x)`` and, for sums without penalty, ``recession(direction)``.
        method: What to run.
        x0: Start, a vector laid out as the problem's.
        target: Wanted bound on f - f*.
        max_steps: Steps allowed.
        max_seconds: Wall-clock seconds allowed.
        look_at: A step, and its doublings, at which a certificate is wanted from every method.
        resumed: A run that was kept, to go on with; ``x0`` is then where it once began.

    Yields:
        Started, Stepped for every step, Finished.

    Returns:
        The solution, which Finished also carries.

    """
    run = _Run(problem, method, target, max_steps, max_seconds, eps(x0))
    run.schedule.look_at = look_at
    point = problem.at(x0)
    check_oracles(method, point)
    if not method.is_tuned:
        raise InputError(
            f"{method.name} has no step size", "give step_size=, or tune it: tw.solve does, and method.tuned(L, mu)"
        )
    if not finite(point.gradient) or not np.isfinite(point.value):
        raise InputError(
            f"the objective or its gradient is not finite at the start: f = {point.value}", "start elsewhere"
        )
    try:
        yield Started(method.name, point.value, target)
        with np.errstate(all="ignore"):
            state = method.init(point) if resumed is None else run.restored(resumed)
        yield from run.loop(state, recorded=resumed is not None)
    except KeyboardInterrupt:
        run.status = Status.INTERRUPTED
    except StopRun:
        run.status = Status.STOPPED
    solution = run.solution(point)
    yield Finished(solution)
    return solution


#: What a run counts beside its schedule of certificates.
COUNTERS = ("steps", "passes", "polished", "lowest", "improved", "halved", "ceiling")


class _Run:
    """The mutable side of one run."""

    def __init__(
        self, problem: Any, method: Method, target: float, max_steps: int, max_seconds: float, precision: float
    ) -> None:
        self.problem = problem
        self.method = method
        self.target = target
        self.max_steps = max_steps
        self.max_seconds = max_seconds
        self.precision = precision
        self.trace = Trace()
        self.status = Status.BUDGET_SPENT
        self.best: tuple[Any, Certificate] | None = None
        self.falling: Any = None
        self.steps, self.passes, self.polished = 0, 0.0, 0
        self.schedule = _Schedule(target, method.noisy)
        self.estimating = Estimating(target, precision)
        self.learns = method.estimates and not problem.provable
        self.lowest, self.improved = np.inf, 0
        self.halved: tuple[int, float] = (0, np.inf)
        self.ceiling = np.inf
        self.bottomless = False
        self.started, self.started_cpu = time.perf_counter(), time.process_time()

    @property
    def _done(self) -> int:
        """Steps in the trace; while the certificate of one more is computed, that is counted in ``steps`` already."""
        return int(self.trace.columns["step"][-1]) if len(self.trace) else 0

    def keep(self, state: State) -> Kept:
        """The run as it stands at a state that has been recorded."""
        assert self.best is not None
        counters = {name: getattr(self, name) for name in COUNTERS}
        counters["steps"] = self._done
        counters["schedule"] = (self.schedule.next, self.schedule.last_attempt, self.schedule.look_at)
        counters["estimating"] = self.estimating.kept
        counters["seconds"] = time.perf_counter() - self.started
        counters["cpu_seconds"] = time.process_time() - self.started_cpu
        trace = Trace({name: list(column) for name, column in self.trace.columns.items()})
        return Kept(self.method, state, trace, self.best, counters)

    def restored(self, kept: Kept) -> State:
        """Take a kept run up: its counters are set, and the state it stood at is returned."""
        for name in COUNTERS:
            setattr(self, name, kept.counters[name])
        self.schedule.next, self.schedule.last_attempt, self.schedule.look_at = kept.counters["schedule"]
        self.estimating.kept = kept.counters["estimating"]
        self.started -= kept.counters["seconds"]
        self.started_cpu -= kept.counters["cpu_seconds"]
        self.trace, self.best = kept.trace, kept.best
        self.schedule.values = list(kept.trace.columns["value"])
        return kept.state

    def loop(self, state: State, recorded: bool = False) -> Generator[Event, None, None]:
        """Step until something ends the run; ``status`` says what.

        Args:
            state: Where to begin.
            recorded: Whether that state is in the trace already: of a run that is taken up.

        Yields:
            Stepped.

        """
        if not recorded:
            self.ceiling = ceiling(state)
        while True:
            certificate = self._kept(state) if recorded else self._certify(state, self.target)
            if not recorded:
                self._record(state, certificate)
            yield Stepped(
                self.steps,
                state.point.value,
                certificate,
                state.step_size,
                time.perf_counter() - self.started,
                state.note,
                self.method.certifies or self.schedule.last_attempt == self.steps,
                state.point.x,
                functools.partial(self.keep, state),
            )
            # A bound that a lower value has belied is none; the best point knows.
            reached = self._reached()
            ended = self._ended(state, certificate, reached)
            if ended is not None:
                self._end(ended, state)
                return
            if reached:
                self.polished += not recorded
                self.status = Status.CONVERGED
                if not self._worth_polishing(certificate, self.polished):
                    return
            elif self.steps >= self.max_steps or time.perf_counter() - self.started > self.max_seconds:
                self._end(Status.BUDGET_SPENT, state)
                return
            with np.errstate(all="ignore"):  # steps may leave the floating-point range; what came of them is looked at
                state = self.method.step(state)
            self.steps += 1
            recorded = False

    def _kept(self, state: State) -> Certificate:
        """The bound at the state that a kept run stood at."""
        assert self.best is not None
        if self.best[0].value == state.point.value:
            return self.best[1]
        gap = self.trace.columns["gap"][-1]
        kind = CertificateKind.ESTIMATE if gap < np.inf else CertificateKind.NONE
        return Certificate(gap, kind, "of the run that was saved")

    def _reached(self) -> bool:
        """Whether the best point so far meets the target."""
        return self.best is not None and self.best[1].gap <= self.target

    def _end(self, status: Status, state: State) -> None:
        """End a run that missed its target, as far as it knows: spend what it takes on the best bound."""
        if status in STUCK and not self.problem.provable and self._falls_forever(state.point):
            status = Status.DIVERGED
        self.status = status
        if self.best is None or self._reached() or status is Status.DIVERGED and not self.problem.provable:
            return
        if self.best[0] is state.point and self.problem.provable:
            self.best = state.point, self._certify(state, np.inf)
        else:  # of methods with momentum or noise the last point is seldom the best
            self.best = self.best[0], self._in_full(self.best[0])
        if self._reached() and status in SHORT_OF_IT:
            self.status = Status.CONVERGED

    def _falls_forever(self, point: Any) -> bool:
        """Whether f falls at every distance along the slope: so far out that no step is found any more."""
        fall, trials = further_fall(point, -1.0 * point.gradient, 8 * self.precision * abs(point.value))
        self.passes += 2.0 * trials
        self.bottomless = fall == np.inf
        return self.bottomless

    @np.errstate(all="ignore")
    def _in_full(self, point: Any) -> Certificate:
        """The best bound at a point, of which no direction is known."""
        certificate: Certificate = point.certificate(None, None, np.inf)
        return self._probed(point, -1.0 * point.gradient, certificate)

    def _probed(self, point: Any, direction: Any1D, certificate: Certificate) -> Certificate:
        """An estimate that meets the target, or how far f is seen to fall where that is more."""
        if self.problem.provable or self.method.noisy or not certificate.gap <= self.target:
            return certificate
        fall, trials = further_fall(point, direction, certificate.rounding)
        self.passes += 2.0 * trials
        if fall == np.inf:
            self.bottomless = True
            how = "f falls at every distance from here"
            return Certificate(np.inf, CertificateKind.NONE, how, certificate.rounding)
        if fall <= certificate.gap:
            return certificate
        return replace(certificate, gap=fall, how="f is seen to fall further than its model says")

    def _certify(self, state: State, wanted: float) -> Certificate:
        """The bound at a state, or only its learned model's estimate where that is far from the target."""
        far = self.learns and self.target < 0.5 * state.decrement < np.inf and wanted <= self.target
        if far and state.curving is None and math.isfinite(state.point.value):
            return self.estimating.far(state)
        return self._certified(state, wanted)

    @np.errstate(all="ignore")
    def _certified(self, state: State, wanted: float) -> Certificate:
        """The bound at a state: the point's own, or what earlier bounds and the decrease since then imply."""
        if not np.isfinite(state.point.value):
            return Certificate(np.inf, CertificateKind.NONE, "the objective is not finite")
        if state.curving is not None and not self.problem.convex:
            return Certificate(np.inf, CertificateKind.NONE, "the Hessian has negative curvature here")
        learned = self.learns and wanted <= self.target
        if self.method.certifies or learned:
            certificate: Certificate = state.point.certificate(state.direction, state.refine, wanted)
            if not self.problem.provable:
                judged = self.estimating(state, certificate, self.schedule.values, self.steps, learned)
                return self._probed(state.point, state.direction, judged)
        elif self.schedule.due(self.steps) or wanted > self.target:
            # A first-order direction says little about f*; a Newton direction computed for the purpose says all.
            certificate = self._probed(state.point, state.direction, state.point.certificate(None, None, wanted))
            self.schedule.missed(self.steps, certificate.gap)
        else:
            certificate = Certificate(np.inf, CertificateKind.PROOF, "not computed at this step")
        if certificate.kind is CertificateKind.NONE:
            if 0 <= state.decrement < np.inf and self.method.certifies:
                how = "half the Newton decrement squared; " + certificate.how
                return Certificate(0.5 * state.decrement, CertificateKind.ESTIMATE, how)
            return certificate
        # What is known of f* from an earlier step holds here too.
        if self.best is not None:
            point, known = self.best
            carried = known.gap - (point.value - state.point.value) + 4 * self.precision * abs(point.value)
            if known.kind is CertificateKind.PROOF and 0 <= carried < certificate.gap:
                return replace(certificate, gap=carried, how=_earlier(known.how))
        return certificate

    def _record(self, state: State, certificate: Certificate) -> None:
        self.passes += state.passes
        value = state.point.value
        self.schedule.observe(value)
        if value < self.lowest - self.precision * abs(self.lowest if math.isfinite(self.lowest) else 0.0):
            self.lowest, self.improved = value, self.steps
        self.trace.append(
            step=self.steps,
            value=value,
            gap=certificate.gap,
            gradient_norm=norm(state.point.gradient),
            step_size=state.step_size,
            passes=self.passes,
            seconds=time.perf_counter() - self.started,
        )
        self.best = self._better(state.point, certificate)

    def _better(self, point: Any, certificate: Certificate) -> tuple[Any, Certificate]:
        """The better of this point and the best so far."""
        if self.best is None or -np.inf < point.value < self.best[0].value:
            return point, certificate
        best, known = self.best
        rounding = 4 * self.precision * abs(point.value)
        if certificate.gap <= known.gap < np.inf and point.value <= best.value + 2 * rounding:
            return point, certificate
        # Values come and go: the lowest stays, and what a later point tells of f* holds for it.
        gap = certificate.gap - (point.value - best.value) + rounding * (point.value != best.value)
        if gap >= 0 and (gap := max(gap, certificate.rounding)) < known.gap:
            return best, replace(certificate, gap=gap, how=_other(certificate.how))
        return self.best

    def _ended(self, state: State, certificate: Certificate, reached: bool) -> Status | None:
        if state.failure is Status.DIVERGED or not self._floor <= state.point.value <= self.ceiling or self.bottomless:
            return Status.DIVERGED
        look = self.method.certifies or self.schedule.last_attempt == self.steps
        if look and self.problem.l2 == 0 and self.problem.convex and self._separable(state, reached):
            return Status.SEPARABLE
        if state.failure is not None:
            if reached:
                return Status.CONVERGED
            # A decrease that rounding hides cannot be searched for.
            return Status.PRECISION_FLOOR if self._at_floor(state, certificate) else state.failure
        if not reached and self._hovers(state):
            return Status.NOISE_FLOOR
        if not reached and self.steps - self.improved > self._patience(state):
            if self._at_floor(state, certificate):
                return Status.PRECISION_FLOOR
            return Status.NOISE_FLOOR if self._sampled(state) else Status.NO_PROGRESS
        if reached or not self.method.certifies:
            return None
        if not self._creeps(state, certificate):
            self.halved = self.steps, certificate.gap
        return Status.NO_PROGRESS if self.steps - self.halved[0] > CRAWL_STEPS else None

    def _creeps(self, state: State, certificate: Certificate) -> bool:
        """Whether a step brought next to nothing: of a bound that is proven, or of what the model promises."""
        if self.problem.provable:
            return certificate.gap > 0.5 * self.halved[1]
        values = self.schedule.values
        return len(values) > 1 and values[-2] - values[-1] <= CREEPING * state.decrement

    def _patience(self, state: State) -> float:
        """Steps without a new lowest value before a run counts as stuck: few where a model promises mere rounding."""
        hidden = self.learns and state.decrement <= 8 * self.precision * abs(state.point.value)
        return min(HIDDEN_STEPS, self.method.stall_steps) if hidden else self.method.stall_steps

    def _sampled(self, state: State) -> bool:
        """Whether steps follow gradients of samples."""
        return self.method.noisy and hasattr(type(state.point), "sample")

    def _hovers(self, state: State) -> bool:
        """Whether a run on sampled gradients has stopped falling; looked for ever more seldom."""
        if not self._sampled(state) or self.steps < LEAST or self.steps % 2 ** (self.steps.bit_length() - 5):
            return False
        return hovers(self.trace["value"], self.trace["step_size"])

    def _at_floor(self, state: State, certificate: Certificate) -> bool:
        """Whether rounding hides the decrease that a step promises, and little is left to gain."""
        size = max(abs(state.point.value), certificate.rounding / self.precision)
        return state.decrement <= 1e3 * self.precision * size and self._close(state, certificate)

    def _close(self, state: State, certificate: Certificate) -> bool:
        """Whether a bound is small beside the start, an estimate beside f: a large one is no floor of precision."""
        start = abs(self.trace.columns["value"][0])
        if not self.problem.provable:
            certificate = self._in_full(state.point)
            beside = max(abs(state.point.value), self.target)
            return certificate.kind is not CertificateKind.NONE and certificate.gap <= 1e-4 * beside
        small = certificate.gap <= 1e-4 * max(start, self.target)
        return certificate.kind is CertificateKind.ESTIMATE or (certificate.kind is CertificateKind.PROOF and small)

    @property
    def _floor(self) -> float:
        """The value below which f is taken to have no minimum."""
        start = self.trace.columns["value"][0]
        # On a plateau far out, where f is nearly 0, nothing there tells how deep it may be elsewhere.
        return float(start - BOTTOMLESS * max(self.ceiling - start, self.target, 1.0))

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
            self.falling = (1.0 / norm(direction)) * direction
        return bool(candidates)

    def _worth_polishing(self, certificate: Certificate, polished: int) -> bool:
        if polished > self.method.polish_steps or self.steps >= self.max_steps:
            return False
        if certificate.kind is not CertificateKind.PROOF:
            return False  # an estimate below the target is not worth more steps
        if certificate.gap <= 2 * certificate.rounding:
            return False
        gaps = self.trace.columns["gap"]
        return polished == 1 or gaps[-1] <= 0.25 * gaps[-2]

    def solution(self, start: Any) -> Solution:
        """The best point with its record."""
        point, certificate = self.best or (start, Certificate(np.inf, CertificateKind.NONE, "no step was completed"))
        if self.status is Status.DIVERGED:
            how = "f falls at every distance from a point of the run" if self.bottomless else "the run diverged"
            certificate = Certificate(np.inf, CertificateKind.NONE, how)
        elif certificate.gap == np.inf:  # a bound that was not computed proves nothing
            certificate = replace(certificate, kind=CertificateKind.NONE)
        return Solution(
            x=point.x,
            value=point.value,
            status=self.status,
            certificate=certificate,
            trace=self.trace,
            cost=Cost(
                steps=self._done,
                passes=self.passes,
                seconds=time.perf_counter() - self.started,
                cpu_seconds=time.process_time() - self.started_cpu,
            ),
            method=self.method.name,
            direction=self.falling,
        )


def _earlier(how: str) -> str:
    mark = ", at an earlier step"
    return how if how.endswith(mark) else how + mark


def _other(how: str) -> str:
    mark = ", at another step"
    return how if how.endswith(mark) else how + mark


class _Schedule:
    """When a first-order run pays for a certificate: when the observed rate says that the target is reached.

    The gap is extrapolated from the decrease over the last quarter of the run and the quarter before it (Aitken). A
    certificate that misses the target tells the true gap, and the rate then tells when to look again. A few looks at
    powers of four keep a bound in the trace meanwhile.
    """

    def __init__(self, target: float, noisy: bool = False) -> None:
        self.target = target
        self.noisy = noisy
        self.values: list[float] = []
        self.next, self.last_attempt, self.look_at = 0, -1, 0

    def observe(self, value: float) -> None:
        """Note the objective of one more step."""
        self.values.append(value)

    def due(self, step: int) -> bool:
        """Whether to compute a certificate at this step."""
        if self.look_at and step == self.look_at:
            self.look_at *= 2
            return True
        if step < self.next:
            return False
        return step in (0, 16, 64, 256, 1024) or step % 4096 == 0 or self._extrapolated() <= 2 * self.target

    def missed(self, step: int, gap: float) -> None:
        """Note a certificate and set when the next is worth its cost."""
        self.last_attempt = step
        factor = self._factor()
        if np.isfinite(gap) and gap > self.target and 0 < factor < 1:
            remaining = np.log(self.target / gap) / np.log(factor) if self.target > 0 else step
            self.next = step + 1 + int(min(0.9 * remaining, step))
        if self.noisy:  # values that hover look as if the target were reached at every other step
            self.next = max(self.next, step + 1 + step // 8)

    def _quarters(self) -> tuple[int, float, float]:
        k = len(self.values)
        m = max(1, k // 4)
        if k < 2 * m + 1:
            return m, 0.0, 0.0
        return m, self.values[-1 - 2 * m] - self.values[-1 - m], self.values[-1 - m] - self.values[-1]

    def _factor(self) -> float:
        """The factor by which the gap shrinks a step; nan where the run is too short to tell."""
        m, before, after = self._quarters()
        return (after / before) ** (1 / m) if before > 0 and after > 0 else float("nan")

    def _extrapolated(self) -> float:
        m, before, after = self._quarters()
        if len(self.values) < 4 or before <= 0:
            return np.inf
        if after <= 0:
            return 0.0
        ratio = after / before
        return after * ratio / (1 - ratio) if ratio < 1 else np.inf
