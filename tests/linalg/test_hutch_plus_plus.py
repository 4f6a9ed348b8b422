"""Hutch++ against dense traces: coverage over many seeds, exactness on low rank, and its gain over Hutchinson."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thalweg.core.errors import InputError
from thalweg.linalg import hutch_plus_plus, hutchinson
from tolerances import summation


def covered(matrix, probes, seeds):
    """The share of seeds whose 3 standard errors hold the trace."""
    found = [hutch_plus_plus(matrix, 60, seed, probes=probes) for seed in range(seeds)]
    assert max(estimate.products for estimate in found) <= probes
    return np.mean([abs(estimate.value - np.trace(matrix)) <= 3 * estimate.standard_error for estimate in found])


@pytest.mark.parametrize("probes", [4, 12, 30])
def test_the_trace_lies_within_three_standard_errors(traced, probes):
    assert covered(traced, probes, 40) >= 0.95


@pytest.mark.slow
@pytest.mark.parametrize("probes", [3, 4, 7, 12, 30])
def test_the_trace_lies_within_three_standard_errors_in_99_of_100_seeds(traced, probes):
    assert covered(traced, probes, 500) >= 0.98


def test_the_parts_are_those_of_the_definition(traced):
    """The same draws, with projectors written out."""
    stream = np.random.default_rng(3)
    sketch = stream.standard_normal((60, 4))
    signs = stream.integers(0, 2, size=(5, 60)) * 2.0 - 1.0
    basis = np.linalg.qr(traced @ sketch)[0]
    outside = np.eye(60) - basis @ basis.T
    rest = outside @ traced @ outside
    expected = np.trace(basis.T @ traced @ basis) + np.mean([v @ rest @ v for v in signs])
    found = hutch_plus_plus(traced, 60, 3, probes=13)
    assert found.products == 13
    scale = 60 * np.linalg.norm(traced)
    assert found.value == pytest.approx(expected, abs=summation(60) * scale)


def test_captured_rank_is_exact(trace_matrix_of):
    for seed in range(20):
        found = hutch_plus_plus(trace_matrix_of("rank six"), 60, seed, probes=19)
        assert abs(found.value - 6) <= 3 * found.standard_error <= 60 * summation(60)


@pytest.mark.parametrize(("kind", "gain"), [("fast", 20), ("power", 10), ("gap", 1e4)])
def test_the_error_is_far_below_hutchinsons_where_eigenvalues_decay(trace_matrix_of, kind, gain):
    matrix = trace_matrix_of(kind)
    errors = [
        np.median([abs(f(matrix, 60, seed, probes=30).value - np.trace(matrix)) for seed in range(100)])
        for f in (hutchinson, hutch_plus_plus)
    ]
    assert errors[0] > gain * errors[1]


def test_functions_operators_and_matrices_agree(traced):
    found = [hutch_plus_plus(apply, 60, 0, probes=9) for apply in (traced, lambda v: traced @ v)]
    assert found[0].value == pytest.approx(found[1].value, abs=60 * summation(60) * np.abs(traced).max())
    assert found[0].products == found[1].products == 9


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 9), st.integers(1, 14), st.integers(0, 99), st.sampled_from([1e-150, 1.0, 1e150]))
def test_any_size_and_number_of_probes(size, probes, seed, scale):
    draws = np.random.default_rng(seed).normal(size=(size, size))
    matrix = scale * (draws + draws.T)
    found = hutch_plus_plus(matrix, size, seed, probes=probes)
    assert np.isfinite([found.value, found.standard_error]).all()
    assert found.products == min(size, probes)
    if probes >= size:
        assert abs(found.value - np.trace(matrix)) <= found.standard_error <= scale * 100 * summation(size)


def test_the_zero_matrix_has_no_trace():
    found = hutch_plus_plus(np.zeros((9, 9)), 9, 0, probes=6)
    assert (found.value, found.standard_error) == (0.0, 0.0)


def test_the_same_seed_gives_the_same_numbers(trace_matrix_of):
    matrix = trace_matrix_of("noise")
    first, second, other = (hutch_plus_plus(matrix, 60, seed, probes=9) for seed in (1, np.random.default_rng(1), 2))
    assert first == second
    assert first.value != other.value


def test_bad_arguments_are_named():
    with pytest.raises(InputError, match="probes=0: expected a whole number >= 1; pass"):
        hutch_plus_plus(abs, 3, 0, probes=0)
    with pytest.raises(InputError, match=r"probes=2\.5"):
        hutch_plus_plus(abs, 3, 0, probes=2.5)
    with pytest.raises(InputError, match="size=True"):
        hutch_plus_plus(abs, True, 0, probes=3)
    with pytest.raises(InputError, match="generator='a'"):
        hutch_plus_plus(np.eye(9), 9, "a", probes=3)
    with pytest.raises(InputError, match=r"shape \(8,\): expected \(9,\)"):
        hutch_plus_plus(lambda v: v[1:], 9, 0, probes=6)
    with pytest.raises(InputError, match="apply returned nan"):
        hutch_plus_plus(lambda v: v * np.nan, 9, 0, probes=6)
    with pytest.raises(InputError, match="apply is not symmetric"):
        hutch_plus_plus(np.cumsum, 9, 0, probes=6)
