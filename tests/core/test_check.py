"""Checks of arguments that several rooms share."""

from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest

from thalweg.core.check import checked_number
from thalweg.core.errors import InputError, ThalwegError


@pytest.mark.parametrize("value", [0, 1, 2.5, np.float32(0.5), np.float64(1e300), np.int64(3), Fraction(1, 2), 5e-324])
def test_numbers_come_back_as_floats(value):
    found = checked_number("tol", value, "leave it out")
    assert type(found) is float
    assert found == value


def test_negative_zero_is_zero():
    assert checked_number("tol", -0.0, "leave it out") == 0.0


@pytest.mark.parametrize(
    "value",
    [
        -1,
        -1e-300,
        np.nan,
        np.inf,
        -np.inf,
        "1",
        None,
        True,
        False,
        [1.0],
        np.ones(1),
        1j,
        Decimal("0.5"),
        np.bool_(True),
    ],
    ids=repr,
)
def test_others_are_named_with_a_remedy(value):
    with pytest.raises(InputError) as caught:
        checked_number("tol", value, "leave it out")
    assert caught.value.problem.startswith(f"tol={value!r}")
    assert "expected a finite number >= 0" in caught.value.problem
    assert caught.value.remedy == "leave it out"


def test_infinity_with_leave():
    assert checked_number("max_seconds", np.inf, "leave it out", allow_infinity=True) == np.inf
    for value in (np.nan, -np.inf, -1.0):
        with pytest.raises(InputError) as caught:
            checked_number("max_seconds", value, "leave it out", allow_infinity=True)
        assert "expected a number >= 0" in str(caught.value)


def test_the_error_is_ours_and_a_value_error():
    with pytest.raises(ValueError, match="tol=-1") as caught:
        checked_number("tol", -1, "leave it out")
    assert isinstance(caught.value, ThalwegError)
    assert str(caught.value) == "tol=-1: expected a finite number >= 0; leave it out"
