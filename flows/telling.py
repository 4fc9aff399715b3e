"""What a scan tells those who watch it in Prefect: how far it is, what could not be judged, and how it ended."""

import re
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

import httpx
from prefect import get_run_logger
from prefect.artifacts import (
    create_link_artifact,
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)
from prefect.exceptions import PrefectException

from fauxscan.records import Status
from fauxscan.scanning import queries
from fauxscan.scanning.engine import Result
from fauxscan.scanning.printing import visible
from fauxscan.scanning.rows import Entry
from fauxscan.scanning.scan import Summary, Work

SECONDS_BETWEEN = 2.0  # updates of the progress
T = TypeVar("T")
LINES = 100  # of files that could not be judged: all of them are in the tables
TOP = 25  # files
SHOWN = ("path", "p_fake", "verdict", "detail", "kind", "width", "height")


class Teller:
    """Tells of one scan. A server that does not answer is told no more: the scan goes on without it."""

    def __init__(self, work: Work, results: Path) -> None:
        self._results, self._root, self._log = results, work.run["root"], get_run_logger()
        self._todo, self._done, self._lines, self._last = len(work.todo), 0, 0, time.monotonic()
        self._reachable = True
        self._log.info("%s: %d files to look at; %d are unchanged and skipped", self._root, self._todo, work.unchanged)
        begun: Any = self._ask(lambda: create_progress_artifact(0.0, description=self._how_far()))
        self._progress: UUID | None = begun

    def batch(self, batch: Sequence[Entry], judged: Sequence[Result]) -> None:
        """Tell of a batch that is committed."""
        self._done += len(batch)
        for entry, result in zip(batch, judged, strict=True):
            if result.outcome.status != Status.OK:
                self._line(entry, result)
        if time.monotonic() - self._last > SECONDS_BETWEEN:
            self._move()

    def end(self, summary: Summary) -> None:
        """Tell how the scan ended: in the log, and as artifacts that are kept by the folder's name."""
        self._move()
        if self._lines > LINES:
            self._log.warning("%d files more could not be judged: `fauxscan latest` lists them", self._lines - LINES)
        self._log.info("changes: %s; statuses: %s", summary.changes or "none", _counted(summary.statuses))
        key = _key(self._root)
        page, top, tables = summary_page(summary, self._results), self._top(), self._results.as_uri()
        self._ask(lambda: create_markdown_artifact(page, f"{key}-summary", f"Scan of {self._root}"))
        self._ask(lambda: create_table_artifact(top, f"{key}-top", f"Most suspicious files under {self._root}"))
        self._ask(lambda: create_link_artifact(tables, "the tables", f"{key}-tables", f"Tables of {self._root}"))

    def _line(self, entry: Entry, result: Result) -> None:
        self._lines += 1
        if self._lines <= LINES:
            outcome = result.outcome
            self._log.warning("%s: %s: %s", visible(entry.path), outcome.status, visible(outcome.detail or ""))

    def _move(self) -> None:
        """Move the progress."""
        self._last = time.monotonic()
        if progress := self._progress:
            self._ask(lambda: update_progress_artifact(progress, self._percent(), self._how_far()))

    def _percent(self) -> float:
        return 100.0 * self._done / self._todo if self._todo else 100.0

    def _how_far(self) -> str:
        return f"{self._done} of {self._todo} files to look at under {visible(self._root)}"

    def _ask(self, server: Callable[[], T]) -> T | None:
        """Ask the server for something; once it failed, a scan does not wait for it again."""
        try:
            return server() if self._reachable else None
        except (httpx.HTTPError, PrefectException) as error:
            self._reachable = False
            self._log.warning("the Prefect server is told no more of this scan, which goes on: %r", error)
            return None

    def _top(self) -> list[dict[str, Any]]:
        """Return the most suspicious files that are there."""
        with queries.opened(self._results) as tables:
            rows = tables.top(TOP, self._root).read_all().to_pylist()
        return [{name: row[name] for name in SHOWN} for row in rows]


def summary_page(summary: Summary, results: Path) -> str:
    """Return the summary of a scan as Markdown."""
    changes = {"unchanged": summary.unchanged, **summary.changes}
    parts = [
        f"# {_code(summary.root)}",
        _table("verdict", summary.verdicts),
        _table("status", _counted(summary.statuses)),
        _table("in this run", changes),
        f"Run {_code(summary.run_id)}. All files: {_code(f'fauxscan latest --results {results}')}",
    ]
    return "\n\n".join(parts)


def _table(title: str, counts: Mapping[str, int]) -> str:
    return "\n".join([f"| {title} | files |", "| :-- | --: |", *(f"| {name} | {n:,} |" for name, n in counts.items())])


def _code(text: str) -> str:
    """Return a text as Markdown shows it, whatever is in it."""
    return f"`{visible(text).replace('`', chr(39))}`"


def _counted(counts: Mapping[str, int]) -> dict[str, int]:
    return {name: count for name, count in counts.items() if count}


def _key(root: str) -> str:
    """Return the key that artifacts of a folder are kept under: the server takes small letters, digits and dashes."""
    return re.sub("[^a-z0-9]+", "-", f"scan{root.lower()}").strip("-")
