"""A user's own operations: either rule serves both modes, as deep as the rule allows, eager, lazy and compiled."""

import numpy as np
import pytest
import scipy.special
import torch

from thalweg.core.errors import InputError, UnsupportedError
from thalweg.expr import evaluate, lower, simplify, symbol, trace
from thalweg.expr.jacobian import hessian, jacobian
from thalweg.expr.node import Node
from thalweg.expr.primitive import primitive
from thalweg.expr.transforms import elementwise_grad, grad, hvp, jvp, vjp
from tolerances import arithmetic

X = np.array([0.5, 1.5, 2.5])
V = np.array([1.0, -2.0, 0.5])


def close(got, expected, operations=40):
    assert not isinstance(got, Node)
    assert np.shape(got) == np.shape(expected)
    scale = float(np.max(np.abs(expected), initial=0.0))
    np.testing.assert_allclose(got, expected, rtol=0, atol=arithmetic(operations=operations) * max(1.0, scale))


def plain(*arrays):
    """Fail as compiled code does when it meets anything but arrays."""
    if any(isinstance(a, Node) for a in arrays):
        raise TypeError("arrays only")


def make_cube(rule):
    @primitive
    def cube(x):
        plain(x)
        return x**3

    if rule in ("vjp", "both"):
        cube.defvjp(lambda ans, x: lambda g: g * (3 * x**2))
    if rule in ("jvp", "both"):
        cube.defjvp(lambda t, ans, x: t * (3 * x**2))
    return cube


@pytest.mark.parametrize("rule", ["vjp", "jvp", "both"])
def test_either_rule_serves_every_mode(rule):
    cube = make_cube(rule)
    total = lambda x: np.sum(cube(x))  # noqa: E731
    close(cube(X), X**3)
    close(grad(total)(X), 3 * X**2)
    close(elementwise_grad(cube)(X), 3 * X**2)
    close(jvp(cube, (X,), (V,))[1], 3 * X**2 * V)
    close(vjp(cube, X)[1](V)[0], 3 * X**2 * V)
    for mode in ("forward", "reverse"):
        close(jacobian(cube, mode=mode)(X), np.diag(3 * X**2))
    close(hvp(total)(X, V), 6 * X * V)
    close(hessian(total)(X), np.diag(6 * X))
    close(grad(grad(grad(cube)))(2.0), 6.0)
    close(jvp(lambda x: jvp(cube, (x,), (V,))[1], (X,), (V,))[1], 6 * X * V**2)
    close(jvp(grad(total), (X,), (V,))[1], 6 * X * V)
    close(grad(lambda x: np.sum(jvp(cube, (x,), (V,))[1]))(X), 6 * X * V)


@pytest.mark.parametrize("rule", ["vjp", "jvp", "both"])
def test_either_rule_serves_lazily(rule):
    cube = make_cube(rule)
    f = lambda x: np.sum(cube(x) * np.sin(x))  # noqa: E731
    x, v = symbol("x", (3,)), symbol("v", (3,))
    gradient = 3 * X**2 * np.sin(X) + X**3 * np.cos(X)
    second = 6 * X * np.sin(X) + 6 * X**2 * np.cos(X) - X**3 * np.sin(X)
    close(evaluate(trace(f, x=x), {x: X}), np.sum(X**3 * np.sin(X)))
    close(evaluate(grad(f)(x), {x: X}), gradient)
    close(evaluate(hessian(f)(x), {x: X}), np.diag(second))
    pushed = jvp(cube, (x,), (v,))[1]
    close(evaluate(pushed, {x: X, v: V}), 3 * X**2 * V)
    for expression, expected in ((f(x), f(X)), (grad(f)(x), gradient), (hessian(f)(x), np.diag(second))):
        close(lower(simplify(expression), [x])(X), expected)
    close(lower(pushed, [x, v])(X, V), 3 * X**2 * V)
    n = symbol("m", ("n",))
    close(lower(grad(f)(n), [n])(X), gradient)


def make_bessel():
    """A function whose rule, too, works on arrays alone."""

    @primitive
    def bessel(order, x):
        plain(x)
        return scipy.special.jv(order, x)

    def maker(ans, order, x):
        plain(x)
        return lambda g: g * scipy.special.jvp(order, x)

    return bessel.defvjp(None, maker)


def test_a_rule_on_arrays_alone_serves_first_derivatives():
    bessel = make_bessel()
    slope = scipy.special.jvp(2, X)
    close(grad(lambda x: np.sum(bessel(2, x)))(X), slope)
    close(jacobian(lambda x: bessel(2, x), mode="reverse")(X), np.diag(slope))
    # In a nested derivative, as long as only its first derivative is asked for.
    found = grad(lambda y: np.sum(y * grad(lambda x: np.sum(bessel(2, x)))(X)))(X)
    close(found, slope)
    x = symbol("x", (3,))
    close(lower(grad(lambda x: np.sum(bessel(2, x) * x))(x), [x])(X), slope * X + scipy.special.jv(2, X))


def test_what_a_rule_on_arrays_alone_cannot_do_is_explained():
    bessel = make_bessel()
    with pytest.raises(UnsupportedError, match="second derivative through the primitive 'bessel'"):
        hessian(lambda x: np.sum(bessel(2, x)))(X)
    with pytest.raises(UnsupportedError, match="forward mode through the primitive 'bessel'.*defjvp"):
        jvp(lambda x: bessel(2, x), (X,), (V,))
    bessel.defjvp(lambda t, ans, order, x: t * scipy.special.jvp(order, x), argnums=(1,))
    close(jvp(lambda x: bessel(2, x), (X,), (V,))[1], V * scipy.special.jvp(2, X))


def test_a_forward_rule_on_arrays_alone_cannot_be_reversed():
    @primitive
    def f(x):
        return scipy.special.gamma(x)

    f.defjvp(lambda t, ans, x: t * ans * scipy.special.psi(x) if plain(x) is None else None)
    close(jvp(f, (X,), (V,))[1], V * scipy.special.gamma(X) * scipy.special.psi(X))
    with pytest.raises(UnsupportedError, match="reverse mode through the primitive 'f'.*defvjp"):
        grad(lambda x: np.sum(f(x)))(X)


def test_a_rule_made_of_primitives_goes_to_any_order():
    @primitive
    def sine(x):
        plain(x)
        return np.sin(x)

    @primitive
    def cosine(x):
        plain(x)
        return np.cos(x)

    sine.defvjp(lambda ans, x: lambda g: g * cosine(x))
    cosine.defvjp(lambda ans, x: lambda g: -g * sine(x))
    close(grad(grad(grad(sine)))(0.7), -np.cos(0.7))
    close(hessian(lambda x: np.sum(sine(x)))(X), np.diag(-np.sin(X)))
    s = symbol("s")
    close(lower(grad(grad(sine))(s), [s])(np.float64(0.7)), -np.sin(0.7))


def test_several_arguments_keywords_and_options():
    calls = []

    @primitive
    def f(x, power, y, *, scale=1.0, label="none"):
        calls.append((type(power), label))
        return scale * x**power * y

    f.defvjp(
        lambda ans, x, power, y, scale=1.0, label=None: lambda g: g * scale * power * x ** (power - 1) * y,
        lambda ans, x, power, y, scale=1.0, label=None: lambda g: g * scale * x**power,
        argnums=(0, 2),
    )
    y = np.array([[2.0], [3.0]])
    first, second = grad(lambda a, b: np.sum(f(a, 2, b, scale=0.5, label="mine")), (0, 1))(X, y)
    close(first, np.sum(X * y, axis=0))
    close(second, np.sum(0.5 * X**2) * np.ones((2, 1)))
    assert set(calls) == {(int, "mine")}
    close(grad(lambda a: np.sum(f(a, 3, 2.0)))(X), 6 * X**2)
    close(jvp(lambda a: f(a, 3, y), (X,), (V,))[1], 3 * X**2 * y * V)
    # An option that cannot be hashed.
    g = primitive(lambda x, options: x * options["k"])
    g.defvjp(lambda ans, x, options: lambda c: c * options["k"])
    close(grad(lambda x: np.sum(g(x, {"k": 4.0})))(X), np.full(3, 4.0))


def test_an_argument_that_occurs_twice():
    @primitive
    def times(a, b):
        return a * b

    times.defvjp(lambda ans, a, b: lambda g: g * b, lambda ans, a, b: lambda g: g * a)
    close(grad(lambda x: np.sum(times(x, x)))(X), 2 * X)
    close(hessian(lambda x: np.sum(times(x, x)))(X), 2 * np.eye(3))
    close(jvp(lambda x: times(x, times(x, x)), (X,), (V,))[1], 3 * X**2 * V)


def test_none_means_zero_and_a_missing_rule_is_an_error():
    f = primitive(lambda x, y: x * y)
    with pytest.raises(UnsupportedError, match="'<lambda>' has no derivative rule for argument 0"):
        grad(lambda x: np.sum(f(x, X)))(X)
    with pytest.raises(UnsupportedError, match="no derivative rule for argument 0"):
        jvp(lambda x: f(x, X), (X,), (V,))
    x = symbol("x", (3,))
    with pytest.raises(UnsupportedError, match="no derivative rule for argument 0"):
        grad(lambda v: np.sum(f(v, X)))(x)
    f.defvjp(lambda ans, x, y: lambda g: g * y, None)
    close(grad(lambda x, y: np.sum(f(x, y)), (0, 1))(X, X)[1], np.zeros(3))
    close(jvp(lambda y: f(X, y), (X,), (V,))[1], np.zeros(3))
    close(evaluate(grad(lambda v: np.sum(f(X, v)))(x), {x: X}), np.zeros(3))


def test_shapes_are_promised_and_held():
    @primitive
    def total(x):
        return np.sum(x)

    total.defvjp(lambda ans, x: lambda g: g * np.ones(3))
    close(grad(total)(X), np.ones(3))
    x = symbol("x", (3,))
    with pytest.raises(InputError, match="returned shape .* where .* expected.*defshape"):
        evaluate(total(x), {x: X})
    total.defshape(lambda shape: ())
    assert total(x).shape == ()
    close(evaluate(grad(total)(x), {x: X}), np.ones(3))
    close(lower(grad(lambda v: total(v) ** 2)(x), [x])(X), 2 * np.sum(X) * np.ones(3))

    @primitive
    def product(m, v):
        return m @ v

    product.defshape(lambda m, v: (m[0],))
    product.defvjp(lambda ans, m, v: lambda g: np.outer(g, v), lambda ans, m, v: lambda g: m.T @ g)
    m = np.arange(6.0).reshape(2, 3)
    s = symbol("s", (2, 3))
    close(evaluate(grad(lambda a: np.sum(product(a, X)))(s), {s: m}), np.outer(np.ones(2), X))
    close(jvp(lambda v: product(m, v), (X,), (V,))[1], m @ V)
    product.defshape(lambda m, v: (7,))
    with pytest.raises(InputError, match="where \\(7,\\) was expected.*defshape"):
        grad(lambda a: np.sum(product(a, X)))(m)


def test_wrong_shapes_from_rules_are_caught():
    f = primitive(lambda x: 2 * x)
    f.defvjp(lambda ans, x: lambda g: np.ones(5))
    with pytest.raises(InputError, match=r"vjp rule of the primitive .* gave shape \(5,\).*\(3,\)"):
        grad(lambda x: np.sum(f(x)))(X)
    f = primitive(lambda x: 2 * x).defjvp(lambda t, ans, x: np.ones(5))
    with pytest.raises(InputError, match=r"jvp rule of the primitive .* gave shape \(5,\)"):
        jvp(f, (X,), (V,))
    with pytest.raises(InputError, match="2 rules for 1 arguments"):
        f.defvjp(None, None, argnums=(0,))
    with pytest.raises(InputError, match="give a function"):
        primitive(3)


def test_failures_inside_keep_their_names():
    def fails(x):
        raise ValueError("singular at heart")

    with pytest.raises(InputError, match="primitive 'fails' failed: singular at heart"):
        grad(primitive(fails))(1.0)

    def worse(x):
        raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine"):
        grad(primitive(worse))(X)
    with pytest.raises(InputError, match="returned list"):
        grad(primitive(lambda x: [x]))(X)


def test_arrays_hidden_in_containers_are_refused():
    f = primitive(lambda xs: sum(xs))
    assert f([1.0, 2.0]) == 3.0
    with pytest.raises(UnsupportedError, match="inside a container or by keyword"):
        grad(lambda x: f([x, 1.0]))(2.0)
    g = primitive(lambda x, y=0.0: x + y)
    with pytest.raises(UnsupportedError, match="inside a container or by keyword"):
        grad(lambda x: g(1.0, y=x))(2.0)


def test_plain_calls_are_plain():
    cube = make_cube("vjp")
    assert cube.__name__ == "cube" and repr(cube) == "<primitive cube>"
    assert cube(2.0) == 8.0 and type(cube(2.0)) is float


def test_precision_is_kept():
    cube = make_cube("vjp")
    assert grad(lambda x: np.sum(cube(x)))(X.astype(np.float32)).dtype == np.float32


def test_two_primitives_of_one_name_are_two():
    x = symbol("x", (3,))
    twice, five_times = primitive(lambda v: 2 * v), primitive(lambda v: 5 * v)
    close(lower(twice(x), [x])(X), 2 * X)
    close(lower(five_times(x), [x])(X), 5 * X)
    kernel = lower(five_times(x) + 1.0, [x])
    del five_times
    with pytest.raises(UnsupportedError, match="no longer exists"):
        kernel(X)


def test_tensors():
    cube = make_cube("vjp")
    x = torch.tensor(X)
    close(grad(lambda v: torch.sum(cube(v)))(x).numpy(), 3 * X**2)
    close(jvp(cube, (x,), (torch.tensor(V),))[1].numpy(), 3 * X**2 * V)
