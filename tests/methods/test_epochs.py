"""Compiled epochs beside the literal loop, and the literal loop beside the formula written out."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp

import thalweg as tw
from reference import NAMES, targets
from thalweg.core.vector import as_vector, flat
from thalweg.methods import SGD, SVRG, AdaGrad, Adam, AdamW, ClipNorm, ClipValue, Lion, NagGs, RMSProp
from thalweg.methods.averaging import ExponentialAverage, PolyakAverage, WeightAverage
from thalweg.methods.compiled_epochs import compiled
from thalweg.methods.epochs import COMPILED_FROM, COMPILED_FROM_SPARSE, Epoch, Walk, literal, run_epoch
from thalweg.methods.rules_momentum import MomentumStep, PlainStep
from thalweg.methods.schedule import InverseTime, Warmup
from thalweg.problems import ChangedProblem, FiniteSum, Standardizing
from tolerances import COMPILED_EPOCHS, summation

N, D, K = 120, 5, 3


def problem(loss="logistic", *, sparse=False, weighted=False, changed=False, intercept=True, dtype=float):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(N, D)) * [1, 3, 0.3, 1, 1] + [0, 1, 0, 0, 0]
    X[:, 2] = 1.0 if intercept else X[:, 2]  # the change of variables drops a constant column
    y = targets(loss, X @ rng.normal(size=(D, K if loss == "softmax" else 1)), rng)
    if sparse:
        X = sp.csr_matrix(X * (rng.random(X.shape) < 0.5))
    weights = rng.random(N) if weighted else None
    base = FiniteSum(X.astype(dtype), y, loss, 0.1, weights, intercept)
    return ChangedProblem(base, Standardizing(base)) if changed else base


def run(problem, method, steps=3):
    state = method.init(problem.at(np.linspace(0.04, 0.06, problem.size)))
    for _ in range(steps):
        state = method.step(state)
    return state


def refuse(*_):
    raise AssertionError("this epoch should have been compiled")


def same(problem, method, monkeypatch):
    one = run(problem, replace(method, compiled=False))
    monkeypatch.setattr("thalweg.methods.epochs.literal", refuse)
    other = run(problem, replace(method, compiled=True))
    scale = np.abs(one.point.x).max()
    np.testing.assert_allclose(other.point.x, one.point.x, rtol=0, atol=COMPILED_EPOCHS * scale)
    assert other.memory["count"] == one.memory["count"]
    kept = {**one.memory.get("slots", {}), "mean": one.memory.get("mean", 0.0)}
    others = {**other.memory.get("slots", {}), "mean": other.memory.get("mean", 0.0)}
    for name, slot in kept.items():
        size = np.abs(slot).max() if np.size(slot) else 1.0
        np.testing.assert_allclose(others[name], slot, rtol=0, atol=COMPILED_EPOCHS * size)


@pytest.fixture
def as_python(monkeypatch):
    """Runs the text of an epoch as it stands: what it says, in milliseconds, without the compiler."""

    def function(source):
        names = {"ON_DISK": False}
        plain = "def njit(*flags, **more):\n    return flags[0] if flags else lambda function: function\n"
        exec(source.replace("from numba import njit\n", plain), names)
        return names["epoch"]

    monkeypatch.setattr("thalweg.methods.compiled_epochs._function", function)


#: One of either kind of text; then rules, shapes of rows, changes, weights, anchors, averages, clipping.
COMPILED = [
    (SGD(0.05, batch_size=7, weight_decay=0.01), {}),
    (SVRG(0.03), {"sparse": True, "loss": "softmax"}),
]
RULES = (
    SGD(0.02, 0.9, batch_size=7), SGD(0.02, 0.9, True, batch_size=7), AdaGrad(0.1), RMSProp(0.01),
    Adam(0.01, amsgrad=True, weight_decay=0.1), AdamW(0.01), Lion(0.01), NagGs(0.05, mu=0.5, gamma=1.0),
    RMSProp(0.01, centered=True, momentum=0.5, average=ExponentialAverage(0.9)),
    SGD(0.1, schedule=Warmup(10).then(InverseTime(20)), average=WeightAverage(5), sampling="shuffle-once"),
)  # fmt: skip
WRITTEN = [
    (SGD(0.02, 0.9, True, batch_size=7, clip_norm=0.5, average=PolyakAverage(20)), {"changed": True}),
    (Adam(0.01, batch_size=8, sampling="replacement"), {"sparse": True, "changed": True, "weighted": True}),
    *[
        (method, case)
        for method in RULES
        for case in ({}, {"loss": "poisson", "sparse": True, "changed": True}, {"loss": "softmax", "weighted": True})
    ],
    (SGD(0.05, batch_size=1), {"sparse": True, "weighted": True}),
    (SVRG(0.03, batch_size=5, anchor="mean"), {"changed": True, "loss": "huber"}),
    *[
        (method, {"loss": loss, "sparse": True, **more})
        for loss in ("softmax", "logistic")
        for more in ({}, {"weighted": True, "intercept": False})
        for method in (
            SGD(0.05, batch_size=7, weight_decay=0.2), SGD(0.3, average=PolyakAverage(), batch_size=4),
            SGD(0.1, average=ExponentialAverage(0.5), batch_size=1), SGD(0.1, average=WeightAverage(6, 50)),
            SVRG(0.03, batch_size=7, anchor="mean"), SGD(0.05, clip_norm=0.01, batch_size=9), Adam(0.01),
        )
    ],
    *[
        (method, {"sparse": True, "loss": loss, **more})
        for loss, more in (("softmax", {"weighted": True}), ("logistic", {"intercept": False}))
        for method in (
            SGD(0.02, 0.9, batch_size=7), SGD(0.02, 0.95, True, weight_decay=0.1, batch_size=1, sampling="replacement"),
            SGD(0.05, 0.5, dampening=0.3, schedule=InverseTime(20)), SGD(0.05, 1e-9, batch_size=50),
            SGD(0.02, 0.9, average=PolyakAverage(3)),
        )
    ],
    *[(SGD(0.02, batch_size=3), {"loss": loss, "changed": True, "weighted": True}) for loss in NAMES],
    (SGD(0.05, batch_size=4), {"intercept": False, "sparse": True}),
    (SGD(0.05, batch_size=4), {"intercept": False, "changed": True, "loss": "softmax"}),
    (SVRG(0.03), {"intercept": False, "sparse": True, "weighted": True, "changed": True}),
    (SVRG(0.03), {"sparse": True, "weighted": True, "changed": True, "loss": "softmax"}),
    (SGD(0.05, batch_size=4), {"dtype": np.float32}),
]  # fmt: skip


@pytest.mark.parametrize(("method", "case"), COMPILED, ids=lambda value: str(value)[:40])
def test_compiled_epochs_are_the_literal_ones(method, case, monkeypatch):
    same(problem(**case), method, monkeypatch)


@pytest.mark.parametrize(("method", "case"), WRITTEN, ids=lambda value: str(value)[:40])
def test_what_is_compiled_says_what_literal_epochs_do(method, case, monkeypatch, as_python):
    same(problem(**case), method, monkeypatch)


@pytest.mark.slow
@pytest.mark.parametrize(("method", "case"), WRITTEN[::4], ids=lambda value: str(value)[:40])
def test_compiled_epochs_are_the_literal_ones_whatever_the_rule(method, case, monkeypatch):
    same(problem(**case), method, monkeypatch)


@pytest.mark.slow
def test_a_loss_in_one_line_compiles_too(monkeypatch):
    rng = np.random.default_rng(1)
    X, y = rng.normal(size=(N, D)), rng.normal(size=N)
    same(FiniteSum(X, y, lambda z, y: np.log1p((z - y) ** 2), 0.1), SGD(0.05, batch_size=4), monkeypatch)


def test_what_cannot_be_compiled_runs_literally():
    """An operation or a transform that the text has not, or two transforms: the same call, the same answer."""
    rng = np.random.default_rng(2)
    X, y = rng.normal(size=(N, D)), rng.integers(0, K, N)
    sorting = FiniteSum(X, y, lambda z, y: (np.sort(z, axis=-1) ** 2).sum(axis=-1) - tw.pick(z, y), 0.1, target="class")
    epoch = Epoch(np.arange(N), 4, np.full(N // 4, 0.1), None, 1, PlainStep())
    assert compiled(sorting, epoch) is None
    walk, at_once = run_epoch(sorting, epoch, Walk(sorting.start(), {}, sorting.start()), True)
    assert not at_once
    assert np.isfinite(walk.x).all()
    assert compiled(problem(), replace(epoch, transforms=(ClipValue(0.1),))) is None
    assert compiled(problem(), replace(epoch, transforms=(ClipNorm(0.1), ClipNorm(0.2)))) is None
    assert compiled(problem(), replace(epoch, transforms=(ClipNorm(0.1),))) is not None


def test_what_derives_from_a_rule_or_a_transform_runs_literally():
    """Whatever it does, its own update is the one to take."""

    class Signed(PlainStep):
        def update(self, x, gradient, slots, step_size, count):
            return super().update(x, np.sign(gradient), slots, step_size, count)

    class Heavier(MomentumStep):
        pass

    class Never(ClipNorm):
        def __call__(self, x, gradient):
            return gradient

    epoch = Epoch(np.arange(N), 4, np.full(N // 4, 0.1), None, 1, Signed())
    for sparse in (False, True):
        for change in ({}, {"rule": Heavier()}, {"rule": PlainStep(), "transforms": (Never(0.1),)}):
            assert compiled(problem(sparse=sparse), replace(epoch, **change)) is None


def test_whether_an_epoch_compiles_follows_from_counts_alone(monkeypatch):
    """A run repeats to the last bit: nothing is timed."""
    asked = []
    monkeypatch.setattr("thalweg.methods.compiled_epochs.compiled", lambda *_: asked.append(1))
    start = problem().start()
    for sparse, least in ((False, COMPILED_FROM), (True, COMPILED_FROM_SPARSE)):
        for first, wanted in ((1, 0), (least - 31, 0), (least - 29, 1), (least, 1)):
            asked.clear()
            epoch = Epoch(np.arange(N), 4, np.full(N // 4, 0.1), None, first, PlainStep())
            run_epoch(problem(sparse=sparse), epoch, Walk(start, {}, start), None)
            assert len(asked) == wanted
    asked.clear()
    run_epoch(problem(), epoch, Walk(start, {}, start), False)
    assert not asked


def test_literal_updates_are_the_formula():
    """Least squares by hand, with a last batch of 2 in place of 7 that is divided by 7 too."""
    rng = np.random.default_rng(3)
    X, y = rng.normal(size=(30, 3)), rng.normal(size=30)
    sum_ = FiniteSum(X, y, "squared", 0.2, intercept=False)
    order = rng.permutation(30)
    steps = rng.uniform(0.01, 0.1, size=5)
    weights = np.array([0.0, 1.0, 0.5, 0.0, 0.25])
    epoch = Epoch(order, 7, steps, weights, 1, MomentumStep(0.8))
    x = momentum = mean = np.zeros(3)
    walk = literal(sum_, epoch, Walk(x, MomentumStep(0.8).init(x), x))
    for k in range(5):
        chosen = order[7 * k : 7 * k + 7]
        gradient = (X[chosen].T @ (X[chosen] @ x - y[chosen]) + len(chosen) * 0.2 * x) / 7
        momentum = gradient if k == 0 else 0.8 * momentum + gradient
        x = x - steps[k] * momentum
        mean = mean + weights[k] * (x - mean)
    np.testing.assert_allclose(walk.x, x, rtol=0, atol=20 * summation(30))
    np.testing.assert_allclose(walk.slots["momentum"], momentum, rtol=0, atol=20 * summation(30))
    np.testing.assert_allclose(walk.mean, mean, rtol=0, atol=20 * summation(30))


def test_over_an_epoch_every_example_weighs_the_same():
    """With a step so small that x hardly moves, an epoch is one step along the whole gradient, last batch included."""
    sum_ = problem("squared")
    tiny, x = 1e-9, np.ones(sum_.size)
    epoch = Epoch(np.random.default_rng(0).permutation(N), 7, np.full(-(-N // 7), tiny), None, 1, PlainStep())
    moved = (x - literal(sum_, epoch, Walk(x, {}, x)).x) / tiny
    np.testing.assert_allclose(moved, N / 7 * sum_.at(x).gradient, rtol=1e-5)


def test_literal_epochs_move_leaves():
    from thalweg.problems import Function
    from thalweg.problems.noisy import Noisy

    function = Function(lambda x: (x[0] ** 2).sum() + (x[1] ** 2).sum(), x0=(np.ones((2, 2)), np.ones(3)))
    noisy = Noisy(function, np.random.default_rng(0).normal(size=(6, 7)))
    epoch = Epoch(np.arange(6), 2, np.full(3, 0.1), None, 1, PlainStep())
    x0 = as_vector((np.ones((2, 2)), np.ones(3)), "x")
    walk = literal(noisy, epoch, Walk(x0, {}, x0))
    x = np.ones(7)
    for k in range(3):
        x = x - 0.1 * (2 * x + noisy.vectors[2 * k : 2 * k + 2].mean(axis=0))
    np.testing.assert_allclose(flat(walk.x), x, rtol=summation(10))


@pytest.mark.slow
def test_a_factor_that_vanishes_is_multiplied_out(monkeypatch):
    """Where alpha (l2 + decay) is 1 the shrunk coefficients are zero, and far beyond they blow up as they should."""
    sparse = problem(sparse=True)
    for step in (1.0 / (0.1 + 0.4), 1.0 / (0.1 + 0.4) * (1 - 1e-13), 0.5):
        with monkeypatch.context() as patch:
            same(sparse, SGD(step, batch_size=N, weight_decay=0.4), patch)
    long = SGD(1.9, batch_size=1, weight_decay=0.4)  # the factor underflows after a few hundred updates
    one, other = (run(sparse, replace(long, compiled=flag), steps=8) for flag in (False, True))
    np.testing.assert_allclose(other.point.x, one.point.x, rtol=1e-9)
