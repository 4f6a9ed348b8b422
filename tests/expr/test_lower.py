"""Lowering: one plain function, common subexpressions once, buffers reused only where that is safe."""

import gc
import weakref
from dataclasses import replace

import numpy as np
import pytest

from thalweg import expr
from thalweg.core.errors import InputError, UnsupportedError
from thalweg.expr import Op, evaluate, gradient, lower, lower_staged, simplify, symbol
from thalweg.expr.dialects import dialect_named
from thalweg.expr.lower import write
from thalweg.expr.node import table
from tolerances import arithmetic

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


def written(nodes, inputs, dialect):
    """The text of a lowering, executed on its own."""
    source, constants = write(nodes, inputs, dialect=dialect)
    names = dict(constants)
    exec(source, names)
    return source, names["kernel"]


VARIETY = {
    "elementwise": lambda: (expr.exp(-X) * expr.tanh(Y) + expr.sqrt(expr.square(X) + 1.0) / (2.0 + expr.cos(Y)),
                            [X, Y]),
    "choices": lambda: (expr.where(X > Y, expr.log1p(expr.abs(X)), expr.maximum(Y, 0.1)) + expr.where(X > 0, 0.1, 0.3),
                        [X, Y]),
    "truth values times numbers": lambda: ((X > 0) * 0.1 + expr.minimum(X, 0.7) * (Y < X), [X, Y]),
    "reductions": lambda: (expr.sum(M * W, axis=1, keepdims=True) + expr.max(M, axis=0) - expr.mean(M), [M, W]),
    "softmax": lambda: (expr.softmax(M, axis=1) + expr.logsumexp(M, axis=1, keepdims=True), [M]),
    "products": lambda: (expr.einsum("nd,d,nd->n", M, W, M) + M @ W - expr.einsum("nd->n", M), [M, W]),
    "layouts": lambda: (expr.concatenate([FIXED.T, expr.reshape(FIXED, (2, 3))], axis=0) + expr.broadcast_to(
        FIXED[0, 0], (4, 3)), [FIXED]),
    "slices": lambda: (FIXED[1:, 0] * FIXED[0, -1] + gradient(FIXED[2, 1] * FIXED[:2, 0], FIXED)[0, 0], [FIXED]),
    "special": lambda: (expr.erf(X) + expr.sigmoid(Y) + expr.softplus(X - 30.0 * Y) + expr.relu(Y), [X, Y]),
    "gradient": lambda: (gradient(expr.logsumexp(M @ W, axis=0) + expr.sum(expr.abs(M)), M), [M, W]),
    "sizes": lambda: (expr.sum(X) / expr.sqrt(expr.broadcast_to(expr.mean(expr.exp(Y)), ("n",))), [X, Y]),
    "numbers": lambda: (X * np.inf + Y * -2.5e300 + expr.maximum(X, -1), [X, Y]),
    "arrays held": lambda: (THREE * np.array([0.1, 0.2, 0.3]) + 1.0, [THREE]),
}  # fmt: skip
FIXED, THREE = symbol("fixed", (3, 2)), symbol("three", (3,))


def arguments(inputs):
    rng = np.random.default_rng(3)
    sizes = {"n": 3, "d": 4}
    return [rng.normal(size=[sizes.get(d, d) for d in x.shape]) for x in inputs]


@pytest.mark.parametrize("name", VARIETY)
def test_every_dialect_gives_the_same_values(name):
    node, inputs = VARIETY[name]()
    arrays = arguments(inputs)
    with np.errstate(all="ignore"):
        truth = evaluate(node, dict(zip(inputs, arrays, strict=True)))
        np.testing.assert_allclose(written(node, inputs, "numpy")[1](*arrays), truth, rtol=1e-14)
    torch = pytest.importorskip("torch", reason="the torch extra is not installed")
    _, kernel = written(node, inputs, "torch")
    value = kernel(*[torch.as_tensor(a) for a in arrays])
    assert value.dtype == torch.float64
    np.testing.assert_allclose(value.numpy(), truth, rtol=arithmetic(operations=30))
    if name != "arrays held":  # a held float64 array sets the precision, as it does in NumPy
        single = kernel(*[torch.as_tensor(a, dtype=torch.float32) for a in arrays])
        assert single.dtype == torch.float32


@pytest.mark.parametrize("name", VARIETY)
def test_the_text_for_jax_gives_the_same_values(name):
    jax = pytest.importorskip("jax", reason="JAX is in the bench extra alone")
    node, inputs = VARIETY[name]()
    arrays = arguments(inputs)
    source, kernel = written(node, inputs, "jax")
    assert "thalweg" not in source
    with np.errstate(all="ignore"):
        truth = evaluate(node, dict(zip(inputs, arrays, strict=True)))
    with jax.enable_x64(True):
        value = np.asarray(jax.jit(kernel)(*arrays))
    assert value.dtype == np.float64
    np.testing.assert_allclose(value, truth, rtol=arithmetic(operations=60), atol=arithmetic())


def test_the_text_stands_alone_and_imports_what_it_uses():
    source, constants = write(expr.exp(X) * 2.0, [X])
    assert source.startswith("from numpy import errstate, exp, multiply\n")
    assert not constants
    source, _ = write(expr.exp(X) * 2.0, [X], dialect="torch")
    assert source.startswith("import torch\n")
    assert "numeric" not in source


def test_every_bare_spelling_is_a_function_of_numpy():
    for row in table().values():
        if row.spelling and "{" not in row.spelling:
            assert callable(getattr(np, row.spelling)), row.name


def test_a_row_without_a_spelling_is_named():
    row = Op("nowhere", np.exp, lambda s: s)
    for name in ("numpy", "torch", "jax"):
        with pytest.raises(UnsupportedError, match=f"nowhere cannot be lowered to {name}"):
            dialect_named(name).spelling(row)
    with pytest.raises(InputError, match="'fortran' is unknown"):
        lower(X + 1.0, [X], dialect="fortran")


def test_a_row_s_own_spelling_comes_first():
    row = replace(table()["sin"], torch="cos", jax="jnp.cos({})")
    assert dialect_named("torch").call(row, ["x"], (), []) == "torch.cos(x)"
    assert dialect_named("jax").call(row, ["x"], (), []) == "jnp.cos(x)"


def test_names_of_symbols_hide_nothing():
    names = ("exp", "sum", "lambda", "t1", "torch", "residuals", "dtype", "errstate", "dim_n", "c_0", "device", "float")
    symbols = [symbol(n, ("n",)) for n in names] + [symbol("exp", ())]
    total = expr.exp(symbols[0]) * symbols[-1] + expr.broadcast_to(expr.sum(symbols[1]), ("n",))
    for x in symbols[2:-1]:
        total = total + expr.exp(x) * 2.0
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=(3,)) for _ in names] + [np.float64(0.5)]
    truth = np.exp(arrays[0]) * 0.5 + arrays[1].sum() + 2 * sum(np.exp(a) for a in arrays[2:-1])
    np.testing.assert_allclose(lower(total, symbols)(*arrays), truth, rtol=1e-14)
    torch = pytest.importorskip("torch", reason="the torch extra is not installed")
    kernel = lower(total, symbols, dialect="torch")
    np.testing.assert_allclose(kernel(*[torch.as_tensor(a) for a in arrays]).numpy(), truth, rtol=1e-14)
    with pytest.raises(InputError, match="'sum'"):
        lower(X + 1.0, [X], name="sum")


def test_stages_in_torch():
    torch = pytest.importorskip("torch", reason="the torch extra is not installed")
    v = symbol("v", ("d",))
    product = simplify(expr.hvp(expr.sum(expr.softplus(M @ W)), W, v))
    early, late = lower_staged([product], [M, W], [v], dialect="torch")
    rng = np.random.default_rng(0)
    m, w, direction = rng.normal(size=(20, 3)), rng.normal(size=3), rng.normal(size=3)
    s = 1 / (1 + np.exp(-(m @ w)))
    (value,) = late(early(torch.as_tensor(m), torch.as_tensor(w)), torch.as_tensor(direction))
    np.testing.assert_allclose(value.numpy(), m.T @ (s * (1 - s) * (m @ direction)), rtol=1e-11)


def test_torch_outputs_are_fresh_and_differentiable():
    torch = pytest.importorskip("torch", reason="the torch extra is not installed")
    kernel = lower([X, expr.reshape(X, ("n", 1)), X * 2.0, X * 2.0], [X], dialect="torch")
    x = torch.ones(3, dtype=torch.float64, requires_grad=True)
    outputs = kernel(x)
    pointers = [x.data_ptr(), *[y.data_ptr() for y in outputs]]
    assert len(set(pointers)) == len(pointers)
    (back,) = torch.autograd.grad(lower(expr.sum(expr.exp(X)), [X], dialect="torch")(x), x)
    np.testing.assert_allclose(back.numpy(), np.full(3, np.e), rtol=1e-15)


def test_an_array_held_moves_to_the_arguments_device():
    torch = pytest.importorskip("torch", reason="the torch extra is not installed")
    kernel = lower(THREE * np.arange(3.0), [THREE], dialect="torch")
    assert kernel(torch.ones(3, device="meta")).device.type == "meta"
    held = THREE * torch.ones(3)
    with pytest.raises(InputError, match="dialect='torch'"):
        lower(held, [THREE])
    assert lower(held, [THREE], dialect="torch")(torch.ones(3)).dtype == torch.float32


def test_nothing_of_the_graph_stays_after_lowering():
    gc.disable()
    try:
        x = symbol("passing", (7,))
        held = np.arange(7.0)
        node = expr.exp(x * held)
        kernel = lower(node, [x])
        watched = [weakref.ref(node), weakref.ref(x), weakref.ref(held)]
        del node, x
        assert watched[0]() is None
        assert watched[1]() is None
        del held
        assert watched[2]() is None  # the kernel computes with a copy
        np.testing.assert_array_equal(kernel(np.zeros(7)), np.ones(7))
        assert lower(expr.exp(symbol("passing", (7,)) * np.arange(7.0)), [symbol("passing", (7,))]) is kernel
        del kernel
        assert watched[2]() is None
    finally:
        gc.enable()
