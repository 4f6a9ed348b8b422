"""Long chains and wide fans: no recursion, each node visited once, and nothing stays in memory afterwards."""

import contextlib
import gc
import sys
import weakref
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from thalweg import expr
from thalweg.expr import evaluate, grad, gradient, lower, simplify, symbol
from thalweg.expr.node import table
from thalweg.expr.transforms import hvp, jvp
from tolerances import arithmetic

LONG = 100_000
WIDE = 10_000


@pytest.fixture
def counts(monkeypatch):
    """Count how often each rule of the rows sin, add and mul is called."""
    found = Counter()

    def counted(name, kind, rule):
        def call(*args):
            found[name, kind] += 1
            return rule(*args)

        return call

    for name in ("sin", "add", "mul"):
        row = table()[name]
        rules = {k: counted(name, k, getattr(row, k)) for k in ("evaluate", "scalar", "vjp", "jvp", "transpose")
                 if getattr(row, k) is not None}  # fmt: skip
        monkeypatch.setitem(table(), name, replace(row, **rules))
    return found


@contextlib.contextmanager
def without_collector():
    """Let reference counts alone free memory: what a cycle holds stays and is found."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def chain(x, length):
    for _ in range(length):
        x = np.sin(x)
    return x


def chain_slope(x, length):
    """The derivative of sin(sin(...)) by the chain rule, by hand."""
    slope = np.ones_like(x)
    for _ in range(length):
        slope = slope * np.cos(x)
        x = np.sin(x)
    return slope


def test_an_eager_chain_visits_each_node_once(counts):
    assert sys.getrecursionlimit() < LONG
    x = np.array([0.3, 1.2])
    with without_collector():
        found = grad(lambda x: np.sum(chain(x, LONG)))(x)
    np.testing.assert_allclose(found, chain_slope(x, LONG), rtol=arithmetic(operations=2 * LONG))
    assert counts["sin", "evaluate"] == counts["sin", "vjp"] == LONG


def test_a_chain_of_numbers(counts):
    found = grad(lambda x: chain(x, LONG))(0.3)
    np.testing.assert_allclose(found, chain_slope(np.float64(0.3), LONG), rtol=arithmetic(operations=2 * LONG))
    assert counts["sin", "vjp"] == LONG


def test_forward_and_second_derivatives_of_a_chain():
    length = LONG // 10
    x = np.array([0.3])
    _, tangent = jvp(lambda x: chain(x, length), (x,), (np.ones(1),))
    np.testing.assert_allclose(tangent, chain_slope(x, length), rtol=arithmetic(operations=2 * length))
    h = 1e-5  # the slope is smooth on the scale of x itself
    difference = (chain_slope(x + h, length) - chain_slope(x - h, length)) / (2 * h)
    second = hvp(lambda x: np.sum(chain(x, length)))(x, np.ones(1))
    np.testing.assert_allclose(second, difference, rtol=1e-6)


def test_a_lazy_chain_is_differentiated_rewritten_and_named_without_recursion(counts):
    x = symbol("x", (2,))
    y = chain(x, LONG)
    found = gradient(expr.sum(y), x)
    assert counts["sin", "jvp"] == LONG
    assert counts["mul", "transpose"] == LONG
    assert simplify(y) is y
    assert len(y.key) == 32
    assert found.shape == (2,)
    length = LONG // 10
    point = np.array([0.3, 1.2])
    np.testing.assert_allclose(
        evaluate(gradient(expr.sum(chain(x, length)), x), {x: point}),
        chain_slope(point, length),
        rtol=arithmetic(operations=2 * length),
    )


def test_a_lowered_chain():
    length = LONG // 20
    x = symbol("x", (2,))
    kernel = lower(simplify(gradient(expr.sum(chain(x, length)), x)), [x])
    point = np.array([0.3, 1.2])
    np.testing.assert_allclose(kernel(point), chain_slope(point, length), rtol=arithmetic(operations=2 * length))


def test_a_fan_visits_each_node_once(counts):
    def fan(x):
        shared = np.sin(x)
        total = shared * 0.0
        for i in range(WIDE):
            total = total + shared * float(i)
        return np.sum(total)

    x = np.array([0.3, -0.4])
    weight = WIDE * (WIDE - 1) / 2
    np.testing.assert_allclose(grad(fan)(x), np.cos(x) * weight, rtol=arithmetic(operations=WIDE))
    assert counts["sin", "vjp"] == 1
    assert counts["mul", "vjp"] == WIDE + 1  # the numbers' cotangents are not computed
    counts.clear()
    lazy = symbol("x", (2,))
    found = gradient(fan(lazy), lazy)
    assert counts["sin", "jvp"] == 1
    np.testing.assert_allclose(evaluate(found, {lazy: x}), np.cos(x) * weight, rtol=arithmetic(operations=WIDE))


def test_paths_that_double_are_not_walked(counts):
    def doubled(x):
        for _ in range(1000):
            x = x + x
        return x

    assert grad(doubled)(1.0) == 2.0**1000
    assert counts["add", "vjp"] == 2000  # one for each input of a node, not one for each of 2^1000 paths
    x = symbol("x")
    assert evaluate(gradient(doubled(x), x), {x: np.float64(1.0)}) == 2.0**1000


@pytest.mark.parametrize("library", ["array", "tensor"])
def test_nothing_stays_after_a_derivative(library):
    torch = pytest.importorskip("torch", reason="the torch extra is not installed") if library == "tensor" else None
    watched = []

    def f(x, held):
        inner = expr.exp(x) * held
        result = expr.sum(expr.where(inner > 1.0, inner, expr.tanh(inner)))
        watched.extend(weakref.ref(node) for node in (x, inner, result))
        watched.extend(weakref.ref(node.value) for node in (inner, expr.sin(inner)))
        return result

    def fresh(seed):
        x = np.random.default_rng(seed).normal(size=4)
        return x if torch is None else torch.as_tensor(x)

    def nested(x, held):
        return expr.sum(grad(f)(x, held) * held)

    for transform in (grad(f), grad(nested), lambda x, h: hvp(f)(x, h, fresh(9)), expr.jacobian(f)):
        x, held = fresh(0), fresh(1)
        with without_collector():
            watched += [weakref.ref(x), weakref.ref(held)]
            result = transform(x, held)
            del x, held
            assert result.shape[0] == 4
            assert len(watched) >= 7
            assert not [w() for w in watched if w() is not None]
        watched.clear()


def test_a_deep_graph_is_deleted_without_recursion():
    with without_collector():
        lazy = chain(symbol("deep", (1,)), LONG)
        eager = chain(expr.variable(np.ones(1)), LONG)
        watched = [weakref.ref(lazy.inputs[0]), weakref.ref(eager.inputs[0])]
        del lazy, eager
        assert [w() for w in watched] == [None, None]


def test_interned_nodes_are_forgotten():
    from thalweg.expr import node as module

    x, two = symbol("forgotten", (3,)), expr.constant(2.0)
    with without_collector():
        before = len(module._interned)
        y = expr.exp(x) * two
        assert y is expr.exp(x) * two
        assert len(module._interned) > before
        del y
        assert len(module._interned) == before
