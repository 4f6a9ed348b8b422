"""The ``thalweg`` command: results to stdout, progress and errors to stderr, no arithmetic."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from thalweg.core.events import Event

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Optimization for learning: diagnose, plan, solve, certify, report.",
)

#: Seconds between progress lines.
PROGRESS_INTERVAL = 0.5


@app.callback()
def _root() -> None:
    """Keep ``fit`` a subcommand while it is the only one."""


@app.command()
def fit(
    data: Annotated[str, typer.Argument(help="A file (CSV, Parquet, LIBSVM, .npz, .npy) or a built-in set.")],
    target: Annotated[str | None, typer.Option(help="Target column. Default: the last.")] = None,
    loss: Annotated[str | None, typer.Option(help="Name of a loss; 'list' names them. Default: inferred.")] = None,
    l2: Annotated[float | None, typer.Option(help="Ridge weight. Default: 1/n.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of the held-out split.")] = 0,
    out: Annotated[Path, typer.Option(help="Folder that receives the run folder.")] = Path("runs"),
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON record to stdout.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress on stderr.")] = False,
) -> None:
    """Fit a linear model to a table and certify how far it is from the best one."""
    from thalweg.core.random import generator
    from thalweg.data import load_table
    from thalweg.planning import RunFolder, held_out_score, prepare, solve, summary

    progress = _Progress(quiet)
    prepared = prepare(load_table(data, target), loss=loss, l2=l2)
    generator(seed)
    problem = prepared.problem
    with RunFolder(out, prepared.table.name) as folder:
        progress.say(f"{prepared.table.name}: {problem.n} rows x {problem.d} features, {problem.loss.name} loss")
        fitted = solve(prepared, listen=progress.listen)
        held_out = held_out_score(prepared, fitted, seed) if fitted.status.success else None
        record = summary(fitted, held_out, command=sys.argv, seed=seed, data=prepared.table.name)
        folder.write(fitted, record)
    if as_json:
        print(json.dumps({**record, "folder": str(folder.path)}))
    else:
        print(_page(prepared.table.name, record, fitted, held_out, folder.path))
    if fitted.status.label == "interrupted":
        raise typer.Exit(130)
    raise typer.Exit(0 if fitted.status.success else 1)


def _page(name: str, record: dict, fitted: object, held_out: object, folder: Path) -> str:
    """What ``fit`` prints: one block a question, the label in the first column."""
    from thalweg.planning import Fit

    assert isinstance(fitted, Fit)
    problem = fitted.problem
    blocks = {
        name: [f"{problem.n} rows x {problem.d} features, {fitted.loss} loss, l2 = {fitted.l2:.3g}"],
        "notes": list(fitted.notes),
        "solve": [f"{fitted.method}: {fitted.cost}", f"f(0) = {fitted.start_value:.6g}, f = {fitted.value:.10g}"],
        "certificate": [str(fitted.certificate)],
        "status": [f"{fitted.status.label}: {fitted.status.remedy}"],
        "score": [str(held_out)] if held_out is not None else [],
        "run": [str(folder)],
    }
    width = max(14, len(name) + 2)
    lines = []
    for label, texts in blocks.items():
        for index, text in enumerate(texts):
            lines.append(f"{label if index == 0 else '':<{width}}{text}")
    return "\n".join(lines)


class _Progress:
    """One line now and then on stderr; on a terminal the line is rewritten in place."""

    def __init__(self, quiet: bool) -> None:
        self.quiet = quiet
        self.terminal = sys.stderr.isatty()
        self.last = 0.0

    def say(self, text: str) -> None:
        """Print a line unless quiet."""
        if not self.quiet:
            print(text, file=sys.stderr, flush=True)

    def listen(self, event: Event) -> None:
        """Show the start, a step now and then, and the end."""
        from thalweg.core.events import Finished, Started, Stepped

        if self.quiet:
            return
        if isinstance(event, Started):
            self.say(f"{event.method}: f(0) = {event.value:.6g}, wanted f - f* <= {event.target:.2g}")
        elif isinstance(event, Stepped) and time.monotonic() - self.last > PROGRESS_INTERVAL:
            self.last = time.monotonic()
            line = f"step {event.step}  f {event.value:.8g}  f - f* <= {event.certificate.gap:.2g}"
            print(f"\r{line:<70}" if self.terminal else line, end="" if self.terminal else "\n", file=sys.stderr)
        elif isinstance(event, Finished):
            end = "\r" if self.terminal else ""
            self.say(f"{end}{event.solution.status.label} after {event.solution.cost.steps} steps".ljust(70).rstrip())


def main() -> None:
    """Run the command; input errors end with one line, a hint and exit code 2, Ctrl-C with 130."""
    from thalweg.core.errors import ThalwegError

    try:
        app()
    except ThalwegError as error:
        print(f"error: {error.problem}", file=sys.stderr)
        if error.remedy:
            print(f"hint: {error.remedy}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("interrupted before a first point was found", file=sys.stderr)
        sys.exit(130)
