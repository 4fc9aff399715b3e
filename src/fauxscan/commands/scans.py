"""Commands that judge files."""

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from fauxscan import params
from fauxscan.commands.options import (
    OK,
    UNJUDGED,
    Faces,
    FacesOption,
    Format,
    FormatOption,
    Models,
    ParamsFile,
    Results,
)
from fauxscan.params import Links
from fauxscan.records import Status, UserError

Paths = Annotated[
    list[str] | None,
    typer.Argument(metavar="PATH", help="Folders, with all below them, and files; or s3://BUCKET/PREFIX, gs://..."),
]
Listed = Annotated[
    str | None,
    typer.Option("--list", metavar="FILE", help="A file with paths, one a line or each ended by NUL; - reads input."),
]
Root = Annotated[
    str | None,
    typer.Option(
        "--root",
        metavar="FOLDER",
        help="What paths in the tables are relative to. Keep it the same between scans, or files are new to the next. "
        "Else: the one folder named, or the deepest that holds all.",
    ),
]
Include = Annotated[
    list[str] | None,
    typer.Option("--include", metavar="PATTERN", help="Only files that match, as in .gitignore; repeatable."),
]
Exclude = Annotated[
    list[str] | None,
    typer.Option("--exclude", metavar="PATTERN", help="No files or folders that match, as in .gitignore; repeatable."),
]
Hidden = Annotated[
    bool | None, typer.Option("--hidden/--no-hidden", help="Names that begin with a dot. Else: params.yaml's.")
]
LinksOption = Annotated[
    Links | None,
    typer.Option("--links", help="Which are followed: none, those that lead to below the root, or all."),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done and what it would cost; do nothing.")]


def scan(
    paths: Paths = None,
    *,
    results: Results,
    listed: Listed = None,
    root: Root = None,
    include: Include = None,
    exclude: Exclude = None,
    hidden: Hidden = None,
    links: LinksOption = None,
    dry_run: DryRun = False,
    form: FormatOption = Format.TABLE,
    models: Models = None,
    faces: FacesOption = Faces.DETECT,
    params_file: ParamsFile = Path("params.yaml"),
) -> None:
    """Scan folders and files into Parquet tables: what is new or changed since the last scan is judged."""
    from fauxscan.scanning import dry_run as rehearsal
    from fauxscan.scanning import filters, printing, progress, selection, settings
    from fauxscan.scanning import scan as scanning
    from fauxscan.scanning.engine import Engine

    chosen = selection.select([*(paths or ()), *_read_list(listed)], root)
    numbers = filters.given(params.load(params_file), include, exclude, hidden, links)
    judged_by = settings.read(numbers, models or (), faces.value)
    if dry_run:
        foreseen = rehearsal.foresee(chosen.root, results, judged_by, chosen.names)
        _print(form, foreseen.row(), lambda: printing.foreseen(Console(), foreseen))
        return
    with progress.shown(Console(stderr=True)) as tell:
        summary = scanning.scan(chosen.root, results, Engine(judged_by), tell, chosen.names)
    _print(form, summary.row(), lambda: printing.summary(Console(), summary, results, judged_by))
    raise typer.Exit(UNJUDGED if summary.unjudged else OK)


def _read_list(listed: str | None) -> list[str]:
    """Return the paths in the list that is named, if one is."""
    from fauxscan.scanning import selection

    if listed is None:
        return []
    if listed == "-":
        return selection.read_list(sys.stdin.buffer)
    try:
        with Path(listed).open("rb") as file:
            return selection.read_list(file)
    except OSError as error:
        raise UserError(f"the list {listed} cannot be read: {error.strerror}") from error


def _print(form: Format, row: Mapping[str, Any], show: Callable[[], None]) -> None:
    """Print what was found: for a person, or as one record."""
    from fauxscan.scanning import printing

    if form is Format.TABLE:
        show()
    elif form is Format.JSON:
        typer.echo(json.dumps(row, indent=1))
    else:
        typer.echo("".join(printing.csv_lines([dict(row)], list(row))), nl=False)


def check(
    files: Annotated[list[Path], typer.Argument(help="Images and videos.")],
    models: Models = None,
    faces: FacesOption = Faces.DETECT,
    params_file: ParamsFile = Path("params.yaml"),
) -> None:
    """Judge single files and print the verdicts; nothing is written."""
    from fauxscan.scanning import printing, settings
    from fauxscan.scanning.engine import check_files

    if folders := [str(file) for file in files if file.is_dir()]:
        raise UserError(f"{', '.join(folders)} is a folder: use `fauxscan scan FOLDER --results DIR`")
    outcomes = check_files(files, settings.read(params.load(params_file), models or (), faces.value))
    printing.outcomes(Console(), files, outcomes)
    raise typer.Exit(OK if all(outcome.status == Status.OK for outcome in outcomes) else UNJUDGED)
