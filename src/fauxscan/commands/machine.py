"""The command that looks at the machine."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from fauxscan.commands.options import OK, UNJUDGED, Models, ParamsFile

FINDING = ("name", "state", "detail")


def doctor(
    results: Annotated[Path | None, typer.Option("--results", help="A folder that scans are to write to.")] = None,
    models: Models = None,
    deep: Annotated[
        bool, typer.Option("--deep", help="Import TensorFlow and list its devices, which takes long.")
    ] = False,
    params_file: ParamsFile = Path("params.yaml"),
) -> None:
    """Print what this machine has and lacks for a scan, and what to do; 2 if a scan cannot run."""
    from fauxscan import doctor as examining
    from fauxscan.scanning import printing

    findings = list(examining.examine(params_file, models or (), results, deep))
    printing.table(Console(), map(asdict, findings), FINDING)
    raise typer.Exit(UNJUDGED if any(one.state == examining.State.MISSING for one in findings) else OK)
