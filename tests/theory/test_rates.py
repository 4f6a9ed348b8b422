"""Rates of sequences whose rate is known: by formula, by theory of the method that made them, or none at all."""

import json
import pickle

import numpy as np
import pytest
from scipy.optimize import minimize, rosen, rosen_der

from thalweg.core.errors import InputError
from thalweg.theory.rates import RateKind, rate
from tolerances import FACTOR_SEEN, formula

SUBLINEAR, LINEAR, SUPERLINEAR = RateKind.SUBLINEAR, RateKind.LINEAR, RateKind.SUPERLINEAR
QUADRATIC, FLOOR, UNDECIDED = RateKind.QUADRATIC, RateKind.FLOOR, RateKind.UNDECIDED
K = np.arange(1.0, 61.0)

# Formula, values, kind, and the figures that belong to it (rate.q, rate.power or rate.order).
WORKED = [
    ("1/3^k", 1 / 3**K, LINEAR, {"q": 1 / 3}),
    ("4/3^k", 4 / 3**K, LINEAR, {"q": 1 / 3}),
    ("0.707^k", 0.707**K, LINEAR, {"q": 0.707}),
    ("0.999^k", 0.999 ** np.arange(1.0, 3001.0), LINEAR, {"q": 0.999}),
    ("1/k", 1 / K, SUBLINEAR, {"q": 1.0, "power": 1.0}),
    ("1/k^10", K**-10, SUBLINEAR, {"q": 1.0, "power": 10.0}),
    ("5/k^10", 5 * K**-10, SUBLINEAR, {"q": 1.0, "power": 10.0}),
    ("0.707^(2^k)", 0.707**2 ** np.arange(1.0, 11.0), QUADRATIC, {"q": 0.0, "order": 2.0}),
    ("1/k^k", K[:40] ** -K[:40], SUPERLINEAR, {"q": 0.0, "order": 1.0}),
    ("1/3^(k^2)", 3.0 ** -(K[:20] ** 2), SUPERLINEAR, {"q": 0.0, "order": 1.0}),
    ("0.9^(3^k)", 0.9**3 ** np.arange(1.0, 8.0), SUPERLINEAR, {"q": 0.0, "order": 3.0}),
]
#: Of values; what falls below the range of doubles is cut off.
SCALES = (1.0, 1e-200, 1e200)
NAMES = [case[0] for case in WORKED]


def agrees(found, kind, figures):
    assert found.kind is kind, found
    for name, wanted in figures.items():
        assert getattr(found, name) == pytest.approx(wanted, rel=1e-6, abs=1e-12), (name, found)
    assert 0.6 <= found.confidence <= 1
    assert found.why


@pytest.mark.parametrize(("text", "values", "kind", "figures"), WORKED, ids=NAMES)
def test_worked_sequences_as_formulas_and_as_functions(text, values, kind, figures):
    agrees(rate(text), kind, figures)
    agrees(rate(lambda k: eval(text.replace("^", "**"), {"k": k})), kind, figures)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize(("text", "values", "kind", "figures"), WORKED, ids=NAMES)
def test_worked_sequences_as_values_in_any_unit(text, values, kind, figures, scale):
    scaled = scale * values
    agrees(rate(scaled[scaled > 0], limit=0.0), kind, figures)


@pytest.mark.parametrize(("text", "values", "kind", "figures"), WORKED, ids=NAMES)
def test_values_that_fall_to_zero_need_no_limit(text, values, kind, figures):
    assert rate(values).kind is kind


@pytest.mark.parametrize("limit", [-3.0, 1e6])
def test_values_above_a_limit_other_than_zero(limit):
    geometric, quadratic, powers = limit + 100 * 0.8**K, limit + 0.9**2 ** np.arange(1.0, 11.0), limit + 9 / K**2
    for given in (limit, None):
        assert rate(geometric, limit=given).q == pytest.approx(0.8, rel=1e-3)
        assert rate(quadratic, limit=given).kind is QUADRATIC
        assert rate(powers, limit=given).power == pytest.approx(2.0, rel=0.01)
    assert rate(geometric).limit == pytest.approx(limit, abs=1e-3)
    assert rate(powers).limit == pytest.approx(limit, abs=1e-3)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("given", [0.0, None])
@pytest.mark.parametrize(
    "values",
    [np.where(K % 2 == 0, 1.2, 1 / 1.2), 1 + 0.3 * np.sin(K), 2 + (-1) ** K, np.exp(0.4 * np.cos(0.7 * K)), 1 + 0 * K],
    ids=["two in turn", "sine", "1 and 3", "cosine", "constant"],
)
def test_what_varies_around_a_level_is_undecided(values, given, scale):
    found = rate(scale * values, limit=given)
    assert found.kind is UNDECIDED, found
    assert found.q is found.order is found.power is None


@pytest.mark.parametrize("text", ["1+0.3*sin(k)", "2+(-1)^k", "1.2^((-1)^k)", "1", "k", "2^k"])
def test_formulas_that_do_not_go_to_zero_are_undecided(text):
    assert rate(text).kind is UNDECIDED


@pytest.mark.parametrize(
    "name", ["1/3^k", "0.707^k", "1/k", "1/k^10", "0.707^(2^k)", "1/k^k", "1/3^(k^2)", "0.9^(3^k)"]
)
def test_noise_of_thirty_decibels_never_makes_another_kind_of_it(name):
    _, values, kind, _ = WORKED[NAMES.index(name)]
    found = []
    for seed in range(20):
        noise = np.random.default_rng(seed).normal(size=len(values))
        found.append(rate(values * (1 + 10**-1.5 * noise), limit=0.0).kind)
    assert set(found) <= {kind, UNDECIDED}
    assert found.count(kind) >= 18


def quadratic_run(kappa, momentum):
    """Values of lam x^2 / 2 under x + b (x - before) - a lam x with the best constants, and their factor."""
    lam = np.geomspace(1.0, kappa, 12)
    root = np.sqrt(kappa)
    a = 4 / (1 + root) ** 2 if momentum else 2 / (1 + kappa)
    b = ((root - 1) / (root + 1)) ** 2 if momentum else 0.0
    radius = (root - 1) / (root + 1) if momentum else (kappa - 1) / (kappa + 1)
    x = before = np.ones(12)
    values = []
    for _ in range(int((30 * root if momentum else 6 * kappa) + 60)):
        values.append(0.5 * float(lam @ x**2))
        x, before = x - a * lam * x + b * (x - before), x
    return np.array(values), radius**2


@pytest.mark.parametrize("given", [0.0, None])
@pytest.mark.parametrize("momentum", [False, True], ids=["gradient descent", "heavy ball"])
@pytest.mark.parametrize("kappa", [10.0, 100.0])
def test_first_order_runs_on_a_quadratic_show_the_squared_spectral_radius(kappa, momentum, given):
    values, q = quadratic_run(kappa, momentum)
    found = rate(values, limit=given)
    assert found.kind is LINEAR, found
    assert 1 - found.q == pytest.approx(1 - q, rel=FACTOR_SEEN)


@pytest.mark.parametrize("limit", [0.0, 2.5])
@pytest.mark.parametrize("kappa", [10.0, 100.0, 1000.0])
def test_waves_of_nesterovs_method_are_linear(kappa, limit):
    lam, root = np.geomspace(1, kappa, 7), np.sqrt(kappa)
    x = z = np.random.default_rng(7).normal(size=7)
    values = []
    for _ in range(int(25 * root) + 40):
        values.append(limit + 0.5 * float(lam @ x**2))
        x, before = z - lam * z / kappa, x
        z = x + (root - 1) / (root + 1) * (x - before)
    for given in (limit, None):
        assert rate(values, limit=given).kind is LINEAR


def test_adam_on_a_quadratic_is_linear_in_the_end():
    x, m, v, values = np.full(7, 3.0), np.zeros(7), np.zeros(7), []
    for t in range(1, 1500):  # far below rounding of the start it still falls, in waves
        values.append(0.5 * float(x @ x))
        m, v = 0.9 * m + 0.1 * x, 0.999 * v + 0.001 * x**2
        x = x - 0.05 * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
    assert rate(values, limit=0.0).kind is LINEAR


@pytest.mark.parametrize("given", [0.0, None])
def test_values_that_come_several_times_each_rest_on_no_floor(given):
    found = rate(np.repeat(0.9 ** np.arange(60.0), 5), limit=given)
    assert (found.kind, found.q) == (LINEAR, pytest.approx(0.9**0.2, rel=1e-6))


def newton(value, gradient, hessian, x):
    """Values of 20 Newton steps, each halved until it descends."""
    values = [float(value(x))]
    for _ in range(20):
        step, t = np.linalg.solve(hessian(x), gradient(x)), 1.0
        while t > 1e-9 and not value(x - t * step) <= values[-1] - 0.2 * t * float(gradient(x) @ step) + 1e-12:
            t /= 2
        x = x - t * step
        values.append(float(value(x)))
    return np.array(values)


def newton_runs(seed):
    rng = np.random.default_rng(seed)
    A, w = rng.normal(size=(60, 4)), rng.normal(size=4)
    signed, counts, waits = (
        A * np.sign(A @ w + rng.logistic(size=60))[:, None],
        rng.poisson(np.exp(A @ w)),
        rng.gamma(2, 1, 60),
    )
    sigmoid, eye = (lambda z: 1 / (1 + np.exp(-z))), np.eye(4)
    yield newton(
        lambda x: np.logaddexp(0, -signed @ x).sum() + 0.05 * x @ x,
        lambda x: 0.1 * x - signed.T @ sigmoid(-signed @ x),
        lambda x: 0.1 * eye + (signed.T * sigmoid(signed @ x) * sigmoid(-signed @ x)) @ signed,
        np.zeros(4),
    )
    yield newton(  # Poisson regression
        lambda x: (np.exp(A @ x) - counts * (A @ x)).sum(),
        lambda x: A.T @ (np.exp(A @ x) - counts),
        lambda x: (A.T * np.exp(A @ x)) @ A,
        np.zeros(4),
    )
    yield newton(  # gamma regression
        lambda x: (A @ x + waits * np.exp(-A @ x)).sum(),
        lambda x: A.T @ (1 - waits * np.exp(-A @ x)),
        lambda x: (A.T * waits * np.exp(-A @ x)) @ A,
        np.zeros(4),
    )
    yield newton(
        lambda x: np.logaddexp(0, A @ x).sum() + 0.5 * x @ x - 3 * w @ x,
        lambda x: A.T @ sigmoid(A @ x) + x - 3 * w,
        lambda x: eye + (A.T * sigmoid(A @ x) * sigmoid(-A @ x)) @ A,
        3 * w,
    )
    yield newton(
        lambda x: 0.5 * x @ (A.T @ A) @ x + np.exp(3 * x).sum(),
        lambda x: A.T @ A @ x + 3 * np.exp(3 * x),
        lambda x: A.T @ A + np.diag(9 * np.exp(3 * x)),
        np.full(4, 2.0),
    )


def test_newton_on_smooth_convex_functions_is_quadratic():
    runs = [values for seed in range(8) for values in newton_runs(seed)]
    for limits in ([float(values.min()) for values in runs], [None] * len(runs)):
        found = [rate(values, limit=limit).kind for values, limit in zip(runs, limits, strict=True)]
        assert set(found) <= {QUADRATIC, SUPERLINEAR}
        assert found.count(QUADRATIC) >= 0.95 * len(runs)


def test_newton_towards_an_unknown_minimum_far_from_zero_ends_on_no_floor():
    found = rate(
        newton(
            lambda x: (x[0] - 1) ** 4 + (x[0] + 1) ** 2,
            lambda x: 4 * (x - 1) ** 3 + 2 * (x + 1),
            lambda x: np.diag(12 * (x - 1) ** 2 + 2),
            np.array([4.0]),
        )[:8]
    )
    assert found.kind is QUADRATIC


@pytest.mark.parametrize("start", [0.5, 0.9, 1.1, 1.3])
def test_newton_in_four_steps_is_quadratic_without_its_minimum(start):
    x, values = start, []
    for _ in range(9):  # f = 1 + x - log x, for which 1 - x is squared each step
        values.append(1 + x - np.log(x))
        x = x * (2 - x)
    for stop in (len(values), int(np.argmin(values)) + 1):
        assert rate(values[:stop]).kind is QUADRATIC


@pytest.mark.parametrize("order", [1.5, 1.618, 1.7, 2.5, 3.0])
@pytest.mark.parametrize("limit", [0.0, 1.0])
def test_orders_other_than_two_are_not_quadratic(order, limit):
    for q in (0.9, 0.5):
        r = q**order ** np.arange(1.0, 20.0)
        assert rate(limit + r[r > 1e-300], limit=limit).kind is not QUADRATIC


def test_the_secant_method_is_superlinear():
    for f, a, b in ((lambda x: np.exp(x) - 3, 0.0, 2.0), (lambda x: x**3 - x - 2, 1.0, 2.0)):
        residuals = [abs(f(a))]
        while b != a and len(residuals) < 20:
            residuals.append(abs(f(b)))
            a, b = b, (b - f(b) * (b - a) / (f(b) - f(a)) if f(a) != f(b) else b)
        found = rate(residuals, limit=0.0)
        assert (found.kind, found.order) == (SUPERLINEAR, pytest.approx((1 + np.sqrt(5)) / 2, rel=0.03))


@pytest.mark.parametrize("start", [(-1.2, 1.0), (2.0, 2.0), (-1.0, -1.0), (0.0, 3.0)])
def test_bfgs_on_rosenbrock_is_superlinear(start):
    values = [rosen(np.array(start))]
    minimize(rosen, start, jac=rosen_der, callback=lambda x: values.append(rosen(x)), options={"gtol": 1e-12})
    assert rate(values, limit=0.0).kind in (SUPERLINEAR, QUADRATIC)


def test_noise_that_bends_a_fall_near_its_floor_makes_no_superlinear_one_of_it():
    for seed in (0, 2, 22):  # in one dimension the noise takes x through zero, where log f plunges
        rng = np.random.default_rng(seed)
        x, values = 10.0, []
        for _ in range(2000):
            values.append(0.5 * x**2)
            x -= 0.05 * (x + rng.normal())
        assert rate(values, limit=0.0).kind is FLOOR


def test_superlinear_falls_to_a_floor_stay_superlinear():
    noise = 1e-8 * (1 + 0.3 * np.random.default_rng(0).normal(size=99)).clip(0.01)
    k = np.arange(1.0, 100.0)
    for values in (k**-k, 3.0 ** -(k**2 / 4)):
        assert rate(values + noise, limit=0.0).kind is SUPERLINEAR


@pytest.mark.parametrize("seed", range(5))
def test_constant_steps_with_noise_fall_to_a_floor(seed):
    rng = np.random.default_rng(seed)
    lam, step = np.array([1.0, 2.0, 5.0]), 0.05
    x, values = np.full(3, 10.0), []
    for _ in range(3000):
        values.append(0.5 * float(lam @ x**2))
        x = x - step * (lam * x + rng.normal(size=3))
    found = rate(values, limit=0.0)
    assert found.kind is FLOOR, found
    # x is an autoregression with variance a / (lam (2 - a lam)) in the end, and E x falls by 1 - a lam a step.
    for mean in (float(np.mean(values[1500:])), float(np.sum(0.5 * step / (2 - step * lam)))):
        assert abs(found.floor - mean) <= 3 * found.floor_error + 0.1 * mean
    assert 0.9 * (1 - step) ** 2 < found.q < 1.05 * (1 - step) ** 2


@pytest.mark.parametrize("name", ["1/3^k", "1/k^10", "0.707^(2^k)", "1/k^k"])
def test_a_record_survives_json_and_a_rate_pickling(name):
    text, values, kind, _ = WORKED[NAMES.index(name)]
    for found in (rate(text), rate(values, limit=0.0)):
        record = found.record()
        assert json.loads(json.dumps(record, allow_nan=False)) == {
            name: list(value) if isinstance(value, tuple) else value for name, value in record.items()
        }
        assert record["kind"] == str(kind)
        assert RateKind(record["kind"]) is kind
        assert pickle.loads(pickle.dumps(found)) == found
        assert str(found).startswith(f"{kind}, {found.figures}")


def test_the_root_test_decides_where_the_ratio_test_is_silent():
    found = rate("(2+(-1)^k)/3^k")
    assert found.kind is LINEAR
    assert found.root_test == pytest.approx(1 / 3, rel=1e-6)
    # Ratios are 3/3 and (1/3)/3 in turn.
    assert found.ratio_test == pytest.approx((1 / 9, 1.0), rel=formula(100))


@pytest.mark.parametrize(
    ("source", "limit", "named"),
    [
        ([1.0, 0.5, np.nan, 0.1], None, "value 3 of 4 is nan"),
        ([1.0, np.inf], None, "value 2 of 2 is inf"),
        ([1.0, 0.5, -0.25, 0.1], 0.0, "value 3 is -0.25, below limit=0"),
        ([[1.0, 0.5], [0.25, 0.1]], None, r"shape \(2, 2\)"),
        (0.5, None, "float|shape"),
        ([], None, "shape|empty"),
        ([True, False], None, "bool"),
        ([1j, 0.5j], None, "complex"),
        (["a", "b"], None, "type"),
        (None, None, "NoneType"),
        ("losses.csv", None, "losses.csv"),
        ("hello world", None, "world|name"),
        ("1/3^", None, "1/3"),
        ("", None, "empty|formula"),
        ("1/3^(k*n)", None, "n is a second name"),
        ("2^3^k", None, "parentheses"),
        ("-1/k", None, "negative"),
        ([1.0, 0.5], np.nan, "limit=nan"),
        ([1.0, 0.5], True, "limit=True"),
        ([1.0, 0.5], "0", "limit='0'"),
    ],
)
def test_bad_input_is_refused_by_name(source, limit, named):
    with pytest.raises(InputError, match=named):
        rate(source, limit=limit)


@pytest.mark.parametrize("values", [[1.0], [1.0, 0.5], [1.0, 0.5, 0.25]])
def test_up_to_three_values_of_a_geometric_sequence_say_nothing(values):
    assert rate(values, limit=0.0).kind is UNDECIDED
    assert rate(values).kind is UNDECIDED
