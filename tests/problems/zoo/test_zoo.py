"""Every entry of the zoo: its formula, derivatives, residuals and minima, held to formulas written out by index."""

import cmath
import pickle
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import least_squares, minimize

import thalweg as tw
import zoo_formulas
from thalweg.core.errors import InputError, UnsupportedError
from thalweg.problems.zoo import FAMILIES, ZOO
from tolerances import COMPILED, PRINTED, REACHED, formula

NAMES = list(ZOO)
SQUARES = [name for name, entry in ZOO.items() if entry.residuals is not None]
STEP = 1e-30
MINIMA = [(name, index) for name, entry in ZOO.items() for index in range(len(entry.minima))]


def base(name):
    """The formula's name: that of the entry without its size."""
    stem, _, size = name.rpartition("_")
    return stem if size.isdigit() and stem in FAMILIES else name


def formula_gradient(name, x):
    """The gradient of the index formula by complex steps: no rounding from differences."""
    columns = []
    for i in range(len(x)):
        moved = [complex(v) for v in x]
        moved[i] += 1j * STEP
        columns.append(zoo_formulas.value(base(name), moved, cmath).imag / STEP)
    return np.array(columns)


def formula_jacobian(name, x):
    """The Jacobian of the residuals' index formula by complex steps."""
    columns = []
    for i in range(len(x)):
        moved = [None, *(complex(v) for v in x)]
        moved[i + 1] += 1j * STEP
        columns.append([complex(r).imag / STEP for r in zoo_formulas.SYSTEMS[base(name)](moved, cmath)])
    return np.array(columns).T


def points(name, count=2):
    """The start and random points about it."""
    x0 = ZOO[name].x0
    rng = np.random.default_rng(0)
    return [x0, *(x0 + 0.05 * rng.normal(size=x0.size) * (1 + abs(x0)) for _ in range(count))]


def test_the_whole_set_of_more_garbow_and_hillstrom_is_there():
    numbers = {int(entry.source[4:]) for entry in ZOO.values() if entry.source.startswith("MGH ")}
    assert numbers == set(range(1, 36))
    assert {base(name) for name in NAMES} == {*zoo_formulas.SYSTEMS, *zoo_formulas.OTHERS}


@pytest.mark.parametrize("name", NAMES)
def test_value_and_gradient_equal_the_formula_by_index(name):
    f = ZOO[name].f
    for x in points(name):
        value, gradient = tw.value_and_grad(f)(x)
        expected = zoo_formulas.value(base(name), x.tolist())
        # A residual near 0 is a difference of numbers near 1; its square changes by twice itself times its rounding.
        size = abs(expected) + abs(expected) ** 0.5
        assert abs(value - f(x)) <= formula(1) * size
        assert abs(value - expected) <= formula(20) * size
        slopes = formula_gradient(name, x)
        assert np.abs(gradient - slopes).max() <= formula(100) * np.abs(slopes).max()


@pytest.mark.parametrize("name", NAMES)
def test_the_hessian_is_the_change_of_the_formulas_gradient(name):
    f = ZOO[name].f
    rng = np.random.default_rng(1)
    x = points(name, 1)[1]
    hessian = tw.hessian(f)(x)
    assert np.abs(hessian - hessian.T).max() <= formula(100) * np.abs(hessian).max()
    v = rng.normal(size=x.size) * np.maximum(0.1, abs(x))
    h = 1e-4
    coarse, fine = (
        (formula_gradient(name, x + step * v) - formula_gradient(name, x - step * v)) / (2 * step)
        for step in (h, h / 2)
    )
    # What the extrapolated difference is off by is less than what the last halving of the step changed.
    rounded = formula(100) * np.abs(formula_gradient(name, x)).max() / h
    assert np.abs(hessian @ v - (4 * fine - coarse) / 3).max() <= np.abs(coarse - fine).max() + rounded
    product = tw.hvp(f)(x, v)
    assert np.abs(hessian @ v - product).max() <= formula(100) * (np.abs(hessian) @ np.abs(v)).max()


@pytest.mark.parametrize("name", NAMES)
def test_traced_code_equals_the_plain_function(name):
    f = ZOO[name].f
    quick = tw.compile(tw.value_and_grad(f), fuse=False)
    for x in points(name, 1):
        value, gradient = tw.value_and_grad(f)(x)
        traced, slopes = quick(x)
        np.testing.assert_allclose(traced, value, **COMPILED)
        assert np.abs(slopes - gradient).max() <= COMPILED["rtol"] * np.abs(gradient).max()


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_fused_code_equals_the_plain_function(name):
    f = ZOO[name].f
    quick = tw.compile(tw.value_and_grad(f))
    for x in points(name, 1):
        value, gradient = tw.value_and_grad(f)(x)
        fused, slopes = quick(x)
        np.testing.assert_allclose(fused, value, **COMPILED)
        assert np.abs(slopes - gradient).max() <= COMPILED["rtol"] * np.abs(gradient).max()


@pytest.mark.parametrize("name", SQUARES)
def test_the_squares_of_the_residuals_add_up(name):
    entry = ZOO[name]
    x = points(name, 1)[1]
    r = entry.residuals(x)
    assert r.ndim == 1
    assert abs(r @ r - entry.f(x)) <= formula(10) * entry.f(x)
    if base(name) in zoo_formulas.SYSTEMS:
        # Same residuals up to their order, which vectorised blocks change.
        expected = np.array(zoo_formulas.SYSTEMS[base(name)]([None, *x.tolist()], zoo_formulas.math))
        assert r.shape == expected.shape
        gap = np.abs(np.sort(np.abs(r)) - np.sort(np.abs(expected))).max()
        assert gap <= formula(100) * (np.abs(expected).max() + np.abs(x).max())
        jacobian, slopes = tw.jacobian(entry.residuals)(x), formula_jacobian(name, x)
        assert np.abs(jacobian.T @ jacobian - slopes.T @ slopes).max() <= formula(100) * np.abs(slopes).max() ** 2


def rounding(entry, x, operations=20):
    """What rounding x and f may change of f and of its gradient at x, the first entry by entry of the residuals."""
    if entry.residuals is None:
        hessian, terms = np.abs(tw.hessian(entry.f)(x)), 1 + np.abs(x).max() ** 2
        return formula(operations) * max(abs(entry.f(x)), terms), formula(operations) * (hessian @ (1 + np.abs(x)))
    r, jacobian = np.abs(entry.residuals(x)), np.abs(tw.jacobian(entry.residuals)(x))
    hessian = np.abs(tw.hessian(entry.f)(x))
    each = formula(operations) * (1 + r + jacobian @ np.abs(x))
    slope = formula(operations) * (hessian @ np.abs(x)) + 2 * jacobian.T @ each
    return float(2 * r @ each + each @ each), slope


@pytest.mark.parametrize(("name", "index"), MINIMA)
def test_a_listed_minimum_is_stationary_and_has_its_value(name, index):
    entry = ZOO[name]
    known = entry.minima[index]
    if known.published:
        unit = 10.0 ** Decimal(known.published).as_tuple().exponent
        assert abs(known.value - float(known.published)) <= PRINTED * unit
    for x in known.minimisers:
        of_value, of_slope = rounding(entry, x)
        assert abs(entry.f(x) - known.value) <= of_value
        assert abs(zoo_formulas.value(base(name), x.tolist()) - known.value) <= of_value
        assert (np.abs(formula_gradient(name, x)) <= of_slope).all()
        curvatures = np.linalg.eigvalsh(tw.hessian(entry.f)(x))
        if known.kind != "saddle":
            assert curvatures[0] >= -formula(100) * max(1.0, curvatures[-1])


@pytest.mark.parametrize(("name", "index"), MINIMA)
def test_kinds_of_minima(name, index):
    entry = ZOO[name]
    known = entry.minima[index]
    assert list(entry.minima) == sorted(entry.minima, key=lambda other: other.value)
    if known.kind == "global":
        assert known is entry.minima[0]
        assert entry.minimum == known.value
    if known.kind == "saddle":
        (x,) = known.minimisers
        for s in (0.1, 0.05):
            assert entry.f(x + beside(name, s)) < known.value


def beside(name, s):
    """A step of size s from a saddle to where the function is lower."""
    if name == "biggs_exp6":  # The two terms that coincide there move apart.
        return s * np.array([1, 0, 0, 0, -1, 0])
    if name == "dixon_price_10":  # x2 = s, every later parabola is followed, and x1 is the best for it.
        return np.array([4 * s**2 / 3, s, *(0.5 * (2 * s) ** 0.5 ** np.arange(1, 9))])
    assert name == "brown_almost_linear_10"  # Along the line of the linear equations the product is s^9 (11 - 10s).
    return s * np.array([1.0] * 9 + [-10.0])


def along(name, t):
    """A point that goes to infinity with t, where the entry has its limit."""
    if name == "beale":
        slope = (1.5 + 2 * 2.25 + 3 * 2.625) / 14
        return [-t, 1 + slope / t]
    if name == "bard":
        return [np.mean(zoo_formulas.data.BARD_Y), -t, -t]
    if name == "box_3d":
        return [0.6136003525261593, t, 1.3199552092025277]
    assert name == "kowalik_osborne"
    return [t, -14.075883400603313, -45.257191739323034 * t, -28.231496899087826 * t]


@pytest.mark.parametrize("name", [name for name, entry in ZOO.items() if any(k.kind == "limit" for k in entry.minima)])
def test_limits_are_approached_and_not_reached(name):
    entry = ZOO[name]
    (limit,) = (known.value for known in entry.minima if known.kind == "limit")
    gaps = [entry.f(np.array(along(name, t))) - limit for t in (1e3, 1e5, 1e7)]
    rounded = formula(100) * limit
    assert gaps[0] >= gaps[1] >= gaps[2] >= -rounded
    assert gaps[2] <= 2e-4 * gaps[0] + rounded  # what is left is of order 1/t or smaller; t grew by 10^4


def assert_listed(entry, end):
    """The end of a run is at a listed minimum, and not below the global one."""
    value = entry.f(end)
    assert min(abs(value - known.value) / (1 + abs(known.value)) for known in entry.minima) <= REACHED
    if entry.minimum is not None:
        assert value >= entry.minimum - rounding(entry, end)[0]


@pytest.mark.parametrize("name", SQUARES)
def test_a_trust_region_reaches_a_listed_minimum_of_squares(name):
    entry = ZOO[name]
    slopes = tw.compile(tw.jacobian(entry.residuals), fuse=False)
    precise = {"xtol": 1e-15, "ftol": 1e-15, "gtol": 1e-15, "max_nfev": 2000}
    with np.errstate(all="ignore"):
        # Not method="lm": SciPy 1.17's port of MINPACK ends at once, now and then, by what was left in memory.
        end = least_squares(entry.residuals, np.array(entry.x0), jac=slopes, method="trf", **precise)
    assert_listed(entry, end.x)


@pytest.mark.parametrize("name", [pytest.param(n, marks=[] if n not in SQUARES else pytest.mark.slow) for n in NAMES])
@pytest.mark.parametrize("method", ["BFGS", "trust-exact"])
def test_general_solvers_reach_a_listed_minimum(name, method):
    entry = ZOO[name]
    both = tw.compile(tw.value_and_grad(entry.f), fuse=False)
    curvature = tw.compile(tw.hessian(entry.f), fuse=False) if method == "trust-exact" else None
    options = {"gtol": 1e-7 if curvature else 1e-9, "maxiter": 3000}
    with np.errstate(all="ignore"):
        end = minimize(both, np.array(entry.x0), jac=True, hess=curvature, method=method, options=options)
    assert_listed(entry, end.x)


@pytest.mark.parametrize(
    ("value", "head"), [(0.0, []), (0.7125279095860827, [-0.57, -0.68]), (1.7232729334097199, [0.894, 1.451, -0.113])]
)
def test_minima_of_the_long_tridiagonal_system(value, head):
    # Far from the ends x_i is the root -sqrt(1/2) of 3 - 2x = 3 - 1/x; both local minima end in the same way.
    tail = [-0.67, -0.61, -0.45, -0.055, 0.76, 1.41] if head else []
    x = np.full(100, -np.sqrt(0.5))
    x[: len(head)], x[100 - len(tail) :] = head, tail
    entry = ZOO["broyden_tridiagonal_100"]
    end = minimize(tw.value_and_grad(entry.f), x, jac=True, method="L-BFGS-B", options={"ftol": 1e-15, "gtol": 1e-9})
    assert abs(end.fun - value) <= REACHED
    assert value in [known.value for known in entry.minima]


@pytest.mark.parametrize("name", [name for name, entry in ZOO.items() if entry.convex])
def test_convex_entries_have_no_negative_curvature(name):
    entry, rng = ZOO[name], np.random.default_rng(2)
    for scale in (0.1, 1.0, 10.0):
        x = entry.minimiser if entry.minimiser is not None else entry.x0
        curvatures = np.linalg.eigvalsh(tw.hessian(entry.f)(x + scale * rng.normal(size=x.size)))
        assert curvatures[0] >= -formula(100) * max(1.0, curvatures[-1])


def test_a_function_that_falls_forever_has_no_minimum():
    entry = ZOO["mccormick"]
    assert entry.minimum is None
    assert entry.minimiser is None
    assert entry.f(np.array([-1e6, -1e6])) < -1e5


@pytest.mark.parametrize("name", list(FAMILIES))
def test_a_family_has_members_of_other_sizes(name):
    family = FAMILIES[name]
    entry = family(8)
    assert entry.x0.shape == (8,)
    assert entry.name == f"{name}_8"
    x = entry.x0 + 0.01
    expected = zoo_formulas.value(name, x.tolist())
    assert abs(entry.f(x) - expected) <= formula(100) * abs(expected)
    for known in entry.minima:
        for point in known.minimisers:
            assert abs(entry.f(point) - known.value) <= rounding(entry, point)[0]


@pytest.mark.parametrize("n", [0, -2, 1.5, True, "4", None, 3])
def test_sizes_that_do_not_exist_are_refused(n):
    with pytest.raises(InputError, match="extended_rosenbrock needs a multiple of 2 >= 1"):
        FAMILIES["extended_rosenbrock"](n)


@pytest.mark.parametrize("name", NAMES)
def test_an_entry_becomes_a_problem(name):
    entry = pickle.loads(pickle.dumps(ZOO[name]))
    problem = entry.problem()
    assert (problem.name, problem.size, problem.minimum) == (name, entry.x0.size, entry.minimum)
    point = problem.at(problem.start())
    assert point.value == entry.f(entry.x0)
    if entry.residuals is None:
        with pytest.raises(UnsupportedError, match="not given as a sum of squares"):
            entry.least_squares()
    else:
        squares = entry.least_squares()
        assert abs(squares.at(squares.start()).value - point.value) <= formula(20) * abs(point.value)


def test_an_entry_reads_well():
    assert repr(ZOO["beale"]) == "TestFunction(beale, 2 parameters, minimum=0.0)"
    with pytest.raises(ValueError, match="read-only"):
        ZOO["beale"].x0[0] = 2.0


def test_the_page_lists_every_entry_as_it_is():
    page = (Path(__file__).parents[3] / "docs" / "zoo.md").read_text()
    rows = [line for line in page.splitlines() if line.startswith("| ")][1:]
    expected = []
    for entry in ZOO.values():
        kinds = [f"{k.value:.6g}" + ("" if k.kind == "global" else f" ({k.kind})") for k in entry.minima]
        minima = ", ".join(kinds[:4] + ["..."] * (len(kinds) > 4))
        count = "" if entry.residuals is None else entry.residuals(entry.x0).size
        expected.append(f"| {entry.name} | {entry.x0.size} | {count} | {minima} | {entry.source} |")
    assert rows == expected
