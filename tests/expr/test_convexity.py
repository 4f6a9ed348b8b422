"""Convexity by composition: the known functions, and random ones beside random midpoints."""

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

import thalweg.expr as ex
from expr.known_curvature import CURVATURES
from thalweg.core.errors import InputError
from thalweg.expr import namespace_linalg as la
from thalweg.expr.convexity import convexity
from thalweg.expr.namespace_products import trace
from thalweg.expr.trace import evaluate
from tolerances import matrices

N = 3
A = ex.symbol("A", (N, N), attributes=["positive definite"])
B = ex.symbol("B", (N, N))
X = ex.symbol("X", (N, N), attributes=["positive definite"])
a, b, x = (ex.symbol(name, (N,)) for name in "abx")
p = ex.symbol("p", (N,), attributes=["nonnegative"])


@pytest.mark.parametrize("record", CURVATURES, ids=lambda r: f"{r.text} in {r.wrt}")
def test_known_functions(record):
    parsing = pytest.importorskip("thalweg.expr.parsing")
    symbols = {name: ex.symbol(name, s.shape, attributes=s.attributes) for name, s in record.symbols.items()}
    found = convexity(parsing.parse(record.text, symbols).node, symbols[record.wrt])
    assert found.kind in {record.curvature, record.actual}
    assert found.reason


@pytest.mark.parametrize(
    ("node", "wrt", "kind", "sign"),
    [
        (a @ x, x, "affine", "unknown"),
        (ex.sum(ex.exp(a)) - b, x, "constant", "unknown"),
        (x @ x, x, "convex", "nonnegative"),
        (x @ A @ x, x, "convex", "nonnegative"),
        (-(x @ A @ x), x, "concave", "nonpositive"),
        (x @ la.inv(A) @ x, x, "convex", "nonnegative"),
        (trace(B.T @ A @ B), B, "convex", "nonnegative"),
        (trace(B @ B), B, "unknown", "unknown"),
        (trace(la.inv(X)), X, "convex", "nonnegative"),
        (trace(la.inv(X) @ B), X, "unknown", "unknown"),
        (la.logdet(X @ X), X, "unknown", "unknown"),
        (la.det(X), X, "unknown", "nonnegative"),
        (1 / la.det(X), X, "convex", "nonnegative"),
        ((p @ p) / ex.sum(p), p, "convex", "nonnegative"),
        ((x @ x) / (a @ x), x, "unknown", "unknown"),
        (ex.log(ex.sum(ex.exp(x)) + ex.exp(a @ x)), x, "convex", "unknown"),
        (ex.sum(ex.log(ex.sigmoid(x))), x, "concave", "unknown"),
        (ex.relu(a @ x) ** 3, x, "convex", "nonnegative"),
        ((a @ x) ** 3, x, "unknown", "unknown"),
        (ex.sum(ex.sqrt(ex.abs(x))), x, "unknown", "nonnegative"),
        (ex.max(x) + ex.logsumexp(x), x, "convex", "unknown"),
        (ex.min(x), x, "concave", "unknown"),
    ],
)
def test_compositions(node, wrt, kind, sign):
    found = convexity(node, wrt)
    assert (found.kind, found.sign) == (kind, sign), found


def test_the_reason_names_the_rule():
    assert "norm" in convexity(ex.sqrt(1 + x @ x), x).reason
    assert "logdet" in convexity(la.logdet(X), X).reason
    assert "entropy" in convexity(ex.sum(p * ex.log(p)), p).reason
    assert "sigmoid" in convexity(ex.sum(ex.sigmoid(x)), x).reason


def test_an_orthogonal_matrix_is_judged_as_a_free_one():
    Q = ex.symbol("Q", (N, N), attributes=["orthogonal"])
    assert convexity(trace(Q.T @ A @ Q), Q).kind == "convex"
    assert convexity(trace(Q @ Q), Q).kind == "unknown"


def test_a_name_that_is_no_symbol():
    with pytest.raises(InputError, match="'z' is no symbol"):
        convexity(a @ x, "z")
    assert convexity(a @ x, "x").kind == "affine"


# Random compositions of affine functions of x and nonnegative p (as one variable each), beside midpoints.

UNARY = (
    ex.exp, ex.softplus, ex.relu, ex.abs, ex.square, ex.sqrt, ex.log, ex.sigmoid, ex.tanh, ex.sin, ex.cosh, ex.neg,
    lambda u: u**3, lambda u: 1 / u, lambda u: 1 / ex.square(u), lambda u: u**0.5, lambda u: ex.log(1 + ex.exp(u)),
    lambda u: 2 * u - 1, lambda u: -3 * u, lambda u: u**-1.5, ex.arctan, lambda u: u * ex.log(u), ex.log1p,
)  # fmt: skip
BINARY = (
    lambda u, v: u + v, lambda u, v: u - v, lambda u, v: u * v, lambda u, v: u / v, ex.maximum, ex.minimum,
    ex.logaddexp, lambda u, v: ex.sqrt(u * u + v * v), lambda u, v: ex.log(ex.exp(u) + ex.exp(v)),
    lambda u, v: u * u / v, lambda u, v: u * ex.log(u / v),
)  # fmt: skip
BASES = {
    "x": (a @ x, b @ x, x @ x, x @ A @ x, ex.sum(x), ex.sum(ex.abs(x)), x @ B @ x, ex.logsumexp(x), ex.max(x)),
    "p": (ex.sum(p), a @ p, p @ p, p[0], 1 + p[1], ex.sum(p * ex.log(p)), ex.sum(ex.sqrt(p)), ex.sum(1 / p)),
}


@st.composite
def compositions(draw):
    wrt = draw(st.sampled_from(sorted(BASES)))

    def built(depth):
        if depth == 0 or draw(st.integers(0, 4)) == 0:
            return draw(st.sampled_from(BASES[wrt]))
        if draw(st.booleans()):
            return draw(st.sampled_from(UNARY))(built(depth - 1))
        return draw(st.sampled_from(BINARY))(built(depth - 1), built(depth - 1))

    return built(draw(st.integers(1, 3))), x if wrt == "x" else p, draw(st.integers(0, 2**32 - 1))


@settings(max_examples=300, deadline=None)
@given(compositions())
def test_never_wrong_on_random_segments(case):
    node, wrt, seed = case
    found = convexity(node, wrt)
    rng = np.random.default_rng(seed)
    M = rng.normal(size=(N, N))
    held = {A: M @ M.T + 0.1 * np.eye(N), B: rng.normal(size=(N, N)), a: rng.normal(size=N), b: rng.normal(size=N)}
    for scale in (0.3, 1.0, 3.0):
        ends = rng.normal(size=(2, N)) * scale
        ends = np.abs(ends) if wrt is p else ends
        with np.errstate(all="ignore"):
            low, high, middle = (evaluate(node, held | {wrt: v}) for v in (*ends, ends.mean(0)))
        if not np.isfinite([low, high, middle]).all():
            continue
        chord = (low + high) / 2
        slack = matrices(1e3, size=N) * max(1.0, abs(low), abs(high), abs(middle))
        if found.kind in ("convex", "affine", "constant"):
            assert middle <= chord + slack, found
        if found.kind in ("concave", "affine", "constant"):
            assert middle >= chord - slack, found
        if found.kind == "constant":
            assert abs(low - high) <= slack
        if found.sign == "nonnegative":
            assert min(low, high, middle) >= -slack
        if found.sign == "nonpositive":
            assert max(low, high, middle) <= slack
