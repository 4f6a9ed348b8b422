"""Lowering: one plain function, common subexpressions once, buffers reused only where that is safe."""

import numpy as np
import pytest

from thalweg import expr
from thalweg.core.errors import InputError
from thalweg.expr import evaluate, gradient, lower, lower_staged, simplify, symbol

X, Y = symbol("x", ("n",)), symbol("y", ("n",))
W, M = symbol("w", ("d",)), symbol("m", ("n", "d"))


def test_shared_work_is_written_once_and_buffers_are_reused():
    kernel = lower([expr.exp(X * Y) + expr.sin(X * Y), X * Y], [X, Y])
    assert kernel.source.count("multiply(") == 1
    assert "out=" in kernel.source
    x = np.linspace(0, 1, 5)
    for value, truth in zip(kernel(x, x), (np.exp(x * x) + np.sin(x * x), x * x), strict=True):
        np.testing.assert_allclose(value, truth, rtol=1e-15)


def test_one_kernel_serves_every_size():
    kernel = lower(expr.mean(X) * expr.broadcast_to(Y[:, None], ("n", 2)), [X, Y])
    for n in (1, 4):
        assert kernel(np.ones(n), np.ones(n)).shape == (n, 2)


def test_outputs_are_fresh_arrays():
    kernel = lower([X, X, X * 2.0, expr.broadcast_to(expr.constant(1.0), ("n",))], [X])
    x = np.ones(3)
    outputs = kernel(x)
    for i, a in enumerate(outputs):
        assert not np.shares_memory(a, x)
        assert a.flags.writeable
        assert not any(np.shares_memory(a, b) for b in outputs[i + 1 :])


def test_views_of_arguments_are_never_written_to():
    square = symbol("q", ("d", "d"))
    x = np.arange(9.0).reshape(3, 3) + 1
    for view in (expr.einsum("ii->i", square), square.T, square.reshape("d", "d"), expr.einsum("ij->ji", square)):
        kernel = lower(expr.exp(-view) * 2.0, [square])
        np.testing.assert_allclose(kernel(x), evaluate(expr.exp(-view) * 2.0, {square: x}))
        np.testing.assert_array_equal(x, np.arange(9.0).reshape(3, 3) + 1)


def test_mixed_precision_never_writes_into_the_smaller_buffer():
    kernel = lower(expr.exp(X * 2.0) * Y, [X, Y])
    value = kernel(np.ones(2, np.float32), np.full(2, 1 / 3))
    assert value.dtype == np.float64


def test_numbers_and_truth_values_never_raise_the_precision():
    x = np.ones(3, np.float32)
    for node in ((X > 0) * 2.0, expr.where(X > 0, 1.5, 0.25), np.log(2.0) * X, np.float64(3.0) * X + (X > 2)):
        assert lower(simplify(node), [X])(x).dtype == np.float32


def test_a_gradient_of_a_linear_model_is_two_products():
    loss = expr.sum(expr.softplus(-Y * (M @ W)))
    kernel = lower(simplify(gradient(loss, W)), [M, W, Y])
    rng = np.random.default_rng(0)
    m, w, y = rng.normal(size=(20, 3)), rng.normal(size=3), np.sign(rng.normal(size=20))
    margins = y * (m @ w)
    np.testing.assert_allclose(kernel(m, w, y), -(m.T @ (y / (1 + np.exp(margins)))), rtol=1e-12)
    assert kernel.source.count(".dot(") == 2


def test_equal_structures_share_a_kernel():
    assert lower(X * Y + 1.0, [X, Y]) is lower(X * Y + 1.0, [X, Y])
    assert lower(X * Y + 1.0, [X, Y]) is not lower(X * Y + 1.0, [Y, X])


def test_a_missing_input_is_named():
    with pytest.raises(InputError, match="y"):
        lower(X * Y, [X])
    with pytest.raises(InputError, match="'d'"):
        lower(expr.broadcast_to(expr.sum(X), ("d",)), [X])


def test_a_hessian_product_is_linearised_once():
    loss = expr.sum(expr.softplus(M @ W))
    v = symbol("v", ("d",))
    early, late = lower_staged([simplify(expr.hvp(loss, W, v))], [M, W], [v])
    assert "exp(" in early.source
    assert "exp(" not in late.source
    rng = np.random.default_rng(0)
    m, w, direction = rng.normal(size=(20, 3)), rng.normal(size=3), rng.normal(size=3)
    s = 1 / (1 + np.exp(-(m @ w)))
    (product,) = late(early(m, w), direction)
    np.testing.assert_allclose(product, m.T @ (s * (1 - s) * (m @ direction)), rtol=1e-11)


def test_contractions_through_matrix_products_equal_einsum():
    rng = np.random.default_rng(0)
    for subscripts, shapes in {
        "ij,jk->ik": ((2, 3), (3, 4)), "ji,jk->ki": ((3, 2), (3, 4)), "ij,kj->ik": ((2, 3), (4, 3)),
        "ij,j->i": ((2, 3), (3,)), "j,ij->i": ((3,), (2, 3)), "i,i->": ((3,), (3,)), "i,j->ij": ((2,), (3,)),
        "ij,ij->i": ((2, 3), (2, 3)), "ii->": ((3, 3),), "bij,bjk->bik": ((2, 3, 4), (2, 4, 5)),
        "ij,jk,kl->il": ((2, 3), (3, 4), (4, 5)), "ij,ij->": ((2, 3), (2, 3)),
    }.items():  # fmt: skip
        arrays = [rng.normal(size=s) for s in shapes]
        np.testing.assert_allclose(
            expr.numeric.contract(subscripts, *arrays), np.einsum(subscripts, *arrays), rtol=1e-12, atol=1e-14
        )


def test_negative_and_special_numbers_are_written_as_such():
    x = np.array([1.0, -2.0])
    for number in (-2.5, np.inf, -np.inf, 1e300, -1):
        np.testing.assert_array_equal(lower(X * number, [X])(x), x * number)
