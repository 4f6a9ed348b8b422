"""Compiled functions beside the same functions run by NumPy: values, derivatives, precisions, structures, errors."""

import gc
import threading
import weakref

import numpy as np
import pytest
import torch

import thalweg.numpy as tnp
from thalweg import InputError, UnsupportedError, expr
from thalweg.expr import call, fuse
from thalweg.expr.compiled import compile
from thalweg.expr.transforms import grad, hvp, value_and_grad
from tolerances import COMPILED

rng = np.random.default_rng(7)
X, y = rng.normal(size=(12, 5)), np.sign(rng.normal(size=12))
w = rng.normal(size=5)
M = rng.normal(size=(5, 5))


def logistic(w):
    return tnp.mean(tnp.logaddexp(0.0, -y * (X @ w)))


CASES = {
    "tanh": (np.tanh, (0.3,)),
    "scalar chain": (lambda x: np.exp(np.sin(x)) * x / (1.0 + x * x), (0.7,)),
    "long scalar chain": (lambda x: repeat(np.sin, x, 50), (0.7,)),
    "quadratic": (lambda x: x @ M @ x, (w,)),
    "quadratic in two": (lambda x, A: x @ A @ x, (w, M)),
    "logistic": (logistic, (w,)),
    "entries": (lambda x: np.exp(-x * x) * np.sin(x) + 1.0, (w,)),
    "broadcast": (lambda a, b: (a[:, None] * b + np.tanh(b)) / (1.0 + a[:, None] ** 2), (y, w)),
    "rows and columns": (lambda a: a / (1e-3 + np.abs(a).max(axis=1, keepdims=True)) - a.mean(axis=0), (X,)),
    "branches": (lambda x: np.where(x > 0, np.sqrt(x), -x) + np.maximum(x, 0.1) - np.minimum(x, x[0]), (w,)),
    "softmax": (lambda x: -(x - x.max() - np.log(np.exp(x - x.max()).sum())), (w,)),
    "numbers and arrays": (lambda x, c: c * np.sum(np.exp(x * c)) + c * c, (w, 0.4)),
    "indexing": (lambda x: x[1:] * x[:-1] + x[::-1][1:], (w,)),
    "stack": (lambda x: np.concatenate([x, x * x]) @ np.concatenate([x, x]), (w,)),
    "view of the argument": (lambda x: x.reshape(5, 1).T, (w,)),
    "the argument": (lambda x: x, (w,)),
    "a constant": (lambda x: tnp.ones(3) * 2.0, (w,)),
    "truth": (lambda x: (x > 0) & (x < 1.0), (w,)),
    "large": (lambda x: np.sum(np.exp(-x * x) * x + 1.0) * np.tanh(x), (rng.normal(size=40_000),)),
    "one entry": (lambda x: np.exp(x) + x, (np.array([0.5]),)),
    "no entries": (lambda x: np.exp(x) + x, (np.zeros(0),)),
    "no axes": (lambda x: np.exp(x) + x, (np.array(0.5),)),
    "non-contiguous": (lambda x: np.exp(x) * x - x, (X.T[::2],)),
}  # fmt: skip


def repeat(function, x, times):
    for _ in range(times):
        x = function(x)
    return x


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("name", CASES)
def test_values(name, fused):
    function, args = CASES[name]
    compiled = compile(function, fuse=fused)
    with np.errstate(all="ignore"):
        expected = function(*args)
    for _ in range(2):
        result = compiled(*args)
        assert np.shape(result) == np.shape(expected)
        np.testing.assert_allclose(result, expected, **COMPILED)
    assert not any(np.shares_memory(np.asarray(result), np.asarray(a)) for a in args)


@pytest.mark.parametrize("name", sorted(set(CASES) - {"truth", "a constant", "the argument", "view of the argument"}))
def test_derivatives(name):
    function, args = CASES[name]

    def total(*args):
        return tnp.sum(function(*args) * 1.0)

    numbers = tuple(range(len(args)))
    expected = grad(total, numbers)(*args)
    for fused in (True, False):
        for got, want in zip(compile(grad(total, numbers), fuse=fused)(*args), expected, strict=True):
            np.testing.assert_allclose(got, want, **COMPILED)


def test_second_derivatives():
    v = rng.normal(size=5)
    np.testing.assert_allclose(compile(hvp(logistic))(w, v), hvp(logistic)(w, v), **COMPILED)
    third = grad(grad(grad(lambda x: np.exp(2.0 * x) * x)))
    assert compile(third)(0.3) == pytest.approx((8 * 0.3 + 12) * np.exp(0.6), rel=1e-13)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_precision_is_that_of_the_arguments(dtype):
    x, A = w.astype(dtype), M.astype(dtype)
    for fused in (True, False):
        value, slope = compile(value_and_grad(lambda x, A: np.sum(np.tanh(A @ x) * 2.0 + 1.0)), fuse=fused)(x, A)
        assert slope.dtype == dtype
        np.testing.assert_allclose(slope, A.T @ (2.0 - 2.0 * np.tanh(A @ x) ** 2), rtol=2e-5, atol=1e-6)
        assert compile(lambda x: x * x + 1.0, fuse=fused)(x).dtype == dtype


@pytest.mark.parametrize("point", [0.0, -1.0, 800.0, np.inf, -np.inf, np.nan])
def test_numbers_outside_a_domain_give_what_numpy_gives(point):
    for function in (np.log, np.exp, np.sqrt, lambda x: 1.0 / x + np.log1p(x), lambda x: x**-1.5):
        with np.errstate(all="ignore"):
            expected = function(np.float64(point))
        for fused in (True, False):
            np.testing.assert_allclose(compile(function, fuse=fused)(point), expected, rtol=1e-15)


def test_arrays_at_the_edges_give_what_numpy_gives():
    edge = np.array([0.0, -0.0, -1.0, 1.0, np.inf, -np.inf, np.nan, 800.0])
    for function in (
        lambda x: np.maximum(x, 0.5) + 1.0, lambda x: np.minimum(x, 0.5) + 1.0, lambda x: np.sign(x) * 2.0,
        lambda x: expr.relu(x) + 1.0, lambda x: expr.sigmoid(x) * 2.0, lambda x: expr.softplus(x) * 2.0,
        lambda x: np.logaddexp(x, 1.0) * 2.0, lambda x: np.abs(x) + 1.0, lambda x: np.log(x) + np.exp(x) + 1.0,
        lambda x: np.where(x >= 0, x, -x) + 1.0,
    ):  # fmt: skip
        with np.errstate(all="ignore"):
            np.testing.assert_allclose(compile(function)(edge), function(edge), rtol=1e-14)


def test_structures_come_back():
    f = compile(lambda x: {"value": x.sum(), "rest": (x, [x * 2.0])})
    result = f(w)
    assert set(result) == {"value", "rest"}
    assert isinstance(result["rest"], tuple) and isinstance(result["rest"][1], list)
    np.testing.assert_array_equal(result["rest"][1][0], 2 * w)


def test_what_is_no_array_is_a_constant_of_the_code():
    calls = []

    def power(x, times, label=None):
        calls.append(times)
        return repeat(lambda v: v * x, x, times - 1)

    f = compile(power)
    assert f(2.0, 3) == 8.0 and f(2.0, 4) == 16.0 and f(3.0, 3) == 27.0
    assert f(2.0, times=3, label="a") == 8.0
    assert calls == [3, 4, 3]


def test_one_trace_for_each_shape_and_dtype():
    calls = []

    def f(x):
        calls.append(x.shape)
        return (x * x).sum()

    compiled = compile(f)
    for x in (w, w + 1, w.astype(np.float32), X, 2.0, 3.0, np.arange(3)):
        assert compiled(x) == pytest.approx(float((np.asarray(x) ** 2).sum()), rel=1e-6)
    assert calls == [(5,), (5,), (12, 5), (), (3,)]


def test_the_code_can_be_read_and_counted():
    f = compile(grad(logistic))
    with pytest.raises(InputError, match="not compiled yet"):
        f.source()
    f(w)
    source = f.source()
    assert source == f.source(w) and "def kernel(w):" in source and "def chain" in source
    cost = f.cost(w)
    assert 2 * 2 * 12 * 5 <= cost.flops <= 2 * 2 * 12 * 5 + 20 * 12
    assert f.graph(w)[0].shape == (5,)


def test_a_chain_of_matrices_runs_from_the_right_and_says_what_that_saved():
    n = 30
    A, B, C = rng.normal(size=(3, n, n))
    f = compile(lambda x: A @ B @ C @ x)
    np.testing.assert_allclose(f(np.ones(n)), A @ (B @ (C @ np.ones(n))), **COMPILED)
    assert f.cost().flops == 2 * n**2  # the matrices are constants, and were multiplied while tracing
    g = compile(lambda A, B, C, x: A @ B @ C @ x)
    g(A, B, C, np.ones(n))
    assert g.explain().startswith(f"{2 * 2 * n**3 + 2 * n**2:,} operations as written, {3 * 2 * n**2:,} now: ")


def test_runs_of_elementwise_operations_are_one_loop():
    f = compile(lambda x, c: np.exp(-x * c) * (x + c) / (1.0 + x * x))
    f(w, M)
    assert f.source().count("chain_") == 4  # defined and called: one for what has the shape of x, one for the rest
    made = f.specialization(w, M)
    groups = [x for x in fuse.schedule(made.outputs, made.inputs) if isinstance(x, fuse.Group)]
    assert [(g.shape, len(g.outputs)) for g in groups] == [((5,), 1), ((5, 5), 1)]


def test_misuse_is_explained():
    with pytest.raises(UnsupportedError, match="where"):
        compile(lambda x: x if x > 0 else -x)(1.0)
    with pytest.raises(InputError, match="argument 0 .* is a list"):
        compile(lambda x: x)([1.0])
    with pytest.raises(InputError, match="complex"):
        compile(lambda x: x)(np.zeros(2, dtype=complex))
    with pytest.raises(InputError, match="returned object"):
        compile(lambda x: object())(1.0)
    with pytest.raises(InputError, match="give a function"):
        compile(3)
    with pytest.raises(UnsupportedError, match="differentiate first"):
        grad(compile(np.tanh))(1.0)
    with pytest.raises(InputError, match="cannot be called"):
        compile(lambda x: x)(1.0, z=2.0)


def test_names_of_arguments_do_not_hide_functions():
    f = compile(lambda exp, sum, t1, lambda_: np.exp(exp) * sum + np.sin(t1) * lambda_)
    args = (w, w + 1, w + 2, w + 3)
    np.testing.assert_allclose(f(*args), np.exp(w) * (w + 1) + np.sin(w + 2) * (w + 3), **COMPILED)


def test_tensors_compile_to_torch():
    f = compile(grad(lambda w: tnp.mean(tnp.logaddexp(torch.zeros(12, dtype=torch.float64), torch.tensor(X) @ w))))
    leaf = torch.tensor(w, requires_grad=True)
    torch.nn.functional.softplus(torch.tensor(X) @ leaf).mean().backward()
    result = f(torch.tensor(w))
    assert isinstance(result, torch.Tensor)
    np.testing.assert_allclose(result.numpy(), leaf.grad.numpy(), rtol=1e-12)


def test_threads_share_a_compiled_function():
    f = compile(grad(lambda x: np.sum(np.exp(-x * x) * x)))
    expected = (1 - 2 * w * w) * np.exp(-w * w)
    errors = []

    def run():
        for n in range(1, 6):
            try:
                np.testing.assert_allclose(f(w[:n].copy()), expected[:n], rtol=1e-12)
            except Exception as error:
                errors.append(error)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not errors


def test_nothing_outlives_the_compiled_function():
    held = rng.normal(size=50)
    watch = weakref.ref(held)

    def f(x, held=held):
        return np.sum(x * held)

    compiled = compile(grad(f))
    compiled(np.ones(50))
    del held, f, compiled
    gc.collect()
    assert watch() is None
    assert call._state.depth == 0


def test_a_large_matrix_is_turned_once_for_many_thin_products():
    W = rng.normal(size=(256, 256)) / 16.0
    h = rng.normal(size=(4, 256))

    def f(W, h):
        for _ in range(8):
            h = h @ W.T + 1.0
        return h

    compiled = compile(f)
    np.testing.assert_allclose(compiled(W, h), f(W, h), **COMPILED)
    assert compiled.source().count("ascontiguousarray(W.T)") == 1
    assert "W.T)" not in compiled.source().replace("ascontiguousarray(W.T)", "")


@pytest.mark.parametrize("fused", [True, False])
def test_arrays_found_outside_are_those_of_the_first_call(fused):
    held, turned = np.ones(3), np.arange(6.0).reshape(2, 3).T
    f = compile(lambda x: x * held + turned.sum(axis=1) * x, fuse=fused)
    expected = 2.0 * (1.0 + np.array([3.0, 5.0, 7.0]))
    np.testing.assert_array_equal(f(2.0), expected)
    held[:], turned[:] = 5.0, 0.0
    np.testing.assert_array_equal(f(2.0), expected)
    np.testing.assert_array_equal(f(4.0), 2 * expected)


def test_results_that_are_numbers_come_back_as_numbers():
    assert compile(lambda x: (x * 2, 1.5))(3) == (6, 1.5)
    assert type(compile(lambda x: x * 2)(3)) is int


def test_an_index_found_by_the_code_stays_whole():
    def f(t):
        return t.reshape(-1)[t.argmax()]

    x = np.array([[1.0, 5.0], [2.0, 3.0]])
    np.testing.assert_array_equal(compile(grad(f))(x), x == 5.0)
    np.testing.assert_array_equal(compile(grad(f))(torch.tensor(x)).numpy(), x == 5.0)


def test_what_is_differentiated_further_out_is_no_constant():
    def outer(y):
        return compile(lambda z: np.sum(z**2) * y)(w)

    for made in (grad(outer), compile(grad(outer)), compile(outer)):
        with pytest.raises(UnsupportedError, match="further out"):
            made(2.0)


def test_tensors_stay_among_themselves():
    ones = torch.ones(3)
    with pytest.raises(InputError, match="torch.as_tensor"):
        compile(lambda a: a * np.ones(3))(ones)
    with pytest.raises(InputError, match="torch.as_tensor"):
        compile(lambda a, b: a * b)(ones, np.ones(3))
    with pytest.raises(InputError, match="complex"):
        compile(lambda a: a * 2.0)(ones * 1j)
    leaf = torch.nn.Parameter(ones)
    for made in (compile(lambda a: (a**2).sum()), compile(grad(lambda a: (a**2).sum()))):
        assert made(leaf).grad_fn is None and not made(leaf).requires_grad


def test_named_tuples_come_back():
    values, vectors = compile(lambda A: np.linalg.eigh(A))(np.diag([1.0, 2.0]))
    np.testing.assert_allclose(values, [1.0, 2.0])
    assert type(compile(lambda A: np.linalg.eigh(A))(np.eye(2))).__name__ == "EighResult"


@pytest.mark.parametrize("name", ["logistic", "long scalar chain", "softmax", "quadratic in two"])
def test_the_code_that_is_shown_runs_by_itself(name):
    function, args = CASES[name]
    compiled = compile(value_and_grad(lambda *args: np.sum(function(*args))))
    expected = compiled(*args)
    names = dict(compiled.specialization(*args).kernel.constants)
    exec(compiled.source(*args), names)
    for got, want in zip(names["kernel"](*args), expected, strict=True):
        np.testing.assert_array_equal(got, want)
    assert all(f"# {c}: " in compiled.source(*args) for c in compiled.specialization(*args).kernel.constants)


def test_long_runs_are_written_out_and_not_compiled():
    long = compile(grad(lambda x: repeat(lambda v: np.sin(v) + 1e-9, x, 2000)))
    assert long(0.5) == pytest.approx(grad(lambda x: repeat(lambda v: np.sin(v) + 1e-9, x, 2000))(0.5), rel=1e-10)
    arrays = compile(grad(lambda x: np.sum(repeat(lambda v: np.sin(v) + 1e-9, x, 300))))
    np.testing.assert_allclose(
        arrays(w), grad(lambda x: np.sum(repeat(lambda v: np.sin(v) + 1e-9, x, 300)))(w), rtol=1e-10
    )
    assert "njit" not in long.source()
