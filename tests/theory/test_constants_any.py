"""Constants of functions, quadratics and modules against dense eigenvalues and closed forms."""

import math

import numpy as np
import pytest

import thalweg as tw
from thalweg.theory.constants_any import diagnose_point
from tolerances import arithmetic


def test_a_quadratic_is_known_everywhere():
    values = np.geomspace(1e-3, 2.0, 20)
    basis = np.linalg.qr(np.random.default_rng(0).normal(size=(20, 20)))[0]
    A = basis * values @ basis.T
    found = tw.diagnose(tw.Quadratic((A + A.T) / 2)).constants
    for name, exact in (("L", 2.0), ("mu", 1e-3), ("PL", 1e-3), ("kappa", 2e3)):
        low, high = found[name].interval
        assert low <= exact * (1 + 1e-9) and high >= exact * (1 - 1e-9), name
        assert found[name].where == "everywhere"
    assert found["M"].value == 0.0


def test_flat_directions_do_not_count_for_pl_but_do_for_mu():
    """Rank-deficient least squares: mu = 0, and PL holds with the smallest singular value that is not zero."""
    rng = np.random.default_rng(0)
    J = rng.normal(size=(5, 8))
    b = rng.normal(size=5)
    problem = tw.Quadratic(J.T @ J, J.T @ b, c=0.5 * b @ b)
    found = tw.diagnose(problem).constants
    exact = np.linalg.svd(J, compute_uv=False)[-1] ** 2
    assert found["PL"].value == pytest.approx(exact, rel=1e-9)
    assert abs(found["mu"].value) <= 1e-12 * found["L"].value
    for _ in range(50):  # the inequality itself, at random points
        x = rng.normal(size=8)
        gap = problem.at(x).value  # f* = 0: five equations in eight unknowns
        g = problem.at(x).gradient
        assert g @ g >= 2 * exact * gap * (1 - 1e-9)


def test_a_function_at_its_start_and_elsewhere():
    def f(x):
        return 100 * (x[1] - x[0] ** 2) ** 2 + (1 - x[0]) ** 2

    problem = tw.problem(f, x0=[-1.2, 1.0])

    def hessian(x):
        return np.array([[1200 * x[0] ** 2 - 400 * x[1] + 2, -400 * x[0]], [-400 * x[0], 200]])

    for at in (None, np.array([1.0, 1.0]), np.array([0.0, 2.0])):
        x = np.array([-1.2, 1.0]) if at is None else at
        values = np.linalg.eigvalsh(hessian(x))
        found = tw.diagnose(problem, at=at).constants
        assert found["mu"].value == pytest.approx(values[0], rel=1e-9)
        assert found["L"].value == pytest.approx(np.abs(values).max(), rel=1e-9)
    assert found["kappa"].value == math.inf  # a saddle-like place has no condition number
    assert "negative curvature" in found["PL"].how


def test_many_parameters_are_seen_through_lanczos():
    values = np.concatenate([np.linspace(1, 2, 598), [1e-2, 50.0]])
    problem = tw.Quadratic(__import__("scipy.sparse").sparse.diags(values).tocsr())
    found = tw.diagnose(problem)
    assert "Lanczos" in found.raw.how or "closed" in found.raw.how
    low, high = found.constants["L"].interval
    assert low <= 50.0 <= high
    low, high = found.constants["mu"].interval
    assert low <= 1e-2 <= high


def test_the_noise_of_a_sum_and_its_batch():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(40, 3))
    y = np.where(X[:, 0] > 0, 1.0, -1.0)
    problem = tw.FiniteSum(X, y, "logistic", 1e-2)
    slope = -y * 0.5  # at zero
    rows = slope[:, None] * np.column_stack([X, np.ones(40)])
    exact = np.square(rows - rows.mean(axis=0)).sum(axis=1).mean()
    found = tw.diagnose(problem).constants
    assert found["sigma2"].value == pytest.approx(exact, rel=arithmetic(operations=400))
    assert found["B_noise"].value == pytest.approx(exact / np.square(rows.mean(axis=0)).sum(), rel=1e-10)


def test_what_cannot_be_measured_is_refused():
    problem = tw.problem(lambda x: np.log(x).sum(), x0=[1.0, 2.0])
    with pytest.raises(tw.InputError, match="not finite"):
        diagnose_point(problem, np.array([-1.0, 1.0]), "at the given point")
    with pytest.raises(tw.InputError, match="x0"):
        tw.diagnose(problem, at=np.zeros(3))
