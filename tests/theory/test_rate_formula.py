"""Formulas and functions as terms, beside plain arithmetic; errors point at the character."""

import math

import numpy as np
import pytest

from thalweg.core.errors import InputError
from thalweg.theory.rate_formula import plain_values, terms_of_formula, terms_of_function
from thalweg.theory.rate_numbers import Lost
from tolerances import arithmetic

FORMULAS = {
    "1/3^k": lambda k: 3.0**-k,
    "2 + 0.5^k": lambda k: 2 + 0.5**k,
    "-k^2 + 3*k": lambda k: -(k**2) + 3 * k,
    "2^-k": lambda k: 2.0**-k,
    "(2+(-1)^k)/k": lambda k: (2 + (-1) ** k) / k,
    "log(k+1)/(k*pi)": lambda k: math.log(k + 1) / (k * math.pi),
    "e^(-k/4)": lambda k: math.exp(-k / 4),
    "0.9 ** k * sqrt(n)": None,
    "n^0.5 * exp(-0.1*n)": lambda k: k**0.5 * math.exp(-0.1 * k),
    "1/factorial(k)": lambda k: 1 / math.factorial(k),
    "abs(sin(k)) + cos(k)^2": lambda k: abs(math.sin(k)) + math.cos(k) ** 2,
    "((k))^(2)": lambda k: k**2,
    "(2^3)^k": lambda k: 8.0**k,
    "2^(3^(k/4))": lambda k: 2.0 ** (3.0 ** (k / 4)),
    "tanh(k) .* 2 ./ k": lambda k: math.tanh(k) * 2 / k,
}


@pytest.mark.parametrize("text", [text for text, same in FORMULAS.items() if same])
def test_terms_are_those_of_plain_arithmetic(text):
    terms = terms_of_formula(text)
    for k in (1, 2, 3, 7, 12):
        term = terms(k)
        value = float(term.decimal()) if term.sign else 0.0
        assert value == pytest.approx(FORMULAS[text](k), rel=arithmetic(operations=60)), k


@pytest.mark.parametrize(
    ("text", "named", "at"),
    [
        ("0.9^k*n", "n is a second name", 7),
        ("1/k!", "factorial", 4),
        ("2^3^k", "parentheses", 4),
        ("(2)^(3)^k", "parentheses", 8),
        ("2**3**k", "parentheses", 4),
        ("k'", "one number", 2),
        ("[k, 1]", "one number", 1),
        ("det(k)", "det is no function", 1),
        ("1/k +", "complete", 6),
        ("3 k", r"write the product's \*", 3),
    ],
)
def test_what_is_no_sequence_is_refused_where_it_stands(text, named, at):
    with pytest.raises(InputError, match=named) as caught:
        terms_of_formula(text)
    assert f"at character {at} of" in str(caught.value)


def test_terms_beyond_all_numbers_are_lost():
    tower = terms_of_formula("2^(2^(2^(2^k)))")
    assert tower(1).exact == 2**16
    for k in (7, 60, 2**100):
        with pytest.raises(Lost):
            tower(k)
    with pytest.raises(Lost):
        terms_of_formula("1/(k-3)")(3)


def test_functions_of_arithmetic_and_numpy_are_taken_far_out():
    for function in (
        lambda k: 0.707 ** (2**k),
        lambda k: np.exp(-k) / np.sqrt(k),
        lambda k: 0.5**k if k % 2 else 1 / k,
    ):
        terms = terms_of_function(function)
        assert terms is not None
        assert float(terms(5).decimal()) == pytest.approx(float(function(5)), rel=arithmetic(operations=60))
        assert terms(2**60 + 1).sign == 1


def test_functions_that_want_plain_numbers_are_left_to_doubles():
    for function in (lambda k: math.exp(-k), lambda k: sum(1 / j**2 for j in range(k, k + 9)), lambda k: "one", len):
        assert terms_of_function(function) is None
    assert plain_values(lambda k: math.exp(-k), 5) == [math.exp(-k) for k in range(1, 6)]
    assert plain_values(lambda k: 1 / math.log(math.log(k)), 6) == [1 / math.log(math.log(k)) for k in range(2, 7)]
    assert plain_values(lambda k: math.pow(2.0, 10.0**k), 9) == [2.0**10, 2.0**100, 2.0**1000]


@pytest.mark.parametrize(
    ("function", "named"),
    [
        (lambda k: k.rate, "k=1: AttributeError"),
        (lambda k: "one", "no value"),
        (lambda k: [k], "TypeError"),
        (lambda k: math.log(-k), "no value at k = 1 to 20: math domain error"),
    ],
)
def test_functions_without_values_are_refused(function, named):
    with pytest.raises(InputError, match=named):
        plain_values(function, 20)
