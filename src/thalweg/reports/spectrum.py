"""The spectrum of the Hessian: where curvature lies, before and after scaling, on one logarithmic axis."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from thalweg.reports.figures import Figure, Spec, base, near, ticks, tip, whole_decades, zoomable
from thalweg.reports.format import number, percent
from thalweg.reports.record import Record, column, part

MOST_BINS = 36
_TITLES = {"raw": "Features as given", "scaled": "After scaling"}
_LABEL = "replace(format(datum.value, abs(log(datum.value) / LN10) > 3.5 ? '.0e' : '~g'), 'e+', 'e')"


def spectra(record: Record) -> list[Figure]:
    """A figure for each spectrum of the record, over the same domain so that they compare by eye."""
    known = {}
    for name in _TITLES:
        table = part(record, "spectrum", name)
        values = column(table, "eigenvalues")
        weights = column(table, "weights", len(values))
        if np.isnan(weights).all():
            weights = np.ones(len(values))
        sound = np.isfinite(values) & np.isfinite(weights) & (weights > 0)
        if sound.any():
            known[name] = (values[sound], weights[sound] / weights[sound].sum(), table.get("how"))
    positive = [values[_curved(values)] for values, _, _ in known.values()]
    joined = np.concatenate([np.empty(0), *positive])
    if not len(joined):
        return []
    domain = whole_decades(float(joined.min()), float(joined.max()))
    most = 0.0
    binned = {}
    for name, (values, weights, how) in known.items():
        bins = _bins(values, weights, domain)
        most = max([most, *(row["share"] for row in bins)])
        binned[name] = (values, weights, how, bins)
    return [_figure(name, *entry, domain, most) for name, entry in binned.items() if entry[3]]


def _curved(values: np.ndarray) -> np.ndarray:
    """Which eigenvalues are positive beyond rounding: the others are zero, as far as anyone can tell."""
    largest = float(np.abs(values).max(initial=0.0))
    return values > max(largest * np.finfo(float).eps * len(values), 1e-300)


def _bins(values: np.ndarray, weights: np.ndarray, domain: list[float]) -> list[dict[str, Any]]:
    first, last = (math.log10(end) for end in domain)
    per_decade = max([step for step in (1, 2, 4, 5, 10) if step * (last - first) <= MOST_BINS], default=1)
    edges = np.linspace(first, last, max(1, round((last - first) * per_decade)) + 1)
    curved = _curved(values)
    share, _ = np.histogram(np.log10(values[curved]), bins=edges, weights=weights[curved])
    return [
        {
            "low": float(f"{10 ** edges[k]:.6g}"),
            "high": float(f"{10 ** edges[k + 1]:.6g}"),
            "middle": float(f"{10 ** ((edges[k] + edges[k + 1]) / 2):.6g}"),
            "share": float(f"{share[k]:.4g}"),
            "reads": percent(share[k]),
            "range": f"{number(10 ** edges[k], 3)} to {number(10 ** edges[k + 1], 3)}",
        }
        for k in range(len(share))
        if share[k] > 0
    ]


def _figure(
    name: str,
    values: np.ndarray,
    weights: np.ndarray,
    how: Any,
    bins: list[dict[str, Any]],
    domain: list[float],
    most: float,
) -> Figure:
    curved = _curved(values)
    low, high = float(values[curved].min()), float(values[curved].max())
    flat = float(weights[~curved].sum())
    captions = [f"From {number(low, 3)} to {number(high, 3)}: a ratio of {number(high / low, 3)}."]
    if flat > 0:
        captions.append(f"{percent(flat)} of the spectrum is zero or negative within rounding and has no place here.")
    if how:
        captions.append(f"How: {how}.")
    alt = f"Histogram of the Hessian's eigenvalues on a log axis, {_TITLES[name].lower()}. {captions[0]}"
    rug = [{"value": float(f"{value:.6g}")} for value in values[curved]]
    form = _form(alt, domain, most, rug)
    table = (["eigenvalues", "share"], [[row["range"], row["reads"]] for row in bins])
    return Figure(f"spectrum-{name}", _TITLES[name], alt, captions, bins, {"spectrum": form}, table)


def _form(alt: str, domain: list[float], most: float, rug: list[dict[str, float]]) -> Spec:
    scale = {"type": "log", "domain": domain, "nice": False}
    axis = {
        "grid": False,
        "labelExpr": _LABEL,
        "values": ticks(domain),
    }
    x: Spec = {"field": "low", "type": "quantitative", "title": "eigenvalue, log scale", "scale": scale, "axis": axis}
    y: Spec = {
        "field": "share",
        "type": "quantitative",
        "title": None,
        "scale": {"domain": [0, 1.2 * most], "nice": False},
        "axis": {"format": "~%", "tickCount": 4, "grid": True},
    }
    shown = tip(eigenvalues="range", share="reads")
    layers: list[Spec] = [
        {
            "mark": {
                "type": "rect",
                "color": "@bound",
                "opacity": 0.8,
                "stroke": "@paper",
                "clip": True,
                "aria": False,
            },
            "params": [zoomable()],
            "encoding": {"x": x, "x2": {"field": "high"}, "y": y, "y2": {"datum": 0}},
        },
        {
            "data": {"values": rug},
            "mark": {
                "type": "tick",
                "orient": "vertical",
                "color": "@ink",
                "size": 9,
                "thickness": 1,
                "clip": True,
                "aria": False,
            },
            "encoding": {"x": {**x, "field": "value"}, "y": {"value": 5}},
        },
        {
            "mark": {"type": "point", "opacity": 0, "aria": False, "tooltip": shown},
            "params": [near()],
            "encoding": {"x": {**x, "field": "middle"}, "y": y},
        },
    ]
    return base(layers, alt=alt, title="share of the eigenvalues", height=170, zoom=["low", "share"])
