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
from thalweg.problems.pde.mesh import Mesh
from thalweg.problems.quadratic import Quadratic


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

        self.mesh = mesh
        inside = mesh.interior
        self.root = np.sqrt(mesh.mass[inside])
        scaled = diags(1 / self.root) @ mesh.stiffness[inside][:, inside] @ diags(1 / self.root)
        points = mesh.points[inside]
        u = np.broadcast_to(np.asarray(start(points[:, 0], points[:, 1]), dtype=np.float64), (len(inside),))
        if not np.isfinite(u).all():
            raise InputError("start gives values that are not finite", "return finite temperatures")
        self.quadratic = Quadratic(scaled.tocsr(), x0=self.root * u, minimiser=np.zeros(len(inside)), name="heat")

    def problem(self) -> Quadratic:
        """The energy, for ``tw.solve``."""
        return self.quadratic

    def temperature(self, v: np.ndarray) -> np.ndarray:
        """u at all points of the mesh, shape (p,), from the variables of the energy."""
        whole = np.zeros(len(self.mesh.points))
        whole[self.mesh.interior] = v / self.root
        return whole


def fundamental(x: Any, t: float, dimension: int = 1) -> np.ndarray:
    """The fundamental solution (4 pi t)^(-d/2) exp(-|x|^2 / 4t).

    Args:
        x: Points: shape (...) in one dimension, else (..., d).
        t: Time, positive.
        dimension: d.

    Source: Evans, Partial Differential Equations (2010), section 2.3.1.
    """
    if not t > 0:
        raise InputError(f"t={t!r}", "give a positive time: at t = 0 it is a point mass")
    x = np.asarray(x, dtype=float)
    square = x**2 if dimension == 1 else np.square(x).sum(axis=-1)
    return np.asarray((4 * math.pi * t) ** (-dimension / 2) * np.exp(-square / (4 * t)))


def on_the_line(start: Callable[[np.ndarray], Any], where: Any, t: float, nodes: int = 80) -> np.ndarray:
    """u(x, t) of the heat equation on the whole line: the start convolved with the fundamental solution.

    Args:
        start: Initial temperature of x, growing slower than exp(x^2).
        where: Shape (m,).
        t: Time, positive.
        nodes: Of Gauss-Hermite's rule, which knows the kernel exactly.

    """
    if not t > 0:
        raise InputError(f"t={t!r}", "give a positive time")
    z, weights = np.polynomial.hermite.hermgauss(nodes)
    spread = np.asarray(where, dtype=float)[..., None] + 2 * math.sqrt(t) * z
    return np.asarray(np.asarray(start(spread)) @ weights / math.sqrt(math.pi))


def forced_on_the_line(
    source: Callable[[np.ndarray, float], Any], where: Any, t: float, times: int = 40, nodes: int = 80
) -> np.ndarray:
    """u_t = u_xx + f(x, t) from zero: Duhamel's integral of solutions started from f at every earlier time.

    Args:
        source: f of (x, t).
        where: Shape (m,).
        t: Time, positive.
        times: Gauss-Legendre nodes in time.
        nodes: Gauss-Hermite nodes in space.

    Source: Evans (2010), section 2.3.1 (c).
    """
    points, weights = np.polynomial.legendre.leggauss(times)
    earlier, weights = 0.5 * t * (points + 1), 0.5 * t * weights
    total = np.zeros(np.shape(where))
    for s, weight in zip(earlier, weights, strict=True):
        total = total + weight * on_the_line(lambda x, s=s: source(x, float(s)), where, t - float(s), nodes)  # type: ignore[misc]
    return total
