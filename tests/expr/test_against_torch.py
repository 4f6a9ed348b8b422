"""Random expressions over the whole table of operations: every road agrees with the others and with torch.autograd.

An expression is a little program: each step applies one operation to results of earlier steps. The same program runs on
plain arrays, on eager nodes over arrays and over tensors, on symbols (evaluated, lowered to NumPy and to torch,
compiled), and in plain torch, each time with the functions of that library.

How much two roads may differ is 1e-8 times the condition of the expression, in absolute terms: rounding an intermediate
result v by |v| u moves the outcome by |v dout/dv| u, so that the sum of |v_i dout/dv_i| over the inputs and the results
of all steps is what roundings are relative to. torch computes it. For the gradient, out is the derivative along a
direction d, for the second order it is d'Hd, each with the sums below it added, as they are computed on the way. Steps
that solve or factor a matrix multiply by the square of its condition.
"""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thalweg.expr import evaluate, gradients, lower, symbol
from thalweg.expr.compiled import compile
from thalweg.expr.node import table
from thalweg.expr.transforms import grad, hvp, jvp, make_vjp, value_and_grad, vjp
from thalweg.expr.walk import topological
from tolerances import RANDOM_EXPRESSION

torch = pytest.importorskip("torch")

from expr.two_libraries import OnTensors, Ours, Torch  # noqa: E402

ROWS, COLUMNS = 3, 4


# Each step keeps the shape (rows, columns) unless it says otherwise; domains are restricted where the operation, or
# its derivative, is ill posed.
WEIGHTS = np.random.default_rng(7).normal(size=(ROWS, COLUMNS))
MASK = WEIGHTS > 0
APART = np.diag(np.arange(1.0, COLUMNS + 1))[:ROWS]
SQUARE = np.random.default_rng(8).normal(size=(ROWS, ROWS)) / 2


def _between(m, x):
    return 0.9 * m.tanh(x)


def _positive(m, x):
    return m.softplus(x) + 0.1


def _symmetric(m, x):
    x = 2 * m.tanh(x)
    return m.einsum("ik,jk->ij", x, x) / COLUMNS + 0.5 * m.eye(m.transpose(x))


def _regular(m, x):
    return _symmetric(m, x) + m.constant(SQUARE, x) + 5 * m.eye(m.transpose(x))


def _spread(m, x):
    """Give a symmetric matrix whose eigenvalues are apart."""
    return 0.1 * m.tanh(_symmetric(m, x)) + m.constant(np.diag(np.arange(1.0, ROWS + 1)), x)


UNARY = {
    "sin": lambda m, x: m.sin(x), "cos": lambda m, x: m.cos(x), "tan": lambda m, x: m.tan(_between(m, x)),
    "sinh": lambda m, x: m.sinh(_between(m, x)), "cosh": lambda m, x: m.cosh(_between(m, x)),
    "tanh": lambda m, x: m.tanh(x), "arctan": lambda m, x: m.arctan(x), "arcsinh": lambda m, x: m.arcsinh(x),
    "arcsin": lambda m, x: m.arcsin(_between(m, x)), "arccos": lambda m, x: m.arccos(_between(m, x)),
    "arctanh": lambda m, x: m.arctanh(_between(m, x)), "arccosh": lambda m, x: m.arccosh(1 + _positive(m, x)),
    "exp": lambda m, x: m.exp(_between(m, x)), "exp2": lambda m, x: m.exp2(_between(m, x)),
    "expm1": lambda m, x: m.expm1(_between(m, x)), "log": lambda m, x: m.log(_positive(m, x)),
    "log1p": lambda m, x: m.log1p(_positive(m, x)), "log2": lambda m, x: m.log2(_positive(m, x)),
    "log10": lambda m, x: m.log10(_positive(m, x)), "sqrt": lambda m, x: m.sqrt(_positive(m, x)),
    "cbrt": lambda m, x: m.cbrt(_positive(m, x)), "square": lambda m, x: m.square(x),
    "sigmoid": lambda m, x: m.sigmoid(x), "softplus": lambda m, x: m.softplus(x), "relu": lambda m, x: m.relu(x),
    "abs": lambda m, x: m.abs(x), "erf": lambda m, x: m.erf(x), "erfc": lambda m, x: m.erfc(_between(m, x)),
    "gammaln": lambda m, x: m.gammaln(_positive(m, x)), "sinc": lambda m, x: m.sinc(x + 5.3), "neg": lambda m, x: -x,
    "reciprocal": lambda m, x: 1 / _positive(m, x), "power": lambda m, x: _positive(m, x) ** 1.7,
    "cube": lambda m, x: _between(m, x) ** 3, "mod": lambda m, x: m.remainder(x, 0.7),
    "where": lambda m, x: m.where(m.constant(MASK, x), x, 2.0 * x), "branch": lambda m, x: m.where(x > 0.3, x * x, x),
    "masked_log": lambda m, x: m.where(x > 0.1, m.log(m.where(x > 0.1, x, 1.0)), x),
    "scaled": lambda m, x: 0.5 * x - 0.25, "logistic": lambda m, x: 1 / (1 + m.exp(-_between(m, x))),
}  # fmt: skip
SHAPED = {
    "center": lambda m, x: x - m.sum(x, axis=1, keepdims=True) / COLUMNS,
    "normalize": lambda m, x: x / (1 + m.norm(x + m.constant(WEIGHTS, x))), "mean": lambda m, x: x + m.mean(x, axis=0),
    "max": lambda m, x: x * m.max(x, 0), "min": lambda m, x: x - m.min(x, 0), "prod": lambda m, x: x + m.prod(x, 0),
    "std": lambda m, x: x * m.std(x + m.constant(WEIGHTS, x), 0),
    "cumsum": lambda m, x: m.cumsum(x, 1), "sort": lambda m, x: m.sort(x, 1),
    "softmax": lambda m, x: m.softmax(x, 1), "logsumexp": lambda m, x: x - m.reshape(m.logsumexp(x, 1), (ROWS, 1)),
    "flip": lambda m, x: m.flip(x, 1), "roll": lambda m, x: m.roll(x, 2, 1), "backwards": lambda m, x: m.backwards(x),
    "slices": lambda m, x: m.concatenate([x[:, 1:], x[:, :1]], 1), "row": lambda m, x: x + x[1],
    "array_index": lambda m, x: x[[2, 0, 2]], "pairs": lambda m, x: x[[0, 1, 2], [3, 0, 0]][:, None] * x,
    "mask": lambda m, x: x * m.sum(x[m.constant(MASK, x)]), "corner": lambda m, x: x * x[0, -1],
    "reshape": lambda m, x: m.reshape(m.sort(m.reshape(x, (-1,)), 0), (ROWS, COLUMNS)),
    "triu": lambda m, x: m.triu(x) + x, "pick": lambda m, x: m.pick(x, np.array([2, 0, 3]))[:, None] * x,
    "transposed": lambda m, x: m.transpose(m.cumsum(m.transpose(x), 1)),
    "stack": lambda m, x: m.sum(m.stack([x, x * x], 0), axis=0),
    "gram": lambda m, x: m.einsum("ij,jk->ik", m.einsum("ij,kj->ik", x, x), x) / COLUMNS,
    "chain": lambda m, x: m.einsum("ij,kj->ik", x, m.constant(WEIGHTS, x)) @ m.constant(WEIGHTS, x),
    "weighted": lambda m, x: m.einsum("ij,ij->i", x, m.constant(WEIGHTS, x))[:, None] * x,
    "kron": lambda m, x: m.reshape(m.sum(m.reshape(m.kron(x, x), (ROWS, ROWS, COLUMNS, COLUMNS)), axis=(0, 2)),
                                   (ROWS, COLUMNS)),
}  # fmt: skip
MATRICES = {
    "solve": lambda m, x: m.solve(_regular(m, x), x), "inv": lambda m, x: m.inv(_regular(m, x)) @ x,
    "det": lambda m, x: x + m.det(_regular(m, x)) / 100, "slogdet": lambda m, x: x * m.slogdet(_regular(m, x)),
    "cholesky": lambda m, x: m.cholesky(_symmetric(m, x)) @ x,
    "eigvalsh": lambda m, x: m.eigvalsh(_spread(m, x))[:, None] * x,
    "svdvals": lambda m, x: x + m.sum(m.svdvals(_spread(m, x))),
    "expm": lambda m, x: m.expm(_spread(m, x) / 4) @ x,
    "logdet": lambda m, x: x * m.logdet(_symmetric(m, x)),
    "qr": lambda m, x: x + m.sum(m.square(m.triangle(_regular(m, x)))),
    "eigh": lambda m, x: m.square(m.eigenvectors(_spread(m, x))) @ x,
    "svd": lambda m, x: x + m.square(m.right_vectors(0.1 * m.tanh(x) + m.constant(APART, x))),
    "pinv": lambda m, x: m.transpose(m.pinv(0.3 * m.tril(m.tanh(x)) + 3 * m.constant(np.eye(ROWS, COLUMNS), x))),
}  # fmt: skip
BINARY = {
    "add": lambda m, a, b: a + b, "sub": lambda m, a, b: a - b, "mul": lambda m, a, b: a * b,
    "div": lambda m, a, b: a / _positive(m, b), "power": lambda m, a, b: _positive(m, a) ** _between(m, b),
    "maximum": lambda m, a, b: m.maximum(a, b + 0.01), "minimum": lambda m, a, b: m.minimum(a, b - 0.01),
    "logaddexp": lambda m, a, b: m.logaddexp(a, b), "hypot": lambda m, a, b: m.hypot(a, 1 + m.square(b)),
    "arctan2": lambda m, a, b: m.arctan2(a, _positive(m, b)), "where": lambda m, a, b: m.where(b > 0.2, a, b),
    "product": lambda m, a, b: m.einsum("ij,kj->ik", a, b) @ b / COLUMNS,
    "broadcast": lambda m, a, b: a * m.sum(b, axis=1, keepdims=True) + b[0],
    "solve#": lambda m, a, b: m.solve(_regular(m, a), b),
}  # fmt: skip
ONE = UNARY | {f"{k}!": v for k, v in SHAPED.items()} | {f"{k}#": v for k, v in MATRICES.items()}
FACTORED = 1000.0
"""Bound on the square of the condition of a matrix that is solved with or factored: its entries are bounded by tanh."""

STEP = st.one_of(
    st.tuples(st.sampled_from(sorted(ONE)), st.integers(0, 9)),
    st.tuples(st.sampled_from(sorted(BINARY)), st.integers(0, 9), st.integers(0, 9)),
)
PROGRAMS = st.lists(STEP, min_size=1, max_size=5)


def run(m, program, x, v, record=None):
    """Run a program on a matrix and a vector; its result is one number.

    Args:
        m: The library.
        program: Steps (operation, places of the operands counted from the last result back).
        x: Shape (rows, columns).
        v: Shape (columns,).
        record: A list that takes the intermediate results.

    """
    results = [x * v, x, x + v]
    for name, *places in program:
        operands = [results[-1 - place % len(results)] for place in places]
        results.append((ONE[name] if len(places) == 1 else BINARY[name])(m, *operands))
    if record is not None:
        record += results
    return m.sum(results[-1] * m.constant(WEIGHTS, x)) + m.sum(m.sin(v))


def point():
    rng = np.random.default_rng(3)
    return rng.normal(size=(ROWS, COLUMNS)), rng.normal(size=COLUMNS)


def directions():
    rng = np.random.default_rng(4)
    return [rng.normal(size=(ROWS, COLUMNS)), rng.normal(size=COLUMNS)]


def reference(program):
    """Give torch's value, gradient and product of the Hessian with the directions, and the condition of each."""
    inputs = [torch.tensor(a, requires_grad=True) for a in point()]
    along = [torch.tensor(d) for d in directions()]
    record = []
    outcome = run(Torch, program, *inputs, record)
    stations = [r for r in (*inputs, *record) if r.requires_grad]
    factor = FACTORED if any(name.endswith("#") for name, *_ in program) else 1.0
    outcomes, found, conditions, condition = [float(outcome.detach())], [], [], 0.0
    for order in range(3):
        reach = torch.autograd.grad(outcome, stations, create_graph=True, allow_unused=True, materialize_grads=True)
        condition += factor * float(sum((r * g).abs().sum().detach() for r, g in zip(stations, reach, strict=True)))
        conditions.append(1.0 + condition)
        if order < 2:
            found.append([g.detach().numpy(force=True) for g in reach[:2]])
            outcome = sum((g * d).sum() for g, d in zip(reach[:2], along, strict=True))
            if not outcome.requires_grad:  # piecewise linear: nothing is left
                found.append([np.zeros(g.shape) for g in reach[:2]])
                conditions += [conditions[-1]] * 2
                break
    return outcomes[0], found[0], found[1], conditions


def close(got, expected, condition, what):
    got = got.detach().numpy() if isinstance(got, torch.Tensor) else np.asarray(got)
    assert got.shape == np.shape(expected), f"{what}: shape {got.shape} for {np.shape(expected)}"
    error = np.max(np.abs(got - expected))
    assert math.isfinite(error) and error <= RANDOM_EXPRESSION * condition, f"{what}: {error} beside {condition}"


def all_close(got, expected, condition, what):
    for i, (a, b) in enumerate(zip(got, expected, strict=True)):
        close(a, b, condition, f"{what} by argument {i}")


def check_eagerly(program):
    value, gradient, bend, conditions = reference(program)
    arrays, along = point(), directions()

    def scalar(x, v):
        return run(Ours, program, x, v)

    def matrix(x, v):
        record = []
        run(Ours, program, x, v, record)
        return record[-1]

    with np.errstate(all="ignore"):
        close(scalar(*arrays), value, conditions[0], "plain value")
    slopes = grad(scalar, (0, 1))
    all_close(slopes(*arrays), gradient, conditions[1], "gradient")
    got, forward = jvp(scalar, arrays, along)
    close(got, value, conditions[0], "eager value")
    close(forward, sum(np.sum(g * d) for g, d in zip(gradient, along, strict=True)), conditions[1], "forward")
    # <u, J d> = <J'u, d> for the matrix that the last step gives
    result, tangent = jvp(matrix, arrays, along)
    u = np.random.default_rng(5).normal(size=np.shape(result))
    pulled = vjp(matrix, *arrays)[1](u)
    close(np.sum(u * tangent), sum(np.sum(p * d) for p, d in zip(pulled, along, strict=True)),
          conditions[1] + np.sum(np.abs(u * tangent)), "forward beside reverse")  # fmt: skip

    def along_directions(x, v):
        by_x, by_v = slopes(x, v)
        return Ours.sum(by_x * along[0]) + Ours.sum(by_v * along[1])

    all_close(grad(along_directions, (0, 1))(*arrays), bend, conditions[2], "second order, reverse over reverse")
    close(hvp(lambda x: scalar(x, arrays[1]))(arrays[0], along[0]), hessian_block(program), conditions[2], "hvp")
    all_close(jvp(lambda x, v: slopes(x, v)[0], arrays, along)[1:], bend[:1], conditions[2], "forward over reverse")


def hessian_block(program):
    """Give torch's product of the Hessian in x with the direction in x."""
    x, v = [torch.tensor(a) for a in point()]
    x.requires_grad_()
    (slope,) = torch.autograd.grad(run(Torch, program, x, v), x, create_graph=True)
    if not slope.requires_grad:
        return np.zeros(x.shape)
    (block,) = torch.autograd.grad(slope, x, torch.tensor(directions()[0]), allow_unused=True, materialize_grads=True)
    return block.numpy(force=True)


def check_roads(program):
    value, gradient, _, conditions = reference(program)
    arrays = point()
    expected = [value, *gradient]
    roads = {}
    tensors = [torch.as_tensor(a) for a in arrays]
    pulled, by_tensor = make_vjp(lambda x, v: run(OnTensors, program, x, v), (0, 1))(*tensors)
    roads["tensors"] = [by_tensor, *pulled_once(pulled)]
    x, v = symbol("x", (ROWS, COLUMNS)), symbol("v", (COLUMNS,))
    node = run(Ours, program, x, v)
    outputs = [node, *gradients(node, [x, v])]
    with np.errstate(all="ignore"):
        roads["evaluated"] = [evaluate(o, {x: arrays[0], v: arrays[1]}) for o in outputs]
        roads["lowered"] = lower(outputs, [x, v])(*arrays)
        roads["lowered to torch"] = lower(outputs, [x, v], dialect="torch")(*tensors)

    def both(x, v):
        value, (by_x, by_v) = value_and_grad(lambda x, v: run(Ours, program, x, v), (0, 1))(x, v)
        return value, by_x, by_v

    roads["compiled"] = compile(both, fuse=False)(*arrays)
    for road, results in roads.items():
        close(results[0], expected[0], conditions[0], f"{road}: value")
        all_close(results[1:], expected[1:], conditions[1], f"{road}: gradient")


def pulled_once(pull):
    return pull(torch.ones((), dtype=torch.float64))


@given(PROGRAMS)
@settings(max_examples=150)
def test_forward_reverse_and_second_order_beside_autograd(program):
    check_eagerly(program)


@given(PROGRAMS)
@settings(max_examples=100)
def test_eager_lazy_lowered_and_compiled_agree_on_arrays_and_tensors(program):
    check_roads(program)


ALONE = [[(name, 0)] for name in ONE] + [[(name, 1, 0)] for name in BINARY]


@pytest.mark.parametrize("program", ALONE, ids=lambda program: program[0][0])
def test_each_operation_alone(program):
    check_eagerly(program)
    check_roads(program)


def test_the_programs_meet_every_row_that_has_a_derivative():
    x, v = symbol("x", (ROWS, COLUMNS)), symbol("v", (COLUMNS,))
    nodes = [run(Ours, program, x, v) for program in ALONE]
    met = {n.op for n in topological([o for node in nodes for o in (node, *gradients(node, [x, v]))])}
    differentiable = {name for name, row in table().items() if row.jvp is not None}
    assert differentiable - met - set(ELSEWHERE) == set()
    assert not met & set(ELSEWHERE), "these are met here now"


ELSEWHERE = {
    "cast": "a change of precision, tests/expr/test_ops.py",
    "along_diagonal": "what dense Hessians of matrices are written with, tests/expr/test_jacobian.py",
    "identity": "an argument of an inner derivative: the second orders above are made of it",
    "cofactor_slope": "the second order of det above",
    "scatter_add": "what the passes make of scatter and add",
    "primitive": "tests/expr/test_primitive.py",
    "primitive_jvp": "tests/expr/test_primitive.py",
    "primitive_vjp": "tests/expr/test_primitive.py",
}
"""Rows with a derivative that no program's gradient meets, and what holds them to another source."""
