"""AdaGrad, RMSProp, Adam and AdamW equal torch's step by step; Lion equals its paper's loop."""

import pickle

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from methods.torch_steps import (  # noqa: E402
    GRADIENTS,
    LAYOUTS,
    SIZE,
    STEP_SIZE,
    STEPS,
    by_rule,
    by_torch,
    logistic_gradients,
    start,
)
from thalweg.core.errors import InputError  # noqa: E402
from thalweg.methods.rules_adaptive import AdaGradStep, AdamStep, LionStep, RMSPropStep  # noqa: E402
from tolerances import arithmetic, update_rule  # noqa: E402

# Rule, torch's optimizer, and its settings that mean the same.
PAIRS = {
    "adagrad": (AdaGradStep(), torch.optim.Adagrad, {}),
    "adagrad, all": (
        AdaGradStep(step_size_decay=0.05, initial_accumulator=0.2, epsilon=1e-6, weight_decay=0.1),
        torch.optim.Adagrad,
        {"lr_decay": 0.05, "initial_accumulator_value": 0.2, "eps": 1e-6, "weight_decay": 0.1},
    ),
    "rmsprop": (RMSPropStep(), torch.optim.RMSprop, {}),
    "rmsprop, momentum": (RMSPropStep(momentum=0.9), torch.optim.RMSprop, {"momentum": 0.9}),
    "rmsprop, centered": (RMSPropStep(rho=0.9, centered=True), torch.optim.RMSprop, {"alpha": 0.9, "centered": True}),
    "rmsprop, all": (
        RMSPropStep(rho=0.95, epsilon=1e-6, centered=True, momentum=0.8, weight_decay=0.1),
        torch.optim.RMSprop,
        {"alpha": 0.95, "eps": 1e-6, "centered": True, "momentum": 0.8, "weight_decay": 0.1},
    ),
    "adam": (AdamStep(), torch.optim.Adam, {}),
    "adam, all": (
        AdamStep(beta1=0.8, beta2=0.95, epsilon=1e-6, amsgrad=True, weight_decay=0.1),
        torch.optim.Adam,
        {"betas": (0.8, 0.95), "eps": 1e-6, "amsgrad": True, "weight_decay": 0.1},
    ),
    "adam, small betas": (AdamStep(beta1=0.7, beta2=0.9), torch.optim.Adam, {"betas": (0.7, 0.9)}),
    "adamw": (AdamStep(weight_decay=0.01, decoupled=True), torch.optim.AdamW, {}),
    "adamw, amsgrad": (
        AdamStep(weight_decay=0.1, decoupled=True, amsgrad=True),
        torch.optim.AdamW,
        {"weight_decay": 0.1, "amsgrad": True},
    ),
}
RULES = [pair[0] for pair in PAIRS.values()] + [LionStep(), LionStep(0.5, 0.6, 0.1)]


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("gradients", GRADIENTS)
@pytest.mark.parametrize("pair", PAIRS)
def test_every_step_is_that_of_torch(pair, gradients, dtype):
    rule, optimizer, settings = PAIRS[pair]
    at = GRADIENTS[gradients](dtype)
    expected = by_torch(lambda leaves: optimizer(leaves, lr=STEP_SIZE, **settings), at, dtype)
    tolerance = update_rule(STEPS, dtype) * np.abs(expected).max()
    for layout in LAYOUTS:
        path = by_rule(rule, layout, at, dtype)
        assert path.shape == expected.shape == (STEPS, SIZE)
        assert np.abs(path - expected).max() <= tolerance, layout


@pytest.mark.parametrize("decoupled", [False, True])
def test_the_first_step_of_adam_is_alpha_in_every_entry(decoupled):
    """m^ = g and v^ = g^2 at t = 1; at t = 2 division by 1 - beta, instead of 1 - beta^2, would show."""
    g = np.array([3.0, -1.0, 40.0])  # epsilon / |g| is what is left of the sign
    rule = AdamStep(epsilon=1e-12, decoupled=decoupled)
    x, slots = rule.update(np.zeros(3), g, rule.init(g), 0.1, 1)
    assert x == pytest.approx(-0.1 * np.sign(g), rel=arithmetic(operations=10) + 1e-12)
    # Second gradient -g/2. With 1 - beta^2: m^ = (.09 - .05) g / .19, v^ = (.000999 + .00025) g^2 / .001999.
    second, _ = rule.update(x, -0.5 * g, slots, 0.1, 2)
    step = 0.1 * ((0.09 - 0.05) / 0.19) / np.sqrt((0.000999 + 0.00025) / 0.001999)
    assert second - x == pytest.approx(-step * np.sign(g), rel=arithmetic(operations=50) + 4e-12)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("rule", [LionStep(), LionStep(beta1=0.5, beta2=0.6, weight_decay=0.1)], ids=["default", "all"])
def test_lion_is_the_loop_of_its_paper(rule, layout):
    at = logistic_gradients(np.float64)
    path = by_rule(rule, layout, at)
    w, m = list(start("array", np.float64)), [0.0] * SIZE
    for k in range(STEPS):
        g = at(np.array(w), k)
        for i in range(SIZE):
            c = rule.beta1 * m[i] + (1 - rule.beta1) * g[i]
            direction = 1.0 if c > 0 else (-1.0 if c < 0 else 0.0)
            w[i] -= STEP_SIZE * (direction + rule.weight_decay * w[i])
            m[i] = rule.beta2 * m[i] + (1 - rule.beta2) * g[i]
        assert path[k] == pytest.approx(w, rel=0, abs=update_rule(STEPS) * 4)


def test_lion_turns_round_on_a_parabola_when_the_closed_form_says():
    """On x^2/2 from 1, x_t = 1 - alpha t until beta1 m + (1 - beta1) g, a sum in closed form, is negative."""
    alpha, rule = 0.01, LionStep()

    def leaning(t):
        g = 1 - alpha * np.arange(t)  # gradients of updates 1..t
        m = 0.01 * (0.99 ** np.arange(t - 2, -1, -1)) @ g[:-1]
        return 0.9 * m + 0.1 * g[-1]

    turn = next(t for t in range(1, 1000) if leaning(t) < 0)
    x = np.ones(1)
    slots = rule.init(x)
    path = []
    for count in range(1, turn + 1):
        x, slots = rule.update(x, x, slots, alpha, count)
        path.append(x[0])
    assert turn > 110  # momentum carries it past the minimum at t = 100
    assert path[:-1] == pytest.approx(1 - alpha * np.arange(1, turn), rel=0, abs=update_rule(turn))
    assert path[-1] > path[-2]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_an_update_changes_nothing_that_it_was_given(rule):
    x, gradient = np.arange(3.0), np.ones(3)
    slots = rule.init(x)
    for count in (1, 2):
        kept = {key: value.copy() for key, value in slots.items()}
        reached, following = rule.update(x, gradient, slots, 0.1, count)
        assert (x == np.arange(3.0)).all()
        assert (gradient == 1).all()
        assert slots.keys() == kept.keys()
        assert all((slots[key] == kept[key]).all() for key in kept)
        assert following.keys() == kept.keys()
        assert (reached != x).any()
        slots = following


@pytest.mark.parametrize("rule", [rule for rule in RULES if not rule.weight_decay], ids=lambda rule: rule.name)
def test_an_entry_without_gradient_stays(rule):
    x = np.array([2.0, 1.0])
    slots = rule.init(x)
    for count in range(1, 5):
        x, slots = rule.update(x, np.array([0.0, 1.0]), slots, 0.1, count)
    assert x[0] == 2.0
    assert x[1] < 1.0


def test_a_centered_variance_of_equal_gradients_is_not_negative():
    """s - a^2 tends to zero for equal gradients, and rounding would make its root nan."""
    rule = RMSPropStep(rho=0.5, centered=True)
    x = np.zeros(50)
    slots = rule.init(x)
    gradient = np.random.default_rng(0).normal(size=50)
    for count in range(1, 200):
        x, slots = rule.update(x, gradient, slots, 1e-3, count)
    assert ((slots["squares"] - slots["average"] ** 2) < 0).any()
    assert np.isfinite(x).all()


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_a_numpy_number_as_step_size_keeps_float32(rule):
    x = np.ones(3, dtype=np.float32)
    slots = rule.init(x)
    for count in (1, 2):
        x, slots = rule.update(x, np.ones(3, dtype=np.float32), slots, np.float64(0.1), count)
    assert x.dtype == np.float32
    assert all(value.dtype == np.float32 for value in slots.values())


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: AdaGradStep(epsilon=0.0), "epsilon=0.0"),
        (lambda: AdaGradStep(step_size_decay=-0.1), "step_size_decay=-0.1"),
        (lambda: AdaGradStep(initial_accumulator=None), "initial_accumulator=None"),
        (lambda: RMSPropStep(rho=1.0), "rho=1.0"),
        (lambda: RMSPropStep(centered="yes"), "centered='yes'"),
        (lambda: AdamStep(beta1=-0.1), "beta1=-0.1"),
        (lambda: AdamStep(beta2=float("nan")), "beta2=nan"),
        (lambda: AdamStep(amsgrad=np.array(True)), "amsgrad="),
        (lambda: LionStep(beta2=1.5), "beta2=1.5"),
        (lambda: LionStep(weight_decay=float("inf")), "weight_decay=inf"),
    ],
)
def test_settings_out_of_range_are_refused_by_name(make, named):
    with pytest.raises(InputError, match="expected") as caught:
        make()
    assert named in caught.value.problem


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_rules_are_values(rule):
    assert pickle.loads(pickle.dumps(rule)) == rule
    assert hash(rule) == hash(type(rule)(**rule.__dict__))
