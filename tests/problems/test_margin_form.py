"""Gradients of samples, their variance and the largest curvature of an example, in both sets of variables."""

import numpy as np
import pytest
import scipy.sparse as sp

from reference import NAMES, targets
from thalweg.problems import ChangedProblem, FiniteSum, Standardizing
from tolerances import central_difference, summation

N, D, K = 40, 4, 3


def problems(loss, *, sparse=False, weighted=False, intercept=True):
    """A finite sum, itself and standardised, with a constant column."""
    rng = np.random.default_rng(3)
    X = rng.normal(size=(N, D)) * [1, 5, 0.2, 1] + [0, 2, 0, 0]
    X[:, 3] = 1.0
    y = targets(loss, 0.1 * X @ rng.normal(size=(D, K if loss == "softmax" else 1)), rng)
    weights = rng.random(N) if weighted else None
    base = FiniteSum(sp.csr_matrix(X) if sparse else X, y, loss, 0.1, weights, intercept)
    return base, ChangedProblem(base, Standardizing(base))


CASES = [
    *[(loss, False, False, True) for loss in NAMES],
    ("logistic", True, True, True),
    ("softmax", True, True, True),
    ("squared", False, True, False),
    ("huber", True, False, False),
]


@pytest.mark.parametrize(("loss", "sparse", "weighted", "intercept"), CASES)
def test_samples_are_gradients_of_single_examples(loss, sparse, weighted, intercept):
    for problem in problems(loss, sparse=sparse, weighted=weighted, intercept=intercept):
        x = 0.1 * np.random.default_rng(1).normal(size=problem.size)
        point = problem.at(x)
        each = np.array([point.sample(np.array([i])) for i in range(N)])
        scale = np.abs(each).sum(axis=0).max()
        np.testing.assert_allclose(each.mean(axis=0), point.gradient, rtol=0, atol=scale * summation(N))
        chosen = np.array([7, 3, 3, 20])
        np.testing.assert_allclose(point.sample(chosen), each[chosen].mean(axis=0), rtol=0, atol=scale * summation(N))
        exact = np.square(each - point.gradient).sum(axis=1).mean()
        assert point.gradient_variance == pytest.approx(exact, rel=100 * summation(N))


@pytest.mark.parametrize("loss", NAMES)
def test_no_example_is_more_curved_than_the_largest(loss):
    """Against the slope of an example's gradient along its own direction, where an example is most curved."""
    for problem in problems(loss, weighted=True):
        rng = np.random.default_rng(2)
        x = 0.1 * rng.normal(size=problem.size)
        largest, found = problem.at(x).largest_single, []
        for i in range(N):
            g = problem.at(x).sample(np.array([i]))
            direction = g / np.linalg.norm(g)
            h = 1e-5
            ahead, behind = (problem.at(x + s * h * direction).sample(np.array([i])) for s in (1, -1))
            found.append(direction @ (ahead - behind) / (2 * h))
        assert max(found) <= largest * (1 + central_difference() * 1e3)


def test_least_squares_has_an_example_as_curved_as_that():
    for problem in problems("squared"):
        form = problem.margin_form
        rows = np.eye(problem.size)
        at = problem.at(np.zeros(problem.size))
        curvatures = []
        for i in range(N):
            index = np.array([i])
            base = at.sample(index)
            matrix = np.array([problem.at(e).sample(index) - base for e in rows])
            curvatures.append(np.linalg.eigvalsh(0.5 * (matrix + matrix.T))[-1])
        assert form is not None
        # The penalty is that of the column where it is largest, the row's that of its own direction.
        assert max(curvatures) <= at.largest_single * (1 + summation(N))
        assert at.largest_single <= max(curvatures) + form.ridge.max()


@pytest.mark.parametrize("loss", ["logistic", "softmax"])
@pytest.mark.parametrize(
    ("sparse", "weighted", "intercept"), [(False, False, True), (True, True, True), (False, True, False)]
)
def test_margin_form_is_the_sum(loss, sparse, weighted, intercept):
    """Value and parameters by the record's own formula, written out."""
    for problem in problems(loss, sparse=sparse, weighted=weighted, intercept=intercept):
        form = problem.margin_form
        x = np.random.default_rng(4).normal(size=problem.size)
        wide = form.widen(x)
        np.testing.assert_array_equal(form.narrow(wide), x)
        matrix = form.rows.matvec(np.eye(D))
        if form.scale is not None:
            matrix = (matrix - form.shift) * form.scale
        z = matrix @ wide[:, :-1].T + form.offset * wide[:, -1]
        weights = 1.0 if form.weights is None else form.weights
        if loss == "softmax":
            losses = np.log(np.exp(z).sum(axis=1)) - z[np.arange(N), form.y]
        else:
            losses = np.logaddexp(0, -form.y * z[:, 0])
        value = (weights * losses).mean() + 0.5 * (form.ridge * wide[:, :-1] ** 2).sum()
        assert problem.at(x).value == pytest.approx(value, rel=100 * summation(N))


def test_a_matrix_stored_by_columns_is_copied_once():
    X = np.asfortranarray(np.random.default_rng(0).normal(size=(20, 3)))
    problem = FiniteSum(X, np.ones(20), "squared", 0.1)
    (first,) = problem.margin_form.arrays
    assert first.flags.c_contiguous
    assert problem.margin_form.arrays[0] is first
    rows = np.ascontiguousarray(X)
    assert np.shares_memory(FiniteSum(rows, np.ones(20), "squared", 0.1).margin_form.arrays[0], rows)
