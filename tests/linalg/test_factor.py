"""The shifted factor solves positive definite systems exactly and always gives a descent direction."""

import numpy as np
import pytest

from thalweg.linalg import factor, preconditioned_cg
from tolerances import solve as solve_tolerance


def symmetric(spectrum, seed=0):
    q = np.linalg.qr(np.random.default_rng(seed).normal(size=(len(spectrum), len(spectrum))))[0]
    return q * spectrum @ q.T


@pytest.mark.parametrize("condition", [1.0, 1e4, 1e8])
def test_positive_definite(condition):
    matrix = symmetric(np.geomspace(1, 1 / condition, 8))
    x = np.arange(1.0, 9.0)
    found = factor(matrix)(matrix @ x)
    assert np.linalg.norm(found - x) <= solve_tolerance(condition, size=8) * np.linalg.norm(x)


@pytest.mark.parametrize("spectrum", [[1, 1, 0.0], [1, -1e-3, 1e-9], [-1, -2, -3.0], [0.0, 0, 0], [1e-300, 1, 1]])
def test_any_symmetric_matrix_gives_descent(spectrum):
    matrix = symmetric(np.array(spectrum, dtype=float))
    gradient = np.array([1.0, -2.0, 0.5])
    direction = -factor(matrix)(gradient)
    assert np.isfinite(direction).all()
    assert gradient @ direction < 0


def test_scale_of_the_variables_does_not_matter():
    """D A D with very different scales in D is solved as well as A."""
    matrix, scale = symmetric(np.geomspace(1, 0.1, 4)), np.array([1e-3, 1.0, 1e2, 1e-1])
    x = np.ones(4) / scale
    found = factor(scale[:, None] * matrix * scale)(scale * (matrix @ (scale * x)))
    np.testing.assert_allclose(found, x, rtol=solve_tolerance(10, size=4) * 10)


def test_conjugate_gradients_with_the_exact_preconditioner_takes_one_product():
    matrix = symmetric(np.geomspace(1, 1e-3, 6))
    solve = factor(matrix)
    found, products, reached = preconditioned_cg(lambda v: matrix @ v, np.ones(6), solve, 1e-8, 50)
    assert (products, reached) == (1, True)
    np.testing.assert_allclose(matrix @ found, np.ones(6), atol=1e-8)


def test_conjugate_gradients_ends_in_as_many_steps_as_distinct_eigenvalues():
    matrix = symmetric(np.array([1.0, 1.0, 1.0, 5.0, 5.0, 9.0]))
    _, products, reached = preconditioned_cg(lambda v: matrix @ v, np.arange(6.0), lambda r: r, 1e-10, 50)
    assert reached
    assert products == 3


def test_negative_curvature_still_descends():
    matrix = symmetric(np.array([1.0, -1.0, 2.0]))
    b = np.array([1.0, 2.0, 3.0])
    found, _, reached = preconditioned_cg(lambda v: matrix @ v, b, lambda r: r, 1e-10, 50)
    assert not reached
    assert b @ found > 0


def test_a_definite_matrix_needs_no_common_scale_of_its_entries():
    """Columns scaled by 1e8 and 1e-8 are the same system."""
    core, scale = symmetric(np.array([1.0, 2.0, 5.0])), np.array([1e8, 1.0, 1e-8])
    solve = factor(core * scale * scale[:, None])
    assert solve.definite
    right = np.array([1.0, -2.0, 3.0])
    np.testing.assert_allclose(scale * solve(scale * right), np.linalg.solve(core, right), rtol=1e-12)
