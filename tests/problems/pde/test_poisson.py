"""Poisson's equation against analytic solutions, and the properties that every solution has."""

import numpy as np
import pytest

import thalweg as tw
from thalweg.core.records import Status
from thalweg.problems.pde import (
    Poisson,
    disk,
    green_on_disk,
    harmonic_on_disk,
    solution_on_disk,
    square,
    stencil_eigenvalues,
)
from tolerances import SECOND_ORDER, eps

TIGHT = 1e-14


def solved(problem, method="newton"):
    solution = tw.solve(problem, method, tol=TIGHT)
    assert solution.status in (Status.CONVERGED, Status.PRECISION_FLOOR)
    return problem.values(solution.x)


def sine(x, y):
    return np.sin(np.pi * x) * np.sin(np.pi * y)


@pytest.mark.parametrize("method", ["newton", "newton-cg", "l-bfgs", "nesterov", "heavy-ball"])
def test_every_method_finds_the_same_solution(method):
    problem = Poisson(square(12), source=lambda x, y: 2 * np.pi**2 * sine(x, y))
    exact = np.linalg.solve(problem.quadratic.matrix, problem.quadratic.b)
    found = tw.solve(problem, method, tol=1e-12)
    # f - f* >= (mu/2) |x - x*|^2
    assert np.linalg.norm(found.x - exact) <= np.sqrt(2e-12 / problem.quadratic.eigenvalues[0]) * 1.1


def test_the_error_on_the_square_falls_like_h_squared():
    errors = []
    for cells in (8, 16, 32):
        problem = Poisson(square(cells), source=lambda x, y: 2 * np.pi**2 * sine(x, y))
        errors.append(np.abs(solved(problem) - sine(*problem.mesh.points.T)).max())
    rates = np.log2(np.divide(errors[:-1], errors[1:]))
    assert (np.abs(rates - 2) <= SECOND_ORDER).all()


@pytest.mark.parametrize("source", [lambda x, y: 1.0 + 0 * x, lambda x, y: np.exp(x) * (1 + y)])
def test_the_error_on_the_disk_falls_against_greens_function(source):
    where = np.array([[0.1, 0.2], [-0.4, 0.3], [0.0, -0.7], [0.05, 0.0]])
    exact = solution_on_disk(source, where)
    errors = []
    for rings in (6, 12, 24):
        problem = Poisson(disk(rings), source=source)
        errors.append(np.abs(problem.mesh.at(where, solved(problem)) - exact).max())
    assert errors[-1] <= errors[0] / 8  # two halvings of h: 16 for order 2, less where corners of cells move
    assert errors[-1] <= 1e-3


def test_greens_function_of_the_disk():
    """-Laplace u = 1 has u = (1 - r^2)/4; G is symmetric, zero on the boundary and positive inside."""
    where = np.array([[0.3, 0.2], [0.0, 0.0], [-0.9, 0.1]])
    np.testing.assert_allclose(
        solution_on_disk(lambda x, y: 1.0 + 0 * x, where), (1 - np.square(where).sum(1)) / 4, rtol=1e-9
    )
    rng = np.random.default_rng(0)
    x, y = (0.99 * p / np.maximum(np.linalg.norm(p, axis=1), 1)[:, None] for p in rng.normal(size=(2, 200, 2)))
    np.testing.assert_allclose(green_on_disk(x, y), green_on_disk(y, x), rtol=1e-9)
    assert (green_on_disk(x, y) > 0).all()
    rim = x / np.linalg.norm(x, axis=1)[:, None]
    assert np.abs(green_on_disk(rim, 0.5 * y)).max() <= 1e-12


def test_the_condition_number_grows_like_h_to_the_minus_two():
    for cells in (6, 12, 24):
        values = Poisson(square(cells)).quadratic.eigenvalues
        # Backward stability: each computed eigenvalue is within some roundings of the largest.
        slack = 4 * len(values) * eps() * values[-1]
        np.testing.assert_allclose(values, stencil_eigenvalues(cells), rtol=0, atol=slack)
        kappa = values[-1] / values[0]
        assert kappa == pytest.approx(1 / np.tan(np.pi / (2 * cells)) ** 2, rel=1e-9)
    found = tw.diagnose(Poisson(square(12)).problem()).constants
    assert found["kappa"].value == pytest.approx(1 / np.tan(np.pi / 24) ** 2, rel=1e-9)


# --- Properties -------------------------------------------------------------------------------------------------------

MESHES = {"square": square(14), "disk": disk(8)}


@pytest.mark.parametrize("mesh", MESHES.values(), ids=MESHES)
def test_maximum_principle_and_positivity(mesh):
    """Harmonic functions have their extremes on the boundary; a positive source lifts the solution everywhere."""
    rng = np.random.default_rng(0)
    a, b, c = rng.normal(size=3)
    harmonic = Poisson(mesh, boundary=lambda x, y: a * np.sin(3 * x) + b * y**2 + c * x * y)
    u = solved(harmonic)
    inside, rim = u[~mesh.boundary], u[mesh.boundary]
    assert rim.min() < inside.min() and inside.max() < rim.max()
    lifted = solved(Poisson(mesh, source=lambda x, y: np.exp(-10 * (x - 0.3) ** 2)))
    assert (lifted[~mesh.boundary] > 0).all()


@pytest.mark.parametrize("mesh", MESHES.values(), ids=MESHES)
def test_uniqueness_from_any_start(mesh):
    problem = Poisson(mesh, source=lambda x, y: np.sin(5 * x) + y, boundary=lambda x, y: x - y)
    rng = np.random.default_rng(0)
    answers = [
        tw.solve(problem, "newton-cg", x0=10 * rng.normal(size=problem.quadratic.size), tol=1e-13).x for _ in range(3)
    ]
    assert problem.quadratic.eigenvalues[0] > 0
    for other in answers[1:]:
        np.testing.assert_allclose(other, answers[0], atol=1e-6)


def test_mean_value_property_on_the_disk():
    """At the centre a harmonic function is its mean over every circle; elsewhere it is Poisson's integral."""
    mesh = disk(16)

    def boundary(angle):
        return np.cos(angle) + 0.5 * np.sin(2 * angle) + 0.3

    u = solved(Poisson(mesh, boundary=lambda x, y: boundary(np.arctan2(y, x))))
    radius = np.linalg.norm(mesh.points, axis=1)
    for ring in (4, 8, 16):
        circle = np.abs(radius - ring / 16) < 1e-9
        assert u[circle].mean() == pytest.approx(u[0], abs=1e-9)  # the mesh has the symmetry of its sectors
    assert u[0] == pytest.approx(0.3, abs=1e-9)
    where = np.array([[0.2, 0.1], [-0.5, 0.4]])
    np.testing.assert_allclose(mesh.at(where, u), harmonic_on_disk(boundary, where), atol=5e-3)
    r, angle = np.hypot(*where.T), np.arctan2(where[:, 1], where[:, 0])
    closed = r * np.cos(angle) + 0.5 * r**2 * np.sin(2 * angle) + 0.3
    np.testing.assert_allclose(harmonic_on_disk(boundary, where), closed, rtol=1e-12)


def test_harnacks_inequality_on_the_disk():
    """For u >= 0 harmonic: (1 - r)/(1 + r) u(0) <= u(x) <= (1 + r)/(1 - r) u(0)."""
    mesh = disk(16)
    u = solved(Poisson(mesh, boundary=lambda x, y: np.exp(3 * x) * (1 + np.sin(6 * y)) + 0.01))
    assert (u > 0).all()
    r = np.linalg.norm(mesh.points, axis=1)
    inside = r < 0.95
    slack = 1 + 2e-2  # of the discretisation
    assert (u[inside] <= slack * (1 + r[inside]) / (1 - r[inside]) * u[0]).all()
    assert (u[inside] * slack >= (1 - r[inside]) / (1 + r[inside]) * u[0]).all()


def test_bad_fields_are_refused():
    with pytest.raises(tw.InputError, match="source"):
        Poisson(square(4), source=3.0)
    with pytest.raises(tw.InputError, match="boundary"):
        Poisson(square(4), boundary=lambda x, y: np.where(x == 0, np.nan, y))
    with pytest.raises(tw.InputError, match="shape"):
        Poisson(square(4), source=lambda x, y: np.zeros(3))
    for bad in (lambda x, y: None, lambda x, y: "a", lambda x, y: 1j * x, lambda x, y: x * np.inf):
        with pytest.raises(tw.InputError, match="source"):
            Poisson(square(4), source=bad)
    with pytest.raises(tw.InputError, match="mesh"):
        Poisson(None)
    with pytest.raises(tw.InputError, match="9 points inside"):
        Poisson(square(4)).values(np.zeros(3))


def test_closed_forms_near_the_rim_and_beyond():
    angles = np.array([0.0, 1.0, 4.0])
    for radius in (0.0, 0.5, 0.99, 0.999, 0.9999, 1.0):
        where = radius * np.column_stack([np.cos(angles), np.sin(angles)])
        np.testing.assert_allclose(harmonic_on_disk(np.cos, where), radius * np.cos(angles), atol=1e-10)
        # -Laplace u = 1 with u = 0 on the rim: u = (1 - r^2)/4.
        np.testing.assert_allclose(
            solution_on_disk(lambda x, y: 1.0 + 0 * x, where), (1 - radius**2) / 4, atol=1e-12, rtol=1e-6
        )
    for bad in ([[2.0, 0.0]], [[np.nan, 0.0]], [[0.0, 0.0, 0.0]], "a"):
        with pytest.raises(tw.InputError, match="where"):
            harmonic_on_disk(np.cos, bad)
        with pytest.raises(tw.InputError, match="where"):
            solution_on_disk(lambda x, y: x, bad)
        with pytest.raises(tw.InputError, match="x"):
            green_on_disk(bad, [0.0, 0.0])
    with pytest.raises(tw.InputError, match="rim"):
        harmonic_on_disk(np.cos, [[1 - 1e-6, 0.0]])


def test_what_jumps_or_peaks_between_the_nodes_is_refused_until_they_are_enough():
    """A half circle kept at 1: u = 1/2 + atan2(2y, 1 - r^2)/pi. A smooth peak far from where it is felt: G itself."""

    def step(angle):
        return np.where(np.sin(angle) > 0, 1.0, 0.0)

    inside, near = np.array([[0.3, 0.5]]), np.array([[0.9, 0.09]])
    for where in (inside, near):
        exact = 0.5 + np.arctan2(2 * where[:, 1], 1 - np.square(where).sum(axis=1)) / np.pi
        np.testing.assert_allclose(harmonic_on_disk(step, where, angular=200_000), exact, atol=1e-4)
    with pytest.raises(tw.InputError, match="boundary is not resolved at .* by 2000 nodes"):
        harmonic_on_disk(step, near)

    def peak(x, y, width=0.05):
        return np.exp(-((x - 0.5) ** 2 + y**2) / (2 * width**2)) / (2 * np.pi * width**2)

    far = np.array([[-0.6, 0.2]])
    with pytest.raises(tw.InputError, match="source is not resolved at .* by radial=60 and angular=120"):
        solution_on_disk(peak, far)
    found = solution_on_disk(peak, far, radial=200, angular=400)
    np.testing.assert_allclose(found, green_on_disk(far, np.array([0.5, 0.0])), rtol=1e-9)


@pytest.mark.parametrize("count", [0, 2.5, True, "a", -3])
def test_counts_are_whole_numbers(count):
    where = [[0.1, 0.0]]
    for call in (
        lambda: stencil_eigenvalues(count),
        lambda: solution_on_disk(lambda x, y: x, where, radial=count),
        lambda: solution_on_disk(lambda x, y: x, where, angular=count),
        lambda: harmonic_on_disk(np.cos, where, angular=count),
    ):
        with pytest.raises(tw.InputError, match="whole number"):
            call()
    with pytest.raises(tw.InputError, match="give one each"):
        square(4).at(where, ["a"] * 25)
