"""Poisson's equation -(u_xx + u_yy) = f with u = g on the boundary, as the minimum of the Dirichlet energy.

E(u) = integral of |grad u|^2 / 2 - f u over functions that are linear on triangles and g on the boundary: a quadratic
in the values inside. Its condition number grows like h^-2, which makes it a standing ill-conditioned test.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from thalweg.core.errors import InputError
from thalweg.problems.pde.field import in_the_disk, values_of
from thalweg.problems.pde.mesh import Mesh, checked_inside, checked_mesh
from thalweg.problems.quadratic import Quadratic

EPS = float(np.finfo(np.float64).eps)
#: Least distance from the rim at which Poisson's integral is computed: it takes 36 nodes over that distance.
NEAREST = 1e-4
Field = Callable[[np.ndarray, np.ndarray], Any]


class Poisson:
    """A boundary value problem on a mesh.

    Args:
        mesh: Of the square or the disk.
        source: f as a function of (x, y) on arrays; zero when None (Laplace's equation).
        boundary: g as a function of (x, y); zero when None.

    Attributes:
        mesh: As given.
        quadratic: E in the values at interior points, a problem for ``tw.solve``.

    Raises:
        InputError: A function gives values of another shape, or not finite.

    Example:
        >>> from thalweg.problems.pde import square
        >>> problem = Poisson(square(8), source=lambda x, y: 1.0 + 0 * x)
        >>> problem.quadratic.size
        49

    """

    def __init__(self, mesh: Mesh, source: Field | None = None, boundary: Field | None = None) -> None:
        self.mesh = checked_mesh(mesh)
        inside, outside = mesh.interior, np.flatnonzero(mesh.boundary)
        self.edge = _values("boundary", boundary, mesh.points[outside])
        self.source = _values("source", source, mesh.points[inside])
        stiffness = mesh.stiffness
        load = mesh.mass[inside] * self.source - stiffness[inside][:, outside] @ self.edge
        constant = 0.5 * float(self.edge @ (stiffness[outside][:, outside] @ self.edge))
        self.quadratic = Quadratic(stiffness[inside][:, inside], load, constant, name="dirichlet energy")

    def __repr__(self) -> str:
        return f"Poisson({self.quadratic.size} points inside, h = {self.mesh.width:.3g})"

    def problem(self) -> Quadratic:
        """The energy, for ``tw.solve``."""
        return self.quadratic

    def values(self, inside: np.ndarray) -> np.ndarray:
        """u at all points of the mesh, shape (p,), from its values inside."""
        whole = np.empty(len(self.mesh.points))
        whole[self.mesh.interior] = checked_inside(self.mesh, inside)
        whole[self.mesh.boundary] = self.edge
        return whole


def _values(name: str, function: Field | None, points: np.ndarray) -> np.ndarray:
    if function is None:
        return np.zeros(len(points))
    return values_of(name, function, points[:, 0], points[:, 1])


# --- Answers in closed form -------------------------------------------------------------------------------------------


def stencil_eigenvalues(cells: int) -> np.ndarray:
    """Eigenvalues of the square's stiffness: 4 sin^2(i pi h/2) + 4 sin^2(j pi h/2) with h = 1/cells, ascending.

    Args:
        cells: As for ``square``.

    Returns:
        Shape ((cells - 1)^2,). Source: LeVeque, Finite Difference Methods (2007), section 3.4.

    """
    half = 4 * np.sin(np.arange(1, cells) * np.pi / (2 * cells)) ** 2
    return np.sort((half[:, None] + half).ravel())


def green_on_disk(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Green's function of the unit disk, (1/2 pi) log(|x| |y - x/|x|^2| / |x - y|): -Laplace G(., y) = delta_y.

    Args:
        x: Points of the disk, shape (..., 2).
        y: Points of the disk, shape (..., 2), other than x.

    Returns:
        Shape (...); infinite where x = y.

    Raises:
        InputError: A point lies outside.

    Source: Evans, Partial Differential Equations (2010), section 2.2.4 (c).
    """
    for name, points in (("x", x), ("y", y)):
        in_the_disk(name, np.reshape(points, (-1, np.shape(points)[-1] if np.ndim(points) else 1)))
    return _green(np.asarray(x, dtype=float), np.asarray(y, dtype=float))


def _green(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    away = np.square(x - y).sum(axis=-1)
    # |x|^2 |y - x/|x|^2|^2 = 1 - 2 x.y + |x|^2 |y|^2, which is fine at x = 0.
    image = 1 - 2 * (x * y).sum(axis=-1) + np.square(x).sum(axis=-1) * np.square(y).sum(axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return (np.log(image) - np.log(away)) / (4 * np.pi)


def solution_on_disk(source: Field, where: Any, radial: int = 60, angular: int = 120) -> np.ndarray:
    """u(x) = integral of G(x, y) f(y) over the unit disk: the solution with u = 0 on the boundary.

    Polar coordinates around x carry off the logarithm: Gauss-Legendre along each ray, the trapezoidal rule around.

    Args:
        source: f.
        where: Points of the disk, shape (m, 2).
        radial: Nodes along a ray.
        angular: Rays.

    Raises:
        InputError: A point lies outside, or f gives no finite numbers.

    """
    nodes, weights = np.polynomial.legendre.leggauss(radial)
    # s = t^3 concentrates nodes where the logarithm lives.
    t, dt = 0.5 * (nodes + 1), 0.5 * weights
    share, weight = t**3, 3 * t**2 * dt
    angle = 2 * np.pi * np.arange(angular) / angular
    ray = np.column_stack([np.cos(angle), np.sin(angle)])
    answers = []
    for x in in_the_disk("where", where):
        if x @ x >= 1:
            answers.append(0.0)
            continue
        along = ray @ x
        reach = -along + np.sqrt(np.maximum(along**2 + 1 - x @ x, 0.0))  # to the boundary
        radius = reach[:, None] * share  # (angular, radial)
        y = x + radius[..., None] * ray[:, None, :]
        kernel = _green(x, y) * values_of("source", source, y[..., 0], y[..., 1])
        answers.append(float((kernel * radius * reach[:, None] * weight).sum() * 2 * np.pi / angular))
    return np.array(answers)


def harmonic_on_disk(boundary: Callable[[np.ndarray], Any], where: Any, angular: int = 2_000) -> np.ndarray:
    """Poisson's integral: the harmonic function with boundary values g(angle), at points inside.

    Args:
        boundary: g as a function of the angle.
        where: Points of the disk, shape (m, 2); on the rim or no closer to it than 1e-4.
        angular: Nodes of the trapezoidal rule; more are taken near the rim, where the kernel is narrow.

    Raises:
        InputError: A point lies outside or too close to the rim, or g gives no finite numbers.

    Source: Evans (2010), section 2.2.4, equation (45).
    """
    answers = []
    for x in in_the_disk("where", where):
        radius = math.hypot(*x)
        if abs(radius - 1) <= EPS:
            answers.append(float(values_of("boundary", boundary, np.array([math.atan2(x[1], x[0])]))[0]))
            continue
        if 1 - radius < NEAREST * (1 - 1e-9):
            raise InputError(
                f"where holds {x.tolist()}, {1 - radius:.2g} from the rim", f"stay {NEAREST} away, or on it"
            )
        # The rule's error is radius^nodes.
        nodes = max(angular, math.ceil(math.log(EPS) / math.log(radius))) if radius > 0 else angular
        angle = 2 * np.pi * np.arange(nodes) / nodes
        kernel = (1 - radius**2) / ((x[0] - np.cos(angle)) ** 2 + (x[1] - np.sin(angle)) ** 2)
        answers.append(float((kernel * values_of("boundary", boundary, angle)).mean()))
    return np.array(answers)
