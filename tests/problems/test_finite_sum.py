"""The finite sum's oracles against the objective written out by hand."""

import numpy as np
import pytest
import scipy.sparse as sp

from reference import NAMES, Objective, targets
from thalweg.core.errors import InputError
from thalweg.problems import FiniteSum
from tolerances import arithmetic, central_difference, summation

N, D, K = 60, 4, 3


def table(name, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(N, D)) * [1, 3, 0.2, 1] + [0, 5, 0, -1]
    classes = K if name == "softmax" else 1
    y = targets(name, X @ rng.normal(size=(D, classes)) * 0.5, rng)
    weights = rng.integers(0, 3, size=N).astype(float)
    x = rng.normal(size=classes * (D + 1)) * 0.3
    return X, y, weights, x, rng


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("form", ["dense", "fortran", "csr", "blocks"])
def test_oracles_equal_the_formula(name, weighted, form, monkeypatch):
    X, y, weights, x, rng = table(name)
    weights = weights if weighted else None
    if form == "blocks":
        monkeypatch.setattr("thalweg.linalg.rows.SINGLE_BLOCK_ELEMENTS", 1)
        monkeypatch.setattr("thalweg.linalg.rows.BLOCK_ELEMENTS", 17 * D)
    matrix = {"dense": X, "fortran": np.asfortranarray(X), "csr": sp.csr_array(X), "blocks": X}[form]
    problem = FiniteSum(matrix, y, name, 0.1, weights)
    reference = Objective(name, X, y, 0.1, weights)
    point = problem.at(x)
    tolerance = summation(N) * 10
    assert point.value == pytest.approx(reference.value(x), rel=tolerance)
    gradient, hessian = reference.gradient(x), reference.hessian(x)
    np.testing.assert_allclose(point.gradient, gradient, atol=tolerance * np.abs(gradient).max())
    v = rng.normal(size=problem.size)
    np.testing.assert_allclose(point.hvp(v), hessian @ v, atol=tolerance * np.abs(hessian).max() * np.abs(v).sum())
    along = point.along(v)
    value, slope = along.value_slope(0.7)
    assert value == pytest.approx(reference.value(x + 0.7 * v), rel=tolerance)
    assert slope == pytest.approx(reference.gradient(x + 0.7 * v) @ v, rel=1e3 * tolerance)
    assert along.at(0.7).value == pytest.approx(value, rel=tolerance)
    if name != "softmax":
        np.testing.assert_allclose(point.hessian, hessian, atol=tolerance * np.abs(hessian).max())


def test_softmax_hessian_differs_only_on_the_direction_shared_by_all_classes():
    X, y, _, x, rng = table("softmax")
    problem = FiniteSum(X, y, "softmax", 0.1)
    hessian, reference = problem.at(x).hessian, Objective("softmax", X, y, 0.1).hessian(x)
    W = rng.normal(size=(K, D))
    v = problem.join(W - W.mean(axis=0), np.array([1.0, -2.0, 1.0]))
    np.testing.assert_allclose(hessian @ v, reference @ v, atol=summation(N) * np.abs(hessian).max() * 50)
    assert np.linalg.eigvalsh(hessian).min() > 0


@pytest.mark.parametrize("name", NAMES)
def test_gradient_is_the_derivative_of_the_value(name):
    X, y, _, x, rng = table(name, seed=3)
    problem = FiniteSum(X, y, name, 0.1)
    v = rng.normal(size=problem.size)
    h = (3 * 2.0**-53) ** (1 / 3)
    difference = (problem.at(x + h * v).value - problem.at(x - h * v).value) / (2 * h)
    scale = max(1.0, abs(problem.at(x).value)) * np.abs(v).sum() ** 3
    assert problem.at(x).gradient @ v == pytest.approx(difference, abs=central_difference() * scale)


def test_float32_rows_are_summed_in_float64():
    X, y, _, x, _ = table("logistic")
    narrow = X.astype(np.float32)
    wide = FiniteSum(narrow.astype(np.float64), y, "logistic", 0.1).at(x)
    assert FiniteSum(narrow, y, "logistic", 0.1).at(x).value == pytest.approx(wide.value, rel=arithmetic(operations=8))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"l2": -1.0}, "l2=-1.0"),
        ({"l2": np.nan}, "l2=nan"),
        ({"y": np.ones(3)}, "shape (3,)"),
        ({"y": np.array([1.0, -1.0, 0.5] + [1.0] * (N - 3))}, "row 3 is 0.5"),
        ({"loss": "hinge"}, "'hinge' is not known"),
        ({"sample_weight": np.full(N, -1.0)}, "row 1 is -1.0"),
        ({"sample_weight": np.zeros(N)}, "zero in every row"),
        ({"X": "text"}, "X is a str"),
    ],
)
def test_bad_arguments_are_named(change, words):
    X, y, *_ = table("logistic")
    with pytest.raises(InputError, match=".") as caught:
        FiniteSum(**{"X": X, "y": y, "loss": "logistic", **change})
    assert words in str(caught.value)
    assert caught.value.remedy
