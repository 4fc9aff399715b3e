"""Scan folders into tables, and read the tables."""

import os
from pathlib import Path

import pyarrow as pa

from fauxscan.api.detector import Models, ParamsLike, read_settings
from fauxscan.installation.requirements import checked_installation
from fauxscan.records import Framing
from fauxscan.scanning import scan as scanning
from fauxscan.scanning.engine.engine import Engine
from fauxscan.scanning.inputs import roots
from fauxscan.scanning.scan import OnProgress, Summary
from fauxscan.scanning.tables import queries


@checked_installation()
def scan(
    folder: str | os.PathLike[str],
    results: str | os.PathLike[str],
    models: Models | None = None,
    *,
    faces: Framing = "auto",
    params: ParamsLike = None,
    on_progress: OnProgress | None = None,
) -> Summary:
    """Judge the new and changed files below a folder (or an address such as s3://BUCKET), and return what changed.

    The tables are in the folder `results`. `on_progress` is called with the numbers of files done and to do. Raise
    InputError, MissingExtraError, ModelError, ParamsError, PlatformError and ResultsError.
    """
    engine = Engine(read_settings(models, faces, params))
    return scanning.scan(roots.root_at(os.fspath(folder)), Path(results), engine, on_progress)


def read(results: str | os.PathLike[str]) -> pa.Table:
    """Return the current row of every file, as `fauxscan latest` shows it. Raise ResultsError."""
    return queries.latest(Path(results))
