"""How a bound is put to the test: run the method, and set what was observed beside what the bound says.

Every run can be tuned, and its bound evaluated, with a share of the true L. Deterministic methods are the library's.
"""

import itertools
import math
from dataclasses import dataclass, replace

import numpy as np

import tolerances
from thalweg.core.random import generator
from thalweg.linalg import preconditioned_cg
from thalweg.methods import GradientDescent, HeavyBall, Nesterov, Newton
from thalweg.methods.rules_momentum import MomentumStep, PlainStep
from thalweg.methods.schedule import TheoryDecay
from thalweg.methods.stochastic_methods import SGD
from thalweg.methods.variance_reduced import SVRG
from thalweg.theory import bounds
from theory.bound_problems import Problem

#: Independent runs of a stochastic method whose mean stands for the expectation.
RUNS = 400
#: The same where runs are taken one after the other.
SEEDS = 200
UNDERFLOW = np.finfo(float).tiny


@dataclass(frozen=True)
class Outcome:
    """What was observed (m,), the bound there (m,), the standard error of what was observed, and its rounding."""

    observed: np.ndarray
    bounded: np.ndarray
    error: np.ndarray | float = 0.0
    rounding: np.ndarray | float = 0.0
    equality: bool = False

    def __post_init__(self):
        assert not np.isnan(self.observed).any(), "a run that is nan neither keeps a bound nor breaks it"

    @property
    def excess(self):
        """By how much what was observed lies above the bound, beyond rounding and standard errors, at worst."""
        off = np.abs(self.observed - self.bounded) if self.equality else self.observed - self.bounded
        slack = (
            tolerances.bound_attained(len(self.observed)) * np.abs(self.bounded) + self.rounding + np.finfo(float).tiny
        )
        return float(np.max(off - slack - tolerances.STANDARD_ERRORS * self.error))

    @property
    def holds(self):
        return self.excess <= 0


def beside(bound, observed, first=0, rounding=0.0, **constants):
    """A bound that takes `steps`, beside a run at each of its steps."""
    observed = np.array(observed)
    bounded = np.array([bound(steps=k + first, **constants) for k in range(len(observed))])
    return Outcome(observed, bounded, rounding=rounding)


def rounding_of(problem):
    """The rounding of f - f*: none to speak of for a sum of squares around 0."""
    size = len(problem.rows.y) if problem.rows else 1
    return tolerances.summation(size) * problem.rounding if problem.minimum else 0.0


# --- Gradient methods -----------------------------------------------------------------------------------------------


def states(method, problem, steps):
    """States of a method, the start included; fewer where it can go no further."""
    state = method.init(problem.at(problem.x0))
    yield state
    for _ in range(steps):
        with np.errstate(over="ignore", invalid="ignore"):
            state = method.step(state)
        if state.failure is not None or not state.point.value < 1e200:
            return
        yield state


def gaps(method, problem, steps):
    return [state.point.value - problem.minimum for state in states(method, problem, steps)]


def gap_or_distance(bound, method, problem, steps, L):
    if bound.name.endswith("_distance"):
        away = [np.linalg.norm(state.point.x - problem.minimiser) for state in states(method, problem, steps)]
        return beside(bound, away, L=L, mu=problem.mu, distance=problem.distance)
    return beside(bound, gaps(method, problem, steps), L=L, mu=problem.mu, gap=problem.gap)


def descent_lemma(problem, steps, share):
    L = share * problem.L
    points = [state.point for state in states(GradientDescent(step_size=1 / L), problem, steps)]
    bounded = [
        bounds.descent_lemma(value=p.value, gradient_norm=float(np.linalg.norm(p.gradient)), step_size=1 / L, L=L)
        for p in points[:-1]
    ]
    values = np.array([p.value for p in points])
    return Outcome(values[1:], np.array(bounded), rounding=tolerances.summation(100) * values[:-1])


def smallest_gradient(problem, steps, share):
    L = share * problem.L
    run = states(GradientDescent(step_size=1 / L), problem, steps)
    observed = np.minimum.accumulate([float(state.point.gradient @ state.point.gradient) for state in run])
    return beside(bounds.smallest_gradient, observed, first=1, L=L, step_size=1 / L, gap=problem.gap)


def gradient_descent(problem, steps, share):
    L = share * problem.L
    observed = gaps(GradientDescent().tuned(L, problem.mu), problem, steps)
    rounding = rounding_of(problem)
    return beside(bounds.gradient_descent, observed, rounding=rounding, L=L, mu=problem.mu, gap=problem.gap)


def gradient_descent_steps(problem, target, share):
    L, target = share * problem.L, target * problem.gap
    steps = bounds.gradient_descent_steps(L=L, mu=problem.mu, gap=problem.gap, target=target)
    observed = gaps(GradientDescent().tuned(L, problem.mu), problem, math.ceil(steps))[-1:]
    return Outcome(np.array(observed), np.array([target]), rounding=rounding_of(problem))


def gradient_descent_on_quadratic(bound, problem, steps, share):
    L = share * problem.L
    return gap_or_distance(bound, GradientDescent().tuned(L, problem.mu, quadratic=True), problem, steps, L)


def heavy_ball(bound, problem, steps, share):
    L = share * problem.L
    return gap_or_distance(bound, HeavyBall().tuned(L, problem.mu), problem, steps, L)


def nesterov_convex(problem, steps, share):
    """Up to the first restart: until then the method is the one that the bound is about."""
    L, observed = share * problem.L, []
    for state in states(Nesterov().tuned(L, 0.0), problem, steps):
        if observed and state.memory["t"] == 1.0:
            break
        observed.append(problem.value(state.memory["previous"]) - problem.minimum)
    rounding = rounding_of(problem)
    return beside(bounds.nesterov_convex, observed, rounding=rounding, L=L, distance=problem.distance)


def nesterov(problem, steps, share):
    """The rule moves the points y at which gradients are taken; x_k is where a gradient step leads from there."""
    L, mu = share * problem.L, problem.mu
    rule = MomentumStep(momentum=(1 - math.sqrt(mu / L)) / (1 + math.sqrt(mu / L)), nesterov=True)
    y, slots, observed = problem.x0, rule.init(problem.x0), [problem.gap]
    for count in range(1, steps + 1):
        gradient = problem.gradient(y)
        observed.append(problem.value(y - gradient / L) - problem.minimum)
        if not observed[-1] < 1e200:
            break
        y, slots = rule.update(y, gradient, slots, 1 / L, count)
    constants = {"L": L, "mu": mu, "gap": problem.gap, "distance": problem.distance}
    return beside(bounds.nesterov, observed, rounding=rounding_of(problem), **constants)


def conjugate_gradients(problem, steps, share):
    """The error after so many products, each from a run of its own."""
    h, x0 = np.diag(problem.hessian(problem.x0)), problem.x0
    observed = [math.sqrt(2 * problem.gap)]
    for limit in range(1, steps + 1):
        away = x0 + preconditioned_cg(lambda v: h * v, -h * x0, lambda r: r, 0.0, limit)[0]
        observed.append(math.sqrt(float(away @ (h * away))))
    rounding = tolerances.summation(len(h)) * observed[0]
    constants = {"L": share * problem.L, "mu": problem.mu, "error": observed[0]}
    return beside(bounds.conjugate_gradients, observed, rounding=rounding, **constants)


# --- Newton ---------------------------------------------------------------------------------------------------------


def newton_path(problem, x, steps):
    """Distances from the minimiser on the way of full steps along the library's direction."""
    yield float(np.linalg.norm(x - problem.minimiser))
    for _ in range(steps):
        x = x + Newton().init(problem.at(x)).direction
        yield float(np.linalg.norm(x - problem.minimiser))


def newton(problem, steps, share):
    """`share` is of M, the constant that Newton's region and rate rest on."""
    mu = float(np.linalg.eigvalsh(problem.hessian(problem.minimiser))[0])
    observed = list(newton_path(problem, problem.x0, steps))
    rounding = tolerances.solve(problem.L / mu, size=100) * (problem.distance + np.linalg.norm(problem.minimiser))
    return beside(bounds.newton, observed, rounding=rounding, mu=mu, M=share * problem.M, distance=problem.distance)


def newton_radius(problem, inside, share):
    """From a point at a share `inside` of the radius, full steps reach the minimiser."""
    mu = float(np.linalg.eigvalsh(problem.hessian(problem.minimiser))[0])
    away = inside * bounds.newton_radius(mu=mu, M=share * problem.M)
    x = problem.minimiser + away * (problem.x0 - problem.minimiser) / problem.distance
    *_, last = newton_path(problem, x, 60)
    return Outcome(np.array([last]), np.array([tolerances.solve(problem.L / mu, size=100) * away]))


# --- Batches --------------------------------------------------------------------------------------------------------


def minibatch_variance(problem, batch_size, replacement, _share):
    """Every batch that can be drawn, once each."""
    n = len(problem.rows.y)
    draws = (
        itertools.product(range(n), repeat=batch_size) if replacement else itertools.combinations(range(n), batch_size)
    )
    indices = np.array(list(draws))
    W = np.tile(problem.x0, (len(indices), 1))
    off = problem.rows.batch(W, indices) - problem.gradient(problem.x0)
    one = float(problem.rows.variance(W[:1])[0])
    exact = bounds.minibatch_variance(variance=one, batch_size=batch_size, examples=None if replacement else n)
    observed, rounding = (off**2).sum(axis=1).mean(), tolerances.summation(len(indices)) * one
    return Outcome(np.array([observed]), np.array([exact]), rounding=rounding, equality=True)


# --- SGD: all runs at once, a row of W (runs, d) each ---------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Noisy:
    """Gradients with noise: of sampled rows, or normal with the variances `additive` (d,) for one example."""

    problem: Problem
    additive: np.ndarray | None = None
    replacement: bool = True

    def batch(self, W, batch_size, rng):
        if self.additive is not None:
            return self.problem.gradient(W) + rng.normal(size=W.shape) * np.sqrt(self.additive / batch_size)
        n = len(self.problem.rows.y)
        if self.replacement:
            return self.problem.rows.batch(W, rng.integers(n, size=(len(W), batch_size)))
        return self.problem.rows.batch(W, rng.random((len(W), n)).argpartition(batch_size - 1)[:, :batch_size])

    def variance(self, W):
        """The largest variance of one example at these points."""
        return float(self.additive.sum()) if self.additive is not None else float(self.problem.rows.variance(W).max())

    def effective(self, variance, batch_size):
        """The variance of a batch times its size."""
        n = None if self.replacement else len(self.problem.rows.y)
        return batch_size * bounds.minibatch_variance(variance=variance, batch_size=batch_size, examples=n)


def sgd_runs(noisy, step_sizes, batch_size, marks):
    """Mean f - f* at the marks with its standard error, and the largest variance of one example met on the way.

    The library's rule moves all runs at once, and a batch is drawn for each.
    """
    rng, W, problem, rule = generator(11), np.tile(noisy.problem.x0, (RUNS, 1)), noisy.problem, PlainStep()
    slots = rule.init(W)
    means, errors, variance = [], [], 0.0
    for k, step_size in enumerate([*step_sizes, 0.0]):
        variance = max(variance, noisy.variance(W))
        if k in marks:
            found = problem.value(W) - problem.minimum
            means.append(found.mean())
            errors.append(found.std(ddof=1) / math.sqrt(RUNS))
        W, slots = rule.update(W, noisy.batch(W, batch_size, rng), slots, step_size, k + 1)
    return np.array(means), np.array(errors), variance


def sgd(noisy, batch_size, of_longest, steps, share):
    """A step of a share `of_longest` of 1/L."""
    problem, L = noisy.problem, share * noisy.problem.L
    step_size, marks = of_longest / L, np.unique(np.geomspace(1, steps, 30).astype(int))
    means, errors, variance = sgd_runs(noisy, np.full(steps, step_size), batch_size, marks)
    constants = {"L": L, "mu": problem.mu, "step_size": step_size, "gap": problem.gap, "batch_size": batch_size}
    variance = noisy.effective(variance, batch_size)
    bounded = [bounds.sgd(variance=variance, steps=int(k), **constants) for k in marks]
    return Outcome(means, np.array(bounded), errors)


def sgd_plateau(noisy, batch_size, of_longest, steps, share):
    """The mean of the last marks, which are so far apart that runs have forgotten themselves in between."""
    h, L = np.diag(noisy.problem.hessian(noisy.problem.x0)), noisy.problem.L
    marks = steps - np.arange(10) * int(3 / (of_longest * h.min() / L))
    means, errors, _ = sgd_runs(noisy, np.full(steps, of_longest / L), batch_size, marks)
    # A wrong L is a wrong largest curvature.
    assumed = np.where(h == h.max(), share * h, h)
    exact = bounds.sgd_plateau(
        eigenvalues=assumed, variances=noisy.additive, step_size=of_longest / L, batch_size=batch_size
    )
    error = math.sqrt(float((errors**2).sum())) / len(errors)
    return Outcome(np.array([means.mean()]), np.array([exact]), error, equality=True)


def sgd_steps(noisy, batch_size, target, share):
    """The step and the number of steps that are chosen for a target reach it."""
    problem, target = noisy.problem, target * noisy.problem.gap
    constants = {"L": share * problem.L, "mu": problem.mu, "target": target, "batch_size": batch_size}
    variance = noisy.variance(problem.x0[None])
    for _ in range(3):  # the region that is visited, and the largest variance in it, depend on the step
        step_size = bounds.sgd_step_size(variance=variance, **constants)
        steps = math.ceil(bounds.sgd_steps(variance=variance, gap=problem.gap, **constants))
        means, errors, met = sgd_runs(noisy, np.full(steps, step_size), batch_size, [steps])
        if met <= variance:
            break
        variance = 1.1 * met
    return Outcome(means, np.array([target]), errors)


def sgd_falling(noisy, batch_size, steps, share):
    """From a gap of at most sigma^2/(mu B); sigma^2 is assumed, and the run must keep to it."""
    problem = noisy.problem
    variance = max(1.2 * noisy.variance(problem.x0[None]), problem.mu * batch_size * problem.gap)
    if noisy.additive is not None:
        variance = noisy.variance(problem.x0)
    constants = {"L": share * problem.L, "mu": problem.mu, "variance": variance, "batch_size": batch_size}
    constants["gap"] = problem.gap
    first = bounds.sgd_falling_step_size(steps=0, **constants) * constants["L"]
    step_sizes = TheoryDecay(constants["L"] / problem.mu, first).values(1, steps) / constants["L"]
    marks = np.unique(np.geomspace(1, steps, 30).astype(int))
    means, errors, met = sgd_runs(noisy, step_sizes, batch_size, marks)
    assert share < 1 or met <= variance, "the run left the region that its variance was assumed for"
    return Outcome(means, np.array([bounds.sgd_falling(steps=int(k), **constants) for k in marks]), errors)


# --- Stochastic methods as users call them: one run a seed, compiled epochs ------------------------------------------


def seeded_runs(problem, method, epochs):
    """Mean f - f* after each epoch with its standard error, and the largest variance of one example met there."""
    found, variance, library = np.empty((SEEDS, epochs + 1)), 0.0, problem.rows.sum
    for seed in range(SEEDS):
        state = (run := replace(method, seed=seed)).init(library.at(problem.x0))
        points = [problem.x0]
        for _ in range(epochs):
            state = run.step(state)
            points.append(state.point.x)
        found[seed] = problem.value(np.array(points)) - problem.minimum
        variance = max(variance, float(problem.rows.variance(np.array(points)).max()))
    return found.mean(axis=0), found.std(axis=0, ddof=1) / math.sqrt(SEEDS), variance


def sgd_epochs(problem, batch_size, of_longest, epochs, share):
    """A step of a share `of_longest` of 1/L, batches drawn with replacement."""
    L, updates = share * problem.L, len(problem.rows.y) // batch_size
    method = SGD(of_longest / L, batch_size=batch_size, sampling="replacement", compiled=True)
    means, errors, variance = seeded_runs(problem, method, epochs)
    constants = {"L": L, "mu": problem.mu, "step_size": of_longest / L, "gap": problem.gap, "batch_size": batch_size}
    bounded = [bounds.sgd(variance=variance, steps=k * updates, **constants) for k in range(epochs + 1)]
    return Outcome(means, np.array(bounded), errors, rounding_of(problem))


def svrg_from_means(bound, problem, of_inverse, epoch_steps, epochs, share):
    """A step of `of_inverse`/L_max; an epoch starts at the mean iterate of the last one."""
    L_max = share * problem.rows.L_max
    method = SVRG(of_inverse / L_max, epoch_steps, anchor="mean", compiled=True)
    means, errors, _ = seeded_runs(problem, method, epochs)
    constants = {"L_max": L_max, "mu": problem.mu, "step_size": of_inverse / L_max, "epoch_steps": epoch_steps}
    bounded = [bound(gap=problem.gap, steps=k, **constants) for k in range(epochs + 1)]
    return Outcome(means, np.array(bounded), errors, rounding_of(problem))


# --- SVRG -----------------------------------------------------------------------------------------------------------


def svrg_epochs(problem, step_size, epoch_steps, epochs, count):
    """Mean f - f* after each epoch with its standard error; an epoch starts at a random iterate of the last one.

    The mean over all iterates stands for that over the random one: it is the same, and known with less error.
    """
    rng, rows = generator(13), problem.rows
    n, W = len(rows.y), np.tile(problem.x0, (count, 1))
    means, errors = [problem.gap], [0.0]
    for _ in range(epochs):
        anchor, full, total = W, problem.gradient(W), np.zeros(count)
        chosen, kept = rng.integers(epoch_steps, size=count), np.empty_like(W)
        for t in range(epoch_steps):
            kept[chosen == t] = W[chosen == t]
            total += problem.value(W) - problem.minimum
            index = rng.integers(n, size=(count, 1))
            W = W - step_size * (rows.batch(W, index) - rows.batch(anchor, index) + full)
        W, found = kept, total / epoch_steps
        means.append(found.mean())
        errors.append(found.std(ddof=1) / math.sqrt(count))
    return np.array(means), np.array(errors)


def svrg(bound, problem, of_inverse, epoch_steps, epochs, count, share):
    """A step of `of_inverse`/L_max."""
    L_max = share * problem.rows.L_max
    means, errors = svrg_epochs(problem, of_inverse / L_max, epoch_steps, epochs, count)
    constants = {"L_max": L_max, "mu": problem.mu, "step_size": of_inverse / L_max, "epoch_steps": epoch_steps}
    bounded = [bound(gap=problem.gap, steps=k, **constants) for k in range(epochs + 1)]
    return Outcome(means, np.array(bounded), errors, rounding_of(problem))


def svrg_gradients(problem, of_inverse, epoch_steps, target, count, share):
    """As many epochs as the count of gradients pays for reach the target; tuned where no step is given."""
    L_max, n, target = share * problem.rows.L_max, len(problem.rows.y), target * problem.gap
    given = {} if of_inverse is None else {"step_size": of_inverse / L_max, "epoch_steps": epoch_steps}
    gradients = bounds.svrg_gradients(examples=n, L_max=L_max, mu=problem.mu, gap=problem.gap, target=target, **given)
    step_size = given.get("step_size", 0.2 / L_max)
    epoch_steps = given.get("epoch_steps", math.ceil(20 * L_max / problem.mu))
    means, errors = svrg_epochs(problem, step_size, epoch_steps, int(gradients) // (n + 2 * epoch_steps), count)
    return Outcome(means[-1:], np.array([target]), errors[-1:], rounding_of(problem))
