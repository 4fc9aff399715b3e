"""The shard and the place in it of each example of a dataset, determined before any image is read."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from fauxscan.preparing.faces.table import read_faces
from fauxscan.records import EXCLUDED, UserError

KEY = ["sha256", "view", "frame", "track", "face"]  # identifies an example


def place(faces: Path, split: Path, size: int) -> pa.Table:
    """Return one row for each example, sorted by shard and place, with its `row` in the table of faces.

    Raise UserError if there are no examples.
    """
    media = pq.read_table(split, columns=["sha256", "path", "label", "source", "generator", "split"])
    media = media.filter(pc.field("split") != EXCLUDED)
    faces_table = read_faces(faces, [*KEY, "phash"])
    faces_table = faces_table.append_column("row", pa.array(np.arange(len(faces_table))))
    table = faces_table.join(media, "sha256", join_type="inner").sort_by("row").combine_chunks()
    if not len(table):
        raise UserError(f"no example is left for shards: {split} excludes every file that has a face in {faces}")
    placed = [_in_series(rows, name, size) for name, rows in _series(table)]
    return pa.concat_tables(placed)


def _series(table: pa.Table) -> Iterator[tuple[str, pa.Table]]:
    """Yield the name and the examples of each split and view."""
    names = pc.binary_join_element_wise(table["split"], table["view"], "-")
    for name in sorted(pc.unique(names).to_pylist()):
        yield name, table.filter(pc.equal(names, name))


def _in_series(table: pa.Table, name: str, size: int) -> pa.Table:
    table = table.take(spread(table["label"].to_numpy(), scattered(table)))
    number = np.arange(len(table))
    shards = pa.array([f"{name}-{n:05d}.tfrecord" for n in range(len(table) // size + 1)])
    shard = pa.DictionaryArray.from_arrays(pa.array(number // size, pa.int32()), shards).cast(pa.string())
    return table.append_column("shard", shard).append_column("place", pa.array(number % size))


def scattered(table: pa.Table) -> NDArray[np.uint64]:
    """Return a hash of each example (n,): in the order of hashes, frames of one video are far apart."""
    numbers = (
        int.from_bytes(hashlib.blake2b(repr(tuple(row.values())).encode(), digest_size=8).digest(), "big")
        for batch in table.select(KEY).to_batches(max_chunksize=4096)
        for row in batch.to_pylist()
    )
    return np.fromiter(numbers, np.uint64, len(table))


def spread(labels: NDArray[Any], order: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Return an order of the rows in which any stretch has about the same shares of labels as the whole.

    Rows with the same label are sorted by `order`, and the i-th of n is placed at (i + 1/2) / n of the whole.
    """
    position = np.empty(len(labels))
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        position[rows[np.argsort(order[rows], kind="stable")]] = (np.arange(len(rows)) + 0.5) / len(rows)
    return np.lexsort((labels, position))
