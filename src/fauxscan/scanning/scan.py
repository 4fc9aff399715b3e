"""A scan: plan, judge in batches, commit. The terminal, the flow and the DAG all use it."""

import logging
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import takewhile
from pathlib import Path
from threading import Lock
from typing import TypeVar

import pyarrow as pa

from fauxscan.records import Status, Verdict
from fauxscan.scanning import results_folder
from fauxscan.scanning.batches.judge import BatchJudge, RunContext, Tools
from fauxscan.scanning.engine.engine import Engine, OnJudged
from fauxscan.scanning.engine.rejudging import open_ledger
from fauxscan.scanning.history import known_faces, plan, settings_files
from fauxscan.scanning.history.changes import Changes
from fauxscan.scanning.history.ledger import Ledger
from fauxscan.scanning.inputs import roots
from fauxscan.scanning.inputs.local import EVERYTHING
from fauxscan.scanning.inputs.roots import Root
from fauxscan.scanning.rows import Change, Entry, FileBatch, Outcome, Row
from fauxscan.scanning.tables import commits, parquet, schemas
from fauxscan.scanning.tables.commits import Commits

log = logging.getLogger(__name__)
OnProgress = Callable[[int, int], None]  # files judged, files to judge
Item = TypeVar("Item")
Future = TypeVar("Future")
Pool = TypeVar("Pool")
AGAIN = "%d unchanged files are judged again, because models, calibrations, parameters or the version have changed."
AT_ONCE = 2  # batches that are judged at the same time


@dataclass
class Work:
    """One run in progress."""

    batch_judge: BatchJudge
    ledger: Ledger
    commits: Commits
    run: Row
    todo: deque[Entry]
    unchanged: int
    statuses: Counter[str]  # of all files under the root, as of now
    verdicts: Counter[str]
    changes: Counter[str] = field(default_factory=Counter)
    saved: int = 0  # files whose results are committed

    @property
    def batches(self) -> Iterator[FileBatch]:
        """Yield the files to judge in the order of the walk, with what the ledger knows of them, and drop them here."""
        limits = self.batch_judge.run.settings.scan
        while self.todo:
            batch, size = list[Entry](), 0
            while self.todo and len(batch) < limits.batch_files and size < limits.batch_bytes:
                batch.append(self.todo.popleft())
                size += batch[-1].size or 0
            yield self.ledger.look_up(batch)


class Interrupted(KeyboardInterrupt):
    """Ctrl-C during a scan. The results of `saved` files are in the tables; the next scan judges the others."""

    def __init__(self, saved: int, todo: int) -> None:
        super().__init__(f"interrupted: the results of {saved} of {todo} files are saved")
        self.saved, self.todo = saved, todo


@dataclass(frozen=True)
class Summary:
    """The end of a scan: what changed, and the number of files under the root by status and verdict."""

    run_id: str
    root: str
    changes: dict[str, int]
    unchanged: int
    statuses: dict[str, int]
    verdicts: dict[str, int]

    @property
    def unjudged(self) -> int:
        """Return the number of files that could not be judged."""
        return sum(self.statuses.values()) - self.statuses[Status.OK]

    def row(self) -> Row:
        """Return the summary as one flat row."""
        changes = {f"change_{change}": self.changes.get(change, 0) for change in Change}
        statuses = {f"status_{status}": count for status, count in self.statuses.items()}
        verdicts = {f"verdict_{verdict}": count for verdict, count in self.verdicts.items()}
        named = {"run_id": self.run_id, "root": self.root, "unchanged": self.unchanged}
        return {**named, **changes, **statuses, **verdicts}


def scan(
    folder: Root | Path,
    results: Path,
    engine: Engine,
    on_progress: OnProgress | None = None,
    names: Collection[str] = EVERYTHING,
) -> Summary:
    """Scan the named files below `folder` into the tables at `results`, and return the summary. Raise UserError.

    An engine that is not open is opened for this scan alone. Ctrl-C raises Interrupted, after the files that are judged
    were saved.
    """
    root = roots.root_at(folder)
    results_folder.check(results, root)  # before anything is written
    with parquet.locked(results), engine:
        work = prepare(root, results, engine, names)
        todo = len(work.todo)
        try:
            counted = _Count(on_progress or (lambda done, todo: None), todo)
            with cancelled_at_end(work, ThreadPoolExecutor(1)) as pool:  # Python handles Ctrl-C in the main thread
                pool.submit(_judge_all, work, counted.add).result()
            return finish(work)
        except KeyboardInterrupt:
            commits.recover(results)
            raise Interrupted(work.saved, todo) from None


class _Count:
    """Counts the files that are judged, from several threads."""

    def __init__(self, on_progress: OnProgress, todo: int) -> None:
        self.todo, self._done, self._on_progress, self._lock = todo, 0, on_progress, Lock()
        on_progress(0, todo)

    def add(self, files: int) -> None:
        with self._lock:
            self._done += files
            if files:
                self._on_progress(self._done, self.todo)


def _judge_all(work: Work, on_judged: OnJudged) -> None:
    """Judge and commit all batches; after a cancellation those files that are judged."""
    judge = work.batch_judge
    batches = takewhile(lambda _: not judge.cancelled, work.batches)
    with cancelled_at_end(work, ThreadPoolExecutor(AT_ONCE)) as pool:
        for batch, judged in ahead(batches, lambda batch: pool.submit(judge.judge_until_cancelled, batch, on_judged)):
            outcomes = judged.result()
            done = [outcome is not None for outcome in outcomes]
            commit(work, batch.only(done), [outcome for outcome in outcomes if outcome])


def ahead(
    items: Iterable[Item], submit: Callable[[Item], Future], most: Callable[[], int] = lambda: AT_ONCE
) -> Iterator[tuple[Item, Future]]:
    """Yield each batch with what `submit` returns for it, in order; while one is committed, the next are judged."""
    under_way: deque[tuple[Item, Future]] = deque()
    for item in items:
        under_way.append((item, submit(item)))
        while len(under_way) >= most():
            yield under_way.popleft()
    yield from under_way


@contextmanager
def cancelled_at_end(work: Work, pool: AbstractContextManager[Pool]) -> Iterator[Pool]:
    """Yield the pool that judges the batches. Once the block ends or is interrupted, no more files begin."""
    with pool as entered:
        try:
            yield entered
        finally:
            work.batch_judge.cancel()  # or Ctrl-C would wait for hundreds of files


def prepare(folder: Root | Path, results: Path, engine: Engine, names: Collection[str] = EVERYTHING) -> Work:
    """Return the work of a scan, after publishing what interrupted runs left. The results must be locked.

    Check the root before: one that is not mounted looks empty. Raise ModelError or MissingExtraError, before the run
    begins, if there are files to judge and the models cannot run.
    """
    root, settings, started = roots.root_at(folder), engine.settings, datetime.now(UTC)
    if left := commits.recover(results):
        log.info("published the results of %d interrupted scan(s)", left)
    parquet.check(results)
    known_faces.delete_old(results, settings.scan.keep_faces_days, started)
    settings_files.write(results, settings)
    media = parquet.read(results, schemas.MEDIA)
    ledger = open_ledger(media, root.text, results, settings)
    todo, unchanged = plan.make(root.walk(results, names, settings.scan), ledger, media)
    if ledger.judged_otherwise:
        log.info(AGAIN, ledger.judged_otherwise)
    if todo:
        engine.check_models()  # before the run begins: it would end as an interrupted one
        ledger.index()
    run_id, tool_version = commits.new_run_id(results, started), version("fauxscan")
    run = {"run_id": run_id, "root": root.text, "started_at": started, "models": settings.models}
    run |= {"settings": settings.digest, "tool_version": tool_version}
    run_commits = Commits(results, run_id, settings.scan.publish_every)
    run_commits.begin(run)
    statuses, verdicts = _counts(ledger.rows["status"]), _counts(ledger.rows["verdict"])
    context = RunContext(root, results.resolve(), run_id, settings.resolved(), tool_version)
    judge = BatchJudge(context, Tools(engine, ledger))
    return Work(judge, ledger, run_commits, run, deque(todo), unchanged, statuses, verdicts)


def commit(work: Work, batch: FileBatch, outcomes: Sequence[Outcome]) -> None:
    """Make the rows of judged files durable. After an OSError it may be called again with the same batch."""
    work.commits.publish_full()  # the groups of earlier batches: nothing may fail once this batch is counted
    changes = Changes(work.run["run_id"], work.run["root"], work.ledger)
    last_rows = work.ledger.last_rows(batch.last_rows)
    for entry, last_row, outcome in zip(batch.entries, last_rows, outcomes, strict=True):
        changes.decide(entry.key, last_row, outcome)
    new = _new_contents(work, outcomes)
    found_with = work.batch_judge.run.settings.faces_digest
    faces = [row for outcome in new for row in known_faces.face_rows(outcome.sha256, found_with, outcome.face_boxes)]
    work.commits.stage(changes.rows, [row for outcome in new for row in outcome.scores], faces)
    _add(work, changes)
    work.saved += len(batch)


def _new_contents(work: Work, outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Return the first outcome of each content whose scores no table has: two batches may judge the same content."""
    judged = [outcome for outcome in outcomes if outcome.scores or outcome.face_boxes is not None]
    first = {outcome.sha256: outcome for outcome in reversed(judged) if outcome.sha256}
    return [outcome for sha256, outcome in reversed(first.items()) if not work.ledger.is_judged(sha256)]


def _add(work: Work, changes: Changes) -> None:
    """Add durable changes to the ledger and to the counts."""
    for row, before in zip(changes.rows, changes.before, strict=True):
        _count(work, before, -1)
        _count(work, None if row["change"] == Change.REMOVED else row, 1)
    work.ledger.add(changes.rows)
    work.changes.update(changes.counts)


def _count(work: Work, row: Row | None, number: int) -> None:
    if row:
        work.statuses[row["status"]] += number
        work.verdicts[row["verdict"]] += number


def finish(work: Work) -> Summary:
    """Record the files that are gone, publish the rest, and return the summary."""
    changes = Changes(work.run["run_id"], work.run["root"], work.ledger)
    changes.remove(work.ledger.gone())
    work.commits.stage(changes.rows)
    _add(work, changes)
    work.commits.publish()
    statuses = {str(status): work.statuses[status] for status in Status}
    verdicts = {str(verdict): work.verdicts[verdict] for verdict in Verdict}
    counts = {f"status_{s}": n for s, n in statuses.items()} | {f"verdict_{v}": n for v, n in verdicts.items()}
    work.commits.finish({**work.run, "finished_at": datetime.now(UTC), **counts})
    return Summary(work.run["run_id"], work.run["root"], dict(work.changes), work.unchanged, statuses, verdicts)


def _counts(column: pa.ChunkedArray) -> Counter[str]:
    return Counter({item["values"]: item["counts"] for item in column.value_counts().to_pylist()})
