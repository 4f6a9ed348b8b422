"""What bounds take from a problem: ends on the safe side of dense truth, and refusals that name what is not sure."""

import math

import numpy as np
import pytest
from scipy.optimize import minimize

import thalweg as tw
from thalweg.core.random import generator
from thalweg.problems.noisy import Noisy
from thalweg.theory import bounds

ROWS = generator(0).normal(size=(50, 4)) * [1.0, 2.0, 0.3, 1.0]
SIGNS = np.where(ROWS[:, 0] + generator(1).normal(size=50) > 0, 1.0, -1.0)
NUMBERS = ROWS @ [1.0, -1.0, 2.0, 0.0] + generator(2).normal(size=50)
CURVATURE = {"logistic": 0.25, "squared": 1.0, "huber": 1.0, "squared_hinge": 2.0}


def table(loss, l2=0.1, **options):
    y = SIGNS if loss in ("logistic", "squared_hinge") else np.abs(NUMBERS).round() if loss == "poisson" else NUMBERS
    return tw.FiniteSum(ROWS, y, loss, l2, **{"intercept": False} | options)


def minimum_of(problem):
    """f* and x* by SciPy."""
    found = minimize(
        lambda x: problem.at(x).value, problem.start(), jac=lambda x: problem.at(x).gradient, options={"gtol": 1e-9}
    )
    return found.fun, found.x


@pytest.mark.parametrize("loss", CURVATURE)
def test_a_table_tells_what_a_run_keeps_to(loss):
    problem = table(loss)
    top = CURVATURE[loss] * np.linalg.eigvalsh(ROWS.T @ ROWS / 50)[-1] + 0.1
    lowest, minimiser = minimum_of(problem)
    x0 = generator(3).normal(size=4)
    known = bounds.nesterov.constants_of(problem, x0)
    assert top <= known["L"] <= top * (1 + 1e-6)
    curvature = np.linalg.eigvalsh(ROWS.T @ ROWS / 50)[0] if loss == "squared" else 0.0
    assert known["mu"] == pytest.approx(0.1 + curvature, rel=1e-9)
    assert problem.at(x0).value - lowest <= known["gap"] and np.linalg.norm(x0 - minimiser) <= known["distance"] + 1e-6

    known, x = bounds.gradient_descent.constants_of(problem, x0), x0
    for steps in range(100):
        gap = problem.at(x).value - lowest
        assert gap <= bounds.gradient_descent(steps=steps, **known) + 1e-12
        x = x - problem.at(x).gradient / known["L"]

    single = CURVATURE[loss] * np.square(ROWS).sum(axis=1).max() + 0.1
    assert single <= bounds.svrg.constants_of(problem, x0)["L_max"] <= single * (1 + 1e-6)


@pytest.mark.parametrize("loss", ["logistic", "huber"])
def test_slopes_that_cannot_exceed_a_number_bound_the_variance(loss):
    problem = table(loss)
    found = bounds.sgd.constants_of(problem)["variance"]
    for scale in (0.0, 1.0, 100.0):
        x = scale * generator(4).normal(size=4)
        assert tw.diagnose(problem, at=x).constants["sigma2"].value <= found


def test_a_quadratic_tells_all():
    problem = tw.Quadratic([[2.0, 1.0], [1.0, 3.0]], x0=[1.0, 1.0])
    root = math.sqrt(5)
    known = bounds.heavy_ball.constants_of(problem)
    assert known == pytest.approx({"L": (5 + root) / 2, "mu": (5 - root) / 2, "gap": 3.5}, rel=1e-5)
    assert known["L"] >= (5 + root) / 2 and known["mu"] <= (5 - root) / 2 and known["gap"] >= 3.5
    assert bounds.conjugate_gradients.constants_of(problem)["error"] == pytest.approx(math.sqrt(7), rel=1e-5)
    np.testing.assert_allclose(
        bounds.sgd_plateau.constants_of(problem)["eigenvalues"], [(5 - root) / 2, (5 + root) / 2], rtol=1e-12
    )
    assert bounds.newton_radius(**bounds.newton_radius.constants_of(problem)) == math.inf
    noisy = Noisy.sampled(problem, [2.0, 3.0], 30)
    assert bounds.sgd.constants_of(noisy)["variance"] == pytest.approx(5.0, rel=1e-9)
    assert bounds.svrg.constants_of(noisy)["L_max"] == pytest.approx((5 + root) / 2, rel=1e-9)


def test_what_is_given_is_not_looked_for():
    problem = tw.problem(lambda x: (x**2 + 3 * np.sin(x) ** 2).sum(), x0=[2.5], minimum=0.0)
    known = bounds.gradient_descent.constants_of(problem, L=8.0, mu=1 / 32)
    assert known == {"L": 8.0, "mu": 1 / 32, "gap": pytest.approx(6.25 + 3 * math.sin(2.5) ** 2)}
    assert bounds.gradient_descent.constants_of(problem, [0.0], L=8.0, mu=1 / 32)["gap"] == 0.0


def test_costs_are_those_of_any_table():
    problem = table("logistic", sample_weight=np.arange(1.0, 51.0))
    assert bounds.newton_flops.constants_of(problem, steps=3) == {"examples": 50, "features": 4, "steps": 3}
    assert bounds.newton_memory.constants_of(problem) == {"features": 4}


FUNCTION = tw.problem(lambda x: np.exp(x).sum() + (x**2).sum(), x0=[1.0, 2.0])


@pytest.mark.parametrize(
    ("bound", "problem", "given", "message"),
    [
        ("heavy_ball", table("logistic"), {}, "heavy_ball.*assumes a quadratic"),
        ("heavy_ball", FUNCTION, {}, "assumes a quadratic"),
        ("conjugate_gradients", table("huber"), {}, "assumes a quadratic"),
        ("heavy_ball", tw.Quadratic(np.diag([-1.0, 2.0])), {}, "not known to be convex"),
        ("heavy_ball", tw.Quadratic(np.diag([0.0, 2.0])), {}, "mu may be 0"),
        ("gradient_descent", FUNCTION, {}, "L is not known where the run goes"),
        ("gradient_descent", table("poisson"), {}, "L is not known where the run goes.*no curvature bound"),
        ("gradient_descent", table("logistic", intercept=True), {}, "mu may be 0"),
        ("gradient_descent", table("logistic", l2=0.0), {}, "mu may be 0"),
        ("sgd", table("squared"), {}, "variance of gradients is not bounded.*squared"),
        ("sgd", table("logistic", sample_weight=np.arange(1.0, 51.0)), {}, "equally likely"),
        ("svrg", FUNCTION, {"mu": 1.0}, "sums over the rows"),
        ("nesterov", tw.problem(lambda x: (x**4).sum() - (x**2).sum(), x0=[1.0]), {}, "not known to be convex"),
        ("newton", table("huber"), {}, "M is not known where the run goes"),
        ("smallest_gradient", FUNCTION, {"L": 10.0}, "f. is not known"),
        ("nesterov_convex", FUNCTION, {"L": 10.0}, "x. is not known"),
        ("gradient_descent", FUNCTION, {"M": 1.0}, "takes no M"),
        ("gradient_descent", np.eye(2), {}, "is no problem"),
    ],
)
def test_what_is_not_sure_is_refused_by_name(bound, problem, given, message):
    with pytest.raises(tw.InputError, match=message):
        bounds.BOUNDS[bound].constants_of(problem, **given)
