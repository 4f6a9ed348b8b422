"""Expressions and their derivatives: one graph, eager and lazy, forward and reverse, bounded and lowered."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from thalweg.expr.bounds import DerivativeBounds, derivative_bounds
from thalweg.expr.contract import Order, explain_order, reorder
from thalweg.expr.cost import Cost, cost
from thalweg.expr.curvature import curvature
from thalweg.expr.differentiate import gradient, gradients, hvp, jvp, substitute, vjp
from thalweg.expr.jacobian import hessian, jacobian
from thalweg.expr.losskernel import LossKernel, loss_kernel, loss_symbols, lower_loss
from thalweg.expr.lower import Kernel, lower, lower_staged
from thalweg.expr.namespace import (
    abs,
    add,
    arctan,
    broadcast_to,
    concatenate,
    cos,
    cosh,
    div,
    dot,
    einsum,
    equal,
    erf,
    exp,
    expm1,
    greater,
    greater_equal,
    less,
    less_equal,
    log,
    log1p,
    logaddexp,
    logical_and,
    logical_not,
    logical_or,
    logsumexp,
    matmul,
    max,
    maximum,
    mean,
    min,
    minimum,
    mul,
    neg,
    not_equal,
    outer,
    pick,
    pow,
    relu,
    reshape,
    sigmoid,
    sign,
    sin,
    sinh,
    softmax,
    softplus,
    sqrt,
    square,
    sub,
    sum,
    tanh,
    trace_of,
    transpose,
    where,
)
from thalweg.expr.node import Node, Op, constant, symbol, variable
from thalweg.expr.numerical import numerical_derivative, numerical_gradient
from thalweg.expr.primitive import primitive
from thalweg.expr.simplify import simplify, simplify_all
from thalweg.expr.sums import join_products
from thalweg.expr.trace import evaluate, trace, trace_loss
from thalweg.expr.transforms import elementwise_grad, grad, make_jvp, make_vjp, value_and_grad

if TYPE_CHECKING:
    from thalweg.expr.checking import check_derivatives, compare_derivatives
    from thalweg.expr.compiled import Compiled, compile
    from thalweg.expr.parsing import Parsed, parse
    from thalweg.expr.structure import structured_hessian
    from thalweg.expr.symbols import matrix, scalar, tensor, vector

#: What a fit does not need is loaded when a name of it is first used: half of the room's time to load.
_LATER = {
    "check_derivatives": "thalweg.expr.checking",
    "compare_derivatives": "thalweg.expr.checking",
    "Compiled": "thalweg.expr.compiled",
    "compile": "thalweg.expr.compiled",
    "Parsed": "thalweg.expr.parsing",
    "parse": "thalweg.expr.parsing",
    "structured_hessian": "thalweg.expr.structure",
    "matrix": "thalweg.expr.symbols",
    "scalar": "thalweg.expr.symbols",
    "tensor": "thalweg.expr.symbols",
    "vector": "thalweg.expr.symbols",
}


def __getattr__(name: str) -> Any:
    """Load a name from its module on first use."""
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_LATER[name]), name)
    globals()[name] = value
    return value


__all__ = [
    "Compiled",
    "Cost",
    "DerivativeBounds",
    "curvature",
    "derivative_bounds",
    "Kernel",
    "LossKernel",
    "Node",
    "Op",
    "Order",
    "Parsed",
    "abs",
    "add",
    "arctan",
    "broadcast_to",
    "check_derivatives",
    "compare_derivatives",
    "compile",
    "concatenate",
    "constant",
    "cos",
    "cosh",
    "cost",
    "div",
    "dot",
    "einsum",
    "elementwise_grad",
    "equal",
    "erf",
    "evaluate",
    "exp",
    "explain_order",
    "expm1",
    "grad",
    "gradient",
    "gradients",
    "greater",
    "greater_equal",
    "hessian",
    "hvp",
    "jacobian",
    "jvp",
    "join_products",
    "less",
    "less_equal",
    "log",
    "log1p",
    "logaddexp",
    "logical_and",
    "logical_not",
    "logical_or",
    "logsumexp",
    "loss_kernel",
    "loss_symbols",
    "lower_loss",
    "lower",
    "lower_staged",
    "make_jvp",
    "make_vjp",
    "matmul",
    "matrix",
    "max",
    "maximum",
    "mean",
    "min",
    "minimum",
    "mul",
    "neg",
    "not_equal",
    "numerical_derivative",
    "numerical_gradient",
    "outer",
    "parse",
    "pick",
    "pow",
    "relu",
    "reorder",
    "primitive",
    "reshape",
    "scalar",
    "sigmoid",
    "sign",
    "simplify",
    "simplify_all",
    "sin",
    "sinh",
    "softmax",
    "softplus",
    "sqrt",
    "square",
    "sub",
    "structured_hessian",
    "substitute",
    "sum",
    "symbol",
    "tanh",
    "tensor",
    "trace",
    "trace_loss",
    "trace_of",
    "transpose",
    "value_and_grad",
    "variable",
    "vector",
    "vjp",
    "where",
]
