"""Triangulations of the square and the disk, and what linear elements make of the Dirichlet energy on them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from thalweg.core.errors import InputError
from thalweg.problems.pde.field import checked_points, known_values, whole


@dataclass(frozen=True, eq=False)
class Mesh:
    """Points and triangles.

    Attributes:
        points: Shape (p, 2).
        triangles: Indices of corners, shape (t, 3).
        boundary: Whether each point lies on the boundary, shape (p,).

    """

    points: np.ndarray
    triangles: np.ndarray
    boundary: np.ndarray

    def __repr__(self) -> str:
        return f"Mesh({len(self.points)} points, {len(self.triangles)} triangles, h = {self.width:.3g})"

    @property
    def interior(self) -> np.ndarray:
        """Indices of the points inside."""
        return np.flatnonzero(~self.boundary)

    @cached_property
    def areas(self) -> np.ndarray:
        """Area of each triangle, shape (t,)."""
        a, b, c = (self.points[self.triangles[:, k]] for k in range(3))
        return 0.5 * np.abs((b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0]))

    @property
    def width(self) -> float:
        """h: the length of the longest edge."""
        corners = self.points[self.triangles]
        return float(np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=2).max())

    @cached_property
    def stiffness(self) -> Any:
        """K with u'Ku the integral of |grad u|^2 for u linear on each triangle: sparse, shape (p, p)."""
        from scipy.sparse import coo_matrix  # loaded by those who build a mesh

        corners = self.points[self.triangles]  # (t, 3, 2)
        # The gradient of the k-th corner's hat is the opposite edge, turned by a right angle, over twice the area.
        edges = np.roll(corners, -2, axis=1) - np.roll(corners, -1, axis=1)
        local = np.einsum("tkd,tld->tkl", edges, edges) / (4 * self.areas[:, None, None])
        rows, columns = (np.broadcast_to(self.triangles[:, i, j], local.shape) for i, j in (
            (slice(None), None), (None, slice(None)),
        ))  # fmt: skip
        size = len(self.points)
        return coo_matrix((local.ravel(), (rows.ravel(), columns.ravel())), shape=(size, size)).tocsr()

    @cached_property
    def mass(self) -> np.ndarray:
        """Share of the area that belongs to each point, shape (p,): integrals of linear functions are exact."""
        return np.bincount(self.triangles.ravel(), np.repeat(self.areas / 3, 3), minlength=len(self.points))

    def at(self, where: Any, values: np.ndarray) -> np.ndarray:
        """A function that is linear on triangles, at points.

        Args:
            where: Shape (m, 2), inside the domain; between a curved boundary and its chord the chord's value is taken.
            values: At the mesh's points, shape (p,).

        Returns:
            Shape (m,); nan outside of the domain.

        Raises:
            InputError: Not finite points, or not one value a point of the mesh.

        """
        from scipy.interpolate import LinearNDInterpolator

        points = checked_points("where", where)
        known = known_values(values, (len(self.points),), "points of the mesh")
        interpolated = LinearNDInterpolator(self.points, known)
        found = np.asarray(interpolated(points))
        beyond = np.isnan(found)
        if beyond.any():
            # A chord of length h leaves the arc by h^2/8 of its radius.
            centre = self.points.mean(axis=0)
            found[beyond] = interpolated(centre + (1 - self.width**2 / 4) * (points[beyond] - centre))
        return found


def square(cells: int) -> Mesh:
    """The unit square, each of ``cells`` x ``cells`` squares cut along a diagonal: the five-point stencil.

    Args:
        cells: At least 2.

    """
    cells = whole("cells", cells, 2)
    ticks = np.linspace(0.0, 1.0, cells + 1)
    across, up = np.meshgrid(ticks, ticks, indexing="ij")
    points = np.column_stack([across.ravel(), up.ravel()])
    number = np.arange((cells + 1) ** 2).reshape(cells + 1, cells + 1)
    a, b, c, d = (part.ravel() for part in (number[:-1, :-1], number[1:, :-1], number[:-1, 1:], number[1:, 1:]))
    triangles = np.concatenate([np.column_stack([a, b, d]), np.column_stack([a, d, c])])
    boundary = ((points == 0.0) | (points == 1.0)).any(axis=1)
    return Mesh(points, triangles, boundary)


def disk(rings: int) -> Mesh:
    """The unit disk: the centre, and on ring k of radius k / rings 6 k points.

    Args:
        rings: At least 2.

    """
    rings = whole("rings", rings, 2)
    points = [np.zeros((1, 2))]
    for k in range(1, rings + 1):
        angle = 2 * np.pi * np.arange(6 * k) / (6 * k)
        points.append(k / rings * np.column_stack([np.cos(angle), np.sin(angle)]))
    triangles = []
    starts = np.concatenate([[0], 1 + np.cumsum(6 * np.arange(rings))])
    for k in range(1, rings + 1):
        for sector in range(6):
            outer = [starts[k] + (sector * k + i) % (6 * k) for i in range(k + 1)]
            inner = [0] if k == 1 else [starts[k - 1] + (sector * (k - 1) + i) % (6 * (k - 1)) for i in range(k)]
            triangles += [(outer[i], outer[i + 1], inner[i]) for i in range(k)]
            triangles += [(inner[i], outer[i + 1], inner[i + 1]) for i in range(k - 1)]
    boundary = np.zeros(starts[-1] + 6 * rings, dtype=bool)
    boundary[starts[rings] :] = True
    return Mesh(np.concatenate(points), np.array(triangles), boundary)


def checked_mesh(mesh: Any) -> Mesh:
    """The mesh itself.

    Raises:
        InputError: It is none.

    """
    if not isinstance(mesh, Mesh):
        raise InputError(f"mesh={mesh!r:.60} is no mesh", "make one: square(16) or disk(16)")
    return mesh


def checked_inside(mesh: Mesh, inside: Any) -> np.ndarray:
    """Values at the points inside, shape (len(mesh.interior),).

    Raises:
        InputError: There is not one number a point.

    """
    return known_values(inside, mesh.interior.shape, "points inside")
