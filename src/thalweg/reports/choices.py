"""The plan as a chart: what each method was predicted to cost, with its interval, beside what the run took."""

from __future__ import annotations

from typing import Any

from thalweg.reports.figures import SECONDS_LABEL, Figure, Key, Spec, base, decades, near, ticks, tip
from thalweg.reports.format import count, finite, seconds, span
from thalweg.reports.record import Record, items, part

_PREDICTED, _CHOSEN, _OBSERVED = "predicted", "predicted, chosen", "observed"
_LOOKS = {_CHOSEN: ("@predicted", "diamond"), _PREDICTED: ("@quiet", "circle"), _OBSERVED: ("@bound", "cross")}


def plan_rows(plan: Record) -> list[Record]:
    """The methods of a plan, the chosen one first, then by predicted seconds, the unknown last."""
    rows = [row for row in items(plan, "rows") if isinstance(row, dict)]

    def order(row: Record) -> tuple[bool, bool, float]:
        cost = finite(row.get("seconds"))
        return (not row.get("chosen"), cost is None, cost or 0.0)

    return sorted(rows, key=order)


def runner_up(plan: Record) -> tuple[Record, Record] | None:
    """The chosen method and the quickest of the others by prediction; None without two that have one."""
    rows = [row for row in plan_rows(plan) if finite(row.get("seconds"))]
    chosen = next((row for row in rows if row.get("chosen")), None)
    others = [row for row in rows if row is not chosen]
    return None if chosen is None or not others else (chosen, others[0])


def choices(record: Record) -> Figure | None:
    """The figure, or None where no method has a predicted time."""
    methods = [row for row in plan_rows(part(record, "plan")) if (finite(row.get("seconds")) or 0) > 0]
    if not methods:
        return None
    observed = finite(part(record, "observed").get("seconds"))
    data: list[dict[str, Any]] = []
    for row in methods:
        cost = finite(row.get("seconds"))
        low, high = finite(row.get("seconds_low")), finite(row.get("seconds_high"))
        steps = span(row.get("steps_low"), row.get("steps_high"), count)
        shown = {
            "method": str(row.get("method")),
            "kind": _CHOSEN if row.get("chosen") else _PREDICTED,
            "seconds": cost,
            "reads": seconds(cost) + (f" ({span(low, high, seconds)})" if span(low, high, seconds) else ""),
            "steps": count(row.get("steps")) + (f" ({steps})" if steps else ""),
        }
        if low is not None and high is not None and 0 < low <= high:
            shown |= {"low": low, "high": high}
        data.append(shown)
        if observed and observed > 0 and row.get("chosen") and row.get("method") == record.get("method"):
            steps_seen = count(part(record, "observed").get("steps"))
            data.append(
                {
                    "method": str(row.get("method")),
                    "kind": _OBSERVED,
                    "seconds": observed,
                    "reads": seconds(observed),
                    "steps": steps_seen,
                }
            )
    ends = [value for row in data for value in (row["seconds"], row.get("low"), row.get("high")) if value]
    domain = decades(min(ends), max(ends))
    names = [str(row.get("method")) for row in methods]
    said = "; ".join(f"{row['method']} {row['kind']} {row['reads']}" for row in data)
    alt = f"Predicted seconds by method, log scale. {said}."
    drawn = [kind for kind in _LOOKS if any(row["kind"] == kind for row in data)]
    keys = [Key(kind, _LOOKS[kind][0], None, _LOOKS[kind][1]) for kind in drawn]
    forms = {"plan": _form(alt, domain, names, drawn)}
    return Figure("plan", "Predicted cost of each method", alt, [], data, forms, keys=keys)


def _form(alt: str, domain: list[float], names: list[str], kinds: list[str]) -> Spec:
    x: Spec = {
        "field": "seconds",
        "type": "quantitative",
        "title": None,
        "scale": {"type": "log", "domain": domain, "nice": False},
        "axis": {
            "grid": True,
            "labelExpr": SECONDS_LABEL,
            "values": ticks(domain),
        },
    }
    y: Spec = {
        "field": "method",
        "type": "nominal",
        "title": None,
        "sort": names,
        "axis": {"labelLimit": 120, "labelColor": "@ink", "domain": False, "ticks": False, "labelPadding": 8},
    }
    kind = {"field": "kind", "type": "nominal"}
    colour = {**kind, "scale": {"domain": kinds, "range": [_LOOKS[name][0] for name in kinds]}}
    shape = {**kind, "scale": {"domain": kinds, "range": [_LOOKS[name][1] for name in kinds]}}
    shown = tip(method="method", what="kind", time="reads", steps="steps")
    layers: list[Spec] = [
        {
            "mark": {"type": "rule", "strokeWidth": 3, "opacity": 0.45, "aria": False},
            "transform": [{"filter": "isValid(datum.low) && isValid(datum.high)"}],
            "encoding": {
                "x": {**x, "field": "low"},
                "x2": {"field": "high"},
                "y": y,
                "color": colour,
            },
        },
        {
            "mark": {"type": "point", "filled": True, "size": 90, "opacity": 1, "aria": False},
            "encoding": {"x": x, "y": y, "color": colour, "shape": shape},
        },
        {
            "mark": {"type": "point", "size": 200, "opacity": 0, "aria": False, "tooltip": shown},
            "params": [near()],
            "encoding": {"x": x, "y": y},
        },
    ]
    height = 28 * len(names) + 4
    spec = base(layers, alt=alt, title="time, log scale", height=height, zoom=[])
    legend = {**spec["config"]["legend"], "symbolStrokeWidth": 0, "direction": "horizontal"}
    return {**spec, "config": {**spec["config"], "legend": legend}}
