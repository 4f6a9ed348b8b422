"""Triangulations: areas, exactness on linear functions, the five-point stencil."""

import numpy as np
import pytest

import thalweg as tw
from thalweg.problems.pde import disk, square
from tolerances import summation


@pytest.mark.parametrize("mesh", [square(7), disk(6)], ids=["square", "disk"])
def test_linear_functions_are_exact(mesh):
    x, y = mesh.points.T
    u = 2 * x - 3 * y + 1
    area = mesh.areas.sum()
    assert (mesh.areas > 0).all()
    assert u @ (mesh.stiffness @ u) == pytest.approx(13 * area, rel=summation(len(x)))
    inside = mesh.interior
    assert np.abs((mesh.stiffness @ u)[inside]).max() <= summation(len(x)) * np.abs(u).max() * 8
    assert mesh.mass.sum() == pytest.approx(area, rel=summation(len(x)))
    where = np.array([[0.31, 0.22], [0.5, 0.5]])
    np.testing.assert_allclose(mesh.at(where, u), 2 * where[:, 0] - 3 * where[:, 1] + 1, rtol=1e-12)


def test_areas_are_those_of_the_domain():
    assert square(9).areas.sum() == pytest.approx(1.0, rel=1e-14)
    # Every sector of the outer ring of m points is a triangle of the inscribed polygon: m/2 sin(2 pi/m).
    for rings in (2, 5, 20):
        m = 6 * rings
        assert disk(rings).areas.sum() == pytest.approx(m / 2 * np.sin(2 * np.pi / m), rel=1e-13)


def test_every_edge_belongs_to_one_or_two_triangles():
    for mesh in (square(5), disk(5)):
        edges = np.sort(
            np.concatenate([mesh.triangles[:, [0, 1]], mesh.triangles[:, [1, 2]], mesh.triangles[:, [2, 0]]])
        )
        _, counts = np.unique(edges, axis=0, return_counts=True)
        assert set(counts) <= {1, 2}
        assert (counts == 1).sum() == mesh.boundary.sum()  # the boundary is one closed polygon
        assert len(mesh.points) - len(counts) + len(mesh.triangles) == 1  # Euler: a disk


def test_the_square_gives_the_five_point_stencil():
    mesh = square(4)
    inside = mesh.interior
    matrix = mesh.stiffness[inside][:, inside].toarray()
    line = 2 * np.eye(3) - np.eye(3, k=1) - np.eye(3, k=-1)
    np.testing.assert_allclose(matrix, np.kron(line, np.eye(3)) + np.kron(np.eye(3), line), atol=1e-14)


def test_bad_sizes_are_refused():
    for make in (square, disk):
        for bad in (1, 2.5, True, "4"):
            with pytest.raises(tw.InputError, match="whole number"):
                make(bad)


def test_between_the_rim_and_its_chord_the_chord_is_taken_and_beyond_nothing():
    mesh = disk(8)
    angle = np.linspace(0, 2 * np.pi, 50)
    rim = 0.99999 * np.column_stack([np.cos(angle), np.sin(angle)])
    values = 1 + mesh.points @ [2.0, 3.0]
    # The chord leaves the arc by h^2/8 at most.
    np.testing.assert_allclose(mesh.at(rim, values), 1 + rim @ [2.0, 3.0], atol=4 * mesh.width**2)
    assert np.isnan(mesh.at([[1.2, 0.0]], values)).all()
    with pytest.raises(tw.InputError, match="where"):
        mesh.at([[np.inf, 0.0]], values)
    with pytest.raises(tw.InputError, match="values"):
        mesh.at([[0.0, 0.0]], values[:3])


def test_a_mesh_is_told_in_a_line():
    assert repr(square(2)) == "Mesh(9 points, 8 triangles, h = 0.707)"
