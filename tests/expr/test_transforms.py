"""Derivatives of plain functions: right values at any depth of nesting, and nothing lost, shared or left behind."""

import threading
import weakref

import numpy as np
import pytest
import torch

from thalweg.core.errors import InputError, UnsupportedError
from thalweg.expr import call as calls
from thalweg.expr import constant, evaluate, symbol, trace, where
from thalweg.expr.node import Node
from thalweg.expr.transforms import (
    elementwise_grad,
    grad,
    hvp,
    jvp,
    make_jvp,
    make_vjp,
    value_and_grad,
    vjp,
)
from tolerances import DIFFERENCE_OF_GRADIENTS, arithmetic

X = np.array([0.3, -1.2, 2.0])
A = np.array([[1.0, -2.0, 0.5], [0.3, 0.7, -1.1]])


def close(got, expected, operations=20):
    assert not isinstance(got, Node)
    assert np.shape(got) == np.shape(expected)
    np.testing.assert_allclose(got, expected, rtol=arithmetic(operations=operations), atol=arithmetic())


def loss(x):
    return np.sum(np.tanh(A @ x) ** 2) + x[0] * np.exp(-x[1])


def torch_loss(x):
    return torch.sum(torch.tanh(torch.tensor(A) @ x) ** 2) + x[0] * torch.exp(-x[1])


def test_gradient_equals_torch():
    close(grad(loss)(X), torch.func.grad(torch_loss)(torch.tensor(X)).numpy())


def test_gradient_equals_central_differences():
    h = 6e-6
    for i, e in enumerate(np.eye(3)):
        quotient = (loss(X + h * e) - loss(X - h * e)) / (2 * h)
        assert abs(grad(loss)(X)[i] - quotient) <= DIFFERENCE_OF_GRADIENTS


def test_value_and_gradient_come_together():
    value, gradient = value_and_grad(loss)(X)
    close(value, loss(X))
    close(gradient, grad(loss)(X))


def test_numbers_give_python_numbers():
    value, slope = value_and_grad(lambda x: np.sin(x) * x)(0.7)
    close(slope, np.cos(0.7) * 0.7 + np.sin(0.7))
    assert type(slope) is float and type(value) is float
    assert grad(lambda x: x * x)(3) == 6.0


def test_elementwise_derivative():
    close(elementwise_grad(np.sin)(X), np.cos(X))
    close(elementwise_grad(lambda x, y: x * y**2, 1)(X, X), 2 * X * X)
    close(elementwise_grad(elementwise_grad(np.sin))(X), -np.sin(X))
    assert elementwise_grad(np.exp)(1.0) == np.exp(1.0)


def test_vjp_and_jvp_are_transposes_and_equal_torch():
    u, v = np.array([0.4, -0.9]), np.array([1.0, 2.0, -0.5])

    def f(x):
        return np.sin(A @ x) * x[1]

    def g(x):
        return torch.sin(torch.tensor(A) @ x) * x[1]

    value, pull = vjp(f, X)
    same, pushed = jvp(f, (X,), (v,))
    close(value, f(X))
    close(same, f(X))
    (pulled,) = pull(u)
    close(pulled, torch.func.vjp(g, torch.tensor(X))[1](torch.tensor(u))[0].numpy())
    close(pushed, torch.func.jvp(g, (torch.tensor(X),), (torch.tensor(v),))[1].numpy())
    close(u @ pushed, pulled @ v)
    made, made_value = make_vjp(f)(X)
    close(made(u), pulled)
    close(made_value, value)
    close(make_jvp(f)(X)(v)[1], pushed)


def test_pull_can_be_called_again():
    _, pull = vjp(lambda x, y: x * y, X, 2 * X)
    first = pull(np.ones(3))
    second = pull(2 * np.ones(3))
    close(first[0], 2 * X)
    close(second[1], 2 * X)


def test_make_jvp_of_several_arguments_takes_a_tuple():
    value, tangent = make_jvp(lambda x, y: x * y, (0, 1))(X, 2 * X)((np.ones(3), X))
    close(value, 2 * X * X)
    close(tangent, 2 * X + X * X)


def test_hessian_vector_product():
    v = np.array([1.0, -2.0, 0.5])
    expected = torch.func.hessian(torch_loss)(torch.tensor(X)).numpy() @ v
    close(hvp(loss)(X, v), expected)
    close(hvp(lambda a, x: a * loss(x), 1)(3.0, X, v), 3 * expected)
    close(hvp(np.sum)(X, v), np.zeros(3))
    close(hvp(lambda x: np.sum(-x))(X, v), np.zeros(3))
    assert hvp(lambda x: x**3)(2.0, 1.0) == 12.0


def product(x, y, z):
    return np.sum(x * y**2 * z**3)


@pytest.mark.parametrize("argnums", [0, 1, 2, -1, np.int64(1), (0, 2), (2, 0), (-1, 0), [1]])
def test_argument_numbers(argnums):
    x, y, z = X, X + 1, X - 2
    all_three = (y**2 * z**3, 2 * x * y * z**3, 3 * x * y**2 * z**2)
    got = grad(product, argnums)(x, y, z)
    if isinstance(argnums, (int, np.integer)):
        close(got, all_three[argnums])
    else:
        assert isinstance(got, tuple)
        for g, i in zip(got, argnums, strict=True):
            close(g, all_three[i])


@pytest.mark.parametrize(
    ("argnums", "message"),
    [(3, "use 0 to 2"), (-4, "use 0 to 2"), ((0, 3), "use 0 to 2"), ((0, 0), "twice"), ((0, -3), "twice"),
     (True, "whole number"), ("x", "whole number"), (1.0, "whole number"), ((0, 1.5), "whole number")],
)  # fmt: skip
def test_argument_numbers_that_make_no_sense(argnums, message):
    with pytest.raises(InputError, match=message):
        grad(product, argnums)(X, X, X)


def test_auxiliary_results_are_plain():
    def f(x):
        y = np.exp(x)
        return np.sum(y), {"y": y, "both": [y, (2.0 * y, "text")], "x": x}

    gradient, aux = grad(f, has_aux=True)(X)
    close(gradient, np.exp(X))
    close(aux["y"], np.exp(X))
    close(aux["both"][1][0], 2 * np.exp(X))
    assert aux["both"][1][1] == "text"
    (value, again), same = value_and_grad(f, has_aux=True)(X)
    close(value, np.sum(np.exp(X)))
    close(again["y"], aux["y"])
    close(same, gradient)
    aux["x"][:] = 0
    assert X[0] == 0.3
    with pytest.raises(InputError, match="has_aux"):
        grad(np.sum, has_aux=True)(X)


def test_auxiliary_results_keep_what_an_outer_derivative_needs():
    def outer(x):
        _, aux = grad(lambda y: (y * y, x * y), has_aux=True)(2.0)
        return aux

    assert grad(outer)(3.0) == 2.0


def test_keywords_pass_through():
    close(grad(lambda x, *, power, scale=1.0: np.sum(scale * x**power))(X, power=2, scale=3.0), 6 * X)
    close(grad(lambda x: grad(lambda y, *, k: np.sum(k * y))(x, k=x).sum())(X), np.ones(3))


# Confusion of nested levels. Each has been got wrong by a published system.
NESTED = {
    "sum": (lambda x: x * grad(lambda y: x + y)(x), lambda x: 1.0),
    "product": (lambda x: x * grad(lambda y: x * y)(x), lambda x: 2 * x),
    "product at a number": (lambda x: x * grad(lambda y: x * y)(2.0), lambda x: 2 * x),
    "outer alone": (lambda x: x * grad(lambda y: x * x)(x), lambda x: 0.0),
    "inner alone": (lambda x: x * grad(lambda y: y * y)(2.0), lambda x: 4.0),
    "the argument of the inner": (lambda x: grad(lambda y: y**3)(x * x), lambda x: 12 * x**3),
    "three deep": (lambda x: grad(lambda y: x * grad(lambda z: x * y * z)(y))(x), lambda x: 2 * x),
    "three deep at numbers": (lambda x: grad(lambda y: grad(lambda z: (x + y + z) ** 3)(1.0))(2.0),
                              lambda x: 6.0),
    "forward in reverse": (lambda x: x * jvp(lambda y: x * y, (x,), (1.0,))[1], lambda x: 2 * x),
    "forward along the outer": (lambda x: jvp(lambda y: y * y, (3.0,), (x,))[1], lambda x: 6.0),
    "pull with the outer": (lambda x: vjp(lambda y: y * y, 3.0)[1](x)[0], lambda x: 6.0),
    "same function twice": (lambda x: grad(np.sin)(x) + grad(grad(np.sin))(x), lambda x: -np.sin(x) - np.cos(x)),
    "inner value": (lambda x: (lambda v, g: v * g)(*value_and_grad(lambda y: x * y**2)(x)), lambda x: 10 * x**4),
    "hvp": (lambda x: hvp(lambda y: x * y**3)(x, x), lambda x: 18 * x**2),
}  # fmt: skip


@pytest.mark.parametrize("name", NESTED)
def test_levels_are_not_confused(name):
    f, derivative = NESTED[name]
    x = 1.3
    close(grad(f)(x), derivative(x))
    close(jvp(f, (x,), (1.0,))[1], derivative(x))
    s = symbol("s")
    close(evaluate(trace(grad(f), s=s), {s: np.float64(x)}), derivative(x))
    close(evaluate(trace(lambda s: grad(f)(s), s=s), {s: np.float64(x)}), derivative(x))


@pytest.mark.parametrize("name", NESTED)
def test_levels_of_arrays_are_not_confused(name):
    """Elementwise, along an array: what number levels hide, broadcasting and in-place sums show."""
    f, derivative = NESTED[name]
    expected = np.array([derivative(x) for x in X])
    slopes = np.array([grad(f)(x) for x in X])
    np.testing.assert_allclose(slopes, expected, rtol=arithmetic(operations=20))


def test_function_of_a_function_is_refused_and_not_confused():
    """D(lambda u: lambda f: lambda x: f(x + u)) is the example of Manzyuk and others; closures are no arrays here."""
    with pytest.raises(InputError, match="returned function"):
        grad(lambda u: lambda f: lambda x: f(x + u))(0.0)


def test_derivatives_of_high_order():
    f = np.sin
    for expected in (np.cos, lambda x: -np.sin(x), lambda x: -np.cos(x), np.sin, np.cos):
        f = grad(f)
        close(f(0.7), expected(0.7))
    third = grad(lambda x: np.sum(grad(lambda y: np.sum(grad(lambda z: np.sum(z**4))(y) ** 2))(x)))
    close(third(X), 16 * 30 * X**4)


def test_mixed_modes_at_second_order():
    f = lambda x: np.exp(2 * x) * x  # noqa: E731
    second = 4 * np.exp(2 * 0.4) * (0.4 + 1)
    forward = lambda g: lambda x: jvp(g, (x,), (1.0,))[1]  # noqa: E731
    for outer in (grad, forward):
        for inner in (grad, forward):
            close(outer(inner(f))(0.4), second)


def test_closed_over_outer_arrays():
    def outer(w):
        inner = grad(lambda b: np.sum((A @ w + b) ** 2))(np.zeros(2))
        return np.sum(inner**2)

    close(grad(outer)(X), 8 * A.T @ (A @ X))


def test_gradient_at_a_constant_node():
    """A constant among nodes is no outer variable, and must not be folded away."""
    close(grad(lambda x: grad(lambda y: (y + 1) ** 2)(constant(2.0)) * x)(2.0), 6.0)
    close(grad(lambda x: grad(lambda y: (y + x) ** 2)(grad(lambda z: 3.0)(x)))(2.0), 2.0)


def test_inner_gradients_that_are_constant():
    close(grad(lambda x: np.sum(grad(lambda y: np.sum(-y))(x) ** 2))(A), np.zeros((2, 3)))
    close(grad(lambda x: np.sum(x * grad(lambda y: np.sum(-y))(x) ** 2))(A), np.ones((2, 3)))
    close(grad(lambda x: np.sum(x * (grad(lambda y: 3.0)(x) + 1)))(A), np.ones((2, 3)))


def test_long_history_is_not_walked_by_inner_derivatives():
    """A simulation takes a gradient at every step: each walks its own graph, not all that came before."""
    visited = []

    def energy(p):
        return 0.5 * np.sum(p**2)

    def simulate(p):
        for _ in range(30):
            p = p - 0.1 * grad(energy)(p)
        return np.sum(p)

    from thalweg.expr import reverse

    original = reverse._between

    def counted(*args):
        nodes = original(*args)
        visited.append(len(nodes))
        return nodes

    reverse._between = counted
    try:
        close(grad(simulate)(X), 0.9**30 * np.ones(3), operations=100)
    finally:
        reverse._between = original
    assert max(visited[:-1]) <= 10


@pytest.mark.parametrize(
    "f",
    [lambda x: x, lambda x: np.reshape(x, (3, 2)), lambda x: x.T, lambda x: x[:1], lambda x: A, lambda x: A[0],
     lambda x: constant(A)],
    ids=["itself", "reshaped", "transposed", "sliced", "an outer array", "a view of one", "a constant"],
)  # fmt: skip
def test_results_share_memory_with_nothing(f):
    x, before = A + 1, A.copy()
    kept = x.copy()
    value, pull = vjp(f, x)
    value[...] = 7.0
    seed = np.ones(value.shape)
    (pulled,) = pull(seed)
    pulled[...] = 7.0
    assert (seed == 1).all()
    direction = np.ones((2, 3))
    value, tangent = jvp(f, (x,), (direction,))
    value[...] = 8.0
    tangent[...] = 8.0
    assert (direction == 1).all()
    np.testing.assert_array_equal(x, kept)
    np.testing.assert_array_equal(A, before)


def test_gradients_share_memory_with_nothing():
    a, b = grad(lambda x, y: np.sum(x + y), (0, 1))(X, X)
    a[...] = 5.0
    assert (b == 1).all()
    slopes = elementwise_grad(lambda x: x)(X)
    slopes[...] = 5.0
    assert X[0] == 0.3
    same = X.copy()
    a, b = grad(lambda x, y: np.sum(x * y), (0, 1))(same, same)
    a[...] = 5.0
    close(b, X)
    close(same, X)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("shape", [(), (3,), (2, 1, 3)])
def test_no_path_gives_zeros_of_shape_and_dtype(dtype, shape):
    x = np.ones(shape, dtype=dtype)
    for f in (lambda x, y: y.sum(), lambda x, y: 3.0, lambda x, y: np.sum(np.sign(x))):
        zero = grad(f)(x, X)
        assert np.shape(zero) == shape and zero.dtype == dtype and not zero.any()
        assert not np.any(jvp(f, (x, X), (x, 0 * X))[1])
    inner = grad(lambda z: np.sum(grad(lambda x: 3.0)(z)))(x)
    assert np.shape(inner) == shape and not inner.any()


@pytest.mark.parametrize(
    "f",
    [lambda x: np.sum(x * x), lambda x: np.sum(np.tanh(x)) * 2.0, lambda x: np.mean(x**2), lambda x: x[0] * x[1],
     lambda x: np.max(x), lambda x: np.sum(A.astype(np.float32) @ x), lambda x: np.sum(A @ x), lambda x: -x[0],
     lambda x: np.sum(where(x > 0, x, 0.0)), lambda x: np.sum(x)],
)  # fmt: skip
def test_float32_stays_float32(f):
    x = X.astype(np.float32)
    assert grad(f)(x).dtype == np.float32
    assert hvp(f)(x, x).dtype == np.float32
    assert grad(lambda y: np.sum(grad(f)(y) ** 2))(x).dtype == np.float32


def test_whole_numbers_and_containers_are_refused():
    for x, message in (
        (np.arange(3), "dtype int64.*astype"),
        (np.array([True]), "bool"),
        (True, "bool"),
        (np.ones(2) + 1j, "complex"),
        ([1.0, 2.0], "is a list"),
        ({"w": X}, "is a dict"),
        ((X, X), "is a tuple"),
        ("x", "is a str"),
        (None, "is a NoneType"),
    ):
        with pytest.raises(InputError, match=f"argument 0 .*{message}"):
            grad(np.sum)(x)


def test_results_that_are_no_number_are_refused():
    with pytest.raises(InputError, match=r"shape \(3,\).*elementwise_grad"):
        grad(np.sin)(X)
    with pytest.raises(InputError, match="returned list"):
        grad(lambda x: [x])(1.0)
    with pytest.raises(InputError, match="returned NoneType"):
        grad(lambda x: None)(1.0)


def test_products_of_wrong_shape_are_refused():
    _, pull = vjp(np.sin, X)
    with pytest.raises(InputError, match=r"cotangent of shape \(2,\).*\(3,\)"):
        pull(np.ones(2))
    with pytest.raises(InputError, match="is a list"):
        pull([1.0, 1.0, 1.0])
    with pytest.raises(InputError, match=r"direction of shape \(2,\)"):
        jvp(np.sin, (X,), (np.ones(2),))
    with pytest.raises(InputError, match="2 primals and 1 tangents"):
        jvp(np.multiply, (X, X), (X,))
    with pytest.raises(InputError, match="call it with"):
        hvp(loss)(X)
    with pytest.raises(InputError, match="one argument number"):
        hvp(loss, (0,))


def test_python_control_flow_eagerly():
    def f(x):
        total = x
        while total < 20.0:
            total = total * x if total > 4 else total + x
        return total if total > 0 else -total

    # 1.5: 3, 4.5, then times 1.5 four times: 3 x * x**4.
    close(grad(f)(1.5), 15 * 1.5**4)

    def g(x):
        return sum(v**2 if v > 0 else v**3 for v in x)

    close(grad(g)(X), np.where(X > 0, 2 * X, 3 * X**2))


def test_control_flow_while_tracing_is_explained():
    with pytest.raises(UnsupportedError, match="where"):
        trace(grad(lambda x: x if x > 0 else -x), x=())


def test_threads_differentiate_at_once():
    barrier = threading.Barrier(2)
    results = {}

    def work(k):
        def f(x):
            barrier.wait()
            inner = grad(lambda y: k * x * y**2)(x)
            barrier.wait()
            return inner * x

        results[k] = [grad(f)(1.5) for _ in range(5)]

    threads = [threading.Thread(target=work, args=(k,)) for k in (1.0, 2.0)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert results == {k: [6 * k * 1.5**2] * 5 for k in (1.0, 2.0)}


def test_a_pull_serves_two_threads():
    _, pull = vjp(lambda x: np.log(x) * x, X + 2)
    results = [None, None]

    def work(i):
        for _ in range(50):
            results[i] = pull(np.full(3, i + 1.0))[0]

    threads = [threading.Thread(target=work, args=(i,)) for i in range(2)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    close(results[0], np.log(X + 2) + 1)
    close(results[1], 2 * (np.log(X + 2) + 1))


def test_an_exception_leaves_nothing_behind():
    def f(x):
        grad(lambda y: y * x)(2.0)
        raise RuntimeError("mine")

    for _ in range(2):
        with pytest.raises(RuntimeError, match="mine"):
            grad(lambda x: grad(f)(x))(1.0)
    assert calls._state.depth == 0
    with pytest.warns(RuntimeWarning):
        np.float64(1.0) / np.float64(0.0)
    assert grad(lambda x: x * x)(3.0) == 6.0


def test_nothing_keeps_the_graph_alive():
    held = []

    def f(x):
        y = np.exp(x)
        held.append(weakref.ref(y))
        return np.sum(y)

    grad(f)(X)
    jvp(f, (X,), (X,))
    hvp(f)(X, X)
    assert all(ref() is None for ref in held)


@pytest.mark.parametrize(
    ("f", "x"),
    [(lambda x: np.sqrt(np.sum(x**2)), np.zeros(3)), (lambda x: np.sum(where(x > 0, np.log(x), x)), X),
     (lambda x: np.sum(where(x > 0, np.sqrt(x), 0.0)), np.array([0.0, 1.0])), (lambda x: np.max(x), np.ones(2))],
    ids=["norm at 0", "untaken log", "untaken sqrt", "tie"],
)  # fmt: skip
def test_derivatives_stay_finite_where_the_textbook_has_none(f, x):
    assert np.isfinite(grad(f)(x)).all()
    assert np.isfinite(jvp(f, (x,), (np.ones_like(x),))[1])


def test_names_and_texts_follow_the_function():
    assert grad(loss).__name__ == "grad(loss)"
    assert hvp(product, 1).__name__ == "hvp(product)"


def test_lazily_the_transforms_give_expressions():
    x = symbol("x", (3,))
    v = symbol("v", (3,))
    at = {x: X, v: 2 * X}
    close(evaluate(trace(grad(loss), x=x), at), grad(loss)(X))
    close(evaluate(hvp(loss)(x, v), at), hvp(loss)(X, 2 * X))
    value, tangent = jvp(np.sin, (x,), (v,))
    close(evaluate(tangent, at), np.cos(X) * 2 * X)
    close(evaluate(vjp(np.sin, x)[1](v)[0], at), np.cos(X) * 2 * X)
    close(evaluate(elementwise_grad(np.sin)(x), at), np.cos(X))
    n = symbol("m", ("n",))
    close(evaluate(grad(lambda z: np.sum(z**3))(n), {n: X}), 3 * X**2)


@pytest.mark.parametrize(
    ("derivative", "factor"),
    [(lambda f: grad(f)(0.5), 1.0), (lambda f: jvp(f, (0.5,), (1.0,))[1], 1.0), (lambda f: hvp(f)(0.5, 1.0), 2.0),
     (lambda f: jvp(grad(f), (0.5,), (1.0,))[1], 2.0)],
    ids=["reverse", "forward", "second order", "forward over reverse"],
)  # fmt: skip
def test_chains_of_any_length(derivative, factor):
    """Walks are loops: a chain far beyond Python's recursion limit. x + x/k, k times, multiplies by (1 + 1/k)^k."""
    length = 5000

    def f(x):
        for _ in range(length):
            x = x + x / length
        return x * x  # x^2 times the factor's square: slope 2 x at 0.5, second derivative 2

    close(derivative(f), factor * (1 + 1 / length) ** (2 * length), operations=2 * length)


@pytest.mark.parametrize("left", [True, False])
def test_updates_of_one_weight_are_joined_into_one_product(left, monkeypatch):
    rng = np.random.default_rng(3)
    W = rng.normal(size=(80, 80)) / 9.0
    states = rng.normal(size=(4, 80)) if not left else rng.normal(size=(80, 4))
    sizes = []
    from thalweg.expr import numeric

    contract = numeric.contract

    def spy(subscripts, *operands):
        result = contract(subscripts, *operands)
        sizes.append(np.size(result))
        return result

    def f(W, h=states):
        for _ in range(5):
            h = np.tanh(W @ h if left else h @ W)
        return np.sum(h * h) + np.sum(W[0])

    leaf = torch.tensor(W, requires_grad=True)
    h = torch.tensor(states)
    for _ in range(5):
        h = torch.tanh(leaf @ h if left else h @ leaf)
    ((h * h).sum() + leaf[0].sum()).backward()
    monkeypatch.setattr(numeric, "contract", spy)
    np.testing.assert_allclose(grad(f)(W), leaf.grad.numpy(), rtol=1e-12, atol=1e-14)
    assert sizes.count(W.size) == 1


def fill(a):
    buffer, total = np.empty(3), 0.0
    for k in range(3):
        buffer[:] = k
        total = total + np.sum(a * buffer)
    return total


def raise_in_place(a, w=None):
    w = np.ones(3)
    total = np.sum(a * w)
    w += 1.0
    return total + np.sum(a * w)


def move_index(a):
    places = np.array([0, 1])
    total = np.sum(a[places] ** 2)
    places[:] = 2
    return total


def write_base(a):
    whole = np.ones(6)
    total = np.sum(a * whole[:3])
    whole[:] = 5.0
    return total


def fill_tensor(a):
    buffer, total = torch.zeros(3, dtype=torch.float64), 0.0
    for k in range(3):
        buffer.fill_(k)
        total = total + (a * buffer).sum()
    return total


@pytest.mark.parametrize("function", [fill, raise_in_place, move_index, write_base, fill_tensor])
def test_what_was_read_may_not_be_written(function):
    x = np.array([1.0, 2.0, 3.0])
    arg = torch.tensor(x) if function is fill_tensor else x
    for made in (grad(function), value_and_grad(function), hvp(function)):
        with pytest.raises(UnsupportedError, match="written in place"):
            made(*((arg, arg) if made.__name__.startswith("hvp") else (arg,)))
    x[:] = 0.0  # and is given back writeable


def test_arrays_read_are_given_back_whatever_happens():
    data = np.ones(3)
    row = data[:2]
    fixed = np.ones(3)
    fixed.flags.writeable = False

    def f(x):
        assert np.sum(x * data) + np.sum(x[:2] * row) + np.sum(fixed * x) == 8.0
        with pytest.raises(ValueError, match="read-only"):
            data[0] = 2.0
        raise ArithmeticError

    with pytest.raises(ArithmeticError):
        grad(f)(np.ones(3))
    data[0] = row[1] = 2.0
    assert not fixed.flags.writeable


def test_arguments_may_be_written_between_value_and_pull():
    x = np.array([1.0, 2.0, 3.0])
    _, pull = vjp(lambda a: a**2, x)
    later, _ = make_vjp(lambda a: a**2)(x)
    x[:] = 100.0
    np.testing.assert_array_equal(pull(np.ones(3))[0], [2.0, 4.0, 6.0])
    np.testing.assert_array_equal(later(np.ones(3)), [2.0, 4.0, 6.0])
