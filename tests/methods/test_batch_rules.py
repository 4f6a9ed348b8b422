"""Batch scaling: the rules, what the reference table says for them, and the smoothness and noise of batches."""

import itertools
import math

import numpy as np
import pytest

from thalweg.core.errors import InputError, UnsupportedError
from thalweg.methods import REGISTER, SGD, Adam, Newton
from thalweg.methods.batch_rules import (
    BATCH_RULES,
    LARGE,
    RESNET50,
    SMALL,
    Training,
    excess,
    expected_smoothness,
    scaled_step,
    variance_of_batch,
)
from thalweg.methods.method import Noise
from tolerances import arithmetic, summation


@pytest.mark.parametrize("name", ["sgd", "momentum", "nesterov"])
def test_steps_along_the_gradient_scale_linearly(name):
    assert scaled_step(name, 0.1, 256, 8192) == pytest.approx(0.1 * 32, rel=arithmetic())
    assert scaled_step(name, 0.1, 256, 64) == pytest.approx(0.1 / 4, rel=arithmetic())


@pytest.mark.parametrize("name", ["adam", "rmsprop", "nag-gs"])
def test_adaptive_steps_scale_with_the_root(name):
    assert scaled_step(name, 1e-3, 256, 8192) == pytest.approx(1e-3 * math.sqrt(32), rel=arithmetic())


def test_a_method_is_as_good_as_its_name():
    assert scaled_step(SGD(), 0.1, 1, 8) == scaled_step("sgd", 0.1, 1, 8) == scaled_step("linear", 0.1, 1, 8)
    assert scaled_step(Adam(), 0.1, 1, 8) == scaled_step("square-root", 0.1, 1, 8)
    with pytest.raises(UnsupportedError):
        scaled_step(Newton(), 1.0, 1, 8)
    with pytest.raises(UnsupportedError):
        scaled_step("svrg", 1.0, 1, 8)
    assert set(BATCH_RULES) >= {m.name for m in REGISTER.values() if m.noisy} - {"svrg"}


@pytest.mark.parametrize(
    "bad", [{"step_size": -1.0}, {"step_size": 0}, {"from_batch": 0}, {"to_batch": 2.5}, {"to_batch": math.nan}]
)
def test_bad_numbers_are_refused(bad):
    with pytest.raises(InputError):
        scaled_step(**{"rule": "sgd", "step_size": 0.1, "from_batch": 1, "to_batch": 2, **bad})


def test_the_table_says_what_the_notes_say():
    assert LARGE == 32 * SMALL == 8192
    small = {row.step_size: row.error for row in RESNET50 if row.batch_size == SMALL}
    large = {row.step_size: row.error for row in RESNET50 if row.batch_size == LARGE}
    assert small == {0.05: 23.92, 0.1: 23.60, 0.2: 23.68}
    assert large == {1.6: 24.27, 3.2: 23.74, 6.4: 24.05, 0.1: 41.67, 0.1 * math.sqrt(32): 26.22}


def test_the_table_supports_the_linear_rule_for_sgd():
    """The linearly scaled best step is the best at the large batch, and the only one within the spread of trainings."""
    best = min((row for row in RESNET50 if row.batch_size == SMALL), key=lambda row: row.error)
    scaled = min((row for row in RESNET50 if row.batch_size == LARGE), key=lambda row: row.error)
    assert scaled.step_size == pytest.approx(scaled_step("sgd", best.step_size, SMALL, LARGE))
    spread = math.hypot(best.spread, scaled.spread)
    assert abs(excess("linear")) < 2 * spread
    assert excess("square-root") > 10 * spread
    assert excess("unscaled") > 100 * spread
    assert excess("linear") == pytest.approx(0.14)
    assert excess("square-root") == pytest.approx(2.62)
    assert excess("unscaled") == pytest.approx(18.07)


def test_rows_of_a_table_are_validated():
    for bad in ((0, 0.1, 23.0, 0.1), (256, 0.0, 23.0, 0.1), (256, 0.1, 230.0, 0.1), (256, 0.1, 23.0, 0.0)):
        with pytest.raises(InputError):
            Training(*bad)
    with pytest.raises(InputError):
        excess("cubic")
    with pytest.raises(InputError):
        excess("linear", RESNET50[:3])


def test_expected_smoothness_of_least_squares_bounds_every_batch():
    """The largest eigenvalue of E[H_B^2] v = l E[H_B] v, over all batches: what SGD on quadratics must stay below."""
    rng = np.random.default_rng(0)
    n, d = 6, 3
    rows = rng.normal(size=(n, d)) * rng.uniform(0.3, 2, size=(n, 1))
    H = rows[:, :, None] * rows[:, None, :]
    mean = H.mean(axis=0)
    L, L_max = np.linalg.eigvalsh(mean)[-1], np.square(rows).sum(axis=1).max()
    noise = Noise(1.0, L_max, n, 1.0, 1.0)
    inverse_root = np.linalg.inv(np.linalg.cholesky(mean))
    for batch, replacement in itertools.product((1, 2, 4, 6), (False, True)):
        draws = itertools.product(range(n), repeat=batch) if replacement else itertools.combinations(range(n), batch)
        if replacement and batch > 4:
            continue
        second, count = np.zeros((d, d)), 0
        for chosen in draws:
            of_batch = H[list(chosen)].mean(axis=0)
            second, count = second + of_batch @ of_batch, count + 1
        worst = np.linalg.eigvalsh(inverse_root @ (second / count) @ inverse_root.T)[-1]
        bound = expected_smoothness(L, batch, noise, replacement)
        assert worst <= bound * (1 + summation(1000))
        assert bound <= L_max * (1 + summation(10))
    assert expected_smoothness(L, 1, noise, False) == pytest.approx(L_max, rel=summation(10))
    assert expected_smoothness(L, n, noise, False) == pytest.approx(L, rel=summation(10))


def test_variance_of_a_batch_over_all_batches():
    """sigma^2/B with replacement, (n - B)/(n - 1) of it without: by enumeration."""
    g = np.random.default_rng(1).normal(size=(5, 2))
    variance = np.square(g - g.mean(axis=0)).sum(axis=1).mean()
    for batch in (1, 2, 3, 5):
        without = [g[list(c)].mean(axis=0) for c in itertools.combinations(range(5), batch)]
        expected = np.square(np.array(without) - g.mean(axis=0)).sum(axis=1).mean()
        assert variance_of_batch(variance, batch, 5, False) == pytest.approx(expected, rel=summation(100), abs=1e-15)
    for batch in (1, 2, 3):
        drawn = [g[list(c)].mean(axis=0) for c in itertools.product(range(5), repeat=batch)]
        expected = np.square(np.array(drawn) - g.mean(axis=0)).sum(axis=1).mean()
        assert variance_of_batch(variance, batch, 5, True) == pytest.approx(expected, rel=summation(1000))
