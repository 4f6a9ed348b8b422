"""Plans: what they list, what they foresee, and what they print, on a machine whose speeds are made up."""

import json

import numpy as np
import pytest
import scipy.sparse as sp

from thalweg.core.plan import Plan, Prediction, Revision
from thalweg.methods import METHODS, Newton, drive
from thalweg.planning import rank
from thalweg.planning.machine import MachineProfile
from thalweg.planning.rank import SPARSE_GRAM, make_plan, newton_work, sure_plan, typical_plan, warm_newton
from thalweg.problems import ChangedProblem, FiniteSum, Standardizing
from tolerances import CERTIFIED_GAP

#: A machine like a laptop: 8 GB/s, 2e10 multiplications a second, steps of 0.1 ms.
PROFILE = MachineProfile(8e9, 2e10, 1e-8, dict.fromkeys(METHODS, 1e-4), 0.0, "made up")
LOSSES = ("squared", "logistic", "softmax", "poisson", "huber", "squared_hinge")


@pytest.fixture(autouse=True)
def made_up_machine(monkeypatch):
    """Predicted seconds are arithmetic on made-up speeds: the same at every run."""

    def profile():
        return PROFILE

    profile.cache_info = lambda: type("Info", (), {"currsize": 1})
    monkeypatch.setattr(rank, "machine_profile", profile)
    monkeypatch.setattr(rank, "_pass_seconds", lambda problem, profile: problem.rows.stored * 8 / profile.bandwidth)


def problem_of(loss, n=200, d=5, l2=1e-3, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d)) @ rng.normal(size=(d, d))
    z = X @ rng.normal(size=d) / np.sqrt(d)
    y = {
        "squared": z + rng.normal(size=n),
        "huber": z + rng.normal(size=n),
        "softmax": np.digitize(z + rng.logistic(size=n), [-1, 1]),
        "poisson": rng.poisson(np.exp(np.clip(z, -2, 2))).astype(float),
    }.get(loss, np.where(z + rng.logistic(size=n) > 0, 1.0, -1.0))
    return FiniteSum(X, y, loss, l2)


def changed_of(*arguments, **options):
    problem = problem_of(*arguments, **options)
    return ChangedProblem(problem, Standardizing(problem))


def target_of(changed):
    return CERTIFIED_GAP * changed.at(np.zeros(changed.size)).value


def same(first, second):
    """Whether two plans are equal but for the seconds that planning took."""
    a, b = first.record(), second.record()
    a.pop("planning_seconds"), b.pop("planning_seconds")
    return a == b


@pytest.mark.parametrize("loss", LOSSES)
class TestMadePlan:
    def plan(self, loss, **options):
        changed = changed_of(loss)
        return make_plan(changed, target_of(changed), **options).plan

    def test_every_method_that_applies_is_priced_once(self, loss):
        expected = set(METHODS) if loss == "squared" else set(METHODS) - {"heavy-ball"}
        names = [row.method for row in self.plan(loss).predictions]
        assert set(names) == expected
        assert len(names) == len(expected)

    def test_rows_are_sorted_and_the_first_is_chosen(self, loss):
        plan = self.plan(loss)
        seconds = [row.seconds for row in plan.predictions]
        assert seconds == sorted(seconds)
        assert plan.chosen == plan.predictions[0].method
        assert plan.reason == plan.predictions[0].why

    def test_every_row_says_what_it_costs_and_why(self, loss):
        for row in self.plan(loss).predictions:
            assert row.why
            assert row.basis
            assert row.bytes > 0
            assert row.passes > 0
            assert row.seconds > 0
            low, high = row.steps_interval
            assert low <= row.steps <= high
            low, high = row.seconds_interval
            assert low <= row.seconds <= high

    def test_losers_say_by_how_much(self, loss):
        plan = self.plan(loss)
        best = plan.predictions[0]
        for row in plan.predictions[1:]:
            if np.isfinite(row.seconds):
                assert f"{row.seconds / best.seconds:.3g}x the seconds" in row.why
            else:
                assert "not expected" in row.why

    def test_the_record_is_json(self, loss):
        plan = self.plan(loss)
        text = json.dumps(plan.record(), allow_nan=False)
        back = json.loads(text)
        assert [row["method"] for row in back["rows"]] == [row.method for row in plan.predictions]
        assert [row["chosen"] for row in back["rows"]].count(True) == 1
        assert back["target"] == plan.target

    def test_the_same_seed_gives_the_same_plan(self, loss):
        assert same(self.plan(loss, seed=3), self.plan(loss, seed=3))

    def test_printing_shows_every_row_and_marks_the_choice(self, loss):
        plan = self.plan(loss)
        lines = str(plan).splitlines()
        assert len(lines) == len(plan.predictions)
        assert [line for line in lines if line.startswith(">")] == [lines[0]]
        for line, row in zip(lines, plan.predictions, strict=True):
            assert line.split()[1 if line is lines[0] else 0] == row.method
            assert line.endswith(row.why)
            assert line == line.rstrip()

    def test_a_quick_plan_weighs_only_what_may_win(self, loss):
        names = {row.method for row in self.plan(loss, quick=True).predictions}
        assert names == {"newton", "l-bfgs"}


def test_predictions_are_kept_apart_by_when_they_were_made():
    changed = changed_of("logistic")
    plan = make_plan(changed, target_of(changed), made="afterwards").plan
    assert plan.made == "afterwards"
    assert make_plan(changed, target_of(changed)).plan.made == "before the first step"


@pytest.mark.parametrize("loss", ["logistic", "squared", "softmax"])
def test_newton_takes_what_its_row_says(loss):
    changed = changed_of(loss)
    target = target_of(changed)
    row = make_plan(changed, target).plan["newton"]
    *_, last = drive(changed, Newton(), np.zeros(changed.size), target=target)
    observed = int(np.flatnonzero(last.solution.trace["gap"] <= target)[0])
    assert row.steps_interval[0] <= observed <= row.steps_interval[1]
    assert row.curve[0][0] == 0
    assert row.curve[1][-1] <= target


@pytest.mark.parametrize("form", [np.asarray, sp.csr_array], ids=["dense", "sparse"])
def test_slower_passes_favour_methods_that_make_fewer(form, monkeypatch):
    problem = problem_of("logistic")
    problem = FiniteSum(form(problem.rows.block(slice(None))), problem.y, "logistic", 1e-3)
    changed = ChangedProblem(problem, Standardizing(problem))
    target = target_of(changed)
    monkeypatch.setattr(rank, "_pass_seconds", lambda problem, profile: 1.0)
    plan = make_plan(changed, target).plan
    assert plan.chosen == min(plan.predictions, key=lambda row: row.passes).method
    # And dear steps favour methods with few of them.
    monkeypatch.setattr(rank, "_pass_seconds", lambda problem, profile: 0.0)
    plan = make_plan(changed, target).plan
    assert plan.chosen == min(plan.predictions, key=lambda row: row.steps).method


class TestLargeProblems:
    """Bounds are lowered in place of making data large."""

    def test_newton_is_left_out_where_its_hessian_is_too_dear(self, monkeypatch):
        monkeypatch.setattr(rank, "MAX_NEWTON_WORK", 10.0)
        changed = changed_of("logistic")
        prospect = make_plan(changed, target_of(changed))
        assert "newton" not in {row.method for row in prospect.plan.predictions}
        assert not prospect.warm

    def test_newton_is_left_out_where_its_hessian_is_too_large(self, monkeypatch):
        monkeypatch.setattr(rank, "MAX_DENSE_PARAMETERS", 3)
        changed = changed_of("logistic")
        assert "newton" not in {row.method for row in make_plan(changed, target_of(changed)).plan.predictions}
        assert "newton" not in {row.method for row in typical_plan(changed.base, 1e-6).predictions}

    def test_dear_problems_start_newton_from_the_rehearsal(self, monkeypatch):
        monkeypatch.setattr(rank, "SURE_WORK", 1.0)
        changed = changed_of("logistic", n=2000)
        prospect = make_plan(changed, target_of(changed))
        assert prospect.warm
        row = prospect.plan["newton"]
        assert "warm start" in row.basis
        assert f"{prospect.rehearsal.rows} rows" in row.basis
        assert prospect.rehearsal.rows == 1000
        # The rehearsed minimum is a better start than zero by far.
        start, zero = changed.at(prospect.minimum).value, changed.at(np.zeros(changed.size)).value
        *_, last = drive(changed, warm_newton(prospect), prospect.minimum, target=target_of(changed))
        assert start - last.solution.value < 0.05 * (zero - last.solution.value)
        observed = int(np.flatnonzero(last.solution.trace["gap"] <= target_of(changed))[0])
        assert row.steps_interval[0] <= observed <= row.steps_interval[1]

    def test_seeds_choose_the_rows_that_are_rehearsed_on(self, monkeypatch):
        monkeypatch.setattr(rank, "SURE_WORK", 1.0)
        changed = changed_of("logistic", n=2000)
        minima = [make_plan(changed, target_of(changed), seed=seed).minimum for seed in (0, 0, 1)]
        np.testing.assert_array_equal(minima[0], minima[1])
        assert not np.array_equal(minima[0], minima[2])

    def test_typical_counts_are_ranked_like_any_other(self):
        problem = problem_of("logistic")
        plan = typical_plan(problem, 1e-6)
        assert {row.method for row in plan.predictions} == {"newton", "newton-cg", "l-bfgs"}
        assert [row.seconds for row in plan.predictions] == sorted(row.seconds for row in plan.predictions)
        assert plan.chosen == plan.predictions[0].method
        for row in plan.predictions:
            assert row.why
            assert row.bytes > 0
            assert row.steps_interval[0] < row.steps < row.steps_interval[1]
        json.dumps(plan.record(), allow_nan=False)


class TestSurePlan:
    def test_small_work_is_newton_at_once(self):
        for loss in LOSSES:
            problem = problem_of(loss)
            plan = sure_plan(problem, 1e-6)
            assert plan.chosen == "newton"
            assert [row.method for row in plan.predictions] == ["newton"]
            row = plan["newton"]
            assert row.steps_interval[0] <= row.steps <= row.steps_interval[1]
            assert row.why == plan.reason
            assert "less than planning" in plan.reason
            assert row.bytes > 0
            json.dumps(plan.record(), allow_nan=False)

    def test_quadratics_take_one_step(self):
        assert sure_plan(problem_of("squared"), 1e-6)["newton"].steps == 1

    def test_none_above_the_threshold(self, monkeypatch):
        problem = problem_of("logistic")
        monkeypatch.setattr(rank, "SURE_WORK", 10 * newton_work(problem))
        assert sure_plan(problem, 1e-6) is not None
        monkeypatch.setattr(rank, "SURE_WORK", 10 * newton_work(problem) * 0.999)
        assert sure_plan(problem, 1e-6) is None

    def test_a_machine_that_was_never_measured_is_not_measured_for_it(self, monkeypatch):
        def profile():
            raise AssertionError("measured")

        profile.cache_info = lambda: type("Info", (), {"currsize": 0})
        monkeypatch.setattr(rank, "machine_profile", profile)
        plan = sure_plan(problem_of("logistic"), 1e-6)
        assert np.isnan(plan["newton"].seconds)
        assert plan.record()["rows"][0]["seconds"] is None
        json.dumps(plan.record(), allow_nan=False)
        assert "?" in str(plan)


def test_work_grows_with_rows_the_square_of_stored_columns_and_classes():
    base = newton_work(problem_of("logistic", n=1000))
    assert newton_work(problem_of("logistic", n=2000)) == pytest.approx(2 * base, rel=0.01)
    assert newton_work(problem_of("logistic", n=1000, d=10)) == pytest.approx(4 * base, rel=0.1)
    assert newton_work(problem_of("softmax", n=1000)) == pytest.approx(6 * base, rel=0.1)
    problem = problem_of("logistic", n=1000, d=10)
    X = problem.rows.block(slice(None)).copy()
    X[:, ::2] = 0
    sparse = FiniteSum(sp.csr_array(X), problem.y, "logistic", 1e-3)
    # A quarter of the multiplications, each of which a sparse product does more slowly than a dense one.
    assert newton_work(sparse) == pytest.approx(newton_work(problem) / 4 * (2 * SPARSE_GRAM), rel=0.2)


def test_a_class_that_the_sample_would_miss_makes_it_all_rows():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(60, 2)), np.array([0, 1] * 29 + [2, 3])
    problem = FiniteSum(X, y, "softmax", 0.1)
    changed = ChangedProblem(problem, Standardizing(problem))
    for seed in range(4):
        prospect = make_plan(changed, target_of(changed), seed=seed)
        assert prospect.rehearsal.rows in (30, 60)
        assert np.isfinite(prospect.plan.predictions[0].steps)


@pytest.mark.parametrize("options", [{"l2": 0.0}, {"l2": 1e-9}, {"n": 3}, {"n": 2, "d": 1}, {"d": 1}])
def test_odd_problems_still_get_a_plan(options):
    changed = changed_of("logistic", **options)
    plan = make_plan(changed, max(target_of(changed), 1e-12)).plan
    assert np.isfinite(plan.predictions[0].seconds)
    json.dumps(plan.record(), allow_nan=False)
    assert str(plan)


class TestRecord:
    """What a plan prints and keeps, on rows made by hand."""

    def plan(self, **options):
        rows = (
            Prediction("fast", 12.0, (7.0, 21.0), 0.0123, (0.006, 0.03), 26.0, 2.5e6, "rehearsal", why="fewest"),
            Prediction("slow", 123456.0, (1e5, 2e5), 4321.0, (2e3, 8e3), 3e5, 3e9, "model", why="late"),
            Prediction("never", np.inf, (np.inf, np.inf), np.inf, (np.inf, np.inf), np.inf, 12.0, "model", why="no"),
        )
        return Plan(1e-8, rows, "fast", "fewest", 0.001, **options)

    def test_text(self):
        fast, slow, never = str(self.plan()).splitlines()
        assert fast.startswith("> fast")
        assert "12 steps [7, 21]" in fast
        assert "12.3 ms" in fast
        assert "2.5 MB" in fast
        assert "1.2e+05 steps [1.0e+05, 2.0e+05]" in slow
        assert "3 GB" in slow
        assert "? steps [?, ?]" in never
        assert "12 B" in never

    def test_revisions_follow_the_rows(self):
        plan = self.plan(revisions=(Revision(9, "too slow", "fast", "slow"),))
        assert str(plan).splitlines()[-1] == "! step 9: fast -> slow: too slow"
        assert plan.record()["revisions"] == [{"step": 9, "reason": "too slow", "from": "fast", "to": "slow"}]

    def test_infinity_is_null_in_json(self):
        rows = json.loads(json.dumps(self.plan().record(), allow_nan=False))["rows"]
        assert rows[2]["steps"] is None
        assert rows[2]["seconds_high"] is None
        assert rows[0]["steps_low"] == 7.0

    def test_rows_are_found_by_name(self):
        assert self.plan()["slow"].passes == 3e5
