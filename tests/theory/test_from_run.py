"""Steps foreseen from the first steps of runs, beside the runs themselves."""

import math

import numpy as np
import pytest

import thalweg as tw
from thalweg.methods import REGISTER, Newton
from thalweg.problems import Quadratic
from thalweg.theory.from_run import foreseen_in_newton, foreseen_in_run, steps_from_run
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


# --- What a run foresees of itself on the way -------------------------------------------------------------------------


def descents():
    """f - f* of gradient descent, of a fall that slows down, and of a noisy one."""
    k, rng = np.arange(250.0), np.random.default_rng(0)
    yield 0.95**k
    yield 1 / (1 + k / 3) ** 2
    yield 0.95**k * np.exp(0.05 * rng.normal(size=250))


@pytest.mark.parametrize("gaps", list(descents()), ids=["linear", "sublinear", "noisy"])
def test_an_answer_uses_nothing_that_comes_later(gaps):
    target = 1e-4
    exact = int(np.flatnonzero(gaps > target)[-1]) + 1
    found = foreseen_in_run(3.0 + gaps, target, minimum=3.0)
    seen = int(found.basis.split("first ")[1].split()[0])
    assert 1 / STEPS_ON_QUADRATIC <= found.steps / exact <= STEPS_ON_QUADRATIC
    assert seen < found.steps and found.interval[0] < found.steps < found.interval[1]
    assert len(found.curve[0]) == 0
    otherwise = np.concatenate([3.0 + gaps[: seen + 1], np.full(50, 17.0)])
    again = foreseen_in_run(otherwise, target, minimum=3.0)
    assert (again.steps, again.basis) == (found.steps, found.basis)


def test_without_the_minimum_gradients_take_its_place():
    rng = np.random.default_rng(0)
    values = np.linspace(0.1, 1, 20)
    away = rng.normal(size=20) * (1 - values) ** np.arange(300)[:, None]  # gradient descent with alpha = 1
    f, norms = 5.0 + 0.5 * away**2 @ values, np.linalg.norm(away * values, axis=1)
    exact = int(np.flatnonzero(f - 5.0 > 1e-8)[-1]) + 1
    found = foreseen_in_run(f, 1e-8, None, norms)
    assert 1 / STEPS_ON_QUADRATIC <= found.steps / exact <= STEPS_ON_QUADRATIC
    assert "f* estimated" in found.basis


@pytest.mark.parametrize(
    "values",
    [np.full(50, 2.0), 1.0 + np.arange(50.0), np.cos(np.arange(90.0)), [3.0, 2.0], [], 0.999 ** np.arange(100)],
    ids=["flat", "rising", "around", "short", "empty", "slow"],
)
def test_what_tells_nothing_foresees_nothing(values):
    found = foreseen_in_run(values, 1e-6, minimum=-5.0 if len(values) == 90 else 0.0)
    assert math.isnan(found.steps) and found.basis.startswith("none: ")


@pytest.mark.parametrize("start", [0.1, 1.0, 10.0])
def test_newton_is_seen_to_square_its_gap(start):
    """Newton's iterates on f = exp(x) - x - 1, with steps of at most one."""
    x, values = start, []
    for _ in range(30):
        values.append(math.exp(x) - x - 1)
        x -= max(min((math.exp(x) - 1) / math.exp(x), 1.0), -1.0)
    gaps = np.array(values)
    exact = int(np.flatnonzero(gaps > 1e-12)[-1]) + 1
    found = foreseen_in_newton(gaps, 1e-12)
    assert abs(found.steps - exact) <= 1
    assert math.isnan(foreseen_in_newton(gaps[:3], 1e-12).steps)  # over before three gaps told anything


def test_a_run_that_falls_slower_than_every_power_takes_longer_than_any_number():
    slow = 1 / np.log(np.arange(2, 400.0))
    assert not steps_from_run(slow, 1e-6, minimum=0.0).steps < 1e6
