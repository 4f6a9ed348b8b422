"""Predictions held to account: predicted and observed steps and seconds of every method, misses included.

Question: how good are the plan's predictions, made before the first step, and how good after the first tenth of a run?
Five built-in sets and eight generated problems (kappa 1e2 to 1e6, separable and not, dense and sparse), every method
that applies, from zero to f - f* <= 1e-8 f(0). Targets: steps within a factor 2 for 70% of rows from the start and 90%
after the first tenth; 80% intervals contain the truth at that rate.

Run: python benchmarks/calibrate.py [--quick] [--write]    (--write renews docs/calibration.md)
"""

import os

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"

import argparse
import platform
import sys
import time
from pathlib import Path

import numpy as np
import scipy.sparse as sp

from thalweg.core.parallel import one_blas_thread
from thalweg.data import load_table
from thalweg.methods import METHODS, drive
from thalweg.planning import prepare
from thalweg.planning.rank import make_plan
from thalweg.problems import ChangedProblem, FiniteSum, Standardizing
from thalweg.theory import foresee_rest

PAGE = Path(__file__).parent.parent / "docs" / "calibration.md"
BUILT_IN = ("iris", "wine", "breast_cancer", "diabetes", "digits")
#: Steps and seconds after which a run is cut; what is cut counts as a row only if the prediction lies beyond.
MAX_STEPS, MAX_SECONDS = 2_000_000, 60.0


def logistic(n, d, kappa, separable, seed):
    """Correlated Gaussian rows whose covariance has condition kappa; labels nearly or not at all separable."""
    rng = np.random.default_rng(seed)
    rotation = np.linalg.qr(rng.normal(size=(d, d)))[0]
    X = rng.normal(size=(n, d)) * np.geomspace(1, kappa**-0.5, d) @ rotation
    z = X @ rng.normal(size=d)
    z *= (5.0 if separable else 1.0) / z.std()
    y = np.sign(z + rng.logistic(size=n) * (0.2 if separable else 1.0))
    return FiniteSum(X, y, "logistic", 1 / n)


def squares(n, d, kappa, seed):
    """Least squares on rows of condition kappa."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d)) * np.geomspace(1, kappa**-0.5, d)
    return FiniteSum(
        X @ np.linalg.qr(rng.normal(size=(d, d)))[0], X @ np.ones(d) + rng.normal(size=n), "squared", 1 / n
    )


def sparse(n, d, density, separable, seed):
    """Sparse rows whose columns are used with frequencies that fall by a factor 100."""
    rng = np.random.default_rng(seed)
    chance = density * np.geomspace(10, 0.1, d)
    X = sp.csr_array((rng.random((n, d)) < chance) * rng.normal(size=(n, d)))
    z = X @ rng.normal(size=d)
    z *= (5.0 if separable else 1.0) / z.std()
    return FiniteSum(X, np.sign(z + rng.logistic(size=n) * (0.2 if separable else 1.0)), "logistic", 1 / n)


def counts(n, d, seed):
    """Poisson counts: a loss without a curvature bound."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d)) * np.geomspace(1, 0.03, d)
    return FiniteSum(X, rng.poisson(np.exp(0.5 * X @ rng.normal(size=d))).astype(float), "poisson", 1 / n)


GENERATED = {
    "logistic, kappa 1e2": lambda: logistic(3_000, 40, 1e2, False, 1),
    "logistic, kappa 1e4, near separable": lambda: logistic(3_000, 40, 1e4, True, 2),
    "logistic, kappa 1e6": lambda: logistic(20_000, 60, 1e6, False, 3),
    "logistic, kappa 1e6, near separable": lambda: logistic(5_000, 100, 1e6, True, 4),
    "squares, kappa 1e5": lambda: squares(4_000, 80, 1e5, 5),
    "sparse": lambda: sparse(5_000, 300, 0.02, False, 6),
    "sparse, near separable": lambda: sparse(5_000, 300, 0.02, True, 7),
    "poisson": lambda: counts(4_000, 30, 8),
}


def problems(quick):
    for name in BUILT_IN[:3] if quick else BUILT_IN:
        yield name, prepare(load_table(name)).problem
    for name, make in list(GENERATED.items())[: 2 if quick else None]:
        yield name, make()


def observe(changed, method, target, limits):
    """Run from zero; steps and seconds until the bound on f - f* is below the target, and the whole solution."""
    started = time.perf_counter()
    points = {}
    solution = None
    steps, seconds = limits
    for event in drive(changed, method, np.zeros(changed.size), target=target, max_steps=steps, max_seconds=seconds):
        solution = getattr(event, "solution", None)
        points["seconds"] = time.perf_counter() - started
    reached = np.flatnonzero(solution.trace["gap"] <= target)
    if not len(reached):
        return solution.cost.steps, solution.cost.seconds, False
    index = int(reached[0])
    return int(solution.trace["step"][index]), float(solution.trace["seconds"][index]), True


def refined(changed, prospect, method, target, steps):
    """The prediction after the first tenth of the run: the same rehearsal, seen from where the run has come."""
    tenth = max(1, steps // 10)
    solution = None
    for event in drive(changed, method, np.zeros(changed.size), target=0.0, max_steps=tenth):
        solution = getattr(event, "solution", None)
    gap = float(solution.trace["gap"][-1])
    return foresee_rest(prospect.rehearsal, method, solution.x, gap, tenth, target)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="five problems, runs of at most two seconds")
    parser.add_argument("--write", action="store_true", help="renew docs/calibration.md")
    options = parser.parse_args()
    limits = (20_000, 2.0) if options.quick else (MAX_STEPS, MAX_SECONDS)
    lines = [
        "| problem | method | predicted steps | 80% interval | observed | ratio | after a tenth | ratio "
        "| predicted s | observed s | ratio |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    start, tenth, inside, second = [], [], [], []
    with one_blas_thread():
        for name, problem in problems(options.quick):
            changed = ChangedProblem(problem, Standardizing(problem))
            target = 1e-8 * problem.at(problem.start()).value
            prospect = make_plan(changed, target)
            for row in sorted(prospect.plan.predictions, key=lambda row: list(METHODS).index(row.method)):
                method = prospect.method(row.method)
                steps, seconds, ended = observe(changed, method, target, limits)
                low, high = row.steps_interval
                head = f"| {name} | {row.method} | {row.steps:.0f} | {low:.0f} to {high:.0f} "
                if not ended:
                    lines.append(f"{head}| > {steps} | | | | {row.seconds:.3g} | > {seconds:.3g} | |")
                    if row.steps < steps:
                        start.append(np.inf)
                        inside.append(steps <= high)
                    continue
                steps = max(steps, 1)
                ratio = max(row.steps, 1) / steps
                later = refined(changed, prospect, method, target, steps)
                start.append(ratio)
                tenth.append(later / steps)
                inside.append(low <= steps <= high)
                second.append(row.seconds / seconds)
                lines.append(
                    f"{head}| {steps} | {ratio:.2f} | {later:.0f} | {later / steps:.2f} "
                    f"| {row.seconds:.3g} | {seconds:.3g} | {row.seconds / seconds:.2f} |"
                )
                print(lines[-1], flush=True)

    def within(ratios, factor=2.0):
        return np.mean([1 / factor <= ratio <= factor for ratio in ratios])

    summary = [
        f"Steps within a factor 2 from the start: {within(start):.0%} of {len(start)} rows (target 70%).",
        f"Steps within a factor 2 after the first tenth of the run: {within(tenth):.0%} of {len(tenth)} (target 90%).",
        f"80% intervals contain the observed steps: {np.mean(inside):.0%} of {len(inside)}.",
        f"Seconds within a factor 2 from the start: {within(second):.0%} of {len(second)}.",
        f"Python {platform.python_version()}, NumPy {np.__version__}, {os.cpu_count()} cores, BLAS at 1 thread.",
    ]
    print("\n".join(summary))
    if options.write:
        PAGE.write_text(
            "# Calibration\n\nWhat the plan predicted before the first step, beside what was observed; written by "
            "`python benchmarks/calibrate.py --write`, misses included. Every run starts at zero and ends when the "
            "bound on f - f* is below 1e-8 f(0); `>` marks a run that was cut at its limit of steps or seconds.\n\n"
            + "\n".join(f"- {line}" for line in summary)
            + "\n\n"
            + "\n".join(lines)
            + "\n"
        )
    return 0 if within(start) >= 0.7 and within(tenth) >= 0.9 else 1


if __name__ == "__main__":
    sys.exit(main())
