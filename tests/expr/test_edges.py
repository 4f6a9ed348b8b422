"""Where a domain ends, precisions meet, or a slope is infinite beside a branch not taken: every way agrees."""

import functools

import numpy as np
import pytest
import torch
from tests.tolerances import arithmetic

import thalweg as tw

WAYS = {"eager": lambda f: f, "compiled": functools.partial(tw.compile, fuse=False)}  # fusing takes seconds
ways = pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)


@pytest.mark.parametrize(
    "function",
    [
        lambda q: np.exp(np.log(q)),
        lambda q: np.expm1(np.log1p(q)),
        lambda q: np.sqrt(q) ** 2,
        lambda q: (q**0.5) ** 4,
        lambda q: np.log(q**0.5),
    ],
)
def test_the_simplifier_gives_no_value_where_the_function_has_none(function):
    x = np.array([-3.0, -1.5, 2.0])
    with np.errstate(all="ignore"):
        expected = function(x)
        assert np.isnan(expected[:2]).all()
        np.testing.assert_allclose(tw.compile(function, fuse=False)(x), expected, rtol=arithmetic(operations=4))


@ways
def test_a_reciprocal_of_a_reciprocal_has_no_derivative_at_0(way):
    slopes = way(tw.elementwise_grad(lambda q: 1 / (1 / q)))(np.array([0.0, 2.0]))
    assert np.isnan(slopes[0])
    np.testing.assert_allclose(slopes[1], 1.0, rtol=arithmetic(operations=4))


def test_a_singular_matrix_has_no_inverse_twice_over():
    with pytest.raises(tw.InputError, match="Singular"):
        tw.compile(lambda a: np.linalg.inv(np.linalg.inv(a)))(np.ones((2, 2)))


COMPARISONS = [np.less, np.less_equal, np.greater, np.greater_equal, np.equal, np.not_equal]


@pytest.mark.parametrize("compare", COMPARISONS)
def test_comparisons_of_infinite_and_missing_data_are_numpys(compare):
    a, b = [x.ravel() for x in np.meshgrid(*[[np.inf, -np.inf, np.nan, 1.0, 1e-45]] * 2)]
    compiled = tw.compile(lambda a, b: compare(a, b))(a, b)
    assert compiled.dtype == bool
    np.testing.assert_array_equal(compiled, compare(a, b))
    itself = tw.compile(lambda a: compare(a, a))(a)
    assert itself.dtype == bool
    np.testing.assert_array_equal(itself, compare(a, a))
    np.testing.assert_array_equal(tw.compile(lambda a: ~compare(a, a))(a), ~compare(a, a))


def test_truth_values_that_are_known_beforehand_stay_truth_values():
    x = np.array([1.0, 2.0])
    assert tw.compile(lambda q: (q - q) <= 0.0)(x).dtype == bool
    assert tw.compile(lambda q: ~((0.0 * q) > 1.0))(x).dtype == bool


POWERS = [
    # x, p, the derivative by x, and by p: where p = 0 the first is 0, where x <= 0 the second
    (0.0, 0.0, 0.0, 0.0), (-2.0, 0.0, 0.0, 0.0), (2.0, 0.0, 0.0, np.log(2.0)), (0.0, 1.0, 1.0, 0.0),
    (0.0, 2.0, 0.0, 0.0), (-3.0, 2.0, -6.0, 0.0), (0.0, 0.5, np.inf, 0.0), (3.0, 2.0, 6.0, 9.0 * np.log(3.0)),
]  # fmt: skip


@ways
@pytest.mark.parametrize("of", ["numpy", "torch"])
def test_powers_have_the_documented_derivatives_where_they_have_no_other(way, of):
    x, p, by_x, by_p = np.array(POWERS).T
    if of == "torch":
        x, p = torch.tensor(x), torch.tensor(p)
    found = way(tw.grad(lambda x, p: (x**p).sum(), argnums=(0, 1)))(x, p)
    np.testing.assert_allclose(np.asarray(found[0]), by_x, rtol=arithmetic(operations=4))
    np.testing.assert_allclose(np.asarray(found[1]), by_p, rtol=arithmetic(operations=4))
    ones = (np.ones_like if of == "numpy" else torch.ones_like)(x)
    for function, at, expected in ((lambda x: x**p, x, by_x), (lambda p: x**p, p, by_p)):
        pushed = way(lambda at, one, function=function: tw.jvp(function, (at,), (one,))[1])(at, ones)
        np.testing.assert_allclose(np.asarray(pushed), expected, rtol=arithmetic(operations=4))


@ways
def test_numbers_to_the_power_of_numbers_follow_the_same_rule(way):
    for x, p, by_x, by_p in POWERS:
        np.testing.assert_allclose(
            way(tw.grad(lambda x, p: x**p, argnums=(0, 1)))(x, p), (by_x, by_p), rtol=arithmetic(operations=4)
        )


@ways
def test_a_power_without_a_value_has_no_derivative(way):
    found = way(tw.grad(lambda x, p: np.sum(x**p), argnums=(0, 1)))(np.array([-2.0, 0.0]), np.array([0.5, -1.0]))
    assert np.isnan(found[0][0])
    assert np.isnan(found[1]).all()


@ways
def test_second_derivatives_of_powers(way):
    hessian = way(tw.hessian(lambda a: a[0] ** a[1]))
    # d/dp of p x**(p - 1) at p = 0 is 1 / x: the zero of the first derivative there is no constant
    np.testing.assert_allclose(
        hessian(np.array([2.0, 0.0])), [[0, 0.5], [0.5, np.log(2.0) ** 2]], rtol=arithmetic(operations=4)
    )
    np.testing.assert_array_equal(hessian(np.array([0.0, 0.0])), np.zeros((2, 2)))
    np.testing.assert_array_equal(hessian(np.array([0.0, 0.5]))[1], [0, 0])


BESIDE = {
    "minimum": (
        lambda q: np.minimum(1 / q, 10.0),
        lambda q: torch.minimum(1 / q, torch.tensor(10.0, dtype=torch.float64)),
    ),
    "maximum": (lambda q: np.maximum(np.log(q), -5.0), lambda q: torch.clamp(torch.log(q), min=-5.0)),
    "clip": (lambda q: np.clip(1 / q, 0, 10.0), lambda q: torch.clamp(1 / q, 0, 10.0)),
    "clip log": (lambda q: np.clip(np.log(q), -5, 5), lambda q: torch.clamp(torch.log(q), -5, 5)),
    "nan_to_num": (lambda q: np.nan_to_num(1 / q), None),
    "nan_to_num of log": (lambda q: np.nan_to_num(np.log(q)), None),
    "relu": (lambda q: np.maximum(np.log(q) + 9, 0), lambda q: torch.relu(torch.log(q) + 9)),
    "where": (lambda q: np.where(q > 0, q * np.log(q), 0.0), None),
    "sqrt": (lambda q: np.minimum(np.maximum(1 / q**1.5, 0.1), 7.0), None),
}
SLOPES = {  # first, second and third derivative at 2; all of them are 0 at 0
    "minimum": (-1 / 4, 1 / 4, -3 / 8), "clip": (-1 / 4, 1 / 4, -3 / 8), "nan_to_num": (-1 / 4, 1 / 4, -3 / 8),
    "maximum": (1 / 2, -1 / 4, 1 / 4), "clip log": (1 / 2, -1 / 4, 1 / 4), "relu": (1 / 2, -1 / 4, 1 / 4),
    "nan_to_num of log": (1 / 2, -1 / 4, 1 / 4), "where": (np.log(2.0) + 1, 1 / 2, -1 / 4),
    "sqrt": (-1.5 * 2**-2.5, 3.75 * 2**-3.5, -13.125 * 2**-4.5),
}  # fmt: skip


@ways
@pytest.mark.parametrize("name", BESIDE)
def test_an_infinite_slope_on_the_side_not_taken_adds_0_to_any_order(way, name):
    by_numpy, by_torch = BESIDE[name]
    for function, at in ((by_numpy, np.array([0.0, 2.0])), (by_torch, torch.tensor([0.0, 2.0], dtype=torch.float64))):
        for slope in SLOPES[name] if function is not None else ():
            function = tw.elementwise_grad(function)
            found = way(function)(at)
            np.testing.assert_allclose(np.asarray(found), [0, slope], rtol=arithmetic(operations=16))
    total = lambda q: by_numpy(q).sum()  # noqa: E731
    x, second = np.array([0.0, 2.0]), SLOPES[name][1]
    np.testing.assert_allclose(way(tw.hessian(total))(x), np.diag([0, second]), rtol=arithmetic(operations=16))
    np.testing.assert_allclose(way(tw.hvp(total))(x, x), [0, 2 * second], rtol=arithmetic(operations=16))


def test_what_is_fused_agrees():
    for name in ("clip log", "nan_to_num"):
        function = tw.elementwise_grad(tw.elementwise_grad(BESIDE[name][0]))
        np.testing.assert_allclose(
            tw.compile(function)(np.array([0.0, 2.0])), [0, SLOPES[name][1]], rtol=arithmetic(operations=4)
        )


@ways
def test_conditions_that_are_data_hide_their_branch_in_second_derivatives_too(way):
    x, d = np.array([1.0, 2.0, 3.0]), np.array([1.0, 0.0, 1.0])
    expected = np.diag([6.0, 0.0, 18.0])
    np.testing.assert_array_equal(way(tw.hessian(lambda q, d: np.sum(np.where(d > 0, q**3 / d, 0.0))))(x, d), expected)
    np.testing.assert_array_equal(way(tw.hessian(lambda q: np.sum(np.where(d > 0, q**3 / d, 0.0))))(x), expected)
    steep = lambda q: np.sum(np.where(d > 0, (q - 2) ** 1.5, 0.0))  # noqa: E731
    at = np.array([3.0, 2.0, 6.0])
    np.testing.assert_allclose(way(tw.hessian(steep))(at), np.diag([0.75, 0, 0.375]), rtol=arithmetic(operations=8))
    np.testing.assert_array_equal(way(tw.grad(lambda q: np.sum(np.clip(q / d, 0, 10.0))))(x), [1, 0, 1])
    for taken, slope in ((True, 12.0), (False, 0.0)):
        twice = way(tw.grad(tw.grad(lambda q, taken=taken: np.where(taken, q**3 / float(taken or np.inf), 0.0))))
        assert twice(2.0) == slope


def test_nested_rectifiers_need_no_recursion():
    def deep(x):
        for _ in range(3000):
            x = np.maximum(x, 0.0) * 1.0
        return x.sum()

    x = np.array([-1.0, 2.0])
    np.testing.assert_array_equal(tw.hvp(deep)(x, x), [0, 0])
    np.testing.assert_array_equal(tw.grad(lambda x: (tw.grad(deep)(x) * x).sum())(x), [0, 1])


SINGLE, DOUBLE = np.array([1.0, 2.0, 3.0], np.float32), np.array([0.5, 1.5, -1.0])
ROWS = np.arange(12.0).reshape(4, 3)


def model(w, X):
    return np.sum(np.tanh(X @ w) ** 2)


MIXED = {
    "product": (tw.grad(lambda a, b: np.sum(a * b), argnums=(0, 1)), (SINGLE, DOUBLE), "float32 float64"),
    "reversed": (tw.grad(lambda a, b: np.sum(a * b), argnums=(1, 0)), (SINGLE, DOUBLE), "float64 float32"),
    "model": (tw.grad(model), (SINGLE, ROWS), "float32"),
    "both": (tw.grad(model, argnums=(0, 1)), (SINGLE, ROWS), "float32 float64"),
    "single data": (tw.grad(model), (DOUBLE, ROWS.astype(np.float32)), "float64"),
    "held data": (tw.grad(lambda w: model(w, ROWS)), (SINGLE,), "float32"),
    "no path": (tw.grad(lambda a, b: np.sum(b), argnums=(0, 1)), (SINGLE, DOUBLE), "float32 float64"),
    "sum": (tw.grad(lambda a, b: np.sum(a) + np.sum(b), argnums=(0, 1)), (SINGLE, DOUBLE), "float32 float64"),
    "entries": (tw.elementwise_grad(lambda a, b: a * a * b), (SINGLE, DOUBLE), "float32"),
    "hessian": (tw.hessian(model), (SINGLE, ROWS), "float32"),
    "jacobian": (tw.jacobian(lambda w, X: (X @ w) ** 2), (SINGLE, ROWS), "float32"),
    "reverse": (tw.jacobian(lambda w, X: (X @ w) ** 2, mode="reverse"), (SINGLE, ROWS), "float32"),
    "held in jacobian": (tw.jacobian(lambda w: (ROWS @ w) ** 2), (SINGLE,), "float32"),
    "of a matrix": (tw.hessian(lambda V, X: np.sum((X @ V) ** 2)), (np.ones((3, 2), np.float32), ROWS), "float32"),
    "product of hessian": (tw.hvp(model), (SINGLE, ROWS, SINGLE), "float32"),
    "number": (tw.grad(lambda s, q: np.sum(s * q)), (np.float32(0.5), DOUBLE), "float32"),
    "twice": (tw.grad(lambda w, X: np.sum(tw.grad(model)(w, X) ** 2)), (SINGLE, ROWS), "float32"),
    "single alone": (tw.hessian(model), (SINGLE, ROWS.astype(np.float32)), "float32"),
}


@ways
@pytest.mark.parametrize("name", MIXED)
def test_a_derivative_has_the_precision_of_its_argument(way, name):
    transformed, arguments, expected = MIXED[name]
    found = way(transformed)(*arguments)
    found = found if isinstance(found, tuple) else (found,)
    assert [str(g.dtype) for g in found] == expected.split()
    wide = transformed(*[np.asarray(a, float) for a in arguments])
    for g, reference in zip(found, wide if isinstance(wide, tuple) else (wide,), strict=True):
        size = max(1.0, np.abs(reference).max())
        np.testing.assert_allclose(g, reference, atol=arithmetic(np.float32, operations=16) * size)


@ways
def test_a_derivative_has_the_precision_of_its_tensor(way):
    a, b = torch.tensor(SINGLE), torch.tensor(DOUBLE)
    found = way(tw.grad(lambda a, b: (a * b).sum(), argnums=(0, 1)))(a, b)
    assert [g.dtype for g in found] == [torch.float32, torch.float64]
    held = way(tw.hessian(lambda w: ((torch.tensor(ROWS) * w) ** 2).sum()))(a)
    assert held.dtype == torch.float32


@ways
def test_a_number_of_pythons_has_a_derivative_in_double_precision(way):
    slope = way(tw.grad(lambda s, q: np.sum(s * q)))(0.5, SINGLE)
    assert np.asarray(slope).dtype == np.float64
    assert slope == 6.0


def test_one_precision_is_never_cast():
    for data in (SINGLE, DOUBLE):
        for transform in (tw.grad, tw.hessian):
            compiled = tw.compile(transform(model), fuse=False)
            compiled(data, ROWS.astype(data.dtype))
            assert "cast" not in compiled.source()


SIGMOID = {q: 1 / (1 + np.exp(-q)) for q in (-3.0, 0.5)}
UNSTABLE = {
    "log sigmoid": (lambda q: np.log(1 / (1 + np.exp(-q))), 1.0, 0.0, lambda s: 1 - s),
    "sigmoid": (lambda q: 1 / (1 + np.exp(-q)), 0.0, 0.0, lambda s: s * (1 - s)),
    "softplus": (lambda q: np.log(1 + np.exp(q)), 0.0, 1.0, lambda s: s),
    "softplus of log1p": (lambda q: np.log1p(np.exp(q)), 0.0, 1.0, lambda s: s),
    "log of a sum": (lambda q: np.log(np.exp(q) + np.exp(2 * q)), 1.0, 2.0, lambda s: 1 + s),
}


@pytest.mark.parametrize("name", UNSTABLE)
def test_compiled_derivatives_of_unstable_formulas_are_stable(name):
    function, left, right, slope = UNSTABLE[name]
    along = lambda q: tw.jvp(function, (q,), (1.0,))[1]  # noqa: E731
    for derivative in (tw.grad(function), along):
        compiled = tw.compile(derivative)
        assert (compiled(-800.0), compiled(800.0)) == (left, right)
        for q, s in SIGMOID.items():
            np.testing.assert_allclose(compiled(q), slope(s), rtol=arithmetic(operations=8))
    second = tw.compile(tw.grad(tw.grad(function)))
    assert (second(-800.0), second(800.0)) == (0.0, 0.0)


def test_a_kink_keeps_the_derivative_of_the_function_as_it_was_written():
    """What makes the logarithm stable may not turn the maximum, whose tie is shared, into a relu, whose is not."""
    function = lambda q: np.log(1 + np.exp(np.maximum(q, 0.0)))  # noqa: E731
    assert tw.compile(tw.grad(function))(0.0) == tw.grad(function)(0.0) == 0.25


def test_second_derivatives_at_a_choice_are_those_of_the_choice():
    for way in WAYS.values():
        assert not np.any(way(tw.hessian(lambda x: np.linalg.norm(x) ** 2))(np.zeros(3)))
        coupled = way(tw.hessian(lambda A: np.sum(np.linalg.eigvalsh(A) ** 2)))(np.eye(2))
        np.testing.assert_allclose(coupled.reshape(4, 4), np.diag([2.0, 0, 0, 2.0]), atol=arithmetic(operations=8))


@pytest.mark.parametrize(
    "function, expected",
    [
        (lambda q: q / 2, 0.0), (lambda q: 3 * q, 0.0), (lambda q: q + 1, 0.0), (lambda q: 1 / q, 0.25),
        (lambda q: q * q, 2.0), (lambda q: q**-1, 0.25), (lambda q: np.where(q != 5, q**2, 0.0), 2.0),
    ],
)  # fmt: skip
def test_entrywise_derivatives_of_entrywise_derivatives_are_arrays(function, expected):
    slopes = tw.elementwise_grad
    x = np.array([2.0, 2.0])
    first = slopes(function)
    products = (
        slopes(first)(x), slopes(lambda q: tw.jvp(function, (q,), (np.ones(2),))[1])(x),
        tw.jvp(first, (x,), (np.ones(2),))[1], tw.vjp(first, x)[1](np.ones(2))[0], tw.jacobian(first)(x).sum(axis=0),
    )  # fmt: skip
    for found in products:
        assert type(found) is np.ndarray
        np.testing.assert_allclose(found, [expected, expected], rtol=arithmetic(operations=8))
    assert type(slopes(first)(2.0)) is float
    assert type(slopes(slopes(first))(x)) is np.ndarray
