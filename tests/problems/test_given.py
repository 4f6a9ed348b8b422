"""Derivatives that a user gave are held against the function before a run trusts them."""

import warnings

import numpy as np
import pytest

import thalweg as tw
from thalweg.core.records import Status
from thalweg.problems.given import check_given
from tolerances import central_difference

START = [-1.2, 1.0]
METHODS = [None, "l-bfgs", "newton-cg", "gradient-descent", "nesterov"]


def f(x):
    return float(100 * (x[1] - x[0] ** 2) ** 2 + (1 - x[0]) ** 2)


def gradient(x):
    return np.array([-400 * x[0] * (x[1] - x[0] ** 2) - 2 * (1 - x[0]), 200 * (x[1] - x[0] ** 2)])


def hessian(x):
    return np.array([[1200 * x[0] ** 2 - 400 * x[1] + 2, -400 * x[0]], [-400 * x[0], 200.0]])


WRONG_GRADIENTS = {
    "sign": lambda x: -gradient(x),
    "half": lambda x: 0.5 * gradient(x),
    "tiny": lambda x: 1e-9 * gradient(x),
    "zero": lambda x: 0 * x,
    "one entry missing": lambda x: gradient(x) * [1, 0],
    "swapped": lambda x: gradient(x)[::-1],
    "elsewhere": lambda x: gradient(x + 1),
    "of another minimum": lambda x: gradient(x) + [1000, -500],
}
WRONG_HESSIANS = {
    "zero": lambda x: np.zeros((2, 2)),
    "sign": lambda x: -hessian(x),
    "huge": lambda x: 1e9 * np.eye(2),
    "half": lambda x: 0.5 * hessian(x),
    "diagonal": lambda x: np.diag(np.diag(hessian(x))),
}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("slip", WRONG_GRADIENTS)
def test_a_wrong_gradient_is_noticed(slip, method):
    wrong = WRONG_GRADIENTS[slip]
    for given in ({"gradient": wrong}, {"value_and_gradient": lambda x: (f(x), wrong(x))}):
        with pytest.raises(tw.InputError, match="the given gradient is not that of f"):
            tw.solve(tw.problem(f, x0=START, **given), method)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("slip", WRONG_HESSIANS)
def test_a_wrong_hessian_is_noticed(slip, method):
    wrong = WRONG_HESSIANS[slip]
    with pytest.raises(tw.InputError, match="the given hessian is not that of f"):
        tw.solve(tw.problem(f, x0=START, gradient=gradient, hessian=wrong), method)
    with pytest.raises(tw.InputError, match="the given hvp is not that of f"):
        tw.solve(tw.problem(f, x0=START, gradient=gradient, hvp=lambda x, v: wrong(x) @ v), method)


def test_a_hessian_that_is_not_finite_is_refused():
    for given in ({"hessian": lambda x: np.full((2, 2), np.nan)}, {"hvp": lambda x, v: v * np.inf}):
        with pytest.raises(tw.InputError, match="not finite"):
            tw.solve(tw.problem(f, x0=START, gradient=gradient, **given))


def test_another_value_than_that_of_f_is_noticed():
    with pytest.raises(tw.InputError, match="value"):
        tw.solve(tw.problem(lambda x: 5.0, x0=START, value_and_gradient=lambda x: (f(x), gradient(x))))


def test_comparisons_notice_it_too():
    with pytest.raises(tw.InputError, match="gradient"):
        tw.compare(tw.problem(f, x0=START, gradient=lambda x: -gradient(x)))


def relu(x):
    return float(np.maximum(x - 1, 0).sum() + ((x + 1) ** 2).sum())


RIGHT = {
    "Rosenbrock": (f, gradient, START),
    "far away": (f, gradient, [1e6, -1e6]),
    "at the minimum": (f, gradient, [1.0, 1.0]),
    "at a kink": (relu, lambda x: np.where(x > 1, 1.0, 0.0) + 2 * (x + 1), [1.0, 1.0]),
    "far above zero": (lambda x: f(x) + 1e12, gradient, START),
    "tiny": (lambda x: 1e-200 * f(x), lambda x: 1e-200 * gradient(x), START),
    "huge": (lambda x: 1e200 * f(x), lambda x: 1e200 * gradient(x), START),
    "steep": (lambda x: float(np.exp(30 * x).sum()), lambda x: 30 * np.exp(30 * x), [3.0, -2.0]),
    "at the end of its domain": (lambda x: float(-np.log(x).sum()), lambda x: -1 / x, [1e-9, 1.0]),
    "a percent off": (f, lambda x: gradient(x) * [1.01, 1], START),
    "in single precision": (lambda x: float(np.float32(f(x))), gradient, START),
    "many": (lambda x: float((np.arange(1, 2001) * x**2).sum()), lambda x: 2 * np.arange(1, 2001) * x, np.ones(2000)),
}


@pytest.mark.parametrize("name", RIGHT)
def test_what_is_right_or_cannot_be_told_passes(name):
    value, slope, x0 = RIGHT[name]
    for given in ({"gradient": slope}, {"value_and_gradient": lambda x: (value(x), slope(x))}):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            problem = tw.problem(value, x0=x0, **given)
            check_given(problem, problem.start())


@pytest.mark.parametrize("x0", [START, [1.0, 1.0], [0.0, 0.0], [30.0, -40.0]])
def test_the_right_hessian_passes(x0):
    problem = tw.problem(f, x0=x0, gradient=gradient, hessian=hessian, hvp=lambda x, v: hessian(x) @ v)
    check_given(problem, problem.start())


def test_it_takes_four_values_of_f():
    calls = []
    problem = tw.problem(lambda x: calls.append(1) or f(x), x0=START, value_and_gradient=lambda x: (f(x), gradient(x)))
    calls.clear()
    check_given(problem, problem.start())
    assert len(calls) == 5  # the value at x0, and one to either side along two directions


def test_leaves_are_checked_in_their_own_layout():
    torch = pytest.importorskip("torch")

    def value(p):
        return (p["a"] ** 2).sum() + (p["b"] ** 4).sum()

    for x0 in (
        {"a": np.ones((2, 2)), "b": np.ones(3)},
        {"a": torch.ones(2, 2, dtype=torch.float64), "b": torch.ones(3, dtype=torch.float64)},
    ):
        right = {"gradient": lambda p: {"b": 4 * p["b"] ** 3, "a": 2 * p["a"]}}
        assert tw.solve(tw.problem(value, x0=x0, **right)).status is Status.CONVERGED
        with pytest.raises(tw.InputError, match="the given gradient is not"):
            tw.solve(tw.problem(value, x0=x0, gradient=lambda p: {"b": 4 * p["b"] ** 3, "a": 0 * p["a"]}))


def test_functions_that_write_into_x_do_not_move_the_run():
    def spoiling(x):
        x -= 1.0
        return float((x**2).sum()), 2 * x

    def spoiling_value(x):
        x -= 1.0
        return float((x**2).sum())

    for given in (
        {"value_and_gradient": spoiling},
        {"gradient": lambda x: spoiling(x)[1]},
        {"gradient": lambda x: spoiling(x)[1], "hessian": lambda x: x.fill(7) or 2 * np.eye(2)},
    ):
        problem = tw.problem(spoiling_value, x0=[0.5, -1.0], **given)
        np.testing.assert_array_equal(problem.start(), [0.5, -1.0])
        solution = tw.solve(problem)
        assert solution.status is Status.CONVERGED
        np.testing.assert_allclose(solution.x, [1.0, 1.0], rtol=central_difference())
