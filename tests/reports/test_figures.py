import altair
import numpy as np
import pytest

from thalweg.reports.choices import choices, plan_rows, runner_up
from thalweg.reports.convergence import MOST_POINTS, convergence, lower_bound
from thalweg.reports.figures import LIGHT, decades, ticks
from thalweg.reports.record import column, plain, read_record, thinned
from thalweg.reports.spectrum import spectra


def drawn(figure, word):
    return [row for row in figure.data if word in row["series"]]


def test_every_form_of_every_figure_is_valid_vega_lite(make):
    record = make()
    figures = [convergence(record), choices(record), *spectra(record)]
    assert [len(figure.forms) for figure in figures] == [3, 1, 1, 1]
    for figure in figures:
        for form in figure.forms:
            altair.Chart.from_dict(figure.whole(form))
            altair.Chart.from_dict(figure.whole(form, LIGHT))


def test_the_gap_and_the_value_above_the_lower_bound_are_drawn_as_recorded(make):
    record = make()
    figure = convergence(record)
    trace = record["trace"]
    # The chart's rows carry six digits.
    bound = [row["gap"] for row in drawn(figure, "bound certified")]
    np.testing.assert_allclose(bound, trace["gap"], rtol=5e-6)
    below = max(np.subtract(trace["value"], trace["gap"]))
    above = [row["gap"] for row in drawn(figure, "value above the best lower bound")]
    np.testing.assert_allclose(above[:5], np.subtract(trace["value"], below)[:5], rtol=5e-6)
    predicted = [row["gap"] for row in drawn(figure, "predicted")]
    np.testing.assert_allclose(predicted, record["predicted"]["gap"], rtol=5e-6)
    assert [row["step"] for row in drawn(figure, "bound certified")] == trace["step"]


def test_an_estimate_is_not_called_certified(make):
    record = make()
    record["certificate"]["kind"] = "estimate"
    figure = convergence(record)
    assert drawn(figure, "estimated") and not drawn(figure, "certified")
    assert lower_bound(record) == record["trace"]["value"][-1] - record["trace"]["gap"][-1]


def test_zeros_are_drawn_at_a_floor_that_is_said(make):
    record = make()
    record["trace"]["gap"] = [1.0, 1e-3, 1e-6, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]
    record["trace"]["value"] = [None] * 10
    figure = convergence(record | {"value": None, "predicted": None})
    assert [row["gap"] for row in drawn(figure, "bound certified")] == [1.0, 1e-3, 1e-6] + [6.9e-9] * 7
    assert any("At 7 steps" in said and "floor of 6.9e-9" in said for said in figure.captions)
    assert drawn(figure, "bound certified")[-1]["reads"] == "0, within rounding"


def test_without_a_certificate_values_stand_above_the_lowest(make):
    record = make()
    record["trace"]["gap"] = [None] * 10
    figure = convergence(record | {"certificate": {"gap": None, "kind": "none", "how": "not convex"}})
    assert drawn(figure, "above the lowest seen")
    assert any("No lower bound on f* is known" in said for said in figure.captions)


def test_one_row_is_a_point(make):
    record = make()
    record["trace"] = {name: values[:1] for name, values in record["trace"].items()}
    figure = convergence(record | {"predicted": None})
    assert [row.get("mark") for row in figure.data] == [1, 1]
    for spec in figure.forms.values():
        x = spec["layer"][-1]["encoding"]["x"]["scale"]["domain"]
        assert x[0] < 0 < x[1]


def test_nothing_observed_and_nothing_predicted_is_no_figure():
    for record in ({}, {"trace": {"step": [], "value": []}}, {"trace": {"step": [0], "value": [None], "gap": [None]}}):
        assert convergence(record) is None
    assert choices({}) is None
    assert spectra({}) == []


def test_long_traces_are_thinned_but_keep_their_ends(make):
    figure = convergence(make(5000))
    for word in ("bound certified", "value", "predicted"):
        rows = drawn(figure, word)
        assert len(rows) <= MOST_POINTS
        assert rows[0]["step"] == 0 and rows[-1]["step"] >= 5000


def test_a_prediction_far_longer_than_the_run_is_cut_and_says_so(make):
    record = make(9)
    length = 3001
    record["predicted"] = {name: [0.5] * length for name in ("gap", "low", "high", "seconds")}
    record["predicted"]["step"] = list(range(length))
    figure = convergence(record)
    assert max(row["step"] for row in drawn(figure, "predicted")) == 27
    assert any("runs on to step 3,000" in said for said in figure.captions)


def test_spectra_share_their_axis_and_sum_to_one(make):
    raw, scaled = spectra(make())
    domains = [figure.forms["spectrum"]["layer"][0]["encoding"]["x"]["scale"]["domain"] for figure in (raw, scaled)]
    assert domains[0] == domains[1]
    for figure in (raw, scaled):
        # Each of at most 36 bins is rounded to four digits.
        assert sum(row["share"] for row in figure.data) == pytest.approx(1, abs=36 * 5e-5)


def test_flat_directions_are_counted_in_words():
    spectrum = {"eigenvalues": [0.0, -1e-18, 1.0, 2.0], "weights": [0.25] * 4, "how": "dense"}
    (figure,) = spectra({"spectrum": {"raw": spectrum}})
    assert "50% of the spectrum is zero or negative" in " ".join(figure.captions)
    assert sum(row["share"] for row in figure.data) == 0.5


def test_the_chosen_method_comes_first_and_the_runner_up_is_the_quickest_other(make):
    plan = make()["plan"]
    for row in plan["rows"]:
        row["chosen"] = row["method"] == "l-bfgs"
    assert [row["method"] for row in plan_rows(plan)][:3] == ["l-bfgs", "newton", "newton-cg"]
    chosen, other = runner_up(plan)
    assert (chosen["method"], other["method"]) == ("l-bfgs", "newton")


def test_what_was_observed_stands_beside_the_chosen_method_alone(make):
    record = make()
    kinds = [(row["method"], row["kind"]) for row in choices(record).data]
    assert kinds[:2] == [("newton", "predicted, chosen"), ("newton", "observed")]
    assert len(kinds) == 7
    assert len(choices(record | {"method": "l-bfgs"}).data) == 6


@pytest.mark.parametrize(("low", "high"), [(1.0, 1.0), (1e-320, 1e-310), (1e-300, 1e300), (3e-9, 2.0)])
def test_log_domains_are_never_empty(low, high):
    domain = decades(low, high)
    assert 0 < domain[0] < domain[1] < float("inf")
    assert 0 < len(ticks(domain)) < 40


def test_thinning_keeps_the_beginning_and_the_end():
    kept = thinned(10_000, 400)
    assert len(kept) <= 400 and kept[:100].tolist() == list(range(100)) and kept[-1] == 9_999
    assert thinned(3, 400).tolist() == [0, 1, 2]


def test_columns_are_numbers_or_nan():
    read = column({"a": [1, None, "x", 10**400, 2.5]}, "a", 6)
    np.testing.assert_array_equal(read, [1, np.nan, np.nan, np.nan, 2.5, np.nan])


def test_pieces_of_a_record_are_read_as_one(make):
    record = make()
    for name in ("trace", "plan", "spectrum"):
        assert read_record(record[name])[name] == record[name]
    assert plain({1: np.float64(2), "a": np.arange(2), "b": (np.nan, True)}) == {
        "1": 2.0,
        "a": [0, 1],
        "b": [None, True],
    }
