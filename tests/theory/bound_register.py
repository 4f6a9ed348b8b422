"""The register of bounds: which bound is put to the test by which method on which problem, with which settings."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from thalweg.theory import bounds
from theory import bound_problems as problems
from theory import bound_runs as runs

SPECTRA = ("uniform", "geometric", "clustered")
KAPPAS = (10, 1e3, 1e5)


@dataclass(frozen=True)
class Row:
    """A bound, a method, a problem with settings; `run(share)` uses that share of the true L (of M for Newton)."""

    bound: str
    method: str
    problem: str
    settings: str
    run: Callable[[float], Any] = field(repr=False)
    slow: bool = False

    def __str__(self):
        return f"{self.bound}-{self.method}-{self.problem}-{self.settings}".replace(" ", "_")


ROWS: list[Row] = []

#: Why a run that is tuned from half of the true L (M for Newton) breaks each bound: none is vacuous.
BROKEN_BY = {
    "descent_lemma": "a step of 2/L mirrors the direction of largest curvature, where f stays as it is",
    "smallest_gradient": "the mirrored direction keeps its gradient",
    "gradient_descent": "the mirrored direction keeps its share of f",
    "gradient_descent_steps": "the mirrored direction keeps its share of f",
    "gradient_descent_quadratic": "the step diverges; halved by the guard, it is the true kappa that sets the rate",
    "gradient_descent_distance": "as gradient_descent_quadratic",
    "heavy_ball": "the step is beyond 2 (1 + beta)/L, where the largest curvature diverges",
    "heavy_ball_distance": "as heavy_ball",
    "nesterov_convex": "the step is beyond 4/(3 L), where the largest curvature diverges",
    "nesterov": "as nesterov_convex",
    "conjugate_gradients": "no polynomial of degree k is as small on the spectrum as one of half its condition",
    "newton": "on the cubic the bound is attained",
    "newton_radius": "on the cubic a start beyond the true radius overshoots to a larger error",
    "sgd": "the mirrored direction keeps its share of f, and collects noise without end",
    "sgd_plateau": "the noise along the largest curvature is kept twice as much as along half of it",
    "sgd_steps": "the mirrored direction keeps its share of f",
    "sgd_falling": "the first step mirrors the direction of largest curvature, and adds noise twice as fast",
    "svrg": "on kinked rows the anchor's noise raises f by theta = L_max eta of it, twice what the half allows for",
    "svrg_quadratic": "the anchor's noise passes the factor, which is sharp",
    "svrg_gradients": "as svrg",
}


def row(bound, method, problem, settings, run, *args, slow=False):
    ROWS.append(Row(bound, method, problem, settings, partial(run, *args), slow))


def quadratics(begin="even", kappas=KAPPAS):
    for kind in SPECTRA if begin != "top" else SPECTRA[:1]:  # a run along one direction sees no other
        for kappa in kappas:
            yield f"{kind} quadratic, kappa={kappa:g}, {begin} start", problems.quadratic(kind, kappa, begin)


SMOOTH = {
    "wide least squares": problems.least_squares(20, 30, 20),
    "least squares of rank 5": problems.least_squares(60, 12, 5),
    "logistic, l2=0.1": problems.logistic(80, 6, 0.1),
    "softplus sum, l2=0.05": problems.softplus_sum(50, 6, 0.05),
    "x^2 + 3 sin^2 x": problems.wavy(),
}
NONCONVEX = {
    "x^2 + 3 sin^2 x": problems.wavy(),
    "cosines": problems.cosines(10),
    "robust regression": problems.robust_regression(60, 5),
}
CONVEX = {name: SMOOTH[name] for name in ("wide least squares", "logistic, l2=0.1", "softplus sum, l2=0.05")}

# Gradient descent.
for name, problem in [*quadratics(), *{**SMOOTH, **NONCONVEX}.items()]:
    row("descent_lemma", "gradient descent", name, "200 steps", runs.descent_lemma, problem, 200)
for name, problem in [*quadratics("random", (10, 1e3)), *{**SMOOTH, **NONCONVEX}.items()]:
    row("smallest_gradient", "gradient descent", name, "500 steps", runs.smallest_gradient, problem, 500)
for name, problem in [*quadratics(), *quadratics("top", (1e5,)), *SMOOTH.items()]:
    row("gradient_descent", "gradient descent", name, "1000 steps", runs.gradient_descent, problem, 1000)
for name, problem in [*quadratics(kappas=(10, 100)), *SMOOTH.items()]:
    row("gradient_descent_steps", "gradient descent", name, "to 1e-3", runs.gradient_descent_steps, problem, 1e-3)
for bound in (bounds.gradient_descent_quadratic, bounds.gradient_descent_distance):
    for name, problem in quadratics():
        run = runs.gradient_descent_on_quadratic
        row(bound.name, "gradient descent", name, "600 steps", run, bound, problem, 600)

# Momentum.
for begin in ("even", "top"):
    for name, problem in quadratics(begin):
        row("heavy_ball", "heavy ball", name, "600 steps", runs.heavy_ball, bounds.heavy_ball, problem, 600)
for name, problem in quadratics():
    bound = bounds.heavy_ball_distance
    row(bound.name, "heavy ball", name, "600 steps", runs.heavy_ball, bound, problem, 600)
for name, problem in [*quadratics(), *CONVEX.items()]:
    row("nesterov_convex", "nesterov", name, "to a restart", runs.nesterov_convex, problem, 500)
for name, problem in [*quadratics(), *CONVEX.items()]:
    if "wide" not in name:  # strongly convex functions alone
        row("nesterov", "nesterov, constant momentum", name, "600 steps", runs.nesterov, problem, 600)
for name, problem in quadratics():
    row("conjugate_gradients", "conjugate gradients", name, "30 steps", runs.conjugate_gradients, problem, 30)

# Newton: `run` takes a share of M in place of L.
NEWTON = {
    "cubic in 1 direction": problems.cubic(2.0, 3.0, 0.44),
    "cubic in 1 direction, halfway": problems.cubic(2.0, 3.0, 0.22),
    "cubic in 5 directions": problems.cubic(2.0, 3.0, (0.2, 0.2, -0.2, 0.2, 0.1)),
    "logistic, l2=0.1": problems.near(problems.logistic(80, 6, 0.1), 0.95),
    "logistic, l2=1": problems.near(problems.logistic(80, 6, 1.0), 0.95),
}
for name, problem in NEWTON.items():
    row("newton", "newton, full steps", name, "8 steps", runs.newton, problem, 8)
    row("newton_radius", "newton, full steps", name, "from 0.7 of the radius", runs.newton_radius, problem, 0.7)

# Stochastic methods.


def noisy(kind, kappa, noise):
    """A quadratic with normal noise: alike in all directions, like the curvature, or along the largest alone."""
    problem = problems.quadratic(kind, kappa, "top", 8)
    h = np.diag(problem.hessian(problem.x0))
    variances = {"even": np.full(8, 0.1), "sloped": 0.8 * h / h.sum(), "top": 0.8 * problem.x0}[noise]
    return f"{kind} quadratic, kappa={kappa:g}, {noise} noise", runs.Noisy(problem, variances)


NOISY = dict(noisy(kind, 10, noise) for kind in SPECTRA for noise in ("even", "sloped"))
NOISY |= [noisy("uniform", 10, "top")]
STIFF = dict(noisy(kind, 100, "even") for kind in SPECTRA)
SAMPLED = {
    "least squares": runs.Noisy(problems.least_squares(40, 5, 5)),
    "least squares, without replacement": runs.Noisy(problems.least_squares(40, 5, 5), replacement=False),
    "least squares of rank 4": runs.Noisy(problems.least_squares(40, 8, 4)),
    "logistic, l2=0.1": runs.Noisy(problems.logistic(40, 4, 0.1)),
}
WAVY = {"x^2 + 3 sin^2 x, even noise": runs.Noisy(problems.wavy(), np.array([0.5]))}
for name, problem in (("least squares", problems.least_squares(7, 3, 3)), ("logistic", problems.logistic(7, 3, 0.1))):
    for batch_size, replacement in ((1, True), (4, True), (3, False), (7, False)):
        settings = f"B={batch_size} of 7, {'with' if replacement else 'without'} replacement"
        row("minibatch_variance", "batches", name, settings, runs.minibatch_variance, problem, batch_size, replacement)
for name, problem in [*NOISY.items(), *STIFF.items(), *WAVY.items()]:
    row("sgd", "SGD", name, "B=1, alpha=1/L", runs.sgd, problem, 1, 1.0, 300)
for name, problem in SAMPLED.items():
    for batch_size, of_longest in ((1, 0.3), (8, 1.0)):
        settings = f"B={batch_size}, alpha={of_longest:g}/L"
        row("sgd", "SGD", name, settings, runs.sgd, problem, batch_size, of_longest, 300)
for name, problem in NOISY.items():
    row("sgd_plateau", "SGD", name, "B=2, alpha=1/L", runs.sgd_plateau, problem, 2, 1.0, 400)
    row("sgd_plateau", "SGD", name, "B=1, alpha=0.5/L", runs.sgd_plateau, problem, 1, 0.5, 800)
for name, problem in NOISY.items():
    for batch_size in (1, 16):  # the noise sets the step, and L does
        row("sgd_steps", "SGD", name, f"B={batch_size}, to 0.1", runs.sgd_steps, problem, batch_size, 0.1)
for name, problem in SAMPLED.items():
    row("sgd_steps", "SGD", name, "B=32, to 0.5", runs.sgd_steps, problem, 32, 0.5)
for name, problem in [*NOISY.items(), *SAMPLED.items(), *WAVY.items()]:
    row("sgd_falling", "SGD, TheoryDecay", name, "B=1", runs.sgd_falling, problem, 1, 300)
SUMS = {"least squares": problems.least_squares(40, 5, 5), "logistic, l2=0.1": problems.logistic(40, 4, 0.1)}
ALONE, KINKED, FEW = problems.lonely_row(10), problems.kinked_rows(30), 100
settings = "eta=0.25/L_max, m=4000"
row("svrg", "SVRG", "kinked rows", settings, runs.svrg, bounds.svrg, KINKED, 0.25, 4000, 1, 64)
row("svrg_gradients", "SVRG", "kinked rows", settings, runs.svrg_gradients, KINKED, 0.25, 4000, 0.372, 64)
quadratic = bounds.svrg_quadratic
for name, problem, steps, epochs, count in (
    ("one row of 10", ALONE, 2500, 1, 1000),
    ("least squares", SUMS["least squares"], 1000, 2, FEW),
):
    settings = f"eta=0.1/L_max, m={steps}"
    row(quadratic.name, "SVRG", name, settings, runs.svrg, quadratic, problem, 0.1, steps, epochs, count)
for name, problem in {**SUMS, "one row of 10": ALONE}.items():
    row("svrg", "SVRG", name, "eta=0.1/L_max, m=1000", runs.svrg, bounds.svrg, problem, 0.1, 1000, 2, FEW)
    row("svrg_gradients", "SVRG", name, "to 0.3", runs.svrg_gradients, problem, None, None, 0.3, FEW)

# One run a seed, and seconds of compilation.
for name, problem in {**SUMS, "least squares of rank 4": problems.least_squares(40, 8, 4)}.items():
    for batch_size, of_longest, epochs in ((1, 0.3, 8), (8, 1.0, 30)):
        settings = f"B={batch_size}, alpha={of_longest:g}/L, epochs"
        row("sgd", "SGD", name, settings, runs.sgd_epochs, problem, batch_size, of_longest, epochs, slow=True)
for name, problem in SUMS.items():
    settings = "eta=0.1/L_max, m=1000, anchor=mean"
    row("svrg", "SVRG", name, settings, runs.svrg_from_means, bounds.svrg, problem, 0.1, 1000, 2, slow=True)
