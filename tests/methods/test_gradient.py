"""First-order methods where their theory ends: steps too long, momentum where it cycles, settings out of range."""

import math

import numpy as np
import pytest

import thalweg as tw
from thalweg.core.records import Status

FIRST_ORDER = [tw.GradientDescent, tw.HeavyBall, tw.Nesterov]


def quadratic():
    rng = np.random.default_rng(0)
    B = rng.normal(size=(10, 10))
    A = B @ B.T / 10 + 0.1 * np.eye(10)
    return A, rng.normal(size=10)


def least_squares():
    A, b = quadratic()
    return tw.FiniteSum(A, b, "squared", 1e-3)


def logistic():
    A, b = quadratic()
    return tw.FiniteSum(A, np.sign(b), "logistic", 1e-2)


DIVERGING = {
    "a quadratic": (lambda: tw.Quadratic(*quadratic()), np.linalg.eigvalsh(quadratic()[0])[-1]),
    "a function": (lambda: tw.problem(lambda x: 7 * (x**2).sum(), x0=[1.0, -2.0]), 14.0),
    "far above zero": (lambda: tw.problem(lambda x: (x**2).sum() + 1e12, x0=[1.0, -2.0]), 2.0),
    "a steep function": (lambda: tw.problem(lambda x: np.cosh(x).sum(), x0=[1.0]), np.cosh(1.0)),
    "a table": (least_squares, tw.diagnose(least_squares()).constants["L"].value),
    "what grows like |x|": (lambda: tw.problem(lambda x: np.sqrt(1 + x**2).sum(), x0=[0.3, 0.2]), 1.0),
    "a logistic table": (logistic, tw.diagnose(logistic()).constants["L"].value),
    "leaves": (lambda: tw.problem(lambda p: (p[0] ** 2).sum() + p[1] ** 2, x0=(np.array([1.0, 2.0]), 3.0)), 2.0),
}


@pytest.mark.parametrize("name", DIVERGING)
def test_gradient_descent_at_three_over_l_diverges_and_says_so(name):
    make, largest = DIVERGING[name]
    solution = tw.solve(make(), tw.GradientDescent(step_size=3 / largest), max_steps=1000)
    assert solution.status is Status.DIVERGED
    assert solution.cost.steps <= 50
    assert solution.value == solution.trace["value"].min()
    assert make().at(tw.core.vector.as_vector(solution.x)).value == pytest.approx(solution.value, rel=1e-12)
    assert "smaller step_size (below 2/L" in solution.status.remedy


def test_at_one_over_l_it_does_not():
    make, largest = DIVERGING["a quadratic"]
    assert tw.solve(make(), tw.GradientDescent(step_size=1 / largest)).status is Status.CONVERGED


@pytest.mark.parametrize("name", ["a quadratic", "what grows like |x|", "a logistic table"])
@pytest.mark.parametrize("tol", [1e-10, 0.0])
def test_just_below_two_over_l_it_does_not(name, tol):
    make, largest = DIVERGING[name]
    solution = tw.solve(make(), tw.GradientDescent(step_size=1.99 / largest), tol=tol, max_steps=3000)
    assert solution.status is not Status.DIVERGED


# --- Momentum where it cycles -----------------------------------------------------------------------------------------


def bent(x):
    """Curvature 25, but 1 between 1 and 2: Lessard, Recht and Packard, SIAM J. Optim. 26 (2016), 57-95."""
    far = np.where(x < 2, 0.5 * x**2 + 24 * x - 12, 12.5 * x**2 - 24 * x + 36)
    return np.where(x < 1, 12.5 * x**2, far).sum()


def slope(x):
    return np.where(x < 1, 25 * x, np.where(x < 2, x + 24, 25 * x - 24))


# Optimal for quadratics with curvatures between 1 and 25.
STEP, MOMENTUM = 1 / 9, 4 / 9


def test_heavy_ball_cycles_on_a_function_that_is_no_quadratic():
    """The literal iteration, without the guard: after 300 steps it still visits three points in turn."""
    visited, previous, x = [], np.array([3.3]), np.array([3.3])
    for _ in range(330):
        x, previous = x - STEP * slope(x) + MOMENTUM * (x - previous), x
        visited.append(x[0])
    np.testing.assert_allclose(visited[300:327], visited[303:330], rtol=1e-9)
    assert np.ptp(visited[-3:]) > 1


@pytest.mark.parametrize("size", [1, 40])
@pytest.mark.parametrize("given", [{}, {"gradient": slope}], ids=["derived", "given"])
def test_the_guard_catches_the_cycle(given, size):
    solution = tw.solve(tw.problem(bent, x0=np.full(size, 3.3), **given), tw.HeavyBall(STEP, MOMENTUM))
    assert solution.status is Status.CONVERGED
    assert solution.value <= 1e-8


def test_without_its_guard_the_cycle_is_no_success():
    patient = tw.HeavyBall(STEP, MOMENTUM, patience=math.inf)
    solution = tw.solve(tw.problem(bent, x0=[3.3]), patient)
    assert solution.status is Status.NO_PROGRESS
    assert solution.value == solution.trace["value"].min()


def rastrigin(x):
    return 10 * x.shape[0] + np.sum(x**2 - 10 * np.cos(2 * np.pi * x))


def styblinski_tang(x):
    return np.sum(x**4 - 16 * x**2 + 5 * x) / 2


@pytest.mark.parametrize(
    ("f", "x0"),
    [(rastrigin, [0.3, -0.2, 0.1]), (rastrigin, [4.1, -3.3, 2.2, 0.6]), (styblinski_tang, [1.0, -1.0, 3.0])],
)
def test_a_tuned_heavy_ball_comes_to_a_minimum_of_what_is_no_quadratic(f, x0):
    """mu is not known at such starts, and L does not hold: 2000 steps of the quadratic's tuning end above the start."""
    problem = tw.problem(f, x0=x0)
    solution = tw.solve(problem, "heavy-ball")
    assert solution.status is Status.CONVERGED
    end = problem.at(solution.x)
    assert np.linalg.eigvalsh(end.hessian)[0] > 0
    assert end.gradient @ np.linalg.solve(end.hessian, end.gradient) <= 2e-8


def test_a_quadratic_may_climb_for_long_before_it_falls():
    """Steps without a new lowest value: more than a run elsewhere may go on for."""
    curvatures = np.geomspace(1.0, 3e5, 10)
    problem = tw.Quadratic(np.diag(curvatures), b=curvatures)
    solution = tw.solve(problem, "heavy-ball", tol=1.0)
    values = solution.trace["value"]
    assert solution.status is Status.CONVERGED
    assert np.argmax(values[1:] < values[0]) > 1000


# --- Settings ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", FIRST_ORDER)
@pytest.mark.parametrize("step_size", [0, -1.0, math.nan, math.inf, "a", True, [0.1], np.array(0.1)])
def test_a_step_that_is_none_is_refused(method, step_size):
    with pytest.raises(tw.InputError, match="step_size"):
        method(step_size=step_size)


@pytest.mark.parametrize("momentum", [-0.5, 1.0, 1.5, math.nan, math.inf, "a", True, None])
def test_momentum_outside_of_zero_and_one_is_refused(momentum):
    with pytest.raises(tw.InputError, match="momentum"):
        tw.HeavyBall(step_size=0.1, momentum=momentum)


@pytest.mark.parametrize("method", [tw.HeavyBall, tw.Nesterov])
@pytest.mark.parametrize("patience", [0, -1, math.nan, "a"])
def test_patience_that_is_none_is_refused(method, patience):
    with pytest.raises(tw.InputError, match="patience"):
        method(step_size=0.1, patience=patience)


@pytest.mark.parametrize("method", FIRST_ORDER)
def test_a_step_of_numpys_leaves_float32_what_it_is(method):
    method = method(step_size=np.float32(0.1))
    solution = tw.solve(tw.problem(lambda x: ((x - 1) ** 2).sum(), x0=np.zeros(3, np.float32)), method, max_steps=20)
    assert solution.x.dtype == np.float32


@pytest.mark.parametrize("method", FIRST_ORDER)
def test_curvature_beyond_floating_point_is_tuned_for(method):
    tiny = tw.problem(lambda x: 1e-309 * (x**2).sum(), x0=[1.0, 2.0])
    assert np.isfinite(tw.solve(tiny, method(), max_steps=3).value)


@pytest.mark.parametrize("step_size", [0.005, 0.015])
def test_a_good_step_in_single_precision_ends_at_its_floor(step_size):
    slopes = np.array([100, 30, 3], np.float32)
    problem = tw.problem(lambda x: 1 + (slopes * (x - 10) ** 2).sum() / 2, x0=np.array([0, 5, 2], np.float32))
    found = tw.solve(problem, tw.GradientDescent(step_size), max_steps=5000)
    assert found.status is Status.PRECISION_FLOOR
    assert found.value - 1 <= found.certificate.gap


def test_heavy_ball_claims_its_rate_on_quadratics_alone():
    assert math.isnan(tw.HeavyBall().rate(100.0, 1.0, quadratic=False))
