"""Schedules beside their formulas, and beside torch.optim.lr_scheduler where it has them."""

import math
import pickle

import numpy as np
import pytest

from thalweg.core.errors import InputError
from thalweg.methods.method import Noise
from thalweg.methods.schedule import (
    Chain,
    Constant,
    Cosine,
    Cyclic,
    InverseTime,
    StepDecay,
    TheoryDecay,
    Warmup,
)
from thalweg.theory import bounds
from tolerances import arithmetic

#: Each with its formula in the number of the update, from 1.
FORMULAS = {
    "constant": (Constant(), lambda t: 1.0),
    "1/t": (InverseTime(10), lambda t: 1 / (1 + (t - 1) / 10)),
    "1/sqrt(t)": (InverseTime(1, power=0.5), lambda t: 1 / math.sqrt(t)),
    "step": (StepDecay(7, 0.5), lambda t: 0.5 ** ((t - 1) // 7)),
    "cosine": (Cosine(20, 0.1), lambda t: 0.1 + 0.9 * (1 + math.cos(math.pi * min((t - 1) / 20, 1))) / 2),
    "cyclic": (Cyclic(5, 0.2), lambda t: 1 - 0.8 * ((t - 1) % 5 + 1) / 5),
    "gradual warm-up": (Warmup(8), lambda t: min(t / 8, 1.0)),
    "constant warm-up": (Warmup(8, 0.1), lambda t: 0.1 if t <= 8 else 1.0),
    "warm-up, then cosine": (
        Warmup(8).then(Cosine(12)),
        lambda t: t / 8 if t <= 8 else (1 + math.cos(math.pi * min((t - 9) / 12, 1))) / 2,
    ),
    "three in a row": (
        Warmup(3).then(Cosine(4, 0.5)).then(StepDecay(2)),
        lambda t: t / 3 if t <= 3 else 0.5 + 0.25 * (1 + math.cos(math.pi * (t - 4) / 4)) if t <= 7 else
        0.1 ** ((t - 8) // 2),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FORMULAS)
def test_values_are_the_formula(name):
    schedule, formula = FORMULAS[name]
    expected = np.array([formula(t) for t in range(1, 61)])
    np.testing.assert_allclose(schedule.values(1, 60), expected, rtol=arithmetic(operations=10), atol=1e-16)
    # Any part of it, and any single update: a run resumes anywhere.
    np.testing.assert_allclose(schedule.values(6, 11), expected[5:16], rtol=arithmetic(operations=10), atol=1e-16)
    assert schedule(23) == pytest.approx(expected[22], rel=arithmetic(operations=10), abs=1e-16)
    assert schedule.values(5, 0).shape == (0,)
    assert pickle.loads(pickle.dumps(schedule)) == schedule
    assert eval(repr(schedule), {**globals()}) == schedule


def test_peers_in_torch_take_the_same_steps():
    torch = pytest.importorskip("torch")
    scheduler = torch.optim.lr_scheduler
    pairs = [
        (Cosine(30, 0.1), lambda o: scheduler.CosineAnnealingLR(o, 30, eta_min=0.1)),
        (StepDecay(7, 0.3), lambda o: scheduler.StepLR(o, 7, 0.3)),
        # LinearLR starts at start_factor and is whole after total_iters.
        (Warmup(10), lambda o: scheduler.LinearLR(o, 0.1, 1.0, 9)),
        (Warmup(10, 0.25), lambda o: scheduler.ConstantLR(o, 0.25, 10)),
        (
            Warmup(10).then(Cosine(20)),
            lambda o: scheduler.SequentialLR(
                o, [scheduler.LinearLR(o, 0.1, 1.0, 9), scheduler.CosineAnnealingLR(o, 20)], [10]
            ),
        ),
    ]
    for ours, make in pairs:
        optimizer = torch.optim.SGD([torch.zeros(1, dtype=torch.float64, requires_grad=True)], lr=1.0)
        theirs, seen = make(optimizer), []
        for _ in range(30):
            seen.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            theirs.step()
        # torch multiplies its way along: 30 products.
        np.testing.assert_allclose(ours.values(1, 30), seen, rtol=arithmetic(operations=60), atol=1e-15)


@pytest.mark.parametrize("start", [0.3, 1.0, 50.0])
def test_theory_decay_follows_the_bound(start):
    """alpha_t = min(mu B rho_t/(sigma^2 L), 1/L) with rho_{t+1} = (1 - alpha mu) rho + alpha^2 sigma^2 L/(2B)."""
    L, mu, variance, batch = 8.0, 0.5, 3.0, 4
    rho = start * variance / (mu * batch)
    schedule, steps = TheoryDecay(L / mu, start), []
    for _ in range(500):
        alpha = min(mu * batch * rho / (variance * L), 1 / L)
        steps.append(alpha)
        rho = (1 - alpha * mu) * rho + alpha**2 * variance * L / (2 * batch)
    np.testing.assert_allclose(schedule.values(1, 500) / L, steps, rtol=arithmetic(operations=3000))
    assert schedule(500) == schedule.values(500, 1)[0]
    # Once the step is below 1/L, rho lies below the closed form of the theory.
    if start <= 1:
        closed = [
            bounds.sgd_falling_step_size(
                L=L, mu=mu, variance=variance, gap=start * variance / (mu * batch), steps=t, batch_size=batch
            )
            for t in range(500)
        ]
        assert (np.array(steps) <= np.array(closed) * (1 + 1e-12)).all()


def test_theory_decay_is_tuned_by_the_constants():
    untuned = TheoryDecay()
    assert not untuned.is_tuned
    assert not Warmup(3).then(untuned).is_tuned
    with pytest.raises(InputError, match="constants"):
        untuned.values(1, 3)
    noise = Noise(variance=3.0, largest_single=10.0, examples=100, gap=2.0, target=1e-3)
    ready = Warmup(3).then(untuned).tuned(0.5, 1 / 8, noise, 4)
    assert ready == Warmup(3).then(TheoryDecay(condition_number=16.0, start=0.5 * 4 * 2.0 / 3.0))
    still = untuned.tuned(0.5, 1 / 8, Noise(0.0, 1.0, 1, 0.0, 0.0), 1)
    np.testing.assert_array_equal(still.values(1, 50), np.ones(50))


@pytest.mark.parametrize(
    "make",
    [
        lambda: Cosine(0),
        lambda: Cosine(10.5),
        lambda: Cosine(10, final=1.5),
        lambda: Cosine(math.nan),
        lambda: StepDecay(5, factor=-0.1),
        lambda: StepDecay(True),
        lambda: InverseTime(0),
        lambda: InverseTime(1, power=math.inf),
        lambda: Warmup(-3),
        lambda: Warmup(3, share=2.0),
        lambda: Cyclic("5"),
        lambda: TheoryDecay(0.5, 1.0),
        lambda: TheoryDecay(10.0, -1.0),
        lambda: InverseTime(3).then(Constant()),
        lambda: Chain(Warmup(3), "cosine"),
        lambda: Cosine(5)(0),
    ],
)
def test_bad_settings_are_refused(make):
    with pytest.raises(InputError) as caught:
        make()
    assert caught.value.remedy
