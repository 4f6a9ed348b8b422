"""Time of one Hessian, dense and structured, beside formulas by hand, jitted JAX, torch.func and torch.autograd.

Question: does a Hessian that is derived as an expression reach the formula written by hand, and what does it take if
its structure is kept? Workloads: logistic regression (n=128, 512, with 2n rows); ||T - UV'||^2 in U (n=200, k=5); a net
of 10 relu layers with softmax cross-entropy in its first weight (n=24). The structured form is timed with one product
and one solution: a Newton step. So that there is one, 0.05||.||^2 is added to the first and the last.

Targets: dense at most 1.2 times the hand form, on par with jitted JAX on the first, at least 100 times faster on the
second and 5 on the third; structured, with a product and a solution, at least 500 times faster than JAX's dense Hessian
on the second. Contestants take turns, so that a busy moment meets all of them; best and median of the rounds, and CPU
time a call.

Run: python benchmarks/hessians.py [--quick] [--only NAME]
"""

import os

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"
os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false"

import argparse
import platform
import statistics
import time

import jax
import jax.numpy as jnp
import numpy as np
import torch

import thalweg as tw
import thalweg.numpy as tnp
from derivatives import ROUND_SECONDS, agree, as_torch, logistic_data, per_call

L2 = 0.05


def contestants(f, hand, f_torch, x, f_jax, rest=()):
    """The dense Hessians of one function, each from its library, and the structured one with product and solution."""
    (x_torch,) = as_torch(x)
    x_jax, *rest_jax = [jnp.asarray(a) for a in (x, *rest)]
    compiled, structured = tw.compile(tw.hessian(f)), tw.structured_hessian(f)
    jitted, functional = jax.jit(jax.hessian(f_jax)), torch.func.hessian(f_torch)
    v, b = np.random.default_rng(5).normal(size=(2, *x.shape))

    def newton():
        H = structured(x, *rest)
        return H @ v, H.solve(b)

    calls = {
        "compiled": lambda: compiled(x, *rest),
        "hand": lambda: hand(x, *rest),
        "jax": lambda: jitted(x_jax, *rest_jax).block_until_ready(),
        "torch.func": lambda: functional(x_torch),
        "torch": lambda: torch.autograd.functional.hessian(f_torch, x_torch),
    }
    return calls, newton, lambda: structured(x, *rest), (x, v, b)


def logistic(n):
    X, y, w, _ = logistic_data(2 * n, n)
    X_torch, y_torch = as_torch(X, y)
    X_jax, y_jax = jnp.asarray(X), jnp.asarray(y)

    def hand(w):
        s = 1.0 / (1.0 + np.exp(-(X @ w)))
        H = (X.T * (s * (1.0 - s) / len(y))) @ X
        H[np.diag_indices(n)] += 2.0 * L2
        return H

    return contestants(
        lambda w: tnp.mean(tnp.logaddexp(0.0, -y * tnp.dot(X, w))) + L2 * tnp.dot(w, w),
        hand,
        lambda w: torch.nn.functional.softplus(-y_torch * (X_torch @ w)).mean() + L2 * (w @ w),
        w,
        lambda w: jnp.mean(jnp.logaddexp(0.0, -y_jax * jnp.dot(X_jax, w))) + L2 * jnp.dot(w, w),
    )


def factorization(n=200, k=5):
    rng = np.random.default_rng(3)
    T, U, V = rng.normal(size=(n, n)), rng.normal(size=(n, k)), rng.normal(size=(n, k))
    T_torch, V_torch = as_torch(T, V)
    T_jax = jnp.asarray(T)

    def hand(U, V):
        H = np.zeros((n, k, n, k))
        np.einsum("ijik->ijk", H)[...] = 2.0 * (V.T @ V)
        return H

    return contestants(  # V is an argument, so that 2V'V is no constant of the code
        lambda U, V: tnp.sum((T - U @ V.T) ** 2), hand, lambda U: ((T_torch - U @ V_torch.T) ** 2).sum(), U,
        lambda U, V: jnp.sum((T_jax - U @ V.T) ** 2), (V,),
    )  # fmt: skip


def network(n=24, layers=10):
    rng = np.random.default_rng(4)
    weights = [rng.normal(size=(n, n)) * (2.0 / n) ** 0.5 for _ in range(layers)]
    x, target = rng.normal(size=n), 3
    weights_torch, weights_jax = as_torch(*weights), [jnp.asarray(W) for W in weights]
    x_torch, x_jax = torch.tensor(x), jnp.asarray(x)

    def f(W):
        h = tw.relu(W @ x)
        for inner in weights[1:-1]:
            h = tw.relu(inner @ h)
        z = weights[-1] @ h
        return tw.logsumexp(z) - z[target] + L2 * tnp.sum(W * W)

    def f_torch(W):
        h = torch.relu(W @ x_torch)
        for inner in weights_torch[1:-1]:
            h = torch.relu(inner @ h)
        z = weights_torch[-1] @ h
        return torch.logsumexp(z, 0) - z[target] + L2 * (W * W).sum()

    def f_jax(W):
        h = jax.nn.relu(W @ x_jax)
        for inner in weights_jax[1:-1]:
            h = jax.nn.relu(inner @ h)
        z = weights_jax[-1] @ h
        return jax.scipy.special.logsumexp(z) - z[target] + L2 * jnp.sum(W * W)

    def hand(W):
        h, slopes = x, []
        for inner in (W, *weights[1:-1]):
            z = inner @ h
            slopes.append(z > 0)
            h = np.maximum(z, 0.0)
        z = weights[-1] @ h
        p = np.exp(z - z.max())
        p /= p.sum()
        J = weights[-1] * slopes[-1]
        for inner, slope in zip(weights[-2:0:-1], slopes[-2::-1], strict=True):
            J = (J @ inner) * slope
        q = p @ J
        M = (J.T * p) @ J - np.outer(q, q)
        H = M[:, None, :, None] * np.outer(x, x)[None, :, None, :]
        H.reshape(n * n, n * n)[np.diag_indices(n * n)] += 2.0 * L2
        return H

    return contestants(f, hand, f_torch, weights[0], f_jax)


WORKLOADS = {
    "logistic, n=128": (lambda: logistic(128), 1.0 / 1.1, None),
    "logistic, n=512": (lambda: logistic(512), 1.0 / 1.1, None),
    "||T - UV'||^2 in U, n=200, k=5": (factorization, 100.0, 500.0),
    "relu net in W1, n=24": (network, 5.0, None),
}
"""How to make each, how many times faster than JAX the dense form is to be, and the structured one; on par is 10%."""


def newton_agrees(name, calls, newton, x, v, b):
    """Compare the structured product and solution with the dense matrix of the hand form."""
    H = np.asarray(calls["hand"]()).reshape(x.size, x.size)
    product, solution = newton()
    errors = (
        np.abs(product.reshape(-1) - H @ v.reshape(-1)).max() / np.abs(product).max(),
        np.abs(H @ solution.reshape(-1) - b.reshape(-1)).max() / np.abs(b).max(),
    )
    if not max(errors) <= 1e-9:
        raise SystemExit(f"{name}: the structured product and solution are off by {errors}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="fewer rounds")
    parser.add_argument("--only", help="a part of a workload's name")
    options = parser.parse_args()
    rounds = 5 if options.quick else 15
    versions = f"numpy {np.__version__}, jax {jax.__version__}, torch {torch.__version__}"
    print(
        f"{versions}, Python {platform.python_version()}, {os.cpu_count()} cores; us a call, best / median / CPU median"
    )
    for name, (make, times_jax, structured_times) in WORKLOADS.items():
        if options.only and options.only not in name:
            continue
        calls, newton, structured, (x, v, b) = make()
        start = time.perf_counter()
        calls["compiled"]()
        first = time.perf_counter() - start
        agree(name, calls)
        newton_agrees(name, calls, newton, x, v, b)
        calls |= {"structured": newton}
        walls = {k: [] for k in calls}
        cpus = {k: [] for k in calls}
        slow = {k: per_call(call, 0.0)[0] > 0.2 for k, call in calls.items()}
        for turn in range(rounds):
            for k, call in calls.items():
                if slow[k] and turn >= 3:
                    continue
                wall, cpu = per_call(call, ROUND_SECONDS)
                walls[k].append(wall)
                cpus[k].append(cpu)
        print(f"\n{name}   (first compiled call {first:.2f} s; {structured()!r})")
        for k in calls:
            print(f"  {k:11s} {min(walls[k]) * 1e6:12,.2f} {statistics.median(walls[k]) * 1e6:12,.2f} "
                  f"{statistics.median(cpus[k]) * 1e6:12,.2f}")  # fmt: skip
        best = {k: min(v) * 1e6 for k, v in walls.items()}
        faster = f"dense <= jax / {times_jax:g}" if times_jax > 1.0 else "dense on par with jax (1.1)"
        claims = [("dense <= 1.2 hand", best["compiled"], 1.2 * best["hand"]),
                  (faster, best["compiled"], best["jax"] / times_jax)]  # fmt: skip
        if structured_times is not None:
            claims.append(
                (f"structured <= jax / {structured_times:g}", best["structured"], best["jax"] / structured_times)
            )
        for claim, got, limit in claims:
            print(f"    {'met   ' if got <= limit else 'MISSED'} {claim}: {got:,.2f} against {limit:,.2f}")


if __name__ == "__main__":
    main()
