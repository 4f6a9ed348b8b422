"""Spectra as asked for, random bases that keep them, and a minimum where it was put."""

import numpy as np
import pytest

from thalweg.core.errors import InputError
from thalweg.problems.zoo import quadratic, spectrum
from tolerances import formula, matrices, solve

KINDS = ["uniform", "geometric", "clustered", "outlier"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("condition_number", [1.0, 10.0, 1e3, 1e5])
def test_a_spectrum_has_its_size_ends_and_order(kind, condition_number):
    values = spectrum(kind, 30, condition_number, largest=5.0)
    assert values.shape == (30,)
    assert (np.diff(values) >= 0).all()
    assert (values[0], values[-1]) == (5.0 / condition_number, 5.0)


def test_spectra_are_spaced_as_their_names_say():
    np.testing.assert_allclose(np.diff(spectrum("uniform", 7, 4.0)), 0.125, rtol=formula(4))
    np.testing.assert_allclose(np.diff(np.log10(spectrum("geometric", 7, 1e3))), 0.5, rtol=formula(10))
    outlier = spectrum("outlier", 9, 100.0, spread=0.1)
    assert outlier[-1] == 1.0
    assert outlier[-2] <= 0.01 * 1.1
    assert len(np.unique(outlier)) == 9
    clustered = spectrum("clustered", 40, 1e3, clusters=4, spread=0.02)
    centres = np.repeat([1e-3, 1e-2, 1e-1, 1.0], 10)
    assert (np.abs(clustered / centres - 1) <= 0.01 + formula(4)).all()
    assert np.ptp(clustered[10:20]) > 0


def test_a_seed_fixes_the_clusters():
    first, again, other = (spectrum("clustered", 20, 50.0, seed=seed) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


@pytest.mark.parametrize("kind", KINDS)
def test_a_quadratic_has_the_spectrum_and_the_minimum_it_was_given(kind):
    values = spectrum(kind, 25, 1e3)
    point = np.linspace(-1, 1, 25)
    problem = quadratic(values, minimiser=point, minimum=-2.5, seed=1)
    assert np.abs(np.linalg.eigvalsh(problem.matrix) - values).max() <= matrices(size=25)
    assert abs(problem.minimum + 2.5) <= formula(25) * 2.5
    assert np.abs(problem.at(point).gradient).max() <= matrices(size=25)
    solution = np.linalg.solve(problem.matrix, problem.b)
    assert np.linalg.norm(solution - point) <= solve(1e3, size=25) * np.linalg.norm(point)
    x = point + np.random.default_rng(2).normal(size=25)
    gap = 0.5 * (x - point) @ problem.matrix @ (x - point)
    assert abs(problem.at(x).value + 2.5 - gap) <= formula(25) * (gap + 25)


def test_the_basis_is_random_orthogonal_and_seeded():
    values = np.arange(1.0, 7.0)
    first, again, other = (quadratic(values, seed=seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first.matrix, again.matrix)
    np.testing.assert_array_equal(first.minimiser, again.minimiser)
    assert np.abs(first.matrix - other.matrix).max() > 0.1
    # In a uniform basis each diagonal entry has the mean of the eigenvalues, and the entries beside it mean 0.
    mean = np.mean([quadratic(values, seed=seed).matrix for seed in range(400)], axis=0)
    spread = values.std() / np.sqrt(400)
    assert np.abs(mean - values.mean() * np.eye(6)).max() <= 4.5 * spread


def test_a_start_and_a_name_are_kept():
    problem = quadratic([1.0, 2.0], x0=[3.0, 4.0], name="valley")
    np.testing.assert_array_equal(problem.start(), [3.0, 4.0])
    assert "valley" in repr(problem)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("round", 3, 2.0), "kind='round'"),
        (("uniform", 1, 2.0), "n=1: a spectrum"),
        (("uniform", 2.5, 2.0), "n=2.5"),
        (("uniform", True, 2.0), "n=True"),
        (("uniform", 3, 0.5), "condition_number=0.5 is below 1"),
        (("uniform", 3, np.nan), "condition_number=nan"),
        (("uniform", 3, np.inf), "condition_number=inf"),
        (("uniform", 3, "10"), "condition_number='10'"),
    ],
)
def test_spectra_that_do_not_exist_are_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        spectrum(*arguments)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"largest": 0.0}, "largest=0"), ({"largest": -1.0}, "largest=-1"), ({"spread": -0.1}, "spread=-0.1"),
     ({"clusters": 1}, "n=1"), ({"clusters": 4}, "clusters=4 for 3")],
)  # fmt: skip
def test_options_outside_their_range_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        spectrum("clustered", 3, 10.0, **{"clusters": 2, **options})


@pytest.mark.parametrize("values", [[], [[1.0]], [1.0, -1.0], [1.0, np.nan], [np.inf]])
def test_eigenvalues_that_no_convex_quadratic_has_are_refused(values):
    with pytest.raises(InputError, match="eigenvalues"):
        quadratic(values)


def test_a_minimiser_of_another_size_is_refused():
    with pytest.raises(InputError, match="minimiser"):
        quadratic([1.0, 2.0], minimiser=[1.0])
