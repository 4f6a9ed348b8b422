"""Log-determinants against numpy.linalg.slogdet, with and without a preconditioner."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thalweg.core.errors import InputError
from thalweg.linalg import Splitting, diagonal_splitting, log_determinant, nystrom_splitting
from tolerances import matrices, summation


def rotated(eigenvalues, seed=0):
    q = np.linalg.qr(np.random.default_rng(seed).normal(size=(len(eigenvalues),) * 2))[0]
    matrix = q * eigenvalues @ q.T
    return (matrix + matrix.T) / 2


def kernel(size, ridge):
    """A Gaussian kernel of random points in the plane, and the ridge."""
    points = np.random.default_rng(0).uniform(size=(size, 2))
    squares = ((points[:, None] - points[None]) ** 2).sum(axis=2)
    return np.exp(-4 * squares), ridge


def logarithm(matrix):
    sign, value = np.linalg.slogdet(matrix)
    assert sign == 1
    return value


@pytest.mark.parametrize("condition", [10, 1e3, 1e6])
@pytest.mark.parametrize(("size", "probes", "steps"), [(50, 3, 12), (200, 5, 30), (400, 8, 40)])
def test_the_log_determinant_lies_within_three_standard_errors(size, probes, steps, condition):
    matrix = rotated(np.geomspace(1 / condition, 1, size))
    truth = logarithm(matrix)
    for smallest in (None, 0.999 / condition):
        found = [
            log_determinant(matrix, size, seed, probes=probes, steps=steps, smallest=smallest) for seed in range(4)
        ]
        assert all(abs(estimate.value - truth) <= 3 * estimate.standard_error for estimate in found)
        assert all(estimate.products == probes * steps for estimate in found)


def kinds(size):
    """Eigenvalues that decay in all ways, down to ends that 6 to 20 steps see, guess and do not see."""
    order = np.arange(1.0, size + 1)
    gram = kernel(size, 0)[0]
    yield from (np.geomspace(1 / condition, 1, size) for condition in (1e1, 1e3, 1e6, 1e9))
    yield from (np.linspace(1 / condition, 1, size) for condition in (1e1, 1e3))
    yield from (np.linalg.eigvalsh(gram).clip(0) + ridge for ridge in (1e-1, 1e-3, 1e-6))
    yield from (np.geomspace(1, 1e-12, size) + ridge for ridge in (1e-3, 1e-6))
    yield from (np.maximum(order**-2, end) for end in (1e-3, 1e-6))
    yield from (order**-1, order**-4, 2 - 2 * np.cos(np.pi * order / (size + 1)))
    yield from (np.linalg.svd(np.random.default_rng(0).normal(size=(size, n)))[1] ** 2 for n in (size, 2 * size))
    yield from (np.r_[np.full(size // 3, end), np.linspace(0.1, 1, size - size // 3)] for end in (1e-4, 1e-10))


def test_bars_hold_and_are_not_much_wider_than_they_need_be_where_nothing_is_known_of_the_lower_end():
    held, wide = [], []
    for eigenvalues in kinds(150):
        truth = np.log(eigenvalues).sum()
        for steps in (6, 20):
            found = [
                log_determinant(lambda v, e=eigenvalues: e * v, 150, seed, probes=3, steps=steps) for seed in range(4)
            ]
            errors = np.array([estimate.value - truth for estimate in found])
            bars = np.array([estimate.standard_error for estimate in found])
            held += list(np.abs(errors) <= 3 * bars)
            wide.append(np.median(bars) / np.sqrt(np.mean(errors**2)))
    assert np.mean(held) >= 0.99
    assert np.median(wide) < 3


def test_eigenvalues_that_may_hide_are_enclosed_by_a_bound():
    """A group far below a tail of all sizes is taken for its end; a bound, be it a guess from below, holds it."""
    eigenvalues = np.r_[np.full(40, 1e-10), np.geomspace(1e-3, 1, 360)]
    truth = np.log(eigenvalues).sum()
    for seed in range(10):
        found = log_determinant(lambda v: eigenvalues * v, 400, seed, probes=5, steps=16, smallest=1e-12)
        assert abs(found.value - truth) <= 3 * found.standard_error


@pytest.mark.slow
@pytest.mark.parametrize("condition", [10, 1e3, 1e6])
@pytest.mark.parametrize("size", [50, 200, 600, 2000])
def test_all_sizes_and_conditions(size, condition):
    matrix = rotated(np.geomspace(1 / condition, 1, size))
    truth, missed, seeds = logarithm(matrix), 0, 12 if size < 2000 else 2
    for steps in (10, 30, 90):
        for smallest in (None, 0.999 / condition):
            for seed in range(seeds):
                found = log_determinant(matrix, size, seed, probes=10, steps=steps, smallest=smallest)
                missed += abs(found.value - truth) > 3 * found.standard_error
    assert missed <= 0.03 * 6 * seeds


@pytest.mark.parametrize("condition", [10, 1e3, 1e6])
@pytest.mark.parametrize("size", [1, 2, 50, 300])
def test_enough_products_give_the_log_determinant_itself(size, condition):
    matrix = rotated(np.geomspace(1 / condition, 1, size)) if size > 1 else np.array([[1 / condition]])
    for probes, steps in ((size, 1), (10, max(30, size // 10))):
        found = log_determinant(matrix, size, 0, probes=probes, steps=steps)
        assert found.products == size
        assert abs(found.value - logarithm(matrix)) <= 3 * found.standard_error <= matrices(3e3 * condition, size=size)


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 25), st.integers(1, 4), st.integers(1, 10), st.floats(-150, 150))
def test_scaling_the_matrix_adds_to_its_log_determinant(size, probes, steps, exponent):
    eigenvalues, scale = np.linspace(1, 3, size), 10.0**exponent
    one, other = (
        log_determinant(lambda v, s=s: s * (eigenvalues * v), size, 3, probes=probes, steps=steps) for s in (1.0, scale)
    )
    assert other.products == one.products
    expected = one.value + size * np.log(scale)
    # Without a resolved lower end, the value is the rule's own: that scales exactly.
    assert other.value == pytest.approx(expected, rel=1e3 * summation(size), abs=1e3 * summation(size) * size)


@pytest.mark.parametrize("ridge", [1e-1, 1e-4])
def test_a_preconditioner_changes_the_work_and_not_the_value(ridge):
    gram, ridge = kernel(300, ridge)
    matrix = gram + ridge * np.eye(300)
    truth = logarithm(matrix)
    splitting = nystrom_splitting(gram, 300, 7, rank=60, shift=ridge)
    for seed in range(10):
        plain = log_determinant(matrix, 300, seed, probes=6, steps=12, smallest=ridge)
        better = log_determinant(matrix, 300, seed, probes=6, steps=12, smallest=0.9, preconditioner=splitting)
        assert abs(plain.value - truth) <= 3 * plain.standard_error
        assert abs(better.value - truth) <= 3 * better.standard_error
        assert better.standard_error < 0.02 * plain.standard_error
        assert better.products <= 6 * 12 + 60


def test_a_diagonal_preconditioner_takes_out_scales():
    scales = np.geomspace(1e-4, 1e4, 250)
    matrix = rotated(np.linspace(1, 2, 250)) * np.sqrt(np.multiply.outer(scales, scales))
    splitting = diagonal_splitting(np.diag(matrix))
    found = log_determinant(matrix, 250, 0, probes=8, steps=25, preconditioner=splitting)
    assert abs(found.value - logarithm(matrix)) <= 3 * found.standard_error < 10
    plain = log_determinant(matrix, 250, 0, probes=8, steps=25)
    assert abs(plain.value - logarithm(matrix)) <= 3 * plain.standard_error
    assert plain.standard_error > 50 * found.standard_error


def test_a_triangular_factor_is_a_preconditioner_too(matrix_of):
    matrix = rotated(np.geomspace(1e-3, 1, 60))
    lower = np.linalg.cholesky(matrix + 1e-2 * np.eye(60))
    splitting = Splitting(
        lambda v: np.linalg.solve(lower, v), lambda v: np.linalg.solve(lower.T, v), 2 * np.log(np.diag(lower)).sum()
    )
    found = log_determinant(matrix, 60, 0, probes=4, steps=14, preconditioner=splitting)
    assert abs(found.value - logarithm(matrix)) <= 3 * found.standard_error
    whole = log_determinant(matrix, 60, 0, probes=60, steps=1, preconditioner=splitting)
    assert abs(whole.value - logarithm(matrix)) <= 3 * whole.standard_error <= matrices(1e4, size=60)


def test_sides_that_do_not_belong_together_are_not_symmetric():
    matrix = rotated(np.geomspace(1e-2, 1, 60))
    lower = np.linalg.cholesky(matrix)
    wrong = Splitting(lambda v: np.linalg.solve(lower, v), lambda v: np.linalg.solve(lower, v), 0.0)
    with pytest.raises(InputError, match="apply is not symmetric"):
        log_determinant(matrix, 60, 0, probes=2, steps=10, preconditioner=wrong)


@pytest.mark.parametrize(("probes", "steps"), [(2, 10), (60, 1)])
def test_a_matrix_that_is_not_positive_definite_is_named(trace_matrix_of, probes, steps):
    with pytest.raises(InputError, match=r"not positive definite: it has an eigenvalue at or below -[01]"):
        log_determinant(trace_matrix_of("indefinite"), 60, 0, probes=probes, steps=steps)
    with pytest.raises(InputError, match="not positive definite: it has an eigenvalue at or below .*e-1[5-9]"):
        log_determinant(trace_matrix_of("rank six"), 60, 0, probes=probes, steps=steps)
    with pytest.raises(InputError, match="not positive definite: it has an eigenvalue at or below 0, up to rounding"):
        log_determinant(np.zeros((60, 60)), 60, 0, probes=probes, steps=steps)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"probes": 0}, "probes=0: expected a whole number >= 1; pass"),
        ({"steps": -2}, "steps=-2: expected a whole number >= 1; pass"),
        ({"size": 0}, "size=0"),
        ({"smallest": 0.0}, "smallest=0: expected a number > 0; leave it out"),
        ({"smallest": -1.0}, r"smallest=-1\.0"),
        ({"smallest": 3.0}, "smallest=3, but the matrix has an eigenvalue at or below [12]"),
        ({"generator": "x"}, "generator='x'"),
        ({"apply": np.cumsum}, "apply is not symmetric"),
        ({"apply": lambda v: v + np.inf}, "apply returned inf"),
        ({"apply": np.eye(3)}, r"operator of shape \(3, 3\) and size=12"),
        ({"preconditioner": 2.0}, "preconditioner is a float: expected a Splitting"),
    ],
)
def test_bad_arguments_are_named(changes, message):
    arguments = {"apply": lambda v: np.linspace(1, 12, 12) * v, "size": 12, "generator": 0, "probes": 2, "steps": 5}
    with pytest.raises(InputError, match=message):
        log_determinant(**arguments | changes)
