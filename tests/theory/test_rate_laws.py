"""Laws fitted to sequences that follow them: parameters come back, and nothing else fits as well."""

import numpy as np
import pytest

from thalweg.theory.rate_kinds import RateKind
from thalweg.theory.rate_laws import LAWS, fit_laws, noise, weigh
from tolerances import RATE_SEEN, arithmetic

K = np.arange(1.0, 61.0)
# The name of a law, log r_k, the kind, and the coefficients of its columns with the nonlinear parameter.
EXACT = [
    ("q^k", -0.3 * K, RateKind.LINEAR, [-0.3], None),
    ("q^k k^m", -0.3 * K - 2 * np.log(K), RateKind.LINEAR, [-0.3, -2.0], None),
    ("1/k^p", -3 * np.log(K), RateKind.SUBLINEAR, [-3.0], None),
    ("1/(k+s)^p", -3 * np.log(K + 7.3), RateKind.SUBLINEAR, [-3.0], 7.3),
    ("log(k)^m/k^p", np.log(np.log(K + 1)) - np.log(K), RateKind.SUBLINEAR, [-1.0, 1.0], None),
    ("exp(-c sqrt(k))", -2 * np.sqrt(K), RateKind.SUBLINEAR, [-2.0], None),
    ("exp(-c k^t)", -2 * K**0.37, RateKind.SUBLINEAR, [-2.0], 0.37),
    ("1/k^(ck)", -K * np.log(K), RateKind.SUPERLINEAR, [-1.0], None),
    ("q^k/(k!)^c", -np.cumsum(np.log(K)) - 0.5 * K, RateKind.SUPERLINEAR, [-1.0, -0.5], None),
    ("q^(k^2)", -0.1 * K**2, RateKind.SUPERLINEAR, [-0.1], None),
    ("q^((k+s)^2)", -0.1 * (K + 3) ** 2, RateKind.SUPERLINEAR, [-0.1, -0.6], None),
    ("q^(k^t)", -0.1 * K**2.7, RateKind.SUPERLINEAR, [-0.1], 2.7),
    ("q^(p^k)", -(1.37 ** (K - 60)), RateKind.SUPERLINEAR, [-1.0], 1.37),
    ("c^k q^(p^k)", -0.1 * K - 50 * 1.37 ** (K - 60), RateKind.SUPERLINEAR, [-50.0, -0.1], 1.37),
]


@pytest.mark.parametrize(("name", "y", "kind", "coefficients", "t"), EXACT, ids=[case[0] for case in EXACT])
def test_a_sequence_that_follows_a_law_gives_its_parameters(name, y, kind, coefficients, t):
    fits = {fit.law.name: fit for fit in fit_laws(K, y + 4.0)}
    np.testing.assert_allclose(fits[name].coefficients, coefficients, rtol=1e-5)
    if t is not None:
        assert fits[name].t == pytest.approx(t, rel=1e-5)
    shares = weigh(fits.values(), len(K), float(np.ptp(y)))
    assert max(shares, key=lambda kind: shares[kind][0]) is kind
    assert sum(share for share, _ in shares.values()) == pytest.approx(1.0, rel=arithmetic(operations=10))
    # The slope it gives is that of the sequence, whose differences are central to third order.
    middle = fits[name].slope(30.0)
    assert middle == pytest.approx(0.5 * (y[28] - y[30]), rel=0.02)
    assert (fits[name].slope(60.0) > middle) == (kind is RateKind.SUPERLINEAR) or kind is RateKind.LINEAR


def test_laws_declare_what_they_have():
    for law in LAWS:
        grid = law.grid(K)
        assert len(law.columns(K, float(grid[0]))) == law.width
        assert law.parameters == 1 + law.width + (len(grid) > 1)
    assert len({law.name for law in LAWS}) == len(LAWS)


@pytest.mark.parametrize("sd", [1e-6, 0.03, 0.5])
def test_noise_is_measured_on_curves(sd):
    k = np.arange(1.0, 401.0)
    rng = np.random.default_rng(0)
    for curve in (-0.1 * k, -3 * np.log(k), -np.sqrt(k), -1e-4 * k**2):
        assert noise(k, curve + sd * rng.normal(size=400)) == pytest.approx(sd, rel=3 * RATE_SEEN)
    assert noise(k, -3 * np.log(k)) < 1e-4


def test_a_line_with_noise_is_not_bent():
    rng = np.random.default_rng(1)
    for _ in range(20):
        shares = weigh(fit_laws(K, -0.2 * K + 0.03 * rng.normal(size=60)), 60, 12.0)
        assert shares[RateKind.LINEAR][0] > 0.99
