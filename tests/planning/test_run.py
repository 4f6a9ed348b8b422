"""Carrying plans out: wrong plans are noticed and replaced, and the joined record holds together."""

from dataclasses import dataclass, replace

import numpy as np
import pytest

import thalweg as tw
from reference import Objective
from thalweg.core.errors import InputError
from thalweg.core.events import Finished, Started, Stepped
from thalweg.core.plan import Plan, Prediction
from thalweg.core.records import CertificateKind, Status
from thalweg.linalg import Factor
from thalweg.methods import LBFGS, METHODS, Method, Newton
from thalweg.planning.fitting import ASKED, Prepared, solve_prepared
from thalweg.planning.rank import Prospect
from thalweg.planning.run import find_method, run
from thalweg.problems import ChangedProblem, FiniteSum, Standardizing
from tolerances import CERTIFIED_GAP, eps

N, D, KAPPA, L2 = 200, 5, 1e3, 1e-4


@dataclass
class Case:
    """A problem with its answer, and L and mu where a run starts."""

    changed: ChangedProblem
    reference: Objective
    largest: float
    smallest: float

    @property
    def target(self):
        return CERTIFIED_GAP * self.changed.at(np.zeros(self.changed.size)).value

    @property
    def best(self):
        return self.reference.minimise()[1]


def case(loss, seed=0):
    rng = np.random.default_rng(seed)
    U = np.linalg.qr(rng.normal(size=(D, D)))[0]
    X = rng.normal(size=(N, D)) @ (U * np.geomspace(1, KAPPA**-0.5, D)) @ U.T
    z = X @ rng.normal(size=D)
    z *= 2 / z.std()
    y = z + rng.normal(size=N) if loss == "squared" else np.where(z + rng.logistic(size=N) > 0, 1.0, -1.0)
    problem = FiniteSum(X, y, loss, L2)
    changed = ChangedProblem(problem, Standardizing(problem))
    values = np.linalg.eigvalsh(changed.at(np.zeros(changed.size)).hessian)
    return Case(changed, Objective(loss, X, y, L2), values[-1], values[0])


def row(method, steps, upper, seconds):
    """A made-up prediction; seconds decide who takes over."""
    return Prediction(method, steps, (steps / 2, upper), seconds, (seconds / 2, 2 * seconds), 2 * steps, 1e3, "made up")


def plan_of(target, chosen, *others):
    """Five steps predicted of the chosen method, eight at most; the others would be done at once."""
    rows = (row(chosen, 5.0, 8.0, 1e-12), *(row(other, 5.0, 1e6, 1e-11 * k) for k, other in enumerate(others, 1)))
    return Plan(target, rows, chosen, "wrong on purpose", 0.0)


def maker(found, scale=1.0):
    """Methods tuned with L wrong by a factor."""
    quadratic = found.changed.base.constant_curvature

    def make(name):
        method = METHODS[name]
        return method.tuned(scale * found.largest, found.smallest, quadratic=quadratic)

    return make


def carry_out(found, plan, make, **options):
    settings = {"max_steps": 100_000, "max_seconds": np.inf, "fixed": False, **options}
    return run(found.changed, plan, make, np.zeros(found.changed.size), **settings)


def assert_consistent(solution, found, parts=1):
    """One record: rows in order, costs that add up, and never a bound below the truth."""
    trace = solution.trace
    steps = trace["step"]
    assert set(steps) == set(range(solution.cost.steps + 1))
    assert ((np.diff(steps) == 0) | (np.diff(steps) == 1)).all()
    assert (np.diff(steps) == 0).sum() <= parts - 1  # the step where one method hands over to the next
    assert (np.diff(trace["seconds"]) >= 0).all()
    assert (np.diff(trace["passes"]) >= 0).all()
    assert solution.cost.passes == trace["passes"][-1]
    assert solution.cost.seconds >= trace["seconds"][-1]
    rounding = 16 * eps() * np.maximum(np.abs(trace["value"]), 1.0)
    assert (trace["gap"] >= trace["value"] - found.best - rounding).all()
    assert solution.value == pytest.approx(
        found.reference.value(found.changed.change.forward(solution.x)), rel=64 * eps()
    )
    assert solution.value <= np.nanmin(trace["value"]) + 16 * eps()
    assert solution.value - found.best <= solution.certificate.gap + 16 * eps()


@pytest.mark.parametrize("loss", ["logistic", "squared"])
def test_a_method_far_slower_than_predicted_gives_way(loss):
    found = case(loss)
    solution, plan = carry_out(found, plan_of(found.target, "gradient-descent", "newton"), maker(found))
    (revision,) = plan.revisions
    assert (revision.before, revision.after) == ("gradient-descent", "newton")
    assert revision.step == 9  # the first beyond the eight that were allowed
    assert "5 steps were predicted (at most 8)" in revision.reason
    assert "after 9" in revision.reason
    assert solution.status is Status.CONVERGED
    assert solution.certificate.gap <= found.target
    assert solution.method == "gradient-descent then newton"
    assert_consistent(solution, found, parts=2)
    # The made plan is kept, and says what was changed.
    assert plan.chosen == "gradient-descent"
    assert "! step 9: gradient-descent -> newton" in str(plan)


@pytest.mark.parametrize(
    ("name", "loss", "scale"),
    [
        ("nesterov", "logistic", 0.01),
        ("nesterov", "logistic", 100.0),
        ("nesterov", "squared", 0.01),
        ("heavy-ball", "squared", 100.0),
        ("gradient-descent", "logistic", 0.01),
        ("gradient-descent", "squared", 100.0),
    ],
)
def test_a_wrong_condition_number_is_noticed(name, loss, scale):
    found = case(loss)
    solution, plan = carry_out(found, plan_of(found.target, name, "newton"), maker(found, scale))
    assert [(r.before, r.after) for r in plan.revisions] == [(name, "newton")]
    assert solution.status is Status.CONVERGED
    assert solution.value - found.best <= found.target
    assert_consistent(solution, found, parts=2)


@pytest.mark.parametrize(
    "solver",
    [lambda v: np.geomspace(1e-6, 1e6, len(v)) * v, lambda v: -v, lambda v: np.nan * v, np.zeros_like],
    ids=["badly scaled", "negative", "nan", "zero"],
)
def test_a_preconditioner_that_fails_is_noticed_and_replaced(solver):
    found = case("logistic")
    solution, plan = carry_out(
        found, plan_of(found.target, "newton", "l-bfgs"), lambda name: Newton(first_solver=Factor(solver), share=3.0)
    )
    assert len(plan.revisions) == 1
    revision = plan.revisions[0]
    assert (revision.before, revision.after) == ("newton", "newton")
    assert "did not precondition" in revision.reason
    assert 0 <= revision.step <= solution.cost.steps
    assert solution.status is Status.CONVERGED
    assert solution.value - found.best <= found.target
    assert_consistent(solution, found)


def test_a_good_preconditioner_is_kept():
    found = case("logistic")
    inverse = np.linalg.inv(found.changed.at(np.zeros(found.changed.size)).hessian)
    solution, plan = carry_out(
        found,
        plan_of(found.target, "newton"),
        lambda name: Newton(first_solver=Factor(lambda v: inverse @ v), share=10.0),
    )
    assert plan.revisions == ()
    assert solution.status is Status.CONVERGED


def test_a_prediction_that_holds_changes_nothing():
    found = case("logistic")
    plan = replace(plan_of(found.target, "newton", "l-bfgs"))
    solution, after = carry_out(found, plan, maker(found))
    assert after.revisions == ()
    assert solution.method == "newton"
    assert_consistent(solution, found)


def test_an_alternative_that_would_take_longer_is_not_taken():
    found = case("logistic")
    plan = plan_of(found.target, "l-bfgs", "gradient-descent")
    slow = tuple(replace(r, seconds=1e9) if r.method == "gradient-descent" else r for r in plan.predictions)
    solution, after = carry_out(found, replace(plan, predictions=slow), maker(found))
    assert after.revisions == ()
    assert solution.cost.steps > 8
    assert solution.status is Status.CONVERGED


def test_an_alternative_that_is_not_expected_to_arrive_is_not_taken():
    found = case("logistic")
    plan = plan_of(found.target, "l-bfgs", "nesterov")
    rows = tuple(replace(r, seconds=np.inf) if r.method == "nesterov" else r for r in plan.predictions)
    solution, after = carry_out(found, replace(plan, predictions=rows), maker(found))
    assert after.revisions == ()
    assert solution.status is Status.CONVERGED


def test_a_method_asked_for_by_name_is_never_changed():
    found = case("logistic")
    plan = plan_of(found.target, "l-bfgs", "newton")
    solution, after = carry_out(found, plan, maker(found), fixed=True)
    assert after.revisions == ()
    assert solution.method == "l-bfgs"
    assert solution.cost.steps > 8
    assert_consistent(solution, found)
    for status in (Status.NO_PROGRESS, Status.LINE_SEARCH_FAILED):
        solution, after = carry_out(found, plan, lambda name, status=status: Broken(status=status), fixed=True)
        assert after.revisions == ()
        assert solution.status is status


@dataclass(frozen=True)
class Broken(Method):
    """L-BFGS that breaks off after three steps."""

    status: Status = Status.NO_PROGRESS
    name: str = "l-bfgs"
    needs = frozenset({"value", "gradient"})
    reference = "none"

    def init(self, point):
        state = LBFGS().init(point)
        return replace(state, memory={**state.memory, "left": 3})

    def step(self, state):
        if state.memory["left"] == 0:
            return replace(state, decrement=1.0, failure=self.status)
        following = LBFGS().step(state)
        return replace(following, memory={**following.memory, "left": state.memory["left"] - 1})


@pytest.mark.parametrize("status", [Status.NO_PROGRESS, Status.LINE_SEARCH_FAILED, Status.DIVERGED])
def test_a_method_that_breaks_off_hands_over_from_its_best_point(status):
    found = case("logistic")
    starts = []

    def make(name):
        return Broken(status=status) if name == "l-bfgs" else METHODS[name]

    def listen(event):
        if isinstance(event, Stepped):
            starts.append(event.value)

    plan = plan_of(found.target, "l-bfgs", "newton")
    solution, after = carry_out(found, plan, make, listen=listen)
    (revision,) = after.revisions
    assert (revision.before, revision.after) == ("l-bfgs", "newton")
    assert status.label in revision.reason
    assert solution.status is Status.CONVERGED
    assert solution.certificate.gap <= found.target
    assert starts[revision.step + 1] <= min(starts[: revision.step + 1])
    assert_consistent(solution, found, parts=2)


def test_methods_are_tried_once_each_in_the_order_of_their_seconds():
    found = case("logistic")
    made = []

    def make(name):
        made.append(name)
        return METHODS[name] if name == "newton" else replace(Broken(), name=name)

    plan = plan_of(found.target, "l-bfgs", "nesterov", "newton-cg", "newton")
    solution, after = carry_out(found, plan, make)
    assert made == ["l-bfgs", "nesterov", "newton-cg", "newton"]
    assert [r.after for r in after.revisions] == made[1:]
    assert [r.step for r in after.revisions] == sorted(r.step for r in after.revisions)
    assert solution.status is Status.CONVERGED
    assert solution.method == "l-bfgs then nesterov then newton-cg then newton"
    assert_consistent(solution, found, parts=4)


def test_when_all_methods_break_off_the_last_status_stands():
    found = case("logistic")
    plan = plan_of(found.target, "l-bfgs", "nesterov")
    solution, after = carry_out(found, plan, lambda name: replace(Broken(), name=name))
    assert solution.status is Status.NO_PROGRESS
    assert len(after.revisions) == 1
    assert np.isfinite(solution.certificate.gap)
    assert_consistent(solution, found, parts=2)


class TestEvents:
    def listen_to(self, found, plan, **options):
        seen = []
        solution, after = carry_out(found, plan, maker(found), listen=seen.append, **options)
        return seen, solution, after

    def test_one_start_one_end_and_steps_that_count_on(self):
        found = case("logistic")
        seen, solution, _ = self.listen_to(found, plan_of(found.target, "gradient-descent", "newton"))
        assert isinstance(seen[0], Started)
        assert isinstance(seen[-1], Finished)
        assert seen[-1].solution is solution
        assert sum(isinstance(event, (Started, Finished)) for event in seen) == 2
        steps = [event.step for event in seen if isinstance(event, Stepped)]
        assert steps == sorted(steps)
        assert set(steps) == set(range(solution.cost.steps + 1))

    @pytest.mark.parametrize("step", [0, 3, 10, 11], ids=["start", "first method", "hand-over", "second method"])
    def test_interruption_by_the_listener(self, step):
        found = case("logistic")
        values = []

        def listen(event):
            if isinstance(event, Stepped):
                values.append(event.value)
                if event.step == step:
                    raise KeyboardInterrupt

        plan = plan_of(found.target, "gradient-descent", "newton")
        solution, after = carry_out(found, plan, maker(found), listen=listen)
        assert solution.status is Status.INTERRUPTED
        assert "x0" in solution.status.remedy
        assert solution.value == min(values)
        assert len(after.revisions) == (step > 9)
        assert_consistent(solution, found, parts=2)

    def test_interruption_at_the_first_event(self):
        found = case("logistic")

        def listen(event):
            if isinstance(event, Started):
                raise KeyboardInterrupt

        solution, _ = carry_out(found, plan_of(found.target, "newton"), maker(found), listen=listen)
        assert solution.status is Status.INTERRUPTED
        np.testing.assert_array_equal(solution.x, 0.0)

    def test_other_errors_of_the_listener_are_not_swallowed(self):
        found = case("logistic")

        def listen(event):
            raise RuntimeError("mine")

        with pytest.raises(RuntimeError, match="mine"):
            carry_out(found, plan_of(found.target, "newton"), maker(found), listen=listen)


class TestBudgets:
    def test_steps_are_counted_over_all_methods(self):
        found = case("logistic")
        plan = plan_of(found.target, "gradient-descent", "nesterov")
        solution, after = carry_out(found, plan, maker(found), max_steps=20)
        assert len(after.revisions) == 1
        assert solution.cost.steps == 20
        assert solution.status is Status.BUDGET_SPENT
        assert_consistent(solution, found, parts=2)

    def test_no_seconds_end_the_run_at_once(self):
        found = case("logistic")
        solution, after = carry_out(found, plan_of(found.target, "l-bfgs", "newton"), maker(found), max_seconds=0.0)
        assert solution.status is Status.BUDGET_SPENT
        assert solution.cost.steps == 0
        assert after.revisions == ()


def test_an_unknown_method_is_named():
    with pytest.raises(InputError, match="adam") as caught:
        find_method("adam")
    for name in METHODS:
        assert name in caught.value.remedy
        assert find_method(name).name == name


class TestFit:
    """The same through ``solve``, in the user's units."""

    def prepared(self):
        found = case("logistic")
        base = found.changed.base
        table = tw.load_table(base.rows.block(slice(None)), None, y=base.y)
        return found, Prepared(table, base, np.array([-1.0, 1.0]), ())

    def test_a_wrong_plan_is_replaced_and_the_fit_says_so(self):
        found, prepared = self.prepared()
        plan = plan_of(found.target, "gradient-descent", "newton")
        prospect = Prospect(plan, None, found.largest, found.smallest, False)
        fit = solve_prepared(prepared, prospect=prospect)
        assert fit.status is Status.CONVERGED
        assert fit.certificate.kind is CertificateKind.PROOF
        assert [(r.before, r.after) for r in fit.made_plan.revisions] == [("gradient-descent", "newton")]
        assert fit.value - found.best <= fit.certificate.gap + 16 * eps()
        assert fit.plan.revisions == fit.made_plan.revisions
        assert any("plan was changed at step 9" in sentence for sentence in fit.record()["verdict"])

    def test_a_named_method_overrules_a_plan_and_stays(self):
        found, prepared = self.prepared()
        prospect = Prospect(
            plan_of(found.target, "gradient-descent", "newton"), None, found.largest, found.smallest, False
        )
        fit = solve_prepared(prepared, prospect=prospect, method="l-bfgs")
        assert fit.method == "l-bfgs"
        assert fit.made_plan.reason == ASKED
        assert fit.made_plan.revisions == ()


def test_bounds_of_a_run_that_exploded_are_not_carried_on():
    found = case("squared")
    solution, _ = carry_out(found, plan_of(found.target, "heavy-ball", "newton"), maker(found, 0.01))
    assert_consistent(solution, found, parts=2)


def test_one_row_a_step_in_the_joined_trace():
    found = case("logistic")
    solution, _ = carry_out(found, plan_of(found.target, "gradient-descent", "newton"), maker(found))
    np.testing.assert_array_equal(solution.trace["step"], np.arange(solution.cost.steps + 1))


@pytest.mark.parametrize("when", [9])
def test_interruption_at_the_step_of_the_change_and_at_the_end(when):
    found = case("logistic")

    def listen(event):
        if getattr(event, "step", None) == when or (when is Finished and isinstance(event, Finished)):
            raise KeyboardInterrupt

    solution, after = carry_out(found, plan_of(found.target, "gradient-descent", "newton"), maker(found), listen=listen)
    assert solution.status is (Status.INTERRUPTED if when == 9 else Status.CONVERGED)


def test_a_prediction_renewed_after_a_tenth_is_told_and_acted_on():
    """200 steps were predicted; seen from step 20 it is 5,000: said once, and the other method takes over early."""
    found = case("logistic")
    plan = plan_of(found.target, "gradient-descent", "newton")
    slow = replace(plan["gradient-descent"], steps=200.0, steps_interval=(100.0, 300.0))
    plan = replace(plan, predictions=(slow, plan["newton"]))
    solution, after = carry_out(found, plan, maker(found, 0.02), renew=lambda name, event: 5_000.0)
    told = [r for r in after.revisions if r.before == r.after]
    assert len(told) == 1
    assert told[0].step == 20
    assert "5000 steps in all" in told[0].reason
    assert solution.status is Status.CONVERGED
