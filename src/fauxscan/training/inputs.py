"""Batches for training and validation, from shards."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf

from fauxscan.media.pixels import decode_tensor, resize_tensor
from fauxscan.preparing import shards
from fauxscan.records import TRAIN, VALIDATION, Recipe, View
from fauxscan.training import augmentation

SHUFFLED = 20_000  # encoded images held to be drawn from: about 300 MB


def training(folder: Path, view: View, size: int, recipe: Recipe, seed: int) -> tf.data.Dataset:
    """Return batches (float32 images (b, size, size, 3) in 0..255, labels (b, 1)), shuffled anew each epoch."""
    layers = augmentation.pipeline(recipe.augmentation, seed)
    data = shards.dataset(folder, TRAIN, view)
    data = data.cache()  # encoded bytes, before anything random
    data = data.shuffle(SHUFFLED, seed=seed)
    data = data.map(lambda example: _decode(example, size), num_parallel_calls=tf.data.AUTOTUNE)
    data = _batched(data, folder, f"{TRAIN}-{view}", recipe.batch_size)
    data = data.map(lambda images, labels: (_augment(images, layers), labels))  # one at a time: the same draws each run
    return data.prefetch(tf.data.AUTOTUNE)  # while the network works on the batch before


def validation(folder: Path, view: View, size: int, recipe: Recipe) -> tf.data.Dataset:
    """Return the validation batches in a fixed order, never augmented."""
    data = shards.dataset(folder, VALIDATION, view)
    data = data.map(lambda example: _decode(example, size), num_parallel_calls=tf.data.AUTOTUNE)
    return _batched(data, folder, f"{VALIDATION}-{view}", recipe.batch_size).prefetch(tf.data.AUTOTUNE)


def _batched(data: tf.data.Dataset, folder: Path, series: str, size: int) -> tf.data.Dataset:
    """Return batches, their number declared, so that progress has an end."""
    count = math.ceil(shards.manifest(folder)["counts"][series] / size)
    return data.batch(size).apply(tf.data.experimental.assert_cardinality(count))


def _decode(example: Mapping[str, Any], size: int) -> tuple[Any, Any]:
    image = decode_tensor(example["image"], tf.equal(example["png"], 1))
    return resize_tensor(image, size), tf.cast(example["label"][None], tf.float32)


def _augment(images: Any, layers: list[Any]) -> Any:
    for layer in layers:
        images = layer(images, training=True)
    return tf.clip_by_value(images, 0.0, 255.0)
