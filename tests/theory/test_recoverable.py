"""Components that a format recovers, counted: the matrices are rational, so that the right answer is known exactly."""

import functools
import math

import numba
import numpy as np
import pytest

from thalweg.core.errors import InputError
from thalweg.theory.recoverable import recoverable_components

SIZES = [(n, n) for n in (8, 10, 12, 14, 16, 20, 24, 28, 32, 36, 40)] + [(60, 12), (12, 60), (50, 20)]


def hilbert(n, d):
    """1/(i + j + 1), correctly rounded: Hilbert's matrix, cut from a larger one where it is not square."""
    return np.array([[1 / (i + j + 1) for j in range(d)] for i in range(n)])


def targets(n, d, seed=0):
    """Orthogonal coefficients W, shape (d, d), on a grid of 2^-40, and Hilbert's matrix times W, rounded once."""
    orthogonal = np.linalg.qr(np.random.default_rng(seed).standard_normal((d, d)))[0]
    whole = [[round(entry * 2**40) for entry in row] for row in orthogonal]
    common = math.lcm(*range(1, n + d))
    columns = list(zip(*whole, strict=True))
    products = [
        [sum(common // (i + j + 1) * column[j] for j in range(d)) / (common << 40) for column in columns]
        for i in range(n)
    ]
    return np.array(whole) / 2.0**40, np.array(products)  # int / int rounds correctly


@functools.cache
def counted(n, d, dtype):
    """Leading components that, added to the truncated solution, lower its error by at least half of their own size.

    Over the columns of an orthogonal W every direction has the squared size 1 in all.
    """
    W, Y = targets(n, d)
    left, s, right = np.linalg.svd(hilbert(n, d).astype(dtype), full_matrices=False)
    coefficients = (left.T @ Y.astype(dtype)) / s[:, None]
    found, before = np.zeros_like(W), d
    for k in range(len(s)):
        found = found + np.outer(right[k].astype(float), coefficients[k].astype(float))
        error = float(np.square(found - W).sum())
        if before - error < 0.5:
            return k
        before = error
    return len(s)


@pytest.mark.parametrize("shape", SIZES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_count_expected_is_the_count_observed_on_hilberts_matrix(shape, dtype):
    limit = recoverable_components(hilbert(*shape), dtype)
    # Singular values fall by 10 to 30 from one to the next: one component is what a factor of 3 in the floor decides.
    assert abs(limit.components - counted(*shape, dtype)) <= 1
    assert limit.sure <= limit.components <= limit.total == min(shape)


def test_most_counts_are_exact():
    """In float32 a floor wrong by a factor of 3 would miss five counts or more; in float64 singular values are lost."""
    off = {}
    for dtype in (np.float32, np.float64):
        limits = [recoverable_components(hilbert(*shape), dtype) for shape in SIZES]
        off[dtype] = [limit.components - counted(*shape, dtype) for limit, shape in zip(limits, SIZES, strict=True)]
    assert sum(map(abs, off[np.float32])) <= 3, off
    assert max(off[np.float64]) <= 0, off


def test_what_is_sure_is_recovered_to_a_share_of_its_error():
    for n in (8, 16, 32):
        for dtype in (np.float32, np.float64):
            assert recoverable_components(hilbert(n, n), dtype).sure <= counted(n, n, dtype)


def descend(X, y, step_size, steps):
    """w <- w - step_size X'(Xw - y) from zero, every operation rounded to the dtype."""
    w = np.zeros(X.shape[1], X.dtype)
    for _ in range(steps):
        following = w - step_size * (X.T @ (X @ w - y))
        if (following == w).all():
            break
        w = following
    return w


@numba.njit
def descend_compiled(X, y, step_size, steps):
    """The same in loops: millions of steps."""
    n, d = X.shape
    w, gradient = np.zeros_like(X[0]), np.zeros_like(X[0])
    for _ in range(steps):
        gradient[:] = 0
        for i in range(n):
            away = -y[i]
            for j in range(d):
                away += X[i, j] * w[j]
            for j in range(d):
                gradient[j] += away * X[i, j]
        moved = False
        for j in range(d):
            following = w[j] - step_size * gradient[j]
            moved = moved or following != w[j]
            w[j] = following
        if not moved:
            break
    return w


@functools.cache
def shares(n, dtype, run, steps, seeds):
    """The share of each component that gradient descent has recovered after so many steps: the median of targets."""
    X = hilbert(n, n)
    s, right = np.linalg.svd(X)[1:]
    found = []
    for seed in range(seeds):
        w = np.random.default_rng(seed).standard_normal(n)
        answer = run(X.astype(dtype), (X @ w).astype(dtype), dtype(1 / s[0] ** 2), steps)
        found.append((right @ answer.astype(float)) / (right @ w))
    return np.median(found, axis=0)


def check_descent(n, dtype, run, seeds=9):
    limit = recoverable_components(hilbert(n, n), dtype)
    s = np.linalg.svd(hilbert(n, n), compute_uv=False)
    observed = shares(n, dtype, run, 4 * limit.descent_steps, seeds)
    # The share that stays missing is u/(step_size s^2) only on the average over roundings: a factor of 2 in s each way.
    assert (observed[s >= 2 * limit.descent_floor] > 0.5).all()
    assert (observed[s <= limit.descent_floor / 2] < 0.5).all()
    assert abs(int(np.argmax(observed < 0.5)) - limit.descent_components) <= 1
    assert limit.descent_components < limit.components


HALF_SIZES = (3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 18, 20)


@pytest.mark.parametrize("n", HALF_SIZES)
def test_gradient_descent_in_half_precision_ends_at_the_root_of_eps(n):
    check_descent(n, np.float16, descend)


@pytest.mark.parametrize("n", [pytest.param(8, marks=pytest.mark.slow), 12])
def test_gradient_descent_in_single_precision_ends_at_the_root_of_eps(n):
    check_descent(n, np.float32, descend_compiled, seeds=3)


def test_most_counts_of_gradient_descent_are_exact():
    """A floor wrong by a factor of 4 either way would miss four counts or more."""
    off = []
    for n in HALF_SIZES:
        limit = recoverable_components(hilbert(n, n), np.float16)
        observed = shares(n, np.float16, descend, 4 * limit.descent_steps, 9)  # known from the tests above
        off.append(limit.descent_components - int(np.argmax(observed < 0.5)))
    assert sum(map(abs, off)) <= 2, off


def test_more_steps_than_are_useful_recover_no_further_component():
    for n in (8, 16):
        steps = recoverable_components(hilbert(n, n), np.float16).descent_steps
        early, late = (shares(n, np.float16, descend, count, 9) for count in (steps, 20 * steps))
        assert np.argmax(early < 0.5) == np.argmax(late < 0.5)


def test_floors_scale_with_the_data_and_the_format():
    X = hilbert(12, 12)
    single, half = recoverable_components(X, "float32"), recoverable_components(X, np.float16)
    thousand = recoverable_components(1000 * X, np.float32)
    assert thousand.floor == pytest.approx(1000 * single.floor) and thousand.components == single.components
    assert single.descent_floor == pytest.approx(np.linalg.norm(X, 2) * 2**-11.5)
    assert half.descent_floor / single.descent_floor == pytest.approx(2**6.5)
    assert recoverable_components(X, np.float32, step_size=1e-3).descent_floor == pytest.approx(2**-11.5 / 1e-3**0.5)
    assert single.descent_steps == 2**23 and "float32: 7 of 12 components" in str(single)


def test_formats_by_any_name():
    torch = pytest.importorskip("torch")
    X = hilbert(6, 6)
    for name in ("float32", "float64", "float16", "bfloat16"):
        assert recoverable_components(X, getattr(torch, name)) == recoverable_components(X, name)
    assert recoverable_components(X, float).dtype == recoverable_components(X).dtype == "float64"
    assert recoverable_components(X, "bfloat16").eps == torch.finfo(torch.bfloat16).eps


def test_a_well_conditioned_matrix_is_recovered_whole():
    limit = recoverable_components(np.eye(5), np.float32)
    assert limit.components == limit.sure == limit.descent_components == 5


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: recoverable_components(np.ones(3)), r"X has shape \(3,\)"),
        (lambda: recoverable_components(np.zeros((3, 2))), "or is zero"),
        (lambda: recoverable_components([[np.nan]]), r"X\[0, 0\] = nan"),
        (lambda: recoverable_components([[1e-200]]), "largest number of X is 1e-200"),
        (lambda: recoverable_components(np.eye(2), np.int32), "int32.* is unknown here"),
        (lambda: recoverable_components(np.eye(2), None), "dtype=None is unknown here"),
        (lambda: recoverable_components(np.eye(2), "float8"), "dtype='float8' is unknown here"),
        (lambda: recoverable_components(np.eye(2), step_size=2.5), "stable up to 2"),
        (lambda: recoverable_components(np.eye(2), step_size=0.0), "step_size=0.0"),
        (lambda: recoverable_components(np.eye(2), step_size="a"), "step_size='a'"),
    ],
)
def test_bad_input_is_refused(make, said):
    with pytest.raises(InputError, match=said):
        make()
