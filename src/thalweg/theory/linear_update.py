"""Updates that are linear in their state, per eigenvalue, and what many of them make together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from thalweg.methods.rule import Slots, UpdateRule
from thalweg.methods.rules_momentum import MomentumStep, NagGsStep, PlainStep

#: Rules that are linear in iterate, gradient and the vectors they carry along.
LINEAR_RULES = (PlainStep, MomentumStep, NagGsStep)


@dataclass(frozen=True, eq=False)
class LinearUpdate:
    """z <- A z + c + noise along each of m eigenvalues, with s numbers in z: one update, or many in a row.

    Attributes:
        A: Shape (m, s, s).
        c: Shape (m, s).
        Q: Covariance that independent noise of variance one leaves, shape (m, s, s).
        r: Where noise that is one at every update leads, shape (m, s).

    """

    A: np.ndarray
    c: np.ndarray
    Q: np.ndarray
    r: np.ndarray

    def after(self, first: LinearUpdate) -> LinearUpdate:
        """``first``, then this."""
        turned = self.A.swapaxes(1, 2)
        return LinearUpdate(
            self.A @ first.A,
            applied(self.A, first.c) + self.c,
            self.A @ first.Q @ turned + self.Q,
            applied(self.A, first.r) + self.r,
        )

    @property
    def stable(self) -> bool:
        """Whether the start is forgotten along every eigenvalue."""
        return bool(np.isfinite(self.A).all() and (np.abs(np.linalg.eigvals(self.A)) < 1).all())

    def stationary(self, variances: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean (m, s) and covariance (m, s, s) that the update keeps, of a stable one.

        Args:
            variances: Of the noise along each eigenvalue, shape (m,).

        Source: the discrete Lyapunov equation P = A P A' + Q.
        """
        size = self.A.shape[-1]
        mean = np.linalg.solve(np.eye(size) - self.A, self.c[:, :, None])[:, :, 0]
        product = np.einsum("mij,mkl->mikjl", self.A, self.A).reshape(-1, size * size, size * size)
        noise = (variances[:, None, None] * self.Q).reshape(-1, size * size, 1)
        return mean, np.linalg.solve(np.eye(size * size) - product, noise).reshape(-1, size, size)


def applied(A: np.ndarray, z: np.ndarray) -> np.ndarray:
    """A z along each eigenvalue, shape (m, s)."""
    return (A @ z[:, :, None])[:, :, 0]


def start_of(rule: UpdateRule, x: np.ndarray, averaged: bool) -> np.ndarray:
    """The first state of a rule, shape (m, s): x along each eigenvalue, (m,), what is carried along, an average."""
    return np.stack([x, *_vectors(rule.init(x)).values()] + [x] * averaged, axis=1)


def first_differs(rule: UpdateRule) -> bool:
    """Whether the first update has a map of its own: dampened momentum starts as the whole first gradient."""
    return isinstance(rule, MomentumStep) and rule.momentum > 0 and rule.dampening > 0


def read_off(
    rule: UpdateRule,
    values: np.ndarray,
    centre: np.ndarray,
    step_size: float,
    fraction: float,
    weight: float | None,
    first: bool = False,
) -> LinearUpdate:
    """The update that a linear rule makes on f = sum lambda_i (x_i - centre_i)^2 / 2, from its own code.

    Args:
        rule: One of ``LINEAR_RULES``.
        values: lambda, shape (m,).
        centre: The minimiser along each eigenvector, shape (m,).
        step_size: alpha.
        fraction: Of a whole batch: of its gradient, and of the variance of a sum over it.
        weight: c of the average, mean <- mean + c (x - mean); None without one.
        first: Whether it is the first of all, which matters where ``first_differs``.

    """
    start = rule.init(centre)
    names = list(_vectors(start))
    size, m = 1 + len(names), len(values)
    # One column a unit state, after that of zero, and a last one of unit noise at zero.
    states = np.zeros((size + 2, size, m))
    states[np.arange(1, size + 1), np.arange(size)] = 1.0
    x = states[:, 0]
    gradient = fraction * values * (x - centre)
    gradient[-1] += 1.0
    slots: Slots = start | {name: states[:, k + 1] for k, name in enumerate(names)}
    moved, after = rule.update(x, gradient, slots, step_size, 1 if first else 2)
    out = np.stack([np.asarray(moved), *(after[name] for name in names)], axis=1)
    constant = out[0].T
    columns = out[1:].transpose(2, 1, 0) - constant[:, :, None]
    A, b = columns[:, :, :-1], columns[:, :, -1]
    if weight is not None:
        A, b, constant = _with_average(A, b, constant, weight)
    return LinearUpdate(A, constant, fraction * b[:, :, None] * b[:, None, :], fraction * b)


def _with_average(
    A: np.ndarray, b: np.ndarray, c: np.ndarray, weight: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The same with mean <- mean + weight (x after the update - mean) as the last number of the state."""
    m, size = b.shape
    wider = np.zeros((m, size + 1, size + 1))
    wider[:, :size, :size] = A
    wider[:, size, :size] = weight * A[:, 0]
    wider[:, size, size] = 1 - weight
    return wider, np.column_stack([b, weight * b[:, 0]]), np.column_stack([c, weight * c[:, 0]])


def _vectors(slots: Slots) -> dict[str, Any]:
    """What is carried along for each entry, and not as a number for all."""
    return {name: value for name, value in slots.items() if isinstance(value, np.ndarray)}
