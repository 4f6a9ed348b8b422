"""How long does an epoch of stochastic updates take: compiled, literal, and in scikit-learn?

Logistic loss beside SGDClassifier: dense rows of 30 to 1,000 numbers and sparse ones of 30 out of 10,000 and 100,000,
batches of one (scikit-learn's) and of 32. Softmax beside LogisticRegression(solver="saga"), whose epoch has the same
products and a table of gradients besides: 3 and 10 classes. CPU seconds of an epoch alone: scikit-learn's is the
difference between runs of six epochs and of one. Medians with the spread of the middle half. Targets: compiled epochs
of plain steps on single examples take at most 1.2 times scikit-learn's time in the median over problems, and a
twentieth of the literal loop's at most; on sparse rows a step costs what the row stores: ten times as many columns,
less than three times the time (the coefficients leave the cache).

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
from dataclasses import replace

import numpy as np
import scipy.sparse as sp
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, SGDClassifier

from thalweg.core.parallel import one_blas_thread
from thalweg.data.samplers import Sampler
from thalweg.methods import SGD, SVRG, Adam
from thalweg.methods.averaging import PolyakAverage
from thalweg.methods.compiled_epochs import compiled
from thalweg.methods.epochs import Epoch, Walk, literal
from thalweg.methods.rules_momentum import PlainStep
from thalweg.problems import ChangedProblem, FiniteSum, Standardizing

STEP, L2 = 1e-3, 1e-4
#: Updates of the literal loop that are timed; it does all at the same speed.
LITERAL_UPDATES = 2_000


def problems(quick):
    rng = np.random.default_rng(0)
    for n, d in [(20_000, 30)] if quick else [(100_000, 30), (50_000, 100), (20_000, 1_000)]:
        X = rng.normal(size=(n, d))
        yield f"dense {n:,} x {d:,}", X, np.sign(X @ rng.normal(size=d) + rng.normal(size=n)), "logistic"
    for n, d in [(10_000, 1_000), (10_000, 10_000)] if quick else [(50_000, 10_000), (50_000, 100_000)]:
        X = sp.random(n, d, 30 / d, format="csr", random_state=rng)
        yield f"sparse {n:,} x {d:,}", X, np.sign(X @ rng.normal(size=d) + 0.1 * rng.normal(size=n)), "logistic"
    for n, d, k in [(5_000, 30, 3)] if quick else [(50_000, 30, 3), (20_000, 64, 10)]:
        X = rng.normal(size=(n, d))
        yield f"dense {n:,} x {d:,}, {k} classes", X, labels(X, k, rng), "softmax"
    n, d, k = (5_000, 1_000, 5) if quick else (20_000, 10_000, 10)
    X = sp.random(n, d, 30 / d, format="csr", random_state=rng)
    yield f"sparse {n:,} x {d:,}, {k} classes", X, labels(X, k, rng), "softmax"


def labels(X, k, rng):
    z = X @ rng.normal(size=(X.shape[1], k))
    return (z + rng.gumbel(size=z.shape)).argmax(axis=1)


def contenders(problem, rows):
    """Each with the seconds of one epoch, scaled up where only a part of it is run."""
    for label, method in (
        ("SGD, batches of 1", SGD(STEP, batch_size=1)),
        ("SGD, batches of 32", SGD(STEP)),
        ("SGD, 1, averaged", SGD(STEP, batch_size=1, average=PolyakAverage())),
        ("SGD with momentum, 32", SGD(STEP, 0.9)),
        ("Adam, 32", Adam(STEP)),
    ):
        batch_size = 32 if method.batch_size == "auto" else method.batch_size
        yield label, *epoch_of(problem, method.rule(), batch_size, average=method.average)
    yield "SVRG, an inner pass", *epoch_of(problem, PlainStep(), SVRG().batch_size, anchored=True)
    if not sp.issparse(rows):
        changed = ChangedProblem(problem, Standardizing(problem))
        yield "SGD, 1, standardised", *epoch_of(changed, PlainStep(), 1)


def epoch_of(problem, rule, batch_size, anchored=False, average=None):
    """The compiled epoch, the literal one, and what the time of the latter is multiplied with."""
    x = np.zeros(problem.size)
    sampler = Sampler(problem.n, batch_size)
    anchor = problem.at(x) if anchored else None
    shares = None if average is None else average.weights(1, sampler.updates)
    whole = Epoch(sampler.order(0), batch_size, np.full(sampler.updates, STEP), shares, 1, rule, anchor=anchor)
    updates = min(LITERAL_UPDATES, sampler.updates)
    part = replace(whole, order=whole.order[: updates * batch_size], step_sizes=whole.step_sizes[:updates])
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


def peer(X, y, loss, runs):
    """Seconds of an epoch of scikit-learn's solver with the same loss and penalty."""

    def fit(epochs):
        if loss == "softmax":
            model = LogisticRegression(C=1 / (L2 * len(y)), solver="saga", max_iter=epochs, tol=0.0)
        else:
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
    against_peer, against_literal, single = [], [], {}
    print(f"{'':<34}{'':<24}{'ns an example [middle half]':<28}{'literal / compiled':>19}{'compiled / sklearn':>20}")
    with one_blas_thread():
        for name, X, y, loss in problems(quick):
            theirs = peer(X, y, loss, runs)
            print(f"{name:<34}{'saga' if loss == 'softmax' else 'SGDClassifier':<24}{shown(theirs, len(y)):<28}")
            for label, fast, slow, factor in contenders(FiniteSum(X, y, loss, L2), X):
                ours, spelled_out = seconds(fast, runs), [factor * s for s in seconds(slow, max(runs // 2, 1))]
                gain = statistics.median(spelled_out) / statistics.median(ours)
                ratio = statistics.median(ours) / statistics.median(theirs)
                if label == "SGD, batches of 1":
                    against_peer.append(ratio)
                    against_literal.append(gain)
                    if sp.issparse(X) and loss == "logistic":
                        single[X.shape[1]] = statistics.median(ours)
                print(f"{'':<34}{label:<24}{shown(ours, len(y)):<28}{gain:>19.1f}{ratio:>20.2f}", flush=True)
    growth = single[max(single)] / single[min(single)]
    print(
        f"single examples: {statistics.median(against_peer):.2f} of scikit-learn's time in the median (target 1.2), "
        f"at least {min(against_literal):.0f} times as fast as the literal loop (target 20); "
        f"on ten times as many sparse columns {growth:.1f} times the time (target 3)"
    )
    return 0 if statistics.median(against_peer) <= 1.2 and min(against_literal) >= 20 and growth <= 3 else 1


if __name__ == "__main__":
    sys.exit(main())
