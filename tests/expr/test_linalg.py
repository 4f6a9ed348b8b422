"""Rows of linear algebra beside central differences and closed forms; eager, lazy, on tensors, in stacks."""

import numpy as np
import pytest
import scipy.linalg

from expr.linalg_cases import (
    CASES,
    POSITIVE,
    RIGHT,
    SPECTRUM,
    apply,
    directions,
    dot,
    matrix,
    normal,
    rotation,
    slope,
    symmetric,
)
from thalweg import expr
from thalweg.core.errors import InputError, UnsupportedError
from thalweg.expr import evaluate, gradient, symbol
from thalweg.expr import namespace_linalg as linalg
from thalweg.expr.namespace import call
from thalweg.expr.node import build, table
from thalweg.expr.ops import LINALG
from thalweg.expr.transforms import grad, hvp, jvp, vjp
from tolerances import five_points, matrices


def test_every_row_is_in_the_register():
    assert {case[0] for case in CASES.values()} | {"matrix_rank"} == set(LINALG)
    assert set(LINALG) <= set(table())


@pytest.mark.parametrize("label", CASES)
def test_forward_and_reverse_beside_central_differences(label):
    function, inputs, along = apply(label), CASES[label][1], directions(label, 10)
    value, tangent = jvp(function, inputs, along)
    expected = slope(function, inputs, along)
    np.testing.assert_allclose(tangent, expected, atol=five_points() * (1 + np.abs(expected).max()))
    weights = normal(*value.shape)
    _, pull = vjp(function, *inputs)
    pulled = pull(weights)
    size = np.abs(weights * tangent).sum()
    np.testing.assert_allclose(dot(pulled, along), np.sum(weights * tangent), atol=matrices(size=4) * (1 + size))
    if CASES[label][3]:
        np.testing.assert_array_equal(pulled[0], pulled[0].swapaxes(-1, -2))


@pytest.mark.parametrize("label", CASES)
def test_second_order_forward_and_reverse_over_reverse(label):
    function, inputs, along = apply(label), CASES[label][1], directions(label, 20)
    weights = normal(*function(*inputs).shape)

    def weighted(*x):
        return expr.sum(function(*x) * weights)

    other = directions(label, 30)
    for i in range(len(inputs)):
        first = grad(weighted, i)
        _, tangent = jvp(first, inputs, along)
        expected = slope(lambda *x, first=first: first(*x), inputs, along)
        np.testing.assert_allclose(tangent, expected, atol=20 * five_points() * (1 + np.abs(expected).max()))
        _, pull = vjp(first, *inputs)
        size = np.abs(other[i] * tangent).sum()
        twice = dot(pull(other[i]), along)
        np.testing.assert_allclose(twice, np.sum(other[i] * tangent), atol=10 * matrices(size=4) * (1 + size))


@pytest.mark.parametrize("label", CASES)
@pytest.mark.parametrize("single", [False, True], ids=["stack", "matrix"])
def test_lazy_and_lowered_agree_with_eager(label, single):
    row, inputs, params, _ = CASES[label]
    inputs = [x[0] for x in inputs] if single else inputs
    symbols = [symbol(f"x{i}", x.shape) for i, x in enumerate(inputs)]
    node = build(row, *symbols, params=params)
    value, pull = vjp(apply(label), *inputs)
    weights = normal(*value.shape)
    assert node.shape == value.shape
    weight = symbol("weight", weights.shape)
    slopes = [gradient(node * weight, s) for s in symbols]
    symbols, inputs = [*symbols, weight], [*inputs, weights]
    expected = [value, *pull(weights)]
    kernel = expr.lower(expr.simplify_all([node, *slopes]), symbols)
    walked = [evaluate(x, dict(zip(symbols, inputs, strict=True))) for x in (node, *slopes)]
    for got in (kernel(*inputs), walked):
        for x, y in zip(got, expected, strict=True):
            assert x.shape == y.shape
            np.testing.assert_allclose(x, y, atol=matrices(size=4) * (1 + np.abs(y).max()))
    for x in kernel(*[x.astype(np.float32) for x in inputs]):
        assert x.dtype == np.float32


@pytest.mark.parametrize("label", CASES)
def test_float32_stays_float32(label):
    inputs = CASES[label][1]
    lean = [x.astype(np.float32) for x in inputs]
    value, pull = vjp(apply(label), *lean)
    exact, pull_exactly = vjp(apply(label), *inputs)
    weights = normal(*value.shape)
    assert value.dtype == np.float32
    if CASES[label][0] in ("eigh", "svd"):  # signs may differ between precisions
        value, exact, weights = value**2, exact**2, np.zeros(value.shape)
    np.testing.assert_allclose(value, exact, atol=matrices(10, np.float32, 4) * (1 + np.abs(exact).max()))
    for x, y in zip(pull(weights.astype(np.float32)), pull_exactly(weights), strict=True):
        assert x.dtype == np.float32
        np.testing.assert_allclose(x, y, atol=matrices(100, np.float32, 4) * (1 + np.abs(y).max()))


@pytest.mark.parametrize("label", CASES)
def test_batch_rule_beside_a_loop(label):
    row, inputs, params, _ = CASES[label]
    rule = table()[row].batch
    choices = [(True,)] if len(inputs) == 1 else [(True, True), (False, True), (True, False)]
    for stacked in (False, True):
        base = inputs if stacked else [x[0] for x in inputs]
        for batched in choices:
            many = [np.stack([x, 1.1 * x, 0.9 * x]) if b else x for x, b in zip(base, batched, strict=True)]
            node = build(row, *[symbol(f"x{i}", x.shape) for i, x in enumerate(base)], params=params)
            got = rule(node, [expr.variable(x) for x in many], batched).value
            each = [call(row, *[x[i] if b else x for x, b in zip(many, batched, strict=True)], params=params)
                    for i in range(3)]  # fmt: skip
            np.testing.assert_allclose(got, np.stack(each), atol=matrices(10, size=4) * (1 + np.abs(got).max()))


def test_one_matrix_and_a_batch_of_vectors():
    a, b = matrix(), normal(3, 4)
    for row, params in (("solve", ()), ("solve_triangular", (True, False, False))):
        node = build(row, symbol("a", (4, 4)), symbol("b", (4,)), params=params)
        for batched in ((False, True), (True, False), (True, True)):
            many_a = np.stack([a, a.T, a + np.eye(4)]) if batched[0] else a
            many_b = b if batched[1] else b[0]
            got = table()[row].batch(node, [expr.variable(many_a), expr.variable(many_b)], batched).value
            for i in range(3):
                one = call(row, many_a[i] if batched[0] else a, many_b[i] if batched[1] else many_b, params=params)
                np.testing.assert_allclose(got[i], one, atol=matrices(10, size=4))


def test_ill_conditioned_matrices_lose_no_more_than_their_condition():
    spectrum = np.array([1.0, 1e-1, 1e-3, 1e-4])
    u, v = rotation(4, 0), rotation(4, 1)
    a, weights, b = u * spectrum @ v.T, normal(4, 4), normal(4)
    inverse = v / spectrum @ u.T
    tolerance = matrices(1e4, size=4)
    slope_of_inverse = -inverse.T @ weights @ inverse.T
    got = grad(lambda x: expr.sum(linalg.inv(x) * weights))(a)
    np.testing.assert_allclose(got, slope_of_inverse, atol=tolerance * np.abs(slope_of_inverse).max())
    np.testing.assert_allclose(grad(linalg.logdet if np.linalg.det(a) > 0 else lambda x: linalg.slogdet(x)[1])(a),
                               inverse.T, atol=tolerance * np.abs(inverse).max())  # fmt: skip
    x = inverse @ b
    pulled = -np.outer(inverse.T @ np.ones(4), x)
    got = grad(lambda m: expr.sum(linalg.solve(m, b)))(a)
    np.testing.assert_allclose(got, pulled, atol=tolerance * np.abs(pulled).max())
    s = u * spectrum @ u.T
    chol = vjp(linalg.cholesky, s)[1](weights)[0]
    expected = scipy_cholesky_slope(s, weights)
    np.testing.assert_allclose(chol, expected, atol=tolerance * np.abs(expected).max())


def scipy_cholesky_slope(a, weights):
    """The gradient of <weights, cholesky(a)> by solving the linear system L dL' + dL L' = dA for every dA."""
    n = len(a)
    factor = scipy.linalg.cholesky(a, lower=True)
    lower = np.tril_indices(n)
    columns = []
    for i, j in zip(*lower, strict=True):
        d = np.zeros((n, n))
        d[i, j] = 1
        columns.append((factor @ d.T + d @ factor.T)[lower])
    system = np.array(columns).T
    out = np.zeros((n, n))
    for i in range(n):
        for j in range(n):
            d = np.zeros((n, n))
            d[i, j] += 0.5
            d[j, i] += 0.5
            out[i, j] = np.linalg.solve(system, d[lower]) @ weights[lower]
    return out


def test_det_of_singular_matrices():
    for rank in (0, 1, 2, 3):
        spectrum = np.where(np.arange(4) < rank, SPECTRUM, 0)
        a = matrix(spectrum=spectrum)
        t, u = normal(4, 4), normal(4, 4, seed=8)
        # det(a + x t) is a polynomial of degree 4 in x: its coefficients by interpolation
        at = np.array([-2.0, -1.0, 0.0, 1.0, 2.0])

        def coefficient(k, direction, a=a, at=at):
            return np.linalg.solve(np.vander(at, increasing=True), [np.linalg.det(a + x * direction) for x in at])[k]

        np.testing.assert_allclose(np.sum(grad(linalg.det)(a) * t), coefficient(1, t), atol=1e-10)
        product = hvp(linalg.det)(a, t)
        np.testing.assert_allclose(np.sum(product * t), 2 * coefficient(2, t), atol=1e-10)
        mixed = coefficient(2, t + u) - coefficient(2, t) - coefficient(2, u)
        np.testing.assert_allclose(np.sum(product * u), mixed, atol=1e-10)
    with pytest.raises(InputError, match="inv of a matrix"):  # a third derivative goes by way of the inverse
        jvp(lambda x: hvp(linalg.det)(x, t), [np.zeros((4, 4))], [t])


def test_facts_that_the_simplifier_relies_on():
    a, b = symbol("a", ("n", "n")), symbol("b", ("n",))
    values = {a: POSITIVE[0], b: RIGHT[0, :, 0]}
    for first, second in (
        (expr.matmul(linalg.inv(a), b), linalg.solve(a, b)),
        (expr.log(linalg.det(a)), linalg.logdet(a)),
        (linalg.inv(linalg.inv(a)), a),
        (linalg.det(a.T), linalg.det(a)),
        (linalg.inv(a.T), linalg.inv(a).T),
        (linalg.det(linalg.inv(a)), 1 / linalg.det(a)),
    ):
        assert first.shape == second.shape
        tolerance = matrices(10, size=4)
        np.testing.assert_allclose(evaluate(first, values), evaluate(second, values), atol=tolerance * 10)
        np.testing.assert_allclose(evaluate(gradient(first, a), values), evaluate(gradient(second, a), values),
                                   atol=tolerance * 10)  # fmt: skip


def test_symbolic_sizes_work_where_matrices_are_square():
    a, b = symbol("a", ("n", "n")), symbol("b", ("n", "k"))
    for node in (
        linalg.inv(a) @ b, linalg.solve(a, b), linalg.cholesky(a) @ b, linalg.det(a) * b, linalg.slogdet(a)[1] * b,
        linalg.logdet(a) * b, linalg.expm(a) @ b, linalg.solve_triangular(a, b, lower=True), linalg.pinv(a) @ b,
    ):  # fmt: skip
        kernel = expr.lower([node, gradient(node, a)], [a, b])
        for size in (2, 3):
            value, pulled = kernel(symmetric(1, SPECTRUM[-size:]), normal(size, 2))
            assert value.shape == (size, 2) and pulled.shape == (size, size)
    assert linalg.eigvalsh(a).shape == ("n",)
    for function in (linalg.eigh, linalg.qr, lambda x: linalg.svd(x, full_matrices=False)):
        with pytest.raises(UnsupportedError, match="symbolic"):
            function(a)


@pytest.mark.parametrize("label", CASES)
def test_tensors_agree_with_arrays(label):
    torch = pytest.importorskip("torch")
    row, inputs, _, _ = CASES[label]
    value, pull = vjp(apply(label), *inputs)
    got, pull_tensors = vjp(apply(label), *[torch.tensor(x) for x in inputs])
    weights = normal(*value.shape)
    if row in ("eigh", "svd"):  # the libraries choose signs: align the columns
        columns = np.sign(np.sum(value[:, 1:] * got.numpy()[:, 1:], axis=1, keepdims=True))
        if row == "svd":
            m = inputs[0].shape[-2]
            columns = np.sign(np.sum(value[:, :m] * got.numpy()[:, :m], axis=1, keepdims=True))
        signs = np.broadcast_to(columns, value.shape).copy()
        signs[:, inputs[0].shape[-2] if row == "svd" else 0] = 1
        np.testing.assert_allclose(got.numpy() * signs, value, atol=matrices(10, size=4) * (1 + np.abs(value).max()))
        pulled = pull_tensors(torch.tensor(weights * signs))
    else:
        np.testing.assert_allclose(got.numpy(), value, atol=matrices(10, size=4) * (1 + np.abs(value).max()))
        pulled = pull_tensors(torch.tensor(weights))
    for x, y in zip(pulled, pull(weights), strict=True):
        np.testing.assert_allclose(x.numpy(), y, atol=matrices(50, size=4) * (1 + np.abs(y).max()))


def test_flops_are_those_of_lapack():
    a, b, tall = symbol("a", (10, 10)), symbol("b", (10, 3)), symbol("t", (20, 10))
    for node, count in (
        (build("inv", a), 2000), (build("solve", a, b), 2000 // 3 + 600), (build("cholesky", a), 1000 // 3),
        (build("solve_triangular", a, b, params=(True, False, False)), 300), (build("det", a), 2000 // 3),
        (build("svd", tall), 14 * 2000 + 8000), (build("qr", tall), 8000 - 4000 // 3), (build("eigh", a), 9000),
        (build("inv", symbol("c", (7, 10, 10))), 14000),
    ):  # fmt: skip
        assert table()[node.op].flops(node) == count


@pytest.mark.parametrize("label", CASES)
def test_jax_has_the_same_values(label):
    pytest.importorskip("jax", reason="jax is a peer of the benchmarks and needed nowhere else")
    from jax import enable_x64

    row, inputs, params, _ = CASES[label]
    symbols = [symbol(f"x{i}", x.shape) for i, x in enumerate(inputs)]
    node = build(row, *symbols, params=params)
    if not table()[row].jax:
        with pytest.raises(UnsupportedError, match=f"{row} cannot be lowered to jax"):
            expr.lower(node, symbols, dialect="jax")
        return
    with enable_x64(True):
        got = np.asarray(expr.lower(node, symbols, dialect="jax")(*inputs))
    value = call(row, *inputs, params=params)
    if row in ("eigh", "svd"):
        got, value = np.abs(got), np.abs(value)
    np.testing.assert_allclose(got, value, atol=matrices(10, size=4) * (1 + np.abs(value).max()))
