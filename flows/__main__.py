"""Run the flows from a terminal: `python -m flows scan FOLDER --results DIR` starts a Prefect server if none runs."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from prefect.exceptions import ParameterTypeError

from fauxscan.records import Framing, UserError
from fauxscan.scanning.rows import failures

from . import server

app = typer.Typer(help="Run scans and refreshes with Prefect.", no_args_is_help=True, add_completion=False)
OK, UNJUDGED, WRONG = 0, 2, 3  # the exit codes of `fauxscan scan`


@app.command()
def scan(
    folder: Annotated[str, typer.Argument(help="Folder or prefix in an object store to scan.")],
    results: Annotated[str, typer.Option(help="Folder of the tables.")],
    models: Annotated[
        list[str] | None,
        typer.Option(help="Folders of models, or names of model sets. Default: as for `fauxscan scan`."),
    ] = None,
    faces: Annotated[
        Framing, typer.Option(help="Find faces, take every image as one face crop, or decide for each image.")
    ] = "auto",
    cluster: Annotated[
        str | None,
        typer.Option(
            help="Address of a Dask scheduler, or number of processes to start on this machine. "
            "Default: threads of this process."
        ),
    ] = None,
    params_file: Annotated[
        str | None,
        typer.Option(
            "--params",
            help="File with the parameters. Default: params.yaml in the current folder, or the built-in values if "
            "there is none.",
        ),
    ] = None,
) -> None:
    """Scan a folder on one machine or a cluster."""
    from . import scan as scan_flow

    workers = int(cluster) if cluster and cluster.isdigit() else cluster
    with _errors_shown(), server.found_or_started():
        statuses: Any = scan_flow.scan(folder, results, models, faces, params_file, cluster=workers)
    raise typer.Exit(UNJUDGED if failures(statuses) else OK)


@app.command()
def refresh(project: Annotated[str, typer.Option(help="Folder that contains dvc.yaml.")] = ".") -> None:
    """Reproduce every stale DVC stage; each stage is a task."""
    from . import refresh as refresh_flow

    with _errors_shown(), server.found_or_started():
        refresh_flow.refresh(project)


@contextmanager
def _errors_shown() -> Iterator[None]:
    """Show a person's mistake in the block without a traceback, and exit."""
    try:
        yield
    except (UserError, ParameterTypeError) as error:
        typer.echo(f"fauxscan: {error}", err=True)
        raise typer.Exit(WRONG) from error


if __name__ == "__main__":
    app()
