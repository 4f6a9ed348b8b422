"""Sums of squares: residuals, Jacobian, gradient and Gauss-Newton matrix agree with closed forms and SciPy."""

import numpy as np
import pytest
from scipy.optimize import curve_fit

from thalweg.core.errors import InputError
from thalweg.problems.least_squares import LeastSquares, Residuals, SumOfSquares
from tolerances import arithmetic, central_difference, formula, minimizer

T = np.linspace(0.0, 2.0, 12)
Y = 2.0 * np.exp(-1.3 * T) + 0.1 * np.cos(9 * T)
X = np.array([1.7, -0.9])


def decay(x):
    return x[0] * np.exp(x[1] * T) - Y


def slopes(x):
    return np.stack([np.exp(x[1] * T), x[0] * T * np.exp(x[1] * T)], axis=1)


def curvature(x):
    """The Hessian of the sum of squares by hand."""
    r, J, e = decay(x), slopes(x), np.exp(x[1] * T)
    cross, second = r @ (T * e), r @ (x[0] * T**2 * e)
    return 2 * J.T @ J + 2 * np.array([[0.0, cross], [cross, second]])


@pytest.mark.parametrize("jacobian", [None, slopes])
def test_a_point_answers_with_the_closed_forms(jacobian):
    problem = LeastSquares(decay, X, jacobian=jacobian)
    r, J = decay(X), slopes(X)
    for first in ("residuals", "jacobian", "value", "gradient", "gauss_newton"):  # whatever is asked for first
        point = problem.at(X)
        getattr(point, first)
        np.testing.assert_allclose(point.residuals, r, rtol=arithmetic(operations=4))
        np.testing.assert_allclose(point.jacobian, J, rtol=arithmetic(operations=4))
        np.testing.assert_allclose(point.value, r @ r, rtol=formula(4))
        np.testing.assert_allclose(point.gradient, 2 * J.T @ r, rtol=formula(20))
        np.testing.assert_allclose(point.gauss_newton, 2 * J.T @ J, rtol=formula(4))


@pytest.mark.parametrize(("jacobian", "tolerance"), [(None, formula(20)), (slopes, central_difference())])
def test_the_hessian_has_the_residuals_own_curvature(jacobian, tolerance):
    point = LeastSquares(decay, X, jacobian=jacobian).at(X)
    expected = curvature(X)
    tolerance *= 1 + X @ X  # a difference's step grows with x, and its truncation with the square of the step
    assert np.abs(point.hessian - expected).max() <= tolerance * np.abs(expected).max()
    v = np.array([0.3, -1.1])
    assert np.abs(point.hvp(v) - expected @ v).max() <= tolerance * np.abs(expected).max() * 2
    assert np.abs(expected - point.gauss_newton).max() > 0.01 * np.abs(expected).max()


def test_a_line_evaluates_the_problem_along_a_direction():
    problem = LeastSquares(decay, X)
    direction = np.array([0.1, 0.2])
    line = problem.at(X).along(direction)
    value, slope = line.value_slope(0.5)
    moved = X + 0.5 * direction
    np.testing.assert_allclose(value, decay(moved) @ decay(moved), rtol=formula(4))
    np.testing.assert_allclose(slope, 2 * decay(moved) @ slopes(moved) @ direction, rtol=formula(20))
    assert line.at(0.5) is line.at(0.5)
    point = problem.at(X)
    assert point.along(direction) is point.along(direction)


def test_gauss_newton_on_points_fits_as_scipy_does():
    problem = LeastSquares(decay, [1.0, 0.0])
    point = problem.at(problem.start())
    for _ in range(30):
        step = np.linalg.solve(point.gauss_newton, -point.gradient)
        trial = problem.at(point.x + step)
        while trial.value > point.value + 1e-4 * (step @ point.gradient):
            step = 0.5 * step
            if np.linalg.norm(step) <= 1e-15:
                break
            trial = problem.at(point.x + step)
        else:
            point = trial
            continue
        break
    fitted, _ = curve_fit(
        lambda t, a, b: a * np.exp(b * t), T, Y, p0=[1.0, 0.0], method="trf", ftol=1e-15, xtol=1e-15, gtol=1e-15
    )
    values = np.linalg.eigvalsh(curvature(fitted))
    reached = minimizer(values[-1] / values[0], np.finfo(float).eps, np.linalg.norm(fitted))
    assert np.linalg.norm(point.x - fitted) <= reached
    certificate = point.certificate()
    assert certificate.kind.value == "estimate"
    assert certificate.gap <= 1e-12


def test_blocks_of_numbers_and_arrays_are_one_vector():
    def blocks(x):
        return x[0] - 1.0, np.outer(x, x), [x[1]][0]

    x = np.array([2.0, 3.0])
    expected = np.array([1.0, 4.0, 6.0, 6.0, 9.0, 3.0])
    np.testing.assert_array_equal(Residuals(blocks)(x), expected)
    assert SumOfSquares(blocks)(x) == expected @ expected
    np.testing.assert_array_equal(Residuals(lambda x: (x[0], x[1]))(x), x)
    np.testing.assert_array_equal(Residuals(lambda x: np.outer(x, x))(x), expected[1:5])
    np.testing.assert_array_equal(Residuals(lambda x: x[0])(x), [2.0])
    problem = LeastSquares(blocks, x)
    jacobian = np.array([[1, 0], [4, 0], [3, 2], [3, 2], [0, 6], [0, 1]])
    np.testing.assert_array_equal(problem.at(x).jacobian, jacobian)
    assert repr(problem) == "LeastSquares(blocks, 6 residuals, 2 parameters)"


def test_python_control_flow_on_values_stays_possible():
    def kinked(x):
        return np.stack([x[0], 2.0 * x[1] if x[1] > 0 else x[1]])

    problem = LeastSquares(kinked, [1.0, 1.0])
    np.testing.assert_array_equal(problem.at(np.array([1.0, 1.0])).jacobian, [[1, 0], [0, 2]])
    np.testing.assert_array_equal(problem.at(np.array([1.0, -1.0])).jacobian, [[1, 0], [0, 1]])


def test_a_trial_outside_the_domain_is_infinite_in_silence():
    problem = LeastSquares(lambda x: np.exp(x) - 1.0, [1.0])
    assert problem.at(np.array([1000.0])).value == np.inf
    point = problem.at(np.array([1000.0]))
    assert point.residuals[0] == np.inf
    assert not np.isfinite(point.gradient).any()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((3.0, [1.0]), "residuals=3.0 is no function"),
        ((decay, [[1.0, 2.0]]), "no array of one axis"),
        ((decay, (np.ones(1), np.ones(1))), "no array of one axis"),
        ((decay, [1.0, np.nan]), "x0"),
        ((lambda x: x * 1j, [1.0]), "f\\(x0\\)|the residuals"),
        ((lambda x: np.zeros(0), [1.0]), "the residuals are"),
    ],
)
def test_what_is_no_least_squares_problem_is_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        LeastSquares(*arguments)


def test_a_jacobian_of_another_shape_is_refused():
    with pytest.raises(InputError, match="jacobian=7 is no function"):
        LeastSquares(decay, X, jacobian=7)
    with pytest.raises(InputError, match=r"jacobian gave shape \(2, 12\) for 12 residuals of 2 parameters"):
        LeastSquares(decay, X, jacobian=lambda x: slopes(x).T)
