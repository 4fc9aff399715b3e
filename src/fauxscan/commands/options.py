"""Options that several commands share, panels of their help, exit codes, and the parsing of arguments."""

import logging
from collections.abc import Collection, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from fauxscan import params
from fauxscan.params import Params
from fauxscan.params.known import unknown
from fauxscan.records import FaceMode, Framing, Status, UserError
from fauxscan.scanning.inputs import addresses
from fauxscan.scanning.rows import failures

log = logging.getLogger(__name__)
OK, UNJUDGED, WRONG, STOPPED = 0, 2, 3, 130

# Panels that group the options of a command in its help.
FILES = "Files"
RESULTS = "Results"
VERDICTS = "Verdicts"
MODEL = "Models and parameters"
DATA = "Data"
TRAINING = "Training"


class Stopped(Exception):
    """Ctrl-C in a command that keeps what it has done: the message says what is kept and how to continue."""


class Format(StrEnum):
    """How rows are printed."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"


class ExportFormat(StrEnum):
    """What results are exported as."""

    CSV = "csv"
    JSON_LINES = "jsonl"
    CASE = "case"


Models = Annotated[
    list[str] | None,
    typer.Option(
        "--models",
        metavar="NAME|FOLDER",
        rich_help_panel=MODEL,
        help="Name of a model set (see `fauxscan models list`), or folder of a model or ensemble. Repeatable. Default: "
        "the models in params.yaml, or the set `fast` if there are none, or none but those of the demo.",
    ),
]
ParamsFile = Annotated[
    Path | None,
    typer.Option(
        "--params",
        metavar="FILE",
        rich_help_panel=MODEL,
        show_default=False,
        help="Read parameters from FILE. Default: params.yaml in the current folder, or the built-in values if there "
        "is none.",
    ),
]
Results = Annotated[
    Path,
    typer.Option(
        "--results",
        metavar="FOLDER",
        parser=addresses.local_path,
        rich_help_panel=RESULTS,
        help="Folder of the result tables.",
    ),
]
IgnoreOption = Annotated[
    str,
    typer.Option(
        "--ignore",
        metavar="STATUS,...",
        rich_help_panel=RESULTS,
        show_default=False,
        help="Do not exit with 2 because of files with these statuses, such as no_face,too_small. `unsupported` never "
        "causes it. Default: none.",
    ),
]
FacesOption = Annotated[
    Framing,
    typer.Option(
        "--faces",
        rich_help_panel=MODEL,
        show_default=False,
        help="For models that look at faces, find the faces in each image (detect), take the whole image as one face "
        "(whole), or take it whole only if it is itself a face crop (auto). Default: auto.",
    ),
]
CropsOption = Annotated[  # of commands that work on crops
    FaceMode,
    typer.Option(
        "--faces",
        rich_help_panel=MODEL,
        show_default=False,
        help="For models that look at faces, find the faces in each image (detect), or take the whole image as one "
        "face (whole). Default: whole.",
    ),
]
CheckReencoded = Annotated[
    bool | None,
    typer.Option(
        "--check-reencoded/--no-check-reencoded",
        rich_help_panel=VERDICTS,
        help="Judge an image or video whose verdict is near its threshold again after re-encoding it as JPEG, and call "
        "it uncertain if the verdict changes. Default: the setting in params.yaml.",
    ),
]
FormatOption = Annotated[
    Format,
    typer.Option(
        "--format", rich_help_panel=RESULTS, show_default=False, help="How to print the results. Default: table."
    ),
]


def load_params(file: Path | None) -> Params:
    """Return the parameters and log which file they come from. Raise ParamsError."""
    parameters = params.load(file)
    used = params.find(file)
    log.info("Parameters: %s", used.resolve() if used else "built-in, because the current folder has no params.yaml")
    return parameters


def new_folder(out: Path) -> Path:
    """Return the model folder that a command is to write. Raise InputError if it exists, before any work is done."""
    from fauxscan import models

    return models.refuse_existing(out)


def pairs(option: str, arguments: Sequence[str], form: str = "FOLDER=VALUE") -> dict[str, str]:
    """Return NAME=VALUE arguments as a dictionary. Raise UserError for an argument without "="."""
    if wrong := [text for text in arguments if "=" not in text]:
        raise UserError(f"{option} {wrong[0]!r} does not have the form {form}")
    return {name: value for name, _, value in (text.rpartition("=") for text in arguments)}


def statuses(option: str, text: str) -> frozenset[Status]:
    """Return the statuses in a list with commas. Raise UserError for an unknown one."""
    names = [name.strip() for name in text.split(",") if name.strip()]
    if wrong := [name for name in names if name not in list(Status)]:
        raise UserError(f"{option}: {unknown('status', wrong[0], map(str, Status), 'Statuses')}")
    return frozenset(map(Status, names))


def exit_code(counts: Mapping[str, int], ignored: Collection[str] = ()) -> int:
    """Return the exit code for the number of files by status."""
    return UNJUDGED if failures(counts, ignored) else OK


def value(text: str) -> object:
    """Return the value of a YAML text such as 299, elu or {leaky_relu: 0.3}. Raise UserError if it is not valid."""
    import yaml

    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UserError(f"{text!r} is not a valid YAML value: {error}") from error


def given(values: dict[str, object]) -> dict[str, object]:
    """Return the options that were given on the command line."""
    return {name: value for name, value in values.items() if value is not None}
