"""Metrics and steepest descent in them, beside constrained minimisation and changes of variables."""

import math

import numpy as np
import pytest
from scipy import optimize

import thalweg as tw
from thalweg.core.errors import InputError
from thalweg.core.vector import flat
from thalweg.methods.metric import (
    Diagonal,
    Euclidean,
    Full,
    HessianDiagonal,
    HessianMetric,
    SubsampledHessian,
    steepest_step,
)
from tolerances import minimizer, solve


def definite(size, seed):
    rng = np.random.default_rng(seed)
    B = rng.normal(size=(size, size))
    return B @ B.T / size + 0.2 * np.eye(size), rng.normal(size=size)


# --- The step ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [1e-3, 1.0, 7.0])
@pytest.mark.parametrize("size", [1, 2, 6])
def test_the_step_is_the_formula_and_satisfies_lagrange(size, length):
    A, g = definite(size, size)
    step = steepest_step(g, A, length)
    tolerance = solve(np.linalg.cond(A), size=size)
    w = np.linalg.solve(A, g)
    np.testing.assert_allclose(step, -length * w / math.sqrt(g @ w), rtol=0, atol=tolerance * np.abs(step).max())
    assert step @ A @ step == pytest.approx(length**2, rel=tolerance)
    # At the minimum of g'd over d'Ad <= length^2: g + 2 nu A d = 0 with nu >= 0.
    nu = math.sqrt(g @ w) / (2 * length)
    np.testing.assert_allclose(g + 2 * nu * A @ step, 0, atol=tolerance * np.linalg.norm(g))


@pytest.mark.parametrize("size", [2, 5])
def test_the_step_is_the_constrained_minimiser(size):
    A, g = definite(size, 10 + size)
    length = 0.7
    found = optimize.minimize(
        lambda d: g @ d, -0.1 * g, jac=lambda d: g, method="SLSQP", options={"ftol": 1e-11, "maxiter": 500},
        constraints={"type": "ineq", "fun": lambda d: length**2 - d @ A @ d, "jac": lambda d: -2 * A @ d},
    )  # fmt: skip
    assert found.success
    step = steepest_step(g, A, length)
    assert g @ step == pytest.approx(found.fun, rel=1e-8)
    np.testing.assert_allclose(step, found.x, atol=minimizer(np.linalg.cond(A), 1e-8))


def test_no_other_step_of_that_length_falls_further():
    A, g = definite(4, 3)
    least = g @ steepest_step(g, A, 2.0)
    others = np.random.default_rng(0).normal(size=(1000, 4))
    others *= 2.0 / np.sqrt(np.einsum("ij,jk,ik->i", others, A, others))[:, None]
    assert (others @ g >= least - 1e-12 * abs(least)).all()


def test_a_diagonal_and_no_metric():
    g, a = np.array([3.0, -4.0]), np.array([4.0, 0.25])
    np.testing.assert_allclose(steepest_step(g), -g / 5, rtol=1e-15)
    np.testing.assert_allclose(steepest_step(g, a, 2.0), steepest_step(g, np.diag(a), 2.0), rtol=1e-14)
    np.testing.assert_allclose(steepest_step(1e200 * g, a), steepest_step(g, a), rtol=1e-14)
    np.testing.assert_array_equal(steepest_step(g, length=0.0), 0.0)


@pytest.mark.parametrize(
    ("gradient", "metric", "length", "names"),
    [
        ([0.0, 0.0], None, 1.0, "gradient"),
        ([np.nan, 1.0], None, 1.0, "gradient"),
        ([[1.0, 2.0]], None, 1.0, "gradient"),
        ([1.0, 2.0], np.eye(3), 1.0, "metric"),
        ([1.0, 2.0], -np.eye(2), 1.0, "metric"),
        ([1.0, 2.0], [[1.0, 2.0], [2.0, 1.0]], 1.0, "metric"),
        ([1.0, 2.0], [[1.0, 0.5], [0.0, 1.0]], 1.0, "metric"),
        ([1.0, 2.0], [1.0, 0.0], 1.0, "metric"),
        ([1.0, 2.0], [1.0, np.inf], 1.0, "metric"),
        ([1.0, 2.0], None, -1.0, "length"),
        ([1.0, 2.0], None, np.nan, "length"),
        ([1.0, 2.0], None, True, "length"),
    ],
)
def test_what_is_no_step_is_refused(gradient, metric, length, names):
    with pytest.raises(InputError, match=names):
        steepest_step(gradient, metric, length)


# --- Metrics at a point -----------------------------------------------------------------------------------------------


def quartic(x):
    return np.sum(x**4) + np.sum(x) ** 2


def quartic_hessian(x):
    return np.diag(12 * x**2) + 2.0


X0 = np.array([1.0, -0.5, 2.0])


def directions(metric, problem):
    point = problem.at(problem.start())
    return flat(metric.at(point).steepest(point.gradient)), flat(point.gradient)


def test_every_metric_solves_with_its_matrix():
    problem = tw.problem(quartic, x0=X0)
    A, _ = definite(3, 1)
    H = quartic_hessian(X0)
    for metric, matrix in (
        (Euclidean(), np.eye(3)),
        (Diagonal([1.0, 2.0, 3.0]), np.diag([1.0, 2.0, 3.0])),
        (Full(A), A),
        (HessianMetric(), H),
        (HessianDiagonal(), np.diag(np.diag(H))),
    ):
        found, gradient = directions(metric, problem)
        expected = -np.linalg.solve(matrix, gradient)
        tolerance = solve(np.linalg.cond(matrix), size=3) * np.linalg.norm(expected)
        np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance)


def test_steepest_in_the_metric_of_the_hessian_is_newton():
    problem = tw.problem(quartic, x0=X0)
    found, _ = directions(HessianMetric(), problem)
    newton = tw.Newton().init(problem.at(problem.start())).direction
    np.testing.assert_array_equal(found, newton)


def test_negative_curvature_is_turned_round():
    problem = tw.problem(lambda x: x[0] ** 2 - 2 * x[1] ** 2, x0=[1.0, 1.0])
    for metric in (HessianMetric(), HessianDiagonal()):
        found, _ = directions(metric, problem)
        np.testing.assert_allclose(found, [-1.0, 1.0], rtol=1e-14)  # -|H|^-1 g with H = diag(2, -4), g = (2, -4)


def test_leaves_are_one_vector():
    A, _ = definite(3, 1)
    leaves = {"a": X0[:2], "b": X0[2]}

    def f(p):
        return np.sum(p["a"] ** 4) + p["b"] ** 4 + (np.sum(p["a"]) + p["b"]) ** 2

    for metric, in_leaves in (
        (Diagonal([1.0, 2.0, 3.0]), Diagonal({"a": np.array([1.0, 2.0]), "b": 3.0})),
        (Full(A), Full(A)),
        (HessianMetric(), HessianMetric()),
        (HessianDiagonal(), HessianDiagonal()),
    ):
        expected, _ = directions(metric, tw.problem(quartic, x0=X0))
        found, _ = directions(in_leaves, tw.problem(f, x0=leaves))
        np.testing.assert_allclose(found, expected, rtol=1e-12)


def logistic(n=60, d=4):
    rng = np.random.default_rng(5)
    X = rng.normal(size=(n, d))
    y = np.where(X @ np.ones(d) + rng.logistic(size=n) > 0, 1.0, -1.0)
    return tw.FiniteSum(X, y, "logistic", l2=0.1)


def test_a_subsampled_hessian_of_all_examples_is_the_hessian():
    problem = logistic()
    whole, _ = directions(HessianMetric(), problem)
    for examples in (problem.n, 10 * problem.n):
        found, _ = directions(SubsampledHessian(examples), problem)
        np.testing.assert_allclose(found, whole, rtol=1e-10)


def test_a_subsampled_hessian_repeats_by_its_seed_and_descends():
    problem = logistic()
    found, gradient = directions(SubsampledHessian(15, seed=3), problem)
    np.testing.assert_array_equal(found, directions(SubsampledHessian(15, seed=3), problem)[0])
    other, _ = directions(SubsampledHessian(15, seed=4), problem)
    assert np.abs(found - other).max() > 1e-6
    assert found @ gradient < 0 and other @ gradient < 0


@pytest.mark.parametrize(
    ("make", "names"),
    [
        (lambda: Diagonal([1.0, 0.0]), "entries"),
        (lambda: Diagonal([1.0, -1.0]), "entries"),
        (lambda: Diagonal([1.0, np.nan]), "entries"),
        (lambda: Full(np.ones((2, 3))), "matrix"),
        (lambda: Full(np.diag([1.0, -1.0])), "matrix"),
        (lambda: Full([[1.0, 0.2], [0.0, 1.0]]), "matrix"),
        (lambda: Full(np.zeros((0, 0))), "matrix"),
        (lambda: SubsampledHessian(0), "examples"),
        (lambda: SubsampledHessian(2.5), "examples"),
        (lambda: SubsampledHessian(True), "examples"),
        (lambda: SubsampledHessian(5, seed=-1), "seed"),
        (lambda: directions(Diagonal([1.0, 2.0]), tw.problem(quartic, x0=X0)), "entries"),
        (lambda: directions(Full(np.eye(2)), tw.problem(quartic, x0=X0)), "matrix"),
    ],
)
def test_what_is_no_metric_is_refused(make, names):
    with pytest.raises(InputError, match=names):
        make()
