"""Differentials a line at a time: the rules of the differential calculus, each as a person would write it."""

import pytest

import thalweg.expr as ex
from expr.matrix_identities import RULES
from thalweg.expr.parsing import parse
from thalweg.expr.steps import steps
from thalweg.expr.terms import same


def lines(text, wrt, **attributes):
    parsed = parse(text, **attributes)
    return steps(parsed.node, [parsed.symbols[name] for name in wrt])


@pytest.mark.parametrize("rule", RULES, ids=lambda r: r.name)
def test_each_rule_is_one_line(rule):
    symbols = {name: ex.symbol(name, s.shape, attributes=s.attributes) for name, s in rule.symbols.items()}
    wrt = [symbols[name] if name in symbols else ex.symbol(name, ("n", "n")) for name in rule.wrt]
    found = steps(parse(rule.text, symbols).node, wrt)
    directions = {f"d{x.name}": ex.symbol(f"d{x.name}", x.shape) for x in wrt}
    known = parse(rule.differential, symbols | directions).node
    line = found[-1] if rule.name == "chain" else found[0]
    right = line.right
    if right.startswith("<"):  # <gradient, dx>
        gradient, direction = right[1:-1].rsplit(", ", 1)
        right = f"tr(({gradient})'*{direction})"
    assert same(parse(right, symbols | directions).node, known), line


def test_the_logarithm_of_a_form():
    found = [str(line) for line in lines("log(x'*A*x)", ["x"], A="symmetric")]
    assert len(found) == 3
    assert found[0].startswith("d(x'*A*x) = ")
    assert found[1].startswith("d(log(x'*A*x)) = d(x'*A*x)/(x'*A*x)")
    assert found[2] == "df = <2*A*x/(x'*A*x), dx>   (collected)"


def test_rules_are_named():
    assert [line.rule for line in lines("log(det(X))", ["X"])] == ["determinant", "chain", "collected"]
    assert lines("inv(X)", ["X"])[0].rule == "inverse"
    assert lines("norm2(A*x-b)", ["x"])[-2].rule == "norm"
    assert lines("X*Y", ["X", "Y"])[0].rule == "product"
    assert lines("tr(X)", ["X"])[0].rule == "trace"
    assert lines("X'", ["X"])[0].rule == "transpose"
    assert lines("A*x/(x'*x)", ["x"])[-2].rule == "quotient"


def test_every_line_is_true():
    """Each left side is differentiated again by forward mode; differentials d(...) on the right are put in first."""
    parsed = parse("exp(-norm2(A*x-b)^2)*log(1+x'*x)/sqrt(c'*x)")
    found = steps(parsed.node, parsed.symbols["x"])
    known = {}
    dx = ex.symbol("dx", parsed.symbols["x"].shape)
    symbols = parsed.symbols | {"dx": dx}
    for line in found[:-1]:
        right = line.right
        for left in sorted(known, key=len, reverse=True):
            right = right.replace(left, f"({known[left]})")
        known[line.left] = right
        inside = line.left[2:-1]
        truth = ex.jvp(parse(inside, parsed.symbols).node, {parsed.symbols["x"]: dx})
        assert same(parse(right, symbols).node, truth), line
    assert len(known) >= 5


def test_what_does_not_change_is_constant():
    (line,) = steps(parse("A").node, ex.symbol("X", ("n", "n")))
    assert (line.rule, line.left) == ("constant", "dA")
