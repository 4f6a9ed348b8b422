"""Expected f - f* beside closed forms, scalar recursions written out, every order of a few examples, and many runs."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest

import thalweg as tw
from thalweg.methods import (
    SGD,
    Adam,
    ClipNorm,
    Cosine,
    Cyclic,
    ExponentialAverage,
    InverseTime,
    NagGs,
    PolyakAverage,
    StepDecay,
    TheoryDecay,
    Warmup,
    WeightAverage,
)
from thalweg.methods.method import Noise
from thalweg.problems.zoo import spectrum
from thalweg.theory.second_moments import GradientNoise, SecondMoments, why_not_linear
from tolerances import NEIGHBOURING_UPDATES, STANDARD_ERRORS, STEPS_ON_QUADRATIC, arithmetic

CASES = [(kind, kappa) for kind in ("uniform", "geometric", "clustered") for kappa in (10.0, 1e3)]
EXACT = {"rel": 1e-10}


def plain(alpha, **settings):
    return SGD(alpha, batch_size=4, sampling="replacement", **settings)


@pytest.mark.parametrize(("kind", "kappa"), CASES)
def test_plateaus_in_closed_form(kind, kappa):
    """Plain, heavy ball (the stationary variance of a second-order autoregression), and an exponential average."""
    values = np.asarray(spectrum(kind, 12, kappa))
    variances, alpha = np.linspace(0.5, 2.0, 12), 0.5 / values.max()
    noise = GradientNoise(variances)
    found = SecondMoments(plain(alpha), values, np.ones(12), noise).plateau
    assert found == pytest.approx((alpha * variances / (8 * (2 - alpha * values))).sum(), **EXACT)
    beta = 0.9
    heavy = alpha * variances / (8 * (1 - beta) * (2 * (1 + beta) - alpha * values)) * (1 + beta)
    assert SecondMoments(plain(alpha, momentum=beta), values, np.ones(12), noise).plateau == pytest.approx(
        heavy.sum(), **EXACT
    )
    # Var of sum_j (1 - d) d^j x_{t-j} with corr(x_t, x_{t-j}) = rho^j is var (1 - d)/(1 + d) (1 + d rho)/(1 - d rho).
    d, rho = 0.95, 1 - alpha * values
    single = alpha * variances / (8 * (2 - alpha * values))
    average = single * (1 - d) / (1 + d) * (1 + d * rho) / (1 - d * rho)
    kept = SecondMoments(plain(alpha, average=ExponentialAverage(d)), values, np.ones(12), noise).plateau
    assert kept == pytest.approx(average.sum(), **EXACT)


def test_the_mean_of_iterates():
    """From x_0 = 0 the mean of T iterates responds to noise t by alpha (1 - rho^(T - t + 1))/(T (1 - rho))."""
    values, variance, alpha, B = np.array([0.05, 0.3, 1.0]), 2.0, 0.4, 4
    moments = SecondMoments(plain(alpha, average=PolyakAverage()), values, np.zeros(3), GradientNoise(variance))
    for T in (1, 7, 1000, 5_000):
        rho, left = 1 - alpha * values[:, None], np.arange(1, T + 1)
        response = alpha * (1 - rho**left) / (T * (1 - rho))
        exact = 0.5 * variance / B * (values @ (response**2).sum(axis=1))
        assert moments.gaps(T) == pytest.approx(exact, rel=NEIGHBOURING_UPDATES)
    # What any average tends to: sum sigma^2/(2 B T h).
    assert exact == pytest.approx((variance / (2 * B * T * values)).sum(), rel=0.03)


@pytest.mark.parametrize(
    "schedule",
    [InverseTime(20), Warmup(30).then(Cosine(300, 0.01)), StepDecay(100, 0.3), TheoryDecay(10, 5.0)],
    ids=repr,
)
def test_plain_steps_under_schedules(schedule):
    """E v^2 <- (1 - alpha_t h)^2 E v^2 + alpha_t^2 sigma^2/B, update by update."""
    values, away, variance = np.geomspace(0.01, 1, 6), np.full(6, 3.0), 1.5
    marks, second, exact = [1, 2, 10, 60, 400, 1500], away**2, []
    for t in range(1, marks[-1] + 1):
        alpha = 0.8 * schedule(t)
        second = (1 - alpha * values) ** 2 * second + alpha**2 * variance / 4
        if t in marks:
            exact.append(0.5 * values @ second)
    found = SecondMoments(plain(0.8, schedule=schedule), values, away, GradientNoise(variance)).gaps(marks)
    np.testing.assert_allclose(found, exact, rtol=NEIGHBOURING_UPDATES)


def many_runs(method, values, away, variances, marks, runs=2500):
    """Means of f, with standard errors, of literal runs with normal noise."""
    rng, rule = np.random.default_rng(1), method.rule()
    x = mean = np.tile(away, (runs, 1))
    slots, found = rule.init(x), []
    for t in range(1, marks[-1] + 1):
        noise = np.sqrt(variances / method.batch_size) * rng.normal(size=x.shape)
        x, slots = rule.update(x, values * x + noise, slots, method.step_size * method.schedule(t), t)
        if method.average is not None:
            mean = mean + float(method.average.weights(t, 1)[0]) * (x - mean)
        if t in marks:
            f = 0.5 * (values * (x if method.average is None else mean) ** 2).sum(axis=1)
            found.append((f.mean(), f.std() / math.sqrt(runs), np.quantile(f, [0.1, 0.9])))
    return found


@pytest.mark.parametrize(
    "method",
    [
        plain(0.05, momentum=0.9),
        plain(0.05, momentum=0.9, nesterov=True),
        plain(0.05, momentum=0.9, schedule=InverseTime(50), average=PolyakAverage(20)),
        plain(0.5, schedule=Cyclic(10), average=WeightAverage(10, 40)),
        NagGs(0.3, mu=0.5, gamma=0.5, batch_size=4),
    ],
    ids=repr,
)
def test_means_over_many_runs(method):
    values, away, variances = np.geomspace(0.01, 1, 6), np.full(6, 2.0), np.linspace(0.5, 2.0, 6)
    marks = [60, 150]
    found = SecondMoments(method, values, away, GradientNoise(variances)).gaps(marks)
    for expected, (mean, error, _) in zip(found, many_runs(method, values, away, variances, marks), strict=True):
        assert abs(expected - mean) <= STANDARD_ERRORS * error
        assert error < 0.03 * mean


def test_one_run_in_ten_and_nine_are_below_at_the_ends_of_the_interval():
    values, away, variances = np.geomspace(0.01, 1, 6), np.full(6, 3.0), np.ones(6)
    method = plain(0.2)
    target = 1.5 * SecondMoments(method, values, away, GradientNoise(variances)).plateau
    seen = SecondMoments(method, values, away, GradientNoise(variances)).until(target)
    low, high = seen.interval
    assert low < seen.steps <= high
    (_, _, early), (_, _, _) = many_runs(method, values, away, variances, [int(low), int(seen.steps)])
    assert early[0] == pytest.approx(target, rel=0.1)


@pytest.mark.parametrize(("momentum", "dampening"), [(0.0, 0.0), (0.7, 0.0), (0.7, 0.4)])
@pytest.mark.parametrize(("n", "batch"), [(4, 1), (3, 2), (4, 4)])
def test_shuffled_epochs_beside_every_order(n, batch, momentum, dampening):
    """The mean over all orders of two epochs of a sum whose examples differ by linear terms."""
    rng = np.random.default_rng(0)
    e = rng.normal(size=(n, 1))
    problem = tw.Noisy(tw.Quadratic(np.diag([0.5]), b=[1.0], x0=[-3.0], c=1.0), e)
    noise = np.square(problem.vectors).mean(axis=0)
    method = SGD(0.3, momentum=momentum, dampening=dampening, batch_size=batch)
    values = []
    for orders in itertools.product(itertools.permutations(range(n)), repeat=2):
        x, m = -3.0, None
        for order in orders:
            for start in range(0, n, batch):
                chosen = list(order[start : start + batch])
                g = len(chosen) / batch * (0.5 * (x - 2)) + float(problem.vectors[chosen].sum()) / batch
                m = g if m is None else momentum * m + (1 - dampening) * g
                x -= 0.3 * m
        values.append(0.25 * (x - 2) ** 2)
    found = SecondMoments(method, [0.5], [-5.0], GradientNoise(noise, examples=n)).gaps(2)
    assert found == pytest.approx(np.mean(values), rel=arithmetic(operations=10_000))


def dampened_run(start, noise, alpha=0.1, beta=0.9, dampening=0.5):
    """f = x^2/2 followed by m_1 = g_1, m <- beta m + (1 - dampening) g, x <- x - alpha m, written out."""
    x, m, visited = start, 0.0, [start]
    for count, e in enumerate(noise):
        m = x + e if count == 0 else beta * m + (1 - dampening) * (x + e)
        x -= alpha * m
        visited.append(x)
    return np.array(visited)


@pytest.mark.parametrize("variance", [0.0, 2.0])
def test_dampened_momentum_starts_as_the_whole_first_gradient(variance):
    """The mean is the run without noise; the variance the sum of its squared responses to unit noise at each update."""
    moments = SecondMoments(SGD(0.1, momentum=0.9, dampening=0.5, batch_size=1), [1.0], [3.0], GradientNoise(variance))
    spread = sum(dampened_run(0.0, unit) ** 2 for unit in np.eye(40))
    exact = 0.5 * (dampened_run(3.0, np.zeros(40)) ** 2 + variance * spread)
    np.testing.assert_allclose(moments.gaps(np.arange(41)), exact, rtol=arithmetic(operations=1000))
    assert moments.gaps(40) == pytest.approx(exact[40], **EXACT)  # asked alone, in one go
    if not variance:
        # m_1 = 3, x_1 = 2.7; m_2 = 2.7 + 1.35, x_2 = 2.295
        np.testing.assert_allclose(moments.gaps([0, 1, 2]), [4.5, 0.5 * 2.7**2, 0.5 * 2.295**2], rtol=1e-12)
        assert moments.until(2.0).steps == np.flatnonzero(exact > 2.0)[-1] + 1


def test_dampened_momentum_whose_noise_grows():
    """A growth too small to matter takes the way of noise that depends on f - f*."""
    method = SGD(0.1, momentum=0.9, dampening=0.5, batch_size=1)
    exact = 0.5 * dampened_run(3.0, np.zeros(5)) ** 2
    found = SecondMoments(method, [1.0], [3.0], GradientNoise(0.0, 1e-12)).gaps(np.arange(6))
    np.testing.assert_allclose(found, exact, rtol=1e-9)


def test_noise_that_grows_with_the_gap():
    """One direction: E v^2 <- ((1 - alpha h)^2 + alpha^2 growth h/(2B)) E v^2 + alpha^2 sigma^2/B, exactly linear."""
    h, alpha, growth, variance = 0.7, 0.5, 3.0, 0.2
    factor, added = (1 - alpha * h) ** 2 + alpha**2 * growth * h / 8, alpha**2 * variance / 4
    moments = SecondMoments(plain(alpha), [h], [4.0], GradientNoise(variance, growth))
    assert moments.plateau == pytest.approx(0.5 * h * added / (1 - factor), **EXACT)
    k = np.array([1, 3, 10, 40])
    exact = 0.5 * h * (factor**k * 16 + added * (1 - factor**k) / (1 - factor))
    np.testing.assert_allclose(moments.gaps(k), exact, rtol=0.02)  # noise stands still within a block
    wild = SecondMoments(plain(alpha), [h], [4.0], GradientNoise(variance, 40.0))
    assert wild.plateau == math.inf
    assert wild.until(1e-3).steps == math.inf


def test_weight_decay_pulls_to_another_minimum():
    h, decay, centre = np.array([0.5, 1.0]), 0.1, np.array([2.0, -1.0])
    moments = SecondMoments(plain(0.3, weight_decay=decay), h, [1.0, 1.0], GradientNoise(0.0), centre)
    bias = centre * decay / (h + decay)
    assert moments.plateau == pytest.approx(0.5 * h @ bias**2, **EXACT)
    assert moments.until(0.01).steps == math.inf
    with pytest.raises(tw.InputError, match="weight decay"):
        SecondMoments(plain(0.3, weight_decay=decay), h, [1.0, 1.0], GradientNoise(0.0))


@pytest.mark.parametrize(("kind", "kappa"), CASES)
@pytest.mark.parametrize(
    "settings",
    [{}, {"momentum": 0.9}, {"schedule": InverseTime(2000)}, {"average": PolyakAverage(300)}],
    ids=lambda settings: str(next(iter(settings), "plain")),
)
def test_steps_beside_the_mean_of_runs(kind, kappa, settings):
    values = np.asarray(spectrum(kind, 8, kappa)) / np.max(spectrum(kind, 8, kappa))
    alpha = 0.05 if settings.get("momentum") else 0.5
    method, away, runs = plain(alpha, **settings), np.full(8, 10.0), 60
    target = 1.0
    steps = SecondMoments(method, values, away, GradientNoise(1.0)).until(target).steps
    rng, rule = np.random.default_rng(0), method.rule()
    x = mean = np.tile(away, (runs, 1))
    slots, seen = rule.init(x), 0
    shares, average = method.schedule.values(1, 20_000), method.average
    weights = None if average is None else average.weights(1, 20_000)
    for t in range(1, 20_000):
        x, slots = rule.update(x, values * x + 0.5 * rng.normal(size=x.shape), slots, alpha * float(shares[t - 1]), t)
        if weights is not None:
            mean = mean + float(weights[t - 1]) * (x - mean)
        y = mean if weights is not None and t > average.after else x
        if 0.5 * (values * y**2).sum() / runs > target:
            seen = t
        elif t > 1.2 * seen + 20:
            break
    assert 1 / STEPS_ON_QUADRATIC <= steps / (seen + 1) <= STEPS_ON_QUADRATIC


def test_steps_that_follow_the_noise():
    """As tuned by the target, on a sum with additive noise: the epochs of the method itself."""
    rng = np.random.default_rng(0)
    problem = tw.Noisy.sampled(tw.Quadratic(np.diag([0.1, 0.5, 1.0]), x0=rng.normal(size=3) * 5), 1.0, 256, seed=0)
    target = 2e-3
    noise = Noise(3.0, 1.0, 256, 10.0, target)
    method = SGD(batch_size=8, sampling="replacement").tuned(1.0, 0.1, quadratic=True, noise=noise)
    assert method.step_for_noise is not None
    moments = SecondMoments(method, [0.1, 0.5, 1.0], problem.start(), GradientNoise(1.0, examples=256))
    runs, last = 25, 8
    values = []
    for seed in range(runs):
        one = replace(method, seed=seed)
        state = one.init(problem.at(problem.start()))
        for _ in range(last):
            state = one.step(state)
        values.append(state.point.value)
    # Each run takes its own ||g||^2 for f - f*; the expectation takes the mean of all.
    assert 1 / STEPS_ON_QUADRATIC <= moments.gaps(last) / np.mean(values) <= STEPS_ON_QUADRATIC
    assert moments.until(target).interval[0] < moments.until(target).steps < math.inf


def test_what_never_arrives():
    away = np.ones(2)
    h = np.array([0.1, 1.0])
    assert SecondMoments(plain(2.1), h, away, GradientNoise(0.0)).until(1e-6).steps == math.inf
    assert SecondMoments(plain(2.1), h, away, GradientNoise(0.0)).plateau == math.inf
    frozen = SecondMoments(plain(0.5, schedule=Cosine(30)), h, away, GradientNoise(1.0)).until(1e-9)
    assert frozen.steps == math.inf
    assert SecondMoments(plain(0.5), h, 0 * away, GradientNoise(0.0)).until(1e-6).steps == 0
    assert SecondMoments(plain(0.5), [0.0, 0.0], away, GradientNoise(1.0)).plateau == 0


def test_what_is_not_linear_is_refused():
    assert "not linear" in why_not_linear(Adam(0.1))
    assert "transformed" in why_not_linear(SGD(0.1, transforms=(ClipNorm(1.0),)))
    assert "transformed" in why_not_linear(SGD(0.1, clip_norm=1.0))
    assert "repeats" in why_not_linear(SGD(0.1, sampling="shuffle-once"))
    assert "gamma" in why_not_linear(NagGs(0.1, mu=1.0, gamma=2.0))
    assert not why_not_linear(SGD(0.1, momentum=0.9, schedule=Cosine(10)))
    for bad in (Adam(0.1), SGD(), tw.Newton()):
        with pytest.raises(tw.InputError, match="no second moments"):
            SecondMoments(bad, [1.0], [1.0], GradientNoise(1.0))
    moments = SecondMoments(plain(0.1), [1.0], [1.0], GradientNoise(1.0))
    for steps in (-1, 1.5, [], "a", True, [[1], [1, 2]], math.nan, math.inf, [1, math.inf], 1e20, 10**16, 10**30):
        with pytest.raises(tw.InputError, match="steps"):
            moments.gaps(steps)
    assert moments.gaps([10**15, 0.0]).tolist() == pytest.approx([moments.plateau, 0.5], **EXACT)
    for target in (0.0, -1.0, math.nan, "a", None, True):
        with pytest.raises(tw.InputError, match="target"):
            moments.until(target)
    for noise in (1.0, None, {"variances": 1.0}):
        with pytest.raises(tw.InputError, match="noise"):
            SecondMoments(plain(0.1), [1.0], [1.0], noise)
    with pytest.raises(tw.InputError, match="variances"):
        SecondMoments(plain(0.1), [1.0], [1.0], GradientNoise([1.0, 2.0]))
    with pytest.raises(tw.InputError, match="one distance"):
        SecondMoments(plain(0.1), [1.0, 2.0], [1.0], GradientNoise(1.0))


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("variances", (-1.0, [1.0, -1.0], math.nan, math.inf, "a", "1", None, True, 1j, [[1.0], [1.0, 2.0]])),
        ("growth", (-5, [1.0, -1.0], math.nan, math.inf, "a", None)),
        ("examples", (-3, 0, 2.5, 3.0, math.nan, "a", True)),
        ("size", (-3, 0, 2.5, "a", True)),
    ],
)
def test_noise_that_cannot_be_is_refused(name, values):
    for value in values:
        with pytest.raises(tw.InputError, match=name):
            GradientNoise(**({"variances": 1.0} | {name: value}))
    # Along nodes of two Gauss rules, of which one is taken from the other, some lose.
    assert GradientNoise([1.0, 0.0], [-1.0, 2.0], np.int64(5), size=10).examples == 5
