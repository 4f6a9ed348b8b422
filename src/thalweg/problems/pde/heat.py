"""The heat equation u_t = u_xx (+ u_yy) as the gradient flow of the Dirichlet energy.

Gradient descent on the energy, in the metric of the mass, is the explicit Euler method: stable if and only if the
time step is at most 2/L. Answers in closed form: convolution with the fundamental solution, and Duhamel's integral.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from thalweg.core.errors import InputError
from thalweg.problems.pde.field import positive_time, values_of, whole
from thalweg.problems.pde.mesh import Mesh, checked_inside, checked_mesh
from thalweg.problems.quadratic import Quadratic

#: Relative difference of two rules that counts as resolved; rounding of the sums leaves 1e-14.
RESOLVED = 1e-9
#: Where the kernel is cut, in units of 2 sqrt(t): exp(-156) of it is left for starts that grow.
FARTHEST = 12.5
MOST_NODES, MOST_TIMES = 100_000, 1000


class Heat:
    """Heat in a domain whose boundary is kept at zero, in variables v = sqrt(mass) u.

    Args:
        mesh: Of the square or the disk.
        start: Initial temperature as a function of (x, y).

    Attributes:
        quadratic: v' M^-1/2 K M^-1/2 v / 2; gradient descent with step alpha on it is explicit Euler with time step
            alpha, and its start is the initial temperature.

    """

    def __init__(self, mesh: Mesh, start: Callable[[np.ndarray, np.ndarray], Any]) -> None:
        from scipy.sparse import diags

        self.mesh = checked_mesh(mesh)
        inside = mesh.interior
        self.root = np.sqrt(mesh.mass[inside])
        scaled = diags(1 / self.root) @ mesh.stiffness[inside][:, inside] @ diags(1 / self.root)
        points = mesh.points[inside]
        u = values_of("start", start, points[:, 0], points[:, 1])
        self.quadratic = Quadratic(scaled.tocsr(), x0=self.root * u, minimiser=np.zeros(len(inside)), name="heat")

    def __repr__(self) -> str:
        return f"Heat({self.quadratic.size} points inside, h = {self.mesh.width:.3g})"

    def problem(self) -> Quadratic:
        """The energy, for ``tw.solve``."""
        return self.quadratic

    def temperature(self, v: np.ndarray) -> np.ndarray:
        """u at all points of the mesh, shape (p,), from the variables of the energy."""
        whole = np.zeros(len(self.mesh.points))
        whole[self.mesh.interior] = checked_inside(self.mesh, v) / self.root
        return whole


def fundamental(x: Any, t: float, dimension: int = 1) -> np.ndarray:
    """The fundamental solution (4 pi t)^(-d/2) exp(-|x|^2 / 4t).

    Args:
        x: Points: shape (...) in one dimension, else (..., d).
        t: Time, positive.
        dimension: d.

    Raises:
        InputError: t is not positive, or points have another dimension.

    Source: Evans, Partial Differential Equations (2010), section 2.3.1.
    """
    t = positive_time(t, ": at t = 0 it is a point mass")
    whole("dimension", dimension, 1)
    given = np.asarray(x)
    if given.dtype.kind not in "fiu" or dimension > 1 and given.shape[-1:] != (dimension,):
        raise InputError(f"x={x!r:.60}, shape {given.shape}", f"give points of dimension {dimension}")
    x = given.astype(np.float64)
    square = x**2 if dimension == 1 else np.square(x).sum(axis=-1)
    return np.asarray((4 * math.pi * t) ** (-dimension / 2) * np.exp(-square / (4 * t)))


def on_the_line(start: Callable[[np.ndarray], Any], where: Any, t: float, nodes: int = 1000) -> np.ndarray:
    """u(x, t) of the heat equation on the whole line: the start convolved with the fundamental solution.

    Args:
        start: Initial temperature of x, smooth at the scale of sqrt(t) and growing slower than exp(x^2 / 4t).
        where: Shape (m,).
        t: Time, positive.
        nodes: Of the trapezoidal rule, whose error falls exponentially against a kernel and a start that are smooth.
            A start of width w takes about 70 sqrt(t) / w of them.

    Raises:
        InputError: t is not positive, start gives no finite numbers, or the rule does not resolve it: one of three
            quarters as many nodes, on less of the line, gives something else.

    Source: Trefethen & Weideman, SIAM Review 56 (2014) 385-458, section 5, for the rule.
    """
    where, t = _on_a_line(where), positive_time(t)
    reach = min(math.sqrt(2 * whole("nodes", nodes, 4, MOST_NODES)), FARTHEST)
    fine, scale = _convolved(start, where, t, nodes, reach)
    # Of the other parity: a jump may lie between the same nodes of two rules that both have none in the middle.
    fewer = 3 * nodes // 4 // 2 * 2 + (nodes + 1) % 2
    coarse, _ = _convolved(start, where, t, fewer, math.sqrt(0.75) * reach)
    if not np.all(np.abs(fine - coarse) <= RESOLVED * scale):
        raise InputError(
            f"start is not resolved by {nodes} nodes: {fewer} give something else",
            "give more nodes, a start that is smooth at the scale of sqrt(t), or one that grows slower",
        )
    return fine


def _convolved(
    start: Callable[[np.ndarray], Any], where: np.ndarray, t: float, nodes: int, reach: float
) -> tuple[np.ndarray, Any]:
    """The rule's answer and the size of what it sums, each in the shape of ``where``."""
    z, spacing = np.linspace(-reach, reach, nodes, retstep=True)
    values = values_of("start", start, where[..., None] + 2 * math.sqrt(t) * z)
    weights = spacing / math.sqrt(math.pi) * np.exp(-(z**2))
    return np.asarray(values @ weights), np.abs(values) @ weights


def _on_a_line(where: Any) -> np.ndarray:
    points = np.asarray(where)
    if points.dtype.kind not in "fiu" or not np.isfinite(points).all():
        raise InputError(f"where={where!r:.60}", "give finite numbers")
    return points.astype(np.float64)


def forced_on_the_line(
    source: Callable[[np.ndarray, float], Any], where: Any, t: float, times: int = 40, nodes: int = 1000
) -> np.ndarray:
    """u_t = u_xx + f(x, t) from zero: Duhamel's integral of solutions started from f at every earlier time.

    Args:
        source: f of (x, t).
        where: Shape (m,).
        t: Time, positive.
        times: Gauss-Legendre nodes in time.
        nodes: As for ``on_the_line``.

    Raises:
        InputError: As for ``on_the_line``.

    Source: Evans (2010), section 2.3.1 (c).
    """
    where, t = _on_a_line(where), positive_time(t)
    points, weights = np.polynomial.legendre.leggauss(whole("times", times, 1, MOST_TIMES))
    earlier, weights = 0.5 * t * (points + 1), 0.5 * t * weights
    total = np.zeros(np.shape(where))
    for s, weight in zip(earlier, weights, strict=True):
        total = total + weight * on_the_line(lambda x, s=s: source(x, float(s)), where, t - float(s), nodes)  # type: ignore[misc]
    return total
