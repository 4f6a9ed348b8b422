"""The heat equation: gradient descent is explicit Euler, stable up to 2/L, and its answers are the analytic ones."""

import math

import numpy as np
import pytest

import thalweg as tw
from thalweg.core.events import Stepped
from thalweg.core.records import Status
from thalweg.problems.pde import Heat, disk, forced_on_the_line, fundamental, on_the_line, square


def sine(x, y):
    return np.sin(np.pi * x) * np.sin(np.pi * y)


def test_gradient_descent_is_explicit_euler_in_time():
    """sin sin decays like exp(-lambda t) with the mesh's own eigenvalue; lambda tends to 2 pi^2."""
    cells = 16
    heat = Heat(square(cells), sine)
    largest = heat.quadratic.eigenvalues[-1]
    alpha, steps = 0.9 / largest, 40
    run = tw.solve(heat, tw.GradientDescent(step_size=alpha), max_steps=steps, tol=0)
    decay = 8 * cells**2 * math.sin(math.pi / (2 * cells)) ** 2
    start = heat.temperature(heat.quadratic.x0)
    np.testing.assert_allclose(heat.temperature(run.x), (1 - alpha * decay) ** steps * start, atol=1e-12)
    assert decay == pytest.approx(2 * math.pi**2, rel=1e-2)
    assert np.abs(heat.temperature(run.x) - math.exp(-2 * math.pi**2 * alpha * steps) * start).max() <= 5e-3


@pytest.mark.parametrize("mesh", [square(8), disk(5)], ids=["square", "disk"])
def test_it_is_stable_exactly_up_to_two_over_l(mesh):
    rng = np.random.default_rng(0)
    heat = Heat(mesh, lambda x, y: 1 + 0.1 * rng.normal(size=x.shape))
    limit = 2 / heat.quadratic.eigenvalues[-1]
    stable = tw.solve(heat, tw.GradientDescent(step_size=0.99 * limit), max_steps=3000, tol=1e-9)
    assert stable.status is Status.CONVERGED
    assert tw.solve(heat, tw.GradientDescent(step_size=1.05 * limit), max_steps=3000).status is Status.DIVERGED


def test_positivity_maximum_principle_and_loss_of_heat():
    """Below half the limit the update is an average: temperatures stay between their extremes, and heat only leaves."""
    heat = Heat(square(10), lambda x, y: np.exp(-20 * ((x - 0.4) ** 2 + (y - 0.6) ** 2)))
    states = []
    alpha = 1 / heat.quadratic.eigenvalues[-1]
    tw.solve(
        heat, tw.GradientDescent(step_size=alpha), max_steps=60, tol=0,
        callback=lambda event: states.append(heat.temperature(event.x)) if isinstance(event, Stepped) else None,
    )  # fmt: skip
    u = np.array(states)
    assert (u >= 0).all()
    assert (np.diff(u.max(axis=1)) < 0).all()
    assert (np.diff(u @ heat.mesh.mass) < 0).all()


def test_the_fundamental_solution_spreads_without_loss():
    x = np.linspace(-30, 30, 6001)
    for t in (0.1, 1.0, 3.0):
        kernel = fundamental(x, t)
        assert np.trapezoid(kernel, x) == pytest.approx(1.0, rel=1e-12)
        assert np.trapezoid(kernel * x**2, x) == pytest.approx(2 * t, rel=1e-10)
    # It solves the equation: central differences in t and x.
    t, h = 0.5, 1e-3
    left = (fundamental(x, t + h) - fundamental(x, t - h)) / (2 * h)
    right = (fundamental(x + h, t) - 2 * fundamental(x, t) + fundamental(x - h, t)) / h**2
    np.testing.assert_allclose(left, right, atol=1e-5)
    plane = fundamental(np.array([[0.3, -0.4]]), t, dimension=2)
    np.testing.assert_allclose(plane, fundamental(0.3, t) * fundamental(-0.4, t), rtol=1e-12)


def test_convolution_gives_known_solutions():
    x = np.array([-1.5, 0.0, 0.3, 2.0])
    t = 0.7
    # A Gaussian stays one; a wave only fades; a parabola only rises.
    np.testing.assert_allclose(
        on_the_line(lambda z: np.exp(-(z**2)), x, t), np.exp(-(x**2) / (1 + 4 * t)) / np.sqrt(1 + 4 * t), rtol=1e-9
    )
    np.testing.assert_allclose(on_the_line(np.sin, x, t), np.exp(-t) * np.sin(x), atol=1e-12)
    np.testing.assert_allclose(on_the_line(lambda z: z**2, x, t), x**2 + 2 * t, rtol=1e-12)
    np.testing.assert_allclose(on_the_line(np.tanh, x, 1e-9), np.tanh(x), atol=1e-7)


@pytest.mark.parametrize("t", [1e-3, 1.0, 30.0, 3e3])
@pytest.mark.parametrize("width", [0.3, 2.0])
def test_a_gaussian_of_any_width_spreads_for_any_time(width, t):
    x = np.linspace(-3, 3, 5)
    variance = width**2 + 2 * t
    found = on_the_line(lambda z: np.exp(-(z**2) / (2 * width**2)), x, t, nodes=20_000)
    np.testing.assert_allclose(found, width / np.sqrt(variance) * np.exp(-(x**2) / (2 * variance)), rtol=1e-11)


def test_duhamels_integral_gives_known_forced_solutions():
    x = np.array([-1.0, 0.2, 1.4])
    t = 0.8
    # u_t = u_xx + sin x: u = (1 - exp(-t)) sin x; and u_t = u_xx + s: u = t^2/2.
    np.testing.assert_allclose(
        forced_on_the_line(lambda z, s: np.sin(z), x, t), (1 - np.exp(-t)) * np.sin(x), atol=1e-12
    )
    np.testing.assert_allclose(forced_on_the_line(lambda z, s: s + 0 * z, x, t), t**2 / 2, rtol=1e-12)


def test_times_that_are_not_positive_are_refused():
    for bad in (0.0, -1.0):
        with pytest.raises(tw.InputError, match="positive time"):
            fundamental(0.0, bad)
        with pytest.raises(tw.InputError, match="positive time"):
            on_the_line(np.sin, np.zeros(1), bad)


def test_a_start_that_the_rule_does_not_resolve_is_refused():
    x = np.array([0.1])
    for start, t in ((np.sign, 0.5), (lambda z: np.where(z > 0.3, 1.0, 0.0), 2.0), (lambda z: np.exp(z**2), 1.0),
                     (np.abs, 1.0), (lambda z: np.exp(0.24 * z**2), 1.0)):  # fmt: skip
        with pytest.raises(tw.InputError, match="not resolved"):
            on_the_line(start, x, t)
    with pytest.raises(tw.InputError, match="not resolved"):
        forced_on_the_line(lambda z, s: np.sign(z), x, 0.5)


def test_a_constant_may_be_one_number():
    assert on_the_line(lambda z: 3.0, 0.2, 1.0) == pytest.approx(3.0, rel=1e-12)
    np.testing.assert_allclose(forced_on_the_line(lambda z, s: 1.0, [0.0, 1.0], 2.0), 2.0, rtol=1e-12)


@pytest.mark.parametrize(
    "call",
    [
        lambda: on_the_line(np.sin, [np.nan], 1.0),
        lambda: on_the_line(np.sin, [0.0], "a"),
        lambda: on_the_line(np.sin, [0.0], 1.0, nodes=0),
        lambda: on_the_line(lambda z: None, [0.0], 1.0),
        lambda: on_the_line(lambda z: 1j * z, [0.0], 1.0),
        lambda: forced_on_the_line(lambda z, s: z, [0.0], -1.0),
        lambda: forced_on_the_line(lambda z, s: z, [0.0], 1.0, times=0),
        lambda: fundamental("a", 1.0),
        lambda: fundamental([[0.0, 0.0, 0.0]], 1.0, 2),
        lambda: fundamental(0.0, 1.0, 0),
        lambda: Heat(square(4), 3.0),
        lambda: Heat(square(4), lambda x, y: None),
        lambda: Heat(square(4), lambda x, y: np.ones(2)),
        lambda: Heat(None, lambda x, y: x),
        lambda: Heat(square(4), lambda x, y: x).temperature(np.zeros(2)),
    ],
)
def test_bad_input_is_refused(call):
    with pytest.raises(tw.InputError):
        call()
