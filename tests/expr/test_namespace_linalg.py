"""Linear algebra under NumPy's names beside torch.autograd, NumPy and SciPy; norms; errors."""

import numpy as np
import pytest
import scipy.linalg

from expr.linalg_cases import (
    POSITIVE,
    RIGHT,
    SQUARE,
    TALL,
    WIDE,
    matrix,
    normal,
    pair,
    rotation,
    slope,
    sym,
    symmetric,
)
from thalweg import expr
from thalweg.core.errors import InputError, UnsupportedError
from thalweg.expr import namespace_linalg as linalg
from thalweg.expr import symbol
from thalweg.expr.namespace import call
from thalweg.expr.node import Node, build, constant
from thalweg.expr.transforms import grad, hvp, jvp, vjp
from tolerances import arithmetic, five_points, matrices


def twins(torch):
    """The same by torch.linalg, for functions of one or two arrays that do not depend on signs of vectors."""
    t = torch.linalg
    return {
        "inv": (linalg.inv, t.inv, (SQUARE,)),
        "solve": (linalg.solve, t.solve, (SQUARE, RIGHT)),
        "solve vector": (linalg.solve, t.solve, (SQUARE[0], RIGHT[0, :, 0])),
        "solve one matrix": (linalg.solve, lambda a, b: t.solve(a.expand(2, 4, 4), b), (SQUARE[0], RIGHT)),
        "triangular": (
            lambda a, b: linalg.solve_triangular(a, b, lower=True),
            lambda a, b: t.solve_triangular(a, b, upper=False), (SQUARE + 3 * np.eye(4), RIGHT),
        ),
        "cholesky": (linalg.cholesky, t.cholesky, (POSITIVE,)),
        "cholesky upper": (lambda a: linalg.cholesky(a, upper=True), lambda a: t.cholesky(a).mT, (POSITIVE,)),
        "det": (linalg.det, t.det, (SQUARE,)),
        "logdet": (linalg.logdet, torch.logdet, (POSITIVE,)),
        "slogdet": (lambda a: linalg.slogdet(a).logabsdet, lambda a: t.slogdet(a).logabsdet, (SQUARE,)),
        "eigvalsh": (linalg.eigvalsh, lambda a: t.eigvalsh((a + a.mT) / 2), (POSITIVE,)),
        "eigh": (
            lambda a: (lambda w, v: expr.matmul(v * expr.exp(w / 5)[..., None, :], linalg.matrix_transpose(v)))(
                *linalg.eigh(a)),
            lambda a: torch.linalg.matrix_exp((a + a.mT) / 10), (POSITIVE,),
        ),
        "svdvals": (linalg.svdvals, t.svdvals, (TALL,)),
        "svd": (
            lambda a: (lambda u, s, vh: expr.matmul(u * expr.exp(-s)[..., None, :], vh))(
                *linalg.svd(a, full_matrices=False)),
            lambda a: (lambda u, s, vh: u * torch.exp(-s)[..., None, :] @ vh)(*t.svd(a, full_matrices=False)), (TALL,),
        ),
        "svd wide": (
            lambda a: (lambda u, s, vh: expr.matmul(u, vh))(*linalg.svd(a, full_matrices=False)),
            lambda a: (lambda u, s, vh: u @ vh)(*t.svd(a, full_matrices=False)), (WIDE,),
        ),
        "qr": (lambda a: expr.concatenate(linalg.qr(a), axis=-2), lambda a: torch.cat(t.qr(a), -2), (TALL,)),
        "pinv": (linalg.pinv, t.pinv, (TALL,)),
        "expm": (linalg.expm, t.matrix_exp, (SQUARE / 4,)),
        "power": (lambda a: linalg.matrix_power(a, 5), lambda a: t.matrix_power(a, 5), (SQUARE / 4,)),
        "inverse power": (lambda a: linalg.matrix_power(a, -3), lambda a: t.matrix_power(a, -3), (SQUARE,)),
        "lstsq": (lambda a, b: linalg.lstsq(a, b)[0], lambda a, b: t.lstsq(a, b).solution, (TALL[0], normal(5, 2))),
        "cond": (linalg.cond, t.cond, (SQUARE,)),
        "cond 1": (lambda a: linalg.cond(a, 1), lambda a: t.matrix_norm(a, 1) * t.matrix_norm(t.inv(a), 1), (SQUARE,)),
        "kron": (linalg.kron, torch.kron, (matrix(3, 2), normal(2, 3))),
        "multi_dot": (
            lambda a, b: linalg.multi_dot([a, b, a, b[:, 0]]), lambda a, b: t.multi_dot([a, b, a, b[:, 0]]),
            (normal(3, 4), normal(4, 3)),
        ),
    }  # fmt: skip


TWINS = [
    "inv", "solve", "solve vector", "solve one matrix", "triangular", "cholesky", "cholesky upper", "det", "logdet",
    "slogdet", "eigvalsh", "eigh", "svdvals", "svd", "svd wide", "qr", "pinv", "expm", "power", "inverse power",
    "lstsq", "cond", "cond 1", "kron", "multi_dot",
]  # fmt: skip


@pytest.mark.parametrize("label", TWINS)
def test_values_gradients_and_hessian_products_beside_torch(label):
    torch = pytest.importorskip("torch")
    function, twin, inputs = twins(torch)[label]
    leaves = [torch.tensor(x, requires_grad=True) for x in inputs]
    expected = twin(*leaves)
    value, pull = vjp(function, *inputs)
    scale = 1 + expected.detach().abs().max().item()
    np.testing.assert_allclose(value, expected.detach().numpy(), atol=matrices(10, size=4) * scale)
    weights = normal(*value.shape)
    slopes = torch.autograd.grad((expected * torch.tensor(weights)).sum(), leaves, create_graph=True)
    for x, y in zip(pull(weights), slopes, strict=True):
        y = y.detach().numpy()
        np.testing.assert_allclose(x, y, atol=matrices(50, size=4) * (1 + np.abs(y).max()))
    # on tensors our own rules give tensors
    _, pull_tensors = vjp(function, *[leaf.detach() for leaf in leaves])
    for x, y in zip(pull_tensors(torch.tensor(weights)), slopes, strict=True):
        y = y.detach().numpy()
        np.testing.assert_allclose(x.numpy(), y, atol=matrices(50, size=4) * (1 + np.abs(y).max()))
    if label == "lstsq":  # torch has no second derivative of it
        return
    along = normal(*inputs[0].shape, seed=9)
    along_slope = (slopes[0] * torch.tensor(along)).sum()
    (curved,) = torch.autograd.grad(along_slope, leaves[:1], allow_unused=True, materialize_grads=True)
    product = hvp(lambda *x: expr.sum(function(*x) * weights))(*inputs, along)
    curved = curved.numpy()
    np.testing.assert_allclose(product, curved, atol=matrices(500, size=4) * (1 + np.abs(curved).max()))


def test_repeated_eigenvalues_have_finite_documented_derivatives():
    for spectrum in (np.array([2.0, 2.0, 2.0, 5.0]), np.full(4, 3.0), np.zeros(4)):
        a = symmetric(4, spectrum)
        inverse = None if not spectrum.all() else rotation(4, 4) / spectrum @ rotation(4, 4).T
        tolerance = matrices(10, size=4) * 10
        np.testing.assert_allclose(grad(lambda x: expr.sum(linalg.eigh(x)[0] ** 2))(a), 2 * a, atol=tolerance)
        np.testing.assert_allclose(grad(lambda x: expr.sum(linalg.eigvalsh(x) ** 2))(a), 2 * a, atol=tolerance)
        if inverse is not None:
            np.testing.assert_allclose(grad(lambda x: expr.sum(expr.log(linalg.eigvalsh(x))))(a), inverse,
                                       atol=tolerance)  # fmt: skip

        def rebuilt(x):  # V f(w) V' depends on no choice of vectors
            w, v = linalg.eigh(x)
            return expr.matmul(v * w[None, :], v.T)

        weights = normal(4, 4)
        for values in (vjp(lambda x: linalg.eigh(x)[1], a)[1](weights)[0], vjp(rebuilt, a)[1](weights)[0]):
            assert np.isfinite(values).all()
        assert np.isfinite(hvp(lambda x: expr.sum(linalg.eigvalsh(x) ** 3))(a, sym(weights))).all()
    near = symmetric(4, np.array([1.0, 1.0 + 1e-15, 2.0, 3.0]))
    assert np.isfinite(vjp(lambda x: linalg.eigh(x)[1], near)[1](weights)[0]).all()
    assert np.array_equal(vjp(lambda x: linalg.eigh(x)[1], np.eye(3))[1](normal(3, 3))[0], np.zeros((3, 3)))


def test_eigenvalues_given_by_the_specification():
    values, vectors = linalg.eigh(expr.variable(np.array([[2.0, 1.0], [1.0, 3.0]])))
    np.testing.assert_allclose(values.value, [1.381966011250105, 3.618033988749895], rtol=arithmetic(operations=10))
    assert vectors.shape == (2, 2)


def test_repeated_and_zero_singular_values():
    q = rotation(4, 5)
    weights = normal(4, 4)
    # at a multiple of a rotation the nuclear norm has gradient q and the Hessian of the polar factor
    tolerance = matrices(10, size=4)
    np.testing.assert_allclose(grad(lambda x: linalg.norm(x, "nuc"))(3 * q), q, atol=tolerance)
    skew = q.T @ weights - weights.T @ q
    np.testing.assert_allclose(hvp(lambda x: linalg.norm(x, "nuc"))(3 * q, weights), q @ skew / 6, atol=tolerance)
    np.testing.assert_allclose(grad(lambda x: expr.sum(linalg.svdvals(x) ** 2))(3 * q), 6 * q, atol=10 * tolerance)
    lame = matrix(5, 3, spectrum=np.array([2.0, 0.0, 0.0]))
    for part in range(3):
        _, pull = vjp(lambda x, part=part: linalg.svd(x, full_matrices=False)[part], lame)
        assert np.isfinite(pull(np.ones(np.shape(_)))[0]).all()
    for order in (None, "fro", "nuc", 1, -1, 2, -2, np.inf, -np.inf):
        assert np.array_equal(grad(lambda x, order=order: linalg.norm(x, order))(np.zeros((3, 2))), np.zeros((3, 2)))
        assert np.isfinite(hvp(lambda x, order=order: linalg.norm(x, order))(np.zeros((3, 2)), normal(3, 2))).all()


@pytest.mark.parametrize("order", [None, 1, 2, 3, 1.5, 0.5, 0, -1, -2, np.inf, -np.inf])
def test_vector_norms(order):
    x = normal(3, 4)
    x += 0.5 * np.sign(x)  # away from the kinks
    for axis in (0, -1):
        for keepdims in (False, True):
            function = lambda x, axis=axis, keepdims=keepdims: linalg.norm(x, order, axis, keepdims)  # noqa: E731
            value, tangent = jvp(function, [x], [normal(3, 4, seed=1)])
            np.testing.assert_allclose(value, function(x), rtol=arithmetic(operations=20))
            expected = slope(function, [x], [normal(3, 4, seed=1)], step=2e-4)
            np.testing.assert_allclose(tangent, expected, atol=100 * five_points() * (1 + np.abs(expected).max()))
    zero = np.zeros(3)
    assert np.array_equal(grad(lambda x: linalg.norm(x, order))(zero), zero)
    sparse = np.array([0.0, 2.0, 0.0])
    got = grad(lambda x: linalg.norm(x, order))(sparse)
    assert np.isfinite(got).all() and got[0] == got[2] == 0


@pytest.mark.parametrize("order", [None, "fro", "nuc", 1, -1, 2, -2, np.inf, -np.inf])
def test_matrix_norms(order):
    x = pair(matrix(5, 3, 0), matrix(5, 3, 2)).transpose(1, 0, 2)
    along = normal(*x.shape)
    for keepdims in (False, True):
        function = lambda x, keepdims=keepdims: linalg.norm(x, order, (0, 2), keepdims)  # noqa: E731
        value, tangent = jvp(function, [x], [along])
        np.testing.assert_allclose(value, function(x), rtol=arithmetic(operations=20))
        np.testing.assert_allclose(tangent, slope(function, [x], [along], step=2e-4), atol=1000 * five_points())
    flat = linalg.norm(expr.variable(x[:, 0]), order).value
    np.testing.assert_allclose(flat, np.linalg.norm(x[:, 0], order), rtol=arithmetic(operations=20))


def test_products_beside_numpy():
    a, b = normal(2, 3, 4), normal(4, 3, 5, seed=1)
    for function, arguments in (
        (np.tensordot, (a, b, ([1, 2], [1, 0]))), (np.tensordot, (a, normal(3, 4, 2), 2)), (np.tensordot, (a, b, 0)),
        (np.tensordot, (a, b, (2, 0))), (np.inner, (a, normal(2, 4))), (np.inner, (a, 3.0)), (np.vdot, (a, a)),
        (np.vdot, (a, normal(24))), (np.kron, (a, normal(2, 2))), (np.kron, (normal(3), a)), (np.kron, (2.0, a)),
        (np.linalg.trace, (a,)), (np.linalg.diagonal, (a,)), (np.linalg.matrix_transpose, (a,)),
        (np.linalg.vecdot, (a, normal(3, 4))), (np.linalg.vector_norm, (a,)), (np.linalg.matrix_norm, (a,)),
        (np.linalg.matrix_power, (SQUARE, 0)), (np.linalg.matrix_power, (SQUARE, 3)),
        (np.linalg.multi_dot, ([normal(2), normal(2, 3), normal(3)],)),
        (np.linalg.multi_dot, ([normal(6, 2), normal(2, 9), normal(9, 3)],)),
    ):  # fmt: skip
        own = getattr(linalg, function.__name__)
        expected = function(*arguments)
        plain = own(*arguments)
        assert np.array_equal(plain, expected)
        first = [expr.variable(x) for x in arguments[0]] if isinstance(arguments[0], list) else constant(arguments[0])
        symbols = symbol("x", np.shape(first)) if isinstance(first, Node) else None
        got = own(first if isinstance(first, list) else expr.variable(arguments[0]), *arguments[1:])
        np.testing.assert_allclose(got.value, expected, rtol=1e-12, atol=1e-13)
        assert got.value.shape == np.shape(expected)
        if symbols is not None:
            assert own(symbols, *arguments[1:]).shape == np.shape(expected)
    for offset in (-2, -1, 1, 3):
        np.testing.assert_array_equal(linalg.diagonal(expr.variable(a), offset=offset).value,
                                      np.linalg.diagonal(a, offset=offset))  # fmt: skip


def test_factors_beside_scipy():
    for a in (TALL[0], WIDE[0], SQUARE[0]):
        node = expr.variable(a)
        for got, expected in zip(linalg.qr(node), scipy.linalg.qr(a, mode="economic"), strict=True):
            np.testing.assert_allclose(got.value, expected, atol=matrices(size=4))
        np.testing.assert_allclose(linalg.qr(node, mode="r").value, np.linalg.qr(a, mode="r"), atol=matrices(size=4))
        u, s, vh = (x.value for x in linalg.svd(node, full_matrices=False))
        np.testing.assert_allclose(u * s @ vh, a, atol=matrices(size=4))
        along = normal(*a.shape)
        tangent = jvp(lambda x: expr.concatenate(linalg.qr(x), axis=-1 if len(x) <= 3 else -2), [a], [along])[1]
        expected = slope(lambda x: np.concatenate(np.linalg.qr(x), axis=-1 if len(x) <= 3 else -2), [a], [along])
        np.testing.assert_allclose(tangent, expected, atol=five_points() * (1 + np.abs(expected).max()))
        b = normal(len(a), 2)
        for got, expected in zip(linalg.lstsq(node, b), np.linalg.lstsq(a, b), strict=True):
            got = got.value if isinstance(got, Node) else got
            np.testing.assert_allclose(got, expected, atol=matrices(5, size=4) * (1 + np.abs(expected).max(initial=0)))
    np.testing.assert_allclose(linalg.expm(SQUARE[0]), scipy.linalg.expm(SQUARE[0]))
    frechet = scipy.linalg.expm_frechet(SQUARE[0], RIGHT[0] @ RIGHT[0].T, compute_expm=False)
    got = jvp(linalg.expm, [SQUARE[0]], [RIGHT[0] @ RIGHT[0].T])[1]
    np.testing.assert_allclose(got, frechet, atol=matrices(100, size=4) * np.abs(frechet).max())
    lame = matrix(5, 3, spectrum=np.array([2.0, 1.0, 0.0]))
    x, _, rank, _ = linalg.lstsq(expr.variable(lame), np.ones(5))
    assert rank.value == 2
    np.testing.assert_allclose(x.value, np.linalg.lstsq(lame, np.ones(5))[0], atol=matrices(10, size=4))


def test_errors_name_the_operation_and_the_remedy():
    singular = np.zeros((3, 3))
    for function, message in (
        (linalg.inv, "inv.*ingular.*pinv"), (lambda x: linalg.solve(x, np.ones(3)), "solve.*ingular.*lstsq"),
        (linalg.cholesky, "cholesky.*positive definite"),
        (lambda x: linalg.solve_triangular(x, np.ones(3)), "solve_triangular.*diagonal"),
        (lambda x: grad(linalg.logdet)(x + 0.0), "inv.*ingular"),
    ):  # fmt: skip
        for x in (singular, expr.variable(singular)):
            with pytest.raises(InputError, match=message):
                function(x)
    for row in ("inv", "det", "eigh", "cholesky", "logdet", "slogdet", "eigvalsh", "expm"):
        for x in (expr.variable(np.ones((2, 3))), symbol("x", (2, 3)), expr.variable(np.ones(3))):
            with pytest.raises(InputError, match=rf"{row}.*\((2, )?3,?\).*not a square"):
                build(row, x)
    for a in (expr.variable(np.eye(3)), symbol("a", (3, 3))):
        with pytest.raises(InputError, match=r"solve.*\(3, 3\).*\(4,\)"):
            linalg.solve(a, np.ones(4))
        with pytest.raises(InputError, match=r"solve.*\(3, 3\).*\(2, 4, 1\)"):
            linalg.solve(a, np.ones((2, 4, 1)))
        with pytest.raises(UnsupportedError, match="full_matrices=False"):
            linalg.svd(a[:2])
        with pytest.raises(InputError, match="complex"):
            linalg.solve(a, np.ones(3) * 1j)
        with pytest.raises(UnsupportedError, match="'raw'"):
            linalg.qr(a, "raw")
        with pytest.raises(InputError, match="ord='spam'"):
            linalg.norm(a, "spam")
        with pytest.raises(InputError, match="norm over 3 axes"):
            linalg.norm(build("reshape", a, params=((3, 3, 1),)), 2)
        with pytest.raises(InputError, match="exponent 0.5"):
            linalg.matrix_power(a, 0.5)
    with pytest.raises(InputError, match="complex"):
        call("inv", np.eye(2) * 1j)
    with pytest.raises(InputError, match="float16.*float32"):
        call("inv", np.eye(2, dtype=np.float16))
    with pytest.raises(InputError, match="svdvals.*infinities and nans"):
        call("svdvals", np.full((2, 2), np.nan))


def test_tensors_meet_the_same_errors():
    torch = pytest.importorskip("torch")
    for function, message in (
        (linalg.inv, "inv.*ingular.*pinv"), (lambda x: linalg.solve(x, torch.ones(3)), "solve.*ingular.*lstsq"),
        (linalg.cholesky, "cholesky.*positive"), (lambda x: linalg.solve_triangular(x, torch.ones(3)), "diagonal"),
    ):  # fmt: skip
        with pytest.raises(InputError, match=message):
            function(torch.zeros(3, 3))
    with pytest.raises(InputError, match=r"inv.*\(2, 3\).*not a square"):
        linalg.inv(torch.ones(2, 3))


def test_numpy_s_own_functions_take_nodes():
    a = expr.variable(SQUARE[0])
    for name in linalg.__all__:
        if not hasattr(np.linalg, name) or name in ("multi_dot", "lstsq", "solve", "matrix_power", "cholesky"):
            continue
        if name in ("matmul", "outer", "tensordot", "vecdot"):
            continue
        got = getattr(np.linalg, name)(a)
        expected = getattr(np.linalg, name)(SQUARE[0])
        got, expected = ((x,) if not isinstance(x, tuple) else x for x in (got, expected))
        for x, y in zip(got, expected, strict=True):
            assert isinstance(x, Node)
            np.testing.assert_allclose(x.value, y, atol=matrices(10, size=4) * (1 + np.abs(y).max()))
    np.testing.assert_allclose(np.linalg.solve(a, np.ones(4)).value, np.linalg.solve(SQUARE[0], np.ones(4)))
    np.testing.assert_allclose(np.linalg.solve(SQUARE[0], expr.variable(np.ones(4))).value,
                               np.linalg.solve(SQUARE[0], np.ones(4)))  # fmt: skip
    with pytest.raises(UnsupportedError, match="eigvals"):
        np.linalg.eigvals(a)
