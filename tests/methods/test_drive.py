"""How runs end: nothing counts as converged that is not, and what is returned is the best point with its own bound."""

import math
import warnings

import numpy as np
import pytest

import thalweg as tw
from thalweg.core.records import CertificateKind, Status
from tolerances import eps

METHODS = ["newton", "newton-cg", "l-bfgs", "bfgs", "conjugate-gradients", "nesterov", "heavy-ball", "gradient-descent"]
SUCCESS = (Status.CONVERGED, Status.PRECISION_FLOOR)

UNBOUNDED = {
    "cubic": (lambda x: (x**3).sum(), [1.0]),
    "cubic at its inflection": (lambda x: (x**3).sum(), [0.0]),
    "parabola": (lambda x: -(x**2).sum(), [1.0, 2.0]),
    "parabola at its top": (lambda x: -(x**2).sum(), [0.0, 0.0]),
    "saddle": (lambda x: x[0] ** 2 - x[1] ** 2, [0.0, 0.0]),
    "saddle from its axis": (lambda x: x[0] ** 2 - x[1] ** 2, [1.0, 0.0]),
    "saddle far from zero": (lambda x: x[0] ** 2 - x[1] ** 2 + 1e9, [0.0, 0.0]),
    "product": (lambda x: x[0] * x[1], [1.0, 1.0]),
    "logarithm": (lambda x: np.log(x).sum(), [1.0]),
    "minus logarithm": (lambda x: -np.log(x).sum(), [1.0]),
    "minus exponential": (lambda x: -np.exp(x).sum(), [1.0]),
    "linear": (lambda x: x.sum(), [1.0, 2.0]),
    "monkey saddle": (lambda x: x[0] ** 3 - 3 * x[0] * x[1] ** 2, [0.0, 0.0]),
}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", UNBOUNDED)
def test_what_has_no_minimum_is_no_success(name, method):
    f, x0 = UNBOUNDED[name]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        solution = tw.solve(tw.problem(f, x0=x0), method, max_steps=1500)
    assert solution.status not in SUCCESS, solution
    assert math.isfinite(solution.value)
    assert solution.value <= f(np.array(x0))


BOUNDED = {
    # f, start, the least value of all local minima
    "saddle": (lambda x: x[0] ** 2 - x[1] ** 2 + x[1] ** 4, [0.0, 0.0], -0.25),
    "saddle from its axis": (lambda x: x[0] ** 2 - x[1] ** 2 + x[1] ** 4, [1.0, 0.0], -0.25),
    "top of a cosine": (lambda x: np.cos(x).sum(), [0.0], -1.0),
    "three layers at zero": (lambda w: (w[0] * w[1] * w[2] - 1.0) ** 2, [0.0, 0.0, 0.0], 0.0),
    "exponential": (lambda x: np.exp(x).sum(), [1.0], 0.0),
    "hyperbola": (lambda x: (1 / x).sum(), [1.0], 0.0),
    "fourth power": (lambda x: (x**4).sum(), [1.0, 0.3], 0.0),
    "stiff": (lambda x: x[0] ** 2 + 1e16 * (x[1] - 1) ** 2, [1.0, 2.0], 0.0),
    "stiff and steep": (lambda x: np.exp(20 * x[0]) + np.exp(-20 * x[0]) + 1e-6 * x[1] ** 2, [3.0, 5.0], 2.0),
    "tiny values": (lambda x: 1e-200 * (100 * (x[1] - x[0] ** 2) ** 2 + (1 - x[0]) ** 2), [-1.2, 1.0], 0.0),
    "huge values": (lambda x: 1e200 * (100 * (x[1] - x[0] ** 2) ** 2 + (1 - x[0]) ** 2), [-1.2, 1.0], 0.0),
    "far from zero": (lambda x: 1e12 + 100 * (x[1] - x[0] ** 2) ** 2 + (1 - x[0]) ** 2, [-1.2, 1.0], 1e12),
    "small x": (lambda x: 100 * (1e100 * x[1] - (1e100 * x[0]) ** 2) ** 2 + (1 - 1e100 * x[0]) ** 2,
                [-1.2e-100, 1e-100], 0.0),
    "large x": (lambda x: 100 * (1e-100 * x[1] - (1e-100 * x[0]) ** 2) ** 2 + (1 - 1e-100 * x[0]) ** 2,
                [-1.2e100, 1e100], 0.0),
}  # fmt: skip


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", BOUNDED)
def test_success_means_that_the_least_value_is_reached(name, method):
    f, x0, least = BOUNDED[name]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        solution = tw.solve(tw.problem(f, x0=x0), method, max_steps=1500)
    assert solution.value <= f(np.array(x0))
    if solution.status in SUCCESS:
        target = 1e-8 * min(1.0, abs(f(np.array(x0))) or 1.0)
        rounding = 1e3 * eps() * abs(solution.value)
        # An estimate may be wrong by a factor of a few.
        assert solution.value - least <= 3 * target + rounding, solution


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("f", "x0"),
    [
        (lambda x: ((x - 1) ** 2).sum(), [1.0, 1.0]),
        (lambda x: (x**4).sum(), [0.0, 0.0]),
        (lambda x: 3.0 + 0 * x.sum(), [1.0, 2.0]),
    ],
    ids=["parabola", "fourth power", "constant"],
)
def test_a_start_at_the_minimum_is_the_end(f, x0, method):
    solution = tw.solve(tw.problem(f, x0=x0), method)
    assert solution.status is Status.CONVERGED
    assert solution.cost.steps == 0
    np.testing.assert_array_equal(solution.x, x0)


@pytest.mark.parametrize("method", METHODS)
def test_kinks_end_honestly(method):
    for f in (lambda x: np.abs(x).sum(), lambda x: np.abs(x).sum() + (x**2).sum()):
        solution = tw.solve(tw.problem(f, x0=[0.7, -1.3]), method, max_steps=1500)
        if solution.status in SUCCESS:
            assert solution.value <= 2e-8


@pytest.mark.parametrize("method", ["newton", "newton-cg"])
def test_newton_does_not_creep_at_kinks(method):
    """The hinge loss: its curvature promises a fall that no step brings, by one unit of rounding after the other."""
    rows = np.random.default_rng(0).normal(size=(100, 20))
    problem = tw.problem(
        lambda w: np.maximum(0, 1 - rows @ w * np.sign(rows[:, 0])).mean() + (w**2).sum() / 100, x0=np.zeros(20)
    )
    solution = tw.solve(problem, method, max_steps=1000)
    assert solution.status is Status.NO_PROGRESS
    assert solution.value < 0.2


def test_a_start_far_out_on_a_plateau_is_no_sign_of_an_endless_fall():
    """Easom's function, 1e-57 high where the run begins."""
    problem = tw.problem(lambda x: -np.cos(x).prod() * np.exp(-((x - np.pi) ** 2).sum()), x0=[-5.0, -5.0])
    solution = tw.solve(problem)
    assert solution.status in SUCCESS
    np.testing.assert_allclose(solution.x, np.pi, atol=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_a_converged_run_shows_a_bound_below_its_target(method):
    for problem in (
        tw.problem(lambda x: ((x - 1) ** 2).sum() + np.where(x > 0.5, 1.0, 0.0).sum(), x0=[0.2, 0.3]),
        tw.problem(lambda x: 100 * (x[1] - x[0] ** 2) ** 2 + (1 - x[0]) ** 2, x0=[-1.2, 1.0]),
        tw.Quadratic([[2.0]], [1.0]),
        tw.Quadratic(np.eye(2), np.ones(2)),
        tw.Quadratic(np.diag([1.0, 0.0]), [1.0, 0.0]),
    ):
        solution = tw.solve(problem, method, max_steps=5000)
        if solution.status is Status.CONVERGED:
            assert solution.certificate.gap <= 1e-8
            assert solution.certificate.kind is not CertificateKind.NONE
        else:
            assert not solution.certificate.gap <= 1e-8, solution


@pytest.mark.parametrize("method", METHODS)
def test_the_point_returned_is_the_lowest_that_was_visited(method):
    f = tw.problem(lambda x: 100 * (x[1] - x[0] ** 2) ** 2 + (1 - x[0]) ** 2, x0=[-1.2, 1.0])
    for steps in (0, 1, 7, 40):
        solution = tw.solve(f, method, max_steps=steps)
        assert solution.value <= solution.trace["value"].min() * (1 + 16 * eps())


def test_a_bound_that_was_not_computed_is_no_proof():
    problem = tw.problem(lambda x: (x**4).sum(), x0=[1.0, 0.3])
    stopped = tw.solve(problem, "nesterov", callback=lambda event: getattr(event, "step", 0) == 5)
    assert stopped.status is Status.STOPPED
    assert stopped.certificate.kind is not CertificateKind.PROOF
    assert "<= inf" not in str(stopped)


def test_an_estimate_made_elsewhere_does_not_end_a_run():
    """Momentum leaves the valley and comes back: a model out there says little of the lowest point."""
    start = np.random.default_rng(10)
    d = int(start.integers(1, 7))
    problem = tw.problem(
        lambda x: 1 + 1e-5 * (100 * ((100 * x[1:] - (100 * x[:-1]) ** 2) ** 2).sum() + ((1 - 100 * x) ** 2).sum()),
        x0=0.01 * start.normal(size=d),
    )
    solution = tw.solve(problem, "heavy-ball", max_steps=3000)
    exact = tw.solve(problem, "newton", tol=0).value
    if solution.status is Status.CONVERGED:
        assert solution.value - exact <= 3e-8


@pytest.mark.parametrize("method", ["l-bfgs", "bfgs", "newton", "newton-cg", "conjugate-gradients"])
@pytest.mark.parametrize("unit", [1e4, 1e6])
def test_a_valley_far_longer_than_it_is_wide_has_its_minimum(unit, method):
    """Steps along it are 1e16 times longer than the first across, and f falls by less than 1 on the way."""
    solution = tw.solve(tw.problem(lambda x: (unit * x[0] - 1) ** 2 + (x[1] / unit - 1) ** 2, x0=[1.0, 2.0]), method)
    assert solution.status is Status.CONVERGED
    np.testing.assert_allclose(solution.x, [1 / unit, unit], rtol=1e-4)


def test_a_fall_that_leaves_the_floating_point_range_has_no_bound():
    """Newton's method doubles x until the curvature underflows."""
    solution = tw.solve(tw.problem(lambda x: -np.log(x).sum(), x0=[5.0, 0.01]))
    assert solution.status is Status.DIVERGED
    assert solution.certificate.gap == math.inf


@pytest.mark.parametrize(
    ("method", "steps"), [("newton", 20), ("l-bfgs", 30), ("bfgs", 30), ("gradient-descent", 1100)]
)
def test_single_precision_ends_at_its_floor(method, steps):
    rows = np.random.default_rng(0).normal(size=(200, 5)).astype(np.float32)
    narrow, wide = (
        tw.problem(lambda w: np.logaddexp(0, rows @ w + rows[:, 0]).mean() + (w**2).sum() / 20, x0=np.zeros(5, dtype))
        for dtype in (np.float32, np.float64)
    )
    solution = tw.solve(narrow, method)
    assert solution.status is Status.PRECISION_FLOOR
    assert solution.cost.steps < steps
    least = tw.solve(wide, tol=1e-13).value
    assert wide.at(solution.x.astype(np.float64)).value - least <= solution.certificate.gap
    assert solution.certificate.gap <= 32 * eps(np.float32) * least


@pytest.mark.parametrize("method", ["newton", "newton-cg", "bfgs"])
def test_scales_far_apart_hide_no_minimum(method):
    problem = tw.problem(lambda x: (1e8 * x[0] - 1) ** 2 + (1e-8 * x[1] - 1) ** 2, x0=np.zeros(2))
    found = tw.solve(problem, method)
    assert found.status is Status.CONVERGED
    assert found.value <= found.certificate.gap + eps()


def test_where_no_bound_is_known_nothing_is_a_floor_of_precision():
    """A Hilbert matrix of twelve rows, singular to rounding: f* = -72, which SR1 does not reach."""
    index = np.arange(12)
    found = tw.solve(tw.Quadratic(1 / (index[:, None] + index + 1.0), np.ones(12)), "sr1")
    assert found.certificate.kind is not CertificateKind.NONE or not found.status.success
