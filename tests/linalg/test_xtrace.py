"""XTrace against its definition, written out with projectors, and against dense traces over many seeds."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thalweg.core.errors import InputError
from thalweg.linalg import hutchinson, xtrace
from thalweg.linalg.leave_one_out import error_of_mean
from thalweg.linalg.xtrace import on_sphere
from tolerances import matrices, summation

SEEDS = 100


def without(matrix, omega, left_out, probe):
    """The trace on what the probes that are not left out capture, and the form of one that is; and B u for it."""
    size, kept = len(matrix), [k for k in range(omega.shape[1]) if k not in left_out]
    basis = np.linalg.qr(matrix @ omega[:, kept])[0]
    outside = np.eye(size) - basis @ basis.T
    u = outside @ omega[:, probe]
    u *= np.sqrt((size - len(kept)) / (u @ u))
    image = outside @ matrix @ u
    return np.trace(basis.T @ matrix @ basis) + u @ image, image - u * (u @ image) / (u @ u)


@pytest.mark.parametrize("count", [3, 4, 7])
@pytest.mark.parametrize("kind", ["flat", "power", "indefinite", "alternating", "slow power"])
def test_value_and_error_are_those_of_the_definition(trace_matrix_of, kind, count):
    matrix, omega = trace_matrix_of(kind), on_sphere(60, 5, count)
    single = [without(matrix, omega, [i], i) for i in range(count)]
    changes = np.zeros((count, count))
    for i in range(count):
        for j in set(range(count)) - {i}:
            changes[i, j] = single[i][0] - without(matrix, omega, [i, j], i)[0]
    found = xtrace(matrix, 60, 5, probes=2 * count)
    assert found.products == 2 * count
    assert found.value == pytest.approx(np.mean([value for value, _ in single]), rel=matrices(100, size=60))
    expected = error_of_mean(np.stack([across for _, across in single]), changes)
    assert found.standard_error == pytest.approx(expected, rel=matrices(1e4, size=60))


def covered(matrix, probes, seeds):
    """The share of seeds whose 3 standard errors hold the trace."""
    found = [xtrace(matrix, 60, seed, probes=probes) for seed in range(seeds)]
    assert max(estimate.products for estimate in found) <= probes
    return np.mean([abs(estimate.value - np.trace(matrix)) <= 3 * estimate.standard_error for estimate in found])


@pytest.mark.parametrize("probes", [6, 12, 30])
def test_the_trace_lies_within_three_standard_errors(traced, probes):
    assert covered(traced, probes, 40) >= 0.95


@pytest.mark.slow
@pytest.mark.parametrize("probes", [6, 7, 12, 18, 30, 58])
def test_the_trace_lies_within_three_standard_errors_in_99_of_100_seeds(traced, probes):
    assert covered(traced, probes, 500) >= 0.98


@pytest.mark.parametrize("kind", ["flat", "slow power", "power", "indefinite", "noise"])
def test_the_standard_error_is_no_larger_than_it_need_be(trace_matrix_of, kind):
    matrix = trace_matrix_of(kind)
    found = [xtrace(matrix, 60, seed, probes=24) for seed in range(SEEDS)]
    true = np.sqrt(np.mean([(estimate.value - np.trace(matrix)) ** 2 for estimate in found]))
    # The median claim over the true deviation, which 100 seeds know to 7%.
    assert 0.9 * true < np.median([estimate.standard_error for estimate in found]) < 1.6 * true


@pytest.mark.parametrize(("kind", "gain"), [("fast", 500), ("power", 30), ("gap", 1e4)])
def test_the_error_is_far_below_hutchinsons_where_eigenvalues_decay(trace_matrix_of, kind, gain):
    matrix = trace_matrix_of(kind)
    errors = [
        np.median([abs(f(matrix, 60, seed, probes=30).value - np.trace(matrix)) for seed in range(100)])
        for f in (hutchinson, xtrace)
    ]
    assert errors[0] > gain * errors[1]


@pytest.mark.parametrize("probes", [14, 20, 40])
def test_captured_rank_is_exact_and_known_to_be(trace_matrix_of, probes):
    for seed in range(20):
        found = xtrace(trace_matrix_of("rank six"), 60, seed, probes=probes)
        assert abs(found.value - 6) <= 3 * found.standard_error <= 60 * summation(60)


def test_a_multiple_of_the_identity_leaves_nothing_to_chance():
    found = xtrace(lambda v: 3.0 * v, 50, 0, probes=10)
    assert abs(found.value - 150) <= 3 * found.standard_error <= 150 * summation(50)


def test_few_products_are_hutchinsons():
    matrix = np.diag([1.0], -8) + np.diag([1.0], 8)
    for probes in (1, 2, 5):
        assert xtrace(matrix, 9, 3, probes=probes) == hutchinson(matrix, 9, 3, probes=probes)


@settings(deadline=None, max_examples=80)
@given(st.integers(1, 14), st.integers(1, 18), st.integers(0, 99), st.sampled_from([1e-150, 1.0, 1e150]))
def test_any_size_and_number_of_probes(size, probes, seed, scale):
    draws = np.random.default_rng(seed).normal(size=(size, size))
    matrix = scale * (draws + draws.T)
    found = xtrace(matrix, size, seed, probes=probes)
    assert np.isfinite([found.value, found.standard_error]).all()
    assert found.products <= min(size, probes)
    if probes >= size:
        assert abs(found.value - np.trace(matrix)) <= found.standard_error <= scale * 100 * summation(size)


@pytest.mark.parametrize("rank", [0, 1, 2, 5])
def test_singular_matrices_of_any_rank(rank):
    factor = np.random.default_rng(rank).normal(size=(20, rank))
    matrix = factor @ factor.T
    for seed in range(30):
        found = xtrace(matrix, 20, seed, probes=14)
        assert abs(found.value - np.trace(matrix)) <= 3 * found.standard_error <= 1e4 * summation(20)


def test_single_precision_products_are_covered(trace_matrix_of):
    matrix = trace_matrix_of("fast")
    single = matrix.astype(np.float32)
    found = [xtrace(lambda v: single @ v.astype(np.float32), 60, seed, probes=58) for seed in range(50)]
    assert all(abs(estimate.value - np.trace(matrix)) <= 3 * estimate.standard_error < 1e-3 for estimate in found)


def test_the_same_seed_gives_the_same_numbers(trace_matrix_of):
    matrix = trace_matrix_of("noise")
    first, second, other = (xtrace(matrix, 60, seed, probes=9) for seed in (1, np.random.default_rng(1), 2))
    assert first == second
    assert first.value != other.value


def test_bad_arguments_are_named():
    with pytest.raises(InputError, match="probes=-1: expected a whole number >= 1; pass"):
        xtrace(abs, 3, 0, probes=-1)
    with pytest.raises(InputError, match="size=0"):
        xtrace(abs, 0, 0, probes=8)
    with pytest.raises(InputError, match="generator='a'"):
        xtrace(np.eye(9), 9, "a", probes=8)
    with pytest.raises(InputError, match=r"shape \(8,\): expected \(9,\)"):
        xtrace(lambda v: v[1:], 9, 0, probes=8)
    with pytest.raises(InputError, match="apply returned inf"):
        xtrace(lambda v: v + np.inf, 9, 0, probes=8)
    with pytest.raises(InputError, match="apply is not symmetric"):
        xtrace(np.cumsum, 9, 0, probes=8)
