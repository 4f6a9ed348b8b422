"""Matrices with known spectra, and for every row of linear algebra inputs at which it is smooth."""

import numpy as np

from thalweg.expr.namespace import call

SPECTRUM = np.array([5.0, 3.5, 2.0, 1.0])


def rotation(n, seed):
    return np.linalg.qr(np.random.default_rng(seed).normal(size=(n, n)))[0]


def matrix(m=4, n=4, seed=0, spectrum=SPECTRUM):
    """A matrix with known, well separated singular values."""
    k = min(m, n)
    return rotation(m, seed)[:, :k] * spectrum[:k] @ rotation(n, seed + 1)[:, :k].T


def symmetric(seed=0, spectrum=SPECTRUM):
    q = rotation(len(spectrum), seed)
    return q * spectrum @ q.T


def normal(*shape, seed=7):
    return np.random.default_rng(seed).normal(size=shape)


def pair(*arrays):
    return np.stack(arrays)


def sym(x):
    return (x + x.swapaxes(-1, -2)) / 2


SQUARE = pair(matrix(seed=0), matrix(seed=2))
POSITIVE = pair(symmetric(0), symmetric(3))
TALL, WIDE = pair(matrix(5, 3, 0), matrix(5, 3, 2)), pair(matrix(3, 5, 0), matrix(3, 5, 2))
RIGHT = normal(2, 4, 3)

# label: (row, its inputs as stacks of two, params, whether its matrix counts as symmetric)
CASES = {
    "tril": ("tril", (SQUARE,), (-1,), False),
    "triu": ("triu", (TALL,), (1,), False),
    "inv": ("inv", (SQUARE,), (), False),
    "solve": ("solve", (SQUARE, RIGHT), (), False),
    **{
        f"solve_triangular {lower:d}{trans:d}{unit:d}": (
            "solve_triangular", (SQUARE / 4 + np.eye(4), RIGHT), (lower, trans, unit), False,
        )
        for lower, trans, unit in ((True, False, False), (False, False, True), (True, True, True), (False, True, False))
    },
    "cholesky": ("cholesky", (POSITIVE,), (), True),
    "det": ("det", (SQUARE,), (), False),
    "cofactor": ("cofactor", (SQUARE,), (), False),
    "cofactor_slope": ("cofactor_slope", (SQUARE, normal(2, 4, 4)), (), False),
    "logdet": ("logdet", (POSITIVE,), (), False),
    "slogdet": ("slogdet", (SQUARE,), (), False),
    "pinv tall": ("pinv", (TALL,), (None,), False),
    "pinv wide": ("pinv", (WIDE,), (1e-15,), False),
    "expm": ("expm", (SQUARE / 4,), (), False),
    "expm_frechet": ("expm_frechet", (SQUARE / 4, normal(2, 4, 4)), (), False),
    "eigh": ("eigh", (POSITIVE,), (), True),
    "eigvalsh": ("eigvalsh", (POSITIVE,), (), True),
    "svd": ("svd", (SQUARE,), (), False),
    "svd tall": ("svd", (TALL,), (), False),
    "svd wide": ("svd", (WIDE,), (), False),
    "svdvals": ("svdvals", (TALL,), (), False),
    "qr": ("qr", (SQUARE,), (), False),
    "qr tall": ("qr", (TALL,), (), False),
    "pair_reciprocal gaps": ("pair_reciprocal", (pair(SPECTRUM, -SPECTRUM),), (-1,), False),
    "pair_reciprocal sums": ("pair_reciprocal", (pair(SPECTRUM, -SPECTRUM),), (1,), False),
    "sure_reciprocal": ("sure_reciprocal", (pair(SPECTRUM, -SPECTRUM),), (), False),
}  # fmt: skip


def apply(label):
    row, _, params, _ = CASES[label]
    return lambda *inputs: call(row, *inputs, params=params)


def directions(label, seed):
    _, inputs, _, is_symmetric = CASES[label]
    drawn = [np.random.default_rng(seed + i).normal(size=x.shape) for i, x in enumerate(inputs)]
    return [sym(d) for d in drawn] if is_symmetric else drawn


def slope(function, inputs, along, step=2e-3):
    """A derivative along a direction by five points."""
    at = [function(*[x + k * step * d for x, d in zip(inputs, along, strict=True)]) for k in (-2, -1, 1, 2)]
    return (at[0] - 8 * at[1] + 8 * at[2] - at[3]) / (12 * step)


def dot(left, right):
    return sum(np.sum(a * b) for a, b in zip(left, right, strict=True))
