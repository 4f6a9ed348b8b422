"""Newton's method beside its theory: invariance under x = A y, the quadratic rate and where it begins, saddles."""

import math

import numpy as np
import pytest

import thalweg as tw
from thalweg.core.vector import flat
from tolerances import arithmetic, invariance, invariance_scaling, solve

#: The largest |l'''| of l(z) = log(1 + e^z).
THIRD = 1 / (6 * math.sqrt(3))


def iterates(problem, method, steps):
    """x_0, x_1, ... over all entries; shorter where the method ends of itself."""
    state = method.init(problem.at(problem.start()))
    xs = [flat(state.point.x)]
    for _ in range(steps):
        state = method.step(state)
        if state.failure is not None:
            break
        xs.append(flat(state.point.x))
    return np.array(xs)


def softplus_sum(size, seed, mu=1.0):
    """sum log(1 + e^(c_i'x)) + mu/2 ||x||^2, the start, and a bound on the Hessian's condition."""
    rng = np.random.default_rng(seed)
    C = rng.normal(size=(2 * size, size))

    def f(x):
        return np.sum(np.logaddexp(0.0, C @ x)) + 0.5 * mu * np.sum(x**2)

    return f, rng.normal(size=size), (mu + 0.25 * np.linalg.norm(C, 2) ** 2) / mu


# --- Invariance -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stretch", [1.0, 10.0, 1e2, 1e3, 1e4, 1e5, 1e6])
@pytest.mark.parametrize("size", [2, 3, 12])
def test_iterates_do_not_depend_on_the_choice_of_variables(size, stretch):
    f, x0, condition = softplus_sum(size, seed=100 * size)
    rng = np.random.default_rng(size)
    U, V = (np.linalg.qr(rng.normal(size=(size, size)))[0] for _ in range(2))
    A = U @ np.diag(np.geomspace(1, stretch, size) / math.sqrt(stretch)) @ V
    xs = iterates(tw.problem(f, x0=x0), tw.Newton(), 4)
    ys = iterates(tw.problem(lambda y: f(A @ y), x0=np.linalg.solve(A, x0)), tw.Newton(), 4)
    assert len(xs) == len(ys) == 5
    apart = np.linalg.norm(ys @ A.T - xs, axis=1).max()
    assert apart <= invariance(stretch, condition, size) * np.linalg.norm(xs, axis=1).max()


@pytest.mark.parametrize("stretch", [1e2, 1e4, 1e6, 1e8])
@pytest.mark.parametrize("size", [3, 6, 12])
def test_units_of_the_variables_cost_no_digit(size, stretch):
    f, x0, condition = softplus_sum(size, seed=100 * size)
    a = np.geomspace(1, stretch, size) / math.sqrt(stretch)
    xs = iterates(tw.problem(f, x0=x0), tw.Newton(), 5)
    ys = iterates(tw.problem(lambda y: f(a * y), x0=x0 / a), tw.Newton(), 5)
    assert len(xs) == len(ys) == 6
    apart = np.linalg.norm(ys * a - xs, axis=1).max()
    assert apart <= invariance_scaling(condition, size) * np.linalg.norm(xs, axis=1).max()


def test_gradient_descent_does_depend_on_them():
    f, x0, _ = softplus_sum(3, seed=300)
    xs = iterates(tw.problem(f, x0=x0), tw.GradientDescent(step_size=0.1), 5)
    ys = iterates(tw.problem(lambda y: f(2 * y), x0=x0 / 2), tw.GradientDescent(step_size=0.1), 5)
    assert np.linalg.norm(2 * ys - xs, axis=1).max() > 0.1


# --- The quadratic rate -----------------------------------------------------------------------------------------------


def known(rows, minimiser, mu):
    """sum log(1 + e^(c_i'x)) + mu/2 ||x||^2 - b'x with b such that the minimiser is the given one, and a bound on M."""
    C = np.asarray(rows)
    b = C.T @ (1 / (1 + np.exp(-(C @ minimiser)))) + mu * minimiser

    def f(x):
        return np.sum(np.logaddexp(0.0, C @ x)) + 0.5 * mu * np.sum(x**2) - b @ x

    lengths = np.linalg.norm(C, axis=1)
    return f, THIRD * np.linalg.norm((C.T * lengths) @ C, 2)


CASES = {
    "one variable": ([[1.0]], [1.3], 0.01),
    "one variable, flat": ([[2.0], [-1.0]], [0.4], 1e-3),
    "separable": (np.eye(4), [1.0, -1.0, 0.5, 2.0], 0.05),
    "coupled": (np.random.default_rng(2).normal(size=(12, 5)), [0.5, -0.5, 0.2, 1.0, -1.0], 0.1),
}


@pytest.mark.parametrize("share", [0.3, 0.99])
@pytest.mark.parametrize("name", CASES)
def test_full_steps_converge_quadratically_inside_the_radius(name, share):
    rows, minimiser, mu = CASES[name]
    minimiser = np.array(minimiser)
    f, M = known(rows, minimiser, mu)
    C = np.asarray(rows)
    p = 1 / (1 + np.exp(-(C @ minimiser)))
    at_minimum = mu * np.eye(len(minimiser)) + (C.T * (p * (1 - p))) @ C
    smallest, largest = np.linalg.eigvalsh(at_minimum)[[0, -1]]
    rounding = solve(largest / smallest, size=len(C)) * (1 + np.linalg.norm(minimiser))
    rng = np.random.default_rng(1)
    for _ in range(5):
        towards = rng.normal(size=len(minimiser))
        x0 = minimiser + share * 2 * smallest / (3 * M) * towards / np.linalg.norm(towards)
        xs = iterates(tw.problem(f, x0=x0), tw.Newton(damped=False, share=0.0), 6)
        errors = np.linalg.norm(xs - minimiser, axis=1)
        for e, following in zip(errors, errors[1:], strict=False):
            assert following <= M * e**2 / (2 * (smallest - M * e)) + rounding
        assert errors[-1] <= rounding


@pytest.mark.parametrize("size", [6, 30, 100])
def test_the_last_steps_are_quadratic_by_default(size):
    """A step squares the error to a constant, though from 100 parameters on a factor serves several of them."""
    f, x0, _ = softplus_sum(size, seed=size, mu=0.1)
    trace = tw.solve(tw.problem(f, x0=x0), tw.Newton(), tol=1e-13).trace
    assert tw.rate(trace["value"] - trace["value"].min()).kind.value == "quadratic"
    norms = trace["gradient_norm"][trace["gradient_norm"] > 1e-13 * trace["gradient_norm"][0]]
    assert norms[-1] <= 10 * (norms[-2] / norms[-3] ** 2) * norms[-2] ** 2


@pytest.mark.parametrize(("mu", "M"), [(1.0, 1.0), (0.1, 3.0), (20.0, 0.5)])
def test_a_cubic_attains_the_bound_and_its_radius(mu, M):
    def cubic(x):
        return mu / 2 * x[0] ** 2 - M / 6 * x[0] ** 3

    e = 0.9 * 2 * mu / (3 * M)
    xs = iterates(tw.problem(cubic, x0=[e]), tw.Newton(damped=False), 1)
    assert xs[1, 0] == pytest.approx(-M * e**2 / (2 * (mu - M * e)), rel=arithmetic(operations=20))
    edge = 2 * mu / (3 * M)  # there the bound promises nothing, and indeed nothing is gained
    xs = iterates(tw.problem(cubic, x0=[edge]), tw.Newton(damped=False), 1)
    assert xs[1, 0] == pytest.approx(-edge, rel=arithmetic(operations=20))


def test_a_measured_m_says_where_the_rate_holds():
    """M of a function is measured; here it is what the formula gives."""
    problem = tw.problem(lambda x: np.sum(np.cosh(x)), x0=[0.5, -0.3])
    assert tw.diagnose(problem).constants["M"].value == pytest.approx(math.sinh(0.5), rel=1e-3)


@pytest.mark.parametrize("method", [tw.Newton(), tw.Newton(damped=False)], ids=["searched", "full"])
@pytest.mark.parametrize("size", [1, 4, 20])
def test_a_quadratic_takes_one_step(size, method):
    rng = np.random.default_rng(size)
    B = rng.normal(size=(size, size))
    A, b = B @ B.T + np.eye(size), rng.normal(size=size)
    condition = np.linalg.cond(A)
    exact = np.linalg.solve(A, b)
    for problem in (tw.Quadratic(A, b), tw.problem(lambda x: x @ (A @ x) / 2 - b @ x, x0=np.ones(size))):
        xs = iterates(problem, method, 1)
        apart = np.linalg.norm(xs[1] - exact)
        assert apart <= solve(condition, size=size) * (np.linalg.norm(exact) + math.sqrt(size))
        assert tw.solve(problem, method).cost.steps == 1


# --- Any layout -------------------------------------------------------------------------------------------------------


def test_leaves_and_tensors_take_the_same_steps():
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    C, x0 = rng.normal(size=(9, 5)), rng.normal(size=5)

    def whole(x):
        return np.sum(np.logaddexp(0.0, C @ x)) + 0.5 * np.sum(x**2)

    def leaves(p):
        z = C[:, :4] @ np.reshape(p["w"], (4,)) + C[:, 4] * p["b"]
        return np.sum(np.logaddexp(0.0, z)) + 0.5 * (np.sum(p["w"] ** 2) + p["b"] ** 2)

    T = torch.tensor(C)

    def tensors(p):
        z = T[:, :4] @ p["w"].reshape(-1) + T[:, 4] * p["b"]
        return torch.nn.functional.softplus(z, threshold=1e3).sum() + 0.5 * ((p["w"] ** 2).sum() + p["b"] ** 2)

    layout = {"w": x0[:4].reshape(2, 2), "b": x0[4]}
    expected = iterates(tw.problem(whole, x0=x0), tw.Newton(), 4)
    tensor_layout = {key: torch.tensor(value) for key, value in layout.items()}
    for problem in (tw.problem(leaves, x0=layout), tw.problem(tensors, x0=tensor_layout)):
        found = iterates(problem, tw.Newton(), 4)
        np.testing.assert_allclose(found, expected, rtol=0, atol=invariance(1.0, 10.0, 5) * np.abs(expected).max())
    solution = tw.solve(tw.problem(tensors, x0=tensor_layout), tw.Newton())
    assert isinstance(solution.x["w"], torch.Tensor) and solution.x["w"].shape == (2, 2)


# --- Negative curvature -----------------------------------------------------------------------------------------------


def wells(x):
    """Minima at +-1 in every coordinate, value -1/4 each; a maximum at 0."""
    return np.sum(x**4) / 4 - np.sum(x**2) / 2


@pytest.mark.parametrize("method", [tw.Newton(), tw.NewtonCG()], ids=lambda method: method.name)
@pytest.mark.parametrize("x0", [[0.1, -0.2, 0.3], [0.4, 2.0, -0.01], [1e-6, 1.0, -1.0]])
def test_an_indefinite_start_descends_to_a_minimum(x0, method):
    problem = tw.problem(wells, x0=x0)
    values = [float(wells(x)) for x in iterates(problem, method, 30)]
    rounding = arithmetic(operations=10) * max(map(abs, values[:1]))
    assert all(after <= before + rounding for before, after in zip(values, values[1:], strict=False))
    assert values[1] < values[0]
    solution = tw.solve(problem, method)
    assert solution.value == pytest.approx(-0.75, abs=1e-8)
    np.testing.assert_allclose(np.abs(solution.x), 1.0, atol=1e-3)


def test_a_saddle_is_left():
    """x0 is a saddle: no gradient, yet negative curvature in the first coordinate."""
    solution = tw.solve(tw.problem(wells, x0=[0.0, 1.0]), tw.Newton())
    assert solution.value == pytest.approx(-0.5, abs=1e-8)


# --- Newton-CG --------------------------------------------------------------------------------------------------------


def test_newton_cg_asks_for_products_only():
    f, x0, _ = softplus_sum(8, seed=1)
    C = np.random.default_rng(1).normal(size=(16, 8))

    def sigmoid(x):
        return 1 / (1 + np.exp(-(C @ x)))

    def refused(x):
        raise AssertionError("a Hessian was formed")

    products = []

    def product(x, v):
        products.append(1)
        p = sigmoid(x)
        return C.T @ (p * (1 - p) * (C @ v)) + v

    problem = tw.problem(f, x0=x0, gradient=lambda x: C.T @ sigmoid(x) + x, hvp=product, hessian=refused)
    xs = iterates(problem, tw.NewtonCG(), 8)
    gradient = C.T @ sigmoid(xs[-1]) + xs[-1]
    assert np.linalg.norm(gradient) <= 1e-8 * np.linalg.norm(C.T @ sigmoid(x0) + x0)
    assert 0 < len(products) <= 8 * 9
