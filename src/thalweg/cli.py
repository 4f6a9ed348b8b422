"""The ``thalweg`` command: results to stdout, progress and errors to stderr, no arithmetic."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

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
#: What a comparison may be drawn against, and the files that it may be drawn to.
AXES, PICTURES = ("pass", "second", "step"), (".html", ".svg", ".png")


Data = Annotated[str, typer.Argument(help="A file (CSV, Parquet, LIBSVM, .npz, .npy) or a built-in set.")]
Column = Annotated[str | None, typer.Option("--target", help="Target column. Default: the last.")]
LossName = Annotated[str | None, typer.Option("--loss", help="Name of a loss; 'list' names them. Default: inferred.")]
Ridge = Annotated[float | None, typer.Option("--l2", help="Ridge weight. Default: 1/n.")]
Tolerance = Annotated[float | None, typer.Option("--tol", help="Target for f - f*. Default: 1e-8 f(0).")]
Seed = Annotated[int, typer.Option("--seed", help="Seed of the held-out split and of rehearsals.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON record to stdout.")]


@app.command()
def fit(
    data: Data,
    target: Column = None,
    loss: LossName = None,
    l2: Ridge = None,
    tol: Tolerance = None,
    method: Annotated[str | None, typer.Option(help="Overrule the plan: a method's name.")] = None,
    seed: Seed = 0,
    out: Annotated[Path, typer.Option(help="Folder that receives the run folder.")] = Path("runs"),
    as_json: Json = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress on stderr.")] = False,
) -> None:
    """Fit a linear model to a table, certify how far it is from the best one, and report."""
    from thalweg.core.parallel import one_blas_thread
    from thalweg.core.random import generator
    from thalweg.data import load_table
    from thalweg.planning import RunFolder, fit_record, held_out_score, look, prepare, solve_prepared
    from thalweg.planning.run import find_method
    from thalweg.problems import LOSSES
    from thalweg.reports import report

    generator(seed)
    if loss == "list":
        print("\n".join(LOSSES))
        raise typer.Exit(0)
    if method is not None:
        find_method(method)
    prepared = prepare(load_table(data, target), loss=loss, l2=l2)
    name, problem = prepared.table.name, prepared.problem
    progress, page = _Progress(quiet), _Page(name, show=not as_json)
    with RunFolder(out, name) as folder:
        page.add(name, f"{problem.n} rows x {problem.d} features, {problem.loss.name} loss, l2 = {problem.l2:.3g}")
        page.add("notes", *prepared.notes)
        with one_blas_thread():
            outlook = look(problem, tol, seed)
        page.add("diagnosis", *str(outlook.diagnosis).splitlines())
        shown = outlook.plan if method is None else replace(outlook.plan, chosen=method)
        page.add("plan", *str(shown).splitlines())
        fitted = solve_prepared(
            prepared,
            tol=tol,
            method=method,
            seed=seed,
            prospect=outlook.prospect,
            diagnosis=outlook.diagnosis,
            listen=progress.listen,
        )
        held_out, interrupted = None, fitted.status.label == "interrupted"
        if fitted.status.success:
            try:
                held_out = held_out_score(prepared, fitted, seed)
            except KeyboardInterrupt:
                interrupted = True  # the solution stands; only its score on unseen rows is missing
        record = fit_record(fitted, held_out, command=[Path(sys.argv[0]).name, *sys.argv[1:]], seed=seed, name=name)
        folder.write(fitted, record)
        written = report(record, folder.path / "report.html")
    page.add("solve", f"{fitted.method}: {fitted.cost}", f"f(0) = {fitted.start_value:.6g}, f = {fitted.value:.10g}")
    page.add("certificate", str(fitted.certificate))
    page.add("status", f"{fitted.status.label}: {fitted.status.remedy}")
    page.add("verdict", *record["verdict"][1:])
    page.add("report", str(written))
    if as_json:
        print(json.dumps({**record, "folder": str(folder.path)}))
    if interrupted:
        raise typer.Exit(130)
    raise typer.Exit(0 if fitted.status.success else 1)


@app.command()
def plan(
    data: Data,
    target: Column = None,
    loss: LossName = None,
    l2: Ridge = None,
    tol: Tolerance = None,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Predict steps, seconds and bytes of every method for a table, and rank them."""
    from thalweg.data import load_table
    from thalweg.planning import plan as make
    from thalweg.planning import prepare

    found = make(prepare(load_table(data, target), loss=loss, l2=l2).problem, tol=tol, seed=seed)
    print(json.dumps(found.record()) if as_json else found)


@app.command()
def diagnose(
    data: Data,
    target: Column = None,
    loss: LossName = None,
    l2: Ridge = None,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Measure L, mu, kappa, gradient noise and spectrum of a table's learning problem."""
    from thalweg.data import load_table
    from thalweg.planning import diagnose as measure
    from thalweg.planning import prepare

    found = measure(prepare(load_table(data, target), loss=loss, l2=l2).problem, seed=seed)
    print(json.dumps(found.record()) if as_json else found)


@app.command()
def report(run: Annotated[Path, typer.Argument(help="A run folder.")]) -> None:
    """Write the report of a saved run again."""
    from thalweg.reports import report as write

    print(write(run / "run.json", run / "report.html"))


@app.command()
def compare(
    data: Data,
    methods: Annotated[str | None, typer.Option(help="Names with commas between; 'list' names them all.")] = None,
    target: Column = None,
    loss: LossName = None,
    l2: Ridge = None,
    tol: Tolerance = None,
    max_steps: Annotated[int, typer.Option(help="Steps allowed to each method.")] = 20_000,
    max_seconds: Annotated[float, typer.Option(help="Seconds allowed to each method.")] = 30.0,
    seed: Seed = 0,
    out: Annotated[Path | None, typer.Option(help="Picture to write: .html, .svg or .png.")] = None,
    axis: Annotated[str, typer.Option(help="Of the picture: pass, second or step.")] = "pass",
    as_json: Json = False,
) -> None:
    """Run several methods on a table: predicted and observed steps, passes and seconds, in one table and picture."""
    from thalweg.core.errors import InputError
    from thalweg.data import load_table
    from thalweg.methods import REGISTER
    from thalweg.planning import compare as run
    from thalweg.planning import prepare
    from thalweg.reports import plot

    if methods == "list":
        print("\n".join(REGISTER))
        raise typer.Exit(0)
    # What cannot be drawn is said before the methods run.
    if axis not in AXES:
        raise InputError(f"axis={axis!r} is not known", f"use one of {', '.join(AXES)}")
    if out is not None and out.suffix.lower() not in PICTURES:
        raise InputError(f"out={str(out)!r}: a picture cannot be saved as {out.suffix!r}", "use .html, .svg or .png")
    problem = prepare(load_table(data, target), loss=loss, l2=l2).problem
    named = None if methods is None else [name.strip() for name in methods.split(",") if name.strip()]
    found = run(problem, named, tol=tol, max_steps=max_steps, max_seconds=max_seconds, seed=seed)
    print(json.dumps(found.record()) if as_json else found)
    if out is not None:
        print(plot(found, axis=axis).save(out), file=sys.stderr if as_json else sys.stdout)


@app.command()
def rate(
    source: Annotated[str, typer.Argument(help='A CSV file with a column of losses, or a formula in k: "1/3^k".')],
    column: Annotated[
        str | None, typer.Option(help="Name or number of the column. Default: the one of losses.")
    ] = None,
    limit: Annotated[float | None, typer.Option(help="What the sequence converges to. Default: estimated.")] = None,
    as_json: Json = False,
) -> None:
    """Say how fast a sequence converges: sublinear, linear, superlinear, quadratic, or linear to a floor."""
    from thalweg.core.errors import InputError
    from thalweg.data.series import load_series
    from thalweg.theory.rates import rate as classify

    named = Path(source)
    if named.is_file() or named.suffix.lower() in (".csv", ".tsv", ".txt", ".npy", ".gz"):
        found = classify(load_series(named, column), limit=limit)
    elif column is not None:
        raise InputError(f"column={column!r} is given with a formula", "leave it out, or give a file")
    else:
        found = classify(source, limit=limit)
    if as_json:
        print(json.dumps(found.record()))
        return
    page = _Page("confidence", show=True)
    page.add("rate", f"{found.kind}" + (f", {found.figures}" if found.figures else ""))
    page.add("evidence", found.why)
    page.add("confidence", f"{found.confidence:.2f}")


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def derive(
    context: typer.Context,
    formula: Annotated[str, typer.Argument(help='A formula, such as "log(x\'*A*x)".')],
    wrt: Annotated[str | None, typer.Option(help="The variable; 'x, y' for several scalars.")] = None,
    order: Annotated[int, typer.Option(help="1 for the gradient or Jacobian, 2 for the Hessian.")] = 1,
    steps: Annotated[bool, typer.Option("--steps", help="Show the differential rules, one a line.")] = False,
    latex: Annotated[bool, typer.Option("--latex", help="Show the answer in LaTeX, too.")] = False,
    code: Annotated[str | None, typer.Option(help="Show a function for numpy, torch or jax.")] = None,
    as_json: Json = False,
) -> None:
    """Differentiate a formula; what is known of a symbol follows its name: --A symmetric."""
    from thalweg.expr.deriving import derive as differentiate

    formula, attributes = _formula_and_attributes([formula, *context.args])
    found = differentiate(formula, wrt, order, steps, **attributes)
    if as_json:
        written = {} if code is None else {"code": found.code(code)}
        print(json.dumps({**found.record(), **written}))
        return
    page = _Page("differential", show=True)
    page.add("formula", found.formula)
    page.add(found.name.split()[-1], found.text, *([] if found.is_matrix_form else ["(it has no matrix form)"]))
    page.add("differential", found.differential)
    page.add("where", *[f"{name}: {meaning}" for name, meaning in found.symbols.items()])
    page.add("shape", " x ".join(map(str, found.node.shape)) or "scalar")
    page.add("steps", *map(str, found.steps))
    if latex:
        page.add("latex", found.latex())
    page.add("checked", str(found.checked))
    if code is not None:
        print("\n" + found.code(code), end="")


def _formula_and_attributes(words: list[str]) -> tuple[str, dict[str, Any]]:
    """Tell the formula from --NAME ATTRIBUTE (or --NAME=ATTRIBUTE), in whatever order they come."""
    from thalweg.core.errors import InputError

    formulas: list[str] = []
    attributes: dict[str, Any] = {}
    rest = iter(words)
    for word in rest:
        if not word.startswith("--"):
            formulas.append(word)
            continue
        name, _, known = word[2:].partition("=")
        if not name.isidentifier():
            raise InputError(f"option {word!r}", "see thalweg derive --help")
        attributes[name] = known or next(rest, "")
    if len(formulas) != 1:
        raise InputError(f"{len(formulas)} formulas were given: {formulas}", "give one, in quotes")
    return formulas[0], attributes


class _Page:
    """What ``fit`` prints, block by block as it becomes known: the label in the first column."""

    def __init__(self, name: str, show: bool) -> None:
        self.width = max(14, len(name) + 2)
        self.show = show

    def add(self, label: str, *texts: str) -> None:
        """Print one block."""
        for index, text in enumerate(texts if self.show else ()):
            print(f"{label if index == 0 else '':<{self.width}}{text}", flush=True)


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
