"""What stochastic methods ask of a finite sum: its rows and how they make margins, and how much its examples differ.

An example is a row with everything that belongs to it: f = (1/n) sum_i f_i, f_i = n s_i/(sum s) loss_i + penalty.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from thalweg.linalg.rows import DenseRows, Rows, SparseRows
from thalweg.problems.losses import Loss, Target

if TYPE_CHECKING:
    from thalweg.problems.finite_sum import FiniteSumPoint


@dataclass(frozen=True, eq=False)
class MarginForm:
    """A sum of losses of margins z_i = sum_j (A_ij - shift_j) scale_j x_j + offset x_d, with a diagonal penalty.

    For class targets z_i is one margin a class, each with its own row of parameters x.

    Attributes:
        rows: A, shape (n, d).
        y: Targets, shape (n,).
        weights: n s_i / sum s, shape (n,); None where all are 1.
        loss: Of a margin, or of one a class.
        shift: Shape (d,); None for zero.
        scale: Shape (d,); None for one. Zero for a column that has no parameter.
        offset: What the last parameter is multiplied with; 0 where there is no intercept.
        ridge: Second derivative of the penalty for each column, shape (d,); the intercept has none.
        classes: Rows of parameters; 1 for losses of one margin.

    """

    rows: Rows
    y: np.ndarray
    weights: np.ndarray | None
    loss: Loss
    shift: np.ndarray | None
    scale: np.ndarray | None
    offset: float
    ridge: np.ndarray
    classes: int = 1

    @property
    def several(self) -> bool:
        """Whether the loss takes one margin a class, be it one class alone."""
        return self.loss.target is Target.CLASS

    @cached_property
    def kept(self) -> np.ndarray:
        """Mask of the entries, one a column and the intercept's, that are parameters."""
        columns = np.ones(self.rows.shape[1], bool) if self.scale is None else self.scale != 0
        return np.append(columns, self.offset != 0)

    @cached_property
    def arrays(self) -> tuple[np.ndarray, ...] | None:
        """The rows one after the other in memory: (A,) or, sparse, (data, indices, indptr); None for others.

        A matrix that is stored column by column is copied once: reading its rows would take a cache line a number.
        """
        if isinstance(self.rows, DenseRows):
            return (np.ascontiguousarray(self.rows.array),)
        if isinstance(self.rows, SparseRows):
            return (self.rows.matrix.data, self.rows.matrix.indices, self.rows.matrix.indptr)
        return None

    def widen(self, x: np.ndarray) -> np.ndarray:
        """Parameters with zeros for what has none: shape (classes, d + 1), a copy; the intercepts come last."""
        wide = np.zeros((self.classes, self.rows.shape[1] + 1))
        columns = self.kept[:-1]
        count = self.classes * int(columns.sum())
        wide[:, :-1][:, columns] = x[:count].reshape(self.classes, -1)
        wide[:, -1] = x[count:] if self.kept[-1] else 0.0
        return wide

    def narrow(self, wide: np.ndarray) -> np.ndarray:
        """The parameters, a copy."""
        coefficients = wide[:, :-1][:, self.kept[:-1]].ravel()
        return np.concatenate([coefficients, wide[:, -1]]) if self.kept[-1] else coefficients


def gradient_variance(point: FiniteSumPoint, norms: np.ndarray, mean: np.ndarray) -> float:
    """sigma^2 = (1/n) sum_i ||g_i - g||^2, exactly; the penalty is in every g_i and drops out.

    With u_i the slope of row i in its margins, g_i = n p_i u_i (x_i, 1), so that ||g_i||^2 takes no product with X.

    Args:
        point: Where.
        norms: ||(x_i, 1)||^2 of every row in the variables in question, shape (n,).
        mean: The gradient of the loss alone in these variables.

    """
    slope, weights = point.slope, point.problem.example_weights
    squares = np.square(slope) if slope.ndim == 1 else np.square(slope).sum(axis=1)
    if weights is not None:
        squares = squares * np.square(weights)
    return max(float((squares * norms).mean()) - float(mean @ mean), 0.0)


def largest_single(point: FiniteSumPoint, norms: np.ndarray, ridge: float) -> float:
    """L_max: the largest curvature of a single example; everywhere if the loss has a bound, else at this point.

    Args:
        point: Where the curvature is looked at, for losses without a bound.
        norms: As in ``gradient_variance``.
        ridge: The largest second derivative of the penalty.

    """
    problem, bound = point.problem, point.problem.loss.bounds.smoothness
    bends: np.ndarray | float = bound
    if not np.isfinite(bound):
        z = point.margins
        columns = [np.ones(z.shape)] if z.ndim == 1 else [np.broadcast_to(e, z.shape) for e in np.eye(z.shape[1])]
        # The trace of a row's second derivative is at least its largest eigenvalue, for a convex loss.
        bends = sum((np.abs(point.bend(v) * v).reshape(problem.n, -1).sum(axis=1) for v in columns), np.zeros(1))
    weights = problem.example_weights
    return float((bends * norms * (1.0 if weights is None else weights)).max()) + ridge
