"""Rewrite rules: each gives the form expected, keeps the value up to the domain's edges, and is done after one go."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thalweg import expr
from thalweg.expr import evaluate, gradient, hvp, jvp, simplify, simplify_all, symbol
from thalweg.expr.node import build, constant
from thalweg.expr.walk import topological
from tolerances import arithmetic, solve

X, Y = symbol("x", (3,)), symbol("y", (3,))
S = symbol("s")
A, B, C = symbol("A", (3, 3)), symbol("B", (3, 3)), symbol("C", ("n", 3))
D = symbol("d", ("n",))
SIGN = symbol("t", (3,), "+-1")
COUNT = symbol("c", (3,), "count")
LINE = np.array([-800.0, -2.0, -1.0, -1e-9, 0.0, 1e-9, 0.5, 3.0, 800.0])
POSITIVE = np.array([0.0, 1e-300, 1e-9, 0.5, 1.0, 7.0, 1e150])
NUMBER = expr.constant(2.0)


def eye(n=3):
    return build("eye", params=(n,))


def filled(value, shape=(3,)):
    return expr.broadcast_to(constant(value), shape)


def row(x):
    return expr.reshape(x, (1, 3))


def column(x):
    return expr.reshape(x, (3, 1))


def power(x, p):
    return build("pow", x, p)


# (as written, as expected, the numbers to try)
ELEMENTWISE = [
    (X + 0.0, X, LINE),
    (0.0 - X, -X, LINE),
    (X - X, filled(0.0), LINE),
    (X + X, 2.0 * X, LINE),
    (X + 2.0 * X, 3.0 * X, LINE),
    (2.0 * X - X, X, LINE),
    (2.0 * X - 2.0 * X, filled(0.0), LINE),
    (5.0 * X - (-X), 6.0 * X, LINE),
    (X + (-Y), X - Y, LINE),
    (expr.neg(expr.neg(X)), X, LINE),
    (X * 1.0, X, LINE),
    (X / 4.0, 0.25 * X, LINE),
    (2.0 * (3.0 * X), 6.0 * X, LINE),
    ((-X) * (-Y), X * Y, LINE),
    (X * X, expr.square(X), LINE),
    (power(X, 1), X, LINE),
    (power(X, 2), expr.square(X), LINE),
    (power(X, 0), filled(1.0), LINE),
    (power(power(X, 2), 3), power(X, 6.0), LINE[1:-1]),
    (power(power(X, 3), -1), 1.0 / power(X, 3), LINE[1:-1]),
    (power(expr.sqrt(COUNT), 4), expr.square(COUNT), POSITIVE),
    (power(-X, 3), -power(X, 3), LINE),
    (power(-X, 4), power(X, 4), LINE),
    (power(expr.exp(X), 0.5), expr.exp(0.5 * X), LINE[1:-1]),
    (expr.square(expr.sqrt(COUNT)), COUNT, POSITIVE),
    (expr.sqrt(expr.square(X)), expr.abs(X), LINE),
    (expr.sqrt(expr.exp(X)), expr.exp(0.5 * X), LINE[1:-1]),
    (expr.sqrt(power(X, 8)), power(X, 4.0), LINE[1:-1]),
    (expr.log(expr.exp(X)), X, LINE[[1, 2, 4, 6, 7]]),
    (expr.log(expr.sqrt(COUNT)), 0.5 * expr.log(COUNT), POSITIVE),
    (expr.log(power(COUNT, 3)), 3.0 * expr.log(COUNT), POSITIVE[2:-1]),
    (expr.log1p(expr.expm1(X)), X, LINE[3:-1]),
    (expr.log(1.0 + expr.exp(X)), expr.softplus(X), LINE[1:-1]),
    (expr.log(expr.sigmoid(X)), -expr.softplus(-X), LINE[1:]),
    (1.0 - expr.sigmoid(X), expr.sigmoid(-X), LINE),
    (1.0 / (1.0 + expr.exp(-X)), expr.sigmoid(X), LINE[1:]),
    (expr.exp(X) / expr.exp(X), filled(1.0), LINE[1:-1]),
    (expr.log(expr.exp(X) + expr.exp(Y)), expr.logaddexp(X, Y), LINE[1:-1]),
    (expr.maximum(X, 0.0), expr.relu(X), LINE),
    (expr.relu(expr.exp(X)), expr.exp(X), LINE),
    (expr.abs(-X), expr.abs(X), LINE),
    (SIGN * SIGN * X, X, LINE),
    (expr.where(~(X > 0), X, Y), expr.where(X > 0, Y, X), LINE),
    (filled(2.0) + filled(3.0), filled(5.0), LINE),
    (X * filled(2.0), 2.0 * X, LINE),
    (-filled(2.0), filled(-2.0), LINE),
    (expr.where(X > 0, filled(2.0), filled(2.0)), filled(2.0), LINE),
    (X + expr.broadcast_to(S, (3,)), X + S, LINE),
    (X * expr.broadcast_to(expr.reshape(S, (1,)), (3,)), X * S, LINE),
    (build("identity", X, params=(7,)) * 1.0, X, LINE),
    (C * expr.broadcast_to(row(X), ("n", 3)), C * X, LINE),
    (X - Y - (X - Y), filled(0.0), LINE),
]

STRUCTURAL = [
    (expr.sum(-C, axis=0), -expr.sum(C, axis=0)),
    (expr.sum(2.0 * C, axis=0), 2.0 * expr.sum(C, axis=0)),
    (expr.sum(C * S), S * expr.sum(C)),
    (expr.sum(C / S), expr.sum(C) / S),
    (expr.sum(expr.sum(C, axis=0)), expr.sum(C)),
    (expr.sum(expr.sum(C, axis=1, keepdims=True), axis=0, keepdims=True), expr.sum(C, keepdims=True)),
    (expr.sum(C.T, axis=0), expr.sum(C, axis=1)),
    (expr.sum(row(X), axis=0), X),
    (expr.sum(filled(2.0)), constant(6.0)),
    (expr.sum(expr.broadcast_to(X, (5, 3)), axis=0), 5.0 * X),
    (expr.sum(filled(2.0, (4, 3)), axis=1), filled(6.0, (4,))),
    (expr.sum(C * D[:, None], axis=0), expr.einsum("ab,a->b", C, D)),
    (expr.sum(A * B), expr.einsum("ab,ab->", A, B)),
    (expr.sum(A @ B, axis=0), expr.einsum("ab,bc->c", A, B)),
    ((A @ B).T, expr.einsum("ab,bc->ca", A, B)),
    (A.T @ B, expr.einsum("ab,ac->bc", A, B)),
    (A @ B.T, expr.einsum("ab,cb->ac", A, B)),
    (A.T.T, A),
    ((2.0 * A).T, 2.0 * A.T),
    ((2.0 * A) @ X, 2.0 * expr.einsum("ab,b->a", A, X)),
    ((-A) @ X, -expr.einsum("ab,b->a", A, X)),
    (A @ (B * S), S * expr.einsum("ab,bc->ac", A, B)),
    ((A / S) @ X, expr.einsum("ab,b->a", A, X) / S),
    (expr.einsum("ij,jk->ik", A, eye()), A),
    (expr.einsum("ij,kj->ki", A, eye()), A.T),
    (eye() @ X, X),
    (eye().T @ A, A),
    (expr.einsum("ij,ij->", A, eye()), expr.trace_of(A)),
    (A @ (eye() * X), A * X),
    (A @ (X * eye()) @ Y, (A * X) @ Y),
    (expr.einsum("ij,jk,kl->il", C.T, eye("n") * D, C), expr.einsum("ab,a,ac->bc", C, D, C)),
    (expr.sum(eye() * A), expr.trace_of(A)),
    (A @ filled(1.0), expr.sum(A, axis=1)),
    (A @ filled(2.0), 2.0 * expr.sum(A, axis=1)),
    (
        expr.einsum("ij,jk->ik", A, filled(1.0, (3, 4))),
        expr.broadcast_to(expr.reshape(expr.sum(A, axis=1), (3, 1)), (3, 4)),
    ),
    (A @ column(X), expr.reshape(expr.einsum("ab,b->a", A, X), (3, 1))),
    (row(X) @ A @ column(Y), None),
    (expr.einsum("ij->ji", A), A.T),
    (expr.einsum("ij->j", A), expr.sum(A, axis=0)),
    (expr.einsum("kl,lm->km", A, B), A @ B),
    (expr.reshape(expr.reshape(A, (9,)), (3, 3)), A),
    (expr.reshape(filled(2.0), (3, 1)), filled(2.0, (3, 1))),
    (expr.max(filled(2.0)), constant(2.0)),
    (filled(2.0)[0:2], filled(2.0, (2,))),
    (expr.concatenate([X]), X),
    (expr.concatenate([filled(2.0), filled(2.0)]), filled(2.0, (6,))),
    (expr.einsum("i,->i", X, S), S * X),
    (build("take", build("place", S, params=((1,), (3,))), params=((1,),)), S),
    (expr.log(expr.sum(expr.exp(A), axis=1)), expr.logsumexp(A, axis=1)),
    (expr.log(expr.softmax(A)), A - expr.logsumexp(A, keepdims=True)),
]


def text(node):
    return "\n".join(f"{x.op} {x.params} {[i.name for i in x.inputs]}" for x in topological([node]))


def leaves(*nodes):
    return [x for x in topological(nodes) if x.op == "symbol"]


def drawn(nodes, seed, n=4):
    rng = np.random.default_rng(seed)
    values = {}
    for x in leaves(*nodes):
        shape = [n if isinstance(d, str) else d for d in x.shape]
        value = rng.normal(size=shape)
        values[x] = {"+-1": np.sign(value), "count": np.abs(value)}.get(x.domain, value)
    return values


def size(node, values):
    """Largest number on the way: what cancellation can lose precision against."""
    sizes = [1.0]
    for x in topological([node]):
        found = np.abs(np.asarray(evaluate(x, values), dtype=float))
        sizes.append(float(np.max(found[np.isfinite(found)], initial=0.0)))
    return max(sizes)


@pytest.mark.parametrize("written, expected, line", ELEMENTWISE, ids=range(len(ELEMENTWISE)))
def test_elementwise_rules(written, expected, line):
    better = simplify(written)
    assert better is simplify(expected), f"{text(better)}\n\n{text(simplify(expected))}"
    assert simplify(better) is better
    for seed in range(3):
        values = {}
        for i, x in enumerate(leaves(written, expected)):
            numbers = np.resize(np.roll(line, -3 * i - seed), [4 if d == "n" else d for d in x.shape])
            values[x] = {"+-1": np.where(numbers < 0, -1.0, 1.0), "count": np.abs(numbers)}.get(x.domain, numbers)
        with np.errstate(all="ignore"):
            truth, got = evaluate(written, values), evaluate(better, values)
        finite = np.isfinite(truth)
        np.testing.assert_allclose(
            np.broadcast_to(got, truth.shape)[finite], truth[finite], rtol=arithmetic(operations=16), atol=1e-300
        )


@pytest.mark.parametrize("written, expected", STRUCTURAL, ids=range(len(STRUCTURAL)))
def test_structural_rules(written, expected):
    better = simplify(written)
    if expected is not None:
        assert better is simplify(expected), f"{text(better)}\n\n{text(simplify(expected))}"
    assert better.shape == written.shape
    assert simplify(better) is better
    for seed in range(3):
        values = drawn([written], seed)
        np.testing.assert_allclose(
            np.broadcast_to(evaluate(better, values), np.shape(evaluate(written, values))), evaluate(written, values),
            rtol=arithmetic(operations=32), atol=arithmetic(operations=32) * size(written, values),
        )  # fmt: skip


def test_a_sum_over_an_axis_of_unknown_size_counts_it():
    better = simplify(expr.sum(filled(2.0, ("n", 3))))
    assert [x.op for x in topological([better])] == ["constant", "dimension", "mul"]
    np.testing.assert_allclose(evaluate(better + expr.sum(0.0 * D), {D: np.ones(4)}), 24.0)


def test_a_hessian_comes_out_as_it_is_written_by_hand():
    x, v = symbol("x", (3,)), symbol("v", (3,))
    quadratic = expr.einsum("i,ij,j->", x, A, x)
    columns = simplify(jvp(gradient(quadratic, x), {x: v}))
    assert "x" not in [n.name for n in topological([columns])]
    loss = expr.sum(expr.softplus(expr.einsum("nd,d->n", C, x)))
    product = simplify(hvp(loss, x, v))
    assert [n.op for n in topological([product]) if n.op == "einsum"] == ["einsum"] * 3


LINALG = [
    (build("inv", A) @ X, build("solve", A, X)),
    (build("inv", A) @ B, build("solve", A, B)),
    (X @ build("inv", A), build("solve", A.T, X)),
    (B @ build("inv", A), build("solve", A.T, B.T).T),
    (build("inv", A).T @ X, build("solve", A.T, X)),
    (build("inv", 2.0 * A), build("inv", A) / 2.0),
    (build("inv", A.T), build("inv", A).T),
    (build("det", A.T), build("det", A)),
    (build("det", build("inv", A)), 1.0 / build("det", A)),
    (build("logdet", build("inv", A)), -build("logdet", A)),
    (expr.log(build("det", A)), build("logdet", A)),
    (build("solve", A, 2.0 * X), 2.0 * build("solve", A, X)),
    (-build("inv", -A), build("inv", A)),
]


@pytest.mark.parametrize("written, expected", LINALG, ids=range(len(LINALG)))
def test_linear_algebra_rules(written, expected):
    better = simplify(written)
    assert better is simplify(expected), f"{text(better)}\n\n{text(simplify(expected))}"
    assert simplify(better) is better
    for seed in range(3):
        values = drawn([written], seed)
        values[A] = values[A] @ values[A].T + 0.1 * np.eye(3)  # a positive determinant
        truth = evaluate(written, values)
        error = solve(np.linalg.cond(values[A]), size=3) * np.max(np.abs(truth)) * size(written, values)
        np.testing.assert_allclose(evaluate(better, values), truth, atol=error)


def test_whole_numbers_stay_whole_and_truth_values_true():
    count = symbol("k", (3,), "class")
    for node in (count - count, count * 0, count + 0, (count > 1) & (count > 1)):
        assert simplify(node).kind == node.kind


def test_arrays_closed_over_meet_in_one():
    signs = np.array([1.0, -1.0, 0.5])
    better = simplify(signs * expr.tanh(X) * signs)
    assert [x.op for x in topological([better]) if x.inputs] == ["tanh", "mul"]
    np.testing.assert_allclose(evaluate(better, {X: np.ones(3)}), np.square(signs) * np.tanh(1.0))


def test_constant_subgraphs_are_computed_as_they_are_built():
    weights = np.arange(9.0).reshape(3, 3)
    node = constant(weights) @ np.ones(3) + X
    assert [x.op for x in topological([node]) if x.inputs] == ["add"]
    assert expr.sum(filled(2.0)).op == "sum"
    assert simplify(expr.sum(filled(2.0))).op == "constant"


LEAVES = st.sampled_from(
    [A, B, A.T, 1.0 * eye(), constant(1.5), filled(2.0, (3, 3)), expr.broadcast_to(X, (3, 3)), -A, 2.0 * B]
)
MOVES = st.sampled_from(
    [
        lambda x: x.T,
        lambda x: -x,
        lambda x: 2.0 * x,
        lambda x: x / 4.0,
        lambda x: expr.sum(x, axis=0, keepdims=True) + x,
        lambda x: expr.broadcast_to(expr.sum(x, axis=1), (3, 3)),
        lambda x: expr.reshape(expr.reshape(x, (9,)), (3, 3)),
        lambda x: expr.broadcast_to(expr.einsum("ii->i", x)[:, None], (3, 3)),
        lambda x: x * S,
        lambda x: x / (2.0 + S * S),
        lambda x: expr.sum(x) + A,
        lambda x: expr.einsum("ij->ji", x),
        lambda x: expr.reshape(x @ column(X), (3,)) + B,
        lambda x: x[0:2].sum(axis=0) + B,
        lambda x: expr.concatenate([x, x])[1:4],
        lambda x: expr.where(A > 0, x, 0.0),
    ]
)
JOINS = st.sampled_from(
    [
        lambda a, b: a @ b,
        lambda a, b: a + b,
        lambda a, b: a - b,
        lambda a, b: a * b,
        lambda a, b: expr.einsum("ij,kj->ik", a, b),
        lambda a, b: expr.einsum("ij,ij->j", a, b) + A,
        lambda a, b: expr.einsum("ij,ij,ij->i", a, b, A)[:, None] + B,
        lambda a, b: expr.sum(a[:, None] * b, axis=2),
        lambda a, b: expr.einsum("ij,kl->il", a, b),
    ]
)


def joined(t):
    a, b = [expr.broadcast_to(x, (3, 3)) for x in t[1:]]
    return t[0](a, b)


MATRICES = st.recursive(
    LEAVES.map(lambda x: expr.broadcast_to(x, (3, 3))),
    lambda inner: st.one_of(
        st.tuples(MOVES, inner).map(lambda t: t[0](t[1])), st.tuples(JOINS, inner, inner).map(joined)
    ),
    max_leaves=6,
)


@given(MATRICES)
@settings(max_examples=150)
def test_random_matrix_expressions_keep_their_value_and_are_done_after_one_go(node):
    better = simplify(node)
    assert better.shape == node.shape
    assert simplify(better) is better
    values = drawn([node, better], 0) | drawn([A], 0)
    scale = size(node, values)
    np.testing.assert_allclose(
        np.broadcast_to(evaluate(better, values), np.shape(evaluate(node, values))), evaluate(node, values),
        atol=arithmetic(operations=64) * scale * scale,
    )  # fmt: skip


@given(MATRICES)
@settings(max_examples=60)
def test_so_do_their_gradients(node):
    slopes = [gradient(node, A), gradient(node, X)]
    better = simplify_all(slopes)
    again = simplify_all(better)
    for before, after, third in zip(slopes, better, again, strict=True):
        assert third is after
        values = drawn([node, before, after], 1) | drawn([A, X], 1)
        scale = size(before, values)
        np.testing.assert_allclose(
            np.broadcast_to(evaluate(after, values), np.shape(evaluate(before, values))), evaluate(before, values),
            atol=arithmetic(operations=64) * scale * scale,
        )  # fmt: skip
