"""The engine reaches the known answers of matrix calculus: in normal form, in print, and read back.

Each known answer of `matrix_identities` (which torch.autograd has confirmed) is compared with the derivative that the
engine gives: equal in normal form; equal in numbers once printed, read by the oracle that shares no code with Thalweg;
and equal in normal form again once the print is parsed.
"""

import numpy as np
import pytest

pytest.importorskip("torch", reason="the torch extra is not installed")

from expr.matrix_identities import IDENTITIES
from expr.notation_in_torch import evaluate
from expr.test_matrix_identities import SIZES, assert_close, sample
from thalweg.expr import matrixform
from thalweg.expr.differentiate import gradient, jvp
from thalweg.expr.linearmap import coefficient
from thalweg.expr.node import constant, symbol
from thalweg.expr.parsing import parse
from thalweg.expr.simplify import simplify
from thalweg.expr.terms import expand, normal, same_terms

NOT_YET = {
    "d1 [x+y; x-y] by x, y": "a matrix of cells by two scalars is put together, and tested, in deriving",
}
"""Known answers that are not reached here, and why."""

REACHED = [i for i in IDENTITIES if i.name not in NOT_YET]


def nodes_of(identity):
    found = {name: symbol(name, s.shape, None, s.attributes) for name, s in identity.symbols.items()}
    if "D" not in found and identity.order and identity.wrt in found:
        found["D"] = symbol("D", found[identity.wrt].shape)
    return found


def read(text, nodes):
    return simplify(parse(text, nodes.values()).node)


def derivative(identity, nodes):
    """The gradient, Jacobian or Hessian in normal form, of the function's shape and then the variable's."""
    node = read(identity.text, nodes)
    if identity.order == 0:
        return expand(node)
    x = nodes[identity.wrt]
    slope = node
    for _ in range(identity.order - 1):
        slope = simplify(gradient(slope, x)) if not slope.shape and x.shape else jvp(slope, {x: constant(1.0)})
    if not x.shape:
        return expand(simplify(jvp(slope, {x: constant(1.0)})))
    if not slope.shape:
        return expand(simplify(gradient(slope, x)))
    return coefficient(expand(simplify(jvp(slope, {x: nodes["D"]}))), nodes["D"])


def rows_of(identity, terms, nodes):
    """How many axes are the rows once those beyond two are flattened: those that are not the variable's."""
    return len(terms.shape) - nodes[identity.wrt].ndim if len(terms.shape) > 2 else None


@pytest.mark.parametrize("identity", [i for i in REACHED if i.answer], ids=lambda i: i.name)
def test_the_known_answer_is_reached(identity):
    nodes = nodes_of(identity)
    derived = derivative(identity, nodes)
    assert same_terms(derived, expand(read(identity.answer, nodes)))
    form = matrixform.form(derived, rows_of(identity, derived, nodes))
    assert form.is_matrix_form
    assert same_terms(derived, expand(read(form.text, nodes)))
    values = SIZES | sample(identity.symbols, np.random.default_rng(11), identity.text, identity.answer)
    assert_close(evaluate(form.text, values), evaluate(identity.answer, values))


@pytest.mark.parametrize("identity", [i for i in REACHED if i.linear or i.bilinear], ids=lambda i: i.name)
def test_the_derivative_in_a_direction_is_reached(identity):
    nodes = nodes_of(identity)
    node, x, d = read(identity.text, nodes), nodes[identity.wrt], nodes["D"]
    values = SIZES | sample(identity.symbols, np.random.default_rng(12), identity.text)
    values["D"] = sample({"D": identity.symbols[identity.wrt]}, np.random.default_rng(13))["D"]
    if identity.linear:
        slope = simplify(gradient(node, x)) if identity.order == 2 else node
        check_direction(simplify(jvp(slope, {x: d})), identity.linear, nodes, values)
    if identity.bilinear:
        check_direction(simplify(jvp(jvp(node, {x: d}), {x: d})), identity.bilinear, nodes, values)


def check_direction(node, answer, nodes, values):
    assert same_terms(expand(node), expand(read(answer, nodes)))
    text = matrixform.text(node, 2 if node.ndim > 2 else None)
    assert same_terms(expand(node), expand(read(text, nodes)))
    assert_close(evaluate(text, values), evaluate(answer, values))


@pytest.mark.parametrize("identity", REACHED[::4], ids=lambda i: i.name)
def test_the_normal_form_is_normal_and_the_print_steady(identity):
    """Twice normal is once normal, and what is printed, read and printed again is the same text."""
    nodes = nodes_of(identity)
    for text in filter(None, (identity.text, identity.answer)):
        node = read(text, nodes)
        assert normal(normal(node)) is normal(node)
        if node.ndim <= 2:
            printed = matrixform.text(node)
            assert matrixform.text(read(printed, nodes)) == printed


def test_what_is_not_reached_has_a_reason():
    assert NOT_YET.keys() <= {i.name for i in IDENTITIES}
    assert all(NOT_YET.values())
