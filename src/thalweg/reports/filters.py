"""Spectral filters: the share that each method keeps of a direction, against the direction's singular value."""

from __future__ import annotations

from typing import Any

import numpy as np

from thalweg.reports.figures import Figure, Key, Spec, base, decades, near, ticks, tip, zoomable
from thalweg.reports.format import number
from thalweg.reports.record import Record, column, items, part, thinned

MOST_POINTS = 400
MOST_CURVES = 8
_COLOURS = ("@bound", "@predicted", "@value", "@accent")
_DASHES = ([1, 0], [7, 4], [2, 2], [9, 3, 2, 3])
_SHOWN = (-0.5, 2.0)
_LABEL = "replace(format(datum.value, abs(log(datum.value) / LN10) > 2.5 ? '.0e' : '~g'), 'e+', 'e')"


def filters(record: Record) -> Figure | None:
    """The figure, or None where the record holds no curve.

    Args:
        record: One with a part "shrinkage": `s`, `curves` (each a `label` and its shares `m` at s), the data's
            `singular_values`, and `limits` to mark (each a `label` and its `s`).

    """
    table = part(record, "shrinkage")
    s = column(table, "s")
    curves = []
    for entry in items(table, "curves")[:MOST_CURVES]:
        entry = entry if isinstance(entry, dict) else {}
        m = column(entry, "m", len(s))
        sound = np.isfinite(m) & np.isfinite(s) & (s > 0)
        if sound.any():
            curves.append((str(entry.get("label")), s[sound], m[sound]))
    if not curves:
        return None
    values = column(table, "singular_values")
    values = values[np.isfinite(values) & (values > 0)]
    limits = [(str(entry.get("label")), column({"s": [entry.get("s")]}, "s")[0]) for entry in _dicts(table, "limits")]
    limits = [(label, float(at)) for label, at in limits if at > 0]
    ends = np.concatenate([values, [at for _, at in limits], *(at for _, at, _ in curves)])
    alt = _alt(curves, limits)
    data = [
        {"series": label, "s": float(f"{at[k]:.6g}"), "m": float(f"{m[k]:.6g}"), "reads": number(m[k], 3)}
        for label, at, m in curves
        for k in thinned(len(at), MOST_POINTS).tolist()
    ]
    styles = [
        (_COLOURS[k % len(_COLOURS)], _DASHES[(k + k // len(_COLOURS)) % len(_DASHES)]) for k in range(len(curves))
    ]
    keys = [Key(label, colour, dash) for (label, _, _), (colour, dash) in zip(curves, styles, strict=True)]
    form = _form(alt, decades(float(ends.min()), float(ends.max())), data, keys, values, limits)
    captions = _captions(curves, values, limits, len(items(table, "curves")))
    return Figure(
        "shrinkage", "What is kept of each direction", alt, captions, data, {"shrinkage": form}, _table(curves), keys
    )


def _dicts(table: Record, name: str) -> list[Record]:
    return [entry for entry in items(table, name) if isinstance(entry, dict)]


def _form(
    alt: str,
    domain: list[float],
    data: list[dict[str, Any]],
    keys: list[Key],
    values: np.ndarray,
    limits: list[tuple[str, float]],
) -> Spec:
    x: Spec = {
        "field": "s",
        "type": "quantitative",
        "title": "singular value of the data, log scale",
        "scale": {"type": "log", "domain": domain, "nice": False},
        "axis": {"grid": False, "labelExpr": _LABEL, "values": ticks(domain)},
    }
    shares = [row["m"] for row in data]
    low, high = max(min([0.0, *shares]), _SHOWN[0]), min(max([1.0, *shares]), _SHOWN[1])
    above = 0.25 if limits else 0.06  # their names stand above the curves
    y: Spec = {
        "field": "m",
        "type": "quantitative",
        "title": None,
        "scale": {"domain": [low - 0.06 * (high - low), high + above * (high - low)], "nice": False, "zero": False},
        "axis": {"format": "~g", "tickCount": 6, "grid": True},
    }
    labels = [key.label for key in keys]
    series = {"field": "series", "type": "nominal"}
    colour = {**series, "scale": {"domain": labels, "range": [key.colour for key in keys]}}
    dash = {**series, "scale": {"domain": labels, "range": [key.dash for key in keys]}}
    still = {"clip": True, "aria": False}
    rug = {"type": "tick", "orient": "vertical", "color": "@ink", "size": 9, "thickness": 1, **still}
    ring = {"type": "point", "filled": False, "size": 130, "strokeWidth": 2, "tooltip": _tip(), **still}
    layers: list[Spec] = [*_limit_layers(limits, x)]
    layers += [
        {
            "mark": {"type": "line", "strokeWidth": 2, "interpolate": "linear", **still},
            "encoding": {"x": x, "y": y, "color": colour, "strokeDash": dash},
            "params": [zoomable()],
        },
        {
            "data": {"values": [{"s": float(f"{value:.6g}")} for value in values]},
            "mark": rug,
            "encoding": {"x": x, "y": {"value": {"expr": "height - 5"}}},
        },
        {
            "mark": ring,
            "params": [near()],
            "encoding": {
                "x": x,
                "y": y,
                "color": colour,
                "opacity": {"condition": {"param": "near", "empty": False, "value": 1}, "value": 0},
            },
        },
    ]
    return base(layers, alt=alt, title="share kept, m(s)", height=300, zoom=["s", "m"])


def _tip() -> Spec:
    return tip(line="series", kept="reads", singular_value="s")


def _limit_layers(limits: list[tuple[str, float]], x: Spec) -> list[Spec]:
    """A vertical line each; the names alternate between three heights, since lines may stand close."""
    layers: list[Spec] = []
    for k, (label, at) in enumerate(sorted(limits, key=lambda entry: entry[1])):
        data = {"values": [{"s": float(f"{at:.6g}"), "text": label}]}
        rule = {"type": "rule", "color": "@quiet", "strokeDash": [1, 3], "clip": True, "aria": False}
        text = {"type": "text", "align": "left", "dx": 4, "color": "@ink", "clip": True, "aria": False}
        layers += [
            {"data": data, "mark": rule, "encoding": {"x": x}},
            {
                "data": data,
                "mark": text,
                "encoding": {"x": x, "y": {"value": 7 + 16 * (k % 3)}, "text": {"field": "text", "type": "nominal"}},
            },
        ]
    return layers


def _captions(
    curves: list[tuple[str, np.ndarray, np.ndarray]], values: np.ndarray, limits: list[tuple[str, float]], given: int
) -> list[str]:
    said = ["1 keeps a direction as least squares has it, 0 leaves it out."]
    if len(values):
        span = f"from {number(float(values.min()), 3)} to {number(float(values.max()), 3)}"
        said.append(f"The {len(values)} ticks below are the singular values of the data, {span}.")
    if limits:
        said.append("Dotted lines: " + ", ".join(f"{label} at {number(at, 3)}" for label, at in limits) + ".")
    out = [label for label, _, m in curves if m.min() < _SHOWN[0] or m.max() > _SHOWN[1]]
    if out:
        said.append(f"{', '.join(out)} leaves the picture: its steps overshoot, or grow without bound.")
    if given > MOST_CURVES:
        said.append(f"The first {MOST_CURVES} of {given} curves are drawn.")
    return said


def _alt(curves: list[tuple[str, np.ndarray, np.ndarray]], limits: list[tuple[str, float]]) -> str:
    said = [
        f"{label}: {number(m[0], 3)} at s = {number(at[0], 3)}, {number(m[-1], 3)} at s = {number(at[-1], 3)}"
        for label, at, m in curves
    ]
    said += [f"{label} marked at {number(at, 3)}" for label, at in limits]
    return f"Line chart of the share kept of each singular direction, log scale. {'; '.join(said)}."


def _table(curves: list[tuple[str, np.ndarray, np.ndarray]]) -> tuple[list[str], list[list[str]]]:
    """The figures behind the chart at 25 singular values at most, over those that all curves have."""
    first = curves[0][1]
    shared = [at for at in first[thinned(len(first), 25)] if all(at in other for _, other, _ in curves)]
    lines = [[number(at, 3), *(number(m[np.flatnonzero(s == at)[0]], 3) for _, s, m in curves)] for at in shared]
    return ["singular value", *(label for label, _, _ in curves)], lines
