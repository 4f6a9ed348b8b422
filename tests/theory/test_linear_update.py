"""Maps read off the rules' own code, beside the rules run literally; powers and stationary laws beside products."""

import numpy as np
import pytest

from thalweg.methods.rules_momentum import MomentumStep, NagGsStep, PlainStep
from thalweg.theory.linear_update import first_differs, read_off, start_of
from tolerances import arithmetic

VALUES, CENTRE = np.array([0.2, 1.0, 3.0]), np.array([1.0, -2.0, 0.5])
RULES = [
    PlainStep(),
    PlainStep(weight_decay=0.1),
    MomentumStep(0.9),
    MomentumStep(0.9, dampening=0.3),
    MomentumStep(0.8, nesterov=True, weight_decay=0.05),
    NagGsStep(mu=0.5, gamma=0.5),
]


@pytest.mark.parametrize("rule", RULES, ids=repr)
def test_the_map_makes_the_steps_of_the_rule(rule):
    rng = np.random.default_rng(0)
    noise, alpha, weight = rng.normal(size=(30, 3)), 0.1, 0.05
    x = mean = CENTRE + 2.0
    slots = rule.init(x)
    state = start_of(rule, x, averaged=True)
    for count, e in enumerate(noise, start=1):
        step = read_off(rule, VALUES, CENTRE, alpha, 1.0, weight, first=count == 1 and first_differs(rule))
        x, slots = rule.update(x, VALUES * (x - CENTRE) + e, slots, alpha, count)
        mean = mean + weight * (x - mean)
        state = np.einsum("mij,mj->mi", step.A, state) + step.c + step.r * e[:, None]
    np.testing.assert_allclose(state[:, 0], x, rtol=arithmetic(operations=300), atol=arithmetic(operations=300))
    np.testing.assert_allclose(state[:, -1], mean, rtol=arithmetic(operations=300), atol=arithmetic(operations=300))


@pytest.mark.parametrize("rule", RULES, ids=repr)
def test_updates_in_a_row_and_what_they_tend_to(rule):
    step = read_off(rule, VALUES, CENTRE, 0.1, 1.0, None)
    many, size = step, step.A.shape[-1]
    mean, covariance = np.zeros((3, size)), np.zeros((3, size, size))
    variances = np.array([0.5, 1.0, 2.0])
    for k in range(13):  # 2^12 updates
        many = many.after(many) if k else step
    for _ in range(4096):
        mean = np.einsum("mij,mj->mi", step.A, mean) + step.c
        covariance = step.A @ covariance @ step.A.swapaxes(1, 2) + variances[:, None, None] * step.Q
    tight = dict(rtol=1e-10, atol=arithmetic(operations=4000))
    np.testing.assert_allclose(many.c, mean, **tight)
    np.testing.assert_allclose(variances[:, None, None] * many.Q, covariance, **tight)
    assert step.stable
    settled = step.stationary(variances)
    np.testing.assert_allclose(settled[0], mean, **tight)
    np.testing.assert_allclose(settled[1], covariance, **tight)


def test_only_dampened_momentum_starts_by_an_update_of_its_own():
    assert [first_differs(rule) for rule in RULES] == [False, False, False, True, False, False]
    assert not first_differs(MomentumStep(0.0, dampening=0.5))


def test_too_long_a_step_is_not_stable():
    assert not read_off(PlainStep(), VALUES, CENTRE, 0.7, 1.0, None).stable
    assert read_off(PlainStep(), VALUES, CENTRE, 0.6, 1.0, None).stable
