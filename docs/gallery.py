"""Draw the pictures of docs/pde.md: ``python docs/gallery.py [folder]``."""

from __future__ import annotations

import sys
from pathlib import Path

import altair as alt
import numpy as np
import pandas as pd

import thalweg as tw
from thalweg.core.events import Stepped
from thalweg.problems.pde import Heat, Mesh, Poisson, disk, square

SHADES = alt.Scale(scheme="viridis")


def surface(mesh: Mesh, u: np.ndarray, title: str, ends: tuple[float, float] | None = None) -> alt.Chart:
    """A function on a mesh: one shade a small square of a fine grid."""
    low, high = mesh.points.min(axis=0), mesh.points.max(axis=0)
    ticks = [np.linspace(a, b, 90) for a, b in zip(low, high, strict=True)]
    across, up = (part.ravel() for part in np.meshgrid(*ticks))
    values = mesh.at(np.column_stack([across, up]), u)
    half = 0.6 * (ticks[0][1] - ticks[0][0])
    frame = pd.DataFrame(
        {"x": across - half, "x2": across + half, "y": up - half, "y2": up + half, "u": values}
    ).dropna()
    shades = SHADES if ends is None else alt.Scale(scheme="viridis", domain=list(ends))
    axis = alt.Axis(grid=False)
    return (
        alt.Chart(frame)
        .mark_rect(strokeWidth=0)
        .encode(
            alt.X("x", axis=axis, title="x"), alt.X2("x2"), alt.Y("y", axis=axis, title="y"), alt.Y2("y2"),
            alt.Color("u", scale=shades, title="u"),
        )
        .properties(width=240, height=240, title=title)
    )  # fmt: skip


def solutions() -> alt.HConcatChart:
    """Poisson's equation on both domains, and a harmonic function."""
    wave = Poisson(square(40), source=lambda x, y: 40 * np.sin(2 * np.pi * x) * np.sin(np.pi * y))
    pull = Poisson(disk(24), source=lambda x, y: 1.0 + 0 * x)
    rim = Poisson(disk(24), boundary=lambda x, y: np.cos(3 * np.arctan2(y, x)))
    titles = ("-Δu = 40 sin 2πx sin πy on the square", "-Δu = 1 on the disk", "Δu = 0, u = cos 3θ on the rim")
    drawn = [
        surface(one.mesh, one.values(tw.solve(one, "newton").x), title)
        for one, title in zip((wave, pull, rim), titles, strict=True)
    ]
    return alt.hconcat(*drawn).resolve_scale(color="independent")


def cooling() -> alt.HConcatChart:
    """The heat equation at four times: gradient descent's own iterates."""
    heat = Heat(square(32), lambda x, y: ((np.abs(x - 0.35) < 0.15) & (np.abs(y - 0.6) < 0.2)).astype(float))
    alpha = 1 / 8 / 32**2
    kept = {}

    def keep(event: object) -> None:
        if isinstance(event, Stepped) and event.step in (0, 8, 40, 160):
            kept[event.step] = heat.temperature(event.x)

    tw.solve(heat, tw.GradientDescent(step_size=alpha), max_steps=160, tol=0, callback=keep)
    return alt.hconcat(*[surface(heat.mesh, u, f"t = {k * alpha:.4f}, step {k}", (0.0, 1.0)) for k, u in kept.items()])


def conditioning() -> alt.LayerChart:
    """Steps to f - f* <= 1e-8 against 1/h: predicted from the spectrum and observed."""
    rows = []
    for cells in (6, 8, 12, 16, 24, 32):
        problem = Poisson(square(cells), source=lambda x, y: np.exp(x + y))
        for row in tw.compare(problem, ["gradient-descent", "nesterov", "heavy-ball", "l-bfgs"], tol=1e-8).rows:
            rows.append({"1/h": cells, "steps": row.steps, "method": row.label, "what": "observed"})
            rows.append({"1/h": cells, "steps": row.prediction.steps, "method": row.label, "what": "predicted"})
    whole = pd.DataFrame(rows)
    x = alt.X(
        "1/h",
        scale=alt.Scale(type="log", base=2, domain=[5.5, 36]),
        title="1/h",
        axis=alt.Axis(values=[6, 8, 12, 16, 24, 32]),
    )
    y = alt.Y("steps", scale=alt.Scale(type="log"), title="steps to f - f* ≤ 1e-8")
    colour = alt.Color("method", title=None)
    lines = alt.Chart(whole[whole.what == "predicted"]).mark_line(strokeDash=[6, 4]).encode(x, y, colour)
    points = alt.Chart(whole[whole.what == "observed"]).mark_point(filled=True, size=60).encode(x, y, colour)
    title = "Dashed: predicted from the spectrum. Points: observed."
    return alt.layer(lines, points).properties(width=520, height=300, title=title)


PICTURES = {"pde-solutions": solutions, "pde-cooling": cooling, "pde-conditioning": conditioning}


def main(folder: Path) -> None:
    """Draw every picture into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, draw in PICTURES.items():
        draw().save(folder / f"{name}.png", scale_factor=1.5)
        print(folder / f"{name}.png")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "pictures")
