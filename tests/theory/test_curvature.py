"""L, mu and the noise of examples at a point, beside dense arithmetic."""

import numpy as np
import pytest

from thalweg.problems import ChangedProblem, FiniteSum, Function, Quadratic, Standardizing
from thalweg.problems.noisy import Noisy
from thalweg.theory.curvature import MAX_DENSE, SAMPLED_EXAMPLES, curvature, noise
from tolerances import EIGENVALUE, STANDARD_ERRORS, summation

RNG = np.random.default_rng(0)


def rows(n=80, loss="logistic"):
    X = RNG.normal(size=(n, 3))
    y = np.sign(RNG.normal(size=n)) if loss != "poisson" else RNG.poisson(1.0, n).astype(float)
    return FiniteSum(X, y, loss, 0.1, RNG.random(n))


@pytest.mark.parametrize("size", [20, MAX_DENSE + 20])
def test_the_ends_of_the_spectrum(size):
    h = np.geomspace(1e-2, 3, size)
    found = curvature(Quadratic(np.diag(h)).at(np.ones(size)))
    dense = size <= MAX_DENSE
    assert found.largest == pytest.approx(3.0, rel=EIGENVALUE if dense else 1e-6)
    assert (found.eigenvalues is not None) == dense
    assert found.smallest == pytest.approx(1e-2, abs=3 * EIGENVALUE if dense else 0.02)


@pytest.mark.parametrize("loss", ["logistic", "poisson"])
@pytest.mark.parametrize("changed", [False, True])
def test_noise_of_a_finite_sum_is_exact(loss, changed):
    base = rows(loss=loss)
    problem = ChangedProblem(base, Standardizing(base)) if changed else base
    point = problem.at(0.1 * RNG.normal(size=problem.size))
    found = noise(point, curvature(point), 1e-3)
    gradients = np.array([point.sample(np.array([i])) for i in range(80)])
    assert found.variance == pytest.approx(np.square(gradients - point.gradient).sum(axis=1).mean(), rel=summation(80))
    assert (found.examples, found.target) == (80, 1e-3)
    assert found.largest_single == point.largest_single >= curvature(point).largest
    # The PL inequality bounds the gap of a quadratic; here it is an estimate, above the decrease to be had.
    assert found.gap == pytest.approx(point.gradient @ point.gradient / (2 * curvature(point).smallest))


def test_examples_that_differ_by_a_linear_term_are_as_curved_as_the_mean():
    noisy = Noisy.sampled(Quadratic(np.diag([1.0, 5.0]), x0=[1.0, 1.0]), [2.0, 3.0], 30)
    point = noisy.at(noisy.start())
    found = noise(point, curvature(point), 0.1)
    assert found.largest_single == pytest.approx(5.0, rel=EIGENVALUE)
    assert found.variance == pytest.approx(5.0, rel=summation(30))


def test_where_a_point_does_not_know_its_variance_examples_are_compared():
    torch = pytest.importorskip("torch")
    from thalweg.problems.module import ModuleProblem

    generator = torch.Generator().manual_seed(0)
    X, y = (torch.randn(n, k, generator=generator, dtype=torch.float64) for n, k in ((400, 3), (400, 1)))
    problem = ModuleProblem(
        torch.nn.Linear(3, 1, dtype=torch.float64), lambda m, b: torch.nn.functional.mse_loss(m(b[0]), b[1]), (X, y)
    )
    point = problem.at(problem.start())
    found = noise(point, curvature(point), 1e-3)
    each = np.array([np.square(_flat(point.sample(np.array([i])) - point.gradient)).sum() for i in range(400)])
    error = each.std(ddof=1) / np.sqrt(SAMPLED_EXAMPLES)
    assert abs(found.variance - each.mean()) < STANDARD_ERRORS * error
    assert found.largest_single == pytest.approx(curvature(point).largest)


def _flat(x):
    from thalweg.core.vector import flat

    return flat(x)


def test_a_single_function_has_no_noise():
    point = Function(lambda x: (x**2).sum(), x0=[1.0]).at(np.ones(1))
    assert noise(point, curvature(point), 1e-3) is None
