"""How far off a mean of leave-one-out estimates is.

The traces of Epperly, Tropp & Webber, SIAM J. Matrix Anal. Appl. 45 (2024) 1-23, are means of l estimates of equal law.
The i-th takes a trace exactly on what all probes but the i-th capture, and adds what the i-th says about the rest, so
that each probe serves both ends. The paper's error estimate, the scatter of the l estimates, takes them for
independent. They are not: where l probes capture nearly all there is, it comes out 3 times too small and more. What
follows counts the dependence, from quantities that cost no further products.
"""

from __future__ import annotations

import math

import numpy as np

from thalweg.linalg.trace import chance_of_missing, square_and_rank


def uniform_forms(vectors: np.ndarray, images: np.ndarray, dimension: int) -> tuple[np.ndarray, np.ndarray]:
    """What forms u'Bu of directions u that are uniform in a subspace estimate, and the variance of that.

    Scaled to ||u||^2 = dimension, u'Bu has the trace of B for its mean, and the variance 2 d/(d + 2) (||B||_F^2 -
    tr(B)^2/d), which is twice the mean square of Bu - (u'Bu/d) u, the part of Bu across u: a moment of fourth order of
    u, exact for all d.

    Args:
        vectors: Directions, of any length, shape (size, l).
        images: B times each, within the subspace, shape (size, l).
        dimension: Of the subspace, d.

    Returns:
        The forms, shape (l,), and the parts of Bu across u, shape (l, size).

    """
    scale = math.sqrt(dimension) / np.linalg.norm(vectors, axis=0)
    vectors, images = vectors * scale, images * scale
    forms = np.einsum("ij,ij->j", vectors, images)
    return forms, (images - vectors * (forms / dimension)).T


def error_of_mean(across: np.ndarray, changes: np.ndarray) -> float:
    """The standard error of a mean of l leave-one-out estimates t_i.

    Var(t_i) is twice the mean square of `across`. The covariance of t_i and t_j is that of their changes,
    E[(t_i - t_i^j)(t_j - t_j^i)], where t_i^j leaves probe j out as well: t_i^j does not depend on probe j and t_j has
    no bias whatever the other probes are, so that E[(t_i^j - tr)(t_j - tr)] = 0, and likewise for the other cross
    terms. One standard error of that sum, by the jackknife over probes, is added to it; a negative sum is taken for 0.
    The result is bounded by what l estimates that move as one could do, which is also what bounds it where the changes
    are far larger than the estimates' own error, at a gap in the spectrum.

    Args:
        across: From `uniform_forms`, shape (l, size), l >= 2.
        changes: t_i - t_i^j in row i and column j, shape (l, l); the diagonal is ignored.

    """
    count, size = across.shape
    scale = float(np.abs(across).max())
    if scale == 0.0:
        return 0.0
    square, rank = square_and_rank(across / scale)
    # Whatever is beyond this is beyond the bound, squared or not; nothing overflows.
    largest = 1e3 * size * math.sqrt(count)
    changes = np.clip(changes / scale, -largest, largest)
    pairs = changes * changes.T
    np.fill_diagonal(pairs, 0.0)
    sums = pairs.sum(axis=1)
    uncertainty = 2 * math.sqrt(count / (count - 1)) * float(np.linalg.norm(sums - sums.mean()))
    variance = 2 * square / count + (max(float(sums.sum()), 0.0) + uncertainty) / count**2
    rank = min(rank, size)
    alone, as_one = (
        math.sqrt(variance) * chance_of_missing(rank * count),
        math.sqrt(2 * square) * chance_of_missing(rank),
    )
    return scale * min(alone, as_one)
