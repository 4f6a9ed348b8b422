"""Every tolerance of the tests, by dtype and family, with its reason.

A test takes its tolerance from here by name. A new one comes with the arithmetic that fixes it; "it failed once" is
not a reason. All are relative unless the text says otherwise; `u` is the unit roundoff of the dtype, half of `eps`.
"""

import numpy as np

EPS = {np.dtype(np.float64): 2.0**-52, np.dtype(np.float32): 2.0**-23}
"""Spacing of the numbers just above 1."""


def eps(dtype=np.float64):
    """Spacing of the dtype's numbers just above 1."""
    return EPS[np.dtype(dtype)]


def arithmetic(dtype=np.float64, operations=1):
    """A value computed by so many operations that do not cancel.

    Each rounds by u = eps/2, so operations * u bounds the relative error to first order; the factor 8 covers functions
    such as exp and log, which the C library returns within a few units in the last place, on both sides.
    """
    return 4 * eps(dtype) * max(1, operations)


def summation(count, dtype=np.float64):
    """A sum of `count` terms beside the same sum in another order, relative to the sum of the terms' sizes.

    NumPy adds pairwise in blocks of 128, and BLAS in at least 4 lanes: the error is at most (128 + log2 n) u on one
    side and n/4 u on the other, and behaves like its square root since roundings do not conspire.
    """
    return 8 * eps(dtype) * (1 + np.sqrt(count))


def solve(condition, dtype=np.float64, size=1):
    """The solution of a linear system, in norm.

    A backward stable solver answers exactly for a matrix that differs by about u relatively, and the condition number
    carries that to the solution; sqrt(size) is the practical growth of the backward error of Cholesky and LU.
    """
    return 8 * eps(dtype) * max(1.0, condition) * np.sqrt(size)


def minimizer(condition, gap, scale=1.0):
    """A minimiser known through a gap in value, in norm.

    f(x) - f* >= (mu/2)||x - x*||^2, so a gap of `gap`, in units of L * scale^2 / 2, leaves at most
    scale * sqrt(condition * gap): half of the digits of the value.
    """
    return scale * np.sqrt(max(1.0, condition) * gap)


def forward_difference(dtype=np.float64):
    """A first derivative by forward differences at the best step, relative to the size of f and its second derivative.

    Truncation h/2 and rounding 2u/h meet at h = 2 sqrt(u), where together they make 2 sqrt(u); the factor 10 is for a
    second derivative and a size that are 10 times what the step assumes.
    """
    return 10 * np.sqrt(2 * eps(dtype))


def central_difference(dtype=np.float64):
    """A first derivative by central differences at the best step, relative to the size of f and its third derivative.

    Truncation h^2/6 and rounding u/h meet at h = (3u)^(1/3), where together they make (9/8)^(1/3) u^(2/3); the factor
    20 is for a third derivative that is 20 times what the step assumes.
    """
    return 20 * (eps(dtype) / 2) ** (2 / 3)


CURVATURE_BOUND_ABOVE_TRUTH = 1e-6
"""Absolute. How far a derived bound on a second derivative may lie above the truth: what the product promises."""

CURVATURE_BOUND_BELOW_TRUTH = 0.0
"""Absolute. A bound is rigorous or it is none: it is rounded outwards, so not even one rounding may be missing."""

PEER_COEFFICIENTS = 1e-6
"""Relative, in norm. Coefficients beside scikit-learn's at its own tol of 1e-12: what the product promises. Both sides
stop on a gap near the precision floor, 1e-16 of f; `minimizer` makes that 1e-8 times the root of the conditioning."""

CERTIFIED_GAP = 1e-8
"""Of f(0). The target of a fit before it is polished to the precision floor: what the product promises."""

FLOAT32_INPUT = 1e-6
"""Relative, in norm. A solution from float32 data beside the same data in float64: the data agree to u = 6e-8, and the
solution moves by the conditioning of the *regularised* problem times that; tests use data where it is below 16."""

CERTIFICATE_TIGHT = 1.5
"""Factor. How far the certificate may lie above the true gap once Newton's dual point is used: what the product
promises. The gap at that point exceeds the true one by a term of third order in the step."""

QUADRATIC = 0.02
"""Share. A quadratic is followed by the same iterates up to rounding, so that steps can differ by one or two near the
target; beyond 50 steps that is 2%, below it one step is allowed."""

PROMISED = 2.0
"""Factor. What the product promises of predictions made from the start."""

EXTRAPOLATED = 1.2
"""Factor. An extrapolated rate against the run: half of the followed steps fix the rate, the rest is its error."""

GAUSS_RULE = 1.3
"""Factor. A Gauss rule beside the whole spectrum: the product's own promise, 2, leaves this much to the rule."""

EIGENVALUE = 8 * summation(60)
"""Relative. Two routes to an eigenvalue of a small matrix whose largest is `scale` differ by rounding of the matrix
and of the eigenvalue, both a few units of the largest; the sums behind the matrix have at most 60 terms."""


def torch_derivative(dtype=np.float64):
    """A derivative of a small expression beside torch's, relative to the largest entry.

    Two orders of some 50 operations on sums of at most 16 terms, each within eps/2 on both sides, with conditions below
    10 at the points of the tests: 50 * 10 * 2 * eps/2. In float64 that is 1e-13, well inside the product's 1e-12.
    """
    return 500 * eps(dtype)


def one_operation():
    """One operation and its gradient beside torch's, relative to the largest entry (and 1), float64.

    The samples reduce at most some 200 entries, so that sums and products in another order differ by `summation` of
    them; a gradient multiplies at most a few such results (4). Operations on a matrix pass its condition squared:
    their solution carries one factor, and the derivative of an inverse two.
    """
    return 4 * summation(200)


# Linear algebra: derivatives of factorizations.


def five_points(dtype=np.float64):
    """A first derivative by a five-point rule at the best step, relative to the size of f and its fifth derivative.

    Truncation h^4/30 and rounding 1.5u/h meet at h = (11u)^(1/5), where together they make 0.5 u^(4/5); the factor
    1000 is for fifth derivatives, which for an inverse or a 1/gap of size 1 are 5! = 120, times a few such terms.
    """
    return 1000 * (eps(dtype) / 2) ** (4 / 5)


def matrices(condition=1.0, dtype=np.float64, size=1):
    """A matrix function or its derivative by a few products and solves of this size, relative to its largest entry.

    Each of about ten steps rounds by size * u, and is carried by the condition (of the matrix, or the inverse gap).
    """
    return 16 * eps(dtype) * max(1.0, condition) * size


# Transforms of functions (tests/expr/test_transforms.py, test_jacobian.py, test_numerical.py, test_primitive.py).

DIFFERENCE_OF_GRADIENTS = 1e-8
"""Absolute. A central difference with step h = 6e-6 of a function whose value and third derivative are below 10: the
truncation is 10 h^2 / 6 = 6e-11, the rounding 10 u / h = 2e-10, and 50 times that is for the sums inside."""

COMPLEX_STEP = 1e-13
"""Absolute. A complex step subtracts nothing: what is left is the rounding of 20 operations on numbers up to 20."""


# Compiled functions (tests/expr/test_compile.py).

COMPILED = {"rtol": 1e-12, "atol": 1e-14}
"""The same operations in another order, and other implementations of exponentials (within 2 ulp each): a few dozen
operations of condition below 50 on numbers of size 1 differ by 50 * 50 * u = 3e-13; atol is for what cancels to 0."""


TRIGAMMA_IN_TORCH = 1e-9
"""Relative. torch's trigamma, beside mpmath, is 3e-10 off; SciPy's, which Thalweg uses, is right to rounding."""


# Random expressions beside torch (tests/expr/test_against_torch.py).

RANDOM_EXPRESSION = 1e-8
"""Of the condition of the expression, which the test computes: what the product promises. Rounding alone leaves about
1e-14 of it; torch's digamma and trigamma, 3e-10 off, are what comes near."""


# Structured Hessians (tests/expr/test_structure.py).


def structured(size, dtype=np.float64):
    """An entry of a Hessian by its factors beside one by another program, relative to its largest entry.

    Either is a sum of at most some 10 products over at most 10 * size entries; terms of opposite sign (p - p p') are up
    to 10 times the result.
    """
    return 100 * eps(dtype) * np.sqrt(10 * size)


def structured_solution(condition, size, dtype=np.float64):
    """A solution by Woodbury's formula, blocks or eigenvectors beside one by LU, relative to its largest entry.

    Both matrices differ by `structured` of their size, which the condition carries to the solution.
    """
    return 4 * condition * size * structured(size, dtype)


# Bounds of the theory (tests/theory/test_bounds.py).


def bound_attained(steps):
    """Relative. A run beside a bound that it attains, after so many steps.

    Each step rounds by a few u, relative to the iterate; at a double root, as the heavy ball has at both ends of the
    spectrum, an error of one step grows like the number of steps that follow, so that their sum grows like its square.
    """
    return 4 * eps() * (1 + steps) ** 2


STANDARD_ERRORS = 4.0
"""In standard errors of the mean. How far a mean of seeded runs may lie from its expectation: beyond four, one in
30,000, so that a few thousand comparisons of a register see none by chance."""


# Spectral filters (tests/theory/test_shrinkage.py).

FILTER = 1e-10
"""Relative, in norm. The solution by a filter beside the literal iterates or another solver: what the product promises.
A literal step rounds by a few u of w, and 300 steps sum to 300 * 4u = 1e-13. Ridge by QR or normal equations carries
rounding by the condition of X'X + ridge I, at most 1e5 in the tests: 1e5 * 10 * u = 1e-10 at the very most."""


def two_term_recurrence(momentum, steps):
    """The closed form of r_{k+1} = a r_k - p r_{k-1} beside rational arithmetic, relative to 1 or |1 - r| if larger.

    Near a double root b = sqrt(momentum) the solution is k b^k, and an error e of the root's distance to the other
    moves it by k^3 b^k e, relatively k^2 e; that stays until b^k ends it, after some 2/(1 - b) steps. The factor 16 is
    for some ten operations and the roundings of a and p, a few u each.
    """
    return 16 * eps() * (1 + min(steps, 2 / (1 - momentum**0.5)) ** 2)


RESUMED = 1e-9
"""Relative, on values. A resumed run repeats the same arithmetic, but margins that a line search carried along are
computed afresh and a kept factor is replaced by that of the last point: roundings of 1e-16, grown by tens of steps."""


# Update rules (tests/methods/test_rules_*.py).


def update_rule(steps, dtype=np.float64):
    """Of the largest entry. An update rule beside another program of it after so many steps on the same gradients.

    A step rounds x and the averages about ten times by u, and in a stable iteration the errors at worst add up: 1.3e-13
    for 60 steps in float64, inside the product's promise of 1e-12.
    """
    return 10 * steps * eps(dtype)


STEPS_ON_QUADRATIC = 1.5
"""Factor between predicted and observed steps on a quadratic: what the product promises. L-BFGS and Newton-CG do not
take the very same steps on the eigenvalues alone, since their line searches end within a tolerance."""


# The zoo of test functions (tests/problems/zoo).


def formula(operations, dtype=np.float64):
    """A value or a derivative of a closed formula beside the same formula computed in another order.

    Each of the operations rounds by eps/2 on both sides, relative to the largest intermediate number, which the caller
    multiplies by; 8 is for functions within a few units in the last place and for sums that grow on the way.
    """
    return 8 * eps(dtype) * operations


REACHED = 1e-8
"""Of 1 + |f*|. How far above a listed minimum a solver may stop: what the product promises of f - f*. Values that the
zoo lists for one function are at least 1e-5 apart."""


PRINTED = 1.0
"""Units in the last printed digit. A table may round its digits or cut them, as MGH do where they print dots."""

SECOND_ORDER = 0.1
"""Absolute, on the exponent of h. The error of linear elements is c h^2 + O(h^4); at h = 1/8 the second term is some
percent of the first, which moves the measured exponent by less than a tenth."""


# Stochastic methods (tests/methods).

COMPILED_EPOCHS = 1e-12
"""Of the largest entry. A compiled epoch beside the literal one: what the product promises. Some 300 contracting
updates of about 20 roundings each sum to 6000 u = 1e-12 at worst, and stay near 1e-15: roundings do not conspire."""

PLATEAU = 0.1
"""Relative. The mean of f - f* on the plateau of SGD beside its closed form: what the product promises."""


FACTOR_SEEN = 0.02
"""Relative, on 1 - q. A linear rate read off a run beside its formula: heavy ball at its best parameters has double
roots, f_k ~ k^2 q^k, whose slope at k = 250 is 2/250 off log q = -.40, 2% of it; simple roots come out closer."""


NYSTROM_CAPTURED = 1e-6
"""Absolute, for a trace of size 6. The error bar of XNysTrace on a matrix that its probes capture: it inverts l x l
matrices of condition up to 1 / eps, which leaves half of the digits where only one or two probes are to spare."""


# Invariance of Newton's method (tests/methods/test_newton.py).


def invariance(stretch, condition, size):
    """Iterates under x = A y beside those in x, of the largest one; ``stretch`` is cond(A), ``condition`` that of H.

    A'HA is known to u of its largest entry, so that a factor solves to cond(A)^2 times the condition of H; residuals of
    products, which go through A, H and A' one by one, bring that down to cond(A) times it. 32 is for the steps, each
    of which contracts what the last one left, for the search's cubic, and for factors of condition below 1e4, which
    are taken as they are.
    """
    return 32 * eps() * stretch * condition * np.sqrt(size)


def invariance_scaling(condition, size):
    """The same where A is diagonal: the factor is of the Hessian with a unit diagonal, which does not see A."""
    return 32 * eps() * condition * np.sqrt(size)


# Rates of sequences (tests/theory/test_rate_*.py).

LOGARITHMS = 1e-110
"""Relative. Logarithms of 120 digits after a few operations; sums that cancel to 1e-k lose k of them."""

RATE_SEEN = 0.1
"""Relative, on 1 - q. A linear rate read off a record with 3% of noise, or of a run whose slower modes are just
gone."""

NEIGHBOURING_UPDATES = 3e-3
"""Relative. Expected f - f* under a schedule or with an average, beside every update for itself: shares within 0.5% of
each other count as one in a step, and the middle of a block of steps within 2% for all. Both errors are of second
order, (0.02)^2/24 of an exponent that is at most some tens where f - f* still falls."""
