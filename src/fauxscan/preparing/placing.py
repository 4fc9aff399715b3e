"""Where each example of a dataset stands: its shard and its place there, known before an image is read."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from fauxscan.preparing.faces_table import read_faces
from fauxscan.records import EXCLUDED, UserError

KEY = ["sha256", "view", "frame", "track", "face"]  # tells one example from all others


def place(faces: Path, split: Path, size: int) -> pa.Table:
    """Return one row an example, by shard and place: KEY, label, source, generator, split, `row` among the faces.

    Raise UserError if no example is left.
    """
    media = pq.read_table(split, columns=["sha256", "label", "source", "generator", "split"])
    media = media.filter(pc.field("split") != EXCLUDED)
    seen = read_faces(faces, KEY)
    seen = seen.append_column("row", pa.array(np.arange(len(seen))))
    table = seen.join(media, "sha256", join_type="inner").sort_by("row").combine_chunks()
    if not len(table):
        raise UserError(f"no example is left for shards: {split} excludes each file that has a face in {faces}")
    placed = [_in_series(rows, name, size) for name, rows in _series(table)]
    return pa.concat_tables(placed)


def _series(table: pa.Table) -> Iterator[tuple[str, pa.Table]]:
    """Give the examples of each split and view."""
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
    """Return a number for each example that follows from what it is: in its order, frames of one video lie apart."""
    numbers = (
        int.from_bytes(hashlib.blake2b(repr(tuple(row.values())).encode(), digest_size=8).digest(), "big")
        for batch in table.select(KEY).to_batches(max_chunksize=4096)
        for row in batch.to_pylist()
    )
    return np.fromiter(numbers, np.uint64, len(table))


def spread(labels: NDArray[Any], order: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Return the rows so ordered that any stretch holds the labels in the shares in which all the rows do.

    Within a label they go by `order`; the i-th of n rows of a label stands at (i + 1/2) / n of the whole.
    """
    position = np.empty(len(labels))
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        position[rows[np.argsort(order[rows], kind="stable")]] = (np.arange(len(rows)) + 0.5) / len(rows)
    return np.lexsort((labels, position))
