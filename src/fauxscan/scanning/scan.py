"""A scan: plan -> batches -> score -> commit, for a terminal, a flow and the DAG alike."""

import logging
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TypeVar

import pyarrow as pa

from fauxscan.records import Status, Verdict
from fauxscan.scanning import commits, places, plan, remembering, tables
from fauxscan.scanning.benches import Bench, Run
from fauxscan.scanning.changes import Changes
from fauxscan.scanning.commits import Commits
from fauxscan.scanning.engine import Engine, Result
from fauxscan.scanning.ledger import Ledger
from fauxscan.scanning.places import Place
from fauxscan.scanning.rows import Change, Entry, Row, key_of
from fauxscan.scanning.walking import EVERYTHING

log = logging.getLogger(__name__)
Tell = Callable[[int, int], None]  # files done, files to do
Item = TypeVar("Item")
Future = TypeVar("Future")
Pool = TypeVar("Pool")
AT_ONCE = 2  # batches


@dataclass
class Work:
    """One run in progress."""

    bench: Bench
    ledger: Ledger
    commits: Commits
    run: Row
    todo: deque[Entry]
    unchanged: int
    statuses: Counter[str]  # of the files under the root, as they stand
    verdicts: Counter[str]
    changes: Counter[str] = field(default_factory=Counter)

    @property
    def batches(self) -> Iterator[Sequence[Entry]]:
        """Give what is to be looked at, in the order of the walk, and forget it."""
        limits = self.bench.run.settings.scan
        while self.todo:
            batch, size = list[Entry](), 0
            while self.todo and len(batch) < limits.batch_files and size < limits.batch_bytes:
                batch.append(self.todo.popleft())
                size += batch[-1].size or 0
            yield batch


@dataclass(frozen=True)
class Summary:
    """How a scan ended: what was new, and how all files under the root stand now."""

    run_id: str
    root: str
    changes: dict[str, int]
    unchanged: int
    statuses: dict[str, int]
    verdicts: dict[str, int]

    @property
    def unjudged(self) -> int:
        """Return how many files could not be judged."""
        return sum(self.statuses.values()) - self.statuses[Status.OK]

    def row(self) -> Row:
        """Return all of it, flat."""
        changes = {f"change_{change}": self.changes.get(change, 0) for change in Change}
        statuses = {f"status_{status}": count for status, count in self.statuses.items()}
        verdicts = {f"verdict_{verdict}": count for verdict, count in self.verdicts.items()}
        named = {"run_id": self.run_id, "root": self.root, "unchanged": self.unchanged}
        return {**named, **changes, **statuses, **verdicts}


def scan(
    folder: Place | Path,
    results: Path,
    engine: Engine,
    tell: Tell | None = None,
    names: Collection[str] = EVERYTHING,
) -> Summary:
    """Return how the scan of what is named below `folder` into the tables at `results` ended. Raise UserError."""
    tell = tell or (lambda done, todo: None)
    folder = places.at(folder)
    folder.check()
    with tables.locked(results):
        work, done = prepare(folder, results, engine, names), 0
        todo = len(work.todo)
        tell(0, todo)
        with ending(engine, ThreadPoolExecutor(AT_ONCE)) as pool:
            for batch, judged in ahead(work.batches, lambda batch: pool.submit(work.bench.judge, batch)):
                commit(work, batch, judged.result())
                done += len(batch)
                tell(done, todo)
        return finish(work)


def ahead(
    items: Iterable[Item], submit: Callable[[Item], Future], most: Callable[[], int] = lambda: AT_ONCE
) -> Iterator[tuple[Item, Future]]:
    """Give each batch with what `submit` returns of it, in order; while one is made durable others are judged."""
    under_way: deque[tuple[Item, Future]] = deque()
    for item in items:
        under_way.append((item, submit(item)))
        while len(under_way) >= most():
            yield under_way.popleft()
    yield from under_way


@contextmanager
def ending(engine: Engine, pool: AbstractContextManager[Pool]) -> Iterator[Pool]:
    """Give what batches are judged in; at its end, and where the scan is interrupted, no more files are begun."""
    with ExitStack() as end:  # what is entered last ends first
        end.callback(engine.give_up, False)
        entered = end.enter_context(pool)
        end.callback(engine.give_up, True)  # or Ctrl-C would wait for hundreds of files
        yield entered


def prepare(folder: Place | Path, results: Path, engine: Engine, names: Collection[str] = EVERYTHING) -> Work:
    """Return the work that a scan has to do, with the results locked: what killed runs left is published first."""
    root, settings, started = places.at(folder), engine.settings, datetime.now(UTC)
    root.check()
    if left := commits.recover(results):
        log.info("published what %d interrupted scan(s) had left", left)
    tables.check(results)
    remembering.forget(results, settings.scan.keep_faces_days, started)
    remembered = remembering.Remembered(results, settings.faces_digest)
    media = tables.read(results, tables.MEDIA)
    ledger = Ledger(media, root.text, settings.digest, remembered)
    todo, unchanged = plan.make(root.walk(results, names, settings.scan), ledger, media)
    if todo:
        ledger.index()
    run_id, tool_version = commits.new_run_id(results, started), version("fauxscan")
    run = {"run_id": run_id, "root": root.text, "started_at": started, "models": settings.models}
    run |= {"settings": settings.digest, "tool_version": tool_version}
    begun = Commits(results, run_id, settings.scan.publish_every)
    begun.begin(run)
    statuses, verdicts = _counts(ledger.rows["status"]), _counts(ledger.rows["verdict"])
    bench = Bench(Run(root, results.resolve(), run_id, settings.resolved(), tool_version), (engine, ledger))
    return Work(bench, ledger, begun, run, deque(todo), unchanged, statuses, verdicts)


def commit(work: Work, entries: Sequence[Entry], results: Sequence[Result]) -> None:
    """Make the rows of judged files durable. After an OSError it may be called again with the same."""
    work.commits.publish_full()  # what earlier batches have filled: nothing may fail once this batch is taken in
    told = Changes(work.run["run_id"], work.run["root"], work.ledger)
    for entry, result in zip(entries, results, strict=True):
        told.decide(entry, result.outcome)
    first = _first_of_each_content(work, results)
    found_with = work.bench.run.settings.faces_digest
    faces = [row for result in first for row in remembering.rows(result.outcome.sha256, found_with, result.faces)]
    work.commits.stage(told.rows, [row for result in first for row in result.rows], faces)
    _take_in(work, told)


def _first_of_each_content(work: Work, results: Sequence[Result]) -> list[Result]:
    """Return the results that no row tells yet: two batches under way may have judged the same content."""
    of = {result.outcome.sha256: result for result in reversed(results) if result.outcome.sha256}
    return [result for sha256, result in reversed(of.items()) if not work.ledger.outcome(sha256)]


def _take_in(work: Work, told: Changes) -> None:
    for row in told.rows:
        before = work.ledger.at(key_of(row))
        _count(work, before, -1)
        _count(work, None if row["change"] == Change.REMOVED else row, 1)
    work.ledger.add(told.rows)
    work.changes.update(row["change"] for row in told.rows)


def _count(work: Work, row: Row | None, number: int) -> None:
    if row:
        work.statuses[row["status"]] += number
        work.verdicts[row["verdict"]] += number


def finish(work: Work) -> Summary:
    """Tell of the files that are gone, publish the rest, and return how all files stand now."""
    told = Changes(work.run["run_id"], work.run["root"], work.ledger)
    told.remove(work.ledger.gone())
    work.commits.stage(told.rows)
    _take_in(work, told)
    work.commits.publish()
    statuses = {str(status): work.statuses[status] for status in Status}
    verdicts = {str(verdict): work.verdicts[verdict] for verdict in Verdict}
    counts = {f"status_{s}": n for s, n in statuses.items()} | {f"verdict_{v}": n for v, n in verdicts.items()}
    work.commits.finish({**work.run, "finished_at": datetime.now(UTC), **counts})
    return Summary(work.run["run_id"], work.run["root"], dict(work.changes), work.unchanged, statuses, verdicts)


def _counts(column: pa.ChunkedArray) -> Counter[str]:
    return Counter({item["values"]: item["counts"] for item in column.value_counts().to_pylist()})
