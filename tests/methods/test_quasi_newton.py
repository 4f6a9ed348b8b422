"""Quasi-Newton methods beside closed forms, SciPy, conjugate gradients and torch's L-BFGS."""

import itertools
import pickle

import numpy as np
import pytest
from scipy.optimize import root

import thalweg as tw
from thalweg.core.errors import InputError
from thalweg.core.records import Status
from thalweg.core.vector import Vector, flat, like
from thalweg.methods.composed import Descent
from thalweg.methods.quasi_newton import BFGS, DFP, LBFGS, Secant
from thalweg.methods.search import Backtracking, ExactStep, StrongWolfe
from tolerances import CERTIFIED_GAP, matrices, minimizer, solve, update_rule

FULL = [BFGS, DFP]
METHODS = [BFGS(), DFP(), LBFGS(), LBFGS(memory=3)]


def quadratic(values, seed=0):
    rng = np.random.default_rng(seed)
    basis = np.linalg.qr(rng.normal(size=(len(values), len(values))))[0]
    A = basis * values @ basis.T
    return tw.Quadratic((A + A.T) / 2, A @ rng.normal(size=len(values)))


def table(rows=60, columns=5):
    rng = np.random.default_rng(3)
    X = rng.normal(size=(rows, columns)) * np.geomspace(0.5, 2, columns)
    return X, np.sign(X @ rng.normal(size=columns) + rng.normal(size=rows))


def states(method, problem, steps, x=None):
    """The state at the start and after each step."""
    found = [method.init(problem.at(problem.start() if x is None else x))]
    for _ in range(steps):
        found.append(method.step(found[-1]))
        assert found[-1].failure is None
    return found


# --- Minima -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS, ids=repr)
@pytest.mark.parametrize("kappa", [1.0, 100.0, 1e4])
def test_the_minimum_of_a_quadratic_is_that_of_its_equations(method, kappa):
    problem = quadratic(np.geomspace(1 / kappa, 1, 12))
    found = tw.solve(problem, method, tol=1e-12)
    assert found.status is Status.CONVERGED
    exact = np.linalg.solve(problem.A, problem.b)
    gap = 0.5 * (found.x - exact) @ problem.A @ (found.x - exact)
    assert gap <= 1e-12 + solve(kappa, size=12) * 0.5 * exact @ problem.A @ exact


@pytest.mark.parametrize("method", METHODS, ids=repr)
def test_the_minimum_of_a_logistic_sum_is_scipys(method):
    X, y = table()
    l2 = 0.01

    def gradient(w):
        return -X.T @ (y / (1 + np.exp(y * (X @ w)))) / len(y) + l2 * w

    theirs = root(gradient, np.zeros(5), tol=1e-14).x
    found = tw.solve(tw.FiniteSum(X, y, "logistic", l2, intercept=False), method, tol=CERTIFIED_GAP**2)
    # A gap of 1e-16, in units of l2 / 2 and f(0) < 1; curvature is at least l2.
    assert np.linalg.norm(found.x - theirs) <= minimizer(1.0, 2 * CERTIFIED_GAP**2 / l2)
    assert np.linalg.norm(gradient(theirs)) <= matrices(size=len(y))


@pytest.mark.parametrize("method", [BFGS(), DFP(), LBFGS()], ids=repr)
def test_rosenbrocks_valley_is_followed_to_its_end(method):
    problem = tw.problem(lambda x: 100 * (x[1] - x[0] ** 2) ** 2 + (1 - x[0]) ** 2, x0=[-1.2, 1.0])
    found = tw.solve(problem, method)
    assert found.status is Status.CONVERGED
    # Curvatures at (1, 1) are 0.4 and 1002.
    np.testing.assert_allclose(found.x, [1.0, 1.0], atol=minimizer(2500, CERTIFIED_GAP))


# --- Exact steps on quadratics: conjugate gradients -------------------------------------------------------------------


def conjugate_gradients(A, b, x, steps):
    """The iterates of Hestenes and Stiefel, as every textbook has them."""
    r = b - A @ x
    p, path = r, [x]
    for _ in range(steps):
        t = r @ r / (p @ A @ p)
        x, previous = x + t * p, r
        r = r - t * (A @ p)
        p = r + (r @ r) / (previous @ previous) * p
        path.append(x)
    return path


@pytest.mark.parametrize("size", [1, 2, 5, 8])
@pytest.mark.parametrize("update", FULL)
def test_exact_steps_on_a_quadratic_are_conjugate_gradients(update, size):
    problem = quadratic(np.geomspace(0.1, 1, size), seed=size)
    start = np.random.default_rng(size).normal(size=size)
    path = conjugate_gradients(problem.A, problem.b, start, size)
    scale = np.linalg.norm(path[0] - path[-1])
    method = update(search=ExactStep())
    for ours, theirs in zip(states(method, problem, size, start), path, strict=True):
        # Both lose conjugacy by rounding, as the condition to the power of the steps' coupling: here its square.
        assert np.linalg.norm(ours.point.x - theirs) <= size * matrices(10.0**2, size=size) * scale
    exact = np.linalg.solve(problem.A, problem.b)
    assert np.linalg.norm(ours.point.x - exact) <= size * matrices(10.0**2, size=size) * scale
    # One step less does not suffice.
    if size > 1:
        before = states(method, problem, size - 1, start)[-1].point.x
        assert np.linalg.norm(before - exact) > 1e-4 * scale


@pytest.mark.parametrize("update", ["bfgs", "dfp"])
def test_after_d_exact_steps_the_matrix_is_the_inverse(update):
    """Rescaling would lose what earlier pairs said."""
    problem = quadratic(np.geomspace(0.2, 1, 5))
    method = Descent(Secant(update, rescaled=False), ExactStep())
    inverse = states(method, problem, 5)[-1].memory["learned"]["inverse"]
    np.testing.assert_allclose(inverse, np.linalg.inv(problem.A), atol=5 * matrices(5.0**2, size=5) * 5.0)


@pytest.mark.parametrize("update", FULL)
def test_the_matrix_maps_the_last_pair_and_is_definite(update):
    X, y = table()
    found = states(update(), tw.FiniteSum(X, y, "logistic", 0.01, intercept=False), 6)
    for before, after in zip(found, found[1:], strict=False):
        s, change = after.point.x - before.point.x, after.point.gradient - before.point.gradient
        C = after.memory["learned"]["inverse"]
        eigenvalues = np.linalg.eigvalsh(C)
        assert s @ change > 0
        assert eigenvalues[0] > 0
        room = matrices(eigenvalues[-1] / eigenvalues[0], size=5)
        assert np.abs(C @ change - s).max() <= room * eigenvalues[-1] * np.linalg.norm(change)
        np.testing.assert_allclose(after.direction, -C @ after.point.gradient, rtol=room, atol=0)


def test_damping_keeps_definiteness_where_the_search_does_not():
    """Backtracking on a double well meets negative curvature."""
    problem = tw.problem(lambda x: (((x / 10) ** 2 - 1) ** 2).sum() + 0.01 * x.sum(), x0=[0.5, -1.0, 3.0])
    negative = False
    found = states(BFGS(search=Backtracking(), damped=True), problem, 8)
    for before, after in zip(found, found[1:], strict=False):
        pair = (after.point.x - before.point.x) @ (after.point.gradient - before.point.gradient)
        negative = negative or pair < 0
        assert np.linalg.eigvalsh(after.memory["learned"]["inverse"])[0] > 0
    assert negative
    assert tw.solve(problem, BFGS(search=Backtracking(), damped=True)).status is Status.CONVERGED


def test_a_first_trial_beyond_the_minimum_is_shortened():
    """f(1) = f(0) to the last bit, halfway between lies the minimum: a tie is no rounding."""
    solution = tw.solve(tw.problem(lambda x: (x[0] - 0.5) ** 2, x0=[0.0]), tw.SR1())
    assert solution.status is Status.CONVERGED and solution.x[0] == pytest.approx(0.5, abs=1e-4)


def test_a_trial_far_off_does_not_set_the_scale():
    """The first trial meets exp(50): a matrix learned from it would allow no step."""
    problem = tw.problem(lambda x: np.exp(50 * x[0]) / 50 - 2 * x[0] + (x[1] - x[0]) ** 2, x0=[0.0, 3.0])
    solution = tw.solve(problem, tw.SR1())
    assert solution.status is Status.CONVERGED
    np.testing.assert_allclose(solution.x, np.log(2) / 50, atol=1e-4)


def test_what_was_learned_on_a_cliff_is_forgotten_where_no_step_is_found():
    """The first step falls from e^120; with the curvature met there the next ones would be shorter than rounding."""
    problem = tw.problem(lambda x: np.exp(300 * x[0]) + (x[0] + 1) ** 2 + (x[1] - 2) ** 2, x0=[0.4, 0.0])
    solution = tw.solve(problem, tw.SR1(), tol=1e-8)
    assert solution.status is Status.CONVERGED
    np.testing.assert_allclose(solution.x, [-1.0, 2.0], atol=1e-3)


def test_a_saddle_without_slope_is_no_failure_of_the_search():
    solution = tw.solve(tw.problem(lambda x: x[0] ** 2 - x[1] ** 2 + x[1] ** 4, x0=[0.0, 0.0]), tw.SR1())
    assert solution.status is Status.NO_PROGRESS


# --- Limited memory ---------------------------------------------------------------------------------------------------


def test_with_enough_memory_limited_memory_is_bfgs_on_a_quadratic():
    problem = quadratic(np.geomspace(1e-2, 1, 10))
    limited = tw.solve(problem, LBFGS(memory=60), tol=1e-12)
    full = tw.solve(problem, BFGS(), tol=1e-12)
    assert limited.status is full.status is Status.CONVERGED
    assert np.linalg.norm(limited.x - full.x) <= 2 * minimizer(1.0, 2 * 1e-12 / 1e-2)
    assert abs(limited.cost.steps - full.cost.steps) <= 0.5 * full.cost.steps


def dense_lbfgs(gradient, pairs):
    """-C g with C as a matrix: the pairs applied one by one to the largest s'y/y'y of the last five, times I."""
    C = np.eye(gradient.size) * max((s @ y) / (y @ y) for s, y in pairs[-5:])
    for s, y in pairs:
        V = np.eye(s.size) - np.outer(y, s) / (s @ y)
        C = V.T @ C @ V + np.outer(s, s) / (s @ y)
    return -C @ gradient, np.linalg.cond(C)


@pytest.mark.parametrize("memory", [1, 2, 5, 20])
def test_directions_are_those_of_the_last_pairs_alone(memory):
    """And no more pairs than that are kept, in either layout."""
    X, y = table()
    arrays = tw.FiniteSum(X, y, "logistic", 0.01, intercept=False)
    leaves = tw.problem(lambda p: np.log(1 + np.exp(-y * (X[:, :2] @ p[0] + X[:, 2:] @ p[1]))).mean(),
                        x0=(np.zeros(2), np.zeros(3)))  # fmt: skip
    for problem in (arrays, leaves):
        found = states(LBFGS(memory=memory), problem, 8)
        pairs = []
        for before, after in zip(found, found[1:], strict=False):
            pairs.append(
                (
                    flat(after.point.x) - flat(before.point.x),
                    flat(after.point.gradient) - flat(before.point.gradient),
                )
            )
            learned = after.memory["learned"]
            kept = learned["stacked"].S if "stacked" in learned else learned["pairs"]
            assert len(kept) == min(len(pairs), memory)
            expected, condition = dense_lbfgs(flat(after.point.gradient), pairs[-memory:])
            room = len(kept) * matrices(condition, size=5) * np.linalg.norm(expected)
            assert np.linalg.norm(flat(after.direction) - expected) <= room


# --- Fixed steps: torch -----------------------------------------------------------------------------------------------

STEPS = 15
LAYOUTS = ("array", "numpy", "torch")


def logistic(x, X, y, log1p, exp):
    margins = y * (X @ x)
    return log1p(exp(-margins)).sum() / 60 + 0.05 * (x @ x)


def logistic_gradient(x):
    X, y = table()
    return -X.T @ (y / (1 + np.exp(y * (X @ x)))) / 60 + 0.1 * x


def quadratic_gradient(x):
    return np.geomspace(0.3, 3, 5) * x - 1.0


def rosenbrock_gradient(x):
    """Of the chained function sum_i 5 (x_{i+1} - x_i^2)^2 + (1 - x_i)^2, tame enough for fixed steps."""
    away = x[1:] - x[:-1] ** 2
    g = np.zeros(5)
    g[:-1] = -20 * away * x[:-1] - 2 * (1 - x[:-1])
    g[1:] += 10 * away
    return g


OBJECTIVES = {
    "logistic": (lambda x: np.logaddexp(0, -table()[1] * (table()[0] @ x)).mean() + 0.05 * x @ x, logistic_gradient),
    "quadratic": (lambda x: 0.5 * x @ (np.geomspace(0.3, 3, 5) * x) - x.sum(), quadratic_gradient),
    "rosenbrock": (lambda x: (5 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum(), rosenbrock_gradient),
}
START = np.array([0.5, -0.25, 0.75, 1.25, 0.1])


def by_torch(gradient, lr, memory, steps=STEPS):
    """Every x that torch's closure is called at, on the same gradients."""
    torch = pytest.importorskip("torch")
    x = torch.tensor(START, requires_grad=True)
    path = []

    def closure():
        path.append(x.detach().numpy().copy())
        x.grad = torch.from_numpy(gradient(path[-1]))
        return torch.tensor(0.0, dtype=torch.float64)

    torch.optim.LBFGS(
        [x],
        lr=lr,
        history_size=memory,
        line_search_fn=None,
        max_iter=steps + 1,
        max_eval=10 * steps,
        tolerance_grad=0,
        tolerance_change=0,
    ).step(closure)
    return path


def laid_out(layout):
    if layout == "array":
        return START.copy()
    leaves = (np.zeros((2, 1)), np.zeros(()), np.zeros(2))
    if layout == "torch":
        torch = pytest.importorskip("torch")
        leaves = tuple(torch.from_numpy(leaf) for leaf in leaves)
    return like(Vector(leaves, ("weight", "bias", "scale")), START)


class Place:
    """A point of an objective given by formulas, in any layout."""

    def __init__(self, x, value, gradient):
        self.x, self.value, self.gradient = x, float(value(flat(x))), like(x, gradient(flat(x)))
        self.formulas = value, gradient

    def along(self, direction):
        return Ray(self, direction)


class Ray:
    passes = 0.0

    def __init__(self, point, direction):
        self.point, self.direction = point, direction

    def at(self, t):
        return Place(self.point.x + t * self.direction, *self.point.formulas)

    def value_slope(self, t):
        place = self.at(t)
        return place.value, float(place.gradient @ self.direction)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(("lr", "memory"), [(1.0, 100), (0.5, 3), (0.5, 1)])
@pytest.mark.parametrize("name", OBJECTIVES)
def test_fixed_steps_are_torchs(name, lr, memory, layout):
    value, gradient = OBJECTIVES[name]
    lr = 0.3 if name == "rosenbrock" else lr
    theirs = by_torch(gradient, lr, memory)
    # torch leaves out pairs with s'y <= 1e-10, whatever the units; the library asks relative to |s||y|.
    kept = [(b - a) @ (gradient(b) - gradient(a)) > 1e-10 for a, b in itertools.pairwise(theirs)]
    alike = kept.index(False) + 1 if False in kept else len(theirs)
    assert alike >= 7
    method = LBFGS(memory=memory, step_size=lr)
    found = [method.init(Place(laid_out(layout), value, gradient))]
    while len(found) < alike:
        found.append(method.step(found[-1]))
        assert found[-1].failure is None
    for k, (ours, x) in enumerate(zip(found, theirs[:alike], strict=True)):
        np.testing.assert_allclose(flat(ours.point.x), x, rtol=0, atol=update_rule(max(1, k)) * np.abs(x).max())


def test_a_problem_of_the_library_takes_torchs_steps_too():
    """With the library's own derivatives and line, and torch's own derivatives."""
    torch = pytest.importorskip("torch")
    X, y = table()
    x = torch.zeros(5, dtype=torch.float64, requires_grad=True)
    X_torch, y_torch, path = torch.from_numpy(X), torch.from_numpy(y), []
    optimizer = torch.optim.LBFGS(
        [x], lr=0.5, history_size=4, max_iter=13, max_eval=100, tolerance_grad=0, tolerance_change=0
    )

    def closure():
        path.append(x.detach().numpy().copy())
        optimizer.zero_grad()
        loss = logistic(x, X_torch, y_torch, torch.log1p, torch.exp)
        loss.backward()
        return loss

    optimizer.step(closure)
    problem = tw.problem(lambda w: logistic(w, X, y, np.log1p, np.exp), x0=np.zeros(5))
    for sum_or_function in (problem, tw.FiniteSum(X, y, "logistic", 0.1, intercept=False)):
        found = states(LBFGS(memory=4, step_size=0.5), sum_or_function, 12)
        assert len(found) == len(path)
        for k, (ours, theirs) in enumerate(zip(found, path, strict=True)):
            room = update_rule(max(1, k)) * max(1.0, np.abs(theirs).max())
            np.testing.assert_allclose(ours.point.x, theirs, rtol=0, atol=room)


# --- Settings ---------------------------------------------------------------------------------------------------------

SETTINGS = [
    *METHODS,
    BFGS(search=Backtracking(), damped=True),
    DFP(search=ExactStep(1e-3)),
    LBFGS(memory=7, step_size=0.25),
]


@pytest.mark.parametrize("method", SETTINGS, ids=repr)
def test_a_method_survives_pickling_and_its_own_repr(method):
    problem = quadratic(np.geomspace(0.1, 1, 4))
    ours = states(method, problem, 4)[-1].point.x
    assert "_composed" not in repr(method)
    spelled = eval(repr(method), {k.__name__: k for k in (BFGS, DFP, LBFGS, Backtracking, ExactStep, StrongWolfe)})
    for other in (pickle.loads(pickle.dumps(method)), spelled):
        assert other == method
        assert hash(other) == hash(method)
        np.testing.assert_array_equal(states(other, problem, 4)[-1].point.x, ours)


@pytest.mark.parametrize("memory", [0, -1, 2.5, np.nan, np.inf, True, "20", None])
def test_a_memory_that_is_no_count_is_refused(memory):
    with pytest.raises(InputError, match="memory"):
        LBFGS(memory=memory)


@pytest.mark.parametrize("step_size", [0.0, -1.0, np.nan, np.inf, True, "1"])
def test_a_step_out_of_range_is_refused(step_size):
    with pytest.raises(InputError, match="step_size"):
        LBFGS(step_size=step_size)


@pytest.mark.parametrize("update", FULL)
def test_a_search_that_is_none_is_refused(update):
    with pytest.raises(InputError, match="search"):
        update(search="wolfe")


@pytest.mark.parametrize("update", FULL)
def test_a_matrix_beyond_memory_is_refused(update):
    problem = tw.problem(lambda x: (x**2).sum(), x0=np.ones(10_001))
    with pytest.raises(InputError, match=r"LBFGS\(\)"):
        update().init(problem.at(problem.start()))
