"""Leave-one-out error estimates: moments of directions in closed form, and variances over many seeds."""

import numpy as np
import pytest

from thalweg.linalg import xtrace
from thalweg.linalg.leave_one_out import error_of_mean, uniform_forms
from tolerances import summation

DRAWS = 20_000
#: A mean of 20,000 draws of a chi-square-like quantity, relative: its standard deviation is about 1.5 times its mean.
#: Four standard errors.
SAMPLED = 4 * 1.5 / np.sqrt(DRAWS)


@pytest.mark.parametrize("eigenvalues", [[1.0, 0.0], [3.0, 1.0, -2.0], [1.0, 1.0, 1.0, 1.0, 5.0], [1.0] * 4])
def test_forms_of_uniform_directions_have_the_trace_and_the_stated_variance(eigenvalues):
    values = np.array(eigenvalues)
    size = len(values)
    vectors = np.random.default_rng(0).normal(size=(size, DRAWS))  # of any length: only directions count
    forms, across = uniform_forms(vectors, values[:, None] * vectors, size)
    variance = 2 * size / (size + 2) * (np.sum(values**2) - values.sum() ** 2 / size)
    assert forms.mean() == pytest.approx(values.sum(), abs=4 * np.sqrt(variance / DRAWS) + summation(size) * 8)
    assert 2 * np.mean(np.sum(across**2, axis=1)) == pytest.approx(variance, rel=SAMPLED, abs=summation(size))
    # What is left of Bu is across u.
    assert np.abs(np.einsum("ji,ij->j", across, vectors)).max() <= summation(size) * 1e3


def test_forms_in_a_subspace_count_its_dimension():
    basis = np.linalg.qr(np.random.default_rng(1).normal(size=(7, 3)))[0]
    vectors = basis @ np.random.default_rng(0).normal(size=(3, DRAWS))
    forms, _ = uniform_forms(vectors, basis @ (np.array([[1.0], [2.0], [6.0]]) * (basis.T @ vectors)), 3)
    assert forms.mean() == pytest.approx(9.0, rel=SAMPLED)


def test_independent_estimates_have_the_error_of_a_mean():
    across = np.random.default_rng(0).normal(size=(400, 500)) / np.sqrt(500)
    # Each has variance 2 * 1, the mean of 400 a 400th.
    assert error_of_mean(across, np.zeros((400, 400))) == pytest.approx(np.sqrt(2 / 400), rel=0.02)


def test_estimates_that_move_together_have_the_error_of_one():
    across = np.random.default_rng(0).normal(size=(400, 500)) / np.sqrt(500)
    changes = np.full((400, 400), 1e9)
    assert error_of_mean(across, changes) == pytest.approx(np.sqrt(2), rel=0.05)
    assert error_of_mean(1e150 * across, 1e150 * changes) == pytest.approx(1e150 * error_of_mean(across, changes))


def test_nothing_across_is_no_error():
    assert error_of_mean(np.zeros((3, 5)), np.ones((3, 3))) == 0.0


def test_the_variance_of_dependent_estimates_is_counted(trace_matrix_of):
    """With as many probes as directions, the estimates depend on each other: by scatter alone, 1.5 times too small."""
    matrix = trace_matrix_of("rank six")
    found = [xtrace(matrix, 60, seed, probes=12) for seed in range(500)]
    true = np.sqrt(np.mean([(estimate.value - 6) ** 2 for estimate in found]))
    claimed = np.sqrt(np.mean([estimate.standard_error**2 for estimate in found]))
    # Residual forms n'n of one direction, at corr(t_i, t_j) = 1/4 for i != j: variance (2/6) (1 + 5/4).
    assert true == pytest.approx(np.sqrt(2 / 6 * (1 + 5 / 4)), rel=0.1)
    assert true <= claimed <= 2 * true
