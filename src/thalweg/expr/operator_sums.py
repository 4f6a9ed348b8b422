"""Sums of structured operators, and the cheapest way that each sum has of solving a linear system."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import numpy as np

from thalweg.core.errors import InputError
from thalweg.expr.operator_iterations import LARGEST_FACTORED, by_conjugate_gradients
from thalweg.expr.operators import (
    Blocks,
    Dense,
    Diagonal,
    Kronecker,
    Product,
    Products,
    StructuredOperator,
    factored,
    factored_general,
)

RANK_SHARE = 0.5
"""A low-rank part is eliminated by Woodbury's formula up to this share of the size; beyond, Cholesky takes less."""


def combined(parts: Sequence[StructuredOperator], argument_shape: tuple[int, ...]) -> StructuredOperator:
    """Add operators on the same argument, keeping as much structure as the sum has.

    Args:
        parts: Summands; none stands for 0.
        argument_shape: The shape of what they multiply.

    Returns:
        One of the summands' kinds where the sum has it, else a `Sum`.

    """
    if len(parts) == 1:
        return parts[0]
    if not parts:
        return Diagonal(np.zeros(()), argument_shape)
    merged = [*_diagonals(parts, argument_shape), *_matrices(parts, argument_shape), *_blocks(parts)]
    merged += [p for p in parts if isinstance(p, (Product, Kronecker, Products))]
    merged = _shifted(merged)
    return merged[0] if len(merged) == 1 else Sum(merged)


def _diagonals(parts: Sequence[StructuredOperator], shape: tuple[int, ...]) -> list[StructuredOperator]:
    found = [p.entries for p in parts if isinstance(p, Diagonal)]
    return [Diagonal(functools.reduce(np.add, found), shape)] if found else []


def _matrices(parts: Sequence[StructuredOperator], shape: tuple[int, ...]) -> list[StructuredOperator]:
    found = [p.matrix for p in parts if isinstance(p, Dense)]
    return [Dense(functools.reduce(np.add, found), shape)] if found else []


def _blocks(parts: Sequence[StructuredOperator]) -> list[StructuredOperator]:
    found: dict[tuple[int, ...], Blocks] = {}
    for p in parts:
        if isinstance(p, Blocks):
            known = found.get((*p.axes, len(p.blocks)))
            found[(*p.axes, len(p.blocks))] = (
                p if known is None else Blocks(known.blocks + p.blocks, p.axes, p.argument_shape)
            )
    return list(found.values())


def _shifted(parts: list[StructuredOperator]) -> list[StructuredOperator]:
    """Put a diagonal into the one operator beside it that can take it: a matrix, blocks, I (x) A or A (x) I."""
    diagonal = [p for p in parts if isinstance(p, Diagonal)]
    others = [p for p in parts if not isinstance(p, Diagonal)]
    if len(diagonal) != 1:
        return parts
    (d,) = diagonal
    for i, p in enumerate(others):
        taken: StructuredOperator | None = None
        if isinstance(p, Dense):
            matrix = p.matrix + np.zeros((), dtype=d.dtype)
            matrix[np.diag_indices(p.size)] += d.diagonal()
            taken = Dense(matrix, p.argument_shape)
        elif isinstance(p, Blocks):
            count, n = p.blocks.shape[:2]
            blocks = p.blocks + np.zeros((), dtype=d.dtype)
            blocks[:, np.arange(n), np.arange(n)] += p._apart(d.diagonal()[:, None]).reshape(count, n)
            taken = Blocks(blocks, p.axes, p.argument_shape)
        elif isinstance(p, Kronecker) and d.number:
            taken = _shifted_kronecker(p, d)
        if taken is not None:
            return [*others[:i], taken, *others[i + 1 :]]
    return parts


def _shifted_kronecker(p: Kronecker, d: Diagonal) -> Kronecker | None:
    """Write I (x) A + d I as I (x) (A + d I)."""
    wide = [i for i, q in enumerate(p.parts) if not (isinstance(q, Diagonal) and q.number)]
    if len(wide) != 1:
        return None
    (i,) = wide
    scale = np.prod([q.entries.reshape(-1)[0] for j, q in enumerate(p.parts) if j != i and isinstance(q, Diagonal)])
    if scale == 0:
        return None
    inner = p.parts[i]
    added = combined([inner, Diagonal(d.entries.reshape(()) / scale, inner.argument_shape)], inner.argument_shape)
    return Kronecker([*p.parts[:i], added, *p.parts[i + 1 :]], p.argument_shape)


class Sum(StructuredOperator):
    """A sum of structured operators.

    Args:
        parts: At least two summands on the same argument.

    """

    def __init__(self, parts: Sequence[StructuredOperator]) -> None:
        super().__init__(parts[0].argument_shape, np.result_type(*[p.dtype for p in parts]))
        self.parts = tuple(parts)

    @property
    def structure(self) -> str:
        """The structure in a few words."""
        return " + ".join(p.structure for p in self.parts)

    @property
    def solver(self) -> str:
        """How `solve` works, in a few words."""
        return self._way[0]

    def _times(self, v: np.ndarray) -> np.ndarray:
        return functools.reduce(np.add, [p._times(v) for p in self.parts])

    def dense(self) -> np.ndarray:
        """Give the matrix, shape (entries, entries)."""
        return functools.reduce(np.add, [p.dense() for p in self.parts])

    def diagonal(self) -> np.ndarray:
        """Give the diagonal, shape (entries,)."""
        return functools.reduce(np.add, [p.diagonal() for p in self.parts])

    @property
    def _way(self) -> tuple[str, Callable[[], Callable[[np.ndarray], np.ndarray]]]:
        """Choose how to solve: words, and what makes the solution function."""
        low = [p for p in self.parts if isinstance(p, Product)]
        rest = [p for p in self.parts if not isinstance(p, Product)]
        rank = sum(p.rank for p in low)
        if low and len(rest) == 1 and rank <= RANK_SHARE * self.size and _quick(rest[0]):
            return (
                f"Woodbury's formula: {rest[0].solver}, and a system of {rank}",
                lambda: _woodbury(rest[0], low, self),
            )
        pair = self._kronecker_and_shift()
        if pair is not None:
            return "the eigenvectors of the Kronecker factors", lambda: _by_eigenvectors(*pair, self.structure)
        if self.size <= LARGEST_FACTORED:
            return "dense Cholesky", lambda: factored(self.dense(), self.structure)
        return "conjugate gradients, with the diagonal", lambda: by_conjugate_gradients(self, self.diagonal())

    def _kronecker_and_shift(self) -> tuple[Kronecker, float] | None:
        kinds = {type(p): p for p in self.parts}
        kronecker, shift = kinds.get(Kronecker), kinds.get(Diagonal)
        if len(self.parts) != 2 or not isinstance(kronecker, Kronecker) or not isinstance(shift, Diagonal):
            return None
        if not shift.number or len(kronecker.parts) != 2:
            return None
        for part in kronecker.parts:
            matrix = part.dense()
            if not np.allclose(matrix, matrix.T, rtol=1e-12, atol=1e-14 * np.abs(matrix).max(initial=0.0)):
                return None
        return kronecker, float(shift.entries.reshape(-1)[0])

    @functools.cached_property
    def _factored(self) -> Callable[[np.ndarray], np.ndarray]:
        return self._way[1]()


def _quick(part: StructuredOperator) -> bool:
    """Say whether an operator solves without being formed."""
    if isinstance(part, Diagonal):
        return bool(np.all(np.abs(part.entries) > 0))
    return isinstance(part, Blocks) or isinstance(part, Kronecker) and all(
        not isinstance(p, Product) and (not isinstance(p, Diagonal) or _quick(p)) for p in part.parts
    )  # fmt: skip


def _woodbury(base: StructuredOperator, low: Sequence[Product], whole: Sum) -> Callable[[np.ndarray], np.ndarray]:
    """Solve (B + U V') x = b as B^-1 (b - U (I + V' B^-1 U)^-1 V' B^-1 b), refined once."""
    left = np.concatenate([p.left.T for p in low], axis=1)
    right = np.concatenate([p.weights[:, None] * p.right for p in low])
    try:
        solved = base._inverse_times(left)
    except InputError:  # a singular base may have a regular sum
        return factored(whole.dense(), whole.structure)
    coupling = right @ solved
    # Its condition is measured against the sizes of what was added: 1 - 1 must count as singular.
    inner = factored_general(np.eye(len(coupling), dtype=coupling.dtype) + coupling, whole.structure,
                             1.0 + float(np.abs(coupling).sum(axis=0).max()))  # fmt: skip

    def once(b: np.ndarray) -> np.ndarray:
        direct = base._inverse_times(b)
        return direct - solved @ inner(right @ direct)

    def solve(b: np.ndarray) -> np.ndarray:
        x = once(b)
        return x + once(b - whole._times(x))

    return solve


def _by_eigenvectors(product: Kronecker, shift: float, what: str) -> Callable[[np.ndarray], np.ndarray]:
    """Solve (A (x) B + shift I) x = b for symmetric A and B, in their eigenvectors."""
    (a, b) = product.parts
    (p, left), (q, right) = np.linalg.eigh(a.dense()), np.linalg.eigh(b.dense())
    values = p[:, None] * q[None, :] + shift
    size = np.abs(values).max(initial=0.0)
    if not np.abs(values).min(initial=np.inf) > np.finfo(values.dtype).eps * size:
        raise InputError(f"solve with a singular Hessian ({what})", "add a multiple of the squared norm")

    def solve(columns: np.ndarray) -> np.ndarray:
        k = columns.shape[1]
        laid = columns.reshape(len(p), len(q), k)
        turned = np.einsum("im,ijk,jn->mnk", left, laid, right, optimize=True) / values[:, :, None]
        return np.einsum("im,mnk,jn->ijk", left, turned, right, optimize=True).reshape(-1, k)

    return solve
