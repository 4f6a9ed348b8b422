"""Steps foreseen from a spectrum beside runs of the methods on the matrix itself: what the product promises is 1.5."""

import math

import numpy as np
import pytest

import thalweg as tw
from thalweg.methods import REGISTER, GradientDescent, HeavyBall, Nesterov
from thalweg.problems import Quadratic
from thalweg.problems.zoo import spectrum
from thalweg.theory.expected import expected, local_model
from thalweg.theory.on_spectrum import sampled_steps_on_spectrum, steps_on_spectrum
from tolerances import STEPS_ON_QUADRATIC

SIZE = 60
SPECTRA = ("uniform", "geometric", "clustered")
CONDITIONS = (10.0, 1e3, 1e5)


def rotated(kind, kappa, seed=0):
    """A dense quadratic with that spectrum, a start at distance one along every eigenvector, and what was drawn."""
    rng = np.random.default_rng(seed)
    values = np.sort(np.asarray(spectrum(kind, SIZE, kappa)))
    basis = np.linalg.qr(rng.normal(size=(SIZE, SIZE)))[0]
    A = basis * values @ basis.T
    away = rng.normal(size=SIZE)
    return Quadratic((A + A.T) / 2, x0=basis @ away), values, away


def observed_steps(problem, method, target, most=3_000_000):
    """The method's own steps on the matrix, to the last one above the target (momentum may come back up)."""
    state = method.init(problem.at(problem.start()))
    above, step = 0, 0
    while step - above < max(50, above // 10) and step < most and state.failure is None:
        step += 1
        state = method.step(state)
        if state.point.value > target:
            above = step
    return above + 1


@pytest.mark.parametrize("kappa", CONDITIONS)
@pytest.mark.parametrize("kind", SPECTRA)
@pytest.mark.parametrize("name", ["gradient-descent", "heavy-ball", "conjugate-gradients"])
def test_predicted_steps_are_within_one_and_a_half_of_the_observed(name, kind, kappa):
    if name == "gradient-descent" and kappa > 1e4:
        pytest.skip("a million steps: test_gradient_descent_at_the_largest_condition_number runs the diagonal")
    problem, values, _ = rotated(kind, kappa)
    method = REGISTER[name].tuned(values[-1], values[0], quadratic=True)
    target = 1e-6
    # What a user's prediction sees: the problem and a point, not the spectrum that the test has drawn.
    model = local_model(problem.at(problem.start()), quadratic=True)
    foreseen = expected(problem, model, method, target)
    seen = observed_steps(problem, method, target)
    assert 1 / STEPS_ON_QUADRATIC <= foreseen.steps / seen <= STEPS_ON_QUADRATIC
    assert "quadratic itself" in foreseen.basis


@pytest.mark.parametrize("kind", SPECTRA)
def test_gradient_descent_at_the_largest_condition_number(kind):
    """Literal steps on the eigenvalues, k at a time: x_k = (1 - alpha lambda)^k x_0 for a million of them."""
    _, values, away = rotated(kind, 1e5)
    alpha = 2 / (values[-1] + values[0])
    found = steps_on_spectrum(GradientDescent(step_size=alpha), values, away, 1e-6)
    x, factor, steps = away.copy(), 1 - alpha * values, 0
    block = factor**1000
    while 0.5 * values @ (block * x) ** 2 > 1e-6:
        x, steps = block * x, steps + 1000
    while 0.5 * values @ x**2 > 1e-6:
        x, steps = factor * x, steps + 1
    assert abs(found.steps - steps) <= 1


@pytest.mark.parametrize("kind", SPECTRA)
def test_a_large_problem_is_foreseen_from_products_alone(kind, monkeypatch):
    """The Gauss rule of the gradient takes the place of the eigenvalues."""
    monkeypatch.setattr("thalweg.theory.expected.MAX_DENSE", 10)
    problem, values, _ = rotated(kind, 1e3)
    for name in ("gradient-descent", "heavy-ball"):
        method = REGISTER[name].tuned(values[-1], values[0], quadratic=True)
        foreseen = expected(problem, local_model(problem.at(problem.start()), quadratic=True), method, 1e-6)
        seen = observed_steps(problem, method, 1e-6)
        assert 1 / STEPS_ON_QUADRATIC <= foreseen.steps / seen <= STEPS_ON_QUADRATIC


@pytest.mark.parametrize(("kind", "kappa"), [(kind, kappa) for kind in SPECTRA for kappa in CONDITIONS])
def test_the_plateau_of_sampled_gradients(kind, kappa):
    """Many runs at once with additive Gaussian noise; the mean of f over runs and late steps, with its error."""
    values = np.asarray(spectrum(kind, 12, kappa))
    alpha, batch, runs = 0.5 / values.max(), 4, 400
    variances = np.linspace(0.5, 2.0, 12)
    plateau = float((alpha * variances / (2 * batch * (2 - alpha * values))).sum())
    rng = np.random.default_rng(0)
    # Slow directions mix in 1/(alpha mu) steps: they start from their stationary law, which the recursion must keep.
    spread = np.sqrt(alpha * variances / (batch * values * (2 - alpha * values)))
    x = spread * rng.normal(size=(runs, 12))
    means = []
    for step in range(600):
        x = x - alpha * (values * x + np.sqrt(variances / batch) * rng.normal(size=x.shape))
        if step >= 100:
            means.append(0.5 * (values * x**2).sum(axis=1))
    sample = np.mean(means, axis=0)
    error = sample.std() / math.sqrt(runs)
    found = sampled_steps_on_spectrum(alpha, values, np.ones(12), variances, batch, 0.5 * plateau)
    assert found.steps == math.inf
    assert found.curve[1][-1] == pytest.approx(plateau, rel=1e-3)
    assert abs(sample.mean() - plateau) <= max(3.5 * error, 0.02 * plateau)
    assert error <= 0.05 * plateau


def test_steps_of_sampled_gradients_to_a_target_above_the_plateau():
    rng = np.random.default_rng(1)
    values, away = np.geomspace(1e-2, 1, 8), np.full(8, 3.0)
    alpha, batch = 0.5, 16
    plateau = float((alpha * 1.0 / (2 * batch * (2 - alpha * values))).sum())
    target = 3 * plateau
    foreseen = sampled_steps_on_spectrum(alpha, values, away, 1.0, batch, target).steps
    x = np.tile(away, (4000, 1))
    steps = 0
    while 0.5 * (values * x**2).sum(axis=1).mean() > target:
        x = x - alpha * (values * x + rng.normal(size=x.shape) / math.sqrt(batch))
        steps += 1
    assert 1 / 1.1 <= foreseen / steps <= 1.1


def test_what_never_arrives_is_infinite():
    values = np.array([0.1, 1.0])
    assert steps_on_spectrum(GradientDescent(step_size=2.1), values, np.ones(2), 1e-6).steps == math.inf
    assert steps_on_spectrum(HeavyBall(step_size=4.0, momentum=0.9), values, np.ones(2), 1e-6).steps == math.inf
    assert sampled_steps_on_spectrum(2.1, values, np.ones(2), 0.0, 1, 1e-6).steps == math.inf
    assert steps_on_spectrum(GradientDescent(step_size=1.0), values, np.zeros(2), 1e-6).steps == 0


def test_flat_directions_do_not_matter():
    values = np.array([0.0, 0.5, 1.0])
    with_flat = steps_on_spectrum(Nesterov(step_size=1.0), values, np.ones(3), 1e-6).steps
    assert with_flat == steps_on_spectrum(Nesterov(step_size=1.0), values[1:], np.ones(2), 1e-6).steps


def test_bad_arguments_are_named():
    with pytest.raises(tw.InputError, match="target"):
        steps_on_spectrum(GradientDescent(step_size=1.0), [1.0], [1.0], 0.0)
    with pytest.raises(tw.InputError, match="negative"):
        steps_on_spectrum(GradientDescent(step_size=1.0), [-1.0], [1.0], 1e-6)
    with pytest.raises(tw.InputError, match="one distance"):
        steps_on_spectrum(GradientDescent(step_size=1.0), [1.0, 2.0], [1.0], 1e-6)
