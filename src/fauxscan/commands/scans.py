"""Commands that judge files."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from fauxscan import params
from fauxscan.commands.options import OK, UNJUDGED, Faces, FacesOption, Models, ParamsFile, Results
from fauxscan.records import Status, UserError


def scan(
    folder: Annotated[Path, typer.Argument(help="The folder to scan, with all below it.")],
    results: Results,
    models: Models = None,
    faces: FacesOption = Faces.DETECT,
    params_file: ParamsFile = Path("params.yaml"),
) -> None:
    """Scan a folder into Parquet tables: what is new or changed since the last scan is judged."""
    from fauxscan.scanning import printing, progress, settings
    from fauxscan.scanning import scan as scanning
    from fauxscan.scanning.engine import Engine

    scanning.check_folder(folder)
    chosen = settings.read(params.load(params_file), models or (), faces.value)
    with progress.shown(Console(stderr=True)) as tell:
        summary = scanning.scan(folder, results, Engine(chosen), tell)
    printing.summary(Console(), summary, results, chosen)
    raise typer.Exit(UNJUDGED if summary.unjudged else OK)


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
