"""How a DVC stage runs: arguments from dvc.yaml to one typed call, and errors that speak."""

import logging
import os
import sys
from collections.abc import Callable
from typing import Any

import typer

from fauxscan.records import UserError


def run(function: Callable[..., Any]) -> None:
    """Call `function` with the command line's arguments; a person's or the disk's fault ends it with its message."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        typer.run(function)
    except UserError as error:
        sys.exit(f"{function.__name__}: {error}")
    except OSError as error:
        said = f"{error.filename}: {error.strerror}" if error.filename else f"{type(error).__name__}: {error}"
        sys.exit(f"{function.__name__}: {said}. Mend it and run the same again.")
