"""Methods side by side: f - f* of each against steps, passes and seconds; what was predicted is dashed."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from thalweg.reports.figures import GAP_LABEL, Figure, Key, Spec, base, decades, near, ticks, tip, zoomable
from thalweg.reports.format import count, finite, number, seconds, seconds_unit
from thalweg.reports.record import Record, column, items, part, rows, thinned

MOST_POINTS = 300
MOST_MARKERS = 12
#: A line is told by its colour and by its marker.
COLOURS = ("@bound", "@predicted", "@value", "@accent", "@bad", "@good", "@ink", "@quiet")
SHAPES = ("circle", "square", "diamond", "cross")
FORMS = {"per pass": "pass", "per second": "time", "per step": "step"}
OBSERVED, FORESEEN = "observed", "predicted"
#: The axis turns logarithmic where one method takes so many times another's steps, passes or seconds.
FAR = 20
#: How a logarithmic axis of steps, passes or seconds names its ticks: 0.1, 1, 10, 1,000, 1e5.
TICK_LABEL = "datum.value < 1e5 && datum.value > 1e-4 ? format(datum.value, ',~f') : " + GAP_LABEL
#: Gaps below this share of the first are rounding.
FLOOR = 1e-16


def comparison(record: Record) -> Figure | None:
    """The figure, or None where the record compares nothing."""
    methods = [entry for entry in items(record, "methods") if isinstance(entry, dict)]
    if record.get("kind") != "comparison" or not methods:
        return None
    longest = max((float(np.nanmax(column(part(m, "trace"), "seconds"), initial=0.0)) for m in methods), default=0.0)
    length, unit = seconds_unit(longest or 1e-3)
    firsts = [gap[0] for m in methods if len(gap := column(part(m, "trace"), "gap")) and np.isfinite(gap[0])]
    floor = FLOOR * max(firsts, default=1.0)
    data: list[dict[str, Any]] = []
    for entry in methods:
        data += _observed(entry, length, floor) + _foreseen(entry, length, floor)
    if not data:
        return None
    # Without a minimum no gap is known: heights are above the lowest value met, and there is no target to reach.
    bounded = any(finite(entry.get("gap")) is not None for entry in methods)
    target = finite(record.get("target")) if bounded else None
    shown = [row["gap"] for row in data if row["kind"] == OBSERVED] or [row["gap"] for row in data]
    domain = decades(min([*shown, *([target] if target else [])]), max(shown))
    labels = [str(entry.get("method")) for entry in methods]
    styles = [(COLOURS[k % len(COLOURS)], SHAPES[(k + k // len(COLOURS)) % len(SHAPES)]) for k in range(len(labels))]
    alt = _alt(record, methods)
    titles = {"step": "steps", "time": f"wall time, {unit}", "pass": "passes over the data"}
    above = "f − f*" if bounded else "f above the lowest value met (there is no minimum)"
    forms = {
        form: _form(axis, titles[axis], above, labels, styles, domain, data, target, alt)
        for form, axis in FORMS.items()
    }
    keys = [Key(label, colour, [1, 0], shape) for label, (colour, shape) in zip(labels, styles, strict=True)]
    keys.append(Key("predicted", "@quiet", [7, 4]))
    captions = [f"f* = {number(finite(record.get('minimum')) or 0.0, 6)} ({record.get('minimum_from')})."]
    title = "Methods side by side"
    return Figure("comparison", title, alt, captions, data, forms, _table(methods), keys)


def _observed(entry: Record, length: float, floor: float) -> list[dict[str, Any]]:
    trace = part(entry, "trace")
    size = rows(trace)
    gap = column(trace, "gap", size)
    kept = np.flatnonzero(np.isfinite(gap))
    kept = kept[thinned(len(kept), MOST_POINTS)]
    marked = set(np.linspace(0, len(kept) - 1, min(len(kept), MOST_MARKERS)).round().astype(int).tolist())
    step, passes, time = (column(trace, name, size) for name in ("step", "passes", "seconds"))
    return [
        {
            "series": entry.get("method"),
            "kind": OBSERVED,
            "step": _short(step[k]),
            "pass": _short(passes[k]),
            "time": _short(time[k] / length),
            "gap": _short(min(max(gap[k], floor), 1e300)),
            "reads": number(gap[k], 3) if gap[k] > floor else "rounding",
            "at": seconds(time[k]),
            **({"mark": 1} if order in marked else {}),
        }
        for order, k in enumerate(kept.tolist())
    ]


def _foreseen(entry: Record, length: float, floor: float) -> list[dict[str, Any]]:
    predicted = part(entry, "predicted")
    curve = part(predicted, "curve")
    step, gap = column(curve, "step"), column(curve, "gap")
    steps, passes, total = (finite(predicted.get(name)) for name in ("steps", "passes", "seconds"))
    if not len(step) or not steps:
        return []
    per_pass, per_second = (passes or math.nan) / steps, (total or math.nan) / steps
    # A prediction that runs far past the end of the run would squeeze it to a line.
    observed = column(part(entry, "trace"), "step")
    end = 1.5 * float(np.nanmax(observed, initial=1.0))
    kept = np.flatnonzero(np.isfinite(gap) & (step <= max(end, 2.0)))
    kept = kept[thinned(len(kept), MOST_POINTS)]
    return [
        {
            "series": entry.get("method"),
            "kind": FORESEEN,
            "step": _short(step[k]),
            "pass": _short(step[k] * per_pass),
            "time": _short(step[k] * per_second / length),
            "gap": _short(min(max(gap[k], floor), 1e300)),
            "reads": f"{number(gap[k], 3)} predicted",
            "at": seconds(step[k] * per_second),
        }
        for k in kept.tolist()
    ]


def _form(
    axis: str,
    title: str,
    above: str,
    labels: list[str],
    styles: list[tuple[str, str]],
    domain: list[float],
    data: list[dict[str, Any]],
    target: float | None,
    alt: str,
) -> Spec:
    # A predicted curve may be far longer than the run: what was observed sets the width.
    end = max((row[axis] for row in data if row["kind"] == OBSERVED and row[axis] is not None), default=1) or 1
    ends = [max((row[axis] or 0 for row in data if row["series"] == label), default=0) for label in labels]
    shortest = min((one for one in ends if one > 0), default=end)
    x: Spec = {
        "field": axis,
        "type": "quantitative",
        "title": title,
        "scale": {"domain": [-0.015 * end, 1.05 * end], "nice": False, "zero": False},
        "axis": {"grid": False, "format": ",~f", "tickCount": {"expr": "max(1, min(10, width / 60))"}},
    }
    if end > FAR * shortest:
        # One slow method would press the others against the axis: beyond the first few steps the axis is logarithmic.
        unit = 1.0 if axis != "time" else shortest / 10
        marks = [0.0, *(tick for tick in ticks([unit, 1.05 * end]))]
        x["scale"] = {"type": "symlog", "constant": unit, "domain": [0, 1.05 * end], "nice": False}
        x["axis"] = {"grid": False, "labelExpr": f"datum.value == 0 ? '0' : {TICK_LABEL}", "values": marks}
    y: Spec = {
        "field": "gap",
        "type": "quantitative",
        "title": None,
        "scale": {"type": "log", "domain": domain, "nice": False},
        "axis": {"labelExpr": GAP_LABEL, "tickCount": 8, "grid": True},
    }
    series = {"field": "series", "type": "nominal"}
    colour = {**series, "scale": {"domain": labels, "range": [style[0] for style in styles]}}
    shape = {**series, "scale": {"domain": labels, "range": [style[1] for style in styles]}}
    layers: list[Spec] = []
    if target:
        values = {"values": [{"gap": target, "text": f"target {number(target, 3)}"}]}
        rule = {"type": "rule", "color": "@quiet", "strokeDash": [1, 3], "clip": True, "aria": False}
        text = {"type": "text", "align": "left", "dx": 4, "dy": -7, "color": "@ink", "clip": True, "aria": False}
        words = {"field": "text", "type": "nominal"}
        layers.append({"data": values, "mark": rule, "encoding": {"y": y}})
        layers.append({"data": values, "mark": text, "encoding": {"x": {"value": 0}, "y": y, "text": words}})
    for kind, dash, width in ((FORESEEN, [7, 4], 1.6), (OBSERVED, [1, 0], 2)):
        layer: Spec = {
            "mark": {"type": "line", "clip": True, "strokeWidth": width, "strokeDash": dash, "aria": False},
            "transform": [{"filter": f"datum.kind == '{kind}'"}],
            "encoding": {"x": x, "y": y, "color": colour, "order": {"field": "step", "type": "quantitative"}},
        }
        if kind == OBSERVED:
            layer["params"] = [zoomable()]
        layers.append(layer)
    layers.append(
        {
            "mark": {"type": "point", "clip": True, "filled": True, "size": 45, "aria": False},
            "transform": [{"filter": "datum.mark == 1"}],
            "encoding": {"x": x, "y": y, "color": colour, "shape": shape},
        }
    )
    shown = tip(method="series", gap="reads", step="step", time="at", passes="pass")
    hollow = {"type": "point", "clip": True, "filled": False, "size": 130, "strokeWidth": 2, "aria": False}
    seen = {"condition": {"param": "near", "empty": False, "value": 1}, "value": 0}
    layers.append(
        {
            "mark": {**hollow, "tooltip": shown},
            "params": [near()],
            "encoding": {"x": x, "y": y, "color": colour, "opacity": seen},
        }
    )
    return base(
        layers,
        alt=alt,
        title=f"{above}, log scale; dashed: predicted",
        height=320,
        zoom=[axis, "gap"],
    )


def _alt(record: Record, methods: list[Record]) -> str:
    said = []
    for entry in methods:
        steps = finite(part(entry, "observed").get("steps"))
        foreseen = finite(part(entry, "predicted").get("steps"))
        reached = f"{count(steps)} steps to the target" if steps is not None else f"ended {entry.get('status')}"
        said.append(f"{entry.get('method')}: {reached}" + (f", {count(foreseen)} predicted" if foreseen else ""))
    return f"Line chart of f - f* on a log scale for {record.get('problem')}. " + "; ".join(said) + "."


def _table(methods: list[Record]) -> tuple[list[str], list[list[str]]]:
    heads = ["method", "steps predicted", "observed", "passes predicted", "observed", "seconds predicted", "observed",
             "f - f*", "status"]  # fmt: skip
    lines = []
    for entry in methods:
        line = [str(entry.get("method"))]
        for name, written in (("steps", count), ("passes", count), ("seconds", seconds)):
            for side in ("predicted", "observed"):
                value = finite(part(entry, side).get(name))
                line.append("-" if value is None else written(value))
        gap = finite(entry.get("gap"))
        lines.append([*line, "-" if gap is None else number(gap, 2), str(entry.get("status"))])
    return heads, lines


def _short(value: Any) -> float | None:
    plain = finite(value)
    return None if plain is None else float(f"{plain:.6g}")
