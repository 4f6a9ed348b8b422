import pickle

import numpy as np
import pytest
import scipy.sparse

import tolerances
from thalweg.core.errors import InputError
from thalweg.theory.shrinkage import GradientDescentFilter, RidgeFilter
from thalweg.theory.spectral import SpectralModel


def data(n=20, d=6, k=None, seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, d)), rng.standard_normal(n if k is None else (n, k))


def test_singular_values_are_roots_of_the_hessians_eigenvalues_in_both_objectives():
    X, y = data()
    for objective, hessian in (("sum", X.T @ X), ("mean", X.T @ X / len(X))):
        s = SpectralModel(X, y, objective).singular_values
        np.testing.assert_allclose(s[::-1] ** 2, np.linalg.eigvalsh(hessian), rtol=tolerances.summation(20) * 10)


def test_the_mean_objective_is_the_sum_in_other_units():
    X, y = data()
    mean, total = SpectralModel(X, y, "mean"), SpectralModel(X, y)
    for first, second in (
        (RidgeFilter(0.3), RidgeFilter(0.3 * 20)),
        (GradientDescentFilter(9, 0.2), GradientDescentFilter(9, 0.01)),
    ):
        np.testing.assert_allclose(mean.solution(first), total.solution(second), rtol=tolerances.FILTER)


def test_a_table_of_targets_is_column_by_column():
    X, y = data(k=3)
    start = np.arange(18.0).reshape(6, 3)
    together = SpectralModel(X, y).solution(RidgeFilter(2.0), start)
    for k in range(3):
        alone = SpectralModel(X, y[:, k]).solution(RidgeFilter(2.0), start[:, k])
        np.testing.assert_allclose(together[:, k], alone, rtol=tolerances.FILTER)


def test_no_penalty_is_the_least_squares_solution_of_least_norm_also_when_rank_is_missing():
    rng = np.random.default_rng(1)
    X, y = rng.standard_normal((12, 4)) @ rng.standard_normal((4, 9)), rng.standard_normal(12)
    model = SpectralModel(X, y)
    assert model.rank == 4 == len(model.retained)
    expected = np.linalg.lstsq(X, y, rcond=1e-12)[0]
    np.testing.assert_allclose(model.solution(RidgeFilter(0.0)), expected, rtol=tolerances.FILTER)


def test_the_residual_is_that_of_the_solution():
    X, y = data()
    w = np.linalg.solve(X.T @ X + 3 * np.eye(6), X.T @ y)
    expected = np.mean((X @ w - y) ** 2)
    for objective, ridge in (("sum", 3.0), ("mean", 3.0 / 20)):
        found = SpectralModel(X, y, objective).residual(RidgeFilter(ridge))
        assert found == pytest.approx(expected, rel=tolerances.FILTER)


def test_the_data_given_are_kept_apart_and_cannot_be_written():
    X, y = data()
    model = SpectralModel(X, y)
    before = model.solution(RidgeFilter(1.0))
    X[:], y[:] = 0, 0
    np.testing.assert_array_equal(model.solution(RidgeFilter(1.0)), before)
    with pytest.raises(ValueError, match="read-only"):
        model.singular_values[0] = 1
    with pytest.raises(AttributeError):
        model.objective = "mean"
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(model)).solution(RidgeFilter(1.0)), before)
    assert "20 x 6, rank 6" in repr(model)


@pytest.mark.parametrize("dtype", [np.float32, np.int64, list])
def test_numbers_of_other_kinds_are_taken_as_they_are(dtype):
    X, y = np.array([[1, 2], [3, 4], [5, 6]]), np.array([1, 0, 2])
    given = (X.tolist(), y.tolist()) if dtype is list else (X.astype(dtype), y.astype(dtype))
    expected = np.linalg.solve(X.T @ X + np.eye(2), X.T @ y)
    found = SpectralModel(*given).solution(RidgeFilter(1.0))
    np.testing.assert_allclose(found, expected, rtol=tolerances.FILTER)


@pytest.mark.parametrize(
    ("X", "y", "said"),
    [
        (np.ones(3), np.ones(3), r"X has shape \(3,\)"),
        (np.ones((0, 2)), np.ones(0), r"X has shape \(0, 2\)"),
        (np.ones((3, 0)), np.ones(3), r"X has shape \(3, 0\)"),
        (np.ones((3, 2)), np.ones(2), r"y has shape \(2,\)"),
        (np.ones((3, 2)), np.ones((3, 0)), r"y has shape \(3, 0\)"),
        (np.array([[1, np.nan]]), np.ones(1), r"X\[0, 1\] = nan"),
        (np.ones((2, 1)), np.array([1, -np.inf]), r"y\[1\] = -inf"),
        (np.ones((1, 1)) * 1j, np.ones(1), "X is an array of complex128"),
        (np.ones((1, 1), dtype=bool), np.ones(1), "X is an array of bool"),
        ([["a"]], np.ones(1), "X is an array of <U1"),
        ([[1.0], [1.0, 2.0]], np.ones(2), "expected finite real numbers"),
        (None, np.ones(1), "X is"),
        (scipy.sparse.eye(2), np.ones(2), "X is sparse"),
        (np.array([[1e200]]), np.ones(1), "largest number of X is 1e.200, whose square"),
        (np.ma.array([[1.0]], mask=[[True]]), np.ones(1), "X is an array"),
    ],
)
def test_bad_data_are_refused_with_the_place(X, y, said):
    with pytest.raises(InputError, match=said):
        SpectralModel(X, y)


def test_bad_objectives_and_starts_are_refused():
    X, y = data()
    with pytest.raises(InputError, match="objective='half' is unknown"):
        SpectralModel(X, y, "half")
    with pytest.raises(InputError, match=r"start has shape \(5,\)"):
        SpectralModel(X, y).solution(RidgeFilter(1.0), start=np.zeros(5))


def test_an_unstable_step_is_refused_once_its_numbers_overflow():
    X, y = data()
    with pytest.raises(InputError, match="stable for step sizes up to 2/s_max"):
        SpectralModel(X, y).solution(GradientDescentFilter(10_000, 10.0))


def test_what_is_no_filter_is_refused():
    with pytest.raises(InputError, match="given=3 is no filter"):
        SpectralModel(np.eye(2), np.ones(2)).solution(3)


def test_torch_tensors_are_data_too():
    torch = pytest.importorskip("torch")
    model = SpectralModel(torch.eye(2, requires_grad=True), torch.tensor([1.0, 2.0]))
    np.testing.assert_allclose(model.solution(RidgeFilter(1.0)), [0.5, 1.0], rtol=tolerances.arithmetic())
