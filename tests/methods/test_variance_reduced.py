"""SVRG: its update by hand, its linear rate below the bound, and no floor where SGD has one."""

import math
from dataclasses import replace

import numpy as np
import pytest

import thalweg as tw
from thalweg.core.records import Status
from thalweg.methods import SGD, SVRG
from thalweg.methods.batch_rules import expected_smoothness
from thalweg.methods.method import Noise
from thalweg.problems import FiniteSum, Quadratic
from thalweg.problems.noisy import Noisy
from thalweg.theory import bounds
from tolerances import STANDARD_ERRORS, arithmetic, summation


def rows(n=60, loss="squared", seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 3))
    z = X @ [1.0, -2.0, 0.5]
    y = z + rng.normal(size=n) if loss == "squared" else np.sign(z + rng.logistic(size=n))
    return FiniteSum(X, y, loss, 0.3)


def walk(problem, method, epochs):
    state = method.init(problem.at(problem.start()))
    yield state
    for _ in range(epochs):
        state = method.step(state)
        yield state


@pytest.mark.parametrize("anchor", ["last", "mean"])
def test_an_epoch_is_the_formula(anchor):
    """By hand, from gradients of batches; the mean is that of x_0, ..., x_{m-1}."""
    problem, method = rows(), SVRG(0.05, 7, batch_size=4, anchor=anchor, seed=3)
    a = problem.start()
    for epoch, state in enumerate(walk(problem, method, 3)):
        np.testing.assert_allclose(state.point.x, a, rtol=0, atol=50 * summation(60))
        order = tw.Sampler(60, 4, "replacement", 3).order(epoch, 28)
        g, x, iterates = problem.at(a).gradient, a, []
        for k in range(7):
            iterates.append(x)
            batch = order[4 * k : 4 * k + 4]
            x = x - 0.05 * (problem.at(x).sample(batch) - problem.at(a).sample(batch) + g)
        a = x if anchor == "last" else np.mean(iterates, axis=0)


def test_the_usual_epoch_makes_two_passes_through_the_examples():
    for batch_size, updates in ((1, 120), (7, 18), (100, 2)):
        state = list(walk(rows(), SVRG(0.01, batch_size=batch_size), 1))[1]
        assert state.memory["count"] == updates
        # Gradients at the iterate and at the anchor, one by one; and the evaluation.
        assert state.passes == pytest.approx(4 * updates * min(batch_size, 60) / 60 + 2)


@pytest.mark.slow
def test_compiled_epochs_keep_the_slopes_at_the_anchor():
    state = list(walk(rows(), SVRG(0.01, compiled=True), 1))[1]
    assert state.passes == pytest.approx(2 * 2 + 2)


@pytest.mark.parametrize(("loss", "bound"), [("squared", bounds.svrg_quadratic), ("logistic", bounds.svrg)])
def test_the_rate_is_below_the_bound(loss, bound):
    """E f - f* <= q^k (f_0 - f*), for the mean of an epoch as the theorem has it; the last iterate does better."""
    problem = rows(40, loss)
    start = problem.at(problem.start())
    minimum, largest = tw.solve(problem).value, start.largest_single
    # The curvature of the penalty alone is a lower bound on that of the sum along coefficients; the intercept has its
    # own, so that mu is taken from the Hessian on the way.
    mu = min(np.linalg.eigvalsh(problem.at(x).hessian)[0] for x in (problem.start(), tw.solve(problem).x))
    step_size, updates = 0.1 / largest, math.ceil(50 * largest / mu)
    gap = start.value - minimum
    for anchor in ("mean", "last"):
        runs = np.array([
            [state.point.value - minimum for state in walk(problem, SVRG(step_size, updates, anchor=anchor, seed=s), 3)]
            for s in range(4)
        ])  # fmt: skip
        limits = np.array([
            bound(L_max=largest, mu=mu, step_size=step_size, epoch_steps=updates, gap=gap, steps=k) for k in range(4)
        ])  # fmt: skip
        errors = runs.std(axis=0, ddof=1) / 2
        assert (runs.mean(axis=0) <= limits * (1 + arithmetic()) + STANDARD_ERRORS * errors).all()
        assert limits[3] <= gap / 8 * (1 + arithmetic())  # which the theorem promises for such epochs
        assert runs[:, 3].max() < 1e-2 * gap


def test_it_has_no_floor_where_sgd_has_one():
    """The same step, the same batches: SGD hovers where its noise holds it, SVRG goes on to rounding."""
    problem = rows(loss="logistic")
    minimum = tw.solve(problem, tol=0.0).value
    step_size = 0.1 / problem.at(problem.start()).largest_single
    floor = [s.point.value for s in walk(problem, SGD(step_size, batch_size=1, sampling="replacement"), 60)][30:]
    gaps = np.array([s.point.value - minimum for s in walk(problem, SVRG(step_size, 30), 40)])
    assert np.mean(floor) - minimum > 1e-4
    assert gaps[-1] < 1e-9 * (np.mean(floor) - minimum)
    # Linear all the way down to rounding: log f against epochs is a line, to a few percent of its fall.
    seen = np.flatnonzero(gaps > 1e-13)
    line = np.polynomial.Polynomial.fit(seen, np.log(gaps[seen]), 1)
    fall = np.log(gaps[0] / gaps[seen[-1]])
    assert fall > 20
    assert np.abs(np.log(gaps[seen]) - line(seen)).max() < 0.1 * fall


def test_tuned_it_is_certified_to_the_usual_target():
    problem = rows(loss="logistic")
    solution = tw.solve(problem, SVRG())
    assert solution.status is Status.CONVERGED
    assert solution.certificate.gap <= 1e-8
    reached = tw.solve(problem, SVRG(0.05), tol=0.0, max_steps=2000)
    assert reached.status is Status.PRECISION_FLOOR
    assert reached.cost.steps < 500


def test_tuning_takes_the_smoothness_of_a_batch():
    noise = Noise(variance=3.0, largest_single=20.0, examples=100, gap=5.0, target=1e-3)
    assert SVRG().tuned(2.0, 0.1, noise=noise).step_size == pytest.approx(1 / 200, rel=arithmetic(operations=4))
    for batch_size in (5, 100, 1000):
        smooth = expected_smoothness(2.0, min(batch_size, 100), noise, replacement=True)
        found = SVRG(batch_size=batch_size).tuned(2.0, 0.1, noise=noise).step_size
        assert found == pytest.approx(0.1 / smooth, rel=arithmetic(operations=4))


def test_additive_noise_vanishes_at_once():
    """Examples that differ by a linear term alone have no variance left: SVRG is gradient descent."""
    quadratic = Quadratic(np.diag([1.0, 0.1]), x0=[1.0, -1.0])
    noisy = Noisy.sampled(quadratic, 4.0, 10, seed=0)
    *_, state = walk(noisy, SVRG(0.5, 20), 2)
    expected = np.array([1.0, -1.0]) * (1 - 0.5 * np.array([1.0, 0.1])) ** 40
    np.testing.assert_allclose(state.point.x, expected, rtol=0, atol=100 * summation(40))


def test_too_long_a_step_diverges():
    solution = tw.solve(rows(), SVRG(1.0), max_steps=100)
    assert solution.status is Status.DIVERGED
    assert np.isfinite(solution.value)


def test_the_seed_decides():
    problem, method = rows(), SVRG(0.02, seed=1)
    first, again = (list(walk(problem, method, 2))[-1].point.x for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, list(walk(problem, replace(method, seed=2), 2))[-1].point.x)
