"""Charts in notebooks: one object that shows itself offline, and opens up for those who want to restyle it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from thalweg.core.errors import InputError
from thalweg.reports.bundle import write_whole
from thalweg.reports.choices import choices
from thalweg.reports.comparison import comparison
from thalweg.reports.convergence import convergence
from thalweg.reports.figures import LIGHT, Figure
from thalweg.reports.filters import filters
from thalweg.reports.frame import document, drawing
from thalweg.reports.markup import tag
from thalweg.reports.paths import paths
from thalweg.reports.record import Record, read_record
from thalweg.reports.spectrum import spectra

_HEIGHT = {"convergence": 560, "comparison": 560, "paths": 620, "plan": 330, "shrinkage": 430}


class Plot:
    """A chart of a record. A notebook shows it, interactive and without any request; `str` describes it.

    Args:
        figure: What is drawn.
        form: Its horizontal axis.

    """

    def __init__(self, figure: Figure, form: str) -> None:
        self.figure = figure
        self.form = form

    @property
    def spec(self) -> dict[str, Any]:
        """The chart as Vega-Lite, data and light colours included."""
        return self.figure.whole(self.form, LIGHT)

    def altair(self) -> Any:
        """The chart as an altair object, 640 pixels wide, to restyle or to layer."""
        import altair  # .3 s, and only for those who ask

        return altair.Chart.from_dict({**self.spec, "width": 640})

    def save(self, path: str | Path) -> Path:
        """Write the chart to a file: .html stays interactive; .svg and .png are pictures.

        Args:
            path: The file, by whose ending the form is chosen.

        Returns:
            The path.

        Raises:
            InputError: If the ending is another one, or the file cannot be written.

        """
        path = Path(path)
        ending = path.suffix.lower()
        if ending not in (".html", ".svg", ".png"):
            raise InputError(f"path={str(path)!r}: a chart cannot be saved as {ending!r}", "use .html, .svg or .png")
        content: str | bytes = self._page()
        if ending != ".html":
            import vl_convert

            fixed = {**self.spec, "width": 640, "background": LIGHT["paper"]}
            content = (
                vl_convert.vegalite_to_svg(fixed) if ending == ".svg" else vl_convert.vegalite_to_png(fixed, scale=2)
            )
        try:
            write_whole(path, content)
        except OSError as error:
            problem = f"path={str(path)!r}: the chart cannot be written ({error.strerror or error})"
            raise InputError(problem, "choose another path") from error
        return path

    def _page(self) -> str:
        first = {self.form: self.figure.forms[self.form]}
        forms = {**first, **{name: spec for name, spec in self.figure.forms.items() if name != self.form}}
        figure = replace(self.figure, forms=forms)
        return document(figure.title, [drawing(figure)], [figure])

    def _repr_html_(self) -> str:
        # In a frame of its own, the page's style and scripts do not meet the notebook's.
        height = _HEIGHT.get(self.figure.name, 360)
        frame = tag(
            "iframe",
            srcdoc=self._page(),
            title=self.figure.alt,
            sandbox="allow-scripts",
            style=f"width:100%;height:{height}px;border:0",
        )
        return str(frame)

    def __repr__(self) -> str:
        return f"Plot({self.figure.alt})"


def plot(record: Any, what: str | None = None, *, axis: str = "step") -> Plot:
    """Draw a chart of a run, for notebooks.

    Args:
        record: A fit or another object with `record()`, its trace or its plan, the dict of one, or the path of a run.
        what: "convergence", "plan", "spectrum-raw" or "spectrum-scaled"; of a comparison "comparison" or, in two
            variables, "paths"; "shrinkage" of spectral filters. None takes the first that the record has.
        axis: Of convergence and comparisons: "step", "second" or "pass".

    Returns:
        A chart that notebooks show; `save` writes it to a file, `altair` opens it up.

    Raises:
        InputError: If the record does not hold what is asked for.

    """
    found = {figure.name: figure for figure in _figures(read_record(record))}
    if not found:
        raise InputError("record has nothing to draw", "pass one with a trace, a plan or a spectrum")
    name = next(iter(found)) if what is None else what
    if name not in found:
        raise InputError(f"what={what!r} is not in this record", f"use one of {', '.join(map(repr, found))}")
    forms = list(found[name].forms)
    form = f"per {axis}" if name in ("convergence", "comparison") else forms[0]
    if form not in forms:
        known = ", ".join(repr(known.removeprefix("per ")) for known in forms)
        raise InputError(f"axis={axis!r} is not in this record", f"use one of {known}")
    return Plot(found[name], form)


def _figures(record: Record) -> list[Figure]:
    if record.get("kind") == "comparison":
        drawn: tuple[Figure | None, ...] = (comparison(record), paths(record))
    else:
        drawn = (convergence(record), choices(record), *spectra(record), filters(record))
    return [figure for figure in drawn if figure is not None]
