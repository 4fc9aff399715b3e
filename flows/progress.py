"""Reports of a scan in Prefect: its progress, the files that could not be judged, and its outcome."""

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
from fauxscan.reporting import scans
from fauxscan.reporting.scans import visible
from fauxscan.scanning.rows import Entry, Outcome
from fauxscan.scanning.scan import Summary, Work
from fauxscan.scanning.tables import queries

from . import artifacts

UPDATE_INTERVAL_S = 2.0  # of the progress artifact
T = TypeVar("T")
NAMED_FILES = 5  # per status, of files that could not be judged: the tables list all of them
TOP = 25  # files


def mute_finished_batches() -> None:
    """Log no line for a batch that succeeds, in this process: there are many, and the progress counts them."""
    logging.getLogger("prefect.task_runs").addFilter(_is_news)  # adding it again has no effect


def _is_news(line: logging.LogRecord) -> bool:
    is_batch = getattr(line, "task_name", None) in ("judge", "commit")
    return not (is_batch and line.getMessage() == "Finished in state Completed()")


class ScanReporter:
    """Reports one scan to the log and the Prefect server. After the server fails once, the scan goes on without it."""

    def __init__(self, work: Work, results: Path) -> None:
        self._results, self._settings, self._log = results, work.batch_judge.run.settings, get_run_logger()
        self._todo, self._done, self._unchanged = len(work.todo), 0, work.unchanged
        self._unjudged = Counter[str]()
        self._started = self._last_update = time.monotonic()
        self._server_responds = True
        mute_finished_batches()
        self._log_start(visible(work.run["root"]))
        created: Any = self._ask_server(
            lambda: create_progress_artifact(self._percent(), description=self._progress_text())
        )
        self._artifact: UUID | None = created

    def report_batch(self, batch: Sequence[Entry], judged: Sequence[Outcome]) -> None:
        """Report a batch that is committed."""
        tenths = int(self._percent() / 10)
        self._done += len(batch)
        for entry, outcome in zip(batch, judged, strict=True):
            if outcome.status != Status.OK:
                self._log_unjudged(entry, outcome)
        if int(self._percent() / 10) > tenths:
            self._log.info(self._progress_text())
        if time.monotonic() - self._last_update > UPDATE_INTERVAL_S:
            self._update_artifact()

    def report_end(self, ended: Summary, page: Path | None) -> None:
        """Report the outcome of the scan, and its page if it was written, in the log and as artifacts."""
        self._update_artifact()
        for status, count in self._unjudged.items():
            if count > NAMED_FILES:
                command = visible(f"fauxscan latest --results {self._results} --status {status}")
                self._log.warning(
                    "%s: %s files, of which %d are named above; list all: %s",
                    status, f"{count:,}", NAMED_FILES, command,
                )  # fmt: skip
        self._log.info("Changes in this run: %s", _count_text(ended.changes) or "none")
        self._log.info("All files by status: %s", _count_text(ended.statuses) or "none")
        self._log.info("All files by verdict: %s", _count_text(ended.verdicts) or "none")
        self._create_artifacts(ended, page)

    def _log_start(self, root: str) -> None:
        """Log the number of files, the filters and the models."""
        self._log.info(
            "%s: %s new or changed files to scan; %s skipped, unchanged since they were judged with these models and "
            "settings", root, f"{self._todo:,}", f"{self._unchanged:,}",
        )  # fmt: skip
        if left_out := _left_out(self._settings.scan):
            self._log.info("Left out by the settings: %s", visible(left_out))
        self._log.info("Models: %s", ", ".join(card.name for card in self._settings.cards))
        if warning := scans.uncertain_warning(self._settings):
            self._log.warning(warning)

    def _create_artifacts(self, ended: Summary, page: Path | None) -> None:
        """Create the summary and the table under keys of the folder: each run adds to their history."""
        key, root = artifacts.artifact_key(ended.root, self._results), artifacts.code_span(artifacts.short(ended.root))
        with queries.open_tables(self._results) as tables:
            top = artifacts.suspicious_files(tables.top(TOP, ended.root, with_faces=True).read_all().to_pylist())
            models = [row for row in tables.models().read_all().to_pylist() if row["root"] == ended.root]
        if warning := artifacts.unpublished_warning(models, self._settings, self._results):
            self._log.warning(warning)
        text = artifacts.summary_page(ended, self._settings, models, self._results, page)
        title = f"Most suspicious files with a face below {root}"
        self._ask_server(lambda: create_markdown_artifact(text, f"{key}-summary", f"Summary of {root}"))
        self._ask_server(lambda: create_table_artifact(top, f"{key}-top", title))

    def _log_unjudged(self, entry: Entry, outcome: Outcome) -> None:
        self._unjudged[outcome.status] += 1
        if self._unjudged[outcome.status] <= NAMED_FILES:
            self._log.warning("%s: %s: %s", visible(entry.path), outcome.status, visible(outcome.detail or ""))

    def _update_artifact(self) -> None:
        self._last_update = time.monotonic()
        if artifact := self._artifact:
            self._ask_server(lambda: update_progress_artifact(artifact, self._percent(), self._progress_text()))

    def _percent(self) -> float:
        return 100.0 * self._done / self._todo if self._todo else 100.0

    def _progress_text(self) -> str:
        """Return the number of scanned files, and the time that the rest will take at the present rate."""
        if not self._todo:
            return f"Nothing to scan: {self._unchanged:,} files are unchanged"
        elapsed, left = time.monotonic() - self._started, self._todo - self._done
        remaining = f", about {_duration(elapsed * left / self._done)} left" if left and self._done else ""
        when = remaining if left else f" in {_duration(elapsed)}"
        unjudged = f"; {self._unjudged.total():,} could not be judged" if self._unjudged else ""
        return f"Scanned {self._done:,} of {self._todo:,} new or changed files{when}{unjudged}"

    def _ask_server(self, request: Callable[[], T]) -> T | None:
        """Return the response to a request, or None: after one failure the scan does not wait for the server again."""
        try:
            return request() if self._server_responds else None
        except (httpx.HTTPError, PrefectException) as error:
            self._server_responds = False
            self._log.warning("The scan continues without reports to the Prefect server: %r", error)
            return None


def _left_out(scan: ScanParams) -> str:
    """Return a description of the files that the filters leave out, or an empty text."""
    rules = {"files that do not match": scan.include, "files that match": scan.exclude}
    parts = [f"{rule} {' '.join(patterns)}" for rule, patterns in rules.items() if patterns]
    return "; ".join(parts if scan.hidden else [*parts, "names that begin with a dot"])


def _count_text(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in counts.items() if count)


def _duration(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))
