"""XNysTrace: XTrace for positive semidefinite matrices, with half the products."""

from __future__ import annotations

import math

import numpy as np

from thalweg.core.random import Seed
from thalweg.linalg.leave_one_out import error_of_mean, uniform_forms
from thalweg.linalg.product import EPS, Matrix, Product, check_symmetric, not_semidefinite
from thalweg.linalg.trace import Estimate, checked_probes, hutchinson, trace_itself
from thalweg.linalg.xtrace import on_sphere

#: Below this many products there is no second probe to compare with that leaves one to capture.
LEAST = 3


def xnystrace(apply: Matrix, size: int, generator: Seed, *, probes: int) -> Estimate:
    """The trace of a positive semidefinite matrix, from probes that take turns at capturing and probing.

    With random vectors W and Y = A W, the Nystrom approximation Y (W'Y)^-1 Y' captures what XTrace captures with
    twice the products. The i-th estimate is the trace of that of the other probes, plus a form of w_i in the rest.
    The fastest of all where the eigenvalues decay fast; behind a flat tail XTrace is better, for the approximation
    without a second product is the less accurate. Source: Epperly, Tropp & Webber, SIAM J. Matrix Anal. Appl. 45
    (2024) 1-23; the standard error is that of `leave_one_out.py`.

    Args:
        apply: A, as a function from (size,) to (size,), an operator, or the matrix itself.
        size: Rows of A.
        generator: A NumPy generator or a seed, for the probes.
        probes: Most products to spend. Below 3 the estimate is Hutchinson's; with as many as rows the unit vectors
            give the trace itself.

    Returns:
        The trace and its standard error.

    Raises:
        InputError: If an argument cannot be used, a product is not finite, of another shape, or not symmetric, or
            the probes meet a negative eigenvalue.

    Example:
        >>> found = xnystrace(lambda v: 0.5 ** np.arange(40) * v, 40, 0, probes=20)
        >>> abs(found.value - 2) <= 3 * found.standard_error < 1e-3
        True

    """
    if checked_probes(probes) < LEAST:
        return hutchinson(apply, size, generator, probes=probes)
    product = Product(apply, size)
    if probes >= product.size:
        return trace_itself(product)
    size = product.size
    omega = on_sphere(size, generator, probes)
    y = product.block(omega)
    check_symmetric(omega, y)
    scale = float(np.abs(y).max())
    if scale == 0.0:
        return Estimate(0.0, 0.0, product.count)
    y = y / scale
    # A + shift I instead of A, taken back at the end: its small matrices can be inverted in this arithmetic.
    shift = product.eps * float(np.linalg.norm(y))
    y = y + shift * omega
    core = omega.T @ y
    values, vectors = np.linalg.eigh((core + core.T) / 2)
    noise = size * shift
    if values[0] < -noise:
        raise not_semidefinite(scale * float(values[0]) / float(np.linalg.norm(omega @ vectors[:, 0])) ** 2)
    values = np.maximum(values, 0.1 * noise)
    inverse = (vectors / values) @ vectors.T  # (l, l), as all small matrices here
    images = y @ inverse
    captured = float(np.linalg.norm(y @ (vectors / np.sqrt(values))) ** 2) - size * shift

    # B = A - (what the others capture) maps both w_i and its part across the others to image_i / inverse_ii.
    spans = np.linalg.inv(omega.T @ omega)
    own = np.diagonal(inverse)
    forms, across = uniform_forms(omega @ spans / np.diagonal(spans), images / own, size - probes + 1)
    lost = images.T @ images
    estimates = captured - np.diagonal(lost) / own + forms

    # Two probes i and j left out: the same with the inverse of a block of two rows.
    first, both = own[:, None], _determinants(inverse)
    removed = (own * np.diagonal(lost)[:, None] - 2 * inverse * lost + first * np.diagonal(lost)) / both
    form, length = own / both, np.diagonal(spans) / _determinants(spans)
    without = captured - removed + (size - probes + 2) * form / length

    error = error_of_mean(across, estimates[:, None] - without)
    rounding = product.eps * math.sqrt(size) * float(np.abs(omega * y).sum()) / probes
    return Estimate(scale * float(estimates.mean()), scale * math.hypot(error, rounding), product.count)


def _determinants(matrix: np.ndarray) -> np.ndarray:
    """m_ii m_jj - m_ij^2 of a positive definite matrix, held above rounding; the diagonal means nothing."""
    whole = np.multiply.outer(np.diagonal(matrix), np.diagonal(matrix))
    return np.maximum(whole - matrix**2, EPS * whole)
