"""Commands that read what was written, and publish what the pipeline measured."""

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from fauxscan.commands.options import Format, FormatOption, Results
from fauxscan.records import Status, Verdict

if TYPE_CHECKING:
    import pyarrow as pa

Root = Annotated[str | None, typer.Option("--root", help="Only this scanned folder, as the column `root` has it.")]
Rows = Iterable[dict[str, Any]]
TOLD = ("run_id", "started_at", "root", "change", "status", "verdict", "p_fake", "detail")
TOP = ("p_fake", "verdict", "root", "path")
RUN = ("run_id", "finished_at", "root", "verdicts", "statuses")
DIFFERENCE = ("difference", "root", "path", "before", "after")


def latest(
    results: Results,
    root: Root = None,
    verdict: Annotated[Verdict | None, typer.Option(help="Only files of this verdict.")] = None,
    status: Annotated[Status | None, typer.Option(help="Only files of this status.")] = None,
    form: FormatOption = Format.TABLE,
) -> None:
    """Print the latest state of every file in the tables."""
    from fauxscan.scanning import printing, queries

    with queries.opened(results) as tables:
        _show(form, tables.latest(root, verdict, status), printing.STATE)


def top(
    results: Results,
    count: Annotated[int, typer.Option(min=1, help="How many.")] = 20,
    root: Root = None,
    form: FormatOption = Format.TABLE,
) -> None:
    """Print the files with the highest p_fake, highest first."""
    from fauxscan.scanning import queries

    with queries.opened(results) as tables:
        _show(form, tables.top(count, root), TOP)


def history(
    path: Annotated[str, typer.Argument(help="A file: as the column `path` has it, or with all folders above it.")],
    results: Results,
    form: FormatOption = Format.TABLE,
) -> None:
    """Print all that was ever told of a file, oldest first."""
    from fauxscan.scanning import queries

    with queries.opened(results) as tables:
        _show(form, tables.history(path), TOLD)


def runs(results: Results, form: FormatOption = Format.TABLE) -> None:
    """Print all scans, oldest first, with the counts of files by verdict and status when they ended."""
    from fauxscan.scanning import queries

    with queries.opened(results) as tables:
        _show(form, tables.runs(), RUN, _run)


def diff(
    results: Results,
    before: Annotated[str, typer.Argument(help="A run: enough of its id, `latest` or `previous`.")] = "previous",
    after: Annotated[str, typer.Argument(help="A later run.")] = "latest",
    root: Root = None,
    form: FormatOption = Format.TABLE,
) -> None:
    """Print the files that stood otherwise after one run than after an earlier one."""
    from fauxscan.scanning import queries

    with queries.opened(results) as tables:
        _show(form, tables.differences(before, after, root), DIFFERENCE, _difference)


def models(results: Results, form: FormatOption = Format.TABLE) -> None:
    """Print the models of the last scans: how many files stand as their panels judged, and how good each model is."""
    from fauxscan.scanning import printing, queries

    with queries.opened(results) as tables:
        _show(form, tables.models(), printing.MODEL, printing.model)


def publish(
    results: Results,
    project: Annotated[Path, typer.Option("--project", help="The folder in which `make repro` ran.")] = Path(),
) -> None:
    """Publish the project's evaluations, with its git revision, beside the scans."""
    from fauxscan.scanning import evaluations

    rows = evaluations.publish(project, results, evaluations.revision(project))
    told = f"{rows} rows published" if rows else "nothing new: these evaluations are published"
    typer.echo(f"{told}. See: fauxscan models --results {results}")


def _show(form: Format, batches: "pa.RecordBatchReader", columns: Sequence[str], line: Any = lambda row: row) -> None:
    """Print rows: whole as CSV or JSON; in a table some columns, of what `line` makes of each row."""
    from fauxscan.scanning import printing

    rows: Rows = (row for batch in batches for row in batch.to_pylist())
    if form is Format.JSON:
        sys.stdout.writelines(printing.json_lines(rows))
    elif form is Format.CSV:  # not by typer.echo: it takes what looks like a colour out of names
        sys.stdout.writelines(printing.csv_lines(rows, batches.schema.names))
    elif printing.table(Console(), map(line, rows), columns):
        typer.echo(f"There are more than these {printing.LINES}: --format csv or json prints all.", err=True)


def _run(row: dict[str, Any]) -> dict[str, Any]:
    """Return the line of a run: its counts in words."""
    counts = {"verdicts": _counts(row, "verdict", Verdict), "statuses": _counts(row, "status", Status)}
    return {**row, **counts, "finished_at": row["finished_at"] or "interrupted"}


def _counts(row: dict[str, Any], kind: str, words: Iterable[str]) -> str:
    return ", ".join(f"{row[f'{kind}_{word}']} {word}" for word in words if row[f"{kind}_{word}"])


def _difference(row: dict[str, Any]) -> dict[str, Any]:
    """Return the line of a difference: a verdict and p_fake, or the status of what could not be judged."""
    return {**row, **{when: _state(row, when) for when in ("before", "after")}}


def _state(row: dict[str, Any], when: str) -> str | None:
    status, verdict, p_fake = (row[f"{name}_{when}"] for name in ("status", "verdict", "p_fake"))
    return status if verdict is None or p_fake is None else f"{verdict} {p_fake:.3f}"


def results(
    reports: Annotated[Path, typer.Option("--reports", help="The folder that the stage `report` wrote.")] = Path(
        "reports"
    ),
) -> None:
    """Print how good each evaluated model is, and where the tables and the page are."""
    from fauxscan.reporting import terminal

    terminal.show(Console(), reports)
