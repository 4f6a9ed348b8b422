"""Problems with known constants, minima and minimisers, written out in NumPy, on which bounds are put to the test."""

import math
from dataclasses import dataclass, replace
from functools import cache, cached_property

import numpy as np
from scipy.special import expit

from thalweg.core.random import generator
from thalweg.linalg import factor
from thalweg.problems import FiniteSum


class Point:
    """What methods ask of a place; each answer is computed once."""

    def __init__(self, problem, x):
        self.problem, self.x = problem, x

    @cached_property
    def value(self):
        return self.problem.value(self.x)

    @cached_property
    def gradient(self):
        return self.problem.gradient(self.x)

    @cached_property
    def factored(self):
        return factor(self.problem.hessian(self.x))

    #: A Hessian costs nothing here, so that Newton's method takes a new one at every step.
    hessian_passes = 0.0


@dataclass(frozen=True, eq=False)
class Rows:
    """The rows of a sum f(w) = (1/n) sum loss(x_i'w, y_i) + (l2/2) ||w||^2; each row carries the penalty."""

    X: np.ndarray
    y: np.ndarray
    slope: object
    curvature: float
    loss: str
    l2: float = 0.0

    @property
    def sum(self):
        """The same as the library has it."""
        return FiniteSum(self.X, self.y, self.loss, self.l2, intercept=False)

    @property
    def L_max(self):
        return self.curvature * float((self.X**2).sum(axis=1).max()) + self.l2

    def batch(self, W, indices):
        """Means of the gradients of rows `indices` (R, B) at W (R, d)."""
        X = self.X[indices]
        slope = self.slope(np.einsum("rbd,rd->rb", X, W), self.y[indices])
        return np.einsum("rb,rbd->rd", slope, X) / indices.shape[1] + self.l2 * W

    def variance(self, W):
        """(1/n) sum ||g_i - g||^2 at W (R, d): (R,); the penalty is the same for all rows."""
        slope = self.slope(W @ self.X.T, self.y)
        mean = slope @ self.X / len(self.y)
        return slope**2 @ (self.X**2).sum(axis=1) / len(self.y) - (mean**2).sum(axis=1)


@dataclass(frozen=True, eq=False)
class Problem:
    """An objective with its constants: L, mu (strong convexity or PL), f*, a minimiser, and a start.

    Quadratics, sums over rows and `wavy` take points (d,) or (runs, d). `rounding` is the size of the numbers whose
    difference f - f* is.
    """

    value: object
    gradient: object
    hessian: object
    L: float
    mu: float
    x0: np.ndarray
    minimum: float = 0.0
    minimiser: np.ndarray | None = None
    M: float = np.nan
    rows: "Rows | None" = None

    def at(self, x):
        return Point(self, x)

    @property
    def gap(self):
        return self.value(self.x0) - self.minimum

    @property
    def distance(self):
        return float(np.linalg.norm(self.x0 - self.minimiser))

    @property
    def rounding(self):
        return abs(self.minimum) + abs(self.value(self.x0))


# --- Quadratics -----------------------------------------------------------------------------------------------------


def spectrum(kind, kappa, size, L=4.0):
    """Eigenvalues between L/kappa and L, both ends included."""
    if kind == "uniform":
        return np.linspace(L / kappa, L, size)
    if kind == "geometric":
        return np.geomspace(L / kappa, L, size)
    # Two clusters, each a tenth of its own centre wide.
    half = size // 2
    return np.concatenate([L / kappa * np.linspace(1, 1.1, half), L * np.linspace(0.9, 1, size - half)])


def start(kind, h):
    """Where to start from, as the error along each eigenvector."""
    if kind == "even":  # every direction carries the same share of f - f*
        return np.sqrt(2 / (h * len(h)))
    if kind == "top":
        return np.eye(len(h))[np.argmax(h)]
    return generator(7).normal(size=len(h))


@cache
def quadratic(kind, kappa, begin="even", size=40):
    """(1/2) sum h_i x_i^2: rotations leave every method here unchanged, so that a diagonal says it all."""
    h = spectrum(kind, kappa, size)
    return Problem(
        value=lambda x: 0.5 * (x * x) @ h,
        gradient=lambda x: h * x,
        hessian=lambda x: np.diag(h),
        L=float(h.max()),
        mu=float(h.min()),
        x0=start(begin, h),
        minimiser=np.zeros(len(h)),
        M=0.0,
    )


# --- Sums over rows -------------------------------------------------------------------------------------------------


@cache
def least_squares(rows, features, rank, noise=0.3):
    """||Xw - y||^2/2n: PL with the smallest eigenvalue that is not 0; below full rank not strongly convex."""
    rng = generator(rows + 31 * features + rank)
    X = rng.normal(size=(rows, rank)) @ np.linalg.qr(rng.normal(size=(features, rank)))[0].T
    y = X @ rng.normal(size=features) + noise * rng.normal(size=rows)
    h = np.linalg.eigvalsh(X.T @ X / rows)[-rank:]
    best = np.linalg.lstsq(X, y, rcond=1e-12)[0]
    return Problem(
        value=lambda w: 0.5 * np.mean((w @ X.T - y) ** 2, axis=-1),
        gradient=lambda w: (w @ X.T - y) @ X / rows,
        hessian=lambda w: X.T @ X / rows,
        L=float(h[-1]),
        mu=float(h[0]),
        x0=np.zeros(features),
        minimum=0.5 * float(np.mean((X @ best - y) ** 2)),
        minimiser=best,
        rows=Rows(X, y, lambda z, y: z - y, 1.0, "squared"),
    )


@cache
def lonely_row(rows):
    """(1/2n) w^2 from one row among n - 1 empty ones: L_max = n mu, where variance reduction has least to go by."""
    X = np.zeros((rows, 1))
    X[0] = 1.0
    return Problem(
        value=lambda w: 0.5 * (w * w).sum(axis=-1) / rows,
        gradient=lambda w: w / rows,
        hessian=lambda w: np.eye(1) / rows,
        L=1 / rows,
        mu=1 / rows,
        x0=np.ones(1),
        minimiser=np.zeros(1),
        rows=Rows(X, np.zeros(rows), lambda z, y: z - y, 1.0, "squared"),
    )


@cache
def kinked_rows(rows, share=0.2, kink=0.04):
    """Two parabolas along (c, s) and (c, -s), c^2 = `share`, among rows |w_2|, rounded off below `kink`: L_max = 1.

    From w_2 = 0 the parabolas differ in w_2 alone, where the mean is almost linear: there the noise of an anchor raises
    f twice as much as on a quadratic.
    """
    X = np.zeros((rows, 2))
    X[:, 1] = 1.0
    X[0] = math.sqrt(share), math.sqrt(1 - share)
    X[1] = X[0] * [1, -1]
    ends = np.full(rows, kink)
    ends[:2] = np.inf

    def value(w):
        z = np.abs(w @ X.T)
        return np.where(z <= ends, z * z / 2, kink * (z - kink / 2)).mean(axis=-1)

    return Problem(
        value=value,
        gradient=lambda w: np.clip(w @ X.T, -ends, ends) @ X / rows,
        hessian=None,
        L=1.0,
        mu=2 * share / rows,
        x0=np.array([1.0, 0.0]),
        minimiser=np.zeros(2),
        rows=Rows(X, ends, lambda z, ends: np.clip(z, -ends, ends), 1.0, "none"),
    )


@cache
def logistic(rows, features, l2):
    """The mean of log(1 + exp(-y x'w)) with a ridge, minimised by Newton's method."""
    rng = generator(rows + features)
    X = rng.normal(size=(rows, features)) * np.geomspace(1, 0.2, features)
    y = np.sign(X @ rng.normal(size=features) + 0.5 * rng.logistic(size=rows))

    def gradient(w):
        return -(y * expit(-y * (w @ X.T))) @ X / rows + l2 * w

    def hessian(w):
        p = expit(X @ w)
        return (X.T * (p * (1 - p))) @ X / rows + l2 * np.eye(features)

    best = np.zeros(features)
    for _ in range(30):
        best = best - np.linalg.solve(hessian(best), gradient(best))
    top = float(np.linalg.eigvalsh(X.T @ X / rows)[-1])

    def value(w):
        return np.mean(np.logaddexp(0, -y * (w @ X.T)), axis=-1) + l2 / 2 * (w * w).sum(axis=-1)

    # |l'''| <= 1/(6 sqrt 3), so that the Hessian changes by at most that times max ||x_i|| times top.
    M = top * float(np.linalg.norm(X, axis=1).max()) / (6 * np.sqrt(3))
    rows_ = Rows(X, y, lambda z, y: -y * expit(-y * z), 0.25, "logistic", l2)
    return Problem(value, gradient, hessian, top / 4 + l2, l2, np.zeros(features), value(best), best, M, rows_)


@cache
def softplus_sum(rows, features, l2):
    """The mean of softplus(a'x) + softplus(-a'x) with a ridge: curvature is largest, and L attained, at x* = 0."""
    A = generator(rows).normal(size=(rows, features)) * np.geomspace(1, 0.3, features)
    h, basis = np.linalg.eigh(A.T @ A / rows / 2)

    def value(x):
        z = A @ x
        # 2 log 2 is taken off inside the sum, where nothing cancels: it equals log cosh^2(z/2).
        return float(np.mean(2 * np.log1p(2 * np.sinh(z / 4) ** 2)) + l2 / 2 * (x @ x))

    return Problem(
        value=value,
        gradient=lambda x: A.T @ np.tanh(A @ x / 2) / rows + l2 * x,
        hessian=lambda x: (A.T * (0.5 / np.cosh(A @ x / 2) ** 2)) @ A / rows + l2 * np.eye(features),
        L=float(h[-1]) + l2,
        mu=l2,
        x0=basis @ np.linspace(0.2, 1.0, features),
        minimiser=np.zeros(features),
    )


# --- Functions that are not convex ----------------------------------------------------------------------------------


@cache
def wavy(x0=2.5):
    """x^2 + 3 sin^2 x: PL with mu = 1/32, L = 8, not convex (Karimi, Nutini and Schmidt, 2016, section 2.2)."""
    return Problem(
        value=lambda x: (x**2 + 3 * np.sin(x) ** 2).sum(axis=-1),
        gradient=lambda x: 2 * x + 3 * np.sin(2 * x),
        hessian=lambda x: np.array([[2 + 6 * np.cos(2 * x[0])]]),
        L=8.0,
        mu=1 / 32,
        x0=np.array([x0]),
        minimiser=np.zeros(1),
    )


@cache
def cosines(size):
    """Sum h_i (1 - cos x_i): L = max h, met at every minimum; saddles and maxima between them."""
    h = np.geomspace(0.1, 1, size)
    return Problem(
        value=lambda x: float(h @ (2 * np.sin(x / 2) ** 2)),
        gradient=lambda x: h * np.sin(x),
        hessian=lambda x: np.diag(h * np.cos(x)),
        L=1.0,
        mu=0.0,
        x0=np.linspace(0.5, 3.0, size)[::-1].copy(),
        minimiser=np.zeros(size),
    )


@cache
def robust_regression(rows, features):
    """The mean of r^2/(1 + r^2), r = x'w - y with y = Xw*: curvature of a row is at most 2, met at r = 0."""
    rng = generator(rows)
    X = rng.normal(size=(rows, features))
    best = rng.normal(size=features)
    top = float(np.linalg.eigvalsh(X.T @ X / rows)[-1])

    def gradient(w):
        r = X @ (w - best)
        return X.T @ (2 * r / (1 + r * r) ** 2) / rows

    return Problem(
        value=lambda w: float(np.mean((X @ (w - best)) ** 2 / (1 + (X @ (w - best)) ** 2))),
        gradient=gradient,
        hessian=None,
        L=2 * top,
        mu=0.0,
        x0=best + 0.3 * rng.normal(size=features),
        minimiser=best,
    )


@cache
def cubic(mu, M, x0):
    """mu x^2/2 - M |x|^3/6 in each direction: Newton's method meets its local bound with equality."""
    x0 = np.atleast_1d(np.asarray(x0, dtype=float))
    return Problem(
        value=lambda x: float(np.sum(mu * x**2 / 2 - M * np.abs(x) ** 3 / 6)),
        gradient=lambda x: mu * x - M * x * np.abs(x) / 2,
        hessian=lambda x: np.diag(mu - M * np.abs(x)),
        L=mu,
        mu=mu,
        x0=x0,
        minimiser=np.zeros(len(x0)),
        M=M,
    )


def near(problem, inside):
    """The same, started at this share of the radius of Newton's quadratic convergence."""
    mu = float(np.linalg.eigvalsh(problem.hessian(problem.minimiser))[0])
    away = np.ones(len(problem.x0)) / np.sqrt(len(problem.x0))
    return replace(problem, x0=problem.minimiser + inside * 2 * mu / (3 * problem.M) * away)
