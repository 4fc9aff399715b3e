"""The Prefect flow `scan`: where batches run, and which errors are retried. The library does the scanning itself."""

import errno
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from prefect import flow, get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.futures import PrefectFuture
from prefect.tasks import Task
from prefect.utilities.annotations import quote
from pydantic import PositiveInt

from fauxscan import params
from fauxscan.installation import requirements
from fauxscan.params import Links
from fauxscan.records import Framing
from fauxscan.reporting.scan_page import kept
from fauxscan.scanning import results_folder, settings
from fauxscan.scanning import scan as scanning
from fauxscan.scanning.batches.judge import BatchJudge
from fauxscan.scanning.engine.engine import Engine
from fauxscan.scanning.inputs import addresses, filters, selection
from fauxscan.scanning.inputs.selection import Selection
from fauxscan.scanning.rows import FileBatch, Outcome
from fauxscan.scanning.scan import Summary, Work
from fauxscan.scanning.tables import parquet

from . import missed_runs, progress, task_runners

Numbered = tuple[int, FileBatch]
PERMANENT_ERRORS = (errno.EACCES, errno.EPERM, errno.EROFS)  # until a person changes permissions
RETRY_DELAYS_S = [10.0, 60.0]  # a file system that was briefly unavailable is back by then


def is_io_error(task: Task[..., Any], run: TaskRun, state: State[Any]) -> bool:
    """Return whether a task failed with an I/O error that may not occur again; other errors are not retried."""
    error = state.result(raise_on_failure=False)
    return isinstance(error, OSError) and error.errno not in PERMANENT_ERRORS


RETRIED: Any = {"retry_delay_seconds": RETRY_DELAYS_S, "retry_condition_fn": is_io_error, "cache_policy": NO_CACHE}


@task(task_run_name="prepare", cache_policy=NO_CACHE)  # the ledger skips finished work, not Prefect's cache
def prepare(selected: Selection, results: Path, engine: Engine) -> Work:
    """Plan the scan and return its work."""
    return scanning.prepare(selected.root, results, engine, selected.names)


@task(task_run_name="judge batch {number}", **RETRIED)
def judge(batch_judge: BatchJudge, number: int, batch: FileBatch) -> None:
    """Judge a batch on any machine, and write its results to the results folder."""
    progress.mute_finished_batches()  # in the process that logs the end of this task
    batch_judge.judge_to_files(number, batch)


@task(task_run_name="commit batch {number}", **RETRIED)
def commit(work: Work, number: int, batch: FileBatch) -> Sequence[Outcome]:
    """Commit the results of a batch that was judged, and return them."""
    judged = work.batch_judge.read_judged(number)
    scanning.commit(work, batch, judged)
    return judged


@task(task_run_name="finish", **RETRIED)
def finish(work: Work) -> Summary:
    """Publish the results and return the summary of the scan."""
    return scanning.finish(work)


def write_page(results: Path, summary: Summary, engine: Engine) -> Path | None:
    """Write the page of a finished scan into its results, and return its path. If that fails, the scan still counts."""
    log = get_run_logger()
    try:
        page = kept.write(results, summary.run_id, engine.settings)
    except Exception as error:  # whatever is wrong with the page, the tables are complete
        again = f"fauxscan report {results} --run {summary.run_id} --out PAGE.html"
        log.warning("The tables are complete, but no page was written (%s). To try again: %s", error, again)
        return None
    log.info("Page: %s", page)
    return page


def scan_selection(selected: Selection, results: Path, engine: Engine, cluster: str | int | None) -> Summary:
    """Scan the selection and return the summary."""
    retries = engine.settings.scan.max_retries
    results_folder.check(results, selected.root)  # before anything is written
    with parquet.locked(results), engine:
        work = prepare(selected, results, engine)
        quoted = cast(Any, quote(work))  # otherwise Prefect searches the whole object for futures
        reporter = progress.ScanReporter(work, results)

        def submit(numbered: Numbered) -> PrefectFuture[None]:
            number, batch = numbered
            arguments = {"batch_judge": work.batch_judge, "number": number, "batch": batch}
            future: PrefectFuture[None] = pool.runner.submit(judge.with_options(retries=retries), arguments)
            return future

        with scanning.cancelled_at_end(work, task_runners.open_cluster(cluster)) as pool:
            for (number, batch), future in scanning.ahead(enumerate(work.batches), submit, pool.max_tasks):
                pool.wait(future)
                judged = commit.with_options(retries=retries)(quoted, number, batch, wait_for=[future])
                work.batch_judge.delete_judged(number)
                reporter.report_batch(batch.entries, judged)
        summary: Summary = finish.with_options(retries=retries)(quoted)
    reporter.report_end(summary, write_page(results, summary, engine))
    return summary


@flow(name="scan", flow_run_name="scan {folder}", **missed_runs.HOOKS)
def scan(
    folder: str,
    results: str,
    models: list[str] | None = None,
    faces: Framing = "auto",
    params_file: str | None = None,
    *,
    paths: list[str] | None = None,
    include: list[str] | None = None,
    exclude: list[str] | None = None,
    hidden: bool | None = None,
    links: Links | None = None,
    limits: dict[str, dict[str, Any]] | None = None,
    cluster: str | PositiveInt | None = None,
) -> Any:
    """Scan a folder into the tables at `results`, write its page, and return the number of files by status.

    Without `params_file`, params.yaml of the current folder is read, or the built-in values are used if there is none.
    Without `paths`, the whole folder is scanned. Patterns are added to those of the parameters; `limits` are values of
    their sections `media`, `faces` and `scan` for this scan alone. `cluster` is the address of a Dask scheduler, or the
    number of processes to start on this machine.
    """
    if skipped := missed_runs.skipped_state():
        return skipped
    requirements.check_platform()
    file = params.find(Path(params_file) if params_file else None)
    numbers = filters.add_filters(params.load(file), include, exclude, hidden, links)
    numbers = params.limited(numbers, limits or {})
    get_run_logger().info("Parameters: %s", file or "built-in, because the folder of this run has no params.yaml")
    chosen = settings.read(numbers, models or (), faces, file.parent if file else Path())
    selected = selection.select_below(folder, paths or ())
    summary = scan_selection(
        selected, addresses.local_path(results).resolve(), Engine(chosen), cluster or chosen.scan.cluster
    )
    return summary.statuses
