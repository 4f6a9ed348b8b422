"""Conjugate gradients: the linear method on quadratics, beside SciPy's; nonlinear on the zoo."""

import numpy as np
import pytest
from scipy.sparse.linalg import cg

import thalweg as tw
from thalweg.core.records import Status
from thalweg.methods.conjugate import FORMULAS, ConjugateGradients
from thalweg.methods.metric import Full
from thalweg.problems.zoo import ZOO
from tolerances import REACHED

RNG = np.random.default_rng(0)


def quadratic(values, seed=0):
    rng = np.random.default_rng(seed)
    size = len(values)
    basis = np.linalg.qr(rng.normal(size=(size, size)))[0]
    A = basis * values @ basis.T
    return tw.Quadratic((A + A.T) / 2, rng.normal(size=size))


@pytest.mark.parametrize("formula", FORMULAS)
def test_on_a_quadratic_every_formula_is_the_linear_method(formula):
    """The first steps, before rounding costs both their conjugacy, are SciPy's to many digits."""
    problem = quadratic(np.geomspace(1e-2, 1, 40))
    values = []
    cg(problem.A, problem.b, rtol=1e-14, maxiter=12, callback=lambda x: values.append(problem.at(x).value))
    found = tw.solve(problem, ConjugateGradients(formula), tol=0.0, max_steps=12)
    gaps = np.array(values) - problem.minimum
    np.testing.assert_allclose(found.trace["value"][1:] - problem.minimum, gaps, rtol=1e-5)


@pytest.mark.parametrize("formula", FORMULAS)
def test_as_many_steps_as_there_are_distinct_eigenvalues(formula):
    problem = quadratic(np.repeat([0.1, 0.5, 2.0, 7.0], 8))
    found = tw.solve(problem, ConjugateGradients(formula), tol=1e-12)
    assert found.status is Status.CONVERGED
    gaps = found.trace["value"] - problem.minimum
    assert gaps[4] <= 1e-13 * gaps[0] < gaps[3]


@pytest.mark.parametrize("kappa", [10.0, 1e3])
def test_the_rate_is_an_upper_bound_on_the_worst_spectrum(kappa):
    problem = quadratic(np.linspace(1 / kappa, 1, 200))
    method = ConjugateGradients()
    found = tw.solve(problem, method, tol=1e-10)
    start = problem.at(problem.start()).value - problem.minimum
    bound = 4 * method.rate(1.0, 1 / kappa, quadratic=True) ** np.arange(len(found.trace)) * start
    gaps = found.trace["value"] - problem.minimum
    assert (gaps[gaps > 1e-12 * start] <= bound[gaps > 1e-12 * start] * (1 + 1e-6)).all()


def test_a_preconditioner_is_a_change_of_variables():
    """With A itself as the metric there is one step; with its diagonal, those of the scaled problem."""
    A = quadratic(np.geomspace(1e-3, 1, 20)).A
    problem = tw.Quadratic(A, RNG.normal(size=20))
    gaps = tw.solve(problem, ConjugateGradients(metric=Full(A)), tol=0.0, max_steps=1).trace["value"] - problem.minimum
    assert gaps[1] <= 1e-12 * gaps[0]
    root = np.linalg.cholesky(np.diag(np.diag(A)))
    changed = tw.Quadratic(np.linalg.solve(root, np.linalg.solve(root, A).T), np.linalg.solve(root, problem.b))
    plain = tw.solve(changed, ConjugateGradients(), tol=0.0, max_steps=8)
    scaled = tw.solve(problem, ConjugateGradients(metric=Full(np.diag(np.diag(A)))), tol=0.0, max_steps=8)
    np.testing.assert_allclose(scaled.trace["value"], plain.trace["value"], rtol=1e-6)


@pytest.mark.parametrize(
    "formula", [FORMULAS[-1], *(pytest.param(name, marks=pytest.mark.slow) for name in FORMULAS[:-1])]
)
def test_the_zoo(formula):
    """At least 95% of the entries end at a known minimum; Meyer's fit, whose minimum is 1e-10 of the start, is known
    to be out of reach of first-order methods."""
    reached = 0
    for entry in ZOO.values():
        found = tw.solve(entry, ConjugateGradients(formula), max_steps=3000)
        near = min(abs(found.value - known.value) / (1 + abs(known.value)) for known in entry.minima)
        reached += near <= 100 * REACHED
        assert near <= 100 * REACHED or not found.status.success, entry.name
    assert reached >= 0.95 * len(ZOO)


def test_it_moves_leaves():
    problem = tw.problem(lambda p: ((p[0] - 1) ** 2).sum() + (p[1] - p[0].sum()) ** 4, x0=(np.zeros((2, 2)), 0.0))
    found = tw.solve(problem, ConjugateGradients())
    assert found.status is Status.CONVERGED
    np.testing.assert_allclose(found.x[0], 1.0, atol=1e-3)


def test_an_unknown_formula_is_refused():
    with pytest.raises(tw.InputError, match="'dai-yuan'"):
        ConjugateGradients("dai-yuan")
