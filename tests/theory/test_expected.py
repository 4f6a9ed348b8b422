"""What is foreseen from a point, and how it says it was obtained; noise of sums beside literal epochs."""

import math
from dataclasses import replace

import numpy as np
import pytest

import thalweg as tw
from thalweg.methods import REGISTER, SGD, Adam, Newton, PolyakAverage
from thalweg.theory.expected import commutes, expected, local_model, noise_of_sum
from thalweg.theory.second_moments import SecondMoments
from tolerances import GAUSS_RULE, PROMISED, arithmetic


def least_squares(n=300, d=6, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d)) * np.geomspace(1, 0.2, d)
    return tw.FiniteSum(X, X @ rng.normal(size=d) + 0.5 * rng.normal(size=n), "squared", 1e-3)


def model_of(problem):
    return local_model(problem.at(problem.start()), quadratic=getattr(problem, "constant_curvature", False))


@pytest.mark.parametrize(
    ("method", "basis"),
    [
        (REGISTER["gradient-descent"].tuned(1.0, 0.01, quadratic=True), "closed form on the quadratic itself"),
        (Newton(), "followed on the eigenvalues of the quadratic itself"),
        (SGD(0.1, momentum=0.5), "second moments on the quadratic itself: whole gradients"),
        (Adam(0.01), "followed on the quadratic model: the run itself"),
        (REGISTER["preconditioned-gradient-descent"], "followed on the quadratic model: the run itself"),
    ],
)
def test_the_basis_says_how(method, basis):
    quadratic = tw.Quadratic(np.array([[1.0, 0.3], [0.3, 0.5]]), b=[1.0, -1.0])
    assert expected(quadratic, model_of(quadratic), method, 1e-6).basis == basis


def test_which_methods_take_the_same_steps_in_rotated_variables():
    for name in ("newton", "l-bfgs", "nesterov", "conjugate-gradients", "heavy-ball"):
        assert commutes(REGISTER[name]), name
    for name in ("preconditioned-gradient-descent", "adam", "lion"):
        assert not commutes(REGISTER[name]), name
    assert commutes(SGD(0.1)) and not commutes(SGD(0.1, weight_decay=0.1)) and not commutes(SGD(0.1, clip_norm=1.0))


@pytest.mark.parametrize(
    "function",
    [
        lambda x: 100 * (x[1] - x[0] ** 2) ** 2 + (1 - x[0]) ** 2,
        lambda x: x[0] ** 2 - x[1] ** 2 + x[1] ** 4,
        lambda x: np.exp(x[0]) + x[1],
    ],
    ids=["valley", "saddle", "without a minimum"],
)
def test_a_model_that_is_far_off_foretells_nothing(function):
    problem = tw.problem(function, x0=[-1.2, 1e-3])
    for name in ("nesterov", "l-bfgs", "newton"):
        seen = expected(problem, model_of(problem), REGISTER[name].tuned(1.0, 0.1), 1e-6)
        assert math.isnan(seen.steps) and seen.basis.startswith("none: ")


def test_a_function_that_is_nearly_a_quadratic_is_foreseen():
    problem = tw.problem(lambda x: x[0] ** 2 + 5 * x[1] ** 2 + 1e-3 * x[0] ** 4, x0=[1.0, 1.0])
    model = model_of(problem)
    assert not model.exact and model.left < 0.01
    method = REGISTER["gradient-descent"].tuned(10.0, 2.0)
    state, steps = method.init(problem.at(problem.start())), 0
    while state.point.value > 1e-6:
        state, steps = method.step(state), steps + 1
    assert abs(expected(problem, model, method, 1e-6).steps - steps) <= 1


def test_noise_is_measured_at_the_minimum_and_at_the_start():
    """Variances along eigenvectors are those of examples' gradients, from their formula."""
    problem = least_squares()
    model = model_of(problem)
    noise, values, away = noise_of_sum(model)
    x = np.asarray(problem.start()) - model.basis @ model.away
    X = np.column_stack([problem.rows.take(np.arange(problem.n)) @ np.eye(problem.d), np.ones(problem.n)])
    gradients = X * (X @ x - problem.y)[:, None]
    direct = np.square((gradients - gradients.mean(axis=0)) @ model.basis).mean(axis=0)
    np.testing.assert_allclose(noise.variances, direct, rtol=arithmetic(operations=10_000))
    assert noise.examples == problem.n and (noise.growth >= 0).all()
    np.testing.assert_array_equal(values, model.eigenvalues)


@pytest.mark.parametrize("sampling", ["replacement", "reshuffle"])
@pytest.mark.parametrize(
    "settings", [{}, {"momentum": 0.8}, {"average": PolyakAverage(30)}], ids=["plain", "momentum", "average"]
)
def test_least_squares_beside_the_mean_of_epochs(sampling, settings):
    """The noise of a table depends on x; the model of it is calibrated at two points."""
    problem = least_squares()
    alpha = 0.02 if settings.get("momentum") else 0.1
    method = SGD(alpha, batch_size=10, sampling=sampling, **settings)
    model = model_of(problem)
    noise, values, away = noise_of_sum(model)
    minimum, marks = model.at_minimum.value, [1, 3, 8]
    gaps = []
    for seed in range(12):
        one = replace(method, seed=seed)
        state, run = one.init(problem.at(problem.start())), []
        for _ in range(marks[-1]):
            state = one.step(state)
            run.append(state.point.value - minimum)
        gaps.append(np.array(run)[np.array(marks) - 1])
    ratio = SecondMoments(method, values, away, noise).gaps(marks) / np.mean(gaps, axis=0)
    assert (ratio >= 1 / PROMISED).all() and (ratio <= PROMISED).all(), ratio


def test_without_eigenvectors_the_noise_lies_where_it_acts(monkeypatch):
    problem = least_squares(d=12)
    method = SGD(0.1, batch_size=10, sampling="replacement")
    dense = SecondMoments(method, *_arguments(model_of(problem))).plateau
    monkeypatch.setattr("thalweg.theory.expected.MAX_DENSE", 3)
    model = model_of(problem)
    assert model.basis is None
    assert model.at_minimum.value == pytest.approx(tw.solve(problem).value, rel=1e-8)
    assert 1 / GAUSS_RULE <= SecondMoments(method, *_arguments(model)).plateau / dense <= GAUSS_RULE


def _arguments(model):
    noise, values, away = noise_of_sum(model)
    return values, away, noise


def test_a_model_that_does_not_hold_at_the_start_foretells_nothing():
    rows = np.random.default_rng(0).normal(size=(50, 3))
    one_class = tw.FiniteSum(rows, np.ones(50), loss="logistic", l2=1e-4)
    found = tw.compare(one_class, ["gradient-descent"], tol=1e-6, max_steps=20)
    assert np.isnan(found.rows[0].prediction.steps)
    assert "far" in found.rows[0].prediction.basis
