"""Traces of functions against eigenvalues: coverage of scatter and truncation, enclosure, exactness, refusals."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thalweg.core.errors import InputError
from thalweg.linalg import as_rows, trace_of_function
from thalweg.linalg.function_trace import LARGEST_DENSE
from tolerances import summation

# Probes are uniform on the sphere, so that a diagonal matrix stands for all of its spectrum.
SPECTRA = {
    "even": lambda size, condition: np.linspace(1 / condition, 1, size),
    "geometric": lambda size, condition: np.geomspace(1 / condition, 1, size),
    "one small": lambda size, condition: np.r_[1 / condition, np.linspace(0.5, 1, size - 1)],
    "ridge": lambda size, condition: np.geomspace(1, 1e-12, size) + 1 / condition,
    "two clusters": lambda size, condition: np.r_[np.full(size // 2, 1 / condition), np.full(size - size // 2, 1.0)],
    "power": lambda size, condition: np.maximum(np.arange(1.0, size + 1) ** -2, 1 / condition),
}
#: Function, and whether it is enclosed.
FUNCTIONS = {
    "log": (np.log, True),
    "inverse": (lambda t: 1 / t, True),
    "sqrt": (np.sqrt, True),
    "exp": (np.exp, False),
    "decay": (lambda t: np.exp(-5 * t), False),
    "wave": (lambda t: np.cos(20 * t), False),
}


def covered(name, eigenvalues, seeds, probes, steps, smallest=None):
    """The share of seeds whose 3 standard errors hold the sum over the eigenvalues."""
    function, enclosed = FUNCTIONS[name]
    found = [
        trace_of_function(
            lambda v: eigenvalues * v, len(eigenvalues), seed, function,
            probes=probes, steps=steps, smallest=smallest, enclosed=enclosed,
        )
        for seed in range(seeds)
    ]  # fmt: skip
    assert max(estimate.products for estimate in found) <= probes * steps
    return np.mean(
        [abs(estimate.value - function(eigenvalues).sum()) <= 3 * estimate.standard_error for estimate in found]
    )


@pytest.mark.parametrize(("probes", "steps"), [(2, 6), (4, 10)])
@pytest.mark.parametrize("condition", [10, 1e6])
@pytest.mark.parametrize("kind", SPECTRA)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_trace_lies_within_three_standard_errors(name, kind, condition, probes, steps):
    assert covered(name, SPECTRA[kind](120, condition), 25, probes, steps) >= 0.95


@pytest.mark.parametrize("condition", [10, 1e3, 1e6])
@pytest.mark.parametrize("kind", SPECTRA)
@pytest.mark.parametrize("name", ["log", "inverse", "sqrt"])
def test_a_known_lower_bound_is_used_and_covered(name, kind, condition):
    eigenvalues = SPECTRA[kind](120, condition)
    assert covered(name, eigenvalues, 25, 3, 8, smallest=0.999 / condition) >= 0.95


@pytest.mark.slow
@pytest.mark.parametrize(("size", "probes", "steps"), [(50, 2, 6), (300, 4, 10), (300, 10, 20)])
@pytest.mark.parametrize("condition", [10, 1e3, 1e6])
@pytest.mark.parametrize("kind", SPECTRA)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_trace_lies_within_three_standard_errors_in_99_of_100_seeds(name, kind, condition, size, probes, steps):
    eigenvalues = SPECTRA[kind](size, condition)
    assert covered(name, eigenvalues, 60, probes, steps) >= 0.97
    if FUNCTIONS[name][1]:
        assert covered(name, eigenvalues, 60, probes, steps, smallest=0.999 / condition) >= 0.97


def test_enclosure_narrows_to_the_scatter_once_the_lower_end_is_resolved():
    """About 2 sqrt(condition) steps, or a bound that is passed: then the scatter of the probes is what is left."""
    eigenvalues = np.geomspace(1e-2, 1, 400)
    # One probe: variance 2 / (n + 2) of that of log, over so many probes, times n^2.
    scatter = 400 * np.sqrt(2 / 402 * np.var(np.log(eigenvalues)) / 6)

    def error(steps, smallest=None):
        return trace_of_function(
            lambda v: eigenvalues * v, 400, 0, np.log, probes=6, steps=steps, smallest=smallest, enclosed=True
        ).standard_error

    assert error(5) > 5 * scatter
    assert error(20) < 1.2 * scatter
    assert error(40) == pytest.approx(scatter, rel=0.1)
    assert error(8, smallest=1e-2) < 2 * scatter


@pytest.mark.parametrize("power", [0, 1, 2, 3, 5])
def test_polynomials_of_low_degree_have_no_truncation(power):
    eigenvalues = np.linspace(-1, 2, 200)
    found = trace_of_function(lambda v: eigenvalues * v, 200, 0, lambda t: t**power, probes=3, steps=12)
    values = eigenvalues**power
    scatter = 200 * np.sqrt(2 / 202 * np.var(values) / 3)
    assert found.standard_error == pytest.approx(scatter, rel=0.3, abs=200 * summation(200))
    assert abs(found.value - values.sum()) <= 3 * found.standard_error


def test_few_distinct_eigenvalues_leave_scatter_alone():
    """Lanczos ends exactly: nothing is missed even where the rules would not have converged."""
    eigenvalues = np.repeat([1e-8, 1.0], 100)
    found = trace_of_function(lambda v: eigenvalues * v, 200, 0, np.log, probes=5, steps=10, enclosed=True)
    assert found.products == 10
    scatter = 200 * np.sqrt(2 / 202 * np.var(np.log(eigenvalues)) / 5)
    assert found.standard_error == pytest.approx(scatter, rel=0.3)


def test_rules_that_do_not_converge_promise_nothing():
    eigenvalues = np.geomspace(1e-6, 1, 300)
    found = trace_of_function(lambda v: eigenvalues * v, 300, 0, lambda t: 1 / t, probes=4, steps=8)
    assert found.standard_error == np.inf
    short = trace_of_function(lambda v: eigenvalues * v, 300, 0, np.exp, probes=4, steps=3)
    assert short.standard_error == np.inf


@pytest.mark.parametrize(("probes", "steps"), [(60, 1), (100, 2), (6, 10)])
def test_enough_products_give_the_trace_itself(traced, probes, steps):
    eigenvalues = np.linalg.eigvalsh(traced)
    for apply in (traced, lambda v: traced @ v, as_rows(traced)):
        found = trace_of_function(apply, 60, 0, np.exp, probes=probes, steps=steps)
        assert found.products == 60
        assert abs(found.value - np.exp(eigenvalues).sum()) <= found.standard_error <= 1e3 * summation(60)


def test_the_whole_matrix_is_formed_only_where_it_is_small():
    size = LARGEST_DENSE + 1
    found = trace_of_function(lambda v: 2.0 * v, size, 0, np.sqrt, probes=3, steps=size)
    assert found.products == 3
    assert abs(found.value - size * np.sqrt(2)) <= 3 * found.standard_error <= 1e-8


def test_zero_eigenvalues_need_a_bound_that_keeps_rounding_out():
    eigenvalues = np.r_[np.zeros(50), np.linspace(1, 2, 150)]
    q = np.linalg.qr(np.random.default_rng(0).normal(size=(200, 200)))[0]
    matrix = q * eigenvalues @ q.T
    with pytest.raises(InputError, match="smallest=0 keeps rounding from leading below 0"):
        trace_of_function(matrix, 200, 0, np.sqrt, probes=4, steps=30)
    for enclosed in (False, True):
        found = trace_of_function(matrix, 200, 0, np.sqrt, probes=4, steps=30, smallest=0, enclosed=enclosed)
        assert abs(found.value - np.sqrt(eigenvalues).sum()) <= 3 * found.standard_error < 60
    with pytest.raises(InputError, match="smallest=0 keeps rounding"):
        trace_of_function(matrix, 200, 0, np.sqrt, probes=200, steps=1)
    whole = trace_of_function(matrix, 200, 0, np.sqrt, probes=200, steps=1, smallest=0)
    # The root of rounding is what a root of zero is known to.
    assert abs(whole.value - np.sqrt(eigenvalues).sum()) <= whole.standard_error < 1e-4


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 30), st.integers(1, 5), st.integers(1, 8), st.integers(0, 99), st.booleans())
def test_any_size_probes_and_steps(size, probes, steps, seed, enclosed):
    eigenvalues = np.random.default_rng(seed).uniform(0.1, 3.0, size)
    found = trace_of_function(
        lambda v: eigenvalues * v, size, seed, np.log, probes=probes, steps=steps, enclosed=enclosed
    )
    assert np.isfinite(found.value)
    assert found.standard_error >= 0
    assert found.products <= max(size, probes * steps) and found.products <= probes * size
    if probes * steps >= size:
        assert abs(found.value - np.log(eigenvalues).sum()) <= found.standard_error <= 1e4 * summation(size)


def test_single_precision_products_are_covered():
    eigenvalues = np.geomspace(1e-2, 1, 300)
    single = eigenvalues.astype(np.float32)
    found = [
        trace_of_function(lambda v: single * v.astype(np.float32), 300, seed, np.log, probes=4, steps=40, enclosed=True)
        for seed in range(20)
    ]
    assert all(abs(estimate.value - np.log(eigenvalues).sum()) <= 3 * estimate.standard_error for estimate in found)
    whole = trace_of_function(lambda v: single * v.astype(np.float32), 300, 0, np.log, probes=300, steps=1)
    assert abs(whole.value - np.log(eigenvalues).sum()) <= whole.standard_error < 1.0


def test_the_same_seed_gives_the_same_numbers():
    def found(seed):
        return trace_of_function(lambda v: np.arange(1.0, 51.0) * v, 50, seed, np.exp, probes=3, steps=9)

    assert found(1) == found(np.random.default_rng(1))
    assert found(1).value != found(2).value


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"probes": 0}, "probes=0: expected a whole number >= 1; pass"),
        ({"probes": True}, "probes=True"),
        ({"steps": 0}, "steps=0: expected a whole number >= 1; pass"),
        ({"steps": 1.5}, r"steps=1\.5"),
        ({"size": -1}, "size=-1"),
        ({"generator": 0.5}, r"generator=0\.5"),
        ({"smallest": np.nan}, "smallest=nan: expected a finite number"),
        ({"smallest": "0"}, "smallest='0': expected a finite number"),
        ({"smallest": True}, "smallest=True: expected a finite number"),
        ({"smallest": 5.0}, r"smallest=5, but the matrix has an eigenvalue at or below [1-4]"),
        ({"function": "log"}, "function is a str: expected a function of an array of eigenvalues; pass numpy.exp"),
        ({"function": lambda t: np.sqrt(t + 0j)}, "function returned entries of type complex128: expected real"),
        ({"function": np.sum}, r"function returned shape \(\)"),
        ({"function": lambda t: t[:1]}, "function returned shape"),
        ({"function": lambda t: np.log(t - 6)}, r"function is nan within rounding of [1-5]\.\d+, an estimate"),
        ({"apply": np.cumsum}, "apply is not symmetric"),
        ({"apply": np.cumsum, "probes": 12}, "apply is not symmetric"),
        ({"apply": lambda v: v * np.nan}, "apply returned nan"),
        ({"apply": lambda v: v[1:]}, r"shape \(11,\): expected \(12,\)"),
    ],
)
def test_bad_arguments_are_named(changes, message):
    arguments = {"apply": lambda v: np.linspace(1, 12, 12) * v, "size": 12, "generator": 0, "function": np.exp}
    with pytest.raises(InputError, match=message):
        trace_of_function(**arguments | {"probes": 2, "steps": 5} | changes)


def test_a_function_may_write_on_its_argument():
    def halved(t):
        t /= 2
        return t

    eigenvalues = np.linspace(1, 2, 40)
    found = [
        trace_of_function(lambda v: eigenvalues * v, 40, 0, f, probes=3, steps=8) for f in (halved, lambda t: t / 2)
    ]
    assert found[0] == found[1]
