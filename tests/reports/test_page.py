import html.parser
import json
import re

import pytest

from thalweg.core.errors import InputError
from thalweg.core.records import Status
from thalweg.reports import report
from thalweg.reports.figures import LIGHT
from thalweg.reports.frame import _shipped
from thalweg.reports.page import page
from thalweg.reports.record import plain, read_record

MOST_BYTES = 2_000_000


class Reader(html.parser.HTMLParser):
    """Tags with their attributes, the text outside scripts and styles, and the scripts by id."""

    def __init__(self, content):
        super().__init__()
        self.tags, self.words, self.scripts, self.inside = [], [], {}, None
        self.feed(content)
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag in ("script", "style"):
            self.inside = dict(attributes).get("id", tag)

    def handle_endtag(self, tag):
        if tag in ("script", "style"):
            self.inside = None

    def handle_data(self, data):
        if self.inside is None:
            self.words.append(data)
        else:
            self.scripts[self.inside] = self.scripts.get(self.inside, "") + data


def embedded(content):
    return json.loads(Reader(content).scripts["record"])


def test_the_page_leads_with_the_verdict_and_holds_every_section(make):
    read = Reader(page(read_record(make())))
    order = [
        "converged",
        "The model is trained",
        "Convergence: predicted and observed",
        "Plan",
        "Spectrum",
        "Constants",
    ]
    order += ["Data and settings", "Notes", "Record"]
    places = [read.text.index(words) for words in order]
    assert places == sorted(places)
    assert "newton is predicted 1.8 times as fast as the runner-up, newton-cg: 15 ms against 27 ms" in read.text
    assert "their intervals overlap" in read.text
    assert "✓ chosen" in read.text


def test_the_embedded_record_is_the_record(make):
    record = make()
    assert embedded(page(read_record(record))) == record


def test_a_saved_run_gives_the_same_page_as_the_record_itself(make, tmp_path):
    (tmp_path / "run.json").write_text(json.dumps(make()))
    pages = [report(source, tmp_path / "r.html").read_text() for source in (make(), tmp_path, tmp_path / "run.json")]
    assert pages[0] == pages[1] == pages[2]


def test_an_object_is_asked_for_its_record(make, tmp_path):
    class Fit:
        def record(self):
            return make()

    assert report(Fit(), tmp_path / "a.html").read_text() == page(read_record(make()))


def test_numbers_that_json_lacks_become_null(make):
    record = make()
    record["value"] = float("nan")
    record["trace"]["gap"][0] = float("inf")
    read = embedded(page(read_record(record)))
    assert read["value"] is None
    assert read["trace"]["gap"][0] is None


PARTS = "status remedy success value start_value certificate method steps passes seconds cpu_seconds held_out notes"
PARTS += " verdict constants spectrum plan predicted trace observed data settings versions machine command kind"
HOSTILE = ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "</script><!--", "a & b \u2028 ' ]]>"]


@pytest.mark.parametrize("text", HOSTILE)
def test_text_of_the_record_never_becomes_a_tag(make, text):
    clean, record = Reader(page(read_record(make()))), make()
    record["data"] |= {"name": text, "target": text, "classes": [text, text]}
    record |= {"notes": [text], "verdict": [text], "status": text, "method": text, "command": [text]}
    record["machine"] = {text: text}
    for row in record["plan"]["rows"]:
        row |= {"method": text, "why": text, "basis": text}
    record["plan"]["revisions"] = [{"step": 3, "reason": text, "from": text, "to": text}]
    record["constants"] = {text: {"value": 1.0, "how": text, "where": text, "low": None, "high": None}}
    record["spectrum"]["raw"]["how"] = text
    read = Reader(page(read_record(record)))
    assert {tag for tag, _ in read.tags} <= {tag for tag, _ in clean.tags}
    assert not any(name.startswith("on") for _, attributes in read.tags for name in attributes)
    assert json.loads(read.scripts["record"]) == record
    assert " ".join(text.split()) in read.text


def test_nothing_is_loaded_from_anywhere(make):
    content = page(read_record(make()))
    read = Reader(content)
    loads = [
        (tag, name, value)
        for tag, attributes in read.tags
        for name, value in attributes.items()
        if name in ("src", "href", "srcset", "action", "data", "poster") and not value.startswith(("#", "data:"))
    ]
    assert loads == []
    assert "@import" not in content and not re.search(r"url\((?!#)", _shipped("style.css"))
    policy = next(a["content"] for _, a in read.tags if a.get("http-equiv") == "Content-Security-Policy")
    assert "default-src 'none'" in policy
    assert not re.search(r"https?:", policy)


@pytest.mark.parametrize("status", list(Status), ids=lambda status: status.name)
def test_every_status_renders_with_its_remedy(make, status):
    record = make() | {"status": status.label, "remedy": status.remedy, "success": status.success, "verdict": []}
    read = Reader(page(read_record(record)))
    assert ("✓ " if status.success else "! ") + status.label in read.text
    assert status.success or status.remedy in read.text
    assert any("failed" in (attributes.get("class") or "") for _, attributes in read.tags) != status.success


@pytest.mark.parametrize("name", PARTS.split())
@pytest.mark.parametrize("how", ["missing", "null"])
def test_every_part_may_be_missing(make, name, how):
    record = make()
    if how == "missing":
        del record[name]
    else:
        record[name] = None
    content = page(read_record(record))
    assert embedded(content) == record
    assert "None" not in Reader(content).text and "nan" not in Reader(content).text


@pytest.mark.parametrize(
    "record", [{}, {"kind": "fit"}, {"trace": {}}, {"plan": {"rows": []}}, {"spectrum": {"raw": {}}}]
)
def test_next_to_nothing_still_makes_a_page(record):
    assert "No step was recorded" in Reader(page(read_record(record))).text


def test_changes_of_plan_are_told_in_the_verdict(make):
    record = make()
    record["plan"]["revisions"] = [{"step": 7, "reason": "CG needed 40 products", "from": "newton-cg", "to": "l-bfgs"}]
    said = "The plan was changed at step 7, from newton-cg to l-bfgs: CG needed 40 products."
    assert Reader(page(read_record(record))).text.count(said) == 2


def test_predicted_stands_beside_observed(make):
    text = Reader(page(read_record(make()))).text
    assert "steps 9 6.3 to 14 9 1 × yes" in text
    assert "time 15 ms 10.5 ms to 24 ms 17.2 ms 1.1 × yes" in text


def test_the_page_stays_under_two_megabytes(make):
    sizes = {steps: len(page(read_record(make(steps))).encode()) for steps in (1, 9, 3000)}
    assert max(sizes.values()) < MOST_BYTES


def test_a_trace_too_long_for_the_page_is_thinned_and_says_so(make):
    record = make(40_000)
    content = page(read_record(record))
    read = embedded(content)
    assert len(content.encode()) < MOST_BYTES
    assert read["trace"]["step"][-1] == 40_000 and len(read["trace"]["step"]) <= 1000
    assert "of the run's 40,001 rows; all are in trace.csv." in Reader(content).text


@pytest.mark.parametrize("where", ["folder", "file in a file's place"])
def test_a_path_that_cannot_be_written_is_named_with_a_remedy(make, tmp_path, where):
    path = tmp_path
    if where != "folder":
        (tmp_path / "taken").write_text("")
        path = tmp_path / "taken" / "report.html"
    with pytest.raises(InputError, match=re.escape(str(path))) as caught:
        report(make(), path)
    assert caught.value.remedy
    assert [file.name for file in tmp_path.iterdir() if file.name.endswith(".tmp")] == []


def test_a_report_replaces_the_one_before(make, tmp_path):
    path = tmp_path / "new folder" / "report.html"
    assert report(make(name="first"), path) == path
    assert report(make(name="second"), path) == path
    assert "<h1>second</h1>" in path.read_text()
    assert [file.name for file in path.parent.iterdir()] == ["report.html"]


@pytest.mark.parametrize("source", [3, None, ["a"]])
def test_what_has_no_record_is_refused(source, tmp_path):
    with pytest.raises(InputError, match="has no record"):
        report(source, tmp_path / "r.html")


def test_a_file_that_is_no_record_is_refused(tmp_path):
    (tmp_path / "a.json").write_text("[1]")
    (tmp_path / "b.json").write_text("{")
    for name, said in (("a.json", "not a record"), ("b.json", "not JSON"), ("c.json", "cannot be read")):
        with pytest.raises(InputError, match=said):
            report(tmp_path / name, tmp_path / "r.html")


def luminance(colour):
    channels = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def palettes():
    light, dark = _shipped("style.css").split("@media screen and (prefers-color-scheme: dark)")[:2]
    return [dict(re.findall(r"--(\w+): (#\w{6});", part.split("}")[0])) for part in (light, dark)]


@pytest.mark.parametrize("palette", palettes(), ids=["light", "dark"])
@pytest.mark.parametrize("behind", ["paper", "card"])
def test_text_and_lines_stand_out(palette, behind):
    """WCAG AA: 4.5 to 1, which also suffices for lines."""
    for name in set(palette) - {"paper", "card", "grid"}:
        high, low = sorted((luminance(palette[name]), luminance(palette[behind])), reverse=True)
        assert (high + 0.05) / (low + 0.05) >= 4.5, name


def test_charts_outside_a_page_have_the_same_light_colours():
    light = palettes()[0]
    assert {name: light[name] for name in LIGHT} == LIGHT


def test_plain_leaves_json_as_it_is(make):
    assert plain(make()) == make()
