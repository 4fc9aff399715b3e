"""TFRecord shards: written and read here, and nowhere else."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from fauxscan.params import ShardParams
from fauxscan.preparing.faces_table import face_files
from fauxscan.records import EXCLUDED, UserError, View

COLUMNS = ["sha256", "view", "frame", "track", "face", "format", "image"]
MANIFEST = "manifest.json"
READ_BUFFER = 8 << 20
Row = dict[str, Any]


def write_shards(faces: Path, split: Path, out: Path, params: ShardParams) -> None:
    """Write `<split>-<view>-<n>.tfrecord` and a manifest with counts and the split's digest."""
    table = pq.read_table(split).to_pandas()
    table = table[table["split"] != EXCLUDED].assign(generator=table["generator"].fillna(""))
    of_file = table.set_index("sha256").to_dict("index")
    out.mkdir(parents=True, exist_ok=True)
    writer = ShardWriter(out, params.examples_per_shard)
    for file in face_files(faces):
        for batch in pq.ParquetFile(file).iter_batches(256, columns=COLUMNS):
            for row in batch.to_pylist():
                if row["sha256"] in of_file:
                    writer.write(row, of_file[row["sha256"]])
    writer.close()
    manifest = {"counts": dict(sorted(writer.counts.items())), "split_digest": _digest(of_file)}
    (out / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")


def _digest(of_file: dict[str, Row]) -> str:
    lines = sorted(f"{sha} {media['split']} {media['label']}" for sha, media in of_file.items())
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


class ShardWriter:
    """Writes examples to numbered shards, one series a split and view."""

    def __init__(self, folder: Path, size: int) -> None:
        self.folder, self.size = folder, size
        self.counts: Counter[str] = Counter()
        self._open: dict[str, Any] = {}

    def write(self, row: Row, media: Row) -> None:
        """Add one face or whole frame."""
        series = f"{media['split']}-{row['view']}"
        label = "fake" if media["label"] else "real"
        self._shard(series).write(_serialise(row, media))
        self.counts[series] += 1
        self.counts[f"{series}-{label}"] += 1

    def _shard(self, series: str) -> Any:
        import tensorflow as tf

        if self.counts[series] % self.size == 0:
            if series in self._open:
                self._open[series].close()
            name = f"{series}-{self.counts[series] // self.size:05d}.tfrecord"
            self._open[series] = tf.io.TFRecordWriter(str(self.folder / name))
        return self._open[series]

    def close(self) -> None:
        """Close what is open."""
        for shard in self._open.values():
            shard.close()


def _serialise(row: Row, media: Row) -> bytes:
    import tensorflow as tf

    def text(value: bytes) -> Any:
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))

    def whole(value: int) -> Any:
        return tf.train.Feature(int64_list=tf.train.Int64List(value=[int(value)]))

    features = {
        "image": text(row["image"]),
        "png": whole(row["format"] == "png"),
        "label": whole(media["label"]),
        "sha256": text(row["sha256"].encode()),
        "generator": text(media["generator"].encode()),
        "source": text(media["source"].encode()),
        **{name: whole(row[name]) for name in ("frame", "track", "face")},
    }
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()  # type: ignore[no-any-return]


def manifest(folder: Path) -> dict[str, Any]:
    """Return the manifest. Raise UserError if there is none."""
    file = folder / MANIFEST
    if not file.is_file():
        raise UserError(f"no shards in {folder}: run the stage `shards` first")
    return json.loads(file.read_text(encoding="utf-8"))  # type: ignore[no-any-return]


def shard_files(folder: Path, split: str, view: View) -> list[str]:
    """Return the shards of a split and view. Raise UserError that names what there is."""
    found = sorted(str(file) for file in folder.glob(f"{split}-{view}-*.tfrecord"))
    if not found:
        raise UserError(f"{folder} has no {split} examples of view {view}; it has {manifest(folder)['counts']}")
    return found


def dataset(folder: Path, split: str, view: View) -> Any:
    """Return a tf.data.Dataset of feature dictionaries, in the order of writing."""
    import tensorflow as tf

    spec: dict[str, Any] = {
        name: tf.io.FixedLenFeature((), tf.string) for name in ("image", "sha256", "generator", "source")
    }
    spec |= {name: tf.io.FixedLenFeature((), tf.int64) for name in ("png", "label", "frame", "track", "face")}
    records = tf.data.TFRecordDataset(shard_files(folder, split, view), buffer_size=READ_BUFFER)
    return records.map(lambda record: tf.io.parse_single_example(record, spec))


def read(folder: Path, split: str, view: View) -> Iterator[dict[str, Any]]:
    """Give the examples of a split one by one, as plain values."""
    for example in dataset(folder, split, view).as_numpy_iterator():
        texts = {name: example[name].decode() for name in ("sha256", "generator", "source")}
        numbers = {name: int(example[name]) for name in ("label", "frame", "track", "face")}
        yield {"image": example["image"], "format": "png" if example["png"] else "jpeg", **texts, **numbers}


def view_for(looks_at: View, faces: str) -> View:
    """Return the view a detector is given: crops that came as images stand for faces."""
    return View.WHOLE if faces == "whole" else looks_at
