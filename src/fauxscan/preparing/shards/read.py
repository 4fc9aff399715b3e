"""Read the shards of a dataset, which preparing/shards/write.py writes."""

import os
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from fauxscan.preparing.shards.manifest import INDEX, read_manifest, shard_damage
from fauxscan.records import UserError, View

READ_BUFFER = 8 << 20
PARALLEL_SHARDS = 8  # shards that training reads at a time
THREADS = 4  # for checksums: hashing releases the interpreter's lock
TEXTS = ("image", "sha256", "generator", "source")
NUMBERS = ("png", "label", "frame", "track", "face")
Row = dict[str, Any]


class Shards:
    """The shards in one folder. The manifest is read once, and each shard is verified before its first use."""

    def __init__(self, folder: Path) -> None:
        """Read the manifest. Raise UserError if there is none or another version wrote it."""
        self.folder = folder
        self.manifest = read_manifest(folder)
        self._verified: set[str] = set()

    def verify(self, names: Collection[str] | None = None) -> None:
        """Compare shards (all of them, or those named) with the manifest. Raise UserError that names damaged ones."""
        known = self.manifest.shards
        unverified = [name for name in (known if names is None else names) if name not in self._verified]
        with ThreadPoolExecutor(THREADS) as pool:
            damage = [*filter(None, pool.map(lambda name: shard_damage(self.folder / name, known[name]), unverified))]
        if damage:
            raise UserError(
                f"damaged shards in {self.folder}: {'; '.join(damage)}. Delete the folder and run the stage `shards`"
                " again (`dvc repro` rebuilds it; `dvc checkout` restores it if the cache holds it); if it happens"
                " again, test the disk"
            )
        self._verified.update(unverified)

    def names(self, split: str, view: View) -> list[str]:
        """Return the names of the shards of a split and view, in order. Raise UserError if there are none."""
        names = [name for name in sorted(self.manifest.shards) if name.startswith(f"{split}-{view}-")]
        if not names:
            raise UserError(f"{self.folder} has no {split} examples of view {view}; it has {self.manifest.counts}")
        return names

    def size(self, split: str, view: View) -> tuple[int, int]:
        """Return the number of examples of a split and view, and the bytes of their shards."""
        files = [self.manifest.shards[name] for name in self.names(split, view)]
        return sum(file.examples for file in files), sum(file.bytes for file in files)

    def count_labels(self, split: str, view: View) -> tuple[int, int]:
        """Return the number of reals and of fakes of a split and view."""
        counts = self.manifest.counts
        return counts.get(f"{split}-{view}-real", 0), counts.get(f"{split}-{view}-fake", 0)

    def count_sources(self, split: str, view: View) -> dict[str, list[int]]:
        """Return the number of reals and of fakes of each source in a split and view."""
        rows = self.index(["source", "label"], split, view)
        counts: dict[str, list[int]] = defaultdict(lambda: [0, 0])
        for row in rows.group_by(["source", "label"]).aggregate([([], "count_all")]).to_pylist():
            counts[row["source"]][row["label"]] = row["count_all"]
        return dict(counts)

    def index(self, columns: list[str], split: str | None = None, view: View | None = None) -> Any:
        """Return a pyarrow.Table with one row for each example, of all splits and views or of one (records.SHARDED)."""
        import pyarrow.compute as pc
        import pyarrow.parquet as pq

        wanted = pc.scalar(True)
        wanted = wanted if split is None else wanted & (pc.field("split") == split)
        wanted = wanted if view is None else wanted & (pc.field("view") == view.value)
        return pq.read_table(self.folder / INDEX, columns=columns, filters=wanted)

    def record_spans(self, name: str) -> list[tuple[int, int]]:
        """Return where the serialised examples of a shard are: their offsets and lengths in bytes, in order.

        A TFRecord is its length (8 bytes), the length's checksum (4), the content, and its checksum (4).
        """
        spans, offset = [], 0
        with (self.folder / name).open("rb") as stream:
            while header := stream.read(12):
                length = int.from_bytes(header[:8], "little")
                spans.append((offset + 12, length))
                offset = stream.seek(length + 4, os.SEEK_CUR)
        return spans

    def records(self, split: str, view: View, parallel: bool = False) -> Any:
        """Return a tf.data.Dataset of serialised examples in the order of writing, or of several shards in turn.

        The order is the same each time. Raise UserError for a damaged shard.
        """
        import tensorflow as tf

        names = self.names(split, view)
        self.verify(names)
        files = [str(self.folder / name) for name in names]
        if not parallel:
            return tf.data.TFRecordDataset(files, buffer_size=READ_BUFFER)
        return tf.data.Dataset.from_tensor_slices(files).interleave(
            lambda file: tf.data.TFRecordDataset(file, buffer_size=READ_BUFFER // PARALLEL_SHARDS),
            cycle_length=PARALLEL_SHARDS,
            num_parallel_calls=tf.data.AUTOTUNE,
            deterministic=True,
        )

    def examples(self, split: str, view: View) -> Iterator[Row]:
        """Yield the examples of a split and view as plain values, in the order of writing.

        Raise UserError for a damaged shard.
        """
        yield from _plain(self.records(split, view))

    def examples_of(self, name: str) -> Iterator[Row]:
        """Yield the examples of one shard as plain values, in order. Raise UserError if it is damaged."""
        import tensorflow as tf

        self.verify([name])
        yield from _plain(tf.data.TFRecordDataset(str(self.folder / name), buffer_size=READ_BUFFER))


def _plain(records: Any) -> Iterator[Row]:
    for example in records.map(parse).as_numpy_iterator():
        texts = {name: example[name].decode() for name in ("sha256", "generator", "source")}
        numbers = {name: int(example[name]) for name in ("label", "frame", "track", "face")}
        yield {"image": example["image"], "format": "png" if example["png"] else "jpeg", **texts, **numbers}


def parse(record: Any, names: Iterable[str] = (*TEXTS, *NUMBERS)) -> Row:
    """Return the named tensors of one serialised example."""
    import tensorflow as tf

    spec = {name: tf.io.FixedLenFeature((), tf.string if name in TEXTS else tf.int64) for name in names}
    return tf.io.parse_single_example(record, spec)  # type: ignore[no-any-return]


def keep_sources(records: Any, sources: Collection[str]) -> Any:
    """Return the serialised examples whose source is one of these."""
    import tensorflow as tf

    names = tf.constant(sorted(sources))
    known = tf.lookup.StaticHashTable(
        tf.lookup.KeyValueTensorInitializer(names, tf.ones_like(names, tf.int32)), default_value=0
    )
    return records.filter(lambda record: known.lookup(parse(record, ("source",))["source"]) == 1)


def view_for(looks_at: View, faces: str) -> View:
    """Return the view that a detector is given: where images are taken whole, they stand for face crops."""
    return View.WHOLE if faces == "whole" else looks_at
