"""The Prefect flow `refresh`: reproduce stale DVC stages, publish the evaluations, and scan folders."""

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

from fauxscan import params
from fauxscan.reporting.scans import visible
from fauxscan.scanning import settings
from fauxscan.scanning.inputs import addresses
from fauxscan.scanning.tables import evaluations

from . import missed_runs
from .scan import scan

TAIL = 30  # lines of output in an error message
UNCHANGED = "didn't change, skipping"  # in the output of DVC


@task(task_run_name="{stage}", cache_policy=NO_CACHE)
def reproduce(project: Path, stage: str) -> State[None]:
    """Reproduce a stage if it is stale, and log its output. Raise RuntimeError with the end of the output."""
    log, tail = get_run_logger(), deque[str](maxlen=TAIL)
    with _dvc(project, "repro", "--single-item", stage) as process:
        for line in process.stdout or ():
            log.info(line.rstrip())
            tail.append(line)
    _check(process, f"`dvc repro {stage}` in {project.resolve()}", tail)
    unchanged = any(UNCHANGED in line for line in tail)
    return Completed(name="Unchanged") if unchanged else Completed()


def stages(project: Path) -> list[str]:
    """Return the stages of the project's dvc.yaml in its order. Raise RuntimeError with the output of DVC."""
    with _dvc(project, "stage", "list", "--name-only") as process:
        lines = list(process.stdout or ())
    _check(process, f"`dvc stage list` in {project.resolve()}", lines)
    return [line.strip() for line in lines]


@task(task_run_name="publish evaluations at {results}", cache_policy=NO_CACHE)
def publish(project: Path, results: Path, models: Sequence[str], params_file: Path) -> int:
    """Publish the evaluations of the project, and of the others whose models a scan uses, beside its tables.

    Return the number of new rows.
    """
    log, home = get_run_logger(), params_file.parent
    used = settings.read(params.load(params_file), models, project=home).folders
    projects = dict.fromkeys([project.resolve(), *evaluations.projects(used)])
    new = {source: evaluations.publish(source, results, evaluations.revision(source)) for source in projects}
    for source, rows in new.items():
        log.info("%s: %s", visible(str(source)), f"published {rows} rows" if rows else "already published")
    return sum(new.values())


def run_name() -> str:
    """Return the name of the current run, with the absolute path of the project."""
    project: str = runtime.flow_run.parameters["project"]
    return f"refresh {Path(project).resolve()}"


@flow(name="refresh", flow_run_name=run_name, **missed_runs.HOOKS)
def refresh(project: str = ".", scans: list[dict[str, Any]] | None = None) -> Any:
    """Reproduce models and evaluations, publish the evaluations, and run `scans`: parameters of the flow `scan`.

    A scan that names no models uses those of the project, or the set `fast` if they were trained on the demo. Raise
    UserError that lists what is wrong in its params.yaml before anything is run.
    """
    if skipped := missed_runs.skipped_state():
        return skipped
    home = Path(project)
    params.validate(home / "params.yaml")
    for stage in stages(home):
        reproduce(home, stage)
    states: list[Any] = []
    for named in scans or ():
        parameters = {"params_file": str(home / "params.yaml")} | named
        results, numbers = addresses.local_path(parameters["results"]), Path(parameters["params_file"])
        states.append(publish(home, results, parameters.get("models") or (), numbers, return_state=True))
        states.append(scan(**parameters, return_state=True))
    for state in states:  # raise the first error only after all scans have run
        state.result()
    return None


def _dvc(project: Path, *arguments: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "dvc", *arguments]
    return subprocess.Popen(
        command, cwd=project, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    )


def _check(process: "subprocess.Popen[str]", command: str, output: Sequence[str]) -> None:
    if process.returncode:
        raise RuntimeError(f"{command} ended with exit code {process.returncode}:\n{''.join(output)}")
