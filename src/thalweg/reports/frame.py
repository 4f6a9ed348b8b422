"""The page around figures: the head, the scripts, a chart's box with its controls, and tables that scroll."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from typing import Any

from thalweg.reports.bundle import plotting_script
from thalweg.reports.figures import THEMED, Figure, Key, Spec, coloured
from thalweg.reports.markup import Markup, join, json_text, tag, trusted

# The browser itself refuses every request, whatever the scripts do; Vega compiles its expressions, hence the eval.
_POLICY = "default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline'; img-src data:"

_ZOOMS = (("+", "Zoom in", "0.6"), ("−", "Zoom out", "1.6667"), ("Reset", "Reset zoom", "0"))


_SHAPES = {
    "circle": "M10 7a4 4 0 1 0 8 0a4 4 0 1 0 -8 0Z",
    "square": "M10.5 3.5h7v7h-7Z",
    "diamond": "M14 2l5 5l-5 5l-5 -5Z",
    "cross": "M12.5 2h3v3.5h3.5v3h-3.5v3.5h-3v-3.5h-3.5v-3h3.5Z",
}


def document(title: str, body: Sequence[Markup | None], figures: Sequence[Figure], record: Any = None) -> str:
    """A page that stands alone.

    Args:
        title: The title of its window.
        body: What it shows.
        figures: Those that `drawing` put into the body.
        record: JSON to embed under the id `record`; none if None.

    """
    drawn = {
        figure.name: {
            "data": figure.data,
            "forms": {form: coloured(_without_legend(spec), THEMED) for form, spec in figure.forms.items()},
        }
        for figure in figures
    }
    embedded = None if record is None else tag("script", json_text(record), type="application/json", id="record")
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", **{"http-equiv": "Content-Security-Policy", "content": _POLICY}),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("link", rel="icon", href="data:,"),
        tag("title", title),
        tag("style", trusted(_shipped("style.css"))),
    )
    content = tag(
        "body",
        *body,
        embedded,
        tag("script", json_text(drawn), type="application/json", id="figures"),
        tag("script", trusted(plotting_script())) if figures else None,
        tag("script", trusted(_shipped("page.js"))),
    )
    return f"<!doctype html>\n{tag('html', head, content, lang='en')}\n"


def drawing(figure: Figure, heading: str = "") -> Markup:
    """A chart's box with its controls, its captions, and its figures as a table.

    Args:
        figure: What to draw.
        heading: The tag of its title; none if empty.

    """
    forms = [
        tag(
            "label",
            tag("input", type="radio", name=f"form-{figure.name}", value=form, checked=k == 0, data_figure=figure.name),
            form,
        )
        for k, form in enumerate(figure.forms)
    ]
    buttons = [
        tag(
            "button",
            sign,
            type="button",
            title=what,
            aria_label=f"{what}: {figure.title}",
            data_zoom=by,
            data_figure=figure.name,
        )
        for sign, what, by in _ZOOMS
    ]
    switch = tag("fieldset", tag("legend", "Horizontal axis"), *forms) if len(forms) > 1 else tag("span")
    zoomed = any(spec["usermeta"]["zoom"] for spec in figure.forms.values())
    silent = tag("noscript", "The chart needs JavaScript; the tables do not.")
    heads, lines = figure.table
    behind = plain_table(heads, lines, f"{figure.title}: the figures") if lines else None
    hint = "Drag to pan; Ctrl with the wheel, or pinch, to zoom." if zoomed and not heading else None
    captions = join(" ".join([*figure.captions, ""]), tag("span", hint, class_="screen") if hint else None)
    return tag(
        "figure",
        tag(heading, figure.title) if heading else None,
        tag("div", switch, tag("div", *buttons), class_="bar") if zoomed else None,
        tag("ul", *(_key(key) for key in figure.keys), class_="keys") if figure.keys else None,
        tag("div", silent, class_="chart", id=f"chart-{figure.name}", role="img", aria_label=figure.alt),
        tag("figcaption", captions) if captions else None,
        tag("details", tag("summary", "The figures as a table"), behind) if behind else None,
    )


def _key(key: Key) -> Markup:
    """A legend's entry, drawn as the chart draws it; in HTML it wraps on a phone and takes no room from the chart."""
    colour = f"var(--{key.colour[1:]})"
    marks = []
    if key.band:
        marks.append(tag("rect", x="1", y="2", width="26", height="10", fill=colour, fill_opacity="0.25"))
    if key.dash is not None:
        dash = " ".join(map(str, key.dash))
        marks.append(tag("path", d="M1 7H27", stroke=colour, stroke_width="2", stroke_dasharray=dash, fill="none"))
    if key.shape is not None:
        marks.append(tag("path", d=_SHAPES[key.shape], fill=colour))
    swatch = tag("svg", *marks, width="28", height="14", viewBox="0 0 28 14", aria_hidden="true")
    return tag("li", swatch, tag("span", key.label))


def _without_legend(spec: Spec) -> Spec:
    return {**spec, "config": {**spec["config"], "legend": {"disable": True}}}


def plain_table(heads: Sequence[str], lines: Sequence[Sequence[str]], label: str) -> Markup:
    """A table of figures whose first column names the row."""
    head = tag("tr", *(tag("th", name, scope="col", class_="number" if k else None) for k, name in enumerate(heads)))
    body = [
        tag("tr", tag("th", line[0], scope="row"), *(tag("td", cell, class_="number") for cell in line[1:]))
        for line in lines
    ]
    return scrolling(tag("table", tag("thead", head), tag("tbody", *body)), label)


def scrolling(table: Markup, label: str) -> Markup:
    """A table in a box of its own width, reached and scrolled by keyboard too."""
    return tag("div", table, class_="wide", role="region", aria_label=label, tabindex="0")


def _shipped(name: str) -> str:
    return files("thalweg.reports").joinpath(name).read_text(encoding="utf-8")
