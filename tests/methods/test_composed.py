"""Descent put together from parts: the named methods are cases, and every combination descends."""

import itertools

import numpy as np
import pytest

import thalweg as tw
from thalweg.core.errors import InputError, OracleError
from thalweg.core.vector import flat
from thalweg.methods.composed import Descent
from thalweg.methods.conjugate import Conjugate
from thalweg.methods.direction import Steepest
from thalweg.methods.limited import LimitedMemory
from thalweg.methods.metric import (
    Diagonal,
    Euclidean,
    Full,
    HessianDiagonal,
    HessianMetric,
    SubsampledHessian,
    steepest_step,
)
from thalweg.methods.quasi_newton import Secant
from thalweg.methods.search import Backtracking, ExactStep, FixedLength, FixedStep, StrongWolfe
from tolerances import solve, update_rule

rng = np.random.default_rng(0)
B = rng.normal(size=(4, 4))
#: The metric of the tests, and P with A^-1 = P P'.
A = B @ B.T / 4 + 0.3 * np.eye(4)
P = np.linalg.inv(np.linalg.cholesky(A)).T
C = rng.normal(size=(8, 4))
X0 = np.array([1.0, -0.5, 2.0, 0.3])
#: Largest curvature of the function below.
LARGEST = 1 + 0.25 * np.linalg.norm(C, 2) ** 2


def whole(x):
    """Strongly convex and no quadratic."""
    return np.sum(np.logaddexp(0.0, C @ x)) + 0.5 * np.sum(x**2)


def leaves(p):
    return whole(np.concatenate([np.reshape(p["w"], (3,)), np.reshape(p["b"], (1,))]))


PROBLEMS = {
    "array": lambda: tw.problem(whole, x0=X0),
    "leaves": lambda: tw.problem(leaves, x0={"w": X0[:3].reshape(3, 1), "b": X0[3]}),
}


def states(problem, method, steps):
    state = method.init(problem.at(problem.start()))
    yield state
    for _ in range(steps):
        state = method.step(state)
        if state.failure is not None:
            return
        yield state


def iterates(problem, method, steps):
    return np.array([flat(state.point.x) for state in states(problem, method, steps)])


# --- The named methods are cases --------------------------------------------------------------------------------------


@pytest.mark.parametrize("step_size", [0.01, 1 / LARGEST, 0.2])
@pytest.mark.parametrize("layout", PROBLEMS)
def test_gradient_descent_is_steepest_descent_with_a_fixed_step(layout, step_size):
    composed = iterates(PROBLEMS[layout](), Descent(Steepest(), FixedStep(step_size), Euclidean()), 50)
    named = iterates(PROBLEMS[layout](), tw.GradientDescent(step_size=step_size), 50)
    assert len(composed) == len(named) == 51
    np.testing.assert_allclose(composed, named, rtol=0, atol=update_rule(50) * np.abs(named).max())


def test_newton_is_steepest_descent_in_the_metric_of_the_hessian():
    composed = iterates(PROBLEMS["array"](), Descent(Steepest(), FixedStep(1.0), HessianMetric()), 6)
    named = iterates(PROBLEMS["array"](), tw.Newton(damped=False), 6)
    assert len(composed) == len(named) == 7
    np.testing.assert_allclose(composed, named, rtol=0, atol=update_rule(6) * np.abs(named).max())


@pytest.mark.parametrize("search", [FixedStep(0.05), FixedLength(0.1)], ids=lambda search: search.name)
def test_a_metric_is_a_change_of_variables(search):
    """In w with x = P w and A^-1 = P P', steepest descent in A is gradient descent."""
    np.testing.assert_allclose(P @ P.T @ A, np.eye(4), atol=solve(np.linalg.cond(A), size=4))
    in_x = iterates(PROBLEMS["array"](), Descent(Steepest(), search, Full(A)), 20)
    start = np.linalg.solve(P, X0)
    in_w = iterates(tw.problem(lambda w: whole(P @ w), x0=start), Descent(Steepest(), search), 20)
    assert len(in_x) == len(in_w) == 21
    apart = np.linalg.cond(A) * update_rule(20) * np.abs(in_x).max()
    np.testing.assert_allclose(in_w @ P.T, in_x, rtol=0, atol=apart)


def test_steps_of_fixed_length_are_steepest_steps():
    problem = PROBLEMS["array"]()
    previous = None
    for state in states(problem, Descent(Steepest(), FixedLength(0.1), Full(A)), 5):
        if previous is not None:
            expected = previous.x + steepest_step(previous.gradient, A, 0.1)
            np.testing.assert_allclose(state.point.x, expected, rtol=1e-12)
        previous = state.point


def test_exact_steps_on_a_quadratic_end_where_the_slope_vanishes():
    b = np.ones(4)
    problem = tw.Quadratic(A, b)
    x = problem.start()
    for state in itertools.islice(states(problem, Descent(Steepest(), ExactStep()), 6), 1, None):
        g = A @ x - b
        x = x - (g @ g) / (g @ A @ g) * g
        np.testing.assert_allclose(state.point.x, x, rtol=0, atol=1e-10)


# --- Every combination ------------------------------------------------------------------------------------------------

DIRECTIONS = [Steepest(), Conjugate(), Secant(), LimitedMemory()]
SEARCHES = [FixedStep(1e-2), FixedLength(1e-2), Backtracking(), StrongWolfe(), ExactStep()]
METRICS = [
    Euclidean(),
    Diagonal(np.diag(A).copy()),
    Full(A),
    HessianDiagonal(),
    HessianMetric(),
]


@pytest.mark.parametrize("layout", PROBLEMS)
@pytest.mark.parametrize("metric", METRICS, ids=lambda part: part.name)
@pytest.mark.parametrize("search", SEARCHES, ids=lambda part: part.name)
@pytest.mark.parametrize("direction", DIRECTIONS, ids=lambda part: part.name)
def test_every_combination_descends(direction, search, metric, layout):
    found = list(states(PROBLEMS[layout](), Descent(direction, search, metric), 5))
    values = [state.point.value for state in found]
    assert len(values) > 1
    assert all(after < before + 1e-14 for before, after in itertools.pairwise(values))
    assert values[-1] < values[0]
    assert all(float(s.point.gradient @ s.direction) < 0 for s in found[:2])


@pytest.mark.parametrize("search", [Backtracking(), StrongWolfe(), ExactStep()], ids=lambda part: part.name)
@pytest.mark.parametrize("direction", DIRECTIONS, ids=lambda part: part.name)
def test_a_searched_run_reaches_the_minimum(direction, search):
    minimum = tw.solve(PROBLEMS["array"](), tw.Newton()).value
    solution = tw.solve(PROBLEMS["array"](), Descent(direction, search, Full(A)), tol=1e-9)
    assert solution.status.success
    assert solution.value - minimum <= 1e-7


def test_a_subsampled_hessian_serves_a_sum():
    X = np.random.default_rng(1).normal(size=(80, 3))
    y = np.where(X[:, 0] > 0, 1.0, -1.0)
    problem = tw.FiniteSum(X, y, "logistic", l2=0.1)
    method = Descent(Steepest(), StrongWolfe(), SubsampledHessian(40))
    assert tw.solve(problem, method, tol=1e-8).status.success
    with pytest.raises(OracleError, match="subsampled"):
        tw.solve(PROBLEMS["array"](), method)


# --- Parts that are none ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        ({"direction": "steepest"}, "direction"),
        ({"direction": Steepest}, "direction"),
        ({"direction": FixedStep(1.0)}, "direction"),
        ({"search": 0.1}, "search"),
        ({"search": None}, "search"),
        ({"metric": np.eye(2)}, "metric"),
        ({"metric": StrongWolfe()}, "metric"),
    ],
)
def test_wrong_parts_are_refused(settings, names):
    with pytest.raises(InputError, match=f"{names}="):
        Descent(**settings)


@pytest.mark.parametrize("value", [0.0, -1.0, np.nan, np.inf, True, "1"])
@pytest.mark.parametrize("make", [FixedStep, FixedLength])
def test_a_step_that_is_no_positive_number_is_refused(make, value):
    with pytest.raises(InputError):
        make(value)


def test_the_name_tells_the_parts():
    assert Descent(Steepest(), FixedStep(0.1), Full(A)).name == "steepest descent, fixed step, full metric"
    assert Descent().name == "steepest descent, strong Wolfe"
