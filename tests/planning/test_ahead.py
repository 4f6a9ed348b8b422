"""Looking ahead without solving: what the doors take, what they refuse, and that nothing is solved."""

import json

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

import thalweg as tw
from thalweg.core.plan import Diagnosis, Plan
from thalweg.planning import look
from thalweg.planning.rank import Prospect
from tolerances import CERTIFIED_GAP, arithmetic, summation


def data(n=80, d=3, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d)) * [1.0, 10.0, 0.1]
    return X, np.where(X[:, 0] + X[:, 1] / 10 + rng.logistic(size=n) > 0, 1.0, -1.0)


def values(diagnosis):
    return {name: constant.value for name, constant in diagnosis.constants.items()}


def steps(plan):
    return {row.method: row.steps for row in plan.predictions}


def assert_same(first, second):
    """Equal up to rounding, which another memory order changes and which may move a count by one or two."""
    assert {row.method: row.bytes for row in first.predictions} == {r.method: r.bytes for r in second.predictions}
    for row in first.predictions:
        assert second[row.method].steps == pytest.approx(row.steps, abs=1, rel=0.02)
    assert first.target == pytest.approx(second.target, rel=summation(100))


class TestEveryFormOfInputMeansTheSame:
    X, y = data()

    def forms(self):
        X, y = self.X, self.y
        frame = pd.DataFrame(X, columns=list("abc"))
        yield (tw.FiniteSum(X, y, "logistic"),)
        yield X, y
        yield np.asfortranarray(X), y
        yield X.tolist(), y.tolist()
        yield frame, y
        yield (frame.assign(label=np.where(y > 0, "yes", "no")),)
        yield (tw.load_table(X, None, y=y),)

    def test_diagnoses(self):
        first, *others = (values(tw.diagnose(*form)) for form in self.forms())
        for other in others:
            assert other == pytest.approx(first, rel=summation(len(self.y)) * 100)

    def test_sparse_diagnoses(self):
        dense, sparse = values(tw.diagnose(self.X, self.y)), values(tw.diagnose(sp.csr_array(self.X), self.y))
        assert sparse == pytest.approx(dense, rel=summation(len(self.y)) * 1e4)

    def test_plans(self):
        first, *others = (tw.plan(*form) for form in self.forms())
        for other in others:
            assert_same(first, other)

    def test_a_built_in_name_is_the_data_it_stands_for(self):
        from sklearn.datasets import load_iris

        X, y = load_iris(return_X_y=True)
        assert values(tw.diagnose("iris")) == pytest.approx(values(tw.diagnose(X, y)), rel=summation(150) * 100)
        assert_same(tw.plan("iris"), tw.plan(X, y))

    def test_files(self, tmp_path):
        path = tmp_path / "rows.csv"
        pd.DataFrame(self.X, columns=list("abc")).assign(y=self.y.astype(int)).to_csv(path, index=False)
        assert_same(tw.plan(path), tw.plan(self.X, self.y))
        assert_same(tw.plan(str(path), target="y"), tw.plan(self.X, self.y))


class TestArguments:
    X, y = data()

    def test_settings_reach_the_problem(self):
        for options in ({"l2": 0.3}, {"loss": "squared_hinge"}, {"sample_weight": np.arange(1.0, 81.0)}):
            problem = tw.FiniteSum(
                self.X,
                self.y,
                options.get("loss", "logistic"),
                options.get("l2"),
                options.get("sample_weight"),
            )
            expected = values(tw.diagnose(problem))
            assert values(tw.diagnose(self.X, self.y, **options)) == pytest.approx(expected, rel=1e-9)
            assert_same(tw.plan(self.X, self.y, **options), tw.plan(problem))

    def test_a_function_as_loss_with_its_domain(self):
        mine = tw.diagnose(self.X, self.y, loss=lambda z, y: tw.softplus(-y * z), target="+-1")
        assert values(mine) == pytest.approx(values(tw.diagnose(self.X, self.y)), rel=1e-6)

    def test_measured_where_it_is_asked(self):
        problem = tw.FiniteSum(self.X, self.y, "logistic")
        fit = tw.fit(self.X, self.y)
        there = tw.diagnose(self.X, self.y, at=fit.x)
        assert there.constants["mu"].where == "at the given point"
        assert there.constants["mu"].value < tw.diagnose(problem).constants["mu"].value
        zero = tw.diagnose(problem, at=problem.start())
        assert values(zero) == values(tw.diagnose(problem))

    def test_the_target_is_a_share_of_the_start_or_what_was_asked(self):
        problem = tw.FiniteSum(self.X, self.y, "logistic")
        at_zero = problem.at(problem.start()).value
        assert tw.plan(problem).target == pytest.approx(CERTIFIED_GAP * at_zero, rel=arithmetic())
        assert tw.plan(problem, tol=1e-3).target == 1e-3

    def test_a_smaller_target_takes_more_steps(self):
        problem = tw.FiniteSum(self.X, self.y, "logistic")
        loose, tight = (tw.plan(problem, tol=tol) for tol in (1e-2, 1e-10))
        for row in tight.predictions:
            assert row.steps >= loose[row.method].steps
        assert tight["gradient-descent"].steps > loose["gradient-descent"].steps + 5

    def test_seeds(self):
        problem = tw.FiniteSum(self.X, self.y, "logistic")
        assert steps(tw.plan(problem, seed=2)) == steps(tw.plan(problem, seed=2))


@pytest.mark.parametrize("verb", [tw.diagnose, tw.plan], ids=["diagnose", "plan"])
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"loss": "logistc"}, "logistc"),
        ({"loss": 3}, "loss=3"),
        ({"l2": -1}, "l2=-1"),
        ({"l2": "much"}, "l2='much'"),
        ({"y": np.ones(3)}, "3"),
        ({"y": np.ones(80)}, "one class"),
        ({"loss": "poisson"}, "-1"),
        ({"loss": "softmax", "y": np.linspace(0, 1, 80)}, "real values"),
        ({"X": np.full((80, 2), np.nan)}, "nan"),
        ({"X": "irs", "y": None}, "iris"),
        ({"sample_weight": np.full(80, -1.0)}, "sample_weight"),
        ({"target": "reel", "loss": lambda z, y: (z - y) ** 2}, "reel"),
    ],
)
def test_bad_input_is_named_with_a_remedy(verb, arguments, words):
    X, y = data()
    arguments = {"X": X, "y": y, **arguments}
    with pytest.raises(tw.ThalwegError) as caught:
        verb(arguments.pop("X"), arguments.pop("y"), **arguments)
    assert words in str(caught.value)
    assert caught.value.remedy
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("tol", [-1.0, np.nan, np.inf, "small", True])
def test_a_target_that_is_none_is_refused(tol):
    with pytest.raises(tw.InputError, match="tol="):
        tw.plan(*data(), tol=tol)


def test_a_seed_that_is_none_is_refused():
    with pytest.raises(tw.InputError, match="seed="):
        tw.plan(*data(), seed=-1)


class TestLook:
    def test_it_holds_both_and_what_carries_the_plan_out(self):
        X, y = data()
        problem = tw.FiniteSum(X, y, "logistic")
        outlook = look(problem)
        assert isinstance(outlook.diagnosis, Diagnosis)
        assert isinstance(outlook.plan, Plan)
        assert isinstance(outlook.prospect, Prospect)
        assert outlook.plan is outlook.prospect.plan
        assert values(outlook.diagnosis) == values(tw.diagnose(problem))
        assert_same(outlook.plan, tw.plan(problem))
        # Its methods are tuned: the step of gradient descent is one over the curvature met at the start.
        step = outlook.prospect.method("gradient-descent").step_size
        assert step == pytest.approx(1 / outlook.prospect.largest, rel=arithmetic())
        assert outlook.prospect.method("newton").name == "newton"

    def test_tol_and_seed(self):
        problem = tw.FiniteSum(*data(), "logistic")
        assert look(problem, tol=1e-4).plan.target == 1e-4
        with pytest.raises(tw.InputError, match="tol="):
            look(problem, tol=-1)

    def test_both_are_json(self):
        outlook = look(tw.FiniteSum(*data(), "logistic"))
        json.dumps(outlook.diagnosis.record(), allow_nan=False)
        json.dumps(outlook.plan.record(), allow_nan=False)
        assert str(outlook.diagnosis)
        assert str(outlook.plan)


def test_weights_on_rows_outside_the_sample():
    """Rows of weight zero are no part of a rehearsal, whichever rows the seed would draw."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(50, 3))
    y = X[:, 0] + rng.normal(size=50)
    weights = np.zeros(50)
    weights[[3, 30]] = 1
    for seed in range(10):
        assert tw.plan(tw.FiniteSum(X, y, "squared", 0.1, weights), seed=seed).predictions


@pytest.mark.parametrize("at", [np.zeros(3), np.full(4, np.nan), np.zeros((4, 1)), "x"])
def test_a_point_that_is_none_is_refused(at):
    X = np.random.default_rng(0).normal(size=(50, 3))
    with pytest.raises(tw.InputError, match="at"):
        tw.diagnose(X, X[:, 0], at=at)


@pytest.mark.parametrize(
    "options", [{"loss": "squared"}, {"l2": 3.0}, {"y": np.ones(50)}, {"sample_weight": np.ones(50)}, {"target": "y"}]
)
def test_settings_beside_a_problem_are_refused(options):
    X = np.random.default_rng(0).normal(size=(50, 3))
    with pytest.raises(tw.InputError):
        tw.plan(tw.FiniteSum(X, X[:, 0], "squared"), **options)


def test_an_objective_that_overflows_is_refused():
    X = np.random.default_rng(0).normal(size=(50, 3))
    with pytest.raises(tw.InputError, match="not finite"):
        tw.plan(X, np.arange(50.0) * 1e200, loss="squared")


def test_gradient_descent_is_priced_on_quadratics():
    for seed in range(6):
        rng = np.random.default_rng(seed)
        X = rng.normal(size=(300, 8)) @ rng.normal(size=(8, 8))
        y = X @ rng.normal(size=8) + rng.normal(size=300)
        plan = tw.plan(tw.FiniteSum(X, y, "squared", 1e-3))
        assert np.isfinite(plan["gradient-descent"].steps), seed


def test_an_unknown_row_is_a_key_error():
    with pytest.raises(KeyError, match="adam"):
        tw.plan("iris")["adam"]


def test_tol_zero_makes_a_plan_without_warnings(recwarn):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 3))
    tw.plan(X, np.where(X[:, 0] + rng.logistic(size=60) > 0, 1.0, -1.0), tol=0.0)
    assert not [w for w in recwarn if "thalweg" in str(w.filename)]


def test_everything_that_is_solved_is_diagnosed():
    from thalweg.problems.pde import Poisson, square
    from thalweg.problems.zoo import ZOO

    poisson = tw.diagnose(Poisson(square(8), source=lambda x, y: 1.0 + 0 * x)).constants
    assert poisson["kappa"].value == pytest.approx(1 / np.tan(np.pi / 16) ** 2, rel=1e-9)
    entry = next(iter(ZOO.values()))
    assert tw.diagnose(entry).constants["L"].value == pytest.approx(tw.diagnose(entry.problem()).constants["L"].value)


def test_what_is_no_problem_is_said_and_derivatives_are_checked():
    def f(x):
        return float(((x - 1) ** 2).sum())

    with pytest.raises(tw.InputError, match="wrap a function"):
        tw.diagnose(f)
    with pytest.raises(tw.InputError, match="Quadratic is a class"):
        tw.diagnose(tw.Quadratic)
    with pytest.raises(tw.InputError, match="the given gradient is not that of f"):
        tw.diagnose(tw.problem(f, x0=[3.0, 2.0], gradient=lambda x: -2 * (x - 1)))
    with pytest.raises(tw.InputError, match="l2 given beside"):
        tw.diagnose(tw.problem(f, x0=[3.0, 2.0], gradient=lambda x: 2 * (x - 1)), l2=1.0)
