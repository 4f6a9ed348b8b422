"""Limits of formulas, each known by hand."""

import math

import pytest

from thalweg.core.errors import InputError
from thalweg.theory.rate_asymptotics import rate_of_terms
from thalweg.theory.rate_formula import terms_of_formula
from thalweg.theory.rate_kinds import RateKind

INF = math.inf
LINEAR = {
    "4/3^k": 1 / 3,
    "1e300*0.5^k": 0.5,
    "1e-300*0.5^k": 0.5,
    "k^3*0.9^k": 0.9,
    "0.9^k/k": 0.9,
    "0.999999^k": 0.999999,
    "(2+(-1)^k)*0.5^k": 0.5,
    "(2+sin(k))*0.9^k": 0.9,
    "0.5^k+0.3^k": 0.5,
    "0.5^(k+(-1)^k*k/2)": math.sqrt(0.5),
    "0.5^(k+100)": 0.5,
    "exp(-k-sqrt(k))": math.exp(-1),
    "exp(-k-k/log(k+1))": math.exp(-1),
    "1-tanh(k)": math.exp(-2),
    "1/2^k+1/3^(2^k)": 0.5,
    "((1+(-1)^k)/2)*0.5^k": 0.5,
}
SUBLINEAR = {
    "1/k^10": 10,
    "5/k^10": 10,
    "1/sqrt(k)": 0.5,
    "1/(k+1000)^2": 2,
    "log(k)/k": 1,
    "1/(k*log(k)^2)": 1,
    "sqrt(k+1)-sqrt(k)": 0.5,
    "e-(1+1/k)^k": 1,
    "pi/2-arctan(k)": 1,
    "0.5^k+1/k^2": 2,
    "((1+(-1)^k)/2)*0.5^k+((1-(-1)^k)/2)/k": 1,
    "exp(-sqrt(k))": INF,
    "exp(-log(k)^2)": INF,
    "exp(-k/log(k+1))": INF,
    "1/log(k+1)": 0,
    "1/log(log(k+2))": 0,
}
SUPERLINEAR = {
    "1/k^k": 1,
    "1/factorial(k)": 1,
    "1/3^(k^2)": 1,
    "exp(-k*log(log(k+2)))": 1,
    "1/3^(k^40)": 1,
    "exp(-2^sqrt(k))": 1,
    "0.9^(3^k)": 3,
    "0.9^(1.618^k)": 1.618,
    "0.9^(1.01^k)": 1.01,
    "0.5^(2^(k/2))": math.sqrt(2),
    "0.5^(k^k)": INF,
}
QUADRATIC = ("0.707^(2^k)", "k*0.9999^(2^k)", "1e300*0.5^(2^(k+5))", "0.5^(2^k)+0.5^(3^k)")
ELSEWHERE = ("2+(-1)^k", "1+0.3*sin(k)", "5", "0", "k", "2^k", "k^k", "1.1^((-1)^k)", "log(k)", "3^k*(1/3)^k")


def found(text, limit=0.0):
    return rate_of_terms(terms_of_formula(text), limit)


@pytest.mark.parametrize("text", LINEAR)
def test_linear(text):
    rate = found(text)
    assert rate.kind is RateKind.LINEAR, rate
    assert rate.q == pytest.approx(LINEAR[text], rel=1e-6)


@pytest.mark.parametrize("text", SUBLINEAR)
def test_sublinear(text):
    rate = found(text)
    assert rate.kind is RateKind.SUBLINEAR, rate
    assert rate.power == pytest.approx(SUBLINEAR[text], rel=2e-3)
    assert rate.q == 1.0


@pytest.mark.parametrize("text", SUPERLINEAR)
def test_superlinear_but_not_quadratic(text):
    rate = found(text)
    assert rate.kind is RateKind.SUPERLINEAR, rate
    assert rate.order == pytest.approx(SUPERLINEAR[text], rel=1e-3)
    assert rate.q == 0.0


@pytest.mark.parametrize("text", QUADRATIC)
def test_quadratic(text):
    rate = found(text)
    assert (rate.kind, rate.order) == (RateKind.QUADRATIC, pytest.approx(2, rel=1e-6)), rate


@pytest.mark.parametrize("text", ELSEWHERE)
def test_what_does_not_go_to_zero_is_undecided(text):
    rate = found(text)
    assert rate.kind is RateKind.UNDECIDED, rate
    assert rate.q is rate.order is rate.power is None


def test_a_limit_that_is_not_zero():
    there = found("2+0.5^k", limit=2.0)
    assert (there.kind, there.q, there.limit) == (RateKind.LINEAR, pytest.approx(0.5), 2.0)
    above = found("2+0.5^k")
    assert (above.kind, above.q, above.floor) == (RateKind.FLOOR, pytest.approx(0.5), pytest.approx(2.0))
    slow = found("1+1/k")
    assert (slow.kind, slow.floor) == (RateKind.SUBLINEAR, pytest.approx(1.0))
    for text, power in (("1+1/k", 1), ("2+1/sqrt(k)", 0.5), ("1+(-1)^k/k", 1)):
        assert found(text).power == pytest.approx(power, rel=2e-3), text
    assert found("1+1/k^k").kind is RateKind.SUPERLINEAR


@pytest.mark.parametrize("text", ["(-1)^k/k", "sin(k)/k", "-1/k"])
def test_negative_terms_are_refused(text):
    with pytest.raises(InputError, match="negative"):
        found(text)


def test_the_ratio_test_is_that_of_late_terms():
    assert found("4/3^k").ratio_test == pytest.approx((1 / 3, 1 / 3))
    assert found("(2+(-1)^k)/3^k").ratio_test == pytest.approx((1 / 9, 1.0))
    assert found("1/k").ratio_test == pytest.approx((1.0, 1.0))
