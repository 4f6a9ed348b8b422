"""Tables of a record as HTML, for the page and for notebooks: no script, no style sheet needed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from thalweg.reports.choices import plan_rows, runner_up
from thalweg.reports.format import bytes_text, count, finite, number, seconds, span
from thalweg.reports.markup import Markup, join, tag
from thalweg.reports.record import Record, items, part, plain

NAMES = {
    "L": ("L", "largest curvature of the objective"),
    "mu": ("μ", "smallest curvature of the objective"),
    "kappa": ("κ", "condition number L / μ"),
    "kappa_scaled": ("κ scaled", "condition number once features are scaled"),
    "L_scaled": ("L scaled", "largest curvature once features are scaled"),
    "mu_scaled": ("μ scaled", "smallest curvature once features are scaled"),
    "PL": ("μ PL", "smallest curvature that is not zero: the Polyak-Lojasiewicz constant"),
    "M": ("M", "Lipschitz constant of the Hessian"),
    "B_noise": ("B noise", "batch whose gradient noise is as large as the gradient"),
    "L_max": ("L max", "largest curvature of a single row's loss"),
    "sigma2": ("σ²", "variance of one row's gradient"),
    "effective_dimension": ("effective dimension", "directions that the data curve more than l2 does"),
}
"""Symbol and meaning of each constant."""


def solution_html(record: Mapping[str, Any]) -> str:
    """A solution as a small table for notebooks.

    Args:
        record: The record of the solution: status, value, certificate, method, steps, passes, seconds.

    """
    read = plain(record)
    remedy = f": {read['remedy']}" if read.get("remedy") else ""
    entries: list[tuple[str, Any]] = [
        ("status", join(tag("strong", read.get("status", "unknown")), remedy)),
        ("value", number(read.get("value"), 10)),
        ("certificate", certificate(part(read, "certificate"))),
        ("method", read.get("method", "unknown")),
        ("cost", cost(read)),
    ]
    body = []
    for name, value in entries:
        body.append(tag("tr", tag("th", name, scope="row", style=_LEFT), tag("td", value, style=_LEFT)))
    return _bare(body)


def plan_html(plan: Mapping[str, Any]) -> str:
    """A plan as a table for notebooks, the chosen method marked and its margin under it.

    Args:
        plan: The `plan` part of a record.

    """
    read = plain(plan)
    heads = ["", "method", "steps", "time", "passes", "memory", "why"]
    body = [tag("tr", *(tag("th", head, scope="col", style=_LEFT) for head in heads))]
    for row in plan_rows(read):
        cells = plan_cells(row)
        names = ("method", "steps", "seconds", "passes", "bytes", "why")
        shown = ["✓ chosen" if row.get("chosen") else "", *(cells[name] for name in names)]
        body.append(tag("tr", *(tag("td", cell, style=_LEFT) for cell in shown)))
    said = margin(read)
    return join(Markup(_bare(body)), tag("p", said) if said else None)


def constants_html(constants: Mapping[str, Any]) -> str:
    """Constants as a table for notebooks: value, interval, how and where each was obtained.

    Args:
        constants: The `constants` part of a record.

    """
    heads = ["constant", "value", "interval", "how", "where"]
    body = [tag("tr", *(tag("th", head, scope="col", style=_LEFT) for head in heads))]
    for name, cells in constant_rows(plain(constants)):
        symbol, meaning = NAMES.get(name, (name, ""))
        head = tag("th", symbol, scope="row", style=_LEFT, title=meaning or None)
        body.append(tag("tr", head, *(tag("td", cell, style=_LEFT) for cell in cells)))
    return _bare(body)


_LEFT = "text-align:left;vertical-align:top;white-space:normal"


def _bare(rows: Sequence[Markup]) -> str:
    """Rows in a table that takes fonts and colours from the notebook around it."""
    return str(tag("table", tag("tbody", *rows)))


def constant_rows(constants: Record) -> list[tuple[str, list[str]]]:
    """Name, then value, interval, how and where, of each constant that is known; the well-known ones first."""
    order = [*(name for name in NAMES if name in constants), *(name for name in constants if name not in NAMES)]
    found = []
    for name in order:
        entry = constants[name]
        if not isinstance(entry, dict):
            continue
        interval = span(entry.get("low"), entry.get("high"))
        how, where = (str(entry.get(key) or "") for key in ("how", "where"))
        found.append((name, [number(entry.get("value")), interval, how, where]))
    return found


def plan_cells(row: Record) -> dict[str, Any]:
    """What a row of the plan says, cell by cell, with intervals in small type under their figure."""

    def with_interval(name: str, show: Any) -> Markup:
        interval = span(row.get(f"{name}_low"), row.get(f"{name}_high"), show)
        return join(show(row.get(name)), tag("br") if interval else None, tag("small", interval) if interval else None)

    return {
        "method": row.get("method", "unknown"),
        "steps": with_interval("steps", count),
        "seconds": with_interval("seconds", seconds),
        "passes": count(row.get("passes")),
        "bytes": bytes_text(row.get("bytes")),
        "basis": row.get("basis") or "",
        "why": row.get("why") or "",
    }


def margin(plan: Record) -> str:
    """The winner's margin over the runner-up, in one sentence; empty where there is nothing to compare."""
    pair = runner_up(plan)
    if pair is None:
        return ""
    (chosen, other) = pair
    mine, other_cost = finite(chosen.get("seconds")), finite(other.get("seconds"))
    if not mine or not other_cost:
        return ""
    costs = f"{seconds(mine)} against {seconds(other_cost)}"
    names = (chosen.get("method"), other.get("method"))
    if mine <= other_cost:
        clear = finite(chosen.get("seconds_high")), finite(other.get("seconds_low"))
        overlap = clear[0] is not None and clear[1] is not None and clear[0] > clear[1]
        close = "; their intervals overlap, so the margin is not certain" if overlap else ""
        times = number(other_cost / mine, 3)
        return f"{names[0]} is predicted {times} times as fast as the runner-up, {names[1]}: {costs}{close}."
    times = number(mine / other_cost, 3)
    return f"{names[0]} was chosen although {names[1]} is predicted {times} times as fast: {costs}."


def certificate(entry: Record) -> str:
    """What is known about f - f*, in one line."""
    gap, kind = finite(entry.get("gap")), entry.get("kind")
    how = f" ({entry['how']})" if entry.get("how") else ""
    if kind not in ("proof", "estimate") or gap is None:
        return f"none{how}"
    return f"f − f* {'≤' if kind == 'proof' else '≈'} {number(gap, 2)}, {kind}{how}"


def cost(record: Record) -> str:
    """Steps, passes and seconds of a run, in one line; what is unknown is left out."""
    known = [
        ("steps", count(record.get("steps"))),
        ("passes over the data", count(record.get("passes"))),
        ("", seconds(record.get("seconds"))),
    ]
    said = [f"{value} {unit}".strip() for unit, value in known if value != "–"]
    cpu = finite(record.get("cpu_seconds"))
    return ", ".join(said) + (f" ({seconds(cpu)} of CPU)" if cpu is not None else "")


def outcome_rows(record: Record) -> list[list[str]]:
    """Predicted beside observed, for steps and seconds: what, predicted, interval, observed, ratio, verdict."""
    plan = part(record, "plan")
    chosen = next((row for row in plan_rows(plan) if row.get("chosen")), None)
    if chosen is None:
        return []
    observed = {**{key: record.get(key) for key in ("steps", "seconds")}, **part(record, "observed")}
    found = []
    for name, show in (("steps", count), ("seconds", seconds)):
        said, seen = finite(chosen.get(name)), finite(observed.get(name))
        low, high = finite(chosen.get(f"{name}_low")), finite(chosen.get(f"{name}_high"))
        ratio = f"{number(seen / said, 2)} ×" if said and seen is not None else ""
        inside = ""
        if seen is not None and low is not None and high is not None:
            inside = "yes" if low <= seen <= high else "no, below" if seen < low else "no, above"
        label = "time" if name == "seconds" else name
        found.append([label, show(said), span(low, high, show), show(seen), ratio, inside])
    return found


def revision_sentences(plan: Record) -> list[str]:
    """What was changed during the run, one sentence a change."""
    said = []
    for row in items(plan, "revisions"):
        if isinstance(row, dict):
            change = f", from {row.get('from')} to {row.get('to')}" if row.get("from") or row.get("to") else ""
            reason = str(row.get("reason") or "no reason was recorded").rstrip(".")
            said.append(f"The plan was changed at step {count(row.get('step'))}{change}: {reason}.")
    return said
