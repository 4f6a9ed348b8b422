import math

import numpy as np
import pytest

from thalweg.reports.format import UNKNOWN, bytes_text, count, finite, number, percent, seconds, seconds_unit, span


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (0.09454237474601623, "0.09454"),
        (569, "569"),
        (12345.0, "12,345"),
        (1.2e6, "1.2e6"),
        (3.842e-16, "3.842e-16"),
        (1e-300, "1e-300"),
        (-2.5, "-2.5"),
        (1e-5, "1e-5"),
        (True, "1"),
    ],
)
def test_numbers_have_four_digits(value, text):
    assert number(value) == text


@pytest.mark.parametrize("show", [number, count, seconds, bytes_text, percent])
@pytest.mark.parametrize("value", [None, math.nan, math.inf, -math.inf, "7", [1], 10**400])
def test_what_is_unknown_is_a_dash(show, value):
    assert show(value) == UNKNOWN


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (7, "7"),
        (9.4, "9.4"),
        (62.7, "63"),
        (17100, "17,100"),
        (5e9, "5e9"),
        (1234.5, "1,234"),
        (422462.3, "422,000"),
        (422462, "422,462"),
    ],
)
def test_counts(value, text):
    assert count(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0 µs"),
        (3.2e-7, "0.32 µs"),
        (8e-5, "80 µs"),
        (0.0172, "17.2 ms"),
        (0.99999, "1 s"),
        (59.0, "59 s"),
        (90.0, "1.5 min"),
        (7200.0, "2 h"),
    ],
)
def test_seconds_take_the_unit_that_fits(value, text):
    assert seconds(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0 B"), (999, "999 B"), (7688, "7.69 kB"), (136560, "137 kB"), (2e9, "2 GB")]
)
def test_memory(value, text):
    assert bytes_text(value) == text


def test_a_time_axis_has_one_unit():
    assert seconds_unit(0.2) == (1e-3, "ms")
    assert seconds_unit(0.0) == (1e-6, "µs")


def test_intervals():
    assert span(1.0, 2.0) == "1 to 2"
    assert span(3, 3) == span(None, None) == ""
    assert span(None, 2.0) == f"{UNKNOWN} to 2"
    assert span(0.001, 0.002, seconds) == "1 ms to 2 ms"


def test_numpy_numbers_count():
    assert finite(np.float32(0.5)) == 0.5
    assert percent(np.float64(0.973)) == "97.3%"
