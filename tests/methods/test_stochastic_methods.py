"""What theory says of stochastic methods, observed: plateau, batch law, falling steps, averages; tuning; real tables.

Statistics come from quadratics with hundreds of directions, so that one run is many; standard errors are taken over
stretches of the run that are long beside its memory.
"""

import math

import numpy as np
import pytest
import scipy.sparse as sp

import thalweg as tw
from thalweg.core.records import Status
from thalweg.methods import SGD, SVRG, AdaGrad, Adam, AdamW, Lion, NagGs, RMSProp
from thalweg.methods.averaging import PolyakAverage
from thalweg.methods.batch_rules import expected_smoothness, scaled_step
from thalweg.methods.method import Noise
from thalweg.methods.schedule import Cosine, InverseTime, TheoryDecay
from thalweg.problems import FiniteSum, Quadratic
from thalweg.problems.noisy import Noisy
from thalweg.theory import bounds
from tolerances import PLATEAU, STANDARD_ERRORS, arithmetic, summation

EXAMPLES = 256


def noisy_quadratic(curvatures, copies, away=0.0):
    """Copies of a quadratic side by side, started away from the minimum, with unit noise along every direction."""
    h = np.tile(curvatures, copies)
    return Noisy.sampled(Quadratic(sp.diags_array(h).tocsr(), x0=np.full(len(h), float(away))), 1.0, EXAMPLES, seed=0)


def walk(problem, method, epochs):
    """The states of a run, start included."""
    state = method.init(problem.at(problem.start()))
    yield state
    for _ in range(epochs):
        state = method.step(state)
        yield state


# --- The plateau ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kappa", "size", "of_longest", "batch_size"),
    [
        (1, 1, 0.1, 1),
        (1, 1, 1.0, 8),
        (10, 4, 0.5, 1),
        (10, 4, 0.1, 8),
        (10, 40, 1.5, 8),
        (100, 4, 0.5, 8),
        (100, 40, 1.5, 1),
        (100, 40, 0.5, 4),
    ],
)
def test_the_plateau_is_the_formula(kappa, size, of_longest, batch_size):
    """E f - f* = sum_i alpha sigma_i^2/(2 B (2 - alpha h_i)), within 10%, and within its own standard errors."""
    h = np.geomspace(1 / kappa, 1, size)
    copies, stretches = max(400 // size, 10), 12
    problem = noisy_quadratic(h, copies)
    method = SGD(of_longest, batch_size=batch_size, sampling="replacement", seed=1)
    # A stretch is four times the memory of the slowest direction, and at least eight epochs.
    epochs = max(8, round(4 * kappa / of_longest * batch_size / EXAMPLES))
    values = np.array([state.point.value for state in walk(problem, method, (stretches + 1) * epochs)]) / copies
    means = values[1 + epochs :].reshape(stretches, epochs).mean(axis=1)
    exact = bounds.sgd_plateau(eigenvalues=h, variances=1.0, step_size=of_longest, batch_size=batch_size)
    ratio, error = means.mean() / exact, means.std(ddof=1) / math.sqrt(stretches) / exact
    assert error < PLATEAU / 3, error
    assert abs(ratio - 1) < PLATEAU
    assert abs(ratio - 1) < STANDARD_ERRORS * error


@pytest.mark.parametrize("batch_size", [1, 2, 5, 20])
def test_noise_of_a_batch_is_that_over_b_and_less_without_replacement(batch_size):
    """E||g_B - g||^2 = sigma^2/B with replacement; (n - B)/(n - 1) of it without."""
    n, draws = 20, 4000
    problem = Noisy.sampled(Quadratic(np.eye(3)), [1.0, 4.0, 9.0], n, seed=2)
    point = problem.at(np.ones(3))
    for sampling, factor in (("replacement", 1.0), ("reshuffle", (n - batch_size) / (n - 1))):
        sampler = tw.Sampler(n, batch_size, sampling, seed=3)
        batches = [next(sampler.batches(epoch)) for epoch in range(draws)]
        squares = np.array([np.square(point.sample(batch) - point.gradient).sum() for batch in batches])
        expected = bounds.minibatch_variance(
            variance=point.gradient_variance, batch_size=batch_size, examples=n if sampling == "reshuffle" else None
        )
        assert expected == pytest.approx(14.0 / batch_size * factor, rel=summation(n), abs=1e-12)
        error = squares.std(ddof=1) / math.sqrt(draws)
        assert abs(squares.mean() - expected) <= STANDARD_ERRORS * error + 1e-12


def test_reshuffled_epochs_end_below_the_plateau():
    """Noise that sums to zero over an epoch: for small steps the end of an epoch lies far below the plateau."""
    problem = noisy_quadratic(np.ones(1), 200)
    levels = {}
    for sampling in ("replacement", "reshuffle"):
        values = [s.point.value for s in walk(problem, SGD(0.005, sampling=sampling, batch_size=1), 40)][15:]
        levels[sampling] = np.mean(values)
    assert levels["reshuffle"] < 0.4 * levels["replacement"]


# --- Falling steps and averages -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kappa", "batch_size"), [(5.0, 1), (20.0, 4)])
def test_falling_steps_reach_the_rate_of_one_over_t(kappa, batch_size):
    """E f - f* stays below (1/rho_0 + mu^2 B T/(2 sigma^2 L))^-1, and log f falls against log T with slope -1."""
    h, copies = np.geomspace(1 / kappa, 1, 4), 100
    mu, variance = 1 / kappa, 4.0
    away = math.sqrt(0.9 * 2 * variance / (mu * batch_size * h.sum()))  # rho_0 just below sigma^2/(mu B)
    problem = noisy_quadratic(h, copies, away)
    gap = problem.at(problem.start()).value / copies
    schedule = TheoryDecay(kappa, mu * batch_size * gap / variance)
    method = SGD(1.0, schedule=schedule, batch_size=batch_size, sampling="replacement")
    epochs = round(400 * kappa * batch_size / EXAMPLES) + 1
    states = list(walk(problem, method, epochs))
    steps = np.array([state.memory["count"] for state in states])
    values = np.array([state.point.value for state in states]) / copies
    constants = {"L": 1.0, "mu": mu, "variance": variance, "gap": gap, "batch_size": batch_size}
    limits = np.array([bounds.sgd_falling(steps=int(t), **constants) for t in steps])
    # One value is a mean over 400 directions: 2/sqrt(400 * 2) of it is more than its standard error.
    assert (values <= limits * (1 + STANDARD_ERRORS * 0.07)).all()
    late = steps > 10 * kappa
    slope = np.polyfit(np.log(steps[late]), np.log(values[late]), 1)[0]
    assert slope == pytest.approx(-1.0, abs=0.15)


def test_averaging_gains_what_theory_gives():
    """The mean of T iterates of SGD on a quadratic, against the variance of a mean of correlated numbers.

    Along curvature h an iterate is v <- (1 - alpha h) v + noise with variance V = alpha sigma^2/(B h (2 - alpha h)), so
    that the mean of T has the variance V/T ((1 + r)/(1 - r) - 2 r (1 - r^T)/(T (1 - r)^2)), r = 1 - alpha h: for large
    T sigma^2/(B T h^2) whatever alpha (Polyak and Juditsky, SIAM J. Control Optim. 30 (1992), theorem 1).
    """
    h, copies, alpha, burn, length = np.array([0.2, 1.0]), 400, 0.5, 4, 8
    problem = noisy_quadratic(h, copies)
    ratios = []
    for seed in range(4):
        average = PolyakAverage(burn * EXAMPLES)
        method = SGD(alpha, batch_size=1, sampling="replacement", average=average, seed=seed)
        *_, last = walk(problem, method, burn + length)
        steps = length * EXAMPLES
        r = 1 - alpha * h
        variance = alpha / (h * (2 - alpha * h))
        of_mean = variance / steps * ((1 + r) / (1 - r) - 2 * r * (1 - r**steps) / (steps * (1 - r) ** 2))
        exact = 0.5 * float(h @ of_mean)
        plateau = bounds.sgd_plateau(eigenvalues=h, variances=1.0, step_size=alpha)
        limit = 0.5 * float((1 / (steps * h)).sum())
        assert exact == pytest.approx(limit, rel=0.02)
        assert plateau > 100 * exact
        ratios.append(last.point.value / copies / exact)
        assert last.point.value < 0.02 * problem.at(last.memory["x"]).value
    error = np.std(ratios, ddof=1) / math.sqrt(len(ratios))
    assert abs(np.mean(ratios) - 1) < STANDARD_ERRORS * max(error, 0.02)


# --- Tuning ---------------------------------------------------------------------------------------------------------

NOISE = Noise(variance=3.0, largest_single=20.0, examples=100, gap=5.0, target=1e-3)


def test_sgd_is_tuned_for_its_target():
    method = SGD(batch_size=4, sampling="replacement").tuned(2.0, 0.1, noise=NOISE)
    assert method.step_size == pytest.approx(4 * 1e-3 / 3.0, rel=arithmetic(operations=4))
    # That is a plateau of at most half the target, on any quadratic with such noise.
    for h in (np.array([0.1, 2.0]), np.full(5, 2.0)):
        plateau = bounds.sgd_plateau(eigenvalues=h, variances=3.0 / len(h), step_size=method.step_size, batch_size=4)
        assert plateau <= 0.5e-3 * (1 + arithmetic())
    # The worst case is that of the theory.
    worst = SGD(batch_size=4, sampling="replacement", worst_case=True).tuned(2.0, 0.1, noise=NOISE)
    exact = bounds.sgd_step_size(L=2.0, mu=0.1, variance=3.0, target=1e-3, batch_size=4)
    assert worst.step_size == pytest.approx(exact, rel=arithmetic(operations=4))
    # Without replacement, a batch of B is worth more.
    without = SGD(batch_size=4).tuned(2.0, 0.1, noise=NOISE)
    assert without.step_size == pytest.approx(method.step_size * 99 / 96, rel=arithmetic(operations=8))
    # Momentum makes 1/(1 - beta) steps of one.
    assert SGD(momentum=0.9, batch_size=4).tuned(2.0, 0.1, noise=NOISE).step_size == pytest.approx(
        0.1 * without.step_size, rel=arithmetic(operations=8)
    )


@pytest.mark.parametrize("settings", [{"schedule": Cosine(100)}, {"average": PolyakAverage()}, {"batch_size": 50}])
def test_without_a_floor_to_fear_the_step_is_the_longest(settings):
    noise = Noise(3.0, 20.0, 100, 5.0, 10.0 if "batch_size" in settings else 1e-3)
    for quadratic, factor in ((False, 0.5), (True, 1.0)):
        method = SGD(**settings).tuned(2.0, 0.1, quadratic=quadratic, noise=noise)
        smooth = expected_smoothness(2.0, settings.get("batch_size", 32), noise, replacement=False)
        assert method.step_size == pytest.approx(factor / smooth, rel=arithmetic(operations=8))
    assert SGD().tuned(2.0, 0.1).step_size == 0.5  # no noise at all
    assert SGD(batch_size=None).tuned(2.0, 0.1, noise=NOISE).step_size == 0.5


def test_what_was_given_stays():
    assert SGD(0.3).tuned(2.0, 0.1, noise=NOISE).step_size == 0.3
    assert NagGs(mu=0.7).tuned(2.0, 0.1, noise=NOISE).mu == 0.7
    ready = SGD(0.3, schedule=TheoryDecay(start=0.5)).tuned(2.0, 0.1, noise=NOISE)
    assert (ready.step_size, ready.schedule.start) == (0.3, 0.5)
    assert ready.schedule.condition_number == pytest.approx(1 / (0.1 * 0.3))
    assert ready.is_tuned


@pytest.mark.parametrize(
    ("method", "usual"), [(AdaGrad, 0.1), (RMSProp, 1e-3), (Adam, 1e-3), (AdamW, 1e-3), (Lion, 2e-4)]
)
def test_adaptive_methods_take_their_authors_steps_scaled_to_the_batch(method, usual):
    for batch_size in (1, 32, 128):
        found = method(batch_size=batch_size).tuned(2.0, 0.1, noise=Noise(3.0, 20.0, 1000, 5.0, 1e-3)).step_size
        assert found == scaled_step("adam", usual, 128, batch_size)
    assert method(batch_size=None).tuned(2.0, 0.1).step_size == usual


def test_the_step_follows_the_noise():
    """sigma^2 is measured again after every epoch: near the minimum of a good fit it is a fraction of that at zero."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 4))
    problem = FiniteSum(X, X @ [5.0, -3.0, 1.0, 2.0] + 0.1 * rng.normal(size=400), "squared", 1e-3)
    states = []
    solution = tw.solve(
        problem,
        SGD(batch_size=8),
        scale=False,
        tol=1e-3,
        callback=lambda event: states.append(getattr(event, "x", None)),
    )
    assert solution.status is Status.CONVERGED
    largest = np.linalg.eigvalsh(problem.at(problem.start()).hessian)[-1]
    single = problem.at(problem.start()).largest_single
    longest = 1 / expected_smoothness(largest, 8, Noise(1.0, single, 400, 1.0, 1.0), replacement=False)
    for k, step_size in enumerate(solution.trace["step_size"][1:]):
        point = problem.at(states[k + 1])  # the first event is the start of the run
        level = max(1e-3, point.gradient @ point.gradient / (2 * largest))
        expected = min(8 * level / point.gradient_variance * 399 / 392, longest)
        assert step_size == pytest.approx(expected, rel=100 * summation(400))
    # In the range where the step is limited by noise, its floor stays below half of what is left.
    assert solution.cost.steps < 20


def test_nag_gs_is_accelerated_with_whole_gradients():
    """The tuned flow takes O(sqrt(kappa)) steps on a quadratic, where gradient descent takes O(kappa)."""
    kappa = 1e4
    problem = Quadratic(np.diag(np.geomspace(1 / kappa, 1, 30)), x0=np.ones(30))
    accelerated = tw.solve(problem, NagGs(batch_size=None), tol=1e-8)
    assert accelerated.status is Status.CONVERGED
    assert accelerated.cost.steps < 12 * math.sqrt(kappa)
    plain = tw.solve(problem, SGD(batch_size=None), tol=1e-8, max_steps=12 * int(math.sqrt(kappa)))
    assert plain.status is Status.BUDGET_SPENT


# --- Real tables ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def breast_cancer():
    datasets = pytest.importorskip("sklearn.datasets")
    X, y = datasets.load_breast_cancer(return_X_y=True)
    problem = FiniteSum((X - X.mean(axis=0)) / X.std(axis=0), 2.0 * y - 1, "logistic", 1e-2)
    return problem, tw.solve(problem).value


@pytest.fixture(scope="module")
def digits():
    datasets = pytest.importorskip("sklearn.datasets")
    X, y = datasets.load_digits(return_X_y=True)
    problem = FiniteSum(X / 16, y, "softmax", 1e-2)
    return problem, tw.solve(problem).value


METHODS = [
    SGD(), SGD(momentum=0.9, nesterov=True), SGD(average=PolyakAverage(50)), AdaGrad(), RMSProp(), Adam(),
    AdamW(weight_decay=0.0), Lion(), NagGs(), SVRG(batch_size=16),
    Adam(0.01, schedule=InverseTime(500, power=0.5), clip_norm=1.0),
]  # fmt: skip


@pytest.mark.parametrize("method", [*METHODS, SGD(schedule=TheoryDecay())], ids=str)
def test_every_method_gets_near_the_minimum_on_breast_cancer(method, breast_cancer):
    """f(0) = 0.69; the target is a proven f - f* <= 5e-3 within 300 epochs, tuned but for one step that was given."""
    problem, minimum = breast_cancer
    solution = tw.solve(problem, method, tol=5e-3, max_steps=300)
    assert solution.status is Status.CONVERGED
    assert solution.value - minimum <= solution.certificate.gap <= 5e-3


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS, ids=str)
def test_every_method_reaches_a_hundredth_on_digits(method, digits):
    """f(0) = 2.30; the target is a proven f - f* <= 1e-2 within 150 epochs."""
    problem, minimum = digits
    solution = tw.solve(problem, method, tol=1e-2, max_steps=150)
    assert solution.status is Status.CONVERGED
    assert solution.value - minimum <= solution.certificate.gap <= 1e-2
