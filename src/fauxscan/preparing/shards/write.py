"""Write the shards of a dataset, which preparing/shards/read.py reads."""

import hashlib
import mmap
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from fauxscan.params import ShardParams
from fauxscan.preparing.download.index import read_card
from fauxscan.preparing.faces.table import face_files
from fauxscan.preparing.shards import layout
from fauxscan.preparing.shards.manifest import INDEX, MANIFEST, Framing, ShardFile, ShardsManifest, describe_shard
from fauxscan.progress import Progress
from fauxscan.records import EXCLUDED, FAKE, SHARDED

SPILL = 64 << 20  # bytes of examples held in memory before they are appended to temporary files
BATCH = 256  # faces read together
Row = dict[str, Any]


def write_shards(index: Path, faces: Path, split: Path, out: Path, framing: Framing, params: ShardParams) -> None:
    """Write `<split>-<view>-<n>.tfrecord`, an index of the examples and a manifest.

    The order follows from the content alone, see preparing/shards/layout.py. The images are read once, in the order of
    the faces, and wait in one growing file for each shard, which is sorted when all are there. Raise UserError if there
    are no examples.
    """
    card = read_card(index)
    table = layout.place(faces, split, params.examples_per_shard)
    out.mkdir(parents=True, exist_ok=True)
    pq.write_table(table.select(SHARDED.names).cast(SHARDED), out / INDEX, compression="zstd")
    buffer = ExampleBuffer(out, table)
    for number, row in _numbered(faces, table):
        buffer.add(number, _serialise(row))
    manifest = ShardsManifest(
        counts=_counts(table),
        split_digest=_digest(split),
        shards={name: _finish(out / name, buffer, name) for name in buffer.names},
        licence=card.licence,
        proof_of_machinery=card.proof_of_machinery,
        framing=framing,
    )
    (out / MANIFEST).write_text(manifest.model_dump_json(indent=2) + "\n", encoding="utf-8")


def _numbered(faces: Path, table: pa.Table) -> Iterator[tuple[int, Row]]:
    """Yield each example that has a place, with its number (row of `table`) and image, in the order of the faces."""
    number_of = np.full(pc.max(table["row"]).as_py() + 1, -1)
    number_of[table["row"].to_numpy()] = np.arange(len(table))
    known, start = table.select(["label", "source", "generator"]), 0
    with Progress("shards", len(number_of), "examples") as progress:
        for batch in _batches(faces):
            numbers = number_of[start : start + len(batch)]
            start += len(batch)
            placed = np.flatnonzero(numbers >= 0)
            rows, of_media = batch.take(placed).to_pylist(), known.take(numbers[placed]).to_pylist()
            for number, row, media in zip(numbers[placed], rows, of_media, strict=True):
                yield number, row | media
            progress.advance(len(numbers))


def _batches(faces: Path) -> Iterator[pa.RecordBatch]:
    for file in face_files(faces):
        yield from pq.ParquetFile(file).iter_batches(BATCH, columns=[*layout.KEY, "format", "image"])


def _serialise(row: Row) -> bytes:
    import tensorflow as tf

    def text(value: bytes) -> Any:
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))

    def whole(value: int) -> Any:
        return tf.train.Feature(int64_list=tf.train.Int64List(value=[int(value)]))

    features = {
        "image": text(row["image"]),
        "png": whole(row["format"] == "png"),
        "sha256": text(row["sha256"].encode()),
        "generator": text((row["generator"] or "").encode()),
        "source": text(row["source"].encode()),
        **{name: whole(row[name]) for name in ("label", "frame", "track", "face")},
    }
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString(deterministic=True)  # type: ignore[no-any-return]


class ExampleBuffer:
    """Examples that wait for their shard: some in memory, the others in one temporary file per shard."""

    def __init__(self, folder: Path, table: pa.Table) -> None:
        self.folder = folder
        shards = table["shard"].combine_chunks().dictionary_encode()
        self.names: list[str] = shards.dictionary.to_pylist()  # in the order of the table
        self._shard = shards.indices.to_numpy()
        self._first = np.searchsorted(self._shard, np.arange(len(self.names) + 1))
        self._start, self._length = np.zeros((2, len(table)), np.int64)
        self._held: dict[int, list[tuple[int, bytes]]] = defaultdict(list)
        self._bytes = 0

    def count(self, name: str) -> int:
        """Return the number of examples of a shard."""
        return len(self._numbers(name))

    def add(self, number: int, example: bytes) -> None:
        """Add the serialised example with that number."""
        self._held[self._shard[number]].append((number, example))
        self._bytes += len(example)
        if self._bytes > SPILL:
            self._spill()

    def _spill(self) -> None:
        for shard, examples in self._held.items():
            with self._file(self.names[shard]).open("ab") as file:
                for number, example in examples:
                    self._start[number], self._length[number] = file.tell(), len(example)
                    file.write(example)
        self._held.clear()
        self._bytes = 0

    def pop(self, name: str) -> Iterator[bytes]:
        """Yield the examples of a shard in order, and delete its temporary file."""
        self._spill()
        file = self._file(name)
        with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as content:
            for number in self._numbers(name):
                yield content[self._start[number] : self._start[number] + self._length[number]]
        file.unlink()

    def _numbers(self, name: str) -> range:
        shard = self.names.index(name)
        return range(self._first[shard], self._first[shard + 1])

    def _file(self, name: str) -> Path:
        return self.folder / f"{name}.part"


def _finish(file: Path, buffer: ExampleBuffer, name: str) -> ShardFile:
    import tensorflow as tf

    with tf.io.TFRecordWriter(str(file)) as writer:
        for example in buffer.pop(name):
            writer.write(example)
    return describe_shard(file, buffer.count(name))


def _counts(table: pa.Table) -> dict[str, int]:
    """Return the number of examples of each `<split>-<view>`, and of each label in it."""
    counts: dict[str, int] = defaultdict(int)
    for row in table.group_by(["split", "view", "label"]).aggregate([([], "count_all")]).to_pylist():
        series = f"{row['split']}-{row['view']}"
        counts[series] += row["count_all"]
        counts[f"{series}-{'fake' if row['label'] == FAKE else 'real'}"] += row["count_all"]
    return dict(sorted(counts.items()))


def _digest(split: Path) -> str:
    """Return the SHA-256 of the files with their splits and labels."""
    media = pq.read_table(split, columns=["sha256", "split", "label"], filters=pc.field("split") != EXCLUDED)
    rows = media.sort_by("sha256").to_batches(max_chunksize=4096)
    lines = (f"{row['sha256']} {row['split']} {row['label']}" for batch in rows for row in batch.to_pylist())
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
