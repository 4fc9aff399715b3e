"""How scored batches become durable: staged one by one, published together, finished by the next run if killed.

    staging/<run>/run.parquet                 the run's row, as it began
    staging/<run>/<group>/media-<key>.parquet a batch; its faces and scores, written before, beside it
    faces/<run>-<group>.parquet               what a group was published as, then scores/..., then media/...

A group that no longer grows has one name to be published under. So a publication cut short is simply done again: a file
that exists is whole and is left alone, and the group is deleted only when all exist.
"""

import hashlib
import re
import secrets
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import pyarrow as pa

from fauxscan.scanning import tables
from fauxscan.scanning.rows import Row, key_of
from fauxscan.scanning.tables import FACES, MEDIA, RUNS, SCORES

STAMP = "%Y%m%dT%H%M%S%f"
RUN_ID = re.compile(r"(\d{8}T\d{12})Z-[0-9a-f]{6}")
ORDER = {
    "media": [("root", "ascending"), ("path", "ascending")],
    "scores": [(name, "ascending") for name in ("sha256", "model", "frame", "face")],
    "faces": [(name, "ascending") for name in ("sha256", "frame", "face")],
}
IN_ORDER = (FACES, SCORES, MEDIA)  # what tells that the others are there comes last


def staging(results: Path) -> Path:
    """Return the folder of what is staged."""
    return results / "staging"


def folder_of(results: Path, run_id: str) -> Path:
    """Return where a run stages."""
    return staging(results) / run_id


def new_run_id(results: Path, now: datetime) -> str:
    """Return an id that sorts after every other in the results, even where the clock was set back."""
    folders = (results / "runs", results / "media", results / "evaluations", staging(results))
    found = [
        match for folder in folders if folder.is_dir() for p in folder.iterdir() if (match := RUN_ID.match(p.name))
    ]
    newest = max((match[1] for match in found), default="")
    stamp = now.strftime(STAMP)
    if stamp <= newest:
        stamp = (datetime.strptime(newest, STAMP) + timedelta(microseconds=1)).strftime(STAMP)
    return f"{stamp}Z-{secrets.token_hex(3)}"


@dataclass
class Commits:
    """The staged batches of one run, `publish_every` of them a group."""

    results: Path
    run_id: str
    publish_every: int
    group: int = 0
    batches: int = 0

    @property
    def folder(self) -> Path:
        """Return where this run stages."""
        return folder_of(self.results, self.run_id)

    def begin(self, run: Row) -> None:
        """Stage the run's row, so that an interrupted run is told of."""
        self.folder.mkdir(parents=True)
        tables.sync(self.folder.parent)
        tables.sync(self.results)
        tables.write(pa.Table.from_pylist([run], RUNS), self.folder / "run.parquet", self.folder)

    def stage(self, media: Sequence[Row], scores: Sequence[Row] = (), faces: Sequence[Row] = ()) -> None:
        """Make one batch durable; the same batch twice is the same files."""
        if not media:
            return
        group, key = self._group(), batch_key(media)
        for schema, rows in zip(IN_ORDER, (faces, scores, media), strict=True):
            part = group / f"{tables.name_of(schema)}-{key}.parquet"
            if rows and not part.exists():
                tables.write(pa.Table.from_pylist(list(rows), schema), part, self.folder)
        self.batches += 1

    def publish_full(self) -> None:
        """Publish the group if it has its number of batches."""
        if self.batches >= self.publish_every:
            self.publish()

    def publish(self) -> None:
        """Publish what is staged; what is staged from now on belongs to the next group."""
        self.group, self.batches = self.group + 1, 0  # first: a publication that fails is done again, never added to
        for group in groups(self.folder):
            publish_group(self.results, group)

    def finish(self, run: Row) -> None:
        """Publish the rest, then the run's row."""
        self.publish()
        tables.write(pa.Table.from_pylist([run], RUNS), self.results / "runs" / f"{self.run_id}.parquet", self.folder)
        shutil.rmtree(self.folder)

    def _group(self) -> Path:
        group = self.folder / f"{self.group:06d}"
        if not group.is_dir():
            group.mkdir()
            tables.sync(self.folder)
        return group


def groups(run: Path) -> list[Path]:
    """Return the groups of batches staged by a run."""
    return sorted(path for path in run.iterdir() if path.is_dir())


def batch_key(media: Sequence[Row]) -> str:
    """Return the name of a batch, which follows from what is in it."""
    lines = sorted(repr((key_of(row), row["change"], row["sha256"], row["settings"])) for row in media)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def publish_group(results: Path, group: Path) -> None:
    """Merge a group's batches into one file a table, then delete them."""
    keys = sorted(part.stem.removeprefix("media-") for part in group.glob("media-*.parquet"))
    for schema in IN_ORDER:
        name = tables.name_of(schema)
        target = results / name / f"{group.parent.name}-{group.name}.parquet"
        parts = [part for key in keys if (part := group / f"{name}-{key}.parquet").exists()]
        if parts and not target.exists():
            merged = pa.concat_tables(tables.read_part(part, schema) for part in parts).sort_by(ORDER[name])
            tables.write(merged, target, group.parent)
    shutil.rmtree(group)


def recover(results: Path) -> int:
    """Publish what killed runs have left staged; return of how many runs."""
    left = sorted(folder for folder in staging(results).glob("*") if folder.is_dir())
    for folder in left:
        for group in groups(folder):
            publish_group(results, group)
        _close(results, folder)
    return len(left)


def _close(results: Path, folder: Path) -> None:
    """Tell of an interrupted run, without an end and without counts; keep the row of one that did end."""
    target, row = results / "runs" / f"{folder.name}.parquet", folder / "run.parquet"
    if row.exists() and not target.exists():
        tables.write(tables.read_part(row, RUNS), target, folder)
    shutil.rmtree(folder)
