"""What a scan tells those who watch it in Prefect: how far it is, what could not be judged, and how it ended."""

import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

import httpx
from prefect import get_run_logger
from prefect.artifacts import (
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)
from prefect.exceptions import PrefectException

from fauxscan.params import ScanParams
from fauxscan.records import Status
from fauxscan.scanning import printing, queries
from fauxscan.scanning.engine import Result
from fauxscan.scanning.printing import visible
from fauxscan.scanning.rows import Entry, Outcome
from fauxscan.scanning.scan import Summary, Work
from flows import pages

SECONDS_BETWEEN = 2.0  # updates of the progress
T = TypeVar("T")
LINES = 5  # a status, of files that could not be judged: all of them are in the tables
TOP = 25  # files


def quiet() -> None:
    """Log no line for every batch that went well, in this process: the progress counts them, and they are many."""
    logging.getLogger("prefect.task_runs").addFilter(_is_news)  # once, however often it is added


def _is_news(line: logging.LogRecord) -> bool:
    of_batch = getattr(line, "task_name", None) in ("judge", "commit")
    return not (of_batch and line.getMessage() == "Finished in state Completed()")


class Teller:
    """Tells of one scan. A server that does not answer is told no more: the scan goes on without it."""

    def __init__(self, work: Work, results: Path) -> None:
        self._results, self._settings, self._log = results, work.bench.run.settings, get_run_logger()
        self._todo, self._done, self._unchanged = len(work.todo), 0, work.unchanged
        self._unjudged = Counter[str]()
        self._begun = self._last = time.monotonic()
        self._reachable = True
        quiet()
        self._begin(visible(work.run["root"]))
        begun: Any = self._ask(lambda: create_progress_artifact(self._percent(), description=self._how_far()))
        self._progress: UUID | None = begun

    def batch(self, batch: Sequence[Entry], judged: Sequence[Result]) -> None:
        """Tell of a batch that is committed."""
        tenths = int(self._percent() / 10)
        self._done += len(batch)
        for entry, result in zip(batch, judged, strict=True):
            if result.outcome.status != Status.OK:
                self._tell_unjudged(entry, result.outcome)
        if int(self._percent() / 10) > tenths:
            self._log.info(self._how_far())
        if time.monotonic() - self._last > SECONDS_BETWEEN:
            self._move()

    def end(self, ended: Summary) -> None:
        """Tell how the scan ended: in the log, and as artifacts."""
        self._move()
        for status, count in self._unjudged.items():
            if count > LINES:
                all_of_them = f"fauxscan latest --results {self._results} --status {status}"
                self._log.warning("%s: %s files, of which %d are named above; all: %s", status, f"{count:,}", LINES,
                                  visible(all_of_them))  # fmt: skip
        self._log.info("in this run: %s", _words(ended.changes) or "nothing new")
        self._log.info(
            "all files: %s; verdicts: %s", _words(ended.statuses) or "none", _words(ended.verdicts) or "none"
        )
        self._keep(ended)

    def _begin(self, root: str) -> None:
        """Say in the log what is to be done, what is not, and who judges."""
        self._log.info("%s: %s files to look at, %s skipped: they have not changed since they were judged with these "
                       "models and settings", root, f"{self._todo:,}",
                       f"{self._unchanged:,}")  # fmt: skip
        if left_out := _left_out(self._settings.scan):
            self._log.info("left out by the settings: %s", visible(left_out))
        names = ", ".join(card.name for card in self._settings.cards)
        self._log.info("judged by %s", names)
        if warning := printing.of_the_demo(self._settings):
            self._log.warning(warning)

    def _keep(self, ended: Summary) -> None:
        """Keep what is read afterwards under keys of the folder: each run adds to its history."""
        key, root = pages.key(ended.root, self._results), pages.code(ended.root)
        with queries.opened(self._results) as tables:
            top = pages.suspicious(tables.top(TOP, ended.root).read_all().to_pylist())
            models = tables.models().read_all().to_pylist()
        page = pages.summary(ended, self._settings, models, self._results)
        self._ask(lambda: create_markdown_artifact(page, f"{key}-summary", f"Summary of {root}"))
        self._ask(lambda: create_table_artifact(top, f"{key}-top", f"Most suspicious files below {root}"))

    def _tell_unjudged(self, entry: Entry, outcome: Outcome) -> None:
        self._unjudged[outcome.status] += 1
        if self._unjudged[outcome.status] <= LINES:
            self._log.warning("%s: %s: %s", visible(entry.path), outcome.status, visible(outcome.detail or ""))

    def _move(self) -> None:
        """Move the progress."""
        self._last = time.monotonic()
        if progress := self._progress:
            self._ask(lambda: update_progress_artifact(progress, self._percent(), self._how_far()))

    def _percent(self) -> float:
        return 100.0 * self._done / self._todo if self._todo else 100.0

    def _how_far(self) -> str:
        """Return how far it is, and how long the rest takes at the pace so far."""
        if not self._todo:
            return f"nothing to look at: {self._unchanged:,} files are unchanged"
        took, left = time.monotonic() - self._begun, self._todo - self._done
        when = f", about {_clock(took * left / self._done)} left" if left and self._done else ""
        when = when if left else f" in {_clock(took)}"
        unjudged = f"; {self._unjudged.total():,} could not be judged" if self._unjudged else ""
        return f"{self._done:,} of {self._todo:,} files looked at{when}{unjudged}"

    def _ask(self, server: Callable[[], T]) -> T | None:
        """Ask the server for something; once it failed, a scan does not wait for it again."""
        try:
            return server() if self._reachable else None
        except (httpx.HTTPError, PrefectException) as error:
            self._reachable = False
            self._log.warning("the Prefect server is told no more of this scan, which goes on: %r", error)
            return None


def _left_out(scan: ScanParams) -> str:
    """Return what names have to be to be looked at, as far as it is set."""
    told = {"all that does not match": scan.include, "what matches": scan.exclude}
    parts = [f"{what} {' '.join(patterns)}" for what, patterns in told.items() if patterns]
    return "; ".join(parts if scan.hidden else [*parts, "names that begin with a dot"])


def _words(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in counts.items() if count)


def _clock(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))
