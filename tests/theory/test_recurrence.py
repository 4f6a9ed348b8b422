from fractions import Fraction

import numpy as np
import pytest

import tolerances
from thalweg.theory.recurrence import power
from thalweg.theory.shrinkage import MomentumFilter


def exact(z, momentum, steps, nesterov):
    """1 - r_steps by rational arithmetic, from the update on a single direction."""
    z, momentum = Fraction(z), Fraction(momentum)
    before, now = Fraction(1), Fraction(1)  # what is missing of the answer
    for _ in range(steps):
        ahead = now + momentum * (now - before)
        before, now = now, ahead - z * (ahead if nesterov else now)
    return 1 - now


def probes(momentum, nesterov):
    """z across the stable range, at and next to double roots, and where roots turn negative."""
    root = np.sqrt(momentum)
    double = [((1 - momentum) / (1 + momentum)) ** 2] if nesterov else [(1 - root) ** 2, (1 + root) ** 2]
    limit = (2 + 2 * momentum) / (1 + 2 * momentum) if nesterov else 2 + 2 * momentum
    near = [z * (1 + shift) for z in [*double, 1.0] for shift in (0, 1e-9, -1e-9, 1e-4, -1e-4)]
    spread = [1e-14, 1e-9, 1e-4, 0.01, 0.3, 0.7, 1.2, limit * 0.999, limit]
    return [z for z in [*near, *spread] if 0 < z <= limit]


@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize("momentum", [0.0, 2.0**-30, 0.25, 0.5, 0.9, 0.99, 1 - 2.0**-10])
def test_the_closed_form_equals_rational_arithmetic(momentum, nesterov):
    for steps in (1, 2, 3, 10, 51):
        for probe in probes(momentum, nesterov):
            s = np.sqrt(probe)
            found = float(MomentumFilter(steps, 1.0, momentum, nesterov).shrinkage(s))
            expected = float(exact(s * s, momentum, steps, nesterov))
            allowed = tolerances.two_term_recurrence(momentum, steps) * max(1.0, abs(expected))
            assert abs(found - expected) <= allowed, (steps, probe)


@pytest.mark.parametrize("nesterov", [False, True])
def test_small_shares_keep_their_digits(nesterov):
    for momentum in (0.0, 0.5, 0.9, 0.99):
        for z in (1e-30, 1e-16, 1e-10, 1e-6):
            for steps in (1, 5, 40):
                found = float(MomentumFilter(steps, z, momentum, nesterov).shrinkage(1.0))
                # Terms of the size of z cancel down to (1 - momentum) of it.
                allowed = tolerances.arithmetic(operations=8) / (1 - momentum)
                assert found == pytest.approx(float(exact(z, momentum, steps, nesterov)), rel=allowed)


def test_an_unstable_direction_grows_like_the_iterates():
    for nesterov in (False, True):
        for steps in (7, 8, 30):
            found = float(MomentumFilter(steps, 5.0, 0.5, nesterov).shrinkage(1.0))
            expected = float(exact(5.0, 0.5, steps, nesterov))
            assert found == pytest.approx(expected, rel=tolerances.arithmetic(operations=8 * steps))


def test_steps_beyond_the_integers_that_floats_tell_apart_keep_their_parity():
    base = np.array([-1.0])
    assert power(base, 2**60 + 1) == -1 and power(base, 2**60) == 1


@pytest.mark.parametrize("nesterov", [False, True])
def test_no_number_of_steps_is_too_large(nesterov):
    endless = MomentumFilter(10**40, 1.0, 0.9, nesterov)
    np.testing.assert_array_equal(endless.shrinkage([0.0, 1e-9, 0.05, 0.5, 1.0]), [0, 1, 1, 1, 1])
