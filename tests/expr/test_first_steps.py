"""What a newcomer tries first: natural mistakes are named, and numbers do as arrays do."""

import numpy as np
import pytest
from scipy import special

import thalweg as tw
from tolerances import arithmetic


@pytest.mark.parametrize(
    "function, at, slope",
    [
        (lambda x: 1 / x, 0.0, -np.inf),
        (np.log, 0.0, np.inf),
        (lambda x: x**0.5, 0.0, np.inf),
        (lambda x: x**0.5, -2.0, np.nan),
        (lambda x: np.where(x > 0, np.log(x), 0.0), 0.0, 0.0),
        (lambda x: np.where(x > 0, x**0.5, 0.0), -1.0, 0.0),
    ],
)
def test_numbers_outside_a_domain_have_the_derivatives_of_arrays(function, at, slope):
    assert np.array_equal(tw.grad(function)(at), slope, equal_nan=True)
    assert np.array_equal(tw.elementwise_grad(function)(np.array([at])), [slope], equal_nan=True)


@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")  # np.matrix
def test_what_a_new_user_tries_is_explained():
    x = np.array([1.0, 2.0, 3.0])

    def writes(x):
        total = np.zeros(2)
        total[0] = x[0]
        return np.sum(total)

    for attempt, words in (
        (lambda: tw.grad(3), "grad of 3"),
        (lambda: tw.jvp(np.sin, x, x), r"jvp\(f, \(x,\), \(direction,\)\)"),
        (lambda: tw.hvp(np.sum)(x, np.ones(2)), r"direction of shape \(2,\)"),
        (lambda: tw.grad(writes)(x), r"thalweg.numpy.array\(\[...\]\)"),
        (lambda: tw.compile(writes)(x), r"thalweg.numpy.array\(\[...\]\)"),
        (lambda: tw.grad(np.sum)(np.ma.array(x, mask=[1, 0, 0])), "mask"),
        (lambda: tw.grad(lambda x: np.sum(x * np.ma.array(x.value, mask=[1, 0, 0])))(x), "mask"),
        (lambda: tw.compile(np.sum)(np.asmatrix(np.eye(2))), "np.asarray"),
    ):
        with pytest.raises(tw.ThalwegError, match=words):
            attempt()


TENSOR_METHODS = {
    "std": lambda t: t.std(),
    "var": lambda t: t.var(dim=1).sum(),
    "transpose": lambda t: (t.transpose(0, 1)[0] ** 2).sum(),
    "sin": lambda t: t.sin().sum(),
    "sum dim": lambda t: (t.sum(dim=0) ** 2).sum(),
    "mean keepdim": lambda t: (t.mean(1, keepdim=True) * t).sum(),
    "view": lambda t: (t.view(3, 2)[0] ** 2).sum(),
    "size": lambda t: t.sum() / t.size(0) / t.numel() / t.dim(),
    "rows": lambda t: (t[:, [0, 0]] ** 2).sum(),
}


@pytest.mark.parametrize("name", TENSOR_METHODS)
def test_methods_of_a_tensor_mean_what_torch_means_by_them(name):
    torch = pytest.importorskip("torch")
    function = TENSOR_METHODS[name]
    t = torch.tensor([[1.0, 2.0, 4.0], [3.0, 5.0, -1.0]], dtype=torch.float64)
    leaf = t.clone().requires_grad_()
    function(leaf).backward()
    torch.testing.assert_close(tw.grad(function)(t), leaf.grad)
    torch.testing.assert_close(tw.compile(tw.grad(function))(t), leaf.grad)


@pytest.mark.parametrize(
    "function",
    [lambda t: t.max(0)[0].sum(), lambda t: t.repeat(2).sum(), lambda t: t.item(), lambda t: t.add_(1).sum()],
)
def test_methods_of_a_tensor_that_nodes_lack_are_refused(function):
    torch = pytest.importorskip("torch")
    with pytest.raises(tw.UnsupportedError):
        tw.grad(function)(torch.ones(3))


SPECIAL = {
    "expit": lambda x: special.expit(x) * special.expit(-x),
    "erf": lambda x: 2 / np.sqrt(np.pi) * np.exp(-(x**2)),
    "erfc": lambda x: -2 / np.sqrt(np.pi) * np.exp(-(x**2)),
    "gammaln": special.digamma,
}


@pytest.mark.parametrize("name", SPECIAL)
def test_functions_of_scipy_that_are_rows(name):
    x = np.array([0.5, 1.7, 3.0])
    slopes = tw.elementwise_grad(getattr(special, name))(x)
    np.testing.assert_allclose(slopes, SPECIAL[name](x), rtol=arithmetic(operations=10))


def test_shapes_that_do_not_multiply_are_both_named():
    with pytest.raises(tw.InputError, match=r"@ of shapes \(3, 4\) and \(3,\)"):
        tw.grad(lambda x: np.sum(np.ones((3, 4)) @ x))(np.ones(3))


@pytest.mark.parametrize(
    "function, slopes",
    [
        (lambda x: np.where(x > 0, 1 / x, 0.0), [[0, -1 / 4], [0, 1 / 4], [0, -3 / 8]]),
        (lambda x: np.where(x > 0, x**-1.0, 0.0), [[0, -1 / 4], [0, 1 / 4], [0, -3 / 8]]),
        (lambda x: np.where(x > 0, np.log(x), 0.0), [[0, 1 / 2], [0, -1 / 4], [0, 1 / 4]]),
    ],
)
def test_higher_orders_past_a_branch_not_taken_are_arrays(function, slopes):
    x = np.array([0.0, 2.0])
    derivative = function
    for expected in slopes:
        by_rows = np.diag(tw.jacobian(derivative, mode="reverse")(x))
        derivative = tw.elementwise_grad(derivative)
        for found in (derivative(x), tw.compile(derivative)(x), by_rows):
            assert isinstance(found, np.ndarray)
            np.testing.assert_allclose(found, expected, rtol=arithmetic(operations=20))


@pytest.mark.parametrize("function", [lambda x: np.maximum(np.log(x), -5.0), lambda x: np.clip(np.log(x), -5.0, 5.0)])
def test_a_side_that_loses_adds_nothing_compiled_as_eagerly(function):
    x = np.array([0.0, 2.0])
    slopes = tw.elementwise_grad(function)
    for found in (slopes(x), tw.compile(slopes)(x), tw.jvp(function, (x,), (np.ones(2),))[1]):
        assert np.array_equal(found, [0.0, 0.5])
