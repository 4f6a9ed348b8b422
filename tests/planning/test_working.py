"""Problems made ready: the default method on the zoo, starts by their keys, targets."""

import numpy as np
import pytest

import thalweg as tw
from thalweg.methods import REGISTER
from thalweg.planning.working import Working, chosen_method, default_target
from thalweg.problems.zoo import ZOO
from tolerances import REACHED

ENDS = {}


@pytest.mark.parametrize("name", ZOO)
def test_the_default_method_on_the_zoo_is_right_or_says_why_not(name):
    """A success means a listed minimum; anything else is no success, and its status says what to do."""
    entry = ZOO[name]
    found = tw.solve(entry)
    near = min(abs(found.value - known.value) / (1 + abs(known.value)) for known in entry.minima)
    ENDS[name] = near <= 10 * REACHED
    assert ENDS[name] or (not found.status.success and found.status.remedy)


def test_the_default_method_reaches_a_known_minimum_on_at_least_95_of_100():
    for name in ZOO:
        if name not in ENDS:
            test_the_default_method_on_the_zoo_is_right_or_says_why_not(name)
    assert sum(ENDS.values()) >= 0.95 * len(ZOO)


def test_gradient_descent_at_three_over_l_diverges_within_fifty_steps():
    rng = np.random.default_rng(0)
    for kappa in (1.0, 10.0, 1e3):
        basis = np.linalg.qr(rng.normal(size=(12, 12)))[0]
        A = basis * np.geomspace(1 / kappa, 1, 12) @ basis.T
        problem = tw.Quadratic((A + A.T) / 2, rng.normal(size=12))
        found = tw.solve(problem, tw.GradientDescent(step_size=3.0))
        assert found.status.label == "diverged"
        assert found.cost.steps <= 50
        assert found.value == found.trace["value"].min()  # the best point is kept
        assert problem.at(found.x).value == found.value
        assert "2/L" in found.status.remedy


def test_an_untuned_method_gets_the_constants_of_the_start():
    problem = tw.Quadratic(np.diag([0.5, 2.0]))
    working = Working.of(problem, None, REGISTER["gradient-descent"], None)
    assert working.ready(REGISTER["gradient-descent"]).step_size == pytest.approx(2 / 2.5)
    given = tw.GradientDescent(step_size=0.1)
    assert working.ready(given) is given


def test_tables_are_rescaled_only_for_methods_that_are_tuned_here():
    rng = np.random.default_rng(0)
    problem = tw.FiniteSum(
        rng.normal(size=(30, 3)) * [1, 100, 0.01], np.where(rng.random(30) > 0.5, 1.0, -1.0), "logistic"
    )
    assert Working.of(problem, None, REGISTER["l-bfgs"], None).change is not None
    assert Working.of(problem, None, tw.GradientDescent(step_size=1e-5), None).change is None
    assert Working.of(problem, None, REGISTER["l-bfgs"], False).change is None
    with pytest.raises(tw.InputError, match="scale"):
        Working.of(tw.Quadratic(np.eye(2)), None, REGISTER["l-bfgs"], True)


def test_starts_follow_their_keys():
    problem = tw.problem(lambda p: (p["a"] ** 2).sum() + p["b"] ** 2, x0={"a": np.ones(2), "b": 1.0})
    found = tw.solve(problem, "newton", x0={"b": 5.0, "a": np.array([3.0, 4.0])}, max_steps=0)
    assert float(found.x["b"]) == 5.0 and list(found.x["a"]) == [3.0, 4.0]
    with pytest.raises(tw.InputError, match="x0"):
        tw.solve(problem, x0={"a": np.ones(3), "b": 1.0})


def test_targets_scale_with_small_objectives():
    assert default_target(1e6) == default_target(1.0) == default_target(0.0) == 1e-8
    assert default_target(1e-4) == pytest.approx(1e-12)


def test_what_is_no_method_is_refused():
    problem = tw.Quadratic(np.eye(2))
    with pytest.raises(tw.InputError, match="'newtn'"):
        chosen_method(problem, "newtn")
    with pytest.raises(tw.InputError, match=r"tw.Newton\(\)"):
        chosen_method(problem, tw.Newton)
    with pytest.raises(tw.InputError, match="no method"):
        chosen_method(problem, 3)
