"""A scan: plan -> batches -> score -> commit, for a terminal, a flow and the DAG alike."""

import logging
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from fauxscan.records import Status, UserError, Verdict
from fauxscan.scanning import commits, tables
from fauxscan.scanning.changes import Changes
from fauxscan.scanning.commits import Commits
from fauxscan.scanning.engine import Engine
from fauxscan.scanning.ledger import Ledger
from fauxscan.scanning.rows import Entry, Outcome, Row
from fauxscan.scanning.walking import Walk

log = logging.getLogger(__name__)
Tell = Callable[[int, int], None]  # files done, files to do


@dataclass
class Work:
    """One run in progress."""

    root: Path
    engine: Engine
    ledger: Ledger
    commits: Commits
    run: Row
    todo: list[Entry]
    unchanged: int
    changes: Counter[str] = field(default_factory=Counter)

    @property
    def batches(self) -> Iterator[Sequence[Entry]]:
        """Give what is to be looked at, `batch_files` at a time, in the order of the walk."""
        size = self.engine.settings.scan.batch_files
        return (self.todo[i : i + size] for i in range(0, len(self.todo), size))


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


def scan(folder: Path, results: Path, engine: Engine, tell: Tell | None = None) -> Summary:
    """Return how the scan of everything under `folder` into the tables at `results` ended. Raise UserError."""
    tell = tell or (lambda done, todo: None)
    check_folder(folder)
    with tables.locked(results):
        work, done = prepare(folder, results, engine), 0
        tell(0, len(work.todo))
        for batch in work.batches:
            score_batch(work, batch)
            done += len(batch)
            tell(done, len(work.todo))
        return finish(work)


def check_folder(folder: Path) -> None:
    """Raise UserError if there is no such folder."""
    if not folder.is_dir():
        raise UserError(f"{folder} is {'not a folder' if folder.exists() else 'not there'}: name a folder to scan")


def prepare(folder: Path, results: Path, engine: Engine) -> Work:
    """Return the work that a scan has to do, with the results locked: what killed runs left is published first."""
    check_folder(folder)
    started = datetime.now(UTC)
    if left := commits.recover(results):
        log.info("published what %d interrupted scan(s) had left", left)
    tables.check(results)
    root, settings = folder.resolve(), engine.settings
    ledger = Ledger(tables.read(results, tables.MEDIA), _text(root), settings.digest)
    todo, unchanged = _plan(Walk(root, results), ledger)
    run_id = commits.new_run_id(results, started)
    run = {"run_id": run_id, "root": _text(root), "started_at": started, "models": settings.models}
    run |= {"settings": settings.digest, "tool_version": version("fauxscan")}
    begun = Commits(results, run_id, settings.scan.publish_every)
    begun.begin(run)
    return Work(root, engine, ledger, begun, run, todo, unchanged)


def _plan(walk: Walk, ledger: Ledger) -> tuple[list[Entry], int]:
    """Return the files whose last row does not say all about them, and how many others there are."""
    todo, unchanged = [], 0
    try:
        for entry in walk:
            if ledger.see(entry):
                unchanged += 1
            else:
                todo.append(entry)
    except OSError as error:
        raise UserError(f"{walk.root} cannot be listed: {error.strerror}") from error
    if not todo and not unchanged:
        # An empty folder is more often a share that is not mounted than a million files removed.
        raise UserError(f"no files under {walk.root}: name another folder, or see whether it is mounted")
    if walk.unlisted:
        ledger.keep(lambda key: not walk.could_list(key))
    return todo, unchanged


def score_batch(work: Work, entries: Sequence[Entry]) -> None:
    """Judge a batch of files and make their rows durable. After an OSError it may be called again with the same."""
    work.commits.publish_full()  # what earlier batches have filled: nothing may fail once this batch is taken in
    results = _results(work, entries)
    told = Changes(work.run["run_id"], work.run["root"], work.ledger)
    for entry, (outcome, _) in zip(entries, results, strict=True):
        told.decide(entry, outcome)
    work.commits.stage(told.rows, [row for _, rows in results for row in rows])
    _take_in(work, told)


def _results(work: Work, entries: Sequence[Entry]) -> list[tuple[Outcome, list[Row]]]:
    """Return the outcomes of files; one that looks unchanged and whose content is judged is not read again."""
    known: dict[Entry, Outcome] = {}
    for entry in entries:
        content = work.ledger.content(entry)
        judged = work.ledger.outcome(content) if content else None
        if judged:
            known[entry] = judged.at(Outcome(size=entry.size, mtime_ns=entry.mtime_ns))
    left = [entry for entry in entries if entry not in known]
    scored = iter(work.engine.score(work.root, left, work.ledger.outcome))
    return [(known[entry], []) if entry in known else next(scored) for entry in entries]


def _take_in(work: Work, told: Changes) -> None:
    work.ledger.add(told.rows)
    work.changes.update(row["change"] for row in told.rows)


def finish(work: Work) -> Summary:
    """Tell of the files that are gone, publish the rest, and return how all files stand now."""
    told = Changes(work.run["run_id"], work.run["root"], work.ledger)
    told.remove(work.ledger.gone())
    work.commits.stage(told.rows, [])
    _take_in(work, told)
    work.commits.publish()
    now = _now(work)
    statuses, verdicts = _counts(now["status"], Status), _counts(now["verdict"], Verdict)
    counts = {f"status_{s}": n for s, n in statuses.items()} | {f"verdict_{v}": n for v, n in verdicts.items()}
    work.commits.finish({**work.run, "finished_at": datetime.now(UTC), **counts})
    return Summary(work.run["run_id"], work.run["root"], dict(work.changes), work.unchanged, statuses, verdicts)


def _now(work: Work) -> pa.Table:
    """Return the last row of each file under the root."""
    if not work.changes:
        return work.ledger.rows
    rows = tables.latest(work.commits.results)
    return rows.filter(pc.equal(rows["root"], work.run["root"]))


def _counts(column: pa.ChunkedArray, words: type[Status] | type[Verdict]) -> dict[str, int]:
    found = {item["values"]: item["counts"] for item in column.value_counts().to_pylist()}
    return {str(word): found.get(word, 0) for word in words}


def _text(path: Path) -> str:
    return os.fsencode(path).decode("utf-8", "replace")
