"""Lanczos against dense eigenvalues: bounds hold the truth, intervals do at their stated rate, breakdown is exact."""

import numpy as np
import pytest

from thalweg.core.errors import InputError
from thalweg.linalg import as_rows, lanczos
from tolerances import summation

SEEDS = 200


def products(matrix):
    return lambda v: matrix @ v


@pytest.mark.parametrize("steps", [1, 2, 7, 500])
def test_some_eigenvalue_lies_within_every_residual(spectral, steps):
    matrix, eigenvalues = spectral
    for seed in range(5):
        found = lanczos(products(matrix), len(matrix), seed, steps=steps)
        assert found.products == len(found.ritz) <= min(steps, len(matrix))
        assert (np.abs(found.ritz[:, None] - eigenvalues).min(axis=1) <= found.residuals).all()
        assert found.weights.sum() == pytest.approx(1, abs=summation(len(matrix)))
        if steps > len(matrix):
            assert found.exact
            assert max(found.residuals) == pytest.approx(found.rounding, rel=1)
            # As many steps as distinct eigenvalues find both ends, and nothing is left to chance.
            for extreme, truth in zip(found.extremes, eigenvalues[[0, -1]], strict=True):
                assert abs(extreme.value - truth) <= extreme.residual


@pytest.mark.parametrize("steps", [1, 3, 6, 12])
@pytest.mark.parametrize("kind", ["two", "indefinite", "geometric", "clustered"])
def test_intervals_hold_the_ends_of_the_spectrum_in_99_of_100_seeds(matrix_of, kind, steps):
    matrix = matrix_of(kind)
    ends = np.linalg.eigvalsh(matrix)[[0, -1]]
    missed = np.zeros(2, dtype=int)
    for seed in range(SEEDS):
        extremes = lanczos(products(matrix), len(matrix), seed, steps=steps).extremes
        assert {extreme.confidence for extreme in extremes} == {0.99}
        missed += [not e.interval[0] <= end <= e.interval[1] for e, end in zip(extremes, ends, strict=True)]
    assert (missed <= 0.02 * SEEDS).all()


def test_intervals_are_narrow_once_the_ends_have_converged(matrix_of):
    matrix = matrix_of("geometric")
    low, high = lanczos(products(matrix), 30, 0, steps=25).extremes[1].interval
    assert high - low <= 100 * summation(30)


def test_bounds_widen_with_confidence(matrix_of):
    found = lanczos(products(matrix_of("indefinite")), 30, 0, steps=6)
    assert found.ritz[-1] < found.upper(0.5) < found.upper(0.99) < found.upper(0.9999)
    assert found.ritz[0] > found.lower(0.5) > found.lower(0.99) > found.lower(0.9999)


def test_the_basis_is_orthonormal_and_projects_the_matrix(matrix_of):
    matrix = matrix_of("singular")
    found = lanczos(products(matrix), 200, 0, steps=90, keep_basis=True)
    tolerance = summation(200)
    np.testing.assert_allclose(found.basis @ found.basis.T, np.eye(90), atol=tolerance)
    expected = np.diag(found.alphas) + np.diag(found.betas[:-1], 1) + np.diag(found.betas[:-1], -1)
    np.testing.assert_allclose(found.basis @ matrix @ found.basis.T, expected, atol=4 * tolerance)
    for extreme in found.extremes:
        residual = np.linalg.norm(matrix @ extreme.vector - extreme.value * extreme.vector)
        assert residual <= extreme.residual
        assert residual >= extreme.residual - 2 * found.rounding


def test_a_function_of_the_matrix_times_the_start(matrix_of):
    matrix, start = matrix_of("indefinite"), 5 * np.ones(30)
    eigenvalues, vectors = np.linalg.eigh(matrix)
    found = lanczos(products(matrix), 30, 0, steps=30, start=start, keep_basis=True)
    expected = vectors @ (np.exp(eigenvalues) * (vectors.T @ start))
    np.testing.assert_allclose(
        found.function_of_start(np.exp), expected, atol=10 * summation(30) * np.abs(expected).max()
    )
    with pytest.raises(InputError, match="keep_basis=True"):
        lanczos(products(matrix), 30, 0, steps=2).function_of_start(np.exp)


def test_an_invariant_subspace_ends_the_run_exactly(matrix_of):
    matrix = matrix_of("indefinite")
    eigenvalues, vectors = np.linalg.eigh(matrix)
    found = lanczos(products(matrix), 30, 0, steps=20, start=vectors[:, [3, 7]].sum(axis=1))
    assert found.exact
    assert found.products == 2
    assert np.abs(found.ritz - eigenvalues[[3, 7]]).max() <= found.rounding
    assert found.largest.confidence is None


@pytest.mark.parametrize(("kind", "distinct"), [("rank-one", 2), ("multiple of the identity", 1), ("zero", 1)])
def test_a_drawn_vector_needs_as_many_products_as_distinct_eigenvalues(matrix_of, kind, distinct):
    matrix = matrix_of(kind)
    found = lanczos(products(matrix), len(matrix), 0, steps=20)
    assert found.exact
    assert found.products == distinct


def test_the_tolerance_stops_the_run(matrix_of):
    matrix = matrix_of("indefinite")
    largest = lanczos(products(matrix), 30, 0, steps=30, tolerance=1e-3)
    both = lanczos(products(matrix), 30, 0, steps=30, tolerance=1e-3, smallest=True)
    assert 1 < largest.products <= both.products < 30
    assert largest.largest.residual <= 1e-3 * largest.largest.value + largest.rounding
    assert both.smallest.residual <= 1e-3 * abs(both.smallest.value) + both.rounding


def test_the_same_seed_gives_the_same_numbers(matrix_of):
    matrix = matrix_of("indefinite")
    first, second, other = (lanczos(products(matrix), 30, seed, steps=9) for seed in (4, np.random.default_rng(4), 5))
    np.testing.assert_array_equal(first.ritz, second.ritz)
    assert (first.ritz != other.ritz).any()


def test_operators_and_buffers_that_apply_uses_again(matrix_of):
    matrix = matrix_of("indefinite")
    buffer = np.empty(30)
    found = [
        lanczos(apply, 30, 0, steps=9).ritz
        for apply in (products(matrix), as_rows(matrix), lambda v: np.matmul(matrix, v, out=buffer))
    ]
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])
    assert lanczos(lambda v: v, 30, 0, steps=9).ritz.tolist() == pytest.approx([1.0], abs=summation(30))


def test_bounds_hold_for_single_precision_products(matrix_of):
    matrix = matrix_of("geometric")
    single = matrix.astype(np.float32)
    found = lanczos(lambda v: single @ v.astype(np.float32), 30, 0, steps=30)
    eigenvalues = np.linalg.eigvalsh(matrix)
    assert (np.abs(found.ritz[:, None] - eigenvalues).min(axis=1) <= found.residuals).all()
    assert found.rounding < 1e-4


def poisoned(value):
    def apply(v):
        return np.where(np.arange(3) == 1, value, v)

    return apply


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"size": 0}, r"size=0: expected a whole number >= 1; pass the length"),
        ({"size": 2.5}, r"size=2\.5"),
        ({"steps": 0}, r"steps=0: expected a whole number >= 1; pass the number of products"),
        ({"steps": True}, r"steps=True"),
        ({"tolerance": -1.0}, r"tolerance=-1\.0"),
        ({"start": np.ones(4)}, r"start has shape \(4,\): expected \(3,\)"),
        ({"start": np.zeros(3)}, r"start is zero"),
        ({"generator": "seed"}, r"generator='seed'"),
        ({"apply": lambda v: v[:2]}, r"apply returned an array of shape \(2,\): expected \(3,\); return one vector"),
        ({"apply": lambda v: v * 1j}, r"apply returned entries of type complex128"),
        ({"apply": poisoned(np.nan)}, r"apply returned nan at entry 1 in product 1: expected finite"),
        ({"apply": poisoned(-np.inf)}, r"apply returned -inf at entry 1"),
        ({"apply": lambda v: np.cumsum(v)}, r"apply is not symmetric: u'Av - v'Au is .*\(A \+ A'\)/2"),
        ({"apply": as_rows(np.ones((3, 2)))}, r"operator of shape \(3, 2\) and size=3"),
    ],
)
def test_bad_arguments_are_named(changes, message):
    arguments = {"apply": lambda v: np.arange(3) * v, "size": 3, "generator": 0, "steps": 3} | changes
    with pytest.raises(InputError, match=message):
        lanczos(**arguments)
