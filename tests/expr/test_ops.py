"""The register: every operation x forward, reverse x float32, float64, beside central differences and torch."""

import numpy as np
import pytest
from scipy import special

from thalweg import expr
from thalweg.expr import evaluate, gradient, jvp, symbol
from thalweg.expr.namespace import call
from thalweg.expr.node import build, constant, table
from thalweg.expr.ops import LINALG
from thalweg.expr.primitive import PRIMITIVE
from tolerances import arithmetic, central_difference

RNG = np.random.default_rng(20)
ANY = RNG.normal(size=(3, 4))
POSITIVE = np.abs(ANY) + 0.3
UNIT = 0.9 * np.tanh(ANY)
ABOVE = POSITIVE + 1.0
LABELS = np.array([1, 0, 3])
ROWS, COLUMNS = np.array([2, 0, 2]), np.array([[1], [3]])
ORDER = np.argsort(ANY, axis=1)
MASK = ANY > 0.2

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
    "tan": (np.tan, UNIT, np.tan),
    "arcsin": (np.arcsin, UNIT, np.arcsin),
    "arccos": (np.arccos, UNIT, np.arccos),
    "arcsinh": (np.arcsinh, ANY, np.arcsinh),
    "arccosh": (np.arccosh, ABOVE, np.arccosh),
    "arctanh": (np.arctanh, UNIT, np.arctanh),
    "exp2": (np.exp2, ANY, np.exp2),
    "log2": (np.log2, POSITIVE, np.log2),
    "log10": (np.log10, POSITIVE, np.log10),
    "cbrt": (np.cbrt, POSITIVE, np.cbrt),
    "erfc": (lambda x: call("erfc", x), ANY, special.erfc),
    "gammaln": (lambda x: call("gammaln", x), POSITIVE, special.gammaln),
    "polygamma": (lambda x: call("polygamma", x, params=(1,)), POSITIVE, lambda x: special.polygamma(1, x)),
    "hypot": (lambda x: np.hypot(x, x[0] * 2.0), POSITIVE, lambda x: np.hypot(x, x[0] * 2.0)),
    "arctan2": (lambda x: np.arctan2(x, x[:, :1] + 3.0), ANY, lambda x: np.arctan2(x, x[:, :1] + 3.0)),
    "mod": (lambda x: x % (x[0] * 0.4), POSITIVE, lambda x: x % (x[0] * 0.4)),
    "floor_divide": (lambda x: x // 0.3 * x, ANY, lambda x: x // 0.3 * x),
    "floor": (lambda x: np.floor(3 * x) * x, ANY, lambda x: np.floor(3 * x) * x),
    "ceil": (lambda x: np.ceil(3 * x) * x, ANY, lambda x: np.ceil(3 * x) * x),
    "rint": (lambda x: np.rint(3 * x) * x, ANY, lambda x: np.rint(3 * x) * x),
    "trunc": (lambda x: np.trunc(3 * x) * x, ANY, lambda x: np.trunc(3 * x) * x),
    "gather": (lambda x: x[ROWS, 1:][:, ::-1] ** 2, ANY, lambda x: x[ROWS, 1:][:, ::-1] ** 2),
    "index_add": (lambda x: np.diag(x[0], 1) @ np.diag(x[1], -1) * 2.0, ANY,
                  lambda x: np.diag(x[0], 1) @ np.diag(x[1], -1) * 2.0),
    "along": (lambda x: np.sort(x * x, axis=0), ANY, lambda x: np.sort(x * x, axis=0)),
    "along_add": (lambda x: call("along_add", x * x, ROWS[:, None] * np.ones((1, 4), int), params=(0, 5, False)), ANY,
                  lambda x: np.stack([(x * x)[1], np.zeros(4), (x * x)[0] + (x * x)[2], np.zeros(4), np.zeros(4)])),
    "along_diagonal": (lambda x: call("along_diagonal", x * x, params=(0, 2, 5)), ANY,
                       lambda x: np.einsum("ac,bd->abcd", np.eye(5), x * x)),
    "cumsum": (lambda x: np.cumsum(x * x, axis=1), ANY, lambda x: np.cumsum(x * x, axis=1)),
}  # fmt: skip
# Rows met only inside derivatives or conditions, and checked there or in tests of their own.
ELSEWHERE = {"scatter", "scatter_add", "place", "dimension", "lt", "le", "gt", "ge", "eq", "ne",
             "logical_and", "logical_or", "logical_not", "identity", "isnan", "isinf", "isfinite", "signbit", "argsort",
             "argmax", "argmin", "any", "all", "whole", "cast"}  # fmt: skip
# Rows with a register of their own.
REGISTERED = set(LINALG) | set(PRIMITIVE)


def test_every_row_of_the_table_is_in_the_register():
    assert set(table()) - REGISTERED == (set(UNARY) - {"mean"}) | ELSEWHERE


@pytest.mark.parametrize("name", sorted(set(table()) - REGISTERED))
def test_a_row_has_what_its_kind_needs(name):
    row = table()[name]
    assert row.name == name
    assert row.kind in ("f", "i", "b", "promote")
    if row.transpose is not None:
        assert row.jvp is not None, "a linear row has a derivative"
        assert row.elementwise or row.batch is not None, "a linear row carries many directions at once"
    if row.jvp is not None:
        assert row.vjp is not None, "a row with a derivative has the direct reverse rule"
        assert row.kind != "b"
    else:
        assert row.vjp is None


def _scalarized(function, weights):
    return lambda x: expr.sum(function(x) * weights)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("name", UNARY)
def test_direct_rules_agree_with_transposed_linear_graphs(name, dtype):
    function, point, reference = UNARY[name]
    point = point.astype(dtype)
    weights = np.random.default_rng(7).normal(size=np.shape(reference(point))).astype(dtype)
    of_weights = _scalarized(function, weights)
    x = symbol("x", point.shape)
    transposed = evaluate(gradient(of_weights(x), x), {x: point})
    direct = expr.grad(of_weights)(point)
    scale = 1 + np.abs(transposed).max()
    assert direct.dtype == dtype
    np.testing.assert_allclose(direct, transposed, atol=scale * arithmetic(dtype, 40))
    if name in ("pick", "sign"):
        return
    directions = np.random.default_rng(8).normal(size=point.shape).astype(dtype)
    lazy = evaluate(gradient(expr.sum(gradient(of_weights(x), x) * directions), x), {x: point})
    eager = expr.grad(lambda v: expr.sum(expr.grad(of_weights)(v) * directions))(point)
    np.testing.assert_allclose(eager, lazy, atol=(1 + np.abs(lazy).max()) * arithmetic(dtype, 200))


def test_a_cast_keeps_the_precision_of_each_side():
    single = ANY.astype(np.float32)
    for point, dtype in ((single, np.float64), (ANY, np.float32)):
        value, slope = expr.value_and_grad(lambda x, dtype=dtype: expr.sum((x * x).astype(dtype)))(point)
        assert value.dtype == dtype
        assert slope.dtype == point.dtype
        np.testing.assert_allclose(slope, 2 * point, rtol=arithmetic(np.float32, 2))
    x = symbol("x", ANY.shape)
    narrow = (x * 2.0).astype(np.float32)
    for node, dtype in ((narrow + 1.0, np.float32), (narrow + 3.0 * x, np.float64), (np.sin(narrow) + x, np.float64)):
        assert expr.lower(node, [x])(ANY).dtype == dtype
    assert ((x > 0).astype(float) * 2.0).kind == "f"
    np.testing.assert_array_equal(evaluate((x * 3).astype(int), {x: ANY}), (ANY * 3).astype(int))


def _batch_case(name):
    """Give a linear row on eager inputs: its node, and which inputs may be directions."""
    index = [constant(ROWS), constant(COLUMNS)]
    x, block, v = (expr.variable(a) for a in (ANY, ANY[None] * np.ones((2, 1, 1)), ANY[:, 0].copy()))
    whole, array = (None, None, None), ()
    cases = {
        "sum": [("sum", (x,), ((1,), True)), ("sum", (x,), ((0, 1), False))],
        "reshape": [("reshape", (x,), ((2, 6),))],
        "transpose": [("transpose", (block,), ((2, 0, 1),))],
        "broadcast_to": [("broadcast_to", (expr.variable(ANY[:, :1].copy()),), ((2, 3, 4),))],
        "einsum": [("einsum", (x, expr.variable(ANY.T.copy())), ("ij,jk->ik",))],
        "pick": [("pick", (x, constant(LABELS)), ())],
        "scatter": [("scatter", (v, constant(LABELS)), (5,))],
        "scatter_add": [("scatter_add", (x, v, constant(LABELS)), ())],
        "take": [("take", (x,), (((0, 2, None), 1),))],
        "place": [("place", (expr.variable(ANY[0, :2].copy()),), (((0, 2, None), 1), (3, 4)))],
        "concatenate": [("concatenate", (x, expr.variable(ANY * 2.0)), (1,))],
        "gather": [
            ("gather", (block, index[0]), ((whole, array, whole), False)),
            ("gather", (block, constant(np.array([0, 1, 1])), index[0]), ((array, whole, array), False)),
            ("gather", (block, index[0], index[1]), ((None, whole, array, array), False)),
        ],
        "index_add": [
            ("index_add", (v, index[0]), ((array,), False, (4,))),
            ("index_add", (expr.variable(ANY.copy()), constant(np.array([0, 1, 1])), index[0]),
             ((array, whole, array), False, (2, 4, 5))),
        ],
        "along": [("along", (x, constant(ORDER)), (1, True))],
        "along_add": [("along_add", (x, constant(ORDER)), (1, 4, True)),
                      ("along_add", (x, constant(ORDER)), (1, 6, False))],
        "cumsum": [("cumsum", (x,), (1, True))],
        "along_diagonal": [("along_diagonal", (x,), (0, 1, 2)), ("along_diagonal", (x,), (1, 3, 2))],
        "cast": [("cast", (x,), (32,))],
        "identity": [("identity", (x,), (0,))],
    }  # fmt: skip
    return cases[name]


@pytest.mark.parametrize(
    "name", sorted(n for n, row in table().items() if row.batch is not None and n not in REGISTERED)
)
def test_a_batch_rule_is_the_row_slice_by_slice(name):
    for op, inputs, params in _batch_case(name):
        node = build(op, *inputs, params=params)
        floating = [i for i, x in enumerate(inputs) if x.kind == "f"]
        for chosen in range(1, 2 ** len(floating)):
            batched = [i in floating and bool(chosen >> floating.index(i) & 1) for i in range(len(inputs))]
            stacks = [np.stack([x.value, x.value**2, -x.value]) if b else x.value
                      for x, b in zip(inputs, batched, strict=True)]  # fmt: skip
            lifted = [expr.variable(s) if x.kind == "f" else constant(s) for x, s in zip(inputs, stacks, strict=True)]
            whole = table()[op].batch(node, lifted, batched).value
            for k in range(3):
                slices = [expr.variable(s[k] if b else s) if x.kind == "f" else x
                          for x, s, b in zip(inputs, stacks, batched, strict=True)]  # fmt: skip
                np.testing.assert_array_equal(whole[k], build(op, *slices, params=params).value)


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
