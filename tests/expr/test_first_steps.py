"""What a newcomer tries first: natural mistakes are named, and numbers do as arrays do."""

import numpy as np
import pytest

import thalweg as tw


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
