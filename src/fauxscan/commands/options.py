"""What commands share: their options, their exit codes, and how arguments are read."""

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from fauxscan.records import UserError
from fauxscan.scanning import addresses

OK, UNJUDGED, WRONG, STOPPED = 0, 2, 3, 130

Models = Annotated[
    list[Path] | None,
    typer.Option("--models", metavar="FOLDER", help="A model or ensemble folder; repeatable. Else: params.yaml's."),
]
ParamsFile = Annotated[Path, typer.Option("--params", help="The file with all numbers.")]
Results = Annotated[
    Path,
    typer.Option("--results", metavar="FOLDER", parser=addresses.no_address, help="The folder of the tables."),
]


class Faces(StrEnum):
    """What is taken of an image."""

    DETECT = "detect"
    WHOLE = "whole"


class Format(StrEnum):
    """How rows are printed."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"


FacesOption = Annotated[
    Faces, typer.Option("--faces", help="detect: as each model wants them; whole: every image is a face crop.")
]
FormatOption = Annotated[Format, typer.Option("--format", help="table, csv or json.")]


def pairs(option: str, given: Sequence[str], form: str = "FOLDER=VALUE") -> dict[str, str]:
    """Return NAME=VALUE arguments as a dictionary. Raise UserError for any other."""
    if wrong := [text for text in given if "=" not in text]:
        raise UserError(f"{option} {wrong[0]!r} is not of the form {form}")
    return {name: value for name, _, value in (text.rpartition("=") for text in given)}


def value(text: str) -> object:
    """Return what a text means in YAML: 299, elu, {leaky_relu: 0.3}. Raise UserError if it is none."""
    import yaml

    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UserError(f"{text!r} is no value as YAML has them: {error}") from error


def given(values: dict[str, object]) -> dict[str, object]:
    """Return what was said on the command line."""
    return {name: value for name, value in values.items() if value is not None}
