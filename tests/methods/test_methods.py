"""Register: every method on every problem reaches the same minimum, certified."""

import numpy as np
import pytest

from reference import NAMES, Objective, targets
from thalweg.core.errors import InputError, OracleError
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


def tuned(method, changed):
    """First-order methods get L and mu from the eigenvalues at the start; they must survive where L grows later."""
    values = np.linalg.eigvalsh(changed.at(np.zeros(changed.size)).hessian)
    return method.tuned(values[-1], values[0], quadratic=changed.base.constant_curvature)


def solve(problem, method, target, **options):
    changed = ChangedProblem(problem, Standardizing(problem))
    method = tuned(method, changed)
    events = list(drive(changed, method, np.zeros(changed.size), target=target, **options))
    return changed, events


@pytest.mark.parametrize("loss", NAMES)
@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
def test_every_method_on_every_loss(method, loss):
    if method.name == "heavy-ball" and loss != "squared":
        pytest.skip("its tuning holds on quadratics only; see test_heavy_ball_is_guarded_elsewhere")
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
    problem, _ = problem_of("squared" if method.name == "heavy-ball" else "logistic")
    _, events = solve(problem, method, 1e-6)
    assert isinstance(events[0], Started)
    assert isinstance(events[-1], Finished)
    steps = events[1:-1]
    assert all(isinstance(event, Stepped) for event in steps)
    assert [event.step for event in steps] == list(range(len(steps)))
    trace = events[-1].solution.trace
    assert len(trace) == len(steps)
    values = trace["value"]
    if method.name not in ("nesterov", "heavy-ball"):  # momentum may climb for a while
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
    original = Newton._fresh
    monkeypatch.setattr(Newton, "_fresh", lambda *arguments: formed.append(1) or original(*arguments))
    counts = []
    for method in (Newton(share=0.0), Newton(share=10.0)):
        formed.clear()
        _, events = solve(problem, method, 1e-10)
        assert events[-1].solution.status is Status.CONVERGED
        counts.append(len(formed))
    assert counts[1] < counts[0]


def test_heavy_ball_is_guarded_elsewhere():
    """A step and momentum far too bold for the problem: values explode, the guard halves the step, the run recovers."""
    problem, _ = problem_of("logistic")
    changed = ChangedProblem(problem, Standardizing(problem))
    bold = METHODS["heavy-ball"].tuned(0.5, 1e-4)
    *_, last = drive(changed, bold, np.zeros(changed.size), target=1e-6, max_steps=20_000)
    assert last.solution.status is Status.CONVERGED


def test_gradient_descent_with_too_large_a_step_halves_it():
    problem, _ = problem_of("poisson")
    changed = ChangedProblem(problem, Standardizing(problem))
    *_, last = drive(
        changed, METHODS["gradient-descent"].tuned(1e-3, 1e-4), np.zeros(changed.size), target=1e-6, max_steps=20_000
    )
    assert last.solution.status is Status.CONVERGED


class Diagonal:
    """1/2 sum lambda v^2 without any certificate: rates alone are looked at."""

    l2, convex = 1.0, True

    def __init__(self, eigenvalues):
        self.eigenvalues = np.asarray(eigenvalues)

    def at(self, v):
        problem = self

        class Point:
            x, gradient = v, problem.eigenvalues * v
            value = 0.5 * float(v @ (problem.eigenvalues * v))

        Point.problem = problem
        return Point()


@pytest.mark.parametrize("kappa", [10.0, 1e3])
@pytest.mark.parametrize("name", ["gradient-descent", "heavy-ball"])
def test_rates_on_quadratics_are_the_formulas(name, kappa):
    """Observed shrinkage of f a step against the rate that stands beside the update."""
    method = METHODS[name].tuned(1.0, 1 / kappa, quadratic=True)
    state = method.init(Diagonal(np.geomspace(1 / kappa, 1, 20)).at(np.ones(20)))
    count = int(20 * np.sqrt(kappa) if name == "heavy-ball" else 4 * kappa)
    values = []
    for _ in range(count):
        state = method.step(state)
        values.append(state.point.value)
    span = count // 2
    observed = (values[-1] / values[-1 - span]) ** (1 / span)
    assert 1 - observed == pytest.approx(1 - method.rate(1.0, 1 / kappa, quadratic=True), rel=0.1)


def test_first_order_methods_without_a_step_say_how_to_get_one():
    problem, _ = problem_of("squared")
    for name in ("gradient-descent", "heavy-ball", "nesterov"):
        with pytest.raises(InputError, match="no step size") as caught:
            list(drive(problem, METHODS[name], problem.start(), target=1e-6))
        assert "tuned" in caught.value.remedy


def test_nesterov_with_constant_momentum_is_the_literal_recursion_and_keeps_its_bound():
    values = np.geomspace(1e-2, 1.0, 12)
    kappa = 100.0
    beta = (np.sqrt(kappa) - 1) / (np.sqrt(kappa) + 1)
    method = METHODS["nesterov"].__class__(step_size=1.0, momentum=beta)
    state = method.init(Diagonal(values).at(np.ones(12)))
    y = previous = np.ones(12)
    start = 0.5 * values.sum() + 0.5 * values.min() * 12
    for k in range(1, 200):
        x = y - values * y
        y, previous = x + beta * (x - previous), x
        state = method.step(state)
        np.testing.assert_allclose(state.point.x, y, rtol=1e-12, atol=1e-15)
        assert 0.5 * values @ x**2 <= (1 - 1 / np.sqrt(kappa)) ** k * start * (1 + 1e-9)
