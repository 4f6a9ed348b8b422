"""Symbols, their sizes and attributes, and the derivatives that expressions of them have as methods."""

import re

import numpy as np
import pytest

import thalweg as tw
from thalweg.core.errors import InputError, UnsupportedError
from thalweg.expr import evaluate, parse, symbol
from thalweg.expr.terms import same
from tolerances import central_difference, matrices

RNG = np.random.default_rng(5)


def test_shapes_and_defaults():
    assert tw.scalar("t").shape == ()
    assert tw.vector("x").shape == ("n",)
    assert tw.vector("x", 3).shape == tw.vector("x", n=3).shape == (3,)
    assert tw.matrix("A").shape == ("m", "n")
    assert tw.matrix("A", 2, "k").shape == (2, "k")
    assert tw.matrix("A", n=4).shape == ("m", 4)
    assert tw.matrix("A", symmetric=True).shape == ("n", "n")
    assert tw.matrix("A", "k", orthogonal=True).shape == tw.matrix("A", n="k", diagonal=True).shape == ("k", "k")
    assert tw.matrix("A", nonnegative=True).shape == ("m", "n")
    assert tw.tensor("T", ("n", 3, "k")).shape == ("n", 3, "k")


def test_the_same_symbol_is_the_same_node():
    assert tw.vector("x") is tw.vector("x", "n") is symbol("x", ("n",))
    assert tw.matrix("A", symmetric=True) is not tw.matrix("A", "n", "n")
    assert tw.matrix("A", positive_definite=True) is tw.matrix("A", symmetric=True, positive_definite=True)


def test_vectors_and_square_matrices_fit():
    x, A = tw.vector("x"), tw.matrix("A", symmetric=True)
    assert (x @ A @ x).shape == ()
    assert (tw.matrix("B") @ x).shape == ("m",)


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: tw.matrix("A", 2, 3, symmetric=True), "2 rows and 3 columns"),
        (lambda: tw.matrix("A", "m", "n", positive_definite=True), "symmetric and positive definite"),
        (lambda: tw.matrix("A", 0), "size 0"),
        (lambda: tw.vector("x", -1), "size -1"),
        (lambda: tw.vector("x", 2.5), "size 2.5"),
        (lambda: tw.vector("x", True), "size True"),
        (lambda: tw.vector("x", "2n"), "size '2n'"),
        (lambda: tw.vector("n"), "its own name"),
        (lambda: tw.tensor("T", "n"), "is one size"),
        (lambda: tw.scalar("2x"), "identifier"),
        (lambda: tw.matrix("A") @ tw.vector("x", "k"), "(m, n)"),
        (lambda: tw.vector("x") + tw.vector("y", "m"), "(n,) and (m,)"),
    ],
)
def test_what_cannot_be(make, words):
    with pytest.raises(InputError, match=re.escape(words)):
        make()


@pytest.mark.parametrize(
    "text, wrt, first, second, attributes",
    [
        ("x'*A*x", "x", "(A+A')*x", "A+A'", {}),
        ("x'*A*x", "x", "2*A*x", "2*A", {"A": "symmetric"}),
        ("norm2(A*x-b)^2", "x", "2*A'*(A*x-b)", "2*A'*A", {}),
        ("log(x'*x)", "x", "2*x/(x'*x)", "2*eye(n)/(x'*x)-4*x*x'/(x'*x)^2", {}),
        ("tr(X'*A*X*B)", "X", "A*X*B+A'*X*B'", "kron(A,B')+kron(A',B)", {}),
        ("t^3", "t", "3*t^2", "6*t", {}),
        ("sum(x)", "x", "vector(1,n)", "matrix(0,n,n)", {}),
    ],
)
def test_derivatives_of_formulas(text, wrt, first, second, attributes):
    parsed = parse(text, **attributes)
    known = parsed.symbols
    gradient, hessian = parsed.node.gradient(known[wrt]), parsed.node.hessian(known[wrt])
    assert same(gradient, parse(first, known).node)
    assert same(hessian, parse(second, known).node)
    assert gradient.shape == known[wrt].shape
    assert hessian.shape == known[wrt].shape * 2
    assert same(hessian, gradient.jacobian(known[wrt]))


def test_the_jacobian_has_the_axes_of_the_function_first():
    A, x = tw.matrix("A", 3, 2), tw.vector("x", 2)
    node = tw.tanh(A @ x)
    values = {A: RNG.normal(size=(3, 2)), x: RNG.normal(size=2)}
    slope = 1 - np.tanh(values[A] @ values[x]) ** 2
    np.testing.assert_allclose(
        evaluate(node.jacobian(x), values), slope[:, None] * values[A], rtol=matrices(size=3), atol=matrices(size=3)
    )
    by_matrix = evaluate(node.jacobian(A), values)
    assert by_matrix.shape == (3, 3, 2)
    expected = np.einsum("i,ij,k->ijk", slope, np.eye(3), values[x])
    np.testing.assert_allclose(by_matrix, expected, rtol=matrices(size=3), atol=matrices(size=3))
    twice = evaluate(node.hessian(x), values)
    step = 1e-5
    for k in range(2):
        ahead, behind = ({A: values[A], x: values[x] + s * step * np.eye(2)[k]} for s in (1, -1))
        difference = (evaluate(node.jacobian(x), ahead) - evaluate(node.jacobian(x), behind)) / (2 * step)
        np.testing.assert_allclose(twice[:, :, k], difference, atol=10 * central_difference())


def test_a_symbol_that_is_not_there_has_the_derivative_0():
    x, y = tw.vector("x"), tw.vector("y", "m")
    assert evaluate((x @ x).gradient(y), {x: np.ones(2), y: np.ones(3)}).tolist() == [0, 0, 0]
    assert evaluate(x.jacobian(y), {x: np.ones(2), y: np.ones(3)}).tolist() == [[0, 0, 0], [0, 0, 0]]


def test_wrong_uses_of_derivatives():
    x, A = tw.vector("x"), tw.matrix("A")
    for call, words in (
        (lambda: (A @ x).gradient(x), "use jacobian"),
        (lambda: (x @ x).gradient("x"), "give a symbol"),
        (lambda: (x @ x).hessian(x @ x), "give a symbol"),
        (lambda: tw.expr.variable(np.ones(3)).sum().gradient(x), "thalweg.grad"),
    ):
        with pytest.raises(InputError, match=words):
            call()
    with pytest.raises(UnsupportedError, match="linear map"):
        tw.numpy.cumsum(tw.vector("x", 3)).jacobian(tw.vector("x", 3))
