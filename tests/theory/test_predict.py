"""Predicted steps against runs: literal iterations written out here, and the methods on the whole problem."""

import math

import numpy as np
import pytest

from reference import Objective
from thalweg.methods import LBFGS, METHODS, GradientDescent, HeavyBall, Nesterov, drive
from thalweg.problems import ChangedProblem, FiniteSum, Standardizing
from thalweg.theory import foresee, foresee_rest, on_spectrum, predict, rehearse
from tolerances import CERTIFIED_GAP, EXTRAPOLATED, GAUSS_RULE, PROMISED, QUADRATIC, arithmetic

N, D = 300, 8
FIRST_ORDER = ("gradient-descent", "heavy-ball", "nesterov", "l-bfgs")


def problem_of(loss, kappa, spread, l2, seed=0, n=N):
    """Columns so correlated that scaling each alone leaves a condition number near kappa; margins of this spread."""
    rng = np.random.default_rng(seed)
    U = np.linalg.qr(rng.normal(size=(D, D)))[0]
    X = rng.normal(size=(n, D)) @ (U * np.geomspace(1, kappa**-0.5, D)) @ U.T
    z = X @ rng.normal(size=D)
    if loss == "squared":
        y = z / z.std() + rng.normal(size=n)
    elif math.isinf(spread):
        y = np.where(z > 0, 1.0, -1.0)
    else:
        y = np.where(z * spread / z.std() + rng.logistic(size=n) > 0, 1.0, -1.0)
    problem = FiniteSum(X, y, loss, l2)
    return ChangedProblem(problem, Standardizing(problem)), Objective(loss, X, y, l2)


def curvatures(changed, rehearsal):
    """L where the run starts, mu where it ends, as planning measures them."""
    largest = np.linalg.eigvalsh(changed.at(np.zeros(changed.size)).hessian)[-1]
    return largest, max(rehearsal.curvatures[0], 1e-12 * largest)


def tuned(name, largest, smallest, quadratic):
    method = METHODS[name]
    return method.tuned(largest, smallest, quadratic=quadratic)


def prepared(loss, kappa, spread=1.0, l2=1e-4, rows=None, refine=False, seed=0):
    changed, reference = problem_of(loss, kappa, spread, l2, seed)
    target = CERTIFIED_GAP * changed.at(np.zeros(changed.size)).value
    sample = None if rows is None else np.sort(np.random.default_rng(1).permutation(N)[:rows])
    return changed, reference, target, rehearse(changed, target, sample, ("newton", "newton-cg"), refine)


def first_below(values, best, target):
    """Steps until the lowest value so far is within the target of the minimum."""
    return int(np.flatnonzero(np.minimum.accumulate(values) - best <= target)[0])


def literal_steps(name, H, x, minimum, target, largest, smallest):
    """Gradient descent and heavy ball on 1/2 (x - m)'H(x - m), from the formulas."""
    away = x - minimum
    if name == "gradient-descent":
        alpha, beta = 2 / (largest + smallest), 0.0
    else:
        root = math.sqrt(largest / smallest)
        beta = ((root - 1) / (root + 1)) ** 2
        alpha = (2 + 2 * beta) / (largest + smallest)
    previous, steps, lowest = away, 0, 0.5 * away @ H @ away
    while lowest > target:
        away, previous = away - alpha * (H @ away) + beta * (away - previous), away
        steps += 1
        lowest = min(lowest, 0.5 * away @ H @ away)
    return steps


def literal_nesterov(H, away, target, largest):
    """FISTA momentum with the gradient restart, values looked at where gradients are: at y."""
    y, x, t, steps, lowest = away, away, 1.0, 0, 0.5 * away @ H @ away
    while lowest > target:
        gradient = H @ y
        following = y - gradient / largest
        if gradient @ (following - x) > 0:
            y, t = following, 1.0  # begin again from here, without momentum
        else:
            longer = (1 + math.sqrt(1 + 4 * t * t)) / 2
            y, t = following + (t - 1) / longer * (following - x), longer
        x = following
        steps += 1
        lowest = min(lowest, 0.5 * y @ H @ y)
    return steps


@pytest.mark.parametrize("kappa", [1e2, 1e3])
@pytest.mark.parametrize("name", FIRST_ORDER)
def test_quadratics_are_foreseen_as_they_run(name, kappa):
    changed, reference, target, rehearsal = prepared("squared", kappa, l2=1e-6)
    largest, smallest = curvatures(changed, rehearsal)
    zero = np.zeros(changed.size)
    seen = foresee(rehearsal, tuned(name, largest, smallest, True), zero, target)
    # The same quadratic in the methods' variables, by hand.
    T = np.column_stack([changed.change.forward(e) for e in np.eye(changed.size)])
    H = T.T @ reference.hessian(np.zeros(reference.size)) @ T
    minimum = np.linalg.solve(H, -T.T @ reference.gradient(np.zeros(reference.size)))
    if name == "l-bfgs":
        *_, last = drive(changed, METHODS[name], zero, target=target)
        literal = first_below(last.solution.trace["value"], reference.value(T @ minimum), target)
    elif name == "nesterov":
        literal = literal_nesterov(H, zero - minimum, target, largest)
    else:
        literal = literal_steps(name, H, zero, minimum, target, largest, smallest)
    assert seen.steps == pytest.approx(literal, abs=max(1, QUADRATIC * literal))
    assert literal > 5


@pytest.mark.parametrize("name", FIRST_ORDER)
def test_runs_of_the_driver_take_the_foreseen_steps_on_a_quadratic(name):
    changed, reference, target, rehearsal = prepared("squared", 1e2, l2=1e-6)
    largest, smallest = curvatures(changed, rehearsal)
    method = tuned(name, largest, smallest, True)
    *_, last = drive(changed, method, np.zeros(changed.size), target=target)
    best = reference.minimise()[1]
    observed = first_below(last.solution.trace["value"], best, target)
    seen = foresee(rehearsal, method, np.zeros(changed.size), target)
    assert seen.steps == pytest.approx(observed, abs=max(1, QUADRATIC * observed))
    # The curve is the gap on the way.
    steps, gaps = seen.curve
    values = np.minimum.accumulate(last.solution.trace["value"]) - best
    for step, gap in zip(steps, gaps, strict=True):
        if 1 <= step <= observed:
            # Momentum oscillates about the envelope that the run's lowest values trace.
            assert gap >= values[int(step)] * 0.95
            if name != "heavy-ball":
                assert gap == pytest.approx(values[int(step)], rel=0.05)


@pytest.mark.parametrize("rows", [None, N // 2], ids=["all", "half"])
@pytest.mark.parametrize("spread", [0.5, 20.0, math.inf], ids=["noisy", "nearly-separable", "separable"])
@pytest.mark.parametrize("kappa", [1e2, 1e3, 1e4])
def test_logistic_runs_are_foreseen_within_the_promised_factor(kappa, spread, rows):
    changed, _, target, rehearsal = prepared("logistic", kappa, spread, l2=1e-3, rows=rows, refine=rows is not None)
    largest, smallest = curvatures(changed, rehearsal)
    zero = np.zeros(changed.size)
    for name in METHODS:
        if name == "heavy-ball" or (name == "gradient-descent" and kappa > 1e3):
            continue
        method = tuned(name, largest, smallest, False)
        seen = foresee(rehearsal, method, zero, target)
        *_, last = drive(changed, method, zero, target=target, max_steps=20_000)
        assert last.solution.status.success
        observed = int(np.flatnonzero(last.solution.trace["gap"] <= target)[0])
        # Counts below ten differ by whole steps, where a factor says little.
        within = seen.steps <= PROMISED * observed and observed <= PROMISED * seen.steps
        assert within or abs(seen.steps - observed) <= 3, (name, seen.steps, observed)
        assert seen.passes > 0
        assert f"{N if rows is None else rows} rows" in seen.basis


def test_gradient_descent_in_closed_form_is_the_literal_iteration():
    rng = np.random.default_rng(0)
    eigenvalues, away = np.geomspace(1e-3, 1, 12), rng.normal(size=12)
    alpha = 2 / (1 + 1e-3)
    target = 1e-9
    steps, (marks, gaps) = on_spectrum._two_term(eigenvalues, away, alpha, 0.0, target)
    v, values = away.copy(), []
    while not values or values[-1] > target:
        values.append(0.5 * v @ (eigenvalues * v))
        v = v - alpha * eigenvalues * v
    assert steps == len(values) - 1
    assert marks[0] == 0
    assert marks[-1] == steps
    for mark, gap in zip(marks, gaps, strict=True):
        assert gap == pytest.approx(values[int(mark)], rel=arithmetic(operations=4 * len(values)))
    # The followed method says the same.
    followed, _ = on_spectrum._follow(eigenvalues, away, GradientDescent(step_size=alpha), target=values[900])
    assert followed == 900


def test_gradient_descent_with_too_long_a_step_never_arrives():
    steps, _ = on_spectrum._two_term(np.array([0.1, 1.0]), np.ones(2), 2.5, 0.0, 1e-6)
    assert steps == math.inf


@pytest.mark.parametrize(("kappa", "exponent"), [(1e2, -8), (1e2, -12), (1e3, -8)])
@pytest.mark.parametrize(
    # Limited memory has no rate of its own before it holds its 20 pairs, here after about a quarter of the run.
    ("name", "share"),
    [("l-bfgs", 0.35), ("l-bfgs", 0.5), ("heavy-ball", 0.75), ("gradient-descent", 0.25)],
)
def test_extrapolation_beyond_the_followed_steps(name, share, kappa, exponent, monkeypatch):
    eigenvalues, away = np.geomspace(1 / kappa, 1, 50), np.ones(50)
    target = 10.0**exponent * 0.5 * eigenvalues.sum()
    method = tuned(name, 1.0, 1 / kappa, True)
    monkeypatch.setattr(on_spectrum, "MAX_FOLLOWED", 1_000_000)
    truth, _ = on_spectrum._follow(eigenvalues, away, method, target)
    monkeypatch.setattr(on_spectrum, "MAX_FOLLOWED", int(share * truth))
    found, (steps, gaps) = on_spectrum._follow(eigenvalues, away, method, target)
    assert truth / EXTRAPOLATED <= found <= truth * EXTRAPOLATED
    assert steps[-1] == found
    assert gaps[-1] == target
    assert (np.diff(steps) > 0).all()
    assert (np.diff(gaps) <= 0).all()


@pytest.mark.parametrize("loss", ["squared", "logistic"])
def test_a_gauss_rule_in_place_of_all_eigenvalues(loss, monkeypatch):
    for kappa in (1e2, 1e3):
        changed, _, target, rehearsal = prepared(loss, kappa)
        largest, smallest = curvatures(changed, rehearsal)
        monkeypatch.setattr(predict, "MAX_DENSE", 5)
        through = rehearse(changed, target, None, ("newton", "newton-cg"), False)
        monkeypatch.undo()
        assert through.modes is None
        assert rehearsal.modes is not None
        assert through.curvatures[0] == pytest.approx(rehearsal.curvatures[0], rel=1e-6)
        for name in FIRST_ORDER:
            if name == "heavy-ball" and loss != "squared":
                continue
            method = tuned(name, largest, smallest, loss == "squared")
            dense, rule = (foresee(r, method, np.zeros(changed.size), target).steps for r in (rehearsal, through))
            assert dense / GAUSS_RULE - 1 <= rule <= dense * GAUSS_RULE + 1, name


def test_a_short_gauss_rule_still_tells_gradient_descent_apart(monkeypatch):
    """Fewer products than parameters: the rule of the difference to the minimum, not of a random vector."""
    eigenvalues, away = np.geomspace(1e-2, 1, 200), np.random.default_rng(2).normal(size=200)

    class Point:
        x = np.zeros(200)

        def hvp(self, v):
            return eigenvalues * v

    monkeypatch.setattr(predict, "MAX_PRODUCTS", 40)
    rehearsal = predict.Rehearsal(10, Point(), None, {}, None)
    target = CERTIFIED_GAP * 0.5 * away @ (eigenvalues * away)
    nodes, distances = rehearsal.seen_from(away)
    assert len(nodes) <= 40
    assert 0.5 * distances @ (nodes * distances) == pytest.approx(0.5 * away @ (eigenvalues * away), rel=1e-10)
    for method in (GradientDescent(step_size=1.9), LBFGS(), Nesterov(step_size=1.0), HeavyBall().tuned(1.0, 1e-2)):
        truth = foresee(predict.Rehearsal(10, Point(), None, {}, (eigenvalues, np.eye(200))), method, away, target)
        found = foresee(rehearsal, method, away, target)
        assert truth.steps / GAUSS_RULE - 1 <= found.steps <= truth.steps * GAUSS_RULE + 1, method.name


@pytest.mark.parametrize("dense", [True, False], ids=["dense", "lanczos"])
def test_a_run_that_starts_at_the_minimum_needs_no_steps(dense, monkeypatch):
    if not dense:
        monkeypatch.setattr(predict, "MAX_DENSE", 5)
    changed, _, target, rehearsal = prepared("squared", 1e2)
    largest, smallest = curvatures(changed, rehearsal)
    for name in FIRST_ORDER:
        seen = foresee(rehearsal, tuned(name, largest, smallest, True), rehearsal.minimum, target)
        assert seen.steps == 0, name
        assert len(seen.curve[0]) == len(seen.curve[1]) == 1


def test_a_target_that_is_met_at_the_start_needs_no_steps():
    changed, _, _, rehearsal = prepared("squared", 1e2)
    largest, smallest = curvatures(changed, rehearsal)
    loose = 10 * changed.at(np.zeros(changed.size)).value
    for name in FIRST_ORDER:
        assert foresee(rehearsal, tuned(name, largest, smallest, True), np.zeros(changed.size), loose).steps == 0


def test_a_target_of_zero_is_rounding():
    changed, _, _, rehearsal = prepared("squared", 1e2)
    largest, smallest = curvatures(changed, rehearsal)
    for name in ("gradient-descent", "heavy-ball", "nesterov"):
        method = tuned(name, largest, smallest, True)
        steps = foresee(rehearsal, method, np.zeros(changed.size), 0.0).steps
        assert steps > foresee(rehearsal, method, np.zeros(changed.size), 1e-8).steps, name


@pytest.mark.parametrize("kappa", [1e2, 1e5, 1e6])
@pytest.mark.parametrize("name", ["nesterov", "heavy-ball"])
def test_momentum_is_foreseen_far_ahead(name, kappa, monkeypatch):
    """Long runs whose values climb before they fall, beside the method's own code on the same eigenvalues."""
    eigenvalues, away = np.geomspace(1 / kappa, 1, 50), np.ones(50)
    target = 1e-8 * 0.5 * eigenvalues.sum()
    method = tuned(name, 1.0, 1 / kappa, True)
    found = (
        on_spectrum._two_term(eigenvalues, away, method.step_size, method.momentum, target)
        if name == "heavy-ball"
        else on_spectrum._follow(eigenvalues, away, method, target)
    )[0]
    monkeypatch.setattr(on_spectrum, "MAX_FOLLOWED", 1_000_000)
    truth = on_spectrum._follow(eigenvalues, away, method, target)[0]
    assert truth / EXTRAPOLATED <= found <= truth * EXTRAPOLATED


def test_a_rehearsal_of_some_rows_refined_finds_the_whole_problems_minimum():
    changed, reference, target, rehearsal = prepared("logistic", 1e3, rows=N // 2, refine=True)
    best = reference.minimise()[1]
    assert reference.value(changed.change.forward(rehearsal.minimum)) - best <= target
    assert rehearsal.rows == N // 2
    assert set(rehearsal.runs) == {"newton", "newton-cg"}
    T = np.column_stack([changed.change.forward(e) for e in np.eye(changed.size)])
    values = np.linalg.eigvalsh(T.T @ reference.hessian(T @ rehearsal.minimum) @ T)
    assert rehearsal.curvatures[0] == pytest.approx(values[0], rel=1e-9 * values[-1] / values[0])
    np.testing.assert_allclose(rehearsal.seen_from(rehearsal.minimum)[0], values, atol=1e-12 * values[-1])


def test_a_rehearsal_without_a_class_among_its_rows_still_has_all_parameters():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(30, 2)), np.repeat([0, 1, 2], 10)
    problem = FiniteSum(X, y, "softmax", 0.1)
    changed = ChangedProblem(problem, Standardizing(problem))
    rehearsal = rehearse(changed, 1e-6, np.arange(20), ("newton",), refine=False)
    assert rehearsal.minimum.shape == (changed.size,)


def test_predictions_from_a_tenth_of_the_run_are_closer():
    """Seen from where the run has come, the whole length is foreseen within the promised factor."""
    changed, _, target, rehearsal = prepared("logistic", 1e3, rows=N // 2, refine=True)
    largest, smallest = curvatures(changed, rehearsal)
    for name in ("newton", "newton-cg", "l-bfgs", "nesterov", "gradient-descent"):
        method = tuned(name, largest, smallest, False)
        *_, last = drive(changed, method, np.zeros(changed.size), target=target)
        steps = last.solution.cost.steps
        *_, early = drive(changed, method, np.zeros(changed.size), target=0.0, max_steps=max(1, steps // 10))
        seen = foresee_rest(
            rehearsal, method, early.solution.x, early.solution.trace["gap"][-1], max(1, steps // 10), target
        )
        assert abs(seen - steps) <= 3 or steps / PROMISED <= seen <= steps * PROMISED, name


@pytest.mark.parametrize("name", ["gradient-descent", "heavy-ball"])
def test_bounds_on_steps_hold_and_are_not_vacuous(name):
    """The worst case over a quadratic's directions: the run never takes longer, nor far less on its worst direction."""
    changed, reference, target, rehearsal = prepared("squared", 1e2, l2=1e-6)
    largest, smallest = curvatures(changed, rehearsal)
    method = tuned(name, largest, smallest, True)
    gap = changed.at(np.zeros(changed.size)).value - reference.minimise()[1]
    bound = predict.bound_on_steps(method.rate(largest, smallest, quadratic=True), gap, target)
    steps = foresee(rehearsal, method, np.zeros(changed.size), target).steps
    assert steps <= bound * (1.0 if name == "gradient-descent" else 1.5)
    assert steps >= bound / 5
    assert predict.bound_on_steps(0.5, 1e-9, 1e-8) == 0
    assert predict.bound_on_steps(1.0, 1.0, 1e-8) == math.inf
