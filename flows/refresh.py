"""Prefect flow `refresh`: what `dvc repro` finds stale is made again, then a folder is scanned with the new models."""

import subprocess
import sys
from collections import deque
from pathlib import Path

from prefect import flow, get_run_logger, task
from prefect.cache_policies import NO_CACHE

from fauxscan import params
from fauxscan.scanning import scan as scanning
from fauxscan.scanning import settings
from fauxscan.scanning.engine import Engine

TAIL = 30  # lines of output that an error shows


@task(name="dvc repro", cache_policy=NO_CACHE)
def reproduce(project: Path) -> None:
    """Run `dvc repro` in the project, its output in the log. Raise RuntimeError with the end of the output."""
    log, tail = get_run_logger(), deque[str](maxlen=TAIL)
    command = [sys.executable, "-m", "dvc", "repro"]
    with subprocess.Popen(
        command, cwd=project, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as process:
        for line in process.stdout or ():
            log.info(line.rstrip())
            tail.append(line)
    if process.returncode:
        raise RuntimeError(f"`dvc repro` in {project.resolve()} ended with {process.returncode}:\n{''.join(tail)}")


@task(name="scan", cache_policy=NO_CACHE)
def scan(folder: Path, results: Path, project: Path) -> dict[str, int]:
    """Return the number of files under `folder` by status, judged with the project's models."""
    chosen = settings.read(params.load(project / "params.yaml"), project=project)
    return scanning.scan(folder, results, Engine(chosen)).statuses


@flow(name="refresh", flow_run_name="refresh {project}")
def refresh(project: str = ".", folder: str | None = None, results: str | None = None) -> dict[str, int]:
    """Return the number of files by status of the scan that follows, if a folder and results are given."""
    reproduce(Path(project))
    if folder is None or results is None:
        return {}
    return scan(Path(folder), Path(results), Path(project))
