"""Prefect flow `scan`: when a folder is scanned, where, and what is tried again. The scan itself is the library's."""

import errno
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.futures import PrefectFuture
from prefect.tasks import Task
from prefect.utilities.annotations import quote
from pydantic import PositiveInt

from fauxscan import params
from fauxscan.params import Links
from fauxscan.scanning import addresses, filters, selection, settings, tables
from fauxscan.scanning import scan as scanning
from fauxscan.scanning.benches import Bench
from fauxscan.scanning.engine import Engine, Result
from fauxscan.scanning.rows import Entry
from fauxscan.scanning.scan import Summary, Work
from fauxscan.scanning.selection import Selection
from fauxscan.scanning.settings import Mode
from flows import catching_up, clusters, telling

Numbered = tuple[int, Sequence[Entry]]
FOR_GOOD = (errno.EACCES, errno.EPERM, errno.EROFS)  # somebody must do something
RETRY_DELAYS_S = [10.0, 60.0]  # a file system that is away for a moment is back by then


def is_io_error(task: Task[..., Any], run: TaskRun, state: State[Any]) -> bool:
    """Return whether a task failed on reading or writing, which may be better the next time: nothing else is."""
    error = state.result(raise_on_failure=False)
    return isinstance(error, OSError) and error.errno not in FOR_GOOD


TRIED_AGAIN: Any = {"retry_delay_seconds": RETRY_DELAYS_S, "retry_condition_fn": is_io_error, "cache_policy": NO_CACHE}


@task(task_run_name="prepare", cache_policy=NO_CACHE)  # skipping work that is done is the ledger's job
def prepare(chosen: Selection, results: Path, engine: Engine) -> Work:
    """Return what there is to do."""
    return scanning.prepare(chosen.root, results, engine, chosen.names)


@task(task_run_name="judge batch {number}", **TRIED_AGAIN)
def judge(bench: Bench, number: int, batch: Sequence[Entry]) -> None:
    """Judge a batch, on whichever machine, and hand over what came out through the results folder."""
    telling.quiet()  # in the process that logs how it went
    bench.hand_over(number, batch)


@task(task_run_name="commit batch {number}", **TRIED_AGAIN)
def commit(work: Work, number: int, batch: Sequence[Entry]) -> Sequence[Result]:
    """Return the results of a batch that was handed over, made durable."""
    judged = work.bench.handed_over(number)
    scanning.commit(work, batch, judged)
    return judged


@task(task_run_name="finish", **TRIED_AGAIN)
def finish(work: Work) -> Summary:
    """Publish, and return how the scan ended."""
    return scanning.finish(work)


def scanned(chosen: Selection, results: Path, engine: Engine, cluster: str | int | None) -> Summary:
    """Return how the scan of what is chosen ended."""
    retries = engine.settings.scan.max_retries
    with tables.locked(results):
        work = prepare(chosen, results, engine)
        quoted = cast(Any, quote(work))  # or Prefect looks for futures in all it holds
        teller = telling.Teller(work, results)

        def submit(numbered: Numbered) -> PrefectFuture[None]:
            number, batch = numbered
            told = {"bench": work.bench, "number": number, "batch": batch}
            future: PrefectFuture[None] = pool.runner.submit(judge.with_options(retries=retries), told)
            return future

        with scanning.ending(engine, clusters.opened(cluster)) as pool:
            for (number, batch), future in scanning.ahead(enumerate(work.batches), submit, pool.most):
                pool.wait(future)
                judged = commit.with_options(retries=retries)(quoted, number, batch, wait_for=[future])
                work.bench.drop(number)
                teller.batch(batch, judged)
        summary: Summary = finish.with_options(retries=retries)(quoted)
    teller.end(summary)
    return summary


@flow(name="scan", flow_run_name="scan {folder}", **catching_up.HOOKS)
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
    limits: dict[str, dict[str, Any]] | None = None,
    cluster: str | PositiveInt | None = None,
) -> Any:
    """Return the number of files under `folder` by status, their rows being in the tables at `results`.

    All of the folder is scanned, or the `paths` in it. Patterns are added to those in params.yaml; `limits` are values
    of its sections `media`, `faces` and `scan` for this scan alone. `cluster` is a Dask scheduler's address, or how
    many processes to start here.
    """
    if skipped := catching_up.skipped():
        return skipped
    numbers = filters.given(params.load(Path(params_file)), include, exclude, hidden, links)
    numbers = params.limited(numbers, limits or {})
    chosen = settings.read(numbers, [Path(model) for model in models or ()], faces, Path(params_file).parent)
    selected = selection.below(folder, paths or ())
    ended = scanned(selected, addresses.no_address(results).resolve(), Engine(chosen), cluster or chosen.scan.cluster)
    return ended.statuses
