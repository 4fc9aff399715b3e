"""Read from the tables what the page of a scan shows: the run, its files, what is new, and earlier distributions."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from fauxscan.records import Kind, Status, Verdict
from fauxscan.reporting.scan_page.contents import Difference, Failure, File, Histogram, Run, Since
from fauxscan.reporting.scan_page.remedies import remedy
from fauxscan.scanning.rows import Row
from fauxscan.scanning.tables.queries import Tables

LISTED = 10_000  # files in the table of the page: nobody pages through more, and the page must open at once
SUSPICIOUS, VIDEOS = 200, 20  # files that are shown with pictures
CHANGED = 500  # changed results in the list
EXAMPLES = 5  # names for each reason of a failure
REASONS = 50  # for failures
EARLIER = 5  # runs before this one whose distribution is drawn
BINS = 20  # of p_fake
# What a reader looks at first among the changes.
ORDER = (Verdict.LIKELY_SYNTHETIC, Verdict.UNCERTAIN, Verdict.NO_INDICATION, None)


@dataclass
class Files:
    """The files under the root when the run ended: counts of all, and the rows of those that are shown."""

    run_id: str
    total: int = 0
    verdicts: Counter[str] = field(default_factory=Counter)
    statuses: Counter[str] = field(default_factory=Counter)
    listed: list[Row] = field(default_factory=list)
    suspicious: list[Row] = field(default_factory=list)
    videos: list[Row] = field(default_factory=list)
    settings: set[str] = field(default_factory=set)
    _shown: set[str] = field(default_factory=set)
    _failures: dict[tuple[str, str | None], list[str]] = field(default_factory=dict)
    _failed: Counter[tuple[str, str | None]] = field(default_factory=Counter)

    def add(self, row: Row) -> None:
        """Count a row of `media`, and keep it if it is shown. Rows come with the highest p_fake first."""
        self.total += 1
        self.statuses[row["status"]] += 1
        if len(self.listed) < LISTED:
            self.listed.append(row)
        if row["status"] != Status.OK:
            self._add_failure(row)
            return
        self.verdicts[row["verdict"]] += 1
        self._add_shown(row)

    def _add_failure(self, row: Row) -> None:
        key = (row["status"], row["detail"])
        self._failed[key] += 1
        names = self._failures.setdefault(key, [])
        if len(names) < EXAMPLES:
            names.append(row["path"])

    def _add_shown(self, row: Row) -> None:
        """Keep the first file of each content among the most suspicious ones, and among the videos."""
        if row["sha256"] in self._shown:
            return
        shown = False
        if len(self.suspicious) < SUSPICIOUS:
            self.suspicious.append(row)
            shown = True
        if row["kind"] == Kind.VIDEO and len(self.videos) < VIDEOS:
            self.videos.append(row)
            shown = True
        if shown:
            self._shown.add(row["sha256"])
            self.settings.add(row["settings"])

    @property
    def contents(self) -> set[str]:
        """Return the SHA-256 of the files that are shown with pictures."""
        return self._shown

    @property
    def failures(self) -> tuple[Failure, ...]:
        """Return the most frequent reasons for failures, those of one status together."""
        frequent = self._failed.most_common(REASONS)
        ordered = sorted(frequent, key=lambda pair: (-self.statuses[pair[0][0]], pair[0][0], -pair[1]))
        return tuple(
            Failure(
                status=status,
                detail=detail,
                files=count,
                examples=tuple(self._failures[status, detail]),
                remedy=remedy(status),
            )
            for (status, detail), count in ordered
        )


def read_files(tables: Tables, run: Row) -> Files:
    """Return the files under the root of a run when it ended."""
    files = Files(run["run_id"])
    for row in _rows(tables.after(run["run_id"], run["root"])):
        files.add(row)
    return files


def run_record(run: Row) -> Run:
    """Return what the page says about a run."""
    return Run(**{name: run[name] for name in Run.model_fields})


def file_record(row: Row, run: Row) -> File:
    """Return what the page says about a file, from its row of `media`."""
    name = row["path_bytes"]
    return File(
        **{
            column: row[column]
            for column in File.model_fields
            if column in row and column not in ("change", "settings")
        },
        path_hex=None if name is None else name.hex(),
        change=row["change"] if row["run_id"] == run["run_id"] else None,
        settings=None if row["settings"] == run["settings"] else row["settings"],
    )


def earlier_runs(tables: Tables, run: Row) -> list[Row]:
    """Return the finished runs on the same root before a run, latest first."""
    rows = [row for row in _rows(tables.runs()) if row["root"] == run["root"] and row["run_id"] < run["run_id"]]
    return [row for row in reversed(rows) if row["finished_at"] is not None]


def since(tables: Tables, run: Row, earlier: Sequence[Row]) -> Since | None:
    """Return what is new since the last finished run on the same root; None if there is none."""
    if not earlier:
        return None
    before = earlier[0]
    counts: Counter[str] = Counter()
    found: list[Row] = []
    for row in _rows(tables.differences(before["run_id"], run["run_id"], run["root"])):
        counts[row["difference"]] += 1
        found.append(row)
    found.sort(key=_importance)
    files = tuple(Difference(**{name: row[name] for name in Difference.model_fields}) for row in found[:CHANGED])
    return Since(
        run_id=before["run_id"],
        started_at=before["started_at"],
        total=sum(counts.values()),
        counts=dict(counts.most_common()),
        files=files,
    )


def _importance(row: Row) -> tuple[Any, ...]:
    """Return the sort key of a change: removed files last, then by the verdict after it, the highest p_fake first."""
    verdict, p_fake = row["verdict_after"], row["p_fake_after"]
    return row["difference"] == "removed", ORDER.index(verdict), -(p_fake or 0.0), row["path"]


def distributions(tables: Tables, run: Row, earlier: Sequence[Row]) -> tuple[Histogram, ...]:
    """Return the distribution of the scores of all files after a run and after some before it, newest first."""
    return tuple(
        Histogram(
            run_id=one["run_id"],
            started_at=one["started_at"],
            files=tuple(tables.histogram(one["run_id"], run["root"], BINS)),
        )
        for one in [run, *earlier[:EARLIER]]
    )


def score_rows(tables: Tables, files: Files) -> dict[tuple[str, str], list[Row]]:
    """Return the rows of `scores` of the files that are shown, by content and settings."""
    found: dict[tuple[str, str], list[Row]] = {}
    for row in _rows(tables.scores(files.contents, files.settings)):
        found.setdefault((row["sha256"], row["settings"]), []).append(row)
    return found


def _rows(batches: pa.RecordBatchReader) -> Iterator[Row]:
    chunks: Iterable[pa.RecordBatch] = batches
    for chunk in chunks:
        yield from chunk.to_pylist()
