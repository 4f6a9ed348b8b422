"""The register: every operation x forward, reverse x float32, float64, beside central differences and torch."""

import numpy as np
import pytest
from scipy import special

from thalweg import expr
from thalweg.expr import evaluate, gradient, jvp, symbol
from thalweg.expr.node import build, constant, table
from tolerances import arithmetic, central_difference

RNG = np.random.default_rng(20)
ANY = RNG.normal(size=(3, 4))
POSITIVE = np.abs(ANY) + 0.3
LABELS = np.array([1, 0, 3])

# name: (function of one array, an input away from kinks, the value by other means)
UNARY = {
    "neg": (lambda x: -x, ANY, np.negative),
    "square": (expr.square, ANY, lambda x: x * x),
    "exp": (expr.exp, ANY, np.exp),
    "log": (expr.log, POSITIVE, np.log),
    "log1p": (expr.log1p, POSITIVE, np.log1p),
    "expm1": (expr.expm1, ANY, np.expm1),
    "sqrt": (expr.sqrt, POSITIVE, np.sqrt),
    "rsqrt": (lambda x: expr.gradient(2 * expr.sqrt(x), x), POSITIVE, lambda x: x**-0.5),
    "tanh": (expr.tanh, ANY, np.tanh),
    "sigmoid": (expr.sigmoid, ANY, special.expit),
    "softplus": (expr.softplus, ANY, lambda x: np.logaddexp(0, x)),
    "relu": (expr.relu, ANY, lambda x: np.maximum(x, 0)),
    "abs": (abs, ANY, np.abs),
    "sign": (expr.sign, ANY, np.sign),
    "sin": (expr.sin, ANY, np.sin),
    "cos": (expr.cos, ANY, np.cos),
    "sinh": (expr.sinh, ANY, np.sinh),
    "cosh": (expr.cosh, ANY, np.cosh),
    "arctan": (expr.arctan, ANY, np.arctan),
    "erf": (expr.erf, ANY, special.erf),
    "pow": (lambda x: x**2.5 + 1.5**x, POSITIVE, lambda x: x**2.5 + 1.5**x),
    "add": (lambda x: x + x[0] + 1.5, ANY, lambda x: x + x[0] + 1.5),
    "sub": (lambda x: 1.0 - x - x[0], ANY, lambda x: 1.0 - x - x[0]),
    "mul": (lambda x: x * x[:, 1:2] * 3.0, ANY, lambda x: x * x[:, 1:2] * 3.0),
    "div": (lambda x: x[1] / x, POSITIVE, lambda x: x[1] / x),
    "maximum": (lambda x: expr.maximum(x, x[0] * 0.9), ANY, lambda x: np.maximum(x, x[0] * 0.9)),
    "minimum": (lambda x: expr.minimum(x, x[0] * 0.9), ANY, lambda x: np.minimum(x, x[0] * 0.9)),
    "where": (lambda x: expr.where(x > 0.1, x * x, -x), ANY, lambda x: np.where(x > 0.1, x * x, -x)),
    "logaddexp": (lambda x: expr.logaddexp(x, x[0]), ANY, lambda x: np.logaddexp(x, x[0])),
    "sum": (lambda x: expr.sum(x, axis=0) * expr.sum(x), ANY, lambda x: x.sum(0) * x.sum()),
    "mean": (lambda x: expr.mean(x, axis=1, keepdims=True), ANY, lambda x: x.mean(1, keepdims=True)),
    "max": (lambda x: expr.max(x, axis=1), ANY, lambda x: x.max(1)),
    "min": (lambda x: expr.min(x), ANY, lambda x: x.min()),
    "indicator": (lambda x: expr.max(x, axis=0, keepdims=True), ANY, lambda x: x.max(0, keepdims=True)),
    "reshape": (lambda x: x.reshape(4, -1) ** 2, ANY, lambda x: x.reshape(4, -1) ** 2),
    "transpose": (lambda x: x.T @ x, ANY, lambda x: x.T @ x),
    "broadcast_to": (
        lambda x: expr.broadcast_to(x[:, :1], (2, 3, 4)) * x, ANY, lambda x: np.broadcast_to(x[:, :1], (2, 3, 4)) * x,
    ),
    "einsum": (
        lambda x: expr.einsum("ij,kj,kl->il", x, x, x), ANY, lambda x: np.einsum("ij,kj,kl->il", x, x, x),
    ),
    "eye": (lambda x: expr.trace_of(x[:, :3]) * x, ANY, lambda x: np.trace(x[:, :3]) * x),
    "logsumexp": (lambda x: expr.logsumexp(x, axis=0), ANY, lambda x: special.logsumexp(x, axis=0)),
    "softmax": (expr.softmax, ANY, lambda x: special.softmax(x, axis=-1)),
    "pick": (lambda x: expr.pick(x, LABELS), ANY, lambda x: x[np.arange(3), LABELS]),
    "take": (lambda x: x[1:, ::2][:, None], ANY, lambda x: x[1:, ::2][:, None]),
    "concatenate": (lambda x: expr.concatenate([x, x * x], axis=1), ANY, lambda x: np.concatenate([x, x * x], axis=1)),
}  # fmt: skip
# Rows met only inside derivatives or conditions, and checked there or in tests of their own.
ELSEWHERE = {"scatter", "scatter_add", "place", "dimension", "lt", "le", "gt", "ge", "eq", "ne",
             "logical_and", "logical_or", "logical_not", "identity"}  # fmt: skip


def test_every_row_of_the_table_is_in_the_register():
    assert set(table()) == (set(UNARY) - {"mean"}) | ELSEWHERE


@pytest.mark.parametrize("name", UNARY)
def test_value(name):
    function, point, reference = UNARY[name]
    node = function(symbol("x", point.shape))
    value = evaluate(node, {symbol("x", point.shape): point})
    np.testing.assert_allclose(value, reference(point), rtol=arithmetic(operations=20), atol=1e-15)


@pytest.mark.parametrize("name", UNARY)
def test_forward_and_reverse_beside_central_differences(name):
    function, point, reference = UNARY[name]
    x = symbol("x", point.shape)
    node = function(x)
    direction = np.random.default_rng(1).normal(size=point.shape)
    weights = np.random.default_rng(2).normal(size=node.shape)
    step = (1.5 * np.finfo(float).eps) ** (1 / 3)
    slope = (reference(point + step * direction) - reference(point - step * direction)) / (2 * step)
    forward = evaluate(jvp(node, {x: constant(direction)}), {x: point})
    assert np.shape(forward) == node.shape
    scale = 1 + np.abs(slope).max()
    np.testing.assert_allclose(forward, slope, atol=20 * scale * central_difference())
    reverse = evaluate(gradient(node * weights, x), {x: point})
    assert reverse.shape == point.shape
    both = np.sum(np.abs(forward * weights)) + 1
    np.testing.assert_allclose(np.sum(reverse * direction), np.sum(forward * weights), atol=100 * arithmetic() * both)


@pytest.mark.parametrize("name", UNARY)
def test_second_order_forward_over_reverse_is_symmetric(name):
    function, point, _ = UNARY[name]
    x = symbol("x", point.shape)
    weights = np.random.default_rng(5).normal(size=function(x).shape)
    slope = gradient(function(x) * weights, x)
    u, v = np.random.default_rng(3).normal(size=(2, *point.shape))
    left = np.sum(v * evaluate(jvp(slope, {x: constant(u)}), {x: point}))
    right = np.sum(u * evaluate(jvp(slope, {x: constant(v)}), {x: point}))
    twice = np.sum(v * evaluate(gradient(slope * u, x), {x: point}))
    np.testing.assert_allclose([left, twice], [right, right], rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", UNARY)
def test_float32_stays_float32(name):
    function, point, _ = UNARY[name]
    x = expr.variable(point.astype(np.float32))
    node = function(x)
    assert node.value.dtype == np.float32
    assert gradient(node, x).value.dtype == np.float32
    lazy = symbol("x", point.shape)
    kernel = expr.lower(expr.simplify_all([function(lazy), gradient(function(lazy), lazy)]), [lazy])
    for array in kernel(point.astype(np.float32)):
        assert array.dtype == np.float32


@pytest.mark.parametrize("name", ["softplus", "sigmoid", "logaddexp", "logsumexp", "softmax", "tanh", "max", "einsum"])
def test_gradient_beside_torch(name):
    torch = pytest.importorskip("torch")
    twins = {
        "softplus": torch.nn.functional.softplus, "sigmoid": torch.sigmoid, "tanh": torch.tanh,
        "logaddexp": lambda x: torch.logaddexp(x, x[0]), "logsumexp": lambda x: torch.logsumexp(x, 0),
        "softmax": lambda x: torch.softmax(x, -1), "max": lambda x: x.max(1).values,
        "einsum": lambda x: torch.einsum("ij,kj,kl->il", x, x, x),
    }  # fmt: skip
    function, point, _ = UNARY[name]
    x = expr.variable(point)
    weights = np.random.default_rng(4).normal(size=function(x).shape)
    leaf = torch.tensor(point, requires_grad=True)
    (twins[name](leaf) * torch.tensor(weights)).sum().backward()
    np.testing.assert_allclose(gradient(function(x) * weights, x).value, leaf.grad.numpy(), rtol=1e-12, atol=1e-13)


def test_stable_in_both_tails():
    x = np.array([-700.0, -40.0, -1e-9, 0.0, 1e-9, 40.0, 800.0, 1e300])
    np.testing.assert_allclose(expr.softplus(x), np.logaddexp(0, x), rtol=arithmetic())
    np.testing.assert_allclose(expr.sigmoid(x), special.expit(x), rtol=arithmetic())
    s = symbol("s", ("n",))
    second = evaluate(gradient(gradient(expr.softplus(s), s), s), {s: x})
    np.testing.assert_allclose(second[1], special.expit(-40.0), rtol=1e-12)
    np.testing.assert_allclose(second[5], special.expit(-40.0), rtol=1e-12)  # s(1 - s) would have 3 digits here


@np.errstate(all="ignore")
def test_untaken_branches_and_origins_have_finite_documented_derivatives():
    origin = expr.variable(np.zeros(3))
    for node in (
        expr.sqrt(expr.sum(origin * origin)), expr.sum(abs(origin)), expr.sum(expr.sqrt(origin)),
        expr.sum(expr.relu(origin)), expr.sum(expr.where(origin > 0, expr.sqrt(origin), 0.0)),
        expr.sum(expr.where(origin > 0, 1 / origin, 0.0)),
        expr.sum(expr.where(origin > 0, expr.log(origin) / origin, 0.0)),
    ):  # fmt: skip
        assert np.array_equal(gradient(node, origin).value, np.zeros(3))
    shifted = expr.where(origin != 0, expr.sin(origin) / origin, 1.0 + origin)
    assert np.array_equal(gradient(shifted, origin).value, np.ones(3))


def test_plain_arguments_give_plain_results():
    assert expr.softplus(0.0) == pytest.approx(np.log(2), rel=1e-15)
    assert type(expr.exp(np.ones(2))) is np.ndarray
    assert expr.pick(ANY, LABELS).shape == (3,)
    assert expr.logsumexp(ANY).shape == (3,)
    assert expr.where([True, False], 1.0, 2.0).tolist() == [1.0, 2.0]


def test_pick_and_its_transpose():
    values, labels = symbol("v", ("n", "k")), symbol("c", ("n",), "class")
    slope = evaluate(gradient(expr.pick(values, labels), values), {values: ANY, labels: LABELS})
    assert np.array_equal(slope, np.eye(4)[LABELS])


def test_adding_one_entry_a_row_is_linear_both_ways():
    x, v = expr.variable(ANY), expr.variable(np.array([2.0, -1.0, 0.5]))
    node = build("scatter_add", x, v, constant(LABELS))
    np.testing.assert_array_equal(node.value, ANY + np.eye(4)[LABELS] * v.value[:, None])
    weights = np.arange(12.0).reshape(3, 4)
    np.testing.assert_array_equal(gradient(node * weights, x).value, weights)
    np.testing.assert_array_equal(gradient(node * weights, v).value, weights[np.arange(3), LABELS])


def test_symbolic_mean_divides_by_the_size_met_at_run_time():
    x = symbol("x", ("n", "k"))
    kernel = expr.lower(gradient(expr.mean(x), x), [x])
    for shape in ((2, 3), (5, 1)):
        np.testing.assert_allclose(kernel(np.ones(shape)), np.full(shape, 1 / np.prod(shape)))
