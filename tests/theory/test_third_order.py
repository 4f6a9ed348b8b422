"""M against closed forms and against Hessians at sampled pairs of points."""

import math

import numpy as np
import pytest

import thalweg as tw
from thalweg.problems import Quadratic
from thalweg.theory.third_order import hessian_lipschitz, largest_third, third_bound
from tolerances import central_difference


def table(loss, seed=0, l2=1e-2, intercept=True):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(60, 4)) * [1, 2, 0.5, 1] + [0, 1, 0, 0]
    y = (
        np.where(X[:, 0] + rng.normal(size=60) > 0, 1.0, -1.0)
        if loss in ("logistic", "squared_hinge")
        else rng.poisson(2.0, size=60).astype(float)
    )
    return tw.FiniteSum(X, y, loss, l2, intercept=intercept)


@pytest.mark.parametrize("intercept", [True, False])
def test_the_bound_of_a_logistic_sum_holds_between_sampled_points(intercept):
    problem = table("logistic", intercept=intercept)
    bound = third_bound(problem)
    rng = np.random.default_rng(1)
    ratios = []
    for _ in range(200):
        x = rng.normal(size=problem.size)
        y = x + 10.0 ** rng.uniform(-3, 0.5) * rng.normal(size=problem.size)
        change = np.linalg.norm(problem.at(x).hessian - problem.at(y).hessian, 2)
        ratios.append(change / np.linalg.norm(x - y))
    assert max(ratios) <= bound
    assert max(ratios) >= 0.05 * bound  # it is not vacuous either


def test_the_logistic_third_derivative_is_one_over_six_root_three():
    """One row x = 1 without intercept: M is sup |l'''| itself."""
    problem = tw.FiniteSum(np.ones((1, 1)), np.ones(1), "logistic", 0.0, intercept=False)
    exact = 1 / (6 * math.sqrt(3))
    assert exact <= third_bound(problem) <= exact * (1 + 1e-6)


def test_quadratics_have_none():
    problem = Quadratic(np.diag([1.0, 3.0]))
    found = hessian_lipschitz(problem, problem.at(problem.start()), "at the start")
    assert found.value == 0.0 and found.interval == (0.0, 0.0)
    squared = table("squared")
    assert hessian_lipschitz(squared, squared.at(squared.start()), "at zero").value == 0.0


@pytest.mark.parametrize(
    ("f", "x0", "exact"),
    [
        (lambda x: x[0] ** 3, [0.3], 6.0),
        (lambda x: x[0] ** 3 + 2 * x[1] ** 3, [1.0, -1.0], 12.0),
        (lambda x: np.exp(x[0]) + x[1] ** 2, [0.5, 1.0], math.exp(0.5)),
        # T = sym(e1 e1 e2) times 2: the largest u1^2 u2 on the sphere is 2 / (3 sqrt 3).
        (lambda x: x[0] ** 2 * x[1], [0.1, 0.2], 6 * 2 / (3 * math.sqrt(3))),
    ],
)
def test_measured_third_derivatives_are_the_closed_forms(f, x0, exact):
    problem = tw.problem(f, x0=x0)
    value, error = largest_third(problem.at(problem.start()))
    assert value == pytest.approx(exact, rel=100 * central_difference())
    assert error <= 1e-3 * exact
    found = hessian_lipschitz(problem, problem.at(problem.start()), "at the start")
    assert found.interval[0] <= exact and found.interval[1] == math.inf
    assert "lower end" in found.how


@pytest.mark.parametrize(
    ("f", "x0", "exact", "within"),
    [
        (lambda x: np.exp(1000 * x).sum(), [0.01], 1e9 * math.exp(10), 1e-4),
        (lambda x: np.sin(1000 * x).sum(), [0.3], 1e9 * abs(math.cos(300)), 1e-4),
        (lambda x: -np.log(x).sum() + x.sum(), [1e-8], 2e24, 1e-2),  # a step of the usual length leaves the domain
        (lambda x: ((x - 1e6) ** 3).sum(), [1e6 + 3.0], 6.0, 1e-6),
        (lambda x: ((x / 1e8) ** 4).sum(), [1e8, 2e8], 48e-24, 1e-6),
    ],
)
def test_steps_suit_the_scale_of_the_function(f, x0, exact, within):
    problem = tw.problem(f, x0=x0)
    found = hessian_lipschitz(problem, problem.at(problem.start()), "at the start")
    assert found.value == pytest.approx(exact, rel=within)
    assert found.interval[0] <= exact


def test_rounding_is_no_third_derivative():
    """M = 0 of a quadratic whose products are differences of gradients, or in float32: the interval holds it."""
    h = np.geomspace(1e-6, 1e3, 12)
    differences = tw.problem(lambda x: 0.5 * x @ (h * x), x0=np.full(12, 100.0), gradient=lambda x: h * x)
    A = np.random.default_rng(0).normal(size=(6, 6)).astype(np.float32)
    single = tw.problem(lambda x: ((A @ x) ** 2).sum() ** 1.0, x0=np.ones(6, dtype=np.float32))
    for problem in (differences, single):
        assert hessian_lipschitz(problem, problem.at(problem.start()), "at the start").interval[0] == 0.0


def test_a_loss_without_a_bound_is_measured():
    problem = table("poisson")
    found = hessian_lipschitz(problem, problem.at(problem.start()), "at zero")
    assert "measured" in found.how and found.interval[1] == math.inf and found.value > 0
