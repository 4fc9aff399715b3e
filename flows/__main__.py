"""The flows from a terminal: `python -m flows scan FOLDER --results DIR`, with a server of their own if need be."""

from typing import Annotated, Any

import typer
from prefect.exceptions import ParameterTypeError

from fauxscan.records import Status, UserError
from fauxscan.scanning.settings import Mode

app = typer.Typer(help="Scans and refreshes as Prefect runs them.", no_args_is_help=True, add_completion=False)
OK, UNJUDGED, WRONG = 0, 2, 3  # as `fauxscan scan` ends


@app.command()
def scan(
    folder: Annotated[str, typer.Argument(help="A folder, or a prefix in an object store.")],
    results: Annotated[str, typer.Option(help="Where the tables go.")],
    models: Annotated[list[str] | None, typer.Option(help="Model folders. Else: those of params.yaml.")] = None,
    faces: Annotated[Mode, typer.Option(help="Find faces, or take every image as one face crop.")] = "detect",
    cluster: Annotated[
        str | None, typer.Option(help="A Dask scheduler's address, or how many processes to start here. Else: threads.")
    ] = None,
    params_file: Annotated[str, typer.Option("--params", help="The parameters.")] = "params.yaml",
) -> None:
    """Scan a folder, on one machine or a cluster."""
    from flows import scan as scanning

    where = int(cluster) if cluster and cluster.isdigit() else cluster
    try:
        statuses: Any = scanning.scan(folder, results, models, faces, params_file, cluster=where)
    except (UserError, ParameterTypeError) as error:
        typer.echo(f"fauxscan: {error}", err=True)
        raise typer.Exit(WRONG) from error
    unjudged = sum(statuses.values()) - statuses[Status.OK]
    raise typer.Exit(UNJUDGED if unjudged else OK)


@app.command()
def refresh(project: Annotated[str, typer.Option(help="The folder of dvc.yaml.")] = ".") -> None:
    """Make again what DVC finds stale, each stage a task."""
    from flows import refresh as refreshing

    refreshing.refresh(project)


if __name__ == "__main__":
    app()
