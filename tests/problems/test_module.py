"""Modules as problems: everything beside torch.func on the whole batch, and the module itself left alone."""

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import thalweg as tw  # noqa: E402
from thalweg.core.errors import InputError  # noqa: E402
from thalweg.core.records import Status  # noqa: E402
from thalweg.core.vector import Vector, as_vector, flat  # noqa: E402
from thalweg.methods.rules_adaptive import AdamStep  # noqa: E402
from thalweg.problems.module import ModuleProblem  # noqa: E402
from tolerances import minimizer, torch_derivative, update_rule  # noqa: E402

N = 23
functional = torch.nn.functional


class Tied(torch.nn.Module):
    """One matrix used twice, a parameter that nothing uses, and one that is frozen."""

    def __init__(self):
        super().__init__()
        self.inner = torch.nn.Linear(4, 4)
        self.again = torch.nn.Linear(4, 4)
        self.again.weight = self.inner.weight
        self.unused = torch.nn.Parameter(torch.ones(2))
        self.frozen = torch.nn.Parameter(torch.full((4,), 0.5), requires_grad=False)

    def forward(self, x):
        return self.again(torch.tanh(self.inner(x))).sum(dim=1, keepdim=True) * self.frozen.sum()


class Recurrent(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.cell = torch.nn.GRU(2, 3, batch_first=True)

    def forward(self, x):
        return self.cell(x.reshape(-1, 2, 2))[0][:, -1, :1]


class Attentive(torch.nn.Module):
    """torch's fused attention on the CPU has no second derivative."""

    def __init__(self):
        super().__init__()
        self.project = torch.nn.Linear(2, 6)
        self.out = torch.nn.Linear(2, 1)

    def forward(self, x):
        q, k, v = self.project(x.reshape(-1, 1, 2, 2)).chunk(3, dim=-1)
        return self.out(functional.scaled_dot_product_attention(q, k, v)[:, 0, -1])


def normalised():
    """Batch norm whose running averages have seen data, in eval mode."""
    net = torch.nn.Sequential(
        torch.nn.Linear(4, 3), torch.nn.BatchNorm1d(3), torch.nn.Softplus(), torch.nn.Linear(3, 1)
    )
    net(torch.randn(50, 4, generator=torch.Generator().manual_seed(1)))
    return net.eval()


NETS = {
    "linear": lambda: torch.nn.Linear(4, 1),
    "mlp": lambda: torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.Tanh(), torch.nn.Linear(3, 1)),
    "tied": Tied,
    "batch norm": normalised,
    "recurrent": Recurrent,
    "attention": Attentive,
}


def squares(module, batch):
    return functional.mse_loss(module(batch[0]), batch[1])


def data(dtype=torch.float64, n=N):
    generator = torch.Generator().manual_seed(3)
    X = torch.randn(n, 4, generator=generator, dtype=dtype)
    return X, torch.sin(X.sum(dim=1, keepdim=True)) + 0.1 * torch.randn(n, 1, generator=generator, dtype=dtype)


def net(name, dtype=torch.float64):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return NETS[name]().to(dtype)


def by_func(module, loss, batch):
    """The mean loss as a function of named parameters, and those: what torch.func differentiates."""
    named = {name: p.detach() for name, p in module.named_parameters() if p.requires_grad}

    class Called(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.module = module

        def forward(self):
            return loss(self.module, batch)

    return lambda a: torch.func.functional_call(Called(), {f"module.{k}": v for k, v in a.items()}, ()), named


def entries(named):
    return np.concatenate([a.detach().numpy().reshape(-1) for a in named.values()])


@pytest.mark.parametrize(("name", "chunk_size"), [*((name, 7) for name in NETS), ("mlp", 1000)])
def test_value_gradient_products_and_hessian_are_those_of_torch(name, chunk_size):
    module = net(name)
    problem = ModuleProblem(module, squares, data(), chunk_size=chunk_size)
    f, named = by_func(module, squares, data())
    point = problem.at(problem.start())
    assert list(problem.start().form) == list(named)
    close = {"rel": 0, "abs": torch_derivative() * 4}
    assert point.value == pytest.approx(float(f(named)), rel=torch_derivative())
    assert flat(point.gradient) == pytest.approx(entries(torch.func.grad(f)(named)), **close)
    generator = torch.Generator().manual_seed(5)
    v = {k: torch.randn(a.shape, generator=generator, dtype=a.dtype) for k, a in named.items()}
    assert flat(point.hvp(as_vector(v))) == pytest.approx(dense(f, named) @ entries(v), **close)
    assert np.abs(point.hessian - dense(f, named)).max() <= close["abs"]
    assert (point.hessian == point.hessian.T).all()


def dense(f, named):
    """The Hessian by torch's own function of one flat vector."""
    sizes = [a.numel() for a in named.values()]

    def of_entries(w):
        parts = zip(named.items(), w.split(sizes), strict=True)
        return f({name: part.reshape(a.shape) for (name, a), part in parts})

    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        return torch.autograd.functional.hessian(of_entries, torch.cat([a.reshape(-1) for a in named.values()])).numpy()


@pytest.mark.parametrize(("name", "chunk_size"), [*((name, 4) for name in NETS), ("mlp", 1000)])
def test_a_sample_is_the_gradient_over_its_examples(name, chunk_size):
    module, (X, y) = net(name), data()
    problem = ModuleProblem(module, squares, (X, y), chunk_size=chunk_size)
    point = problem.at(problem.start())
    assert problem.n == N
    for indices in ([3], np.array([5, 5, 0, 22, 7, 1]), list(range(N)), np.int32(4)):
        rows = torch.as_tensor(np.atleast_1d(indices)).long()
        f, named = by_func(module, squares, (X[rows], y[rows]))
        expected = entries(torch.func.grad(f)(named))
        assert flat(point.sample(indices)) == pytest.approx(expected, rel=0, abs=4 * torch_derivative())
    halves = [flat(point.sample(np.arange(*ends))) for ends in ((0, 9), (9, N))]
    assert (9 * halves[0] + (N - 9) * halves[1]) / N == pytest.approx(flat(point.gradient), abs=4 * torch_derivative())


@pytest.mark.parametrize("indices", [[], [N], [-1], [0.5], [True, False], [[0, 1]], None, "all"])
def test_bad_indices_are_refused(indices):
    point = ModuleProblem(net("linear"), squares, data())
    with pytest.raises(InputError, match="indices"):
        point.at(point.start()).sample(indices)


def ridge(module, batch):
    return squares(module, batch) + 0.05 * sum((p**2).sum() for p in module.parameters())


@pytest.mark.parametrize(
    "method", ["newton", "newton-cg", "l-bfgs", "gradient-descent", "heavy-ball", "nesterov", None]
)
def test_every_method_finds_the_ridge_solution(method):
    X, y = data()
    problem = ModuleProblem(net("linear"), ridge, (X, y), chunk_size=10)
    solution = tw.solve(problem, method, tol=1e-14)
    A = np.hstack([X.numpy(), np.ones((N, 1))])
    expected = np.linalg.solve(A.T @ A / N + 0.05 * np.eye(5), A.T @ y.numpy()[:, 0] / N)
    assert solution.status is Status.CONVERGED
    assert list(solution.x) == ["weight", "bias"]
    assert solution.x["weight"].shape == (1, 4)
    assert entries(solution.x) == pytest.approx(expected, rel=0, abs=minimizer(100.0, 1e-14, 10.0))


@pytest.mark.parametrize("method", ["newton", "newton-cg", "l-bfgs"])
def test_a_small_network_is_trained_to_a_stationary_point(method):
    """Judged by torch's own gradient at the parameters that ``load`` puts back."""
    module = net("mlp")
    problem = ModuleProblem(module, ridge, data())
    solution = tw.solve(problem, method, tol=1e-12)
    assert solution.status is Status.CONVERGED
    assert solution.value < problem.at(problem.start()).value
    problem.load(solution.x)
    loss = ridge(module, data())
    assert loss.item() == pytest.approx(solution.value, rel=torch_derivative())
    slopes = torch.autograd.grad(loss, list(module.parameters()))
    # An estimated gap of 1e-12 with curvatures of at most about 10.
    assert math.sqrt(sum(float((g**2).sum()) for g in slopes)) <= 2 * math.sqrt(2 * 10 * 1e-12)


@pytest.mark.parametrize("name", NETS)
def test_the_module_stays_as_it_is_until_it_is_told(name):
    module = net(name)
    before = {key: value.clone() for key, value in module.state_dict().items()}
    modes = [part.training for part in module.modules()]
    problem = ModuleProblem(module, squares, data(), chunk_size=8)
    solution = tw.solve(problem, "l-bfgs", max_steps=5)
    problem.at(problem.start()).sample([0, 1])
    assert all(torch.equal(before[key], value) for key, value in module.state_dict().items())
    assert [part.training for part in module.modules()] == modes
    assert all(p.grad is None for p in module.parameters())
    with torch.no_grad():
        for p in module.parameters():
            p.zero_()  # and the problem keeps what it began with
    problem.load(solution.x)
    trained = {name: p for name, p in module.named_parameters() if p.requires_grad}
    assert all(torch.equal(trained[key], solution.x[key]) for key in solution.x)
    problem.load(problem.start())
    assert all(torch.equal(before[key], trained[key]) for key in trained)
    assert all(p.requires_grad for p in trained.values())


def test_tied_parameters_count_once_unused_ones_do_not_move_and_frozen_ones_are_not_in_x():
    module = net("tied")
    problem = ModuleProblem(module, squares, data())
    assert problem.start().form == ("unused", "inner.weight", "inner.bias", "again.bias")
    assert problem.size == 2 + 16 + 4 + 4
    assert not problem.at(problem.start()).gradient.leaves[0].any()
    solution = tw.solve(problem, "l-bfgs", max_steps=20)
    assert torch.equal(solution.x["unused"], torch.ones(2, dtype=torch.float64))
    problem.load(solution.x)
    assert module.again.weight is module.inner.weight
    assert squares(module, data()).item() == pytest.approx(solution.value, rel=torch_derivative())


def test_steps_of_adam_on_samples_are_a_training_loop_of_torch():
    batches = [np.random.default_rng(k).choice(N, size=6, replace=False) for k in range(50)]
    X, y = data()
    module = net("mlp")
    problem = ModuleProblem(module, squares, (X, y))
    rule, x = AdamStep(), problem.start()
    slots = rule.init(x)
    optimizer = torch.optim.Adam(module.parameters(), lr=0.01)
    for count, batch in enumerate(batches, 1):
        x, slots = rule.update(x, problem.at(x).sample(batch), slots, 0.01, count)
        optimizer.zero_grad()
        squares(module, (X[batch], y[batch])).backward()
        optimizer.step()
        assert flat(x) == pytest.approx(entries(dict(module.named_parameters())), rel=0, abs=update_rule(50))


@pytest.mark.parametrize(
    "method", [tw.SGD(0.05, batch_size=5), tw.Adam(0.02, batch_size=5), tw.SVRG(0.05, batch_size=5)]
)
def test_stochastic_methods_train_it(method):
    """By a tenth of what the best line takes away, far from where the noise of batches stops them."""
    X, y = data()
    problem = ModuleProblem(net("linear"), squares, (X, y), chunk_size=10)
    columns = np.hstack([X.numpy(), np.ones((N, 1))])
    best = float(np.linalg.lstsq(columns, y.numpy()[:, 0], rcond=None)[1][0]) / N
    start = problem.at(problem.start()).value
    assert tw.solve(problem, method, max_steps=300).value - best < 0.1 * (start - best)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_element_type_is_kept(dtype):
    problem = ModuleProblem(net("mlp", dtype), squares, data(dtype), chunk_size=8)
    wide = ModuleProblem(net("mlp", dtype).double(), squares, tuple(a.double() for a in data(dtype)))
    point, exact = problem.at(problem.start()), wide.at(wide.start())
    assert all(leaf.dtype == dtype for leaf in point.gradient.leaves)
    u = float(torch.finfo(dtype).eps)
    assert flat(point.gradient) == pytest.approx(flat(exact.gradient), rel=0, abs=20 * u)
    solution = tw.solve(problem, "l-bfgs", max_steps=20)
    assert all(leaf.dtype == dtype for leaf in solution.x.values())
    assert solution.value < point.value


def test_it_works_where_gradients_are_switched_off():
    with torch.no_grad():
        problem = ModuleProblem(net("mlp"), squares, data())
        point = problem.at(problem.start())
        assert np.abs(flat(point.gradient)).max() > 0
        assert np.abs(point.hessian).max() > 0


def test_batches_have_the_structure_of_the_data():
    X, y = data()

    def loss(module, batch):
        assert set(batch) == {"x", "target"}
        return functional.mse_loss(module(batch["x"][0]), batch["target"])

    problem = ModuleProblem(net("mlp"), loss, {"x": [X], "target": y}, chunk_size=5)
    plain = ModuleProblem(net("mlp"), squares, (X, y))
    assert problem.at(problem.start()).value == pytest.approx(plain.at(plain.start()).value, rel=torch_derivative())


def dropout():
    return torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Dropout(), torch.nn.Linear(8, 1)).double()


def batch_norm(**options):
    return torch.nn.Sequential(
        torch.nn.Linear(4, 8), torch.nn.BatchNorm1d(8, **options), torch.nn.Linear(8, 1)
    ).double()


def total(module, batch):
    return functional.mse_loss(module(batch[0]), batch[1], reduction="sum")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: (dropout(), squares, data()), "random"),
        (lambda: (batch_norm(), squares, data()), "changes its buffer 1.running_mean"),
        (lambda: (batch_norm(track_running_stats=False), squares, data()), "no mean"),
        (lambda: (net("linear"), total, data()), "no mean"),
        (lambda: (net("linear"), lambda m, b: (m(b[0]) - b[1]) ** 2, data()), "loss_fn gave"),
        (lambda: (net("linear"), lambda m, b: float(squares(m, b)), data()), "loss_fn gave"),
        (lambda: (net("linear"), lambda m, b: None, data()), "loss_fn gave None"),
        (lambda: (torch.nn.Linear, squares, data()), "module="),
        (lambda: (net("linear"), "mse", data()), "loss_fn='mse'"),
        (lambda: (torch.nn.Tanh(), lambda m, b: m(b[0]).mean(), data()), "no trainable parameter"),
        (lambda: (torch.nn.LazyLinear(1), squares, data()), "without a shape"),
        (lambda: (net("linear"), squares, (data()[0], data()[1][:-1])), "23, 22 rows"),
        (lambda: (net("linear"), squares, ()), "no examples"),
        (lambda: (net("linear"), squares, (data()[0][:0], data()[1][:0])), "no examples"),
    ],
)
def test_what_cannot_be_used_is_refused_by_name(make, message):
    module, loss, examples = make()
    with pytest.raises(InputError, match=message):
        ModuleProblem(module, loss, examples)


def test_a_refused_module_keeps_its_buffers():
    module = batch_norm()
    before = {key: value.clone() for key, value in module.state_dict().items()}
    with pytest.raises(InputError, match=r"eval\(\)"):
        ModuleProblem(module, squares, data())
    assert all(torch.equal(before[key], value) for key, value in module.state_dict().items())


@pytest.mark.parametrize("chunk_size", [0, -3, 2.5, True, None])
def test_chunk_sizes_are_checked(chunk_size):
    with pytest.raises(InputError, match="chunk_size"):
        ModuleProblem(net("linear"), squares, data(), chunk_size=chunk_size)


def test_a_loss_cut_off_from_the_parameters_is_refused():
    problem = ModuleProblem(net("linear"), lambda m, b: squares(m, b).detach(), data())
    with pytest.raises(InputError, match="does not depend on x"):
        tw.solve(problem)


def test_a_module_that_is_not_finite_is_refused():
    module = net("linear")
    with torch.no_grad():
        module.bias.fill_(math.nan)
    with pytest.raises(InputError, match="'bias'"):
        ModuleProblem(module, squares, data())


def test_load_refuses_other_parameters():
    problem = ModuleProblem(net("linear"), squares, data())
    good = tw.solve(problem, max_steps=1).x
    for bad in ({}, {"weight": good["weight"]}, {**good, "bias": torch.zeros(2)}, list(good.values()), None):
        with pytest.raises(InputError, match="x "):
            problem.load(bad)
    problem.load({name: tensor.numpy() for name, tensor in good.items()})
    assert torch.equal(problem.module.weight, good["weight"])
    with pytest.raises(InputError, match="x holds"):
        problem.load(Vector(tuple(good.values()), ("a", "b")))


def test_repr():
    problem = ModuleProblem(net("mlp"), squares, data(), name="sine")
    assert repr(problem) == "ModuleProblem(sine, 19 parameters, 23 examples)"
    assert ModuleProblem(net("mlp"), squares, data()).name == "Sequential"
