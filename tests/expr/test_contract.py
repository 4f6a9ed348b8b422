"""The order of contractions: fewer operations, the same numbers, what is shared stays shared."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from thalweg import expr
from thalweg.expr import evaluate, symbol
from thalweg.expr.contract import explain_order, reorder
from thalweg.expr.cost import cost
from thalweg.expr.node import build
from thalweg.expr.sums import join_products
from thalweg.expr.walk import topological
from tolerances import summation

X, D, V = symbol("X", ("n", 5)), symbol("d", ("n",)), symbol("v", (5,))
SQUARES = [symbol(f"A{i}", (5, 5)) for i in range(4)]


def values(nodes, seed=0, n=7):
    rng = np.random.default_rng(seed)
    leaves = [x for x in topological(nodes) if x.op == "symbol"]
    return {x: rng.normal(size=[n if isinstance(s, str) else s for s in x.shape]) for x in leaves}


def same(before, after, terms=1000):
    given_values = values([before])
    truth = evaluate(before, given_values)
    size = evaluate(before, {x: np.abs(v) for x, v in given_values.items()})
    assert after.shape == before.shape
    assert np.max(np.abs(evaluate(after, given_values) - truth)) <= summation(terms) * np.max(np.abs(size))


def ops(node):
    return [x.op for x in topological([node]) if x.inputs and x.op not in ("reshape", "transpose")]


def test_a_chain_is_evaluated_from_the_vectors_side():
    chain = SQUARES[0] @ SQUARES[1] @ SQUARES[2] @ SQUARES[3] @ V
    (better,) = reorder([chain])
    same(chain, better)
    assert all(x.ndim == 1 for x in topological([better]) if x.inputs)
    # By hand: three products of matrices and one with the vector, against four with vectors.
    assert cost(chain).flops == 3 * 2 * 5**3 + 2 * 5**2
    assert cost(better).flops == 4 * 2 * 5**2
    report = explain_order(chain)
    assert report.saved == 3 * 2 * 5**3 - 3 * 2 * 5**2
    assert "600 saved" in str(report)


def test_a_rectangular_chain_takes_the_best_of_the_textbook():
    # Cormen, Leiserson, Rivest, Stein, section 15.2: 15,125 multiplications for these six matrices.
    sizes = [30, 35, 15, 5, 10, 20, 25]
    chain = symbol("M0", (30, 35))
    for i in range(1, 6):
        chain = chain @ symbol(f"M{i}", (sizes[i], sizes[i + 1]))
    (better,) = reorder([chain])
    assert cost(better).flops == 2 * 15125


@pytest.mark.parametrize(
    "written",
    [
        expr.einsum("ki,k,kj->ij", X, D, X),
        X.T @ (build("eye", params=("n",)) * D) @ X,
        expr.einsum("ki,kl,lj->ij", X, expr.broadcast_to(D[:, None], ("n", "n")) * build("eye", params=("n",)), X),
    ],
)
def test_a_diagonal_between_two_matrices_scales_the_rows(written):
    (better,) = reorder([written])
    same(written, better)
    assert ops(better) == ["mul", "einsum"]
    assert cost(better, {"n": 300}).flops == 300 * 5 + 2 * 300 * 25


@pytest.mark.parametrize(
    "written",
    [
        2.0 * expr.sum(X * D[:, None], axis=0) / 4.0, -expr.sum(X * D[:, None], axis=0, keepdims=True),
        expr.sum(D[:, None] * V), expr.einsum("nd,d->n", X, expr.broadcast_to(expr.constant(3.0), (5,))),
        expr.sum(expr.broadcast_to(D[:, None], ("n", 5)) * 2.0, axis=1), expr.einsum("ij,kl->", X, SQUARES[0]),
        expr.mean(X @ SQUARES[0] @ SQUARES[1]), expr.trace_of(SQUARES[0] @ SQUARES[1] @ SQUARES[2]),
        expr.einsum("ii,ij,jk->k", *SQUARES[:3]), expr.einsum("i,j,k->", V, V, D),
        expr.sum(D)[None] * (X @ V), expr.einsum("ij,jk->ik", SQUARES[0], build("eye", params=(5,))) @ V,
        expr.sum(build("eye", params=(5,)) * (SQUARES[0] @ SQUARES[1])), build("eye", params=(5,)) * V * 2.0,
        (SQUARES[0] @ symbol("s", (1, 5)).T) @ symbol("s", (1, 5)),
    ],
)  # fmt: skip
def test_values_costs_and_rest(written):
    (better,) = reorder([written])
    same(written, better)
    before, after = cost(written, {"n": 50}), cost(better, {"n": 50})
    assert after.flops <= before.flops
    (again,) = reorder([better])
    assert again is better


def test_what_is_shared_is_computed_once():
    shared = SQUARES[0] @ SQUARES[1]
    outputs = [shared @ V, expr.exp(shared)]
    better = reorder(outputs)
    assert all(a is b for a, b in zip(outputs, better, strict=True))
    assert cost(better).flops == 2 * 125 + 25 + 2 * 25


def test_no_larger_array_than_before():
    # u (v'w) must not become (u v') w, and a row of outer products must not be formed.
    u, w = symbol("u", (400,)), symbol("w", (400,))
    outer = expr.einsum("i,j,j->i", u, w, w)
    (better,) = reorder([outer])
    assert cost(better).largest <= 400 * 8
    same(outer, better)


FACTORS = st.lists(st.sampled_from(["ij", "jk", "kl", "i", "j", "k", "il", "ji", "kk", "l", "ijk"]), min_size=2,
                   max_size=5)  # fmt: skip


@given(FACTORS, st.data())
def test_random_products(terms, data):
    sizes = {"i": 2, "j": 3, "k": 4, "l": "n"}
    letters = sorted(set("".join(terms)))
    out = "".join(data.draw(st.permutations(letters))[: data.draw(st.integers(0, len(letters)))])
    operands = [symbol(f"x{i}", [sizes[c] for c in term]) for i, term in enumerate(terms)]
    nested = operands[0]
    kept = terms[0]
    for x, term in zip(operands[1:], terms[1:], strict=True):  # two at a time, as written
        both = "".join(dict.fromkeys(kept + term))
        nested, kept = expr.einsum(f"{kept},{term}->{both}", nested, x), both
    nested = expr.einsum(f"{kept}->{out}", 2.0 * nested)
    flat = 2.0 * expr.einsum(",".join(terms) + "->" + out, *operands)
    for written in (nested, flat):
        (better,) = reorder([written])
        same(written, better)
        assert cost(better, {"n": 1000}).flops <= cost(written, {"n": 1000}).flops
        assert cost(better, {"n": 1000}).largest <= max(
            cost(written, {"n": 1000}).largest, 8 * max(np.prod([1000 if s == "n" else s for s in x.shape])
                                                        for x in operands)
        )  # fmt: skip
        assert reorder([better])[0] is better


def steps(count, subscripts, shape_a, shape_b):
    return [(symbol(f"a{t}", shape_a), symbol(f"b{t}", shape_b), subscripts) for t in range(count)]


def test_updates_of_low_rank_become_one_product():
    total = symbol("start", (20, 30))
    for t, (a, b, subscripts) in enumerate(steps(5, "bi,bj->ij", (2, 20), (2, 30))):
        update = expr.einsum(subscripts, expr.tanh(a), b)
        total = total + update if t != 1 else update + total
    (better,) = join_products([total])
    same(total, better)
    assert ops(better).count("einsum") == 1
    (product,) = [x for x in topological([better]) if x.op == "einsum"]
    assert [x.shape for x in product.inputs] == [(10, 20), (10, 30)]
    assert join_products([better])[0] is better


def test_outer_products_and_signs():
    total = None
    for t, (a, b, subscripts) in enumerate(steps(8, "i,j->ij", (20,), (30,))):
        update = expr.einsum(subscripts, a, b)
        total = update if total is None else total - update if t % 2 else total + update
    (better,) = join_products([total])
    same(total, better)
    assert ops(better).count("einsum") == 2


def test_products_used_elsewhere_or_too_large_are_left_alone():
    parts = [expr.einsum(s, a, b) for a, b, s in steps(4, "ki,kj->ij", (4, 20), (4, 20))]
    outputs = [parts[0] + parts[1] + parts[2] + parts[3], parts[0] * 2.0, parts[1] * 2.0]
    assert join_products(outputs)[0] is outputs[0]  # two are left, too few
    long = [expr.einsum(s, a, b) for a, b, s in steps(4, "ki,kj->ij", (400, 3), (400, 3))]
    total = long[0] + long[1] + long[2] + long[3]
    assert join_products([total])[0] is total  # the copies would cost more than they save
    named = [expr.einsum(s, a, b) for a, b, s in steps(4, "ki,kj->ij", ("n", 30), ("n", 30))]
    total = named[0] + named[1] + named[2] + named[3]
    assert join_products([total])[0] is total  # axes of unknown size cannot be laid end to end
