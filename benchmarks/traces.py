"""Errors of traces from random products, and whether their error bars hold.

Question: at equal products, how far off are Hutchinson, Hutch++, XTrace and XNysTrace on spectra that decay fast,
slowly and not at all; how often do 3 standard errors hold the truth; how much wider are they than they need be? And
the log-determinant: error and error bar beside numpy.linalg.slogdet's value, by steps, with and without a lower bound
of the eigenvalues.

Targets: every error bar holds the truth in at least 97% of runs. From 60 products on, on the spectra that decay
(0.8^i, 1/i^2, a gap after 20), the median error of Hutch++ is at most a fifth of Hutchinson's, and XTrace's at most
0.8 of that of Hutch++.

Run: python benchmarks/traces.py [--quick]
"""

import os

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"

import argparse
import platform
import time

import numpy as np

from thalweg.linalg import hutch_plus_plus, hutchinson, log_determinant, xnystrace, xtrace

METHODS = {"Hutchinson": hutchinson, "Hutch++": hutch_plus_plus, "XTrace": xtrace, "XNysTrace": xnystrace}


def rotated(eigenvalues, seed=0):
    """A dense matrix with these eigenvalues, in no basis in particular."""
    q = np.linalg.qr(np.random.default_rng(seed).normal(size=(len(eigenvalues),) * 2))[0]
    matrix = q * eigenvalues @ q.T
    return (matrix + matrix.T) / 2


def spectra(size):
    """Name to matrix, and whether its eigenvalues decay."""
    i = np.arange(1.0, size + 1)
    noise = np.random.default_rng(1).normal(size=(size, size)) / np.sqrt(8 * size)
    return {
        "geometric, 0.8^i": (rotated(0.8**i), True),
        "power, 1/i^2": (rotated(i**-2), True),
        "gap, 20 of 1 over 1e-3": (rotated(np.r_[np.ones(20), np.full(size - 20, 1e-3)]), True),
        "slow power, 1/sqrt(i)": (rotated(i**-0.5), False),
        "flat, 1 to 3": (rotated(np.linspace(1, 3, size)), False),
        "rank one and noise": (rotated(np.r_[1.0, np.zeros(size - 1)]) + 1e-3 * (noise + noise.T), False),
        "diagonal, 0 to 1": (np.diag(np.linspace(0, 1, size)), False),
        "indefinite, -1 to 2": (rotated(np.linspace(-1, 2, size)), False),
        "rank 30": (rotated(np.r_[np.ones(30), np.zeros(size - 30)]), False),
    }


def figures(estimates, truth):
    """Median error, share of error bars that hold the truth, and their median over the root mean square error."""
    errors = np.array([abs(estimate.value - truth) for estimate in estimates])
    bars = np.array([estimate.standard_error for estimate in estimates])
    needed = np.sqrt(np.mean(errors**2))
    return np.median(errors), np.mean(errors <= 3 * bars), np.median(bars) / needed if needed > 0 else np.nan


def traces(size, probes, seeds):
    """Print errors, ratios and coverage; return the claims that do not hold."""
    print(
        f"\nTraces of matrices of {size} rows, {probes} products, {seeds} seeds: Hutchinson's median error, that of the"
    )
    print("others over it; share of bars (3 standard errors) that hold; standard error over root mean square error; ms")
    names = " ".join(f"{name:>7s}" for name in ("H.", "H.++", "XT.", "XN."))
    print(f"  {'':23s} {names}  {names}  {names}  {names}")
    missed = []
    for name, (matrix, decays) in spectra(size).items():
        truth, least, found, clock = np.trace(matrix), np.linalg.eigvalsh(matrix)[0], {}, {}
        for label, method in METHODS.items():
            if label == "XNysTrace" and least < -1e-10:
                continue
            start = time.process_time()
            found[label] = figures([method(matrix, size, seed, probes=probes) for seed in range(seeds)], truth)
            clock[label] = (time.process_time() - start) / seeds * 1e3
        first = found["Hutchinson"][0]
        ratios = {m: median / first if first else np.inf for m, (median, _, _) in found.items()}
        columns = [
            [f"{first if m == 'Hutchinson' else ratios[m]:7.1e}" if m in found else f"{'':7s}" for m in METHODS],
            [f"{found[m][1]:7.1%}" if m in found else f"{'':7s}" for m in METHODS],
            [f"{found[m][2]:7.2f}" if m in found else f"{'':7s}" for m in METHODS],
            [f"{clock[m]:7.2f}" if m in found else f"{'':7s}" for m in METHODS],
        ]
        print(f"  {name:23s} " + "  ".join(" ".join(column) for column in columns))
        missed += [
            f"{name}, {label}, {probes} products: {share:.1%} hold"
            for label, (_, share, _) in found.items()
            if share < 0.97
        ]
        if decays and probes >= 60 and found["Hutch++"][0] > first / 5:
            missed.append(f"{name}, {probes} products: Hutch++ is above a fifth of Hutchinson")
        if decays and probes >= 60 and found["XTrace"][0] > 0.8 * found["Hutch++"][0]:
            missed.append(f"{name}, {probes} products: XTrace is above 0.8 of Hutch++")
    return missed


def log_determinants(sizes, seeds):
    """Print log-determinants beside slogdet's; return the claims that do not hold."""
    print(f"\nLog-determinants, 10 probes, {seeds} seeds: median error, median standard error, share of bars that hold")
    print("   rows condition steps    slogdet              nothing known            smallest passed")
    missed = []
    for size in sizes:
        for condition in (1e1, 1e3, 1e6):
            matrix = rotated(np.geomspace(1 / condition, 1, size))
            truth = np.linalg.slogdet(matrix)[1]
            for steps in (10, 30, 90):
                cells = []
                for smallest in (None, 0.999 / condition):
                    found = [
                        log_determinant(matrix, size, seed, probes=10, steps=steps, smallest=smallest)
                        for seed in range(seeds)
                    ]
                    middle, held, _ = figures(found, truth)
                    bar = np.median([estimate.standard_error for estimate in found])
                    cells.append(f"{middle:9.1e} {bar:9.1e} {held:5.0%}")
                    if held < 0.97:
                        missed.append(f"{size} rows, condition {condition:g}, {steps} steps: {held:.1%} hold")
                print(f"  {size:5d} {condition:9.0e} {steps:5d} {truth:10.2f}  {cells[0]}  {cells[1]}")
    return missed


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="smaller matrices, fewer seeds")
    options = parser.parse_args()
    print(f"numpy {np.__version__}, Python {platform.python_version()}, {os.cpu_count()} cores, one BLAS thread")
    size, seeds = (200, 100) if options.quick else (1000, 200)
    missed = [claim for probes in (12, 30, 60, 120) for claim in traces(size, probes, seeds)]
    missed += log_determinants((50, 200) if options.quick else (50, 200, 600, 2000), 5 if options.quick else 10)
    print()
    for claim in missed:
        print(f"MISSED {claim}")
    if not missed:
        print("met    every error bar holds in 97% of runs; Hutch++ <= Hutchinson / 5, XTrace <= 0.8 Hutch++ on decay")


if __name__ == "__main__":
    main()
