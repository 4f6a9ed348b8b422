"""Objectives as oracles: values, derivatives, curvature and certificates at a point."""

from thalweg.problems.change import ChangedProblem, Standardizing
from thalweg.problems.finite_sum import FiniteSum, FiniteSumPoint
from thalweg.problems.function import Function, FunctionPoint, problem
from thalweg.problems.least_squares import LeastSquares, LeastSquaresPoint
from thalweg.problems.losses import LOSSES, Loss, Target, default_loss, find_loss, fitting_losses
from thalweg.problems.quadratic import Quadratic, QuadraticPoint

__all__ = [
    "LOSSES",
    "ChangedProblem",
    "FiniteSum",
    "FiniteSumPoint",
    "Function",
    "FunctionPoint",
    "LeastSquares",
    "LeastSquaresPoint",
    "Loss",
    "Quadratic",
    "QuadraticPoint",
    "Standardizing",
    "Target",
    "default_loss",
    "find_loss",
    "fitting_losses",
    "problem",
]
