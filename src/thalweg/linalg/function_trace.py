"""The trace of a function of a matrix, tr f(A): stochastic Lanczos quadrature with all of its error counted."""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np

from thalweg.core.errors import InputError
from thalweg.core.random import Seed
from thalweg.core.random import generator as as_generator
from thalweg.linalg.density import Density, scatter_of_rules
from thalweg.linalg.lanczos import Lanczos, run
from thalweg.linalg.product import ASYMMETRY, EPS, Matrix, Product, checked_count, not_symmetric
from thalweg.linalg.quadrature import Function, Quadrature, values_at
from thalweg.linalg.trace import Estimate, checked_probes

#: Rows up to which the whole matrix is formed where that takes no more products than were allowed: 32 MB.
LARGEST_DENSE = 2_000
#: Least multiple of the last change of the rules by which they may be off. Changes that shrink by less than a factor
#: 4 per doubling of the steps announce more than that themselves.
LEAST_MULTIPLE = 3.0
#: What the rules of the logarithm may miss at most, in units of what `_judged` takes from their changes. In 1100 pairs
#: of spectra and steps without eigenvalues that hide, they missed 0.06 to 0.74 (5% to 95%), and never more than 1.6.
LARGEST_MULTIPLE = 2.0
#: The least part of what may hide at the lower end that is taken to hide there, while no end is in sight.
UNSEEN = 0.2
#: Of a weighted sum of values, in units of EPS: the weights are squares of eigenvectors.
ROUNDING = 16
Refusal: TypeAlias = Callable[[float, float], InputError]
"""The error for a function of this value at this eigenvalue."""


def trace_of_function(
    apply: Matrix,
    size: int,
    generator: Seed,
    function: Function,
    *,
    probes: int,
    steps: int,
    smallest: float | None = None,
    enclosed: bool = False,
) -> Estimate:
    """The trace of f(A), the sum of f over the eigenvalues of a symmetric matrix.

    The mean of v' f(A) v over random v, each by the Gauss rule that Lanczos finds in `steps` products. Where `probes *
    steps` products, or `probes` alone, are enough to form the matrix, its eigenvalues give the trace itself. Source:
    Ubaru, Chen & Saad, SIAM J. Matrix Anal. Appl. 38 (2017) 1075-1099; Golub & Meurant, Matrices, Moments and
    Quadrature (2010), chapter 6, for the enclosure.

    Args:
        apply: A, as a function from (size,) to (size,), an operator, or the matrix itself.
        size: Rows of A.
        generator: A NumPy generator or a seed, for the probes.
        function: f, from an array of eigenvalues to an array of the same shape, e.g. `numpy.exp`.
        probes: Random vectors; the standard error falls as 1 / sqrt(probes), as far as it is theirs.
        steps: Most products for each. As the rules' error falls with them, roughly as exp(-4 steps / sqrt(condition))
            for functions that are singular at zero.
        smallest: A number that no eigenvalue is below, if one is known: 0 for a positive semidefinite matrix. f is
            asked for no values below, where rounding would else lead.
        enclosed: Whether A is positive, and the even derivatives of f have one sign and the odd ones the other where
            t > 0, as for log(t), sqrt(t), 1/t and t/(t + c). The rules with a node at the lower end of the spectrum
            then lie on the other side of the truth. The end is `smallest`, or what Lanczos bounds it by at 99%, or,
            while that is not positive, the level of rounding: pass `smallest`, or about 2 sqrt(condition) steps.

    Returns:
        The trace. 3 standard errors hold the scatter of the probes and what the rules may miss: the distance to the
        other side, if enclosed; else, judged from what they changed as their steps doubled and doubled again. The
        latter is infinite where these changes do not shrink, and with fewer than 4 steps, and what varies only
        between the nodes is not seen.

    Raises:
        InputError: If an argument cannot be used, a product is not finite, of another shape, or not symmetric, f is
            not finite where the spectrum is, or an eigenvalue lies below `smallest`.

    Example:
        >>> round(trace_of_function(np.diag([1.0, 2.0, 4.0]), 3, 0, lambda t: 1 / t, probes=3, steps=3).value, 6)
        1.75

    """
    product = Product(apply, size)
    checked_probes(probes)
    checked_count("steps", steps, "pass the number of products for each probe, e.g. steps=30")
    if not callable(function):
        raise InputError(
            f"function is a {type(function).__name__}: expected a function of an array of eigenvalues",
            "pass numpy.exp, or lambda t: 1 / t",
        )
    if smallest is not None:
        smallest = _checked_bound(smallest)
    return sum_over_spectrum(product, generator, function, probes, steps, smallest, enclosed, _not_finite)


def _checked_bound(smallest: Any) -> float:
    if isinstance(smallest, bool) or not isinstance(smallest, numbers.Real) or not math.isfinite(smallest):
        raise InputError(f"smallest={smallest!r}: expected a finite number", "pass a lower bound of the eigenvalues")
    return float(smallest)


def _not_finite(value: float, node: float) -> InputError:
    return InputError(
        f"function is {value} within rounding of {node:.6g}, an estimate of an eigenvalue",
        "pass a function that is finite on the whole spectrum; smallest=0 keeps rounding from leading below 0",
    )


def sum_over_spectrum(
    product: Product,
    generator: Seed,
    function: Function,
    probes: int,
    steps: int,
    smallest: float | None,
    enclosed: bool,
    refusal: Refusal,
    judged: bool = False,
) -> Estimate:
    """The trace itself, on checked arguments: those of `trace_of_function`, and two more.

    Args:
        product: A, with its size.
        generator: For the probes.
        function: f.
        probes: Random vectors.
        steps: Most products for each.
        smallest: A number that no eigenvalue is below, or None.
        enclosed: Whether the rules with a node at the lower end lie on the other side of the truth.
        refusal: The error where f is not finite.
        judged: Whether, where no such number was passed, what may hide at the lower end is judged by what the steps
            changed, and not only bounded: for functions that grow no faster than the logarithm there.

    """
    size = product.size
    if probes >= size or (probes * steps >= size and size <= LARGEST_DENSE):
        eigenvalues, rounding = _spectrum_itself(product)
        values = _Values(function, smallest, rounding, refusal)
        return Estimate(float(values(eigenvalues).sum()), float(values.spread(eigenvalues).sum()), product.count)
    starts = as_generator(generator, name="generator").standard_normal((probes, size))
    density = Density(size, tuple(run(product, start, steps, drawn=True) for start in starts))
    values = _Values(function, smallest, max(probe.rounding for probe in density.runs), refusal)
    rules = _own_side(density.runs, values)
    rounding = float(np.mean([probe.weights @ values.spread(probe.ritz) for probe in density.runs]))
    rounding += ROUNDING * EPS * float(np.mean([probe.weights @ np.abs(values(probe.ritz)) for probe in density.runs]))
    value = float(rules.mean())
    scatter = density.sampling_error(values)
    if not enclosed:
        truncation = _unconverged(density, values, rules, rounding)
    else:
        end, known = _lower_end(density, values)
        if judged and smallest is None:
            value, truncation = _judged(density, values, end, rounding)
        else:
            other = _sides(density.runs, values, end)[1]
            middle = 0.5 * (value + other)
            # Where nothing is known of the lower end, the bound is far off and the rules are the better guess.
            value, truncation = (middle, abs(value - middle)) if known else (value, abs(value - other))
        if known:  # an eigenvalue at the end, of which one side has not heard yet, makes the probes differ
            others = [_with_node(probe, end) for probe in density.runs]
            scatter = max(scatter, scatter_of_rules(size, others, values.exactly, density.rounding))
    # What the rules miss is no matter of chance: it is added to the reach of the interval, not to its square.
    error = scatter + truncation / 3 + rounding
    return Estimate(size * value, size * error, product.count)


def _spectrum_itself(product: Product) -> tuple[np.ndarray, float]:
    """All eigenvalues, and what rounding may have done to each."""
    matrix = np.empty((product.size, product.size))
    for place, entries in product.columns():
        matrix[:, place] = entries
    scale, difference = float(np.linalg.norm(matrix)), float(np.linalg.norm(matrix - matrix.T))
    if difference > ASYMMETRY * scale:
        raise not_symmetric(difference, scale)
    eigenvalues = np.linalg.eigvalsh((matrix + matrix.T) / 2)
    largest = float(np.abs(eigenvalues).max())
    return eigenvalues, product.eps * (8 + 2 * math.sqrt(product.size)) * largest + 0.5 * difference


class _Values:
    """f on eigenvalues that are known up to rounding.

    Args:
        function: f.
        smallest: The number that no eigenvalue is below, or None.
        rounding: Of the eigenvalues.
        refusal: The error where f is not finite.

    """

    def __init__(self, function: Function, smallest: float | None, rounding: float, refusal: Refusal) -> None:
        self.function = function
        self.smallest = smallest
        self.rounding = rounding
        self.refusal = refusal

    def __call__(self, nodes: np.ndarray) -> np.ndarray:
        """f at every node, of the same shape."""
        return self._around(nodes)[0]

    def spread(self, nodes: np.ndarray) -> np.ndarray:
        """How much f changes within the rounding of every node."""
        here, below, above = self._around(nodes)
        return np.maximum(np.abs(below - here), np.abs(above - here))

    def exactly(self, nodes: np.ndarray) -> np.ndarray:
        """f at every node, taken as it stands."""
        return self._finite(nodes[None], nodes)[0]

    def finite_at(self, node: float) -> bool:
        """Whether f has a value at the node."""
        return bool(np.isfinite(self._raw(np.array([node]))).all())

    def _around(self, nodes: np.ndarray) -> np.ndarray:
        """f at every node, below and above it by the rounding, shape (3, k)."""
        if self.smallest is not None and nodes.min() < self.smallest - self.rounding:
            raise InputError(
                f"smallest={self.smallest:g}, but the matrix has an eigenvalue at or below {nodes.min():.6g}",
                "pass a number that no eigenvalue is below, or leave it out",
            )
        around = nodes + np.array([[0.0], [-self.rounding], [self.rounding]])
        return self._finite(around if self.smallest is None else np.maximum(around, self.smallest), nodes)

    def _finite(self, around: np.ndarray, nodes: np.ndarray) -> np.ndarray:
        values = self._raw(around.ravel()).reshape(around.shape)
        if not np.isfinite(values).all():
            place = tuple(np.argwhere(~np.isfinite(values))[0])
            raise self.refusal(float(values[place]), float(nodes[place[1]]))
        return values

    def _raw(self, nodes: np.ndarray) -> np.ndarray:
        with np.errstate(all="ignore"):  # what is not finite is refused in words
            return values_at(self.function, nodes)


def _lower_end(density: Density, values: _Values) -> tuple[float, bool]:
    """The lower end of the spectrum, and whether it is known.

    It is where it was passed, or where Lanczos bounds it above zero at 99%. Else it is taken at the level of rounding:
    a function that is singular at zero has no digits below that.
    """
    end = values.smallest
    if end is None or not values.finite_at(end):
        end = density.smallest.interval[0]
    known = end > values.rounding or end == values.smallest
    return (end if known else values.rounding), known


def _with_node(probe: Lanczos, end: float) -> Quadrature:
    """The rule with a node at the lower end of the spectrum."""
    rule = probe.radau(end) or probe.quadrature
    # The node at the end is there up to rounding, which may lead to the wrong side of zero.
    return replace(rule, nodes=np.maximum(rule.nodes, end))


def _own_side(runs: Sequence[Lanczos], values: _Values) -> np.ndarray:
    return np.array([probe.weights @ values(probe.ritz) for probe in runs])


def _sides(runs: Sequence[Lanczos], values: _Values, end: float) -> tuple[float, float]:
    """The means by the Gauss rules and by those of the other side."""
    others = [_with_node(probe, end).mean_of(values.exactly) for probe in runs]
    return float(_own_side(runs, values).mean()), float(np.mean(others))


def _judged(density: Density, values: _Values, end: float, rounding: float) -> tuple[float, float]:
    """The mean of the logarithm where the lower end is not sure, and how far off it may be.

    The truth is within the width W between the two sides, which counts the worst: that all that may hide at the end
    does. Where the density has a power law, a gap, or an end that comes into sight, the error E of the Gauss rules is
    a part of W that does not grow with the steps, so that their last changes bound it: E <= W dE/dW. Eigenvalues that
    stand apart at the end stop the fall of W at a level: the limit that its last two halvings announce (Aitken's) is
    added. Where W falls by a power of the steps, no end is in sight, and E is not taken for less than UNSEEN W.
    """
    value, other = _sides(density.runs, values, end)
    width = abs(value - other)
    quarter = max(len(probe.alphas) for probe in density.runs) // 4
    if quarter == 0 or width <= rounding:
        return value, width
    earlier = [_sides([probe.after(quarter * n) for probe in density.runs], values, end) for n in (1, 2, 3, 4)]
    first, half, later, last = (abs(one - another) for one, another in earlier)
    if min(first, half, last) <= rounding:
        return value, width
    changes = ((abs(one - value), wider - width) for (one, _), wider in zip(earlier[1:3], (half, later), strict=True))
    share = max(_ratio(part, whole) for part, whole in changes)
    ratio = _ratio(half - last, first - half)
    level = max(0.0, last - (half - last) * ratio / (1 - ratio)) if ratio < 1 else 0.0
    power, next_power = math.log(first / half), math.log(half / last)
    in_sight = min(max(next_power / power - 1.25, 0.0), 0.25) / 0.25 if power > 0 else 0.0
    error = min(max(share * width + level, UNSEEN * (1 - in_sight) * width), width)
    likely, largest = 0.25 * error, min(LARGEST_MULTIPLE * error, width)
    return value + likely * (other - value) / width, largest - likely


def _ratio(part: float, whole: float) -> float:
    """Of two changes, from 0 to 1: all of it where the whole has not changed."""
    return min(max(part / whole, 0.0), 1.0) if whole > 0 else 1.0


def _unconverged(density: Density, values: _Values, rules: np.ndarray, rounding: float) -> float:
    """What the rules may miss, from what they changed as their steps grew.

    With E(k) the error of k steps, E(k) / E(k/2) is constant where rules converge slowest, as a power of k, and falls
    with k where they converge exponentially. The last change d = E(k/2) - E(k) and its ratio r to that before bound
    the error by d r / (1 - r) in both cases. Where the last change is not the smaller one, the rules may have found a
    part of the spectrum only lately: then the last quarter of the steps must have changed little.
    """
    shares = {share: _earlier(density, values, share) for share in (0.25, 0.5, 0.75)}

    def change(later: np.ndarray, earlier: np.ndarray) -> float:
        return float(np.abs(later - earlier).mean())

    before, last = change(shares[0.5], shares[0.25]), change(rules, shares[0.5])
    if math.isnan(before):
        return math.inf
    if last <= rounding:
        return rounding
    if last < before:
        ratio = last / before
        return last * max(LEAST_MULTIPLE, ratio / (1 - ratio))
    middle, end = change(shares[0.75], shares[0.5]), change(rules, shares[0.75])
    return LEAST_MULTIPLE * last if end <= middle / 4 else math.inf


def _earlier(density: Density, values: _Values, share: float) -> np.ndarray:
    """What every rule said after this share of its steps, shape (probes,); nan before the first step."""
    steps = [int(share * len(probe.alphas)) for probe in density.runs]
    rules = _own_side([probe.after(max(1, count)) for probe, count in zip(density.runs, steps, strict=True)], values)
    unknown = [count == 0 and not probe.exact for probe, count in zip(density.runs, steps, strict=True)]
    return np.where(unknown, math.nan, rules)
