"""How formulas are written: the textbook form, in three notations, and never a formula that means something else."""

import random

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the torch extra is not installed")

from expr.notation_in_torch import evaluate  # noqa: E402
from expr.test_matrix_identities import assert_close  # noqa: E402
from thalweg.expr import matrixform  # noqa: E402
from thalweg.expr.differentiate import gradient, jvp  # noqa: E402
from thalweg.expr.linearmap import coefficient  # noqa: E402
from thalweg.expr.matrixform_show import show  # noqa: E402
from thalweg.expr.node import build, constant, symbol  # noqa: E402
from thalweg.expr.parsing import parse  # noqa: E402
from thalweg.expr.simplify import simplify  # noqa: E402
from thalweg.expr.terms import expand, normal, same, same_terms  # noqa: E402

SIZES = {"n": 3, "m": 4}
SYMBOLS = {
    **{name: symbol(name, ("n", "n")) for name in "ABX"},
    **{name: symbol(name, ("n",)) for name in "abxy"},
    "S": symbol("S", ("n", "n"), None, ("symmetric",)),
    "C": symbol("C", ("m", "n")), "z": symbol("z", ("m",)), "t": symbol("t"), "q": symbol("q"),
}  # fmt: skip


def node(text):
    return parse(text, SYMBOLS.values()).node


def slope(text, wrt, order=1):
    found = simplify(node(text))
    for _ in range(order):
        if found.shape:
            direction = symbol("D", SYMBOLS[wrt].shape)
            return coefficient(expand(simplify(jvp(found, {SYMBOLS[wrt]: direction}))), direction)
        found = simplify(gradient(found, SYMBOLS[wrt]))
    return expand(found)


@pytest.mark.parametrize(
    "text, wrt, order, expected",
    [
        ("x'*A*x", "x", 1, "(A+A')*x"),
        ("x'*S*x", "x", 1, "2*S*x"),
        ("norm2(x)", "x", 1, "x/norm2(x)"),
        ("norm2(x)", "x", 2, "eye(n)/norm2(x)-x*x'/norm2(x)^3"),
        ("norm2(A*x-b)", "x", 1, "A'*(A*x-b)/norm2(A*x-b)"),
        ("normF(A*X-B)", "X", 1, "A'*(A*X-B)/normF(A*X-B)"),
        ("norm1(x)", "x", 1, "sign(x)"),
        ("(A*x-b)'*S*(A*x-b)", "x", 1, "2*A'*S*(A*x-b)"),
        ("log(1+exp(a'*x))", "x", 2, "sigmoid(a'*x)*(1-sigmoid(a'*x))*a*a'"),
        ("tr(S'*X)-logdet(X)", "X", 1, "S-inv(X)'"),
        ("(x-a)'*B*(x-a)", "x", 1, "(B+B')*(x-a)"),
        ("tr(X^4)", "X", 1, "4*X'^3"),
        ("sum(tanh(x))", "x", 1, "vector(1)-tanh(x).^2"),
        ("log(sum(exp(x)))", "x", 1, "softmax(x)"),
        ("log(sum(exp(C*x)))", "x", 2, "C'*(diag(softmax(C*x))-softmax(C*x)*softmax(C*x)')*C"),
        ("t*logsumexp(x/t)", "t", 1, "logsumexp(x/t)-softmax(x/t)'*x/t"),
        ("log(1+exp(-t*(a'*x)))", "a", 1, "-t*sigmoid(-t*(a'*x))*x"),
        ("log(1+exp((x-y)'*S*(x-y)-t))", "S", 1, "sigmoid((x-y)'*S*(x-y)-t)*(x-y)*(x-y)'"),
        ("x'*log(softmax(x))", "x", 1, "2*x-sum(x)*softmax(x)-vector(logsumexp(x))"),
        ("1/(2+t^2)", "t", 1, "-2*t/(t^2+2)^2"),
        ("sqrt(t*q)", "t", 1, "q/(2*sqrt(q*t))"),
        ("norm2(2*x-y)", "x", 1, "2*(2*x-y)/norm2(2*x-y)"),
        ("a'*x", "y", 1, "vector(0,n)"),
        ("sum(C*x)", "x", 1, "C'*vector(1,m)"),
        ("a'*x/(b'*x)", "x", 1, "(a-(a'*x)*b/(b'*x))/(b'*x)"),
        ("(x'*x)^2", "x", 2, "4*(x'*x)*eye(n)+8*x*x'"),
        ("exp(-(x-a)'*S*(x-a)/2)", "x", 1, "exp(-(x-a)'*S*(x-a)/2)*S*(a-x)"),
        ("exp(-norm2(x-t*y)^2/(2*q^2))", "x", 1, "exp(-norm2(x-t*y)^2/(2*q^2))*(t*y-x)/q^2"),
        ("exp(-normF(X-A)^2)", "X", 1, "2*exp(-normF(X-A)^2)*(A-X)"),
        ("log(t+norm2(C*x-z)^2)", "x", 1, "2*C'*(C*x-z)/(norm2(C*x-z)^2+t)"),
        ("(1+x'*y)^3", "x", 1, "3*(x'*y+1)^2*y"),
        ("sum(log(cosh(C*x-z)))", "x", 1, "C'*tanh(C*x-z)"),
        ("normF(A-B*diag(x)*X)^2", "x", 1, "2*(((B'*B).*(X*X'))*x-diag(X*A'*B))"),
        ("tr(inv(S)*(X-A)'*(X-A))", "S", 1, "-inv(S)*(X-A)'*(X-A)*inv(S)"),
        ("log(t/(1-t))", "t", 1, "1/(t*(1-t))"),
        ("(2*t+q)/(q*t+3)", "t", 1, "(6-q^2)/(q*t+3)^2"),
        ("sum(sqrt(vector(1)+(C*x-z).^2))", "x", 2, "C'*diag(1./sqrt((C*x-z).^2+vector(1)).^3)*C"),
        ("norm2(x)^t", "x", 1, "t*norm2(x)^(t-2)*x"),
        ("norm2(x)^t", "x", 2, "norm2(x)^(t-2)*t*((t-2)*x*x'/(x'*x)+eye(n))"),
        ("(q+x'*y)^t", "x", 1, "t*(x'*y+q)^(t-1)*y"),
        ("det(S)^t", "S", 1, "t*det(S)^t*inv(S)"),
        ("1/q^t", "q", 1, "-t/q^(t+1)"),
        ("sum(sqrt(vector(1)+(C*x-z).^2))", "x", 1, "C'*((C*x-z)./sqrt((C*x-z).^2+vector(1)))"),
    ],
)
def test_the_textbook_form_is_written(text, wrt, order, expected):
    assert matrixform.text(slope(text, wrt, order)) == expected


def test_a_tensor_without_a_matrix_form_is_an_einsum_and_says_so():
    form = matrixform.form(slope("exp(A*x)*x'", "x"))
    assert form.text.startswith("einsum(") or "+einsum(" in form.text
    assert not form.is_matrix_form and not form.is_notation
    flattened = matrixform.form(slope("A*X*B", "X"), rows=2)
    assert flattened.is_matrix_form and flattened.text == "kron(A,B')"
    assert matrixform.text(slope("X*a", "X"), rows=1) == "kron(eye(n),a')"
    assert matrixform.text(slope("X'", "X"), rows=2).startswith("einsum(")  # a commutation is no Kronecker product


def test_an_index_met_three_times_is_an_einsum():
    """sum_s A[i,s] B[j,s] X[s,k] x[j]: x goes to B first, then a diagonal matrix stands between; three axes do not."""
    three = build("einsum", SYMBOLS["A"], SYMBOLS["B"], SYMBOLS["X"], params=("is,js,sk->ijk",))
    form = matrixform.form(three)
    assert not form.is_matrix_form and form.text.count("einsum") == 1
    two = build("einsum", SYMBOLS["A"], SYMBOLS["B"], SYMBOLS["X"], SYMBOLS["x"], params=("is,js,sk,j->ik",))
    assert matrixform.text(two) == "A*diag(B'*x)*X"


def test_what_the_notation_cannot_say_is_not_said_otherwise():
    """Entries of an identity under 1 are infinite, and the print of them is no identity."""
    form = matrixform.form(node("eye(n).^-1"))
    assert not form.is_notation and form.text != "eye(n)"
    assert not matrixform.form(node("(S-S').^-1")).is_notation


@pytest.mark.parametrize(
    "text, in_latex, in_unicode",
    [
        ("x'*A*x", r"x^{\top} A x", "xᵀ·A·x"),
        ("A'*(A*x-b)/norm2(x)", r"\frac{A^{\top} \left(A x - b\right)}{\left\lVert x \right\rVert_2}",
         "Aᵀ·(A·x − b) / ‖x‖"),
        ("inv(X)'", r"X^{-\top}", "X⁻ᵀ"),
        ("x.*y", r"x \odot y", "x ⊙ y"),
        ("2*eye(n)", r"2 I_{n}", "2·I"),
        ("t^2/3", r"\frac{t^{2}}{3}", "t² / 3"),
        ("sigmoid(t)", r"\sigma\left(t\right)", "σ(t)"),
    ],
)  # fmt: skip
def test_latex_and_unicode(text, in_latex, in_unicode):
    form = matrixform.form(node(text))
    assert (form.latex, form.pretty) == (in_latex, in_unicode)


def test_names_in_latex():
    names = ["alpha", "x1", "w_in", "loss"]
    written = [matrixform.latex(symbol(name)) for name in names]
    assert written == [r"\alpha", "x_{1}", "w_{in}", r"\mathit{loss}"]


@pytest.mark.parametrize(
    "text", ["x'*A*x", "(A*x-b)'*(A*x-b)", "2*x+3*x", "inv(A)*A*x", "sum(x.*y.*x)",
             "log(det(X))", "1./x-x./y", "vector(1)-x", "tr(A*B)", "-x", "x-(y-a)", "(t/2)/3", "kron(A,B)"]
)  # fmt: skip
def test_an_expression_is_shown_as_it_stands(text):
    shown = show(node(text))
    assert same(node(shown), node(text))
    assert str(node(text)) == shown


def test_what_is_shown_is_not_simplified():
    assert show(node("2*x+3*x")) == "2*x+3*x"
    assert show(node("inv(A)*A*x")) == "inv(A)*A*x"


def test_long_and_shared_expressions_are_shown_in_bounded_text():
    deep = SYMBOLS["t"]
    for _ in range(200):
        deep = deep * deep + 1.0
    assert len(show(deep)) < 100_000
    assert repr(build("exp", constant(1.0))) == str(build("exp", constant(1.0)))


ENTRYWISE = ("exp", "tanh", "sigmoid", "sin", "cos", "softplus")
GRAMMAR = {
    "scalar": ["(c)'*(c)", "tr(M)", "(s)*(s)", "(s)-(s)", "sum(c)", "f(s)", "norm2(c)", "1/(2+(s)^2)", "(c)'*(M)*(c)",
               "normF(M)", "(z)'*(z)"],
    "column": ["(M)*(c)", "(c)-(c)", "(c).*(c)", "(s)*(c)", "f(c)", "(R)'*(z)", "(M)'*(c)", "diag(M)", "(c).^2",
               "(c)/(1+(s)^2)"],
    "long": ["(R)*(c)", "(z)-(z)", "f(z)"],
    "matrix": ["(M)*(M)", "(M)-(M)'", "(c)*(c)'", "diag(c)", "(M).*(M)", "(s)*(M)", "(R)'*(R)", "f(M)", "(M)*diag(c)"],
    "oblong": ["(R)*(M)", "(R)-(R)", "(z)*(c)'"],
}  # fmt: skip
KINDS = {"s": "scalar", "c": "column", "z": "long", "M": "matrix", "R": "oblong"}
LEAVES = {"scalar": ["t", "2", "q"], "column": ["x", "y"], "long": ["z"], "matrix": ["A", "B", "S"], "oblong": ["C"]}


def random_text(kind, depth, draw):
    if depth == 0:
        return draw.choice(LEAVES[kind])
    rule = draw.choice(GRAMMAR[kind])
    for letter, name in KINDS.items():
        while f"({letter})" in rule:
            rule = rule.replace(f"({letter})", f"({random_text(name, depth - 1, draw)})".replace("(", "<", 1), 1)
    return rule.replace("<", "(").replace("f(", draw.choice(ENTRYWISE) + "(")


def values(seed=0):
    rng = np.random.default_rng(seed)
    found = {}
    for name, s in SYMBOLS.items():
        shape = [SIZES.get(d, d) for d in s.shape]
        x = rng.normal(size=(*shape, 1, 1)[:2]) / 2
        found[name] = torch.as_tensor(x + x.T if name == "S" else x)
    return found


@pytest.mark.parametrize("seed", range(60))
def test_random_gradients_are_printed_and_read_back(seed):
    """Beside torch.autograd; and the print means what the normal form says."""
    draw = random.Random(seed)
    text = random_text("scalar", draw.choice([2, 3]), draw)
    wrt = draw.choice(["x", "A", "t"])
    found = simplify(gradient(simplify(node(text)), SYMBOLS[wrt]))
    form = matrixform.form(found)
    known = SIZES | values(seed)
    x = known[wrt].clone().requires_grad_(True)
    out = evaluate(text, known | {wrt: x})
    expected = torch.autograd.grad(out, x, allow_unused=True)[0] if out.requires_grad else None
    if form.is_notation:
        printed = node(form.text)
        assert same_terms(expand(printed), expand(found))
        assert_close(evaluate(form.text, known), torch.zeros_like(x) if expected is None else expected)
    assert normal(normal(found)) is normal(found)
    if not found.shape or expected is None or float(expected.abs().max()) > 0:
        assert expand(found).terms or expected is None or float(expected.abs().max()) == 0
