"""Numbers as sign and logarithm beside exact fractions, identities, closed forms; what has no digit left is refused."""

import math
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest

from thalweg.theory.rate_numbers import CONTEXT, FUNCTIONS, ONE, ZERO, Lost, Number, Plain, number
from tolerances import LOGARITHMS, arithmetic


def close(a, b, tolerance=LOGARITHMS):
    assert a.sign == b.sign
    assert abs(CONTEXT.subtract(a.log, b.log)) <= Decimal(tolerance) * max(1, abs(b.log))


@pytest.mark.parametrize("seed", range(20))
def test_arithmetic_is_that_of_fractions(seed):
    rng = np.random.default_rng(seed)
    a, b = (Fraction(int(rng.integers(-50, 50)) or 1, int(rng.integers(1, 50))) for _ in range(2))
    for mine, exact in (
        (number(a) + number(b), a + b),
        (number(a) - b, a - b),
        (a * number(b), a * b),
        (number(a) / number(b), a / b),
        (number(a) ** 7, a**7),
        (abs(number(a)), abs(a)),
        (-number(a), -a),
    ):
        assert mine.exact == exact
        assert mine.sign == (exact > 0) - (exact < 0)
    assert (number(a) < b, number(a) <= b, number(a) == b, number(a) > b) == (a < b, a <= b, a == b, a > b)


def test_logarithms_stay_right_far_beyond_doubles():
    q = number(Fraction(707, 1000)) ** (number(2) ** 200)
    assert abs(q.log / (Decimal(2**200) * CONTEXT.ln(Decimal("0.707"))) - 1) < Decimal(LOGARITHMS)
    assert ((-number(1)) ** (2**300 + 1)).sign == -1
    assert ((-number(1)) ** 2**300).sign == 1
    assert (number(-2) ** number(2**100 + 1)).sign == -1


@pytest.mark.parametrize("k", [1, 10, 10**6, 2**100])
def test_differences_agree_with_forms_that_do_not_cancel(k):
    n = number(k)
    close((n + 1).sqrt() - n.sqrt(), 1 / ((n + 1).sqrt() + n.sqrt()), 1e-60)
    close((n + 1) / n - 1, 1 / n)
    close((1 / n).expm1(), (1 / n).exp() - 1, 1e-60)
    close((1 / n).log1p(), ((n + 1) / n).ln(), 1e-60)


@pytest.mark.parametrize("x", [-30.0, -2.5, -1e-3, 1e-9, 0.3, 4.0, 25.0])
def test_functions_agree_with_doubles(x):
    known = {
        "exp": math.exp(x), "abs": abs(x), "sin": math.sin(x), "cos": math.cos(x), "tanh": math.tanh(x),
        "sinh": math.sinh(x), "cosh": math.cosh(x), "arctan": math.atan(x), "erf": math.erf(x),
        "sign": math.copysign(1, x), "sigmoid": 1 / (1 + math.exp(-x)), "relu": max(x, 0.0),
        "softplus": math.log1p(math.exp(x)), "expm1": math.expm1(x),
    }  # fmt: skip
    if x > 0:
        known |= {"log": math.log(x), "sqrt": math.sqrt(x), "factorial": math.gamma(x + 1)}
    if x > -1:
        known["log1p"] = math.log1p(x)
    for name, value in known.items():
        mine = FUNCTIONS[name](number(x))
        assert float(mine.decimal()) == pytest.approx(value, rel=arithmetic(operations=50)), name


def test_factorials_beside_sums_of_logarithms():
    for k in (1, 5, 170, 999, 1000, 1001, 4000):
        exact = Decimal(0)
        for j in range(2, k + 1):
            exact = CONTEXT.add(exact, CONTEXT.ln(Decimal(j)))
        found = number(k).factorial()
        assert abs(CONTEXT.subtract(found.log, exact)) <= Decimal(max(found.error, LOGARITHMS * k))
        assert found.error < 1e-25


def test_the_error_bound_holds_where_digits_are_lost():
    """A third, off by 1e-30 on purpose: what is left of the difference is known to 1e-6, and says so."""
    third = Number(1, CONTEXT.ln(Decimal("0." + "3" * 30)), 1e-30)
    left = number(Fraction(1, 3)) + Decimal("1e-24") - third
    assert left.error == pytest.approx(1e-30 / 3 / 1e-24, rel=20)
    assert abs(CONTEXT.subtract(left.log, CONTEXT.ln(Decimal("1e-24")))) <= left.error
    with pytest.raises(Lost, match="digits"):
        number(Fraction(1, 3)) - third


@pytest.mark.parametrize(
    "lost",
    [
        lambda: number(1) / 0,
        lambda: ZERO**-1,
        lambda: number(-2) ** Fraction(1, 2),
        lambda: number(-1).ln(),
        lambda: ZERO.ln(),
        lambda: number(10).exp().exp().exp().exp().exp(),
        lambda: FUNCTIONS["sin"](number(2**60)),
        lambda: number(math.inf),
        lambda: number(2).exp() - number(2).exp(),
        lambda: number(2).exp() % 2,
    ],
)
def test_what_cannot_be_told_is_lost(lost):
    with pytest.raises(Lost):
        lost()


def test_numpy_calls_its_functions_by_name_and_plain_python_is_told():
    x = number(3)
    assert np.exp(-x).log == -3
    assert (np.float64(0.5) ** x).exact == Fraction(1, 8)
    assert (np.square(x) + np.add(x, 1)).exact == 13
    assert np.log2(number(8)).decimal() == pytest.approx(Decimal(3))
    for plain in (
        lambda: math.exp(x),
        lambda: range(x),
        lambda: np.floor(x),
        lambda: np.add(x, [1, 2]),
        lambda: int(x),
    ):
        with pytest.raises(Plain):
            plain()
    assert (x % 2, x // 2) == (ONE, ONE)
