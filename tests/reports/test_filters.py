import altair
import numpy as np
import pytest

from thalweg.reports.figures import LIGHT
from thalweg.reports.filters import MOST_CURVES, MOST_POINTS, filters
from thalweg.reports.plot import Plot
from thalweg.theory.early_stopping import filter_curves
from thalweg.theory.shrinkage import GradientDescentFilter, RidgeFilter, TruncationFilter

S = np.geomspace(1e-3, 2.0, 15)


def made(points=50, limits=None):
    kinds = {
        "ridge": RidgeFilter(0.01),
        "30 steps": GradientDescentFilter(30, 0.25),
        "cut": TruncationFilter(0.1),
    }
    return filter_curves(kinds, S, limits=limits, points=points).record()


def test_what_the_record_holds_is_what_is_drawn():
    record = made()
    figure = filters(record)
    for curve in record["shrinkage"]["curves"]:
        rows = [row for row in figure.data if row["series"] == curve["label"]]
        # The chart's rows carry six digits.
        np.testing.assert_allclose([row["m"] for row in rows], curve["m"], rtol=5e-6)
        np.testing.assert_allclose([row["s"] for row in rows], record["shrinkage"]["s"], rtol=5e-6)
    rug = figure.forms["shrinkage"]["layer"][-2]["data"]["values"]
    np.testing.assert_allclose([row["s"] for row in rug], S, rtol=5e-6)
    assert [key.label for key in figure.keys] == ["ridge", "30 steps", "cut"]


def test_it_is_valid_vega_lite_and_saves_as_a_picture(tmp_path):
    figure = filters(made(limits={"float32": 1e-4, "float64": 1e-5}))
    altair.Chart.from_dict(figure.whole())
    altair.Chart.from_dict(figure.whole(colours=LIGHT))
    assert Plot(figure, "shrinkage").save(tmp_path / "filters.svg").read_bytes().startswith(b"<svg")


def test_limits_are_marked_and_said():
    figure = filters(made(limits={"float32": 1e-4, "float64": 1e-5}))
    assert any("float32 at 0.0001, float64 at 1e-5" in said for said in figure.captions)
    marks = [layer for layer in figure.forms["shrinkage"]["layer"] if layer["mark"]["type"] == "rule"]
    assert [layer["data"]["values"][0]["s"] for layer in marks] == [1e-5, 1e-4]
    domain = figure.forms["shrinkage"]["layer"][0]["encoding"]["x"]["scale"]["domain"]
    assert domain[0] < 1e-5 and domain[1] > 2


def test_what_grows_without_bound_leaves_the_picture_and_that_is_said():
    record = filter_curves({"tame": RidgeFilter(1.0), "wild": GradientDescentFilter(51, 1.0)}, S).record()
    figure = filters(record)
    assert any(said.startswith("wild leaves the picture") for said in figure.captions)
    line = next(layer for layer in figure.forms["shrinkage"]["layer"] if layer["mark"]["type"] == "line")
    low, high = line["encoding"]["y"]["scale"]["domain"]
    assert -0.5 < low < 0 and 2 < high < 3


def test_tables_and_long_curves_are_cut_to_what_can_be_seen():
    record = made(points=3000)
    figure = filters(record)
    assert len(figure.data) == 3 * MOST_POINTS
    heads, lines = figure.table
    assert heads == ["singular value", "ridge", "30 steps", "cut"]
    assert len(lines) <= 25 and all(len(line) == 4 for line in lines)
    table = record["shrinkage"]
    table["curves"] = [{"label": str(k), "m": table["curves"][0]["m"]} for k in range(MOST_CURVES + 3)]
    figure = filters(record)
    assert len(figure.keys) == MOST_CURVES and any("first 8 of 11" in said for said in figure.captions)
    assert len({(key.colour, tuple(key.dash)) for key in figure.keys}) == MOST_CURVES


@pytest.mark.parametrize(
    "table",
    [
        {},
        {"s": [], "curves": []},
        {"s": [1.0], "curves": [{"label": "a", "m": [None]}]},
        {"s": [0.0, -1.0], "curves": [{"label": "a", "m": [1.0, 1.0]}]},
        {"s": [1.0], "curves": ["a", None]},
        {"s": None, "curves": [{"m": [1.0]}]},
    ],
)
def test_nothing_known_is_no_figure(table):
    assert filters({"shrinkage": table}) is None
    assert filters({}) is None


def test_parts_may_be_missing():
    figure = filters({"shrinkage": {"s": [1.0, 2.0, None], "curves": [{"label": "a", "m": [0.5, None, 1.0]}]}})
    assert [(row["s"], row["m"]) for row in figure.data] == [(1.0, 0.5)]
    assert len(figure.captions) == 1 and figure.table[1] == [["1", "0.5"]]
    odd = {"s": [1.0], "curves": [{"label": "a", "m": [0.5]}], "limits": ["x", {"label": "none"}, {"s": -1}]}
    assert filters({"shrinkage": odd}) is not None
