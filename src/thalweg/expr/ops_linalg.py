"""The rows of the operation table for linear algebra: inverses, systems, triangular factors, determinants.

All take stacks of matrices (leading axes). A singular matrix where the inverse is needed raises an `InputError`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from thalweg.core.errors import InputError
from thalweg.expr import numeric_linalg
from thalweg.expr.namespace import call
from thalweg.expr.node import Node, build
from thalweg.expr.ops_elementwise import Tangents, accumulate
from thalweg.expr.rows import Op, Shape
from thalweg.expr.shapes import show, spread


def swap(x: Any) -> Any:
    """Swap the last two axes, of an array, a tensor or a node."""
    if x.__class__ is not Node:
        return x.swapaxes(-1, -2)
    order = tuple(range(x.ndim))
    return build("transpose", x, params=((*order[:-2], order[-1], order[-2]),))


def symmetric(x: Any) -> Any:
    """Give the symmetric part."""
    return 0.5 * (x + swap(x))


def lift(g: Any) -> Any:
    """Give a number for each matrix the two axes that let it multiply the matrix."""
    return g[..., None, None] if getattr(g, "shape", ()) else g


def total(x: Any, axes: int) -> Any:
    """Sum over the last ``axes`` axes."""
    ndim = len(x.shape)
    return call("sum", x, params=(tuple(range(ndim - axes, ndim)), False))


def square_shape(shape: Shape, *_: Any) -> Shape:
    """Check that an input is a square matrix, or a stack of them."""
    if len(shape) < 2 or shape[-1] != shape[-2]:
        raise InputError(
            f"an array of shape {show(shape)} is not a square matrix or a stack of them",
            "make the last two axes equal" if len(shape) > 1 else "give a matrix",
        )
    return shape


def matrix_shape(shape: Shape, *_: Any) -> Shape:
    """Check that an input is a matrix, or a stack of them."""
    if len(shape) < 2:
        raise InputError(f"an array of shape {show(shape)} is not a matrix or a stack of them", "give a matrix")
    return shape


def _number_shape(shape: Shape, *_: Any) -> Shape:
    return square_shape(shape)[:-2]


def _solve_shape(a: Shape, b: Shape, *_: Any) -> Shape:
    square_shape(a)
    vector = len(b) == 1
    if not b or (vector and len(a) > 2) or a[-1] != b[-1 if vector else -2] or (not vector and a[:-2] != b[:-2]):
        raise InputError(
            f"a matrix of shape {show(a)} and a right-hand side of shape {show(b)} do not fit",
            "give a right-hand side of shape (n,) or (..., n, k) for a matrix of shape (..., n, n)",
        )
    return b


def pair_shape(a: Shape, t: Shape, *_: Any) -> Shape:
    """Check that a direction has the shape of its square matrix."""
    if square_shape(a) != t:
        raise InputError(f"shapes {show(a)} and {show(t)} differ", "make them equal")
    return t


def same_batch(node: Node, inputs: Sequence[Node], batched: Sequence[bool]) -> Node:
    """Batch a row that takes stacks of matrices in every input: inputs without the new axis are repeated along it."""
    size = next(x.shape[0] for x, has in zip(inputs, batched, strict=True) if has)
    aligned = [x if has else spread(x, (size, *x.shape)) for x, has in zip(inputs, batched, strict=True)]
    return build(node.op, *aligned, params=node.params)


def solve_aligned(name: str, a: Any, b: Any, params: tuple[Any, ...] = ()) -> Any:
    """Apply ``solve`` or ``solve_triangular`` to a matrix and a stack of right-hand sides of shape (..., n, k).

    One matrix is factored once: the right-hand sides' leading axes become columns. Else both are stacks already.
    """
    lead = tuple(b.shape[:-2])
    if len(a.shape) > 2 or not lead or any(isinstance(d, str) for d in b.shape):
        if tuple(a.shape[:-2]) != lead:
            a = call("broadcast_to", a, params=((*lead, *a.shape[-2:]),))
        return call(name, a, b, params=params)
    count = len(lead)
    columns = call("transpose", b, params=((count, *range(count), count + 1),))
    width = int(np.prod([*lead, b.shape[-1]], dtype=int))
    solved = call(name, a, call("reshape", columns, params=((b.shape[-2], width),)), params=params)
    spread_out = call("reshape", solved, params=((b.shape[-2], *lead, b.shape[-1]),))
    return call("transpose", spread_out, params=((*range(1, count + 1), 0, count + 1),))


def _solve_batch(node: Node, inputs: Sequence[Node], batched: Sequence[bool]) -> Node:
    (a, b), (many_a, many_b) = inputs, batched
    if node.ndim > 1:
        if many_b and not many_a and a.ndim == 2:
            return solve_aligned(node.op, a, b, node.params)
        return same_batch(node, inputs, batched)
    if not many_a:
        return swap(build(node.op, a, swap(b), params=node.params))
    if not many_b:
        b = spread(b, (a.shape[0], *b.shape))
    column = build("reshape", b, params=((*b.shape, 1),))
    return build("reshape", build(node.op, a, column, params=node.params), params=(b.shape,))


def _outer(u: Any, v: Any) -> Any:
    """Give u v' for vectors, and for matrices whose columns are summed over."""
    return call("einsum", u, v, params=("i,j->ij",)) if len(u.shape) == 1 else u @ swap(v)


def _inv_jvp(node: Node, tangents: Tangents) -> Node | None:
    (t,) = tangents
    return None if t is None else -(node @ t @ node)


def _solve_jvp(node: Node, tangents: Tangents) -> Node | None:
    (a, _), (ta, tb) = node.inputs, tangents
    right = accumulate(tb, None if ta is None else -(ta @ node))
    return None if right is None else build("solve", a, right)


def _solve_vjp(g: Any, i: int, y: Any, a: Any, b: Any) -> Any:
    pulled = call("solve", swap(a), g)
    return pulled if i else -_outer(pulled, y)


def _triangle(x: Any, lower: bool, unit: bool) -> Any:
    """Keep what `solve_triangular` reads of its matrix."""
    return call("tril" if lower else "triu", x, params=((-1 if lower else 1) if unit else 0,))


def _solve_triangular_jvp(node: Node, tangents: Tangents) -> Node | None:
    (a, _), (ta, tb), (lower, transposed, unit) = node.inputs, tangents, node.params
    moved = None
    if ta is not None:
        kept = _triangle(ta, lower, unit)
        moved = -((swap(kept) if transposed else kept) @ node)
    right = accumulate(tb, moved)
    return None if right is None else build("solve_triangular", a, right, params=node.params)


def _solve_triangular_vjp(
    g: Any, i: int, y: Any, a: Any, b: Any, lower: bool, transposed: bool, unit: bool
) -> Any:  # fmt: skip
    pulled = call("solve_triangular", a, g, params=(lower, not transposed, unit))
    if i:
        return pulled
    return -_triangle(_outer(y, pulled) if transposed else _outer(pulled, y), lower, unit)


def _solve_triangular_transpose(cotangent: Node, node: Node, index: int) -> Node:
    lower, transposed, unit = node.params
    return build("solve_triangular", node.inputs[0], cotangent, params=(lower, not transposed, unit))


def _halved(x: Any) -> Any:
    """Keep the lower triangle and half of the diagonal."""
    return 0.5 * (call("tril", x, params=(0,)) + call("tril", x, params=(-1,)))


def _between(factor: Any, middle: Any, transposed: bool) -> Any:
    """Give L^-1 M L^-T, or L^-T M L^-1 if ``transposed``, for a lower triangular L."""
    params = (True, transposed, False)
    left = call("solve_triangular", factor, middle, params=params)
    return swap(call("solve_triangular", factor, swap(left), params=params))


def _cholesky_jvp(node: Node, tangents: Tangents) -> Node | None:
    (t,) = tangents
    return None if t is None else node @ _halved(_between(node, symmetric(t), False))


def _cholesky_vjp(g: Any, i: int, y: Any, a: Any) -> Any:
    return symmetric(_between(y, _halved(swap(y) @ g), True))


def _det_jvp(node: Node, tangents: Tangents) -> Node | None:
    (t,) = tangents
    return None if t is None else total(build("cofactor", node.inputs[0]) * t, 2)


def _cofactor_jvp(node: Node, tangents: Tangents) -> Node | None:
    (t,) = tangents
    return None if t is None else build("cofactor_slope", node.inputs[0], t)


def _cofactor_slope_jvp(node: Node, tangents: Tangents) -> Node | None:
    """Linear in the direction; in the matrix (a third derivative of det) by way of the inverse."""
    from thalweg.expr.differentiate import tangents_of

    (a, t), (ta, tt) = node.inputs, tangents
    result = None if tt is None else build("cofactor_slope", a, tt)
    if ta is None:
        return result
    inverse = swap(build("inv", a))
    slope = lift(build("det", a)) * (lift(total(inverse * t, 2)) * inverse - inverse @ swap(t) @ inverse)
    return accumulate(result, tangents_of([slope], {a: ta})[0])


def _logdet_jvp(node: Node, tangents: Tangents) -> Node | None:
    (t,) = tangents
    return None if t is None else total(swap(build("inv", node.inputs[0])) * t, 2)


def _slogdet_jvp(node: Node, tangents: Tangents) -> Node | None:
    slope = _logdet_jvp(node, tangents)
    if slope is None:
        return None
    at = (*[(None, None, None)] * slope.ndim, 1)
    return build("place", slope, params=(at, node.shape))


def _pinv_shape(shape: Shape, *_: Any) -> Shape:
    matrix_shape(shape)
    return (*shape[:-2], shape[-1], shape[-2])


def _pinv_jvp(node: Node, tangents: Tangents) -> Node | None:
    (a,), (t,) = node.inputs, tangents
    if t is None:
        return None
    left, right = node @ (swap(node) @ swap(t)), (swap(t) @ swap(node)) @ node
    return left - (left @ a) @ node + right - node @ (a @ right) - (node @ t) @ node


def _pinv_vjp(g: Any, i: int, y: Any, a: Any, relative: float | None) -> Any:
    left, right = (swap(g) @ y) @ swap(y), swap(y) @ (y @ swap(g))
    return left - a @ (y @ left) + right - (right @ y) @ a - swap(y) @ g @ swap(y)


def _expm_jvp(node: Node, tangents: Tangents) -> Node | None:
    (t,) = tangents
    return None if t is None else build("expm_frechet", node.inputs[0], t)


def _blocks(upper_left: Any, upper_right: Any, lower_right: Any) -> Any:
    """Give [[upper_left, upper_right], [0, lower_right]]."""
    last = len(upper_left.shape) - 1
    top = call("concatenate", upper_left, upper_right, params=(last,))
    return call("concatenate", top, call("concatenate", 0.0 * lower_right, lower_right, params=(last,)),
                params=(last - 1,))  # fmt: skip


def _expm_frechet_jvp(node: Node, tangents: Tangents) -> Node | None:
    (a, e), (ta, te) = node.inputs, tangents
    result = None if te is None else build("expm_frechet", a, te)
    if ta is None:
        return result
    n = a.shape[-1]
    second = build("expm_frechet", _blocks(a, e, a), _blocks(ta, 0.0 * ta, ta))
    return accumulate(result, second[..., :n, n:])


def _expm_frechet_vjp(g: Any, i: int, y: Any, a: Any, e: Any) -> Any:
    if i:
        return call("expm_frechet", swap(a), g)
    n = a.shape[-1]
    both = call("expm_frechet", swap(_blocks(a, e, a)), _blocks(0.0 * g, g, 0.0 * g))
    return both[..., :n, :n] + both[..., n:, n:]


def matrices(node: Node) -> int:
    """Count the matrices in the stack that a node's first input is."""
    return math.prod([int(d) for d in node.inputs[0].shape[:-2]])


def _columns(node: Node) -> int:
    b = node.inputs[1].shape
    return 1 if len(b) == 1 else int(b[-1])


def cubes(thirds: int) -> Any:
    """Give a count of ``thirds``/3 n^3 a matrix."""
    return lambda node: matrices(node) * thirds * int(node.inputs[0].shape[-1]) ** 3 // 3


def tall(cost: Callable[[int, int], int]) -> Callable[[Any], int]:
    """Make a count from the longer and the shorter side of each matrix."""

    def flops(node: Any) -> int:
        short, long = sorted(int(d) for d in node.inputs[0].shape[-2:])
        return matrices(node) * cost(long, short)

    return flops


JAX = {
    "cofactor": "jnp.vectorize(jax.grad(jnp.linalg.det), signature='(n,n)->(n,n)')({})",
    "cofactor_slope": "jnp.vectorize(lambda a, t: jax.jvp(jax.grad(jnp.linalg.det), (a,), (t,))[1],"
    " signature='(n,n),(n,n)->(n,n)')({0}, {1})",
    "tril": "jnp.tril({}, {})",
    "triu": "jnp.triu({}, {})",
    "inv": "jnp.linalg.inv({})",
    "solve": "jnp.linalg.solve({}, {})",
    "cholesky": "jnp.linalg.cholesky({}, symmetrize_input=False)",
    "det": "jnp.linalg.det({})",
    "logdet": "jnp.where(jnp.linalg.slogdet({0})[0] < 0, jnp.nan, jnp.linalg.slogdet({0})[1])",
    "slogdet": "jnp.stack(jnp.linalg.slogdet({}), axis=-1)",
    "pinv": "jnp.linalg.pinv({}, rtol={})",
    "eigh": "(lambda w, v: jnp.concatenate([w[..., None, :], v], -2))(*jnp.linalg.eigh({}, symmetrize_input=False))",
    "eigvalsh": "jnp.linalg.eigvalsh({}, symmetrize_input=False)",
    "svd": "(lambda u, s, vh: jnp.concatenate([u, s[..., None, :], jnp.matrix_transpose(vh)], -2))("
    "*jnp.linalg.svd({}, full_matrices=False))",
    "svdvals": "jnp.linalg.svd({}, compute_uv=False)",
    "qr": "jnp.concatenate(jnp.linalg.qr({}), -2)",
    "matrix_rank": "jnp.linalg.matrix_rank({}, rtol={})",
}


def in_dialects(row: Op) -> Op:
    """Give a row its torch spelling, the function of the same name for tensors, and JAX's where JAX has one."""
    torch = row.spelling.replace("numeric_linalg.", "numeric_torch_linalg.")
    return replace(row, torch=torch, jax=JAX.get(row.name, ""))


ROWS = [
    Op("tril", np.tril, matrix_shape, lambda n, t: None if t[0] is None else build("tril", t[0], params=n.params),
       lambda c, n, i: build("tril", c, params=n.params), "promote", "numeric_linalg.tril({}, {})",
       vjp=lambda g, i, y, x, k: call("tril", g, params=(k,)), batch=same_batch),
    Op("triu", np.triu, matrix_shape, lambda n, t: None if t[0] is None else build("triu", t[0], params=n.params),
       lambda c, n, i: build("triu", c, params=n.params), "promote", "numeric_linalg.triu({}, {})",
       vjp=lambda g, i, y, x, k: call("triu", g, params=(k,)), batch=same_batch),
    Op("inv", numeric_linalg.inv, square_shape, _inv_jvp, spelling="numeric_linalg.inv({})", batch=same_batch,
       vjp=lambda g, i, y, a: -(swap(y) @ g @ swap(y)), flops=cubes(6)),
    Op("solve", numeric_linalg.solve, _solve_shape, _solve_jvp,
       lambda c, n, i: build("solve", swap(n.inputs[0]), c), spelling="numeric_linalg.solve({}, {})",
       vjp=_solve_vjp, batch=_solve_batch,
       flops=lambda n: cubes(2)(n) + 2 * matrices(n) * int(n.inputs[0].shape[-1]) ** 2 * _columns(n)),
    Op("solve_triangular", numeric_linalg.solve_triangular, _solve_shape, _solve_triangular_jvp,
       _solve_triangular_transpose, spelling="numeric_linalg.solve_triangular({}, {}, {}, {}, {})",
       vjp=_solve_triangular_vjp, batch=_solve_batch,
       flops=lambda n: matrices(n) * int(n.inputs[0].shape[-1]) ** 2 * _columns(n)),
    Op("cholesky", numeric_linalg.cholesky, square_shape, _cholesky_jvp, spelling="numeric_linalg.cholesky({})",
       vjp=_cholesky_vjp, batch=same_batch, flops=cubes(1)),
    Op("det", numeric_linalg.det, _number_shape, _det_jvp, spelling="numeric_linalg.det({})", batch=same_batch,
       vjp=lambda g, i, y, a: lift(g) * call("cofactor", a), flops=cubes(2)),
    Op("cofactor", numeric_linalg.cofactor, square_shape, _cofactor_jvp, spelling="numeric_linalg.cofactor({})",
       vjp=lambda g, i, y, a: call("cofactor_slope", a, g), batch=same_batch, flops=cubes(8)),
    Op("cofactor_slope", numeric_linalg.cofactor_slope, pair_shape, _cofactor_slope_jvp,
       lambda c, n, i: build("cofactor_slope", n.inputs[0], c), spelling="numeric_linalg.cofactor_slope({}, {})",
       batch=same_batch, flops=cubes(90)),
    Op("logdet", numeric_linalg.logdet, _number_shape, _logdet_jvp, spelling="numeric_linalg.logdet({})",
       vjp=lambda g, i, y, a: lift(g) * swap(call("inv", a)), batch=same_batch, flops=cubes(2)),
    Op("slogdet", numeric_linalg.slogdet, lambda s: (*_number_shape(s), 2), _slogdet_jvp,
       spelling="numeric_linalg.slogdet({})", vjp=lambda g, i, y, a: lift(g[..., 1]) * swap(call("inv", a)),
       batch=same_batch, flops=cubes(2)),
    Op("pinv", numeric_linalg.pinv, _pinv_shape, _pinv_jvp, spelling="numeric_linalg.pinv({}, {})", vjp=_pinv_vjp,
       batch=same_batch,
       flops=tall(lambda m, n: 16 * m * n * n + 8 * n**3)),
    Op("expm", numeric_linalg.expm, square_shape, _expm_jvp, spelling="numeric_linalg.expm({})", batch=same_batch,
       vjp=lambda g, i, y, a: call("expm_frechet", swap(a), g), flops=cubes(56)),
    Op("expm_frechet", numeric_linalg.expm_frechet, pair_shape, _expm_frechet_jvp,
       lambda c, n, i: build("expm_frechet", swap(n.inputs[0]), c), spelling="numeric_linalg.expm_frechet({}, {})",
       vjp=_expm_frechet_vjp, batch=same_batch, flops=cubes(448)),
]  # fmt: skip
SYSTEMS = {row.name: in_dialects(row) for row in ROWS}
