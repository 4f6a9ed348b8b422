"""Taylor models beside series written by hand, and errors beside the true ones on a grid."""

import math

import numpy as np
import pytest

import thalweg.expr as ex
from thalweg.core.errors import InputError
from thalweg.expr.taylor import taylor
from thalweg.expr.terms import same
from tolerances import arithmetic

x = ex.symbol("x")


@pytest.mark.parametrize(
    ("function", "order", "expected"),
    [
        (np.exp, 1, 1 + x),
        (np.exp, 2, 1 + x + x * x / 2),
        (np.sin, 2, x),
        (np.cos, 2, 1 - x * x / 2),
        (lambda v: 1 / (1 - v), 2, 1 + x + x * x),
        (lambda v: 3 * v * v - v + 2, 2, 2 - x + 3 * x * x),
    ],
)
def test_series_at_zero(function, order, expected):
    assert same(taylor(function, 0.0, order).node, expected)


def test_e_to_the_x_at_zero_is_evaluated():
    assert taylor(np.exp, 0.0, 1)(0.5) == 1.5
    assert taylor(np.exp, 0.0, 2)(0.5) == 1.625


def test_at_another_point():
    model = taylor(np.log, 2.0)
    for v in (1.5, 2.0, 3.0):
        assert model(v) == pytest.approx(math.log(2) + (v - 2) / 2 - (v - 2) ** 2 / 8, rel=arithmetic(operations=8))


def test_a_function_of_a_vector_with_named_sizes():
    z = ex.symbol("z", ("n",))
    model = taylor(ex.logsumexp(z), np.array([0.0, 1.0, -1.0]), order=2)
    at = np.array([0.0, 1.0, -1.0])
    p = np.exp(at) / np.exp(at).sum()
    step = np.array([0.1, -0.2, 0.3])
    by_hand = np.log(np.exp(at).sum()) + p @ step + step @ (np.diag(p) - np.outer(p, p)) @ step / 2
    assert model(at + step) == pytest.approx(by_hand, rel=arithmetic(operations=20))


def test_products_with_named_sizes():
    z = ex.symbol("z", ("n",))
    model = taylor((z @ z) ** 2 + ex.mean(z), np.array([1.0, 2.0]), order=1)
    assert model(np.array([1.0, 3.0])) == pytest.approx(26.5 + 20 * 2 + 0.5, rel=arithmetic(operations=20))


def test_a_quadratic_is_its_own_model():
    A = np.array([[2.0, 1.0], [0.0, 3.0]])
    model = taylor(lambda v: v @ A @ v + v[0], np.array([1.0, -1.0]))
    v = np.array([0.3, 4.0])
    assert model(v) == pytest.approx(v @ A @ v + v[0], rel=arithmetic(operations=20))


@pytest.mark.parametrize(
    ("function", "at", "radius"),
    [
        (np.exp, 0.0, 1.0),
        (np.sin, 1.0, 2.0),
        (np.tanh, 0.5, 1.0),
        (np.log, 2.0, 1.0),
        (lambda v: 1 / (1 + v * v), 0.0, 0.5),
    ],
)
@pytest.mark.parametrize("order", [1, 2])
def test_a_proven_error_holds_and_is_not_far_above_lagrange(function, at, radius, order):
    model = taylor(function, at, order)
    error = model.error(radius)
    grid = np.linspace(at - radius, at + radius, 401)
    true = max(abs(function(v) - model(v)) for v in grid)
    assert error.proven
    assert true <= error.bound
    assert error.bound <= 30 * true
    assert "proven" in error.how


def test_the_classic_remainder_of_e_to_the_x():
    bound = taylor(np.exp, 0.0, 2).error(1.0).bound
    assert math.e / 6 <= bound <= 1.02 * math.e / 6


def test_a_kink_within_reach_is_measured_and_says_so():
    model = taylor(np.abs, 0.5, 1)
    assert model.error(0.25).proven
    far = model.error(1.0)
    assert not far.proven
    assert "measured" in far.how
    assert 0.5 < far.bound <= 1.0


def test_several_numbers_are_measured():
    error = taylor(lambda v: np.sum(np.exp(v)), np.zeros(3)).error(0.1)
    assert not error.proven
    assert 0 < error.bound <= 3 * math.exp(0.1) * 0.1**3 / 6


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: taylor(np.exp, 0.0, 3), "order=3"),
        (lambda: taylor(x * ex.symbol("y"), 0.0), "wrt"),
        (lambda: taylor(x * ex.symbol("y"), 0.0, wrt="x"), "also has y"),
        (lambda: taylor(np.log, 0.0), "not finite"),
        (lambda: taylor(np.exp, float("nan")), "finite"),
        (lambda: taylor(ex.symbol("z", ("n",)), 1.0), "shape"),
        (lambda: taylor(np.exp, 0.0).error(-1.0), "radius"),
    ],
)
def test_what_cannot_be_is_named(call, words):
    with pytest.raises(InputError, match=words):
        call()
