"""Commands that judge files."""

import json
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from fauxscan.commands.options import (
    FILES,
    RESULTS,
    CheckReencoded,
    FacesOption,
    Format,
    FormatOption,
    IgnoreOption,
    Models,
    ParamsFile,
    Results,
    Stopped,
    exit_code,
    load_params,
    statuses,
)
from fauxscan.params import Links, changed
from fauxscan.records import UserError
from fauxscan.scanning.inputs import addresses

if TYPE_CHECKING:
    from fauxscan.scanning.engine.engine import Engine
    from fauxscan.scanning.inputs.selection import Selection
    from fauxscan.scanning.scan import Summary

Paths = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="PATH",
        help="Files and folders to scan, or addresses such as s3://BUCKET/PREFIX and gs://BUCKET/PREFIX. "
        "Folders are scanned with all their subfolders.",
    ),
]
ListFile = Annotated[
    str | None,
    typer.Option(
        "--list",
        metavar="FILE",
        rich_help_panel=FILES,
        help='Read paths from FILE, one per line or NUL-terminated ("-" for standard input).',
    ),
]
RootOption = Annotated[
    str | None,
    typer.Option(
        "--root",
        metavar="FOLDER",
        rich_help_panel=FILES,
        help="Folder that paths in the tables are relative to. Keep it the same between scans, or every file counts as "
        "a different file. Default: the folder you name, or the deepest common parent.",
    ),
]
Include = Annotated[
    list[str] | None,
    typer.Option(
        "--include",
        metavar="PATTERN",
        rich_help_panel=FILES,
        help="Scan only files that match PATTERN, written as in .gitignore. Repeatable. Default: all files.",
    ),
]
Exclude = Annotated[
    list[str] | None,
    typer.Option(
        "--exclude",
        metavar="PATTERN",
        rich_help_panel=FILES,
        help="Skip files and folders that match PATTERN, written as in .gitignore. Repeatable. Default: none.",
    ),
]
Hidden = Annotated[
    bool | None,
    typer.Option(
        "--hidden/--no-hidden",
        rich_help_panel=FILES,
        help="Scan or skip files and folders whose names begin with a dot. Default: the setting in params.yaml.",
    ),
]
LinksOption = Annotated[
    Links | None,
    typer.Option(
        "--links",
        rich_help_panel=FILES,
        help="Symbolic links to follow: never, only inside the root, or all. Default: the setting in params.yaml.",
    ),
]
DryRun = Annotated[
    bool,
    typer.Option(
        "--dry-run",
        rich_help_panel=RESULTS,
        help="Show what a scan would do and how long it would take. Open no file and write nothing.",
    ),
]
Files = Annotated[
    list[Path],
    typer.Argument(metavar="FILE", show_default=False, parser=addresses.local_file, help="Images and videos to judge."),
]


def scan(
    paths: Paths = None,
    *,
    list_file: ListFile = None,
    root: RootOption = None,
    include: Include = None,
    exclude: Exclude = None,
    hidden: Hidden = None,
    links: LinksOption = None,
    results: Results,
    dry_run: DryRun = False,
    form: FormatOption = Format.TABLE,
    ignore: IgnoreOption = "",
    models: Models = None,
    faces: FacesOption = "auto",
    check_reencoded: CheckReencoded = None,
    params_file: ParamsFile = None,
) -> None:
    """Judge new and changed files in folders and write the results to Parquet tables."""
    from fauxscan.reporting import scans
    from fauxscan.scanning import dry_run as dry_runs
    from fauxscan.scanning import settings
    from fauxscan.scanning.engine.engine import Engine
    from fauxscan.scanning.inputs import filters, selection

    ignored = statuses("--ignore", ignore)
    selected = selection.select([*(paths or ()), *_read_list(list_file)], root)
    parameters = filters.add_filters(load_params(params_file), include, exclude, hidden, links)
    parameters = changed(parameters, "scan", {"check_reencoded": check_reencoded})
    scan_settings = settings.read(parameters, models or (), faces)
    if dry_run:
        forecast = dry_runs.forecast(selected.root, results, scan_settings, selected.names)
        _print(form, forecast.row(), lambda: scans.print_forecast(Console(), forecast))
        return
    summary = _scan(selected, results, Engine(scan_settings))
    _print(form, summary.row(), lambda: scans.summary(Console(), summary, results, scan_settings))
    raise typer.Exit(exit_code(summary.statuses, ignored))


def _scan(selected: "Selection", results: Path, engine: "Engine") -> "Summary":
    """Scan with a progress bar and return the summary. Raise Stopped after Ctrl-C."""
    from fauxscan.progress import Progress
    from fauxscan.scanning import scan as scanning

    with Progress("scanning", line="Scanned {} of {} new or changed files.".format) as progress:
        try:
            return scanning.scan(selected.root, results, engine, progress.update, selected.names)
        except scanning.Interrupted as stop:
            saved = f"The results of {stop.saved} of {stop.todo} new or changed files are saved."
            raise Stopped(f"{saved} Run the same command again to continue.") from None


def _read_list(list_file: str | None) -> list[str]:
    """Return the paths listed in a file, or on standard input for "-". Raise UserError if it cannot be read."""
    from fauxscan.scanning.inputs import selection

    if list_file is None:
        return []
    if list_file == "-":
        return selection.read_list(sys.stdin.buffer)
    try:
        with Path(list_file).open("rb") as file:
            return selection.read_list(file)
    except OSError as error:
        raise UserError(f"the list {list_file} cannot be read: {error.strerror}") from error


def _print(form: Format, row: Mapping[str, Any], print_text: Callable[[], None]) -> None:
    """Print a result as text for a person, or as one record of JSON or CSV."""
    from fauxscan.reporting import scans

    if form is Format.TABLE:
        print_text()
    elif form is Format.JSON:
        typer.echo(json.dumps(row, indent=1))
    else:
        typer.echo("".join(scans.csv_lines([dict(row)], list(row))), nl=False)


def check(
    files: Files,
    form: FormatOption = Format.TABLE,
    ignore: IgnoreOption = "",
    models: Models = None,
    faces: FacesOption = "auto",
    check_reencoded: CheckReencoded = None,
    params_file: ParamsFile = None,
) -> None:
    """Judge single files and print their verdicts, without writing results."""
    from fauxscan.reporting import scans
    from fauxscan.scanning import settings
    from fauxscan.scanning.engine.engine import check_files

    ignored = statuses("--ignore", ignore)
    parameters = changed(load_params(params_file), "scan", {"check_reencoded": check_reencoded})
    outcomes = check_files(files, settings.read(parameters, models or (), faces))
    rows = scans.outcome_rows(files, outcomes)
    if form is Format.JSON:
        sys.stdout.writelines(scans.json_lines(rows))
    elif form is Format.CSV:
        sys.stdout.writelines(scans.csv_lines(rows, scans.OUTCOME_COLUMNS))
    else:
        scans.outcomes(Console(), files, outcomes)
    raise typer.Exit(exit_code(Counter(outcome.status for outcome in outcomes), ignored))
