"""thalweg.numpy: NumPy's values on plain arrays, nodes and tensors, derivatives beside central differences."""

import numpy as np
import pytest

import thalweg.numpy as tnp
from thalweg import expr
from thalweg.core.errors import InputError, UnsupportedError
from thalweg.expr import evaluate, symbol, trace, variable
from thalweg.expr.protocol import FUNCTIONS, HINTS
from tolerances import arithmetic, central_difference

RNG = np.random.default_rng(31)
A = RNG.normal(size=(3, 4))
P = np.abs(A) + 0.3
V = RNG.normal(size=5)
C = RNG.normal(size=(3, 4, 2))
T = RNG.normal(size=(3, 3))
WITH_NAN = np.where(A > 1, np.nan, A)

# Written once for both modules: `m` is numpy or thalweg.numpy, and `np` itself must find the same on nodes.
CASES = {
    "positive": (lambda m, x: m.positive(x), A),
    "reciprocal": (lambda m, x: m.reciprocal(x), P),
    "logaddexp2": (lambda m, x: m.logaddexp2(x, x[0]), A),
    "deg2rad": (lambda m, x: m.deg2rad(x) + m.rad2deg(x) + m.radians(x) + m.degrees(x), A),
    "fmod": (lambda m, x: m.fmod(x, 0.37) + m.fmod(x, -x[0] * 0.8), A),
    "divmod": (lambda m, x: m.divmod(x, 0.37)[0] + m.divmod(x, 0.37)[1] * 2, A),
    "modf": (lambda m, x: m.modf(3 * x)[0] + x * m.modf(3 * x)[1], A),
    "ldexp": (lambda m, x: m.ldexp(x, np.array([1, 2, 0, 3])), A),
    "float_power": (lambda m, x: m.float_power(x, 2.5), P),
    "fmax": (lambda m, x: m.fmax(x, 0.1) * m.fmin(x, 0.2), A),
    "copysign": (lambda m, x: m.copysign(x, -x[:, ::-1]), A),
    "heaviside": (lambda m, x: m.heaviside(x, 0.5) * x, A),
    "sinc": (lambda m, x: m.sinc(x) + m.sinc(0.01 * x), A),
    "fabs": (lambda m, x: m.fabs(x), A),
    "round": (lambda m, x: m.round(x, 1) * x + m.round(10 * x, -1), A),
    "fix": (lambda m, x: m.fix(3 * x) * x, A),
    "clip": (lambda m, x: m.clip(x, -0.5, 0.7) + m.clip(x, 0.1, None), A),
    "nan_to_num": (lambda m, x: m.nan_to_num(x, nan=2.0) * 3, A),
    "where": (lambda m, x: m.where(x > 0, x * x, 0.5), A),
    "select": (lambda m, x: m.select([x > 1, x > 0], [x * x, 3 * x], -x), A),
    "piecewise": (lambda m, x: m.piecewise(x, [x > 1, x < 0], [lambda v: v * v, lambda v: -v, lambda v: 2 * v]), A),
    "isclose": (lambda m, x: m.where(m.isclose(x, x[0]), x, 2 * x), A),
    "logical_xor": (lambda m, x: m.where(m.logical_xor(x > 0, x > 0.5), x, 2 * x), A),
    "bitwise": (lambda m, x: m.where((x > 0) & (x < 1) | ~(x > -1) ^ (x > 2), x, 2 * x), A),
    "operators": (lambda m, x: x % 0.7 + x // 0.7 * x + 2.0 % P + divmod(x, 0.3)[1], A),
    "sum": (lambda m, x: m.sum(x, axis=(0, 2)) + m.sum(x, axis=-2, keepdims=True)[0, 0, 0], C),
    "mean": (lambda m, x: m.mean(x, axis=0) * m.mean(x), A),
    "var": (lambda m, x: m.var(x, axis=1, ddof=1) + m.var(x), A),
    "std": (lambda m, x: m.std(x, axis=0, keepdims=True) + m.std(x, ddof=1), A),
    "average": (lambda m, x: m.average(x, axis=1, weights=x * x) + m.average(x, axis=1), P),
    "average of vector": (lambda m, x: m.average(x, axis=1, weights=np.array([1.0, 2.0, 3.0, 4.0])), P),
    "max": (lambda m, x: m.max(x, axis=0) + m.amin(x), A),
    "ptp": (lambda m, x: m.ptp(x, axis=1), A),
    "median": (lambda m, x: m.median(x, axis=1) + m.median(x) + m.median(x, axis=0)[1], A),
    "quantile": (lambda m, x: m.quantile(x, [0.1, 0.75], axis=1), A),
    "percentile": (lambda m, x: m.percentile(x, 30, axis=0, keepdims=True), A),
    "prod": (lambda m, x: m.prod(x, axis=1) + m.prod(x), A),
    "prod over two": (lambda m, x: m.prod(x, axis=(0, 2), keepdims=True), C),
    "cumsum": (lambda m, x: m.cumsum(x * x, axis=0) + m.cumsum(x)[3], A),
    "cumprod": (lambda m, x: m.cumprod(x, axis=1) + m.cumprod(x)[-2], A),
    "diff": (lambda m, x: m.diff(x, n=2) * m.diff(x, axis=1)[:, 1:], A),
    "diff with ends": (lambda m, x: m.diff(x, axis=0, prepend=0.0, append=x[:1]), A),
    "trapezoid": (lambda m, x: m.trapezoid(x, dx=0.5) + m.trapezoid(x * x, x=np.array([0, 1, 3, 4.0]), axis=1), A),
    "any": (lambda m, x: m.where(m.any(x > 1, axis=1, keepdims=True), x, m.where(m.all(x > -1), 2 * x, -x)), A),
    "argmax": (lambda m, x: x[m.argmax(x, axis=0), np.arange(4)] + x[0, m.argmin(x[0])], A),
    "count_nonzero": (lambda m, x: x * m.count_nonzero(x > 0, axis=0), A),
    "nansum": (lambda m, x: m.nansum(x, axis=0) + m.nanmean(x) + m.nanmax(x, axis=1)[0] + m.nanmin(x), A),
    "polyval": (lambda m, x: m.polyval([1.0, -2.0, 0.5], x) + m.polyval(x[0], 0.3), A),
    "allclose": (lambda m, x: x if m.allclose(np.ones(3), np.ones(3)) and m.array_equal([1], [1]) else 2 * x, A),
    "reshape": (lambda m, x: m.reshape(x, (4, -1)) @ m.reshape(x, (3, 4)), A),
    "ravel": (lambda m, x: m.ravel(x)[2:] * m.squeeze(x[:, :, None, :1])[1, 1], C),
    "expand_dims": (lambda m, x: m.expand_dims(x, (0, 2)) * m.expand_dims(x, -1), A),
    "moveaxis": (lambda m, x: m.moveaxis(x, 0, -1) @ m.moveaxis(x, [0, 1], [2, 0])[:, 0, :, None], C),
    "rollaxis": (lambda m, x: m.rollaxis(x, 2) ** 2, C),
    "swapaxes": (lambda m, x: m.swapaxes(x, 0, 2) ** 2 + m.permute_dims(x, (2, 1, 0)), C),
    "matrix_transpose": (lambda m, x: m.matrix_transpose(x) ** 2, C),
    "atleast": (lambda m, x: m.atleast_3d(x[0]) * m.atleast_2d(x[0])[..., None] * m.atleast_1d(x[0, 0]), A),
    "stack": (lambda m, x: m.stack([x, x * x], axis=1) * m.stack([x, np.ones((3, 4))], axis=-2), A),
    "vstack": (lambda m, x: m.vstack([x, x[0] * 2, np.ones(4)]), A),
    "hstack": (lambda m, x: m.concatenate([m.hstack([x[0], x[1]]), m.ravel(m.hstack([x, x]))]), A),
    "dstack": (lambda m, x: m.dstack([x, x * x]), A),
    "column_stack": (lambda m, x: m.column_stack([x[:, 0], x, x[:, 1]]), A),
    "append": (lambda m, x: m.append(m.append(x, x * x), 1.0), A),
    "concatenate": (lambda m, x: m.concatenate((x, x[:, :2] * 2), axis=-1), A),
    "split": (lambda m, x: m.split(x, 2, axis=1)[1] * m.split(x, [1, 3], axis=1)[1], A),
    "array_split": (lambda m, x: m.array_split(x, 3, axis=1)[0] * m.array_split(x, 3, axis=1)[2], A),
    "hsplit": (lambda m, x: m.hsplit(x, 2)[0] * m.vsplit(x, 3)[1][:, :2], A),
    "dsplit": (lambda m, x: m.dsplit(x, 2)[0] * m.unstack(x, axis=2)[1][..., None], C),
    "tile": (lambda m, x: m.tile(x, (2, 1, 3)) * m.tile(x, 3), A),
    "repeat": (lambda m, x: m.repeat(x, 2, axis=1)[:, :7] * m.repeat(x, [1, 0, 2, 4], axis=1), A),
    "repeat all": (lambda m, x: m.repeat(x, 2), A),
    "roll": (lambda m, x: m.roll(x, 1, axis=1) * m.roll(x, -5) * m.roll(x, (1, 2), axis=(0, 1)), A),
    "flip": (lambda m, x: m.flip(x) * m.flip(x, 0) * m.fliplr(x) * m.flipud(x), A),
    "rot90": (lambda m, x: m.rot90(x) * m.rot90(x, 3) + m.rot90(x, 2).T, A),
    "pad": (lambda m, x: m.pad(x, ((1, 2), (0, 1))) * m.pad(x, ((1, 2), (0, 1)), constant_values=3.0), A),
    "pad by modes": (lambda m, x: m.pad(x, 1, mode="edge") * m.pad(x, 1, mode="reflect") + m.pad(x, 1, mode="wrap"), A),
    "broadcast": (lambda m, x: m.broadcast_to(x, (2, 3, 4)) * m.broadcast_arrays(x, np.ones((2, 1, 1)))[0], A),
    "meshgrid": (lambda m, x: m.meshgrid(x, x[:2])[0] * m.meshgrid(x, x[:2], indexing="ij")[1].T, V),
    "sort": (lambda m, x: m.sort(x, axis=0) * m.sort(x) + m.sort(x, axis=None)[3], A),
    "argsort": (lambda m, x: m.take_along_axis(x, m.argsort(x, axis=1)[:, :2], axis=1), A),
    "take": (lambda m, x: m.take(x, [0, 2, 2], axis=1) * m.take(x, [[5], [1], [1]]), A),
    "take_along_axis": (lambda m, x: m.take_along_axis(x, np.array([[0], [3], [0]]), 1) * x, A),
    "diag": (lambda m, x: m.diag(m.diag(x, 1), -1) * m.diag(m.diag(x)) + m.diagflat(x[:1]), T),
    "diagonal": (lambda m, x: m.diagonal(x, offset=-1, axis1=1, axis2=0), C),
    "trace": (lambda m, x: m.trace(x, offset=1) + m.trace(x), A),
    "tril": (lambda m, x: m.tril(x, 1) * m.triu(x, -1), T),
    "compress": (lambda m, x: m.compress([True, False, True], x, axis=0) * m.extract(np.ones(4, bool), x[0]), A),
    "dot": (lambda m, x: m.dot(x, x.T) @ m.dot(x, x[0])[:, None], A),
    "dot of stacks": (lambda m, x: m.dot(x, x[0].T) + m.dot(x, x[0, 0, 0])[..., :1], C),
    "matmul": (lambda m, x: m.matmul(x, x[0].T) + (x @ x[0, 0])[..., None], C),
    "outer": (lambda m, x: m.outer(x, x[0]), A),
    "einsum": (lambda m, x: m.einsum("...ij,kj->...ik", x, x[0]) + m.einsum("ijk->ij", x)[..., None], C),
    "einsum of one axis": (lambda m, x: m.einsum("ij,ij->i", x, x[:1]) + m.einsum(x, [0, 1], [0]), A),
    "cross": (lambda m, x: m.cross(x, x[0] ** 2) + m.cross(x, np.array([1.0, 2.0, 3.0]), axisa=0), T),
    "kron": (lambda m, x: m.kron(x[:2], x[1:, :1]), A),
    "tensordot": (lambda m, x: m.tensordot(x, x[:, :, 0], axes=([0, 1], [0, 1])), C),
    "inner": (lambda m, x: m.inner(x, x) * m.vdot(x[0], x[1]), A),
    "linalg": (lambda m, x: m.linalg.solve(x + 4 * np.eye(3), x[:, 0]) * m.linalg.norm(x), T),
    "ones_like": (lambda m, x: m.ones_like(x) * x + m.zeros_like(x) + m.full_like(x, 2.0) * x, A),
    "linspace": (lambda m, x: m.linspace(x[0], x[1], 5) * m.linspace(x[0, 0], 1.0, 5, endpoint=False)[:, None], A),
    "real": (lambda m, x: m.real(x) * m.conj(x), A),
    "integer indices": (lambda m, x: x[[0, 2, 2]] * x[np.array([1, 0, 1])][:, ::-1], A),
    "pairs of indices": (lambda m, x: x[np.array([0, 2, 0]), np.array([1, -1, 1])] * x[1, [0, 0, 3]], A),
    "indices apart": (lambda m, x: x[[0, 1], :, [0, 1]] * x[np.array([[0], [2]]), 1:3, 0].reshape(2, 2)[0, 0], C),
    "new axes and indices": (lambda m, x: x[None, [0, 1], ..., None][0, :, :, 0, 0] * x[..., [1, 0]][0, 0, 0], C),
    "mask": (lambda m, x: x[A > 0] * x[np.array([True, False, True])][0, 0], A),
    "mask of its own": (lambda m, x: m.sum(x[x > 0] ** 2) * x, A),
    "methods": (lambda m, x: x.std(axis=0) + x.var() + x.prod(axis=0) + x.cumsum(axis=0)[0] + x.clip(-1, 1)[1]
                + x.ravel()[:4] + x.flatten()[4:8] + x.dot(x[0]).mean() + x.T.swapaxes(0, 1)[0] + x[:1].squeeze()
                + x.max(axis=0) + x.take([0, 1, 1, 0]) + x.copy()[0] + x.repeat(1, axis=0)[0] + x.round(1)[0] + x.size
                + x.transpose(1, 0)[:, 0] + x.diagonal().sum() + x.trace() + x.argmax(axis=0) + x.mT[:, 0], A),
    "ufunc methods": (lambda m, x: m.add.reduce(x) * m.maximum.reduce(x, axis=1)[0] * m.add.accumulate(x)
                      + m.multiply.outer(x[0], x[1])[0] + m.multiply.reduce(x, axis=None), A),
}  # fmt: skip
NUMPY_ONLY = {"ufunc methods"}


def _central(function, x, direction):
    step = (1.5 * np.finfo(float).eps) ** (1 / 3)
    with np.errstate(all="ignore"):
        return (function(x + step * direction) - function(x - step * direction)) / (2 * step)


@pytest.mark.parametrize("name", CASES)
def test_values_and_derivatives(name):
    function, point = CASES[name]
    expected = function(np, point)
    assert np.isfinite(expected).all()
    modules = [np] if name in NUMPY_ONLY else [np, tnp]
    if name not in NUMPY_ONLY:
        np.testing.assert_array_equal(function(tnp, point), expected)  # plain arrays are NumPy's own affair
    direction = np.random.default_rng(1).normal(size=point.shape)
    weights = np.random.default_rng(2).normal(size=expected.shape)
    for m in modules:
        value, tangent = expr.transforms.jvp(lambda x, m=m: function(m, x), [point], [direction])
        np.testing.assert_allclose(value, expected, rtol=arithmetic(operations=20), atol=1e-13)
        slope = _central(lambda x: function(np, x), point, direction)
        scale = 1 + np.abs(slope).max()
        np.testing.assert_allclose(tangent, slope, atol=30 * scale * central_difference())
        gradient = expr.grad(lambda x, m=m: expr.sum(function(m, x) * weights))(point)
        assert gradient.shape == point.shape
        both = np.sum(np.abs(tangent * weights)) + np.sum(np.abs(gradient * direction)) + 1
        np.testing.assert_allclose(
            np.sum(gradient * direction), np.sum(tangent * weights), atol=100 * arithmetic() * both
        )
    if name not in ("mask of its own",):
        x = symbol("x", point.shape)
        np.testing.assert_allclose(
            evaluate(function(np, x), {x: point}), expected, rtol=arithmetic(operations=20), atol=1e-13
        )


@pytest.mark.parametrize("name", sorted(set(CASES) - {"linalg", "nan_to_num"}))
def test_single_precision_is_kept(name):
    function, point = CASES[name]
    small = point.astype(np.float32)
    if np.asarray(function(np, small)).dtype == np.float32:
        value, gradient = expr.value_and_grad(lambda x: expr.sum(function(np, x)))(small)
        assert gradient.dtype == np.float32
        assert value.dtype == np.float32


def _torch_cases():
    skipped = {
        "mask of its own": "masks of tensors", "ufunc methods": "NumPy's", "methods": "torch's own methods differ",
        "operators": "an array meets a tensor", "linalg": "an array meets a tensor",
    }  # fmt: skip
    return sorted(set(CASES) - set(skipped))


@pytest.mark.parametrize("name", _torch_cases())
def test_the_same_functions_compute_with_torch(name):
    torch = pytest.importorskip("torch")
    function, point = CASES[name]
    try:
        expected = expr.grad(lambda x: expr.sum(function(tnp, x)))(point)
        got = expr.grad(lambda x: tnp.sum(function(tnp, x)))(torch.as_tensor(point))
    except InputError as error:
        if "NumPy array of dtype float64" in str(error):
            pytest.skip("the case brings a floating array of its own")
        raise
    np.testing.assert_allclose(got.numpy(), expected, rtol=1e-9, atol=1e-9)


def test_products_have_the_right_derivatives_at_zero_factors():
    for x in (np.array([2.0, 0.0, 3.0, -1.0]), np.array([0.0, 2.0, 0.0, 5.0, 1.0]), np.zeros(3)):
        others = np.array([np.prod(np.delete(x, i)) for i in range(len(x))])
        np.testing.assert_allclose(expr.grad(np.prod)(x), others)
        weights = np.arange(1.0, len(x) + 1)
        slope = expr.grad(lambda v, w=weights: np.sum(np.cumprod(v) * w))(x)
        want = [sum(w * np.prod(np.delete(x[: k + 1], i)) for k, w in enumerate(weights) if k >= i)
                for i in range(len(x))]  # fmt: skip
        np.testing.assert_allclose(slope, want)
        hessian = [expr.grad(lambda v, i=i: expr.grad(np.prod)(v)[i])(x) for i in range(len(x))]
        pairs = [[0.0 if i == j else np.prod(np.delete(x, [i, j])) for j in range(len(x))] for i in range(len(x))]
        np.testing.assert_allclose(hessian, pairs)


def test_documented_values_where_no_derivative_exists():
    zero = np.zeros(3)
    np.testing.assert_array_equal(expr.grad(lambda x: np.std(x))(np.ones(3)), zero)
    np.testing.assert_array_equal(expr.grad(lambda x: np.sum(np.hypot(x, 0.0 * x)))(zero), zero)
    np.testing.assert_array_equal(expr.grad(lambda x: np.sum(np.arctan2(x, 0.0 * x)))(zero), zero)
    np.testing.assert_array_equal(expr.grad(lambda x: np.sum(np.floor(x) + np.rint(x)))(zero), zero)
    assert expr.grad(np.sinc)(0.0) == 0.0
    assert expr.grad(expr.grad(np.sinc))(0.0) == pytest.approx(-(np.pi**2) / 3, rel=1e-14)
    assert expr.grad(lambda x: np.where(x > 0, np.arcsin(x), 0.0))(-2.0) == 0.0
    assert expr.grad(lambda x: np.where(x > 1, np.arccosh(x), x * 3))(0.5) == 3.0


def test_not_a_number_follows_numpy():
    for name in ("nansum", "nanmean", "nanmax", "nanmin", "median", "max", "fmax", "isnan", "nan_to_num"):
        arguments = (WITH_NAN, 0.3) if name == "fmax" else (WITH_NAN,)
        with np.errstate(all="ignore"):
            ours = getattr(tnp, name)(variable(WITH_NAN), *arguments[1:])
            np.testing.assert_allclose(ours.value, getattr(np, name)(*arguments), err_msg=name)


def test_repeated_indices_add_up():
    weights = np.array([1.0, 10.0, 100.0])
    x = np.arange(4.0)
    np.testing.assert_array_equal(expr.grad(lambda v: np.sum(v[[1, 1, 3]] * weights))(x), [0, 11, 0, 100])
    np.testing.assert_array_equal(expr.grad(lambda v: np.sum(v[::-1][:3] * weights))(x), [0, 100, 10, 1])


def test_index_arrays_may_be_expressions():
    x, where = symbol("x", ("n", 4)), symbol("i", ("k",), "integer")
    chosen = x[where] * 2.0
    assert chosen.shape == ("k", 4)
    places = np.array([2, 0, 2, 1])
    np.testing.assert_array_equal(evaluate(chosen, {x: A, where: places}), A[places] * 2)
    slope = expr.lower(expr.gradient(chosen, x), [x, where])(A, places)
    np.testing.assert_array_equal(slope, 2 * np.bincount(places, minlength=3)[:, None] * np.ones((1, 4)))


def test_truth_values_are_counted():
    x = symbol("x", ("n",))
    for node in (np.sum(x > 0), np.sum(np.cumsum(x > 0))):
        assert node.kind == "i"
    assert evaluate(np.sum(x > 0), {x: V}) == np.sum(V > 0)
    assert np.mean(variable(V) > 0).value == np.mean(V > 0)


def test_arrays_collect_nodes():
    def rotation(angle):
        return tnp.array([[tnp.cos(angle), -tnp.sin(angle)], [tnp.sin(angle), tnp.cos(angle)]])

    got = expr.transforms.jvp(rotation, [0.3], [1.0])[1]
    np.testing.assert_allclose(got, [[-np.sin(0.3), -np.cos(0.3)], [np.cos(0.3), -np.sin(0.3)]], rtol=1e-15)
    single = np.float32([1, 2])
    assert tnp.array([variable(single)[0], 1.0, variable(single)[1]]).value.dtype == np.float32
    np.testing.assert_array_equal(tnp.asarray([1, 2]), [1, 2])
    assert trace(lambda z: tnp.zeros(z.shape) + tnp.ones_like(z), z=("n",)).shape == ("n",)


def test_the_array_namespace_is_the_public_module():
    x = variable(A)
    namespace = x.__array_namespace__()
    assert namespace.sin is tnp.sin
    assert set(tnp.__all__) == set(namespace.__all__)
    for name in tnp.__all__:
        assert hasattr(np, name), name


def test_numpy_finds_every_function_of_ours():
    for name in tnp.__all__:
        theirs, ours = getattr(np, name), getattr(tnp, name)
        if callable(theirs) and theirs is not ours and not isinstance(theirs, (np.ufunc, type)):
            assert theirs in FUNCTIONS, name
    assert not set(HINTS) & set(tnp.__all__)


def test_numpy_s_errors_and_keywords_stay():
    with pytest.raises(ValueError, match="equal division"):
        tnp.split(np.ones(5), 2)
    assert tnp.sum(np.ones(3), dtype=np.float32, initial=2.0) == 5.0
    x = variable(A)
    for call, match in [
        (lambda: tnp.split(x, 3, axis=1), "array_split"),
        (lambda: tnp.sum(x, axis=2), "axis"),
        (lambda: tnp.stack([x, x.T]), "stack of shapes"),
        (lambda: x[5], "index 5"),
        (lambda: x[np.array([7])], "out of bounds"),
        (lambda: x[np.ones(4, bool)], "mask of size 4"),
        (lambda: x[0, 0, 0], "3 indices"),
        (lambda: x[1.5], "whole numbers"),
        (lambda: tnp.squeeze(x, 0), "size 1"),
        (lambda: tnp.quantile(x, 2.0), "0 to 1"),
        (lambda: tnp.moveaxis(x, [0, 1], 0), "as many"),
    ]:
        with pytest.raises(InputError, match=match):
            call()
    with pytest.raises(UnsupportedError, match="where"):
        np.sum(x, where=np.ones((3, 4), bool))
    with pytest.raises(UnsupportedError, match="closest|nanmean"):
        np.nanstd(x)
    with pytest.raises(AttributeError, match="in place"):
        x.sort()
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        x.nonsense()
