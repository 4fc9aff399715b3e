"""The command line `fauxscan`."""

import logging
import signal
import sys
from collections.abc import Callable, Sequence
from io import TextIOWrapper
from typing import Annotated

import typer

import fauxscan
from fauxscan.commands import doctor, experiments, reports, scans, training
from fauxscan.commands.help import PlainCommand, PlainGroup
from fauxscan.commands.models import group
from fauxscan.commands.options import OK, STOPPED, WRONG, Stopped
from fauxscan.console.interrupts import Interrupts
from fauxscan.console.noise import quiet_libraries
from fauxscan.installation.requirements import checked_installation
from fauxscan.records import UserError

PANELS = {
    "Scan": (scans.scan, scans.check, doctor.doctor),
    "Read results": (
        reports.latest, reports.top, reports.history, reports.runs, reports.diff, reports.report, reports.export,
        reports.publish,
    ),
    "Train and evaluate": (
        training.train, training.calibrate, training.predict, experiments.audit, experiments.preset,
        experiments.validate,
        experiments.import_weights, reports.results, reports.protocol,
    ),
}  # fmt: skip
app = typer.Typer(
    cls=PlainGroup,
    help="Find synthetic and manipulated faces in folders of images and videos, with calibrated probabilities.",
    add_completion=False,
    pretty_exceptions_enable=False,
)
for panel, commands in PANELS.items():
    for command in commands:
        app.command(cls=PlainCommand, rich_help_panel=panel)(command)
app.add_typer(group.app, name="models", rich_help_panel="Read results")


def _print_version(requested: bool) -> None:
    if requested:
        typer.echo(f"fauxscan {fauxscan.__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def options(
    context: typer.Context,
    _: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_print_version, help="Print the version and exit.")
    ] = False,
) -> None:
    """Handle the options before a command. Without a command, print the help."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def run(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code.

    0: success. 2: a file could not be judged (`unsupported` does not count), an audit failed, or something is missing.
    3: wrong use or configuration. 130: stopped by Ctrl-C.
    """
    try:
        with checked_installation():
            code = app(arguments, prog_name="fauxscan", standalone_mode=False)
    except UserError as error:
        return _report_error(str(error))
    except Stopped as stopped:
        return _report_stop(f" {stopped}")
    except typer.TyperException as error:
        return _report_error(_usage_error(error))
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return _report_error(f"{where}{error.strerror or error}. Fix this and run the same command again.")
    return _report_stop() if code == STOPPED else int(code or OK)


def _usage_error(error: typer.TyperException) -> str:
    """Return what is wrong with the arguments, and whose help to see: that of the command in question."""
    context = getattr(error, "ctx", None)
    command = context.command_path if context else "fauxscan"
    message = error.format_message().replace("Value error, ", "")  # which pydantic puts before choices
    return f"{message}\nSee `{command} --help`."


def _report_stop(kept: str = "") -> int:
    typer.echo(f"fauxscan: stopped.{kept}", err=True)
    return STOPPED


def _report_error(message: str) -> int:
    typer.echo(f"fauxscan: {message}", err=True)
    return WRONG


def _answer_interrupts() -> Callable[[], None]:
    """Answer Ctrl-C, and return a function that does so while TensorFlow is imported."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        return Interrupts().answer_apart
    return lambda: None  # background jobs of a shell ignore it


def main() -> None:
    """Run the command line."""
    quiet_libraries(_answer_interrupts())
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # for names that the terminal's encoding lacks
    logging.basicConfig(format="%(message)s", stream=sys.stderr)
    logging.getLogger("fauxscan").setLevel(logging.INFO)  # other libraries log warnings only
    sys.exit(run())
