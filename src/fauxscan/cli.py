"""The command line `fauxscan`."""

import atexit
import logging
import os
import signal
import subprocess
import sys
import warnings
from collections.abc import Sequence
from contextlib import suppress
from importlib.abc import MetaPathFinder
from importlib.metadata import version
from io import TextIOWrapper
from typing import Annotated, Any

import typer

from fauxscan.commands import doctor, experiments, reports, scans, training
from fauxscan.commands.help import PlainCommand, PlainGroup
from fauxscan.commands.options import OK, STOPPED, WRONG
from fauxscan.records import UserError

PANELS = {
    "Scan": (scans.scan, scans.check, doctor.doctor),
    "Read results": (
        reports.latest, reports.top, reports.history, reports.runs, reports.diff, reports.models, reports.publish,
    ),
    "Train and evaluate": (
        training.train, training.calibrate, training.predict, experiments.audit, experiments.preset,
        experiments.validate,
        experiments.import_weights, reports.results,
    ),
}  # fmt: skip
STOPPING = b"fauxscan: stopping ...\n"
# What TensorFlow, absl and oneDNN print although nothing is wrong, as a pattern for grep: messages that are not errors,
# and complaints of CUDA about machines without a GPU. TF_CPP_MIN_LOG_LEVEL does not apply to all of them.
NOISE = "|".join((
    "^WARNING: All log messages before absl::InitializeLog",
    r"^[IW][0-9]{4} [0-9:.]+ +[0-9]+ [^ ]+:[0-9]+\]",
    r"^[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9:.]+: [IW] ",
    "Unable to register cu[A-Z]+ (plugin )?factory",
    "failed call to cuInit",
    "^To enable the following instructions",
))  # fmt: skip
app = typer.Typer(
    cls=PlainGroup,
    help="Find synthetic and manipulated faces in folders of images and videos, with calibrated probabilities.",
    add_completion=False,
    pretty_exceptions_enable=False,
)
for panel, commands in PANELS.items():
    for command in commands:
        app.command(cls=PlainCommand, rich_help_panel=panel)(command)


def _print_version(requested: bool) -> None:
    if requested:
        typer.echo(f"fauxscan {version('fauxscan')}")
        raise typer.Exit


@app.callback()
def options(
    _: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_print_version, help="Print the version and exit.")
    ] = False,
) -> None:
    """Handle the options before a command."""


def run(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code.

    0: success. 2: a file could not be judged (`unsupported` does not count), an audit failed, or something is missing.
    3: wrong use or configuration. 130: stopped by Ctrl-C.
    """
    try:
        code = app(arguments, standalone_mode=False)
    except UserError as error:
        return _report_error(str(error))
    except typer.TyperException as error:
        return _report_error(f"{error.format_message()}\nSee `fauxscan --help`.")
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        remedy = "Progress is saved. Fix this and run the same command again."
        return _report_error(f"{where}{error.strerror or error}. {remedy}")
    if code == STOPPED:
        typer.echo("fauxscan: stopped. Progress is saved. Run the same command again to continue.", err=True)
    return int(code or OK)


def _report_error(message: str) -> int:
    typer.echo(f"fauxscan: {message}", err=True)
    return WRONG


def _stop_once(*_: Any) -> None:
    """Say that the command stops, stop in order, which takes a few seconds, and ignore further Ctrl-C meanwhile."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with suppress(AttributeError, OSError):  # there is no standard error
        begin = b"\n" if sys.stderr.isatty() else b""  # after ^C or a progress bar
        os.write(sys.stderr.fileno(), begin + STOPPING)  # unbuffered: the signal may have interrupted another write
    raise KeyboardInterrupt


class _TensorFlowWatch(MetaPathFinder):
    """Starts the filter of descriptor 2 when TensorFlow is about to be imported. It finds no modules itself."""

    def __init__(self, stderr: int) -> None:
        self._stderr, self._filters = stderr, False

    def find_spec(self, name: str, *_: Any) -> None:
        """Return None, so that other finders find the module."""
        if name == "tensorflow" and not self._filters:
            self._filters = True
            _filter_noise(self._stderr)


def _filter_noise(stderr: int) -> None:
    """Drop NOISE from what C++ code writes to descriptor 2, by way of another process.

    Unlike a thread or a file, that process also passes on the last words of a process that crashes.
    """
    command = ["grep", "-a", "-v", "-E", "--line-buffered", NOISE]
    environment = {**os.environ, "LC_ALL": "C"}
    try:  # a process group of its own: Ctrl-C reaches only the parent
        grep = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=stderr, env=environment, process_group=0)
    except OSError:  # without grep the noise is shown
        return
    with grep.stdin:  # type: ignore[union-attr]
        os.dup2(grep.stdin.fileno(), 2)  # type: ignore[union-attr]
    atexit.register(_end_filter, grep, stderr)


def _end_filter(grep: "subprocess.Popen[bytes]", stderr: int) -> None:
    os.dup2(stderr, 2)
    with suppress(subprocess.TimeoutExpired):
        grep.wait(1)


def _quiet_libraries() -> None:
    """Keep standard error for our own lines and real errors, without changing how libraries compute."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
    if isinstance(sys.stderr, TextIOWrapper):  # from now on only C++ code and other processes use descriptor 2
        ours = os.dup(sys.stderr.fileno())
        sys.stderr = open(ours, "w", buffering=1, encoding=sys.stderr.encoding)  # noqa: SIM115
        sys.meta_path.insert(0, _TensorFlowWatch(ours))


def main() -> None:
    """Run the command line."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # background jobs of a shell ignore it
        signal.signal(signal.SIGINT, _stop_once)
    _quiet_libraries()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # for names that the terminal's encoding lacks
    logging.basicConfig(format="%(message)s", stream=sys.stderr)
    logging.getLogger("fauxscan").setLevel(logging.INFO)
    for name in ("tensorflow", "absl"):  # other libraries also log warnings
        logging.getLogger(name).setLevel(logging.ERROR)
    sys.exit(run())
