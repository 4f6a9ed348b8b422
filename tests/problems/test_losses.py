"""Each loss row: derivatives and bounds are derived from its expression and right; nothing else names a loss."""

import ast
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.special import logsumexp, softmax

import thalweg
from reference import CURVATURE, NAMES, SCALAR
from thalweg.core.errors import InputError
from thalweg.problems import LOSSES, Target, find_loss
from thalweg.problems.conjugate import conjugate
from tolerances import CURVATURE_BOUND_ABOVE_TRUTH, arithmetic, central_difference

SOURCES = Path(thalweg.__file__).parent


def sample(name, count=400, seed=0):
    rng = np.random.default_rng(seed)
    z = rng.normal(size=count) * 10.0 ** rng.uniform(-3, 1.2, size=count)
    target = LOSSES[name].target
    y = {
        Target.REAL: z + rng.normal(size=count) * 2,
        Target.SIGN: rng.choice([-1.0, 1.0], size=count),
        Target.COUNT: rng.poisson(3, size=count).astype(float),
    }[target]
    return z, y


def test_every_row_is_tested_here():
    assert set(LOSSES) == set(NAMES)


@pytest.mark.parametrize("name", SCALAR)
def test_value_and_derivatives_equal_the_formulas(name):
    z, y = sample(name)
    kernel = LOSSES[name].kernel
    value, slope = kernel.value_gradient(z, y)
    expected = SCALAR[name](z, y)
    # A hinge's value is a difference of numbers of the size of z, squared.
    size = np.maximum(1.0, np.abs(z) + np.abs(y)) ** 2
    for found, right in zip((value, slope, kernel.second(z, y)), expected, strict=True):
        assert (np.abs(found - right) <= arithmetic(operations=8) * np.maximum(np.abs(right), size)).all()
    np.testing.assert_array_equal(kernel.value(z, y), value)


def test_softmax_equals_the_formula():
    rng = np.random.default_rng(0)
    z, y, v = rng.normal(size=(50, 4)) * 5, rng.integers(0, 4, size=50), rng.normal(size=(50, 4))
    kernel = LOSSES["softmax"].kernel
    value, slope = kernel.value_gradient(z, y)
    p = softmax(z, axis=1)
    np.testing.assert_allclose(value, logsumexp(z, axis=1) - z[np.arange(50), y], atol=arithmetic(operations=50))
    np.testing.assert_allclose(slope, p - np.eye(4)[y], atol=arithmetic(operations=4))
    bent = kernel.apply_curvature(kernel.curvature(z, y), v)
    np.testing.assert_allclose(bent, p * v - p * (p * v).sum(axis=1, keepdims=True), atol=arithmetic(operations=16))


@pytest.mark.parametrize("name", SCALAR)
def test_slope_is_the_difference_quotient_away_from_kinks(name):
    z, y = sample(name)
    z = np.clip(z, -8, 8)
    if name in ("huber", "squared_hinge"):
        away = (np.abs(np.abs(z - y) - 1) > 1e-3) & (np.abs(1 - y * z) > 1e-3)
        z, y = z[away], y[away]
    kernel, h = LOSSES[name].kernel, (3 * 2.0**-53) ** (1 / 3)
    difference = (kernel.value(z + h, y) - kernel.value(z - h, y)) / (2 * h)
    scale = np.abs(kernel.value(z, y)) + np.abs(kernel.second(z, y)) + 1
    assert (np.abs(kernel.value_gradient(z, y)[1] - difference) <= central_difference() * scale).all()


@pytest.mark.parametrize("name", NAMES)
def test_curvature_bound_is_the_known_one(name):
    bounds = LOSSES[name].bounds
    assert bounds.convex is True
    assert bounds.second[0] >= 0
    top, truth = bounds.second[1], CURVATURE[name]
    if np.isinf(truth):
        assert np.isinf(top)
    else:
        assert truth <= top <= truth + CURVATURE_BOUND_ABOVE_TRUTH


@pytest.mark.parametrize("name", SCALAR)
def test_closed_conjugate_is_the_supremum(name):
    """l*(u) = sup_z u z - l(z), by a scalar maximiser that knows nothing of the row."""
    rng = np.random.default_rng(1)
    loss = LOSSES[name]
    _, y = sample(name, 25)
    z = rng.normal(size=25) * 3
    u = loss.kernel.value_gradient(z, y)[1]
    found = conjugate(loss, u, y, z)
    for i in range(25):

        def negative(t, i=i):
            return float(loss.kernel.value(np.array([t]), y[i : i + 1])[0] - u[i] * t)

        best = minimize_scalar(negative, bracket=(z[i] - 1, z[i] + 1), tol=1e-12)
        assert found[i] == pytest.approx(-best.fun, abs=1e-9 * max(1, abs(best.fun)))
    outside = {"logistic": 2.0, "huber": 1.5, "poisson": -y - 1, "squared_hinge": y}.get(name)
    if outside is not None:
        assert np.isinf(conjugate(loss, np.broadcast_to(outside, y.shape), y, z)).all()


@pytest.mark.parametrize("name", SCALAR)
def test_solved_conjugates_equal_the_closed_ones(name):
    """A user's loss has no closed conjugate: solving l'(z) = u gives the same number, never less."""
    from dataclasses import replace

    rng = np.random.default_rng(2)
    loss = LOSSES[name]
    _, y = sample(name, 200)
    z = rng.normal(size=200) * 3
    u = loss.kernel.value_gradient(z, y)[1]
    closed = conjugate(loss, u, y, z)
    for start in (z, z + 1e-3 * rng.normal(size=200), z + 30 * rng.normal(size=200)):
        solved = conjugate(replace(loss, conjugate=None), u, y, start)
        slack = arithmetic(operations=64) * (np.abs(closed) + np.abs(u) * (np.abs(z) + np.abs(y)) + 1)
        assert (solved >= closed - slack).all()
        assert (solved <= closed + slack).all()


def test_names_are_refused_with_the_list():
    with pytest.raises(InputError, match="'logit' is not known") as caught:
        find_loss("logit")
    for name in LOSSES:
        assert name in caught.value.remedy
    with pytest.raises(InputError, match="does not fit"):
        find_loss("logistic", "real")


def test_nothing_outside_the_table_names_a_loss():
    """Text in code (docstrings aside) and identifiers: a new loss touches one file."""
    offences = []
    for path in SOURCES.rglob("*.py"):
        # The parser of formulas knows what other notations call the sigmoid.
        if path.name in ("losses.py", "formula.py"):
            continue
        tree = ast.parse(path.read_text())
        documentation = {
            id(node.body[0].value)
            for node in ast.walk(tree)
            if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef))
            and node.body
            and isinstance(node.body[0], ast.Expr)
        }
        for node in ast.walk(tree):
            text = None
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documentation:
                text = node.value
            elif isinstance(node, (ast.Name, ast.Attribute)):
                text = node.id if isinstance(node, ast.Name) else node.attr
            # softmax is also an operation of the expression room, under the same standard name.
            named = {name for name in LOSSES if text == name or (text and f"'{name}'" in text)} - {"softmax"}
            offences += [f"{path.name}:{node.lineno} {name}" for name in named]
    assert not offences
