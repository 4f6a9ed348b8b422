"""Random formulas: the printed derivative, read by another reader, beside torch.autograd on the formula itself."""

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import assume, given, settings

torch = pytest.importorskip("torch", reason="the torch extra is not installed")

from expr.notation_in_torch import evaluate  # noqa: E402
from thalweg.core.errors import UnsupportedError  # noqa: E402
from thalweg.expr.deriving import derive  # noqa: E402
from thalweg.expr.parsing import parse  # noqa: E402
from thalweg.expr.terms import expand, normal  # noqa: E402
from tolerances import RANDOM_EXPRESSION  # noqa: E402

SHAPES = {"x": ("n",), "a": ("n",), "A": ("n", "n"), "B": ("n", "n"), "S": ("n", "n"), "c": ()}
N = 3


@st.composite
def formulas(draw):
    """A scalar or vector formula, and the variable by which it is differentiated."""

    def one(*choices):
        return draw(st.sampled_from(choices))()

    def vector(depth):
        if not depth:
            return one(lambda: "x", lambda: "a", lambda: "x")
        function = draw(st.sampled_from(("exp", "tanh", "sin", "cos", "sigmoid", "softplus", "relu", "abs")))
        return one(
            lambda: f"({matrix(depth - 1)}*{vector(depth - 1)})",
            lambda: f"({vector(depth - 1)}+{vector(depth - 1)})",
            lambda: f"({vector(depth - 1)}-{vector(depth - 1)})",
            lambda: f"({vector(depth - 1)}.*{vector(depth - 1)})",
            lambda: f"{function}({vector(depth - 1)})",
            lambda: f"(({number(depth - 1)})*{vector(depth - 1)})",
            lambda: f"(inv(S)*{vector(depth - 1)})",
        )

    def matrix(depth):
        if not depth:
            return one(lambda: "A", lambda: "B", lambda: "S")
        return one(
            lambda: f"({matrix(depth - 1)}+{matrix(depth - 1)})",
            lambda: f"{matrix(depth - 1)}'",
            lambda: f"({matrix(depth - 1)}*{matrix(depth - 1)})",
            lambda: f"({vector(depth - 1)}*{vector(depth - 1)}')",
            lambda: f"diag({vector(depth - 1)})",
            lambda: "inv(S)",
        )

    def number(depth):
        if not depth:
            return one(lambda: "c", lambda: "2", lambda: "a'*x", lambda: "x'*x")
        return one(
            lambda: f"({vector(depth - 1)})'*({vector(depth - 1)})",
            lambda: f"({vector(depth - 1)})'*{matrix(depth - 1)}*({vector(depth - 1)})",
            lambda: f"sum({vector(depth - 1)})",
            lambda: f"tr({matrix(depth - 1)})",
            lambda: f"norm2({vector(depth - 1)})",
            lambda: f"log(1+({number(depth - 1)})^2)",
            lambda: f"exp(-({number(depth - 1)})^2)",
            lambda: f"sqrt(1+({number(depth - 1)})^2)",
            lambda: f"({number(depth - 1)})/(1+({number(depth - 1)})^2)",
            lambda: f"logdet(S+({vector(depth - 1)})*({vector(depth - 1)})')",
        )

    depth = draw(st.integers(1, 3))
    text = draw(st.sampled_from((number, number, vector)))(depth)
    return text, draw(st.sampled_from(("x", "A", "S", "c") if not text.startswith("[") else ("x",)))


@settings(max_examples=60, deadline=None)
@given(formulas(), st.integers(0, 2**32 - 1))
def test_printed_derivatives(case, seed):
    text, wrt = case
    names = {name: shape for name, shape in SHAPES.items()}
    parsed = parse(text, names)
    assume(wrt in parsed.symbols)
    try:
        found = derive(text, wrt, symbols=names)
    except UnsupportedError as error:
        assert "could not be checked" in error.problem, error  # every point overflows, or is ill conditioned
        assume(False)
    assert expand(normal(parsed.node)).key == expand(parsed.node).key  # a second time changes nothing
    assume(found.form.is_notation)
    rng = np.random.default_rng(seed)
    M = rng.normal(size=(N, N))
    values = {"x": rng.normal(size=(N, 1)), "a": rng.normal(size=(N, 1)), "A": M, "B": rng.normal(size=(N, N)),
              "S": M @ M.T / N + np.eye(N), "c": rng.normal(size=(1, 1))}  # fmt: skip
    tensors = {name: torch.as_tensor(v) for name, v in values.items()} | {"n": N}

    def function(variable):
        return evaluate(text, tensors | {wrt: variable})

    jacobian = torch.autograd.functional.jacobian(function, tensors[wrt]).numpy()
    value = function(tensors[wrt]).numpy()
    assume(np.isfinite(jacobian).all() and np.abs(jacobian).max() < 1e6 and np.abs(value).max() < 1e6)
    printed = evaluate(found.text, tensors).numpy()
    scalar_by_array = value.size == 1 and SHAPES[wrt]
    shape = values[wrt].shape if scalar_by_array else (value.size, values[wrt].size)
    scale = max(1.0, np.abs(jacobian).max(), np.abs(value).max())
    assert np.abs(printed - jacobian.reshape(shape)).max() <= RANDOM_EXPRESSION * scale, found.text
