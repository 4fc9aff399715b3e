"""The faces of a dataset on disk: few, big Parquet files, made chunk by chunk so that a killed stage goes on."""

import hashlib
import io
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import pyarrow as pa
import pyarrow.parquet as pq

from fauxscan.records import FACES, MADE, Status, UserError

CHUNK_BYTES = 128 << 20  # of media: what a killed stage loses at most, and big enough for DVC
CHUNK_FILES = 2000
GROUP_ROWS, GROUP_BYTES = 256, 32 << 20  # of a row group, whichever comes first: what is held until it is written
KEY, DIGEST, ROWS = b"fauxscan.key", b"fauxscan.faces_sha256", b"fauxscan.rows_sha256"
PASSING = {Status.UNREADABLE, Status.CHANGED_DURING_READ, Status.CRASHED, Status.TIMEOUT}
Row = dict[str, Any]


@dataclass(frozen=True)
class Chunk:
    """Consecutive rows of the index, and the two files that are made of them."""

    number: int
    examples: pa.Table
    key: str  # of the rows and of how they are made

    @property
    def names(self) -> tuple[str, str]:
        """Return the names of the files with the faces, and with what became of each media file."""
        return f"faces-{self.number:05d}.parquet", f"made-{self.number:05d}.parquet"


def chunks(index: pa.Table, essence: Any) -> list[Chunk]:
    """Return the chunks of an index, which say by their keys of what and how (`essence`) they are made."""
    found: list[Chunk] = []
    start, size = 0, 0
    sizes = [*index["size"].to_pylist(), CHUNK_BYTES]
    for row in range(1, len(index) + 1):
        size += sizes[row - 1]
        if row == len(index) or size + sizes[row] > CHUNK_BYTES or row - start == CHUNK_FILES:
            examples = index.slice(start, row - start)
            told = json.dumps([essence, examples.to_pylist()], sort_keys=True)
            found.append(Chunk(len(found), examples, hashlib.sha256(told.encode()).hexdigest()))
            start, size = row, 0
    return found


class ChunkWriter:
    """Writes the two files of a chunk aside, and into their place when both are whole: `made` last."""

    def __init__(self, folder: Path, chunk: Chunk) -> None:
        self.folder, self.chunk = folder, chunk
        self._faces, self._made = (folder / f"{name}.part" for name in chunk.names)
        self._waiting: list[Row] = []
        self._bytes = 0
        self._files: list[Row] = []
        schema = _with(FACES, {KEY: chunk.key})
        self._writer = pq.ParquetWriter(self._faces, schema, compression="none")  # images do not shrink

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is not None:
            self._writer.close()  # what lies aside is a stray of the next run

    def write(self, made: Row, faces: Iterator[Row]) -> None:
        """Add what became of one media file, and its faces."""
        self._files.append(made)
        for row in faces:
            self._waiting.append(row)
            self._bytes += len(row["image"])
            if len(self._waiting) >= GROUP_ROWS or self._bytes >= GROUP_BYTES:
                self._flush()

    def _flush(self) -> None:
        self._writer.write_table(pa.Table.from_pylist(self._waiting, FACES))
        self._waiting, self._bytes = [], 0

    def finish(self) -> None:
        """Put both files in their place."""
        if self._waiting:
            self._flush()
        self._writer.close()
        files = pa.Table.from_pylist(self._files, MADE).to_pylist()  # as they are read back
        self._made.write_bytes(_made_bytes(files, self.chunk.key, _sha256(self._faces)))
        for aside, name in zip((self._faces, self._made), self.chunk.names, strict=True):
            _sync(aside)
            aside.rename(self.folder / name)
            _sync(self.folder)


def damage(folder: Path, chunk: Chunk) -> str | None:
    """Return what is wrong with the chunk's files, down to single bits; None if nothing is."""
    faces, made = (folder / name for name in chunk.names)
    if not faces.is_file() or not made.is_file():
        return "missing"
    try:
        table = pq.read_table(made)
        meta = table.schema.metadata or {}
        if meta.get(KEY) != chunk.key.encode() or DIGEST not in meta:
            return f"{made.name} was made of other files, or in another way"
        whole = _made_bytes(table.to_pylist(), chunk.key, meta[DIGEST].decode()) == made.read_bytes()
    except Exception as error:  # readers raise what they like on flipped bits
        return f"{made.name} cannot be read: {error}"
    if not whole:
        return f"{made.name} is damaged"
    if again := sorted(PASSING & set(table["status"].to_pylist())):
        return f"some of its files were {' or '.join(again)}, which may be over"
    return None if _sha256(faces).encode() == meta[DIGEST] else f"{faces.name} is damaged"


def read_made(folder: Path, columns: list[str] | None = None) -> pa.Table:
    """Return what became of each media file, in the order of the index. Raise UserError if there is nothing."""
    repeated = ["jpeg_tables"]  # a kilobyte a file, and the same for most
    tables = [pq.read_table(file, columns=columns, read_dictionary=repeated) for file in _files(folder, "made")]
    return pa.concat_tables(table.replace_schema_metadata(MADE.metadata) for table in tables).unify_dictionaries()


def read_faces(folder: Path, columns: list[str]) -> pa.Table:
    """Return these columns of all faces, in order."""
    tables = [pq.read_table(file, columns=columns) for file in face_files(folder)]
    return pa.concat_tables(table.replace_schema_metadata(FACES.metadata) for table in tables)


def face_files(folder: Path) -> list[Path]:
    """Return the files that hold faces. Raise UserError if there is none."""
    return _files(folder, "faces")


def _files(folder: Path, table: str) -> list[Path]:
    found = sorted(folder.glob(f"{table}-*.parquet"))
    if not found:
        raise UserError(f"no {table}-*.parquet in {folder}: run the stage `faces` first")
    return found


def _made_bytes(rows: list[Row], key: str, faces_sha256: str) -> bytes:
    """Return the file `made`: the same bytes for the same rows, whose digest is inside: a flipped bit shows."""
    out = io.BytesIO()
    digest = hashlib.sha256(json.dumps(rows, sort_keys=True).encode()).hexdigest()
    table = pa.Table.from_pylist(rows, _with(MADE, {KEY: key, DIGEST: faces_sha256, ROWS: digest}))
    pq.write_table(table, out, compression="zstd")
    return out.getvalue()


def _with(schema: pa.Schema, extra: dict[bytes, str]) -> pa.Schema:
    return schema.with_metadata({**schema.metadata, **extra})


def _sha256(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _sync(path: Path) -> None:
    """Bring a file or a folder to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)
