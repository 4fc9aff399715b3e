"""Commands that read what was written."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from fauxscan.commands.options import Format, Results


def latest(
    results: Results,
    form: Annotated[Format, typer.Option("--format", help="table, csv or json.")] = Format.TABLE,
) -> None:
    """Print the latest state of every path in the tables."""
    from fauxscan.scanning import printing, tables

    rows = tables.latest(results).to_pylist()
    if form is Format.JSON:
        typer.echo(json.dumps(rows, default=bytes.hex, indent=1))
    elif form is Format.CSV:
        typer.echo(printing.csv_text(rows, tables.MEDIA.names), nl=False)
    else:
        printing.states(Console(), rows)


def results(
    reports: Annotated[Path, typer.Option("--reports", help="The folder that the stage `report` wrote.")] = Path(
        "reports"
    ),
) -> None:
    """Print how good each evaluated model is, and where the tables and the page are."""
    from fauxscan.reporting import terminal

    terminal.show(Console(), reports)
