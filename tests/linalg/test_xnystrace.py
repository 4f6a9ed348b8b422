"""XNysTrace against its definition, written out with projectors, and against dense traces over many seeds."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thalweg.core.errors import InputError
from thalweg.linalg import hutchinson, xnystrace, xtrace
from thalweg.linalg.leave_one_out import error_of_mean
from thalweg.linalg.xtrace import on_sphere
from tolerances import NYSTROM_CAPTURED, matrices, summation

SEEDS = 100


def without(matrix, omega, left_out, probe):
    """The trace of the approximation by the probes that are not left out, and the form in the rest; and B u for it."""
    size, kept = len(matrix), [k for k in range(omega.shape[1]) if k not in left_out]
    others = omega[:, kept]
    images = matrix @ others
    captured = images @ np.linalg.solve(others.T @ images, images.T)
    basis = np.linalg.qr(others)[0]
    u = omega[:, probe] - basis @ (basis.T @ omega[:, probe])
    u *= np.sqrt((size - len(kept)) / (u @ u))
    image = (matrix - captured) @ u
    return np.trace(captured) + u @ image, image - u * (u @ image) / (u @ u)


@pytest.mark.parametrize("count", [3, 4, 9])
@pytest.mark.parametrize("kind", ["flat", "power", "slow power"])
def test_value_and_error_are_those_of_the_definition(trace_matrix_of, kind, count):
    matrix, omega = trace_matrix_of(kind), on_sphere(60, 5, count)
    single = [without(matrix, omega, [i], i) for i in range(count)]
    changes = np.zeros((count, count))
    for i in range(count):
        for j in set(range(count)) - {i}:
            changes[i, j] = single[i][0] - without(matrix, omega, [i, j], i)[0]
    found = xnystrace(matrix, 60, 5, probes=count)
    assert found.products == count
    assert found.value == pytest.approx(np.mean([value for value, _ in single]), rel=matrices(1e3, size=60))
    expected = error_of_mean(np.stack([across for _, across in single]), changes)
    assert found.standard_error == pytest.approx(expected, rel=matrices(1e5, size=60))


def covered(matrix, probes, seeds):
    """The share of seeds whose 3 standard errors hold the trace."""
    found = [xnystrace(matrix, 60, seed, probes=probes) for seed in range(seeds)]
    assert max(estimate.products for estimate in found) <= probes
    return np.mean([abs(estimate.value - np.trace(matrix)) <= 3 * estimate.standard_error for estimate in found])


@pytest.mark.parametrize("probes", [4, 12, 30])
def test_the_trace_lies_within_three_standard_errors(semidefinite, probes):
    assert covered(semidefinite, probes, 40) >= 0.95


@pytest.mark.slow
@pytest.mark.parametrize("probes", [3, 4, 6, 12, 30, 57])
def test_the_trace_lies_within_three_standard_errors_in_99_of_100_seeds(semidefinite, probes):
    assert covered(semidefinite, probes, 500) >= 0.98


@pytest.mark.parametrize(("kind", "gain"), [("fast", 10), ("diagonal", 2), ("slow power", 1.1)])
def test_the_error_is_below_that_of_xtrace_where_eigenvalues_decay(trace_matrix_of, kind, gain):
    matrix = trace_matrix_of(kind)
    errors = [
        np.median([abs(f(matrix, 60, seed, probes=24).value - np.trace(matrix)) for seed in range(SEEDS)])
        for f in (xtrace, xnystrace)
    ]
    assert errors[0] > gain * errors[1]


@pytest.mark.parametrize("probes", [8, 12, 40])
def test_captured_rank_is_exact_and_known_to_be(trace_matrix_of, probes):
    for seed in range(20):
        found = xnystrace(trace_matrix_of("rank six"), 60, seed, probes=probes)
        assert abs(found.value - 6) <= 3 * found.standard_error <= NYSTROM_CAPTURED


def test_a_multiple_of_the_identity_leaves_nothing_to_chance():
    found = xnystrace(lambda v: 3.0 * v, 50, 0, probes=10)
    assert abs(found.value - 150) <= 3 * found.standard_error <= 1e4 * summation(50)


def test_few_products_are_hutchinsons():
    matrix = np.ones((9, 9))
    for probes in (1, 2):
        assert xnystrace(matrix, 9, 3, probes=probes) == hutchinson(matrix, 9, 3, probes=probes)


@settings(deadline=None, max_examples=80)
@given(st.integers(1, 14), st.integers(1, 18), st.integers(0, 99), st.sampled_from([1e-150, 1.0, 1e150]))
def test_any_size_and_number_of_probes(size, probes, seed, scale):
    draws = np.random.default_rng(seed).normal(size=(size, size))
    matrix = scale * (draws @ draws.T)
    found = xnystrace(matrix, size, seed, probes=probes)
    assert np.isfinite([found.value, found.standard_error]).all()
    assert found.products == min(size, probes)
    if probes >= size:
        assert abs(found.value - np.trace(matrix)) <= found.standard_error <= scale * 1e3 * summation(size)


@pytest.mark.parametrize("rank", [0, 1, 2, 5])
def test_singular_matrices_of_any_rank(rank):
    factor = np.random.default_rng(rank).normal(size=(20, rank))
    matrix = factor @ factor.T
    for seed in range(30):
        found = xnystrace(matrix, 20, seed, probes=7)
        assert abs(found.value - np.trace(matrix)) <= 3 * found.standard_error <= 1e-4


def test_single_precision_products_are_covered(trace_matrix_of):
    matrix = trace_matrix_of("fast")
    single = matrix.astype(np.float32)
    found = [xnystrace(lambda v: single @ v.astype(np.float32), 60, seed, probes=40) for seed in range(50)]
    assert all(abs(estimate.value - np.trace(matrix)) <= 3 * estimate.standard_error < 1e-2 for estimate in found)


def test_a_negative_eigenvalue_is_named(trace_matrix_of):
    with pytest.raises(InputError, match=r"not positive semidefinite: v'Av / v'v is -0\.[1-9].* use xtrace for"):
        xnystrace(trace_matrix_of("indefinite"), 60, 0, probes=20)
    with pytest.raises(InputError, match="not positive semidefinite: v'Av / v'v is -2 in one direction"):
        xnystrace(lambda v: -2.0 * v, 60, 0, probes=4)


def test_bad_arguments_are_named():
    with pytest.raises(InputError, match="probes=0: expected a whole number >= 1; pass"):
        xnystrace(abs, 3, 0, probes=0)
    with pytest.raises(InputError, match="generator='a'"):
        xnystrace(np.eye(9), 9, "a", probes=5)
    with pytest.raises(InputError, match=r"shape \(8,\): expected \(9,\)"):
        xnystrace(lambda v: v[1:], 9, 0, probes=5)
    with pytest.raises(InputError, match="apply returned nan"):
        xnystrace(lambda v: v * np.nan, 9, 0, probes=5)
    with pytest.raises(InputError, match="apply is not symmetric"):
        xnystrace(np.cumsum, 9, 0, probes=5)


def test_a_kernel_in_single_precision_is_semidefinite_up_to_its_rounding():
    points = np.random.default_rng(0).uniform(size=(80, 1))
    gram = np.exp(-4 * (points - points.T) ** 2).astype(np.float32)
    assert np.linalg.eigvalsh(gram.astype(np.float64))[0] < -1e-9
    for probes in (12, 40, 79):
        found = xnystrace(gram, 80, 0, probes=probes)
        assert abs(found.value - 80) <= 3 * found.standard_error <= 1.0
