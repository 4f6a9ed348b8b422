"""Thalweg: optimization for learning. Diagnose, plan, solve, certify, report."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from thalweg.core.errors import InputError, OracleError, ThalwegError, UnsupportedError
    from thalweg.core.records import Certificate, Constant, Constants, Solution, Status, Trace
    from thalweg.data import Table, load_table
    from thalweg.data.samplers import Sampler
    from thalweg.expr import (
        abs,
        check_derivatives,
        compare_derivatives,
        compile,
        elementwise_grad,
        exp,
        grad,
        hessian,
        jacobian,
        log,
        log1p,
        logaddexp,
        logsumexp,
        make_jvp,
        make_vjp,
        matrix,
        maximum,
        minimum,
        parse,
        pick,
        primitive,
        relu,
        scalar,
        sigmoid,
        sign,
        softplus,
        sqrt,
        square,
        structured_hessian,
        tanh,
        tensor,
        value_and_grad,
        vector,
        where,
    )
    from thalweg.expr.convexity import Convexity, convexity
    from thalweg.expr.deriving import Derivative, derive
    from thalweg.expr.taylor import Taylor, taylor
    from thalweg.expr.transforms import hvp, jvp, vjp
    from thalweg.methods import (
        BFGS,
        DFP,
        LBFGS,
        SGD,
        SR1,
        SVRG,
        AdaGrad,
        Adam,
        AdamW,
        ClipNorm,
        ClipValue,
        ConjugateGradients,
        Cosine,
        Cyclic,
        Descent,
        ExponentialAverage,
        GradientDescent,
        HeavyBall,
        InverseTime,
        LevenbergMarquardt,
        Lion,
        NagGs,
        Nesterov,
        Newton,
        NewtonCG,
        PolyakAverage,
        Precondition,
        PreconditionedGradientDescent,
        RMSProp,
        StepDecay,
        TheoryDecay,
        Warmup,
        WeightAverage,
        WeightDecay,
        find_root,
        scaled_step,
        steepest_step,
    )
    from thalweg.planning import Fit, compare, diagnose, fit, plan, solve
    from thalweg.problems import FiniteSum, Function, LeastSquares, Loss, Quadratic, Target, problem
    from thalweg.problems.module import ModuleProblem
    from thalweg.problems.noisy import Noisy
    from thalweg.problems.variables import in_variables
    from thalweg.reports import plot, report
    from thalweg.theory.rates import Rate, rate

#: Where each public name lives; a room is loaded when a name of it is first used.
_HOMES = {
    "thalweg.core.errors": ("InputError", "OracleError", "ThalwegError", "UnsupportedError"),
    "thalweg.core.records": ("Certificate", "Constant", "Constants", "Solution", "Status", "Trace"),
    "thalweg.data": ("Table", "load_table"),
    "thalweg.expr": (
        "abs",
        "check_derivatives",
        "compare_derivatives",
        "compile",
        "elementwise_grad",
        "exp",
        "grad",
        "hessian",
        "jacobian",
        "log",
        "log1p",
        "logaddexp",
        "logsumexp",
        "make_jvp",
        "make_vjp",
        "matrix",
        "maximum",
        "minimum",
        "parse",
        "pick",
        "primitive",
        "relu",
        "scalar",
        "sigmoid",
        "sign",
        "softplus",
        "sqrt",
        "square",
        "structured_hessian",
        "tanh",
        "tensor",
        "value_and_grad",
        "vector",
        "where",
    ),
    # The room itself has functions of these names that work on nodes.
    "thalweg.expr.transforms": ("hvp", "jvp", "vjp"),
    "thalweg.expr.convexity": ("Convexity", "convexity"),
    "thalweg.expr.deriving": ("Derivative", "derive"),
    "thalweg.expr.taylor": ("Taylor", "taylor"),
    "thalweg.methods": (
        "AdaGrad",
        "Adam",
        "AdamW",
        "BFGS",
        "ClipNorm",
        "ClipValue",
        "ConjugateGradients",
        "Cosine",
        "Cyclic",
        "DFP",
        "Descent",
        "ExponentialAverage",
        "GradientDescent",
        "HeavyBall",
        "InverseTime",
        "LBFGS",
        "LevenbergMarquardt",
        "Lion",
        "NagGs",
        "Nesterov",
        "Newton",
        "NewtonCG",
        "PolyakAverage",
        "PreconditionedGradientDescent",
        "Precondition",
        "RMSProp",
        "SGD",
        "SR1",
        "SVRG",
        "StepDecay",
        "TheoryDecay",
        "Warmup",
        "WeightAverage",
        "WeightDecay",
        "find_root",
        "scaled_step",
        "steepest_step",
    ),
    "thalweg.planning": ("Fit", "compare", "diagnose", "fit", "plan", "solve"),
    "thalweg.data.samplers": ("Sampler",),
    "thalweg.problems.noisy": ("Noisy",),
    "thalweg.problems.module": ("ModuleProblem",),
    "thalweg.problems.variables": ("in_variables",),
    "thalweg.problems": ("FiniteSum", "Function", "LeastSquares", "Loss", "Quadratic", "Target", "problem"),
    "thalweg.reports": ("plot", "report"),
    "thalweg.theory.rates": ("Rate", "rate"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}
#: Rooms, for what has no name here: ``tw.methods.StrongWolfe``, ``tw.linalg.lanczos``.
_ROOMS = ("data", "expr", "linalg", "methods", "numpy", "planning", "problems", "reports", "theory")

__all__ = sorted(_HOME_OF)


def __getattr__(name: str) -> Any:
    """Load a public name from its room, or a room, on first use."""
    if name in _ROOMS:
        return import_module(f"thalweg.{name}")
    if name not in _HOME_OF:
        raise AttributeError(f"module 'thalweg' has no attribute {name!r}")
    value = getattr(import_module(_HOME_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Public names, loaded or not."""
    return sorted({*globals(), *_HOME_OF, *_ROOMS})
