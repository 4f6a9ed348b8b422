import html
import json

import pytest

from thalweg.core.errors import InputError
from thalweg.core.records import Trace
from thalweg.reports import plot


def test_a_notebook_shows_the_chart_in_a_frame_of_its_own(make):
    shown = plot(make())._repr_html_()
    assert shown.startswith("<iframe") and shown.endswith("</iframe>")
    page = html.unescape(shown.split('srcdoc="', 1)[1].split('"', 1)[0])
    assert 'id="chart-convergence"' in page and "vegaEmbed" in page
    assert 'id="record"' not in page


@pytest.mark.parametrize("what", ["convergence", "plan", "spectrum-raw", "spectrum-scaled"])
def test_every_chart_can_be_asked_for(make, what):
    chart = plot(make(), what)
    assert chart.figure.name == what
    assert chart.spec["datasets"]["rows"] == chart.figure.data
    assert "var(--" not in json.dumps(chart.spec)
    assert repr(chart).startswith("Plot(")


def test_the_axis_is_chosen_first(make):
    chart = plot(make(), axis="second")
    assert chart.form == "per second"
    assert chart.spec["layer"][-1]["encoding"]["x"]["field"] == "time"


def test_a_trace_alone_is_drawn():
    trace = Trace({"step": [0, 1], "value": [2.0, 1.0], "gap": [1.5, 0.25]})
    chart = plot(trace)
    assert [row["gap"] for row in chart.figure.data if "bound certified" in row["series"]] == [1.5, 0.25]


def test_it_opens_up_as_an_altair_chart(make):
    assert plot(make()).altair().to_dict()["width"] == 640


@pytest.mark.parametrize(("ending", "start"), [("svg", b"<svg"), ("png", b"\x89PNG"), ("html", b"<!doctype html>")])
def test_it_saves_as_a_page_or_a_picture(make, tmp_path, ending, start):
    path = plot(make(), "plan").save(tmp_path / f"plan.{ending}")
    assert path.read_bytes().startswith(start)


def test_what_is_not_there_is_refused_with_what_is(make, tmp_path):
    record = make()
    with pytest.raises(InputError, match="nothing to draw"):
        plot({})
    with pytest.raises(InputError, match="what='loss'.*'convergence', 'plan'"):
        plot(record, "loss")
    with pytest.raises(InputError, match="axis='epoch'.*'step', 'second', 'pass'"):
        plot(record, axis="epoch")
    with pytest.raises(InputError, match=r"'\.pdf'.*\.html, \.svg or \.png"):
        plot(record).save(tmp_path / "a.pdf")
    (tmp_path / "taken").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        plot(record).save(tmp_path / "taken" / "a.html")
