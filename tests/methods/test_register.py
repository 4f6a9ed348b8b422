"""The register: every method on every kind of problem, its manners, its saved runs. A new method costs no line here."""

import pickle
from dataclasses import replace

import numpy as np
import pytest

import thalweg as tw
from thalweg.core.errors import OracleError
from thalweg.core.records import Status
from thalweg.methods import REGISTER, Method
from tolerances import RESUMED

RNG = np.random.default_rng(0)
X = RNG.normal(size=(120, 4)) * [1, 2, 0.5, 1]
Y = np.where(X[:, 0] - X[:, 2] + RNG.logistic(size=120) > 0, 1.0, -1.0)
BASIS = np.linalg.qr(RNG.normal(size=(8, 8)))[0]
A = BASIS * np.geomspace(0.05, 1.0, 8) @ BASIS.T
B = RNG.normal(size=8)


def quadratic():
    return tw.Quadratic((A + A.T) / 2, b=B)


def function():
    """Strongly convex, not a quadratic; its minimum is 2, at 0."""
    return tw.problem(lambda x: np.sum(np.cosh(x)) + 0.5 * np.sum(x**2), x0=[1.0, -2.0, 0.5], minimum=3.0)


def leaves():
    start = {"w": np.array([[1.0, -1.0], [0.5, 2.0]]), "b": 1.5}
    return tw.problem(lambda p: (p["w"] ** 2).sum() + (p["b"] - p["w"].sum()) ** 2, x0=start, minimum=0.0)


def tensors():
    torch = pytest.importorskip("torch")
    start = (torch.tensor([[1.0, -1.0]], dtype=torch.float64), torch.tensor([2.0], dtype=torch.float64))
    return tw.problem(lambda p: (p[0] ** 2).sum() + ((p[1] - p[0].sum()) ** 2).sum(), x0=start, minimum=0.0)


def table():
    return tw.FiniteSum(X, Y, "logistic", 1e-1)


def least_squares():
    t = np.linspace(0, 2, 15)
    return tw.LeastSquares(lambda x: x[0] + 0.2 * np.sin(x[0]) + x[1] * t - 1 - t, x0=[0.0, 0.0], minimum=0.0)


PROBLEMS = {"quadratic": quadratic, "function": function, "leaves": leaves, "tensors": tensors, "table": table}
PROBLEMS["least squares"] = least_squares


def least(problem):
    """f* from elsewhere: closed forms, and SciPy's trust region on the table."""
    if isinstance(problem, tw.FiniteSum):
        from scipy.optimize import minimize

        def value(x):
            return np.mean(np.logaddexp(0, -Y * (X @ x[:4] + x[4]))) + 0.05 * x[:4] @ x[:4]

        return float(minimize(value, np.zeros(5), tol=1e-12).fun)
    return problem.minimum


def ready(name):
    """The method; those whose usual step suits networks, not problems of size one, get a longer one."""
    method = REGISTER[name]
    usual = getattr(method, "usual_step", None)
    return method if usual is None or name in ("sgd", "svrg", "nag-gs") else replace(method, step_size=50 * usual)


def run(name, problem, **options):
    try:
        return tw.solve(problem, ready(name), **{"max_steps": 1000, "tol": 1e-6, **options})
    except OracleError as error:
        pytest.skip(f"by its own declaration: {error}")


@pytest.mark.parametrize("kind", PROBLEMS)
@pytest.mark.parametrize("name", REGISTER)
def test_every_method_descends_on_every_problem(name, kind):
    problem = PROBLEMS[kind]()
    start = problem.at(problem.start()).value
    first = start - least(problem)
    # A constant step is held to its target: a stochastic method is asked for a tenth of the way alone.
    target = 0.1 * first if REGISTER[name].noisy else 1e-6
    solution = run(name, problem, tol=target)
    gap = solution.value - least(problem)
    assert solution.status in (
        Status.CONVERGED, Status.PRECISION_FLOOR, Status.BUDGET_SPENT, Status.NOISE_FLOOR, Status.NO_PROGRESS
    ), solution  # fmt: skip
    assert -1e-9 * abs(start) <= gap <= 0.2 * first, solution
    if solution.status is Status.CONVERGED:
        assert gap <= 2 * target
    assert solution.method == REGISTER[name].name


@pytest.mark.parametrize("name", REGISTER)
def test_manners(name):
    method = REGISTER[name]
    assert isinstance(method, Method)
    assert method.name == name
    assert method.reference and any(character.isdigit() for character in method.reference)
    assert method.needs
    assert pickle.loads(pickle.dumps(method)) == method
    shown = repr(method)
    assert shown.startswith(type(method).__name__ + "(") and shown.endswith(")")
    assert len(shown) < 200
    assert type(method).__doc__ and len(type(method).__doc__) > 80


@pytest.mark.parametrize("kind", ["quadratic", "leaves", "table", "least squares"])
@pytest.mark.parametrize("name", REGISTER)
def test_runs_repeat_are_picklable_and_can_be_resumed(name, kind, tmp_path):
    file = tmp_path / "run.npz"
    whole = run(name, PROBLEMS[kind](), max_steps=8, tol=0.0)
    again = run(name, PROBLEMS[kind](), max_steps=8, tol=0.0)
    np.testing.assert_array_equal(whole.trace["value"], again.trace["value"])
    restored = pickle.loads(pickle.dumps(whole))
    assert restored.value == whole.value and restored.status is whole.status
    first = run(name, PROBLEMS[kind](), max_steps=4, tol=0.0, save=file)
    if first.status is not Status.BUDGET_SPENT:
        assert first.cost.steps <= 4  # it had ended by itself: nothing is left to resume
        return
    second = run(name, PROBLEMS[kind](), max_steps=8, tol=0.0, resume=file)
    count = min(len(second.trace), len(whole.trace))
    assert count > len(first.trace) or len(whole.trace) == len(first.trace)
    scale = abs(whole.trace["value"]).max()
    np.testing.assert_allclose(
        second.trace["value"][:count], whole.trace["value"][:count], rtol=RESUMED, atol=RESUMED * scale
    )
