"""A dry run: what a scan would do and how long it would take. It opens no media file and writes nothing."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from fauxscan.records import UserError
from fauxscan.scanning import results_folder
from fauxscan.scanning.engine.rejudging import open_ledger
from fauxscan.scanning.history import plan, settings_files
from fauxscan.scanning.history.ledger import Ledger
from fauxscan.scanning.inputs import roots
from fauxscan.scanning.inputs.local import EVERYTHING
from fauxscan.scanning.inputs.roots import Root
from fauxscan.scanning.rows import LOOKS, TRANSIENT, Change, Entry, Looks, Row
from fauxscan.scanning.settings import Settings
from fauxscan.scanning.tables import commits, parquet
from fauxscan.scanning.tables.schemas import MEDIA, RUNS

JUDGED = (Change.NEW, Change.CHANGED, Change.RESCORED)


class Plan(NamedTuple):
    """The files to look at, the number of unchanged ones, and the ledger, which knows the removed ones."""

    ledger: Ledger
    todo: list[Entry]
    unchanged: int


@dataclass(frozen=True)
class Rate:
    """The speed of an earlier run."""

    run_id: str
    files_per_second: float
    same_settings: bool


@dataclass(frozen=True)
class Forecast:
    """What a scan would do. It looks at new and changed files, files judged with other settings, and past failures."""

    root: str
    unchanged: int
    new: int
    changed: int
    touched: int  # the same size and another time or etag; reading them shows whether they changed
    other_settings: int
    tried_again: int
    gone: int
    moved: int  # new files that match removed ones by size and time; they are still read, to be sure
    files_to_read: int  # at most: copies of files judged earlier in the run may not be read
    bytes_to_read: int
    files_to_judge: int  # at most: copies are not judged, but only reading a new file shows that it is one
    rate: Rate | None

    @property
    def seconds(self) -> float | None:
        """Return the estimated duration of the scan, or None if there is no earlier run to estimate from."""
        return self.files_to_judge / self.rate.files_per_second if self.rate else None

    def row(self) -> Row:
        """Return all values as one flat record."""
        rate = asdict(self.rate) if self.rate else dict.fromkeys(Rate.__dataclass_fields__)
        values = {name: value for name, value in asdict(self).items() if name != "rate"}
        return {**values, "seconds": self.seconds, **{f"rate_{name}": value for name, value in rate.items()}}


def forecast(folder: Root | Path, results: Path, settings: Settings, names: Collection[str] = EVERYTHING) -> Forecast:
    """Return what a scan of `names` below `folder` would do. Raise UserError where the scan would."""
    root = roots.root_at(folder)
    results_folder.check(results, root)
    media = _media(results)
    parquet.check(results)
    ledger = open_ledger(media, root.text, results, settings)
    planned = Plan(ledger, *plan.make(root.walk(results, names, settings.scan), ledger, media))
    reasons, to_read = _reasons(planned), _to_read(planned, settings)
    return Forecast(
        root=root.text,
        unchanged=planned.unchanged,
        new=reasons["new"],
        changed=reasons["changed"],
        touched=reasons["touched"],
        other_settings=reasons["other_settings"],
        tried_again=reasons["tried_again"],
        gone=len(planned.ledger.gone()),
        moved=_moved(planned),
        files_to_read=len(to_read),
        bytes_to_read=sum(size for _, size in to_read),
        files_to_judge=len({content for content, _ in to_read}),
        rate=_rate(parquet.read(results, RUNS), _read_and_judged(media, results, settings), settings.digest),
    )


def _media(results: Path) -> pa.Table:
    """Return the table `media` including batches staged by interrupted scans, which the next scan publishes."""
    staged = list(_staged(results))  # read before the table, so that batches published meanwhile appear at least once
    return pa.concat_tables([parquet.read(results, MEDIA), *staged])


def _staged(results: Path) -> Iterator[pa.Table]:
    for part in sorted(commits.staging(results).glob("*/*/media-*.parquet")):
        try:
            yield parquet.read_part(part, MEDIA)
        except UserError:
            if part.exists():  # otherwise it has just been published
                raise


def _reasons(planned: Plan) -> Mapping[str, int]:
    """Return the number of files to look at for each reason."""
    rows = planned.ledger.rows
    states = zip(*(rows[name].to_pylist() for name in (*LOOKS, "status")), strict=True)
    before = dict(zip(parquet.keys(rows), states, strict=True)) if planned.todo else {}
    return Counter(_reason(entry, before.get(entry.key)) for entry in planned.todo)


def _reason(entry: Entry, before: tuple[Any, ...] | None) -> str:
    if before is None:
        return "new"
    *values, status = before
    looks = Looks(*values)
    if looks != entry.looks:
        return "touched" if looks.size == entry.size is not None else "changed"
    return "tried_again" if status in TRANSIENT else "other_settings"


def _moved(planned: Plan) -> int:
    """Return how many new files match a removed file by size and time."""
    gone = Counter(Looks(*(row[name] for name in LOOKS)) for row in planned.ledger.gone() if row["sha256"])
    if not gone:
        return 0
    new = Counter(e.looks for e in planned.todo if e.key not in planned.ledger)
    return (gone & new).total()


def _to_read(planned: Plan, settings: Settings) -> list[tuple[str | int, int]]:
    """Return the files that are not judged with these settings: their digest, or a number if unknown, and size."""
    readable = (e for e in planned.todo if e.status is None and (e.size or 0) <= settings.media.max_bytes)
    contents = ((entry, planned.ledger.content(entry)) for entry in readable)
    left = [(entry, content) for entry, content in contents if not (content and planned.ledger.outcome(content))]
    return [(content or number, entry.size or 0) for number, (entry, content) in enumerate(left)]


def _read_and_judged(media: pa.Table, results: Path, settings: Settings) -> pa.Table:
    """Return the rows of files that were read and judged, without copies and what stored logits may have settled."""
    rows = media.filter(pc.and_(pc.is_in(media["change"], pa.array(map(str, JUDGED))), pc.is_valid(media["sha256"])))
    if not (alike := settings_files.read_alike(results, settings)):
        return rows
    rescored = pc.equal(rows["change"], str(Change.RESCORED))
    return rows.filter(pc.invert(pc.and_(rescored, pc.is_in(rows["settings"], pa.array([*alike, settings.digest])))))


def _rate(runs: pa.Table, rows: pa.Table, settings: str) -> Rate | None:
    """Return the rate of the finished run that judged most files, preferably with the same settings.

    A long run is the best estimate, as the time to start weighs least in it.
    """
    judged = {item["values"]: item["counts"] for item in rows["run_id"].value_counts().to_pylist()}
    ended = [run for run in runs.to_pylist() if run["finished_at"] and judged.get(run["run_id"])]
    if not ended:
        return None
    best = max(ended, key=lambda run: (run["settings"] == settings, judged[run["run_id"]], run["run_id"]))
    duration_s = max((best["finished_at"] - best["started_at"]) / timedelta(seconds=1), 0.001)
    return Rate(best["run_id"], judged[best["run_id"]] / duration_s, best["settings"] == settings)
