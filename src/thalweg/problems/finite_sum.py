"""The finite sum f(w, b) = (1/sum s) sum_i s_i l(x_i'w + b, y_i) + (l2/2) ||w||^2 and its oracles.

A point keeps its margins z = Xw + b, so that a line search costs O(n) a trial and only products with X cost a pass.
Parameters are one vector x: ``coef.ravel()`` (one row of coefficients a class) followed by the intercepts.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np

from thalweg.core.check import checked_number
from thalweg.core.errors import InputError
from thalweg.core.parallel import map_blocks
from thalweg.core.records import Certificate
from thalweg.linalg import Factor, factor
from thalweg.linalg.rows import SINGLE_BLOCK_ELEMENTS, Rows, as_rows, multiply, sum_pieces
from thalweg.problems.certificate import certify
from thalweg.problems.losses import Loss, Target, find_loss
from thalweg.problems.margin_form import MarginForm, gradient_variance, largest_single

#: Margins of a block of elementwise work: a dozen float64 temporaries of this length fit a second-level cache.
MARGIN_BLOCK = 8192


class FiniteSum:
    """A regularised empirical risk over the rows of a table.

    Args:
        X: Rows, shape (n, d): array, SciPy sparse matrix or ``Rows``.
        y: Encoded targets, shape (n,): numbers; -1 and +1 for sign targets; indices 0..k-1 for class targets.
        loss: A name, a Loss row, or a one-line function of (z, y).
        l2: Weight of the ridge penalty, at least 0; 1/n when None.
        sample_weight: Nonnegative weights, shape (n,); all equal when None.
        intercept: Whether each class has a free, unpenalised intercept.
        target: Domain of y for a function ``loss``; see ``Target``.

    Raises:
        InputError: If shapes disagree, a weight or l2 is negative, or a target lies outside the loss's domain.

    """

    def __init__(
        self,
        X: Any,
        y: np.ndarray,
        loss: str | Loss | Callable[[Any, Any], Any],
        l2: float | None = None,
        sample_weight: np.ndarray | None = None,
        intercept: bool = True,
        target: Target | str | None = None,
    ) -> None:
        self.rows: Rows = as_rows(X)
        self.loss = find_loss(loss, target)
        self.n, self.d = self.rows.shape
        if self.n == 0 or self.d == 0:
            raise InputError(f"X has shape {self.rows.shape}", "give at least one row and one column")
        self.y = _checked_targets(np.asarray(y), self.loss, self.n)
        self.l2 = 1.0 / self.n if l2 is None else checked_number("l2", l2, "leave it out for 1/n")
        self.share = _shares(sample_weight, self.n)
        self.intercept = intercept
        self.classes = int(self.y.max()) + 1 if self.loss.target is Target.CLASS else 1
        self.size = self.classes * (self.d + int(intercept))

    def __repr__(self) -> str:
        return f"FiniteSum({self.n} rows x {self.d} features, loss={self.loss.name}, l2={self.l2:.3g})"

    #: A certificate is a proof where one can be had.
    provable = True

    @property
    def convex(self) -> bool | None:
        """Whether the objective is proven convex; None when nothing is known."""
        return self.loss.bounds.convex

    @property
    def constant_curvature(self) -> bool:
        """Whether the Hessian is the same everywhere: the objective is a quadratic."""
        low, high = self.loss.bounds.second
        return self.classes == 1 and bool(low == high)

    @cached_property
    def invariant(self) -> bool:
        """Whether adding one number to all columns of z leaves the loss unchanged (softmax): a null direction."""
        if self.classes == 1:
            return False
        z = np.random.default_rng(0).normal(size=(4, self.classes))
        slope = self.loss.kernel.value_gradient(z, np.arange(4) % self.classes)[1]
        return bool(np.abs(slope.sum(axis=1)).max() <= 1e-12 * np.abs(slope).max())

    @cached_property
    def moments(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Mean, standard deviation and constant-column mask of the features, each (d,)."""
        return self.rows.moments()

    @cached_property
    def margin_blocks(self) -> list[slice]:
        """Row ranges for work on margins alone: their temporaries stay in cache, and blocks run on threads."""
        size = max(1, MARGIN_BLOCK // self.classes)
        return [slice(start, min(start + size, self.n)) for start in range(0, self.n, size)]

    def start(self) -> np.ndarray:
        """The zero vector, where the reported f(0) is taken."""
        return np.zeros(self.size)

    def split(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Coefficients (classes, d) and intercepts (classes,) of a parameter vector; zeros without intercept."""
        coefficients = x[: self.classes * self.d].reshape(self.classes, self.d)
        return coefficients, x[self.classes * self.d :] if self.intercept else np.zeros(self.classes)

    def join(self, coefficients: np.ndarray, intercepts: np.ndarray) -> np.ndarray:
        """The parameter vector of coefficients (classes, d) and intercepts (classes,)."""
        return np.concatenate([coefficients.ravel(), intercepts]) if self.intercept else coefficients.ravel().copy()

    def centred(self, x: np.ndarray) -> np.ndarray:
        """The same model with intercepts that sum to zero, where the loss ignores a common shift."""
        if not (self.invariant and self.intercept):
            return x
        coefficients, intercepts = self.split(x)
        return self.join(coefficients, intercepts - intercepts.mean())

    def at(self, x: np.ndarray) -> FiniteSumPoint:
        """The point at x, shape (size,)."""
        x = np.asarray(x, dtype=np.float64)
        if x.shape != (self.size,):
            raise InputError(
                f"x has shape {x.shape}; the problem has {self.size} parameters", "pass coef.ravel(), intercept"
            )
        return FiniteSumPoint(self, x)

    def part(self, indices: np.ndarray) -> FiniteSum:
        """The sum over some of the examples, with the same penalty and the same variables.

        Args:
            indices: Row indices, shape (B,), at least one.

        """
        weights = None if isinstance(self.share, float) else self.share[indices]
        part = FiniteSum(self.rows.take(indices), self.y[indices], self.loss, self.l2, weights, self.intercept)
        part.classes, part.size = self.classes, self.size  # a class may be missing among the examples
        return part

    def margins(self, x: np.ndarray) -> np.ndarray:
        """Margins z = Xw + b, shape (n,), or (n, classes) for class targets. One pass."""
        coefficients, intercepts = self.split(x)
        if self.loss.target is Target.CLASS:
            return self.rows.matvec(coefficients.T) + intercepts
        return self.rows.matvec(coefficients[0]) + intercepts[0]

    def adjoint(self, u: np.ndarray) -> np.ndarray:
        """The sum of u_i (x_i, 1) laid out like x, for u like the margins. One pass."""
        products = self.rows.rmatvec(u)
        return self.join(np.atleast_2d(products.T), np.atleast_1d(u.sum(axis=0)))

    def weighted(self, u: np.ndarray) -> np.ndarray:
        """Each row of u times its share s_i / sum s."""
        return u * (self.share if u.ndim == 1 or isinstance(self.share, float) else self.share[:, None])

    def mean(self, values: np.ndarray) -> float:
        """The weighted mean of per-row values (n,)."""
        return float(values.mean()) if isinstance(self.share, float) else float(np.dot(self.share, values))

    def ridge(self, x: np.ndarray) -> np.ndarray:
        """The gradient of the penalty: l2 w, and zero for intercepts."""
        coefficients, intercepts = self.split(x)
        return self.join(self.l2 * coefficients, np.zeros_like(intercepts))

    def penalty(self, x: np.ndarray) -> float:
        """(l2/2) ||w||^2."""
        coefficients = x[: self.classes * self.d]
        return 0.5 * self.l2 * float(coefficients @ coefficients)

    @cached_property
    def example_weights(self) -> np.ndarray | None:
        """N s_i / sum s of every row, shape (n,); None where all are 1."""
        return None if isinstance(self.share, float) else self.n * self.share

    @cached_property
    def square_norms(self) -> np.ndarray:
        """||(x_i, 1)||^2 of every row, without the 1 where there is no intercept, shape (n,)."""
        return self.rows.square_norms() + float(self.intercept)

    @cached_property
    def margin_form(self) -> MarginForm:
        """The sum as losses of the margins of its rows."""
        free = float(self.intercept)
        ridge = np.full(self.d, self.l2)
        return MarginForm(self.rows, self.y, self.example_weights, self.loss, None, None, free, ridge, self.classes)

    def recession(self, direction: np.ndarray, noise: float = 1e-12, least: float = 0.0) -> bool:
        """Whether no row's loss rises far out along the direction and at least one falls forever.

        Then a convex objective with l2 = 0 has no minimum along it: the data are separable.

        Args:
            direction: Laid out like x.
            noise: Rows that move by less than this share of the fastest row count as standing still.
            least: Movement of the fastest row, in units of its margin, below which nothing is said.

        """
        along = self.margins(direction)
        size = np.abs(along) if along.ndim == 1 else np.abs(along).max(axis=1)
        largest = size.max()
        moving = (size > noise * largest) & (np.broadcast_to(self.share, size.shape) > 0)
        if not np.isfinite(largest) or largest < least or not moving.any():
            return False
        # By convexity a slope that is not positive far out was never positive before. At 30 an exponential tail is
        # still a normal number, so "falling" and "flat" (a minimum that is reached) are told apart.
        along, y = along[moving], self.y[moving]
        unit = along / (size[moving] if along.ndim == 1 else size[moving, None])
        rates = self.loss.kernel.value_gradient(30.0 * unit, y)[1] * unit
        rate = rates if rates.ndim == 1 else rates.sum(axis=1)
        return bool((rate <= 0).all() and rate.min() < 0)


class FiniteSumPoint:
    """One point of a finite sum with everything computed there, each once."""

    def __init__(self, problem: FiniteSum, x: np.ndarray, margins: np.ndarray | None = None) -> None:
        self.problem = problem
        self.x = x
        self._margins = margins
        self._line: FiniteSumLine | None = None

    @cached_property
    def margins(self) -> np.ndarray:
        """Margins z = Xw + b, shape (n,) or (n, classes)."""
        return self.problem.margins(self.x) if self._margins is None else self._margins

    @cached_property
    def value(self) -> float:
        """The objective."""
        if "_sweep" in self.__dict__:
            return self._sweep[0]
        return self.problem.mean(self.losses) + self.problem.penalty(self.x)

    @cached_property
    def losses(self) -> np.ndarray:
        """The loss of each row, shape (n,)."""
        return self.problem.loss.kernel.value(self.margins, self.problem.y)

    @cached_property
    def _sweep(self) -> tuple[float, np.ndarray, np.ndarray]:
        """Value, per-row slope dl/dz and gradient in one pass: each block's margins, kernel and X'u together."""
        problem = self.problem
        kernel, weighted = problem.loss.kernel, problem.weighted
        blocks = problem.rows.blocks
        if len(blocks) == 1:
            losses, slope = kernel.value_gradient(self.margins, problem.y)
            self.__dict__["losses"] = losses
            gradient = problem.adjoint(weighted(slope)) + problem.ridge(self.x)
            return problem.mean(losses) + problem.penalty(self.x), slope, gradient

        known = self._margins
        coefficients, intercepts = problem.split(self.x)
        many = problem.loss.target is Target.CLASS

        def sweep(rows: slice) -> tuple[np.ndarray, ...]:
            block = problem.rows.block(rows)
            if known is not None:
                z = known[rows]
            else:
                z = multiply(block, coefficients.T) + intercepts if many else block @ coefficients[0] + intercepts[0]
            losses, slope = kernel.value_gradient(z, problem.y[rows])
            share = problem.share if isinstance(problem.share, float) else problem.share[rows]
            u = slope * (share[:, None] if many and not isinstance(share, float) else share)
            return z, losses, slope, block.T @ u, u.sum(axis=0)

        pieces = map_blocks(sweep, blocks)
        margins, losses, slope = (np.concatenate([piece[k] for piece in pieces]) for k in range(3))
        self.__dict__["margins"], self.__dict__["losses"] = margins, losses
        products, totals = (sum_pieces([piece[k] for piece in pieces]) for k in (3, 4))
        gradient = problem.join(np.atleast_2d(products.T), np.atleast_1d(totals)) + problem.ridge(self.x)
        return problem.mean(losses) + problem.penalty(self.x), slope, gradient

    @property
    def gradient(self) -> np.ndarray:
        """The gradient, shape (size,)."""
        return self._sweep[2]

    @property
    def slope(self) -> np.ndarray:
        """dl/dz of each row, like the margins."""
        return self._sweep[1]

    def sample(self, indices: np.ndarray) -> np.ndarray:
        """The mean of the gradients of some examples, shape (size,); unbiased for rows drawn evenly.

        Args:
            indices: Row indices, shape (B,), at least one; an index may come twice.

        """
        problem = self.problem
        coefficients, intercepts = problem.split(self.x)
        block = problem.rows.take(indices).block(slice(0, len(indices)))
        many = problem.loss.target is Target.CLASS
        z = multiply(block, coefficients.T) + intercepts if many else block @ coefficients[0] + intercepts[0]
        slope = problem.loss.kernel.value_gradient(z, problem.y[indices])[1]
        weights = problem.example_weights
        u = slope if weights is None else (slope.T * weights[indices]).T
        total = problem.join(np.atleast_2d((block.T @ u).T), np.atleast_1d(u.sum(axis=0)))
        return total / len(indices) + problem.ridge(self.x)

    def subsampled(self, indices: np.ndarray) -> FiniteSumPoint:
        """The same point of the sum over some of the examples.

        Args:
            indices: Row indices, shape (B,), at least one.

        """
        return self.problem.part(indices).at(self.x)

    @cached_property
    def gradient_variance(self) -> float:
        """sigma^2 = (1/n) sum_i ||g_i - g||^2."""
        return gradient_variance(self, self.problem.square_norms, self.gradient - self.problem.ridge(self.x))

    @property
    def largest_single(self) -> float:
        """L_max, the largest curvature of a single example: everywhere if the loss has a bound, else here."""
        return largest_single(self, self.problem.square_norms, self.problem.l2)

    @cached_property
    def curvature(self) -> Any:
        """What the kernel keeps to apply each row's second derivative in z."""
        kernel, y = self.problem.loss.kernel, self.problem.y
        blocks = self.problem.margin_blocks
        if len(blocks) == 1 or not kernel.elementwise:
            return kernel.curvature(self.margins, y)
        return np.concatenate(map_blocks(lambda rows: kernel.curvature(self.margins[rows], y[rows]), blocks))

    @property
    def mean_curvature(self) -> float:
        """Mean over rows and classes of the second derivative in z."""
        problem = self.problem
        if self.margins.ndim == 1:
            return problem.mean(self.bend(np.ones(problem.n)))
        unit = np.zeros(self.margins.shape)
        unit[:, 0] = 1.0
        return problem.mean(self.bend(unit)[:, 0])

    def bend(self, v: np.ndarray) -> np.ndarray:
        """Each row's second derivative in z times v, for v like the margins."""
        return self.problem.loss.kernel.apply_curvature(self.curvature, v)

    def hvp(self, v: np.ndarray) -> np.ndarray:
        """Hessian times v, shape (size,). Two passes."""
        problem = self.problem
        return problem.adjoint(problem.weighted(self.bend(problem.margins(v)))) + problem.ridge(v)

    @cached_property
    def hessian(self) -> np.ndarray:
        """The Hessian, shape (size, size); see ``assemble`` for losses that ignore a common shift."""
        return assemble(self.problem, self.class_blocks, self.problem.l2 * np.ones(self.problem.d))

    @cached_property
    def class_blocks(self) -> np.ndarray:
        """Second derivatives of the mean loss, one block a pair of classes a <= b.

        Returns:
            Shape (pairs, m, m) with m = d + 1 (d without intercept): sum_i p_i l''_ab(z_i) (x_i, 1)(x_i, 1)'.

        """
        problem, k, d = self.problem, self.problem.classes, self.problem.d
        if self.margins.ndim == 1:
            weights = problem.weighted(self.bend(np.ones(problem.n)))
            grams, weights = problem.rows.gram(weights)[None], weights[:, None]
        else:
            columns = [problem.weighted(self.bend(np.broadcast_to(e, self.margins.shape))) for e in np.eye(k)]
            weights = np.stack([columns[b][:, a] for a, b in class_pairs(k)], axis=1)
            grams = problem.rows.gram(weights)
        if not problem.intercept:
            return grams
        blocks = np.empty((len(grams), d + 1, d + 1))
        blocks[:, :d, :d] = grams
        blocks[:, :d, d] = blocks[:, d, :d] = problem.rows.rmatvec(weights).T
        blocks[:, d, d] = weights.sum(axis=0)
        return blocks

    @property
    def hessian_passes(self) -> float:
        """What forming the Hessian costs, in passes over the data of equal time; never less than the calls it takes.

        The Hessian has d (k + 1) / 2 times the multiplications of a pass. It does them 3 times as fast as a pass from
        cache and 13 times as fast as one from memory (digits: 25 ms against .25; 200k x 100: 83 ms against 12).
        """
        problem = self.problem
        density = problem.rows.stored / (problem.n * problem.d)
        if problem.rows.stored < problem.n * problem.d:
            return max(2.0, 5.0 * density * problem.d)  # sparse: X'DX does each multiplication five times as slowly
        cached = problem.classes > 1 or problem.rows.stored <= SINGLE_BLOCK_ELEMENTS
        return max(2.0, (0.3 if cached else 0.08) * density * problem.d * (problem.classes + 1) / 2)

    @cached_property
    def factored(self) -> Factor | None:
        """A solver with the Hessian that always gives a descent direction; None where that is not finite."""
        return factor(self.hessian) if np.isfinite(self.hessian).all() else None

    def along(self, direction: np.ndarray) -> FiniteSumLine:
        """The objective along a direction; one pass, then O(n) a trial. The last line is kept."""
        if self._line is None or self._line.direction is not direction:
            self._line = FiniteSumLine(self, direction)
        return self._line

    def certificate(
        self,
        direction: np.ndarray | None = None,
        refine: Factor | None = None,
        wanted: float = np.inf,
    ) -> Certificate:
        """A bound on f - f* from the dual point that belongs to a direction; see ``certify``."""
        return certify(self, direction, refine, wanted)


class FiniteSumLine:
    """The objective on the line x + t d, from kept margins: every trial costs O(n)."""

    def __init__(self, point: FiniteSumPoint, direction: np.ndarray) -> None:
        self.start = point
        self.direction = direction
        self.margins = point.problem.margins(direction)
        self.passes = 2.0  # the margins of the direction, and the gradient at the step that is taken
        w, d = (v[: point.problem.classes * point.problem.d] for v in (point.x, direction))
        self._cross, self._square = point.problem.l2 * float(w @ d), point.problem.l2 * float(d @ d)

    @np.errstate(all="ignore")  # a trial may leave the domain; the search looks at what came of it
    def value_slope(self, t: float) -> tuple[float, float]:
        """The objective and its derivative in t."""
        problem, kernel = self.start.problem, self.start.problem.loss.kernel
        margins, share = self.start.margins, problem.share

        def part(rows: slice) -> tuple[float, float]:
            along = self.margins[rows]
            losses, slope = kernel.value_gradient(margins[rows] + t * along, problem.y[rows])
            rates = slope * along
            rates = rates if rates.ndim == 1 else rates.sum(axis=1)
            if isinstance(share, float):
                return share * float(losses.sum()), share * float(rates.sum())
            return float(share[rows] @ losses), float(share[rows] @ rates)

        pieces = map_blocks(part, problem.margin_blocks)
        value, rate = (math.fsum(column) for column in zip(*pieces, strict=True))
        penalty = problem.penalty(self.start.x) + t * self._cross + 0.5 * t * t * self._square
        return value + penalty, rate + self._cross + t * self._square

    def at(self, t: float) -> FiniteSumPoint:
        """The point at t, with its margins."""
        margins = self.start.margins + t * self.margins
        return FiniteSumPoint(self.start.problem, self.start.x + t * self.direction, margins)


def class_pairs(classes: int) -> list[tuple[int, int]]:
    """Pairs a <= b, in the order of Hessian blocks."""
    return [(a, b) for a in range(classes) for b in range(a, classes)]


def assemble(problem: FiniteSum, blocks: np.ndarray, ridge: np.ndarray) -> np.ndarray:
    """The Hessian in the layout of x from its class blocks.

    For a loss that ignores a common shift of the columns of z, the directions shared by all classes carry only the
    penalty (nothing, for intercepts). The mean diagonal block is added on them: gradients are orthogonal to them, so
    Newton's direction is the same and the matrix is positive definite.

    Args:
        problem: The finite sum.
        blocks: Shape (pairs, m, m), features first and the intercept last.
        ridge: The penalty's second derivative for each feature, shape (features,).

    """
    k, m, d = problem.classes, blocks.shape[1], len(ridge)
    pairs = class_pairs(k)
    matrix = np.empty((k * m, k * m))
    shared = sum(blocks[i] for i, (a, b) in enumerate(pairs) if a == b) / k**2 if problem.invariant else 0.0
    for block, (a, b) in zip(blocks, pairs, strict=True):
        full = block + shared
        if a == b:
            full[range(d), range(d)] += ridge
        for i, j, part in ((a, b, full), (b, a, full.T)):
            matrix[i * d : (i + 1) * d, j * d : (j + 1) * d] = part[:d, :d]
            if m > d:
                matrix[i * d : (i + 1) * d, k * d + j] = part[:d, d]
                matrix[k * d + i, j * d : (j + 1) * d] = part[d, :d]
                matrix[k * d + i, k * d + j] = part[d, d]
    return matrix


def _checked_targets(y: np.ndarray, loss: Loss, n: int) -> np.ndarray:
    if y.shape != (n,):
        raise InputError(f"y has shape {y.shape}; X has {n} rows", f"pass y of shape ({n},)")
    if y.dtype.kind not in "fiub":
        raise InputError(f"y has dtype {y.dtype}; expected numbers", "fit encodes labels: use thalweg.fit(X, y)")
    allowed = {
        Target.REAL: (np.isfinite(y), "a finite number"),
        Target.COUNT: (np.isfinite(y) & (y >= 0), "a finite number >= 0"),
        Target.SIGN: (np.abs(y) == 1, "-1 or +1"),
        Target.CLASS: (np.isfinite(y) & (y >= 0) & (y == np.floor(y)), "a class index 0, 1, ..."),
    }
    inside, expected = allowed[loss.target]
    if not inside.all():
        row = int(np.argmin(inside))
        raise InputError(
            f"y in row {row + 1} is {y[row]}, outside the targets of loss={loss.name!r}: expected {expected}",
            "correct the target or choose another loss",
        )
    return y.astype(np.intp if loss.target is Target.CLASS else np.float64, copy=False)


def _shares(weights: np.ndarray | None, n: int) -> float | np.ndarray:
    """s_i / sum s: one number when all are equal."""
    if weights is None:
        return 1.0 / n
    weights = np.asarray(weights, dtype=np.float64)
    if weights.shape != (n,):
        raise InputError(f"sample_weight has shape {weights.shape}; X has {n} rows", f"pass shape ({n},)")
    bad = ~(np.isfinite(weights) & (weights >= 0))
    if bad.any():
        row = int(np.argmax(bad))
        raise InputError(
            f"sample_weight in row {row + 1} is {weights[row]}; expected a finite number >= 0", "correct it"
        )
    total = weights.sum()
    if total == 0:
        raise InputError("sample_weight is zero in every row", "give at least one row a positive weight")
    return weights / total
