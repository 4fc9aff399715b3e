"""Prefect flow `scan`: when a folder is scanned and what is tried again. The scan itself is the library's."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from prefect import flow, get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.tasks import Task
from prefect.utilities.annotations import quote

from fauxscan import params
from fauxscan.params import Links
from fauxscan.scanning import filters, selection, settings, tables
from fauxscan.scanning import scan as scanning
from fauxscan.scanning.engine import Engine
from fauxscan.scanning.rows import Entry
from fauxscan.scanning.scan import Summary, Work
from fauxscan.scanning.selection import Selection
from fauxscan.scanning.settings import Mode

RETRY_DELAYS_S = [10.0, 60.0]  # a file system that is away for a moment is back by then


def is_io_error(task: Task[..., Any], run: TaskRun, state: State[Any]) -> bool:
    """Return whether a task failed on reading or writing: nothing else is better the next time."""
    return isinstance(state.result(raise_on_failure=False), OSError)


@task(cache_policy=NO_CACHE)  # skipping work that is done is the ledger's job
def prepare(chosen: Selection, results: Path, engine: Engine) -> Work:
    """Return what there is to do."""
    return scanning.prepare(chosen.root, results, engine, chosen.names)


@task(cache_policy=NO_CACHE, retry_delay_seconds=RETRY_DELAYS_S, retry_condition_fn=is_io_error)
def score(work: Work, batch: Sequence[Entry]) -> None:
    """Judge one batch and stage it."""
    scanning.score_batch(work, batch)


@task(cache_policy=NO_CACHE, retry_delay_seconds=RETRY_DELAYS_S, retry_condition_fn=is_io_error)
def finish(work: Work) -> Summary:
    """Publish, and return how the scan ended."""
    return scanning.finish(work)


@flow(name="scan", flow_run_name="scan {folder}")
def scan(
    folder: str,
    results: str,
    models: list[str] | None = None,
    faces: Mode = "detect",
    params_file: str = "params.yaml",
    *,
    paths: list[str] | None = None,
    include: list[str] | None = None,
    exclude: list[str] | None = None,
    hidden: bool | None = None,
    links: Links | None = None,
) -> dict[str, int]:
    """Return the number of files under `folder` by status, their rows being in the tables at `results`.

    All of the folder is scanned, or the `paths` in it. Patterns are added to those in params.yaml.
    """
    numbers = filters.given(params.load(Path(params_file)), include, exclude, hidden, links)
    chosen = settings.read(numbers, [Path(model) for model in models or ()], faces)
    retries = chosen.scan.max_retries
    selected = selection.select([str(Path(folder, path)) for path in paths or [""]], Path(folder))
    with tables.locked(Path(results)):
        work = prepare(selected, Path(results), Engine(chosen))
        quoted: Any = quote(work)  # or Prefect searches a million entries for futures, each time
        for batch in work.batches:  # in order: a copy is known by the batches before its own
            score.with_options(retries=retries)(quoted, batch)
        summary: Summary = finish.with_options(retries=retries)(quoted)
    get_run_logger().info("new: %s; statuses: %s", summary.changes, summary.statuses)
    return summary.statuses
