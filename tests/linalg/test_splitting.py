"""Splittings: both solves invert what they say, and the log-determinant is that of M."""

import numpy as np
import pytest

from thalweg.core.errors import InputError
from thalweg.linalg import diagonal_splitting, nystrom_splitting
from tolerances import matrices, summation


def dense(splitting, size):
    """L^-1 and L'^-1 written out."""
    solves = (splitting.solve, splitting.solve_transposed)
    return [np.stack([solve(e) for e in np.eye(size)], axis=1) for solve in solves]


def test_a_diagonal_is_split_into_its_roots():
    diagonal = np.array([4.0, 0.25, 9.0])
    splitting = diagonal_splitting(diagonal)
    inverse, transposed = dense(splitting, 3)
    np.testing.assert_array_equal(inverse, transposed.T)
    np.testing.assert_allclose(transposed @ inverse, np.diag(1 / diagonal), rtol=summation(3))
    assert splitting.log_determinant == pytest.approx(np.log(9.0), rel=summation(3))
    assert splitting.products == 0


def test_whole_numbers_are_a_diagonal():
    assert diagonal_splitting(np.array([4, 9])).log_determinant == pytest.approx(np.log(36), rel=summation(2))


@pytest.mark.parametrize("diagonal", [[1.0, 0.0], [1.0, -1.0], [np.nan], [np.inf], [[1.0]], 1.0, ["1"], [True], [1j]])
def test_what_is_no_positive_diagonal_is_refused(diagonal):
    with pytest.raises(InputError, match="diagonal is not a vector of finite numbers > 0; pass"):
        diagonal_splitting(np.array(diagonal))


@pytest.mark.parametrize("rank", [1, 7, 40, 60, 99])
def test_both_solves_and_the_log_determinant_belong_to_one_matrix(semidefinite, rank):
    splitting = nystrom_splitting(semidefinite, 60, 0, rank=rank, shift=0.1)
    inverse, transposed = dense(splitting, 60)
    np.testing.assert_allclose(inverse, transposed.T, atol=1e2 * summation(60))
    sign, logarithm = np.linalg.slogdet(transposed @ inverse)
    assert sign == 1
    assert splitting.log_determinant == pytest.approx(-logarithm, abs=matrices(1e3, size=60))
    assert splitting.products == min(rank, 60)


@pytest.mark.parametrize("scale", [1e-100, 1.0, 1e100])
def test_a_captured_matrix_is_split_exactly(trace_matrix_of, scale):
    matrix = scale * trace_matrix_of("rank six")
    splitting = nystrom_splitting(lambda v: matrix @ v, 60, 0, rank=8, shift=0.01 * scale)
    inverse, transposed = dense(splitting, 60)
    whole = inverse @ (matrix + 0.01 * scale * np.eye(60)) @ transposed
    np.testing.assert_allclose(whole, np.eye(60), atol=matrices(1e2, size=60))


def test_an_approximation_leaves_eigenvalues_between_one_and_what_it_missed(trace_matrix_of):
    """Nystrom lies below K, so that L^-1 A L'^-1 >= I; the bound above is 1 + ||K - K_r|| / shift."""
    matrix, shift = trace_matrix_of("power"), 1e-3
    splitting = nystrom_splitting(matrix, 60, 0, rank=25, shift=shift)
    inverse, transposed = dense(splitting, 60)
    eigenvalues = np.linalg.eigvalsh(inverse @ (matrix + shift * np.eye(60)) @ transposed)
    condition = (1 + shift) / (1 / 3600 + shift)
    assert eigenvalues[0] >= 1 - matrices(condition, size=60)
    assert eigenvalues[-1] < 5 < condition


def test_the_zero_matrix_is_its_shift():
    splitting = nystrom_splitting(np.zeros((5, 5)), 5, 0, rank=2, shift=0.5)
    assert splitting.log_determinant == pytest.approx(5 * np.log(0.5), rel=summation(5))
    np.testing.assert_allclose(splitting.solve(np.ones(5)), np.sqrt(2), rtol=summation(5))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rank": 0}, "rank=0: expected a whole number >= 1; pass"),
        ({"shift": 0.0}, r"shift=0\.0: expected a number > 0"),
        ({"shift": -1.0}, r"shift=-1\.0"),
        ({"shift": np.nan}, "shift=nan"),
        ({"apply": np.cumsum}, "apply is not symmetric"),
        ({"apply": lambda v: -v}, "apply is not positive semidefinite: v'Av / v'v is -1"),
        ({"size": 8}, r"size=8"),
    ],
)
def test_bad_arguments_are_named(changes, message):
    arguments = {"apply": np.eye(9), "size": 9, "generator": 0, "rank": 4, "shift": 0.1}
    with pytest.raises(InputError, match=message):
        nystrom_splitting(**arguments | changes)
