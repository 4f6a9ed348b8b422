"""Roots against closed forms and SciPy; honest endings where there is none."""

import math

import numpy as np
import pytest
from scipy import optimize

import thalweg as tw
from thalweg.core.records import Status
from thalweg.methods.root import find_root
from tolerances import arithmetic


def test_known_roots():
    found = find_root(lambda x: x**2 - 2, 1.0, tol=1e-14)
    assert found.x.item() == pytest.approx(math.sqrt(2), rel=arithmetic(operations=20))
    assert find_root(np.cos, 1.0).x.item() == pytest.approx(math.pi / 2, rel=arithmetic(operations=20))
    found = find_root(lambda x: (x[0] ** 2 + x[1] ** 2 - 4, x[0] * x[1] - 1), [2.0, 1.0])
    assert found.status is Status.CONVERGED
    assert found.x @ found.x == pytest.approx(4.0) and found.x[0] * found.x[1] == pytest.approx(1.0)


def test_steps_are_newtons_and_quadratic():
    """x^2 = 2 from 1: the Babylonian iterates, whose error squares: e_{k+1} = e_k^2 / (2 x_k)."""
    found = find_root(lambda x: x**2 - 2, 1.0, tol=1e-14)
    x, values = 1.0, []
    for _ in range(len(found.trace)):
        values.append(abs(x * x - 2))
        x = 0.5 * (x + 2 / x)
    np.testing.assert_allclose(found.trace["value"], values, atol=1e-15)


def test_a_full_step_that_overshoots_is_shortened():
    """Newton's own steps on arctan fly off from beyond 1.39; shortened ones arrive."""
    found = find_root(np.arctan, 20.0)
    assert found.status is Status.CONVERGED and abs(found.x.item()) <= 1e-10
    assert found.trace["step_size"].min() <= 1.0 and (found.trace["step_size"][1:] < 1).any()


def test_beside_scipy_on_random_systems():
    rng = np.random.default_rng(0)
    for size in (2, 5, 12):
        A = np.eye(size) + 0.3 * rng.normal(size=(size, size)) / np.sqrt(size)
        b = rng.normal(size=size)

        def F(x, A=A, b=b):
            return A @ x + 0.1 * np.tanh(x) ** 3 - b

        found = find_root(F, np.zeros(size), tol=1e-12)
        peer = optimize.root(F, np.zeros(size), tol=1e-13)
        assert found.status is Status.CONVERGED
        np.testing.assert_allclose(found.x, peer.x, atol=1e-9)


def test_a_given_jacobian_is_used():
    calls = []

    def jacobian(x):
        calls.append(1)
        return 2 * np.diag(x)

    found = find_root(lambda x: x**2 - np.array([1.0, 4.0]), np.array([2.0, 3.0]), jacobian=jacobian)
    np.testing.assert_allclose(found.x, [1.0, 2.0])
    assert len(calls) == found.cost.steps + 1  # the first is held against differences


def test_a_root_where_the_jacobian_is_singular_is_approached_linearly():
    """x^2 = 0 halves the error a step; the status is right, and so is the count: ||F|| falls fourfold."""
    found = find_root(lambda x: x**2, 1.0, tol=1e-10)
    assert found.status is Status.CONVERGED
    assert found.cost.steps == math.ceil(math.log(1e10) / math.log(4))


def test_where_there_is_no_root_the_end_says_so():
    found = find_root(lambda x: x**2 + 1, 3.0)
    assert found.status is Status.NO_PROGRESS
    assert found.value >= 1.0
    assert find_root(np.exp, 0.0, max_steps=5).status is Status.BUDGET_SPENT


def test_bad_arguments_are_named():
    with pytest.raises(tw.InputError, match="2 unknowns"):
        find_root(lambda x: x[0], [1.0, 2.0])
    with pytest.raises(tw.InputError, match="not finite"):
        find_root(np.log, -1.0)
    with pytest.raises(tw.InputError, match="function"):
        find_root(3.0, 1.0)
    with pytest.raises(tw.InputError, match="tol"):
        find_root(np.cos, 1.0, tol=-1)
    with pytest.raises(tw.InputError, match="jacobian gave shape"):
        find_root(lambda x: x, [1.0, 2.0], jacobian=lambda x: np.zeros((2, 3)))


@pytest.mark.parametrize(
    ("F", "x0"),
    [
        (lambda x: np.array([x[0] ** 2 + x[1] ** 2 - 4, x[0] * x[1] - 1]), [2.0, 0.5]),
        (lambda x: [math.fsum([x[0] ** 2, x[1] ** 2, -4]), math.fsum([x[0] * x[1], -1])], [2.0, 0.5]),
        (lambda x: (x["a"] ** 2 + x["b"] ** 2 - 4, x["a"] * x["b"] - 1), {"a": 2.0, "b": 0.5}),
        (lambda x: np.concatenate([x[0] ** 2 + x[1] ** 2 - 4, x[0] * x[1] - 1]), ([2.0], np.array([0.5]))),
    ],
    ids=["np.array", "math", "mapping", "tuple"],
)
def test_what_cannot_be_derived_is_differenced(F, x0):
    found = find_root(F, x0)
    derived = find_root(lambda x: (x[0] ** 2 + x[1] ** 2 - 4, x[0] * x[1] - 1), [2.0, 0.5])
    assert found.status is Status.CONVERGED
    assert found.cost.steps == derived.cost.steps
    x = [float(np.asarray(a).item()) for a in (found.x.values() if isinstance(found.x, dict) else found.x)]
    np.testing.assert_allclose(x, derived.x, atol=1e-10)


def test_tensors_have_roots_too():
    torch = pytest.importorskip("torch")
    found = find_root(lambda x: x**3 - 2, torch.ones(2, dtype=torch.float64))
    np.testing.assert_allclose(found.x.numpy(), 2 ** (1 / 3), rtol=1e-10)


def test_single_precision_ends_at_its_floor():
    assert find_root(lambda x: x**2 - 2, np.ones(3, np.float32)).status is Status.PRECISION_FLOOR


def test_a_wrong_jacobian_is_told():
    with pytest.raises(tw.InputError, match="not that of F"):
        find_root(lambda x: (x[0] ** 2, x[0] * x[1]), [2.0, 0.5], jacobian=lambda x: [[2 * x[0], 0], [x[1], -x[0]]])
    with pytest.raises(tw.InputError, match="max_steps=2.5"):
        find_root(np.cos, 1.0, max_steps=2.5)


def right(x):
    return np.diag([1.0, np.cos(x[1])])


@pytest.mark.parametrize("start", [(1e8, 1e-3), (1e-3, 1e-3), (-1e15, 1.0)])
def test_a_right_jacobian_is_taken_where_variables_differ_in_size(start):
    found = find_root(lambda x: (x[0] - 2e8, np.sin(x[1]) - 0.5), start, jacobian=right)
    assert found.status is Status.CONVERGED
    np.testing.assert_allclose(found.x, [2e8, math.pi / 6], rtol=1e-9)


@pytest.mark.parametrize(("row", "factor"), [(0, 1.5), (0, -1.0), (1, 1.5), (1, -1.0), (1, 0.0)])
def test_a_wrong_row_is_told_where_variables_differ_in_size(row, factor):
    def wrong(x):
        return right(x) * np.where(np.arange(2) == row, factor, 1.0)[:, None]

    with pytest.raises(tw.InputError, match=f"not that of F in row {row}"):
        find_root(lambda x: (x[0] - 2e8, np.sin(x[1]) - 0.5), (1e8, 1e-3), jacobian=wrong)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rounding_of_F_is_no_error_of_its_jacobian(dtype):
    """The first equation cannot see x1 for rounding; the second is constant along it."""
    start = np.array([1e8, 1e-3], dtype)
    find_root(lambda x: (x[0] + 1e-9 * x[1], x[1] ** 3), start, jacobian=lambda x: [[1, 1e-9], [0, 3 * x[1] ** 2]])
    find_root(lambda x: x + 1e12, dtype(1.0), jacobian=np.ones_like, max_steps=1)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_function_that_turns_within_the_steps_is_not_held_against_its_jacobian(dtype):
    rng = np.random.default_rng(0)
    for _ in range(100):
        start = (1e8 * rng.normal(size=20)).astype(dtype)
        find_root(np.sin, start, jacobian=lambda x: np.diag(np.cos(x)), max_steps=0)
