"""TFRecord shards are written here; preparing/shards.py reads them."""

import hashlib
import json
import mmap
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from tqdm import tqdm

from fauxscan.params import ShardParams
from fauxscan.preparing import placing
from fauxscan.preparing.faces_table import face_files
from fauxscan.preparing.shards import INDEX, MANIFEST, fingerprint
from fauxscan.records import EXCLUDED, FAKE, SHARDED

SPILL = 64 << 20  # bytes of examples that wait in memory before they are added to the growing files
BATCH = 256  # faces read at a time
Row = dict[str, Any]


def write_shards(faces: Path, split: Path, out: Path, params: ShardParams) -> None:
    """Write `<split>-<view>-<n>.tfrecord`, an index of the examples and a manifest. Raise UserError if none is left.

    The order follows from the content alone, see `placing`. The images pass through once, in the order of the faces,
    and wait in one growing file a shard, which is put in order when all have come.
    """
    table = placing.place(faces, split, params.examples_per_shard)
    out.mkdir(parents=True, exist_ok=True)
    pq.write_table(table.select(SHARDED.names).cast(SHARDED), out / INDEX, compression="zstd")
    room = WaitingRoom(out, table)
    for number, row in _numbered(faces, table):
        room.add(number, _serialise(row))
    written = {name: {**_finish(out / name, room, name), "examples": room.count(name)} for name in room.names}
    manifest = {"counts": _counts(table), "split_digest": _digest(split), "shards": written}
    (out / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")


def _numbered(faces: Path, table: pa.Table) -> Iterator[tuple[int, Row]]:
    """Give each example that has a place, with its number (row of `table`) and its image, in the order of the faces."""
    number_of = np.full(pc.max(table["row"]).as_py() + 1, -1)
    number_of[table["row"].to_numpy()] = np.arange(len(table))
    known, start = table.select(["label", "source", "generator"]), 0
    for batch in tqdm(_batches(faces), total=-(-len(number_of) // BATCH), unit="batch", disable=None):
        numbers = number_of[start : start + len(batch)]
        start += len(batch)
        placed = np.flatnonzero(numbers >= 0)
        rows, of_media = batch.take(placed).to_pylist(), known.take(numbers[placed]).to_pylist()
        for number, row, media in zip(numbers[placed], rows, of_media, strict=True):
            yield number, row | media


def _batches(faces: Path) -> Iterator[pa.RecordBatch]:
    for file in face_files(faces):
        yield from pq.ParquetFile(file).iter_batches(BATCH, columns=[*placing.KEY, "format", "image"])


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
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()  # type: ignore[no-any-return]


class WaitingRoom:
    """Examples on their way to a shard: some in memory, the rest in one file a shard, never two of them open."""

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
        """Take in the serialised example of that number."""
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

    def leave(self, name: str) -> Iterator[bytes]:
        """Give the examples of a shard in their order, and forget them."""
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


def _finish(file: Path, room: WaitingRoom, name: str) -> Row:
    import tensorflow as tf

    with tf.io.TFRecordWriter(str(file)) as writer:
        for example in room.leave(name):
            writer.write(example)
    return fingerprint(file)


def _counts(table: pa.Table) -> dict[str, int]:
    """Return the examples of each series `<split>-<view>`, and of each label in it."""
    counts: dict[str, int] = defaultdict(int)
    for row in table.group_by(["split", "view", "label"]).aggregate([([], "count_all")]).to_pylist():
        series = f"{row['split']}-{row['view']}"
        counts[series] += row["count_all"]
        counts[f"{series}-{'fake' if row['label'] == FAKE else 'real'}"] += row["count_all"]
    return dict(sorted(counts.items()))


def _digest(split: Path) -> str:
    """Return the SHA-256 of which file is in which split, with which label."""
    media = pq.read_table(split, columns=["sha256", "split", "label"], filters=pc.field("split") != EXCLUDED)
    rows = media.sort_by("sha256").to_batches(max_chunksize=4096)
    lines = (f"{row['sha256']} {row['split']} {row['label']}" for batch in rows for row in batch.to_pylist())
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
