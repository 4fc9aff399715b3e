"""Read the examples that are drawn from several datasets, each from its place in a shard."""

from typing import Any

import numpy as np
import pandas as pd
import tensorflow as tf
from numpy.typing import NDArray

from fauxscan.preparing.mixture.read import Mixture
from fauxscan.preparing.shards.read import Shards
from fauxscan.records import TRAIN, View
from fauxscan.training.data.phases import Subset
from fauxscan.training.data.pools import Draws, Pool

COLUMNS = ["shard", "place", "label", "source", "generator"]
Places = tuple[
    NDArray[Any], NDArray[np.int64]
]  # of the examples of a pool: shards' paths, and (n, 2) offset and length


class ExampleReader:
    """The serialised examples of a training on several datasets, by the number of their image."""

    def __init__(self, mixture: Mixture, view: View, subset: Subset, images: int, seed: int) -> None:
        """Find the examples of all pools. `images` are drawn in an epoch. Raise UserError for a damaged shard."""
        self._draws = Draws(subset.pools, images, seed)
        tables = {name: _located(shards, view) for name, shards in mixture.shards.items()}
        self._pools = [_places(mixture, tables[pool.dataset], pool, subset.sources) for pool in subset.pools]

    def record(self, number: Any) -> Any:
        """Return the serialised example (scalar string tensor) of an image, by its number (scalar int64 tensor)."""
        return tf.ensure_shape(tf.numpy_function(self._read, [number], tf.string), ())

    def _read(self, number: np.int64) -> bytes:
        pool, example = self._draws[int(number)]
        files, spans = self._pools[pool]
        offset, length = spans[example]
        with open(files[example], "rb", buffering=0) as stream:
            stream.seek(offset)
            return stream.read(length)


def _located(shards: Shards, view: View) -> pd.DataFrame:
    """Return the training examples of a dataset with the path of their shard, and their offset and length there."""
    names = shards.names(TRAIN, view)
    shards.verify(names)
    table: pd.DataFrame = shards.index(COLUMNS, TRAIN, view).to_pandas().sort_values(["shard", "place"])
    spans = [span for name in names for span in shards.record_spans(name)]
    offsets, lengths = np.array(spans, np.int64).T
    files = table["shard"].map({name: str(shards.folder / name) for name in names})
    return table.assign(file=files, offset=offsets, length=lengths, generator=table["generator"].fillna(""))


def _places(mixture: Mixture, table: pd.DataFrame, pool: Pool, sources: frozenset[str] | None) -> Places:
    chosen = (table["label"] == pool.label) & (table["generator"] == pool.generator)
    if sources is not None:
        chosen &= table["source"].map(lambda source: mixture.source_name(pool.dataset, source) in sources)
    rows = table[chosen]
    return rows["file"].to_numpy(), rows[["offset", "length"]].to_numpy()
