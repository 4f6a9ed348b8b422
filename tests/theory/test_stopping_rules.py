import math

import numpy as np
import pytest

import tolerances
from thalweg.core.errors import InputError, UnsupportedError
from thalweg.theory.shrinkage import GradientDescentFilter, RidgeFilter, TruncationFilter, conjugate_gradient_filter
from thalweg.theory.spectral import SpectralModel
from thalweg.theory.stopping_rules import risk_curve


def data(n=40, d=15, noise=0.5, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, d)) * np.geomspace(1, 0.02, d)
    truth = X @ rng.standard_normal(d)
    return X, truth, truth + noise * rng.standard_normal(n)


def descents(X, steps=(1, 3, 10, 30, 100, 300, 1000)):
    size = 1 / np.linalg.norm(X, 2) ** 2
    return [GradientDescentFilter(q, size) for q in steps]


@pytest.mark.parametrize("objective", ["sum", "mean"])
def test_every_column_equals_its_formula_by_the_dense_matrix_of_fitted_values(objective):
    X, _, y = data()
    ridges = [0.01, 1.0, 30.0]
    unit = 40 if objective == "mean" else 1
    curve = risk_curve(SpectralModel(X, y, objective), [RidgeFilter(r / unit) for r in ridges], 0.25)
    for k, ridge in enumerate(ridges):
        fitted = X @ np.linalg.solve(X.T @ X + ridge * np.eye(15), X.T)
        residual = np.mean((y - fitted @ y) ** 2)
        share = np.trace(fitted) / 40
        exact = {"rel": tolerances.FILTER}
        assert curve.residual[k] == pytest.approx(residual, **exact)
        assert curve.degrees_of_freedom[k] == pytest.approx(40 * share, **exact)
        assert curve.gcv[k] == pytest.approx(residual / (1 - share) ** 2, **exact)
        assert curve.risk[k] == pytest.approx(residual + 2 * 0.25 * share - 0.25, **exact)


def test_the_risk_estimate_is_unbiased():
    X, truth, _ = data()
    filters = descents(X, (2, 20, 200))
    rng = np.random.default_rng(5)
    errors = []
    for _ in range(300):
        model = SpectralModel(X, truth + 0.5 * rng.standard_normal(40))
        found = risk_curve(model, filters, 0.25).risk
        errors.append([found[k] - np.mean((X @ model.solution(f) - truth) ** 2) for k, f in enumerate(filters)])
    mean, spread = np.mean(errors, axis=0), np.std(errors, axis=0, ddof=1) / math.sqrt(300)
    assert (np.abs(mean) <= tolerances.STANDARD_ERRORS * spread).all()
    assert (spread < 0.05).all()  # a tenth of the noise's variance would be seen


def test_stopping_where_the_rules_say_costs_less_than_going_on():
    gains = []
    for seed in range(20):
        X, truth, y = data(noise=2.0, seed=seed)
        model = SpectralModel(X, y)
        filters = descents(X, (*range(1, 60), 10**9))
        curve = risk_curve(model, filters, 4.0)
        loss = [np.mean((X @ model.solution(f) - truth) ** 2) for f in filters]
        gains.append([loss[curve.least_risk] / loss[-1], loss[curve.least_gcv] / loss[-1], min(loss) / loss[-1]])
    risk, gcv, best = np.median(gains, axis=0)
    assert best <= risk < 0.8 and best <= gcv < 0.8


def test_the_discrepancy_principle_takes_the_first_residual_at_the_noise():
    X, _, y = data()
    filters = descents(X)
    curve = risk_curve(SpectralModel(X, y), filters, 0.25)
    k = curve.within_noise
    assert curve.residual[k] <= 0.25 < curve.residual[k - 1]
    assert risk_curve(SpectralModel(X, y), filters, 1e-9).within_noise is None
    assert risk_curve(SpectralModel(X, y), filters, 1e9).within_noise == 0
    said = str(curve)
    assert f"within noise  {filters[k]}" in said and "least GCV" in said


def test_without_the_noise_there_is_cross_validation_alone():
    X, _, y = data()
    curve = risk_curve(SpectralModel(X, y), descents(X))
    assert curve.risk is None and curve.least_risk is None and curve.within_noise is None
    assert curve.least_gcv == int(np.argmin(curve.gcv))
    assert "least risk" not in str(curve)


def test_what_passes_through_every_target_has_no_cross_validation_error():
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((5, 9)), rng.standard_normal(5)
    curve = risk_curve(SpectralModel(X, y), [RidgeFilter(0.0), RidgeFilter(1.0)])
    assert curve.gcv[0] == np.inf and curve.least_gcv == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (([],), "expected filters"),
        ((RidgeFilter(1.0),), "expected filters"),
        (([1.0],), "expected filters"),
        (([RidgeFilter(1.0)], -1.0), "noise_variance=-1.0"),
        (([RidgeFilter(1.0)], float("nan")), "noise_variance=nan"),
        (([TruncationFilter(1.0), GradientDescentFilter(10**5, 50.0)],), "not finite"),
    ],
)
def test_bad_input_is_refused(arguments, said):
    X, _, y = data()
    with pytest.raises(InputError, match=said):
        risk_curve(SpectralModel(X, y), *arguments)


def test_filters_and_models_without_such_a_curve_are_refused():
    X, _, y = data()
    model = SpectralModel(X, y)
    with pytest.raises(UnsupportedError, match="not linear in y"):
        risk_curve(model, [conjugate_gradient_filter(model, 3)])
    with pytest.raises(InputError, match=r"y has shape \(40, 1\)"):
        risk_curve(SpectralModel(X, y[:, None]), [RidgeFilter(1.0)])
