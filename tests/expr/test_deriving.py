"""Formulas differentiated: the worked answers, what is evaluated, what is printed, and what is refused."""

import json
import re

import numpy as np
import pytest

import thalweg as tw
import thalweg.expr as ex
from expr.matrix_identities import IDENTITIES, WORKED
from thalweg.core.errors import InputError, UnsupportedError
from thalweg.expr import verifying
from thalweg.expr.deriving import derive
from thalweg.expr.parsing import parse
from thalweg.expr.terms import same
from tolerances import DIFFERENCE_OF_GRADIENTS, matrices

WITH_ANSWERS = [r for r in WORKED if r.order and r.answer]
OTHERS = [r for r in IDENTITIES if r.order and r not in WORKED][::9]
"""Every ninth of the further identities; the whole list is gone through where the formulas are made."""


def symbols_of(record):
    return {name: ex.symbol(name, s.shape, attributes=s.attributes) for name, s in record.symbols.items()}


@pytest.mark.parametrize("record", WITH_ANSWERS, ids=lambda r: r.name)
def test_worked_answers(record):
    symbols = symbols_of(record)
    found = derive(record.text, record.wrt, record.order, symbols=symbols)
    assert same(found.normal, parse(record.answer, symbols).node)
    assert same(parse(found.text, symbols).node, found.normal)


@pytest.mark.parametrize("record", OTHERS, ids=lambda r: r.name)
def test_some_further_identities_pass_their_own_check(record):
    symbols = symbols_of(record)
    found = derive(record.text, record.wrt, record.order, symbols=symbols)
    assert found.checked.difference <= verifying.TOLERANCE
    assert found.text
    if record.answer:
        assert same(found.normal, parse(record.answer, symbols).node)


MAPS = [r for r in IDENTITIES if r.order == 1 and r.linear or r.order == 2 and (r.linear or r.bilinear)]


@pytest.mark.parametrize("record", MAPS, ids=lambda r: r.name)
def test_differentials(record):
    """The known maps and second differentials, which say what has no matrix form, too."""
    symbols = symbols_of(record)
    found = derive(record.text, record.wrt, record.order, symbols=symbols)
    dx = f"d{record.wrt}"
    symbols[dx] = ex.symbol(dx, symbols[record.wrt].shape)
    right = found.differential.split(" = ", 1)[1]
    applied = right[1 : -len(f", {dx}>")] if right.startswith("<") else right
    trace = "tr(({})'*{})" if len(symbols[dx].shape) > 1 else "({})'*{}"
    twice = trace.format(applied, dx) if right.startswith("<") else right
    for mine, known in ((applied, record.linear), (twice, record.bilinear)):
        if known:
            known = re.sub(r"\bD\b", dx, known)
            assert same(parse(mine, symbols).node, parse(known, symbols).node), (mine, known)


@pytest.fixture(scope="module")
def rng():
    return np.random.default_rng(5)


def central(f, x, step=1e-5):
    """The gradient of a function by central differences, entry by entry."""
    x = np.asarray(x, dtype=float)
    out = np.empty(x.shape)
    for i in np.ndindex(x.shape):
        e = np.zeros(x.shape)
        e[i] = step
        out[i] = (f(x + e) - f(x - e)) / (2 * step)
    return out


def test_the_example_of_the_readme(rng):
    D = tw.derive("log(x'*A*x)", wrt="x", A="symmetric")
    assert D.text == "2*A*x/(x'*A*x)"
    assert str(D) == D.text
    assert D.symbols == {"x": "n vector", "A": "n x n matrix, symmetric"}
    assert D.name == "gradient"
    assert D.differential == "df = <2*A*x/(x'*A*x), dx>"
    A = np.diag([1.0, 2.0, 3.0]) + 0.1
    x = rng.normal(size=3)
    np.testing.assert_allclose(D(x=x, A=A), 2 * A @ x / (x @ A @ x), rtol=matrices(size=3))


def test_hessian_is_evaluated_beside_its_closed_form(rng):
    D = derive("log(x'*A*x)", "x", order=2, A="symmetric")
    A = np.diag([1.0, 2.0, 3.0]) + 0.1
    x = rng.normal(size=3)
    q = x @ A @ x
    expected = 2 / q**2 * (q * A - 2 * np.outer(A @ x, A @ x))
    np.testing.assert_allclose(D(x=x, A=A), expected, rtol=0, atol=matrices(size=3) * np.abs(expected).max())
    assert D.name == "Hessian"


def test_stable_forms_stay_stable():
    D = derive("log(1+exp(a'*x))", "x")
    assert D.text == "sigmoid(a'*x)*a"
    a = np.array([1000.0, -2.0])
    assert np.array_equal(D(a=a, x=np.array([1.0, 0.0])), a)


def test_matrix_variable_and_scalar_variable(rng):
    D = derive("normF(A*X-B)", "X")
    A, X, B = rng.normal(size=(4, 3)), rng.normal(size=(3, 2)), rng.normal(size=(4, 2))
    numeric = central(lambda X: np.linalg.norm(A @ X - B), X)
    np.testing.assert_allclose(D(A=A, X=X, B=B), numeric, atol=DIFFERENCE_OF_GRADIENTS)
    D = derive("logdet(A+t*B)", "t", order=2)
    assert D.name == "second derivative"
    A, B, t = np.eye(3) + 0.1, rng.normal(size=(3, 3)), 0.1
    M = np.linalg.inv(A + t * B) @ B
    assert D(A=A, B=B, t=t) == pytest.approx(-np.trace(M @ M), rel=matrices(10, size=3))


def test_jacobians(rng):
    D = derive("tanh(A*x+b)", "x")
    A, x, b = rng.normal(size=(2, 3)), rng.normal(size=3), rng.normal(size=2)
    np.testing.assert_allclose(D(A=A, x=x, b=b), (1 - np.tanh(A @ x + b) ** 2)[:, None] * A, rtol=matrices(size=3))
    D = derive("A*X*B", "X")
    assert D.text == "kron(A,B')"
    A, X, B = rng.normal(size=(2, 3)), rng.normal(size=(3, 4)), rng.normal(size=(4, 5))
    tensor = D(A=A, X=X, B=B)
    np.testing.assert_allclose(tensor, np.einsum("ij,lk->ikjl", A, B), rtol=matrices(size=4))
    np.testing.assert_allclose(tensor.reshape(10, 12), np.kron(A, B.T), rtol=matrices(size=4))


def test_where_no_matrix_form_exists_an_einsum_and_the_map_are_given(rng):
    D = derive("logdet(X)", "X", order=2)
    assert not D.is_matrix_form
    assert "einsum" in D.text
    assert D.differential.startswith("d2f = <")
    assert "einsum" not in D.differential
    X = np.eye(3) + 0.2 * rng.normal(size=(3, 3))
    Y = np.linalg.inv(X)
    np.testing.assert_allclose(D(X=X), -np.einsum("jk,li->ijkl", Y, Y), rtol=0, atol=matrices(10, size=3))


def test_stacked_functions(rng):
    D = derive("[x'*A*x; a'*x]", "x")
    assert D.text == "[x'*(A+A'); a']"
    assert D.differential == "df = [dx'*A*x+x'*A*dx; a'*dx]"
    A, x, a = rng.normal(size=(3, 3)), rng.normal(size=3), rng.normal(size=3)
    np.testing.assert_allclose(D(A=A, x=x, a=a), [(A + A.T) @ x, a], rtol=matrices(size=3))
    second = derive("[x'*A*x; a'*x]", "x", order=2)
    np.testing.assert_allclose(second(A=A, x=x, a=a), [A + A.T, np.zeros((3, 3))], rtol=matrices(size=3))
    assert not second.is_matrix_form
    assert second.differential == "d2f = [2*(dx'*A*dx); 0]"
    lines = [str(step) for step in derive("[x'*x; a'*x]", "x", steps=True).steps]
    assert [line.split("   ")[0] for line in lines] == [
        "d(x'*x) = 2*(dx'*x)", "d(a'*x) = a'*dx", "df = [2*(dx'*x); a'*dx]"]  # fmt: skip
    assert derive("[A*x; B*x]", "x", A="2 x 3", B="4 x 3").text == "[A; B]"
    assert derive("[t*a; s*b]", "t, s", a="2", b="3").text == "[a, vector(0,2); vector(0,3), b]"


def test_a_kronecker_product_of_known_sizes_is_differentiated_twice(rng):
    D = derive("norm2(kron(A,B)*x)^2", "A", order=2, A="2 x 2", B="3 x 3")
    A, B, x = rng.normal(size=(2, 2)), rng.normal(size=(3, 3)), rng.normal(size=6)
    X = x.reshape(2, 3) @ B.T  # kron(A, B) x is A X, row after row
    expected = 2 * np.einsum("ik,jl->ijkl", np.eye(2), X @ X.T)
    np.testing.assert_allclose(D(A=A, B=B, x=x), expected, rtol=0, atol=matrices(size=6) * np.abs(expected).max())


def test_every_function_of_the_notation_is_read_back():
    for text in ("erf(t)", "arctan(t)", "sinh(t)", "cosh(t)", "log1p(t^2)", "expm1(t)"):
        assert derive(f"{text}*t^2", "t").is_matrix_form


def test_several_scalars():
    D = derive("[x+y; x-y]", "x, y")
    assert D.text == "[1, 1; 1, -1]"
    assert D.differential == "df = [dx+dy; dx-dy]"
    assert np.array_equal(D(x=1.0, y=2.0), [[1, 1], [1, -1]])
    polar = derive("[r*cos(t); r*sin(t)]", ["r", "t"])
    r, t = 2.0, 0.3
    expected = [[np.cos(t), -r * np.sin(t)], [np.sin(t), r * np.cos(t)]]
    np.testing.assert_allclose(polar(r=r, t=t), expected, rtol=matrices())


@pytest.mark.parametrize("dialect", ["numpy", "torch", "jax"])
def test_code_runs(dialect, rng):
    library = pytest.importorskip({"numpy": "numpy", "torch": "torch", "jax": "jax.numpy"}[dialect])
    D = derive("x'*A*x+sum(sigmoid(x))", "x", order=2)
    names = {}
    exec(D.code(dialect), names)
    x, A = rng.normal(size=3), rng.normal(size=(3, 3))
    arguments = {"x": x, "A": A}
    convert = library.from_numpy if dialect == "torch" else library.asarray
    found = np.asarray(names["derivative"](*[convert(arguments[name]) for name in D.symbols]))
    s = 1 / (1 + np.exp(-x))
    expected = A + A.T + np.diag(s * (1 - s) * (1 - 2 * s))
    np.testing.assert_allclose(
        found, expected, rtol=0, atol=matrices(size=3, dtype=found.dtype) * np.abs(expected).max()
    )


def test_latex_and_pretty_and_record():
    D = derive("x'*A*x", "x", steps=True)
    assert D.latex()
    assert D.pretty()
    record = json.loads(json.dumps(D.record()))
    assert record["derivative"] == D.text
    assert record["steps"]
    assert record["checked"]["points"] == 2
    assert "central differences" in str(D.checked)


def test_steps_of_a_hessian_end_with_the_second_differential():
    D = derive("x'*A*x", "x", order=2, steps=True)
    assert str(D.steps[-1]).startswith("d2f = <")
    assert D.differential == f"{D.steps[-1].left} = {D.steps[-1].right}"
    assert derive("x'*A*x", "x").steps == ()


def test_the_differential_of_a_kronecker_product():
    assert derive("kron(A,X)", "X").differential == "df = kron(A,dX)"


def test_expressions_instead_of_text():
    x, A = ex.symbol("x", ("n",)), ex.symbol("A", ("n", "n"))
    assert derive(x @ A @ x, x, A="symmetric").text == "2*A*x"
    assert derive(ex.sum(ex.exp(x))).text == "exp(x)"


def test_a_sum_of_kronecker_products_is_one():
    D = derive("exp(-(x-u)'*M*(x-u))", "M", order=2, M="positive definite")
    assert D.text == "exp(-(x-u)'*M*(x-u))*kron((x-u)*(x-u)',(x-u)*(x-u)')"


def test_the_slopes_of_determinants_run_in_jax(rng):
    jax = pytest.importorskip("jax")
    X = np.asarray(rng.normal(size=(3, 3)), dtype=np.float32) + 2 * np.eye(3, dtype=np.float32)
    for order in (1, 2):
        D = derive("det(X)", "X", order)
        names = {}
        exec(D.code("jax"), names)
        found, expected = np.asarray(names["derivative"](jax.numpy.asarray(X))), D(X=X)
        np.testing.assert_allclose(
            found, expected, atol=matrices(10, size=3, dtype=np.float32) * np.abs(expected).max()
        )


def test_a_second_derivative_of_0_is_read_back():
    D = derive("a'*X*b", "X", order=2)
    assert same(parse(D.text, D.inputs).node, D.normal)
    assert D.text == "matrix(0,m*n,m*n)"


def test_no_derivative_is_zero_and_says_so():
    D = derive("c'*x", "x", order=2)
    assert same(D.normal, parse("matrix(0,n,n)").node)
    assert np.array_equal(D(c=np.ones(2), x=np.ones(2)), np.zeros((2, 2)))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: derive("x'*A*x", "z"), "'z'"),
        (lambda: derive("x'*A*x"), "wrt="),
        (lambda: derive("x'*A*x", "x", order=3), "order=3"),
        (lambda: derive("x'*A*x", "x", order=True), "order=True"),
        (lambda: derive("x'*A*x", 3), "wrt=3"),
        (lambda: derive("X'*X", "X", symbols={"X": (3, 1)}), "axis of size 1"),
        (lambda: derive(None, "x"), "NoneType"),
        (lambda: derive("x'*A*x", "x", symbols=3), "symbols=3"),
        (lambda: derive("x'*A*x", "x", A=None), "A=None"),
        (lambda: derive("x'*A*x", "x, A"), "scalars"),
        (lambda: derive("log(x'*A*x", "x"), r"\^"),
        (lambda: derive("x'*A*x", "x", B="symmetric"), "B"),
        (lambda: derive("x'*A*x", "x", A="round"), "round"),
        (lambda: derive("x'*A*x", "x")(x=np.ones(2)), "no value for A"),
        (lambda: derive("x'*A*x", "x")(x=np.ones(2), A=np.eye(3)), "shape"),
        (lambda: derive("x'*A*x", "x")(x=np.ones(2), A=np.eye(2), y=1), "y"),
        (lambda: derive("x'*A*x", "x", A="symmetric")(x=np.ones(2), A=[[1, 2], [3, 4]]), "not symmetric"),
        (lambda: derive("x'*x", "x").code("fortran"), "fortran"),
    ],
)
def test_what_cannot_be_is_named(call, words):
    with pytest.raises(InputError, match=words):
        call()


def test_an_answer_that_cannot_be_checked_is_refused():
    with pytest.raises(UnsupportedError, match="could not be checked"):
        derive("log(-x'*x)", "x")


def test_a_wrong_derivative_does_not_pass(monkeypatch):
    """The check is real: with a gradient that is off by one part in a thousand nothing is shown."""
    from thalweg.expr import deriving

    monkeypatch.setattr(deriving, "gradient", lambda node, x: 1.001 * ex.gradient(node, x))
    with pytest.raises(UnsupportedError, match="did not pass its check"):
        derive("x'*A*x", "x")
