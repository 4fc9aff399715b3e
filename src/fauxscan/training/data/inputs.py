"""Batches for training and validation, from the shards of one dataset or of several."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import tensorflow as tf

from fauxscan.media.images.model_input import model_input_tensor
from fauxscan.preparing.mixture.read import Mixture
from fauxscan.preparing.shards.read import Shards, keep_sources, parse
from fauxscan.records import REAL, TRAIN, VALIDATION, Recipe, UserError, View
from fauxscan.training.data import augmentation, self_blended
from fauxscan.training.data.drawing import ExampleReader
from fauxscan.training.data.phases import Subset, whole_split
from fauxscan.training.data.targets import Targets

SHUFFLED = 2048  # examples that the next one is drawn from: neighbours in a shard are unrelated already
LABELS = 32  # bytes of a cached example besides its pixels, at most


@dataclass(frozen=True)
class Batches:
    """Training batches without an end: images, float32 RGB (b, size, size, 3) in 0..255, and labels (b, 1)."""

    epoch: int  # batches in an epoch
    after: Callable[[int], tf.data.Dataset]  # the batches that follow so many others


def training_batches(
    mixture: Mixture, view: View, size: int, recipe: Recipe, seed: int, memory: int, margin: float, subset: Subset,
    *, targets: Targets | None = None,
) -> Batches:  # fmt: skip
    """Return the training batches of a subset of a mixture. Raise UserError for a damaged shard.

    With the targets of a teacher, labels are soft.

    An epoch of one dataset holds each example once. An epoch of several has as many batches as hold all their examples,
    but examples are drawn evenly (training/data/pools.py): those of small pools come more than once.
    """
    if len(mixture.shards) > 1:
        return _mixed_batches(mixture, view, size, recipe, seed, margin, subset, targets)
    (shards,) = mixture.shards.values()
    data = training(shards, view, size, recipe, seed, memory, margin, subset, targets=targets)
    return Batches(len(data), lambda done: data.repeat().skip(done % len(data)))


def training(
    shards: Shards, view: View, size: int, recipe: Recipe, seed: int, memory: int, margin: float = 0.0,
    subset: Subset | None = None, *, targets: Targets | None = None,
) -> tf.data.Dataset:  # fmt: skip
    """Return one epoch of batches from one dataset, shuffled differently each time.

    They come from all sources, or from a subset. Up to `memory` bytes of images are cached between epochs; `margin` is
    that of face crops, which self-blending needs. Raise UserError for a damaged shard.
    """
    subset = subset or whole_split(shards, TRAIN, view, recipe)
    data = _records(shards, TRAIN, view, subset, parallel=True)  # one shard alone would wait for the disk
    sizes = _cache_sizes(shards, TRAIN, view, size, subset.examples)
    data = _decoded(data, partial(_decode, size, targets=targets), sizes, memory, seed)
    data = _finished(data, recipe, seed, margin)
    data = data.apply(_counted(subset.images, recipe))
    return data.prefetch(tf.data.AUTOTUNE)  # while the network works on the batch before


def _mixed_batches(
    mixture: Mixture, view: View, size: int, recipe: Recipe, seed: int, margin: float, subset: Subset,
    targets: Targets | None,
) -> Batches:  # fmt: skip
    decode = partial(_decode, size, targets=targets)
    epoch = math.ceil(subset.images / recipe.batch_size)
    images_per_draw = 2 if subset.self_blended else 1
    reader = ExampleReader(mixture, view, subset, epoch * recipe.batch_size // images_per_draw, seed)

    def after(done: int) -> tf.data.Dataset:
        numbers = tf.data.Dataset.counter(done * recipe.batch_size // images_per_draw)
        data = numbers.map(reader.record, tf.data.AUTOTUNE).map(decode, tf.data.AUTOTUNE)
        return _finished(data, recipe, seed, margin).prefetch(tf.data.AUTOTUNE)

    return Batches(epoch, after)


def in_order(mixture: Mixture, view: View, size: int, recipe: Recipe, seed: int) -> tf.data.Dataset:
    """Return batches of all training examples, each once, augmented: dataset by dataset, in the order of the shards.

    Another seed gives other draws of the augmentation. Raise UserError for a damaged shard.
    """
    data, *others = (shards.records(TRAIN, view) for shards in mixture.shards.values())
    for part in others:
        data = data.concatenate(part)
    data = data.map(partial(_decode, size), tf.data.AUTOTUNE)
    return _finished(data, recipe, seed, 0.0).prefetch(tf.data.AUTOTUNE)


def _finished(data: tf.data.Dataset, recipe: Recipe, seed: int, margin: float) -> tf.data.Dataset:
    """Return batches of decoded examples, self-blended and augmented as the recipe says."""
    layers = augmentation.pipeline(recipe.augmentation, seed, recipe.augmented_share)
    if recipe.self_blended:  # after the cache, or each epoch would see the blends of the first
        data = self_blended.drawn(data, margin, seed)
    data = data.batch(recipe.batch_size)  # of bytes: a quarter of the copying that floats would be
    data = data.map(_floats)
    if layers:  # after the cache, or each epoch would see the draws of the first
        data = data.map(lambda *batch: (batch, _drawn(batch[0], layers)))  # one at a time: the same draws each run
        data = data.map(lambda batch, drawn: (_augmented(batch[0], drawn, layers), batch[1]), tf.data.AUTOTUNE)
    return data


def validation_batches(
    mixture: Mixture, view: View, size: int, recipe: Recipe, memory: int, margin: float
) -> tf.data.Dataset:
    """Return the validation batches of all datasets. Raise UserError for a damaged shard.

    With several datasets there is a third tensor, the weights of the images (b,): those of each dataset add up to the
    same, so that loss and accuracy are the means of the datasets'.
    """
    if len(mixture.shards) == 1:
        return validation(next(iter(mixture.shards.values())), view, size, recipe, memory, margin)
    counts = _count_validation(mixture, view, recipe)
    parts = [
        _validation_images(shards, view, size, recipe, memory // len(counts), margin).map(
            partial(_weighted, sum(counts.values()) / len(counts) / counts[name])
        )
        for name, shards in mixture.shards.items()
    ]
    data = parts[0]
    for part in parts[1:]:
        data = data.concatenate(part)
    data = data.batch(recipe.batch_size).map(_floats)
    return data.apply(_counted(sum(counts.values()), recipe)).prefetch(tf.data.AUTOTUNE)


def validation(
    shards: Shards, view: View, size: int, recipe: Recipe, memory: int, margin: float = 0.0
) -> tf.data.Dataset:
    """Return the validation batches of one dataset, never augmented, in the order of the shards.

    With self-blending, each real is followed by the one fake that is always made of it. Raise UserError for a damaged
    shard.
    """
    images = whole_split(shards, VALIDATION, view, recipe).images
    data = _validation_images(shards, view, size, recipe, memory, margin).batch(recipe.batch_size)
    data = data.map(_floats)
    data = data.apply(_counted(images, recipe))
    return data.prefetch(tf.data.AUTOTUNE)


def _validation_images(
    shards: Shards, view: View, size: int, recipe: Recipe, memory: int, margin: float
) -> tf.data.Dataset:
    reals, fakes = shards.count_labels(VALIDATION, view)
    subset = Subset(None, reals, reals if recipe.self_blended else fakes, recipe.self_blended)
    data = _records(shards, VALIDATION, view, subset)
    sizes = _cache_sizes(shards, VALIDATION, view, size, subset.images)
    if subset.self_blended:
        return _decoded(data, partial(_decode_pair, size, margin), sizes, memory).unbatch()
    return _decoded(data, partial(_decode, size), sizes, memory)


def _count_validation(mixture: Mixture, view: View, recipe: Recipe) -> dict[str, int]:
    """Return the validation images of each dataset. Raise UserError where there are none."""
    labels = {name: shards.count_labels(VALIDATION, view) for name, shards in mixture.shards.items()}
    counts = {name: 2 * reals if recipe.self_blended else reals + fakes for name, (reals, fakes) in labels.items()}
    if empty := [name for name, count in counts.items() if not count]:
        raise UserError(
            f"the validation split of {', '.join(empty)} has no images to validate on: leave it out of the model's"
            " `datasets`, or change how it is split (`split` in params.yaml)"
        )
    return counts


def _weighted(weight: float, image: Any, label: Any) -> tuple[Any, Any, Any]:
    return image, label, tf.constant(weight, tf.float32)


def _records(shards: Shards, split: str, view: View, subset: Subset, parallel: bool = False) -> tf.data.Dataset:
    """Return the records of a subset of a split; with self-blending, those of its reals alone."""
    data = shards.records(split, view, parallel)
    if subset.sources is not None:
        data = keep_sources(data, subset.sources)
    if subset.self_blended:
        data = data.filter(lambda record: parse(record, ("label",))["label"] == REAL)
    return data


def _cache_sizes(shards: Shards, split: str, view: View, size: int, images: int) -> tuple[int, int]:
    """Return the bytes of memory that so many images take when decoded, and at most when encoded."""
    return images * (size * size * 3 + LABELS), shards.size(split, view)[1]


def _decoded(
    data: tf.data.Dataset, decode: Any, sizes: tuple[int, int], memory: int, seed: int | None = None
) -> tf.data.Dataset:
    """Return the records decoded, and cached decoded if that fits into memory, or else encoded if that fits.

    `sizes` are the bytes that either takes. With a seed, the order is different each epoch,
    and the same whatever is cached.
    """

    def shuffled(data: tf.data.Dataset) -> tf.data.Dataset:
        return data if seed is None else data.shuffle(SHUFFLED, seed=seed)

    def decoded(data: tf.data.Dataset) -> tf.data.Dataset:
        return data.map(decode, num_parallel_calls=tf.data.AUTOTUNE)

    if sizes[0] <= memory:
        return shuffled(decoded(data).cache())  # the buffer holds what the cache holds: no second copy
    if sizes[1] <= memory:
        data = data.cache()
    return decoded(shuffled(data))  # encoded images are the smaller ones to hold in a buffer


def _counted(images: int, recipe: Recipe) -> Any:
    """Return a transformation that declares the number of batches, so that progress has an end."""
    return tf.data.experimental.assert_cardinality(math.ceil(images / recipe.batch_size))


def _decode(size: int, record: Any, targets: Targets | None = None) -> tuple[Any, Any]:
    """Return the image, uint8 RGB (size, size, 3), and the label, float32 (1,), of one record; with targets, soft."""
    example = parse(record, ("image", "label"))
    label = tf.cast(example["label"][None], tf.float32)
    return model_input_tensor(example["image"], size), targets.soften(label, record) if targets else label


def _decode_pair(size: int, margin: float, record: Any) -> self_blended.Pair:
    """Return the real of one record with the fake that is always made of it."""
    example = parse(record, ("sha256", "track"))
    return self_blended.fixed(_decode(size, record)[0], example["sha256"], example["track"], margin)


def _floats(images: Any, *others: Any) -> tuple[Any, ...]:
    return (tf.cast(images, tf.float32), *others)


def _drawn(images: Any, layers: list[Any]) -> tuple[Any, ...]:
    """Return what each layer will do to the images: the random part, which costs nothing."""
    return tuple(layer.get_random_transformation(images, training=True) for layer in layers)


def _augmented(images: Any, drawn: tuple[Any, ...], layers: list[Any]) -> Any:
    """Return the images so changed: the costly part, in which nothing is random."""
    for layer, transformation in zip(layers, drawn, strict=True):
        images = layer.transform_images(images, transformation, training=True)
    return tf.clip_by_value(images, 0.0, 255.0)
