"""Derived bounds: never below what is attained, at most 1e-6 above it, and convexity only where it is proven."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thalweg import expr
from thalweg.expr import (
    curvature,
    derivative_bounds,
    evaluate,
    gradient,
    logsumexp,
    loss_kernel,
    loss_symbols,
    pick,
    sigmoid,
    simplify,
    softplus,
    symbol,
    trace_loss,
)
from thalweg.expr.intervals import ranges
from thalweg.expr.search import line_ranges
from thalweg.expr.tails import tail_ranges
from tolerances import CURVATURE_BOUND_ABOVE_TRUTH, arithmetic

INF = math.inf
GEMAN = 3 * math.sqrt(3) / 8
# name: (loss, target, first derivative's range, second derivative's range, convex), all by hand
TRUTH = {
    "squared": (lambda z, y: (z - y) ** 2 / 2, "real", (-INF, INF), (1, 1), True),
    "logistic": (lambda z, y: softplus(-y * z), "+-1", (-1, 1), (0, 0.25), True),
    "logistic in numpy": (lambda z, y: np.log(1 + np.exp(-y * z)), "+-1", (-1, 1), (0, 0.25), True),
    "poisson": (lambda z, y: np.exp(z) - y * z, "count", (-INF, INF), (0, INF), True),
    "huber": (
        lambda z, y: np.where(np.abs(z - y) <= 1, (z - y) ** 2 / 2, np.abs(z - y) - 0.5), "real", (-1, 1), (0, 1), True,
    ),
    "squared hinge": (lambda z, y: np.maximum(0, 1 - y * z) ** 2, "+-1", (-INF, INF), (0, 2), True),
    "hinge": (lambda z, y: np.maximum(0, 1 - y * z), "+-1", (-1, 1), (0, INF), True),
    "absolute": (lambda z, y: abs(z - y), "real", (-1, 1), (0, INF), True),
    "minus absolute": (lambda z, y: -abs(z - y), "real", (-1, 1), (-INF, 0), False),
    "quantile": (lambda z, y: np.maximum(0.3 * (y - z), -0.7 * (y - z)), "real", (-0.3, 0.7), (0, INF), True),
    "cauchy": (lambda z, y: np.log(1 + (z - y) ** 2), "real", (-1, 1), (-0.25, 2), False),
    "pseudo-huber": (lambda z, y: np.sqrt(1 + (y - z) ** 2) - 1, "real", (-1, 1), (0, 1), True),
    "log-cosh": (lambda z, y: np.log(np.cosh(z - y)), "real", (-1, 1), (0, 1), True),
    "geman-mcclure": (lambda z, y: (z - y) ** 2 / (1 + (z - y) ** 2), "real", (-GEMAN, GEMAN), (-0.5, 2), False),
    "welsch": (
        lambda z, y: 1 - np.exp(-((z - y) ** 2) / 2), "real",
        (-math.exp(-0.5), math.exp(-0.5)), (-2 * math.exp(-1.5), 1), False,
    ),
    "exponential": (lambda z, y: np.exp(-y * z), "+-1", (-INF, INF), (0, INF), True),
    "smooth hinge": (
        lambda z, y: np.where(y * z >= 1, 0.0, np.where(y * z <= 0, 0.5 - y * z, 0.5 * (1 - y * z) ** 2)), "+-1",
        (-1, 1), (0, 1), True,
    ),
    "sigmoid": (
        lambda z, y: sigmoid(-y * z), "+-1", (-0.25, 0.25), (-1 / (6 * math.sqrt(3)), 1 / (6 * math.sqrt(3))), False,
    ),
    "cross-entropy on 0..1": (lambda z, y: softplus(z) - y * z, "real", (-INF, INF), (0, 0.25), True),
    "gamma": (lambda z, y: z + y * np.exp(-z), "count", (-INF, 1), (0, INF), True),
    "cubic": (lambda z, y: abs(z - y) ** 3, "real", (-INF, INF), (0, INF), True),
    "scaled prediction": (lambda z, y: np.log(np.cosh(3 * z - y)), "real", (-3, 3), (0, 9), True),
    "softmax": (lambda z, y: logsumexp(z) - pick(z, y), "class", (-1, 1), (0, 0.5), True),
    "one against the rest": (lambda z, y: softplus(z).sum(axis=-1) - pick(z, y), "class", (-1, 1), (0, 0.25), True),
    "tempered softmax": (lambda z, y: (logsumexp(z / 2) - pick(z, y) / 2) * 2, "class", (-1, 1), (0, 0.25), True),
}  # fmt: skip


def derived(function, target):
    z, y = loss_symbols(target)
    return derivative_bounds(trace_loss(function, z, y), z, y)


@pytest.mark.parametrize("name", TRUTH)
def test_bounds_beside_the_truth(name):
    function, target, first, second, convex = TRUTH[name]
    found = derived(function, target)
    assert found.convex is convex
    assert found.how
    for (low, high), (true_low, true_high), slack in (
        (found.first, first, CURVATURE_BOUND_ABOVE_TRUTH),
        (found.second, second, CURVATURE_BOUND_ABOVE_TRUTH),
    ):
        scale = max(1.0, *(abs(v) for v in (true_low, true_high) if math.isfinite(v)), 0.0)
        # The truth itself is known to rounding only.
        rounding = arithmetic() * scale
        assert low <= true_low + rounding
        assert high >= true_high - rounding
        if math.isfinite(true_low):
            assert low >= true_low - slack * scale
        if math.isfinite(true_high):
            assert high <= true_high + slack * scale


@pytest.mark.parametrize("name", [k for k, row in TRUTH.items() if row[1] != "class"])
def test_bounds_hold_at_every_sampled_point(name):
    function, target, *_ = TRUTH[name]
    found = derived(function, target)
    kernel = loss_kernel(function, target)
    rng = np.random.default_rng(0)
    z = np.concatenate([np.linspace(-8, 8, 4001), rng.normal(size=1000) * 10.0 ** rng.integers(-6, 3, 1000)])
    targets = {"+-1": [-1.0, 1.0], "count": [0.0, 1.0, 50.0]}.get(target, [0.0, -3.7, 100.0])
    for y in targets:
        _, slope, second = kernel.value_gradient_curvature(z, np.full_like(z, y))
        room = 1e-12 * np.maximum(1.0, np.abs(z) + abs(y))  # rounding of the sampled values themselves
        assert np.all((slope >= found.first[0] - room) & (slope <= found.first[1] + room))
        assert np.all((second >= found.second[0] - room) & (second <= found.second[1] + room))


def test_a_jump_of_the_value_is_neither_convex_nor_smooth():
    found = derived(lambda z, y: np.where(z > y, 1.0, 0.0) + 0 * z, "real")
    assert found.convex is False
    assert found.second == (-INF, INF)
    assert "discontinuous" in found.how


def test_the_constant_of_a_kink_is_where_it_is():
    found = derived(lambda z, y: np.maximum(0, 0.3125 - y * z), "+-1")
    assert "0.3125" in found.how
    assert found.second == (0.0, INF)


def test_what_cannot_be_bounded_is_said_to_be_unknown():
    weights = symbol("z", ("n",))
    found = derived(lambda z, y: np.maximum(z * y * y, z), "real")
    assert found.convex is True  # by composition, though no box can tell
    assert found.second[1] == INF
    found = derived(lambda z, y: np.cos(z * y) * y, "real")
    assert found.convex in (None, False)
    assert found.second == (-INF, INF)
    found = derived(lambda z, y: logsumexp(z * z) - pick(z, y), "class")
    assert found.convex is True
    assert found.second[1] == INF
    assert weights is loss_symbols("real")[0]


def test_class_bounds_beside_eigenvalues():
    rng = np.random.default_rng(0)
    for name in ("softmax", "one against the rest", "tempered softmax"):
        function, target, *_ = TRUTH[name]
        found, kernel = derived(function, target), loss_kernel(function, target)
        z = rng.normal(size=(200, 4)) * rng.uniform(0.1, 5, size=(200, 1))
        z[0] = [20, 20, -20, -20]  # where softmax attains 1/2
        labels = rng.integers(0, 4, 200)
        _, slope, kept = kernel.value_gradient_curvature(z, labels)
        columns = [kernel.apply_curvature(kept, np.broadcast_to(e, z.shape)) for e in np.eye(4)]
        eigenvalues = np.linalg.eigvalsh(np.stack(columns, axis=1))
        assert eigenvalues.min() >= found.second[0] - 1e-14
        assert found.second[1] - 1e-3 <= eigenvalues.max() + (1e-3 if name != "softmax" else 0) + 0.25
        assert eigenvalues.max() <= found.second[1] + 1e-14
        assert slope.min() >= found.first[0] - 1e-14
        assert slope.max() <= found.first[1] + 1e-14


def test_bounds_are_kept_by_structure():
    z, y = loss_symbols("real")
    assert derivative_bounds((z - y) ** 2, z, y) is derivative_bounds((z - y) ** 2, z, y)
    assert loss_kernel(lambda z, y: (z - y) ** 2 / 2).bounds().second == (1.0, 1.0)


@pytest.mark.parametrize(
    ("function", "verdict"),
    [
        (lambda z, y: softplus(-y * z), "convex"),
        (lambda z, y: np.sqrt(2 + (z - y) ** 2), "convex"),
        (lambda z, y: -np.log(sigmoid(y * z)), "convex"),
        (lambda z, y: np.minimum(z, 2 * z - y), "concave"),
        (lambda z, y: 3 * z - y, "affine"),
        (lambda z, y: np.sin(z), "unknown"),
        (lambda z, y: y * abs(z), "unknown"),
        (lambda z, y: np.exp(np.exp(z)) + np.maximum(z, y) ** 2, "unknown"),
        (lambda z, y: np.exp(np.exp(z)) + np.maximum(z - y, 0) ** 2, "convex"),
        (lambda z, y: np.sqrt(1 + z), "concave"),
        (lambda z, y: -np.sqrt((z * z - y) ** 2 + 1), "unknown"),
    ],
)
def test_curvature_by_composition(function, verdict):
    z, y = loss_symbols("real")
    assert curvature(simplify(function(z, y)), z) == verdict


U = symbol("u", ("n",))
LEAVES = st.one_of(st.just(U), st.floats(-2, 2).map(lambda v: expr.constant(round(v, 2))))
UNARY = [
    expr.tanh, expr.sigmoid, expr.softplus, expr.square, abs, expr.relu, expr.sin, expr.cos, lambda x: -x,
    lambda x: expr.exp(-expr.square(x)), lambda x: expr.log(1 + expr.square(x)), lambda x: expr.sqrt(1 + x * x),
    lambda x: 1 / (1 + x * x), expr.arctan, expr.erf, lambda x: expr.where(x > 0.5, x, x * x),
]  # fmt: skip
BINARY = [lambda a, b: a + b, lambda a, b: a - b, lambda a, b: a * b, expr.maximum, expr.minimum, expr.logaddexp]
EXPRESSIONS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.tuples(st.sampled_from(UNARY), inner).map(lambda t: t[0](t[1])),
        st.tuples(st.sampled_from(BINARY), inner, inner).map(lambda t: t[0](t[1], t[2])),
    ),
    max_leaves=5,
)


@given(EXPRESSIONS)
@settings(max_examples=60)
def test_enclosures_of_random_expressions_hold_on_boxes_and_tails(node):
    slope = simplify(gradient(node, U))
    rng = np.random.default_rng(0)
    low = np.concatenate([rng.normal(size=20) * 5, [-1e3, 0.0, -1.0]])
    high = low + np.concatenate([rng.exponential(size=20), [2e3, 1e-9, 1.0]])
    (value_range, slope_range), _ = ranges([node, slope], {U: (low, high)})
    with np.errstate(all="ignore"):
        for share in np.linspace(0, 1, 21):
            point = np.clip(low + share * (high - low), low, high)
            for expression, (bottom, top) in ((node, value_range), (slope, slope_range)):
                value = np.broadcast_to(evaluate(expression, {U: point}), point.shape)
                room = 1e-9 * (1 + np.abs(value)) * (1 + np.abs(point))  # rounding of the sampled value
                known = np.isfinite(value)
                assert np.all((value >= bottom - room)[known])
                assert np.all((value <= top + room)[known])
        for side in (1.0, -1.0):
            tails, _ = tail_ranges([node, slope], U, 8.0, side)
            point = side * 8.0 * np.logspace(0, 6, 200)
            for expression, (bottom, top) in zip((node, slope), tails, strict=True):
                value = np.broadcast_to(evaluate(expression, {U: point}), point.shape)
                room = 1e-9 * (1 + np.abs(value)) * (1 + np.abs(point))
                known = np.isfinite(value)
                assert np.all((value >= bottom - room)[known])
                assert np.all((value <= top + room)[known])


@given(EXPRESSIONS)
@settings(max_examples=25)
def test_derived_bounds_of_random_losses_are_never_below_a_sample(node):
    z, y = loss_symbols("real")
    (loss,) = expr.substitute([node + 0.0 * U], {U: z - y})
    found = derivative_bounds(loss, z, y)
    point = np.concatenate([np.linspace(-9, 9, 2001), np.linspace(-0.01, 0.01, 201)]) + 1e-5
    slope = gradient(loss, z)
    with np.errstate(all="ignore"):
        first, second = [
            np.broadcast_to(evaluate(e, {z: point, y: np.zeros_like(point)}), point.shape)
            for e in (simplify(slope), simplify(gradient(slope, z)))
        ]
    for values, (low, high) in ((first, found.first), (second, found.second)):
        known = values[np.isfinite(values)]
        assert np.all(known >= low - 1e-9 * (1 + np.abs(known)))
        assert np.all(known <= high + 1e-9 * (1 + np.abs(known)))
    if found.convex:
        grid = np.linspace(-9, 9, 1201)
        value = np.broadcast_to(evaluate(loss, {z: grid, y: np.zeros_like(grid)}), grid.shape)
        bend = value[2:] - 2 * value[1:-1] + value[:-2]
        assert np.all(bend >= -1e-12 * (1 + np.abs(value[1:-1])))


def test_the_search_finds_a_hidden_peak():
    # A bump of width 1e-3 between round numbers, which no coarse grid would show.
    bump = expr.exp(-expr.square((U - 0.70710678) * 1e3))
    found = line_ranges([(simplify(bump), simplify(gradient(bump, U)))], U)
    assert 1.0 <= found.bounds[0][1] <= 1.0 + CURVATURE_BOUND_ABOVE_TRUTH
