"""Update rules and the driver that runs them. A new method is one section, one export here, one test row."""

from thalweg.methods.averaging import Average, ExponentialAverage, PolyakAverage, WeightAverage
from thalweg.methods.batch_rules import scaled_step
from thalweg.methods.conjugate import ConjugateGradients
from thalweg.methods.drive import drive
from thalweg.methods.gauss_newton import LevenbergMarquardt
from thalweg.methods.gradient import GradientDescent, HeavyBall, Nesterov
from thalweg.methods.gradient_transform import ClipNorm, ClipValue, GradientTransform, Precondition, WeightDecay
from thalweg.methods.method import Method, Noise, State
from thalweg.methods.newton import Newton, NewtonCG
from thalweg.methods.quasi_newton import BFGS, DFP, LBFGS
from thalweg.methods.root import find_root
from thalweg.methods.schedule import (
    Constant,
    Cosine,
    Cyclic,
    InverseTime,
    Schedule,
    StepDecay,
    TheoryDecay,
    Warmup,
)
from thalweg.methods.stochastic_methods import SGD, AdaGrad, Adam, AdamW, Lion, NagGs, RMSProp
from thalweg.methods.variance_reduced import SVRG

#: Methods that a plan for a finite sum prices, by name.
METHODS: dict[str, Method] = {
    method.name: method for method in (Newton(), NewtonCG(), LBFGS(), Nesterov(), HeavyBall(), GradientDescent())
}

#: Every method by name, with its default settings.
REGISTER: dict[str, Method] = {
    **METHODS,
    **{method.name: method for method in (BFGS(), DFP(), ConjugateGradients(), LevenbergMarquardt())},
    **{method.name: method for method in (SGD(), SVRG(), AdaGrad(), RMSProp(), Adam(), AdamW(), Lion(), NagGs())},
}

__all__ = [
    "AdaGrad",
    "Adam",
    "AdamW",
    "Average",
    "BFGS",
    "ClipNorm",
    "ClipValue",
    "ConjugateGradients",
    "Constant",
    "Cosine",
    "Cyclic",
    "DFP",
    "ExponentialAverage",
    "GradientDescent",
    "GradientTransform",
    "HeavyBall",
    "InverseTime",
    "LBFGS",
    "LevenbergMarquardt",
    "Lion",
    "METHODS",
    "Method",
    "NagGs",
    "Nesterov",
    "Newton",
    "NewtonCG",
    "Noise",
    "PolyakAverage",
    "Precondition",
    "REGISTER",
    "RMSProp",
    "SGD",
    "SVRG",
    "Schedule",
    "State",
    "StepDecay",
    "TheoryDecay",
    "Warmup",
    "WeightAverage",
    "WeightDecay",
    "drive",
    "find_root",
    "scaled_step",
]
