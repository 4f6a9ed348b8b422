"""Records as a run leaves them, made by hand: plausible figures, every part there, none of them large."""

import math

import numpy as np
import pytest

METHODS = ("newton", "newton-cg", "l-bfgs", "nesterov", "heavy ball", "gradient descent")


def convergent(steps, start, end, power=1.0):
    """A gap that falls from start to end in so many steps, on a log scale as time to a power."""
    share = (np.arange(steps + 1) / steps) ** power
    return 10 ** (math.log10(start) + share * (math.log10(end) - math.log10(start)))


def weighted_spectrum(low, high, count, seed=0):
    values = np.sort(10 ** np.random.default_rng(seed).uniform(math.log10(low), math.log10(high), count))
    return {"eigenvalues": values.tolist(), "weights": [1 / count] * count, "how": "dense eigenvalues at x = 0"}


def make_record(steps=9, name="breast_cancer", end=3.8e-16):
    value_end = 0.09454237474601623
    excess = convergent(steps, 0.5986, 1e-16, power=1.7)
    gap = np.maximum(excess * 3, end)
    gap[-1] = end
    seconds = np.linspace(0.004, 0.0172, steps + 1)
    predicted = convergent(steps + 1, 0.6, 1e-11, power=1.7)
    costs = dict(zip(METHODS, (0.015, 0.027, 0.041, 0.4, 1.7, 9.2), strict=True))
    chosen = METHODS[0]
    rows = [
        {
            "method": method,
            "steps": steps * factor,
            "steps_low": steps * factor * 0.7,
            "steps_high": steps * factor * 1.6,
            "seconds": costs[method],
            "seconds_low": costs[method] * 0.7,
            "seconds_high": costs[method] * 1.6,
            "passes": 14 * factor,
            "bytes": 7688 * (index + 1),
            "basis": "bound from the spectrum and the gradient at x = 0",
            "why": "few steps, and 31 parameters make a Hessian cheap"
            if method == chosen
            else f"needs {factor} times the steps of {chosen}, each 0.8 times as dear",
            "chosen": method == chosen,
        }
        for index, (method, factor) in enumerate(zip(METHODS, (1, 1, 6, 70, 140, 1900), strict=True))
    ]
    constant = {"how": "measured: Lanczos with 30 products", "where": "at x = 0"}
    return {
        "schema": 1,
        "kind": "fit",
        "data": {
            "name": name,
            "rows": 569,
            "features": 30,
            "density": 1.0,
            "bytes": 136560,
            "target": "target",
            "classes": [0, 1],
        },
        "settings": {"loss": "logistic", "l2": 1 / 569, "target_gap": 6.9e-9, "seed": 0, "method_asked": "auto"},
        "status": "converged",
        "remedy": "nothing to do: the certificate is below the target",
        "success": True,
        "value": value_end,
        "start_value": math.log(2),
        "certificate": {"gap": end, "kind": "proof", "how": "Fenchel gap of Newton's dual point"},
        "method": chosen,
        "steps": steps,
        "passes": 104.0,
        "seconds": 0.0172,
        "cpu_seconds": 0.0169,
        "held_out": {"measure": "accuracy", "training": 0.9538, "held_out": 0.9737, "rows": 114, "seed": 0},
        "notes": ["logistic loss, since target 'target' has 2 classes", "l2 = 1/n = 0.00176, since none was given"],
        "verdict": [
            "The model is trained: its loss is within 3.8e-16 of the best any coefficients can reach, proven.",
            f"newton took {steps} steps and 17.2 ms; 9 steps and 15 ms were predicted before the first one.",
        ],
        "constants": {
            "L": {**constant, "value": 0.31, "low": 0.31, "high": 0.3103},
            "mu": {"value": 1 / 569, "how": "closed form: l2", "where": "everywhere", "low": 1 / 569, "high": 1 / 569},
            "kappa": {**constant, "value": 1.2e6, "low": 1.1e6, "high": 1.4e6},
            "kappa_scaled": {**constant, "value": 1891.0, "low": 1880.0, "high": 1905.0},
            "L_max": {
                "value": 19.2,
                "how": "bound: l'' <= 1/4",
                "where": "everywhere",
                "low": 19.2,
                "high": 19.2,
            },
            "sigma2": {"value": 1.93, "how": "exhaustive over rows", "where": "at x = 0", "low": 1.93, "high": 1.93},
            "effective_dimension": {**constant, "value": 11.4, "low": 11.2, "high": 11.7},
        },
        "spectrum": {"raw": weighted_spectrum(1.8e-3, 2.1e3, 31), "scaled": weighted_spectrum(1.8e-3, 3.3, 31, seed=1)},
        "plan": {
            "target": 6.9e-9,
            "made": "before the first step",
            "diagnosis_seconds": 0.0031,
            "planning_seconds": 0.0008,
            "chosen": chosen,
            "reason": "31 parameters: a Hessian and its factor cost 280,000 multiplications a step.",
            "rows": rows,
            "revisions": [],
        },
        "predicted": {
            "step": list(range(steps + 2)),
            "gap": predicted.tolist(),
            "low": (predicted * 0.05).tolist(),
            "high": (predicted * 20).tolist(),
            "seconds": np.linspace(0.0, 0.016, steps + 2).tolist(),
        },
        "trace": {
            "step": list(range(steps + 1)),
            "value": (value_end + excess).tolist(),
            "gap": gap.tolist(),
            "gradient_norm": np.sqrt(excess).tolist(),
            "step_size": [None] + [1.0] * steps,
            "passes": np.linspace(2, 104, steps + 1).tolist(),
            "seconds": seconds.tolist(),
            "cpu_seconds": (seconds * 0.98).tolist(),
        },
        "observed": {"steps": steps, "seconds": 0.0172},
        "versions": {"python": "3.11.7", "thalweg": "0.1.0", "numpy": "2.4.6"},
        "machine": {"system": "Linux", "processor": "x86_64", "cores": 2},
        "command": ["thalweg", "fit", "breast_cancer"],
    }


@pytest.fixture
def make():
    """The maker of records; each call gives a fresh one."""
    return make_record
