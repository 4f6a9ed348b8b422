"""Comparisons: what is predicted is what happens on quadratics, what is observed is what the traces say."""

import json
import math
import pickle
from dataclasses import replace

import numpy as np
import pytest

import thalweg as tw
from thalweg.core.records import Status, Trace
from thalweg.planning import compare, comparing
from tolerances import PROMISED, STEPS_ON_QUADRATIC


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
    found = compare(rosenbrock(), ["bfgs"])
    assert math.isnan(found["bfgs"].prediction.steps)
    assert "bfgs: none: " in str(found)
    assert found.record()["methods"][0]["predicted"]["steps"] is None


def test_newton_foresees_its_end_on_the_way():
    found = compare(rosenbrock(), ["newton"])["newton"]
    assert found.prediction.basis.startswith("extrapolated from the first ")
    assert abs(found.prediction.steps - found.steps) <= 1


def test_stochastic_methods_are_foreseen_with_momentum_schedules_and_averages():
    problem = tw.Noisy.sampled(quadratic(10.0, 6), 1e-3, 200, seed=0)
    methods = [
        tw.SGD(0.2, batch_size=10, momentum=0.5),
        tw.SGD(0.4, batch_size=10, schedule=tw.InverseTime(1000)),
        tw.SGD(0.4, batch_size=10, schedule=tw.StepDecay(400, 0.5)),
        tw.SGD(0.4, batch_size=10, average=tw.PolyakAverage(20)),
        tw.Adam(0.02, batch_size=10),
    ]
    found = compare(problem, methods, tol=1e-2, max_steps=200)
    assert len({row.label for row in found.rows}) == 5
    for row in found.rows:
        assert 1 / STEPS_ON_QUADRATIC <= row.prediction.steps / row.steps <= STEPS_ON_QUADRATIC, row.label
        low, high = row.prediction.steps_interval
        assert low <= row.prediction.steps <= high
        how = "followed" if "Adam" in row.settings else "second moments"
        assert row.prediction.basis.startswith(how)


def test_steps_given_on_a_table_are_foreseen_at_its_minimum():
    rng = np.random.default_rng(5)
    X = rng.normal(size=(200, 5))
    table = tw.FiniteSum(X, np.where(X[:, 0] + rng.logistic(size=200) > 0, 1.0, -1.0), "logistic", 1e-2)
    for row in compare(table, [tw.SGD(0.3, batch_size=None), tw.SGD(0.3)], tol=1e-3, max_steps=200).rows:
        assert 1 / PROMISED <= row.prediction.steps / row.steps <= PROMISED, row.label


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


# --- Comparisons of what is not well-behaved --------------------------------------------------------------------------


def plane(f, x0=(1.0, 1.0)):
    return tw.problem(f, x0=list(x0))


@pytest.mark.parametrize(
    "problem",
    [
        plane(lambda x: x.sum()),
        plane(lambda x: x[0] ** 2 - x[1] ** 2),
        tw.Quadratic(np.diag([1.0, 0.0]), b=[1.0, 1.0]),
        tw.FiniteSum(np.arange(6.0)[:, None] - 2.5, np.array([-1, -1, -1, 1, 1, 1.0]), "logistic", 0.0),
    ],
    ids=["linear", "saddle", "singular", "separable"],
)
def test_without_a_minimum_no_gap_is_shown_and_no_target_reached(problem):
    found = compare(problem, ["newton", "l-bfgs", "gradient-descent"], max_steps=200)
    assert "no minimum" in found.minimum_from
    for row in found.rows:
        assert row.solution.status is not Status.CONVERGED
        assert math.isnan(row.gap) and math.isnan(row.steps)
    record = json.loads(json.dumps(found.record(), allow_nan=False))
    assert all(row["gap"] is None for row in record["methods"])
    drawn = json.dumps(tw.plot(found).spec)
    assert "there is no minimum" in drawn and "target" not in drawn


def test_a_model_without_a_minimum_foretells_nothing():
    found = compare(plane(lambda x: x.sum()), ["gradient-descent"], max_steps=10)
    assert math.isnan(found.rows[0].prediction.steps)
    assert "without curvature" in str(found)


def test_far_flung_paths_leave_a_window_around_the_others():
    problem = tw.Quadratic(np.diag([1.0, 10.0]), b=[1.0, 1.0])
    wild = [tw.GradientDescent(step_size=3.0), tw.GradientDescent(step_size=1e200)]
    # Alone they leave the start in the middle; beside a run that arrives, start and minimiser are in the window.
    for methods, shown in ((wild, (0.0, 0.0)), ([*wild, "l-bfgs"], (1.0, 0.1))):
        found = compare(problem, methods, max_steps=100)
        across, up, values = found.surface
        assert np.isfinite(values).all()
        for axis, sought in zip((across, up), shown, strict=True):
            assert axis[0] < sought < axis[-1] < 10
            assert (np.diff(axis) > 0).all()
        assert tw.plot(found, "paths").spec


def test_the_window_holds_the_few_steps_of_a_fast_method_beside_the_many_of_a_slow_one():
    """Newton's first step on Rosenbrock's function overshoots the start; gradient descent stays in the valley."""
    found = compare(rosenbrock(), ["newton", "gradient-descent"], max_steps=2000)
    across, up, _ = found.surface
    for axis, visited in zip((across, up), found["newton"].path.T, strict=True):
        assert axis[0] < visited.min() and visited.max() < axis[-1]


def test_a_window_outside_the_domain_is_not_drawn_and_does_not_fail():
    found = compare(plane(lambda x: np.log(x[0]) ** 2 + np.sqrt(x[1]), (1.5, 0.1)), ["newton", "l-bfgs"], max_steps=50)
    assert np.isnan(found.surface[2]).any()
    tw.plot(found, "paths")
    record = found.record()
    record["surface"]["values"] = [[None] * len(row) for row in record["surface"]["values"]]
    with pytest.raises(tw.InputError, match="paths"):
        tw.plot(record, "paths")


def test_a_given_step_is_taken_in_the_variables_that_were_given_wherever_it_stands():
    rng = np.random.default_rng(0)
    table = tw.FiniteSum(rng.normal(size=(40, 3)) * [1, 30, 0.1], rng.normal(size=40), "squared", 1e-2)
    step = tw.GradientDescent(step_size=1e-4)
    alone = tw.solve(table, step, max_steps=50)
    for methods in ([step, "newton"], ["newton", step]):
        beside = compare(table, methods, max_steps=50)["gradient-descent"].solution
        np.testing.assert_array_equal(beside.trace["value"], alone.trace["value"])


def test_a_given_minimum_that_is_not_the_least_value_is_not_believed():
    wrong = tw.problem(lambda x: ((x - 1) ** 2).sum(), x0=[3.0, 2.0], minimum=1.0)
    found = compare(wrong, ["newton"])
    assert found.minimum == pytest.approx(0.0, abs=1e-15)
    assert found.minimum_from == "the lowest value found"
    right = tw.problem(lambda x: ((x - 1) ** 2).sum(), x0=[3.0, 2.0], minimum=0.0)
    assert compare(right, ["newton"]).minimum_from == "as given"


def test_comparisons_survive_a_pickle():
    found = compare(rosenbrock(), ["l-bfgs", "newton"], max_steps=100)
    again = pickle.loads(pickle.dumps(found))
    assert str(again) == str(found)
    assert again.record() == found.record()


@pytest.mark.parametrize(
    "bad",
    [
        {"max_steps": -1}, {"max_steps": "a"}, {"max_steps": 1.5}, {"max_steps": math.inf}, {"max_seconds": -1},
        {"max_seconds": math.nan}, {"tol": 0}, {"tol": math.inf}, {"seed": "a"}, {"x0": [1.0]}, {"methods": 3},
        {"methods": [tw.Newton]}, {"methods": tw.Newton}, {"methods": [None, 3]},
    ],
)  # fmt: skip
def test_every_argument_is_checked_by_name(bad):
    with pytest.raises(tw.InputError, match=next(iter(bad)).removesuffix("s")):
        compare(quadratic(), **{"methods": ["newton"], **bad})


@pytest.mark.parametrize(("status", "steps"), [(Status.CONVERGED, 1.0), (Status.BUDGET_SPENT, math.nan)])
def test_a_dip_below_the_target_that_the_run_keeps_is_its_arrival(status, steps):
    """Momentum rises again after its best point, which is what a run that has converged returns."""
    run = compare(rosenbrock(), ["newton"])["newton"]
    trace = Trace()
    for k, value in enumerate((1.0, 1e-6, 1e-4)):
        trace.append(step=k, value=value, passes=2.0 * k, seconds=0.1 * k)
    solution = replace(run.solution, value=1e-6, status=status, trace=trace)
    found = comparing._compared("nesterov", tw.Nesterov(), run.prediction, solution, None, 0.0, 1e-5)
    np.testing.assert_equal((found.steps, found.passes), (steps, 2 * steps))


def test_a_run_whose_mean_settles_above_the_target_may_touch_it():
    rng = np.random.default_rng(11)
    X = rng.normal(size=(400, 6))
    table = tw.FiniteSum(X, np.sign(X @ rng.normal(size=6) + rng.normal(size=400)), "logistic", 1e-2)
    found = compare(table, [tw.SGD(0.05, momentum=0.9, batch_size=32)], tol=1e-4, max_steps=50)
    assert math.isinf(found.rows[0].prediction.steps)
    assert found.rows[0].prediction.steps_interval[0] <= found.rows[0].steps
    assert "settles above the target; single runs may touch it" in str(found)


def test_steps_that_a_guard_will_shorten_are_not_foretold():
    """Poisson's curvature is larger at the minimum than at the start, where the step was tuned."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 4))
    table = tw.FiniteSum(X, rng.poisson(np.exp(0.6 * X @ rng.normal(size=4) + 0.5)).astype(float), "poisson", 1e-3)
    found = compare(table, ["heavy-ball"], tol=1e-6)["heavy-ball"]
    assert found.solution.status.success
    assert not math.isinf(found.prediction.steps)
