"""A raw target is two classes, classes, or real."""

import numpy as np
import pytest

from thalweg.core.errors import InputError
from thalweg.data import encode_target


@pytest.mark.parametrize(
    ("y", "kind", "classes"),
    [
        (np.array([0, 1, 1, 0]), "two classes", [0, 1]),
        (np.array([3.0, -1.0, 3.0]), "two classes", [-1.0, 3.0]),
        (np.array([0.5, 1.5, 0.5]), "two classes", [0.5, 1.5]),
        (np.array([True, False]), "two classes", [False, True]),
        (np.array(["no", "yes", "no"]), "two classes", ["no", "yes"]),
        (np.array([b"no", b"yes"]), "two classes", [b"no", b"yes"]),
        (np.array([2, 0, 7, 0]), "classes", [0, 2, 7]),
        (np.array([2, 0, 7, 0], np.uint8), "classes", [0, 2, 7]),
        (np.array([2.0, 0.0, 7.0]), "classes", [0.0, 2.0, 7.0]),
        (np.array(["b", "a", "c"]), "classes", ["a", "b", "c"]),
        (np.arange(20), "classes", list(range(20))),
        (np.arange(21), "real", None),
        (np.array([0.5, 1.0, 2.0]), "real", None),
        (np.array([0.5, 1.0, 2.0], np.float16), "real", None),
    ],
)
def test_kinds(y, kind, classes):
    got, values, found = encode_target(y)
    assert got == kind
    if classes is None:
        assert found is None
        assert np.array_equal(values, y)
        assert values.dtype == np.float64
    else:
        assert found.tolist() == classes
        assert values.dtype == np.intp
        assert np.array_equal(found[values], y)


@pytest.mark.parametrize("late", [0.25, 99.0])
def test_a_late_value_counts(late):
    y = np.tile([0.0, 1.0], 100_000)
    y[-1] = late
    kind, values, classes = encode_target(y)
    if late == 99.0:
        assert kind == "classes"
        assert np.array_equal(classes[values], y)
    else:
        assert kind == "real"
        assert values is y


def test_many_whole_values_spread_over_blocks():
    y = np.repeat(np.arange(25.0), 10_000)
    assert encode_target(y)[0] == "real"
    assert encode_target(y[:200_000])[0] == "classes"
    assert encode_target(y[:20_000])[0] == "two classes"


def test_float32_stays():
    y = np.linspace(0, 1, 30, dtype=np.float32)
    assert encode_target(y)[1] is y


@pytest.mark.parametrize("y", [np.zeros(5), np.ones(3, int), np.array(["a", "a"]), np.array([True, True])])
def test_one_class_names_the_value(y):
    with pytest.raises(InputError, match=r"label has one class: every row is .*; give rows of at least two") as caught:
        encode_target(y, "label")
    assert repr(y[0].item()) in str(caught.value)


def test_text_that_names_rows_is_no_target():
    y = np.array([f"person {i}" for i in range(1500)])
    with pytest.raises(InputError, match=r"y is text with 1500 different values in 1500 rows, e.g. 'person 0'; choose"):
        encode_target(y)
