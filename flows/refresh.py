"""Prefect flow `refresh`: what DVC finds stale is made again, its figures are published, and folders are scanned."""

import subprocess
import sys
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from prefect import flow, get_run_logger, runtime, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.states import Completed

from fauxscan.scanning import addresses, evaluations
from flows import catching_up
from flows.scan import scan

TAIL = 30  # lines of output that an error shows
UNCHANGED = "didn't change, skipping"  # as DVC says it


@task(task_run_name="{stage}", cache_policy=NO_CACHE)
def reproduce(project: Path, stage: str) -> State[None]:
    """Make a stage again if it is stale, its output in the log. Raise RuntimeError with the end of the output."""
    log, tail = get_run_logger(), deque[str](maxlen=TAIL)
    with _dvc(project, "repro", "--single-item", stage) as process:
        for line in process.stdout or ():
            log.info(line.rstrip())
            tail.append(line)
    _check(process, f"`dvc repro {stage}` in {project.resolve()}", tail)
    unchanged = any(UNCHANGED in line for line in tail)
    return Completed(name="Unchanged") if unchanged else Completed()


def stages(project: Path) -> list[str]:
    """Return the stages of the project's dvc.yaml, in its order. Raise RuntimeError with what DVC said."""
    with _dvc(project, "stage", "list", "--name-only") as process:
        lines = list(process.stdout or ())
    _check(process, f"`dvc stage list` in {project.resolve()}", lines)
    return [line.strip() for line in lines]


@task(task_run_name="publish evaluations at {results}", cache_policy=NO_CACHE)
def publish(project: Path, results: Path) -> int:
    """Return how many rows of figures are new beside the scans at `results`."""
    return evaluations.publish(project, results, evaluations.revision(project))


def named() -> str:
    """Return the name of the run that begins: the folder by its name, also where it is `.`."""
    project: str = runtime.flow_run.parameters["project"]
    return f"refresh {Path(project).resolve()}"


@flow(name="refresh", flow_run_name=named, **catching_up.HOOKS)
def refresh(project: str = ".", scans: list[dict[str, Any]] | None = None) -> Any:
    """Bring models and figures up to date, publish the figures, then run `scans`: parameters of the flow `scan`.

    Where a scan names no models, it judges with those of the project.
    """
    if skipped := catching_up.skipped():
        return skipped
    home = Path(project)
    for stage in stages(home):
        reproduce(home, stage)
    ended: list[Any] = []
    for one in scans or ():
        ended.append(publish(home, addresses.no_address(one["results"]), return_state=True))
        ended.append(scan(**{"params_file": str(home / "params.yaml")} | one, return_state=True))
    for state in ended:  # what failed has not kept the others from being run
        state.result()
    return None


def _dvc(project: Path, *arguments: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "dvc", *arguments]
    return subprocess.Popen(
        command, cwd=project, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    )


def _check(process: "subprocess.Popen[str]", what: str, said: Sequence[str]) -> None:
    if process.returncode:
        raise RuntimeError(f"{what} ended with {process.returncode}:\n{''.join(said)}")
