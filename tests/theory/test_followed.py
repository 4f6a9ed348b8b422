"""Methods that no spectrum foresees, followed on quadratics beside their runs."""

import math

import numpy as np
import pytest

import thalweg as tw
from thalweg.methods import SVRG, AdaGrad, Adam, Lion, RMSProp
from thalweg.problems.zoo import spectrum
from thalweg.theory.followed import followed
from tolerances import STEPS_ON_QUADRATIC

CASES = [(kind, kappa) for kind in ("uniform", "geometric", "clustered") for kappa in (10.0, 1e3)]


def quadratic(kind, kappa, size=8):
    rng = np.random.default_rng(0)
    basis = np.linalg.qr(rng.normal(size=(size, size)))[0]
    A = basis * np.asarray(spectrum(kind, size, kappa)) @ basis.T
    return tw.Quadratic((A + A.T) / 2, x0=rng.normal(size=size))


def observed(method, problem, target):
    state, steps = method.init(problem.at(problem.start())), 0
    while state.point.value > target and steps < 4000:
        state, steps = method.step(state), steps + 1
    return steps


@pytest.mark.parametrize(("kind", "kappa"), CASES)
def test_whole_gradients_are_followed_exactly(kind, kappa):
    problem = quadratic(kind, kappa)
    start = problem.at(problem.start())
    for method in (AdaGrad(0.5), RMSProp(0.01), Adam(0.02), Lion(0.005)):
        target = 0.03 * start.value
        seen = followed(start, 0.0, method, target)
        assert seen.steps == observed(method, problem, target) < 4000
        assert seen.basis == "followed on the quadratic model: the run itself"
        assert seen.curve[1][-1] <= target < seen.curve[1][-2]


@pytest.mark.parametrize(("kind", "kappa"), CASES)
def test_sampled_gradients_are_followed_with_other_seeds(kind, kappa):
    base = quadratic(kind, kappa)
    problem = tw.Noisy.sampled(base, 0.01, 64, seed=0)
    start = problem.at(problem.start())
    target = 0.05 * start.value
    for method in (Adam(0.02, batch_size=16), SVRG(0.05)):
        seen = followed(start, 0.0, method, target)
        low, high = seen.interval
        steps = observed(method, problem, target)
        assert low <= seen.steps <= high
        assert 1 / STEPS_ON_QUADRATIC <= seen.steps / steps <= STEPS_ON_QUADRATIC
        assert "3 runs with other seeds" in seen.basis


def test_what_is_not_over_in_time_is_carried_on_or_left(monkeypatch):
    problem = quadratic("geometric", 10.0)
    start = problem.at(problem.start())
    steps = observed(RMSProp(0.01), problem, 1e-3)
    monkeypatch.setattr("thalweg.theory.followed.MAX_STEPS", int(0.7 * steps))
    seen = followed(start, 0.0, RMSProp(0.01), 1e-3)
    assert math.isnan(seen.steps) or 1 / STEPS_ON_QUADRATIC <= seen.steps / steps <= STEPS_ON_QUADRATIC
    monkeypatch.setattr("thalweg.theory.followed.MAX_STEPS", 3)
    short = followed(start, 0.0, RMSProp(0.01), 1e-3)
    assert math.isnan(short.steps) and short.basis.startswith("none:")


def test_a_start_that_is_there_already_takes_no_step():
    problem = quadratic("uniform", 10.0)
    start = problem.at(problem.start())
    assert followed(start, 0.0, Adam(0.1), 2 * start.value).steps == 0


def test_what_diverges():
    problem = quadratic("uniform", 10.0)
    wild = tw.SGD(1e200, clip_norm=1e250)
    seen = followed(problem.at(problem.start()), 0.0, wild, 1e-3)
    assert seen.steps == math.inf and "diverges" in seen.basis
