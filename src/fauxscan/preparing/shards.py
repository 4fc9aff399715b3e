"""TFRecord shards are read here; preparing/sharding.py writes them."""

import hashlib
import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from fauxscan.records import UserError, View

MANIFEST, INDEX = "manifest.json", "index.parquet"
READ_BUFFER = 8 << 20
SIDE_BY_SIDE = 8  # shards that are read at a time for training
THREADS = 4  # that check sums: hashing leaves the interpreter alone
TEXTS = ("image", "sha256", "generator", "source")
NUMBERS = ("png", "label", "frame", "track", "face")
Row = dict[str, Any]


def manifest(folder: Path) -> Row:
    """Return counts, the split's digest, and bytes and SHA-256 of each shard. Raise UserError if there is none."""
    file = folder / MANIFEST
    if not file.is_file():
        raise UserError(f"no shards in {folder}: run the stage `shards` first")
    found: Row = json.loads(file.read_text(encoding="utf-8"))
    if "shards" not in found:
        raise UserError(f"{file} lists no shards, so an older version wrote it: run the stage `shards` again")
    return found


def fingerprint(file: Path) -> Row:
    """Return a file's size in bytes and its SHA-256."""
    with file.open("rb") as opened:
        return {"bytes": file.stat().st_size, "sha256": hashlib.file_digest(opened, "sha256").hexdigest()}


def verify(folder: Path, files: list[str] | None = None) -> None:
    """Compare shards (all, or these paths) with the manifest. Raise UserError that names each damaged one."""
    known = manifest(folder)["shards"]
    names = known if files is None else [Path(file).name for file in files]
    with ThreadPoolExecutor(THREADS) as pool:
        faults = [fault for fault in pool.map(lambda name: _fault(folder / name, known[name]), names) if fault]
    if faults:
        raise UserError(
            f"damaged shards in {folder}: {'; '.join(faults)}. Delete the folder and run the stage `shards` again"
            " (`dvc repro` makes it anew; `dvc checkout` brings it back where the cache holds it); if it happens again,"
            " test the disk"
        )


def _fault(file: Path, known: Row) -> str:
    if not file.is_file():
        return f"{file.name} is missing"
    size = file.stat().st_size
    if size != known["bytes"]:
        return f"{file.name} has {size} bytes instead of {known['bytes']}"
    same = fingerprint(file)["sha256"] == known["sha256"]
    return "" if same else f"{file.name} has another SHA-256 than when it was written"


def shard_files(folder: Path, split: str, view: View) -> list[str]:
    """Return the shards of a split and view in order. Raise UserError that names what there is."""
    written = manifest(folder)
    found = [str(folder / name) for name in sorted(written["shards"]) if name.startswith(f"{split}-{view}-")]
    if not found:
        raise UserError(f"{folder} has no {split} examples of view {view}; it has {written['counts']}")
    return found


def parse(record: Any, names: Iterable[str] = (*TEXTS, *NUMBERS)) -> Row:
    """Return the named tensors of one serialised example."""
    import tensorflow as tf

    spec = {name: tf.io.FixedLenFeature((), tf.string if name in TEXTS else tf.int64) for name in names}
    return tf.io.parse_single_example(record, spec)  # type: ignore[no-any-return]


def records(folder: Path, split: str, view: View, side_by_side: bool = False) -> Any:
    """Return a tf.data.Dataset of serialised examples, in the order of writing, or of several shards in turn.

    The order is the same each time. Raise UserError for a damaged shard.
    """
    import tensorflow as tf

    files = shard_files(folder, split, view)
    verify(folder, files)
    if not side_by_side:
        return tf.data.TFRecordDataset(files, buffer_size=READ_BUFFER)
    return tf.data.Dataset.from_tensor_slices(files).interleave(
        lambda file: tf.data.TFRecordDataset(file, buffer_size=READ_BUFFER // SIDE_BY_SIDE),
        cycle_length=SIDE_BY_SIDE,
        num_parallel_calls=tf.data.AUTOTUNE,
        deterministic=True,
    )


def of_sources(data: Any, sources: Collection[str]) -> Any:
    """Return the serialised examples whose source is one of these."""
    import tensorflow as tf

    names = tf.constant(sorted(sources))
    known = tf.lookup.StaticHashTable(
        tf.lookup.KeyValueTensorInitializer(names, tf.ones_like(names, tf.int32)), default_value=0
    )
    return data.filter(lambda record: known.lookup(parse(record, ("source",))["source"]) == 1)


def extent(folder: Path, split: str, view: View) -> tuple[int, int]:
    """Return the number of examples of a split and view, and the bytes of their shards."""
    known = manifest(folder)["shards"]
    names = [Path(file).name for file in shard_files(folder, split, view)]
    return sum(known[name]["examples"] for name in names), sum(known[name]["bytes"] for name in names)


def sources(folder: Path, split: str, view: View) -> dict[str, list[int]]:
    """Return the sources of a split and view, and how many reals and fakes there are of each."""
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    wanted = (pc.field("split") == split) & (pc.field("view") == view.value)
    rows = pq.read_table(folder / INDEX, columns=["source", "label"], filters=wanted)
    found: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for row in rows.group_by(["source", "label"]).aggregate([([], "count_all")]).to_pylist():
        found[row["source"]][row["label"]] = row["count_all"]
    return dict(found)


def reals_and_fakes(folder: Path, split: str, view: View) -> tuple[int, int]:
    """Return how many examples of each label a split and view has."""
    counts = manifest(folder)["counts"]
    return counts.get(f"{split}-{view}-real", 0), counts.get(f"{split}-{view}-fake", 0)


def dataset(folder: Path, split: str, view: View) -> Any:
    """Return a tf.data.Dataset of feature dictionaries, in the order of writing. Raise UserError as `records` does."""
    return records(folder, split, view).map(parse)


def read(folder: Path, split: str, view: View) -> Iterator[Row]:
    """Give the examples of a split one by one, as plain values, in the order of writing."""
    for example in dataset(folder, split, view).as_numpy_iterator():
        texts = {name: example[name].decode() for name in ("sha256", "generator", "source")}
        numbers = {name: int(example[name]) for name in ("label", "frame", "track", "face")}
        yield {"image": example["image"], "format": "png" if example["png"] else "jpeg", **texts, **numbers}


def view_for(looks_at: View, faces: str) -> View:
    """Return the view a detector is given: crops that came as images stand for faces."""
    return View.WHOLE if faces == "whole" else looks_at
