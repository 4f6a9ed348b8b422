"""Update rules and the driver that runs them. A new method is one section, one export here, one test row."""

from thalweg.methods.drive import drive
from thalweg.methods.gradient import GradientDescent, HeavyBall, Nesterov
from thalweg.methods.method import Method, Noise, State
from thalweg.methods.newton import Newton, NewtonCG
from thalweg.methods.quasi_newton import LBFGS

#: Methods that a plan for a finite sum prices, by name.
METHODS: dict[str, Method] = {
    method.name: method for method in (Newton(), NewtonCG(), LBFGS(), Nesterov(), HeavyBall(), GradientDescent())
}

#: Every method by name, with its default settings.
REGISTER: dict[str, Method] = {**METHODS}

__all__ = [
    "LBFGS",
    "METHODS",
    "GradientDescent",
    "REGISTER",
    "HeavyBall",
    "Method",
    "Nesterov",
    "Noise",
    "Newton",
    "NewtonCG",
    "State",
    "drive",
]
