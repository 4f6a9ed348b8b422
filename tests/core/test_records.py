"""Records: columns that stay together, text that says what to do, and copies that survive."""

import csv
import dataclasses
import io
import pickle

import numpy as np
import pytest

from thalweg.core.records import Certificate, CertificateKind, Constant, Constants, Cost, Solution, Status, Trace


def trace(rows=3):
    found = Trace()
    for k in range(rows):
        found.append(step=k, value=1.0 / 3**k, gap=np.float64(0.1) ** k, note=f"row {k}")
    return found


def solution():
    return Solution(
        x=np.array([1.0, -2.0]),
        value=0.25,
        status=Status.CONVERGED,
        certificate=Certificate(1e-12, CertificateKind.PROOF, "a bound", 1e-16),
        trace=trace(),
        cost=Cost(2, 7.0, 0.5, 0.75),
        method="newton",
    )


class TestTrace:
    def test_columns_are_arrays_of_equal_length(self):
        found = trace()
        assert len(found) == 3
        np.testing.assert_array_equal(found["step"], [0, 1, 2])
        np.testing.assert_array_equal(found["value"], [1.0, 1 / 3, 1 / 9])
        assert list(found.columns) == ["step", "value", "gap", "note"]

    @pytest.mark.parametrize(
        "row", [{"step": 3}, {"step": 3, "value": 1.0, "gap": 1.0, "note": "", "more": 1}, {}, {"other": 1}]
    )
    def test_every_row_names_the_same_columns(self, row):
        found = trace()
        with pytest.raises(KeyError) as caught:
            found.append(**row)
        assert "step" in str(caught.value)
        assert {len(column) for column in found.columns.values()} == {3}  # nothing was added halfway

    def test_the_order_of_names_does_not_matter(self):
        found = trace()
        found.append(note="last", gap=0.0, value=0.5, step=3)
        assert found["step"][-1] == 3
        assert found["note"][-1] == "last"

    def test_an_empty_trace(self):
        found = Trace()
        assert len(found) == 0
        assert repr(found) == "Trace(empty)"
        stream = io.StringIO()
        found.write_csv(stream)
        assert stream.getvalue().strip() == ""
        assert len(found.to_pandas()) == 0

    def test_two_traces_share_nothing(self):
        first, second = Trace(), Trace()
        first.append(step=0)
        assert len(second) == 0

    def test_text_shows_the_last_row(self):
        found = Trace()
        found.append(step=0, value=2.0)
        found.append(step=1, value=1.5)
        assert repr(found) == "Trace(2 rows; last: step=1, value=1.5)"

    def test_to_pandas(self):
        frame = trace().to_pandas()
        assert list(frame.columns) == ["step", "value", "gap", "note"]
        np.testing.assert_array_equal(frame["value"], trace()["value"])

    def test_csv_round_trip_keeps_every_digit(self):
        found = Trace()
        numbers = [0.1 + 0.2, 1 / 3, 1e-300, -0.0, float("inf"), float("nan"), 2.0**53 + 1]
        for k, number in enumerate(numbers):
            found.append(step=k, value=number)
        stream = io.StringIO()
        found.write_csv(stream)
        rows = list(csv.DictReader(io.StringIO(stream.getvalue())))
        assert [int(row["step"]) for row in rows] == list(range(len(numbers)))
        np.testing.assert_array_equal([float(row["value"]) for row in rows], numbers)


class TestStatus:
    def test_every_status_has_a_label_and_a_remedy(self):
        for status in Status:
            assert status.label
            assert len(status.remedy) > 20
            assert str(status) == status.label
            assert "\n" not in status.remedy
            assert not status.remedy.endswith(".")

    def test_labels_and_remedies_are_unique(self):
        assert len({status.label for status in Status}) == len(Status)
        assert len({status.remedy for status in Status}) == len(Status)

    def test_success_is_the_target_or_the_floor(self):
        assert {status for status in Status if status.success} == {Status.CONVERGED, Status.PRECISION_FLOOR}

    def test_failures_name_something_to_change(self):
        hints = ("set ", "check ", "raise ", "continue ", "pass ")
        for status in Status:
            if not status.success:
                assert any(hint in status.remedy for hint in hints), status

    def test_it_survives_pickling(self):
        for status in Status:
            assert pickle.loads(pickle.dumps(status)) is status


class TestCertificate:
    def test_a_proof_bounds(self):
        text = str(Certificate(1.234e-9, CertificateKind.PROOF, "Fenchel gap"))
        assert text == "f - f* <= 1.2e-09 (proof: Fenchel gap)"

    def test_an_estimate_does_not(self):
        text = str(Certificate(0.5, CertificateKind.ESTIMATE, "half the decrement"))
        assert text == "f - f* ~ 0.5 (estimate: half the decrement)"

    def test_none_shows_no_number(self):
        text = str(Certificate(np.inf, CertificateKind.NONE, "the run diverged"))
        assert text == "none (the run diverged)"
        assert "inf" not in text


class TestConstants:
    def test_they_are_a_mapping_in_order(self):
        exact = Constant(2.0, "closed form", "everywhere", (2.0, 2.0), 0.01)
        rough = Constant(0.1, "measured", "at x = 0", (0.05, 0.15))
        found = Constants({"L": exact, "mu": rough})
        assert list(found) == ["L", "mu"]
        assert len(found) == 2
        assert found["mu"] is rough
        assert "L" in found
        assert "kappa" not in found
        with pytest.raises(KeyError):
            found["kappa"]

    def test_text_shows_an_interval_only_where_there_is_one(self):
        exact = str(Constant(2.0, "closed form", "everywhere", (2.0, 2.0)))
        rough = str(Constant(0.1, "measured", "at x = 0", (0.05, 0.15)))
        assert exact == "2  closed form, everywhere"
        assert rough == "0.1 in [0.05, 0.15]  measured, at x = 0"
        both = str(Constants({"L": Constant(2.0, "closed form", "everywhere", (2.0, 2.0))}))
        assert both.split() == ["L", "2", "closed", "form,", "everywhere"]


class TestSolution:
    def test_it_survives_pickling(self):
        before = solution()
        after = pickle.loads(pickle.dumps(before))
        np.testing.assert_array_equal(after.x, before.x)
        assert after.status is Status.CONVERGED
        assert after.certificate == before.certificate
        assert after.trace.columns == before.trace.columns
        assert after.cost == before.cost
        assert after.direction is None

    def test_text_says_how_it_ended_and_what_it_cost(self):
        text = str(solution())
        for part in ("converged", Status.CONVERGED.remedy, "0.25", "1e-12", "newton", "2 steps", "7 passes"):
            assert part in text

    def test_it_cannot_be_changed(self):
        with pytest.raises(dataclasses.FrozenInstanceError):
            solution().value = 0.0


def test_notebook_tables_escape_what_they_show():
    from thalweg.core.html import table

    shown = table(("a",), [("<script>",), (1.5,)])
    assert "<script>" not in shown
    assert "&lt;script&gt;" in shown
    assert "<td>1.5</td>" in shown


def test_records_show_themselves_in_notebooks():
    import thalweg as tw

    fit = tw.fit("iris")
    assert "converged" in fit.solution._repr_html_()
    assert "newton" in fit.plan._repr_html_()
    for record in (fit, fit.solution, fit.plan, fit.diagnosis):
        assert repr(record).startswith(f"{type(record).__name__}(")
        assert len(repr(record)) < 200
    assert "kappa_scaled" in fit.diagnosis.constants._repr_html_()
    assert "<table" in fit._repr_html_()
