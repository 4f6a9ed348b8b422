"""The paths of methods over the landscape of a problem in two variables."""

from __future__ import annotations

from typing import Any

import numpy as np

from thalweg.reports.comparison import COLOURS, SHAPES
from thalweg.reports.figures import Figure, Key, Spec, base, near, tip, zoomable
from thalweg.reports.format import finite, number
from thalweg.reports.record import Record, column, items, part, thinned

MOST_POINTS = 300
MOST_MARKERS = 40


def paths(record: Record) -> Figure | None:
    """The figure, or None where the record has no surface."""
    surface = part(record, "surface")
    across, up = column(surface, "x"), column(surface, "y")
    values = np.array([column({"row": row}, "row", len(across)) for row in items(surface, "values")], dtype=float)
    if values.shape != (len(up), len(across)) or not np.isfinite(values).any():
        return None
    methods = [entry for entry in items(record, "methods") if isinstance(entry, dict) and entry.get("path")]
    minimum = finite(record.get("minimum")) or 0.0
    data = _landscape(across, up, values, minimum)
    for entry in methods:
        data += _path(entry)
    labels = [str(entry.get("method")) for entry in methods]
    styles = [(COLOURS[k % len(COLOURS)], SHAPES[k % len(SHAPES)]) for k in range(len(labels))]
    alt = f"Paths of {', '.join(labels)} over the values of {record.get('problem')}; darker is lower."
    keys = [Key(label, colour, [1, 0], shape) for label, (colour, shape) in zip(labels, styles, strict=True)]
    captions = ["Shades show f - f* on a log scale: darker is lower. Points outside the window are not drawn."]
    form = _form(across, up, labels, styles, alt)
    ends = [[label, *map(str, _end(entry))] for label, entry in zip(labels, methods, strict=True)]
    return Figure("paths", "Paths", alt, captions, data, {"paths": form}, (["method", "x1", "x2"], ends), keys)


def _landscape(across: np.ndarray, up: np.ndarray, values: np.ndarray, minimum: float) -> list[dict[str, Any]]:
    """One rectangle a grid point, with the logarithm of its height above the minimum, from 0 to 1."""
    height = np.log10(np.maximum(values - minimum, 0.0) + 1e-3 * np.nanmedian(np.abs(values - minimum)) + 1e-300)
    low, high = np.nanmin(height), np.nanmax(height)
    # Bands, as on a map: their edges are the contour lines.
    shade = np.round(16 * (height - low) / max(high - low, 1e-300)) / 16
    # A little overlap, or the seams show.
    half = 0.52 * (across[1] - across[0]), 0.52 * (up[1] - up[0])
    return [
        {
            "left": _short(a - half[0]), "right": _short(a + half[0]),
            "low": _short(b - half[1]), "high": _short(b + half[1]), "shade": _short(shade[i, j]),
        }
        for i, b in enumerate(up) for j, a in enumerate(across) if np.isfinite(shade[i, j])
    ]  # fmt: skip


def _path(entry: Record) -> list[dict[str, Any]]:
    points = np.array([column({"row": row}, "row", 2) for row in items(entry, "path")], dtype=float)
    kept = np.flatnonzero(np.isfinite(points).all(axis=1))
    kept = kept[thinned(len(kept), MOST_POINTS)]
    marked = set(thinned(len(kept), MOST_MARKERS).tolist())
    steps = column(part(entry, "trace"), "step", len(points))
    return [
        {
            "series": entry.get("method"),
            "x": _short(points[k, 0]),
            "y": _short(points[k, 1]),
            "order": order,
            "step": _short(steps[k]),
            "reads": f"({number(points[k, 0], 4)}, {number(points[k, 1], 4)})",
            **({"mark": 1} if order in marked else {}),
        }
        for order, k in enumerate(kept.tolist())
    ]


def _end(entry: Record) -> tuple[str, str]:
    last = column({"row": items(entry, "path")[-1]}, "row", 2)
    return number(last[0], 6), number(last[1], 6)


def _form(across: np.ndarray, up: np.ndarray, labels: list[str], styles: list[tuple[str, str]], alt: str) -> Spec:
    def axis(field: str, ends: np.ndarray, title: str) -> Spec:
        scale = {"domain": [float(ends[0]), float(ends[-1])], "nice": False, "zero": False}
        return {
            "field": field,
            "type": "quantitative",
            "title": title,
            "scale": scale,
            "axis": {"grid": False, "format": "~g"},
        }

    x, y = axis("x", across, "x₁"), axis("y", up, "x₂")
    series = {"field": "series", "type": "nominal"}
    named = {**series, "scale": {"domain": labels, "range": [style[0] for style in styles]}}
    colour = {**named, "legend": None}
    shape = {**series, "scale": {"domain": labels, "range": [style[1] for style in styles]}, "legend": None}
    grey = {
        "field": "shade", "type": "quantitative", "legend": None,
        "scale": {"domain": [0, 1], "range": ["#8796a5", "#f2f4f6"]},
    }  # fmt: skip
    walked = {"filter": "isValid(datum.order)"}
    layers: list[Spec] = [
        {
            "mark": {"type": "rect", "clip": True, "aria": False, "strokeWidth": 0},
            "transform": [{"filter": "isValid(datum.shade)"}],
            "encoding": {
                "x": {**x, "field": "left"}, "x2": {"field": "right"}, "y": {**y, "field": "low"},
                "y2": {"field": "high"}, "color": grey,
            },
        },
        {
            "mark": {"type": "line", "clip": True, "strokeWidth": 1.8, "aria": False},
            "transform": [walked],
            "encoding": {"x": x, "y": y, "color": named, "order": {"field": "order", "type": "quantitative"}},
            "params": [zoomable()],
        },
        {
            "mark": {"type": "point", "clip": True, "filled": True, "size": 30, "aria": False},
            "transform": [{"filter": "datum.mark == 1"}],
            "encoding": {"x": x, "y": y, "color": colour, "shape": shape},
        },
        {
            "mark": {
                "type": "point", "clip": True, "filled": False, "size": 120, "strokeWidth": 2, "aria": False,
                "tooltip": tip(method="series", step="step", at="reads"),
            },
            "transform": [walked],
            "params": [near()],
            "encoding": {
                "x": x, "y": y, "color": colour,
                "opacity": {"condition": {"param": "near", "empty": False, "value": 1}, "value": 0},
            },
        },
    ]  # fmt: skip
    whole = base(layers, alt=alt, title="", height=460, zoom=["x", "y"])
    whole["resolve"] = {"scale": {"color": "independent"}}
    return whole


def _short(value: Any) -> float | None:
    plain = finite(value)
    return None if plain is None else float(f"{plain:.5g}")
