"""Derivatives by the engine on leaves, before and after they are compiled, beside formulas by hand."""

import numpy as np
import pytest

from thalweg.core.errors import InputError, UnsupportedError
from thalweg.core.vector import Vector, as_vector, flat, like
from thalweg.problems import derivatives
from thalweg.problems.derivatives import EAGER_CALLS, DerivedByEngine, WarmedUp
from tolerances import arithmetic, structured

rng = np.random.default_rng(3)
M = rng.normal(size=(3, 2))
LAYOUTS = {
    "array": as_vector(np.zeros(8)),
    "column": as_vector(np.zeros((8, 1))),
    "tuple": as_vector((np.zeros((3, 2)), np.zeros(2))),
    "mapping": as_vector({"U": np.zeros((3, 2)), "s": np.zeros(2)}),
}


def of(U, s):
    """exp(<U, M>/4) + s'U'U s / 2 + sum s^4 / 4: coupled across leaves."""
    product = U @ s
    return np.exp((U * M).sum() / 4) + (product * product).sum() / 2 + (s**4).sum() / 4


OBJECTIVES = {
    "array": lambda x: of(x[:6].reshape(3, 2), x[6:]),
    "column": lambda x: of(x[:6, 0].reshape(3, 2), x[6:, 0]),
    "tuple": lambda x: of(*x),
    "mapping": lambda x: of(x["U"], x["s"]),
}


def value_gradient_hessian(x):
    """By hand, over the entries of U and then s."""
    U, s = x[:6].reshape(3, 2), x[6:]
    e, product = np.exp((U * M).sum() / 4), U @ s
    gradient = np.concatenate([(e * M / 4 + np.outer(product, s)).ravel(), U.T @ product + s**3])
    H = np.zeros((8, 8))
    H[:6, :6] = e * np.outer(M, M) / 16 + np.kron(np.eye(3), np.outer(s, s))
    H[6:, 6:] = U.T @ U + np.diag(3 * s**2)
    for i in range(3):
        for j in range(2):
            # d/ds_k of (U s)_i s_j
            H[2 * i + j, 6:] = U[i] * s[j] + (np.arange(2) == j) * product[i]
    H[6:, :6] = H[:6, 6:].T
    return e + product @ product / 2 + (s**4).sum() / 4, gradient, H


@pytest.mark.parametrize("layout", LAYOUTS)
def test_derivatives_on_leaves_are_those_by_hand_eager_and_compiled(layout):
    derived = DerivedByEngine(OBJECTIVES[layout], LAYOUTS[layout])
    for _ in range(2 * EAGER_CALLS):
        entries, v = rng.normal(size=(2, 8))
        x = like(LAYOUTS[layout], entries)
        value, gradient, hessian = value_gradient_hessian(entries)
        scale = np.abs(hessian).max() + np.abs(gradient).max()
        close = {"rel": 0, "abs": arithmetic(operations=100) * scale}
        got, slope = derived.value_and_gradient(x)
        assert type(slope) is type(x)
        assert got == pytest.approx(value, rel=arithmetic(operations=50))
        assert flat(slope) == pytest.approx(gradient, **close)
        assert np.abs(derived.hessian(x) - hessian).max() <= close["abs"]
        assert flat(derived.hvp(x, like(x, v))) == pytest.approx(hessian @ v, rel=0, abs=4 * close["abs"])


def test_a_function_is_compiled_after_so_many_calls_whatever_the_clock_says(monkeypatch):
    asked = []

    def eager(x):
        asked.append("eager")
        return x * 2

    monkeypatch.setattr(derivatives, "compile_function", lambda f, fuse: lambda x: asked.append("compiled") or x * 2)
    warmed = WarmedUp(eager)
    for _ in range(EAGER_CALLS + 3):
        assert warmed(3.0) == 6.0
    assert asked == ["eager"] * EAGER_CALLS + ["compiled"] * 3


@pytest.mark.parametrize("error", [UnsupportedError("no"), InputError("no")])
def test_what_cannot_be_compiled_stays_eager(error, monkeypatch):
    tried = []

    def refuse(f, fuse):
        tried.append(1)

        def compiled(x):
            raise error

        return compiled

    monkeypatch.setattr(derivatives, "compile_function", refuse)
    warmed = WarmedUp(lambda x: x + 1)
    assert [warmed(float(k)) for k in range(3 * EAGER_CALLS)] == [k + 1.0 for k in range(3 * EAGER_CALLS)]
    assert tried == [1]


def test_control_flow_on_values_is_followed_before_and_after_that_call():
    derived = DerivedByEngine(lambda x: (x * x).sum() if x[0] > 0 else 3.0 * x.sum(), np.zeros(2))
    for k in range(2 * EAGER_CALLS):
        sign = 1.0 if k % 3 else -1.0
        x = np.array([sign, 2.0])
        assert derived.value_and_gradient(x)[1].tolist() == ([2.0, 4.0] if sign > 0 else [3.0, 3.0])
        assert np.array_equal(derived.hessian(x), 2.0 * np.eye(2) if sign > 0 else np.zeros((2, 2)))


X = rng.normal(size=(40, 12))
STRUCTURED = {
    "X' diag(d) X": (lambda w: np.log1p(np.exp(X @ w)).sum() + 0.1 * (w @ w), np.zeros(12)),
    "diagonal": (lambda w: np.exp(w).sum() + (w**4).sum(), np.ones(12)),
    "kronecker": (lambda U: ((M @ np.ones((2, 4)) - U @ X[:4, :3].T) ** 2).sum() + (U * U).sum(), np.zeros((3, 3))),
    "low rank": (lambda w: (w @ w) + (X[:2] @ w) @ (X[:2] @ w), np.zeros(12)),
}


@pytest.mark.parametrize("name", STRUCTURED)
def test_structured_solvers_solve_with_the_hessian(name):
    f, start = STRUCTURED[name]
    x = as_vector(start + 0.1)
    derived = DerivedByEngine(f, x)
    solve = derived.structured(x)
    assert solve is not None
    assert not solve.definite  # it is not asked
    right = rng.normal(size=x.size)
    back = derived.hessian(x) @ solve(right)
    assert back == pytest.approx(right, rel=0, abs=structured(x.size) * np.linalg.cond(derived.hessian(x)))


@pytest.mark.parametrize(
    "f",
    [lambda x: (x * x).sum() if x[0] > 0 else x.sum(), lambda x: np.exp((x[:-1] * x[1:]).prod())],
    ids=["control flow", "no structure"],
)
def test_without_structure_there_is_no_structured_solver(f):
    assert DerivedByEngine(f, np.ones(4)).structured(np.ones(4)) is None


def test_layouts_do_not_mix_up_leaves_of_equal_shape():
    x = Vector((np.array([1.0]), np.array([2.0]), np.array([3.0])), ("c", "a", "b"))
    derived = DerivedByEngine(lambda p: (p["a"] + 10 * p["b"] ** 2 + 100 * p["c"] ** 3).sum(), x)
    assert flat(derived.value_and_gradient(x)[1]).tolist() == [300.0, 1.0, 60.0]
    assert np.array_equal(derived.hessian(x), np.diag([600.0, 0.0, 20.0]))
