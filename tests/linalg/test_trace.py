"""Hutchinson's estimates against the dense trace and diagonal, over many seeds."""

import numpy as np
import pytest

from thalweg.core.errors import InputError
from thalweg.linalg import hutchinson, hutchinson_diagonal
from tolerances import summation

SEEDS = 600


@pytest.mark.parametrize("probes", [2, 3, 10, 30])
@pytest.mark.parametrize("kind", ["one", "indefinite", "geometric", "rank-one"])
def test_the_trace_lies_within_three_standard_errors(matrix_of, kind, probes):
    matrix = matrix_of(kind)
    covered = 0
    for seed in range(SEEDS):
        found = hutchinson(lambda v: matrix @ v, len(matrix), seed, probes=probes)
        assert found.products == min(probes, len(matrix))
        covered += abs(found.value - np.trace(matrix)) <= 3 * found.standard_error
    assert covered >= 0.98 * SEEDS


def test_the_standard_error_is_that_of_the_known_variance(matrix_of):
    """The variance of one probe is twice the sum of the squared off-diagonal entries."""
    matrix = matrix_of("singular")
    truth = np.sqrt(2 * (np.sum(matrix**2) - np.sum(np.diag(matrix) ** 2)) / 100)
    found = hutchinson(lambda v: matrix @ v, 200, 0, probes=100)
    # A standard deviation from 100 samples is itself known to 1 / sqrt(200); two of those.
    assert found.standard_error == pytest.approx(truth, rel=2 / np.sqrt(200))
    assert found.interval[0] < np.trace(matrix) < found.interval[1]


def test_as_many_probes_as_rows_give_the_trace_itself(matrix_of):
    matrix = matrix_of("indefinite")
    found = hutchinson(lambda v: matrix @ v, 30, 0, probes=300)
    assert found.products == 30
    assert abs(found.value - np.trace(matrix)) <= found.standard_error <= summation(30) * 30


def test_the_diagonal_and_its_standard_errors(matrix_of):
    matrix = matrix_of("indefinite")
    covered = 0
    for seed in range(SEEDS):
        diagonal, errors = hutchinson_diagonal(lambda v: matrix @ v, 30, seed, probes=12)
        covered += np.sum(np.abs(diagonal - np.diag(matrix)) <= 3 * errors)
    assert covered >= 0.98 * SEEDS * 30
    trace = hutchinson(lambda v: matrix @ v, 30, seed, probes=12)
    # The same signs, the same sum.
    assert diagonal.sum() == pytest.approx(trace.value, abs=summation(30) * 30)


def test_a_diagonal_matrix_is_exact():
    entries = np.geomspace(1e-6, 1, 40)
    few, found = (hutchinson(lambda v: entries * v, 40, 3, probes=probes) for probes in (2, 8))
    assert few.value == pytest.approx(entries.sum(), rel=summation(40))
    assert found.value == pytest.approx(entries.sum(), rel=summation(40))
    assert found.standard_error <= summation(40) * entries.sum()


def test_two_entries_off_the_diagonal_are_not_missed():
    def apply(v):
        return np.r_[v[1], v[0], np.zeros(38)]

    found = [hutchinson(apply, 40, seed, probes=probes) for seed in range(SEEDS) for probes in (2, 4, 7, 12)]
    assert sum(abs(estimate.value) <= 3 * estimate.standard_error for estimate in found) >= 0.98 * len(found)


def test_a_single_probe_says_little(matrix_of):
    matrix = matrix_of("rank-one")
    found = [hutchinson(lambda v: matrix @ v, 50, seed, probes=1) for seed in range(SEEDS)]
    assert sum(abs(estimate.value - 7) <= 3 * estimate.standard_error for estimate in found) >= 0.98 * SEEDS
    assert hutchinson_diagonal(lambda v: matrix @ v, 50, 0, probes=1)[1][0] == np.inf


def test_the_same_seed_gives_the_same_numbers(matrix_of):
    matrix = matrix_of("indefinite")
    first, second, other = (hutchinson(lambda v: matrix @ v, 30, seed, probes=5) for seed in (1, 1, 2))
    assert first == second
    assert first.value != other.value


@pytest.mark.parametrize("estimate", [hutchinson, hutchinson_diagonal])
def test_bad_arguments_are_named(estimate):
    with pytest.raises(InputError, match="probes=0: expected a whole number >= 1; pass"):
        estimate(abs, 3, 0, probes=0)
    with pytest.raises(InputError, match="size=0"):
        estimate(abs, 0, 0, probes=2)
    with pytest.raises(InputError, match=r"shape \(2,\): expected \(3,\)"):
        estimate(lambda v: v[1:], 3, 0, probes=2)
    with pytest.raises(InputError, match="apply returned inf at entry 0"):
        estimate(lambda v: v + np.inf, 3, 0, probes=2)
