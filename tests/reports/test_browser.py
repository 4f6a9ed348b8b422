"""The page in a browser: it draws, it fits, it says nothing on the console. Needs Chromium; skipped without one."""

import json
import re
import shutil
import subprocess

import pytest

from thalweg.reports import report

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed (Debian: apt-get install chromium)"),
]
FLAGS = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
FLAGS += " --disable-component-update --disable-sync --hide-scrollbars --enable-logging=stderr --v=0"
FLAGS += " --virtual-time-budget=20000 --window-size=1400,1000"
DARK = ["--force-dark-mode", "--blink-settings=preferredColorScheme=0"]

WATCH = """<script>
window.failures = [];
window.addEventListener("error", (event) => failures.push(String(event.message)));
window.addEventListener("unhandledrejection", (event) => failures.push(String(event.reason)));
window.addEventListener("securitypolicyviolation", (event) => failures.push(event.violatedDirective));
</script>"""

PROBE = """<script>(async () => {
  const pause = () => new Promise((done) => setTimeout(done, 150));
  while (document.documentElement.dataset.ready !== "yes" && !failures.length) await pause();
  const root = document.documentElement;
  const count = (box, kind) => [...box.querySelectorAll(`g.mark-${kind}.role-mark path, g.mark-${kind}.role-mark line`)]
    .filter((mark) => mark.getAttribute("opacity") !== "0" && (mark.getAttribute("d") || "M0,0h1").length > 3).length;
  const marks = (box) => Object.fromEntries(["line", "symbol", "rect", "area", "rule"].map((k) => [k, count(box, k)]));
  const overlaps = (box) => {
    const texts = [...box.querySelectorAll("svg text")].filter((text) =>
      text.textContent.trim() && text.getAttribute("opacity") !== "0" && getComputedStyle(text).opacity !== "0");
    const found = [];
    texts.forEach((one, i) => texts.slice(i + 1).forEach((other) => {
      const a = one.getBoundingClientRect(), b = other.getBoundingClientRect();
      if (Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1
        && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 3)
        found.push(one.textContent + " | " + other.textContent);
    }));
    return found;
  };
  const cut = (box) => [...box.querySelectorAll("svg text")].filter((text) => {
    if (!text.textContent.trim()) return false;
    const a = text.getBoundingClientRect(), b = box.getBoundingClientRect();
    return a.left < b.left - 1 || a.right > b.right + 1;
  }).map((text) => text.textContent);
  const result = { charts: {}, forms: {}, width: innerWidth, scroll: root.scrollWidth,
    paper: getComputedStyle(document.body).backgroundColor };
  for (const box of document.querySelectorAll(".chart")) {
    result.charts[box.id] = { marks: marks(box), overlaps: overlaps(box), cut: cut(box),
      label: box.getAttribute("aria-label"), ink: getComputedStyle(box.querySelector("svg text")).fill };
  }
  const chart = document.getElementById("chart-convergence");
  for (const input of document.querySelectorAll("input[data-figure]")) {
    input.click();
    await pause();
    result.forms[input.value] = { marks: marks(chart), overlaps: overlaps(chart), drawn: chart.dataset.drawn };
  }
  const ticks = () =>
    [...chart.querySelectorAll(".role-axis-label text")].map((text) => text.textContent).sort().join(" ");
  if (chart) {
    const before = ticks();
    chart.closest("figure").querySelector('[data-zoom="0.6"]').click();
    await pause();
    result.zoomed = ticks() !== before;
    chart.closest("figure").querySelector('[data-zoom="0"]').click();
    await pause();
    result.reset = ticks() === before;
    result.tips = {};
    for (const box of document.querySelectorAll(".chart")) {
      box.scrollIntoView({ block: "center" });
      await pause();
      const at = box.querySelector("svg").getBoundingClientRect();
      const point = { bubbles: true, clientX: at.left + at.width / 2, clientY: at.top + at.height * 0.6 };
      const target = document.elementFromPoint(point.clientX, point.clientY);
      for (const kind of ["pointerover", "pointermove"]) target.dispatchEvent(new PointerEvent(kind, point));
      await pause();
      const tip = document.querySelector(".tip"), edge = tip.getBoundingClientRect();
      const terms = [...tip.querySelectorAll("dt")].map((term) => term.textContent);
      result.tips[box.id] = { terms, inside: edge.left >= 0 && edge.right <= innerWidth };
    }
  }
  result.scrollAfter = root.scrollWidth;
  result.failures = failures;
  parent.postMessage(JSON.stringify(result), "*");
})();</script>"""

SHELL = """<!doctype html><body style="margin:0"><iframe src="probe.html" style="width:{width}px;height:900px;border:0">
</iframe><pre id="result"></pre><script>
addEventListener("message", (event) => {{ document.getElementById("result").textContent = event.data; }});
</script>"""


def looked_at(record, folder, width, *flags):
    """What a page of the record measures in a frame of that width, and what the browser wrote on its console."""
    page = report(record, folder / "report.html").read_text()
    head, rest = page.split("</title>", 1)
    (folder / "probe.html").write_text(f"{head}</title>{WATCH}{rest}{PROBE}")
    (folder / "shell.html").write_text(SHELL.format(width=width))
    command = [CHROMIUM, *FLAGS.split(), *flags, f"--user-data-dir={folder / 'profile'}", "--dump-dom"]
    run = subprocess.run(
        [*command, (folder / "shell.html").as_uri()], capture_output=True, text=True, timeout=120, check=True
    )
    console = [line for line in run.stderr.splitlines() if "CONSOLE" in line]
    found = re.search(r'<pre id="result">(.*?)</pre>', run.stdout, re.DOTALL)
    assert found and found[1], f"the page sent no measurement; console: {console}"
    text = found[1].replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
    return json.loads(text), console


@pytest.mark.parametrize("width", [1280, 360])
@pytest.mark.parametrize("flags", [[], DARK], ids=["light", "dark"])
def test_the_page_draws_fits_and_is_silent(make, tmp_path, width, flags):
    seen, console = looked_at(make(), tmp_path, width, *flags)
    assert console == [] and seen["failures"] == []
    assert seen["width"] == width
    assert max(seen["scroll"], seen["scrollAfter"]) <= width
    charts = seen["charts"]
    assert set(charts) == {"chart-convergence", "chart-plan", "chart-spectrum-raw", "chart-spectrum-scaled"}
    assert charts["chart-convergence"]["marks"] == {"line": 3, "symbol": 20, "rect": 0, "area": 1, "rule": 1}
    assert charts["chart-plan"]["marks"]["symbol"] == 7 and charts["chart-plan"]["marks"]["rule"] == 6
    for name in ("raw", "scaled"):
        assert charts[f"chart-spectrum-{name}"]["marks"]["rect"] > 5 + 31  # bars, and the rug of 31 eigenvalues
    for chart in charts.values():
        assert chart["overlaps"] == [] and chart["cut"] == []
        assert len(chart["label"]) > 30
    light = [int(channel) for channel in re.findall(r"\d+", seen["paper"])[:3]]
    assert (sum(light) < 150) == bool(flags)
    ink = [int(channel) for channel in re.findall(r"\d+", charts["chart-plan"]["ink"])[:3]]
    assert abs(sum(ink) - sum(light)) > 250


def test_the_switch_the_zoom_and_the_tips_work(make, tmp_path):
    seen, console = looked_at(make(), tmp_path, 360)
    assert console == []
    assert list(seen["forms"]) == ["per step", "per second", "per pass"]
    for form, chart in seen["forms"].items():
        assert chart["drawn"] == form and chart["overlaps"] == []
        assert chart["marks"]["line"] == 3 and chart["marks"]["symbol"] == 20
    assert seen["zoomed"] and seen["reset"]
    said = {name.removeprefix("chart-"): tip["terms"] for name, tip in seen["tips"].items()}
    assert said == {
        "convergence": ["line", "gap", "step", "time", "passes"],
        "plan": ["method", "what", "time", "steps"],
        "spectrum-raw": ["eigenvalues", "share"],
        "spectrum-scaled": ["eigenvalues", "share"],
    }
    assert all(tip["inside"] for tip in seen["tips"].values())


def one_row(record):
    record["trace"] = {name: values[:1] for name, values in record["trace"].items()}
    return record | {"predicted": None, "steps": 0}


def diverged(record):
    record["trace"]["value"] = [10.0 ** (34 * k) for k in range(9)] + [None]
    record["trace"]["gap"] = [None] * 10
    record["certificate"] = {"gap": None, "kind": "none", "how": "not convex"}
    record["plan"]["revisions"] = [{"step": 7, "reason": "a wrong kappa", "from": "nesterov", "to": "newton"}]
    return record | {"status": "diverged", "success": False, "value": None}


def tiny(record):
    record["trace"]["value"] = record["trace"]["gap"] = [1e-250, 1e-280, 1e-300, 1e-310, 0, 0, 0, 0, 0, 0]
    record["settings"]["target_gap"] = 1e-299
    return record | {"predicted": None, "value": 0.0}


def long_names(record):
    for row in record["plan"]["rows"]:
        row["method"] = f"{row['method']}, preconditioned by a sketch of half the rows"
    record["data"] |= {"name": "a_data_set_whose_name_never_ends_" * 5, "target": "t" * 200, "classes": ["c" * 80] * 9}
    return record


def without_plan(record):
    return record | {"plan": None, "predicted": None, "spectrum": None, "constants": None}


@pytest.mark.parametrize("change", [one_row, diverged, tiny, long_names, without_plan], ids=lambda f: f.__name__)
def test_odd_records_draw_too(make, tmp_path, change):
    seen, console = looked_at(change(make()), tmp_path, 360)
    assert console == [] and seen["failures"] == []
    assert max(seen["scroll"], seen["scrollAfter"]) <= 360
    chart = seen["charts"]["chart-convergence"]
    assert chart["marks"]["symbol"] >= 1
    assert [chart["overlaps"] for chart in seen["charts"].values()] == [[]] * len(seen["charts"])
    assert [chart["cut"] for chart in seen["charts"].values()] == [[]] * len(seen["charts"])
