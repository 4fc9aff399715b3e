"""How the script of a DVC stage runs: arguments from dvc.yaml, one typed call, and errors as messages."""

import logging
import os
import sys
from collections.abc import Callable
from typing import Any

import typer

from fauxscan import params
from fauxscan.records import UserError


def run(function: Callable[..., Any]) -> None:
    """Check params.yaml as a whole, then call `function` with the command line's arguments.

    A UserError or OSError ends the process with its message.
    """
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        params.validate()
        typer.run(function)
    except UserError as error:
        sys.exit(f"{function.__name__}: {error}")
    except OSError as error:
        reason = f"{error.filename}: {error.strerror}" if error.filename else f"{type(error).__name__}: {error}"
        sys.exit(f"{function.__name__}: {reason}. Fix this and run the same command again.")
