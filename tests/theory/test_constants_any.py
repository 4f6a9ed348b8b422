"""Constants of functions, quadratics and modules against dense eigenvalues and closed forms."""

import math

import numpy as np
import pytest

import thalweg as tw
from thalweg.problems.noisy import Noisy
from thalweg.theory import constants_any
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


def test_one_point_of_a_function_bounds_no_pl_constant_from_below():
    """x^2 + 3 sin^2 x: the curvature at 2.5 is 3.7, and the PL constant of the function 0.1755."""
    ratio = [
        (2 * x + 3 * np.sin(2 * x)) ** 2 / (2 * (x**2 + 3 * np.sin(x) ** 2)) for x in np.linspace(0.01, 20, 200_000)
    ]
    exact = min(ratio)
    for minimum in (None, 0.0):
        problem = tw.problem(lambda x: (x**2 + 3 * np.sin(x) ** 2).sum(), x0=[2.5], minimum=minimum)
        found = tw.diagnose(problem).constants["PL"]
        assert found.interval[0] <= exact <= found.interval[1] and found.interval[0] <= found.value
        assert "elsewhere it may be less" in found.how
    assert found.interval[1] == pytest.approx((5 + 3 * np.sin(5)) ** 2 / 2 / (6.25 + 3 * np.sin(2.5) ** 2), rel=1e-9)


@pytest.mark.parametrize(
    ("eigenvalues", "exact"),
    [
        ([1e-15, 1e-8, 1.0], 1e-15),  # rounding hides it
        ([0.0, 0.5, 1.0], 0.5),
        ([3.0], 3.0),
        ([-1.0, 2.0], 0.0),
        (np.geomspace(1e-9, 1, 450), 1e-9),  # seen through Lanczos
        (np.concatenate([np.zeros(225), np.linspace(1, 2, 225)]), 1.0),
    ],
)
def test_the_pl_interval_of_a_quadratic_holds_the_least_curvature_that_is_not_zero(eigenvalues, exact):
    found = tw.diagnose(tw.Quadratic(np.diag(eigenvalues))).constants["PL"]
    assert found.interval[0] <= exact <= found.interval[1]
    assert found.interval[0] <= found.value <= found.interval[1]


def test_the_largest_curvature_is_on_either_side_of_zero():
    """Lanczos: the end that is further out, with an interval that holds it."""
    rng = np.random.default_rng(0)
    for seed in range(5):
        ends = rng.uniform(8, 9, size=2)
        values = np.concatenate([rng.uniform(-7, 7, 448), [-ends[0], ends[1]]])
        low, high = tw.diagnose(tw.Quadratic(np.diag(values)), seed=seed).constants["L"].interval
        assert low <= ends.max() <= high


@pytest.mark.parametrize("torch", [False, True])
def test_intervals_know_the_dtype(torch):
    rng = np.random.default_rng(0)
    A = rng.normal(size=(30, 30)).astype(np.float32)
    A = A @ A.T
    values = np.linalg.eigvalsh(A.astype(float))
    if torch:
        library = pytest.importorskip("torch")
        matrix, x0 = library.tensor(A), library.ones(30)
    else:
        matrix, x0 = A, np.ones(30, dtype=np.float32)
    found = tw.diagnose(tw.problem(lambda x: 0.5 * x @ (matrix @ x), x0=x0)).constants
    for name, exact in (("L", values[-1]), ("mu", values[0]), ("PL", values[0]), ("M", 0.0)):
        low, high = found[name].interval
        assert low <= exact <= high, name
    assert found["L"].interval[1] - found["L"].interval[0] <= 1e-4 * values[-1]


@pytest.mark.parametrize("size", [9, 450])
def test_intervals_know_differences_of_gradients(size):
    x0 = np.linspace(-2, 2, size)
    problem = tw.problem(lambda x: np.exp(x).sum() + 1.5 * (x**2).sum(), x0=x0, gradient=lambda x: np.exp(x) + 3 * x)
    found = tw.diagnose(problem).constants
    for name, exact in (("L", np.exp(2) + 3), ("mu", np.exp(-2) + 3), ("M", np.exp(2))):
        low, high = found[name].interval
        assert low <= exact <= high, name
    assert "differences of gradients" in found["L"].how


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


def test_the_noise_of_a_module_in_either_precision():
    torch = pytest.importorskip("torch")
    from thalweg.problems.module import ModuleProblem

    made = torch.Generator().manual_seed(0)
    X, y = torch.randn(50, 3, generator=made), torch.randn(50, 1, generator=made)
    linear = torch.nn.Linear(3, 1)
    Z, w = (
        np.column_stack([X, np.ones(50)]).astype(float),
        np.append(*(p.detach().numpy() for p in linear.parameters())),
    )
    rows = 2 * (Z @ w.astype(float) - y.numpy().ravel())[:, None] * Z
    exact = np.square(rows - rows.mean(axis=0)).sum(axis=1).mean()
    for dtype in (torch.float32, torch.float64):
        problem = ModuleProblem(
            linear.to(dtype), lambda m, b: torch.nn.functional.mse_loss(m(b[0]), b[1]), (X.to(dtype), y.to(dtype))
        )
        found = tw.diagnose(problem).constants
        for name, truth in (("sigma2", exact), ("B_noise", exact / np.square(rows.mean(axis=0)).sum())):
            low, high = found[name].interval
            assert low <= truth <= high and high - low <= 1e-3 * truth, name


def test_the_noise_of_many_examples_is_that_of_some(monkeypatch):
    monkeypatch.setattr(constants_any, "MAX_EXAMPLES", 200)
    rng = np.random.default_rng(0)
    for seed in range(5):
        vectors = rng.standard_t(5, size=(3000, 2))
        exact = np.square(vectors - vectors.mean(axis=0)).sum(axis=1).mean()
        found = tw.diagnose(Noisy(tw.Quadratic(np.eye(2), x0=[1.0, 1.0]), vectors), seed=seed).constants["sigma2"]
        assert found.interval[0] <= exact <= found.interval[1] <= 3 * exact
        assert "200 examples of 3000" in found.how


def test_what_cannot_be_measured_is_refused():
    problem = tw.problem(lambda x: np.log(x).sum(), x0=[1.0, 2.0])
    with pytest.raises(tw.InputError, match="not finite"):
        diagnose_point(problem, np.array([-1.0, 1.0]), "at the given point")
    with pytest.raises(tw.InputError, match="x0"):
        tw.diagnose(problem, at=np.zeros(3))
