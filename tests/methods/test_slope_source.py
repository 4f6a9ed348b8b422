"""Slopes of losses of several scores, as text: beside the kernels of the same losses, and by hand."""

import math

import numpy as np
import pytest

import thalweg as tw
from thalweg import expr
from thalweg.methods.slope_source import slope_text
from thalweg.problems.losses import find_loss
from tolerances import summation

LOSSES = {
    "softmax": "softmax",
    "smoothed": lambda z, y: tw.logsumexp(z, axis=-1) - 0.9 * tw.pick(z, y) - 0.1 * z.mean(axis=-1),
    "brier": lambda z, y: (expr.softmax(z, axis=-1) ** 2).sum(axis=-1) - 2 * tw.pick(expr.softmax(z, axis=-1), y),
    "focal": lambda z, y: (
        (1 - tw.exp(tw.pick(z, y) - tw.logsumexp(z, axis=-1))) ** 2 * (tw.logsumexp(z, axis=-1) - tw.pick(z, y))
    ),
    "one against the rest": lambda z, y: tw.softplus(z).sum(axis=-1) - tw.pick(z, y),
    "hinges": lambda z, y: (tw.maximum(0, 1 + z - tw.pick(z, y)[:, None]) ** 2).sum(axis=1),
    "extremes": lambda z, y: z.max(axis=1) - np.min(z, axis=-1) * tw.pick(z, y),
    "centred": lambda z, y: ((z - z.mean(axis=-1)[..., None]) ** 2).sum(axis=-1) - tw.pick(z, y),
    "by sign": lambda z, y: np.where(tw.pick(z, y) > 0, tw.logsumexp(z, axis=-1), (z * z).mean(axis=-1)),
}


def function(slope):
    """The text as plain Python."""
    names = {"math": math, "np": np, "njit": lambda **_: lambda function: function}
    exec(slope.text, names)
    return lambda z, y: names["slope"](z, y, np.full((slope.rows, len(z)), np.nan)).copy()


@pytest.mark.parametrize("name", LOSSES)
def test_slopes_are_those_of_the_kernel(name):
    loss = find_loss(LOSSES[name], "class")
    slope, rng = function(slope_text(loss)), np.random.default_rng(0)
    for k in (1, 2, 7):
        z, y = 2 * rng.normal(size=(6, k)), rng.integers(0, k, size=6)
        expected = loss.kernel.value_gradient(z, y)[1]
        for i in range(6):
            scale = max(1.0, np.abs(expected[i]).max())
            np.testing.assert_allclose(slope(z[i], y[i]), expected[i], rtol=0, atol=50 * summation(k) * scale)


def test_softmax_far_out_and_broken():
    slope = function(slope_text(find_loss("softmax")))
    np.testing.assert_array_equal(slope(np.array([800.0, -800.0, 800.0]), 1), [0.5, -1.0, 0.5])
    with np.errstate(invalid="ignore"):
        assert np.isnan(slope(np.array([0.0, np.nan]), 0)).all()


@pytest.mark.parametrize(
    "loss",
    [
        lambda z, y: (np.sort(z, axis=-1) ** 2).sum(axis=-1) - tw.pick(z, y),
        lambda z, y: tw.logsumexp(z, axis=-1) - y * tw.pick(z, y),
        lambda z, y: np.cumsum(z, axis=-1).sum(axis=-1) - tw.pick(z, y),
    ],
)
def test_a_loss_with_another_operation_has_no_such_text(loss):
    assert slope_text(find_loss(loss, "class")) is None
