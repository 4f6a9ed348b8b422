"""The loop of stochastic methods: what a step is, what it costs, what repeats, what is refused, how runs end."""

import pickle
from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp

import thalweg as tw
from thalweg.core.errors import InputError, OracleError
from thalweg.core.records import Status
from thalweg.core.vector import flat
from thalweg.methods import REGISTER, SGD, SVRG, AdaGrad, Adam, AdamW, NagGs, RMSProp
from thalweg.methods.averaging import ExponentialAverage, PolyakAverage, WeightAverage
from thalweg.methods.gradient_transform import ClipNorm, ClipValue, WeightDecay
from thalweg.methods.rules_adaptive import AdamStep
from thalweg.methods.schedule import Cosine, InverseTime, StepDecay, TheoryDecay
from thalweg.problems import FiniteSum, Function, Quadratic
from thalweg.problems.noisy import Noisy
from tolerances import summation, update_rule

STOCHASTIC = [name for name, method in REGISTER.items() if method.noisy]


def rows(n=90, loss="squared", seed=0, l2=0.1):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 3))
    z = X @ [1.0, -2.0, 0.5]
    y = z + rng.normal(size=n) if loss == "squared" else np.sign(z + rng.logistic(size=n))
    return FiniteSum(X, y, loss, l2)


def run(problem, method, steps=4):
    state = method.init(problem.at(problem.start()))
    states = [state]
    for _ in range(steps):
        states.append(method.step(states[-1]))
    return states


# --- What a step is -------------------------------------------------------------------------------------------------


def test_on_a_sum_a_step_is_an_epoch_by_default():
    """Batches of 32 in a new order each epoch, literally; an epoch costs two passes and its evaluation two more."""
    problem, method = rows(), SGD(0.05)
    states = run(problem, method, 3)
    x = problem.start()
    for epoch, state in enumerate(states[1:]):
        order = tw.Sampler(90, 32, "reshuffle", 0).order(epoch)
        for start in (0, 32, 64):
            chosen = order[start : start + 32]
            x = x - 0.05 * len(chosen) / 32 * problem.at(x).sample(chosen)
        np.testing.assert_allclose(state.point.x, x, rtol=0, atol=50 * summation(90))
        assert state.memory["count"] == 3 * (epoch + 1)
        assert state.passes == 4.0
    assert states[0].passes == 2.0


@pytest.mark.parametrize("name", STOCHASTIC)
def test_without_a_sum_every_step_is_a_whole_gradient(name):
    """On any problem and any leaves; the one that needs samples says so."""
    function = Function(lambda x: (x[0] ** 2).sum() + ((x[1] - 1.0) ** 2).sum(), x0=(np.ones((2, 2)), np.ones(3) * 3))
    method = replace(REGISTER[name], step_size=0.05)
    if name == "svrg":
        with pytest.raises(OracleError, match="svrg needs sample"):
            tw.solve(function, method)
        return
    rule, x = method.rule(), function.start()
    slots = rule.init(x)
    for count, state in enumerate(run(function, method, 5)[1:], 1):
        x, slots = rule.update(x, function.at(x).gradient, slots, 0.05, count)
        np.testing.assert_array_equal(flat(state.point.x), flat(x))
        assert state.passes == 2.0


def test_torch_leaves_stay_what_they_are():
    torch = pytest.importorskip("torch")
    target = torch.arange(4, dtype=torch.float32)
    problem = tw.problem(lambda x: ((x["w"] - target) ** 2).sum(), x0={"w": torch.zeros(4)})
    solution = tw.solve(problem, Adam(0.1, schedule=Cosine(200)), tol=1e-3, max_steps=300)
    assert solution.x["w"].dtype == torch.float32
    torch.testing.assert_close(solution.x["w"], target, atol=0.05, rtol=0)


# Method, torch's optimizer, and its settings that mean the same.
PEERS = [
    (SGD(0.05, 0.8, dampening=0.3, weight_decay=0.1), "SGD", {"momentum": 0.8, "dampening": 0.3, "weight_decay": 0.1}),
    (SGD(0.05, 0.9, True), "SGD", {"momentum": 0.9, "nesterov": True}),
    (
        AdaGrad(0.05, initial_accumulator=0.2, schedule=InverseTime(20)),
        "Adagrad",
        {"initial_accumulator_value": 0.2, "lr_decay": 0.05},
    ),
    (RMSProp(0.05, centered=True, momentum=0.5), "RMSprop", {"centered": True, "momentum": 0.5}),
    (Adam(0.05, amsgrad=True, weight_decay=0.1), "Adam", {"amsgrad": True, "weight_decay": 0.1}),
    (AdamW(0.05), "AdamW", {}),
]


@pytest.mark.parametrize(("method", "peer", "settings"), PEERS, ids=lambda value: str(value)[:20])
def test_training_a_module_takes_the_steps_of_torch(method, peer, settings):
    """Batches in the order of the sampler, parameters by name: the loop that a user of torch writes."""
    torch = pytest.importorskip("torch")
    from thalweg.problems.module import ModuleProblem

    torch.manual_seed(0)
    X, y = torch.randn(24, 3, dtype=torch.float64), torch.randn(24, 2, dtype=torch.float64)
    net = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 2)).double()

    def loss(module, batch):
        return torch.nn.functional.mse_loss(module(batch[0]), batch[1])

    problem = ModuleProblem(net, loss, (X, y))
    found = flat(run(problem, replace(method, batch_size=4, seed=3), 3)[-1].memory["x"])
    optimizer = getattr(torch.optim, peer)(net.parameters(), lr=0.05, **settings)
    sampler = tw.Sampler(24, 4, seed=3)
    for indices in (indices for epoch in range(3) for indices in sampler.batches(epoch)):
        optimizer.zero_grad()
        loss(net, (X[indices], y[indices])).backward()
        optimizer.step()
    expected = torch.cat([p.detach().reshape(-1) for p in net.parameters()]).numpy()
    np.testing.assert_allclose(found, expected, rtol=0, atol=update_rule(18) * np.abs(expected).max())


def test_a_batch_size_asks_for_samples():
    function = Function(lambda x: (x**2).sum(), x0=[1.0])
    with pytest.raises(OracleError, match="sgd needs sample; FunctionPoint"):
        tw.solve(function, SGD(0.1, batch_size=4))
    assert tw.solve(function, SGD(0.1)).status is Status.CONVERGED
    assert tw.solve(function, SGD(0.1, batch_size=None)).status is Status.CONVERGED


def test_whole_gradients_on_a_sum_are_gradient_descent():
    problem = rows()
    ours = tw.solve(problem, SGD(0.2, batch_size=None), tol=1e-9)
    theirs = tw.solve(problem, tw.GradientDescent(0.2), tol=1e-9)
    np.testing.assert_array_equal(ours.x, theirs.x)
    assert ours.cost.passes == theirs.cost.passes
    assert ours.status is Status.CONVERGED


def test_schedules_and_averages_go_on_from_epoch_to_epoch():
    """Step sizes follow the number of the update, and the average is that of all iterates."""
    problem, schedule = rows(), StepDecay(4, 0.5)
    plain = run(problem, SGD(0.05, schedule=schedule), 6)
    assert [s.step_size for s in plain[1:]] == [0.05 * schedule(3 * k) for k in range(1, 7)]
    epochs = [run(problem, SGD(0.05, schedule=schedule, average=a), 6) for a in (PolyakAverage(5), WeightAverage(3, 5))]
    # The underlying iterates are those of the plain run.
    for states in epochs:
        np.testing.assert_array_equal([s.memory["x"] for s in states], [s.point.x for s in plain])
        # Before anything is collected the point is the iterate.
        np.testing.assert_array_equal(states[1].point.x, plain[1].point.x)
    ends = np.array([s.point.x for s in plain])
    # Updates 8, 11, 14, 17 are collected; none of them ends an epoch but all lie within.
    x, collected, every = problem.start(), [], []
    for epoch in range(6):
        order = tw.Sampler(90, 32).order(epoch)
        for k in range(3):
            chosen = order[32 * k : 32 * k + 32]
            count = 3 * epoch + k + 1
            x = x - 0.05 * schedule(count) * len(chosen) / 32 * problem.at(x).sample(chosen)
            every.append(x)
            if count in (8, 11, 14, 17):
                collected.append(x)
    np.testing.assert_allclose(ends[-1], x, rtol=0, atol=100 * summation(90))
    np.testing.assert_allclose(epochs[0][-1].point.x, np.mean(every[5:], axis=0), rtol=0, atol=100 * summation(90))
    np.testing.assert_allclose(epochs[1][-1].point.x, np.mean(collected, axis=0), rtol=0, atol=100 * summation(90))


def test_transforms_come_in_order_and_clipping_last():
    problem = Quadratic(np.diag([1.0, 10.0]), x0=[1.0, 1.0])
    method = SGD(0.1, batch_size=None, transforms=(WeightDecay(1.0), ClipValue(5.0)), clip_norm=0.1)
    gradient = np.array([1.0, 10.0]) + 1.0
    clipped = ClipNorm(0.1)(gradient, np.clip(gradient, -5, 5))
    state = run(problem, method, 1)[1]
    np.testing.assert_array_equal(state.point.x, [1.0, 1.0] - 0.1 * clipped)
    noisy = Noisy(problem, np.random.default_rng(0).normal(size=(3, 2)))
    state = run(noisy, replace(method, batch_size=3, average=PolyakAverage()), 1)[1]
    np.testing.assert_allclose(state.point.x, [1.0, 1.0] - 0.1 * clipped, rtol=1e-12)


def test_passes_count_what_was_computed():
    noisy = Noisy(Quadratic(np.eye(2), x0=[1.0, 1.0]), np.random.default_rng(0).normal(size=(10, 2)))
    # Every batch takes a whole gradient of f: 4 of at most 3 examples, and the evaluation.
    assert run(noisy, SGD(0.1, batch_size=3), 1)[1].passes == 2.0 * 4 + 2.0
    # An average is not where the gradient is wanted: whole gradients are evaluated at both.
    states = run(Quadratic(np.eye(2), x0=[1.0, 1.0]), SGD(0.1, batch_size=None, average=PolyakAverage()), 2)
    assert [s.passes for s in states] == [2.0, 2.0, 4.0]


# --- Repeating, going on --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", STOCHASTIC)
def test_the_seed_decides_and_states_are_values(name):
    problem = rows(loss="logistic")
    method = replace(REGISTER[name], step_size=0.01, seed=5)
    first, again = run(problem, method), run(problem, method)
    np.testing.assert_array_equal(first[-1].point.x, again[-1].point.x)
    other = run(problem, replace(method, seed=6))
    assert not np.array_equal(first[-1].point.x, other[-1].point.x)
    # Stepping from a kept state, or from one that was pickled, gives what it gave before.
    for kept in (first[2], replace(first[2], memory=pickle.loads(pickle.dumps(first[2].memory)))):
        state = method.step(kept)
        np.testing.assert_array_equal(state.point.x, first[3].point.x)
        np.testing.assert_array_equal(method.step(state).point.x, first[4].point.x)


@pytest.mark.parametrize(
    "method",
    [
        SGD(0.02, 0.9, average=ExponentialAverage(0.9), schedule=Cosine(60)),
        Adam(0.01, sampling="replacement"),
        NagGs(0.1),
        SVRG(0.01),
        SGD(),
    ],
    ids=str,
)
def test_a_saved_run_goes_on_as_if_it_had_not_stopped(method, tmp_path):
    problem, file = rows(loss="logistic"), tmp_path / "run"
    whole = tw.solve(problem, method, tol=0.0, max_steps=9)
    tw.solve(problem, method, tol=0.0, max_steps=4, save=file)
    rest = tw.solve(problem, method, tol=0.0, max_steps=9, resume=file)
    np.testing.assert_array_equal(rest.x, whole.x)
    for column in ("value", "step_size", "passes"):
        np.testing.assert_array_equal(rest.trace[column], whole.trace[column])


def test_iterates_can_be_recorded_and_records_pickled():
    seen = []
    solution = tw.solve(
        rows(), SGD(0.05), max_steps=5, tol=0.0, callback=lambda event: seen.append(getattr(event, "x", None))
    )
    iterates = np.array([x for x in seen if x is not None])
    assert iterates.shape == (6, 4)
    assert len(np.unique(iterates, axis=0)) == 6
    again = pickle.loads(pickle.dumps(solution))
    np.testing.assert_array_equal(again.x, solution.x)
    assert again.trace.columns == solution.trace.columns


@pytest.mark.parametrize("name", STOCHASTIC)
def test_methods_print_what_differs_from_the_usual_and_pickle(name):
    method = REGISTER[name]
    assert repr(method) == f"{type(method).__name__}()"
    changed = replace(method, step_size=0.1, sampling="sequential", seed=3)
    assert repr(changed) == f"{type(method).__name__}(step_size=0.1, sampling='sequential', seed=3)"
    assert eval(repr(changed), vars(tw.methods)) == changed == pickle.loads(pickle.dumps(changed))


# --- How runs end ---------------------------------------------------------------------------------------------------


def test_a_constant_step_ends_on_its_floor_and_keeps_the_best_point():
    problem = rows(30, loss="logistic")
    minimum = tw.solve(problem).value
    solution = tw.solve(problem, SGD(0.3, batch_size=1, sampling="replacement"), tol=1e-7, max_steps=5000)
    assert solution.status is Status.NOISE_FLOOR
    assert "step_size" in solution.status.remedy
    assert solution.cost.steps < 2000
    assert solution.value == solution.trace["value"].min()
    # Bounded all the same, and far above the target, as a floor is.
    assert minimum <= solution.value <= minimum + solution.certificate.gap * (1 + 1e-9)
    assert solution.certificate.gap > 1e-7
    # With a tenth of the step the floor is about a tenth as high.
    lower = tw.solve(problem, SGD(0.03, batch_size=1, sampling="replacement"), tol=1e-7, max_steps=5000)
    assert lower.status is Status.NOISE_FLOOR
    heights = [s.trace["value"][-100:].mean() - minimum for s in (solution, lower)]
    assert 5 < heights[0] / heights[1] < 20


def test_slow_progress_is_no_floor():
    """Every epoch of a step that is far too short falls, and most of the gap is left after the last."""
    solution = tw.solve(rows(30), SGD(1e-4, batch_size=1), tol=1e-6, max_steps=400)
    assert solution.status is Status.BUDGET_SPENT
    assert (np.diff(solution.trace["value"]) < 0).all()


def test_a_target_above_the_floor_is_reached():
    solution = tw.solve(rows(loss="logistic"), SGD(0.3, batch_size=1), tol=0.1)
    assert solution.status is Status.CONVERGED
    assert solution.certificate.gap <= 0.1


def test_falling_steps_have_no_floor():
    problem = rows(loss="logistic")
    solution = tw.solve(problem, SGD(schedule=TheoryDecay(), batch_size=4), tol=1e-9, max_steps=250)
    assert solution.status is Status.BUDGET_SPENT
    values = solution.trace["value"] - tw.solve(problem).value
    assert values[125:].mean() < 0.3 * values[15:30].mean()


def test_too_long_a_step_diverges_and_says_so():
    solution = tw.solve(rows(), SGD(5.0, batch_size=1), max_steps=200)
    assert solution.status is Status.DIVERGED
    assert np.isfinite(solution.value)
    assert "step_size" in solution.status.remedy


def test_certificates_are_not_bought_at_every_epoch_of_a_floor(monkeypatch):
    """Values that hover look to an extrapolation as if the target were always reached."""
    from thalweg.problems.finite_sum import FiniteSumPoint

    bought, certificate = [], FiniteSumPoint.certificate
    monkeypatch.setattr(FiniteSumPoint, "certificate", lambda *a: bought.append(1) or certificate(*a))
    solution = tw.solve(rows(), SGD(0.1, batch_size=1), tol=1e-6, max_steps=400)
    assert solution.cost.steps > 150
    assert len(bought) < 50


# --- Refusals -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"step_size": -0.1}, "step_size=-0.1"),
        ({"step_size": 0}, "step_size=0"),
        ({"step_size": np.nan}, "step_size=nan"),
        ({"step_size": True}, "step_size=True"),
        ({"batch_size": 0}, "batch_size=0"),
        ({"batch_size": 2.5}, "batch_size=2.5"),
        ({"batch_size": "all"}, "batch_size='all'"),
        ({"sampling": "random"}, "sampling='random'"),
        ({"schedule": 0.1}, "schedule=0.1"),
        ({"transforms": [ClipNorm(1.0)]}, "transforms="),
        ({"transforms": (3,)}, "transforms="),
        ({"clip_norm": -1.0}, "limit=-1.0"),
        ({"average": 0.9}, "average=0.9"),
        ({"seed": -1}, "seed=-1"),
        ({"seed": None}, "seed=None"),
        ({"compiled": "yes"}, "compiled='yes'"),
        ({"compiled": 1}, "compiled=1"),
        ({"momentum": 1.0}, "momentum=1.0"),
        ({"momentum": None}, "momentum=None"),
        ({"momentum": 0.5, "dampening": 1.0}, "dampening=1.0"),
        ({"worst_case": "yes"}, "worst_case='yes'"),
        ({"nesterov": True}, "nesterov=True"),
        ({"weight_decay": -1.0}, "weight_decay=-1.0"),
    ],
)
def test_bad_settings_are_named(change, words):
    with pytest.raises(InputError) as caught:
        SGD(**change)
    assert words in str(caught.value)
    assert caught.value.remedy


@pytest.mark.parametrize("change", [{"step_size": 0.0}, {"inner_steps": 0}, {"batch_size": None}, {"anchor": "best"}])
def test_bad_settings_of_svrg_are_refused(change):
    with pytest.raises(InputError):
        SVRG(**change)


def test_an_untuned_method_says_how_to_get_a_step():
    with pytest.raises(InputError, match="no step size"):
        list(tw.methods.drive(rows(), SGD(), rows().start(), target=1e-3))


def test_sparse_rows_stay_sparse_unless_asked():
    rng = np.random.default_rng(0)
    X = sp.random(300, 40, 0.05, random_state=0, format="csr")
    problem = FiniteSum(X, np.sign(rng.normal(size=300)), "logistic", 0.01)
    from thalweg.planning.working import Working

    assert Working.of(problem, None, SGD(), None).change is None
    assert Working.of(problem, None, SGD(), True).change is not None
    assert Working.of(problem, None, tw.Nesterov(), None).change is not None
    assert tw.solve(problem, SGD(), max_steps=300).status is Status.CONVERGED


def test_batches_of_adam_are_those_of_its_rule():
    """The loop adds nothing: Adam on reshuffled batches of least squares, by hand."""
    problem, method = rows(60), Adam(0.05, batch_size=20, seed=2)
    state, rule, x = run(problem, method, 4)[-1], AdamStep(), problem.start()
    slots = rule.init(x)
    for epoch in range(4):
        for k, chosen in enumerate(tw.Sampler(60, 20, seed=2).batches(epoch)):
            x, slots = rule.update(x, problem.at(x).sample(chosen), slots, 0.05, 3 * epoch + k + 1)
    np.testing.assert_array_equal(state.point.x, x)


def test_the_usual_target_is_larger_where_noise_leaves_a_floor():
    """1e-3 of f(x0) for sampled gradients; 1e-8 for whole ones and for reduced variance, or what is asked for."""
    from thalweg.planning.working import Working

    function = Function(lambda x: (x**2).sum(), x0=[0.5])
    for problem, method, share in (
        (rows(), SGD(), 1e-3),
        (rows(), Adam(0.1), 1e-3),
        (rows(), SVRG(), 1e-8),
        (rows(), SGD(batch_size=None), 1e-8),
        (function, SGD(), 1e-8),
        (rows(), tw.Nesterov(), 1e-8),
    ):
        value = problem.at(problem.start()).value
        assert Working.of(problem, None, method, None).target(method) == pytest.approx(share * min(1.0, value))
    assert tw.solve(rows(), SGD(), tol=1e-5, max_steps=3000).certificate.gap <= 1e-5
