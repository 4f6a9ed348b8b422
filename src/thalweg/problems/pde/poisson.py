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
from thalweg.problems.pde.field import in_the_disk, values_of, whole
from thalweg.problems.pde.mesh import Mesh, checked_inside, checked_mesh
from thalweg.problems.quadratic import Quadratic

EPS = float(np.finfo(np.float64).eps)
#: Least distance from the rim at which Poisson's integral is computed: it takes 36 nodes over that distance.
NEAREST = 1e-4
#: Relative difference of two rules on the disk that counts as resolved: what has jumps may come close enough.
RESOLVED = 1e-4
MOST_NODES, MOST_RIM_NODES = 2000, 10_000_000
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
        Shape ((cells - 1)^2,).

    Raises:
        InputError: cells is no whole number of at least 2.

    Source: LeVeque, Finite Difference Methods (2007), section 3.4.

    """
    cells = whole("cells", cells, 2)
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
        radial: Nodes along a ray, at least 4.
        angular: Rays, at least 4.

    Raises:
        InputError: A point lies outside, f gives no finite numbers, or the rule does not resolve it: one of three
            quarters as many nodes and rays gives something else.

    """
    radial, angular = whole("radial", radial, 4, MOST_NODES), whole("angular", angular, 4, MOST_NODES)
    rules = [_rays(radial, angular), _rays(3 * radial // 4, 3 * angular // 4)]
    answers = []
    for x in in_the_disk("where", where):
        if x @ x >= 1:
            answers.append(0.0)
            continue
        fine, coarse = (_along(rays, source, x) for rays in rules)
        _check_resolved("source", x, fine, coarse, f"radial={radial} and angular={angular}")
        answers.append(fine[0])
    return np.array(answers)


def _rays(radial: int, angular: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Directions, shape (angular, 2), and shares of the way to the boundary with their weights, shape (radial,)."""
    nodes, weights = np.polynomial.legendre.leggauss(radial)
    # s = t^3 concentrates nodes where the logarithm lives.
    t = 0.5 * (nodes + 1)
    angle = 2 * np.pi * np.arange(angular) / angular
    return np.column_stack([np.cos(angle), np.sin(angle)]), t**3, 3 * t**2 * np.pi * weights / angular


def _along(rays: tuple[np.ndarray, np.ndarray, np.ndarray], source: Field, x: np.ndarray) -> tuple[float, float]:
    """The integral of G(x, y) f(y), and of its size."""
    ray, share, weight = rays
    along = ray @ x
    reach = (-along + np.sqrt(np.maximum(along**2 + 1 - x @ x, 0.0)))[:, None]  # to the boundary
    radius = reach * share  # (angular, radial)
    y = x + radius[..., None] * ray[:, None, :]
    parts = _green(x, y) * values_of("source", source, y[..., 0], y[..., 1]) * radius * reach * weight
    return float(parts.sum()), float(np.abs(parts).sum())


def _check_resolved(
    name: str, x: np.ndarray, fine: tuple[float, float], coarse: tuple[float, float], nodes: str
) -> None:
    if not abs(fine[0] - coarse[0]) <= RESOLVED * fine[1]:
        raise InputError(
            f"{name} is not resolved at {x.tolist()} by {nodes}: three quarters of them give something else",
            f"give more nodes, or a {name} without jumps and narrow peaks",
        )


def harmonic_on_disk(boundary: Callable[[np.ndarray], Any], where: Any, angular: int = 2_000) -> np.ndarray:
    """Poisson's integral: the harmonic function with boundary values g(angle), at points inside.

    Args:
        boundary: g as a function of the angle.
        where: Points of the disk, shape (m, 2); on the rim or no closer to it than 1e-4.
        angular: Nodes of the trapezoidal rule, at least 4; more are taken near the rim, where the kernel is narrow.

    Raises:
        InputError: A point lies outside or too close to the rim, g gives no finite numbers, or the rule does not
            resolve it: one of three quarters as many nodes gives something else.

    Source: Evans (2010), section 2.2.4, equation (45).
    """
    whole("angular", angular, 4, MOST_RIM_NODES)
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
        fine, coarse = _around(boundary, x, nodes, 0.0), _around(boundary, x, 3 * nodes // 4, 0.5)
        _check_resolved("boundary", x, fine, coarse, f"{nodes} nodes")
        answers.append(fine[0])
    return np.array(answers)


def _around(boundary: Callable[[np.ndarray], Any], x: np.ndarray, nodes: int, shift: float) -> tuple[float, float]:
    """The mean of the kernel times g, and of its size."""
    angle = 2 * np.pi * (np.arange(nodes) + shift) / nodes
    kernel = (1 - x @ x) / ((x[0] - np.cos(angle)) ** 2 + (x[1] - np.sin(angle)) ** 2)
    parts = kernel * values_of("boundary", boundary, angle)
    return float(parts.mean()), float(np.abs(parts).mean())
