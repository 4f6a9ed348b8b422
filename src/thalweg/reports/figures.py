"""What charts have in common: the colours, the axes, and the record of one figure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Spec = dict[str, Any]

NAMES = ("ink", "quiet", "grid", "paper", "bound", "value", "predicted", "accent", "good", "bad")
THEMED = {name: f"var(--{name})" for name in NAMES}
"""Colours by reference: the page's style sets them, so that dark, light and paper need no second drawing."""

LIGHT = {
    "ink": "#1b2530",
    "quiet": "#4d5b69",
    "grid": "#dde3e9",
    "paper": "#ffffff",
    "bound": "#0b5cad",
    "value": "#0f766e",
    "predicted": "#b04a00",
    "accent": "#7a3db8",
    "good": "#17683a",
    "bad": "#a3260f",
}
"""The light colours themselves, for charts that leave the page; style.css has the same."""

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"

SECONDS_LABEL = (
    "datum.value >= 1 ? format(datum.value, '~g') + ' s'"
    " : datum.value >= 1e-3 ? format(datum.value * 1e3, '~g') + ' ms'"
    " : format(datum.value * 1e6, '~g') + ' µs'"
)
"""How a logarithmic axis of seconds names its ticks."""

GAP_LABEL = "datum.value == 1 ? '1' : replace(format(datum.value, '.0e'), 'e+', 'e')"
"""How a logarithmic axis of gaps names its ticks: 1e-12."""


@dataclass(frozen=True)
class Key:
    """One entry of a legend: its words, and the line or marker that they stand for.

    Attributes:
        label: What it says.
        colour: One of `NAMES` behind an `@`.
        dash: Lengths of strokes and gaps; None draws no line.
        shape: "circle", "square", "diamond" or "cross"; None draws no marker.
        band: Whether it is an area.

    """

    label: str
    colour: str
    dash: list[int] | None = None
    shape: str | None = None
    band: bool = False


@dataclass(frozen=True)
class Figure:
    """One chart in all its forms, with the words around it.

    Attributes:
        name: Its key in the page.
        title: Its heading.
        alt: What it shows, for those who do not see it.
        captions: Sentences under it; they hold what the picture cannot say.
        data: The rows drawn, shared by all forms.
        forms: Vega-Lite without its data, by the name of the form ("per step").
        table: Heads and lines of the figures behind the chart.
        keys: The legend.

    """

    name: str
    title: str
    alt: str
    captions: list[str]
    data: list[dict[str, Any]]
    forms: Mapping[str, Spec]
    table: tuple[list[str], list[list[str]]] = field(default_factory=lambda: ([], []))
    keys: Sequence[Key] = ()

    def whole(self, form: str | None = None, colours: Mapping[str, str] = THEMED) -> Spec:
        """One form with its data and its colours.

        Args:
            form: Which; the first if None.
            colours: A colour for each of `NAMES`.

        """
        spec = self.forms[form if form is not None else next(iter(self.forms))]
        return {**coloured(spec, colours), "datasets": {"rows": self.data}}


def coloured(spec: Any, colours: Mapping[str, str]) -> Any:
    """A copy in which every `@name` is that colour."""
    if isinstance(spec, dict):
        return {key: coloured(value, colours) for key, value in spec.items()}
    if isinstance(spec, list):
        return [coloured(value, colours) for value in spec]
    if isinstance(spec, str) and spec.startswith("@"):
        return colours[spec[1:]]
    return spec


def base(layers: list[Spec], *, alt: str, title: str, height: int, zoom: list[str]) -> Spec:
    """A layered chart as wide as its box.

    Args:
        layers: The marks, from back to front.
        alt: The description that a screen reader speaks.
        title: What the vertical axis shows; above the chart, where it costs no width.
        height: In pixels.
        zoom: Fields of the two axes that can be zoomed.

    """
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v6.json",
        "description": alt,
        "usermeta": {"zoom": zoom},
        "width": "container",
        "height": height,
        "autosize": {"type": "fit-x", "contains": "padding"},
        "data": {"name": "rows"},
        "title": {
            "text": title,
            "anchor": "start",
            "frame": "group",
            "fontSize": 12,
            "fontWeight": "normal",
            "color": "@quiet",
            "offset": 8,
        },
        "layer": layers,
        "config": {
            "background": "transparent",
            "font": FONT,
            "padding": 2,
            "view": {"stroke": None},
            "axis": {
                "labelColor": "@quiet",
                "titleColor": "@quiet",
                "labelFontSize": 12,
                "titleFontSize": 12,
                "titleFontWeight": "normal",
                "gridColor": "@grid",
                "domainColor": "@quiet",
                "tickColor": "@quiet",
                "labelOverlap": "greedy",
                "labelSeparation": 8,
            },
            "legend": {
                "labelColor": "@ink",
                "labelFontSize": 12,
                "labelLimit": 300,
                "orient": "top",
                "direction": "vertical",
                "title": None,
                "symbolStrokeWidth": 2,
                "symbolSize": 90,
                "symbolOpacity": 1,
                "rowPadding": 3,
                "offset": 10,
            },
        },
    }


def zoomable() -> Spec:
    """The selection that pans by dragging and zooms by the wheel with Ctrl or Shift, which a pinch sends too.

    The bare wheel and the finger keep scrolling the page; buttons zoom for them.
    """
    return {
        "name": "zoom",
        "select": {
            "type": "interval",
            "translate": "[pointerdown[event.pointerType !== 'touch'], window:pointerup] > window:pointermove!",
            "zoom": "wheel![event.ctrlKey || event.shiftKey]",
        },
        "bind": "scales",
    }


def tip(**fields: str) -> Spec:
    """What a mark says when pointed at; "_" in a name stands for a blank.

    Vega-Lite hands the cells around the nearest marks a datum that wraps the row, and looks no deeper itself.
    """
    entries = (f"'{name.replace('_', ' ')}': (datum.datum || datum)['{field}']" for name, field in fields.items())
    return {"expr": f"{{{', '.join(entries)}}}"}


def near() -> Spec:
    """The selection of the mark nearest to the pointer, which shows its figures."""
    return {"name": "near", "select": {"type": "point", "nearest": True, "on": "pointermove", "clear": "pointerout"}}


def decades(low: float, high: float) -> list[float]:
    """A logarithmic domain with some air around the values, never empty and never past the range of floats."""
    low, high = max(low, 1e-300), min(max(high, 1e-300), 1e300)
    if high < low * 10:
        low, high = low / 4, high * 4
    air = math.exp(0.04 * (math.log(high) - math.log(low)))
    return [max(low / air, 1e-307), min(high * air, 1e307)]


def ticks(domain: list[float]) -> list[float]:
    """Round numbers on a logarithmic axis: 1, 2 and 5 of each decade where there are few, else powers of ten."""
    first, last = (math.log10(end) for end in domain)
    every = range(math.floor(first), math.ceil(last) + 1)
    digits = (1, 2, 5) if last - first <= 3.2 else (1,)
    stride = max(1, round((last - first) / 12))
    found = [float(f"{digit}e{power}") for power in every if power % stride == 0 for digit in digits]
    return [tick for tick in found if domain[0] <= tick <= domain[1]]


def whole_decades(low: float, high: float) -> list[float]:
    """The powers of ten around two positive values."""
    first = math.floor(math.log10(max(low, 1e-300)))
    last = max(math.ceil(math.log10(min(high, 1e300))), first + 1)
    return [10.0**first, 10.0**last]
