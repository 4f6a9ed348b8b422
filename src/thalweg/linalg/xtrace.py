"""XTrace: every product both captures a part of the matrix and probes what the others leave."""

from __future__ import annotations

import math

import numpy as np

from thalweg.core.random import Seed
from thalweg.core.random import generator as as_generator
from thalweg.linalg.leave_one_out import error_of_mean, uniform_forms
from thalweg.linalg.product import EPS, Matrix, Product, check_symmetric
from thalweg.linalg.trace import Estimate, checked_probes, hutchinson, trace_itself

#: With fewer products, one vector captures what Hutchinson would have two more probes for.
LEAST = 6


def xtrace(apply: Matrix, size: int, generator: Seed, *, probes: int) -> Estimate:
    """The trace of a symmetric matrix, from probes that take turns at capturing and probing.

    With l = probes / 2 random vectors w_i, Q spans A w_1, ..., A w_l. The i-th estimate is the trace on what the other
    l - 1 capture, plus a form of w_i in the rest; the mean over i needs A Q as well. As Hutch++ with all probes on both
    sides: on decaying spectra the smaller error for the same products. The probes are uniform on the sphere, and so is
    what is left of them. Source: Epperly, Tropp & Webber, SIAM J. Matrix Anal. Appl. 45 (2024) 1-23, with the
    normalisation of the probes' remainders; the standard error is that of `leave_one_out.py`.

    Args:
        apply: A, as a function from (size,) to (size,), an operator, or the matrix itself.
        size: Rows of A.
        generator: A NumPy generator or a seed, for the probes.
        probes: Most products to spend. Below 6 the estimate is Hutchinson's; with as many as rows the unit vectors
            give the trace itself.

    Returns:
        The trace and its standard error.

    Raises:
        InputError: If an argument cannot be used, or a product is not finite, of another shape, or not symmetric.

    Example:
        >>> found = xtrace(lambda v: 0.5 ** np.arange(40) * v, 40, 0, probes=20)
        >>> abs(found.value - 2) <= 3 * found.standard_error < 0.1
        True

    """
    if checked_probes(probes) < LEAST:
        return hutchinson(apply, size, generator, probes=probes)
    product = Product(apply, size)
    if probes >= product.size:
        return trace_itself(product)
    size, count = product.size, probes // 2
    omega = on_sphere(size, generator, count)
    y = product.block(omega)
    check_symmetric(omega, y)
    scale = float(np.abs(y).max())
    if scale == 0.0:
        return Estimate(0.0, 0.0, product.count)
    basis, triangle = np.linalg.qr(y / scale)
    z = product.block(basis) / scale
    y = y / scale
    left = _left_out(triangle)
    inside = basis.T @ z  # (l, l), as all small matrices here

    # Leaving out probe i takes the direction Q s_i away from Q.
    seen = basis.T @ omega
    seen -= left * np.einsum("ij,ij->j", left, seen)
    rest = omega - basis @ seen
    images = y - z @ seen
    within = basis.T @ images
    along = np.einsum("ij,ij->j", left, within)
    forms, across = uniform_forms(rest, images - basis @ (within - left * along), size - count + 1)
    turned = inside @ left
    kept = np.trace(inside) - np.einsum("ij,ij->j", left, turned)
    estimates = kept + forms

    # Leaving out probe j as well takes the part of Q s_j across Q s_i.
    cosine = left.T @ left
    sine = np.sqrt(np.maximum(1 - cosine**2, EPS))
    products = left.T @ turned
    diagonal = np.diagonal(products)
    curvature = (diagonal - 2 * cosine * products + cosine**2 * diagonal[:, None]) / sine**2
    hidden = basis.T @ omega
    shadow = _across(left, hidden, cosine, sine)
    pull = _across(left, within, cosine, sine)
    form = np.einsum("ij,ij->j", rest, images)[:, None] + 2 * shadow * pull + shadow**2 * curvature
    length = np.einsum("ij,ij->j", rest, rest)[:, None] + shadow**2
    without = kept[:, None] - curvature + (size - count + 2) * form / length

    error = error_of_mean(across, estimates[:, None] - without)
    rounding = product.eps * math.sqrt(size) * float(np.abs(omega * y).sum()) / count
    return Estimate(scale * float(estimates.mean()), scale * math.hypot(error, rounding), product.count)


def on_sphere(size: int, generator: Seed, count: int) -> np.ndarray:
    """Vectors uniform on the sphere of radius sqrt(size), shape (size, count)."""
    vectors = as_generator(generator, name="generator").standard_normal((size, count))
    return vectors * (math.sqrt(size) / np.linalg.norm(vectors, axis=0))


def _left_out(triangle: np.ndarray) -> np.ndarray:
    """In column i the direction orthogonal to all columns of R but the i-th, shape (l, l): R^-T, normalised.

    Singular values at the level of rounding are held there: then A is captured whichever probe is left out, and all
    that matters is that the directions are of length 1.
    """
    outer, values, inner = np.linalg.svd(triangle)
    directions = (outer / np.maximum(values, EPS * values[0])) @ inner
    return directions / np.linalg.norm(directions, axis=0)


def _across(left: np.ndarray, columns: np.ndarray, cosine: np.ndarray, sine: np.ndarray) -> np.ndarray:
    """The product of column i with the unit vector along the part of s_j across s_i, shape (l, l)."""
    parts = columns.T @ left
    return (parts - cosine * np.diagonal(parts)[:, None]) / sine
