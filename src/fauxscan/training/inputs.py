"""Batches for training and validation, from shards."""

import math
from pathlib import Path
from typing import Any

import tensorflow as tf

from fauxscan.media.pixels import decode_tensor, resize_tensor
from fauxscan.preparing import shards
from fauxscan.records import TRAIN, VALIDATION, Recipe, View
from fauxscan.training import augmentation
from fauxscan.training.parts import Part

SHUFFLED = 2048  # examples that the next is drawn from: neighbours in a shard are strangers already
LABELS = 32  # bytes of an example in a cache besides its pixels, or more


def training(
    folder: Path, view: View, size: int, recipe: Recipe, seed: int, memory: int, part: Part | None = None
) -> tf.data.Dataset:
    """Return batches (float32 images (b, size, size, 3) in 0..255, labels (b, 1)), shuffled anew each epoch.

    They are of all sources, or of a part. Up to `memory` bytes of images are kept between epochs. Raise UserError for a
    damaged shard.
    """
    layers = augmentation.pipeline(recipe.augmentation, seed)
    extent = shards.extent(folder, TRAIN, view)
    data = shards.records(folder, TRAIN, view, side_by_side=True)  # one shard alone would wait for the disk
    if part and part.sources is not None:
        data, extent = shards.of_sources(data, part.sources), part.of(extent)
    data = _decoded(data, extent, size, memory, seed)
    data = data.batch(recipe.batch_size)  # of bytes: a quarter of the copying that floats would be
    data = data.map(_floats)
    if layers:  # after the cache, or each epoch would see the draws of the first
        data = data.map(lambda *batch: (batch, _drawn(batch[0], layers)))  # one at a time: the same draws each run
        data = data.map(lambda batch, drawn: (_augmented(batch[0], drawn, layers), batch[1]), tf.data.AUTOTUNE)
    data = data.apply(_counted(extent, recipe))
    return data.prefetch(tf.data.AUTOTUNE)  # while the network works on the batch before


def validation(folder: Path, view: View, size: int, recipe: Recipe, memory: int) -> tf.data.Dataset:
    """Return the validation batches, never augmented, in the order of the shards. Raise UserError for a damaged one."""
    extent = shards.extent(folder, VALIDATION, view)
    data = shards.records(folder, VALIDATION, view)
    data = _decoded(data, extent, size, memory)
    data = data.batch(recipe.batch_size)
    data = data.map(_floats)
    data = data.apply(_counted(extent, recipe))
    return data.prefetch(tf.data.AUTOTUNE)


def _decoded(
    data: tf.data.Dataset, extent: tuple[int, int], size: int, memory: int, seed: int | None = None
) -> tf.data.Dataset:
    """Return (uint8 image, label) from records, kept in memory decoded if that fits, else encoded if that fits.

    `extent` is their number and bytes. With a seed, the order is drawn anew each epoch, the same whatever is kept.
    """

    def shuffled(data: tf.data.Dataset) -> tf.data.Dataset:
        return data if seed is None else data.shuffle(SHUFFLED, seed=seed)

    def decoded(data: tf.data.Dataset) -> tf.data.Dataset:
        return data.map(lambda record: _decode(record, size), num_parallel_calls=tf.data.AUTOTUNE)

    count, encoded = extent
    if count * (size * size * 3 + LABELS) <= memory:
        return shuffled(decoded(data).cache())  # the buffer holds what the cache holds: no second copy
    if encoded <= memory:
        data = data.cache()
    return decoded(shuffled(data))  # encoded images are the smaller ones to hold in a buffer


def _counted(extent: tuple[int, int], recipe: Recipe) -> Any:
    """Return what declares the number of batches, so that progress has an end."""
    return tf.data.experimental.assert_cardinality(math.ceil(extent[0] / recipe.batch_size))


def _decode(record: Any, size: int) -> tuple[Any, Any]:
    """Return the image, uint8 RGB (size, size, 3), and the label, float32 (1,), of one record."""
    example = shards.parse(record, ("image", "label"))
    return resize_tensor(decode_tensor(example["image"]), size), tf.cast(example["label"][None], tf.float32)


def _floats(images: Any, labels: Any) -> tuple[Any, Any]:
    return tf.cast(images, tf.float32), labels


def _drawn(images: Any, layers: list[Any]) -> tuple[Any, ...]:
    """Return what each layer is to do to the images: the random part, which costs nothing."""
    return tuple(layer.get_random_transformation(images, training=True) for layer in layers)


def _augmented(images: Any, drawn: tuple[Any, ...], layers: list[Any]) -> Any:
    """Return the images so changed: the costly part, in which nothing is random."""
    for layer, transformation in zip(layers, drawn, strict=True):
        images = layer.transform_images(images, transformation, training=True)
    return tf.clip_by_value(images, 0.0, 255.0)
