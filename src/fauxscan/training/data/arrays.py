"""Batches of features that lie in arrays, drawn as evenly as those of images in several datasets."""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import tensorflow as tf
from numpy.typing import NDArray

from fauxscan.records import Recipe
from fauxscan.training.data.inputs import Batches
from fauxscan.training.data.phases import Subset
from fauxscan.training.data.pools import Draws, Pool, count_labels, make_pools

POOL = ["dataset", "label", "generator"]
Features = NDArray[np.float16]


@dataclass(frozen=True)
class Rows:
    """Some rows of an array of features: a table with dataset, label and generator, and where each row lies."""

    table: pd.DataFrame
    features: Features  # (versions, rows, blocks, width) to train on, where versions are augmented in other ways
    places: NDArray[np.int64]  # of the table's rows in the array


def subset(rows: Rows, shares: Mapping[str, float]) -> Subset:
    """Return what is trained on: all rows, in pools that are drawn evenly, where `shares` are those of the datasets."""
    pools = make_pools(Counter(rows.table[POOL].itertuples(index=False, name=None)), shares)
    return Subset(None, *count_labels(pools), False, pools)


def training(rows: Rows, chosen: Subset, recipe: Recipe, seed: int) -> Batches:
    """Return training batches without an end: features (b, blocks, width) and labels (b, 1).

    They are drawn from the pools (training/data/pools.py), also where there is only one dataset. Each epoch takes the
    next version of all features.
    """
    epoch = math.ceil(chosen.images / recipe.batch_size)
    draws = Draws(chosen.pools, epoch * recipe.batch_size, seed)
    members = [_places(rows, pool) for pool in chosen.pools]
    labels = np.array([pool.label for pool in chosen.pools], np.float32)

    def read(numbers: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        drawn = [draws[int(number)] for number in numbers]
        places = [members[pool][example] for pool, example in drawn]
        versions = numbers // draws.images % len(rows.features)
        return rows.features[versions, places].astype(np.float32), labels[[pool for pool, _ in drawn]][:, None]

    def after(done: int) -> tf.data.Dataset:
        numbers = tf.data.Dataset.counter(done * recipe.batch_size).batch(recipe.batch_size, drop_remainder=True)
        return numbers.map(lambda batch: _read(read, batch, rows.features.shape[2:])).prefetch(tf.data.AUTOTUNE)

    return Batches(epoch, after)


def validation(rows: Rows, recipe: Recipe) -> tf.data.Dataset:
    """Return batches of features (b, blocks, width), labels (b, 1) and weights (b,), in the order of the rows.

    The array has no versions: it is (rows, blocks, width). The weights of each dataset add up to the same.
    """
    labels, datasets = rows.table["label"].to_numpy(np.float32)[:, None], rows.table["dataset"]
    counts = datasets.value_counts()
    weights = datasets.map(len(datasets) / len(counts) / counts).to_numpy(np.float32)

    def read(numbers: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        return rows.features[rows.places[numbers]].astype(np.float32), labels[numbers]

    numbers = tf.data.Dataset.range(len(labels)).batch(recipe.batch_size)
    data = numbers.map(lambda batch: _read(read, batch, rows.features.shape[1:]))
    return tf.data.Dataset.zip(data, tf.data.Dataset.from_tensor_slices(weights).batch(recipe.batch_size)).map(
        lambda pair, of: (*pair, of)
    )


def _places(rows: Rows, pool: Pool) -> NDArray[np.int64]:
    table = rows.table
    own = (table["dataset"] == pool.dataset) & (table["label"] == pool.label) & (table["generator"] == pool.generator)
    return rows.places[own.to_numpy()]


def _read(read: Any, numbers: Any, shape: tuple[int, ...]) -> tuple[Any, Any]:
    features, labels = tf.numpy_function(read, [numbers], (tf.float32, tf.float32), stateful=False)
    return tf.ensure_shape(features, (None, *shape)), tf.ensure_shape(labels, (None, 1))
