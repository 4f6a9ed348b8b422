"""How long does an epoch of stochastic updates take: compiled, literal, and in scikit-learn's SGDClassifier?

Logistic loss, dense rows of 30 to 1,000 numbers and sparse ones of 30 out of 10,000, batches of one (scikit-learn's)
and of 32. CPU seconds of an epoch alone: scikit-learn's is the difference between runs of six epochs and of one.
Medians with the spread of the middle half. Targets: compiled epochs of plain steps on single examples take at most 1.2
times scikit-learn's time in the median over problems, and a twentieth of the literal loop's at most.

Run: python benchmarks/epochs.py [--quick]
"""

import os

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"

import argparse
import statistics
import sys
import time
import warnings

import numpy as np
import scipy.sparse as sp
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import SGDClassifier

from thalweg.core.parallel import one_blas_thread
from thalweg.data.samplers import Sampler
from thalweg.methods import SGD, SVRG, Adam
from thalweg.methods.compiled_epochs import compiled
from thalweg.methods.epochs import Epoch, Walk, literal
from thalweg.methods.rules_momentum import PlainStep
from thalweg.problems import ChangedProblem, FiniteSum, Standardizing

STEP, L2 = 1e-3, 1e-4
#: Updates of the literal loop that are timed; it does all at the same speed.
LITERAL_UPDATES = 2_000


def problems(quick):
    rng = np.random.default_rng(0)
    sizes = [(20_000, 30)] if quick else [(100_000, 30), (50_000, 100), (20_000, 1_000)]
    for n, d in sizes:
        X = rng.normal(size=(n, d))
        yield f"dense {n:,} x {d:,}", X, np.sign(X @ rng.normal(size=d) + rng.normal(size=n))
    n, d = (10_000, 1_000) if quick else (50_000, 10_000)
    X = sp.random(n, d, 30 / d, format="csr", random_state=0)
    yield f"sparse {n:,} x {d:,}, 30 a row", X, np.sign(X @ rng.normal(size=d) + 0.1 * rng.normal(size=n))


def contenders(problem, rows):
    """Each with the seconds of one epoch, scaled up where only a part of it is run."""
    for label, method in (
        ("SGD, batches of 1", SGD(STEP, batch_size=1)),
        ("SGD, batches of 32", SGD(STEP)),
        ("SGD with momentum, 32", SGD(STEP, 0.9)),
        ("Adam, 32", Adam(STEP)),
    ):
        yield label, *epoch_of(problem, method.rule(), method.batch_size if method.batch_size != "auto" else 32)
    yield "SVRG, an inner pass", *epoch_of(problem, PlainStep(), SVRG().batch_size, anchored=True)
    if not sp.issparse(rows):
        changed = ChangedProblem(problem, Standardizing(problem))
        yield "SGD, 1, standardised", *epoch_of(changed, PlainStep(), 1)


def epoch_of(problem, rule, batch_size, anchored=False):
    """The compiled epoch, the literal one, and what the time of the latter is multiplied with."""
    x = np.zeros(problem.size)
    sampler = Sampler(problem.n, batch_size)
    anchor = problem.at(x) if anchored else None
    whole = Epoch(sampler.order(0), batch_size, np.full(sampler.updates, STEP), None, 1, rule, anchor=anchor)
    updates = min(LITERAL_UPDATES, sampler.updates)
    part = Epoch(whole.order[: updates * batch_size], batch_size, whole.step_sizes[:updates], None, 1, rule, (), anchor)
    walk, function = Walk(x, rule.init(x), x), compiled(problem, whole)
    return lambda: function(walk), lambda: literal(problem, part, walk), sampler.updates / updates


def seconds(function, runs):
    function()  # compiles
    taken = []
    for _ in range(runs):
        started = time.process_time()
        function()
        taken.append(time.process_time() - started)
    return taken


def peer(X, y, runs):
    """Seconds of an epoch of scikit-learn's SGDClassifier with the same loss, penalty and step."""

    def fit(epochs):
        model = SGDClassifier("log_loss", alpha=L2, learning_rate="constant", eta0=STEP, max_iter=epochs, tol=None)
        started = time.process_time()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(X, y)
        return time.process_time() - started

    fit(1)
    return [(fit(6) - fit(1)) / 5 for _ in range(runs)]


def shown(taken, examples):
    quarters = statistics.quantiles(taken, n=4)
    middle, low, high = (1e9 * value / examples for value in (statistics.median(taken), quarters[0], quarters[2]))
    return f"{middle:8.0f} [{low:.0f}, {high:.0f}]"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="two small problems, three runs each")
    quick = parser.parse_args().quick
    runs = 3 if quick else 7
    against_peer, against_literal = [], []
    print(f"{'':<34}{'':<24}{'ns an example [middle half]':<28}{'literal / compiled':>19}{'compiled / sklearn':>20}")
    with one_blas_thread():
        for name, X, y in problems(quick):
            theirs = peer(X, y, runs)
            print(f"{name:<34}{'scikit-learn':<24}{shown(theirs, len(y)):<28}")
            for label, fast, slow, factor in contenders(FiniteSum(X, y, "logistic", L2), X):
                ours, spelled_out = seconds(fast, runs), [factor * s for s in seconds(slow, max(runs // 2, 1))]
                gain = statistics.median(spelled_out) / statistics.median(ours)
                ratio = statistics.median(ours) / statistics.median(theirs)
                if label == "SGD, batches of 1":
                    against_peer.append(ratio)
                    against_literal.append(gain)
                print(f"{'':<34}{label:<24}{shown(ours, len(y)):<28}{gain:>19.1f}{ratio:>20.2f}", flush=True)
    print(
        f"single examples: {statistics.median(against_peer):.2f} of scikit-learn's time in the median (target 1.2), "
        f"at least {min(against_literal):.0f} times as fast as the literal loop (target 20)"
    )
    return 0 if statistics.median(against_peer) <= 1.2 and min(against_literal) >= 20 else 1


if __name__ == "__main__":
    sys.exit(main())
