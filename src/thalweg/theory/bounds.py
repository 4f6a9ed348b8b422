"""Bounds from the theory of convergence, each a function of the constants with its assumptions and its source.

``BOUNDS`` holds every bound by name; ``print(BOUNDS["sgd"])`` tells what it says and when. Rates of a single step stand
beside the methods' updates and are taken from there.
"""

from __future__ import annotations

from typing import Any

from thalweg.theory.bounds_gradient import (
    conjugate_gradients,
    descent_lemma,
    gradient_descent,
    gradient_descent_distance,
    gradient_descent_quadratic,
    gradient_descent_steps,
    heavy_ball,
    heavy_ball_distance,
    nesterov,
    nesterov_convex,
    smallest_gradient,
)
from thalweg.theory.bounds_newton import (
    gradient_descent_flops,
    gradient_descent_memory,
    newton,
    newton_flops,
    newton_memory,
    newton_radius,
)
from thalweg.theory.bounds_record import Bound
from thalweg.theory.bounds_stochastic import (
    minibatch_variance,
    sgd,
    sgd_falling,
    sgd_falling_step_size,
    sgd_plateau,
    sgd_step_size,
    sgd_steps,
)
from thalweg.theory.bounds_variance_reduced import svrg, svrg_gradients, svrg_quadratic

#: Every bound by name.
BOUNDS: dict[str, Bound[Any]] = {
    bound.name: bound
    for bound in (
        descent_lemma,
        smallest_gradient,
        gradient_descent,
        gradient_descent_steps,
        gradient_descent_quadratic,
        gradient_descent_distance,
        heavy_ball,
        heavy_ball_distance,
        nesterov_convex,
        nesterov,
        conjugate_gradients,
        minibatch_variance,
        sgd,
        sgd_plateau,
        sgd_step_size,
        sgd_steps,
        sgd_falling,
        sgd_falling_step_size,
        svrg,
        svrg_quadratic,
        svrg_gradients,
        newton_radius,
        newton,
        gradient_descent_flops,
        gradient_descent_memory,
        newton_flops,
        newton_memory,
    )
}

__all__ = ["BOUNDS", "Bound", *BOUNDS]
