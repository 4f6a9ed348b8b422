"""Plan records: what they find by name, what they keep of a spectrum, and numbers that JSON can hold."""

import json

import numpy as np
import pytest

from thalweg.core import plan as plans
from thalweg.core.plan import MAX_POINTS, Diagnosis, Plan, Prediction, Revision, Spectrum, number
from thalweg.core.records import Constant, Constants
from tolerances import summation


def prediction(method="newton", **options):
    values = {
        "steps": 5.0, "steps_interval": (3.0, 9.0), "seconds": 0.01, "seconds_interval": (0.005, 0.02),
        "passes": 12.0, "bytes": 1e6, "basis": "a rehearsal", "why": "fewest seconds",
    }  # fmt: skip
    return Prediction(method, **{**values, **options})


class TestNumber:
    @pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan, float("inf"), np.float64("nan")])
    def test_what_json_has_no_number_for_is_none(self, value):
        assert number(value) is None

    @pytest.mark.parametrize("value", [0, 1, -1.5, np.float64(2.5), np.float32(0.5), np.int64(3)])
    def test_others_are_plain_floats(self, value):
        assert type(number(value)) is float
        assert number(value) == value
        json.dumps(number(value), allow_nan=False)


class TestSpectrum:
    def test_quantiles(self):
        spectrum = Spectrum(np.array([1.0, 2.0, 4.0]), np.array([0.25, 0.25, 0.5]), "by hand")
        assert [spectrum.quantile(share) for share in (0.1, 0.25, 0.3, 0.5, 0.75, 1.0)] == [1, 1, 2, 2, 4, 4]

    def test_a_share_beyond_rounding_is_the_largest(self):
        spectrum = Spectrum(np.arange(10.0), np.full(10, 0.1), "by hand")  # ten tenths are not quite one
        assert spectrum.quantile(1.0) == 9.0

    def test_small_ones_are_kept_as_they_are(self):
        record = Spectrum(np.array([1.0, 3.0]), np.array([0.5, 0.5]), "by hand").record()
        assert record == {"eigenvalues": [1.0, 3.0], "weights": [0.5, 0.5], "how": "by hand"}

    def test_large_ones_are_merged_without_losing_weight_or_mean(self):
        rng = np.random.default_rng(0)
        values, weights = np.sort(rng.lognormal(size=1000)), rng.random(1000)
        weights /= weights.sum()
        record = Spectrum(values, weights, "by hand").record()
        kept, shares = np.array(record["eigenvalues"]), np.array(record["weights"])
        assert len(kept) == len(shares) == MAX_POINTS
        assert (np.diff(kept) > 0).all()
        assert shares.sum() == pytest.approx(1.0, rel=summation(1000))
        assert shares @ kept == pytest.approx(weights @ values, rel=summation(1000))
        json.dumps(record, allow_nan=False)


class TestDiagnosis:
    def diagnosis(self, **more):
        entries = {
            "L": Constant(2.0, "closed form", "everywhere", (2.0, 2.0), 0.001),
            "kappa": Constant(np.inf, "measured", "at x = 0", (10.0, np.inf), 0.002),
        }
        spectrum = Spectrum(np.array([0.0, 2.0]), np.array([0.5, 0.5]), "by hand")
        return Diagnosis(Constants({**entries, **more}), spectrum, spectrum, 0.25, 14.0)

    def test_text_lists_what_is_known_and_what_it_cost(self):
        lines = str(self.diagnosis()).splitlines()
        assert [line.split()[0] for line in lines] == ["L", "kappa", "spectrum", "spent"]
        assert "250.0 ms, 14 passes" in lines[-1]

    def test_record_is_strict_json(self):
        record = json.loads(json.dumps(self.diagnosis().record(), allow_nan=False))
        assert record["constants"]["L"] == {
            "value": 2.0, "how": "closed form", "where": "everywhere", "low": 2.0, "high": 2.0, "seconds": 0.001,
        }  # fmt: skip
        assert record["constants"]["kappa"]["value"] is None
        assert record["constants"]["kappa"]["low"] == 10.0
        assert record["constants"]["kappa"]["high"] is None
        assert record["spectrum"]["raw"]["how"] == "by hand"
        assert record["diagnosis_seconds"] == 0.25


class TestPlan:
    def plan(self, *rows, **options):
        rows = rows or (prediction(), prediction("l-bfgs", steps=np.inf, seconds=np.nan))
        return Plan(1e-8, rows, "newton", "fewest seconds", 0.001, **options)

    def test_rows_by_name(self):
        plan = self.plan()
        assert plan["newton"] is plan.predictions[0]
        assert plan["l-bfgs"].method == "l-bfgs"

    def test_every_row_is_recorded(self):
        record = json.loads(json.dumps(self.plan().record(), allow_nan=False))
        assert record["chosen"] == "newton"
        assert record["made"] == "before the first step"
        assert [row["chosen"] for row in record["rows"]] == [True, False]
        assert record["rows"][0]["steps_low"] == 3.0
        assert record["rows"][0]["seconds_high"] == 0.02
        assert record["rows"][1]["steps"] is None
        assert record["rows"][1]["seconds"] is None
        assert record["revisions"] == []

    def test_text_of_revisions(self):
        plan = self.plan(revisions=(Revision(3, "too slow", "newton", "l-bfgs"),))
        assert str(plan).splitlines()[-1] == "! step 3: newton -> l-bfgs: too slow"

    def test_a_plan_without_rows_prints_nothing(self):
        plan = Plan(1e-8, (), "newton", "asked for by name", 0.0)
        assert str(plan) == ""
        assert plan.record()["rows"] == []

    def test_steps_stand_under_each_other(self):
        rows = (prediction(), prediction("gradient-descent", steps=123456.0, steps_interval=(1e5, 2e5), seconds=12.0))
        first, second = str(self.plan(*rows)).splitlines()
        assert first.index("5 steps") == second.index("1.2e+05 steps")

    def test_a_fresh_prediction_has_an_empty_curve_of_its_own(self):
        first, second = prediction(), prediction()
        assert first.curve[0].shape == first.curve[1].shape == (0,)
        assert first.curve[0] is not second.curve[0]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (3600.0, "3.6e+03 s"),
        (1.0, "1 s"),
        (0.0123, "12.3 ms"),
        (1e-3, "1 ms"),
        (4.56e-5, "45.6 us"),
        (1e-9, "0.001 us"),
    ],
)
def test_seconds_in_readable_units(seconds, text):
    assert plans._time(seconds) == text


@pytest.mark.parametrize(("count", "text"), [(12.0, "12 B"), (1e3, "1 kB"), (2.5e6, "2.5 MB"), (7.2e10, "72 GB")])
def test_bytes_in_readable_units(count, text):
    assert plans._size(count) == text
