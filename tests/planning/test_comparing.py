"""Comparisons: what is predicted is what happens on quadratics, what is observed is what the traces say."""

import json
import math

import numpy as np
import pytest

import thalweg as tw
from thalweg.core.records import Status
from thalweg.planning import compare
from tolerances import STEPS_ON_QUADRATIC


def quadratic(kappa=1e3, size=30):
    rng = np.random.default_rng(0)
    basis = np.linalg.qr(rng.normal(size=(size, size)))[0]
    A = basis * np.geomspace(1 / kappa, 1, size) @ basis.T
    return tw.Quadratic((A + A.T) / 2, b=rng.normal(size=size))


def rosenbrock():
    return tw.problem(lambda x: 100 * (x[1] - x[0] ** 2) ** 2 + (1 - x[0]) ** 2, x0=[-1.2, 1.0])


def test_predicted_beside_observed_on_a_quadratic():
    found = compare(quadratic(), ["gradient-descent", "heavy-ball", "nesterov", "l-bfgs", "newton"], tol=1e-6)
    for row in found.rows:
        assert row.solution.status is Status.CONVERGED
        assert 1 / STEPS_ON_QUADRATIC <= row.prediction.steps / row.steps <= STEPS_ON_QUADRATIC, row.label
        assert row.gap <= 1e-6
        assert row.passes > 0 and row.seconds > 0


def test_steps_are_counted_to_the_last_crossing_of_the_target():
    problem = quadratic()
    found = compare(problem, ["heavy-ball"], tol=1e-6)
    gaps = found["heavy-ball"].solution.trace["value"] - problem.minimum
    first = int(found["heavy-ball"].steps)
    assert (gaps[first:] <= 1e-6).all()
    assert gaps[first - 1] > 1e-6


def test_the_minimum_is_the_known_one_or_proven_or_said_to_be_only_the_lowest_found():
    assert compare(quadratic(), ["newton"]).minimum_from == "known in closed form"
    rng = np.random.default_rng(0)
    X = rng.normal(size=(80, 3))
    table = tw.FiniteSum(X, np.where(X[:, 0] + rng.normal(size=80) > 0, 1.0, -1.0), "logistic", 1e-2)
    assert "proven" in compare(table, ["newton", "l-bfgs"]).minimum_from
    found = compare(rosenbrock(), ["l-bfgs", "newton"])
    assert found.minimum_from == "the lowest value found"
    assert found.minimum == pytest.approx(0.0, abs=1e-15)


def test_what_cannot_be_predicted_is_said_and_not_made_up():
    found = compare(rosenbrock(), ["newton"])
    assert math.isnan(found["newton"].prediction.steps)
    assert "no prediction" in str(found)
    assert found.record()["methods"][0]["predicted"]["steps"] is None


def test_a_run_that_misses_the_target_has_no_steps_to_it():
    found = compare(quadratic(1e4), ["gradient-descent", tw.GradientDescent(step_size=3.0)], max_steps=50)
    slow, diverging = found.rows
    assert slow.solution.status is Status.BUDGET_SPENT
    assert diverging.solution.status is Status.DIVERGED
    assert math.isnan(slow.steps) and math.isnan(diverging.steps)
    assert diverging.prediction.steps == math.inf
    assert "never" in str(found)
    assert slow.label != diverging.label


def test_the_record_is_json_and_is_drawn(tmp_path):
    found = compare(rosenbrock(), ["l-bfgs", "newton", "nesterov"], max_steps=300)
    record = json.loads(json.dumps(found.record(), allow_nan=False))
    assert [row["method"] for row in record["methods"]] == ["l-bfgs", "newton", "nesterov"]
    path = np.array(record["methods"][0]["path"])
    np.testing.assert_allclose(path[0], [-1.2, 1.0])
    np.testing.assert_allclose(path[-1], found["l-bfgs"].solution.x)
    for what, axis in (("comparison", "pass"), ("comparison", "second"), ("comparison", "step"), ("paths", "step")):
        chart = tw.plot(found, what, axis=axis)
        assert chart.spec["datasets"]["rows"]
        file = chart.save(tmp_path / f"{what}-{axis}.svg")
        assert file.stat().st_size > 5_000


def test_tables_compare_with_their_rehearsal():
    X, y = __import__("sklearn.datasets").datasets.load_breast_cancer(return_X_y=True)
    found = compare(tw.FiniteSum(X, 2.0 * y - 1, "logistic"), ["newton", "l-bfgs"])
    for row in found.rows:
        assert row.solution.status is Status.CONVERGED
        assert 0.5 <= row.prediction.steps / row.steps <= 2.0


def test_bad_arguments_are_named():
    with pytest.raises(tw.InputError, match="twice"):
        compare(quadratic(), ["newton", tw.Newton()])
    with pytest.raises(tw.InputError, match="empty"):
        compare(quadratic(), [])
    with pytest.raises(tw.InputError, match="'nwton'"):
        compare(quadratic(), ["nwton"])
    with pytest.raises(tw.InputError, match="no problem"):
        compare(np.sum)
    with pytest.raises(tw.InputError, match="tol"):
        compare(quadratic(), tol=-1.0)
