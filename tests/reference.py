"""Objectives written out by hand in plain NumPy, and a plain Newton solver: what the library is compared with."""

import numpy as np
from scipy.special import expit, logsumexp, softmax


def squared(z, y):
    r = z - y
    return r * r / 2, r, np.ones_like(z)


def logistic(z, y):
    p = expit(-y * z)
    return np.logaddexp(0, -y * z), -y * p, p * (1 - p)


def poisson(z, y):
    with np.errstate(over="ignore"):
        e = np.exp(z)
    return e - y * z, e - y, e


def huber(z, y):
    r = z - y
    small = np.abs(r) <= 1
    return np.where(small, r * r / 2, np.abs(r) - 0.5), np.clip(r, -1, 1), small * 1.0


def squared_hinge(z, y):
    m = np.maximum(0, 1 - y * z)
    return m * m, -2 * y * m, 2.0 * (y * z < 1)


SCALAR = {
    "squared": squared,
    "logistic": logistic,
    "poisson": poisson,
    "huber": huber,
    "squared_hinge": squared_hinge,
}
NAMES = (*SCALAR, "softmax")
#: The smallest bound on the second derivative that holds (SPEC E1 with A12); infinite for Poisson.
CURVATURE = {"squared": 1.0, "logistic": 0.25, "softmax": 0.5, "poisson": np.inf, "huber": 1.0, "squared_hinge": 2.0}


def targets(name, z, rng, minority=0.5):
    """Targets in the domain of a loss that have something to do with z (n, k)."""
    if name == "softmax":
        return (z + rng.gumbel(size=z.shape)).argmax(axis=1)
    z = z[:, 0]
    if name in ("logistic", "squared_hinge"):
        noisy = z + rng.logistic(size=len(z))
        return np.where(noisy > np.quantile(noisy, 1 - minority), 1.0, -1.0)
    if name == "poisson":
        return rng.poisson(np.exp(np.clip(0.3 * z, -3, 3))).astype(float)
    return z + rng.standard_t(3, size=len(z))


class Objective:
    """(1/sum s) sum s_i l(x_i'w + b, y_i) + (l2/2) ||w||^2 with parameters (coef.ravel(), intercept)."""

    def __init__(self, name, X, y, l2, weights=None):
        self.name, self.X, self.y, self.l2 = name, np.asarray(X, dtype=float), y, l2
        self.p = np.full(len(y), 1 / len(y)) if weights is None else np.asarray(weights) / np.sum(weights)
        self.k = int(y.max()) + 1 if name == "softmax" else 1
        self.d = X.shape[1]
        self.size = self.k * (self.d + 1)

    def margins(self, x):
        W, b = x[: self.k * self.d].reshape(self.k, self.d), x[self.k * self.d :]
        return self.X @ W.T + b

    def value(self, x):
        z = self.margins(x)
        if self.name == "softmax":
            rows = logsumexp(z, axis=1) - z[np.arange(len(z)), self.y]
        else:
            rows = SCALAR[self.name](z[:, 0], self.y)[0]
        return float(self.p @ rows + self.l2 / 2 * np.square(x[: self.k * self.d]).sum())

    def slope_curvature(self, x):
        z = self.margins(x)
        if self.name == "softmax":
            q = softmax(z, axis=1)
            return q - np.eye(self.k)[self.y], np.einsum("na,ab->nab", q, np.eye(self.k)) - q[:, :, None] * q[:, None]
        _, slope, second = SCALAR[self.name](z[:, 0], self.y)
        return slope[:, None], second[:, None, None]

    def gradient(self, x):
        u = self.p[:, None] * self.slope_curvature(x)[0]
        ridge = np.concatenate([self.l2 * x[: self.k * self.d], np.zeros(self.k)])
        return np.concatenate([(u.T @ self.X).ravel(), u.sum(axis=0)]) + ridge

    def hessian(self, x):
        second = self.p[:, None, None] * self.slope_curvature(x)[1]
        rows = np.hstack([self.X, np.ones((len(self.X), 1))])
        full = np.einsum("nab,ni,nj->aibj", second, rows, rows)
        k, d = self.k, self.d
        order = np.concatenate([np.arange(k * (d + 1)).reshape(k, d + 1)[:, :d].ravel(), np.arange(k) * (d + 1) + d])
        matrix = full.reshape(k * (d + 1), -1)[np.ix_(order, order)]
        matrix[range(k * d), range(k * d)] += self.l2
        return matrix

    def minimise(self, steps=300):
        """Damped Newton with pseudo-inverse and halving, kept simple so that it can be read."""
        x = np.zeros(self.size)
        value = self.value(x)
        for _ in range(steps):
            g = self.gradient(x)
            h = self.hessian(x)
            step = -np.linalg.lstsq(h + 1e-13 * np.trace(h) / len(h) * np.eye(len(h)), g, rcond=None)[0]
            t = 1.0
            while t > 1e-14:
                trial = self.value(x + t * step)
                if trial < value:
                    break
                t /= 2
            else:
                return x, value
            x, value = x + t * step, trial
        return x, value
