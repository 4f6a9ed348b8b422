"""Evaluations and seconds of BFGS, L-BFGS and Newton-CG on the zoo, beside those of scipy.optimize.

Question: from the standard start of every test function, what does it take to bring f within 1e-8 min(1, |f(x0)|) of
the minimum (1e-8 where f(x0) = 0)? Both sides call the same compiled functions: value and gradient at once, and for
Newton-CG the product of the Hessian with a vector. The function itself counts the calls and ends a run when it has seen
the value, so that nobody's stopping rule matters; all tolerances are set to what is never met. Where the two come to
different listed minima, or one of them to none, there is no ratio: such rows are counted and named.

Evaluations: calls of value and gradient; for Newton-CG also with the products added. Seconds: of the processor, from
the call of the solver, the making of the problem included, to the evaluation that met the goal; the sides take turns,
medians of the rounds.

Targets: the median over the zoo of the ratio ours/SciPy's is at most 1.0 in evaluations and 1.5 in seconds.

Run: python benchmarks/methods.py [--quick] [--only METHOD] [--rows]
"""

import os

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"

import argparse
import contextlib
import platform
import statistics
import time
import warnings
from dataclasses import dataclass

import numpy as np
import scipy
from scipy.optimize import minimize

import thalweg as tw
from thalweg.problems.zoo import ZOO

ACCURACY = 1e-8
MOST_CALLS = 20_000
NEVER = {
    "BFGS": {"gtol": 0.0, "xrtol": 0.0, "maxiter": MOST_CALLS},
    "L-BFGS-B": {"ftol": 0.0, "gtol": 0.0, "maxiter": MOST_CALLS, "maxfun": MOST_CALLS},
    "Newton-CG": {"xtol": 0.0, "maxiter": MOST_CALLS},
    "trust-ncg": {"gtol": 0.0, "maxiter": MOST_CALLS},
}
PAIRS = (("bfgs", "BFGS"), ("l-bfgs", "L-BFGS-B"), ("newton-cg", "Newton-CG"), ("newton-cg", "trust-ncg"))
TARGETS = {"evaluations": 1.0, "with products": 1.0, "seconds": 1.5}


class Reached(Exception):
    """The goal was seen, or too many calls were made."""


class Counted:
    """The compiled functions of one entry, counting; value and gradient end the run at the goal.

    For our side it stands in the place of the derivatives that the engine derives.
    """

    def __init__(self, entry):
        self.entry = entry
        self.both = tw.compile(tw.value_and_grad(entry.f), fuse=False)
        self.product = tw.compile(tw.hvp(entry.f), fuse=False)
        self.both(entry.x0), self.product(entry.x0, np.ones_like(entry.x0))
        self.goal, self.values, self.calls, self.products = -np.inf, None, 0, 0

    def value_and_gradient(self, x):
        """f and its gradient."""
        value, gradient = self.both(x)
        self.calls += 1
        if self.values is not None:
            self.values.append(float(value))
        if value <= self.goal or self.calls > MOST_CALLS:
            raise Reached
        return float(value), gradient

    def hvp(self, x, v):
        """The Hessian times v."""
        self.products += 1
        return self.product(x, v)

    def hessian(self, x):
        """The Hessian, column by column: for certificates of runs that ended without the goal."""
        return np.stack([self.hvp(x, e) for e in np.eye(x.size)])

    def structured(self, x):
        """Nothing is known of structure."""
        return None

    def convex(self):
        """Nothing is claimed."""
        return False

    def ours(self, method):
        """A run by our method."""
        problem = tw.Function(self.entry.f, self.entry.x0, derivatives=self)
        tw.solve(problem, method, tol=1e-300, max_steps=MOST_CALLS)

    def theirs(self, method):
        """A run by SciPy's method."""
        given = {"hessp": self.hvp} if method in ("Newton-CG", "trust-ncg") else {}
        minimize(self.value_and_gradient, self.entry.x0, jac=True, method=method, options=NEVER[method], **given)

    def run(self, side, method):
        """Seconds of the processor until the goal, or until the solver gives up."""
        self.calls = self.products = 0
        started = time.process_time()
        with contextlib.suppress(Reached):
            getattr(self, side)(method)
        return time.process_time() - started


@dataclass
class Row:
    """One function by one pair of methods."""

    name: str
    ours: tuple[int, int, float]
    theirs: tuple[int, int, float]

    def ratio(self, what):
        """Ours by theirs."""
        a, b = ((count, count + products, seconds) for count, products, seconds in (self.ours, self.theirs))
        index = ("evaluations", "with products", "seconds").index(what)
        return a[index] / b[index]


def accuracy(entry):
    start = abs(float(entry.f(entry.x0)))
    return ACCURACY * (min(1.0, start) if start else 1.0)


def minimum_of(counted, side, method):
    """The listed minimum that a run without a goal comes to; None where it comes to none."""
    counted.goal, counted.values = -np.inf, []
    counted.run(side, method)
    best, counted.values = min(v for v in counted.values if np.isfinite(v)), None
    slack = accuracy(counted.entry)
    known = [m.value for m in counted.entry.minima if m.kind != "saddle"]
    return next((value for value in known if abs(best - value) <= slack + 1e-15 * abs(value)), None)


def compared(counted, pair, rounds):
    """The row of one function, or None with the reason where the two cannot be compared."""
    minima = [minimum_of(counted, side, method) for side, method in zip(("ours", "theirs"), pair, strict=True)]
    if None in minima or minima[0] != minima[1]:
        reasons = "neither" if minima == [None, None] else "SciPy alone" if minima[0] is None else "ours alone"
        return None, "another minimum" if None not in minima else reasons
    counted.goal = minima[0] + accuracy(counted.entry) + 1e-15 * abs(minima[0])
    found = {}
    for side, method in zip(("ours", "theirs"), pair, strict=True):
        counted.run(side, method)
        found[side] = counted.calls, counted.products
    seconds = {"ours": [], "theirs": []}
    for turn in range(rounds):
        order = ("ours", "theirs") if turn % 2 else ("theirs", "ours")
        for side in order:
            seconds[side].append(counted.run(side, pair[side == "theirs"]))
    rows = [(*found[side], statistics.median(seconds[side])) for side in ("ours", "theirs")]
    return Row(counted.entry.name, *rows), ""


def quartiles(values):
    low, middle, high = statistics.quantiles(values, n=4)
    return f"{middle:8.3f}  ({low:.2f} to {high:.2f})"


def report(pair, rows, left_out, verbose):
    print(f"\n{pair[0]} / SciPy's {pair[1]}: {len(rows)} functions", end="")
    print("".join(f"; {reason}: {len(names)} ({', '.join(names)})" for reason, names in left_out.items()))
    if verbose:
        for row in rows:
            (calls, products, ms), (their_calls, their_products, their_ms) = row.ours, row.theirs
            print(
                f"  {row.name:<34}{calls:6d} /{their_calls:6d} evaluations {products:6d} /{their_products:6d} products"
                f"{1e3 * ms:9.2f} /{1e3 * their_ms:9.2f} ms"
            )
    for what, target in TARGETS.items():
        if what == "with products" and pair[0] != "newton-cg":
            continue
        ratios = [row.ratio(what) for row in rows]
        verdict = "met" if statistics.median(ratios) <= target else "MISSED"
        print(f"  {what:<14}{quartiles(ratios)}  target {target}: {verdict}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="3 rounds, every third function")
    parser.add_argument("--only", choices=sorted({ours for ours, _ in PAIRS}), help="one of our methods")
    parser.add_argument("--rows", action="store_true", help="a line for each function")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    np.seterr(all="ignore")
    names = list(ZOO)[::3] if options.quick else list(ZOO)
    rounds = 3 if options.quick else 9
    print(
        f"Python {platform.python_version()}, NumPy {np.__version__}, SciPy {scipy.__version__}, "
        f"{os.cpu_count()} cores,\nBLAS at 1 thread, {len(names)} functions, "
        f"medians of {rounds} alternating rounds; ratios: median (quartiles)"
    )
    counted = [Counted(ZOO[name]) for name in names]
    for pair in PAIRS:
        if options.only in (None, pair[0]):
            rows, left_out = [], {}
            for one in counted:
                row, reason = compared(one, pair, rounds)
                rows.append(row) if row else left_out.setdefault(reason, []).append(one.entry.name)
            report(pair, rows, left_out, options.rows)


if __name__ == "__main__":
    main()
