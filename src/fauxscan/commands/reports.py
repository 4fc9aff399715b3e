"""Commands that read the result tables, and publish what the pipeline measured."""

import sys
from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from fauxscan.commands.options import (
    RESULTS,
    CheckReencoded,
    ExportFormat,
    FacesOption,
    Format,
    FormatOption,
    Models,
    ParamsFile,
    Results,
    load_params,
    statuses,
)
from fauxscan.params import changed
from fauxscan.records import Framing, Status, UserError, Verdict
from fauxscan.scanning.inputs import addresses

if TYPE_CHECKING:
    import pyarrow as pa

    from fauxscan.params import Params

Root = Annotated[
    str | None,
    typer.Option(
        "--root",
        metavar="FOLDER",
        help="Show only files scanned under this root, as in the column `root`. Default: all roots.",
    ),
]
VerdictOption = Annotated[
    Verdict | None, typer.Option("--verdict", help="Show only files with this verdict. Default: all verdicts.")
]
StatusOption = Annotated[
    str,
    typer.Option(
        "--status",
        metavar="STATUS,...",
        show_default=False,
        help=f"Show only files with one of these statuses: {', '.join(Status)}. Default: all statuses.",
    ),
]
Count = Annotated[
    int,
    typer.Option("--count", min=1, metavar="N", show_default=False, help="Number of files to show. Default: 20."),
]
FilePath = Annotated[
    str,
    typer.Argument(
        metavar="PATH", show_default=False, help="Path of the file, absolute or as in the column `path` of the tables."
    ),
]
Before = Annotated[
    str,
    typer.Argument(
        metavar="BEFORE",
        show_default=False,
        help="The earlier run: the beginning of its id, `latest` or `previous`. Default: previous, the last "
        "finished run before the latest.",
    ),
]
After = Annotated[
    str,
    typer.Argument(metavar="AFTER", show_default=False, help="The later run, named in the same way. Default: latest."),
]
Project = Annotated[
    Path,
    typer.Option(
        "--project",
        metavar="FOLDER",
        show_default=False,
        help="Project folder in which `make repro` ran. Default: the current folder.",
    ),
]
Reports = Annotated[
    Path,
    typer.Option(
        "--reports",
        metavar="FOLDER",
        show_default=False,
        help="Folder written by the stage `report` of the pipeline. Default: reports.",
    ),
]
ProtocolName = Annotated[
    str, typer.Argument(metavar="NAME", show_default=False, help="Name of the protocol, as in params.yaml.")
]
Protocols = Annotated[
    Path,
    typer.Option(
        "--protocols",
        metavar="FOLDER",
        show_default=False,
        help="Folder in which the stage `protocol` of the pipeline writes. Default: protocols.",
    ),
]
Shown = Annotated[
    Path,
    typer.Argument(
        metavar="RESULTS|FILE",
        show_default=False,
        parser=addresses.local_path,
        help="Folder of the result tables of scans, or one image or video, which is then judged for its page.",
    ),
]
Out = Annotated[
    Path,
    typer.Option(
        "--out",
        metavar="FILE.html",
        parser=addresses.local_path,
        rich_help_panel=RESULTS,
        help="The page to write. Its extract, FILE.json, is written beside it.",
    ),
]
RunOption = Annotated[
    str | None,
    typer.Option(
        "--run",
        metavar="RUN",
        rich_help_panel=RESULTS,
        show_default=False,
        help="The scan to show: the beginning of its id, `latest` or `previous`. Default: latest.",
    ),
]
Pdf = Annotated[
    bool,
    typer.Option(
        "--pdf",
        rich_help_panel=RESULTS,
        help="Print the page to FILE.pdf too, which needs Chromium.",
    ),
]
Exported = Annotated[
    Path,
    typer.Argument(
        metavar="RESULTS", show_default=False, parser=addresses.local_path, help="Folder of the result tables."
    ),
]
ExportFormatOption = Annotated[
    ExportFormat,
    typer.Option(
        "--format",
        rich_help_panel=RESULTS,
        help="Write a table for spreadsheets (csv), one JSON object per line (jsonl), or CASE/UCO JSON-LD for case "
        "management tools (case).",
    ),
]
ExportFile = Annotated[
    Path,
    typer.Option("--out", metavar="FILE", rich_help_panel=RESULTS, help="File to write. An existing one is replaced."),
]
Rows = Iterable[dict[str, Any]]
HISTORY_COLUMNS = ("run_id", "started_at", "root", "path", "change", "status", "verdict", "p_fake", "detail")
# The columns of `history` that are kept first if a terminal is too narrow for all.
HISTORY_FIRST = ("started_at", "verdict", "p_fake", "change", "path", "status", "detail")
TOP_COLUMNS = ("p_fake", "verdict", "root", "path")
RUN_COLUMNS = ("run_id", "finished_at", "root", "verdicts", "statuses")
DIFF_COLUMNS = ("difference", "root", "path", "before", "after")


def latest(
    results: Results,
    root: Root = None,
    verdict: VerdictOption = None,
    status: StatusOption = "",
    form: FormatOption = Format.TABLE,
) -> None:
    """Show the current result of every file."""
    from fauxscan.reporting import scans
    from fauxscan.scanning.tables import queries

    shown = statuses("--status", status)
    with queries.open_tables(results) as tables:
        files = tables.latest(root, verdict, shown)
        matching = " that match these options" if root or verdict or status else ""
        _show(form, files, scans.FILE_COLUMNS, empty=f"No files{matching} in {results}.")


def top(results: Results, count: Count = 20, root: Root = None, form: FormatOption = Format.TABLE) -> None:
    """Show the files with the highest p_fake (probability of being fake), highest first."""
    from fauxscan.scanning.tables import queries

    with queries.open_tables(results) as tables:
        _show(form, tables.top(count, root), TOP_COLUMNS, empty=f"No files with a p_fake in {results}.")


def history(path: FilePath, results: Results, form: FormatOption = Format.TABLE) -> None:
    """Show every recorded result for a file, oldest first, including those under its earlier names."""
    from fauxscan.scanning.tables import queries

    with queries.open_tables(results) as tables:
        _show(form, tables.history(path), HISTORY_COLUMNS, _history_line, first=HISTORY_FIRST)


def runs(results: Results, form: FormatOption = Format.TABLE) -> None:
    """List all scans, oldest first, with the number of files per verdict and status at the end of each."""
    from fauxscan.scanning.tables import queries

    with queries.open_tables(results) as tables:
        _show(form, tables.runs(), RUN_COLUMNS, _run_line, empty=f"No scans in {results}.")


def diff(
    results: Results,
    before: Before = "previous",
    after: After = "latest",
    root: Root = None,
    form: FormatOption = Format.TABLE,
) -> None:
    """List files whose result changed or that moved between two runs."""
    from fauxscan.scanning.tables import queries

    with queries.open_tables(results) as tables:
        files = tables.differences(before, after, root)
        empty = "No files whose result changed or that moved between these two runs."
        _show(form, files, DIFF_COLUMNS, _difference_line, empty=empty)


def models(results: Results, form: FormatOption = Format.TABLE) -> None:
    """List the models that produced the current results, with file counts and measured accuracy."""
    from fauxscan.reporting import scans
    from fauxscan.scanning.tables import queries

    with queries.open_tables(results) as tables:
        _show(form, tables.models(), scans.MODEL_COLUMNS, scans.model_line, empty=f"No models in {results}.")


def report(
    shown: Shown,
    run: RunOption = None,
    *,
    out: Out,
    pdf: Pdf = False,
    models: Models = None,
    faces: FacesOption = "auto",
    check_reencoded: CheckReencoded = None,
    params_file: ParamsFile = None,
) -> None:
    """Write a page in HTML about a scan, or about a single file, which opens without a network.

    For a scan, --models names models whose cards are not found otherwise. --faces and --check-reencoded are for a file.
    """
    from fauxscan.reporting.pages import printing
    from fauxscan.reporting.scan_page import render

    if out.suffix != ".html":
        raise UserError(f"--out names a page, and {out} does not end in .html: end it so")
    if pdf:
        printing.browser()  # before any work
    parameters = changed(load_params(params_file), "scan", {"check_reencoded": check_reencoded})
    if shown.is_dir():
        from fauxscan.reporting.scan_page import make

        render.write(make.find(shown, run or "latest", parameters, models or ()), out)
    else:
        _report_file(shown, run, out, parameters, models or [], faces)
    if pdf:
        printing.to_pdf(out, out.with_suffix(".pdf"))
    typer.echo(f"Wrote {out}")


def _report_file(
    file: Path, run: str | None, out: Path, parameters: "Params", models: Sequence[str], faces: Framing
) -> None:
    """Judge a file and write its page. Raise UserError if the options are those of a scan."""
    from fauxscan.reporting.exhibit import make, render
    from fauxscan.scanning import settings
    from fauxscan.scanning.engine.engine import Engine

    if run is not None:
        raise UserError(f"--run names a scan, but {file} is not a results folder: leave --run out, or name the folder")
    options = [*chain.from_iterable(("--models", name) for name in models), "--faces", faces]
    engine = Engine(settings.read(parameters, models, faces))
    render.write(make.make(file, engine, options), out)


def export(
    results: Exported,
    form: ExportFormatOption,
    out: ExportFile,
    root: Root = None,
    verdict: VerdictOption = None,
    status: StatusOption = "",
) -> None:
    """Write the current result of every file, as in `latest`, to a file for another program."""
    from fauxscan.reporting.exports import write
    from fauxscan.scanning.tables import queries

    shown = statuses("--status", status)
    with queries.open_tables(results) as tables:
        count = write.write(tables, form, out, root, verdict, shown)
    typer.echo(f"Wrote {out} with the results of {count} files.")


def publish(results: Results, project: Project = Path()) -> None:
    """Add the project's evaluations, with its git revision, to the result tables."""
    from fauxscan.scanning.tables import evaluations, parquet

    parquet.require(results)
    rows = evaluations.publish(project, results, evaluations.revision(project))
    outcome = f"Published {rows} rows" if rows else "Nothing new: these evaluations are already published"
    typer.echo(f"{outcome}. See: fauxscan models --results {results}")


def _show(
    form: Format,
    batches: "pa.RecordBatchReader",
    columns: Sequence[str],
    line: Callable[[dict[str, Any]], dict[str, Any]] = dict,
    first: Sequence[str] = (),
    empty: str = "",
) -> None:
    """Print rows: all columns as CSV or JSON, or `columns` of the table line of each row as a table.

    `first` and `empty` are those of `scans.print_table`.
    """
    from fauxscan.reporting import scans

    rows: Rows = (row for batch in batches for row in batch.to_pylist())
    if form is Format.JSON:
        sys.stdout.writelines(scans.json_lines(rows))
    elif form is Format.CSV:  # typer.echo would remove from names what looks like a colour code
        sys.stdout.writelines(scans.csv_lines(rows, batches.schema.names))
    elif scans.print_table(Console(), map(line, rows), columns, first, empty):
        typer.echo(
            f"Only the first {scans.MAX_LINES} rows are shown. Use --format csv or --format json for all.", err=True
        )


def _history_line(row: dict[str, Any]) -> dict[str, Any]:
    """Return the table line of a recorded result. A removed file has none."""
    gone = ("status", "verdict", "p_fake", "detail") if row["change"] == "removed" else ()
    return row | dict.fromkeys(gone)


def _run_line(row: dict[str, Any]) -> dict[str, Any]:
    """Return the table line of a run, with its counts as text."""
    counts = {"verdicts": _counts(row, "verdict", Verdict), "statuses": _counts(row, "status", Status)}
    return {**row, **counts, "finished_at": row["finished_at"] or "interrupted"}


def _counts(row: dict[str, Any], kind: str, words: Iterable[str]) -> str:
    return ", ".join(f"{row[f'{kind}_{word}']} {word}" for word in words if row[f"{kind}_{word}"])


def _difference_line(row: dict[str, Any]) -> dict[str, Any]:
    """Return the table line of a changed file, with its result before and after."""
    path = row["path"] if row["moved_from"] is None else f"{row['moved_from']} -> {row['path']}"
    return {**row, "path": path, **{when: _result(row, when) for when in ("before", "after")}}


def _result(row: dict[str, Any], when: str) -> str | None:
    """Return a verdict with its p_fake, or the status of a file that was not judged."""
    status, verdict, p_fake = (row[f"{name}_{when}"] for name in ("status", "verdict", "p_fake"))
    return status if verdict is None or p_fake is None else f"{verdict} {p_fake:.3f}"


def results(reports: Reports = Path("reports")) -> None:
    """Show the accuracy of each evaluated model, and the path of the report."""
    from fauxscan.reporting import terminal

    terminal.show(Console(), reports)


def protocol(name: ProtocolName, protocols: Protocols = Path("protocols")) -> None:
    """Show how well the heads of a protocol recognise generators that they never saw, as tables in Markdown."""
    from fauxscan.reporting import protocols as of_protocols

    typer.echo(of_protocols.markdown(protocols, name), nl=False)
