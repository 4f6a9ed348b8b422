"""The known answers are right: each beside torch.autograd on random matrices, each curvature on random segments.

Nothing here uses Thalweg: this is the ground on which its symbolic derivatives will be tested.
"""

import re

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the torch extra is not installed")

from expr.identity_notation import DIMENSIONS, PRECEDENCE, Identity, Symbol, declared  # noqa: E402
from expr.known_curvature import CURVATURES  # noqa: E402
from expr.matrix_identities import IDENTITIES, RULES, WORKED  # noqa: E402
from expr.notation_in_torch import ENTRYWISE, FUNCTIONS, evaluate  # noqa: E402
from tolerances import arithmetic, matrices  # noqa: E402

SIZES = {"n": 3, "m": 4, "k": 2, "p": 5}
CONDITION = 30.0
"""Draws with a worse conditioned square matrix are drawn again."""
TOLERANCE = matrices(CONDITION**2, size=max(SIZES.values()))


def shape_of(symbol):
    sizes = [SIZES.get(s, s) for s in symbol.shape]
    return (*sizes, 1, 1)[:2]


def draw(symbol, rng):
    """A random value with the symbol's attributes; general square ones lean to the identity, so that det > 0 is met."""
    shape = shape_of(symbol)
    x = rng.normal(size=shape)
    square = symbol.kind == "matrix" and shape[0] == shape[1]
    if "nonnegative" in symbol.attributes:
        x = rng.uniform(0.3, 2.0, size=shape)
    elif "positive definite" in symbol.attributes:
        x = x @ x.T / len(x) + np.eye(len(x)) / 2
    elif "symmetric" in symbol.attributes:
        x = (x + x.T) / 2
    elif "diagonal" in symbol.attributes:
        x = np.diag(np.diag(x))
    elif "orthogonal" in symbol.attributes:
        x = np.linalg.qr(x)[0]
    elif square:
        x = x + 1.2 * np.eye(len(x))
    return torch.as_tensor(x)


def sample(symbols, rng, *texts):
    """Values at which every text is finite and no matrix is ill conditioned."""
    for _ in range(200):
        values = {name: draw(symbol, rng) for name, symbol in symbols.items()}
        square = [v for v in values.values() if v.shape[0] == v.shape[1]]
        finite = all(torch.isfinite(evaluate(text, SIZES | values)).all() for text in texts)
        if finite and all(torch.linalg.cond(v) < CONDITION for v in square):
            return values
    raise AssertionError(f"no point of the domain was found for {texts}")


def derivative(function, x, order):
    """All derivatives of this order: the function's shape, then x's, once for each order."""
    for _ in range(order):
        function = _jacobian(function)
    return function(x).detach()


def _jacobian(function):
    return lambda x: torch.autograd.functional.jacobian(function, x, create_graph=True)


def laid_out(full, out, x, order):
    """Derivatives in the layout of the answers."""
    if x.numel() == 1:
        return full.reshape(out.shape)
    if order == 2:
        return full.reshape(x.numel(), x.numel())
    return full.reshape(x.shape if out.numel() == 1 else (out.numel(), x.numel()))


def assert_close(ours, theirs):
    assert ours.shape == theirs.shape
    scale = max(1.0, float(theirs.abs().max()))
    assert float((ours - theirs).abs().max()) <= TOLERANCE * scale


def check(identity, seed):
    rng = np.random.default_rng(seed)
    given = [t for t in (identity.text, identity.answer) if t]
    values = sample(identity.symbols, rng, *given)
    known = SIZES | values
    out = evaluate(identity.text, known)
    if identity.order == 0:
        assert_close(evaluate(identity.answer, known), out)
        return
    columns = []
    for wrt in identity.wrt.split(", "):
        x = values[wrt]
        full = derivative(lambda x, wrt=wrt: evaluate(identity.text, known | {wrt: x}), x, identity.order)
        columns.append(laid_out(full, out, x, identity.order) if identity.answer else None)
    if identity.answer:
        assert_close(evaluate(identity.answer, known), torch.cat(columns, dim=1))
    direction = torch.as_tensor(rng.normal(size=x.shape))
    once = torch.tensordot(full, direction, dims=2)
    if identity.linear:
        shape = out.shape if identity.order == 1 else x.shape
        assert_close(evaluate(identity.linear, known | {"D": direction}), once.reshape(shape))
    if identity.bilinear:
        twice = torch.tensordot(once, direction, dims=2)
        assert_close(evaluate(identity.bilinear, known | {"D": direction}), twice.reshape(out.shape))


@pytest.mark.parametrize("identity", IDENTITIES, ids=lambda i: i.name)
def test_the_answer_is_the_derivative(identity):
    for seed in (1, 2):
        check(identity, seed)


def test_a_wrong_answer_is_noticed():
    symbols = declared("x: n; A: n x n")
    for text, answer in (("x'*A*x", "2*A*x"), ("A*x", "A'"), ("tr(A*A)", "2*A"), ("x'*A*x", "(A+A')*x+1e-8*x")):
        wrong = Identity("wrong", text, "A" if "tr" in text else "x", 1, answer, symbols, "nowhere")
        with pytest.raises(AssertionError):
            check(wrong, 1)


@pytest.mark.parametrize("rule", RULES, ids=lambda r: r.name)
def test_the_differential_rules(rule):
    rng = np.random.default_rng(3)
    values = sample(rule.symbols, rng, rule.text)
    known = SIZES | values
    steps = {f"d{name}": torch.as_tensor(rng.normal(size=values[name].shape)) for name in rule.wrt if name in values}
    steps |= {f"d{name}": torch.zeros(1, 1, dtype=torch.float64) for name in rule.wrt if name not in values}
    expected = torch.zeros_like(evaluate(rule.text, known))
    for name in rule.wrt:
        if name in values:
            full = derivative(lambda x, name=name: evaluate(rule.text, known | {name: x}), values[name], 1)
            expected = expected + torch.tensordot(full, steps[f"d{name}"], dims=2)
    assert_close(evaluate(rule.differential, known | steps), expected)


@pytest.mark.parametrize("text, meant", PRECEDENCE)
def test_how_the_notation_is_read(text, meant):
    symbols = declared("A: n x n; B: n x n; x: n, nonnegative; y: n, nonnegative")
    known = SIZES | sample(symbols, np.random.default_rng(4))
    assert_close(evaluate(text, known), evaluate(meant, known))


def test_readings_in_numbers():
    """The pairs above compare the reader with itself; these are computed by hand."""
    values = sample(declared("A: n x n; B: n x n; x: n, nonnegative"), np.random.default_rng(5))
    A, B, x = (values[name].numpy() for name in "ABx")
    expected = {
        "2-3-4": -5, "2/4*8": 4, "-2^2": -4, "2^3^2": 64, "2^-1": 0.5, "A^-1'": np.linalg.inv(A).T,
        "x'*A*x": x.T @ A @ x, "A*x.*x": (A @ x) * x, "1./x": 1 / x, "x*x'": np.outer(x, x),
        "vector(1)'*A": A.sum(axis=0, keepdims=True), "kron(A,x')": np.kron(A, x.T), "tr(A*B')": (A * B).sum(),
        "diag(x)*A": x * A, "diag(A)": np.diag(A)[:, None], "norm1(A*x)": np.abs(A @ x).sum(),
        "norm2(x)": np.sqrt((x * x).sum()), "normF(A)": np.sqrt((A * A).sum()), "logdet(A)": np.log(np.linalg.det(A)),
        "softplus(x)": np.log1p(np.exp(x)), "sigmoid(x)": 1 / (1 + np.exp(-x)), "relu(-x)": 0 * x,
        "matrix(2,m,n)": np.full((4, 3), 2.0), "n+eye(1)": 4,
    }  # fmt: skip
    for text, value in expected.items():
        assert_close(evaluate(text, SIZES | values), torch.as_tensor(np.atleast_2d(np.array(value, dtype=float))))


@pytest.mark.parametrize(
    "text", ["1+x", "x*x", "x^2", "A/B", "A.*x", "norm1(A)", "norm2(A)", "2x", "A*", "(A", "vector(1)", "x+vector(1)'"]
)
def test_what_the_notation_does_not_allow(text):
    known = SIZES | sample(declared("A: n x n; B: n x n; x: n"), np.random.default_rng(6))
    with pytest.raises(ValueError):
        evaluate(text, known)


def test_the_file_is_complete_and_consistent():
    names = [i.name for i in IDENTITIES]
    assert len(set(names)) == len(names)
    assert len(IDENTITIES) - len(WORKED) >= 60
    assert sum(i.order == 2 and i.answer is not None for i in IDENTITIES[len(WORKED) :]) >= 20
    assert len(RULES) >= 10
    assert len(CURVATURES) >= 40
    assert {c.curvature for c in CURVATURES} == {"convex", "concave", "affine", "unknown"}
    functions = FUNCTIONS.keys() | ENTRYWISE.keys()
    for record in [*IDENTITIES, *CURVATURES]:
        texts = [record.text, *(getattr(record, f, None) or "" for f in ("answer", "linear", "bilinear"))]
        words = set(re.findall(r"[A-Za-z]\w*", " ".join(texts)))
        assert words - functions - set(DIMENSIONS) - {"D"} == set(record.symbols), record
        assert not set(record.symbols) & {*DIMENSIONS, "D", *functions}
        assert set(record.wrt.split(", ")) <= set(record.symbols)
        assert all(isinstance(s, Symbol) and set(s.shape) <= {*DIMENSIONS} for s in record.symbols.values())


def bends(record, rng):
    """Chord minus function at a point of a random segment, in units of the values; None outside the domain."""
    values = sample(record.symbols, rng, record.text)
    start = values[record.wrt]
    other = start + (draw(record.symbols[record.wrt], rng) - start) * 10.0 ** rng.uniform(-1, 0)
    share = rng.uniform(0.2, 0.8)
    points = (start, other, (1 - share) * start + share * other)
    a, b, middle = (evaluate(record.text, SIZES | values | {record.wrt: x}) for x in points)
    if not torch.isfinite(b).all():
        return None
    assert torch.isfinite(middle).all(), "the domain of these functions is convex"
    scale = 1.0 + torch.maximum(a.abs(), b.abs())
    return (((1 - share) * a + share * b - middle) / scale).numpy()


@pytest.mark.parametrize("record", CURVATURES, ids=lambda c: f"{c.text} in {c.wrt}")
def test_the_curvature_holds_on_segments(record):
    rng = np.random.default_rng(7)
    found = [b for b in (bends(record, rng) for _ in range(60)) if b is not None]
    assert len(found) >= 20
    bend = np.array(found)
    rounding = arithmetic(operations=100)
    assert (bend.max() > 1e-4) == (record.actual in ("convex", "neither"))
    assert (bend.min() < -1e-4) == (record.actual in ("concave", "neither"))
    if record.actual != "neither":
        assert bend.min() >= -rounding or record.actual == "concave"
        assert bend.max() <= rounding or record.actual == "convex"
    assert record.curvature == record.actual or (record.curvature == "unknown" and record.reason)
    assert ("a rule is missing" in record.reason) == (record.curvature != record.actual != "neither")
