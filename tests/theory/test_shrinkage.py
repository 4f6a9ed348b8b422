import itertools
import pickle

import numpy as np
import pytest
from scipy.sparse.linalg import lsqr
from sklearn.decomposition import PCA

import tolerances
from thalweg.core.errors import InputError, UnsupportedError
from thalweg.problems import FiniteSum
from thalweg.theory.shrinkage import (
    GradientDescentFilter,
    MomentumFilter,
    RidgeFilter,
    ScheduleFilter,
    TruncationFilter,
    conjugate_gradient_filter,
    truncation_filter,
)
from thalweg.theory.spectral import SpectralModel


def with_spectrum(n, d, s, seed):
    rng = np.random.default_rng(seed)
    left, _ = np.linalg.qr(rng.standard_normal((n, len(s))))
    right, _ = np.linalg.qr(rng.standard_normal((d, len(s))))
    return (left * s) @ right.T, rng.standard_normal(n)


MATRICES = {
    "tall": with_spectrum(60, 12, np.linspace(1, 5, 12), 0),
    "wide": with_spectrum(12, 60, np.linspace(1, 5, 12), 1),
    "rank deficient": with_spectrum(30, 20, np.linspace(0.5, 3, 7), 2),
    "ill-conditioned": with_spectrum(40, 15, np.geomspace(1e-8, 1, 15), 3),
    "ill-conditioned, large": with_spectrum(20, 20, np.geomspace(1e-3, 1e7, 20), 4),
    "one row": with_spectrum(1, 4, np.array([2.0]), 5),
    "one column": with_spectrum(7, 1, np.array([2.0]), 6),
}


@pytest.fixture(params=MATRICES, name="problem")
def problem_(request):
    X, y = MATRICES[request.param]
    return X, y, float(np.linalg.norm(X, 2))


def close(found, expected, scale=0.0):
    assert np.linalg.norm(found - expected) <= tolerances.FILTER * max(np.linalg.norm(expected), scale)


def iterate(X, y, start, steps, step_size, momentum=0.0, nesterov=False):
    """The updates as they are written down."""
    before = w = start.copy()
    for _ in range(steps):
        ahead = w + momentum * (w - before)
        gradient = X.T @ (X @ (ahead if nesterov else w) - y)
        before, w = w, ahead - step_size * gradient
    return w


def starts(X):
    return [np.zeros(X.shape[1]), np.random.default_rng(9).standard_normal(X.shape[1])]


STEPS = (0, 1, 2, 25, 300)


@pytest.mark.parametrize("part", [0.3, 1.0, 1.7, 2.0])
def test_gradient_descent_equals_its_iterates(problem, part):
    X, y, top = problem
    step_size = part / top**2
    for start, steps in itertools.product(starts(X), STEPS):
        expected = iterate(X, y, start, steps, step_size)
        scale = step_size * np.linalg.norm(X.T @ y)  # at 2/s_max^2 a single direction comes back to the start
        close(GradientDescentFilter(steps, step_size).solution(X, y, start=start), expected, scale)
        close(ScheduleFilter((step_size,) * steps).solution(X, y, start=start), expected, scale)


@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize("momentum", [0.0, 0.5, 0.9, 0.99])
def test_momentum_equals_its_iterates(problem, momentum, nesterov):
    X, y, top = problem
    limit = (2 + 2 * momentum) / (1 + 2 * momentum) if nesterov else 2 + 2 * momentum
    for start, steps, part in itertools.product(starts(X), STEPS, (0.2, 1.0, 0.9 * limit)):
        step_size = part / top**2
        expected = iterate(X, y, start, steps, step_size, momentum, nesterov)
        close(MomentumFilter(steps, step_size, momentum, nesterov).solution(X, y, start=start), expected)
        if not nesterov:
            recursion = ScheduleFilter((step_size,) * steps, (momentum,) * steps)
            close(recursion.solution(X, y, start=start), expected)


def test_a_schedule_equals_its_iterates(problem):
    X, y, top = problem
    rng = np.random.default_rng(3)
    sizes, momenta = rng.uniform(0.1, 1.5, 40) / top**2, rng.uniform(0, 0.9, 40)
    before = w = np.ones(X.shape[1])
    for size, momentum in zip(sizes, momenta, strict=True):
        before, w = w, w - size * (X.T @ (X @ w - y)) + momentum * (w - before)
    close(ScheduleFilter(tuple(sizes), momenta).solution(X, y, start=np.ones(X.shape[1])), w)


def test_iterates_of_the_mean_objective_are_those_of_the_problem_that_fit_solves():
    X, y = MATRICES["tall"]
    problem = FiniteSum(X, y, loss="squared", l2=0.0, intercept=False)
    w, step_size = np.zeros(12), 0.7 * 60 / 25
    for _ in range(30):
        w = w - step_size * problem.at(w).gradient
    close(GradientDescentFilter(30, step_size).solution(X, y, objective="mean"), w)


def test_torch_takes_the_same_steps():
    torch = pytest.importorskip("torch")
    X, y = MATRICES["tall"]
    for nesterov in (False, True):
        w = torch.zeros(12, dtype=torch.float64, requires_grad=True)
        optimizer = torch.optim.SGD([w], lr=0.03, momentum=0.8, nesterov=nesterov)
        for _ in range(20):
            optimizer.zero_grad()
            (0.5 * (torch.tensor(X) @ w - torch.tensor(y)).square().sum()).backward()
            optimizer.step()
        last, before = (MomentumFilter(k, 0.03, 0.8, nesterov).solution(X, y) for k in (20, 19))
        close(w.detach().numpy(), last + 0.8 * (last - before) if nesterov else last)


def test_an_unstable_iteration_still_equals_its_iterates_and_says_so():
    X, y = MATRICES["tall"]
    s = np.linalg.svd(X, compute_uv=False)
    for given, momentum, nesterov in (
        (GradientDescentFilter(40, 2.5 / 25), 0.0, False),
        (MomentumFilter(40, 3.5 / 25, 0.5), 0.5, False),
        (MomentumFilter(40, 1.7 / 25, 0.5, nesterov=True), 0.5, True),
    ):
        assert not given.stable(s)
        close(given.solution(X, y), iterate(X, y, np.zeros(12), 40, given.step_size, momentum, nesterov))


@pytest.mark.parametrize(("momentum", "nesterov"), [(0.0, False), (0.5, False), (0.9, False), (0.5, True), (0.9, True)])
def test_stable_means_that_the_iterates_stay_bounded(momentum, nesterov):
    top = 3.7
    limit = (2 + 2 * momentum) / (1 + 2 * momentum) if nesterov else 2 + 2 * momentum
    for part, stable in ((0.999, True), (1.0, True), (1.001, False)):
        given = MomentumFilter(20_000, part * limit / top**2, momentum, nesterov)
        assert given.stable([1.0, top]) is stable
        # |r| <= 1 + k |w_1 - w_0| in the worst case at the limit itself; beyond it, 1.001^20000 is 5e8 at least.
        assert (abs(given.shrinkage(top)) < 1e3) == stable
        if momentum == 0:
            assert GradientDescentFilter(1, part * limit / top**2).stable([1.0, top]) is stable


def test_ridge_equals_the_solution_of_the_augmented_system(problem):
    X, y, top = problem
    n, d = X.shape
    for relative in (1.0, 1e-3, 1e-5):
        ridge = relative * top**2
        rows = np.vstack([X, np.sqrt(ridge) * np.eye(d)])
        for start in starts(X):
            orthogonal, triangular = np.linalg.qr(rows)
            right = np.concatenate([y, np.sqrt(ridge) * start])
            close(RidgeFilter(ridge).solution(X, y, start=start), np.linalg.solve(triangular, orthogonal.T @ right))
        normal = np.linalg.solve(X.T @ X + ridge * np.eye(d), X.T @ y)
        close(RidgeFilter(ridge).solution(X, y), normal)


def test_iterated_ridge_starts_again_from_its_own_solution(problem):
    X, y, top = problem
    ridge = 0.01 * top**2
    w = np.zeros(X.shape[1])
    for _ in range(5):
        w = np.linalg.solve(X.T @ X + ridge * np.eye(len(w)), X.T @ y + ridge * w)
    close(RidgeFilter(ridge, iterations=5).solution(X, y), w)


def test_truncation_is_regression_on_principal_components():
    for name in ("tall", "ill-conditioned"):
        X, y = MATRICES[name]
        X, y = X - X.mean(axis=0), y - y.mean()
        s = np.linalg.svd(X, compute_uv=False)
        for components in (1, 4, 9):
            pca = PCA(components, svd_solver="full").fit(X)
            scores = pca.transform(X)
            w = pca.components_.T @ np.linalg.solve(scores.T @ scores, scores.T @ y)
            close(truncation_filter(components, s).solution(X, y), w)


def test_truncation_keeps_values_at_the_threshold_and_none_below():
    given = TruncationFilter(2.0)
    assert given.shrinkage([0.0, 1.9999, 2.0, 5.0]).tolist() == [0, 0, 1, 1]
    assert given.degrees_of_freedom([3, 2, 1]) == 2
    assert truncation_filter(2, [1.0, 4.0, 9.0]).threshold == pytest.approx(2.0)
    assert truncation_filter(3, [1.0, 4.0, 9.0]).threshold == 1.0


def test_singular_values_that_repeat_are_kept_or_left_out_together():
    """A decomposition returns them apart by rounding, on both sides of the threshold."""
    q = np.linalg.qr(np.random.default_rng(0).normal(size=(40, 40)))[0]
    s = np.linalg.svd(3 * q, compute_uv=False)
    assert s.min() < 3 < s.max()
    assert TruncationFilter(3.0).degrees_of_freedom(s) == 40
    with pytest.raises(InputError, match="are both 3 up to rounding"):
        truncation_filter(7, s)
    assert truncation_filter(40, s).degrees_of_freedom(s) == 40


@pytest.mark.parametrize("name", MATRICES)
def test_conjugate_gradients_equal_lsqr(name):
    X, y = MATRICES[name]
    model = SpectralModel(X, y)
    # Where squares fall by 14 from one to the next, rounding changes each further iterate a thousand times as much.
    for start in starts(X):
        for steps in (1, 2, 3) if "ill" in name else (1, 2, 3, 5, 7):
            expected = lsqr(X, y, iter_lim=steps, atol=0, btol=0, conlim=0, x0=start)[0]
            close(conjugate_gradient_filter(model, steps, start).solution(X, y, start=start), expected)


@pytest.mark.parametrize("scale", [1e-130, 1e130])
def test_conjugate_gradients_do_not_mind_units(scale):
    X, y = MATRICES["tall"]
    w = conjugate_gradient_filter(SpectralModel(X, y), 4).solution(X, y)
    close(conjugate_gradient_filter(SpectralModel(scale * X, y), 4).solution(scale * X, y) * scale, w)
    close(conjugate_gradient_filter(SpectralModel(X, scale * y), 4).solution(X, scale * y) / scale, w)


def test_conjugate_gradients_stop_at_the_solution():
    X, y = with_spectrum(20, 9, np.array([1.0, 1.0, 1.0, 2.0, 2.0, 3.0, 3.0, 3.0, 3.0]), 8)
    given = conjugate_gradient_filter(SpectralModel(X, y), 50)
    assert 3 <= len(given.step_sizes) <= 4  # three distinct values; a fourth step may see their rounding errors
    close(given.solution(X, y), np.linalg.lstsq(X, y, rcond=None)[0])
    nothing = conjugate_gradient_filter(SpectralModel(X, np.zeros(20)), 5)
    assert nothing.step_sizes == () and not nothing.solution(X, np.zeros(20)).any()


def test_degrees_of_freedom_are_the_trace_of_the_fitted_values():
    X, _ = MATRICES["tall"]
    s = np.linalg.svd(X, compute_uv=False)
    for given in (
        RidgeFilter(2.0),
        GradientDescentFilter(8, 0.03),
        MomentumFilter(8, 0.03, 0.7),
        TruncationFilter(3.0),
    ):
        trace = np.trace(X @ given.solution(X, np.eye(60)))
        assert given.degrees_of_freedom(s) == pytest.approx(trace, rel=tolerances.FILTER)
    with pytest.raises(UnsupportedError, match="not linear in y"):
        conjugate_gradient_filter(SpectralModel(*MATRICES["tall"]), 3).degrees_of_freedom(s)


@pytest.mark.parametrize(
    "given",
    [
        RidgeFilter(0.3),
        RidgeFilter(0.3, iterations=4),
        GradientDescentFilter(17, 0.2),
        MomentumFilter(1, 0.2, 0.9),
        MomentumFilter(17, 0.2, 0.9),
        MomentumFilter(17, 0.2, 0.9, nesterov=True),
        MomentumFilter(17, 0.2, 0.0),
        ScheduleFilter((0.1, 0.3, 0.2), (0.0, 0.5, 0.9)),
    ],
)
def test_time_is_the_slope_at_zero(given):
    for s in (1e-7, 1e-9):
        # The next term is of relative size time * s^2, 3e-12 at most.
        assert float(given.shrinkage(s)) == pytest.approx(given.time * s**2, rel=1e-11)
        assert float(given.factor(s)) == pytest.approx(given.time * s, rel=1e-11)


def test_edges_of_time():
    assert RidgeFilter(0.0).time == np.inf and RidgeFilter(0.0, iterations=0).time == 0
    assert GradientDescentFilter(0, 1.0).time == MomentumFilter(0, 1.0, 0.9).time == ScheduleFilter(()).time == 0
    assert TruncationFilter(0.5).time == 4


def test_the_neumann_sum_of_the_notes():
    X, y = MATRICES["tall"]
    step, q = 0.02, 12
    terms = [np.linalg.matrix_power(np.eye(12) - step * X.T @ X, k) @ (step * X.T @ y) for k in range(q)]
    close(GradientDescentFilter(q, step).solution(X, y), sum(terms))


def test_directions_without_data_stay_where_they_started():
    X, y = MATRICES["rank deficient"]
    start = np.arange(20.0)
    null = np.linalg.svd(X)[2][7:]
    for given in (
        RidgeFilter(1.0),
        GradientDescentFilter(50, 0.1),
        MomentumFilter(50, 0.1, 0.9),
        TruncationFilter(1.0),
    ):
        close(null @ given.solution(X, y, start=start), null @ start)
        assert given.factor(0.0) == 0


def test_extreme_values_do_not_break():
    s = np.array([0.0, 5e-324, 1e-200, 1e-160, 1.0, 1e160])
    for given in (RidgeFilter(1e-300), RidgeFilter(0.0), RidgeFilter(1e300), TruncationFilter(1e-300)):
        assert np.isfinite(given.shrinkage(s)).all() and (given.shrinkage(s) <= 1).all()
        assert not np.isnan(given.factor(s)).any()
    for given in (GradientDescentFilter(10**300, 1.0), MomentumFilter(10**300, 1.0, 0.9), ScheduleFilter((1.0,) * 9)):
        assert np.isfinite(given.shrinkage(s[:-1])).all()
    assert RidgeFilter(1.0).shrinkage(np.empty((2, 0))).shape == (2, 0)
    assert RidgeFilter(1.0).shrinkage(2).shape == ()


def test_filters_are_plain_values():
    for given in (RidgeFilter(1.0), MomentumFilter(3, 0.1, 0.5, True), ScheduleFilter([0.1, 0.2])):
        assert pickle.loads(pickle.dumps(given)) == given and hash(given) == hash(pickle.loads(pickle.dumps(given)))
        assert type(given).__name__ in repr(given)
    with pytest.raises(AttributeError):
        RidgeFilter(1.0).ridge = 2.0


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: RidgeFilter(-1.0), "ridge=-1.0: expected a finite number >= 0"),
        (lambda: RidgeFilter(float("nan")), "ridge=nan"),
        (lambda: RidgeFilter(True), "ridge=True"),
        (lambda: RidgeFilter(1.0, iterations=1.5), "iterations=1.5: expected a whole number"),
        (lambda: TruncationFilter(0.0), "threshold=0"),
        (lambda: TruncationFilter(float("inf")), "threshold=inf"),
        (lambda: truncation_filter(3, [1.0, 0.0, 2.0]), "components=3: s has 2 positive values"),
        (lambda: truncation_filter(0, [1.0]), "components=0"),
        (lambda: truncation_filter(1, [2.0, 2.0]), "both 2"),
        (lambda: GradientDescentFilter(-1, 0.1), "steps=-1: expected a whole number"),
        (lambda: GradientDescentFilter(True, 0.1), "steps=True"),
        (lambda: GradientDescentFilter(2.0, 0.1), "steps=2.0"),
        (lambda: GradientDescentFilter(2, 0.0), "step_size=0: nothing would move"),
        (lambda: GradientDescentFilter(2, "a"), "step_size='a'"),
        (lambda: MomentumFilter(2, 0.1, 1.0), "momentum=1.0: the iterates do not settle"),
        (lambda: MomentumFilter(2, 0.1, -0.1), "momentum=-0.1"),
        (lambda: MomentumFilter(2, 0.1, 0.9, 1), "nesterov=1: expected True or False"),
        (lambda: ScheduleFilter((0.1, 0.2), (0.5,)), r"shape \(2,\) and momenta \(1,\)"),
        (lambda: ScheduleFilter(0.1), r"step_sizes has shape \(\)"),
        (lambda: ScheduleFilter((0.1, float("nan"))), r"step_sizes\[1\] = nan"),
        (lambda: RidgeFilter(1.0).shrinkage([1.0, -1.0]), r"s\[1\] = -1.0: expected finite real numbers >= 0"),
        (lambda: RidgeFilter(1.0).factor(float("nan")), "s = nan"),
        (lambda: RidgeFilter(1.0).degrees_of_freedom("abc"), "s is an array of <U3"),
        (lambda: GradientDescentFilter(1, 1.0).stable([1j]), "s is an array of complex128"),
        (lambda: conjugate_gradient_filter(SpectralModel(np.ones((2, 1)), np.ones((2, 1))), 1), "take one target"),
    ],
)
def test_bad_settings_are_refused(make, said):
    with pytest.raises(InputError, match=said):
        make()
