"""Constants against dense eigenvalues, closed forms and sums over all rows, each written out by hand."""

import itertools

import numpy as np
import pytest
import scipy.sparse as sp

from reference import CURVATURE, NAMES, Objective, targets
from thalweg.core.errors import InputError
from thalweg.problems import FiniteSum, Standardizing
from thalweg.theory import constants, diagnose
from tolerances import EIGENVALUE, arithmetic, eps, summation

N, D, K, L2 = 60, 4, 3, 0.05
BOUNDED = [name for name in NAMES if np.isfinite(CURVATURE[name])]


def table(name, d=D, seed=0, weighted=False, n=N):
    rng = np.random.default_rng(seed)
    scale = np.resize([1.0, 3.0, 0.2, 1.0], d)
    X = rng.normal(size=(n, d)) * scale + np.resize([0.0, 5.0, 0.0, -1.0], d)
    z = (X - X.mean(axis=0)) / X.std(axis=0) @ rng.normal(size=(d, K if name == "softmax" else 1))
    weights = rng.integers(1, 4, size=n).astype(float) if weighted else None
    return X, targets(name, z, rng), weights


def both(name, weighted=False, l2=L2, **options):
    X, y, weights = table(name, weighted=weighted, **options)
    return FiniteSum(X, y, name, l2, weights), Objective(name, X, y, l2, weights)


def apart(classes, d):
    """An orthonormal basis of the parameters whose classes sum to zero, in the layout (coef.ravel(), intercepts)."""
    if classes == 1:
        return np.eye(d + 1)
    contrasts = np.linalg.svd(np.ones((1, classes)))[2][1:].T
    columns = []
    for c in contrasts.T:
        for j in range(d + 1):
            W, b = np.zeros((classes, d)), np.zeros(classes)
            if j < d:
                W[:, j] = c
            else:
                b[:] = c
            columns.append(np.concatenate([W.ravel(), b]))
    return np.array(columns).T


def eigenvalues(reference, x, change=None):
    """Of T'HT by hand; for softmax on the subspace where the parameters of all classes sum to zero."""
    H = reference.hessian(x)
    d = reference.d
    if change is not None:
        H, d = change.T @ H @ change, change.shape[1] // reference.k - 1
    Q = apart(reference.k, d)
    return np.linalg.eigvalsh(Q.T @ H @ Q)


def second_moment(reference):
    rows = np.hstack([reference.X, np.ones((len(reference.X), 1))])
    return np.linalg.eigvalsh(rows.T @ (reference.p[:, None] * rows))[-1]


def row_gradients(reference, x):
    """The gradient of every single row's loss, without the penalty: shape (n, size)."""
    slope = reference.slope_curvature(x)[0]  # (n, k)
    coefficients = slope[:, :, None] * reference.X[:, None, :]  # (n, k, d)
    return np.hstack([coefficients.reshape(len(slope), -1), slope])


def holds(constant, truth, slack):
    low, high = constant.interval
    return low - slack <= truth <= high + slack


@pytest.mark.parametrize("weighted", [False, True], ids=["equal", "weighted"])
@pytest.mark.parametrize("name", NAMES)
class TestAgainstDenseEigenvalues:
    def test_ends_of_the_raw_spectrum(self, name, weighted):
        problem, reference = both(name, weighted)
        found = diagnose(problem)
        values = eigenvalues(reference, np.zeros(reference.size))
        slack = EIGENVALUE * values[-1]
        assert found.constants["mu"].value == pytest.approx(values[0], abs=slack)
        assert holds(found.constants["mu"], values[0], slack)
        assert found.constants["kappa"].value == pytest.approx(values[-1] / values[0], rel=slack / values[0])
        assert holds(found.constants["kappa"], values[-1] / values[0], slack / values[0] * values[-1] / values[0])
        np.testing.assert_allclose(found.raw.eigenvalues, values, atol=slack)
        assert found.raw.weights.sum() == pytest.approx(1.0, abs=arithmetic(operations=len(values)))
        assert found.constants["mu"].where == ("everywhere" if name == "squared" else "at x = 0")

    def test_at_a_given_point(self, name, weighted):
        problem, reference = both(name, weighted)
        x = 0.1 * np.random.default_rng(3).normal(size=reference.size)
        found = diagnose(problem, at=x)
        values = eigenvalues(reference, x)
        slack = EIGENVALUE * values[-1]
        assert found.constants["mu"].value == pytest.approx(values[0], abs=slack)
        np.testing.assert_allclose(found.raw.eigenvalues, values, atol=slack)
        assert found.constants["mu"].where == ("everywhere" if name == "squared" else "at the given point")

    def test_the_scaled_spectrum_is_that_of_an_explicit_change_of_variables(self, name, weighted):
        problem, reference = both(name, weighted)
        change = Standardizing(problem)
        T = np.column_stack([change.forward(e) for e in np.eye(change.size)])
        for x in (None, 0.05 * np.random.default_rng(4).normal(size=reference.size)):
            found = diagnose(problem, at=x)
            values = eigenvalues(reference, np.zeros(reference.size) if x is None else x, T)
            slack = EIGENVALUE * values[-1] * 10  # the entries of T'HT cancel: means are five deviations
            np.testing.assert_allclose(found.scaled.eigenvalues, values, atol=slack)
            assert found.constants["L_scaled"].value == pytest.approx(values[-1], abs=slack)
            assert found.constants["mu_scaled"].value == pytest.approx(values[0], abs=slack)
            kappa = values[-1] / values[0]
            assert found.constants["kappa_scaled"].value == pytest.approx(kappa, rel=2 * slack / values[0])

    def test_scaling_is_what_lowers_the_condition_number_here(self, name, weighted):
        found = diagnose(both(name, weighted)[0]).constants
        assert found["kappa_scaled"].value < found["kappa"].value / 5

    def test_noise_is_that_of_all_single_rows(self, name, weighted):
        problem, reference = both(name, weighted)
        for x in (np.zeros(reference.size), 0.1 * np.random.default_rng(5).normal(size=reference.size)):
            rows = row_gradients(reference, x)
            mean = reference.p @ rows
            exhaustive = reference.p @ np.square(rows - mean).sum(axis=1)
            # sum p ||g_i||^2 - ||g||^2 rounds by units of the first term.
            slack = summation(N) * (reference.p @ np.square(rows).sum(axis=1))
            found = diagnose(problem, at=x).constants["sigma2"]
            assert found.value == pytest.approx(exhaustive, abs=slack)
            assert holds(found, exhaustive, slack)
            # The rows' gradients by hand are those of the objective: their mean is its gradient without the penalty.
            ridge = reference.l2 * np.concatenate([x[: reference.k * reference.d], np.zeros(reference.k)])
            np.testing.assert_allclose(mean + ridge, reference.gradient(x), atol=summation(N) * np.abs(rows).max())


@pytest.mark.parametrize("weighted", [False, True], ids=["equal", "weighted"])
@pytest.mark.parametrize("name", BOUNDED)
def test_smoothness_is_the_closed_form_and_is_never_exceeded(name, weighted):
    problem, reference = both(name, weighted)
    found = diagnose(problem).constants["L"]
    closed = CURVATURE[name] * second_moment(reference) + L2
    if name == "squared":  # the Hessian is constant, and the penalty is not on the intercept
        closed = np.linalg.eigvalsh(reference.hessian(np.zeros(reference.size)))[-1]
    # The product promises derived curvature bounds to 1e-6 of the truth; those of these losses are exact to rounding.
    assert found.value == pytest.approx(closed, rel=EIGENVALUE + 1e-6)
    assert found.where == "everywhere"
    rng = np.random.default_rng(1)
    met = 0.0
    for _ in range(200):
        x = rng.normal(size=reference.size) * 10 ** rng.uniform(-3, 0.5)
        met = max(met, np.linalg.eigvalsh(reference.hessian(x))[-1])
    assert met <= found.value * (1 + EIGENVALUE)
    # The true supremum lies between what was met anywhere and the bound, and so does the interval's promise.
    assert found.interval[1] * (1 + 1e-6) >= closed
    assert found.interval[0] <= closed * (1 + 1e-6)
    assert found.interval[0] <= found.value <= found.interval[1]


def test_a_constant_hessian_has_its_largest_eigenvalue_as_l():
    problem, reference = both("squared")
    found = diagnose(problem).constants["L"]
    assert found.value == pytest.approx(np.linalg.eigvalsh(reference.hessian(np.zeros(D + 1)))[-1], rel=EIGENVALUE)
    assert "closed form" in found.how


@pytest.mark.parametrize("name", BOUNDED)
def test_l_max_is_the_largest_smoothness_of_a_single_row(name):
    problem, reference = both(name)
    by_hand = [CURVATURE[name] * (row @ row + 1) + L2 for row in reference.X]
    found = diagnose(problem).constants["L_max"]
    assert found.value == pytest.approx(max(by_hand), rel=arithmetic(operations=D) + 1e-6)
    # No single row's Hessian exceeds it anywhere: the worst row alone, at 50 points.
    row = int(np.argmax(by_hand))
    rng = np.random.default_rng(2)
    alone = Objective(name, reference.X[row : row + 1], reference.y[row : row + 1], L2)
    alone.k, alone.size = reference.k, reference.size
    for _ in range(50):
        x = 0.1 * rng.normal(size=reference.size)
        assert np.linalg.eigvalsh(alone.hessian(x))[-1] <= found.value * (1 + EIGENVALUE)


def test_poisson_has_no_bound_and_says_what_is_used_instead():
    problem, reference = both("poisson")
    found = diagnose(problem).constants
    largest = np.linalg.eigvalsh(reference.hessian(np.zeros(D + 1)))[-1]
    assert found["L"].value == pytest.approx(largest, rel=EIGENVALUE)
    assert "no curvature bound" in found["L"].how
    assert "instead" in found["L"].how
    assert found["L"].where == "at x = 0"
    assert "L_max" not in found


@pytest.mark.parametrize("weighted", [False, True], ids=["equal", "weighted"])
@pytest.mark.parametrize("name", ["logistic", "softmax"])
def test_noise_of_batches_of_two_is_half(name, weighted):
    """All n^2 ordered pairs drawn with replacement, each with its probability."""
    problem, reference = both(name, weighted, n=9)
    x = 0.2 * np.random.default_rng(6).normal(size=reference.size)
    rows = row_gradients(reference, x)
    mean = reference.p @ rows
    pairs = itertools.product(range(9), repeat=2)
    exhaustive = sum(
        reference.p[i] * reference.p[j] * np.square((rows[i] + rows[j]) / 2 - mean).sum() for i, j in pairs
    )
    found = diagnose(problem, at=x).constants["sigma2"]
    assert found.value / 2 == pytest.approx(exhaustive, rel=summation(81) * 100)
    assert "sigma^2/B" in found.how


def test_noise_is_zero_when_all_rows_are_equal():
    problem = FiniteSum(np.ones((5, 2)), np.ones(5), "squared", 0.1)
    assert diagnose(problem).constants["sigma2"].value <= 8 * eps() * 3


@pytest.mark.parametrize("name", ["squared", "logistic", "poisson"])
def test_effective_dimension_without_intercept_is_the_sum_by_hand(name):
    X, y, _ = table(name)
    problem = FiniteSum(X, y, name, L2, intercept=False)
    H = Objective(name, X, y, L2).hessian(np.zeros(D + 1))[:D, :D]
    data = np.linalg.eigvalsh(H - L2 * np.eye(D))
    found = diagnose(problem).constants["effective_dimension"]
    assert found.value == pytest.approx((data / (data + L2)).sum(), rel=EIGENVALUE * data[-1] / L2)
    assert holds(found, (data / (data + L2)).sum(), EIGENVALUE * data[-1] / L2)


def test_effective_dimension_is_the_number_of_parameters_without_penalty():
    X, y, _ = table("logistic")
    problem = FiniteSum(X, y, "logistic", 0.0, intercept=False)
    assert diagnose(problem).constants["effective_dimension"].value == pytest.approx(D, rel=arithmetic(operations=D))


@pytest.mark.parametrize("form", [np.asarray, sp.csr_array], ids=["dense", "sparse"])
@pytest.mark.parametrize("name", [name for name in NAMES if name != "softmax"])
@pytest.mark.parametrize("steps", [40, 12], ids=["exact", "truncated"])
def test_intervals_of_lanczos_hold_the_dense_truth(name, form, steps, monkeypatch):
    monkeypatch.setattr(constants, "MAX_DENSE", 5)
    monkeypatch.setattr(constants, "LANCZOS_STEPS", steps)
    X, y, weights = table(name, d=30, n=100, weighted=True)
    problem, reference = FiniteSum(form(X), y, name, L2, weights), Objective(name, X, y, L2, weights)
    change = Standardizing(problem)
    T = np.column_stack([change.forward(e) for e in np.eye(change.size)])
    raw, scaled = (eigenvalues(reference, np.zeros(reference.size), change) for change in (None, T))
    # The intervals fail once in a hundred problems by design; the seeds are fixed, and these hold.
    for seed in range(3):
        found = diagnose(problem, seed)
        for names, values in ((("mu", "kappa"), raw), (("mu_scaled", "kappa_scaled"), scaled)):
            slack = EIGENVALUE * values[-1] * 10
            assert holds(found.constants[names[0]], values[0], slack)
            kappa = values[-1] / values[0]
            assert holds(found.constants[names[1]], kappa, kappa * 2 * slack / values[0])
        assert holds(found.constants["L_scaled"], scaled[-1], EIGENVALUE * scaled[-1])
        bounded = np.isfinite(CURVATURE[name]) and name != "squared"
        truth = CURVATURE[name] * second_moment(reference) + L2 if bounded else raw[-1]
        assert holds(found.constants["L"], truth, EIGENVALUE * truth)
        assert "Lanczos" in found.constants["mu"].how
        assert found.raw.weights.sum() == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize("dense", [True, False], ids=["dense", "lanczos"])
@pytest.mark.parametrize("name", NAMES)
def test_every_constant_says_how_where_within_what_and_at_what_cost(name, dense, monkeypatch):
    if not dense:
        monkeypatch.setattr(constants, "MAX_DENSE", 5)
    problem, _ = both(name, d=8)
    found = diagnose(problem)
    expected = {"L", "mu", "PL", "kappa", "kappa_scaled", "L_scaled", "mu_scaled", "M", "sigma2", "B_noise"}
    expected |= {"effective_dimension"}
    assert set(found.constants) == expected | ({"L_max"} if name in BOUNDED else set())
    for constant in found.constants.values():
        assert constant.how.split(":")[0].split(",")[0]
        assert constant.where in ("everywhere", "at x = 0")
        low, high = constant.interval
        assert low <= constant.value <= high
        assert constant.seconds >= 0
        assert np.isfinite(constant.seconds)
        assert constant.how in str(constant)
    assert found.passes > 0
    assert found.seconds >= 0
    assert set(found.record()["constants"]) == set(found.constants)
    for spectrum in (found.raw, found.scaled):
        assert (np.diff(spectrum.eigenvalues) >= 0).all()
        assert (spectrum.weights >= 0).all()
        assert spectrum.how


def test_the_same_seed_gives_the_same_constants(monkeypatch):
    monkeypatch.setattr(constants, "MAX_DENSE", 5)
    problem, _ = both("logistic", d=30)
    first, second = (diagnose(problem, 4) for _ in range(2))
    assert [c.value for c in first.constants.values()] == [c.value for c in second.constants.values()]


def test_quantiles_of_a_dense_spectrum():
    problem, reference = both("squared")
    found = diagnose(problem).raw
    values = eigenvalues(reference, np.zeros(reference.size))
    assert found.quantile(0.5) == pytest.approx(values[2], rel=EIGENVALUE * values[-1] / values[2])
    assert found.quantile(1.0) == pytest.approx(values[-1], rel=EIGENVALUE)
    assert found.quantile(0.01) == pytest.approx(values[0], abs=EIGENVALUE * values[-1])


def test_l_of_a_constant_hessian_is_its_largest_eigenvalue():
    X = 0.01 * np.random.default_rng(0).normal(size=(50, 2))
    truth = np.linalg.eigvalsh(Objective("squared", X, X[:, 0], 1.0).hessian(np.zeros(3)))[-1]
    found = diagnose(FiniteSum(X, X[:, 0], "squared", 1.0)).constants["L"]
    assert found.value == pytest.approx(truth, rel=1e-6) or holds(found, truth, 1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_effective_dimension_with_free_intercepts(name):
    problem, reference = both(name)
    k, d = reference.k, reference.d
    data = reference.hessian(np.zeros(reference.size))
    data[range(k * d), range(k * d)] -= L2
    values = np.maximum(np.linalg.eigvalsh(data), 0.0)
    found = diagnose(problem).constants["effective_dimension"]
    assert found.value == pytest.approx((values / (values + L2)).sum(), rel=1e-6) or holds(
        found, (values / (values + L2)).sum(), 1e-6
    )


def test_lanczos_of_softmax_looks_at_directions_that_tell_classes_apart(monkeypatch):
    monkeypatch.setattr(constants, "MAX_DENSE", 5)
    problem, reference = both("softmax", d=30, n=100)
    values = eigenvalues(reference, np.zeros(reference.size))
    found = diagnose(problem).constants
    assert holds(found["mu"], values[0], EIGENVALUE * values[-1])
    assert found["kappa"].value < 10 * values[-1] / values[0]


@pytest.mark.parametrize("name", BOUNDED)
def test_intervals_of_single_rows_hold_the_truth_with_a_free_intercept(name):
    """The penalty is on the coefficients alone, so that the bound lies above the largest curvature of a row."""
    problem, reference = both(name, l2=1.0)
    rows = np.hstack([reference.X, np.ones((N, 1))])
    penalty = np.diag([1.0] * D + [0.0])
    exact = max(np.linalg.eigvalsh(CURVATURE[name] * np.outer(row, row) + penalty)[-1] for row in rows)
    low, high = diagnose(problem).constants["L_max"].interval
    assert low <= exact <= high


def test_noise_that_rounding_hides_is_within_its_interval():
    """Rows that differ by 1e-9 of their size."""
    rng = np.random.default_rng(0)
    X = np.ones((50, 2)) + 1e-9 * rng.normal(size=(50, 2))
    problem = FiniteSum(X, np.full(50, -3.0), "squared", 0.1, intercept=False)
    slope = 3.0 * X
    found = diagnose(problem).constants["sigma2"]
    assert found.interval[0] <= np.square(slope - slope.mean(axis=0)).sum(axis=1).mean() <= found.interval[1]


def test_the_batch_that_matches_the_gradient_counts_the_penalty():
    problem, reference = both("logistic", l2=1.0)
    x = 0.3 * np.random.default_rng(7).normal(size=reference.size)
    rows = row_gradients(reference, x)
    exact = np.square(rows - rows.mean(axis=0)).sum(axis=1).mean() / np.square(reference.gradient(x)).sum()
    assert holds(diagnose(problem, at=x).constants["B_noise"], exact, 0.0)


def test_a_large_table_without_a_penalty_is_diagnosed(monkeypatch):
    monkeypatch.setattr(constants, "MAX_DENSE", 5)
    X = np.random.default_rng(0).normal(size=(20, 30))
    found = diagnose(FiniteSum(X, X[:, 0], "squared", 0.0, intercept=False)).constants
    values = np.linalg.eigvalsh(X @ X.T / 20)
    assert found["effective_dimension"].interval[0] <= 20 <= found["effective_dimension"].interval[1]
    assert found["PL"].interval[0] <= values[0] <= found["PL"].interval[1]


def test_a_point_where_f_is_not_finite_is_refused():
    problem, reference = both("poisson")
    with pytest.raises(InputError, match="not finite at the given point"):
        diagnose(problem, at=np.full(reference.size, 1e3))


def test_zero_weight_rows_are_no_examples():
    X, y, _ = table("logistic")
    w = np.ones(len(y))
    w[np.argmax(np.square(X).sum(1))] = 0
    a = diagnose(FiniteSum(X, y, "logistic", 0.1, w)).constants["L_max"].value
    b = diagnose(FiniteSum(X[w > 0], y[w > 0], "logistic", 0.1)).constants["L_max"].value
    assert a == pytest.approx(b)
