"""Formulas: values beside an independent reader in torch, shapes found without declarations, messages that point."""

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch", reason="the torch extra is not installed")

import thalweg as tw  # noqa: E402
from expr.identity_notation import PRECEDENCE, Symbol, declared  # noqa: E402
from expr.known_curvature import CURVATURES  # noqa: E402
from expr.matrix_identities import IDENTITIES, RULES  # noqa: E402
from expr.notation_in_torch import ENTRYWISE, FUNCTIONS, evaluate  # noqa: E402
from expr.test_matrix_identities import CONDITION, SIZES, sample  # noqa: E402
from thalweg.core.errors import InputError  # noqa: E402
from thalweg.expr import evaluate as value_of  # noqa: E402
from thalweg.expr import formula_functions, parse, symbol  # noqa: E402
from tolerances import matrices  # noqa: E402

TOLERANCE = matrices(CONDITION**2, size=max(SIZES.values()))


def nodes_of(symbols):
    return {name: symbol(name, s.shape, None, s.attributes) for name, s in symbols.items()}


def as_matrix(parsed, value):
    """A value with rows and columns, the axes of a Kronecker product laid out, as the oracle gives it."""
    rows = np.prod(np.shape(value)[: len(parsed.rows)], dtype=int)
    return np.reshape(value, (rows, -1))


def assert_same(parsed, nodes, text, values):
    """The value of what was parsed is that of the text, by the oracle."""
    expected = evaluate(text, SIZES | values).numpy()
    with np.errstate(all="ignore"):
        arrays = {nodes[k]: v.numpy().reshape([SIZES.get(d, d) for d in nodes[k].shape]) for k, v in values.items()}
        ours = as_matrix(parsed, value_of(parsed.node, arrays))
    assert ours.shape == expected.shape
    assert np.abs(ours - expected).max() <= TOLERANCE * max(1.0, np.abs(expected).max())


def records():
    """Each formula of the known answers once, with its symbols."""
    found = {}
    for record in [*IDENTITIES, *CURVATURES]:
        for field in ("text", "answer", "linear", "bilinear"):
            text = getattr(record, field, None)
            symbols = dict(record.symbols)
            if text and field in ("linear", "bilinear"):
                shape = symbols[record.wrt].shape
                symbols["D"] = Symbol(("scalar", "vector", "matrix")[len(shape)], shape)
            if text:
                found[text, str(symbols)] = (text, symbols)
    for rule in RULES:
        directions = {f"d{name}": rule.symbols[name] for name in rule.wrt if name in rule.symbols}
        found[rule.differential, rule.name] = (rule.differential, {**rule.symbols, **directions})
    return list(found.values())


@pytest.mark.parametrize("part", range(8))
def test_every_known_formula_has_the_value_of_another_reader(part):
    for seed, (text, symbols) in enumerate(records()[part::8]):
        nodes = nodes_of(symbols)
        parsed = parse(text, nodes)
        assert set(parsed.symbols.values()) <= set(nodes.values())
        rng = np.random.default_rng(seed)
        assert_same(parsed, nodes, text, sample(symbols, rng, text))


@pytest.mark.parametrize("text, meant", PRECEDENCE)
def test_how_the_notation_is_read(text, meant):
    symbols = declared("A: n x n; B: n x n; x: n, nonnegative; y: n, nonnegative")
    nodes = nodes_of(symbols)
    values = sample(symbols, np.random.default_rng(4))
    assert_same(parse(text, nodes), nodes, meant, values)


ANOTHER_READING = {
    "sum(y.^b)": "a power of a number",
    "exp(x)": "a scalar, where nothing says otherwise",
    "t*a": "two scalars",
    "exp(t*a)": "two scalars",
}
"""Formulas of the known answers whose kinds use leaves open, and what they are then."""


def test_shapes_are_found_without_declarations():
    """What is found fits the declared shapes: equal, or more general where use allows it."""
    general = set()
    for record in [*IDENTITIES, *CURVATURES]:
        if record.text in ANOTHER_READING:
            continue
        ours = {name: node.shape for name, node in parse(record.text).symbols.items() if name in record.symbols}
        theirs = {name: record.symbols[name].shape for name in ours}
        meaning, back = {}, {}
        for name, shape in ours.items():
            assert len(shape) == len(theirs[name]), (record.text, ours)
            for mine, stated in zip(shape, theirs[name], strict=True):
                assert meaning.setdefault(mine, stated) == stated, (record.text, ours)
                if back.setdefault(stated, mine) != mine:
                    general.add(record.text)
    squares = {"tr(A*X)", "det(A*X*B)", "norm2(Q*x)", "B*(x-t*a)", "kron(K,X)", "logdet(eye(n)+A*X)"}
    assert squares <= general and len(general) <= 16


def test_what_use_leaves_open_goes_by_habit():
    shapes = {
        "a*x+b": {"a": (), "x": (), "b": ()},
        "c'*x": {"c": ("n",), "x": ("n",)},
        "x'*A*y": {"x": ("m",), "A": ("m", "n"), "y": ("n",)},
        "x'*inv(s)*x": {"x": ("n",), "s": ("n", "n")},
        "c'*x/T": {"c": ("n",), "x": ("n",), "T": ()},
        "v.*x": {"v": ("n",), "x": ("n",)},
        "A*x-b": {"A": ("m", "n"), "x": ("n",), "b": ("m",)},
        "A*X*B": {"A": ("m", "n"), "X": ("n", "k"), "B": ("k", "p")},
        "det(A)*x": {"A": ("n", "n"), "x": ()},
        "2*x": {"x": ()},
        "sum(x)": {"x": ("n",)},
        "sum(X)": {"X": ("m", "n")},
        "θ*x'*x": {"θ": (), "x": ("n",)},
        "n*x+vector(1,n)": {"x": ("n",)},
        "eye(d)+A": {"A": ("d", "d")},
        "vector(1,3)+x": {"x": (3,)},
        "X*w+eye(5)*y": {"X": (5, "n"), "w": ("n",), "y": (5,)},
        "sum(x)/n": {"x": ("n",)},
    }
    for text, expected in shapes.items():
        found = parse(text).symbols
        assert {name: node.shape for name, node in found.items()} == expected, text


def test_names_of_sizes():
    """A name means a size where a shape has it; otherwise it is a symbol, and no size gets its name."""
    for text, said, expected in (
        ("norm2(X*w-y)^2/m", {"X": "m x n"}, {"X": ("m", "n"), "w": ("n",), "y": ("m",)}),
        ("norm2(X*w-y)^2/m", {}, {"X": ("k", "n"), "w": ("n",), "y": ("k",), "m": ()}),
        ("norm2(X*w-y)^2/n", {}, {"X": ("k", "m"), "w": ("m",), "y": ("k",), "n": ()}),
        ("sum(x)/n", {}, {"x": ("n",)}),
        ("sum(x)/n", {"n": "scalar"}, {"x": ("m",), "n": ()}),
        ("k*x^2/2", {}, {"k": (), "x": ()}),
        ("k*x'*x", {}, {"k": (), "x": ("n",)}),
        ("p'*log(p)", {}, {"p": ("n",)}),
        ("n*t", {}, {"n": (), "t": ()}),
        ("n*m+sum(vector(1,m))+x", {}, {"n": (), "x": ()}),
        ("d*sum(x)", {"x": "d"}, {"x": ("d",)}),
    ):
        found = parse(text, **said).symbols
        assert {name: node.shape for name, node in found.items()} == expected, text
    x = tw.vector("x")
    assert value_of(parse("sum(x)/n", [x]).node, {x: np.array([1.0, 2, 6])}) == 3


def test_more_names_than_readings_that_are_tried():
    names = [f"{c}{i}" for i in range(6) for c in "ab"]
    text = "+".join(f"sum(a{i}.*b{i})" for i in range(6))
    found = parse(text).symbols
    assert list(found) == names
    assert all(node.ndim == 1 for node in found.values())


def test_attributes():
    parsed = parse("log(x'*A*x)+tr(S)", A="symmetric", S=["positive_definite", "nonnegative"])
    assert parsed.symbols["A"] is tw.matrix("A", symmetric=True)
    assert parsed.symbols["S"] is tw.matrix("S", "m", positive_definite=True, nonnegative=True)
    assert parse("A*x-b", A="orthogonal").symbols["A"].shape == ("n", "n")
    assert parse("sum(log(x))", x="nonnegative").symbols["x"] is tw.vector("x", nonnegative=True)
    assert parse("w*w", w="diagonal").symbols["w"].shape == ("n", "n")


def test_shapes_and_kinds_in_words():
    parsed = parse("norm2(X*w-y)^2/m+sum(a)", X="m x n", a="2, nonnegative")
    assert {name: node.shape for name, node in parsed.symbols.items()} == {
        "X": ("m", "n"), "w": ("n",), "y": ("m",), "a": (2,)
    }  # fmt: skip
    assert parsed.symbols["a"] is tw.vector("a", 2, nonnegative=True)
    assert parse("exp(x)", x="vector").symbols["x"] is tw.vector("x")
    assert parse("exp(X)", X=["scalar", "nonnegative"]).symbols["X"] is tw.scalar("X", nonnegative=True)
    assert parse("sum(b)", b="matrix").symbols["b"].shape == ("m", "n")
    assert parse("a'*b", b="n x 1").kind == parse("a*b", a="1").kind == "scalar"
    assert parse("inv(A)", A="3 x 3, positive definite").symbols["A"] is tw.matrix("A", 3, positive_definite=True)
    assert parse("A*x", A="2x3").symbols["x"].shape == (3,)


def test_declared_symbols_are_used_as_they_are():
    x, A = tw.vector("x"), tw.matrix("A", symmetric=True)
    parsed = parse("x'*A*x", [x, A])
    assert parsed.node is x @ A @ x
    assert parsed.symbols == {"x": x, "A": A}
    assert parse("q+1", {"q": x @ A @ x}).node is x @ A @ x + 1
    assert parse("A*x", {"A": ("k", 3)}).symbols["x"].shape == (3,)
    assert tw.parse("exp(t)").node is tw.exp(tw.scalar("t"))


def test_orientation():
    for text, kind, orientation in (
        ("x'*A", "row", "row"), ("A*x", "column", "column"), ("x'*x", "scalar", None), ("x*x'", "matrix", None),
        ("diag(A)'", "row", "row"), ("[t, t]", "row", "row"), ("[t; t]", "column", "column"), ("[t]", "scalar", None),
        ("softmax(x)'", "row", "row"), ("kron(x,x')", "matrix", None), ("[x, x]", "matrix", None),
    ):  # fmt: skip
        parsed = parse(text, {"x": ("n",), "A": ("n", "n"), "t": ()})
        assert (parsed.kind, parsed.orientation) == (kind, orientation), text
    assert parse("x*x'").rows == parse("x*x'").columns == ("n",)


def test_functions_beyond_the_oracle():
    rng = np.random.default_rng(8)
    x = rng.normal(size=4)
    node = symbol("x", (4,))
    for text, expected in {
        "log1p(exp(x))": np.log1p(np.exp(x)), "expm1(x)": np.expm1(x), "sinh(x)": np.sinh(x), "cosh(x)": np.cosh(x),
        "arctan(x)": np.arctan(x), "erf(x)": torch.erf(torch.tensor(x)).numpy(),
        "logsumexp(x)": np.log(np.exp(x).sum()), "softmax(x)": np.exp(x) / np.exp(x).sum(),
        "x.^2": x**2, "tr(x'*x)": x @ x, "inv(x'*x)": 1 / (x @ x), "det(sum(x))": x.sum(),
        "logdet(x'*x)": np.log(x @ x), "(x*x')^0": np.eye(4), "eye*x": x, "[sum(x), 1; 2, x'*x]*[1; 2]":
        [x.sum() + 2, 2 + 2 * x @ x], "x*vector(1,3)'": np.outer(x, np.ones(3)), "sum(normF(x*x'))": x @ x,
    }.items():  # fmt: skip
        assert np.allclose(value_of(parse(text, [node]).node, {node: x}), expected, rtol=TOLERANCE, atol=TOLERANCE), (
            text
        )
    known = set(FUNCTIONS) | set(ENTRYWISE)
    assert known - set(formula_functions.FUNCTIONS) == {"eye", "vector", "matrix"}


def test_blocks_and_kronecker_products_of_known_sizes():
    rng = np.random.default_rng(9)
    arrays = {"A": rng.normal(size=(2, 2)), "B": rng.normal(size=(3, 3)), "C": rng.normal(size=(2, 3)),
              "x": rng.normal(size=6), "u": rng.normal(size=2)}  # fmt: skip
    nodes = {name: symbol(name, a.shape) for name, a in arrays.items()}
    A, B, C, x, u = arrays.values()
    K = np.kron(A, B)
    for text, expected in {
        "[A, C; C', B]": np.block([[A, C], [C.T, B]]), "[u; u]": np.concatenate([u, u]),
        "[u, A]": np.column_stack([u, A]),
        "[u'; A]": np.vstack([u, A]), "kron(A,B)*x": K @ x, "x'*kron(A,B)": x @ K, "det(kron(A,B))": np.linalg.det(K),
        "inv(kron(A,B))*x": np.linalg.solve(K, x), "kron(A,B)*kron(A,B)": K @ K, "kron(A,B)^2": K @ K,
        "kron(A,B)'": K.T, "tr(kron(A,B))": np.trace(K), "diag(kron(A,B))": np.diag(K), "diag(kron(u,x))":
        np.diag(np.kron(u, x)), "kron(A,B)+x*x'": K + np.outer(x, x), "kron(A,B)^0": np.eye(6), "kron(u',x)":
        np.kron(u, x[:, None]), "kron(2,A)": 2 * A, "sum(kron(A,B))": K.sum(), "kron(kron(A,B),A)": np.kron(K, A),
    }.items():  # fmt: skip
        parsed = parse(text, nodes.values())
        ours = as_matrix(parsed, value_of(parsed.node, {nodes[k]: v for k, v in arrays.items()}))
        expected = np.reshape(expected, ours.shape)
        assert np.abs(ours - expected).max() <= TOLERANCE * max(1.0, np.abs(expected).max()), text


DECLARED = {"A": ("n", "n"), "B": ("m", "n"), "x": ("n",), "y": ("m",), "t": ()}
MALFORMED = [
    ("", 1, "empty"), ("   ", 1, "empty"), ("x+", 3, "ends where"), ("*x", 1, "not '*'"), ("+x", 1, "leave the sign"),
    ("x**2", 2, "write ^"), ("x+*x", 3, "not '*'"), ("(x", 1, "never closed"), ("x*((x)", 3, "never closed"),
    ("x)", 2, "closes nothing"), ("[x; x", 1, "never closed"), ("[x; x)", 6, "']' was expected"),
    ("(x]", 3, "')' was expected"), ("2x", 2, "the product's *"), ("x y", 3, "the product's *"),
    ("(x)(x)", 4, "the product's *"), ("x(2)", 1, "x is no function"), ("A.T*x", 2, "write '"), ("3*.5", 3, "0.5"),
    ("x.+x", 2, "write +"), ("A@x", 2, "write *"), ("t=1", 2, "one side"), ("x²", 2, "^2"), ("Aᵀ*x", 2, "write '"),
    ("{x}", 1, "( and )"), ("|x|", 1, "norm2"), ("A\\x", 2, "inv(A)*b"), ("logdett(A)", 1, "did you mean logdet"),
    ("exp", 1, "write exp(...)"), ("exp x", 1, "write exp(...)"), ("exp()", 1, "takes 1"), ("exp(x,x)", 1, "takes 1"),
    ("kron(A)", 1, "takes 2"), ("eye(n,n)", 1, "eye(n)"), ("vector()", 1, "vector(1,n)"),
    ("matrix(1,n)", 1, "matrix(1,m,n)"),
    ("vector(x)", 8, "the column x (n x 1)"), ("vector(1,2.5)", 10, "2.5"), ("vector(1,0)", 10, "size 0"),
    ("ln(x)", 1, "did you mean log"),
    ("trace(A)", 1, "did you mean tr"), ("matrix(1,0*n,n)", 10, "size 0"),
    ("eye(x)", 5, "name of a symbol"), ("eye(n+1)", 6, "n+1"), ("sum(vector(1))", 5, "nothing fixes the size"),
    ("1+x", 2, "vector(1)"), ("A-1", 2, "eye(n)"), ("x+y", 2, "column x (n x 1) and the column y (m x 1)"),
    ("x+x'", 2, "transpose one"), ("x*x", 2, "a'*b"), ("x*A", 2, "x'*A"), ("A*x'", 2, "transpose the row"),
    ("B*y", 2, "matrix B (m x n) and the column y (m x 1)"), ("log(x'*A*y)", 9, "row x'*A (1 x n)"),
    ("1/x", 2, "write ./"), ("A/A", 2, "inv(B)"), ("x^2", 2, ".^"), ("B^2", 2, "not square"),
    ("A^0.5", 2, "whole number"),
    ("A^t", 2, "the scalar t"), ("A^100", 2, "at most 64"), ("2^A", 2, "the matrix A (n x n)"),
    ("x.*y", 2, "column x (n x 1) and the column y (m x 1)"), ("A.*x", 2, "make the shapes equal"),
    ("norm1(A)", 1, "sum(abs(X))"), ("norm2(A)", 1, "normF"), ("norm2(t)", 1, "abs"), ("inv(x)", 1, "square"),
    ("2*det(B)", 3, "not square"), ("diag(B)", 1, "not square"), ("diag(t)", 1, "a column"),
    ("logsumexp(t)", 1, "column"),
    ("[x, y]", 5, "one row"), ("[x; x']", 1, "numbers as sizes"), ("[t, t; t]", 1, "rows of 2 and 1"),
    ("x,x", 2, "arguments"), ("t;t", 2, "in [ ] alone"), ("'", 1, "both sides"),
    ("inv(kron(A,A))", 1, "Kronecker"), ("kron(A,A)*x", 10, "n*n and n differ"), ("()", 2, "complete"),
    ("vector(1,q)+x", 12, "q x 1"), ("t+1/0", 4, "1/0 is no finite"), ("log(-1)", 1, "no finite"),
    ("9^9^9^9", 6, "no finite"),
    ("1e400", 1, "too large"), ("9" * 5000, 1, "too large"),
     ("(" * 200 + "t" + ")" * 200, 101, "more than 100"),
]  # fmt: skip


@pytest.mark.parametrize("text, character, words", MALFORMED, ids=[repr(m[0][:20]) for m in MALFORMED])
def test_messages_point_at_the_character(text, character, words):
    with pytest.raises(InputError) as caught:
        parse(text, DECLARED)
    first, shown, marker, *rest = str(caught.value).split("\n")
    assert first == f"at character {character} of the formula"
    assert words in "\n".join(rest)
    assert caught.value.remedy
    place = marker.index("^")
    if text.strip():
        assert shown[place : place + 1] == text[character - 1 : character]


def test_a_long_formula_is_shown_around_the_place():
    text = "+".join(["x'*x"] * 100) + "+y'*x+" + "+".join(["x'*x"] * 100)
    with pytest.raises(InputError) as caught:
        parse(text, DECLARED)
    _, shown, marker, *_ = str(caught.value).split("\n")
    assert len(shown) < 120
    assert shown[marker.index("^") - 2 :].startswith("y'*x")


def test_long_formulas_need_no_stack():
    text = "+".join(["x'*x"] * 3000)
    assert parse(text).symbols["x"].shape == ("n",)
    assert parse("-" * 3000 + "t").kind == "scalar"
    assert parse("A" + "'" * 3001).kind == "matrix"


def test_wrong_declarations():
    x = tw.vector("x")
    for call, words in (
        (lambda: parse("x'*x", A="symmetric"), "not in the formula"),
        (lambda: parse("A*x", A="symetric"), "symetric"),
        (lambda: parse("A*x", {"A": 3}), "shapes"),
        (lambda: parse("A*x", {"A": ("m", "n")}, A="symmetric"), "square"),
        (lambda: parse("A*x", [tw.matrix("A", "n", "n")], A="symmetric"), "declare the symbol with it"),
        (lambda: parse("T*x", [tw.tensor("T", ("n", "m", "k"))]), "scalars, vectors and matrices"),
        (lambda: parse("n*x", {"n": (), "x": ("n",)}), "name of a size"),
        (lambda: parse("x", [x, tw.vector("x", 3)]), "twice"),
        (lambda: parse("exp(x)", {"exp": x}), "name of a function"),
        (lambda: parse("A*x", x="1 x n"), "is a row"),
        (lambda: parse("A*x", x="n, matrix"), "is no matrix"),
        (lambda: parse("A*x", x="vector, symmetric"), "square"),
        (lambda: parse("A*x", [x], x="n"), "declare it once"),
        (lambda: parse("A*x", x="sparse"), "sparse"),
        (lambda: parse("A*x", x="0"), "size 0"),
        (lambda: parse(3), "a formula is a text"),
        (lambda: parse("w+x", w="symmetric", x="orthogonal"), None),
        (lambda: parse("w'*x", w="symmetric", x="nonnegative"), None),
    ):
        if words is None:
            assert call().symbols["w"].shape == ("n", "n")
            continue
        with pytest.raises(InputError, match=words):
            call()


def random_text(rng, kind, depth):
    """A formula of this kind over A, B: n x n, C: m x n, x, z: n, y: m, t: 1, fit for the oracle."""

    def inner(other):
        return random_text(rng, other, depth - 1)

    leaves = {
        "scalar": ["t", "2", "n", "0.5"], "n": ["x", "z", "vector(1,n)"], "m": ["y", "vector(2,m)"],
        "n x n": ["A", "B", "eye(n)"], "m x n": ["C", "matrix(1,m,n)"],
    }  # fmt: skip
    if depth == 0:
        return rng.choice(leaves[kind])
    same = [
        lambda: f"({inner(kind)}{rng.choice('+-')}{inner(kind)})", lambda: f"(-{inner(kind)})",
        lambda: f"({inner('scalar')}*{inner(kind)})",
        lambda: f"{rng.choice(['sin', 'sigmoid', 'tanh'])}({inner(kind)})",
        lambda: f"({inner(kind)}.*{inner(kind)})", lambda: f"({inner(kind)}/(1+sigmoid({inner('scalar')})))",
        lambda: f"{rng.choice(leaves[kind])}.^2" if kind != "scalar" else "t^2",
    ]  # fmt: skip
    own = {
        "scalar": [lambda: f"{inner('n')}'*{inner('n')}", lambda: f"tr({inner('n x n')})",
                   lambda: f"sum({inner('m x n')})", lambda: f"norm2({inner('m')})",
                   lambda: f"det({inner('n x n')})", lambda: f"normF({inner('m x n')})"],
        "n": [lambda: f"{inner('n x n')}*{inner('n')}", lambda: f"{inner('m x n')}'*{inner('m')}",
              lambda: f"diag({inner('n x n')})"],
        "m": [lambda: f"{inner('m x n')}*{inner('n')}"],
        "n x n": [lambda: f"{inner('n')}*{inner('n')}'", lambda: f"{inner('n x n')}'", lambda: f"diag({inner('n')})",
                  lambda: f"{inner('m x n')}'*{inner('m x n')}", lambda: f"{inner('n x n')}^2",
                  lambda: f"inv(2*eye(n)+tanh({inner('n x n')}))"],
        "m x n": [lambda: f"{inner('m')}*{inner('n')}'", lambda: f"{inner('m x n')}*{inner('n x n')}"],
    }  # fmt: skip
    return f"({rng.choice([*same, *own[kind], *own[kind]])()})"


@given(st.integers(0, 2**32), st.sampled_from(["scalar", "n", "m", "n x n", "m x n"]), st.integers(1, 4))
@settings(max_examples=120, deadline=None)
def test_random_formulas_have_the_value_of_another_reader(seed, kind, depth):
    text = random_text(random.Random(seed), kind, depth)
    symbols = declared("A: n x n; B: n x n; C: m x n; x: n; z: n; y: m; t: 1")
    nodes = nodes_of(symbols)
    rng = np.random.default_rng(seed)
    values = {k: torch.as_tensor(rng.uniform(-1, 1, size=(*[SIZES[d] for d in s.shape], 1, 1)[:2]))
              for k, s in symbols.items() if k != "t"} | {"t": torch.tensor([[0.7]], dtype=torch.float64)}  # fmt: skip
    expected = evaluate(text, SIZES | values)
    if torch.isfinite(expected).all():
        assert_same(parse(text, nodes), nodes, text, values)


TOKENS = [
    "x", "A", "B", "t", "'", "^", ".^", "*", "/", "+", "-", ".*", "./", "(", ")", "[", "]", ";", ",", "inv(", "tr(",
    "sum(", "eye", "diag(", "2", "n", "1.5", "q",
]  # fmt: skip


@given(st.lists(st.sampled_from(TOKENS)))
@settings(max_examples=300, deadline=None)
def test_whatever_is_written_ends_in_a_formula_or_a_message(tokens):
    for declarations in (None, DECLARED):
        try:
            assert parse("".join(tokens), declarations).node.shape is not None
        except InputError as error:
            assert "at character" in error.problem


def test_a_matrix_that_can_only_be_a_number_is_not_read_as_one_in_silence():
    with pytest.raises(InputError, match=r"X can only be read as a scalar.*vector\(1\)\+x"):
        parse("sum(log(1+exp(-y.*(X*w))))")
    assert parse("sum(log(vector(1)+exp(-y.*(X*w))))").symbols["X"].ndim == 2
    assert parse("x+A", A="scalar").symbols["A"].shape == ()


def test_sizes_may_be_products():
    assert parse("matrix(0,m*n,m*n)").node.shape == ("m", "n", "m", "n")
    assert parse("kron(A,B)+eye(n*m)", A="n x n", B="m x m").node.shape == ("n", "m", "n", "m")
    assert parse("vector(1,2*3)").node.shape == (2, 3)
    assert parse("kron(A,B)*x", A="2 x 4", B="3 x 5").symbols["x"].shape == (20,)


@pytest.mark.parametrize(
    "text, character, words", [("x^T*A*x", 3, "' for the transpose"), ("2+A*x+1", 3, "A can only be read as a scalar")]
)
def test_undeclared_names_that_are_misread_are_pointed_at(text, character, words):
    with pytest.raises(InputError, match=words) as caught:
        parse(text)
    assert str(caught.value).startswith(f"at character {character} ")
