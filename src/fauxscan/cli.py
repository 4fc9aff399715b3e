"""The command line: the library's functions for a person at a terminal."""

import logging
import os
import signal
import sys
from collections.abc import Sequence
from importlib.metadata import version
from typing import Annotated, Any

import typer

from fauxscan.commands import experiments, machine, reports, scans, training
from fauxscan.commands.options import OK, STOPPED, WRONG
from fauxscan.records import UserError

app = typer.Typer(
    help="Finds synthetic and manipulated faces in folders of images and videos, and says how sure it is.",
    add_completion=False,
    pretty_exceptions_enable=False,
)
for command in (
    scans.scan,
    scans.check,
    reports.latest,
    reports.top,
    reports.history,
    reports.runs,
    reports.diff,
    reports.models,
    reports.publish,
    machine.doctor,
    experiments.audit,
    training.train,
    training.predict,
    experiments.preset,
    experiments.import_weights,
    reports.results,
):
    app.command()(command)


def _tell_version(asked: bool) -> None:
    if asked:
        typer.echo(f"fauxscan {version('fauxscan')}")
        raise typer.Exit


@app.callback()
def options(
    _: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_tell_version, help="Print the version and exit.")
    ] = False,
) -> None:
    """Take what goes before a command."""


def run(arguments: Sequence[str] | None = None) -> int:
    """Return the exit code: 0 all well, 2 something not judged, not passed or missing, 3 wrong use or configuration."""
    try:
        code = app(arguments, standalone_mode=False)
    except UserError as error:
        return _wrong(str(error))
    except typer.TyperException as error:
        return _wrong(f"{error.format_message()}\nSee `fauxscan --help`.")
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return _wrong(f"{where}{error.strerror or error}. What is done so far is kept: mend it and run the same again.")
    if code == STOPPED:
        typer.echo("fauxscan: stopped. What is done so far is kept: run the same again for the rest.", err=True)
    return int(code or OK)


def _wrong(message: str) -> int:
    typer.echo(f"fauxscan: {message}", err=True)
    return WRONG


def _stop_once(*_: Any) -> None:
    """Stop in order, which takes some seconds; who presses Ctrl-C again does not break that off."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    raise KeyboardInterrupt


def main() -> None:
    """Run the command line."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # a shell's background jobs ignore it
        signal.signal(signal.SIGINT, _stop_once)
    logging.basicConfig(format="%(message)s", stream=sys.stderr)
    logging.getLogger("fauxscan").setLevel(logging.INFO)  # what libraries do is told where it goes wrong
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.exit(run())
