"""What is said of a rate reads well and survives JSON."""

import json
import math

import pytest

from thalweg.theory.rate_kinds import Rate, RateKind


@pytest.mark.parametrize(
    ("rate", "figures"),
    [
        (Rate(RateKind.LINEAR, 1 / 3), "q = 0.3333"),
        (Rate(RateKind.LINEAR, 0.9999877), "q = 0.9999877"),
        (Rate(RateKind.LINEAR, 0.95), "q = 0.95"),
        (Rate(RateKind.SUBLINEAR, 1.0, power=2.0), "like 1/k^2"),
        (Rate(RateKind.SUBLINEAR, 1.0, power=math.inf), "faster than every power"),
        (Rate(RateKind.SUBLINEAR, 1.0, power=0.0), "slower than every power"),
        (Rate(RateKind.QUADRATIC, 0.0, 2.0), "order 2"),
        (Rate(RateKind.FLOOR, 0.5, floor=0.25, floor_error=0.01), "q = 0.5, floor 0.25 +- 0.01"),
        (Rate(RateKind.UNDECIDED), ""),
    ],
)
def test_figures_and_record(rate, figures):
    assert rate.figures == figures
    assert str(rate).startswith(f"{rate.kind}, {figures} (" if figures else f"{rate.kind} (")
    record = json.loads(json.dumps(rate.record(), allow_nan=False))
    assert RateKind(record["kind"]) is rate.kind
    assert set(record) == set(vars(rate))


def test_a_rate_cannot_be_changed():
    with pytest.raises(AttributeError):
        Rate(RateKind.LINEAR).q = 0.5
