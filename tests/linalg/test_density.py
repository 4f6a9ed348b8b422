"""Quadrature over the spectrum: exact where Gauss is, honest standard errors elsewhere."""

from fractions import Fraction

import numpy as np
import pytest

from thalweg.core.errors import InputError
from thalweg.linalg import effective_dimension, lanczos, spectral_density, spectrum_of
from tolerances import summation

SEEDS = 200


def products(matrix):
    return lambda v: matrix @ v


def covered(estimates, truth):
    """How many of the estimates have the truth within 3 standard errors."""
    return sum(abs(estimate.value - truth) <= 3 * estimate.standard_error for estimate in estimates)


@pytest.mark.parametrize("steps", [1, 2, 4])
def test_gauss_quadrature_is_exact_up_to_degree_2k_minus_1(steps):
    """Rational arithmetic gives the moments of a small integer matrix without rounding."""
    matrix = np.diag([1, 2, 3, 4, 5, 6]) + np.eye(6, k=1, dtype=int) + np.eye(6, k=-1, dtype=int)
    vector = np.array([3, -1, 4, 1, -5, 9])
    found = spectrum_of(products(matrix), vector, steps)
    assert found.products == len(found.nodes) == steps
    assert found.norm_squared == pytest.approx(vector @ vector, rel=summation(6))
    power = vector.astype(object)
    for degree in range(2 * steps + 1):
        truth = float(Fraction(int(vector.astype(object) @ power)))
        error = abs(found.value_of(lambda t, degree=degree: t**degree) - truth) / truth
        assert (error <= (degree + 1) * summation(6)) == (degree < 2 * steps)
        power = matrix.astype(object) @ power


def test_the_whole_spectrum_of_a_vector(spectral):
    matrix, eigenvalues = spectral
    vector = np.arange(1.0, len(matrix) + 1)
    found = spectrum_of(products(matrix), vector, 500)
    scale = np.abs(eigenvalues).max()
    assert found.exact
    assert found.mean_of(np.cos) == pytest.approx(found.value_of(np.cos) / (vector @ vector), rel=summation(1))
    truth = vector @ (matrix @ (matrix @ vector))
    assert found.value_of(lambda t: t * t) == pytest.approx(truth, abs=10 * summation(200) * scale**2 * vector @ vector)


@pytest.mark.parametrize("probes", [1, 8])
@pytest.mark.parametrize("kind", ["two", "indefinite", "geometric", "rank-one"])
def test_standard_errors_of_moments_are_honest(matrix_of, kind, probes):
    matrix = matrix_of(kind)
    size, eigenvalues = len(matrix), np.linalg.eigvalsh(matrix)
    found = [spectral_density(products(matrix), size, seed, probes=probes, steps=5) for seed in range(SEEDS)]
    for power in (1, 2, 3):
        assert covered([density.moment(power) for density in found], np.mean(eigenvalues**power)) >= 0.98 * SEEDS


@pytest.mark.parametrize("steps", [4, 10])
def test_standard_errors_cover_truncation_too(matrix_of, steps):
    matrix = matrix_of(np.geomspace(1e-3, 1.0, 30))
    eigenvalues = np.linalg.eigvalsh(matrix)
    found = [spectral_density(products(matrix), 30, seed, probes=4, steps=steps) for seed in range(SEEDS)]
    assert covered([density.mean_of(np.log) for density in found], np.mean(np.log(eigenvalues))) >= 0.98 * SEEDS
    assert covered([density.mean_of(np.sqrt) for density in found], np.mean(np.sqrt(eigenvalues))) >= 0.98 * SEEDS


@pytest.mark.parametrize("steps", [1, 2, 5, 30])
@pytest.mark.parametrize("known", [0.0, 5e-5])
def test_the_effective_dimension_is_bracketed_whatever_the_steps(matrix_of, steps, known):
    matrix = matrix_of(np.geomspace(1e-4, 1.0, 30))
    eigenvalues = np.linalg.eigvalsh(matrix)
    found = [spectral_density(products(matrix), 30, seed, probes=2, steps=steps) for seed in range(SEEDS)]
    for ridge in (1e-1, 1e-3, 1e-5):
        truth = np.sum(eigenvalues / (eigenvalues + ridge))
        estimates = [effective_dimension(density, ridge, smallest=known) for density in found]
        assert covered(estimates, truth) >= 0.98 * SEEDS
        if steps == 30:
            assert max(estimate.standard_error for estimate in estimates) < 0.4 * truth


def test_gauss_and_radau_rules_bracket_what_a_vector_sees(matrix_of):
    matrix, vector = matrix_of(np.geomspace(1e-3, 1.0, 12)), np.arange(1.0, 13.0)
    eigenvalues, vectors = np.linalg.eigh(matrix)
    share = (vectors.T @ vector) ** 2 / (vector @ vector)
    for steps in (1, 2, 4, 6):
        found = lanczos(products(matrix), 12, 0, steps=steps, start=vector)
        radau = found.radau(5e-4)
        assert radau.nodes[0] == pytest.approx(5e-4, abs=100 * summation(12))
        assert radau.mean_of(np.log) <= share @ np.log(eigenvalues) <= found.quadrature.mean_of(np.log)
        for degree in (2 * steps - 1, 2 * steps):
            assert radau.mean_of(lambda t, d=degree: t**d) == pytest.approx(
                share @ eigenvalues**degree, rel=10 * summation(12) * (degree + 1)
            )
    assert lanczos(products(matrix), 12, 0, steps=12).radau(5e-4) is None


@pytest.mark.parametrize("kind", ["two", "indefinite", "clustered"])
def test_extremes_hold_the_ends_in_99_of_100_seeds(matrix_of, kind):
    matrix = matrix_of(kind)
    low, high = np.linalg.eigvalsh(matrix)[[0, -1]]
    missed = np.zeros(2, dtype=int)
    for seed in range(SEEDS):
        found = spectral_density(products(matrix), len(matrix), seed, probes=2, steps=2)
        missed += [
            not found.smallest.interval[0] <= low <= found.smallest.interval[1],
            not found.largest.interval[0] <= high <= found.largest.interval[1],
        ]
        assert found.largest.products == found.products == 4
    assert (missed <= 0.02 * SEEDS).all()


def test_nodes_are_a_distribution_with_quantiles(matrix_of):
    found = spectral_density(products(matrix_of("singular")), 200, 0, probes=10, steps=60)
    assert (np.diff(found.nodes) >= 0).all()
    assert found.weights.sum() == pytest.approx(1, abs=summation(600))
    share = found.mean_of(lambda t: (t > 0.25).astype(float)).interval
    assert share[0] <= 0.5 <= share[1]
    # Eigenvalues: a half at zero, the other half evenly between 0.5 and 4.
    np.testing.assert_allclose(found.quantile(np.array([0.1, 0.4])), 0, atol=4 * summation(200))
    # A share is known to sqrt(2 * 0.75 * 0.25 / 200 / 10) = 0.014; three of those, where 0.5 stand for 3.5.
    np.testing.assert_allclose(found.quantile(np.array([0.75, 1.0])), [2.25, 4.0], atol=3 * 0.014 * 7)
    assert found.quantile(0.0) == found.nodes[0]


def test_one_row_and_equal_eigenvalues_leave_nothing_to_chance(matrix_of):
    for kind, value in (("one", -2.5), ("multiple of the identity", 5.0)):
        matrix = matrix_of(kind)
        found = spectral_density(products(matrix), len(matrix), 0, probes=2, steps=9)
        assert found.products == 2
        assert found.moment(1).value == pytest.approx(value, rel=summation(20))
        assert found.moment(1).standard_error <= 100 * summation(20)
        np.testing.assert_allclose(found.quantile([0.0, 0.5, 1.0]), value, rtol=summation(20))


def test_the_same_seed_gives_the_same_numbers(matrix_of):
    first, second, other = (
        spectral_density(products(matrix_of("indefinite")), 30, seed, probes=3, steps=4) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first.nodes, second.nodes)
    np.testing.assert_array_equal(first.weights, second.weights)
    assert (first.nodes != other.nodes).any()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: spectral_density(abs, 3, 0, probes=0, steps=3), "probes=0: expected a whole number >= 1; pass"),
        (lambda: spectral_density(abs, 3, 0, probes=1, steps=0), "steps=0: expected a whole number >= 1; pass"),
        (lambda: spectral_density(abs, -3, 0, probes=1, steps=1), "size=-3"),
        (lambda: spectral_density(lambda v: v[None], 3, 0, probes=1, steps=1), r"shape \(1, 3\): expected \(3,\)"),
        (lambda: spectral_density(lambda v: v * np.nan, 3, 0, probes=1, steps=1), "apply returned nan"),
        (lambda: spectrum_of(abs, np.ones((2, 2)), 3), r"vector has shape \(2, 2\)"),
        (lambda: spectrum_of(abs, np.array([1.0, np.nan]), 3), "vector is zero, or has entries"),
        (lambda: spectrum_of(abs, np.ones(2), 0), "steps=0"),
        (lambda: identity().quantile(1.5), "q=1.5: expected shares"),
        (lambda: identity().mean_of(np.sum), r"function returned shape \(\) for nodes of shape"),
        (lambda: identity().moment(-1), "power=-1"),
        (lambda: effective_dimension(identity(), 0.0), "ridge=0.0: expected a finite number > 0; pass a ridge"),
        (lambda: effective_dimension(identity(), -1.0), "ridge=-1.0"),
        (lambda: effective_dimension(identity(), 1.0, smallest=-1.0), "smallest=-1.0"),
    ],
)
def test_bad_arguments_are_named(call, message):
    with pytest.raises(InputError, match=message):
        call()


def identity():
    return spectral_density(lambda v: v, 3, 0, probes=2, steps=2)
