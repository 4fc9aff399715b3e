"""What a scan would do and what it would cost, from names and tables alone: no file is opened, nothing is written."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from fauxscan.records import UserError
from fauxscan.scanning import commits, places, plan, tables
from fauxscan.scanning.ledger import Ledger
from fauxscan.scanning.places import Place
from fauxscan.scanning.rows import LOOKS, TRANSIENT, Change, Entry, Looks, Row
from fauxscan.scanning.settings import Settings
from fauxscan.scanning.tables import MEDIA, RUNS
from fauxscan.scanning.walking import EVERYTHING

JUDGED = (Change.NEW, Change.CHANGED, Change.RESCORED)


class Plan(NamedTuple):
    """What there is to do, and the ledger that knows what is gone."""

    ledger: Ledger
    todo: list[Entry]
    unchanged: int


@dataclass(frozen=True)
class Rate:
    """How fast an earlier run was."""

    run_id: str
    files_per_second: float
    same_settings: bool


@dataclass(frozen=True)
class Foreseen:
    """What a scan would do. Its files to look at are new, changed, of other settings, or failed and tried again."""

    root: str
    unchanged: int
    new: int
    changed: int
    other_settings: int
    tried_again: int
    gone: int
    moved: int  # of the new, by size and time; all the same they are read, to be sure
    files_to_read: int  # at most: copies of what is judged earlier in the run may not be read
    bytes_to_read: int
    files_to_judge: int  # at most: a copy, as which only reading shows a new file, is not judged
    rate: Rate | None

    @property
    def seconds(self) -> float | None:
        """Return about how long it would take; None if no earlier run tells."""
        return self.files_to_judge / self.rate.files_per_second if self.rate else None

    def row(self) -> Row:
        """Return all of it, flat."""
        rate = asdict(self.rate) if self.rate else dict.fromkeys(Rate.__dataclass_fields__)
        told = {name: value for name, value in asdict(self).items() if name != "rate"}
        return {**told, "seconds": self.seconds, **{f"rate_{name}": value for name, value in rate.items()}}


def foresee(folder: Place | Path, results: Path, settings: Settings, names: Collection[str] = EVERYTHING) -> Foreseen:
    """Return what a scan of what is named below `folder` would do. Raise UserError as the scan would."""
    root, media = places.at(folder), _media(results)
    tables.check(results)
    ledger = Ledger(media, root.text, settings.digest)
    found = Plan(ledger, *plan.make(root.walk(results, names, settings.scan), ledger, media))
    reasons, to_read = _reasons(found), _to_read(found, settings)
    return Foreseen(
        root=root.text,
        unchanged=found.unchanged,
        new=reasons["new"],
        changed=reasons["changed"],
        other_settings=reasons["other_settings"],
        tried_again=reasons["tried_again"],
        gone=len(found.ledger.gone()),
        moved=_moved(found),
        files_to_read=len(to_read),
        bytes_to_read=sum(size for _, size in to_read),
        files_to_judge=len({content for content, _ in to_read}),
        rate=_rate(tables.read(results, RUNS), media, settings.digest),
    )


def _media(results: Path) -> pa.Table:
    """Return the table `media` as it is when the next scan has published what killed ones left staged."""
    staged = list(_staged(results))  # before the tables: what a scan publishes meanwhile is in one of them
    return pa.concat_tables([tables.read(results, MEDIA), *staged])


def _staged(results: Path) -> Iterator[pa.Table]:
    for part in sorted(commits.staging(results).glob("*/*/media-*.parquet")):
        try:
            yield tables.read_part(part, MEDIA)
        except UserError:
            if part.exists():  # else it has just been published
                raise


def _reasons(found: Plan) -> Mapping[str, int]:
    """Return how many files are to be looked at for which reason."""
    rows = found.ledger.rows
    states = zip(*(rows[name].to_pylist() for name in (*LOOKS, "status")), strict=True)
    before = dict(zip(tables.keys(rows), states, strict=True)) if found.todo else {}
    return Counter(_reason(entry, before.get(entry.key)) for entry in found.todo)


def _reason(entry: Entry, before: tuple[Any, ...] | None) -> str:
    if before is None:
        return "new"
    *looks, status = before
    if tuple(looks) != entry.looks:
        return "changed"
    return "tried_again" if status in TRANSIENT else "other_settings"


def _moved(found: Plan) -> int:
    """Return how many new names look like a file that is gone."""
    gone = Counter(Looks(*(row[name] for name in LOOKS)) for row in found.ledger.gone() if row["sha256"])
    if not gone:
        return 0
    new = Counter(e.looks for e in found.todo if found.ledger.at(e.key) is None)
    return (gone & new).total()


def _to_read(found: Plan, settings: Settings) -> list[tuple[str | int, int]]:
    """Return the content, or else a number, and the size of each file whose content is not judged by these settings."""
    readable = (e for e in found.todo if e.status is None and (e.size or 0) <= settings.media.max_bytes)
    contents = ((entry, found.ledger.content(entry)) for entry in readable)
    left = [(entry, content) for entry, content in contents if not (content and found.ledger.outcome(content))]
    return [(content or number, entry.size or 0) for number, (entry, content) in enumerate(left)]


def _rate(runs: pa.Table, media: pa.Table, settings: str) -> Rate | None:
    """Return the rate of the finished run that judged most, if there is one of these settings: its start weighs least.

    A copy counts as nothing: it was read, not judged.
    """
    rows = media.filter(pc.and_(pc.is_in(media["change"], pa.array(map(str, JUDGED))), pc.is_valid(media["sha256"])))
    judged = {item["values"]: item["counts"] for item in rows["run_id"].value_counts().to_pylist()}
    ended = [run for run in runs.to_pylist() if run["finished_at"] and judged.get(run["run_id"])]
    if not ended:
        return None
    best = max(ended, key=lambda run: (run["settings"] == settings, judged[run["run_id"]], run["run_id"]))
    took = max((best["finished_at"] - best["started_at"]) / timedelta(seconds=1), 0.001)
    return Rate(best["run_id"], judged[best["run_id"]] / took, best["settings"] == settings)
