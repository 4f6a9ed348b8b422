"""Updates of steps in groups of the same, and the law of batches beside all orders of a few examples."""

import itertools

import numpy as np
import pytest

from thalweg.methods import SGD, Constant, Cosine, InverseTime, PolyakAverage, StepDecay, Warmup, WeightAverage
from thalweg.theory.updates_of_steps import UpdatesOfSteps
from tolerances import arithmetic

SCHEDULES = [Constant(), InverseTime(30), StepDecay(7, 0.5), Warmup(25).then(Cosine(40, 0.1))]


@pytest.mark.parametrize("schedule", SCHEDULES, ids=repr)
@pytest.mark.parametrize("average", [None, PolyakAverage(13), WeightAverage(5, 3)], ids=repr)
def test_groups_are_the_updates_in_order(schedule, average):
    updates = UpdatesOfSteps(SGD(0.1, batch_size=8, schedule=schedule, average=average), 100)
    assert updates.count == 13
    for done in range(6):
        groups = updates.groups(done)
        shares = np.concatenate([np.full(group.updates, group.share) for group in groups])
        numbers = done * 13 + np.arange(1, 14)
        np.testing.assert_allclose(shares, [schedule(k) for k in numbers.tolist()], rtol=0.0025)
        assert groups[-1].fraction == 0.5 and all(group.fraction == 1 for group in groups[:-1])
        weights = [group.weight for group in groups for _ in range(group.updates)]
        if average is None:
            assert set(weights) == {None}
        else:
            np.testing.assert_allclose(weights, average.weights(done * 13 + 1, 13), rtol=0.0025)
            assert updates.averaged(done) == bool(average.weights(1, max(13 * done, 1)).any() and done)


@pytest.mark.parametrize(("examples", "updates"), [(None, [1]), (8, [1]), (100, [1, 11, 1])])
def test_the_first_update_of_dampened_momentum_is_alone(examples, updates):
    dampened = UpdatesOfSteps(SGD(0.1, momentum=0.9, dampening=0.5, batch_size=8), examples)
    assert [group.updates for group in dampened.groups(0)] == updates
    assert [group.first for group in dampened.groups(0)] == [True] + [False] * (len(updates) - 1)
    assert not any(group.first for group in dampened.groups(1))
    assert (dampened.alike(0, 50), dampened.alike(1, 50)) == (1, 50)
    assert UpdatesOfSteps(SGD(0.1, momentum=0.9, batch_size=8), examples).alike(0, 50) == 50


def test_steps_that_differ_are_not_one_block():
    constant = UpdatesOfSteps(SGD(0.1), None)
    assert constant.alike(0, 10**9) == 10**9
    falling = UpdatesOfSteps(SGD(0.1, schedule=InverseTime(1)), None)
    assert falling.alike(0, 100) == 1
    assert 1 < falling.alike(10_000, 10**6) < 2000
    cut = UpdatesOfSteps(SGD(0.1, schedule=StepDecay(1000)), None)
    assert cut.alike(100, 400) == 399
    assert 100 + cut.alike(100, 3000) <= 1000


@pytest.mark.parametrize(("n", "batch"), [(4, 1), (4, 2), (5, 2), (5, 5), (1, 1)])
@pytest.mark.parametrize("sampling", ["reshuffle", "replacement"])
def test_the_law_of_batches(n, batch, sampling):
    """Covariance of sum_t a_t (batch sum)/B over every order, or every draw, of the examples."""
    rng = np.random.default_rng(0)
    noise = rng.normal(size=n)
    noise -= noise.mean()
    updates = UpdatesOfSteps(SGD(0.1, batch_size=batch, sampling=sampling), n)
    response = rng.normal(size=updates.count)
    orders = itertools.permutations(range(n)) if sampling == "reshuffle" else itertools.product(range(n), repeat=n)
    slots = np.repeat(response, batch)[:n] / batch
    exact = np.mean([(slots @ noise[list(order)]) ** 2 for order in orders])
    scale, correlated = updates.batch_law
    fraction = np.ones(updates.count)
    fraction[-1] = n / batch - (updates.count - 1)
    found = scale * ((fraction * response**2).sum() - correlated * (fraction * response).sum() ** 2)
    assert found * np.square(noise).mean() == pytest.approx(exact, rel=arithmetic(operations=1000), abs=1e-15)
