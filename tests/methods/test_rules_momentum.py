"""Plain, momentum and Nesterov steps equal torch's step by step; NAG-GS equals its paper's scheme."""

import pickle

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from methods.torch_steps import GRADIENTS, LAYOUTS, SIZE, STEP_SIZE, STEPS, by_rule, by_torch  # noqa: E402
from thalweg.core.errors import InputError  # noqa: E402
from thalweg.methods.rules_momentum import MomentumStep, NagGsStep, PlainStep  # noqa: E402
from tolerances import update_rule  # noqa: E402

# Rule, and the settings of torch.optim.SGD that mean the same.
PAIRS = {
    "plain": (PlainStep(), {}),
    "plain, decay": (PlainStep(weight_decay=0.1), {"weight_decay": 0.1}),
    "momentum": (MomentumStep(), {"momentum": 0.9}),
    "momentum, all": (
        MomentumStep(momentum=0.8, dampening=0.3, weight_decay=0.1),
        {"momentum": 0.8, "dampening": 0.3, "weight_decay": 0.1},
    ),
    "no momentum": (MomentumStep(momentum=0.0, dampening=0.3), {"momentum": 0.0, "dampening": 0.3}),
    "nesterov": (MomentumStep(nesterov=True), {"momentum": 0.9, "nesterov": True}),
    "nesterov, decay": (
        MomentumStep(nesterov=True, weight_decay=0.1),
        {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1},
    ),
}


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("gradients", GRADIENTS)
@pytest.mark.parametrize("pair", PAIRS)
def test_every_step_is_that_of_torch(pair, gradients, dtype):
    rule, settings = PAIRS[pair]
    at = GRADIENTS[gradients](dtype)
    expected = by_torch(lambda leaves: torch.optim.SGD(leaves, lr=STEP_SIZE, **settings), at, dtype)
    tolerance = update_rule(STEPS, dtype) * np.abs(expected).max()
    for layout in LAYOUTS:
        path = by_rule(rule, layout, at, dtype)
        assert path.shape == expected.shape == (STEPS, SIZE)
        assert np.abs(path - expected).max() <= tolerance, layout


def bowl(x):
    """The gradient of a quadratic with curvatures 0.5, 1, 4 and minimiser (1, -1, 2)."""
    return np.array([0.5, 1.0, 4.0]) * (x - np.array([1.0, -1.0, 2.0]))


def run(rule, x, alphas):
    slots = rule.init(x)
    path = [x]
    for count, alpha in enumerate(alphas, 1):
        x, slots = rule.update(x, bowl(x), slots, alpha, count)
        path.append(x)
    return np.array(path)


def test_undamped_momentum_is_the_heavy_ball():
    path = run(MomentumStep(momentum=0.7), np.zeros(3), [0.2] * 50)
    previous = x = np.zeros(3)
    for reached in path[1:]:
        previous, x = x, x - 0.2 * bowl(x) + 0.7 * (x - previous)
        assert reached == pytest.approx(x, rel=0, abs=update_rule(50) * 4)


def test_the_look_ahead_moves_the_points_of_nesterov_gradients():
    path = run(MomentumStep(momentum=0.7, nesterov=True), np.zeros(3), [0.2] * 50)
    x = y = np.zeros(3)
    for reached in path[1:]:
        previous, x = x, y - 0.2 * bowl(y)
        y = x + 0.7 * (x - previous)
        assert reached == pytest.approx(y, rel=0, abs=update_rule(50) * 4)


@pytest.mark.parametrize(("mu", "gamma"), [(1.0, 1.0), (0.5, 3.0), (0.0, 2.0)])
def test_nag_gs_is_the_scheme_of_its_paper(mu, gamma):
    """Solved entry by entry from the implicit equations of the scheme, in the paper's order: x, v, gamma."""
    start, alpha, steps = [0.0, 0.5, 3.0], 0.1, 50
    path = run(NagGsStep(mu, gamma), np.array(start), [alpha] * steps)
    x, v, gamma_now = list(start), list(start), gamma
    for k in range(steps):
        for i in range(3):
            # (x+ - x)/alpha = v - x+
            x[i] = (x[i] + alpha * v[i]) / (1 + alpha)
        assert path[k] == pytest.approx(x, rel=0, abs=update_rule(steps) * np.abs(path).max())
        slope = bowl(np.array(x))
        for i in range(3):
            # (v+ - v)/alpha = (mu/gamma)(x+ - v+) - slope/gamma
            pull = alpha / gamma_now
            v[i] = (v[i] + pull * (mu * x[i] - slope[i])) / (1 + pull * mu)
        gamma_now = (gamma_now + alpha * mu) / (1 + alpha)


def test_nag_gs_on_a_quadratic_is_a_power_of_its_iteration_matrix():
    """With gamma = mu the pair (x, v) is multiplied by one matrix a step; curvature 4, a step far beyond 2/L."""
    mu, h, alpha = 0.5, 4.0, 1.2
    share = alpha / (1 + alpha)
    move = np.array([[1 - share, share], [0.0, 1.0]])
    turn = np.array([[1.0, 0.0], [share * (1 - h / mu), 1 - share]])
    assert np.abs(np.linalg.eigvals(move @ turn)).max() < 1
    rule, x = NagGsStep(mu, mu), np.ones(1)
    slots = rule.init(x)
    for count in range(1, 40):
        x, slots = rule.update(x, h * x, slots, alpha, count)
        expected = np.linalg.matrix_power(move @ turn, count) @ np.ones(2)
        assert [x[0], slots["v"][0]] == pytest.approx(expected, rel=0, abs=update_rule(40) * 10)


@pytest.mark.parametrize("rule", [PlainStep(0.1), MomentumStep(nesterov=True), NagGsStep()], ids=lambda rule: rule.name)
def test_an_update_changes_nothing_that_it_was_given(rule):
    x, gradient = np.arange(3.0), np.ones(3)
    slots = rule.init(x)
    for count in (1, 2):
        kept = {key: np.array(value) for key, value in slots.items()}
        reached, following = rule.update(x, gradient, slots, 0.1, count)
        assert (x == np.arange(3.0)).all()
        assert (gradient == 1).all()
        assert slots.keys() == kept.keys()
        assert all((np.asarray(slots[key]) == kept[key]).all() for key in kept)
        assert (reached != x).any()
        x, slots = np.arange(3.0), following


def test_a_numpy_number_as_step_size_keeps_float32():
    x = np.ones(3, dtype=np.float32)
    for rule in (PlainStep(0.1), MomentumStep(np.float64(0.9)), NagGsStep(np.float64(1.0), np.float64(1.5))):
        reached, slots = rule.update(x, x, rule.init(x), np.float64(0.1), 1)
        assert reached.dtype == np.float32
        assert rule.update(reached, x, slots, np.float64(0.1), 2)[0].dtype == np.float32


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: PlainStep(weight_decay=-1.0), "weight_decay=-1.0"),
        (lambda: PlainStep(weight_decay=True), "weight_decay=True"),
        (lambda: MomentumStep(momentum=1.0), "momentum=1.0"),
        (lambda: MomentumStep(momentum="0.9"), "momentum='0.9'"),
        (lambda: MomentumStep(dampening=float("nan")), "dampening=nan"),
        (lambda: MomentumStep(nesterov=1), "nesterov=1"),
        (lambda: MomentumStep(dampening=0.1, nesterov=True), "dampening=0.1"),
        (lambda: MomentumStep(momentum=0.0, nesterov=True), "momentum=0.0"),
        (lambda: NagGsStep(gamma=0.0), "gamma=0.0"),
        (lambda: NagGsStep(mu=float("inf")), "mu=inf"),
    ],
)
def test_settings_out_of_range_are_refused_by_name(make, named):
    with pytest.raises(InputError, match="expected|momentum") as caught:
        make()
    assert named in caught.value.problem


def test_rules_are_values():
    for rule in (PlainStep(0.1), MomentumStep(0.8), NagGsStep(2.0)):
        assert pickle.loads(pickle.dumps(rule)) == rule
        assert hash(rule) == hash(type(rule)(**rule.__dict__))
        with pytest.raises(AttributeError):
            rule.weight_decay = 1.0
    assert MomentumStep(0.8) != MomentumStep(0.7)
