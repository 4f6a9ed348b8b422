"""What methods refuse: settings, curvatures and arrays that make no sense, by name and with what was expected."""

import math

import numpy as np
import pytest

import thalweg as tw
from thalweg.core.errors import InputError
from thalweg.methods import bfgs_inverse, steepest_step, trust_region_step
from thalweg.methods.check import check_count, check_flag, check_symmetric, checked_curvatures, real_array
from thalweg.methods.quasi_newton import Secant

NO_NUMBERS = [-1, math.nan, "a", True, [1.0]]


@pytest.mark.parametrize("value", NO_NUMBERS)
@pytest.mark.parametrize(
    ("method", "name"), [(tw.LevenbergMarquardt, "damping"), (tw.Newton, "share"), (tw.Newton, "forcing")]
)
def test_settings_that_are_no_numbers_are_refused(method, name, value):
    with pytest.raises(InputError, match=name):
        method(**{name: value})


@pytest.mark.parametrize("value", [*NO_NUMBERS, 0, 2.5, math.inf])
@pytest.mark.parametrize(("method", "name"), [(tw.NewtonCG, "max_products"), (tw.LBFGS, "memory")])
def test_counts_that_are_none_are_refused(method, name, value):
    with pytest.raises(InputError, match=f"{name}="):
        method(**{name: value})


@pytest.mark.parametrize(
    ("method", "name"),
    [(tw.Newton, "damped"), (tw.BFGS, "damped"), (tw.HeavyBall, "guard"), (tw.GradientDescent, "guard")],
)
def test_flags_that_are_none_are_refused(method, name):
    for value in ("no", 2, None):
        with pytest.raises(InputError, match=f"{name}="):
            method(**{name: value})


def test_other_parts_that_are_none_are_refused():
    with pytest.raises(InputError, match="first_solver=3"):
        tw.Newton(first_solver=3)
    with pytest.raises(InputError, match="update="):
        Secant(update=["bfgs"])
    for momentum in (-0.1, 1.0, math.nan):
        with pytest.raises(InputError, match="momentum="):
            tw.Nesterov(step_size=0.1, momentum=momentum)


@pytest.mark.parametrize(
    ("largest", "smallest"),
    [(1.0, 2.0), (-1.0, 0.5), (0.0, 0.0), (1.0, math.nan), (math.inf, 1.0), ("a", 1.0), (1, -1)],
)
@pytest.mark.parametrize("method", [tw.GradientDescent(), tw.HeavyBall(), tw.Nesterov(), tw.ConjugateGradients()])
def test_curvatures_that_are_none_are_refused(method, largest, smallest):
    with pytest.raises(InputError, match="smallest|largest"):
        method.rate(largest, smallest)
    if method.name != "conjugate-gradients":
        with pytest.raises(InputError, match="smallest|largest"):
            method.tuned(largest, smallest)


def test_without_curvature_nothing_shrinks_linearly():
    for method in (tw.GradientDescent(), tw.HeavyBall(), tw.Nesterov(), tw.PreconditionedGradientDescent()):
        assert method.rate(2.0, 0.0) == 1.0
    assert tw.GradientDescent().tuned(2.0, 0.0).step_size == 0.5
    with pytest.raises(InputError, match="mu > 0"):
        tw.HeavyBall().tuned(2.0, 0.0)
    assert checked_curvatures(1.0, 1.0 + 1e-9) == (1.0, 1.0)


@pytest.mark.parametrize("value", ["a", [["a"]], None, [1.0, math.nan], [1j], [[1.0], [1.0, 2.0]], [True]])
def test_arrays_of_something_else_are_refused(value):
    with pytest.raises(InputError, match="gradient"):
        real_array("gradient", value, "give numbers")
    with pytest.raises(InputError, match="gradient"):
        steepest_step(value)


def test_matrices_that_are_not_symmetric_are_refused():
    crooked = [[1.0, 2.0], [3.0, 4.0]]
    for attempt in (
        lambda: bfgs_inverse(crooked, [1.0, 0.0], [1.0, 1.0]),
        lambda: trust_region_step([1.0, 2.0], crooked, 1),
    ):
        with pytest.raises(InputError, match="not symmetric"):
            attempt()
    check_symmetric("M", np.array([[1.0, 2.0 + 1e-12], [2.0, 1.0]]))
    check_flag("flag", np.True_)
    check_count("count", 3, 1)
