"""Derivatives of functions of tensors beside torch's own functional derivatives and beside NumPy's engine."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import thalweg as tw  # noqa: E402
from thalweg.core.errors import InputError  # noqa: E402
from thalweg.core.vector import Vector, as_vector, flat  # noqa: E402
from thalweg.problems.derivatives_torch import DerivedByTorch  # noqa: E402
from tolerances import torch_derivative  # noqa: E402

A = torch.tensor(np.random.default_rng(0).normal(size=(3, 2)))
START = {"U": torch.tensor(np.random.default_rng(1).normal(size=(3, 2))), "s": torch.tensor(0.7, dtype=torch.float64)}


def coupled(x):
    """Not linear, not separable in its two leaves."""
    return torch.exp(0.3 * (x["U"] * A).sum()) * x["s"] ** 2 + torch.tanh(x["U"]).pow(3).sum() * x["s"]


def of_entries(w):
    return coupled({"U": w[:6].reshape(3, 2), "s": w[6]})


def test_derivatives_across_leaves_are_those_of_one_flat_vector():
    x, w = as_vector(START), torch.cat([START["U"].reshape(-1), START["s"].reshape(1)])
    derived = DerivedByTorch(coupled)
    value, gradient = derived.value_and_gradient(x)
    assert value == pytest.approx(float(of_entries(w)), rel=torch_derivative())
    slope = torch.autograd.functional.jacobian(of_entries, w).numpy()
    bend = torch.autograd.functional.hessian(of_entries, w).numpy()
    assert flat(gradient) == pytest.approx(slope, rel=0, abs=torch_derivative() * np.abs(slope).max())
    assert np.abs(derived.hessian(x) - bend).max() <= torch_derivative() * np.abs(bend).max()
    v = as_vector({"U": A, "s": torch.tensor(-1.5, dtype=torch.float64)})
    assert flat(derived.hvp(x, v)) == pytest.approx(
        bend @ flat(v), rel=0, abs=4 * torch_derivative() * np.abs(bend).max()
    )


def test_a_function_in_parts_is_their_sum():
    x = as_vector(START)
    whole = DerivedByTorch(lambda a: coupled(a) + a["U"].pow(2).sum())
    parts = DerivedByTorch(coupled, lambda a: a["U"].pow(2).sum())
    close = {"rel": 0, "abs": torch_derivative() * 100}
    assert parts.value_and_gradient(x)[0] == pytest.approx(whole.value_and_gradient(x)[0], **close)
    assert flat(parts.value_and_gradient(x)[1]) == pytest.approx(flat(whole.value_and_gradient(x)[1]), **close)
    assert parts.hessian(x) == pytest.approx(whole.hessian(x), **close)
    assert flat(parts.hvp(x, x)) == pytest.approx(flat(whole.hvp(x, x)), **close)


def test_the_engine_and_torch_agree_on_the_same_function():
    x0 = np.random.default_rng(2).normal(size=5)
    ours = tw.problem(lambda x: np.log(np.exp(x).sum()) + 0.5 * (x @ x), x0)
    theirs = tw.problem(lambda x: torch.logsumexp(x, 0) + 0.5 * (x @ x), torch.tensor(x0))
    ours, theirs = ours.at(ours.start()), theirs.at(theirs.start())
    assert ours.value == pytest.approx(theirs.value, rel=torch_derivative())
    assert ours.gradient == pytest.approx(flat(theirs.gradient), rel=0, abs=torch_derivative())
    assert ours.hessian == pytest.approx(theirs.hessian, rel=0, abs=torch_derivative())


@pytest.mark.parametrize(
    ("f", "hessian"),
    [
        (lambda x: x[0].sum() * 2.0, np.zeros((4, 4))),
        (lambda x: x[0].pow(2).sum() + x[1].sum(), np.diag([2.0, 2.0, 0.0, 0.0])),
        (lambda x: x[1].pow(2).sum(), np.diag([0.0, 0.0, 2.0, 2.0])),
        (lambda x: x[0] @ x[1], np.kron([[0.0, 1.0], [1.0, 0.0]], np.eye(2))),
    ],
    ids=["linear", "half linear", "one leaf unused", "bilinear"],
)
def test_leaves_without_curvature_or_use_have_zeros_in_their_place(f, hessian):
    x = as_vector((torch.ones(2, dtype=torch.float64), torch.full((2,), 2.0, dtype=torch.float64)))
    derived = DerivedByTorch(f)
    assert (derived.hessian(x) == hessian).all()
    v = Vector((torch.tensor([1.0, 2.0]).double(), torch.tensor([3.0, 4.0]).double()), "tuple")
    assert (flat(derived.hvp(x, v)) == hessian @ flat(v)).all()
    gradient = derived.value_and_gradient(x)[1]
    assert [leaf.shape for leaf in gradient.leaves] == [(2,), (2,)]


@pytest.mark.parametrize("f", [lambda x: x.abs().sum(), lambda x: torch.nn.functional.l1_loss(x, x.new_ones(2))])
def test_kinks_have_no_curvature(f):
    point = tw.problem(f, torch.tensor([3.0, -2.0])).at(as_vector(torch.tensor([3.0, -2.0])))
    np.testing.assert_array_equal(point.hessian, np.zeros((2, 2)))
    np.testing.assert_array_equal(flat(point.hvp(point.gradient)), np.zeros(2))


def test_a_barrier_has_no_slope():
    derived = DerivedByTorch(lambda x: torch.tensor(torch.inf) if x[0] < 0 else -torch.log(x).sum())
    value, gradient = derived.value_and_gradient(as_vector(torch.tensor([-1.0, 1.0])))
    assert value == np.inf
    assert not flat(gradient).any()
    problem = tw.problem(
        lambda x: torch.tensor(torch.inf) if (x <= 0).any() else (x - torch.log(x)).sum(), torch.tensor([30.0, 0.01])
    )
    solution = tw.solve(problem)
    assert flat(as_vector(solution.x)) == pytest.approx(np.ones(2), abs=1e-3)


@pytest.mark.parametrize(
    "f",
    [
        lambda x: x.detach().sum(),
        lambda x: float(x.detach().sum()),
        lambda x: torch.tensor(x.detach().numpy().sum()),
        lambda x: torch.zeros(()),
    ],
)
def test_a_function_cut_off_from_x_is_refused(f):
    problem = tw.problem(f, torch.ones(3))
    with pytest.raises(InputError, match="does not depend on x"):
        _ = problem.at(problem.start()).gradient


def test_one_number_is_wanted():
    with pytest.raises(InputError, match="shape"):
        DerivedByTorch(lambda x: x).value_and_gradient(as_vector(torch.ones(3)))
