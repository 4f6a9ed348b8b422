"""Structured Hessians beside torch's dense ones: the structure found, products, diagonals, entries and solutions."""

import numpy as np
import pytest
import torch
from torch.func import hessian as torch_hessian

import thalweg as tw
import thalweg.numpy as tnp
from thalweg.core.errors import InputError, UnsupportedError
from thalweg.expr.operator_sums import Sum, combined
from thalweg.expr.operators import Blocks, Dense, Diagonal, Kronecker, Product, Products
from thalweg.expr.structure import structured_hessian
from tolerances import structured, structured_solution

rng = np.random.default_rng(11)
DATA, LABELS = rng.normal(size=(9, 5)), np.sign(rng.normal(size=9))
WIDE = rng.normal(size=(3, 12))
RIGHT, TARGET = rng.normal(size=(4, 3)), rng.normal(size=(6, 4))
SQUARE = rng.normal(size=(5, 5))
SYMMETRIC = SQUARE @ SQUARE.T + np.eye(5)
INPUT, BATCH = rng.normal(size=5), rng.normal(size=(3, 5))
SECOND, THIRD = rng.normal(size=(4, 6)), rng.normal(size=(3, 4))
W, U, M = rng.normal(size=5), rng.normal(size=(6, 3)), rng.normal(size=(6, 5))

T = {k: torch.tensor(v) for k, v in dict(
    DATA=DATA, LABELS=LABELS, WIDE=WIDE, RIGHT=RIGHT, TARGET=TARGET, SQUARE=SQUARE, SYMMETRIC=SYMMETRIC, INPUT=INPUT,
    BATCH=BATCH, SECOND=SECOND, THIRD=THIRD).items()}  # fmt: skip


def logistic(w):
    return tnp.mean(tnp.logaddexp(0.0, -LABELS * tnp.dot(DATA, w)))


def torch_logistic(w):
    return torch.nn.functional.softplus(-T["LABELS"] * (T["DATA"] @ w)).mean()


def net(weights):
    scores = THIRD @ tw.relu(SECOND @ tw.relu(weights @ INPUT))
    return tw.logsumexp(scores) - scores[0]


def torch_net(weights):
    scores = T["THIRD"] @ torch.relu(T["SECOND"] @ torch.relu(weights @ T["INPUT"]))
    return torch.logsumexp(scores, 0) - scores[0]


def net_of_batch(weights):
    return tnp.sum(tw.logsumexp(tw.relu(tw.relu(BATCH @ weights.T) @ SECOND.T) @ THIRD.T, axis=1))


def torch_net_of_batch(weights):
    return torch.logsumexp(torch.relu(torch.relu(T["BATCH"] @ weights.T) @ T["SECOND"].T) @ T["THIRD"].T, 1).sum()


def square(x):
    return tnp.sum(x * x)


LSE = torch.logsumexp

# Name: function, the same in torch, argument, the operator's class, words in its structure, words in its solver.
CASES = {
    "logistic": (logistic, torch_logistic, W, Product, "X' diag(d) X with 9 rows", "dense Cholesky"),
    "logistic, l2": (lambda w: logistic(w) + 0.1 * square(w), lambda w: torch_logistic(w) + 0.1 * (w**2).sum(), W, Sum,
                     "a multiple of the identity + X' diag(d) X", "dense Cholesky"),
    "fewer rows than columns": (
        lambda w: tnp.sum(tnp.logaddexp(0.0, WIDE @ w)) + 0.1 * square(w),
        lambda w: torch.nn.functional.softplus(T["WIDE"] @ w).sum() + 0.1 * (w**2).sum(),
        rng.normal(size=12), Sum, "low rank", "Woodbury's formula: dividing entries, and a system of 3"),
    "factors": (lambda u: square(TARGET - u @ RIGHT.T), lambda u: ((T["TARGET"] - u @ T["RIGHT"].T) ** 2).sum(), U,
                Kronecker, "Kronecker product of (a multiple of the identity) and (X' diag(d) X", "factor by factor"),
    "factors, l2": (lambda u: square(TARGET - u @ RIGHT.T) + 0.3 * square(u),
                    lambda u: ((T["TARGET"] - u @ T["RIGHT"].T) ** 2).sum() + 0.3 * (u**2).sum(), U,
                    Kronecker, "Kronecker product of (a multiple of the identity) and (a multiple", "factor by factor"),
    "factors in a flat vector": (
        lambda x: square(TARGET - tnp.reshape(x, (6, 3)) @ RIGHT.T) + 0.5 * square(x),
        lambda x: ((T["TARGET"] - x.reshape(6, 3) @ T["RIGHT"].T) ** 2).sum() + 0.5 * (x**2).sum(), U.reshape(-1),
        Kronecker, "Kronecker product of (a multiple of the identity)", "factor by factor"),
    "quadratic form": (lambda x: x @ SQUARE @ x, lambda x: x @ T["SQUARE"] @ x, W, Dense, "dense", "dense Cholesky"),
    "log of a quadratic form": (lambda x: tnp.log(x @ SYMMETRIC @ x), lambda x: torch.log(x @ T["SYMMETRIC"] @ x), W,
                                Sum, "dense + rank one", "dense Cholesky"),
    "separable": (lambda x: tnp.sum(tnp.exp(x) * x), lambda x: (torch.exp(x) * x).sum(), np.abs(W), Diagonal,
                  "diagonal", "dividing entries"),
    "separable, in a column": (lambda x: tnp.sum(tnp.exp(x)) + tnp.sum(x) ** 2,
                               lambda x: torch.exp(x).sum() + x.sum() ** 2, W[:, None], Sum, "diagonal + rank one",
                               "Woodbury"),
    "logsumexp": (lambda x: tw.logsumexp(x), lambda x: LSE(x, 0), W, Sum, "diagonal + rank one", "Woodbury"),
    "logsumexp, l2": (lambda x: tw.logsumexp(x) + 0.5 * square(x), lambda x: LSE(x, 0) + 0.5 * (x**2).sum(), W, Sum,
                      "diagonal + rank one", "Woodbury's formula: dividing entries, and a system of 1"),
    "rows apart": (lambda x: tnp.sum(tnp.sum(x * x, axis=1) ** 2), lambda x: ((x * x).sum(1) ** 2).sum(), M, Blocks,
                   "6 blocks of 5 x 5", "block by block"),
    "columns apart": (lambda x: tnp.sum(tw.logsumexp(x, axis=0)) + 0.1 * square(x),
                      lambda x: LSE(x, 0).sum() + 0.1 * (x**2).sum(), M, Blocks, "5 blocks of 6 x 6", "block by block"),
    "net": (net, torch_net, M, Kronecker, "and (rank one)", "factor by factor"),
    "net, l2": (lambda m: net(m) + 0.1 * square(m), lambda m: torch_net(m) + 0.1 * (m**2).sum(), M, Sum,
                "and (rank one)", "the eigenvectors of the Kronecker factors"),
    "net of a batch, l2": (lambda m: net_of_batch(m) + 0.1 * square(m),
                           lambda m: torch_net_of_batch(m) + 0.1 * (m**2).sum(), M, Sum,
                           "X' diag(d) X with 9 rows, low rank", "Woodbury's formula: dividing entries, and a system"),
    "slices": (lambda x: tnp.exp(tnp.sum(x[:2])) + tnp.sum(x[2:]) ** 2 + tnp.sum(x**4),
               lambda x: torch.exp(x[:2].sum()) + x[2:].sum() ** 2 + (x**4).sum(), W, Sum, "rank one", "Woodbury"),
    "differences": (lambda x: tnp.sum((x[1:] - x[:-1] ** 2) ** 2) + tnp.sum((1 - x) ** 2),
                    lambda x: ((x[1:] - x[:-1] ** 2) ** 2).sum() + ((1 - x) ** 2).sum(), W, Sum, "low rank", ""),
    "transposed product": (lambda x: tnp.trace(x @ x), lambda x: torch.trace(x @ x), SQUARE, Dense, "dense", ""),
    "skew factors": (lambda x: tnp.sum(x * ((SQUARE - SQUARE.T) @ x @ (SQUARE.T - SQUARE))),
                     lambda x: (x * ((T["SQUARE"] - T["SQUARE"].T) @ x @ (T["SQUARE"].T - T["SQUARE"]))).sum(),
                     rng.normal(size=(5, 5)), Sum, "Kronecker product of (dense) and (dense)", ""),
    "untaken infinity": (lambda x: tnp.sum(tnp.where(x > 0, x * tnp.sqrt(x), x**2)),
                         lambda x: torch.where(x > 0, torch.where(x > 0, x, 1.0) ** 1.5, x**2).sum(),
                         np.array([-1.0, 0.0, 2.0]), Diagonal, "diagonal", "dividing entries"),
    "running sums": (lambda x: tnp.sum(tnp.exp(tnp.cumsum(x))) + tnp.sum(tnp.cumsum(x[::-1]) ** 3),
                     lambda x: torch.exp(torch.cumsum(x, 0)).sum() + (torch.cumsum(x.flip(0), 0) ** 3).sum(), W, Sum,
                     "with 5 rows", "dense Cholesky"),
    "repeated entries": (lambda x: tnp.sum(tnp.exp(x[np.array([2, 0, 2, 1])])) + square(x),
                         lambda x: torch.exp(x[torch.tensor([2, 0, 2, 1])]).sum() + (x**2).sum(), W, Sum,
                         "X' diag(d) X with 4 rows, low rank", ""),
    "laid along a diagonal": (lambda x: square(tnp.diag(x) @ SQUARE) + tnp.sum(tnp.diag(SQUARE @ tnp.diag(x)) ** 4),
                              lambda x: ((torch.diag(x) @ T["SQUARE"]) ** 2).sum()
                              + (torch.diag(T["SQUARE"] @ torch.diag(x)) ** 4).sum(), W, Diagonal, "diagonal", ""),
    "pairs of a matrix": (
        lambda x: tnp.sum(tnp.exp(x[np.array([0, 1, 3]), np.array([2, 0, 0])])) + square(x[:, :2]) + 0.1 * square(x),
        lambda x: torch.exp(x[[0, 1, 3], [2, 0, 0]]).sum() + (x[:, :2] ** 2).sum() + 0.1 * (x**2).sum(), M, Sum,
        "X' diag(d) X with 3 rows, low rank", ""),
    "joined": (lambda x: square(TARGET.T @ tnp.concatenate([x, x[:, :1] ** 2], axis=1)),
               lambda x: ((T["TARGET"].T @ torch.cat([x, x[:, :1] ** 2], 1)) ** 2).sum(), M, Sum, "Kronecker", ""),
    "no structure": (lambda x: tnp.sum(tnp.sort(x) ** 2 * np.arange(1.0, 6.0)),
                     lambda x: (torch.sort(x).values ** 2 * torch.arange(1.0, 6.0, dtype=torch.float64)).sum(), W,
                     Products, "is not read as a product with arrays", "dense Cholesky"),
}  # fmt: skip
SINGULAR = {"logsumexp", "net", "skew factors", "joined"}


@pytest.mark.parametrize("name", CASES)
def test_a_structured_hessian_is_torchs_dense_one_and_says_its_structure(name):
    f, f_torch, x, kind, structure, solver = CASES[name]
    H = tw.structured_hessian(f)(x)
    expected = torch_hessian(f_torch)(torch.tensor(x)).numpy().reshape(x.size, x.size)
    assert type(H) is kind
    assert structure in H.structure
    assert solver in H.solver
    assert H.structure in repr(H)
    assert H.solver in repr(H)
    assert H.shape == expected.shape
    assert H.argument_shape == x.shape
    bound = structured(x.size) * np.abs(expected).max()
    np.testing.assert_allclose(H.dense(), expected, rtol=0, atol=bound)
    np.testing.assert_allclose(H.diagonal(), np.diag(expected), rtol=0, atol=bound)
    v = rng.normal(size=x.shape)
    np.testing.assert_allclose(H @ v, (expected @ v.reshape(-1)).reshape(x.shape), rtol=0, atol=x.size * bound)
    columns = rng.normal(size=(x.size, 2))
    np.testing.assert_allclose(H @ columns, expected @ columns, rtol=0, atol=x.size * bound)
    np.testing.assert_array_equal(H.rmatvec(columns[:, 0]), H @ columns[:, 0])


@pytest.mark.parametrize("name", sorted(set(CASES) - SINGULAR))
def test_solutions_fit_the_dense_matrix(name):
    f, f_torch, x, *_ = CASES[name]
    H = tw.structured_hessian(f)(x)
    expected = torch_hessian(f_torch)(torch.tensor(x)).numpy().reshape(x.size, x.size)
    condition = np.linalg.cond(expected)
    for b in (rng.normal(size=x.shape), rng.normal(size=x.size), rng.normal(size=(x.size, 3))):
        flat = b.reshape(x.size, -1)
        solution = H.solve(b)
        assert solution.shape == b.shape
        known = np.linalg.solve(expected, flat).reshape(b.shape)
        bound = structured_solution(condition, x.size) * np.abs(known).max()
        np.testing.assert_allclose(solution, known, rtol=0, atol=bound)


@pytest.mark.parametrize("name", sorted(SINGULAR))
def test_a_singular_hessian_is_not_solved_with(name):
    f, _, x, *_ = CASES[name]
    with pytest.raises(InputError, match="singular Hessian.*squared norm"):
        tw.structured_hessian(f)(x).solve(x)


def test_new_values_reuse_the_plan_and_new_shapes_make_one():
    made = tw.structured_hessian(lambda x, scale: scale * tw.logsumexp(x) + square(x))
    for size in (4, 7, 4):
        for scale in (0.5, 2.0):
            x = rng.normal(size=size)
            p = np.exp(x) / np.exp(x).sum()
            expected = scale * (np.diag(p) - np.outer(p, p)) + 2 * np.eye(size)
            np.testing.assert_allclose(made(x, scale).dense(), expected, rtol=0, atol=structured(size) * 4)
    assert len(made._plans) == 2


def test_any_argument_and_numbers():
    product = tw.structured_hessian(lambda u, v: square(TARGET - u @ v.T), argnums=1)
    H = product(U, RIGHT)
    assert isinstance(H, Kronecker)
    np.testing.assert_allclose(H.dense(), np.kron(np.eye(4), 2 * U.T @ U), rtol=0, atol=structured(12) * 100)
    assert tw.structured_hessian(lambda s: s**3)(2.0).dense() == pytest.approx(12.0)
    zero = tw.structured_hessian(lambda x: tnp.sum(x))(W)
    assert zero.structure == "zero"
    np.testing.assert_array_equal(zero.dense(), np.zeros((5, 5)))


def test_single_precision_stays():
    H = tw.structured_hessian(lambda w: tnp.sum(tnp.exp(DATA.astype(np.float32) @ w)))(W.astype(np.float32))
    assert H.dtype == np.float32
    assert (H @ W.astype(np.float32)).dtype == np.float32
    assert H.solve(W.astype(np.float32)).dtype == np.float32


def test_many_products_fall_back_and_say_so():
    many = rng.normal(size=(40, 5))
    H = tw.structured_hessian(lambda m: tnp.sum(tw.logsumexp(tw.relu(many @ m.T) @ SECOND.T, axis=1)))(M)
    assert isinstance(H, Products)
    assert "no smaller than its matrix" in H.structure
    expected = torch_hessian(
        lambda m: LSE(torch.relu(torch.tensor(many) @ m.T) @ T["SECOND"].T, 1).sum()
    )(torch.tensor(M)).numpy().reshape(30, 30)  # fmt: skip
    np.testing.assert_allclose(H.dense(), expected, rtol=0, atol=structured(30) * 40 * np.abs(expected).max())
    np.testing.assert_allclose(H @ M.reshape(-1), expected @ M.reshape(-1), rtol=0, atol=1e4 * structured(30))


def test_large_sums_are_solved_by_conjugate_gradients(monkeypatch):
    monkeypatch.setattr("thalweg.expr.operator_sums.LARGEST_FACTORED", 4)
    H = tw.structured_hessian(CASES["logistic, l2"][0])(W)
    assert "conjugate gradients" in H.solver
    np.testing.assert_allclose(H @ H.solve(W), W, rtol=0, atol=structured_solution(10, 5) * 100)


def test_large_hessians_without_structure_are_never_formed(monkeypatch):
    monkeypatch.setattr("thalweg.expr.operators.LARGEST_FACTORED", 4)
    monkeypatch.setattr(Products, "dense", lambda self: pytest.fail("the matrix was formed"))
    matrix = np.diag(np.arange(1.0, 6.0)) + 0.1
    H = tw.structured_hessian(lambda x: tnp.sum(tnp.sort(x @ matrix) ** 2))(W)
    assert isinstance(H, Products)
    assert H.solver == "conjugate gradients"
    expected = 2 * matrix @ matrix.T
    np.testing.assert_allclose(H.diagonal(), np.diag(expected), rtol=structured(5))
    np.testing.assert_allclose(expected @ H.solve(W), W, rtol=0, atol=structured_solution(100, 5) * 100)
    with pytest.raises(InputError, match="negative eigenvalue"):
        tw.structured_hessian(lambda x: -tnp.sum(tnp.sort(x @ matrix) ** 2))(W).solve(W)


def test_operators_add_up_keeping_structure():
    a, b = rng.normal(size=(4, 3, 3)), np.abs(rng.normal(size=(4, 3)))
    blocks = Blocks(a + np.swapaxes(a, 1, 2), (0, 1), (4, 3))
    total = combined([blocks, Diagonal(b, (4, 3)), blocks], (4, 3))
    assert isinstance(total, Blocks)
    np.testing.assert_allclose(total.dense(), 2 * blocks.dense() + np.diag(b.reshape(-1)), rtol=0, atol=structured(12))
    left = SYMMETRIC[:2, :2]
    scaled = combined(
        [Kronecker([Dense(left, (2,)), Diagonal(np.array(2.0), (3,))], (2, 3)), Diagonal(np.array(4.0), (2, 3))], (2, 3)
    )
    assert isinstance(scaled, Kronecker)
    np.testing.assert_allclose(
        scaled.dense(), np.kron(left, 2 * np.eye(3)) + 4 * np.eye(6), rtol=0, atol=20 * structured(6)
    )
    v = rng.normal(size=(6, 2))
    np.testing.assert_allclose(scaled @ v, scaled.dense() @ v, rtol=0, atol=100 * structured(6))
    assert combined([], (3,)).structure == "zero"


def test_what_cannot_be_done_is_said():
    with pytest.raises(InputError, match="argnums"):
        structured_hessian(square, argnums=(0, 1))
    with pytest.raises(InputError, match="result has shape"):
        structured_hessian(lambda x: x * x)(W)
    with pytest.raises(InputError, match="called with 1"):
        structured_hessian(square, argnums=1)(W)
    with pytest.raises(InputError, match="not floating"):
        structured_hessian(square)(np.arange(3))
    with pytest.raises(UnsupportedError, match="torch tensors"):
        structured_hessian(square)(torch.tensor(W))
    with pytest.raises(InputError, match=r"shape \(5,\) with an array of shape \(4,\)"):
        _ = structured_hessian(square)(W) @ np.ones(4)
    with pytest.raises(InputError, match="singular"):
        structured_hessian(lambda x: tnp.sum(x))(W).solve(W)
