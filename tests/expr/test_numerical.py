"""Differences beside closed forms; and what they catch: a rule that is wrong in any mode, order or argument."""

import math

import numpy as np
import pytest
import torch

from thalweg.core.errors import InputError, UnsupportedError
from thalweg.expr import logsumexp, lower, simplify, symbol
from thalweg.expr.checking import check_derivatives, compare_derivatives
from thalweg.expr.numerical import extrapolated_derivative, numerical_derivative, numerical_gradient
from thalweg.expr.primitive import primitive
from thalweg.expr.transforms import grad
from tolerances import COMPLEX_STEP, central_difference, forward_difference

X = np.array([0.3, 1.2, -2.0])
A = np.array([[1.0, -2.0, 0.5], [0.3, 0.7, -1.1]])
TOLERANCE = {"forward": forward_difference(), "central": central_difference(), "complex": COMPLEX_STEP}


def smooth(x):
    return np.sum(np.sin(x) * x) + np.exp(x[0] * x[1])


def slope(x):
    return np.sin(x) + x * np.cos(x) + np.exp(x[0] * x[1]) * np.array([x[1], x[0], 0.0])


def lowering(function):
    """Compile for one call, as `compile` does for many."""

    def called(*args):
        symbols = [symbol(f"a{i}", np.shape(a)) for i, a in enumerate(args)]
        result = function(*symbols)
        if isinstance(result, tuple):
            return lower([simplify(r) for r in result], symbols)(*args)
        return lower(simplify(result), symbols)(*args)

    return called


@pytest.mark.parametrize("method", TOLERANCE)
def test_gradients_equal_closed_forms(method):
    got = numerical_gradient(smooth, method=method)(X)
    np.testing.assert_allclose(got, slope(X), rtol=0, atol=TOLERANCE[method])
    got = numerical_gradient(lambda a, x: np.tanh(a @ x), 1, method)(A, X)
    np.testing.assert_allclose(got, (1 - np.tanh(A @ X) ** 2)[:, None] * A, rtol=0, atol=TOLERANCE[method])
    assert abs(numerical_gradient(lambda x: x**3, method=method)(2.0) - 12.0) <= 10 * TOLERANCE[method]
    along = numerical_derivative(smooth, (X,), (2 * X,), method)
    assert abs(along - slope(X) @ (2 * X)) <= 10 * TOLERANCE[method]


def test_shapes_and_types():
    m = np.ones((2, 3))
    assert numerical_gradient(lambda x: x @ x.T)(m).shape == (2, 2, 2, 3)
    assert numerical_gradient(lambda x: x.sum())(np.zeros((0, 2))).shape == (0, 2)
    assert numerical_gradient(np.sum)(X.astype(np.float32)).dtype == np.float32
    t = torch.tensor(X)
    for method in TOLERANCE:
        got = numerical_gradient(lambda x: torch.sin(x) * x, method=method)(t)
        assert isinstance(got, torch.Tensor)
        np.testing.assert_allclose(got.numpy(), np.diag(np.sin(X) + X * np.cos(X)), atol=TOLERANCE[method])


def test_float32_steps_are_for_float32():
    got = numerical_gradient(smooth)(X.astype(np.float32))
    np.testing.assert_allclose(got, slope(X), rtol=0, atol=central_difference(np.float32))


@pytest.mark.parametrize(("method", "expected"), [("forward", 4), ("central", 6), ("complex", 5)])
def test_evaluations_are_what_the_text_promises(method, expected):
    calls = []
    numerical_gradient(lambda x: calls.append(1) or np.sum(x * x), method=method)(X)
    assert len(calls) == expected


@pytest.mark.parametrize(
    "f", [lambda x: np.sum(np.abs(x)), lambda x: np.sum(x.real**2), lambda x: np.sum(np.maximum(x.real, 0) * x)]
)
def test_complex_step_refuses_functions_that_are_not_analytic(f):
    with pytest.raises(UnsupportedError, match="not analytic.*central"):
        numerical_gradient(f, method="complex")(X)
    with pytest.raises(UnsupportedError, match="not analytic.*central"):
        numerical_derivative(f, (X,), (X,), method="complex")


def test_complex_step_refuses_functions_that_take_no_complex_numbers():
    with pytest.raises(UnsupportedError, match="does not accept complex.*central"):
        numerical_gradient(math.sin, method="complex")(0.3)


def test_misuse_is_explained():
    with pytest.raises(InputError, match="central, forward, complex"):
        numerical_gradient(smooth, method="backward")
    with pytest.raises(InputError, match="use 0 to 0"):
        numerical_gradient(smooth, 2)(X)
    with pytest.raises(InputError, match="astype"):
        numerical_gradient(smooth)(np.arange(3))
    with pytest.raises(InputError, match="positive"):
        numerical_gradient(smooth, step=0.0)(X)
    with pytest.raises(InputError, match="1 primals and 2 tangents"):
        numerical_derivative(smooth, (X,), (X, X))
    with pytest.raises(InputError, match="order=3"):
        check_derivatives(smooth, X, order=3)
    with pytest.raises(InputError, match="forward, reverse, symbolic"):
        check_derivatives(smooth, X, modes=("backward",))
    with pytest.raises(InputError, match="no floating arguments"):
        check_derivatives(smooth, np.arange(3))


@pytest.mark.parametrize(
    ("f", "expected"),
    [(math.sin, 1.0), (lambda t: math.exp(3 * t), 3.0), (lambda t: math.sin(40 * t), 40.0), (lambda t: 5.0, 0.0)],
)
def test_extrapolated_error_is_a_bound(f, expected):
    value, bound = extrapolated_derivative(f, 5.0, 2.0**-52)
    assert abs(value - expected) <= bound <= 1e-4 * max(1.0, expected)


def test_extrapolation_without_values():
    value, bound = extrapolated_derivative(lambda t: float("nan"), 1.0, 2.0**-52)
    assert math.isnan(value) and bound == math.inf


@pytest.mark.parametrize(
    ("f", "args"),
    [(smooth, (X,)), (lambda a, x: np.sin(a @ x), (A, X)), (lambda x: x * np.tanh(x), (0.7,)),
     (lambda x, k: np.sum(x**k), (X + 3, 2)), (lambda x: logsumexp(A @ x, 0), (X,)),
     (lambda x: np.log(x), (np.array([1e-8, 1.0, 1e6]),)), (lambda x: x[0] + 1e-9 * x[1], (X,)),
     (lambda x: 3.0 + 0 * x, (X,)), (lambda x: smooth(x.astype(np.float32)) if 0 else np.sum(x**2), (X,))],
)  # fmt: skip
def test_right_derivatives_pass_in_every_mode(f, args):
    record = check_derivatives(f, *args, modes=("forward", "reverse", "symbolic"), compile=lowering)
    assert record.passed
    modes = {row.mode for row in record.rows}
    assert modes == {"forward", "reverse", "symbolic", "compiled", "forward over forward", "forward over reverse",
                     "reverse over reverse"}  # fmt: skip


def test_right_derivatives_pass_in_float32_and_on_tensors():
    assert check_derivatives(smooth, X.astype(np.float32)).passed
    assert check_derivatives(lambda x: torch.sin(x) * x, torch.tensor(X)).passed


def make_wrong(vjp_factor=1.0, jvp_factor=None, inner_factor=1.0):
    @primitive
    def square(x):
        return x**3

    @primitive
    def slope(x):
        return 3 * x**2

    slope.defvjp(lambda ans, x: lambda g: g * 6 * x * inner_factor)
    square.defvjp(lambda ans, x: lambda g: g * slope(x) * vjp_factor)
    if jvp_factor is not None:
        square.defjvp(lambda t, ans, x: t * slope(x) * jvp_factor)
    return square


def test_a_wrong_rule_is_caught_and_named():
    """A relative error of 1e-6 is far below what a plot would show."""
    assert check_derivatives(make_wrong(), X).passed
    wrong = make_wrong(vjp_factor=1 + 1e-6, jvp_factor=1.0)
    with pytest.raises(InputError, match="wrong in mode reverse: reverse of order 1 with respect to argument 0"):
        check_derivatives(lambda x: np.sum(wrong(x)), X)
    wrong = make_wrong(jvp_factor=1 - 1e-6)
    with pytest.raises(InputError, match="wrong in mode forward: forward of order 1"):
        check_derivatives(wrong, X)
    record = check_derivatives(wrong, X, raise_on_failure=False)
    assert not record.passed
    assert {row.mode for row in record.rows if not row.passed} == {"forward"}
    with pytest.raises(InputError, match="wrong in mode compiled, reverse, symbolic"):
        wrong = make_wrong(vjp_factor=-1.0, jvp_factor=1.0)
        check_derivatives(wrong, X, modes=("forward", "reverse", "symbolic"), compile=lowering)


def test_a_wrong_second_derivative_is_caught():
    wrong = make_wrong(inner_factor=1 + 1e-6)
    assert check_derivatives(wrong, X, order=1).passed
    with pytest.raises(InputError, match="of order 2"):
        check_derivatives(wrong, X)


def test_the_wrong_argument_is_named():
    times = primitive(lambda a, b: a * b)
    times.defvjp(lambda ans, a, b: lambda g: g * b, lambda ans, a, b: lambda g: 1.001 * g * a)
    with pytest.raises(InputError, match="with respect to argument 1"):
        check_derivatives(times, X, X + 1)
    assert check_derivatives(times, X, X + 1, argnums=0).passed


def test_an_inconspicuous_wrong_rule_beside_large_terms():
    """The derivative of one entry in a sum of a thousand is still seen."""
    x = np.linspace(1.0, 2.0, 1000)
    f = primitive(lambda x: x**2)
    f.defvjp(lambda ans, x: lambda g: g * 2 * x * (1 + 1e-3 * (np.arange(1000) == 17)))
    with pytest.raises(InputError, match="wrong in mode reverse"):
        check_derivatives(f, x, order=1, modes=("reverse",))


def test_what_differences_cannot_confirm_does_not_pass():
    rng = np.random.default_rng(0)
    noisy = primitive(lambda x: x + 0.1 * rng.standard_normal(x.shape))
    noisy.defvjp(lambda ans, x: lambda g: g)
    with pytest.raises(InputError, match="differences cannot confirm"):
        check_derivatives(noisy, X, order=1)
    undefined = primitive(lambda x: x * np.nan)
    undefined.defvjp(lambda ans, x: lambda g: g)
    with pytest.raises(InputError, match="differences cannot confirm"):
        check_derivatives(undefined, X, order=1)


def test_records_print():
    record = check_derivatives(smooth, X)
    text = str(record)
    assert text.splitlines()[1].split() == ["order", "mode", "argument", "numerical", "found", "difference", "allowed",
                                            "agree"]  # fmt: skip
    assert "forward over reverse" in text and text.count("yes") == len(record.rows)
    assert "<table>" in record._repr_html_()


def test_comparison_of_the_methods():
    record = compare_derivatives(smooth, X, compile=lowering, repeats=1)
    rows = {row.method: row for row in record.rows}
    assert [rows[m].evaluations for m in ("numerical, forward", "numerical, central", "numerical, complex step")] == [
        4, 6, 5]  # fmt: skip
    assert rows["forward mode"].evaluations == rows["reverse mode"].evaluations == 1
    assert rows["numerical, forward"].deviation <= forward_difference()
    assert rows["numerical, central"].deviation <= central_difference()
    for method in ("numerical, complex step", "forward mode", "reverse mode", "compiled"):
        assert rows[method].deviation <= COMPLEX_STEP
    text = str(record)
    assert "n = 3" in text and "2 n evaluations" in text and "<table>" in record._repr_html_()
    assert all(row.seconds > 0 for row in record.rows)


def test_comparison_says_why_a_method_does_not_apply():
    record = compare_derivatives(lambda x, a: a @ np.abs(x), X, A, repeats=1)
    (row,) = [row for row in record.rows if row.method == "numerical, complex step"]
    assert row.deviation is None and "not analytic" in row.growth
    with pytest.raises(UnsupportedError):
        compare_derivatives(lambda x: np.linalg.eigvals(x), np.eye(2))


def test_slope_is_the_gradient():
    """The closed form used above."""
    np.testing.assert_allclose(grad(smooth)(X), slope(X), rtol=COMPLEX_STEP)


def test_comparison_compiles_by_itself_where_it_can():
    rows = {row.method: row for row in compare_derivatives(smooth, X, repeats=1).rows}
    assert rows["compiled"].deviation <= COMPLEX_STEP and rows["compiled"].evaluations == 0
    branching = {row.method: row for row in compare_derivatives(lambda x: x if x > 0 else -x, 2.0, repeats=1).rows}
    assert branching["compiled"].deviation is None and "where(condition" not in branching["reverse mode"].growth
    assert branching["reverse mode"].deviation == 0.0
    without = compare_derivatives(smooth, X, compile=False, repeats=1)
    assert "compiled" not in {row.method for row in without.rows}
