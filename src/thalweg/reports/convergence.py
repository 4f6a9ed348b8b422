"""Predicted and observed convergence: two bounds on f - f*, the prediction with its band, and the target."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from thalweg.reports.figures import GAP_LABEL, Figure, Key, Spec, base, decades, near, tip, zoomable
from thalweg.reports.format import count, finite, number, seconds, seconds_unit
from thalweg.reports.record import Record, column, items, part, rows, thinned

MOST_POINTS = 400
"""Points drawn in a series; more than pixels to draw them on only cost bytes."""

MOST_MARKERS = 30
"""Markers on a line; the points between them show when the pointer is near."""

FORMS = {"per step": "step", "per second": "time", "per pass": "pass"}
PREDICTED = "predicted"
_LOG = {"type": "log"}


@dataclass(frozen=True)
class Series:
    """Points of one line: where they stand on each axis, and the gap there."""

    label: str
    step: np.ndarray
    time: np.ndarray
    passes: np.ndarray
    gap: np.ndarray
    low: np.ndarray | None = None
    high: np.ndarray | None = None


def convergence(record: Record) -> Figure | None:
    """The figure, or None where nothing was observed and nothing predicted."""
    observed, notes = _observed(record)
    predicted = _predicted(record)
    every = [*observed, *([predicted] if predicted is not None else [])]
    if not every:
        return None
    target = finite(part(record, "settings").get("target_gap")) or finite(part(record, "plan").get("target"))
    floor, top = _range(observed, predicted, target)
    last_step = max((float(np.nanmax(series.step, initial=0)) for series in observed), default=0.0)
    last_time = max((float(np.nanmax(series.time, initial=0)) for series in observed), default=0.0)
    drawn, cut = _ahead(predicted, last_step, observed)
    if cut:
        notes.append(f"The prediction runs on to step {cut}, past the right edge.")
    every = [*observed, *([drawn] if drawn is not None else [])]
    longest = max([last_time, *(float(np.nanmax(series.time, initial=0)) for series in every)])
    length, unit = seconds_unit(longest or 1e-3)
    data, low_points = _points(every, floor, length)
    if low_points:
        notes.append(
            f"At {low_points} {'step' if low_points == 1 else 'steps'} a point at or below rounding error"
            f" is drawn at the floor of {number(floor, 3)}, since a log axis has no zero."
        )
    if predicted is not None and np.isnan(predicted.passes).all():
        notes.append("The prediction counts steps and seconds; per pass there is none.")
    alt = _alt(observed, predicted, target)
    titles = {"step": "steps", "time": f"wall time, {unit}", "pass": "passes over the data"}
    domain = decades(floor, top)
    revisions = _revisions(record)
    forms = {
        form: _form(axis, titles[axis], [series.label for series in every], domain, data, target, revisions, alt)
        for form, axis in FORMS.items()
        if axis == "step" or any(row[axis] is not None and row[axis] > 0 for row in data)
    }
    labels = [series.label for series in every]
    keys = [
        Key(label, colour, dash, None if label == PREDICTED else shape)
        for label, (colour, dash, shape) in zip(labels, _styles(labels), strict=True)
    ]
    if drawn is not None and any("low" in row for row in data):
        keys.append(Key("its band", "@predicted", band=True))
    if revisions:
        keys.append(Key("change of plan (per step)", "@accent", [2, 2]))
    return Figure("convergence", "Convergence", alt, notes, data, forms, _table(observed, predicted), keys)


def lower_bound(record: Record) -> float | None:
    """The highest proven lower bound on f* that the run left: a value minus its gap; the last one of an estimate."""
    trace = part(record, "trace")
    length = rows(trace)
    below = column(trace, "value", length) - column(trace, "gap", length)
    below = below[np.isfinite(below)]
    if not len(below):
        value, gap = finite(record.get("value")), finite(part(record, "certificate").get("gap"))
        return None if value is None or gap is None else value - gap
    return float(below[-1] if part(record, "certificate").get("kind") == "estimate" else below.max())


def _observed(record: Record) -> tuple[list[Series], list[str]]:
    trace = part(record, "trace")
    length = rows(trace)
    value, gap = column(trace, "value", length), column(trace, "gap", length)
    step = column(trace, "step", length)
    step = np.where(np.isnan(step), np.arange(length), step)
    time, passes = column(trace, "seconds", length), column(trace, "passes", length)
    kind = part(record, "certificate").get("kind")
    found: list[Series] = []
    notes: list[str] = []
    if np.isfinite(gap).any():
        worth = "estimated at the step" if kind == "estimate" else "certified at the step"
        found.append(Series(f"observed: bound {worth}", step, time, passes, gap))
    below = lower_bound(record)
    if np.isfinite(value).any():
        if below is None or not np.isfinite(below):
            below = float(np.nanmin(np.where(np.isfinite(value), value, np.nan)))
            found.append(Series("observed: value above the lowest seen", step, time, passes, value - below))
            notes.append("No lower bound on f* is known: values are shown above the lowest one of the run.")
        else:
            rounding = 4 * np.finfo(float).eps * max(abs(below), abs(float(value[np.isfinite(value)][-1])))
            above = value - below
            # A difference of two close values carries their rounding; under it there is nothing to see.
            above = np.where(above < rounding, 0.0, above)
            found.append(Series("observed: value above the best lower bound", step, time, passes, above))
    return found, notes


def _predicted(record: Record) -> Series | None:
    table = part(record, "predicted")
    length = rows(table)
    gap = column(table, "gap", length)
    if not np.isfinite(gap).any():
        return None
    step = column(table, "step", length)
    step = np.where(np.isnan(step), np.arange(length), step)
    plan = part(record, "plan")
    chosen = next((row for row in items(plan, "rows") if isinstance(row, dict) and row.get("chosen")), {})
    steps, passes = finite(chosen.get("steps")), finite(chosen.get("passes"))
    per_step = passes / steps if steps and passes else math.nan
    return Series(
        PREDICTED,
        step,
        column(table, "seconds", length),
        step * per_step,
        gap,
        column(table, "low", length),
        column(table, "high", length),
    )


def _ahead(predicted: Series | None, last_step: float, observed: Sequence[Series]) -> tuple[Series | None, str]:
    """The prediction as far as it is drawn: one that runs far past the end of the run would squeeze it to a line."""
    if predicted is None or not observed or last_step <= 0:
        return predicted, ""
    end = float(np.nanmax(predicted.step))
    if end <= 5 * last_step:
        return predicted, ""
    kept = predicted.step <= 3 * last_step
    if kept.sum() < 2:
        return predicted, ""
    assert predicted.low is not None and predicted.high is not None
    columns = [predicted.step, predicted.time, predicted.passes, predicted.gap, predicted.low, predicted.high]
    return Series(PREDICTED, *(values[kept] for values in columns)), count(end)


def _range(observed: Sequence[Series], predicted: Series | None, target: float | None) -> tuple[float, float]:
    """The floor and the top of the axis: what was observed decides, with the target and the prediction's start."""
    values = [series.gap[np.isfinite(series.gap) & (series.gap > 0)] for series in observed]
    seen = np.concatenate([np.empty(0), *values])
    ahead = np.empty(0)
    if predicted is not None:
        ahead = predicted.gap[np.isfinite(predicted.gap) & (predicted.gap > 0)]
    known = seen if len(seen) else ahead
    wanted = [target] if target is not None and target > 0 else []
    if not len(known):
        return (wanted[0], 10 * wanted[0]) if wanted else (1e-16, 1.0)
    low = max(min([float(known.min()), *wanted]), 1e-300)
    return low, max([float(known.max()), *ahead[:1], *wanted])


def _points(every: Sequence[Series], floor: float, length: float) -> tuple[list[dict[str, Any]], int]:
    """One row a point, in the units of the axes; and at how many steps a point was lifted to the floor."""
    data: list[dict[str, Any]] = []
    lifted: set[int] = set()
    for series in every:
        finite_rows = np.flatnonzero(np.isfinite(series.gap))
        if series.low is None:
            lifted |= set(finite_rows[series.gap[finite_rows] < floor].tolist())
        kept = finite_rows[thinned(len(finite_rows), MOST_POINTS)]
        markers = set(np.linspace(0, len(kept) - 1, min(len(kept), MOST_MARKERS)).round().astype(int).tolist())
        for order, index in enumerate(kept.tolist()):
            gap = float(series.gap[index])
            row: dict[str, Any] = {
                "series": series.label,
                "step": _rounded(series.step[index]),
                "time": _rounded(series.time[index] / length),
                "pass": _rounded(series.passes[index]),
                "gap": _rounded(min(max(gap, floor), 1e300)),
                "reads": number(gap, 3) if gap > 0 else "0, within rounding",
                "at": seconds(series.time[index]),
            }
            if series.low is not None and series.high is not None:
                low, high = series.low[index], series.high[index]
                if np.isfinite(low) and np.isfinite(high):
                    row |= {"low": _rounded(max(low, floor)), "high": _rounded(min(max(high, floor), 1e300))}
                    row["reads"] += f" ({number(low, 3)} to {number(high, 3)})"
            elif order in markers:
                row["mark"] = 1
            data.append(row)
    return data, len(lifted)


def _form(
    axis: str,
    title: str,
    labels: list[str],
    domain: list[float],
    data: list[dict[str, Any]],
    target: float | None,
    revisions: list[int],
    alt: str,
) -> Spec:
    here = [row[axis] for row in data if row[axis] is not None]
    end = max(here, default=0) or 1
    most_ticks = min(int(end), 10) if axis == "step" else 10  # there is no half step
    x: Spec = {
        "field": axis,
        "type": "quantitative",
        "title": title,
        "scale": {"domain": [-0.015 * end, 1.02 * end], "nice": False, "zero": False},
        "axis": {
            "grid": False,
            "format": ",~f",
            "tickCount": {"expr": f"max(1, min({most_ticks}, width / 50))"},
        },
    }
    y: Spec = {
        "field": "gap",
        "type": "quantitative",
        "title": None,
        "scale": {**_LOG, "domain": domain, "nice": False},
        "axis": {"labelExpr": GAP_LABEL, "tickCount": 8, "grid": True},
    }
    styles = _styles(labels)
    series = {"field": "series", "type": "nominal"}
    colour = {**series, "scale": {"domain": labels, "range": [style[0] for style in styles]}}
    dash = {**series, "scale": {"domain": labels, "range": [style[1] for style in styles]}}
    shape = {**series, "scale": {"domain": labels, "range": [style[2] for style in styles]}}
    layers: list[Spec] = []
    if PREDICTED in labels and any("low" in row and row[axis] is not None for row in data):
        layers.append(
            {
                "mark": {"type": "area", "clip": True, "opacity": 0.2, "color": "@predicted", "aria": False},
                "transform": [{"filter": "isValid(datum.low) && isValid(datum.high)"}],
                "encoding": {"x": x, "y": {**y, "field": "low"}, "y2": {"field": "high"}},
            }
        )
    if target is not None and target > 0:
        layers += _target_layers(target, y)
    if axis == "step" and revisions:
        layers.append(
            {
                "data": {"values": [{"step": step} for step in revisions]},
                "mark": {
                    "type": "rule",
                    "color": "@accent",
                    "strokeDash": [2, 2],
                    "strokeWidth": 1.5,
                    "clip": True,
                    "aria": False,
                },
                "encoding": {"x": x},
            }
        )
    layers.append(
        {
            "mark": {"type": "line", "clip": True, "strokeWidth": 2, "aria": False},
            "encoding": {"x": x, "y": y, "color": colour, "strokeDash": dash},
            "params": [zoomable()],
        }
    )
    layers.append(
        {
            "mark": {"type": "point", "clip": True, "filled": True, "size": 45, "aria": False},
            "transform": [{"filter": "datum.mark == 1"}],
            "encoding": {"x": x, "y": y, "color": colour, "shape": shape},
        }
    )
    shown = tip(line="series", gap="reads", step="step", time="at", passes="pass")
    layers.append(
        {
            "mark": {
                "type": "point",
                "clip": True,
                "filled": False,
                "size": 130,
                "strokeWidth": 2,
                "aria": False,
                "tooltip": shown,
            },
            "params": [near()],
            "encoding": {
                "x": x,
                "y": y,
                "color": colour,
                "opacity": {"condition": {"param": "near", "empty": False, "value": 1}, "value": 0},
            },
        }
    )
    return base(layers, alt=alt, title="f − f*, log scale", height=320, zoom=[axis, "gap"])


def _styles(labels: list[str]) -> list[tuple[str, list[int], str]]:
    """Colour, dash and marker of each line: each of the three alone tells them apart."""
    found: list[tuple[str, list[int], str]] = []
    for label in labels:
        if label == PREDICTED:
            found.append(("@predicted", [7, 4], "diamond"))
        elif "bound " in label and label.endswith("step"):
            found.append(("@bound", [1, 0], "circle"))
        else:
            found.append(("@value", [2, 2], "square"))
    return found


def _target_layers(target: float, y: Spec) -> list[Spec]:
    data = {"values": [{"gap": target, "text": f"target {number(target, 3)}"}]}
    return [
        {
            "data": data,
            "mark": {"type": "rule", "color": "@quiet", "strokeDash": [1, 3], "clip": True, "aria": False},
            "encoding": {"y": y},
        },
        {
            "data": data,
            "mark": {"type": "text", "align": "left", "dx": 4, "dy": -7, "color": "@ink", "clip": True, "aria": False},
            "encoding": {"x": {"value": 0}, "y": y, "text": {"field": "text", "type": "nominal"}},
        },
    ]


def _revisions(record: Record) -> list[int]:
    steps = [finite(row.get("step")) for row in items(part(record, "plan"), "revisions") if isinstance(row, dict)]
    return [int(step) for step in steps if step is not None]


def _alt(observed: Sequence[Series], predicted: Series | None, target: float | None) -> str:
    said = []
    for series in observed:
        known = np.flatnonzero(np.isfinite(series.gap))
        first, last = series.gap[known[0]], series.gap[known[-1]]
        steps = count(series.step[known[-1]])
        said.append(f"{series.label}: from {number(first, 3)} to {number(last, 3)} in {steps} steps")
    if predicted is not None:
        known = np.flatnonzero(np.isfinite(predicted.gap))
        said.append(f"predicted: {number(predicted.gap[known[-1]], 3)} at step {count(predicted.step[known[-1]])}")
    if target:
        said.append(f"target {number(target, 3)}")
    return "Line chart of f - f* on a log scale. " + "; ".join(said) + "."


def _table(observed: Sequence[Series], predicted: Series | None) -> tuple[list[str], list[list[str]]]:
    """The figures behind the chart, for readers without it: at most 25 rows, at the steps of the run."""
    if not observed:
        return [], []
    first = observed[0]
    heads = ["step", "wall time", "passes", *(series.label for series in observed)]
    lines: list[list[str]] = []
    ahead = None if predicted is None else predicted
    if ahead is not None:
        heads.append("predicted")
    for index in thinned(len(first.step), 25).tolist():
        step = first.step[index]
        line = [count(step), seconds(first.time[index]), count(first.passes[index])]
        line += [number(series.gap[index], 3) for series in observed]
        if ahead is not None:
            at = np.flatnonzero(ahead.step == step)
            line.append(number(ahead.gap[at[0]], 3) if len(at) else "")
        lines.append(line)
    return heads, lines


def _rounded(value: Any) -> float | None:
    """Six digits are finer than a pixel and a third of the bytes."""
    plain = finite(value)
    return None if plain is None else float(f"{plain:.6g}")
