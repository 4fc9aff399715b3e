"""The faces that earlier scans found, kept for a limited time for other models: boxes and landmarks, no pixels."""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from threading import Lock

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fauxscan.media.faces.finder import Face
from fauxscan.scanning.history.hash_index import HashIndex
from fauxscan.scanning.rows import Faces, Row
from fauxscan.scanning.tables import commits, parquet, schemas


class KnownFaces:
    """The faces that earlier runs found with the face settings whose digest is `found_with`."""

    def __init__(self, results: Path, found_with: str) -> None:
        self._results, self._found_with = results, found_with
        self._lock = Lock()

    def of_content(self, sha256: str) -> Faces | None:
        """Return the faces of a content; None if they are not known."""
        with self._lock:  # many threads ask, and the first one builds the index
            numbers = self._index.rows(sha256)
        rows: list[Row] = self._table.take(pa.array(numbers, pa.int64())).to_pylist()
        return faces_of(rows) if rows else None

    @cached_property
    def _table(self) -> pa.Table:
        rows = parquet.read(self._results, schemas.FACES)
        return rows.filter(pc.equal(rows["found_with"], self._found_with))

    @cached_property
    def _index(self) -> HashIndex:
        return HashIndex(self._table["sha256"])


def face_rows(sha256: str | None, found_with: str, faces: Faces | None) -> Iterator[Row]:
    """Yield the rows that keep the faces of a content; a content without faces has one row without a frame."""
    if faces is None:
        return
    content = {"sha256": sha256, "found_with": found_with}
    numbered = [(frame, number, face) for frame in faces for number, face in enumerate(faces[frame])]
    for frame, number, face in numbered:
        box = {"x": face.x, "y": face.y, "w": face.w, "h": face.h, "det_score": face.score}
        position = {"frame": frame, "track": face.track, "face": number, "landmarks": face.landmarks.reshape(-1)}
        yield content | position | box
    if not numbered:
        yield content


def faces_of(rows: Iterable[Row]) -> Faces:
    """Return the faces of a content from its rows."""
    frames: dict[int, list[Face]] = {}
    for row in rows:
        if row["frame"] is not None:
            frames.setdefault(row["frame"], []).append(_face(row))
    return {frame: tuple(faces) for frame, faces in frames.items()}


def delete_old(results: Path, days: int, now: datetime) -> None:
    """Delete the faces that runs found more than `days` days before `now`."""
    oldest = (now - timedelta(days=days)).strftime(commits.STAMP)
    for part in (results / schemas.name_of(schemas.FACES)).glob("*.parquet"):
        if part.name < oldest:
            part.unlink()


def _face(row: Row) -> Face:
    landmarks = np.array(row["landmarks"], np.float32).reshape(5, 2)
    return Face(row["x"], row["y"], row["w"], row["h"], landmarks, row["det_score"], row["track"])
