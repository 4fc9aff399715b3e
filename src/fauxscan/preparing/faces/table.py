"""The faces of a dataset on disk: a few large Parquet files, written in chunks so that a killed stage can resume.

Each chunk is a file `faces-<n>.parquet` with faces and frames, and a file `made-<n>.parquet` with the outcome of each
media file.
"""

import hashlib
import io
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import pyarrow as pa
import pyarrow.parquet as pq

from fauxscan import disk
from fauxscan.records import FACES, MADE, Status, UserError

CHUNK_BYTES = 128 << 20  # of media: a killed stage loses at most this, and files are large enough for DVC
CHUNK_FILES = 2000
GROUP_ROWS, GROUP_BYTES = 256, 32 << 20  # limits of a row group, which is held in memory until it is written
KEY, DIGEST, ROWS = b"fauxscan.key", b"fauxscan.faces_sha256", b"fauxscan.rows_sha256"
TEMPORARY = {Status.UNREADABLE, Status.CHANGED_DURING_READ, Status.CRASHED, Status.TIMEOUT}
Row = dict[str, Any]


@dataclass(frozen=True)
class Chunk:
    """Consecutive rows of the index, and the two files with their faces and outcomes."""

    number: int
    examples: pa.Table
    key: str  # SHA-256 of the rows and of the settings of the extraction

    @property
    def names(self) -> tuple[str, str]:
        """Return the names of the file with faces and of the file with outcomes."""
        return f"faces-{self.number:05d}.parquet", f"made-{self.number:05d}.parquet"


def plan_chunks(index: pa.Table, settings: Any) -> list[Chunk]:
    """Return the chunks of an index; their keys change with its rows and with the `settings` of the extraction."""
    chunks: list[Chunk] = []
    start, size = 0, 0
    sizes = [*index["size"].to_pylist(), CHUNK_BYTES]
    for row in range(1, len(index) + 1):
        size += sizes[row - 1]
        if row == len(index) or size + sizes[row] > CHUNK_BYTES or row - start == CHUNK_FILES:
            examples = index.slice(start, row - start)
            content = json.dumps([settings, examples.to_pylist()], sort_keys=True)
            chunks.append(Chunk(len(chunks), examples, hashlib.sha256(content.encode()).hexdigest()))
            start, size = row, 0
    return chunks


class ChunkWriter:
    """Writes the two files of a chunk to temporary files, and renames them when both are complete."""

    def __init__(self, folder: Path, chunk: Chunk) -> None:
        self.folder, self.chunk = folder, chunk
        self._faces, self._outcomes = (folder / f"{name}.part" for name in chunk.names)
        self._group: list[Row] = []
        self._bytes = 0
        self._files: list[Row] = []
        schema = _with(FACES, {KEY: chunk.key})
        self._writer = pq.ParquetWriter(self._faces, schema, compression="none")  # images do not compress further

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is not None:
            self._writer.close()  # the next run deletes the temporary files

    def write(self, outcome: Row, faces: Iterable[Row]) -> None:
        """Add the outcome of one media file, and its faces."""
        self._files.append(outcome)
        for row in faces:
            self._group.append(row)
            self._bytes += len(row["image"])
            if len(self._group) >= GROUP_ROWS or self._bytes >= GROUP_BYTES:
                self._flush()

    def _flush(self) -> None:
        self._writer.write_table(pa.Table.from_pylist(self._group, FACES))
        self._group, self._bytes = [], 0

    def finish(self) -> None:
        """Rename both files to their final names, the outcomes last."""
        if self._group:
            self._flush()
        self._writer.close()
        files = pa.Table.from_pylist(self._files, MADE).to_pylist()  # as they are read back
        self._outcomes.write_bytes(_outcome_bytes(files, self.chunk.key, disk.digest(self._faces)))
        for temporary, name in zip((self._faces, self._outcomes), self.chunk.names, strict=True):
            disk.move_into_place(temporary, self.folder / name)


def find_damage(folder: Path, chunk: Chunk) -> str | None:
    """Return the reason why a chunk must be extracted again, or None. A single flipped bit is noticed."""
    faces, outcomes = (folder / name for name in chunk.names)
    if not faces.is_file() or not outcomes.is_file():
        return "a file is missing"
    try:
        table = pq.read_table(outcomes)
        meta = table.schema.metadata or {}
        if meta.get(KEY) != chunk.key.encode() or DIGEST not in meta:
            return f"{outcomes.name} is from other files or parameters"
        intact = _outcome_bytes(table.to_pylist(), chunk.key, meta[DIGEST].decode()) == outcomes.read_bytes()
    except Exception as error:  # readers raise any exception on flipped bits
        return f"{outcomes.name} cannot be read: {error}"
    if not intact:
        return f"{outcomes.name} is damaged"
    if temporary := sorted(TEMPORARY & set(table["status"].to_pylist())):
        return f"some of its files were {' or '.join(temporary)}, which may be temporary"
    return None if disk.digest(faces).encode() == meta[DIGEST] else f"{faces.name} is damaged"


def read_outcomes(folder: Path, columns: list[str] | None = None) -> pa.Table:
    """Return the outcome of each media file, in the order of the index. Raise UserError if there is none."""
    repeated = ["jpeg_tables"]  # a kilobyte for each file, and the same for most
    tables = [pq.read_table(file, columns=columns, read_dictionary=repeated) for file in _files(folder, "made")]
    return pa.concat_tables(table.replace_schema_metadata(MADE.metadata) for table in tables).unify_dictionaries()


def read_faces(folder: Path, columns: list[str]) -> pa.Table:
    """Return these columns of all faces and frames, in the order of the index. Raise UserError if there are none."""
    tables = [pq.read_table(file, columns=columns) for file in face_files(folder)]
    return pa.concat_tables(table.replace_schema_metadata(FACES.metadata) for table in tables)


def face_files(folder: Path) -> list[Path]:
    """Return the files with faces and frames. Raise UserError if there are none."""
    return _files(folder, "faces")


def _files(folder: Path, table: str) -> list[Path]:
    files = sorted(folder.glob(f"{table}-*.parquet"))
    if not files:
        raise UserError(f"no {table}-*.parquet in {folder}: run the stage `faces` first")
    return files


def _outcome_bytes(rows: list[Row], key: str, faces_sha256: str) -> bytes:
    """Return the content of the file of outcomes: the same for the same rows, and with their digest inside."""
    out = io.BytesIO()
    digest = hashlib.sha256(json.dumps(rows, sort_keys=True).encode()).hexdigest()
    table = pa.Table.from_pylist(rows, _with(MADE, {KEY: key, DIGEST: faces_sha256, ROWS: digest}))
    pq.write_table(table, out, compression="zstd")
    return out.getvalue()


def _with(schema: pa.Schema, extra: dict[bytes, str]) -> pa.Schema:
    return schema.with_metadata({**schema.metadata, **extra})
