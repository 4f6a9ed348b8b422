"""The log-determinant of a positive definite matrix known by its products."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from thalweg.core.check import checked_number
from thalweg.core.errors import InputError
from thalweg.core.random import Seed
from thalweg.linalg.function_trace import sum_over_spectrum
from thalweg.linalg.product import Matrix, Product, checked_count
from thalweg.linalg.splitting import Splitting
from thalweg.linalg.trace import Estimate, checked_probes


def log_determinant(
    apply: Matrix,
    size: int,
    generator: Seed,
    *,
    probes: int,
    steps: int,
    smallest: float | None = None,
    preconditioner: Splitting | None = None,
) -> Estimate:
    """The logarithm of the determinant of a symmetric positive definite matrix: the trace of log(A).

    The rules of Lanczos lie above the truth, and those with a node at a lower end of the spectrum below. Where that end
    is not known, how far the truth is from the former is judged by how both changed with the steps. Source: Ubaru,
    Chen & Saad, SIAM J. Matrix Anal. Appl. 38 (2017) 1075-1099.

    Args:
        apply: A, as a function from (size,) to (size,), an operator, or the matrix itself.
        size: Rows of A.
        generator: A NumPy generator or a seed, for the probes.
        probes: Random vectors; as many as rows, or `probes * steps` products for up to 2000 rows, give the eigenvalues
            and the log-determinant itself.
        steps: Most products for each. About sqrt(condition) of them make what the rules miss small beside the scatter.
        smallest: A number > 0 that no eigenvalue is below, if one is known, for instance the ridge that was added:
            makes the enclosure certain. Where many eigenvalues may be equal to one that is orders of magnitude below
            all others, as in a matrix of low rank with a jitter, pass it: few steps do not tell them from small ones of
            other sizes. With a preconditioner, of L^-1 A L'^-1.
        preconditioner: M = L L' near to A: log det A = log det M + log det(L^-1 A L'^-1), and the nearer M is, the
            less the probes scatter and the fewer steps they need.

    Returns:
        The log-determinant. The standard error counts the scatter of the probes and what the rules miss: half of the
        enclosure if `smallest` was passed, else what was judged, and with fewer than 4 steps all that may hide.

    Raises:
        InputError: If an argument cannot be used, a product is not finite, of another shape, or not symmetric, or A
            has an eigenvalue that is not positive beyond rounding and Lanczos meets it.

    Example:
        >>> round(log_determinant(np.diag([1.0, 2.0, 4.0]), 3, 0, probes=3, steps=3).value, 6)
        2.079442

    """
    product = Product(apply, size)
    checked_probes(probes)
    checked_count("steps", steps, "pass the number of products for each probe, e.g. steps=30")
    if smallest is not None and not checked_number("smallest", smallest, "pass a lower bound of the eigenvalues"):
        raise InputError("smallest=0: expected a number > 0", "leave it out if no lower bound is known")
    if not isinstance(preconditioner, Splitting | None):
        raise InputError(
            f"preconditioner is a {type(preconditioner).__name__}: expected a Splitting",
            "make one by diagonal_splitting or nystrom_splitting, or from two solves and a log-determinant",
        )
    if preconditioner is None:
        return sum_over_spectrum(product, generator, np.log, probes, steps, smallest, True, _not_definite, True)

    def split(v: np.ndarray) -> np.ndarray:
        image = product(preconditioner.solve_transposed(v))
        whole.eps = max(whole.eps, product.eps)
        return preconditioner.solve(image)

    whole = Product(split, product.size)
    found = sum_over_spectrum(whole, generator, np.log, probes, steps, smallest, True, _not_definite, True)
    known = float(preconditioner.log_determinant)
    rounding = product.eps * math.sqrt(product.size) * abs(known)
    return replace(
        found,
        value=found.value + known,
        standard_error=found.standard_error + rounding,
        products=product.count + preconditioner.products,
    )


def _not_definite(value: float, node: float) -> InputError:
    return InputError(
        f"apply is not positive definite: it has an eigenvalue at or below {node:.6g}, up to rounding",
        "add a ridge, or use trace_of_function with the logarithm of the absolute value",
    )
