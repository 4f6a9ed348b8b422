"""Update rules and the driver that runs them. A new method is one section, one export here, one test row."""

from thalweg.methods.averaging import Average, ExponentialAverage, PolyakAverage, WeightAverage
from thalweg.methods.batch_rules import scaled_step
from thalweg.methods.composed import Descent
from thalweg.methods.conjugate import Conjugate, ConjugateGradients
from thalweg.methods.direction import Direction, Steepest
from thalweg.methods.drive import drive
from thalweg.methods.gauss_newton import LevenbergMarquardt
from thalweg.methods.gradient import GradientDescent, HeavyBall, Nesterov
from thalweg.methods.gradient_transform import ClipNorm, ClipValue, GradientTransform, Precondition, WeightDecay
from thalweg.methods.limited import LimitedMemory
from thalweg.methods.method import Method, Noise, State
from thalweg.methods.metric import (
    Diagonal,
    Euclidean,
    Full,
    HessianDiagonal,
    HessianMetric,
    Metric,
    SubsampledHessian,
    steepest_step,
)
from thalweg.methods.newton import Newton, NewtonCG
from thalweg.methods.preconditioned import PreconditionedGradientDescent
from thalweg.methods.quasi_newton import BFGS, DFP, LBFGS, SR1, Secant
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
from thalweg.methods.search import Backtracking, ExactStep, FixedLength, FixedStep, Search, StrongWolfe
from thalweg.methods.secant import (
    bfgs_direct,
    bfgs_inverse,
    dfp_direct,
    dfp_inverse,
    powell_damped,
    sr1_direct,
    sr1_inverse,
)
from thalweg.methods.stochastic_methods import SGD, AdaGrad, Adam, AdamW, Lion, NagGs, RMSProp
from thalweg.methods.trust_region import trust_region_step
from thalweg.methods.variance_reduced import SVRG

#: Methods that a plan for a finite sum prices, by name.
METHODS: dict[str, Method] = {
    method.name: method for method in (Newton(), NewtonCG(), LBFGS(), Nesterov(), HeavyBall(), GradientDescent())
}

#: Every method by name, with its default settings.
REGISTER: dict[str, Method] = {
    **METHODS,
    **{method.name: method for method in (BFGS(), DFP(), SR1(), ConjugateGradients(), LevenbergMarquardt())},
    PreconditionedGradientDescent.name: PreconditionedGradientDescent(),
    **{method.name: method for method in (SGD(), SVRG(), AdaGrad(), RMSProp(), Adam(), AdamW(), Lion(), NagGs())},
}

__all__ = [
    "AdaGrad",
    "Adam",
    "AdamW",
    "Average",
    "BFGS",
    "Backtracking",
    "ClipNorm",
    "ClipValue",
    "Conjugate",
    "ConjugateGradients",
    "Constant",
    "Cosine",
    "Cyclic",
    "DFP",
    "Descent",
    "Diagonal",
    "Direction",
    "Euclidean",
    "ExactStep",
    "ExponentialAverage",
    "FixedLength",
    "FixedStep",
    "Full",
    "GradientDescent",
    "GradientTransform",
    "HeavyBall",
    "HessianDiagonal",
    "HessianMetric",
    "InverseTime",
    "LBFGS",
    "LevenbergMarquardt",
    "LimitedMemory",
    "Lion",
    "METHODS",
    "Method",
    "Metric",
    "NagGs",
    "Nesterov",
    "Newton",
    "NewtonCG",
    "Noise",
    "PolyakAverage",
    "Precondition",
    "PreconditionedGradientDescent",
    "REGISTER",
    "RMSProp",
    "SGD",
    "SR1",
    "SVRG",
    "Schedule",
    "Search",
    "Secant",
    "State",
    "Steepest",
    "StepDecay",
    "StrongWolfe",
    "SubsampledHessian",
    "TheoryDecay",
    "Warmup",
    "WeightAverage",
    "WeightDecay",
    "bfgs_direct",
    "bfgs_inverse",
    "dfp_direct",
    "dfp_inverse",
    "drive",
    "find_root",
    "powell_damped",
    "scaled_step",
    "sr1_direct",
    "sr1_inverse",
    "steepest_step",
    "trust_region_step",
]
