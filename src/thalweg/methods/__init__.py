"""Update rules and the driver that runs them. A new method is one section, one export here, one test row."""

from thalweg.methods.drive import drive
from thalweg.methods.gradient import GradientDescent, HeavyBall, Nesterov
from thalweg.methods.method import Method, State
from thalweg.methods.newton import Newton, NewtonCG
from thalweg.methods.quasi_newton import LBFGS

#: Every method by name.
METHODS: dict[str, Method] = {
    method.name: method for method in (Newton(), NewtonCG(), LBFGS(), Nesterov(), HeavyBall(), GradientDescent())
}

__all__ = [
    "LBFGS",
    "METHODS",
    "GradientDescent",
    "HeavyBall",
    "Method",
    "Nesterov",
    "Newton",
    "NewtonCG",
    "State",
    "drive",
]
