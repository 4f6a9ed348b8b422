"""Random expressions: every road to a value or a derivative leads to the same number."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thalweg import expr
from thalweg.expr import (
    evaluate,
    gradient,
    join_products,
    jvp,
    lower,
    lower_staged,
    reorder,
    simplify,
    simplify_all,
    symbol,
)
from thalweg.expr.sharing import expand_shared
from thalweg.expr.walk import topological
from tolerances import central_difference

A, B = symbol("a", ("n", "k")), symbol("b", ("n", 1))
ROWS = symbol("r", ("n",))

SMOOTH = [
    expr.tanh, expr.sigmoid, expr.softplus, expr.square, expr.sin, expr.cos, expr.arctan, expr.erf, lambda x: -x,
    lambda x: expr.exp(-expr.square(x)), lambda x: expr.log(1 + expr.square(x)), lambda x: expr.sqrt(1 + x * x),
    lambda x: expr.log1p(expr.exp(x)), lambda x: 1 / (1 + expr.exp(-x)), lambda x: 1 - expr.sigmoid(x),
    lambda x: x**3, lambda x: expr.softmax(x), lambda x: x - expr.mean(x, axis=1, keepdims=True),
    lambda x: expr.sum(x, axis=1, keepdims=True) * x, lambda x: expr.logsumexp(x, keepdims=True) + x,
    lambda x: expr.where(expr.sign(A) > 0, x, 2 * x), lambda x: x * 1.0 + 0.0, lambda x: x - x + x / 1,
    lambda x: expr.einsum("nk,nk->n", x, A)[:, None] * x, lambda x: 0 * x + A,
]  # fmt: skip
PAIRS = [
    lambda a, b: a + b, lambda a, b: a - b, lambda a, b: b - a, lambda a, b: a * b, expr.logaddexp,
    lambda a, b: a / (2 + b * b), lambda a, b: expr.where(ROWS[:, None] > 0, a, b), lambda a, b: a * (-b),
]  # fmt: skip
LEAVES = st.one_of(st.sampled_from([A, B, B * A]), st.sampled_from([0.5, -2.0, 1.0, 0.0]).map(lambda v: v * A + v))
EXPRESSIONS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.tuples(st.sampled_from(SMOOTH), inner).map(lambda t: t[0](t[1])),
        st.tuples(st.sampled_from(PAIRS), inner, inner).map(lambda t: t[0](t[1], t[2])),
    ),
    max_leaves=6,
)


def point(seed=0, dtype=float):
    rng = np.random.default_rng(seed)
    return {A: rng.normal(size=(5, 3)).astype(dtype), B: rng.normal(size=(5, 1)).astype(dtype),
            ROWS: rng.normal(size=5).astype(dtype)}  # fmt: skip


def size(node, values):
    """Largest intermediate number: what cancellation can lose precision against."""
    with np.errstate(all="ignore"):
        return 1 + max(float(np.abs(evaluate(x, values)).max()) for x in topological([node]))


@given(EXPRESSIONS)
@settings(max_examples=60)
def test_reverse_beside_central_differences(node):
    values = point()
    rng = np.random.default_rng(1)
    directions = {A: rng.normal(size=(5, 3)), B: rng.normal(size=(5, 1))}
    slopes = [gradient(node, s) for s in (A, B)]
    reverse = sum(float(np.sum(evaluate(g, values) * directions[s])) for g, s in zip(slopes, (A, B), strict=True))
    assert [np.shape(evaluate(g, values)) for g in slopes] == [(5, 3), (5, 1)]
    step = 1e-5
    ends = [evaluate(node, {**values, **{s: values[s] + h * d for s, d in directions.items()}}) for h in (step, -step)]
    slope = (np.sum(ends[0]) - np.sum(ends[1])) / (2 * step)
    scale = size(node, values) * size(slopes[0], values) * np.size(ends[0])
    np.testing.assert_allclose(reverse, slope, atol=central_difference() * scale)


@given(EXPRESSIONS)
@settings(max_examples=60)
def test_forward_along_a_symbol_equals_reverse(node):
    direction = symbol("d", ("n", "k"))
    values = point() | {direction: np.random.default_rng(2).normal(size=(5, 3))}
    forward = evaluate(jvp(node, {A: direction}), values)
    slope = gradient(node, A)
    reverse = np.sum(evaluate(slope, values) * values[direction])
    scale = size(node, values) * size(slope, values)
    np.testing.assert_allclose(np.sum(forward), reverse, atol=1e-13 * scale)


@given(EXPRESSIONS)
@settings(max_examples=60)
def test_simplified_and_lowered_keep_the_value(node):
    values = point()
    slope = gradient(node, A)
    plain = [evaluate(x, values) for x in (node, slope)]
    better = simplify_all([node, slope])
    kernel = lower(better, [A, B, ROWS])
    scale = [size(x, values) for x in (node, slope)]
    for got in ([evaluate(x, values) for x in better], kernel(values[A], values[B], values[ROWS])):
        for a, b, s in zip(got, plain, scale, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-13 * s * s)
    again = kernel(values[A], values[B], values[ROWS])
    assert all(np.array_equal(a, b) for a, b in zip(again, kernel(values[A], values[B], values[ROWS]), strict=True))
    assert [np.array_equal(values[s], point()[s]) for s in (A, B, ROWS)] == [True] * 3  # arguments are not written to
    single = kernel(*[v for v in point(dtype=np.float32).values()])
    assert all(x.dtype == np.float32 for x in single)


PASSES = {
    "simplify": simplify_all, "reorder": reorder, "join_products": join_products,
    "expand_shared": expand_shared,
    "all of them": lambda outputs: expand_shared(simplify_all(join_products(reorder(simplify_all(outputs))))),
}  # fmt: skip


@pytest.mark.parametrize("name", PASSES)
@given(EXPRESSIONS)
@settings(max_examples=25)
def test_each_pass_keeps_values_and_is_done_after_one_go(name, node):
    values = point()
    outputs = [node, gradient(node, A), gradient(node, B)]
    better = PASSES[name](outputs)
    for before, after in zip(outputs, better, strict=True):
        plain = np.asarray(evaluate(before, values))
        got = np.broadcast_to(evaluate(after, values), plain.shape)
        np.testing.assert_allclose(got, plain, atol=1e-13 * size(before, values) ** 2)
    if name in ("simplify", "reorder", "join_products"):
        assert all(a is b for a, b in zip(PASSES[name](better), better, strict=True))


@given(EXPRESSIONS)
@settings(max_examples=40)
def test_staged_equals_the_whole(node):
    direction = symbol("d", ("n", "k"))
    product = simplify(jvp(gradient(node, A), {A: direction}))
    values = point() | {direction: np.random.default_rng(3).normal(size=(5, 3))}
    early, late = lower_staged([product], [A, B, ROWS], [direction])
    kept = early(values[A], values[B], values[ROWS])
    expected = evaluate(product, values)
    for _ in range(2):  # applying it must not disturb what is kept
        (got,) = late(kept, values[direction])
        np.testing.assert_allclose(got, expected, atol=1e-13 * size(product, values))


@given(EXPRESSIONS)
@settings(max_examples=40)
def test_beside_torch(node):
    torch = pytest.importorskip("torch")
    values = point()
    twins = {s: torch.tensor(v, requires_grad=True) for s, v in values.items()}
    known = dict(twins)
    for x in topological([node]):
        if x not in known:
            inner = [known[i] for i in x.inputs]
            known[x] = torch.tensor(x.value) if x.value is not None else TORCH[x.op](inner, x, torch)
    known[node].sum().backward()
    scale = size(gradient(node, A), values) ** 2
    for s in (A, B):
        expected = np.zeros(values[s].shape) if twins[s].grad is None else twins[s].grad.numpy()
        np.testing.assert_allclose(evaluate(gradient(node, s), values), expected, atol=1e-13 * scale)


def sizes(node):
    return [{"n": 5, "k": 3}.get(d, d) for d in node.params[0]]


TORCH = {
    name: (lambda inner, x, torch, name=name: getattr(torch, name)(*inner))
    for name in ("add", "sub", "mul", "div", "neg", "square", "exp", "log", "log1p", "sqrt", "tanh", "sigmoid", "sin",
                 "cos", "arctan", "erf", "sign", "gt", "where", "logaddexp", "pow")
} | {
    "softplus": lambda i, x, torch: torch.nn.functional.softplus(i[0], threshold=1000),
    "sum": lambda i, x, torch: i[0].sum(dim=x.params[0], keepdim=x.params[1]),
    "softmax": lambda i, x, torch: torch.softmax(i[0], x.params[0]),
    "logsumexp": lambda i, x, torch: torch.logsumexp(i[0], x.params[0], keepdim=x.params[1]),
    "reshape": lambda i, x, torch: i[0].reshape(sizes(x)),
    "broadcast_to": lambda i, x, torch: i[0].expand(sizes(x)),
    "einsum": lambda i, x, torch: torch.einsum(x.params[0], *i),
    "dimension": lambda i, x, torch: torch.tensor(float({"n": 5, "k": 3}[x.params[0]])),
}  # fmt: skip
