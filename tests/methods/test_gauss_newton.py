"""Levenberg and Marquardt's method on the zoo's sums of squares, beside SciPy's and beside plain least squares."""

import numpy as np
import pytest
from scipy.optimize import least_squares

import thalweg as tw
from thalweg.core.records import Status
from thalweg.methods.gauss_newton import LevenbergMarquardt
from thalweg.problems.zoo import ZOO
from tolerances import REACHED

SQUARES = [name for name, entry in ZOO.items() if entry.residuals is not None]


@pytest.mark.parametrize("name", SQUARES)
def test_it_reaches_a_known_minimum_of_every_sum_of_squares(name):
    entry = ZOO[name]
    found = tw.solve(entry.least_squares(), LevenbergMarquardt(), max_steps=2000)
    assert found.status in (Status.CONVERGED, Status.PRECISION_FLOOR, Status.LINE_SEARCH_FAILED, Status.NO_PROGRESS)
    assert min(abs(found.value - known.value) / (1 + abs(known.value)) for known in entry.minima) <= 10 * REACHED


def test_linear_residuals_take_one_undamped_step():
    rng = np.random.default_rng(0)
    A, b = rng.normal(size=(20, 4)), rng.normal(size=20)
    found = tw.solve(tw.LeastSquares(lambda x: A @ x - b, x0=np.zeros(4)), LevenbergMarquardt(damping=0.0))
    exact = np.linalg.lstsq(A, b, rcond=None)[0]
    assert found.cost.steps == 1
    np.testing.assert_allclose(found.x, exact, rtol=1e-10)


def test_the_damped_step_is_the_regularised_normal_equation():
    rng = np.random.default_rng(1)
    A, b = rng.normal(size=(9, 3)), rng.normal(size=9)
    problem = tw.LeastSquares(lambda x: np.tanh(A @ x) - b, x0=rng.normal(size=3))
    point = problem.at(problem.start())
    J, r = point.jacobian, point.residuals
    D = np.diag(np.diag(J.T @ J))
    for damping in (0.0, 1e-2, 10.0):
        state = LevenbergMarquardt(damping).init(point)
        np.testing.assert_allclose(state.direction, np.linalg.solve(J.T @ J + damping * D, -J.T @ r), rtol=1e-9)


def test_beside_scipy_on_a_fit():
    rng = np.random.default_rng(2)
    t = np.linspace(0, 4, 60)
    y = 2.5 * np.exp(-1.3 * t) + 0.5 + 0.01 * rng.normal(size=60)

    def residuals(x):
        return x[0] * np.exp(-x[1] * t) + x[2] - y

    found = tw.solve(tw.LeastSquares(residuals, x0=[1.0, 0.1, 0.0]), LevenbergMarquardt(), tol=1e-14)
    peer = least_squares(residuals, [1.0, 0.1, 0.0], xtol=1e-14, ftol=1e-14, gtol=1e-14)
    np.testing.assert_allclose(found.x, peer.x, rtol=1e-6)


def test_a_function_without_residuals_is_refused():
    with pytest.raises(tw.OracleError, match="residuals"):
        tw.solve(tw.problem(lambda x: (x**2).sum(), x0=[1.0]), LevenbergMarquardt())
