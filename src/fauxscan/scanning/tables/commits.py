"""Commits of judged batches: staged one by one, published in groups, and completed by the next run after a kill.

    staging/<run>/run.parquet                  the run's row, as it began
    staging/<run>/<group>/media-<key>.parquet  a batch; files with its faces and scores are written before it
    faces/<run>-<group>.parquet                a published group; scores/... and media/... are written after it

A group is published under a fixed name once no batch is added to it. An interrupted publication is simply repeated:
files that exist are complete and stay as they are, and the group is deleted only when all files exist.
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

from fauxscan import disk
from fauxscan.scanning.rows import Row, key_of
from fauxscan.scanning.tables import parquet, schemas
from fauxscan.scanning.tables.folder import STAGING
from fauxscan.scanning.tables.schemas import FACES, MEDIA, RUNS, SCORES

STAMP = "%Y%m%dT%H%M%S%f"
RUN_ID = re.compile(r"(\d{8}T\d{12})Z-[0-9a-f]{6}")
SORT_KEYS = {
    "media": [("root", "ascending"), ("path", "ascending")],
    "scores": [(name, "ascending") for name in ("sha256", "model", "frame", "face")],
    "faces": [(name, "ascending") for name in ("sha256", "frame", "face")],
}
WRITE_ORDER = (FACES, SCORES, MEDIA)  # media last: its file shows that the others exist


def staging(results: Path) -> Path:
    """Return the folder of staged batches."""
    return results / STAGING


def folder_of(results: Path, run_id: str) -> Path:
    """Return the folder in which a run stages its batches."""
    return staging(results) / run_id


def new_run_id(results: Path, now: datetime) -> str:
    """Return an id that sorts after all others in the results, even if the clock was set back."""
    folders = (results / "runs", results / "media", results / "evaluations", staging(results))
    names = (path.name for folder in folders if folder.is_dir() for path in folder.iterdir())
    newest = max((match[1] for name in names if (match := RUN_ID.match(name))), default="")
    stamp = now.strftime(STAMP)
    if stamp <= newest:
        stamp = (datetime.strptime(newest, STAMP) + timedelta(microseconds=1)).strftime(STAMP)
    return f"{stamp}Z-{secrets.token_hex(3)}"


@dataclass
class Commits:
    """Stages the batches of one run, and publishes them in groups of `publish_every`."""

    results: Path
    run_id: str
    publish_every: int
    group: int = 0
    batches: int = 0

    @property
    def folder(self) -> Path:
        """Return the folder in which this run stages its batches."""
        return folder_of(self.results, self.run_id)

    def begin(self, run: Row) -> None:
        """Stage the run's row, so that the run is recorded even if it is interrupted."""
        self.folder.mkdir(parents=True)
        disk.sync(self.folder.parent)
        disk.sync(self.results)
        parquet.write(pa.Table.from_pylist([run], RUNS), self.folder / "run.parquet", self.folder)

    def stage(self, media: Sequence[Row], scores: Sequence[Row] = (), faces: Sequence[Row] = ()) -> None:
        """Write one batch durably. Staging a batch again changes nothing."""
        if not media:
            return
        group, key = self._group(), batch_key(media)
        for schema, rows in zip(WRITE_ORDER, (faces, scores, media), strict=True):
            part = group / f"{schemas.name_of(schema)}-{key}.parquet"
            if rows and not part.exists():
                parquet.write(pa.Table.from_pylist(list(rows), schema), part, self.folder)
        self.batches += 1

    def publish_full(self) -> None:
        """Publish the group if it is full."""
        if self.batches >= self.publish_every:
            self.publish()

    def publish(self) -> None:
        """Publish the staged batches and begin a new group."""
        self.group, self.batches = self.group + 1, 0  # first, so that no batch joins a group whose publication failed
        for group in groups(self.folder):
            publish_group(self.results, group)

    def finish(self, run: Row) -> None:
        """Publish the remaining batches, then the run's row."""
        self.publish()
        parquet.write(pa.Table.from_pylist([run], RUNS), self.results / "runs" / f"{self.run_id}.parquet", self.folder)
        shutil.rmtree(self.folder)

    def _group(self) -> Path:
        group = self.folder / f"{self.group:06d}"
        if not group.is_dir():
            group.mkdir()
            disk.sync(self.folder)
        return group


def groups(run: Path) -> list[Path]:
    """Return the folders of the groups of batches that a run staged."""
    return sorted(path for path in run.iterdir() if path.is_dir())


def batch_key(media: Sequence[Row]) -> str:
    """Return the key of a batch, which is derived from its content."""
    lines = sorted(repr((key_of(row), row["change"], row["sha256"], row["settings"])) for row in media)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def publish_group(results: Path, group: Path) -> None:
    """Merge the batches of a group into one file for each table, then delete them."""
    keys = sorted(part.stem.removeprefix("media-") for part in group.glob("media-*.parquet"))
    for schema in WRITE_ORDER:
        name = schemas.name_of(schema)
        target = results / name / f"{group.parent.name}-{group.name}.parquet"
        parts = [part for key in keys if (part := group / f"{name}-{key}.parquet").exists()]
        if parts and not target.exists():
            merged = pa.concat_tables(parquet.read_part(part, schema) for part in parts).sort_by(SORT_KEYS[name])
            parquet.write(merged, target, group.parent)
    shutil.rmtree(group)


def recover(results: Path) -> int:
    """Publish the batches that interrupted runs have staged; return the number of these runs."""
    interrupted = sorted(folder for folder in staging(results).glob("*") if folder.is_dir())
    for folder in interrupted:
        for group in groups(folder):
            publish_group(results, group)
        _close(results, folder)
    return len(interrupted)


def _close(results: Path, folder: Path) -> None:
    """Record an interrupted run, without end and counts, unless it wrote its final row before it was killed."""
    target, row = results / "runs" / f"{folder.name}.parquet", folder / "run.parquet"
    if row.exists() and not target.exists():
        parquet.write(parquet.read_part(row, RUNS), target, folder)
    shutil.rmtree(folder)
