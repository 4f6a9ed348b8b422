"""Every bound holds on every row of the register, and from a wrong L it does not; arguments, records and the page."""

import inspect
import math
import pickle
import re
from pathlib import Path

import numpy as np
import pytest

import tolerances
from thalweg.core.errors import InputError, UnsupportedError
from thalweg.core.random import generator
from thalweg.theory import bounds
from theory.bound_register import BROKEN_BY, ROWS

PAGE = Path(__file__).parents[2] / "docs" / "theory.md"
#: Put to the test within other rows, or below.
ELSEWHERE = {
    "sgd_step_size": "the step of the rows of sgd_steps",
    "sgd_falling_step_size": "the steps of the rows of sgd_falling",
    "gradient_descent_flops": "counted",
    "gradient_descent_memory": "counted",
    "newton_flops": "counted",
    "newton_memory": "counted",
}


# --- The register ---------------------------------------------------------------------------------------------------


def test_the_register_has_every_bound_and_no_row_twice():
    assert {row.bound for row in ROWS} | ELSEWHERE.keys() == bounds.BOUNDS.keys()
    assert BROKEN_BY.keys() == {row.bound for row in ROWS} - {"minibatch_variance"}  # an equality without L
    assert len({str(row) for row in ROWS}) == len(ROWS) >= 80


@pytest.mark.parametrize(
    "row", [pytest.param(row, marks=pytest.mark.slow) if row.slow else row for row in ROWS], ids=str
)
def test_the_bound_holds(row):
    outcome = row.run(1.0)
    assert outcome.holds, outcome


@pytest.mark.parametrize("name", BROKEN_BY)
def test_the_bound_breaks_when_L_is_halved(name):
    """Tuned from half of L, a run breaks the bound: it is not vacuous."""
    assert any(not row.run(0.5).holds for row in ROWS if row.bound == name and not row.slow)


# --- Formulas against brute force -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kappa", [1, 2, 10, 1e3])
def test_heavy_ball_is_the_worst_case_over_the_spectrum(kappa):
    """The largest |p_k| over many curvatures of the recurrence itself."""
    beta = ((math.sqrt(kappa) - 1) / (math.sqrt(kappa) + 1)) ** 2
    h = np.linspace(1, kappa, 2001)
    alpha = (2 + 2 * beta) / (kappa + 1)
    before, now = np.ones_like(h), np.ones_like(h)
    for k in range(60):
        worst = bounds.heavy_ball_distance(L=kappa, mu=1.0, distance=1.0, steps=k)
        assert np.abs(now).max() == pytest.approx(worst, rel=tolerances.bound_attained(k), abs=1e-300)
        assert bounds.heavy_ball(L=kappa, mu=1.0, gap=1.0, steps=k) == pytest.approx(worst**2, rel=1e-14)
        before, now = now, (1 + beta - alpha * h) * now - beta * before


def test_steps_for_a_target_are_enough():
    rng = generator(0)
    for _ in range(200):
        L = 10 ** rng.uniform(-3, 3)
        constants = {"L": L, "mu": L * 10 ** rng.uniform(-4, 0), "gap": 10 ** rng.uniform(-3, 3)}
        target = constants["gap"] * 10 ** rng.uniform(-8, 0.5)
        steps = math.ceil(bounds.gradient_descent_steps(target=target, **constants))
        assert bounds.gradient_descent(steps=steps, **constants) <= target * (1 + 1e-9)
        assert bounds.gradient_descent.steps_until(target, **constants) <= steps + 1

        variance = constants["mu"] * target * 10 ** rng.uniform(-3, 4)
        noise = {"variance": variance, "batch_size": int(rng.integers(1, 100))}
        steps = math.ceil(bounds.sgd_steps(target=target, **constants, **noise))
        step_size = bounds.sgd_step_size(L=L, mu=constants["mu"], target=target, **noise)
        assert bounds.sgd(step_size=step_size, steps=steps, **constants, **noise) <= target * (1 + 1e-9)

        examples, mu, gap = int(rng.integers(1, 1000)), constants["mu"], constants["gap"]
        found = bounds.svrg_gradients(examples=examples, L_max=L, mu=mu, gap=gap, target=target)
        epoch_steps = math.ceil(20 * L / mu)
        epochs = found / (examples + 2 * epoch_steps)
        assert epochs == int(epochs)
        reached = bounds.svrg(L_max=L, mu=mu, step_size=0.2 / L, epoch_steps=epoch_steps, gap=gap, steps=int(epochs))
        assert reached <= target * (1 + 1e-9)


def test_falling_steps_obey_the_recursion_of_sgd():
    """rho_{t+1} >= (1 - alpha_t mu) rho_t + alpha_t^2 sigma^2 L/(2B): what one step of SGD is sure of."""
    constants = {"L": 5.0, "mu": 0.5, "variance": 3.0, "batch_size": 2, "gap": 2.9}
    for t in range(200):
        rho, following = (bounds.sgd_falling(steps=k, **constants) for k in (t, t + 1))
        alpha = bounds.sgd_falling_step_size(steps=t, **constants)
        assert alpha == pytest.approx(0.5 * 2 * rho / (3.0 * 5.0), rel=1e-13)
        assert alpha <= 1 / 5.0
        assert following >= (1 - alpha * 0.5) * rho + alpha**2 * 3.0 * 5.0 / 4


def test_the_plateau_is_the_fixed_point_of_the_second_moments():
    h, sigma2, alpha = np.array([0.3, 1.0, 4.0]), np.array([1.0, 0.2, 3.0]), 0.4
    moments = np.zeros(3)
    for _ in range(500):
        moments = (1 - alpha * h) ** 2 * moments + alpha**2 * sigma2 / 5
    found = bounds.sgd_plateau(eigenvalues=h, variances=sigma2, step_size=alpha, batch_size=5)
    assert found == pytest.approx(0.5 * h @ moments, rel=1e-12)
    assert bounds.sgd_plateau(eigenvalues=h, variances=0.2, step_size=alpha) == pytest.approx(
        bounds.sgd_plateau(eigenvalues=list(h), variances=[0.2] * 3, step_size=alpha), rel=1e-15
    )


def test_svrg_on_quadratics_is_sharper_and_best_in_its_free_number():
    for theta, steps in ((0.01, 300), (0.1, 100), (0.24, 5000)):
        constants = {"L_max": 2.0, "mu": 0.1, "step_size": theta / 2.0, "epoch_steps": steps, "gap": 1.0, "steps": 1}
        fixed, s = 1 / (0.1 * theta / 2.0 * steps), np.geomspace(1e-3, 2 / theta - 1 - 1e-3, 20001)
        grid = (fixed + (1 + 1 / s) * theta) / (2 - (1 + s) * theta)
        found = bounds.svrg_quadratic(**constants)
        assert found == pytest.approx(grid[grid > 0].min(), rel=1e-5)
        assert found <= bounds.svrg(**constants) * (1 + 1e-15)
        if theta <= 0.1:
            assert found <= 0.6 * bounds.svrg(**constants)


def test_svrg_is_sharper_than_the_theorem_it_comes_from():
    """Johnson and Zhang, theorem 1: (1/(mu eta m) + 2 theta)/(1 - 2 theta)."""
    for theta in (0.01, 0.1, 0.2, 0.4):
        for fixed in (0.01, 0.3, 3.0):
            found = bounds.svrg(L_max=1.0, mu=0.01, step_size=theta, epoch_steps=1, gap=0.01 * theta * fixed, steps=1)
            ours, theirs = 1 / (0.01 * theta) + theta / (1 - theta), (1 / (0.01 * theta) + 2 * theta) / (1 - 2 * theta)
            assert found == pytest.approx(ours * 0.01 * theta * fixed, rel=1e-13) and ours < theirs


def test_no_pair_of_step_and_epoch_needs_half_the_gradients_of_the_default():
    constants = {"examples": 1, "L_max": 1e3, "mu": 1.0, "gap": 1.0, "target": 1e-60}
    grid = [
        bounds.svrg_gradients(step_size=theta / 1e3, epoch_steps=int(1e3 / theta / fixed), **constants)
        for theta in np.linspace(0.02, 0.45, 40)
        for fixed in np.linspace(0.01, 0.95 - theta / (1 - theta), 40)
        if fixed > 0
    ]
    assert bounds.svrg_gradients(**constants) <= 1.1 * min(grid)


def test_what_theory_knows_in_numbers():
    assert bounds.gradient_descent(L=4.0, mu=1.0, gap=16.0, steps=2) == 9.0
    assert bounds.gradient_descent_quadratic(L=3.0, mu=1.0, gap=16.0, steps=2) == 1.0
    assert bounds.gradient_descent_distance(L=3.0, mu=1.0, distance=4.0, steps=2) == 1.0
    assert bounds.descent_lemma(value=1.0, gradient_norm=2.0, step_size=0.5, L=2.0) == 0.0
    assert bounds.smallest_gradient(L=2.0, step_size=0.5, gap=3.0, steps=4) == 3.0
    assert bounds.smallest_gradient(L=2.0, step_size=0.5, gap=3.0, steps=0) == math.inf
    assert bounds.nesterov_convex(L=2.0, distance=3.0, steps=2) == 4.0
    assert bounds.nesterov(L=4.0, mu=1.0, gap=6.0, distance=2.0, steps=3) == 1.0
    assert bounds.conjugate_gradients(L=9.0, mu=1.0, error=8.0, steps=3) == pytest.approx(2.0, rel=1e-15)
    assert bounds.sgd(L=2.0, mu=1.0, variance=4.0, step_size=0.5, gap=8.0, steps=3, batch_size=2) == 2.0
    assert bounds.sgd_step_size(L=2.0, mu=1.0, variance=0.0, target=1e-3) == 0.5
    assert bounds.sgd_step_size(L=2.0, mu=1.0, variance=8.0, target=0.5, batch_size=4) == 0.125
    assert bounds.minibatch_variance(variance=6.0, batch_size=3) == 2.0
    assert bounds.minibatch_variance(variance=6.0, batch_size=3, examples=5) == 1.0
    assert bounds.minibatch_variance(variance=6.0, batch_size=1, examples=1) == 0.0
    assert bounds.newton_radius(mu=3.0, M=2.0) == 1.0
    assert bounds.newton_radius(mu=3.0, M=0.0) == math.inf
    assert bounds.newton(mu=3.0, M=2.0, distance=0.5, steps=1) == 0.125
    assert bounds.newton(mu=3.0, M=0.0, distance=1e9, steps=1) == 0.0
    assert bounds.newton(mu=3.0, M=2.0, distance=np.nextafter(1.0, 0.0), steps=10**9) <= 1.0


def test_nothing_is_lost_or_made_up_where_the_gap_is_closed():
    for mu in (0.0, 1e-320):
        assert bounds.gradient_descent(L=1.0, mu=mu, gap=1.0, steps=10) == 1.0
        assert bounds.nesterov(L=1.0, mu=mu, gap=1.0, distance=1.0, steps=10) == 1.0
    assert bounds.sgd_steps(L=1.0, mu=1.0, variance=1.0, gap=0.0, target=1.0) == 0.0
    assert bounds.sgd_steps(L=1.0, mu=1.0, variance=1.0, gap=0.4, target=1.0) == 0.0
    assert bounds.gradient_descent_steps(L=1.0, mu=1.0, gap=1.0, target=2.0) == 0.0
    assert bounds.svrg_gradients(examples=5, L_max=1.0, mu=1.0, gap=1.0, target=2.0) == 0.0


# --- Costs against counts -------------------------------------------------------------------------------------------


class Counted:
    """A number that counts what is done with it."""

    operations = 0

    def __init__(self, value):
        self.value = float(value)

    def _new(self, value):
        Counted.operations += 1
        return Counted(value)

    def __add__(self, other):
        return self._new(self.value + other.value)

    def __sub__(self, other):
        return self._new(self.value - other.value)

    def __mul__(self, other):
        return self._new(self.value * other.value)

    def __truediv__(self, other):
        return self._new(self.value / other.value)

    def root(self):
        return self._new(math.sqrt(self.value))


def dot(a, b, begin=None):
    for u, v in zip(a, b, strict=True):
        begin = u * v if begin is None else begin + u * v
    return begin


def counted_newton(X, w, n):
    """One Newton step for rows whose slope is z and curvature 1, row by row; and what it keeps."""
    d = len(w)
    gradient, triangle = [Counted(0)] * d, [[Counted(0)] * (i + 1) for i in range(d)]
    kept = len(gradient) + sum(map(len, triangle)) + 2
    for x in X:
        slope, curvature = dot(x, w) / n, Counted(1) / n
        for i in range(d):
            gradient[i] = gradient[i] + slope * x[i]
            scaled = curvature * x[i]
            for j in range(i + 1):
                triangle[i][j] = triangle[i][j] + scaled * x[j]
    for j in range(d):
        for k in range(j):
            triangle[j][j] = triangle[j][j] - triangle[j][k] * triangle[j][k]
        triangle[j][j] = triangle[j][j].root()
        for i in range(j + 1, d):
            for k in range(j):
                triangle[i][j] = triangle[i][j] - triangle[i][k] * triangle[j][k]
            triangle[i][j] = triangle[i][j] / triangle[j][j]
    for i in range(d):
        for k in range(i):
            gradient[i] = gradient[i] - triangle[i][k] * gradient[k]
        gradient[i] = gradient[i] / triangle[i][i]
    for i in reversed(range(d)):
        for k in range(i + 1, d):
            gradient[i] = gradient[i] - triangle[k][i] * gradient[k]
        gradient[i] = gradient[i] / triangle[i][i]
    return [u - v for u, v in zip(w, gradient, strict=True)], kept


def counted_gradient_step(X, w, n, alpha):
    gradient = [Counted(0)] * len(w)
    kept = len(gradient) + 1
    for x in X:
        slope = dot(x, w) / n
        for i in range(len(w)):
            gradient[i] = gradient[i] + slope * x[i]
    return [u - alpha * v for u, v in zip(w, gradient, strict=True)], kept


@pytest.mark.parametrize(("n", "d"), [(1, 1), (6, 4), (9, 7)])
def test_costs_are_what_a_program_does(n, d):
    rng = generator(n)
    numbers = rng.normal(size=(n, d)) if n > 1 else np.ones((1, 1))
    X, w = [[Counted(v) for v in row] for row in numbers], [Counted(v) for v in rng.normal(size=d)]

    Counted.operations = 0
    reached, kept = counted_newton(X, w, Counted(n))
    assert Counted.operations == bounds.newton_flops(examples=n, features=d, steps=1)
    assert kept == bounds.newton_memory(features=d)
    assert max(abs(u.value) for u in reached) <= tolerances.solve(np.linalg.cond(numbers) ** 2, size=d) * 10

    Counted.operations = 0
    _, kept = counted_gradient_step(X, w, Counted(n), Counted(0.1))
    assert 3 * Counted.operations == bounds.gradient_descent_flops(examples=n, features=d, steps=3)
    assert kept == bounds.gradient_descent_memory(features=d)


# --- Arguments ------------------------------------------------------------------------------------------------------

GOOD = {
    "L": 2.0, "L_max": 2.0, "mu": 0.5, "M": 1.0, "value": 1.0, "gradient_norm": 1.0, "step_size": 0.1, "gap": 0.5,
    "distance": 0.3, "error": 1.0, "target": 1e-3, "variance": 3.0, "steps": 7, "batch_size": 4, "examples": 9,
    "features": 3, "epoch_steps": 500, "eigenvalues": [1.0, 2.0], "variances": [1.0, 0.5],
}  # fmt: skip
WHOLE = {"steps", "batch_size", "examples", "features", "epoch_steps"}
ARRAYS = {"eigenvalues", "variances"}
SIGNED = {"value"}
CASES = [(name, argument) for name, bound in bounds.BOUNDS.items() for argument in inspect.signature(bound).parameters]


def call(name, **changes):
    bound = bounds.BOUNDS[name]
    return bound(**{argument: GOOD[argument] for argument in inspect.signature(bound).parameters} | changes)


@pytest.mark.parametrize(("name", "argument"), CASES)
def test_bad_arguments_are_refused_by_name(name, argument):
    assert math.isfinite(call(name))
    bad = [math.nan, math.inf, "1", True, [[1.0]], 1j, np.ones(0), -math.inf]
    bad += [] if argument in SIGNED else [-1.0, -1]
    bad += [1.5, 2**60] if argument in WHOLE else []
    bad += [[1.0, 2.0, 3.0], [1.0, math.nan], [[1.0, 2.0]], [-1.0, 1.0], "ab", None] if argument == "variances" else []
    bad += [[1.0, 0.0], [1.0, math.nan], []] if argument == "eigenvalues" else []
    bad += [None] if argument != "examples" and name != "svrg_gradients" else []
    for value in bad:
        with pytest.raises(InputError, match=argument):
            call(name, **{argument: value})


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("gradient_descent", {"mu": 3.0}, "mu=3.0 exceeds L=2.0"),
        ("svrg", {"mu": 3.0}, "mu=3.0 exceeds L_max=2.0"),
        ("sgd", {"mu": 0.0}, "mu=0"),
        ("heavy_ball", {"mu": 0}, "mu=0"),
        ("smallest_gradient", {"step_size": 0.6}, "step_size=0.6.*1/L = 0.5"),
        ("sgd", {"step_size": 0.6}, "step_size=0.6.*1/L = 0.5"),
        ("sgd_plateau", {"step_size": 1.0}, "step_size=1.0.*2/L = 1"),
        ("svrg", {"step_size": 0.25}, r"step_size=0.25.*1/\(2 L_max\) = 0.25"),
        ("svrg_quadratic", {"step_size": 1.0}, "step_size=1.0.*2/L_max = 1"),
        ("svrg_gradients", {"step_size": 0.25}, r"step_size=0.25.*1/\(2 L_max\) = 0.25"),
        ("svrg_gradients", {"epoch_steps": 10}, "epoch_steps=10: an epoch is sure of no decrease"),
        ("sgd_falling", {"gap": 2.0}, "gap=2.0 > sigma.*= 1.5.*steps of 1/L"),
        ("sgd_falling", {"variance": 0.0}, "variance=0"),
        ("minibatch_variance", {"batch_size": 10}, "batch_size=10: only 9"),
        ("newton", {"distance": 1 / 3}, "distance=0.333.*2 mu/"),
        ("gradient_descent", {"gap": 0.5, "L": 0.0}, "L=0.0"),
        ("descent_lemma", {"gradient_norm": 1e300}, "range of floating-point numbers"),
        ("sgd_steps", {"mu": 1e-320, "target": 1e-10}, "range of floating-point numbers"),
    ],
)
def test_violated_assumptions_are_named(name, changes, message):
    with pytest.raises(InputError, match=message):
        call(name, **changes)


def test_a_step_that_rounding_put_above_the_longest_is_taken():
    for L in (3.0, 7.0, 49.0):
        assert bounds.sgd(L=L, mu=1.0, variance=1.0, step_size=np.nextafter(1 / L, 1.0), gap=1.0, steps=3) > 0


# --- The record -----------------------------------------------------------------------------------------------------


SYMBOLS = {
    "f(x)": "value", "||g||": "gradient_norm", "||x_0 - x*||_A": "error", "||x_0 - x*||": "distance",
    "f_0 - f*": "gap", "sigma^2": "variance", "^": "**",
}  # fmt: skip
LETTERS = {
    "alpha": "step_size", "eta": "step_size", "rho_0": "gap", "eps": "target", "k": "steps", "T": "steps",
    "B": "batch_size", "n": "examples", "d": "features", "m": "epoch_steps",
}  # fmt: skip
#: Formulas with sums, recursions, minima or words, which other tests spell out.
IN_WORDS = {"minibatch_variance", "sgd_plateau", "sgd_falling_step_size", "svrg_quadratic", "svrg_gradients", "newton"}


@pytest.mark.parametrize("name", sorted(bounds.BOUNDS.keys() - IN_WORDS))
def test_the_formula_says_what_the_function_does(name):
    """The text is read as arithmetic: products by a space, powers by ^."""
    text, _, factor = bounds.BOUNDS[name].formula.split(":")[0].partition(", q = ")
    text = text.replace("q^k", f"({factor})^k")
    for symbol, argument in SYMBOLS.items():
        text = text.replace(symbol, argument)
    text = re.sub(r"(?<=[\w)]) (?=[\w(])", "*", text)
    kappa = GOOD["L"] / GOOD["mu"]
    beta = ((math.sqrt(kappa) - 1) / (math.sqrt(kappa) + 1)) ** 2
    functions = {"sqrt": math.sqrt, "log": math.log, "max": max, "min": min}
    letters = {letter: GOOD[argument] for letter, argument in LETTERS.items()}
    names = GOOD | functions | letters | {"kappa": kappa, "beta": beta}
    assert eval(text, {}, names) == pytest.approx(call(name), rel=1e-12)


def test_steps_until_is_the_first_step_at_the_target():
    constants = {"L": 100.0, "mu": 1.0, "gap": 1.0}
    for bound in (bounds.gradient_descent, bounds.heavy_ball, bounds.gradient_descent_quadratic):
        steps = bound.steps_until(1e-6, **constants)
        assert bound(steps=steps, **constants) <= 1e-6 < bound(steps=steps - 1, **constants)
    assert bounds.gradient_descent.steps_until(1.0, **constants) == 0
    floor = bounds.sgd(L=1.0, mu=1.0, variance=1.0, step_size=0.1, gap=0.0, steps=0)
    with pytest.raises(InputError, match="sgd stays above"):
        bounds.sgd.steps_until(0.9 * floor, L=1.0, mu=1.0, variance=1.0, step_size=0.1, gap=1.0)
    with pytest.raises(InputError, match="target=0"):
        bounds.gradient_descent.steps_until(0.0, **constants)
    with pytest.raises(UnsupportedError, match="newton_radius does not fall"):
        bounds.newton_radius.steps_until(1.0, mu=1.0, M=1.0)


def test_records_are_documented_callable_and_picklable():
    for name, bound in bounds.BOUNDS.items():
        assert getattr(bounds, name) is bound is pickle.loads(pickle.dumps(bound))
        assert name in repr(bound) and bound.formula in str(bound) and bound.source in str(bound)
        assert bound.__doc__ and bound.assumptions
        assert all(p.kind is p.KEYWORD_ONLY for p in inspect.signature(bound).parameters.values())
        assert bound.falls is (bound.falls and "steps" in inspect.signature(bound).parameters)


def test_the_page_says_what_the_records_say():
    page = PAGE.read_text()
    assert [
        name for name, bound in bounds.BOUNDS.items() if f"### {name}\n" not in page or str(bound) not in page
    ] == []
