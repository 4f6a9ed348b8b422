"""How far f falls beyond a point, against functions whose tails are known."""

import math

import numpy as np
import pytest

import thalweg as tw
from thalweg.core.vector import as_vector
from thalweg.methods.further import further_fall


def fall(f, x, direction, rounding=1e-15):
    point = tw.problem(f, x0=x).at(as_vector(x))
    return further_fall(point, as_vector(direction), rounding)


def test_beyond_a_minimum_nothing_falls():
    # From x = 1 the model's minimum of x^2 is at -x; four times as far, f is nine times as high.
    assert fall(lambda x: (x**2).sum(), [1.0, 1.0], [-1.0, -1.0]) == (0.0, 1)


def test_at_a_minimum_of_higher_order_all_of_f_is_seen():
    # Newton's step on x^4 is -x/3, and at four times that f is 1/81 of what it was.
    seen, trials = fall(lambda x: (x**4).sum(), [3.0], [-1.0])
    assert seen == pytest.approx(81 - 1)
    assert trials == 2


@pytest.mark.parametrize(
    ("f", "infimum", "start", "step"),
    [(lambda x: np.exp(x).sum(), 0.0, 0.0, -1.0), (lambda x: (1 / x).sum(), 0.0, 1.0, 0.5)],
    ids=["exp", "1/x"],
)
def test_a_minimum_at_infinity_is_seen_from_afar(f, infimum, start, step):
    seen, trials = fall(f, [start], [step])
    assert seen == pytest.approx(1.0 - infimum, rel=1e-9)
    assert trials < 40


@pytest.mark.parametrize(
    ("f", "x", "direction"),
    [
        (lambda x: (x**3).sum(), [1e-3], [-5e-4]),
        (lambda x: -np.log(x).sum(), [1e10], [1e10]),
        (lambda x: -np.log(x).sum(), [1e162], [1e-162]),  # a direction whose length underflows
        (lambda x: x.sum(), [0.0, 1.0], [-1.0, -1.0]),
        (lambda x: (x**3).sum(), [0.0], [0.0]),  # no slope and no curvature
        (lambda x: x[0] ** 3 + x[1] ** 2, [0.0, 0.0], [0.0, 0.0]),
    ],
)
def test_what_falls_without_end_does_so_at_every_distance(f, x, direction):
    assert fall(f, x, direction)[0] == math.inf


def test_a_saddle_of_third_order_is_seen():
    """A network of three layers and one unit each, started at zero: neither slope nor curvature."""
    seen, _ = fall(lambda w: (w[0] * w[1] * w[2] - 1.0) ** 2, np.zeros(3), np.zeros(3))
    assert 0 < seen <= 1


@pytest.mark.parametrize("f", [lambda x: 3.0 + 0 * x.sum(), lambda x: (x**4).sum(), lambda x: (x**2).sum()])
def test_a_minimum_without_slope_stands(f):
    assert fall(f, [0.0, 0.0], [0.0, 0.0])[0] == 0.0


def test_a_wall_or_the_end_of_the_domain_ends_the_fall():
    assert fall(lambda x: np.where(x > -5, x, np.nan).sum(), [0.0], [-0.5]) == (2.0, 2)
    assert fall(lambda x: np.where(x > -5, x, np.inf).sum(), [0.0], [-0.5]) == (2.0, 2)


@pytest.mark.parametrize("form", [lambda x: (x[:3], x[3:]), lambda x: {"a": x[:3], "b": x[3:]}])
def test_leaves_fall_alike(form):
    torch = pytest.importorskip("torch")
    plain = fall(lambda x: (x**4).sum(), np.full(5, 3.0), np.full(5, -1.0))

    def f(p):
        return sum((leaf**4).sum() for leaf in (p.values() if isinstance(p, dict) else p))

    assert fall(f, form(np.full(5, 3.0)), form(np.full(5, -1.0))) == pytest.approx(plain)
    ones = torch.ones(5, dtype=torch.float64)
    assert fall(f, form(3 * ones), form(-ones)) == pytest.approx(plain)


def test_what_looks_level_from_near_is_looked_at_from_afar():
    """The first trial changes f by less than rounding; the minimum is at 1e6."""
    seen, _ = fall(lambda x: (1e-6 * x - 1.0) ** 2 + 0 * x, 0.0, 1e-12)
    assert seen == pytest.approx(1.0, abs=0.6)
    assert fall(lambda x: 5.0 + 0 * x, 0.0, 1e-12)[0] == 0.0
