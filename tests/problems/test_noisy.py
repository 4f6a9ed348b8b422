"""Additive noise as a finite sum: nothing but the gradients of samples changes, and their moments are exact."""

import numpy as np
import pytest

from thalweg.core.errors import InputError
from thalweg.core.vector import flat
from thalweg.problems import FiniteSum, Function, Quadratic
from thalweg.problems.noisy import Noisy
from tolerances import summation

RNG = np.random.default_rng(0)
H = np.diag([1.0, 3.0, 0.5])
X = RNG.normal(size=3)


def all_samples(problem, x):
    point = problem.at(x)
    return np.array([flat(point.sample(np.array([i]))) for i in range(problem.n)])


def test_only_gradients_of_samples_are_noisy():
    plain, noisy = Quadratic(H, b=[1.0, 2, 3]), Noisy(Quadratic(H, b=[1.0, 2, 3]), RNG.normal(size=(20, 3)))
    a, b = plain.at(X), noisy.at(X)
    assert a.value == b.value
    assert a.certificate().gap == b.certificate().gap
    for name in ("gradient", "hessian"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))
    np.testing.assert_array_equal(a.hvp(X), b.hvp(X))
    step = b.along(-b.gradient).at(0.3)
    assert step.value == a.along(-a.gradient).at(0.3).value
    assert step.sample(np.array([0])).shape == (3,)
    assert b.along(-b.gradient).value_slope(0.2) == a.along(-a.gradient).value_slope(0.2)
    np.testing.assert_allclose(all_samples(noisy, X).mean(axis=0), b.gradient, rtol=0, atol=10 * summation(20))


def test_given_vectors_are_centred_and_used_as_they_are():
    vectors = RNG.normal(size=(20, 3)) + 5
    noisy = Noisy(Quadratic(H), vectors)
    noise = all_samples(noisy, X) - H @ X
    np.testing.assert_allclose(noise, vectors - vectors.mean(axis=0), rtol=0, atol=20 * summation(20))
    batch = np.array([3, 3, 7])
    expected = H @ X + (vectors - vectors.mean(axis=0))[batch].mean(axis=0)
    np.testing.assert_allclose(noisy.at(X).sample(batch), expected, rtol=0, atol=20 * summation(20))
    assert noisy.at(X).gradient_variance == pytest.approx(vectors.var(axis=0).sum(), rel=summation(60))


@pytest.mark.parametrize(
    "covariance", [2.0, np.array([1.0, 0.0, 4.0]), np.array([[2.0, 1, 0], [1, 2, 0], [0, 0, 0.5]])], ids=np.ndim
)
def test_drawn_vectors_have_exactly_the_covariance(covariance):
    noisy = Noisy.sampled(Quadratic(H), covariance, 40, seed=1)
    noise = all_samples(noisy, X) - H @ X
    wanted = np.diag(np.broadcast_to(covariance, 3)) if np.ndim(covariance) < 2 else covariance
    np.testing.assert_allclose(noise.T @ noise / 40, wanted, rtol=0, atol=100 * summation(40))
    assert noisy.at(X).gradient_variance == pytest.approx(np.trace(wanted), rel=100 * summation(40))


def test_fewer_examples_than_parameters_have_exact_variances():
    noisy = Noisy.sampled(Quadratic(np.eye(50)), np.arange(50.0), 10, seed=1)
    np.testing.assert_allclose(noisy.vectors.var(axis=0), np.arange(50.0), rtol=summation(50))
    np.testing.assert_allclose(noisy.vectors.mean(axis=0), 0, atol=10 * summation(10))


def test_the_seed_decides():
    one, same, other = (Noisy.sampled(Quadratic(H), 1.0, 5, seed).vectors for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)


def test_leaves_and_sums_can_be_noisy_too():
    function = Function(lambda x: (x[0] ** 2).sum() + (x[1] ** 2).sum(), x0=(np.ones((2, 2)), np.ones(3)))
    noisy = Noisy(function, RNG.normal(size=(6, 7)))
    sample = noisy.at(noisy.start()).sample(np.array([2]))
    assert [leaf.shape for leaf in sample.leaves] == [(2, 2), (3,)]
    np.testing.assert_allclose(flat(sample), 2 + noisy.vectors[2], rtol=summation(7))
    rows = FiniteSum(RNG.normal(size=(8, 2)), RNG.normal(size=8), "squared", 0.1)
    noisy = Noisy(rows, RNG.normal(size=(5, 3)))
    assert noisy.n == 5
    x = RNG.normal(size=3)
    np.testing.assert_allclose(all_samples(noisy, x) - rows.at(x).gradient, noisy.vectors, rtol=0, atol=summation(100))
    assert noisy.at(x).certificate().gap == rows.at(x).certificate().gap


@pytest.mark.parametrize(
    "make",
    [
        lambda: Noisy(Quadratic(H), np.zeros((4, 2))),
        lambda: Noisy(Quadratic(H), np.zeros(3)),
        lambda: Noisy(Quadratic(H), np.zeros((0, 3))),
        lambda: Noisy(Quadratic(H), np.full((4, 3), np.nan)),
        lambda: Noisy.sampled(Quadratic(H), -1.0, 10),
        lambda: Noisy.sampled(Quadratic(H), np.ones(2), 10),
        lambda: Noisy.sampled(Quadratic(H), np.diag([1.0, -1, 1]), 10),
        lambda: Noisy.sampled(Quadratic(H), np.array([[1.0, 1, 0], [0, 1, 0], [0, 0, 1]]), 10),
        lambda: Noisy.sampled(Quadratic(H), np.eye(3), 3),
        lambda: Noisy.sampled(Quadratic(H), 1.0, 1),
        lambda: Noisy.sampled(Quadratic(H), 1.0, True),
        lambda: Noisy.sampled(Quadratic(H), 1.0, 10, seed=-1),
    ],
)
def test_bad_arguments_are_refused(make):
    with pytest.raises(InputError) as caught:
        make()
    assert caught.value.remedy
