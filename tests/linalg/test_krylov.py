"""Power iteration and conjugate gradients against dense algebra."""

import numpy as np
import pytest

from thalweg.core.errors import InputError
from thalweg.linalg import CgHistory, lanczos, power_iteration, preconditioned_cg, spectrum_of
from tolerances import solve as solve_tolerance
from tolerances import summation


@pytest.mark.parametrize("steps", [1, 5, 60])
def test_some_eigenvalue_lies_within_the_residual(spectral, steps):
    matrix, eigenvalues = spectral
    for seed in range(5):
        found = power_iteration(lambda v: matrix @ v, len(matrix), seed, steps=steps, tolerance=1e-6)
        assert found.products <= steps
        assert np.abs(eigenvalues - found.value).min() <= found.residual
        assert np.linalg.norm(matrix @ found.vector - found.value * found.vector) <= found.residual
        assert found.interval == (found.value - found.residual, found.value + found.residual)


@pytest.mark.parametrize("eigenvalues", [[-5.0, 1.0, 2.0], [0.0, 1.0, 5.0], [3.0], [0.0, 0.0, 7.0], [-4.0, -4.0, 1.0]])
def test_the_eigenvalue_of_largest_size_with_its_sign(matrix_of, eigenvalues):
    matrix = matrix_of(eigenvalues)
    truth = max(eigenvalues, key=abs)
    found = power_iteration(lambda v: matrix @ v, len(matrix), 0, steps=200, tolerance=1e-8)
    assert found.products < 200
    assert abs(found.value - truth) <= found.residual <= 1e-7 * abs(truth)


def test_opposite_eigenvalues_leave_a_large_residual(matrix_of):
    matrix = matrix_of("two")
    found = power_iteration(lambda v: matrix @ v, 2, 0, steps=50)
    assert found.products == 50
    assert found.residual > 0.01


@pytest.mark.parametrize("scale", [1e-170, 1e170])
def test_squares_may_leave_the_range_of_floats(matrix_of, scale):
    matrix = scale * matrix_of(np.linspace(-2, 1, 20))
    found = power_iteration(matrix, 20, 0, steps=400, tolerance=1e-8)
    assert abs(found.value / scale + 2) <= found.residual / scale <= 1e-7
    smallest, largest = lanczos(matrix, 20, 0, steps=20).extremes
    assert [smallest.value / scale, largest.value / scale] == pytest.approx([-2, 1], abs=summation(20))


def test_the_zero_matrix_ends_at_once():
    found = power_iteration(lambda v: 0 * v, 4, 0, steps=50)
    assert (found.value, found.residual, found.products) == (0.0, 0.0, 1)


def test_power_iteration_repeats_from_a_seed(matrix_of):
    matrix = matrix_of("indefinite")
    first, second, other = (power_iteration(lambda v: matrix @ v, 30, seed, steps=3) for seed in (1, 1, 2))
    assert first.value == second.value != other.value


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"size": 0}, "size=0"),
        ({"steps": 0}, "steps=0: expected a whole number >= 1; pass"),
        ({"tolerance": float("nan")}, "tolerance=nan"),
        ({"apply": lambda v: v[:1]}, r"shape \(1,\): expected \(3,\)"),
        ({"apply": lambda v: v * np.nan}, "apply returned nan"),
        ({"apply": np.cumsum}, "apply is not symmetric"),
    ],
)
def test_bad_arguments_are_named(changes, message):
    with pytest.raises(InputError, match=message):
        power_iteration(**{"apply": lambda v: v, "size": 3, "generator": 0, "steps": 3} | changes)


def solved(matrix, b, precondition=lambda r: r, limit=500):
    found, products, reached = preconditioned_cg(lambda v: matrix @ v, b, precondition, 1e-8, limit)
    return found, products, reached, np.linalg.norm(matrix @ found - b)


def test_nothing_to_solve_costs_nothing(matrix_of):
    found, products, reached, _ = solved(matrix_of(np.linspace(1, 2, 9)), np.zeros(9))
    assert not found.any() and products == 0 and reached


@pytest.mark.parametrize("signs", [np.linspace(-1, 1, 12), -np.ones(12)])
def test_a_preconditioner_that_is_not_positive_definite_reaches_nothing(matrix_of, signs):
    _, _, reached, _ = solved(matrix_of(np.linspace(1, 9, 12)), np.arange(1.0, 13.0), lambda r: r * signs)
    assert not reached


@pytest.mark.parametrize("smallest", [0.0, 1e-17, -1.0])
def test_no_solution_is_claimed_where_there_is_none(matrix_of, smallest):
    """A right side that reaches out of the range, or, next to that, an eigenvalue that is rounding."""
    matrix, b = matrix_of(np.r_[smallest, np.linspace(1, 2, 29)]), np.random.default_rng(0).normal(size=30)
    _, _, reached, left = solved(matrix, b)
    assert not reached
    inside = matrix_of(np.r_[0.0, np.linspace(1, 2, 29)]) @ b
    _, _, reached, left = solved(matrix_of(np.r_[0.0, np.linspace(1, 2, 29)]), inside)
    assert reached and left <= 1e-7 * np.linalg.norm(inside)


@pytest.mark.parametrize("limit", [1, 3, 6])
def test_conjugate_gradients_tell_the_spectrum_they_met(matrix_of, limit):
    """The history gives the same Gauss rule as Lanczos on the preconditioned matrix."""
    matrix, b = matrix_of(np.linspace(1, 9, 12)), np.arange(1.0, 13.0)
    diagonal = np.linspace(0.5, 2, 12)
    history = CgHistory()
    answer = preconditioned_cg(lambda v: matrix @ v, b, lambda r: r / diagonal, 1e-14, limit, history)
    root = np.sqrt(diagonal)
    expected = spectrum_of(lambda v: matrix @ (v / root) / root, b / root, limit)
    found = history.spectrum()
    condition = expected.nodes[-1] / expected.nodes[0]
    np.testing.assert_allclose(found.nodes, expected.nodes, rtol=solve_tolerance(condition, size=12))
    np.testing.assert_allclose(found.weights, expected.weights, atol=solve_tolerance(condition, size=12))
    assert found.norm_squared == pytest.approx(expected.norm_squared, rel=summation(12))
    assert found.products == answer[1] == limit
    left = b - matrix @ answer[0]
    assert history.residuals[0] == 1
    remains = np.linalg.norm(left / root) / np.linalg.norm(b / root)
    assert history.residuals[-1] == pytest.approx(remains, abs=solve_tolerance(condition, size=12))


def test_the_history_changes_nothing(matrix_of):
    matrix, b = matrix_of(np.linspace(1, 9, 12)), np.arange(1.0, 13.0)
    plain = preconditioned_cg(lambda v: matrix @ v, b, lambda r: r, 1e-8, 50)
    watched = preconditioned_cg(lambda v: matrix @ v, b, lambda r: r, 1e-8, 50, CgHistory())
    np.testing.assert_array_equal(plain[0], watched[0])
    assert plain[1:] == watched[1:]


def test_a_history_without_a_step_has_no_spectrum(matrix_of):
    history = CgHistory()
    assert history.spectrum() is None
    preconditioned_cg(lambda v: -v, np.ones(3), lambda r: r, 1e-8, 5, history)
    assert history.spectrum() is None
    np.testing.assert_array_equal(history.residuals, [1.0])
