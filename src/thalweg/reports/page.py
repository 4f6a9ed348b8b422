"""The report: one HTML file with the verdict first, that needs no network and no other file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from thalweg.core.errors import InputError
from thalweg.core.records import Status
from thalweg.reports.bundle import write_whole
from thalweg.reports.choices import choices
from thalweg.reports.convergence import convergence
from thalweg.reports.figures import Figure
from thalweg.reports.format import UNKNOWN, bytes_text, count, finite, number, percent, seconds
from thalweg.reports.frame import document, drawing, plain_table, scrolling
from thalweg.reports.markup import Markup, json_text, tag
from thalweg.reports.record import Record, items, part, read_record, rows, thinned
from thalweg.reports.spectrum import spectra
from thalweg.reports.tables import (
    NAMES,
    certificate,
    constant_rows,
    cost,
    margin,
    outcome_rows,
    plan_cells,
    plan_rows,
    revision_sentences,
)

MOST_RECORD_BYTES = 700_000
"""Past this the embedded trace is thinned, so that the page stays under 2 MB; it says so."""


_GOOD = {status.label for status in Status if status.success}


def report(record: Any, path: str | Path) -> Path:
    """Write the report of a run as one HTML page.

    The page works offline, in light and dark, on a phone and on paper, and holds the whole record as JSON. It appears
    whole or not at all.

    Args:
        record: A fit or another object with `record()`, the dict of one, or the path of a run folder or its run.json.
        path: The file to write.

    Returns:
        The path.

    Raises:
        InputError: If there is no record there, or the file cannot be written.

    """
    content = page(read_record(record))
    path = Path(path)
    try:
        write_whole(path, content)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        remedy = f"name a file, such as {str(path / 'report.html')!r}" if path.is_dir() else "choose another path"
        raise InputError(f"path={str(path)!r}: the report cannot be written ({reason})", remedy) from error
    return path


def page(record: Record) -> str:
    """The whole page of a plain record."""
    figures = [figure for figure in (convergence(record), choices(record), *spectra(record)) if figure is not None]
    by_name = {figure.name: figure for figure in figures}
    embedded, thinner = embeddable(record)
    body = [
        _header(record),
        _convergence(record, by_name.get("convergence")),
        _plan(record, by_name.get("plan")),
        _spectrum([figure for figure in figures if figure.name.startswith("spectrum")]),
        _constants(part(record, "constants")),
        _data(record),
        _notes(record),
        _record(thinner),
    ]
    name = part(record, "data").get("name") or record.get("kind") or "run"
    return document(f"{name} – Thalweg report", body, figures, embedded)


def embeddable(record: Record) -> tuple[Record, str]:
    """The record as the page holds it, and a sentence if its columns had to be thinned to fit."""
    if len(json_text(record).encode()) <= MOST_RECORD_BYTES:
        return record, ""
    length = rows(part(record, "trace"))
    shorter = {name: _thinned(part(record, name)) for name in ("trace", "predicted") if part(record, name)}
    said = f"Its trace holds {rows(shorter.get('trace', {})):,} of the run's {length:,} rows; all are in trace.csv."
    return {**record, **shorter}, said


def _thinned(table: Record) -> Record:
    keep = thinned(rows(table), 1000).tolist()
    return {
        name: [values[k] for k in keep if k < len(values)] if isinstance(values, list) else values
        for name, values in table.items()
    }


def _header(record: Record) -> Markup:
    data = part(record, "data")
    name = data.get("name") or {"plan": "Plan", "trace": "Trace"}.get(str(record.get("kind")), "Run")
    return tag(
        "header",
        tag("div", "Thalweg report", class_="kicker"),
        tag("h1", name),
        tag("div", _subject(record), class_="quiet") if _subject(record) else None,
        _verdict(record),
        _key_figures(record),
    )


def _subject(record: Record) -> str:
    data, settings = part(record, "data"), part(record, "settings")
    said = []
    if finite(data.get("rows")) is not None:
        said.append(f"{count(data['rows'])} rows × {count(data.get('features'))} features")
    if settings.get("loss"):
        said.append(f"{settings['loss']} loss")
    if finite(settings.get("l2")) is not None:
        said.append(f"l2 = {number(settings['l2'], 3)}")
    return " · ".join(said)


def _verdict(record: Record) -> Markup | None:
    """The verdict in sentences; where the record brings none, the status and the certificate speak."""
    status = record.get("status")
    success = record.get("success")
    good = success if isinstance(success, bool) else status is None or status in _GOOD
    said = [str(sentence) for sentence in items(record, "verdict") if str(sentence).strip()]
    if not said and status:
        said = [f"{str(status).capitalize()} after {cost(record)}: {certificate(part(record, 'certificate'))}."]
    remedy = str(record.get("remedy") or "")
    if status and remedy and not any(remedy in sentence for sentence in said) and not good:
        said.append(f"What to do: {remedy}.")
    said += revision_sentences(part(record, "plan"))
    if not said:
        return None
    badge = tag("p", f"{'✓' if good else '!'} {status}", class_="badge") if status else None
    sentences = [tag("p", sentence) for sentence in said]
    return tag("section", badge, *sentences, class_="verdict" if good else "verdict failed", aria_label="Verdict")


def _key_figures(record: Record) -> Markup | None:
    gap = part(record, "certificate")
    held_out = part(record, "held_out")
    predicted = {row[0]: row for row in outcome_rows(record)}

    def expected(name: str) -> str:
        row = predicted.get(name)
        return "" if row is None or row[1] == UNKNOWN else f"predicted {row[2] or row[1]}"

    known: list[tuple[str, str, str]] = []
    if gap.get("kind") in ("proof", "estimate") and finite(gap.get("gap")) is not None:
        sign = "≤" if gap["kind"] == "proof" else "≈"
        known.append(("f − f*", f"{sign} {number(gap['gap'], 2)}", str(gap["kind"])))
    if finite(record.get("value")) is not None:
        start = f"from {number(record.get('start_value'))}" if finite(record.get("start_value")) is not None else ""
        known.append(("objective", number(record["value"], 6), start))
    if record.get("method"):
        known.append(("method", str(record["method"]), ""))
    if finite(record.get("steps")) is not None:
        reached = part(record, "observed").get("steps")
        to_target = f"{count(reached)} to the target" if reached not in (None, record["steps"]) else ""
        under = ", ".join(said for said in (to_target, expected("steps")) if said)
        known.append(("steps", count(record["steps"]), under))
    if finite(record.get("seconds")) is not None:
        known.append(("time", seconds(record["seconds"]), expected("time")))
    if finite(held_out.get("held_out")) is not None:
        training = f"{number(held_out.get('training'))} on the rows trained on"
        known.append((f"{held_out.get('measure') or 'score'}, held out", number(held_out["held_out"]), training))
    if not known:
        return None
    cells = [
        tag("div", tag("dt", label), tag("dd", value, tag("small", under) if under else None))
        for label, value, under in known
    ]
    return tag("dl", *cells, class_="figures")


def _convergence(record: Record, figure: Figure | None) -> Markup:
    outcome = outcome_rows(record)
    heads = ["", "predicted", "interval", "observed", "observed / predicted", "in the interval"]
    plan = part(record, "plan")
    used, chosen = record.get("method"), plan.get("chosen")
    other = f"The prediction is for {chosen}; the run ended with {used}." if chosen and used and chosen != used else ""
    return _section(
        "Convergence: predicted and observed",
        drawing(figure) if figure else tag("p", "No step was recorded and none predicted.", class_="quiet"),
        plain_table(heads, outcome, "Predicted and observed cost") if outcome else None,
        tag("p", other) if other else None,
    )


def _plan(record: Record, figure: Figure | None) -> Markup | None:
    plan = part(record, "plan")
    ranked = plan_rows(plan)
    if not ranked and not plan.get("reason"):
        return None
    heads = ["method", "steps", "time", "passes", "memory", "basis", "why"]
    numeric = {"steps", "seconds", "passes", "bytes"}
    body = []
    for row in ranked:
        cells = plan_cells(row)
        mark = tag("span", "✓ chosen", class_="mark") if row.get("chosen") else None
        head = tag("th", cells.pop("method"), mark, scope="row")
        others = [tag("td", cell, class_="number" if name in numeric else "text") for name, cell in cells.items()]
        body.append(tag("tr", head, *others, class_="chosen" if row.get("chosen") else None))
    numbers = ("steps", "time", "passes", "memory")
    head_row = [tag("th", head, scope="col", class_="number" if head in numbers else None) for head in heads]
    table = tag("table", tag("thead", tag("tr", *head_row)), tag("tbody", *body))
    spent = [
        f"{label} took {seconds(plan[key])}"
        for label, key in (("diagnosis", "diagnosis_seconds"), ("planning", "planning_seconds"))
        if finite(plan.get(key)) is not None
    ]
    made = f"Made {plan['made']}" if plan.get("made") else "Made"
    target = finite(plan.get("target"))
    aim = f", for a target of f − f* ≤ {number(target, 3)}" if target is not None else ""
    sentences = [margin(plan), _sentence(plan.get("reason")), *revision_sentences(plan)]
    return _section(
        "Plan",
        *(tag("p", sentence) for sentence in sentences if sentence),
        scrolling(table, "Plan, method by method") if ranked else None,
        tag("p", f"{made}{aim}{'; ' if spent else ''}{', '.join(spent)}.", class_="quiet"),
        drawing(figure, "h3") if figure else None,
    )


def _spectrum(figures: Sequence[Figure]) -> Markup | None:
    if not figures:
        return None
    said = "Eigenvalues of the Hessian: the wider they spread, the more steps a first-order method takes."
    pair = tag("div", *(drawing(figure, "h3") for figure in figures), class_="pair")
    return _section("Spectrum", tag("p", said), pair)


def _constants(constants: Record) -> Markup | None:
    known = constant_rows(constants)
    if not known:
        return None
    body = []
    for name, (value, interval, how, where) in known:
        symbol, meaning = NAMES.get(name, (name, ""))
        small = tag("small", meaning) if meaning else None
        head = tag("th", symbol, tag("br") if meaning else None, small, scope="row")
        numbers = [tag("td", cell, class_="number") for cell in (value, interval)]
        texts = [tag("td", cell, class_="text") for cell in (how, where)]
        body.append(tag("tr", head, *numbers, *texts))
    heads = [("constant", None), ("value", "number"), ("interval", "number"), ("how", None), ("where", None)]
    head_row = tag("tr", *(tag("th", head, scope="col", class_=kind) for head, kind in heads))
    return _section("Constants", scrolling(tag("table", tag("thead", head_row), tag("tbody", *body)), "Constants"))


def _data(record: Record) -> Markup:
    data, settings, held_out = part(record, "data"), part(record, "settings"), part(record, "held_out")
    classes = items(data, "classes")
    more = f", … ({len(classes)} in all)" if len(classes) > 12 else ""
    shown = ", ".join(str(name) for name in classes[:12]) + more
    pairs: list[tuple[str, Any]] = [
        ("data", data.get("name")),
        ("rows × features", f"{count(data.get('rows'))} × {count(data.get('features'))}" if data else None),
        ("non-zero entries", percent(data.get("density")) if finite(data.get("density")) is not None else None),
        ("in memory", bytes_text(data.get("bytes")) if finite(data.get("bytes")) is not None else None),
        ("target", data.get("target")),
        ("classes", shown or None),
        ("loss", settings.get("loss")),
        ("l2", number(settings.get("l2")) if "l2" in settings else None),
        ("target for f − f*", number(settings.get("target_gap"), 3) if "target_gap" in settings else None),
        ("seed", settings.get("seed")),
        ("method asked for", settings.get("method_asked")),
        ("status", record.get("status")),
        ("certificate", certificate(part(record, "certificate")) if record.get("certificate") else None),
        ("cost", cost(record) or None),
        ("held out", f"{count(held_out.get('rows'))} rows, seed {held_out.get('seed')}" if held_out else None),
    ]
    machine, versions = part(record, "machine"), part(record, "versions")
    pairs.append(("machine", ", ".join(f"{key} {value}" for key, value in machine.items()) or None))
    pairs.append(("versions", ", ".join(f"{key} {value}" for key, value in versions.items()) or None))
    command = " ".join(str(word) for word in items(record, "command"))
    pairs.append(("command", tag("code", command) if command else None))
    body = [
        tag("tr", tag("th", name, scope="row"), tag("td", value))
        for name, value in pairs
        if value is not None and value != ""
    ]
    return _section("Data and settings", tag("table", tag("tbody", *body), class_="pairs"))


def _notes(record: Record) -> Markup | None:
    notes = items(record, "notes")
    return _section("Notes", tag("ul", *(tag("li", note) for note in notes))) if notes else None


def _record(thinner: str) -> Markup:
    link = tag("a", "Download it as JSON", id="download", href="#record", download="record.json")
    download = tag("span", " ", link, ".", class_="screen")
    return _section(
        "Record",
        tag("p", "This page holds the whole record of the run. ", thinner, download),
        tag("footer", "Written by Thalweg. The page loads nothing: it works offline, and from an archive."),
    )


def _section(title: str, *content: Markup | None) -> Markup:
    return tag("section", tag("h2", title), *content)


def _sentence(said: Any) -> str:
    words = str(said or "").strip()
    return words[:1].upper() + words[1:] + ("" if words.endswith((".", "!", "?")) or not words else ".")
