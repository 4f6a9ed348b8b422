"""Steps foreseen from the first steps of runs, beside the runs themselves."""

import math

import numpy as np
import pytest

import thalweg as tw
from thalweg.methods import REGISTER, Newton
from thalweg.problems import Quadratic
from thalweg.theory.from_run import steps_from_run
from tolerances import PROMISED, STEPS_ON_QUADRATIC


def run_of(name, values, target, seed=0):
    rng = np.random.default_rng(seed)
    size = len(values)
    basis = np.linalg.qr(rng.normal(size=(size, size)))[0]
    A = basis * values @ basis.T
    problem = Quadratic((A + A.T) / 2, x0=rng.normal(size=size))
    method = REGISTER[name].tuned(values[-1], values[0], quadratic=True)
    state = method.init(problem.at(problem.start()))
    seen = [state.point.value]
    while seen[-1] > target:
        state = method.step(state)
        seen.append(state.point.value)
    return np.array(seen)


@pytest.mark.parametrize("kappa", [10.0, 1e3])
@pytest.mark.parametrize("name", ["gradient-descent", "heavy-ball"])
def test_linear_runs_are_carried_on(name, kappa):
    """From the first half of a run the rest is foreseen."""
    target = 1e-8
    seen = run_of(name, np.linspace(1 / kappa, 1, 30), target)
    half = steps_from_run(seen[: len(seen) // 2], target, minimum=0.0)
    assert half.rate.kind.value == "linear"
    assert 1 / STEPS_ON_QUADRATIC <= half.steps / (len(seen) - 1) <= STEPS_ON_QUADRATIC


def test_the_limit_need_not_be_known():
    seen = 3.0 + 2.0 * 0.9 ** np.arange(80)
    found = steps_from_run(seen, 1e-8)
    exact = math.log(2e8) / math.log(1 / 0.9)
    assert found.steps == pytest.approx(exact, rel=0.05)


def test_newton_is_carried_on_by_its_order():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 4))
    y = np.where(X @ [2, -1, 0.5, 0] + rng.logistic(size=200) > 0, 1.0, -1.0)
    problem = tw.FiniteSum(X, y, "logistic", 1e-3)
    whole = tw.solve(problem, Newton(share=0.0), tol=1e-15)
    minimum = whole.value
    values = whole.trace["value"]
    gaps = values - minimum
    cut = int(np.flatnonzero(gaps < 1e-3)[0]) + 1
    found = steps_from_run(values[: max(cut, 4)], 1e-10, minimum=minimum)
    exact = int(np.flatnonzero(gaps <= 1e-10)[0])
    assert abs(found.steps - exact) <= 1


def test_powers_of_k_are_carried_on():
    k = np.arange(1, 200.0)
    found = steps_from_run(5.0 / k**2, 1e-6, minimum=0.0)
    exact = math.sqrt(5e6)
    assert 1 / PROMISED <= found.steps / exact <= PROMISED


def test_a_floor_above_the_target_is_never_passed():
    rng = np.random.default_rng(0)
    seen = 0.5 ** np.arange(200) + 0.01 * (1 + 0.1 * rng.normal(size=200))
    assert steps_from_run(seen, 1e-6, minimum=0.0).steps == math.inf


def test_what_is_already_there_is_counted():
    assert steps_from_run([1.0, 0.5, 1e-9, 1e-10], 1e-6, minimum=0.0).steps == 2


def test_bad_arguments_are_named():
    with pytest.raises(tw.InputError, match="target"):
        steps_from_run([1.0, 0.5, 0.25, 0.125], 0.0)
    with pytest.raises(tw.InputError, match="at least 4"):
        steps_from_run([1.0, 0.5], 1e-3)
