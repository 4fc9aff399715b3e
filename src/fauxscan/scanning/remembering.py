"""Where faces were found, kept for models to come: boxes and landmarks, no pixels, and for a stated time only."""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from threading import Lock

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fauxscan.media.faces import Face
from fauxscan.scanning import commits, tables
from fauxscan.scanning.by_hash import ByHash
from fauxscan.scanning.decoding import Faces
from fauxscan.scanning.rows import Row


class Remembered:
    """The faces that earlier runs found in the way that `found_with` is the digest of."""

    def __init__(self, results: Path, found_with: str) -> None:
        self._results, self._found_with = results, found_with
        self._lock = Lock()

    def __call__(self, sha256: str) -> Faces | None:
        """Return the faces of a content; None where they are not known."""
        with self._lock:  # many threads ask, and the first builds the index
            found = self._index.rows(sha256)
        rows: list[Row] = self._table.take(pa.array(found, pa.int64())).to_pylist()
        return faces_of(rows) if rows else None

    @cached_property
    def _table(self) -> pa.Table:
        rows = tables.read(self._results, tables.FACES)
        return rows.filter(pc.equal(rows["found_with"], self._found_with))

    @cached_property
    def _index(self) -> ByHash:
        return ByHash(self._table["sha256"])


def rows(sha256: str | None, found_with: str, faces: Faces | None) -> Iterator[Row]:
    """Give the rows that keep the faces of a content; one without a frame where there is none."""
    if faces is None:
        return
    known = {"sha256": sha256, "found_with": found_with}
    found = [(frame, number, face) for frame in faces for number, face in enumerate(faces[frame])]
    for frame, number, face in found:
        box = {"x": face.x, "y": face.y, "w": face.w, "h": face.h, "det_score": face.score}
        place = {"frame": frame, "track": face.track, "face": number, "landmarks": face.landmarks.reshape(-1)}
        yield known | place | box
    if not found:
        yield known


def faces_of(kept: Iterable[Row]) -> Faces:
    """Return the faces of a content that its rows keep."""
    frames: dict[int, list[Face]] = {}
    for row in kept:
        if row["frame"] is not None:
            frames.setdefault(row["frame"], []).append(_face(row))
    return {frame: tuple(faces) for frame, faces in frames.items()}


def forget(results: Path, days: int, now: datetime) -> None:
    """Delete what runs found longer ago than that."""
    oldest = (now - timedelta(days=days)).strftime(commits.STAMP)
    for part in (results / tables.name_of(tables.FACES)).glob("*.parquet"):
        if part.name < oldest:
            part.unlink()


def _face(row: Row) -> Face:
    landmarks = np.array(row["landmarks"], np.float32).reshape(5, 2)
    return Face(row["x"], row["y"], row["w"], row["h"], landmarks, row["det_score"], row["track"])
