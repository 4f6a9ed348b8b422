"""Counted operations and bytes beside counts by hand."""

import pytest

from thalweg import expr
from thalweg.core.errors import InputError
from thalweg.expr import gradient, hvp, simplify, symbol
from thalweg.expr.cost import cost

X, Y, W, V = symbol("X", ("n", "d")), symbol("y", ("n",)), symbol("w", ("d",)), symbol("v", ("d",))
N, D = 2000, 100
SIZES = {"n": N, "d": D}
LOSS = expr.sum(expr.softplus(-Y * (X @ W)))


def by_op(node, dimensions=SIZES):
    return {x.op: x for x in cost(node, dimensions).by_op}


def test_a_matrix_product_is_twice_the_multiplications():
    a, b = symbol("a", (3, 4)), symbol("b", (4, 5))
    counted = cost(a @ b)
    assert counted.flops == 2 * 3 * 4 * 5
    assert counted.bytes == 8 * (12 + 20 + 15)
    assert counted.largest == 8 * 15
    assert cost(a @ b, itemsize=4).bytes == 4 * 47


def test_the_gradient_of_a_logistic_loss():
    slope = simplify(gradient(LOSS, W))
    found = by_op(slope)
    assert found["einsum"].flops == 2 * 2 * N * D  # X w, and X' r
    assert found["einsum"].bytes == 8 * 2 * (N * D + N + D)
    # y z, its sign, the sigmoid and times y, for each of the rows; then the sign of the sum.
    assert cost(slope, SIZES).flops == 4 * N * D + 4 * N + D


def test_the_product_with_a_hessian_takes_three_products():
    assert by_op(simplify(hvp(LOSS, W, V)))["einsum"].flops == 3 * 2 * N * D


def test_shared_nodes_count_once_and_views_cost_nothing():
    shared = expr.exp(X)
    assert cost([shared + 1.0, shared.T], SIZES).flops == 2 * N * D
    assert cost(shared.T, SIZES).bytes == cost(shared, SIZES).bytes == 8 * 2 * N * D
    spread = expr.broadcast_to(Y[:, None], ("n", "d"))
    assert cost(expr.exp(X + spread), SIZES).bytes == 8 * ((N * D + N + N * D) + 2 * N * D)


def test_reductions_and_their_relatives():
    assert cost(expr.sum(X, axis=0), SIZES).flops == N * D
    assert cost(expr.max(X, axis=1), SIZES).flops == N * D
    assert cost(expr.logsumexp(X), SIZES).flops == 4 * N * D
    assert cost(expr.einsum("ij->j", X), SIZES).flops == N * D
    assert cost(expr.einsum("ij->ji", X), SIZES).flops == 0
    # An index that one operand alone carries is summed first: n d additions, then d products and sums.
    assert cost(expr.einsum("ij,j->", X, W), SIZES).flops == N * D + 2 * D
    assert cost(expr.einsum("i,ij,j->", Y, X, W), SIZES).flops == 2 * N * D + 2 * min(N, D)


def test_truth_values_take_a_byte():
    assert cost(Y > 0, SIZES).bytes == 9 * N


def test_it_prints_a_table_by_operation():
    lines = str(cost(simplify(gradient(LOSS, W)), SIZES)).splitlines()
    assert lines[0].split() == ["operation", "count", "flops", "bytes"]
    assert lines[1].split()[:3] == ["einsum", "2", f"{4 * N * D:,}"]
    assert lines[-1].split()[0] == "total"
    assert len({len(line) for line in lines}) == 1


def test_a_dimension_without_a_size_is_named():
    with pytest.raises(InputError, match=r"'d'.*not given") as raised:
        cost(X @ W, {"n": 5})
    assert "dimensions=" in raised.value.remedy
