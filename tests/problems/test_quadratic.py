"""Quadratics: closed forms in every kind of matrix, exact certificates, and no proof where there is no minimum."""

import numpy as np
import pytest
import scipy.sparse as sparse

import thalweg as tw
from thalweg.core.errors import InputError
from thalweg.core.operator import LinearOperator
from thalweg.core.records import CertificateKind, Status
from thalweg.problems import Quadratic, quadratic
from tolerances import arithmetic, eps, minimizer, solve, summation

D = 12
rng = np.random.default_rng(0)
BASIS = np.linalg.qr(rng.normal(size=(D, D)))[0]
EIGENVALUES = np.geomspace(0.1, 10.0, D)
A = (BASIS * EIGENVALUES) @ BASIS.T
A = 0.5 * (A + A.T)
B, C, START = rng.normal(size=D), 1.5, rng.normal(size=D)
BEST = np.linalg.solve(A, B)
LOWEST = C - 0.5 * float(B @ BEST)


class Products(LinearOperator):
    """A known by its products alone."""

    def __init__(self, matrix):
        self.matrix, self.shape, self.dtype = matrix, matrix.shape, matrix.dtype

    def matvec(self, v):
        return self.matrix @ v

    def rmatvec(self, u):
        return self.matrix.T @ u


KINDS = {
    "dense": lambda A: A,
    "lists": lambda A: A.tolist(),
    "csr": sparse.csr_matrix,
    "csc": sparse.csc_array,
    "coo": sparse.coo_array,
    "operator": Products,
}
METHODS = ["newton", "newton-cg", "l-bfgs", "gradient-descent", "heavy-ball", "nesterov"]


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_matrix_answers_in_closed_form(kind):
    problem = Quadratic(KINDS[kind](A), B, C, x0=START)
    assert (problem.start() == START).all()
    x, v = rng.normal(size=(2, D))
    point = problem.at(x)
    close = {"rel": 0, "abs": 100 * summation(D)}
    assert point.value == pytest.approx(0.5 * x @ A @ x - B @ x + C, **close)
    assert point.gradient == pytest.approx(A @ x - B, **close)
    assert point.hvp(v) == pytest.approx(A @ v, **close)
    assert np.abs(point.hessian - A).max() <= close["abs"]
    assert problem.eigenvalues == pytest.approx(EIGENVALUES, **close)
    assert problem.minimiser == pytest.approx(BEST, rel=0, abs=10 * solve(100.0, size=D) * np.abs(BEST).max())
    assert problem.minimum == pytest.approx(LOWEST, **close)
    line = point.along(v)
    assert line.passes == 2.0
    assert point.along(v) is line
    for t in (0.0, 0.7, -2.0):
        y = x + t * v
        value, slope = line.value_slope(t)
        assert value == pytest.approx(0.5 * y @ A @ y - B @ y + C, **close)
        assert slope == pytest.approx((A @ y - B) @ v, **close)
        assert line.at(t).gradient == pytest.approx(A @ y - B, **close)


@pytest.mark.parametrize("kind", KINDS)
def test_the_certificate_is_the_gap(kind):
    problem = Quadratic(KINDS[kind](A), B, C)
    for x in (START, BEST + 1e-3 * START, 100 * START):
        certificate = problem.at(x).certificate()
        gap = 0.5 * float((x - BEST) @ A @ (x - BEST))
        assert certificate.kind is CertificateKind.PROOF
        assert gap <= certificate.gap <= gap * (1 + 3e-6) + 2 * certificate.rounding
    assert problem.at(BEST).certificate().gap <= 1e3 * eps() * abs(LOWEST)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", ["dense", "csr", "operator"])
def test_every_method_finds_the_minimum(kind, method):
    solution = tw.solve(Quadratic(KINDS[kind](A), B, C, x0=START), method, tol=1e-11)
    assert solution.status is Status.CONVERGED
    assert -100 * eps() <= solution.value - LOWEST <= 1e-11
    assert solution.x == pytest.approx(BEST, rel=0, abs=minimizer(10.0, 1e-11, 2.0))


def test_newton_needs_one_step():
    assert tw.solve(Quadratic(A, B, C, x0=START), "newton").cost.steps == 1


def test_a_large_sparse_matrix_is_never_formed(monkeypatch):
    """-u'' = 1 on n points with u = 0 at the ends: u_i = (i + 1)(n - i) / 2."""
    n = 3000
    laplacian = sparse.diags_array([np.full(n - 1, -1.0), np.full(n, 2.0), np.full(n - 1, -1.0)], offsets=[-1, 0, 1])
    problem = Quadratic(laplacian, np.ones(n))
    monkeypatch.setattr(Quadratic, "matrix", property(lambda problem: pytest.fail("formed")))
    i = np.arange(n)
    expected = (i + 1.0) * (n - i) / 2
    condition = 4 * (n + 1) ** 2 / np.pi**2
    assert np.abs(problem.minimiser - expected).max() <= solve(condition, size=3) * expected.max()
    certificate = problem.at(np.zeros(n)).certificate()
    assert certificate.kind is CertificateKind.PROOF
    assert certificate.gap == pytest.approx(0.5 * expected.sum(), rel=2e-6)


INDEFINITE = {
    "diagonal": np.diag([1.0, -1.0]),
    "zero diagonal": np.array([[0.0, 1.0], [1.0, 0.0]]),
    "positive diagonal": np.array([[1.0, 2.0], [2.0, 1.0]]),
    "hidden": (BASIS * np.concatenate([[-1e-3], EIGENVALUES[1:]])) @ BASIS.T,
}


@pytest.mark.parametrize("name", INDEFINITE)
@pytest.mark.parametrize("kind", ["dense", "csr", "operator"])
def test_no_proof_where_there_is_no_minimum(kind, name):
    """From zero, where g'A^-1 g / 2 may well be zero, and from elsewhere."""
    matrix = 0.5 * (INDEFINITE[name] + INDEFINITE[name].T)
    for b in (None, np.ones(len(matrix))):
        problem = Quadratic(KINDS[kind](matrix), b)
        for x in (np.zeros(len(matrix)), np.linspace(1, 2, len(matrix))):
            try:
                certificate = problem.at(x).certificate()
            except InputError as error:
                assert "no minimum" in error.problem
            else:
                assert certificate.kind is not CertificateKind.PROOF
                assert (kind, name) == ("csr", "zero diagonal")  # factored with rows exchanged: no signs to see


@pytest.mark.parametrize("method", ["newton", "newton-cg", "l-bfgs"])
@pytest.mark.parametrize("kind", ["dense", "csr"])
def test_an_indefinite_matrix_is_refused_with_its_eigenvalue(kind, method):
    with pytest.raises(InputError, match="no minimum") as caught:
        tw.solve(Quadratic(KINDS[kind](np.diag([1.0, -0.25])), [1.0, 1.0]), method)
    assert kind == "csr" or "-0.25" in caught.value.problem


@pytest.mark.parametrize("kind", ["dense", "csr", "operator"])
def test_singular_matrices_have_minima_where_b_allows(kind):
    """x_1^2 / 2 - x_1 does not depend on x_2; x_1^2 / 2 - x_1 - x_2 falls forever."""
    matrix = KINDS[kind](np.diag([1.0, 0.0]))
    flat = Quadratic(matrix, [1.0, 0.0], x0=[3.0, 5.0])
    certificate = flat.at(flat.start()).certificate()
    assert certificate.kind is CertificateKind.ESTIMATE
    assert certificate.gap == pytest.approx(2.0, rel=2e-6)
    assert tw.solve(flat, "newton").x == pytest.approx([1.0, 5.0], abs=1e-6)
    falling = Quadratic(matrix, [1.0, 1.0])
    assert falling.at(falling.start()).certificate().kind is CertificateKind.NONE
    assert not tw.solve(falling, "newton", max_steps=100).status.success


def test_semidefinite_matrices_are_not_refused_for_rounding():
    J = rng.normal(size=(4, D))
    for kind in ("dense", "csr"):
        problem = Quadratic(KINDS[kind](J.T @ J), J.T @ np.ones(4), 2.0)
        certificate = problem.at(np.zeros(D)).certificate()
        assert certificate.kind is not CertificateKind.PROOF
        if np.isfinite(certificate.gap):
            assert certificate.gap == pytest.approx(2.0, rel=1e-5)


def test_products_alone_beyond_the_largest_factor(monkeypatch):
    monkeypatch.setattr(quadratic, "LARGEST_FACTOR", D - 1)
    certificate = Quadratic(A, B, C).at(START).certificate()
    assert certificate.kind is CertificateKind.ESTIMATE
    assert certificate.gap == pytest.approx(0.5 * (START - BEST) @ A @ (START - BEST), rel=2e-6)


def test_what_is_given_is_taken_in_any_form():
    problem = Quadratic([[2, 0], [0, 4]], [2, 4], 1, x0=(0, 1), minimiser=[1, 1], name="bowl")
    assert problem.minimum == -2.0
    assert problem.at([1, 2]).value == pytest.approx(0.0, abs=arithmetic())
    assert repr(problem) == "Quadratic(bowl, 2 parameters)"
    torch = pytest.importorskip("torch")
    assert Quadratic(torch.eye(2), torch.ones(2)).minimum == -1.0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"A": A + np.triu(A, 1)}, "not symmetric"),
        ({"A": np.full((2, 2), np.nan)}, "not finite"),
        ({"A": np.diag([1.0, np.inf])}, "not finite"),
        ({"A": sparse.csr_array(np.diag([1.0, np.nan]))}, "not finite"),
        ({"A": [1.0, 2.0]}, r"A has shape \(2,\)"),
        ({"A": 3.0}, r"A has shape \(\)"),
        ({"A": np.ones((2, 3))}, r"A has shape \(2, 3\)"),
        ({"A": np.zeros((0, 0))}, r"A has shape \(0, 0\)"),
        ({"A": "matrix"}, "A has dtype"),
        ({"A": np.eye(2) * 1j}, "A has dtype complex"),
        ({"A": sparse.csr_array(np.eye(2) * 1j)}, "A has dtype complex"),
        ({"A": np.eye(2, dtype=bool)}, "A has dtype bool"),
        ({"A": [[1.0, None], [None, 1.0]]}, "A has dtype object"),
        ({"b": np.ones(3)}, r"b has shape \(3,\)"),
        ({"b": np.ones((2, 1))}, r"b has shape \(2, 1\)"),
        ({"b": [1.0, np.nan]}, "b has .* not finite"),
        ({"b": ["a", "b"]}, "b has dtype"),
        ({"c": np.nan}, "c=nan"),
        ({"c": "1"}, "c has dtype"),
        ({"c": np.ones(2)}, "c="),
        ({"c": True}, "c has dtype bool"),
        ({"x0": np.ones(3)}, "x0 has shape"),
        ({"x0": [np.inf, 0.0]}, "x0 has .* not finite"),
        ({"minimiser": [1.0, 1.0]}, "minimiser is none"),
        ({"minimiser": [1.0]}, "minimiser has shape"),
    ],
)
def test_bad_arguments_are_refused_by_name(arguments, message):
    with pytest.raises(InputError, match=message):
        Quadratic(**{"A": 2.0 * np.eye(2), "b": np.ones(2), **arguments})


@pytest.mark.parametrize("x", [np.ones(3), np.ones((2, 1)), 1.0])
def test_points_of_another_size_are_refused(x):
    with pytest.raises(InputError, match="the quadratic has 2 parameters"):
        Quadratic(np.eye(2)).at(x)


def test_at_the_minimum_of_a_singular_quadratic_rounding_is_no_slope():
    u = np.linalg.qr(np.random.default_rng(0).normal(size=(10, 1)))[0]
    problem = Quadratic(u @ u.T, u[:, 0])
    certificate = problem.at(u[:, 0]).certificate()
    assert certificate.kind is CertificateKind.ESTIMATE
    assert certificate.gap <= 1e-14
    off = problem.at(u[:, 0] + 1e-3 * u[:, 0]).certificate()
    assert off.gap == pytest.approx(0.5e-6, rel=1e-3)
    sloped = Quadratic(u @ u.T, u[:, 0] + np.linalg.qr(np.random.default_rng(0).normal(size=(10, 2)))[0][:, 1])
    assert sloped.at(u[:, 0]).certificate().kind is CertificateKind.NONE


@pytest.mark.parametrize("scale", [1e-300, 1e-160, 1e160])
def test_symmetry_is_judged_at_any_scale(scale):
    A = scale * np.array([[2.0, 1.0], [1.0, 2.0]])
    np.testing.assert_allclose(Quadratic(A, scale * np.ones(2)).minimiser, [1 / 3, 1 / 3], rtol=1e-12)
    with pytest.raises(InputError, match="not symmetric"):
        Quadratic(scale * np.array([[2.0, 1.0], [0.0, 2.0]]))


@pytest.mark.parametrize("method", ["newton", "l-bfgs", "gradient-descent", "newton-cg"])
def test_a_sparse_matrix_whose_diagonal_is_zero_is_refused(method):
    """Its factor pivots off the diagonal, where pivots tell no signs."""
    matrix = sparse.csr_array(np.array([[0.0, 1.0], [1.0, 0.0]]))
    with pytest.raises(InputError, match="eigenvalue -1"):
        tw.solve(Quadratic(matrix, np.ones(2)), method)
