"""Batches for training and validation, from shards."""

import math
from functools import partial
from pathlib import Path
from typing import Any

import tensorflow as tf

from fauxscan.media.pixels import decode_tensor, resize_tensor
from fauxscan.preparing import shards
from fauxscan.records import REAL, TRAIN, VALIDATION, Recipe, View
from fauxscan.training import augmentation, pairs
from fauxscan.training.parts import Part, whole

SHUFFLED = 2048  # examples that the next is drawn from: neighbours in a shard are strangers already
LABELS = 32  # bytes of an example in a cache besides its pixels, or more


def training(
    folder: Path, view: View, size: int, recipe: Recipe, seed: int, memory: int, margin: float = 0.0,
    part: Part | None = None,
) -> tf.data.Dataset:  # fmt: skip
    """Return batches (float32 images (b, size, size, 3) in 0..255, labels (b, 1)), shuffled anew each epoch.

    They are of all sources, or of a part. Up to `memory` bytes of images are kept between epochs; `margin` is that of
    face crops, by which self-blending goes. Raise UserError for a damaged shard.
    """
    layers = augmentation.pipeline(recipe.augmentation, seed)
    part = part or whole(folder, TRAIN, view, recipe)
    data = _records(folder, TRAIN, view, part, side_by_side=True)  # one shard alone would wait for the disk
    kept = _bytes(folder, TRAIN, view, size, part.examples)
    data = _decoded(data, partial(_decode, size), kept, memory, seed)
    if part.self_blended:  # after the cache, or each epoch would see the blends of the first
        data = pairs.drawn(data, margin, seed)
    data = data.batch(recipe.batch_size)  # of bytes: a quarter of the copying that floats would be
    data = data.map(_floats)
    if layers:  # after the cache, or each epoch would see the draws of the first
        data = data.map(lambda *batch: (batch, _drawn(batch[0], layers)))  # one at a time: the same draws each run
        data = data.map(lambda batch, drawn: (_augmented(batch[0], drawn, layers), batch[1]), tf.data.AUTOTUNE)
    data = data.apply(_counted(part, recipe))
    return data.prefetch(tf.data.AUTOTUNE)  # while the network works on the batch before


def validation(
    folder: Path, view: View, size: int, recipe: Recipe, memory: int, margin: float = 0.0
) -> tf.data.Dataset:
    """Return the validation batches, never augmented, in the order of the shards. Raise UserError for a damaged one.

    With self-blending, each real is followed by the one fake that is always made of it.
    """
    part = whole(folder, VALIDATION, view, recipe)
    data = _records(folder, VALIDATION, view, part)
    kept = _bytes(folder, VALIDATION, view, size, part.images)
    if part.self_blended:
        data = _decoded(data, partial(_decode_pair, size, margin), kept, memory).unbatch()
    else:
        data = _decoded(data, partial(_decode, size), kept, memory)
    data = data.batch(recipe.batch_size)
    data = data.map(_floats)
    data = data.apply(_counted(part, recipe))
    return data.prefetch(tf.data.AUTOTUNE)


def _records(folder: Path, split: str, view: View, part: Part, side_by_side: bool = False) -> tf.data.Dataset:
    """Return the records of a part of a split; with self-blending, of its reals alone."""
    data = shards.records(folder, split, view, side_by_side)
    if part.sources is not None:
        data = shards.of_sources(data, part.sources)
    if part.self_blended:
        data = data.filter(lambda record: shards.parse(record, ("label",))["label"] == REAL)
    return data


def _bytes(folder: Path, split: str, view: View, size: int, images: int) -> tuple[int, int]:
    """Return what that many images take in memory decoded, and at most encoded."""
    return images * (size * size * 3 + LABELS), shards.extent(folder, split, view)[1]


def _decoded(
    data: tf.data.Dataset, decode: Any, kept: tuple[int, int], memory: int, seed: int | None = None
) -> tf.data.Dataset:
    """Return what `decode` makes of records, kept in memory decoded if that fits, else encoded if that fits.

    `kept` is what either takes, in bytes. With a seed, the order is drawn anew each epoch, the same whatever is kept.
    """

    def shuffled(data: tf.data.Dataset) -> tf.data.Dataset:
        return data if seed is None else data.shuffle(SHUFFLED, seed=seed)

    def decoded(data: tf.data.Dataset) -> tf.data.Dataset:
        return data.map(decode, num_parallel_calls=tf.data.AUTOTUNE)

    if kept[0] <= memory:
        return shuffled(decoded(data).cache())  # the buffer holds what the cache holds: no second copy
    if kept[1] <= memory:
        data = data.cache()
    return decoded(shuffled(data))  # encoded images are the smaller ones to hold in a buffer


def _counted(part: Part, recipe: Recipe) -> Any:
    """Return what declares the number of batches, so that progress has an end."""
    return tf.data.experimental.assert_cardinality(math.ceil(part.images / recipe.batch_size))


def _decode(size: int, record: Any) -> tuple[Any, Any]:
    """Return the image, uint8 RGB (size, size, 3), and the label, float32 (1,), of one record."""
    example = shards.parse(record, ("image", "label"))
    return resize_tensor(decode_tensor(example["image"]), size), tf.cast(example["label"][None], tf.float32)


def _decode_pair(size: int, margin: float, record: Any) -> pairs.Pair:
    """Return the real of one record with the fake that is always made of it."""
    example = shards.parse(record, ("sha256", "track"))
    return pairs.fixed(_decode(size, record)[0], example["sha256"], example["track"], margin)


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
