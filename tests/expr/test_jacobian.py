"""Jacobians and Hessians beside torch.func and closed forms, in every mode, eager, nested and lazy."""

import numpy as np
import pytest
import torch

from thalweg.core.errors import InputError, UnsupportedError
from thalweg.expr import evaluate, logsumexp, lower, simplify, softmax, symbol, where
from thalweg.expr.batch import batched
from thalweg.expr.differentiate import tangents_of
from thalweg.expr.jacobian import hessian, jacobian
from thalweg.expr.node import Node, build, constant, lazy_eye, table
from thalweg.expr.transforms import grad, jvp
from tolerances import arithmetic

rng = np.random.default_rng(7)
A = rng.standard_normal((4, 3))
B = rng.standard_normal((3, 3))
X = np.array([0.4, -1.3, 0.8])
TA, TB = torch.tensor(A), torch.tensor(B)


def close(got, expected, operations=40):
    assert not isinstance(got, Node)
    assert np.shape(got) == np.shape(expected)
    scale = float(np.max(np.abs(expected), initial=0.0))
    np.testing.assert_allclose(got, expected, rtol=0, atol=arithmetic(operations=operations) * max(1.0, scale))


CASES = {
    "linear": (lambda x: A @ x, lambda x: TA @ x, (X,)),
    "network": (lambda x: np.tanh(A @ x) * x[0], lambda x: torch.tanh(TA @ x) * x[0], (X,)),
    "number": (lambda x: np.sum(np.exp(x) * x[0]), lambda x: torch.sum(torch.exp(x) * x[0]), (X,)),
    "of a number": (lambda s: s * A + s**2, lambda s: s * TA + s**2, (np.float64(1.7),)),
    "matrices": (lambda m: m @ m.T, lambda m: m @ m.T, (A,)),
    "growing rank": (lambda x: np.exp(x) * B + x[:, None], lambda x: torch.exp(x) * TB + x[:, None], (X,)),
    "softmax": (lambda m: softmax(m, 0) + logsumexp(m, 1)[:, None],
                lambda m: torch.softmax(m, 0) + torch.logsumexp(m, 1)[:, None], (A,)),
    "branches": (lambda x: where(x > 0, np.log(x), x**2), lambda x: torch.where(x > 0, torch.log(x), x**2), (X,)),
    "identity": (lambda x: x, lambda x: x.clone(), (A,)),
    "signs": (lambda x: -x - x + x, lambda x: -x - x + x, (X,)),
    "selection": (lambda m: m[1:3, ::2].T.reshape(-1), lambda m: m[1:3, ::2].T.reshape(-1), (A,)),
    "joined": (lambda x: np.concatenate([x * 2, x[:1], np.ones(2)]),
               lambda x: torch.cat([x * 2, x[:1], torch.ones(2, dtype=torch.float64)]), (X,)),
    "three axes": (lambda m: np.einsum("ij,jk->ikj", m, B), lambda m: torch.einsum("ij,jk->ikj", m, TB), (A,)),
}  # fmt: skip


@pytest.mark.parametrize("mode", ["auto", "forward", "reverse"])
@pytest.mark.parametrize("name", CASES)
def test_jacobian_equals_torch(name, mode):
    f, g, args = CASES[name]
    expected = torch.func.jacrev(g)(*[torch.tensor(a) for a in args]).numpy()
    close(jacobian(f, mode=mode)(*args), expected)


@pytest.mark.parametrize("mode", ["auto", "forward", "reverse"])
def test_several_arguments(mode):
    f = lambda m, x, s: np.sin(m @ x) * s  # noqa: E731
    g = lambda m, x, s: torch.sin(m @ x) * s  # noqa: E731
    got = jacobian(f, (0, 2, -2), mode)(A, X, 2.0)
    expected = torch.func.jacrev(g, (0, 2, 1))(TA, torch.tensor(X), torch.tensor(2.0, dtype=torch.float64))
    assert isinstance(got, tuple)
    for a, b in zip(got, expected, strict=True):
        close(a, b.numpy())


@pytest.mark.parametrize("name", ["linear", "network", "number", "growing rank", "softmax", "signs", "joined"])
def test_hessian_equals_torch(name):
    f, g, args = CASES[name]
    close(hessian(f)(*args), torch.func.hessian(g)(*[torch.tensor(a) for a in args]).numpy(), operations=100)


def test_closed_forms_of_second_derivatives():
    """SPEC A6: x'Ax, ln<x,Ax> for symmetric A, ln(1 + e^<a,x>)."""
    close(hessian(lambda x: x @ B @ x)(X), B + B.T)
    s = B @ B.T
    q, sx = X @ s @ X, s @ X
    close(hessian(lambda x: np.log(x @ s @ x))(X), 2 / q**2 * (q * s - 2 * np.outer(sx, sx)), operations=200)
    a = A[0]
    p = 1 / (1 + np.exp(-a @ X))
    close(hessian(lambda x: np.logaddexp(0.0, a @ x))(X), p * (1 - p) * np.outer(a, a))


def test_hessian_blocks():
    f = lambda m, x: np.sum(np.sin(m @ x))  # noqa: E731
    got = hessian(f, (0, 1))(A, X)
    expected = torch.func.hessian(lambda m, x: torch.sum(torch.sin(m @ x)), (0, 1))(TA, torch.tensor(X))
    for i in range(2):
        for j in range(2):
            close(got[i][j], expected[i][j].numpy())
    close(hessian(f, 1)(A, X), expected[1][1].numpy())


def test_layout_is_result_then_argument():
    """SPEC A6: (x + y, x - y) has the Jacobian [[1, 1], [1, -1]]; f(x) = M x has M and not its transpose."""
    m = np.array([[1.0, 1.0], [1.0, -1.0]])
    for mode in ("forward", "reverse"):
        close(jacobian(lambda x: m @ x, mode=mode)(np.ones(2)), m)
        assert jacobian(lambda x: A @ x, mode=mode)(X).shape == (4, 3)
        assert jacobian(lambda x: np.outer(x, x), mode=mode)(X).shape == (3, 3, 3)
    assert hessian(lambda x: A @ (x * x))(X).shape == (4, 3, 3)


def test_numbers_empty_arrays_and_no_path():
    assert jacobian(lambda x: x**2)(3.0) == 6.0 and hessian(lambda x: x**3)(2.0) == 12.0
    assert hessian(lambda x: x)(2.0) == 0.0
    for mode in ("auto", "forward", "reverse"):
        assert jacobian(lambda x: 2 * x, mode=mode)(np.zeros((0,))).shape == (0, 0)
        close(jacobian(lambda x, y: y, mode=mode)(X, A), np.zeros((4, 3, 3)))
        close(jacobian(lambda x: A, mode=mode)(X), np.zeros((4, 3, 3)))
        close(jacobian(lambda x: np.sign(x), mode=mode)(X), np.zeros((3, 3)))
        first, second = jacobian(lambda x, y: x * 2, (0, 1), mode)(X, X)
        close(first, 2 * np.eye(3))
        close(second, np.zeros((3, 3)))
    close(hessian(lambda x: np.sum(x))(X), np.zeros((3, 3)))
    close(hessian(lambda x: 3.0)(X), np.zeros((3, 3)))
    close(hessian(lambda x: np.sum(-x))(A), np.zeros((4, 3, 4, 3)))


def test_precision_and_memory_are_the_callers():
    x = X.astype(np.float32)
    for mode in ("auto", "forward", "reverse"):
        found = jacobian(lambda v: v, mode=mode)(x)
        assert found.dtype == np.float32
        found[...] = 5.0
        assert jacobian(lambda v: np.tanh(v), mode=mode)(x).dtype == np.float32
        assert jacobian(lambda v: 3.0, mode=mode)(x).dtype == np.float32
    assert hessian(lambda v: np.sum(v**3))(x).dtype == np.float32
    kept = B.copy()
    found = jacobian(lambda v: B @ v)(X)
    found[...] = 0.0
    np.testing.assert_array_equal(B, kept)
    assert found.flags.owndata and found.flags.writeable


def test_auxiliary_results_and_keywords():
    found, aux = jacobian(lambda x, k=1.0: (k * x**2, {"twice": 2 * x}), has_aux=True)(X, k=3.0)
    close(found, np.diag(6 * X))
    close(aux["twice"], 2 * X)
    second, aux = hessian(lambda x: (np.sum(x**3), x), has_aux=True)(X)
    close(second, np.diag(6 * X))
    close(aux, X)
    blocks, aux = hessian(lambda x, y: (np.sum(x * y), 1), (0, 1), has_aux=True)(X, X)
    close(blocks[0][1], np.eye(3))
    assert aux == 1


def test_nesting_with_other_transforms():
    close(grad(lambda x: np.sum(jacobian(lambda y: y**3)(x)))(X), 6 * X)
    close(grad(lambda s: np.sum(jacobian(lambda y: s * y**2)(X)))(2.0), np.sum(2 * X))
    close(jvp(lambda x: jacobian(np.sin)(x), (X,), (X,))[1], np.diag(-np.sin(X) * X))
    third = jacobian(hessian(lambda x: np.sum(x**4)))(X)
    expected = np.zeros((3, 3, 3))
    expected[range(3), range(3), range(3)] = 24 * X
    close(third, expected)
    # The Hessian as the Jacobian of the gradient, both ways round.
    f = lambda x: np.sum(np.tanh(A @ x) ** 2)  # noqa: E731
    close(jacobian(grad(f), mode="forward")(X), hessian(f)(X))
    close(jacobian(grad(f), mode="reverse")(X), hessian(f)(X))
    close(grad(lambda x: np.sum(hessian(f)(x) * B))(X), np.einsum("ij,ijk->k", B, jacobian(hessian(f))(X)))


@pytest.mark.parametrize("f", [
    lambda x: x @ B @ x, lambda x: np.sum(np.logaddexp(0.0, A @ x)), lambda x: np.sum(-(x**3)),
    lambda x: np.sum(np.exp(x)) * x[0], lambda x: logsumexp(B @ x, 0),
])  # fmt: skip
def test_lazy_hessians_equal_eager_ones(f):
    x = symbol("x", (3,))
    expression = hessian(f)(x)
    assert expression.shape == (3, 3)
    expected = hessian(f)(X)
    close(evaluate(expression, {x: X}), expected)
    better = simplify(expression)
    close(evaluate(better, {x: X}), expected)
    close(lower(better, [x])(X), expected)


def test_sizes_may_be_names():
    x = symbol("x", ("n",))
    close(evaluate(hessian(lambda v: np.sum(np.sin(v)))(x), {x: X}), np.diag(-np.sin(X)))
    for mode in ("forward", "reverse", "auto"):
        close(evaluate(jacobian(lambda v: v * v, mode=mode)(x), {x: X}), np.diag(2 * X))
    m = symbol("m", ("n", 3))
    with pytest.raises(UnsupportedError, match="known sizes"):
        jacobian(lambda v: v * v)(m)


def test_a_long_basis_goes_in_pieces(monkeypatch):
    import importlib

    room = importlib.import_module("thalweg.expr.jacobian")
    expected = jacobian(lambda x: np.tanh(A @ x))(X), jacobian(lambda x: np.tanh(A @ x), mode="reverse")(X)
    monkeypatch.setattr(room, "_ENTRIES_AT_ONCE", 20)
    close(jacobian(lambda x: np.tanh(A @ x), mode="forward")(X), expected[0])
    close(jacobian(lambda x: np.tanh(A @ x), mode="reverse")(X), expected[1])
    close(grad(lambda x: np.sum(jacobian(lambda y: y**3, mode="forward")(x)))(X), 6 * X)


def test_an_operation_without_a_batch_rule_goes_one_by_one(monkeypatch):
    rows = dict(table())
    import dataclasses

    from thalweg.expr import node as nodes

    rows["einsum"] = dataclasses.replace(rows["einsum"], batch=None)
    expected = hessian(lambda x: np.sum(np.tanh(A @ x)))(X)
    monkeypatch.setattr(nodes, "_table", rows)
    close(hessian(lambda x: np.sum(np.tanh(A @ x)))(X), expected)
    x = symbol("x", ("n",))
    with pytest.raises(UnsupportedError, match="einsum.*batch rule"):
        jacobian(lambda v: v * (v @ v), mode="forward")(x)


def test_every_vector_of_a_batch_is_pushed_as_if_alone():
    x = symbol("x", (3,))
    t = Node("tangent", (), (), (3,), "f")
    (linear,) = tangents_of([np.tanh(constant(B) @ x) + x[0]], {x: t})
    seeds = rng.standard_normal((5, 3))
    (many,) = batched([linear], [t], [constant(seeds)])
    got = evaluate(many, {x: X})
    for seed, row in zip(seeds, got, strict=True):
        close(row, evaluate(linear, {x: X, t: seed}))


def test_lazy_identity_is_floating():
    """Arithmetic on truth values is not arithmetic: minus and plus of the seeds must be numbers."""
    eye = lazy_eye(3)
    assert eye.kind == "f" and eye.value is None
    close(evaluate(build("sub", build("neg", eye), eye)), -2 * np.eye(3))
    x = symbol("x", (3,))
    close(evaluate(jacobian(lambda v: -v - v, mode="forward")(x), {x: X}), -2 * np.eye(3))


def test_misuse_is_explained():
    with pytest.raises(InputError, match="auto, forward or reverse"):
        jacobian(np.sin, mode="backward")
    with pytest.raises(InputError, match="twice"):
        jacobian(np.multiply, (0, 0))(X, X)
    with pytest.raises(InputError, match="int64"):
        hessian(np.sum)(np.arange(3))


@pytest.mark.parametrize("mode", ["auto", "forward", "reverse"])
def test_tensors(mode):
    x = torch.tensor(X)
    found = jacobian(lambda v: torch.tanh(TA @ v) * v[0], mode=mode)(x)
    assert isinstance(found, torch.Tensor) and found.dtype == torch.float64
    close(found.numpy(), torch.func.jacrev(lambda v: torch.tanh(TA @ v) * v[0])(x).numpy())
    close(hessian(lambda v: torch.sum(torch.tanh(TA @ v)))(x).numpy(),
          torch.func.hessian(lambda v: torch.sum(torch.tanh(TA @ v)))(x).numpy())  # fmt: skip


def _second(f, x):
    """The Hessian by torch, of a function written with operators alone."""
    return torch.func.hessian(f)(torch.tensor(x)).numpy()


@pytest.mark.parametrize(
    "f",
    [
        lambda m: ((A.T @ m - 1.0) ** 2).sum(),  # A (x) I
        lambda m: ((m @ B) ** 2).sum() + 0.5 * (m**2).sum(),  # I (x) (B + number)
        lambda m: (((A[:, 0] @ m) ** 3).sum() ** 2 + 1.0) * 2.0,  # rank one and Kronecker
        lambda m: (m**4).sum(),  # diagonal
        lambda m: ((m**2).sum(1) ** 2).sum(),  # blocks of rows
        lambda m: ((m**2).sum(0) ** 2).sum() + 0.1 * (m**2).sum(),  # blocks of columns
        lambda m: (m**2).sum(),  # identity
        lambda m: (m.sum() ** 3) + (A[0, 0] * m).sum(),  # rank one
        lambda m: (m @ m.T @ A).sum(),
        lambda m: A.sum() * m[0, 0],
    ],
    ids=["left", "right", "rank one", "diagonal", "rows", "columns", "identity", "sum", "both sides", "zero"],
)
def test_a_compiled_hessian_in_a_matrix_is_torchs(f):
    from thalweg.expr import compile

    def in_torch(m):
        return f.__class__(f.__code__, {"A": TA, "B": TB}, f.__name__, f.__defaults__, f.__closure__)(m)

    compiled = compile(hessian(f))
    for seed in range(2):
        m = np.random.default_rng(seed).normal(size=(4, 3))
        close(compiled(m), _second(in_torch, m), 200)
    # Within another transform the same Hessian is differentiated again.
    third = compile(grad(lambda m: (hessian(f)(m) * np.arange(3.0)).sum()))
    weights = torch.arange(3.0, dtype=torch.float64)
    expected = torch.func.grad(lambda m: (torch.func.hessian(in_torch)(m) * weights).sum())(torch.tensor(m)).numpy()
    close(third(m), expected, 2000)


def test_a_compiled_hessian_sees_what_its_function_closes_over():
    from thalweg.expr import compile

    def outer(m):
        held = m * 2.0
        return hessian(lambda z: (z * z * held).sum())(m)  # held does not move with z

    m = np.random.default_rng(3).normal(size=(2, 3))
    close(compile(outer)(m), np.diag(4.0 * m.reshape(-1)).reshape(2, 3, 2, 3))


def test_zeros_beside_a_diagonal_are_not_kept_in_the_code():
    from thalweg.expr import compile

    compiled = compile(hessian(lambda m: ((m @ B) ** 2).sum()))
    compiled(np.ones((50, 3)))
    held = compiled.specialization().kernel.constants.values()
    assert max(np.size(c) for c in held) <= 9
    assert "along_diagonal" in compiled.source()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_compiled_hessian_in_a_matrix_keeps_library_and_precision(dtype):
    from thalweg.expr import compile

    def g(m):
        weights = B.astype(np.float32) if dtype == torch.float32 else B
        return ((m @ weights) ** 2).sum() + (m**2).sum()

    m = torch.tensor(A, dtype=dtype)
    for function in (lambda m: (m**2).sum(), lambda m: (m**4).sum()):
        result = compile(hessian(function))(m)
        assert result.dtype == dtype
        expected = torch.func.hessian(function)(m.double()).numpy()
        bound = arithmetic(m.numpy().dtype, 40) * np.abs(expected).max()
        np.testing.assert_allclose(result.numpy(), expected, rtol=0, atol=bound)
    result = compile(hessian(g))(m.numpy())
    assert result.dtype == m.numpy().dtype
    expected = np.kron(np.eye(4), 2 * B @ B.T + 2 * np.eye(3)).reshape(4, 3, 4, 3)
    bound = arithmetic(result.dtype, 40) * np.abs(expected).max()
    np.testing.assert_allclose(result, expected, rtol=0, atol=bound)
