"""Secant updates beside what defines them: the secant equation, inverses of one another, definiteness, duality."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from thalweg.core.errors import InputError
from thalweg.methods.secant import (
    bfgs_direct,
    bfgs_inverse,
    dfp_direct,
    dfp_inverse,
    powell_damped,
    sr1_direct,
    sr1_inverse,
)
from tolerances import arithmetic, matrices

FORMS = {"bfgs": (bfgs_direct, bfgs_inverse), "dfp": (dfp_direct, dfp_inverse), "sr1": (sr1_direct, sr1_inverse)}
DEFINITE = ["bfgs", "dfp"]
ALL = [form for forms in FORMS.values() for form in forms]
SEEDS = st.integers(0, 10**6)
SIZES = st.integers(1, 6)


def symmetric(rng, size, low, high):
    """A symmetric matrix with eigenvalues drawn between low and high."""
    basis = np.linalg.qr(rng.normal(size=(size, size)))[0]
    A = basis * rng.uniform(low, high, size) @ basis.T
    return (A + A.T) / 2


def pairs_of(name, rng, size, count):
    """Pairs with s'y > 0; SR1's from one Hessian above the identity, so that r's > 0 until it is found."""
    hessian = symmetric(rng, size, 2.0, 4.0)
    for _ in range(min(count, size) if name == "sr1" else count):
        s = rng.normal(size=size)
        yield s, (hessian if name == "sr1" else symmetric(rng, size, 0.5, 4.0)) @ s


def spread(matrix):
    return float(np.linalg.cond(matrix))


# --- What every update keeps ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FORMS)
@given(seed=SEEDS, size=SIZES)
def test_updates_are_symmetric_map_the_pair_and_stay_inverse(name, seed, size):
    direct, inverse = FORMS[name]
    rng = np.random.default_rng(seed)
    B, C = np.eye(size), np.eye(size)
    rounding = 0.0  # of all updates so far: each carries the errors of the last by the condition of its matrix
    for s, y in pairs_of(name, rng, size, 6):
        # Where the steps are nearly dependent, r's of SR1 nearly cancels: dividing by it magnifies rounding as much.
        r = y - B @ s
        if name == "sr1" and abs(r @ s) < 1e-3 * np.sqrt((r @ r) * (s @ s)):
            break
        B, C = direct(B, s, y), inverse(C, s, y)
        rounding += matrices(spread(B) ** 2, size=size)
        np.testing.assert_array_equal(B, B.T)
        np.testing.assert_array_equal(C, C.T)
        assert np.abs(B @ s - y).max() <= rounding * np.abs(B).max() * np.abs(s).max()
        assert np.abs(C @ y - s).max() <= rounding * np.abs(C).max() * np.abs(y).max()
        # SR1 divides by r's, which may be a thousandth of |r||s|.
        assert np.abs(B @ C - np.eye(size)).max() <= (1e3 if name == "sr1" else 1.0) * rounding


@pytest.mark.parametrize("update", ALL)
def test_arguments_are_left_alone(update):
    rng = np.random.default_rng(0)
    matrix, s = symmetric(rng, 4, 0.5, 2.0), rng.normal(size=4)
    y = symmetric(rng, 4, 3.0, 5.0) @ s
    before = matrix.copy(), s.copy(), y.copy()
    assert update(matrix, s, y) is not matrix
    for kept, now in zip(before, (matrix, s, y), strict=True):
        np.testing.assert_array_equal(kept, now)


@pytest.mark.parametrize(("name", "rank"), [("sr1", 1), ("bfgs", 2), ("dfp", 2)])
def test_the_change_has_the_rank_that_the_name_says(name, rank):
    rng = np.random.default_rng(1)
    B, s = symmetric(rng, 6, 0.5, 2.0), rng.normal(size=6)
    y = symmetric(rng, 6, 3.0, 5.0) @ s
    for update in FORMS[name]:
        sizes = np.linalg.svd(update(B, s, y) - B, compute_uv=False)
        assert (sizes[rank:] <= matrices(size=6) * sizes[0]).all()
        assert sizes[rank - 1] > 1e-3 * sizes[0]


# --- Definiteness -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", DEFINITE)
@given(seed=SEEDS, size=SIZES)
def test_bfgs_and_dfp_stay_positive_definite(name, seed, size):
    """Also from pairs of no quadratic: s'y > 0 is all that is asked, here at least a tenth of |s||y|."""
    rng = np.random.default_rng(seed)
    B, C = np.eye(size), np.eye(size)
    for _ in range(3):
        s, y = rng.normal(size=(2, size))
        y *= np.sign(s @ y)
        if s @ y < 0.1 * np.linalg.norm(s) * np.linalg.norm(y):
            y = y + s * np.linalg.norm(y) / np.linalg.norm(s)
        direct, inverse = FORMS[name]
        B, C = direct(B, s, y), inverse(C, s, y)
        for matrix in (B, C):
            least, largest = np.linalg.eigvalsh(matrix)[[0, -1]]
            assert least > -matrices(size=size) * largest
            # Where rounding cannot hide it, the sign is certain.
            assert least > 0 or spread(matrix) > 1e12


@pytest.mark.parametrize("name", DEFINITE)
def test_negative_curvature_costs_definiteness(name):
    """s'B+ s = s'y < 0: no matrix that maps s to y is definite, and none is invented."""
    for update in FORMS[name]:
        assert np.linalg.eigvalsh(update(np.eye(2), [1.0, 0.0], [-1.0, 0.5]))[0] < 0


def test_sr1_follows_an_indefinite_hessian():
    A = np.diag([-3.0, -0.5, 0.5])
    B = np.eye(3)
    for s in np.random.default_rng(2).normal(size=(3, 3)):
        B = sr1_direct(B, s, A @ s)
    assert np.sum(np.linalg.eigvalsh(B) < 0) == 2


# --- The Hessian of a quadratic ---------------------------------------------------------------------------------------


@given(seed=SEEDS, size=SIZES, definite=st.booleans())
def test_sr1_finds_the_hessian_from_independent_steps(seed, size, definite):
    """With A - B definite, all r's are nonzero in exact arithmetic; steps are independent with a small condition."""
    rng = np.random.default_rng(seed)
    A = symmetric(rng, size, 2.0, 4.0) if definite else symmetric(rng, size, -4.0, 0.5)
    steps = np.eye(size) + 0.3 * symmetric(rng, size, -1.0, 1.0)
    B, C = np.eye(size), np.eye(size)
    for s in steps:
        B = sr1_direct(B, s, A @ s)
        if definite:
            C = sr1_inverse(C, s, A @ s)
    room = size * matrices(spread(A - np.eye(size)) ** 2 * spread(steps) ** 2, size=size)
    assert np.abs(B - A).max() <= room * 4.0
    if definite:
        assert np.abs(C - np.linalg.inv(A)).max() <= 4 * room


def test_sr1_keeps_a_matrix_that_already_agrees():
    A = np.array([[2.0, 1.0], [1.0, 3.0]])
    np.testing.assert_array_equal(sr1_direct(A, [1.0, 2.0], A @ [1.0, 2.0]), A)


# --- Duality and the textbook's other forms ---------------------------------------------------------------------------


@given(seed=SEEDS, size=SIZES)
def test_direct_forms_are_inverse_forms_with_the_pair_exchanged(seed, size):
    rng = np.random.default_rng(seed)
    M, s = symmetric(rng, size, 0.5, 2.0), rng.normal(size=size)
    y = symmetric(rng, size, 3.0, 5.0) @ s
    for direct, inverse in ((dfp_direct, bfgs_inverse), (bfgs_direct, dfp_inverse), (sr1_direct, sr1_inverse)):
        np.testing.assert_array_equal(direct(M, y, s), inverse(M, s, y))


@given(seed=SEEDS, size=SIZES)
def test_bfgs_inverse_is_the_nearest_symmetric_matrix(seed, size):
    """It minimises |W^(1/2) (C+ - C) W^(1/2)| for any W with W s = y: an optimum of least squares (N&W 6.16)."""
    rng = np.random.default_rng(seed)
    W, s, C = symmetric(rng, size, 0.5, 2.0), rng.normal(size=size), symmetric(rng, size, 0.5, 2.0)
    y = W @ s
    found = bfgs_inverse(C, s, y)
    values, basis = np.linalg.eigh(W)
    root = basis * np.sqrt(values) @ basis.T
    # Symmetric matrices as rows of coefficients, the constraint E y = s - C y solved with least norm by lstsq.
    upper = np.triu_indices(size)
    E = np.zeros((len(upper[0]), size, size))
    for k, (i, j) in enumerate(zip(*upper, strict=True)):
        E[k, i, j] = E[k, j, i] = 1.0
        E[k] /= np.linalg.norm(E[k])
    # In F = root E root, constraint F root^-1 y = root (s - C y); the norm of F is Euclidean in these coefficients.
    equations = (E @ np.linalg.solve(root, y)).T
    coefficients = np.linalg.lstsq(equations, root @ (s - C @ y), rcond=None)[0]
    F = np.tensordot(coefficients, E, 1)
    nearest = C + np.linalg.solve(root, np.linalg.solve(root, F).T).T
    assert np.abs(found - nearest).max() <= matrices(16.0, size=size) * np.abs(nearest).max()


@given(seed=SEEDS, size=SIZES)
def test_determinants_are_those_of_the_formulas(seed, size):
    """det B+ = det B s'y / s'B s for BFGS (Nocedal and Wright, exercise 6.10), and so for DFP's C."""
    rng = np.random.default_rng(seed)
    M, s = symmetric(rng, size, 0.5, 2.0), rng.normal(size=size)
    y = symmetric(rng, size, 0.5, 2.0) @ s
    for found, ratio in ((bfgs_direct(M, s, y), s @ y / (s @ M @ s)), (dfp_inverse(M, s, y), s @ y / (y @ M @ y))):
        expected = np.linalg.det(M) * ratio
        assert abs(np.linalg.det(found) - expected) <= matrices(spread(found), size=size**2) * abs(expected)


# --- Powell's damping -------------------------------------------------------------------------------------------------


@given(seed=SEEDS, size=SIZES, share=st.floats(0.05, 0.9))
def test_damping_leaves_a_share_of_the_curvature(seed, size, share):
    rng = np.random.default_rng(seed)
    B = symmetric(rng, size, 0.5, 2.0)
    s, y = rng.normal(size=(2, size))
    Bs = B @ s
    model = s @ Bs
    damped = powell_damped(s, y, Bs, share)
    if s @ y >= share * model:
        np.testing.assert_array_equal(damped, y)
    else:
        scale = np.linalg.norm(s) * max(np.linalg.norm(y), np.linalg.norm(Bs))
        assert abs(s @ damped - share * model) <= arithmetic(operations=8 * size) * scale
        # It lies on the segment from y to B s, and BFGS made from it is definite.
        theta = np.dot(damped - Bs, y - Bs) / np.dot(y - Bs, y - Bs)
        assert 0 <= theta <= 1
        np.testing.assert_allclose(
            damped, theta * y + (1 - theta) * Bs, atol=matrices(size=size) * scale / min(1, model)
        )
        assert np.linalg.eigvalsh(bfgs_direct(B, s, damped))[0] > 0 or model < 1e-6


def test_damping_by_hand():
    # s'B s = 1, s'y = -1: theta = 0.8 / 2.
    np.testing.assert_allclose(
        powell_damped([1.0, 0.0], [-1.0, 2.0], [1.0, 0.0]), [0.2, 0.8], rtol=arithmetic(operations=4)
    )


# --- Refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("update", ALL)
@pytest.mark.parametrize(
    ("matrix", "s", "y"),
    [
        (np.eye(3), [1.0, 0.0], [1.0, 0.0]),
        (np.eye(2), [1.0, 0.0], [1.0, 0.0, 0.0]),
        (np.ones((2, 3)), [1.0, 0.0], [1.0, 0.0]),
        (np.ones(2), [1.0, 0.0], [1.0, 0.0]),
        (np.eye(2), [[1.0], [0.0]], [1.0, 0.0]),
        (np.eye(2), 1.0, 1.0),
        (np.zeros((0, 0)), [], []),
        (np.eye(2), [np.nan, 0.0], [1.0, 0.0]),
        (np.eye(2), [1.0, 0.0], [np.inf, 0.0]),
        (np.diag([1.0, np.nan]), [1.0, 0.0], [2.0, 0.0]),
        (np.array([[np.inf, 0.0], [0.0, -np.inf]]), [1.0, 0.0], [2.0, 0.0]),
    ],
)
def test_bad_shapes_and_numbers_are_refused(update, matrix, s, y):
    with pytest.raises(InputError):
        update(matrix, s, y)


@pytest.mark.parametrize("update", ALL)
def test_a_pair_without_curvature_is_refused(update):
    """s'y = 0 for BFGS and DFP; for SR1 r's = 0 or r'y = 0, here by (1, 1)'(1, -1) and (1, 1)'(2, -2)."""
    name = update.__name__
    s, y = [1.0, 0.0], [0.0, 1.0]
    if name == "sr1_direct":
        s, y = [1.0, 1.0], [2.0, 0.0]
    if name == "sr1_inverse":
        s, y = [2.0, 0.0], [1.0, 1.0]
    with pytest.raises(InputError, match="skip this update"):
        update(np.eye(2), s, y)


@pytest.mark.parametrize("update", [bfgs_direct, dfp_inverse])
def test_a_matrix_without_curvature_along_the_pair_is_refused(update):
    with pytest.raises(InputError, match="= 0"):
        update(np.diag([0.0, 1.0]), [1.0, 0.0], [1.0, 0.0])


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1, np.nan, True, "0.2"])
def test_a_share_out_of_range_is_refused(share):
    with pytest.raises(InputError, match="share"):
        powell_damped([1.0], [1.0], [1.0], share)


@pytest.mark.parametrize(
    ("s", "y", "Bs"),
    [
        ([1.0], [1.0, 2.0], [1.0]),
        ([1.0], [1.0], [-1.0]),
        ([1.0, 0.0], [1.0, 0.0], [0.0, 1.0]),
        ([np.nan], [1.0], [1.0]),
        ([1.0], [np.nan], [1.0]),
        ([1.0], [1.0], [np.inf]),
        ([], [], []),
    ],
)
def test_damping_refuses_bad_vectors(s, y, Bs):
    with pytest.raises(InputError):
        powell_damped(s, y, Bs)
