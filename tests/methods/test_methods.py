"""Register: every method on every problem reaches the same minimum, certified."""

import numpy as np
import pytest

from reference import NAMES, Objective, targets
from thalweg.core.errors import OracleError
from thalweg.core.events import Finished, Started, Stepped
from thalweg.core.records import CertificateKind, Status
from thalweg.methods import METHODS, Newton, drive
from thalweg.problems import ChangedProblem, FiniteSum, Standardizing
from tolerances import CERTIFIED_GAP, eps

N, D, K = 120, 5, 3


def problem_of(name, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(N, D)) * [1, 10, 0.1, 1, 1] + [0, 3, 0, 0, -1]
    z = (X - X.mean(axis=0)) / X.std(axis=0) @ rng.normal(size=(D, K if name == "softmax" else 1))
    y = targets(name, z, rng)
    return FiniteSum(X, y, name, 1e-2), Objective(name, X, y, 1e-2)


def solve(problem, method, target, **options):
    changed = ChangedProblem(problem, Standardizing(problem))
    events = list(drive(changed, method, np.zeros(changed.size), target=target, **options))
    return changed, events


@pytest.mark.parametrize("loss", NAMES)
@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
def test_every_method_on_every_loss(method, loss):
    problem, reference = problem_of(loss)
    target = CERTIFIED_GAP * problem.at(problem.start()).value
    changed, events = solve(problem, method, target)
    solution = events[-1].solution
    assert solution.status is Status.CONVERGED, solution
    assert solution.certificate.kind is CertificateKind.PROOF
    assert solution.certificate.gap <= target
    best = reference.minimise()[1]
    value = reference.value(changed.change.forward(solution.x))
    assert -8 * eps() * best <= value - best <= solution.certificate.gap + 8 * eps() * best


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
def test_events_tell_the_run_in_order(method):
    problem, _ = problem_of("logistic")
    _, events = solve(problem, method, 1e-6)
    assert isinstance(events[0], Started)
    assert isinstance(events[-1], Finished)
    steps = events[1:-1]
    assert all(isinstance(event, Stepped) for event in steps)
    assert [event.step for event in steps] == list(range(len(steps)))
    trace = events[-1].solution.trace
    assert len(trace) == len(steps)
    values = trace["value"]
    assert (np.diff(values) <= 8 * eps() * np.abs(values[1:])).all()
    assert (np.diff(trace["passes"]) > 0).all()


def test_a_method_that_needs_more_says_what_is_missing():
    class Bare:
        def __init__(self):
            self.x = np.zeros(1)
            self.value = 0.0

    class Problem:
        l2 = 1.0

        def at(self, x):
            return Bare()

    with pytest.raises(OracleError, match="newton needs .*hessian"):
        list(drive(Problem(), Newton(), np.zeros(1), target=1e-6))


def test_budgets_end_a_run_with_the_best_point():
    problem, _ = problem_of("logistic")
    for options in ({"max_steps": 1}, {"max_seconds": 0.0}):
        _, events = solve(problem, METHODS["l-bfgs"], 1e-12, **options)
        solution = events[-1].solution
        assert solution.status is Status.BUDGET_SPENT
        assert np.isfinite(solution.certificate.gap)
        assert "x0" in solution.status.remedy


def test_interruption_between_steps_returns_the_best_point_so_far():
    problem, _ = problem_of("logistic")
    changed = ChangedProblem(problem, Standardizing(problem))
    events = drive(changed, METHODS["l-bfgs"], np.zeros(changed.size), target=1e-12)
    seen = [next(events) for _ in range(4)]
    finished = events.throw(KeyboardInterrupt)
    assert isinstance(finished, Finished)
    assert finished.solution.status is Status.INTERRUPTED
    assert finished.solution.value == min(event.value for event in seen)


def test_newton_is_quadratic_near_the_minimum():
    problem, _ = problem_of("logistic")
    _, events = solve(problem, Newton(share=0.0), 1e-14)
    gaps = np.array([event.certificate.gap for event in events[1:-1]])
    near = gaps[(gaps < 1e-3) & (gaps > 1e-15)]
    assert len(near) >= 2
    assert (near[1:] <= near[:-1] ** 1.5).all()


def test_newton_with_a_kept_factor_forms_fewer_hessians(monkeypatch):
    problem, _ = problem_of("softmax")
    formed = []
    original = FiniteSum.at(problem, problem.start()).__class__.class_blocks
    monkeypatch.setattr(
        "thalweg.problems.finite_sum.FiniteSumPoint.class_blocks",
        lambda self: formed.append(1) or original(self),
    )
    counts = []
    for method in (Newton(share=0.0), Newton(share=10.0)):
        formed.clear()
        _, events = solve(problem, method, 1e-10)
        assert events[-1].solution.status is Status.CONVERGED
        counts.append(len(formed))
    assert counts[1] < counts[0]
